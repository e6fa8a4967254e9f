# SPDX-License-Identifier: MIT
"""A small reader and writer of ELF-64 cores: which pages they hold, and the same dump with some pages left out."""
import os
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from .paths import LabError

PAGE = 4096
LOAD = 1
_HEADER = struct.Struct("<IIQQQQQQ")  # type, flags, offset, virtual and physical address, size in the file, in memory, align


@dataclass(frozen=True)
class Segment:
    """One program header."""

    kind: int
    flags: int
    offset: int
    va: int
    pa: int
    size: int
    memory: int
    align: int


def segments(path: Path) -> list[Segment]:
    """Returns every program header of a file."""
    with path.open("rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            raise LabError(f"{path.name} is no ELF-64 file")
        file.seek(struct.unpack_from("<Q", head, 32)[0])
        size, count = struct.unpack_from("<HH", head, 54)
        data = file.read(size * count)
    return [Segment(*_HEADER.unpack_from(data, n * size)) for n in range(count)]


def end_of(path: Path) -> int:
    """Returns how long a file is by its own headers."""
    return max(one.offset + one.size for one in segments(path))


def held(path: Path) -> list[tuple[int, int]]:
    """Returns (start, end) of physical memory that the file holds, whole pages, in order."""
    spans = sorted((one.pa + PAGE - 1 & -PAGE, one.pa + one.size & -PAGE) for one in segments(path) if one.kind == LOAD)
    return [(start, end) for start, end in spans if start < end]


def _without(one: Segment, page: int) -> list[Segment]:
    """Returns a segment in pieces: the page keeps its place in memory and has none in the file."""
    if one.kind != LOAD or not one.pa <= page < one.pa + one.size:
        return [one]
    first = page - one.pa
    rest = first + PAGE
    before = replace(one, size=first, memory=rest)
    after = replace(one, offset=one.offset + rest, va=one.va + rest, pa=one.pa + rest, size=max(one.size - rest, 0),
                    memory=max(one.memory - rest, 0))
    return [piece for piece in (before, after) if piece.memory]


def write_without(source: Path, out: Path, drop: list[int]) -> None:
    """Copies a core without the pages at some physical addresses: their room in memory is larger than in the file."""
    parts = segments(source)
    for page in drop:
        parts = [piece for one in parts for piece in _without(one, page)]
    shutil.copyfile(source, out)  # sparse where the file system can
    at = os.stat(out).st_size + 7 & -8
    with out.open("r+b") as file:
        file.seek(at)
        for one in parts:
            file.write(_HEADER.pack(one.kind, one.flags, one.offset, one.va, one.pa, one.size, one.memory, one.align))
        file.seek(32)
        file.write(struct.pack("<Q", at))
        file.seek(56)
        file.write(struct.pack("<H", len(parts)))

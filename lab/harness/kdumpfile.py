# SPDX-License-Identifier: MIT
"""A small reader and writer of kdump-compressed dumps, independent of every library that the tool uses.

It tells which pages a dump holds, leaves pages out on purpose, and packs pages as Debian's makedumpfile cannot (snappy,
zstd). The layout is the one that makedumpfile documents in IMPLEMENTATION and writes: a header block, a sub-header, two
bitmaps (what is RAM, what is held), a descriptor for each held page, the pages.
"""
import ctypes
import struct
import zlib
from pathlib import Path
from typing import Callable

from .paths import LabError

PAGE = 4096
SIGNATURE = b"KDUMP   "
_STATUS, _BLOCK, _SUB, _BITMAP, _PAGES = 424, 428, 432, 436, 440  # in the header
_MAX_PFN = 96  # in the sub-header, from version 6 on
_DESCRIPTOR = struct.Struct("<qIIQ")  # offset, size, flags, page flags
ZLIB, LZO, SNAPPY, ZSTD = 1, 2, 4, 0x20  # of a page, and of the whole dump
FLAGS = {"plain": 0, "zlib": ZLIB, "lzo": LZO, "snappy": SNAPPY, "zstd": ZSTD}


def _library(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name)
    except OSError:
        raise LabError(f"{name} is missing: it comes with libkdumpfile") from None


def _snappy() -> Callable[[bytes], bytes]:
    library, out = _library("libsnappy.so.1"), ctypes.create_string_buffer(2 * PAGE)

    def pack(data: bytes) -> bytes:
        size = ctypes.c_size_t(len(out))
        if library.snappy_compress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size)):
            raise LabError("snappy_compress failed")
        return out.raw[: size.value]

    return pack


def _zstd() -> Callable[[bytes], bytes]:
    library, out = _library("libzstd.so.1"), ctypes.create_string_buffer(2 * PAGE)
    library.ZSTD_compress.restype = ctypes.c_size_t

    def pack(data: bytes) -> bytes:
        size = library.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 1)
        if size > len(out):
            raise LabError("ZSTD_compress failed")
        return out.raw[:size]

    return pack


PACKERS = {"zlib": lambda: lambda data: zlib.compress(data, 1), "snappy": _snappy, "zstd": _zstd}


def _bits(raw: bytes) -> list[int]:
    return [8 * n + bit for n, byte in enumerate(raw) if byte for bit in range(8) if byte >> bit & 1]


class Kdump:
    """A kdump-compressed dump, not flattened."""

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as file:
            head = file.read(PAGE)
            if head[:8] != SIGNATURE:
                raise LabError(f"{path.name} is not kdump-compressed")
            block, sub, bitmap = (struct.unpack_from("<I", head, at)[0] for at in (_BLOCK, _SUB, _BITMAP))
            if block != PAGE:
                raise LabError(f"{path.name}: blocks of {block} bytes")
            self._bitmap_at, self._bitmap_size = (1 + sub) * PAGE, bitmap * PAGE // 2
            file.seek(self._bitmap_at)
            self.ram = _bits(file.read(self._bitmap_size))
            self.held = _bits(file.read(self._bitmap_size))
            self._table_at = self._bitmap_at + 2 * self._bitmap_size
            self._table = file.read(_DESCRIPTOR.size * len(self.held))

    def pages(self) -> list[tuple[int, int, int, int]]:
        """Returns (page number, offset, size, flags) of every page that is held."""
        return [(pfn, *_DESCRIPTOR.unpack_from(self._table, n * _DESCRIPTOR.size)[:3]) for n, pfn in enumerate(self.held)]

    def write(self, out: Path, word: str = "", drop: frozenset[int] = frozenset()) -> None:
        """Writes the dump again, with some pages left out, or (from one that is not compressed) packed otherwise."""
        pack = PACKERS[word]() if word else None
        pages = [page for page in self.pages() if page[0] not in drop]
        bitmap = bytearray(self._bitmap_size)
        for pfn, *_ in pages:
            bitmap[pfn >> 3] |= 1 << (pfn & 7)
        table, at = bytearray(), self._table_at + _DESCRIPTOR.size * len(pages)
        with self.path.open("rb") as source, out.open("wb") as file:
            head = bytearray(source.read(self._bitmap_at + self._bitmap_size))
            if word:
                struct.pack_into("<I", head, _STATUS, FLAGS[word])
            file.write(head + bitmap)
            file.seek(at)
            for _, offset, size, flags in pages:
                source.seek(offset)
                data = source.read(size)
                if pack:
                    if flags or size != PAGE:
                        raise LabError(f"{self.path.name} is compressed already")
                    packed = pack(data)
                    data, flags = (packed, FLAGS[word]) if len(packed) < PAGE else (data, 0)
                table += _DESCRIPTOR.pack(at, len(data), flags, 0)
                file.write(data)
                at += len(data)
            file.seek(self._table_at)
            file.write(table)

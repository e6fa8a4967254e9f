# SPDX-License-Identifier: MIT
"""One crash whose dumps are asked about, and what the lab itself knows of it: tables read out of the picture of memory by
the lab's own reader, DMA as QEMU translated it."""
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from . import dumps, elfcore, kdumpfile, kinds
from .ask import Asked, Range
from .guest import without
from .packages import command
from .policycheck import _merged
from .views import PASS_THROUGH, Views

PAGE = 4096
PLAIN_PASID = 0xFFFFFFFF


class Picture:
    """The raw image of memory at the hand-over."""

    def __init__(self, path: Path, spans: list[list[int]]):
        self._file, self._spans = path.open("rb"), spans

    def read(self, address: int, length: int) -> bytes | None:
        """Returns memory, or None when the range is not all RAM."""
        for start, end, offset in self._spans:
            if start <= address and address + length <= end:
                self._file.seek(offset + address - start)
                return self._file.read(length)
        return None


@dataclass(frozen=True)
class Form:
    """A dump, how it is asked, and which pages it holds: None when it holds all of them."""

    name: str
    asked: Asked
    held: tuple[tuple[int, int], ...] | None = None  # spans
    note: bool = True  # it carries Cofferdam's note

    def holds(self, page: int) -> bool:
        """Tells whether a page is in the dump."""
        return self.held is None or any(start <= page < end for start, end in self.held)


class Case:
    """The folder of one crash."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder
        self.seen = json.loads((folder / dumps.SEEN).read_text())
        self.kind = kinds.of(self.seen["kind"])
        self.picture = Picture(folder / "picture.raw", self.seen["map"])

    @property
    def root_option(self) -> tuple[str, ...]:
        """What tells the tool where the dead kernel's root table is."""
        return self.kind.root_option(self.seen["pointer"])

    @property
    def map_option(self) -> tuple[str, ...]:
        """What tells the tool which memory the picture shows."""
        out: tuple[str, ...] = ()
        for start, end, offset in self.seen["map"]:
            out += "--map", f"0x{start:x}-0x{end:x}=0x{offset:x}"
        return out

    @cached_property
    def tables(self) -> Views:
        """The dead kernel's tables as the lab's own reader reads them."""
        seen = self.seen
        spans = without([tuple(s) for s in seen["system_ram"]], [tuple(s) for s in seen["crash_region"]])
        rules = replace(self.kind.rules([], lambda at: any(a <= at < b for a, b in spans)), **seen["rules"])
        return self.kind.tables(self.picture.read, seen["pointer"], rules)

    def sources(self) -> list[int]:
        """Returns every requester with tables or identity, PASIDs other than that of plain requests left out."""
        return sorted({source & 0xFFFF for source, entry in self.tables.contexts.items() if entry.named})

    def passed(self) -> list[int]:
        """Returns the first of each run of functions that pass because nobody made an entry for them."""
        free = {source for source, entry in self.tables.contexts.items() if entry.kind == PASS_THROUGH and not entry.named}
        return sorted(source for source in free if source - 1 not in free)

    def expected(self, rid: int) -> list[Range]:
        """Returns what the ranges of a requester must be."""
        source = self.tables.named(rid)
        entry = self.tables.entry(source)
        if entry.kind == PASS_THROUGH:
            return []
        return [Range("mapped", leaf.iova, leaf.size, leaf.target, leaf.read, leaf.write)
                for leaf in _merged(self.tables.leaves(source))]

    def forms(self) -> list[Form]:
        """Returns the dumps that are there."""
        names = ["vmcore", *dumps.names(), *(f"w1.{word}" for word in dumps.OURS)]
        found = [self.form(name) for name in names if (self.folder / name).exists()]
        found += [self.form(name, note=False) for name in dumps.QEMU_FORMATS.values() if (self.folder / name).exists()]
        picture = Asked(self.folder / "picture.raw", (*self.map_option, *self.root_option))
        return found + [Form("picture.raw", picture, note=False)]

    def form(self, name: str, note: bool = True) -> Form:
        """Returns one dump by its file's name, with the pages that it holds by our own reading of it."""
        path = self.folder / name
        flat = name.endswith(".flat")
        plain = self.folder / name.removesuffix(".flat")
        held = None
        if name == "vmcore" or not note:
            pass  # everything
        elif ".elf" in name:
            held = tuple(elfcore.held(plain))
        else:
            held = _spans(kdumpfile.Kdump(plain).held)
        return Form(name, Asked(path), held, note)


def _spans(pages: list[int]) -> tuple[tuple[int, int], ...]:
    out: list[list[int]] = []
    for pfn in pages:
        if out and out[-1][1] == pfn * PAGE:
            out[-1][1] += PAGE
        else:
            out.append([pfn * PAGE, pfn * PAGE + PAGE])
    return tuple((start, end) for start, end in out)


def loop(case: Case, rid: int, out: Path) -> None:
    """Writes the whole dump again with a requester's top table leading back to itself in every entry."""
    entry = case.tables.entry(case.tables.named(rid))
    command(["cp", "--sparse=always", str(case.folder / "vmcore"), str(out)], "copying the dump")
    page = case.kind.to_itself(entry)
    for one in elfcore.segments(out):
        if one.kind == elfcore.LOAD and one.pa <= entry.table < one.pa + one.size:
            with out.open("r+b") as file:
                file.seek(one.offset + entry.table - one.pa)
                file.write(page)

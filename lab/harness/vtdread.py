# SPDX-License-Identifier: MIT
"""A second, independent reader of VT-d tables, over a picture of guest memory.

It shares no code with the engine and is written from the specification's tables (Intel VT-d: legacy-mode root
entry, context entry, second-stage paging entries), so that the lab can say what every requester could reach
before and after the takeover without believing the program it judges. Legacy mode only.
"""
import struct
from dataclasses import dataclass, field
from typing import Callable

from .paths import LabError

Read = Callable[[int, int], bytes | None]
PAGE = 4096
ADDRESS = 0x000F_FFFF_FFFF_F000
# Table pages read under one root, each time counted: self-similar tables have few pages and no end.
MAX_TABLES = 10_000


@dataclass(frozen=True)
class Leaf:
    """One mapping: IOVA start, size in bytes, physical address, read and write permission."""

    iova: int
    size: int
    target: int
    read: bool
    write: bool


@dataclass
class Context:
    """One present context entry."""

    source: int
    kind: int  # T field: 0 and 1 translated, 2 pass-through
    levels: int
    domain: int
    table: int
    faults_off: bool


@dataclass
class Tables:
    """Every requester's view under one root table. Pages of the tables themselves are collected in pages."""

    read: Read
    root: int
    contexts: dict[int, Context] = field(default_factory=dict)
    pages: set[int] = field(default_factory=set)
    _leaves: dict[tuple[int, int], list[Leaf]] = field(default_factory=dict)
    _reads: int = 0

    def __post_init__(self) -> None:
        for bus, (low, _) in enumerate(self._pairs(self.root)):
            if not low & 1:
                continue
            for devfn, (lo, hi) in enumerate(self._pairs(low & ADDRESS)):
                if lo & 1:
                    source = bus << 8 | devfn
                    self.contexts[source] = Context(source, lo >> 2 & 3, (hi & 7) + 2, hi >> 8 & 0xFFFF,
                                                    lo & ADDRESS, bool(lo & 2))

    def _words(self, address: int) -> tuple[int, ...]:
        self._reads += 1
        if self._reads > MAX_TABLES:
            raise LabError(f"more than {MAX_TABLES} table pages: a table that leads back to itself?")
        raw = self.read(address, PAGE)
        if raw is None:
            return (0,) * 512
        self.pages.add(address)
        return struct.unpack("<512Q", raw)

    def _pairs(self, address: int) -> list[tuple[int, int]]:
        words = self._words(address)
        return list(zip(words[0::2], words[1::2]))

    def leaves(self, source: int) -> list[Leaf]:
        """Returns the requester's mappings by rising IOVA; empty when absent, blocked or pass-through."""
        entry = self.contexts.get(source)
        if entry is None or entry.kind > 1:
            return []
        key = (entry.table, entry.levels)
        if key not in self._leaves:
            self._leaves[key] = list(self._walk(entry.table, entry.levels, 0, 3))
        return self._leaves[key]

    def _walk(self, table: int, level: int, base: int, allowed: int):
        span = PAGE << 9 * (level - 1)
        for index, entry in enumerate(self._words(table)):
            rights = entry & allowed & 3
            if not rights:
                continue
            iova = base + index * span
            if level == 1 or entry >> 7 & 1:
                yield Leaf(iova, span, entry & ADDRESS & ~(span - 1), bool(rights & 1), bool(rights & 2))
            else:
                yield from self._walk(entry & ADDRESS, level - 1, iova, rights)

    def translate(self, source: int, iova: int) -> tuple[int, bool, bool] | None:
        """Returns (physical address, read, write) for one IOVA of a requester; None when not mapped.

        Walks from the top, one entry a level, so it is affordable on tables that map everything.
        """
        entry = self.contexts.get(source)
        if entry is None:
            return None
        if entry.kind == 2:
            return iova, True, True
        table, rights = entry.table, 3
        if iova >> 12 + 9 * entry.levels:
            return None
        for level in range(entry.levels, 0, -1):
            raw = self.read(table + 8 * (iova >> 12 + 9 * (level - 1) & 511), 8)
            value = struct.unpack("<Q", raw)[0] if raw else 0
            rights &= value & 3
            if not rights:
                return None
            span = PAGE << 9 * (level - 1)
            if level == 1 or value >> 7 & 1:
                return (value & ADDRESS & ~(span - 1)) + (iova & span - 1), bool(rights & 1), bool(rights & 2)
            table = value & ADDRESS
        return None

    def passes_through(self) -> bool:
        """Tells whether some requester could write everything."""
        return any(entry.kind == 2 for entry in self.contexts.values())

    def writable_pages(self) -> set[int]:
        """Returns every physical page that some translated requester may write (pass-through ones left out)."""
        out: set[int] = set()
        for source in self.contexts:
            for leaf in self.leaves(source):
                if leaf.write:
                    out.update(range(leaf.target, leaf.target + leaf.size, PAGE))
        return out

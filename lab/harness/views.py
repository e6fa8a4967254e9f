# SPDX-License-Identifier: MIT
"""What the readers of all kinds of IOMMU have in common: every requester's view under one table, and its mappings."""
import struct
from dataclasses import dataclass, field
from typing import Callable

from .paths import LabError

Read = Callable[[int, int], bytes | None]
PAGE = 4096
ADDRESS = 0x000F_FFFF_FFFF_F000
# Table pages read under one root, each time counted: self-similar tables have few pages and no end.
MAX_TABLES = 10_000
SECOND, FIRST, NESTED, PASS_THROUGH, BROKEN = "second", "first", "nested", "pass-through", "broken"
BLOCKED = "blocked"  # an entry that says: nothing


def bits(high: int, low: int) -> int:
    """Returns the mask of the bits from low to high."""
    return (1 << high + 1) - (1 << low) if high >= low else 0


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
    """One present entry that says where a requester's DMA goes, or one present PASID-table entry below one."""

    source: int  # requester id, PASID above it (<< 16)
    kind: str
    levels: int
    domain: int
    table: int
    faults_off: bool
    address: int  # of the entry
    rights: int = 3  # of the entry itself: 1 read, 2 write
    named: bool = True  # the entry was made for this requester; else it says what all unused entries say


@dataclass
class Views:
    """Every requester's view under one table. Pages of the tables themselves are collected in pages.

    A kind's own reader fills contexts, and says how an address is followed and what is mapped.
    """

    read: Read
    root: int
    contexts: dict[int, Context] = field(default_factory=dict, kw_only=True)
    rid_pasid: dict[int, int] = field(default_factory=dict, kw_only=True)  # requester id -> PASID of requests without one
    pages: set[int] = field(default_factory=set, kw_only=True)
    structure: set[int] = field(default_factory=set, kw_only=True)  # pages of all but the paging structures
    broken_halves: set[int] = field(default_factory=set, kw_only=True)  # of buses: requester id >> 7
    shared: dict[int, int] = field(default_factory=dict, kw_only=True)  # requester id -> the one whose large directory it shares
    _silent: set[int] = field(default_factory=set, kw_only=True)
    _leaves: dict[tuple, list[Leaf]] = field(default_factory=dict, kw_only=True)
    _reads: int = field(default=0, kw_only=True)

    # --- a kind's own ----------------------------------------------------------------------------------------
    def follow(self, entry: Context, iova: int) -> tuple[int, int, int] | None:
        """Returns (address, size, rights) of the page that an IOVA is in; None when nothing is mapped."""
        raise NotImplementedError

    def walk(self, entry: Context):
        """Yields what an entry maps, as Leaf."""
        raise NotImplementedError

    def mode(self) -> str:
        """Returns what kind of tables these are, as a person says it."""
        raise NotImplementedError

    # --- common ----------------------------------------------------------------------------------------------
    def _words(self, address: int) -> tuple[int, ...]:
        self._reads += 1
        if self._reads > MAX_TABLES:
            raise LabError(f"more than {MAX_TABLES} table pages: a table that leads back to itself?")
        raw = self.read(address, PAGE)
        if raw is None:
            return (0,) * 512
        self.pages.add(address)
        return struct.unpack("<512Q", raw)

    def word(self, address: int) -> int:
        """Returns 8 bytes of memory; 0 where there is none."""
        return struct.unpack("<Q", self.read(address, 8) or bytes(8))[0]

    def named(self, source: int) -> int:
        """Returns the key of a requester's view; requests without a PASID have one that the context names."""
        return self.rid_pasid.get(source, 0) << 16 | source if source < 1 << 16 else source

    def entry(self, source: int) -> Context | None:
        """Returns the entry of a requester and a PASID (<< 16)."""
        rid = source & 0xFFFF
        return self.contexts.get(source - rid + self.shared.get(rid, rid))

    def leaves(self, source: int) -> list[Leaf]:
        """Returns the requester's mappings by rising IOVA; empty when absent, blocked, broken or pass-through."""
        entry = self.entry(source)
        if entry is None or entry.kind not in (FIRST, SECOND):
            return []
        key = (entry.table, entry.levels, entry.kind, entry.rights)
        if key not in self._leaves:
            self._leaves[key] = list(self.walk(entry))
        return self._leaves[key]

    def page(self, source: int, iova: int) -> tuple[int, int, int] | None:
        """Returns (address, size, rights) of the page of a requester that an IOVA is in; None when not mapped.

        Walks from the top, one entry a level, so it is affordable on tables that map everything.
        """
        entry = self.entry(self.named(source))
        if entry is None:
            return None
        if entry.kind == PASS_THROUGH:
            return iova & -PAGE, PAGE, entry.rights
        return self.follow(entry, iova) if entry.kind in (FIRST, SECOND) else None

    def translate(self, source: int, iova: int) -> tuple[int, bool, bool] | None:
        """Returns (physical address, read, write) for one IOVA of a requester; None when not mapped."""
        found = self.page(source, iova)
        if not found or not found[2]:
            return None
        return found[0] + (iova & found[1] - 1), bool(found[2] & 1), bool(found[2] & 2)

    def reaches(self, rid: int) -> bool:
        """Tells whether these tables can have an entry for a requester at all; the hardware refuses others."""
        return True

    def silent(self, source: int) -> bool:
        """Tells whether what the requester is refused goes unreported."""
        entry = self.entry(self.named(source))
        return entry.faults_off if entry else source & 0xFFFF in self._silent

    def listed(self) -> list[Context]:
        """Returns the entries that were made for somebody."""
        return [entry for entry in self.contexts.values() if entry.named]

    def add_identity(self, sources: list[int]) -> None:
        """Says that requesters were not translated at all: the unit was off."""
        for source in sources:
            self.contexts[source] = Context(source, PASS_THROUGH, 0, 0, 0, False, 0)

    def passes_through(self) -> bool:
        """Tells whether some requester could write everything."""
        return any(entry.kind == PASS_THROUGH and entry.rights & 2 for entry in self.contexts.values())

    def writable_pages(self) -> set[int]:
        """Returns every physical page that some translated requester may write (pass-through ones left out)."""
        out: set[int] = set()
        for source in self.contexts:
            for leaf in self.leaves(source):
                if leaf.write:
                    out.update(range(leaf.target, leaf.target + leaf.size, PAGE))
        return out

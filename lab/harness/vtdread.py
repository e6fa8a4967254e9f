# SPDX-License-Identifier: MIT
"""A second, independent reader of VT-d tables, over a picture of guest memory.

It shares no code with the engine and is written from the specification's tables (Intel VT-d: root and context
entries of legacy and scalable mode, PASID directory and table entries, second- and first-stage paging entries), so
that the lab can say what every requester could reach before and after the takeover without believing the program
it judges. What the hardware would refuse (reserved bits, widths, pointers to nothing) maps nothing here either.
"""
import struct
from dataclasses import dataclass, field, replace
from typing import Callable

from .paths import LabError

Read = Callable[[int, int], bytes | None]
PAGE = 4096
ADDRESS = 0x000F_FFFF_FFFF_F000
# Table pages read under one root, each time counted: self-similar tables have few pages and no end.
MAX_TABLES = 10_000
# PASIDs of a directory that are written out for every requester that uses it; of larger ones, for the first.
MAX_EXPANDED = 64
SECOND, FIRST, NESTED, PASS_THROUGH, BROKEN = "second", "first", "nested", "pass-through", "broken"
PGTT = {1: FIRST, 2: SECOND, 3: NESTED, 4: PASS_THROUGH}


def _bits(high: int, low: int) -> int:
    return (1 << high + 1) - (1 << low) if high >= low else 0


@dataclass(frozen=True)
class Rules:
    """What the unit takes for sound (its capability registers, the DMAR table), and where a table may lie."""

    width: int = 52  # host address width
    cap: int = 0xF << 34 | 0xE << 8 | 1 << 56  # all page sizes, 3 to 5 levels
    ecap: int = 1 << 2 | 1 << 6 | 1 << 7 | 1 << 49  # device TLBs, pass-through, snoop control, RID_PASID
    known: Callable[[int], bool] = lambda address: True

    @property
    def beyond(self) -> int:
        """The address bits of an entry that this machine does not have."""
        return _bits(51, self.width)

    def has_levels(self, levels: int) -> bool:
        """Tells whether CAP.SAGAW has a table of that many levels."""
        return 3 <= levels <= 5 and bool(self.cap >> 8 + levels - 2 & 1)

    def page_size(self, level: int, first: bool) -> bool:
        """Tells whether an entry of that level (2: 2 MiB, 3: 1 GiB) may be a leaf."""
        if first:
            return level == 2 or (level == 3 and bool(self.cap >> 56 & 1))
        return level in (2, 3) and bool(self.cap >> 34 + level - 2 & 1)


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
    """One present context entry, or in scalable mode one present PASID-table entry below one."""

    source: int  # requester id, PASID above it (<< 16)
    kind: str  # SECOND, FIRST, NESTED, PASS_THROUGH, BROKEN
    levels: int
    domain: int
    table: int
    faults_off: bool
    address: int  # of the entry


@dataclass
class Tables:
    """Every requester's view under one root table. Pages of the tables themselves are collected in pages."""

    read: Read
    root: int
    scalable: bool = False
    rules: Rules = Rules()
    contexts: dict[int, Context] = field(default_factory=dict)
    rid_pasid: dict[int, int] = field(default_factory=dict)  # requester id -> PASID of requests without one
    pages: set[int] = field(default_factory=set)
    structure: set[int] = field(default_factory=set)  # pages of all but the paging structures
    broken_halves: set[int] = field(default_factory=set)  # of buses: requester id >> 7
    shared: dict[int, int] = field(default_factory=dict)  # requester id -> the one whose large directory it shares
    _directories: dict[int, tuple[int, list[Context]]] = field(default_factory=dict)  # by a context's first word
    _silent: set[int] = field(default_factory=set)
    _leaves: dict[tuple[int, int, str], list[Leaf]] = field(default_factory=dict)
    _reads: int = 0

    def __post_init__(self) -> None:
        if not self.rules.known(self.root):
            self.broken_halves = set(range(512))
            return
        words = self._words(self.root)
        for bus in range(256):
            low, high = words[2 * bus : 2 * bus + 2]
            if self.scalable:
                self._half(bus << 8, low)
                self._half(bus << 8 | 0x80, high)
            elif low & 1:
                if low & (_bits(11, 1) | _bits(63, self.rules.width)) or high or not self.rules.known(low & ADDRESS):
                    self.broken_halves |= {2 * bus, 2 * bus + 1}
                    continue
                self._legacy_bus(bus, low & ADDRESS)
        self.structure = set(self.pages)

    def _words(self, address: int) -> tuple[int, ...]:
        self._reads += 1
        if self._reads > MAX_TABLES:
            raise LabError(f"more than {MAX_TABLES} table pages: a table that leads back to itself?")
        raw = self.read(address, PAGE)
        if raw is None:
            return (0,) * 512
        self.pages.add(address)
        return struct.unpack("<512Q", raw)

    # --- legacy mode -----------------------------------------------------------------------------------------
    def _legacy_bus(self, bus: int, table: int) -> None:
        words = self._words(table)
        for devfn in range(256):
            lo, hi = words[2 * devfn : 2 * devfn + 2]
            source = bus << 8 | devfn
            if lo & 2:
                self._silent.add(source)
            if lo & 1:
                entry = Context(source, self._legacy_kind(lo, hi), (hi & 7) + 2, hi >> 8 & 0xFFFF, lo & ADDRESS,
                                bool(lo & 2), table + 16 * devfn)
                self.contexts[source] = entry

    def _legacy_kind(self, lo: int, hi: int) -> str:
        kind, rules = lo >> 2 & 3, self.rules
        if lo & (_bits(11, 4) | _bits(63, rules.width)) or hi & (1 << 7 | _bits(63, 24)):
            return BROKEN
        if kind == 3 or not rules.has_levels((hi & 7) + 2):
            return BROKEN
        if kind == 2:
            return PASS_THROUGH if rules.ecap >> 6 & 1 else BROKEN
        if kind == 1 and not rules.ecap >> 2 & 1:
            return BROKEN
        return SECOND if rules.known(lo & ADDRESS) else BROKEN

    # --- scalable mode ---------------------------------------------------------------------------------------
    def _half(self, first: int, entry: int) -> None:
        if not entry & 1:
            return
        if entry & (_bits(11, 1) | _bits(63, self.rules.width)) or not self.rules.known(entry & ADDRESS):
            self.broken_halves.add(first >> 7)
            return
        table = entry & ADDRESS
        words = self._words(table)
        for number in range(128):
            entry_words = words[4 * number : 4 * number + 4]
            if entry_words[0] & 2:
                self._silent.add(first | number)
            if entry_words[0] & 1:
                self._scalable_context(first | number, entry_words, table + 32 * number)

    def _scalable_context(self, rid: int, words: tuple[int, ...], address: int) -> None:
        lo, hi, *rest = words
        wrong = lo & (_bits(8, 5) | _bits(63, self.rules.width)) or hi & _bits(63, 21) or any(rest)
        wrong = wrong or hi & 0xFFFFF and not self.rules.ecap >> 49 & 1  # no RPS: the field is reserved
        if wrong or not self.rules.known(lo & ADDRESS):
            self.contexts[rid] = Context(rid, BROKEN, 0, 0, lo & ADDRESS, bool(lo & 2), address)
            return
        self.rid_pasid[rid] = hi & 0xFFFFF
        if lo not in self._directories:
            self._directories[lo] = rid, list(self._directory(lo))
        first, entries = self._directories[lo]
        if first != rid and len(entries) > MAX_EXPANDED:
            self.shared[rid] = first
            return
        for entry in entries:
            source = entry.source << 16 | rid
            self.contexts[source] = replace(entry, source=source)

    def _directory(self, lo: int):
        """Yields the present entries below a PASID directory, with the PASID for their source."""
        count = 1 << (lo >> 9 & 7) + 7
        for at in range(0, 8 * count, PAGE):
            if not self.rules.known((lo & ADDRESS) + at):
                break
            for index, entry in enumerate(self._words((lo & ADDRESS) + at)[: count - at // 8]):
                if entry & 1:
                    yield from self._pasid_table((at // 8 + index) << 6, entry, bool((lo | entry) & 2))

    def _pasid_table(self, first: int, entry: int, faults_off: bool):
        table = entry & ADDRESS
        if entry & (_bits(11, 2) | _bits(63, self.rules.width)) or not self.rules.known(table):
            yield Context(first, BROKEN, 0, 0, table, faults_off, table)
            return
        words = self._words(table)
        for number in range(64):
            q = words[8 * number : 8 * number + 8]
            if q[0] & 1:
                yield self._pasid_entry(first | number, q, faults_off, table + 64 * number)

    def _pasid_entry(self, source: int, q: tuple[int, ...], faults_off: bool, address: int) -> Context:
        kind = PGTT.get(q[0] >> 6 & 7, BROKEN)
        levels, table = (q[0] >> 2 & 7) + 2, q[0] & ADDRESS
        if kind == FIRST:
            levels, table = 4 + (q[2] >> 2 & 3), q[2] & ADDRESS
            if levels > 5 or q[2] & _bits(63, self.rules.width):
                kind = BROKEN
        elif not self.rules.has_levels(levels) or q[0] & _bits(63, self.rules.width):
            kind = BROKEN
        if any(q[3:]) or (kind in (FIRST, SECOND) and not self.rules.known(table)):
            kind = BROKEN
        return Context(source, kind, levels, q[1] & 0xFFFF, table, faults_off or bool(q[0] & 2), address)

    # --- paging structures -----------------------------------------------------------------------------------
    def _second(self, entry: int, level: int) -> tuple[bool, int, int] | None:
        """Returns (is a leaf, address, rights) of a second-stage entry; None when it maps nothing."""
        rules, rights = self.rules, entry & 3
        large = level > 1 and bool(entry >> 7 & 1)
        wrong = rules.beyond | (0 if rules.ecap >> 2 & 1 else 1 << 62)
        if not (level == 1 or large) or not rules.ecap >> 7 & 1:
            wrong |= 1 << 11
        if large:
            wrong |= _bits(11 + 9 * (level - 1), 12)
        if not rights or entry & wrong or (large and not rules.page_size(level, False)):
            return None
        return level == 1 or large, entry & ADDRESS, rights

    def _first(self, entry: int, level: int) -> tuple[bool, int, int] | None:
        """The same of a first-stage entry, for a request without privilege: the CPU's format, bit 2 must be set."""
        large = level > 1 and bool(entry >> 7 & 1)
        wrong = self.rules.beyond | (_bits(11 + 9 * (level - 1), 13) if large else 0)
        if entry & 5 != 5 or entry & wrong or (large and not self.rules.page_size(level, True)):
            return None
        return level == 1 or large, entry & ADDRESS & ~(1 << 12 if large else 0), 1 | entry & 2

    def _decoded(self, first: bool, entry: int, level: int) -> tuple[bool, int, int] | None:
        found = self._first(entry, level) if first else self._second(entry, level)
        return None if found and not found[0] and not self.rules.known(found[1]) else found

    def entry(self, source: int) -> Context | None:
        """Returns the entry of a requester and a PASID (<< 16)."""
        rid = source & 0xFFFF
        return self.contexts.get(source - rid + self.shared.get(rid, rid))

    def leaves(self, source: int) -> list[Leaf]:
        """Returns the requester's mappings by rising IOVA; empty when absent, blocked, broken or pass-through."""
        entry = self.entry(source)
        if entry is None or entry.kind not in (FIRST, SECOND):
            return []
        key = (entry.table, entry.levels, entry.kind)
        if key not in self._leaves:
            self._leaves[key] = list(self._walk(entry.kind == FIRST, entry.table, entry.levels, 0, 3))
        return self._leaves[key]

    def _walk(self, first: bool, table: int, level: int, base: int, allowed: int):
        span = PAGE << 9 * (level - 1)
        for index, entry in enumerate(self._words(table)):
            found = self._decoded(first, entry, level) if entry else None
            rights = found[2] & allowed if found else 0
            if not rights:
                continue
            iova = base + index * span
            if found[0]:
                yield Leaf(iova, span, found[1], bool(rights & 1), bool(rights & 2))
            else:
                yield from self._walk(first, found[1], level - 1, iova, rights)

    def entries(self, source: int, iova: int) -> list[tuple[int, int, int]]:
        """Returns (level, address of the entry, its value) of every entry that the translation of an IOVA reads."""
        entry, out = self.entry(self.named(source)), []
        if entry is None or entry.kind not in (FIRST, SECOND) or iova >> 12 + 9 * entry.levels:
            return out
        table = entry.table
        for level in range(entry.levels, 0, -1):
            at = table + 8 * (iova >> 12 + 9 * (level - 1) & 511)
            raw = self.read(at, 8)
            value = struct.unpack("<Q", raw)[0] if raw else 0
            out.append((level, at, value))
            found = self._decoded(entry.kind == FIRST, value, level)
            if not found or found[0]:
                break
            table = found[1]
        return out

    def named(self, source: int) -> int:
        """Returns the key of a requester's view; requests without a PASID have one that the context names."""
        return self.rid_pasid.get(source, 0) << 16 | source if source < 1 << 16 else source

    def translate(self, source: int, iova: int) -> tuple[int, bool, bool] | None:
        """Returns (physical address, read, write) for one IOVA of a requester; None when not mapped.

        Walks from the top, one entry a level, so it is affordable on tables that map everything.
        """
        entry = self.entry(self.named(source))
        if entry is None:
            return None
        if entry.kind == PASS_THROUGH:
            return iova, True, True
        rights = 3
        for level, _, value in self.entries(source, iova):
            found = self._decoded(entry.kind == FIRST, value, level)
            rights &= found[2] if found else 0
            if not rights:
                return None
            if found[0]:
                span = PAGE << 9 * (level - 1)
                return (found[1] & ~(span - 1)) + (iova & span - 1), bool(rights & 1), bool(rights & 2)
        return None

    def silent(self, source: int) -> bool:
        """Tells whether what the requester is refused goes unreported."""
        entry = self.entry(self.named(source))
        return entry.faults_off if entry else source & 0xFFFF in self._silent

    def mode(self) -> str:
        """Returns what kind of tables these are, as a person says it."""
        if not self.scalable:
            return "legacy"
        kinds = {entry.kind for entry in self.contexts.values()}
        return "scalable, first stage" if FIRST in kinds else "scalable, second stage"

    def add_identity(self, sources: list[int]) -> None:
        """Says that requesters were not translated at all: the unit was off."""
        for source in sources:
            self.contexts[source] = Context(source, PASS_THROUGH, 0, 0, 0, False, 0)

    def passes_through(self) -> bool:
        """Tells whether some requester could write everything."""
        return any(entry.kind == PASS_THROUGH for entry in self.contexts.values())

    def writable_pages(self) -> set[int]:
        """Returns every physical page that some translated requester may write (pass-through ones left out)."""
        out: set[int] = set()
        for source in self.contexts:
            for leaf in self.leaves(source):
                if leaf.write:
                    out.update(range(leaf.target, leaf.target + leaf.size, PAGE))
        return out

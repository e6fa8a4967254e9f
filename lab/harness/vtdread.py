# SPDX-License-Identifier: MIT
"""A second, independent reader of VT-d tables, over a picture of guest memory.

It shares no code with the engine and is written from the specification's tables (Intel VT-d: root and context
entries of legacy and scalable mode, PASID directory and table entries, second- and first-stage paging entries), so
that the lab can say what every requester could reach before and after the takeover without believing the program
it judges. What the hardware would refuse (reserved bits, widths, pointers to nothing) maps nothing here either.
"""
from dataclasses import dataclass, field, replace
from typing import Callable

from .views import (ADDRESS, BROKEN, FIRST, NESTED, PAGE, PASS_THROUGH, SECOND, Context, Leaf, Views)
from .views import bits as _bits

# PASIDs of a directory that are written out for every requester that uses it; of larger ones, for the first.
MAX_EXPANDED = 64
PGTT = {1: FIRST, 2: SECOND, 3: NESTED, 4: PASS_THROUGH}


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


@dataclass
class Tables(Views):
    """Every requester's view under one root table."""

    scalable: bool = False
    rules: Rules = Rules()
    _directories: dict[int, tuple[int, list[Context]]] = field(default_factory=dict)  # by a context's first word

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

    def walk(self, entry: Context):
        """Yields what an entry maps."""
        yield from self._below(entry.kind == FIRST, entry.table, entry.levels, 0, 3)

    def _below(self, first: bool, table: int, level: int, base: int, allowed: int):
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
                yield from self._below(first, found[1], level - 1, iova, rights)

    def entries(self, source: int, iova: int) -> list[tuple[int, int, int]]:
        """Returns (level, address of the entry, its value) of every entry that the translation of an IOVA reads."""
        entry = self.entry(self.named(source))
        return self._way(entry, iova) if entry and entry.kind in (FIRST, SECOND) else []

    def _way(self, entry: Context, iova: int) -> list[tuple[int, int, int]]:
        out: list[tuple[int, int, int]] = []
        if iova >> 12 + 9 * entry.levels:
            return out
        table = entry.table
        for level in range(entry.levels, 0, -1):
            at = table + 8 * (iova >> 12 + 9 * (level - 1) & 511)
            value = self.word(at)
            out.append((level, at, value))
            found = self._decoded(entry.kind == FIRST, value, level)
            if not found or found[0]:
                break
            table = found[1]
        return out

    def follow(self, entry: Context, iova: int) -> tuple[int, int, int] | None:
        """Returns (address, size, rights) of the page that an IOVA is in; None when nothing is mapped."""
        rights = 3
        for level, _, value in self._way(entry, iova):
            found = self._decoded(entry.kind == FIRST, value, level)
            rights &= found[2] if found else 0
            if not rights:
                return None
            if found[0]:
                span = PAGE << 9 * (level - 1)
                return found[1] & ~(span - 1), span, rights
        return None

    def mode(self) -> str:
        """Returns what kind of tables these are, as a person says it."""
        if not self.scalable:
            return "legacy"
        kinds = {entry.kind for entry in self.contexts.values()}
        return "scalable, first stage" if FIRST in kinds else "scalable, second stage"

# SPDX-License-Identifier: MIT
"""An independent reader of AMD's tables, over a picture of guest memory.

It shares no code with the engine and is written from the specification's tables (AMD I/O Virtualization Technology,
48882: device table entries, I/O page tables for host translations), so that the lab can say what every requester could
reach before and after the takeover without believing the program it judges. What the hardware would refuse (reserved
bits, modes and levels that do not exist, pointers to nothing) maps nothing here either. Guest tables are not read: no
QEMU has them. An entry that has them for requests without PASID (GIOV) is broken.
"""
from dataclasses import dataclass
from typing import Callable

from .views import ADDRESS, BLOCKED, BROKEN, PAGE, PASS_THROUGH, SECOND, Context, Leaf, Views, bits

ENTRY = 32
V, TV, GIOV, GV = 1 << 0, 1 << 1, 1 << 54, 1 << 55
SA = 1 << 34  # of the second word: nothing that is refused is logged
RESERVED = (bits(6, 2), 0, bits(53, 52), bits(14, 0) | bits(52, 48))
PTE_RESERVED = bits(56, 52)
SIZED = 7  # NextLevel of a page whose size is in its address
NO_LEAF = (4, 6)  # pages of 512 GiB are broken in hardware, and level 6 has none
SAME = 1 | 7 << 9 | ADDRESS | PTE_RESERVED | 3 << 61  # what all entries of one page have in common


@dataclass(frozen=True)
class AmdRules:
    """Where a table may lie."""

    known: Callable[[int], bool] = lambda address: True


@dataclass
class AmdTables(Views):
    """Every requester's view under one device table."""

    length: int = 0  # bytes of the device table
    rules: AmdRules = AmdRules()

    def __post_init__(self) -> None:
        if not all(self.rules.known(at) for at in range(self.root, self.root + self.length, PAGE)):
            self.broken_halves = set(range(512))
            return
        for at in range(0, self.length, PAGE):
            words = self._words(self.root + at)
            for number in range(PAGE // ENTRY):
                rid = at // ENTRY + number
                self.contexts[rid] = self._entry(rid, words[4 * number : 4 * number + 4])
        self.structure = set(self.pages)

    def _entry(self, rid: int, words: tuple[int, ...]) -> Context:
        low, levels, rights = words[0], words[0] >> 9 & 7, words[0] >> 61 & 3
        entry = Context(rid, SECOND, levels, words[1] & 0xFFFF, low & ADDRESS, bool(words[1] & SA),
                        self.root + ENTRY * rid, rights)
        if not low & V:  # nothing else of the entry is about DMA
            entry.kind, entry.rights, entry.named, entry.faults_off = PASS_THROUGH, 3, False, False
        elif not low & TV or (not levels and not rights):  # nothing passes, whatever else it says
            entry.kind, entry.named = BLOCKED, False
        elif any(word & wrong for word, wrong in zip(words, RESERVED)) or levels == 7 or (low & GV and low & GIOV):
            entry.kind = BROKEN
        elif not levels:
            entry.kind = PASS_THROUGH
        elif not self.rules.known(entry.table):
            entry.kind = BROKEN
        if entry.kind in (PASS_THROUGH, BLOCKED):
            entry.levels = entry.table = 0
        return entry

    # --- page tables -----------------------------------------------------------------------------------------
    def _decoded(self, value: int, level: int) -> tuple[int, int, int] | None:
        """Returns (level of the table it leads to; 0: a page, address, size); None when the entry maps nothing."""
        following, address, own = value >> 9 & 7, value & ADDRESS, PAGE << 9 * (level - 1)
        if not value & 1 or value & PTE_RESERVED:
            return None
        if following == SIZED:
            ones = ~(address >> 12) & (address >> 12) + 1  # the lowest clear bit
            size = 2 * PAGE * ones
            return (0, address & -size, size) if own < size < own << 9 else None
        if following == 0:
            return None if level in NO_LEAF or address & own - 1 else (0, address, own)
        if following >= level or not self.rules.known(address):
            return None
        return following, address, 0

    def _alike(self, table: int, index: int, count: int, value: int) -> bool:
        """Tells whether all entries of a page that spans several say the same."""
        first = index & -count
        return all((self.word(table + 8 * n) ^ value) & SAME == 0 for n in range(first, first + count))

    def walk(self, entry: Context):
        """Yields what an entry maps; a page that spans several entries once."""
        yield from self._below(entry.table, entry.levels, 0, entry.rights)

    def _below(self, table: int, level: int, base: int, allowed: int):
        own, skip = PAGE << 9 * (level - 1), 0
        for index, value in enumerate(self._words(table)):
            if skip:
                skip -= 1
                continue
            found, rights = self._decoded(value, level), value >> 61 & allowed
            if not found or not rights:
                continue
            following, address, size = found
            iova = base + index * own
            if following:
                # Levels that are left out have an index of 0: nothing else can be meant.
                yield from self._below(address, following, iova, rights)
                continue
            count = max(1, size // own)
            if self._alike(table, index, count, value):
                skip = count - 1
                yield Leaf(iova, size, address, bool(rights & 1), bool(rights & 2))

    def entries(self, source: int, iova: int) -> list[tuple[int, int, int]]:
        """Returns (level, address of the entry, its value) of every entry that the translation of an IOVA reads."""
        entry = self.entry(source)
        return self._way(entry, iova) if entry and entry.kind == SECOND else []

    def _way(self, entry: Context, iova: int) -> list[tuple[int, int, int]]:
        out: list[tuple[int, int, int]] = []
        table, level = entry.table, entry.levels
        if iova >> 12 + 9 * level:
            return out
        while True:
            at = table + 8 * (iova >> 12 + 9 * (level - 1) & 511)
            out.append((level, at, self.word(at)))
            found = self._decoded(out[-1][2], level)
            if not found or not found[0] or iova & bits(9 * level + 2, 9 * found[0] + 12):
                return out
            level, table, _ = found

    def follow(self, entry: Context, iova: int) -> tuple[int, int, int] | None:
        """Returns (address, size, rights) of the page that an IOVA is in, also without rights; None when there is none."""
        way, rights = self._way(entry, iova), entry.rights
        for _, _, value in way:
            rights &= value >> 61
        level, at, value = way[-1] if way else (0, 0, 0)
        found = self._decoded(value, level) if way else None
        if not found or found[0]:
            return None
        count = max(1, found[2] >> 12 + 9 * (level - 1))
        if not self._alike(at & -PAGE, at % PAGE // 8, count, value):
            return None
        return found[1], found[2], rights

    def reaches(self, rid: int) -> bool:
        """The table may be shorter than there are requesters."""
        return rid * ENTRY < self.length

    def mode(self) -> str:
        """Returns what kind of tables these are, as a person says it."""
        return "AMD, host tables"

# SPDX-License-Identifier: MIT
"""Memory with AMD-Vi tables in it, written from the specification (48882) apart from the C sources: 2.2.2 device table
entries, 2.2.3 host tables ("version 1"), 2.2.6 GCR3 tables and guest tables ("version 2"); and a reader of them, as plain."""
import vtdimage
from vtdimage import PAGE, R, W, rid  # noqa: F401 - for those who use this

V, TV = 1, 2
MIB, GIB = 1 << 20, 1 << 30
ADDRESS = 0xF_FFFF_FFFF_F000
BLOCKED = [V | TV, 0, 0, 0]  # as Linux leaves those that nobody drives


def rights_of(rights):
    """IR and IW of an entry."""
    return (1 << 61 if rights & R else 0) | (1 << 62 if rights & W else 0)


class AmdImage(vtdimage.Image):
    """An image with a device table of so many pages; its entries are BLOCKED until they are set."""

    def __init__(self, pages=2, fill=True, **options):
        super().__init__(**options)
        self.next = -(-self.next // (pages * PAGE)) * pages * PAGE  # at a multiple of its size, as Linux puts it
        self.devtab, self.pages_of_table = self.table(pages), pages
        for source in range(pages * 128 if fill else 0):
            self.entry(source, BLOCKED)

    @property
    def register(self):
        """The device table base register."""
        return self.devtab | self.pages_of_table - 1

    def entry(self, source, words):
        """Sets the entry of a requester; returns where it lies."""
        at = self.devtab + 32 * source
        self.put(at, *words)
        return at

    def host(self, source, tables, domain=1, levels=3, rights=R | W, more=0):
        """A requester with host tables; more: other bits of the second word."""
        return self.entry(source, [V | TV | levels << 9 | tables | rights_of(rights), domain | more, 0, 0])

    def passes(self, source, domain=0, rights=R | W):
        """A requester that is not translated."""
        return self.entry(source, [V | TV | rights_of(rights), domain, 0, 0])

    def guest(self, source, gcr3, domain=1, gcr3_levels=1, guest_levels=4, plain=True, host=(0, 0), rights=R | W):
        """A requester with guest tables; plain: requests without PASID use PASID 0; host: levels and tables."""
        low = V | TV | host[0] << 9 | host[1] | 1 << 55 | plain << 54 | gcr3_levels - 1 << 56 | rights_of(rights)
        low |= (gcr3 >> 12 & 7) << 58
        return self.entry(source, [low, domain | (gcr3 >> 15 & 0xFFFF) << 16 | (gcr3 >> 31) << 43, guest_levels - 4 << 54, 0])

    def gcr3(self, table, pasid, tables, levels=1):
        """The entry of a PASID, tables on the way made; returns where it lies."""
        for depth in range(levels - 1, 0, -1):
            slot = table + 8 * (pasid >> 9 * depth & 511)
            if not self.get(slot) & 1:
                self.put(slot, self.table() | 1)
            table = self.get(slot) & ADDRESS
        self.put(table + 8 * (pasid & 511), tables | 1)
        return table + 8 * (pasid & 511)

    def map_host(self, tables, iova, target, rights=R | W, log2=12, levels=3, skip=()):
        """Maps one page of 2**log2 bytes in host tables; skip: levels (1 is the lowest) left out. Returns the entry."""
        leaf = 1 + (log2 - 12) // 9
        at, level = tables, levels
        while level > leaf:
            below = level - 1
            while below in skip and below > leaf:
                below -= 1
            slot = at + 8 * (iova >> 3 + 9 * level & 511)
            if not self.get(slot) & 1:
                self.put(slot, self.table() | 1 | below << 9 | rights_of(R | W))
            at, level = self.get(slot) & ADDRESS, below
        slot = at + 8 * (iova >> 3 + 9 * level & 511)
        entries = 1 << log2 - (3 + 9 * leaf)
        sized = 7 << 9 | (1 << log2 - 1) - PAGE if entries > 1 else 0
        for number in range(entries):
            self.put(slot + 8 * number, target | sized | 1 | rights_of(rights))
        return slot

    # ---- reading it ------------------------------------------------------------------------------------------
    def word(self, address):
        """A word as the hardware reads it, or None."""
        data = self.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")

    def walk_host(self, root, levels, iova):
        """(address, may read, may write), or a word that says why not."""
        if levels < 6 and iova >> 12 + 9 * levels:
            return "beyond"
        at, level, may_read, may_write = root, levels, True, True
        while True:
            shift = 3 + 9 * level
            entry = self.word(at + 8 * (iova >> shift & 511))
            if entry is None:
                return "unknown"
            if not entry & 1:
                return "not mapped"
            following = entry >> 9 & 7
            may_read, may_write = may_read and bool(entry >> 61 & 1), may_write and bool(entry >> 62 & 1)
            if not may_read and not may_write:
                return "not mapped"
            address = entry & ADDRESS
            if following == 0:
                return address + iova % (1 << shift), may_read, may_write
            if following == 7:
                bits = 12
                while address >> bits & 1:
                    bits += 1
                size = 2 << bits
                return address // size * size + iova % size, may_read, may_write
            if following >= level:
                return "broken"
            if (iova & (1 << shift) - 1) >> 12 + 9 * following:
                return "not mapped"
            at, level = address, following

    def translate(self, source, iova):
        """Requests without PASID, of host tables alone: as walk_host()."""
        at = self.devtab + 32 * source
        if source >= 128 * self.pages_of_table:
            return "blocked"
        low = self.word(at)
        if low is None:
            return "unknown"
        may_read, may_write = bool(low >> 61 & 1), bool(low >> 62 & 1)
        if not low & V:
            return iova, True, True
        if not low & TV or not (may_read or may_write):
            return "blocked"
        levels = low >> 9 & 7
        if levels == 0:
            return iova, may_read, may_write
        found = self.walk_host(low & ADDRESS, levels, iova)
        if isinstance(found, str):
            return found
        may_read, may_write = may_read and found[1], may_write and found[2]
        return (found[0], may_read, may_write) if may_read or may_write else "not mapped"

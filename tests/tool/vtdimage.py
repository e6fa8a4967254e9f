# SPDX-License-Identifier: MIT
"""Memory with VT-d tables in it, and ELF dumps of it, written from the specification's tables apart from the C
sources: Intel VT-d architecture specification, 9.1 root, 9.3 context, 9.4 to 9.6 scalable mode, 9.7 and 9.8 paging."""
import struct

PAGE = 4096
R, W = 1, 2
LEGACY, SCALABLE = 0, 1


def rid(text):
    """The requester id of "BB:DD.F"."""
    bus, rest = text.split(":")
    device, function = rest.split(".")
    return int(bus, 16) << 8 | int(device, 16) << 3 | int(function, 16)


class Image:
    """Physical memory: RAM in ranges, of which pages may be missing, and tables taken from `at` upwards."""

    def __init__(self, ram=((0, 0xA0000), (0x100000, 0x1000000)), at=0x200000):
        self.ram, self.pages, self.missing, self.next = list(ram), {}, set(), at

    def page(self, address):
        """The bytes of the page at an address, to be written."""
        return self.pages.setdefault(address & ~(PAGE - 1), bytearray(PAGE))

    def put(self, address, *words):
        """Writes 64-bit words."""
        for number, word in enumerate(words):
            at = address + 8 * number
            struct.pack_into("<Q", self.page(at), at % PAGE, word)

    def get(self, address):
        """Reads a 64-bit word."""
        return struct.unpack_from("<Q", self.page(address), address % PAGE)[0]

    def table(self, pages=1):
        """An empty page for a table."""
        address = self.next
        self.next += pages * PAGE
        self.page(address)
        return address

    def read(self, address, size):
        """Memory as a judge reads it: bytes within a page, or None where there is none."""
        inside = any(start <= address < end for start, end in self.ram)
        if not inside or address & ~(PAGE - 1) in self.missing:
            return None
        page = self.pages.get(address & ~(PAGE - 1), bytes(PAGE))
        return bytes(page[address % PAGE:address % PAGE + size])

    # ---- VT-d -----------------------------------------------------------------------------------------------
    def context(self, root, source, lo, hi):
        """Legacy mode: the context entry of a requester, its context table made when there is none."""
        entry = root + 16 * (source >> 8)
        if not self.get(entry) & 1:
            self.put(entry, self.table() | 1)
        at = (self.get(entry) & ~0xFFF) + 16 * (source & 255)
        self.put(at, lo, hi)
        return at

    def second_stage(self, root, source, tables, domain=1, levels=4, kind=0):
        """A requester with second-stage tables; kind 2: pass-through."""
        return self.context(root, source, tables | kind << 2 | 1, domain << 8 | levels - 2)

    def function(self, root, source, rid_pasid=0):
        """Scalable mode: the context entry of a function; returns its PASID directory."""
        entry = root + 16 * (source >> 8) + (8 if source & 0x80 else 0)
        if not self.get(entry) & 1:
            self.put(entry, self.table() | 1)
        at = (self.get(entry) & ~0xFFF) + 32 * (source & 127)
        if not self.get(at) & 1:
            self.put(at, self.table() | 1 << 3 | 1, rid_pasid, 0, 0)
        return self.get(at) & ~0xFFF

    def pasid(self, root, source, pasid, words):
        """Scalable mode: the PASID-table entry of a requester."""
        slot = self.function(root, source) + 8 * (pasid >> 6)
        if not self.get(slot) & 1:
            self.put(slot, self.table() | 1)
        at = (self.get(slot) & ~0xFFF) + 64 * (pasid & 63)
        self.put(at, *words)
        return at

    def map(self, tables, iova, target, rights=R | W, level=0, levels=4, first=False):
        """Maps one page of 4 KiB << 9 * level; returns the address of the entry."""
        at = tables
        for depth in range(levels - 1, level, -1):
            slot = at + 8 * (iova >> 12 + 9 * depth & 511)
            if not self.get(slot) & 1:
                self.put(slot, self.table() | (7 if first else 3))
            at = self.get(slot) & 0xF_FFFF_FFFF_F000
        slot = at + 8 * (iova >> 12 + 9 * level & 511)
        bits = (1 | 4 | (rights & W)) if first else rights
        self.put(slot, target | bits | (1 << 7 if level else 0))
        return slot

    # ---- dumps ----------------------------------------------------------------------------------------------
    def held(self):
        """Runs of RAM: (start, end, in the dump)."""
        for start, end in self.ram:
            at = start
            while at < end:
                missing = at in self.missing
                stop = at
                while stop < end and (stop in self.missing) == missing:
                    stop += PAGE
                yield at, stop, not missing
                at = stop

    def elf(self, path, notes=b""):
        """Writes an ELF core; missing pages are RAM that the file does not hold, as makedumpfile -E leaves them."""
        runs = list(self.held())
        count = 1 + len(runs)
        offset = -(-(64 + 56 * count + len(notes)) // PAGE) * PAGE
        head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
        head += struct.pack("<IIQQQQQQ", 4, 0, 64 + 56 * count, 0, 0, len(notes), len(notes), 0)
        places = []
        for start, end, here in runs:
            size = end - start
            virtual = 0xFFFF888000000000 + start
            head += struct.pack("<IIQQQQQQ", 1, 7, offset, virtual, start, size if here else 0, size, 0)
            if here:
                places.append((start, end, offset))
                offset += size
        with open(path, "wb") as file:
            file.write(head + notes)
            for address, page in self.pages.items():
                for start, end, place in places:
                    if start <= address < end:
                        file.seek(place + address - start)
                        file.write(page)
            file.truncate(offset)
        return path

    def raw(self, path):
        """Writes memory as one raw image from address 0 on; holes are zeros."""
        with open(path, "wb") as file:
            for address, page in self.pages.items():
                file.seek(address)
                file.write(page)
            file.truncate(max(end for _, end in self.ram))
        return path

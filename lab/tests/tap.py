# SPDX-License-Identifier: MIT
"""TAP, and tables made by hand for the lab's readers."""
import struct

from harness.vtdread import Rules, Tables

POOL = (0x100000, 0x200000)
RW, R, W, FPD, PS = 3, 1, 2, 2, 0x80
number = failed = 0


def check(name, got, want):
    """One TAP line; the values are shown when they differ."""
    global number, failed
    number += 1
    good = got == want
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
    if not good:
        print(f"#   got {got!r}, want {want!r}")


class Memory(dict):
    """Table pages by address; everything else reads as zeros."""

    def put(self, table, index, value):
        """Writes one 64-bit word."""
        self.setdefault(table, [0] * 512)[index] = value

    def read(self, address, length):
        """The reader's view."""
        pages = range(address & ~4095, address + length, 4096)
        data = b"".join(struct.pack("<512Q", *self[page]) if page in self else bytes(4096) for page in pages)
        return data[address & 4095 : (address & 4095) + length]

    def write(self, address, data):
        """The planter's view."""
        for at in range(0, len(data), 8):
            place = address + at
            self.put(place & ~4095, (place & 4095) // 8, struct.unpack_from("<Q", data, at)[0])


def paging(memory, table, leaves, levels=4, flags=RW):
    """A tree whose lower tables follow its top; leaves are (IOVA below 2 MiB, entry), or (IOVA, entry with PS)."""
    for level in range(1, levels):
        memory.put(table + (level - 1) * 0x1000, 0, (table + level * 0x1000) | flags)
    for iova, entry in leaves:
        if entry & PS:
            memory.put(table + (levels - 2) * 0x1000, iova >> 21, entry)
        else:
            memory.put(table + (levels - 1) * 0x1000, iova >> 12, entry)


def legacy(base, table, leaves, flags=0, domain=7, levels=4, memory=None):
    """Memory with one requester, 00:03.0, with a table below it."""
    memory = Memory() if memory is None else memory
    memory.put(base, 0, (base + 0x1000) | 1)
    memory.put(base + 0x1000, 2 * 0x18, table | 1 | flags)
    memory.put(base + 0x1000, 2 * 0x18 + 1, domain << 8 | (levels - 2))
    paging(memory, table, leaves, levels)
    return memory


def tables(base, table, leaves, rules=Rules(), **more):
    """The reader's view of the same."""
    return Tables(legacy(base, table, leaves, **more).read, base, rules=rules)


def scalable(base, table, leaves, pasids=(0,), flags=0, pgtt=2, levels=4, domain=7, rid=0x98):
    """Memory with one requester of the upper half, 00:13.0, and the same table for each of its PASIDs."""
    memory = Memory()
    context, directory, passes = base + 0x1000, base + 0x2000, base + 0x3000
    memory.put(base, 2 * (rid >> 8) + (rid >> 7 & 1), context | 1)
    at = 4 * (rid & 0x7F)
    memory.put(context, at, directory | 1 | flags)
    memory.put(context, at + 1, pasids[0])
    for pasid in pasids:
        page = passes + (pasid >> 6) * 0x1000
        memory.put(directory, pasid >> 6, page | 1)
        entry = 8 * (pasid & 63)
        first = pgtt == 1
        memory.put(page, entry, (0 if first else table | levels - 2 << 2) | pgtt << 6 | 1 | flags)
        memory.put(page, entry + 1, domain)
        memory.put(page, entry + 2, table | levels - 4 << 2 if first else 0)
    paging(memory, table, leaves, levels, 7 if pgtt == 1 else RW)
    return memory

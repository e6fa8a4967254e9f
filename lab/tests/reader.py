# SPDX-License-Identifier: MIT
"""The table reader, on tables made by hand."""
from harness.views import BROKEN, FIRST, PASS_THROUGH, SECOND
from harness.vtdread import Rules, Tables

from .tap import FPD, POOL, PS, RW, R, check, legacy, scalable, tables

LEAVES = [(0x5000, 0x900000 | RW), (0x6000, 0x901000 | R), (0x200000, 0xA00000 | RW | PS)]


def test_legacy():
    """Legacy mode."""
    old = tables(0x1000, 0x10000, LEAVES)
    check("one requester is found", list(old.contexts), [0x18])
    check("its domain and levels", (old.contexts[0x18].domain, old.contexts[0x18].levels), (7, 4))
    check("a 4-KiB page, read and write", old.translate(0x18, 0x5123), (0x900123, True, True))
    check("a read-only page", old.translate(0x18, 0x6000), (0x901000, True, False))
    check("a 2-MiB page", old.translate(0x18, 0x212345), (0xA12345, True, True))
    check("an address that is not mapped", old.translate(0x18, 0x7000), None)
    check("an address beyond the table's width", old.translate(0x18, 1 << 48), None)
    check("writable pages", len(old.writable_pages()), 513)
    check("leaves and translate agree", [old.translate(0x18, leaf.iova)[0] for leaf in old.leaves(0x18)],
          [leaf.target for leaf in old.leaves(0x18)])
    check("the way to a page", [(level, at) for level, at, _ in old.entries(0x18, 0x5000)],
          [(4, 0x10000), (3, 0x11000), (2, 0x12000), (1, 0x13028)])


def _kind(index, value, rules=Rules()):
    """What a context entry with one word changed is."""
    memory = legacy(0x1000, 0x10000, LEAVES)
    memory.put(0x2000, 2 * 0x18 + index, value)
    return Tables(memory.read, 0x1000, rules=rules).contexts[0x18].kind


def test_refusals():
    """What the hardware refuses maps nothing."""
    inside = Rules(width=39, known=lambda address: address < POOL[0])
    check("a sound context entry", _kind(0, 0x10001, inside), SECOND)
    check("pass-through", _kind(0, 0x10009), PASS_THROUGH)
    check("pass-through that the unit does not have", _kind(0, 0x10009, Rules(ecap=0)), BROKEN)
    check("the reserved type", _kind(0, 0x1000D), BROKEN)
    check("device TLBs without ECAP.DT", _kind(0, 0x10005, Rules(ecap=0)), BROKEN)
    check("reserved bits, low word", _kind(0, 0x10011), BROKEN)
    check("reserved bits, high word", _kind(1, 7 << 8 | 2 | 1 << 24), BROKEN)
    check("an address width that does not exist", _kind(1, 7 << 8 | 7), BROKEN)
    check("a table beyond the host's address width", _kind(0, 1 << 39 | 1, inside), BROKEN)
    check("a table where none may lie", _kind(0, POOL[0] | 1, inside), BROKEN)

    def maps(entry, iova=0x5000, rules=inside):
        return tables(0x1000, 0x10000, [(iova, entry)], rules).translate(0x18, iova) is not None

    check("a sound leaf", maps(0x900003), True)
    check("a leaf with address bits that the machine lacks", maps(0x900003 | 1 << 45), False)
    check("a leaf with bit 62 and no ECAP.DT", maps(0x900003 | 1 << 62, rules=Rules(ecap=0)), False)
    check("a leaf with SNP and no ECAP.SC", maps(0x900803, rules=Rules(ecap=0)), False)
    check("a leaf with SNP and ECAP.SC", maps(0x900803), True)
    check("a misaligned 2-MiB page", maps(0xA01083, 0x200000), False)
    check("a 2-MiB page that the unit does not have", maps(0xA00083, 0x200000, Rules(cap=0xE << 8)), False)

    def below(pointer, rules=inside):
        memory = legacy(0x1000, 0x10000, LEAVES)
        memory.put(0x12000, 0, pointer)
        return len(Tables(memory.read, 0x1000, rules=rules).leaves(0x18))

    check("a next-level pointer to where no table may lie", below(POOL[0] | 3), 1)
    check("a next-level pointer to its own table: page tables as data", below(0x12003), 3)
    memory = legacy(0x1000, 0x10000, LEAVES)
    memory.put(0x1000, 0, 0x2001 | 0xFF0)
    check("a root entry with reserved bits", Tables(memory.read, 0x1000).broken_halves, {0, 1})
    memory.put(0x1000, 0, POOL[0] | 1)
    check("a root entry to where no table may lie", Tables(memory.read, 0x1000, rules=inside).broken_halves, {0, 1})
    nowhere = Tables(memory.read, POOL[0], rules=inside)
    check("a root table where none may lie", (len(nowhere.broken_halves), nowhere.contexts), (512, {}))


def test_scalable():
    """Scalable mode: halves of the root entry, PASIDs, both kinds of stages."""
    memory = scalable(0x1000, 0x10000, LEAVES, pasids=(0, 5, 70))
    old = Tables(memory.read, 0x1000, True)
    check("each PASID is a view of its own", list(old.contexts), [0x98, 5 << 16 | 0x98, 70 << 16 | 0x98])
    check("its kind, levels and domain", [(c.kind, c.levels, c.domain) for c in old.contexts.values()],
          [(SECOND, 4, 7)] * 3)
    check("second stage", old.translate(70 << 16 | 0x98, 0x5123), (0x900123, True, True))
    check("faults are reported", old.silent(0x98), False)
    check("the mode's name", old.mode(), "scalable, second stage")
    memory = scalable(0x1000, 0x10000, LEAVES, pasids=(9,), flags=FPD)
    old = Tables(memory.read, 0x1000, True)
    check("requests without a PASID use RID_PASID", old.translate(0x98, 0x6000), (0x901000, True, False))
    check("faults off", old.silent(0x98), True)
    first = [(0x5000, 0x900007), (0x6000, 0x901005), (0x7000, 0x902003), (0x8000, 0x903006), (0x200000, 0xA00087)]
    old = Tables(scalable(0x1000, 0x10000, first, pgtt=1).read, 0x1000, True)
    check("first stage", (old.contexts[0x98].kind, old.mode()), (FIRST, "scalable, first stage"))
    check("first stage: read and write", old.translate(0x98, 0x5010), (0x900010, True, True))
    check("first stage: read-only", old.translate(0x98, 0x6000), (0x901000, True, False))
    check("first stage: a supervisor page", old.translate(0x98, 0x7000), None)
    check("first stage: not present", old.translate(0x98, 0x8000), None)
    check("first stage: a 2-MiB page", old.translate(0x98, 0x201000), (0xA01000, True, True))
    old = Tables(scalable(0x1000, 0x10000, first, pgtt=1, levels=5).read, 0x1000, True)
    check("first stage of five levels", old.translate(0x98, 0x5010), (0x900010, True, True))
    memory = scalable(0x1000, 0x10000, LEAVES, pgtt=5)
    check("a PASID entry of a type that does not exist", Tables(memory.read, 0x1000, True).contexts[0x98].kind, BROKEN)
    memory = scalable(0x1000, 0x10000, LEAVES)
    memory.put(0x2000, 4 * 0x18, 0x3001 | 0x1E0)
    check("a context entry with reserved bits", Tables(memory.read, 0x1000, True).contexts[0x98].kind, BROKEN)
    memory = scalable(0x1000, 0x10000, LEAVES, pasids=(9,))
    check("RID_PASID on a unit without RPS", Tables(memory.read, 0x1000, True, Rules(ecap=0)).contexts[0x98].kind, BROKEN)
    memory = scalable(0x1000, 0x10000, LEAVES)
    memory.put(0x3000, 0, 0x4001 | 0xFFC)
    check("a directory entry with reserved bits", Tables(memory.read, 0x1000, True).contexts[0x98].kind, BROKEN)


def test_shared_directory():
    """Every requester of a bus with one directory of many PASIDs: what broken requesters may share."""
    memory = scalable(0x1000, 0x10000, LEAVES, pasids=tuple(range(100)), flags=FPD)
    for number in range(128):
        for word in range(2):
            memory.put(0x2000, 4 * number + word, memory[0x2000][4 * 0x18 + word])
    old = Tables(memory.read, 0x1000, True)
    check("its PASIDs are written out once", (len(old.contexts), len(old.shared)), (100, 127))
    check("all use it", old.translate(99 << 16 | 0xB0, 0x5000), (0x900000, True, True))
    check("all are silent", all(old.silent(0x80 | number) for number in range(128)), True)

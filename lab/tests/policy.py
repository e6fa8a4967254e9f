# SPDX-License-Identifier: MIT
"""Planted mistakes in new tables are seen."""
from harness import policycheck
from harness.policycheck import Terms
from harness.vtdread import Rules, Tables

from .tap import FPD, POOL, RW, Memory, R, W, check, legacy, scalable, tables

LEAVES = [(0x5000, 0x900000 | RW), (0x6000, 0x901000 | R), (0x7000, 0x902000 | W)]
FROZEN = [(i, e & ~W) for i, e in LEAVES]
OLD_RULES = Rules(known=lambda address: not POOL[0] <= address < POOL[1])


def new(some, flags=FPD, **more):
    """New tables, in the pool."""
    return tables(0x100000, 0x110000, some, flags=flags, **more)


def problems(policy, old, taken, walls=(POOL,), quarantined=(), broken="block"):
    """The complaints."""
    return policycheck.problems(Terms(policy, list(walls), [], frozenset(quarantined), broken), old, taken)


def test_policies():
    """Each policy, done right and wrong."""
    old = tables(0x1000, 0x10000, LEAVES)

    def wrong(policy, taken, **more):
        return len(problems(policy, old, taken, **more))

    check("a right preserve", wrong("preserve", new(LEAVES)), 0)
    check("a right freeze", wrong("freeze", new(FROZEN)), 0)
    check("a right block", wrong("block", new([])), 0)
    check("a right scratch", wrong("scratch", new([(i, 0x1F0000 | RW) for i, _ in LEAVES])), 0)
    check("freeze that leaves a page writable", wrong("freeze", new(FROZEN[:1] + LEAVES[1:])), 1)
    check("freeze that loses a page", wrong("freeze", new(FROZEN[1:])), 1)
    check("block that maps", wrong("block", new(LEAVES[:1])), 1)
    check("preserve to another page", wrong("preserve", new([(0x5000, 0x905000 | RW)] + LEAVES[1:])), 1)
    check("faults left on", wrong("preserve", new(LEAVES, flags=0)), 1)
    check("another domain id", wrong("preserve", new(LEAVES, domain=8)), 1)
    mixed = [(0x5000, 0x1F0000 | RW), (0x6000, 0x1F1000 | RW), (0x7000, 0x1F0000 | RW)]
    check("scratch to two pages", wrong("scratch", new(mixed)), 2)
    check("scratch outside the pool", wrong("scratch", new([(i, 0x300000 | RW) for i, _ in LEAVES])), 1)
    check("preserve with tables in old memory", wrong("preserve", tables(0x300000, 0x310000, LEAVES, flags=FPD)), 1)
    check("freeze with its root in old memory", wrong("freeze", tables(0x300000, 0x110000, FROZEN, flags=FPD)), 1)
    check("freeze with a tree's top in old memory", wrong("freeze", tables(0x100000, 0x310000, FROZEN, flags=FPD)), 1)
    walls = [POOL, (0x900000, 0x901000)]
    check("a mapping into a wall must be gone", problems("preserve", old, new(LEAVES[1:]), walls), [])
    check("a mapping into a wall that is kept", len(problems("preserve", old, new(LEAVES), walls)), 1)
    seen = {(0x18, 0x5000, 0x900000, 0xFFF): 3, (0x18, 0x6000, 0x950000, 0xFFF): 2}
    check("accesses that went astray",
          list(policycheck.wrong_translations(Terms("freeze", [POOL], []), old, new(FROZEN), seen).values()), [2])


def _empty(flags):
    """New tables in which 00:03.0 is absent, silently or not."""
    memory = Memory()
    memory.put(0x100000, 0, 0x101001)
    memory.put(0x101000, 2 * 0x18, flags)
    return Tables(memory.read, 0x100000)


def test_quarantine():
    """A requester whose old tables are broken keeps nothing."""
    sound = tables(0x1000, 0x10000, LEAVES)
    broken = tables(0x1000, 0x120000, LEAVES, rules=OLD_RULES)  # its page table lies in the pool
    for name, old, lost in (("seen by the reader", broken, ()), ("named by the plant", sound, (0x18,))):
        def wrong(taken, **more):
            return len(problems("freeze", old, taken, quarantined=lost, **more))

        check(f"{name}: nothing mapped", wrong(new([])), 0)
        check(f"{name}: absent and silent", wrong(_empty(FPD)), 0)
        check(f"{name}: absent and reported", wrong(_empty(0)), 1)
        check(f"{name}: still mapped", wrong(new(FROZEN)), 1)
        check(f"{name}: nothing mapped, but faults reported", wrong(new([], flags=0)), 1)
        memory = legacy(0x100000, 0x110000, [], flags=FPD)
        memory.put(0x112000, policycheck.SAMPLE >> 21, 0x115000 | RW)
        memory.put(0x115000, 0, 0x1F0000 | RW)
        scratch = Tables(memory.read, 0x100000)
        check(f"{name}: scratch wanted and given", wrong(scratch, broken="scratch"), 0)
        check(f"{name}: scratch wanted, blocked", wrong(new([]), broken="scratch"), 1)
        check(f"{name}: block wanted, scratch given", wrong(scratch), 1)
    seen = {(0x18, 0x5000, 0x900000, 0xFFF): 3}
    terms = Terms("freeze", [POOL], [], frozenset({0x18}))
    check("an access of a quarantined requester is astray", list(policycheck.wrong_translations(terms, sound, new([]), seen).values()), [3])


def test_scalable():
    """Each PASID entry is judged on its own."""
    old = Tables(scalable(0x1000, 0x10000, LEAVES, pasids=(0, 5)).read, 0x1000, True)

    def wrong(**more):
        memory = scalable(0x100000, 0x110000, more.pop("leaves", FROZEN), **{"flags": FPD, "pasids": (0, 5), **more})
        return len(problems("freeze", old, Tables(memory.read, 0x100000, True)))

    check("scalable: a right freeze", wrong(), 0)
    check("scalable: a PASID that is lost", wrong(pasids=(0,)), 1)
    check("scalable: another RID_PASID", wrong(pasids=(5, 0)), 1)
    check("scalable: a writable page", wrong(leaves=LEAVES), 2)
    check("scalable: faults left on", wrong(flags=0), 2)
    check("scalable: another domain id", wrong(domain=9), 2)


def test_window():
    """The crash window: identity of the capture kernel's memory, over the policy, for everybody."""
    old = tables(0x1000, 0x10000, LEAVES)
    window = ((0x150000, 0x158000),)
    identity = [(page, page | RW) for page in range(0x150000, 0x158000, 0x1000)]

    def wrong(leaves):
        terms = Terms("freeze", [POOL], [], window=window, only=frozenset({0x18}))
        return len(policycheck.problems(terms, old, new(leaves)))

    check("window: there, over a right freeze", wrong(FROZEN + identity), 0)
    check("window: a page is missing", wrong(FROZEN + identity[:-1]), 1)
    check("window: read-only", wrong(FROZEN + [(i, e & ~W) for i, e in identity]), 2)
    check("window: wider than it may be", wrong(FROZEN + identity + [(0x158000, 0x158000 | RW)]), 1)
    everybody = Terms("freeze", [POOL], [], window=window)
    check("window: others lack it", len(policycheck.problems(everybody, old, new(FROZEN + identity))), 1)
    elsewhere = Terms("freeze", [POOL], [], window=window, only=frozenset({0x20}))
    check("window: not for this one", len(policycheck.problems(elsewhere, old, new(FROZEN + identity))), 1)
    check("window: not asked for", len(problems("freeze", old, new(FROZEN + identity))), 1)
    off = Tables(lambda address, length: None, 0)
    off.add_identity([0x18])
    everything = [(page, page | R) for page in range(0, 0x100000, 0x1000)]
    terms = Terms("freeze", [POOL], [(0, 0x100000)])
    check("raised: identity, read-only", policycheck.problems(terms, off, new(everything)), [])
    check("raised: a page is missing", len(policycheck.problems(terms, off, new(everything[:-1]))), 1)
    check("raised: writable", len(policycheck.problems(terms, off, new([(i, e | W) for i, e in everything[:1]]))) > 0, True)


def test_lost_bus():
    """A bus whose root entry is broken: everybody on it is quarantined, the unknown ones too."""
    memory = legacy(0x1000, 0x10000, LEAVES)
    memory.put(0x1000, 0, POOL[0] | 1)
    old = Tables(memory.read, 0x1000, rules=OLD_RULES)
    memory = legacy(0x100000, 0x110000, [], flags=FPD)
    memory.put(0x112000, policycheck.SAMPLE >> 21, 0x115000 | RW)
    memory.put(0x115000, 0, 0x1F0000 | RW)
    for number in range(256):
        memory.put(0x101000, 2 * number, memory[0x101000][2 * 0x18])
        memory.put(0x101000, 2 * number + 1, memory[0x101000][2 * 0x18 + 1])
    scratch = Tables(memory.read, 0x100000)
    check("lost bus: all to scratch", problems("freeze", old, scratch, quarantined=(0x18,), broken="scratch"), [])
    check("lost bus: scratch where block is wanted", len(problems("freeze", old, scratch, quarantined=(0x18,))) > 1, True)
    memory.put(0x101000, 2 * 0x40, 0x110001)
    loud = Tables(memory.read, 0x100000)
    check("lost bus: one is heard", len(problems("freeze", old, loud, quarantined=(0x18,), broken="scratch")), 1)

# SPDX-License-Identifier: MIT
"""AMD-Vi: the reader, the plants, the judgement, the trace, on tables made by hand."""
from collections import Counter

from harness import cases, plant, planter, planter_amd, policycheck
from harness.amdread import AmdRules, AmdTables
from harness.kind_amd import Amd
from harness.policycheck import Terms
from harness.views import BLOCKED, BROKEN, PASS_THROUGH, SECOND

from .tap import POOL, Memory, check

IR, IW, SA = 1 << 61, 1 << 62, 1 << 34
IRW = IR | IW
VICTIM, OTHER = 0x18, 0x20
CRASH, RAM = (0x400000, 0xC00000), (0x1000, 0x1000000)
LEAVES = [(0x5000, 0x900001 | IRW), (0x6000, 0x901001 | IR), (0x200000, 0xA00001 | IRW)]
FROZEN = [(iova, entry & ~IW) for iova, entry in LEAVES]
# A page of 8 KiB and one of 4 MiB: NextLevel 7, the size in the low bits of the address, in each entry it spans.
SIZED = [(0x8000, 0x904001 | 7 << 9 | IRW), (0x9000, 0x904001 | 7 << 9 | IRW),
         (0x400000, 0xDFF001 | 7 << 9 | IRW), (0x600000, 0xDFF001 | 7 << 9 | IRW)]


def amd(base, table, leaves, low=IRW, second=7, memory=None, rid=VICTIM):
    """A device table of one page at base, all entries blocked, but that of one requester with three levels."""
    if memory is None:
        memory = Memory()
        for number in range(128):
            memory.put(base, 4 * number, 1)
            memory.put(base, 4 * number + 1, second & SA)
    memory.put(base, 4 * rid, table | 3 << 9 | 3 | low)
    memory.put(base, 4 * rid + 1, second)
    memory.put(table, 0, table + 0x1000 | 2 << 9 | 1 | IRW)
    memory.put(table + 0x1000, 0, table + 0x2000 | 1 << 9 | 1 | IRW)
    for iova, entry in leaves:
        large = iova >= 0x200000
        memory.put(table + (0x1000 if large else 0x2000), iova >> (21 if large else 12), entry)
    return memory


def tables(memory, base=0x1000, rules=AmdRules()):
    """The reader's view."""
    return AmdTables(memory.read, base, 4096, rules)


def test_reader():
    """Device table entries and page tables."""
    old = tables(amd(0x1000, 0x10000, LEAVES + SIZED))
    one = old.contexts[VICTIM]
    check("amd: one requester is named", [c.source for c in old.listed()], [VICTIM])
    check("amd: its kind, levels and domain", (one.kind, one.levels, one.domain, one.address), (SECOND, 3, 7, 0x1000 + 32 * VICTIM))
    check("amd: a 4-KiB page", old.translate(VICTIM, 0x5123), (0x900123, True, True))
    check("amd: a read-only page", old.translate(VICTIM, 0x6000), (0x901000, True, False))
    check("amd: a 2-MiB page", old.translate(VICTIM, 0x212345), (0xA12345, True, True))
    check("amd: an 8-KiB page, its second half", old.translate(VICTIM, 0x9010), (0x905010, True, True))
    check("amd: a 4-MiB page, its second half", old.translate(VICTIM, 0x612345), (0xE12345, True, True))
    nobody = tables(amd(0x1000, 0x10000, [(iova, entry & ~IRW) for iova, entry in LEAVES + SIZED]))
    check("amd: the size of a page that lets nothing pass", [nobody.page(VICTIM, at)[1] for at in (0x5000, 0x9010, 0x612345)],
          [0x1000, 0x2000, 0x400000])
    check("amd: nothing is mapped", (old.translate(VICTIM, 0x7000), old.translate(VICTIM, 1 << 39)), (None, None))
    check("amd: leaves", [(leaf.iova, leaf.size) for leaf in old.leaves(VICTIM)],
          [(0x5000, 0x1000), (0x6000, 0x1000), (0x8000, 0x2000), (0x200000, 0x200000), (0x400000, 0x400000)])
    check("amd: leaves and translate agree", [old.translate(VICTIM, leaf.iova)[0] for leaf in old.leaves(VICTIM)],
          [leaf.target for leaf in old.leaves(VICTIM)])
    check("amd: the way to a page", [(level, at) for level, at, _ in old.entries(VICTIM, 0x5000)],
          [(3, 0x10000), (2, 0x11000), (1, 0x12028)])
    check("amd: others are blocked", (old.contexts[OTHER].kind, old.translate(OTHER, 0x5000)), (BLOCKED, None))
    frozen = tables(amd(0x1000, 0x10000, LEAVES, low=IR))
    check("amd: the entry's rights count", frozen.translate(VICTIM, 0x5000), (0x900000, True, False))
    check("amd: nothing is writable", (len(frozen.writable_pages()), len(old.writable_pages())), (0, 1 + 512 + 2 + 1024))
    check("amd: beyond the table", (old.reaches(127), old.reaches(128)), (True, False))


def test_refusals():
    """What the hardware refuses maps nothing."""
    inside = AmdRules(known=lambda address: address < POOL[0])

    def entry(*words, rules=inside):
        memory = amd(0x1000, 0x10000, LEAVES)
        for number, word in enumerate(words):
            memory.put(0x1000, 4 * VICTIM + number, word)
        return tables(memory, rules=rules).contexts[VICTIM]

    good = 0x10000 | 3 << 9 | 3 | IRW
    check("amd: a sound entry", entry(good).kind, SECOND)
    check("amd: V=0 passes through, and is nobody's", (entry(good & ~1).kind, entry(good & ~1).named), (PASS_THROUGH, False))
    check("amd: TV=0", entry(good & ~2).kind, BLOCKED)
    check("amd: mode 0 with a right", (entry(3 | IR).kind, entry(3 | IR).rights), (PASS_THROUGH, 1))
    check("amd: mode 0 without rights", entry(3).kind, BLOCKED)
    check("amd: mode 7", entry(good | 7 << 9).kind, BROKEN)
    check("amd: reserved bits", [entry(good | 4).kind, entry(good, 7, 1 << 52).kind, entry(good, 7, 0, 1).kind], [BROKEN] * 3)
    check("amd: guest translation, of plain requests and not", (entry(good | 3 << 54).kind, entry(good | 1 << 55).kind), (BROKEN, SECOND))
    check("amd: a table where none may lie", entry(POOL[0] | 3 << 9 | 3 | IRW).kind, BROKEN)
    check("amd: a device table where none may lie", len(tables(Memory(), POOL[0], inside).broken_halves), 512)

    def leaf(value, iova=0x5000):
        return tables(amd(0x1000, 0x10000, [(iova, value)]), rules=inside).translate(VICTIM, iova)

    check("amd: not present", leaf(0x900000 | IRW), None)
    check("amd: reserved bits in a page's entry", leaf(0x900001 | IRW | 1 << 52), None)
    check("amd: no rights", leaf(0x900001), None)
    check("amd: a misaligned 2-MiB page", leaf(0xA01001 | IRW, 0x200000), None)
    check("amd: a size that is not this level's", leaf(0x900001 | 7 << 9 | IRW, 0x200000), None)
    check("amd: a page whose entries differ", tables(amd(0x1000, 0x10000, SIZED[:1])).translate(VICTIM, 0x8000), None)
    check("amd: a level that does not go down", leaf(0x900001 | 1 << 9 | IRW), None)
    check("amd: a next-level pointer to where no table may lie", leaf(POOL[0] | 1 | 1 << 9 | IRW, 0x200000), None)
    memory = amd(0x1000, 0x10000, LEAVES)
    memory.put(0x10000, 0, 0x12001 | 1 << 9 | IRW)
    skipping = tables(memory)
    check("amd: a level left out", (skipping.translate(VICTIM, 0x5000), skipping.translate(VICTIM, 0x205000)), ((0x900000, True, True), None))


def test_policies():
    """The judgement, done right and wrong."""
    old = tables(amd(0x1000, 0x10000, LEAVES))

    def wrong(policy, leaves, low=IRW, second=7 | SA, table=0x110000):
        memory = amd(0x100000, table, leaves, low, second)
        return len(policycheck.problems(Terms(policy, [POOL], []), old, tables(memory, 0x100000)))

    check("amd: a right preserve", wrong("preserve", LEAVES), 0)
    check("amd: a right freeze, by the entry's rights and the old tree", wrong("freeze", LEAVES, low=IR, table=0x300000), 0)
    check("amd: a right freeze, by a copy", wrong("freeze", FROZEN), 0)
    check("amd: freeze with a writable entry over the old tree", wrong("freeze", FROZEN, table=0x300000), 1)
    check("amd: freeze that writes", wrong("freeze", LEAVES), 1)
    check("amd: a right block", wrong("block", []), 0)
    check("amd: events are heard", wrong("block", [], second=7), policycheck.MAX_REPORTED + 1)
    check("amd: another domain id", wrong("preserve", LEAVES, second=8 | SA), 1)
    memory = amd(0x100000, 0x110000, LEAVES, second=7 | SA)
    memory.put(0x100000, 4 * OTHER, 0)
    check("amd: one that was blocked passes", len(policycheck.problems(Terms("preserve", [POOL], []), old, tables(memory, 0x100000))), 2)


class Unit:
    """Registers as the planter meets them."""

    def __init__(self, memory):
        self.memory = memory
        self.words = {planter_amd.DEVTAB: 0x1000, planter_amd.CMDBUF: 0x30000 | 9 << 56, planter_amd.EVTLOG: 0x32000 | 9 << 56,
                      planter_amd.CONTROL: 0x1405, planter_amd.CMDTAIL: 0x1FF0}

    def read(self, address, width):
        """A register."""
        return self.words.get(address - planter_amd.REGISTERS, 0)

    def write(self, address, width, value):
        """A register."""
        self.words[address - planter_amd.REGISTERS] = value


class Machine:
    """A monitor that knows one question."""

    def qmp(self, _):
        """query-pci."""
        return [{"bus": 0, "devices": [{"slot": rid >> 3, "function": rid & 7, "qdev_id": name}
                                       for name, rid in (("hda", VICTIM), ("rtl8139", OTHER))]}]


def _known(keep_out):
    return AmdRules(lambda at: RAM[0] <= at < RAM[1] and not (keep_out and CRASH[0] <= at < CRASH[1]))


def _planted(name):
    ring = [(0x5000 + n * 0x1000, 0x300001 + n * 0x1000 | IRW) for n in range(80)]
    memory = amd(0x1000, 0x10000, ring)
    amd(0x1000, 0x20000, LEAVES, memory=memory, second=8, rid=OTHER)
    for _, entry in ring[2:]:
        memory.write(entry & 0xFFFFFF000, b"\xa5" * 4096)
    memory.write(CRASH[0] + planter.IMAGE_HEADER, planter.IMAGE_MAGIC)
    memory.write(CRASH[0] + planter.IMAGE_HEADER + planter.POOL_OFFSET, (0x500000).to_bytes(8, "little"))
    tool = planter_amd.AmdPlanter(Machine(), Unit(memory), memory, _known(False), [CRASH], [RAM], None)
    plant.plant(name, tool)
    return tool, Amd().tables(memory.read, tool.planted.pointer, _known(True))


def test_plants():
    """What a case claims of the victim is what the reader sees."""
    check("amd: all cases are found", len(plant.AMD) >= 40, True)
    for name in plant.AMD:
        tool, old = _planted(name)
        done = tool.planted
        check(f"amd, {name}: has a text, and changed something",
              (bool(cases.CASES[done.case].__doc__), bool(done.changes or done.registers)), (True, True))
        kinds = [old.contexts[rid].kind if rid in old.contexts else BROKEN for rid in (VICTIM, OTHER)]
        if done.expect == cases.VICTIM_LOST:
            check(f"amd, {name}: the victim's entry is broken, the other one's is not", (kinds, done.quarantined), ([BROKEN, SECOND], {VICTIM}))
        elif done.expect == cases.BUS_LOST:
            check(f"amd, {name}: nobody has a sound entry", (kinds, done.quarantined), ([BROKEN] * 2, {VICTIM, OTHER}))
        else:
            check(f"amd, {name}: nobody is said to be lost", done.quarantined, set())
    into = [leaf for leaf in _planted("leaf-into-crash-region")[1].leaves(VICTIM) if CRASH[0] <= leaf.target < CRASH[1]]
    check("amd, leaf-into-crash-region: the next 64", len(into), 64)
    check("amd, dte-zero and dte-pass-through", [_planted(n)[1].contexts[VICTIM].named for n in ("dte-zero", "dte-pass-through")], [False, True])


def test_kind():
    """QEMU's trace, and registers at the hand-over."""
    lines = {b"amdvi_translation_result devid: 00:03.0 gpa 0x5010 hpa 0x900000": 3,
             b"amdvi_translation_result devid: 00:03.0 gpa 0x212345 hpa 0xa00000": 2,
             b"amdvi_translation_result devid: 00:03.0 gpa 0x7000 hpa 0x0": 4,
             b"amdvi_translation_result devid: 00:04.0 gpa 0x7000 hpa 0x7000": 5,
             b"amdvi_translation_result devid: 00:03.0 gpa 0x10 hpa 0x0": 6,
             b"amdvi_translation_result devid: 00:03.0 gpa 0x9010 hpa 0x904000": 7,
             b"amdvi_page_fault error: page fault accessing guest physical address 0x7000": 4}
    seen = Amd().accesses(Counter(lines), tables(amd(0x1000, 0x10000, LEAVES + [(i, e & ~IRW) for i, e in SIZED[:2]])))
    check("amd: accesses, those refused left out", dict(seen),
          {(VICTIM, 0x5000, 0x900000, 0xFFF): 3, (VICTIM, 0x212000, 0xA12000, 0xFFF): 2, (VICTIM, 0x9000, 0x905000, 0xFFF): 7})
    check("amd: faults", dict(Amd().faults(Counter(lines))), {"page_fault": 4})
    check("amd: translation on", Amd().moment(b"amdvi_control_status MMIO_STATUS state 0x1005"), ("on", 1))
    good = {"devtab": POOL[0] | 1, "cmdbuf": POOL[0] + 0x2000 | 9 << 56, "evtlog": POOL[0] + 0x4000 | 9 << 56, "control": 0x1005,
            "cmdhead": 0x40, "cmdtail": 0x40, "evthead": 0, "evttail": 0, "status": 0x18}

    def wrong(**more):
        return len(Amd().unit_problems({**good, **more}, [POOL], POOL[0]))

    check("amd: a unit that is ours", wrong(), 0)
    check("amd: device table in old memory", wrong(devtab=0x5001), 1)
    check("amd: command buffer in old memory, on and off", (wrong(cmdbuf=0x5000 | 9 << 56), wrong(cmdbuf=0x5000, control=5)), (1, 0))
    check("amd: event log in old memory", wrong(evtlog=0x5000 | 9 << 56), 1)
    check("amd: buffers of other sizes", (wrong(cmdbuf=POOL[0] + 0x2000 | 8 << 56), wrong(evtlog=POOL[0] + 0x4000 | 15 << 56)), (1, 1))
    check("amd: translation off", wrong(control=0x1004), 1)
    check("amd: commands that wait", wrong(cmdtail=0x60), 1)
    check("amd: events that interrupt", wrong(control=0x100D), 1)

# SPDX-License-Identifier: MIT
"""Every plant, on a dead kernel made by hand: what it breaks is what the reader then calls broken."""
from harness import cases, plant, planter, planter_vtd, scenarios
from harness.paths import LabError
from harness.vtdread import Rules, Tables
from harness.views import ADDRESS, BROKEN, PASS_THROUGH

from .tap import RW, Memory, check, legacy, paging, scalable

ROOT, TABLE, OTHER_TABLE, QUEUE, INTERRUPTS = 0x1000, 0x10000, 0x20000, 0x30000, 0x40000
CRASH, RAM = (0x400000, 0xC00000), (0x1000, 0x1000000)
VICTIM, OTHER = 0x18, 0x20
RING = [(0x5000 + n * 0x1000, 0x300000 + n * 0x1000 | RW) for n in range(80)]


class Unit:
    """Registers as the planter meets them; the queue stops at a bad descriptor, absent devices fault."""

    def __init__(self, memory):
        self.memory = memory
        self.words = {planter_vtd.RTADDR: ROOT, planter_vtd.GSTS: 0xC7000000, planter_vtd.IQA: QUEUE, planter_vtd.IQT: 0x40, planter_vtd.IQH: 0x40,
                      planter_vtd.IRTA: INTERRUPTS | 0xF, planter_vtd.FSTS: 0}

    def read(self, address, width):
        """A register."""
        return self.words.get(address - planter_vtd.REGISTERS, 0) & (1 << 8 * width) - 1

    def write(self, address, width, value):
        """A register, with what follows from it."""
        offset = address - planter_vtd.REGISTERS
        if offset == planter_vtd.GCMD:
            self.words[planter_vtd.GSTS] = value
        elif offset == planter_vtd.IQT and self.memory.read(QUEUE + 0x40, 8) != bytes(8):
            self.words[planter_vtd.FSTS] |= planter_vtd.QUEUE_ERROR
        self.words[offset] = value

    def run_for(self, _):
        """Devices go on for a while."""
        self.words[planter_vtd.FSTS] |= planter_vtd.FAULT


class Machine:
    """A monitor that knows one question."""

    def qmp(self, _):
        """query-pci."""
        return [{"bus": 0, "devices": [{"slot": rid >> 3, "function": rid & 7, "qdev_id": name}
                                       for name, rid in (("hda", VICTIM), ("rtl8139", OTHER), ("", 0xF8))]}]


def dead_kernel(wide):
    """Two requesters with tables of their own, a ring half written, an image with a pool in the crash region."""
    if wide:
        memory = scalable(ROOT, TABLE, RING, rid=VICTIM)
        memory.put(ROOT + 0x1000, 4 * OTHER, 0x50001)
        memory.put(0x50000, 0, 0x51001)
        for at, value in enumerate((OTHER_TABLE | 2 << 2 | 2 << 6 | 1, 8)):
            memory.put(0x51000, at, value)
    else:
        memory = legacy(ROOT, TABLE, RING, memory=Memory())
        memory.put(ROOT + 0x1000, 2 * OTHER, OTHER_TABLE | 1)
        memory.put(ROOT + 0x1000, 2 * OTHER + 1, 8 << 8 | 2)
    paging(memory, OTHER_TABLE, [(0x5000, 0x380000 | RW)])
    for _, entry in RING[2:]:
        memory.write(entry & ADDRESS, b"\xa5" * 4096)
    memory.write(CRASH[0] + planter.IMAGE_HEADER, planter.IMAGE_MAGIC)
    memory.write(CRASH[0] + planter.IMAGE_HEADER + planter.POOL_OFFSET, (0x500000).to_bytes(8, "little"))
    return memory


def rules(keep_out):
    """Capabilities of QEMU's unit; keep_out: tables may not lie in the crash region."""
    def known(address):
        return RAM[0] <= address < RAM[1] and not (keep_out and CRASH[0] <= address < CRASH[1])

    return Rules(width=39, cap=0xD2008C222F0606, ecap=0xF00F4A, known=known)


def planted(name, wide=False):
    """Returns (planter, tables as the judgement reads them afterwards)."""
    memory = dead_kernel(wide)
    unit = Unit(memory)
    unit.words[planter_vtd.RTADDR] |= wide << 10
    tool = planter_vtd.VtdPlanter(Machine(), unit, memory, rules(False), [CRASH], [RAM], unit.run_for)
    plant.plant(name, tool)
    rtaddr = tool.planted.pointer
    lacks = rtaddr >> 11 & 1 or (rtaddr >> 10 & 1 and not wide)
    if lacks or not rules(True).known(rtaddr & ADDRESS):
        return tool, Tables(lambda address, length: None, 0)
    return tool, Tables(memory.read, rtaddr & ADDRESS, bool(rtaddr >> 10 & 1), rules(True))


def _test_case(name, wide):
    """What a case claims of the victim is what the reader sees."""
    tool, old = planted(name, wide)
    done, name = tool.planted, f"{name}{', scalable mode' if wide else ''}"
    check(f"{name}: has a text, and changed something",
          (bool(cases.CASES[done.case].__doc__), bool(done.changes or done.registers)), (True, True))
    kind = old.contexts[VICTIM].kind if VICTIM in old.contexts else None
    if done.expect == cases.VICTIM_LOST:
        check(f"{name}: the victim's entry is broken, the other one's is not",
              (kind, old.contexts[OTHER].kind, done.quarantined), (BROKEN, "second", {VICTIM}))
    elif done.expect in (cases.BUS_LOST, cases.ENTRY_LOST):
        lost = {VICTIM, OTHER} if wide and done.expect == cases.ENTRY_LOST else {VICTIM, OTHER, 0xF8}
        left = [c for c in old.contexts.values() if c.kind != BROKEN and c.source & 0xFFFF in lost]
        check(f"{name}: nobody has a sound entry", (left, done.quarantined), ([], lost))
    else:
        check(f"{name}: nobody is said to be lost", done.quarantined, set())


def test_every_case():
    """Every plant, and in scalable mode those that the scenarios use there."""
    check("all cases are found", (len(plant.LEGACY) >= 45, len(plant.SCALABLE) >= 14), (True, True))
    for name in plant.LEGACY:
        _test_case(name, False)
    used = {one.plant for one in scenarios.load().values() if one.plant and "sm_on" in one.primary}
    for name in sorted(used | set(plant.SCALABLE)):
        _test_case(name, True)


def test_some_cases():
    """The edges of single cases."""
    def leaves(name):
        return len(planted(name)[1].leaves(VICTIM))

    check("ring: the pages that come next", [hex(leaf.iova) for leaf in planted("queue-off")[0].ring()[:2]],
          ["0x7000", "0x8000"])
    check("pool: from the image header", hex(planted("queue-off")[0].pool()), "0xa00000")
    check("next-outside-ram: everything below is lost", leaves("next-outside-ram"), 0)
    check("leaf-reserved-bits: the ring's next 64 are lost", leaves("leaf-reserved-bits"), 16)
    tool, old = planted("leaf-into-crash-region")
    into = [leaf for leaf in old.leaves(VICTIM) if CRASH[0] <= leaf.target < CRASH[1]]
    check("leaf-into-crash-region: the next 64", len(into), 64)
    check("context-pass-through", planted("context-pass-through")[1].contexts[VICTIM].kind, PASS_THROUGH)
    _, old = planted("context-shared-domain")
    check("context-shared-domain", [old.contexts[s].domain for s in (VICTIM, OTHER)], [7, 7])
    tool, old = planted("rtaddr-second-root")
    check("rtaddr-second-root: the other device is gone", (sorted(old.contexts), old.root != ROOT), ([VICTIM], True))
    tool, old = planted("fault-pending")
    check("fault-pending: the entry is back", old.contexts[VICTIM].kind, "second")
    memory = legacy(ROOT, TABLE, [])
    try:
        plant.plant("leaf-into-pool", planter_vtd.VtdPlanter(Machine(), Unit(memory), memory, rules(False), [CRASH], [RAM], None))
        check("no ring, no plant", "planted", "refused")
    except LabError:
        check("no ring, no plant", "refused", "refused")

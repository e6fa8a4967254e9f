# SPDX-License-Identifier: MIT
"""What the figures make of registers, findings and the guest's own words."""
from harness import guest
from harness.kind_vtd import Vtd
from harness.measure import _findings_about
from harness.planter import Planted

from .tap import POOL, Memory, check

GOOD = {"gsts": 0xC7000000, "rtaddr": POOL[0], "fsts": 0, "fectl": 1 << 31, "iqh": 0x20, "iqt": 0x20,
        "iqa": POOL[0] + 0x1000, "irta": POOL[0] + 0x200F}


def test_unit():
    """Registers at hand-over."""
    def wrong(**more):
        return len(Vtd().unit_problems({**GOOD, **more}, [POOL], POOL[0]))

    check("a unit that is ours", wrong(), 0)
    check("scalable mode's bits are no part of the address", wrong(rtaddr=POOL[0] | 0x400), 0)
    check("root table in old memory", wrong(rtaddr=0x5000), 2)
    check("another root table is in use", wrong(rtaddr=POOL[0] + 0x3000), 1)
    check("queue in old memory", wrong(iqa=0x5000), 1)
    check("queue in old memory, but off", wrong(iqa=0x5000, gsts=0xC3000000), 0)
    check("interrupt table in old memory", wrong(irta=0x500F), 1)
    check("interrupt table in old memory, but off", wrong(irta=0x500F, gsts=0xC4000000), 0)
    check("translation off", wrong(gsts=0x47000000), 1)
    check("a queue that is not empty", wrong(iqt=0x40), 1)
    check("a queue error", wrong(fsts=0x10), 1)
    check("faults that interrupt", wrong(fectl=0), 1)


def test_findings():
    """Does the note name what was planted?"""
    memory = Memory()
    memory.put(0x5000, 2, 0x77)
    planted = Planted("", "", 0, [(0x5010, 0, 0x77), (0x6000, 0, 0x99)], [(0x20, 0xABC000)])

    def named(address, raw):
        one = {"code": 1, "text": "", "address": hex(address), "raw": hex(raw)}
        return len(_findings_about(planted, memory.read, [one], (17, 81)))

    check("place and value", named(0x5010, 0x77), 1)
    check("the entry that the place is the second word of", named(0x5008, 0x77), 1)
    check("the planted value, where memory has changed since", named(0x6000, 0x99), 1)
    planted.named = [(0x18, 4)]
    one = {"code": 27, "text": "", "address": "0x0", "raw": "0x4", "requester": "0000:00:03.0"}
    check("a requester and a value", len(_findings_about(planted, memory.read, [one], (17, 81))), 1)
    check("another requester", len(_findings_about(planted, memory.read, [{**one, "requester": "0000:00:04.0"}], (17, 81))), 0)
    check("another value", named(0x5010, 0x78), 0)
    check("another place", named(0x7000, 0x77), 0)
    check("a register's value, wherever", named(0xFED90020, 0xABC000), 1)


def test_guest():
    """The guest's own words."""
    texts = ["DMAR: Host address width 39", "DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c222f0606 ecap f00f4a",
             "LAB: iomem 00001000-0009fbff : System RAM", "LAB: iomem 00100000-7ffd9fff : System RAM",
             "LAB: iomem 6e000000-7dffffff : Crash kernel"]
    rules = Vtd().rules(texts, guest.known(texts, [(0x6E000000, 0x7E000000)]))
    check("the unit's capabilities", (rules.width, rules.cap, rules.ecap), (39, 0xD2008C222F0606, 0xF00F4A))
    check("where old tables may lie", [rules.known(a) for a in (0x200000, 0x6E000000, 0x7E000000, 0x80000000)],
          [True, False, True, False])
    lines = [(9.0, "BIOS-e820: [mem 0x0000000000100000-0x000000007ffd9fff] usable"),
             (11.0, "BIOS-e820: [mem 0x0000000000001000-0x000000000009fbff] usable"),
             (11.0, "BIOS-e820: [mem 0x000000006e000000-0x000000007d5fffff]  System RAM"),
             (11.0, "BIOS-e820: [mem 0x000000007ffda000-0x000000007fffffff]  device reserved")]
    check("the capture kernel's memory", guest.capture_ram(lines, 10.0), [(0x1000, 0x9F000), (0x6E000000, 0x7D600000)])
    check("its low part, whole pages", guest.capture_low(lines, 10.0), [(0x1000, 0xA0000)])

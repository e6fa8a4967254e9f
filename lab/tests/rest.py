# SPDX-License-Identifier: MIT
"""Traces, pictures of memory, judging, the scenario file, archives."""
import json
import os
import tempfile
from pathlib import Path

from harness import cpio, scenarios, table
from harness.judge import judge
from harness.qemu import GuestMemory
from harness.kind_vtd import Vtd
from harness.trace import TraceReader, count

from .tap import check


def test_trace():
    """Counting of QEMU's trace."""
    ours, theirs = os.pipe()
    reader = TraceReader(ours, Vtd())
    lines = ["9@100.000001:vtd_reg_dmar_root addr 0x5000 scalable 0", "9@100.500000:vtd_dmar_enable enable 1",
             "9@200.250000:vtd_dmar_enable enable 0", "9@200.750000:vtd_dmar_enable enable 1"]
    lines += ["9@200.300000:vtd_dmar_fault sid 0x18 fault 5 addr 0x1000 write 1"] * 40
    lines += ["Invalid access at addr 0xFFFFF000, size 4, region 'pc.bios', reason: rejected"] * 3
    lines += ["9@200.900000:vtd_dmar_translate dev 00:03.00 iova 0xffffe000 -> gpa 0x4000000 mask 0xfff"] * 2
    os.write(theirs, "\n".join(lines).encode() + b"\n")
    os.close(theirs)
    reader.run()
    os.close(ours)
    events = reader.total(200, 201)
    check("faults are counted", count(events, "vtd_dmar_fault"), 40)
    check("writes into the flash are counted", count(events, "invalid pc.bios"), 3)
    check("translations", dict(Vtd().accesses(events, None)), {(0x18, 0xFFFFE000, 0x4000000, 0xFFF): 2})
    check("translation off, a pause left out", reader.off_seconds(150, 201, [(200.3, 200.5)]), 0.3)
    check("translation never on before", reader.off_seconds(50, 60, []), None)
    check("the root table in use", reader.root_before(150), 0x5000)


def test_memory():
    """Pictures of guest memory."""
    memory = GuestMemory(6 << 30)
    check("q35 splits 6 GiB", memory.ranges(), [(0, 2 << 30, 0), (4 << 30, 8 << 30, 2 << 30)])
    os.pwrite(memory.fd, b"x" * 4096, 0x200000)
    before = memory.copy()
    os.pwrite(memory.fd, b"y", 0x200fff)
    os.pwrite(memory.fd, b"z", (2 << 30) + 0x5000)
    changed = memory.changed_pages(before, [(0, 1 << 40)])
    check("changed pages, low and high", changed, [0x200000, (4 << 30) + 0x5000])
    check("holes in the span are left out", memory.changed_pages(before, [(0x201000, 0x300000)]), [])
    check("reading across the end of RAM", memory.read((2 << 30) - 8, 16), None)
    before.close()
    memory.close()


def test_rest():
    """Judging, the scenario file, archives."""
    expected = {"faults_recorded": 0, "dump_complete": True, "old_pages_changed": 0}
    verdicts = judge(expected, {"faults_recorded": 1, "dump_complete": True})
    check("verdicts: too many, right, not measured", [v.holds for v in verdicts], [False, True, False])
    known = scenarios.load()
    matrix = [s for s in known.values() if s.name.startswith(("freeze-", "scratch-", "block-", "preserve-"))]
    combinations = {(s.policy, s.loader, s.firmware, s.la57, s.crash) for s in matrix}
    check("the matrix has every combination", len(combinations), 64)
    group = [s for s in known.values() if "check" in s.sets]
    spans = [{getattr(s, key) for s in group} for key in ("policy", "loader", "firmware", "la57", "crash")]
    check("the check set spans every value", [len(s) for s in spans], [4, 2, 2, 2, 2])
    first, second = (cpio.compress(cpio.archive({"a/b": b"c"}, set())) for _ in range(2))
    check("archives are reproducible", first == second, True)


def test_table():
    """The generated page: broken states beside the same crash without."""
    known = scenarios.load()
    beside = [s for s in known.values() if "broken" in s.sets]
    without = scenarios.without(beside)
    check("each crash once without Cofferdam", len({scenarios.machine_key(s) for s in beside}), len(without))
    check("policies share it", [s.name for s in without if s.plant == "root-all-ones" and not s.qemu],
          ["broken-root-all-ones-without"])
    check("nothing is expected of Linux where tables are broken", {str(s.expected) for s in without if s.plant}, {"{}"})
    figures = {"dump_complete": True, "translation_off_s": 0.0315, "crash_region_dma": None, "old_pages_changed": 1234}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for one, holds in (("broken-root-all-ones-scratch", True), ("broken-root-all-ones-without", False)):
            text = json.dumps({"name": one, "figures": figures, "holds": holds, "date": "2026", "scenario": {}})
            (folder / f"{one}.json").write_text(text)
        pages = table.write(known, folder)
    page = pages["states.md"]
    row = next(line for line in page.splitlines() if "root-all-ones-scratch" in line)
    check("a row with and without", row.split(" | ")[3:], ["scratch", "yes", *["yes", "32 ms", "–", "–", "1,234"],
                                                           *["yes", "32 ms", "–", "–", "1,234 |"]])
    check("how many hold", "1 of 1 runs hold." in page, True)
    check("a page without results is not written", list(pages), ["states.md"])

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The verbs of `cofferdam inspect`, on dumps with tables that are made here: every value that they print."""
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # keeps the source tree clean

from answers import BAD_INPUT, FINDINGS, INCOMPLETE, OK, SYSTEM, USAGE, refuses, validate  # noqa: E402
from notefile import all_notes, note, summary  # noqa: E402
from tap import ROOT, TOOL, Skip, main, run  # noqa: E402
from vtdimage import PAGE, R, SCALABLE, W, Image, rid  # noqa: E402

sys.path.insert(0, str(ROOT / "lab"))
from harness import vtdread  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30


def inspect(status, dump, *arguments):
    """Runs a verb, which must end with status; returns what it prints."""
    done = run("inspect", dump, *arguments)
    text = done.stderr.decode()
    assert done.returncode == status, f"{arguments}: status {done.returncode}, not {status}: {text}"
    assert "\x1b" not in done.stdout.decode(), "colour in a pipe"
    assert status in (USAGE, BAD_INPUT, SYSTEM) or text == "" or "incomplete" in text, text
    return done.stdout.decode()


def ask(status, dump, *arguments):
    """The same with --json; the answer fits the schema."""
    answer = json.loads(inspect(status, dump, *arguments, "--json"))
    validate(answer)
    assert answer["incomplete"] is (status == INCOMPLETE) and answer["partial"] is False, answer
    return answer


def mapped(iova, size, address, rights):
    """A range of the JSON answers."""
    return dict(kind="mapped", iova=hex(iova), size=size, address=hex(address), readable="r" in rights,
                writable="w" in rights)


class Machine:
    """Legacy tables: one requester of each kind. The dump holds all of them but those of 00:06.0."""

    def __init__(self, folder, levels=4, name="legacy", notes=b""):
        i = self.image = Image()
        self.root = i.table()
        self.tables = i.table()
        i.second_stage(self.root, rid("00:02.0"), self.tables, 5, levels)
        i.second_stage(self.root, rid("00:03.0"), self.tables, 5, levels)
        self.pte = i.map(self.tables, 0x1000, 0x300000, levels=levels)
        i.map(self.tables, 0x2000, 0x301000, levels=levels)
        i.map(self.tables, 0x3000, 0x400000, R, levels=levels)
        i.map(self.tables, 0x5000, 0x500000, W, levels=levels)
        i.map(self.tables, 0x200000, 0x600000, level=1, levels=levels)
        i.map(self.tables, 0x40000000, 0x80000000, R, level=2, levels=levels)
        i.second_stage(self.root, rid("00:04.0"), 0, 1, levels, kind=2)
        self.broken = i.context(self.root, rid("00:05.0"), i.table() | 0x11, 6 << 8 | levels - 2)
        self.holes = i.table()
        i.second_stage(self.root, rid("00:06.0"), self.holes, 7, levels)
        i.map(self.holes, 0x1000, 0x700000, levels=levels)
        i.map(self.holes, 0x200000, 0x701000, levels=levels)
        directory = i.get(i.get(self.holes) & ~0xFFF) & ~0xFFF if levels == 4 else i.get(self.holes) & ~0xFFF
        self.hole = i.get(directory + 8) & ~0xFFF
        i.missing.add(self.hole)
        self.empty = i.table()
        i.second_stage(self.root, rid("00:07.0"), self.empty, 8, levels)
        self.bad_tables = i.table()
        i.second_stage(self.root, rid("03:00.1"), self.bad_tables, 9, levels)
        i.map(self.bad_tables, 0x1000, 0x800000, levels=levels)
        self.bad_pde = i.map(self.bad_tables, 0x200000, 0x901000, level=1, levels=levels)  # not on a 2-MiB boundary
        i.map(self.bad_tables, 0x400000, 0x802000, levels=levels)
        self.path = i.elf(folder / f"{name}.elf", notes)
        self.head = [self.path, "--vtd-root", f"{self.root:#x},legacy"]


RANGES = [mapped(0x1000, 0x2000, 0x300000, "rw"), mapped(0x3000, PAGE, 0x400000, "r"),
          mapped(0x5000, PAGE, 0x500000, "w"), mapped(0x200000, 2 * MIB, 0x600000, "rw"),
          mapped(0x40000000, GIB, 0x80000000, "r")]


def test_ranges_of_legacy_tables(folder):
    for levels in (3, 4, 5):
        m = Machine(folder, levels)
        answer = ask(OK, *m.head, "ranges", "00:02.0")
        assert answer["ranges"] == RANGES, answer
        assert answer["requester"] == dict(requester="0000:00:02.0", pasid=None, span=1, unit=answer["requester"]["unit"],
                                           unknown=False, domain=5, stage="second", was="translated", finding=0,
                                           tree=answer["requester"]["tree"])
        assert (answer["readable_bytes"], answer["writable_bytes"]) == (GIB + 2 * MIB + 3 * PAGE, 2 * MIB + 3 * PAGE)
        assert ask(OK, *m.head, "ranges", "0000:00:03.0")["ranges"] == RANGES


def test_ranges_as_text(folder):
    m = Machine(folder)
    text = inspect(OK, *m.head, "ranges", "00:02.0")
    assert re.search(r"^0000:00:02\.0 on .*, domain 5, second stage, 4 levels, tables at 0x%x$" % m.tables, text, re.M), text
    assert "\n0x000000001000-0x000000002fff       8 KiB  rw  0x" in text, text
    assert re.search(r"^0x000000003000-0x000000003fff       4 KiB  r   0x0*400000-0x0*400fff$", text, re.M), text
    assert re.search(r"^0x000000005000-0x000000005fff       4 KiB  w   0x0*500000-0x0*500fff$", text, re.M), text
    assert re.search(r"^0x000040000000-0x00007fffffff       1 GiB  r   0x0*80000000-0x0*bfffffff$", text, re.M), text
    assert text.endswith("5 ranges: 1 GiB readable, 2 MiB writable.\n"), text
    assert inspect(OK, *m.head, "ranges", "00:07.0").endswith("Nothing is mapped.\n")


def test_ranges_of_holes(folder):
    m = Machine(folder)
    answer = ask(INCOMPLETE, *m.head, "ranges", "00:06.0")
    assert answer["ranges"] == [mapped(0x1000, PAGE, 0x700000, "rw"),
                                dict(kind="unknown", iova="0x200000", size=2 * MIB)], answer
    assert answer["unknown_bytes"] == 2 * MIB
    text = inspect(INCOMPLETE, *m.head, "ranges", "00:06.0")
    assert "0x000000200000-0x0000003fffff       2 MiB  ?   unknown: the dump does not hold the table\n" in text, text
    assert text.endswith("Incomplete: what 2 MiB of addresses lead to is not in the dump.\n"), text


def test_ranges_of_broken_tables(folder):
    m = Machine(folder)
    answer = ask(FINDINGS, *m.head, "ranges", "03:00.1")
    assert answer["ranges"] == [mapped(0x1000, PAGE, 0x800000, "rw"), dict(kind="broken", iova="0x200000", size=2 * MIB),
                                mapped(0x400000, PAGE, 0x802000, "rw")], answer
    answer = ask(FINDINGS, *m.head, "ranges", "00:05.0")
    assert answer["ranges"] == [] and answer["requester"]["was"] == "broken", answer
    assert answer["requester"]["finding"] == 22, answer


def test_ranges_of_pass_through(folder):
    m = Machine(folder)
    answer = ask(OK, *m.head, "ranges", "00:04.0")
    assert answer["requester"]["stage"] == "pass-through" and answer["requester"]["was"] == "passed through", answer
    assert [(r["iova"], r["address"]) for r in answer["ranges"]] == [("0x0", "0x0"), ("0x100000", "0x100000")], answer
    assert answer["readable_bytes"] == answer["writable_bytes"] == 0xA0000 + 0xF00000, answer
    assert "every address leads to itself" in inspect(OK, *m.head, "ranges", "00:04.0")


def test_translate(folder):
    m = Machine(folder)
    for iova, address, rights, size in [(0x1000, 0x300000, "rw", PAGE), (0x2FFF, 0x301FFF, "rw", PAGE),
                                        (0x3456, 0x400456, "r", PAGE), (0x5008, 0x500008, "w", PAGE),
                                        (0x212345, 0x612345, "rw", 2 * MIB), (0x7FFFFFFF, 0xBFFFFFFF, "r", GIB)]:
        answer = ask(OK, *m.head, "translate", "00:02.0", hex(iova))
        assert (answer["answer"], answer["address"], answer["readable"], answer["writable"], answer["page_size"]) == (
            "mapped", hex(address), "r" in rights, "w" in rights, size), answer
    assert ask(OK, *m.head, "translate", "00:02.0", "3000")["address"] == "0x400000"  # hexadecimal in any case
    assert ask(OK, *m.head, "translate", "00:02.0", "0x4000")["answer"] == "not mapped"
    assert ask(OK, *m.head, "translate", "00:02.0", hex(1 << 48))["answer"] == "beyond"
    assert ask(INCOMPLETE, *m.head, "translate", "00:06.0", "0x200000")["answer"] == "unknown"
    assert ask(FINDINGS, *m.head, "translate", "03:00.1", "0x200000")["answer"] == "broken"
    assert ask(FINDINGS, *m.head, "translate", "00:05.0", "0x2000")["answer"] == "broken"
    answer = ask(OK, *m.head, "translate", "00:04.0", "0x123456")
    assert (answer["answer"], answer["address"], answer["writable"]) == ("mapped", "0x123456", True)


def last_line(text):
    """The last line of a text."""
    return text.splitlines()[-1]


def test_translate_as_text(folder):
    m = Machine(folder)

    def line(status, *arguments):
        return last_line(inspect(status, *m.head, "translate", *arguments))
    assert line(OK, "00:02.0", "0x1234") == "0000:00:02.0 0x1234: 0x300234, read and write, in a page of 4 KiB"
    assert line(OK, "00:02.0", "0x3000") == "0000:00:02.0 0x3000: 0x400000, read only, in a page of 4 KiB"
    assert line(OK, "00:02.0", "0x5000") == "0000:00:02.0 0x5000: 0x500000, write only, in a page of 4 KiB"
    assert line(OK, "00:02.0", "0x4000") == f"0000:00:02.0 0x4000: not mapped: the PTE at {m.pte + 24:#x} is 0x0"
    assert line(OK, "00:02.0", hex(1 << 48)).endswith("not mapped: beyond the 48 bits that are translated")
    assert line(INCOMPLETE, "00:06.0", "0x201000") == \
        f"0000:00:06.0 0x201000: unknown: the dump does not hold the PT at {m.hole:#x}"
    assert line(FINDINGS, "03:00.1", "0x200000") == \
        f"0000:03:00.1 0x200000: broken: the PDE at {m.bad_pde:#x} is 0x901083, with reserved bits set"
    assert line(OK, "00:04.0", "0x1000") == "0000:00:04.0 0x1000: 0x1000, read and write, pass-through"
    assert line(FINDINGS, "00:05.0", "0x1000").startswith("00:05.0 0x1000: broken: context entry"), line(FINDINGS, "00:05.0", "0x1000")


def test_walk_to_an_address(folder):
    m = Machine(folder)
    i = m.image
    answer = ask(OK, *m.head, "walk", "00:02.0", "0x3010")
    contexts = i.get(m.root) & ~0xFFF
    assert answer["steps"][0] == dict(what="root entry", at=hex(m.root), raw=[hex(contexts | 1), "0x0"],
                                      decoded=dict(present=True, context_table=hex(contexts))), answer["steps"]
    assert answer["steps"][1] == dict(
        what="context entry", at=hex(contexts + 16 * 0x10), raw=[hex(m.tables | 1), hex(5 << 8 | 2)],
        decoded=dict(present=True, faults_off=False, type="second stage", page_table=hex(m.tables), levels=4, domain=5))
    assert [(l["level"], l["name"], l["index"]) for l in answer["levels"]] == [
        (3, "PML4E", 0), (2, "PDPE", 0), (1, "PDE", 0), (0, "PTE", 3)]
    assert answer["levels"][0]["table"] == answer["levels"][0]["at"] == hex(m.tables)
    assert answer["levels"][3] == dict(level=0, name="PTE", index=3, table=hex(m.pte & ~0xFFF), at=hex(m.pte + 16),
                                       known=True, raw="0x400001", kind="page", address="0x400000", readable=True,
                                       writable=False, page_size=4096)
    assert (answer["answer"], answer["address"], answer["writable"]) == ("mapped", "0x400010", False)
    answer = ask(INCOMPLETE, *m.head, "walk", "00:06.0", "0x200000")
    assert answer["levels"][-1] == dict(level=0, name="PTE", index=0, table=hex(m.hole), at=hex(m.hole), known=False)
    assert answer["answer"] == "unknown"
    answer = ask(FINDINGS, *m.head, "walk", "00:05.0", "0x200000")
    assert answer["steps"][1]["raw"][0] == hex(i.get(m.broken)) and "levels" not in answer
    text = inspect(OK, *m.head, "walk", "00:02.0", "0x3010")
    assert f"context entry at {contexts + 256:#x}: present, second stage, page table {m.tables:#x}, levels 4, domain 5\n" \
        f"    0x{m.tables | 1:016x} 0x{5 << 8 | 2:016x}\n" in text, text
    assert f"PTE 3 at {m.pte + 16:#x}: page of 4 KiB at 0x400000, r\n    0x0000000000400001\n=> 0x400010, r\n" in text, text


def test_walk_over_the_tables(folder):
    m = Machine(folder)
    answer = ask(OK, *m.head, "walk", "00:02.0")
    assert [(t["name"], t["iova"]) for t in answer["tables"]] == [("PML4", "0x0"), ("PDPT", "0x0"), ("PD", "0x0")], answer
    assert [(e["index"], e["count"], e["kind"], e["iova"], e["size"], e["address"]) for e in answer["tables"][2]["entries"]] == [
        (0, 1, "table", "0x0", 2 * MIB, hex(m.pte & ~0xFFF)), (1, 1, "page", "0x200000", 2 * MIB, "0x600000")]
    answer = ask(OK, *m.head, "walk", "00:02.0", "--depth", "5")
    assert [(e["index"], e["count"], e["raw"]) for e in answer["tables"][3]["entries"]] == [
        (1, 2, "0x300003"), (3, 1, "0x400001"), (5, 1, "0x500002")], answer["tables"][3]
    many = m.image.table()
    for n in range(60):
        m.image.map(many, 2 * n * PAGE, 0x900000 + n * PAGE)
    m.image.second_stage(m.root, rid("00:08.0"), many, 10)
    m.image.elf(m.path)
    answer = ask(OK, *m.head, "walk", "00:08.0")
    assert len(answer["tables"][3]["entries"]) == 40 and answer["tables"][3]["more"] == 20, answer["tables"][3]
    assert "  and 20 more (--all shows them)\n" in inspect(OK, *m.head, "walk", "00:08.0")
    assert len(ask(OK, *m.head, "walk", "00:08.0", "--all")["tables"][3]["entries"]) == 60
    assert ask(INCOMPLETE, *m.head, "walk", "00:06.0", "--depth", "5")["tables"][-1]["known"] is False
    assert "=> pass-through" in inspect(OK, *m.head, "walk", "00:04.0")


def group(answer, name):
    """The group of `reach` that a requester is in, or None."""
    found = [g for g in answer["groups"] if name in g["requesters"]]
    return found[0] if found else None


def test_reach(folder):
    m = Machine(folder)
    answer = ask(INCOMPLETE, *m.head, "reach", "0x301000")
    g = group(answer, "0000:00:02.0")
    assert g["requesters"] == ["0000:00:02.0", "0000:00:03.0"], g
    assert g["ranges"] == [mapped(0x2000, 1, 0x301000, "rw")], g
    assert group(answer, "0000:00:04.0")["ranges"] == [mapped(0x301000, 1, 0x301000, "rw")]
    assert group(answer, "0000:00:06.0")["ranges"] == [dict(kind="unknown", iova="0x200000", size=2 * MIB)]
    assert group(answer, "0000:00:07.0") is None and group(answer, "0000:03:00.1") is None
    assert (answer["readers"], answer["writers"], answer["nobody"]) == (3, 3, False), answer
    answer = ask(INCOMPLETE, *m.head, "reach", "0x300f00-0x4000ff")
    assert group(answer, "0000:00:02.0")["ranges"] == [mapped(0x1F00, 0x1100, 0x300F00, "rw"),
                                                       mapped(0x3000, 0x100, 0x400000, "r")]
    assert ask(INCOMPLETE, *m.head, "reach", "0x80000000+4K")["readers"] == 3
    assert ask(INCOMPLETE, *m.head, "reach", "0x80000000+0x10")["last"] == "0x8000000f"
    assert ask(INCOMPLETE, *m.head, "reach", "0x80000000")["writers"] == 1


def test_reach_says_nobody_only_when_it_knows(folder):
    i = Image()
    root, tables = i.table(), i.table()
    i.second_stage(root, rid("00:02.0"), tables, 1)
    i.map(tables, 0x1000, 0x300000)
    i.map(tables, 0x8000000, 0x301000)
    head = [i.elf(folder / "whole.elf"), "--vtd-root", f"{root:#x},legacy"]
    answer = ask(OK, *head, "reach", "0x302000+4K")
    assert answer["nobody"] is True and answer["groups"] == [], answer
    assert last_line(inspect(OK, *head, "reach", "0x302000+4K")) == \
        "Nobody could reach it: the tables of all 1 requesters are in the dump."
    assert last_line(inspect(OK, *head, "reach", "0x300fff")) == "1 requester could read it, 1 could write it."
    i.missing.add(i.get(i.get(i.get(tables) & ~0xFFF) & ~0xFFF) & ~0xFFF)
    i.elf(head[0])
    answer = ask(INCOMPLETE, *head, "reach", "0x302000+4K")
    assert answer["nobody"] is False and answer["groups"][0]["unknown_bytes"] == 2 * MIB, answer
    text = inspect(INCOMPLETE, *head, "reach", "0x302000+4K")
    assert last_line(text) == "Nobody that is known could reach it; incomplete: of 1 the tables are not all in the dump."
    # Where the tables are is guessed: there may be others.
    i.missing = set()
    i.elf(head[0])
    answer = ask(OK, head[0], "reach", "0x302000+4K")
    assert (answer["nobody"], answer["guessed"], answer["groups"]) == (False, True, []), answer
    assert last_line(inspect(OK, head[0], "reach", "0x302000+4K")) == \
        "Nobody that is known could reach it; where the tables are was guessed, there may be others."
    # Its context table missing: all functions of the bus.
    i.missing = {i.get(root) & ~0xFFF}
    i.elf(head[0])
    answer = ask(INCOMPLETE, *head, "reach", "0x302000+4K")
    assert answer["unknown"] and answer["nobody"] is False, answer


def test_findings(folder):
    m = Machine(folder)
    answer = ask(INCOMPLETE, *m.head, "findings")
    found = {(f["code"], f["requester"]): f for f in answer["findings"]}
    f = found[(30, "0000:03:00.1")]
    assert (f["severity"], f["address"], f["raw"], f["level"], f["index"], f["iova"]) == (
        "error", hex(m.bad_pde), "0x901083", 1, 1, "0x200000"), f
    assert f["text"] == "page-table entry with reserved bits set", f
    f = found[(22, "0000:00:05.0")]
    assert (f["address"], f["raw"], f["text"]) == (
        hex(m.broken), hex(m.image.get(m.broken)), "context entry with reserved bits set"), f
    order = ["error", "warning", "info"]
    severities = [order.index(f["severity"]) for f in answer["findings"]]
    assert severities == sorted(severities), severities
    text = inspect(INCOMPLETE, *m.head, "findings")
    assert re.search(r"^error    0000:03:00\.1 on .*: page-table entry with reserved bits set \(finding 30\)\n"
                     r"         at %#x: 0x901083, PDE 1, IOVA 0x200000$" % m.bad_pde, text, re.M), text
    for word in ("cut out", "quarantined", "left alone", "refused now"):
        assert word not in text, word
    i = Image()
    root, tables = i.table(), i.table()
    i.second_stage(root, rid("00:02.0"), tables, 1)
    i.map(tables, 0x1000, 0x300000)
    clean = [i.elf(folder / "clean.elf"), "--vtd-root", f"{root:#x},legacy"]
    assert ask(OK, *clean, "findings")["findings"] == []
    assert inspect(OK, *clean, "findings") == "Nothing odd was found.\n"
    i.map(tables, 0x200000, 0x901000, level=1)
    i.elf(clean[0])
    assert len(ask(FINDINGS, *clean, "findings")["findings"]) == 1


class Scalable:
    """Scalable tables: first stage, second stage with a PASID, a function of the upper half of its bus."""

    def __init__(self, folder):
        i = self.image = Image()
        self.root = i.table()
        self.first, self.second = i.table(), i.table()
        i.pasid(self.root, rid("00:02.0"), 0, [1 | 1 << 6, 5, self.first | 0, 0])
        self.entry = i.pasid(self.root, rid("00:02.0"), 0x45, [self.second | 1 | 2 << 2 | 2 << 6, 6, 0, 0])
        i.pasid(self.root, rid("00:1f.3"), 0, [self.second | 1 | 2 << 2 | 2 << 6, 6, 0, 0])
        i.pasid(self.root, rid("00:1f.4"), 0, [1 | 2 << 2 | 4 << 6, 7, 0, 0])
        i.map(self.first, 0x1000, 0x300000, first=True)
        i.map(self.first, 0x2000, 0x400000, R, first=True)
        i.map(self.first, 0x200000, 0x600000, level=1, first=True)
        i.map(self.second, 0x7000, 0x500000)
        self.path = i.elf(folder / "scalable.elf")
        self.head = [self.path, "--vtd-root", f"{self.root:#x},scalable"]


def test_scalable(folder):
    m = Scalable(folder)
    answer = ask(OK, *m.head, "ranges", "00:02.0")
    assert answer["requester"]["stage"] == "first" and answer["requester"]["pasid"] == 0, answer
    assert answer["ranges"] == [mapped(0x1000, PAGE, 0x300000, "rw"), mapped(0x2000, PAGE, 0x400000, "r"),
                                mapped(0x200000, 2 * MIB, 0x600000, "rw")], answer
    answer = ask(OK, *m.head, "ranges", "00:02.0@45")
    assert answer["requester"]["requester"] == "0000:00:02.0@45" and answer["requester"]["pasid"] == 0x45
    assert answer["ranges"] == [mapped(0x7000, PAGE, 0x500000, "rw")], answer
    assert ask(OK, *m.head, "ranges", "00:1f.3")["ranges"] == answer["ranges"]
    assert ask(OK, *m.head, "ranges", "00:1f.4")["requester"]["stage"] == "pass-through"
    answer = ask(OK, *m.head, "walk", "00:02.0@45", "0x7123")
    assert [s["what"] for s in answer["steps"]] == ["root entry", "context entry", "PASID directory entry", "PASID-table entry"]
    assert answer["steps"][1]["decoded"]["requests_with_pasid"] is True
    assert answer["steps"][3]["at"] == hex(m.entry)
    d = answer["steps"][3]["decoded"]
    assert (d["type"], d["domain"], d["second_stage_table"], d["second_stage_levels"]) == (
        "second stage", 6, hex(m.second), 4), d
    assert answer["address"] == "0x500123"
    answer = ask(OK, *m.head, "reach", "0x500000")
    g = group(answer, "0000:00:02.0@45")
    assert g["requesters"] == ["0000:00:02.0@45", "0000:00:1f.3"], g
    refuses(USAGE, "no unit has an entry", *m.head, "translate", "00:02.0@46", "0x1000")


def test_upper_half_of_a_first_stage(folder):
    i = Image()
    root, tables = i.table(), i.table()
    i.pasid(root, rid("00:02.0"), 0, [1 | 1 << 6, 5, tables, 0])
    i.map(tables, 0x1000, 0x300000, first=True)
    slot = i.map(tables, 0x800000001000, 0x400000, first=True)
    head = [i.elf(folder / "upper.elf"), "--vtd-root", f"{root:#x},scalable"]
    upper = 0xFFFF800000001000
    assert ask(OK, *head, "ranges", "00:02.0")["ranges"] == [mapped(0x1000, PAGE, 0x300000, "rw"),
                                                             mapped(upper, PAGE, 0x400000, "rw")]
    assert ask(OK, *head, "translate", "00:02.0", hex(upper + 5))["address"] == "0x400005"
    assert ask(OK, *head, "translate", "00:02.0", "0x800000001000")["answer"] == "beyond"
    tables = ask(OK, *head, "walk", "00:02.0", "--depth", "4")["tables"]
    assert [t["iova"] for t in tables if t["name"] == "PT"] == ["0x0", "0xffff800000000000"], tables
    assert tables[-1]["entries"][0]["iova"] == hex(upper) and tables[-1]["at"] == hex(slot & ~0xFFF), tables[-1]
    assert "0x0000800000001 |" in inspect(OK, *head, "ranges", "00:02.0", "--debugfs")  # as the kernel has it
    assert group(ask(OK, *head, "reach", "0x400000"), "0000:00:02.0")["ranges"] == [mapped(upper, 1, 0x400000, "rw")]


def test_nested(folder):
    i = Image()
    root, second = i.table(), i.table()
    i.pasid(root, rid("00:02.0"), 0, [second | 1 | 2 << 2 | 3 << 6, 5, 0x77000, 0])
    i.map(second, 0x1000, 0x300000)
    head = [i.elf(folder / "nested.elf"), "--vtd-root", f"{root:#x},scalable"]
    answer = ask(OK, *head, "ranges", "00:02.0")
    assert answer["requester"]["stage"] == "nested" and answer["ranges"] == [mapped(0x1000, PAGE, 0x300000, "rw")], answer
    assert "first-stage tables at 0x77000 before it, which are not followed" in inspect(OK, *head, "ranges", "00:02.0")
    decoded = ask(OK, *head, "walk", "00:02.0", "0x1000")["steps"][3]["decoded"]
    assert (decoded["type"], decoded["first_stage_table"], decoded["first_stage_levels"]) == ("nested", "0x77000", 4)


def with_note(image, root, path, gsts=0xC7000000, ecap=0xF00F4E):
    """A dump whose note tells the registers of its unit."""
    registers = struct.pack("<5Q4I", root, 0, 0, 0, 0, gsts, 0, 0, 0)
    unit = struct.pack("<3QIHBBII", 0xFED90000, 0xD2008C222F0606, ecap, 0x10, 0, 0, 1, 1, 0) + registers * 2 + bytes(8)
    return image.elf(path, all_notes(note([(1, 160, summary(units=1)), (2, 160, unit)])))


def test_units_of_the_note(folder):
    i = Image()
    root, tables = i.table(), i.table()
    i.second_stage(root, rid("00:02.0"), tables, 5, kind=1)
    i.second_stage(root, rid("00:03.0"), tables, 5)
    i.map(tables, 0x1000, 0x300000)
    answer = ask(OK, with_note(i, root, folder / "on"), "reach", "0x300000")
    assert (answer["readers"], answer["trusted"], answer["units_off"]) == (2, ["0000:00:02.0"], []), answer
    text = inspect(OK, folder / "on", "reach", "0x300000")
    assert "Trusted with translated addresses (ATS), by which a faulty device reaches anything: 0000:00:02.0\n" in text, text
    answer = ask(FINDINGS, with_note(i, root, folder / "off", gsts=0x07000000), "reach", "0x700000")
    assert answer["groups"] == [] and len(answer["units_off"]) == 1 and answer["nobody"] is False, answer
    text = inspect(FINDINGS, folder / "off", "reach", "0x700000")
    assert last_line(text) == "0 requesters could read it, 0 could write it, and everything behind 1 unit whose translation was off.", text
    refuses(USAGE, "the translation of unit 0 was off: devices behind it reach everything", folder / "off", "ranges", "00:02.0")
    answer = ask(FINDINGS, folder / "on", "diff", folder / "off")
    assert [(u["member"], u["a"], u["b"]) for u in answer["units"]] == [("translation", "on", "off")], answer
    assert answer["differences"] == 1
    # What the unit has not, its entries must not use: bit 62 without device TLBs.
    i.map(tables, 0x2000, 1 << 62 | 0x301000)
    assert ask(FINDINGS, with_note(i, root, folder / "no-dt", ecap=0xF00F4A), "translate", "00:03.0",
               "0x2000")["answer"] == "broken"
    assert ask(OK, with_note(i, root, folder / "dt"), "translate", "00:03.0", "0x2000")["address"] == "0x301000"


def test_tables_that_lead_to_themselves(folder):
    i = Image(ram=[(0x200000, 0x220000)])
    root, tables = i.table(), i.table()
    i.second_stage(root, rid("00:02.0"), tables, 5, levels=5)
    for n in range(512):
        i.put(tables + 8 * n, tables | 3)
    head = [i.elf(folder / "self.elf"), "--vtd-root", f"{root:#x},legacy"]
    began = time.monotonic()
    for verb in (["ranges", "00:02.0"], ["reach", "0x300000"], ["findings"], ["walk", "00:02.0"],
                 ["walk", "00:02.0", "0x123456789000"], ["diff", head[0], *head[1:]]):
        done = run("inspect", *head, *verb)
        assert done.returncode in (OK, FINDINGS, INCOMPLETE) and len(done.stdout) < 30_000_000, (verb, done.returncode)
    assert time.monotonic() - began < 30


def merged(leaves):
    """Leaves of the judge as ranges that go on are one."""
    out = []
    for leaf in leaves:
        last = out[-1] if out else None
        rights = ("r" if leaf.read else "") + ("w" if leaf.write else "")
        if last and last[0] + last[1] == leaf.iova and last[2] + last[1] == leaf.target and last[3] == rights:
            last[1] += leaf.size
        else:
            out.append([leaf.iova, leaf.size, leaf.target, rights])
    return [mapped(*r) for r in out]


def test_against_an_independent_reader(folder):
    for seed in range(4):
        rng = random.Random(seed)
        mode, i = seed & 1, Image()
        root = i.table()
        for device in range(4):
            tables = i.table()
            levels = 4 if mode == SCALABLE else rng.choice((3, 4, 5))
            first = mode == SCALABLE and device & 1
            if mode == SCALABLE:
                words = [1 | 1 << 6, device, tables, 0] if first else [tables | 1 | levels - 2 << 2 | 2 << 6, device, 0, 0]
                i.pasid(root, device << 3, 0, words)
            else:
                i.second_stage(root, device << 3, tables, device, levels)
            at = 0
            for _ in range(60):
                level = rng.choice((0, 0, 0, 0, 1))
                size = PAGE << 9 * level
                at = -(-(at + rng.choice((0, 0, PAGE, 37 * PAGE, GIB))) // size) * size
                target = rng.randrange(0, 1 << 33, size)
                i.map(tables, at, target, rng.choice((R, R | W, R | W) if first else (R, W, R | W)), level, levels, first)
                at += size
        path = i.elf(folder / f"{seed}.elf")
        judge = vtdread.Tables(i.read, root, mode == SCALABLE)
        for device in range(4):
            head = [path, "--vtd-root", f"{root:#x},{('legacy', 'scalable')[mode]}"]
            answer = ask(OK, *head, "ranges", f"00:{device:02x}.0")
            leaves = judge.leaves(judge.named(device << 3))
            assert len(leaves) == 60 and answer["ranges"] == merged(leaves), (seed, device)
            leaf = rng.choice(leaves)
            answer = ask(OK, *head, "translate", f"00:{device:02x}.0", hex(leaf.iova + 8))
            assert (int(answer["address"], 16), answer["readable"], answer["writable"]) == \
                judge.translate(device << 3, leaf.iova + 8)


def test_debugfs(folder):
    m = Machine(folder)
    i = m.image
    text = inspect(OK, *m.head, "ranges", "00:02.0", "--debugfs").splitlines()
    assert text[0] == f"Device 0000:00:02.0 @{m.tables:#x}"
    assert text[1] == "IOVA_PFN\t\tPML5E\t\t\tPML4E\t\t\tPDPE\t\t\tPDE\t\t\tPTE"
    pml4e = i.get(m.tables)
    pdpe = i.get(pml4e & ~0xFFF)
    pde = i.get(pdpe & ~0xFFF)

    def line(iova, *path):
        return f"0x{iova >> 12:013x} |" + "".join(f"\t0x{word:016x}" for word in path)
    assert text[2] == line(0x1000, 0, pml4e, pdpe, pde, 0x300003), text[2]
    assert text[4] == line(0x3000, 0, pml4e, pdpe, pde, 0x400001)
    assert text[6] == line(0x200000, 0, pml4e, pdpe, 0x600083, 0)
    assert text[7] == line(0x40000000, 0, pml4e, 0x80000081, 0, 0)
    assert text[8:] == [""], text[8:]
    assert inspect(OK, *m.head, "ranges", "00:02.0", "--debugfs=6.1").splitlines() == text
    text = inspect(OK, *m.head, "ranges", "00:02.0", "--debugfs=6.12").splitlines()
    assert text[0] == f"Device 0000:00:02.0 @{m.tables:#x}"
    assert text[1] == "\t".join(f"{name:{width}}" for name, width in [
        ("IOVA_PFN", 17), ("PML5E", 18), ("PML4E", 18), ("PDPE", 18), ("PDE", 18)]) + "\tPTE"
    assert text[2] == line(0x1000, 0, pml4e, pdpe, pde, 0x300003)
    assert text[6:] == [line(0x200000, 0, pml4e, pdpe, 0x600083), line(0x40000000, 0, pml4e, 0x80000081)]
    s = Scalable(folder)
    assert inspect(OK, *s.head, "ranges", "00:02.0@45", "--debugfs=6.12").startswith(
        f"Device 0000:00:02.0 with pasid 45 @{s.second:#x}\n")
    done = run("inspect", *m.head, "ranges", "00:06.0", "--debugfs")
    assert done.returncode == INCOMPLETE and b"1 table pages are not in the dump" in done.stderr
    refuses(USAGE, "no such layout", *m.head, "ranges", "00:02.0", "--debugfs=5.10")
    refuses(USAGE, "exclude each other", *m.head, "ranges", "00:02.0", "--debugfs", "--json")


def test_diff(folder):
    a, b = Machine(folder, name="a"), Machine(folder, name="b")
    same = ask(INCOMPLETE, *a.head, "diff", b.path, *b.head[1:])
    assert (same["units"], same["requesters"], same["ranges"], same["differences"]) == ([], [], [], 0), same
    assert same["unknown_bytes"] == 2 * MIB, same
    i = b.image
    i.missing.clear()
    a.image.missing.clear()
    a.image.elf(a.path)
    i.elf(b.path)
    assert ask(OK, *a.head, "diff", b.path, *b.head[1:])["differences"] == 0
    assert inspect(OK, *a.head, "diff", b.path, *b.head[1:]) == "No difference.\n"
    i.put(b.pte, 0)  # 0x1000 disappears
    i.put(b.pte + 8, 0x301001)  # 0x2000 loses its right to write
    i.put(b.pte + 16, 0x480001)  # 0x3000 moves
    i.put(b.pte + 24, 0x410003, 0)  # 0x4000 appears, 0x5000 disappears
    i.put(b.pte + 56, 0x7000003, 0x7001003)  # 0x8000-0x9fff appears
    i.context(b.root, rid("00:07.0"), 0, 0)
    i.second_stage(b.root, rid("00:09.0"), b.empty, 11)
    i.second_stage(b.root, rid("03:00.1"), b.bad_tables, 12)
    i.elf(b.path)
    answer = ask(FINDINGS, *a.head, "diff", b.path, *b.head[1:])
    assert [(r["what"], r["requester"]) for r in answer["requesters"]] == [
        ("disappears", "0000:00:07.0"), ("appears", "0000:00:09.0"), ("changes", "0000:03:00.1")], answer["requesters"]
    assert answer["requesters"][2]["a"]["domain"] == 9 and answer["requesters"][2]["b"]["domain"] == 12
    assert len(answer["ranges"]) == 1 and answer["ranges"][0]["requesters"] == ["0000:00:02.0", "0000:00:03.0"], answer
    ranges = answer["ranges"][0]["ranges"]
    assert [(r["what"], r["iova"], r["size"]) for r in ranges] == [
        ("disappears", "0x1000", PAGE), ("rights", "0x2000", PAGE), ("moves", "0x3000", PAGE), ("appears", "0x4000", PAGE),
        ("disappears", "0x5000", PAGE), ("appears", "0x8000", 2 * PAGE)], ranges
    assert ranges[0]["a"] == mapped(0x1000, PAGE, 0x300000, "rw") and ranges[0]["b"] is None
    assert ranges[1]["a"]["writable"] is True and ranges[1]["b"] == mapped(0x2000, PAGE, 0x301000, "r")
    assert ranges[5]["b"] == mapped(0x8000, 2 * PAGE, 0x7000000, "rw")
    assert answer["differences"] == 9
    text = inspect(FINDINGS, *a.head, "diff", b.path, *b.head[1:])
    assert "  ~ IOVA 0x2000-0x2fff: 0x301000-0x301fff rw -> 0x301000-0x301fff r\n" in text, text
    assert "  + IOVA 0x8000-0x9fff: 0x7000000-0x7001fff rw\n" in text, text
    assert "- 0000:00:07.0: domain 8, second stage, tables at " in text, text
    assert last_line(text) == "9 differences."
    # Of what a dump does not hold nothing is said.
    i.missing.add(b.pte & ~0xFFF)
    i.elf(b.path)
    answer = ask(INCOMPLETE, *a.head, "diff", b.path, *b.head[1:])
    assert answer["ranges"] == [] and answer["differences"] == 3 and answer["unknown_bytes"] == 2 * MIB, answer


def test_diff_of_many_ranges(folder):
    head_a = wide(folder, 140000, "a.elf")
    head_b = wide(folder, 140000, "b.elf", changes={0, 65535, 65536, 70000, 70001, 139999})
    answer = ask(FINDINGS, *head_a, "diff", *head_b)
    assert [(r["what"], r["iova"], r["size"]) for r in answer["ranges"][0]["ranges"]] == [
        ("disappears", "0x0", PAGE), ("disappears", hex(65535 * PAGE), PAGE), ("disappears", hex(65536 * PAGE), PAGE),
        ("disappears", hex(70000 * PAGE), PAGE), ("disappears", hex(70001 * PAGE), PAGE),
        ("disappears", hex(139999 * PAGE), PAGE)], answer["ranges"]


def test_wrong_usage(folder):
    m = Machine(folder)
    for part, *arguments in [
            ("not a requester", "translate", "00:02", "0x1000"), ("not a requester", "ranges", "zz:00.0"),
            ("not a requester", "ranges", "00:02.9"), ("no unit has an entry", "ranges", "00:0a.0"),
            ("no unit has an entry", "walk", "0001:00:02.0"), ("not an address", "translate", "00:02.0", "12g"),
            ("not an address", "translate", "00:02.0", "-1"), ("not an address", "walk", "00:02.0", "0x1" + "0" * 16),
            ("are needed", "translate", "00:02.0"), ("too many", "translate", "00:02.0", "1", "2"),
            ("missing", "ranges"), ("too many", "ranges", "00:02.0", "00:03.0"), ("missing", "walk"),
            ("not a number of levels", "walk", "00:02.0", "--depth", "7"), ("--bogus", "walk", "00:02.0", "--bogus"),
            ("missing", "reach"), ("not an address", "reach", "5-4"), ("not an address", "reach", "0x1000+0"),
            ("not an address", "reach", "1-2-3"), ("not an address", "reach", "ffffffffffffffff+2"),
            ("too many", "reach", "1", "2"), ("second dump is missing", "diff"), ("bogus", "bogus")]:
        refuses(USAGE, part, *m.head, *arguments)
    # The arguments are looked at before the dump.
    refuses(USAGE, "not an address", folder / "none", "reach", "x")


def test_bad_dumps(folder):
    m = Machine(folder)
    refuses(BAD_INPUT, "No such file", folder / "none", "ranges", "00:02.0")
    refuses(BAD_INPUT, "directory", folder, "ranges", "00:02.0")
    (folder / "empty").write_bytes(b"")
    refuses(BAD_INPUT, "empty", folder / "empty", "ranges", "00:02.0")
    data = m.path.read_bytes()
    for size in (3, 40, 64, 100, 300):
        (folder / "cut").write_bytes(data[:size])
        refuses(BAD_INPUT, {3: "not a dump", 40: "damaged header"}.get(size, "cut"), folder / "cut", *m.head[1:], "ranges", "00:02.0")
    refuses(BAD_INPUT, "none", *m.head, "diff", folder / "none")
    # Names that would confuse a terminal are cleaned.
    done = run("inspect", folder / "a\n\x1b[31m", "ranges", "00:02.0")
    assert done.returncode == BAD_INPUT and done.stderr.count(b"\n") == 1 and b"\x1b" not in done.stderr


def test_unknown_root(folder):
    m = Machine(folder)
    m.image.missing.add(m.root)
    m.image.elf(m.path)
    done = run("inspect", *m.head, "translate", "00:02.0", "0x1000")
    assert last_line(done.stdout.decode()) == \
        "00:02.0 0x1000: unknown: the dump does not hold a table on the way to its entry", done
    assert done.returncode == INCOMPLETE and b"incomplete" in done.stderr, done
    assert ask(INCOMPLETE, *m.head, "translate", "00:02.0", "0x1000")["answer"] == "unknown"
    answer = ask(INCOMPLETE, *m.head, "reach", "0x1000")
    assert answer["nobody"] is False and len(answer["unknown"]) == 1, answer


def wide(folder, pages=40000, name="wide.elf", changes=()):
    """A requester with many ranges, every page one of its own; pages in changes are left out."""
    i = Image()
    root, tables = i.table(), i.table()
    i.second_stage(root, rid("00:02.0"), tables, 1)
    i.map(tables, (pages - 1) * PAGE, 0)
    for n in range(pages):
        if n % 512 == 0:
            leaves = i.map(tables, n * PAGE, 0)
        i.put(leaves + 8 * (n % 512), 0 if n in changes else (n * 2 + 1) * PAGE | 3)
    return [i.elf(folder / name), "--vtd-root", f"{root:#x},legacy"]


def test_pipes_and_disks(folder):
    head = [str(word) for word in wide(folder)]
    for options in ([], ["--json"], ["--debugfs"]):
        command = [TOOL, "inspect", *head, "ranges", "00:02.0", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout.readline()
            process.stdout.close()
            error = process.stderr.read()
            status = process.wait(timeout=60)
        assert status == -signal.SIGPIPE and error == b"", (options, status, error)
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == SYSTEM and done.stderr.count(b"\n") == 1 and b"No space left" in done.stderr, (options, done)
    for verb in (["reach", "0x1000"], ["walk", "00:02.0"], ["findings"], ["units"], ["devices"], ["translate", "00:02.0", "0"]):
        for options in ([], ["--json"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([TOOL, "inspect", *head, *verb, *options], stdout=full, stderr=subprocess.PIPE,
                                      timeout=60, check=False)
            assert done.returncode == SYSTEM and b"No space left" in done.stderr, (verb, options, done)


def test_interrupted(folder):
    head = [str(word) for word in wide(folder)]
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        for options in ([], ["--json"]):
            with subprocess.Popen([TOOL, "inspect", *head, "ranges", "00:02.0", *options], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as process:
                # The pipe is full before it can be through: it is at work when the signal comes.
                begin = os.read(process.stdout.fileno(), 1)
                time.sleep(0.3)
                process.send_signal(number)
                time.sleep(0.1)
                output, error = process.communicate(timeout=60)
            assert process.returncode == status, (number, options, process.returncode, error)
            assert b"interrupted" in error and error.count(b"\n") == 1, error
            assert len(output) < 1_000_000
            if options:
                answer = json.loads(begin + output)
                validate(answer)
                assert answer["partial"] is True
    assert list(folder.iterdir()) == [folder / "wide.elf"]


def endless(path):
    """A raw image with holes, of 64 GiB: tables that share the next one, so that walking them takes minutes."""
    root, contexts, tables = 0x1000, 0x2000, [0x3000, 0x4000, 0x5000, 0x6000]
    with open(path, "wb") as file:
        file.truncate(64 << 30)
        def put(at, *words):
            file.seek(at)
            file.write(b"".join(word.to_bytes(8, "little") for word in words))
        put(root, contexts | 1)
        put(contexts + 16 * 0x10, tables[0] | 1, 5 << 8 | 2)
        for table, below in zip(tables, tables[1:]):
            put(table, *[below | 3] * 512)
        put(tables[3], *[(n << 21) + (5 << 12) | 3 for n in range(512)])
    return [str(path), "--map", f"0-{64 << 30:#x}=0", "--no-kernel", "--no-note", "--vtd-root", f"{root:#x},legacy"]


def test_report_interrupted(folder):
    head = endless(folder / "image")
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen([TOOL, "inspect", *head, "report", "-o", folder / "page.html"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            time.sleep(1.5)
            assert process.poll() is None, process.communicate()
            process.send_signal(number)
            begin = time.monotonic()
            output, error = process.communicate(timeout=60)
        assert process.returncode == status, (number, process.returncode, error)
        assert output == b"" and error.count(b"\n") == 1 and b"interrupted" in error, error
        assert time.monotonic() - begin < 10
        assert [entry.name for entry in folder.iterdir()] == ["image"]


def test_colour(folder):
    m = Machine(folder)
    done = run("inspect", *m.head, "--color=always", "ranges", "00:02.0")
    assert b"\x1b[33mrw\x1b[0m" in done.stdout, done.stdout
    plain = inspect(OK, *m.head, "ranges", "00:02.0").encode()
    assert re.sub(rb"\x1b\[[0-9;]*m", b"", done.stdout) == plain
    assert run("inspect", *m.head, "--color=never", "ranges", "00:02.0").stdout == plain
    refuses(USAGE, "color", *m.head, "--color=sometimes", "ranges", "00:02.0")


def on_terminal(command, **environment):
    """What a command writes to a terminal."""
    try:
        parent, child = os.openpty()
    except OSError as error:  # a chroot without /dev/pts
        raise Skip(f"no terminals here: {error}") from error
    with subprocess.Popen([str(word) for word in command], stdout=child, stderr=subprocess.PIPE,
                          env={"TERM": "xterm", **environment}) as process:
        os.close(child)
        out = b""
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError:
                break
            if not piece:
                break
            out += piece
    os.close(parent)
    return out


def test_terminal(folder):
    m = Machine(folder)
    command = [TOOL, "inspect", *m.head, "ranges", "00:02.0"]
    assert b"\x1b[33mrw\x1b[0m" in on_terminal(command)
    assert b"\x1b" not in on_terminal(command, NO_COLOR="1")
    assert b"\x1b" not in on_terminal(command, TERM="dumb")
    assert b"\x1b[33mrw\x1b[0m" in on_terminal(command, NO_COLOR="")


def test_help_of_each_verb(folder):
    for verb in ("units", "devices", "walk", "ranges", "translate", "reach", "findings", "diff"):
        done = run("inspect", verb, "--help")
        text = done.stdout.decode()
        assert done.returncode == OK and done.stderr == b"", (verb, done)
        assert text.startswith(f"Usage: cofferdam inspect DUMP {verb}"), text
        assert max(map(len, text.splitlines())) <= 110, verb


if __name__ == "__main__":
    main(sys.modules[__name__])

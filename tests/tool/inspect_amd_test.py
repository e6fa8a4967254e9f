#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cofferdam inspect` over AMD-Vi: device tables, host and guest tables, on dumps that are made here."""
import json
import random
import re
import struct
import sys
import zlib

sys.dont_write_bytecode = True  # keeps the source tree clean

from amdimage import BLOCKED, GIB, MIB, PAGE, R, TV, V, W, AmdImage, rid, rights_of  # noqa: E402
from answers import BAD_INPUT, FINDINGS, INCOMPLETE, OK, USAGE, refuses, validate  # noqa: E402
from notefile import all_notes, note, summary  # noqa: E402
from tap import main, run  # noqa: E402

ALL = 1 << 64
EFR = 0x29D3 | 2 << 14 | 1 << 48  # as QEMU has it, with GCR3 tables of three levels


def inspect(status, *arguments):
    """Runs inspect, which must end with status; returns what it prints."""
    done = run("inspect", *arguments)
    text = done.stderr.decode()
    assert done.returncode == status, f"{arguments}: status {done.returncode}, not {status}: {text}"
    return done.stdout.decode()


def ask(status, *arguments):
    """The same with --json; the answer fits the schema and says nothing that is not in it."""
    answer = json.loads(inspect(status, *arguments, "--json"))
    validate(answer)
    assert answer["incomplete"] is (status == INCOMPLETE) and answer["partial"] is False, answer
    return answer


def mapped(iova, size, address, rights):
    """A range of the JSON answers."""
    return dict(kind="mapped", iova=hex(iova), size=size, address=hex(address), readable="r" in rights,
                writable="w" in rights)


class Machine:
    """One requester of each kind; the rest of the two pages of the device table is blocked."""

    def __init__(self, folder, notes=b"", name="vmcore"):
        i = self.image = AmdImage()
        self.tables = i.table()
        i.host(rid("00:02.0"), self.tables, 5, levels=3)
        i.host(rid("00:03.0"), self.tables, 5, levels=3, rights=R)  # the entry takes the right to write away
        self.pte = i.map_host(self.tables, 0x1000, 0x300000)
        i.map_host(self.tables, 0x2000, 0x30A000, R)
        i.map_host(self.tables, 0x3000, 0x302000, W)
        i.map_host(self.tables, 0x10000, 0x310000, log2=16)
        i.map_host(self.tables, 0x200000, 0x600000, log2=21)
        i.map_host(self.tables, 0x800000, 0x800000, log2=23)
        i.map_host(self.tables, 0x40000000, 0x40000000, R, log2=30)
        i.passes(rid("00:04.0"), 1)
        i.passes(rid("00:05.0"), 1, R)
        for function in range(6):
            i.entry(rid(f"00:07.{function}"), [0, 0, 0, 0])  # not valid: open
        self.high = i.table()
        i.host(rid("00:08.0"), self.high, 6, levels=6, more=1 << 32 | 1 << 34)
        i.map_host(self.high, 0x100000009A000, 0x303000, levels=6, skip=(2, 3, 4))
        i.map_host(self.high, 0xFE00_0000_0000_0000, 0x304000, levels=6, skip=(4, 5))
        self.path = i.elf(folder / name, notes)
        self.head = [self.path, "--amd-devtab", f"{i.devtab:#x},8K"]


# What 00:02.0 has mapped.
RANGES = [mapped(0x1000, PAGE, 0x300000, "rw"), mapped(0x2000, PAGE, 0x30A000, "r"), mapped(0x3000, PAGE, 0x302000, "w"),
          mapped(0x10000, 0x10000, 0x310000, "rw"), mapped(0x200000, 2 * MIB, 0x600000, "rw"),
          mapped(0x800000, 8 * MIB, 0x800000, "rw"), mapped(0x40000000, GIB, 0x40000000, "r")]


def read_only(ranges):
    """The same seen through an entry that lets reads alone through."""
    return [dict(r, writable=False) for r in ranges if r["readable"]]


# ---- where the table is
def test_units(folder):
    m = Machine(folder)
    unit, = ask(OK, *m.head, "units")["units"]
    assert unit == dict(name="unit 0", index=0, kind="AMD-Vi", segment=0, known_from="command line", translating=True,
                        mode="single", root=hex(m.image.devtab), table_size=2 * PAGE, root_read=True,
                        device_table=hex(m.image.register), requesters=11, host_address_width=52), unit
    text = inspect(OK, *m.head, "units")
    assert re.search(rf"^unit 0 +unknown +0000 +AMD-Vi +single +{m.image.devtab:x} of 8 KiB +11  the command line$", text,
                     re.M), text
    # The size in the register's bits; none at all: as far as it looks like one.
    for given in (f"{m.image.register:#x}", str(m.image.devtab), f"{m.image.devtab},8192", f"{m.image.devtab:#x},0x2000"):
        assert ask(OK, m.path, "--amd-devtab", given, "units")["units"] == [unit], given
    one = ask(OK, m.path, "--amd-devtab", f"{m.image.devtab:#x},4K", "units")["units"][0]
    assert (one["table_size"], one["requesters"]) == (PAGE, 11), one
    # The same table again; another one, and one of the other kind.
    assert len(ask(OK, *m.head, "--amd-devtab", f"{m.image.devtab:#x},4K", "units")["units"]) == 1
    more = ask(OK, *m.head, "--amd-devtab", "0x500000,4K", "--vtd-root", "0x600000", "units")["units"]
    assert [(u["name"], u["kind"]) for u in more] == [("unit 0", "AMD-Vi"), ("unit 1", "AMD-Vi"), ("unit 2", "VT-d")], more


def test_wrong_tables(folder):
    m = Machine(folder)
    for bad in ("", "table", "0x200200", "0x200000,", "0x200000,0", "0x200000,4097", "0x200000,4M", "0x200001,8K",
                "0x10000000000000", "-4096", "0x200000,8K ", "99999999999999999999999"):
        refuses(USAGE, "--amd-devtab", m.path, "--amd-devtab", bad, "units")
    refuses(USAGE, "--amd-devtab needs an argument", m.path, "--amd-devtab")
    assert "--amd-devtab ADDR" in inspect(OK, "--help") and "--amd-devtab ADDR" in inspect(OK, "units", "--help")
    # Nowhere; at the end of memory, whose second half is not there; in a page that is not in the dump.
    outside = ask(FINDINGS, m.path, "--amd-devtab", "0xfffff0000,2M", "devices")["devices"]
    assert [(d["span"], d["finding"], d["was"]) for d in outside] == [(65536, 174, "broken")], outside
    end = ask(FINDINGS, m.path, "--amd-devtab", "0xfff000,8K", "devices")["devices"]
    assert [(d["requester"], d["span"], d["finding"], d["was"]) for d in end] == [
        ("0000:00:00.0", 128, 0, "passed through"), ("0000:00:10.0", 128, 174, "broken")], end
    m.image.missing.add(m.image.devtab + PAGE)
    m.image.elf(m.path)
    gone = ask(INCOMPLETE, *m.head, "devices")["devices"][-1]
    assert (gone["requester"], gone["span"], gone["unknown"]) == ("0000:00:10.0", 128, True), gone
    done = run("inspect", *m.head, "translate", "00:1f.0", "0")
    assert done.returncode == INCOMPLETE and done.stdout.startswith(b"0000:00:10.0 and 127 more functions"), done


def test_scan(folder):
    m = Machine(folder)
    for arguments in ([], ["--no-note", "--no-kernel"], ["--scan"]):
        unit, = ask(OK, m.path, *arguments, "units")["units"]
        assert (unit["known_from"], unit["kind"], unit["root"], unit["table_size"]) == \
            ("guess", "AMD-Vi", hex(m.image.devtab), 2 * PAGE), unit
    assert ask(OK, m.path, "devices")["devices"] == ask(OK, *m.head, "devices")["devices"]
    assert "A guess: unit 0" in inspect(OK, m.path, "walk", "00:02.0")
    assert ask(OK, m.path, "reach", "0x300000")["guessed"] is True
    assert len(ask(OK, *m.head, "--scan", "units")["units"]) == 1
    # Pages before and behind it that look like parts of one: the table is where its size would be a multiple.
    for at in (m.image.devtab - PAGE, m.image.devtab + 2 * PAGE):
        for entry in range(128):
            m.image.put(at + 32 * entry, *BLOCKED)
    m.image.elf(m.path)
    unit, = ask(OK, m.path, "units")["units"]
    assert int(unit["root"], 16) <= m.image.devtab < int(unit["root"], 16) + unit["table_size"], unit
    # Two MiB of it, with nothing on bus 0.
    i = AmdImage(pages=512)
    tables = i.table()
    i.map_host(tables, 0x1000, 0x300000)
    i.host(rid("41:00.0"), tables)
    unit, = ask(OK, i.elf(folder / "large"), "units")["units"]
    assert (unit["root"], unit["table_size"], unit["requesters"]) == (hex(i.devtab), 2 * MIB, 1), unit


def registers(table, control=1):
    """struct dam_amdvi_registers: docs/note-format.md."""
    return struct.pack("<4Q6I", table, 0, 0, control, 0, 0, 0, 0, 0x18, 0)


def unit_note(table, base=0xFED80000, segment=0, control=1, status=0, kind=1):
    """A unit of the note, 168 bytes."""
    return struct.pack("<3QIHBBII", base, EFR, 8, 0, segment, status, 0, 0, 0) + registers(table, control) + \
        registers(0x73000000) + struct.pack("<4I", 0, kind, 0, 0)


def with_note(folder, *units, name="noted"):
    """The machine, with these units in its note: tables relative to its own."""
    m = Machine(folder)
    entries = b"".join(unit_note(m.image.register + u.pop("shift", 0), **u) for u in units)
    sections = [(1, 160, summary()), (2, 168, entries), (7, 16, struct.pack("<QQ", 0x610000, 0x612000))]
    m.path = m.image.elf(folder / name, all_notes(note(sections)))
    return m


def test_the_note(folder):
    m = with_note(folder, {}, dict(base=0xFEA00000), dict(base=0xFEB00000, control=0))
    answer = ask(FINDINGS, m.path, "units")["units"]  # one is off
    assert [(u["registers"], u["translating"], u["requesters"], u.get("table_of")) for u in answer] == [
        ("0xfed80000", True, 11, None), ("0xfea00000", True, 11, "unit 0"), ("0xfeb00000", False, 0, None)], answer
    assert (answer[0]["efr"], answer[0]["efr2"], answer[0]["control"], answer[0]["status"], answer[0]["known_from"]) == \
        (hex(EFR), "0x8", "0x1", "0x18", "note"), answer[0]
    devices = ask(FINDINGS, m.path, "devices")["devices"]
    plain = ask(OK, *m.head, "devices")["devices"]
    assert [d["requester"] for d in devices] == [d["requester"] for d in plain]  # once, though two units have it
    found = {f["code"] for f in ask(FINDINGS, m.path, "findings")["findings"]}
    assert {11, 28, 29, 32} == found, found  # off, passed through, ATS, into the crash region
    answer = ask(FINDINGS, m.path, "reach", "0x611000")
    assert answer["units_off"] == ["unit 2"] and (answer["readers"], answer["writers"]) == (9 + 1, 7 + 1), answer
    # Of several device tables the note keeps one.
    m = with_note(folder, dict(control=1 | 1 << 34))
    unit, = ask(INCOMPLETE, m.path, "units")["units"]
    assert (unit["mode"], unit["requesters"]) == ("segmented", 0), unit
    assert ask(INCOMPLETE, m.path, "reach", "0x300000")["nobody"] is False
    # A unit of a kind that is not known here is left out, and that is said.
    m = with_note(folder, {}, dict(kind=7))
    assert len(ask(INCOMPLETE, m.path, "units")["units"]) == 1
    # What the unit cannot do counts: here tables of six levels.
    m = with_note(folder, {})
    data = bytearray(open(m.path, "rb").read())
    narrow = struct.pack("<Q", EFR & ~0xC00)
    at = data.index(struct.pack("<Q", EFR))
    data[at:at + 8] = narrow
    start = data.index(struct.pack("<Q", 0x4D41445246464F43))
    size = struct.unpack_from("<I", data, start + 12)[0]
    data[start + 16:start + 20] = bytes(4)
    struct.pack_into("<I", data, start + 16, zlib.crc32(data[start:start + size]))
    open(m.path, "wb").write(data)
    wide, = [d for d in ask(FINDINGS, m.path, "devices")["devices"] if d["requester"] == "0000:00:08.0"]
    assert (wide["was"], wide["finding"]) == ("broken", 172), wide


# ---- requesters
def test_devices(folder):
    m = Machine(folder)
    devices = {d["requester"]: d for d in ask(OK, *m.head, "devices")["devices"]}
    assert list(devices) == [f"0000:00:{n}.0" for n in ("02", "03", "04", "05", "07", "08")], list(devices)
    nic, other = devices["0000:00:02.0"], devices["0000:00:03.0"]
    assert (nic["domain"], nic["stage"], nic["was"], nic["pasid"], nic["span"]) == (5, "second", "translated", None, 1), nic
    assert nic["mapped"] == dict(readable=GIB + 10 * MIB + 18 * PAGE, writable=10 * MIB + 18 * PAGE, tables=3,
                                 pages={"4K": 19, "2M": 5, "1G": 1}, unknown_tables=0, unknown_bytes=0, levels=3,
                                 root=hex(m.tables)), nic["mapped"]
    assert other["tree"] != nic["tree"] and other["mapped"]["writable"] == 0, other
    assert other["mapped"]["readable"] == nic["mapped"]["readable"], other
    through, half, free = (devices[f"0000:00:{n}.0"] for n in ("04", "05", "07"))
    ram = 0xA0000 + 0xF00000
    assert (through["stage"], through["was"], through["mapped"]["writable"]) == ("pass-through", "passed through", ram)
    assert (half["mapped"]["readable"], half["mapped"]["writable"]) == (ram, 0), half
    assert (free["span"], free["was"], free["mapped"]["writable"]) == (6, "passed through", ram), free
    assert free["vacant"] is False, free  # which functions there were nobody tells
    six = devices["0000:00:08.0"]
    assert (six["mapped"]["levels"], six["mapped"]["readable"], six["translated_requests"]) == (6, 2 * PAGE, True), six
    text = inspect(OK, *m.head, "devices")
    assert "0000:00:07.0 and 5 more functions" in text, text
    # Functions that the table blocks, and those beyond it, have no entry.
    refuses(USAGE, "no unit has an entry for it", *m.head, "translate", "00:06.0", "0")
    refuses(USAGE, "no unit has an entry for it", *m.head, "translate", "01:00.0", "0")
    assert ask(OK, *m.head, "translate", "00:07.3", "0x1234")["address"] == "0x1234"


def test_broken_entries(folder):
    i = AmdImage()
    cases = {  # requester: (words, finding)
        "00:01.0": ([V | TV | 4, 0, 0, 0], None),  # it lets nothing pass: what else it says is all the same
        "00:02.0": ([V | TV | 3 << 9 | 4 | i.table() | rights_of(R | W), 0, 0, 0], 170),
        "00:03.0": ([V | TV | 7 << 9 | i.table() | rights_of(R | W), 0, 0, 0], 171),
        "00:04.0": ([V | TV | 3 << 9 | 0xFFFFF000000 | rights_of(R | W), 0, 0, 0], 173),
        "00:05.0": ([V | TV | 1 << 55 | 1 << 54 | 3 << 56 | rights_of(R | W), 0, 0, 0], 172),
        "00:06.0": ([V | TV | 3 << 9 | i.table() | rights_of(R | W), 0, 1 << 52, 0], 170),
    }
    for name, (words, _) in cases.items():
        i.entry(rid(name), words)
    path = i.elf(folder / "vmcore")
    devices = {d["requester"][5:]: d["finding"] for d in ask(FINDINGS, path, "--amd-devtab", hex(i.register), "devices")["devices"]}
    assert devices == {name: finding for name, (_, finding) in cases.items() if finding}, devices
    found = ask(FINDINGS, path, "--amd-devtab", hex(i.register), "findings")["findings"]
    assert {(f["requester"][5:], f["code"]) for f in found} == set(devices.items()), found
    assert [f["raw"] for f in found if f["requester"] == "0000:00:06.0"] == [hex(1 << 52)], found
    answer = ask(FINDINGS, path, "--amd-devtab", hex(i.register), "walk", "00:03.0")
    assert answer["steps"][0]["decoded"]["levels"] == 7 and "tables" not in answer, answer


# ---- tables
def test_walk(folder):
    m = Machine(folder)
    i = m.image
    answer = ask(OK, *m.head, "walk", "00:02.0", "0x12345")
    step, = answer["steps"]
    words = [V | TV | 3 << 9 | m.tables | rights_of(R | W), 5, 0, 0]
    assert (step["what"], step["at"], step["raw"]) == \
        ("device table entry", hex(i.devtab + 32 * 0x10), [hex(w) for w in words]), step
    said = step["decoded"]
    assert (said["valid"], said["translation_valid"], said["type"], said["levels"], said["host_table"], said["domain"]) == \
        (True, True, "host tables", 3, hex(m.tables), 5), said
    assert (said["readable"], said["writable"], said["guest_translation"], said["interrupt_table_valid"]) == \
        (True, True, False, False), said
    leaf = answer["levels"][-1]
    assert (leaf["level"], leaf["index"], leaf["kind"], leaf["address"], leaf["page_size"]) == \
        (0, 0x12, "page", "0x310000", 0x10000), leaf
    assert (answer["answer"], answer["address"]) == ("mapped", "0x312345"), answer
    assert ask(OK, *m.head, "translate", "00:02.0", "0x812345")["page_size"] == 8 * MIB
    text = inspect(OK, *m.head, "walk", "00:03.0", "0x1000")
    assert "device table entry at" in text and "=> 0x300000, r\n" in text, text
    assert "valid, translation valid, host tables, levels 3, host table" in text, text
    # Levels left out, and the six of the widest tables.
    answer = ask(OK, *m.head, "walk", "00:08.0", "0x100000009a000")
    assert [(l["level"], l["name"]) for l in answer["levels"]] == [(5, "PML6E"), (4, "PML5E"), (0, "PTE")], answer
    assert answer["levels"][1]["levels_left_out"] == 3 and answer["address"] == "0x303000", answer
    assert ask(OK, *m.head, "translate", "00:08.0", "0xfe00000000000fff")["address"] == "0x304fff"
    assert ask(OK, *m.head, "translate", "00:08.0", "0xfe00100000000fff")["answer"] == "not mapped"
    assert ask(OK, *m.head, "translate", "00:02.0", "0x8000000000")["answer"] == "beyond"
    # A page of several entries is one line.
    tables = ask(OK, *m.head, "walk", "00:02.0", "--depth", "6")["tables"]
    low = [(e["index"], e["count"], e["kind"], e["address"], e["page_size"]) for e in tables[-1]["entries"]]
    assert low == [(1, 1, "page", "0x300000", PAGE), (2, 1, "page", "0x30a000", PAGE), (3, 1, "page", "0x302000", PAGE),
                   (16, 16, "page", "0x310000", 0x10000)], low
    text = inspect(OK, *m.head, "walk", "00:02.0", "--depth", "6")
    assert re.search(r"^ +16-31 .* page of 64 KiB at 0x310000, rw$", text, re.M), text
    assert re.search(r"PML6 at .*\n +0 .*PML5 at", inspect(OK, *m.head, "walk", "00:08.0")), text
    assert "left out" in inspect(OK, *m.head, "walk", "00:08.0", "--depth", "6")
    refuses(USAGE, "Linux has no such file for AMD-Vi", *m.head, "ranges", "00:02.0", "--debugfs")
    assert "=> pass-through: every address leads to itself, read only" in inspect(OK, *m.head, "walk", "00:05.0")


def test_interrupts_are_decoded(folder):
    m = Machine(folder)
    m.image.put(m.image.devtab + 32 * 0x10 + 16, 1 | 9 << 1 | 0x345680 | 1 << 57 | 2 << 60 | 1 << 62)
    m.image.elf(m.path)
    said = ask(OK, *m.head, "walk", "00:02.0", "0x1000")["steps"][0]["decoded"]
    assert (said["interrupts"], said["interrupt_table"], said["interrupt_entries"]) == \
        ("interrupts remapped", "0x345680", 512), said
    assert (said["extint_passes"], said["lint0_passes"], said["nmi_passes"]) == (True, True, False), said


def test_ranges(folder):
    m = Machine(folder)
    answer = ask(OK, *m.head, "ranges", "00:02.0")
    assert answer["ranges"] == RANGES, answer["ranges"]
    assert answer["writable_bytes"] == 10 * MIB + 18 * PAGE, answer
    assert ask(OK, *m.head, "ranges", "00:03.0")["ranges"] == read_only(RANGES)
    assert [(r["readable"], r["writable"]) for r in ask(OK, *m.head, "ranges", "00:05.0")["ranges"]] == 2 * [(True, False)]
    assert ask(OK, *m.head, "ranges", "00:08.0")["ranges"] == [
        mapped(0x100000009A000, PAGE, 0x303000, "rw"), mapped(0xFE00 << 48, PAGE, 0x304000, "rw")]
    assert "Pass-through: every address leads to itself, read only." in inspect(OK, *m.head, "ranges", "00:05.0")


def test_entries_of_one_page_that_differ(folder):
    m = Machine(folder)
    slot = m.pte + 8 * (16 + 5 - 1)
    m.image.put(slot, m.image.get(slot) & ~(1 << 62))
    m.image.elf(m.path)
    ranges = ask(FINDINGS, *m.head, "ranges", "00:02.0")["ranges"]
    assert [r for r in ranges if r["kind"] == "broken"] == [dict(kind="broken", iova="0x10000", size=0x10000)], ranges
    answer = ask(FINDINGS, *m.head, "walk", "00:02.0", "0x1f000")
    assert answer["answer"] == "broken", answer
    assert ask(FINDINGS, *m.head, "translate", "00:02.0", "0x10000")["answer"] == "broken"
    assert "not alike the other entries of its page" in inspect(FINDINGS, *m.head, "translate", "00:02.0", "0x10000")
    assert "not alike: refused" in inspect(FINDINGS, *m.head, "walk", "00:02.0", "--depth", "6")
    assert 37 in {f["code"] for f in ask(FINDINGS, *m.head, "findings")["findings"]}


def test_hostile_tables(folder):
    i = AmdImage()
    me = i.table()
    for index in range(512):
        i.put(me + 8 * index, me | 1 | 5 << 9 | rights_of(R | W))  # all lead to the table itself, level 5
    i.host(rid("00:02.0"), me, levels=6)
    low = i.table()
    i.put(low, low | 1 | 2 << 9 | rights_of(R | W), 0x10000000000 | 1 | 1 << 9 | rights_of(R | W))
    i.host(rid("00:03.0"), low, levels=2)
    i.host(rid("00:04.0"), i.devtab, levels=1)  # the device table as a page table
    hole = i.table()
    i.missing.add(hole)
    i.host(rid("00:05.0"), hole, levels=6)
    path = i.elf(folder / "vmcore")
    head = [path, "--amd-devtab", hex(i.register)]
    for verb in (["devices"], ["findings"], ["reach", "0x300000"], ["report", "-o", folder / "page.html"]):
        assert run("inspect", *head, *verb).returncode in (FINDINGS, INCOMPLETE), verb
    assert ask(FINDINGS, *head, "translate", "00:02.0", "0x12345678")["answer"] == "broken"
    assert ask(FINDINGS, *head, "walk", "00:02.0")["tables"][0]["more"] >= 0
    ranges = ask(FINDINGS, *head, "ranges", "00:03.0")["ranges"]
    assert ranges == [dict(kind="broken", iova="0x0", size=4 * MIB)], ranges
    lost = [d for d in ask(INCOMPLETE, *head, "devices")["devices"] if d["requester"] == "0000:00:05.0"][0]
    assert lost["mapped"]["unknown_bytes"] == ALL - 1 and lost["mapped"]["unknown_tables"] == 1, lost
    ranges = ask(INCOMPLETE, *head, "ranges", "00:05.0")["ranges"]
    assert [(r["kind"], r["iova"], r["size"]) for r in ranges] == [("unknown", "0x0", 1 << 63),
                                                                   ("unknown", hex(1 << 63), 1 << 63)], ranges


def test_against_an_independent_reader(folder):
    sizes = [12, 12, 12, 13, 15, 16, 18, 20, 21, 21, 23, 26]
    for seed in range(6):
        rng = random.Random(seed)
        i = AmdImage()
        known = {}
        for device in range(1, 7):
            tables, levels = i.table(), rng.randrange(2, 7)
            i.host(device << 3, tables, device, levels, rng.choice((R, W, R | W, R | W)))
            skip = {level for level in range(2, levels) if rng.random() < 0.3}
            known[device] = []
            # Above 2 GiB a table of a lower level begins anew, so that what is left out is 0.
            at = 0
            for _ in range(40):
                log2 = rng.choice(sizes if levels > 2 and not skip else [12, 13, 16, 20])
                at = -(-(at + rng.choice((0, 0, PAGE, 37 * PAGE))) >> log2) << log2
                if at >> (21 if skip or levels == 2 else 12 + 9 * levels):
                    break
                i.map_host(tables, at, rng.randrange(0, 1 << 33, 1 << log2), rng.choice((R, W, R | W, R | W)), log2, levels, skip)
                known[device].append((at, 1 << log2))
                at += 1 << log2
        path = i.elf(folder / f"{seed}.elf")
        head = [path, "--amd-devtab", hex(i.register)]
        for device, leaves in known.items():
            name = f"00:{device:02x}.0"
            told = ask(OK, *head, "ranges", name)["ranges"]
            for start, size in leaves:
                for iova in (start, start + size - 1, start + rng.randrange(size), start + size):
                    want = i.translate(device << 3, iova)
                    hit = [r for r in told if int(r["iova"], 16) <= iova < int(r["iova"], 16) + r["size"]]
                    if isinstance(want, str):
                        assert hit == [] and want in ("not mapped", "beyond"), (seed, name, hex(iova), want, hit)
                        continue
                    r, = hit
                    assert (int(r["address"], 16) + iova - int(r["iova"], 16), r["readable"], r["writable"]) == want, \
                        (seed, name, hex(iova), want, r)
            start, size = rng.choice(leaves)
            iova, want = start + rng.randrange(size), None
            want = i.translate(device << 3, iova)
            answer = ask(OK, *head, "translate", name, hex(iova))
            if isinstance(want, str):
                assert answer["answer"] == want, (seed, name, hex(iova), want, answer)
            else:
                assert (int(answer["address"], 16), answer["readable"], answer["writable"]) == want, answer


# ---- guests
def test_guest_tables(folder):
    i = AmdImage()
    tables, other, gcr3, host = i.table(), i.table(), i.table(), i.table()
    i.map(tables, 0x1000, 0x300000, first=True)
    i.map(tables, 0xFFFF_8000_0000_0000 & (1 << 48) - 1, 0x301000, R, first=True)
    i.map(other, 0x200000, 0x600000, level=1, levels=5, first=True)
    i.guest(rid("00:02.0"), gcr3, 7, gcr3_levels=2)
    i.gcr3(gcr3, 0, tables, 2)
    i.gcr3(gcr3, 0x2A5, tables, 2)
    wide = i.table()
    i.guest(rid("00:03.0"), wide, 8, guest_levels=5, plain=False)
    i.gcr3(wide, 1, other)
    i.map_host(host, 0x1000, 0x302000)
    i.guest(rid("00:04.0"), 0x5000, 9, host=(3, host), rights=R)
    path = i.elf(folder / "vmcore")
    head = [path, "--amd-devtab", hex(i.register)]
    devices = {d["requester"][5:]: d for d in ask(OK, *head, "devices")["devices"]}
    assert list(devices) == ["00:02.0", "00:02.0@2a5", "00:03.0", "00:03.0@1", "00:04.0"], list(devices)
    first = devices["00:02.0"]
    assert (first["stage"], first["pasid"], first["domain"], first["requests_without_pasid"]) == ("first", 0, 7, True), first
    assert first["tree"] == devices["00:02.0@2a5"]["tree"] and first["mapped"]["readable"] == 2 * PAGE, first
    assert (devices["00:03.0"]["was"], devices["00:03.0@1"]["mapped"]["levels"]) == ("passed through", 5), devices
    nested = devices["00:04.0"]
    assert (nested["stage"], nested["first_stage_root"], nested["mapped"]["writable"]) == ("nested", "0x5000", 0), nested
    assert ask(OK, *head, "translate", "00:02.0", "0xffff800000000010")["address"] == "0x301010"
    assert ask(OK, *head, "translate", "00:02.0@2a5", "0x1fff")["address"] == "0x300fff"
    assert ask(OK, *head, "ranges", "00:03.0@1")["ranges"] == [mapped(0x200000, 2 * MIB, 0x600000, "rw")], \
        ask(OK, *head, "ranges", "00:03.0@1")["ranges"]
    assert ask(OK, *head, "ranges", "00:04.0")["ranges"] == [mapped(0x1000, PAGE, 0x302000, "r")]
    assert "the guest tables of the GCR3 table at 0x5000" in inspect(OK, *head, "ranges", "00:04.0")
    steps = ask(OK, *head, "walk", "00:02.0@2a5", "0x1000")["steps"]
    assert [s["what"] for s in steps] == ["device table entry", "GCR3 table entry", "GCR3 table entry"], steps
    assert (steps[0]["decoded"]["gcr3_table"], steps[0]["decoded"]["gcr3_levels"]) == (hex(gcr3), 2), steps[0]
    assert steps[0]["decoded"]["pasid_0_for_requests_without"] is True and steps[0]["decoded"]["type"] == "guest tables"
    assert steps[2]["decoded"] == dict(present=True, guest_table=hex(tables)), steps[2]
    # A GCR3 table that leads outside, and one that the dump lacks.
    i.put(gcr3 + 8, 0xFFFFF000001)
    i.missing.add(wide)
    i.elf(path)
    devices = {d["requester"][5:]: d for d in ask(INCOMPLETE, *head, "devices")["devices"]}
    assert (devices["00:02.0@200"]["finding"], devices["00:02.0@200"]["span"]) == (73, 512), devices
    assert [d["unknown"] for n, d in devices.items() if n.startswith("00:03.0@")] == [True], devices


# ---- verbs over all
def test_reach(folder):
    m = Machine(folder)
    answer = ask(OK, *m.head, "reach", "0x312000")
    who = {name: g for g in answer["groups"] for name in g["requesters"]}
    assert who["0000:00:02.0"]["ranges"] == [mapped(0x12000, 1, 0x312000, "rw")], who
    assert who["0000:00:03.0"]["ranges"] == [mapped(0x12000, 1, 0x312000, "r")], who
    assert (who["0000:00:05.0"]["readable"], who["0000:00:05.0"]["writable"]) == (True, False), who
    assert "0000:00:08.0" not in who and (answer["trusted"], answer["vacant"]) == (["0000:00:08.0"], []), answer
    assert (answer["readers"], answer["writers"]) == (2 + 1 + 1 + 6, 1 + 1 + 6), answer
    i = AmdImage()
    tables = i.table()
    i.map_host(tables, 0x1000, 0x300000)
    i.host(rid("00:02.0"), tables)
    head = [i.elf(folder / "closed"), "--amd-devtab", hex(i.register)]
    assert ask(OK, *head, "reach", "0x301000")["nobody"] is True
    assert ask(OK, *head, "reach", "0x300000")["nobody"] is False


def test_diff(folder):
    a, b = Machine(folder, name="a"), Machine(folder, name="b")
    assert ask(OK, *a.head, "diff", b.path, *b.head[1:])["differences"] == 0
    b.image.host(rid("00:03.0"), b.tables, 5, rights=R | W)
    b.image.passes(rid("00:05.0"), 1, R | W)
    b.image.entry(rid("00:08.0"), BLOCKED)
    b.image.elf(b.path)
    answer = ask(FINDINGS, *a.head, "diff", b.path, *b.head[1:])
    assert [(r["what"], r["requester"][5:]) for r in answer["requesters"]] == [
        ("changes", "00:05.0"), ("disappears", "00:08.0")], answer["requesters"]
    rights = [r for g in answer["ranges"] for r in g["ranges"] if g["requesters"] != ["0000:00:08.0"]]
    assert {r["what"] for r in rights} <= {"rights", "appears"} and len(rights) >= 5, rights
    assert ask(FINDINGS, *a.head, "diff", b.path, "--amd-devtab", f"{b.image.devtab:#x},4K")["units"] == [
        dict(what="changes", unit="unit 0", member="table_size", a="8192", b="4096")]


def test_report(folder):
    m = Machine(folder)
    page = folder / "page.html"
    inspect(OK, *m.head, "report", "-o", page)
    text = page.read_text()
    assert '"kind":"AMD-Vi"' in text and '"device_table":' in text and '"table_size":8192' in text
    refuses(BAD_INPUT, "--vtd-root or --amd-devtab", AmdImage(fill=False).elf(folder / "empty"), "units")


if __name__ == "__main__":
    main(sys.modules[__name__])

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cofferdam inspect` and what all its verbs share: options, exit statuses, the verbs units and devices."""
import json
import re
import subprocess
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean

from answers import BAD_INPUT, FINDINGS, INCOMPLETE, OK, SYSTEM, USAGE, refuses, validate  # noqa: E402
from tap import TOOL, main, run  # noqa: E402
from vtdimage import PAGE, R, SCALABLE, W, Image, rid  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30
RAM = 0xA0000 + 0xF00000


def inspect(status, *arguments):
    """Runs inspect, which must end with status; returns what it prints."""
    done = run("inspect", *arguments)
    assert done.returncode == status, f"{arguments}: status {done.returncode}, not {status}: {done.stderr.decode()}"
    return done.stdout.decode()


def ask(status, *arguments):
    """The same with --json; the answer fits the schema and says nothing that is not in it."""
    answer = json.loads(inspect(status, *arguments, "--json"))
    validate(answer)
    assert answer["incomplete"] is (status == INCOMPLETE) and answer["partial"] is False, answer
    return answer


class Machine:
    """Legacy tables; the dump lacks a table of 00:06.0."""

    def __init__(self, folder, broken=False, holes=False):
        i = self.image = Image()
        self.root, self.tables = i.table(), i.table()
        i.second_stage(self.root, rid("00:02.0"), self.tables, 5)
        i.second_stage(self.root, rid("00:03.0"), self.tables, 5)
        i.map(self.tables, 0x1000, 0x300000)
        i.map(self.tables, 0x2000, 0x301000, R)
        i.map(self.tables, 0x200000, 0x600000, W, level=1)
        i.map(self.tables, 0x40000000, 0x80000000, R, level=2)
        i.second_stage(self.root, rid("00:04.0"), 0, 1, kind=2)
        if broken:
            i.context(self.root, rid("00:05.0"), i.table() | 0x11, 6 << 8 | 2)
        if holes:
            tables = i.table()
            i.second_stage(self.root, rid("00:06.0"), tables, 7)
            self.hole = i.map(tables, 0x1000, 0x700000) & ~(PAGE - 1)
            i.missing.add(self.hole)
        self.path = i.elf(folder / "vmcore")
        self.head = [self.path, "--vtd-root", f"{self.root:#x}"]


def test_units(folder):
    m = Machine(folder)
    unit = ask(OK, *m.head, "units")["units"]
    assert unit == [dict(name="unit 0", index=0, kind="VT-d", segment=0, known_from="command line", translating=True,
                         mode="legacy", root=hex(m.root), table_size=4096, root_read=True, rtaddr=hex(m.root),
                         requesters=3, host_address_width=52)], unit
    text = inspect(OK, *m.head, "units")
    assert re.search(rf"^unit 0 +unknown +0000 +VT-d +legacy +{m.root:x} +3  the command line$", text, re.M), text
    # The mode in the register's bits, or in words.
    for given in (f"{m.root | 0x400:#x}", f"{m.root},scalable"):
        assert ask(FINDINGS, m.path, "--vtd-root", given, "units")["units"][0]["mode"] == "scalable"
    # A root that is nowhere, and one that the dump lacks.
    assert ask(FINDINGS, m.path, "--vtd-root", "0xffff0000", "units")["units"][0]["root_read"] is False
    m.image.missing.add(m.root)
    m.image.elf(m.path)
    assert ask(INCOMPLETE, *m.head, "units")["units"][0]["root_read"] is False
    assert "cannot be read" in inspect(INCOMPLETE, *m.head, "units")


def test_devices(folder):
    m = Machine(folder)
    answer = ask(OK, *m.head, "devices")
    nic, other, through = answer["devices"]
    pages = {"4K": 2, "2M": 1, "1G": 1}
    assert nic == dict(requester="0000:00:02.0", pasid=None, span=1, unit="unit 0", unknown=False, domain=5,
                       stage="second", was="translated", finding=0, tree=0, vacant=False, translated_requests=False,
                       requests_without_pasid=True, findings=0,
                       mapped=dict(readable=2 * PAGE + GIB, writable=PAGE + 2 * MIB, pages=pages, tables=4,
                                   unknown_tables=0, unknown_bytes=0, levels=4, root=hex(m.tables))), nic
    assert other["tree"] == 0 and other["mapped"] == nic["mapped"], other
    assert (through["stage"], through["was"], through["findings"]) == ("pass-through", "passed through", 0), through
    assert through["mapped"]["readable"] == through["mapped"]["writable"] == RAM, through
    text = inspect(OK, *m.head, "devices")
    assert re.search(r"^0000:00:02\.0 +5  second +1 GiB +2 MiB  2 of 4K, 1 of 2M, 1 of 1G +0$", text, re.M), text
    assert re.search(r"^0000:00:04\.0 +1  pass-through .* all of RAM +0$", text, re.M), text
    assert inspect(OK, *m.head, "devices", "--color=always").count("\x1b[") > 10


def test_devices_that_are_broken_or_unknown(folder):
    m = Machine(folder, broken=True)
    broken = ask(FINDINGS, *m.head, "devices")["devices"][3]
    assert (broken["was"], broken["finding"], broken["tree"], broken["findings"]) == ("broken", 22, None, 1), broken
    assert broken["finding_text"] == "context entry with reserved bits set" and "mapped" not in broken, broken
    text = inspect(FINDINGS, *m.head, "devices")
    assert re.search(r"^0000:00:05\.0 +6  broken +- +- +- +1  context entry with reserved bits set$", text, re.M), text
    m = Machine(folder, broken=True, holes=True)
    hole = ask(INCOMPLETE, *m.head, "devices")["devices"][4]
    assert hole["mapped"]["unknown_tables"] == 1 and hole["mapped"]["unknown_bytes"] == 2 * MIB, hole
    assert hole["mapped"]["readable"] == 0 and hole["unknown"] is False, hole
    assert re.search(r"^0000:00:06\.0 +7  second +0 B\+\? +0 B\+\? ", inspect(INCOMPLETE, *m.head, "devices"), re.M)
    contexts = m.image.get(m.root) & ~0xFFF
    m.image.missing.add(contexts)
    m.image.elf(m.path)
    lost, = ask(INCOMPLETE, *m.head, "devices")["devices"]
    assert lost["unknown"] is True and lost["span"] == 256 and "mapped" not in lost, lost
    assert "0000:00:00.0 and 255 more functions" in inspect(INCOMPLETE, *m.head, "devices")


def test_devices_with_pasids(folder):
    i = Image()
    root, first, second = i.table(), i.table(), i.table()
    i.function(root, rid("00:02.0"), rid_pasid=3)
    i.pasid(root, rid("00:02.0"), 3, [1 << 6 | 1, 9, first])
    i.pasid(root, rid("00:02.0"), 0x2A, [second | 2 << 6 | 2 << 2 | 1, 10, 0])
    i.pasid(root, rid("00:02.0"), 0x2B, [second | 3 << 6 | 2 << 2 | 1, 11, 0x5000])
    i.map(first, 0x7FFFFFFFF000, 0x300000, R, first=True)
    i.map(second, 0x1000, 0x400000)
    path = i.elf(folder / "vmcore")
    answer = ask(OK, path, "--vtd-root", f"{root:#x},scalable", "devices")
    plain, other, nested = answer["devices"]
    assert (plain["requester"], plain["pasid"], plain["requests_without_pasid"]) == ("0000:00:02.0", 3, True), plain
    assert (plain["stage"], plain["mapped"]["readable"], plain["mapped"]["writable"]) == ("first", PAGE, 0), plain
    assert (other["requester"], other["pasid"], other["stage"]) == ("0000:00:02.0@2a", 0x2A, "second"), other
    assert (nested["stage"], nested["first_stage_root"], nested["tree"]) == ("nested", "0x5000", other["tree"]), nested
    assert [d["domain"] for d in answer["devices"]] == [9, 10, 11]


def test_without_a_verb(folder):
    m = Machine(folder, broken=True)
    answer = ask(FINDINGS, *m.head)
    assert answer["verb"] == "overview" and len(answer["units"]) == 1 and len(answer["devices"]) == 4, answer
    text = inspect(FINDINGS, *m.head)
    assert text.startswith("ELF dump, 15.6 MiB of RAM, of which it holds 15.6 MiB\n"), text
    assert "\nUNIT " in text and "\nREQUESTER " in text, text
    assert text.endswith('\n1 errors and 0 warnings about these tables: the verb "findings" lists them\n'), text


def test_a_scan_finds_the_tables(folder):
    m = Machine(folder)
    for i in range(8, 16):
        m.image.second_stage(m.root, rid(f"00:{i:02x}.0"), m.tables, 5)
    m.image.elf(m.path)
    for arguments in ([], ["--no-note", "--no-kernel"], ["--scan"]):
        unit, = ask(OK, m.path, *arguments, "units")["units"]
        assert (unit["known_from"], unit["root"], unit["mode"]) == ("guess", hex(m.root), "legacy"), unit
    assert "a guess" in inspect(OK, m.path, "units")
    # It is no second unit when it is known.
    assert len(ask(OK, *m.head, "--scan", "units")["units"]) == 1


def test_raw_images(folder):
    m = Machine(folder)
    whole = ask(OK, *m.head, "devices")["devices"]
    path = m.image.raw(folder / "image")
    ram = ["--map", "0-0xa0000=0", "--map=0x100000-0x1000000=0x100000"]
    assert ask(OK, path, "devices", *ram, "--vtd-root", hex(m.root))["devices"] == whole
    # The same bytes at other places of the file.
    data = open(path, "rb").read()
    open(path, "wb").write(data[0x100000:] + data[:0xA0000])
    moved = ["--map", "0x100000-0x1000000=0", "--map=0-0xa0000=0xf00000"]
    assert ask(OK, path, *moved, "devices", "--vtd-root", hex(m.root))["devices"] == whole


def test_options_may_stand_anywhere(folder):
    m = Machine(folder)
    wanted = json.loads(inspect(OK, *m.head, "units", "--json"))
    for line in (["--json", *m.head, "units"], [m.path, "--json", "units", "--vtd-root", hex(m.root)],
                 [m.path, "units", f"--vtd-root={m.root:#x}", "-j"]):
        assert json.loads(inspect(OK, *line)) == wanted, line


def test_wrong_usage(folder):
    m = Machine(folder)
    refuses(USAGE, "DUMP is missing")
    refuses(USAGE, "DUMP is missing", "--json")
    refuses(USAGE, 'no verb "devises"', m.path, "devises")
    refuses(USAGE, "unknown option --json5", m.path, "--json5")
    refuses(USAGE, "--vtd-root needs an argument", m.path, "--vtd-root")
    refuses(USAGE, "--color teal", m.path, "units", "--color", "teal")
    refuses(USAGE, "too many", *m.head, "devices", "00:02.0")
    for bad in ("", "0-0x1000", "0x1000-0x1000=0", "0-0x1800=0", "0-0x1000=1", "0-0x1000=0 ", "-1-0x1000=0"):
        refuses(USAGE, "--map", m.path, "--map", bad, "units")
    for bad in ("", "root", "0x200001", "0x200000,modern", "0x200800", "0x200c00"):
        refuses(USAGE, "--vtd-root", m.path, "--vtd-root", bad, "units")


def test_bad_input(folder):
    refuses(BAD_INPUT, "No such file", folder / "none", "units")
    refuses(BAD_INPUT, "directory", folder, "units")
    noise = folder / "noise"
    noise.write_bytes(bytes(range(256)) * 64)
    refuses(BAD_INPUT, "not a dump", noise, "devices")
    empty = Image().elf(folder / "empty")
    refuses(BAD_INPUT, "where the IOMMU's tables are is not known", empty, "units")


def test_help(_folder):
    text = inspect(OK, "--help")
    for word in ("devices", "units", "--vtd-root", "Exit status"):
        assert word in text, text
    for line in (["units", "--help"], ["-h", "units"], ["nowhere", "units", "--help", "--nonsense"]):
        assert inspect(OK, *line).startswith("Usage: cofferdam inspect DUMP units [OPTIONS]\n"), line
    assert "  inspect " in run("--help").stdout.decode()


def test_output_that_cannot_be_written(folder):
    m = Machine(folder)
    for arguments in (["devices"], ["devices", "--json"], []):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TOOL, "inspect", *map(str, m.head), *arguments], stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        assert done.returncode == SYSTEM, done
        assert b"cannot be written" in done.stderr, done.stderr


if __name__ == "__main__":
    main(sys.modules[__name__])

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cofferdam log` of the built tool, on dumps written here from the documented formats."""
import json
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean

from notefile import NOTE_TYPE, all_notes, elf_dump, elf_note, flatten, kdump_dump, note, summary, usual_note  # noqa: E402
from tap import Skip, fails, loads, main, run, succeeds  # noqa: E402


def write(path, data):
    path.write_bytes(data)
    return path


def dumps():
    """The usual note in every kind of dump: (name, bytes, format, flattened)."""
    notes = all_notes(usual_note())
    return [("elf", elf_dump(notes), "ELF", False), ("kdump", kdump_dump(notes), "kdump-compressed", False),
            ("flat-elf", flatten(elf_dump(notes)), "ELF", True),
            ("flat-kdump", flatten(kdump_dump(notes), 1000), "kdump-compressed", True),
            ("note", usual_note(), "note", False)]


def test_every_kind_of_dump(folder):
    first = None
    for name, data, form, flattened in dumps():
        o = loads("log", write(folder / name, data), "--json")
        assert o["file"]["format"] == form and o["file"]["flattened"] is flattened, name
        del o["file"]
        first = first or o
        assert o == first, name


def test_values(folder):
    o = loads("log", write(folder / "d", elf_dump(all_notes(usual_note()))), "--json")
    s = o["summary"]
    assert (s["version"], s["stop"], s["stop_text"], s["phase"], s["policy"]) == ("9.8.7", 0, "taken over", "verify", "freeze")
    assert s["us_since_entry"] == dict(discover=10, audit=20, plan=30, commit=40, verify=50, report=60)
    assert (s["pool_start"], s["pool_size"], s["pool_used"]) == ("0x73600000", 8 << 20, 0x68000)
    assert (s["image_start"], s["tables_read"], s["tsc_khz"]) == ("0x6f400000", 34, 2100000)
    u = o["units"][0]
    assert u["register_base"] == "0xfed90000" and u["cap"] == "0xd2008c222f0606" and u["us_translation_switch"] == 248
    assert u["before"] == dict(rtaddr="0x1b20000", iqa="0x11b7000", irta="0x120000f", iqh="0xb80", iqt="0xb80",
                               gsts="0xc7000000", fsts="0x0", fectl="0x0", pmen="0x0")
    assert u["after"]["rtaddr"] == "0x7362e000" and u["after"]["fectl"] == "0x80000000"
    r = o["requesters"][0]
    assert (r["requester"], r["policy"], r["was"]) == ("0000:00:02.0", "freeze", "translated")
    assert (r["old_readable"], r["old_writable"], r["new_readable"], r["new_writable"]) == (88, 77, 88, 0)
    assert o["requesters"][1]["requester"] == "0000:00:1f.3" and o["requesters"][1]["policy"] == "block"
    f = o["findings"][0]
    assert (f["code"], f["severity"], f["address"], f["raw"], f["iova"], f["index"]) == (
        32, "error", "0x27a7008", "0x1003", "0x1000", 7)
    assert o["keep_out"] == [dict(start="0x64000000", end="0x74000000")]
    assert o["command_line"] == ["cofferdam.policy=freeze"] and o["acpi_tables"][0]["signature"] == "MCFG"


def test_text(folder):
    text = succeeds("log", write(folder / "d", kdump_dump(all_notes(usual_note()))))
    for part in ("kdump-compressed", "Verdict        taken over\n", "Policy         freeze", "0000:00:02.0", "77 -> 0",
                 "mapping into the crash region", "0x64000000 to 0x73ffffff", "translation on", "MCFG"):
        assert part in text, part


def test_kernel_release(folder):
    o = loads("log", write(folder / "d", elf_dump(all_notes(usual_note(), "6.1.0-99-amd64"))), "--json")
    assert o["file"]["kernel_release"] == "6.1.0-99-amd64", o["file"]
    for data in (kdump_dump(all_notes(usual_note())), flatten(kdump_dump(all_notes(usual_note())))):
        assert loads("log", write(folder / "d", data), "--json")["file"]["kernel_release"] == "6.1.0-test"


def test_handed_over_untouched(folder):
    d = write(folder / "d", elf_dump(all_notes(note([(1, 160, summary(stop=6, phase=1, flags=0))]))))
    text = succeeds("log", d)
    assert "handed over UNTOUCHED: stop code 6, translation is off in every IOMMU" in text
    o = loads("log", d, "--json")
    assert o["summary"]["untouched"] is True and o["units"] == [] and o["requesters"] == []


def test_dump_without_note(folder):
    for make in (elf_dump, kdump_dump, lambda notes: flatten(elf_dump(notes))):
        fails(3, "no note", "log", write(folder / "d", make(all_notes(None))))
    fails(3, "no note", "log", write(folder / "d", elf_dump(b"")))


def test_broken_notes(folder):
    whole = usual_note()
    flipped = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    for data, part in [(whole[:len(whole) // 2], "the note is cut short"), (b"", "the note is cut short"),
                       (flipped, "bad checksum"), (note([(1, 160, summary())], version=2), "version 2"),
                       (b"x" + whole[1:], "damaged"), (note([(2, 160, bytes(160))]), "no summary")]:
        for make in (elf_dump, kdump_dump, lambda notes: flatten(kdump_dump(notes))):
            fails(1, part, "log", write(folder / "d", make(all_notes(data))))
            fails(1, part, "log", "--json", folder / "d")
    longer = elf_note("COFFERDAM", NOTE_TYPE, whole)
    fails(1, "cut short", "log", write(folder / "d", elf_dump(longer)[:300]))
    promise = bytearray(longer)
    struct.pack_into("<I", promise, 4, 1 << 19)
    fails(1, "cut short", "log", write(folder / "d", elf_dump(bytes(promise))))


def test_no_dump(folder):
    for data, part in [(b"", "empty"), (b"#!/bin/sh\n", "script"), (b"x" * 5000, "not a dump"),
                       (b"\x1f\x8b\x08\0" + bytes(100), "gzip"), (b"\x7fELF" + bytes(200), "ELF"),
                       (b"KDUMP   " + bytes(100), "cut short"), (b"makedumpfile" + bytes(5000), "type 0")]:
        fails(1, part, "log", write(folder / "d", data))
    fails(1, "not a core file", "log", sys.executable)
    fails(1, "No such file", "log", folder / "none")
    fails(1, "is a directory", "log", folder)
    fails(1, "seek", "log", "/dev/null")
    fails(2, "FILE is missing", "log")
    fails(2, "unknown option", "log", folder / "d", "--yaml")


def test_odd_file_names(folder):
    """Always one line, whatever the file is called."""
    fails(1, "a??b: not a dump", "log", write(folder / "a\n\x1bb", b"x" * 100))
    fails(1, "No such file", "log", folder / ("x" * 200))
    fails(2, "no command \"lo?g\"", "lo\ng")


def test_save_note(folder):
    d = write(folder / "d", kdump_dump(all_notes(usual_note())))
    succeeds("log", d, "--save-note", folder / "n")
    assert (folder / "n").read_bytes() == usual_note()
    assert loads("log", folder / "n", "--json")["summary"] == loads("log", d, "--json")["summary"]
    fails(2, "same file", "log", d, "--save-note", d)
    fails(4, "cannot be created", "log", d, "--save-note", folder / "none" / "n")


def test_dmar_inside(folder):
    dmar = bytearray(b"DMAR" + struct.pack("<I", 64) + bytes([1, 0]) + b"OEMID TABLE ID" + bytes(12) + bytes([38, 1]) +
                     bytes(10) + struct.pack("<HHBBHQ", 0, 16, 1, 0, 0, 0xFED90000))
    dmar[9] = -sum(dmar) & 255
    d = write(folder / "d", elf_dump(all_notes(note([(1, 160, summary()), (5, 1, bytes(dmar))]))))
    table = loads("log", d, "--json")["acpi_tables"][0]
    assert table["structures"][0]["base"] == "0xfed90000" and table["checksum_ok"] is True
    assert "registers at 0xfed90000" in succeeds("log", d)
    d = write(folder / "d", elf_dump(all_notes(note([(1, 160, summary()), (5, 1, bytes(dmar[:60]))]))))
    assert "cut short" in succeeds("log", d)  # a broken table inside a sound note: told, not refused
    assert loads("log", d, "--json")["acpi_tables"][0] == dict(signature="DMAR", length=60)


def test_terminal_is_safe(folder):
    nasty = b"cofferdam.\x1b[31m=\xff\n\0"
    d = write(folder / "d", elf_dump(all_notes(note([(1, 160, summary()), (6, 1, nasty)]))))
    assert "\x1b" not in succeeds("log", d) and "cofferdam.?[31m=??" in succeeds("log", d)
    assert json.loads(succeeds("log", d, "--json"))["command_line"] == ["cofferdam.?[31m=??"]


def test_makedumpfile_flattens_as_we_do(folder):
    """makedumpfile -R puts our flattened dump together again to the byte: the test's own format is right."""
    if shutil.which("makedumpfile") is None:
        raise Skip("makedumpfile is not installed")
    dump = kdump_dump(all_notes(usual_note()))
    out = folder / "out"
    subprocess.run(["makedumpfile", "-R", out], input=flatten(dump, 1000), capture_output=True, timeout=60, check=True)
    assert out.read_bytes() == dump


def test_full_standard_output(folder):
    d = write(folder / "d", elf_dump(all_notes(usual_note())))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([run.__globals__["TOOL"], "log", d], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 4 and b"cannot be written" in done.stderr, done


if __name__ == "__main__":
    main(sys.modules[__name__])

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cofferdam acpi` of the built tool: text, broken tables, statuses. acpi_corpus.py compares values."""
import re
import struct
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean

from tap import ROOT, Skip, fails, loads, main, run, succeeds  # noqa: E402

TABLES = ROOT / "tests" / "data" / "acpi"


def tables():
    """The real tables, or a skip."""
    found = sorted(TABLES.glob("DMAR-*.bin"))
    if not found:
        raise Skip("no tables in tests/data/acpi")
    return found


def test_text_and_json_tell_the_same(_folder):
    """acpi_corpus.py compares the JSON with other readers; the text must name the same structures and devices."""
    for path in tables()[::5]:
        text = succeeds("acpi", path)
        at = 0
        for entry in loads("acpi", path, "--json")["structures"]:
            for part in [entry["type"]] + [entry[key] for key in ("base", "limit", "register_base", "name") if key in entry]:
                at = text.index(part, at)
            for scope in entry.get("scopes", []):
                found = re.compile(rf"{scope['type']} +{re.escape(scope['device_path'])}").search(text, at)
                assert found, (path.name, scope)
                at = found.end()


def test_broken_tables(folder):
    table = folder / "table"
    whole = tables()[0].read_bytes()
    for data, part in [(b"", "0 bytes"), (whole[:20], "cut short"), (whole[:-1], "cut short"),
                       (b"IVRS" + whole[4:], "signature is \"IVRS\""), (b"\x7fELF" + bytes(100), "signature is \"?ELF\""),
                       (whole[:4] + struct.pack("<I", 40) + whole[8:], "a length of 40"),
                       (whole[:50] + b"\0\0" + whole[52:], "wrong length 0"),
                       (whole[:50] + b"\xff\xff" + whole[52:], "wrong length 65535")]:
        table.write_bytes(data)
        fails(1, part, "acpi", table)
        fails(1, part, "acpi", table, "--json")
    fails(1, "No such file", "acpi", folder / "none")
    fails(2, "TABLE is missing", "acpi")
    fails(2, "unknown option", "acpi", table, "--xml")


def test_wrong_checksum_is_told(folder):
    table = folder / "table"
    whole = bytearray(tables()[0].read_bytes())
    whole[9] ^= 1
    table.write_bytes(whole)
    assert "checksum WRONG" in succeeds("acpi", table)
    assert loads("acpi", table, "--json")["checksum_ok"] is False


def test_bytes_behind_the_table(folder):
    table = folder / "table"
    table.write_bytes(tables()[0].read_bytes() + bytes(16))
    done = run("acpi", table)
    assert done.returncode == 0 and b"16 bytes behind the table" in done.stderr


if __name__ == "__main__":
    main(sys.modules[__name__])

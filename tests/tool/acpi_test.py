#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cofferdam acpi` of the built tool: text, broken tables, statuses. acpi_corpus.py and ivrs_corpus.py compare values."""
import re
import struct
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean

from tap import ROOT, Skip, fails, loads, main, run, succeeds  # noqa: E402

TABLES = ROOT / "tests" / "data" / "acpi"


def tables(signature="DMAR"):
    """The real tables, or a skip."""
    found = sorted(TABLES.glob(f"{signature}-*.bin"))
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


def test_text_and_json_tell_the_same_of_ivrs(_folder):
    for path in tables("IVRS")[::5]:
        text = succeeds("acpi", path)
        at = 0
        for block in loads("acpi", path, "--json")["blocks"]:
            for part in [f"{block['type']} "] + [block[key] for key in ("device", "base", "start") if key in block]:
                at = text.index(part, at) + len(part)
            assert ("ignored" in text[at:text.index("\n", at)]) == (block.get("counts") is False), (path.name, block)
            for entry in block.get("entries", []):
                if entry["type"] == "padding":
                    continue
                first, last = entry["first"], entry["last"]
                span = first if first == last else f"{first} to {last}"
                words = [span] + [entry[key] for key in ("hid", "uid") if key in entry]
                if "alias" in entry:
                    words.append(f"as {entry['alias']}")
                words = ".*".join(map(re.escape, words))
                found = re.compile(rf"{entry['type']} +{words}").search(text, at)
                assert found, (path.name, entry)
                at = found.end()


def test_broken_tables(folder):
    table = folder / "table"
    whole = tables()[0].read_bytes()
    for data, part in [(b"", "0 bytes"), (whole[:20], "cut short"), (whole[:-1], "cut short"),
                       (b"FACP" + whole[4:], "signature is \"FACP\""), (b"\x7fELF" + bytes(100), "signature is \"?ELF\""),
                       (whole[:4] + struct.pack("<I", 40) + whole[8:], "a length of 40"),
                       (whole[:50] + b"\0\0" + whole[52:], "wrong length 0"),
                       (whole[:50] + b"\xff\xff" + whole[52:], "wrong length 65535")]:
        table.write_bytes(data)
        fails(1, part, "acpi", table)
        fails(1, part, "acpi", table, "--json")
    ivrs = tables("IVRS")[0].read_bytes()
    for data, part in [(ivrs[:-1], "cut short"), (ivrs[:50] + b"\x17\0" + ivrs[52:], "IVHD block (type 10h) at 30h: wrong length 23"),
                       (ivrs[:72] + b"\xff" + ivrs[73:], "wrong length in its device entry (type FFh) at +18h")]:
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

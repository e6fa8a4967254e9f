#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cofferdam acpi` of the built tool, against a second reading of every real DMAR table."""
import re
import struct
import subprocess
import sys

sys.dont_write_bytecode = True  # keeps the source tree clean

from tap import ROOT, Skip, fails, loads, main, run, succeeds  # noqa: E402

TABLES = ROOT / "tests" / "data" / "acpi"
KINDS = ["DRHD", "RMRR", "ATSR", "RHSA", "ANDD", "SATC", "SIDP"]
SCOPES = ["unknown", "endpoint", "bridge", "I/O APIC", "HPET", "namespace"]
HEADS = {"DRHD": 16, "RMRR": 24, "ATSR": 8, "SATC": 8, "SIDP": 8}


def scopes_of(data):
    """Device scopes as (type, id, path text)."""
    out = []
    while data:
        kind, length, _, _, number, bus = data[:6]
        steps = "/".join(f"{device:02x}.{function:x}" for device, function in zip(data[6:length:2], data[7:length:2]))
        out.append((SCOPES[kind] if kind < 6 else "unknown", number, f"{bus:02x}:{steps}"))
        data = data[length:]
    return out


def structures_of(table):
    """The remapping structures: a reading that shares nothing with the engine's."""
    out, at = [], 48
    while at < len(table):
        kind, length = struct.unpack_from("<HH", table, at)
        data = table[at:at + length]
        name = KINDS[kind] if kind < len(KINDS) else "unknown"
        entry = {"type": name, "type_id": kind, "length": length, "offset": at}
        if name in ("DRHD", "ATSR", "SATC"):
            entry["flags"] = data[4]
        if name in HEADS:
            entry["segment"] = struct.unpack_from("<H", data, 6)[0]
            entry["scopes"] = scopes_of(data[HEADS[name]:])
        if name in ("DRHD", "RMRR"):
            entry["base"] = hex(struct.unpack_from("<Q", data, 8)[0])
        if name == "RMRR":
            entry["limit"] = hex(struct.unpack_from("<Q", data, 16)[0])
        if name == "RHSA":
            entry["register_base"], entry["proximity_domain"] = struct.unpack_from("<QI", data, 8)
            entry["register_base"] = hex(entry["register_base"])
        if name == "ANDD":
            entry["device_number"] = data[7]
            entry["name"] = data[8:].split(b"\0")[0].decode()
        out.append(entry)
        at += length
    return out


def tables():
    """The real tables, or a skip."""
    found = sorted(TABLES.glob("DMAR-*.bin"))
    if not found:
        raise Skip("no tables in tests/data/acpi")
    return found


def test_every_real_table(_folder):
    """The same structures, values and device paths as this file's own reading."""
    seen = set()
    for path in tables():
        table = path.read_bytes()
        o = loads("acpi", path, "--json")
        assert o["signature"] == "DMAR" and o["length"] == len(table) and o["revision"] == table[8]
        assert o["checksum_ok"] is (sum(table) % 256 == 0) and o["host_address_width"] == table[36] + 1
        assert o["flags"] == table[37]
        got = []
        for entry in o["structures"]:
            if "scopes" in entry:
                entry["scopes"] = [(s["type"], s["enumeration_id"], s["device_path"]) for s in entry["scopes"]]
            got.append({k: v for k, v in entry.items()
                        if k not in ("include_pci_all", "all_ports", "atc_required", "registers_size")})
        assert got == structures_of(table), path.name
        seen |= {entry["type"] for entry in got}
    assert seen >= {"DRHD", "RMRR", "ATSR", "RHSA", "ANDD", "SATC", "SIDP"}, seen


def test_iasl_agrees(folder):
    """iasl's own decoding: the addresses of every DRHD and RMRR, in order. It does not know every type."""
    number = 0
    for path in tables()[::10]:
        table = folder / "dmar.dat"
        table.write_bytes(path.read_bytes())
        try:
            subprocess.run(["iasl", "-d", table.name], cwd=folder, capture_output=True, timeout=60, check=False)
        except FileNotFoundError as error:
            raise Skip("iasl is not installed") from error
        text = (folder / "dmar.dsl").read_text(errors="replace")
        theirs = re.findall(r"(?:Register Base Address|Base Address|End Address \(limit\)) : ([0-9A-F]{16})", text)
        ours = []
        for entry in loads("acpi", path, "--json")["structures"]:
            ours += [entry[key] for key in ("base", "limit") if entry["type"] in ("DRHD", "RMRR") and key in entry]
            if entry["type"] == "RHSA":
                ours.append(entry["register_base"])
            if entry["type"] not in KINDS[:5]:
                break  # iasl stops here
        assert [hex(int(address, 16)) for address in theirs][:len(ours)] == ours, path.name
        number += len(ours)
    assert number > 50, number


def test_text_names_every_device(_folder):
    path = tables()[0]
    text = succeeds("acpi", path)
    for entry in structures_of(path.read_bytes()):
        assert entry["type"] in text
        for kind, _, device in entry.get("scopes", []):
            assert re.search(rf"{kind} +{re.escape(device)}", text), device


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

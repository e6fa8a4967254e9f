#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every real DMAR table in tests/data/acpi must read the same here, by `cofferdam acpi --json`, and by iasl.

The reader in this file knows nothing of the engine: it is written from the tables of the VT-d architecture
specification (chapter 8) alone. iasl of Debian 12 does not know every structure type; it is compared as far as it
reads. Prints TAP.
"""
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
TOOL = TOP / "build/host/cofferdam"
TABLES = TOP / "tests/data/acpi"
SCOPE_WORDS = {1: "endpoint", 2: "bridge", 3: "I/O APIC", 4: "HPET", 5: "namespace"}
TYPES = ["DRHD", "RMRR", "ATSR", "RHSA", "ANDD", "SATC", "SIDP"]

# What the collection holds, counted once apart from this reader: so that a reader which stops early,
# or a collection which lost its files, is seen.
TOTALS = {"tables": 205, "scopes": 1237,
          "DRHD": 409, "RMRR": 332, "ATSR": 10, "RHSA": 8, "ANDD": 52, "SATC": 3, "SIDP": 3}


def read_scopes(data, at, end):
    scopes = []
    while at < end:
        kind, length, flags, _, ident, bus = struct.unpack_from("<6B", data, at)
        assert length >= 8 and at + length <= end, f"scope of {length} bytes at {at}"
        path = [(data[i], data[i + 1]) for i in range(at + 6, at + length - 1, 2)]
        scopes.append({"type": kind, "flags": flags, "id": ident, "bus": bus, "path": path})
        at += length
    return scopes


def read_structure(data, at):
    kind, length = struct.unpack_from("<HH", data, at)
    body = data[at:at + length]
    assert len(body) == length >= 4, f"structure of {length} bytes at {at}"
    out = {"type": TYPES[kind] if kind < len(TYPES) else "unknown", "type_id": kind, "length": length, "offset": at}
    scopes_at = {"DRHD": 16, "RMRR": 24, "ATSR": 8, "SATC": 8, "SIDP": 8}.get(out["type"])
    if scopes_at:
        out["segment"] = int.from_bytes(body[6:8], "little")
        out["scopes"] = read_scopes(data, at + scopes_at, at + length)
    if out["type"] in ("DRHD", "ATSR", "SATC"):
        out["flags"] = body[4]
    if out["type"] == "DRHD":
        out["base"] = int.from_bytes(body[8:16], "little")
        out["registers_size"] = 4096 << (body[5] % 16)
    elif out["type"] == "RMRR":
        out["base"] = int.from_bytes(body[8:16], "little")
        out["limit"] = int.from_bytes(body[16:24], "little")
    elif out["type"] == "RHSA":
        out["register_base"] = int.from_bytes(body[8:16], "little")
        out["proximity_domain"] = int.from_bytes(body[16:20], "little")
    elif out["type"] == "ANDD":
        out["device_number"] = body[7]
        out["name"] = body[8:body.index(0, 8)].decode("ascii")
    return out


def read_table(data):
    """The second reader."""
    assert data[:4] == b"DMAR" and struct.unpack_from("<I", data, 4)[0] == len(data)
    out = {"length": len(data), "revision": data[8], "checksum_ok": sum(data) % 256 == 0,
           "host_address_width": data[36] + 1, "flags": data[37], "structures": []}
    at = 48
    while at < len(data):
        out["structures"].append(read_structure(data, at))
        at += out["structures"][-1]["length"]
    return out


def number(value):
    return int(value, 0) if isinstance(value, str) else value


def tool_scope(scope):
    path = [(step["device"], step["function"]) for step in scope["path"]]
    text = f"{scope['start_bus']:02x}:" + "/".join(f"{device:02x}.{function:x}" for device, function in path)
    assert scope["device_path"] == text, f"device path {scope['device_path']}, not {text}"
    assert scope["type"] == SCOPE_WORDS.get(scope["type_id"], "unknown"), f"scope type {scope['type']}"
    assert "path_refused" not in scope, "a path was refused"
    return {"type": scope["type_id"], "flags": scope["flags"], "id": scope["enumeration_id"],
            "bus": scope["start_bus"], "path": path}


def tool_structure(structure):
    out = {}
    for key, value in structure.items():
        if key == "scopes":
            out[key] = [tool_scope(scope) for scope in value]
        elif key in ("include_pci_all", "all_ports", "atc_required"):
            assert value == bool(structure["flags"] & 1), f"{key} is {value}"
        elif key in ("type", "name"):
            out[key] = value
        else:
            out[key] = number(value)
    return out


def tool_table(path):
    """What our tool says, in the form of read_table()."""
    done = subprocess.run([TOOL, "acpi", path, "--json"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr.strip()}"
    table = json.loads(done.stdout)
    assert table["signature"] == "DMAR"
    keys = ("length", "revision", "checksum_ok", "host_address_width", "flags")
    out = {key: table[key] for key in keys}
    out["structures"] = [tool_structure(structure) for structure in table["structures"]]
    return out


IASL_LINE = re.compile(r"^\[[0-9A-F]{3,}h (\d{4,}) +\d+\] +(.*?) : (.*)$")


def iasl_lines(path, folder):
    done = subprocess.run(["iasl", "-p", str(Path(folder) / path.stem), "-d", str(path)],
                          capture_output=True, text=True, timeout=20, check=False)
    text = (Path(folder) / (path.stem + ".dsl")).read_text(encoding="latin-1")
    assert done.returncode == 0 or text, done.stderr
    for line in text.splitlines():
        match = IASL_LINE.match(line)
        if match:
            yield int(match[1]), match[2], match[3].split("[")[0].strip()


def iasl_field(structure, name, value):
    """Puts one line of iasl's about a structure into place; scopes open with their own first line."""
    scopes = structure.setdefault("scopes", [])
    if name == "Device Scope Type":
        scopes.append({"type": int(value, 16), "path": []})
    elif name == "Enumeration ID":
        scopes[-1]["id"] = int(value, 16)
    elif name == "PCI Bus Number":
        scopes[-1]["bus"] = int(value, 16)
    elif name == "PCI Path":
        scopes[-1]["path"].append(tuple(int(part, 16) for part in value.split(",")))
    elif name in ("Device Name",):
        structure["name"] = value.strip('"')
    else:
        key = {"Length": "length", "Flags": "flags", "PCI Segment Number": "segment",
               "Register Base Address": "base", "Base Address": "base", "End Address (limit)": "limit",
               "Proximity Domain": "proximity_domain", "Device Number": "device_number"}.get(name)
        if key:
            structure[key] = int(value, 16)


def iasl_table(path, folder):
    """What iasl says, as far as it knows the types."""
    out = {"structures": []}
    for offset, name, value in iasl_lines(path, folder):
        if name == "Subtable Type":
            out["structures"].append({"type_id": int(value, 16), "offset": offset})
        elif out["structures"]:
            iasl_field(out["structures"][-1], name, value)
        elif name == "Table Length":
            out["length"] = int(value, 16)
        elif name == "Revision":
            out["revision"] = int(value, 16)
        elif name == "Host Address Width":
            out["host_address_width"] = int(value, 16) + 1
        elif name == "Flags":
            out["flags"] = int(value, 16)
    if out["structures"] and out["structures"][-1]["type_id"] > 4:
        out["structures"].pop()  # where iasl gives up
    return out


def as_iasl(table, count):
    """Our reading, without what iasl's text does not have, cut to the structures that it reads."""
    out = {key: table[key] for key in ("length", "revision", "host_address_width", "flags")}
    out["structures"] = []
    for structure in table["structures"][:count]:
        short = {key: value for key, value in structure.items() if key not in ("type", "registers_size")}
        short["scopes"] = [{k: v for k, v in scope.items() if k != "flags"} for scope in structure.get("scopes", [])]
        if "register_base" in short:
            short["base"] = short.pop("register_base")
        out["structures"].append(short)
    return out


class Tap:
    def __init__(self):
        self.number = self.failed = 0

    def report(self, name, problem=None):
        self.number += 1
        self.failed += problem is not None
        print(f"{'not ok' if problem else 'ok'} {self.number} - {name}")
        for line in str(problem or "").splitlines():
            print(f"# {line}")

    def check(self, name, function):
        try:
            function()
        except (AssertionError, KeyError, ValueError, OSError, IndexError, subprocess.TimeoutExpired) as problem:
            self.report(name, f"{type(problem).__name__}: {problem}")
        else:
            self.report(name)

    def skip(self, name, why):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {why}")


def same(got, want):
    for key in want:
        if key != "structures":
            assert got[key] == want[key], f"{key}: {got[key]}, not {want[key]}"
    for i, (ours, theirs) in enumerate(zip(got["structures"], want["structures"])):
        assert ours == theirs, f"structure {i}:\n{ours}\nnot\n{theirs}"
    assert len(got["structures"]) == len(want["structures"]), f"{len(got['structures'])} structures"


def compare_iasl(path, folder, counts):
    theirs = iasl_table(path, folder)
    ours = tool_table(path)
    read = len(theirs["structures"])
    known = [s["type_id"] <= 4 for s in ours["structures"]]
    reach = known.index(False) if False in known else len(known)
    assert read == reach, f"iasl reads {read} structures, {reach} of types that it knows come first"
    same(theirs, as_iasl(ours, read))
    counts["iasl"] = counts.get("iasl", 0) + read


def main():
    tap = Tap()
    counts = {"tables": 0, "scopes": 0}
    paths = sorted(TABLES.glob("DMAR-*.bin"))
    for path in paths:
        tap.check(f"{path.name} as the second reader", lambda: same(tool_table(path), read_table(path.read_bytes())))
        table = read_table(path.read_bytes())
        counts["tables"] += 1
        for structure in table["structures"]:
            counts[structure["type"]] = counts.get(structure["type"], 0) + 1
            counts["scopes"] += len(structure.get("scopes", []))
    tap.report("the whole collection was read", None if counts == TOTALS else f"{counts}, not {TOTALS}")
    if not shutil.which("iasl"):
        tap.skip("all tables as iasl", "iasl is not installed (acpica-tools)")
    else:
        with tempfile.TemporaryDirectory() as folder:
            for path in paths:
                tap.check(f"{path.name} as iasl", lambda: compare_iasl(path, folder, counts))
        # All but the SATC and SIDP structures, behind which nothing else comes in these tables.
        want = sum(TOTALS[name] for name in TYPES[:5])
        tap.report("iasl read all structures of the types that it knows",
                   None if counts.get("iasl") == want else f"{counts.get('iasl')}, not {want}")
    print(f"1..{tap.number}")
    return 1 if tap.failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())

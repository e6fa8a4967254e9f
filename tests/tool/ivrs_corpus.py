#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every real IVRS table in tests/data/acpi must read the same here, by `cofferdam acpi --json`, and by iasl.

The reader in this file knows nothing of the engine. iasl of Debian 12 knows of blocks of type 40h no
more than their header; it is compared as far as it reads. Prints TAP.
"""
import json
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # keeps the source tree clean

from acpi_corpus import TABLES, TOOL, Tap, iasl_lines, same  # noqa: E402

# What the collection holds, counted once apart from this reader.
TOTALS = {"tables": 77, "IVHD 10h": 80, "IVHD 11h": 76, "IVHD 40h": 41, "IVMD 21h": 5, "unknown 51h": 3,
          "entry 00h": 166, "entry 02h": 71, "entry 03h": 209, "entry 43h": 188, "entry 48h": 571, "entry F0h": 147}
IASL_ENTRIES = 1272  # counted in iasl's texts; an end of a range is an entry there
WORDS = {0: "padding", 1: "all", 2: "device", 3: "range", 0x40: "padding", 0x42: "alias", 0x43: "alias range",
         0x46: "extended", 0x47: "extended range", 0xF0: "ACPI device"}


def little(data, at, width):
    assert at + width <= len(data), f"{width} bytes at {at} of {len(data)}"
    return int.from_bytes(data[at:at + width], "little")


def cut(field):
    return bytes(field).replace(b"\0", b" ").decode("ascii").rstrip()


def entry_size(data, at):
    kind = data[at]
    return 22 + data[at + 21] if kind == 0xF0 else 4 if kind < 0x40 else 8


def read_entry(data, at):
    """One entry, and how many bytes it has; a range with its end, which comes right behind in these tables."""
    kind = data[at]
    size = entry_size(data, at)
    out = {"type_id": kind, "offset": at, "setting": data[at + 3]}
    device = little(data, at + 1, 2)
    if kind in (3, 0x43, 0x47):
        assert data[at + size] == 4, f"a range without end at {at}"
        out["span"] = (device, little(data, at + size + 1, 2))
        size += 4
    elif kind in (2, 0x42, 0x46, 0xF0):
        out["span"] = (device, device)
    elif kind == 1:
        out["span"] = (0, 0xFFFF)
    elif kind == 0x48:
        device = little(data, at + 5, 2)
        out.update(span=(device, device), handle=data[at + 4], variety=data[at + 7])
    else:
        assert kind in (0, 0x40), f"type {kind:02x}h at {at}"
    if kind in (0x42, 0x43):
        out["alias"] = little(data, at + 5, 2)
    if kind in (0x46, 0x47):
        out["extended"] = little(data, at + 4, 4)
    if kind == 0xF0:
        out.update(hid=cut(data[at + 4:at + 12]), cid=cut(data[at + 12:at + 20]), uid_form=data[at + 20])
        uid = data[at + 22:at + size]
        out["uid"] = {0: "", 1: str(int.from_bytes(uid, "little")), 2: cut(uid)}[data[at + 20]]
    out["length"] = size
    return out


def read_block(data, at):
    kind, length = data[at], little(data, at + 2, 2)
    assert length >= 4 and at + length <= len(data), f"block of {length} bytes at {at}"
    body = data[at:at + length]
    out = {"type_id": kind, "flags": body[1], "length": length, "offset": at}
    if kind in (0x20, 0x21, 0x22):
        device = little(body, 4, 2)
        last = {0x20: 0xFFFF, 0x21: device, 0x22: little(body, 6, 2)}[kind]
        out.update(span=(0 if kind == 0x20 else device, last), segment=little(body, 8, 2), start=little(body, 16, 8),
                   size=little(body, 24, 8))
    elif kind in (0x10, 0x11, 0x40):
        out.update(device=little(body, 4, 2), capability=little(body, 6, 2), base=little(body, 8, 8),
                   segment=little(body, 16, 2), info=little(body, 18, 2), entries=[])
        out["features" if kind == 0x10 else "attributes"] = little(body, 20, 4)
        if kind != 0x10:
            out.update(efr=little(body, 24, 8), efr2=little(body, 32, 8))
        inside = 24 if kind == 0x10 else 40
        while inside < length:
            out["entries"].append(read_entry(body, inside))
            inside += out["entries"][-1]["length"]
    return out


def read_table(data):
    """The second reader."""
    assert data[:4] == b"IVRS" and little(data, 4, 4) == len(data)
    out = {"length": len(data), "revision": data[8], "checksum_ok": sum(data) % 256 == 0, "info": little(data, 36, 4),
           "structures": []}
    at = 48
    while at < len(data):
        out["structures"].append(read_block(data, at))
        at += out["structures"][-1]["length"]
    # The newest type that an IOMMU has a block of.
    newest = {}
    for block in out["structures"]:
        if "device" in block:
            key = (block["segment"], block["device"])
            newest[key] = max(newest.get(key, 0), block["type_id"])
    for block in out["structures"]:
        if "device" in block:
            block["counts"] = newest[(block["segment"], block["device"])] == block["type_id"]
    return out


def device(text):
    bus, slot, function = re.fullmatch(r"([0-9a-f]{2}):([01][0-9a-f])\.([0-7])", text).groups()
    return int(bus, 16) << 8 | int(slot, 16) << 3 | int(function)


def tool_numbers(o):
    out = {}
    for key, value in o.items():
        if key in ("device", "alias"):
            out[key] = device(value)
        elif key == "first":
            out["span"] = (device(value), device(o["last"]))
        elif key in ("base", "features", "attributes", "efr", "efr2", "start", "extended"):
            out[key] = int(value, 16)
        elif key not in ("type", "last", "flag_names", "entries"):
            out[key] = value
    assert "refused" not in o, o
    return out


def tool_entry(entry):
    kind = entry["type_id"]
    word = WORDS.get(kind) or {1: "I/O APIC", 2: "HPET"}[entry["variety"]]
    assert entry["type"] == word, f"type {entry['type']}, not {word}"
    return tool_numbers(entry)


def tool_block(block):
    out = tool_numbers(block)
    assert block["type"] == {1: "IVHD", 4: "IVHD", 2: "IVMD", 5: "unknown"}[block["type_id"] >> 4]
    if "entries" in block:
        out["entries"] = [tool_entry(entry) for entry in block["entries"]]
    return out


def tool_table(path):
    """What our tool says, in the form of read_table()."""
    done = subprocess.run([TOOL, "acpi", path, "--json"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr.strip()}"
    table = json.loads(done.stdout)
    assert table["signature"] == "IVRS"
    info = int(table["info"], 16)
    assert table["physical_bits"] == info >> 8 & 0x7F and table["virtual_bits"] == info >> 15 & 0x7F
    assert table["efr_supported"] == bool(info & 1) and table["dma_remap"] == bool(info & 2)
    assert table["ats_range_reserved"] == bool(info >> 22 & 1)
    return {"length": table["length"], "revision": table["revision"], "checksum_ok": table["checksum_ok"],
            "info": info, "structures": [tool_block(block) for block in table["blocks"]]}


IASL_BLOCK = {"Flags": "flags", "Length": "length", "DeviceId": "device", "Capability Offset": "capability",
              "Base Address": "base", "PCI Segment Group": "segment", "Virtualization Info": "info",
              "Feature Reporting": "features", "Attributes": "attributes", "EFR Image": "efr",
              "Start Address": "start", "Memory Length": "size", "Auxiliary Data": "aux"}
IASL_ENTRY = {"Device ID": "device", "Data Setting": "setting", "Source Used Device ID": "source", "Handle": "handle",
              "Variety": "variety"}


def iasl_table(path, folder):
    """The blocks that iasl's text has, raw: an end of a range is an entry of its own."""
    blocks = []
    for offset, name, value in iasl_lines(path, folder):
        if name == "Subtable Type":
            blocks.append({"type_id": int(value, 16), "offset": offset, "entries": []})
        elif name == "Entry Type" and blocks:
            blocks[-1]["entries"].append({"type_id": int(value, 16), "offset": offset})
        elif blocks and blocks[-1]["entries"] and name in IASL_ENTRY:
            blocks[-1]["entries"][-1][IASL_ENTRY[name]] = int(value, 16)
        elif blocks and not blocks[-1]["entries"] and name in IASL_BLOCK:
            blocks[-1][IASL_BLOCK[name]] = int(value, 16)
    return blocks


def as_iasl_entries(block):
    """Our entries in iasl's form."""
    out = []
    for entry in block["entries"]:
        kind, at = entry["type_id"], block["offset"] + entry["offset"]
        raw = {"type_id": kind, "offset": at, "setting": entry["setting"]}
        raw["device"] = entry["span"][0] if kind not in (0, 1, 0x40, 0x48) else 0
        if "alias" in entry:
            raw["source"] = entry["alias"]
        if kind == 0x48:
            raw.update(source=entry["span"][0], handle=entry["handle"], variety=entry["variety"])
        out.append(raw)
        if kind in (3, 0x43, 0x47):
            out.append({"type_id": 4, "offset": at + entry["length"] - 4, "device": entry["span"][1], "setting": 0})
    return out


def compare_iasl(path, folder, counts):
    theirs = iasl_table(path, folder)
    ours = tool_table(path)["structures"]
    assert len(theirs) == len(ours), f"iasl reads {len(theirs)} blocks, not {len(ours)}"
    for block, text in zip(ours, theirs):
        entries = text.pop("entries")
        if block["type_id"] in (0x10, 0x11):
            assert as_iasl_entries(block) == entries, f"{as_iasl_entries(block)}\nnot\n{entries}"
            counts["iasl entries"] = counts.get("iasl entries", 0) + len(entries)
        else:
            assert not entries, f"entries in a block of type {block['type_id']:02x}h: {entries}"
        if "span" in block:
            block["device"], last = block["span"]
            assert text.pop("aux") == (last if block["type_id"] == 0x22 else 0)
        for key, value in text.items():
            if key != "device" or "device" in block:
                assert block[key] == value, f"block at {block['offset']}: {key} {block[key]}, not {value}"
        counts["iasl"] = counts.get("iasl", 0) + 1


def count(table, counts):
    counts["tables"] = counts.get("tables", 0) + 1
    for block in table["structures"]:
        kind = {1: "IVHD", 4: "IVHD", 2: "IVMD"}.get(block["type_id"] >> 4, "unknown")
        names = [f"{kind} {block['type_id']:02X}h"]
        names += [f"entry {entry['type_id']:02X}h" for entry in block.get("entries", [])]
        for name in names:
            counts[name] = counts.get(name, 0) + 1


def main():
    tap = Tap()
    counts = {}
    paths = sorted(TABLES.glob("IVRS-*.bin"))
    for path in paths:
        table = read_table(path.read_bytes())
        tap.check(f"{path.name} as the second reader", lambda: same(tool_table(path), table))
        count(table, counts)
    tap.report("the whole collection was read", None if counts == TOTALS else f"{counts}, not {TOTALS}")
    if not shutil.which("iasl"):
        tap.skip("all tables as iasl", "iasl is not installed (acpica-tools)")
    else:
        with tempfile.TemporaryDirectory() as folder:
            for path in paths:
                tap.check(f"{path.name} as iasl", lambda: compare_iasl(path, folder, counts))
        got = (counts.get("iasl"), counts.get("iasl entries"))
        tap.report("iasl read all blocks, and the entries of those that it knows",
                   None if got == (205, IASL_ENTRIES) else f"{got}, not (205, {IASL_ENTRIES})")
    print(f"1..{tap.number}")
    return 1 if tap.failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())

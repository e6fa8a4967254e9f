#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the committed seeds of note_fuzz, image_fuzz and pci_fuzz again: tests/fuzz/seeds/make.py"""
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parents[1] / "tool"))

from notefile import all_notes, elf_dump, flatten, kdump_dump, kernel, note, summary, usual_note  # noqa: E402


def overlay(original, setup=2560):
    """An image header and the head of the original, as image_fuzz lays them over a sound wrapped image."""
    header = struct.pack("<QIIIIQQQQQQ", 0x314D4144474D4943, 1, 344, 0, 2, 0x9000, 2 << 20, len(original) - setup,
                         0x345678, 6 << 20, 1 << 20)
    header += b"0.1.0".ljust(16, b"\0") + b"6.1.0-test".ljust(64, b"\0") + original[0x1F1:0x271] + bytes(64)
    return header + original[:0x280]


def config_space(dwords):
    """Dwords of configuration space behind their places, as pci_fuzz reads them."""
    return b"".join(struct.pack("<HI", at // 4, value) for at, value in dwords.items())


def main():
    """All seeds, a few KiB each."""
    notes = all_notes(usual_note())
    dmar = b"DMAR" + struct.pack("<I", 64) + bytes(28) + bytes([38, 1]) + bytes(10) + \
        struct.pack("<HHBBHQ", 0, 16, 1, 0, 0, 0xFED90000)
    seeds = {
        "note/elf": elf_dump(notes), "note/kdump": kdump_dump(notes), "note/note": usual_note(),
        "note/flat-elf": flatten(elf_dump(notes), 1000), "note/flat-kdump": flatten(kdump_dump(notes)),
        "note/untouched": note([(1, 160, summary(stop=6, phase=1, flags=0))]),
        "note/dmar": note([(1, 160, summary()), (5, 1, dmar)]),
        "image/kernel": kernel(),
        "image/overlay": overlay(kernel()),
        "image/zimage": kernel(x211=0), "image/old": kernel(x206=0x0B), "image/cut": kernel()[:3000],
    }
    device = {0x000: 0x12348086, 0x004: 0x00100006, 0x100: 0x14810001, 0x148: 0x24010013, 0x14C: 0x80030001,
              0x240: 0x2C01000F, 0x244: 0x80050027, 0x2C0: 0x3001001B, 0x2C4: 0x00011406, 0x300: 0x00010010,
              0x308: 0x19, 0x310: 4, 0x314: 0x00020080}
    seeds["pci/device"] = config_space(device)
    seeds["pci/virtual"] = config_space({**device, 0x000: 0xFFFFFFFF})
    seeds["pci/circle"] = config_space({**device, 0x300: 0x14810010})
    for name, data in seeds.items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes committed seeds again, those of note_, image_, pci_, flat_, dump_, inspect_ and amdvi_fuzz: tests/fuzz/seeds/make.py"""
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


def changes(kind, *each):
    """Changes to a sound dump, as dump_fuzz reads them: (place, bytes); None: the file ends there."""
    out = bytes([kind])
    for where, data in each:
        out += struct.pack("<I", where)[:3] + (bytes([len(data) - 1]) + data if data is not None else b"\x80\0")
    return out


def records(*each):
    """Records of a flattened stream: (offset, bytes)."""
    return b"".join(struct.pack(">qq", offset, len(data)) + data for offset, data in each)


AMD = 9  # what tables() begins with: a device table of one page


def tables(kind=0, gone=(), *each):
    """Entries of old tables, as inspect_fuzz reads them: (page, index, raw) or (page, index, raw, flags). Raw leads to
    a page of its memory by the page's number."""
    out = struct.pack("<BBI", kind | (4 if gone else 0), 0, sum(1 << page for page in gone))
    for page, index, raw, *flags in each:
        out += struct.pack("<BBHQ", page, flags[0] if flags else 1, index, raw)
    return out


def to(page, low):
    """An entry that leads to a page."""
    return page << 12 | low


def old_tables():
    """Seeds of inspect_fuzz: every kind of table, with holes, leading to themselves."""
    legacy = [(0, 0, to(2, 1)), (2, 32, to(3, 1)), (2, 33, 0x0502, 0), (3, 0, to(4, 3)), (4, 0, to(5, 3)), (5, 0, to(6, 3)),
              (6, 1, to(9, 3)), (6, 2, to(10, 1)), (5, 1, 0x200083, 0), (4, 1, 0x40000083, 0)]
    scalable = [(0, 0, to(2, 1)), (2, 64, to(3, 9)), (3, 0, to(4, 1)), (4, 0, to(5, 0x89)), (4, 1, 9, 0), (5, 0, to(6, 3)),
                (6, 0, to(7, 3)), (7, 0, to(8, 3)), (8, 5, to(12, 3)), (4, 8, 0x41, 0), (4, 9, 9, 0), (4, 10, to(13, 0)),
                (13, 511, to(14, 7)), (14, 511, to(15, 7)), (15, 511, to(16, 7)), (16, 511, to(17, 0x67))]
    circle = [*legacy[:3], (3, 0, to(3, 3), 3)]
    rights = 3 << 61
    host = [(0, 64, to(2, 3 | 6 << 9) | rights), (0, 65, 5, 0), (0, 68, 3 | rights, 0), (0, 72, 3, 0), (2, 0, to(3, 1 | 3 << 9) | rights),
            (2, 1, to(3, 1 | 5 << 9) | rights), (3, 0, to(4, 1 | 2 << 9) | rights), (4, 1, 0x200001 | rights, 0),
            (4, 0, to(5, 1 | 1 << 9) | rights), (5, 1, to(9, 1) | 1 << 61), (5, 8, 0x27001 | 7 << 9 | rights, 0x12)]
    guest = [(0, 64, 3 | 3 << 54 | rights, 0), (0, 65, 7 | 0x20 << 16, 0), (0, 64, to(2, 3 | 3 << 9) | 3 << 54 | rights)]
    return {
        "inspect/legacy": tables(0, (), *legacy), "inspect/legacy-holes": tables(0, (6,), *legacy),
        "inspect/circle": tables(0, (), *circle),
        "inspect/passthrough": tables(0, (), legacy[0], (2, 32, 9, 0), (2, 33, 0x0102, 0)),
        "inspect/scalable": tables(1, (), *scalable), "inspect/scalable-holes": tables(1, (7, 15), *scalable),
        "inspect/amd-host": tables(AMD, (), *host), "inspect/amd-host-holes": tables(AMD, (2, 5), *host),
        "inspect/amd-guest": tables(AMD, (), *guest[:2]), "inspect/amd-nested": tables(AMD, (), *host, *guest[1:]),
        "inspect/amd-circle": tables(AMD, (), host[0], (2, 0, to(2, 1 | 5 << 9) | rights, 3)),
        "inspect/amd-ones": tables(AMD, (), (0, 0, (1 << 64) - 1, 2)), "inspect/amd-long": tables(AMD | 0xF0, (1,), *host),
        "inspect/ones": tables(1, (), (0, 0, (1 << 64) - 1, 2)),
    }


def amd_tables(segments, *each):
    """Entries of AMD tables, as amdvi_fuzz reads them. Every segment's device table is page 0."""
    out = struct.pack("<BB8sH", segments, 19, bytes(8), 0)
    for page, index, raw, *flags in each:
        out += struct.pack("<BBHQ", page, flags[0] if flags else 1, index, raw)
    return out


def old_amd_tables():
    """Seeds of amdvi_fuzz: host tables, guest tables of PASIDs, both, and what passes."""
    rights = 3 << 61
    host = [(0, 12, to(8, 3 | 3 << 9) | rights), (0, 13, 5, 0), (8, 0, to(9, 1 | 2 << 9) | rights),
            (9, 0, to(10, 1 | 1 << 9) | rights), (10, 1, to(20, 1) | rights), (9, 1, 0x200001 | rights, 0),
            (9, 2, 0x4FF000 | 1 | 7 << 9 | rights, 4)]
    guest = [(0, 16, 3 | 3 << 54 | 1 << 56 | 1 << 58 | rights, 0), (0, 17, 6, 2), (1, 0, to(2, 1)), (2, 0, to(11, 1)),
             (2, 3, to(11, 1)), (11, 0, to(12, 7)), (12, 0, to(13, 7)), (13, 0, to(14, 7)), (14, 1, to(21, 0x67)),
             (13, 1, 0x2000E7, 0), (11, 511, to(12, 7))]
    nested = [*host, *guest[:3], (0, 16, to(8, 3 | 3 << 9 | 3 << 54 | 1 << 58) | rights)]
    through = [(0, 0, 3 | rights, 0), (0, 4, 3 | 1 << 61, 0), (0, 8, 1, 0), (0, 64, 0x84, 0)]
    return {
        "amdvi/host": amd_tables(0, *host), "amdvi/guest": amd_tables(0, *guest), "amdvi/nested": amd_tables(0, *nested),
        "amdvi/through": amd_tables(0, *through), "amdvi/segments": amd_tables(3, *host, *through),
    }


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
    seeds["flat/order"] = records((100, b"abc"), (50, b"d" * 200), (120, b"e" * 10), (1 << 62, b"far"))
    seeds["flat/ascending"] = records(*((8 * i, b"12345678") for i in range(20)))
    seeds["flat/damaged"] = records((0, b"x")) + struct.pack(">qq", 1 << 62, 1 << 62)
    load = 64 + 56  # the first PT_LOAD
    for kind, name in ((0, "elf"), (2, "flat-elf")):
        at = 0 if kind == 0 else 4096 + 16 + 16  # about where it lies in the stream
        seeds[f"dump/{name}"] = changes(kind, (at + load + 24, struct.pack("<Q", 0x2800)),
                                        (at + load + 40, bytes([0, 0x90])))
        seeds[f"dump/{name}-wrap"] = changes(kind, (at + load + 24, b"\xff" * 8), (at + load + 32, b"\xff" * 8))
        seeds[f"dump/{name}-cut"] = changes(kind, (0x3000, None))
    desc = 4 * 4096
    seeds["dump/kdump"] = changes(1, (4096 * 3, b"\xff\x07"), (desc + 24, struct.pack("<Q", 0x5000)))
    packed = [(desc + 24 * i + 8, struct.pack("<II", 100, how)) for i, how in enumerate((1, 2, 4, 32))]
    seeds["dump/kdump-sizes"] = changes(1, *packed, (desc + 8, struct.pack("<I", 4097)))
    seeds["dump/kdump-header"] = changes(1, (424, struct.pack("<II", 0x29, 4096)), (436, struct.pack("<I", 4)))
    seeds["dump/kdump-cut"] = changes(1, (0x4200, None))
    seeds["dump/flat-kdump"] = changes(3, (4096 + 16, b"\0\x10"))
    seeds["dump/file-elf"], seeds["dump/file-kdump"] = elf_dump(notes), kdump_dump(notes)
    seeds.update(old_tables())
    seeds.update(old_amd_tables())
    for name, data in seeds.items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()

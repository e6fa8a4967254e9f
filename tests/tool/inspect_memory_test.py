#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory out of dumps of every format, page by page, against what was written into them. The reader is the
unit test's program, which prints a dump when it gets one as argument."""
import struct
import subprocess
import sys
import zlib

sys.dont_write_bytecode = True  # keeps the source tree clean

from dumpfile import LZO, PAGE, SNAPPY, ZLIB, ZSTD, elf, kdump, page, runs  # noqa: E402
from notefile import all_notes, flatten, usual_note  # noqa: E402
from tap import ROOT, main  # noqa: E402

READER = ROOT / "build" / "asan" / "tests" / "unit" / "inspect_dump_test"
NOTES = all_notes(usual_note(), "6.1.0-test")
PACKINGS = [(0, ""), (ZLIB, ", zlib"), (LZO, ", lzo"), (SNAPPY, ", snappy"), (ZSTD, ", zstd")]


def memory():
    """RAM with holes, some of it left out, and pages of all kinds: random, zeros, one byte."""
    out = {n: page(n) for n in [*range(1, 160), *range(256, 300), *range(40000, 40010)]}
    out.update({n: None for n in [*range(30, 50), 70, 259, 299, *range(40004, 40010)]})
    out[5], out[6], out[40001] = bytes(PAGE), b"\xff" * PAGE, zlib.compress(b"x").ljust(PAGE, b"\1")
    return out


def read(path, *maps):
    """What the reader says: (facts, {page: CRC or word}, runs held). It must end well."""
    done = subprocess.run([READER, path, *maps], capture_output=True, timeout=120, check=False)
    text = done.stdout.decode()
    assert done.returncode in (0, 1) and done.stderr == b"", (done.returncode, done.stderr.decode()[-2000:])
    facts, pages, held = {}, {}, []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "page":
            where, _, what = rest.partition(" ")
            pages[int(where, 16) // PAGE] = what
        elif word == "run":
            held.append([int(x, 16) // PAGE for x in rest.split()])
        elif word != "range":
            facts[word] = rest
    assert done.returncode == (1 if "error" in facts else 0), text[:300]
    return facts, pages, held


def expect(path, written, *maps, **facts):
    """The reader sees exactly what was written."""
    seen, pages, held = read(path, *maps)
    assert "error" not in seen, seen
    crc = {n: "absent" if data is None else f"{zlib.crc32(data):08x}" for n, data in written.items()}
    wrong = {n: (pages.get(n), crc.get(n)) for n in set(crc) | set(pages) if pages.get(n) != crc.get(n)}
    assert not wrong, list(wrong.items())[:5]
    there = [n for n in written if written[n] is not None]
    assert held == runs(there), held
    assert int(seen["ram"]) == len(written) * PAGE and int(seen["held"]) == len(there) * PAGE, seen
    for name, value in facts.items():
        assert seen[name] == value, (name, seen[name], value)


def write(path, data):
    path.write_bytes(data)
    return path


def test_elf(folder):
    m = memory()
    # The kernel's text has a segment of its own, inside that of the RAM around it.
    for extra in ((), ((60, 10),), ((1, 5), (256, 3), (100, 60))):
        data = elf(m, NOTES, extra)
        expect(write(folder / "d", data), m, format="ELF", release="6.1.0-test", flattened="0",
               note=str(len(usual_note())))
        expect(write(folder / "d", flatten(data, 3000)), m, format="ELF", release="6.1.0-test", flattened="1")


def test_every_packing(folder):
    m = memory()
    for how, word in PACKINGS:
        data = kdump(m, NOTES, how)
        expect(write(folder / "d", data), m, format="kdump-compressed" + word, release="6.1.0-test", flattened="0",
               note=str(len(usual_note())))
        expect(write(folder / "d", flatten(data)), m, format="kdump-compressed" + word, flattened="1")
        assert how == 0 or len(data) < len(kdump(m, NOTES, 0)) * 0.7  # packed it was


def test_time_stamps(folder):
    """libkdumpfile 0.5.1 takes such a time stamp for the block size of a dump of a 32-bit machine."""
    m = memory()
    for usec in (4096, 8192, 262144, 999999):
        expect(write(folder / "d", kdump(m, NOTES, usec=usec)), m)


def test_without_notes(folder):
    m = memory()
    for data in (elf(m), kdump(m)):
        expect(write(folder / "d", data), m, vmcoreinfo="0", note="0")


def test_raw_images(folder):
    m = {n: page(n) for n in [*range(0, 16), *range(32, 40)]}
    image = write(folder / "d", b"".join(m[n] for n in sorted(m)))
    expect(image, m, "0x0-0x10000=0x0", "0x20000-0x28000=0x10000", format="raw")
    expect(image, m, "0x20000-0x28000=0x10000", "0x0-0x10000=0x0")
    facts, _, _ = read(image, "0x0-0x19000=0x0")
    assert "beyond the end of the file" in facts["error"], facts
    facts, _, _ = read(image)
    assert "not a dump" in facts["error"], facts


def test_cut_short(folder):
    """Whatever is there is right, and the rest is damaged; or the dump is refused."""
    m = memory()
    crc = {n: "absent" if data is None else f"{zlib.crc32(data):08x}" for n, data in m.items()}
    for data, flat in ((elf(m, NOTES), False), (kdump(m, NOTES), False), (flatten(kdump(m, NOTES)), True)):
        opened = 0
        for size in (0, 1, 100, 300, 463, 4000, 4200, 9000, 20000, len(data) // 2, len(data) - 5000, len(data) - 1):
            facts, pages, _ = read(write(folder / "d", data[:size]))
            if "error" in facts:
                continue
            opened += 1
            damaged = [n for n in pages if "cut short" in pages[n]]
            assert damaged and all(pages[n] == crc[n] for n in m if n not in damaged), (size, len(damaged))
        assert opened == 0 if flat else opened >= 2, opened


def test_one_damaged_page(folder):
    m = memory()
    for how, word in PACKINGS[1:]:
        data = bytearray(kdump(m, NOTES, how))
        sub = struct.unpack_from("<i", data, 432)[0]
        descriptors = (1 + sub + 2 * 2) * PAGE
        at, size, flags, _ = struct.unpack_from("<QIIQ", data, descriptors + 24 * 20)
        assert flags == how, word
        data[at:at + size] = b"\xee" * size
        _, pages, _ = read(write(folder / "d", data))
        assert "0x15000 cannot be read" in pages[21], (word, pages[21])
        assert all(pages[n] == f"{zlib.crc32(m[n]):08x}" for n in m if m[n] is not None and n != 21), word


def test_sparse_giants(folder):
    """Files that claim terabytes are refused or read in no time."""
    with open(folder / "d", "wb") as file:
        file.write(kdump({n: page(n) for n in range(4)}, NOTES))
        file.seek(436)
        file.write(struct.pack("<I", 0xFFFFFFFE))
        file.seek(4096 + 96)
        file.write(struct.pack("<Q", 1 << 36))
    facts, _, _ = read(folder / "d")
    assert "cut short in the bitmap" in facts["error"], facts
    m = {n: page(n) for n in range(4)}
    with open(folder / "d", "wb") as file:
        file.write(elf(m, NOTES))
        file.truncate(1 << 42)
    expect(folder / "d", m)


if __name__ == "__main__":
    main(sys.modules[__name__])

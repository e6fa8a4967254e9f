# SPDX-License-Identifier: MIT
"""Reading dumps, and writing them again with something left out."""
import struct
import tempfile
from pathlib import Path

from harness import elfcore, kdumpfile

from .tap import check

PAGE = 4096


def _core(path: Path) -> None:
    """A core with a note and two segments: 4 pages at 1 MiB, 2 pages of which 1 is there at 16 MiB."""
    rows = [(4, 0, 0x1000, 0, 0, 64, 64, 0), (1, 7, 0x2000, 5 << 40, 1 << 20, 4 * PAGE, 4 * PAGE, 0),
            (1, 7, 0x6000, 6 << 40, 1 << 24, PAGE, 2 * PAGE, 0)]
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    body = head + b"".join(struct.pack("<IIQQQQQQ", *row) for row in rows)
    path.write_bytes(body.ljust(0x2000, b"\0") + b"".join(bytes([n]) * PAGE for n in range(1, 6)))


def test_elf():
    """ELF cores."""
    with tempfile.TemporaryDirectory() as folder:
        core, out = Path(folder, "core"), Path(folder, "out")
        _core(core)
        check("an ELF core ends where its last segment does", elfcore.end_of(core), 0x7000)
        check("memory past a segment's bytes is not held", elfcore.held(core),
              [(1 << 20, (1 << 20) + 4 * PAGE), (1 << 24, (1 << 24) + PAGE)])
        elfcore.write_without(core, out, [(1 << 20) + PAGE, 1 << 24])
        check("pages are taken out of an ELF core", elfcore.held(out),
              [(1 << 20, (1 << 20) + PAGE), ((1 << 20) + 2 * PAGE, (1 << 20) + 4 * PAGE)])
        parts = [one for one in elfcore.segments(out) if one.kind == elfcore.LOAD]
        check("their room in memory is still named", sum(one.memory for one in parts), 6 * PAGE)
        check("what is behind a page taken out keeps its bytes",
              [out.read_bytes()[one.offset] for one in parts if one.pa == (1 << 20) + 2 * PAGE], [3])


def _kdump(path: Path) -> None:
    """A dump of 8 pages of RAM, of which 1, 2 and 5 are held."""
    head = bytearray(2 * PAGE)
    head[:8] = kdumpfile.SIGNATURE
    struct.pack_into("<IIII", head, 428, PAGE, 1, 2, 8)
    bitmaps = b"\xff".ljust(PAGE, b"\0") + b"\x26".ljust(PAGE, b"\0")
    table = b"".join(struct.pack("<qIIQ", 4 * PAGE + 72 + n * PAGE, PAGE, 0, 0) for n in range(3))
    path.write_bytes(bytes(head) + bitmaps + table + b"".join(bytes([n]) * PAGE for n in (1, 2, 5)))


def test_kdump():
    """kdump-compressed dumps."""
    with tempfile.TemporaryDirectory() as folder:
        first, out = Path(folder, "first"), Path(folder, "out")
        _kdump(first)
        dump = kdumpfile.Kdump(first)
        check("pages that a kdump holds, and RAM", (dump.held, dump.ram), ([1, 2, 5], list(range(8))))
        dump.write(out, drop=frozenset({2}))
        again = kdumpfile.Kdump(out)
        check("pages are taken out of a kdump", again.held, [1, 5])
        check("the others keep their bytes", [out.read_bytes()[at] for _, at, *_ in again.pages()], [1, 5])
        for word, flag in (("zlib", 1), ("snappy", 4), ("zstd", 32)):
            dump.write(out, word)
            pages = kdumpfile.Kdump(out).pages()
            check(f"pages are packed with {word}", (all(size < 400 for _, _, size, _ in pages), {f for *_, f in pages}),
                  (True, {flag}))

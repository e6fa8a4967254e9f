#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ordinary kexec: no ELF core headers, no old memory to keep. The stage as it is shipped, on the bench machine; its
tables read by the lab's own reader."""
import sys
from contextlib import contextmanager

sys.dont_write_bytecode = True  # keeps the source tree clean

from bench import Bench, Kexec, said  # noqa: E402
from layout import BOOT_PARAMS, CMDLINE, INITRD, IOVA, MIB, OLD, SIZE, TABLES  # noqa: E402
from tap import ROOT  # noqa: E402
from units import VTD  # noqa: E402

sys.path.insert(0, str(ROOT / "lab"))

from harness.vtdread import Tables  # noqa: E402
from tap import main  # noqa: E402

ORDINARY, COMMITTED = 1 << 8, 1


@contextmanager
def machine(folder):
    bench = Bench(folder)
    try:
        yield bench
    finally:
        bench.close()


def run(bench, words="", **options):
    """The hand-over of an ordinary kexec."""
    bench.load(Kexec(words, crash=False, **options))
    result = bench.finish()
    assert result, bench.why
    assert not result.old_changed, f"old memory changed: {result.old_changed}"
    assert result.line_at == CMDLINE and result.line == ("console=ttyS0 " + words).strip(), result.line
    return result


def kept_note(bench, result):
    """The note, where the console says that it stays."""
    found = said(bench, r"the note stays at 0x([0-9a-f]+), (\d+) bytes")
    assert found, "the console does not tell of a note"
    at = int(found.group(1), 16)
    assert result.pool[0] <= at < result.pool[1], f"note at {at:#x}"
    note = result.note_at(result.memory, at)
    assert len(note.data) + 24 == int(found.group(2))
    assert note.flags & ORDINARY, f"flags {note.flags:#x}"
    return note


def tables(result):
    return Tables(lambda at, size: result.memory[at:at + size] if at + size <= SIZE else None, result.root)


def reserved(result):
    """The pool is reserved in the memory map, and everything else as the loader had it."""
    start, end = result.pool
    want = [(0, 0x9F000, 1), (MIB, start - MIB, 1), (end, 31 * MIB - end, 1), (31 * MIB, MIB, 3), (start, end - start, 2)]
    assert sorted(result.e820) == sorted(want), result.e820


def no_old_table_in_use(result):
    """The next kernel will overwrite old memory: every table lies in the pool."""
    view = tables(result)
    for source in list(view.contexts):
        view.leaves(source)
    outside = [hex(page) for page in view.pages if not result.pool[0] <= page < result.pool[1]]
    assert not outside, f"tables outside the pool: {outside}"
    return view


def test_live_translation_is_frozen_without_old_tables(folder):
    with machine(folder) as bench:
        result = run(bench)
        assert result.is_on and result.root != TABLES
        note = kept_note(bench, result)
        assert (note.stop, note.phase) == (0, 5) and note.flags & COMMITTED
        reserved(result)
        view = no_old_table_in_use(result)
        for rid in VTD.RIDS:
            leaves = view.leaves(rid)
            assert [leaf.iova for leaf in leaves] == [IOVA + 0x1000 * i for i in range(8)], leaves
            assert all(leaf.read and not leaf.write for leaf in leaves), leaves
            assert view.silent(rid)


def test_preserve_writes_old_memory_alone(folder):
    with machine(folder) as bench:
        result = run(bench, "cofferdam.policy=preserve")
        view = no_old_table_in_use(result)
        placed = [result.pool, (8 * MIB, result.pool[1]), (INITRD, INITRD + 0x10000),
                  (BOOT_PARAMS, BOOT_PARAMS + 4096), (CMDLINE, CMDLINE + 4096)]
        for rid in VTD.RIDS:
            leaves = view.leaves(rid)
            assert len(leaves) == 8 and all(leaf.write for leaf in leaves), leaves
            for leaf in leaves:
                assert OLD[0][0] <= leaf.target < OLD[0][1]
                assert not any(leaf.target < end and start < leaf.target + leaf.size for start, end in placed), leaf


def test_block_and_scratch(folder):
    with machine(folder) as bench:
        view = no_old_table_in_use(run(bench, "cofferdam.policy=block"))
        assert all(view.leaves(rid) == [] for rid in VTD.RIDS) and all(rid in view.contexts for rid in VTD.RIDS)
        result = run(bench, "cofferdam.policy=scratch")
        view = tables(result)
        for rid in VTD.RIDS:
            page, read, write = view.translate(rid, IOVA + 0x5123)
            assert read and write and result.pool[0] <= page < result.pool[1]
            assert page == view.translate(rid, 0x123)[0], "one page for all"


def test_translation_off_is_left_alone(folder):
    with machine(folder) as bench:
        result = run(bench, steps=VTD.steps(queue=False, translation=False))
        assert not result.is_on and result.root == TABLES
        assert said(bench, r"hand-over: untouched, stop 6 ")
        assert sorted(result.e820) == sorted(Kexec("", crash=False).e820()), "boot_params changed"


def test_option_off(folder):
    with machine(folder) as bench:
        result = run(bench, "cofferdam.off")
        assert result.is_on and result.root == TABLES
        assert said(bench, r"hand-over: untouched, stop 1 ")
        assert sorted(result.e820) == sorted(Kexec("", crash=False).e820()), "boot_params changed"


def test_five_level_processor_tables(folder):
    with machine(folder) as bench:
        result = run(bench, la57=True)
        assert result.control[2] == 0x1020 and result.root != TABLES
        no_old_table_in_use(result)


def test_a_pool_too_small_for_the_copies(folder):
    """Sharing is no way out here: untouched."""
    def many(memory):
        """A level-2 table full of leaf tables for the first requester: 512 pages to copy."""
        at, tables_at = TABLES + 0x2000, 25 * MIB
        for index in range(512):
            memory.put64(tables_at + 0x1000 * index, (OLD[0][0] + 0x1000 * index) | 3)
            memory.put64(at + 0x2000 + 8 * index, (tables_at + 0x1000 * index) | 3)

    with machine(folder) as bench:
        for crash, stop in ((False, 8), (True, 0)):
            bench.load(Kexec("", crash=crash, pool="1M"), many)
            result = bench.finish()
            assert result, bench.why
            if stop:
                assert said(bench, rf"hand-over: untouched, stop {stop} ") and result.root == TABLES
            else:
                assert said(bench, r"hand-over: taken over, freeze") and result.root != TABLES


def test_what_may_be_a_crash_is_none(folder):
    """A word that names ELF headers but cannot be read, or a line that never ends: handed over untouched."""
    with machine(folder) as bench:
        for line in (b"elfcorehdr=zzz console=ttyS0\0", b"elfcorehdr= console=ttyS0\0", b"console=ttyS0 " + b"x" * 4096):
            bench.load(Kexec("", crash=False), lambda memory, line=line: memory.put(CMDLINE, line))
            result = bench.finish()
            assert result, bench.why
            assert result.is_on and result.root == TABLES
            assert said(bench, r"hand-over: untouched, stop 14 ")


if __name__ == "__main__":
    main(sys.modules[__name__])

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the kernel behind the stage is given, held against what the loader left: nothing is compared with another run
of the stage here."""
import struct
import sys
from contextlib import closing

sys.dont_write_bytecode = True  # keeps the source tree clean

from bench import Bench, Kexec  # noqa: E402
from layout import (BOOT_PARAMS, CR3_ENTRY, CR3_ENTRY5, CRASH, ELFCORE, FIRMWARE, IMAGE, MIB, SIZE, STACK,  # noqa: E402
                    TABLES)
from remote import words  # noqa: E402
from tap import main  # noqa: E402
from units import AMD, VTD  # noqa: E402

# Linux, Documentation/arch/x86/boot.rst: fields of type "read", which describe the image, as (offset, size).
IMAGE_FIELDS = ((0x1F1, 1), (0x1F4, 4), (0x1FE, 2), (0x200, 2), (0x202, 4), (0x206, 2), (0x20E, 2), (0x22C, 4),
                (0x230, 4), (0x234, 1), (0x235, 1), (0x236, 2), (0x238, 4), (0x248, 4), (0x24C, 4), (0x258, 8),
                (0x260, 4), (0x264, 4), (0x268, 4))
CMD_LINE, EXT_CMD_LINE, E820_COUNT, E820 = 0x228, 0xC8, 0x1E8, 0x2D0


def hand_over(bench, line="", **options):
    bench.load(Kexec(line, **options))
    result = bench.finish()
    assert result, bench.why
    assert not result.old_changed, result.old_changed
    return result


def state(result, la57=False):
    """Registers as the ROM set them: kexec's and purgatory's."""
    want = dict.fromkeys(result.registers, 0)
    want.update(rsi=BOOT_PARAMS, rsp=STACK, rflags=result.registers["rflags"])
    assert result.registers == want, result.registers
    assert result.registers["rflags"] & 0x600 == 0, "interrupts, or the direction flag"
    assert result.selectors == (0x10, 0x18, 0x18, 0x18, 0x18, 0x18), result.selectors
    cr4, cr3 = (0x1020, CR3_ENTRY5) if la57 else (0x20, CR3_ENTRY)
    assert result.control == (0x80000033, cr3, cr4, 0xD01), [hex(v) for v in result.control]


def boot_params(bench, result, note):
    """The loader's page, with the kernel's own header; with a note also its command line and the reserved pool."""
    want = bytearray(bench.before[BOOT_PARAMS:BOOT_PARAMS + 4096])
    for at, size in IMAGE_FIELDS:
        want[at:at + size] = bench.plain_header[at - 0x1F1:at - 0x1F1 + size]
    if note:
        start, end = result.pool
        table = [(0, 0x9F000, 1), (CRASH, start - CRASH, 1), (end, ELFCORE - end, 1), (FIRMWARE, MIB, 3),
                 (start, end - start, 2)]
        assert result.e820 == table, result.e820
        assert start <= result.line_at < end
        for at, size in ((CMD_LINE, 4), (EXT_CMD_LINE, 4), (E820_COUNT, 1), (E820, 20 * len(table))):
            want[at:at + size] = result.bp[at:at + size]
    wrong = [hex(at) for at in range(4096) if want[at] != result.bp[at]]
    assert not wrong, f"boot_params differ at {wrong[:16]}"
    assert struct.unpack_from("<I", result.bp, 0x260)[0] == 0x10000, "init_size"


def test_taken_over(folder):
    with closing(Bench(folder)) as bench:
        for la57 in (False, True):
            result = hand_over(bench, la57=la57)
            state(result, la57)
            boot_params(bench, result, note=True)
            assert result.note.stop == 0 and result.pool[0] <= result.root < result.pool[1]


def test_taken_over_amd(folder):
    """The same with AMD-Vi: what is left is what Linux takes over, copied or in place."""
    with closing(Bench(folder, unit=AMD)) as bench:
        result = hand_over(bench)
        state(result)
        boot_params(bench, result, note=True)
        assert result.note.stop == 0 and result.is_on
        start, end = result.pool
        assert start <= result.root < end and result.root & 0xFFF == 1, hex(result.root) # 8 KiB, as it was
        for offset in (0x08, 0x10): # command buffer and event log: 8 KiB each
            base = result.register(offset)
            assert base >> 56 == 9 and start <= base & 0xFFFFFFFFF000 < end, hex(base)
        control = result.register(0x18)
        assert control & 0x100D == 0x1005, hex(control) # on, with both, and events do not interrupt


def test_switched_off(folder):
    with closing(Bench(folder)) as bench:
        result = hand_over(bench, "cofferdam.off")
        state(result)
        boot_params(bench, result, note=True)
        assert result.note.stop == 1 and result.root == TABLES and result.is_on


def test_without_a_note(folder):
    """Nothing to deliver: everything but the header is the loader's."""
    with closing(Bench(folder)) as bench:
        for line, header in (("", "0x10"), ("memmap=exactmap", None)):
            result = hand_over(bench, line, elfcorehdr=header)
            state(result)
            boot_params(bench, result, note=False)
            assert result.line == bench_line(line, header) and result.root == TABLES


def bench_line(line, header):
    return f"elfcorehdr={header or hex(ELFCORE)} console=ttyS0 {line}".strip()


def test_image_header_damaged(folder):
    """One bit of the pool's size: no pool to be had, and still the kernel starts."""
    def damage(memory):
        memory.bytes[IMAGE + 0x400 + 72] ^= 1

    with closing(Bench(folder)) as bench:
        bench.load(Kexec(""), damage)
        result = bench.finish()
        assert result, bench.why
        state(result)
        boot_params(bench, result, note=False)
        assert result.root == TABLES


def test_old_headers_stay_readable(folder):
    """The ELF headers with our note hold what the loader's held, and one PT_NOTE more."""
    with closing(Bench(folder)) as bench:
        result = hand_over(bench, steps=VTD.steps(queue=False, remapping=False))
        at = int(result.line.split()[0].split("=")[1], 0)
        old, new = bench.before[ELFCORE:ELFCORE + 4096], result.memory[at:at + 4096]
        count = struct.unpack_from("<H", old, 56)[0]
        assert struct.unpack_from("<H", new, 56)[0] == count + 1 and at + 64 + 56 * (count + 1) <= SIZE
        headers = [new[64 + 56 * i:120 + 56 * i] for i in range(count + 1)]
        ours = [h for h in headers if result.pool[0] <= words(h[8:], 1)[0] < result.pool[1]]
        assert len(ours) == 1 and headers.index(ours[0]) == 1 and words(ours[0], 1, 4) == (4,)
        headers.remove(ours[0])
        assert headers == [old[64 + 56 * i:120 + 56 * i] for i in range(count)]
        assert result.memory[ELFCORE:ELFCORE + 4096] == old, "the loader's own headers"


if __name__ == "__main__":
    main(sys.modules[__name__])

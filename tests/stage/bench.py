# SPDX-License-Identifier: MIT
"""A small crashed machine around the real stage: what kexec leaves in memory, made by hand, and a payload instead
of a kernel. One QEMU, reset and refilled for every run."""
import mmap
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tool"))

from layout import (BOOT_PARAMS, CMDLINE, CR3_ALL, CR3_ALL5, CR3_ENTRY, CR3_ENTRY5, CRASH, DATA, ELFCORE, FIRMWARE, IMAGE,  # noqa: E402
                    INITRD, INJECT, L, LA57, MIB, OLD, SIZE, STACK)
from notefile import kernel  # noqa: E402
from remote import Qemu, words  # noqa: E402
from tap import ROOT, TOOL  # noqa: E402
from units import VTD, acpi_table, write32  # noqa: E402

BUILD = Path(os.environ.get("BUILD", ROOT / "build"))
def symbols(elf):
    """Name -> address; a name that several functions have gets all but the first with #2, #3."""
    out = {}
    listing = subprocess.run(["nm", "-n", str(elf)], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        address, kind, name = line.split()
        number, base = 2, name
        while name in out:
            name, number = f"{base}#{number}", number + 1
        out[name] = (int(address, 16), kind)
    return out


class Memory:
    """A picture of physical memory."""

    def __init__(self):
        self.bytes = bytearray(SIZE)

    def put(self, address, data):
        self.bytes[address:address + len(data)] = data

    def put64(self, address, *values):
        self.put(address, struct.pack(f"<{len(values)}Q", *values))


def put_firmware(memory, unit):
    """RSDP, XSDT, the unit's table; no MCFG: configuration space by ports."""
    rsdp = bytearray(struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, b"COFFER", 2, 0, 36, FIRMWARE + 0x40, 0))
    rsdp[8] = -sum(rsdp[:20]) & 255
    rsdp[32] = -sum(rsdp) & 255
    memory.put(FIRMWARE, bytes(rsdp))
    memory.put(FIRMWARE + 0x40, acpi_table(b"XSDT", struct.pack("<Q", FIRMWARE + 0x100)))
    memory.put(FIRMWARE + 0x100, unit.firmware())


def put_cpu_tables(memory):
    """Identity tables: of all 4 GiB, and of memory alone, as kexec makes them (no device in them)."""
    for base, gib, top in ((CR3_ALL, 4, CR3_ALL5), (CR3_ENTRY, 1, CR3_ENTRY5)):
        memory.put64(top, base | 3)
        memory.put64(base, (base + 0x1000) | 3)
        for i in range(gib):
            memory.put64(base + 0x1000 + 8 * i, (base + 0x2000 + 0x1000 * i) | 3)
        pages = gib * 512 if gib > 1 else SIZE // (2 * MIB)
        for i in range(pages):
            memory.put64(base + 0x2000 + 8 * i, i * 2 * MIB | 0x83)
    memory.put64(L["BENCH_GDT"], 0, 0, 0x00AF9A000000FFFF, 0x00CF92000000FFFF)


def elf_headers(ranges):
    """What the loader leaves for /proc/vmcore: a note, and the old kernel's memory."""
    out = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 4, 62, 1, 0, 64, 0, 0, 64, 56, 1 + len(ranges), 0, 0, 0)
    out += struct.pack("<IIQQQQQQ", 4, 0, DATA, 0, DATA, 368, 368, 0)
    for start, end in ranges:
        out += struct.pack("<IIQQQQQQ", 1, 7, start, 0xFFFF888000000000 + start, start, end - start, end - start, 0)
    return out


# Local APIC as a crashed kernel leaves it: on, LINT1 = NMI.
APIC_STEPS = [write32(0xFEE000F0, 0x1FF), write32(0xFEE00360, 0x400)]


class Kexec:
    """What the loader was asked for. e820, ELF headers and command line as kexec_file_load makes them."""

    def __init__(self, words="", crash=True, la57=False, steps=None, elfcorehdr=None, pool="2M", scalable=False):
        self.crash, self.la57, self.pool, self.scalable = crash, la57, pool, scalable
        self.steps = steps # of the unit; None: all that a dead kernel does
        line = "console=ttyS0 " + words
        if crash:
            line = f"elfcorehdr={hex(ELFCORE) if elfcorehdr is None else elfcorehdr} " + line
        self.line = line.strip()

    def e820(self):
        low = [(0, 0x9F000, 1)]
        if self.crash:
            return low + [(CRASH, ELFCORE - CRASH, 1), (FIRMWARE, MIB, 3)]
        return low + [(MIB, FIRMWARE - MIB, 1), (FIRMWARE, MIB, 3)]


def put_kexec(memory, image, kexec):
    """Segments of the image, boot_params, command line, ELF headers."""
    sectors = image[0x1F1] + 1
    memory.put(IMAGE, image[sectors * 512:])
    bp = bytearray(4096)
    bp[0x1F1:0x270] = image[0x1F1:0x270]
    bp[0x210], bp[0x211] = 0xD0, 0
    struct.pack_into("<Q", bp, 0x70, FIRMWARE)
    struct.pack_into("<II", bp, 0x218, INITRD, 0x10000)
    struct.pack_into("<I", bp, 0x228, CMDLINE)
    table = kexec.e820()
    bp[0x1E8] = len(table)
    for i, entry in enumerate(table):
        struct.pack_into("<QQI", bp, 0x2D0 + 20 * i, *entry)
    memory.put(BOOT_PARAMS, bytes(bp))
    memory.put(CMDLINE, kexec.line.encode() + b"\0")
    memory.put(INITRD, b"initrd" * 100)
    if kexec.crash:
        memory.put(ELFCORE, elf_headers(OLD))


def put_orders(memory, kexec, unit):
    """What the ROM and the payload are to do."""
    steps = APIC_STEPS + (unit.steps(scalable=kexec.scalable) if kexec.steps is None else kexec.steps)
    registers = [n for offset, dwords in unit.DUMPED for n in (unit.BASE + offset, dwords)]
    tables = (CR3_ALL5, CR3_ENTRY5) if kexec.la57 else (CR3_ALL, CR3_ENTRY)
    memory.put64(L["BENCH_ORDERS"], L["BENCH_MAGIC"], *tables, 0x80000033, 0x20 | (LA57 if kexec.la57 else 0),
                 IMAGE + 0x200, BOOT_PARAMS, STACK, *registers, len(steps))
    for i, (kind, mask, address, value) in enumerate(steps):
        memory.put(L["BENCH_ORDERS"] + L["ORDER_STEPS"] + i * L["STEP_SIZE"], struct.pack("<IIQQ", kind, mask, address, value))


# ---- what came out ------------------------------------------------------------------------------------------
REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
             "r15", "rflags")


class Result:
    """What the payload was given, and memory as it is then."""

    def __init__(self, bench, memory):
        at = L["BENCH_RESULT"]
        self.ran = words(memory[at:at + 8], 1)[0] == L["BENCH_MAGIC"]
        self.registers = dict(zip(REGISTERS, words(memory[at + L["RESULT_REGS"]:], 17)))
        self.selectors = struct.unpack_from("<6H", memory, at + L["RESULT_SEGS"])
        self.control = words(memory[at + L["RESULT_CTRL"]:], 4)
        self.gdtr = memory[at + L["RESULT_GDTR"]:at + L["RESULT_GDTR"] + 10]
        self.idtr = memory[at + L["RESULT_IDTR"]:at + L["RESULT_IDTR"] + 10]
        self.kind = bench.unit
        self.unit = memory[at + L["RESULT_UNIT"]:at + L["RESULT_UNIT"] + 4 * sum(n for _, n in self.kind.DUMPED)]
        self.bp = memory[BOOT_PARAMS:BOOT_PARAMS + 4096]
        line = words(self.bp[0x228:], 1, 4)[0] | words(self.bp[0xC8:], 1, 4)[0] << 32
        self.line_at = line
        self.line = memory[line:memory.index(b"\0", line)].decode("latin-1")
        self.e820 = [struct.unpack_from("<QQI", self.bp, 0x2D0 + 20 * i) for i in range(self.bp[0x1E8])]
        self.pool = (bench.pool, bench.pool + bench.pool_size)
        before = bench.before
        self.old_changed = [hex(a) for start, end in OLD if memory[start:end] != before[start:end]
                            for a in range(start, end, 4096) if memory[a:a + 4096] != before[a:a + 4096]]
        self.note = self._find_note(memory)
        self.root, self.is_on = self.kind.root(self.unit), self.kind.is_on(self.unit)
        self.memory = memory

    def register(self, offset, size=8):
        return self.kind.register(self.unit, offset, size)

    def _find_note(self, memory):
        """The descriptor of our note, looked for as Linux does: elfcorehdr=, PT_NOTE."""
        found = re.search(r"(?:^| )elfcorehdr=(\w+)", self.line)
        if not found:
            return None
        text = found.group(1)
        if not text[0].isdigit():
            return None
        at = int(text[:-1]) * 1024 if text.endswith("K") else int(text, 0)
        if at + 64 > SIZE or memory[at:at + 4] != b"\x7fELF":
            return None
        for i in range(struct.unpack_from("<H", memory, at + 56)[0]):
            kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", memory, at + 64 + 56 * i)
            if kind == 4 and memory[offset + 12:offset + 22] == b"COFFERDAM\0":
                note = self.note_at(memory, offset)
                assert len(note.data) + 24 <= size
                return note
        return None

    @staticmethod
    def note_at(memory, at):
        """The Note in the ELF note at an address."""
        name, length, kind = words(memory[at:], 3, 4)
        assert (name, kind) == (10, 0x43464431) and memory[at + 12:at + 22] == b"COFFERDAM\0", f"no note at {at:#x}"
        return Note(memory[at + 24:at + 24 + length])


class Note:
    """A note's descriptor, read from docs/note-format.md."""

    def __init__(self, data):
        self.data = data
        magic, version, size, crc, count, head = struct.unpack_from("<QIIIHH", data)
        assert magic == 0x4D41445246464F43 and version == 1 and size == len(data), "note header"
        assert zlib.crc32(data[:16] + bytes(4) + data[20:]) == crc, "note checksum"
        self.sections = {}
        for i in range(count):
            kind, _, entry, number, at = struct.unpack_from("<HHIII", data, head + 16 * i)
            self.sections.setdefault(kind, []).extend(data[at + k * entry:at + (k + 1) * entry] for k in range(number))
        summary = self.sections[1][0]
        self.stop, self.phase, self.flags = struct.unpack_from("<3I", summary, 16)
        self.vector, self.nmi_count, self.error, self.rip, self.cr2 = struct.unpack_from("<2I3Q", summary, 120)
        self.units = [(struct.unpack_from("<B", u, 30)[0], words(u[40:], 5), words(u[96:], 5)) for u in self.sections.get(2, [])]
        self.findings = [struct.unpack_from("<HBBHHHHI3Q", f) for f in self.sections.get(4, [])]


# ---- the machine --------------------------------------------------------------------------------------------
class Bench:
    """One QEMU and the pictures that its memory is filled with."""

    def __init__(self, folder, cpu="max", unit=VTD, device=None, stage=BUILD / "stage/stage.elf"):
        self.folder = Path(folder)
        self.unit = unit
        work = BUILD / "machine"
        self.stage = symbols(stage)
        self.payload = symbols(work / "payload.elf")
        self.rom = symbols(work / "rom.elf")
        self.pieces = symbols(work / "inject.elf")
        self.images = {}
        file = self.folder / "ram"
        with open(file, "wb") as out:
            out.truncate(SIZE)
        self.ram = mmap.mmap(os.open(file, os.O_RDWR), SIZE)
        self.qemu = Qemu(self.folder, work / "rom.bin", file, SIZE, (device or unit.DEVICE,), cpu, unit.TRACE)
        self.gdb, self.qmp = self.qemu.gdb, self.qemu.qmp
        self.dead = self.rom["rom_dead"][0]
        self.gdb.break_at(self.dead)
        self.done = None
        self.before = None

    def close(self):
        self.qemu.close()

    def image(self, pool):
        """A wrapped payload with a pool of this size."""
        if pool not in self.images:
            raw = bytearray(kernel(init_size=0x10000))
            code = (BUILD / "machine/payload.bin").read_bytes()
            start = (raw[0x1F1] + 1) * 512
            raw[start:start + len(code)] = code
            plain, wrapped = self.folder / "plain", self.folder / "wrapped"
            plain.write_bytes(raw)
            subprocess.run([TOOL, "wrap", plain, "-o", wrapped, "--pool", pool], check=True, capture_output=True)
            stage = (BUILD / "stage/stage.bin").read_bytes()
            at = (raw[0x1F1] + 1) * 512
            assert wrapped.read_bytes()[at:at + 0x400] == stage[:0x400] and \
                stage[0x600:] in wrapped.read_bytes(), "the tool has another stage inside: run make"
            self.images[pool] = (bytes(raw), wrapped.read_bytes())
        return self.images[pool]

    def load(self, kexec, change=None):
        """Fills memory for a run; change(memory) may alter it. The machine stands at its reset vector then."""
        plain, image = self.image(kexec.pool)
        memory = Memory()
        put_firmware(memory, self.unit)
        put_cpu_tables(memory)
        self.unit.tables(memory, kexec.scalable)
        memory.put(INJECT, (BUILD / "machine/inject.bin").read_bytes())
        memory.put(0x500, bytes(range(256)))
        put_kexec(memory, image, kexec)
        put_orders(memory, kexec, self.unit)
        if change:
            change(memory)
        header = struct.unpack_from("<QIIIIQQQQQQ", memory.bytes, IMAGE + 0x400)
        self.kernel, self.pool, self.pool_size = IMAGE + header[6], IMAGE + header[9], header[10]
        self.plain_header = plain[0x1F1:0x271]
        self.before = bytes(memory.bytes)
        self.fill()

    def fill(self):
        """Resets the machine, with memory as load() made it."""
        self.qmp.reset()
        self.ram[:] = self.before
        done = self.kernel + self.payload["payload_done"][0]
        if done != self.done:
            if self.done is not None:
                self.gdb.unbreak(self.done)
            self.gdb.break_at(done)
            self.done = done

    def address(self, name):
        return IMAGE + self.stage[name][0]

    def piece(self, name):
        """First address of a piece of inject.S and one past its end."""
        at = sorted(a for a, _ in self.pieces.values())
        start = self.pieces["inject_" + name][0]
        return start, next(a for a in at if a > start)

    def run_to(self, name, seconds=10, count=1):
        """Runs until the count-th arrival at a function of the stage. False: the payload came first, or the end."""
        address = self.address(name)
        self.gdb.break_at(address)
        try:
            for number in range(count):
                rip = self.gdb.go(seconds)
                if rip != address:
                    return False
                if number + 1 < count:
                    self.gdb.unbreak(address)
                    self.gdb.step()
                    self.gdb.break_at(address)
        finally:
            self.gdb.unbreak(address)
        return True

    def finish(self, seconds=10):
        """Runs on until the payload is done; the Result, or None when it did not get there."""
        self.why = "it came through"
        rip = self.gdb.go(seconds) if self.gdb.get("rip") != self.done else self.done
        if rip != self.done:
            where = "reset" if rip == self.dead else f"hangs at {hex(self.gdb.get('rip'))}"
            self.why = where
            return None
        return Result(self, bytes(self.ram))


def said(bench, pattern):
    """The last line of the console that holds a pattern, as a match; None when there is none."""
    found = list(re.finditer(pattern, (bench.folder / "console").read_text()))
    return found[-1] if found else None


def open_bench(**options):
    """A Bench in a temporary folder that goes away with it."""
    folder = tempfile.TemporaryDirectory(prefix="cofferdam-bench-")
    bench = Bench(folder.name, **options)
    bench.temporary = folder
    return bench

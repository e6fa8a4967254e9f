# SPDX-License-Identifier: MIT
"""Dumps that are cut short, damaged, or lie: one line of error, bounded time and memory, never a crash of the tool."""
import random
import shutil
import struct
from pathlib import Path
from typing import Callable

from .ask import INCOMPLETE, Answer, run
from .inspect_case import PAGE, Case
from .paths import TOOL

LIMIT_S = 60  # they take some tenths of a second where nothing else runs
MEMORY = 256 << 10  # KiB that it may have in memory
ADDRESS_SPACE = 2 << 30
BAD_INPUT = 3
U16, U32, U64 = "<H", "<I", "<Q"


def _poke(*places: tuple[int, str, int]) -> Callable[[bytearray], None]:
    def change(head: bytearray) -> None:
        for at, form, value in places:
            struct.pack_into(form, head, at, value)

    return change


def _elf_lies(head: bytes) -> dict[str, Callable[[bytearray], None]]:
    table, count = struct.unpack_from(U64, head, 32)[0], struct.unpack_from(U16, head, 56)[0]
    loads = [table + 56 * n for n in range(count) if struct.unpack_from(U32, head, table + 56 * n)[0] == 1]
    notes = next(table + 56 * n for n in range(count) if struct.unpack_from(U32, head, table + 56 * n)[0] == 4)
    note_at = struct.unpack_from(U64, head, notes + 8)[0]
    huge = (1 << 64) - PAGE
    return {
        "65,535 program headers": _poke((56, U16, 0xFFFF)),
        "no program headers": _poke((56, U16, 0)),
        "program headers behind the end": _poke((32, U64, huge)),
        "program headers of 65,535 bytes": _poke((54, U16, 0xFFFF)),
        "program headers of 1 byte": _poke((54, U16, 1)),
        "all segments larger than the file": _poke(*((at + 32, U64, 1 << 62) for at in loads)),
        "all segments behind the end": _poke(*((at + 8, U64, huge) for at in loads)),
        "all segments at the end of addresses": _poke(*((at + 24, U64, huge) for at in loads)),
        "all segments of all memory": _poke(*((at + 40, U64, (1 << 64) - 1) for at in loads)),
        "all segments at one place": _poke(*((at + 24, U64, 0) for at in loads)),
        "notes larger than the file": _poke((notes + 32, U64, 1 << 62)),
        "a note with a name of 4 GiB": _poke((note_at, U32, 0xFFFFFFFF)),
        "a note with contents of 4 GiB": _poke((note_at + 4, U32, 0xFFFFFFFF)),
        "another machine": _poke((18, U16, 8)),
        "another byte order": _poke((5, "<B", 2)),
    }


def _kdump_lies(head: bytes) -> dict[str, Callable[[bytearray], None]]:
    sub = struct.unpack_from(U32, head, 432)[0]
    bitmap, size = (1 + sub) * PAGE, struct.unpack_from(U32, head, 436)[0] * PAGE
    first = bitmap + size  # of the descriptors
    note = PAGE + 48  # offset_note in the sub-header, then its size
    out = {
        "a version of 2^31": _poke((8, U32, 0x80000000)),
        "blocks of 0 bytes": _poke((428, U32, 0)),
        "blocks of 1 byte": _poke((428, U32, 1)),
        "blocks of 2 GiB": _poke((428, U32, 0x80000000)),
        "a sub-header of 2^31 blocks": _poke((432, U32, 0x7FFFFFFF)),
        "a sub-header of -1 blocks": _poke((432, U32, 0xFFFFFFFF)),
        "bitmaps of 2^32 blocks": _poke((436, U32, 0xFFFFFFFF)),
        "no bitmaps": _poke((436, U32, 0)),
        "2^32 pages": _poke((440, U32, 0xFFFFFFFF), (PAGE + 96, U64, 0xFFFFFFFF)),
        "2^64 pages": _poke((PAGE + 96, U64, (1 << 64) - 1)),
        "notes behind the end": _poke((note, U64, 1 << 62)),
        "notes of 2^62 bytes": _poke((note + 8, U64, 1 << 62)),
        "VMCOREINFO of 2^62 bytes": _poke((PAGE + 40, U64, 1 << 62)),
    }
    if first + 24 <= len(head):
        out["pages of 4 GiB"] = _poke(*((first + 24 * n + 8, U32, 0xFFFFFFFF) for n in range(64)))
        out["pages behind the end"] = _poke(*((first + 24 * n, U64, 1 << 62) for n in range(64)))
        out["pages packed in no known way"] = _poke(*((first + 24 * n + 12, U32, 0xFFFF) for n in range(64)))
    return out


def _flat_lies(head: bytes) -> dict[str, Callable[[bytearray], None]]:
    at = 4096  # the first record: offset and size, big-endian
    return {
        "a record of 2^62 bytes": _poke((at + 8, ">Q", 1 << 62)),
        "a record of -1 bytes that is no end": _poke((at + 8, ">q", -1)),
        "a record of no bytes": _poke((at + 8, ">Q", 0)),
        "a record at 2^62": _poke((at, ">Q", 1 << 62)),
        "a record at -2": _poke((at, ">q", -2)),
        "another type": _poke((16, ">Q", 99)),
        "another version": _poke((24, ">Q", 99)),
    }


LIES = {"elf": _elf_lies, "kdump": _kdump_lies, "flat": _flat_lies}


class Hostile:
    """Works on copies of three dumps of one crash."""

    def __init__(self, case: Case, tap, full: bool):
        self.case, self.tap, self.full = case, tap, full
        self.out = case.folder / "hostile"
        self.bases = {"elf": case.folder / "d31.elf", "kdump": case.folder / "d31.zlib", "flat": case.folder / "d31.lzo.flat"}

    def run(self) -> None:
        """Prints a line for each kind of dump and of damage."""
        for kind, base in self.bases.items():
            self._lies(kind, base)
            self._cut(kind, base)
            self._flipped(kind, base)
        self.out.unlink(missing_ok=True)

    def _ask(self) -> Answer:
        return run([str(TOOL), "inspect", str(self.out), "devices", "--json"], LIMIT_S, ADDRESS_SPACE)

    @staticmethod
    def _wrong(answer: Answer, allowed: tuple[int, ...]) -> str:
        if answer.timed_out:
            return f"not done within {LIMIT_S} s"
        if answer.status not in allowed:
            return f"status {answer.status}: {answer.err.strip()[:120]}"
        if answer.status == BAD_INPUT and (answer.err.count("\n") != 1 or answer.out):
            return f"{answer.err.count(chr(10))} lines of error, {len(answer.out)} bytes of output"
        if answer.kib > MEMORY:
            return f"{answer.kib >> 10} MiB of memory"
        return ""

    def _check(self, kind: str, what: str, answers: dict[str, str], worst: float) -> None:
        wrong = [f"{name}: {text}" for name, text in answers.items() if text]
        self.tap.check(not wrong, f"{self.case.name}: {kind}: {len(answers)} {what}; the slowest took {worst:.1f} s")
        for line in wrong[:12]:
            print(f"#   {line}", flush=True)

    def _lies(self, kind: str, base: Path) -> None:
        said, worst = {}, 0.0
        shutil.copyfile(base, self.out)
        with base.open("rb") as file:
            whole = file.read(1 << 20)
        for name, change in LIES[kind](whole).items():
            head = bytearray(whole)
            change(head)
            self._write(head)
            answer = self._ask()
            worst = max(worst, answer.seconds)
            said[name] = self._wrong(answer, (0, 1, BAD_INPUT, INCOMPLETE))
        self._check(kind, "lying headers", said, worst)

    def _write(self, head: bytes) -> None:
        with self.out.open("r+b") as file:
            file.write(head)

    def _cut(self, kind: str, base: Path) -> None:
        size, said, worst = base.stat().st_size, {}, 0.0
        places = [0, 1, 15, 63, 64, 200, 4095, 4096, 4100, 8192, 20000, size // 4, size // 2, size * 3 // 4, size - 1]
        shutil.copyfile(base, self.out)
        for at in sorted(places, reverse=True):
            with self.out.open("r+b") as file:
                file.truncate(at)
            answer = self._ask()
            worst = max(worst, answer.seconds)
            # What is cut within its headers is no dump; a longer piece may hold the tables.
            said[f"at {at}"] = self._wrong(answer, (BAD_INPUT,) if at <= 4096 else (0, 1, BAD_INPUT, INCOMPLETE))
        self._check(kind, "truncated copies", said, worst)

    def _flipped(self, kind: str, base: Path) -> None:
        """Bytes of the headers changed at random, the same ones at every run."""
        dice, said, worst = random.Random(kind), {}, 0.0
        with base.open("rb") as file:
            whole = file.read(16384)
        shutil.copyfile(base, self.out)
        for number in range(200 if self.full else 10):
            head = bytearray(whole)
            for _ in range(dice.choice((1, 2, 8, 64))):
                head[dice.randrange(len(head) if dice.random() < 0.5 else 512)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
            self._write(head)
            answer = self._ask()
            worst = max(worst, answer.seconds)
            said[f"damage {number}"] = self._wrong(answer, (0, 1, BAD_INPUT, INCOMPLETE))
        self._check(kind, "damaged headers", said, worst)

# SPDX-License-Identifier: MIT
"""What the lab asks of a kind of IOMMU: how QEMU calls it, what it says in its trace, its registers, its tables.

One module a kind answers (kind_vtd.py, kind_amd.py); nothing else of the harness knows a kind by its name.
"""
from collections import Counter
from typing import Callable

from .views import ADDRESS, Context, Read, Views

Span = tuple[int, int]


class Kind:
    """The questions."""

    DEVICE = ""  # of QEMU
    UNIT = 0  # where QEMU's only unit has its registers
    REGISTERS: dict[str, tuple[int, str]] = {}  # name: (offset, "w" or "g" for 4 or 8 bytes), read at the hand-over
    EVENTS: tuple[str, ...] = ()  # always traced
    STREAM = ""  # the event of a translated access; switched on when the crash comes
    TRACES_SIZE = True  # a traced access tells the size of its page
    LOOPS_END = False  # the levels in the entries end tables that lead to themselves
    STORMS: tuple[str, ...] = ()  # events that may storm as well
    MOMENTS: tuple[bytes, ...] = ()  # events that moment() knows
    INHERITED = ""  # what Linux says about the tables that it found, as a pattern; group 1: what is kept
    REUSED = ""  # what it says that it goes on with in place; group 1: what that is
    REMAPS = ""  # what Linux says when it remaps interrupts, as a pattern
    ROOT_FINDINGS: tuple[int, ...] = ()  # codes about the root pointer itself: zero is a value there, too
    NOTE_ROOT = ""  # what the note calls the root pointer

    def moment(self, event: bytes) -> tuple[str, int] | None:
        """Returns ("root", pointer) or ("on", 0 or 1) for an event that says so."""
        raise NotImplementedError

    def pointer(self, registers: dict[str, int]) -> int | None:
        """Returns the root pointer in use, where registers tell it and the trace does not."""
        raise NotImplementedError

    def accesses(self, events: Counter, tables: Views | None) -> Counter:
        """Returns (requester id, IOVA page, target page, mask) -> count of translated accesses."""
        raise NotImplementedError

    def faults(self, events: Counter) -> Counter:
        """Returns reason -> count of the faults that QEMU tells of."""
        raise NotImplementedError

    def asked_mode(self, device: str, words: str) -> str:
        """Returns the kind of tables that -device and the first kernel's command line ask for, as a person says it."""
        raise NotImplementedError

    def rules(self, texts: list[str], known: Callable[[int], bool]):
        """Returns what the unit takes for sound, as the first kernel printed it; known: where tables may lie."""
        raise NotImplementedError

    def tables(self, read: Read, pointer: int, rules) -> Views:
        """Returns the tables that a root pointer names; where it names none, all of them are broken."""
        raise NotImplementedError

    def nothing(self) -> Views:
        """Returns tables without anybody."""
        raise NotImplementedError

    def unit_problems(self, registers: dict[str, int], walls: list[Span], root: int) -> list[str]:
        """Returns what of the unit still leans on the dead kernel at hand-over."""
        raise NotImplementedError

    def root_option(self, pointer: int) -> tuple[str, ...]:
        """Returns what tells the tool where the tables of a dump are."""
        raise NotImplementedError

    def to_itself(self, entry: Context) -> bytes:
        """Returns the top page table of an entry that leads back to itself from everywhere."""
        raise NotImplementedError

    def planter(self, machine, registers, memory, rules, crash: list[Span], ram: list[Span], run_for):
        """Returns what breaks the dead kernel's state (planter.py)."""
        raise NotImplementedError


def outside(registers: dict[str, int], names: list[str], walls: list[Span]) -> list[str]:
    """Returns complaints about registers that point out of the walls."""
    return [f"{name} 0x{registers[name]:x} lies in old memory" for name in names
            if not any(start <= registers[name] & ADDRESS < end for start, end in walls)]

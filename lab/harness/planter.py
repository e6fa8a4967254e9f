# SPDX-License-Identifier: MIT
"""What a plant (plant.py) may use: the held machine, the dead kernel's tables, and ways to change them.

Tables are changed in guest memory, from where the stage, the capture kernel and, after its next flush, the hardware
read them; registers are written as a processor would.
"""
import random
import struct
from dataclasses import dataclass, field
from typing import Callable

from .paths import LabError
from .physical import Physical
from .qemu import GuestMemory, Machine
from .views import ADDRESS, PAGE, Leaf, Views

Span = tuple[int, int]
VICTIM, OTHER = "hda", "rtl8139"
IMAGE_MAGIC = struct.pack("<Q", 0x314D_4144_474D_4943)  # of the image header, at the start of a wrapped kernel
IMAGE_HEADER, POOL_OFFSET = 0x400, 56


@dataclass
class Planted:
    """What was changed, for the judgement afterwards."""

    case: str
    expect: str  # what must become of whom; see plant.py
    pointer: int  # what the root pointer's register reads now
    changes: list[tuple[int, int, int]] = field(default_factory=list)  # (address, old value, new value), 8 bytes each
    registers: list[tuple[int, int]] = field(default_factory=list)  # (offset, value)
    named: list[tuple[int, int]] = field(default_factory=list)  # (requester id, value) where a finding has no address
    quarantined: frozenset[int] = frozenset()
    finding: bool = True  # the note must name the place, and the value in it


class Planter:
    """What a case may use: the held machine, and the tables it is to break. A kind's own planter says where entries lie."""

    UNIT = 0  # where the registers are
    RESERVED = 0  # of a leaf entry

    def __init__(self, machine: Machine, registers: Physical, memory: GuestMemory, rules,
                 crash: list[Span], ram: list[Span], run_for: Callable[[float], None]):
        self.registers, self.memory, self.crash, self.ram = registers, memory, crash, ram
        self.run_for = run_for
        self.rids = requester_ids(machine)
        self.victim, self.other = self.rids[VICTIM], self.rids[OTHER]
        self.tables, pointer = self.read_tables(rules)
        self.root = self.tables.root
        self.planted = Planted("", "", pointer)
        self.random = random.Random(3)

    # --- a kind's own ----------------------------------------------------------------------------------------
    def read_tables(self, rules) -> tuple[Views, int]:
        """Returns the tables in use, and the root pointer."""
        raise NotImplementedError

    def same_root_entry(self, rid: int) -> bool:
        """Whether what says where the victim's entry lies is said of a requester as well."""
        raise NotImplementedError

    def next_level(self, address: int, level: int) -> int:
        """Returns an entry of a level that leads to a table, with all rights."""
        raise NotImplementedError

    def large(self, at: int, level: int) -> int:
        """Returns the entry at `at` as a large page whose address is not a multiple of its size."""
        raise NotImplementedError

    def redirect(self, leaf: Leaf, target: int) -> None:
        """Lets a mapping lead elsewhere, with the rights it has."""
        self.put(self.leaf(leaf), target & -leaf.size | self.word(self.leaf(leaf)) & ~ADDRESS)

    # --- what is there ---------------------------------------------------------------------------------------
    @property
    def context(self) -> int:
        """Where the victim's context entry, or the PASID-table entry of its requests without PASID, lies."""
        return self.tables.contexts[self.tables.named(self.victim)].address

    def ring(self) -> list[Leaf]:
        """Returns the mappings of the sound stream's capture ring that are written next, by rising IOVA.

        The ring was filled with a pattern, and the device turns it to silence page by page. It is mapped with large
        pages where its memory allows that: then the one that is being written is all that is returned.
        """
        leaves = [leaf for leaf in self.tables.leaves(self.victim) if leaf.write]
        ends = [[self.memory.read(at, PAGE) for at in (leaf.target, leaf.target + leaf.size - PAGE)] for leaf in leaves]
        done, fresh = bytes(PAGE), b"\xa5" * PAGE
        for leaf, (first, last) in zip(leaves, ends):
            if leaf.size > PAGE and first == done and last == fresh:
                return [leaf]
        for number in range(1, len(leaves)):
            if ends[number - 1][0] == done and ends[number][0] == fresh:
                return [leaf for leaf, (first, _) in zip(leaves[number:], ends[number:]) if first == fresh][:64]
        raise LabError("the victim's ring is nowhere in its tables")

    def small(self) -> list[Leaf]:
        """Returns the victim's 4-KiB mappings: descriptors, positions."""
        return [leaf for leaf in self.tables.leaves(self.victim) if leaf.size == PAGE][:64]

    def leaf(self, leaf: Leaf) -> int:
        """Returns where the entry of a mapping lies."""
        return self.tables.entries(self.victim, leaf.iova)[-1][1]

    @property
    def top(self) -> int:
        """The level of the victim's topmost table."""
        return self.tables.contexts[self.tables.named(self.victim)].levels

    def entry(self, level: int, leaf: Leaf | None = None) -> int:
        """Returns where the victim's entry of a level (1 is the leaf level) lies, on the way to its ring or a mapping."""
        iova = (leaf or self.ring()[0]).iova
        return next(at for lvl, at, _ in self.tables.entries(self.victim, iova) if lvl == level)

    def crash_page(self, number: int = 0) -> int:
        """Returns a page of the crash region; the numbers spread over all of it."""
        start, end = self.crash[-1]
        return start + (0x500_0000 + number * 0x41_3000) % (end - start) & -PAGE

    def pool(self) -> int:
        """Returns a page of the pool of the wrapped image, or where one would be when there is none."""
        for start, end in self.crash:
            for at in range(start, end, 1 << 22):
                block = self.memory.read(at, min(1 << 22, end - at)) or b""
                found = block.find(IMAGE_MAGIC)
                while found >= 0 and (found & PAGE - 1) != IMAGE_HEADER:
                    found = block.find(IMAGE_MAGIC, found + 1)
                if found >= 0:
                    offset = struct.unpack_from("<Q", block, found + POOL_OFFSET)[0]
                    return at + found - IMAGE_HEADER + offset + 0x10_0000
        return self.crash_page(1)

    def free_page(self) -> int:
        """Returns a page of old memory that holds nothing, high up, where nobody allocated."""
        mapped = {leaf.target for source in self.tables.contexts for leaf in self.tables.leaves(source)}
        for start, end in reversed(self.ram):
            for at in range(end - PAGE & -PAGE, max(start, end - (64 << 20)), -PAGE):
                inside = any(a <= at < b for a, b in self.crash)
                if not inside and at not in mapped and not any(self.memory.read(at, PAGE) or b"x"):
                    return at
        raise AssertionError("no empty page in old memory")

    def word(self, address: int) -> int:
        """Returns 8 bytes of guest memory."""
        return struct.unpack("<Q", self.memory.read(address, 8) or bytes(8))[0]

    # --- changing it -----------------------------------------------------------------------------------------
    def put(self, address: int, value: int) -> None:
        """Writes 8 bytes of guest memory, and remembers them."""
        value &= (1 << 64) - 1
        self.planted.changes.append((address, self.word(address), value))
        self.memory.write(address, struct.pack("<Q", value))

    def put_page(self, address: int, data: bytes) -> None:
        """Writes a whole page."""
        for at, value in enumerate(struct.unpack("<512Q", data)):
            self.put(address + 8 * at, value)

    def noise(self) -> bytes:
        """Returns a page of random bytes, the same for each run."""
        return self.random.randbytes(PAGE)

    def register(self, offset: int, value: int, width: int = 4) -> None:
        """Writes a register of the unit."""
        self.planted.registers.append((offset, value))
        self.registers.write(self.UNIT + offset, width, value)


def requester_ids(machine: Machine) -> dict[str, int]:
    """Returns the requester id of every PCI function, by its id in QEMU or its place."""
    out = {}
    for bus in machine.qmp("query-pci"):
        for one in bus["devices"]:
            rid = bus["bus"] << 8 | one["slot"] << 3 | one["function"]
            out[one["qdev_id"] or f"{rid:04x}"] = rid
    return out

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
from .vtdread import ADDRESS, PAGE, Leaf, Rules, Tables

Span = tuple[int, int]
VICTIM, OTHER = "hda", "rtl8139"
REGISTERS = 0xFED9_0000  # QEMU's only unit
GCMD, GSTS, RTADDR, FSTS, FECTL, IQH, IQT, IQA, IRTA = 0x18, 0x1C, 0x20, 0x34, 0x38, 0x80, 0x88, 0x90, 0xB8
KEEP = 0x96FF_FFFF  # GSTS bits that a GCMD write repeats
SRTP, QIE, QUEUE_ERROR, FAULT = 1 << 30, 1 << 26, 1 << 4, 1 << 1
IMAGE_MAGIC = struct.pack("<Q", 0x314D_4144_474D_4943)  # of the image header, at the start of a wrapped kernel
IMAGE_HEADER, POOL_OFFSET = 0x400, 56


@dataclass
class Planted:
    """What was changed, for the judgement afterwards."""

    case: str
    expect: str  # what must become of whom; see plant.py
    rtaddr: int  # what the register reads now
    changes: list[tuple[int, int, int]] = field(default_factory=list)  # (address, old value, new value), 8 bytes each
    registers: list[tuple[int, int]] = field(default_factory=list)  # (offset, value)
    named: list[tuple[int, int]] = field(default_factory=list)  # (requester id, value) where a finding has no address
    quarantined: frozenset[int] = frozenset()
    finding: bool = True  # the note must name the place, and the value in it


class Planter:
    """What a case may use: the held machine, and the tables it is to break."""

    def __init__(self, machine: Machine, registers: Physical, memory: GuestMemory, rules: Rules,
                 crash: list[Span], ram: list[Span], run_for: Callable[[float], None]):
        self.registers, self.memory, self.crash, self.ram = registers, memory, crash, ram
        self.run_for = run_for
        self.rids = requester_ids(machine)
        self.victim, self.other = self.rids[VICTIM], self.rids[OTHER]
        rtaddr = registers.read(REGISTERS + RTADDR, 8)
        self.root = rtaddr & ADDRESS
        self.tables = Tables(memory.read, self.root, bool(rtaddr >> 10 & 1), rules)
        self.planted = Planted("", "", rtaddr)
        self.random = random.Random(3)

    # --- what is there ---------------------------------------------------------------------------------------
    @property
    def context(self) -> int:
        """Where the victim's context entry, or the PASID-table entry of its requests without PASID, lies."""
        return self.tables.contexts[self.tables.named(self.victim)].address

    @property
    def root_entry(self) -> int:
        """Where the root entry of the victim's bus lies; in scalable mode the half that the victim uses."""
        half = 8 if self.tables.scalable and self.victim & 0x80 else 0
        return self.root + 16 * (self.victim >> 8) + half

    def same_root_entry(self, rid: int) -> bool:
        """Whether the victim's root entry (in scalable mode its half) is that of a requester as well."""
        bits = 7 if self.tables.scalable else 8
        return rid >> bits == self.victim >> bits

    @property
    def wide_context(self) -> int:
        """Where the victim's context entry of scalable mode lies."""
        return (self.word(self.root_entry) & ADDRESS) + 32 * (self.victim & 0x7F)

    @property
    def directory_entry(self) -> int:
        """Where the entry of the PASID directory for requests without a PASID lies."""
        pasid = self.word(self.wide_context + 8) & 0xFFFFF
        return (self.word(self.wide_context) & ADDRESS) + 8 * (pasid >> 6)

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
        self.registers.write(REGISTERS + offset, width, value)

    def command(self, keep: int = KEEP, also: int = 0) -> None:
        """Writes GCMD: everything stays as it is, but for the bits said."""
        self.register(GCMD, self.registers.read(REGISTERS + GSTS, 4) & keep | also)

    def rtaddr(self, value: int) -> None:
        """Writes the root pointer's register, which the hardware goes by only after the next SRTP."""
        self.register(RTADDR, value, 8)
        self.planted.rtaddr = self.registers.read(REGISTERS + RTADDR, 8)


def requester_ids(machine: Machine) -> dict[str, int]:
    """Returns the requester id of every PCI function, by its id in QEMU or its place."""
    out = {}
    for bus in machine.qmp("query-pci"):
        for one in bus["devices"]:
            rid = bus["bus"] << 8 | one["slot"] << 3 | one["function"]
            out[one["qdev_id"] or f"{rid:04x}"] = rid
    return out

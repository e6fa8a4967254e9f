# SPDX-License-Identifier: MIT
"""Where the entries of AMD-Vi lie, for plants."""
from .amdread import AmdTables
from .planter import Planter
from .views import ADDRESS, PAGE, Leaf

REGISTERS = 0xFED8_0000  # QEMU's only unit
DEVTAB, CMDBUF, EVTLOG, CONTROL, CMDHEAD, CMDTAIL, EVTHEAD, EVTTAIL, STATUS = 0, 8, 0x10, 0x18, 0x2000, 0x2008, 0x2010, 0x2018, 0x2020
EVENT_LOG_ON, COMMANDS_ON = 1 << 2, 1 << 12
RIGHTS = 3 << 61


def length_of(pointer: int) -> int:
    """Returns the bytes of the device table that its register names: bits 8:0 are pages - 1."""
    return ((pointer & 0x1FF) + 1) * PAGE


class AmdPlanter(Planter):
    """Breaks AMD-Vi."""

    UNIT = REGISTERS
    RESERVED = 0x1F << 52

    def read_tables(self, rules) -> tuple[AmdTables, int]:
        """Goes by the device table's register."""
        pointer = self.registers.read(REGISTERS + DEVTAB, 8)
        return AmdTables(self.memory.read, pointer & ADDRESS, length_of(pointer), rules), pointer

    def same_root_entry(self, rid: int) -> bool:
        """Nothing lies above an entry but the device table."""
        return False

    def next_level(self, address: int, level: int) -> int:
        """A table of the level below."""
        return address | level - 1 << 9 | RIGHTS | 1

    def large(self, at: int, level: int) -> int:
        """NextLevel 0 makes it a page."""
        return self.word(at) & ~(7 << 9) | 1 << 13

    def redirect(self, leaf: Leaf, target: int) -> None:
        """All entries of a page that spans several get the same; its size stays in the low bits of the address."""
        level, first, value = self.tables.entries(self.victim, leaf.iova)[-1]
        own = PAGE << 9 * (level - 1)
        size_bits = leaf.size // 2 - 1 & -PAGE if leaf.size > own else 0
        for number in range(max(1, leaf.size // own)):
            self.put(first + 8 * number, value & ~ADDRESS | target & -leaf.size | size_bits)

    def control(self, keep: int = -1, also: int = 0) -> None:
        """Writes the control register: everything stays as it is, but for the bits said."""
        self.register(CONTROL, self.registers.read(REGISTERS + CONTROL, 8) & keep | also, 8)

    def devtab(self, value: int) -> None:
        """Writes the device table's register, which the hardware goes by at once."""
        self.register(DEVTAB, value, 8)
        self.planted.pointer = self.registers.read(REGISTERS + DEVTAB, 8)

# SPDX-License-Identifier: MIT
"""Where the entries of VT-d lie, for plants."""
from .planter import Planter
from .views import ADDRESS
from .vtdread import Tables

REGISTERS = 0xFED9_0000  # QEMU's only unit
GCMD, GSTS, RTADDR, FSTS, FECTL, IQH, IQT, IQA, IRTA = 0x18, 0x1C, 0x20, 0x34, 0x38, 0x80, 0x88, 0x90, 0xB8
KEEP = 0x96FF_FFFF  # GSTS bits that a GCMD write repeats
SRTP, QIE, QUEUE_ERROR, FAULT = 1 << 30, 1 << 26, 1 << 4, 1 << 1


class VtdPlanter(Planter):
    """Breaks VT-d."""

    UNIT = REGISTERS
    RESERVED = 7 << 49

    def read_tables(self, rules) -> tuple[Tables, int]:
        """Goes by the root pointer's register."""
        rtaddr = self.registers.read(REGISTERS + RTADDR, 8)
        return Tables(self.memory.read, rtaddr & ADDRESS, bool(rtaddr >> 10 & 1), rules), rtaddr

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

    def next_level(self, address: int, level: int) -> int:
        """All that both formats call allowed."""
        return address | 7

    def large(self, at: int, level: int) -> int:
        """Bit 7 makes it a page."""
        return self.word(at) & (ADDRESS | 0xFFF) | 1 << 13 | 0x80

    def command(self, keep: int = KEEP, also: int = 0) -> None:
        """Writes GCMD: everything stays as it is, but for the bits said."""
        self.register(GCMD, self.registers.read(REGISTERS + GSTS, 4) & keep | also)

    def rtaddr(self, value: int) -> None:
        """Writes the root pointer's register, which the hardware goes by only after the next SRTP."""
        self.register(RTADDR, value, 8)
        self.planted.pointer = self.registers.read(REGISTERS + RTADDR, 8)

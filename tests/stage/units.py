# SPDX-License-Identifier: MIT
"""The IOMMUs that the bench machine can have: QEMU's device, firmware's word on it, what a dead kernel left in memory
and did to the unit, and what its registers say. Made from the specifications, as the rest of the bench is."""
import struct

from layout import CRASH, DATA, IOVA, L, QUEUE, REMAPPING, TABLES
from remote import words


def acpi_table(signature, body, revision=1):
    """A table with its header and a right checksum."""
    head = struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), revision, 0, b"COFFER", b"BENCH   ", 1, b"TEST", 1)
    table = bytearray(head + body)
    table[9] = -sum(table) & 255
    return bytes(table)


def write32(address, value):
    """A step of the ROM: (kind, mask, address, value)."""
    return L["STEP_WRITE32"], 0, address, value


def write64(address, value):
    """The same for 64 bits."""
    return L["STEP_WRITE64"], 0, address, value


def wait32(address, mask, value):
    """Waits until (word & mask) == value."""
    return L["STEP_WAIT32"], mask, address, value


class Unit:
    """The questions. DUMPED: two stretches of registers, (offset, dwords), that the payload copies."""

    DEVICE = ""
    BASE = 0
    DUMPED = ()
    RIDS = ()
    TRACE = ""

    def register(self, dump, offset, size=8):
        """A register out of what the payload copied."""
        at = 0
        for start, dwords in self.DUMPED:
            if start <= offset < start + 4 * dwords:
                return words(dump[at + offset - start:], 1, size)[0]
            at += 4 * dwords
        raise KeyError(hex(offset))


class Vtd(Unit):
    """Intel VT-d."""

    DEVICE = "intel-iommu,intremap=on,aw-bits=48"
    BASE = 0xFED90000
    DUMPED = ((0, 140), (0, 0))
    RIDS = (0x08, 0x10, 0xF8)
    TRACE = "vtd_dmar_enable"

    def firmware(self):
        """DMAR with one unit for everything."""
        drhd = struct.pack("<HHBBHQ", 0, 16, 1, 0, 0, self.BASE)
        return acpi_table(b"DMAR", struct.pack("<BB10x", 38, 1) + drhd)

    def _binding(self, memory, rid, table, domain, scalable):
        """Context of rid on bus 0; in scalable mode PASID directory and table as well, in two pages behind `table`."""
        if not scalable:
            memory.put64(TABLES, (TABLES + 0x1000) | 1)
            memory.put64(TABLES + 0x1000 + 16 * rid, table | 1, domain << 8 | 2)
            return
        memory.put64(TABLES, (TABLES + 0x1000) | 1, (TABLES + 0x2000) | 1) # a context table for each half of the bus
        directory, pasids = table + 0x4000, table + 0x5000
        memory.put64(TABLES + 0x1000 + 32 * rid, directory | 1)
        memory.put64(directory, pasids | 1)
        memory.put64(pasids, table | 2 << 6 | 2 << 2 | 1, domain)

    def tables(self, memory, scalable):
        """Root, contexts with a table each, 4 levels; the second one leads into the crash region too; the queue."""
        at = TABLES + 0x3000
        for number, rid in enumerate(self.RIDS):
            levels = [at + 0x1000 * i for i in range(4)]
            self._binding(memory, rid, at, 5 + number, scalable)
            at += 0x6000
            for i in range(3):
                memory.put64(levels[i] + (IOVA >> (39 - 9 * i) & 511) * 8, levels[i + 1] | 3)
            leaf = levels[3] + (IOVA >> 12 & 511) * 8
            for page in range(8):
                memory.put64(leaf + 8 * page, (DATA + 0x10000 * number + 0x1000 * page) | 3)
            if number == 1:
                memory.put64(leaf + 64, (CRASH + 0x5000) | 3)
        # A queue in which all is done; QEMU lets it be turned off only after a wait descriptor.
        more = (0, 0) if scalable else ()
        memory.put64(QUEUE + 0x1000, 1)
        memory.put64(QUEUE, 2 | 1 << 4, 0, *more, 5 | 1 << 5 | 1 << 32, QUEUE + 0x1000, *more)

    def steps(self, scalable=False, queue=True, translation=True, remapping=True):
        """What an old kernel did to the unit."""
        steps = []
        on = 0

        def command(bit, lasting):
            nonlocal on
            steps.append(write32(self.BASE + 0x18, on | 1 << bit))
            steps.append(wait32(self.BASE + 0x1C, 1 << bit, 1 << bit))
            on |= lasting << bit

        steps.append(write64(self.BASE + 0x20, TABLES | scalable << 10))
        command(30, 0)
        if queue:
            steps.append(write64(self.BASE + 0x88, 0))
            steps.append(write64(self.BASE + 0x90, QUEUE | scalable << 11))
            command(26, 1)
            steps.append(write64(self.BASE + 0x88, 64 if scalable else 32))
        if remapping:
            steps.append(write64(self.BASE + 0xB8, REMAPPING | 7))
            command(24, 0)
            command(25, 1)
        if translation:
            command(31, 1)
        return steps

    def root(self, dump):
        """The root pointer."""
        return self.register(dump, 0x20)

    def is_on(self, dump):
        """Whether it translates."""
        return self.register(dump, 0x1C, 4) >> 31 & 1

    def turned_off(self, lines):
        """Lines of QEMU's trace that say that translation went off."""
        return [line for line in lines if not line.endswith("enable 1")]


class Amd(Unit):
    """AMD-Vi. Function 00:01.0 is the IOMMU itself."""

    DEVICE = "amd-iommu,intremap=on"
    BASE = 0xFED80000
    DUMPED = ((0, 16), (0x2000, 10)) # bases and control; pointers and status
    RIDS = (0x10, 0x18, 0xF8)
    TRACE = "amdvi_control_status"

    def firmware(self):
        """IVRS with one IVHD for everything."""
        ivhd = struct.pack("<BBHHHQHHI", 0x10, 0, 28, 0x08, 0x40, self.BASE, 0, 0, 0) + struct.pack("<BHB", 1, 0, 0)
        return acpi_table(b"IVRS", struct.pack("<I8x", 40 << 8) + ivhd)

    def tables(self, memory, scalable):
        """A device table of 256 entries, host tables of 4 levels; the second one leads into the crash region too."""
        assert not scalable
        rights = 3 << 61
        at = TABLES + 0x3000
        for number, rid in enumerate(self.RIDS):
            levels = [at + 0x1000 * i for i in range(4)]
            memory.put64(TABLES + 32 * rid, levels[0] | rights | 4 << 9 | 3, 5 + number)
            at += 0x6000
            for i in range(3):
                memory.put64(levels[i] + (IOVA >> (39 - 9 * i) & 511) * 8, levels[i + 1] | rights | (3 - i) << 9 | 1)
            leaf = levels[3] + (IOVA >> 12 & 511) * 8
            for page in range(8):
                memory.put64(leaf + 8 * page, (DATA + 0x10000 * number + 0x1000 * page) | rights | 1)
            if number == 1:
                memory.put64(leaf + 64, (CRASH + 0x5000) | rights | 1)

    def steps(self, scalable=False):
        """Device table of 8 KiB, command buffer and event log of 512 entries, coherent walks."""
        assert not scalable
        return [write64(self.BASE, TABLES | 1), write64(self.BASE + 0x08, QUEUE | 9 << 56),
                write64(self.BASE + 0x10, (QUEUE + 0x2000) | 9 << 56),
                write64(self.BASE + 0x18, 1 << 10 | 1 << 12 | 1 << 2 | 1)]

    def root(self, dump):
        """The base of the device table, with its size."""
        return self.register(dump, 0)

    def is_on(self, dump):
        """Whether it translates."""
        return self.register(dump, 0x18) & 1

    def turned_off(self, lines):
        """Lines of QEMU's trace that say that translation went off."""
        return [line for line in lines if not int(line.rsplit("state ", 1)[1].split()[0], 16) & 1]


VTD, AMD = Vtd(), Amd()

# SPDX-License-Identifier: MIT
"""Plants in AMD-Vi: device table entries, the device table's register, command buffer and event log."""
from .cases import BUS_LOST, CASES, CUT, NOWHERE, VICTIM_LOST, case
from .planter_amd import CMDBUF, CMDTAIL, COMMANDS_ON, CONTROL, EVENT_LOG_ON, EVTTAIL, REGISTERS, RIGHTS, STATUS
from .planter_amd import AmdPlanter as Planter
from .views import ADDRESS, PAGE

MODE = 7 << 9
_BEFORE = set(CASES)


def _root(p: Planter, address: int) -> None:
    p.put(p.context, p.word(p.context) & ~ADDRESS | address)


# --- device table entries ----------------------------------------------------------------------------------------
@case(VICTIM_LOST)
def dte_outside_ram(p: Planter) -> None:
    """the device table entry's table lies where no memory is"""
    _root(p, NOWHERE)


@case(VICTIM_LOST)
def dte_into_mmio(p: Planter) -> None:
    """the device table entry's table lies in the unit's own registers"""
    _root(p, REGISTERS)


@case(VICTIM_LOST)
def dte_into_crash_region(p: Planter) -> None:
    """the device table entry's table lies in the crash region"""
    _root(p, p.crash_page())


@case(VICTIM_LOST)
def dte_into_pool(p: Planter) -> None:
    """the device table entry's table lies in the pool"""
    _root(p, p.pool())


@case(VICTIM_LOST)
def dte_reserved_bits(p: Planter) -> None:
    """the device table entry has reserved bits set in its first word"""
    p.put(p.context, p.word(p.context) | 0x7C)


@case(VICTIM_LOST)
def dte_reserved_high(p: Planter) -> None:
    """the device table entry has reserved bits set in its last word"""
    p.put(p.context + 24, p.word(p.context + 24) | 0x7FFF)


@case(VICTIM_LOST)
def dte_mode_7(p: Planter) -> None:
    """the device table entry names a number of levels that does not exist"""
    p.put(p.context, p.word(p.context) | MODE)


@case(VICTIM_LOST)
def dte_guest_nowhere(p: Planter) -> None:
    """the device table entry asks for guest translation alone, by a table where no memory is"""
    p.put(p.context, p.word(p.context) & ~(MODE | ADDRESS) | 3 << 54)
    p.put(p.context + 8, p.word(p.context + 8) | NOWHERE >> 31 << 43)


@case(VICTIM_LOST)
def dte_all_ones(p: Planter) -> None:
    """the device table entry reads all ones"""
    for at in range(0, 32, 8):
        p.put(p.context + at, -1)


@case(CUT, finding=False)
def dte_zero(p: Planter) -> None:
    """the device table entry reads zero (V=0): the device passes through"""
    for at in range(0, 32, 8):
        p.put(p.context + at, 0)


@case(CUT, finding=False)
def dte_pass_through(p: Planter) -> None:
    """the device table entry was turned into pass-through (mode 0)"""
    p.put(p.context, p.word(p.context) & ~(MODE | ADDRESS))


@case(CUT, finding=False)
def dte_no_rights(p: Planter) -> None:
    """the device table entry has a table and no rights"""
    p.put(p.context, p.word(p.context) & ~RIGHTS)


@case(CUT, finding=False)
def dte_at_device_table(p: Planter) -> None:
    """the device table entry takes the device table for its page table"""
    _root(p, p.root)


@case(CUT)
def dte_shared_domain(p: Planter) -> None:
    """two devices have one domain id and different tables"""
    mine, other = p.word(p.context + 8), p.tables.contexts[p.other].address + 8
    p.put(other, p.word(other) & ~0xFFFF | mine & 0xFFFF)
    p.planted.named = [(rid, mine & 0xFFFF) for rid in (p.victim, p.other)]


@case(CUT)
def device_table_random(p: Planter) -> None:
    """the page of the device table that the victim's entry is in is random bytes"""
    p.put_page(p.context & -PAGE, p.noise())


@case(BUS_LOST)
def device_table_all_ones(p: Planter) -> None:
    """the whole device table reads all ones"""
    for at in sorted(p.tables.structure):
        p.put_page(at, b"\xff" * PAGE)


@case(CUT, finding=False)
def device_table_zero(p: Planter) -> None:
    """the whole device table reads zero: every device passes through"""
    for at in sorted(p.tables.structure):
        p.put_page(at, bytes(PAGE))


# --- the device table's register ---------------------------------------------------------------------------------
@case(BUS_LOST)
def devtab_outside_ram(p: Planter) -> None:
    """the device table's register names an address where no memory is"""
    p.devtab(NOWHERE | p.planted.pointer & ~ADDRESS)


@case(BUS_LOST)
def devtab_into_crash_region(p: Planter) -> None:
    """the device table's register leads into the crash region"""
    p.devtab(p.crash_page() | p.planted.pointer & ~ADDRESS)


@case(BUS_LOST)
def devtab_zero(p: Planter) -> None:
    """the device table's register reads zero"""
    p.devtab(0)


# --- command buffer and event log --------------------------------------------------------------------------------
@case(CUT, finding=False)
def commands_illegal(p: Planter) -> None:
    """the command buffer holds commands that do not exist, and the unit has met them"""
    base = p.registers.read(REGISTERS + CMDBUF, 8)
    tail = p.registers.read(REGISTERS + CMDTAIL, 8)
    for at in (tail, tail + 16):
        for word in (0, 8):
            p.put((base & ADDRESS) + (at + word) % (16 << (base >> 56 & 15)), -1)
    p.register(CMDTAIL, (tail + 32) % (16 << (base >> 56 & 15)), 8)


@case(CUT, finding=False)
def commands_waiting(p: Planter) -> None:
    """the command buffer is off, with commands in it that were never carried out"""
    p.control(keep=~COMMANDS_ON)
    base, tail = p.registers.read(REGISTERS + CMDBUF, 8), p.registers.read(REGISTERS + CMDTAIL, 8)
    p.register(CMDTAIL, (tail + 32) % (16 << (base >> 56 & 15)), 8)


@case(CUT, finding=False)
def commands_off(p: Planter) -> None:
    """the command buffer is off"""
    p.control(keep=~COMMANDS_ON)
    assert not p.registers.read(REGISTERS + STATUS, 8) >> 4 & 1, "the command buffer runs on"


@case(CUT, finding=False)
def commands_garbage(p: Planter) -> None:
    """the memory of the command buffer is random bytes, head and tail agree"""
    base = p.registers.read(REGISTERS + CMDBUF, 8)
    for at in range(0, 16 << (base >> 56 & 15), PAGE):
        p.put_page((base & ADDRESS) + at, p.noise())


@case(CUT, finding=False)
def events_off(p: Planter) -> None:
    """the event log is off"""
    p.control(keep=~EVENT_LOG_ON)


@case(CUT, finding=False)
def events_full(p: Planter) -> None:
    """the event log is full: its tail is right before its head"""
    p.register(EVTTAIL, 0x1FF0, 8)
    assert p.registers.read(REGISTERS + CONTROL, 8) & EVENT_LOG_ON, "there is no event log"


@case(CUT, finding=False)
def interrupt_tables_garbage(p: Planter) -> None:
    """the victim's device table entry leads its interrupts through a table of random bytes"""
    table = p.free_page()
    p.put_page(table, p.noise())
    p.put(p.context + 16, table | 1 | 9 << 1 | 2 << 60)


@case(CUT, finding=False)
def interrupt_table_outside_ram(p: Planter) -> None:
    """the victim's device table entry leads its interrupts through a table where no memory is"""
    p.put(p.context + 16, NOWHERE | 1 | 9 << 1 | 2 << 60)


NAMES = [name for name in CASES if name not in _BEFORE]

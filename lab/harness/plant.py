# SPDX-License-Identifier: MIT
"""Breaks the dead kernel's IOMMU state in one defined way, between the panic line and the stage.

One small function a case, found by its name with "-" for "_"; its docstring is what the scenario is about. The victim
is a device with DMA running. This file: root and context entries of VT-d's legacy mode, and the list of all.
"""
from . import plant_amd, plant_scalable, plant_tables, plant_unit
from .cases import BUS_LOST, CASES, CUT, ENTRY_LOST, NOWHERE, VICTIM_LOST, case
from .planter import Planted
from .planter_vtd import REGISTERS
from .planter_vtd import VtdPlanter as Planter
from .views import ADDRESS, PAGE

RESERVED_ROOT, RESERVED_CONTEXT = 0xFF0, 0x0F0
_OTHERS = list(CASES)


# --- root table --------------------------------------------------------------------------------------------------
@case(ENTRY_LOST)
def root_outside_ram(p: Planter) -> None:
    """the root entry of the victim's bus leads to where no memory is"""
    p.put(p.root_entry, NOWHERE | 1)


@case(ENTRY_LOST)
def root_into_mmio(p: Planter) -> None:
    """the root entry leads into the unit's own registers"""
    p.put(p.root_entry, REGISTERS | 1)


@case(ENTRY_LOST)
def root_into_crash_region(p: Planter) -> None:
    """the root entry leads into the crash region"""
    p.put(p.root_entry, p.crash_page() | 1)


@case(ENTRY_LOST)
def root_into_pool(p: Planter) -> None:
    """the root entry leads into the pool of the wrapped image"""
    p.put(p.root_entry, p.pool() | 1)


@case(ENTRY_LOST)
def root_reserved_bits(p: Planter) -> None:
    """the root entry has reserved bits set, and its pointer is right"""
    p.put(p.root_entry, p.word(p.root_entry) | RESERVED_ROOT)


@case(ENTRY_LOST)
def root_at_root(p: Planter) -> None:
    """the root entry leads to the root table itself"""
    p.put(p.root_entry, p.root | 1)


@case(CUT, finding=False)
def other_bus_at_root(p: Planter) -> None:
    """the root entry of a bus without devices leads to the root table itself"""
    p.put(p.root + 16 * 5, p.root | 1)


@case(BUS_LOST)
def root_all_ones(p: Planter) -> None:
    """the whole root table reads all ones"""
    p.put_page(p.root, b"\xff" * PAGE)


@case(BUS_LOST)
def root_random(p: Planter) -> None:
    """the whole root table is random bytes; the victim's bus is present"""
    p.put_page(p.root, p.noise())
    p.put(p.root_entry, p.word(p.root_entry) | 1)


@case(CUT, finding=False)
def root_zero(p: Planter) -> None:
    """the whole root table reads zero: no bus is present, and faults of absent buses cannot be silenced"""
    p.put_page(p.root, bytes(PAGE))


# --- context entries ---------------------------------------------------------------------------------------------
@case(VICTIM_LOST)
def context_outside_ram(p: Planter) -> None:
    """the context entry's table lies where no memory is"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | NOWHERE)


@case(VICTIM_LOST)
def context_into_mmio(p: Planter) -> None:
    """the context entry's table lies in the unit's own registers"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | REGISTERS)


@case(VICTIM_LOST)
def context_into_crash_region(p: Planter) -> None:
    """the context entry's table lies in the crash region"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | p.crash_page())


@case(VICTIM_LOST)
def context_into_pool(p: Planter) -> None:
    """the context entry's table lies in the pool"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | p.pool())


@case(VICTIM_LOST)
def context_reserved_bits(p: Planter) -> None:
    """the context entry has reserved bits set in its first word"""
    p.put(p.context, p.word(p.context) | RESERVED_CONTEXT)


@case(VICTIM_LOST)
def context_reserved_high(p: Planter) -> None:
    """the context entry has reserved bits set in its second word"""
    p.put(p.context + 8, p.word(p.context + 8) | 0xFF << 24)


@case(VICTIM_LOST)
def context_type_3(p: Planter) -> None:
    """the context entry is of the reserved type"""
    p.put(p.context, p.word(p.context) | 3 << 2)


@case(VICTIM_LOST)
def context_width(p: Planter) -> None:
    """the context entry names an address width that does not exist"""
    p.put(p.context + 8, p.word(p.context + 8) | 7)


@case(VICTIM_LOST)
def context_all_ones(p: Planter) -> None:
    """the context entry reads all ones"""
    p.put(p.context, -1)
    p.put(p.context + 8, -1)


@case(CUT)
def context_table_random(p: Planter) -> None:
    """the whole context table of the bus is random bytes"""
    p.put_page(p.context & -PAGE, p.noise())


@case(CUT, finding=False)
def context_at_root(p: Planter) -> None:
    """the context entry takes the root table for its page table"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | p.root)


@case(CUT, finding=False)
def context_at_itself(p: Planter) -> None:
    """the context entry takes its own context table for its page table"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | p.context & ADDRESS)


@case(CUT)
def context_pass_through(p: Planter) -> None:
    """the context entry was turned into pass-through"""
    p.put(p.context, p.word(p.context) & ~(3 << 2) | 2 << 2)


@case(CUT)
def context_shared_domain(p: Planter) -> None:
    """two devices have one domain id and different tables"""
    mine, other = p.word(p.context + 8), p.tables.contexts[p.other].address + 8
    p.put(other, p.word(other) & ~0xFFFF00 | mine & 0xFFFF00)
    p.planted.named = [(rid, mine >> 8 & 0xFFFF) for rid in (p.victim, p.other)]


SCALABLE = plant_scalable.NAMES
LEGACY = [name for name in CASES if name not in _OTHERS] + plant_tables.NAMES + plant_unit.NAMES
# A device table taken for a page table has entries of the level that leads there: QEMU's amd-iommu walks in a
# circle at the first access and stands still, with Cofferdam or without.
AMD = plant_amd.NAMES + [name for name in plant_tables.NAMES if name != "next-at-root"]
GROUPS = {"legacy": LEGACY, "scalable": SCALABLE, "amd": AMD}


def plant(name: str, planter: Planter) -> Planted:
    """Breaks what the case says; returns what was done."""
    CASES[name](planter)
    return planter.planted

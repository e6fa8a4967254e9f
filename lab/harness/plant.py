# SPDX-License-Identifier: MIT
"""Breaks the dead kernel's IOMMU state in one defined way, between the panic line and the stage.

One small function a case, found by its name with "-" for "_"; its docstring is what the scenario is about. The victim
is a device with DMA running.
"""
import struct
from typing import Callable

from .planter import (FAULT, FECTL, FSTS, GSTS, IQA, IQT, IRTA, KEEP, QIE, QUEUE_ERROR, REGISTERS, SRTP, Planted,
                      Planter)
from .vtdread import ADDRESS, PAGE

NOWHERE = 0x40_0000_0000  # 256 GiB: within the address width, and nothing is there
RESERVED_ROOT, RESERVED_CONTEXT, RESERVED_PTE = 0xFF0, 0x0F0, 7 << 49
# What must become of whom: nothing is left for the victim, or for its whole bus; the reader says what is left; the unit
# may be left alone, as its table mode cannot be known.
VICTIM_LOST, BUS_LOST, CUT, ALONE = "victim", "bus", "cut", "alone"
CASES: dict[str, Callable[[Planter], None]] = {}


def _case(expect: str, finding: bool = True):
    def taken(function: Callable[[Planter], None]):
        name = function.__name__.replace("_", "-")

        def plant(p: Planter) -> None:
            p.planted.case, p.planted.expect, p.planted.finding = name, expect, finding
            function(p)
            lost = {VICTIM_LOST: {p.victim}, BUS_LOST: set(p.rids.values())}.get(expect, set())
            p.planted.quarantined = frozenset(lost)

        plant.__doc__ = function.__doc__
        CASES[name] = plant
        return function

    return taken


# --- root table --------------------------------------------------------------------------------------------------
@_case(BUS_LOST)
def root_outside_ram(p: Planter) -> None:
    """the root entry of the victim's bus leads to where no memory is"""
    p.put(p.root_entry, NOWHERE | 1)


@_case(BUS_LOST)
def root_into_mmio(p: Planter) -> None:
    """the root entry leads into the unit's own registers"""
    p.put(p.root_entry, REGISTERS | 1)


@_case(BUS_LOST)
def root_into_crash_region(p: Planter) -> None:
    """the root entry leads into the crash region"""
    p.put(p.root_entry, p.crash_page() | 1)


@_case(BUS_LOST)
def root_into_pool(p: Planter) -> None:
    """the root entry leads into the pool of the wrapped image"""
    p.put(p.root_entry, p.pool() | 1)


@_case(BUS_LOST)
def root_reserved_bits(p: Planter) -> None:
    """the root entry has reserved bits set, and its pointer is right"""
    p.put(p.root_entry, p.word(p.root_entry) | RESERVED_ROOT)


@_case(BUS_LOST)
def root_at_root(p: Planter) -> None:
    """the root entry leads to the root table itself"""
    p.put(p.root_entry, p.root | 1)


@_case(CUT, finding=False)
def other_bus_at_root(p: Planter) -> None:
    """the root entry of a bus without devices leads to the root table itself"""
    p.put(p.root + 16 * 5, p.root | 1)


@_case(BUS_LOST)
def root_all_ones(p: Planter) -> None:
    """the whole root table reads all ones"""
    p.put_page(p.root, b"\xff" * PAGE)


@_case(BUS_LOST)
def root_random(p: Planter) -> None:
    """the whole root table is random bytes; the victim's bus is present"""
    p.put_page(p.root, p.noise())
    p.put(p.root_entry, p.word(p.root_entry) | 1)


@_case(BUS_LOST, finding=False)
def root_zero(p: Planter) -> None:
    """the whole root table reads zero: no bus is present, and faults of absent buses cannot be silenced"""
    p.put_page(p.root, bytes(PAGE))


# --- context entries ---------------------------------------------------------------------------------------------
@_case(VICTIM_LOST)
def context_outside_ram(p: Planter) -> None:
    """the context entry's table lies where no memory is"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | NOWHERE)


@_case(VICTIM_LOST)
def context_into_mmio(p: Planter) -> None:
    """the context entry's table lies in the unit's own registers"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | REGISTERS)


@_case(VICTIM_LOST)
def context_into_crash_region(p: Planter) -> None:
    """the context entry's table lies in the crash region"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | p.crash_page())


@_case(VICTIM_LOST)
def context_into_pool(p: Planter) -> None:
    """the context entry's table lies in the pool"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | p.pool())


@_case(VICTIM_LOST)
def context_reserved_bits(p: Planter) -> None:
    """the context entry has reserved bits set in its first word"""
    p.put(p.context, p.word(p.context) | RESERVED_CONTEXT)


@_case(VICTIM_LOST)
def context_reserved_high(p: Planter) -> None:
    """the context entry has reserved bits set in its second word"""
    p.put(p.context + 8, p.word(p.context + 8) | 0xFF << 24)


@_case(VICTIM_LOST)
def context_type_3(p: Planter) -> None:
    """the context entry is of the reserved type"""
    p.put(p.context, p.word(p.context) | 3 << 2)


@_case(VICTIM_LOST)
def context_width(p: Planter) -> None:
    """the context entry names an address width that does not exist"""
    p.put(p.context + 8, p.word(p.context + 8) | 7)


@_case(VICTIM_LOST)
def context_all_ones(p: Planter) -> None:
    """the context entry reads all ones"""
    p.put(p.context, -1)
    p.put(p.context + 8, -1)


@_case(CUT)
def context_table_random(p: Planter) -> None:
    """the whole context table of the bus is random bytes"""
    p.put_page(p.context & -PAGE, p.noise())


@_case(CUT, finding=False)
def context_at_root(p: Planter) -> None:
    """the context entry takes the root table for its page table"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | p.root)


@_case(CUT, finding=False)
def context_at_itself(p: Planter) -> None:
    """the context entry takes its own context table for its page table"""
    p.put(p.context, p.word(p.context) & ~ADDRESS | p.context & ADDRESS)


@_case(CUT)
def context_pass_through(p: Planter) -> None:
    """the context entry was turned into pass-through"""
    p.put(p.context, p.word(p.context) & ~(3 << 2) | 2 << 2)


@_case(CUT)
def context_shared_domain(p: Planter) -> None:
    """two devices have one domain id and different tables"""
    mine, other = p.word(p.context + 8), p.tables.contexts[p.other].address + 8
    p.put(other, p.word(other) & ~0xFFFF00 | mine & 0xFFFF00)


# --- page tables -------------------------------------------------------------------------------------------------
@_case(CUT)
def next_outside_ram(p: Planter) -> None:
    """a next-level pointer leads to where no memory is"""
    p.put(p.entry(2), NOWHERE | 3)


@_case(CUT)
def next_into_mmio(p: Planter) -> None:
    """a next-level pointer leads into the unit's own registers"""
    p.put(p.entry(2), REGISTERS | 3)


@_case(CUT)
def next_into_crash_region(p: Planter) -> None:
    """a next-level pointer leads into the crash region"""
    p.put(p.entry(2), p.crash_page() | 3)


@_case(CUT)
def next_into_pool(p: Planter) -> None:
    """a next-level pointer leads into the pool"""
    p.put(p.entry(2), p.pool() | 3)


@_case(CUT, finding=False)
def next_at_itself(p: Planter) -> None:
    """a next-level pointer leads to the table that it is in: the page tables are mapped as data"""
    p.put(p.entry(2), p.entry(2) & -PAGE | 3)


@_case(CUT, finding=False)
def next_at_top(p: Planter) -> None:
    """a next-level pointer leads back to the top of the tree"""
    p.put(p.entry(2), p.entry(4) & -PAGE | 3)


@_case(CUT, finding=False)
def next_at_root(p: Planter) -> None:
    """a next-level pointer leads to the root table"""
    p.put(p.entry(2), p.root | 3)


@_case(CUT)
def leaf_into_crash_region(p: Planter) -> None:
    """the mapping of a ring that is being written leads into the crash region"""
    for number, leaf in enumerate(p.ring()):
        p.put(p.leaf(leaf), p.crash_page(number) & -leaf.size | p.word(p.leaf(leaf)) & 0xFFF)


@_case(CUT)
def leaf_into_pool(p: Planter) -> None:
    """the mapping of a ring that is being written leads into the pool"""
    for number, leaf in enumerate(p.ring()):
        p.put(p.leaf(leaf), p.pool() + number * PAGE & -leaf.size | p.word(p.leaf(leaf)) & 0xFFF)


@_case(CUT)
def leaf_reserved_bits(p: Planter) -> None:
    """the mapping of a ring that is being written has reserved bits set"""
    for leaf in p.ring():
        p.put(p.leaf(leaf), p.word(p.leaf(leaf)) | RESERVED_PTE)


@_case(CUT)
def large_page_misaligned(p: Planter) -> None:
    """a 2-MiB page whose address is not a multiple of 2 MiB"""
    p.put(p.entry(2), p.word(p.entry(2)) & ADDRESS | 1 << 12 | 0x83)


@_case(CUT)
def table_page_random(p: Planter) -> None:
    """a page of leaf entries is random bytes"""
    p.put_page(p.entry(1, p.small()[0]) & -PAGE, p.noise())


@_case(CUT)
def table_page_all_ones(p: Planter) -> None:
    """a page of leaf entries reads all ones"""
    p.put_page(p.entry(1, p.small()[0]) & -PAGE, b"\xff" * PAGE)


@_case(CUT)
def table_top_random(p: Planter) -> None:
    """the top of the victim's tree is random bytes"""
    p.put_page(p.entry(4) & -PAGE, p.noise())


@_case(CUT)
def table_top_all_ones(p: Planter) -> None:
    """the top of the victim's tree reads all ones"""
    p.put_page(p.entry(4) & -PAGE, b"\xff" * PAGE)


# --- the root pointer --------------------------------------------------------------------------------------------
@_case(BUS_LOST)
def rtaddr_huge(p: Planter) -> None:
    """the root pointer's register names an address that the machine does not have"""
    p.rtaddr(0xFFFF_FFFF_FFFF_F000)


@_case(BUS_LOST)
def rtaddr_zero(p: Planter) -> None:
    """the root pointer's register reads zero"""
    p.rtaddr(0)


@_case(BUS_LOST)
def rtaddr_into_crash_region(p: Planter) -> None:
    """the root pointer's register leads into the crash region"""
    p.rtaddr(p.crash_page())


@_case(ALONE)
def rtaddr_other_mode(p: Planter) -> None:
    """the root pointer's register names scalable mode, which this unit does not have"""
    p.rtaddr(p.root | 1 << 10)


@_case(ALONE)
def rtaddr_reserved_mode(p: Planter) -> None:
    """the root pointer's register names the reserved table mode"""
    p.rtaddr(p.root | 2 << 10)


@_case(ALONE)
def rtaddr_abort_mode(p: Planter) -> None:
    """the root pointer's register names abort-DMA mode"""
    p.rtaddr(p.root | 3 << 10)


@_case(CUT, finding=False)
def rtaddr_second_root(p: Planter) -> None:
    """the root pointer's register leads to a second root table, without the other device, and was never latched"""
    root = p.free_page()
    p.put_page(root, p.memory.read(p.root, PAGE))
    contexts = p.free_page()
    p.put_page(contexts, p.memory.read(p.context & -PAGE, PAGE))
    p.put(root + 16 * (p.victim >> 8), contexts | 1)
    p.put(contexts + 16 * (p.other & 0xFF), 0)
    p.rtaddr(root)


# --- queue, faults, interrupts -----------------------------------------------------------------------------------
def _queue(p: Planter) -> tuple[int, int]:
    iqa = p.registers.read(REGISTERS + IQA, 8)
    return iqa & ADDRESS, PAGE << (iqa & 7)


@_case(CUT, finding=False)
def queue_stopped(p: Planter) -> None:
    """the invalidation queue stopped at a bad descriptor (IQE), with another one behind it"""
    base, size = _queue(p)
    tail = p.registers.read(REGISTERS + IQT, 8)
    for at in (tail, (tail + 16) % size):
        p.put(base + at, -1)
        p.put(base + at + 8, -1)
    p.register(IQT, (tail + 32) % size, 8)
    assert p.registers.read(REGISTERS + FSTS, 4) & QUEUE_ERROR, "the unit took the bad descriptor"


@_case(CUT, finding=False)
def queue_full(p: Planter) -> None:
    """the invalidation queue is full of bad descriptors and stopped at the first"""
    base, size = _queue(p)
    tail = p.registers.read(REGISTERS + IQT, 8)
    for at in range(0, size, 8):
        p.put(base + at, -1)
    p.register(IQT, (tail - 16) % size, 8)
    assert p.registers.read(REGISTERS + FSTS, 4) & QUEUE_ERROR, "the unit took the bad descriptor"


@_case(CUT, finding=False)
def queue_garbage(p: Planter) -> None:
    """the memory of the invalidation queue is random bytes, head and tail agree"""
    base, size = _queue(p)
    for at in range(0, size, PAGE):
        p.put_page(base + at, p.noise())


@_case(CUT, finding=False)
def queue_off(p: Planter) -> None:
    """queued invalidation is off"""
    p.command(keep=KEEP & ~QIE)
    assert not p.registers.read(REGISTERS + GSTS, 4) & QIE, "the unit did not switch its queue off"


@_case(CUT, finding=False)
def fault_pending(p: Planter) -> None:
    """the fault records are full and the fault interrupt is masked and pending"""
    p.register(FECTL, 1 << 31)
    entry = p.word(p.context)
    p.put(p.context, entry & ~3)  # absent for a moment, and its faults reported
    p.command(also=SRTP)
    p.run_for(0.1)
    assert p.registers.read(REGISTERS + FSTS, 4) & FAULT, "no fault was recorded"
    p.put(p.context, entry)
    p.command(also=SRTP)


@_case(CUT, finding=False)
def interrupt_table_garbage(p: Planter) -> None:
    """4096 bytes of the interrupt remapping table are random, every one of those entries is present"""
    table = p.registers.read(REGISTERS + IRTA, 8) & ADDRESS
    words = struct.unpack("<512Q", p.noise())
    for number, value in enumerate(words):
        p.put(table + 8 * number, value | (1 if number % 2 == 0 else 0))


def plant(name: str, planter: Planter) -> Planted:
    """Breaks what the case says; returns what was done."""
    CASES[name](planter)
    return planter.planted

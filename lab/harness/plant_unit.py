# SPDX-License-Identifier: MIT
"""Plants in the unit itself: its root pointer, its invalidation queue, its fault records, its interrupt table."""
import struct

from .cases import BUS_LOST, CASES, CUT, STUCK, case
from .planter_vtd import FAULT, FECTL, FSTS, GSTS, IQA, IQT, IRTA, KEEP, QIE, QUEUE_ERROR, REGISTERS, SRTP
from .planter_vtd import VtdPlanter as Planter
from .views import ADDRESS, PAGE

BAD_WAIT = 1 << 20 | 5
_BEFORE = set(CASES)


# --- the root pointer --------------------------------------------------------------------------------------------
@case(BUS_LOST)
def rtaddr_huge(p: Planter) -> None:
    """the root pointer's register names an address that the machine does not have"""
    p.rtaddr(0xFFFF_FFFF_FFFF_F000)


@case(BUS_LOST)
def rtaddr_zero(p: Planter) -> None:
    """the root pointer's register reads zero"""
    p.rtaddr(0)


@case(BUS_LOST)
def rtaddr_into_crash_region(p: Planter) -> None:
    """the root pointer's register leads into the crash region"""
    p.rtaddr(p.crash_page())


@case(BUS_LOST)
def rtaddr_other_mode(p: Planter) -> None:
    """the root pointer's register names scalable mode, which this unit does not have"""
    p.rtaddr(p.root | 1 << 10)


@case(BUS_LOST)
def rtaddr_reserved_mode(p: Planter) -> None:
    """the root pointer's register names the reserved table mode"""
    p.rtaddr(p.root | 2 << 10)


@case(BUS_LOST)
def rtaddr_abort_mode(p: Planter) -> None:
    """the root pointer's register names abort-DMA mode"""
    p.rtaddr(p.root | 3 << 10)


@case(CUT, finding=False)
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
def _queue(p: Planter) -> tuple[int, int, int]:
    """Returns (start, bytes, bytes of a descriptor) of the invalidation queue."""
    iqa = p.registers.read(REGISTERS + IQA, 8)
    return iqa & ADDRESS, PAGE << (iqa & 7), 32 if iqa >> 11 & 1 else 16


def _stop(p: Planter, low: int, high: int, full: bool = False) -> None:
    """Lets the queue run into a bad descriptor, with another one behind it, or with all slots taken."""
    base, size, step = _queue(p)
    tail = p.registers.read(REGISTERS + IQT, 8)
    for at in range(0, size, step) if full else (tail, (tail + step) % size):
        p.put(base + at, low)
        p.put(base + at + 8, high)
    p.register(IQT, (tail + (-step if full else 2 * step)) % size, 8)
    assert p.registers.read(REGISTERS + FSTS, 4) & QUEUE_ERROR, "the unit took the bad descriptor"


@case(CUT, finding=False)
def queue_stopped(p: Planter) -> None:
    """the invalidation queue stopped at a wait descriptor with reserved bits (IQE), with another one behind it"""
    _stop(p, BAD_WAIT, 0)


@case(CUT, finding=False)
def queue_full(p: Planter) -> None:
    """the invalidation queue is full of bad wait descriptors and stopped at the first"""
    _stop(p, BAD_WAIT, 0, full=True)


@case(STUCK, finding=False)
def queue_stuck(p: Planter) -> None:
    """the queue stopped at a descriptor of no known type: QEMU then never lets anybody switch the queue off"""
    _stop(p, -1, -1)


@case(CUT, finding=False)
def queue_garbage(p: Planter) -> None:
    """the memory of the invalidation queue is random bytes, head and tail agree"""
    base, size, _ = _queue(p)
    for at in range(0, size, PAGE):
        p.put_page(base + at, p.noise())


@case(CUT, finding=False)
def queue_off(p: Planter) -> None:
    """queued invalidation is off"""
    p.command(keep=KEEP & ~QIE)
    assert not p.registers.read(REGISTERS + GSTS, 4) & QIE, "the unit did not switch its queue off"


@case(CUT, finding=False)
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


@case(CUT, finding=False)
def interrupt_table_garbage(p: Planter) -> None:
    """4096 bytes of the interrupt remapping table are random, every one of those entries is present"""
    table = p.registers.read(REGISTERS + IRTA, 8) & ADDRESS
    words = struct.unpack("<512Q", p.noise())
    for number, value in enumerate(words):
        p.put(table + 8 * number, value | (1 if number % 2 == 0 else 0))


NAMES = [name for name in CASES if name not in _BEFORE]

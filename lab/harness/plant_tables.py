# SPDX-License-Identifier: MIT
"""Plants in page tables, of every kind and mode."""
from .cases import CASES, CUT, NOWHERE, case
from .planter import Planter
from .views import PAGE

_BEFORE = set(CASES)


@case(CUT)
def next_outside_ram(p: Planter) -> None:
    """a next-level pointer leads to where no memory is"""
    p.put(p.entry(2), p.next_level(NOWHERE, 2))


@case(CUT)
def next_into_mmio(p: Planter) -> None:
    """a next-level pointer leads into the unit's own registers"""
    p.put(p.entry(2), p.next_level(p.UNIT, 2))


@case(CUT)
def next_into_crash_region(p: Planter) -> None:
    """a next-level pointer leads into the crash region"""
    p.put(p.entry(2), p.next_level(p.crash_page(), 2))


@case(CUT)
def next_into_pool(p: Planter) -> None:
    """a next-level pointer leads into the pool"""
    p.put(p.entry(2), p.next_level(p.pool(), 2))


@case(CUT, finding=False)
def next_at_itself(p: Planter) -> None:
    """a next-level pointer leads to the table that it is in: the page tables are mapped as data"""
    p.put(p.entry(2), p.next_level(p.entry(2) & -PAGE, 2))


@case(CUT, finding=False)
def next_at_top(p: Planter) -> None:
    """a next-level pointer leads back to the top of the tree"""
    p.put(p.entry(2), p.next_level(p.entry(p.top) & -PAGE, 2))


@case(CUT, finding=False)
def next_at_root(p: Planter) -> None:
    """a next-level pointer leads to the root table or device table"""
    p.put(p.entry(2), p.next_level(p.root, 2))


@case(CUT)
def leaf_into_crash_region(p: Planter) -> None:
    """the mapping of a ring that is being written leads into the crash region"""
    for number, leaf in enumerate(p.ring()):
        p.redirect(leaf, p.crash_page(number))


@case(CUT)
def leaf_into_pool(p: Planter) -> None:
    """the mapping of a ring that is being written leads into the pool"""
    for number, leaf in enumerate(p.ring()):
        p.redirect(leaf, p.pool() + number * PAGE)


@case(CUT)
def leaf_reserved_bits(p: Planter) -> None:
    """the mapping of a ring that is being written has reserved bits set"""
    for leaf in p.ring():
        p.put(p.leaf(leaf), p.word(p.leaf(leaf)) | p.RESERVED)


@case(CUT)
def large_page_misaligned(p: Planter) -> None:
    """a 2-MiB page whose address is not a multiple of 2 MiB"""
    p.put(p.entry(2), p.large(p.entry(2), 2))


@case(CUT)
def table_page_random(p: Planter) -> None:
    """a page of leaf entries is random bytes"""
    p.put_page(p.entry(1, p.small()[0]) & -PAGE, p.noise())


@case(CUT)
def table_page_all_ones(p: Planter) -> None:
    """a page of leaf entries reads all ones"""
    p.put_page(p.entry(1, p.small()[0]) & -PAGE, b"\xff" * PAGE)


@case(CUT)
def table_top_random(p: Planter) -> None:
    """the top of the victim's tree is random bytes"""
    p.put_page(p.entry(p.top) & -PAGE, p.noise())


@case(CUT)
def table_top_all_ones(p: Planter) -> None:
    """the top of the victim's tree reads all ones"""
    p.put_page(p.entry(p.top) & -PAGE, b"\xff" * PAGE)


NAMES = [name for name in CASES if name not in _BEFORE]

# SPDX-License-Identifier: MIT
"""Plants in scalable mode: context entries of 32 bytes, the PASID directory, PASID table entries of 64 bytes."""
from .cases import CASES, CUT, NOWHERE, VICTIM_LOST, case
from .planter_vtd import VtdPlanter as Planter
from .views import ADDRESS, PAGE

_BEFORE = set(CASES)


@case(VICTIM_LOST)
def directory_outside_ram(p: Planter) -> None:
    """the PASID directory lies where no memory is"""
    p.put(p.wide_context, p.word(p.wide_context) & ~ADDRESS | NOWHERE)


@case(VICTIM_LOST)
def directory_into_crash_region(p: Planter) -> None:
    """the PASID directory lies in the crash region"""
    p.put(p.wide_context, p.word(p.wide_context) & ~ADDRESS | p.crash_page())


@case(VICTIM_LOST)
def wide_context_reserved_bits(p: Planter) -> None:
    """the context entry has reserved bits set"""
    p.put(p.wide_context, p.word(p.wide_context) | 0x1E0)


@case(VICTIM_LOST)
def wide_context_all_ones(p: Planter) -> None:
    """the context entry reads all ones"""
    for at in range(0, 32, 8):
        p.put(p.wide_context + at, -1)


@case(VICTIM_LOST)
def pasid_table_outside_ram(p: Planter) -> None:
    """the directory's entry leads to where no memory is"""
    p.put(p.directory_entry, NOWHERE | 1)


@case(VICTIM_LOST)
def pasid_table_into_pool(p: Planter) -> None:
    """the directory's entry leads into the pool"""
    p.put(p.directory_entry, p.pool() | 1)


@case(VICTIM_LOST)
def directory_reserved_bits(p: Planter) -> None:
    """the directory's entry has reserved bits set"""
    p.put(p.directory_entry, p.word(p.directory_entry) | 0xFFC)


@case(CUT)
def pasid_table_random(p: Planter) -> None:
    """the victim's whole PASID table is random bytes"""
    p.put_page(p.context & -PAGE, p.noise())


@case(VICTIM_LOST)
def pasid_entry_type_0(p: Planter) -> None:
    """the PASID entry is of a type that does not exist"""
    p.put(p.context, p.word(p.context) & ~(7 << 6))


@case(VICTIM_LOST)
def pasid_entry_reserved_words(p: Planter) -> None:
    """the PASID entry has reserved words set"""
    p.put(p.context + 32, -1)


@case(VICTIM_LOST)
def pasid_entry_all_ones(p: Planter) -> None:
    """the PASID entry reads all ones"""
    for at in range(0, 64, 8):
        p.put(p.context + at, -1)


@case(VICTIM_LOST)
def pasid_entry_into_crash_region(p: Planter) -> None:
    """the page table, first or second stage, lies in the crash region"""
    at = p.context + (16 if p.word(p.context) >> 6 & 7 == 1 else 0)
    p.put(at, p.word(at) & ~ADDRESS | p.crash_page())


@case(CUT)
def pasid_entry_pass_through(p: Planter) -> None:
    """the PASID entry was turned into pass-through"""
    p.put(p.context, p.word(p.context) & ~(7 << 6 | 7 << 2) | 4 << 6 | 2 << 2)


@case(VICTIM_LOST)
def rid_pasid_elsewhere(p: Planter) -> None:
    """requests without a PASID are led to another PASID, on a unit that has none but 0 for them"""
    p.put(p.wide_context + 8, p.word(p.wide_context + 8) | 0x3F)


NAMES = [name for name in CASES if name not in _BEFORE]

# SPDX-License-Identifier: MIT
"""The list of plants: every function that @case marks, by its name with "-" for "_"."""
from typing import Callable

from .planter import Planter

NOWHERE = 0x40_0000_0000  # 256 GiB: within the address width, and nothing is there
# What must become of whom: nothing is left for the victim, for all below the victim's root entry, or for everybody; the
# reader says what is left; nobody can use the unit's queue any more.
VICTIM_LOST, ENTRY_LOST, BUS_LOST, CUT, STUCK = "victim", "entry", "bus", "cut", "stuck"
CASES: dict[str, Callable[[Planter], None]] = {}


def case(expect: str, finding: bool = True):
    """Marks a plant. expect: what must become of whom; finding: the note must name the place and its value."""
    def taken(function: Callable[[Planter], None]):
        name = function.__name__.replace("_", "-")

        def plant(p: Planter) -> None:
            p.planted.case, p.planted.expect, p.planted.finding = name, expect, finding
            function(p)
            below = {rid for rid in p.rids.values() if p.same_root_entry(rid)}
            lost = {VICTIM_LOST: {p.victim}, ENTRY_LOST: below, BUS_LOST: set(p.rids.values())}.get(expect, set())
            p.planted.quarantined = frozenset(lost)

        plant.__doc__ = function.__doc__
        CASES[name] = plant
        return function

    return taken

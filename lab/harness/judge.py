# SPDX-License-Identifier: MIT
"""Holds the figures of a run against what its scenario expects."""
from dataclasses import dataclass

TEXTS = {
    "old_pages_changed": "pages of old memory changed by DMA",
    "pages_no_device_could_write": "changed pages that no old table let a device write",
    "crash_region_dma": "DMA accesses that reach the crash region or pool",
    "faults_recorded": "IOMMU faults recorded",
    "faults_after_hand_over": "IOMMU faults recorded after the hand-over",
    "translation_off_after_s": "seconds with translation off after the hand-over",
    "next_kernel_up": "the next kernel is up, and reads its disk",
    "unit_is_ours": "root table, queue and interrupt table lie outside old memory, the queue is empty, faults are masked",
    "plant_found": "a finding in the note names the broken place and its value",
    "translation_off_s": "seconds with translation off",
    "tables_follow_policy": "the new tables are policy(old tables), read independently",
    "wrong_translations": "accesses that went elsewhere than the policy says",
    "dump_complete": "the dump is complete",
    "dump_has_panic": "makedumpfile --dump-dmesg gives the panic",
    "note_readable": "cofferdam log reads the note from the dump",
    "note_agrees": "the note agrees with what was seen from outside",
    "ats_on": "functions with ATS on at the hand-over",
    "ats_switched_off": "the note names a requester whose ATS was switched off",
    "stop": "stop code in the note",
    "interrupt_table_copied": "the capture kernel copies the interrupt remapping table",
    "interrupts_silenced": "the note tells of interrupt entries that were taken out",
    "stray_interrupts": "interrupts that the capture kernel does not know",
    "bad_words": "words on the command line that the note calls bad",
    "reused": "what the capture kernel goes on with in place",
    "took_over": "the stage replaced the root table",
}


@dataclass
class Verdict:
    """One expectation, held or not."""

    name: str
    holds: bool
    why: str


def judge(expected: dict, figures: dict) -> list[Verdict]:
    """Returns a verdict for every expectation; a figure that was not measured never holds.

    A number is an upper bound. True, false and text must be equal.
    """
    out = []
    for key, want in expected.items():
        got = figures.get(key)
        if got is None:
            holds = False
        elif isinstance(want, bool) or isinstance(want, str):
            holds = got == want
        else:
            holds = got <= want
        why = f"{TEXTS.get(key, key)}: {got if got is not None else 'not measured'}, must be {want}"
        out.append(Verdict(key, holds, why))
    return out


def details(key: str, figures: dict) -> list[str]:
    """Returns lines that help to see why an expectation failed."""
    extra = {
        "tables_follow_policy": figures.get("table_problems", []),
        "wrong_translations": figures.get("wrong_accesses", [])[:8],
        "old_pages_changed": figures.get("changed_pages", [])[:8],
        "pages_no_device_could_write": figures.get("stray_pages", [])[:8],
        "dump_complete": [figures.get("dump_problem", ""), figures.get("problem", "")],
        "note_readable": [figures.get("note_problem", "")],
        "note_agrees": figures.get("note_disagrees", []),
        "unit_is_ours": figures.get("unit_problems", []),
        "took_over": [figures.get("hand_over", "")],
    }
    return [line for line in extra.get(key, []) if line]

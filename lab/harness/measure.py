# SPDX-License-Identifier: MIT
"""Turns what was seen of one crash into figures. What each figure means is in lab/README.md."""
import re

from . import dump, policycheck
from .crash import Record
from .scenarios import Scenario
from .trace import count, translations
from .vtdread import Tables

MIB = 1 << 20
_IOMEM = re.compile(r"iomem (\s*)([0-9a-f]+)-([0-9a-f]+) : (System RAM|Crash kernel)")
FLASH_REGIONS = ("pc.bios", "system.flash0", "system.flash1")
_E820 = re.compile(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] usable")
FLASH = (0xFF000000, 1 << 32)
Span = tuple[int, int]


def _spans(texts: list[str], kind: str) -> list[Span]:
    found = [_IOMEM.search(t) for t in texts]
    return [(int(m.group(2), 16), int(m.group(3), 16) + 1) for m in found if m and m.group(4) == kind]


def _capture_low(lines: list[tuple[float, str]], panic: float) -> list[Span]:
    """Returns the low memory that the capture kernel runs in, whole pages: it prints its map after the panic."""
    found = [_E820.search(text) for time_s, text in lines if time_s > panic]
    spans = [(int(m.group(1), 16), int(m.group(2), 16) + 1) for m in found if m]
    return [(start & -4096, end + 4095 & -4096) for start, end in spans if end <= MIB]


def _without(spans: list[Span], holes: list[Span]) -> list[Span]:
    for low, high in holes:
        pieces = [p for start, end in spans for p in ((start, min(end, low)), (max(start, high), end))]
        spans = [(start, end) for start, end in pieces if start < end]
    return spans


def _memory_figures(record: Record, old_memory: list[Span], old: Tables | None) -> dict:
    if not record.before or not record.after:
        return {}
    changed = record.after.changed_pages(record.before, old_memory)
    out: dict = {"old_pages_changed": len(changed), "changed_pages": [f"0x{page:x}" for page in changed[:2000]]}
    if old:
        allowed = set(changed) if old.passes_through() else old.writable_pages()
        stray = [page for page in changed if page not in allowed]
        out["pages_no_device_could_write"] = len(stray)
        out["stray_pages"] = [f"0x{page:x}" for page in stray[:200]]
    return out


def _tables(record: Record, when: float | None) -> Tables | None:
    if record.before is None or when is None:
        return None
    root = record.trace.root_before(when)
    if root is None or root[1]:
        return None  # none was ever set, or scalable mode, which this reader does not know
    return Tables(record.before.read, root[0])


def _maps_flash(old: Tables) -> bool:
    """Tells whether any requester could reach the firmware flash while translation is on."""
    if old.passes_through():
        return True
    return any(FLASH[0] < leaf.target + leaf.size and leaf.target < FLASH[1]
               for source in old.contexts for leaf in old.leaves(source))


def _trace_figures(scenario: Scenario, record: Record, walls: list[Span],
                   old: Tables | None, new: Tables | None) -> dict:
    crash = record.trace.total(record.panic, record.end)
    after = record.trace.total(record.hand_over, record.end)
    seen = translations(after)
    both = old and new and scenario.cofferdam
    scratch = policycheck.scratch_page(old, new) if both and scenario.policy == "scratch" else None
    off = record.trace.off_seconds(record.panic, record.end, record.paused)
    reached = sum(n for (_, _, target, _), n in seen.items()
                  if target != scratch and any(start <= target < end for start, end in walls))
    sources: dict[str, int] = {}
    for (source, *_), n in seen.items():
        sources[f"{source:04x}"] = sources.get(f"{source:04x}", 0) + n
    regions = {text[8:].decode(errors="replace"): n for text, n in crash.items() if text.startswith(b"invalid ")}
    cannot_reach_flash = bool(off == 0 and old and not _maps_flash(old))
    return {
        "flash_writes_exact": "guest_errors" not in record.sampled or cannot_reach_flash,
        "flash_writes": sum(n for name, n in regions.items() if name in FLASH_REGIONS),
        "faults_recorded": count(crash, "vtd_dmar_fault"),
        "translation_off_s": off,
        "translated_accesses": sum(seen.values()),
        "translated_by_requester": sources,
        "crash_region_dma": None if off else reached,  # untranslated accesses are not traced
        "refused_accesses": regions,
        "sampled": record.sampled,
        "trace_clipped": record.trace.clipped,
        **({"wrong_translations": policycheck.wrong_translations(scenario.policy, old, new, seen)}
           if both else {}),
    }


def _time_figures(record: Record) -> dict:
    def span(start: float | None, end: float | None) -> float | None:
        if start is None or end is None:
            return None
        rest = sum(max(0.0, min(b, end) - max(a, start)) for a, b in record.paused)
        return round(end - start - rest, 2)

    return {"s_panic_to_hand_over": span(record.panic, record.hand_over),
            "s_hand_over_to_dump": span(record.hand_over, record.end),
            "s_panic_to_dump": span(record.panic, record.end)}


def _stage_figures(record: Record) -> dict:
    lines = [text.split("cofferdam: ", 1)[1] for _, text in record.lines if "cofferdam: " in text]
    copied = [text for _, text in record.lines if "translation tables from previous kernel" in text]
    return {"stage_lines": lines, "hand_over": record.hand_over_text,
            "linux_says": copied[-1].split("DMAR: ")[-1] if copied else ""}


def _note_figures(scenario: Scenario, note: dict | None, old: Tables | None, new: Tables | None) -> dict:
    """What the note says, and whether it agrees with what was seen from outside."""
    if not note:
        return {}
    try:
        summary = note["summary"]
        out = {"stop": str(summary["stop"]), "bad_words": str(summary["bad_words"]),
               "us_stage": max(summary["us_since_entry"].values(), default=0)}
        if scenario.cofferdam and old and new and old.root != new.root:
            out["note_disagrees"] = _disagreements(scenario, note, old, new)
            out["note_agrees"] = not out["note_disagrees"]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        out = {"note_agrees": False, "note_disagrees": [f"the note lacks something: {error!r}"]}
    return out


def _disagreements(scenario: Scenario, note: dict, old: Tables, new: Tables) -> list[str]:
    unit, out = note["units"][0], []
    page = policycheck.scratch_page(old, new) if scenario.policy == "scratch" else None
    seen = [("root table before", int(unit["before"]["rtaddr"], 16), old.root),
            ("root table after", int(unit["after"]["rtaddr"], 16), new.root),
            ("policy", note["summary"]["policy"], scenario.policy),
            ("requesters", note["summary"]["requester_total"], len(old.contexts)),
            ("scratch page", int(note["summary"]["scratch_page"] or "0", 16), page or 0)]
    for what, said, is_so in seen:
        if said != is_so:
            out.append(f"{what}: the note says {said}, seen from outside {is_so}")
    return out


def figures(scenario: Scenario, record: Record) -> dict:
    """Returns every figure of one run as plain data."""
    texts = [text for _, text in record.lines]
    crash = _spans(texts, "Crash kernel")
    walls = crash + _capture_low(record.lines, record.panic)
    ram = [(max(start, MIB), end) for start, end in _spans(texts, "System RAM") if end > MIB]
    old_memory = _without(ram, crash)
    out: dict = {"old_memory_pages": sum(end - start for start, end in old_memory) // 4096,
                 "crash_region": [f"0x{a:x}-0x{b - 1:x}" for a, b in crash], "problem": record.problem}
    old = _tables(record, record.panic)
    new = _tables(record, record.hand_over)
    out.update(_stage_figures(record))
    out.update(_time_figures(record))
    out.update(_memory_figures(record, old_memory, old))
    if record.hand_over is not None and record.end is not None:
        out.update(_trace_figures(scenario, record, walls, old, new))
    if scenario.cofferdam and old and new:
        wrong = ["the root table was not replaced"]
        if new.root != old.root:
            wrong = policycheck.problems(scenario.policy, old, new, walls, old_memory)
        out["tables_follow_policy"], out["table_problems"] = not wrong, wrong
    if old:
        out["requesters"] = len(old.contexts)
        out["old_mapped_ranges"] = sum(len(old.leaves(s)) for s in old.contexts)
    out["took_over"] = bool(old and new and new.root != old.root)
    out.update(dump.examine(record.folder / "disk", record.folder, record.guest_status))
    out.update(_note_figures(scenario, out["note"], old, new))
    return out

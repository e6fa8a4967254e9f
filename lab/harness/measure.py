# SPDX-License-Identifier: MIT
"""Turns what was seen of one crash into figures. What each figure means is in lab/README.md."""
import re
from dataclasses import dataclass

from . import dump, guest, kinds, policycheck
from .crash import Record
from .guest import MIB, Span
from .kind import Kind
from .planter import Planted
from .policycheck import Terms
from .scenarios import Scenario
from .views import ADDRESS, Read, Views

FLASH_REGIONS = ("pc.bios", "system.flash0", "system.flash1")
_PCI_NAME = re.compile(r"([0-9a-f]{2}):([01][0-9a-f])\.([0-7])")
FLASH = (0xFF000000, 1 << 32)


def _memory_figures(record: Record, old_memory: list[Span], old: Views | None) -> dict:
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


@dataclass
class View:
    """The tables before and after, as they lie in memory at hand-over, and what they are held against."""

    terms: Terms
    old: Views | None
    new: Views | None
    kind: Kind
    pointer: int  # what the root pointer's register read when the stage began
    took_over: bool
    judged: bool  # there is something to judge: Cofferdam ran, and both tables are known
    scratch: int | None
    planted: Planted | None
    read: Read


def _view(scenario: Scenario, record: Record, terms: Terms, texts: list[str]) -> View:
    kind = kinds.of(scenario.iommu)
    latched = record.trace.root_before(record.stage_meets)
    taken = record.trace.root_before(record.hand_over) if record.hand_over else None
    pointer = record.planted.pointer if record.planted else latched or 0
    read = record.before.read if record.before else lambda address, length: None
    old = new = None
    if scenario.raised:
        old = kind.nothing()
        old.add_identity(sorted(record.rids.values()))
    elif record.before and latched is not None:
        old = kind.tables(read, pointer, kind.rules(texts, guest.known(texts, terms.walls)))
    if record.before and taken is not None:
        new = kind.tables(read, taken, kind.rules(texts, guest.known(texts)))
    judged = bool(scenario.cofferdam and old and new)
    scratch = policycheck.scratch_page(terms, old, new) if judged else None
    return View(terms, old, new, kind, pointer, taken is not None and taken != latched, judged, scratch, record.planted, read)


def _maps_flash(old: Views) -> bool:
    """Tells whether any requester could reach the firmware flash while translation is on."""
    if old.passes_through():
        return True
    return any(FLASH[0] < leaf.target + leaf.size and leaf.target < FLASH[1]
               for source in old.contexts for leaf in old.leaves(source))


def _trace_figures(record: Record, view: View) -> dict:
    crash = record.trace.total(record.panic, record.end)
    after = record.trace.total(record.hand_over, record.end)
    seen = view.kind.accesses(after, view.new or view.old)
    faults = view.kind.faults(after)
    off = record.trace.off_seconds(record.panic, record.end, record.paused)
    # The capture kernel's own driver of the dump disk reaches its memory through the window; nobody else may.
    own = record.rids.get("dump") if view.terms.window else None
    reached = sum(n for (source, _, target, _), n in seen.items()
                  if source != own and target != view.scratch and any(start <= target < end for start, end in view.terms.walls))
    sources: dict[str, int] = {}
    for (source, *_), n in seen.items():
        sources[f"{source:04x}"] = sources.get(f"{source:04x}", 0) + n
    regions = {text[8:].decode(errors="replace"): n for text, n in crash.items() if text.startswith(b"invalid ")}
    cannot_reach_flash = bool(off == 0 and view.old and not _maps_flash(view.old))
    out = {
        "flash_writes_exact": "guest_errors" not in record.sampled or cannot_reach_flash,
        "flash_writes": sum(n for name, n in regions.items() if name in FLASH_REGIONS),
        "faults_recorded": sum(view.kind.faults(crash).values()),
        "faults_after_hand_over": sum(faults.values()),
        "faults_by_reason": dict(faults),
        "translation_off_s": off,
        "translation_off_after_s": record.trace.off_seconds(record.hand_over, record.end, record.paused),
        "translated_accesses": sum(seen.values()),
        "translated_by_requester": sources,
        "crash_region_dma": None if off else reached,  # untranslated accesses are not traced
        "refused_accesses": regions,
        "sampled": record.sampled,
        "trace_clipped": record.trace.clipped,
    }
    if view.judged:
        wrong = policycheck.wrong_translations(view.terms, view.old, view.new, seen)
        out["wrong_translations"] = sum(wrong.values())
        out["wrong_accesses"] = [f"{text} ({n} times)" for text, n in list(wrong.items())[:20]]
    return out


def _time_figures(record: Record) -> dict:
    def span(start: float | None, end: float | None) -> float | None:
        if start is None or end is None:
            return None
        rest = sum(max(0.0, min(b, end) - max(a, start)) for a, b in record.paused)
        return round(end - start - rest, 2)

    return {"s_panic_to_hand_over": span(record.panic, record.hand_over),
            "s_hand_over_to_dump": span(record.hand_over, record.end),
            "s_panic_to_dump": span(record.panic, record.end)}


def _stray_interrupts(lines: list[str], kind: Kind) -> int | None:
    """Counts the complaints after remapping was set up: what the local APIC had taken before comes sooner."""
    set_up = [n for n, text in enumerate(lines) if re.search(kind.REMAPS, text)]
    return sum("No irq handler for vector" in text for text in lines[set_up[0]:]) if set_up else None


def _stage_figures(record: Record, kind: Kind) -> dict:
    lines = [text.split("cofferdam: ", 1)[1] for _, text in record.lines if "cofferdam: " in text]
    copied = [found.group(1) for _, text in record.lines if (found := re.search(kind.INHERITED, text))]
    reused = [found.group(1) for _, text in record.lines if kind.REUSED and (found := re.search(kind.REUSED, text))]
    later = [text for when, text in record.lines if record.panic and when >= record.panic]
    return {"stage_lines": lines, "hand_over": record.hand_over_text,
            "interrupt_table_copied": any("Copied IR table" in text for text in later),
            "stray_interrupts": _stray_interrupts(later, kind),
            "linux_says": copied[-1] if copied else "", "reused": ", ".join(reused)}


def _note_figures(view: View, note: dict | None) -> dict:
    """What the note says, and whether it agrees with what was seen from outside."""
    if not note:
        return {}
    try:
        summary = note["summary"]
        out = {"stop": str(summary["stop"]), "bad_words": str(summary["bad_words"]),
               "us_stage": max(summary["us_since_entry"].values(), default=0)}
        out["interrupts_silenced"] = any(unit["irq_silenced"] for unit in note["units"])
        out["ats_switched_off"] = any("ats-off" in one["flags"] for one in note["requesters"])
        if view.judged and view.took_over:
            out["note_disagrees"] = _disagreements(view, note)
            out["note_agrees"] = not out["note_disagrees"]
        if view.planted:
            named = _findings_about(view.planted, view.read, note["findings"], view.kind.ROOT_FINDINGS)
            out["findings"] = named
            out["plant_found"] = bool(named) or not view.planted.finding
    except (KeyError, TypeError, ValueError, IndexError) as error:
        out = {"note_agrees": False, "note_disagrees": [f"the note lacks something: {error!r}"]}
    return out


def _findings_about(planted: Planted, read: Read, findings: list[dict], about_root: tuple[int, ...]) -> list[str]:
    """Returns the findings that name a planted place and the value that was put there, or is there at hand-over."""
    put = {address: value for address, _, value in planted.changes}
    values = {value for _, value in planted.registers}
    names = [(f"{rid >> 8:02x}:{rid >> 3 & 31:02x}.{rid & 7}", value) for rid, value in planted.named]
    out = []
    for one in findings:
        address, raw = int(one["address"], 16), int(one["raw"], 16)
        words = [address & -8, (address & -8) + 8]  # an entry of a root or context table has two
        there = {int.from_bytes(read(at, 8) or b"", "little") for at in words} | {put.get(at) for at in words}
        who = (one.get("requester", "")[5:], raw)
        if (raw in there and any(at in put for at in words)) or (raw in values and (raw or one["code"] in about_root)) or who in names:
            out.append(f"{one['code']} {one['text']} ({one['address']}, {one['raw']})")
    return out


def _disagreements(view: View, note: dict) -> list[str]:
    unit, out = note["units"][0], []
    before, after = (int(unit[when][view.kind.NOTE_ROOT], 16) for when in ("before", "after"))
    seen = [("root table before", before, view.pointer),
            ("root table after", after & ADDRESS, view.new.root),
            ("policy", note["summary"]["policy"], view.terms.policy),
            ("requesters", sum("others" not in r["flags"] for r in note["requesters"]), len(view.old.listed())),
            ("hidden", "iommu-hidden" in note["summary"]["flag_names"], bool(view.terms.window))]
    # Where broken requesters would be scratched the page is made beforehand, and nobody may lead there.
    if view.scratch or view.terms.broken != "scratch":
        seen.append(("scratch page", int(note["summary"]["scratch_page"] or "0", 16), view.scratch or 0))
    for what, said, is_so in seen:
        if said != is_so:
            out.append(f"{what}: the note says {said}, seen from outside {is_so}")
    return out


def _named(scenario: Scenario) -> frozenset[int] | None:
    """Returns the requesters that cofferdam.window= names on segment 0; None: there is no such word."""
    words = [w.partition("=")[2] for w in scenario.capture.split() if w.startswith("cofferdam.window=")]
    found = [_PCI_NAME.fullmatch(name) for word in words for name in word.split(",")]
    return frozenset(int(m[1], 16) << 8 | int(m[2], 16) << 3 | int(m[3]) for m in found if m) if words else None


def figures(scenario: Scenario, record: Record) -> dict:
    """Returns every figure of one run as plain data."""
    texts = [text for _, text in record.lines]
    crash = guest.crash_region(texts)
    walls = crash + guest.capture_low(record.lines, record.panic)
    ram = [(max(start, MIB), end) for start, end in guest.system_ram(texts) if end > MIB]
    terms = Terms(scenario.policy, walls, guest.without(ram, crash),
                  record.planted.quarantined if record.planted else frozenset(), scenario.broken,
                  tuple(guest.capture_ram(record.lines, record.panic)) if scenario.window else (),
                  only=_named(scenario), raised=scenario.raised)
    out: dict = {"old_memory_pages": sum(end - start for start, end in terms.ram) // 4096,
                 "crash_region": [f"0x{a:x}-0x{b - 1:x}" for a, b in crash], "problem": record.problem}
    view = _view(scenario, record, terms, texts)
    out.update(_stage_figures(record, view.kind))
    out.update(_time_figures(record))
    out.update(_memory_figures(record, terms.ram, view.old))
    if record.hand_over is not None and record.end is not None:
        out.update(_trace_figures(record, view))
    if view.judged:
        wrong = ["the root table was not replaced"]
        if view.took_over:
            wrong = policycheck.problems(terms, view.old, view.new)
        out["tables_follow_policy"], out["table_problems"] = not wrong, wrong
    if view.old:
        out["requesters"] = len(view.old.listed())
        out["old_mapped_ranges"] = sum(len(view.old.leaves(s)) for s in view.old.contexts)
        out["table_mode"] = view.old.mode()
    out["took_over"] = view.took_over
    out["versions"] = f"{guest.kernel_version(texts)}, QEMU {record.qemu}"
    if record.registers:
        out["registers"] = {name: f"0x{value:x}" for name, value in record.registers.items()}
        if view.judged and view.took_over:
            out["unit_problems"] = view.kind.unit_problems(record.registers, walls, view.new.root)
            out["unit_is_ours"] = not out["unit_problems"]
    out["next_kernel_up"] = record.guest_status == 0
    if record.ats_on is not None:
        out["ats_on"], out["ats_devices"] = len(record.ats_on), record.ats_on
    if record.planted:
        out["planted"] = [f"0x{a:x}: 0x{old:x} became 0x{new:x}" for a, old, new in record.planted.changes[:8]]
        out["planted"] += [f"register 0x{at:x}: 0x{value:x}" for at, value in record.planted.registers]
    out.update(dump.examine(record.folder / "disk", record.folder, record.guest_status, scenario.dump == "whole"))
    out.update(_note_figures(view, out["note"]))
    return out

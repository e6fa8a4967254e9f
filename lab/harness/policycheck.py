# SPDX-License-Identifier: MIT
"""Is the new view really policy(old view)? Compares two readings of tables, requester by requester."""
from dataclasses import dataclass

from .views import BLOCKED, BROKEN, FIRST, PAGE, PASS_THROUGH, Leaf, Views

Span = tuple[int, int]
MAX_REPORTED = 8
SAMPLE = 16 << 20  # an address that every pass-through requester could use


@dataclass(frozen=True)
class Terms:
    """What the new tables are held against: the policy, the spans that nobody may reach, old memory, and the
    requesters whose old tables were broken on purpose, with what is to become of those."""

    policy: str
    walls: list[Span]
    ram: list[Span]
    quarantined: frozenset[int] = frozenset()
    broken: str = "block"  # or scratch
    window: tuple[Span, ...] = ()  # identity for everybody, laid over the policy: the capture kernel's memory
    only: frozenset[int] | None = None  # the requesters that have the window; None: all of them
    raised: bool = False  # translation was off: every requester had identity


def _inside(address: int, spans: list[Span]) -> bool:
    return any(start <= address < end for start, end in spans)


def _merged(leaves: list[Leaf]) -> list[Leaf]:
    """Joins neighbours, so that a 2-MiB leaf equals the 512 pages it may be rebuilt as."""
    out: list[Leaf] = []
    for leaf in leaves:
        last = out[-1] if out else None
        if (last and last.iova + last.size == leaf.iova and last.target + last.size == leaf.target
                and (last.read, last.write) == (leaf.read, leaf.write)):
            out[-1] = Leaf(last.iova, last.size + leaf.size, last.target, last.read, last.write)
        else:
            out.append(leaf)
    return out


def _expected(policy: str, leaves: list[Leaf], walls: list[Span]) -> list[Leaf]:
    """What preserve, freeze or block make of old leaves; what lies behind a wall is lost."""
    out = []
    for leaf in leaves:
        write = leaf.write and policy == "preserve"
        if policy == "block" or not (leaf.read or write):
            continue
        if not any(leaf.target < end and start < leaf.target + leaf.size for start, end in walls):
            out.append(Leaf(leaf.iova, leaf.size, leaf.target, leaf.read, write))
            continue
        for at in range(0, leaf.size, PAGE):
            if not _inside(leaf.target + at, walls):
                out.append(Leaf(leaf.iova + at, PAGE, leaf.target + at, leaf.read, write))
    return _merged(out)


def _window_of(terms: Terms, source: int) -> tuple[Span, ...]:
    return terms.window if terms.only is None or source & 0xFFFF in terms.only else ()


def _below_window(terms: Terms, source: int, new: Views) -> list[Leaf]:
    """Returns the new mappings of a requester without those that are the crash window."""
    out = new.leaves(source)
    for start, end in _window_of(terms, source):
        pieces = []
        for leaf in out:
            low, high = max(leaf.iova, start), min(leaf.iova + leaf.size, end)
            if low >= high or leaf.iova != leaf.target or not (leaf.read and leaf.write):
                pieces.append(leaf)
                continue
            for first, last in ((leaf.iova, low), (high, leaf.iova + leaf.size)):
                if first < last:
                    pieces.append(Leaf(first, last - first, first, True, True))
        out = pieces
    return out


def _window_problems(terms: Terms, source: int, new: Views) -> list[str]:
    pages = [page for start, end in _window_of(terms, source) for page in (*range(start, end, 2 << 20), end - PAGE)]
    missing = [page for page in pages if new.translate(source, page) != (page, True, True)]
    return [f"{source:04x}: the crash window lacks 0x{missing[0]:x} and {len(missing) - 1} other places"] if missing else []


def scratch_page(terms: Terms, old: Views, new: Views) -> int | None:
    """Returns the page that scratch leads everything to, as the tables themselves say; None if none is mapped."""
    for source, entry in old.contexts.items():
        if _quarantined(terms, source, entry.kind):
            if terms.broken != "scratch":
                continue
            mapped = [SAMPLE]
        elif terms.policy != "scratch":
            continue
        else:
            mapped = [leaf.iova for leaf in old.leaves(source)[:1]]
            mapped = mapped or ([SAMPLE] if entry.kind == PASS_THROUGH else [])
        for iova in mapped:
            found = new.translate(source, iova)
            return found[0] & ~(PAGE - 1) if found else None
    lost = [new.translate(source, SAMPLE) for source in sorted(terms.quarantined) if terms.broken == "scratch"]
    return lost[0][0] & ~(PAGE - 1) if lost and lost[0] else None


def _quarantined(terms: Terms, source: int, kind: str) -> bool:
    return kind == BROKEN or source & 0xFFFF in terms.quarantined


def _quarantine_problems(terms: Terms, source: int, new: Views, page: int | None) -> list[str]:
    """A requester whose old tables are broken reaches nothing, or the scratch page, and nobody hears of it."""
    out, entry = [], new.entry(source)
    if not new.silent(source):
        out.append(f"{source:04x}: broken, and its faults are still reported")
    if entry and entry.kind in (PASS_THROUGH, BROKEN):
        out.append(f"{source:04x}: broken before, {entry.kind} now")
    if terms.broken == "scratch":
        if page is None or new.translate(source, SAMPLE) != (page, True, True):
            out.append(f"{source:04x}: broken, and does not lead to the scratch page")
    elif _below_window(terms, source, new):
        out.append(f"{source:04x}: broken, and {len(_below_window(terms, source, new))} mappings are there")
    return out


def _pass_through_problems(terms: Terms, source: int, new: Views, rights: int = 3) -> list[str]:
    """Pass-through meant: every address is itself, with these rights. Checks that against what the policy leaves of it."""
    policy, walls, ram = terms.policy, terms.walls, terms.ram
    if policy == "scratch":
        return []  # its page is checked where requesters with tables are; here nothing can be said of "all"
    leaves, out = _below_window(terms, source, new), []
    if policy == "block":
        return [f"{source:04x}: {len(leaves)} mappings, none expected under block"] if leaves else []
    for leaf in leaves:
        if leaf.target != leaf.iova or leaf.write != (policy == "preserve" and bool(rights & 2)):
            out.append(f"{source:04x}: IOVA 0x{leaf.iova:x} leads to 0x{leaf.target:x}, write {leaf.write}")
        if any(leaf.target < end and start < leaf.target + leaf.size for start, end in walls):
            out.append(f"{source:04x}: 0x{leaf.target:x} is behind a wall")
    edges = [page for start, end in ram for page in (start, start + (end - start) // 2 & -PAGE, end - PAGE)]
    lost = [page for page in edges if not _inside(page, walls) and new.translate(source, page) is None]
    return out + [f"{source:04x}: old memory at 0x{page:x} cannot be read any more" for page in lost]


def _shared_domains(new: Views) -> list[str]:
    """Two tables under one domain id would mix in the IOTLB (first-stage entries carry their PASID as well)."""
    tables: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for entry in new.contexts.values():
        if entry.kind not in (BROKEN, BLOCKED):
            key = (entry.domain, entry.source >> 16 if entry.kind == FIRST else -1)
            tables.setdefault(key, set()).add((entry.table, entry.levels))
    return [f"domain id {d} names {len(t)} different tables" for (d, _), t in tables.items() if len(t) > 1]


def _scratch_problems(terms: Terms, old: Views, new: Views, page: int | None) -> list[str]:
    problems = []
    for source, entry in old.contexts.items():
        if _quarantined(terms, source, entry.kind):
            continue
        for leaf in old.leaves(source):
            for iova in (leaf.iova, leaf.iova + leaf.size - PAGE):
                if new.translate(source, iova) != (page, True, True):
                    problems.append(f"{source:04x}: IOVA 0x{iova:x} does not lead to the scratch page")
    return problems


def _requester_problems(terms: Terms, source: int, old: Views, new: Views, page: int | None) -> list[str]:
    entry, taken, out = old.contexts[source], new.entry(source), []
    if _quarantined(terms, source, entry.kind):
        return _quarantine_problems(terms, source, new, page)
    if taken is None:
        return [f"{source:04x}: no context entry any more"]
    if not taken.faults_off:
        out.append(f"{source:04x}: fault processing is still on")
    translated = {taken.kind, entry.kind}.isdisjoint((PASS_THROUGH, BLOCKED))  # what has no tables needs no id
    if translated and taken.domain != entry.domain and not _stolen(old, entry):
        out.append(f"{source:04x}: domain id {entry.domain} became {taken.domain}")
    if taken.kind == PASS_THROUGH:
        out.append(f"{source:04x}: passes through, so it reaches the crash region")
    elif taken.kind == BROKEN:
        out.append(f"{source:04x}: its new entry is broken")
    elif entry.kind == PASS_THROUGH:
        out += _pass_through_problems(terms, source, new, entry.rights)
    elif entry.kind == BLOCKED:
        out += [f"{source:04x}: mapped now, blocked before"] if _below_window(terms, source, new) else []
    elif terms.policy != "scratch":
        want, got = _expected(terms.policy, old.leaves(source), terms.walls), _merged(_below_window(terms, source, new))
        if want != got:
            out.append(f"{source:04x}: {len(got)} mapped ranges, {len(want)} expected under {terms.policy}"
                       + _first_difference(want, got))
    return out


def _first_difference(want: list[Leaf], got: list[Leaf]) -> str:
    odd = sorted(set(want) ^ set(got), key=lambda leaf: leaf.iova)[0]
    return f", the first that {'is missing' if odd in want else 'is too many'}: {odd}"


def _stolen(old: Views, entry) -> bool:
    """Tells whether another requester uses the same domain id for another table: one of them must get a new id."""
    return any(other.domain == entry.domain and (other.table, other.levels) != (entry.table, entry.levels)
               for other in old.contexts.values() if other.kind == entry.kind)


def _others_problems(terms: Terms, old: Views, new: Views, page: int | None) -> list[str]:
    """Requesters that the old tables did not name: they get what is laid over everybody's view, and nothing else.

    Where translation was off that view was identity; on a bus whose root entry was broken all are quarantined. All of
    them may share their tables: each is judged once.
    """
    everybody = (terms.window and terms.only is None) or terms.raised
    rids = range(1 << 16) if everybody else {source & 0xFFFF for source in new.contexts}
    sources = {new.named(rid) for rid in rids if new.reaches(rid)} | set(new.contexts)
    judged: dict[tuple, list[str]] = {}
    for source in sorted(sources - set(old.contexts) - terms.quarantined):
        entry = new.entry(source)
        key = (source,)
        if everybody:
            key = (entry.kind, entry.table, entry.levels, entry.faults_off) if entry else ("absent",)
        if (source & 0xFFFF) >> 7 in old.broken_halves:
            judged[("lost", source)] = _quarantine_problems(terms, source, new, page)
        elif key not in judged:
            judged[key] = _other_problems(terms, source, new) if entry or everybody else []
    return [line for lines in judged.values() for line in lines]


def _other_problems(terms: Terms, source: int, new: Views) -> list[str]:
    entry = new.entry(source)
    if entry is None or not entry.faults_off:
        return [f"{source:04x}: {'faults on' if entry else 'no entry'}, as all others that the old tables did not name"]
    if entry.kind == PASS_THROUGH:
        return [f"{source:04x}: passes through now, absent before"]
    if terms.raised:
        return _pass_through_problems(terms, source, new) + _window_problems(terms, source, new)
    if terms.policy != "scratch" and _below_window(terms, source, new):
        return [f"{source:04x}: mapped now, absent before"]
    return _window_problems(terms, source, new)


def problems(terms: Terms, old: Views, new: Views) -> list[str]:
    """Returns what is wrong with the new tables, one line each."""
    out = _shared_domains(new)
    page = scratch_page(terms, old, new)
    if page is not None and not _inside(page, terms.walls):
        out.append(f"the scratch page 0x{page:x} lies outside the crash region")
    for source in sorted(old.contexts):
        out += _requester_problems(terms, source, old, new, page) + _window_problems(terms, source, new)
    for source in sorted(terms.quarantined - {s & 0xFFFF for s in old.contexts}):
        out += _quarantine_problems(terms, source, new, page)
    for rid, pasid in sorted(old.rid_pasid.items()):
        if new.rid_pasid.get(rid, pasid) != pasid:
            out.append(f"{rid:04x}: requests without a PASID were PASID {pasid}, are {new.rid_pasid[rid]}")
    out += _others_problems(terms, old, new, page)
    if terms.policy == "scratch":
        out += _scratch_problems(terms, old, new, page)
    # Freeze may share the lower levels with the old tables; what points at page tables, and their roots, never, unless
    # what points at a root lets nothing be written through it.
    pages = {entry.table for entry in new.contexts.values() if entry.kind not in (PASS_THROUGH, BROKEN, BLOCKED) and entry.rights & 2}
    pages = pages | new.structure if terms.policy == "freeze" else new.pages
    outside = sorted(p for p in pages if not _inside(p, terms.walls))
    if outside:
        out.append(f"{len(outside)} table pages lie in old memory, the first at 0x{outside[0]:x}")
    return out[:MAX_REPORTED] + ([f"and {len(out) - MAX_REPORTED} more"] if len(out) > MAX_REPORTED else [])


def wrong_translations(terms: Terms, old: Views, new: Views, seen: dict[tuple[int, int, int, int], int]) -> dict[str, int]:
    """Returns the accesses, as QEMU traced them, that went where the policy does not send them: what -> how many.

    QEMU traces a target also for a write it then denies, so this says where accesses lead, not whether they landed.
    """
    bad: dict[str, int] = {}
    page = scratch_page(terms, old, new)
    for (source, iova, target, _), times in seen.items():
        entry = old.entry(old.named(source))
        was = old.translate(source, iova)
        if _inside(iova, _window_of(terms, source)):
            want = iova
        elif entry is None or _quarantined(terms, source, entry.kind):
            want = page if terms.broken == "scratch" else None
        elif terms.policy == "scratch":
            want = page  # also for addresses that were never mapped: a device that reads zeros may ask for any
        elif terms.policy == "block" or was is None or _inside(was[0], terms.walls):
            want = None
        else:
            want = was[0]
        if want != target:
            where = "nowhere" if want is None else f"0x{want:x}"
            bad[f"{source:04x}: 0x{iova:x} went to 0x{target:x}, must go to {where}"] = times
    return bad

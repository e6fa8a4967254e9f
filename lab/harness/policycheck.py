# SPDX-License-Identifier: MIT
"""Is the new view really policy(old view)? Compares two readings of tables, requester by requester."""
from .vtdread import PAGE, Leaf, Tables

Span = tuple[int, int]
MAX_REPORTED = 8
PASS_THROUGH = 2  # the context entry's T field
SAMPLE = 16 << 20  # an address that every pass-through requester could use


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


def scratch_page(old: Tables, new: Tables) -> int | None:
    """Returns the page that scratch leads everything to, as the tables themselves say; None if none is mapped."""
    for source, entry in old.contexts.items():
        mapped = [leaf.iova for leaf in old.leaves(source)[:1]] or ([SAMPLE] if entry.kind == PASS_THROUGH else [])
        for iova in mapped:
            found = new.translate(source, iova)
            return found[0] & ~(PAGE - 1) if found else None
    return None


def _pass_through_problems(policy: str, source: int, new: Tables, walls: list[Span], ram: list[Span]) -> list[str]:
    """Pass-through meant: every address is itself. Checks that against what the policy leaves of it."""
    if policy == "scratch":
        return []  # its page is checked where requesters with tables are; here nothing can be said of "all"
    leaves, out = new.leaves(source), []
    if policy == "block":
        return [f"{source:04x}: {len(leaves)} mappings, none expected under block"] if leaves else []
    for leaf in leaves:
        if leaf.target != leaf.iova or leaf.write != (policy == "preserve"):
            out.append(f"{source:04x}: IOVA 0x{leaf.iova:x} leads to 0x{leaf.target:x}, write {leaf.write}")
        if any(leaf.target < end and start < leaf.target + leaf.size for start, end in walls):
            out.append(f"{source:04x}: 0x{leaf.target:x} is behind a wall")
    edges = [page for start, end in ram for page in (start, start + (end - start) // 2 & -PAGE, end - PAGE)]
    lost = [page for page in edges if not _inside(page, walls) and new.translate(source, page) is None]
    return out + [f"{source:04x}: old memory at 0x{page:x} cannot be read any more" for page in lost]


def _shared_domains(new: Tables) -> list[str]:
    """Two tables under one domain id would mix in the IOTLB."""
    tables: dict[int, set[tuple[int, int]]] = {}
    for entry in new.contexts.values():
        tables.setdefault(entry.domain, set()).add((entry.table, entry.levels))
    return [f"domain id {d} names {len(t)} different tables" for d, t in tables.items() if len(t) > 1]


def _scratch_problems(old: Tables, new: Tables, walls: list[Span]) -> list[str]:
    page = scratch_page(old, new)
    problems = []
    if page is not None and not _inside(page, walls):
        problems.append(f"the scratch page 0x{page:x} lies outside the crash region")
    for source in old.contexts:
        for leaf in old.leaves(source):
            for iova in (leaf.iova, leaf.iova + leaf.size - PAGE):
                if new.translate(source, iova) != (page, True, True):
                    problems.append(f"{source:04x}: IOVA 0x{iova:x} does not lead to the scratch page")
    return problems


def problems(policy: str, old: Tables, new: Tables, walls: list[Span], ram: list[Span]) -> list[str]:
    """Returns what is wrong with the new tables, one line each.

    walls are the spans nobody may reach, ram is old memory.
    """
    out = _shared_domains(new)
    for source, entry in sorted(old.contexts.items()):
        taken = new.contexts.get(source)
        if taken is None:
            out.append(f"{source:04x}: no context entry any more")
            continue
        if not taken.faults_off:
            out.append(f"{source:04x}: fault processing is still on")
        if taken.domain != entry.domain and entry.kind != PASS_THROUGH:
            out.append(f"{source:04x}: domain id {entry.domain} became {taken.domain}")
        if taken.kind == PASS_THROUGH:
            out.append(f"{source:04x}: passes through, so it reaches the crash region")
        elif entry.kind == PASS_THROUGH:
            out += _pass_through_problems(policy, source, new, walls, ram)
        elif policy != "scratch":
            want, got = _expected(policy, old.leaves(source), walls), _merged(new.leaves(source))
            if want != got:
                out.append(f"{source:04x}: {len(got)} mapped ranges, {len(want)} expected under {policy}")
    for source in sorted(set(new.contexts) - set(old.contexts)):
        if new.contexts[source].kind > 1 or (policy != "scratch" and new.leaves(source)):
            out.append(f"{source:04x}: mapped now, absent before")
    if policy == "scratch":
        out += _scratch_problems(old, new, walls)
    elif policy != "freeze":
        outside = [p for p in new.pages if not _inside(p, walls)]
        if outside:
            out.append(f"{len(outside)} table pages lie in old memory, the first at 0x{outside[0]:x}")
    return out[:MAX_REPORTED] + ([f"and {len(out) - MAX_REPORTED} more"] if len(out) > MAX_REPORTED else [])


def wrong_translations(policy: str, old: Tables, new: Tables, seen: dict[tuple[int, int, int, int], int]) -> int:
    """Returns how many accesses, as QEMU traced them, went where the policy does not send them.

    QEMU traces a target also for a write it then denies, so this says where accesses lead, not whether they landed.
    """
    bad = 0
    page = scratch_page(old, new) if policy == "scratch" else None
    for (source, iova, target, _), times in seen.items():
        was = old.translate(source, iova)
        if policy == "scratch":
            want = page  # also for addresses that were never mapped: a device that reads zeros may ask for any
        elif policy == "block" or was is None:
            want = None
        else:
            want = was[0]
        bad += times if want != target else 0
    return bad

# SPDX-License-Identifier: MIT
"""What must hold of the answers of cofferdam inspect about one crash."""
import json

from pathlib import Path

from .ask import INCOMPLETE, Answer, Asked, Range, bdf, ranges, run
from .dump import PANIC_LINE
from .inspect_case import PAGE, Case, Form, loop
from .packages import command, unpacked
from .paths import TOOL, LabError
from . import elfcore, kdumpfile

# What tells a dump, or a way to the tables, from another, and is no answer about devices.
# Findings depend on what is known of the crash region, names of devices on the dead kernel.
OWN = ("unit", "tree", "device", "findings", "vacant")
FINE = (0, 1)


class Checks:
    """Asks every form of one crash, and prints a line for each thing that must hold."""

    def __init__(self, case: Case, tap, full: bool):
        self.case, self.tap, self.full = case, tap, full
        self.reference: dict[int, list[Range]] = {}

    def check(self, problems: list[str], text: str) -> None:
        """Prints one result, and what is wrong."""
        self.tap.check(not problems, f"{self.case.name}: {text}")
        for line in problems[:6]:
            print(f"#   {line}", flush=True)

    def _some(self, things: list, few: int) -> list:
        """Returns all of a list, or a few spread over it."""
        return things if self.full else things[:: max(1, len(things) // few)]

    # --- one reference, held against what is not ours ----------------------------------------------------------------
    def against_the_reader(self) -> None:
        """The whole dump: every mapping of every requester is that of the lab's own reader."""
        asked, problems = self.case.form("vmcore").asked, []
        sources = self.case.sources()
        for rid in sources:
            answer = asked.ask("ranges", bdf(rid))
            want = self.case.expected(rid)
            got = ranges(answer)
            self.reference[rid] = got
            if answer.status != 0 or got != want:
                problems.append(f"{bdf(rid)}: status {answer.status}, {len(got)} ranges, {len(want)} expected"
                                f"{_first_difference(want, got)}")
        self.check(problems, f"the mappings of {len(sources)} requesters are those of an independent reader "
                             f"({sum(map(len, self.reference.values()))} ranges)")
        listed = {one["requester"] for one in asked.ask("devices").data["devices"]}
        wrong = sorted(listed ^ {bdf(rid) for rid in (*sources, *self.case.passed())})
        self.check(wrong, "devices lists the requesters that have an entry, and no others")

    def against_qemu(self) -> None:
        """Where QEMU led DMA after the crash is where translate and walk lead."""
        asked, problems = self.case.form("vmcore").asked, []
        seen = self._some(self.case.seen["translated"], 16)
        for rid, iova, target, mask, _ in seen:
            answer = asked.ask("translate", bdf(rid), f"0x{iova:x}")
            data = answer.data
            said = (data["answer"], int(data.get("address", "0"), 0), data.get("page_size"))
            size = mask + 1 if self.case.kind.TRACES_SIZE else said[2]
            if answer.status or said != ("mapped", target, size):
                problems.append(f"{bdf(rid)} 0x{iova:x}: {said}, QEMU led it to 0x{target:x}")
        self.check(problems if seen else ["QEMU traced no DMA"],
                   f"translate agrees with QEMU about {len(seen)} pages that DMA used after the panic")

    def reach(self) -> None:
        """Pages that DMA used: who reaches them, told from the tables the other way round."""
        asked, problems = self.case.form("vmcore").asked, []
        pages = self._some(sorted({target for _, _, target, _, _ in self.case.seen["translated"]}), 6)
        for page in pages:
            want = set()  # those that pass without an entry are no functions of the machine, and not counted
            for rid in self.case.sources():
                for one in self.case.expected(rid):
                    if one.address <= page < one.address + one.size:
                        want.add((bdf(rid), one.iova + page - one.address, one.read, one.write))
            answer = asked.ask("reach", f"0x{page:x}+4K")
            got = _reached(answer.data)
            if answer.status not in FINE or got != want:
                problems.append(f"0x{page:x}: {sorted(got)}, {sorted(want)} expected")
        self.check(problems, f"reach names who can touch {len(pages)} pages, from where, and how")

    # --- all forms ---------------------------------------------------------------------------------------------------
    def same_answers(self, form: Form) -> None:
        """A form gives the reference's answers, as far as it holds the pages; where it does not it says so."""
        problems, unknown = [], 0
        for rid, want in self.reference.items():
            answer = form.asked.ask("ranges", bdf(rid))
            try:
                got = ranges(answer)
            except LabError as error:
                if answer.status != INCOMPLETE or not self._way_lost(form, rid):
                    problems.append(f"{bdf(rid)}: {error}")
                unknown += 1
                continue
            holes = [one for one in got if one.kind == "unknown"]
            unknown += len(holes)
            if [one for one in got if one.kind != "unknown"] != _outside(want, holes):
                problems.append(f"{bdf(rid)}: other ranges{_first_difference(want, got)}")
            if answer.status != (INCOMPLETE if holes else 0):
                problems.append(f"{bdf(rid)}: status {answer.status} with {len(holes)} unknown ranges: {answer.err.strip()}")
            problems += [f"{bdf(rid)}: 0x{one.iova:x} is called unknown, and the dump holds all its tables"
                         for one in holes if not self._lost(form, rid, one.iova)]
        answer = form.asked.ask("devices")
        if answer.status != (INCOMPLETE if unknown else 0):
            problems.append(f"devices: status {answer.status}: {answer.err.strip()}")
        elif not unknown:
            problems += self._other_lists(form, answer)
        told = f"the same answers, but for {unknown} ranges that it lacks tables of: unknown" if unknown else "the same answers"
        self.check(problems, f"{form.name}: {told}")

    def _other_lists(self, form: Form, devices: Answer) -> list[str]:
        """Units and devices, names and counts of findings where both dumps carry the note, else what does not come from it."""
        whole, got = self.case.form("vmcore").asked, devices.data
        want = whole.ask("devices").data
        if _requesters(want) != _requesters(got):
            return ["other devices"]
        if not form.note:
            return []
        # Names come from the dead kernel's own structures, of which makedumpfile -d 8 and up may drop some: it does not
        # know how Linux marks slab pages from 6.10 on. A name may be missing there, and never be another one.
        lacking = [None] if form.held is not None and "d31." in form.name else []
        out = [f"{one['requester']}: {other.get('device')}" for one, other in zip(want["devices"], got["devices"])
               if other.get("device") not in (one.get("device"), *lacking) or other["findings"] != one["findings"]]
        want, got = whole.ask("units").data, form.asked.ask("units").data
        return out + [f"units: {key} differs" for key in want if key != "dump" and got.get(key) != want[key]]

    def _way(self, rid: int, iova: int) -> list[int]:
        """Returns the pages of tables on the way to an IOVA's leaf."""
        tables = self.case.tables
        entry = tables.entry(tables.named(rid))
        return [at & -PAGE for _, at, _ in tables.entries(rid, iova)] + [entry.address & -PAGE, tables.root]

    def _lost(self, form: Form, rid: int, iova: int) -> bool:
        return any(not form.holds(page) for page in self._way(rid, iova))

    def _way_lost(self, form: Form, rid: int) -> bool:
        return any(not form.holds(page) for page in (*self.case.tables.structure, *self._way(rid, 0)))

    # --- tables found each way ---------------------------------------------------------------------------------------
    def ways(self) -> None:
        """The same requesters from the note, the command line, the dead kernel and the scan."""
        path = self.case.form("vmcore").asked.path
        by_hand = self.case.root_option
        options = {"the note": (), by_hand[0]: ("--no-note", *by_hand), "the dead kernel": ("--no-note",),
                   "the scan": ("--no-note", "--no-kernel", "--scan")}
        answers = {way: Asked(path, with_) for way, with_ in options.items()}
        want = _requesters(answers["the note"].ask("devices").data)
        for way, asked in answers.items():
            answer = asked.ask("devices")
            got = _requesters(answer.data)
            problems = [] if got == want and got else [f"{sorted(set(want) ^ set(got))[:3]}"]
            if answer.status not in FINE:
                problems.append(f"status {answer.status}: {answer.err.strip()}")
            units = asked.ask("units").data["units"]
            if way != "the scan" and len(units) != 1:
                problems.append(f"{len(units)} units")
            self.check(problems, f"tables found by {way}: the same {len(want)} requesters, in {answer.seconds:.2f} s")

    # --- pages left out on purpose -----------------------------------------------------------------------------------
    def removed(self) -> None:
        """A table taken out of a dump: unknown is said, of nothing else, with status 4."""
        rid = next(rid for rid in self.case.sources() if self.case.expected(rid))
        first = self.case.expected(rid)[0].iova
        tables = self.case.tables
        places = {"root table": tables.root, "table of its entry": tables.entry(tables.named(rid)).address & -PAGE,
                  "top page table": self.case.tables.entries(rid, first)[0][1] & -PAGE,
                  "last page table": self.case.tables.entries(rid, first)[-1][1] & -PAGE}
        source = kdumpfile.Kdump(self.case.folder / "d0.zlib")
        for number, (what, page) in enumerate(places.items()):
            for kind in ("elf", "kdump") if self.full else ("elf", "kdump")[number % 2 : number % 2 + 1]:
                out = self.case.folder / f"removed.{kind}"
                if kind == "elf":
                    elfcore.write_without(self.case.folder / "vmcore", out, [page])
                else:
                    source.write(out, drop=frozenset({page // PAGE}))
                self._one_removed(Asked(out), what, kind, rid, first)
                out.unlink()

    def _one_removed(self, asked: Asked, what: str, kind: str, rid: int, iova: int) -> None:
        problems = []
        answer = asked.ask("translate", bdf(rid), f"0x{iova:x}")
        said = answer.data["answer"] if answer.out else answer.err
        if answer.status != INCOMPLETE or "not" in said.split() and "mapped" in said or not answer.out and not _one_line(answer):
            problems.append(f"translate: status {answer.status}, {said}")
        devices = asked.ask("devices")
        if devices.status != INCOMPLETE:
            problems.append(f"devices: status {devices.status}")
        if what.endswith("page table"):
            for other, want in self.reference.items():
                got = ranges(asked.ask("ranges", bdf(other)))
                holes = [one for one in got if one.kind == "unknown"]
                if [one for one in got if one.kind != "unknown"] != _outside(want, holes) or bool(holes) != (other == rid):
                    problems.append(f"{bdf(other)}: {len(holes)} unknown ranges")
        self.check(problems, f"without the {what} ({kind}): unknown, status 4, and the rest is told")

    # --- a table that leads to itself --------------------------------------------------------------------------------
    def looped(self) -> None:
        """Self-similar tables have few pages and no end: every verb comes to an end."""
        rid = next(rid for rid in self.case.sources() if self.case.expected(rid))
        out = self.case.folder / "looped.elf"
        loop(self.case, rid, out)
        for verb, *arguments in (("devices",), ("reach", "0x100000+4K"), ("findings",)):
            answer = Asked(out).ask(verb, *arguments)
            problems = [] if answer.status in (0, 1, INCOMPLETE) and not answer.timed_out else [
                f"status {answer.status}: {answer.err.strip()}"]
            if answer.kib > 256 << 10:
                problems.append(f"{answer.kib >> 10} MiB")
            self.check(problems, f"a table that leads to itself: {verb} ends in {answer.seconds:.1f} s with {answer.kib >> 10} MiB")
        if not self.case.kind.LOOPS_END:
            self._interrupted(out, rid)
        out.unlink()

    def _interrupted(self, path: Path, rid: int) -> None:
        """Such a table maps everything the hardware can name, so its ranges have no end worth waiting for."""
        answer = run([str(TOOL), "inspect", str(path), "ranges", bdf(rid), "--json"], interrupt_s=3)
        problems = [] if answer.status == 130 and answer.data["partial"] else [f"status {answer.status}: {answer.err.strip()}"]
        if answer.kib > 256 << 10 or answer.seconds > 15:
            problems.append(f"{answer.seconds:.1f} s, {answer.kib >> 10} MiB")
        self.check(problems, f"Ctrl-C after 3 s ends it in {answer.seconds:.1f} s with {answer.kib >> 10} MiB, and its JSON is whole")

    # --- other tools -------------------------------------------------------------------------------------------------
    def makedumpfile(self) -> None:
        """makedumpfile opens the same dumps, and so does crash as far as it goes without debug information."""
        problems = []
        log = self.case.folder / "other.txt"
        for name in ("vmcore", "d0.zlib", "d1.lzo", "d31.lzo", "d31.elf"):
            log.unlink(missing_ok=True)
            try:
                command(["makedumpfile", "--dump-dmesg", str(self.case.folder / name), str(log)], name, timeout=120)
                if PANIC_LINE not in log.read_text(errors="replace"):
                    problems.append(f"{name}: the panic is not in its log")
            except LabError as error:
                problems.append(str(error))
        log.unlink(missing_ok=True)
        self.check(problems, "makedumpfile --dump-dmesg reads 5 of the dumps")

    def crash_release(self, forms: list[Form]) -> None:
        """crash says which kernel a dump is of."""
        program = unpacked("crash") / "root/usr/bin/crash"
        release = {form.name: command([str(program), "--osrelease", str(form.asked.path)], form.name).splitlines()[-1]
                   for form in forms if form.name != "picture.raw"}
        wrong = [f"{name}: {said}" for name, said in release.items() if not said.startswith(self.case.seen["kernel"] + ".")]
        self.check(wrong, f"crash --osrelease opens {len(release)} of the dumps")


def _one_line(answer: Answer) -> bool:
    return answer.err.count("\n") == 1


def _requesters(data: dict) -> list[str]:
    """Returns what `devices` tells of requesters, without what depends on the way to the tables."""
    # What passes reaches all memory that the dump knows of, and QEMU's have the crash region as well.
    return sorted(json.dumps({key: value for key, value in one.items()
                              if key not in OWN and not (key == "mapped" and one["was"] == "passed through")}, sort_keys=True)
                  for one in data["devices"])


def _reached(data: dict) -> set[tuple[str, int, bool, bool]]:
    out = set()
    for group in data["groups"]:
        for name in group["requesters"]:
            for one in group["ranges"]:
                if one["kind"] == "mapped":
                    out.add((name.partition("@")[0], int(one["iova"], 0), one["readable"], one["writable"]))
    return out


def _outside(want: list[Range], holes: list[Range]) -> list[Range]:
    """Returns ranges with the unknown IOVAs cut out."""
    out = []
    for one in want:
        pieces = [(one.iova, one.iova + one.size)]
        for hole in holes:
            low, high = hole.iova, hole.iova + hole.size
            pieces = [p for a, b in pieces for p in ((a, min(b, low)), (max(a, high), b)) if p[0] < p[1]]
        out += [Range("mapped", a, b - a, one.address + a - one.iova, one.read, one.write) for a, b in pieces]
    return out


def _first_difference(want: list[Range], got: list[Range]) -> str:
    odd = sorted(set(want) ^ set(got), key=lambda one: (one.iova, one.kind))
    return f": {odd[0]} is {'missing' if odd[0] in want else 'too much'}" if odd else ""

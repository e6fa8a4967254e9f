# SPDX-License-Identifier: MIT
"""The command line of lab/inspect: crash, dump in every form, ask cofferdam inspect about all of them, print TAP."""
import argparse
import sys
from pathlib import Path

from . import dumps, kinds, scenarios
from .cli import Tap, _enough_room, _progress
from .crash import Crash, alone, prepare
from .dump import examine
from .inspect_case import Case
from .inspect_checks import Checks
from .inspect_debugfs import compare
from .inspect_debug import with_debug_information
from .inspect_hostile import Hostile
from .paths import RUNS, TOOL, LabError


def _make(scenario: scenarios.Scenario, say) -> Path:
    """Crashes, and leaves every dump in the folder of the run."""
    folder, argv = prepare(scenario)
    record = Crash(scenario, folder, argv, say, lambda machine: dumps.by_qemu(machine, folder)).run()
    try:
        if record.problem or record.before is None:
            raise LabError(f"{scenario.name}: {record.problem or 'no picture of memory'}")
        dumps.keep_seen(record, kinds.of(scenario.iommu), folder)
        dumps.keep_picture(record.before, folder)
    finally:
        record.close()
    found = examine(folder / "disk", folder, record.guest_status, True)
    if not (found["dump_complete"] and found["note_readable"]):
        raise LabError(f"{scenario.name}: {found.get('dump_problem') or found.get('note_problem')}")
    (folder / "disk").unlink()
    (folder / "dump").rename(folder / "vmcore")
    return folder


def _ask(scenario: scenarios.Scenario, folder: Path, tap: Tap, full: bool, say) -> None:
    case = Case(scenario.name, folder)
    checks = Checks(case, tap, full)
    say("asking the whole dump")
    checks.against_the_reader()
    checks.against_qemu()
    checks.reach()
    checks.ways()
    forms = case.forms()
    say(f"asking {len(forms)} dumps")
    for form in forms:
        checks.same_answers(form)
    say("asking dumps with something taken out")
    checks.removed()
    checks.looped()
    say("other tools")
    checks.makedumpfile()
    checks.crash_release(forms)
    if full:
        with_debug_information(case, tap, scenario)
    for name in ("d31.zlib", "vmcore"):
        seconds = min(case.form(name).asked.ask("devices").seconds for _ in range(5))
        print(f"# {case.name}: {name}: devices takes {seconds:.2f} s; the aim is 1 s", flush=True)
    say("hostile dumps")
    Hostile(case, tap, full).run()


def main(argv: list[str]) -> int:
    """Entry; returns 0 when all holds, 1 when something does not, 2 for a wrong call."""
    about = "Crash a real kernel in QEMU, dump it in every form, and hold cofferdam inspect against other sources."
    parser = argparse.ArgumentParser(prog="lab/inspect", description=about)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="of the set inspect; without any: the first of them")
    parser.add_argument("--full", action="store_true", help="every scenario of the set, every form, crash with debug information")
    parser.add_argument("--again", action="store_true", help="ask the dumps of the last run (--keep) again, without a crash")
    parser.add_argument("--keep", action="store_true", help="keep the dumps (some 5 GiB a scenario)")
    parser.add_argument("--debugfs", metavar="IMAGE", type=Path,
                        help="instead of crashes: boot this kernel, and compare with what its debugfs says")
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    args = parser.parse_args(argv)
    tap = Tap()
    try:
        known = {one.name: one for one in scenarios.load().values() if "inspect" in one.sets}
        for name in args.names:
            if name not in known:
                raise LabError(f"no scenario of the set inspect is called {name}")
        if not TOOL.exists():
            raise LabError(f"{TOOL} is not there; run make first")
        if args.debugfs:
            compare(args.debugfs, tap, _progress("debugfs", args.quiet))
            print(f"1..{tap.number}")
            return 1 if tap.failed else 0
        names = args.names or (list(known) if args.full else list(known)[:1])
        for name in names:
            say, folder = _progress(name, args.quiet), RUNS / name
            with alone(known[name]):
                try:
                    if not args.again:
                        _enough_room(6)
                        _make(known[name], say)
                        say("makedumpfile makes its forms")
                        dumps.by_makedumpfile(folder, args.full)
                    _ask(known[name], folder, tap, args.full, say)
                finally:
                    if not args.keep and not args.again:
                        _clean(folder)
    except LabError as error:
        print(f"lab/inspect: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab/inspect: interrupted", file=sys.stderr)
        return 130
    print(f"1..{tap.number}")
    return 1 if tap.failed else 0


def _clean(folder: Path) -> None:
    for path in folder.glob("*"):
        if path.stat().st_size > 1 << 20:
            path.unlink()

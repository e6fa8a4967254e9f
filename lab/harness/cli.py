# SPDX-License-Identifier: MIT
"""The command line of lab/run: choose scenarios, run them, print TAP, keep one JSON result for each."""
import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from datetime import datetime, timezone

from . import scenarios, table
from .crash import Crash, alone, prepare
from .judge import details, judge
from .measure import figures
from .paths import BUILD, PAGES, RUNS, LabError
from .scenarios import Scenario

RESULTS = BUILD / "results"
HEAVY = ("disk", "dump", "initrd", "wrapped", "nvme.img", "vars.fd")  # removed unless --keep


class Tap:
    """Numbered TAP lines on standard output."""

    def __init__(self) -> None:
        self.number, self.failed = 0, 0

    def check(self, holds: bool, text: str) -> None:
        """Prints one result."""
        self.number += 1
        self.failed += not holds
        print(f"{'ok' if holds else 'not ok'} {self.number} - {text}", flush=True)


def _progress(name: str, quiet: bool):
    start = time.monotonic()

    def say(text: str) -> None:
        if not quiet:
            print(f"# {name} {time.monotonic() - start:5.1f} s: {text}", flush=True)

    return say


def _crash_and_measure(scenario: Scenario, keep: bool, quiet: bool) -> dict:
    record = None
    try:
        folder, argv = prepare(scenario)
        record = Crash(scenario, folder, argv, _progress(scenario.name, quiet)).run()
        return figures(scenario, record)
    finally:
        if record:
            record.close()
        if not keep:
            for name in HEAVY:
                (RUNS / scenario.name / name).unlink(missing_ok=True)


def run_one(scenario: Scenario, keep: bool, quiet: bool) -> dict:
    """Runs one scenario; returns its result, which is also kept as build/lab/results/NAME.json."""
    result: dict = {"name": scenario.name, "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                    "scenario": asdict(scenario), "figures": {}, "error": ""}
    with alone(scenario):
        try:
            result["figures"] = _crash_and_measure(scenario, keep, quiet)
        except LabError as error:
            result["error"] = str(error)
    verdicts = judge(scenario.expected, result["figures"])
    result["verdicts"] = [asdict(v) for v in verdicts]
    result["holds"] = not result["error"] and all(v.holds for v in verdicts)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{scenario.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def report(result: dict, tap: Tap) -> None:
    """Prints a result as TAP, with what is needed to understand a failure."""
    if result["error"]:
        tap.check(False, f"{result['name']}: {result['error']}")
        return
    if not result["verdicts"]:
        tap.check(True, f"{result['name']}: measured")
    for verdict in result["verdicts"]:
        tap.check(verdict["holds"], f"{result['name']}: {verdict['why']}")
        if not verdict["holds"]:
            for line in details(verdict["name"], result["figures"]):
                print(f"#   {line}")
    if not result["holds"]:
        print(f"#   console: {RUNS / result['name'] / 'serial.log'}", flush=True)


def _chosen(known: dict[str, Scenario], names: list[str], group: str | None) -> list[Scenario]:
    unknown = [n for n in names if n not in known]
    if unknown:
        raise LabError(f"no scenario is called {unknown[0]}; lab/run --list shows them")
    chosen = [known[n] for n in names]
    if group:
        chosen += [s for s in known.values() if (group == "full" or group in s.sets) and s not in chosen]
        if not chosen:
            raise LabError(f"no scenario belongs to the set {group}")
    return chosen


def _enough_room(gib: int = 3) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(BUILD).free
    if free < gib << 30:
        raise LabError(f"{BUILD}: {free >> 20} MiB free, a run needs up to {gib} GiB")


def _list(known: dict[str, Scenario]) -> None:
    for one in known.values():
        what = f"cofferdam {one.policy}" if one.cofferdam else "unmodified Linux"
        print(f"{one.name:55} {','.join(one.sets):12} {what:20} {one.about}")


def demo(known: dict[str, Scenario], keep: bool) -> int:
    """The same crash several ways, printed side by side; returns 0 when every run holds."""
    results = []
    for number, scenario in enumerate(_chosen(known, [], "demo"), 1):
        print(f"crash {number}: {scenario.about}", flush=True)
        _enough_room()
        results.append(run_one(scenario, keep, quiet=False))
        if results[-1]["error"]:
            print(f"demo: {results[-1]['error']}", file=sys.stderr)
            return 1
    print()
    print(table.side_by_side(results))
    print()
    broken = [(r, v) for r in results for v in r["verdicts"] if not v["holds"]]
    for result, verdict in broken:
        print(f"demo: {result['name']}: {verdict['why']} ({RUNS / result['name'] / 'serial.log'})", file=sys.stderr)
        for line in details(verdict["name"], result["figures"]):
            print(f"demo:   {line}", file=sys.stderr)
    if not broken:
        print("Everything that must hold was seen. Consoles and figures: build/lab/runs, build/lab/results.")
    return 1 if broken else 0


def main(argv: list[str]) -> int:
    """Entry; returns 0 when all that was run holds, 1 when something does not, 2 for a wrong call."""
    about = "Crash a real kernel in QEMU and measure what leftover DMA does."
    parser = argparse.ArgumentParser(prog="lab/run", description=about)
    parser.add_argument("names", nargs="*", metavar="SCENARIO")
    parser.add_argument("--list", action="store_true", help="print every scenario")
    parser.add_argument("--set", dest="group", choices=("check", "full", "demo", "broken", "modes", "rule", "inspect", "amd"), help="run the scenarios of a set")
    parser.add_argument("--table", action="store_true", help="write docs/results.md and docs/states.md from the results kept so far")
    parser.add_argument("--demo", action="store_true", help="run the set demo and print it side by side")
    parser.add_argument("--without", action="store_true", help="leave Cofferdam out of the named runs, to compare")
    parser.add_argument("--keep", action="store_true", help="keep disk, dump and images of each run")
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    args = parser.parse_args(argv)
    try:
        known = scenarios.load()
        if args.list:
            _list(known)
            return 0
        if args.demo:
            return demo(known, args.keep)
        chosen = _chosen(known, args.names, args.group)
        if not chosen and not args.table:
            parser.error("name scenarios, or --set, --list, --table")
        tap = Tap()
        if args.without:
            chosen = scenarios.without(chosen)
        for scenario in chosen:
            _enough_room()
            report(run_one(scenario, args.keep, args.quiet), tap)
        if chosen:
            print(f"1..{tap.number}")
        if args.table:
            for name, text in table.write(known, RESULTS).items():
                (PAGES / name).write_text(text)
        return 1 if tap.failed else 0
    except LabError as error:
        print(f"lab/run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab/run: interrupted", file=sys.stderr)
        return 130

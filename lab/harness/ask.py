# SPDX-License-Identifier: MIT
"""Asks cofferdam inspect, with its time and memory bounded, and reads its JSON."""
import json
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .paths import TOOL, LabError

INCOMPLETE = 4
LIMIT_S = 120


@dataclass(frozen=True)
class Answer:
    """What one call gave."""

    status: int  # negative: the signal that ended it; None is never: a call that takes too long is ended by SIGKILL
    out: str
    err: str
    seconds: float
    kib: int  # the most memory it had
    timed_out: bool = False

    @property
    def data(self) -> dict:
        """The JSON it printed."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise LabError(f"no JSON, status {self.status}: {self.err.strip() or self.out[:80]!r}") from None


def _most_memory(pid: int, before: int) -> int:
    """Returns the most memory a process has had, in KiB. (What wait4 tells includes its parent's, from before exec.)"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return before
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return max(before, int(found.group(1))) if found else before


def run(argv: list[str], limit_s: float = LIMIT_S, interrupt_s: float = 0, address_space: int = 0) -> Answer:
    """Runs a program to its end, or until it is interrupted as by Ctrl-C."""
    if address_space:
        argv = ["prlimit", f"--as={address_space}", "--", *argv]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        late, kib = False, 0
        while child.poll() is None:
            kib = _most_memory(child.pid, kib)
            spent = time.monotonic() - start
            if spent > limit_s and not late:
                child.kill()
                late = True
            elif interrupt_s and spent > interrupt_s:
                child.send_signal(signal.SIGINT)
                interrupt_s = 0
            time.sleep(0.002)
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        return Answer(child.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace"), seconds,
                      kib, late)


@dataclass(frozen=True)
class Asked:
    """A dump and the shared options that go with it."""

    path: Path
    options: tuple[str, ...] = ()
    calls: list[Answer] = field(default_factory=list, compare=False)

    def ask(self, verb: str, *arguments: str) -> Answer:
        """One verb's answer as JSON."""
        answer = run([str(TOOL), "inspect", str(self.path), verb, *arguments, "--json", *self.options])
        self.calls.append(answer)
        return answer


def bdf(rid: int) -> str:
    """Returns a requester as the tool writes and reads it."""
    return f"0000:{rid >> 8:02x}:{rid >> 3 & 31:02x}.{rid & 7}"


@dataclass(frozen=True)
class Range:
    """One entry of `ranges`."""

    kind: str
    iova: int
    size: int
    address: int
    read: bool
    write: bool


def ranges(answer: Answer) -> list[Range]:
    """Returns what `ranges` said."""
    return [Range(one["kind"], int(one["iova"], 0), _number(one["size"]), int(one.get("address", "0"), 0),
                  one.get("readable", False), one.get("writable", False)) for one in answer.data["ranges"]]


def _number(value: int | str) -> int:
    return int(value, 0) if isinstance(value, str) else value

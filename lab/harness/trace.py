# SPDX-License-Identifier: MIT
"""Reads QEMU's trace while it is written, and counts: a fault storm is millions of lines, none is stored.

Lines come as "PID@SECONDS.MICROS:event arguments" (host clock). Equal lines of one 10-ms slot become one
counter. Messages of "-d guest_errors" carry no time and get the slot of the line before them.
"""
import os
import re
import threading
from collections import Counter

from .kind import Kind

SLOT_S = 0.01
MAX_KEYS = 400_000  # distinct (slot, line) pairs kept; beyond this only the event's name is counted
_REGION = re.compile(rb"region '([^']*)'")


class TraceReader(threading.Thread):
    """Drains the trace pipe until QEMU is gone."""

    def __init__(self, fd: int, kind: Kind):
        super().__init__(daemon=True)
        self._fd, self._kind = fd, kind
        self._counts: dict[int, Counter] = {}
        self._keys = 0
        self._slot = 0
        self._lock = threading.Lock()
        self._lines: Counter = Counter()  # name up to the first space -> lines so far
        self.clipped = False
        self.roots: list[tuple[float, int]] = []  # (time, root pointer)
        self.enables: list[tuple[float, bool]] = []  # (time, translation on)

    def run(self) -> None:
        """Thread body."""
        rest = b""
        while True:
            try:
                data = os.read(self._fd, 1 << 20)
            except OSError:
                return
            if not data:
                return
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            with self._lock:
                for line in lines:
                    self._take(line)

    def _take(self, line: bytes) -> None:
        stamp, colon, event = line.partition(b":")
        at = stamp.find(b"@")
        if colon and at > 0 and stamp[:at].isdigit():
            time_s = float(stamp[at + 1 :])
            self._slot = int(time_s / SLOT_S)
            if event.startswith(self._kind.MOMENTS):
                self._take_rare(time_s, event)
                return
        else:
            # Not a trace line. Keep the region's name only: the addresses of a storm are all different.
            region = _REGION.search(line)
            event = b"invalid " + (region.group(1) if region else line[:40])
        self._lines[event.split(b" ", 1)[0]] += 1
        counter = self._counts.setdefault(self._slot, Counter())
        if event not in counter:
            if self._keys >= MAX_KEYS:
                event = event.split(b" ", 1)[0]
                self.clipped = True
            self._keys += 1
        counter[event] += 1

    def _take_rare(self, time_s: float, event: bytes) -> None:
        what, value = self._kind.moment(event) or ("", 0)
        if what == "on":
            self.enables.append((time_s, bool(value)))
        elif what == "root":
            self.roots.append((time_s, value))

    def root_is(self, time_s: float, pointer: int | None) -> None:
        """Adds a root pointer that was read from the unit's registers, where the trace does not tell it."""
        if pointer is not None:
            self.roots.append((time_s, pointer))

    def lines_of(self, prefix: bytes) -> int:
        """Returns how many lines of one event have come so far."""
        return self._lines[prefix.strip()]

    def total(self, start: float, end: float) -> Counter:
        """Returns event text -> count between two host times, slots cut by the edges left out at the start."""
        first, last = int(start / SLOT_S), int(end / SLOT_S)
        out: Counter = Counter()
        with self._lock:
            for slot, counter in self._counts.items():
                if first < slot <= last:
                    out.update(counter)
        return out

    def off_seconds(self, start: float, end: float, paused: list[tuple[float, float]]) -> float | None:
        """Returns how long translation was off between two times, pauses of the machine not counted.

        None where it was never on before start: then there was nothing to turn off.
        """
        on_before = [on for time_s, on in self.enables if time_s <= start]
        if True not in on_before:
            return None
        state, since, total = on_before[-1], start, 0.0
        for time_s, on in [e for e in self.enables if start < e[0] < end] + [(end, True)]:
            if not state:
                total += time_s - since - _overlap(since, time_s, paused)
            state, since = on, time_s
        return round(total, 4)

    def root_before(self, time_s: float) -> int | None:
        """Returns the root pointer in use at a time; None if none was ever set."""
        earlier = [r for r in self.roots if r[0] <= time_s]
        return earlier[-1][1] if earlier else None


def _overlap(start: float, end: float, spans: list[tuple[float, float]]) -> float:
    return sum(max(0.0, min(end, b) - max(start, a)) for a, b in spans)


def count(events: Counter, prefix: str) -> int:
    """Returns how many events begin with a name."""
    return sum(n for text, n in events.items() if text.startswith(prefix.encode()))

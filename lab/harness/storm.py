# SPDX-License-Identifier: MIT
"""Keeps the measuring from changing what is measured.

QEMU writes a line for each traced access. A device model that is refused everything (UHCI under block) asks
again at once, hundreds of thousands of times a second, and writing those lines would starve the guest until
its timer check fails. So a stream that storms is switched off for a second, then listened to again. Streams
are switched on only when the crash comes. Register writes, and faults where the kind can tell silent ones, are
never switched off.
"""
import time

from .kind import Kind
from .qemu import REFUSED, Machine
from .trace import TraceReader

TICK_S = 0.2
LINES_PER_TICK = 8000  # 40,000 a second: what was seen to cost a guest nothing
OFF_S = 1.0


class StormGuard:
    """Call tick() about five times a second from the thread that owns the monitor."""

    def __init__(self, machine: Machine, trace: TraceReader, kind: Kind):
        self._machine, self._trace = machine, trace
        self._streams = {name: name.encode() for name in (kind.STREAM, *kind.STORMS)} | {REFUSED: b"invalid "}
        self._on_again = dict.fromkeys(self._streams, 0.0)  # 0: listening
        self._seen = dict.fromkeys(self._streams, 0)
        self.sampled: set[str] = set()
        for name in self._streams:
            machine.stream(name, True)

    def tick(self) -> None:
        """Switches streams off and on as their rates ask for."""
        now = time.monotonic()
        for name, prefix in self._streams.items():
            total = self._trace.lines_of(prefix)
            fresh, self._seen[name] = total - self._seen[name], total
            if self._on_again[name]:
                if now >= self._on_again[name]:
                    self._machine.stream(name, True)
                    self._on_again[name] = 0.0
            elif fresh > LINES_PER_TICK:
                self._machine.stream(name, False)
                self._on_again[name] = now + OFF_S
                self.sampled.add(name)

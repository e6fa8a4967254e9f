# SPDX-License-Identifier: MIT
"""The guest's serial line: every line stamped on arrival, kept in a file, and waited for with a deadline."""
import os
import queue
import re
import threading
import time
from pathlib import Path

MAX_LOG = 16 << 20  # bytes kept of a guest that will not stop talking
_ESCAPES = re.compile(rb"\x1b\[[0-9;?=]*[A-Za-z]")


class SerialReader(threading.Thread):
    """Reads until the other end closes; lines are (host time, text)."""

    def __init__(self, fd: int, log: Path):
        super().__init__(daemon=True)
        self._fd = fd
        self._log = log
        self.lines: list[tuple[float, str]] = []
        self._queue: queue.Queue = queue.Queue()
        self.closed = False  # the other end is gone and every line has been waited through

    def run(self) -> None:
        """Thread body."""
        rest, kept = b"", 0
        with self._log.open("wb") as log:
            while True:
                try:
                    data = os.read(self._fd, 65536)
                except OSError:
                    data = b""
                now = time.time()
                if not data:
                    self._queue.put(None)
                    return
                if kept < MAX_LOG:
                    log.write(data)
                    log.flush()
                    kept += len(data)
                parts = (rest + data).split(b"\n")
                rest = parts.pop()[-4096:]
                for part in parts:
                    text = _ESCAPES.sub(b"", part).decode(errors="replace").strip("\r\0 ")
                    self._queue.put((now, text))

    def wait(self, patterns: dict[str, str], seconds: float) -> tuple[str, re.Match, float] | None:
        """Returns (name, match, time) of the first line that matches; None at the deadline or the end."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            try:
                item = self._queue.get(timeout=left)
            except queue.Empty:
                return None
            if item is None:
                self._queue.put(None)  # the next wait must see the end too
                self.closed = True
                return None
            self.lines.append(item)
            for name, pattern in patterns.items():
                found = re.search(pattern, item[1])
                if found:
                    return name, found, item[0]

    def texts(self, prefix: str) -> list[str]:
        """Returns what followed a marker such as "LAB: " in the lines waited through so far."""
        return [text.split(prefix, 1)[1] for _, text in self.lines if prefix in text]

# SPDX-License-Identifier: MIT
"""Registers of the held machine, read and written by physical address through QEMU's debugger stub.

The stub is spoken to over an inherited socket, and only in its physical-memory mode: what is written goes to the
device as if a processor had written it, width and all (GDB remote protocol, packets m, M and Qqemu.PhyMemMode).
"""
import select
import socket
import time

from .paths import LabError

ANSWER_S = 20


class Physical:
    """A debugger that knows two things: reading and writing physical addresses."""

    def __init__(self, sock: socket.socket):
        self._sock = sock
        self._data = b""
        self._ask(b"QStartNoAckMode", acknowledged=True)
        if self._ask(b"Qqemu.PhyMemMode:1") != b"OK":
            raise LabError("QEMU's debugger stub knows no physical-memory mode")

    def read(self, address: int, width: int) -> int:
        """Returns a register of 4 or 8 bytes."""
        answer = self._ask(b"m%x,%x" % (address, width))
        try:
            return int.from_bytes(bytes.fromhex(answer.decode()), "little")
        except ValueError:
            raise LabError(f"reading 0x{address:x}: QEMU's debugger stub said {answer!r}") from None

    def write(self, address: int, width: int, value: int) -> None:
        """Writes a register of 4 or 8 bytes."""
        data = value.to_bytes(width, "little").hex().encode()
        answer = self._ask(b"M%x,%x:%s" % (address, width, data))
        if answer != b"OK":
            raise LabError(f"writing 0x{address:x}: QEMU's debugger stub said {answer!r}")

    def _ask(self, text: bytes, acknowledged: bool = False) -> bytes:
        self._sock.sendall(b"$%s#%02x" % (text, sum(text) & 0xFF))
        deadline = time.monotonic() + ANSWER_S
        while True:
            answer = self._packet(deadline)
            if not answer.startswith(b"T"):  # that would be news of a stop
                break
        if acknowledged:
            self._sock.sendall(b"+")
        return answer

    def _packet(self, deadline: float) -> bytes:
        while True:
            start = self._data.find(b"$")
            end = self._data.find(b"#", start)
            if 0 <= start < end and len(self._data) >= end + 3:
                answer = self._data[start + 1 : end]
                self._data = self._data[end + 3 :]
                return answer
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._sock], [], [], left)[0]:
                raise LabError("QEMU's debugger stub does not answer")
            data = self._sock.recv(65536)
            if not data:
                raise LabError("QEMU ended while registers were written")
            self._data += data

# SPDX-License-Identifier: MIT
"""One QEMU process: its memory, its monitor, its serial line and its trace, all over inherited descriptors.

No path and no port is shared with anything else on the machine, and nothing is left behind when it dies.
"""
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

from .paths import LabError
from .physical import Physical

FOUR_GIB = 1 << 32
CHUNK = 4 << 20
Q35_LOW_MAX = 0x80000000  # QEMU's q35 puts at most this much below 4 GiB once memory reaches 2.75 GiB
FIRMWARE_OVMF = ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")
REFUSED = "guest_errors"  # QEMU's log of accesses that hit nothing
DEVICES = {
    "hda": ["-audiodev", "none,id=a0", "-device", "intel-hda,id=hda", "-device", "hda-duplex,audiodev=a0"],
    "rtl8139": ["-netdev", "dgram,id=n0,local.type=fd,local.str={net0}", "-device", "rtl8139,id=rtl8139,netdev=n0,romfile="],
    "e1000e": ["-netdev", "dgram,id=n1,local.type=fd,local.str={net1}", "-device", "e1000e,id=e1000e,netdev=n1,romfile="],
    "ats": ["-device", "pcie-root-port,id=ats,chassis=7", "-netdev", "dgram,id=n2,local.type=fd,local.str={net2}",
            "-device", "virtio-net-pci,bus=ats,netdev=n2,ats=on,iommu_platform=on,disable-legacy=on,romfile="],
    "nvme": ["-drive", "if=none,id=nv0,format=raw,file={nvme},cache=unsafe,throttling.bps-read=20000",
             "-device", "nvme,drive=nv0,serial=lab"],
    "vmcoreinfo": ["-device", "vmcoreinfo"],  # lets QEMU's own dumps carry the kernel's VMCOREINFO
    "uhci": ["-device", "piix3-usb-uhci,id=uhci", "-device", "usb-tablet,bus=uhci.0"],
    "ehci": ["-device", "usb-ehci,id=ehci", "-device", "usb-mouse,bus=ehci.0"],
}


def memory_bytes(text: str) -> int:
    """Returns "2G" or "512M" in bytes."""
    return int(text[:-1]) << {"G": 30, "M": 20}[text[-1]]


class GuestMemory:
    """Guest RAM as an anonymous file: QEMU maps it shared, the runner reads it. Addresses are guest-physical."""

    def __init__(self, size: int):
        self.size = size
        self.fd = os.memfd_create("guest-ram")
        os.truncate(self.fd, size)
        self.low = size if size < 0xB0000000 else Q35_LOW_MAX

    def ranges(self) -> list[tuple[int, int, int]]:
        """Returns (first address, end address, offset in the file) of each piece of RAM."""
        pieces = [(0, self.low, 0)]
        if self.size > self.low:
            pieces.append((FOUR_GIB, FOUR_GIB + self.size - self.low, self.low))
        return pieces

    def read(self, address: int, length: int) -> bytes | None:
        """Returns guest memory, or None when the range is not all RAM."""
        for start, end, offset in self.ranges():
            if start <= address and address + length <= end:
                return os.pread(self.fd, length, offset + address - start)
        return None

    def write(self, address: int, data: bytes) -> None:
        """Changes guest memory; the machine must be held."""
        for start, end, offset in self.ranges():
            if start <= address and address + len(data) <= end:
                os.pwrite(self.fd, data, offset + address - start)
                return
        raise LabError(f"0x{address:x} is not guest memory")

    def extents(self) -> list[tuple[int, int]]:
        """Returns the (start, end) file ranges that hold data: untouched guest memory stays untouched."""
        found, at = [], 0
        while at < self.size:
            try:
                start = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                break
            at = os.lseek(self.fd, start, os.SEEK_HOLE)
            found.append((start, at))
        return found

    def _untouched(self, at: int, length: int) -> bool:
        """Tells whether a range of the file is all hole, that is, reads as zeros."""
        try:
            return os.lseek(self.fd, at, os.SEEK_DATA) >= at + length
        except OSError:
            return True

    def copy(self) -> "GuestMemory":
        """Returns a private copy of what the guest has touched. The machine must be paused."""
        twin = GuestMemory(self.size)
        for start, end in self.extents():
            for at in range(start, end, CHUNK):
                os.pwrite(twin.fd, os.pread(self.fd, min(CHUNK, end - at), at), at)
        return twin

    def changed_pages(self, before: "GuestMemory", spans: list[tuple[int, int]]) -> list[int]:
        """Returns the guest-physical pages within spans (start, end) that differ from an earlier copy."""
        found = []
        for span_start, span_end in spans:
            for start, end, offset in self.ranges():
                first, last = max(start, span_start), min(end, span_end)
                for at in range(first, last, CHUNK):
                    length = min(CHUNK, last - at)
                    here = at - start + offset
                    if self._untouched(here, length) and before._untouched(here, length):
                        continue
                    old, new = os.pread(before.fd, length, here), os.pread(self.fd, length, here)
                    if old == new:
                        continue
                    found += [at + n for n in range(0, length, 4096) if old[n : n + 4096] != new[n : n + 4096]]
        return found

    def close(self) -> None:
        """Gives the memory back once QEMU is gone too."""
        os.close(self.fd)


class Machine:
    """A running QEMU. Every wait has a deadline; close() always leaves no process behind."""

    def __init__(self, argv: list[str], memory: GuestMemory, log: Path, nets: int, environment: dict[str, str]):
        self.memory = memory
        self.net = []
        self._qmp, qmp = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._gdb, gdb = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        theirs = [qmp, gdb]
        for _ in range(nets):
            a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            a.setblocking(False)
            self.net.append(a)
            theirs.append(b)
        self.trace_fd, trace_w = os.pipe()
        # A pipe, not a socket: a socket is full after some 270 single characters, and then the UART stalls.
        self.serial_fd, serial_w = os.pipe()
        fcntl.fcntl(serial_w, fcntl.F_SETPIPE_SZ, 1 << 20)
        fds = {"qmp": qmp.fileno(), "gdb": gdb.fileno(), "serial": serial_w, "trace": trace_w, "ram": memory.fd}
        fds.update({f"net{n}": s.fileno() for n, s in enumerate(theirs[2:])})
        argv = [_fill(a, fds) for a in argv]
        self._log = log
        try:
            with log.open("wb") as err:
                self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                                pass_fds=list(fds.values()), env={**os.environ, **environment})
        except FileNotFoundError:
            raise LabError(f"{argv[0]} is not installed") from None
        finally:
            os.close(trace_w)
            os.close(serial_w)
            for s in theirs:
                s.close()
        self._pending = b""
        self._qmp_ready = False
        self.version = ""  # known once the monitor was spoken to
        self._physical: Physical | None = None

    def ended(self) -> bool:
        """Tells whether QEMU is gone; waits a moment, since its lines close before the process is reaped."""
        try:
            self.process.wait(timeout=1)
            return True
        except subprocess.TimeoutExpired:
            return False

    def last_words(self) -> str:
        """Returns the last line QEMU itself printed."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"no message, status {self.process.poll()}"

    def _message(self, deadline: float) -> dict:
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._qmp], [], [], left)[0]:
                raise LabError("QEMU's monitor does not answer")
            try:
                data = self._qmp.recv(65536)
            except OSError:
                data = b""
            if not data:
                raise LabError(f"QEMU ended early: {self.last_words()}")
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        return json.loads(line)

    def qmp(self, command: str, timeout: float = 60, **arguments) -> object:
        """Sends one monitor command and returns what it answers."""
        deadline = time.monotonic() + timeout
        if not self._qmp_ready:
            version = self._message(deadline)["QMP"]["version"]["qemu"]
            self.version = f"{version['major']}.{version['minor']}"
            self._qmp_ready = True
            self.qmp("qmp_capabilities", timeout)
        request: dict = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._qmp.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise LabError(f"QEMU ended early: {self.last_words()}") from None
        while True:
            answer = self._message(deadline)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise LabError(f"QEMU refused {command}: {answer['error'].get('desc')}")

    def stream(self, name: str, on: bool) -> None:
        """Switches one of the streams that may storm: a trace event, or the log of refused accesses."""
        if name == REFUSED:
            self.qmp("human-monitor-command", **{"command-line": "log guest_errors" if on else "log none"})
        else:
            self.qmp("trace-event-set-state", name=name, enable=on)

    def registers(self, base: int, wanted: dict[str, tuple[int, str]]) -> dict[str, int]:
        """Returns registers by name; wanted: name -> (offset, "w" or "g" for 4 or 8 bytes). Only reads."""
        out = {}
        for name, (offset, width) in wanted.items():
            said = self.qmp("human-monitor-command", **{"command-line": f"xp /1{width}x 0x{base + offset:x}"})
            out[name] = int(str(said).split(":", 1)[1], 16)
        return out

    def physical(self) -> Physical:
        """Returns a way to the registers of the held machine; asking for it holds the machine."""
        if self._physical is None:
            self.qmp("human-monitor-command", **{"command-line": "gdbserver chardev:gdb"})
            self._physical = Physical(self._gdb)
        return self._physical

    def hold(self, way: str) -> None:
        """Stops the machine. The monitor's stop first finishes outstanding block I/O; a signal does not."""
        if way == "monitor":
            self.qmp("stop")
            return
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT | os.WEXITED)

    def let_go(self, way: str) -> None:
        """Lets a held machine run on."""
        if way == "monitor":
            self.qmp("cont")
        else:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kills this QEMU, and only it, and waits for its end; what it wrote can still be read."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)

    def close(self) -> None:
        """Gives back the descriptors; nobody may read from them any more."""
        for s in (self._qmp, self._gdb, *self.net):
            s.close()
        os.close(self.trace_fd)
        os.close(self.serial_fd)


def _fill(text: str, fds: dict[str, int]) -> str:
    for name, fd in fds.items():
        text = text.replace("{" + name + "}", str(fd))
    return text

# SPDX-License-Identifier: MIT
"""QEMU from outside: its gdb stub and its monitor, over UNIX sockets."""
import json
import socket
import struct
import subprocess
import time

SIGTRAP_STOPS = (b"T05", b"S05")


class Lost(Exception):
    """QEMU does not answer, or not as expected."""


def connect(path, process, seconds=20):
    """A connection to a socket that QEMU is about to make."""
    end = time.monotonic() + seconds
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
            return link
        except OSError:
            link.close()
            if process.poll() is not None or time.monotonic() > end:
                raise Lost(f"no connection to {path}; QEMU's status is {process.poll()}") from None
            time.sleep(0.01)


class Gdb:
    """The remote protocol, as far as it is needed: registers, memory, breakpoints, go and step."""
    NAMES = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
             "r15", "rip", "eflags")

    def __init__(self, link):
        self.link = link
        self.buffer = b""
        link.settimeout(20)
        # QEMU answers for single registers only after it was asked for their description.
        self.ask(b"qSupported:xmlRegisters=i386")
        self.ask(b"qXfer:features:read:target.xml:0,fff")

    def _send(self, body):
        self.link.sendall(b"$" + body + b"#%02x" % (sum(body) & 255))

    def _receive(self, seconds):
        end = time.monotonic() + seconds
        while True:
            start = self.buffer.find(b"$")
            stop = self.buffer.find(b"#", start)
            if start >= 0 and 0 <= stop <= len(self.buffer) - 3:
                body = self.buffer[start + 1:stop]
                self.buffer = self.buffer[stop + 3:]
                self.link.sendall(b"+")
                return body
            left = end - time.monotonic()
            if left <= 0:
                raise Lost("gdb stub: no answer")
            self.link.settimeout(left)
            try:
                more = self.link.recv(65536)
            except socket.timeout:
                raise Lost("gdb stub: no answer") from None
            if not more:
                raise Lost("gdb stub: closed")
            self.buffer += more

    def ask(self, body):
        self._send(body)
        return self._receive(20)

    def get(self, name):
        answer = self.ask(b"p%x" % self.NAMES.index(name))
        raw = bytes.fromhex(answer.decode())
        return int.from_bytes(raw, "little")

    def set(self, name, value):
        size = 4 if name == "eflags" else 8
        raw = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        self._good(self.ask(b"P%x=%s" % (self.NAMES.index(name), raw.hex().encode())))

    def read(self, address, size):
        return bytes.fromhex(self.ask(b"m%x,%x" % (address, size)).decode())

    def write(self, address, data):
        self._good(self.ask(b"M%x,%x:%s" % (address, len(data), data.hex().encode())))

    @staticmethod
    def _good(answer):
        if answer != b"OK":
            raise Lost(f"gdb stub says {answer!r}")

    def break_at(self, address):
        self._good(self.ask(b"Z0,%x,1" % address))

    def unbreak(self, address):
        self._good(self.ask(b"z0,%x,1" % address))

    def go(self, seconds):
        """Lets the machine run until it stops at a breakpoint; returns rip. It stands when there is none in time."""
        self._send(b"c")
        return self._stopped(seconds)

    def step(self):
        self._send(b"s")
        return self._stopped(20)

    def _stopped(self, seconds):
        try:
            answer = self._receive(seconds)
        except Lost:
            self.link.sendall(b"\x03")
            self._receive(20)
            return None
        if not answer.startswith(SIGTRAP_STOPS):
            raise Lost(f"gdb stub says {answer!r}")
        return self.get("rip")


class Qmp:
    """The monitor."""

    def __init__(self, link):
        self.file = link.makefile("rw", encoding="utf-8")
        link.settimeout(20)
        self.events = []
        self.file.readline()
        self.call("qmp_capabilities")

    def _next(self):
        line = self.file.readline()
        if not line:
            raise Lost("monitor: closed")
        return json.loads(line)

    def call(self, name, **arguments):
        self.file.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = self._next()
            if "event" in answer:
                self.events.append(answer["event"])
            elif "error" in answer:
                raise Lost(f"monitor: {answer['error']}")
            else:
                return answer["return"]

    def reset(self):
        """Resets the machine and waits until that is done."""
        self.events.clear()
        self.call("system_reset")
        while "RESET" not in self.events:
            answer = self._next()
            if "event" in answer:
                self.events.append(answer["event"])


class Qemu:
    """A machine that stands still at its reset vector. ram: file that is its memory."""

    def __init__(self, folder, rom, ram, size, devices=(), cpu="max", trace="vtd_dmar_enable"):
        self.console = folder / "console"
        self.trace = folder / "trace"
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-M", "q35,kernel-irqchip=off,memory-backend=ram,hpet=off", "-cpu", cpu,
            "-m", str(size >> 20), "-object", f"memory-backend-file,id=ram,size={size},mem-path={ram},share=on",
            "-bios", str(rom), "-nodefaults", "-display", "none", "-no-user-config", "-S",
            "-serial", f"file:{self.console}", "-trace", f"enable={trace}", "-D", str(self.trace),
            "-chardev", f"socket,id=gdb,path={folder}/gdb,server=on,wait=off", "-gdb", "chardev:gdb",
            "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        for device in devices:
            command += ["-device", device]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            self.qmp = Qmp(connect(folder / "qmp", self.process))
            self.gdb = Gdb(connect(folder / "gdb", self.process))
        except BaseException:
            self.close()
            raise

    def close(self):
        self.process.kill()
        self.process.wait()


def words(data, count, size=8):
    """Little-endian numbers at the start of data."""
    return struct.unpack_from(f"<{count}{'Q' if size == 8 else 'I'}", data)

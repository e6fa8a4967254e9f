# SPDX-License-Identifier: MIT
"""One crash from power-on to the end of the dump. Drives the machine; leaves the figures to measure.py."""
import fcntl
import os
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import assets, dump, guest, kinds, packages
from .paths import RUNS, LabError
from .pcie import ats_enabled
from .plant import plant
from .planter import Planted, requester_ids
from .qemu import DEVICES, FIRMWARE_OVMF, GuestMemory, Machine, memory_bytes
from .scenarios import Scenario
from .serial import SerialReader
from .storm import TICK_S, StormGuard
from .trace import TraceReader

# no_timer_check: the check wants 4 timer ticks within 60 ms of real time, which a busy host cannot promise to a
# processor emulated in software; where there is KVM, Linux skips it by itself.
COMMON = "console=ttyS0,115200 printk.devkmsg=on no_timer_check"
SETTLE_S = 0.4  # the other processors run on for a moment after the panic line
LIMIT_S = {"boot": 180, "load": 120, "dma": 60, "panic": 30, "hand-over": 90, "dump": 180}
FRAMES_PER_S = 20
MAX_FRAMES = 20 * 600
FIRST_LINES = r"early console in|\bLinux version "  # of the capture kernel
DISK_WAYS = {  # how the disk that takes the dump goes about it: past the IOMMU, or through it
    "direct": "virtio-blk-pci,id=dump,drive=dump",
    "iommu": "virtio-blk-pci,id=dump,drive=dump,iommu_platform=on,disable-legacy=on",
    "nvme": "nvme,id=dump,drive=dump,serial=dump",
}
END_LINES = {"crash": dump.PANIC_LINE, "ordinary": r"Starting new kernel"}
UNEXPECTED = {"failed": r"LAB: failed: (.*)", "panic": r"Kernel panic - not syncing: (.*)"}


@dataclass
class Record:
    """What was seen of one crash. Times are host seconds; None where the moment never came."""

    folder: Path
    panic: float | None = None
    stage_meets: float | None = None  # the unit is as the stage meets it: at the panic, or when it has been broken
    first_line: float | None = None  # of the capture kernel
    hand_over: float | None = None  # moment of the first picture
    hand_over_text: str = ""
    end: float | None = None
    guest_status: int | None = None
    problem: str = ""
    paused: list[tuple[float, float]] = field(default_factory=list)
    before: GuestMemory | None = None
    after: GuestMemory | None = None
    lines: list[tuple[float, str]] = field(default_factory=list)
    trace: TraceReader | None = None
    planted: Planted | None = None
    registers: dict[str, int] = field(default_factory=dict)  # of the IOMMU, at hand-over
    qemu: str = ""  # its version
    rids: dict[str, int] = field(default_factory=dict)  # requester ids by QEMU's ids of the devices
    ats_on: list[str] | None = None  # functions with ATS on at the hand-over; None where nobody looked
    sampled: list[str] = field(default_factory=list)  # trace streams that stormed and were heard in parts

    def close(self) -> None:
        """Gives back the pictures of memory."""
        for memory in (self.before, self.after):
            if memory:
                memory.close()


class Traffic(threading.Thread):
    """Sends a bounded number of small frames, all different, to each of the guest's network cards."""

    def __init__(self, sockets: list[socket.socket]):
        super().__init__(daemon=True)
        self._sockets = sockets
        self.stop = threading.Event()

    def run(self) -> None:
        """Thread body."""
        for number in range(MAX_FRAMES):
            if self.stop.wait(1 / FRAMES_PER_S):
                return
            for sock in self._sockets:
                try:
                    sock.send(_frame(number))
                except OSError:
                    pass  # the guest is paused or gone, and a lost frame is what networks do


def _frame(number: int) -> bytes:
    """Returns an Ethernet broadcast frame with a UDP datagram to the discard port (RFC 768, 791, 863)."""
    payload = b"LEFTOVER DMA %08d " % number * 20
    udp = b"\0\x09\0\x09" + (8 + len(payload)).to_bytes(2, "big") + b"\0\0" + payload
    address = b"\x0a\0\2\1" + b"\xff\xff\xff\xff"
    head = bytearray(b"\x45\0" + (20 + len(udp)).to_bytes(2, "big") + b"\0\0\0\0\x40\x11\0\0" + address)
    total = sum(int.from_bytes(head[n : n + 2], "big") for n in range(0, 20, 2))
    head[10:12] = (~(total % 0xFFFF) & 0xFFFF).to_bytes(2, "big")
    return b"\xff" * 6 + b"\x52\x54\0\0\0\1" + b"\x08\0" + bytes(head) + udp


def _firmware(scenario: Scenario, folder: Path) -> list[str]:
    if scenario.firmware == "seabios":
        return []
    code, variables = FIRMWARE_OVMF
    if not os.path.exists(code):
        raise LabError(f"{code} is missing: install ovmf")
    own = folder / "vars.fd"
    shutil.copyfile(variables, own)
    return ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
            "-drive", f"if=pflash,format=raw,unit=1,file={own}"]


def _nvme_disk(folder: Path) -> Path:
    path = folder / "nvme.img"
    path.write_bytes(bytes(n * 167 + 13 & 0xFF for n in range(4096)) * 2048)  # 8 MiB, no page of zeros
    return path


def _arguments(scenario: Scenario, vmlinuz: Path, folder: Path) -> list[str]:
    """Returns what describes the machine; the program comes before it."""
    cpu = "max" if scenario.la57 else "max,la57=off"
    cpu += f",{scenario.cpu_options}" if scenario.cpu_options else ""
    line = f"{COMMON} crashkernel={scenario.crashkernel} {scenario.primary}"
    ram = f"memory-backend-file,id=ram,size={scenario.memory},mem-path=/proc/self/fd/{{ram}},share=on"
    argv = ["-machine", "q35,memory-backend=ram", "-accel", "tcg,thread=multi",
            "-cpu", cpu, "-smp", "2", "-m", scenario.memory, "-object", ram,
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-no-shutdown",
            "-chardev", "socket,id=qmp,fd={qmp}", "-mon", "chardev=qmp,mode=control",
            "-chardev", "socket,id=gdb,fd={gdb}",  # nobody listens until registers are to be written
            "-chardev", "file,id=ser,path=/proc/self/fd/{serial}", "-serial", "chardev:ser",
            "-D", "/proc/self/fd/{trace}", "-msg", "timestamp=on"]
    for event in kinds.of(scenario.iommu).EVENTS:
        argv += ["-trace", f"enable={event}"]
    argv += _firmware(scenario, folder)
    argv += ["-kernel", str(vmlinuz), "-initrd", str(folder / "initrd"), "-append", line]
    if scenario.iommu:
        argv += ["-device", scenario.iommu]  # before every other device: they look for it when they are made
    argv += ["-drive", f"if=none,id=dump,format=raw,file={folder / 'disk'},cache=unsafe",
             "-device", DISK_WAYS[scenario.disk]]
    for device in scenario.devices:
        argv += [a.replace("{nvme}", str(folder / "nvme.img")) for a in DEVICES[device]]
    return argv


def _capture_line(scenario: Scenario) -> str:
    line = scenario.capture
    if scenario.way == "ordinary":
        line += " lab.ordinary"
    if scenario.disk == "nvme":
        line += " lab.nvme"
    if scenario.dump == "whole":
        line += " lab.whole"
    if scenario.cofferdam and scenario.broken != "block":
        line += f" cofferdam.broken={scenario.broken}"
    return line


@contextmanager
def alone(scenario: Scenario):
    """Holds a scenario for this process: two runs in one folder would spoil each other."""
    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / f"{scenario.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError(f"{scenario.name} is being run by another process") from None
        yield


def prepare(scenario: Scenario) -> tuple[Path, list[str]]:
    """Makes everything a run needs; returns its folder and QEMU's command line."""
    folder = RUNS / scenario.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kern = assets.kernel(scenario.kernel)
    capture = assets.kernel(scenario.capture_kernel) if scenario.capture_kernel else kern
    image = capture.vmlinuz
    if scenario.cofferdam:
        image = folder / "wrapped"
        assets.wrap(capture.vmlinuz, image, ["--policy", scenario.policy, *scenario.wrap.split()])
    modules = kern.tree.order([m for d in scenario.devices for m in assets.PRIMARY_MODULES[d]])
    loader = {"kexec_load": "-c", "kexec_file_load": "-s"}[scenario.loader]
    conf = {
        "PRIMARY_MODULES": " ".join(modules),
        "WAY": scenario.way,
        "KEXEC_FLAGS": f"{loader} {scenario.kexec_options}".strip(),
        "CAPTURE_CMDLINE": f"{COMMON} earlyprintk=ttyS0,115200 {_capture_line(scenario)}",
        "DEVICES": " ".join(scenario.devices),
        "DMA_SECONDS": str(scenario.dma_seconds),
    }
    assets.primary_initrd(kern, folder / "initrd", image, capture, conf)
    dump.make_disk(folder / "disk")
    if "nvme" in scenario.devices:
        _nvme_disk(folder)
    argv = packages.qemu(scenario.qemu)[0] + _arguments(scenario, kern.vmlinuz, folder)
    (folder / "qemu.cmd").write_text(" ".join(argv) + "\n")
    return folder, argv


class Crash:
    """Follows one machine along its serial line."""

    def __init__(self, scenario: Scenario, folder: Path, argv: list[str], progress, at_hand_over=None):
        """at_hand_over(machine) is called with the machine held at the hand-over, once its picture is taken."""
        self.scenario, self.argv, self.progress, self.at_hand_over = scenario, argv, progress, at_hand_over
        self.record = Record(folder)
        self.kind = kinds.of(scenario.iommu)
        self.serial: SerialReader | None = None
        self.guard: StormGuard | None = None
        self._since = 0.0  # when the machine was held last

    def run(self) -> Record:
        """Returns the record; raises LabError when the machine never came as far as the crash."""
        memory = GuestMemory(memory_bytes(self.scenario.memory))
        machine, traffic = None, None
        try:
            nets = sum("netdev" in a for d in self.scenario.devices for a in DEVICES[d] if a == "-netdev")
            machine = Machine(self.argv, memory, self.record.folder / "qemu.log", 3 if nets else 0,
                              packages.qemu(self.scenario.qemu)[1])
            self.record.trace = TraceReader(machine.trace_fd, self.kind)
            self.record.trace.start()
            self.serial = SerialReader(machine.serial_fd, self.record.folder / "serial.log")
            self.serial.start()
            traffic = Traffic(machine.net)
            traffic.start()
            self._to_the_crash(machine)
            self._to_the_dump(machine)
        finally:
            if traffic:
                traffic.stop.set()
                traffic.join()
            if machine:
                machine.kill()
                for reader in (self.record.trace, self.serial):
                    if reader:
                        reader.join()  # they end when they have read all that QEMU wrote
                machine.close()
            memory.close()
        self.record.lines = self.serial.lines
        self.record.sampled = sorted(self.guard.sampled)
        return self.record

    def _must(self, machine: Machine, stage: str, pattern: str):
        """Waits for a line that has to come; says in one line what came, or did not come, in its place."""
        got = self.serial.wait({"wanted": pattern, **UNEXPECTED}, LIMIT_S[stage])
        if got and got[0] == "wanted":
            return got
        log = self.record.folder / "serial.log"
        if got:
            how = "gave up" if got[0] == "failed" else "panicked"
            raise LabError(f"{stage}: the first kernel {how}: {got[1].group(1)} ({log})")
        if machine.ended():
            raise LabError(f"{stage}: QEMU ended: {machine.last_words()} ({log})")
        raise LabError(f"{stage}: nothing within {LIMIT_S[stage]} s ({log})")

    def _to_the_crash(self, machine: Machine) -> None:
        self.progress("booting the first kernel")
        self._must(machine, "boot", r"LAB: primary up")
        self.progress("loading the capture kernel with kexec -p")
        self._must(machine, "load", r"LAB: loaded")
        self._must(machine, "dma", r"LAB: dma running")
        self._unit(machine)
        self.progress("devices are doing DMA; crashing")
        self._must(machine, "dma", r"LAB: crash now")
        self.guard = StormGuard(machine, self.record.trace, self.kind)
        self.record.rids = requester_ids(machine)
        self.record.qemu = machine.version
        self.record.panic = self._must(machine, "panic", END_LINES[self.scenario.way])[2]
        self.record.stage_meets = self.record.panic
        if self.scenario.plant:
            self._plant(machine)

    def _plant(self, machine: Machine) -> None:
        """Holds the machine once the other processors have stopped, and breaks what the scenario names."""
        self._settle()
        self._held(machine, True)
        late = self.serial.wait({"stage": r"cofferdam: ", "kernel": FIRST_LINES}, 0.1)
        if late:
            raise LabError(f"the {late[0]} was faster than the planter")
        texts = [text for _, text in self.serial.lines]
        planter = self.kind.planter(machine, machine.physical(), machine.memory, self.kind.rules(texts, guest.known(texts)),
                                    guest.crash_region(texts), guest.system_ram(texts),
                                    lambda seconds: self._run_for(machine, seconds))
        self.record.planted = plant(self.scenario.plant, planter)
        self._unit(machine)
        self.record.stage_meets = time.time()
        self.progress(f"planted {self.scenario.plant}")
        self._held(machine, False)

    def _held(self, machine: Machine, on: bool) -> None:
        if on:
            self._since = time.time()
            machine.hold("monitor")
        else:
            machine.let_go("monitor")
            self.record.paused.append((self._since, time.time()))

    def _run_for(self, machine: Machine, seconds: float) -> None:
        self._held(machine, False)
        time.sleep(seconds)
        self._held(machine, True)

    def _to_the_dump(self, machine: Machine) -> None:
        """From here on nothing raises for what the guest does: a capture kernel that dies is a result."""
        record = self.record
        if not self._hand_over():
            return
        self._settle()
        if "ats" in self.scenario.devices:
            self._held(machine, True)
            record.ats_on = ats_enabled(machine.physical())
            self._held(machine, False)
        record.before = self._picture(machine)
        record.hand_over = record.paused[-1][0]
        self.progress("hand-over; picture of memory taken; the capture kernel dumps")
        patterns = {"ends": r"LAB: (?:dump ends|next kernel up) (\d+)", **UNEXPECTED}
        got = self._wait({"first": r"\bLinux version ", **patterns}, LIMIT_S["dump"])
        if got and got[0] == "first":
            record.first_line = got[2]
            got = self._wait(patterns, LIMIT_S["dump"])
        record.end = got[2] if got else time.time()
        if got and got[0] == "ends":
            record.guest_status = int(got[1].group(1))
        elif got:
            record.problem = f"the capture kernel failed: {got[1].group(1)}"
        else:
            record.problem = f"no dump within {LIMIT_S['dump']} s of the hand-over"
        if record.guest_status is None and machine.ended():
            record.problem = f"QEMU ended early: {machine.last_words()}"
        else:
            record.after = self._picture(machine)

    def _wait(self, patterns: dict[str, str], seconds: float):
        """Waits as serial.wait does, with an eye on trace storms."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.serial.closed:
            got = self.serial.wait(patterns, TICK_S)
            if got:
                return got
            self.guard.tick()
        return None

    def _hand_over(self) -> bool:
        """Waits for the moment of the first picture: the stage's last line, or else the capture kernel's first."""
        patterns = {"kernel": FIRST_LINES}
        if self.scenario.cofferdam:
            patterns["stage"] = r"cofferdam: hand-over: (.*)"
        got = self._wait(patterns, LIMIT_S["hand-over"])
        if got is None:
            self.record.problem = f"nothing on the console within {LIMIT_S['hand-over']} s of the panic"
            self.record.end = time.time()
            return False
        if got[0] == "stage":
            self.record.hand_over_text = got[1].group(1)
        else:
            self.record.first_line = got[2]
        return True

    def _settle(self) -> None:
        left = self.record.panic + SETTLE_S - time.time()
        if left > 0:
            time.sleep(left)

    def _unit(self, machine: Machine) -> dict[str, int]:
        """Reads the unit's registers, and remembers the root pointer if they tell it."""
        if not self.scenario.iommu:
            return {}
        registers = machine.registers(self.kind.UNIT, self.kind.REGISTERS)
        self.record.trace.root_is(time.time(), self.kind.pointer(registers))
        return registers

    def _picture(self, machine: Machine) -> GuestMemory:
        """Pauses the machine, copies its memory, lets it run on; the pause is not counted in any figure."""
        if self.record.before is None:
            self.record.registers = self._unit(machine)  # before a signal makes the monitor deaf
        start = time.time()
        machine.hold(self.scenario.pause)
        copy = machine.memory.copy()
        if self.record.before is None:
            if self.at_hand_over:
                self.at_hand_over(machine)
            machine.let_go(self.scenario.pause)
        self.record.paused.append((start, time.time()))
        return copy

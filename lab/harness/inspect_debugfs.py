# SPDX-License-Identifier: MIT
"""What a running kernel itself says of its tables, held against `ranges --debugfs` over a dump of the same machine.

Debian's kernels do not offer it (# CONFIG_IOMMU_DEBUGFS is not set), so this wants a kernel image of one's own, with
CONFIG_INTEL_IOMMU_DEBUGFS=y, a serial console, an initramfs and the drivers built in.
"""
import shutil
from pathlib import Path

from . import cpio, kinds
from .ask import run
from .crash import COMMON
from .packages import unpacked
from .paths import GUEST, RUNS, TOOL, LabError
from .qemu import DEVICES, GuestMemory, Machine, memory_bytes
from .serial import SerialReader
from .trace import TraceReader

MEMORY = "512M"
GUESTS = {
    "debugfs-legacy": ("intel-iommu,intremap=on,aw-bits=48", "intel_iommu=on"),
    "debugfs-39": ("intel-iommu,intremap=on,aw-bits=39", "intel_iommu=on,strict"),
    "debugfs-second": ("intel-iommu,intremap=on,aw-bits=48,x-scalable-mode=on", "intel_iommu=on,sm_on"),
}
CARDS = ("hda", "rtl8139", "e1000e", "uhci", "ehci")
BOOT_S = 120


def _by_device(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Returns (device, lines from "Device" on) without empty lines. A kernel that goes by groups (6.1 of Debian does) names
    the first device of a group once for each of its members."""
    out: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith("Device "):
            out.append((line.split()[1], []))
        if line.strip() and out:
            out[-1][1].append(line.strip())
    return out


def _argv(image: Path, iommu: str, words: str, folder: Path) -> list[str]:
    ram = f"memory-backend-file,id=ram,size={MEMORY},mem-path=/proc/self/fd/{{ram}},share=on"
    argv = ["qemu-system-x86_64", "-machine", "q35,memory-backend=ram", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", "2", "-m", MEMORY, "-object", ram, "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-no-shutdown", "-chardev", "socket,id=qmp,fd={qmp}", "-mon", "chardev=qmp,mode=control",
            "-chardev", "file,id=ser,path=/proc/self/fd/{serial}", "-serial", "chardev:ser", "-D", "/proc/self/fd/{trace}",
            "-msg", "timestamp=on", "-trace", "enable=vtd_reg_dmar_root", "-device", iommu,
            "-kernel", str(image), "-initrd", str(folder / "initrd"), "-append", f"{COMMON} quiet {words}"]
    for card in CARDS:
        argv += DEVICES[card]
    return argv


def _boot(name: str, image: Path, folder: Path) -> tuple[list[tuple[str, list[str]]], int]:
    """Returns what debugfs said by device, and the root table; leaves a dump in the folder."""
    iommu, words = GUESTS[name]
    busybox = (unpacked("busybox-static") / "root/bin/busybox").read_bytes()
    files = {"bin/busybox": busybox, "init": (GUEST / "debugfs.sh").read_bytes(), "sys/.keep": b"", "dev/.keep": b""}
    (folder / "initrd").write_bytes(cpio.compress(cpio.archive(files, {"bin/busybox", "init"})))
    memory = GuestMemory(memory_bytes(MEMORY))
    machine = Machine(_argv(image, iommu, words, folder), memory, folder / "qemu.log", 2, {})
    try:
        trace, serial = TraceReader(machine.trace_fd, kinds.of(iommu)), SerialReader(machine.serial_fd, folder / "serial.log")
        trace.start()
        serial.start()
        got = serial.wait({"ends": r"LAB: debugfs ends", "failed": r"LAB: failed: .*|Kernel panic.*"}, BOOT_S)
        if not got or got[0] != "ends":
            raise LabError(f"{name}: {got[1].group(0) if got else 'the kernel said nothing'} ({folder / 'serial.log'})")
        machine.hold("monitor")
        machine.qmp("dump-guest-memory", 240, paging=False, protocol=f"file:{folder / 'dump'}")
    finally:
        machine.kill()
        trace.join()
        serial.join()
        machine.close()
        memory.close()
    lines = [text for _, text in serial.lines]
    start = next(n for n, text in enumerate(lines) if "LAB: debugfs begins" in text)
    return _by_device(lines[start + 1:-1]), trace.roots[-1][1]


def compare(image: Path, tap, say) -> None:
    """Boots the image under each kind of tables, and compares every device."""
    for name in GUESTS:
        folder = RUNS / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        say(f"{name}: booting")
        devices, root = _boot(name, image, folder)
        problems, rows = [], 0
        where = kinds.of(GUESTS[name][0]).root_option(root)
        for device, want in devices:
            answer = run([str(TOOL), "inspect", str(folder / "dump"), "ranges", device, "--debugfs", *where])
            got = [line for _, own in _by_device(answer.out.split("\n")) for line in own]
            rows += len(want) - 2
            if answer.status or got != want:
                odd = [pair for pair in zip(want, got) if pair[0] != pair[1]]
                problems.append(f"{device}: status {answer.status}, {len(got)} lines, {len(want)} expected {odd[:1]}")
        if rows < 100:
            problems.append(f"debugfs showed {rows} mappings only")
        tap.check(not problems, f"{name}: ranges --debugfs is what the running kernel's debugfs said: {len(devices)} devices, "
                                f"{rows} mappings")
        for line in problems[:6]:
            print(f"#   {line}", flush=True)
        (folder / "dump").unlink()

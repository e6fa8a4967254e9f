# SPDX-License-Identifier: MIT
"""What the guests are made of: Debian's kernel package, busybox, kexec-tools, makedumpfile, two init scripts.

The kernel and busybox are unpacked Debian packages (packages.py); kexec and makedumpfile are the host's own, with the
libraries they need.
"""
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import cpio
from .modules import ModuleTree
from .packages import command, newest_image, unpacked
from .paths import CACHE, GUEST, TOOL, LabError

PRIMARY_MODULES = {
    "hda": ["snd-hda-codec-generic", "snd-hda-intel"],
    "rtl8139": ["8139cp"],
    "e1000e": ["e1000e"],
    "ats": ["virtio-pci", "virtio-net"],
    "nvme": ["nvme"],
    "vmcoreinfo": ["qemu_fw_cfg"],
    "uhci": ["uhci-hcd", "usbhid", "hid-generic", "evdev"],
    "ehci": ["ehci-pci", "usbhid", "hid-generic", "evdev"],
}
CAPTURE_MODULES = ["virtio-pci", "virtio-blk"]
CAPTURE_NVME = ["nvme"]


def _libraries(binary: Path) -> list[Path]:
    text = command(["ldd", str(binary)], f"libraries of {binary}")
    if "not found" in text:
        raise LabError(f"libraries of {binary}: one is missing on this machine")
    return [Path(p) for p in re.findall(r"(/\S+) \(0x", text)]


def _host_binary(name: str) -> Path:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not found:
        raise LabError(f"{name} is not installed")
    return Path(found)


def _with_libraries(files: dict[str, bytes], name: str) -> set[str]:
    """Adds a host program and what it links to; returns the names that must be executable."""
    binary = _host_binary(name)
    wanted = {f"bin/{name}": binary}
    wanted.update({str(lib).lstrip("/"): lib for lib in _libraries(binary)})
    for target, source in wanted.items():
        files[target] = source.read_bytes()
    return set(wanted)


def _cached(parts: dict[str, bytes], executable: set[str], label: str) -> Path:
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(name.encode() + b"\0" + hashlib.sha256(parts[name]).digest())
    path = CACHE / f"{label}-{digest.hexdigest()[:16]}.img"
    if not path.exists():
        for old in CACHE.glob(f"{label}-*.img"):
            old.unlink(missing_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(cpio.compress(cpio.archive(parts, executable)))
        part.rename(path)
    return path


@dataclass
class Kernel:
    """One unpacked kernel package and the initramfs images that go with it."""

    package: str
    vmlinuz: Path
    tree: ModuleTree
    primary_image: Path
    capture_image: Path


def _stream_program() -> bytes:
    source = GUEST / "stream.c"
    out = CACHE / "stream"
    if not out.exists() or out.stat().st_mtime < source.stat().st_mtime:
        command(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-static", str(source), "-o", str(out)],
                "building the sound stream program")
    return out.read_bytes()


def _roots(package: str) -> list[Path]:
    """Returns the unpacked packages of a kernel: newer ones come in parts, and the image package is empty."""
    root = unpacked(package) / "root"
    if (root / "boot").exists():
        return [root]
    return [unpacked(package.replace("linux-image-", part, 1)) / "root"
            for part in ("linux-base-", "linux-binary-", "linux-modules-")]


def _inside(roots: list[Path], *paths: str) -> Path:
    """Returns what has one of these paths in one of the packages."""
    for found in (root / path for root in roots for path in paths):
        if found.exists():
            return found
    raise LabError(f"the kernel packages hold no {paths[0]}")


def kernel(metapackage: str) -> Kernel:
    """Returns the newest kernel behind a Debian metapackage, everything fetched, unpacked and packed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    package = newest_image(metapackage)
    version = package.partition("/")[0].removeprefix("linux-image-")
    roots = _roots(package)
    vmlinuz = _inside(roots, f"boot/vmlinuz-{version}", f"usr/lib/modules/{version}/vmlinuz")
    tree = ModuleTree([root / f"{prefix}lib/modules/{version}" for root in roots for prefix in ("", "usr/")])
    busybox = (unpacked("busybox-static") / "root/bin/busybox").read_bytes()

    capture = {"bin/busybox": busybox, "init": (GUEST / "capture.sh").read_bytes()}
    runs = {"bin/busybox", "init"} | _with_libraries(capture, "makedumpfile")
    capture_modules = tree.order(CAPTURE_MODULES)
    nvme_modules = tree.order(CAPTURE_NVME)
    for name in capture_modules + nvme_modules:
        capture[f"lib/modules/{name}"] = tree.data(name)
    capture["lab.conf"] = (f'CAPTURE_MODULES="{" ".join(capture_modules)}"\n'
                           f'NVME_MODULES="{" ".join(nvme_modules)}"\n').encode()
    capture_image = _cached(capture, runs, f"capture-{version}")

    primary = {"bin/busybox": busybox, "init": (GUEST / "primary.sh").read_bytes(), "bin/stream": _stream_program()}
    runs = {"bin/busybox", "bin/stream", "init"} | _with_libraries(primary, "kexec")
    for name in tree.order([m for wanted in PRIMARY_MODULES.values() for m in wanted]):
        primary[f"lib/modules/{name}"] = tree.data(name)
    primary_image = _cached(primary, runs, f"primary-{version}")
    return Kernel(package, vmlinuz, tree, primary_image, capture_image)


def primary_initrd(kern: Kernel, out: Path, image: Path, capture: Kernel, conf: dict[str, str]) -> None:
    """Writes a scenario's initramfs: the common archive, then one with the kernel to load, its own, and the settings."""
    lines = "".join(f'{key}="{value}"\n' for key, value in conf.items())
    own = {"boot/kernel": image.read_bytes(), "boot/capture.img": capture.capture_image.read_bytes(),
           "lab.conf": lines.encode()}
    out.write_bytes(kern.primary_image.read_bytes() + cpio.archive(own, set()))


def wrap(vmlinuz: Path, out: Path, options: list[str]) -> None:
    """Wraps the capture kernel with the tool under test."""
    if not TOOL.exists():
        raise LabError(f"{TOOL} is not there; run make first")
    command([str(TOOL), "wrap", str(vmlinuz), "-o", str(out), *options], "wrapping the capture kernel", timeout=60)

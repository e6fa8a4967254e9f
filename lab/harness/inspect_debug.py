# SPDX-License-Identifier: MIT
"""crash over the lab's dumps, with the kernel's debug information: Debian's is a package of 860 MB, so this is for --full."""
from .inspect_case import Case
from .packages import command, file_of, newest_image, unpacked
from .scenarios import Scenario

COMMANDS = "sys\nlog | tail -n 60\nquit\n"


def with_debug_information(case: Case, tap, scenario: Scenario) -> None:
    """Opens dumps of each kind with crash and its vmlinux, where Debian has the package."""
    if "/" in scenario.kernel:
        return  # one kernel will do
    package = newest_image(scenario.kernel)
    vmlinux = file_of(f"{package}-dbg", f"usr/lib/debug/boot/vmlinux-{package.removeprefix('linux-image-')}")
    program = unpacked("crash") / "root/usr/bin/crash"
    script = case.folder / "crash.cmd"
    script.write_text(COMMANDS)
    for name in ("vmcore", "d0.zlib", "d31.lzo", "d31.lzo.flat", "d31.elf", "qemu.elf", "qemu.zlib"):
        said = command([str(program), "-s", "-i", str(script), str(vmlinux), str(case.folder / name)], name, timeout=300)
        good = "sysrq triggered crash" in said and f"RELEASE: {package.removeprefix('linux-image-')}" in said
        tap.check(good, f"{case.name}: crash opens {name}, with the panic in its log")
    script.unlink()

# SPDX-License-Identifier: MIT
"""Is the dump complete, and does it hold what it must? Works on the raw disk the capture kernel wrote."""
import json
import os
import subprocess
from pathlib import Path

from . import elfcore
from .packages import command
from .paths import TOOL, LabError

PANIC_LINE = "Kernel panic - not syncing: sysrq triggered crash"
DISK_BYTES = 2 << 30  # sparse; a dump of these guests is 30 to 60 MB


def make_disk(path: Path) -> None:
    """Makes the empty dump disk."""
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)


def _take_whole(disk: Path, out: Path) -> None:
    """Copies /proc/vmcore from the disk; what is zero takes no room."""
    length = elfcore.end_of(disk)
    command(["cp", "--sparse=always", str(disk), str(out)], "copying the dump", timeout=120)
    os.truncate(out, length)


def _reassemble(disk: Path, out: Path) -> None:
    """Turns makedumpfile's flattened stream back into a dump file."""
    out.unlink(missing_ok=True)
    with disk.open("rb") as source:
        done = subprocess.run(["makedumpfile", "-R", str(out)], stdin=source, capture_output=True, timeout=120,
                              check=False)
    if done.returncode or not out.exists():
        raise LabError(f"makedumpfile -R ended with status {done.returncode}")


def examine(disk: Path, folder: Path, guest_status: int | None, whole: bool = False) -> dict:
    """Returns dump_* results and the note; never raises: what is missing is false, why is in dump_problem.

    guest_status is makedumpfile's exit status inside the guest, None when it never ended.
    """
    out: dict = {"dump_complete": False, "dump_has_panic": False, "note_readable": False, "note": None}
    if guest_status is None:
        out["dump_problem"] = "the capture kernel never finished it"
        return out
    if guest_status:
        out["dump_problem"] = f"makedumpfile failed in the guest with status {guest_status}"
        return out
    dump, dmesg = folder / "dump", folder / "dmesg.txt"
    try:
        (_take_whole if whole else _reassemble)(disk, dump)
        out["dump_bytes"] = dump.stat().st_size
        dmesg.unlink(missing_ok=True)
        command(["makedumpfile", "--dump-dmesg", str(dump), str(dmesg)], "reading the log in the dump", timeout=120)
        out["dump_complete"] = True
        out["dump_has_panic"] = PANIC_LINE in dmesg.read_text(errors="replace")
    except (LabError, OSError, subprocess.TimeoutExpired) as error:
        out["dump_problem"] = str(error)
        return out
    if TOOL.exists():
        out.update(_note(dump, folder))
    return out


def _note(dump: Path, folder: Path) -> dict:
    try:
        text = command([str(TOOL), "log", str(dump), "--json"], "reading the note", timeout=60)
        (folder / "note.json").write_text(text)
        return {"note": json.loads(text), "note_readable": True}
    except (LabError, ValueError) as error:
        return {"note_problem": str(error)}

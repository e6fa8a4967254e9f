# SPDX-License-Identifier: MIT
"""One crash, dumped in every form there is: by the capture kernel, by makedumpfile, by QEMU, as a bare picture.

What the lab saw from outside of the same crash (tables in use, accesses that QEMU translated) is kept beside the dumps, so
that they can be asked again without another crash.
"""
import json
import os
from pathlib import Path

from . import guest, kdumpfile
from .crash import SETTLE_S, Record
from .kind import Kind
from .packages import command
from .qemu import GuestMemory, Machine

QEMU_FORMATS = {"elf": "qemu.elf", "kdump-zlib": "qemu.zlib", "kdump-lzo": "qemu.lzo", "kdump-snappy": "qemu.snappy"}
QEMU_LIMIT_S = 240
LEVELS = (0, 1, 31)  # of makedumpfile -d
# Debian 12 builds makedumpfile without snappy and zstd: those come from QEMU and from kdumpfile.py.
OURS = ("snappy", "zstd")
COMPRESSIONS = {"plain": [], "zlib": ["-c"], "lzo": ["-l"], "elf": ["-E"]}
# What is made when not everything is wanted: each kind once, and what other forms are made from or told by.
FEW = ("d0.zlib", "d0.zlib.flat", "d1.plain", "d1.lzo", "d1.elf", "d31.lzo", "d31.lzo.flat", "d31.elf", "d31.elf.flat", "d31.zlib")
SEEN = "seen.json"


def by_qemu(machine: Machine, folder: Path) -> None:
    """Lets QEMU dump the held machine in each format it has (Debian's is built without lzo)."""
    known = set(machine.qmp("query-dump-guest-memory-capability")["formats"])
    for form, name in QEMU_FORMATS.items():
        if form in known:
            machine.qmp("dump-guest-memory", QEMU_LIMIT_S, paging=False, protocol=f"file:{folder / name}", format=form)


def by_makedumpfile(folder: Path, full: bool) -> None:
    """Makes makedumpfile's forms out of the whole dump, and packs one as makedumpfile cannot."""
    for name in names():
        if full or name in FEW:
            level, word, *flat = name.split(".")
            options = ["-d", level[1:], *COMPRESSIONS[word], *(["-F"] if flat else [])]
            _makedumpfile(options, folder / "vmcore", folder / name)
    source = kdumpfile.Kdump(folder / "d1.plain")
    for word in OURS:
        source.write(folder / f"w1.{word}", word)


def names() -> list[str]:
    """Returns what makedumpfile's forms are called."""
    return [f"d{level}.{word}{end}" for level in LEVELS for word in COMPRESSIONS for end in ("", ".flat")]


def _makedumpfile(options: list[str], source: Path, out: Path) -> None:
    out.unlink(missing_ok=True)
    line = ["makedumpfile", "--message-level", "4", *options, str(source)]
    if "-F" in options:
        line = ["sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", str(out), *line]
    else:
        line.append(str(out))
    command(line, f"making {out.name}", timeout=300)


def keep_picture(memory: GuestMemory, folder: Path) -> None:
    """Writes the picture of memory as a raw image; what was never touched takes no room."""
    with (folder / "picture.raw").open("wb") as out:
        out.truncate(memory.size)
        for start, end in memory.extents():
            for at in range(start, end, 4 << 20):
                os.pwrite(out.fileno(), os.pread(memory.fd, min(4 << 20, end - at), at), at)


def keep_seen(record: Record, kind: Kind, folder: Path) -> None:
    """Writes what was seen from outside: the tables that the dead kernel left, and DMA through them."""
    texts = [text for _, text in record.lines]
    latched = record.trace.root_before(record.panic)
    later = [when for when, *_ in record.trace.roots if when > record.panic]
    rules = kind.rules(texts, guest.known(texts))
    tables = kind.tables(record.before.read, latched or 0, rules)
    seen = kind.accesses(record.trace.total(record.panic + SETTLE_S, min(later, default=record.hand_over)), tables)
    out = {
        "kind": kind.DEVICE, "pointer": latched,
        "rules": {name: value for name, value in vars(rules).items() if isinstance(value, int)},
        "rids": record.rids, "map": record.before.ranges(),
        "system_ram": guest.system_ram(texts), "crash_region": guest.crash_region(texts),
        "kernel": guest.kernel_version(texts), "qemu": record.qemu,
        "translated": [[*key, n] for key, n in sorted(seen.items())],
    }
    (folder / SEEN).write_text(json.dumps(out) + "\n")

# SPDX-License-Identifier: MIT
"""Writes initramfs archives ("newc" cpio, Linux Documentation/driver-api/early-userspace/buffer-format.rst).

The same input gives the same bytes: fixed owner, times and inode numbers, sorted names. No root is needed.
"""
import gzip
import stat
from pathlib import Path


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    head += b"\0" * (-len(head) % 4)
    return head + data + b"\0" * (-len(data) % 4)


def archive(files: dict[str, bytes], executable: set[str]) -> bytes:
    """Returns an archive of files (path without leading slash -> contents) with every parent directory."""
    folders = {str(p) for name in files for p in Path(name).parents if str(p) != "."}
    out, number = [], 1
    for name in sorted(folders):
        out.append(_entry(number, name, stat.S_IFDIR | 0o755, b""))
        number += 1
    for name in sorted(files):
        mode = 0o755 if name in executable else 0o644
        out.append(_entry(number, name, stat.S_IFREG | mode, files[name]))
        number += 1
    out.append(_entry(number, "TRAILER!!!", 0, b""))
    blob = b"".join(out)
    return blob + b"\0" * (-len(blob) % 512)


def compress(blob: bytes) -> bytes:
    """Returns blob as gzip without a time stamp, padded so that another archive can follow it."""
    packed = gzip.compress(blob, 9, mtime=0)
    return packed + b"\0" * (-len(packed) % 4)

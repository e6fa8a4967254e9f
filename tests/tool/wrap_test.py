#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cofferdam wrap`, `info` and `unwrap` of the built tool: files, statuses, messages."""
import os
import struct
import sys
import zlib
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the source tree clean

from notefile import elf_dump, kernel  # noqa: E402
from tap import ROOT, Skip, fails, loads, main, run, succeeds  # noqa: E402

MIB = 1 << 20


def write(path, data):
    path.write_bytes(data)
    return path


def test_wrap_info_unwrap(folder):
    original = write(folder / "vmlinuz", kernel())
    out = folder / "out"
    assert "6.1.0-test" in succeeds("wrap", original, "-o", out, "--policy", "scratch", "--pool", "3M")
    info = loads("info", out, "--json")
    assert info["wrapped"] is True and info["policy"] == "scratch" and info["pool_size"] == 3 * MIB
    assert info["checksum_ok"] and info["original_found"] and info["header_derived"]
    assert info["kernel_version"] == "6.1.0-test" and info["original"]["compression"] == "xz"
    assert info["original"]["crc32"] == hex(zlib.crc32(original.read_bytes()))
    text = succeeds("info", out)
    for part in ("policy         scratch", "pool           3072 KiB", "Linux 6.1.0-test", "in one piece: yes"):
        assert part in text, part
    back = folder / "back"
    succeeds("unwrap", out, "-o", back)
    assert back.read_bytes() == original.read_bytes()


def test_layout_of_the_image(folder):
    original = kernel()
    succeeds("wrap", write(folder / "k", original), "-o", folder / "out")
    image = (folder / "out").read_bytes()
    code = image[2560:]
    magic, version, size, crc, policy, stage, offset, length, init, pool, pool_size = struct.unpack_from(
        "<QIIIIQQQQQQ", code, 0x400)
    assert (magic, version, size, policy) == (0x314D4144474D4943, 1, 344, 0)
    assert crc == zlib.crc32(code[0x400:0x410] + bytes(4) + code[0x414:0x400 + 344])
    assert (offset, length, init) == (2 * MIB, len(original) - 2560, 0x345678)
    assert (pool, pool_size) == (6 * MIB, 8 * MIB) and stage <= offset
    assert code[offset:offset + length] == original[2560:]
    assert struct.unpack_from("<I", image, 0x260)[0] == 14 * MIB >= len(code)
    assert struct.unpack_from("<I", image, 0x1F4)[0] * 16 == len(code)


def test_what_both_loaders_check(folder):
    """The checks of kexec-tools' and the kernel's bzImage probes, typed again, on the wrapped image."""
    succeeds("wrap", write(folder / "k", kernel()), "-o", folder / "out")
    image = (folder / "out").read_bytes()
    assert len(image) >= 1024 and image[0x202:0x206] == b"HdrS" and image[0x1FE:0x200] == b"\x55\xaa"
    assert struct.unpack_from("<H", image, 0x206)[0] >= 0x20C and image[0x211] & 1
    assert struct.unpack_from("<H", image, 0x236)[0] & 0x33 == 0x33
    assert (image[0x1F1] + 1) * 512 < len(image)
    assert struct.unpack_from("<I", image, 0x264)[0] == 0, "no EFI handover entry"
    assert struct.unpack_from("<H", image, 0x58 + 68)[0] == 0, "no EFI application"


def test_reproducible(folder):
    original = write(folder / "k", kernel())
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    succeeds("wrap", original, "-o", folder / "a")
    copy = write(elsewhere / "copy", original.read_bytes())
    os.utime(copy, (1, 1))
    succeeds("wrap", "--output", elsewhere / "b", copy, "--policy", "freeze", "--pool", "8192K")
    assert (folder / "a").read_bytes() == (elsewhere / "b").read_bytes()


def test_wrong_files(folder):
    cases = [
        (b"", "empty"), (b"\x7fELF" + bytes(2000), "ELF"), (b"\x1f\x8b\x08\0" + bytes(2000), "gzip"),
        (bytes(0x38) + b"ARM\x64" + bytes(2000), "arm64"), (elf_dump(b""), "core dump"), (b"x" * 4000, "HdrS"),
        (kernel()[:5000], "cut short"), (kernel(x211=0), "zImage"), (kernel(x236=0), "32-bit"),
        (kernel(x207=1), "boot protocol 1.15"),
    ]
    for data, part in cases:
        fails(1, part, "wrap", write(folder / "k", data), "-o", folder / "out")
        fails(1, part, "info", folder / "k")
    fails(1, "No such file", "wrap", folder / "none", "-o", folder / "out")
    fails(1, "is a directory", "wrap", folder, "-o", folder / "out")
    assert sorted(p.name for p in folder.iterdir()) == ["k"], "nothing half-written"


def test_wrapped_twice(folder):
    succeeds("wrap", write(folder / "k", kernel()), "-o", folder / "out")
    fails(1, "already wrapped", "wrap", folder / "out", "-o", folder / "again")
    assert not (folder / "again").exists()


def test_too_large(folder):
    fails(1, "more than 4 GiB", "wrap", write(folder / "k", kernel(init_size=0xFFF00000)), "-o", folder / "out")


def test_output_kept_when_refused(folder):
    out = write(folder / "out", b"precious")
    fails(1, "cut short", "wrap", write(folder / "k", kernel()[:4000]), "-o", out)
    assert out.read_bytes() == b"precious"
    k = write(folder / "k", kernel())
    fails(4, "cannot be created", "wrap", k, "-o", folder / "none" / "out")
    fails(4, "not a regular file", "wrap", k, "-o", "/dev/null")
    fails(4, "not a regular file", "wrap", k, "-o", folder)
    succeeds("wrap", k, "-o", out)
    assert len(out.read_bytes()) > 2 * MIB


def test_wrong_usage(folder):
    k = write(folder / "k", kernel())
    out = folder / "out"
    (folder / "link").symlink_to("k")
    for part, arguments in [
            ("-o OUT is missing", [k]), ("VMLINUZ is missing", ["-o", out]), ("too many arguments", [k, k, "-o", out]),
            ("no policy \"melt\"", [k, "-o", out, "--policy", "melt"]), ("--pool", [k, "-o", out, "--pool", "lots"]),
            ("between 1M and 1024M", [k, "-o", out, "--pool", "1023K"]), ("same file", [k, "-o", k]),
            ("between 1M and 1024M", [k, "-o", out, "--pool", "1025M"]), ("same file", [k, "-o", folder / "link"]),
            ("unknown option --frobnicate", [k, "-o", out, "--frobnicate"]), ("needs an argument", [k, "-o"])]:
        fails(2, part, "wrap", *arguments)
    assert not out.exists() and k.read_bytes() == kernel()


def test_no_5level_is_a_warning(folder):
    done = run("wrap", write(folder / "k", kernel(x236=0x5F)), "-o", folder / "out")
    assert done.returncode == 0 and b"XLF_5LEVEL" in done.stderr and (folder / "out").exists()


def test_damaged_wrapped_image(folder):
    succeeds("wrap", write(folder / "k", kernel()), "-o", folder / "out")
    image = bytearray((folder / "out").read_bytes())
    image[2560 + 0x400 + 60] ^= 1  # pool_offset
    damaged = write(folder / "damaged", image)
    fails(1, "damaged", "unwrap", damaged, "-o", folder / "back")
    assert run("info", damaged).returncode == 1
    image = bytearray((folder / "out").read_bytes())
    image[2560 + 0x400 + 88] ^= 1  # the kernel's version: only the checksum notices
    damaged = write(folder / "damaged", image)
    fails(1, "bad checksum", "unwrap", damaged, "-o", folder / "back")
    done = run("info", damaged)
    assert done.returncode == 1 and b"checksum       of the image header WRONG" in done.stdout, done.stdout
    fails(1, "not wrapped", "unwrap", folder / "k", "-o", folder / "back")
    fails(1, "cut short", "info", write(folder / "short", bytes(image[:-100])))
    assert not (folder / "back").exists()


def test_plain_kernel(folder):
    k = write(folder / "k", kernel())
    info = loads("info", k, "--json")
    assert info["wrapped"] is False and info["kernel"]["version"] == "6.1.0-test"
    assert info["kernel"]["boot_protocol"] == "2.15" and info["kernel"]["init_size"] == 0x345678
    assert "wrapped        no" in succeeds("info", k)


def test_real_kernels(folder):
    """Debian's kernels, where the lab has unpacked them or this machine has them."""
    found = sorted({p.resolve() for place in (ROOT / "build" / "lab", Path("/boot"))
                    for p in place.glob("**/vmlinuz*") if p.is_file() and os.access(p, os.R_OK)})
    if not found:
        raise Skip("no vmlinuz in build/lab or /boot")
    for number, path in enumerate(found):
        out, back = folder / f"w{number}", folder / f"u{number}"
        succeeds("wrap", path, "-o", out)
        info = loads("info", out, "--json")
        assert info["header_derived"] and info["original"]["compression"] != "unknown", path
        assert info["init_size"] >= out.stat().st_size - info["original"]["setup_size"]
        assert info["init_size"] <= info["original"]["init_size"] + 14 * MIB
        succeeds("unwrap", out, "-o", back)
        assert back.read_bytes() == path.read_bytes(), path


if __name__ == "__main__":
    main(sys.modules[__name__])

# SPDX-License-Identifier: MIT
"""Writes dumps with memory in them, from the formats' descriptions, apart from the C sources.

A memory is a dict: page frame number -> 4096 bytes, or None for RAM that the dump leaves out."""
import ctypes
import hashlib
import struct
import zlib

PAGE = 4096
ZLIB, LZO, SNAPPY, ZSTD = 1, 2, 4, 0x20


def page(number):
    """A page that is like no other, half of it easy to pack."""
    return b"".join(hashlib.sha512(b"%d %d" % (number, i)).digest() for i in range(32)) + bytes([number & 255]) * 2048


def lzo(data):
    """LZO1X of data, by the library that libkdumpfile uses; likewise the others."""
    library = ctypes.CDLL("liblzo2.so.2")
    out, size = ctypes.create_string_buffer(2 * len(data) + 100), ctypes.c_size_t(0)
    work = ctypes.create_string_buffer(1 << 20)
    assert library.lzo1x_1_compress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size), work) == 0
    return out.raw[:size.value]


def snappy(data):
    """Snappy of data."""
    out = ctypes.create_string_buffer(2 * len(data) + 100)
    size = ctypes.c_size_t(len(out))
    assert ctypes.CDLL("libsnappy.so.1").snappy_compress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size)) == 0
    return out.raw[:size.value]


def zstd(data):
    """A zstd frame of data."""
    compress = ctypes.CDLL("libzstd.so.1").ZSTD_compress
    compress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(2 * len(data) + 100)
    size = compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 3)
    return out.raw[:size]


PACK = {0: None, ZLIB: zlib.compress, LZO: lzo, SNAPPY: snappy, ZSTD: zstd}


def runs(numbers):
    """Sorted numbers as [first, end) pairs."""
    out = []
    for n in sorted(numbers):
        if out and out[-1][1] == n:
            out[-1][1] = n + 1
        else:
            out.append([n, n + 1])
    return out


def elf(memory, notes=b"", extra=()):
    """An ELF vmcore: a PT_LOAD for each run of pages held, which goes on over the pages left out behind it.
    extra: more segments, (first page, pages held)."""
    segments = []
    for first, end in runs(memory):
        at = first
        while at < end:
            held = at
            while held < end and memory[held] is not None:
                held += 1
            over = held
            while over < end and memory[over] is None:
                over += 1
            segments.append((at, held - at, over - at))
            at = over
    segments = [(first, count, count) for first, count in extra] + segments
    count, data = len(segments) + 1, b""
    at = 64 + 56 * count
    phdrs = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    at += len(notes)
    for first, held, over in segments:
        phdrs += struct.pack("<IIQQQQQQ", 1, 7, at + len(data), 0xFFFF888000000000 + first * PAGE, first * PAGE,
                             held * PAGE, over * PAGE, 0)
        data += b"".join(memory[first + i] for i in range(held))
    ehdr = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 4, 62, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    return ehdr + phdrs + notes + data


def bitmap(numbers, blocks):
    """Bit n % 8 of byte n // 8 is page n."""
    out = bytearray(blocks * PAGE)
    for n in numbers:
        out[n // 8] |= 1 << n % 8
    return bytes(out)


def kdump(memory, notes=b"", how=ZLIB, usec=0):
    """A kdump-compressed dump. Pages that packing makes no smaller are plain, as makedumpfile has them."""
    held = sorted(n for n in memory if memory[n] is not None)
    pages = max(memory) + 1
    blocks = -(-pages // (8 * PAGE))
    sub_blocks = -(-(104 + len(notes)) // PAGE)
    uts = b"".join(text.encode().ljust(65, b"\0") for text in ("Linux", "test", "6.1.0-test", "#1", "x86_64", ""))
    header = b"KDUMP   " + struct.pack("<i", 6) + uts
    header = header.ljust(408, b"\0") + struct.pack("<QQIiiIIIIIIi", 1700000000, usec, how, PAGE, sub_blocks, 2 * blocks,
                                                    pages & 0xFFFFFFFF, 0, 0, 0, 0, 1)
    sub = struct.pack("<QiiQQQQQQQQQQQ", 0, 0, 0, 0, 0, 0, 0, PAGE + 104, len(notes), 0, 0, 0, pages, pages) + notes
    out = header.ljust(PAGE, b"\0") + sub.ljust(sub_blocks * PAGE, b"\0") + bitmap(memory, blocks) + bitmap(held, blocks)
    at, descriptors, data = len(out) + 24 * len(held), b"", b""
    for n in held:
        packed = PACK[how](memory[n]) if how else memory[n]
        flags = how if len(packed) < PAGE else 0
        packed = packed if flags else memory[n]
        descriptors += struct.pack("<QIIQ", at + len(data), len(packed), flags, 0)
        data += packed
    return out + descriptors + data

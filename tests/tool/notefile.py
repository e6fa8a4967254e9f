# SPDX-License-Identifier: MIT
"""Writes notes and dumps from docs/note-format.md and makedumpfile's formats, apart from the C sources."""
import struct
import zlib

NOTE_TYPE = 0x43464431
MAGIC = struct.pack("<Q", 0x4D41445246464F43)


def summary(stop=0, phase=5, flags=1, policy=0, **more):
    """The 160 bytes of the summary section."""
    numbers = dict(findings=0, bad_words=0, pool=0x73600000, pool_size=8 << 20, pool_used=0x68000, scratch=0,
                   image=0x6F400000, units=0, requesters=0, times=(10, 20, 30, 40, 50, 60), tables=34)
    numbers.update(more)
    n = numbers
    out = struct.pack("<16s6I5Q2I6IQ", b"9.8.7", stop, phase, flags, policy, n["findings"], n["bad_words"], n["pool"],
                      n["pool_size"], n["pool_used"], n["scratch"], n["image"], n["units"], n["requesters"],
                      *n["times"], n["tables"])
    return out + struct.pack("<2I3Q2I", 0, 0, 0, 0, 0, 2100000, 0)


def unit(base=0xFED90000, status=0, requesters=1):
    """One entry of the units section, 160 bytes."""
    registers = struct.pack("<5Q4I", 0x1B20000, 0x11B7000, 0x120000F, 0xB80, 0xB80, 0xC7000000, 0, 0, 0)
    after = struct.pack("<5Q4I", 0x7362E000, 0x73631000, 0x120000F, 0x60, 0x60, 0xC7000000, 0, 0x80000000, 0)
    return struct.pack("<3QIHBBII", base, 0xD2008C222F0606, 0xF00F4A, 0x10, 0, status, 1, requesters, 0) + \
        registers + after + struct.pack("<2I", 248, 0)


def requester(rid=0x10, policy=0, old=(88, 77), new=(88, 0), did=(5, 5)):
    """One entry of the requesters section, 88 bytes."""
    return struct.pack("<3HBB2HBBH2Q4QQ2IIBBH", 0, 0, rid, policy, 1, did[0], did[1], 3, 0, 0, 0x1000, 0x2000,
                       old[0], old[1], new[0], new[1], 0, 4, 1, 0, 2, 2, 0)


def finding(code=32, severity=2, rid=0x10):
    """One entry of the findings section, 40 bytes."""
    return struct.pack("<HBBHHHHI3Q", code, severity, 0, 0, 0, rid, 7, 0, 0x27A7008, 0x1003, 0x1000)


def note(sections, version=1):
    """The descriptor: sections is a list of (type, entry size, bytes)."""
    table, body, at = b"", b"", 24 + 16 * len(sections)
    at += -at % 8
    start = at
    for kind, size, data in sections:
        table += struct.pack("<HHIII", kind, 0, size, len(data) // size, at)
        body += data + bytes(-len(data) % 8)
        at += len(data) + -len(data) % 8

    def whole(crc):
        head = MAGIC + struct.pack("<IIIHH", version, at, crc, len(sections), 24) + table
        return head + bytes(start - len(head)) + body
    return whole(zlib.crc32(whole(0)))


def usual_note(**more):
    """A note with one of everything."""
    return note([
        (1, 160, summary(units=1, requesters=2, findings=1, **more)),
        (2, 160, unit(requesters=2)),
        (3, 88, requester(0x10) + requester(0xFB, policy=3, old=(5, 5), new=(0, 0))),
        (4, 40, finding()),
        (7, 16, struct.pack("<QQ", 0x64000000, 0x74000000)),
        (6, 1, b"cofferdam.policy=freeze\0"),
        (5, 1, b"MCFG" + bytes(56)),
    ])


def elf_note(name, kind, desc):
    """One ELF note, name and descriptor padded to 4 bytes."""
    name = name.encode() + b"\0"
    return struct.pack("<III", len(name), len(desc), kind) + name + bytes(-len(name) % 4) + desc + bytes(-len(desc) % 4)


def all_notes(descriptor, release="6.1.0-test"):
    """The notes of a crash: a CPU, VMCOREINFO, and ours when descriptor is not None."""
    info = f"OSRELEASE={release}\nPAGESIZE=4096\n".encode()
    out = elf_note("CORE", 1, bytes(336)) + elf_note("VMCOREINFO", 0, info)
    return out + (elf_note("COFFERDAM", NOTE_TYPE, descriptor) if descriptor is not None else b"")


def elf_dump(notes):
    """An ELF core with one PT_LOAD of a page, as makedumpfile -E writes it."""
    at = 64 + 2 * 56
    ehdr = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = at + len(notes)
    load += -load % 4096
    note_phdr = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    load_phdr = struct.pack("<IIQQQQQQ", 1, 7, load, 0xFFFF888000000000, 0, 4096, 4096, 4096)
    head = ehdr + note_phdr + load_phdr + notes
    return head + bytes(load - len(head)) + bytes(4096)


def kdump_dump(notes, block=4096):
    """A kdump-compressed dump of no pages: header, sub-header, notes, bitmaps."""
    sub_blocks = -(-(104 + len(notes)) // block)
    uts = b"".join(text.encode().ljust(65, b"\0") for text in ("Linux", "test", "6.1.0-test", "#1", "x86_64", ""))
    header = b"KDUMP   " + struct.pack("<i", 6) + uts
    header += bytes(408 - len(header)) + struct.pack("<QQIiiIIIIIIi", 0, 0, 0, block, sub_blocks, 2, 1, 0, 0, 0, 0, 1)
    sub = struct.pack("<QiiQQQQQQQQQQQ", 0, 31, 0, 0, 0, 0, 0, block + 104, len(notes), 0, 0, 0, 1, 1) + notes
    return header.ljust(block, b"\0") + sub.ljust(sub_blocks * block, b"\0") + bytes(2 * block)


def flatten(dump, piece=4096):
    """What makedumpfile -F writes: records, the first one last, so that they are out of order."""
    out = b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)
    out = out.ljust(4096, b"\0")
    for at in reversed(range(0, len(dump), piece)):
        data = dump[at:at + piece]
        out += struct.pack(">qq", at, len(data)) + data
    return out + struct.pack(">qq", -1, -1)


def kernel(init_size=0x345678, sectors=4, **change):
    """A small bzImage that both kexec loaders would take; change: file offset (as x1f1) = byte."""
    setup = bytearray((sectors + 1) * 512)
    setup[0:2] = b"MZ"
    struct.pack_into("<I", setup, 0x3C, 0x40)
    setup[0x40:0x44] = b"PE\0\0"
    struct.pack_into("<H", setup, 0x58, 0x20B)
    struct.pack_into("<H", setup, 0x58 + 68, 10)
    code = bytearray((i * 7 + (i >> 8)) & 255 for i in range(8192 + 40))
    code[0x300:0x306] = b"\xfd7zXZ\0"
    setup[0x1F1] = sectors
    struct.pack_into("<I", setup, 0x1F4, 8192 // 16)
    struct.pack_into("<H", setup, 0x1FE, 0xAA55)
    setup[0x200:0x206] = b"\xeb\x6aHdrS"
    struct.pack_into("<H", setup, 0x206, 0x20F)
    struct.pack_into("<H", setup, 0x20E, 0x600)
    setup[0x211] = 1
    struct.pack_into("<I", setup, 0x230, 0x200000)
    setup[0x234] = 1
    struct.pack_into("<H", setup, 0x236, 0x7F)
    struct.pack_into("<I", setup, 0x238, 2047)
    struct.pack_into("<II", setup, 0x248, 0x300, 0x1000)
    struct.pack_into("<QIII", setup, 0x258, 0x1000000, init_size, 0x190, 0x1F00)
    setup[0x800:0x800 + 11] = b"6.1.0-test\0"
    out = setup + code
    for where, value in change.items():
        out[int(where[1:], 16)] = value
    return bytes(out)

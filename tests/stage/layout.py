# SPDX-License-Identifier: MIT
"""Where everything is in the bench machine's memory. What ROM and payload must know as well is in layout.h."""
import re
from pathlib import Path

MIB = 1 << 20
L = {name: int(value, 0) for name, value in
     re.findall(r"^#define (\w+)\s+(\w+)", (Path(__file__).parent / "layout.h").read_text(), re.M) if value[0].isdigit()}

SIZE = 32 * MIB
OLD = ((1 * MIB, 8 * MIB), (24 * MIB, 31 * MIB))
TABLES, QUEUE, REMAPPING, DATA, INJECT = 0x200000, 0x280000, 0x290000, 0x300000, 0x400000
CRASH, CRASH_END = 8 * MIB, 24 * MIB
IMAGE = 8 * MIB
INITRD, BOOT_PARAMS, CMDLINE, ELFCORE = 0x1600000, 0x1700000, 0x1701000, CRASH_END - 4096
FIRMWARE = 31 * MIB
STACK = 0x9000
CR3_ALL, CR3_ENTRY, CR3_ALL5, CR3_ENTRY5 = 0x10000, 0x18000, 0x16000, 0x1B000
IOVA = 0x7FFF0000
LA57 = 1 << 12

# SPDX-License-Identifier: MIT
"""AMD-Vi as QEMU models it: amd-iommu.

The model's trace tells no register's value but the control register's, so the device table's address is read from its
register, at the crash and at the hand-over; there is no latch between the two. It writes no event log: what counts as a
fault is what the model would log.
"""
import re
import struct
from collections import Counter

from .amdread import AmdRules, AmdTables
from .kind import Kind, Span, outside
from .planter_amd import DEVTAB, REGISTERS, AmdPlanter, length_of
from .views import ADDRESS, BLOCKED, PAGE, Context, Read, Views

_RESULT = re.compile(rb"amdvi_translation_result devid: ([0-9a-f]+):([0-9a-f]+)\.([0-9a-f]+) gpa (0x[0-9a-f]+) hpa (0x[0-9a-f]+)")
_STATE = re.compile(rb"state (0x[0-9a-f]+)")
_FAULTS = ("amdvi_page_fault", "amdvi_mode_invalid", "amdvi_invalid_dte", "amdvi_dte_get_fail", "amdvi_get_pte_hwerror")
_REASONS = {name.encode(): name.removeprefix("amdvi_") for name in _FAULTS}


class Amd(Kind):
    """AMD-Vi."""

    DEVICE = "amd-iommu"
    UNIT = REGISTERS
    REGISTERS = {"devtab": (DEVTAB, "g"), "cmdbuf": (0x08, "g"), "evtlog": (0x10, "g"), "control": (0x18, "g"),
                 "cmdhead": (0x2000, "g"), "cmdtail": (0x2008, "g"), "evthead": (0x2010, "g"), "evttail": (0x2018, "g"),
                 "status": (0x2020, "g")}
    EVENTS = ("amdvi_control_status", "amdvi_mode_invalid", "amdvi_invalid_dte", "amdvi_dte_get_fail", "amdvi_get_pte_hwerror")
    STREAM = "amdvi_translation_result"
    TRACES_SIZE = False
    LOOPS_END = True
    STORMS = ("amdvi_page_fault",)
    MOMENTS = (b"amdvi_control_status",)
    INHERITED = r"AMD-Vi: (.*DEV table from previous kernel.*|.*[Rr]eused? .*device table.*)"
    REUSED = r"AMD-Vi: Re-?us(?:ed|ing) (.*) from (?:the )?previous kernel"  # Linux 6.18 and later
    REMAPS = r"AMD-Vi: (?:Copied DEV table|Interrupt remapping enabled)"
    ROOT_FINDINGS = (174,)
    NOTE_ROOT = "device_table"

    def moment(self, event: bytes) -> tuple[str, int] | None:
        """Bit 0 of the control register: translation is on."""
        found = _STATE.search(event)
        return ("on", int(found.group(1), 16) & 1) if found else None

    def pointer(self, registers: dict[str, int]) -> int | None:
        """The register is what hardware goes by, while translation is on."""
        return registers["devtab"] if registers["control"] & 1 else None

    def accesses(self, events: Counter, tables: Views | None) -> Counter:
        """The trace has the start of the page that was found, whatever its size: the tables tell which part is meant.

        What is refused leads to 0 there, which may also be meant, or, where the entry says that nothing passes, to itself.
        """
        out: Counter = Counter()
        for text, n in events.items():
            found = _RESULT.match(text)
            if not found:
                continue
            bus, slot, function, iova, target = (int(g, 16) for g in found.groups())
            source, page = bus << 8 | slot << 3 | function, iova & -PAGE
            entry = tables.entry(source) if tables else None
            at, size, _ = (tables.page(source, iova) if tables else None) or (-1, PAGE, 0)
            if (not target and at) or (entry and entry.kind == BLOCKED and target == page):
                continue
            out[(source, page, (target & -size) + (page & size - 1), PAGE - 1)] += n
        return out

    def faults(self, events: Counter) -> Counter:
        """The reasons are QEMU's words."""
        out: Counter = Counter()
        for text, n in events.items():
            name = _REASONS.get(text.split(b" ", 1)[0])
            if name:
                out[name] += n
        return out

    def asked_mode(self, device: str, words: str) -> str:
        """There is one."""
        return "AMD-Vi"

    def rules(self, texts: list[str], known) -> AmdRules:
        """Nothing of what the unit says of itself makes a difference to tables of the host."""
        return AmdRules(known)

    def tables(self, read: Read, pointer: int, rules: AmdRules) -> AmdTables:
        """The size is part of the pointer."""
        return AmdTables(read, pointer & ADDRESS, length_of(pointer), rules)

    def nothing(self) -> AmdTables:
        """A table of no entries."""
        return AmdTables(lambda address, length: None, 0)

    def unit_problems(self, registers: dict[str, int], walls: list[Span], root: int) -> list[str]:
        """Device table, command buffer and event log are ours, nothing waits, events do not interrupt."""
        control = registers["control"]
        used = ["devtab", *(["cmdbuf"] if control >> 12 & 1 else []), *(["evtlog"] if control >> 2 & 1 else [])]
        wrong = outside(registers, used, walls)
        if not control & 1:
            wrong.append("translation is off")
        for name in ("devtab", "cmdbuf", "evtlog"):
            if name in used and registers[name] & ADDRESS >> 32 << 32:
                wrong.append(f"{name} 0x{registers[name]:x} lies above 4 GiB, where Linux does not take it")
        for name in used[1:]:
            if registers[name] >> 56 & 15 != 9:
                wrong.append(f"{name} 0x{registers[name]:x} has not 8 KiB, which is what Linux maps of it in place")
        if registers["cmdhead"] % 0x1000_0000 != registers["cmdtail"] and control >> 12 & 1:
            wrong.append(f"the command buffer is not empty: head 0x{registers['cmdhead']:x}, tail 0x{registers['cmdtail']:x}")
        if registers["evthead"] != registers["evttail"]:
            wrong.append(f"the event log is not empty: head 0x{registers['evthead']:x}, tail 0x{registers['evttail']:x}")
        if control >> 3 & 1:
            wrong.append("events interrupt")
        return wrong

    def root_option(self, pointer: int) -> tuple[str, ...]:
        """With the bytes of the device table."""
        return "--amd-devtab", f"0x{pointer & ADDRESS:x},0x{length_of(pointer):x}"

    def to_itself(self, entry: Context) -> bytes:
        """As a table of each lower level in turn."""
        return b"".join(struct.pack("<Q", entry.table | 1 | (1 + n % (entry.levels - 1)) << 9 | 3 << 61) for n in range(512))

    def planter(self, machine, registers, memory, rules, crash, ram, run_for) -> AmdPlanter:
        """Returns what breaks AMD-Vi."""
        return AmdPlanter(machine, registers, memory, rules, crash, ram, run_for)

# SPDX-License-Identifier: MIT
"""Intel VT-d as QEMU models it: intel-iommu."""
import re
import struct
from collections import Counter

from .kind import Kind, Span, outside
from .planter_vtd import REGISTERS, VtdPlanter
from .views import ADDRESS, FIRST, Context, Read, Views
from .vtdread import Rules, Tables

_ROOT = re.compile(rb"addr (0x[0-9a-f]+) scalable (\d)")
_TRANSLATE = re.compile(rb"dev ([0-9a-f]+):([0-9a-f]+)\.([0-9a-f]+) "
                        rb"iova (0x[0-9a-f]+) -> gpa (0x[0-9a-f]+) mask (0x[0-9a-f]+)")
_FAULT = b"vtd_dmar_fault"
_REASON = re.compile(rb"vtd_dmar_fault sid \S+ fault (\d+)")
_WIDTH = re.compile(r"DMAR: Host address width (\d+)")
_CAPABILITIES = re.compile(r"DMAR: dmar0: .* cap ([0-9a-f]+) ecap ([0-9a-f]+)")


class Vtd(Kind):
    """Intel VT-d."""

    DEVICE = "intel-iommu"
    UNIT = REGISTERS
    REGISTERS = {"gsts": (0x1C, "w"), "rtaddr": (0x20, "g"), "fsts": (0x34, "w"), "fectl": (0x38, "w"), "iqh": (0x80, "g"),
                 "iqt": (0x88, "g"), "iqa": (0x90, "g"), "irta": (0xB8, "g")}
    EVENTS = ("vtd_dmar_fault", "vtd_dmar_enable", "vtd_reg_dmar_root")
    STREAM = "vtd_dmar_translate"
    MOMENTS = (b"vtd_reg_dmar_root", b"vtd_dmar_enable")
    INHERITED = r"DMAR: (.*translation tables from previous kernel.*)"
    REMAPS = r"Enabled IRQ remapping"
    ROOT_FINDINGS = (17, 81)
    NOTE_ROOT = "rtaddr"

    def moment(self, event: bytes) -> tuple[str, int] | None:
        """The pointer is what the register has: bit 10 is scalable mode."""
        if event.startswith(b"vtd_dmar_enable"):
            return "on", int(event.rstrip().endswith(b"1"))
        found = _ROOT.search(event)
        return ("root", int(found.group(1), 16) | int(found.group(2)) << 10) if found else None

    def pointer(self, registers: dict[str, int]) -> int | None:
        """The trace tells what was latched, which the register does not."""
        return None

    def accesses(self, events: Counter, tables: Views | None) -> Counter:
        """The trace has it all."""
        out: Counter = Counter()
        for text, n in events.items():
            found = _TRANSLATE.search(text) if text.startswith(b"vtd_dmar_translate") else None
            if found:
                bus, slot, function, iova, target, mask = (int(g, 16) for g in found.groups())
                source = bus << 8 | slot << 3 | function
                out[(source, iova & ~mask & (1 << 64) - 1, target & ~mask & (1 << 64) - 1, mask)] += n
        return out

    def faults(self, events: Counter) -> Counter:
        """The reasons are the numbers of the specification's fault table."""
        out: Counter = Counter()
        for text, n in events.items():
            if text.startswith(_FAULT):
                found = _REASON.match(text)
                out[found.group(1).decode() if found else "?"] += n
        return out

    def asked_mode(self, device: str, words: str) -> str:
        """Scalable mode is asked for."""
        if "sm_on" not in words:
            return "legacy"
        return f"scalable, {'first' if 'x-flts=on' in device else 'second'} stage"

    def rules(self, texts: list[str], known) -> Rules:
        """From the lines about DMAR."""
        width, caps = (next((found for found in map(pattern.search, texts) if found), None)
                       for pattern in (_WIDTH, _CAPABILITIES))
        kept = {"width": int(width.group(1))} if width else {}
        if caps:
            kept.update(cap=int(caps.group(1), 16), ecap=int(caps.group(2), 16))
        return Rules(known=known, **kept)

    def tables(self, read: Read, pointer: int, rules: Rules) -> Tables:
        """Bit 11 is a reserved table mode, or abort-DMA mode with bit 10."""
        root, scalable = pointer & ADDRESS, bool(pointer >> 10 & 1)
        if pointer >> 11 & 1 or (scalable and not rules.ecap >> 43 & 1) or not rules.known(root):
            return Tables(lambda address, length: None, root, rules=Rules(known=lambda address: False))
        return Tables(read, root, scalable, rules)

    def nothing(self) -> Tables:
        """No bus is present."""
        return Tables(lambda address, length: None, 0)

    def unit_problems(self, registers: dict[str, int], walls: list[Span], root: int) -> list[str]:
        """Root table, queue and interrupt table are ours, the queue is empty, the fault interrupt is masked."""
        on = {name: bool(registers["gsts"] >> bit & 1) for name, bit in (("TES", 31), ("QIES", 26), ("IRES", 25))}
        used = ["rtaddr", *(["iqa"] if on["QIES"] else []), *(["irta"] if on["IRES"] else [])]
        wrong = outside(registers, used, walls)
        if not on["TES"]:
            wrong.append("translation is off")
        if registers["rtaddr"] & ADDRESS != root:
            wrong.append(f"rtaddr reads 0x{registers['rtaddr']:x}, in use is 0x{root:x}")
        if registers["iqh"] != registers["iqt"]:
            wrong.append(f"the queue is not empty: head 0x{registers['iqh']:x}, tail 0x{registers['iqt']:x}")
        if registers["fsts"] & 0x70:
            wrong.append(f"queue errors are left: fsts 0x{registers['fsts']:x}")
        if not registers["fectl"] >> 31:
            wrong.append("the fault interrupt is not masked")
        return wrong

    def root_option(self, pointer: int) -> tuple[str, ...]:
        """With the table mode."""
        return "--vtd-root", f"0x{pointer & ADDRESS:x},{'scalable' if pointer >> 10 & 1 else 'legacy'}"

    def to_itself(self, entry: Context) -> bytes:
        """Readable and writable; first-stage entries are for users as well."""
        return struct.pack("<Q", entry.table | (7 if entry.kind == FIRST else 3)) * 512

    def planter(self, machine, registers, memory, rules, crash, ram, run_for) -> VtdPlanter:
        """Returns what breaks VT-d."""
        return VtdPlanter(machine, registers, memory, rules, crash, ram, run_for)

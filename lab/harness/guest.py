# SPDX-License-Identifier: MIT
"""What the guest says about itself on its console: its memory, its IOMMU. Nothing of it comes from Cofferdam."""
import re
from typing import Callable

MIB = 1 << 20
Span = tuple[int, int]
_IOMEM = re.compile(r"iomem (\s*)([0-9a-f]+)-([0-9a-f]+) : (System RAM|Crash kernel)")
# Linux 7 says "System RAM" where it said "usable".
_E820 = re.compile(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] (?:usable| System RAM)")


def _spans(texts: list[str], kind: str) -> list[Span]:
    found = [_IOMEM.search(t) for t in texts]
    return [(int(m.group(2), 16), int(m.group(3), 16) + 1) for m in found if m and m.group(4) == kind]


def crash_region(texts: list[str]) -> list[Span]:
    """Returns the memory that the first kernel kept for the capture kernel."""
    return _spans(texts, "Crash kernel")


def system_ram(texts: list[str]) -> list[Span]:
    """Returns the first kernel's memory, the crash region included."""
    return _spans(texts, "System RAM")


def capture_low(lines: list[tuple[float, str]], panic: float) -> list[Span]:
    """Returns the low memory that the capture kernel runs in, whole pages: it prints its map after the panic."""
    found = [_E820.search(text) for time_s, text in lines if time_s > panic]
    spans = [(int(m.group(1), 16), int(m.group(2), 16) + 1) for m in found if m]
    return [(start & -4096, end + 4095 & -4096) for start, end in spans if end <= MIB]


def capture_ram(lines: list[tuple[float, str]], panic: float) -> list[Span]:
    """Returns all memory that the capture kernel calls its own, whole pages."""
    found = [_E820.search(text) for time_s, text in lines if time_s > panic]
    spans = [(int(m.group(1), 16) + 4095 & -4096, int(m.group(2), 16) + 1 & -4096) for m in found if m]
    return sorted({(start, end) for start, end in spans if start < end})


def without(spans: list[Span], holes: list[Span]) -> list[Span]:
    """Returns spans with holes cut out."""
    for low, high in holes:
        pieces = [p for start, end in spans for p in ((start, min(end, low)), (max(start, high), end))]
        spans = [(start, end) for start, end in pieces if start < end]
    return spans


def _first(pattern: re.Pattern, texts: list[str]) -> re.Match | None:
    return next((found for found in map(pattern.search, texts) if found), None)


def kernel_version(texts: list[str]) -> str:
    """Returns the first two numbers of the first kernel's version."""
    found = _first(re.compile(r"\bLinux version (\d+\.\d+)"), texts)
    return found.group(1) if found else "?"


def known(texts: list[str], walls: list[Span] | None = None) -> Callable[[int], bool]:
    """Returns what tells whether an address lies in the first kernel's memory, and outside of walls: what old tables may."""
    spans = without(system_ram(texts), walls or [])
    return lambda address: any(start <= address < end for start, end in spans)

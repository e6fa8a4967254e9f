# SPDX-License-Identifier: MIT
"""Which functions have address translation services on, read from configuration space of the held machine."""
from .physical import Physical

ECAM = 0xB0000000  # where SeaBIOS puts it on q35
BUSES = 4  # it numbers them without gaps
ATS = 0x000F
STEPS = 48


def ats_enabled(physical: Physical) -> list[str]:
    """Returns "bus:device.function" of each function of device 0 to 31, function 0, with ATS on."""
    found = []
    for number in range(BUSES << 5):
        base = ECAM + (number << 15)
        if physical.read(base, 4) & 0xFFFF != 0xFFFF and _ats_on(physical, base):
            found.append(f"{number >> 5:02x}:{number & 31:02x}.0")
    return found


def _ats_on(physical: Physical, base: int) -> bool:
    at = 0x100
    for _ in range(STEPS):
        header = physical.read(base + at, 4)
        if header & 0xFFFF == ATS:
            return bool(physical.read(base + at + 4, 4) >> 31)
        at = header >> 20
        if at < 0x100:
            break
    return False

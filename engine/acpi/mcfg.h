// SPDX-License-Identifier: MIT
// MCFG: where configuration space is mapped into memory. PCI Firmware specification 3.3, 4.1.2.
#ifndef ENGINE_ACPI_MCFG_H
#define ENGINE_ACPI_MCFG_H

#include <cofferdam/types.h>

// One window. The byte of register r of bus b, device d, function f lies at base + (b<<20 | d<<15 | f<<12 |
// r): base counts from bus 0 even where first_bus is more.
struct mcfg_entry {
    dam_pa base;
    uint16_t segment;
    uint8_t first_bus, last_bus; // inclusive
};

// Iterates over a copy of the table; *cursor is 0 at first. DAM_E_ABSENT: no more; a rest shorter than an
// entry is ignored. DAM_E_SIGNATURE: not "MCFG". DAM_E_LENGTH: `available` is less than the header's length,
// or that is less than 44. DAM_E_RANGE: this entry has last_bus < first_bus or wraps around 2^64; *cursor is
// behind it, so that the caller may go on. The table's checksum is not looked at.
DAM_MUST_CHECK dam_err mcfg_next(const void *bytes, size_t available, uint32_t *cursor,
                                 struct mcfg_entry *out);

#endif

// SPDX-License-Identifier: MIT
// Little-endian numbers at any alignment: ACPI aligns nothing.
#ifndef ENGINE_ACPI_BYTES_H
#define ENGINE_ACPI_BYTES_H

#include <cofferdam/types.h>

// The caller has checked that 2, 4 or 8 bytes are there.
static inline uint16_t acpi_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t acpi_u32(const uint8_t *p)
{
    return acpi_u16(p) | (uint32_t)acpi_u16(p + 2) << 16;
}

static inline uint64_t acpi_u64(const uint8_t *p)
{
    return acpi_u32(p) | (uint64_t)acpi_u32(p + 4) << 32;
}

#endif

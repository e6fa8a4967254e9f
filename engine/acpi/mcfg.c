// SPDX-License-Identifier: MIT
#include "acpi/mcfg.h"

#include <string.h>

#include "acpi/bytes.h"

#define MCFG_HEADER_SIZE 44u // the ACPI header and 8 reserved bytes
#define MCFG_ENTRY_SIZE  16u
#define ECAM_BUS_SHIFT   20

dam_err mcfg_next(const void *bytes, size_t available, uint32_t *cursor, struct mcfg_entry *out)
{
    const uint8_t *p = bytes;

    *out = (struct mcfg_entry){0};
    if (available < 4)
        return DAM_E_LENGTH;
    if (memcmp(p, "MCFG", 4) != 0)
        return DAM_E_SIGNATURE;
    if (available < MCFG_HEADER_SIZE)
        return DAM_E_LENGTH;
    uint32_t length = acpi_u32(p + 4);
    if (length < MCFG_HEADER_SIZE || length > available)
        return DAM_E_LENGTH;
    uint32_t offset = *cursor ? *cursor : MCFG_HEADER_SIZE;
    if (offset >= length || length - offset < MCFG_ENTRY_SIZE)
        return DAM_E_ABSENT;
    p += offset;
    *cursor = offset + MCFG_ENTRY_SIZE;
    out->base = dam_pa_of(acpi_u64(p));
    out->segment = acpi_u16(p + 8);
    out->first_bus = p[10];
    out->last_bus = p[11];
    uint64_t end = ((uint64_t)out->last_bus + 1) << ECAM_BUS_SHIFT;
    if (out->last_bus < out->first_bus || out->base.v > ~0ull - end)
        return DAM_E_RANGE;
    return DAM_OK;
}

// SPDX-License-Identifier: MIT
// Finding the root pointer. ACPI specification 6.5, 5.2.5.
#include "acpi/tables.h"

#include <string.h>

#include "acpi/bytes.h"

#define RSDP_V1_SIZE   20u // what the first checksum covers
#define RSDP_V2_SIZE   36u
#define RSDP_STEP      16u // root pointers lie on 16-byte boundaries
#define SIGNATURE_SIZE 8u

#define EBDA_SEGMENT   0x40eu // real-mode segment of the extended BIOS data area
#define EBDA_SEARCH    1024u
#define BIOS_START     0xe0000u
#define BIOS_END       0x100000u
#define EBDA_LOWEST    0x400u // below lie the interrupt vectors: no EBDA can be there

static const uint8_t signature[SIGNATURE_SIZE] = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '};

uint8_t acpi_sum(const void *bytes, size_t length)
{
    const uint8_t *p = bytes;
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + p[i]);
    return sum;
}

dam_err acpi_check_rsdp(const struct dam_ops *ops, dam_pa pa, struct acpi_rsdp *out)
{
    uint8_t bytes[ACPI_RSDP_MAX_SIZE];

    *out = (struct acpi_rsdp){.pa = pa};
    if (pa.v > ~0ull - ACPI_RSDP_MAX_SIZE)
        return DAM_E_RANGE;
    // Only these 20 bytes at first: one of revision 0 may end where its memory ends.
    dam_err err = dam_mem_read(ops, pa, bytes, RSDP_V1_SIZE);
    if (err)
        return err;
    if (memcmp(bytes, signature, sizeof(signature)) != 0)
        return DAM_E_SIGNATURE;
    if (acpi_sum(bytes, RSDP_V1_SIZE) != 0)
        return DAM_E_CHECKSUM;
    out->revision = bytes[15];
    out->rsdt = dam_pa_of(acpi_u32(bytes + 16));
    // Revision 1 was never defined; Linux takes only 2 and more as having the longer form.
    if (out->revision >= 2) {
        err = dam_mem_read(ops, dam_pa_of(pa.v + RSDP_V1_SIZE), bytes + RSDP_V1_SIZE,
                           RSDP_V2_SIZE - RSDP_V1_SIZE);
        if (err)
            return err;
        uint32_t length = acpi_u32(bytes + 20);
        if (length < RSDP_V2_SIZE || length > ACPI_RSDP_MAX_SIZE)
            return DAM_E_LENGTH;
        if (length > RSDP_V2_SIZE) {
            err = dam_mem_read(ops, dam_pa_of(pa.v + RSDP_V2_SIZE), bytes + RSDP_V2_SIZE,
                               length - RSDP_V2_SIZE);
            if (err)
                return err;
        }
        if (acpi_sum(bytes, length) != 0)
            return DAM_E_CHECKSUM;
        out->xsdt = dam_pa_of(acpi_u64(bytes + 24));
    }
    return out->xsdt.v || out->rsdt.v ? DAM_OK : DAM_E_ABSENT;
}

// Searches [start, end), both multiples of 16. Memory that cannot be read is passed over.
static bool search(const struct dam_ops *ops, uint64_t start, uint64_t end, struct acpi_rsdp *out)
{
    uint8_t chunk[512];

    for (uint64_t at = start; at < end; at += sizeof(chunk)) {
        size_t size = end - at < sizeof(chunk) ? (size_t)(end - at) : sizeof(chunk);
        if (dam_mem_read(ops, dam_pa_of(at), chunk, size) != DAM_OK)
            continue;
        for (size_t i = 0; i + RSDP_STEP <= size; i += RSDP_STEP)
            if (memcmp(chunk + i, signature, sizeof(signature)) == 0 &&
                acpi_check_rsdp(ops, dam_pa_of(at + i), out) == DAM_OK)
                return true;
    }
    return false;
}

dam_err acpi_find_rsdp(const struct dam_ops *ops, const dam_pa *candidates, size_t count,
                       struct acpi_rsdp *out)
{
    // A candidate that is not sound is passed over: somebody who gives a wrong address may still run on a
    // machine whose BIOS area has the right one, and a wrong one is never found sound by accident.
    for (size_t i = 0; i < count && i <= INT32_MAX; i++) {
        if (candidates[i].v && acpi_check_rsdp(ops, candidates[i], out) == DAM_OK) {
            out->source = (int)i;
            return DAM_OK;
        }
    }
    uint8_t segment[2];
    if (dam_mem_read(ops, dam_pa_of(EBDA_SEGMENT), segment, sizeof(segment)) == DAM_OK) {
        uint64_t ebda = (uint64_t)acpi_u16(segment) << 4;
        if (ebda > EBDA_LOWEST && search(ops, ebda, ebda + EBDA_SEARCH, out)) {
            out->source = ACPI_RSDP_FROM_BIOS;
            return DAM_OK;
        }
    }
    if (search(ops, BIOS_START, BIOS_END, out)) {
        out->source = ACPI_RSDP_FROM_BIOS;
        return DAM_OK;
    }
    *out = (struct acpi_rsdp){.source = ACPI_RSDP_FROM_BIOS};
    return DAM_E_ABSENT;
}

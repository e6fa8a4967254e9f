// SPDX-License-Identifier: MIT
// The list of tables and copies of tables. ACPI specification 6.5, 5.2.6–5.2.8.
#include "acpi/tables.h"

#include <string.h>

#include "acpi/bytes.h"

// What the copied header must still say when the whole table has been copied: signature and length. The rest
// is only used from the second copy.
#define HEADER_FIXED 8u

static dam_err read_header(const struct dam_ops *ops, dam_pa pa, uint8_t header[ACPI_HEADER_SIZE])
{
    if (pa.v > ~0ull - ACPI_HEADER_SIZE)
        return DAM_E_RANGE;
    return dam_mem_read(ops, pa, header, ACPI_HEADER_SIZE);
}

// Checks a header's length against [ACPI_HEADER_SIZE, max] and the end of the address space.
static dam_err check_length(dam_pa pa, uint32_t length, uint32_t max)
{
    if (length < ACPI_HEADER_SIZE || length > max)
        return DAM_E_LENGTH;
    return pa.v > ~0ull - length ? DAM_E_RANGE : DAM_OK;
}

// Copies the table whose header was read into the arena.
static dam_err copy_table(const struct dam_ops *ops, struct dam_arena *arena, dam_pa pa, uint32_t length,
                          const uint8_t header[ACPI_HEADER_SIZE], const uint8_t **bytes)
{
    void *copy;
    dam_err err = dam_arena_record(arena, length, &copy);
    if (err)
        return err;
    err = dam_mem_read(ops, pa, copy, length);
    if (err)
        return err;
    if (memcmp(copy, header, HEADER_FIXED) != 0)
        return DAM_E_BROKEN;
    *bytes = copy;
    return DAM_OK;
}

// Copies one list of tables; DAM_OK also when only its checksum is wrong.
static dam_err open_list(const struct dam_ops *ops, struct dam_arena *arena, dam_pa pa, bool is_xsdt,
                         struct acpi_root *out)
{
    uint8_t header[ACPI_HEADER_SIZE];
    const uint32_t entry = is_xsdt ? 8 : 4;
    const uint8_t *bytes;

    *out = (struct acpi_root){.pa = pa, .is_xsdt = is_xsdt};
    dam_err err = read_header(ops, pa, header);
    if (err)
        return err;
    // The signature first: the length of something else means nothing.
    if (memcmp(header, is_xsdt ? "XSDT" : "RSDT", 4) != 0)
        return DAM_E_SIGNATURE;
    const uint32_t length = acpi_u32(header + 4);
    err = check_length(pa, length, ACPI_HEADER_SIZE + ACPI_MAX_ROOT_ENTRIES * entry);
    if (err)
        return err;
    err = copy_table(ops, arena, pa, length, header, &bytes);
    if (err)
        return err;
    out->checksum_ok = acpi_sum(bytes, length) == 0;
    out->count = (length - ACPI_HEADER_SIZE) / entry;
    out->entries = bytes + ACPI_HEADER_SIZE;
    return DAM_OK;
}

dam_err acpi_open_root(const struct dam_ops *ops, struct dam_arena *arena, const struct acpi_rsdp *rsdp,
                       struct acpi_root *out)
{
    dam_err xsdt_err = DAM_E_ABSENT, rsdt_err = DAM_E_ABSENT;
    struct acpi_root rsdt = {0};

    *out = (struct acpi_root){0};
    if (rsdp->xsdt.v) {
        xsdt_err = open_list(ops, arena, rsdp->xsdt, true, out);
        if (xsdt_err == DAM_OK && out->checksum_ok)
            return DAM_OK;
    }
    if (rsdp->rsdt.v) {
        rsdt_err = open_list(ops, arena, rsdp->rsdt, false, &rsdt);
        if (rsdt_err == DAM_OK && (rsdt.checksum_ok || xsdt_err)) {
            *out = rsdt;
            return DAM_OK;
        }
    }
    if (xsdt_err == DAM_OK)
        return DAM_OK;
    if (!rsdp->xsdt.v && rsdp->rsdt.v)
        *out = rsdt; // its address goes with the error
    return rsdp->xsdt.v ? xsdt_err : rsdt_err;
}

static dam_pa entry_at(const struct acpi_root *root, uint32_t index)
{
    if (root->is_xsdt)
        return dam_pa_of(acpi_u64(root->entries + (size_t)index * 8));
    return dam_pa_of(acpi_u32(root->entries + (size_t)index * 4));
}

dam_err acpi_read_table(const struct dam_ops *ops, const struct acpi_root *root, struct dam_arena *arena,
                        const char *signature, unsigned nth, struct acpi_table *out)
{
    dam_err missed = DAM_E_ABSENT;

    *out = (struct acpi_table){0};
    for (uint32_t i = 0; i < root->count; i++) {
        uint8_t header[ACPI_HEADER_SIZE];
        const dam_pa pa = entry_at(root, i);
        if (!pa.v) // Linux passes over empty entries too; real lists have them
            continue;
        dam_err err = read_header(ops, pa, header);
        if (err) {
            missed = err;
            continue;
        }
        if (memcmp(header, signature, 4) != 0 || nth-- != 0)
            continue;
        out->pa = pa;
        out->length = acpi_u32(header + 4);
        err = check_length(pa, out->length, ACPI_MAX_TABLE_SIZE);
        if (err == DAM_OK)
            err = copy_table(ops, arena, pa, out->length, header, &out->bytes);
        if (err == DAM_OK)
            out->checksum_ok = acpi_sum(out->bytes, out->length) == 0;
        return err;
    }
    return missed;
}

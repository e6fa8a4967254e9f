// SPDX-License-Identifier: MIT
#include "acpi_hide.h"

#include <string.h>

#include "acpi/tables.h"
#include "bytes.h"

// 5.2.5.3 Root System Description Pointer.
#define RSDP_SIZE         36u
#define RSDP_SUM_PART     20u // what the first checksum covers
#define RSDP_AT_SUM       8u
#define RSDP_AT_OEM       9u
#define RSDP_OEM_SIZE     6u
#define RSDP_AT_REVISION  15u
#define RSDP_AT_RSDT      16u
#define RSDP_AT_LENGTH    20u
#define RSDP_AT_XSDT      24u
#define RSDP_AT_SUM_WHOLE 32u
// 5.2.6 System Description Table Header.
#define TABLE_AT_LENGTH   4u
#define TABLE_AT_REVISION 8u
#define TABLE_AT_SUM      9u

static void balance(uint8_t *bytes, size_t length, size_t at)
{
    bytes[at] = 0;
    bytes[at] = (uint8_t)(0 - acpi_sum(bytes, length));
}

struct hiding {
    const struct dam_ops *ops;
    struct dam_arena *pool;
    const struct iommu_kind *kinds;
    unsigned count;
};

// The kinds that a table of this signature is for; 0: of none.
static uint32_t kinds_of(const struct hiding *hiding, const uint8_t *signature)
{
    uint32_t of = 0;
    for (unsigned i = 0; i < hiding->count; i++)
        if (memcmp(signature, hiding->kinds[i].signature, 4) == 0)
            of |= 1u << i;
    return of;
}

// Copies the list, whose header lies before its entries in the arena, but for the tables to be hidden.
static dam_err copy_list(const struct hiding *hiding, const struct acpi_root *root, uint8_t *xsdt,
                         struct acpi_hidden *out)
{
    memcpy(xsdt, root->entries - ACPI_HEADER_SIZE, ACPI_HEADER_SIZE);
    memcpy(xsdt, "XSDT", 4);
    xsdt[TABLE_AT_REVISION] = 1;
    uint8_t *at = xsdt + ACPI_HEADER_SIZE;
    for (uint32_t i = 0; i < root->count; i++) {
        uint64_t pa = root->is_xsdt ? bytes_get64(root->entries + (size_t)i * 8)
                                    : bytes_get32(root->entries + (size_t)i * 4);
        uint8_t signature[4];
        if (!pa) // no table: Linux passes over it
            continue;
        if (pa > ~0ull - ACPI_HEADER_SIZE ||
            dam_mem_read(hiding->ops, dam_pa_of(pa), signature, sizeof(signature)))
            return DAM_E_RANGE;
        uint32_t of = kinds_of(hiding, signature);
        if (of) {
            out->kinds |= of;
            out->dropped++;
            continue;
        }
        bytes_put64(at, pa);
        at += 8;
        out->kept++;
    }
    uint32_t length = (uint32_t)(at - xsdt);
    bytes_put32(xsdt + TABLE_AT_LENGTH, length);
    balance(xsdt, length, TABLE_AT_SUM);
    return out->dropped ? DAM_OK : DAM_E_ABSENT;
}

static void fill_rsdp(uint8_t *rsdp, const uint8_t *oem, uint32_t rsdt, uint64_t xsdt)
{
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + RSDP_AT_OEM, oem, RSDP_OEM_SIZE);
    rsdp[RSDP_AT_REVISION] = 2;
    bytes_put32(rsdp + RSDP_AT_RSDT, rsdt);
    bytes_put32(rsdp + RSDP_AT_LENGTH, RSDP_SIZE);
    bytes_put64(rsdp + RSDP_AT_XSDT, xsdt);
    balance(rsdp, RSDP_SUM_PART, RSDP_AT_SUM);
    balance(rsdp, RSDP_SIZE, RSDP_AT_SUM_WHOLE);
}

static dam_err rebuild(const struct hiding *hiding, const struct acpi_rsdp *old, struct acpi_hidden *out)
{
    const struct dam_ops *ops = hiding->ops;
    struct dam_arena *pool = hiding->pool;
    struct acpi_root root;
    void *xsdt, *rsdp;
    uint8_t oem[RSDP_OEM_SIZE];
    dam_err err = acpi_open_root(ops, pool, old, &root);
    if (!err)
        err = dam_mem_read(ops, dam_pa_of(old->pa.v + RSDP_AT_OEM), oem, sizeof(oem));
    if (!err)
        err = dam_arena_record(pool, ACPI_HEADER_SIZE + (size_t)root.count * 8, &xsdt);
    if (!err)
        err = dam_arena_record(pool, RSDP_SIZE, &rsdp);
    if (!err)
        err = copy_list(hiding, &root, xsdt, out);
    if (err)
        return err;
    fill_rsdp(rsdp, oem, (uint32_t)old->rsdt.v, dam_arena_pa(pool, xsdt).v);
    out->rsdp = dam_arena_pa(pool, rsdp);
    return DAM_OK;
}

dam_err acpi_hide_iommus(const struct dam_ops *ops, struct dam_arena *pool, const dam_pa *candidates,
                         size_t count, const struct iommu_kind *kinds, unsigned kind_count,
                         struct acpi_hidden *out)
{
    const struct hiding hiding = {ops, pool, kinds, kind_count};
    struct acpi_rsdp old;
    *out = (struct acpi_hidden){0};
    dam_err err = acpi_find_rsdp(ops, candidates, count, &old);
    if (!err)
        err = rebuild(&hiding, &old, out);
    if (err)
        *out = (struct acpi_hidden){0};
    return err;
}

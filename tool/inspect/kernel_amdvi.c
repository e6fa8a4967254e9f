// SPDX-License-Identifier: MIT
// The AMD IOMMUs as Linux's driver knew them: drivers/iommu/amd/init.c keeps amd_iommu_list, a list of struct
// amd_iommu, each of which leads to the struct amd_iommu_pci_seg of its segment, which has the device table
// (amd_iommu_types.h; so since Linux 6.0, before which VMCOREINFO did not name kallsyms anyway).
#include <assert.h>
#include <stdio.h>

#include "inspect/amdvi.h"
#include "inspect/kernel_parts.h"
#include "iommu/amdvi/regs.h"

enum {
    IOMMU_LIST,
    IOMMU_INDEX,
    IOMMU_BASE,
    IOMMU_SEGMENT,
    SEGMENT_ID,
    SEGMENT_LAST,
    SEGMENT_TABLE,
    NEEDED, // what no kernel lacks
    SEGMENT_SIZE = NEEDED,
    IOMMU_EFR,
    IOMMU_EFR2,
    FIELDS,
};

static const struct kernel_field FIELD[FIELDS] = {
    [IOMMU_LIST] = {"amd_iommu", "list", 0, 0},
    [IOMMU_INDEX] = {"amd_iommu", "index", 0, 0},
    [IOMMU_BASE] = {"amd_iommu", "mmio_phys", 0, 0},
    [IOMMU_SEGMENT] = {"amd_iommu", "pci_seg", 0, 0},
    [SEGMENT_ID] = {"amd_iommu_pci_seg", "id", 0, 0},
    [SEGMENT_LAST] = {"amd_iommu_pci_seg", "last_bdf", 0, 0},
    [SEGMENT_TABLE] = {"amd_iommu_pci_seg", "dev_table", 0, 0},
    [SEGMENT_SIZE] = {"amd_iommu_pci_seg", "dev_table_size", 0, 0},
    [IOMMU_EFR] = {"amd_iommu", "features", 0, 0},
    [IOMMU_EFR2] = {"amd_iommu", "features2", 0, 0},
};

// Bytes of the device table; Linux ≥ 6.18 works it out where it needs it.
static uint64_t table_size(struct kernel_reader *r, uint64_t segment)
{
    uint64_t told = reader_get(r, SEGMENT_SIZE, segment);
    uint64_t wanted = (reader_get(r, SEGMENT_LAST, segment) + 1) * sizeof(struct amdvi_dte),
             size = DAM_PAGE_SIZE;
    while (size < wanted)
        size *= 2;
    return told ? told : size;
}

static void read_table(struct kernel_reader *r, uint64_t segment, uint64_t va, struct kernel_unit *u)
{
    dam_pa table = {0};
    uint64_t size = table_size(r, segment);
    if (r->status != TOOL_OK)
        return;
    dam_err err = kernel_translate(r->k, va, &table);
    if (err)
        r->status = kernel_unreadable(r->k, &r->error, err, "a device table", va);
    else if (table.v % DAM_PAGE_SIZE || size % DAM_PAGE_SIZE ||
             size > AMDVI_REQUESTERS * sizeof(struct amdvi_dte))
        r->status = tool_fail(&r->error, TOOL_BAD_INPUT, "a device table at 0x%llx of %llu bytes cannot be",
                              (unsigned long long)table.v, (unsigned long long)size);
    u->has_root = r->status == TOOL_OK;
    if (!u->has_root)
        return;
    // The driver keeps no copy of its registers. It has the table from its first steps on, and turns
    // translation on in the last ones.
    u->registers.amdvi.device_table = table.v | (size / DAM_PAGE_SIZE - 1);
    u->registers.amdvi.control = dam_bits_mask(AMDVI_CONTROL_ENABLE);
}

// What the units can do: Linux ≥ 6.7 keeps what all of them have, and may leave the unit's own empty.
static void read_features(struct kernel_reader *r, uint64_t iommu, struct kernel_unit *u)
{
    static const char *const symbols[2] = {"amd_iommu_efr", "amd_iommu_efr2"};
    const struct kernel_field whole = {"u64", "", 0, sizeof(uint64_t)};
    uint64_t *const out[2] = {&u->cap, &u->ecap};
    u->cap = reader_get(r, IOMMU_EFR, iommu);
    u->ecap = reader_get(r, IOMMU_EFR2, iommu);
    if (u->cap != 0)
        return;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t va;
        if (r->status == TOOL_OK && kernel_symbol(r->k, symbols[i], &va))
            r->status = field_read(r->k, &whole, va, out[i], &r->error);
    }
}

// false: nothing of it can be read.
static bool read_unit(struct kernel_reader *r, uint64_t iommu, struct kernel_unit *u)
{
    u->register_base = reader_get(r, IOMMU_BASE, iommu);
    uint64_t index = reader_get(r, IOMMU_INDEX, iommu), segment = reader_get(r, IOMMU_SEGMENT, iommu);
    if (r->status != TOOL_OK)
        return false;
    snprintf(u->name, sizeof u->name, "ivhd%u", (unsigned)index & 0xFFFF); // as in sysfs
    read_features(r, iommu, u);
    if (segment != 0) {
        u->segment = (uint16_t)reader_get(r, SEGMENT_ID, segment);
        uint64_t table = reader_get(r, SEGMENT_TABLE, segment);
        if (table != 0)
            read_table(r, segment, table, u);
    }
    u->known = r->status == TOOL_OK;
    return true;
}

enum tool_status kernel_amdvi_units(const struct kernel *k, struct kernel_array *units, bool *driver,
                                    struct tool_error *error)
{
    static const struct kernel_driver DRIVER = {
        .symbol = "amd_iommu_list",
        .what = "the list amd_iommu_list",
        .kind = DAM_IOMMU_AMDVI,
        .fields = FIELD,
        .count = FIELDS,
        .needed = NEEDED,
        .unit = read_unit,
    };
    static_assert(FIELDS <= KERNEL_UNIT_FIELDS, "fields of a unit");
    return driver_units(k, &DRIVER, units, driver, error);
}

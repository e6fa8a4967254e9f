// SPDX-License-Identifier: MIT
// The AMD IOMMUs as Linux's driver knew them: drivers/iommu/amd/init.c keeps amd_iommu_list, a list of struct
// amd_iommu, each of which leads to the struct amd_iommu_pci_seg of its segment, which has the device table
// (amd_iommu_types.h; so since Linux 6.0, before which VMCOREINFO did not name kallsyms anyway).
#include <stdio.h>
#include <string.h>

#include "inspect/amdvi.h"
#include "inspect/kernel_parts.h"
#include "iommu/amdvi/regs.h"

#define UNITS_MOST 1024u

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

struct reader {
    const struct kernel *k;
    struct kernel_field field[FIELDS];
    enum tool_status status; // of this unit: the first thing that went wrong
    struct tool_error error;
};

// 0 also for a member that this kernel does not have.
static uint64_t get(struct reader *r, unsigned field, uint64_t va)
{
    uint64_t value = 0;
    if (r->status == TOOL_OK && r->field[field].size)
        r->status = field_read(r->k, &r->field[field], va, &value, &r->error);
    return value;
}

// Bytes of the device table; Linux ≥ 6.18 works it out where it needs it.
static uint64_t table_size(struct reader *r, uint64_t segment)
{
    uint64_t told = get(r, SEGMENT_SIZE, segment);
    uint64_t wanted = (get(r, SEGMENT_LAST, segment) + 1) * sizeof(struct amdvi_dte), size = DAM_PAGE_SIZE;
    while (size < wanted)
        size *= 2;
    return told ? told : size;
}

static void read_table(struct reader *r, uint64_t segment, uint64_t va, struct kernel_unit *u)
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
static void read_features(struct reader *r, uint64_t iommu, struct kernel_unit *u)
{
    static const char *const symbols[2] = {"amd_iommu_efr", "amd_iommu_efr2"};
    const struct kernel_field whole = {"u64", "", 0, sizeof(uint64_t)};
    uint64_t *const out[2] = {&u->cap, &u->ecap};
    u->cap = get(r, IOMMU_EFR, iommu);
    u->ecap = get(r, IOMMU_EFR2, iommu);
    if (u->cap != 0)
        return;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t va;
        if (r->status == TOOL_OK && kernel_symbol(r->k, symbols[i], &va))
            r->status = field_read(r->k, &whole, va, out[i], &r->error);
    }
}

// false: nothing of it can be read.
static bool read_unit(struct reader *r, uint64_t iommu, struct kernel_unit *u)
{
    r->status = TOOL_OK;
    u->register_base = get(r, IOMMU_BASE, iommu);
    uint64_t index = get(r, IOMMU_INDEX, iommu), segment = get(r, IOMMU_SEGMENT, iommu);
    if (r->status != TOOL_OK)
        return false;
    snprintf(u->name, sizeof u->name, "ivhd%u", (unsigned)index & 0xFFFF); // as in sysfs
    read_features(r, iommu, u);
    if (segment != 0) {
        u->segment = (uint16_t)get(r, SEGMENT_ID, segment);
        uint64_t table = get(r, SEGMENT_TABLE, segment);
        if (table != 0)
            read_table(r, segment, table, u);
    }
    u->known = r->status == TOOL_OK;
    return true;
}

enum tool_status kernel_amdvi_units(const struct kernel *k, struct kernel_array *units, bool *driver,
                                    struct tool_error *error)
{
    struct reader r = {.k = k};
    struct kernel_list list;
    struct tool_error list_error;
    enum tool_status list_status;
    uint64_t head, node;
    *driver = kernel_symbol(k, "amd_iommu_list", &head);
    if (!*driver || list_is_empty(k, head)) // of a machine of another maker
        return TOOL_OK;
    memcpy(r.field, FIELD, sizeof r.field);
    enum tool_status status = fields_find(k, r.field, NEEDED, error);
    if (status != TOOL_OK)
        return status;
    for (unsigned i = NEEDED; i < FIELDS; i++)
        if (!kernel_member(k, r.field[i].structure, r.field[i].member, &r.field[i].offset, &r.field[i].size))
            r.field[i].size = 0;
    list_begin(k, "the list amd_iommu_list", head, UNITS_MOST, &list);
    while (list_next(&list, &node, &list_status, &list_error)) {
        struct kernel_unit *u = array_add(units, sizeof *u);
        if (u == NULL) {
            list_status = tool_fail(&list_error, TOOL_SYSTEM, "out of memory");
            break;
        }
        u->kind = DAM_IOMMU_AMDVI;
        if (!read_unit(&r, node - r.field[IOMMU_LIST].offset, u))
            units->count--;
        status = first_error(status, r.status, &r.error, error);
    }
    return first_error(status, list_status, &list_error, error);
}

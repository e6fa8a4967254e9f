// SPDX-License-Identifier: MIT
// The VT-d units as Linux's driver knew them: drivers/iommu/intel/dmar.c keeps dmar_drhd_units, a list of
// struct dmar_drhd_unit, each of which leads to its struct intel_iommu (drivers/iommu/intel/iommu.h).
#include <stdlib.h>
#include <string.h>

#include "inspect/kernel_parts.h"
#include "inspect/vtd.h"
#include "iommu/vtd/regs.h"

#define MAX_DRHDS 1024u

enum {
    DRHD_LIST,
    DRHD_BASE,
    DRHD_SEGMENT,
    DRHD_IOMMU,
    IOMMU_CAP,
    IOMMU_ECAP,
    IOMMU_GCMD,
    IOMMU_ROOT,
    IOMMU_NAME,
    FIELDS,
};

static const struct kernel_field FIELD[FIELDS] = {
    [DRHD_LIST] = {"dmar_drhd_unit", "list", 0, 0},
    [DRHD_BASE] = {"dmar_drhd_unit", "reg_base_addr", 0, 0},
    [DRHD_SEGMENT] = {"dmar_drhd_unit", "segment", 0, 0},
    [DRHD_IOMMU] = {"dmar_drhd_unit", "iommu", 0, 0},
    [IOMMU_CAP] = {"intel_iommu", "cap", 0, 0},
    [IOMMU_ECAP] = {"intel_iommu", "ecap", 0, 0},
    [IOMMU_GCMD] = {"intel_iommu", "gcmd", 0, 0},
    [IOMMU_ROOT] = {"intel_iommu", "root_entry", 0, 0},
    [IOMMU_NAME] = {"intel_iommu", "name", 0, 0},
};

struct reader {
    const struct kernel *k;
    struct kernel_field field[FIELDS];
    bool wants_scalable;     // intel_iommu_sm: scalable mode where a unit has it
    enum tool_status status; // of this unit: the first thing that went wrong
    struct tool_error error;
};

static uint64_t get(struct reader *r, unsigned field, uint64_t va)
{
    uint64_t value = 0;
    if (r->status == TOOL_OK)
        r->status = field_read(r->k, &r->field[field], va, &value, &r->error);
    return value;
}

static void read_root(struct reader *r, uint64_t va, struct kernel_unit *u)
{
    dam_pa root;
    dam_err err = kernel_translate(r->k, va, &root);
    if (err)
        r->status = kernel_unreadable(r->k, &r->error, err, "a root table", va);
    else if (root.v % DAM_PAGE_SIZE != 0)
        r->status = tool_fail(&r->error, TOOL_BAD_INPUT, "a root table at 0x%llx cannot be: not a page",
                              (unsigned long long)root.v);
    u->has_root = r->status == TOOL_OK;
    if (u->has_root)
        u->registers.vtd.rtaddr |= root.v & dam_bits_mask(VTD_RTADDR_RTA);
}

static void read_iommu(struct reader *r, uint64_t iommu, struct kernel_unit *u)
{
    u->cap = get(r, IOMMU_CAP, iommu);
    u->ecap = get(r, IOMMU_ECAP, iommu);
    u->registers.vtd.gsts = (uint32_t)get(r, IOMMU_GCMD, iommu);
    // The driver has one switch for all units (sm_supported() in iommu.h).
    bool scalable = r->wants_scalable && dam_bits_get(u->ecap, VTD_ECAP_SMTS);
    u->registers.vtd.rtaddr = dam_bits_put(scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY, VTD_RTADDR_TTM);
    if (!kernel_string(r->k, iommu + r->field[IOMMU_NAME].offset, u->name, sizeof u->name))
        u->name[0] = '\0';
    uint64_t root = get(r, IOMMU_ROOT, iommu);
    if (root != 0)
        read_root(r, root, u);
}

// false: nothing of it can be read.
static bool read_unit(struct reader *r, uint64_t drhd, struct kernel_unit *u)
{
    r->status = TOOL_OK;
    u->register_base = get(r, DRHD_BASE, drhd);
    u->segment = (uint16_t)get(r, DRHD_SEGMENT, drhd);
    uint64_t iommu = get(r, DRHD_IOMMU, drhd);
    if (r->status != TOOL_OK)
        return false;
    if (iommu != 0)
        read_iommu(r, iommu, u);
    u->known = r->status == TOOL_OK;
    return true;
}

static enum tool_status begin(struct reader *r, struct tool_error *error)
{
    uint64_t va, value;
    struct kernel_field number = {"int", "", 0, 4};
    memcpy(r->field, FIELD, sizeof r->field);
    enum tool_status status = fields_find(r->k, r->field, FIELDS, error);
    if (status != TOOL_OK || !kernel_symbol(r->k, "intel_iommu_sm", &va))
        return status; // a driver older than scalable mode has no such switch
    status = field_read(r->k, &number, va, &value, error);
    r->wants_scalable = status == TOOL_OK && value != 0;
    return status;
}

enum tool_status kernel_vtd_units(const struct kernel *k, struct kernel_array *units, bool *driver,
                                  struct tool_error *error)
{
    struct reader r = {.k = k};
    struct kernel_list list;
    struct tool_error list_error;
    enum tool_status list_status;
    uint64_t head, node;
    *driver = kernel_symbol(k, "dmar_drhd_units", &head);
    if (!*driver || list_is_empty(k, head)) // of a machine of another maker
        return TOOL_OK;
    enum tool_status status = begin(&r, error);
    if (status != TOOL_OK)
        return status;
    list_begin(k, "the list dmar_drhd_units", head, MAX_DRHDS, &list);
    while (list_next(&list, &node, &list_status, &list_error)) {
        struct kernel_unit *u = array_add(units, sizeof *u);
        if (u == NULL) {
            list_status = tool_fail(&list_error, TOOL_SYSTEM, "out of memory");
            break;
        }
        u->kind = DAM_IOMMU_VTD;
        if (!read_unit(&r, node - r.field[DRHD_LIST].offset, u))
            units->count--;
        status = first_error(status, r.status, &r.error, error);
    }
    return first_error(status, list_status, &list_error, error);
}

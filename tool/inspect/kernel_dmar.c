// SPDX-License-Identifier: MIT
// The VT-d units as Linux's driver knew them: drivers/iommu/intel/dmar.c keeps dmar_drhd_units, a list of
// struct dmar_drhd_unit, each of which leads to its struct intel_iommu (drivers/iommu/intel/iommu.h).

#include <assert.h>

#include "inspect/kernel_parts.h"
#include "inspect/vtd.h"
#include "iommu/vtd/regs.h"

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

static void read_root(struct kernel_reader *r, uint64_t va, struct kernel_unit *u)
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

static void read_iommu(struct kernel_reader *r, uint64_t iommu, struct kernel_unit *u)
{
    u->cap = reader_get(r, IOMMU_CAP, iommu);
    u->ecap = reader_get(r, IOMMU_ECAP, iommu);
    u->registers.vtd.gsts = (uint32_t)reader_get(r, IOMMU_GCMD, iommu);
    // The driver has one switch for all units (sm_supported() in iommu.h): scalable mode where a unit has it.
    bool scalable = r->choice && dam_bits_get(u->ecap, VTD_ECAP_SMTS);
    u->registers.vtd.rtaddr = dam_bits_put(scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY, VTD_RTADDR_TTM);
    if (!kernel_string(r->k, iommu + r->field[IOMMU_NAME].offset, u->name, sizeof u->name))
        u->name[0] = '\0';
    uint64_t root = reader_get(r, IOMMU_ROOT, iommu);
    if (root != 0)
        read_root(r, root, u);
}

// false: nothing of it can be read.
static bool read_unit(struct kernel_reader *r, uint64_t drhd, struct kernel_unit *u)
{
    u->register_base = reader_get(r, DRHD_BASE, drhd);
    u->segment = (uint16_t)reader_get(r, DRHD_SEGMENT, drhd);
    uint64_t iommu = reader_get(r, DRHD_IOMMU, drhd);
    if (r->status != TOOL_OK)
        return false;
    if (iommu != 0)
        read_iommu(r, iommu, u);
    u->known = r->status == TOOL_OK;
    return true;
}

static enum tool_status begin(struct kernel_reader *r, struct tool_error *error)
{
    uint64_t va, value;
    struct kernel_field number = {"int", "", 0, 4};
    if (!kernel_symbol(r->k, "intel_iommu_sm", &va))
        return TOOL_OK; // a driver older than scalable mode has no such switch
    enum tool_status status = field_read(r->k, &number, va, &value, error);
    r->choice = status == TOOL_OK && value != 0;
    return status;
}

enum tool_status kernel_vtd_units(const struct kernel *k, struct kernel_array *units, bool *driver,
                                  struct tool_error *error)
{
    static const struct kernel_driver DRIVER = {
        .symbol = "dmar_drhd_units",
        .what = "the list dmar_drhd_units",
        .kind = DAM_IOMMU_VTD,
        .fields = FIELD,
        .count = FIELDS,
        .needed = FIELDS,
        .begin = begin,
        .unit = read_unit,
    };
    static_assert(FIELDS <= KERNEL_UNIT_FIELDS, "fields of a unit");
    return driver_units(k, &DRIVER, units, driver, error);
}

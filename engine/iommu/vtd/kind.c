// SPDX-License-Identifier: MIT
#include "iommu/vtd/kind.h"

#include "iommu/vtd/lookup.h"
#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

static dam_err choose_mode(struct iommu_unit *iommu, bool legacy)
{
    struct vtd_unit *unit = vtd_of(iommu);
    // A Linux that finds tables of another mode than its own choice turns translation off.
    unit->scalable = dam_bits_get(iommu->ecap, VTD_ECAP_SMTS) && !legacy;
    unit->ttm = unit->scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY;
    return DAM_OK;
}

// With caching mode id 0 marks what is not present (6.1).
static bool reserves_did(const struct iommu_unit *unit, uint16_t did)
{
    return did == 0 && dam_bits_get(unit->cap, VTD_CAP_CM);
}

static enum dam_stage stage(const struct iommu_unit *unit)
{
    bool second = !vtd_of_const(unit)->scalable || dam_bits_get(unit->ecap, VTD_ECAP_SSTS);
    return second ? DAM_STAGE_SECOND : DAM_STAGE_FIRST;
}

static uint8_t levels(const struct iommu_unit *unit, enum dam_stage of, uint64_t end)
{
    uint8_t n = 0;
    if (of == DAM_STAGE_FIRST)
        return 4; // every unit has that
    for (uint8_t aw = 1; aw <= 3 && (!n || pt_span(n) < end); aw++)
        if (vtd_width_supported(vtd_of_const(unit), aw))
            n = (uint8_t)(aw + 2);
    return n ? n : VTD_MAX_LEVELS;
}

static struct pt_params params(const struct iommu_unit *unit, enum dam_stage of, uint8_t n)
{
    return vtd_tree_params(vtd_of_const(unit), unit->host_address_width, of, n);
}

static void format(enum dam_stage of, struct pt_format *out)
{
    if (of == DAM_STAGE_FIRST)
        pt_format_vtdfs(out);
    else
        pt_format_vtdss(out);
}

static dam_err read_registers(const struct iommu_unit *unit, union dam_unit_registers *out)
{
    return vtd_registers_read(vtd_of_const(unit), &out->vtd);
}

static bool is_switched(const struct iommu_unit *unit)
{
    return unit->after.vtd.rtaddr != unit->before.vtd.rtaddr;
}

static bool reaches_devices(const struct iommu_unit *unit)
{
    return vtd_of_const(unit)->queue;
}

static bool asks_physical(const struct iommu_unit *unit)
{
    return dam_bits_get(unit->ecap, VTD_ECAP_DIT);
}

void vtd_kind(struct iommu_kind *out)
{
    *out = (struct iommu_kind){.id = DAM_IOMMU_VTD,
                               .signature = "DMAR",
                               .driver = "intel_iommu",
                               .max_levels = VTD_MAX_LEVELS,
                               .unit_size = sizeof(struct vtd_unit)};
    out->read_firmware = vtd_read_firmware;
    out->probe = vtd_probe;
    out->choose_mode = choose_mode;
    out->domain_ids = vtd_domain_ids;
    out->reserves_did = reserves_did;
    out->stage = stage;
    out->levels = levels;
    out->params = params;
    out->format = format;
    out->read_tables = vtd_read_tables;
    out->make_tables = vtd_make_tables;
    out->place = vtd_place;
    out->next_function = vtd_next_function;
    out->plan = vtd_plan;
    out->bind = vtd_bind;
    out->has_refuge = vtd_has_refuge;
    out->fill_refuge = vtd_fill_refuge;
    out->spread = vtd_spread;
    out->plan_interrupts = vtd_plan_interrupts;
    out->prepare = vtd_prepare;
    out->switch_tables = vtd_switch_tables;
    out->raise = vtd_raise;
    out->commit_interrupts = vtd_commit_interrupts;
    out->commit_state = vtd_commit_state;
    out->make_bare = vtd_make_bare;
    out->rebind = vtd_rebind;
    out->flush = vtd_flush;
    out->verify_registers = vtd_verify_registers;
    out->verify_tables = vtd_verify_tables;
    out->verify_entry = vtd_verify_entry;
    out->read_registers = read_registers;
    out->is_switched = is_switched;
    out->has_device_tlbs = vtd_has_device_tlbs;
    out->reaches_devices = reaches_devices;
    out->asks_physical = asks_physical;
    out->device_tlb_put = vtd_device_tlb_put;
    out->device_tlb_run = vtd_device_tlb_run;
}

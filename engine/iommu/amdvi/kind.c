// SPDX-License-Identifier: MIT
#include "iommu/amdvi/kind.h"

#include "iommu/amdvi/regs.h"
#include "iommu/amdvi/unit.h"

// Two units that translate by one table: Linux goes on from such a pair only as long as they still do.
static bool shares_tables(const struct iommu_unit *a, const struct iommu_unit *b)
{
    const struct amdvi_device_table *x = &amdvi_of_const(a)->old_table, *y = &amdvi_of_const(b)->old_table;
    if (a->raise && b->raise)
        return true;
    bool same = x->log2_segments == y->log2_segments;
    for (unsigned i = 0; same && i < amdvi_segments(x); i++)
        same = x->reg[i] == y->reg[i];
    return same;
}

// There is one mode.
static dam_err choose_mode(struct iommu_unit *unit, bool legacy)
{
    (void)legacy;
    return amdvi_host_levels(&amdvi_of_const(unit)->features) ? DAM_OK : DAM_E_UNSUPPORTED;
}

static uint32_t domain_ids(const struct iommu_unit *unit)
{
    (void)unit;
    return 65536;
}

// A unit without host tables is left alone.
static enum dam_stage stage(const struct iommu_unit *unit)
{
    (void)unit;
    return DAM_STAGE_SECOND;
}

static uint8_t levels(const struct iommu_unit *iommu, enum dam_stage which, uint64_t end)
{
    const struct amdvi_unit *unit = amdvi_of_const(iommu);
    if (which == DAM_STAGE_FIRST)
        return unit->guest_levels ? unit->guest_levels : 4;
    uint8_t most = amdvi_host_levels(&unit->features), n = 3;
    while (n < most && pt_span(n) < end)
        n++;
    return n;
}

static struct pt_params params(const struct iommu_unit *unit, enum dam_stage which, uint8_t n)
{
    return amdvi_tree_params(&amdvi_of_const(unit)->features, which, n);
}

static void format(enum dam_stage which, struct pt_format *out)
{
    if (which == DAM_STAGE_FIRST)
        pt_format_amdv2(out);
    else
        pt_format_amdv1(out);
}

// Entries with host tables have rights of their own; what these mean for guest tables alone is not certain,
// and there the root table says it. So it does where management messages pass as posted writes: such an entry
// needs IW (erratum 63).
static bool has_rights(const struct iommu_unit *unit, const struct iommu_binding *old)
{
    (void)unit;
    return old->stage != DAM_STAGE_FIRST && dam_bits_get(old->raw[1], AMDVI_DTE_SYSMGT) != 1;
}

void amdvi_kind(struct iommu_kind *out)
{
    *out = (struct iommu_kind){
        .id = DAM_IOMMU_AMDVI,
        .signature = "IVRS",
        .driver = "amd_iommu",
        .max_levels = AMDVI_MAX_LEVELS,
        .unit_size = sizeof(struct amdvi_unit),
        .by_function = true,
        .low_bytes = amdvi_low_bytes,
        .read_firmware = amdvi_read_firmware,
        .probe = amdvi_probe,
        .shares_tables = shares_tables,
        .serves = amdvi_serves,
        .choose_mode = choose_mode,
        .domain_ids = domain_ids,
        .stage = stage,
        .levels = levels,
        .params = params,
        .format = format,
        .has_rights = has_rights,
        .leaf_rights_count = amdvi_leaf_rights_count,
        .read_tables = amdvi_read_tables,
        .make_tables = amdvi_make_tables,
        .is_among_others = amdvi_is_among_others,
        .place = amdvi_place,
        .next_function = amdvi_next_function,
        .plan = amdvi_plan,
        .bind = amdvi_bind,
        .has_refuge = amdvi_has_refuge,
        .fill_refuge = amdvi_fill_refuge,
        .spread = amdvi_spread,
        .plan_interrupts = amdvi_plan_interrupts,
        .prepare = amdvi_prepare,
        .switch_tables = amdvi_switch_tables,
        .raise = amdvi_raise,
        .commit_state = amdvi_commit_state,
        .rebind = amdvi_rebind,
        .flush = amdvi_flush,
        .verify_registers = amdvi_verify_registers,
        .verify_tables = amdvi_verify_tables,
        .verify_entry = amdvi_verify_entry,
        .read_registers = amdvi_read_registers,
        .is_switched = amdvi_is_switched,
        .has_device_tlbs = amdvi_has_device_tlbs,
        .reaches_devices = amdvi_reaches_devices,
        .asks_physical = amdvi_asks_physical,
        .device_tlb_put = amdvi_device_tlb_put,
        .device_tlb_run = amdvi_device_tlb_run,
    };
}

// SPDX-License-Identifier: MIT
// Commit: swap the root pointer to an exact copy of the old root and context tables, then lead each bus over
// to its planned context table, each step with its flushes (VT-d architecture specification, 6.6 and 11.4.5:
// while DMA is active a new root table must give the same results as the old one).
#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

dam_err vtd_plan(struct iommu_unit *unit)
{
    return dam_arena_pages(unit->pool, 3, &vtd_of(unit)->queue_pages);
}

dam_err vtd_flush(struct iommu_unit *iommu)
{
    struct vtd_unit *unit = vtd_of(iommu);
    dam_barrier(iommu->ops);
    dam_err err = vtd_flush_write_buffer(unit);
    return err ? err : vtd_invalidate_all(unit);
}

// One 64-bit store a context table: the hardware sees all of the old context table or all of the new one, and
// no requester is without a table in between.
static void lead_root(struct vtd_unit *unit)
{
    for (unsigned half = 0; half < VTD_HALVES; half++)
        if (unit->planned[half])
            *(volatile uint64_t *)&unit->root_table[half / 2].w[half % 2] =
                vtd_root_encode(dam_arena_pa(unit->iommu.pool, unit->planned[half]));
    dam_cache_flush(unit->iommu.ops, unit->root_table, DAM_PAGE_SIZE);
    dam_barrier(unit->iommu.ops);
}

// Masks the events of a unit, flushes the write buffer and takes its invalidation interface. Nothing that
// translates has changed when this fails. Errors of vtd_take_invalidation().
static dam_err quiet(struct vtd_unit *unit)
{
    dam_err err = vtd_mask_events(unit);
    if (!err)
        err = vtd_flush_write_buffer(unit);
    return err ? err : vtd_take_invalidation(unit, unit->iommu.pool, unit->queue_pages);
}

static dam_err set_root(struct vtd_unit *unit)
{
    return vtd_set_root(unit, dam_arena_pa(unit->iommu.pool, unit->root_table), unit->ttm);
}

// Everything up to here leaves a unit on its old tables.
static dam_err prepare_translating(struct vtd_unit *unit)
{
    const struct iommu_unit *iommu = &unit->iommu;
    dam_err err = quiet(unit);
    if (unit->old_queue_dropped)
        iommu_report(iommu, DAM_F_QUEUE_DROPPED, iommu->before.vtd.iqh, iommu->before.vtd.iqt);
    if (err)
        return err;
    // It is tried before anything depends on it: a flush more changes nothing.
    err = vtd_invalidate_all(unit);
    if (err)
        vtd_give_invalidation_back(unit);
    return err == DAM_E_TIMEOUT || err == DAM_E_VERIFY ? DAM_E_STATE : err;
}

// Planned tables from the first moment: nobody was translated before. The root pointer before the first
// flush: some units hang in a flush of contexts before one was ever set.
static dam_err prepare_off(struct vtd_unit *unit)
{
    dam_err err = quiet(unit);
    if (err)
        return err;
    lead_root(unit);
    err = set_root(unit);
    if (!err)
        err = vtd_invalidate_all(unit);
    if (err)
        vtd_give_invalidation_back(unit);
    return err;
}

dam_err vtd_prepare(struct iommu_unit *unit)
{
    return unit->raise ? prepare_off(vtd_of(unit)) : prepare_translating(vtd_of(unit));
}

dam_err vtd_switch_tables(struct iommu_unit *iommu)
{
    struct vtd_unit *unit = vtd_of(iommu);
    uint64_t start = dam_clock_us(iommu->ops);
    dam_err err = set_root(unit);
    if (!err)
        err = vtd_invalidate_all(unit);
    iommu->us_switch = (uint32_t)(dam_clock_us(iommu->ops) - start);
    if (err)
        return err;
    lead_root(unit);
    return vtd_flush(iommu);
}

dam_err vtd_raise(struct iommu_unit *iommu)
{
    uint64_t start = dam_clock_us(iommu->ops);
    dam_err err = vtd_set_translation_on(vtd_of(iommu));
    iommu->us_switch = (uint32_t)(dam_clock_us(iommu->ops) - start);
    return err;
}

// A kernel that knows of no IOMMU sends interrupts in the old format and does not open protected regions.
dam_err vtd_make_bare(struct iommu_unit *iommu)
{
    dam_err err = vtd_set_interrupt_remapping_off(vtd_of(iommu));
    return err ? err : vtd_open_protected_memory(vtd_of(iommu));
}

// ---- verification
static bool verify_register(const struct iommu_unit *unit, uint16_t reg, uint64_t value, uint64_t want)
{
    if (value == want)
        return true;
    iommu_report(unit, DAM_F_VERIFY_REGISTER, unit->base.v + reg, value);
    return false;
}

dam_err vtd_verify_registers(struct iommu_unit *iommu, bool *ok)
{
    const struct vtd_unit *unit = vtd_of(iommu);
    const struct dam_vtd_registers *after = &iommu->after.vtd;
    dam_err err = vtd_registers_read(unit, &iommu->after.vtd);
    if (err)
        return err;
    *ok = verify_register(iommu, VTD_RTADDR_REG, after->rtaddr,
                          dam_arena_pa(iommu->pool, unit->root_table).v |
                              dam_bits_put(unit->ttm, VTD_RTADDR_TTM));
    *ok &=
        verify_register(iommu, VTD_GSTS_REG, after->gsts & dam_bits_mask(VTD_G_TE), dam_bits_mask(VTD_G_TE));
    if (unit->irta) {
        *ok &= verify_register(iommu, VTD_IRTA_REG, after->irta, unit->irta);
        *ok &= verify_register(iommu, VTD_GSTS_REG, after->gsts & dam_bits_mask(VTD_G_IRE),
                               dam_bits_mask(VTD_G_IRE));
    }
    if (unit->queue)
        *ok &= verify_register(iommu, VTD_IQA_REG, after->iqa & dam_bits_mask(VTD_IQA_IQA), unit->queue_pa.v);
    return DAM_OK;
}

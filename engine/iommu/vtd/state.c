// SPDX-License-Identifier: MIT
// How the old kernel left a unit: its mode, and what there is besides its tables: the invalidation queue,
// errors, faults, page requests. Told as findings before anything is cleared; nothing of it is believed
// later.
#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

static void tell(const struct iommu_unit *unit, const struct dam_finding *finding)
{
    unit->listener->finding(unit->listener->ctx, finding);
}

static void report_queue_error(const struct iommu_unit *unit)
{
    uint64_t why;
    struct dam_finding f = {
        .code = DAM_F_UNIT_QUEUE_ERROR,
        .level = 255,
        .address = unit->base.v + VTD_FSTS_REG,
        .raw = unit->before.vtd.fsts,
    };
    if (!vtd_queue_error(vtd_of_const(unit), &why))
        f.index = (uint16_t)dam_bits_get(why, VTD_IQERCD_IQEI);
    tell(unit, &f);
}

static void report_queue(const struct iommu_unit *unit)
{
    const struct dam_vtd_registers *r = &unit->before.vtd;
    const uint64_t pointer = dam_bits_mask(VTD_IQ_PTR);
    uint64_t size = (uint64_t)DAM_PAGE_SIZE << dam_bits_get(r->iqa, VTD_IQA_QS);
    uint64_t step = dam_bits_get(r->iqa, VTD_IQA_DW) ? 32 : 16;
    if (!dam_ranges_contain(unit->old_memory->old_ram, r->iqa & dam_bits_mask(VTD_IQA_IQA), size))
        iommu_report(unit, DAM_F_QUEUE_ADDRESS, unit->base.v + VTD_IQA_REG, r->iqa);
    if (((r->iqh | r->iqt) & ~pointer) || r->iqh >= size || r->iqt >= size || (r->iqh | r->iqt) % step)
        iommu_report(unit, DAM_F_QUEUE_POINTER, r->iqh, r->iqt);
}

// Old fault records that become findings; a flood says no more than its beginning.
#define MAX_RECORDS 16u

// The records that wait, the oldest one first.
static void report_faults(const struct iommu_unit *unit)
{
    unsigned count = vtd_fault_records(vtd_of_const(unit)), told = 0;
    unsigned first = (unsigned)dam_bits_get(unit->before.vtd.fsts, VTD_FSTS_FRI);
    for (unsigned i = 0; i < count && told < MAX_RECORDS; i++) {
        unsigned n = (first + i) % count;
        struct vtd_fault fault;
        if (vtd_fault_record(vtd_of_const(unit), n, &fault))
            return;
        if (!dam_bits_get(fault.high, VTD_FAULT_F))
            continue;
        struct dam_finding f = {
            .code = DAM_F_FAULT,
            .level = 255,
            .rid = (uint16_t)dam_bits_get(fault.high, VTD_FAULT_SID),
            .index = (uint16_t)dam_bits_get(fault.high, VTD_FAULT_FR),
            .address = unit->base.v + dam_bits_get(unit->cap, VTD_CAP_FRO) * 16 + n * 16ull,
            .raw = fault.high,
            .iova = fault.low,
        };
        tell(unit, &f);
        told++;
    }
}

static void report_state(const struct iommu_unit *unit)
{
    const struct dam_vtd_registers *r = &unit->before.vtd;
    uint64_t base = unit->base.v, log = 0, pqa = 0;
    const uint64_t queue_errors =
        dam_bits_mask(VTD_FSTS_IQE) | dam_bits_mask(VTD_FSTS_ICE) | dam_bits_mask(VTD_FSTS_ITE);
    if (r->fsts & queue_errors)
        report_queue_error(unit);
    if (r->fsts & ~(queue_errors | dam_bits_mask(VTD_FSTS_FRI))) {
        iommu_report(unit, DAM_F_UNIT_FAULTS, base + VTD_FSTS_REG, r->fsts);
        report_faults(unit);
    }
    if (dam_bits_get(r->gsts, VTD_G_QIE))
        report_queue(unit);
    if (dam_bits_get(r->gsts, VTD_G_EAFL) && !vtd_fault_log(vtd_of_const(unit), &log))
        iommu_report(unit, DAM_F_FAULT_LOG, base + VTD_AFLOG_REG, log);
    if (!vtd_page_request_queue(vtd_of_const(unit), &pqa) && pqa)
        iommu_report(unit, DAM_F_PAGE_QUEUE, base + VTD_PQA_REG, pqa);
    if (dam_bits_get(r->pmen, VTD_PMEN_PRS))
        iommu_report(unit, DAM_F_UNIT_PMR, base + VTD_PMEN_REG, r->pmen);
}

// The table mode stays what it is: it must not be changed while translation is on (11.4.5). A unit that knows
// one mode alone runs in that one, whatever is in its register. In abort-DMA mode nothing passes: it is left
// like that. The other values are none of a mode that exists.
static enum iommu_state classify_mode(struct vtd_unit *unit)
{
    const struct iommu_unit *iommu = &unit->iommu;
    uint64_t rtaddr = iommu->before.vtd.rtaddr;
    enum vtd_mode mode = vtd_mode_of(iommu->ecap, rtaddr);
    unit->scalable = mode == VTD_MODE_SCALABLE;
    unit->ttm = unit->scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY;
    if (mode == VTD_MODE_LEGACY || mode == VTD_MODE_SCALABLE)
        return IOMMU_ON;
    unit->no_root = mode == VTD_MODE_IMPOSSIBLE;
    iommu_report(iommu,
                 mode == VTD_MODE_ABORT ? DAM_F_UNIT_ABORTS
                 : unit->no_root        ? DAM_F_ROOT_MODE
                                        : DAM_F_UNIT_MODE,
                 iommu->base.v + VTD_RTADDR_REG, rtaddr);
    return unit->no_root ? IOMMU_ON : IOMMU_UNSUPPORTED;
}

dam_err vtd_probe(struct iommu_unit *iommu, enum iommu_state *state)
{
    struct vtd_unit *unit = vtd_of(iommu);
    uint32_t host_bridge;
    dam_err err = vtd_unit_probe(unit);
    if (!err)
        err = vtd_registers_read(unit, &iommu->before.vtd);
    if (err)
        return err;
    if (!pci_cfg_read(iommu->pci, 0, pci_rid(0, 0, 0), 0, 4, &host_bridge) &&
        vtd_chipset_hides_rwbf(host_bridge))
        unit->needs_write_buffer_flush = true;
    iommu->state_register = VTD_GSTS_REG;
    iommu->state_value = iommu->before.vtd.gsts;
    report_state(iommu);
    *state = dam_bits_get(iommu->before.vtd.gsts, VTD_G_TE) ? classify_mode(unit) : IOMMU_OFF;
    return DAM_OK;
}

// Whatever fails here is told, and costs the takeover nothing: the tables are ours.
void vtd_commit_state(struct iommu_unit *iommu)
{
    struct vtd_unit *unit = vtd_of(iommu);
    uint64_t pqa;
    // Both write to old memory by themselves.
    dam_err err = dam_bits_get(iommu->before.vtd.gsts, VTD_G_EAFL) ? vtd_stop_fault_log(unit) : DAM_OK;
    if (!err)
        err = vtd_page_request_queue(unit, &pqa);
    if (!err && pqa)
        err = vtd_move_page_requests(
            unit, dam_arena_pa(iommu->pool, (uint8_t *)unit->queue_pages + 2 * DAM_PAGE_SIZE));
    // What is recorded from here on is ours to answer for, and the capture kernel's.
    if (!err)
        err = vtd_clear_faults(unit);
    if (err)
        iommu_report(iommu, DAM_F_STATE_LEFT, iommu->base.v + iommu->waited_register, (uint64_t)err);
}

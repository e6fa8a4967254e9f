// SPDX-License-Identifier: MIT
// What the old kernel left in a unit besides its tables: the invalidation queue, errors, faults, page
// requests. Told as findings before anything is cleared; nothing of it is believed later.
#include "takeover/takeover.h"

#include "iommu/vtd/regs.h"

static void report_queue_error(struct dam_takeover *t, const struct unit *unit)
{
    uint64_t why;
    struct dam_finding f = {
        .code = DAM_F_UNIT_QUEUE_ERROR,
        .level = 255,
        .unit = unit->index,
        .segment = unit->segment,
        .address = unit->vtd.base.v + VTD_FSTS_REG,
        .raw = unit->before.fsts,
    };
    if (!vtd_queue_error(&unit->vtd, &why))
        f.index = (uint16_t)dam_bits_get(why, VTD_IQERCD_IQEI);
    dam_finding_add(&t->findings, &f);
}

static void report_queue(struct dam_takeover *t, const struct unit *unit)
{
    const struct dam_vtd_registers *r = &unit->before;
    const uint64_t pointer = dam_bits_mask(VTD_IQ_PTR);
    uint64_t size = (uint64_t)DAM_PAGE_SIZE << dam_bits_get(r->iqa, VTD_IQA_QS);
    uint64_t step = dam_bits_get(r->iqa, VTD_IQA_DW) ? 32 : 16;
    if (!dam_ranges_contain(t->config->old_ram, r->iqa & dam_bits_mask(VTD_IQA_IQA), size))
        takeover_report(t, DAM_F_QUEUE_ADDRESS, unit, NULL, unit->vtd.base.v + VTD_IQA_REG, r->iqa);
    if (((r->iqh | r->iqt) & ~pointer) || r->iqh >= size || r->iqt >= size || (r->iqh | r->iqt) % step)
        takeover_report(t, DAM_F_QUEUE_POINTER, unit, NULL, r->iqh, r->iqt);
}

// Old fault records that become findings; a flood says no more than its beginning.
#define MAX_RECORDS 16u

// The records that wait, the oldest one first.
static void report_faults(struct dam_takeover *t, const struct unit *unit)
{
    unsigned count = vtd_fault_records(&unit->vtd), told = 0;
    unsigned first = (unsigned)dam_bits_get(unit->before.fsts, VTD_FSTS_FRI);
    for (unsigned i = 0; i < count && told < MAX_RECORDS; i++) {
        unsigned n = (first + i) % count;
        struct vtd_fault fault;
        if (vtd_fault_record(&unit->vtd, n, &fault))
            return;
        if (!dam_bits_get(fault.high, VTD_FAULT_F))
            continue;
        struct dam_finding f = {
            .code = DAM_F_FAULT,
            .level = 255,
            .unit = unit->index,
            .segment = unit->segment,
            .rid = (uint16_t)dam_bits_get(fault.high, VTD_FAULT_SID),
            .index = (uint16_t)dam_bits_get(fault.high, VTD_FAULT_FR),
            .address = unit->vtd.base.v + dam_bits_get(unit->vtd.cap, VTD_CAP_FRO) * 16 + n * 16ull,
            .raw = fault.high,
            .iova = fault.low,
        };
        dam_finding_add(&t->findings, &f);
        told++;
    }
}

void takeover_report_state(struct dam_takeover *t, const struct unit *unit)
{
    const struct dam_vtd_registers *r = &unit->before;
    uint64_t base = unit->vtd.base.v, log = 0, pqa = 0;
    const uint64_t queue_errors =
        dam_bits_mask(VTD_FSTS_IQE) | dam_bits_mask(VTD_FSTS_ICE) | dam_bits_mask(VTD_FSTS_ITE);
    if (r->fsts & queue_errors)
        report_queue_error(t, unit);
    if (r->fsts & ~(queue_errors | dam_bits_mask(VTD_FSTS_FRI))) {
        takeover_report(t, DAM_F_UNIT_FAULTS, unit, NULL, base + VTD_FSTS_REG, r->fsts);
        report_faults(t, unit);
    }
    if (dam_bits_get(r->gsts, VTD_G_QIE))
        report_queue(t, unit);
    if (dam_bits_get(r->gsts, VTD_G_EAFL) && !vtd_fault_log(&unit->vtd, &log))
        takeover_report(t, DAM_F_FAULT_LOG, unit, NULL, base + VTD_AFLOG_REG, log);
    if (!vtd_page_request_queue(&unit->vtd, &pqa) && pqa)
        takeover_report(t, DAM_F_PAGE_QUEUE, unit, NULL, base + VTD_PQA_REG, pqa);
    if (dam_bits_get(r->pmen, VTD_PMEN_PRS))
        takeover_report(t, DAM_F_UNIT_PMR, unit, NULL, base + VTD_PMEN_REG, r->pmen);
}

// Whatever fails here is told, and costs the takeover nothing: the tables are ours.
void takeover_commit_state(struct dam_takeover *t, struct unit *unit)
{
    struct vtd_unit *vtd = &unit->vtd;
    uint64_t pqa;
    // Both write to old memory by themselves.
    dam_err err = dam_bits_get(unit->before.gsts, VTD_G_EAFL) ? vtd_stop_fault_log(vtd) : DAM_OK;
    if (!err)
        err = vtd_page_request_queue(vtd, &pqa);
    if (!err && pqa)
        err = vtd_move_page_requests(vtd,
                                     dam_arena_pa(t->pool, (uint8_t *)unit->queue_pages + 2 * DAM_PAGE_SIZE));
    // What is recorded from here on is ours to answer for, and the capture kernel's.
    if (!err)
        err = vtd_clear_faults(vtd);
    if (err)
        takeover_report(t, DAM_F_STATE_LEFT, unit, NULL, vtd->base.v + vtd->waited_register, (uint64_t)err);
}

// SPDX-License-Identifier: MIT
// What the old kernel left in a unit besides its tables: the invalidation queue, errors. Told as findings
// before anything is cleared; nothing of it is believed later.
#include "takeover/takeover.h"

#include "iommu/vtd/regs.h"

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

void takeover_report_state(struct dam_takeover *t, const struct unit *unit)
{
    const struct dam_vtd_registers *r = &unit->before;
    uint64_t base = unit->vtd.base.v;
    const uint64_t queue_errors =
        dam_bits_mask(VTD_FSTS_IQE) | dam_bits_mask(VTD_FSTS_ICE) | dam_bits_mask(VTD_FSTS_ITE);
    if (r->fsts & queue_errors)
        takeover_report(t, DAM_F_UNIT_QUEUE_ERROR, unit, NULL, base + VTD_FSTS_REG, r->fsts);
    else if (r->fsts)
        takeover_report(t, DAM_F_UNIT_FAULTS, unit, NULL, base + VTD_FSTS_REG, r->fsts);
    if (dam_bits_get(r->gsts, VTD_G_QIE))
        report_queue(t, unit);
    if (dam_bits_get(r->pmen, VTD_PMEN_PRS))
        takeover_report(t, DAM_F_UNIT_PMR, unit, NULL, base + VTD_PMEN_REG, r->pmen);
}

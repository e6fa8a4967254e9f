// SPDX-License-Identifier: MIT
#include "iommu/vtd/irq.h"

#include "iommu/vtd/queue.h"
#include "iommu/vtd/regs.h"

#define DESC_IEC   4ull // 6.5.2.4 Interrupt Entry Cache Invalidate; granularity 0: all of it

#define DLM_FIXED  0u
#define DLM_LOWEST 1u
#define DLM_EXTINT 7u
// Below 16 the APIC refuses a vector, below 32 they are the CPU's exceptions. The highest class is where
// every kernel has its own: timer, error, calls between CPUs, "stop this CPU".
#define VECTOR_FIRST 0x20u
#define VECTOR_LAST  0xEFu

enum vtd_irte_kind vtd_irte_judge(struct vtd_irte e, bool extended)
{
    if (!dam_bits_get(e.w[0], VTD_IRTE_P))
        return VTD_IRTE_ABSENT;
    uint64_t svt = dam_bits_get(e.w[1], VTD_IRTE_SVT), dlm = dam_bits_get(e.w[0], VTD_IRTE_DLM);
    if (svt == 3)
        return VTD_IRTE_RESERVED;
    if (dam_bits_get(e.w[0], VTD_IRTE_IM))
        return VTD_IRTE_POSTED;
    uint64_t reserved = dam_bits_mask(VTD_IRTE_RSVD12) | dam_bits_mask(VTD_IRTE_RSVD24);
    if (!extended)
        reserved |= dam_bits_mask(VTD_IRTE_DST_LOW) | dam_bits_mask(VTD_IRTE_DST_HIGH);
    if ((e.w[0] & reserved) || dam_bits_get(e.w[1], VTD_IRTE_RSVD_TOP))
        return VTD_IRTE_RESERVED;
    if (dlm == DLM_EXTINT) // the vector comes from the 8259
        return VTD_IRTE_SOUND;
    uint64_t vector = dam_bits_get(e.w[0], VTD_IRTE_V);
    bool ordinary = dlm == DLM_FIXED || dlm == DLM_LOWEST;
    return ordinary && vector >= VECTOR_FIRST && vector <= VECTOR_LAST ? VTD_IRTE_SOUND : VTD_IRTE_STRANGE;
}

uint32_t vtd_irta_entries(uint64_t irta)
{
    return 2u << dam_bits_get(irta, VTD_IRTA_S);
}

dam_err vtd_set_irta(struct vtd_unit *unit, uint64_t irta)
{
    if (!unit->queue)
        return DAM_E_UNSUPPORTED;
    dam_err err = vtd_set_interrupt_table(unit, irta);
    if (err)
        return err;
    vtd_queue_put(unit, DESC_IEC, 0);
    return vtd_queue_run(unit);
}

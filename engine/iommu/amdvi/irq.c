// SPDX-License-Identifier: MIT
// Interrupt remapping: each requester has a table of its own, which its device table entry names. The tables
// stay where they are, in old memory, and so does their size: a Linux capture kernel goes on with entries
// that are what it would choose itself, and gives up all of them when one is not. 48882, 2.2.5.
#include "iommu/amdvi/unit.h"

#include <cofferdam/range.h>

#include "iommu/amdvi/regs.h"

#define REMAPPED 2u // IntCtl

// Entries of interrupt tables.
#define IRTE_VALID      0, 0
#define IRTE_GUEST      7, 7 // with 128 bits: the hardware writes to a guest's page
#define MAX_TABLE_BYTES (2048u * 16u)
// Pages of interrupt tables that are looked at, all requesters together.
#define MAX_PAGES 4096u

struct looking {
    struct amdvi_unit *unit;
    enum iommu_irqs irqs;
    bool wide;      // entries have 128 bits
    bool may_post;  // some may be written for guests
    uint32_t pages; // left
    uint32_t masked;
};

static void report(const struct looking *k, uint16_t code, uint16_t rid, const struct amdvi_dte *dte)
{
    const struct dam_finding f = {
        .code = code,
        .level = 255,
        .rid = rid,
        .address = dte->w[2] & dam_bits_mask(AMDVI_DTE_INTTABLE),
        .raw = dte->w[2],
    };
    k->unit->iommu.listener->finding(k->unit->iommu.listener->ctx, &f);
}

// Interrupts of the requester are refused, without an event. With a length Linux would not take the entry.
static void silence(struct amdvi_dte *dte)
{
    dte->w[2] &= ~(dam_bits_mask(AMDVI_DTE_INTCTL) | dam_bits_mask(AMDVI_DTE_INTTABLEN));
    dte->w[2] |= dam_bits_mask(AMDVI_DTE_IG);
}

static uint64_t table_bytes(const struct looking *k, const struct amdvi_dte *dte)
{
    return (k->wide ? 16ull : 4ull) << dam_bits_get(dte->w[2], AMDVI_DTE_INTTABLEN);
}

// Counts what is valid on a page, and whether the hardware writes for one of them.
static uint32_t count_page(const struct looking *k, uint64_t from, uint64_t to, bool *posts)
{
    const uint64_t *words = k->unit->iommu.buffer;
    uint32_t count = 0;
    for (uint64_t at = from; at < to; at += k->wide ? 16 : 4) {
        uint64_t raw = words[at % DAM_PAGE_SIZE / 8] >> at % 8 * 8;
        if (!dam_bits_get(raw, IRTE_VALID))
            continue;
        count++;
        *posts |= k->may_post && dam_bits_get(raw, IRTE_GUEST);
    }
    return count;
}

// Looks at the table of a requester. False: it cannot be read.
static bool look(struct looking *k, const struct amdvi_dte *dte, uint32_t *entries, bool *posts)
{
    struct iommu_unit *iommu = &k->unit->iommu;
    const uint64_t start = dte->w[2] & dam_bits_mask(AMDVI_DTE_INTTABLE), bytes = table_bytes(k, dte);
    *entries = 0;
    if (bytes > MAX_TABLE_BYTES || !dam_ranges_contain(iommu->old_memory->old_ram, start, bytes))
        return false;
    for (uint64_t at = start; at < start + bytes && k->pages; k->pages--) {
        const uint64_t page = dam_align_down(at, DAM_PAGE_SIZE), end = start + bytes;
        const uint64_t to = page + DAM_PAGE_SIZE < end ? page + DAM_PAGE_SIZE : end;
        if (dam_mem_read(iommu->ops, dam_pa_of(page), iommu->buffer, DAM_PAGE_SIZE))
            return false;
        *entries += count_page(k, at, to, posts);
        at = to;
    }
    return true;
}

static void plan_entry(struct looking *k, uint16_t rid, struct amdvi_dte *dte)
{
    struct iommu_unit *iommu = &k->unit->iommu;
    uint32_t entries;
    bool posts = false;
    if (k->irqs == IOMMU_IRQS_BARE)
        dte->w[2] &= ~dam_bits_mask(AMDVI_DTE_IV);
    if (!dam_bits_get(dte->w[2], AMDVI_DTE_IV) || dam_bits_get(dte->w[2], AMDVI_DTE_INTCTL) != REMAPPED)
        return;
    const bool known = look(k, dte, &entries, &posts);
    const bool masked = known && !posts && k->irqs == IOMMU_IRQS_MASK && !amdvi_is_special(iommu, rid);
    iommu->irq_entries += entries;
    k->masked += masked ? entries : 0;
    if (known && !posts && !masked)
        return;
    iommu->irq_silenced += entries;
    if (!masked)
        report(k, known ? DAM_F_IRTE_POSTED : DAM_F_IRT_POINTER, rid, dte);
    silence(dte);
}

void amdvi_plan_interrupts(struct iommu_unit *iommu, enum iommu_irqs irqs)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    struct looking k = {.unit = unit, .irqs = irqs, .pages = MAX_PAGES};
    k.wide = dam_bits_get(unit->old_control, AMDVI_CONTROL_GA);
    k.may_post = k.wide && dam_bits_get(unit->old_control, AMDVI_CONTROL_GAM);
    for (uint32_t rid = 0; rid < AMDVI_REQUESTERS; rid++) {
        struct amdvi_dte *planned = amdvi_planned(unit, (uint16_t)rid);
        if (planned)
            plan_entry(&k, (uint16_t)rid, planned);
    }
    if (k.masked)
        iommu_report(iommu, DAM_F_IRTE_MASKED, 0, k.masked);
}

// SPDX-License-Identifier: MIT
// The interrupt remapping table: read once into the pool, where what no device may send is silenced. The
// unit is pointed to the copy once its page tables are ours. Size and mode stay as they are: a Linux capture
// kernel copies the table only if they are what it would choose itself.
#include <cofferdam/acpi.h>

#include "iommu/vtd/irq.h"
#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

#define ENTRIES_PER_PAGE (DAM_PAGE_SIZE / (uint32_t)sizeof(struct vtd_irte))

// A requester that the firmware names as an I/O APIC or HPET of the unit.
struct irq_source {
    struct irq_source *next;
    uint16_t rid;
};

struct irq_copy {
    struct iommu_unit *unit;
    bool extended;
    bool mask;
    struct irq_source *sources; // needed to mask
    uint32_t masked;
};

// So many entries are told one by one; of more, every source is the same one, so that they fold together and
// leave room in the note.
#define MAX_TOLD 16u

static void report_irte(const struct irq_copy *c, uint16_t code, uint32_t index, struct vtd_irte e)
{
    struct dam_finding f = {
        .code = code,
        .level = 255,
        .rid = c->unit->irq_silenced < MAX_TOLD ? (uint16_t)dam_bits_get(e.w[1], VTD_IRTE_SID) : 0,
        .index = (uint16_t)index,
        .address = (c->unit->before.vtd.irta & dam_bits_mask(VTD_IRTA_ADDRESS)) + index * sizeof(e),
        .raw = e.w[0],
    };
    c->unit->listener->finding(c->unit->listener->ctx, &f);
}

// Whether a device sends it that the capture kernel will set up anew if it drives it: a PCI function by its
// requester id. What comes from I/O APICs and HPETs, or may come from anywhere, is not told apart by id.
static bool from_device(const struct irq_copy *c, struct vtd_irte e)
{
    if (dam_bits_get(e.w[1], VTD_IRTE_SVT) == 0)
        return false;
    for (const struct irq_source *s = c->sources; s; s = s->next)
        if (s->rid == dam_bits_get(e.w[1], VTD_IRTE_SID))
            return false;
    return true;
}

// The finding that says why an entry is silenced, or DAM_F_NONE.
static uint16_t entry_fault(struct irq_copy *c, struct vtd_irte e)
{
    switch (vtd_irte_judge(e, c->extended)) {
    case VTD_IRTE_RESERVED:
        return DAM_F_IRTE_RESERVED;
    case VTD_IRTE_STRANGE:
        return DAM_F_IRTE_STRANGE;
    case VTD_IRTE_POSTED:
        return DAM_F_IRTE_POSTED;
    default:
        return DAM_F_NONE;
    }
}

static void check_entries(struct irq_copy *c, struct vtd_irte *page, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < ENTRIES_PER_PAGE; i++) {
        struct vtd_irte e = i < count ? page[i] : VTD_IRTE_SILENT;
        page[i] = VTD_IRTE_SILENT;
        if (!dam_bits_get(e.w[0], VTD_IRTE_P))
            continue;
        c->unit->irq_entries++;
        uint16_t fault = entry_fault(c, e);
        bool mask = !fault && c->mask && from_device(c, e);
        if (fault)
            report_irte(c, fault, first + i, e);
        c->masked += mask;
        if (fault || mask) {
            c->unit->irq_silenced++;
            continue;
        }
        e.w[0] |= dam_bits_mask(VTD_IRTE_FPD);
        page[i] = e;
    }
}

// The requester ids of the I/O APICs and HPETs below the unit, as its DRHD structure names them (8.3.1).
static dam_err find_sources(struct irq_copy *c)
{
    struct dmar_table dmar;
    struct dmar_structure s;
    uint32_t at = 0;
    if (dmar_open(c->unit->firmware->bytes, c->unit->firmware->length, &dmar))
        return DAM_E_ABSENT;
    while (!dmar_next(&dmar, &at, &s)) {
        if (s.type != DMAR_DRHD || s.base != c->unit->base.v)
            continue;
        uint16_t cursor = 0;
        struct dmar_scope scope;
        dam_err err;
        while (!(err = dmar_next_scope(&s, &cursor, &scope)) || err == DAM_E_RANGE) {
            struct pci_target target;
            if (err || (scope.type != DMAR_SCOPE_IOAPIC && scope.type != DMAR_SCOPE_HPET) ||
                pci_scope_resolve(c->unit->pci, s.segment, &scope, &target))
                continue;
            void *record;
            err = dam_arena_record(c->unit->pool, sizeof(struct irq_source), &record);
            if (err)
                return err;
            struct irq_source *source = record;
            *source = (struct irq_source){c->sources, target.rid};
            c->sources = source;
        }
    }
    return DAM_OK;
}

// Reads one page of the table; what cannot be read is silent.
static bool read_page(const struct irq_copy *c, dam_pa pa, struct vtd_irte *page)
{
    return pt_known_table(c->unit->old_memory, pa, pa) &&
           !dam_mem_read(c->unit->ops, pa, page, DAM_PAGE_SIZE);
}

void vtd_plan_interrupts(struct iommu_unit *iommu, enum iommu_irqs irqs)
{
    uint64_t irta = iommu->before.vtd.irta, base = irta & dam_bits_mask(VTD_IRTA_ADDRESS);
    if (irqs == IOMMU_IRQS_BARE || !dam_bits_get(iommu->before.vtd.gsts, VTD_G_IRE))
        return;
    struct irq_copy c = {
        .unit = iommu, .extended = dam_bits_get(irta, VTD_IRTA_EIME), .mask = irqs == IOMMU_IRQS_MASK};
    uint32_t entries = vtd_irta_entries(irta);
    uint32_t pages = (entries + ENTRIES_PER_PAGE - 1) / ENTRIES_PER_PAGE, unread = 0;
    void *copy;
    dam_err err = dam_bits_get(iommu->ecap, VTD_ECAP_QI) ? DAM_OK : DAM_E_UNSUPPORTED;
    if (!err && c.mask)
        err = find_sources(&c);
    if (!err)
        err = dam_arena_pages(iommu->pool, pages, &copy);
    if (err) {
        iommu_report(iommu, DAM_F_IRT_KEPT, base, irta);
        return;
    }
    for (uint32_t i = 0; i < pages; i++) {
        struct vtd_irte *page = (struct vtd_irte *)copy + (size_t)i * ENTRIES_PER_PAGE;
        bool known = read_page(&c, dam_pa_of(base + (uint64_t)i * DAM_PAGE_SIZE), page);
        unread += !known;
        check_entries(&c, page, i * ENTRIES_PER_PAGE, known ? entries - i * ENTRIES_PER_PAGE : 0);
    }
    if (unread)
        iommu_report(iommu, DAM_F_IRT_POINTER, base, irta);
    if (c.masked)
        iommu_report(iommu, DAM_F_IRTE_MASKED, base, c.masked);
    vtd_of(iommu)->irta = dam_arena_pa(iommu->pool, copy).v |
                          (irta & (dam_bits_mask(VTD_IRTA_EIME) | dam_bits_mask(VTD_IRTA_S)));
}

dam_err vtd_commit_interrupts(struct iommu_unit *iommu)
{
    struct vtd_unit *unit = vtd_of(iommu);
    return unit->irta ? vtd_set_irta(unit, unit->irta) : DAM_OK;
}

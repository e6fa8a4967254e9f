// SPDX-License-Identifier: MIT
// Interrupt remapping: each requester has a table of its own, which its device table entry names. The tables
// stay where they are, in old memory, and so does their size: a Linux capture kernel goes on with entries
// that are what it would choose itself, and gives up all of them when one is not. 48882, 2.2.5.
#include "iommu/amdvi/unit.h"

#include <cofferdam/range.h>

#include "iommu/amdvi/regs.h"

// IntCtl.
#define REFUSED  0u
#define AS_IS    1u
#define REMAPPED 2u

// Entries of interrupt tables: 32 bits, or 128 bits with the vector in the second 64.
#define IRTE_VALID       0, 0
#define IRTE_TYPE        4, 2 // 0 fixed, 1 arbitrated; SMI, NMI, INIT, …
#define IRTE_GUEST       7, 7 // with 128 bits: the hardware writes to a guest's page
#define IRTE_VECTOR      23, 16
#define IRTE_WIDE_VECTOR 7, 0 // of the second 64 bits
#define MAX_TABLE_BYTES  (2048u * 16u)
// Pages of interrupt tables that are looked at, all requesters together.
#define MAX_PAGES 4096u

// Below 16 the APIC refuses a vector, below 32 they are the CPU's exceptions. The highest class is where
// every kernel has its own: timer, error, calls between CPUs, "stop this CPU".
#define VECTOR_FIRST 0x20u
#define VECTOR_LAST  0xEFu

struct looking {
    struct amdvi_unit *unit;
    enum iommu_irqs irqs;
    bool wide;       // entries have 128 bits
    bool may_post;   // some may be written for guests
    unsigned length; // IntTabLen that most tables have
    uint32_t pages;  // left
    uint32_t masked;
};

// What was seen in one table.
struct seen {
    uint32_t entries; // valid
    bool posts, strange;
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

// No table: Linux makes an entry lead to one of its own by setting bits, on top of what is there.
static void forget_table(struct amdvi_dte *dte)
{
    dte->w[2] &= ~(dam_bits_mask(AMDVI_DTE_INTCTL) | dam_bits_mask(AMDVI_DTE_INTTABLEN) |
                   dam_bits_mask(AMDVI_DTE_INTTABLE));
}

// Interrupts of the requester are refused, without an event.
static void silence(struct amdvi_dte *dte)
{
    forget_table(dte);
    dte->w[2] |= dam_bits_mask(AMDVI_DTE_IG);
}

// What says nothing that makes sense of its table is not believed about what else passes either.
static void refuse_messages(struct amdvi_dte *dte)
{
    dte->w[2] &=
        ~(dam_bits_mask(AMDVI_DTE_INIT) | dam_bits_mask(AMDVI_DTE_EXTINT) | dam_bits_mask(AMDVI_DTE_NMI) |
          dam_bits_mask(AMDVI_DTE_LINT0) | dam_bits_mask(AMDVI_DTE_LINT1));
}

// ---- looking at tables ------------------------------------------------------------------------------------
static void look_at_entry(const struct looking *k, const uint64_t *words, uint64_t at, struct seen *seen)
{
    const uint64_t raw = words[at % DAM_PAGE_SIZE / 8] >> at % 8 * 8;
    if (!dam_bits_get(raw, IRTE_VALID))
        return;
    seen->entries++;
    if (k->may_post && dam_bits_get(raw, IRTE_GUEST)) {
        seen->posts = true;
        return;
    }
    const uint64_t vector = k->wide ? dam_bits_get(words[at % DAM_PAGE_SIZE / 8 + 1], IRTE_WIDE_VECTOR)
                                    : dam_bits_get(raw, IRTE_VECTOR);
    seen->strange |= dam_bits_get(raw, IRTE_TYPE) > 1 || vector < VECTOR_FIRST || vector > VECTOR_LAST;
}

static uint64_t table_bytes(const struct looking *k, const struct amdvi_dte *dte)
{
    return (k->wide ? 16ull : 4ull) << dam_bits_get(dte->w[2], AMDVI_DTE_INTTABLEN);
}

static bool is_known(const struct looking *k, const struct amdvi_dte *dte)
{
    const uint64_t bytes = table_bytes(k, dte);
    return bytes <= MAX_TABLE_BYTES &&
           dam_ranges_contain(k->unit->iommu.old_memory->old_ram,
                              dte->w[2] & dam_bits_mask(AMDVI_DTE_INTTABLE), bytes);
}

// Looks at the table of a requester, which is in known memory. False: it cannot be read.
static bool look(struct looking *k, const struct amdvi_dte *dte, struct seen *seen)
{
    struct iommu_unit *iommu = &k->unit->iommu;
    const uint64_t start = dte->w[2] & dam_bits_mask(AMDVI_DTE_INTTABLE), size = k->wide ? 16 : 4;
    const uint64_t end = start + table_bytes(k, dte);
    for (uint64_t at = start; at < end && k->pages; k->pages--) {
        const uint64_t page = dam_align_down(at, DAM_PAGE_SIZE);
        const uint64_t to = page + DAM_PAGE_SIZE < end ? page + DAM_PAGE_SIZE : end;
        if (dam_mem_read(iommu->ops, dam_pa_of(page), iommu->buffer, DAM_PAGE_SIZE))
            return false;
        for (; at < to; at += size)
            look_at_entry(k, iommu->buffer, at, seen);
    }
    return true;
}

// ---- what becomes of entries ------------------------------------------------------------------------------
// Linux takes no entry over, of all requesters, when one of them says anything of interrupts that it would
// not say itself: not remapped and without a length, or remapped with the one length that all have. (Without
// IV interrupts pass as they are, whatever the rest says.) What is not like that gets another form of the
// same meaning, or is refused: *code tells.
static bool is_remapped(const struct looking *k, struct amdvi_dte *dte, uint16_t *code)
{
    if (!dam_bits_get(dte->w[2], AMDVI_DTE_IV)) {
        forget_table(dte);
        return false;
    }
    switch (dam_bits_get(dte->w[2], AMDVI_DTE_INTCTL)) {
    case REFUSED:
        silence(dte);
        return false;
    case AS_IS:
        dte->w[2] &= ~dam_bits_mask(AMDVI_DTE_IV);
        forget_table(dte);
        return false;
    case REMAPPED:
        if (!is_known(k, dte))
            *code = DAM_F_IRT_POINTER;
        else if (dam_bits_get(dte->w[2], AMDVI_DTE_INTTABLEN) != k->length)
            *code = DAM_F_IRT_FORM;
        return true;
    default:
        *code = DAM_F_IRT_FORM;
        return true;
    }
}

// The finding that says why the interrupts of a requester are refused; DAM_F_NONE: they are not.
static uint16_t fault(struct looking *k, const struct amdvi_dte *dte, bool special, struct seen *seen)
{
    if (!look(k, dte, seen))
        return DAM_F_IRT_POINTER;
    if (seen->posts)
        return DAM_F_IRTE_POSTED;
    // I/O APICs have pins that are no device's.
    return seen->strange && !special ? DAM_F_IRTE_STRANGE : DAM_F_NONE;
}

static void plan_entry(struct looking *k, uint16_t rid, struct amdvi_dte *dte)
{
    struct iommu_unit *iommu = &k->unit->iommu;
    struct seen seen = {0};
    uint16_t code = DAM_F_NONE;
    if (k->irqs == IOMMU_IRQS_BARE)
        dte->w[2] &= ~dam_bits_mask(AMDVI_DTE_IV);
    if (!is_remapped(k, dte, &code))
        return;
    const bool special = amdvi_is_special(iommu, rid);
    if (!code)
        code = fault(k, dte, special, &seen);
    const bool masked = !code && k->irqs == IOMMU_IRQS_MASK && !special;
    iommu->irq_entries += seen.entries;
    k->masked += masked ? seen.entries : 0;
    if (code)
        report(k, code, rid, dte);
    if (!code && !masked)
        return;
    iommu->irq_silenced += seen.entries;
    silence(dte);
    if (code == DAM_F_IRT_FORM)
        refuse_messages(dte);
}

// The length of most tables, of those that can be tables.
static unsigned common_length(const struct looking *k)
{
    uint32_t count[16] = {0};
    unsigned best = 0;
    for (uint32_t rid = 0; rid < AMDVI_REQUESTERS; rid++) {
        const struct amdvi_dte *dte = amdvi_planned(k->unit, (uint16_t)rid);
        if (dte && dam_bits_get(dte->w[2], AMDVI_DTE_IV) &&
            dam_bits_get(dte->w[2], AMDVI_DTE_INTCTL) == REMAPPED && is_known(k, dte))
            count[dam_bits_get(dte->w[2], AMDVI_DTE_INTTABLEN)]++;
    }
    for (unsigned i = 1; i < 16; i++)
        best = count[i] > count[best] ? i : best;
    return best;
}

void amdvi_plan_interrupts(struct iommu_unit *iommu, enum iommu_irqs irqs)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    struct looking k = {.unit = unit, .irqs = irqs, .pages = MAX_PAGES};
    k.wide = dam_bits_get(unit->old_control, AMDVI_CONTROL_GA);
    k.may_post = k.wide && dam_bits_get(unit->old_control, AMDVI_CONTROL_GAM);
    k.length = common_length(&k);
    for (uint32_t rid = 0; rid < AMDVI_REQUESTERS; rid++) {
        struct amdvi_dte *planned = amdvi_planned(unit, (uint16_t)rid);
        if (planned)
            plan_entry(&k, (uint16_t)rid, planned);
    }
    if (k.masked)
        iommu_report(iommu, DAM_F_IRTE_MASKED, 0, k.masked);
}

// SPDX-License-Identifier: MIT
// Tables above the page tables that change after they were read. What is used is the copy that was checked,
// so a change does no harm; but then Old(d) was not what we took it for, and the note has to say so.
#include <cofferdam/findings.h>

#include "iommu/iommu.h"

struct iommu_seen {
    struct iommu_seen *next;
    dam_pa pa;
    uint64_t digest;
};

// Tells any two tables apart that are not made to be mistaken for each other.
static uint64_t digest_of(const uint64_t *words)
{
    uint64_t digest = 1;
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        digest = (digest ^ words[i]) * 0x9E3779B97F4A7C15ull;
        digest ^= digest >> 29;
    }
    return digest;
}

dam_err iommu_read_page(struct iommu_unit *unit, dam_pa pa, uint64_t *words)
{
    dam_err err = dam_mem_read(unit->ops, pa, words, DAM_PAGE_SIZE);
    void *record;
    if (!err)
        err = dam_arena_record(unit->pool, sizeof(struct iommu_seen), &record);
    if (err)
        return err;
    struct iommu_seen *seen = record;
    *seen = (struct iommu_seen){unit->seen, pa, digest_of(words)};
    unit->seen = seen;
    return DAM_OK;
}

void iommu_report_changes(const struct iommu_unit *unit)
{
    for (const struct iommu_seen *s = unit->seen; s; s = s->next)
        if (!dam_mem_read(unit->ops, s->pa, unit->buffer, DAM_PAGE_SIZE) &&
            digest_of(unit->buffer) != s->digest)
            iommu_report(unit, DAM_F_TABLES_CHANGED, s->pa.v, s->digest);
}

void iommu_report(const struct iommu_unit *unit, uint16_t code, uint64_t address, uint64_t raw)
{
    const struct dam_finding f = {.code = code, .level = 255, .address = address, .raw = raw};
    unit->listener->finding(unit->listener->ctx, &f);
}

// SPDX-License-Identifier: MIT
// GCR3 tables of ours: those of a function are read once into the pool, with nothing in them but the way to
// entries of PASIDs that the old ones had, and these are filled in by the plan. 48882, 2.2.6.
#include "iommu/amdvi/unit.h"

#include <string.h>

struct reading {
    struct amdvi_unit *unit;
    const struct iommu_sink *sink;
    const struct iommu_found *function;
    const struct amdvi_dte *dte;
    struct amdvi_gcr3 gcr3;
    uint32_t pasids; // one past the last
    uint64_t limit;  // of what the pool may have given in the end
};

static struct iommu_found found_pasid(const struct reading *r, dam_pa table, unsigned index, uint32_t pasid)
{
    struct iommu_found found = *r->function;
    found.index = (uint16_t)index;
    found.flags = DAM_REQ_PASID | (r->gcr3.rid && pasid == 0 ? DAM_REQ_RID_PASID : 0);
    found.pasid = pasid;
    found.address = table.v + index * sizeof(uint64_t);
    return found;
}

// A part of the tables that leads nowhere: refused, as its entries stay empty; its first PASID stands for it.
static void tell_part(const struct reading *r, const struct iommu_found *found, bool reserved, uint64_t raw)
{
    r->sink->finding(r->sink->ctx, reserved ? DAM_F_PASID_DIR_RESERVED : DAM_F_PASID_DIR_POINTER, found, raw);
}

static dam_err read_table(struct reading *r, dam_pa table, unsigned level, uint32_t first, uint64_t *ours)
{
    uint64_t *words = r->unit->gcr3_words + (size_t)level * PT_ENTRIES;
    const uint32_t span = amdvi_gcr3_span(level);
    const struct pt_memory *memory = r->unit->iommu.old_memory;
    dam_err err = pt_read_table(memory, table, words);
    if (!err)
        err = iommu_read_page(&r->unit->iommu, table, words);
    for (unsigned i = 0; !err && i < PT_ENTRIES && first + i * span < r->pasids; i++) {
        struct amdvi_gcr3_entry e = amdvi_gcr3_decode(words[i], &r->unit->features);
        if (!e.present)
            continue;
        struct iommu_found found = found_pasid(r, table, i, first + i * span);
        if (level == 0) {
            found.binding = amdvi_pasid_decode(words[i], r->dte, &r->unit->features);
            found.entry = &ours[i];
            err =
                r->sink->binding(r->sink->ctx, &found, amdvi_pasid_finding(&found.binding, memory), words[i]);
            continue;
        }
        if (e.reserved || !pt_known_table(memory, e.address, e.address)) {
            tell_part(r, &found, e.reserved, words[i]);
            continue;
        }
        void *next;
        err = dam_arena_pages(r->unit->iommu.pool, 1, &next);
        if (!err && dam_arena_used(r->unit->iommu.pool) > r->limit)
            err = DAM_E_NOMEM;
        if (!err)
            err = read_table(r, e.address, level - 1, first + i * span, next);
        if (!err)
            ours[i] = amdvi_gcr3_encode(dam_arena_pa(r->unit->iommu.pool, next));
    }
    return err;
}

// What one function may take of what is left of the pool: one part of so many.
#define SHARE 4u

dam_err amdvi_read_pasids(struct amdvi_unit *unit, const struct iommu_sink *sink,
                          const struct iommu_found *function, const struct amdvi_dte *dte)
{
    struct dam_arena *pool = unit->iommu.pool;
    struct reading r = {.unit = unit, .sink = sink, .function = function, .dte = dte};
    const uint64_t used = dam_arena_used(pool);
    void *ours;
    r.gcr3 = amdvi_dte_gcr3(dte, &unit->features);
    r.pasids = amdvi_pasids(&unit->features, &r.gcr3);
    r.limit = used + (pool->size - used) / SHARE;
    dam_err err = dam_arena_pages(pool, 1, &ours);
    if (!err)
        err = read_table(&r, r.gcr3.root, r.gcr3.levels - 1u, 0, ours);
    if (err)
        return err;
    struct amdvi_gcr3 gcr3 = r.gcr3;
    gcr3.root = dam_arena_pa(pool, ours);
    amdvi_lead_pasids(unit, function->rid, dte, &gcr3);
    if (!unit->guest_levels)
        unit->guest_levels = gcr3.guest_levels;
    return DAM_OK;
}

// ---- finding one's way in those of ours -------------------------------------------------------------------
uint64_t *amdvi_pasid_entry(const struct amdvi_unit *unit, const struct amdvi_dte *planned, uint32_t pasid,
                            bool make)
{
    const struct amdvi_gcr3 gcr3 = amdvi_dte_gcr3(planned, &unit->features);
    uint64_t *table = dam_arena_ptr(unit->iommu.pool, gcr3.root);
    if (!dam_bits_get(planned->w[0], AMDVI_DTE_GV) || pasid >= amdvi_pasids(&unit->features, &gcr3))
        return NULL;
    for (unsigned level = gcr3.levels - 1u; table && level > 0; level--) {
        uint64_t *entry = &table[pasid / amdvi_gcr3_span(level) % PT_ENTRIES];
        const struct amdvi_gcr3_entry e = amdvi_gcr3_decode(*entry, &unit->features);
        void *next = e.present ? dam_arena_ptr(unit->iommu.pool, e.address) : NULL;
        if (!next && make && !dam_arena_pages(unit->iommu.pool, 1, &next))
            *entry = amdvi_gcr3_encode(dam_arena_pa(unit->iommu.pool, next));
        table = next;
    }
    return table ? &table[pasid % PT_ENTRIES] : NULL;
}

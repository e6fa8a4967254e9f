// SPDX-License-Identifier: MIT
#include "iommu/amdvi/lookup.h"

#include <string.h>

#include <cofferdam/findings.h>

struct looking {
    const struct amdvi_lookup *l;
    const struct amdvi_device_table *table;
    struct iommu_hit open; // neighbours that let everything pass; span 0: none
};

static bool known(const struct amdvi_lookup *l, dam_pa pa)
{
    return pt_known_table(l->memory, pa, pa);
}

static dam_err tell(const struct looking *k, const struct iommu_hit *hit)
{
    return k->l->found(k->l->ctx, hit);
}

// Tells of the neighbours that came before.
static dam_err close_open(struct looking *k)
{
    struct iommu_hit hit = k->open;
    k->open.span = 0;
    return hit.span ? tell(k, &hit) : DAM_OK;
}

static dam_err tell_absent(const struct looking *k, const struct iommu_hit *way, dam_pa table, uint32_t span)
{
    struct iommu_hit hit = *way;
    hit.kind = IOMMU_HIT_ABSENT;
    hit.address = hit.finding_address = table;
    hit.span = span;
    return tell(k, &hit);
}

static dam_err tell_broken(const struct looking *k, const struct iommu_hit *way, uint16_t finding,
                           dam_pa address, uint64_t raw, uint32_t span)
{
    struct iommu_hit hit = *way;
    hit.kind = IOMMU_HIT_BROKEN;
    hit.finding = finding;
    hit.finding_address = address;
    hit.finding_raw = raw;
    hit.span = span;
    return tell(k, &hit);
}

// ---- GCR3 tables ------------------------------------------------------------------------------------------
struct gcr3_look {
    struct looking *k;
    const struct amdvi_dte *dte;
    struct amdvi_gcr3 gcr3;
    uint32_t pasids, left; // one past the last; tables that this function may still cost
};

static void name_pasids(const struct gcr3_look *g, struct iommu_hit *hit, uint32_t first, uint32_t span)
{
    hit->pasid = first;
    hit->span = span < g->pasids - first ? span : g->pasids - first;
    hit->flags = DAM_REQ_PASID;
    if (g->gcr3.rid && first == 0)
        hit->flags |= DAM_REQ_RID_PASID;
}

// A step of the way: words of an entry.
static void add_step(struct iommu_hit *hit, dam_pa address, const uint64_t *raw, unsigned words)
{
    struct iommu_step *step = &hit->steps[hit->step_count++];
    step->address = address;
    step->words = (uint8_t)words;
    memcpy(step->raw, raw, words * sizeof(*raw));
}

static dam_err tell_pasid(const struct gcr3_look *g, struct iommu_hit *hit, uint64_t raw)
{
    hit->kind = IOMMU_HIT_BINDING;
    hit->binding = amdvi_pasid_decode(raw, g->dte, g->k->l->features);
    hit->finding = amdvi_pasid_finding(&hit->binding, g->k->l->memory);
    hit->finding_address = hit->address;
    hit->finding_raw = raw;
    return tell(g->k, hit);
}

// level: of the table; 0 has the PASIDs' own entries. first: the PASID of its first entry.
static dam_err read_gcr3(struct gcr3_look *g, const struct iommu_hit *way, dam_pa table, unsigned level,
                         uint32_t first)
{
    const struct amdvi_lookup *l = g->k->l;
    uint64_t *words = l->buffers + (1 + level) * PT_ENTRIES;
    const uint32_t span = amdvi_gcr3_span(level);
    if (g->left == 0)
        return DAM_E_BUDGET;
    g->left--;
    dam_err err = pt_read_table(l->memory, table, words);
    struct iommu_hit all = *way;
    name_pasids(g, &all, first, span * PT_ENTRIES);
    if (err == DAM_E_ABSENT)
        return tell_absent(g->k, &all, table, all.span);
    for (unsigned i = 0; !err && i < PT_ENTRIES && first + i * span < g->pasids; i++) {
        struct amdvi_gcr3_entry entry = amdvi_gcr3_decode(words[i], l->features);
        struct iommu_hit hit = *way;
        if (!entry.present)
            continue;
        hit.address = dam_pa_of(table.v + i * sizeof(*words));
        hit.index = (uint16_t)i;
        name_pasids(g, &hit, first + i * span, span);
        if (level == 0) {
            err = tell_pasid(g, &hit, words[i]);
            continue;
        }
        add_step(&hit, hit.address, &words[i], 1);
        if (!entry.reserved && known(l, entry.address))
            err = read_gcr3(g, &hit, entry.address, level - 1, hit.pasid);
        else
            err = tell_broken(g->k, &hit, entry.reserved ? DAM_F_PASID_DIR_RESERVED : DAM_F_PASID_DIR_POINTER,
                              hit.address, words[i], hit.span);
    }
    return err;
}

// way: to the device table entry, which is sound.
static dam_err read_pasids(struct looking *k, const struct iommu_hit *way, const struct amdvi_dte *dte)
{
    const struct amdvi_lookup *l = k->l;
    struct gcr3_look g = {.k = k, .dte = dte, .left = l->function_tables};
    g.gcr3 = amdvi_dte_gcr3(dte, l->features);
    g.pasids = amdvi_pasids(l->features, &g.gcr3);
    struct iommu_hit hit = *way;
    add_step(&hit, way->address, dte->w, AMDVI_DTE_WORDS);
    // What is wrong with all of it is told of the function; but where requests without PASID do not go by it,
    // of the PASIDs.
    struct iommu_hit all = hit;
    all.span = 1;
    if (!g.gcr3.rid)
        name_pasids(&g, &all, 0, g.pasids);
    if (!known(l, g.gcr3.root))
        return tell_broken(k, &all, DAM_F_PASID_DIRECTORY, hit.address, dte->w[0], all.span);
    dam_err err = read_gcr3(&g, &hit, g.gcr3.root, g.gcr3.levels - 1u, 0);
    if (err == DAM_E_BUDGET)
        return tell_broken(k, &all, DAM_F_PASID_SHARE, hit.address, dte->w[0], all.span);
    return err;
}

// ---- the device table -------------------------------------------------------------------------------------
static dam_err read_entry(struct looking *k, struct iommu_hit *hit, const struct amdvi_dte *dte)
{
    const struct amdvi_lookup *l = k->l;
    enum amdvi_dte_kind kind = amdvi_dte_kind(dte);
    unsigned word;
    hit->kind = IOMMU_HIT_BINDING;
    hit->span = 1;
    hit->binding = amdvi_dte_decode(dte, l->features);
    if (kind == AMDVI_DTE_OPEN && k->open.span) {
        k->open.span++;
        return DAM_OK;
    }
    if (kind == AMDVI_DTE_OPEN) {
        hit->flags = DAM_REQ_OTHERS;
        k->open = *hit;
        return DAM_OK;
    }
    dam_err err = close_open(k);
    if (err || kind == AMDVI_DTE_BLOCKED)
        return err;
    hit->finding = amdvi_dte_finding(l->features, dte, l->memory, &word);
    hit->finding_address = dam_pa_of(hit->address.v + word * sizeof(dte->w[0]));
    hit->finding_raw = dte->w[word];
    if (hit->finding || kind == AMDVI_DTE_BOUND)
        err = tell(k, hit);
    if (err || hit->finding || !amdvi_dte_has_pasids(dte))
        return err;
    hit->finding = DAM_F_NONE;
    return read_pasids(k, hit, dte);
}

// One page of the table of a segment, from requester `first` on.
static dam_err read_page(struct looking *k, unsigned segment, dam_pa page, uint32_t first)
{
    const struct amdvi_lookup *l = k->l;
    struct iommu_hit way = {.rid = (uint16_t)first, .address = page};
    dam_err err = DAM_OK;
    if (!known(l, page)) {
        err = close_open(k);
        return err ? err
                   : tell_broken(k, &way, DAM_F_DEVTAB_POINTER, page, k->table->reg[segment],
                                 AMDVI_DTES_PER_PAGE);
    }
    err = pt_read_table(l->memory, page, l->buffers);
    if (err == DAM_E_ABSENT) {
        err = close_open(k);
        return err ? err : tell_absent(k, &way, page, AMDVI_DTES_PER_PAGE);
    }
    for (unsigned i = 0; !err && i < AMDVI_DTES_PER_PAGE; i++) {
        struct amdvi_dte dte;
        memcpy(&dte, l->buffers + i * AMDVI_DTE_WORDS, sizeof(dte));
        struct iommu_hit hit = {
            .rid = (uint16_t)(first + i),
            .address = dam_pa_of(page.v + i * sizeof(dte)),
            .index = (uint16_t)(first % amdvi_segment_span(k->table) + i),
        };
        err = read_entry(k, &hit, &dte);
    }
    return err;
}

static dam_err read_segment(struct looking *k, unsigned segment)
{
    dam_pa base = amdvi_segment_base(k->table, segment, k->l->features->encrypt);
    uint32_t entries = amdvi_segment_entries(k->table, segment);
    uint32_t first = segment * amdvi_segment_span(k->table);
    dam_err err = DAM_OK;
    // A table of which not even the first page can be right is one thing that is wrong, not hundreds.
    if (!known(k->l, base)) {
        struct iommu_hit way = {.rid = (uint16_t)first, .address = base};
        err = close_open(k);
        return err ? err
                   : tell_broken(k, &way, DAM_F_DEVTAB_POINTER, base, k->table->reg[segment],
                                 amdvi_segment_span(k->table));
    }
    for (uint32_t i = 0; !err && i < entries; i += AMDVI_DTES_PER_PAGE)
        err = read_page(k, segment, dam_pa_of(base.v + i * sizeof(struct amdvi_dte)), first + i);
    // Those beyond the table are refused: neighbours end here.
    return err || entries == amdvi_segment_span(k->table) ? err : close_open(k);
}

dam_err amdvi_lookup(const struct amdvi_lookup *l, const struct amdvi_device_table *table)
{
    struct looking k = {.l = l, .table = table};
    dam_err err = DAM_OK;
    for (unsigned i = 0; !err && i < amdvi_segments(table); i++)
        err = read_segment(&k, i);
    return err ? err : close_open(&k);
}

// SPDX-License-Identifier: MIT
// The old device table, read once into the pool: an exact copy of what is sound, and a table of the same size
// that refuses all until the plan has filled it in.
#include "iommu/amdvi/unit.h"

#include "iommu/amdvi/regs.h"

struct reading {
    struct amdvi_unit *unit;
    const struct iommu_sink *sink;
    struct amdvi_segment *segment;
    dam_pa base;    // of the old table
    uint32_t first; // requester of its first entry
};

struct amdvi_dte *amdvi_planned(const struct amdvi_unit *unit, uint16_t rid)
{
    const struct amdvi_device_table *t = &unit->old_table;
    const struct amdvi_segment *s = &unit->segment[rid / amdvi_segment_span(t)];
    uint32_t index = rid % amdvi_segment_span(t);
    return s->planned && index < s->entries ? &s->planned[index] : NULL;
}

// What the old table said of a requester that is in the planned one; NULL: there was none.
static const struct amdvi_dte *copied(const struct amdvi_unit *unit, uint16_t rid)
{
    const struct amdvi_device_table *t = &unit->old_table;
    const struct amdvi_segment *s = &unit->segment[rid / amdvi_segment_span(t)];
    return s->copied && amdvi_planned(unit, rid) ? &s->copied[rid % amdvi_segment_span(t)] : NULL;
}

bool amdvi_is_among_others(const struct iommu_unit *iommu, uint16_t rid)
{
    const struct amdvi_dte *old = copied(amdvi_of_const(iommu), rid);
    return old && amdvi_dte_kind(old) == AMDVI_DTE_OPEN;
}

enum amdvi_class amdvi_class_of(const struct amdvi_unit *unit, uint16_t rid)
{
    if (amdvi_bit(unit->listed, rid))
        return AMDVI_LISTED;
    if (amdvi_bit(unit->unread, rid / AMDVI_DTES_PER_PAGE))
        return AMDVI_UNREAD;
    return amdvi_is_among_others(&unit->iommu, rid) ? AMDVI_OPEN : AMDVI_REST;
}

// ---- room for them ----------------------------------------------------------------------------------------
static dam_err make_segment(struct amdvi_unit *unit, unsigned number, bool with_copy)
{
    struct amdvi_segment *s = &unit->segment[number];
    void *pages;
    s->entries = amdvi_segment_entries(&unit->old_table, number);
    const size_t count = s->entries / AMDVI_DTES_PER_PAGE;
    dam_err err = amdvi_low_pages(unit, count, &pages, &s->planned_pa);
    if (err)
        return err;
    s->planned = pages;
    if (!with_copy)
        return DAM_OK;
    err = dam_arena_pages(unit->iommu.pool, count, &pages);
    if (err)
        return err;
    s->copied = pages;
    s->copied_pa = dam_arena_pa(unit->iommu.pool, pages);
    return DAM_OK;
}

static dam_err make_lists(struct amdvi_unit *unit)
{
    void *p;
    dam_err err = dam_arena_record(unit->iommu.pool, AMDVI_REQUESTERS / 8, &p);
    if (err)
        return err;
    unit->listed = p;
    err = dam_arena_record(unit->iommu.pool, AMDVI_REQUESTERS / AMDVI_DTES_PER_PAGE / 8, &p);
    if (err)
        return err;
    unit->unread = p;
    if (!dam_bits_get(unit->features.efr, AMDVI_EFR_GT))
        return DAM_OK;
    err = dam_arena_pages(unit->iommu.pool, AMDVI_GCR3_LEVELS, &p);
    unit->gcr3_words = p;
    return err;
}

// ---- entries ----------------------------------------------------------------------------------------------
static dam_err tell(struct reading *r, struct iommu_found *found, uint16_t code, uint64_t raw)
{
    amdvi_set_bit(r->unit->listed, found->rid);
    return r->sink->binding(r->sink->ctx, found, code, raw);
}

// All that goes by a GCR3 table; or the function as a whole, when there is too much of it.
static dam_err read_pasids(struct reading *r, struct iommu_found *found, struct amdvi_dte *dte)
{
    struct amdvi_unit *unit = r->unit;
    const struct amdvi_dte old = *dte;
    const struct pt_memory *memory = unit->iommu.old_memory;
    const struct amdvi_gcr3 gcr3 = amdvi_dte_gcr3(&old, &unit->features);
    if (!pt_known_table(memory, gcr3.root, gcr3.root)) {
        *dte = amdvi_silent(&old);
        return tell(r, found, DAM_F_PASID_DIRECTORY, old.w[0]);
    }
    r->sink->mark(r->sink->ctx);
    amdvi_set_bit(unit->listed, found->rid);
    dam_err err = amdvi_read_pasids(unit, r->sink, found, &old);
    bool late = memory->budget && dam_clock_us(unit->iommu.ops) > memory->budget->deadline_us;
    if (err != DAM_E_NOMEM && (err != DAM_E_BUDGET || late))
        return err;
    r->sink->rewind(r->sink->ctx);
    *dte = amdvi_silent(&old);
    return tell(r, found, DAM_F_PASID_SHARE, old.w[0]);
}

// Requests with PASID of a function that passes untranslated: what contains those without one contains them.
static void tell_contained(const struct reading *r, const struct iommu_found *found,
                           const struct amdvi_dte *dte)
{
    if (amdvi_dte_has_pasids(dte))
        r->sink->finding(r->sink->ctx, DAM_F_PASIDS_BELOW, found, dte->w[0]);
}

static dam_err read_bound(struct reading *r, struct iommu_found *found, struct amdvi_dte *dte)
{
    struct amdvi_unit *unit = r->unit;
    unsigned word;
    uint16_t code = amdvi_dte_finding(&unit->features, dte, unit->iommu.old_memory, &word);
    const struct amdvi_dte old = *dte;
    if (code) {
        *dte = amdvi_silent(&old);
        found->address += word * sizeof(uint64_t);
        return tell(r, found, code, old.w[word]);
    }
    if (found->binding.translated)
        r->sink->finding(r->sink->ctx, DAM_F_ATS_REFUSED, found, old.w[1]);
    if (amdvi_dte_kind(&old) == AMDVI_DTE_PASIDS)
        return read_pasids(r, found, dte);
    tell_contained(r, found, &old);
    return tell(r, found, DAM_F_NONE, 0);
}

static dam_err read_entry(struct reading *r, uint32_t index)
{
    struct amdvi_unit *unit = r->unit;
    struct amdvi_dte *dte = &r->segment->copied[index], *planned = &r->segment->planned[index];
    struct iommu_found found = {
        .rid = (uint16_t)(r->first + index),
        .index = (uint16_t)index,
        .binding = amdvi_dte_decode(dte, &unit->features),
        .address = r->base.v + index * sizeof(*dte),
        .entry = planned->w,
    };
    *planned = amdvi_silent(dte);
    if (found.binding.stage == DAM_STAGE_PASSTHROUGH)
        found.binding.levels = 0; // a view of it may be as wide as it likes
    switch (amdvi_dte_kind(dte)) {
    case AMDVI_DTE_BLOCKED:
        return DAM_OK;
    case AMDVI_DTE_OPEN:
        if (unit->has_open)
            return DAM_OK;
        unit->has_open = true;
        found.rid = 0;
        found.flags = DAM_REQ_OTHERS;
        found.entry = unit->open.w;
        return r->sink->binding(r->sink->ctx, &found, DAM_F_NONE, 0);
    default:
        return read_bound(r, &found, dte);
    }
}

// A page of the table that is not there: what its entries said is not known.
static void miss_page(struct reading *r, uint32_t index)
{
    const struct amdvi_dte nothing = {{0}};
    for (uint32_t i = index; i < index + AMDVI_DTES_PER_PAGE; i++)
        r->segment->copied[i] = r->segment->planned[i] = amdvi_silent(&nothing);
    r->unit->refuge = true;
    amdvi_set_bit(r->unit->unread, (r->first + index) / AMDVI_DTES_PER_PAGE);
}

static dam_err read_page(struct reading *r, uint32_t index)
{
    struct amdvi_unit *unit = r->unit;
    const dam_pa page = dam_pa_of(r->base.v + index * sizeof(struct amdvi_dte));
    uint64_t *words = r->segment->copied[index].w;
    dam_err err = pt_known_table(unit->iommu.old_memory, page, page)
                      ? iommu_read_page(&unit->iommu, page, words)
                      : DAM_E_RANGE;
    if (err == DAM_E_RANGE || err == DAM_E_ABSENT) {
        iommu_report(&unit->iommu, DAM_F_DEVTAB_PAGE, page.v, r->first + index);
        miss_page(r, index);
        return DAM_OK;
    }
    for (uint32_t i = 0; !err && i < AMDVI_DTES_PER_PAGE; i++)
        err = read_entry(r, index + i);
    return err;
}

static dam_err read_segment(struct amdvi_unit *unit, const struct iommu_sink *sink, unsigned number)
{
    struct reading r = {
        .unit = unit,
        .sink = sink,
        .segment = &unit->segment[number],
        .base = amdvi_segment_base(&unit->old_table, number, unit->features.encrypt),
        .first = number * amdvi_segment_span(&unit->old_table),
    };
    dam_err err = make_segment(unit, number, true);
    for (uint32_t i = 0; !err && i < r.segment->entries; i += AMDVI_DTES_PER_PAGE)
        err = read_page(&r, i);
    return err;
}

dam_err amdvi_read_tables(struct iommu_unit *iommu, const struct iommu_sink *sink)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    // A register that names no table, or one in encrypted memory: nothing is known of what it translates by,
    // and an IOMMU that does translate must not be made to refuse everything.
    for (unsigned i = 0; i < amdvi_segments(&unit->old_table); i++) {
        const dam_pa base = amdvi_segment_base(&unit->old_table, i, unit->features.encrypt);
        if (!pt_known_table(iommu->old_memory, base, base)) {
            iommu_report(iommu, DAM_F_DEVTAB_POINTER, base.v, unit->old_table.reg[i]);
            return DAM_E_BROKEN;
        }
    }
    dam_err err = make_lists(unit);
    for (unsigned i = 0; !err && i < amdvi_segments(&unit->old_table); i++)
        err = read_segment(unit, sink, i);
    return err;
}

// ---- a unit that was off ----------------------------------------------------------------------------------
// As large as Linux makes one: it goes on from a table of that size alone.
static uint64_t table_size(uint16_t last)
{
    uint32_t entries = AMDVI_DTES_PER_PAGE;
    while (entries <= last)
        entries *= 2;
    return entries / AMDVI_DTES_PER_PAGE - 1;
}

dam_err amdvi_make_tables(struct iommu_unit *iommu)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    const struct amdvi_dte nothing = {{0}};
    unit->old_table = (struct amdvi_device_table){
        .reg = {dam_bits_put(table_size(amdvi_find_ivhd(iommu).last), AMDVI_DEVTAB_SIZE)}};
    dam_err err = make_lists(unit);
    if (!err)
        err = make_segment(unit, 0, false);
    for (uint32_t i = 0; !err && i < unit->segment[0].entries; i++)
        unit->segment[0].planned[i] = amdvi_silent(&nothing);
    return err;
}

// ---- requesters that are not listed -----------------------------------------------------------------------
dam_err amdvi_place(struct iommu_unit *iommu, struct iommu_found *found)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    if (found->flags & DAM_REQ_OTHERS) {
        found->entry = unit->rest.w;
        return DAM_OK;
    }
    struct amdvi_dte *planned = amdvi_planned(unit, found->rid);
    if (!planned)
        return DAM_E_RANGE;
    amdvi_set_bit(unit->listed, found->rid);
    found->entry = planned->w;
    if (!dam_bits_get(planned->w[0], AMDVI_DTE_GV))
        return DAM_OK;
    // All of its requests go by a GCR3 table.
    found->flags |= DAM_REQ_PASID | DAM_REQ_RID_PASID;
    found->pasid = 0;
    found->entry = amdvi_pasid_entry(unit, planned, 0, true);
    return found->entry ? DAM_OK : DAM_E_NOMEM;
}

bool amdvi_next_function(const struct iommu_unit *iommu, uint32_t *rid)
{
    const struct amdvi_unit *unit = amdvi_of_const(iommu);
    for (; *rid < AMDVI_REQUESTERS; ++*rid) {
        const struct amdvi_dte *planned = amdvi_planned(unit, (uint16_t)*rid);
        if (planned && dam_bits_get(planned->w[0], AMDVI_DTE_GV))
            return true;
    }
    return false;
}

// SPDX-License-Identifier: MIT
// Requesters: those that the old tables name, and those that they do not and that get an entry all the same.
#include "takeover/takeover.h"

static void report_found(struct dam_takeover *t, uint16_t code, const struct unit *unit,
                         const struct iommu_found *found, uint64_t raw)
{
    struct dam_finding f = {
        .code = code,
        .level = 255,
        .unit = unit->iommu->index,
        .segment = unit->iommu->segment,
        .rid = found->rid,
        .index = found->index,
        .address = found->address,
        .raw = raw,
        .iova = found->pasid,
    };
    dam_finding_add(&t->findings, &f);
}

// The last choice that names the requester; one that names its PASID as well wins over those that do not.
static enum dam_policy policy_for(const struct dam_takeover *t, const struct unit *unit,
                                  const struct iommu_found *found, uint16_t *flags)
{
    const struct dam_takeover_config *c = t->config;
    const struct dam_choice *best = NULL;
    // Where one entry is for all PASIDs of a function, so is the second stage.
    bool whole = unit->kind->by_function && found->binding.stage == DAM_STAGE_NESTED;
    for (size_t i = found->flags & DAM_REQ_OTHERS ? 0 : c->choice_count; i-- > 0;) {
        const struct dam_choice *choice = &c->choices[i];
        if (choice->requester.segment != unit->iommu->segment || choice->requester.rid != found->rid)
            continue;
        bool exact = !whole && (found->flags & DAM_REQ_PASID) && choice->pasid == found->pasid;
        if (exact || (choice->pasid == DAM_ANY_PASID && !best))
            best = choice;
        if (exact)
            break;
    }
    if (!best)
        return c->policy;
    *flags |= DAM_REQ_CHOSEN;
    return best->policy;
}

// Finds or makes the old_tree of a sound binding: the tables that say where DMA goes. Of a nested one that is
// the second stage.
static dam_err old_tree_for(struct dam_takeover *t, struct unit *unit, const struct iommu_binding *b,
                            struct old_tree **out)
{
    bool identity = b->stage == DAM_STAGE_PASSTHROUGH;
    enum dam_stage stage = identity                       ? unit->kind->stage(unit->iommu)
                           : b->stage == DAM_STAGE_NESTED ? DAM_STAGE_SECOND
                                                          : b->stage;
    bool any_width = identity && (stage == DAM_STAGE_FIRST || !b->levels);
    uint8_t levels = any_width ? unit->kind->levels(unit->iommu, stage, takeover_known_end(t)) : b->levels;
    for (struct old_tree *o = unit->old_trees; o; o = o->next) {
        if (o->identity == identity && o->stage == stage && o->params.levels == levels && o->r == b->r &&
            o->w == b->w && (identity || o->root.v == b->root.v)) {
            *out = o;
            return DAM_OK;
        }
    }
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct old_tree), &record);
    if (err)
        return err;
    struct old_tree *o = record;
    o->root = b->root;
    o->identity = identity;
    o->stage = stage;
    o->r = b->r;
    o->w = b->w;
    o->params = unit->kind->params(unit->iommu, stage, levels);
    o->next = unit->old_trees;
    unit->old_trees = o;
    *out = o;
    return DAM_OK;
}

void takeover_quarantine(const struct dam_takeover *t, struct requester *r)
{
    r->old_kind = DAM_OLD_BROKEN;
    r->policy = takeover_broken_policy(t->config);
    r->flags |= DAM_REQ_QUARANTINED;
    r->old_tree = NULL;
}

struct requester *takeover_find(const struct unit *unit, uint16_t rid)
{
    for (struct requester *r = unit->requesters; r; r = r->next)
        if (r->rid == rid && !(r->flags & DAM_REQ_OTHERS) &&
            (!(r->flags & DAM_REQ_PASID) || (r->flags & DAM_REQ_RID_PASID)))
            return r;
    return NULL;
}

// Puts a requester behind the others of its unit.
static void append(struct unit *unit, struct requester *r)
{
    if (unit->last_requester)
        unit->last_requester->next = r;
    else
        unit->requesters = r;
    unit->last_requester = r;
    unit->requester_count++;
}

// ---- those that the tables name
struct reading {
    struct dam_takeover *t;
    struct unit *unit;
    // Where the unit's lists and the pools were at the last mark().
    struct pool_mark pools;
    uint64_t records;
    struct requester *last, *passing;
    uint32_t count;
    struct old_tree *trees;
    struct iommu_seen *seen;
};

static void on_mark(void *ctx)
{
    struct reading *m = ctx;
    m->pools = takeover_mark(m->t);
    m->records = m->t->pool->high;
    m->last = m->unit->last_requester;
    m->passing = m->unit->passing;
    m->count = m->unit->requester_count;
    m->trees = m->unit->old_trees;
    m->seen = m->unit->iommu->seen;
}

static void on_rewind(void *ctx)
{
    struct reading *m = ctx;
    struct unit *unit = m->unit;
    unit->last_requester = m->last;
    unit->passing = m->passing;
    unit->requester_count = m->count;
    unit->old_trees = m->trees;
    unit->iommu->seen = m->seen;
    if (m->last)
        m->last->next = NULL;
    else
        unit->requesters = NULL;
    takeover_release(m->t, &m->pools);
    dam_arena_release_records(m->t->pool, m->records);
}

static void on_finding(void *ctx, uint16_t code, const struct iommu_found *found, uint64_t raw)
{
    struct reading *reading = ctx;
    report_found(reading->t, code, reading->unit, found, raw);
}

static dam_err on_binding(void *ctx, const struct iommu_found *found, uint16_t code, uint64_t raw)
{
    struct reading *reading = ctx;
    struct dam_takeover *t = reading->t;
    struct unit *unit = reading->unit;
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct requester), &record);
    if (err)
        return err;
    struct requester *r = record;
    r->rid = found->rid;
    r->flags = found->flags;
    r->pasid = found->pasid;
    r->entry = found->entry;
    r->old = found->binding;
    r->policy = policy_for(t, unit, found, &r->flags);
    append(unit, r);
    if (code) {
        report_found(t, code, unit, found, raw);
        takeover_quarantine(t, r);
        return DAM_OK;
    }
    err = old_tree_for(t, unit, &found->binding, &r->old_tree);
    if (err)
        return err;
    r->old_kind = r->old_tree->identity ? DAM_OLD_IDENTITY : DAM_OLD_TRANSLATED;
    if (r->old_tree->identity)
        report_found(t, DAM_F_PASSTHROUGH, unit, found, found->binding.raw[0]);
    if (found->binding.translated)
        r->flags |= DAM_REQ_ATS;
    if (r->flags & DAM_REQ_OTHERS)
        unit->passing = r;
    return DAM_OK;
}

dam_err takeover_read_tables(struct dam_takeover *t, struct unit *unit)
{
    struct reading reading = {.t = t, .unit = unit};
    const struct iommu_sink sink = {
        .ctx = &reading, .binding = on_binding, .finding = on_finding, .mark = on_mark, .rewind = on_rewind};
    return unit->kind->read_tables(unit->iommu, &sink);
}

// ---- those that they do not name
// Adds one, blocked, with an entry of its own, or one that stands for all others (flags: DAM_REQ_OTHERS).
// *out is NULL when the tables have no place for it, which is told.
static dam_err add_unnamed(struct dam_takeover *t, struct unit *unit, uint16_t rid, uint16_t flags,
                           struct requester **out)
{
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct requester), &record);
    if (err)
        return err;
    struct iommu_found found = {.rid = rid, .flags = flags};
    *out = NULL;
    err = unit->kind->place(unit->iommu, &found);
    if (err == DAM_E_RANGE) {
        report_found(t, DAM_F_NO_PLACE, unit, &found, 0);
        return DAM_OK;
    }
    if (err)
        return err;
    struct requester *r = record;
    r->rid = rid;
    r->flags = found.flags;
    r->pasid = found.pasid;
    r->entry = found.entry;
    r->policy = DAM_POLICY_BLOCK; // nothing was mapped
    r->old_kind = DAM_OLD_NONE;
    append(unit, r);
    *out = r;
    return DAM_OK;
}

// Adds one that had identity, as all that nobody lists.
static dam_err add_passing(struct dam_takeover *t, struct unit *unit, uint16_t rid, uint16_t flags,
                           struct requester **out)
{
    const struct iommu_found about = {.rid = rid, .flags = flags};
    enum dam_policy policy = policy_for(t, unit, &about, &flags);
    dam_err err = add_unnamed(t, unit, rid, flags | (unit->iommu->raise ? DAM_REQ_RAISED : 0), out);
    if (err || !*out)
        return err;
    (*out)->old_kind = DAM_OLD_IDENTITY;
    (*out)->policy = policy;
    if (unit->passing) {
        (*out)->old = unit->passing->old;
        (*out)->old_tree = unit->passing->old_tree;
    }
    return DAM_OK;
}

// The firmware regions of all of them are open to all of them, as everything was.
dam_err takeover_raise_tables(struct dam_takeover *t, struct unit *unit)
{
    const struct iommu_binding identity = {.stage = DAM_STAGE_PASSTHROUGH, .r = true, .w = true};
    struct old_tree *tree;
    struct requester *r;
    dam_err err = unit->kind->make_tables(unit->iommu);
    if (!err)
        err = old_tree_for(t, unit, &identity, &tree);
    if (!err)
        err = add_passing(t, unit, 0, DAM_REQ_OTHERS, &r);
    if (err || !r)
        return err;
    r->old = identity;
    r->old_tree = tree;
    unit->passing = r;
    return DAM_OK;
}

// Whether a function passes untranslated without being listed.
static bool passes(const struct unit *unit, uint16_t rid)
{
    if (!unit->passing || takeover_find(unit, rid))
        return false;
    return unit->iommu->raise ||
           (unit->kind->is_among_others && unit->kind->is_among_others(unit->iommu, rid));
}

// Those of them that a word on the command line names get an entry of their own.
static dam_err add_named(struct dam_takeover *t, struct unit *unit)
{
    const struct dam_takeover_config *c = t->config;
    struct requester *r;
    dam_err err = DAM_OK;
    for (size_t i = 0; !err && i < c->choice_count; i++) {
        const dam_requester *named = &c->choices[i].requester;
        if (named->segment == unit->iommu->segment && c->choices[i].pasid == DAM_ANY_PASID &&
            passes(unit, named->rid))
            err = add_passing(t, unit, named->rid, 0, &r);
    }
    for (size_t i = 0; !err && takeover_hides(t) && i < c->window_count; i++)
        if (c->windows[i].segment == unit->iommu->segment && passes(unit, c->windows[i].rid))
            err = add_passing(t, unit, c->windows[i].rid, 0, &r);
    return err;
}

// Functions that have PASIDs, or could, and no binding for requests without one.
static dam_err add_incomplete(struct dam_takeover *t, struct unit *unit)
{
    struct requester *added;
    dam_err err = DAM_OK;
    if (!unit->kind->next_function)
        return DAM_OK;
    for (uint32_t rid = 0; !err && unit->kind->next_function(unit->iommu, &rid); rid++)
        if (!takeover_find(unit, (uint16_t)rid))
            err = add_unnamed(t, unit, (uint16_t)rid, 0, &added);
    return err;
}

dam_err takeover_add_absent(struct dam_takeover *t, struct unit *unit)
{
    const struct dam_takeover_config *c = t->config;
    struct requester *r;
    dam_err err = add_named(t, unit);
    if (!takeover_hides(t))
        return err;
    for (size_t i = 0; !err && i < c->window_count; i++)
        if (c->windows[i].segment == unit->iommu->segment && !takeover_find(unit, c->windows[i].rid))
            err = add_unnamed(t, unit, c->windows[i].rid, 0, &r);
    if (err || c->window_count || unit->iommu->raise)
        return err;
    err = add_incomplete(t, unit);
    return err ? err : add_unnamed(t, unit, 0, DAM_REQ_OTHERS, &r);
}

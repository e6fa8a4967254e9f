// SPDX-License-Identifier: MIT
// Audit: what is Old(d) of every requester? Reads the tables of each unit, and checks every page table that
// they lead to.
#include "takeover/takeover.h"

// Firmware knows no PASIDs, and no second address space below the one of the device.
static bool takes_windows(const struct requester *r)
{
    return r->old_tree && r->old.stage != DAM_STAGE_NESTED &&
           (!(r->flags & DAM_REQ_PASID) || (r->flags & DAM_REQ_RID_PASID));
}

static bool names(const struct iommu_region *region, uint16_t rid)
{
    return region->by_range ? rid >= region->first && rid <= region->last
                            : pci_target_covers(&region->target, rid);
}

static bool covers(const struct unit *unit, const struct iommu_region *region, const struct requester *r)
{
    if (!(r->flags & DAM_REQ_OTHERS))
        return names(region, r->rid);
    // One that stands for many has what any of them has; of a unit that was off, nobody knows who they are.
    if (!unit->kind->is_among_others || unit->iommu->raise)
        return true;
    uint32_t first = region->by_range ? region->first : 0,
             last = region->by_range ? region->last : UINT16_MAX;
    for (uint32_t rid = first; rid <= last; rid++)
        if (names(region, (uint16_t)rid) && unit->kind->is_among_others(unit->iommu, (uint16_t)rid))
            return true;
    return false;
}

// Adds the firmware regions of each requester to its old tree. All requesters of a tree get them: Linux maps
// a region into the domain of its device, which aliases behind the same bridge share.
static dam_err attach_windows(struct dam_takeover *t, struct unit *unit)
{
    for (struct region *g = t->regions; g; g = g->next) {
        for (struct requester *r = unit->requesters; r; r = r->next) {
            const struct iommu_region *what = &g->what;
            if (what->segment != unit->iommu->segment || !takes_windows(r) || !covers(unit, what, r))
                continue;
            struct window *w = r->old_tree->windows;
            while (w &&
                   (w->start != what->start || w->end != what->end || w->r != what->r || w->w != what->w))
                w = w->next;
            if (w)
                continue;
            void *record;
            dam_err err = dam_arena_record(t->pool, sizeof(*w), &record);
            if (err)
                return err;
            w = record;
            *w = (struct window){r->old_tree->windows, what->start, what->end, what->r, what->w};
            r->old_tree->windows = w;
        }
    }
    return DAM_OK;
}

static bool somebody_has(const struct unit *unit, const struct old_tree *o, enum dam_policy policy)
{
    for (const struct requester *r = unit->requesters; r; r = r->next)
        if (r->old_tree == o && r->policy == policy)
            return true;
    return false;
}

static dam_err audit_once(struct dam_takeover *t, struct unit *unit, struct old_tree *o,
                          const struct requester *first, bool copy, struct dam_finding_ring *findings)
{
    o->audit = (struct pt_audit){
        .format = &unit->family->formats[o->stage],
        .params = &o->params,
        .without_r = !o->r,
        .without_w = !o->w,
        .memory = &t->old_memory,
        .keep_out = t->config->keep_out,
        .findings = findings,
        .about = {.unit = unit->iommu->index, .segment = unit->iommu->segment, .rid = first ? first->rid : 0},
        .buffers = t->buffers,
        .copy = copy,
        .window = takeover_hides(t) ? t->config->crash_window : NULL,
    };
    dam_err err = pt_audit(&o->audit, o->root);
    t->tables_read += o->audit.tables;
    return err;
}

// A copy that is nice to have may take this part of what is left of the pool.
#define COPY_SHARE 2u

// For a unit that goes by the rights of leaves: the frozen tree is a copy without W in its leaves, and there
// alone. Without room for that, entries above say it, which holds for pages that the unit has not cached.
static void freeze_leaves(struct dam_takeover *t, struct unit *unit, struct old_tree *o, bool preserved)
{
    struct pt_tree tree = {
        .format = &unit->family->formats[o->stage], .params = o->params, .memory = &t->own_memory};
    const struct pt_audit shared = o->audit;
    const struct pool_mark mark = takeover_mark(t);
    uint64_t left = t->pool->size - dam_arena_used(t->pool), records = t->pool->high;
    uint64_t budget = t->budget.tables;
    bool made = !o->audit.copy || preserved; // a copy more
    dam_err err = made && o->audit.tables > left / COPY_SHARE / DAM_PAGE_SIZE ? DAM_E_NOMEM : DAM_OK;
    if (!err && !o->audit.copy)
        err = audit_once(t, unit, o, NULL, true, NULL);
    if (!err)
        err = pt_tree_freeze_leaves(&tree, o->audit.copied_root, preserved);
    if (!err) {
        o->frozen_root = tree.root;
        o->leaves_frozen = true;
        return;
    }
    takeover_release(t, &mark);
    dam_arena_release_records(t->pool, records);
    t->budget.tables = budget;
    o->audit = shared;
    takeover_report(t, DAM_F_FREEZE_SHALLOW, unit, NULL, o->root.v, o->audit.tables);
}

// Checks one page table and copies it on the way when it is needed in the pool: old memory is read once, and
// what was checked is what is used. Trouble with the table itself quarantines its requesters; what comes back
// is ours.
static dam_err audit_tree(struct dam_takeover *t, struct unit *unit, struct old_tree *o)
{
    if (o->identity)
        return DAM_OK;
    const struct requester *first = unit->requesters;
    while (first && first->old_tree != o)
        first = first->next;
    uint64_t budget = t->budget.tables, records = t->pool->high;
    bool frozen = somebody_has(unit, o, DAM_POLICY_FREEZE);
    bool preserved = somebody_has(unit, o, DAM_POLICY_PRESERVE);
    bool copy = preserved || (frozen && !t->share_old);
    o->error = audit_once(t, unit, o, first, copy, &t->findings);
    // Hardware marks what it uses in first-stage tables: old ones may be used when all is marked already.
    // What is to be said was said the first time.
    if (!o->error && frozen && !copy && o->audit.unmarked) {
        dam_arena_release_records(t->pool, records);
        o->error = audit_once(t, unit, o, first, true, NULL);
    }
    bool late = dam_clock_us(t->ops) > t->budget.deadline_us;
    if (o->error == DAM_E_NOMEM || (o->error == DAM_E_BUDGET && late))
        return o->error;
    if (o->error) {
        t->budget.tables = budget; // one runaway tree does not eat what the others need
        takeover_report(t, o->error == DAM_E_BUDGET ? DAM_F_PT_BUDGET : DAM_F_PT_TOO_MANY_CUTS, unit, first,
                        o->root.v, o->audit.tables);
        for (struct requester *r = unit->requesters; r; r = r->next)
            if (r->old_tree == o)
                takeover_quarantine(t, r);
        return DAM_OK;
    }
    o->frozen_root = o->audit.copy ? o->audit.copied_root : o->root;
    if (frozen && unit->kind->leaf_rights_count && unit->kind->leaf_rights_count(unit->iommu))
        freeze_leaves(t, unit, o, preserved);
    return DAM_OK;
}

// Whether some requester will be able to write memory of the old kernel: then tables that lie there may not
// be used. (Units that are left alone do not count: what they let through can write the pool just as well.)
static bool somebody_writes(const struct dam_takeover *t)
{
    for (const struct unit *unit = t->units; unit; unit = unit->next) {
        for (const struct requester *r = unit->requesters; r; r = r->next) {
            if (r->policy == DAM_POLICY_PRESERVE)
                return true;
            for (const struct window *w = r->old_tree ? r->old_tree->windows : NULL; w; w = w->next)
                if (w->w && dam_ranges_overlap(t->config->old_ram, w->start, w->end - w->start))
                    return true;
        }
    }
    return false;
}

static dam_err audit_trees(struct dam_takeover *t, struct unit *unit)
{
    dam_err err = DAM_OK;
    for (struct old_tree *o = unit->old_trees; !err && o; o = o->next)
        err = audit_tree(t, unit, o);
    if (!err)
        takeover_give_windows(t, unit);
    return err;
}

static dam_err find_requesters(struct dam_takeover *t, struct unit *unit)
{
    if (unit->leader)
        return DAM_OK;
    dam_err err = unit->iommu->raise ? takeover_raise_tables(t, unit) : takeover_read_tables(t, unit);
    return err ? err : takeover_add_absent(t, unit);
}

// A unit that fails is left alone; the others go on.
static void for_planned_units(struct dam_takeover *t, dam_err (*step)(struct dam_takeover *, struct unit *))
{
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status != DAM_UNIT_PLANNED)
            continue;
        const struct pool_mark mark = takeover_mark(t);
        if (takeover_lost_leader(unit)) {
            takeover_leave(t, unit, &mark, DAM_STOP_TABLES);
            continue;
        }
        unit->error = step(t, unit);
        if (unit->error == DAM_E_NOMEM || unit->error == DAM_E_BUDGET)
            takeover_leave(t, unit, &mark, takeover_stop_of(unit->error));
        else if (unit->error)
            unit->status = DAM_UNIT_BROKEN_ROOT;
    }
}

enum dam_stop takeover_audit(struct dam_takeover *t)
{
    for_planned_units(t, find_requesters);
    for_planned_units(t, attach_windows);
    t->share_old = !t->config->recycled && !somebody_writes(t);
    for_planned_units(t, audit_trees);
    return takeover_go_on(t);
}

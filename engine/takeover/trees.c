// SPDX-License-Identifier: MIT
// New(d) = policy(Old(d)), with windows laid over it: the page tables, and which requesters share them. All
// of it is built in the pool.
#include "takeover/takeover.h"

#include "iommu/vtd/regs.h"

uint64_t takeover_known_end(const struct dam_takeover *t)
{
    const struct dam_ranges *sets[] = {t->config->old_ram, t->config->keep_out};
    uint64_t end = 1ull << 32;
    for (size_t i = 0; i < 2; i++)
        if (sets[i]->count && sets[i]->at[sets[i]->count - 1].end > end)
            end = sets[i]->at[sets[i]->count - 1].end;
    return dam_align_up(end, pt_span(2));
}

// Identity over everything that the machine is known to have, as far as the tree reaches.
static uint64_t identity_end(const struct dam_takeover *t, const struct pt_params *params)
{
    uint64_t end = takeover_known_end(t);
    // Above the middle first-stage addresses are negative.
    uint64_t width = pt_span(params->levels) >> params->canonical, limit = 1ull << params->haw;
    end = end < width ? end : width;
    return end < limit ? end : limit;
}

static dam_err build_identity(struct dam_takeover *t, struct pt_tree *tree, struct new_tree *n)
{
    bool w = n->policy == DAM_POLICY_PRESERVE;
    uint64_t end = identity_end(t, &tree->params);
    dam_err err = pt_tree_new(tree);
    if (!err)
        err = pt_tree_map(tree, 0, 0, end, true, w);
    const struct dam_ranges *keep_out = t->config->keep_out;
    for (size_t i = 0; !err && i < keep_out->count && keep_out->at[i].start < end; i++) {
        uint64_t start = dam_align_down(keep_out->at[i].start, DAM_PAGE_SIZE);
        uint64_t last = dam_align_up(keep_out->at[i].end, DAM_PAGE_SIZE);
        err = pt_tree_unmap(tree, start, (last < end ? last : end) - start);
    }
    return err;
}

static dam_err apply_cuts(struct pt_tree *tree, const struct pt_audit *audit)
{
    dam_err err = DAM_OK;
    for (const struct pt_cut *c = audit->cuts; !err && c; c = c->next)
        err = pt_tree_unmap(tree, c->iova, c->size);
    return err;
}

// Freeze needs a root of ours without W; what is below it is shared with the old tables, or with the copy
// that the audit made. Preserve takes that copy as it is.
static dam_err build_translated(struct pt_tree *tree, struct new_tree *n)
{
    const struct pt_audit *audit = &n->old->audit;
    bool freeze = n->policy == DAM_POLICY_FREEZE;
    dam_err err = DAM_OK;
    n->shares_old = !audit->copy;
    if (freeze) {
        err = pt_tree_share(tree, audit->copy ? audit->copied_root : n->old->root, true, false);
    } else {
        tree->root = audit->copied_root;
        tree->own_from = audit->copied_from;
    }
    if (!err)
        err = apply_cuts(tree, audit);
    n->readable = audit->readable - audit->cut_readable;
    n->writable = freeze ? 0 : audit->writable - audit->cut_writable;
    n->tables = audit->copy ? audit->tables : 0;
    return err;
}

static dam_err build_windows(struct pt_tree *tree, const struct window *windows)
{
    dam_err err = DAM_OK;
    for (const struct window *w = windows; !err && w; w = w->next)
        err = pt_tree_map(tree, w->start, w->start, w->end - w->start, true, true);
    return err;
}

// The last step: nothing is edited after it. A tree that would be empty without the window is the window.
static dam_err build_crash_window(struct dam_takeover *t, struct unit *unit, struct pt_tree *tree,
                                  struct new_tree *n)
{
    const struct crash_tree *crash;
    dam_err err = takeover_window_tree(t, unit, n->stage, &tree->params, &crash);
    if (err)
        return err;
    n->readable += takeover_window_pages(t);
    n->writable += takeover_window_pages(t);
    uint64_t low = t->pool->low;
    if (tree->root.v == t->empty.v) {
        tree->root = crash->tree.root;
        n->tables += crash->tables;
        return DAM_OK;
    }
    err = pt_tree_lay_over(tree, crash->tree.root);
    n->tables += (t->pool->low - low) / DAM_PAGE_SIZE;
    return err;
}

static dam_err build_tree(struct dam_takeover *t, struct unit *unit, struct new_tree *n)
{
    const struct window *windows = n->old ? n->old->windows : NULL;
    uint64_t low = t->pool->low;
    struct pt_tree tree = {.format = &t->formats[n->stage], .memory = &t->own_memory};
    tree.params = n->old ? n->old->params : takeover_params(t, unit, n->stage, n->levels);
    dam_err err = DAM_OK;
    switch (n->policy) {
    case DAM_POLICY_BLOCK:
        if (windows)
            err = pt_tree_new(&tree);
        else
            tree.root = t->empty;
        break;
    case DAM_POLICY_SCRATCH:
        tree.root = t->scratch[n->stage].root[n->levels - 1];
        if (windows || n->crash)
            err = pt_tree_share(&tree, tree.root, true, true);
        break;
    case DAM_POLICY_FREEZE:
    case DAM_POLICY_PRESERVE:
        err = n->old->identity ? build_identity(t, &tree, n) : build_translated(&tree, n);
        break;
    }
    if (!err)
        err = build_windows(&tree, windows);
    n->tables += (t->pool->low - low) / DAM_PAGE_SIZE;
    if (!err && n->crash)
        err = build_crash_window(t, unit, &tree, n);
    n->root = tree.root;
    return err;
}

enum dam_stage takeover_unit_stage(const struct unit *unit)
{
    bool second = !unit->vtd.scalable || dam_bits_get(unit->vtd.ecap, VTD_ECAP_SSTS);
    return second ? DAM_STAGE_SECOND : DAM_STAGE_FIRST;
}

uint8_t takeover_levels(const struct unit *unit, enum dam_stage stage, uint64_t end)
{
    uint8_t levels = 0;
    if (stage == DAM_STAGE_FIRST)
        return 4; // every unit has that
    for (uint8_t aw = 1; aw <= 3 && (!levels || pt_span(levels) < end); aw++)
        if (vtd_width_supported(&unit->vtd, aw))
            levels = (uint8_t)(aw + 2);
    return levels ? levels : VTD_MAX_LEVELS;
}

// Nothing sound is known without an old table: the narrowest width that does.
static uint8_t levels_for(const struct dam_takeover *t, const struct unit *unit, const struct requester *r,
                          enum dam_stage stage)
{
    return r->old_tree ? r->old_tree->params.levels : takeover_levels(unit, stage, takeover_window_end(t));
}

dam_err takeover_tree_for(struct dam_takeover *t, struct unit *unit, struct requester *r)
{
    // Without windows over it a blocked or scratched requester's old table does not matter.
    bool by_old = r->old_tree && (r->old_tree->windows || r->policy == DAM_POLICY_FREEZE ||
                                  r->policy == DAM_POLICY_PRESERVE);
    struct old_tree *old = by_old ? r->old_tree : NULL;
    enum dam_stage stage = r->old_tree ? r->old_tree->stage : takeover_unit_stage(unit);
    uint8_t levels = levels_for(t, unit, r, stage);
    bool crash = r->flags & DAM_REQ_CRASH;
    for (struct new_tree *n = unit->new_trees; n; n = n->next) {
        if (n->wanted_old == old && n->wanted == r->policy && n->stage == stage && n->levels == levels &&
            n->crash == crash) {
            r->new_tree = n;
            r->policy = n->policy;
            return DAM_OK;
        }
    }
    if (unit->new_tree_count == DID_FIRST - 1u)
        return DAM_E_NOMEM;
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct new_tree), &record);
    if (err)
        return err;
    struct new_tree *n = record;
    *n = (struct new_tree){.next = unit->new_trees,
                           .old = old,
                           .policy = r->policy,
                           .wanted_old = old,
                           .wanted = r->policy,
                           .stage = stage,
                           .levels = levels,
                           .crash = crash,
                           .number = ++unit->new_tree_count};
    unit->new_trees = n;
    r->new_tree = n;
    uint64_t mark = t->pool->low;
    err = build_tree(t, unit, n);
    if (err != DAM_E_NOMEM || !old || !old->identity)
        return err;
    // An identity view without large pages takes a table for every 2 MiB: that requester alone goes without.
    dam_arena_release(t->pool, mark);
    n->policy = r->policy = takeover_broken_policy(t->config);
    n->old = NULL;
    n->failed = true;
    n->readable = n->writable = n->tables = 0;
    takeover_report(t, DAM_F_PT_BUDGET, unit, r, 0, n->levels);
    return build_tree(t, unit, n);
}

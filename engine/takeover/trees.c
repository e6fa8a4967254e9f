// SPDX-License-Identifier: MIT
// New(d) = policy(Old(d)), with windows laid over it: the page tables, and which requesters share them. All
// of it is built in the pool.
#include "takeover/takeover.h"

uint64_t takeover_known_end(const struct dam_takeover *t)
{
    const struct dam_ranges *sets[] = {t->config->old_ram, t->config->keep_out};
    uint64_t end = 1ull << 32;
    for (size_t i = 0; i < 2; i++)
        if (sets[i]->count && sets[i]->at[sets[i]->count - 1].end > end)
            end = sets[i]->at[sets[i]->count - 1].end;
    return dam_align_up(end, pt_span(2));
}

uint64_t takeover_identity_limit(const struct pt_params *params, uint64_t end)
{
    // Above the middle first-stage addresses are negative.
    uint64_t last = pt_last(params->levels) >> params->canonical, limit = 1ull << params->haw;
    end = end < limit ? end : limit;
    return end && end - 1 > last ? last + 1 : end;
}

static dam_err build_identity(struct dam_takeover *t, struct pt_tree *tree, struct new_tree *n)
{
    bool w = n->old->w && n->policy == DAM_POLICY_PRESERVE;
    // Everything that the machine is known to have.
    uint64_t end = takeover_identity_limit(&tree->params, takeover_known_end(t));
    dam_err err = pt_tree_new(tree);
    if (!err)
        err = pt_tree_map(tree, 0, 0, end, n->old->r, w);
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

// The old tree, or the copy of it that the audit made, seen through the rights that New leaves. Where those
// can stand in the entry and nothing is to be edited, that is all, and costs no page. Else they are put into
// a root of ours, below which all is shared. Preserve with all rights takes its copy as it is.
static dam_err build_translated(struct pt_tree *tree, struct new_tree *n)
{
    const struct old_tree *old = n->old;
    const struct pt_audit *audit = &old->audit;
    bool freeze = n->policy == DAM_POLICY_FREEZE;
    bool r = old->r, w = old->w && (!freeze || old->leaves_frozen);
    bool edited = audit->cut_count || old->windows || n->crash;
    dam_pa root = freeze ? old->frozen_root : audit->copied_root;
    dam_err err = DAM_OK;
    n->shares_old = !audit->copy;
    if (n->by_entry && !edited) {
        tree->root = root;
        n->r = r;
        n->w = w;
    } else if (r && w && (!freeze || !edited)) {
        tree->root = root;
        tree->own_from = audit->copied_from;
    } else {
        err = pt_tree_share(tree, root, r, w);
    }
    if (!err)
        err = apply_cuts(tree, audit);
    n->readable = audit->readable - audit->cut_readable;
    n->writable = freeze ? 0 : audit->writable - audit->cut_writable;
    n->tables = audit->copy ? audit->tables : 0;
    return err;
}

// Those with all rights last: where two overlap, nobody loses what firmware asked for. What the tree does not
// reach, Old did not either.
static dam_err build_windows(struct pt_tree *tree, const struct window *windows)
{
    dam_err err = DAM_OK;
    for (unsigned all = 0; all < 2; all++) {
        for (const struct window *w = windows; !err && w; w = w->next) {
            uint64_t end = takeover_identity_limit(&tree->params, w->end);
            if ((w->r && w->w) == (all == 1) && w->start < end)
                err = pt_tree_map(tree, w->start, w->start, end - w->start, w->r, w->w);
        }
    }
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
    struct pt_tree tree = {.format = &unit->family->formats[n->stage], .memory = &t->own_memory};
    tree.params = n->old ? n->old->params : unit->kind->params(unit->iommu, n->stage, n->levels);
    n->r = n->w = true;
    dam_err err = DAM_OK;
    switch (n->policy) {
    case DAM_POLICY_BLOCK:
        if (windows)
            err = pt_tree_new(&tree);
        else
            tree.root = t->empty;
        break;
    case DAM_POLICY_SCRATCH:
        tree.root = unit->family->scratch[n->stage].root[n->levels - 1];
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

// Nothing sound is known without an old table: the narrowest width that does.
static uint8_t levels_for(const struct dam_takeover *t, const struct unit *unit, const struct requester *r,
                          enum dam_stage stage)
{
    return r->old_tree ? r->old_tree->params.levels
                       : unit->kind->levels(unit->iommu, stage, takeover_window_end(t));
}

// The tables of a requester that had none. Where one entry is for all PASIDs of a function, it leads to first
// stages alone.
static enum dam_stage stage_for(const struct unit *unit, const struct requester *r)
{
    if (r->old_tree)
        return r->old_tree->stage;
    bool pasid = unit->kind->by_function && (r->flags & DAM_REQ_PASID);
    return pasid ? DAM_STAGE_FIRST : unit->kind->stage(unit->iommu);
}

dam_err takeover_tree_for(struct dam_takeover *t, struct unit *unit, struct requester *r)
{
    // Without windows over it a blocked or scratched requester's old table does not matter.
    bool by_old = r->old_tree && (r->old_tree->windows || r->policy == DAM_POLICY_FREEZE ||
                                  r->policy == DAM_POLICY_PRESERVE);
    struct old_tree *old = by_old ? r->old_tree : NULL;
    enum dam_stage stage = stage_for(unit, r);
    uint8_t levels = levels_for(t, unit, r, stage);
    bool crash = r->flags & DAM_REQ_CRASH;
    bool by_entry = old && unit->kind->has_rights && unit->kind->has_rights(unit->iommu, &r->old);
    for (struct new_tree *n = unit->new_trees; n; n = n->next) {
        if (n->wanted_old == old && n->wanted == r->policy && n->stage == stage && n->levels == levels &&
            n->crash == crash && n->by_entry == by_entry) {
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
                           .by_entry = by_entry,
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

enum dam_stage takeover_new_stage(const struct requester *r)
{
    if (!r->new_tree)
        return DAM_STAGE_NONE;
    // The second stage alone contains a nested requester: what the policy says is in there, and the first
    // stage stays as it is, read through it.
    bool kept = r->policy == DAM_POLICY_FREEZE || r->policy == DAM_POLICY_PRESERVE;
    return kept && r->old.stage == DAM_STAGE_NESTED ? DAM_STAGE_NESTED : r->new_tree->stage;
}

// Whether a tree lets anything be written.
static bool writes(const struct new_tree *n)
{
    bool kept = n->policy == DAM_POLICY_PRESERVE || n->policy == DAM_POLICY_SCRATCH;
    return kept || n->crash || (n->old && n->old->windows);
}

struct iommu_target takeover_target(const struct dam_takeover *t, const struct requester *r)
{
    const struct new_tree *n = r->new_tree;
    return (struct iommu_target){
        .rid = r->rid,
        .flags = r->flags,
        .pasid = r->pasid,
        .old = &r->old,
        .usable = r->old_kind != DAM_OLD_BROKEN,
        .blocked = n->root.v == t->empty.v,
        .stage = takeover_new_stage(r),
        .levels = n->levels,
        .did = r->new_did,
        .root = n->root,
        .r = n->r,
        .w = n->w,
        .writes = writes(n),
        .entry = r->entry,
    };
}

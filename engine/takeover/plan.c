// SPDX-License-Identifier: MIT
// Plan: New(d) = policy(Old(d)), with windows laid over it. Builds page tables and context entries in the
// pool and touches no hardware.
#include "takeover/takeover.h"

#include <string.h>

#include "iommu/vtd/regs.h"

// ---- page tables
// ---------------------------------------------------------------------------------------------

// Identity over everything that the machine is known to have, as far as the tree reaches.
static uint64_t identity_end(const struct dam_takeover *t, const struct pt_params *params)
{
    const struct dam_ranges *sets[] = {t->config->old_ram, t->config->keep_out};
    uint64_t end = 1ull << 32;
    for (size_t i = 0; i < 2; i++)
        if (sets[i]->count && sets[i]->at[sets[i]->count - 1].end > end)
            end = sets[i]->at[sets[i]->count - 1].end;
    end = dam_align_up(end, pt_span(2));
    uint64_t width = pt_span(params->levels), limit = 1ull << params->haw;
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

static dam_err build_tree(struct dam_takeover *t, struct new_tree *n)
{
    const struct window *windows = n->old ? n->old->windows : NULL;
    uint64_t low = t->pool->low;
    struct pt_tree tree = {.format = &t->format, .memory = &t->own_memory};
    if (n->old)
        tree.params = n->old->params;
    dam_err err = DAM_OK;
    switch (n->policy) {
    case DAM_POLICY_BLOCK:
        if (windows)
            err = pt_tree_new(&tree);
        else
            tree.root = t->empty;
        break;
    case DAM_POLICY_SCRATCH:
        tree.root = t->scratch.root[n->levels - 1];
        if (windows)
            err = pt_tree_share(&tree, tree.root, true, true);
        break;
    case DAM_POLICY_FREEZE:
    case DAM_POLICY_PRESERVE:
        err = n->old->identity ? build_identity(t, &tree, n) : build_translated(&tree, n);
        break;
    }
    if (!err)
        err = build_windows(&tree, windows);
    n->root = tree.root;
    n->tables += (t->pool->low - low) / DAM_PAGE_SIZE;
    return err;
}

// ---- who shares a table, and under which domain id
// ----------------------------------------------------------------

static uint8_t levels_for(const struct unit *unit, const struct requester *r)
{
    if (r->old_tree)
        return r->old_tree->params.levels;
    uint8_t aw = 1; // nothing sound is known: the narrowest width that the unit has
    while (aw < 3 && !vtd_width_supported(&unit->vtd, aw))
        aw++;
    return (uint8_t)(aw + 2);
}

static dam_err tree_for(struct dam_takeover *t, struct unit *unit, struct requester *r)
{
    // Without windows over it a blocked or scratched requester's old table does not matter.
    bool by_old = r->old_tree && (r->old_tree->windows || r->policy == DAM_POLICY_FREEZE ||
                                  r->policy == DAM_POLICY_PRESERVE);
    struct old_tree *old = by_old ? r->old_tree : NULL;
    uint8_t levels = levels_for(unit, r);
    for (struct new_tree *n = unit->new_trees; n; n = n->next) {
        if (n->wanted_old == old && n->wanted == r->policy && n->levels == levels) {
            r->new_tree = n;
            r->policy = n->policy;
            return DAM_OK;
        }
    }
    if (unit->new_tree_count == DID_OLD - 1u)
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
                           .levels = levels,
                           .number = ++unit->new_tree_count};
    unit->new_trees = n;
    r->new_tree = n;
    uint64_t mark = t->pool->low;
    err = build_tree(t, n);
    if (err != DAM_E_NOMEM || !old || !old->identity)
        return err;
    // An identity view without large pages takes a table for every 2 MiB: that requester alone goes without.
    dam_arena_release(t->pool, mark);
    n->policy = r->policy = DAM_POLICY_BLOCK;
    n->old = NULL;
    n->failed = true;
    takeover_report(t, DAM_F_PT_BUDGET, unit, r, 0, n->levels);
    return build_tree(t, n);
}

static bool keeps_did(const struct unit *unit, const struct requester *r)
{
    bool cm = dam_bits_get(unit->vtd.cap, VTD_CAP_CM);
    // Pass-through had an id that says "untranslated", to the capture kernel as well: not for a table of
    // ours.
    return r->old_kind == DAM_OLD_TRANSLATED && r->old.did < vtd_domain_ids(&unit->vtd) &&
           !(cm && r->old.did == 0);
}

static const struct new_tree *tree_by_number(const struct unit *unit, uint16_t number)
{
    const struct new_tree *n = unit->new_trees;
    while (n && n->number != number)
        n = n->next;
    return n;
}

// Hardware tags its caches with domain ids: all requesters of one id must have one table (6.2.1). The first
// table keeps the id, another one gets an id that nobody had.
static enum dam_stop choose_did(struct dam_takeover *t, struct unit *unit, struct requester *r)
{
    uint16_t *owner = unit->did_owner, number = r->new_tree->number;
    r->new_did = r->old.did;
    if (keeps_did(unit, r)) {
        if (owner[r->old.did] == DID_OLD)
            owner[r->old.did] = number;
        if (owner[r->old.did] == number)
            return DAM_STOP_NONE;
        const struct new_tree *other = tree_by_number(unit, owner[r->old.did]);
        if (other && other->old && other->old != r->old_tree)
            takeover_report(t, DAM_F_DID_SHARED, unit, r, 0, r->old.did);
    } else if (r->old_kind == DAM_OLD_TRANSLATED) {
        takeover_report(t, DAM_F_CTX_DID, unit, r, 0, r->old.did);
    }
    r->flags |= DAM_REQ_NEW_DID;
    if (!r->new_tree->did) {
        while (unit->did_next > 0 && owner[unit->did_next] != DID_FREE)
            unit->did_next--;
        if (unit->did_next == 0)
            return DAM_STOP_DOMAIN_IDS;
        owner[unit->did_next] = number;
        r->new_tree->did = (uint16_t)unit->did_next;
    }
    r->new_did = r->new_tree->did;
    return DAM_STOP_NONE;
}

static struct vtd_context_entry context_for(const struct unit *unit, const struct requester *r)
{
    struct vtd_context c = {
        .present = true,
        .fpd = true,
        .type = VTD_T_UNTRANSLATED,
        .aw = (uint8_t)(r->new_tree->levels - 2),
        .did = r->new_did,
        .root = r->new_tree->root,
    };
    return vtd_context_encode(&c, unit->copied[r->rid >> 8][r->rid & 0xFF]);
}

// ---- the phase
// --------------------------------------------------------------------------------------------------

// A second context table for each bus, all silent until the requesters are filled in.
static dam_err make_context_tables(struct dam_takeover *t, struct unit *unit)
{
    for (unsigned bus = 0; bus < VTD_BUSES; bus++) {
        if (!unit->copied[bus] || unit->copied[bus] == t->silence) {
            unit->planned[bus] = unit->copied[bus];
            continue;
        }
        void *page;
        dam_err err = dam_arena_pages(t->pool, 1, &page);
        if (err)
            return err;
        unit->planned[bus] = page;
        memcpy(page, t->silence, DAM_PAGE_SIZE);
    }
    return DAM_OK;
}

static enum dam_stop plan_unit(struct dam_takeover *t, struct unit *unit)
{
    void *record;
    uint32_t dids = vtd_domain_ids(&unit->vtd);
    dam_err err = dam_arena_record(t->pool, dids * sizeof(*unit->did_owner), &record);
    if (!err) {
        unit->did_owner = record;
        unit->did_next = dids - 1;
        err = dam_arena_pages(t->pool, 2, &unit->queue_pages);
    }
    if (!err)
        err = make_context_tables(t, unit);
    if (err)
        return takeover_stop_of(err);
    for (struct requester *r = unit->requesters; r; r = r->next)
        if (r->old_kind != DAM_OLD_BROKEN && r->old.did < dids)
            unit->did_owner[r->old.did] = DID_OLD;
    for (struct requester *r = unit->requesters; r; r = r->next) {
        err = tree_for(t, unit, r);
        if (err)
            return takeover_stop_of(err);
        enum dam_stop stop = choose_did(t, unit, r);
        if (stop)
            return stop;
        if (r->new_tree->failed)
            r->flags |= DAM_REQ_QUARANTINED;
        if (r->old_tree && r->old_tree->audit.cut_count)
            r->flags |= DAM_REQ_CUT;
        if (r->old_tree && r->old_tree->windows)
            r->flags |= DAM_REQ_RMRR;
        unit->planned[r->rid >> 8][r->rid & 0xFF] = context_for(unit, r);
    }
    return DAM_STOP_NONE;
}

static bool somebody_scratches(const struct dam_takeover *t)
{
    for (const struct unit *unit = t->units; unit; unit = unit->next)
        for (const struct requester *r = unit->requesters; r; r = r->next)
            if (r->policy == DAM_POLICY_SCRATCH)
                return true;
    return false;
}

static void report_unused_choices(struct dam_takeover *t)
{
    const struct dam_takeover_config *c = t->config;
    for (size_t i = 0; i < c->choice_count; i++) {
        bool used = false;
        for (const struct unit *unit = t->units; unit; unit = unit->next)
            for (const struct requester *r = unit->requesters; r; r = r->next)
                used |=
                    unit->segment == c->choices[i].requester.segment && r->rid == c->choices[i].requester.rid;
        if (!used) {
            struct dam_finding f = {.code = DAM_F_CHOICE_UNUSED,
                                    .level = 255,
                                    .unit = 0xFFFF,
                                    .segment = c->choices[i].requester.segment,
                                    .rid = c->choices[i].requester.rid};
            dam_finding_add(&t->findings, &f);
        }
    }
}

enum dam_stop takeover_plan(struct dam_takeover *t)
{
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    if (err)
        return takeover_stop_of(err);
    t->empty = dam_arena_pa(t->pool, page);
    t->has_scratch = somebody_scratches(t);
    if (t->has_scratch) {
        struct pt_params any = {.levels = PT_MAX_LEVELS, .haw = t->host_address_width};
        err = pt_scratch_new(&t->format, &any, t->pool, &t->scratch);
        if (err)
            return takeover_stop_of(err);
    }
    report_unused_choices(t);
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        enum dam_stop stop = unit->status == DAM_UNIT_PLANNED ? plan_unit(t, unit) : DAM_STOP_NONE;
        if (stop)
            return stop;
    }
    return DAM_STOP_NONE;
}

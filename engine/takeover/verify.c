// SPDX-License-Identifier: MIT
// Verify: read back what the hardware runs on, and walk the new tables as they are now. A frozen tree still
// has most of its tables in old memory, and until a moment ago devices could write there: only now they stand
// still.
#include "takeover/takeover.h"

static bool verify_registers(struct unit *unit)
{
    bool ok = false;
    unit->error = unit->kind->verify_registers(unit->iommu, &ok);
    return !unit->error && ok;
}

static bool verify_entries(struct dam_takeover *t, struct unit *unit)
{
    bool ok = unit->kind->verify_tables(unit->iommu);
    for (const struct requester *r = unit->requesters; r; r = r->next) {
        const struct iommu_target target = takeover_target(t, r);
        ok &= unit->kind->verify_entry(unit->iommu, &target);
    }
    return ok;
}

// 4-KiB pages that firmware regions make readable, or writable. Windows of one tree may overlap: then this is
// an upper bound.
static uint64_t window_pages(const struct old_tree *old, bool writable)
{
    uint64_t pages = 0;
    for (const struct window *w = old ? old->windows : NULL; w; w = w->next) {
        uint64_t end = takeover_identity_limit(&old->params, w->end);
        if ((writable ? w->w : w->r) && w->start < end)
            pages += (end - w->start) >> DAM_PAGE_SHIFT;
    }
    return pages;
}

// Walks a tree of ours. Scratch tables lead back into themselves for every IOVA and cannot be walked; they
// were built from nothing that came from old memory.
static bool verify_tree(struct dam_takeover *t, struct unit *unit, struct new_tree *n)
{
    if (n->policy == DAM_POLICY_SCRATCH || !n->old)
        return true;
    struct pt_budget budget = {.tables = DAM_DEFAULT_MAX_TABLES,
                               .deadline_us = dam_clock_us(t->ops) + DAM_DEFAULT_MAX_US};
    struct pt_memory memory = t->own_memory;
    memory.budget = &budget;
    struct pt_audit audit = {
        .format = &unit->family->formats[n->stage],
        .params = &n->old->params,
        .without_r = !n->r,
        .without_w = !n->w,
        .memory = &memory,
        .keep_out = t->config->keep_out,
        .about = {.unit = unit->iommu->index, .segment = unit->iommu->segment},
        .buffers = t->buffers,
        .window = n->crash ? t->config->crash_window : NULL,
        .windowed = n->crash,
    };
    uint64_t windows = window_pages(n->old, true) + (n->crash ? takeover_window_pages(t) : 0);
    dam_err err = pt_audit(&audit, n->root);
    // Entries that the hardware refuses make cuts as well, and are harmless: only what leads somewhere
    // counts.
    bool ok = !err && audit.cut_readable == 0 && audit.cut_writable == 0;
    if (n->policy == DAM_POLICY_FREEZE || n->policy == DAM_POLICY_BLOCK)
        ok &= audit.writable <= windows;
    if (ok && n->shares_old && !n->old->audit.collisions &&
        audit.readable != n->readable + window_pages(n->old, false))
        takeover_report(t, DAM_F_PT_CHANGED, unit, NULL, n->old->root.v, audit.readable);
    n->readable = audit.readable;
    n->writable = audit.writable;
    return ok;
}

// Every requester of a tree that failed gets what broken ones get: what changes in each entry is one 64-bit
// word.
static dam_err block_tree(struct dam_takeover *t, struct unit *unit, struct new_tree *n)
{
    uint64_t failed = n->root.v;
    // With the crash window nothing else: scratch tables with a window in them would have to be built.
    enum dam_policy policy = n->crash ? DAM_POLICY_BLOCK : takeover_broken_policy(t->config);
    const struct crash_tree *crash = NULL;
    n->failed = true;
    n->r = n->w = true;
    n->root = policy == DAM_POLICY_SCRATCH ? unit->family->scratch[n->stage].root[n->levels - 1] : t->empty;
    n->readable = n->writable = 0;
    // The window's tables come from nothing old, and are there since the plan.
    if (n->crash && !takeover_window_tree(t, unit, n->stage, &n->old->params, &crash)) {
        n->root = crash->tree.root;
        n->readable = n->writable = takeover_window_pages(t);
    }
    for (struct requester *r = unit->requesters; r; r = r->next) {
        if (r->new_tree != n)
            continue;
        takeover_report(t, DAM_F_VERIFY_TREE, unit, r, failed, 0);
        if (r->flags & DAM_REQ_OTHERS) // its entry is everywhere, and was made from nothing old
            return DAM_E_VERIFY;
        r->policy = policy;
        const struct iommu_target target = takeover_target(t, r);
        unit->kind->rebind(unit->iommu, &target);
        r->flags |= DAM_REQ_QUARANTINED;
    }
    return unit->kind->flush(unit->iommu);
}

// Once for all units that share the trees.
static dam_err verify_trees(struct dam_takeover *t, struct unit *unit)
{
    dam_err err = DAM_OK;
    for (struct new_tree *n = unit->verified ? NULL : unit->new_trees; n; n = n->next) {
        dam_err blocked = verify_tree(t, unit, n) ? DAM_OK : block_tree(t, unit, n);
        err = blocked ? blocked : err;
    }
    unit->verified = !err;
    return err;
}

static bool verify_unit(struct dam_takeover *t, struct unit *unit)
{
    struct unit *owner = unit->leader ? unit->leader : unit;
    if (!verify_registers(unit) || !verify_entries(t, owner))
        return false;
    unit->error = verify_trees(t, owner);
    return !unit->error && verify_registers(unit);
}

enum dam_stop takeover_verify(struct dam_takeover *t)
{
    enum dam_stop stop = DAM_STOP_NONE;
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (!takeover_is_ours(unit)) {
            if (unit->status != DAM_UNIT_ABSENT &&
                unit->kind->read_registers(unit->iommu, &unit->iommu->after))
                unit->error = DAM_E_IO;
            continue;
        }
        if (!verify_unit(t, unit)) {
            unit->error = unit->error ? unit->error : DAM_E_VERIFY;
            unit->status = DAM_UNIT_FAILED_AFTER;
            stop = DAM_STOP_VERIFY;
        }
    }
    return stop;
}

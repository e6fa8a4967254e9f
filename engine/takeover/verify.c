// SPDX-License-Identifier: MIT
// Verify: read back what the hardware runs on, and walk the new tables as they are now. A frozen tree still
// has most of its tables in old memory, and until a moment ago devices could write there: only now they stand
// still.
#include "takeover/takeover.h"

#include <string.h>

#include "iommu/vtd/regs.h"

static bool verify_register(struct dam_takeover *t, struct unit *unit, uint16_t reg, uint64_t value,
                            uint64_t want)
{
    if (value == want)
        return true;
    takeover_report(t, DAM_F_VERIFY_REGISTER, unit, NULL, unit->vtd.base.v + reg, value);
    return false;
}

static bool verify_registers(struct dam_takeover *t, struct unit *unit)
{
    unit->error = vtd_registers_read(&unit->vtd, &unit->after);
    if (unit->error)
        return false;
    bool ok =
        verify_register(t, unit, VTD_RTADDR_REG, unit->after.rtaddr,
                        dam_arena_pa(t->pool, unit->root_table).v | dam_bits_put(unit->ttm, VTD_RTADDR_TTM));
    ok &= verify_register(t, unit, VTD_GSTS_REG, unit->after.gsts & dam_bits_mask(VTD_G_TE),
                          dam_bits_mask(VTD_G_TE));
    if (unit->irta) {
        ok &= verify_register(t, unit, VTD_IRTA_REG, unit->after.irta, unit->irta);
        ok &= verify_register(t, unit, VTD_GSTS_REG, unit->after.gsts & dam_bits_mask(VTD_G_IRE),
                              dam_bits_mask(VTD_G_IRE));
    }
    if (unit->vtd.queue)
        ok &= verify_register(t, unit, VTD_IQA_REG, unit->after.iqa & dam_bits_mask(VTD_IQA_IQA),
                              unit->vtd.queue_pa.v);
    return ok;
}

static bool verify_contexts(struct dam_takeover *t, struct unit *unit)
{
    bool ok = true;
    for (unsigned half = 0; half < VTD_HALVES; half++) {
        const uint64_t *word = &unit->root_table[half / 2].w[half % 2];
        if (*word !=
            (unit->planned[half] ? vtd_root_encode(dam_arena_pa(t->pool, unit->planned[half])) : 0)) {
            takeover_report(t, DAM_F_VERIFY_CONTEXT, unit, NULL, dam_arena_pa(t->pool, word).v, *word);
            ok = false;
        }
    }
    for (const struct requester *r = unit->requesters; r; r = r->next) {
        uint64_t want[IOMMU_BINDING_WORDS];
        unsigned words = takeover_encode(unit, r, want);
        bool leads = (r->flags & DAM_REQ_OTHERS) || takeover_follow(t, unit, r) == r->live;
        if (!leads || memcmp(r->live, want, words * sizeof(*want)) != 0) {
            takeover_report(t, DAM_F_VERIFY_CONTEXT, unit, r, dam_arena_pa(t->pool, r->live).v, r->live[0]);
            ok = false;
        }
    }
    return ok;
}

// 4-KiB pages that firmware regions make writable. Windows of one tree may overlap: then this is an upper
// bound.
static uint64_t window_pages(const struct old_tree *old)
{
    uint64_t pages = 0;
    for (const struct window *w = old ? old->windows : NULL; w; w = w->next)
        pages += (w->end - w->start) >> DAM_PAGE_SHIFT;
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
        .format = &t->formats[n->stage],
        .params = &n->old->params,
        .memory = &memory,
        .keep_out = t->config->keep_out,
        .about = {.unit = unit->index, .segment = unit->segment},
        .buffers = t->buffers,
        .window = n->crash ? t->config->crash_window : NULL,
        .windowed = n->crash,
    };
    uint64_t windows = window_pages(n->old) + (n->crash ? takeover_window_pages(t) : 0);
    dam_err err = pt_audit(&audit, n->root);
    // Entries that the hardware refuses make cuts as well, and are harmless: only what leads somewhere
    // counts.
    bool ok = !err && audit.cut_readable == 0 && audit.cut_writable == 0;
    if (n->policy == DAM_POLICY_FREEZE || n->policy == DAM_POLICY_BLOCK)
        ok &= audit.writable <= windows;
    if (ok && n->shares_old && !n->old->audit.collisions &&
        audit.readable != n->readable + window_pages(n->old))
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
    n->root = policy == DAM_POLICY_SCRATCH ? t->scratch[n->stage].root[n->levels - 1] : t->empty;
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
        if (r->flags & DAM_REQ_OTHERS) // its entry is in every context table, and was made from nothing old
            return DAM_E_VERIFY;
        r->policy = policy;
        uint64_t entry[IOMMU_BINDING_WORDS];
        unsigned words = takeover_encode(unit, r, entry);
        for (unsigned i = 0; i < words; i++)
            if (r->live[i] != entry[i])
                *(volatile uint64_t *)&r->live[i] = entry[i];
        dam_cache_flush(t->ops, r->live, words * sizeof(*entry));
        r->flags |= DAM_REQ_QUARANTINED;
    }
    return takeover_flush(unit);
}

static bool verify_unit(struct dam_takeover *t, struct unit *unit)
{
    bool ok = verify_registers(t, unit) && verify_contexts(t, unit);
    if (!ok)
        return false;
    for (struct new_tree *n = unit->new_trees; n; n = n->next) {
        if (verify_tree(t, unit, n))
            continue;
        unit->error = block_tree(t, unit, n);
        ok &= !unit->error;
    }
    return ok && verify_registers(t, unit);
}

enum dam_stop takeover_verify(struct dam_takeover *t)
{
    enum dam_stop stop = DAM_STOP_NONE;
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status != DAM_UNIT_TAKEN && unit->status != DAM_UNIT_RAISED) {
            if (unit->status != DAM_UNIT_ABSENT && vtd_registers_read(&unit->vtd, &unit->after))
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

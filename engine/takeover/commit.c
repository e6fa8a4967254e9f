// SPDX-License-Identifier: MIT
// Commit: swap the root pointer to an exact copy of the old root and context tables, then change the context
// entries in that copy, each step with its flushes (hardware/vtd.md §10; VT-d architecture specification, 6.6
// and 11.4.5: the new tables must give the same results as the old ones while DMA is active).
#include "takeover/takeover.h"

#include "iommu/vtd/regs.h"

// One 64-bit store: the hardware sees the old word or the new one.
static void store(const struct dam_ops *ops, uint64_t *word, uint64_t value)
{
    *(volatile uint64_t *)word = value;
    dam_cache_flush(ops, word, sizeof(*word));
}

static struct vtd_context_entry *live_entry(struct unit *unit, const struct requester *r)
{
    return &unit->contexts[r->rid >> 8][r->rid & 0xFF];
}

static bool concerns(const struct requester *r, const struct new_tree *only)
{
    return !only || r->new_tree == only;
}

static dam_err flush(struct unit *unit)
{
    dam_barrier(unit->vtd.ops);
    dam_err err = vtd_flush_write_buffer(&unit->vtd);
    return err ? err : vtd_invalidate_all(&unit->vtd);
}

dam_err takeover_apply_contexts(struct dam_takeover *t, struct unit *unit, const struct new_tree *only)
{
    // An entry whose second word changes too cannot be stored in one go: it is taken away first, flushed, and
    // filled.
    bool two_steps = false;
    for (struct requester *r = unit->requesters; r; r = r->next) {
        struct vtd_context_entry *live = live_entry(unit, r);
        if (concerns(r, only) && live->w[1] != r->planned.w[1] && dam_bits_get(live->w[0], VTD_CTX_P)) {
            store(t->ops, &live->w[0], dam_bits_mask(VTD_CTX_FPD));
            two_steps = true;
        }
    }
    if (two_steps) {
        dam_err err = flush(unit);
        if (err)
            return err;
    }
    for (struct requester *r = unit->requesters; r; r = r->next) {
        struct vtd_context_entry *live = live_entry(unit, r);
        if (!concerns(r, only))
            continue;
        if (live->w[1] != r->planned.w[1]) {
            store(t->ops, &live->w[1], r->planned.w[1]);
            dam_barrier(t->ops); // the hardware must not see the new first word with the old second one
        }
        store(t->ops, &live->w[0], r->planned.w[0]);
    }
    return flush(unit);
}

static dam_err commit_unit(struct dam_takeover *t, struct unit *unit, bool *switched)
{
    struct vtd_unit *vtd = &unit->vtd;
    *switched = false;
    // The queue comes first: when it cannot be had, everything else is as it was.
    dam_err err = vtd_take_invalidation(vtd, t->pool, unit->queue_pages);
    if (!err)
        err = vtd_mask_fault_event(vtd);
    if (!err)
        err = vtd_flush_write_buffer(vtd);
    if (err)
        return err;
    uint64_t start = dam_clock_us(t->ops);
    *switched = true; // from the write of RTADDR on we cannot say that nothing was touched
    err = vtd_set_root(vtd, dam_arena_pa(t->pool, unit->root_table), 0);
    if (!err)
        err = vtd_invalidate_all(vtd);
    unit->us_switch = (uint32_t)(dam_clock_us(t->ops) - start);
    if (!err)
        err = takeover_apply_contexts(t, unit, NULL);
    return err;
}

enum dam_stop takeover_commit(struct dam_takeover *t)
{
    unsigned taken = 0, failed = 0, switched_failed = 0;
    dam_err first = DAM_OK;
    // All tables at once: coherent units need only the barrier, but a write-back of clean lines costs little.
    dam_cache_flush(t->ops, t->pool->base, t->pool->low);
    dam_barrier(t->ops);
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status != DAM_UNIT_PLANNED)
            continue;
        bool switched;
        unit->error = commit_unit(t, unit, &switched);
        if (!unit->error) {
            unit->status = DAM_UNIT_TAKEN;
            taken++;
            continue;
        }
        if (unit->error == DAM_E_TIMEOUT || unit->error == DAM_E_STATE)
            takeover_report(t, DAM_F_WAIT_TIMEOUT, unit, NULL, unit->vtd.base.v + unit->vtd.waited_register,
                            unit->vtd.waited_value);
        unit->status = switched ? DAM_UNIT_FAILED_AFTER : DAM_UNIT_FAILED_BEFORE;
        first = failed++ ? first : unit->error;
        switched_failed += switched;
    }
    if (!failed)
        return DAM_STOP_NONE;
    if (taken) {
        takeover_report(t, DAM_F_UNITS_MIXED, NULL, NULL, 0, failed);
        return DAM_STOP_UNITS;
    }
    if (!switched_failed && first == DAM_E_STATE)
        return DAM_STOP_QUEUE;
    return first == DAM_E_TIMEOUT || first == DAM_E_STATE ? DAM_STOP_COMMIT_TIMEOUT : DAM_STOP_COMMIT_IO;
}

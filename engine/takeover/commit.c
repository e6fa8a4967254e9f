// SPDX-License-Identifier: MIT
// Commit: swap the root pointer to an exact copy of the old root and context tables, then lead each bus over
// to its planned context table, each step with its flushes (VT-d architecture specification, 6.6 and 11.4.5:
// while DMA is active a new root table must give the same results as the old one).
#include "takeover/takeover.h"

#include "iommu/vtd/regs.h"

dam_err takeover_flush(struct unit *unit)
{
    dam_barrier(unit->vtd.ops);
    dam_err err = vtd_flush_write_buffer(&unit->vtd);
    return err ? err : vtd_invalidate_all(&unit->vtd);
}

// One 64-bit store a context table: the hardware sees all of the old context table or all of the new one, and
// no requester is without a table in between.
void takeover_lead_root(struct dam_takeover *t, struct unit *unit)
{
    for (unsigned half = 0; half < VTD_HALVES; half++)
        if (unit->planned[half])
            *(volatile uint64_t *)&unit->root_table[half / 2].w[half % 2] =
                vtd_root_encode(dam_arena_pa(t->pool, unit->planned[half]));
    dam_cache_flush(t->ops, unit->root_table, DAM_PAGE_SIZE);
    dam_barrier(t->ops);
}

dam_err takeover_quiet_unit(struct dam_takeover *t, struct unit *unit)
{
    struct vtd_unit *vtd = &unit->vtd;
    dam_err err = vtd_mask_events(vtd);
    if (!err)
        err = vtd_flush_write_buffer(vtd);
    return err ? err : vtd_take_invalidation(vtd, t->pool, unit->queue_pages);
}

// Everything up to here leaves a unit on its old tables. DAM_E_STATE: no invalidation interface can be had.
static dam_err prepare_unit(struct dam_takeover *t, struct unit *unit)
{
    dam_err err = takeover_quiet_unit(t, unit);
    if (err)
        return err;
    // It is tried before anything depends on it: a flush more changes nothing.
    err = vtd_invalidate_all(&unit->vtd);
    if (err)
        vtd_give_invalidation_back(&unit->vtd);
    return err == DAM_E_TIMEOUT || err == DAM_E_VERIFY ? DAM_E_STATE : err;
}

static dam_err switch_unit(struct dam_takeover *t, struct unit *unit)
{
    struct vtd_unit *vtd = &unit->vtd;
    uint64_t start = dam_clock_us(t->ops);
    dam_err err = vtd_set_root(vtd, dam_arena_pa(t->pool, unit->root_table), unit->ttm);
    if (!err)
        err = vtd_invalidate_all(vtd);
    unit->us_switch = (uint32_t)(dam_clock_us(t->ops) - start);
    if (err)
        return err;
    takeover_lead_root(t, unit);
    return takeover_flush(unit);
}

// The status is right at every moment: an exception may end this anywhere, and the note tells it then.
static dam_err commit_unit(struct dam_takeover *t, struct unit *unit)
{
    unit->status = DAM_UNIT_FAILED_BEFORE;
    dam_err err = prepare_unit(t, unit);
    if (unit->vtd.old_queue_dropped)
        takeover_report(t, DAM_F_QUEUE_DROPPED, unit, NULL, unit->before.iqh, unit->before.iqt);
    if (err)
        return err;
    // From the write of RTADDR on we cannot say that nothing was touched.
    unit->status = DAM_UNIT_FAILED_AFTER;
    err = switch_unit(t, unit);
    if (!err)
        err = takeover_commit_interrupts(unit);
    if (err)
        return err;
    unit->status = DAM_UNIT_TAKEN;
    takeover_commit_state(t, unit);
    return DAM_OK;
}

// A unit that translates, and still does so by the old tables, because they or it were not to be handled.
// (One that is off or does not answer is as the old kernel had it.)
static bool left_alone(const struct unit *unit)
{
    return unit->status == DAM_UNIT_LEFT || unit->status == DAM_UNIT_BROKEN_ROOT ||
           unit->status == DAM_UNIT_UNSUPPORTED;
}

enum dam_stop takeover_commit(struct dam_takeover *t)
{
    unsigned taken = 0, failed = 0, switched_failed = 0, left = 0;
    dam_err first = DAM_OK;
    // All tables at once: coherent units need only the barrier, but a write-back of clean lines costs little.
    dam_cache_flush(t->ops, t->pool->base, t->pool->low);
    dam_barrier(t->ops);
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status != DAM_UNIT_PLANNED) {
            left += left_alone(unit);
            continue;
        }
        takeover_report_changes(t, unit);
        unit->error = unit->raise ? takeover_raise(t, unit) : commit_unit(t, unit);
        if (!unit->error) {
            taken++;
            continue;
        }
        if (unit->error == DAM_E_TIMEOUT || unit->error == DAM_E_STATE)
            takeover_report(t, unit->error == DAM_E_STATE ? DAM_F_QUEUE_STUCK : DAM_F_WAIT_TIMEOUT, unit,
                            NULL, unit->vtd.base.v + unit->vtd.waited_register, unit->vtd.waited_value);
        first = failed++ ? first : unit->error;
        switched_failed += unit->status == DAM_UNIT_FAILED_AFTER;
    }
    takeover_bare_hardware(t);
    if (!failed && !left)
        return DAM_STOP_NONE;
    if (taken) {
        takeover_report(t, DAM_F_UNITS_MIXED, NULL, NULL, 0, failed + left);
        return DAM_STOP_UNITS;
    }
    if (!switched_failed && first == DAM_E_STATE)
        return DAM_STOP_QUEUE;
    return first == DAM_E_TIMEOUT || first == DAM_E_STATE ? DAM_STOP_COMMIT_TIMEOUT : DAM_STOP_COMMIT_IO;
}

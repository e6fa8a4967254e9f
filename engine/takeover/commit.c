// SPDX-License-Identifier: MIT
// Commit: the units go over to exact copies of the old tables, then to the planned ones; how, their kinds
// know.
#include "takeover/takeover.h"

// The status is right at every moment: an exception may end this anywhere, and the note tells it then.
static dam_err point_unit(struct unit *unit)
{
    const struct iommu_kind *kind = unit->kind;
    bool raise = unit->iommu->raise;
    unit->status = raise ? DAM_UNIT_OFF : DAM_UNIT_FAILED_BEFORE;
    dam_err err = kind->prepare(unit->iommu);
    if (err)
        return err;
    // From the first write that points it elsewhere on we cannot say that nothing was touched; of one that is
    // raised, only its answer tells whether it is on.
    unit->status = DAM_UNIT_FAILED_AFTER;
    err = raise ? kind->raise(unit->iommu) : kind->switch_tables(unit->iommu);
    // One that does not take other tables still has the old ones.
    if (err == DAM_E_STATE && !raise && !kind->read_registers(unit->iommu, &unit->iommu->after) &&
        !kind->is_switched(unit->iommu))
        unit->status = DAM_UNIT_FAILED_BEFORE;
    if (!err && kind->commit_interrupts)
        err = kind->commit_interrupts(unit->iommu);
    return err;
}

static dam_err commit_unit(struct dam_takeover *t, struct unit *unit)
{
    const struct iommu_unit *iommu = unit->iommu;
    dam_err err = point_unit(unit);
    if (iommu->raise)
        takeover_report(t, err ? DAM_F_RAISE_FAILED : DAM_F_RAISED, unit, NULL,
                        iommu->base.v + iommu->state_register, iommu->state_value);
    if (err)
        return err;
    unit->status = iommu->raise ? DAM_UNIT_RAISED : DAM_UNIT_TAKEN;
    if (unit->kind->commit_state)
        unit->kind->commit_state(unit->iommu);
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
    if (t->config->low_pool)
        dam_cache_flush(t->ops, t->config->low_pool->base, t->config->low_pool->low);
    dam_barrier(t->ops);
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status != DAM_UNIT_PLANNED) {
            left += left_alone(unit);
            continue;
        }
        iommu_report_changes(unit->iommu);
        unit->error = commit_unit(t, unit);
        if (!unit->error) {
            taken++;
            continue;
        }
        if (unit->error == DAM_E_TIMEOUT || unit->error == DAM_E_STATE)
            takeover_report(t, unit->error == DAM_E_STATE ? DAM_F_QUEUE_STUCK : DAM_F_WAIT_TIMEOUT, unit,
                            NULL, unit->iommu->base.v + unit->iommu->waited_register,
                            unit->iommu->waited_value);
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

// SPDX-License-Identifier: MIT
#include "takeover/takeover.h"

dam_err dam_takeover_new(const struct dam_takeover_config *config, struct dam_takeover **out)
{
    void *record;
    dam_err err = dam_arena_record(config->pool, sizeof(struct dam_takeover), &record);
    if (err)
        return err;
    struct dam_takeover *t = record;
    t->config = config;
    t->ops = config->ops;
    t->pool = config->pool;
    err = dam_arena_record(config->pool, PT_MAX_LEVELS * DAM_PAGE_SIZE, &record);
    if (err)
        return err;
    t->buffers = record;
    struct iommu_kind kinds[IOMMU_KINDS];
    t->family_count = iommu_kinds(kinds);
    for (unsigned i = 0; i < t->family_count; i++) {
        struct family *f = &t->families[i];
        f->kind = kinds[i];
        f->kind.format(DAM_STAGE_FIRST, &f->formats[DAM_STAGE_FIRST]);
        f->kind.format(DAM_STAGE_SECOND, &f->formats[DAM_STAGE_SECOND]);
    }
    t->budget.tables = config->max_tables ? config->max_tables : DAM_DEFAULT_MAX_TABLES;
    t->budget.deadline_us = dam_clock_us(t->ops) + (config->max_us ? config->max_us : DAM_DEFAULT_MAX_US);
    t->old_memory = (struct pt_memory){
        .ops = t->ops, .old_ram = config->old_ram, .pool = config->pool, .ours = false, .budget = &t->budget};
    t->own_memory = t->old_memory;
    t->own_memory.ours = true;
    *out = t;
    return DAM_OK;
}

void takeover_report(struct dam_takeover *t, uint16_t code, const struct unit *unit,
                     const struct requester *r, uint64_t address, uint64_t raw)
{
    struct dam_finding f = {
        .code = code,
        .level = 255,
        .unit = unit ? unit->iommu->index : 0xFFFF,
        .segment = unit ? unit->iommu->segment : 0,
        .rid = r ? r->rid : 0,
        .address = address,
        .raw = raw,
    };
    dam_finding_add(&t->findings, &f);
}

enum dam_stop takeover_stop_of(dam_err err)
{
    switch (err) {
    case DAM_OK:
        return DAM_STOP_NONE;
    case DAM_E_NOMEM:
        return DAM_STOP_POOL;
    case DAM_E_BUDGET:
        return DAM_STOP_BUDGET;
    case DAM_E_STATE: // takeover_choose_did()
        return DAM_STOP_DOMAIN_IDS;
    default:
        return DAM_STOP_INTERNAL;
    }
}

struct pool_mark takeover_mark(const struct dam_takeover *t)
{
    const struct dam_arena *low = t->config->low_pool;
    return (struct pool_mark){t->pool->low, low ? low->low : 0};
}

void takeover_release(struct dam_takeover *t, const struct pool_mark *mark)
{
    dam_arena_release(t->pool, mark->pages);
    if (t->config->low_pool)
        dam_arena_release(t->config->low_pool, mark->low_pages);
}

void takeover_leave(struct dam_takeover *t, struct unit *unit, const struct pool_mark *mark,
                    enum dam_stop why)
{
    for (struct requester *r = unit->requesters; r; r = r->next)
        r->new_tree = NULL; // the note shall not tell of tables that nothing uses
    takeover_release(t, mark);
    unit->status = DAM_UNIT_LEFT;
    t->left = t->left ? t->left : why;
    takeover_report(t, DAM_F_UNIT_LEFT, unit, NULL, unit->iommu->base.v, why);
}

enum dam_stop takeover_go_on(const struct dam_takeover *t)
{
    for (const struct unit *unit = t->units; unit; unit = unit->next)
        if (unit->status == DAM_UNIT_PLANNED)
            return DAM_STOP_NONE;
    return t->left ? t->left : DAM_STOP_TABLES;
}

static enum dam_stop run(struct dam_takeover *t, enum dam_phase phase,
                         enum dam_stop (*step)(struct dam_takeover *))
{
    t->phase = phase;
    t->stop = step(t);
    t->us[phase] = (uint32_t)dam_clock_us(t->ops);
    return t->stop;
}

enum dam_stop dam_takeover_prepare(struct dam_takeover *t)
{
    if (run(t, DAM_PHASE_DISCOVER, takeover_discover))
        return t->stop;
    if (run(t, DAM_PHASE_AUDIT, takeover_audit))
        return t->stop;
    return run(t, DAM_PHASE_PLAN, takeover_plan);
}

enum dam_stop dam_takeover_commit(struct dam_takeover *t)
{
    enum dam_stop commit = run(t, DAM_PHASE_COMMIT, takeover_commit);
    if (DAM_STOP_IS_UNTOUCHED(commit))
        return commit;
    enum dam_stop verify = run(t, DAM_PHASE_VERIFY, takeover_verify);
    takeover_switch_ats_off(t); // last, because a device that hangs over it must not keep anything from us
    t->stop = commit ? commit : verify;
    return t->stop;
}

void dam_takeover_look(struct dam_takeover *t)
{
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status == DAM_UNIT_ABSENT)
            continue;
        if (unit->kind->read_registers(unit->iommu, &unit->iommu->after))
            unit->error = DAM_E_IO;
        else if (unit->status == DAM_UNIT_FAILED_AFTER && !unit->kind->is_switched(unit->iommu))
            unit->status = DAM_UNIT_FAILED_BEFORE; // it was about to be changed
    }
}

enum dam_phase dam_takeover_phase(const struct dam_takeover *t)
{
    return t->phase;
}

bool dam_takeover_may_hide(const struct dam_takeover *t)
{
    unsigned ours = 0;
    for (const struct unit *unit = t->units; unit; unit = unit->next) {
        bool taken = takeover_is_ours(unit);
        bool off = unit->status == DAM_UNIT_OFF || (unit->status == DAM_UNIT_LEFT && unit->iommu->raise);
        if (!taken && !off && unit->status != DAM_UNIT_ABSENT)
            return false;
        ours += taken;
    }
    return takeover_hides(t) && ours && !t->not_bare;
}

void dam_takeover_finding(struct dam_takeover *t, const struct dam_finding *finding)
{
    dam_finding_add(&t->findings, finding);
}

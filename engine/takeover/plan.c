// SPDX-License-Identifier: MIT
// Plan: page tables, domain ids and entries for every requester, in the pool. Touches no hardware.
#include "takeover/takeover.h"

// Everything below a part of the old tables that was broken gets one tree, and one domain id for it.
static dam_err plan_refuge(struct dam_takeover *t, struct unit *unit)
{
    struct requester any = {0};
    takeover_quarantine(t, &any);
    if (takeover_hides(t) && !t->config->window_count)
        any.flags |= DAM_REQ_CRASH;
    dam_err err = takeover_tree_for(t, unit, &any);
    if (!err)
        err = takeover_choose_did(t, unit, &any);
    if (err)
        return err;
    const struct iommu_target target = takeover_target(t, &any);
    unit->kind->fill_refuge(unit->iommu, &target);
    return DAM_OK;
}

static dam_err plan_requesters(struct dam_takeover *t, struct unit *unit)
{
    void *record;
    uint32_t dids = unit->kind->domain_ids(unit->iommu);
    dam_err err = dam_arena_record(t->pool, dids * sizeof(*unit->did_owner), &record);
    if (err)
        return err;
    unit->did_owner = record;
    unit->did_next = dids - 1;
    for (struct requester *r = unit->requesters; r; r = r->next)
        if (r->old_kind != DAM_OLD_BROKEN && r->old.did < dids)
            unit->did_owner[r->old.did] = DID_OLD;
    for (struct requester *r = unit->requesters; r; r = r->next) {
        err = takeover_tree_for(t, unit, r);
        if (!err)
            err = takeover_choose_did(t, unit, r);
        if (err)
            return err;
        if (r->new_tree->failed)
            r->flags |= DAM_REQ_QUARANTINED;
        if (r->old_tree && r->old_tree->audit.cut_count)
            r->flags |= DAM_REQ_CUT;
        if (r->old_tree && r->old_tree->windows)
            r->flags |= DAM_REQ_RMRR;
        const struct iommu_target target = takeover_target(t, r);
        unit->kind->bind(unit->iommu, &target);
    }
    for (struct requester *r = unit->requesters; r; r = r->next) {
        if (!(r->flags & DAM_REQ_OTHERS))
            continue;
        const struct iommu_target target = takeover_target(t, r);
        unit->kind->spread(unit->iommu, &target);
    }
    return unit->kind->has_refuge && unit->kind->has_refuge(unit->iommu) ? plan_refuge(t, unit) : DAM_OK;
}

static dam_err plan_unit(struct dam_takeover *t, struct unit *unit)
{
    dam_err err = unit->kind->plan ? unit->kind->plan(unit->iommu) : DAM_OK;
    return err || unit->leader ? err : plan_requesters(t, unit);
}

static bool somebody_scratches(const struct dam_takeover *t)
{
    for (const struct unit *unit = t->units; unit; unit = unit->next)
        for (const struct requester *r = unit->requesters; r; r = r->next)
            if (r->policy == DAM_POLICY_SCRATCH)
                return true;
    return false;
}

// The tables of every kind that there are units of lead to one page.
static dam_err make_scratch(struct dam_takeover *t)
{
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    if (err)
        return err;
    t->scratch_page = dam_arena_pa(t->pool, page);
    for (struct unit *unit = t->units; !err && unit; unit = unit->next) {
        struct family *f = unit->family;
        const struct pt_params any = {.levels = f->kind.max_levels, .haw = unit->iommu->host_address_width};
        for (unsigned stage = DAM_STAGE_FIRST; !err && !f->has_scratch && stage <= DAM_STAGE_SECOND; stage++)
            err = pt_scratch_new(&f->formats[stage], &any, t->pool, t->scratch_page, &f->scratch[stage]);
        f->has_scratch = true;
    }
    return err;
}

static void report_unused_choices(struct dam_takeover *t)
{
    const struct dam_takeover_config *c = t->config;
    for (size_t i = 0; i < c->choice_count; i++) {
        bool used = false;
        for (const struct unit *unit = t->units; unit; unit = unit->next)
            for (const struct requester *r = unit->requesters; r; r = r->next)
                used |= unit->iommu->segment == c->choices[i].requester.segment &&
                        r->rid == c->choices[i].requester.rid && !(r->flags & DAM_REQ_OTHERS) &&
                        (c->choices[i].pasid == DAM_ANY_PASID ||
                         ((r->flags & DAM_REQ_PASID) && r->pasid == c->choices[i].pasid));
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
    t->has_scratch = t->config->broken == DAM_POLICY_SCRATCH || somebody_scratches(t);
    if (t->has_scratch)
        err = make_scratch(t);
    if (err)
        return takeover_stop_of(err);
    report_unused_choices(t);
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status != DAM_UNIT_PLANNED)
            continue;
        const struct pool_mark mark = takeover_mark(t);
        if (takeover_lost_leader(unit)) {
            takeover_leave(t, unit, &mark, DAM_STOP_TABLES);
            continue;
        }
        unit->error = plan_unit(t, unit);
        if (unit->error)
            takeover_leave(t, unit, &mark, takeover_stop_of(unit->error));
    }
    // Last of all: the pool may be too small for these tables, and that stops nothing. A kernel that will
    // know of no unit gets its interrupts unremapped.
    const enum iommu_irqs irqs = takeover_hides(t)      ? IOMMU_IRQS_BARE
                                 : t->config->mask_irqs ? IOMMU_IRQS_MASK
                                                        : IOMMU_IRQS_KEEP;
    for (struct unit *unit = t->units; unit; unit = unit->next)
        if (unit->status == DAM_UNIT_PLANNED && !unit->leader && unit->kind->plan_interrupts)
            unit->kind->plan_interrupts(unit->iommu, irqs);
    return takeover_go_on(t);
}

// SPDX-License-Identifier: MIT
// Raising: translation was off, so every address meant itself. The unit gets tables that say the same under
// the policy, for every requester, and is turned on: no address changes its meaning.
#include "takeover/takeover.h"

#include "iommu/vtd/regs.h"

// Old(d) of every requester of the unit. The firmware regions of all of them are open to all of them, as
// everything was.
static dam_err make_identity(struct dam_takeover *t, struct unit *unit, struct old_tree **out)
{
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct old_tree), &record);
    if (err)
        return err;
    struct old_tree *o = record;
    o->identity = true;
    o->stage = takeover_unit_stage(unit);
    o->params = takeover_params(t, unit, o->stage, takeover_levels(unit, o->stage, takeover_known_end(t)));
    unit->old_trees = o;
    *out = o;
    return DAM_OK;
}

static dam_err add_requester(struct dam_takeover *t, struct unit *unit, uint16_t rid, uint16_t flags,
                             struct requester **out)
{
    dam_err err = takeover_add_unnamed(t, unit, rid, flags | DAM_REQ_RAISED, out);
    if (err)
        return err;
    (*out)->old_kind = DAM_OLD_IDENTITY;
    (*out)->old_tree = unit->old_trees;
    (*out)->old.stage = DAM_STAGE_PASSTHROUGH;
    (*out)->policy = t->config->policy;
    return DAM_OK;
}

// Those that a word on the command line names get an entry of their own.
static dam_err add_named(struct dam_takeover *t, struct unit *unit)
{
    const struct dam_takeover_config *c = t->config;
    dam_err err = DAM_OK;
    for (size_t i = 0; !err && i < c->choice_count; i++) {
        if (c->choices[i].requester.segment != unit->segment || c->choices[i].pasid != DAM_ANY_PASID)
            continue;
        struct requester *r = takeover_find(unit, c->choices[i].requester.rid);
        if (!r)
            err = add_requester(t, unit, c->choices[i].requester.rid, DAM_REQ_CHOSEN, &r);
        if (!err)
            r->policy = c->choices[i].policy;
    }
    for (size_t i = 0; !err && takeover_hides(t) && i < c->window_count; i++) {
        struct requester *r;
        if (c->windows[i].segment == unit->segment && !takeover_find(unit, c->windows[i].rid))
            err = add_requester(t, unit, c->windows[i].rid, 0, &r);
    }
    return err;
}

dam_err takeover_raise_tables(struct dam_takeover *t, struct unit *unit)
{
    struct old_tree *identity;
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    unit->root_table = page;
    if (!err)
        err = make_identity(t, unit, &identity);
    if (!err)
        err = add_requester(t, unit, 0, DAM_REQ_OTHERS, &unit->others);
    return err ? err : add_named(t, unit);
}

// The root pointer before the first flush: some units hang in a flush of contexts before one was ever set.
static dam_err set_up(struct dam_takeover *t, struct unit *unit)
{
    struct vtd_unit *vtd = &unit->vtd;
    dam_err err = takeover_quiet_unit(t, unit);
    if (err)
        return err;
    takeover_lead_root(t, unit);
    err = vtd_set_root(vtd, dam_arena_pa(t->pool, unit->root_table), unit->ttm);
    if (!err)
        err = vtd_invalidate_all(vtd);
    if (err)
        vtd_give_invalidation_back(vtd);
    return err;
}

dam_err takeover_raise(struct dam_takeover *t, struct unit *unit)
{
    unit->status = DAM_UNIT_OFF;
    dam_err err = set_up(t, unit);
    uint64_t start = dam_clock_us(t->ops);
    if (!err) {
        unit->status = DAM_UNIT_FAILED_AFTER; // on or not: only its answer tells
        err = vtd_set_translation_on(&unit->vtd);
    }
    unit->us_switch = (uint32_t)(dam_clock_us(t->ops) - start);
    if (!err)
        err = takeover_commit_interrupts(unit);
    takeover_report(t, err ? DAM_F_RAISE_FAILED : DAM_F_RAISED, unit, NULL, unit->vtd.base.v + VTD_GSTS_REG,
                    unit->before.gsts);
    if (err)
        return err;
    unit->status = DAM_UNIT_RAISED;
    takeover_commit_state(t, unit);
    return DAM_OK;
}

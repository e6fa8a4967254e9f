// SPDX-License-Identifier: MIT
// Root and context tables of the old kernel: who is bound to what? What is read lands in copies of ours,
// which are what the unit will run on.
#include "takeover/takeover.h"

#include "iommu/vtd/regs.h"

void takeover_report_found(struct dam_takeover *t, uint16_t code, const struct unit *unit,
                           const struct found *found, uint64_t raw)
{
    struct dam_finding f = {
        .code = code,
        .level = 255,
        .unit = unit->index,
        .segment = unit->segment,
        .rid = found->rid,
        .index = found->index,
        .address = found->address,
        .raw = raw,
        .iova = found->pasid,
    };
    dam_finding_add(&t->findings, &f);
}

// The last choice that names the requester; one that names its PASID as well wins over those that do not.
static enum dam_policy policy_for(const struct dam_takeover *t, const struct unit *unit,
                                  const struct found *found, uint16_t *flags)
{
    const struct dam_takeover_config *c = t->config;
    const struct dam_choice *best = NULL;
    for (size_t i = c->choice_count; i-- > 0;) {
        const struct dam_choice *choice = &c->choices[i];
        if (choice->requester.segment != unit->segment || choice->requester.rid != found->rid)
            continue;
        bool exact = (found->flags & DAM_REQ_PASID) && choice->pasid == found->pasid;
        if (exact || (choice->pasid == DAM_ANY_PASID && !best))
            best = choice;
        if (exact)
            break;
    }
    if (!best)
        return c->policy;
    *flags |= DAM_REQ_CHOSEN;
    return best->policy;
}

struct pt_params takeover_params(const struct dam_takeover *t, const struct unit *unit, enum dam_stage stage,
                                 uint8_t levels)
{
    return vtd_tree_params(&unit->vtd, t->host_address_width, stage, levels);
}

// Finds or makes the old_tree of a sound binding: the tables that say where DMA goes. Of a nested one that is
// the second stage.
static dam_err old_tree_for(struct dam_takeover *t, struct unit *unit, const struct iommu_binding *b,
                            struct old_tree **out)
{
    bool identity = b->stage == DAM_STAGE_PASSTHROUGH;
    enum dam_stage stage = identity                       ? takeover_unit_stage(unit)
                           : b->stage == DAM_STAGE_NESTED ? DAM_STAGE_SECOND
                                                          : b->stage;
    uint8_t levels = identity && stage == DAM_STAGE_FIRST ? 4 : b->levels;
    for (struct old_tree *o = unit->old_trees; o; o = o->next) {
        if (o->identity == identity && o->stage == stage && o->params.levels == levels &&
            (identity || o->root.v == b->root.v)) {
            *out = o;
            return DAM_OK;
        }
    }
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct old_tree), &record);
    if (err)
        return err;
    struct old_tree *o = record;
    o->root = b->root;
    o->identity = identity;
    o->stage = stage;
    o->params = takeover_params(t, unit, stage, levels);
    o->next = unit->old_trees;
    unit->old_trees = o;
    *out = o;
    return DAM_OK;
}

void takeover_quarantine(const struct dam_takeover *t, struct requester *r)
{
    r->old_kind = DAM_OLD_BROKEN;
    r->policy = takeover_broken_policy(t->config);
    r->flags |= DAM_REQ_QUARANTINED;
    r->old_tree = NULL;
}

void takeover_append(struct unit *unit, struct requester *r)
{
    if (unit->last_requester)
        unit->last_requester->next = r;
    else
        unit->requesters = r;
    unit->last_requester = r;
    unit->requester_count++;
}

static dam_err new_requester(struct dam_takeover *t, struct unit *unit, const struct found *found,
                             struct requester **out)
{
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct requester), &record);
    if (err)
        return err;
    struct requester *r = *out = record;
    r->rid = found->rid;
    r->flags = found->flags;
    r->pasid = found->pasid;
    r->live = found->live;
    r->old = found->binding;
    r->policy = policy_for(t, unit, found, &r->flags);
    takeover_append(unit, r);
    return DAM_OK;
}

dam_err takeover_add_broken(struct dam_takeover *t, struct unit *unit, const struct found *found,
                            uint16_t code, uint64_t raw)
{
    struct requester *r;
    dam_err err = new_requester(t, unit, found, &r);
    if (err)
        return err;
    takeover_report_found(t, code, unit, found, raw);
    takeover_quarantine(t, r);
    return DAM_OK;
}

dam_err takeover_add_requester(struct dam_takeover *t, struct unit *unit, const struct found *found,
                               bool *sound)
{
    const struct iommu_binding *b = &found->binding;
    unsigned word;
    uint16_t fault = vtd_binding_finding(&unit->vtd, b, &t->old_memory, &word);
    *sound = !fault;
    if (fault) {
        struct found broken = *found;
        broken.address += word * sizeof(b->raw[0]);
        return takeover_add_broken(t, unit, &broken, fault, b->raw[word]);
    }
    struct requester *r;
    dam_err err = new_requester(t, unit, found, &r);
    if (!err)
        err = old_tree_for(t, unit, b, &r->old_tree);
    if (err)
        return err;
    r->old_kind = r->old_tree->identity ? DAM_OLD_IDENTITY : DAM_OLD_TRANSLATED;
    if (r->old_tree->identity)
        takeover_report_found(t, DAM_F_PASSTHROUGH, unit, found, b->raw[0]);
    if (b->translated) {
        r->flags |= DAM_REQ_ATS;
        if (!b->scalable) // else it is said once for the function
            takeover_report_found(t, DAM_F_ATS_REFUSED, unit, found, b->raw[0]);
    }
    return DAM_OK;
}

dam_err takeover_silent_table(struct dam_takeover *t, const struct unit *unit, uint64_t **out)
{
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    if (err)
        return err;
    *out = page;
    for (unsigned i = 0; i < PT_ENTRIES; i += takeover_context_words(unit))
        (*out)[i] = VTD_SILENT;
    return DAM_OK;
}

dam_err takeover_read_context_table(struct dam_takeover *t, struct unit *unit, unsigned half, dam_pa table)
{
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    if (!err)
        err = takeover_read_page(t, unit, table, page);
    if (err)
        return err;
    unit->copied[half] = page;
    return takeover_silent_table(t, unit, &unit->planned[half]);
}

// A half that leads nowhere. An absent bus reports its faults whatever its contexts say (reason 1 is not
// qualified by FPD), so it gets context tables: a silent one at first, then the refuge.
static dam_err broken_half(struct dam_takeover *t, struct unit *unit, unsigned half)
{
    dam_err err = takeover_make_refuge(t, unit, &unit->refuge);
    if (!err && !unit->silence)
        err = takeover_silent_table(t, unit, &unit->silence);
    unit->copied[half] = unit->silence;
    unit->planned[half] = unit->refuge.contexts;
    unit->refuge.used = true;
    return err;
}

// One half of a root entry, read from `address`; `more_reserved`: reserved bits are set beside it.
static dam_err read_half(struct dam_takeover *t, struct unit *unit, unsigned half, uint64_t raw,
                         uint64_t address, bool more_reserved)
{
    struct vtd_root entry = vtd_root_decode(raw, t->host_address_width);
    if (!entry.present)
        return DAM_OK;
    bool reserved = entry.reserved || more_reserved;
    if (!reserved && pt_known_table(&t->old_memory, entry.context_table, entry.context_table))
        return unit->vtd.scalable ? takeover_read_scalable(t, unit, half, entry.context_table)
                                  : takeover_read_legacy(t, unit, half, entry.context_table);
    struct found found = {
        .rid = (uint16_t)(half * (VTD_DEVFNS / 2)), .index = (uint16_t)(half / 2), .address = address};
    takeover_report_found(t, reserved ? DAM_F_ROOT_RESERVED : DAM_F_ROOT_POINTER, unit, &found, raw);
    return broken_half(t, unit, half);
}

// Nothing is known of what is there: every function of every bus is quarantined.
static dam_err quarantine_all(struct dam_takeover *t, struct unit *unit)
{
    dam_err err = takeover_make_refuge(t, unit, &unit->refuge);
    unit->refuge.used = true;
    for (unsigned half = 0; !err && half < VTD_HALVES; half += unit->vtd.scalable ? 1 : 2) {
        unit->copied[half] = unit->planned[half] = unit->refuge.contexts;
        unit->root_table[half / 2].w[half % 2] =
            vtd_root_encode(dam_arena_pa(t->pool, unit->refuge.contexts));
    }
    return err;
}

dam_err takeover_read_tables(struct dam_takeover *t, struct unit *unit)
{
    dam_pa root = dam_pa_of(unit->before.rtaddr & dam_bits_mask(VTD_RTADDR_RTA));
    bool scalable = unit->vtd.scalable;
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    if (err)
        return err;
    unit->root_table = page;
    if (!unit->no_root && !pt_known_table(&t->old_memory, root, root)) {
        // A register that names no table was not latched, or nobody would have come this far. Its mode is not
        // to be believed either, and a root pointer of the other mode must not be set while translation is
        // on.
        if (dam_bits_get(unit->vtd.ecap, VTD_ECAP_SMTS) || dam_bits_get(unit->vtd.ecap, VTD_ECAP_ECS)) {
            takeover_report(t, DAM_F_ROOT_UNKNOWN, unit, NULL, root.v, unit->before.rtaddr);
            return DAM_E_BROKEN;
        }
        takeover_report(t, DAM_F_UNIT_ROOT, unit, NULL, root.v, unit->before.rtaddr);
        unit->no_root = true;
    }
    if (unit->no_root)
        return quarantine_all(t, unit);
    err = takeover_read_page(t, unit, root, page);
    for (unsigned half = 0; !err && half < VTD_HALVES; half++) {
        uint64_t *word = &unit->root_table[half / 2].w[half % 2], raw = *word;
        *word = 0;
        if (half % 2 && !scalable)
            continue;
        bool more_reserved = !scalable && unit->root_table[half / 2].w[1];
        err = read_half(t, unit, half, raw, root.v + half * sizeof(raw), more_reserved);
        if (!err && unit->copied[half])
            *word = vtd_root_encode(dam_arena_pa(t->pool, unit->copied[half]));
    }
    return err;
}

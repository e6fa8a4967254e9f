// SPDX-License-Identifier: MIT
// Root and context tables of the old kernel: who is bound to what? What is read lands in copies of ours,
// which are what the unit will run on.
#include "takeover/takeover.h"

#include "iommu/vtd/regs.h"

static void report_entry(struct dam_takeover *t, uint16_t code, const struct unit *unit, uint16_t rid,
                         uint16_t index, uint64_t address, uint64_t raw)
{
    struct dam_finding f = {
        .code = code,
        .level = 255,
        .unit = unit->index,
        .segment = unit->segment,
        .rid = rid,
        .index = index,
        .address = address,
        .raw = raw,
    };
    dam_finding_add(&t->findings, &f);
}

static void report_found(struct dam_takeover *t, uint16_t code, const struct unit *unit,
                         const struct found *found, uint64_t raw)
{
    report_entry(t, code, unit, found->rid, found->rid & 0xFF, found->address, raw);
}

// The finding that says why a present binding cannot be used, or DAM_F_NONE.
static uint16_t fault_of(const struct dam_takeover *t, const struct unit *unit, const struct vtd_binding *b)
{
    switch (vtd_binding_flaw(&unit->vtd, b)) {
    case VTD_FLAW_RESERVED:
        return DAM_F_CTX_RESERVED;
    case VTD_FLAW_STAGE:
        return DAM_F_CTX_TYPE;
    case VTD_FLAW_WIDTH:
        return DAM_F_CTX_WIDTH;
    case VTD_SOUND:
        break;
    }
    if (b->stage != DAM_STAGE_PASSTHROUGH && !pt_known_table(&t->old_memory, b->root, b->root))
        return DAM_F_CTX_POINTER;
    return DAM_F_NONE;
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

// Finds or makes the old_tree of a sound binding.
static dam_err old_tree_for(struct dam_takeover *t, struct unit *unit, const struct vtd_binding *b,
                            struct old_tree **out)
{
    bool identity = b->stage == DAM_STAGE_PASSTHROUGH;
    enum dam_stage stage = DAM_STAGE_SECOND;
    for (struct old_tree *o = unit->old_trees; o; o = o->next) {
        if (o->identity == identity && o->stage == stage && o->params.levels == b->levels &&
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
    o->params = (struct pt_params){
        .levels = b->levels,
        .haw = t->host_address_width,
        .large = vtd_large_levels(&unit->vtd),
        .snoop = dam_bits_get(unit->vtd.ecap, VTD_ECAP_SC),
        .transient = dam_bits_get(unit->vtd.ecap, VTD_ECAP_DT),
    };
    o->next = unit->old_trees;
    unit->old_trees = o;
    *out = o;
    return DAM_OK;
}

void takeover_quarantine(struct requester *r)
{
    r->old_kind = DAM_OLD_BROKEN;
    r->policy = DAM_POLICY_BLOCK;
    r->flags |= DAM_REQ_QUARANTINED;
    r->old_tree = NULL;
}

dam_err takeover_add_requester(struct dam_takeover *t, struct unit *unit, const struct found *found)
{
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct requester), &record);
    if (err)
        return err;
    struct requester *r = record;
    const struct vtd_binding *b = &found->binding;
    r->rid = found->rid;
    r->flags = found->flags;
    r->pasid = found->pasid;
    r->live = found->live;
    r->old = *b;
    r->policy = policy_for(t, unit, found, &r->flags);
    uint16_t fault = fault_of(t, unit, b);
    if (fault) {
        report_found(t, fault, unit, found, b->raw[fault == DAM_F_CTX_WIDTH]);
        takeover_quarantine(r);
    } else {
        err = old_tree_for(t, unit, b, &r->old_tree);
        if (err)
            return err;
        r->old_kind = r->old_tree->identity ? DAM_OLD_IDENTITY : DAM_OLD_TRANSLATED;
        if (r->old_tree->identity)
            report_found(t, DAM_F_PASSTHROUGH, unit, found, b->raw[0]);
        if (b->translated) {
            r->flags |= DAM_REQ_ATS;
            report_found(t, DAM_F_ATS_REFUSED, unit, found, b->raw[0]);
        }
    }
    if (unit->last_requester)
        unit->last_requester->next = r;
    else
        unit->requesters = r;
    unit->last_requester = r;
    unit->requester_count++;
    return DAM_OK;
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
        return takeover_read_contexts(t, unit, half, entry.context_table);
    // An absent bus reports its faults whatever its contexts say (reason 1 is not qualified by FPD).
    unit->copied[half] = unit->planned[half] = t->silence;
    report_entry(t, reserved ? DAM_F_ROOT_RESERVED : DAM_F_ROOT_POINTER, unit, (uint16_t)(half / 2 << 8),
                 (uint16_t)(half / 2), address, raw);
    return DAM_OK;
}

dam_err takeover_read_tables(struct dam_takeover *t, struct unit *unit)
{
    dam_pa root = dam_pa_of(unit->before.rtaddr & dam_bits_mask(VTD_RTADDR_RTA));
    if (!pt_known_table(&t->old_memory, root, root)) {
        takeover_report(t, DAM_F_UNIT_ROOT, unit, NULL, root.v, unit->before.rtaddr);
        return DAM_E_BROKEN;
    }
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    if (!err)
        err = dam_mem_read(t->ops, root, page, DAM_PAGE_SIZE);
    unit->root_table = page;
    for (unsigned half = 0; !err && half < VTD_HALVES; half++) {
        uint64_t *word = &unit->root_table[half / 2].w[half % 2], raw = *word;
        *word = 0;
        if (half % 2)
            continue;
        err = read_half(t, unit, half, raw, root.v + half * sizeof(raw), unit->root_table[half / 2].w[1]);
        if (!err && unit->copied[half])
            *word = vtd_root_encode(dam_arena_pa(t->pool, unit->copied[half]));
    }
    return err;
}

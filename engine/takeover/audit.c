// SPDX-License-Identifier: MIT
// Audit: what is Old(d) of every requester? Reads the root and context tables of each unit into the pool (the
// copies are what the unit will run on), and checks every page table that they lead to.
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

// The finding that says why a present context entry cannot be used, or DAM_F_NONE.
static uint16_t context_fault(const struct dam_takeover *t, const struct unit *unit,
                              const struct vtd_context *c)
{
    bool passthrough = c->type == VTD_T_PASSTHROUGH;
    if (c->reserved)
        return DAM_F_CTX_RESERVED;
    if (c->type > VTD_T_PASSTHROUGH || (passthrough && !dam_bits_get(unit->vtd.ecap, VTD_ECAP_PT)) ||
        (c->type == VTD_T_ALL && !dam_bits_get(unit->vtd.ecap, VTD_ECAP_DT)))
        return DAM_F_CTX_TYPE;
    if (!vtd_width_supported(&unit->vtd, c->aw))
        return DAM_F_CTX_WIDTH;
    if (!passthrough && !pt_known_table(&t->old_memory, c->root, c->root))
        return DAM_F_CTX_POINTER;
    return DAM_F_NONE;
}

static enum dam_policy policy_for(const struct dam_takeover *t, const struct unit *unit, uint16_t rid,
                                  uint16_t *flags)
{
    const struct dam_takeover_config *c = t->config;
    for (size_t i = c->choice_count; i-- > 0;) {
        if (c->choices[i].requester.segment == unit->segment && c->choices[i].requester.rid == rid &&
            c->choices[i].pasid == DAM_ANY_PASID) {
            *flags |= DAM_REQ_CHOSEN;
            return c->choices[i].policy;
        }
    }
    return c->policy;
}

// Finds or makes the old_tree of a sound context entry.
static dam_err old_tree_for(struct dam_takeover *t, struct unit *unit, const struct vtd_context *c,
                            struct old_tree **out)
{
    bool identity = c->type == VTD_T_PASSTHROUGH;
    uint8_t levels = (uint8_t)(c->aw + 2);
    for (struct old_tree *o = unit->old_trees; o; o = o->next) {
        if (o->identity == identity && o->params.levels == levels && (identity || o->root.v == c->root.v)) {
            *out = o;
            return DAM_OK;
        }
    }
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct old_tree), &record);
    if (err)
        return err;
    struct old_tree *o = record;
    o->root = c->root;
    o->identity = identity;
    o->params = (struct pt_params){
        .levels = levels,
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

static void quarantine(struct requester *r)
{
    r->old_kind = DAM_OLD_BROKEN;
    r->policy = DAM_POLICY_BLOCK;
    r->flags |= DAM_REQ_QUARANTINED;
    r->old_tree = NULL;
}

static dam_err add_requester(struct dam_takeover *t, struct unit *unit, uint16_t rid,
                             struct vtd_context_entry raw, uint64_t address)
{
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct requester), &record);
    if (err)
        return err;
    struct requester *r = record;
    r->rid = rid;
    r->old = vtd_context_decode(raw, t->host_address_width);
    r->policy = policy_for(t, unit, rid, &r->flags);
    uint16_t fault = context_fault(t, unit, &r->old);
    if (fault) {
        report_entry(t, fault, unit, rid, rid & 0xFF, address, raw.w[fault == DAM_F_CTX_WIDTH]);
        quarantine(r);
    } else {
        err = old_tree_for(t, unit, &r->old, &r->old_tree);
        if (err)
            return err;
        r->old_kind = r->old_tree->identity ? DAM_OLD_IDENTITY : DAM_OLD_TRANSLATED;
        if (r->old_tree->identity)
            report_entry(t, DAM_F_PASSTHROUGH, unit, rid, rid & 0xFF, address, raw.w[0]);
        if (r->old.type == VTD_T_ALL) {
            r->flags |= DAM_REQ_ATS;
            report_entry(t, DAM_F_ATS_REFUSED, unit, rid, rid & 0xFF, address, raw.w[0]);
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

// Reads one context table into a page of ours, in which only what is sound stays present, with faults off:
// absent and broken entries refuse silently.
static dam_err audit_bus(struct dam_takeover *t, struct unit *unit, unsigned bus, dam_pa table)
{
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    if (!err)
        err = dam_mem_read(t->ops, table, page, DAM_PAGE_SIZE);
    struct vtd_context_entry *contexts = unit->copied[bus] = page;
    for (unsigned devfn = 0; !err && devfn < VTD_DEVFNS; devfn++) {
        struct vtd_context_entry raw = contexts[devfn];
        bool sound = false;
        if (dam_bits_get(raw.w[0], VTD_CTX_P)) {
            err = add_requester(t, unit, (uint16_t)(bus << 8 | devfn), raw, table.v + devfn * sizeof(raw));
            sound = !err && unit->last_requester->old_kind != DAM_OLD_BROKEN;
        }
        if (sound)
            contexts[devfn].w[0] |= dam_bits_mask(VTD_CTX_FPD);
        else
            contexts[devfn] = VTD_CONTEXT_SILENT;
    }
    return err;
}

// Reads the root table and every context table below it.
static dam_err audit_unit_tables(struct dam_takeover *t, struct unit *unit)
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
    for (unsigned bus = 0; !err && bus < VTD_BUSES; bus++) {
        struct vtd_root_entry raw = unit->root_table[bus];
        struct vtd_root entry = vtd_root_decode(raw, t->host_address_width);
        unit->root_table[bus] = (struct vtd_root_entry){{0, 0}};
        if (!entry.present)
            continue;
        bool known = pt_known_table(&t->old_memory, entry.context_table, entry.context_table);
        if (entry.reserved || !known) {
            // An absent bus reports its faults whatever its contexts say (reason 1 is not qualified by FPD).
            unit->copied[bus] = t->silence;
            unit->root_table[bus] = vtd_root_encode(dam_arena_pa(t->pool, t->silence));
            report_entry(t, entry.reserved ? DAM_F_ROOT_RESERVED : DAM_F_ROOT_POINTER, unit,
                         (uint16_t)(bus << 8), (uint16_t)bus, root.v + bus * sizeof(raw), raw.w[0]);
            continue;
        }
        err = audit_bus(t, unit, bus, entry.context_table);
        if (!err)
            unit->root_table[bus] = vtd_root_encode(dam_arena_pa(t->pool, unit->copied[bus]));
    }
    return err;
}

// Adds the firmware regions of each requester to its old tree. All requesters of a tree get them: Linux maps
// a region into the domain of its device, which aliases behind the same bridge share.
static dam_err attach_windows(struct dam_takeover *t, struct unit *unit)
{
    for (struct region *g = t->regions; g; g = g->next) {
        for (struct requester *r = unit->requesters; r; r = r->next) {
            if (g->segment != unit->segment || !r->old_tree || !pci_target_covers(&g->target, r->rid))
                continue;
            struct window *w = r->old_tree->windows;
            while (w && (w->start != g->start || w->end != g->end))
                w = w->next;
            if (w)
                continue;
            void *record;
            dam_err err = dam_arena_record(t->pool, sizeof(*w), &record);
            if (err)
                return err;
            w = record;
            *w = (struct window){r->old_tree->windows, g->start, g->end};
            r->old_tree->windows = w;
        }
    }
    return DAM_OK;
}

// Whether the tree is needed in the pool: to be written through, or because old tables may not be used at
// all.
static bool wants_copy(const struct dam_takeover *t, const struct unit *unit, const struct old_tree *o)
{
    for (const struct requester *r = unit->requesters; r; r = r->next)
        if (r->old_tree == o &&
            (r->policy == DAM_POLICY_PRESERVE || (r->policy == DAM_POLICY_FREEZE && !t->share_old)))
            return true;
    return false;
}

// Checks one page table and copies it on the way when it is needed in the pool: old memory is read once, and
// what was checked is what is used. Trouble with the table itself quarantines its requesters; what comes back
// is ours.
static dam_err audit_tree(struct dam_takeover *t, struct unit *unit, struct old_tree *o)
{
    if (o->identity)
        return DAM_OK;
    const struct requester *first = unit->requesters;
    while (first && first->old_tree != o)
        first = first->next;
    uint64_t budget = t->budget.tables;
    o->audit = (struct pt_audit){
        .format = &t->format,
        .params = &o->params,
        .memory = &t->old_memory,
        .keep_out = t->config->keep_out,
        .findings = &t->findings,
        .about = {.unit = unit->index, .segment = unit->segment, .rid = first ? first->rid : 0},
        .buffers = t->buffers,
        .copy = wants_copy(t, unit, o),
    };
    o->error = pt_audit(&o->audit, o->root);
    t->tables_read += o->audit.tables;
    bool late = dam_clock_us(t->ops) > t->budget.deadline_us;
    if (o->error == DAM_E_NOMEM || (o->error == DAM_E_BUDGET && late))
        return o->error;
    if (o->error) {
        t->budget.tables = budget; // one runaway tree does not eat what the others need
        takeover_report(t, o->error == DAM_E_BUDGET ? DAM_F_PT_BUDGET : DAM_F_PT_TOO_MANY_CUTS, unit, first,
                        o->root.v, o->audit.tables);
        for (struct requester *r = unit->requesters; r; r = r->next)
            if (r->old_tree == o)
                quarantine(r);
    }
    return DAM_OK;
}

// Whether some requester will be able to write memory of the old kernel: then tables that lie there may not
// be used. (Units that are left alone do not count: what they let through can write the pool just as well.)
static bool somebody_writes(const struct dam_takeover *t)
{
    for (const struct unit *unit = t->units; unit; unit = unit->next) {
        for (const struct requester *r = unit->requesters; r; r = r->next) {
            if (r->policy == DAM_POLICY_PRESERVE)
                return true;
            for (const struct window *w = r->old_tree ? r->old_tree->windows : NULL; w; w = w->next)
                if (dam_ranges_overlap(t->config->old_ram, w->start, w->end - w->start))
                    return true;
        }
    }
    return false;
}

static dam_err audit_trees(struct dam_takeover *t, struct unit *unit)
{
    dam_err err = DAM_OK;
    for (struct old_tree *o = unit->old_trees; !err && o; o = o->next)
        err = audit_tree(t, unit, o);
    return err;
}

static enum dam_stop for_planned_units(struct dam_takeover *t,
                                       dam_err (*step)(struct dam_takeover *, struct unit *))
{
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status != DAM_UNIT_PLANNED)
            continue;
        unit->error = step(t, unit);
        if (unit->error == DAM_E_NOMEM || unit->error == DAM_E_BUDGET)
            return takeover_stop_of(unit->error);
        if (unit->error)
            unit->status = DAM_UNIT_BROKEN_ROOT;
    }
    return DAM_STOP_NONE;
}

static dam_err make_silence(struct dam_takeover *t)
{
    void *page;
    dam_err err = dam_arena_pages(t->pool, 1, &page);
    if (err)
        return err;
    t->silence = page;
    for (unsigned i = 0; i < VTD_DEVFNS; i++)
        t->silence[i] = VTD_CONTEXT_SILENT;
    return DAM_OK;
}

enum dam_stop takeover_audit(struct dam_takeover *t)
{
    enum dam_stop stop = takeover_stop_of(make_silence(t));
    if (!stop)
        stop = for_planned_units(t, audit_unit_tables);
    if (!stop)
        stop = for_planned_units(t, attach_windows);
    t->share_old = !somebody_writes(t);
    if (!stop)
        stop = for_planned_units(t, audit_trees);
    if (stop)
        return stop;
    for (const struct unit *unit = t->units; unit; unit = unit->next)
        if (unit->status == DAM_UNIT_PLANNED)
            return DAM_STOP_NONE;
    return DAM_STOP_TABLES;
}

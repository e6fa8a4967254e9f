// SPDX-License-Identifier: MIT
// Requesters that the old tables do not name: those that get an entry of their own, and one entry that stands
// for all others, in every context table.
#include "takeover/takeover.h"

#include <string.h>

struct requester *takeover_find(const struct unit *unit, uint16_t rid)
{
    for (struct requester *r = unit->requesters; r; r = r->next)
        if (r->rid == rid && !(r->flags & DAM_REQ_OTHERS) &&
            (!(r->flags & DAM_REQ_PASID) || (r->flags & DAM_REQ_RID_PASID)))
            return r;
    return NULL;
}

// The binding of PASID `pasid` below a directory of ours; its table is made when it is not there.
static dam_err pasid_entry(struct dam_takeover *t, uint64_t *directory, uint32_t pasid, uint64_t **out)
{
    uint64_t *slot = &directory[pasid / VTD_PASID_ENTRIES];
    struct vtd_pasid_dir d = vtd_pasid_dir_decode(*slot, t->host_address_width);
    void *table = d.present ? dam_arena_ptr(t->pool, d.table) : NULL;
    if (!table) {
        dam_err err = dam_arena_pages(t->pool, 1, &table);
        if (err)
            return err;
        for (unsigned i = 0; i < PT_ENTRIES; i += VTD_PASID_WORDS)
            ((uint64_t *)table)[i] = VTD_SILENT;
        *slot = vtd_pasid_dir_encode(dam_arena_pa(t->pool, table));
    }
    *out = (uint64_t *)table + pasid % VTD_PASID_ENTRIES * VTD_PASID_WORDS;
    return DAM_OK;
}

// A directory for a function that has none, in scalable mode. All of it silent but for one page's worth.
static dam_err make_function(struct dam_takeover *t, uint64_t *context)
{
    struct vtd_sm_context function = {.present = true, .fpd = true};
    void *directory;
    dam_err err = dam_arena_pages(t->pool, 1, &directory);
    if (err)
        return err;
    for (unsigned i = 0; i < vtd_directory_entries(&function); i++)
        ((uint64_t *)directory)[i] = VTD_SILENT;
    function.directory = dam_arena_pa(t->pool, directory);
    vtd_sm_context_encode(&function, context);
    return DAM_OK;
}

// Room for the entry of a requester in planned tables.
static dam_err place(struct dam_takeover *t, struct unit *unit, struct requester *r)
{
    dam_err err = DAM_OK;
    bool scalable = unit->vtd.scalable;
    unsigned half = scalable ? r->rid / VTD_SM_CTX_ENTRIES : r->rid / VTD_DEVFNS * 2;
    // A table that is shared is not one to write a single entry into.
    if (!unit->planned[half] || unit->planned[half] == unit->refuge.contexts)
        err = takeover_silent_table(t, unit, &unit->planned[half]);
    if (err)
        return err;
    r->live = takeover_planned_context(unit, r->rid);
    if (!scalable)
        return DAM_OK;
    uint64_t *context = r->live;
    if (!vtd_sm_context_decode(context, t->host_address_width).present)
        err = make_function(t, context);
    if (err)
        return err;
    struct vtd_sm_context c = vtd_sm_context_decode(context, t->host_address_width);
    r->flags |= DAM_REQ_PASID | DAM_REQ_RID_PASID;
    r->pasid = c.rid_pasid;
    return pasid_entry(t, dam_arena_ptr(t->pool, c.directory), c.rid_pasid, &r->live);
}

static dam_err place_others(struct dam_takeover *t, struct unit *unit, struct requester *r)
{
    dam_err err = takeover_make_refuge(t, unit, &unit->rest);
    r->live = unit->rest.contexts;
    if (unit->vtd.scalable) {
        r->flags |= DAM_REQ_PASID | DAM_REQ_RID_PASID;
        r->live = unit->rest.pasids;
    }
    return err;
}

dam_err takeover_add_unnamed(struct dam_takeover *t, struct unit *unit, uint16_t rid, uint16_t flags,
                             struct requester **out)
{
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct requester), &record);
    if (err)
        return err;
    struct requester *r = record;
    r->rid = rid;
    r->flags = flags;
    r->policy = DAM_POLICY_BLOCK; // nothing was mapped
    r->old_kind = DAM_OLD_NONE;
    err = flags & DAM_REQ_OTHERS ? place_others(t, unit, r) : place(t, unit, r);
    if (err)
        return err;
    takeover_append(unit, r);
    *out = r;
    return DAM_OK;
}

// Functions in scalable mode that have PASIDs, or could, and no binding for requests without one.
static dam_err add_incomplete(struct dam_takeover *t, struct unit *unit)
{
    struct requester *added;
    dam_err err = DAM_OK;
    for (unsigned rid = 0; !err && unit->vtd.scalable && rid < VTD_BUSES * VTD_DEVFNS; rid++) {
        const uint64_t *context = takeover_planned_context(unit, (uint16_t)rid);
        if (!context)
            rid |= VTD_SM_CTX_ENTRIES - 1; // none in this table
        else if (*context != VTD_SILENT && *context && !takeover_find(unit, (uint16_t)rid))
            err = takeover_add_unnamed(t, unit, (uint16_t)rid, 0, &added);
    }
    return err;
}

dam_err takeover_add_absent(struct dam_takeover *t, struct unit *unit)
{
    const struct dam_takeover_config *c = t->config;
    struct requester *r;
    dam_err err = DAM_OK;
    if (!takeover_hides(t))
        return DAM_OK;
    for (size_t i = 0; !err && i < c->window_count; i++)
        if (c->windows[i].segment == unit->segment && !takeover_find(unit, c->windows[i].rid))
            err = takeover_add_unnamed(t, unit, c->windows[i].rid, 0, &r);
    if (err || c->window_count || unit->others)
        return err;
    err = add_incomplete(t, unit);
    return err ? err : takeover_add_unnamed(t, unit, 0, DAM_REQ_OTHERS, &unit->others);
}

void takeover_spread_others(struct dam_takeover *t, struct unit *unit)
{
    unsigned words = takeover_context_words(unit);
    takeover_fill_refuge(t, unit, &unit->rest, unit->others);
    for (unsigned half = 0; half < VTD_HALVES; half += unit->vtd.scalable ? 1 : 2) {
        uint64_t *table = unit->planned[half];
        if (!table) {
            unit->planned[half] = unit->rest.contexts;
            continue;
        }
        for (unsigned i = 0; table != unit->refuge.contexts && i < PT_ENTRIES; i += words)
            if (table[i] == VTD_SILENT)
                memcpy(table + i, unit->rest.contexts, words * sizeof(*table));
    }
}

// SPDX-License-Identifier: MIT
// Domain ids. Hardware tags its caches with them: all requesters of one id must have one table (6.2.1).
#include "takeover/takeover.h"

static bool keeps_did(const struct unit *unit, const struct requester *r)
{
    // Pass-through had an id that says "untranslated", to the capture kernel as well: not for a table of
    // ours.
    return r->old_kind == DAM_OLD_TRANSLATED && r->old.did < unit->kind->domain_ids(unit->iommu) &&
           !(unit->kind->reserves_did && unit->kind->reserves_did(unit->iommu, r->old.did));
}

static const struct new_tree *tree_by_number(const struct unit *unit, uint16_t number)
{
    const struct new_tree *n = unit->new_trees;
    while (n && n->number != number)
        n = n->next;
    return n;
}

// First-stage results are tagged with the PASID as well: several trees may share an id, but not for one
// PASID.
static bool pasid_taken(const struct unit *unit, const struct requester *r, uint16_t did)
{
    for (const struct requester *o = unit->requesters; o != r && o; o = o->next)
        if (o->new_tree && o->new_did == did && o->pasid == r->pasid && o->new_tree != r->new_tree)
            return true;
    return false;
}

// The first requester of the same function, where one entry, with one id, is for all of them.
static const struct requester *first_of(const struct unit *unit, const struct requester *r)
{
    if (!unit->kind->by_function || !(r->flags & DAM_REQ_PASID))
        return r;
    for (const struct requester *o = unit->requesters; o && o != r; o = o->next)
        if (o->rid == r->rid && !(o->flags & DAM_REQ_OTHERS))
            return o;
    return r;
}

// An id that nobody had: that of the tree, or with `alone` one for this requester.
static dam_err new_did(struct unit *unit, struct requester *r, bool alone)
{
    struct new_tree *n = r->new_tree;
    r->flags |= DAM_REQ_NEW_DID;
    r->new_did = n->did;
    if (n->did && !alone)
        return DAM_OK;
    while (unit->did_next > 0 && unit->did_owner[unit->did_next] != DID_FREE)
        unit->did_next--;
    if (unit->did_next == 0)
        return DAM_E_STATE;
    unit->did_owner[unit->did_next] = n->number;
    r->new_did = (uint16_t)unit->did_next;
    if (!alone)
        n->did = r->new_did;
    return DAM_OK;
}

dam_err takeover_choose_did(struct dam_takeover *t, struct unit *unit, struct requester *r)
{
    const struct requester *function = first_of(unit, r);
    if (function != r) {
        r->new_did = function->new_did;
        r->flags |= function->flags & DAM_REQ_NEW_DID;
        return DAM_OK;
    }
    // The PASIDs of a function that share its id have tables of their own: nobody else has that id.
    bool alone = unit->kind->by_function && r->next && r->next->rid == r->rid;
    bool first = r->new_tree->stage == DAM_STAGE_FIRST;
    uint16_t *owner = unit->did_owner, number = r->new_tree->number;
    uint16_t mine = first && !alone ? DID_FIRST : number;
    r->new_did = r->old.did;
    if (keeps_did(unit, r)) {
        bool unused = owner[r->old.did] == DID_OLD;
        if (unused)
            owner[r->old.did] = mine;
        if (unused || (!alone && owner[r->old.did] == mine && !(first && pasid_taken(unit, r, r->old.did))))
            return DAM_OK;
        const struct new_tree *other = tree_by_number(unit, owner[r->old.did]);
        if (first || (other && other->old && other->old != r->old_tree))
            takeover_report(t, DAM_F_DID_SHARED, unit, r, 0, r->old.did);
    } else if (r->old_kind == DAM_OLD_TRANSLATED) {
        takeover_report(t, DAM_F_CTX_DID, unit, r, 0, r->old.did);
    }
    return new_did(unit, r, alone);
}

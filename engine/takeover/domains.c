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

dam_err takeover_choose_did(struct dam_takeover *t, struct unit *unit, struct requester *r)
{
    bool first = r->new_tree->stage == DAM_STAGE_FIRST;
    uint16_t *owner = unit->did_owner, number = r->new_tree->number, mine = first ? DID_FIRST : number;
    r->new_did = r->old.did;
    if (keeps_did(unit, r)) {
        if (owner[r->old.did] == DID_OLD)
            owner[r->old.did] = mine;
        if (owner[r->old.did] == mine && !(first && pasid_taken(unit, r, r->old.did)))
            return DAM_OK;
        const struct new_tree *other = tree_by_number(unit, owner[r->old.did]);
        if (first || (other && other->old && other->old != r->old_tree))
            takeover_report(t, DAM_F_DID_SHARED, unit, r, 0, r->old.did);
    } else if (r->old_kind == DAM_OLD_TRANSLATED) {
        takeover_report(t, DAM_F_CTX_DID, unit, r, 0, r->old.did);
    }
    r->flags |= DAM_REQ_NEW_DID;
    if (!r->new_tree->did) {
        while (unit->did_next > 0 && owner[unit->did_next] != DID_FREE)
            unit->did_next--;
        if (unit->did_next == 0)
            return DAM_E_STATE;
        owner[unit->did_next] = number;
        r->new_tree->did = (uint16_t)unit->did_next;
    }
    r->new_did = r->new_tree->did;
    return DAM_OK;
}

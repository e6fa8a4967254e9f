// SPDX-License-Identifier: MIT
// Entries of ours: context entries in legacy mode; PASID entries, and what leads to them, in scalable mode.
#include "takeover/takeover.h"

#include <string.h>

#include "iommu/vtd/regs.h"

enum dam_stage takeover_new_stage(const struct requester *r)
{
    if (!r->new_tree)
        return DAM_STAGE_NONE;
    // The second stage alone contains a nested requester: what the policy says is in there, and the first
    // stage stays as it is, read through it.
    bool kept = r->policy == DAM_POLICY_FREEZE || r->policy == DAM_POLICY_PRESERVE;
    return kept && r->old.stage == DAM_STAGE_NESTED ? DAM_STAGE_NESTED : r->new_tree->stage;
}

// What an entry says beside its tables, when the old one had another kind of them.
static void forget_attributes(const struct unit *unit, struct iommu_binding *b)
{
    unsigned aw = 1;
    while (aw < 3 && !vtd_width_supported(&unit->vtd, aw))
        aw++;
    memset(b->raw, 0, sizeof(b->raw));
    b->raw[0] = dam_bits_put(aw, VTD_PASID_AW);
    b->raw[1] = dam_bits_put(dam_bits_get(unit->vtd.ecap, VTD_ECAP_SMPWC), VTD_PASID_PWSNP);
}

unsigned takeover_encode(const struct unit *unit, const struct requester *r,
                         uint64_t entry[IOMMU_BINDING_WORDS])
{
    struct iommu_binding b = r->old;
    b.levels = r->new_tree->levels;
    b.did = r->new_did;
    b.root = r->new_tree->root;
    if (!unit->vtd.scalable) {
        struct vtd_context_entry context = vtd_context_encode(&b);
        memcpy(entry, context.w, sizeof(context));
        return takeover_context_words(unit);
    }
    if (!(r->flags & DAM_REQ_PASID)) { // nothing below its context entry was sound
        vtd_sm_context_encode(&unit->refuge.function, entry);
        return VTD_SM_CTX_WORDS;
    }
    b.stage = takeover_new_stage(r);
    if (b.stage != r->old.stage || r->old_kind == DAM_OLD_BROKEN)
        forget_attributes(unit, &b);
    vtd_pasid_encode(&b, entry);
    return VTD_PASID_WORDS;
}

dam_err takeover_make_refuge(struct dam_takeover *t, const struct unit *unit, struct refuge *refuge)
{
    if (refuge->contexts)
        return DAM_OK;
    void *contexts, *directory, *pasids;
    dam_err err = dam_arena_pages(t->pool, 1, &contexts);
    if (!err && unit->vtd.scalable) {
        bool wide = dam_bits_get(unit->vtd.ecap, VTD_ECAP_PASID);
        unsigned bits = wide ? (unsigned)dam_bits_get(unit->vtd.ecap, VTD_ECAP_PSS) + 1 : 0;
        unsigned pdts = bits > 13 ? bits - 13 : 0; // 128 entries for 64 PASIDs each are the least
        refuge->function = (struct vtd_sm_context){
            .present = true, .fpd = true, .pasids = wide, .pdts = (uint8_t)(pdts > 7 ? 7 : pdts)};
        size_t bytes = vtd_directory_entries(&refuge->function) * sizeof(uint64_t);
        err = dam_arena_pages(t->pool, (bytes + DAM_PAGE_SIZE - 1) / DAM_PAGE_SIZE, &directory);
        if (!err)
            err = dam_arena_pages(t->pool, 1, &pasids);
        if (!err) {
            refuge->directory = directory;
            refuge->pasids = pasids;
            refuge->function.directory = dam_arena_pa(t->pool, directory);
        }
    }
    if (!err)
        refuge->contexts = contexts;
    return err;
}

// Fills a page with copies of one entry.
static void repeat(uint64_t *page, const uint64_t *entry, unsigned words)
{
    for (unsigned i = 0; i < PT_ENTRIES; i += words)
        memcpy(page + i, entry, words * sizeof(*entry));
}

void takeover_fill_refuge(struct dam_takeover *t, struct unit *unit, struct refuge *refuge,
                          const struct requester *r)
{
    struct requester any = *r;
    uint64_t entry[IOMMU_BINDING_WORDS];
    any.flags |= DAM_REQ_PASID;
    unsigned words = takeover_encode(unit, &any, entry);
    if (refuge->pasids) {
        repeat(refuge->pasids, entry, words);
        for (unsigned i = 0; i < vtd_directory_entries(&refuge->function); i++)
            refuge->directory[i] = vtd_pasid_dir_encode(dam_arena_pa(t->pool, refuge->pasids));
        vtd_sm_context_encode(&refuge->function, entry);
        words = VTD_SM_CTX_WORDS;
    }
    repeat(refuge->contexts, entry, words);
}

uint64_t *takeover_planned_context(const struct unit *unit, uint16_t rid)
{
    unsigned half = unit->vtd.scalable ? rid / VTD_SM_CTX_ENTRIES : rid / VTD_DEVFNS * 2;
    unsigned index = rid % (unit->vtd.scalable ? VTD_SM_CTX_ENTRIES : VTD_DEVFNS);
    uint64_t *table = unit->planned[half];
    return table ? table + index * takeover_context_words(unit) : NULL;
}

const uint64_t *takeover_follow(const struct dam_takeover *t, const struct unit *unit,
                                const struct requester *r)
{
    bool scalable = unit->vtd.scalable;
    unsigned half = scalable ? r->rid / VTD_SM_CTX_ENTRIES : r->rid / VTD_DEVFNS * 2;
    unsigned index = r->rid % (scalable ? VTD_SM_CTX_ENTRIES : VTD_DEVFNS);
    struct vtd_root root = vtd_root_decode(unit->root_table[half / 2].w[half % 2], t->host_address_width);
    const uint64_t *entry = root.present ? dam_arena_ptr(t->pool, root.context_table) : NULL;
    if (!entry)
        return NULL;
    entry += index * takeover_context_words(unit);
    if (!scalable || !(r->flags & DAM_REQ_PASID))
        return entry;
    struct vtd_sm_context c = vtd_sm_context_decode(entry, t->host_address_width);
    const uint64_t *directory = dam_arena_ptr(t->pool, c.directory);
    if (!c.present || c.translated || c.page_requests || c.privileged || !directory ||
        r->pasid / VTD_PASID_ENTRIES >= vtd_directory_entries(&c))
        return NULL;
    struct vtd_pasid_dir d =
        vtd_pasid_dir_decode(directory[r->pasid / VTD_PASID_ENTRIES], t->host_address_width);
    const uint64_t *pasids = d.present ? dam_arena_ptr(t->pool, d.table) : NULL;
    return pasids ? pasids + r->pasid % VTD_PASID_ENTRIES * VTD_PASID_WORDS : NULL;
}

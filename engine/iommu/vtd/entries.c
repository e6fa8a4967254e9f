// SPDX-License-Identifier: MIT
// Entries of ours: context entries in legacy mode; PASID entries, and what leads to them, in scalable mode.
#include <string.h>

#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

// What an entry says beside its tables, when the old one had another kind of them.
static void forget_attributes(const struct vtd_unit *unit, struct iommu_binding *b)
{
    unsigned aw = 1;
    while (aw < 3 && !vtd_width_supported(unit, aw))
        aw++;
    memset(b->raw, 0, sizeof(b->raw));
    b->raw[0] = dam_bits_put(aw, VTD_PASID_AW);
    b->raw[1] = dam_bits_put(dam_bits_get(unit->iommu.ecap, VTD_ECAP_SMPWC), VTD_PASID_PWSNP);
}

unsigned vtd_encode(const struct vtd_unit *unit, const struct iommu_target *target,
                    uint64_t entry[IOMMU_BINDING_WORDS])
{
    struct iommu_binding b = *target->old;
    b.levels = target->levels;
    b.did = target->did;
    b.root = target->root;
    if (!unit->scalable) {
        struct vtd_context_entry context = vtd_context_encode(&b);
        memcpy(entry, context.w, sizeof(context));
        return vtd_context_words(unit);
    }
    if (!(target->flags & DAM_REQ_PASID)) { // nothing below its context entry was sound
        vtd_sm_context_encode(&unit->refuge.function, entry);
        return VTD_SM_CTX_WORDS;
    }
    b.stage = target->stage;
    if (b.stage != target->old->stage || !target->usable)
        forget_attributes(unit, &b);
    vtd_pasid_encode(&b, entry);
    return VTD_PASID_WORDS;
}

void vtd_bind(struct iommu_unit *unit, const struct iommu_target *target)
{
    // It has room for any kind of entry that it may be.
    uint64_t entry[IOMMU_BINDING_WORDS];
    unsigned words = vtd_encode(vtd_of(unit), target, entry);
    memcpy(target->entry, entry, words * sizeof(*entry));
}

void vtd_rebind(struct iommu_unit *unit, const struct iommu_target *target)
{
    uint64_t entry[IOMMU_BINDING_WORDS];
    unsigned words = vtd_encode(vtd_of(unit), target, entry);
    for (unsigned i = 0; i < words; i++)
        if (target->entry[i] != entry[i])
            *(volatile uint64_t *)&target->entry[i] = entry[i];
    dam_cache_flush(unit->ops, target->entry, words * sizeof(*entry));
}

// ---- verification
// Follows our tables, as the unit would, to the entry of a requester; NULL: they do not lead to one.
static const uint64_t *follow(const struct vtd_unit *unit, const struct iommu_target *r)
{
    const struct iommu_unit *iommu = &unit->iommu;
    unsigned half = vtd_half_of(unit, r->rid), haw = iommu->host_address_width;
    struct vtd_root root = vtd_root_decode(unit->root_table[half / 2].w[half % 2], haw);
    const uint64_t *entry = root.present ? dam_arena_ptr(iommu->pool, root.context_table) : NULL;
    if (!entry)
        return NULL;
    entry += vtd_index_of(unit, r->rid) * vtd_context_words(unit);
    if (!unit->scalable || !(r->flags & DAM_REQ_PASID))
        return entry;
    struct vtd_sm_context c = vtd_sm_context_decode(entry, haw);
    const uint64_t *directory = dam_arena_ptr(iommu->pool, c.directory);
    if (!c.present || c.translated || c.page_requests || c.privileged || !directory ||
        r->pasid / VTD_PASID_ENTRIES >= vtd_directory_entries(&c))
        return NULL;
    struct vtd_pasid_dir d = vtd_pasid_dir_decode(directory[r->pasid / VTD_PASID_ENTRIES], haw);
    const uint64_t *pasids = d.present ? dam_arena_ptr(iommu->pool, d.table) : NULL;
    return pasids ? pasids + r->pasid % VTD_PASID_ENTRIES * VTD_PASID_WORDS : NULL;
}

bool vtd_verify_entry(const struct iommu_unit *iommu, const struct iommu_target *target)
{
    const struct vtd_unit *unit = vtd_of_const(iommu);
    uint64_t want[IOMMU_BINDING_WORDS];
    unsigned words = vtd_encode(unit, target, want);
    bool leads = (target->flags & DAM_REQ_OTHERS) || follow(unit, target) == target->entry;
    if (leads && memcmp(target->entry, want, words * sizeof(*want)) == 0)
        return true;
    struct dam_finding f = {.code = DAM_F_VERIFY_CONTEXT,
                            .level = 255,
                            .rid = target->rid,
                            .address = dam_arena_pa(iommu->pool, target->entry).v,
                            .raw = target->entry[0]};
    iommu->listener->finding(iommu->listener->ctx, &f);
    return false;
}

bool vtd_verify_tables(const struct iommu_unit *iommu)
{
    const struct vtd_unit *unit = vtd_of_const(iommu);
    bool ok = true;
    for (unsigned half = 0; half < VTD_HALVES; half++) {
        const uint64_t *word = &unit->root_table[half / 2].w[half % 2], *planned = unit->planned[half];
        if (*word == (planned ? vtd_root_encode(dam_arena_pa(iommu->pool, planned)) : 0))
            continue;
        iommu_report(iommu, DAM_F_VERIFY_CONTEXT, dam_arena_pa(iommu->pool, word).v, *word);
        ok = false;
    }
    return ok;
}

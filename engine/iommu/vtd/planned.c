// SPDX-License-Identifier: MIT
// Planned tables: room for requesters that the old tables do not name, and tables that many share.
#include <string.h>

#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

dam_err vtd_silent_table(const struct vtd_unit *unit, uint64_t **out)
{
    void *page;
    dam_err err = dam_arena_pages(unit->iommu.pool, 1, &page);
    if (err)
        return err;
    *out = page;
    for (unsigned i = 0; i < PT_ENTRIES; i += vtd_context_words(unit))
        (*out)[i] = VTD_SILENT;
    return DAM_OK;
}

dam_err vtd_make_tables(struct iommu_unit *iommu)
{
    void *page;
    dam_err err = dam_arena_pages(iommu->pool, 1, &page);
    vtd_of(iommu)->root_table = page;
    return err;
}

// The context entry of a function that planned tables have, or NULL.
static uint64_t *planned_context(const struct vtd_unit *unit, uint16_t rid)
{
    uint64_t *table = unit->planned[vtd_half_of(unit, rid)];
    return table ? table + vtd_index_of(unit, rid) * vtd_context_words(unit) : NULL;
}

bool vtd_next_function(const struct iommu_unit *iommu, uint32_t *rid)
{
    const struct vtd_unit *unit = vtd_of_const(iommu);
    for (; unit->scalable && *rid < VTD_BUSES * VTD_DEVFNS; ++*rid) {
        const uint64_t *context = planned_context(unit, (uint16_t)*rid);
        if (!context)
            *rid |= VTD_SM_CTX_ENTRIES - 1; // none in this table
        else if (*context != VTD_SILENT && *context)
            return true;
    }
    return false;
}

// ---- one requester
// The binding of PASID `pasid` below a directory of ours; its table is made when it is not there.
static dam_err pasid_entry(const struct iommu_unit *iommu, uint64_t *directory, uint32_t pasid,
                           uint64_t **out)
{
    uint64_t *slot = &directory[pasid / VTD_PASID_ENTRIES];
    struct vtd_pasid_dir d = vtd_pasid_dir_decode(*slot, iommu->host_address_width);
    void *table = d.present ? dam_arena_ptr(iommu->pool, d.table) : NULL;
    if (!table) {
        dam_err err = dam_arena_pages(iommu->pool, 1, &table);
        if (err)
            return err;
        for (unsigned i = 0; i < PT_ENTRIES; i += VTD_PASID_WORDS)
            ((uint64_t *)table)[i] = VTD_SILENT;
        *slot = vtd_pasid_dir_encode(dam_arena_pa(iommu->pool, table));
    }
    *out = (uint64_t *)table + pasid % VTD_PASID_ENTRIES * VTD_PASID_WORDS;
    return DAM_OK;
}

// A directory for a function that has none, in scalable mode. All of it silent but for one page's worth.
static dam_err make_function(const struct iommu_unit *iommu, uint64_t *context)
{
    struct vtd_sm_context function = {.present = true, .fpd = true};
    void *directory;
    dam_err err = dam_arena_pages(iommu->pool, 1, &directory);
    if (err)
        return err;
    for (unsigned i = 0; i < vtd_directory_entries(&function); i++)
        ((uint64_t *)directory)[i] = VTD_SILENT;
    function.directory = dam_arena_pa(iommu->pool, directory);
    vtd_sm_context_encode(&function, context);
    return DAM_OK;
}

static dam_err place_one(struct vtd_unit *unit, struct iommu_found *found)
{
    const struct iommu_unit *iommu = &unit->iommu;
    dam_err err = DAM_OK;
    uint64_t **table = &unit->planned[vtd_half_of(unit, found->rid)];
    // A table that is shared is not one to write a single entry into.
    if (!*table || *table == unit->refuge.contexts)
        err = vtd_silent_table(unit, table);
    if (err)
        return err;
    found->entry = planned_context(unit, found->rid);
    if (!unit->scalable)
        return DAM_OK;
    uint64_t *context = found->entry;
    if (!vtd_sm_context_decode(context, iommu->host_address_width).present)
        err = make_function(iommu, context);
    if (err)
        return err;
    struct vtd_sm_context c = vtd_sm_context_decode(context, iommu->host_address_width);
    found->flags |= DAM_REQ_PASID | DAM_REQ_RID_PASID;
    found->pasid = c.rid_pasid;
    return pasid_entry(iommu, dam_arena_ptr(iommu->pool, c.directory), c.rid_pasid, &found->entry);
}

static dam_err place_others(struct vtd_unit *unit, struct iommu_found *found)
{
    dam_err err = vtd_make_refuge(unit, &unit->rest);
    found->entry = unit->rest.contexts;
    if (unit->scalable) {
        found->flags |= DAM_REQ_PASID | DAM_REQ_RID_PASID;
        found->entry = unit->rest.pasids;
    }
    return err;
}

dam_err vtd_place(struct iommu_unit *iommu, struct iommu_found *found)
{
    struct vtd_unit *unit = vtd_of(iommu);
    return found->flags & DAM_REQ_OTHERS ? place_others(unit, found) : place_one(unit, found);
}

// ---- tables that many share
dam_err vtd_make_refuge(const struct vtd_unit *unit, struct vtd_refuge *refuge)
{
    const struct iommu_unit *iommu = &unit->iommu;
    if (refuge->contexts)
        return DAM_OK;
    void *contexts, *directory, *pasids;
    dam_err err = dam_arena_pages(iommu->pool, 1, &contexts);
    if (!err && unit->scalable) {
        bool wide = dam_bits_get(iommu->ecap, VTD_ECAP_PASID);
        unsigned bits = wide ? (unsigned)dam_bits_get(iommu->ecap, VTD_ECAP_PSS) + 1 : 0;
        unsigned pdts = bits > 13 ? bits - 13 : 0; // 128 entries for 64 PASIDs each are the least
        refuge->function = (struct vtd_sm_context){
            .present = true, .fpd = true, .pasids = wide, .pdts = (uint8_t)(pdts > 7 ? 7 : pdts)};
        size_t bytes = vtd_directory_entries(&refuge->function) * sizeof(uint64_t);
        err = dam_arena_pages(iommu->pool, (bytes + DAM_PAGE_SIZE - 1) / DAM_PAGE_SIZE, &directory);
        if (!err)
            err = dam_arena_pages(iommu->pool, 1, &pasids);
        if (!err) {
            refuge->directory = directory;
            refuge->pasids = pasids;
            refuge->function.directory = dam_arena_pa(iommu->pool, directory);
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

// Everything in the tables of a refuge is bound to one target.
static void fill(const struct vtd_unit *unit, struct vtd_refuge *refuge, const struct iommu_target *target)
{
    struct iommu_target any = *target;
    uint64_t entry[IOMMU_BINDING_WORDS];
    any.flags |= DAM_REQ_PASID;
    unsigned words = vtd_encode(unit, &any, entry);
    if (refuge->pasids) {
        repeat(refuge->pasids, entry, words);
        for (unsigned i = 0; i < vtd_directory_entries(&refuge->function); i++)
            refuge->directory[i] = vtd_pasid_dir_encode(dam_arena_pa(unit->iommu.pool, refuge->pasids));
        vtd_sm_context_encode(&refuge->function, entry);
        words = VTD_SM_CTX_WORDS;
    }
    repeat(refuge->contexts, entry, words);
}

bool vtd_has_refuge(const struct iommu_unit *iommu)
{
    return vtd_of_const(iommu)->refuge.used;
}

void vtd_fill_refuge(struct iommu_unit *iommu, const struct iommu_target *target)
{
    struct vtd_unit *unit = vtd_of(iommu);
    fill(unit, &unit->refuge, target);
}

void vtd_spread(struct iommu_unit *iommu, const struct iommu_target *others)
{
    struct vtd_unit *unit = vtd_of(iommu);
    unsigned words = vtd_context_words(unit);
    fill(unit, &unit->rest, others);
    for (unsigned half = 0; half < VTD_HALVES; half += unit->scalable ? 1 : 2) {
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

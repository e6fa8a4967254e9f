// SPDX-License-Identifier: MIT
// Root and context tables of the old kernel: who is bound to what? What is read lands in copies of ours,
// which are what the unit will run on.
#include "iommu/vtd/lookup.h"
#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

dam_err vtd_tell_binding(const struct vtd_unit *unit, const struct iommu_sink *sink,
                         const struct iommu_found *found, bool *sound)
{
    const struct iommu_binding *b = &found->binding;
    unsigned word;
    uint16_t fault = vtd_binding_finding(unit, b, unit->iommu.old_memory, &word);
    *sound = !fault;
    if (fault) {
        struct iommu_found broken = *found;
        broken.address += word * sizeof(b->raw[0]);
        return sink->binding(sink->ctx, &broken, fault, b->raw[word]);
    }
    dam_err err = sink->binding(sink->ctx, found, DAM_F_NONE, 0);
    if (!err && b->translated && !b->scalable) // else it is said once for the function
        sink->finding(sink->ctx, DAM_F_ATS_REFUSED, found, b->raw[0]);
    return err;
}

dam_err vtd_read_context_table(struct vtd_unit *unit, unsigned half, dam_pa table)
{
    void *page;
    dam_err err = dam_arena_pages(unit->iommu.pool, 1, &page);
    if (!err)
        err = iommu_read_page(&unit->iommu, table, page);
    if (err)
        return err;
    unit->copied[half] = page;
    return vtd_silent_table(unit, &unit->planned[half]);
}

// Legacy mode: one table a bus, one entry a function, each a binding. Reads one context table into a page of
// ours, in which only what is sound stays present, with faults off: absent and broken entries refuse
// silently.
static dam_err read_legacy(struct vtd_unit *unit, const struct iommu_sink *sink, unsigned half, dam_pa table)
{
    dam_err err = vtd_read_context_table(unit, half, table);
    uint64_t *copied = unit->copied[half], *planned = unit->planned[half];
    for (unsigned devfn = 0; !err && devfn < VTD_DEVFNS; devfn++) {
        struct vtd_context_entry *entry = (struct vtd_context_entry *)copied + devfn;
        struct iommu_found found = {
            .rid = (uint16_t)(half / 2 << 8 | devfn),
            .index = (uint16_t)devfn,
            .binding = vtd_context_decode(*entry, unit->iommu.host_address_width),
            .address = table.v + devfn * sizeof(*entry),
            .entry = planned + devfn * vtd_context_words(unit),
        };
        bool sound = false;
        if (found.binding.present)
            err = vtd_tell_binding(unit, sink, &found, &sound);
        if (sound)
            entry->w[0] |= dam_bits_mask(VTD_CTX_FPD);
        else
            *entry = (struct vtd_context_entry){{VTD_SILENT, 0}};
    }
    return err;
}

// A half that leads nowhere. An absent bus reports its faults whatever its contexts say (reason 1 is not
// qualified by FPD), so it gets context tables: a silent one at first, then the refuge.
static dam_err broken_half(struct vtd_unit *unit, unsigned half)
{
    dam_err err = vtd_make_refuge(unit, &unit->refuge);
    if (!err && !unit->silence)
        err = vtd_silent_table(unit, &unit->silence);
    unit->copied[half] = unit->silence;
    unit->planned[half] = unit->refuge.contexts;
    unit->refuge.used = true;
    return err;
}

// One half of a root entry, read from `address`; `more_reserved`: reserved bits are set beside it.
static dam_err read_half(struct vtd_unit *unit, const struct iommu_sink *sink, unsigned half, uint64_t raw,
                         uint64_t address, bool more_reserved)
{
    struct vtd_root entry = vtd_root_decode(raw, unit->iommu.host_address_width);
    if (!entry.present)
        return DAM_OK;
    bool reserved = entry.reserved || more_reserved;
    if (!reserved && pt_known_table(unit->iommu.old_memory, entry.context_table, entry.context_table))
        return unit->scalable ? vtd_read_scalable(unit, sink, half, entry.context_table)
                              : read_legacy(unit, sink, half, entry.context_table);
    struct iommu_found found = {
        .rid = (uint16_t)(half * (VTD_DEVFNS / 2)), .index = (uint16_t)(half / 2), .address = address};
    sink->finding(sink->ctx, reserved ? DAM_F_ROOT_RESERVED : DAM_F_ROOT_POINTER, &found, raw);
    return broken_half(unit, half);
}

// Nothing is known of what is there: every function of every bus is quarantined.
static dam_err quarantine_all(struct vtd_unit *unit)
{
    dam_err err = vtd_make_refuge(unit, &unit->refuge);
    unit->refuge.used = true;
    for (unsigned half = 0; !err && half < VTD_HALVES; half += unit->scalable ? 1 : 2) {
        unit->copied[half] = unit->planned[half] = unit->refuge.contexts;
        unit->root_table[half / 2].w[half % 2] =
            vtd_root_encode(dam_arena_pa(unit->iommu.pool, unit->refuge.contexts));
    }
    return err;
}

dam_err vtd_read_tables(struct iommu_unit *iommu, const struct iommu_sink *sink)
{
    struct vtd_unit *unit = vtd_of(iommu);
    uint64_t rtaddr = iommu->before.vtd.rtaddr;
    dam_pa root = dam_pa_of(rtaddr & dam_bits_mask(VTD_RTADDR_RTA));
    void *page;
    dam_err err = dam_arena_pages(iommu->pool, 1, &page);
    if (err)
        return err;
    unit->root_table = page;
    if (!unit->no_root && !pt_known_table(iommu->old_memory, root, root)) {
        // A register that names no table was not latched, or nobody would have come this far. Its mode is not
        // to be believed either, and a root pointer of the other mode must not be set while translation is
        // on.
        if (dam_bits_get(iommu->ecap, VTD_ECAP_SMTS) || dam_bits_get(iommu->ecap, VTD_ECAP_ECS)) {
            iommu_report(iommu, DAM_F_ROOT_UNKNOWN, root.v, rtaddr);
            return DAM_E_BROKEN;
        }
        iommu_report(iommu, DAM_F_UNIT_ROOT, root.v, rtaddr);
        unit->no_root = true;
    }
    if (unit->no_root)
        return quarantine_all(unit);
    err = iommu_read_page(iommu, root, page);
    for (unsigned half = 0; !err && half < VTD_HALVES; half++) {
        uint64_t *word = &unit->root_table[half / 2].w[half % 2], raw = *word;
        *word = 0;
        if (half % 2 && !unit->scalable)
            continue;
        bool more_reserved = !unit->scalable && unit->root_table[half / 2].w[1];
        err = read_half(unit, sink, half, raw, root.v + half * sizeof(raw), more_reserved);
        if (!err && unit->copied[half])
            *word = vtd_root_encode(dam_arena_pa(iommu->pool, unit->copied[half]));
    }
    return err;
}

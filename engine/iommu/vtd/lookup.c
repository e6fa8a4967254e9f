// SPDX-License-Identifier: MIT
#include "iommu/vtd/lookup.h"

#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

#define DIR_WORDS  (DAM_PAGE_SIZE / sizeof(uint64_t)) // entries of one page of a directory
#define ROOT_WORDS 2u

uint16_t vtd_binding_finding(const struct vtd_unit *unit, const struct iommu_binding *b,
                             const struct pt_memory *memory, unsigned *word)
{
    bool s = b->scalable;
    *word = 0;
    switch (vtd_binding_flaw(unit, b)) {
    case VTD_FLAW_RESERVED:
        *word = vtd_first_word(b->reserved);
        return s ? DAM_F_PASID_RESERVED : DAM_F_CTX_RESERVED;
    case VTD_FLAW_STAGE:
        return s ? DAM_F_PASID_TYPE : DAM_F_CTX_TYPE;
    case VTD_FLAW_WIDTH:
        *word = !s ? 1 : b->stage == DAM_STAGE_FIRST ? 2 : 0;
        return s ? DAM_F_PASID_WIDTH : DAM_F_CTX_WIDTH;
    case VTD_SOUND:
        break;
    }
    if (b->stage == DAM_STAGE_PASSTHROUGH || pt_known_table(memory, b->root, b->root))
        return DAM_F_NONE;
    *word = b->stage == DAM_STAGE_FIRST ? 2 : 0;
    return s ? DAM_F_PASID_POINTER : DAM_F_CTX_POINTER;
}

struct pt_params vtd_tree_params(const struct vtd_unit *unit, unsigned haw, enum dam_stage stage,
                                 uint8_t levels)
{
    struct pt_params params = {.levels = levels, .haw = (uint8_t)haw};
    if (stage == DAM_STAGE_FIRST) {
        params.canonical = true;
        params.large = (uint8_t)(1u << 1 | dam_bits_get(unit->iommu.cap, VTD_CAP_FS1GP) << 2);
    } else {
        params.large = vtd_large_levels(unit);
        params.snoop = dam_bits_get(unit->iommu.ecap, VTD_ECAP_SC);
        params.transient = dam_bits_get(unit->iommu.ecap, VTD_ECAP_DT);
    }
    return params;
}

// ---- the lookup -------------------------------------------------------------------------------------------
enum { BUFFER_ROOT, BUFFER_CONTEXT, BUFFER_DIRECTORY, BUFFER_PASIDS };

static uint64_t *buffer(const struct vtd_lookup *l, unsigned which)
{
    return l->buffers + which * PT_ENTRIES;
}

static bool known(const struct vtd_lookup *l, dam_pa pa)
{
    return pt_known_table(l->memory, pa, pa);
}

// The way to an entry, with that entry as its last step.
static struct iommu_hit step_to(const struct iommu_hit *way, dam_pa table, unsigned index,
                                const uint64_t *entry, unsigned words)
{
    struct iommu_hit f = *way;
    f.address = dam_pa_of(table.v + index * words * sizeof(uint64_t));
    f.index = (uint16_t)index;
    struct iommu_step *step = &f.steps[f.step_count++];
    step->address = f.address;
    step->words = (uint8_t)words;
    for (unsigned i = 0; i < words; i++)
        step->raw[i] = entry[i];
    return f;
}

static dam_err tell_absent(const struct vtd_lookup *l, const struct iommu_hit *way, dam_pa table,
                           uint32_t span)
{
    struct iommu_hit f = *way;
    f.kind = IOMMU_HIT_ABSENT;
    f.address = f.finding_address = table;
    f.span = span;
    return l->found(l->ctx, &f);
}

// word: of the last step, where the reason is.
static dam_err tell_broken(const struct vtd_lookup *l, const struct iommu_hit *way, uint16_t finding,
                           unsigned word, uint32_t span)
{
    struct iommu_hit f = *way;
    const struct iommu_step *last = &f.steps[f.step_count - 1];
    f.kind = IOMMU_HIT_BROKEN;
    f.finding = finding;
    f.finding_address = dam_pa_of(last->address.v + word * sizeof(uint64_t));
    f.finding_raw = last->raw[word];
    f.span = span;
    return l->found(l->ctx, &f);
}

static dam_err tell_binding(const struct vtd_lookup *l, struct iommu_hit *f)
{
    unsigned word;
    f->kind = IOMMU_HIT_BINDING;
    f->span = 1;
    f->finding = vtd_binding_finding(l->unit, &f->binding, l->memory, &word);
    f->finding_address = dam_pa_of(f->address.v + word * sizeof(uint64_t));
    f->finding_raw = f->binding.raw[word];
    return l->found(l->ctx, f);
}

static dam_err read_contexts(const struct vtd_lookup *l, const struct iommu_hit *way, dam_pa table)
{
    uint64_t *words = buffer(l, BUFFER_CONTEXT);
    dam_err err = pt_read_table(l->memory, table, words);
    if (err == DAM_E_ABSENT)
        return tell_absent(l, way, table, VTD_DEVFNS);
    for (unsigned i = 0; !err && i < VTD_DEVFNS; i++) {
        struct iommu_hit f = *way;
        struct vtd_context_entry entry = {{words[2 * i], words[2 * i + 1]}};
        f.rid = (uint16_t)(way->rid + i);
        f.index = (uint16_t)i;
        f.address = dam_pa_of(table.v + i * sizeof(entry));
        f.binding = vtd_context_decode(entry, l->haw);
        if (f.binding.present)
            err = tell_binding(l, &f);
    }
    return err;
}

// ---- scalable mode
static void name_pasids(struct iommu_hit *f, uint32_t first, uint32_t span)
{
    f->pasid = first;
    f->flags = DAM_REQ_PASID;
    const struct vtd_sm_context *c = f->function;
    if (c->rid_pasid - first < span)
        f->flags |= DAM_REQ_RID_PASID;
}

// Counts a table that a function costs.
static dam_err spend(uint32_t *left)
{
    if (*left == 0)
        return DAM_E_BUDGET;
    --*left;
    return DAM_OK;
}

static dam_err read_pasids(const struct vtd_lookup *l, const struct iommu_hit *way, dam_pa table,
                           uint32_t *left)
{
    uint64_t *words = buffer(l, BUFFER_PASIDS);
    dam_err err = spend(left);
    if (!err)
        err = pt_read_table(l->memory, table, words);
    if (err == DAM_E_ABSENT)
        return tell_absent(l, way, table, VTD_PASID_ENTRIES);
    for (unsigned i = 0; !err && i < VTD_PASID_ENTRIES; i++) {
        struct iommu_hit f = *way;
        f.index = (uint16_t)i;
        f.address = dam_pa_of(table.v + i * VTD_PASID_WORDS * sizeof(uint64_t));
        f.binding = vtd_pasid_decode(words + i * VTD_PASID_WORDS, l->haw);
        f.binding.translated = ((const struct vtd_sm_context *)f.function)->translated;
        name_pasids(&f, way->pasid + i, 1);
        if (f.binding.present)
            err = tell_binding(l, &f);
    }
    return err;
}

// `first`: number of the directory entry that words[0] is.
static dam_err read_directory_page(const struct vtd_lookup *l, const struct iommu_hit *way, dam_pa page,
                                   unsigned first, uint32_t *left)
{
    uint64_t *words = buffer(l, BUFFER_DIRECTORY);
    unsigned entries = vtd_directory_entries(way->function) - first;
    struct iommu_hit here = *way;
    if (entries > DIR_WORDS)
        entries = DIR_WORDS;
    name_pasids(&here, first * VTD_PASID_ENTRIES, entries * VTD_PASID_ENTRIES);
    if (!known(l, page)) {
        here.address = page;
        return tell_broken(l, &here, DAM_F_PASID_DIRECTORY, 0, entries * VTD_PASID_ENTRIES);
    }
    dam_err err = spend(left);
    if (!err)
        err = pt_read_table(l->memory, page, words);
    if (err == DAM_E_ABSENT)
        return tell_absent(l, &here, page, entries * VTD_PASID_ENTRIES);
    for (unsigned i = 0; !err && i < entries; i++) {
        struct vtd_pasid_dir entry = vtd_pasid_dir_decode(words[i], l->haw);
        if (!entry.present)
            continue;
        struct iommu_hit f = step_to(way, page, i, &words[i], 1);
        f.index = (uint16_t)(first + i);
        name_pasids(&f, (first + i) * VTD_PASID_ENTRIES, VTD_PASID_ENTRIES);
        if (!entry.reserved && known(l, entry.table))
            err = read_pasids(l, &f, entry.table, left);
        else
            err = tell_broken(l, &f, entry.reserved ? DAM_F_PASID_DIR_RESERVED : DAM_F_PASID_DIR_POINTER, 0,
                              VTD_PASID_ENTRIES);
    }
    return err;
}

// way: to the context entry, which is present.
static dam_err read_function(const struct vtd_lookup *l, const struct iommu_hit *way)
{
    const struct vtd_sm_context *c = way->function;
    uint8_t flaws = vtd_sm_context_flaws(l->unit, c);
    if (flaws)
        return tell_broken(l, way, DAM_F_SM_CONTEXT, vtd_first_word(flaws), 1);
    if (!known(l, c->directory))
        return tell_broken(l, way, DAM_F_PASID_DIRECTORY, 0, 1);
    uint32_t left = l->function_tables;
    dam_err err = DAM_OK;
    for (unsigned i = 0; !err && i < vtd_directory_entries(c); i += DIR_WORDS)
        err = read_directory_page(l, way, dam_pa_of(c->directory.v + i * sizeof(uint64_t)), i, &left);
    return err == DAM_E_BUDGET ? tell_broken(l, way, DAM_F_PASID_SHARE, 0, 1) : err;
}

static dam_err read_functions(const struct vtd_lookup *l, const struct iommu_hit *way, dam_pa table)
{
    uint64_t *words = buffer(l, BUFFER_CONTEXT);
    dam_err err = pt_read_table(l->memory, table, words);
    if (err == DAM_E_ABSENT)
        return tell_absent(l, way, table, VTD_SM_CTX_ENTRIES);
    for (unsigned i = 0; !err && i < VTD_SM_CTX_ENTRIES; i++) {
        const uint64_t *entry = words + i * VTD_SM_CTX_WORDS;
        struct vtd_sm_context context = vtd_sm_context_decode(entry, l->haw);
        if (!context.present)
            continue;
        struct iommu_hit f = step_to(way, table, i, entry, VTD_SM_CTX_WORDS);
        f.rid = (uint16_t)(way->rid + i);
        f.function = &context;
        err = read_function(l, &f);
    }
    return err;
}

// One half of a root entry, which stands for so many functions.
static dam_err read_half(const struct vtd_lookup *l, const struct iommu_hit *way, const uint64_t *entry,
                         unsigned functions)
{
    struct vtd_root root = vtd_root_decode(entry[0], l->haw);
    if (!root.present)
        return DAM_OK;
    bool more_reserved = !l->unit->scalable && entry[1];
    if (root.reserved || more_reserved)
        return tell_broken(l, way, DAM_F_ROOT_RESERVED, root.reserved ? 0 : 1, functions);
    if (!known(l, root.context_table))
        return tell_broken(l, way, DAM_F_ROOT_POINTER, 0, functions);
    return l->unit->scalable ? read_functions(l, way, root.context_table)
                             : read_contexts(l, way, root.context_table);
}

dam_err vtd_lookup(const struct vtd_lookup *l, dam_pa root)
{
    struct iommu_hit way = {.address = root, .finding_address = root, .span = VTD_BUSES * VTD_DEVFNS};
    uint64_t *words = buffer(l, BUFFER_ROOT);
    if (!known(l, root)) {
        way.kind = IOMMU_HIT_BROKEN;
        way.finding = DAM_F_UNIT_ROOT;
        return l->found(l->ctx, &way);
    }
    dam_err err = pt_read_table(l->memory, root, words);
    if (err == DAM_E_ABSENT)
        return tell_absent(l, &way, root, way.span);
    unsigned step = l->unit->scalable ? 1 : ROOT_WORDS, functions = step * VTD_DEVFNS / ROOT_WORDS;
    for (unsigned i = 0; !err && i < VTD_HALVES; i += step) {
        struct iommu_hit f = step_to(&way, root, i / step, words + i, step);
        f.rid = (uint16_t)(i * (VTD_DEVFNS / ROOT_WORDS));
        err = read_half(l, &f, words + i, functions);
    }
    return err;
}

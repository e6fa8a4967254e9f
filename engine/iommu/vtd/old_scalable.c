// SPDX-License-Identifier: MIT
// Context tables of scalable mode: two tables a bus, one entry a function, below it a PASID directory and
// PASID tables whose entries are the bindings. All of it is copied twice, once as it was and once silent, to
// be filled in by the plan. A function that would take more than its share of the pool is quarantined alone.
#include "iommu/vtd/own.h"
#include "iommu/vtd/regs.h"

// A function may take this part of what is left of the pool.
#define SHARE     8u
#define DIR_WORDS (DAM_PAGE_SIZE / sizeof(uint64_t)) // entries of one page of a directory

// One function, while it is being read.
struct function {
    struct vtd_unit *unit;
    const struct iommu_sink *sink;
    struct vtd_sm_context context;
    struct iommu_found found;   // of its context entry, then of each binding
    uint64_t *copied, *planned; // directories
};

static void silence(uint64_t *entry, unsigned words)
{
    entry[0] = VTD_SILENT;
    for (unsigned i = 1; i < words; i++)
        entry[i] = 0;
}

static void name_pasid(struct function *f, uint32_t pasid)
{
    f->found.pasid = pasid;
    f->found.flags = DAM_REQ_PASID;
    if (pasid == f->context.rid_pasid)
        f->found.flags |= DAM_REQ_RID_PASID;
}

// Directories can be large, and lead to themselves: what is read counts against the budget.
static dam_err read_table(struct iommu_unit *unit, dam_pa pa, uint64_t *words)
{
    struct pt_budget *budget = unit->old_memory->budget;
    if (budget->tables == 0 || dam_clock_us(unit->ops) > budget->deadline_us)
        return DAM_E_BUDGET;
    budget->tables--;
    return iommu_read_page(unit, pa, words);
}

// Reads the PASID table that directory entry `index` leads to.
static dam_err read_pasids(struct function *f, unsigned index, dam_pa table)
{
    struct iommu_unit *iommu = &f->unit->iommu;
    void *copied, *planned;
    dam_err err = dam_arena_pages(iommu->pool, 1, &copied);
    if (!err)
        err = dam_arena_pages(iommu->pool, 1, &planned);
    if (!err)
        err = read_table(iommu, table, copied);
    if (err)
        return err;
    f->copied[index] = vtd_pasid_dir_encode(dam_arena_pa(iommu->pool, copied));
    f->planned[index] = vtd_pasid_dir_encode(dam_arena_pa(iommu->pool, planned));
    for (unsigned i = 0; !err && i < VTD_PASID_ENTRIES; i++) {
        uint64_t *entry = (uint64_t *)copied + i * VTD_PASID_WORDS;
        struct iommu_found *found = &f->found;
        found->entry = (uint64_t *)planned + i * VTD_PASID_WORDS;
        silence(found->entry, VTD_PASID_WORDS);
        found->binding = vtd_pasid_decode(entry, iommu->host_address_width);
        found->binding.translated = f->context.translated;
        found->address = table.v + i * VTD_PASID_WORDS * sizeof(uint64_t);
        found->index = (uint16_t)i;
        name_pasid(f, index * VTD_PASID_ENTRIES + i);
        bool sound = false;
        if (found->binding.present)
            err = vtd_tell_binding(f->unit, f->sink, found, &sound);
        if (sound)
            entry[0] |= dam_bits_mask(VTD_PASID_FPD);
        else
            silence(entry, VTD_PASID_WORDS);
    }
    return err;
}

// A part of the directory that leads nowhere: all PASIDs below it get what broken ones get.
static void to_refuge(struct function *f, unsigned index)
{
    struct vtd_unit *unit = f->unit;
    f->copied[index] = VTD_SILENT;
    f->planned[index] = vtd_pasid_dir_encode(dam_arena_pa(unit->iommu.pool, unit->refuge.pasids));
    unit->refuge.used = true;
}

static dam_err read_directory_entry(struct function *f, unsigned index)
{
    const struct iommu_unit *iommu = &f->unit->iommu;
    uint64_t raw = f->copied[index];
    struct vtd_pasid_dir entry = vtd_pasid_dir_decode(raw, iommu->host_address_width);
    f->copied[index] = f->planned[index] = VTD_SILENT;
    if (!entry.present)
        return DAM_OK;
    if (!entry.reserved && pt_known_table(iommu->old_memory, entry.table, entry.table))
        return read_pasids(f, index, entry.table);
    // One requester stands for all the PASIDs below.
    to_refuge(f, index);
    f->found.address = f->context.directory.v + index * sizeof(raw);
    f->found.index = (uint16_t)index;
    name_pasid(f, index * VTD_PASID_ENTRIES);
    f->found.binding = (struct iommu_binding){.scalable = true, .root = entry.table, .raw = {raw}};
    f->found.entry = f->unit->refuge.pasids;
    return f->sink->binding(f->sink->ctx, &f->found,
                            entry.reserved ? DAM_F_PASID_DIR_RESERVED : DAM_F_PASID_DIR_POINTER, raw);
}

static bool known(const struct iommu_unit *unit, dam_pa pa)
{
    return pt_known_table(unit->old_memory, pa, pa);
}

// Directories are made for all the PASIDs that a function could have, 128 KiB of them; what is in use is
// mostly the first page. Ours is as long as it has to be: beyond its end requests are refused as silently as
// before.
static dam_err shorten_directory(const struct iommu_unit *unit, struct vtd_sm_context *c)
{
    unsigned entries = vtd_directory_entries(c), used = 0;
    dam_err err = DAM_OK;
    for (unsigned i = 0; !err && i < entries; i += DIR_WORDS) {
        dam_pa page = dam_pa_of(c->directory.v + i * sizeof(uint64_t));
        if (!known(unit, page)) {
            used = i + DIR_WORDS;
            continue;
        }
        err = pt_read_table(unit->old_memory, page, unit->buffer);
        for (unsigned k = 0; !err && k < DIR_WORDS && i + k < entries; k++)
            used = dam_bits_get(unit->buffer[k], VTD_PASID_DIR_P) ? i + k + 1 : used;
    }
    while (c->pdts > 0 && used <= vtd_directory_entries(c) / 2)
        c->pdts--;
    return err;
}

// Reads the directory page by page, the PASID tables below each page before the next one.
static dam_err read_directory(struct function *f)
{
    struct iommu_unit *iommu = &f->unit->iommu;
    struct dam_arena *pool = iommu->pool;
    void *copied, *planned;
    uint64_t before = dam_arena_used(pool), share = (pool->size - before) / SHARE;
    dam_err err = shorten_directory(iommu, &f->context);
    unsigned entries = vtd_directory_entries(&f->context);
    size_t pages = (entries + DIR_WORDS - 1) / DIR_WORDS;
    if (!err)
        err = dam_arena_pages(pool, pages, &copied);
    if (!err)
        err = dam_arena_pages(pool, pages, &planned);
    if (err)
        return err;
    f->copied = copied;
    f->planned = planned;
    for (unsigned i = 0; !err && i < entries; i++) {
        dam_pa page = dam_pa_of(f->context.directory.v + i * sizeof(uint64_t));
        bool begins = i % DIR_WORDS == 0;
        if (begins && !known(iommu, page)) {
            f->found.address = page.v;
            f->found.pasid = i * VTD_PASID_ENTRIES;
            f->sink->finding(f->sink->ctx, DAM_F_PASID_DIRECTORY, &f->found, f->context.directory.v);
            for (unsigned k = 0; k < DIR_WORDS; k++)
                to_refuge(f, i + k);
            i += DIR_WORDS - 1;
            continue;
        }
        if (begins)
            err = read_table(iommu, page, f->copied + i);
        if (!err)
            err = read_directory_entry(f, i);
        if (!err && dam_arena_used(pool) - before > share)
            err = DAM_E_NOMEM;
    }
    // A directory of less than a page: what follows it in that page is something else.
    for (size_t i = entries; !err && i < pages * DIR_WORDS; i++)
        f->copied[i] = 0;
    return err;
}

static dam_err quarantine_function(struct function *f, uint16_t code, uint64_t raw)
{
    f->unit->refuge.used = true;
    f->found.pasid = 0;
    return f->sink->binding(f->sink->ctx, &f->found, code, raw);
}

// Reads what the present context entry `entry` of the copied table leads to, and makes it an entry of ours.
static dam_err read_function(struct vtd_unit *unit, const struct iommu_sink *sink, struct iommu_found found,
                             uint64_t *entry)
{
    const struct iommu_unit *iommu = &unit->iommu;
    struct function f = {.unit = unit,
                         .sink = sink,
                         .context = vtd_sm_context_decode(entry, iommu->host_address_width),
                         .found = found};
    for (unsigned i = 0; i < VTD_SM_CTX_WORDS; i++)
        f.found.binding.raw[i] = entry[i];
    f.found.binding.root = f.context.directory;
    struct iommu_found context = f.found;
    uint64_t raw = entry[0];
    silence(entry, VTD_SM_CTX_WORDS);
    uint8_t flaws = vtd_sm_context_flaws(unit, &f.context);
    if (flaws) {
        unsigned word = vtd_first_word(flaws);
        f.found.address += word * sizeof(raw);
        return quarantine_function(&f, DAM_F_SM_CONTEXT, f.found.binding.raw[word]);
    }
    if (!known(iommu, f.context.directory))
        return quarantine_function(&f, DAM_F_PASID_DIRECTORY, raw);
    sink->mark(sink->ctx);
    dam_err err = read_directory(&f);
    bool late = dam_clock_us(iommu->ops) > iommu->old_memory->budget->deadline_us;
    if (err == DAM_E_NOMEM || (err == DAM_E_BUDGET && !late)) {
        sink->rewind(sink->ctx);
        f.found = context;
        return quarantine_function(&f, DAM_F_PASID_SHARE, raw);
    }
    if (err)
        return err;
    if (f.context.page_requests)
        sink->finding(sink->ctx, DAM_F_PAGE_REQUESTS, &context, raw);
    if (f.context.translated)
        sink->finding(sink->ctx, DAM_F_ATS_REFUSED, &context, raw);
    f.context.fpd = true;
    f.context.directory = dam_arena_pa(iommu->pool, f.copied);
    vtd_sm_context_encode(&f.context, entry);
    f.context.translated = f.context.page_requests = f.context.privileged = false;
    f.context.directory = dam_arena_pa(iommu->pool, f.planned);
    vtd_sm_context_encode(&f.context, found.entry);
    return DAM_OK;
}

dam_err vtd_read_scalable(struct vtd_unit *unit, const struct iommu_sink *sink, unsigned half, dam_pa table)
{
    dam_err err = vtd_make_refuge(unit, &unit->refuge);
    if (!err)
        err = vtd_read_context_table(unit, half, table);
    uint64_t *copied = unit->copied[half], *planned = unit->planned[half];
    for (unsigned i = 0; !err && i < VTD_SM_CTX_ENTRIES; i++) {
        uint64_t *entry = copied + i * VTD_SM_CTX_WORDS;
        struct iommu_found found = {
            .rid = (uint16_t)(half * VTD_SM_CTX_ENTRIES + i),
            .index = (uint16_t)i,
            .address = table.v + i * VTD_SM_CTX_WORDS * sizeof(uint64_t),
            .entry = planned + i * VTD_SM_CTX_WORDS,
        };
        if (dam_bits_get(entry[0], VTD_SM_CTX_P))
            err = read_function(unit, sink, found, entry);
        else
            silence(entry, VTD_SM_CTX_WORDS);
    }
    return err;
}

// SPDX-License-Identifier: MIT
#include "pgtable/audit.h"

#define LOW_MEMORY 0x100000u

static void report(struct pt_audit *a, uint16_t code, const struct pt_table *t, unsigned index)
{
    if (!a->findings)
        return;
    struct dam_finding f = a->about;
    f.code = code;
    f.level = (uint8_t)t->level;
    f.index = (uint16_t)index;
    f.address = t->pa.v + index * sizeof(uint64_t);
    f.raw = t->entries[index];
    f.iova = t->iova + index * pt_span(t->level);
    if (a->params->canonical && f.iova >= pt_span(a->params->levels) / 2)
        f.iova -= pt_span(a->params->levels);
    dam_finding_add(a->findings, &f);
}

// Takes a part out, and says why, once for each run of parts that follow one another: the first entry of it
// tells enough, and a tree that maps everything would tell of every page of the crash region.
static dam_err cut(struct pt_audit *a, uint16_t code, const struct pt_table *t, unsigned index, uint64_t iova,
                   uint64_t size)
{
    struct pt_cut *last = a->last_cut;
    // All of 64 bits (six levels) is no number of bytes: two cuts.
    if (last && last->iova + last->size == iova && last->size + size != 0) {
        last->size += size;
        if (code != a->last_code)
            report(a, code, t, index);
        a->last_code = code;
        return DAM_OK;
    }
    report(a, code, t, index);
    a->last_code = code;
    if (a->cut_count == PT_MAX_CUTS)
        return DAM_E_BROKEN;
    void *record;
    dam_err err = dam_arena_record(a->memory->pool, sizeof(*last), &record);
    if (err)
        return err;
    struct pt_cut *c = record;
    *c = (struct pt_cut){.iova = iova, .size = size};
    if (last)
        last->next = c;
    else
        a->cuts = c;
    a->last_cut = c;
    a->cut_count++;
    return DAM_OK;
}

static dam_err on_place(void *ctx, unsigned level, uint64_t **where)
{
    struct pt_audit *a = ctx;
    void *page;
    dam_err err = dam_arena_pages(a->memory->pool, 1, &page);
    if (err)
        return err;
    (void)level;
    *where = page;
    return DAM_OK;
}

static dam_err on_leaves(void *ctx, const struct pt_table *t, const struct pt_scan *scan, bool *each)
{
    struct pt_audit *a = ctx;
    *each = scan->watched || (a->window && (scan->readable || scan->writable) &&
                              dam_ranges_overlap(a->window, t->iova, pt_span(1)));
    if (!*each) {
        a->readable += t->r ? scan->readable : 0;
        a->writable += t->w ? scan->writable : 0;
    }
    return DAM_OK;
}

// Bytes of [start, end) that lie in the window.
static uint64_t in_window(const struct pt_audit *a, uint64_t start, uint64_t end)
{
    uint64_t bytes = 0;
    for (size_t i = 0; a->window && i < a->window->count; i++) {
        const struct dam_range *r = &a->window->at[i];
        uint64_t from = r->start > start ? r->start : start, to = r->end < end ? r->end : end;
        bytes += from < to ? to - from : 0;
    }
    return bytes;
}

static void count_collisions(struct pt_audit *a, uint64_t iova, uint64_t addr, uint64_t span)
{
    uint64_t bytes = iova == addr ? 0 : in_window(a, iova, iova + span);
    if (bytes && !a->collisions) {
        a->collision_iova = iova;
        a->collision_addr = addr;
    }
    a->collisions += bytes >> DAM_PAGE_SHIFT;
}

static dam_err on_leaf(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e)
{
    struct pt_audit *a = ctx;
    uint64_t span = pt_span(t->level), iova = t->iova + index * span;
    bool r = t->r && e->r, w = t->w && e->w;
    a->readable += r ? span >> DAM_PAGE_SHIFT : 0;
    a->writable += w ? span >> DAM_PAGE_SHIFT : 0;
    if (!r && !w)
        return DAM_OK;
    if (!a->windowed)
        count_collisions(a, iova, e->addr, span);
    for (uint64_t at = e->addr, end = e->addr + span; at < end;) {
        const struct dam_range *k = dam_ranges_find(a->keep_out, at, end - at);
        if (!k)
            break;
        uint64_t from = k->start > at ? dam_align_down(k->start, DAM_PAGE_SIZE) : at;
        uint64_t to = k->end < end ? dam_align_up(k->end, DAM_PAGE_SIZE) : end;
        if (a->windowed && iova == e->addr && in_window(a, from, to) == to - from) {
            at = to;
            continue;
        }
        a->cut_readable += r ? (to - from) >> DAM_PAGE_SHIFT : 0;
        a->cut_writable += w ? (to - from) >> DAM_PAGE_SHIFT : 0;
        // Linux maps the first 16 MiB one to one for the ISA bridge: ordinary, and no error of the old
        // kernel.
        uint16_t code = to <= LOW_MEMORY ? DAM_F_PT_LOW_MEMORY : DAM_F_PT_KEEP_OUT;
        dam_err err = cut(a, code, t, index, iova + (from - e->addr), to - from);
        if (err)
            return err;
        at = to;
    }
    return DAM_OK;
}

static dam_err on_child(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e,
                        const uint64_t *where)
{
    struct pt_audit *a = ctx;
    struct pt_entry ours = *e;
    ours.addr = dam_arena_pa(a->memory->pool, where).v;
    t->entries[index] = a->format->encode(a->params, &ours, t->level);
    return DAM_OK;
}

// First-stage tables lead on to what is a supervisor's alone: a copy shall not.
static void on_empty(void *ctx, const struct pt_table *t, unsigned index)
{
    (void)ctx;
    t->entries[index] = 0;
}

uint16_t pt_bad_finding(enum pt_bad why)
{
    switch (why) {
    case PT_BAD_POINTER:
        return DAM_F_PT_POINTER;
    case PT_BAD_RUN:
        return DAM_F_PT_RUN;
    case PT_BAD_RESERVED:
        break;
    }
    return DAM_F_PT_RESERVED;
}

static dam_err on_bad(void *ctx, const struct pt_table *t, unsigned index, enum pt_bad why)
{
    struct pt_audit *a = ctx;
    dam_err err =
        cut(a, pt_bad_finding(why), t, index, t->iova + index * pt_span(t->level), pt_span(t->level));
    if (a->copy && why == PT_BAD_POINTER) // a copy leads to copies alone
        t->entries[index] = 0;
    return err;
}

dam_err pt_audit(struct pt_audit *audit, dam_pa root)
{
    struct pt_visitor visitor = {.ctx = audit};
    visitor.leaves = on_leaves;
    visitor.leaf = on_leaf;
    visitor.bad = on_bad;
    if (audit->copy) {
        visitor.place = on_place;
        visitor.child = on_child;
        visitor.empty = on_empty;
    }
    struct pt_walk walk = {
        .format = audit->format,
        .params = audit->params,
        .memory = audit->memory,
        .visitor = &visitor,
        .watch = audit->keep_out,
        .without_r = audit->without_r,
        .without_w = audit->without_w,
        .buffers = audit->buffers,
    };
    if (audit->copy) {
        audit->copied_from = audit->memory->pool->low;
        audit->copied_root = dam_pa_of(audit->memory->pool->pa.v + audit->copied_from);
    }
    dam_err err = pt_walk(&walk, root);
    audit->tables = walk.tables;
    audit->unmarked = walk.unmarked;
    return err;
}

dam_err pt_translate(const struct pt_format *format, const struct pt_params *params,
                     const struct pt_memory *memory, dam_pa root, uint64_t iova, struct pt_entry *out)
{
    if (iova > pt_last(params->levels))
        return DAM_E_RANGE;
    uint64_t table[PT_ENTRIES];
    bool r = true, w = true;
    dam_pa pa = root, from = root;
    for (unsigned level = params->levels - 1u;; level--) {
        dam_err err = pt_known_table(memory, from, pa) ? pt_read_table(memory, pa, table) : DAM_E_RANGE;
        if (err)
            return err;
        struct pt_entry e = format->decode(params, table[pt_index(iova, level)], level);
        if (e.kind == PT_BAD)
            return DAM_E_BROKEN;
        r = r && e.r;
        w = w && e.w;
        if (e.kind == PT_EMPTY || (!r && !w))
            return DAM_E_ABSENT;
        if (e.kind == PT_LEAF) {
            // A run has the span that the entry says, whatever the others of it say: so the hardware does.
            uint64_t offset = iova % (pt_span(level) << e.run);
            *out = (struct pt_entry){.kind = PT_LEAF, .r = r, .w = w, .addr = e.addr + offset};
            return DAM_OK;
        }
        if (e.skip >= level)
            return DAM_E_BROKEN;
        if (iova % pt_span(level) >= pt_span(level - e.skip))
            return DAM_E_ABSENT; // the levels left out must have index bits of 0
        level -= e.skip;
        from = pa;
        pa = dam_pa_of(e.addr);
    }
}

// SPDX-License-Identifier: MIT
// A tree as ranges: neighbours that go on are put together before anybody sees them.
#include <stdlib.h>

#include "inspect/model_own.h"

struct walker {
    struct inspection *in;
    const struct inspect_tree *tree;
    const struct inspect_visitor *visitor;
    struct inspect_range pending; // size 0: none
    uint64_t end;                 // of what was looked at, without sign
    bool whole;                   // that is all
};

static void looked_at(struct walker *w, uint64_t iova, uint64_t size)
{
    w->end = iova + size;
    w->whole = iova + (size - 1) == pt_last(w->tree->params.levels);
}

static dam_err flush(struct walker *w)
{
    struct inspect_range r = w->pending;
    w->pending.size = 0;
    if (r.size == 0)
        return DAM_OK;
    w->in->incomplete |= r.kind == INSPECT_UNKNOWN;
    return w->visitor->range(w->visitor->ctx, &r);
}

// iova without its sign.
static dam_err add(struct walker *w, enum inspect_kind kind, uint64_t iova, uint64_t size, uint64_t addr,
                   bool r, bool w_)
{
    struct inspect_range *p = &w->pending;
    struct inspect_range range = {kind, inspect_signed(&w->tree->params, iova), size, addr, r, w_};
    bool fits = p->size && size <= UINT64_MAX - p->size; // all of 64 bits are two ranges
    if (fits && p->kind == kind && p->iova + p->size == range.iova && p->r == r && p->w == w_ &&
        (kind != INSPECT_MAPPED || p->addr + p->size == addr)) {
        p->size += size;
        return DAM_OK;
    }
    dam_err err = flush(w);
    *p = range;
    return err;
}

// A part that is not known, up to `last`. One that spans the middle of signed addresses is two, and so is one
// of 64 bits.
static dam_err add_unknown(struct walker *w, uint64_t iova, uint64_t last)
{
    uint64_t half = pt_last(w->tree->params.levels) / 2 + 1;
    bool two = w->tree->params.canonical || last - iova == UINT64_MAX;
    dam_err err = DAM_OK;
    if (two && iova < half && last >= half) {
        err = add(w, INSPECT_UNKNOWN, iova, half - iova, 0, false, false);
        iova = half;
    }
    return err ? err : add(w, INSPECT_UNKNOWN, iova, last - iova + 1, 0, false, false);
}

// A mapping, or of it what leads into the watched memory.
static dam_err add_mapping(struct walker *w, uint64_t iova, uint64_t size, uint64_t addr, bool r, bool w_)
{
    const struct dam_ranges *watch = w->visitor->watch;
    if (!r && !w_)
        return DAM_OK;
    if (watch == NULL)
        return add(w, INSPECT_MAPPED, iova, size, addr, r, w_);
    dam_err err = DAM_OK;
    for (uint64_t at = addr, end = addr + size; !err && at < end;) {
        const struct dam_range *k = dam_ranges_find(watch, at, end - at);
        if (k == NULL)
            break;
        uint64_t from = k->start > at ? k->start : at, to = k->end < end ? k->end : end;
        err = add(w, INSPECT_MAPPED, iova + (from - addr), to - from, from, r, w_);
        at = to;
    }
    return err;
}

static dam_err on_leaves(void *ctx, const struct pt_table *t, const struct pt_scan *scan, bool *each)
{
    struct walker *w = ctx;
    const struct inspect_rights left = inspect_rights(w->tree, t, NULL);
    looked_at(w, t->iova, pt_span(1));
    *each = scan->mapped && (left.r || left.w) && (w->visitor->watch == NULL || scan->watched);
    return DAM_OK;
}

static dam_err on_leaf(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e)
{
    struct walker *w = ctx;
    uint64_t span = pt_span(t->level), iova = t->iova + index * span;
    const struct inspect_rights left = inspect_rights(w->tree, t, e);
    looked_at(w, iova, span);
    return add_mapping(w, iova, span, e->addr, left.r, left.w);
}

static dam_err on_bad(void *ctx, const struct pt_table *t, unsigned index, enum pt_bad why)
{
    struct walker *w = ctx;
    uint64_t span = pt_span(t->level), iova = t->iova + index * span;
    struct pt_entry e = w->tree->format.decode(&w->tree->params, t->entries[index], t->level);
    looked_at(w, iova, span);
    // Watching means asking who reaches: nobody does through what is broken. Where no rights are left nobody
    // does in any case.
    const struct inspect_rights left = inspect_rights(w->tree, t, why == PT_BAD_POINTER ? &e : NULL);
    bool tell = w->visitor->watch == NULL && (left.r || left.w);
    return tell ? add(w, INSPECT_BROKEN, iova, span, 0, false, false) : DAM_OK;
}

static dam_err on_absent(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e)
{
    struct walker *w = ctx;
    const struct inspect_rights left = inspect_rights(w->tree, t, e);
    uint64_t iova = 0, last = pt_last(w->tree->params.levels);
    if (t != NULL) {
        iova = t->iova + index * pt_span(t->level);
        last = iova + (pt_span(t->level - e->skip) - 1); // what it leaves out is not mapped
        looked_at(w, iova, pt_span(t->level));
    }
    return left.r || left.w ? add_unknown(w, iova, last) : DAM_OK;
}

static dam_err walk_tables(struct walker *w)
{
    struct dam_range none[1];
    const struct dam_ranges nothing = {none, 0, 1};
    const struct pt_visitor visitor = {
        .ctx = w, .leaves = on_leaves, .leaf = on_leaf, .bad = on_bad, .absent = on_absent};
    struct inspect_reading *reading = inspect_begin_reading(w->in);
    if (reading == NULL)
        return DAM_E_NOMEM;
    struct pt_walk walk = {
        .format = &w->tree->format,
        .params = &w->tree->params,
        .memory = &reading->memory,
        .visitor = &visitor,
        .watch = w->visitor->watch != NULL ? w->visitor->watch : &nothing,
        .buffers = reading->buffers,
    };
    dam_err err = pt_walk(&walk, w->tree->root);
    // More tables than the dump has pages: what comes behind is not looked at.
    if (err == DAM_E_BUDGET)
        err = w->whole ? DAM_OK : add_unknown(w, w->end, pt_last(w->tree->params.levels));
    free(reading);
    return err;
}

static dam_err walk_identity(struct walker *w)
{
    const struct dam_ranges *ram = memory_ram(w->in->memory);
    uint64_t width = inspect_width(&w->tree->params);
    dam_err err = DAM_OK;
    for (size_t i = 0; !err && i < ram->count && ram->at[i].start < width; i++) {
        uint64_t start = ram->at[i].start, end = ram->at[i].end < width ? ram->at[i].end : width;
        err = add_mapping(w, start, end - start, start, w->tree->r, w->tree->w);
    }
    return err;
}

dam_err inspect_walk(struct inspection *in, const struct inspect_tree *tree,
                     const struct inspect_visitor *visitor)
{
    struct walker w = {.in = in, .tree = tree, .visitor = visitor};
    dam_err err = tree->stage == DAM_STAGE_PASSTHROUGH ? walk_identity(&w) : walk_tables(&w);
    return err ? err : flush(&w);
}

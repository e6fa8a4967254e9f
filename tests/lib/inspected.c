// SPDX-License-Identifier: MIT
#include "lib/inspected.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void wrong(struct inspected *i, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void wrong(struct inspected *i, const char *format, ...)
{
    va_list arguments;
    if (i->wrong[0])
        return;
    va_start(arguments, format);
    vsnprintf(i->wrong, sizeof i->wrong, format, arguments);
    va_end(arguments);
}

static bool goes_on(const struct inspect_range *a, const struct inspect_range *b)
{
    return a->iova + a->size == b->iova && b->iova && a->size + b->size > a->size && a->kind == b->kind &&
           a->r == b->r && a->w == b->w && (a->kind != INSPECT_MAPPED || a->addr + a->size == b->addr);
}

static dam_err keep(void *ctx, const struct inspect_range *r)
{
    struct inspected *i = ctx;
    if (i->count == INSPECTED_RANGES || r->size == 0)
        abort();
    if (i->count) {
        const struct inspect_range *last = &i->ranges[i->count - 1];
        if (last->iova + (last->size - 1) >= r->iova || goes_on(last, r))
            wrong(i, "ranges at %llx and %llx", (unsigned long long)last->iova, (unsigned long long)r->iova);
    }
    i->ranges[i->count++] = *r;
    return DAM_OK;
}

void inspected_walk(struct inspected *i, const struct inspect_tree *tree, const struct dam_ranges *watch)
{
    const struct inspect_visitor visitor = {.ctx = i, .range = keep, .watch = watch};
    i->count = 0;
    if (inspect_walk(&i->in, tree, &visitor))
        wrong(i, "a walk fails");
}

struct said inspected_way(struct inspected *i, const struct inspect_tree *tree, uint64_t iova, bool write)
{
    struct inspect_way way;
    if (inspect_follow(&i->in, tree, iova, &way))
        wrong(i, "a way fails");
    if (way.end == WAY_MAPPED && !(write ? way.w : way.r))
        way.end = WAY_NOT_MAPPED;
    return (struct said){way.end, way.addr};
}

struct said inspected_range(const struct inspected *i, uint64_t iova, bool write)
{
    const struct inspect_range *r = NULL;
    for (size_t n = 0; n < i->count && !r; n++)
        if (iova >= i->ranges[n].iova && iova - i->ranges[n].iova < i->ranges[n].size)
            r = &i->ranges[n];
    if (!r || (r->kind == INSPECT_MAPPED && !(write ? r->w : r->r)))
        return (struct said){WAY_NOT_MAPPED, 0};
    enum inspect_way_end end = r->kind == INSPECT_MAPPED    ? WAY_MAPPED
                               : r->kind == INSPECT_UNKNOWN ? WAY_UNKNOWN
                                                            : WAY_BROKEN;
    return (struct said){end, r->addr + (iova - r->iova)};
}

void inspected_totals(struct inspected *i)
{
    for (size_t t = 0; t < i->in.tree_count; t++) {
        const struct inspect_tree *tree = i->in.trees[t];
        uint64_t r = 0, w = 0, unknown = 0;
        inspected_walk(i, tree, NULL);
        for (size_t n = 0; n < i->count; n++) {
            inspect_sum(&r, i->ranges[n].r ? i->ranges[n].size : 0);
            inspect_sum(&w, i->ranges[n].w ? i->ranges[n].size : 0);
            inspect_sum(&unknown, i->ranges[n].kind == INSPECT_UNKNOWN ? i->ranges[n].size : 0);
        }
        if (tree->readable != r || tree->writable != w || tree->unknown_bytes != unknown)
            wrong(i, "tree %zu: %llx %llx %llx", t, (unsigned long long)tree->readable,
                  (unsigned long long)tree->writable, (unsigned long long)tree->unknown_bytes);
    }
}

// The part of a range that leads into the watched memory; size 0: none.
static struct inspect_range part_of(const struct inspect_range *r, const struct dam_range *watched)
{
    struct inspect_range part = *r;
    uint64_t from = r->addr > watched->start ? r->addr : watched->start, to = r->addr + r->size;
    to = to < watched->end ? to : watched->end;
    part.size = from < to ? to - from : 0;
    part.iova += from - r->addr;
    part.addr = from;
    return part;
}

void inspected_watching(struct inspected *i, const struct dam_range watched[2])
{
    static struct inspect_range all[INSPECTED_RANGES];
    struct dam_range storage[2];
    struct dam_ranges watch;
    dam_ranges_init(&watch, storage, 2);
    if (dam_ranges_add(&watch, watched[0].start, watched[0].end) ||
        dam_ranges_add(&watch, watched[1].start, watched[1].end))
        abort();
    for (size_t t = 0; t < i->in.tree_count; t++) {
        size_t count = 0;
        inspected_walk(i, i->in.trees[t], NULL);
        for (size_t n = 0; n < i->count; n++) {
            const struct inspect_range *r = &i->ranges[n];
            for (size_t k = 0; r->kind == INSPECT_MAPPED && k < watch.count; k++) {
                all[count] = part_of(r, &watch.at[k]);
                count += all[count].size != 0;
            }
            if (r->kind == INSPECT_UNKNOWN)
                all[count++] = *r;
        }
        inspected_walk(i, i->in.trees[t], &watch);
        if (count != i->count || (count && memcmp(all, i->ranges, count * sizeof all[0]) != 0))
            wrong(i, "tree %zu: %zu ranges watched, not %zu", t, i->count, count);
    }
}

bool inspected_odd(const struct inspected *i)
{
    for (size_t n = 0; n < i->in.finding_count; n++) {
        const struct dam_finding *f = &i->in.findings[n];
        if (f->severity >= DAM_WARN && f->code != DAM_F_PT_KEEP_OUT && f->code != DAM_F_DID_SHARED)
            return true;
    }
    return false;
}

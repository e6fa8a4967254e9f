// SPDX-License-Identifier: MIT
#include "inspect/diff_trees.h"

#include <stdlib.h>

// Ranges of a tree that are kept at a time: 2 × 2.5 MiB. A tree with more is walked again for each next lot.
#define LOT 65536u

// Ranges of one tree from `from` on, as many as a lot holds.
struct lot {
    struct inspection *inspection;
    const struct inspect_tree *tree;
    struct inspect_range *at;
    size_t count, next;
    uint64_t from;
    bool full, ended; // ended: there are no ranges behind those of the lot
};

// IOVAs of the upper half come last, as unsigned numbers: their order is that of the walk.
static dam_err collect(void *ctx, const struct inspect_range *range)
{
    struct lot *lot = ctx;
    struct inspect_range r = *range;
    if (r.iova + (r.size - 1) < lot->from)
        return DAM_OK;
    if (r.iova < lot->from) {
        r.addr += lot->from - r.iova;
        r.size -= lot->from - r.iova;
        r.iova = lot->from;
    }
    if (lot->count == LOT) {
        lot->full = true;
        return DAM_E_BUDGET;
    }
    lot->at[lot->count++] = r;
    return DAM_OK;
}

static dam_err fill(struct lot *lot)
{
    lot->count = lot->next = 0;
    lot->full = false;
    if (lot->ended || lot->tree == NULL) {
        lot->ended = true;
        return DAM_OK;
    }
    struct inspect_visitor visitor = {.ctx = lot, .range = collect};
    dam_err err = inspect_walk(lot->inspection, lot->tree, &visitor);
    if (err == DAM_E_BUDGET && lot->full)
        return DAM_OK;
    lot->ended = true;
    return err;
}

// The range that is in turn, or NULL at the end.
static dam_err current(struct lot *lot, struct inspect_range **out)
{
    dam_err err = DAM_OK;
    if (lot->next == lot->count && !lot->ended)
        err = fill(lot);
    *out = err == DAM_OK && lot->next < lot->count ? &lot->at[lot->next] : NULL;
    return err;
}

// Takes size bytes off the front of the range in turn.
static void advance(struct lot *lot, uint64_t size)
{
    struct inspect_range *r = &lot->at[lot->next];
    lot->from = r->iova + size;
    r->iova += size;
    r->addr += size;
    r->size -= size;
    lot->next += r->size == 0;
}

struct diff {
    struct diff_range pending; // grows while the next one goes on with it
    bool has_pending;
    uint64_t *unknown;
    dam_err (*each)(void *ctx, const struct diff_range *range);
    void *ctx;
};

static dam_err flush(struct diff *d)
{
    bool had = d->has_pending;
    d->has_pending = false;
    return had ? d->each(d->ctx, &d->pending) : DAM_OK;
}

// Nothing mapped, as a range.
static const struct inspect_range nothing = {.kind = INSPECT_MAPPED};

static bool is_nothing(const struct inspect_range *r)
{
    return r->kind == INSPECT_MAPPED && r->size == 0;
}

static bool side_goes_on(const struct inspect_range *before, uint64_t size, const struct inspect_range *next)
{
    if (is_nothing(before) || is_nothing(next))
        return is_nothing(before) && is_nothing(next);
    return before->kind == next->kind && before->r == next->r && before->w == next->w &&
           (before->kind != INSPECT_MAPPED || before->addr + size == next->addr);
}

static dam_err tell(struct diff *d, const struct diff_range *range)
{
    struct diff_range *p = &d->pending;
    if (d->has_pending && p->kind == range->kind && p->iova + p->size == range->iova &&
        side_goes_on(&p->a, p->size, &range->a) && side_goes_on(&p->b, p->size, &range->b)) {
        p->size += range->size;
        return DAM_OK;
    }
    dam_err err = flush(d);
    d->pending = *range;
    d->has_pending = true;
    return err;
}

static dam_err compare(struct diff *d, const struct inspect_range *a, const struct inspect_range *b,
                       uint64_t iova, uint64_t size)
{
    struct diff_range out = {.iova = iova, .size = size, .a = a ? *a : nothing, .b = b ? *b : nothing};
    bool broken_a = a && a->kind == INSPECT_BROKEN, broken_b = b && b->kind == INSPECT_BROKEN;
    if ((a && a->kind == INSPECT_UNKNOWN) || (b && b->kind == INSPECT_UNKNOWN)) {
        *d->unknown += size;
        return DAM_OK;
    }
    if (broken_a || broken_b) {
        if (broken_a && broken_b)
            return DAM_OK;
        out.kind = broken_b ? DIFF_BREAKS : DIFF_MENDED;
    } else if (a == NULL || b == NULL) {
        out.kind = a == NULL ? DIFF_APPEARS : DIFF_DISAPPEARS;
    } else if (a->addr != b->addr) {
        out.kind = DIFF_MOVES;
    } else if (a->r != b->r || a->w != b->w) {
        out.kind = DIFF_RIGHTS;
    } else {
        return DAM_OK;
    }
    return tell(d, &out);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// The next piece of IOVAs on which neither side changes. *more: there was one.
static dam_err step(struct diff *d, struct lot *la, struct lot *lb, bool *more)
{
    struct inspect_range *a, *b;
    dam_err err = current(la, &a);
    if (err == DAM_OK)
        err = current(lb, &b);
    *more = err == DAM_OK && (a != NULL || b != NULL);
    if (!*more)
        return err;
    uint64_t size;
    if (b == NULL || (a != NULL && a->iova < b->iova)) {
        size = b == NULL ? a->size : least(a->size, b->iova - a->iova);
        err = compare(d, a, NULL, a->iova, size);
        advance(la, size);
    } else if (a == NULL || b->iova < a->iova) {
        size = a == NULL ? b->size : least(b->size, a->iova - b->iova);
        err = compare(d, NULL, b, b->iova, size);
        advance(lb, size);
    } else {
        size = least(a->size, b->size);
        err = compare(d, a, b, a->iova, size);
        advance(la, size);
        advance(lb, size);
    }
    return err;
}

dam_err diff_trees(struct inspection *a, const struct inspect_tree *tree_a, struct inspection *b,
                   const struct inspect_tree *tree_b, uint64_t *unknown,
                   dam_err (*each)(void *ctx, const struct diff_range *range), void *ctx)
{
    struct lot la = {.inspection = a, .tree = tree_a}, lb = {.inspection = b, .tree = tree_b};
    struct diff d = {.unknown = unknown, .each = each, .ctx = ctx};
    la.at = malloc(LOT * sizeof *la.at);
    lb.at = malloc(LOT * sizeof *lb.at);
    dam_err err = la.at != NULL && lb.at != NULL ? DAM_OK : DAM_E_NOMEM;
    bool more = err == DAM_OK;
    while (more && err == DAM_OK)
        err = step(&d, &la, &lb, &more);
    if (err == DAM_OK)
        err = flush(&d);
    free(la.at);
    free(lb.at);
    return err;
}

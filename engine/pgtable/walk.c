// SPDX-License-Identifier: MIT
#include "pgtable/pt.h"

#include <string.h>

// The clock is read once for so many tables: reading it costs about as much as a table does.
#define CLOCK_EVERY 64u

static dam_err spend(const struct pt_memory *mem)
{
    struct pt_budget *b = mem->budget;
    if (!b)
        return DAM_OK;
    if (b->tables == 0)
        return DAM_E_BUDGET;
    b->tables--;
    if (b->tables % CLOCK_EVERY == 0 && dam_clock_us(mem->ops) > b->deadline_us)
        return DAM_E_BUDGET;
    return DAM_OK;
}

static const void *in_pool(const struct pt_memory *mem, dam_pa pa)
{
    return mem->ours && mem->pool ? dam_arena_ptr(mem->pool, pa) : NULL;
}

bool pt_known_table(const struct pt_memory *mem, dam_pa from, dam_pa pa)
{
    if (pa.v % DAM_PAGE_SIZE)
        return false;
    if (in_pool(mem, pa))
        return in_pool(mem, from) && pa.v - mem->pool->pa.v + DAM_PAGE_SIZE <= mem->pool->low;
    return dam_ranges_contain(mem->old_ram, pa.v, DAM_PAGE_SIZE);
}

dam_err pt_read_table(const struct pt_memory *mem, dam_pa pa, uint64_t *entries)
{
    const void *own = in_pool(mem, pa);
    if (own) {
        memcpy(entries, own, DAM_PAGE_SIZE);
        return DAM_OK;
    }
    dam_err err = spend(mem);
    return err ? err : dam_mem_read(mem->ops, pa, entries, DAM_PAGE_SIZE);
}

// Reads the table at pa to where the visitor wants it.
static dam_err read_placed(struct pt_walk *walk, dam_pa pa, unsigned level, uint64_t **entries)
{
    const struct pt_visitor *v = walk->visitor;
    if (v->place) {
        dam_err err = v->place(v->ctx, level, entries);
        if (err)
            return err;
    } else {
        *entries = walk->buffers + (size_t)level * PT_ENTRIES;
    }
    dam_err err = pt_read_table(walk->memory, pa, *entries);
    if (!err)
        walk->tables++;
    return err;
}

// Takes the entry's own part of a page of several entries. False: they are not all alike.
static bool take_part(const struct pt_walk *walk, const struct pt_table *t, unsigned index,
                      struct pt_entry *e)
{
    unsigned entries = 1u << e->run, part = index % entries;
    for (unsigned i = index - part; i < index - part + entries; i++) {
        if (t->entries[i] == t->entries[index])
            continue;
        struct pt_entry other = walk->format->decode(walk->params, t->entries[i], t->level);
        if (other.kind != PT_LEAF || other.run != e->run || other.addr != e->addr || other.r != e->r ||
            other.w != e->w)
            return false;
    }
    e->addr += part * pt_span(t->level);
    return true;
}

static dam_err visit_leaf(struct pt_walk *walk, const struct pt_table *t, unsigned index, struct pt_entry *e)
{
    const struct pt_visitor *v = walk->visitor;
    if (e->run && !take_part(walk, t, index, e))
        return v->bad(v->ctx, t, index, PT_BAD_RUN);
    return v->leaf(v->ctx, t, index, e);
}

static dam_err visit_leaf_table(struct pt_walk *walk, const struct pt_table *t)
{
    const struct pt_visitor *v = walk->visitor;
    struct pt_scan scan;
    walk->format->scan(walk->params, t->entries, walk->watch, &scan);
    walk->unmarked |= scan.unmarked;
    bool each = true;
    if (!scan.bad) {
        each = false;
        dam_err err = v->leaves(v->ctx, t, &scan, &each);
        if (err)
            return err;
    }
    for (unsigned i = 0; each && i < PT_ENTRIES; i++) {
        struct pt_entry e = walk->format->decode(walk->params, t->entries[i], 0);
        dam_err err = e.kind == PT_LEAF  ? visit_leaf(walk, t, i, &e)
                      : e.kind == PT_BAD ? v->bad(v->ctx, t, i, PT_BAD_RESERVED)
                                         : DAM_OK;
        if (err)
            return err;
    }
    return DAM_OK;
}

// Looks at entry `index` of the table t = &stack[*level], above the leaf level. When a child table was read
// and is to be visited next, it is put into the stack, and *level is its level.
static dam_err visit_entry(struct pt_walk *walk, struct pt_table *stack, unsigned index, unsigned *level)
{
    const struct pt_visitor *v = walk->visitor;
    const struct pt_table *t = &stack[*level];
    struct pt_entry e = walk->format->decode(walk->params, t->entries[index], t->level);
    if (t->level + 1u < walk->params->levels)
        walk->unmarked |= walk->format->unmarked(t->entries[index], t->level);
    switch (e.kind) {
    case PT_EMPTY:
        if (v->empty && t->entries[index])
            v->empty(v->ctx, t, index);
        return DAM_OK;
    case PT_BAD:
        return v->bad(v->ctx, t, index, PT_BAD_RESERVED);
    case PT_LEAF:
        return visit_leaf(walk, t, index, &e);
    case PT_TABLE:
        break;
    }
    if (e.skip >= t->level) // down it goes, whatever a format says
        return v->bad(v->ctx, t, index, PT_BAD_RESERVED);
    struct pt_table *child = &stack[t->level - 1 - e.skip];
    *child = (struct pt_table){
        .level = t->level - 1 - e.skip,
        .pa = dam_pa_of(e.addr),
        .iova = t->iova + index * pt_span(t->level),
        .r = t->r && e.r,
        .w = t->w && e.w,
    };
    if (!pt_known_table(walk->memory, t->pa, child->pa))
        return v->bad(v->ctx, t, index, PT_BAD_POINTER);
    dam_err err = read_placed(walk, child->pa, child->level, &child->entries);
    if (err == DAM_E_ABSENT && v->absent)
        return v->absent(v->ctx, t, index, &e);
    if (!err && v->child)
        err = v->child(v->ctx, t, index, &e, child->entries);
    if (!err)
        *level = child->level;
    return err;
}

dam_err pt_walk(struct pt_walk *walk, dam_pa root)
{
    struct pt_table stack[PT_MAX_LEVELS];
    unsigned next[PT_MAX_LEVELS], up[PT_MAX_LEVELS]; // up: the level of the table that led here
    unsigned top = walk->params->levels - 1u, level = top;
    stack[top] = (struct pt_table){.level = top, .pa = root, .r = !walk->without_r, .w = !walk->without_w};
    next[top] = 0;
    if (!pt_known_table(walk->memory, root, root))
        return DAM_E_RANGE;
    dam_err err = read_placed(walk, root, top, &stack[top].entries);
    if (err == DAM_E_ABSENT && walk->visitor->absent)
        return walk->visitor->absent(walk->visitor->ctx, NULL, 0, NULL);
    while (!err) {
        if (level == 0) {
            err = visit_leaf_table(walk, &stack[0]);
            if (top == 0)
                break;
            level = up[0];
        } else if (next[level] == pt_reach(level)) {
            if (level == top)
                break;
            level = up[level];
        } else {
            unsigned from = level;
            err = visit_entry(walk, stack, next[level]++, &level);
            if (level != from) {
                up[level] = from;
                next[level] = 0;
            }
        }
    }
    return err;
}

// SPDX-License-Identifier: MIT
#include "pgtable/pt.h"

#include <string.h>

static bool owned(const struct pt_tree *tree, dam_pa pa)
{
    const struct dam_arena *pool = tree->memory->pool;
    return dam_arena_ptr(pool, pa) && pa.v - pool->pa.v >= tree->own_from;
}

// Puts what `through` restricts upon every entry of a copy of the table at `from`, and empties those that the
// hardware would refuse anyway or that lead where no table may lie: a copy of ours never leads anywhere
// unknown, even if the old table changed since it was audited.
static void push_down(const struct pt_tree *tree, dam_pa from, uint64_t *entries, unsigned level,
                      const struct pt_entry *through)
{
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        struct pt_entry e = tree->format->decode(&tree->params, entries[i], level);
        bool keep = e.kind == PT_LEAF ||
                    (e.kind == PT_TABLE && pt_known_table(tree->memory, from, dam_pa_of(e.addr)));
        entries[i] = keep ? tree->format->restrict_to(entries[i], through) : 0;
    }
}

static dam_err new_table(const struct pt_tree *tree, uint64_t **entries, dam_pa *pa)
{
    void *page;
    dam_err err = dam_arena_pages(tree->memory->pool, 1, &page);
    if (err)
        return err;
    *entries = page;
    *pa = dam_arena_pa(tree->memory->pool, page);
    return DAM_OK;
}

static dam_err copy_table(const struct pt_tree *tree, dam_pa from, unsigned level,
                          const struct pt_entry *through, uint64_t **entries, dam_pa *pa)
{
    dam_err err = new_table(tree, entries, pa);
    if (!err)
        err = pt_read_table(tree->memory, from, *entries);
    if (!err)
        push_down(tree, from, *entries, level, through);
    return err;
}

dam_err pt_tree_new(struct pt_tree *tree)
{
    uint64_t *entries;
    tree->own_from = tree->memory->pool->low;
    return new_table(tree, &entries, &tree->root);
}

dam_err pt_tree_share(struct pt_tree *tree, dam_pa old_root, bool r, bool w)
{
    uint64_t *entries;
    tree->own_from = tree->memory->pool->low;
    if (!pt_known_table(tree->memory, old_root, old_root))
        return DAM_E_RANGE;
    struct pt_entry through = {.kind = PT_TABLE, .r = r, .w = w};
    return copy_table(tree, old_root, tree->params.levels - 1u, &through, &entries, &tree->root);
}

// A new table that maps what the leaf `raw` of `level` ≥ 1 maps, in leaves one level lower.
static dam_err split_leaf(const struct pt_tree *tree, uint64_t raw, unsigned level, uint64_t **child,
                          dam_pa *pa)
{
    if (level > 1 && !(tree->params.large >> (level - 1) & 1))
        return DAM_E_UNSUPPORTED;
    dam_err err = new_table(tree, child, pa);
    for (unsigned i = 0; !err && i < PT_ENTRIES; i++)
        (*child)[i] = tree->format->split(&tree->params, raw, level, i);
    return err;
}

static uint64_t encode_table(const struct pt_tree *tree, dam_pa pa, unsigned level)
{
    const struct pt_entry e = {.kind = PT_TABLE, .r = true, .w = true, .addr = pa.v};
    return tree->format->encode(&tree->params, &e, level);
}

// Makes entries of their own of all that are parts of runs. Else the hardware might find the size of the page
// in a part of it that is still there, and with it what another part mapped before it was changed.
static dam_err break_runs(const struct pt_tree *tree, uint64_t *table, unsigned level)
{
    const struct pt_format *f = tree->format;
    dam_err err = DAM_OK;
    for (unsigned i = 0; !err && i < PT_ENTRIES; i++) {
        struct pt_entry e = f->decode(&tree->params, table[i], level);
        uint64_t *child;
        dam_pa pa;
        if (e.kind != PT_LEAF || !e.run)
            continue;
        uint64_t raw = f->single(&tree->params, table[i], level, i % (1u << e.run));
        if (level == 0 || (tree->params.large >> level & 1)) {
            table[i] = raw;
            continue;
        }
        err = split_leaf(tree, raw, level, &child, &pa);
        if (!err)
            table[i] = encode_table(tree, pa, level);
    }
    return err;
}

// Makes *slot, an entry of `level` ≥ 1, lead to a table of this tree's own with nothing restricted on the
// way, and returns that table.
static dam_err descend(const struct pt_tree *tree, uint64_t *slot, unsigned level, uint64_t **child)
{
    const struct pt_format *f = tree->format;
    struct pt_entry e = f->decode(&tree->params, *slot, level);
    dam_pa pa = dam_pa_of(e.addr);
    dam_err err = DAM_OK;
    if (e.kind == PT_TABLE && e.skip) { // a table for the first level that it leaves out
        err = new_table(tree, child, &pa);
        e.skip--;
        if (!err)
            (*child)[0] = f->encode(&tree->params, &e, level - 1);
    } else if (e.kind == PT_TABLE && owned(tree, pa)) {
        *child = dam_arena_ptr(tree->memory->pool, pa);
        if (!e.r || !e.w || e.xd || e.supervisor)
            push_down(tree, pa, *child, level - 1, &e);
    } else if (e.kind == PT_TABLE) {
        err = copy_table(tree, pa, level - 1, &e, child, &pa);
    } else if (e.kind == PT_LEAF) {
        err = split_leaf(tree, *slot, level, child, &pa);
    } else {
        err = new_table(tree, child, &pa);
    }
    if (!err)
        *slot = encode_table(tree, pa, level);
    return err;
}

// Whether one entry of `level` can say all of the next part: a leaf of `level` at e->addr, or emptiness.
static bool fits(const struct pt_tree *tree, uint64_t iova, uint64_t size, const struct pt_entry *e,
                 unsigned level)
{
    uint64_t span = pt_span(level);
    if (iova % span || size < span)
        return false;
    return e->kind == PT_EMPTY || level == 0 || ((tree->params.large >> level & 1) && e->addr % span == 0);
}

// Sets the first part of [iova, iova+size) that one entry can say, and tells how long that part is.
static dam_err set_one(struct pt_tree *tree, uint64_t iova, uint64_t size, const struct pt_entry *e,
                       uint64_t *done)
{
    const struct pt_format *f = tree->format;
    uint64_t *table = dam_arena_ptr(tree->memory->pool, tree->root);
    for (unsigned level = tree->params.levels - 1u;; level--) {
        uint64_t span = pt_span(level);
        uint64_t *slot = &table[pt_index(iova, level)];
        bool fit = fits(tree, iova, size, e, level);
        if (f->single && (fit || f->decode(&tree->params, *slot, level).kind != PT_TABLE)) {
            dam_err err = break_runs(tree, table, level);
            if (err)
                return err;
        }
        if (fit) {
            *slot = e->kind == PT_EMPTY ? 0 : f->encode(&tree->params, e, level);
            *done = span;
            return DAM_OK;
        }
        if (e->kind == PT_EMPTY && f->decode(&tree->params, *slot, level).kind == PT_EMPTY) {
            uint64_t rest = span - iova % span;
            *done = rest < size ? rest : size;
            return DAM_OK;
        }
        dam_err err = descend(tree, slot, level, &table);
        if (err)
            return err;
    }
}

static dam_err set(struct pt_tree *tree, uint64_t iova, uint64_t size, struct pt_entry e)
{
    uint64_t last = pt_last(tree->params.levels);
    if ((iova | size | e.addr) % DAM_PAGE_SIZE || iova > last || (size && size - 1 > last - iova))
        return DAM_E_RANGE;
    while (size) {
        uint64_t done;
        dam_err err = set_one(tree, iova, size, &e, &done);
        if (err)
            return err;
        iova += done;
        size -= done;
        if (e.kind == PT_LEAF)
            e.addr += done;
    }
    return DAM_OK;
}

dam_err pt_tree_map(struct pt_tree *tree, uint64_t iova, uint64_t addr, uint64_t size, bool r, bool w)
{
    uint64_t limit = 1ull << tree->params.haw;
    if (addr >= limit || size > limit - addr)
        return DAM_E_RANGE;
    return set(tree, iova, size, (struct pt_entry){.kind = PT_LEAF, .r = r, .w = w, .addr = addr});
}

dam_err pt_tree_unmap(struct pt_tree *tree, uint64_t iova, uint64_t size)
{
    return set(tree, iova, size, (struct pt_entry){.kind = PT_EMPTY});
}

// The recursion ends with the levels.
static dam_err freeze_leaves(const struct pt_tree *tree, uint64_t *table, unsigned level, bool copy)
{
    const struct pt_format *f = tree->format;
    const struct pt_entry through = {.kind = PT_TABLE, .r = true, .w = false};
    dam_err err = DAM_OK;
    for (unsigned i = 0; !err && i < PT_ENTRIES; i++) {
        struct pt_entry e = f->decode(&tree->params, table[i], level);
        uint64_t *child = e.kind == PT_TABLE ? dam_arena_ptr(tree->memory->pool, dam_pa_of(e.addr)) : NULL;
        if (e.kind == PT_LEAF)
            table[i] = f->restrict_to(table[i], &through);
        if (!child || e.skip >= level)
            continue;
        if (copy) {
            uint64_t *from = child;
            dam_pa pa;
            err = new_table(tree, &child, &pa);
            if (err)
                return err;
            memcpy(child, from, DAM_PAGE_SIZE);
            e.addr = pa.v;
            table[i] = f->encode(&tree->params, &e, level);
        }
        err = freeze_leaves(tree, child, level - 1 - e.skip, copy);
    }
    return err;
}

dam_err pt_tree_freeze_leaves(struct pt_tree *tree, dam_pa from, bool copy)
{
    uint64_t *table = dam_arena_ptr(tree->memory->pool, from);
    tree->root = from;
    if (copy) {
        uint64_t *old = table;
        dam_err err = new_table(tree, &table, &tree->root);
        if (err)
            return err;
        memcpy(table, old, DAM_PAGE_SIZE);
    }
    return freeze_leaves(tree, table, tree->params.levels - 1u, copy);
}

// The recursion ends with the levels.
static dam_err lay_table_over(const struct pt_tree *tree, uint64_t *table, const uint64_t *from,
                              unsigned level)
{
    const struct pt_format *f = tree->format;
    dam_err err = f->single ? break_runs(tree, table, level) : DAM_OK;
    for (unsigned i = 0; !err && i < PT_ENTRIES; i++) {
        struct pt_entry over = f->decode(&tree->params, from[i], level);
        if (over.kind == PT_EMPTY)
            continue;
        uint64_t *child;
        if (over.kind == PT_LEAF || f->decode(&tree->params, table[i], level).kind == PT_EMPTY) {
            table[i] = from[i];
            continue;
        }
        err = descend(tree, &table[i], level, &child);
        if (!err)
            err = lay_table_over(tree, child, dam_arena_ptr(tree->memory->pool, dam_pa_of(over.addr)),
                                 level - 1);
    }
    return err;
}

dam_err pt_tree_lay_over(struct pt_tree *tree, dam_pa from)
{
    return lay_table_over(tree, dam_arena_ptr(tree->memory->pool, tree->root),
                          dam_arena_ptr(tree->memory->pool, from), tree->params.levels - 1u);
}

dam_err pt_scratch_new(const struct pt_format *format, const struct pt_params *params, struct dam_arena *pool,
                       dam_pa page, struct pt_scratch *out)
{
    void *pages;
    dam_err err = dam_arena_pages(pool, params->levels, &pages);
    if (err)
        return err;
    struct pt_entry e = {.kind = PT_LEAF, .r = true, .w = true, .addr = page.v};
    for (unsigned level = 0; level < params->levels; level++) {
        uint64_t *table = (uint64_t *)pages + (size_t)level * PT_ENTRIES;
        for (unsigned i = 0; i < PT_ENTRIES; i++)
            table[i] = format->encode(params, &e, level);
        out->root[level] = dam_arena_pa(pool, table);
        e.kind = PT_TABLE;
        e.addr = out->root[level].v;
    }
    return DAM_OK;
}

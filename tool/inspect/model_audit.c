// SPDX-License-Identifier: MIT
// One walk over a tree: what it maps, what is odd in it, what the dump does not hold of it.
#include <stdlib.h>

#include "base/finding.h"
#include "inspect/model_own.h"
#include "inspect/progress.h"
#include "pgtable/audit.h"

#define LOW_MEMORY 0x100000u

struct audit {
    struct inspection *in;
    struct inspect_tree *tree;
    struct inspect_reading *reading;
    // What was told last, and where it ends: parts that follow one another are told once.
    uint16_t last_code;
    uint64_t last_end;
};

uint64_t inspect_signed(const struct pt_params *p, uint64_t iova)
{
    if (!p->canonical)
        return iova;
    uint64_t width = pt_span(p->levels);
    return iova >= width / 2 ? iova - width : iova;
}

static struct dam_finding about(const struct audit *a, uint16_t code)
{
    const struct inspect_unit *unit = a->tree->unit;
    return (struct dam_finding){
        .code = code,
        .level = 255,
        .unit = unit->index,
        .segment = unit->segment,
        .rid = a->tree->first != NULL ? a->tree->first->rid : 0,
    };
}

static void tell(struct audit *a, const struct dam_finding *f)
{
    uint8_t severity = (uint8_t)dam_finding_severity(f->code);
    a->tree->findings += a->tree->findings != UINT32_MAX;
    if (severity > a->tree->severity)
        a->tree->severity = severity;
    inspect_add_finding(a->in, f);
}

static void report(struct audit *a, uint16_t code, const struct pt_table *t, unsigned index, uint64_t iova,
                   uint64_t size)
{
    bool goes_on = a->last_code == code && a->last_end == iova;
    a->last_code = code;
    a->last_end = iova + size;
    if (goes_on)
        return;
    struct dam_finding f = about(a, code);
    f.level = (uint8_t)t->level;
    f.index = (uint16_t)index;
    f.address = t->pa.v + index * sizeof(uint64_t);
    f.raw = t->entries[index];
    f.iova = inspect_signed(&a->tree->params, t->iova + index * pt_span(t->level));
    tell(a, &f);
}

static void unknown(struct audit *a, uint64_t bytes)
{
    a->tree->unknown_tables++;
    inspect_sum(&a->tree->unknown_bytes, bytes);
    a->in->incomplete = true;
}

static dam_err on_leaves(void *ctx, const struct pt_table *t, const struct pt_scan *scan, bool *each)
{
    struct audit *a = ctx;
    struct inspect_tree *tree = a->tree;
    *each = scan->watched;
    if (*each)
        return DAM_OK;
    const struct inspect_rights left = inspect_rights(tree, t, NULL);
    inspect_sum(&tree->readable, left.r ? (uint64_t)scan->readable << DAM_PAGE_SHIFT : 0);
    inspect_sum(&tree->writable, left.w ? (uint64_t)scan->writable << DAM_PAGE_SHIFT : 0);
    tree->leaves[0] += left.r && left.w ? scan->mapped
                       : left.r         ? scan->readable
                       : left.w         ? scan->writable
                                        : 0;
    return DAM_OK;
}

static dam_err on_leaf(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e)
{
    struct audit *a = ctx;
    uint64_t span = pt_span(t->level), iova = t->iova + index * span;
    const struct inspect_rights left = inspect_rights(a->tree, t, e);
    if (!left.r && !left.w)
        return DAM_OK;
    inspect_sum(&a->tree->readable, left.r ? span : 0);
    inspect_sum(&a->tree->writable, left.w ? span : 0);
    a->tree->leaves[t->level]++;
    const struct dam_ranges *keep_out = &a->in->own->keep_out;
    for (uint64_t at = e->addr, end = e->addr + span; at < end;) {
        const struct dam_range *k = dam_ranges_find(keep_out, at, end - at);
        if (k == NULL)
            break;
        uint64_t from = k->start > at ? dam_align_down(k->start, DAM_PAGE_SIZE) : at;
        uint64_t to = k->end < end ? dam_align_up(k->end, DAM_PAGE_SIZE) : end;
        // Linux maps the first 16 MiB one to one for the ISA bridge: ordinary.
        report(a, to <= LOW_MEMORY ? DAM_F_PT_LOW_MEMORY : DAM_F_PT_KEEP_OUT, t, index,
               iova + (from - e->addr), to - from);
        at = to;
    }
    return DAM_OK;
}

static dam_err on_bad(void *ctx, const struct pt_table *t, unsigned index, enum pt_bad why)
{
    report(ctx, pt_bad_finding(why), t, index, t->iova + index * pt_span(t->level), pt_span(t->level));
    return DAM_OK;
}

static dam_err on_child(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e,
                        const uint64_t *where)
{
    struct audit *a = ctx;
    (void)t, (void)index, (void)where;
    inspect_pages_add(&a->in->own->table_pages, e->addr);
    return DAM_OK;
}

static dam_err on_absent(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e)
{
    struct audit *a = ctx;
    const struct inspect_rights left = inspect_rights(a->tree, t, e);
    (void)index;
    if (left.r || left.w)
        unknown(a, t != NULL ? pt_span(t->level - e->skip) : inspect_width(&a->tree->params));
    return DAM_OK;
}

static dam_err walk(struct audit *a)
{
    const struct pt_visitor visitor = {
        .ctx = a,
        .leaves = on_leaves,
        .leaf = on_leaf,
        .child = on_child,
        .bad = on_bad,
        .absent = on_absent,
    };
    struct pt_walk w = {
        .format = &a->tree->format,
        .params = &a->tree->params,
        .memory = &a->reading->memory,
        .visitor = &visitor,
        .watch = &a->in->own->keep_out,
        .buffers = a->reading->buffers,
    };
    struct inspect_own *own = a->in->own;
    if (a->reading->budget.tables > own->audit_left)
        a->reading->budget.tables = own->audit_left;
    dam_err err = pt_walk(&w, a->tree->root);
    own->audit_left -= w.tables < own->audit_left ? w.tables : own->audit_left;
    a->tree->tables = w.tables;
    if (w.tables)
        inspect_pages_add(&own->table_pages, a->tree->root.v);
    a->in->tables = inspect_pages_ranges(&own->table_pages);
    if (err == DAM_E_BUDGET) {
        struct dam_finding f = about(a, DAM_F_PT_BUDGET);
        f.address = a->tree->root.v;
        tell(a, &f);
        a->in->incomplete = true;
        err = DAM_OK;
    }
    return err;
}

// Everything means itself: what there is, as far as its width reaches.
static void audit_identity(struct audit *a)
{
    const struct dam_ranges *ram = memory_ram(a->in->memory);
    uint64_t width = inspect_width(&a->tree->params), all = 0;
    for (size_t i = 0; i < ram->count && ram->at[i].start < width; i++) {
        uint64_t end = ram->at[i].end < width ? ram->at[i].end : width;
        all += end - ram->at[i].start;
    }
    a->tree->readable = a->tree->r ? all : 0;
    a->tree->writable = a->tree->w ? all : 0;
}

dam_err inspect_audit(struct inspection *in, struct inspect_tree *tree)
{
    struct audit a = {.in = in, .tree = tree};
    if (tree->audited)
        return DAM_OK;
    inspect_fold_begin(in);
    dam_err err = DAM_OK;
    if (tree->stage == DAM_STAGE_PASSTHROUGH) {
        audit_identity(&a);
    } else {
        a.reading = inspect_begin_reading(in);
        err = a.reading != NULL ? walk(&a) : DAM_E_NOMEM;
        free(a.reading);
    }
    tree->audited = !err;
    return err;
}

dam_err inspect_audit_all(struct inspection *in)
{
    dam_err err = DAM_OK;
    progress_begin("reading page tables", 0);
    for (size_t i = 0; !err && i < in->tree_count; i++)
        err = inspect_audit(in, in->trees[i]);
    progress_end();
    return err;
}

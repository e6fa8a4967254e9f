// SPDX-License-Identifier: MIT
// The tables of a unit above the page tables: its requesters, and the trees that they lead to.
#include <stdlib.h>
#include <string.h>

#include "inspect/kind.h"

struct reader {
    struct inspection *in;
    struct inspect_unit *unit;
    uint32_t function; // whose bindings come, + 1; 0: none yet
    uint32_t bindings; // of it, until now
    uint32_t *owner;   // by domain id: tree number + 1
    struct inspect_reading *reading;
};

// ---- trees -----------------------------------------------------------------------------------------------
static bool same_params(const struct pt_params *a, const struct pt_params *b)
{
    return a->levels == b->levels && a->haw == b->haw && a->large == b->large && a->snoop == b->snoop &&
           a->transient == b->transient && a->canonical == b->canonical && a->encrypt == b->encrypt;
}

static bool same_tree(const struct inspect_tree *a, const struct inspect_tree *b)
{
    return a->stage == b->stage && a->root.v == b->root.v && a->r == b->r && a->w == b->w &&
           a->unit->kind == b->unit->kind && same_params(&a->params, &b->params);
}

static size_t hash_of(const struct inspect_tree *t)
{
    uint64_t h = (t->root.v >> DAM_PAGE_SHIFT) * 8 + t->params.levels + (uint64_t)t->stage * 0x10001;
    return (size_t)(h * 0x9E3779B97F4A7C15ull >> 24);
}

// The place of a tree in the index: where it is, or where it would be.
static uint32_t *place_of(struct inspection *in, const struct inspect_tree *t)
{
    struct inspect_own *own = in->own;
    size_t at = hash_of(t) % own->tree_index_size;
    while (own->tree_index[at] && !same_tree(in->trees[own->tree_index[at] - 1], t))
        at = (at + 1) % own->tree_index_size;
    return &own->tree_index[at];
}

// Keeps the index at most half full.
static bool grow_index(struct inspection *in)
{
    struct inspect_own *own = in->own;
    if (in->tree_count * 2 < own->tree_index_size)
        return true;
    size_t more = own->tree_index_size ? own->tree_index_size * 2 : 64;
    uint32_t *index = calloc(more, sizeof *index);
    if (index == NULL)
        return false;
    free(own->tree_index);
    own->tree_index = index;
    own->tree_index_size = more;
    for (size_t i = 0; i < in->tree_count; i++)
        *place_of(in, in->trees[i]) = (uint32_t)i + 1;
    return true;
}

// Finds or makes the tree of a sound binding; of a nested one that is the second stage.
static struct inspect_tree *tree_for(struct reader *r, const struct iommu_binding *b)
{
    struct inspection *in = r->in;
    bool identity = b->stage == DAM_STAGE_PASSTHROUGH;
    uint8_t levels = identity && b->levels == 0 ? PT_MAX_LEVELS : b->levels;
    enum dam_stage format = b->stage == DAM_STAGE_FIRST ? DAM_STAGE_FIRST : DAM_STAGE_SECOND;
    struct inspect_tree wanted = {
        .unit = r->unit,
        .stage = identity ? DAM_STAGE_PASSTHROUGH : format,
        .params = r->unit->kind->params(r->unit, format, levels),
        .root = identity ? dam_pa_of(0) : b->root,
        .r = b->r,
        .w = b->w,
    };
    r->unit->kind->format(format, &wanted.format);
    if (!grow_index(in))
        return NULL;
    uint32_t *place = place_of(in, &wanted);
    if (*place)
        return in->trees[*place - 1];
    if (!inspect_grow((void **)&in->trees, in->tree_count, &in->own->tree_capacity, sizeof *in->trees))
        return NULL;
    struct inspect_tree *tree = malloc(sizeof *tree);
    if (tree == NULL)
        return NULL;
    *tree = wanted;
    tree->number = (uint32_t)in->tree_count;
    in->trees[in->tree_count++] = tree;
    *place = (uint32_t)in->tree_count;
    return tree;
}

// ---- requesters ------------------------------------------------------------------------------------------
static void report(struct reader *r, const struct iommu_hit *f, uint16_t code, uint64_t address, uint64_t raw)
{
    const struct dam_finding finding = {
        .code = code,
        .level = 255,
        .unit = r->unit->index,
        .segment = r->unit->segment,
        .rid = f->rid,
        .index = f->index,
        .address = address,
        .raw = raw,
        .iova = f->pasid,
    };
    inspect_add_finding(r->in, &finding);
}

static void fill_in(struct inspect_requester *q, const struct reader *r, const struct iommu_hit *f)
{
    *q = (struct inspect_requester){
        .unit = r->unit,
        .rid = f->rid,
        .flags = f->flags,
        .pasid = f->pasid,
        .span = f->span,
        .finding = f->finding,
        .unknown = f->kind == IOMMU_HIT_ABSENT,
        .step_count = f->step_count,
        .kind = f->finding ? DAM_OLD_BROKEN : DAM_OLD_NONE,
    };
    for (unsigned i = 0; i < f->step_count; i++) {
        struct inspect_step *step = &q->steps[i];
        step->what = r->unit->kind->step_names[i];
        step->address = f->steps[i].address;
        step->words = f->steps[i].words;
        memcpy(step->raw, f->steps[i].raw, sizeof step->raw);
    }
    if (f->kind != IOMMU_HIT_BINDING)
        return;
    const struct iommu_binding *b = &f->binding;
    q->address = f->address;
    q->words = r->unit->kind->entry_words(f);
    memcpy(q->raw, b->raw, q->words * sizeof(uint64_t));
    q->did = b->did;
    q->stage = b->stage;
    q->first_root = b->first;
    q->flags |= b->translated ? DAM_REQ_ATS : 0;
}

// Hardware tags what it caches with domain ids: all requesters of one id must have one table (VT-d 6.2.1).
// What comes from a first stage is tagged with the PASID as well.
static void check_did(struct reader *r, const struct iommu_hit *f, const struct inspect_tree *tree)
{
    uint16_t did = f->binding.did;
    if (r->unit->has_registers && did >= r->unit->kind->domain_ids(r->unit))
        report(r, f, DAM_F_CTX_DID, f->address.v, did);
    if (r->owner == NULL || tree->stage != DAM_STAGE_SECOND)
        return;
    const struct inspect_tree *owner = r->owner[did] ? r->in->trees[r->owner[did] - 1] : tree;
    if (owner->root.v != tree->root.v || owner->params.levels != tree->params.levels)
        report(r, f, DAM_F_DID_SHARED, f->address.v, did);
    r->owner[did] = tree->number + 1;
}

static dam_err judge(struct reader *r, struct inspect_requester *q, const struct iommu_hit *f)
{
    if (f->kind == IOMMU_HIT_ABSENT) {
        r->in->incomplete = true;
        return DAM_OK;
    }
    if (f->finding) {
        report(r, f, f->finding, f->finding_address.v, f->finding_raw);
        r->in->incomplete |= f->finding == DAM_F_PASID_SHARE;
        return DAM_OK;
    }
    q->tree = tree_for(r, &f->binding);
    if (q->tree == NULL)
        return DAM_E_NOMEM;
    q->tree->requesters += q->span;
    q->kind = f->binding.stage == DAM_STAGE_PASSTHROUGH ? DAM_OLD_IDENTITY : DAM_OLD_TRANSLATED;
    if (q->kind == DAM_OLD_IDENTITY)
        report(r, f, DAM_F_PASSTHROUGH, f->address.v, f->binding.raw[0]);
    if (q->flags & DAM_REQ_ATS)
        report(r, f, DAM_F_ATS_REFUSED, f->address.v, f->binding.raw[0]);
    check_did(r, f, q->tree);
    return DAM_OK;
}

static dam_err found(void *ctx, const struct iommu_hit *f)
{
    struct reader *r = ctx;
    struct inspection *in = r->in;
    if (r->function != f->rid + 1u) {
        r->function = f->rid + 1u;
        r->bindings = 0;
        inspect_fold_begin(in);
    }
    bool last = f->finding == DAM_F_PASID_SHARE; // this is what comes of the limits themselves
    bool too_many = in->requester_count >= MAX_REQUESTERS - (last ? 0 : 1);
    if (too_many || (!last && ++r->bindings > MAX_BINDINGS))
        return DAM_E_BUDGET;
    if (!inspect_grow((void **)&in->requesters, in->requester_count, &in->own->requester_capacity,
                      sizeof *in->requesters))
        return DAM_E_NOMEM;
    struct inspect_requester *q = &in->requesters[in->requester_count++];
    fill_in(q, r, f);
    return judge(r, q, f);
}

static void report_unit(struct reader *r, uint16_t code, struct inspect_register reg)
{
    const struct dam_finding finding = {
        .code = code,
        .level = 255,
        .unit = r->unit->index,
        .segment = r->unit->segment,
        .address = r->unit->base ? r->unit->base + reg.offset : 0,
        .raw = reg.value,
    };
    inspect_add_finding(r->in, &finding);
}

// Whatever is behind it reached everything.
static void report_off(struct reader *r)
{
    if (r->unit->has_registers)
        report_unit(r, DAM_F_UNIT_OFF, r->unit->kind->state_register(r->unit));
    else if (r->unit->origin == ORIGIN_NOTE)
        report_unit(r, DAM_F_UNIT_ABSENT, (struct inspect_register){0, 0});
}

static dam_err read_with(struct reader *r)
{
    const struct unit_kind *kind = r->unit->kind;
    dam_err err = kind->look_up(r->unit, r->reading, r, found);
    if (err == DAM_E_BUDGET) { // what is left of the tables is not known
        report_unit(r, DAM_F_PT_BUDGET, kind->table_register(r->unit));
        r->in->incomplete = true;
        err = DAM_OK;
    }
    return err;
}

// The first of the units that use the same table.
static uint16_t leader_of(const struct inspection *in, const struct inspect_unit *unit)
{
    for (uint16_t i = 0; unit->kind->shares_tables && i < unit->index; i++) {
        const struct inspect_unit *u = &in->units[i];
        if (u->translating && u->kind == unit->kind && u->segment == unit->segment &&
            u->root.v == unit->root.v && u->table_size == unit->table_size && u->mode == unit->mode)
            return i;
    }
    return unit->index;
}

dam_err inspect_read_tables(struct inspection *in, struct inspect_unit *unit)
{
    struct reader r = {.in = in, .unit = unit};
    uint16_t finding;
    unit->leader = unit->index;
    inspect_fold_begin(in);
    if (!unit->translating) {
        report_off(&r);
        return DAM_OK;
    }
    enum inspect_tables tables = unit->kind->tables(unit, &finding);
    if (finding != DAM_F_NONE)
        report_unit(&r, finding, unit->kind->table_register(unit));
    in->incomplete |= tables == TABLES_UNKNOWN;
    if (tables != TABLES_READ)
        return DAM_OK;
    uint64_t word;
    unit->readable = !in->own->ops.mem_read(in->own->ops.ctx, unit->root, &word, sizeof word);
    unit->leader = leader_of(in, unit);
    if (unit->leader != unit->index)
        return DAM_OK;
    r.reading = inspect_begin_reading(in);
    r.owner = calloc(65536, sizeof *r.owner);
    dam_err err = r.reading != NULL && r.owner != NULL ? read_with(&r) : DAM_E_NOMEM;
    free(r.owner);
    free(r.reading);
    return err;
}

static int by_requester(const void *a, const void *b)
{
    const struct inspect_requester *x = a, *y = b;
    if (x->unit->segment != y->unit->segment)
        return x->unit->segment < y->unit->segment ? -1 : 1;
    if (x->rid != y->rid)
        return x->rid < y->rid ? -1 : 1;
    if (x->pasid != y->pasid)
        return x->pasid < y->pasid ? -1 : 1;
    return x->unit->index < y->unit->index ? -1 : x->unit->index > y->unit->index;
}

void inspect_sort_requesters(struct inspection *in)
{
    if (in->requester_count)
        qsort(in->requesters, in->requester_count, sizeof *in->requesters, by_requester);
    for (size_t i = in->requester_count; i-- > 0;)
        if (in->requesters[i].tree != NULL)
            in->requesters[i].tree->first = &in->requesters[i];
}

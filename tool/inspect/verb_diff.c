// SPDX-License-Identifier: MIT
// Two dumps: what could reach what in the one and not in the other.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/diff_trees.h"
#include "inspect/progress.h"
#include "inspect/show.h"
#include "names.h"

struct diff {
    const struct verb_call *call;
    struct inspection a, b;
    struct json_out *json; // NULL: text
    uint64_t differences, unknown_bytes, unknown_requesters;
    bool gaps;         // one of the dumps does not hold what would tell of all units and requesters
    bool ranges_begun; // of the trees that are compared
    const struct inspect_requester *in_a, *in_b;
};

static const char *const kinds[] = {
    [DIFF_APPEARS] = "appears", [DIFF_DISAPPEARS] = "disappears", [DIFF_MOVES] = "moves",
    [DIFF_RIGHTS] = "rights",   [DIFF_BREAKS] = "breaks",         [DIFF_MENDED] = "mended",
};

// ---- what is the same thing in both ----------------------------------------------------------------------
static int order(const struct inspect_requester *a, const struct inspect_requester *b)
{
    uint64_t ka = (uint64_t)a->unit->segment << 16 | a->rid, kb = (uint64_t)b->unit->segment << 16 | b->rid;
    // What requests without a PASID have is the same thing, whichever PASID stands for it.
    uint64_t pa = requester_is_plain(a) ? 0 : a->pasid + 1ull,
             pb = requester_is_plain(b) ? 0 : b->pasid + 1ull;
    if (ka != kb)
        return ka < kb ? -1 : 1;
    return pa < pb ? -1 : pa > pb;
}

static int order_for_sort(const void *a, const void *b)
{
    return order(*(const struct inspect_requester *const *)a, *(const struct inspect_requester *const *)b);
}

static const struct inspect_requester **sorted(const struct inspection *in)
{
    const struct inspect_requester **list = malloc((in->requester_count + 1) * sizeof *list);
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < in->requester_count; i++)
        list[i] = &in->requesters[i];
    list[in->requester_count] = NULL;
    qsort(list, in->requester_count, sizeof *list, order_for_sort);
    return list;
}

static const struct inspect_unit *same_unit(const struct inspection *in, const struct inspect_unit *unit)
{
    for (size_t i = 0; i < in->unit_count; i++) {
        const struct inspect_unit *u = &in->units[i];
        // By its registers, when both tell; else by its place in the list.
        if (u->segment == unit->segment &&
            (u->base != 0 && unit->base != 0 ? u->base == unit->base : u->index == unit->index))
            return u;
    }
    return NULL;
}

// ---- units -----------------------------------------------------------------------------------------------
static void tell_unit(struct diff *d, const char *what, const struct inspect_unit *unit, const char *member,
                      const char *before, const char *after)
{
    d->differences++;
    if (d->json != NULL) {
        struct json_object *o = json_object_new_object();
        json_put_text(o, "what", what);
        json_put_text(o, "unit", unit->name);
        if (member != NULL) {
            json_put_text(o, "member", member);
            json_put_text(o, "a", before);
            json_put_text(o, "b", after);
        }
        json_out_value(d->json, NULL, o);
    } else if (member == NULL) {
        printf("%c unit %s at 0x%" PRIx64 "\n", *what == 'a' ? '+' : '-', unit->name, unit->base);
    } else {
        printf("~ unit %s: %s %s -> %s\n", unit->name, member, before, after);
    }
}

static void compare_unit(struct diff *d, const struct inspect_unit *a, const struct inspect_unit *b)
{
    char before[24], after[24];
    if (strcmp(a->mode, b->mode) != 0)
        tell_unit(d, "changes", a, "mode", a->mode, b->mode);
    if (a->table_size != b->table_size) {
        snprintf(before, sizeof before, "%" PRIu64, a->table_size);
        snprintf(after, sizeof after, "%" PRIu64, b->table_size);
        tell_unit(d, "changes", a, "table_size", before, after);
    }
    if (a->root.v != b->root.v) {
        snprintf(before, sizeof before, "0x%" PRIx64, a->root.v);
        snprintf(after, sizeof after, "0x%" PRIx64, b->root.v);
        tell_unit(d, "changes", a, "root", before, after);
    }
    if (a->has_registers && b->has_registers && a->translating != b->translating)
        tell_unit(d, "changes", a, "translation", a->translating ? "on" : "off",
                  b->translating ? "on" : "off");
}

static void compare_units(struct diff *d)
{
    for (size_t i = 0; i < d->a.unit_count; i++) {
        const struct inspect_unit *other = same_unit(&d->b, &d->a.units[i]);
        if (other != NULL)
            compare_unit(d, &d->a.units[i], other);
        else
            tell_unit(d, "disappears", &d->a.units[i], NULL, NULL, NULL);
    }
    for (size_t i = 0; i < d->b.unit_count; i++)
        if (same_unit(&d->a, &d->b.units[i]) == NULL)
            tell_unit(d, "appears", &d->b.units[i], NULL, NULL, NULL);
}

// ---- requesters ------------------------------------------------------------------------------------------
static void describe(const struct inspect_requester *r, char *out, size_t size)
{
    if (r->tree != NULL && r->tree->stage != DAM_STAGE_PASSTHROUGH)
        snprintf(out, size, "domain %u, %s stage, tables at 0x%" PRIx64, r->did, name_stage(r->stage),
                 r->tree->root.v);
    else
        snprintf(out, size, "domain %u, %s%s%s", r->did, name_old_kind(r->kind),
                 r->tree != NULL && !(r->tree->r && r->tree->w) ? ", " : "",
                 r->tree != NULL && !(r->tree->r && r->tree->w) ? show_rights(r->tree->r, r->tree->w) : "");
}

static void tell_requester(struct diff *d, const char *what, const struct inspect_requester *a,
                           const struct inspect_requester *b)
{
    char name[REQUESTER_TEXT], before[96] = "", after[96] = "";
    const struct inspect_requester *r = a != NULL ? a : b;
    d->differences++;
    if (d->json != NULL) {
        struct json_object *o = json_object_new_object();
        json_put_text(o, "what", what);
        json_put_text(o, "requester", requester_text(r, name));
        json_object_object_add(o, "a", a != NULL ? requester_json(a) : NULL);
        json_object_object_add(o, "b", b != NULL ? requester_json(b) : NULL);
        json_out_value(d->json, NULL, o);
        return;
    }
    if (a != NULL)
        describe(a, before, sizeof before);
    if (b != NULL)
        describe(b, after, sizeof after);
    printf("%c %s: %s%s%s\n",
           a == NULL   ? '+'
           : b == NULL ? '-'
                       : '~',
           requester_text(r, name), before, a != NULL && b != NULL ? " -> " : "", after);
}

// Whether a table that a dump does not hold could have had an entry for r.
static bool may_be_hidden(const struct inspection *in, const struct inspect_requester *r)
{
    for (size_t i = 0; i < in->unit_count; i++)
        if (in->units[i].segment == r->unit->segment && requester_unit_unknown(in, &in->units[i]))
            return true;
    for (size_t i = 0; i < in->requester_count; i++) {
        const struct inspect_requester *u = &in->requesters[i];
        uint32_t span = u->flags & DAM_REQ_PASID ? 1 : u->span;
        if (u->unknown && u->unit->segment == r->unit->segment && r->rid >= u->rid &&
            (unsigned)(r->rid - u->rid) < (span != 0 ? span : 1))
            return true;
    }
    return false;
}

// Whether the one without an entry has none because its unit's translation was off: the unit's change tells.
static bool told_by_unit(const struct diff *d, const struct inspect_requester *a,
                         const struct inspect_requester *b)
{
    const struct inspect_unit *other = a == NULL   ? same_unit(&d->a, b->unit)
                                       : b == NULL ? same_unit(&d->b, a->unit)
                                                   : NULL;
    return other != NULL && requester_unit_off(other);
}

// Whether the entries let other things through; of tables the ranges tell.
static bool differ_in_rights(const struct inspect_tree *a, const struct inspect_tree *b)
{
    return a != NULL && b != NULL && a->stage == DAM_STAGE_PASSTHROUGH && b->stage == a->stage &&
           (a->r != b->r || a->w != b->w);
}

static void compare_entries(struct diff *d, const struct inspect_requester *a,
                            const struct inspect_requester *b)
{
    if (told_by_unit(d, a, b))
        return;
    if ((a != NULL && a->unknown) || (b != NULL && b->unknown) || (a == NULL && may_be_hidden(&d->a, b)) ||
        (b == NULL && may_be_hidden(&d->b, a))) {
        d->unknown_requesters++;
        return;
    }
    if (a == NULL)
        tell_requester(d, "appears", NULL, b);
    else if (b == NULL)
        tell_requester(d, "disappears", a, NULL);
    else if (a->did != b->did || differ_in_rights(a->tree, b->tree) || a->stage != b->stage ||
             a->kind != b->kind || a->finding != b->finding ||
             (a->tree != NULL && b->tree != NULL && a->tree->root.v != b->tree->root.v))
        tell_requester(d, "changes", a, b);
}

// ---- ranges ----------------------------------------------------------------------------------------------
static void begin_ranges(struct diff *d)
{
    if (d->ranges_begun)
        return;
    d->ranges_begun = true;
    if (d->json != NULL) {
        json_out_object(d->json, NULL);
        if (d->in_b != NULL)
            show_json_sharers(d->json, &d->b, d->in_b->tree);
        else
            show_json_sharers(d->json, &d->a, d->in_a->tree);
        json_out_list(d->json, "ranges");
        return;
    }
    if (d->in_b != NULL)
        show_sharers(&d->b, d->in_b->tree);
    else
        show_sharers(&d->a, d->in_a->tree);
    putchar('\n');
}

static void put_side(struct json_object *o, const char *key, const struct inspect_range *side, uint64_t size)
{
    struct inspect_range part = *side;
    if (side->size == 0) { // nothing
        json_object_object_add(o, key, NULL);
        return;
    }
    part.size = size;
    json_object_object_add(o, key, show_range_json(&part));
}

static void print_side(const struct inspect_range *side, uint64_t size)
{
    if (side->kind == INSPECT_BROKEN)
        printf("broken");
    else if (side->size == 0)
        printf("not mapped");
    else
        printf("0x%" PRIx64 "-0x%" PRIx64 " %s", side->addr, side->addr + (size - 1),
               text_rights(side->r, side->w));
}

static dam_err tell_range(void *ctx, const struct diff_range *range)
{
    struct diff *d = ctx;
    d->differences++;
    progress_wipe();
    begin_ranges(d);
    if (d->json != NULL) {
        struct json_object *o = json_object_new_object();
        json_put_text(o, "what", kinds[range->kind]);
        json_put_hex(o, "iova", range->iova);
        json_put_number(o, "size", range->size);
        put_side(o, "a", &range->a, range->size);
        put_side(o, "b", &range->b, range->size);
        json_out_value(d->json, NULL, o);
        return show_go_on();
    }
    printf("  %c IOVA 0x%" PRIx64 "-0x%" PRIx64 ": ",
           range->kind == DIFF_APPEARS      ? '+'
           : range->kind == DIFF_DISAPPEARS ? '-'
                                            : '~',
           range->iova, range->iova + (range->size - 1));
    if (range->kind != DIFF_APPEARS)
        print_side(&range->a, range->size);
    if (range->kind != DIFF_APPEARS && range->kind != DIFF_DISAPPEARS)
        printf(" -> ");
    if (range->kind != DIFF_DISAPPEARS)
        print_side(&range->b, range->size);
    putchar('\n');
    return show_go_on();
}

static const struct inspect_tree *tree_of(const struct inspect_requester *r)
{
    return r != NULL && !r->unknown && r->kind != DAM_OLD_BROKEN ? r->tree : NULL;
}

// Identity over everything is no set of ranges; against tables it is told as the requester's change.
static bool comparable(const struct inspect_tree *a, const struct inspect_tree *b)
{
    return (a != NULL || b != NULL) && (a == NULL || a->stage != DAM_STAGE_PASSTHROUGH) &&
           (b == NULL || b->stage != DAM_STAGE_PASSTHROUGH);
}

// Pairs of trees that were compared: requesters of one domain share theirs.
struct pairs {
    uint64_t *at;
    size_t count;
};

static bool seen(struct pairs *pairs, const struct inspect_tree *a, const struct inspect_tree *b)
{
    uint64_t key = (a != NULL ? a->number + 1ull : 0) << 32 | (b != NULL ? b->number + 1ull : 0);
    for (size_t i = 0; i < pairs->count; i++)
        if (pairs->at[i] == key)
            return true;
    pairs->at[pairs->count++] = key;
    return false;
}

static dam_err compare_ranges(struct diff *d, const struct inspect_requester *a,
                              const struct inspect_requester *b, struct pairs *pairs)
{
    const struct inspect_tree *ta = tree_of(a), *tb = tree_of(b);
    // A requester that one dump does not know has no ranges to compare.
    bool known = (a == NULL || !a->unknown) && (b == NULL || !b->unknown) &&
                 (a != NULL || !may_be_hidden(&d->a, b)) && (b != NULL || !may_be_hidden(&d->b, a));
    if (!known || told_by_unit(d, a, b) || !comparable(ta, tb) || seen(pairs, ta, tb))
        return DAM_OK;
    d->ranges_begun = false;
    d->in_a = ta != NULL ? a : NULL;
    d->in_b = tb != NULL ? b : NULL;
    dam_err err = diff_trees(&d->a, ta, &d->b, tb, &d->unknown_bytes, tell_range, d);
    if (d->ranges_begun && d->json != NULL) {
        json_out_end(d->json);
        json_out_end(d->json);
    }
    return err;
}

// ---- the verb --------------------------------------------------------------------------------------------
struct lists {
    const struct inspect_requester **a, **b;
    struct pairs pairs;
};

// Goes over both lists at once; entries first, then ranges: two passes, since the output has them apart.
static dam_err each_requester(struct diff *d, struct lists *lists, bool ranges)
{
    const struct inspect_requester **a = lists->a, **b = lists->b;
    dam_err err = DAM_OK;
    while ((*a != NULL || *b != NULL) && err == DAM_OK) {
        int way = *a == NULL ? 1 : *b == NULL ? -1 : order(*a, *b);
        const struct inspect_requester *ra = way <= 0 ? *a : NULL, *rb = way >= 0 ? *b : NULL;
        if (ranges)
            err = compare_ranges(d, ra, rb, &lists->pairs);
        else
            compare_entries(d, ra, rb);
        a += ra != NULL;
        b += rb != NULL;
    }
    return err;
}

static void print_sum(const struct diff *d)
{
    char size[TEXT_SIZE];
    bool incomplete = d->unknown_bytes != 0 || d->unknown_requesters != 0 || d->gaps;
    if (d->differences == 0)
        text_print(TEXT_GOOD, "No difference%s.\n", incomplete ? " in what both dumps hold" : "");
    else
        printf("%" PRIu64 " difference%s.\n", d->differences, d->differences == 1 ? "" : "s");
    if (incomplete)
        text_print(
            TEXT_WARN,
            "Incomplete: %" PRIu64 " requester%s and %s of DMA addresses cannot be compared, since a dump "
            "does not hold their tables.\n",
            d->unknown_requesters, d->unknown_requesters == 1 ? "" : "s", text_size(d->unknown_bytes, size));
}

static dam_err compare_all(struct diff *d, struct lists *lists)
{
    if (d->json != NULL)
        json_out_list(d->json, "units");
    compare_units(d);
    if (d->json != NULL) {
        json_out_end(d->json);
        json_out_list(d->json, "requesters");
    }
    dam_err err = each_requester(d, lists, false);
    if (d->json != NULL) {
        json_out_end(d->json);
        json_out_list(d->json, "ranges");
    }
    progress_begin("comparing page tables", 0);
    if (err == DAM_OK)
        err = each_requester(d, lists, true);
    progress_end();
    return err;
}

static int compare(struct diff *d)
{
    struct json_out out;
    struct lists lists = {sorted(&d->a), sorted(&d->b), {0}};
    lists.pairs.at = calloc(d->a.requester_count + d->b.requester_count + 1, sizeof *lists.pairs.at);
    d->gaps = d->a.incomplete || d->b.incomplete; // of opening: walks look after their own
    bool memory = lists.a != NULL && lists.b != NULL && lists.pairs.at != NULL;
    dam_err err = DAM_E_NOMEM;
    if (memory && d->json != NULL) {
        d->json = &out;
        show_json_begin(&out, d->call, &d->a);
        json_out_text(&out, "other", d->b.path);
    }
    if (memory)
        err = compare_all(d, &lists);
    bool incomplete = d->unknown_bytes != 0 || d->unknown_requesters != 0 || d->gaps;
    if (memory && d->json != NULL) {
        while (out.depth > 1)
            json_out_end(&out);
        json_out_number(&out, "differences", d->differences);
        json_out_number(&out, "unknown_requesters", d->unknown_requesters);
        json_out_number(&out, "unknown_bytes", d->unknown_bytes);
        show_json_end(&out, incomplete);
    } else if (err == DAM_OK) {
        print_sum(d);
    }
    free(lists.a);
    free(lists.b);
    free(lists.pairs.at);
    if (err != DAM_OK && !ferror(stdout))
        return verb_failed(d->call, err);
    return verb_finish_with(d->call, d->differences != 0, incomplete);
}

static int run(struct verb_call *call)
{
    struct json_out unused;
    struct diff d = {.call = call, .json = call->json ? &unused : NULL};
    if (call->argc < 2)
        return verb_usage(call, "the second dump is missing");
    if (call->argc > 2)
        return verb_usage(call, "too many arguments: %s", call->argv[2]);
    int status = verb_open(call, &d.a);
    if (status == INSPECT_OK) {
        status = verb_open_other(call, call->argv[1], &d.b);
        if (status == INSPECT_OK)
            status = compare(&d);
        inspect_close(&d.b);
    }
    inspect_close(&d.a);
    return status;
}

const struct verb verb_diff = {
    .name = "diff",
    .arguments = "OTHER",
    .summary = "Tell what changed between two dumps: units, requesters, domains, ranges",
    .help =
        "  OTHER                 the second dump. Options that say where the tables are (--vtd-root and the\n"
        "                        like) are DUMP's before \"diff\", and OTHER's behind it\n"
        "What either dump does not hold is no difference; it makes the answer incomplete.\n"
        "Exit status 0: the same; 1: differences; 4: incomplete.\n",
    .two_dumps = true,
    .run = run,
};

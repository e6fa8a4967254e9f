// SPDX-License-Identifier: MIT
// Tell who could read or write a piece of memory, at which DMA addresses.
#include <inttypes.h>

#include "inspect/progress.h"
#include "inspect/show.h"
#include "names.h"

struct reach {
    const struct verb_call *call;
    struct inspection *inspection;
    struct pci_names *names;
    struct json_out *json; // NULL: text
    uint64_t first, last;
    struct dam_range range;
    struct dam_ranges watch;
    uint64_t readers, writers, unknown, others; // requesters; others: units whose devices reach everything
    // Units may be missing: what would tell is not in the dump, or what is known was found by a guess.
    bool gaps, guessed;
};

// One set of requesters, while it is looked at.
struct group {
    struct reach *reach;
    const struct inspect_tree *tree;
    bool begun, r, w;
    uint64_t unknown;
};

// ---- one tree --------------------------------------------------------------------------------------------
static void begin_group(struct group *g)
{
    struct reach *s = g->reach;
    if (g->begun)
        return;
    g->begun = true;
    if (s->json != NULL) {
        json_out_object(s->json, NULL);
        json_out_number(s->json, "tree", g->tree->number);
        json_out_text(s->json, "unit", g->tree->unit->name);
        json_out_text(s->json, "stage", name_stage(g->tree->stage));
        show_json_sharers(s->json, s->inspection, g->tree);
        json_out_list(s->json, "ranges");
        return;
    }
    show_sharer_lines(s->inspection, g->tree, s->names);
}

static void print_range(const struct group *g, const struct inspect_range *range)
{
    int digits = show_iova_digits(g->tree);
    printf("  IOVA 0x%0*" PRIx64 "-0x%0*" PRIx64 "  ", digits, range->iova, digits,
           range->iova + (range->size - 1));
    if (range->kind == INSPECT_UNKNOWN) {
        text_print(TEXT_FAINT, "?   unknown: the dump does not hold the table\n");
        return;
    }
    text_print(range->w ? TEXT_WARN : TEXT_PLAIN, "%-2s", text_rights(range->r, range->w));
    printf("  0x%" PRIx64 "-0x%" PRIx64 "\n", range->addr, range->addr + (range->size - 1));
}

static dam_err visit(void *ctx, const struct inspect_range *range)
{
    struct group *g = ctx;
    progress_wipe();
    if (range->kind == INSPECT_BROKEN)
        return DAM_OK; // refused by the hardware: nobody reaches anything by it
    if (range->kind == INSPECT_MAPPED) {
        g->r |= range->r;
        g->w |= range->w;
    } else {
        inspect_sum(&g->unknown, range->size);
    }
    begin_group(g);
    if (g->reach->json != NULL)
        json_out_value(g->reach->json, NULL, show_range_json(range));
    else
        print_range(g, range);
    return show_go_on();
}

// No further than the unit is wide: above it DMA is refused.
static dam_err reach_identity(struct group *g)
{
    const struct dam_range *range = &g->reach->range;
    uint64_t last = pt_last(g->tree->params.levels);
    if (range->start > last)
        return DAM_OK;
    struct inspect_range identity = {.kind = INSPECT_MAPPED,
                                     .iova = range->start,
                                     .size = range->end - range->start,
                                     .addr = range->start,
                                     .r = g->tree->r,
                                     .w = g->tree->w};
    if (range->end - 1 > last)
        identity.size = last - range->start + 1;
    return visit(g, &identity);
}

static dam_err reach_tree(struct reach *s, const struct inspect_tree *tree)
{
    struct group g = {.reach = s, .tree = tree};
    struct inspect_visitor visitor = {.ctx = &g, .range = visit, .watch = &s->watch};
    dam_err err = tree->stage == DAM_STAGE_PASSTHROUGH ? reach_identity(&g)
                                                       : inspect_walk(s->inspection, tree, &visitor);
    s->readers += g.r ? tree->requesters : 0;
    s->writers += g.w ? tree->requesters : 0;
    s->unknown += g.unknown != 0 ? tree->requesters : 0;
    if (!g.begun)
        return err;
    if (s->json != NULL) {
        json_out_end(s->json);
        json_out_bool(s->json, "readable", g.r);
        json_out_bool(s->json, "writable", g.w);
        json_out_number(s->json, "unknown_bytes", g.unknown);
        json_out_end(s->json);
    } else if (tree->stage == DAM_STAGE_PASSTHROUGH) {
        printf("  (pass-through: every address leads to itself)\n");
    }
    return err;
}

// ---- those without a tree --------------------------------------------------------------------------------
static void tell_unknown(struct reach *s, const char *who, const char *more, const char *why)
{
    if (s->json != NULL) {
        struct json_object *o = json_object_new_object();
        json_put_text(o, "who", who);
        json_put_text(o, "why", why);
        json_out_value(s->json, NULL, o);
    } else {
        text_print(TEXT_FAINT, "%s%s: unknown: %s\n", who, more, why);
    }
}

static void list_unknown(struct reach *s)
{
    const struct inspection *in = s->inspection;
    for (size_t i = 0; i < in->unit_count; i++)
        if (requester_unit_unknown(in, &in->units[i])) {
            tell_unknown(s, in->units[i].name, ", all requesters", "its tables cannot be read");
            s->unknown++;
        }
    for (size_t i = 0; i < in->requester_count; i++) {
        const struct inspect_requester *r = &in->requesters[i];
        char name[REQUESTER_TEXT], more[REQUESTER_MORE];
        if (!r->unknown || requester_unit_off(r->unit))
            continue;
        tell_unknown(s, requester_text(r, name), requester_more(r, more), requester_problem(r));
        s->unknown += r->span != 0 ? r->span : 1;
    }
}

static void list_units_off(struct reach *s)
{
    for (size_t i = 0; i < s->inspection->unit_count; i++) {
        const struct inspect_unit *unit = &s->inspection->units[i];
        if (!requester_unit_off(unit))
            continue;
        s->others++;
        if (s->json != NULL)
            json_out_value(s->json, NULL, json_object_new_string(unit->name));
        else
            text_print(TEXT_WARN, "Everything behind %s: its translation was off, devices reach all memory\n",
                       unit->name);
    }
}

// With ATS a device may send physical addresses that it asked for before; nothing checks that it did.
static void list_trusted(struct reach *s)
{
    const char *separator = "";
    for (size_t i = 0; i < s->inspection->requester_count; i++) {
        const struct inspect_requester *r = &s->inspection->requesters[i];
        char name[REQUESTER_TEXT];
        if (!(r->flags & DAM_REQ_ATS) || requester_unit_off(r->unit))
            continue;
        if (s->json != NULL) {
            json_out_value(s->json, NULL, json_object_new_string(requester_text(r, name)));
            continue;
        }
        printf("%s%s",
               *separator == '\0' ? "Trusted with translated addresses (ATS), by which a faulty device "
                                    "reaches anything: "
                                  : separator,
               requester_text(r, name));
        separator = ", ";
    }
    if (*separator != '\0')
        putchar('\n');
}

// Requester ids that would pass, if there were anybody to use them.
static void list_vacant(struct reach *s)
{
    for (size_t i = 0; i < s->inspection->requester_count; i++) {
        const struct inspect_requester *r = &s->inspection->requesters[i];
        char name[REQUESTER_TEXT], more[REQUESTER_MORE];
        if (!r->vacant || requester_unit_off(r->unit))
            continue;
        if (s->json != NULL)
            json_out_value(s->json, NULL, json_object_new_string(requester_text(r, name)));
        else
            text_print(
                TEXT_FAINT,
                "Not counted: %s%s would pass untranslated, but the dead kernel knew no such function\n",
                requester_text(r, name), requester_more(r, more));
    }
}

// ---- the sum ---------------------------------------------------------------------------------------------
static bool nobody_known(const struct reach *s)
{
    return s->readers == 0 && s->writers == 0 && s->others == 0;
}

static bool nobody(const struct reach *s)
{
    return nobody_known(s) && s->unknown == 0 && !s->gaps && !s->guessed;
}

static void print_sum(const struct reach *s)
{
    if (nobody(s)) {
        text_print(TEXT_GOOD, "Nobody could reach it: the tables of all %zu requesters are in the dump.\n",
                   s->inspection->requester_count);
        return;
    }
    if (nobody_known(s))
        printf("Nobody that is known could reach it");
    else
        printf("%" PRIu64 " requester%s could read it, %" PRIu64 " could write it", s->readers,
               s->readers == 1 ? "" : "s", s->writers);
    if (s->others != 0)
        printf(", and everything behind %" PRIu64 " unit%s whose translation was off", s->others,
               s->others == 1 ? "" : "s");
    if (s->unknown != 0)
        text_print(TEXT_WARN, "; incomplete: of %" PRIu64 " the tables are not all in the dump", s->unknown);
    else if (s->gaps)
        text_print(TEXT_WARN, "; incomplete: what the dump does not hold may tell of more");
    if (s->guessed)
        text_print(TEXT_WARN, "; where the tables are was guessed, there may be others");
    puts(".");
}

static dam_err reach_all(struct reach *s)
{
    struct inspection *in = s->inspection;
    dam_err err = DAM_OK;
    if (s->json != NULL)
        json_out_list(s->json, "groups");
    progress_begin("reading page tables", 0);
    for (size_t i = 0; i < in->tree_count && err == DAM_OK; i++)
        if (in->trees[i]->requesters != 0 && !requester_unit_off(in->trees[i]->unit))
            err = reach_tree(s, in->trees[i]);
    progress_end();
    if (err != DAM_OK)
        return err;
    if (s->json != NULL) {
        json_out_end(s->json);
        json_out_list(s->json, "unknown");
    }
    list_unknown(s);
    if (s->json != NULL) {
        json_out_end(s->json);
        json_out_list(s->json, "units_off");
    }
    list_units_off(s);
    if (s->json != NULL) {
        json_out_end(s->json);
        json_out_list(s->json, "trusted");
    }
    list_trusted(s);
    if (s->json != NULL) {
        json_out_end(s->json);
        json_out_list(s->json, "vacant");
    }
    list_vacant(s);
    return err;
}

static int reach(struct reach *s)
{
    struct json_out out;
    char size[TEXT_SIZE];
    if (s->json != NULL) {
        s->json = &out;
        show_json_begin(&out, s->call, s->inspection);
        json_out_hex(&out, "first", s->first);
        json_out_hex(&out, "last", s->last);
    } else {
        text_print(TEXT_HEAD, "Memory 0x%" PRIx64 "-0x%" PRIx64 " (%s)\n", s->first, s->last,
                   text_size(s->last - s->first + 1, size));
    }
    s->gaps = s->inspection->incomplete; // of opening: walks look after their own
    for (size_t i = 0; i < s->inspection->unit_count; i++)
        s->guessed |= s->inspection->units[i].origin == ORIGIN_GUESS;
    dam_err err = reach_all(s);
    if (s->json != NULL) {
        while (out.depth > 1)
            json_out_end(&out);
        json_out_number(&out, "readers", s->readers);
        json_out_number(&out, "writers", s->writers);
        json_out_bool(&out, "nobody", err == DAM_OK && nobody(s));
        json_out_bool(&out, "guessed", s->guessed);
        show_json_end(&out, s->unknown != 0 || s->gaps);
    } else if (err == DAM_OK) {
        print_sum(s);
    }
    if (err != DAM_OK && !ferror(stdout))
        return verb_failed(s->call, err);
    // Units that were off are findings, as they are for the other verbs: what is behind them reaches
    // everything.
    return verb_finish_with(s->call, s->others != 0, s->unknown != 0 || s->gaps);
}

static int run(struct verb_call *call)
{
    struct inspection inspection;
    struct json_out unused;
    struct reach s = {.call = call, .inspection = &inspection, .json = call->json ? &unused : NULL};
    if (call->argc < 2)
        return verb_usage(call, "PHYS is missing");
    if (call->argc > 2)
        return verb_usage(call, "too many arguments: %s", call->argv[2]);
    if (!show_parse_range(call->argv[1], &s.first, &s.last))
        return verb_usage(call, "%s: not an address, FIRST-LAST (hexadecimal) or START+SIZE", call->argv[1]);
    s.range = (struct dam_range){s.first, s.last == UINT64_MAX ? s.last : s.last + 1};
    s.watch = (struct dam_ranges){&s.range, 1, 1};
    int status = verb_open(call, &inspection);
    s.names = pci_names_open(NULL);
    if (status == INSPECT_OK)
        status = reach(&s);
    pci_names_close(s.names);
    inspect_close(&inspection);
    return status;
}

const struct verb verb_reach = {
    .name = "reach",
    .arguments = "PHYS[-LAST] | PHYS+SIZE",
    .summary = "Tell who could read or write a piece of memory, at which DMA addresses",
    .help =
        "  PHYS                  a physical address, in hexadecimal\n"
        "  PHYS-LAST             from PHYS to LAST, which is inside\n"
        "  PHYS+SIZE             SIZE bytes from PHYS on: decimal with K, M or G, or hexadecimal with 0x\n"
        "\"Nobody\" is said only when the dump holds the tables of every requester.\n"
        "Exit status 0 also when somebody could; 4 when tables are not in the dump.\n",
    .run = run,
};

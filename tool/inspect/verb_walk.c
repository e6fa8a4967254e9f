// SPDX-License-Identifier: MIT
// The tables themselves, entry by entry: the way to one address, or what a requester's tables hold.
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kind.h"
#include "inspect/progress.h"
#include "inspect/show.h"
#include "inspect/walk_tables.h"

#define DECODED 1024

static void print_words(const uint64_t *raw, unsigned words, const char *what, dam_pa at, const char *decoded)
{
    text_print(TEXT_HEAD, "%s", what);
    printf(" at 0x%" PRIx64 ": %s\n   ", at.v, decoded);
    for (unsigned i = 0; i < words; i++)
        printf("%s0x%016" PRIx64, i != 0 && i % 4 == 0 ? "\n    " : " ", raw[i]);
    putchar('\n');
}

static void print_way_to_entry(const struct inspect_requester *r)
{
    struct entry_fields fields;
    char decoded[DECODED];
    for (unsigned i = 0; i < r->step_count; i++) {
        const struct inspect_step *step = &r->steps[i];
        r->unit->kind->step_fields(r, step, &fields);
        print_words(step->raw, step->words, step->what, step->address,
                    entry_fields_text(&fields, decoded, sizeof decoded));
    }
    if (r->words == 0)
        return;
    r->unit->kind->entry_fields(r, &fields);
    print_words(r->raw, r->words, r->unit->kind->entry_name(r), r->address,
                entry_fields_text(&fields, decoded, sizeof decoded));
}

static struct json_object *words_json(const uint64_t *raw, unsigned words, const char *what, dam_pa at,
                                      const struct entry_fields *fields)
{
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();
    json_put_text(o, "what", what);
    json_put_hex(o, "at", at.v);
    for (unsigned i = 0; i < words; i++) {
        char text[24];
        snprintf(text, sizeof text, "0x%" PRIx64, raw[i]);
        json_object_array_add(list, json_object_new_string(text));
    }
    json_object_object_add(o, "raw", list);
    json_object_object_add(o, "decoded", entry_fields_json(fields));
    return o;
}

static void json_way_to_entry(struct json_out *out, const struct inspect_requester *r)
{
    struct entry_fields fields;
    json_out_list(out, "steps");
    for (unsigned i = 0; i < r->step_count; i++) {
        const struct inspect_step *step = &r->steps[i];
        r->unit->kind->step_fields(r, step, &fields);
        json_out_value(out, NULL, words_json(step->raw, step->words, step->what, step->address, &fields));
    }
    if (r->words != 0) {
        r->unit->kind->entry_fields(r, &fields);
        json_out_value(out, NULL,
                       words_json(r->raw, r->words, r->unit->kind->entry_name(r), r->address, &fields));
    }
    json_out_end(out);
}

// ---- one address -----------------------------------------------------------------------------------------
static void print_level(const struct inspect_level *at)
{
    text_print(TEXT_HEAD, "%s %u", show_entry_name(at->level), at->index);
    if (!at->known) {
        printf(" of the %s at 0x%" PRIx64 ": ", show_table_name(at->level), at->table.v);
        text_print(TEXT_FAINT, "not in the dump\n");
        return;
    }
    printf(" at 0x%" PRIx64 ": ", at->address.v);
    walk_print_entry(at->level, &at->entry);
    printf("\n    0x%016" PRIx64 "\n", at->raw);
}

static void print_end(const struct inspect_way *way, const struct inspect_tree *tree)
{
    switch (way->end) {
    case WAY_MAPPED:
        text_print(TEXT_HEAD, "=> 0x%" PRIx64, way->addr);
        printf(", %s\n", text_rights(way->r, way->w));
        break;
    case WAY_NOT_MAPPED:
        printf("=> not mapped\n");
        break;
    case WAY_UNKNOWN:
        printf("=> unknown: the dump does not hold the table\n");
        break;
    case WAY_BROKEN:
        text_print(TEXT_BAD, "=> broken: refused\n");
        break;
    case WAY_BEYOND:
        printf("=> not mapped: beyond the %u bits that are translated\n", show_iova_bits(tree));
        break;
    }
}

static struct json_object *level_json(const struct inspect_level *at)
{
    struct json_object *o = json_object_new_object();
    json_put_number(o, "level", at->level);
    json_put_text(o, "name", show_entry_name(at->level));
    json_put_number(o, "index", at->index);
    json_put_hex(o, "table", at->table.v);
    json_put_hex(o, "at", at->address.v);
    json_put_bool(o, "known", at->known);
    if (at->known) {
        json_put_hex(o, "raw", at->raw);
        walk_put_entry(o, at->level, &at->entry);
    }
    return o;
}

static int walk_address(const struct verb_call *call, struct inspection *inspection,
                        const struct inspect_requester *r, uint64_t iova, struct json_out *out)
{
    struct inspect_way way;
    dam_err err = inspect_follow(inspection, r->tree, iova, &way);
    if (err != DAM_OK && call->json)
        show_json_end(out, false);
    if (err != DAM_OK)
        return verb_failed(call, err);
    if (!call->json) {
        printf("IOVA 0x%" PRIx64 "\n", iova);
        for (unsigned i = 0; i < way.count; i++)
            print_level(&way.at[i]);
        print_end(&way, r->tree);
        return verb_finish_with(call, way.end == WAY_BROKEN, way.end == WAY_UNKNOWN);
    }
    json_out_hex(out, "iova", iova);
    json_out_list(out, "levels");
    for (unsigned i = 0; i < way.count; i++)
        json_out_value(out, NULL, level_json(&way.at[i]));
    json_out_end(out);
    json_out_text(out, "answer", show_way_end(way.end));
    if (way.end == WAY_MAPPED) {
        json_out_hex(out, "address", way.addr);
        json_out_bool(out, "readable", way.r);
        json_out_bool(out, "writable", way.w);
    }
    show_json_end(out, way.end == WAY_UNKNOWN);
    return verb_finish_with(call, way.end == WAY_BROKEN, way.end == WAY_UNKNOWN);
}

// ---- the verb --------------------------------------------------------------------------------------------
struct options {
    const char *requester;
    bool has_iova;
    uint64_t iova;
    struct walk_limits limits;
};

static int walk_requester(const struct verb_call *call, struct inspection *inspection,
                          const struct inspect_requester *r, const struct options *options)
{
    struct json_out out;
    const char *problem = requester_problem(r);
    if (call->json) {
        show_json_begin(&out, call, inspection);
        json_out_value(&out, "requester", requester_json(r));
        json_way_to_entry(&out, r);
    } else {
        show_requester(inspection, r);
        print_way_to_entry(r);
    }
    if (problem == NULL && options->has_iova)
        return walk_address(call, inspection, r, options->iova, &out);
    if (problem == NULL && r->tree->stage != DAM_STAGE_PASSTHROUGH)
        return walk_tables(call, inspection, r, &options->limits, &out);
    if (call->json)
        show_json_end(&out, r->unknown);
    else if (problem != NULL)
        printf("=> %s: %s\n", r->unknown ? "unknown" : "nothing", problem);
    else
        printf("=> pass-through: every address leads to itself, %s\n", show_rights(r->tree->r, r->tree->w));
    return verb_finish_with(call, problem != NULL && !r->unknown, r->unknown);
}

static int parse_options(struct verb_call *call, struct options *options)
{
    static const struct option longs[] = {
        {"depth", required_argument, NULL, 'd'},
        {"all", no_argument, NULL, 'a'},
        {NULL, 0, NULL, 0},
    };
    int option;
    optind = 0;
    while ((option = getopt_long(call->argc, call->argv, ":", longs, NULL)) != -1) {
        if (option == 'a')
            options->limits.all = true;
        else if (option != 'd')
            return verb_usage(call, option == ':' ? "%s needs an argument" : "unknown option %s",
                              call->argv[optind - 1]);
        else if (optarg[0] < '1' || optarg[0] > '6' || optarg[1] != '\0')
            return verb_usage(call, "--depth %s: not a number of levels, 1 to 6", optarg);
        else
            options->limits.depth = (unsigned)(optarg[0] - '0');
    }
    int left = call->argc - optind;
    if (left == 0)
        return verb_usage(call, "REQUESTER is missing");
    if (left > 2)
        return verb_usage(call, "too many arguments: %s", call->argv[optind + 2]);
    options->requester = call->argv[optind];
    options->has_iova = left == 2;
    if (left == 2 && !show_parse_address(call->argv[optind + 1], &options->iova))
        return verb_usage(call, "%s: not an address (hexadecimal)", call->argv[optind + 1]);
    return INSPECT_OK;
}

static int run(struct verb_call *call)
{
    struct options options = {.limits.depth = 2};
    int status = parse_options(call, &options);
    if (status != INSPECT_OK)
        return status;
    struct inspection inspection;
    struct inspect_requester *r;
    status = verb_open(call, &inspection);
    if (status == INSPECT_OK)
        status = show_find(call, &inspection, options.requester, &r);
    if (status == INSPECT_OK)
        status = walk_requester(call, &inspection, r, &options);
    inspect_close(&inspection);
    return status;
}

const struct verb verb_walk = {
    .name = "walk",
    .arguments = "REQUESTER [IOVA] [--depth N] [--all]",
    .summary = "Show the tables as the hardware saw them, entry by entry",
    .help =
        "  REQUESTER             [SSSS:]BB:DD.F[@PASID]; without a PASID: its requests without one\n"
        "  IOVA                  the address that the device sends, in hexadecimal: its way, entry by "
        "entry.\n"
        "                        Without it, the entries in use of the upper tables\n"
        "      --depth N         levels to show, from the first table with more than one entry on: 1 to 6;\n"
        "                        2 is the default\n"
        "      --all             every entry of a table, and every table; else 40 lines of 32 tables\n",
    .run = run,
};

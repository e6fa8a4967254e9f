// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "inspect/debugfs.h"
#include "inspect/progress.h"
#include "inspect/show.h"

struct ranges {
    const struct inspect_requester *r;
    struct json_out *json; // NULL: text
    int iova_digits, address_digits;
    uint64_t count, readable, writable, unknown, broken;
};

static void count_range(struct ranges *s, const struct inspect_range *range)
{
    if (range->kind == INSPECT_UNKNOWN) {
        inspect_sum(&s->unknown, range->size);
    } else if (range->kind == INSPECT_BROKEN) {
        inspect_sum(&s->broken, range->size);
    } else {
        s->count++;
        inspect_sum(&s->readable, range->r ? range->size : 0);
        inspect_sum(&s->writable, range->w ? range->size : 0);
    }
}

static void print_range(const struct ranges *s, const struct inspect_range *range)
{
    char size[TEXT_SIZE];
    text_size(range->size, size);
    printf("0x%0*" PRIx64 "-0x%0*" PRIx64 "  %10s  ", s->iova_digits, range->iova, s->iova_digits,
           range->iova + (range->size - 1), size);
    if (range->kind == INSPECT_MAPPED) {
        text_print(range->w ? TEXT_WARN : TEXT_PLAIN, "%-2s", text_rights(range->r, range->w));
        printf("  0x%0*" PRIx64 "-0x%0*" PRIx64 "\n", s->address_digits, range->addr, s->address_digits,
               range->addr + (range->size - 1));
    } else if (range->kind == INSPECT_UNKNOWN) {
        text_print(TEXT_FAINT, "?   unknown: the dump does not hold the table\n");
    } else {
        text_print(TEXT_BAD, "!   broken entry: refused\n");
    }
}

static dam_err visit(void *ctx, const struct inspect_range *range)
{
    struct ranges *s = ctx;
    progress_wipe();
    count_range(s, range);
    if (s->json != NULL)
        json_out_value(s->json, NULL, show_range_json(range));
    else
        print_range(s, range);
    return show_go_on();
}

static void print_head(const struct inspection *inspection, const struct ranges *s)
{
    show_requester(inspection, s->r);
    if (s->r->tree->stage == DAM_STAGE_PASSTHROUGH)
        printf("Pass-through: every address leads to itself, %s. Memory of the machine:\n",
               show_rights(s->r->tree->r, s->r->tree->w));
    text_print(TEXT_HEAD, "%-*s  %10s  %-2s  %s\n", 2 * s->iova_digits + 5, "IOVA", "size", "", "memory");
}

static void print_sum(const struct ranges *s)
{
    char readable[TEXT_SIZE], writable[TEXT_SIZE], size[TEXT_SIZE];
    if (s->count == 0)
        printf("Nothing%s is mapped.\n", s->unknown != 0 ? " that is known" : "");
    else
        printf("%" PRIu64 " range%s: %s readable, %s writable.\n", s->count, s->count == 1 ? "" : "s",
               text_size(s->readable, readable), text_size(s->writable, writable));
    if (s->broken != 0)
        text_print(TEXT_BAD, "Broken entries: %s of addresses; \"findings\" lists them.\n",
                   text_size(s->broken, size));
    if (s->unknown != 0)
        text_print(TEXT_WARN, "Incomplete: what %s of addresses lead to is not in the dump.\n",
                   text_size(s->unknown, size));
}

static void put_sum(struct json_out *out, const struct ranges *s)
{
    json_out_end(out);
    json_out_number(out, "readable_bytes", s->readable);
    json_out_number(out, "writable_bytes", s->writable);
    json_out_number(out, "unknown_bytes", s->unknown);
    json_out_number(out, "broken_bytes", s->broken);
}

static void begin_json(struct json_out *out, const struct verb_call *call,
                       const struct inspection *inspection, const struct inspect_requester *r)
{
    show_json_begin(out, call, inspection);
    json_out_value(out, "requester", requester_json(r));
    json_out_list(out, "ranges");
}

static int no_tables(const struct verb_call *call, const struct inspection *inspection,
                     const struct inspect_requester *r, const char *problem)
{
    const struct ranges none = {0};
    struct json_out out;
    if (call->json) {
        begin_json(&out, call, inspection, r);
        put_sum(&out, &none);
        show_json_end(&out, r->unknown);
    } else {
        show_requester(inspection, r);
        printf("%s: %s\n", r->unknown ? "Unknown" : "Nothing is mapped", problem);
    }
    return verb_finish_with(call, !r->unknown && r->kind == DAM_OLD_BROKEN, r->unknown);
}

static int show(const struct verb_call *call, struct inspection *inspection,
                const struct inspect_requester *r)
{
    const char *problem = requester_problem(r);
    if (problem != NULL)
        return no_tables(call, inspection, r, problem);
    struct json_out out;
    struct ranges s = {.r = r,
                       .json = call->json ? &out : NULL,
                       .iova_digits = show_iova_digits(r->tree),
                       .address_digits = (r->unit->host_address_width + 3) / 4};
    struct inspect_visitor visitor = {.ctx = &s, .range = visit};
    if (call->json) {
        begin_json(&out, call, inspection, r);
    } else {
        print_head(inspection, &s);
    }
    progress_begin("reading page tables", 0);
    dam_err err = inspect_walk(inspection, r->tree, &visitor);
    progress_end();
    if (call->json) {
        put_sum(&out, &s);
        show_json_end(&out, s.unknown != 0);
    } else if (err == DAM_OK) {
        print_sum(&s);
    }
    if (err != DAM_OK && !ferror(stdout))
        return verb_failed(call, err);
    return verb_finish_with(call, s.broken != 0, s.unknown != 0);
}

struct options {
    enum debugfs_layout layout;
};

static int parse_options(struct verb_call *call, struct options *options)
{
    static const struct option longs[] = {
        {"debugfs", optional_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    int option;
    optind = 0;
    while ((option = getopt_long(call->argc, call->argv, ":", longs, NULL)) != -1) {
        if (option != 'd')
            return verb_usage(call, "unknown option %s", call->argv[optind - 1]);
        options->layout = debugfs_layout_of(optarg);
        if (options->layout == DEBUGFS_NONE)
            return verb_usage(call, "--debugfs=%s: no such layout (6.1 or 6.12)", optarg);
    }
    if (options->layout != DEBUGFS_NONE && call->json)
        return verb_usage(call, "--debugfs and --json exclude each other");
    if (optind == call->argc)
        return verb_usage(call, "REQUESTER is missing");
    if (optind + 1 < call->argc)
        return verb_usage(call, "too many arguments: %s", call->argv[optind + 1]);
    return INSPECT_OK;
}

static int run(struct verb_call *call)
{
    struct options options = {DEBUGFS_NONE};
    int status = parse_options(call, &options);
    if (status != INSPECT_OK)
        return status;
    const char *name = call->argv[optind];
    struct inspection inspection;
    struct inspect_requester *r;
    status = verb_open(call, &inspection);
    if (status == INSPECT_OK)
        status = show_find(call, &inspection, name, &r);
    if (status == INSPECT_OK)
        status = options.layout != DEBUGFS_NONE ? debugfs_print(call, &inspection, r, options.layout)
                                                : show(call, &inspection, r);
    inspect_close(&inspection);
    return status;
}

const struct verb verb_ranges = {
    .name = "ranges",
    .arguments = "REQUESTER [--debugfs[=6.1|6.12]]",
    .summary = "List all that a requester could reach: DMA addresses, memory, rights",
    .help = "  REQUESTER             [SSSS:]BB:DD.F[@PASID]; without a PASID: its requests without one\n"
            "      --debugfs[=6.1|6.12]\n"
            "                        each mapping with its table entries, in the layout of Linux'\n"
            "                        /sys/kernel/debug/iommu/intel/.../domain_translation_struct\n",
    .run = run,
};

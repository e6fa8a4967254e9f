// SPDX-License-Identifier: MIT
#include <inttypes.h>

#include "inspect/progress.h"
#include "inspect/show.h"

// Why it ends there, as far as the last entry tells.
static void print_reason(const struct inspect_requester *r, const struct inspect_way *way)
{
    const struct inspect_level *last = way->count != 0 ? &way->at[way->count - 1] : NULL;
    if (way->end == WAY_BEYOND) {
        printf(": beyond the %u bits that are translated", show_iova_bits(r->tree));
    } else if (last == NULL) {
        return;
    } else if (!last->known) {
        printf(": the dump does not hold the %s at 0x%" PRIx64, show_table_name(last->level), last->table.v);
    } else {
        printf(": the %s at 0x%" PRIx64 " is 0x%" PRIx64, show_entry_name(last->level), last->address.v,
               last->raw);
        if (way->end == WAY_BROKEN)
            printf(", %s", last->entry.kind == PT_TABLE  ? "which leads outside all memory"
                           : last->entry.kind == PT_LEAF ? "not alike the other entries of its page"
                                                         : "with reserved bits set");
    }
}

static void print_answer(const struct inspect_requester *r, uint64_t iova, const struct inspect_way *way)
{
    char name[REQUESTER_TEXT], size[TEXT_SIZE];
    text_print(TEXT_HEAD, "%s", requester_text(r, name));
    printf(" 0x%" PRIx64 ": ", iova);
    if (way->end != WAY_MAPPED) {
        text_print(way->end == WAY_NOT_MAPPED ? TEXT_GOOD
                   : way->end == WAY_UNKNOWN  ? TEXT_FAINT
                                              : TEXT_BAD,
                   "%s", way->end == WAY_BEYOND ? "not mapped" : show_way_end(way->end));
        print_reason(r, way);
        putchar('\n');
        return;
    }
    text_print(TEXT_HEAD, "0x%" PRIx64, way->addr);
    printf(", ");
    text_print(way->w ? TEXT_WARN : TEXT_PLAIN, "%s", show_rights(way->r, way->w));
    if (way->count != 0)
        printf(", in a page of %s", text_size(inspect_page_size(way), size));
    else
        printf(", pass-through");
    putchar('\n');
}

static void print_json(const struct verb_call *call, const struct inspection *inspection,
                       const struct inspect_requester *r, uint64_t iova, const struct inspect_way *way)
{
    struct json_out out;
    show_json_begin(&out, call, inspection);
    json_out_value(&out, "requester", requester_json(r));
    json_out_hex(&out, "iova", iova);
    json_out_text(&out, "answer", way != NULL ? show_way_end(way->end) : r->unknown ? "unknown" : "broken");
    if (way != NULL && way->end == WAY_MAPPED) {
        json_out_hex(&out, "address", way->addr);
        json_out_bool(&out, "readable", way->r);
        json_out_bool(&out, "writable", way->w);
        if (way->count != 0)
            json_out_number(&out, "page_size", inspect_page_size(way));
    }
    show_json_end(&out, way != NULL ? way->end == WAY_UNKNOWN : r->unknown);
}

static int answer(const struct verb_call *call, struct inspection *inspection,
                  const struct inspect_requester *r, uint64_t iova)
{
    struct inspect_way way;
    const char *problem = requester_problem(r);
    if (problem == NULL) {
        dam_err err = inspect_follow(inspection, r->tree, iova, &way);
        if (err != DAM_OK)
            return verb_failed(call, err);
    }
    if (call->json) {
        print_json(call, inspection, r, iova, problem == NULL ? &way : NULL);
    } else if (problem == NULL) {
        show_requester(inspection, r);
        print_answer(r, iova, &way);
    } else {
        show_requester(inspection, r);
        printf("%s 0x%" PRIx64 ": ", call->argv[1], iova); // r may stand for it
        text_print(r->unknown ? TEXT_FAINT : TEXT_BAD, "%s", r->unknown ? "unknown" : "broken");
        printf(": %s\n", problem);
    }
    if (problem != NULL)
        return verb_finish_with(call, !r->unknown, r->unknown);
    return verb_finish_with(call, way.end == WAY_BROKEN, way.end == WAY_UNKNOWN);
}

static int run(struct verb_call *call)
{
    uint64_t iova;
    if (call->argc < 3)
        return verb_usage(call, "REQUESTER and IOVA are needed");
    if (call->argc > 3)
        return verb_usage(call, "too many arguments: %s", call->argv[3]);
    if (!show_parse_address(call->argv[2], &iova))
        return verb_usage(call, "%s: not an address (hexadecimal)", call->argv[2]);
    struct inspection inspection;
    struct inspect_requester *r;
    int status = verb_open(call, &inspection);
    if (status == INSPECT_OK)
        status = show_find(call, &inspection, call->argv[1], &r);
    if (status == INSPECT_OK)
        status = answer(call, &inspection, r, iova);
    inspect_close(&inspection);
    return status;
}

const struct verb verb_translate = {
    .name = "translate",
    .arguments = "REQUESTER IOVA",
    .summary = "Tell where one DMA address of a requester leads, and with which rights",
    .help = "  REQUESTER             [SSSS:]BB:DD.F[@PASID]; without a PASID: its requests without one\n"
            "  IOVA                  the address that the device sends, in hexadecimal\n"
            "Exit status 0 also when it is not mapped; 4 when it is unknown; 1 when an entry is broken.\n",
    .run = run,
};

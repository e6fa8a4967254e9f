// SPDX-License-Identifier: MIT
#include "inspect/walk_tables.h"

#include <inttypes.h>

#include "inspect/progress.h"
#include "inspect/show.h"

#define MAX_LINES   40u
#define MAX_TABLES  32u
#define MOST_TABLES (1u << 20) // with --all: tables that lead back to themselves have no end

struct walk {
    struct inspection *inspection;
    const struct inspect_tree *tree;
    const struct walk_limits *limits;
    struct json_out *json; // NULL: text
    uint64_t shown, passed_over;
    bool unknown, broken;
};

// Entries of a table that say the same of neighbours: leaves one behind the other.
struct run {
    unsigned index, count;
    uint64_t raw;
    struct pt_entry entry; // of a page of several entries: addr of all of it
};

static const char *kind_name(const struct pt_entry *entry)
{
    static const char *const names[] = {
        [PT_EMPTY] = "empty", [PT_TABLE] = "table", [PT_LEAF] = "page", [PT_BAD] = "broken"};
    return names[entry->kind];
}

void walk_print_entry(unsigned level, const struct pt_entry *entry)
{
    char size[TEXT_SIZE];
    switch (entry->kind) {
    case PT_EMPTY:
        printf("empty");
        break;
    case PT_TABLE:
        printf("%s at 0x%" PRIx64 ", %s", show_table_name(level - 1 - entry->skip), entry->addr,
               text_rights(entry->r, entry->w));
        if (entry->skip)
            printf(", %u level%s left out", entry->skip, entry->skip > 1 ? "s" : "");
        break;
    case PT_LEAF:
        printf("page of %s at 0x%" PRIx64 ", %s", text_size(pt_span(level) << entry->run, size), entry->addr,
               text_rights(entry->r, entry->w));
        break;
    case PT_BAD:
        text_print(TEXT_BAD, "%s: refused",
                   entry->run ? "the entries of its page are not alike" : "reserved bits are set");
        break;
    }
}

void walk_put_entry(struct json_object *object, unsigned level, const struct pt_entry *entry)
{
    json_put_text(object, "kind", kind_name(entry));
    if (entry->kind == PT_TABLE || entry->kind == PT_LEAF) {
        json_put_hex(object, "address", entry->addr);
        json_put_bool(object, "readable", entry->r);
        json_put_bool(object, "writable", entry->w);
    }
    if (entry->kind == PT_LEAF)
        json_put_number(object, "page_size", pt_span(level) << entry->run);
    if (entry->kind == PT_TABLE && entry->skip)
        json_put_number(object, "levels_left_out", entry->skip);
}

// IOVAs of the upper half have their sign in the bits above.
static uint64_t extend(const struct walk *w, uint64_t iova)
{
    unsigned bits = DAM_PAGE_SHIFT + 9u * w->tree->params.levels;
    return w->tree->params.canonical && bits < 64 && iova >> (bits - 1) ? iova | ~0ull << bits : iova;
}

static void show_run(const struct walk *w, unsigned level, uint64_t iova, const struct run *run)
{
    uint64_t first = extend(w, iova + run->index * pt_span(level)), size = run->count * pt_span(level);
    if (w->json != NULL) {
        struct json_object *o = json_object_new_object();
        json_put_number(o, "index", run->index);
        json_put_number(o, "count", run->count);
        json_put_hex(o, "raw", run->raw);
        json_put_hex(o, "iova", first);
        json_put_number(o, "size", size);
        walk_put_entry(o, level, &run->entry);
        json_out_value(w->json, NULL, o);
        return;
    }
    char index[16];
    if (run->count == 1)
        snprintf(index, sizeof index, "%u", run->index);
    else
        snprintf(index, sizeof index, "%u-%u", run->index, run->index + run->count - 1);
    int digits = show_iova_digits(w->tree);
    printf("  %7s  0x%016" PRIx64 "  0x%0*" PRIx64 "-0x%0*" PRIx64 "  ", index, run->raw, digits, first,
           digits, first + (size - 1));
    walk_print_entry(level, &run->entry);
    if (run->entry.kind == PT_LEAF && run->count > 1u << run->entry.run)
        printf(", and on");
    putchar('\n');
}

// Whether entry `index` goes on where the run ends.
static bool goes_on(const struct run *run, unsigned level, unsigned index, const struct pt_entry *entry)
{
    unsigned part = index % (1u << entry->run);
    return run->count != 0 && run->entry.kind == PT_LEAF && entry->kind == PT_LEAF &&
           entry->r == run->entry.r && entry->w == run->entry.w && entry->run == run->entry.run &&
           entry->addr + part * pt_span(level) == run->entry.addr + run->count * pt_span(level);
}

// What entry `index` says, with the others of its page: when these are not all alike it is broken.
static struct pt_entry entry_of(const struct walk *w, const uint64_t *entries, unsigned level, unsigned index)
{
    struct pt_entry e = w->tree->format.decode(&w->tree->params, entries[index], level);
    unsigned count = 1u << e.run, first = index / count * count;
    for (unsigned i = first; e.kind == PT_LEAF && i < first + count; i++) {
        struct pt_entry other = w->tree->format.decode(&w->tree->params, entries[i], level);
        if (other.kind != PT_LEAF || other.run != e.run || other.addr != e.addr || other.r != e.r ||
            other.w != e.w)
            e.kind = PT_BAD;
    }
    return e;
}

// All runs of a table; shows up to `lines` of them. Returns how many there are.
static unsigned each_run(struct walk *w, const uint64_t *entries, unsigned level, uint64_t iova,
                         unsigned lines)
{
    struct run run = {0};
    unsigned count = 0;
    for (unsigned i = 0; i <= pt_reach(level); i++) {
        struct pt_entry entry = {.kind = PT_EMPTY};
        if (i < pt_reach(level))
            entry = entry_of(w, entries, level, i);
        if (goes_on(&run, level, i, &entry)) {
            run.count++;
            continue;
        }
        if (run.count != 0 && count++ < lines)
            show_run(w, level, iova, &run);
        run.count = 0;
        if (entry.kind == PT_EMPTY)
            continue;
        w->broken |= entry.kind == PT_BAD;
        run = (struct run){i, 1, entries[i], entry};
    }
    return count;
}

static void begin_table(const struct walk *w, unsigned level, uint64_t at, uint64_t iova)
{
    if (w->json == NULL) {
        putchar('\n');
        text_print(TEXT_HEAD, "%s at 0x%" PRIx64, show_table_name(level), at);
        return;
    }
    json_out_object(w->json, NULL);
    json_out_number(w->json, "level", level);
    json_out_text(w->json, "name", show_table_name(level));
    json_out_hex(w->json, "at", at);
    json_out_hex(w->json, "iova", extend(w, iova));
}

static void show_absent(struct walk *w, dam_err err)
{
    bool absent = err != DAM_E_RANGE;
    w->unknown |= absent;
    w->broken |= !absent;
    if (w->json != NULL) {
        json_out_bool(w->json, "known", false);
        json_out_end(w->json);
    } else {
        text_print(absent ? TEXT_FAINT : TEXT_BAD, ": %s\n",
                   absent ? "not in the dump" : "outside all memory");
    }
}

static void show_table(struct walk *w, const uint64_t *entries, unsigned level, uint64_t iova)
{
    unsigned lines = w->limits->all ? PT_ENTRIES : MAX_LINES;
    if (w->json != NULL) {
        json_out_bool(w->json, "known", true);
        json_out_list(w->json, "entries");
    } else {
        printf(", entries in use:\n");
    }
    unsigned count = each_run(w, entries, level, iova, lines);
    if (w->json != NULL) {
        json_out_end(w->json);
        json_out_number(w->json, "more", count > lines ? count - lines : 0);
        json_out_end(w->json);
    } else if (count == 0) {
        printf("  none\n");
    } else if (count > lines) {
        printf("  and %u more (--all shows them)\n", count - lines);
    }
}

static unsigned count_used(const struct walk *w, const uint64_t *entries, unsigned level)
{
    unsigned used = 0;
    for (unsigned i = 0; i < pt_reach(level); i++)
        used += w->tree->format.decode(&w->tree->params, entries[i], level).kind != PT_EMPTY;
    return used;
}

// depth: levels that may still be shown; a table with a single entry costs none.
// NOLINTNEXTLINE(misc-no-recursion): the level goes down at each step
static void walk_table(struct walk *w, uint64_t at, unsigned level, uint64_t iova, unsigned depth)
{
    uint64_t entries[PT_ENTRIES];
    if (show_go_on() != DAM_OK)
        return;
    if (w->shown >= (w->limits->all ? MOST_TABLES : MAX_TABLES)) {
        w->passed_over++;
        return;
    }
    w->shown++;
    begin_table(w, level, at, iova);
    dam_err err = memory_read(w->inspection->memory, dam_pa_of(at), entries, sizeof entries);
    if (err != DAM_OK) {
        show_absent(w, err);
        return;
    }
    show_table(w, entries, level, iova);
    if (count_used(w, entries, level) > 1 && --depth == 0)
        return;
    for (unsigned i = 0; i < pt_reach(level); i++) {
        struct pt_entry entry = w->tree->format.decode(&w->tree->params, entries[i], level);
        if (entry.kind == PT_TABLE && entry.skip < level)
            walk_table(w, entry.addr, level - 1 - entry.skip, iova + i * pt_span(level), depth);
    }
}

int walk_tables(const struct verb_call *call, struct inspection *inspection,
                const struct inspect_requester *r, const struct walk_limits *limits, struct json_out *out)
{
    struct walk w = {
        .inspection = inspection, .tree = r->tree, .limits = limits, .json = call->json ? out : NULL};
    if (call->json)
        json_out_list(out, "tables");
    walk_table(&w, r->tree->root.v, r->tree->params.levels - 1u, 0, limits->depth);
    if (call->json) {
        json_out_end(out);
        json_out_number(out, "tables_passed_over", w.passed_over);
        show_json_end(out, w.unknown);
    } else if (w.passed_over != 0) {
        printf("\nand %" PRIu64 " more tables (--all shows them)\n", w.passed_over);
    }
    if (progress_interrupted())
        return verb_failed(call, DAM_E_STATE);
    return verb_finish_with(call, w.broken, w.unknown);
}

// SPDX-License-Identifier: MIT
// Any bytes as the tables of a dead kernel, of VT-d or of AMD-Vi, in a dump that lacks some pages: open,
// audit, walk and follow them. Nothing may crash or run away, and the ways of asking must agree.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kind.h"
#include "lib/old_dump.h"

#define BASE  0x100000ull
#define PAGES 32u

static uint64_t tables[PAGES * PT_ENTRIES];
static struct old_dump dump;
static struct inspection in;

// Entries are given as (page, index, raw) of 12 bytes, so that the fuzzer reaches structure and not only
// noise.
static void fill(const uint8_t *data, size_t size)
{
    memset(tables, 0, sizeof tables);
    for (; size >= 12; data += 12, size -= 12) {
        uint64_t raw;
        unsigned page = data[0] % PAGES, index = (data[2] | (unsigned)data[3] << 8) % PT_ENTRIES;
        memcpy(&raw, data + 4, 8);
        if (data[1] & 1) // a pointer to one of our pages, as real tables have them
            raw = (raw & 0xFFF0000000000FFFull) | (BASE + (raw >> 12 & 0x3F) * DAM_PAGE_SIZE);
        // Some words of every table, so that few bytes fill it.
        for (unsigned i = index; i < PT_ENTRIES; i += data[1] & 2 ? 1 + (data[1] >> 4) : PT_ENTRIES)
            tables[page * PT_ENTRIES + i] = raw;
    }
}

struct checks {
    const struct inspect_tree *tree;
    uint64_t end; // of the last range
    bool any;
    uint64_t readable, writable, unknown;
    unsigned follows;
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void follow(const struct inspect_tree *tree, uint64_t iova, const struct inspect_range *r)
{
    struct inspect_way way;
    must(!inspect_follow(&in, tree, iova, &way));
    must(way.count <= PT_MAX_LEVELS && way.end != WAY_BEYOND);
    if (r->kind == INSPECT_MAPPED)
        must(way.end == WAY_MAPPED && way.addr == r->addr + (iova - r->iova) && way.r == r->r &&
             way.w == r->w);
    else if (r->kind == INSPECT_BROKEN)
        must(way.end == WAY_BROKEN);
    // A part that is unknown may be one that was not looked at: more tables than the dump has pages.
}

static dam_err check(void *ctx, const struct inspect_range *r)
{
    struct checks *c = ctx;
    must(r->size > 0 && (!c->any || (c->end != 0 && r->iova >= c->end)));
    c->any = true;
    c->end = r->iova + r->size;
    inspect_sum(&c->readable, r->r ? r->size : 0);
    inspect_sum(&c->writable, r->w ? r->size : 0);
    inspect_sum(&c->unknown, r->kind == INSPECT_UNKNOWN ? r->size : 0);
    if (c->follows++ < 64) {
        follow(c->tree, r->iova, r);
        follow(c->tree, r->iova + r->size - 1, r);
    }
    return DAM_OK;
}

static dam_err check_watched(void *ctx, const struct inspect_range *r)
{
    const struct dam_ranges *watch = ctx;
    must(r->kind == INSPECT_UNKNOWN ||
         (r->kind == INSPECT_MAPPED && dam_ranges_contain(watch, r->addr, r->size)));
    return DAM_OK;
}

static bool ran_out(void)
{
    for (size_t i = 0; i < in.finding_count; i++)
        if (in.findings[i].code == DAM_F_PT_BUDGET)
            return true;
    return false;
}

static void look(const struct inspect_tree *tree)
{
    struct checks c = {.tree = tree};
    const struct inspect_visitor all = {.ctx = &c, .range = check};
    must(!inspect_walk(&in, tree, &all));
    // With a budget that is used up the two may have stopped in different places.
    if (!in.findings_lost && !ran_out())
        must(c.readable == tree->readable && c.writable == tree->writable &&
             c.unknown == tree->unknown_bytes);
    struct dam_range storage[1] = {{BASE + 0x1800, BASE + 0x3800}};
    const struct dam_ranges watch = {storage, 1, 1};
    const struct inspect_visitor some = {.ctx = (void *)&watch, .range = check_watched, .watch = &watch};
    must(!inspect_walk(&in, tree, &some));
}

static void count(void *ctx, struct inspect_requester *r)
{
    (void)r;
    ++*(unsigned *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6)
        return 0;
    old_dump_begin(&dump, tables, BASE, sizeof tables);
    for (unsigned i = 0; i < PAGES; i++)
        dump.gone[i] = i > 0 && (data[2 + i / 8] >> i % 8 & 1) && (data[0] & 4);
    fill(data + 6, size - 6);
    // AMD's device table has its size from the data, too, and may reach beyond memory.
    bool amd = data[0] & 8;
    char table[40];
    snprintf(table, sizeof table, "0x100000,%uK", 4u * (1 + (data[0] >> 4) * 3u));
    const struct inspect_given vtd[] = {{&inspect_vtd, data[0] & 1 ? "0x100000,scalable" : "0x100000,legacy"},
                                        {&inspect_vtd, "0x101000"}};
    const struct inspect_given amdvi[] = {{&inspect_amdvi, data[0] & 1 ? table : "0x100000"},
                                          {&inspect_amdvi, "0x101000,4K"}};
    const struct inspect_given *roots = amd ? amdvi : vtd;
    const struct inspect_options options = {
        .path = "fuzz", .given = roots, .given_count = data[0] & 2 ? 2 : 1, .ignore_kernel = true};
    struct tool_error error;
    struct memory *memory = old_dump_open(&dump);
    must(memory != NULL && inspect_open_memory(memory, &options, &in, &error) == TOOL_OK);
    must(!inspect_audit_all(&in));
    for (size_t i = 0; i < in.tree_count && i < 16; i++)
        look(in.trees[i]);
    for (size_t i = 1; i < in.requester_count; i++)
        must(in.requesters[i - 1].rid <= in.requesters[i].rid);
    unsigned found = 0;
    must(inspect_find(&in, "00:02.0", count, &found) == (int)found);
    must(dump.reads < 1u << 20);
    inspect_close(&in);
    return 0;
}

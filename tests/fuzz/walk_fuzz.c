// SPDX-License-Identifier: MIT
// Any bytes as the page tables of a dead kernel, in every format of the list: audit, copy, freeze and cut
// them. Nothing may crash, run away, lead into the pool or keep-out memory, or be left to cut afterwards.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/formats.h"
#include "pgtable/audit.h"

#define OLD_BASE   0x40000000ull
#define OLD_PAGES  16u
#define POOL_BASE  0x40100000ull
#define POOL_PAGES 512u

static uint8_t old[OLD_PAGES * DAM_PAGE_SIZE];
static _Alignas(4096) uint8_t pool_bytes[POOL_PAGES * DAM_PAGE_SIZE];

static dam_err read_old(void *ctx, dam_pa pa, void *buf, size_t len)
{
    (void)ctx;
    if (pa.v < OLD_BASE || pa.v - OLD_BASE > sizeof(old) - len)
        abort();
    memcpy(buf, old + (pa.v - OLD_BASE), len);
    return DAM_OK;
}

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

// Entries are given as (page, index, raw) of 12 bytes: so that the fuzzer reaches structure and not only
// noise.
static void fill(const uint8_t *data, size_t size)
{
    memset(old, 0, sizeof(old));
    for (; size >= 12; data += 12, size -= 12) {
        uint64_t raw;
        unsigned page = data[0] % OLD_PAGES, index = (data[2] | (unsigned)data[3] << 8) % PT_ENTRIES;
        memcpy(&raw, data + 4, 8);
        if (data[1] & 1) // a pointer to one of our pages, as a real tree has them
            raw = (raw & 0xFFF0000000000FFFull) | (OLD_BASE + (raw >> 12 & 0x1F) * DAM_PAGE_SIZE);
        memcpy(old + page * DAM_PAGE_SIZE + index * 8, &raw, 8);
    }
}

static void check(const struct pt_memory *memory, struct pt_audit audit, dam_pa root, bool frozen)
{
    struct pt_budget budget = {4096, ~0ull};
    struct pt_memory ours = *memory;
    ours.ours = true;
    ours.budget = &budget;
    struct pt_audit again = audit;
    again.copy = false;
    again.memory = &ours;
    again.cuts = again.last_cut = NULL;
    again.cut_count = 0;
    again.readable = again.writable = again.cut_readable = again.cut_writable = 0;
    dam_err err = pt_audit(&again, root);
    if (err == DAM_E_BUDGET || err == DAM_E_NOMEM || err == DAM_E_BROKEN)
        return;
    if (err || again.cut_count || again.cut_readable || again.cut_writable || (frozen && again.writable))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct dam_ops ops = {.mem_read = read_old, .clock_us = no_time};
    struct dam_range storage[2];
    struct dam_ranges ram, keep_out;
    dam_ranges_init(&ram, storage, 1);
    dam_ranges_init(&keep_out, storage + 1, 1);
    struct dam_arena pool;
    memset(pool_bytes, 0, sizeof(pool_bytes));
    dam_arena_init(&pool, pool_bytes, dam_pa_of(POOL_BASE), sizeof(pool_bytes));
    if (dam_ranges_add(&ram, OLD_BASE, OLD_BASE + sizeof(old)) ||
        dam_ranges_add(&keep_out, POOL_BASE, POOL_BASE + sizeof(pool_bytes)))
        abort();
    struct pt_budget budget = {1024, ~0ull};
    struct pt_memory memory = {&ops, &ram, &pool, false, &budget};
    struct pt_format format;
    const struct test_format *t = &test_formats[data[1] % test_format_count];
    t->fill(&format);
    struct pt_params params = {.levels =
                                   (uint8_t)(t->min_levels + data[0] % (t->max_levels - t->min_levels + 1u))};
    t->params(data[0] * 0x9E3779B97F4A7C15ull >> 20, &params);
    fill(data + 2, size - 2);
    static uint64_t buffers[PT_MAX_LEVELS * PT_ENTRIES];
    static struct dam_finding_ring findings;
    memset(&findings, 0, sizeof(findings));
    for (int copy = 0; copy < 2; copy++) {
        budget.tables = 200;
        struct pt_audit audit = {.format = &format,
                                 .params = &params,
                                 .memory = &memory,
                                 .keep_out = &keep_out,
                                 .findings = &findings,
                                 .buffers = buffers,
                                 .copy = copy};
        if (pt_audit(&audit, dam_pa_of(OLD_BASE)))
            continue;
        struct pt_memory ours = memory;
        ours.ours = true;
        struct pt_tree tree = {.format = &format, .params = params, .memory = &ours};
        tree.root = audit.copied_root;
        tree.own_from = audit.copied_from;
        if (!copy && pt_tree_share(&tree, dam_pa_of(OLD_BASE), true, false))
            continue;
        dam_err err = DAM_OK;
        for (const struct pt_cut *c = audit.cuts; !err && c; c = c->next)
            err = pt_tree_unmap(&tree, c->iova, c->size);
        if (!err)
            check(&memory, audit, tree.root, !copy);
    }
    return 0;
}

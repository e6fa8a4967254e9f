// SPDX-License-Identifier: MIT
// engine/pgtable: the VT-d second-stage format, walker, audit, copy and builder over a small old memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pgtable/audit.h"

#define OLD_BASE   0x40000000ull
#define OLD_PAGES  64u
#define POOL_BASE  0x80000000ull
#define POOL_PAGES 256u
#define KEEP_START 0x80000000ull
#define KEEP_END   0x90000000ull
#define RW         3ull
#define PS         0x80ull
#define SNP        0x800ull
#define TM         (1ull << 62)

struct world {
    uint64_t old[OLD_PAGES][PT_ENTRIES];
    bool absent[OLD_PAGES]; // not held
    uint64_t *pool_pages;
    struct dam_ops ops;
    struct dam_range storage[4];
    struct dam_ranges old_ram, keep_out;
    struct dam_arena pool;
    struct pt_budget budget;
    struct pt_memory old_memory, own_memory;
    struct pt_format format;
    struct pt_params params;
    struct dam_finding_ring findings;
    uint64_t buffers[PT_MAX_LEVELS * PT_ENTRIES];
    unsigned old_used;
};

static dam_err read_old(void *ctx, dam_pa pa, void *buf, size_t len)
{
    struct world *w = ctx;
    assert_in_range(pa.v, OLD_BASE, OLD_BASE + sizeof(w->old) - len);
    if (w->absent[(pa.v - OLD_BASE) / DAM_PAGE_SIZE])
        return DAM_E_ABSENT;
    memcpy(buf, (uint8_t *)w->old + (pa.v - OLD_BASE), len);
    return DAM_OK;
}

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->pool_pages = aligned_alloc(DAM_PAGE_SIZE, POOL_PAGES * DAM_PAGE_SIZE);
    memset(w->pool_pages, 0, POOL_PAGES * DAM_PAGE_SIZE);
    w->ops = (struct dam_ops){.ctx = w, .mem_read = read_old, .clock_us = no_time};
    dam_ranges_init(&w->old_ram, w->storage, 2);
    dam_ranges_init(&w->keep_out, w->storage + 2, 2);
    assert_int_equal(dam_ranges_add(&w->old_ram, OLD_BASE, OLD_BASE + sizeof(w->old)), DAM_OK);
    assert_int_equal(dam_ranges_add(&w->keep_out, KEEP_START, KEEP_END), DAM_OK);
    dam_arena_init(&w->pool, w->pool_pages, dam_pa_of(POOL_BASE), POOL_PAGES * DAM_PAGE_SIZE);
    w->budget = (struct pt_budget){1000, ~0ull};
    w->old_memory = (struct pt_memory){&w->ops, &w->old_ram, &w->pool, false, &w->budget};
    w->own_memory = w->old_memory;
    w->own_memory.ours = true;
    pt_format_vtdss(&w->format);
    w->params = (struct pt_params){.levels = 4, .haw = 46, .large = 6};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    free(w->pool_pages);
    free(w);
    return 0;
}

static uint64_t table_pa(unsigned page)
{
    return OLD_BASE + page * (uint64_t)DAM_PAGE_SIZE;
}

// Puts an entry into the old tree below page 0 at the given level, making tables on the way with permissions
// `way`.
static uint64_t *old_slot(struct world *w, uint64_t iova, unsigned level, uint64_t way)
{
    unsigned page = 0;
    for (unsigned l = w->params.levels - 1u; l > level; l--) {
        uint64_t *slot = &w->old[page][pt_index(iova, l)];
        if (!*slot)
            *slot = table_pa(++w->old_used) | way;
        page = (unsigned)(((*slot & 0xFFFFFFFFF000) - OLD_BASE) / DAM_PAGE_SIZE);
    }
    return &w->old[page][pt_index(iova, level)];
}

static struct pt_audit audit_of(struct world *w, bool copy)
{
    return (struct pt_audit){.format = &w->format,
                             .params = &w->params,
                             .memory = &w->old_memory,
                             .keep_out = &w->keep_out,
                             .findings = &w->findings,
                             .buffers = w->buffers,
                             .copy = copy};
}

// What a tree says of one IOVA: address | permission bits, or 0.
static uint64_t ask(struct world *w, dam_pa root, uint64_t iova)
{
    struct pt_entry e;
    dam_err err = pt_translate(&w->format, &w->params, &w->own_memory, root, iova, &e);
    return err ? 0 : e.addr | e.r | (uint64_t)e.w << 1;
}

static void format_decodes(void **state)
{
    struct world *w = *state;
    const struct {
        uint64_t raw;
        unsigned level;
        enum pt_kind kind;
        uint64_t addr;
    } list[] = {
        {0x12345000, 0, PT_EMPTY, 0},
        {0x12345003, 0, PT_LEAF, 0x12345000},
        {0x12345003 | PS, 0, PT_LEAF, 0x12345000}, // bit 7 means nothing in a level-0 entry
        {0x12345001, 1, PT_TABLE, 0x12345000},
        {0x12200002 | PS, 1, PT_LEAF, 0x12200000},
        {0x12201002 | PS, 1, PT_BAD, 0}, // address bits below 2 MiB
        {0x40000003 | PS, 2, PT_LEAF, 0x40000000},
        {0x40200003 | PS, 2, PT_BAD, 0},
        {0x12345003 | PS, 3, PT_BAD, 0},
        {0x12345003 | SNP, 0, PT_BAD, 0},        // no snoop control
        {0x12345003 | TM, 0, PT_BAD, 0},         // no device TLBs
        {0x12345003 | 1ull << 46, 0, PT_BAD, 0}, // beyond the host address width
        {0x12345003 | 1ull << 51, 1, PT_BAD, 0},
        {0x12345003 | 1ull << 52, 0, PT_LEAF, 0x12345000}, // ignored bits
        {0x1234507F, 0, PT_LEAF, 0x12345000},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct pt_entry e = w->format.decode(&w->params, list[i].raw, list[i].level);
        assert_int_equal(e.kind, list[i].kind);
        if (e.kind == PT_LEAF || e.kind == PT_TABLE)
            assert_int_equal(e.addr, list[i].addr);
    }
    w->params.snoop = w->params.transient = true;
    assert_int_equal(w->format.decode(&w->params, 0x12345003 | SNP | TM, 0).kind, PT_LEAF);
    assert_int_equal(w->format.decode(&w->params, 0x12345003 | SNP, 1).kind, PT_BAD);
    w->params.large = 2;
    assert_int_equal(w->format.decode(&w->params, 0x40000003 | PS, 2).kind, PT_BAD);
}

static void format_encodes(void **state)
{
    struct world *w = *state;
    struct pt_entry leaf = {.kind = PT_LEAF, .r = true, .addr = 0x40000000};
    struct pt_entry table = {.kind = PT_TABLE, .r = true, .w = true, .addr = 0x5000};
    assert_int_equal(w->format.encode(&w->params, &leaf, 0), 0x40000001);
    assert_int_equal(w->format.encode(&w->params, &leaf, 2), 0x40000001 | PS);
    assert_int_equal(w->format.encode(&w->params, &table, 1), 0x5003);
    const struct pt_entry read_only = {.r = true}, write_only = {.w = true};
    assert_int_equal(w->format.restrict_to(0x5007, &read_only), 0x5005);
    assert_int_equal(w->format.restrict_to(0x5003, &write_only), 0x5002);
    assert_int_equal(w->format.split(&w->params, 0x40000003 | PS, 2, 3), 0x40600003 | PS);
    assert_int_equal(w->format.split(&w->params, 0x40200001 | PS, 1, 5), 0x40205001);
}

// The fast scan against 512 decodes, over tables of every mixture.
static void scan_agrees_with_decode(void **state)
{
    struct world *w = *state;
    uint64_t seed = 1;
    struct dam_range watch[2] = {{0, 0x8000000}, {0x800000800, 0x808000100}}; // neither need be whole pages
    const struct dam_ranges watched = {watch, 2, 2};
    unsigned seen[2] = {0, 0};
    for (unsigned round = 0; round < 3000; round++) {
        uint64_t table[PT_ENTRIES];
        for (unsigned i = 0; i < PT_ENTRIES; i++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            uint64_t raw = ((seed >> 24) & 0x3FFFFFF) << 12 | RW;
            unsigned dice = (unsigned)(seed >> 56);
            if (round % 5 == 1 && dice < 40)
                raw &= ~(uint64_t)(dice & 3);
            if (round % 5 == 2 && dice < 128)
                raw = dice & 1 ? 0 : raw & ~RW;
            if (round % 5 == 3 && dice == 7)
                raw |= 1ull << (dice + 40 + (seed >> 13) % 16);
            if (round % 5 == 4)
                raw = dice < 250 ? 0 : raw | 1ull << 53;
            table[i] = raw;
        }
        struct pt_scan want = {0}, got;
        for (unsigned i = 0; i < PT_ENTRIES; i++) {
            struct pt_entry e = w->format.decode(&w->params, table[i], 0);
            want.bad |= e.kind == PT_BAD;
            if (e.kind != PT_LEAF)
                continue;
            want.mapped++;
            want.readable += e.r;
            want.writable += e.w;
            want.watched |= e.addr >= watch[0].start && e.addr < watch[0].end;
            want.watched |= e.addr + 0xFFF >= watch[1].start && e.addr < watch[1].end;
        }
        w->format.scan(&w->params, table, &watched, &got);
        assert_int_equal(got.bad, want.bad);
        if (want.bad)
            continue;
        assert_int_equal(got.mapped, want.mapped);
        assert_int_equal(got.readable, want.readable);
        assert_int_equal(got.writable, want.writable);
        assert_int_equal(got.watched, want.watched);
        seen[want.watched]++;
    }
    assert_true(seen[0] > 500 && seen[1] > 500); // the ranges are chosen so that both happen
}

static void audit_counts(void **state)
{
    struct world *w = *state;
    *old_slot(w, 0x1000, 0, RW) = 0x10000000 | RW;
    *old_slot(w, 0x2000, 0, RW) = 0x10001000 | 1;
    *old_slot(w, 0x40000000, 1, 1) = 0x20000000 | PS | RW; // 2 MiB below a read-only way
    *old_slot(w, 0x8000000000, 2, RW) = 0x40000000 | PS | 2;
    struct pt_audit a = audit_of(w, false);
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    // 1 + 1 + 512 readable; 1 + 262144 writable: W counts only where the whole way has it.
    assert_int_equal(a.readable, 514);
    assert_int_equal(a.writable, 1 + 262144);
    assert_int_equal(a.cut_count, 0);
    assert_int_equal(w->findings.total, 0);
    assert_int_equal(a.tables, w->old_used + 1u);
}

// Seen through an entry that has not all rights: what neither is readable nor writable then needs no cut.
static void audit_through_an_entry(void **state)
{
    struct world *w = *state;
    *old_slot(w, 0x1000, 0, RW) = 0x10000000 | RW;
    *old_slot(w, 0x2000, 0, RW) = 0x10001000 | 1;
    *old_slot(w, 0x8000000000, 2, RW) = 0x40000000 | PS | 2;
    *old_slot(w, 0x3000, 0, RW) = KEEP_START | 2;
    struct pt_audit a = audit_of(w, false);
    a.without_w = true;
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(a.readable, 2);
    assert_int_equal(a.writable, 0);
    assert_int_equal(a.cut_count, 0);
    a = audit_of(w, false);
    a.without_r = true;
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(a.readable, 0);
    assert_int_equal(a.writable, 2 + 262144);
    assert_int_equal(a.cut_count, 1);
    assert_int_equal(a.cut_readable, 0);
    assert_int_equal(a.cut_writable, 1);
}

static void audit_cuts_keep_out(void **state)
{
    struct world *w = *state;
    *old_slot(w, 0x5000, 0, RW) = (KEEP_START + 0x7000) | RW;
    *old_slot(w, 0x6000, 0, RW) = (KEEP_START + 0x8000) | 1;
    *old_slot(w, 0x40000000, 2, RW) = 0x80000000 | PS | RW; // 1 GiB, of which the first 256 MiB are keep-out
    struct pt_audit a = audit_of(w, false);
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(a.cut_count, 2);
    assert_int_equal(a.cuts->iova, 0x5000);
    assert_int_equal(a.cuts->size, 0x2000);
    assert_int_equal(a.cuts->next->iova, 0x40000000);
    assert_int_equal(a.cuts->next->size, 0x10000000);
    assert_int_equal(a.cut_readable, 2 + 65536);
    assert_int_equal(a.cut_writable, 1 + 65536);
    assert_int_equal(w->findings.total, 2); // one for each run of IOVAs
    assert_int_equal(w->findings.at[1].iova, 0x40000000);
    assert_int_equal(w->findings.at[0].code, DAM_F_PT_KEEP_OUT);
    assert_int_equal(w->findings.at[0].iova, 0x5000);
    assert_int_equal(w->findings.at[0].raw, (KEEP_START + 0x7000) | RW);
}

static void audit_refuses_bad_pointers(void **state)
{
    struct world *w = *state;
    *old_slot(w, 0x1000, 0, RW) = 0x10000000 | RW;
    w->old[0][1] = 0x10000000 | RW;                // not memory of the old kernel
    w->old[0][2] = POOL_BASE | RW;                 // the pool: an old table may not lead there
    w->old[0][3] = (OLD_BASE + 0x1000) | SNP | RW; // reserved bit in a non-leaf
    w->old[0][5] = OLD_BASE | RW;                  // itself, one level lower: the level still goes down
    void *page;
    assert_int_equal(dam_arena_pages(&w->pool, 1, &page), DAM_OK);
    struct pt_audit a = audit_of(w, false);
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(a.cuts->iova, pt_span(3));
    assert_int_equal(a.cuts->size, 3 * pt_span(3)); // three in a row make one cut
    assert_int_equal(w->findings.at[0].code, DAM_F_PT_POINTER);
    assert_int_equal(w->findings.at[0].index, 1);
    assert_int_equal(w->findings.at[1].code, DAM_F_PT_RESERVED); // the same run, for another reason
    assert_int_equal(w->findings.at[1].index, 3);
    assert_int_equal(pt_audit(&a, dam_pa_of(POOL_BASE)), DAM_E_RANGE);
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE + 8)), DAM_E_RANGE);
}

static void audit_is_bounded(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        w->old[0][i] = OLD_BASE | RW; // 512^4 ways through one page
    struct pt_audit a = audit_of(w, false);
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_E_BUDGET);
    assert_int_equal(a.tables, 1000);
    // Every second page broken: more cuts than are worth it.
    memset(w->old, 0, sizeof(w->old));
    w->budget.tables = 1000;
    for (uint64_t iova = 0; iova < 0x1000000; iova += 0x2000)
        *old_slot(w, iova, 0, RW) = 0x12345003 | SNP;
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_E_BROKEN);
    assert_int_equal(a.cut_count, PT_MAX_CUTS);
}

static void copy_is_equal_and_apart(void **state)
{
    struct world *w = *state;
    *old_slot(w, 0x1000, 0, RW) = 0x10000000 | RW;
    *old_slot(w, 0x7FFFFFFFF000, 0, 1) = 0x20000000 | RW;
    *old_slot(w, 0x40000000, 1, 2) = 0x30000000 | PS | RW;
    *old_slot(w, 0x3000, 0, RW) = KEEP_START | RW;
    struct pt_audit a = audit_of(w, true);
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    struct pt_tree tree = {.format = &w->format,
                           .params = w->params,
                           .memory = &w->own_memory,
                           .own_from = a.copied_from,
                           .root = a.copied_root};
    for (const struct pt_cut *c = a.cuts; c; c = c->next)
        assert_int_equal(pt_tree_unmap(&tree, c->iova, c->size), DAM_OK);
    assert_int_equal(w->pool.low / DAM_PAGE_SIZE, a.tables); // a table of ours each, none for the cuts
    memset(w->old, 0xFF, sizeof(w->old));                    // the copy does not care
    assert_int_equal(ask(w, tree.root, 0x1234), 0x10000234 | RW);
    assert_int_equal(ask(w, tree.root, 0x7FFFFFFFF000), 0x20000000 | 1);
    assert_int_equal(ask(w, tree.root, 0x40123000), 0x30123000 | 2);
    assert_int_equal(ask(w, tree.root, 0x3000), 0);
    assert_int_equal(ask(w, tree.root, 0x2000), 0);
}

static void share_freezes_with_one_page(void **state)
{
    struct world *w = *state;
    *old_slot(w, 0x1000, 0, RW) = 0x10000000 | RW;
    *old_slot(w, 0x2000, 0, RW) = 0x10005000 | 2; // write-only: nothing is left of it
    struct pt_tree tree = {.format = &w->format, .params = w->params, .memory = &w->own_memory};
    assert_int_equal(pt_tree_share(&tree, dam_pa_of(OLD_BASE), true, false), DAM_OK);
    assert_int_equal(w->pool.low, DAM_PAGE_SIZE);
    assert_int_equal(ask(w, tree.root, 0x1000), 0x10000000 | 1);
    assert_int_equal(ask(w, tree.root, 0x2000), 0);
    // Cutting a page copies the way to it, and what is beside it stays frozen.
    assert_int_equal(pt_tree_unmap(&tree, 0x5000, 0x1000), DAM_OK);
    assert_int_equal(w->pool.low, 4 * DAM_PAGE_SIZE);
    assert_int_equal(ask(w, tree.root, 0x1000), 0x10000000 | 1);
    // A window on that way is writable all the same.
    assert_int_equal(pt_tree_map(&tree, 0x9000, 0x9000, 0x1000, true, true), DAM_OK);
    assert_int_equal(ask(w, tree.root, 0x9000), 0x9000 | RW);
    assert_int_equal(ask(w, tree.root, 0x1000), 0x10000000 | 1);
    assert_int_equal(w->old[0][0] & RW, RW); // old memory is as it was
}

static void map_uses_large_leaves(void **state)
{
    struct world *w = *state;
    struct pt_tree tree = {.format = &w->format, .params = w->params, .memory = &w->own_memory};
    assert_int_equal(pt_tree_new(&tree), DAM_OK);
    assert_int_equal(pt_tree_map(&tree, 0, 0, 64ull << 30, true, false), DAM_OK);
    assert_int_equal(w->pool.low / DAM_PAGE_SIZE, 2); // the root and one table of 1-GiB leaves
    assert_int_equal(ask(w, tree.root, 0x123456789), 0x123456789 | 1);
    // A hole of 3 MiB at 1 MiB splits down to 4 KiB in its first 2 MiB only.
    assert_int_equal(pt_tree_unmap(&tree, 0x100000, 0x300000), DAM_OK);
    assert_int_equal(w->pool.low / DAM_PAGE_SIZE, 4);
    assert_int_equal(ask(w, tree.root, 0xFF000), 0xFF000 | 1);
    assert_int_equal(ask(w, tree.root, 0x100000), 0);
    assert_int_equal(ask(w, tree.root, 0x3FF000), 0);
    assert_int_equal(ask(w, tree.root, 0x400000), 0x400000 | 1);
    // Odd bounds, another address.
    assert_int_equal(pt_tree_map(&tree, 0x1FF000, 0x70001000, 0x202000, true, true), DAM_OK);
    assert_int_equal(ask(w, tree.root, 0x1FF000), 0x70001000 | RW);
    assert_int_equal(ask(w, tree.root, 0x400000), 0x70202000 | RW);
    assert_int_equal(ask(w, tree.root, 0x401000), 0x401000 | 1);
    // What cannot be said is refused.
    assert_int_equal(pt_tree_map(&tree, 0x800, 0, 0x1000, true, true), DAM_E_RANGE);
    assert_int_equal(pt_tree_map(&tree, 1ull << 48, 0, 0x1000, true, true), DAM_E_RANGE);
    assert_int_equal(pt_tree_map(&tree, (1ull << 48) - 0x1000, 0, 0x2000, true, true), DAM_E_RANGE);
    assert_int_equal(pt_tree_map(&tree, 0, 1ull << 46, 0x1000, true, true), DAM_E_RANGE);
}

// One template over several trees: its tables are shared where nothing else was, and never changed.
static void lay_over_shares_and_splits(void **state)
{
    struct world *w = *state;
    struct pt_tree window = {.format = &w->format, .params = w->params, .memory = &w->own_memory};
    assert_int_equal(pt_tree_new(&window), DAM_OK);
    assert_int_equal(pt_tree_map(&window, 0x1000, 0x1000, 0x9E000, true, true), DAM_OK);
    assert_int_equal(pt_tree_map(&window, 0x6FF00000, 0x6FF00000, 0x10100000, true, true), DAM_OK);
    uint64_t template_low = w->pool.low;
    uint8_t before[16 * DAM_PAGE_SIZE];
    memcpy(before, w->pool.base, (size_t)template_low);
    assert_int_equal(template_low / DAM_PAGE_SIZE, 6); // 4 KiB: low memory, the edge; 2 MiB: two GiB; above

    // A frozen tree with a mapping beside the first window and one in the place of the second.
    *old_slot(w, 0xA0000, 0, RW) = 0x10000000 | RW;
    *old_slot(w, 0x70000000, 0, RW) = 0x10005000 | RW;
    struct pt_tree tree = window;
    assert_int_equal(pt_tree_share(&tree, dam_pa_of(OLD_BASE), true, false), DAM_OK);
    assert_int_equal(pt_tree_lay_over(&tree, window.root), DAM_OK);
    assert_int_equal(ask(w, tree.root, 0xA0000), 0x10000000 | 1);
    assert_int_equal(ask(w, tree.root, 0x9E000), 0x9E000 | RW);
    assert_int_equal(ask(w, tree.root, 0x9F000), 0);
    assert_int_equal(ask(w, tree.root, 0x6FEFF000), 0);
    assert_int_equal(ask(w, tree.root, 0x6FF00000), 0x6FF00000 | RW);
    assert_int_equal(ask(w, tree.root, 0x70000000), 0x70000000 | RW);
    assert_int_equal(ask(w, tree.root, 0x7FFFF000), 0x7FFFF000 | RW);
    assert_int_equal(ask(w, tree.root, 0x80000000), 0);
    // Root, and one table of each level for the first window; the second one needs one of its own for 1 GiB.
    assert_int_equal((w->pool.low - template_low) / DAM_PAGE_SIZE, 5);
    // Over everything else as well: a tree that maps all of it, read-only, in large leaves.
    struct pt_tree identity = window;
    assert_int_equal(pt_tree_new(&identity), DAM_OK);
    assert_int_equal(pt_tree_map(&identity, 0, 0, 4ull << 30, true, false), DAM_OK);
    assert_int_equal(pt_tree_lay_over(&identity, window.root), DAM_OK);
    assert_int_equal(ask(w, identity.root, 0), 0 | 1);
    assert_int_equal(ask(w, identity.root, 0x1000), 0x1000 | RW);
    assert_int_equal(ask(w, identity.root, 0x9F000), 0x9F000 | 1);
    assert_int_equal(ask(w, identity.root, 0x6FEFF000), 0x6FEFF000 | 1);
    assert_int_equal(ask(w, identity.root, 0x7FFFF000), 0x7FFFF000 | RW);
    assert_int_equal(ask(w, identity.root, 0x80000000), 0x80000000 | 1);
    assert_memory_equal(before, w->pool.base, (size_t)template_low);
    // The pool may run out at every page.
    uint64_t low = w->pool.low, size = w->pool.size;
    struct pt_tree again = window;
    for (uint64_t pages = 0; pages < 5; pages++) {
        w->pool.size = low + pages * DAM_PAGE_SIZE;
        dam_err err = pt_tree_share(&again, dam_pa_of(OLD_BASE), true, false);
        assert_int_equal(err ? err : pt_tree_lay_over(&again, window.root), DAM_E_NOMEM);
        dam_arena_release(&w->pool, low);
    }
    w->pool.size = size;
}

// What a window would change the meaning of: mappings at its addresses that lead elsewhere.
static void audit_counts_collisions(void **state)
{
    struct world *w = *state;
    struct dam_range storage[2];
    struct dam_ranges window;
    dam_ranges_init(&window, storage, 2);
    assert_int_equal(dam_ranges_add(&window, 0x5000, 0x8000), DAM_OK);
    assert_int_equal(dam_ranges_add(&window, 0x40100000, 0x40300000), DAM_OK);
    *old_slot(w, 0x4000, 0, RW) = 0x10000000 | RW; // beside it
    *old_slot(w, 0x5000, 0, RW) = 0x5000 | RW;     // itself
    *old_slot(w, 0x7000, 0, RW) = 0x7000;          // nothing
    *old_slot(w, 0x8000, 0, RW) = 0x10008000 | RW; // beside it
    *old_slot(w, 0x40000000, 1, RW) = 0x40000000 | PS | RW;
    struct pt_audit a = audit_of(w, false);
    a.window = &window;
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(a.collisions, 0);
    assert_int_equal(a.readable, 3 + 512);
    *old_slot(w, 0x40200000, 1, RW) = 0x40400000 | PS | 1; // 1 MiB of it lies in the window
    *old_slot(w, 0x7000, 0, RW) = 0x10007000 | 2;
    a = audit_of(w, false);
    a.window = &window;
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(a.collisions, 1 + 256);
    assert_int_equal(a.collision_iova, 0x7000);
    assert_int_equal(a.collision_addr, 0x10007000);
}

// In a tree that has the window its mappings are no cuts; everything else in keep-out memory still is.
static void audit_knows_the_window(void **state)
{
    struct world *w = *state;
    struct dam_range storage[1];
    struct dam_ranges window;
    dam_ranges_init(&window, storage, 1);
    assert_int_equal(dam_ranges_add(&window, KEEP_START, KEEP_END - 0x1000), DAM_OK);
    *old_slot(w, KEEP_START, 0, RW) = KEEP_START | RW;
    for (int windowed = 0; windowed < 2; windowed++) {
        struct pt_audit a = audit_of(w, false);
        a.window = &window;
        a.windowed = windowed;
        assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
        assert_int_equal(a.cut_writable, !windowed);
        assert_int_equal(a.collisions, 0);
    }
    *old_slot(w, KEEP_END - 0x1000, 0, RW) = (KEEP_END - 0x1000) | RW; // kept out, and not in the window
    *old_slot(w, 0x3000, 0, RW) = KEEP_START | 1;                      // elsewhere than to itself
    struct pt_audit a = audit_of(w, false);
    a.window = &window;
    a.windowed = true;
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(a.cut_writable, 1);
    assert_int_equal(a.cut_readable, 2);
}

static void scratch_leads_to_one_page(void **state)
{
    struct world *w = *state;
    struct pt_scratch s;
    const dam_pa page = dam_pa_of(0x7654000);
    w->params.levels = 5;
    assert_int_equal(pt_scratch_new(&w->format, &w->params, &w->pool, page, &s), DAM_OK);
    assert_int_equal(w->pool.low / DAM_PAGE_SIZE, w->params.levels);
    for (uint8_t levels = 3; levels <= 5; levels++) {
        w->params.levels = levels;
        uint64_t last = pt_span(levels) - 1;
        assert_int_equal(ask(w, s.root[levels - 1], 0), page.v | RW);
        assert_int_equal(ask(w, s.root[levels - 1], 0x123456789), (page.v + 0x789) | RW);
        assert_int_equal(ask(w, s.root[levels - 1], last), (page.v + 0xFFF) | RW);
    }
}

static void pool_exhaustion_is_told(void **state)
{
    struct world *w = *state;
    *old_slot(w, 0x1000, 0, RW) = 0x10000000 | RW;
    for (uint64_t pages = 0; pages < 4; pages++) {
        dam_arena_init(&w->pool, w->pool_pages, dam_pa_of(POOL_BASE), pages * DAM_PAGE_SIZE);
        struct pt_audit a = audit_of(w, true);
        assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_E_NOMEM);
    }
    dam_arena_init(&w->pool, w->pool_pages, dam_pa_of(POOL_BASE), 4 * DAM_PAGE_SIZE);
    struct pt_audit a = audit_of(w, true);
    assert_int_equal(pt_audit(&a, dam_pa_of(OLD_BASE)), DAM_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

// What a walk over memory with holes met.
struct met {
    unsigned leaves, absent, roots;
    uint64_t iova; // of the last part that is not known
};

static dam_err met_leaves(void *ctx, const struct pt_table *t, const struct pt_scan *scan, bool *each)
{
    (void)t;
    (void)each;
    ((struct met *)ctx)->leaves += scan->readable;
    return DAM_OK;
}

static dam_err met_leaf(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e)
{
    (void)ctx, (void)t, (void)index, (void)e;
    return DAM_E_STATE;
}

static dam_err met_bad(void *ctx, const struct pt_table *t, unsigned index, enum pt_bad why)
{
    (void)ctx, (void)t, (void)index, (void)why;
    return DAM_E_STATE;
}

static dam_err met_absent(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e)
{
    struct met *met = ctx;
    met->absent++;
    met->roots += t == NULL && e == NULL;
    met->iova = t ? t->iova + index * pt_span(t->level) : 0;
    return DAM_OK;
}

static void walk_goes_on_past_what_is_not_held(void **state)
{
    struct world *w = *state;
    *old_slot(w, 0x1000, 0, RW) = 0x5000 | RW;
    *old_slot(w, pt_span(1) * 3, 0, RW) = 0x6000 | RW;
    *old_slot(w, pt_span(2) * 7, 0, RW) = 0x7000 | RW;
    struct met met = {0};
    struct pt_visitor visitor = {
        .ctx = &met, .leaves = met_leaves, .leaf = met_leaf, .bad = met_bad, .absent = met_absent};
    struct pt_walk walk = {.format = &w->format,
                           .params = &w->params,
                           .memory = &w->old_memory,
                           .visitor = &visitor,
                           .watch = &w->keep_out,
                           .buffers = w->buffers};
    w->absent[4] = true; // the leaf table of 3 * 2 MiB: made fourth below the root
    assert_int_equal(pt_walk(&walk, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(met.leaves, 2);
    assert_int_equal(met.absent, 1);
    assert_int_equal(met.iova, pt_span(1) * 3);
    assert_int_equal(walk.tables, w->old_used);
    met = (struct met){0};
    w->absent[0] = true;
    assert_int_equal(pt_walk(&walk, dam_pa_of(OLD_BASE)), DAM_OK);
    assert_int_equal(met.roots, 1);
    assert_int_equal(met.leaves, 0);
    visitor.absent = NULL;
    assert_int_equal(pt_walk(&walk, dam_pa_of(OLD_BASE)), DAM_E_ABSENT);
    w->absent[0] = false;
    assert_int_equal(pt_walk(&walk, dam_pa_of(OLD_BASE)), DAM_E_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(walk_goes_on_past_what_is_not_held),
        TEST(format_decodes),
        TEST(format_encodes),
        TEST(scan_agrees_with_decode),
        TEST(audit_counts),
        TEST(audit_through_an_entry),
        TEST(audit_cuts_keep_out),
        TEST(audit_refuses_bad_pointers),
        TEST(audit_is_bounded),
        TEST(copy_is_equal_and_apart),
        TEST(share_freezes_with_one_page),
        TEST(map_uses_large_leaves),
        TEST(lay_over_shares_and_splits),
        TEST(audit_counts_collisions),
        TEST(audit_knows_the_window),
        TEST(scratch_leads_to_one_page),
        TEST(pool_exhaustion_is_told),
    };
    return cmocka_run_group_tests_name("pgtable", tests, NULL, NULL);
}

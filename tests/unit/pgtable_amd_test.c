// SPDX-License-Identifier: MIT
// AMD's page tables: every bit that counts, typed as numbers (48882, 2.2.3 and 2.2.6), pages of several
// entries, levels left out, one level and six.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/naive_amdvi.h"
#include "pgtable/audit.h"

#define POOL_BASE 0x80000000ull
#define POOL      64u // pages; the first ones are used for old tables
#define OLD       16u
#define IR        (1ull << 61)
#define IW        (1ull << 62)
#define FC        (1ull << 60)
#define ROOT      dam_pa_of(POOL_BASE)

static struct pt_format f;
static struct pt_params p;
static _Alignas(4096) uint64_t pages[POOL][PT_ENTRIES];
static struct dam_arena pool;
static struct dam_range storage[2];
static struct dam_ranges ram, keep_out;
static struct dam_ops ops;
static struct pt_memory memory;
static struct dam_finding_ring findings;
static uint64_t buffers[PT_MAX_LEVELS * PT_ENTRIES];

// Old and new tables both lie in the pool: it is the same to the walker as long as all is ours.
static int setup(void **state)
{
    (void)state;
    pt_format_amdv1(&f);
    p = (struct pt_params){.levels = 3, .haw = 52, .large = 1 << 1 | 1 << 2 | 1 << 4};
    memset(pages, 0, sizeof(pages));
    memset(&findings, 0, sizeof(findings));
    dam_ranges_init(&ram, storage, 1);
    dam_ranges_init(&keep_out, storage + 1, 1);
    dam_arena_init(&pool, pages, dam_pa_of(POOL_BASE), sizeof(pages));
    void *old;
    assert_int_equal(dam_arena_pages(&pool, OLD, &old), DAM_OK);
    memory = (struct pt_memory){.ops = &ops, .old_ram = &ram, .pool = &pool, .ours = true};
    return 0;
}

static uint64_t page(unsigned n)
{
    return POOL_BASE + n * (uint64_t)DAM_PAGE_SIZE;
}

static uint64_t table(unsigned n, unsigned next)
{
    return page(n) | 1 | (uint64_t)next << 9 | IR | IW;
}

static bool read64(void *ctx, uint64_t pa, uint64_t *value)
{
    (void)ctx;
    if (pa < POOL_BASE || pa - POOL_BASE > sizeof(pages) - 8)
        return false;
    memcpy(value, (uint8_t *)pages + (pa - POOL_BASE), 8);
    return true;
}

// What the judge says: address | read | write << 1, 0 when nothing, all ones when nobody knows.
static uint64_t judge(dam_pa root, uint64_t iova)
{
    struct naive_amdvi hw = {.read64 = read64, .haw = 52, .guest_1g = true};
    struct naive_amd_result r = naive_amdvi_host(&hw, root.v, p.levels, iova, false);
    struct naive_amd_result x = naive_amdvi_host(&hw, root.v, p.levels, iova, true);
    if (r.unsure || x.unsure)
        return ~0ull;
    return r.ok || x.ok ? (r.ok ? r.pa : x.pa) | r.ok | (uint64_t)x.ok << 1 : 0;
}

static uint64_t ask(dam_pa root, uint64_t iova)
{
    struct pt_entry e;
    return pt_translate(&f, &p, &memory, root, iova, &e) ? 0 : e.addr | e.r | (uint64_t)e.w << 1;
}

static void what_entries_say(void **state)
{
    (void)state;
    const struct {
        uint64_t raw;
        unsigned level;
        enum pt_kind kind;
        unsigned skip, run;
        uint64_t addr;
    } list[] = {
        {0, 0, PT_EMPTY, 0, 0, 0},
        {0x5000 | IR | IW | 0xFFE, 0, PT_EMPTY, 0, 0, 0}, // PR is all that counts
        {0x5001, 0, PT_LEAF, 0, 0, 0x5000},               // no rights, and still there
        {0xFFFFFFFFF5001, 0, PT_LEAF, 0, 0, 0xFFFFFFFFF5000},
        {0x5001 | 0x1E | 0x60 | 0x180, 0, PT_LEAF, 0, 0, 0x5000}, // ignored bits, accessed, dirty
        {0x5001 | 0xFE00000000000000, 0, PT_LEAF, 0, 0, 0x5000},  // PMC, U, FC, IR, IW, ignored
        {0x5001 | 1ull << 52, 0, PT_BAD, 0, 0, 0},
        {0x5001 | 1ull << 56, 0, PT_BAD, 0, 0, 0},
        {0x5201, 0, PT_BAD, 0, 0, 0}, // NextLevel does not go down
        {0x5C01, 0, PT_BAD, 0, 0, 0},
        {0x200001, 1, PT_LEAF, 0, 0, 0x200000},
        {0x201001, 1, PT_BAD, 0, 0, 0}, // not aligned
        {0x40000001, 2, PT_LEAF, 0, 0, 0x40000000},
        {0x40200001, 2, PT_BAD, 0, 0, 0},
        {0x8000000001, 3, PT_BAD, 0, 0, 0},                   // 512 GiB
        {0x1000000000001, 4, PT_LEAF, 0, 0, 0x1000000000000}, // 256 TiB
        {0x0000000001, 5, PT_BAD, 0, 0, 0},                   // there is no such size
        {0x5201, 1, PT_TABLE, 0, 0, 0x5000},
        {0x5401, 1, PT_BAD, 0, 0, 0},
        {0x5401, 2, PT_TABLE, 0, 0, 0x5000},
        {0x5201, 2, PT_TABLE, 1, 0, 0x5000},
        {0x5A01, 5, PT_TABLE, 0, 0, 0x5000},
        {0x5201, 5, PT_TABLE, 4, 0, 0x5000},
        {0x5C01, 5, PT_BAD, 0, 0, 0},
        {0x4E01, 0, PT_LEAF, 0, 1, 0x4000},         // 8 KiB
        {0x17E01, 0, PT_LEAF, 0, 4, 0x10000},       // 64 KiB
        {0x27FE01, 0, PT_LEAF, 0, 8, 0x200000},     // 1 MiB
        {0x2FFE01, 0, PT_BAD, 0, 0, 0},             // 2 MiB: more than a table
        {0x6FFE01, 1, PT_BAD, 0, 0, 0},             // 2 MiB: what one entry is
        {0x4E01, 1, PT_BAD, 0, 0, 0},               // 8 KiB at level 2
        {0x9FFE01, 1, PT_LEAF, 0, 1, 0x800000},     // 4 MiB
        {0x4FFFFE01, 1, PT_LEAF, 0, 8, 0x40000000}, // 512 MiB
        {0x5FFFFE01, 1, PT_BAD, 0, 0, 0},
        {0xBFFFFE01, 2, PT_LEAF, 0, 1, 0x80000000},           // 2 GiB
        {0x1007FFFFFFFE01, 3, PT_BAD, 0, 0, 0},               // beyond the address: reserved bits
        {0x2007FFFFFFE01, 3, PT_LEAF, 0, 1, 0x2000000000000}, // 1 TiB
        {0xFFFFFFFFFFE01, 5, PT_BAD, 0, 0, 0},
        {0xFFFFFFFFFFE01, 0, PT_BAD, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct pt_entry e = f.decode(&p, list[i].raw, list[i].level);
        bool right = e.kind == list[i].kind;
        if (right && (e.kind == PT_TABLE || e.kind == PT_LEAF))
            right = e.addr == list[i].addr && e.skip == list[i].skip && e.run == list[i].run &&
                    e.r == (list[i].raw >> 61 & 1) && e.w == (list[i].raw >> 62 & 1);
        if (!right)
            fail_msg("%#llx at level %u: kind %d addr %#llx skip %u run %u", (unsigned long long)list[i].raw,
                     list[i].level, e.kind, (unsigned long long)e.addr, e.skip, e.run);
    }
    assert_true(f.decode(&p, 0x5001 | IR, 0).r);
    assert_false(f.decode(&p, 0x5001 | IR, 0).w);
    assert_true(f.decode(&p, 0x5001 | IW, 0).w);
    p.encrypt = 1ull << 47;
    assert_int_equal(f.decode(&p, 0x800000005001, 0).addr, 0x5000);
    assert_int_equal(f.decode(&p, 0x800000017E01, 0).addr, 0x10000);
    assert_int_equal(f.decode(&p, 0x800000005201, 1).addr, 0x5000);
}

static void what_is_written(void **state)
{
    (void)state;
    struct pt_entry leaf = {.kind = PT_LEAF, .r = true, .addr = 0x40000000};
    struct pt_entry to = {.kind = PT_TABLE, .r = true, .w = true, .addr = 0x5000};
    assert_int_equal(f.encode(&p, &leaf, 0), 0x40000001 | IR | FC);
    assert_int_equal(f.encode(&p, &leaf, 2), 0x40000001 | IR | FC);
    leaf.w = true;
    assert_int_equal(f.encode(&p, &leaf, 1), 0x40000001 | IR | IW | FC);
    assert_int_equal(f.encode(&p, &to, 1), 0x5201 | IR | IW);
    assert_int_equal(f.encode(&p, &to, 5), 0x5A01 | IR | IW);
    to.skip = 3;
    assert_int_equal(f.encode(&p, &to, 5), 0x5401 | IR | IW);
    const struct pt_entry read_only = {.r = true}, write_only = {.w = true};
    assert_int_equal(f.restrict_to(0x17E61 | IR | IW | FC, &read_only), 0x17E61 | IR | FC);
    assert_int_equal(f.restrict_to(0x5001 | IR | IW, &write_only), 0x5001 | IW);
    assert_int_equal(f.split(&p, 0x40000061 | IR, 2, 3), 0x40600061 | IR);
    assert_int_equal(f.split(&p, 0x40200001 | IW, 1, 5), 0x40205001 | IW);
    assert_int_equal(f.single(&p, 0x17E61 | IR | FC, 0, 3), 0x13061 | IR | FC);
    assert_int_equal(f.single(&p, 0x9FFE01 | IW, 1, 1), 0xA00001 | IW);
    p.encrypt = 1ull << 47;
    assert_int_equal(f.single(&p, 0x800000017E01, 0, 15), 0x80000001F001);
    assert_false(f.unmarked(0x5001, 0));
}

// The fast scan against 512 decodes and comparisons.
static void scan_agrees_with_decode(void **state)
{
    (void)state;
    uint64_t seed = 1;
    struct dam_range watch = {0, 0x8000000};
    const struct dam_ranges watched = {&watch, 1, 1};
    unsigned seen[2] = {0, 0};
    p.encrypt = 1ull << 50;
    for (unsigned round = 0; round < 3000; round++) {
        uint64_t t[PT_ENTRIES];
        for (unsigned i = 0; i < PT_ENTRIES; i++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            unsigned die = (unsigned)(seed >> 56);
            t[i] = ((seed >> 24) & 0x3FFFFFF) << 12 | 1 | IR | IW | (die & 1 ? FC | 1ull << 50 : 0);
            if (round % 5 == 1 && die < 40)
                t[i] &= ~(IR | IW | 1) | (uint64_t)(die & 3) << 61 | (die >> 2 & 1);
            if (round % 5 == 2 && die < 128)
                t[i] = 0;
            if (round % 5 == 3 && die == 7)
                t[i] |= 1ull << (9 + (seed >> 13) % 3) | (seed & 1) << 54;
        }
        for (unsigned i = 0; round % 5 == 4 && i < PT_ENTRIES;) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            unsigned run = (unsigned)(seed >> 40) % 9, count = 1u << run;
            if (i % count)
                continue;
            uint64_t raw = (seed >> 24 & 0x3FFFF) << (12 + run) | (run ? 0xE01ull : 1) | (seed & 3) << 61;
            raw |= run ? ((1ull << (run - 1)) - 1) << 12 : 0;
            for (unsigned k = 0; k < count; k++)
                t[i + k] = raw | (k & 1 ? 0x60 : 0);
            if ((seed >> 50 & 0x7F) == 3)
                t[i + (seed >> 57) % count] ^= (seed & 4 ? IR : 0x400000);
            i += count;
        }
        struct pt_scan s;
        f.scan(&p, t, &watched, &s);
        unsigned readable = 0, writable = 0, mapped = 0;
        bool bad = false, hit = false;
        for (unsigned i = 0; i < PT_ENTRIES; i++) {
            struct pt_entry e = f.decode(&p, t[i], 0);
            readable += e.kind == PT_LEAF && e.r;
            writable += e.kind == PT_LEAF && e.w;
            mapped += e.kind == PT_LEAF && (e.r || e.w);
            bad |= e.kind == PT_BAD;
            hit |= e.kind == PT_LEAF && e.addr < 0x8000000;
            for (unsigned k = i >> e.run << e.run;
                 e.kind == PT_LEAF && k < (i >> e.run << e.run) + (1u << e.run); k++) {
                struct pt_entry o = f.decode(&p, t[k], 0);
                bad |= o.kind != PT_LEAF || o.run != e.run || o.addr != e.addr || o.r != e.r || o.w != e.w;
            }
        }
        assert_int_equal(s.bad, bad);
        seen[bad]++;
        if (bad) // then every entry is looked at
            continue;
        assert_int_equal(s.readable, readable);
        assert_int_equal(s.writable, writable);
        assert_int_equal(s.mapped, mapped);
        assert_int_equal(s.watched, hit);
        assert_false(s.unmarked);
    }
    assert_true(seen[0] > 1000 && seen[1] > 300);
}

struct seen {
    unsigned leaves, bad[3];
    uint64_t addr, iova;
};

static dam_err on_leaf(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e)
{
    struct seen *s = ctx;
    s->leaves++;
    s->addr = e->addr;
    s->iova = t->iova + index * pt_span(t->level);
    return DAM_OK;
}

static dam_err on_leaves(void *ctx, const struct pt_table *t, const struct pt_scan *scan, bool *each)
{
    (void)ctx;
    (void)t;
    (void)scan;
    *each = true;
    return DAM_OK;
}

static dam_err on_bad(void *ctx, const struct pt_table *t, unsigned index, enum pt_bad why)
{
    (void)t;
    (void)index;
    ((struct seen *)ctx)->bad[why]++;
    return DAM_OK;
}

static struct seen walk(void)
{
    struct seen s = {0};
    const struct pt_visitor v = {.ctx = &s, .leaves = on_leaves, .leaf = on_leaf, .bad = on_bad};
    struct pt_walk wk = {
        .format = &f, .params = &p, .memory = &memory, .visitor = &v, .watch = &keep_out, .buffers = buffers};
    assert_int_equal(pt_walk(&wk, ROOT), DAM_OK);
    return s;
}

// A root of level 6 whose entry leads to a table of level 1: what it maps is 2 MiB, and no more.
static void levels_left_out(void **state)
{
    (void)state;
    p.levels = 6;
    pages[0][3] = table(1, 1);
    pages[1][511] = 0x7654001 | IR;
    pages[0][127] = table(2, 3);
    pages[2][511] = 0x40000001 | IR | IW;
    struct seen s = walk();
    assert_int_equal(s.leaves, 2);
    assert_int_equal(s.iova, (127ull << 57) + (511ull << 30));
    const uint64_t at = (3ull << 57) + 0x1FF000;
    assert_int_equal(ask(ROOT, at + 5), 0x7654005 | 1);
    assert_int_equal(judge(ROOT, at + 4), 0x7654004 | 1);
    for (unsigned bit = 21; bit < 57; bit++) { // a bit of an index that is left out
        assert_int_equal(ask(ROOT, at | 1ull << bit), 0);
        assert_int_equal(judge(ROOT, at | 1ull << bit), 0);
    }
    assert_int_equal(ask(ROOT, ~0ull), 0);
    // Editing what lies beside it puts the levels in, and keeps what was mapped.
    struct pt_tree tree = {.format = &f, .params = p, .memory = &memory};
    assert_int_equal(pt_tree_share(&tree, ROOT, true, false), DAM_OK);
    assert_int_equal(pt_tree_map(&tree, at + 0x1000, 0x1234000, 0x1000, true, true), DAM_OK);
    assert_int_equal(judge(tree.root, at), 0x7654001);
    assert_int_equal(judge(tree.root, at + 0x1000), 0x1234003);
    assert_int_equal(judge(tree.root, at + 0x2000), 0);
    assert_int_equal(judge(tree.root, (127ull << 57) + (511ull << 30)), 0x40000001);
}

// Of the root of level 6 only 128 entries can be reached with 64 bits.
static void six_levels_and_one(void **state)
{
    (void)state;
    p.levels = 6;
    pages[0][127] = table(1, 5);
    pages[0][128] = table(1, 5);
    pages[0][511] = ~0ull;
    pages[1][511] = 0x7000000000001 | IR;
    struct seen s = walk();
    assert_int_equal(s.leaves, 1);
    assert_int_equal(s.bad[PT_BAD_RESERVED], 0);
    assert_int_equal(ask(ROOT, ~0ull), 0x7FFFFFFFFFFFF | 1);
    struct pt_tree tree = {.format = &f, .params = p, .memory = &memory};
    assert_int_equal(pt_tree_new(&tree), DAM_OK);
    assert_int_equal(pt_tree_map(&tree, ~0xFFFull, 0x5000, 0x1000, true, false), DAM_OK);
    assert_int_equal(judge(tree.root, ~0xFFFull), 0x5001);
    assert_int_equal(pt_tree_map(&tree, ~0xFFFull, 0x5000, 0x2000, true, false), DAM_E_RANGE);
    p.levels = 1;
    memset(pages, 0, sizeof(pages));
    pages[0][7] = 0x5001 | IW;
    s = walk();
    assert_int_equal(s.leaves, 1);
    assert_int_equal(s.iova, 0x7000);
    assert_int_equal(ask(ROOT, 0x7010), 0x5010 | 2);
    assert_int_equal(ask(ROOT, 0x200000), 0);
}

static void put_64k(uint64_t *t, unsigned first, uint64_t addr)
{
    for (unsigned i = first; i < first + 16; i++)
        t[i] = (addr + 0x7000) | 0xE01 | IR | IW;
}

// One page of a 64-KiB page is taken out: the others must not say any more that they are 64 KiB.
static void a_part_taken_out(void **state)
{
    (void)state;
    pages[0][0] = table(1, 2);
    pages[1][0] = table(2, 1);
    put_64k(pages[2], 32, 0x130000);
    put_64k(pages[2], 48, 0x240000);
    struct seen s = walk();
    assert_int_equal(s.leaves, 32);
    assert_int_equal(s.addr, 0x24F000);
    for (unsigned edit = 0; edit < 2; edit++) {
        struct pt_tree tree = {.format = &f, .params = p, .memory = &memory};
        assert_int_equal(pt_tree_share(&tree, ROOT, true, edit), DAM_OK);
        if (edit)
            assert_int_equal(pt_tree_map(&tree, 0x23000, 0x999000, 0x1000, true, true), DAM_OK);
        else
            assert_int_equal(pt_tree_unmap(&tree, 0x23000, 0x1000), DAM_OK);
        for (unsigned i = 32; i < 64; i++) {
            uint64_t want = i < 48 ? 0x130000 + (i - 32) * 0x1000 : 0x240000 + (i - 48) * 0x1000;
            want |= edit ? 3 : 1;
            if (i == 35)
                want = edit ? 0x999003 : 0;
            assert_int_equal(judge(tree.root, i * 0x1000ull), want);
        }
        assert_int_equal(judge(ROOT, 0x23000), 0x133003); // the old tables are as they were
    }
}

// The hardware takes the size from whichever entry it finds: one that differs makes all of them doubtful.
static void parts_that_differ(void **state)
{
    (void)state;
    static const uint64_t other[] = {0, 0x5001 | IR, 0x137E01 | IR, 0x147E01 | IR | IW, 0x133E01 | IR | IW};
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        setup(state);
        p.levels = 1;
        put_64k(pages[0], 16, 0x130000);
        pages[0][20] = other[i];
        put_64k(pages[0], 64, 0x340000);
        pages[0][65] |= 0x60; // accessed and dirty: no difference
        struct seen s = walk();
        bool alone = i == 1;
        assert_int_equal(s.bad[PT_BAD_RUN], i < 2 ? 15 : 16);
        assert_int_equal(s.leaves, 16u + alone);
        assert_int_equal(judge(ROOT, 0x11000), ~0ull);
        assert_int_equal(ask(ROOT, 0x11000), 0x131003); // by the entry found
        struct pt_audit a = {.format = &f,
                             .params = &p,
                             .memory = &memory,
                             .keep_out = &keep_out,
                             .findings = &findings,
                             .buffers = buffers};
        assert_int_equal(pt_audit(&a, ROOT), DAM_OK);
        assert_int_equal(a.readable, 16 + alone);
        assert_int_equal(findings.at[0].code, DAM_F_PT_RUN);
        struct pt_tree tree = {.format = &f, .params = p, .memory = &memory};
        assert_int_equal(pt_tree_share(&tree, ROOT, true, true), DAM_OK);
        for (const struct pt_cut *c = a.cuts; c; c = c->next)
            assert_int_equal(pt_tree_unmap(&tree, c->iova, c->size), DAM_OK);
        for (uint64_t iova = 0x10000; iova < 0x20000; iova += 0x1000)
            assert_int_equal(judge(tree.root, iova), alone && iova == 0x14000 ? 0x5001 : 0);
        assert_int_equal(judge(tree.root, 0x41000), 0x341003);
    }
}

// Of pages that have no default size, the parts become tables of the next one; where there is none either,
// the edit is refused.
static void large_pages_divided(void **state)
{
    (void)state;
    p.levels = 4;
    for (unsigned i = 2; i < 4; i++)
        pages[0][i] = 0x1007FFFFFFE01 | IR | IW; // 1 TiB
    pages[0][8] = table(1, 3);
    pages[1][6] = pages[1][7] = 0xBFFFFE01 | IR; // 2 GiB
    struct pt_tree tree = {.format = &f, .params = p, .memory = &memory};
    assert_int_equal(pt_tree_share(&tree, ROOT, true, true), DAM_OK);
    const uint64_t at = 2ull << 39, gig = 1ull << 30;
    assert_int_equal(pt_tree_unmap(&tree, at + 5 * gig, 0x1000), DAM_OK);
    assert_int_equal(judge(tree.root, at + 5 * gig), 0);
    assert_int_equal(judge(tree.root, at + 5 * gig + 0x1000), 0x1000140001003);
    assert_int_equal(judge(tree.root, at + 1000 * gig), 0x100FA00000003);
    assert_int_equal(pt_tree_unmap(&tree, (8ull << 39) + 7 * gig, gig), DAM_OK);
    assert_int_equal(judge(tree.root, (8ull << 39) + 6 * gig), 0x80000001);
    assert_int_equal(judge(tree.root, (8ull << 39) + 7 * gig), 0);
    p.levels = 5;
    memset(pages, 0, OLD * sizeof(pages[0]));
    pages[0][1] = 0x1000000000001 | IR; // 256 TiB
    tree = (struct pt_tree){.format = &f, .params = p, .memory = &memory};
    assert_int_equal(pt_tree_share(&tree, ROOT, true, true), DAM_OK);
    assert_int_equal(pt_tree_unmap(&tree, 1ull << 48, 0x1000), DAM_E_UNSUPPORTED);
    assert_int_equal(judge(tree.root, 1ull << 48), 0x1000000000001);
}

static void guests(void **state)
{
    (void)state;
    pt_format_amdv2(&f);
    p = (struct pt_params){.levels = 4, .haw = 46, .large = 6, .canonical = true};
    assert_null(f.single);
    assert_int_equal(f.decode(&p, 0x5003, 0).kind, PT_EMPTY);
    assert_int_equal(f.decode(&p, 0x800000005007, 0).kind, PT_BAD);
    p.supervisor = true;
    p.encrypt = 1ull << 47;
    struct pt_entry e = f.decode(&p, 0x800000005003, 1);
    assert_int_equal(e.kind, PT_TABLE);
    assert_int_equal(e.addr, 0x5000);
    assert_true(e.supervisor && e.w);
    assert_false(f.decode(&p, 0x5007, 1).supervisor);
    assert_int_equal(f.decode(&p, 0x400000005007, 0).kind, PT_BAD); // beyond the width
    assert_int_equal(f.encode(&p, &e, 1), 0x5023);                  // what was a supervisor's stays so
    e.supervisor = false;
    assert_int_equal(f.encode(&p, &e, 1), 0x5027);
    const struct pt_entry through = {.r = true, .w = true, .supervisor = true};
    assert_int_equal(f.restrict_to(0x5067, &through), 0x5063);
    uint64_t t[PT_ENTRIES];
    struct pt_scan s;
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        t[i] = 0x800000005023 + (i & 1) * 4;
    f.scan(&p, t, &keep_out, &s);
    assert_int_equal(s.mapped, 512);
    assert_int_equal(s.writable, 512);
    assert_false(s.bad);
    p.supervisor = false;
    f.scan(&p, t, &keep_out, &s);
    assert_int_equal(s.mapped, 256);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_entries_say),  TEST(what_is_written),     TEST(scan_agrees_with_decode),
        TEST(levels_left_out),   TEST(six_levels_and_one),  TEST(a_part_taken_out),
        TEST(parts_that_differ), TEST(large_pages_divided), TEST(guests),
    };
    return cmocka_run_group_tests_name("pgtable: AMD", tests, NULL, NULL);
}

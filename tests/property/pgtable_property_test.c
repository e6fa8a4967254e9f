// SPDX-License-Identifier: MIT
// Random trees of every format: what the engine reads out of them is what a translator written apart makes of
// them, and what it builds from them is what the policy says, for every class of IOVA. Broken entries, pages
// of several entries that are not all alike, levels left out and pointers to anywhere are among them.
// PROPERTY_ROUNDS in the environment: how many times as much (1).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/formats.h"
#include "pgtable/audit.h"

#define OLD_BASE   0x40000000ull
#define OLD_PAGES  40u
#define POOL_BASE  0x80000000ull
#define POOL_PAGES 1400u
#define MAX_PROBES 4096u
#define KEEP_SIZE  (16ull << 20) // from POOL_BASE on

struct tree_world {
    const struct test_format *t;
    struct pt_format format;
    struct pt_params params;
    uint64_t old[OLD_PAGES][PT_ENTRIES];
    uint64_t (*pool_pages)[PT_ENTRIES];
    struct dam_ops ops;
    struct dam_range storage[4];
    struct dam_ranges old_ram, keep_out;
    struct dam_arena pool;
    struct pt_memory old_memory, own_memory;
    uint64_t buffers[PT_MAX_LEVELS * PT_ENTRIES];
    uint64_t probe[MAX_PROBES];
    unsigned probes, used;
    uint64_t state; // of the dice
};

static struct tree_world world;
static struct tree_world *const w = &world;

static uint64_t dice(void)
{
    w->state = w->state * 6364136223846793005ull + 1442695040888963407ull;
    uint64_t x = w->state ^ w->state >> 29;
    return (x * 0xBF58476D1CE4E5B9ull) >> 7;
}

static unsigned below(unsigned n)
{
    return (unsigned)(dice() % n);
}

static unsigned rounds(void)
{
    const char *given = getenv("PROPERTY_ROUNDS");
    unsigned n = given ? (unsigned)strtoul(given, NULL, 10) : 1;
    return n ? n : 1;
}

static dam_err read_old(void *ctx, dam_pa pa, void *buf, size_t len)
{
    (void)ctx;
    assert_in_range(pa.v, OLD_BASE, OLD_BASE + sizeof(w->old) - len);
    memcpy(buf, (uint8_t *)w->old + (pa.v - OLD_BASE), len);
    return DAM_OK;
}

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static bool read64_old(void *ctx, uint64_t pa, uint64_t *value)
{
    (void)ctx;
    if (pa < OLD_BASE || pa - OLD_BASE > sizeof(w->old) - 8)
        return false;
    memcpy(value, (uint8_t *)w->old + (pa - OLD_BASE), 8);
    return true;
}

static bool read64_all(void *ctx, uint64_t pa, uint64_t *value)
{
    if (pa < POOL_BASE || pa - POOL_BASE > POOL_PAGES * DAM_PAGE_SIZE - 8)
        return read64_old(ctx, pa, value);
    memcpy(value, (uint8_t *)w->pool_pages + (pa - POOL_BASE), 8);
    return true;
}

static struct judged judge_old(uint64_t iova)
{
    const struct test_memory memory = {read64_old, NULL};
    return w->t->judge(&w->params, &memory, OLD_BASE, iova);
}

static struct judged judge_new(dam_pa root, uint64_t iova)
{
    const struct test_memory memory = {read64_all, NULL};
    return w->t->judge(&w->params, &memory, root.v, iova);
}

// ---- random trees ----------------------------------------------------------------------------------------
static void probe(uint64_t iova)
{
    if (iova <= pt_last(w->params.levels) && w->probes < MAX_PROBES)
        w->probe[w->probes++] = iova;
}

static void probe_span(uint64_t iova, unsigned level)
{
    uint64_t span = pt_span(level);
    probe(iova);
    probe(iova + span - 1);
    probe(iova + span / 2 + 0x123);
    probe(iova + dice() % span);
    probe(iova + span);
    probe(iova - 1);
}

static unsigned random_rights(void)
{
    unsigned rights = below(8) ? TEST_R | TEST_W : TEST_R;
    return w->t->write_only && below(10) == 0 ? below(4) : rights;
}

// Memory for a page of this size; often near or in what is to be kept out.
static uint64_t random_page(uint64_t size)
{
    uint64_t pa = dice() % (1ull << 38);
    if (below(3) == 0)
        pa = POOL_BASE - (4ull << 20) + dice() % (KEEP_SIZE + (8ull << 20));
    return dam_align_down(pa, size);
}

static void put_run(uint64_t *table, uint64_t iova, unsigned level, unsigned index)
{
    unsigned run = 1 + below(8), count = 1u << run, first = index & ~(count - 1);
    if (12 + 9 * level + run > 50) // no memory has such pages
        return;
    uint64_t size = pt_span(level) << run;
    uint64_t raw = w->t->leaf(random_page(size) & dam_bits_mask(51, 12), level, run, random_rights());
    for (unsigned i = first; i < first + count; i++)
        table[i] = raw | (below(4) ? 0 : 0x60); // accessed and dirty are each entry's own
    if (below(4) == 0)
        table[first + below(count)] = below(2) ? 0 : w->t->leaf(random_page(pt_span(level)), level, 0, 3);
    for (unsigned i = 0; i < 4; i++)
        probe_span(iova + (first + below(count)) * pt_span(level), level);
    probe(iova + first * pt_span(level));
    probe(iova + (first + count) * pt_span(level) - 1);
}

static void put_leaf(uint64_t *slot, unsigned level)
{
    if (level == 0 || (w->params.large >> level & 1))
        *slot = w->t->leaf(random_page(pt_span(level)), level, 0, random_rights());
}

// The recursion ends with the levels.
static void fill_table(unsigned page, uint64_t iova, unsigned level)
{
    uint64_t *table = w->old[page];
    unsigned entries = 2 + below(level ? 5 : 40), reach = pt_reach(level);
    for (unsigned n = 0; n < entries; n++) {
        unsigned index = below(3) ? below(reach) : below(2) ? below(4) : reach - 1 - below(4);
        uint64_t at = iova + index * pt_span(level), *slot = &table[index];
        unsigned kind = below(16);
        if (*slot)
            continue;
        if (level > 0 && kind < 9 && w->used < OLD_PAGES) {
            unsigned skip = w->t->skips && below(4) == 0 ? below(level) : 0, child = w->used++;
            *slot = w->t->table(OLD_BASE + child * (uint64_t)DAM_PAGE_SIZE, level, skip, random_rights());
            fill_table(child, at, level - 1 - skip);
        } else if (kind < 12 && w->t->runs && below(2)) {
            put_run(table, iova, level, index);
        } else if (kind < 14) {
            put_leaf(slot, level);
        } else if (kind == 14 && level > 0) { // to somewhere else
            *slot = w->t->table(dice() % (1ull << 40) & ~0xFFFull, level, 0, 3);
        }
        if (below(20) == 0)
            *slot ^= 1ull << below(64);
        if (below(100) == 0)
            *slot = dice() << 20 ^ dice();
        probe_span(at, level);
    }
}

static void make_world(const struct test_format *t, uint64_t seed)
{
    uint64_t(*pages)[PT_ENTRIES] = w->pool_pages;
    if (!pages)
        pages = aligned_alloc(DAM_PAGE_SIZE, POOL_PAGES * DAM_PAGE_SIZE);
    memset(w, 0, sizeof(*w));
    w->t = t;
    w->pool_pages = pages;
    w->state = seed * 0x9E3779B97F4A7C15ull + 1;
    for (unsigned i = 0; i < 8; i++)
        dice();
    t->fill(&w->format);
    w->params.levels = (uint8_t)(t->min_levels + below(t->max_levels - t->min_levels + 1u));
    t->params(dice(), &w->params);
    w->ops = (struct dam_ops){.mem_read = read_old, .clock_us = no_time};
    dam_ranges_init(&w->old_ram, w->storage, 2);
    dam_ranges_init(&w->keep_out, w->storage + 2, 2);
    assert_int_equal(dam_ranges_add(&w->old_ram, OLD_BASE, OLD_BASE + sizeof(w->old)), DAM_OK);
    assert_int_equal(dam_ranges_add(&w->keep_out, POOL_BASE, POOL_BASE + KEEP_SIZE), DAM_OK);
    w->old_memory = (struct pt_memory){&w->ops, &w->old_ram, &w->pool, false, NULL};
    w->own_memory = w->old_memory;
    w->own_memory.ours = true;
    w->used = 1;
    fill_table(0, 0, w->params.levels - 1u);
    for (unsigned i = 0; i < 30; i++)
        probe(w->params.levels < PT_MAX_LEVELS ? dice() % pt_span(w->params.levels) : dice() << 20);
}

static void empty_pool(void)
{
    memset(w->pool_pages, 0, POOL_PAGES * DAM_PAGE_SIZE);
    dam_arena_init(&w->pool, w->pool_pages, dam_pa_of(POOL_BASE), POOL_PAGES * DAM_PAGE_SIZE);
}

// ---- what must hold --------------------------------------------------------------------------------------
static bool maps(const struct judged *j)
{
    return j->r || j->w;
}

static bool kept_out(uint64_t pa)
{
    return pa >= POOL_BASE && pa < POOL_BASE + KEEP_SIZE;
}

static bool cut_out(const struct pt_audit *a, uint64_t iova)
{
    for (const struct pt_cut *c = a->cuts; c; c = c->next)
        if (iova >= c->iova && iova - c->iova < c->size)
            return true;
    return false;
}

#define TELL(iova, old, new)                                                                                 \
    fail_msg("%s, %u levels: iova %#llx: old %d%d %#llx%s, new %d%d %#llx%s", w->t->name, w->params.levels,  \
             (unsigned long long)(iova), (old).r, (old).w, (unsigned long long)(old).pa,                     \
             (old).unsure ? " unsure" : "", (new).r, (new).w, (unsigned long long)(new).pa,                  \
             (new).unsure ? " unsure" : "")

// One address at a time.
static void check_translate(void)
{
    for (unsigned i = 0; i < w->probes; i++) {
        struct judged old = judge_old(w->probe[i]);
        struct pt_entry e;
        dam_err err =
            pt_translate(&w->format, &w->params, &w->old_memory, dam_pa_of(OLD_BASE), w->probe[i], &e);
        struct judged got = {.r = !err && e.r, .w = !err && e.w, .pa = err ? 0 : e.addr};
        if (old.unsure && err)
            continue;
        if (got.r != old.r || got.w != old.w || (maps(&got) && got.pa != old.pa))
            TELL(w->probe[i], old, got);
    }
}

// What New must be: Old through `keep`, less what was cut, and that is only what must be.
static void check_new(const struct pt_audit *a, dam_pa root, unsigned keep)
{
    for (unsigned i = 0; i < w->probes; i++) {
        uint64_t iova = w->probe[i];
        struct judged old = judge_old(iova), new = judge_new(root, iova);
        bool cut = cut_out(a, iova), must = maps(&old) && (old.unsure || kept_out(old.pa));
        if (new.unsure || (maps(&new) && kept_out(new.pa)) || (cut && maps(&new)) || (must && !cut))
            TELL(iova, old, new);
        if (cut && maps(&old) && !must) // nothing is taken away without need
            TELL(iova, old, new);
        if (cut)
            continue;
        bool r = old.r && (keep & TEST_R), x = old.w && (keep & TEST_W);
        if (new.r != r || new.w != x || (maps(&new) && new.pa != old.pa))
            TELL(iova, old, new);
    }
}

static struct pt_audit audit_of(bool copy)
{
    return (struct pt_audit){.format = &w->format,
                             .params = &w->params,
                             .memory = &w->old_memory,
                             .keep_out = &w->keep_out,
                             .buffers = w->buffers,
                             .copy = copy};
}

// Freeze or preserve as a takeover does it. False: no room, or a page that cannot be divided.
static bool build(bool copy, struct pt_audit *a, struct pt_tree *tree)
{
    empty_pool();
    *a = audit_of(copy);
    assert_int_equal(pt_audit(a, dam_pa_of(OLD_BASE)), DAM_OK);
    *tree = (struct pt_tree){.format = &w->format, .params = w->params, .memory = &w->own_memory};
    tree->root = a->copied_root;
    tree->own_from = a->copied_from;
    if (!copy)
        assert_int_equal(pt_tree_share(tree, dam_pa_of(OLD_BASE), true, false), DAM_OK);
    for (const struct pt_cut *c = a->cuts; c; c = c->next) {
        dam_err err = pt_tree_unmap(tree, c->iova, c->size);
        if (err == DAM_E_NOMEM || err == DAM_E_UNSUPPORTED)
            return false;
        assert_int_equal(err, DAM_OK);
    }
    return true;
}

// What was built is sound in the engine's own eyes as well: nothing is left to cut.
static void check_again(dam_pa root, bool frozen)
{
    static struct dam_finding_ring findings;
    struct pt_audit again = audit_of(false);
    memset(&findings, 0, sizeof(findings));
    again.memory = &w->own_memory;
    again.findings = &findings;
    assert_int_equal(pt_audit(&again, root), DAM_OK);
    for (const struct pt_cut *c = again.cuts; c; c = c->next)
        fail_msg("%s, %u levels: %#llx is still to be cut: finding %u, level %u, raw %#llx", w->t->name,
                 w->params.levels, (unsigned long long)c->iova, findings.at[0].code, findings.at[0].level,
                 (unsigned long long)findings.at[0].raw);
    if (frozen)
        assert_int_equal(again.writable, 0);
}

// An identity window over some place where something is mapped: by edits, and laid over.
static void check_window(const struct pt_audit *a, struct pt_tree *tree, bool lay)
{
    uint64_t start = dam_align_down(w->probe[below(w->probes)], DAM_PAGE_SIZE) & dam_bits_mask(37, 12);
    uint64_t size = DAM_PAGE_SIZE << below(12), last = pt_last(w->params.levels);
    if (w->params.canonical)
        last /= 2;
    if (kept_out(start) || kept_out(start + size) || start > last || size - 1 > last - start)
        return;
    dam_err err;
    if (lay) {
        struct pt_tree window = *tree;
        err = pt_tree_new(&window);
        if (!err)
            err = pt_tree_map(&window, start, start, size, true, true);
        if (!err)
            err = pt_tree_lay_over(tree, window.root);
    } else {
        err = pt_tree_map(tree, start, start, size, true, true);
    }
    if (err == DAM_E_NOMEM || err == DAM_E_UNSUPPORTED)
        return;
    assert_int_equal(err, DAM_OK);
    for (unsigned i = 0; i < w->probes; i++) {
        uint64_t iova = w->probe[i];
        struct judged old = judge_old(iova), new = judge_new(tree->root, iova);
        bool inside = iova - start < size;
        struct judged want = {.r = inside || old.r, .w = inside, .pa = inside ? iova : old.pa};
        if (!inside && cut_out(a, iova))
            want.r = false;
        if (new.unsure || new.r != want.r || new.w != want.w || (maps(&new) && new.pa != want.pa))
            TELL(iova, want, new);
    }
    if (start + size <= last)
        assert_false(judge_new(tree->root, start + size).unsure);
    assert_true(judge_new(tree->root, start + size - 1).w);
}

static unsigned built, mapped, unsure, cuts;

static void check_tree(void)
{
    struct pt_audit a;
    struct pt_tree tree;
    check_translate();
    for (unsigned i = 0; i < w->probes; i++) {
        struct judged old = judge_old(w->probe[i]);
        mapped += maps(&old);
        unsure += old.unsure;
    }
    if (build(true, &a, &tree)) {
        check_new(&a, tree.root, TEST_R | TEST_W);
        check_again(tree.root, false);
    }
    for (unsigned lay = 0; lay < 2; lay++)
        if (build(false, &a, &tree)) {
            built++;
            cuts += a.cut_count;
            check_new(&a, tree.root, TEST_R);
            check_again(tree.root, true);
            check_window(&a, &tree, lay);
        }
}

static void all_formats(void **state)
{
    (void)state;
    for (unsigned f = 0; f < test_format_count; f++) {
        const struct test_format *t = &test_formats[f];
        unsigned trees = 150 * rounds();
        built = mapped = unsure = cuts = 0;
        for (unsigned i = 0; i < trees; i++) {
            make_world(t, i + f * 100000ull);
            check_tree();
        }
        print_message("%s: %u trees, %u probes mapped, %u unsure, %u cuts\n", t->name, trees, mapped, unsure,
                      cuts);
        assert_true(built > trees && mapped > trees * 20 && cuts > trees);
        assert_int_equal(t->runs, unsure > trees);
    }
}

// Every single bit of one entry of each level, and what lies around it.
static void all_bits(void **state)
{
    (void)state;
    for (unsigned f = 0; f < test_format_count; f++) {
        for (unsigned i = 0; i < 4 * rounds(); i++) {
            make_world(&test_formats[f], i + f * 1000ull + 77);
            uint64_t saved;
            unsigned page = below(w->used), index = 0;
            while (index < PT_ENTRIES - 1 && !w->old[page][index])
                index++;
            saved = w->old[page][index];
            for (unsigned bit = 0; bit < 64; bit++) {
                struct pt_audit a;
                struct pt_tree tree;
                w->old[page][index] = saved ^ 1ull << bit;
                check_translate();
                if (build(bit & 1, &a, &tree))
                    check_new(&a, tree.root, bit & 1 ? TEST_R | TEST_W : TEST_R);
            }
        }
    }
}

// Tables in which everything leads to one page, of every height that a format has.
static void scratch(void **state)
{
    (void)state;
    for (unsigned f = 0; f < test_format_count; f++) {
        const struct test_format *t = &test_formats[f];
        for (uint8_t levels = t->min_levels; levels <= t->max_levels; levels++) {
            struct pt_scratch s;
            make_world(t, f);
            empty_pool();
            w->params.levels = t->max_levels;
            assert_int_equal(pt_scratch_new(&w->format, &w->params, &w->pool, dam_pa_of(0x7654000), &s),
                             DAM_OK);
            assert_int_equal(w->pool.low, t->max_levels * DAM_PAGE_SIZE);
            w->params.levels = levels;
            for (unsigned i = 0; i < 200; i++) {
                uint64_t iova = i == 0   ? 0
                                : i == 1 ? pt_last(levels)
                                         : (dice() << 20 ^ dice()) & pt_last(levels);
                struct judged j = judge_new(s.root[levels - 1], iova);
                assert_true(j.r && j.w && !j.unsure);
                assert_int_equal(j.pa, 0x7654000 + iova % DAM_PAGE_SIZE);
            }
        }
    }
}

static int cleanup(void **state)
{
    (void)state;
    free(w->pool_pages);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_formats),
        cmocka_unit_test(all_bits),
        cmocka_unit_test(scratch),
    };
    return cmocka_run_group_tests_name("page tables of every format", tests, NULL, cleanup);
}

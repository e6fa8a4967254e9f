// SPDX-License-Identifier: MIT
// The scan for root tables: over tables of both modes among pages that look like them, and over memory that
// was made to look like nothing but them.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/kind.h"
#include "inspect/progress.h"
#include "lib/old_amd.h"

#define PAGES 1024u
#define BASE  0x40000000ull
#define BYTES (PAGES * 4096u)

static _Alignas(4096) uint8_t ram[BYTES];
static bool absent[PAGES];
static unsigned reads;
static struct dam_range range = {BASE, BASE + BYTES};
static struct dam_ranges ranges = {&range, 1, 1};
static struct old_kernel old;
static struct scan_result found;

static dam_err read_page(void *ctx, dam_pa pa, void *page, struct tool_error *why)
{
    (void)ctx;
    (void)why;
    reads++;
    if (pa.v < BASE || pa.v >= BASE + BYTES)
        return DAM_E_RANGE;
    if (absent[(pa.v - BASE) / 4096])
        return DAM_E_ABSENT;
    memcpy(page, ram + (pa.v - BASE), 4096);
    return DAM_OK;
}

static bool next_held(void *ctx, uint64_t *start, uint64_t *end)
{
    (void)ctx;
    uint64_t at = *start < BASE ? 0 : (*start - BASE) / 4096;
    while (at < PAGES && absent[at])
        at++;
    *start = *end = BASE + at * 4096;
    while (at < PAGES && !absent[at])
        *end = BASE + ++at * 4096;
    return *end > *start;
}

static dam_err scan(const struct dam_ranges *skip)
{
    struct memory_provider provider = {.read_page = read_page, .next_held = next_held, .ram = &ranges};
    struct memory *memory = memory_new(&provider);
    reads = 0;
    dam_err err = scan_roots(memory, skip, &found);
    memory_close(memory);
    return err;
}

static int begin(void **state)
{
    (void)state;
    memset(ram, 0, sizeof ram);
    memset(absent, 0, sizeof absent);
    old_kernel_begin(&old, ram, BASE, BYTES);
    return 0;
}

static uint64_t tree(unsigned levels)
{
    uint64_t root = old_kernel_page(&old);
    for (unsigned i = 0; i < 20; i++)
        old_kernel_map(&old, root, levels, 0, 0x1000000 + i * 0x1000, BASE + i * 0x3000, OLD_R | OLD_W);
    old_kernel_map(&old, root, levels, 1, 0x40000000, BASE & ~0x1FFFFFull, OLD_R);
    return root;
}

static uint64_t tree_first(unsigned levels)
{
    uint64_t root = old_kernel_page(&old);
    for (unsigned i = 0; i < 20; i++)
        old_kernel_map_first(&old, root, levels, 0, 0x1000000 + i * 0x1000, BASE + i * 0x3000,
                             OLD_FS_P | OLD_FS_W | OLD_FS_U | OLD_FS_A);
    return root;
}

// Things that look a little like tables: pages of text, of small and of random numbers, of pointers to pages.
static void decoys(void)
{
    uint64_t random = 1;
    for (unsigned kind = 0; kind < 6; kind++) {
        uint64_t *words = old_kernel_word(&old, old_kernel_page(&old));
        for (unsigned i = 0; i < 512; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            uint64_t page = BASE + (random >> 40) % PAGES * 4096;
            const uint64_t value[] = {0x2020202020202020u, i, random, page, page | 1, i % 2 ? 0 : page | 1};
            words[i] = value[kind];
        }
    }
}

static void expect_one(bool scalable, unsigned strong, unsigned weak, unsigned unsound, unsigned unknown)
{
    assert_int_equal(found.count, 1);
    assert_int_equal(found.roots[0].root.v, old.root);
    assert_int_equal(found.roots[0].scalable, scalable);
    assert_int_equal(found.roots[0].strong, strong);
    assert_int_equal(found.roots[0].weak, weak);
    assert_int_equal(found.roots[0].unsound, unsound);
    assert_int_equal(found.roots[0].unknown, unknown);
    assert_false(found.more);
    assert_false(found.gave_up);
}

static void test_legacy(void **state)
{
    (void)state;
    assert_int_equal(scan(NULL), DAM_OK); // nothing but an empty root table
    assert_int_equal(found.count, 0);
    old_kernel_attach(&old, 0x0010, 0, 4, 7, tree(4));
    old_kernel_attach(&old, 0x0018, 0, 3, 8, tree(3));
    old_kernel_attach(&old, 0x0108, 1, 5, 9, tree(5));
    old_kernel_attach(&old, 0x0120, 2, 4, 1, 0);                      // pass-through
    old_kernel_attach(&old, 0x0130, 0, 4, 10, old_kernel_page(&old)); // maps nothing
    old_kernel_context(&old, 0x0138)[0] = 2;                          // not present, faults off
    decoys();
    assert_int_equal(scan(NULL), DAM_OK);
    expect_one(false, 3, 2, 0, 0);
}

static void test_scalable(void **state)
{
    static const unsigned rids[] = {0x0010, 0x00F8, 0x0108, 0x0120};
    (void)state;
    old.scalable = true;
    for (unsigned i = 0; i < 4; i++)
        old_kernel_directory(&old, rids[i], i, 0);
    old_kernel_bind(&old, 0x0010, 0, 2, 4, 7, tree(4));
    old_kernel_bind(&old, 0x00F8, 0, 1, 4, 8, tree_first(4)); // in the upper half
    old_kernel_bind(&old, 0x0108, 0, 1, 5, 9, tree_first(5));
    old_kernel_bind(&old, 0x0120, 0, 4, 4, 1, 0);
    decoys();
    assert_int_equal(scan(NULL), DAM_OK);
    expect_one(true, 3, 1, 0, 0);
}

static void test_pass_through(void **state)
{
    (void)state;
    old_kernel_attach(&old, 0x0010, 2, 4, 1, 0);
    assert_int_equal(scan(NULL), DAM_OK);
    assert_int_equal(found.count, 0); // one alone proves too little
    old_kernel_attach(&old, 0x0018, 2, 4, 1, 0);
    assert_int_equal(scan(NULL), DAM_OK);
    expect_one(false, 0, 2, 0, 0);
}

// Tables that the crash itself has damaged are what people look for.
static void test_damaged(void **state)
{
    (void)state;
    uint64_t good = tree(4), gone = tree(4), wrong = tree(4);
    old_kernel_attach(&old, 0x0010, 0, 4, 7, good);
    old_kernel_attach(&old, 0x0018, 0, 4, 8, gone);
    old_kernel_attach(&old, 0x0020, 0, 4, 9, good);
    old_kernel_attach(&old, 0x0028, 0, 4, 9, wrong);
    old_kernel_attach(&old, 0x0030, 0, 6, 9, good); // six levels
    old_kernel_attach(&old, 0x0110, 0, 4, 7, good);
    old_kernel_context(&old, 0x0038)[0] = good | 0x11;  // reserved
    *old_kernel_word(&old, wrong + 0x800) = 0x7FFF0003; // outside RAM
    absent[(gone - BASE) / 4096] = true;
    assert_int_equal(scan(NULL), DAM_OK);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.roots[0].strong, 3);
    assert_int_equal(found.roots[0].unsound, 3);
    assert_int_equal(found.roots[0].unknown, 1);
    // The more of it is nonsense, the less likely it is.
    old_kernel_context(&old, 0x0120)[0] = 0xFFFF;
    assert_int_equal(scan(NULL), DAM_OK);
    assert_int_equal(found.count, 0);
}

static void test_absent(void **state)
{
    (void)state;
    old_kernel_attach(&old, 0x0010, 0, 4, 7, tree(4));
    old_kernel_attach(&old, 0x0110, 0, 4, 7, tree(4));
    uint64_t second = *old_kernel_word(&old, old.root + 16) & ~1ull;
    absent[(second - BASE) / 4096] = true;
    assert_int_equal(scan(NULL), DAM_OK);
    expect_one(false, 1, 0, 0, 1);
    absent[(old.root - BASE) / 4096] = true;
    assert_int_equal(scan(NULL), DAM_OK);
    assert_int_equal(found.count, 0);
}

static void test_root_entries(void **state)
{
    static const uint64_t wrong[] = {2, 0x801, 0x10, BASE + BYTES + 1, 1ull << 60 | 1, ~0ull};
    (void)state;
    old_kernel_attach(&old, 0x0010, 0, 4, 7, tree(4));
    old_kernel_attach(&old, 0x0018, 0, 4, 7, tree(4));
    uint64_t *word = old_kernel_word(&old, old.root);
    const uint64_t sound = word[0];
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        word[2] = wrong[i];
        assert_int_equal(scan(NULL), DAM_OK);
        expect_one(false, 2, 0, 1, 0);
    }
    word[3] = ~0ull;
    assert_int_equal(scan(NULL), DAM_OK);
    expect_one(false, 2, 0, 2, 0);
    word[5] = ~0ull; // more is not damage
    assert_int_equal(scan(NULL), DAM_OK);
    assert_int_equal(found.count, 0);
    word[3] = word[5] = word[2] = 0;
    word[0] = sound & ~1ull;
    assert_int_equal(scan(NULL), DAM_OK);
    assert_int_equal(found.count, 0);
}

// Several: the likeliest first, the crash region left out on demand.
static void test_ranking(void **state)
{
    (void)state;
    uint64_t shared = tree(4), roots[40];
    struct dam_range crash_range;
    struct dam_ranges crash = {&crash_range, 1, 1};
    for (unsigned i = 0; i < 40; i++) {
        if (i > 0)
            old.root = old_kernel_page(&old);
        roots[i] = old.root;
        for (unsigned f = 0; f <= i; f++)
            old_kernel_attach(&old, 8 * f, 0, 4, 7, shared);
    }
    assert_int_equal(scan(NULL), DAM_OK);
    assert_int_equal(found.count, SCAN_MAX_ROOTS);
    assert_true(found.more);
    for (unsigned i = 0; i < SCAN_MAX_ROOTS; i++) {
        assert_int_equal(found.roots[i].strong, 40 - i);
        assert_int_equal(found.roots[i].root.v, roots[39 - i]);
    }
    crash_range = (struct dam_range){roots[10], BASE + BYTES};
    assert_int_equal(scan(&crash), DAM_OK);
    assert_int_equal(found.count, 10);
    assert_false(found.more);
    assert_int_equal(found.roots[0].root.v, roots[9]);
}

// Every page leads to every other one: the work has an end.
static void test_hostile(void **state)
{
    (void)state;
    uint64_t *words = (uint64_t *)ram;
    for (unsigned i = 0; i < PAGES * 512; i++)
        words[i] = (BASE + i % PAGES * 4096) | 1;
    assert_int_equal(scan(NULL), DAM_OK);
    assert_true(reads <= (1u << 18) + (1u << 13));
    // Rows of context entries that hold, at the end of which the tables do not.
    for (unsigned i = 0; i < PAGES * 512; i++)
        words[i] = i % 2 ? 0x102 : (BASE + i % PAGES * 4096) | 1;
    for (unsigned i = 0; i < 512 * 512; i++)
        words[i] = i % 2 ? 0 : (BASE + (512 + i % 512) * 4096) | 1;
    assert_int_equal(scan(NULL), DAM_OK);
    assert_true(reads <= (1u << 18) + (1u << 13));
    // Root tables that all are as good as any.
    begin(NULL);
    uint64_t shared = tree(4), first = old.root;
    for (unsigned f = 0; f < 256; f++)
        old_kernel_attach(&old, f, 0, 4, 7, shared);
    while (old.used + 4096 <= BYTES)
        *old_kernel_word(&old, old_kernel_page(&old)) = *old_kernel_word(&old, first);
    assert_int_equal(scan(NULL), DAM_OK);
    assert_true(reads > 1u << 18 && reads <= (1u << 18) + (1u << 13));
    assert_true(found.more && found.gave_up);
    assert_int_equal(found.count, SCAN_MAX_ROOTS);
    assert_int_equal(found.roots[0].root.v, first);
    assert_int_equal(found.roots[0].strong, 256);
}

static void test_interrupted(void **state)
{
    (void)state;
    old_kernel_attach(&old, 0x0010, 0, 4, 7, tree(4));
    progress_catch_signals();
    assert_int_equal(raise(SIGINT), 0);
    assert_int_equal(scan(NULL), DAM_E_STATE);
    assert_int_equal(found.count, 0);
}

// ---- device tables
static uint64_t host_tree(unsigned mode)
{
    uint64_t root = old_kernel_page(&old);
    for (unsigned i = 0; i < 20; i++)
        old_amd_map(&old, root, mode, 0, i * 0x1000, BASE + i * 0x3000, OLD_R | OLD_W);
    return root;
}

static void expect_table(uint64_t root, uint64_t size, unsigned strong, unsigned weak, unsigned unsound,
                         unsigned unknown)
{
    assert_int_equal(found.count, 1);
    assert_ptr_equal(found.roots[0].kind, &inspect_amdvi);
    assert_int_equal(found.roots[0].root.v, root);
    assert_int_equal(found.roots[0].size, size);
    assert_int_equal(found.roots[0].strong, strong);
    assert_int_equal(found.roots[0].weak, weak);
    assert_int_equal(found.roots[0].unsound, unsound);
    assert_int_equal(found.roots[0].unknown, unknown);
}

static void test_device_table(void **state)
{
    (void)state;
    old_amd_begin(&old, ram, BASE, BYTES, 256);
    assert_int_equal(scan(NULL), DAM_OK); // all of it blocks
    assert_int_equal(found.count, 0);
    old_amd_attach(&old, 0x10, 3, 1, host_tree(3), OLD_R | OLD_W);
    old_amd_attach(&old, 0x18, 6, 2, host_tree(6), OLD_R);
    old_amd_attach(&old, 0xF8, 4, 3, old_kernel_page(&old), OLD_R); // maps nothing
    old_amd_pass(&old, 0x20, 4, OLD_R | OLD_W);
    old_amd_pass(&old, 0x28, 5, OLD_R | OLD_W);
    old_amd_guest(&old, 0x28, 2, true, 4);
    *old_amd_gcr3(&old, 0x28, 0x205) = tree_first(4) | 1;
    decoys();
    assert_int_equal(scan(NULL), DAM_OK);
    expect_table(BASE, 0x2000, 3, 2, 0, 0);
    assert_false(found.more || found.gave_up);
    // What is damaged, and what is not there.
    old_amd_entry(&old, 0x30)[0] = OLD_AMD_V | OLD_AMD_TV | 4 | OLD_AMD_RW;
    old_amd_attach(&old, 0x38, 3, 1, 0x7FFF000, OLD_R);
    uint64_t gone = host_tree(3);
    old_amd_attach(&old, 0x40, 3, 1, gone, OLD_R);
    absent[(gone - BASE) / 4096] = true;
    assert_int_equal(scan(NULL), DAM_OK);
    expect_table(BASE, 0x2000, 3, 2, 2, 1);
    absent[1] = true; // half of the table
    assert_int_equal(scan(NULL), DAM_OK);
    expect_table(BASE, 0x1000, 3, 1, 2, 1);
    for (unsigned i = 0; i < 3; i++)
        old_amd_entry(&old, 0x50 + i)[0] = ~0ull; // more is not damage
    assert_int_equal(scan(NULL), DAM_OK);
    assert_int_equal(found.count, 0);
}

// Where a table begins and ends when its neighbours look like parts of one, too.
static void test_device_table_neighbours(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 16; at++) {
        begin(NULL);
        old_amd_begin(&old, ram, BASE, BYTES, 16 * 128);
        old_amd_attach(&old, at * 128, 3, 1, host_tree(3), OLD_R);
        assert_int_equal(scan(NULL), DAM_OK);
        expect_table(BASE, 16 * 0x1000, 1, 0, 0, 0);
        // Without one of its pages: what is left of it around the entry, as a power of two.
        absent[12] = true;
        assert_int_equal(scan(NULL), DAM_OK);
        if (at < 8)
            expect_table(BASE, 8 * 0x1000, 1, 0, 0, 0);
        else if (at < 12)
            expect_table(BASE + 8 * 0x1000, 4 * 0x1000, 1, 0, 0, 0);
        else if (at == 13)
            expect_table(BASE + 13 * 0x1000, 0x1000, 1, 0, 0, 0);
        else if (at > 13)
            expect_table(BASE + 14 * 0x1000, 2 * 0x1000, 1, 0, 0, 0);
        else
            assert_int_equal(found.count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_device_table, begin),
        cmocka_unit_test_setup(test_device_table_neighbours, begin),
        cmocka_unit_test_setup(test_legacy, begin),
        cmocka_unit_test_setup(test_scalable, begin),
        cmocka_unit_test_setup(test_pass_through, begin),
        cmocka_unit_test_setup(test_damaged, begin),
        cmocka_unit_test_setup(test_absent, begin),
        cmocka_unit_test_setup(test_root_entries, begin),
        cmocka_unit_test_setup(test_ranking, begin),
        cmocka_unit_test_setup(test_hostile, begin),
        cmocka_unit_test_setup(test_interrupted, begin), // the last one: signals are remembered
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

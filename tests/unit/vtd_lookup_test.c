// SPDX-License-Identifier: MIT
// engine/iommu/vtd/lookup.c: every binding below a root table, against a translator written apart; what is
// broken, what the memory does not hold, what does not end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cofferdam/findings.h>

#include "iommu/vtd/lookup.h"
#include "lib/naive_vtd.h"
#include "lib/old_kernel.h"

#define BASE      0x40000000ull
#define PAGES     256u
#define MAX_FOUND 20000u
#define CAP       (0x0Eull << 8 | 47ull << 16 | 3ull << 34 | 1ull << 56 | 1ull << 60)
// DT, PT, SC, NEST, PRS, PASID, SMTS, SSTS, FSTS, RPS
#define ECAP                                                                                                 \
    (1ull << 2 | 1ull << 6 | 1ull << 7 | 1ull << 26 | 1ull << 29 | 1ull << 40 | 1ull << 43 | 7ull << 46 |    \
     1ull << 49)
#define HAW 46u

static struct {
    uint64_t words[PAGES * PT_ENTRIES];
    bool gone[PAGES]; // not held
    struct old_kernel k;
    struct dam_ops ops;
    struct dam_range storage[2];
    struct dam_ranges ram;
    struct pt_budget budget;
    struct pt_memory memory;
    struct vtd_unit unit;
    struct vtd_lookup lookup;
    uint64_t buffers[VTD_LOOKUP_PAGES * PT_ENTRIES];
    struct iommu_hit found[MAX_FOUND];
    unsigned count, most;
} w;

static dam_err read_memory(void *ctx, dam_pa pa, void *buf, size_t len)
{
    (void)ctx;
    assert_true(pa.v >= BASE && pa.v - BASE + len <= sizeof(w.words));
    if (w.gone[(pa.v - BASE) / 4096])
        return DAM_E_ABSENT;
    memcpy(buf, (uint8_t *)w.words + (pa.v - BASE), len);
    return DAM_OK;
}

static bool read64(void *ctx, uint64_t pa, uint64_t *value)
{
    (void)ctx;
    if (pa < BASE || pa - BASE + 8 > sizeof(w.words) || w.gone[(pa - BASE) / 4096])
        return false;
    *value = w.words[(pa - BASE) / 8];
    return true;
}

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static dam_err keep(void *ctx, const struct iommu_hit *f)
{
    (void)ctx;
    if (w.count >= w.most && f->finding != DAM_F_PASID_SHARE)
        return DAM_E_BUDGET;
    assert_true(w.count < MAX_FOUND);
    w.found[w.count++] = *f;
    return DAM_OK;
}

static void begin(bool scalable)
{
    memset(&w, 0, sizeof(w));
    old_kernel_begin(&w.k, w.words, BASE, sizeof(w.words));
    w.k.scalable = scalable;
    w.ops = (struct dam_ops){.mem_read = read_memory, .clock_us = no_time};
    dam_ranges_init(&w.ram, w.storage, 2);
    assert_int_equal(dam_ranges_add(&w.ram, BASE, BASE + sizeof(w.words)), DAM_OK);
    w.budget = (struct pt_budget){100000, ~0ull};
    w.memory = (struct pt_memory){.ops = &w.ops, .old_ram = &w.ram, .budget = &w.budget};
    w.unit = (struct vtd_unit){.iommu = {.cap = CAP, .ecap = ECAP}, .scalable = scalable};
    w.lookup = (struct vtd_lookup){.unit = &w.unit,
                                   .haw = HAW,
                                   .memory = &w.memory,
                                   .buffers = w.buffers,
                                   .function_tables = 200,
                                   .found = keep};
    w.most = MAX_FOUND;
}

static dam_err look(void)
{
    w.count = 0;
    return vtd_lookup(&w.lookup, dam_pa_of(w.k.root));
}

static struct naive_vtd naive(void)
{
    return (struct naive_vtd){.read64 = read64,
                              .rtaddr = w.k.root | (w.k.scalable ? 1 << 10 : 0),
                              .cap = CAP,
                              .ecap = ECAP,
                              .haw = HAW};
}

// ---- against the translator ------------------------------------------------------------------------------
#define FUNCTIONS 5u
static const unsigned rids[] = {0x0008, 0x0010, 0x0090, 0x0300, 0x03F8};
static const unsigned pasids[] = {NAIVE_NO_PASID, 0, 1, 63, 64, 700, 8191, 8192, 40000};
#define PASIDS (sizeof(pasids) / sizeof(pasids[0]))

static uint64_t rng_state;
static uint64_t below(uint64_t n)
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return (rng_state * 0x2545F4914F6CDD1Dull >> 11) % n;
}

static void random_tables(uint64_t seed, bool scalable)
{
    begin(scalable);
    rng_state = seed * 0x9E3779B97F4A7C15ull + 1;
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        unsigned levels = 3 + (unsigned)below(3);
        if (!scalable) {
            old_kernel_attach(&w.k, rids[i], (unsigned)below(3), levels, 1 + i, old_kernel_page(&w.k));
            continue;
        }
        old_kernel_directory(&w.k, rids[i], (unsigned)below(4), 1 << 3 | (unsigned)below(2) << 2);
        old_kernel_function(&w.k, rids[i])[1] = pasids[1 + below(4)];
        uint64_t *context = old_kernel_function(&w.k, rids[i]);
        for (unsigned p = 1; p < PASIDS; p++) {
            unsigned pasid = pasids[p], stage = 1 + (unsigned)below(4), did = 1 + (unsigned)below(99);
            if (pasid >> 6 >= 1u << ((context[0] >> 9 & 7) + 7) || below(3) == 0)
                continue;
            if (stage == 3)
                old_kernel_nest(&w.k, rids[i], pasid, 4, 0x5000, levels, did, old_kernel_page(&w.k));
            else
                old_kernel_bind(&w.k, rids[i], pasid, stage, stage == 1 ? 4 + (unsigned)below(2) : levels,
                                did, old_kernel_page(&w.k));
        }
    }
}

// A bit of a table that says something, or all of a word.
static void mutate(void)
{
    for (unsigned tries = 0; tries < 100000; tries++) {
        uint64_t *word = &w.words[below(w.k.used / 8)];
        if (!*word && below(500))
            continue;
        switch (below(4)) {
        case 0:
            *word = BASE + below(PAGES) * 4096 + below(4096);
            break;
        case 1:
            *word = below(2) ? ~0ull : rng_state;
            break;
        default:
            *word ^= 1ull << below(64);
        }
        return;
    }
}

// What the lookup says of one requester: the last thing told that means it. NULL: nothing.
static const struct iommu_hit *said(unsigned rid, unsigned pasid)
{
    const struct iommu_hit *last = NULL;
    for (unsigned i = 0; i < w.count; i++) {
        const struct iommu_hit *f = &w.found[i];
        bool one = f->kind == IOMMU_HIT_BINDING || (f->flags & DAM_REQ_PASID);
        if (one ? f->rid != rid : rid - f->rid >= f->span)
            continue;
        if (f->flags & DAM_REQ_PASID) {
            bool plain = pasid == NAIVE_NO_PASID;
            if (plain ? !(f->flags & DAM_REQ_RID_PASID) : pasid - f->pasid >= f->span)
                continue;
        }
        last = f;
    }
    return last;
}

static bool outside(uint16_t finding)
{
    return finding == DAM_F_ROOT_POINTER || finding == DAM_F_CTX_POINTER ||
           finding == DAM_F_PASID_DIRECTORY || finding == DAM_F_PASID_DIR_POINTER ||
           finding == DAM_F_PASID_POINTER || finding == DAM_F_UNIT_ROOT;
}

static bool agree(const struct naive_context *c, const struct iommu_hit *f)
{
    switch (c->reason) {
    case NAIVE_OK:
        if (!f || f->kind != IOMMU_HIT_BINDING)
            return f && f->kind == IOMMU_HIT_BROKEN && outside(f->finding);
        if (outside(f->finding))
            return true;
        return !f->finding && f->binding.stage == c->stage && f->binding.did == c->did &&
               (c->stage == 4 || f->binding.root.v == (c->stage == 1 ? c->first : c->root)) &&
               f->binding.levels == (c->stage == 1 ? c->first_levels : c->aw + 2);
    case NAIVE_ROOT_ACCESS:
    case NAIVE_CONTEXT_ACCESS:
    case NAIVE_DIRECTORY_ACCESS:
    case NAIVE_PASID_ACCESS:
        return f && (f->kind == IOMMU_HIT_ABSENT || (f->kind == IOMMU_HIT_BROKEN && outside(f->finding)));
    case NAIVE_ROOT_ABSENT:
    case NAIVE_CONTEXT_ABSENT:
    case NAIVE_DIRECTORY_ABSENT:
    case NAIVE_PASID_ABSENT:
    case NAIVE_PASID_REFUSED:
        // Of a directory that is not held whole the lookup says more than it must.
        return !f || f->kind == IOMMU_HIT_ABSENT || outside(f->finding);
    case NAIVE_CONTEXT_INVALID:
        // The specification wants the largest width for pass-through (9.3); a smaller one is not held against
        // it here.
        return f && f->kind == IOMMU_HIT_BINDING && (f->finding || f->binding.stage == DAM_STAGE_PASSTHROUGH);
    default:
        return f && f->finding && f->kind != IOMMU_HIT_ABSENT;
    }
}

static void compare(const char *what, uint64_t seed)
{
    struct naive_vtd hw = naive();
    if (look())
        fail_msg("%s, seed %llu: error", what, (unsigned long long)seed);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        for (unsigned r = rids[i] ? rids[i] - 1 : 0; r < rids[i] + 2; r++) {
            for (unsigned p = 0; p < (w.k.scalable ? PASIDS : 1); p++) {
                struct naive_context c = naive_vtd_context_pasid(&hw, r, pasids[p]);
                const struct iommu_hit *f = said(r, pasids[p]);
                if (c.reason == NAIVE_PASID_REFUSED && pasids[p] != NAIVE_NO_PASID)
                    continue; // the function takes none; what its tables say is told all the same
                if (!agree(&c, f))
                    fail_msg("%s, seed %llu: %#x:%#x: reason %#x, found kind %d finding %d", what,
                             (unsigned long long)seed, r, pasids[p], c.reason, f ? (int)f->kind : -1,
                             f ? f->finding : 0);
            }
        }
    }
}

static void finds_what_the_hardware_finds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        random_tables(seed, seed & 1);
        compare("sound", seed);
        for (unsigned i = 0; i < w.count; i++)
            assert_int_equal(w.found[i].finding, DAM_F_NONE);
        unsigned before = w.count;
        assert_true(before >= FUNCTIONS);
        for (unsigned i = 0; i < 3; i++)
            w.gone[1 + below(w.k.used / 4096 - 1)] = true;
        compare("not held", seed);
        memset(w.gone, 0, sizeof(w.gone));
        for (unsigned i = 0; i < 12; i++) {
            mutate();
            w.budget.tables = 100000;
            compare("mutated", seed);
        }
    }
}

// ---- by hand ---------------------------------------------------------------------------------------------
static void tells_the_way_in_legacy_mode(void **state)
{
    (void)state;
    begin(false);
    uint64_t tree = old_kernel_page(&w.k);
    old_kernel_attach(&w.k, 0x0310, 1, 4, 7, tree);
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 1);
    const struct iommu_hit *f = &w.found[0];
    uint64_t table = *old_kernel_word(&w.k, w.k.root + 3 * 16) & ~0xFFFull;
    assert_int_equal(f->kind, IOMMU_HIT_BINDING);
    assert_int_equal(f->rid, 0x0310);
    assert_int_equal(f->flags, 0);
    assert_int_equal(f->span, 1);
    assert_int_equal(f->address.v, table + 0x10 * 16);
    assert_int_equal(f->index, 0x10);
    assert_int_equal(f->step_count, 1);
    assert_int_equal(f->steps[0].address.v, w.k.root + 3 * 16);
    assert_int_equal(f->steps[0].words, 2);
    assert_int_equal(f->steps[0].raw[0], table | 1);
    assert_int_equal(f->binding.raw[0], tree | 1 << 2 | 1);
    assert_int_equal(f->binding.did, 7);
    assert_true(f->binding.translated);
    // Another bus loses its root entry: all of its 256 functions in one.
    *old_kernel_word(&w.k, w.k.root + 8 * 16 + 8) = 2;
    *old_kernel_word(&w.k, w.k.root + 8 * 16) = (BASE + sizeof(w.words)) | 1;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 2);
    f = &w.found[1];
    assert_int_equal(f->kind, IOMMU_HIT_BROKEN);
    assert_int_equal(f->finding, DAM_F_ROOT_RESERVED);
    assert_int_equal(f->finding_address.v, w.k.root + 8 * 16 + 8);
    assert_int_equal(f->finding_raw, 2);
    assert_int_equal(f->rid, 0x0800);
    assert_int_equal(f->span, 256);
    *old_kernel_word(&w.k, w.k.root + 8 * 16 + 8) = 0;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.found[1].finding, DAM_F_ROOT_POINTER);
    w.gone[(table - BASE) / 4096] = true;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.found[0].kind, IOMMU_HIT_ABSENT);
    assert_int_equal(w.found[0].rid, 0x0300);
    assert_int_equal(w.found[0].span, 256);
    assert_int_equal(w.found[0].address.v, table);
    w.gone[0] = true;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.found[0].span, 65536);
    assert_int_equal(vtd_lookup(&w.lookup, dam_pa_of(BASE - 4096)), DAM_OK);
    assert_int_equal(w.found[1].finding, DAM_F_UNIT_ROOT);
    assert_int_equal(w.found[1].finding_address.v, BASE - 4096);
}

static void tells_the_way_in_scalable_mode(void **state)
{
    (void)state;
    begin(true);
    old_kernel_directory(&w.k, 0x0398, 3, 1 << 2);
    uint64_t *context = old_kernel_function(&w.k, 0x0398), directory = context[0] & ~0xFFFull;
    context[1] = 700;
    uint64_t tree = old_kernel_page(&w.k);
    old_kernel_bind(&w.k, 0x0398, 700, 2, 4, 9, tree);
    old_kernel_bind(&w.k, 0x0398, 40000, 4, 4, 9, 0);
    uint64_t *last = old_kernel_word(&w.k, directory + 1023 * 8);
    *last = BASE + sizeof(w.words) + 1;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 3);
    const struct iommu_hit *f = &w.found[0];
    assert_int_equal(f->rid, 0x0398);
    assert_int_equal(f->pasid, 700);
    assert_int_equal(f->flags, DAM_REQ_PASID | DAM_REQ_RID_PASID);
    assert_int_equal(f->step_count, 3);
    assert_int_equal(f->steps[0].address.v, w.k.root + 7 * 8);
    assert_int_equal(f->steps[0].words, 1);
    assert_int_equal(f->steps[1].words, 4);
    assert_int_equal(f->steps[1].raw[1], 700);
    assert_int_equal(f->steps[2].address.v, directory + 700 / 64 * 8);
    assert_int_equal(f->address.v, (f->steps[2].raw[0] & ~0xFFFull) + 700 % 64 * 64);
    assert_int_equal(f->binding.root.v, tree);
    assert_true(f->binding.translated); // as its function is
    assert_int_equal(w.found[1].pasid, 40000);
    assert_int_equal(w.found[1].flags, DAM_REQ_PASID);
    f = &w.found[2];
    assert_int_equal(f->finding, DAM_F_PASID_DIR_POINTER);
    assert_int_equal(f->pasid, 1023 * 64);
    assert_int_equal(f->span, 64);
    assert_int_equal(f->index, 1023);
    assert_int_equal(f->finding_address.v, directory + 1023 * 8);
    // The second page of the directory is not held: the PASIDs of its 512 entries.
    w.gone[(directory - BASE) / 4096 + 1] = true;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.found[1].kind, IOMMU_HIT_ABSENT);
    assert_int_equal(w.found[1].pasid, 512 * 64);
    assert_int_equal(w.found[1].span, 512 * 64);
    assert_int_equal(w.found[1].address.v, directory + 4096);
    context[0] |= 1 << 5; // reserved
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.found[0].finding, DAM_F_SM_CONTEXT);
    assert_int_equal(w.found[0].flags, 0);
    assert_int_equal(w.found[0].span, 1);
}

// One function whose directory leads to itself costs what it may, and the next one is read.
static void directories_that_do_not_end(void **state)
{
    (void)state;
    begin(true);
    old_kernel_directory(&w.k, 0x0008, 7, 1 << 3);
    uint64_t directory = old_kernel_function(&w.k, 0x0008)[0] & ~0xFFFull;
    for (unsigned i = 0; i < 32 * 512; i++)
        *old_kernel_word(&w.k, directory + i * 8) = directory | 1;
    old_kernel_directory(&w.k, 0x0010, 0, 1 << 3);
    uint64_t tree = old_kernel_page(&w.k);
    old_kernel_bind(&w.k, 0x0010, 5, 2, 4, 9, tree);
    assert_int_equal(look(), DAM_OK);
    const struct iommu_hit *f = &w.found[w.count - 1];
    assert_int_equal(f->rid, 0x0010);
    assert_int_equal(f->finding, DAM_F_NONE);
    assert_int_equal(w.found[w.count - 2].finding, DAM_F_PASID_SHARE);
    assert_int_equal(w.found[w.count - 2].rid, 0x0008);
    assert_true(w.count <= 200 * 64 + 2);
    assert_true(w.budget.tables >= 100000 - 206);
    // The caller has had enough of the first: the same.
    w.most = 10;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 12);
    assert_int_equal(w.found[10].finding, DAM_F_PASID_SHARE);
    assert_int_equal(w.found[11].rid, 0x0010);
    assert_int_equal(w.found[11].finding, DAM_F_PASID_SHARE);
    // Nothing is left to read with.
    w.most = MAX_FOUND;
    w.budget.tables = 1;
    assert_int_equal(look(), DAM_E_BUDGET);
}

static void every_page_full_of_ones(void **state)
{
    (void)state;
    for (unsigned scalable = 0; scalable < 2; scalable++) {
        begin(scalable);
        memset(w.words, 0xFF, sizeof(w.words));
        assert_int_equal(look(), DAM_OK);
        assert_int_equal(w.count, scalable ? 512 : 256);
        for (unsigned i = 0; i < w.count; i++)
            assert_int_equal(w.found[i].finding, DAM_F_ROOT_RESERVED);
        // Every table is the root table.
        for (unsigned i = 0; i < PAGES * PT_ENTRIES; i++)
            w.words[i] = BASE | 1;
        dam_err err = look();
        assert_true(err == DAM_OK || err == DAM_E_BUDGET);
    }
}

static void modes(void **state)
{
    (void)state;
    const uint64_t smts = 1ull << 43, adms = 1ull << 52, ecs = 1ull << 24;
    assert_int_equal(vtd_mode_of(0, 0x1000), VTD_MODE_LEGACY);
    assert_int_equal(vtd_mode_of(smts, 0x1400), VTD_MODE_SCALABLE);
    assert_int_equal(vtd_mode_of(0, 0x1400), VTD_MODE_IMPOSSIBLE);
    assert_int_equal(vtd_mode_of(smts, 0x1800), VTD_MODE_UNSUPPORTED);
    assert_int_equal(vtd_mode_of(ecs, 0x1800), VTD_MODE_UNSUPPORTED);
    assert_int_equal(vtd_mode_of(ecs, 0x1400), VTD_MODE_IMPOSSIBLE);
    assert_int_equal(vtd_mode_of(smts | adms, 0x1C00), VTD_MODE_ABORT);
    assert_int_equal(vtd_mode_of(smts, 0x1C00), VTD_MODE_UNSUPPORTED);
    assert_int_equal(vtd_mode_of(0, 0x1C00), VTD_MODE_IMPOSSIBLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_hardware_finds),  cmocka_unit_test(tells_the_way_in_legacy_mode),
        cmocka_unit_test(tells_the_way_in_scalable_mode), cmocka_unit_test(directories_that_do_not_end),
        cmocka_unit_test(every_page_full_of_ones),        cmocka_unit_test(modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// engine/iommu/amdvi/lookup.c: every binding of a device table, against a translator written apart; what is
// broken, what the memory does not hold, what does not end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <cofferdam/findings.h>

#include "iommu/amdvi/lookup.h"
#include "lib/naive_amdvi.h"

#define BASE      0x40000000ull
#define PAGES     256u
#define MAX_FOUND 4000u
#define HAW       46u
// GT, HATS 6 levels, GATS 5, GLX 3 levels, PASIDs of 16 bits, GIO
#define EFR  (1ull << 4 | 2ull << 10 | 1ull << 12 | 2ull << 14 | 15ull << 32 | 1ull << 48)
#define V_TV 3ull
#define IR   (1ull << 61)
#define IW   (1ull << 62)
#define GV   (1ull << 55)
#define GIOV (1ull << 54)

static struct {
    uint64_t words[PAGES * PT_ENTRIES];
    bool gone[PAGES]; // not held
    uint64_t used;    // bytes
    struct dam_ops ops;
    struct dam_range storage[2];
    struct dam_ranges ram;
    struct pt_budget budget;
    struct pt_memory memory;
    struct amdvi_features features;
    struct amdvi_device_table table;
    struct amdvi_lookup lookup;
    uint64_t buffers[AMDVI_LOOKUP_PAGES * PT_ENTRIES];
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

static uint64_t pages(unsigned count)
{
    uint64_t at = BASE + w.used;
    w.used += count * 4096ull;
    assert_true(w.used <= sizeof(w.words));
    return at;
}

static uint64_t *at(uint64_t pa)
{
    assert_true(pa >= BASE && pa - BASE < sizeof(w.words));
    return &w.words[(pa - BASE) / 8];
}

static uint64_t *dte(unsigned rid)
{
    return at((w.table.reg[0] & ~0xFFFull) + rid * 32ull);
}

// A device table of so many pages in which everything is blocked.
static void begin(unsigned table_pages)
{
    memset(&w, 0, sizeof(w));
    w.table.reg[0] = pages(table_pages) | (table_pages - 1);
    for (unsigned i = 0; i < table_pages * 128; i++)
        dte(i)[0] = 1;
    w.ops = (struct dam_ops){.mem_read = read_memory, .clock_us = no_time};
    dam_ranges_init(&w.ram, w.storage, 2);
    assert_int_equal(dam_ranges_add(&w.ram, BASE, BASE + sizeof(w.words)), DAM_OK);
    w.budget = (struct pt_budget){100000, ~0ull};
    w.memory = (struct pt_memory){.ops = &w.ops, .old_ram = &w.ram, .budget = &w.budget};
    w.features = (struct amdvi_features){.efr = EFR, .haw = HAW};
    w.lookup = (struct amdvi_lookup){.features = &w.features,
                                     .memory = &w.memory,
                                     .buffers = w.buffers,
                                     .function_tables = 40,
                                     .found = keep};
    w.most = MAX_FOUND;
}

static dam_err look(void)
{
    w.count = 0;
    return amdvi_lookup(&w.lookup, &w.table);
}

// ---- what there can be ------------------------------------------------------------------------------------
static void set_gcr3(uint64_t entry[4], uint64_t root, unsigned levels, unsigned guest_levels)
{
    entry[0] |= GV | (root >> 12 & 7) << 58 | (uint64_t)(levels - 1) << 56;
    entry[1] |= (root >> 15 & 0xFFFF) << 16 | root >> 31 << 43;
    entry[2] |= (uint64_t)(guest_levels - 4) << 54;
}

static void each_kind_of_entry(void **state)
{
    (void)state;
    begin(2);
    uint64_t root = pages(1);
    dte(8)[0] = V_TV | IR | IW | 4 << 9 | root;
    dte(8)[1] = 0x77 | 1ull << 32;
    dte(9)[0] = V_TV | IR;
    dte(10)[0] = V_TV;
    dte(11)[0] = V_TV | IR | IW | 4 << 9 | root;
    set_gcr3(dte(11), 0x5000, 2, 5);
    dte(12)[0] = V_TV | IR | IW | 7 << 9 | root;
    dte(13)[0] = V_TV | IR | IW | 3 << 9 | 0x5000;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 5);
    const struct iommu_hit *f = w.found;
    for (unsigned i = 0; i < 5; i++, f++) {
        static const unsigned rids[] = {8, 9, 11, 12, 13};
        assert_int_equal(f->kind, IOMMU_HIT_BINDING);
        assert_int_equal(f->rid, rids[i]);
        assert_int_equal(f->index, rids[i]);
        assert_int_equal(f->span, 1);
        assert_int_equal(f->flags, 0);
        assert_int_equal(f->step_count, 0);
        assert_int_equal(f->address.v, BASE + rids[i] * 32);
        assert_memory_equal(f->binding.raw, dte(rids[i]), 32);
    }
    f = w.found;
    assert_int_equal(f[0].finding, DAM_F_NONE);
    assert_int_equal(f[0].binding.stage, DAM_STAGE_SECOND);
    assert_int_equal(f[0].binding.levels, 4);
    assert_int_equal(f[0].binding.root.v, root);
    assert_int_equal(f[0].binding.did, 0x77);
    assert_true(f[0].binding.translated);
    assert_int_equal(f[1].binding.stage, DAM_STAGE_PASSTHROUGH);
    assert_true(f[1].binding.r && !f[1].binding.w);
    assert_int_equal(f[2].finding, DAM_F_NONE);
    assert_int_equal(f[2].binding.stage, DAM_STAGE_NESTED);
    assert_int_equal(f[2].binding.root.v, root);
    assert_int_equal(f[2].binding.first.v, 0x5000);
    assert_int_equal(f[2].binding.first_levels, 5);
    assert_int_equal(f[3].finding, DAM_F_DTE_TYPE);
    assert_int_equal(f[4].finding, DAM_F_DTE_POINTER);
    assert_int_equal(f[4].finding_address.v, BASE + 13 * 32);
    assert_int_equal(f[4].finding_raw, V_TV | IR | IW | 3 << 9 | 0x5000);
}

static void neighbours_that_pass(void **state)
{
    (void)state;
    begin(2);
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 0); // all blocked
    for (unsigned i = 5; i < 200; i++)
        dte(i)[0] = i == 100 ? 1 : i << 9;
    dte(255)[0] = 0;
    dte(150)[0] = V_TV | IR | IW;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 5);
    static const unsigned first[] = {5, 101, 150, 151, 255}, span[] = {95, 49, 1, 49, 1};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(w.found[i].kind, IOMMU_HIT_BINDING);
        assert_int_equal(w.found[i].rid, first[i]);
        assert_int_equal(w.found[i].span, span[i]);
        assert_int_equal(w.found[i].flags, first[i] == 150 ? 0 : DAM_REQ_OTHERS);
        assert_int_equal(w.found[i].address.v, BASE + first[i] * 32);
        assert_int_equal(w.found[i].binding.stage, DAM_STAGE_PASSTHROUGH);
        assert_true(w.found[i].binding.present && w.found[i].binding.r && w.found[i].binding.w);
        assert_int_equal(w.found[i].finding, DAM_F_NONE);
        assert_int_equal(w.found[i].binding.raw[0], dte(first[i])[0]);
    }
    // A whole table, of two segments that lie apart.
    uint64_t other = pages(1);
    memset(at(BASE), 0, 2 * 4096);
    w.table.reg[1] = other | 0;
    w.table.log2_segments = 1;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.found[0].rid, 0);
    assert_int_equal(w.found[0].span, 256);
    assert_int_equal(w.found[1].rid, 0x8000);
    assert_int_equal(w.found[1].span, 128);
    assert_int_equal(w.found[1].index, 0);
    assert_int_equal(w.found[1].address.v, other);
}

static void pages_that_are_missing(void **state)
{
    (void)state;
    begin(4);
    for (unsigned i = 0; i < 512; i++)
        dte(i)[0] = 0;
    w.gone[1] = true;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 3);
    assert_int_equal(w.found[0].span, 128);
    assert_int_equal(w.found[1].kind, IOMMU_HIT_ABSENT);
    assert_int_equal(w.found[1].rid, 128);
    assert_int_equal(w.found[1].span, 128);
    assert_int_equal(w.found[1].address.v, BASE + 0x1000);
    assert_int_equal(w.found[2].rid, 256);
    assert_int_equal(w.found[2].span, 256);
    // Partly, then wholly outside of the memory.
    w.gone[1] = false;
    w.table.reg[0] = BASE + sizeof(w.words) - 0x1000 + 2;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 3);
    assert_int_equal(w.found[0].span, 128);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(w.found[i].kind, IOMMU_HIT_BROKEN);
        assert_int_equal(w.found[i].finding, DAM_F_DEVTAB_POINTER);
        assert_int_equal(w.found[i].finding_raw, w.table.reg[0]);
        assert_int_equal(w.found[i].finding_address.v, BASE + sizeof(w.words) + (i - 1) * 0x1000);
        assert_int_equal(w.found[i].rid, i * 128);
        assert_int_equal(w.found[i].span, 128);
    }
    w.table.reg[0] = 0x10000001FF;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.found[0].span, 65536);
    assert_int_equal(w.found[0].finding, DAM_F_DEVTAB_POINTER);
}

// ---- PASIDs -----------------------------------------------------------------------------------------------
static void pasids_of_a_function(void **state)
{
    (void)state;
    begin(1);
    uint64_t top = pages(1), low = pages(1), cr3 = pages(1);
    at(top)[0] = low | 1;
    at(top)[2] = low | 1 | 4; // reserved
    at(top)[3] = 0x7000 | 1;  // nowhere
    at(top)[128] = low | 1;   // beyond 16 bits
    at(low)[0] = cr3 | 1;
    at(low)[7] = cr3 | 1 | 1ull << 60;
    at(low)[511] = 0x7000 | 1;
    dte(3)[0] = V_TV | IR | GIOV;
    dte(3)[1] = 0x55;
    set_gcr3(dte(3), top, 2, 5);
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 5);
    static const unsigned pasid[] = {0, 7, 511, 1024, 1536}, spans[] = {1, 1, 1, 512, 512};
    static const uint16_t finding[] = {DAM_F_NONE, DAM_F_PASID_RESERVED, DAM_F_PASID_POINTER,
                                       DAM_F_PASID_DIR_RESERVED, DAM_F_PASID_DIR_POINTER};
    for (unsigned i = 0; i < 5; i++) {
        const struct iommu_hit *f = &w.found[i];
        assert_int_equal(f->rid, 3);
        assert_int_equal(f->kind, i < 3 ? IOMMU_HIT_BINDING : IOMMU_HIT_BROKEN);
        assert_int_equal(f->pasid, pasid[i]);
        assert_int_equal(f->span, spans[i]);
        assert_int_equal(f->finding, finding[i]);
        assert_int_equal(f->flags, DAM_REQ_PASID | (i == 0 ? DAM_REQ_RID_PASID : 0));
        assert_int_equal(f->step_count, 2);
        assert_int_equal(f->steps[0].words, 4);
        assert_memory_equal(f->steps[0].raw, dte(3), 32);
        assert_int_equal(f->steps[1].words, 1);
        assert_int_equal(f->steps[1].address.v, top + pasid[i] / 512 * 8);
    }
    const struct iommu_hit *f = w.found;
    assert_int_equal(f->address.v, low);
    assert_int_equal(f->binding.stage, DAM_STAGE_FIRST);
    assert_int_equal(f->binding.levels, 5);
    assert_int_equal(f->binding.root.v, cr3);
    assert_int_equal(f->binding.did, 0x55);
    assert_true(f->binding.r && !f->binding.w);
    // Without GIOV requests without PASID pass, and come first.
    dte(3)[0] &= ~GIOV;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 6);
    assert_int_equal(w.found[0].flags, 0);
    assert_int_equal(w.found[0].binding.stage, DAM_STAGE_PASSTHROUGH);
    assert_int_equal(w.found[1].flags, DAM_REQ_PASID);
    assert_int_equal(w.found[1].pasid, 0);
    // A table that is not held, and a root that leads nowhere.
    w.gone[(low - BASE) / 4096] = true;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 4);
    assert_int_equal(w.found[1].kind, IOMMU_HIT_ABSENT);
    assert_int_equal(w.found[1].span, 512);
    dte(3)[1] |= 1ull << 63;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.found[1].kind, IOMMU_HIT_BROKEN);
    assert_int_equal(w.found[1].finding, DAM_F_PASID_DIRECTORY);
    assert_int_equal(w.found[1].flags, DAM_REQ_PASID); // requests without PASID pass still
    assert_int_equal(w.found[1].span, 1 << 16);
    dte(3)[0] |= GIOV;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.found[0].finding, DAM_F_PASID_DIRECTORY);
    assert_int_equal(w.found[0].flags, 0);
}

static void tables_that_do_not_end(void **state)
{
    (void)state;
    begin(1);
    uint64_t top = pages(1), root = pages(1);
    for (unsigned i = 0; i < 512; i++)
        at(top)[i] = top | 1;
    for (unsigned rid = 3; rid < 5; rid++) {
        dte(rid)[0] = V_TV | IR | IW | GIOV;
        set_gcr3(dte(rid), top, 3, 4);
    }
    dte(5)[0] = V_TV | IR | IW | 4 << 9 | root;
    w.most = 100;
    assert_int_equal(look(), DAM_E_BUDGET);
    w.most = 3000;
    w.lookup.function_tables = 4;
    assert_int_equal(look(), DAM_OK);
    assert_int_equal(w.count, 2 * (2 * 512 + 1) + 1);
    assert_int_equal(w.found[1024].finding, DAM_F_PASID_SHARE);
    assert_int_equal(w.found[1024].rid, 3);
    assert_int_equal(w.found[w.count - 2].finding, DAM_F_PASID_SHARE);
    assert_int_equal(w.found[w.count - 1].rid, 5);
    w.budget.tables = 0;
    assert_int_equal(look(), DAM_E_BUDGET);
}

// ---- against the translator -------------------------------------------------------------------------------
#define RIDS 128u

static uint64_t rng_state;
static uint64_t below(uint64_t n)
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return (rng_state * 0x2545F4914F6CDD1Dull >> 11) % n;
}

static void random_tables(uint64_t seed)
{
    begin(1);
    rng_state = seed * 0x9E3779B97F4A7C15ull + 1;
    for (unsigned rid = 0; rid < RIDS; rid++) {
        uint64_t *e = dte(rid);
        e[0] = below(4) | below(8) << 9 | (BASE + below(PAGES) * 4096) | below(4) << 61;
        e[1] = below(65536);
        if (below(4) == 0) {
            uint64_t low = pages(1);
            for (unsigned i = 0; i < 3; i++)
                at(low)[below(512)] = pages(0) | 1;
            e[0] &= ~(below(2) ? 7ull << 9 : 0);
            e[0] |= below(2) ? GIOV : 0;
            set_gcr3(e, low, 1, 4);
        }
        if (below(16) == 0)
            e[below(4)] |= 1ull << below(64);
    }
    pages(1);
}

// The page tables themselves are noise here: what counts is whether they are asked.
static bool passes(enum naive_amd_reason reason)
{
    return reason == NAIVE_AMD_OK;
}

static bool refused_above(enum naive_amd_reason reason)
{
    return reason == NAIVE_AMD_DTE_RESERVED || reason == NAIVE_AMD_BLOCKED || reason == NAIVE_AMD_PASID;
}

static const struct iommu_hit *hit_of(unsigned rid)
{
    for (unsigned i = 0; i < w.count; i++)
        if (!(w.found[i].flags & DAM_REQ_PASID) && rid >= w.found[i].rid &&
            rid - w.found[i].rid < w.found[i].span)
            return &w.found[i];
    return NULL;
}

static void like_the_translator(void **state)
{
    (void)state;
    unsigned compared = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        random_tables(seed);
        assert_int_equal(look(), DAM_OK);
        struct naive_amdvi hw = {.read64 = read64,
                                 .device_table = BASE,
                                 .entries = RIDS,
                                 .haw = HAW,
                                 .guest_1g = true,
                                 .supervisor = true};
        for (unsigned rid = 0; rid < RIDS; rid++) {
            uint64_t iova = 0x123456789000ull & (below(2) ? ~0ull : 0xFFFFF);
            struct naive_amd_result r = naive_amdvi_translate(&hw, rid, NAIVE_AMD_NO_PASID, iova, false);
            const struct iommu_hit *f = hit_of(rid);
            compared++;
            if (f == NULL) {
                // Blocked, or all by PASIDs.
                bool pasids = (dte(rid)[0] & (V_TV | GV | GIOV | 7 << 9)) == (V_TV | GV | GIOV);
                assert_true(pasids || !passes(r.reason));
            } else if (f->finding == DAM_F_NONE && f->binding.stage == DAM_STAGE_PASSTHROUGH) {
                assert_int_equal(passes(r.reason), f->binding.r);
                assert_true(!passes(r.reason) || r.pa == iova);
            } else if (f->finding == DAM_F_NONE) {
                assert_false(refused_above(r.reason) && r.reason != NAIVE_AMD_PASID);
            }
        }
    }
    assert_true(compared > 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_entry),     cmocka_unit_test(neighbours_that_pass),
        cmocka_unit_test(pages_that_are_missing), cmocka_unit_test(pasids_of_a_function),
        cmocka_unit_test(tables_that_do_not_end), cmocka_unit_test(like_the_translator),
    };
    return cmocka_run_group_tests_name("amdvi lookup", tests, NULL, NULL);
}

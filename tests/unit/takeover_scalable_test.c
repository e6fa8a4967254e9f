// SPDX-License-Identifier: MIT
// Scalable mode: every kind of translation under every policy, PASIDs on their own, what the hardware writes
// into first-stage tables, domain ids, and units that lack this or that.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC   0x0018u // lower half of bus 0
#define DISK  0x00A0u // upper half of bus 0
#define PASS  0x0128u
#define RW    0x7FFF0000ull
#define RO    0x7FFF1000ull
#define CRASH 0x7FFF2000ull // leads into the crash region
#define GAP   0x7FFF8000ull
#define LARGE 0x40000000ull
#define HIGH  0xFFFF800000000000ull // first stage: the upper half
#define RW_PA 0x00310000ull
#define RO_PA 0x00311000ull
#define BIG   0x00400000ull
#define HI_PA 0x00312000ull
#define MARK  (OLD_FS_A | OLD_FS_D)
#define USER  (OLD_FS_P | OLD_FS_U)

static struct machine m;

static int setup(void **state)
{
    (void)state;
    machine_setup(&m, 1);
    machine_scalable(&m, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static uint64_t second(unsigned levels)
{
    struct old_kernel *k = &m.k[0];
    uint64_t tree = old_kernel_page(k);
    old_kernel_map(k, tree, levels, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_map(k, tree, levels, 0, RO, RO_PA, OLD_R);
    old_kernel_map(k, tree, levels, 0, CRASH, M_CRASH_START + 0x5000, OLD_R | OLD_W);
    old_kernel_map(k, tree, levels, 1, LARGE, BIG, OLD_R | OLD_W);
    return tree;
}

// mark: MARK, or 0 for tables that nobody has used yet.
static uint64_t first(unsigned levels, unsigned mark)
{
    struct old_kernel *k = &m.k[0];
    uint64_t tree = old_kernel_page(k), half = 1ull << (12 + 9 * levels - 1);
    old_kernel_map_first(k, tree, levels, 0, RW, RW_PA, USER | OLD_FS_W | mark);
    old_kernel_map_first(k, tree, levels, 0, RO, RO_PA, USER | mark);
    old_kernel_map_first(k, tree, levels, 0, CRASH, M_CRASH_START + 0x5000, USER | OLD_FS_W | mark);
    old_kernel_map_first(k, tree, levels, 1, LARGE, BIG, USER | OLD_FS_W | mark);
    old_kernel_map_first(k, tree, levels, 0, half, HI_PA, USER | OLD_FS_W | mark);
    return tree;
}

static void function(unsigned rid)
{
    old_kernel_directory(&m.k[0], rid, 0, 1 << 3); // PASIDE
}

static struct fake_dma_result dma(unsigned rid, unsigned pasid, uint64_t iova, bool write)
{
    return fake_dma_pasid(m.fake, 0, rid, pasid, iova, write);
}

static void leads(unsigned rid, unsigned pasid, uint64_t iova, bool write, uint64_t pa)
{
    struct fake_dma_result r = dma(rid, pasid, iova, write);
    if (!r.ok || r.untranslated || r.pa != pa)
        fail_msg("%#x:%#x %s %#llx: ok %d pa %#llx reason %#x, not %#llx", rid, pasid,
                 write ? "writes" : "reads", (unsigned long long)iova, r.ok, (unsigned long long)r.pa,
                 r.reason, (unsigned long long)pa);
}

static void refused(unsigned rid, unsigned pasid, uint64_t iova, bool write)
{
    struct fake_dma_result r = dma(rid, pasid, iova, write);
    if (r.ok)
        fail_msg("%#x:%#x %s %#llx: reaches %#llx", rid, pasid, write ? "writes" : "reads",
                 (unsigned long long)iova, (unsigned long long)r.pa);
}

static void take_over(enum dam_policy policy)
{
    m.config.policy = policy;
    assert_true(machine_start(&m));
    leads(NIC, NAIVE_NO_PASID, RW, false, RW_PA); // caches are warm
    enum dam_stop stop = machine_run(&m);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(stop, DAM_STOP_NONE);
    machine_report(&m);
    assert_int_equal(m.fake->unit[0].tes_off, 0);
    assert_int_equal(m.fake->unit[0].root >> 10 & 3, 1);
    assert_true(m.fake->unit[0].pasid_global >= 2);
    assert_int_equal(machine_findings(&m, DAM_F_VERIFY_TREE), 0);
}

// What each policy makes of one translated requester.
static void expect_policy(enum dam_policy policy, unsigned rid, unsigned pasid)
{
    uint64_t page = machine_summary(&m)->scratch_page;
    switch (policy) {
    case DAM_POLICY_FREEZE:
    case DAM_POLICY_PRESERVE:
        leads(rid, pasid, RW + 8, false, RW_PA + 8);
        leads(rid, pasid, RO, false, RO_PA);
        leads(rid, pasid, LARGE + 0x12345, false, BIG + 0x12345);
        refused(rid, pasid, RO, true);
        refused(rid, pasid, GAP, false);
        refused(rid, pasid, CRASH, false);
        if (policy == DAM_POLICY_PRESERVE)
            leads(rid, pasid, RW, true, RW_PA);
        else
            refused(rid, pasid, RW, true);
        break;
    case DAM_POLICY_SCRATCH:
        leads(rid, pasid, RW + 8, true, page + 8);
        leads(rid, pasid, GAP, false, page);
        leads(rid, pasid, CRASH, true, page);
        break;
    case DAM_POLICY_BLOCK:
        for (unsigned write = 0; write < 2; write++) {
            refused(rid, pasid, RW, write);
            refused(rid, pasid, GAP, write);
        }
    }
    if (policy != DAM_POLICY_SCRATCH)
        refused(rid, pasid, M_POOL_START, true);
}

static void quiet(void)
{
    assert_true(machine_old_memory_untouched(&m));
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
    assert_int_equal(m.fake->unit[0].fault_events, 0);
}

// ---- kinds of translation
static void second_stage(void **state)
{
    for (unsigned p = 0; p < 4; p++) {
        teardown(state);
        setup(state);
        function(NIC);
        old_kernel_bind(&m.k[0], NIC, 0, 2, 4, 9, second(4));
        old_kernel_pasid(&m.k[0], NIC, 0)[0] |= 1 << 9; // SSADE: not in our entry
        take_over(p);
        expect_policy(p, NIC, NAIVE_NO_PASID);
        expect_policy(p, NIC, 0);
        quiet();
        const struct dam_note_requester *r = machine_pasid(&m, 0, NIC, 0);
        assert_non_null(r);
        assert_true(r->flags & DAM_REQ_RID_PASID);
        assert_int_equal(r->old_stage, DAM_STAGE_SECOND);
        assert_int_equal(r->new_stage, DAM_STAGE_SECOND);
        assert_int_equal(r->old_did, 9);
        assert_int_equal(r->new_did, 9);
        assert_int_equal(r->levels, 4);
        refused(NIC + 8, NAIVE_NO_PASID, RW, false);
        quiet();
    }
}

static void first_stage_of(unsigned levels, unsigned mark, void **state)
{
    for (unsigned p = 0; p < 4; p++) {
        teardown(state);
        setup(state);
        m.fake->unit[0].cap |= 1ull << 60; // 5 levels
        function(NIC);
        uint64_t tree = first(levels, mark), high = levels == 4 ? HIGH : HIGH << 9;
        old_kernel_bind(&m.k[0], NIC, 0, 1, levels, 9, tree);
        m.config.policy = p;
        assert_true(machine_start(&m));
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        assert_string_equal(m.fake->violation, "");
        machine_report(&m);
        expect_policy(p, NIC, NAIVE_NO_PASID);
        if (p < DAM_POLICY_SCRATCH)
            leads(NIC, 0, high, false, HI_PA);
        refused(NIC, 0, 1ull << (12 + 9 * levels - 1), false); // not canonical
        quiet();
        const struct dam_note_requester *r = machine_pasid(&m, 0, NIC, 0);
        assert_int_equal(r->old_stage, DAM_STAGE_FIRST);
        assert_int_equal(r->new_stage, DAM_STAGE_FIRST);
        assert_int_equal(r->levels, levels);
        assert_int_equal(r->cut, 1);
    }
}

static void first_stage_4_levels(void **state)
{
    first_stage_of(4, MARK, state);
}

static void first_stage_5_levels(void **state)
{
    first_stage_of(5, MARK, state);
}

static void first_stage_never_used(void **state)
{
    first_stage_of(4, 0, state);
}

// Marks are written by hardware: a frozen tree shares old tables when they hold all of them, else not.
static void only_marked_first_stage_tables_are_shared(void **state)
{
    for (unsigned marked = 0; marked < 2; marked++) {
        teardown(state);
        setup(state);
        function(NIC);
        uint64_t tree = first(4, MARK);
        uint64_t top = *old_kernel_word(&m.k[0], tree + 256 * 8) & ~0xFFFull; // of the upper half
        if (!marked)
            *old_kernel_word(&m.k[0], top) &= ~(uint64_t)OLD_FS_A;
        old_kernel_bind(&m.k[0], NIC, 0, 1, 4, 9, tree);
        take_over(DAM_POLICY_FREEZE);
        expect_policy(DAM_POLICY_FREEZE, NIC, NAIVE_NO_PASID);
        leads(NIC, 0, HIGH, false, HI_PA);
        const struct dam_note_requester *r = machine_pasid(&m, 0, NIC, 0);
        if (marked)
            assert_true(r->new_tables < r->old_tables);
        else
            assert_true(r->new_tables >= r->old_tables);
        quiet();
    }
}

// What a process's tables hold of the kernel is not followed, not mapped, and not reached by the hardware.
static void supervisor_entries_map_nothing(void **state)
{
    (void)state;
    function(NIC);
    uint64_t tree = first(4, MARK);
    for (unsigned copy = 0; copy < 2; copy++) {
        // Below one of the root's own entries, and one level deeper.
        uint64_t kernel = 0x18000000000ull + 0x8000000000ull * copy;
        old_kernel_map_first(&m.k[0], tree, 4, 0, kernel, RW_PA, USER | OLD_FS_W);
        uint64_t *top = old_kernel_word(&m.k[0], tree + (kernel >> 39 & 511) * 8);
        if (copy)
            *old_kernel_word(&m.k[0], (*top & ~0xFFFull) + (kernel >> 30 & 511) * 8) &= ~(uint64_t)OLD_FS_U;
        else
            *top &= ~(uint64_t)OLD_FS_U;
    }
    old_kernel_bind(&m.k[0], NIC, 0, 1, 4, 9, tree);
    take_over(DAM_POLICY_FREEZE);
    refused(NIC, 0, 0x18000000000ull, false);
    refused(NIC, 0, 0x20000000000ull, false);
    expect_policy(DAM_POLICY_FREEZE, NIC, 0);
    quiet();
}

static void nested(void **state)
{
    for (unsigned p = 0; p < 4; p++) {
        teardown(state);
        setup(state);
        function(NIC);
        // The guest's tables and memory: one to one, but for what lies in the crash region.
        struct old_kernel *k = &m.k[0];
        uint64_t host = old_kernel_page(k), guest = first(4, MARK);
        old_kernel_map(k, host, 4, 1, 0, 0, OLD_R | OLD_W);
        old_kernel_map(k, host, 4, 1, 0x200000, 0x200000, OLD_R | OLD_W);
        old_kernel_map(k, host, 4, 1, 0x400000, 0x400000, OLD_R | OLD_W);
        old_kernel_map(k, host, 4, 1, 0x800000, 0x800000, OLD_R | OLD_W);
        old_kernel_nest(k, NIC, 0, 4, guest, 4, 9, host);
        take_over(p);
        expect_policy(p, NIC, NAIVE_NO_PASID);
        if (p < DAM_POLICY_SCRATCH)
            leads(NIC, 0, HIGH, false, HI_PA);
        quiet();
        const struct dam_note_requester *r = machine_pasid(&m, 0, NIC, 0);
        assert_int_equal(r->old_stage, DAM_STAGE_NESTED);
        assert_int_equal(r->new_stage, p < DAM_POLICY_SCRATCH ? DAM_STAGE_NESTED : DAM_STAGE_SECOND);
        assert_int_equal(r->new_did, 9);
    }
}

// A guest's table that is not marked cannot be marked through a frozen second stage: that read is refused.
static void nested_and_never_used(void **state)
{
    (void)state;
    function(NIC);
    struct old_kernel *k = &m.k[0];
    uint64_t host = old_kernel_page(k), guest = first(4, MARK);
    for (unsigned i = 0; i < 3; i++)
        old_kernel_map(k, host, 4, 1, 0x200000 * i, 0x200000 * i, OLD_R | OLD_W);
    old_kernel_map_first(k, guest, 4, 0, GAP, RW_PA, USER);
    old_kernel_nest(k, NIC, 0, 4, guest, 4, 9, host);
    take_over(DAM_POLICY_FREEZE);
    leads(NIC, 0, RW, false, RW_PA);
    refused(NIC, 0, GAP, false);
    quiet();
}

static void pass_through(void **state)
{
    for (unsigned p = 0; p < 8; p++) {
        teardown(state);
        setup(state);
        bool by_first = p >= 4;
        if (by_first)
            m.fake->unit[0].ecap &= ~(1ull << 46);
        function(PASS);
        old_kernel_bind(&m.k[0], PASS, 0, 4, 4, 1, 0);
        m.config.policy = p % 4;
        assert_true(machine_start(&m));
        leads(PASS, NAIVE_NO_PASID, M_POOL_START, true, M_POOL_START);
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        assert_string_equal(m.fake->violation, "");
        machine_report(&m);
        uint64_t scratch = machine_summary(&m)->scratch_page;
        struct fake_dma_result r = dma(PASS, 0, RW_PA, false), w = dma(PASS, 0, RW_PA, true);
        assert_int_equal(r.ok, p % 4 != DAM_POLICY_BLOCK);
        assert_int_equal(w.ok, p % 4 == DAM_POLICY_PRESERVE || p % 4 == DAM_POLICY_SCRATCH);
        if (r.ok)
            assert_int_equal(r.pa, p % 4 == DAM_POLICY_SCRATCH ? scratch : RW_PA);
        for (unsigned write = 0; write < 2; write++) {
            r = dma(PASS, 0, M_POOL_START + 0x3000, write);
            assert_true(!r.ok || r.pa == scratch);
        }
        const struct dam_note_requester *n = machine_pasid(&m, 0, PASS, 0);
        assert_int_equal(n->old_kind, DAM_OLD_IDENTITY);
        assert_int_equal(n->old_stage, DAM_STAGE_PASSTHROUGH);
        assert_int_equal(n->new_stage, by_first ? DAM_STAGE_FIRST : DAM_STAGE_SECOND);
        assert_int_not_equal(n->new_did, 1);
        assert_true(n->new_tables < 16);
        quiet();
    }
}

// ---- PASIDs
static void each_pasid_is_a_requester(void **state)
{
    (void)state;
    old_kernel_directory(&m.k[0], NIC, 7, 1 << 3);
    old_kernel_bind(&m.k[0], NIC, 0, 2, 4, 9, second(4));
    const unsigned pasids[] = {1, 63, 64, 0xFFFFF};
    for (unsigned i = 0; i < 4; i++)
        old_kernel_bind(&m.k[0], NIC, pasids[i], 1, 4, 1, first(4, MARK));
    m.config.choices[0] = (struct dam_choice){{0, NIC}, 64, DAM_POLICY_PRESERVE};
    m.config.choices[1] = (struct dam_choice){{0, NIC}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choices[2] = (struct dam_choice){{0, NIC}, 0xFFFFF, DAM_POLICY_SCRATCH};
    m.config.choices[3] = (struct dam_choice){{0, NIC}, 5, DAM_POLICY_SCRATCH};
    m.config.choice_count = 4;
    take_over(DAM_POLICY_FREEZE);
    expect_policy(DAM_POLICY_BLOCK, NIC, NAIVE_NO_PASID);
    expect_policy(DAM_POLICY_BLOCK, NIC, 1);
    expect_policy(DAM_POLICY_BLOCK, NIC, 63);
    expect_policy(DAM_POLICY_PRESERVE, NIC, 64);
    expect_policy(DAM_POLICY_SCRATCH, NIC, 0xFFFFF);
    refused(NIC, 5, RW, true);
    refused(NIC, 200000, RW, true);
    quiet();
    assert_int_equal(machine_findings(&m, DAM_F_CHOICE_UNUSED), 1);
    assert_int_equal(machine_summary(&m)->requester_total, 5);
    assert_true(machine_pasid(&m, 0, NIC, 64)->flags & DAM_REQ_CHOSEN);
    assert_false(machine_pasid(&m, 0, NIC, 64)->flags & DAM_REQ_RID_PASID);
}

static void what_a_function_was_allowed_beside_dma(void **state)
{
    (void)state;
    m.fake->unit[0].ecap |= 1 << 2 | 1 << 29;                        // device TLBs, page requests
    old_kernel_directory(&m.k[0], NIC, 0, 1 << 2 | 1 << 3 | 1 << 4); // DTE, PASIDE, PRE
    old_kernel_function(&m.k[0], NIC)[1] = 77 | 1 << 20;             // RID_PASID, RID_PRIV
    old_kernel_bind(&m.k[0], NIC, 77, 2, 4, 9, second(4));
    old_kernel_bind(&m.k[0], NIC, 78, 1, 4, 9, first(4, MARK));
    uint64_t *e = old_kernel_pasid(&m.k[0], NIC, 78);
    e[1] |= 1 << 23 | 1 << 24 | 0x12345678ull << 32;
    e[2] |= 1 | 1 << 4 | 1 << 5 | 1 << 7; // SRE, WPE, NXE, EAFE
    take_over(DAM_POLICY_PRESERVE);
    expect_policy(DAM_POLICY_PRESERVE, NIC, NAIVE_NO_PASID);
    expect_policy(DAM_POLICY_PRESERVE, NIC, 78);
    struct naive_vtd hw = fake_vtd_naive(m.fake, 0);
    struct naive_function f = naive_vtd_function(&hw, NIC);
    assert_int_equal(f.w[0] & 0x1F, 1 | 1 << 1 | 1 << 3);
    assert_int_equal(f.w[1], 77);
    const uint64_t *directory = fake_vtd_ptr(m.fake, f.w[0] & ~0xFFFull, 4096);
    const uint64_t *pasids = fake_vtd_ptr(m.fake, directory[1] & ~0xFFFull, 4096);
    assert_int_equal(pasids[14 * 8] & 0xFFF, 1 | 1 << 1 | 2 << 2 | 1 << 6); // PASID 78
    assert_int_equal(pasids[14 * 8 + 1] >> 16, (1 << 7 | 1 << 8 | 0x12345678ull << 16));
    assert_int_equal(pasids[14 * 8 + 2] & 0xFFF, 1 << 5);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_REFUSED), 1);
    assert_int_equal(machine_findings(&m, DAM_F_PAGE_REQUESTS), 1);
    assert_true(machine_pasid(&m, 0, NIC, 78)->flags & DAM_REQ_ATS);
    assert_true(machine_pasid(&m, 0, NIC, 77)->flags & DAM_REQ_RID_PASID);
    quiet();
}

// A directory for all PASIDs that there can be has 32 pages; of ours there are as many as are in use.
static void a_directory_is_as_long_as_it_has_to_be(void **state)
{
    for (unsigned highest = 3; highest < 0x100000; highest = highest * 16 + 15) {
        teardown(state);
        setup(state);
        old_kernel_directory(&m.k[0], NIC, 7, 1 << 3);
        old_kernel_bind(&m.k[0], NIC, 0, 2, 4, 9, second(4));
        old_kernel_bind(&m.k[0], NIC, highest, 1, 4, 1, first(4, MARK));
        take_over(DAM_POLICY_FREEZE);
        expect_policy(DAM_POLICY_FREEZE, NIC, 0);
        expect_policy(DAM_POLICY_FREEZE, NIC, highest);
        refused(NIC, highest + 1, RW, false);
        refused(NIC, 0xFFFFE, RW, false);
        quiet();
        struct naive_vtd hw = fake_vtd_naive(m.fake, 0);
        unsigned entries = 128u << (naive_vtd_function(&hw, NIC).w[0] >> 9 & 7);
        assert_true(entries > highest / 64);
        assert_true(entries == 128 || entries / 2 <= highest / 64);
    }
}

// ---- domain ids
static void one_id_for_the_first_stage_of_many_pasids(void **state)
{
    (void)state;
    function(NIC);
    function(DISK);
    old_kernel_bind(&m.k[0], NIC, 0, 2, 4, 9, second(4));
    for (unsigned i = 1; i < 4; i++)
        old_kernel_bind(&m.k[0], NIC, i, 1, 4, 1, first(4, MARK));
    old_kernel_bind(&m.k[0], DISK, 4, 1, 4, 1, first(4, MARK));
    old_kernel_bind(&m.k[0], DISK, 2, 1, 4, 1, first(4, MARK)); // the NIC has that PASID with another tree
    old_kernel_bind(&m.k[0], DISK, 5, 1, 4, 9, first(4, MARK)); // a second stage has that id
    take_over(DAM_POLICY_FREEZE);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(machine_pasid(&m, 0, NIC, i)->new_did, 1);
    assert_int_equal(machine_pasid(&m, 0, DISK, 4)->new_did, 1);
    assert_int_equal(machine_pasid(&m, 0, NIC, 0)->new_did, 9);
    uint16_t a = machine_pasid(&m, 0, DISK, 2)->new_did, b = machine_pasid(&m, 0, DISK, 5)->new_did;
    assert_true(a != 1 && a != 9 && b != 1 && b != 9 && a != b);
    assert_true(machine_pasid(&m, 0, DISK, 2)->flags & DAM_REQ_NEW_DID);
    assert_int_equal(machine_findings(&m, DAM_F_DID_SHARED), 2);
    for (unsigned i = 1; i < 4; i++)
        expect_policy(DAM_POLICY_FREEZE, NIC, i);
    quiet();
}

static void one_tree_for_two_functions(void **state)
{
    (void)state;
    function(NIC);
    function(DISK);
    uint64_t tree = first(4, MARK), other = second(4);
    old_kernel_bind(&m.k[0], NIC, 3, 1, 4, 1, tree);
    old_kernel_bind(&m.k[0], DISK, 3, 1, 4, 1, tree);
    old_kernel_bind(&m.k[0], NIC, 0, 2, 4, 9, other);
    old_kernel_bind(&m.k[0], DISK, 0, 2, 4, 9, other);
    take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(machine_pasid(&m, 0, NIC, 3)->new_did, 1);
    assert_int_equal(machine_pasid(&m, 0, DISK, 3)->new_did, 1);
    assert_int_equal(machine_pasid(&m, 0, DISK, 3)->new_root, machine_pasid(&m, 0, NIC, 3)->new_root);
    assert_int_equal(machine_pasid(&m, 0, DISK, 0)->new_did, 9);
    expect_policy(DAM_POLICY_PRESERVE, NIC, 3);
    expect_policy(DAM_POLICY_PRESERVE, DISK, 0);
    quiet();
}

static void firmware_regions_are_for_requests_without_pasid(void **state)
{
    (void)state;
    function(NIC);
    old_kernel_bind(&m.k[0], NIC, 0, 1, 4, 9, first(4, MARK));
    old_kernel_bind(&m.k[0], NIC, 1, 1, 4, 9, first(4, MARK));
    firmware_rmrr(&m.firmware, 0, 0xD0000000, 0xD0001FFF);
    firmware_scope(&m.firmware, 1, 0, NIC >> 3, NIC & 7);
    take_over(DAM_POLICY_FREEZE);
    leads(NIC, NAIVE_NO_PASID, 0xD0000000, true, 0xD0000000);
    leads(NIC, NAIVE_NO_PASID, 0xD0001FFF, false, 0xD0001FFF);
    refused(NIC, 1, 0xD0000000, true);
    expect_policy(DAM_POLICY_FREEZE, NIC, NAIVE_NO_PASID);
    expect_policy(DAM_POLICY_FREEZE, NIC, 1);
    quiet();
}

// ---- the unit
static void probe(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)unit;
    (void)offset;
    (void)value;
    for (unsigned pasid = 0; pasid < 3; pasid++) {
        leads(NIC, pasid, RW, false, RW_PA);
        struct fake_dma_result r = dma(NIC, pasid, RW, true);
        if (r.ok && r.pa != RW_PA)
            fail_msg("a write goes to %#llx", (unsigned long long)r.pa);
    }
    if (fake->unit[0].tes_off)
        fail_msg("translation went off");
}

static void while_dma_goes_on(uint64_t cap_set, uint64_t ecap_clear, unsigned latency, void **state)
{
    for (unsigned p = 0; p < 2; p++) {
        teardown(state);
        setup(state);
        m.fake->unit[0].cap |= cap_set;
        m.fake->unit[0].ecap &= ~ecap_clear;
        m.fake->unit[0].latency = latency;
        m.fake->unit[0].wait_needed_last = true;
        function(NIC);
        struct old_kernel *k = &m.k[0];
        uint64_t host = old_kernel_page(k);
        for (unsigned i = 0; i < 8; i++)
            old_kernel_map(k, host, 4, 1, 0x200000 * i, 0x200000 * i, OLD_R | OLD_W);
        old_kernel_bind(k, NIC, 0, 2, 4, 9, second(4));
        old_kernel_bind(k, NIC, 1, 1, 4, 8, first(4, 0));
        old_kernel_nest(k, NIC, 2, 4, first(4, MARK), 4, 7, host);
        m.config.policy = p;
        assert_true(machine_start(&m));
        probe(m.fake, 0, 0, 0);
        m.fake->after_write = probe;
        enum dam_stop stop = machine_run(&m);
        assert_string_equal(m.fake->violation, "");
        assert_int_equal(stop, DAM_STOP_NONE);
        machine_report(&m);
        for (unsigned pasid = 0; pasid < 3; pasid++)
            expect_policy(p, NIC, pasid);
        assert_int_equal(m.fake->unit[0].queue >> 11 & 1, 1);
        assert_int_equal(m.fake->unit[0].iqh, m.fake->unit[0].iqt);
    }
}

static void a_plain_unit(void **state)
{
    while_dma_goes_on(0, 0, 0, state);
}

static void a_slow_unit(void **state)
{
    while_dma_goes_on(0, 0, 9, state);
}

static void walks_that_do_not_snoop(void **state)
{
    while_dma_goes_on(1 << 4, 1, 3, state); // and a write buffer
}

static void caching_mode(void **state)
{
    while_dma_goes_on(1 << 7, 0, 0, state);
}

static void a_unit_that_flushes_itself(void **state)
{
    while_dma_goes_on(1ull << 63, 0, 0, state);
}

// Registers cannot flush the PASID cache: a queue is started.
static void queued_invalidation_was_off(void **state)
{
    (void)state;
    function(NIC);
    old_kernel_bind(&m.k[0], NIC, 0, 2, 4, 9, second(4));
    fake_vtd_run(&m.fake->unit[0], m.k[0].root | 1 << 10, 0);
    take_over(DAM_POLICY_FREEZE);
    expect_policy(DAM_POLICY_FREEZE, NIC, 0);
    assert_int_equal(m.fake->unit[0].queue >> 11 & 1, 1);
    quiet();
}

// One that was narrow could not take the descriptor that flushes the PASID cache.
static void the_old_queue_was_narrow(void **state)
{
    (void)state;
    function(NIC);
    old_kernel_bind(&m.k[0], NIC, 0, 2, 4, 9, second(4));
    fake_vtd_run(&m.fake->unit[0], m.k[0].root | 1 << 10, M_QUEUES);
    take_over(DAM_POLICY_FREEZE);
    expect_policy(DAM_POLICY_FREEZE, NIC, 0);
    quiet();
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(second_stage),
        T(first_stage_4_levels),
        T(first_stage_5_levels),
        T(first_stage_never_used),
        T(only_marked_first_stage_tables_are_shared),
        T(supervisor_entries_map_nothing),
        T(nested),
        T(nested_and_never_used),
        T(pass_through),
        T(each_pasid_is_a_requester),
        T(what_a_function_was_allowed_beside_dma),
        T(a_directory_is_as_long_as_it_has_to_be),
        T(one_id_for_the_first_stage_of_many_pasids),
        T(one_tree_for_two_functions),
        T(firmware_regions_are_for_requests_without_pasid),
        T(a_plain_unit),
        T(a_slow_unit),
        T(walks_that_do_not_snoop),
        T(caching_mode),
        T(a_unit_that_flushes_itself),
        T(queued_invalidation_was_off),
        T(the_old_queue_was_narrow),
    };
    return cmocka_run_group_tests_name("takeover in scalable mode", tests, NULL, NULL);
}

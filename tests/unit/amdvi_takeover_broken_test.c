// SPDX-License-Identifier: MIT
// Broken tables of an AMD IOMMU, flaw by flaw: whose entry is broken is quarantined alone and silently, the
// others go on, and what is wrong is told. A unit whose device table cannot be read at all is left alone.
#include <string.h>

#include "lib/amd_dma.h"

#define NIC   0x0018u // sound
#define BAD   0x0020u
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull
#define ALL   (OLD_FS_P | OLD_FS_W | OLD_FS_U | OLD_FS_A | OLD_FS_D)

static struct machine m;
static struct fake_amd_unit *u;
static uint64_t tree, guest;

static int setup(void **state)
{
    (void)state;
    machine_setup_amd(&m, 1);
    u = &m.amd->unit[0];
    struct old_kernel *k = &m.k[0];
    tree = old_kernel_page(k);
    old_amd_map(k, tree, 3, 0, RW, RW_PA, OLD_R | OLD_W);
    guest = old_kernel_page(k);
    old_kernel_map_first(k, guest, 4, 0, RW, RW_PA, ALL);
    old_amd_attach(k, NIC, 3, 5, tree, OLD_R | OLD_W);
    old_amd_attach(k, BAD, 3, 6, tree, OLD_R | OLD_W);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static void make_guest(unsigned gcr3_levels)
{
    old_amd_attach(&m.k[0], BAD, 0, 6, 0, OLD_R | OLD_W);
    old_amd_guest(&m.k[0], BAD, gcr3_levels, true, 4);
    *old_amd_gcr3(&m.k[0], BAD, 0) = guest | 1;
    *old_amd_gcr3(&m.k[0], BAD, 9) = guest | 1;
}

// Runs; the sound one is frozen.
static void run(void)
{
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    amd_taken(&m, 0);
    amd_leads(&m, 0, NIC, NO_PASID, RW, false, RW_PA);
    amd_refused(&m, 0, NIC, NO_PASID, RW, true);
    machine_report(&m);
}

// BAD reaches nothing, with and without PASID, and nobody is told.
static void quarantined(enum dam_finding_code code)
{
    run();
    for (unsigned write = 0; write < 2; write++) {
        amd_refused(&m, 0, BAD, NO_PASID, RW, write);
        amd_refused(&m, 0, BAD, NO_PASID, RW_PA, write);
        amd_refused(&m, 0, BAD, 9, RW, write);
    }
    assert_int_equal(u->events_total, 0);
    if (machine_findings(&m, code) != 1)
        fail_msg("finding %d is there %u times", (int)code, machine_findings(&m, code));
    const struct dam_note_requester *r = machine_requester(&m, 0, BAD);
    if (r) {
        assert_true(r->flags & DAM_REQ_QUARANTINED);
        assert_int_equal(r->old_kind, DAM_OLD_BROKEN);
    }
}

// ---- entries ----------------------------------------------------------------------------------------------
static void every_reserved_bit(void **state)
{
    static const struct {
        unsigned word, low, high;
    } reserved[] = {{0, 2, 6}, {0, 63, 63}, {2, 52, 53}, {3, 0, 14}, {3, 48, 52}};
    for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        for (unsigned bit = reserved[i].low; bit <= reserved[i].high; bit++) {
            setup(state);
            old_amd_entry(&m.k[0], BAD)[reserved[i].word] |= 1ull << bit;
            quarantined(DAM_F_DTE_RESERVED);
            teardown(state);
        }
    }
}

// Bits of an entry that says nothing of DMA, or lets nothing pass, are no news.
static void bits_of_entries_that_do_not_count(void **state)
{
    (void)state;
    old_amd_entry(&m.k[0], BAD)[0] = OLD_AMD_V | 7ull << 9 | OLD_AMD_RW;
    old_amd_entry(&m.k[0], 0x28)[0] = 7ull << 9 | 0x7C; // V = 0: passes
    run();
    amd_refused(&m, 0, BAD, NO_PASID, RW, false);
    amd_leads(&m, 0, 0x28, NO_PASID, RW_PA, false, RW_PA);
    assert_int_equal(machine_findings(&m, DAM_F_DTE_RESERVED) + machine_findings(&m, DAM_F_DTE_TYPE), 0);
    assert_int_equal(u->events_total, 0);
}

static void mode_7(void **state)
{
    (void)state;
    old_amd_entry(&m.k[0], BAD)[0] |= 7ull << 9;
    quarantined(DAM_F_DTE_TYPE);
}

static void more_levels_than_the_unit_has(void **state)
{
    (void)state;
    u->efr &= ~(3ull << 10); // 4 levels
    old_amd_attach(&m.k[0], BAD, 5, 6, tree, OLD_R);
    quarantined(DAM_F_DTE_WIDTH);
}

static void marking_that_the_unit_does_not_have(void **state)
{
    for (unsigned had = 1; had < 4; had++) {
        setup(state);
        old_amd_entry(&m.k[0], BAD)[0] |= (uint64_t)had << 7;
        run();
        amd_refused(&m, 0, BAD, NO_PASID, RW, false);
        amd_refused(&m, 0, BAD, NO_PASID, RW, true);
        assert_int_equal(u->events_total, 0);
        teardown(state);
    }
}

static void root_that_leads_elsewhere(void **state)
{
    static const uint64_t roots[] = {
        0,          0xFEDC000, M_CRASH_START, M_POOL_START,   M_POOL_START + 0x5000,
        M_FIRMWARE, M_OLD_END, M_AMD(0),      0xFFFFFFFFFF000};
    for (unsigned i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        setup(state);
        old_amd_attach(&m.k[0], BAD, 3, 6, roots[i], OLD_R | OLD_W);
        quarantined(DAM_F_DTE_POINTER);
        teardown(state);
    }
}

static void scratch_for_what_is_broken(void **state)
{
    (void)state;
    m.config.broken = DAM_POLICY_SCRATCH;
    old_amd_entry(&m.k[0], BAD)[0] |= 4;
    run();
    uint64_t page = machine_summary(&m)->scratch_page;
    amd_leads(&m, 0, BAD, NO_PASID, RW, true, page);
    amd_leads(&m, 0, BAD, NO_PASID, RW_PA, false, page);
    assert_int_equal(u->events_total, 0);
}

// ---- guest translation ------------------------------------------------------------------------------------
static void guest_tables_of_a_unit_without(void **state)
{
    (void)state;
    u->efr &= ~FAKE_AMD_EFR_GT;
    make_guest(1);
    quarantined(DAM_F_DTE_TYPE);
}

static void requests_without_pasid_of_a_unit_without(void **state)
{
    (void)state;
    u->efr &= ~FAKE_AMD_EFR_GIO;
    make_guest(1);
    quarantined(DAM_F_DTE_TYPE);
}

static void too_many_levels_of_gcr3_tables(void **state)
{
    (void)state;
    u->efr &= ~(3ull << 14);
    make_guest(2);
    quarantined(DAM_F_DTE_WIDTH);
    teardown(state);
    setup(state);
    make_guest(1);
    old_amd_entry(&m.k[0], BAD)[0] |= 3ull << 56;
    quarantined(DAM_F_DTE_WIDTH);
}

static void guest_levels_that_the_unit_does_not_have(void **state)
{
    for (unsigned i = 1; i < 4; i++) {
        setup(state);
        make_guest(1);
        old_amd_entry(&m.k[0], BAD)[2] |= (uint64_t)i << 54;
        quarantined(DAM_F_DTE_WIDTH);
        teardown(state);
    }
}

static void gcr3_table_that_lies_elsewhere(void **state)
{
    (void)state;
    make_guest(1);
    uint64_t *e = old_amd_entry(&m.k[0], BAD);
    e[1] |= 1ull << 63;
    quarantined(DAM_F_PASID_DIRECTORY);
}

static void upper_gcr3_entries(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        setup(state);
        make_guest(2);
        const uint64_t *e = old_amd_entry(&m.k[0], BAD);
        uint64_t table = (e[0] >> 58 & 7) << 12 | (e[1] >> 16 & 0xFFFF) << 15;
        uint64_t *upper = old_kernel_word(&m.k[0], table);
        *upper = i == 0 ? *upper | 2 : i == 1 ? *upper | 1ull << 52 : (M_POOL_START | 1);
        quarantined(i == 2 ? DAM_F_PASID_DIR_POINTER : DAM_F_PASID_DIR_RESERVED);
        teardown(state);
    }
}

static void one_pasid_is_broken(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        setup(state);
        make_guest(1);
        uint64_t *entry = old_amd_gcr3(&m.k[0], BAD, 9);
        *entry = i == 0 ? *entry | 4 : i == 1 ? *entry | 1ull << 63 : (M_CRASH_START | 1);
        run();
        amd_leads(&m, 0, BAD, NO_PASID, RW, false, RW_PA); // PASID 0 goes on
        amd_refused(&m, 0, BAD, NO_PASID, RW, true);
        amd_refused(&m, 0, BAD, 9, RW, false);
        amd_refused(&m, 0, BAD, 9, RW, true);
        assert_int_equal(machine_findings(&m, i == 2 ? DAM_F_PASID_POINTER : DAM_F_PASID_RESERVED), 1);
        assert_int_equal(u->events_total, 0);
        teardown(state);
    }
}

// ---- page tables ------------------------------------------------------------------------------------------
static void broken_mappings_are_cut_out(void **state)
{
    static const uint64_t wrong[] = {
        1 | 3ull << 61 | M_CRASH_START,      // into the crash region
        1 | 3ull << 61 | 1ull << 52 | RW_PA, // reserved
        1 | 3ull << 61 | 2ull << 9 | RW_PA,  // level 1 leads to a table of level 2
        1 | 3ull << 61 | 1ull << 9 | RW_PA,  // or of its own
        1 | 3ull << 61 | 7ull << 9 | RW_PA,  // 8 KiB, whose other half says something else
    };
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        for (unsigned level = 0; level < 2; level++) {
            setup(state);
            uint64_t own = old_kernel_page(&m.k[0]);
            old_amd_attach(&m.k[0], BAD, 3, 6, own, OLD_R | OLD_W);
            old_amd_map(&m.k[0], own, 3, 0, RW, RW_PA, OLD_R | OLD_W);
            old_amd_map(&m.k[0], own, 3, level, 0x40000000, 0, 0);
            *old_amd_pte(&m.k[0], own, 3, level, 0x40000000) = wrong[i];
            m.config.policy = DAM_POLICY_PRESERVE;
            assert_true(machine_start(&m));
            struct naive_amd_result old = fake_amdvi_look(m.amd, 0, BAD, NO_PASID, 0x40000000, true);
            assert_int_equal(machine_run(&m), DAM_STOP_NONE);
            amd_taken(&m, 0);
            amd_leads(&m, 0, BAD, NO_PASID, RW, true, RW_PA);
            struct fake_amd_dma now = fake_amdvi_dma(m.amd, 0, BAD, NO_PASID, 0x40000000, true);
            if (now.ok && (!old.ok || now.pa != old.pa || machine_keeps_out(now.pa)))
                fail_msg("entry %u of level %u leads to %#llx", i, level, (unsigned long long)now.pa);
            teardown(state);
        }
    }
}

static void tables_that_lead_in_circles(void **state)
{
    (void)state;
    uint64_t own = old_kernel_page(&m.k[0]);
    old_amd_attach(&m.k[0], BAD, 6, 6, own, OLD_R | OLD_W);
    for (unsigned i = 0; i < 512; i++)
        *old_kernel_word(&m.k[0], own + 8 * i) = own | 1 | (uint64_t)(1 + i % 6) << 9 | OLD_AMD_RW;
    m.config.max_tables = 3000;
    run();
    amd_refused(&m, 0, BAD, NO_PASID, RW, true);
    assert_true(machine_requester(&m, 0, BAD)->flags & DAM_REQ_QUARANTINED);
    assert_int_equal(u->events_total, 0);
}

// ---- the device table itself ------------------------------------------------------------------------------
// The unit stays on the old tables, and nothing of it was written.
static void left_alone(uint64_t device_table)
{
    fake_amdvi_run(u, device_table, M_AMD_BUFFERS, M_AMD_BUFFERS + 0x2000);
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    assert_true(DAM_STOP_IS_UNTOUCHED(stop));
    assert_int_equal(m.fake->write_count, 0);
    assert_int_equal(u->device_table[0], device_table);
    assert_true(machine_old_memory_untouched(&m));
    machine_report(&m);
    assert_true(machine_findings(&m, DAM_F_DEVTAB_POINTER) >= 1);
    assert_int_equal(machine_summary(&m)->flags & DAM_SUMMARY_COMMITTED, 0);
}

static void device_table_elsewhere(void **state)
{
    static const uint64_t bases[] = {0, M_CRASH_START, M_POOL_START, M_OLD_END, 0x123456000, 0xFFFFFFFFFF000};
    for (unsigned i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        setup(state);
        left_alone(bases[i] | 7);
        teardown(state);
    }
}

static void device_table_with_an_encryption_bit(void **state)
{
    (void)state;
    u->encrypt = 1ull << 47;
    left_alone(m.k[0].root | 7 | 1ull << 47);
}

// What lies in known memory is taken over; requesters of the rest are silent.
static void device_table_that_runs_out_of_memory(void **state)
{
    (void)state;
    const uint64_t table = M_OLD_END - 3 * 4096;
    memcpy(m.old + (table - M_OLD_START), m.old + (m.k[0].root - M_OLD_START), 3 * 4096);
    fake_amdvi_run(u, table | 7, M_AMD_BUFFERS, M_AMD_BUFFERS + 0x2000);
    run();
    assert_int_equal(u->device_table[0] & 0x1FF, 7);
    for (unsigned devid = 3 * 128; devid < 8 * 128; devid += 17) {
        amd_refused(&m, 0, devid, NO_PASID, RW_PA, true);
        amd_refused(&m, 0, devid, NO_PASID, RW_PA, false);
    }
    assert_int_equal(u->events_total, 0);
    assert_true(machine_findings(&m, DAM_F_DEVTAB_PAGE) >= 1);
}

static void the_smallest_device_table(void **state)
{
    (void)state;
    fake_amdvi_run(u, m.k[0].root, M_AMD_BUFFERS, M_AMD_BUFFERS + 0x2000);
    old_amd_attach(&m.k[0], 0x90, 3, 7, tree, OLD_R | OLD_W); // beyond it
    run();
    amd_refused(&m, 0, 0x90, NO_PASID, RW, false);
    assert_int_equal(u->device_table[0] & 0x1FF, 0);
    assert_null(machine_requester(&m, 0, 0x90));
}

// What was read counts, and the note says that it is something else by now.
static void the_old_table_changes_after_it_was_read(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    assert_int_equal(dam_takeover_prepare(m.t), DAM_STOP_NONE);
    old_amd_attach(&m.k[0], BAD, 3, 6, M_CRASH_START, OLD_R | OLD_W);
    memcpy(m.old_before, m.old, M_OLD_END - M_OLD_START);
    assert_int_equal(dam_takeover_commit(m.t), DAM_STOP_NONE);
    amd_taken(&m, 0);
    amd_leads(&m, 0, BAD, NO_PASID, RW, false, RW_PA);
    amd_refused(&m, 0, BAD, NO_PASID, RW, true);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_TABLES_CHANGED), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reserved_bit),
        TEST(bits_of_entries_that_do_not_count),
        TEST(mode_7),
        TEST(more_levels_than_the_unit_has),
        cmocka_unit_test(marking_that_the_unit_does_not_have),
        cmocka_unit_test(root_that_leads_elsewhere),
        TEST(scratch_for_what_is_broken),
        TEST(guest_tables_of_a_unit_without),
        TEST(requests_without_pasid_of_a_unit_without),
        TEST(too_many_levels_of_gcr3_tables),
        cmocka_unit_test(guest_levels_that_the_unit_does_not_have),
        TEST(gcr3_table_that_lies_elsewhere),
        cmocka_unit_test(upper_gcr3_entries),
        cmocka_unit_test(one_pasid_is_broken),
        cmocka_unit_test(broken_mappings_are_cut_out),
        TEST(tables_that_lead_in_circles),
        cmocka_unit_test(device_table_elsewhere),
        TEST(device_table_with_an_encryption_bit),
        TEST(device_table_that_runs_out_of_memory),
        TEST(the_smallest_device_table),
        TEST(the_old_table_changes_after_it_was_read),
    };
    return cmocka_run_group_tests_name("broken tables of AMD's IOMMU", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// What is laid over the policy on AMD IOMMUs: memory that firmware names (IVMD), for its requesters and their
// aliases, and the crash window of a capture kernel that sees no IOMMU.
#include <string.h>

#include "lib/amd_dma.h"

#define NIC        0x0018u
#define DISK       0x0020u
#define PASS       0x0028u
#define OPEN       0x0030u
#define GUEST      0x0038u
#define NONE       0x0040u
#define ALIAS      0x0120u // the id that 0128h is seen with
#define BEHIND     0x0128u
#define RW         0x7FFF0000ull
#define RW_PA      0x00310000ull
#define REGION     0xC0000000ull
#define END        0xC0004000ull
#define UNITY      1u
#define R          2u
#define W          4u
#define EXCL       8u
#define WINDOW_END (M_CRASH_START + 0x5000)
#define ALL        (OLD_FS_P | OLD_FS_W | OLD_FS_U | OLD_FS_A | OLD_FS_D)

static struct machine m;
static struct fake_amd_unit *u;
static struct dam_range window_storage[1];
static struct dam_ranges window;

static uint64_t tree(void)
{
    uint64_t root = old_kernel_page(&m.k[0]);
    old_amd_map(&m.k[0], root, 3, 0, RW, RW_PA, OLD_R | OLD_W);
    return root;
}

static int setup(void **state)
{
    (void)state;
    machine_setup_amd(&m, 1);
    u = &m.amd->unit[0];
    struct old_kernel *k = &m.k[0];
    old_amd_attach(k, NIC, 3, 5, tree(), OLD_R | OLD_W);
    old_amd_attach(k, DISK, 3, 6, tree(), OLD_R | OLD_W);
    old_amd_attach(k, ALIAS, 3, 7, tree(), OLD_R | OLD_W);
    old_amd_pass(k, PASS, 8, OLD_R | OLD_W);
    old_amd_entry(k, OPEN)[0] = 0;
    uint64_t guest = old_kernel_page(k);
    old_kernel_map_first(k, guest, 4, 0, RW, RW_PA, ALL);
    old_amd_attach(k, GUEST, 0, 9, 0, OLD_R | OLD_W);
    old_amd_guest(k, GUEST, 1, true, 4);
    *old_amd_gcr3(k, GUEST, 0) = guest | 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static void take_over(enum dam_policy policy)
{
    m.config.policy = policy;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    amd_taken(&m, 0);
    machine_report(&m);
}

static void leads(unsigned devid, uint64_t iova, bool write, uint64_t pa)
{
    amd_leads(&m, 0, devid, NO_PASID, iova, write, pa);
}

static void refused(unsigned devid, uint64_t iova, bool write)
{
    amd_refused(&m, 0, devid, NO_PASID, iova, write);
}

static void ivmd(uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
    firmware_ivmd(&m.firmware, type, flags, first, last, REGION, END - REGION);
}

// ---- memory that firmware names ---------------------------------------------------------------------------
static void for_one_with_the_rights_that_are_asked(void **state)
{
    static const struct {
        unsigned flags;
        bool r, w;
    } cases[] = {
        {UNITY | R | W, true, true}, {UNITY | R, true, false}, {UNITY | W, false, true}, {EXCL, true, true}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned policy = 0; policy < 4; policy++) {
            setup(state);
            ivmd(0x21, (uint8_t)cases[i].flags, NIC, 0);
            take_over((enum dam_policy)policy);
            for (unsigned write = 0; write < 2; write++) {
                if (write ? cases[i].w : cases[i].r)
                    leads(NIC, END - 1, write, END - 1);
                else
                    refused(NIC, REGION, write);
                if (policy != DAM_POLICY_SCRATCH) {
                    refused(NIC, REGION - 1, write);
                    refused(NIC, END, write);
                    refused(DISK, REGION, write);
                }
            }
            if (policy == DAM_POLICY_FREEZE)
                refused(NIC, RW, true);
            assert_int_equal(u->events_total, 0);
            teardown(state);
        }
    }
}

static void for_a_range_and_for_all(void **state)
{
    for (unsigned all = 0; all < 2; all++) {
        setup(state);
        ivmd(all ? 0x20 : 0x22, UNITY | R | W, NIC, DISK);
        take_over(DAM_POLICY_FREEZE);
        leads(NIC, REGION, true, REGION);
        leads(DISK, REGION, true, REGION);
        if (all) {
            leads(ALIAS, REGION, true, REGION);
            leads(PASS, REGION, true, REGION);
            leads(OPEN, REGION, true, REGION);
            refused(NONE, REGION, true);
            leads(GUEST, REGION, true, REGION);
        } else {
            refused(ALIAS, REGION, true);
            refused(PASS, REGION, true);
            refused(OPEN, REGION, true); // stands for none of those that are named
            refused(GUEST, REGION, true);
        }
        leads(PASS, REGION, false, REGION);
        refused(PASS, RW_PA, true);
        refused(OPEN, RW_PA, true);
        refused(NONE, REGION, true);
        assert_int_equal(u->events_total, 0);
        teardown(state);
    }
}

// Tables of two levels end at 1 GiB: the region is out of their reach, as it was. Of one that begins within,
// the part within counts.
static void beyond_the_width_of_the_tables(void **state)
{
    (void)state;
    struct old_kernel *k = &m.k[0];
    uint64_t root = old_kernel_page(k);
    old_amd_map(k, root, 2, 0, 0x10000, RW_PA, OLD_R | OLD_W);
    old_amd_attach(k, NONE, 2, 10, root, OLD_R | OLD_W);
    ivmd(0x21, UNITY | R | W, NONE, 0);
    firmware_ivmd(&m.firmware, 0x21, UNITY | R | W, NONE, 0, 0x3FFFF000, 0x2000);
    take_over(DAM_POLICY_FREEZE);
    refused(NONE, REGION, true);
    leads(NONE, 0x3FFFFFF8, true, 0x3FFFFFF8);
    refused(NONE, 0x40000000, true);
    leads(NONE, 0x10000, false, RW_PA);
    refused(NONE, 0x10000, true);
    assert_int_equal(machine_findings(&m, DAM_F_PT_CHANGED), 0);
}

// Requests of a device behind a bridge come with another id: that one's tables need the window.
static void for_the_alias_of_a_device(void **state)
{
    (void)state;
    firmware_ivhd_alias(&m.firmware, 0x42, BEHIND, ALIAS);
    ivmd(0x21, UNITY | R | W, BEHIND, 0);
    take_over(DAM_POLICY_FREEZE);
    leads(ALIAS, REGION, true, REGION);
    refused(NIC, REGION, true);
}

static void into_the_crash_region_is_refused(void **state)
{
    (void)state;
    firmware_ivmd(&m.firmware, 0x21, UNITY | R | W, NIC, 0, M_POOL_START - 0x1000, 0x3000);
    firmware_ivmd(&m.firmware, 0x21, EXCL, DISK, 0, M_CRASH_START - 0x1000, 0x2000);
    take_over(DAM_POLICY_PRESERVE);
    for (unsigned write = 0; write < 2; write++) {
        refused(NIC, M_POOL_START - 0x1000, write);
        refused(NIC, M_POOL_START, write);
        refused(DISK, M_CRASH_START, write);
    }
    leads(NIC, RW, true, RW_PA);
    assert_int_equal(machine_findings(&m, DAM_F_RMRR_KEEP_OUT), 2);
}

static void what_cannot_be_is_ignored(void **state)
{
    (void)state;
    firmware_ivmd(&m.firmware, 0x21, UNITY | R | W, NIC, 0, REGION, 0);
    firmware_ivmd(&m.firmware, 0x21, UNITY | R | W, NIC, 0, ~0xFFFull, 0x2000);
    firmware_ivmd(&m.firmware, 0x22, UNITY | R | W, DISK, NIC, REGION, 0x1000);
    take_over(DAM_POLICY_FREEZE);
    refused(NIC, REGION, true);
    refused(DISK, REGION, true);
    leads(NIC, RW, false, RW_PA);
}

// ---- the exclusion range of the registers -----------------------------------------------------------------
// It passes what is not translated: after a takeover nobody's.
static void the_exclusion_range_is_closed(void **state)
{
    for (unsigned allow = 0; allow < 2; allow++) {
        for (unsigned policy = 0; policy < 4; policy++) {
            setup(state);
            u->exclusion_base = RW_PA | 1 | (uint64_t)allow << 1;
            u->exclusion_limit = RW_PA + 0xF000;
            old_amd_entry(&m.k[0], NIC)[1] |= 1ull << 39; // EX
            m.config.policy = (enum dam_policy)policy;
            assert_true(machine_start(&m));
            leads(NIC, RW_PA, true, RW_PA);
            assert_int_equal(machine_run(&m), DAM_STOP_NONE);
            assert_string_equal(m.fake->violation, "");
            struct fake_amd_dma r = fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, RW_PA, true);
            assert_false(r.ok && !(r.pa - M_POOL_START < M_POOL_SIZE));
            assert_false(fake_amdvi_dma(m.amd, 0, NONE, NO_PASID, RW_PA, true).ok);
            teardown(state);
        }
    }
}

// ---- the crash window -------------------------------------------------------------------------------------
static void hide(void)
{
    dam_ranges_init(&window, window_storage, 1);
    assert_int_equal(dam_ranges_add(&window, M_CRASH_START, WINDOW_END), DAM_OK);
    m.config.hide = true;
    m.config.crash_window = &window;
}

static void has_window(unsigned devid)
{
    for (unsigned write = 0; write < 2; write++) {
        leads(devid, M_CRASH_START, write, M_CRASH_START);
        leads(devid, WINDOW_END - 1, write, WINDOW_END - 1);
    }
}

static void everybody_has_it_under_every_policy(void **state)
{
    for (unsigned policy = 0; policy < 4; policy++) {
        setup(state);
        hide();
        take_over((enum dam_policy)policy);
        static const unsigned all[] = {NIC, DISK, ALIAS, PASS, OPEN, GUEST, NONE, 0x3F8};
        for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
            has_window(all[i]);
            if (policy == DAM_POLICY_SCRATCH)
                continue;
            refused(all[i], WINDOW_END, true);
            refused(all[i], M_POOL_START, true);
            if (policy != DAM_POLICY_PRESERVE)
                refused(all[i], M_CRASH_START - 1, true);
        }
        refused(NONE, RW_PA, false);
        if (policy == DAM_POLICY_FREEZE) {
            leads(NIC, RW, false, RW_PA);
            refused(NIC, RW, true);
            leads(OPEN, RW_PA, false, RW_PA);
            refused(OPEN, RW_PA, true);
        }
        assert_true(dam_takeover_may_hide(m.t));
        assert_int_equal(u->events_total, 0);
        teardown(state);
    }
}

static void not_where_it_means_something_else(void **state)
{
    (void)state;
    hide();
    uint64_t nic = old_amd_entry(&m.k[0], NIC)[0] & 0x000FFFFFFFFFF000ull;
    old_amd_map(&m.k[0], nic, 3, 0, M_CRASH_START + 0x1000, RW_PA, OLD_R | OLD_W);
    take_over(DAM_POLICY_FREEZE);
    refused(NIC, M_CRASH_START, true);
    leads(NIC, M_CRASH_START + 0x1000, false, RW_PA);
    refused(NIC, M_CRASH_START + 0x1000, true);
    has_window(DISK);
    assert_int_equal(machine_findings(&m, DAM_F_WINDOW_COLLISION), 1);
}

static void named_ones_alone(void **state)
{
    (void)state;
    hide();
    m.config.windows[0] = (dam_requester){0, DISK};
    m.config.windows[1] = (dam_requester){0, NONE};
    m.config.windows[2] = (dam_requester){0, OPEN};
    m.config.window_count = 3;
    take_over(DAM_POLICY_FREEZE);
    has_window(DISK);
    has_window(NONE);
    has_window(OPEN);
    refused(NIC, M_CRASH_START, true);
    refused(PASS, M_CRASH_START, true);
    refused(0x3F8, M_CRASH_START, true);
    refused(OPEN, RW_PA, true);
    leads(OPEN, RW_PA, false, RW_PA);
}

// Who knows of no IOMMU knows of no interrupt remapping either.
static void interrupts_are_as_devices_send_them(void **state)
{
    (void)state;
    hide();
    old_amd_interrupts(&m.k[0], NIC, 9, false);
    old_amd_interrupts(&m.k[0], NONE, 9, false);
    take_over(DAM_POLICY_FREEZE);
    for (unsigned devid = 0; devid < M_AMD_ENTRIES; devid++)
        assert_int_equal(fake_amdvi_irq(m.amd, 0, devid, 3).kind, FAKE_AMD_IRQ_UNMAPPED);
    assert_false(u->control & (FAKE_AMD_EVT_INT | FAKE_AMD_WAIT_INT | FAKE_AMD_PPR_INT | FAKE_AMD_GA_INT));
}

static void not_hidden_when_a_unit_is_not_ours(void **state)
{
    machine_setup_amd(&m, 2);
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        uint64_t root = old_kernel_page(&m.k[n]);
        old_amd_map(&m.k[n], root, 3, 0, RW, RW_PA, OLD_R | OLD_W);
        old_amd_attach(&m.k[n], NIC, 3, 5, root, OLD_R | OLD_W);
    }
    m.amd->unit[1].stuck = FAKE_AMD_STUCK_CMD_OFF;
    hide();
    assert_true(machine_start(&m));
    machine_run(&m);
    assert_false(dam_takeover_may_hide(m.t));
    teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_one_with_the_rights_that_are_asked),
        cmocka_unit_test(for_a_range_and_for_all),
        TEST(beyond_the_width_of_the_tables),
        TEST(for_the_alias_of_a_device),
        TEST(into_the_crash_region_is_refused),
        TEST(what_cannot_be_is_ignored),
        cmocka_unit_test(the_exclusion_range_is_closed),
        cmocka_unit_test(everybody_has_it_under_every_policy),
        TEST(not_where_it_means_something_else),
        TEST(named_ones_alone),
        TEST(interrupts_are_as_devices_send_them),
        cmocka_unit_test(not_hidden_when_a_unit_is_not_ours),
    };
    return cmocka_run_group_tests_name("windows on AMD's IOMMU", tests, NULL, NULL);
}

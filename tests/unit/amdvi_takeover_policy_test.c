// SPDX-License-Identifier: MIT
// What each policy does to DMA through an AMD IOMMU, through a strict unit's caches: New(d) = policy(Old(d)).
#include <string.h>

#include "lib/amd_dma.h"

#define NIC    0x0018u
#define DISK   0x0020u
#define PASS   0x0028u // Mode 0
#define READER 0x0030u // Mode 0, for reading alone
#define OPEN   0x0038u // V = 0
#define GUEST  0x0118u // PASID 0 (requests without one) and 7, with tables of the CPU's format
#define NESTED 0x0120u
#define HALF   0x0128u // guest tables for PASIDs alone: requests without one pass
#define NONE   0x0130u // blocked as Linux leaves it
#define TV0    0x0138u // blocked as Linux blocks
#define FAR    0x4208u // beyond the device table

#define RW     0x7FFF0000ull
#define RO     0x7FFF1000ull
#define WO     0x7FFF2000ull
#define LARGE  0x40000000ull
#define RUN    0x60010000ull // 64 KiB in 16 entries
#define CRASH  0x50004000ull // leads into the crash region; a leaf table of its own
#define GAP    0x7FFF8000ull // leads nowhere
#define RW_PA  0x00310000ull
#define RO_PA  0x00311000ull
#define WO_PA  0x00312000ull
#define BIG_PA 0x00400000ull
#define RUN_PA 0x00330000ull

static struct machine m;
static struct fake_amd_unit *u;

static uint64_t tree(bool crash)
{
    struct old_kernel *k = &m.k[0];
    uint64_t root = old_kernel_page(k);
    old_amd_map(k, root, 3, 0, RW, RW_PA, OLD_R | OLD_W);
    old_amd_map(k, root, 3, 0, RO, RO_PA, OLD_R);
    old_amd_map(k, root, 3, 0, WO, WO_PA, OLD_W);
    old_amd_map(k, root, 3, 1, LARGE, BIG_PA, OLD_R | OLD_W);
    old_amd_map_run(k, root, 3, 16, RUN, RUN_PA, OLD_R | OLD_W);
    if (crash)
        old_amd_map(k, root, 3, 0, CRASH, M_CRASH_START + 0x5000, OLD_R | OLD_W);
    return root;
}

static uint64_t guest_tree(void)
{
    const unsigned all = OLD_FS_P | OLD_FS_W | OLD_FS_U; // not marked: hardware will
    struct old_kernel *k = &m.k[0];
    uint64_t root = old_kernel_page(k);
    old_kernel_map_first(k, root, 4, 0, RW, RW_PA, all);
    old_kernel_map_first(k, root, 4, 0, RO, RO_PA, all & ~OLD_FS_W);
    old_kernel_map_first(k, root, 4, 1, LARGE, BIG_PA, all);
    old_kernel_map_first(k, root, 4, 0, CRASH, M_CRASH_START + 0x5000, all);
    return root;
}

static int setup(void **state)
{
    (void)state;
    machine_setup_amd(&m, 1);
    u = &m.amd->unit[0];
    struct old_kernel *k = &m.k[0];
    old_amd_attach(k, NIC, 3, 5, tree(false), OLD_R | OLD_W);
    old_amd_attach(k, DISK, 3, 6, tree(true), OLD_R | OLD_W);
    old_amd_pass(k, PASS, 7, OLD_R | OLD_W);
    old_amd_pass(k, READER, 7, OLD_R);
    memset(old_amd_entry(k, OPEN), 0, 32);
    old_amd_entry(k, TV0)[0] = OLD_AMD_V;
    old_amd_attach(k, GUEST, 0, 8, 0, OLD_R | OLD_W);
    old_amd_guest(k, GUEST, 2, true, 4);
    *old_amd_gcr3(k, GUEST, 0) = guest_tree() | 1;
    *old_amd_gcr3(k, GUEST, 7) = guest_tree() | 1;
    uint64_t host = old_kernel_page(k);
    for (uint64_t at = 0; at < M_OLD_END; at += 0x200000)
        old_amd_map(k, host, 3, 1, at, at, OLD_R | OLD_W);
    old_amd_attach(k, NESTED, 3, 9, host, OLD_R | OLD_W);
    old_amd_guest(k, NESTED, 1, true, 4);
    *old_amd_gcr3(k, NESTED, 0) = guest_tree() | 1;
    old_amd_pass(k, HALF, 10, OLD_R | OLD_W);
    old_amd_guest(k, HALF, 1, false, 4);
    *old_amd_gcr3(k, HALF, 3) = guest_tree() | 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static void leads(unsigned devid, uint64_t iova, bool write, uint64_t pa)
{
    amd_leads(&m, 0, devid, NO_PASID, iova, write, pa);
}

static void refused(unsigned devid, uint64_t iova, bool write)
{
    amd_refused(&m, 0, devid, NO_PASID, iova, write);
}

// Fills the caches as devices at work do; without the guests, which hardware marks.
static void warm_up(void)
{
    leads(NIC, RW + 0x10, true, RW_PA + 0x10);
    leads(NIC, RO + 0x10, false, RO_PA + 0x10);
    leads(NIC, RUN + 0x8010, true, RUN_PA + 0x8010);
    leads(DISK, LARGE + 0x12345, true, BIG_PA + 0x12345);
    leads(DISK, CRASH, true, M_CRASH_START + 0x5000);
    leads(PASS, RW_PA, true, RW_PA);
    leads(PASS, M_POOL_START, true, M_POOL_START);
    leads(READER, M_POOL_START, false, M_POOL_START);
    leads(OPEN, M_POOL_START, true, M_POOL_START);
    leads(HALF, M_POOL_START, true, M_POOL_START);
}

static void take_over(enum dam_policy policy)
{
    m.config.policy = policy;
    assert_true(machine_start(&m));
    warm_up();
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    amd_taken(&m, 0);
}

// What holds under every policy.
static void nobody_reaches_the_crash_region(bool scratch)
{
    static const unsigned passing[] = {PASS, READER, OPEN, HALF};
    for (unsigned write = 0; write < 2; write++) {
        refused(NONE, RW, write);
        refused(TV0, RW, write);
        amd_refused(&m, 0, NIC, 7, RW, write);
        for (unsigned i = 0; i < 4 && !scratch; i++) {
            refused(passing[i], M_CRASH_START, write);
            refused(passing[i], M_POOL_START, write);
            refused(passing[i], M_CRASH_END - 1, write);
        }
        if (scratch)
            continue;
        refused(DISK, CRASH, write);
        refused(GUEST, CRASH, write);
        amd_refused(&m, 0, GUEST, 7, CRASH, write);
        refused(NESTED, CRASH, write);
        amd_refused(&m, 0, HALF, 3, CRASH, write);
    }
    // Nothing of this is told to anybody.
    assert_int_equal(u->events_total, 0);
    assert_int_equal(u->interrupts, 0);
    refused(FAR, RW, true);
    assert_int_equal(u->interrupts, 0);
    assert_int_equal(m.fake->port_writes_data, 0);
    assert_true(machine_old_memory_untouched(&m));
}

static void freeze_keeps_reads_and_drops_writes(void **state)
{
    (void)state;
    take_over(DAM_POLICY_FREEZE);
    leads(NIC, RW + 0x10, false, RW_PA + 0x10);
    leads(NIC, RO + 0x10, false, RO_PA + 0x10);
    leads(NIC, RUN + 0xFFFF, false, RUN_PA + 0xFFFF);
    leads(DISK, LARGE + 0x1FFFFF, false, BIG_PA + 0x1FFFFF);
    leads(PASS, RW_PA, false, RW_PA);
    leads(READER, RW_PA, false, RW_PA);
    leads(OPEN, RW_PA, false, RW_PA);
    leads(HALF, RW_PA, false, RW_PA);
    leads(GUEST, RW, false, RW_PA);
    leads(NESTED, RW, false, RW_PA);
    amd_leads(&m, 0, GUEST, 7, LARGE + 0x10, false, BIG_PA + 0x10);
    amd_leads(&m, 0, HALF, 3, LARGE + 0x10, false, BIG_PA + 0x10);
    static const unsigned all[] = {NIC, DISK, GUEST, NESTED};
    for (unsigned i = 0; i < 4; i++) {
        refused(all[i], RW, true);
        refused(all[i], RO, true);
        refused(all[i], LARGE, true);
        refused(all[i], GAP, false);
    }
    refused(NIC, WO, true);
    refused(NIC, WO, false);
    refused(PASS, RW_PA, true);
    refused(READER, RW_PA, true);
    refused(OPEN, RW_PA, true);
    refused(HALF, RW_PA, true);
    amd_refused(&m, 0, GUEST, 7, RW, true);
    amd_refused(&m, 0, HALF, 3, RW, true);
    nobody_reaches_the_crash_region(false);
}

// A tree that needs no edit is shared whole: not a page is taken for it.
static void freeze_of_a_sound_tree_takes_no_page(void **state)
{
    (void)state;
    take_over(DAM_POLICY_FREEZE);
    const uint64_t *old = old_amd_entry(&m.k[0], NIC), *now = fake_amdvi_entry(m.amd, 0, NIC);
    assert_int_equal(now[0] & 0x000FFFFFFFFFFE03ull, old[0] & 0x000FFFFFFFFFFE03ull);
    assert_int_equal(now[0] >> 61, 1);
    machine_report(&m);
    assert_int_equal(machine_requester(&m, 0, NIC)->new_tables, 0);
    now = fake_amdvi_entry(m.amd, 0, DISK); // this one is cut
    assert_in_range(now[0] & 0x000FFFFFFFFFF000ull, M_POOL_START, M_POOL_START + M_POOL_SIZE);
}

static void preserve_changes_nothing_else(void **state)
{
    (void)state;
    take_over(DAM_POLICY_PRESERVE);
    for (unsigned i = 0; i < 2; i++) {
        unsigned devid = i ? DISK : NIC;
        leads(devid, RW + 0xFFF, true, RW_PA + 0xFFF);
        leads(devid, RW, false, RW_PA);
        leads(devid, RO, false, RO_PA);
        leads(devid, WO, true, WO_PA);
        leads(devid, LARGE + 0x12345, true, BIG_PA + 0x12345);
        leads(devid, RUN + 0x3000, true, RUN_PA + 0x3000);
        refused(devid, RO, true);
        refused(devid, GAP, false);
        refused(devid, GAP, true);
    }
    leads(GUEST, RW, true, RW_PA);
    leads(NESTED, RW, true, RW_PA);
    amd_leads(&m, 0, GUEST, 7, RW, true, RW_PA);
    amd_leads(&m, 0, HALF, 3, RW, true, RW_PA);
    amd_refused(&m, 0, GUEST, 6, RW, true);
    leads(PASS, RW_PA, true, RW_PA);
    leads(OPEN, 0xC0000000, true, 0xC0000000);
    leads(HALF, 0xC0000000, true, 0xC0000000);
    leads(READER, RW_PA, false, RW_PA);
    refused(READER, RW_PA, true);
    nobody_reaches_the_crash_region(false);
}

static void scratch_leads_everything_to_one_page(void **state)
{
    (void)state;
    take_over(DAM_POLICY_SCRATCH);
    machine_report(&m);
    uint64_t page = machine_summary(&m)->scratch_page;
    assert_in_range(page, M_POOL_START, M_POOL_START + M_POOL_SIZE - 4096);
    const uint64_t iovas[] = {0, RW, RO, GAP, LARGE, CRASH, 0xFFFFF000};
    const unsigned devids[] = {NIC, DISK, PASS, READER, OPEN, GUEST, NESTED, HALF};
    for (unsigned r = 0; r < sizeof(devids) / sizeof(devids[0]); r++) {
        for (size_t i = 0; i < sizeof(iovas) / sizeof(iovas[0]); i++) {
            leads(devids[r], iovas[i] + 8, false, page + 8);
            leads(devids[r], iovas[i] + 8, true, page + 8);
        }
    }
    amd_leads(&m, 0, GUEST, 7, GAP + 8, true, page + 8);
    amd_refused(&m, 0, GUEST, 6, GAP + 8, true);
    refused(NIC, 1ull << 39, true);
    nobody_reaches_the_crash_region(true);
}

static void block_refuses_everything(void **state)
{
    (void)state;
    take_over(DAM_POLICY_BLOCK);
    const uint64_t iovas[] = {0, RW, RO, WO, GAP, LARGE, RW_PA};
    const unsigned devids[] = {NIC, DISK, PASS, READER, OPEN, GUEST, NESTED, HALF};
    for (unsigned r = 0; r < sizeof(devids) / sizeof(devids[0]); r++)
        for (size_t i = 0; i < 2 * sizeof(iovas) / sizeof(iovas[0]); i++)
            refused(devids[r], iovas[i / 2], i & 1);
    amd_refused(&m, 0, GUEST, 7, RW, false);
    nobody_reaches_the_crash_region(false);
    const uint64_t *e = fake_amdvi_entry(m.amd, 0, NIC);
    assert_int_equal(e[0] & 1, 1);
    assert_int_equal(e[1] >> 34 & 1, 1); // SA
}

static void one_requester_may_have_another_policy(void **state)
{
    (void)state;
    m.config.choices[0] = (struct dam_choice){{0, DISK}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choices[1] = (struct dam_choice){{0, NONE}, DAM_ANY_PASID, DAM_POLICY_SCRATCH};
    m.config.choices[2] = (struct dam_choice){{1, NIC}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choices[3] = (struct dam_choice){{0, GUEST}, 7, DAM_POLICY_FREEZE};
    m.config.choices[4] = (struct dam_choice){{0, OPEN}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choice_count = 5;
    take_over(DAM_POLICY_PRESERVE);
    leads(NIC, RW, true, RW_PA);
    leads(PASS, RW_PA, true, RW_PA);
    leads(GUEST, RW, true, RW_PA);
    amd_leads(&m, 0, GUEST, 7, RW, false, RW_PA);
    amd_refused(&m, 0, GUEST, 7, RW, true);
    refused(DISK, RW, false);
    refused(DISK, LARGE, true);
    refused(OPEN, RW_PA, false);
    nobody_reaches_the_crash_region(false);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_CHOICE_UNUSED), 2);
    assert_int_equal(machine_requester(&m, 0, DISK)->policy, DAM_POLICY_BLOCK);
    assert_true(machine_requester(&m, 0, DISK)->flags & DAM_REQ_CHOSEN);
    assert_int_equal(machine_requester(&m, 0, NIC)->policy, DAM_POLICY_PRESERVE);
}

static void frozen_tables_cannot_be_written_by_a_preserved_requester(void **state)
{
    (void)state;
    // The preserved NIC may write the page that holds the disk's own page table.
    uint64_t disk_tree = old_amd_entry(&m.k[0], DISK)[0] & 0x000FFFFFFFFFF000ull;
    uint64_t nic_tree = old_amd_entry(&m.k[0], NIC)[0] & 0x000FFFFFFFFFF000ull;
    uint64_t *leaf = old_amd_pte(&m.k[0], disk_tree, 3, 0, RW);
    uint64_t leaf_table = *old_amd_pte(&m.k[0], disk_tree, 3, 1, RW) & 0x7FFFFFF000;
    old_amd_map(&m.k[0], nic_tree, 3, 0, GAP, leaf_table, OLD_R | OLD_W);
    m.config.choices[0] = (struct dam_choice){{0, NIC}, DAM_ANY_PASID, DAM_POLICY_PRESERVE};
    m.config.choice_count = 1;
    take_over(DAM_POLICY_FREEZE);
    leads(NIC, GAP, true, leaf_table);
    *leaf = (M_CRASH_START + 0x9000) | 3ull << 61 | 1; // what that DMA could do
    struct naive_amd_result r = fake_amdvi_look(m.amd, 0, DISK, NO_PASID, RW, false);
    assert_true(r.ok);
    assert_int_equal(r.pa, RW_PA);
}

static void the_note_counts_what_was_mapped(void **state)
{
    (void)state;
    take_over(DAM_POLICY_FREEZE);
    machine_report(&m);
    const struct dam_note_requester *disk = machine_requester(&m, 0, DISK);
    assert_non_null(disk);
    assert_int_equal(disk->old_kind, DAM_OLD_TRANSLATED);
    assert_int_equal(disk->levels, 3);
    assert_int_equal(disk->old_did, 6);
    assert_int_equal(disk->new_did, 6);
    assert_int_equal(disk->old_readable, 512 + 16 + 3);
    assert_int_equal(disk->old_writable, 512 + 16 + 3);
    assert_int_equal(disk->cut, 1);
    assert_int_equal(disk->new_readable, 512 + 16 + 2);
    assert_int_equal(disk->new_writable, 0);
    assert_true(disk->flags & DAM_REQ_CUT);
    const struct dam_note_requester *pass = machine_requester(&m, 0, PASS);
    assert_int_equal(pass->old_kind, DAM_OLD_IDENTITY);
    assert_null(machine_requester(&m, 0, NONE));
    assert_null(machine_requester(&m, 0, TV0));
    assert_null(machine_requester(&m, 0, OPEN));
    uint32_t count;
    const struct dam_note_unit *unit = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_int_equal(count, 1);
    assert_int_equal(unit->status, DAM_UNIT_TAKEN);
    assert_int_equal(unit->kind, DAM_IOMMU_AMDVI);
    assert_int_equal(unit->cap, u->efr);
    const struct dam_note_requester *r = machine_section(&m, DAM_SECTION_REQUESTERS, &count);
    unsigned others = 0;
    for (uint32_t i = 0; i < count; i++)
        others += (r[i].flags & DAM_REQ_OTHERS) != 0;
    assert_int_equal(others, 1);
    // NIC, DISK, PASS, READER, two of GUEST, NESTED, HALF, and those that were open
    assert_int_equal(count, 9);
}

// ATS is refused, interrupts of the unit's own are off, and nothing else of the entry is ours to change.
static void entries_are_silent_and_otherwise_as_they_were(void **state)
{
    (void)state;
    old_amd_entry(&m.k[0], NIC)[1] |= OLD_AMD_I | 1ull << 38; // SD
    old_amd_entry(&m.k[0], NIC)[2] |= 7ull << 56;             // INIT, ExtInt, NMI pass
    take_over(DAM_POLICY_FREEZE);
    const uint64_t *e = fake_amdvi_entry(m.amd, 0, NIC);
    assert_int_equal(e[1] & 0xFFFF, 5);
    assert_int_equal(e[1] >> 32 & 1, 0);
    assert_int_equal(e[1] >> 34 & 1, 1);
    assert_int_equal(e[1] >> 38 & 1, 1);
    assert_int_equal(e[2] >> 56 & 7, 7);
    assert_int_equal(u->control & (FAKE_AMD_EVT_INT | FAKE_AMD_WAIT_INT | FAKE_AMD_PPR_INT), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(freeze_keeps_reads_and_drops_writes),
        TEST(freeze_of_a_sound_tree_takes_no_page),
        TEST(preserve_changes_nothing_else),
        TEST(scratch_leads_everything_to_one_page),
        TEST(block_refuses_everything),
        TEST(one_requester_may_have_another_policy),
        TEST(frozen_tables_cannot_be_written_by_a_preserved_requester),
        TEST(the_note_counts_what_was_mapped),
        TEST(entries_are_silent_and_otherwise_as_they_were),
    };
    return cmocka_run_group_tests_name("policies on AMD's IOMMU", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// What each policy does to DMA, through a strict unit's caches: New(d) = policy(Old(d)).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/dma.h"
#include "lib/machine.h"

#define NIC  0x0018u
#define DISK 0x0020u
#define PASS 0x0028u
#define NONE 0x0030u // has no context entry

// IOVAs of the NIC's and the disk's trees, and where they lead.
#define RW     0x7FFF0000ull
#define RO     0x7FFF1000ull
#define WO     0x7FFF2000ull
#define LARGE  0x40000000ull
#define CRASH  0x60004000ull // leads into the crash region; a leaf table of its own
#define GAP    0x7FFF8000ull // leads nowhere
#define RW_PA  0x00310000ull
#define RO_PA  0x00311000ull
#define WO_PA  0x00312000ull
#define BIG_PA 0x00400000ull

static struct machine m;

static uint64_t tree(unsigned levels)
{
    struct old_kernel *k = &m.k[0];
    uint64_t root = old_kernel_page(k);
    old_kernel_map(k, root, levels, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_map(k, root, levels, 0, RO, RO_PA, OLD_R);
    old_kernel_map(k, root, levels, 0, WO, WO_PA, OLD_W);
    old_kernel_map(k, root, levels, 0, CRASH, M_CRASH_START + 0x5000, OLD_R | OLD_W);
    old_kernel_map(k, root, levels, 1, LARGE, BIG_PA, OLD_R | OLD_W);
    return root;
}

static int setup(void **state)
{
    (void)state;
    machine_setup(&m, 1);
    old_kernel_attach(&m.k[0], NIC, 0, 4, 5, tree(4));
    old_kernel_attach(&m.k[0], DISK, 0, 4, 6, tree(4));
    old_kernel_attach(&m.k[0], PASS, 2, 4, 1, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static void leads(unsigned rid, uint64_t iova, bool write, uint64_t pa)
{
    dma_leads(m.fake, 0, rid, iova, write, pa);
}

static void refused(unsigned rid, uint64_t iova, bool write)
{
    dma_refused(m.fake, 0, rid, iova, write);
}

// Fills the caches as devices at work do.
static void warm_up(void)
{
    leads(NIC, RW + 0x10, true, RW_PA + 0x10);
    leads(NIC, RO + 0x10, false, RO_PA + 0x10);
    leads(DISK, LARGE + 0x12345, true, BIG_PA + 0x12345);
    leads(DISK, CRASH, true, M_CRASH_START + 0x5000);
    leads(PASS, RW_PA, true, RW_PA);
    leads(PASS, M_POOL_START, true, M_POOL_START);
}

static void take_over(enum dam_policy policy)
{
    m.config.policy = policy;
    assert_true(machine_start(&m));
    warm_up();
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(m.fake->unit[0].tes_off, 0);
    assert_true(m.fake->unit[0].last_iotlb_drained);
    assert_true(machine_old_memory_untouched(&m));
}

// What holds under every policy.
static void nobody_reaches_the_crash_region(void)
{
    for (unsigned write = 0; write < 2; write++) {
        refused(NIC, CRASH, write);
        refused(DISK, CRASH, write);
        refused(PASS, M_CRASH_START, write);
        refused(PASS, M_POOL_START, write);
        refused(PASS, M_CRASH_END - 1, write);
        refused(NONE, RW, write);
    }
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
    assert_int_equal(m.fake->unit[0].fault_events, 0);
    assert_int_equal(m.fake->port_writes_data, 0);
}

static void freeze_keeps_reads_and_drops_writes(void **state)
{
    (void)state;
    take_over(DAM_POLICY_FREEZE);
    leads(NIC, RW + 0x10, false, RW_PA + 0x10);
    leads(NIC, RO + 0x10, false, RO_PA + 0x10);
    leads(DISK, LARGE + 0x1FFFFF, false, BIG_PA + 0x1FFFFF);
    leads(PASS, RW_PA, false, RW_PA);
    refused(NIC, RW, true);
    refused(NIC, WO, true);
    refused(NIC, WO, false);
    refused(NIC, GAP, false);
    refused(DISK, LARGE, true);
    refused(PASS, RW_PA, true);
    nobody_reaches_the_crash_region();
}

static void preserve_changes_nothing_else(void **state)
{
    (void)state;
    take_over(DAM_POLICY_PRESERVE);
    for (unsigned i = 0; i < 2; i++) {
        unsigned rid = i ? DISK : NIC;
        leads(rid, RW + 0xFFF, true, RW_PA + 0xFFF);
        leads(rid, RW, false, RW_PA);
        leads(rid, RO, false, RO_PA);
        leads(rid, WO, true, WO_PA);
        leads(rid, LARGE + 0x12345, true, BIG_PA + 0x12345);
        refused(rid, RO, true);
        refused(rid, GAP, false);
        refused(rid, GAP, true);
    }
    leads(PASS, RW_PA, true, RW_PA);
    leads(PASS, 0xC0000000, true, 0xC0000000);
    nobody_reaches_the_crash_region();
}

static void scratch_leads_everything_to_one_page(void **state)
{
    (void)state;
    take_over(DAM_POLICY_SCRATCH);
    machine_report(&m);
    uint64_t page = machine_summary(&m)->scratch_page;
    assert_in_range(page, M_POOL_START, M_POOL_START + M_POOL_SIZE - 4096);
    const uint64_t iovas[] = {0, RW, RO, GAP, LARGE, CRASH, 0xFFFFF000, 1ull << 39, (1ull << 48) - 4096};
    const unsigned rids[] = {NIC, DISK, PASS};
    for (unsigned r = 0; r < 3; r++) {
        for (size_t i = 0; i < sizeof(iovas) / sizeof(iovas[0]); i++) {
            leads(rids[r], iovas[i] + 8, false, page + 8);
            leads(rids[r], iovas[i] + 8, true, page + 8);
        }
        refused(rids[r], 1ull << 48, true);
    }
    refused(NONE, RW, true);
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
}

static void block_refuses_everything(void **state)
{
    (void)state;
    take_over(DAM_POLICY_BLOCK);
    const uint64_t iovas[] = {0, RW, RO, WO, GAP, LARGE, RW_PA};
    for (size_t i = 0; i < sizeof(iovas) / sizeof(iovas[0]); i++) {
        for (unsigned write = 0; write < 2; write++) {
            refused(NIC, iovas[i], write);
            refused(DISK, iovas[i], write);
            refused(PASS, iovas[i], write);
        }
    }
    nobody_reaches_the_crash_region();
    // A capture kernel with a driver for the unit wants blocked requesters present.
    const uint64_t *root = fake_vtd_ptr(m.fake, m.fake->unit[0].root & ~0xFFFull, 4096);
    const uint64_t *contexts = fake_vtd_ptr(m.fake, root[0] & ~0xFFFull, 4096);
    assert_int_equal(contexts[NIC * 2] & 0xF, 3);
    assert_int_equal(contexts[NIC * 2 + 1] >> 8 & 0xFFFF, 5);
}

static void one_requester_may_have_another_policy(void **state)
{
    (void)state;
    m.config.choices[0] = (struct dam_choice){{0, DISK}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choices[1] = (struct dam_choice){{0, NONE}, DAM_ANY_PASID, DAM_POLICY_SCRATCH};
    m.config.choices[2] = (struct dam_choice){{1, NIC}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choice_count = 3;
    take_over(DAM_POLICY_PRESERVE);
    leads(NIC, RW, true, RW_PA);
    refused(DISK, RW, false);
    refused(DISK, LARGE, true);
    nobody_reaches_the_crash_region();
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
    uint64_t disk_tree = *old_kernel_context(&m.k[0], DISK) & ~0xFFFull;
    uint64_t nic_tree = *old_kernel_context(&m.k[0], NIC) & ~0xFFFull;
    uint64_t *leaf = old_kernel_entry(&m.k[0], disk_tree, 4, 0, RW);
    uint64_t leaf_table = (*old_kernel_entry(&m.k[0], disk_tree, 4, 1, RW)) & 0x7FFFFFF000;
    old_kernel_map(&m.k[0], nic_tree, 4, 0, GAP, leaf_table, OLD_R | OLD_W);
    m.config.choices[0] = (struct dam_choice){{0, NIC}, DAM_ANY_PASID, DAM_POLICY_PRESERVE};
    m.config.choice_count = 1;
    take_over(DAM_POLICY_FREEZE);
    leads(NIC, GAP, true, leaf_table);
    *leaf = (M_CRASH_START + 0x9000) | 3; // what that DMA could do
    fake_vtd_settle(m.fake);
    struct naive_vtd hw = fake_vtd_naive(m.fake, 0);
    struct naive_result r = naive_vtd_translate(&hw, DISK, RW, false);
    assert_true(r.ok);
    assert_int_equal(r.pa, RW_PA);
}

static void the_note_counts_what_was_mapped(void **state)
{
    (void)state;
    take_over(DAM_POLICY_FREEZE);
    machine_report(&m);
    const struct dam_note_requester *nic = machine_requester(&m, 0, NIC);
    assert_non_null(nic);
    assert_int_equal(nic->old_kind, DAM_OLD_TRANSLATED);
    assert_int_equal(nic->levels, 4);
    assert_int_equal(nic->old_did, 5);
    assert_int_equal(nic->new_did, 5);
    assert_int_equal(nic->old_readable, 512 + 3);
    assert_int_equal(nic->old_writable, 512 + 3);
    assert_int_equal(nic->cut, 1);
    assert_int_equal(nic->new_readable, 512 + 2);
    assert_int_equal(nic->new_writable, 0);
    assert_int_equal(nic->old_tables, 5);
    assert_true(nic->flags & DAM_REQ_CUT);
    const struct dam_note_requester *pass = machine_requester(&m, 0, PASS);
    assert_int_equal(pass->old_kind, DAM_OLD_IDENTITY);
    assert_int_not_equal(pass->new_did, 1);
    assert_true(pass->flags & DAM_REQ_NEW_DID);
    assert_int_equal(machine_findings(&m, DAM_F_PT_KEEP_OUT), 2);
    assert_int_equal(machine_findings(&m, DAM_F_PASSTHROUGH), 1);
    const struct dam_note_summary *s = machine_summary(&m);
    assert_int_equal(s->requester_total, 3);
    assert_int_equal(s->unit_total, 1);
    assert_int_equal(s->phase, DAM_PHASE_VERIFY);
    assert_true(s->flags & DAM_SUMMARY_COMMITTED);
    assert_int_equal(s->tables_read, 10);
}

// Ordinary kexec: the next kernel writes all over old memory, and nothing that translates may notice.
static void recycled_memory_holds_no_table(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        teardown(state);
        setup(state);
        m.config.recycled = true;
        take_over(i ? DAM_POLICY_PRESERVE : DAM_POLICY_FREEZE);
        memset(m.old, 0xA5, M_OLD_END - M_OLD_START);
        fake_vtd_settle(m.fake);
        fake_invalidate_context(&m.fake->unit[0], 1, 0, 0, 0);
        fake_invalidate_iotlb(&m.fake->unit[0], 1, 0, 0, 0, true, true);
        leads(NIC, RO, false, RO_PA);
        leads(DISK, LARGE + 0x12345, false, BIG_PA + 0x12345);
        leads(PASS, RW_PA, false, RW_PA);
        if (i)
            leads(NIC, RW, true, RW_PA);
        else
            refused(NIC, RW, true);
        nobody_reaches_the_crash_region();
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(freeze_keeps_reads_and_drops_writes),   T(preserve_changes_nothing_else),
        T(scratch_leads_everything_to_one_page),  T(block_refuses_everything),
        T(one_requester_may_have_another_policy), T(frozen_tables_cannot_be_written_by_a_preserved_requester),
        T(the_note_counts_what_was_mapped),       T(recycled_memory_holds_no_table),
    };
    return cmocka_run_group_tests_name("takeover policies", tests, NULL, NULL);
}

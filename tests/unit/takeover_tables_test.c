// SPDX-License-Identifier: MIT
// Old tables as hostile or broken input, shared domain ids, firmware regions: each requester is judged alone,
// and what is odd is reported with its place and value.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC   0x0018u
#define DISK  0x0120u
#define GOOD  0x0228u // nothing is ever wrong with it
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull
#define RMRR  0x00380000ull

static struct machine m;

static uint64_t *context(unsigned rid)
{
    return old_kernel_context(&m.k[0], rid);
}

static uint64_t tree_of(unsigned rid)
{
    return context(rid)[0] & ~0xFFFull;
}

static int setup(void **state)
{
    (void)state;
    machine_setup(&m, 1);
    const unsigned rids[] = {NIC, DISK, GOOD};
    for (unsigned i = 0; i < 3; i++) {
        uint64_t tree = old_kernel_page(&m.k[0]);
        old_kernel_map(&m.k[0], tree, 4, 0, RW, RW_PA + i * 4096, OLD_R | OLD_W);
        old_kernel_attach(&m.k[0], rids[i], 0, 4, 5 + i, tree);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static bool reaches(unsigned rid, uint64_t iova, bool write, uint64_t pa)
{
    struct fake_dma_result r = fake_dma(m.fake, 0, rid, iova, write);
    return r.ok && r.pa == pa;
}

static bool refused(unsigned rid, uint64_t iova)
{
    return !fake_dma(m.fake, 0, rid, iova, false).ok && !fake_dma(m.fake, 0, rid, iova, true).ok;
}

static const struct dam_finding *finding(enum dam_finding_code code)
{
    uint32_t count;
    const struct dam_finding *f = machine_section(&m, DAM_SECTION_FINDINGS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (f[i].code == code)
            return &f[i];
    fail_msg("no finding %d among %u", code, count);
    return NULL;
}

// Takes over; the good requester goes on reading, nothing is recorded as a fault, nothing forbidden is done.
static void take_over(enum dam_policy policy)
{
    m.config.policy = policy;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_true(machine_old_memory_untouched(&m));
    machine_report(&m);
    bool reads = policy == DAM_POLICY_FREEZE || policy == DAM_POLICY_PRESERVE;
    assert_int_equal(reaches(GOOD, RW, false, RW_PA + 2 * 4096), reads);
    assert_int_equal(m.fake->unit[0].tes_off, 0);
}

// ---- context entries --------------------------------------------------------------------------------------
static void broken_context(unsigned word, uint64_t set, uint64_t clear, enum dam_finding_code code)
{
    context(NIC)[word] = (context(NIC)[word] & ~clear) | set;
    uint64_t raw = context(NIC)[word];
    take_over(DAM_POLICY_PRESERVE);
    const struct dam_finding *f = finding(code);
    assert_int_equal(f->rid, NIC);
    assert_int_equal(f->unit, 0);
    assert_int_equal(f->raw, raw);
    assert_int_equal(f->severity, DAM_ERROR);
    const struct dam_note_requester *r = machine_requester(&m, 0, NIC);
    assert_int_equal(r->old_kind, DAM_OLD_BROKEN);
    assert_int_equal(r->policy, DAM_POLICY_BLOCK);
    assert_true(r->flags & DAM_REQ_QUARANTINED);
    assert_true(refused(NIC, RW));
    assert_true(reaches(DISK, RW, true, RW_PA + 4096));
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
}

static void context_reserved_bits(void **state)
{
    (void)state;
    broken_context(0, 1 << 5, 0, DAM_F_CTX_RESERVED);
}

static void context_address_beyond_host(void **state)
{
    (void)state;
    broken_context(0, 1ull << 45, 0, DAM_F_CTX_RESERVED);
}

static void context_type_3(void **state)
{
    (void)state;
    broken_context(0, 3 << 2, 0, DAM_F_CTX_TYPE);
}

static void context_type_for_device_tlbs_without_them(void **state)
{
    (void)state;
    broken_context(0, 1 << 2, 0, DAM_F_CTX_TYPE);
}

static void context_width_not_supported(void **state)
{
    (void)state;
    broken_context(1, 1, 7, DAM_F_CTX_WIDTH);
}

static void context_width_7(void **state)
{
    (void)state;
    broken_context(1, 7, 0, DAM_F_CTX_WIDTH);
}

static void context_leads_into_the_pool(void **state)
{
    (void)state;
    broken_context(0, M_POOL_START, ~0xFFFull, DAM_F_CTX_POINTER);
}

static void context_leads_nowhere(void **state)
{
    (void)state;
    broken_context(0, 0x7000000000, ~0xFFFull, DAM_F_CTX_POINTER);
}

static void root_entry_reserved_bits(void **state)
{
    (void)state;
    *old_kernel_word(&m.k[0], m.k[0].root + (DISK >> 8) * 16 + 8) = 1;
    take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(finding(DAM_F_ROOT_RESERVED)->index, DISK >> 8);
    assert_true(refused(DISK, RW));
    assert_true(reaches(NIC, RW, true, RW_PA));
}

static void root_entry_leads_nowhere(void **state)
{
    (void)state;
    *old_kernel_word(&m.k[0], m.k[0].root + (DISK >> 8) * 16) = M_CRASH_START | 1;
    take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(finding(DAM_F_ROOT_POINTER)->raw, M_CRASH_START | 1);
    assert_true(refused(DISK, RW));
    assert_true(refused(DISK + 8, RW));
    assert_int_equal(m.fake->unit[0].faults_recorded, 0); // also the devices of a dropped bus fault silently
}

static void absent_requesters_fault_silently(void **state)
{
    (void)state;
    take_over(DAM_POLICY_FREEZE);
    assert_true(refused(NIC + 8, RW));
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
}

static void device_tlbs_are_refused(void **state)
{
    (void)state;
    m.fake->unit[0].ecap |= 1 << 2;
    context(NIC)[0] |= 1 << 2;
    take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(finding(DAM_F_ATS_REFUSED)->rid, NIC);
    assert_true(reaches(NIC, RW, true, RW_PA));
    struct naive_vtd hw = fake_vtd_naive(m.fake, 0);
    assert_int_equal(naive_vtd_context(&hw, NIC).type, 0);
}

// ---- page tables -----------------------------------------------------------------------------------------
static void a_table_that_leads_to_itself(void **state)
{
    (void)state;
    uint64_t tree = tree_of(NIC);
    for (unsigned i = 0; i < 512; i++)
        *old_kernel_word(&m.k[0], tree + i * 8) = tree | 3;
    m.config.max_tables = 20000; // the tree counts 512^3 tables
    take_over(DAM_POLICY_FREEZE);
    assert_int_equal(finding(DAM_F_PT_BUDGET)->rid, NIC);
    assert_true(machine_requester(&m, 0, NIC)->flags & DAM_REQ_QUARANTINED);
    assert_true(refused(NIC, RW));
    assert_true(machine_summary(&m)->tables_read <= 20000);
    assert_true(reaches(DISK, RW, false, RW_PA + 4096));
}

static void a_table_inside_the_crash_region(void **state)
{
    (void)state;
    uint64_t *e = old_kernel_entry(&m.k[0], tree_of(NIC), 4, 1, RW);
    *e = (M_CRASH_START + 0x1000) | 3;
    take_over(DAM_POLICY_PRESERVE);
    const struct dam_finding *f = finding(DAM_F_PT_POINTER);
    assert_int_equal(f->rid, NIC);
    assert_int_equal(f->level, 1);
    assert_int_equal(f->raw, (M_CRASH_START + 0x1000) | 3);
    assert_int_equal(f->iova, RW & ~0x1FFFFFull);
    assert_true(refused(NIC, RW));
    assert_true(machine_requester(&m, 0, NIC)->flags & DAM_REQ_CUT);
}

static void reserved_bits_in_one_entry_cut_that_alone(void **state)
{
    (void)state;
    old_kernel_map(&m.k[0], tree_of(NIC), 4, 0, RW + 0x1000, RW_PA + 0x8000, OLD_R | OLD_W);
    *old_kernel_entry(&m.k[0], tree_of(NIC), 4, 0, RW) |= 1 << 11;
    take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(finding(DAM_F_PT_RESERVED)->iova, RW);
    assert_true(refused(NIC, RW));
    assert_true(reaches(NIC, RW + 0x1000, true, RW_PA + 0x8000));
}

static void a_large_page_over_the_crash_region_loses_that_part(void **state)
{
    (void)state;
    // 1 GiB from 0: old memory, crash region and pool in one entry.
    old_kernel_map(&m.k[0], tree_of(NIC), 4, 2, 0x140000000, 0, OLD_R | OLD_W);
    take_over(DAM_POLICY_PRESERVE);
    assert_true(reaches(NIC, 0x140000000 + M_CRASH_START - 1, true, M_CRASH_START - 1));
    assert_true(refused(NIC, 0x140000000 + M_CRASH_START));
    assert_true(refused(NIC, 0x140000000 + M_POOL_START));
    assert_true(refused(NIC, 0x140000000 + M_CRASH_END - 1));
    assert_true(reaches(NIC, 0x140000000 + M_CRASH_END, true, M_CRASH_END));
    assert_true(reaches(NIC, 0x17FFFFFFF, true, 0x3FFFFFFF));
    const struct dam_note_requester *r = machine_requester(&m, 0, NIC);
    assert_int_equal(r->cut, (M_CRASH_END - M_CRASH_START) / 4096);
    assert_int_equal(r->old_writable, 0x40000 + 1);
    assert_int_equal(r->new_writable, 0x40000 + 1 - (M_CRASH_END - M_CRASH_START) / 4096);
}

static void very_many_cuts_quarantine(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4096; i++)
        old_kernel_map(&m.k[0], tree_of(NIC), 4, 0, 0x100000000 + i * 0x2000ull, M_CRASH_START,
                       OLD_R | OLD_W);
    take_over(DAM_POLICY_FREEZE);
    assert_int_equal(finding(DAM_F_PT_TOO_MANY_CUTS)->rid, NIC);
    assert_true(refused(NIC, RW));
    assert_true(refused(NIC, 0x100000000));
    assert_true(reaches(DISK, RW, false, RW_PA + 4096));
}

// What a device that writes into the tables can do between any two reads.
static void flip_leaf(struct fake_vtd *fake, uint64_t pa, size_t len)
{
    (void)pa;
    (void)len;
    uint64_t *leaf = fake->test;
    *leaf = (*leaf & ~0xFFFull) == RW_PA ? ((M_POOL_START + 0x3000) | 3) : (RW_PA | 3);
}

static void a_leaf_that_flips_with_every_read_never_reaches_the_pool(void **state)
{
    (void)state;
    for (unsigned start = 0; start < 4; start++) {
        teardown(state);
        setup(state);
        m.fake->test = old_kernel_entry(&m.k[0], tree_of(NIC), 4, 0, RW);
        if (start & 1)
            flip_leaf(m.fake, 0, 0);
        m.config.policy = start & 2 ? DAM_POLICY_PRESERVE : DAM_POLICY_FREEZE;
        assert_true(machine_start(&m));
        m.fake->before_read = flip_leaf;
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        m.fake->before_read = NULL;
        for (unsigned write = 0; write < 2; write++) {
            struct fake_dma_result r = fake_dma(m.fake, 0, NIC, RW, write);
            assert_true(!r.ok || r.pa == RW_PA);
        }
    }
}

// A frozen tree is used where it lies. Until the switch a device may still write into it.
static void a_tree_that_changes_between_plan_and_commit_is_blocked(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    assert_int_equal(dam_takeover_prepare(m.t), DAM_STOP_NONE);
    *old_kernel_entry(&m.k[0], tree_of(NIC), 4, 0, RW) = (M_POOL_START + 0x3000) | 3;
    old_kernel_map(&m.k[0], tree_of(DISK), 4, 0, RW + 0x1000, RW_PA, OLD_R); // odd, and harmless
    assert_int_equal(dam_takeover_commit(m.t), DAM_STOP_NONE);
    machine_report(&m);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(finding(DAM_F_VERIFY_TREE)->rid, NIC);
    assert_int_equal(machine_findings(&m, DAM_F_PT_CHANGED), 1);
    assert_true(refused(NIC, RW));
    assert_int_equal(machine_requester(&m, 0, NIC)->policy, DAM_POLICY_BLOCK);
    assert_int_equal(machine_requester(&m, 0, NIC)->new_readable, 0);
    assert_true(reaches(DISK, RW, false, RW_PA + 4096));
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
}

// ---- domain ids ------------------------------------------------------------------------------------------
static void one_id_with_two_tables(void **state)
{
    (void)state;
    context(DISK)[1] = context(NIC)[1];
    take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(finding(DAM_F_DID_SHARED)->rid, DISK);
    const struct dam_note_requester *nic = machine_requester(&m, 0, NIC),
                                    *disk = machine_requester(&m, 0, DISK);
    assert_int_equal(nic->new_did, 5);
    assert_int_not_equal(disk->new_did, 5);
    assert_int_not_equal(disk->new_did, 7);
    assert_true(disk->flags & DAM_REQ_NEW_DID);
    // Through the caches: tags do not mix.
    assert_true(reaches(NIC, RW, true, RW_PA));
    assert_true(reaches(DISK, RW, true, RW_PA + 4096));
}

static void id_beyond_what_the_unit_has(void **state)
{
    (void)state;
    m.fake->unit[0].cap &= ~7ull; // 16 ids
    context(DISK)[1] = 0xFFFFull << 8 | 2;
    take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(finding(DAM_F_CTX_DID)->raw, 0xFFFF);
    assert_in_range(machine_requester(&m, 0, DISK)->new_did, 1, 15);
    assert_true(reaches(DISK, RW, true, RW_PA + 4096));
}

static void no_id_left(void **state)
{
    (void)state;
    m.fake->unit[0].cap &= ~7ull;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t tree = old_kernel_page(&m.k[0]);
        old_kernel_map(&m.k[0], tree, 4, 0, RW, RW_PA, OLD_R);
        old_kernel_attach(&m.k[0], 0x300 + i, 0, 4, i % 16, tree);
    }
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_DOMAIN_IDS);
    assert_int_equal(m.fake->write_count, 0);
}

static void requesters_of_one_table_share_one_id(void **state)
{
    (void)state;
    context(DISK)[0] = context(NIC)[0];
    context(DISK)[1] = context(NIC)[1];
    m.config.choices[0] = (struct dam_choice){{0, DISK}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choice_count = 1;
    take_over(DAM_POLICY_FREEZE);
    // Another policy is another table: the id cannot be shared any more.
    assert_int_not_equal(machine_requester(&m, 0, NIC)->new_did, machine_requester(&m, 0, DISK)->new_did);
    assert_true(reaches(NIC, RW, false, RW_PA));
    assert_true(refused(DISK, RW));
    assert_true(reaches(NIC, RW, false, RW_PA));
}

// ---- firmware regions ------------------------------------------------------------------------------------
static void region(uint64_t base, uint64_t limit)
{
    firmware_rmrr(&m.firmware, 0, base, limit);
    firmware_scope(&m.firmware, 1, 0, NIC >> 3, NIC & 7);
}

static void firmware_region_stays_open(void **state)
{
    (void)state;
    region(0xD0000000, 0xD0001FFF);
    take_over(DAM_POLICY_BLOCK);
    assert_true(reaches(NIC, 0xD0000000, true, 0xD0000000));
    assert_true(reaches(NIC, 0xD0001FFF, false, 0xD0001FFF));
    assert_true(refused(NIC, 0xD0002000));
    assert_true(refused(NIC, RW));
    assert_true(refused(DISK, 0xD0000000));
    assert_true(machine_requester(&m, 0, NIC)->flags & DAM_REQ_RMRR);
    assert_false(machine_requester(&m, 0, DISK)->flags & DAM_REQ_RMRR);
}

static void firmware_region_behind_a_bridge(void **state)
{
    (void)state;
    fake_vtd_pci(m.fake, 0, 2, 0, DISK >> 8);
    firmware_rmrr(&m.firmware, 0, 0xD0000000, 0xD0000FFF);
    firmware_scope(&m.firmware, 2, 0, 2, 0);
    take_over(DAM_POLICY_FREEZE);
    assert_true(reaches(DISK, 0xD0000000, true, 0xD0000000));
    assert_true(refused(NIC, 0xD0000000));
    assert_int_equal(m.fake->port_writes_data, 0);
}

static void firmware_region_inside_old_memory_makes_copies(void **state)
{
    (void)state;
    region(RMRR, RMRR + 0xFFF);
    take_over(DAM_POLICY_FREEZE);
    assert_int_equal(machine_findings(&m, DAM_F_RMRR_IN_RAM), 1);
    assert_true(reaches(NIC, RMRR, true, RMRR));
    // The region may be written by a device now, so no table in use lies in old memory.
    memset(m.old, 0xFF, M_TABLES_END - M_OLD_START);
    assert_true(reaches(DISK, RW, false, RW_PA + 4096));
    struct naive_vtd hw = fake_vtd_naive(m.fake, 0);
    assert_int_equal(naive_vtd_translate(&hw, NIC, RW, false).pa, RW_PA);
}

static void firmware_regions_that_cannot_be(void **state)
{
    (void)state;
    region(M_CRASH_START - 0x1000, M_CRASH_START + 0xFFF); // into the crash region
    region(0xD0000000, 0xCFFFFFFF);                        // ends before it begins
    region(0xD0000800, 0xD0001FFF);                        // not at a page
    region(0, ~0ull);
    take_over(DAM_POLICY_BLOCK);
    assert_int_equal(machine_findings(&m, DAM_F_RMRR_KEEP_OUT), 1);
    assert_true(machine_findings(&m, DAM_F_RMRR_BAD) >= 1);
    assert_true(refused(NIC, M_CRASH_START));
    assert_true(refused(NIC, M_CRASH_START - 0x1000));
    assert_true(refused(NIC, 0xD0001000));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(context_reserved_bits),
        T(context_address_beyond_host),
        T(context_type_3),
        T(context_type_for_device_tlbs_without_them),
        T(context_width_not_supported),
        T(context_width_7),
        T(context_leads_into_the_pool),
        T(context_leads_nowhere),
        T(root_entry_reserved_bits),
        T(root_entry_leads_nowhere),
        T(absent_requesters_fault_silently),
        T(device_tlbs_are_refused),
        T(a_table_that_leads_to_itself),
        T(a_table_inside_the_crash_region),
        T(reserved_bits_in_one_entry_cut_that_alone),
        T(a_large_page_over_the_crash_region_loses_that_part),
        T(very_many_cuts_quarantine),
        T(a_leaf_that_flips_with_every_read_never_reaches_the_pool),
        T(a_tree_that_changes_between_plan_and_commit_is_blocked),
        T(one_id_with_two_tables),
        T(id_beyond_what_the_unit_has),
        T(no_id_left),
        T(requesters_of_one_table_share_one_id),
        T(firmware_region_stays_open),
        T(firmware_region_behind_a_bridge),
        T(firmware_region_inside_old_memory_makes_copies),
        T(firmware_regions_that_cannot_be),
    };
    return cmocka_run_group_tests_name("takeover tables", tests, NULL, NULL);
}

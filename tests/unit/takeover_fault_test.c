// SPDX-License-Identifier: MIT
// The takeover when things fail: the Nth operation, hardware that does not answer, firmware and old tables
// that are broken, a pool too small. Never worse than without it: a stop code below 64 means that nothing was
// changed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC   0x0018u
#define DISK  0x0120u
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull
#define IRT   0x00320000ull

static struct machine m;

static void fill(void)
{
    struct old_kernel *k = &m.k[0];
    uint64_t nic = old_kernel_page(k), disk = old_kernel_page(k);
    old_kernel_map(k, nic, 4, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_map(k, disk, 4, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_attach(k, NIC, 0, 4, 5, nic);
    old_kernel_attach(k, DISK, 0, 4, 6, disk);
}

static int setup(void **state)
{
    (void)state;
    machine_setup(&m, 1);
    fill();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

// Registers that a hand-over "untouched" must leave as they were.
struct seen {
    uint64_t root, rtaddr, queue, iqa;
    uint32_t gsts;
};

static struct seen look(void)
{
    const struct fake_unit *u = &m.fake->unit[0];
    return (struct seen){u->root, u->rtaddr, u->queue, u->iqa, u->gsts};
}

static void expect_untouched(const struct seen *before)
{
    struct seen now = look();
    assert_int_equal(now.root, before->root);
    assert_int_equal(now.rtaddr, before->rtaddr);
    assert_int_equal(now.queue, before->queue);
    assert_int_equal(now.iqa, before->iqa);
    assert_int_equal(now.gsts, before->gsts);
    assert_true(machine_old_memory_untouched(&m));
    struct fake_dma_result r = fake_dma(m.fake, 0, NIC, RW, true);
    if (before->gsts >> 31)
        assert_int_equal(r.pa, RW_PA);
}

static void expect_stop(enum dam_stop want)
{
    struct seen before = look();
    enum dam_stop stop = machine_run(&m);
    assert_int_equal(stop, want);
    assert_true(DAM_STOP_IS_UNTOUCHED(stop));
    assert_int_equal(m.fake->write_count, 0);
    assert_int_equal(m.fake->port_writes_data, 0);
    expect_untouched(&before);
    machine_report(&m); // a note can be written at every stop
    assert_int_equal(machine_summary(&m)->flags & DAM_SUMMARY_COMMITTED, 0);
}

// ---- stops before commit ---------------------------------------------------------------------------------
static void no_root_pointer(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    m.firmware_memory[0] = 'X';
    expect_stop(DAM_STOP_NO_RSDP);
}

static void no_dmar(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    memcpy(m.firmware.dmar, "SSDT", 4);
    expect_stop(DAM_STOP_NO_DMAR);
}

static void dmar_shorter_than_its_header(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    m.firmware.dmar[4] = 40;
    m.firmware.dmar[5] = 0;
    expect_stop(DAM_STOP_BAD_ACPI);
}

static void dmar_longer_than_memory(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    memset(m.firmware.dmar + 4, 0xFF, 4);
    expect_stop(DAM_STOP_BAD_ACPI);
}

static void translation_off(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    m.fake->unit[0].gsts = 0;
    expect_stop(DAM_STOP_IOMMU_OFF);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_OFF), 1);
}

static void unit_reads_all_ones(void **state)
{
    (void)state;
    m.fake->unit[0].absent = true;
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    assert_int_equal(stop, DAM_STOP_NO_UNIT);
    assert_int_equal(m.fake->violations, 0);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_ABSENT), 1);
}

static void every_pool_that_is_too_small(void **state)
{
    (void)state;
    unsigned took = 0, refused_by_new = 0;
    for (uint64_t size = 4096; size <= 0x80000 && !took; size += 4096) {
        machine_teardown(&m);
        machine_setup(&m, 1);
        fill();
        m.config.policy = DAM_POLICY_PRESERVE;
        dam_arena_init(&m.pool, m.pool_memory, dam_pa_of(M_POOL_START), size);
        if (!machine_start(&m)) {
            refused_by_new++;
            continue;
        }
        struct seen before = look();
        enum dam_stop stop = machine_run(&m);
        if (stop) {
            assert_int_equal(stop, DAM_STOP_POOL);
            assert_int_equal(m.fake->write_count, 0);
            expect_untouched(&before);
        } else {
            took++;
        }
        // Nothing beyond the pool was written.
        for (uint64_t at = size; at < M_POOL_SIZE; at += 4096)
            assert_int_equal(m.pool_memory[at], 0);
        machine_report(&m);
    }
    assert_true(refused_by_new > 0);
    assert_int_equal(took, 1);
}

static void budget_of_tables_quarantines(void **state)
{
    (void)state;
    m.config.max_tables = 5; // one tree of four tables fits, not both
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    machine_report(&m);
    if (stop)
        assert_int_equal(stop, DAM_STOP_BUDGET);
    else
        assert_int_equal(machine_findings(&m, DAM_F_PT_BUDGET), 1);
    assert_true(machine_old_memory_untouched(&m));
}

static void budget_of_time(void **state)
{
    (void)state;
    m.config.max_us = 100;
    m.fake->step_us = 1000;
    assert_true(machine_start(&m));
    // A clock that runs this fast leaves no time for a tree of many tables.
    for (unsigned i = 0; i < 128; i++)
        old_kernel_map(&m.k[0], *old_kernel_context(&m.k[0], NIC) & ~0xFFFull, 4, 0, i * 0x200000ull, RW_PA,
                       OLD_R);
    memcpy(m.old_before, m.old, M_OLD_END - M_OLD_START);
    expect_stop(DAM_STOP_BUDGET);
}

// ---- hardware that does not answer -----------------------------------------------------------------------
static void stuck(uint32_t what, uint64_t ecap_clear, enum dam_stop want, bool untouched)
{
    m.fake->unit[0].ecap &= ~ecap_clear;
    *(untouched ? &m.fake->unit[0].stuck : &m.fake->unit[0].stuck_later) = what;
    assert_true(machine_start(&m));
    struct seen before = look();
    uint64_t began = m.fake->now_us;
    enum dam_stop stop = machine_run(&m);
    assert_int_equal(stop, want);
    assert_true(m.fake->now_us - began < 100000);
    assert_int_equal(m.fake->unit[0].tes_off, 0);
    machine_report(&m);
    uint32_t count;
    const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
    if (untouched) {
        expect_untouched(&before);
        assert_int_equal(u->status, DAM_UNIT_FAILED_BEFORE);
    } else {
        assert_int_equal(u->status, DAM_UNIT_FAILED_AFTER);
    }
    assert_int_equal(machine_findings(&m, DAM_F_WAIT_TIMEOUT), want == DAM_STOP_COMMIT_TIMEOUT);
    assert_int_equal(machine_findings(&m, DAM_F_QUEUE_STUCK), want == DAM_STOP_QUEUE);
    // Whatever happened, nobody reaches the pool.
    struct fake_dma_result r = fake_dma(m.fake, 0, NIC, RW, true);
    assert_true(!r.untranslated && (!r.ok || r.pa == RW_PA));
}

// Another machine for the second half of a test.
static void again(void)
{
    machine_teardown(&m);
    machine_setup(&m, 1);
    fill();
}

static void old_queue_does_not_drain(void **state)
{
    (void)state;
    struct fake_unit *u = &m.fake->unit[0];
    fake_vtd_run(u, m.k[0].root, M_QUEUES);
    u->iqt = 64;
    m.fake->unit[0].stuck = FAKE_STUCK_QUEUE;
    assert_true(machine_start(&m));
    struct seen before = look();
    assert_int_equal(machine_run(&m), DAM_STOP_QUEUE);
    expect_untouched(&before);
    assert_int_equal(u->iqt, 64);
}

static void old_queue_does_not_go_off(void **state)
{
    (void)state;
    stuck(FAKE_STUCK_QIE, 0, DAM_STOP_QUEUE, true);
}

static void own_queue_does_not_go_on(void **state)
{
    (void)state;
    m.fake->unit[0].stuck = FAKE_STUCK_QIE_ON;
    assert_true(machine_start(&m));
    uint64_t root = m.fake->unit[0].root;
    enum dam_stop stop = machine_run(&m);
    assert_int_equal(stop, DAM_STOP_COMMIT_TIMEOUT);
    assert_int_equal(m.fake->unit[0].root, root);
    assert_int_equal(m.fake->unit[0].iqa, M_QUEUES); // put back, as far as the unit lets us
    assert_int_equal(m.fake->unit[0].tes_off, 0);
}

static void write_buffer_flush_never_ends(void **state)
{
    (void)state;
    m.fake->unit[0].cap |= 1 << 4;
    m.fake->unit[0].stuck = FAKE_STUCK_WBF;
    assert_true(machine_start(&m));
    uint64_t root = m.fake->unit[0].root;
    assert_int_equal(machine_run(&m), DAM_STOP_COMMIT_TIMEOUT);
    assert_int_equal(m.fake->unit[0].root, root);
    assert_int_equal(m.fake->unit[0].tes_off, 0);
}

static void root_pointer_is_never_taken(void **state)
{
    (void)state;
    stuck(FAKE_STUCK_SRTP, 0, DAM_STOP_COMMIT_TIMEOUT, false);
}

static void wait_descriptor_never_answers(void **state)
{
    (void)state;
    stuck(FAKE_STUCK_WAIT, 0, DAM_STOP_QUEUE, true);
    again();
    stuck(FAKE_STUCK_WAIT, 0, DAM_STOP_COMMIT_TIMEOUT, false);
}

static void context_command_never_ends(void **state)
{
    (void)state;
    stuck(FAKE_STUCK_CCMD, 1 << 1, DAM_STOP_QUEUE, true);
    again();
    stuck(FAKE_STUCK_CCMD, 1 << 1, DAM_STOP_COMMIT_TIMEOUT, false);
}

static void iotlb_command_never_ends(void **state)
{
    (void)state;
    stuck(FAKE_STUCK_IOTLB, 1 << 1, DAM_STOP_QUEUE, true);
    again();
    stuck(FAKE_STUCK_IOTLB, 1 << 1, DAM_STOP_COMMIT_TIMEOUT, false);
}

static void iotlb_command_is_refused(void **state)
{
    (void)state;
    stuck(FAKE_REFUSE_IOTLB, 1 << 1, DAM_STOP_QUEUE, true);
    again();
    stuck(FAKE_REFUSE_IOTLB, 1 << 1, DAM_STOP_COMMIT_IO, false);
}

static void one_unit_of_two_fails(void **state)
{
    (void)state;
    machine_teardown(&m);
    machine_setup(&m, 2);
    fill();
    m.fake->unit[0].stuck = FAKE_STUCK_SRTP;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_UNITS);
    assert_in_range(m.fake->unit[1].root, M_POOL_START, M_POOL_START + M_POOL_SIZE);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_UNITS_MIXED), 1);
    assert_true(machine_summary(&m)->flags & DAM_SUMMARY_COMMITTED);
}

static void old_queue_stopped_by_an_error_is_restarted(void **state)
{
    (void)state;
    struct fake_unit *u = &m.fake->unit[0];
    fake_vtd_run(u, m.k[0].root, M_QUEUES);
    u->fsts = 1 << 4; // with nothing left in the queue
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_int_equal(u->fsts, 0);
    assert_string_equal(m.fake->violation, "");
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_QUEUE_ERROR), 1);
}

// ---- the Nth operation fails -----------------------------------------------------------------------------
static void check_after_failure(enum dam_stop stop, const struct seen *before)
{
    const struct fake_unit *u = &m.fake->unit[0];
    m.fake->fail_at = 0;
    assert_int_equal(u->tes_off, 0);
    assert_true(machine_old_memory_untouched(&m));
    if (DAM_STOP_IS_UNTOUCHED(stop)) {
        assert_int_equal(u->root, before->root);
        assert_int_equal(u->rtaddr, before->rtaddr);
        assert_int_equal(u->queue, before->queue);
    }
    for (unsigned write = 0; write < 2; write++) {
        struct fake_dma_result r = fake_dma(m.fake, 0, NIC, RW, write);
        assert_false(r.untranslated);
        assert_true(!r.ok || r.pa == RW_PA);
        r = fake_dma(m.fake, 0, DISK, RW, write);
        assert_true(!r.ok || r.pa == RW_PA);
        if (stop == DAM_STOP_NONE)
            assert_true(!write || !r.ok);
    }
    machine_report(&m);
    const struct dam_note_summary *s = machine_summary(&m);
    uint32_t count;
    const struct dam_note_unit *unit = machine_section(&m, DAM_SECTION_UNITS, &count);
    bool ours = u->root - M_POOL_START < M_POOL_SIZE;
    assert_int_equal(u->ires_off, 0);
    if (u->gsts >> 25 & 1) {
        // On which table ever: the one interrupt that there is arrives, and nothing else.
        if (!(u->irta_latched - M_POOL_START < M_POOL_SIZE))
            assert_int_equal(u->irta_latched, IRT | 3);
        struct fake_irq_result irq = fake_irq(m.fake, 0, NIC, 0);
        assert_true(irq.delivered ? irq.vector == 0x41 : irq.reason == 0x22);
        assert_false(fake_irq(m.fake, 0, NIC, 1).delivered);
        if (stop == DAM_STOP_NONE && unit->status == DAM_UNIT_TAKEN)
            assert_false(u->irte_stale);
    }
    if (s->flags & DAM_SUMMARY_COMMITTED)
        assert_true(unit->status == DAM_UNIT_TAKEN || unit->status == DAM_UNIT_FAILED_AFTER);
    if (ours)
        assert_true(s->flags & DAM_SUMMARY_COMMITTED);
    if (count && unit->status == DAM_UNIT_TAKEN)
        assert_in_range(u->root, M_POOL_START, M_POOL_START + M_POOL_SIZE);
}

// A small table, with one entry.
static void remap_interrupts(struct fake_unit *u)
{
    if (!(u->ecap >> 1 & 1))
        return;
    u->ecap |= 1 << 3;
    fake_vtd_run(u, m.k[0].root, M_QUEUES);
    u->irta = u->irta_latched = IRT | 3;
    u->gsts |= 3u << 24;
    *(uint64_t *)(void *)(m.old + (IRT - M_OLD_START)) = 1 | 0x41 << 16;
}

static void nth_call(bool and_all_later, bool registers)
{
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        machine_teardown(&m);
        machine_setup(&m, 1);
        fill();
        m.fake->unit[0].ecap &= registers ? ~(1ull << 1) : ~0ull;
        m.fake->unit[0].cap |= 1 << 4; // with flushes of the write buffer
        remap_interrupts(&m.fake->unit[0]);
        assert_true(machine_start(&m));
        struct seen before = look();
        m.fake->fail_at = n;
        m.fake->fail_from = and_all_later;
        enum dam_stop stop = machine_run(&m);
        if (m.fake->failed == 0) {
            assert_int_equal(stop, DAM_STOP_NONE);
            break;
        }
        failures++;
        if (m.fake->violations)
            fail_msg("call %llu: %s", (unsigned long long)n, m.fake->violation);
        check_after_failure(stop, &before);
    }
    assert_true(failures > 50);
}

static void any_call_fails_once(void **state)
{
    (void)state;
    nth_call(false, false);
}

static void any_call_and_all_later_fail(void **state)
{
    (void)state;
    nth_call(true, false);
}

static void any_call_fails_once_with_registers(void **state)
{
    (void)state;
    nth_call(false, true);
}

static void any_call_and_all_later_fail_with_registers(void **state)
{
    (void)state;
    nth_call(true, true);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(no_root_pointer),
        T(no_dmar),
        T(dmar_shorter_than_its_header),
        T(dmar_longer_than_memory),
        T(translation_off),
        T(unit_reads_all_ones),
        T(every_pool_that_is_too_small),
        T(budget_of_tables_quarantines),
        T(budget_of_time),
        T(old_queue_does_not_drain),
        T(old_queue_does_not_go_off),
        T(own_queue_does_not_go_on),
        T(write_buffer_flush_never_ends),
        T(root_pointer_is_never_taken),
        T(wait_descriptor_never_answers),
        T(context_command_never_ends),
        T(iotlb_command_never_ends),
        T(iotlb_command_is_refused),
        T(one_unit_of_two_fails),
        T(old_queue_stopped_by_an_error_is_restarted),
        T(any_call_fails_once),
        T(any_call_and_all_later_fail),
        T(any_call_fails_once_with_registers),
        T(any_call_and_all_later_fail_with_registers),
    };
    return cmocka_run_group_tests_name("takeover failures", tests, NULL, NULL);
}

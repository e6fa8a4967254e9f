// SPDX-License-Identifier: MIT
// What the old kernel left in a unit besides tables and queue: faults that nobody looked at, a fault log and
// page requests that the unit writes into old memory, interrupts that are still to be sent.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC   0x0018u
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull
#define LOG   0x00330000ull
#define PRQ   0x00340000ull

#define PFO   1u
#define PPF   2u

static struct machine m;
static struct fake_unit *u;

static int setup(void **state)
{
    (void)state;
    machine_setup(&m, 1);
    struct old_kernel *k = &m.k[0];
    uint64_t tree = old_kernel_page(k);
    old_kernel_map(k, tree, 4, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_attach(k, NIC, 0, 4, 5, tree);
    u = &m.fake->unit[0];
    u->cap |= 3ull << 40; // four fault records
    fake_vtd_run(u, k->root, M_QUEUES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static void take_over(void)
{
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    machine_report(&m);
}

static const struct dam_finding *finding(enum dam_finding_code code, unsigned skip)
{
    uint32_t count;
    const struct dam_finding *f = machine_section(&m, DAM_SECTION_FINDINGS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (f[i].code == code && skip-- == 0)
            return &f[i];
    return NULL;
}

static void faults_are_told_and_cleared(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    u->next_record = 2; // they wrap
    for (unsigned i = 0; i < 6; i++)
        assert_false(fake_dma(m.fake, 0, 0x20 + 8 * i, 0x1000 * (i + 1), i % 2).ok);
    assert_int_equal(u->fsts, PFO | PPF | 2 << 8);
    take_over();
    assert_int_equal(machine_findings(&m, DAM_F_FAULT), 4);
    for (unsigned i = 0; i < 4; i++) {
        const struct dam_finding *f = finding(DAM_F_FAULT, i);
        assert_int_equal(f->rid, 0x20 + 8 * i);
        assert_int_equal(f->iova, 0x1000 * (i + 1));
        assert_int_equal(f->index, 2); // no context
        assert_int_equal(f->address, M_UNIT(0) + 0x220 + 16 * ((2 + i) % 4));
        assert_int_equal(f->raw >> 62, i % 2 ? 2 : 3); // F, and read or write
    }
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_FAULTS), 1);
    // The next one is recorded again, and it is not ours.
    assert_int_equal(u->fsts & 0xFF, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(u->record[i][1] >> 63, 0);
    assert_false(fake_dma(m.fake, 0, NIC, RW, true).ok);
    assert_false(fake_dma(m.fake, 0, 0x20, RW, true).ok);
    assert_int_equal(u->fsts & 0xFF, 0);
}

static void queue_errors_and_faults_together(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    assert_false(fake_dma(m.fake, 0, 0x20, 0x1000, true).ok);
    u->fsts |= 1 << 4;
    take_over();
    assert_int_equal(u->fsts & 0xFF, 0);
    assert_int_equal(machine_findings(&m, DAM_F_FAULT), 1);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_QUEUE_ERROR), 1);
}

static void many_records(void **state)
{
    (void)state;
    u->cap |= 0xFFull << 40; // the model has eight of the 256
    assert_true(machine_start(&m));
    for (unsigned i = 0; i < 8; i++)
        assert_false(fake_dma(m.fake, 0, 0x20 + 8 * i, 0x1000, true).ok);
    take_over();
    assert_int_equal(machine_findings(&m, DAM_F_FAULT), 8);
    assert_int_equal(u->fsts & 0xFF, 0);
}

// A capability register that is wrong does not lead beyond the registers.
static void records_beyond_the_registers(void **state)
{
    (void)state;
    u->cap |= 0x3FFull << 24;
    assert_true(machine_start(&m));
    u->fsts = PPF | PFO | 0xFF << 8;
    take_over();
    assert_int_equal(machine_findings(&m, DAM_F_FAULT), 0);
}

static void events_are_masked(void **state)
{
    (void)state;
    u->ecap |= 1 << 29;
    u->fectl = 1u << 30; // pending
    assert_true(machine_start(&m));
    take_over();
    assert_int_equal(u->fectl >> 31, 1);
    assert_int_equal(u->iectl >> 31, 1);
    assert_int_equal(u->pectl >> 31, 1);
    assert_int_equal(u->fault_events, 0);
}

static void masked_before_the_old_queue_runs_dry(void **state)
{
    (void)state;
    assert_true(machine_start(&m));
    take_over();
    unsigned mask = ~0u, gcmd = ~0u;
    for (unsigned i = 0; i < m.fake->write_count; i++) {
        if (m.fake->writes[i].offset == 0xA0 && mask == ~0u)
            mask = i;
        if (m.fake->writes[i].offset == 0x18 && gcmd == ~0u)
            gcmd = i;
    }
    assert_true(mask < gcmd);
}

static void fault_log_goes_off(void **state)
{
    (void)state;
    u->cap |= 1 << 3;
    u->gsts |= 1u << 28;
    u->aflog = LOG;
    assert_true(machine_start(&m));
    assert_false(fake_dma(m.fake, 0, 0x20, 0x1000, true).ok);
    assert_int_equal(u->log_writes, 1);
    take_over();
    assert_int_equal(u->gsts >> 28 & 1, 0);
    assert_int_equal(u->tes_off, 0);
    assert_int_equal(finding(DAM_F_FAULT_LOG, 0)->raw, LOG);
}

static void page_requests_go_to_the_pool(void **state)
{
    (void)state;
    u->ecap |= 1 << 29;
    u->pqa = PRQ | 3; // eight pages, the tail beyond the first
    u->pqh = 0x3000;
    u->pqt = 0x5000;
    u->prs = 1;
    assert_true(machine_start(&m));
    take_over();
    assert_in_range(u->pqa, M_POOL_START, M_POOL_START + M_POOL_SIZE);
    assert_int_equal(u->pqa & 0xFFF, 0);
    assert_int_equal(u->prs, 0);
    assert_int_equal(finding(DAM_F_PAGE_QUEUE, 0)->raw, PRQ | 3);
    uint8_t *queue = fake_vtd_ptr(m.fake, u->pqa, 8192);
    uint8_t behind[4096], before[4096];
    memcpy(behind, queue + 4096, 4096);
    memcpy(before, queue - 4096, 4096);
    for (unsigned i = 0; i < 1000; i++)
        fake_page_request(m.fake, 0);
    assert_int_equal(u->prs & 2, 2); // full: refused from here on
    assert_int_equal(queue[0], 0xE1);
    assert_memory_equal(behind, queue + 4096, 4096);
    assert_memory_equal(before, queue - 4096, 4096);
    assert_int_equal(u->page_events, 0);
    assert_true(machine_old_memory_untouched(&m));
    assert_string_equal(m.fake->violation, "");
}

static void no_page_requests(void **state)
{
    (void)state;
    u->ecap |= 1 << 29;
    assert_true(machine_start(&m));
    take_over();
    assert_int_equal(u->pqa, 0);
    assert_int_equal(machine_findings(&m, DAM_F_PAGE_QUEUE), 0);
}

// What cannot be put in order is told, and the takeover stands.
static void a_fault_log_that_stays_on(void **state)
{
    (void)state;
    u->cap |= 1 << 3;
    u->gsts |= 1u << 28;
    u->aflog = LOG;
    u->stuck = FAKE_STUCK_EAFL;
    assert_true(machine_start(&m));
    take_over();
    assert_int_equal(machine_findings(&m, DAM_F_STATE_LEFT), 1);
    assert_false(fake_dma(m.fake, 0, NIC, RW, true).ok);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(faults_are_told_and_cleared),
        T(queue_errors_and_faults_together),
        T(many_records),
        T(records_beyond_the_registers),
        T(events_are_masked),
        T(masked_before_the_old_queue_runs_dry),
        T(fault_log_goes_off),
        T(page_requests_go_to_the_pool),
        T(no_page_requests),
        T(a_fault_log_that_stays_on),
    };
    return cmocka_run_group_tests_name("what the old kernel left", tests, NULL, NULL);
}

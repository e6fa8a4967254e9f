// SPDX-License-Identifier: MIT
// The old kernel's invalidation queue in every state. Either we get a working one in the pool, or the unit is
// left alone with an empty queue and no error bits; nobody reads or writes the old queue's pages but the
// hardware, and no wait is endless.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC   0x0018u
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull

#define IQE   (1u << 4)
#define ICE   (1u << 5)
#define ITE   (1u << 6)

static struct machine m;

static bool queue_was_read;

static void watch_reads(struct fake_vtd *fake, uint64_t pa, size_t len)
{
    (void)fake;
    queue_was_read |= pa < M_OLD_END && pa + len > M_QUEUES;
}

static int setup(void **state)
{
    (void)state;
    machine_setup(&m, 1);
    struct old_kernel *k = &m.k[0];
    uint64_t tree = old_kernel_page(k);
    old_kernel_map(k, tree, 4, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_attach(k, NIC, 0, 4, 5, tree);
    queue_was_read = false;
    m.fake->before_read = watch_reads;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static uint64_t *slot(unsigned n)
{
    return (uint64_t *)(void *)(m.old + (M_QUEUES - M_OLD_START) + 16ull * n);
}

// `count` sound descriptors from `first` on, one in two a wait that writes no status.
static void descriptors(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        slot(i % 256)[0] = i % 2 ? 5 : 2 | 1 << 4;
        slot(i % 256)[1] = 0;
    }
}

static struct fake_unit *unit_with_queue(uint64_t iqa, uint64_t head, uint64_t tail)
{
    struct fake_unit *u = &m.fake->unit[0];
    fake_vtd_run(u, m.k[0].root, iqa);
    u->iqh = head;
    u->iqt = tail;
    u->wait_needed_last = true;
    return u;
}

static void taken(unsigned dropped)
{
    struct fake_unit *u = &m.fake->unit[0];
    assert_true(machine_start(&m));
    uint64_t began = m.fake->now_us;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_in_range(u->queue, M_POOL_START, M_POOL_START + M_POOL_SIZE);
    assert_true(u->gsts >> 26 & 1);
    assert_int_equal(u->iqh, u->iqt);
    assert_true(u->last_was_wait);
    assert_int_equal(u->fsts & (IQE | ICE | ITE), 0);
    assert_int_equal(u->tes_off, 0);
    assert_true(m.fake->now_us - began < 20 * m.config.max_wait_us);
    assert_true(machine_old_memory_untouched(&m));
    assert_false(queue_was_read);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_QUEUE_DROPPED), dropped);
    assert_int_equal(machine_findings(&m, DAM_F_QUEUE_STUCK), 0);
    assert_false(fake_dma(m.fake, 0, NIC, RW, true).ok);
    assert_int_equal(fake_dma(m.fake, 0, NIC, RW, false).pa, RW_PA);
}

// Left alone; the queue is as Linux can take it over, as far as that is in our hands.
static void left_alone(void)
{
    struct fake_unit *u = &m.fake->unit[0];
    assert_true(machine_start(&m));
    uint64_t root = u->root, rtaddr = u->rtaddr, queue = u->queue, began = m.fake->now_us;
    uint32_t gsts = u->gsts;
    assert_int_equal(machine_run(&m), DAM_STOP_QUEUE);
    assert_true(m.fake->now_us - began < 20 * m.config.max_wait_us);
    assert_int_equal(u->root, root);
    assert_int_equal(u->rtaddr, rtaddr);
    assert_int_equal(u->queue, queue);
    assert_int_equal(u->gsts, gsts);
    assert_int_equal(u->tes_off, 0);
    assert_true(machine_old_memory_untouched(&m));
    assert_false(queue_was_read);
    assert_true(fake_dma(m.fake, 0, NIC, RW, true).ok);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_QUEUE_STUCK), 1);
    assert_int_equal(machine_summary(&m)->flags & DAM_SUMMARY_COMMITTED, 0);
    uint32_t count;
    const struct dam_note_unit *entry = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_int_equal(entry->status, DAM_UNIT_FAILED_BEFORE);
}

static void off(void **state)
{
    (void)state;
    struct fake_unit *u = &m.fake->unit[0];
    fake_vtd_run(u, m.k[0].root, 0);
    u->iqa = ~0ull; // whatever lies in registers that are not in use
    u->iqt = 0x7FFF0;
    u->fsts = IQE | ITE;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(u->gsts >> 26 & 1, 0);
    assert_int_equal(u->iqa, ~0ull);
}

static void empty_with_garbage_in_its_pages(void **state)
{
    (void)state;
    memset(slot(0), 0xA5, 4096);
    unit_with_queue(M_QUEUES, 0x120, 0x120);
    taken(0);
}

static void under_way(void **state)
{
    (void)state;
    descriptors(10, 40);
    unit_with_queue(M_QUEUES, 10 * 16, 50 * 16)->queue_step = 1;
    taken(0);
    assert_int_equal(m.fake->unit[0].iotlb_global >= 20, 1);
}

static void full(void **state)
{
    (void)state;
    descriptors(8, 255);
    unit_with_queue(M_QUEUES, 8 * 16, 7 * 16)->queue_step = 3;
    // The last one, in slot 6, has to be a wait.
    slot(6)[0] = 5;
    taken(0);
}

static void slow_but_moving(void **state)
{
    (void)state;
    descriptors(0, 200);
    struct fake_unit *u = unit_with_queue(M_QUEUES, 0, 200 * 16);
    u->queue_step = 1;
    m.fake->step_us = 10; // 200 looks take twice as long as an answer may
    taken(0);
}

static void larger_and_wide(void **state)
{
    (void)state;
    // Old memory ends behind the first page of the queue.
    unit_with_queue((M_OLD_START + 0x200000) | 1 << 11 | 3, 0x6000, 0x6000);
    taken(0);
    assert_int_equal(m.fake->unit[0].queue >> 11 & 1, 1);
}

static void stopped_and_empty(void **state)
{
    (void)state;
    unit_with_queue(M_QUEUES, 32, 32)->fsts = IQE;
    taken(1);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_QUEUE_ERROR), 1);
}

static void stopped_at_a_wrong_tail(void **state)
{
    (void)state;
    struct fake_unit *u = unit_with_queue(M_QUEUES, 32, 0x7FFF0);
    u->fsts = IQE;
    u->iqercd = 1;
    taken(1);
    assert_int_equal(machine_findings(&m, DAM_F_QUEUE_POINTER), 1);
    uint32_t count;
    const struct dam_finding *f = machine_section(&m, DAM_SECTION_FINDINGS, &count);
    assert_int_equal(f->code, DAM_F_UNIT_QUEUE_ERROR);
    assert_int_equal(f->index, 1); // IQEI: the tail
}

static void timed_out_with_requests_left(void **state)
{
    (void)state;
    memset(slot(0), 0xFF, 4096); // what is left must not be obeyed
    unit_with_queue(M_QUEUES, 32, 64)->fsts = ITE;
    taken(1);
}

static void completion_error_alone(void **state)
{
    (void)state;
    descriptors(0, 6);
    struct fake_unit *u = unit_with_queue(M_QUEUES, 0, 6 * 16);
    u->fsts = ICE;
    u->queue_step = 1;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(u->fsts, 0);
}

// Hardware that switches an empty queue off whatever came last.
static void stopped_at_garbage(void **state)
{
    (void)state;
    memset(slot(0), 0xFF, 4096);
    struct fake_unit *u = unit_with_queue(M_QUEUES, 32, 64);
    u->fsts = IQE;
    u->last_was_wait = u->wait_needed_last = false;
    taken(1);
}

// Hardware that insists on a wait descriptor, as QEMU does: there is none that we could give it.
static void stopped_at_garbage_strict(void **state)
{
    (void)state;
    memset(slot(0), 0xFF, 4096);
    struct fake_unit *u = unit_with_queue(M_QUEUES, 32, 64);
    u->fsts = IQE;
    u->last_was_wait = false;
    left_alone();
    assert_int_equal(u->iqh, 32);
    assert_int_equal(u->iqt, 32);
    assert_int_equal(u->fsts, 0);
}

static void stops_while_we_wait(void **state)
{
    (void)state;
    descriptors(0, 40);
    memset(slot(20), 0xFF, 16);
    struct fake_unit *u = unit_with_queue(M_QUEUES, 0, 40 * 16);
    u->queue_step = 1;
    u->wait_needed_last = false;
    taken(1);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_QUEUE_ERROR), 0);
}

// The error bit was cleared, the queue not started again.
static void waits_for_the_bell(void **state)
{
    (void)state;
    descriptors(0, 40);
    struct fake_unit *u = unit_with_queue(M_QUEUES, 0, 40 * 16);
    u->resumes_on_tail = true;
    taken(0);
}

static void outside_memory_and_empty(void **state)
{
    (void)state;
    unit_with_queue(0x7FFFFF000ull | 7, 0x100, 0x100);
    taken(0);
    assert_int_equal(machine_findings(&m, DAM_F_QUEUE_ADDRESS), 1);
}

static void outside_memory_with_requests(void **state)
{
    (void)state;
    struct fake_unit *u = unit_with_queue(0x7FFFFF000ull, 0x100, 0x200);
    u->queue_step = 1;
    u->wait_needed_last = false;
    taken(1);
    assert_int_equal(machine_findings(&m, DAM_F_QUEUE_ADDRESS), 1);
}

static void inside_the_pool(void **state)
{
    (void)state;
    unit_with_queue(M_POOL_START + 0x3000, 0, 0);
    taken(0);
    assert_int_equal(machine_findings(&m, DAM_F_QUEUE_ADDRESS), 1);
}

static void never_moves(void **state)
{
    (void)state;
    descriptors(0, 4);
    unit_with_queue(M_QUEUES, 0, 64)->stuck = FAKE_STUCK_QUEUE;
    left_alone();
    assert_int_equal(m.fake->unit[0].iqt, 64); // it runs: the tail is not ours to take back
}

static void error_bits_stay_set(void **state)
{
    (void)state;
    struct fake_unit *u = unit_with_queue(M_QUEUES, 0, 0);
    u->fsts = IQE;
    u->stuck = FAKE_STUCK_FSTS;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_QUEUE);
    assert_true(fake_dma(m.fake, 0, NIC, RW, true).ok);
}

// Ours is tried before anything depends on it; when it does not work, an empty one is where the old one was.
static void own_queue_does_not_work(void **state)
{
    (void)state;
    struct fake_unit *u = unit_with_queue(M_QUEUES, 32, 32);
    u->stuck = FAKE_STUCK_WAIT;
    left_alone();
    assert_int_equal(u->iqa, M_QUEUES);
    assert_int_equal(u->iqh, u->iqt);
}

static uint64_t seed = 1;

static uint64_t dice(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return seed >> 24;
}

// Queues of all kinds with random pointers, errors and contents: taken or left alone, never in between.
static void random_states(void **state)
{
    unsigned had = 0, stopped = 0;
    for (unsigned n = 0; n < 1000; n++) {
        uint64_t base = dice() % 4 ? M_QUEUES : dice() << 12 & 0x7FFFFFF000ull;
        uint64_t size = dice() % 3, mask = (4096ull << size) - 1;
        for (unsigned i = 0; i < 256; i++) {
            slot(i)[0] = dice() % 16 ? 5 : dice() << 20 ^ dice();
            slot(i)[1] = dice() % 32 ? 0 : dice();
        }
        struct fake_unit *u = unit_with_queue(base | (dice() % 4 ? 0 : 1 << 11) | size, 0, 0);
        uint64_t step = u->iqa >> 11 & 1 ? 32 : 16;
        u->iqh = dice() * step & mask;
        u->iqt = (dice() % 8 ? dice() * step & mask : dice() & 0x7FFF0);
        u->fsts = (uint32_t)(dice() % 2 ? 0 : dice()) & (IQE | ICE | ITE);
        // A tail that the hardware never saw: it takes notice the next time it looks.
        u->queue_step = 1 + (unsigned)(dice() % 3);
        u->wait_needed_last = dice() % 2;
        u->last_was_wait = dice() % 4;
        u->resumes_on_tail = dice() % 2;
        m.config.max_wait_us = 200;
        assert_true(machine_start(&m));
        uint64_t root = u->root, began = m.fake->now_us;
        enum dam_stop stop = machine_run(&m);
        assert_true(m.fake->now_us - began < 20000);
        assert_int_equal(u->tes_off, 0);
        assert_false(queue_was_read);
        assert_int_equal(fake_dma(m.fake, 0, NIC, RW, false).pa, RW_PA);
        if (stop == DAM_STOP_NONE) {
            had++;
            assert_in_range(u->queue, M_POOL_START, M_POOL_START + M_POOL_SIZE);
            assert_int_equal(u->iqh, u->iqt);
            assert_int_equal(u->fsts & (IQE | ICE | ITE), 0);
        } else {
            stopped++;
            assert_int_equal(stop, DAM_STOP_QUEUE);
            assert_int_equal(u->root, root);
            assert_int_equal(u->queue, u->iqa);
            assert_true(u->gsts >> 26 & 1);
        }
        if (m.fake->violations)
            fail_msg("%u: %s", n, m.fake->violation);
        teardown(state);
        setup(state);
    }
    assert_true(had > 500 && stopped > 20);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(off),
        T(empty_with_garbage_in_its_pages),
        T(under_way),
        T(full),
        T(slow_but_moving),
        T(larger_and_wide),
        T(stopped_and_empty),
        T(stopped_at_a_wrong_tail),
        T(timed_out_with_requests_left),
        T(completion_error_alone),
        T(stopped_at_garbage),
        T(stopped_at_garbage_strict),
        T(stops_while_we_wait),
        T(waits_for_the_bell),
        T(outside_memory_and_empty),
        T(outside_memory_with_requests),
        T(inside_the_pool),
        T(never_moves),
        T(error_bits_stay_set),
        T(own_queue_does_not_work),
        T(random_states),
    };
    return cmocka_run_group_tests_name("the old invalidation queue", tests, NULL, NULL);
}

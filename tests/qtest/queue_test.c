// SPDX-License-Identifier: MIT
// QEMU's VT-d unit with its queue, its faults and its interrupt table in the states that a dead kernel may
// leave: does the takeover find its way, and can a Linux that comes after it take the queue over in turn?
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <cofferdam/takeover.h>

#include "lib/firmware.h"
#include "lib/old_kernel.h"
#include "lib/qtest.h"

#define FIRMWARE  0x000E0000u
#define OLD_START 0x00200000u
#define QUEUE     0x003F0000u
#define STATUS    0x003F8000u // where wait descriptors of the old kernel write
#define RX        0x00800000u
#define IRT       0x00900000u // 1 MiB
#define OLD_END   0x01000000u
#define CRASH     0x02000000u
#define POOL      0x02800000u
#define POOL_SIZE 0x00800000u
#define CRASH_END 0x03000000u
#define LINUX     0x03100000u // the queue of the kernel that comes next
#define RX_IOVA   0xFFFF0000ull

#define QIE       (1u << 26)
#define IRE       (1u << 25)
#define IQE       (1u << 4)

static struct qtest q;
static struct old_kernel k;
static struct firmware firmware;
static struct dam_arena pool;
static struct dam_range old_storage[4], keep_storage[4];
static struct dam_ranges old_ram, keep_out;
static struct dam_takeover_config config;
static struct dam_takeover *t;
static uint8_t *old_before, note[DAM_NOTE_MAX_SIZE];
static unsigned tail;

static uint64_t rd(unsigned reg, unsigned width)
{
    return qtest_read(&q, QTEST_VTD + reg, width);
}

static void wr(unsigned reg, unsigned width, uint64_t value)
{
    qtest_write(&q, QTEST_VTD + reg, width, value);
}

static void gcmd(uint32_t set, uint32_t clear)
{
    wr(0x18, 4, (((uint32_t)rd(0x1C, 4) & 0x96FFFFFFu) | set) & ~clear);
}

static void put(uint64_t low, uint64_t high)
{
    const uint64_t d[2] = {low, high};
    memcpy(q.ram + QUEUE + tail % 4096, d, sizeof(d));
    tail += 16;
}

static void start_unit(const char *iommu)
{
    qtest_start(&q, iommu);
    old_kernel_begin(&k, q.ram + OLD_START, OLD_START, 0x100000);
    uint64_t tree = old_kernel_page(&k);
    old_kernel_map(&k, tree, 4, 0, RX_IOVA, RX, OLD_R | OLD_W);
    old_kernel_attach(&k, edu_rid(0), 0, 4, 7, tree);
    wr(0x20, 8, k.root);
    gcmd(1u << 30, 0);
    wr(0x88, 8, 0);
    wr(0x90, 8, QUEUE);
    gcmd(QIE, 0);
    gcmd(1u << 31, 0);
    q.translating = true;
    tail = 0;
    put(2 | 1 << 4, 0);
    put(5 | 1 << 5 | 1ull << 32, STATUS);
    wr(0x88, 8, tail);
    assert_int_equal(rd(0x80, 8), 32);
}

static int setup(void **state)
{
    (void)state;
    start_unit("intel-iommu,aw-bits=48");
    dam_ranges_init(&old_ram, old_storage, 4);
    dam_ranges_init(&keep_out, keep_storage, 4);
    if (dam_ranges_add(&old_ram, OLD_START, OLD_END) || dam_ranges_add(&keep_out, CRASH, CRASH_END))
        return -1;
    dam_arena_init(&pool, q.ram + POOL, dam_pa_of(POOL), POOL_SIZE);
    config = (struct dam_takeover_config){
        .ops = &q.ops, .pool = &pool, .old_ram = &old_ram, .keep_out = &keep_out, .max_wait_us = 100000};
    old_before = malloc(OLD_END - OLD_START);
    return old_before ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qtest_stop(&q);
    free(old_before);
    return 0;
}

static enum dam_stop take_over(void)
{
    firmware_begin(&firmware, q.ram + FIRMWARE, FIRMWARE, 4096, 39, 1);
    firmware_drhd(&firmware, 1, 0, QTEST_VTD);
    config.rsdp[0] = dam_pa_of(firmware_end(&firmware));
    memcpy(old_before, q.ram + OLD_START, OLD_END - OLD_START);
    assert_int_equal(dam_takeover_new(&config, &t), DAM_OK);
    enum dam_stop stop = dam_takeover_prepare(t);
    if (!stop)
        stop = dam_takeover_commit(t);
    assert_int_equal(q.turned_off, 0);
    assert_int_equal(rd(0x1C, 4) >> 31, 1);
    assert_memory_equal(old_before, q.ram + OLD_START, OLD_END - OLD_START);
    struct dam_report_extra extra = {.summary = {.version = "test"}};
    size_t size;
    assert_int_equal(dam_takeover_report(t, &extra, note, sizeof(note), &size), DAM_OK);
    return stop;
}

// The first finding of a code, or NULL.
static const struct dam_finding *finding(enum dam_finding_code code)
{
    const struct dam_note_header *h = (const void *)note;
    const struct dam_note_section *s = (const void *)(note + h->header_size);
    for (unsigned i = 0; i < h->section_count; i++)
        for (uint32_t n = 0; s[i].type == DAM_SECTION_FINDINGS && n < s[i].count; n++) {
            const struct dam_finding *f = (const void *)(note + s[i].offset + n * s[i].entry_size);
            if (f->code == code)
                return f;
        }
    return NULL;
}

// As Linux does when it starts: waits for IQH = IQT, switches the queue off, and starts its own.
static void linux_takes_the_queue(void)
{
    assert_int_equal(rd(0x34, 4) & 0x70, 0); // IQE, ICE, ITE
    assert_int_equal(rd(0x80, 8), rd(0x88, 8));
    gcmd(0, QIE);
    assert_int_equal(rd(0x1C, 4) & QIE, 0);
    wr(0x88, 8, 0);
    wr(0x90, 8, LINUX);
    gcmd(QIE, 0);
    assert_int_equal(rd(0x1C, 4) & QIE, QIE);
    const uint64_t d[] = {1 | 1 << 4, 0, 5 | 1 << 5 | 7ull << 32, LINUX + 0x1000};
    memcpy(q.ram + LINUX, d, sizeof(d));
    wr(0x88, 8, sizeof(d));
    assert_int_equal(q.ram[LINUX + 0x1000], 7);
}

static void taken(void)
{
    assert_int_equal(take_over(), DAM_STOP_NONE);
    assert_in_range(rd(0x20, 8), POOL, POOL + POOL_SIZE - 1);
    assert_in_range(rd(0x90, 8), POOL, POOL + POOL_SIZE - 1);
    memset(q.ram + RX, 0x77, 64);
    edu_dma(&q, 0, RX_IOVA, true, 64);
    assert_int_equal(q.ram[RX], 0x77); // frozen
    linux_takes_the_queue();
}

static void at_rest(void **state)
{
    (void)state;
    memset(q.ram + QUEUE + 32, 0xA5, 4096 - 32);
    taken();
    assert_null(finding(DAM_F_QUEUE_DROPPED));
}

static void stopped_at_a_bad_wait(void **state)
{
    (void)state;
    put(5 | 1 << 5 | 1ull << 8, STATUS); // a reserved bit
    put(5 | 1 << 5 | 9ull << 32, STATUS);
    wr(0x88, 8, tail);
    assert_int_equal(rd(0x34, 4) & IQE, IQE);
    assert_int_equal(rd(0x80, 8), 32);
    taken();
    assert_non_null(finding(DAM_F_QUEUE_DROPPED));
}

static void stopped_at_a_wrong_tail(void **state)
{
    (void)state;
    wr(0x88, 8, 0x7FFF0);
    assert_int_equal(rd(0x34, 4) & IQE, IQE);
    taken();
    assert_non_null(finding(DAM_F_QUEUE_POINTER));
}

// The old kernel cleared the error, put the descriptor right, and died before it rang the bell.
static void error_cleared_but_not_started(void **state)
{
    (void)state;
    put(15, 0);
    wr(0x88, 8, tail);
    const uint64_t good[2] = {5 | 1 << 5 | 9ull << 32, STATUS};
    memcpy(q.ram + QUEUE + 32, good, sizeof(good));
    q.ram[STATUS] = 9; // what the hardware will write
    wr(0x34, 4, IQE);
    assert_int_equal(rd(0x80, 8), 32);
    taken();
    assert_null(finding(DAM_F_QUEUE_DROPPED));
}

// QEMU never switches this queue off. All that is left to do: an empty one without error bits.
static void stopped_at_an_unknown_descriptor(void **state)
{
    (void)state;
    put(15, 0);
    put(5 | 1 << 5 | 9ull << 32, STATUS);
    wr(0x88, 8, tail);
    assert_int_equal(rd(0x34, 4) & IQE, IQE);
    assert_int_equal(take_over(), DAM_STOP_QUEUE);
    assert_int_equal(rd(0x20, 8), k.root);
    assert_int_equal(rd(0x90, 8), QUEUE);
    assert_int_equal(rd(0x80, 8), 32);
    assert_int_equal(rd(0x88, 8), 32);
    assert_int_equal(rd(0x34, 4) & 0x70, 0);
    assert_int_equal(rd(0x1C, 4) & QIE, QIE);
    assert_non_null(finding(DAM_F_QUEUE_STUCK));
    memset(q.ram + RX, 0x77, 64);
    edu_dma(&q, 0, RX_IOVA, true, 64);
    assert_int_not_equal(q.ram[RX], 0x77); // as before
}

static void queue_off(void **state)
{
    (void)state;
    gcmd(0, QIE);
    assert_int_equal(rd(0x1C, 4) & QIE, 0);
    assert_int_equal(take_over(), DAM_STOP_NONE);
    assert_int_equal(rd(0x1C, 4) & QIE, 0);
    assert_in_range(rd(0x20, 8), POOL, POOL + POOL_SIZE - 1);
}

static void faults_waiting(void **state)
{
    (void)state;
    edu_dma(&q, 1, 0x1234000, true, 64); // no context: recorded
    edu_dma(&q, 2, 0x5678000, true, 64); // another source: the records are full
    assert_int_equal(rd(0x34, 4) & 3, 3);
    assert_int_equal(rd(0x22C, 4) >> 31, 1);
    taken();
    const struct dam_finding *f = finding(DAM_F_FAULT);
    assert_non_null(f);
    assert_int_equal(f->rid, edu_rid(1));
    assert_int_equal(f->iova, 0x1234000);
    assert_int_equal(f->index, 2);
    assert_int_equal(rd(0x34, 4) & 0xFF, 0);
    assert_int_equal(rd(0x22C, 4) >> 31, 0);
    assert_int_equal(rd(0x38, 4) >> 31, 1);
    assert_int_equal(rd(0xA0, 4) >> 31, 1);
}

static void interrupt_table(void **state)
{
    (void)state;
    const uint64_t good[2] = {1 | 0x41 << 16, 1 << 18 | 0x20},
                   bad[2] = {1 | 0x41 << 16 | 5 << 5, 1 << 18 | 0x20};
    memcpy(q.ram + IRT, good, 16);
    memcpy(q.ram + IRT + 0xFFFF0, bad, 16);
    wr(0xB8, 8, IRT | 15);
    gcmd(1u << 24, 0);
    gcmd(IRE, 0);
    assert_int_equal(rd(0x1C, 4) & IRE, IRE);
    taken();
    assert_int_equal(rd(0x1C, 4) & IRE, IRE);
    uint64_t irta = rd(0xB8, 8);
    assert_int_equal(irta & 0xFFF, 15);
    assert_in_range(irta, POOL, POOL + POOL_SIZE - (1 << 20));
    const uint64_t want[2] = {good[0] | 2, good[1]}, silent[2] = {2, 0};
    assert_memory_equal(q.ram + (irta & ~0xFFFull), want, 16);
    for (unsigned i = 1; i < 65536; i++)
        assert_memory_equal(q.ram + (irta & ~0xFFFull) + 16 * i, silent, 16);
    assert_int_equal(finding(DAM_F_IRTE_STRANGE)->index, 0xFFFF);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(at_rest),
        T(stopped_at_a_bad_wait),
        T(stopped_at_a_wrong_tail),
        T(error_cleared_but_not_started),
        T(stopped_at_an_unknown_descriptor),
        T(queue_off),
        T(faults_waiting),
        T(interrupt_table),
    };
    return cmocka_run_group_tests_name("QEMU's queue, faults and interrupts", tests, NULL, NULL);
}

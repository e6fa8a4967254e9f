// SPDX-License-Identifier: MIT
// The engine takes over QEMU's VT-d unit while edu devices do DMA: before, after every register write of the
// takeover, and afterwards no transfer goes anywhere but where Old or New says.
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

// Guest memory. What is not listed stays zero.
#define FIRMWARE   0x000E0000u
#define OLD_START  0x00200000u // the old kernel: tables, queue, buffers
#define QUEUE      0x003F0000u
#define RX         0x00800000u // written by device 0
#define TX         0x00810000u // read by device 0
#define SHARED     0x00820000u // read and written by device 1, pass-through
#define RMRR       0x00900000u // firmware's own, device 2
#define OLD_END    0x01000000u
#define CRASH      0x02000000u
#define POOL       0x02800000u
#define POOL_SIZE  0x00800000u
#define CRASH_END  0x03000000u
#define SPY_TABLES 0x03100000u // the test's own tables, to look into a device's buffer
#define SPY_PAGE   0x03200000u

#define RX_IOVA    0xFFFF0000ull
#define TX_IOVA    0xFFFF1000ull
#define CRASH_IOVA 0xFFFF2000ull // leads into the crash region
#define SIZE       512u

struct box {
    struct qtest q;
    struct old_kernel k, spy;
    struct firmware firmware;
    struct dam_arena pool;
    struct dam_range old_storage[4], keep_storage[4];
    struct dam_ranges old_ram, keep_out;
    struct dam_takeover_config config;
    struct dam_takeover *t;
    enum dam_policy policy;
    uint8_t *before; // RAM at the last look
    unsigned looks, loads;
    bool with_rmrr;
};

static struct box b;
static const char *iommu = "intel-iommu,aw-bits=48";

static void gcmd(uint32_t bit)
{
    uint32_t value = ((uint32_t)qtest_read(&b.q, QTEST_VTD + 0x1C, 4) & 0x96FFFFFFu) | bit;
    qtest_write(&b.q, QTEST_VTD + 0x18, 4, value);
}

// ---- the old kernel ---------------------------------------------------------------------------------------
static void build_old_tables(void)
{
    uint64_t tree = old_kernel_page(&b.k);
    old_kernel_map(&b.k, tree, 4, 0, RX_IOVA, RX, OLD_R | OLD_W);
    old_kernel_map(&b.k, tree, 4, 0, TX_IOVA, TX, OLD_R);
    old_kernel_map(&b.k, tree, 4, 0, CRASH_IOVA, CRASH + 0x3000, OLD_R | OLD_W);
    old_kernel_attach(&b.k, edu_rid(0), 0, 4, 7, tree);
    old_kernel_attach(&b.k, edu_rid(1), 2, 4, 1, 0);
    uint64_t other = old_kernel_page(&b.k);
    old_kernel_map(&b.k, other, 4, 0, RX_IOVA, RX + 0x4000, OLD_R | OLD_W);
    old_kernel_map(&b.k, other, 4, 0, RMRR, RMRR, OLD_R | OLD_W);
    old_kernel_attach(&b.k, edu_rid(2), 0, 4, 8, other);
}

// As Linux does it: root table, queued invalidation, translation, an empty queue whose last descriptor was a
// wait.
static void start_translation(void)
{
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, b.k.root);
    gcmd(1u << 30);
    qtest_write(&b.q, QTEST_VTD + 0x88, 8, 0);
    qtest_write(&b.q, QTEST_VTD + 0x90, 8, QUEUE);
    gcmd(1u << 26);
    gcmd(1u << 31);
    uint64_t descriptors[] = {2 | 1 << 4, 0, 5 | 1 << 5 | 1ull << 32, QUEUE + 0x1000};
    memcpy(b.q.ram + QUEUE, descriptors, sizeof(descriptors));
    qtest_write(&b.q, QTEST_VTD + 0x88, 8, 32);
    assert_int_equal(qtest_read(&b.q, QTEST_VTD + 0x80, 8), 32);
    b.q.translating = true;
}

static int setup(void **state)
{
    (void)state;
    memset(&b, 0, sizeof(b));
    qtest_start(&b.q, iommu);
    b.before = malloc(QTEST_RAM);
    old_kernel_begin(&b.k, b.q.ram + OLD_START, OLD_START, 0x100000);
    old_kernel_begin(&b.spy, b.q.ram + SPY_TABLES, SPY_TABLES, 0x100000);
    for (unsigned i = 0; i < SIZE; i++) {
        b.q.ram[TX + i] = (uint8_t)(0xA0 + i % 31);
        b.q.ram[SHARED + i] = (uint8_t)(0x40 + i % 29);
        b.q.ram[RMRR + i] = (uint8_t)(0x10 + i % 23);
    }
    build_old_tables();
    dam_ranges_init(&b.old_ram, b.old_storage, 4);
    dam_ranges_init(&b.keep_out, b.keep_storage, 4);
    assert_int_equal(dam_ranges_add(&b.old_ram, OLD_START, OLD_END), DAM_OK);
    assert_int_equal(dam_ranges_add(&b.keep_out, CRASH, CRASH_END), DAM_OK);
    dam_arena_init(&b.pool, b.q.ram + POOL, dam_pa_of(POOL), POOL_SIZE);
    b.config = (struct dam_takeover_config){
        .ops = &b.q.ops, .pool = &b.pool, .old_ram = &b.old_ram, .keep_out = &b.keep_out};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    qtest_stop(&b.q);
    free(b.before);
    return 0;
}

// ---- looking at what DMA does
// -------------------------------------------------------------------------------
static void remember(void)
{
    memcpy(b.before, b.q.ram, QTEST_RAM);
}

// The 4-KiB page that changed since remember(), besides those of the pool that the engine fills; 0: none; 1:
// several.
static uint32_t changed_page(void)
{
    uint32_t found = 0;
    for (uint32_t at = 0; at < QTEST_RAM; at += 4096)
        if (memcmp(b.before + at, b.q.ram + at, 4096) != 0)
            found = found ? 1 : at;
    return found;
}

// One DMA write; which page it changed. The value differs each time, so that it shows.
static uint32_t write_lands_at(unsigned device, uint64_t iova)
{
    remember();
    edu_dma(&b.q, device, iova, true, SIZE);
    return changed_page();
}

// Loads a device's buffer with bytes that are nowhere in memory but at `pa`.
static void read_from(unsigned device, uint64_t iova)
{
    edu_dma(&b.q, device, iova, false, SIZE);
}

// Looks into the buffer of a device by tables of the test's own, set for just that while.
static void spy(unsigned device, uint8_t *bytes)
{
    uint64_t root = qtest_read(&b.q, QTEST_VTD + 0x20, 8);
    uint64_t tree = old_kernel_page(&b.spy);
    old_kernel_map(&b.spy, tree, 4, 0, 0x5000, SPY_PAGE, OLD_R | OLD_W);
    old_kernel_attach(&b.spy, edu_rid(device), 0, 4, 99, tree);
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, b.spy.root);
    gcmd(1u << 30);
    edu_dma(&b.q, device, 0x5000, true, SIZE);
    memcpy(bytes, b.q.ram + SPY_PAGE, SIZE);
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, root);
    gcmd(1u << 30);
}

static bool reads_true_data(unsigned device, uint64_t iova, uint32_t pa)
{
    uint8_t bytes[SIZE];
    read_from(device, iova);
    spy(device, bytes);
    return memcmp(bytes, b.q.ram + pa, SIZE) == 0;
}

static bool in_pool(uint32_t page)
{
    return page >= POOL && page < POOL + POOL_SIZE;
}

// After each register write of the takeover: DMA by all devices.
static void during(struct qtest *q, uint64_t pa, uint64_t value)
{
    (void)q;
    (void)pa;
    (void)value;
    static uint8_t fill;
    fill++;
    memset(b.q.ram + TX, fill, SIZE); // so that the buffer to be written differs from what lies there
    read_from(0, TX_IOVA);
    uint32_t page = write_lands_at(0, RX_IOVA);
    bool scratch = b.policy == DAM_POLICY_SCRATCH && in_pool(page);
    if (page && page != RX && !scratch)
        fail_msg("a write of device 0 lands at %#x", page);
    memset(b.q.ram + SHARED, fill + 1, SIZE);
    read_from(1, SHARED);
    memset(b.q.ram + SHARED, 0, SIZE);
    page = write_lands_at(1, SHARED);
    scratch = b.policy == DAM_POLICY_SCRATCH && in_pool(page);
    if (page && page != SHARED && !scratch)
        fail_msg("a write of device 1 lands at %#x", page);
    b.looks++;
}

// ---- one takeover
// -------------------------------------------------------------------------------------------
static void take_over(enum dam_policy policy)
{
    b.policy = b.config.policy = policy;
    firmware_begin(&b.firmware, b.q.ram + FIRMWARE, FIRMWARE, 4096, 39, 1);
    firmware_drhd(&b.firmware, 1, 0, QTEST_VTD);
    if (b.with_rmrr) {
        firmware_rmrr(&b.firmware, 0, RMRR, RMRR + 0xFFF);
        firmware_scope(&b.firmware, 1, 0, (uint8_t)(edu_rid(2) >> 3), 0);
    }
    b.config.rsdp[0] = dam_pa_of(firmware_end(&b.firmware));
    start_translation();

    // Before: everything is as the old tables say.
    assert_true(reads_true_data(0, TX_IOVA, TX));
    assert_int_equal(write_lands_at(0, RX_IOVA), RX);
    assert_int_equal(write_lands_at(0, CRASH_IOVA), CRASH + 0x3000);
    assert_true(reads_true_data(1, SHARED, SHARED));

    assert_int_equal(dam_takeover_new(&b.config, &b.t), DAM_OK);
    assert_int_equal(dam_takeover_prepare(b.t), DAM_STOP_NONE);
    b.q.after_write = during;
    assert_int_equal(dam_takeover_commit(b.t), DAM_STOP_NONE);
    b.q.after_write = NULL;
    memset(b.q.ram + TX, 0xA5, SIZE);
    memset(b.q.ram + SHARED, 0x5A, SIZE);
    assert_true(b.looks >= 8);
    assert_int_equal(b.q.gcmd_without_te, 0);
    assert_int_equal(qtest_read(&b.q, QTEST_VTD + 0x1C, 4) >> 31, 1);
    assert_in_range(qtest_read(&b.q, QTEST_VTD + 0x20, 8), POOL, POOL + POOL_SIZE - 1);
}

// Fills the buffers of the devices with something that shows wherever it lands. Uses the spy's way in.
static void load(unsigned device)
{
    uint64_t root = qtest_read(&b.q, QTEST_VTD + 0x20, 8);
    uint64_t tree = old_kernel_page(&b.spy);
    old_kernel_map(&b.spy, tree, 4, 0, 0x5000, SPY_PAGE, OLD_R | OLD_W);
    old_kernel_attach(&b.spy, edu_rid(device), 0, 4, 99, tree);
    b.loads++;
    for (unsigned i = 0; i < SIZE; i++)
        b.q.ram[SPY_PAGE + i] = (uint8_t)(i * 3 + b.loads * 7 + 1);
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, b.spy.root);
    gcmd(1u << 30);
    edu_dma(&b.q, device, 0x5000, false, SIZE);
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, root);
    gcmd(1u << 30);
}

static uint32_t loaded_write_lands_at(unsigned device, uint64_t iova)
{
    load(device);
    return write_lands_at(device, iova);
}

static bool no_fault_recorded(void)
{
    // Primary fault pending or overflow; the record's F bit (at 220h + 12).
    return !(qtest_read(&b.q, QTEST_VTD + 0x34, 4) & 3) && !(qtest_read(&b.q, QTEST_VTD + 0x22C, 4) >> 31);
}

static void nobody_reaches_the_crash_region(void)
{
    assert_int_equal(loaded_write_lands_at(0, CRASH_IOVA), 0);
    assert_int_equal(loaded_write_lands_at(1, CRASH + 0x7000), 0);
    assert_int_equal(loaded_write_lands_at(1, POOL), 0);
    assert_int_equal(loaded_write_lands_at(1, POOL + 0x2000), 0);
}

static void freeze(void **state)
{
    (void)state;
    take_over(DAM_POLICY_FREEZE);
    // With the caches as the takeover left them: looking with other tables, as below, flushes them.
    read_from(0, TX_IOVA);
    memset(b.q.ram + RX, 0, SIZE);
    assert_int_equal(write_lands_at(0, RX_IOVA), 0);
    assert_int_equal(write_lands_at(1, SHARED), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(loaded_write_lands_at(0, RX_IOVA), 0);
        assert_int_equal(loaded_write_lands_at(1, SHARED), 0);
        assert_int_equal(loaded_write_lands_at(2, RX_IOVA), 0);
        assert_true(reads_true_data(0, TX_IOVA, TX));
        assert_true(reads_true_data(0, RX_IOVA, RX));
        assert_true(reads_true_data(1, SHARED, SHARED));
    }
    nobody_reaches_the_crash_region();
    assert_true(no_fault_recorded());
}

static void preserve(void **state)
{
    (void)state;
    take_over(DAM_POLICY_PRESERVE);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(loaded_write_lands_at(0, RX_IOVA), RX);
        assert_int_equal(loaded_write_lands_at(0, TX_IOVA), 0);
        assert_int_equal(loaded_write_lands_at(1, SHARED), SHARED);
        assert_int_equal(loaded_write_lands_at(2, RX_IOVA), RX + 0x4000);
        assert_true(reads_true_data(0, TX_IOVA, TX));
        assert_true(reads_true_data(1, SHARED, SHARED));
    }
    nobody_reaches_the_crash_region();
    assert_true(no_fault_recorded());
}

static void scratch(void **state)
{
    (void)state;
    take_over(DAM_POLICY_SCRATCH);
    uint32_t page = loaded_write_lands_at(0, RX_IOVA);
    assert_true(in_pool(page));
    assert_int_equal(loaded_write_lands_at(0, TX_IOVA), page);
    assert_int_equal(loaded_write_lands_at(0, CRASH_IOVA), page);
    assert_int_equal(loaded_write_lands_at(0, 0x123456789000), page);
    assert_int_equal(loaded_write_lands_at(1, SHARED), page);
    assert_int_equal(loaded_write_lands_at(1, POOL), page);
    assert_int_equal(loaded_write_lands_at(2, RX_IOVA), page);
    assert_true(reads_true_data(0, TX_IOVA, page));
    assert_true(no_fault_recorded());
}

static void block(void **state)
{
    (void)state;
    take_over(DAM_POLICY_BLOCK);
    for (unsigned device = 0; device < QTEST_EDUS; device++) {
        assert_int_equal(loaded_write_lands_at(device, RX_IOVA), 0);
        assert_int_equal(loaded_write_lands_at(device, TX_IOVA), 0);
        assert_int_equal(loaded_write_lands_at(device, SHARED), 0);
    }
    assert_false(reads_true_data(0, TX_IOVA, TX));
    assert_false(reads_true_data(1, SHARED, SHARED));
    nobody_reaches_the_crash_region();
    assert_true(no_fault_recorded());
}

static void firmware_regions_stay_open(void **state)
{
    (void)state;
    b.with_rmrr = true;
    take_over(DAM_POLICY_BLOCK);
    assert_int_equal(loaded_write_lands_at(2, RMRR), RMRR);
    assert_true(reads_true_data(2, RMRR, RMRR));
    assert_int_equal(loaded_write_lands_at(2, RX_IOVA), 0);
    assert_int_equal(loaded_write_lands_at(0, RMRR), 0);
    nobody_reaches_the_crash_region();
    assert_true(no_fault_recorded());
}

static void every_unit_that_qemu_offers(void **state)
{
    static const char *const kinds[] = {
        "intel-iommu,aw-bits=48,caching-mode=on", "intel-iommu,aw-bits=48,dma-drain=off",
        "intel-iommu,aw-bits=48,intremap=off",    "intel-iommu,aw-bits=48,snoop-control=on",
        "intel-iommu,aw-bits=48,device-iotlb=on", "intel-iommu,aw-bits=48,x-scalable-mode=on",
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        teardown(state);
        iommu = kinds[i];
        setup(state);
        take_over(DAM_POLICY_FREEZE);
        assert_int_equal(loaded_write_lands_at(0, RX_IOVA), 0);
        assert_true(reads_true_data(0, TX_IOVA, TX));
        nobody_reaches_the_crash_region();
        assert_true(no_fault_recorded());
    }
    iommu = "intel-iommu,aw-bits=48";
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(freeze),
        T(preserve),
        T(scratch),
        T(block),
        T(firmware_regions_stay_open),
        T(every_unit_that_qemu_offers),
    };
    return cmocka_run_group_tests_name("takeover of QEMU's unit", tests, NULL, NULL);
}

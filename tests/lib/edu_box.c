// SPDX-License-Identifier: MIT
#include "lib/edu_box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct box b;

static void gcmd(uint32_t bit)
{
    uint32_t value = ((uint32_t)qtest_read(&b.q, QTEST_VTD + 0x1C, 4) & 0x96FFFFFFu) | bit;
    qtest_write(&b.q, QTEST_VTD + 0x18, 4, value);
}

// ---- the old kernel ---------------------------------------------------------------------------------------
static void map(struct old_kernel *k, uint64_t tree, uint64_t iova, uint64_t pa, unsigned perms)
{
    unsigned first = OLD_FS_P | OLD_FS_U | OLD_FS_A | OLD_FS_D | (perms & OLD_W ? OLD_FS_W : 0);
    if (b.mode->stage == 1)
        old_kernel_map_first(k, tree, b.mode->levels, 0, iova, pa, first);
    else
        old_kernel_map(k, tree, b.mode->levels, 0, iova, pa, perms);
}

// tree 0: passed through.
static void attach(struct old_kernel *k, unsigned rid, unsigned did, uint64_t tree)
{
    if (!b.mode->stage) {
        old_kernel_attach(k, rid, tree ? 0 : 2, b.mode->levels, did, tree);
        return;
    }
    if (!(*old_kernel_function(k, rid) & 1))
        old_kernel_directory(k, rid, 0, 0);
    // In pass-through the width is a second stage's.
    old_kernel_bind(k, rid, 0, tree ? b.mode->stage : 4, b.mode->levels, did, tree);
}

static uint64_t rtaddr(const struct old_kernel *k)
{
    return k->root | (b.mode->stage ? 1u << 10 : 0);
}

static void build_old_tables(void)
{
    uint64_t tree = old_kernel_page(&b.k);
    map(&b.k, tree, RX_IOVA, RX, OLD_R | OLD_W);
    map(&b.k, tree, TX_IOVA, TX, OLD_R);
    map(&b.k, tree, CRASH_IOVA, CRASH + 0x3000, OLD_R | OLD_W);
    attach(&b.k, edu_rid(0), 7, tree);
    attach(&b.k, edu_rid(1), 1, 0);
    uint64_t other = old_kernel_page(&b.k);
    map(&b.k, other, RX_IOVA, RX + 0x4000, OLD_R | OLD_W);
    map(&b.k, other, RMRR, RMRR, OLD_R | OLD_W);
    attach(&b.k, edu_rid(2), 8, other);
}

// As Linux does it: root table, queued invalidation, translation, an empty queue whose last descriptor was a
// wait.
static void start_translation(void)
{
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, rtaddr(&b.k));
    gcmd(1u << 30);
    qtest_write(&b.q, QTEST_VTD + 0x88, 8, 0);
    unsigned wide = b.mode->stage != 0, step = wide ? 32 : 16;
    qtest_write(&b.q, QTEST_VTD + 0x90, 8, QUEUE | wide << 11);
    gcmd(1u << 26);
    gcmd(1u << 31);
    const uint64_t descriptors[2][2] = {{2 | 1 << 4, 0}, {5 | 1 << 5 | 1ull << 32, QUEUE + 0x1000}};
    for (unsigned i = 0; i < 2; i++)
        memcpy(b.q.ram + QUEUE + i * step, descriptors[i], sizeof(descriptors[i]));
    qtest_write(&b.q, QTEST_VTD + 0x88, 8, 2 * step);
    assert_int_equal(qtest_read(&b.q, QTEST_VTD + 0x80, 8), 2 * step);
    b.q.translating = true;
}

void box_open(const struct box_mode *mode)
{
    memset(&b, 0, sizeof(b));
    b.mode = mode;
    qtest_start(&b.q, mode->iommu);
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
}

void box_close(void)
{
    qtest_stop(&b.q);
    free(b.before);
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
uint32_t box_write_lands_at(unsigned device, uint64_t iova)
{
    remember();
    edu_dma(&b.q, device, iova, true, SIZE);
    return changed_page();
}

// Loads a device's buffer with bytes that are nowhere in memory but at `pa`.
void box_read_from(unsigned device, uint64_t iova)
{
    edu_dma(&b.q, device, iova, false, SIZE);
}

// Looks into the buffer of a device by tables of the test's own, set for just that while.
static void spy(unsigned device, uint8_t *bytes)
{
    uint64_t root = qtest_read(&b.q, QTEST_VTD + 0x20, 8);
    uint64_t tree = old_kernel_page(&b.spy);
    map(&b.spy, tree, 0x5000, SPY_PAGE, OLD_R | OLD_W);
    attach(&b.spy, edu_rid(device), 99, tree);
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, rtaddr(&b.spy));
    gcmd(1u << 30);
    edu_dma(&b.q, device, 0x5000, true, SIZE);
    memcpy(bytes, b.q.ram + SPY_PAGE, SIZE);
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, root);
    gcmd(1u << 30);
}

bool box_reads_true_data(unsigned device, uint64_t iova, uint32_t pa)
{
    uint8_t bytes[SIZE];
    box_read_from(device, iova);
    spy(device, bytes);
    return memcmp(bytes, b.q.ram + pa, SIZE) == 0;
}

bool box_in_pool(uint32_t page)
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
    box_read_from(0, b.off ? TX : TX_IOVA);
    uint32_t page = box_write_lands_at(0, b.off ? RX : RX_IOVA);
    bool scratch = b.policy == DAM_POLICY_SCRATCH && box_in_pool(page);
    if (page && page != RX && !scratch)
        fail_msg("a write of device 0 lands at %#x", page);
    memset(b.q.ram + SHARED, fill + 1, SIZE);
    box_read_from(1, SHARED);
    memset(b.q.ram + SHARED, 0, SIZE);
    page = box_write_lands_at(1, SHARED);
    scratch = b.policy == DAM_POLICY_SCRATCH && box_in_pool(page);
    if (page && page != SHARED && !scratch)
        fail_msg("a write of device 1 lands at %#x", page);
    b.looks++;
}

// ---- one takeover
// -------------------------------------------------------------------------------------------
void box_take_over(enum dam_policy policy)
{
    b.policy = b.config.policy = policy;
    firmware_begin(&b.firmware, b.q.ram + FIRMWARE, FIRMWARE, 4096, 39, 1);
    firmware_drhd(&b.firmware, 1, 0, QTEST_VTD);
    if (b.with_rmrr) {
        firmware_rmrr(&b.firmware, 0, RMRR, RMRR + 0xFFF);
        firmware_scope(&b.firmware, 1, 0, (uint8_t)(edu_rid(2) >> 3), 0);
    }
    b.config.rsdp[0] = dam_pa_of(firmware_end(&b.firmware));
    if (!b.off) {
        // Before: everything is as the old tables say.
        start_translation();
        assert_true(box_reads_true_data(0, TX_IOVA, TX));
        assert_int_equal(box_write_lands_at(0, RX_IOVA), RX);
        assert_int_equal(box_write_lands_at(0, CRASH_IOVA), CRASH + 0x3000);
        assert_true(box_reads_true_data(1, SHARED, SHARED));
    }

    assert_int_equal(dam_takeover_new(&b.config, &b.t), DAM_OK);
    assert_int_equal(dam_takeover_prepare(b.t), DAM_STOP_NONE);
    b.q.after_write = during;
    assert_int_equal(dam_takeover_commit(b.t), DAM_STOP_NONE);
    b.q.after_write = NULL;
    memset(b.q.ram + TX, 0xA5, SIZE);
    memset(b.q.ram + SHARED, 0x5A, SIZE);
    assert_true(b.looks >= (b.off ? 4u : 8u));
    assert_int_equal(b.q.gcmd_without_te, 0);
    assert_int_equal(qtest_read(&b.q, QTEST_VTD + 0x1C, 4) >> 31, 1);
    assert_in_range(qtest_read(&b.q, QTEST_VTD + 0x20, 8), POOL, POOL + POOL_SIZE - 1);
}

// Fills the buffers of the devices with something that shows wherever it lands. Uses the spy's way in.
static void load(unsigned device)
{
    uint64_t root = qtest_read(&b.q, QTEST_VTD + 0x20, 8);
    uint64_t tree = old_kernel_page(&b.spy);
    map(&b.spy, tree, 0x5000, SPY_PAGE, OLD_R | OLD_W);
    attach(&b.spy, edu_rid(device), 99, tree);
    b.loads++;
    for (unsigned i = 0; i < SIZE; i++)
        b.q.ram[SPY_PAGE + i] = (uint8_t)(i * 3 + b.loads * 7 + 1);
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, rtaddr(&b.spy));
    gcmd(1u << 30);
    edu_dma(&b.q, device, 0x5000, false, SIZE);
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, root);
    gcmd(1u << 30);
}

uint32_t box_loaded_write_lands_at(unsigned device, uint64_t iova)
{
    load(device);
    return box_write_lands_at(device, iova);
}

bool box_no_fault_recorded(void)
{
    // Primary fault pending or overflow; the record's F bit (at 220h + 12).
    return !(qtest_read(&b.q, QTEST_VTD + 0x34, 4) & 3) && !(qtest_read(&b.q, QTEST_VTD + 0x22C, 4) >> 31);
}

// SPDX-License-Identifier: MIT
#include "lib/edu_box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct box b;

static void build_old_tables(void)
{
    uint64_t tree = old_kernel_page(&b.k);
    b.unit.map(&b.k, tree, RX_IOVA, RX, OLD_R | OLD_W);
    b.unit.map(&b.k, tree, TX_IOVA, TX, OLD_R);
    b.unit.map(&b.k, tree, CRASH_IOVA, CRASH + 0x3000, OLD_R | OLD_W);
    b.unit.attach(&b.k, edu_rid(0), 7, tree);
    b.unit.attach(&b.k, edu_rid(1), 1, 0);
    uint64_t other = old_kernel_page(&b.k);
    b.unit.map(&b.k, other, RX_IOVA, RX + 0x4000, OLD_R | OLD_W);
    b.unit.map(&b.k, other, RMRR, RMRR, OLD_R | OLD_W);
    b.unit.attach(&b.k, edu_rid(2), 8, other);
}

void box_open(const struct box_mode *mode)
{
    memset(&b, 0, sizeof(b));
    b.mode = mode;
    (strncmp(mode->iommu, "amd-iommu", 9) == 0 ? box_amdvi : box_vtd)(&b.unit);
    qtest_start(&b.q, mode->iommu);
    b.before = malloc(QTEST_RAM);
    b.unit.begin(&b.k, b.q.ram + OLD_START, OLD_START, 0x100000);
    b.unit.begin(&b.spy, b.q.ram + SPY_TABLES, SPY_TABLES, 0x100000);
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

// ---- looking at what DMA does ----------------------------------------------------------------------------
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
    uint64_t before = b.unit.tables();
    uint64_t tree = old_kernel_page(&b.spy);
    b.unit.map(&b.spy, tree, 0x5000, SPY_PAGE, OLD_R | OLD_W);
    b.unit.attach(&b.spy, edu_rid(device), 99, tree);
    b.unit.use(b.unit.pointer(&b.spy));
    edu_dma(&b.q, device, 0x5000, true, SIZE);
    memcpy(bytes, b.q.ram + SPY_PAGE, SIZE);
    b.unit.use(before);
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

// ---- one takeover ----------------------------------------------------------------------------------------
void box_take_over(enum dam_policy policy)
{
    b.policy = b.config.policy = policy;
    b.unit.firmware();
    b.config.rsdp[0] = dam_pa_of(firmware_end(&b.firmware));
    if (!b.off) {
        // Before: everything is as the old tables say.
        b.unit.start();
        assert_true(box_reads_true_data(0, TX_IOVA, TX));
        assert_int_equal(box_write_lands_at(0, RX_IOVA), RX);
        assert_int_equal(box_write_lands_at(0, CRASH_IOVA), CRASH + 0x3000);
        assert_true(box_reads_true_data(1, SHARED, SHARED));
        if (b.left)
            b.left();
    }

    assert_int_equal(dam_takeover_new(&b.config, &b.t), DAM_OK);
    assert_int_equal(dam_takeover_prepare(b.t), DAM_STOP_NONE);
    b.q.after_write = during;
    assert_int_equal(dam_takeover_commit(b.t), DAM_STOP_NONE);
    b.q.after_write = NULL;
    memset(b.q.ram + TX, 0xA5, SIZE);
    memset(b.q.ram + SHARED, 0x5A, SIZE);
    assert_true(b.looks >= (b.off ? 4u : 8u));
    assert_int_equal(b.q.turned_off, 0);
    b.unit.check();
}

// Fills the buffers of the devices with something that shows wherever it lands. Uses the spy's way in.
static void load(unsigned device)
{
    uint64_t before = b.unit.tables();
    uint64_t tree = old_kernel_page(&b.spy);
    b.unit.map(&b.spy, tree, 0x5000, SPY_PAGE, OLD_R | OLD_W);
    b.unit.attach(&b.spy, edu_rid(device), 99, tree);
    b.loads++;
    for (unsigned i = 0; i < SIZE; i++)
        b.q.ram[SPY_PAGE + i] = (uint8_t)(i * 3 + b.loads * 7 + 1);
    b.unit.use(b.unit.pointer(&b.spy));
    edu_dma(&b.q, device, 0x5000, false, SIZE);
    b.unit.use(before);
}

uint32_t box_loaded_write_lands_at(unsigned device, uint64_t iova)
{
    load(device);
    return box_write_lands_at(device, iova);
}

bool box_no_fault_recorded(void)
{
    return b.unit.no_fault();
}

// SPDX-License-Identifier: MIT
// The engine takes over QEMU's VT-d unit while edu devices do DMA, in every table mode: before, after every
// register write of the takeover, and afterwards no transfer goes anywhere but where Old or New says.
// QTEST_FIRST_STAGE in the environment: this QEMU has a first stage (x-flts), run that alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/edu_box.h"

static const struct box_mode modes[] = {
    {"intel-iommu,aw-bits=48", 0, 4},
    {"intel-iommu,aw-bits=39", 0, 3},
    {"intel-iommu,aw-bits=48,x-scalable-mode=on", 2, 4},
    {"intel-iommu,aw-bits=39,x-scalable-mode=on", 2, 3},
    {"amd-iommu", 0, 3},
    {"amd-iommu,intremap=off", 0, 4},
};
static const struct box_mode first_stage = {"intel-iommu,aw-bits=48,x-scalable-mode=on,x-flts=on", 1, 4};

static void nobody_reaches_the_crash_region(void)
{
    assert_int_equal(box_loaded_write_lands_at(0, CRASH_IOVA), 0);
    assert_int_equal(box_loaded_write_lands_at(1, CRASH + 0x7000), 0);
    assert_int_equal(box_loaded_write_lands_at(1, POOL), 0);
    assert_int_equal(box_loaded_write_lands_at(1, POOL + 0x2000), 0);
}

static void freeze(void)
{
    box_take_over(DAM_POLICY_FREEZE);
    // With the caches as the takeover left them: looking with other tables, as below, flushes them.
    box_read_from(0, TX_IOVA);
    memset(b.q.ram + RX, 0, SIZE);
    assert_int_equal(box_write_lands_at(0, RX_IOVA), 0);
    assert_int_equal(box_write_lands_at(1, SHARED), 0);
    // Nor by what a read has left in them.
    memset(b.q.ram + RX, 0x77, SIZE);
    box_read_from(0, RX_IOVA);
    memset(b.q.ram + RX, 0, SIZE);
    assert_int_equal(box_write_lands_at(0, RX_IOVA), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), 0);
        assert_int_equal(box_loaded_write_lands_at(1, SHARED), 0);
        assert_int_equal(box_loaded_write_lands_at(2, RX_IOVA), 0);
        assert_true(box_reads_true_data(0, TX_IOVA, TX));
        assert_true(box_reads_true_data(0, RX_IOVA, RX));
        assert_true(box_reads_true_data(1, SHARED, SHARED));
    }
    nobody_reaches_the_crash_region();
    assert_true(box_no_fault_recorded());
}

static void preserve(void)
{
    box_take_over(DAM_POLICY_PRESERVE);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), RX);
        assert_int_equal(box_loaded_write_lands_at(0, TX_IOVA), 0);
        assert_int_equal(box_loaded_write_lands_at(1, SHARED), SHARED);
        assert_int_equal(box_loaded_write_lands_at(2, RX_IOVA), RX + 0x4000);
        assert_true(box_reads_true_data(0, TX_IOVA, TX));
        assert_true(box_reads_true_data(1, SHARED, SHARED));
    }
    nobody_reaches_the_crash_region();
    assert_true(box_no_fault_recorded());
}

static void scratch(void)
{
    box_take_over(DAM_POLICY_SCRATCH);
    uint32_t page = box_loaded_write_lands_at(0, RX_IOVA);
    assert_true(box_in_pool(page));
    assert_int_equal(box_loaded_write_lands_at(0, TX_IOVA), page);
    assert_int_equal(box_loaded_write_lands_at(0, CRASH_IOVA), page);
    assert_int_equal(box_loaded_write_lands_at(0, b.mode->levels > 3 ? 0x123456789000 : 0x3456789000), page);
    assert_int_equal(box_loaded_write_lands_at(1, SHARED), page);
    assert_int_equal(box_loaded_write_lands_at(1, POOL), page);
    assert_int_equal(box_loaded_write_lands_at(2, RX_IOVA), page);
    assert_true(box_reads_true_data(0, TX_IOVA, page));
    assert_true(box_no_fault_recorded());
}

static void block(void)
{
    box_take_over(DAM_POLICY_BLOCK);
    for (unsigned device = 0; device < QTEST_EDUS; device++) {
        assert_int_equal(box_loaded_write_lands_at(device, RX_IOVA), 0);
        assert_int_equal(box_loaded_write_lands_at(device, TX_IOVA), 0);
        assert_int_equal(box_loaded_write_lands_at(device, SHARED), 0);
    }
    assert_false(box_reads_true_data(0, TX_IOVA, TX));
    assert_false(box_reads_true_data(1, SHARED, SHARED));
    nobody_reaches_the_crash_region();
    assert_true(box_no_fault_recorded());
}

static void firmware_regions_stay_open(void)
{
    b.with_rmrr = true;
    box_take_over(DAM_POLICY_BLOCK);
    assert_int_equal(box_loaded_write_lands_at(2, RMRR), RMRR);
    assert_true(box_reads_true_data(2, RMRR, RMRR));
    assert_int_equal(box_loaded_write_lands_at(2, RX_IOVA), 0);
    assert_int_equal(box_loaded_write_lands_at(0, RMRR), 0);
    nobody_reaches_the_crash_region();
    assert_true(box_no_fault_recorded());
}

// One scenario in every mode.
static void in_every_mode(void (*scenario)(void))
{
    bool first = getenv("QTEST_FIRST_STAGE") != NULL;
    size_t count = first ? 1 : sizeof(modes) / sizeof(modes[0]);
    for (size_t i = 0; i < count; i++) {
        const struct box_mode *mode = first ? &first_stage : &modes[i];
        print_message("%s\n", mode->iommu);
        box_open(mode);
        scenario();
        box_close();
    }
}

#define SCENARIO(name)                                                                                       \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        in_every_mode(name);                                                                                 \
    }
SCENARIO(freeze)
SCENARIO(preserve)
SCENARIO(scratch)
SCENARIO(block)
SCENARIO(firmware_regions_stay_open)

static void every_unit_that_qemu_offers(void **state)
{
    (void)state;
    static const struct box_mode kinds[] = {
        {"intel-iommu,aw-bits=48,caching-mode=on", 0, 4},
        {"intel-iommu,aw-bits=48,dma-drain=off", 0, 4},
        {"intel-iommu,aw-bits=48,intremap=off", 0, 4},
        {"intel-iommu,aw-bits=48,snoop-control=on", 0, 4},
        {"intel-iommu,aw-bits=48,device-iotlb=on", 0, 4},
        {"intel-iommu,aw-bits=48,x-scalable-mode=on", 0, 4},
        {"intel-iommu,aw-bits=48,x-scalable-mode=on,caching-mode=on", 2, 4},
        {"intel-iommu,aw-bits=48,x-scalable-mode=on,device-iotlb=on,snoop-control=on", 2, 4},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        box_open(&kinds[i]);
        box_take_over(DAM_POLICY_FREEZE);
        assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), 0);
        assert_true(box_reads_true_data(0, TX_IOVA, TX));
        nobody_reaches_the_crash_region();
        assert_true(box_no_fault_recorded());
        box_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freeze),
        cmocka_unit_test(test_preserve),
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_firmware_regions_stay_open),
        cmocka_unit_test(every_unit_that_qemu_offers),
    };
    return cmocka_run_group_tests_name("takeover of QEMU's unit", tests, NULL, NULL);
}

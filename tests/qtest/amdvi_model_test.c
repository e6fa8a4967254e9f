// SPDX-License-Identifier: MIT
// What the other tests on QEMU's amd-iommu lean on, shown with the unit programmed by hand: where its DMA
// goes, what is refused, and which refusals it calls errors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/edu_box.h"
#include "lib/old_amd.h"

static int setup(void **state)
{
    static const struct box_mode mode = {"amd-iommu", 0, 3};
    (void)state;
    box_open(&mode);
    b.unit.start();
    assert_true(b.unit.no_fault());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    box_close();
    return 0;
}

// The victim's entry as the test wants it; nothing of before is cached.
static uint64_t *entry(void)
{
    return old_amd_entry(&b.k, edu_rid(0));
}

static void look_again(void)
{
    b.unit.use(b.unit.pointer(&b.k));
}

static void dma_goes_where_the_tables_say(void **state)
{
    (void)state;
    assert_true(box_reads_true_data(0, TX_IOVA, TX));
    assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), RX);
    assert_int_equal(box_loaded_write_lands_at(0, TX_IOVA), 0);
    assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA + 0x8000), 0);
    assert_int_equal(box_loaded_write_lands_at(1, SHARED), SHARED);
    b.unit.forget(&b.k, edu_rid(1));
    assert_int_equal(box_loaded_write_lands_at(1, SHARED), 0);
    assert_true(b.unit.no_fault());
}

// What hardware ANDs, it does not: rights above the leaf count for what is not cached alone.
static void rights_of_the_leaf_are_cached_alone(void **state)
{
    (void)state;
    entry()[0] &= ~OLD_AMD_IW;
    assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), 0);
    assert_false(b.unit.no_fault());
    memset(b.q.ram + RX, 0x77, SIZE);
    box_read_from(0, RX_IOVA);
    memset(b.q.ram + RX, 0, SIZE);
    assert_int_equal(box_write_lands_at(0, RX_IOVA), RX);
}

static void rights_of_the_leaf_hold(void **state)
{
    (void)state;
    *old_amd_pte(&b.k, entry()[0] & 0xFFFFFFFFFF000, 3, 0, RX_IOVA) &= ~OLD_AMD_IW;
    assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), 0);
    memset(b.q.ram + RX, 0x77, SIZE);
    box_read_from(0, RX_IOVA);
    memset(b.q.ram + RX, 0, SIZE);
    assert_int_equal(box_write_lands_at(0, RX_IOVA), 0);
    assert_true(b.unit.no_fault());
}

static void blocked_entries_are_silent(void **state)
{
    (void)state;
    static const uint64_t blocking[] = {OLD_AMD_V, OLD_AMD_V | OLD_AMD_TV};
    for (unsigned i = 0; i < 2; i++) {
        entry()[0] = blocking[i];
        assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), 0);
        assert_int_equal(box_loaded_write_lands_at(0, RX), 0);
    }
    assert_true(b.unit.no_fault());
}

static void without_v_everything_passes(void **state)
{
    (void)state;
    entry()[0] &= ~OLD_AMD_V;
    assert_int_equal(box_loaded_write_lands_at(0, RX), RX);
    entry()[0] = OLD_AMD_V | OLD_AMD_TV | OLD_AMD_IR;
    assert_true(box_reads_true_data(0, SHARED, SHARED));
    assert_int_equal(box_loaded_write_lands_at(0, SHARED), 0);
}

static void what_is_cached_stays_until_it_is_flushed(void **state)
{
    (void)state;
    assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), RX);
    uint64_t before = entry()[0];
    entry()[0] = OLD_AMD_V;
    memset(b.q.ram + RX, 0, SIZE);
    assert_int_equal(box_write_lands_at(0, RX_IOVA), RX);
    look_again();
    memset(b.q.ram + RX, 0, SIZE);
    assert_int_equal(box_write_lands_at(0, RX_IOVA), 0);
    entry()[0] = before;
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(dma_goes_where_the_tables_say), T(rights_of_the_leaf_are_cached_alone),
        T(rights_of_the_leaf_hold),       T(blocked_entries_are_silent),
        T(without_v_everything_passes),   T(what_is_cached_stays_until_it_is_flushed),
    };
    return cmocka_run_group_tests_name("QEMU's amd-iommu", tests, NULL, NULL);
}

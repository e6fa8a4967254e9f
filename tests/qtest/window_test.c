// SPDX-License-Identifier: MIT
// The crash window and raising, on QEMU's VT-d unit, while edu devices do DMA after every register write.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/edu_box.h"

static const struct box_mode modes[] = {
    {"intel-iommu,aw-bits=48", 0, 4},
    {"intel-iommu,aw-bits=39", 0, 3},
    {"intel-iommu,aw-bits=48,x-scalable-mode=on", 2, 4},
    {"amd-iommu", 0, 3},
};

// Below the pool, and not quite all of the crash region.
#define WINDOW     (CRASH + 0x1000u)
#define WINDOW_END (POOL - 0x1000u)

static struct dam_range storage[1];
static struct dam_ranges window;

static void hide(void)
{
    dam_ranges_init(&window, storage, 1);
    assert_int_equal(dam_ranges_add(&window, WINDOW, WINDOW_END), DAM_OK);
    b.config.hide = true;
    b.config.crash_window = &window;
}

static void has_window(unsigned device)
{
    const uint32_t pages[] = {WINDOW, WINDOW + 0x1FF000, WINDOW_END - 4096};
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        assert_int_equal(box_loaded_write_lands_at(device, pages[i]), pages[i]);
        memset(b.q.ram + pages[i], (int)(0x30 + i), SIZE);
        assert_true(box_reads_true_data(device, pages[i], pages[i]));
    }
    assert_int_equal(box_loaded_write_lands_at(device, CRASH), 0);
    assert_int_equal(box_loaded_write_lands_at(device, WINDOW_END), 0);
    assert_int_equal(box_loaded_write_lands_at(device, POOL), 0);
    assert_int_equal(box_loaded_write_lands_at(device, POOL + 0x3000), 0);
}

static void has_no_window(unsigned device)
{
    assert_int_equal(box_loaded_write_lands_at(device, WINDOW), 0);
    assert_int_equal(box_loaded_write_lands_at(device, WINDOW_END - 4096), 0);
}

// Device 2 loses its entry: it is one of the others.
static void forget_device_2(void)
{
    b.unit.forget(&b.k, edu_rid(2));
}

static void window_over_freeze(void)
{
    forget_device_2();
    hide();
    box_take_over(DAM_POLICY_FREEZE);
    for (unsigned device = 0; device < 3; device++)
        has_window(device);
    assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), 0);
    assert_true(box_reads_true_data(0, TX_IOVA, TX));
    assert_int_equal(box_loaded_write_lands_at(1, SHARED), 0);
    assert_true(box_reads_true_data(1, SHARED, SHARED));
    assert_int_equal(box_loaded_write_lands_at(2, RX), 0);
    assert_false(box_reads_true_data(2, SHARED, SHARED));
    assert_true(box_no_fault_recorded());
    assert_true(dam_takeover_may_hide(b.t));
    assert_false(b.unit.remaps());
}

static void window_for_one(void)
{
    hide();
    b.config.windows[0] = (dam_requester){0, (uint16_t)edu_rid(1)};
    b.config.window_count = 1;
    box_take_over(DAM_POLICY_BLOCK);
    has_window(1);
    has_no_window(0);
    has_no_window(2);
    assert_int_equal(box_loaded_write_lands_at(1, SHARED), 0);
    assert_true(box_no_fault_recorded());
}

static void raise_and_freeze(void)
{
    b.off = b.config.raise = true;
    box_take_over(DAM_POLICY_FREEZE);
    for (unsigned device = 0; device < 3; device++) {
        assert_int_equal(box_loaded_write_lands_at(device, RX), 0);
        assert_true(box_reads_true_data(device, TX, TX));
        has_no_window(device);
    }
    assert_true(box_no_fault_recorded());
}

static void raise_and_hide(void)
{
    b.off = b.config.raise = true;
    b.config.choices[0] = (struct dam_choice){{0, (uint16_t)edu_rid(2)}, DAM_ANY_PASID, DAM_POLICY_PRESERVE};
    b.config.choice_count = 1;
    hide();
    box_take_over(DAM_POLICY_FREEZE);
    for (unsigned device = 0; device < 3; device++) {
        has_window(device);
        assert_true(box_reads_true_data(device, TX, TX));
        assert_int_equal(box_loaded_write_lands_at(device, RX), device == 2 ? RX : 0);
    }
    assert_true(box_no_fault_recorded());
    assert_true(dam_takeover_may_hide(b.t));
}

static void in_every_mode(void (*scenario)(void))
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        print_message("%s\n", modes[i].iommu);
        box_open(&modes[i]);
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
SCENARIO(window_over_freeze)
SCENARIO(window_for_one)
SCENARIO(raise_and_freeze)
SCENARIO(raise_and_hide)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_over_freeze),
        cmocka_unit_test(test_window_for_one),
        cmocka_unit_test(test_raise_and_freeze),
        cmocka_unit_test(test_raise_and_hide),
    };
    return cmocka_run_group_tests_name("crash window and raising on QEMU's unit", tests, NULL, NULL);
}

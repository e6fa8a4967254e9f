// SPDX-License-Identifier: MIT
// The qtest harness itself: VT-d programmed by hand, DMA by the edu device goes where the tables say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/old_kernel.h"
#include "lib/qtest.h"

#define TABLES 0x00200000u
#define SOURCE 0x00800000u
#define TARGET 0x00900000u
#define IOVA   0x40001000ull

static struct qtest q;
static struct old_kernel k;

static int setup(void **state)
{
    (void)state;
    qtest_start(&q, "intel-iommu,aw-bits=48");
    old_kernel_begin(&k, q.ram + TABLES, TABLES, 0x100000);
    for (unsigned i = 0; i < 4096; i++)
        q.ram[SOURCE + i] = (uint8_t)(i * 7 + 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    qtest_stop(&q);
    return 0;
}

static void gcmd(uint32_t bit)
{
    uint32_t value = ((uint32_t)qtest_read(&q, QTEST_VTD + 0x1C, 4) & 0x96FFFFFFu) | bit;
    qtest_write(&q, QTEST_VTD + 0x18, 4, value);
    assert_int_equal(qtest_read(&q, QTEST_VTD + 0x1C, 4) & bit, bit);
}

static void translate(void)
{
    qtest_write(&q, QTEST_VTD + 0x20, 8, k.root);
    gcmd(1u << 30);
    gcmd(1u << 31);
}

static void without_translation_dma_is_physical(void **state)
{
    (void)state;
    edu_dma(&q, 0, SOURCE, false, 256);
    edu_dma(&q, 0, TARGET, true, 256);
    assert_memory_equal(q.ram + TARGET, q.ram + SOURCE, 256);
    assert_int_equal(q.ram[TARGET + 256], 0);
}

static void dma_goes_where_the_tables_say(void **state)
{
    (void)state;
    uint64_t tree = old_kernel_page(&k);
    old_kernel_map(&k, tree, 4, 0, IOVA, SOURCE, OLD_R);
    old_kernel_map(&k, tree, 4, 0, IOVA + 0x1000, TARGET, OLD_R | OLD_W);
    old_kernel_attach(&k, edu_rid(0), 0, 4, 3, tree);
    translate();
    // No right to write: nothing changes. (QEMU records no fault once it has the page in its IOTLB.)
    edu_dma(&q, 0, IOVA, true, 256);
    assert_int_equal(q.ram[SOURCE], 1);
    assert_int_equal(qtest_read(&q, QTEST_VTD + 0x34, 4) & 2, 2); // a fault is pending
    edu_dma(&q, 0, IOVA, false, 256);
    edu_dma(&q, 0, IOVA + 0x1000, true, 256);
    assert_memory_equal(q.ram + TARGET, q.ram + SOURCE, 256);
}

static void a_requester_without_context_is_refused(void **state)
{
    (void)state;
    edu_dma(&q, 1, SOURCE, false, 64);
    translate();
    edu_dma(&q, 1, TARGET, true, 64);
    assert_int_equal(q.ram[TARGET], 0);
}

static void the_unit_is_the_one_we_know(void **state)
{
    (void)state;
    assert_int_equal(qtest_read(&q, QTEST_VTD + 0x08, 8), 0x00D2008C222F0606);
    assert_int_equal(qtest_read(&q, QTEST_VTD + 0x10, 8) & 1, 0); // page walks do not snoop
    assert_int_equal(qtest_read(&q, QTEST_VTD + 0x1C, 4), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_unit_is_the_one_we_know),
        T(without_translation_dma_is_physical),
        T(dma_goes_where_the_tables_say),
        T(a_requester_without_context_is_refused),
    };
    return cmocka_run_group_tests_name("qtest harness", tests, NULL, NULL);
}

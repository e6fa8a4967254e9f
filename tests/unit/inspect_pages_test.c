// SPDX-License-Identifier: MIT
// tool/inspect/pages.c: pages in any order, as ranges; with too many of them, as coarser ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inspect/model_own.h"

static bool sorted(const struct dam_ranges *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->at[i].end <= r->at[i].start || (i && r->at[i].start <= r->at[i - 1].end))
            return false;
    return true;
}

static void pages_become_ranges(void **state)
{
    (void)state;
    struct inspect_pages p;
    assert_true(inspect_pages_begin(&p));
    assert_int_equal(inspect_pages_ranges(&p).count, 0);
    const uint64_t pages[] = {0x5000, 0x3000, 0x4000, 0x9000, 0x3000, 0xFFFFFFFFFF000};
    for (unsigned i = 0; i < 6; i++)
        inspect_pages_add(&p, pages[i]);
    struct dam_ranges r = inspect_pages_ranges(&p);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.at[0].start, 0x3000);
    assert_int_equal(r.at[0].end, 0x6000);
    assert_int_equal(r.at[2].end, 1ull << 52);
    inspect_pages_add(&p, 0x6000);
    inspect_pages_add(&p, 0x8000);
    r = inspect_pages_ranges(&p);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.at[0].end, 0x7000);
    assert_int_equal(r.at[1].start, 0x8000);
    inspect_pages_end(&p);
}

// Every other page of 16 GiB, from the end to the beginning in steps.
static void too_many_ranges_become_coarser(void **state)
{
    (void)state;
    const uint64_t pages = 1 << 21;
    struct inspect_pages p;
    assert_true(inspect_pages_begin(&p));
    for (uint64_t i = 0; i < pages; i++)
        inspect_pages_add(&p, (i * 1234567 % pages) * 0x2000);
    struct dam_ranges r = inspect_pages_ranges(&p);
    assert_true(r.count >= 1 && r.count <= PAGES_RANGES);
    assert_true(sorted(&r));
    for (uint64_t i = 0; i < pages; i += 4097)
        assert_true(dam_ranges_contain(&r, i * 0x2000, 0x1000));
    assert_true(r.at[0].start == 0 && r.at[r.count - 1].end <= pages * 0x2000);
    inspect_pages_end(&p);
}

// Far apart they stay apart, but for what must be.
static void far_ranges_stay_apart(void **state)
{
    (void)state;
    struct inspect_pages p;
    assert_true(inspect_pages_begin(&p));
    for (uint64_t i = 0; i < PAGES_RANGES + 1000; i++)
        inspect_pages_add(&p, i << 20 | (i % 2 ? 0xFF000 : 0));
    struct dam_ranges r = inspect_pages_ranges(&p);
    assert_true(sorted(&r));
    assert_true(r.count > PAGES_RANGES / 4 && r.count <= PAGES_RANGES);
    for (uint64_t i = 0; i < PAGES_RANGES + 1000; i += 101)
        assert_true(dam_ranges_contain(&r, i << 20 | (i % 2 ? 0xFF000 : 0), 0x1000));
    inspect_pages_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_become_ranges),
        cmocka_unit_test(too_many_ranges_become_coarser),
        cmocka_unit_test(far_ranges_stay_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// The model over a small dead kernel: what it takes from the kernel's own structures, and what it does when
// the dump lacks some of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/kind.h"
#include "inspect/requester.h"
#include "lib/fake_linux.h"

static struct fake_linux l;
static struct inspection in;
static struct tool_error error;
static struct dam_range range = {0, FAKE_LINUX_BYTES};
static struct dam_ranges ram = {&range, 1, 1};

static int leave(void **state)
{
    (void)state;
    inspect_close(&in);
    return 0;
}

// The first unit has a root table: two functions on bus 0, both passed through.
static void build(void)
{
    fake_linux_build(&l, NULL);
    l.provider.ram = &ram;
    uint64_t contexts = l.root[1];
    fake_linux_put(&l, l.root[0], contexts | 1, 8);
    for (unsigned devfn = 0x10; devfn <= 0xE0; devfn += 0xD0) {
        fake_linux_put(&l, contexts + devfn * 16, 0x9, 8);
        fake_linux_put(&l, contexts + devfn * 16 + 8, 0x102, 8);
    }
}

static enum tool_status enter(struct inspect_options options)
{
    inspect_close(&in);
    return inspect_open_memory(fake_linux_memory(&l), &options, &in, &error);
}

static void test_kernel(void **state)
{
    (void)state;
    build();
    assert_int_equal(enter((struct inspect_options){0}), TOOL_OK);
    assert_int_equal(in.unit_count, 2);
    assert_int_equal(in.units[0].origin, ORIGIN_KERNEL);
    assert_string_equal(in.units[0].name, "dmar0");
    assert_int_equal(in.units[0].base, 0xFED90000);
    assert_int_equal(in.units[0].root.v, l.root[0]);
    assert_string_equal(in.units[0].mode, "legacy");
    assert_true(in.units[0].translating && in.units[0].readable && in.units[0].has_registers);
    assert_false(in.units[1].translating);
    assert_int_equal(in.requester_count, 2);
    assert_int_equal(in.requesters[1].rid, 0xE0);
    assert_int_equal(in.device_count, 3);
    assert_string_equal(inspect_device_of(&in, 0, 0x10)->driver, "fake_hda");
    assert_int_equal(in.crash_count, 2);
    assert_int_equal(in.crash[0].start, 0x10000000);
    assert_false(in.incomplete);
}

// Two units of AMD's with one device table: one function with tables of its own, one that is passed through.
static void test_amd_kernel(void **state)
{
    (void)state;
    fake_linux_build(&l, &(struct fake_linux_options){.amd = FAKE_AMD, .sme_mask = 1ull << 47});
    l.provider.ram = &ram;
    for (unsigned i = 0; i < 256; i++)
        fake_linux_put(&l, l.amd_table + 32 * i, 3, 8);
    // With SME the address of its tables has the bit that asks for encryption.
    uint64_t tables = l.root[1];
    fake_linux_put(&l, l.amd_table + 32 * 0x10, tables | 1ull << 47 | 3 | 1 << 9 | 3ull << 61, 8);
    fake_linux_put(&l, tables + 8, 0x5000 | 1ull << 47 | 1 | 3ull << 61, 8);
    fake_linux_put(&l, l.amd_table + 32 * 0xE0, 3 | 1ull << 61, 8);
    assert_int_equal(enter((struct inspect_options){0}), TOOL_OK);
    assert_int_equal(in.unit_count, 2);
    assert_string_equal(in.units[0].kind->name, "AMD-Vi");
    assert_string_equal(in.units[0].mode, "single");
    assert_int_equal(in.units[0].root.v, l.amd_table);
    assert_int_equal(in.units[0].table_size, 8192);
    assert_int_equal(in.units[0].encrypt, 1ull << 47);
    assert_true(in.units[0].readable && in.units[1].readable);
    assert_int_equal(in.units[1].leader, 0);
    assert_int_equal(in.requester_count, 2);
    assert_int_equal(in.requesters[0].rid, 0x10);
    assert_int_equal(in.requesters[0].tree->root.v, tables);
    struct inspect_way way;
    assert_int_equal(inspect_follow(&in, in.requesters[0].tree, 0x1234, &way), DAM_OK);
    assert_int_equal(way.end, WAY_MAPPED);
    assert_int_equal(way.addr, 0x5234);
    assert_int_equal(in.requesters[1].kind, DAM_OLD_IDENTITY);
    assert_true(in.requesters[1].tree->r && !in.requesters[1].tree->w);
    assert_false(in.incomplete);
    // A picture of memory has no notes: VMCOREINFO is the kernel's own page, and counts for what came before.
    memcpy(l.ram + FAKE_LINUX_BYTES - 4096, l.info, strlen(l.info));
    l.provider.vmcoreinfo = NULL;
    char text[40];
    snprintf(text, sizeof text, "0x%llx,8K", (unsigned long long)l.amd_table);
    const struct inspect_given given = {&inspect_amdvi, text};
    assert_int_equal(enter((struct inspect_options){.given = &given, .given_count = 1}), TOOL_OK);
    assert_int_equal(in.units[0].encrypt, 1ull << 47);
    assert_int_equal(in.requesters[0].tree->root.v, tables);
}

// Functions without a valid entry pass; those that the dead kernel knew count, others do not.
static void test_vacant(void **state)
{
    (void)state;
    fake_linux_build(&l, &(struct fake_linux_options){.amd = FAKE_AMD});
    l.provider.ram = &ram;
    fake_linux_put(&l, l.amd_segment + FAKE_SEGMENT_ID, 0, 2);
    for (unsigned i = 0; i < 256; i++)
        fake_linux_put(&l, l.amd_table + 32 * i, (i >= 0x0E && i < 0x12) || i >= 0xF0 ? 0 : 3, 8);
    assert_int_equal(enter((struct inspect_options){0}), TOOL_OK);
    assert_int_equal(in.requester_count, 2);
    assert_int_equal(in.requesters[0].span, 4); // 00:02.0 is among them
    assert_false(in.requesters[0].vacant);
    assert_int_equal(in.requesters[1].span, 16);
    assert_true(in.requesters[1].vacant);
    assert_int_equal(in.requesters[0].tree->requesters, 4);
    // When the dead kernel does not tell of all functions, they count.
    fake_linux_put(&l, l.bus[0] + FAKE_BUS_CHILDREN, 0xDEAD000000000100, 8);
    assert_int_equal(enter((struct inspect_options){0}), TOOL_OK);
    assert_false(in.requesters[1].vacant);
    assert_int_equal(in.requesters[1].tree->requesters, 20);
    assert_int_equal(enter((struct inspect_options){.ignore_kernel = true, .scan = true}), TOOL_BAD_INPUT);
}

// A list that breaks off: what came before still counts.
static void test_list_broken(void **state)
{
    (void)state;
    build();
    fake_linux_put(&l, l.bus[0] + FAKE_BUS_CHILDREN, 0xDEAD000000000100, 8);
    fake_linux_put(&l, l.drhd[0] + FAKE_DRHD_LIST, 0xDEAD000000000100, 8);
    assert_int_equal(enter((struct inspect_options){0}), TOOL_OK);
    assert_int_equal(in.unit_count, 1);
    assert_int_equal(in.units[0].origin, ORIGIN_KERNEL);
    assert_int_equal(in.device_count, 2);
    assert_true(in.incomplete);
}

// makedumpfile may leave out what the driver keeps of a unit; its tables are then looked for.
static void test_unit_unknown(void **state)
{
    (void)state;
    build();
    fake_linux_put(&l, l.drhd[0] + FAKE_DRHD_IOMMU, FAKE_DIRECT + l.vmalloc, 8);
    l.absent[l.vmalloc / DAM_PAGE_SIZE] = true;
    assert_int_equal(enter((struct inspect_options){0}), TOOL_OK);
    assert_int_equal(in.unit_count, 3);
    assert_int_equal(in.units[0].base, 0xFED90000);
    assert_string_equal(in.units[0].mode, "unknown");
    assert_false(in.units[0].has_registers || in.units[0].translating || in.units[0].readable);
    assert_true(requester_unit_unknown(&in, &in.units[0]));
    assert_int_equal(in.units[1].base, 0xFED91000);
    assert_true(requester_unit_off(&in.units[1]));
    assert_int_equal(in.units[2].origin, ORIGIN_GUESS);
    assert_int_equal(in.units[2].root.v, l.root[0]);
    assert_int_equal(in.requester_count, 2);
    assert_true(in.incomplete);
    assert_non_null(strstr(in.kernel_problem, "the dump does not hold intel_iommu"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_kernel, leave),
        cmocka_unit_test_teardown(test_amd_kernel, leave),
        cmocka_unit_test_teardown(test_vacant, leave),
        cmocka_unit_test_teardown(test_list_broken, leave),
        cmocka_unit_test_teardown(test_unit_unknown, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// IOMMU units, PCI functions and the crash region out of the lists of a small dead kernel; and out of lists
// that lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "inspect/kernel.h"
#include "lib/fake_linux.h"

static struct fake_linux l;
static struct memory *memory;
static struct kernel *kernel;
static struct tool_error error;
static struct kernel_unit *units;
static struct kernel_function *functions;
static size_t count;

static void leave(void)
{
    free(units);
    free(functions);
    units = NULL;
    functions = NULL;
    kernel_close(kernel);
    memory_close(memory);
    kernel = NULL;
    memory = NULL;
}

static int leave_test(void **state)
{
    (void)state;
    leave();
    return 0;
}

static void enter(void)
{
    leave();
    memory = fake_linux_memory(&l);
    if (kernel_open(memory, &kernel, &error) != TOOL_OK)
        fail_msg("%s", error.text);
    error.text[0] = '\0';
    count = 99;
}

static void build(const struct fake_linux_options *options)
{
    fake_linux_build(&l, options);
}

static enum tool_status read_units(void)
{
    enter();
    return kernel_units(kernel, &units, &count, &error);
}

static enum tool_status read_functions(void)
{
    enter();
    return kernel_functions(kernel, &functions, &count, &error);
}

static void bad(enum tool_status status, const char *text, size_t still)
{
    if (status != TOOL_BAD_INPUT || strstr(error.text, text) == NULL)
        fail_msg("status %d, not refused with \"%s\": %s", status, text, error.text);
    assert_int_equal(count, still);
}

static uint64_t direct(uint64_t pa)
{
    return fake_linux_va(pa);
}

// ---- units
static void test_units(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        build(&(struct fake_linux_options){.levels = 4 + i % 2, .scalable = i / 2});
        assert_int_equal(read_units(), TOOL_OK);
        assert_int_equal(count, 2);
        assert_int_equal(units[0].register_base, 0xFED90000);
        assert_true(units[0].known);
        assert_int_equal(units[0].cap, 0xD2008C222F0606);
        assert_int_equal(units[0].ecap, 0x880000F00F4A);
        assert_int_equal(units[0].registers.vtd.gsts, 0x86000000);
        assert_int_equal(units[0].segment, 0);
        assert_true(units[0].has_root);
        assert_int_equal(units[0].registers.vtd.rtaddr, l.root[0] | (i / 2 ? 1 << 10 : 0));
        assert_string_equal(units[0].name, "dmar0");
        assert_int_equal(units[1].register_base, 0xFED91000);
        assert_int_equal(units[1].segment, 1);
        assert_int_equal(units[1].registers.vtd.gsts, 0);
        assert_false(units[1].has_root);
        assert_int_equal(units[1].registers.vtd.rtaddr, 0); // it has no such mode
        assert_string_equal(units[1].name, "dmar1");
    }
}

static void test_units_list(void **state)
{
    (void)state;
    build(NULL); // empty
    fake_linux_put(&l, l.drhd_units, FAKE_IMAGE + l.drhd_units, 8);
    assert_int_equal(read_units(), TOOL_OK);
    assert_int_equal(count, 0);
    build(NULL); // the second leads to the first
    fake_linux_put(&l, l.drhd[1] + FAKE_DRHD_LIST, direct(l.drhd[0] + FAKE_DRHD_LIST), 8);
    enum tool_status status = read_units();
    assert_true(count >= 2 && count <= 8);
    bad(status, "runs in a circle", count);
    build(NULL); // the first leads to itself
    fake_linux_put(&l, l.drhd[0] + FAKE_DRHD_LIST, direct(l.drhd[0] + FAKE_DRHD_LIST), 8);
    bad(read_units(), "runs in a circle", 1);
    build(NULL);
    fake_linux_put(&l, l.drhd_units, 0, 8);
    bad(read_units(), "where the kernel has no memory", 0);
    build(NULL);
    fake_linux_put(&l, l.drhd[0] + FAKE_DRHD_LIST, 0xDEAD000000000100, 8); // LIST_POISON1
    bad(read_units(), "where the kernel has no memory", 1);
    assert_true(units[0].has_root); // what was sound is still told
}

static void test_units_pointers(void **state)
{
    (void)state;
    build(NULL);
    fake_linux_put(&l, l.drhd[0] + FAKE_DRHD_IOMMU, 0, 8);
    assert_int_equal(read_units(), TOOL_OK);
    assert_int_equal(count, 2);
    assert_true(units[0].known); // it never came to life
    assert_false(units[0].has_root);
    assert_string_equal(units[0].name, "");
    build(NULL);
    fake_linux_put(&l, l.drhd[0] + FAKE_DRHD_IOMMU, 0x4141414141414141, 8);
    bad(read_units(), "intel_iommu would be at 0x4141414141414141", 2);
    assert_false(units[0].has_root);
    assert_false(units[0].known);
    assert_true(units[1].known);
    assert_int_equal(units[1].cap, 0xD2008C222F0606);
    build(NULL);
    fake_linux_put(&l, l.iommu[0] + FAKE_IOMMU_ROOT, FAKE_VMALLOC + 0x1000, 8);
    bad(read_units(), "a root table would be at", 2);
    build(NULL);
    fake_linux_put(&l, l.iommu[0] + FAKE_IOMMU_ROOT, direct(l.root[0] + 8), 8);
    bad(read_units(), "not a page", 2);
    assert_false(units[0].has_root);
    build(NULL); // a name without an end
    memset(l.ram + l.iommu[0] + FAKE_IOMMU_NAME, 'n', 16);
    assert_int_equal(read_units(), TOOL_OK);
    assert_int_equal(strlen(units[0].name), sizeof units[0].name - 1);
}

static void test_units_absent(void **state)
{
    (void)state;
    build(NULL);
    uint64_t page = l.iommu[1] / DAM_PAGE_SIZE;
    assert_int_not_equal(page, l.drhd_units / DAM_PAGE_SIZE);
    l.absent[page] = true;
    bad(read_units(), "the dump does not hold", 1);
    assert_true(units[0].has_root);
}

// ---- units of AMD's
static void test_amd_units(void **state)
{
    (void)state;
    for (enum fake_amd amd = FAKE_AMD; amd <= FAKE_AMD_LATER; amd++) {
        build(&(struct fake_linux_options){.amd = amd});
        assert_int_equal(read_units(), TOOL_OK);
        assert_int_equal(count, 2);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(units[i].kind, DAM_IOMMU_AMDVI);
            assert_int_equal(units[i].register_base, i ? 0xFEA00000 : 0xFED80000);
            assert_true(units[i].known && units[i].has_root);
            assert_int_equal(units[i].segment, 3);
            assert_int_equal(units[i].registers.amdvi.device_table, l.amd_table | 1);
            assert_int_equal(units[i].registers.amdvi.control, 1);
            assert_int_equal(units[i].cap, amd == FAKE_AMD ? 0x29D3 : 0x29D7);
            assert_int_equal(units[i].ecap, amd == FAKE_AMD ? 8 : 9);
            assert_string_equal(units[i].name, i ? "ivhd1" : "ivhd0");
        }
    }
    build(&(struct fake_linux_options){.amd = FAKE_AMD}); // what the unit itself has is empty
    fake_linux_put(&l, l.amd[0] + FAKE_AMD_EFR, 0, 8);
    assert_int_equal(read_units(), TOOL_OK);
    assert_int_equal(units[0].cap, 0x29D7);
    // A machine of another maker: the driver is there.
    build(&(struct fake_linux_options){.amd = FAKE_AMD_IDLE});
    assert_int_equal(read_units(), TOOL_OK);
    assert_int_equal(count, 2);
    assert_int_equal(units[0].kind, DAM_IOMMU_VTD);
}

static void test_amd_pointers(void **state)
{
    static const struct {
        uint16_t last;
        uint64_t pages;
    } sizes[] = {{0, 1}, {127, 1}, {128, 2}, {0xFF, 2}, {0x100, 4}, {0xFFFF, 512}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        build(&(struct fake_linux_options){.amd = FAKE_AMD_LATER});
        fake_linux_put(&l, l.amd_segment + FAKE_SEGMENT_LAST, sizes[i].last, 2);
        assert_int_equal(read_units(), TOOL_OK);
        assert_int_equal((units[0].registers.amdvi.device_table & 0x1FF) + 1, sizes[i].pages);
    }
    for (unsigned i = 0; i < 2; i++) {
        build(&(struct fake_linux_options){.amd = FAKE_AMD});
        fake_linux_put(&l, l.amd_segment + FAKE_SEGMENT_SIZE, i ? 0x201000 : 0x1800, 4);
        bad(read_units(), "cannot be", 2);
        assert_false(units[0].known || units[0].has_root);
    }
    build(&(struct fake_linux_options){.amd = FAKE_AMD});
    fake_linux_put(&l, l.amd_segment + FAKE_SEGMENT_TABLE, direct(l.amd_table + 8), 8);
    bad(read_units(), "a device table at", 2);
    build(&(struct fake_linux_options){.amd = FAKE_AMD});
    fake_linux_put(&l, l.amd_segment + FAKE_SEGMENT_TABLE, 0, 8); // it never came to life
    assert_int_equal(read_units(), TOOL_OK);
    assert_true(units[0].known && !units[0].has_root);
    build(&(struct fake_linux_options){.amd = FAKE_AMD});
    fake_linux_put(&l, l.amd[0] + FAKE_AMD_SEGMENT, 0x4141414141414141, 8);
    bad(read_units(), "amd_iommu_pci_seg would be at 0x4141414141414141", 2);
    assert_false(units[0].known);
    assert_true(units[1].known);
    build(&(struct fake_linux_options){.amd = FAKE_AMD});
    fake_linux_put(&l, l.amd[0] + FAKE_AMD_LIST, direct(l.amd[0] + FAKE_AMD_LIST), 8);
    bad(read_units(), "runs in a circle", 1);
}

// ---- functions
static void test_functions(void **state)
{
    (void)state;
    build(NULL);
    fake_linux_put(&l, l.sysdata, 0x1234, 4);
    assert_int_equal(read_functions(), TOOL_OK);
    assert_int_equal(count, 3);
    assert_int_equal(functions[0].segment, 0x1234);
    assert_int_equal(functions[0].rid, 0x0010);
    assert_int_equal(functions[0].vendor, 0x8086);
    assert_int_equal(functions[0].device, 0x2668);
    assert_int_equal(functions[0].class_code, 0x040300);
    assert_string_equal(functions[0].driver, "fake_hda");
    assert_int_equal(functions[1].rid, 0x00E0);
    assert_string_equal(functions[1].driver, "");
    assert_int_equal(functions[2].rid, 0x0100);
    assert_int_equal(functions[2].class_code, 0x020000);
    build(NULL); // behind a VMD device: no requesters of their own
    fake_linux_put(&l, l.sysdata, 0x10000, 4);
    assert_int_equal(read_functions(), TOOL_OK);
    assert_int_equal(count, 0);
}

static void test_functions_driver(void **state)
{
    (void)state;
    build(NULL);
    l.absent[l.vmalloc / DAM_PAGE_SIZE] = true;
    assert_int_equal(read_functions(), TOOL_OK);
    assert_string_equal(functions[0].driver, "?");
    build(NULL);
    fake_linux_put(&l, l.dev[0] + FAKE_DEV_DEV + FAKE_DEVICE_DRIVER, 1, 8);
    assert_int_equal(read_functions(), TOOL_OK);
    assert_string_equal(functions[0].driver, "?");
    build(NULL); // up to the end of the page without an end, and no page behind
    memset(l.ram + l.vmalloc + 0xFF0, 'n', 16);
    assert_int_equal(read_functions(), TOOL_OK);
    assert_string_equal(functions[0].driver, "?");
    build(NULL); // cut to what there is room for
    fake_linux_put(&l, l.driver + FAKE_DRIVER_NAME, FAKE_VMALLOC + 0x400, 8);
    memset(l.ram + l.vmalloc + 0x400, 'n', 256);
    assert_int_equal(read_functions(), TOOL_OK);
    assert_int_equal(strlen(functions[0].driver), sizeof functions[0].driver - 1);
}

static void test_functions_lists(void **state)
{
    (void)state;
    build(NULL); // functions in a circle: those of the other bus are told
    fake_linux_put(&l, l.dev[0] + FAKE_DEV_LIST, direct(l.dev[0] + FAKE_DEV_LIST), 8);
    bad(read_functions(), "a list of PCI functions runs in a circle", 2);
    assert_int_equal(functions[1].rid, 0x0100);
    build(NULL); // a bus below itself
    fake_linux_put(&l, l.bus[1] + FAKE_BUS_CHILDREN, direct(l.bus[0] + FAKE_BUS_NODE), 8);
    enum tool_status status = read_functions();
    assert_true(count <= 65536);
    assert_int_equal(status, TOOL_BAD_INPUT);
    build(NULL);
    fake_linux_put(&l, l.root_buses, 0xFFFFFFFFFFFFFFF8, 8);
    bad(read_functions(), "pci_bus would be at", 0);
    build(NULL);
    fake_linux_put(&l, l.dev[0] + FAKE_DEV_DEVFN, 0x100, 4);
    bad(read_functions(), "devfn 0x100", 2);
    build(NULL);
    fake_linux_put(&l, l.bus[0] + FAKE_BUS_SYSDATA, 0, 8);
    bad(read_functions(), "pci_sysdata would be at 0x0", 1);
}

// Each word of a page leads to the next one: every bus has a list of buses and one of functions, and none of
// them is sound. All of it together has an end.
static void test_functions_endless(void **state)
{
    (void)state;
    build(NULL);
    for (unsigned i = 0; i < 400; i++) // not in a circle, and not too deep: only wide
        fake_linux_put(&l, l.vmalloc + 8 * i, FAKE_VMALLOC + 8 * (i + 1), 8);
    fake_linux_put(&l, l.root_buses, FAKE_VMALLOC + 0x10, 8);
    alarm(60);
    assert_int_equal(read_functions(), TOOL_BAD_INPUT);
    alarm(0);
    assert_true(count <= 65536);
}

// ---- the crash region
static void test_crash_region(void **state)
{
    struct dam_range range[2];
    (void)state;
    build(NULL);
    enter();
    assert_int_equal(kernel_crash_region(kernel, range, &count, &error), TOOL_OK);
    assert_int_equal(count, 2);
    assert_int_equal(range[0].start, 0x10000000);
    assert_int_equal(range[0].end, 0x20000000);
    assert_int_equal(range[1].start, 0x100000000);
    assert_int_equal(range[1].end, 0x140000000);
    fake_linux_put(&l, l.crashk_low_res, 0, 8);
    fake_linux_put(&l, l.crashk_low_res + 8, 0, 8);
    enter();
    assert_int_equal(kernel_crash_region(kernel, range, &count, &error), TOOL_OK);
    assert_int_equal(count, 1);
    assert_int_equal(range[0].start, 0x100000000);
    fake_linux_put(&l, l.crashk_res, 0x140000000, 8);
    enter();
    bad(kernel_crash_region(kernel, range, &count, &error), "crashk_res", 0);
    fake_linux_put(&l, l.crashk_res + 8, ~0ull, 8);
    enter();
    bad(kernel_crash_region(kernel, range, &count, &error), "crashk_res", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_units, leave_test),
        cmocka_unit_test_teardown(test_units_list, leave_test),
        cmocka_unit_test_teardown(test_units_pointers, leave_test),
        cmocka_unit_test_teardown(test_units_absent, leave_test),
        cmocka_unit_test_teardown(test_amd_units, leave_test),
        cmocka_unit_test_teardown(test_amd_pointers, leave_test),
        cmocka_unit_test_teardown(test_functions, leave_test),
        cmocka_unit_test_teardown(test_functions_driver, leave_test),
        cmocka_unit_test_teardown(test_functions_lists, leave_test),
        cmocka_unit_test_teardown(test_functions_endless, leave_test),
        cmocka_unit_test_teardown(test_crash_region, leave_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

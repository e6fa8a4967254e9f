// SPDX-License-Identifier: MIT
// What the dead kernel knew, read out of the memory of a small one: VMCOREINFO, page tables, kallsyms, BTF,
// lists; and each of them wrong in every way that can be thought of.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/kernel.h"
#include "lib/fake_linux.h"

static struct fake_linux l;
static struct memory *memory;
static struct kernel *kernel;
static struct tool_error error;

static void leave(void)
{
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

static enum tool_status enter(void)
{
    leave();
    memory = fake_linux_memory(&l);
    error.text[0] = '\0';
    return kernel_open(memory, &kernel, &error);
}

static void build(const struct fake_linux_options *options)
{
    fake_linux_build(&l, options);
}

static void opens(const struct fake_linux_options *options)
{
    build(options);
    if (enter() != TOOL_OK)
        fail_msg("%s", error.text);
}

static void refused(const char *text)
{
    if (enter() != TOOL_BAD_INPUT || strstr(error.text, text) == NULL)
        fail_msg("not refused with \"%s\": %s", text, error.text);
    assert_null(kernel);
}

static uint64_t physical(uint64_t va)
{
    dam_pa pa = {0};
    assert_int_equal(kernel_translate(kernel, va, &pa), DAM_OK);
    return pa.v;
}

// ---- page tables
static void translates(void)
{
    dam_pa pa;
    assert_int_equal(physical(FAKE_IMAGE + 0x1234), 0x1234);
    assert_int_equal(physical(FAKE_DIRECT + 0x12345), 0x12345);
    assert_int_equal(physical(FAKE_DIRECT + 0x3FFFFFFF), 0x3FFFFFFF);
    assert_int_equal(physical(FAKE_VMALLOC + 0xFFF), l.vmalloc + 0xFFF);
    assert_int_equal(kernel_translate(kernel, FAKE_VMALLOC + 0x1000, &pa), DAM_E_RANGE);
    assert_int_equal(kernel_translate(kernel, FAKE_DIRECT + 0x40000000, &pa), DAM_E_RANGE);
    assert_int_equal(kernel_translate(kernel, 0x1000, &pa), DAM_E_RANGE);
    assert_int_equal(kernel_translate(kernel, 0x7FFF888000000000, &pa), DAM_E_RANGE); // not canonical
}

static void test_paging(void **state)
{
    (void)state;
    opens(&(struct fake_linux_options){.levels = 4});
    translates();
    opens(&(struct fake_linux_options){.levels = 5});
    translates();
    opens(&(struct fake_linux_options){.sme_mask = 1ull << 47});
    translates();
}

static void test_paging_broken(void **state)
{
    dam_pa pa;
    uint8_t bytes[16];
    (void)state;
    opens(NULL);
    uint64_t direct = l.top + (FAKE_DIRECT >> 39 & 511) * 8;
    fake_linux_put(&l, direct, 0x7FFFF000 | 1, 8); // where there is no RAM
    assert_int_equal(enter(), TOOL_OK);
    assert_int_equal(kernel_translate(kernel, FAKE_DIRECT, &pa), DAM_E_BROKEN);
    fake_linux_put(&l, direct, 0x81, 8); // a page of 512 GiB: reserved
    assert_int_equal(enter(), TOOL_OK);
    assert_int_equal(kernel_translate(kernel, FAKE_DIRECT, &pa), DAM_E_BROKEN);
    fake_linux_put(&l, direct, l.top | 1, 8); // into itself: the levels end it
    assert_int_equal(enter(), TOOL_OK);
    assert_int_not_equal(kernel_translate(kernel, FAKE_DIRECT, &pa), DAM_OK);

    opens(NULL);
    assert_int_equal(kernel_read(kernel, FAKE_DIRECT + FAKE_LINUX_BYTES, bytes, 1), DAM_E_RANGE);
    assert_int_equal(kernel_read(kernel, FAKE_DIRECT + FAKE_LINUX_BYTES - 8, bytes, 16), DAM_E_RANGE);
    assert_int_equal(kernel_read(kernel, ~0ull - 7, bytes, 16), DAM_E_RANGE);
    assert_int_equal(kernel_read(kernel, FAKE_DIRECT + 0xFF8, bytes, 16), DAM_OK); // across two pages
    l.absent[l.vmalloc_table / DAM_PAGE_SIZE] = true;
    assert_int_equal(enter(), TOOL_OK);
    assert_int_equal(kernel_read(kernel, FAKE_VMALLOC, bytes, 16), DAM_E_ABSENT);
    l.absent[l.vmalloc_table / DAM_PAGE_SIZE] = false;
    l.absent[l.vmalloc / DAM_PAGE_SIZE] = true;
    assert_int_equal(enter(), TOOL_OK);
    assert_int_equal(kernel_read(kernel, FAKE_VMALLOC, bytes, 16), DAM_E_ABSENT);
}

// ---- VMCOREINFO
static void test_info_missing(void **state)
{
    static const struct {
        const char *key, *text;
    } lines[] = {
        {"SYMBOL(swapper_pg_dir)", "swapper_pg_dir"},
        {"SYMBOL(_stext)", "_stext"},
        {"SYMBOL(kallsyms_names)", "names of kallsyms"},
        {"SYMBOL(kallsyms_num_syms)", "before Linux 6.0"},
        {"SYMBOL(kallsyms_token_table)", "names of kallsyms"},
        {"SYMBOL(kallsyms_token_index)", "names of kallsyms"},
        {"SYMBOL(kallsyms_offsets)", "values of kallsyms"},
        {"SYMBOL(kallsyms_relative_base)", "kallsyms says that _stext is at"},
        {"NUMBER(phys_base)", "phys_base"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        build(NULL);
        fake_linux_drop(&l, lines[i].key);
        refused(lines[i].text);
        build(NULL);
        fake_linux_tell(&l, lines[i].key, "");
        refused(lines[i].text);
        build(NULL);
        fake_linux_tell(&l, lines[i].key, "12x4");
        refused(lines[i].text);
    }
    build(NULL);
    l.provider.vmcoreinfo = NULL;
    refused("no VMCOREINFO, and its memory holds none");
    build(NULL);
    l.provider.vmcoreinfo_size = 0;
    refused("swapper_pg_dir");
    // Without these, the ways of most machines are taken.
    build(NULL);
    fake_linux_drop(&l, "NUMBER(sme_mask)");
    fake_linux_drop(&l, "NUMBER(pgtable_l5_enabled)");
    assert_int_equal(enter(), TOOL_OK);
}

static void test_info_wrong(void **state)
{
    (void)state;
    build(NULL);
    fake_linux_tell(&l, "NUMBER(phys_base)", "-16777215");
    refused("no page address");
    build(NULL);
    fake_linux_tell(&l, "NUMBER(phys_base)", "16777216"); // no RAM there
    refused("page tables are broken");
    build(NULL);
    fake_linux_tell(&l, "NUMBER(pgtable_l5_enabled)", "2");
    refused("pgtable_l5_enabled");
    build(NULL);
    fake_linux_tell(&l, "NUMBER(pgtable_l5_enabled)", "1");
    assert_int_equal(enter(), TOOL_BAD_INPUT);
    build(NULL);
    l.absent[l.top / DAM_PAGE_SIZE] = true;
    refused("the dump does not hold kallsyms_num_syms");
    build(NULL);
    fake_linux_put(&l, l.image_table + (FAKE_IMAGE >> 21 & 511) * 8, 0, 8);
    refused("where the kernel has no memory");
    build(NULL);
    fake_linux_tell(&l, "SYMBOL(_stext)", "ffffffff81000001");
    refused("VMCOREINFO 0xffffffff81000001");
}

// Pictures of memory have no notes; the page that the kernel keeps the text in is in them.
static void test_info_searched(void **state)
{
    uint64_t va;
    (void)state;
    build(NULL);
    l.provider.vmcoreinfo = NULL;
    uint8_t *page = l.ram + FAKE_LINUX_BYTES - 4096, *earlier = page - 4096;
    memcpy(page, l.info, strlen(l.info));
    assert_int_equal(enter(), TOOL_OK);
    assert_true(kernel_symbol(kernel, "crashk_res", &va));
    memset(earlier, 'x', 4096); // no end, and leads nowhere
    memcpy(earlier, "OSRELEASE=", 10);
    assert_int_equal(enter(), TOOL_OK);
    memset(page, 0, 4096);
    refused("VMCOREINFO was found in memory, but:");
    memcpy(page + 8, l.info, strlen(l.info)); // not at its beginning
    memset(earlier, 0, 4096);
    refused("no VMCOREINFO, and its memory holds none");
}

// ---- kallsyms
static void test_symbols(void **state)
{
    char big[300];
    (void)state;
    for (enum fake_kallsyms form = FAKE_PERCPU; form <= FAKE_ABSOLUTE; form++) {
        uint64_t va = 0;
        opens(&(struct fake_linux_options){.kallsyms = form});
        assert_true(kernel_symbol(kernel, "dmar_drhd_units", &va));
        assert_int_equal(va, FAKE_IMAGE + l.drhd_units);
        assert_true(kernel_symbol(kernel, "crashk_res", &va)); // the last one
        assert_int_equal(va, FAKE_IMAGE + l.crashk_res);
        memset(big, 'x', sizeof big - 1);
        big[sizeof big - 1] = '\0';
        assert_true(kernel_symbol(kernel, big, &va));
        assert_int_equal(va, FAKE_IMAGE + 0x10);
        big[sizeof big - 2] = '\0';
        assert_false(kernel_symbol(kernel, big, &va));
        assert_false(kernel_symbol(kernel, "dmar_drhd_unit", &va));
        assert_false(kernel_symbol(kernel, "dmar_drhd_unitss", &va));
        assert_false(kernel_symbol(kernel, "", &va));
    }
}

static void test_symbols_broken(void **state)
{
    (void)state;
    build(NULL);
    fake_linux_put(&l, l.num_syms, 0, 4);
    refused("0 symbols");
    build(NULL);
    fake_linux_put(&l, l.num_syms, 0xFFFFFFFF, 4);
    refused("4294967295 symbols");
    build(NULL); // more than there are: on to the end of memory
    fake_linux_put(&l, l.num_syms, 1u << 20, 4);
    refused("kallsyms_names would be at");
    build(NULL); // a name with more tokens than there is memory
    fake_linux_put(&l, l.names, 0xFFFF, 2);
    assert_int_equal(enter(), TOOL_BAD_INPUT);
    build(NULL); // tokens that end nowhere
    memset(l.ram + l.token_table, 'x', 4096);
    assert_int_equal(enter(), TOOL_BAD_INPUT);
    build(NULL);
    memset(l.ram + l.token_index, 0xFF, 512);
    assert_int_equal(enter(), TOOL_BAD_INPUT);
    build(NULL);
    fake_linux_put(&l, l.relative_base, 0, 8);
    refused("kallsyms says that _stext is at");
    build(NULL);
    l.ram[l.names + 8] ^= 1; // in _stext
    l.ram[l.names + 9] ^= 1;
    refused("no _stext");
}

// ---- BTF
static void expect_member(const char *structure, const char *member, uint32_t at, uint32_t bytes)
{
    uint32_t offset = ~0u, size = ~0u;
    if (!kernel_member(kernel, structure, member, &offset, &size))
        fail_msg("no %s.%s", structure, member);
    assert_int_equal(offset, at);
    assert_int_equal(size, bytes);
}

static void test_members(void **state)
{
    static const char *const none[][2] = {
        {"intel_iommu", "capp"},
        {"intel_iommu", "ca"},
        {"intel_iommu", ""},
        {"no_such", "cap"},
        {"pci_dev", "dev.no"},
        {"pci_dev", "dev."},
        {"pci_dev", ".dev"},
        {"pci_dev", "devfn.x"},
        {"dmar_drhd_unit", "iommu.a"},
        {"intel_iommu", "flag"},
        {"unsigned int", "x"},
        {"empty", "x"},
        {"", ""},
    };
    (void)state;
    opens(NULL);
    expect_member("intel_iommu", "cap", FAKE_IOMMU_CAP, 8);
    expect_member("intel_iommu", "ecap", FAKE_IOMMU_ECAP, 8);
    expect_member("intel_iommu", "name", FAKE_IOMMU_NAME, 13);
    expect_member("intel_iommu", "root_entry", FAKE_IOMMU_ROOT, 8);
    expect_member("pci_dev", "dev", FAKE_DEV_DEV, 24);
    expect_member("pci_dev", "dev.driver", FAKE_DEV_DEV + FAKE_DEVICE_DRIVER, 8);
    expect_member("pci_dev", "bus_list.prev", FAKE_DEV_LIST + 8, 8);
    expect_member("dmar_drhd_unit", "segment", FAKE_DRHD_SEGMENT, 2);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        uint32_t offset, size;
        if (kernel_member(kernel, none[i][0], none[i][1], &offset, &size))
            fail_msg("%s.%s is there", none[i][0], none[i][1]);
    }
}

static void test_btf_broken(void **state)
{
    (void)state;
    build(NULL);
    fake_linux_put(&l, l.btf, 0, 2);
    refused("BTF is damaged");
    for (unsigned word = 4; word < 24; word += 4) {
        build(NULL);
        fake_linux_put(&l, l.btf + word, 0x7FFFFFF0, 4);
        refused("BTF is damaged");
    }
    build(NULL); // the page in which it ends
    l.absent[(l.btf + l.btf_size - 1) / DAM_PAGE_SIZE] = true;
    refused("the dump does not hold");
    build(NULL);
    uint64_t at = l.offsets + 4 * 4; // __stop_BTF
    fake_linux_put(&l, at, fake_linux_get(&l, at, 4) - 0x7000000, 4);
    refused("cannot be");
    build(NULL);
    fake_linux_put(&l, at, fake_linux_get(&l, l.offsets + 3 * 4, 4), 4);
    refused("cannot be");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_paging, leave_test),
        cmocka_unit_test_teardown(test_paging_broken, leave_test),
        cmocka_unit_test_teardown(test_info_missing, leave_test),
        cmocka_unit_test_teardown(test_info_wrong, leave_test),
        cmocka_unit_test_teardown(test_info_searched, leave_test),
        cmocka_unit_test_teardown(test_symbols, leave_test),
        cmocka_unit_test_teardown(test_symbols_broken, leave_test),
        cmocka_unit_test_teardown(test_members, leave_test),
        cmocka_unit_test_teardown(test_btf_broken, leave_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

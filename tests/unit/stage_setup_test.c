// SPDX-License-Identifier: MIT
// boot_params: the wrapped kernel's header put back, setup_data, the root pointer from EFI; and console text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/fake_mem.h"
#include "pure/bytes.h"
#include "pure/efi.h"
#include "pure/setup.h"
#include "pure/registers.h"
#include "pure/text.h"

// Every byte of boot_params, by its offset: 1 where the kernel's own value must come back. Typed in from the
// list of fields in Documentation/arch/x86/boot.rst, apart from the code.
static bool belongs_to_image(unsigned at)
{
    const struct {
        unsigned first, last;
    } image[] = {
        {0x1F1, 0x1F1}, {0x1F4, 0x1F7}, {0x1FE, 0x207}, {0x20C, 0x20F},
        {0x22C, 0x23B}, {0x248, 0x24F}, {0x258, 0x26B},
    };
    for (size_t i = 0; i < sizeof(image) / sizeof(image[0]); i++)
        if (at >= image[i].first && at <= image[i].last)
            return true;
    return false;
}

static void header_comes_back(void **state)
{
    (void)state;
    uint8_t bp[BP_SIZE], original[DAM_SETUP_HEADER_SIZE];
    memset(bp, 0xAA, sizeof(bp));
    memset(original, 0x55, sizeof(original));
    setup_restore_header(bp, original);
    for (unsigned i = 0; i < BP_SIZE; i++)
        assert_int_equal(bp[i], belongs_to_image(i) ? 0x55 : 0xAA);
    for (unsigned i = 0; i < sizeof(original); i++)
        original[i] = (uint8_t)i;
    setup_restore_header(bp, original);
    assert_int_equal(bytes_get32(bp + 0x260), 0x7271706F); // each field from its own place
    assert_int_equal(bytes_get32(bp + 0x230), 0x4241403F);
}

static void addresses_in_halves(void **state)
{
    (void)state;
    uint8_t bp[BP_SIZE] = {0};
    setup_set_cmdline(bp, 0x123456789Aull);
    assert_int_equal(bytes_get32(bp + 0x228), 0x3456789A);
    assert_int_equal(bytes_get32(bp + 0x0C8), 0x12);
    assert_int_equal(setup_cmdline(bp), 0x123456789Aull);
    uint64_t size;
    bytes_put32(bp + 0x218, 0x80000000);
    bytes_put32(bp + 0x0C0, 3);
    bytes_put32(bp + 0x21C, 0x1000);
    bytes_put32(bp + 0x0C4, 1);
    assert_int_equal(setup_ramdisk(bp, &size), 0x380000000ull);
    assert_int_equal(size, 0x100001000ull);
}

static void put_node(struct fake_mem *mem, uint64_t pa, uint64_t next, uint32_t type, uint32_t len)
{
    fake_mem_write_u64(mem, pa, next);
    fake_mem_write_u32(mem, pa + 8, type);
    fake_mem_write_u32(mem, pa + 12, len);
}

static void setup_data(void **state)
{
    (void)state;
    struct fake_mem mem = {0};
    fake_mem_init(&mem);
    uint8_t bp[BP_SIZE] = {0};
    struct setup_node nodes[100];
    size_t count = 99;
    assert_int_equal(setup_data_walk(&mem.ops, bp, nodes, 100, &count), DAM_OK);
    assert_int_equal(count, 0);
    bytes_put64(bp + BP_SETUP_DATA, 0x5000);
    put_node(&mem, 0x5000, 0x6000, 9, 32);
    put_node(&mem, 0x6000, 0, SETUP_DATA_EFI, 96);
    assert_int_equal(setup_data_walk(&mem.ops, bp, nodes, 100, &count), DAM_OK);
    assert_int_equal(count, 2);
    assert_int_equal(nodes[1].type, SETUP_DATA_EFI);
    assert_int_equal(nodes[1].len, 96);
    assert_int_equal(nodes[1].data.v, 0x6010);
    assert_int_equal(setup_data_walk(&mem.ops, bp, nodes, 1, &count), DAM_OK);
    assert_int_equal(count, 1);
    put_node(&mem, 0x6000, 0x5000, SETUP_DATA_EFI, 96); // a loop
    assert_int_equal(setup_data_walk(&mem.ops, bp, nodes, 100, &count), DAM_OK);
    assert_int_equal(count, SETUP_DATA_MAX);
    put_node(&mem, 0x6000, 0xFFFFFFFFFFFFFFF8, SETUP_DATA_EFI, 96);
    assert_int_equal(setup_data_walk(&mem.ops, bp, nodes, 100, &count), DAM_E_RANGE);
    assert_int_equal(count, 2);
    fake_mem_free(&mem);
}

#define SYSTAB 0x7F9EE018ull
#define TABLES 0x7F000000ull

static const uint8_t acpi20[16] = {0x71, 0xE8, 0x68, 0x88, 0xF1, 0xE4, 0xD3, 0x11,
                                   0xBC, 0x22, 0x00, 0x80, 0xC7, 0x3C, 0x88, 0x81};
static const uint8_t acpi10[16] = {0x30, 0x2D, 0x9D, 0xEB, 0x88, 0x2D, 0xD3, 0x11,
                                   0x9A, 0x16, 0x00, 0x90, 0x27, 0x3F, 0xC1, 0x4D};

static void put_entry(struct fake_mem *mem, unsigned i, const uint8_t guid[16], uint64_t table)
{
    fake_mem_write(mem, TABLES + i * 24, guid, 16);
    fake_mem_write_u64(mem, TABLES + i * 24 + 16, table);
}

static void efi_machine(struct fake_mem *mem, uint8_t *bp, uint64_t entries, uint64_t tables)
{
    memset(bp, 0, BP_SIZE);
    bytes_put32(bp + BP_EFI_SIGNATURE, 0x34364C45);
    bytes_put32(bp + BP_EFI_SYSTAB, (uint32_t)SYSTAB);
    fake_mem_write(mem, SYSTAB, "IBI SYST", 8);
    fake_mem_write_u64(mem, SYSTAB + 0x68, entries);
    fake_mem_write_u64(mem, SYSTAB + 0x70, tables);
}

static void efi_root_pointer(void **state)
{
    (void)state;
    struct fake_mem mem = {0};
    fake_mem_init(&mem);
    uint8_t bp[BP_SIZE], other[16] = {1};
    dam_pa rsdp = {9};
    efi_machine(&mem, bp, 3, TABLES);
    put_entry(&mem, 0, other, 0x111);
    put_entry(&mem, 1, acpi10, 0x7F77D000);
    put_entry(&mem, 2, acpi20, 0x7F77D014);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_OK);
    assert_int_equal(rsdp.v, 0x7F77D014);
    efi_machine(&mem, bp, 2, TABLES); // only the older one
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_OK);
    assert_int_equal(rsdp.v, 0x7F77D000);
    efi_machine(&mem, bp, 1, TABLES);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_OK);
    assert_int_equal(rsdp.v, 0);
    // Under kexec the system table's pointer is virtual, and the node tells.
    efi_machine(&mem, bp, 3, 0xFFFFFFFEFE9EE000);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_E_RANGE);
    const struct setup_node nodes[] = {
        {9, 32, {0x100}}, {SETUP_DATA_EFI, 16, {0x200}}, {SETUP_DATA_EFI, 96, {0x5010}}};
    fake_mem_write_u64(&mem, 0x5020, TABLES);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, nodes, 3, &rsdp), DAM_OK);
    assert_int_equal(rsdp.v, 0x7F77D014);
    fake_mem_free(&mem);
}

static void hostile_efi(void **state)
{
    (void)state;
    struct fake_mem mem = {0};
    fake_mem_init(&mem);
    uint8_t bp[BP_SIZE];
    dam_pa rsdp = {9};
    efi_machine(&mem, bp, 3, TABLES);
    bytes_put32(bp + BP_EFI_SIGNATURE, 0x32334C45); // 32-bit firmware
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_E_ABSENT);
    assert_int_equal(rsdp.v, 0);
    efi_machine(&mem, bp, 3, TABLES);
    bytes_put32(bp + BP_EFI_SYSTAB, 0);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_E_ABSENT);
    bytes_put32(bp + BP_EFI_SYSTAB_HIGH, 0x80000000);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_E_RANGE);
    efi_machine(&mem, bp, 3, TABLES);
    fake_mem_write(&mem, SYSTAB, "IBI SYSX", 8);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_E_SIGNATURE);
    efi_machine(&mem, bp, ~0ull, TABLES); // no end of tables: looked at up to a bound
    uint8_t zeros[24 * EFI_TABLES_MAX] = {0};
    fake_mem_write(&mem, TABLES, zeros, sizeof(zeros));
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_OK);
    assert_int_equal(rsdp.v, 0);
    put_entry(&mem, EFI_TABLES_MAX, acpi20, 0x1234);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_OK);
    assert_int_equal(rsdp.v, 0);
    put_entry(&mem, EFI_TABLES_MAX - 1, acpi20, 0x1234);
    assert_int_equal(efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp), DAM_OK);
    assert_int_equal(rsdp.v, 0x1234);
    for (uint64_t n = 1; n <= 2 + EFI_TABLES_MAX; n++) { // each read failing
        mem.calls = 0;
        mem.fail_at = n;
        dam_err err = efi_find_rsdp(&mem.ops, bp, NULL, 0, &rsdp);
        assert_int_equal(err, n <= 1 + EFI_TABLES_MAX ? DAM_E_IO : DAM_OK);
    }
    fake_mem_free(&mem);
}

static void formats(void **state)
{
    (void)state;
    char out[64];
    assert_int_equal(text_format(out, sizeof(out), "%s %c %u %x %%", "word", 'c', 4294967295u, 0xBEEFu), 24);
    assert_string_equal(out, "word c 4294967295 beef %");
    text_format(out, sizeof(out), "%lu 0x%lx %04x %3u|%02x", ~0ul, ~0ul, 0x1Fu, 7u, 0x123u);
    assert_string_equal(out, "18446744073709551615 0xffffffffffffffff 001f   7|123");
    assert_int_equal(text_format(out, 5, "%s", "longer"), 4);
    assert_string_equal(out, "long");
    assert_int_equal(text_format(out, 1, "%u", 123u), 0);
    assert_string_equal(out, "");
    text_format(out, sizeof(out), "%s", "a\x1b[31m\tb\x80");
    assert_string_equal(out, "a?[31m?b?");
}

static void registers(void **state)
{
    (void)state;
    struct dam_note_unit u = {.before = {.vtd = {.rtaddr = 0x1000, .iqa = 5, .gsts = 0xC7000000}},
                              .after = {.vtd = {.rtaddr = 0x7362E000, .gsts = 0x80000000}}};
    char out[200];
    const char *text = ", RTADDR 0x1000 -> 0x7362e000, GSTS 0xc7000000 -> 0x80000000";
    assert_int_equal(registers_text(&u, out, sizeof(out)), strlen(text));
    assert_string_equal(out, text);
    u = (struct dam_note_unit){.kind = DAM_IOMMU_AMDVI,
                               .before = {.amdvi = {.device_table = 0x12001FF, .control = 1ull << 40 | 1}},
                               .after = {.amdvi = {.device_table = 0x736001FF, .command_base = 5}}};
    registers_text(&u, out, sizeof(out));
    assert_string_equal(out, ", DevTabBase 0x12001ff -> 0x736001ff, Control 0x10000000001 -> 0x0");
    assert_int_equal(registers_text(&u, out, 10), 9);
    assert_string_equal(out, ", DevTabB");
    u.kind = 2;
    assert_int_equal(registers_text(&u, out, sizeof(out)), 0);
    assert_string_equal(out, "");
}

static void texts(void **state)
{
    (void)state;
    assert_string_equal(text_of_stop(DAM_STOP_NONE), "taken over");
    assert_string_equal(text_of_stop(DAM_STOP_IOMMU_OFF), "translation is off in every IOMMU");
    assert_string_equal(text_of_stop(DAM_STOP_UNITS), "some IOMMUs could not be taken over");
    assert_string_equal(text_of_stop(63), "?");
    assert_string_equal(text_of_policy(DAM_POLICY_FREEZE), "freeze");
    assert_string_equal(text_of_policy(DAM_POLICY_BLOCK), "block");
    assert_string_equal(text_of_policy(4), "?");
    assert_string_equal(text_of_error(DAM_OK), "success");
    assert_string_equal(text_of_error(DAM_E_IO), "an access through the operations failed");
    assert_string_equal(text_of_error(DAM_E_IO + 1), "?");
    assert_string_equal(text_of_error(~0u), "?");
    assert_string_equal(text_of_unit_status(DAM_UNIT_PLANNED), "planned, not reached");
    assert_string_equal(text_of_unit_status(10), "?");
#define DAM_X(name, value, severity, text) assert_string_equal(text_of_finding(value), text);
    DAM_FINDINGS(DAM_X)
#undef DAM_X
#define DAM_X(name, value, text) assert_string_equal(text_of_stop(value), text);
    DAM_STOPS(DAM_X)
#undef DAM_X
    assert_string_equal(text_of_finding(9999), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_comes_back), cmocka_unit_test(addresses_in_halves),
        cmocka_unit_test(setup_data),        cmocka_unit_test(efi_root_pointer),
        cmocka_unit_test(hostile_efi),       cmocka_unit_test(formats),
        cmocka_unit_test(registers),         cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests_name("stage boot_params", tests, NULL, NULL);
}

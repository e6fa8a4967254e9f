// SPDX-License-Identifier: MIT
// The root pointer: where it is looked for, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acpi/tables.h"
#include "lib/fake_mem.h"

// A root pointer of revision 2: RSDT at 7FFE0000h, XSDT at 1_7FFE1000h.
static const uint8_t rsdp2[36] = {
    'R',  'S',  'D',  ' ',  'P', 'T', 'R',  ' ',  0xA0, 'O',  'E',  'M', 'O', 'E', 'M',  2, 0x00, 0x00,
    0xFE, 0x7F, 0x24, 0x00, 0,   0,   0x00, 0x10, 0xFE, 0x7F, 0x01, 0,   0,   0,   0x4E, 0, 0,    0,
};

static int setup(void **state)
{
    struct fake_mem *mem = calloc(1, sizeof(*mem));
    fake_mem_init(mem);
    *state = mem;
    return 0;
}

static int teardown(void **state)
{
    fake_mem_free(*state);
    free(*state);
    return 0;
}

static void set_sum(uint8_t *bytes, size_t size, size_t at)
{
    uint8_t sum = 0;
    bytes[at] = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[at] = (uint8_t)(0 - sum);
}

// Puts a root pointer of revision 0 at pa that names an RSDT.
static void put_v1(struct fake_mem *mem, uint64_t pa, uint32_t rsdt)
{
    uint8_t bytes[20] = "RSD PTR ";
    memcpy(bytes + 16, &rsdt, 4);
    set_sum(bytes, 20, 8);
    fake_mem_write(mem, pa, bytes, sizeof(bytes));
}

static void sums(void **state)
{
    (void)state;
    assert_int_equal(acpi_sum("", 0), 0);
    assert_int_equal(acpi_sum("\x01\x02\xFD", 3), 0);
    assert_int_equal(acpi_sum("\xFF\xFF", 2), 0xFE);
}

static void both_revisions(void **state)
{
    struct fake_mem *mem = *state;
    struct acpi_rsdp rsdp;
    fake_mem_write(mem, 0x7FFFF014, rsdp2, sizeof(rsdp2));
    assert_int_equal(acpi_check_rsdp(&mem->ops, dam_pa_of(0x7FFFF014), &rsdp), DAM_OK);
    assert_int_equal(rsdp.pa.v, 0x7FFFF014);
    assert_int_equal(rsdp.revision, 2);
    assert_int_equal(rsdp.rsdt.v, 0x7FFE0000);
    assert_int_equal(rsdp.xsdt.v, 0x17FFE1000);
    put_v1(mem, 0xF0000, 0x80001234);
    assert_int_equal(acpi_check_rsdp(&mem->ops, dam_pa_of(0xF0000), &rsdp), DAM_OK);
    assert_int_equal(rsdp.revision, 0);
    assert_int_equal(rsdp.rsdt.v, 0x80001234);
    assert_int_equal(rsdp.xsdt.v, 0);
}

// One of revision 0 has only 20 bytes: it may lie at the end of memory.
static void short_one_at_the_end_of_memory(void **state)
{
    struct fake_mem *mem = *state;
    struct acpi_rsdp rsdp;
    put_v1(mem, 0x1FEC, 0x1000);
    assert_int_equal(acpi_check_rsdp(&mem->ops, dam_pa_of(0x1FEC), &rsdp), DAM_OK);
    fake_mem_write(mem, 0x1FEC, rsdp2, 20); // now it says that it goes on
    assert_int_equal(acpi_check_rsdp(&mem->ops, dam_pa_of(0x1FEC), &rsdp), DAM_E_RANGE);
}

static void cut_at_every_byte(void **state)
{
    struct fake_mem *mem = *state;
    struct acpi_rsdp rsdp;
    for (uint64_t there = 1; there < sizeof(rsdp2); there++) {
        fake_mem_write(mem, 0x2000 - there, rsdp2, (size_t)there);
        assert_int_equal(acpi_check_rsdp(&mem->ops, dam_pa_of(0x2000 - there), &rsdp), DAM_E_RANGE);
    }
}

static void every_bit_flipped(void **state)
{
    struct fake_mem *mem = *state;
    struct acpi_rsdp rsdp;
    for (unsigned bit = 0; bit < 8 * sizeof(rsdp2); bit++) {
        uint8_t bytes[sizeof(rsdp2)];
        memcpy(bytes, rsdp2, sizeof(bytes));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        fake_mem_write(mem, 0x1000, bytes, sizeof(bytes));
        dam_err want = bit < 64 ? DAM_E_SIGNATURE : DAM_E_CHECKSUM;
        dam_err err = acpi_check_rsdp(&mem->ops, dam_pa_of(0x1000), &rsdp);
        if (bit >= 160 && bit < 192) // the length: too small or too large comes first
            assert_true(err == DAM_E_LENGTH || err == DAM_E_CHECKSUM);
        else
            assert_int_equal(err, want);
    }
}

static void lengths(void **state)
{
    struct fake_mem *mem = *state;
    static const struct {
        uint32_t length;
        dam_err want;
    } cases[] = {{0, DAM_E_LENGTH},
                 {20, DAM_E_LENGTH},
                 {35, DAM_E_LENGTH},
                 {36, DAM_OK},
                 {40, DAM_OK},
                 {256, DAM_OK},
                 {257, DAM_E_LENGTH},
                 {0x10024, DAM_E_LENGTH},
                 {0xFFFFFFFF, DAM_E_LENGTH}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[256] = {0};
        struct acpi_rsdp rsdp;
        memcpy(bytes, rsdp2, sizeof(rsdp2));
        memcpy(bytes + 20, &cases[i].length, 4);
        set_sum(bytes, cases[i].length <= 256 ? cases[i].length : 256, 32);
        fake_mem_write(mem, 0x1000, bytes, sizeof(bytes));
        assert_int_equal(acpi_check_rsdp(&mem->ops, dam_pa_of(0x1000), &rsdp), cases[i].want);
    }
}

static void names_nothing(void **state)
{
    struct fake_mem *mem = *state;
    struct acpi_rsdp rsdp;
    put_v1(mem, 0x1000, 0);
    assert_int_equal(acpi_check_rsdp(&mem->ops, dam_pa_of(0x1000), &rsdp), DAM_E_ABSENT);
}

static void address_that_wraps(void **state)
{
    struct fake_mem *mem = *state;
    struct acpi_rsdp rsdp;
    for (uint64_t back = 0; back < 256; back++)
        assert_int_equal(acpi_check_rsdp(&mem->ops, dam_pa_of(~0ull - back), &rsdp), DAM_E_RANGE);
    assert_int_equal(mem->calls, 0);
}

static void first_sound_candidate(void **state)
{
    struct fake_mem *mem = *state;
    struct acpi_rsdp rsdp;
    const dam_pa candidates[] = {{0}, {0x5000}, {0x1000}, {0x2000}, {0xFFFFFFFFFFFFFFF0}};
    fake_mem_add(mem, 0x1000, 0x1000); // a page without a root pointer
    fake_mem_write(mem, 0x2000, rsdp2, sizeof(rsdp2));
    put_v1(mem, 0xF1230, 0x1234); // not reached
    assert_int_equal(acpi_find_rsdp(&mem->ops, candidates, 5, &rsdp), DAM_OK);
    assert_int_equal(rsdp.pa.v, 0x2000);
    assert_int_equal(rsdp.source, 3);
    assert_int_equal(rsdp.revision, 2);
    // The BIOS area takes over when the candidate is broken.
    fake_mem_write_u8(mem, 0x2008, 0);
    assert_int_equal(acpi_find_rsdp(&mem->ops, candidates, 5, &rsdp), DAM_OK);
    assert_int_equal(rsdp.pa.v, 0xF1230);
    assert_int_equal(rsdp.source, ACPI_RSDP_FROM_BIOS);
    assert_int_equal(rsdp.rsdt.v, 0x1234);
}

static bool found_at(struct fake_mem *mem, uint64_t want)
{
    struct acpi_rsdp rsdp;
    dam_err err = acpi_find_rsdp(&mem->ops, NULL, 0, &rsdp);
    assert_int_equal(rsdp.source, ACPI_RSDP_FROM_BIOS);
    if (err == DAM_OK)
        return rsdp.pa.v == want;
    assert_int_equal(err, DAM_E_ABSENT);
    assert_int_equal(rsdp.pa.v, 0);
    return false;
}

static void bios_area_from_end_to_end(void **state)
{
    struct fake_mem *mem = *state;
    static const struct {
        uint64_t pa;
        bool found;
    } cases[] = {{0xDFFF0, false}, {0xE0000, true}, {0xE01F0, true}, {0xE0200, true},  {0xE0208, false},
                 {0xEFFF0, true},  {0xFFFE0, true}, {0xFFFF0, true}, {0x100000, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_mem_add(mem, 0xDF000, 0x22000);
        put_v1(mem, cases[i].pa, 0x1000);
        assert_int_equal(found_at(mem, cases[i].pa), cases[i].found);
        fake_mem_free(mem);
    }
}

static void holes_are_passed_over(void **state)
{
    struct fake_mem *mem = *state;
    put_v1(mem, 0xF5A50, 0x1000); // the only page there is
    assert_true(found_at(mem, 0xF5A50));
}

static void broken_ones_are_passed_over(void **state)
{
    struct fake_mem *mem = *state;
    fake_mem_write(mem, 0xE1000, "RSD PTR ", 8);
    put_v1(mem, 0xE2000, 0x1000);
    fake_mem_write_u8(mem, 0xE2008, 0x55);
    put_v1(mem, 0xE3000, 0x1000);
    assert_true(found_at(mem, 0xE3000));
}

static void ebda(void **state)
{
    struct fake_mem *mem = *state;
    static const struct {
        uint16_t segment;
        uint64_t pa;
        bool found;
    } cases[] = {{0x9FC0, 0x9FC00, true}, {0x9FC0, 0x9FFF0, true}, {0x9FC0, 0xA0000, false},
                 {0x9FC1, 0x9FC10, true}, {0, 0, false},           {0, 0x100, false},
                 {0x40, 0x400, false},    {0x41, 0x410, true},     {0xFFFF, 0xFFFF0, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_mem_add(mem, 0, 0x1000);
        fake_mem_add(mem, cases[i].pa, 0x1000);
        fake_mem_write_u16(mem, 0x40E, cases[i].segment);
        if (cases[i].pa)
            put_v1(mem, cases[i].pa, 0x1000);
        assert_int_equal(found_at(mem, cases[i].pa), cases[i].found);
        fake_mem_free(mem);
    }
}

static void none_at_all(void **state)
{
    struct fake_mem *mem = *state;
    assert_false(found_at(mem, 0));
    assert_in_range(mem->calls, 1, 400); // the search is bounded even where nothing can be read
    fake_mem_add(mem, 0, 0x100000);
    assert_false(found_at(mem, 0));
    assert_in_range(mem->read_bytes, 0x20000, 0x20000 + 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(sums),
        T(both_revisions),
        T(short_one_at_the_end_of_memory),
        T(cut_at_every_byte),
        T(every_bit_flipped),
        T(lengths),
        T(names_nothing),
        T(address_that_wraps),
        T(first_sound_candidate),
        T(bios_area_from_end_to_end),
        T(holes_are_passed_over),
        T(broken_ones_are_passed_over),
        T(ebda),
        T(none_at_all),
    };
    return cmocka_run_group_tests_name("acpi_rsdp", tests, NULL, NULL);
}

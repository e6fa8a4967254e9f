// SPDX-License-Identifier: MIT
// The MCFG reader.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acpi/mcfg.h"

// Three windows and a rest of 3 bytes.
static const uint8_t table[95] = {
    'M', 'C', 'F', 'G', 95, 0, 0, 0, 1, 0, [36] = 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    // 44
    0x00, 0x00, 0x00, 0xB0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 1, 2, 3, 4,
    // 60
    0x00, 0x00, 0x00, 0x00, 0x78, 0x56, 0x34, 0x12, 0xCD, 0xAB, 0x20, 0x3F, 0, 0, 0, 0,
    // 76
    0x00, 0x00, 0x00, 0xE0, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x80, 0x80, 0, 0, 0, 0,
    // 92
    0xAA, 0xAA, 0xAA};

static void every_field(void **state)
{
    (void)state;
    struct mcfg_entry e;
    uint32_t cursor = 0;
    assert_int_equal(mcfg_next(table, sizeof(table), &cursor, &e), DAM_OK);
    assert_int_equal(e.base.v, 0xB0000000);
    assert_int_equal(e.segment, 0);
    assert_int_equal(e.first_bus, 0);
    assert_int_equal(e.last_bus, 255);
    assert_int_equal(mcfg_next(table, sizeof(table), &cursor, &e), DAM_OK);
    assert_int_equal(e.base.v, 0x1234567800000000);
    assert_int_equal(e.segment, 0xABCD);
    assert_int_equal(e.first_bus, 0x20);
    assert_int_equal(e.last_bus, 0x3F);
    assert_int_equal(mcfg_next(table, sizeof(table), &cursor, &e), DAM_OK);
    assert_int_equal(e.base.v, 0xE0000000);
    assert_int_equal(e.segment, 1);
    assert_int_equal(e.first_bus, 0x80);
    assert_int_equal(e.last_bus, 0x80);
    assert_int_equal(mcfg_next(table, sizeof(table), &cursor, &e), DAM_E_ABSENT);
    assert_int_equal(mcfg_next(table, sizeof(table), &cursor, &e), DAM_E_ABSENT);
    assert_int_equal(e.base.v, 0);
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof(table); size++) {
        uint8_t *copy = malloc(size ? size : 1);
        struct mcfg_entry e;
        uint32_t cursor = 0;
        unsigned entries = 0;
        memcpy(copy, table, size);
        assert_int_equal(mcfg_next(copy, size, &cursor, &e), DAM_E_LENGTH);
        if (size > 4)
            copy[4] = (uint8_t)size; // now the header says so too
        while (mcfg_next(copy, size, &cursor, &e) == DAM_OK)
            entries++;
        assert_int_equal(entries, size < 60 ? 0 : (size - 44) / 16);
        free(copy);
    }
}

static void refused(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(table)];
    struct mcfg_entry e;
    static const uint32_t lengths[] = {0, 43, 96, 0xFFFFFFFF};
    for (unsigned i = 0; i < 4; i++) {
        uint32_t cursor = 0;
        memcpy(bytes, table, sizeof(table));
        bytes[i]++;
        assert_int_equal(mcfg_next(bytes, sizeof(bytes), &cursor, &e), DAM_E_SIGNATURE);
        memcpy(bytes, table, sizeof(table));
        memcpy(bytes + 4, &lengths[i], 4);
        assert_int_equal(mcfg_next(bytes, sizeof(bytes), &cursor, &e), DAM_E_LENGTH);
    }
}

static void bad_entries_are_stepped_over(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(table)];
    struct mcfg_entry e;
    uint32_t cursor = 0;
    memcpy(bytes, table, sizeof(table));
    bytes[54] = 1; // first bus 1, last bus 0
    bytes[55] = 0;
    memset(bytes + 60, 0xFF, 8); // wraps
    assert_int_equal(mcfg_next(bytes, sizeof(bytes), &cursor, &e), DAM_E_RANGE);
    assert_int_equal(mcfg_next(bytes, sizeof(bytes), &cursor, &e), DAM_E_RANGE);
    assert_int_equal(mcfg_next(bytes, sizeof(bytes), &cursor, &e), DAM_OK);
    assert_int_equal(e.base.v, 0xE0000000);
    // The last window that fits below 2^64: bus 3Fh ends at base + 40h MiB.
    const uint64_t highest = 0ull - 0x4000000 - 1, wraps = highest + 1;
    cursor = 60;
    memcpy(bytes + 60, &highest, 8);
    assert_int_equal(mcfg_next(bytes, sizeof(bytes), &cursor, &e), DAM_OK);
    cursor = 60;
    memcpy(bytes + 60, &wraps, 8);
    assert_int_equal(mcfg_next(bytes, sizeof(bytes), &cursor, &e), DAM_E_RANGE);
}

static void wild_cursor(void **state)
{
    (void)state;
    static const uint32_t cursors[] = {93, 95, 96, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        struct mcfg_entry e;
        uint32_t cursor = cursors[i];
        assert_int_equal(mcfg_next(table, sizeof(table), &cursor, &e), DAM_E_ABSENT);
        assert_int_equal(cursor, cursors[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field), cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(refused),     cmocka_unit_test(bad_entries_are_stepped_over),
        cmocka_unit_test(wild_cursor),
    };
    return cmocka_run_group_tests_name("acpi_mcfg", tests, NULL, NULL);
}

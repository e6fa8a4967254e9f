// SPDX-License-Identifier: MIT
// Showing an IVRS table: every kind of block and entry, as text and as JSON, and the line that refuses a
// broken one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acpi_view.h"
#include "ivrs_view.h"

// clang-format off
static const uint8_t whole[] = {
    'I', 'V', 'R', 'S', 0, 0, 0, 0, 2, 0, 'O', 'E', 'M', '\x01', ' ', 0, 'T', 'A', 'B', 'L', 'E', 0, 0, 0,
    0x78, 0x56, 0x34, 0x12, 'C', 'R', 'E', 'A', 7, 0, 0, 0,
    0x43, 0x30, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 48: IVHD 10h, an end without start, a range without end, a special of no known kind */
    0x10, 0xB1, 40, 0, 2, 0, 0x40, 0, 0, 0, 0xD8, 0xFE, 0, 0, 0, 0, 7, 0, 0x21, 3, 0x0D, 0x0C, 0x0B, 0x0A,
    4, 6, 0, 0, 3, 8, 0, 0, 0x48, 0, 0, 0, 9, 0xA3, 0, 3,
    /* 88: IVHD 11h for the same IOMMU, all simple kinds */
    0x11, 0x30, 120, 0, 2, 0, 0x40, 0, 0, 0, 0xD8, 0xFE, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0,
    0xDE, 0x4A, 0x25, 0x22, 0xEF, 0x73, 0x6D, 0x20, 5, 0, 0, 0, 0, 0, 0, 0,
    1, 0, 0, 0x30, 0, 0, 0, 0, 2, 9, 1, 0xC7, 3, 8, 0, 0, 4, 0xFE, 0xFF, 0,
    0x42, 0x20, 3, 0, 0, 0xA5, 4, 0, 0x43, 0, 0xFF, 0, 0, 0x66, 5, 0, 4, 0xFF, 0xFF, 0,
    0x46, 0x30, 6, 0, 0, 0, 0, 0x80, 0x47, 0x38, 6, 2, 4, 3, 2, 1, 4, 0x3F, 6, 0,
    0x48, 0, 0, 0xD7, 0x21, 0xA0, 0, 1, 0x48, 0, 0, 0, 0, 0xA0, 0, 2, 0x3F, 1, 2, 3,
    /* 208: unknown */
    0x51, 0xEE, 5, 0, 0xAA,
    /* 213: IVHD 40h of another IOMMU: an id of a string, of a number, of neither */
    0x40, 0, 51, 0, 2, 0x40, 0x60, 0, 0, 0, 0, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x00, 0, 0,
    /* 264: IVMDs */
    0x20, 7, 32, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0x7D, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0,
    0x22, 8, 32, 0, 9, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0x7C, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0,
};
// clang-format on

// The entries of the last IVHD, apart, as their lengths are their own.
static const uint8_t devices[] = {
    0xF0, 0xA5, 0,    0x40, 'A', 'M', 'D', 'I', '0',  '0', '2', '0',  'P',  'N',  'P', '0', 0,   0,   0,
    0,    2,    5,    '\\', '_', 'S', 'B', '.', 0xF0, 7,   1,   0,    'M',  'S',  'F', 'T', '0', '2', '0',
    '1',  0,    0,    0,    0,   0,   0,   0,   0,    1,   2,   0x34, 0x12, 0xF0, 8,   1,   0,   'M', 'S',
    'F',  'T',  '\n', '2',  '0', '1', 0,   0,   0,    0,   0,   0,    0,    0,    7,   1,   'x',
};

#define TABLE_SIZE 391u
static uint8_t table_bytes[TABLE_SIZE];

static void set_sum(void)
{
    uint8_t sum = 0;
    table_bytes[9] = 0;
    for (size_t i = 0; i < TABLE_SIZE; i++)
        sum = (uint8_t)(sum + table_bytes[i]);
    table_bytes[9] = (uint8_t)-sum;
}

// The table, with the devices in the IVHD 40h in place of its 11 bytes of nothing.
static void build(void)
{
    _Static_assert(sizeof whole == 328 && sizeof devices == 74, "see TABLE_SIZE");
    memcpy(table_bytes, whole, 253);
    memcpy(table_bytes + 253, devices, sizeof devices);
    memcpy(table_bytes + 253 + sizeof devices, whole + 264, 64);
    table_bytes[213 + 2] = 40 + sizeof devices;
    table_bytes[4] = (uint8_t)TABLE_SIZE;
    table_bytes[5] = (uint8_t)(TABLE_SIZE >> 8);
    set_sum();
}

static struct ivrs_table opened(void)
{
    struct ivrs_table table;
    struct tool_error error = {""};
    build();
    if (ivrs_view_open(table_bytes, TABLE_SIZE, &table, &error) != TOOL_OK)
        fail_msg("%s", error.text);
    return table;
}

static void text(void **state)
{
    (void)state;
    struct ivrs_table table = opened();
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    ivrs_view_print(stream, &table, "> ");
    fclose(stream);
    assert_string_equal(
        out,
        "> IVRS  391 bytes, revision 2, \"OEM?\" \"TABLE\" 12345678h, checksum right\n"
        ">       info 00603043h: physical addresses 48 bits, virtual 64, EFRSup, DMARemap, HtAtsResv\n"
        ">   IVHD 10h  segment 7, IOMMU 00:00.2, capability at 40h, registers at 0xfed80000, ignored: a "
        "newer "
        "type is there\n"
        ">             flags B1h: HtTunEn IotlbSup Coherent PPRSup, info 0321h, features 0A0B0C0Dh\n"
        ">     range end      00:00.6 (not valid, ignored)\n"
        ">     range          00:01.0 (a range without end)\n"
        ">     special        00:14.3, id 9, variety 3\n"
        ">   IVHD 11h  segment 7, IOMMU 00:00.2, capability at 40h, registers at 0xfed80000\n"
        ">             flags 30h: IotlbSup Coherent, info 0000h, attributes 00000001h, EFR "
        "0x206d73ef22254ade, "
        "EFR2 0x5\n"
        ">     all            requesters, setting 30h: SysMgt=3\n"
        ">     device         01:01.1, setting C7h: INITPass EIntPass NMIPass LINT0Pass LINT1Pass\n"
        ">     range          00:01.0 to ff:1f.6\n"
        ">     alias          03:04.0 as 04:14.5\n"
        ">     alias range    ff:00.0 to ff:1f.7 as 05:0c.6\n"
        ">     extended       06:06.0, extended 80000000h: ATSDisabled\n"
        ">     extended range 06:07.0 to 06:07.7, extended 01020304h, setting 02h: EIntPass\n"
        ">     I/O APIC       00:14.0, id 33, setting D7h: INITPass EIntPass NMIPass SysMgt=1 LINT0Pass "
        "LINT1Pass\n"
        ">     HPET           00:14.0, id 0\n"
        ">     unknown        skipped, setting 03h: INITPass EIntPass, type 3Fh, 4 bytes\n"
        ">   unknown   type 51h, 5 bytes at D0h, skipped\n"
        ">   IVHD 40h  segment 0, IOMMU 40:00.2, capability at 60h, registers at 0xfd000000\n"
        ">             flags 00h, info 0000h, attributes 00000001h, EFR 0x0, EFR2 0x0\n"
        ">     ACPI device    00:14.5, AMDI0020, compatible PNP0, unique id \\_SB., setting 40h: LINT0Pass\n"
        ">     ACPI device    01:00.7, MSFT0201, unique id 4660\n"
        ">     ACPI device    01:01.0, MSFT?201, unique id x (not valid, ignored)\n"
        ">   IVMD 20h  segment 1, all requesters, 0x7d001000, 8192 bytes, flags 07h: unity read write\n"
        ">   IVMD 22h  segment 0, 00:01.1 to 00:01.0, 0x7c001000, 8192 bytes, flags 08h: exclusion (not "
        "valid, "
        "ignored)\n");
    free(out);
}

static struct json_object *entry_of(struct json_object *blocks, size_t block, size_t entry)
{
    struct json_object *entries;
    assert_true(json_object_object_get_ex(json_object_array_get_idx(blocks, block), "entries", &entries));
    return json_object_array_get_idx(entries, entry);
}

static void json(void **state)
{
    (void)state;
    struct ivrs_table table = opened();
    struct json_object *o = ivrs_view_json(&table), *blocks, *value;
    static const struct {
        int block, entry; // entry -1: of the block; block -1: of the table
        const char *key, *value;
    } expected[] = {
        {-1, -1, "signature", "IVRS"},
        {-1, -1, "info", "0x603043"},
        {-1, -1, "physical_bits", "48"},
        {-1, -1, "virtual_bits", "64"},
        {-1, -1, "efr_supported", "true"},
        {-1, -1, "dma_remap", "true"},
        {-1, -1, "ats_range_reserved", "true"},
        {0, -1, "type", "IVHD"},
        {0, -1, "type_id", "16"},
        {0, -1, "offset", "48"},
        {0, -1, "length", "40"},
        {0, -1, "flags", "177"},
        {0, -1, "device", "00:00.2"},
        {0, -1, "capability", "64"},
        {0, -1, "base", "0xfed80000"},
        {0, -1, "segment", "7"},
        {0, -1, "info", "801"},
        {0, -1, "features", "0xa0b0c0d"},
        {0, -1, "counts", "false"},
        {0, 0, "refused", "not valid"},
        {0, 1, "refused", "a range without end"},
        {0, 1, "first", "00:01.0"},
        {0, 2, "type", "special"},
        {1, -1, "counts", "true"},
        {1, -1, "attributes", "0x1"},
        {1, -1, "efr", "0x206d73ef22254ade"},
        {1, -1, "efr2", "0x5"},
        {1, 0, "last", "ff:1f.7"},
        {1, 1, "type", "padding"},
        {1, 2, "setting", "199"},
        {1, 3, "last", "ff:1f.6"},
        {1, 3, "length", "8"},
        {1, 5, "alias", "05:0c.6"},
        {1, 7, "extended", "0x1020304"},
        {1, 8, "handle", "33"},
        {1, 8, "variety", "1"},
        {1, 9, "type", "HPET"},
        {1, 10, "type_id", "63"},
        {2, -1, "type", "unknown"},
        {3, 0, "hid", "AMDI0020"},
        {3, 0, "cid", "PNP0"},
        {3, 0, "uid_form", "2"},
        {3, 0, "uid", "\\_SB."},
        {3, 1, "uid", "4660"},
        {3, 2, "refused", "not valid"},
        {4, -1, "type", "IVMD"},
        {4, -1, "start", "0x7d001000"},
        {4, -1, "size", "8192"},
        {4, -1, "first", "00:00.0"},
        {5, -1, "refused", "not valid"},
    };
    assert_true(json_object_object_get_ex(o, "blocks", &blocks));
    assert_int_equal(json_object_array_length(blocks), 6);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct json_object *where = o;
        if (expected[i].block >= 0)
            where = json_object_array_get_idx(blocks, (size_t)expected[i].block);
        if (expected[i].entry >= 0)
            where = entry_of(blocks, (size_t)expected[i].block, (size_t)expected[i].entry);
        if (!json_object_object_get_ex(where, expected[i].key, &value))
            fail_msg("%zu: no %s", i, expected[i].key);
        assert_string_equal(json_object_get_string(value), expected[i].value);
    }
    assert_true(json_object_object_get_ex(json_object_array_get_idx(blocks, 4), "flag_names", &value));
    assert_int_equal(json_object_array_length(value), 3);
    assert_string_equal(json_object_get_string(json_object_array_get_idx(value, 0)), "unity");
    json_object_put(o);
}

static void refused(size_t size, const char *part)
{
    struct acpi_view view;
    struct tool_error error = {""};
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, table_bytes, size);
    assert_int_equal(acpi_view_open(exact, size, &view, &error), TOOL_BAD_INPUT);
    if (strstr(error.text, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", error.text, part);
    free(exact);
}

static void broken(void **state)
{
    (void)state;
    build();
    refused(0, "not an ACPI table: 0 bytes");
    refused(3, "not an ACPI table: 3 bytes");
    for (size_t size = 4; size < TABLE_SIZE; size++)
        refused(size, "cut short");
    memcpy(table_bytes, "FACP", 4);
    refused(TABLE_SIZE, "not a DMAR or IVRS table: its signature is \"FACP\"");
    struct ivrs_table table;
    struct tool_error error = {""};
    assert_int_equal(ivrs_view_open(table_bytes, TABLE_SIZE, &table, &error), TOOL_BAD_INPUT);
    assert_string_equal(error.text, "not an IVRS table: its signature is \"FACP\"");
    build();
    table_bytes[4] = 47;
    table_bytes[5] = 0;
    refused(TABLE_SIZE, "too little for an IVRS table");
    build();
    table_bytes[90] = 39;
    refused(TABLE_SIZE, "IVHD block (type 11h) at 58h: wrong length 39");
    build();
    table_bytes[210] = 0;
    refused(TABLE_SIZE, "unknown block (type 51h) at D0h: wrong length 0");
    build();
    table_bytes[361] = 0xFF; // the last IVMD
    refused(TABLE_SIZE, "IVMD block (type 22h) at 167h: wrong length 255");
    build();
    table_bytes[80] = 0xF1; // an entry of the IVHD 10h
    refused(TABLE_SIZE, "IVHD block at 30h: wrong length in its device entry (type F1h) at +20h");
}

static void dispatched(void **state)
{
    (void)state;
    struct acpi_view view;
    struct tool_error error = {""};
    build();
    table_bytes[9]++;
    assert_int_equal(acpi_view_open(table_bytes, TABLE_SIZE, &view, &error), TOOL_OK);
    assert_int_equal(view.length, TABLE_SIZE);
    assert_false(view.ivrs.checksum_ok);
    struct json_object *o = acpi_view_json(&view), *value;
    assert_true(json_object_object_get_ex(o, "checksum_ok", &value));
    assert_false(json_object_get_boolean(value));
    json_object_put(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
        cmocka_unit_test(json),
        cmocka_unit_test(broken),
        cmocka_unit_test(dispatched),
    };
    return cmocka_run_group_tests_name("tool: IVRS tables", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Showing a DMAR table: one of every structure, as text and as JSON, and the line that refuses a broken one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dmar_view.h"

// One of each type; numbers chosen so that each one shows up once.
// clang-format off
static const uint8_t whole[] = {
    'D', 'M', 'A', 'R', 228, 0, 0, 0, 2, 0, 'O', 'E', 'M', '\x01', ' ', 0, 'T', 'A', 'B', 'L', 'E', 0, 0, 0,
    0x78, 0x56, 0x34, 0x12, 'C', 'R', 'E', 'A', 7, 0, 0, 0,
    45, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 48: DRHD, endpoint 02:03.4, bridge 09:1c.4/00.1 */
    0, 0, 34, 0, 0x01, 0x02, 0x07, 0, 0x00, 0x10, 0xD9, 0xFE, 0, 0, 0, 0,
    1, 8, 0, 0, 0, 2, 3, 4,
    2, 10, 0, 0, 0, 9, 0x1C, 4, 0, 1,
    /* 82: RMRR */
    1, 0, 32, 0, 0, 0, 0, 0, 0x00, 0x00, 0xE0, 0x7B, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0, 0, 0,
    1, 8, 0, 0, 0, 0, 0x1D, 0,
    /* 114: ATSR */
    2, 0, 8, 0, 0x01, 0, 2, 0,
    /* 122: RHSA */
    3, 0, 20, 0, 0, 0, 0, 0, 0x00, 0x00, 0xFC, 0xC7, 0, 0, 0, 0, 5, 0, 0, 0,
    /* 142: ANDD */
    4, 0, 17, 0, 0, 0, 0, 0x0A, '\\', '_', 'S', 'B', '.', 'I', '2', 'C', 0,
    /* 159: unknown */
    0xEE, 0xFF, 7, 0, 0xAA, 0xBB, 0xCC,
    /* 166: SATC */
    5, 0, 16, 0, 0x01, 0, 3, 0, 1, 8, 0, 0, 0, 0x6A, 1, 0,
    /* 182: SIDP: endpoint, I/O APIC, name space, a scope without path, an unknown type */
    6, 0, 46, 0, 0, 0, 4, 0, 1, 8, 0x1F, 0, 0, 0, 2, 0, 3, 8, 0, 0, 2, 0xF0, 0x1F, 0,
    5, 8, 0, 0, 1, 0, 0x15, 1, 4, 6, 0, 0, 3, 0, 0x77, 8, 0, 0, 0, 1, 2, 3,
};
// clang-format on

static uint8_t table_bytes[sizeof whole];

static struct dmar_table opened(void)
{
    struct dmar_table table;
    struct tool_error error = {""};
    memcpy(table_bytes, whole, sizeof whole);
    uint8_t sum = 0;
    for (size_t i = 0; i < sizeof whole; i++)
        sum = (uint8_t)(sum + whole[i]);
    table_bytes[9] = (uint8_t)-sum;
    assert_int_equal(sizeof whole, 228);
    if (dmar_view_open(table_bytes, sizeof table_bytes, &table, &error) != TOOL_OK)
        fail_msg("%s", error.text);
    return table;
}

static void text(void **state)
{
    (void)state;
    struct dmar_table table = opened();
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    dmar_view_print(stream, &table, "> ");
    fclose(stream);
    assert_string_equal(out, "> DMAR  228 bytes, revision 2, \"OEM?\" \"TABLE\" 12345678h, checksum right\n"
                             ">       host address width 46, flags 05h: INTR_REMAP DMA_CTRL_PLATFORM_OPT_IN\n"
                             ">   DRHD  segment 7, registers at 0xfed91000, 16 KiB, INCLUDE_PCI_ALL\n"
                             ">     endpoint   02:03.4\n"
                             ">     bridge     09:1c.4/00.1\n"
                             ">   RMRR  segment 0, 0x7be00000 to 0x7fffffff, 67584 KiB\n"
                             ">     endpoint   00:1d.0\n"
                             ">   ATSR  segment 2, ALL_PORTS\n"
                             ">   RHSA  registers at 0xc7fc0000, proximity domain 5\n"
                             ">   ANDD  device number 10, \\_SB.I2C\n"
                             ">   unknown  type 65518, 7 bytes at 9Fh, skipped\n"
                             ">   SATC  segment 3, ATC_REQUIRED\n"
                             ">     endpoint   6a:01.0\n"
                             ">   SIDP  segment 4\n"
                             ">     endpoint   00:02.0, flags 1Fh\n"
                             ">     I/O APIC   f0:1f.0, id 2\n"
                             ">     namespace  00:15.1, id 1\n"
                             ">     HPET       00:, id 3 (path empty or too long)\n"
                             ">     unknown    01:02.3, type 119\n");
    free(out);
}

static void json(void **state)
{
    (void)state;
    struct dmar_table table = opened();
    struct json_object *o = dmar_view_json(&table), *structures, *scopes, *scope, *value;
    static const struct {
        size_t structure;
        const char *key, *value;
    } expected[] = {
        {0, "type", "DRHD"},
        {0, "base", "0xfed91000"},
        {0, "segment", "7"},
        {0, "flags", "1"},
        {0, "include_pci_all", "true"},
        {0, "registers_size", "16384"},
        {1, "type", "RMRR"},
        {1, "base", "0x7be00000"},
        {1, "limit", "0x7fffffff"},
        {2, "type", "ATSR"},
        {2, "all_ports", "true"},
        {2, "segment", "2"},
        {3, "type", "RHSA"},
        {3, "register_base", "0xc7fc0000"},
        {3, "proximity_domain", "5"},
        {4, "type", "ANDD"},
        {4, "name", "\\_SB.I2C"},
        {4, "device_number", "10"},
        {5, "type", "unknown"},
        {5, "type_id", "65518"},
        {5, "length", "7"},
        {6, "type", "SATC"},
        {6, "atc_required", "true"},
        {6, "offset", "166"},
        {7, "type", "SIDP"},
        {7, "segment", "4"},
    };
    json_object_object_get_ex(o, "structures", &structures);
    assert_int_equal(json_object_array_length(structures), 8);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct json_object *s = json_object_array_get_idx(structures, expected[i].structure);
        assert_true(json_object_object_get_ex(s, expected[i].key, &value));
        assert_string_equal(json_object_get_string(value), expected[i].value);
    }
    json_object_object_get_ex(json_object_array_get_idx(structures, 0), "scopes", &scopes);
    assert_int_equal(json_object_array_length(scopes), 2);
    scope = json_object_array_get_idx(scopes, 1);
    json_object_object_get_ex(scope, "device_path", &value);
    assert_string_equal(json_object_get_string(value), "09:1c.4/00.1");
    json_object_object_get_ex(scope, "type", &value);
    assert_string_equal(json_object_get_string(value), "bridge");
    json_object_object_get_ex(json_object_array_get_idx(structures, 7), "scopes", &scopes);
    assert_int_equal(json_object_array_length(scopes), 5);
    assert_true(json_object_object_get_ex(json_object_array_get_idx(scopes, 3), "path_refused", &value));
    json_object_put(o);
}

static void refused(size_t size, const char *part)
{
    struct dmar_table table;
    struct tool_error error = {""};
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, table_bytes, size);
    assert_int_equal(dmar_view_open(exact, size, &table, &error), TOOL_BAD_INPUT);
    if (strstr(error.text, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", error.text, part);
    free(exact);
}

static void broken(void **state)
{
    (void)state;
    opened();
    refused(0, "not an ACPI table: 0 bytes");
    refused(3, "not an ACPI table: 3 bytes");
    for (size_t size = 4; size < sizeof whole; size++)
        refused(size, "cut short");
    memcpy(table_bytes, "IVRS", 4);
    refused(sizeof whole, "its signature is \"IVRS\"");
    memcpy(table_bytes, "\n\x80\0 ", 4);
    refused(sizeof whole, "its signature is \"??\"");
    opened();
    table_bytes[4] = 47;
    refused(sizeof whole, "too little for a DMAR table");
    opened();
    table_bytes[84] = 23; // RMRR
    refused(sizeof whole, "RMRR structure (type 1) at 52h: wrong length 23");
    opened();
    table_bytes[161] = 0; // unknown
    refused(sizeof whole, "unknown structure (type 65518) at 9Fh: wrong length 0");
    opened();
    table_bytes[184] = 47; // SIDP, past the end
    refused(sizeof whole, "SIDP structure (type 6) at B6h: wrong length 47");
    opened();
    table_bytes[73] = 11; // second scope of the DRHD
    refused(sizeof whole, "DRHD structure at 30h: wrong length in its device scope at +18h");
}

static void wrong_checksum(void **state)
{
    (void)state;
    struct dmar_table table;
    struct tool_error error = {""};
    opened();
    table_bytes[9]++;
    assert_int_equal(dmar_view_open(table_bytes, sizeof table_bytes, &table, &error), TOOL_OK);
    assert_false(table.checksum_ok);
    struct json_object *o = dmar_view_json(&table), *value;
    json_object_object_get_ex(o, "checksum_ok", &value);
    assert_false(json_object_get_boolean(value));
    json_object_put(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
        cmocka_unit_test(json),
        cmocka_unit_test(broken),
        cmocka_unit_test(wrong_checksum),
    };
    return cmocka_run_group_tests_name("tool: DMAR tables", tests, NULL, NULL);
}

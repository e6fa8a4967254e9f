// SPDX-License-Identifier: MIT
// The DMAR reader against a table typed by hand, byte by byte, and against every way to break it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <cofferdam/acpi.h>

// One structure of each known type and one unknown, scopes included. The checksum byte (9) makes the sum 0.
// clang-format off
static const uint8_t whole[] = {
    /*   0 */ 'D', 'M', 'A', 'R', 0xD9, 0, 0, 0, 2, 0xD8, 'O', 'E', 'M', 'I', 'D', ' ',
    /*  16 */ 'T', 'A', 'B', 'L', 'E', ' ', 'I', 'D', 1, 0, 0, 0, 'C', 'R', 'E', 'A', 7, 0, 0, 0,
    /*  36 */ 45, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /*  48 DRHD, two scopes: a path of one pair, a path of three */
              0, 0, 36, 0, 0x01, 0x23, 0x34, 0x12, 0x00, 0x10, 0xD9, 0xFE, 0x56, 0x00, 0x00, 0x00,
    /*  64 */ 1, 8, 0x5A, 0, 0x11, 0x22, 0x1F, 0x07,
    /*  72 */ 2, 12, 0, 0, 9, 0x80, 0x1C, 4, 0, 1, 0x02, 0x03,
    /*  84 RMRR, one scope */
              1, 0, 32, 0, 0, 0, 0x78, 0x56, 0x00, 0x00, 0xE0, 0x7B, 0x01, 0x00, 0x00, 0x00,
    /* 100 */ 0xFF, 0xFF, 0xFF, 0x7F, 0x01, 0x00, 0x00, 0x00,
    /* 108 */ 1, 8, 0, 0, 0, 0, 0x1D, 0,
    /* 116 ATSR, no scope */
              2, 0, 8, 0, 0x01, 0, 0x02, 0x00,
    /* 124 RHSA */
              3, 0, 20, 0, 0, 0, 0, 0, 0x00, 0x00, 0xFC, 0xC7, 0xEF, 0xCD, 0xAB, 0x89, 0x04, 0x03, 0x02, 0x01,
    /* 144 ANDD, name padded */
              4, 0, 17, 0, 0, 0, 0, 0x0A, '\\', '_', 'S', 'B', '.', 'X', 0, 0, 0,
    /* 161 unknown, with odd bytes */
              0xEE, 0xFF, 7, 0, 0xAA, 0xBB, 0xCC,
    /* 168 SATC, one scope */
              5, 0, 16, 0, 0x01, 0, 0x03, 0x00, 1, 8, 0, 0, 0, 0x6A, 1, 0,
    /* 184 SIDP, one scope with flags, an I/O APIC and a name-space scope */
              6, 0, 33, 0, 0x77, 0, 0x00, 0x80, 1, 8, 0x1F, 0, 0, 0, 2, 0, 3, 8, 0, 0, 2, 0xF0, 0x1F, 0,
    /* 208 */ 5, 9, 0, 0, 1, 0, 0x15, 1, 0xEE,
};
// clang-format on

static struct dmar_table opened(const uint8_t *bytes, size_t size)
{
    struct dmar_table table;
    assert_int_equal(dmar_open(bytes, size, &table), DAM_OK);
    return table;
}

static struct dmar_structure nth(const struct dmar_table *table, unsigned n)
{
    struct dmar_structure s;
    uint32_t cursor = 0;
    do
        assert_int_equal(dmar_next(table, &cursor, &s), DAM_OK);
    while (n--);
    return s;
}

static void header(void **state)
{
    (void)state;
    struct dmar_table table = opened(whole, sizeof(whole));
    assert_int_equal(sizeof(whole), 217);
    assert_int_equal(table.length, 217);
    assert_int_equal(table.revision, 2);
    assert_true(table.checksum_ok);
    assert_int_equal(table.host_address_width, 46);
    assert_int_equal(table.flags, 5);
    assert_ptr_equal(table.bytes, whole);
}

static void every_type_in_order(void **state)
{
    (void)state;
    static const struct {
        uint16_t type, length;
        uint32_t offset;
    } want[] = {{0, 36, 48},  {1, 32, 84},      {2, 8, 116},  {3, 20, 124},
                {4, 17, 144}, {0xFFEE, 7, 161}, {5, 16, 168}, {6, 33, 184}};
    struct dmar_table table = opened(whole, sizeof(whole));
    struct dmar_structure s;
    uint32_t cursor = 0;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(dmar_next(&table, &cursor, &s), DAM_OK);
        assert_int_equal(s.type, want[i].type);
        assert_int_equal(s.length, want[i].length);
        assert_int_equal(s.offset, want[i].offset);
    }
    for (int again = 0; again < 3; again++)
        assert_int_equal(dmar_next(&table, &cursor, &s), DAM_E_ABSENT);
}

// Every member, those that the type does not have included: they must be 0.
static void check_members(const struct dmar_structure *s, uint8_t flags, uint16_t segment, uint64_t base,
                          uint64_t limit, uint16_t scopes_length)
{
    assert_int_equal(s->flags, flags);
    assert_int_equal(s->segment, segment);
    assert_int_equal(s->base, base);
    assert_int_equal(s->limit, limit);
    assert_int_equal(s->scopes_length, scopes_length);
    if (s->type != DMAR_DRHD)
        assert_int_equal(s->size, 0);
    if (s->type != DMAR_RHSA) {
        assert_int_equal(s->register_base, 0);
        assert_int_equal(s->proximity_domain, 0);
    }
    if (s->type != DMAR_ANDD) {
        assert_int_equal(s->device_number, 0);
        assert_int_equal(s->name_length, 0);
        assert_null(s->name);
    }
}

static void every_field(void **state)
{
    (void)state;
    struct dmar_table table = opened(whole, sizeof(whole));
    struct dmar_structure s = nth(&table, 0);
    check_members(&s, 0x01, 0x1234, 0x56FED91000, 0, 20);
    assert_int_equal(s.size, 0x23);
    assert_int_equal(dmar_registers_size(&s), 0x8000);
    assert_ptr_equal(s.scopes, whole + 64);
    s = nth(&table, 1);
    check_members(&s, 0, 0x5678, 0x17BE00000, 0x17FFFFFFF, 8);
    s = nth(&table, 2);
    check_members(&s, 0x01, 0x0002, 0, 0, 0);
    s = nth(&table, 3);
    check_members(&s, 0, 0, 0, 0, 0);
    assert_int_equal(s.register_base, 0x89ABCDEFC7FC0000);
    assert_int_equal(s.proximity_domain, 0x01020304);
    s = nth(&table, 4);
    check_members(&s, 0, 0, 0, 0, 0);
    assert_int_equal(s.device_number, 10);
    assert_int_equal(s.name_length, 6);
    assert_string_equal(s.name, "\\_SB.X");
    s = nth(&table, 5);
    check_members(&s, 0, 0, 0, 0, 0);
    s = nth(&table, 6);
    check_members(&s, 0x01, 0x0003, 0, 0, 8);
    s = nth(&table, 7);
    check_members(&s, 0, 0x8000, 0, 0, 25);
}

static void check_scope(const struct dmar_scope *scope, uint8_t type, uint8_t length, uint8_t flags,
                        uint8_t id, uint8_t bus, uint8_t pairs)
{
    assert_int_equal(scope->type, type);
    assert_int_equal(scope->length, length);
    assert_int_equal(scope->flags, flags);
    assert_int_equal(scope->enumeration_id, id);
    assert_int_equal(scope->start_bus, bus);
    assert_int_equal(scope->path_length, pairs);
}

static void check_pair(const struct dmar_scope *scope, unsigned i, uint8_t device, uint8_t function)
{
    assert_int_equal(scope->path[i].device, device);
    assert_int_equal(scope->path[i].function, function);
}

static void every_scope_field(void **state)
{
    (void)state;
    struct dmar_table table = opened(whole, sizeof(whole));
    struct dmar_structure s = nth(&table, 0);
    struct dmar_scope scope;
    uint16_t cursor = 0;
    assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_OK);
    check_scope(&scope, 1, 8, 0x5A, 0x11, 0x22, 1);
    check_pair(&scope, 0, 0x1F, 7);
    assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_OK);
    check_scope(&scope, 2, 12, 0, 9, 0x80, 3);
    check_pair(&scope, 0, 0x1C, 4);
    check_pair(&scope, 1, 0, 1);
    check_pair(&scope, 2, 2, 3);
    assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_E_ABSENT);

    s = nth(&table, 7);
    cursor = 0;
    assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_OK);
    check_scope(&scope, 1, 8, 0x1F, 0, 0, 1);
    check_pair(&scope, 0, 2, 0);
    assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_OK);
    check_scope(&scope, 3, 8, 0, 2, 0xF0, 1);
    check_pair(&scope, 0, 0x1F, 0);
    assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_OK);
    check_scope(&scope, 5, 9, 0, 1, 0, 1); // the odd byte is no pair
    check_pair(&scope, 0, 0x15, 1);
    assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_E_ABSENT);

    for (unsigned i = 2; i <= 5; i++) { // the types without scopes, and the unknown one
        s = nth(&table, i);
        cursor = 0;
        assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_E_ABSENT);
    }
}

// Opens and walks a copy of exactly `size` bytes, so that the sanitizer sees one byte too many; returns how
// many structures and scopes were read.
static unsigned walk_all(const uint8_t *bytes, size_t size, dam_err *open_err, dam_err *end)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct dmar_table table;
    struct dmar_structure s;
    struct dmar_scope scope;
    uint32_t cursor = 0;
    unsigned seen = 0;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    *end = DAM_OK;
    *open_err = dmar_open(copy, size, &table);
    while (*open_err == DAM_OK && (*end = dmar_next(&table, &cursor, &s)) == DAM_OK) {
        uint16_t at = 0;
        dam_err err;
        assert_in_range(++seen, 1, size);
        assert_true(s.offset + s.length <= size);
        if (s.name)
            assert_int_equal(strlen(s.name), s.name_length);
        while ((err = dmar_next_scope(&s, &at, &scope)) == DAM_OK || err == DAM_E_RANGE)
            assert_in_range(++seen, 1, size);
        assert_true(err == DAM_E_ABSENT || err == DAM_E_LENGTH);
    }
    if (*open_err == DAM_OK) {
        dam_err check = dmar_check(&table, NULL);
        if (*end == DAM_E_LENGTH)
            assert_true(check == DAM_E_LENGTH || check == DAM_E_RANGE);
    }
    free(copy);
    return seen;
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof(whole); size++) {
        dam_err open_err, end;
        walk_all(whole, size, &open_err, &end);
        assert_int_equal(open_err, DAM_E_LENGTH);
    }
}

// The header's length cut instead, with all bytes there: the walk must end where the length says.
static void shortened_at_every_byte(void **state)
{
    (void)state;
    static const uint8_t ends[] = {48, 84, 116, 124, 144, 161, 168, 184, 217};
    for (unsigned size = 0; size <= sizeof(whole); size++) {
        uint8_t bytes[sizeof(whole)];
        dam_err open_err, end;
        memcpy(bytes, whole, sizeof(whole));
        bytes[4] = (uint8_t)size;
        unsigned seen = walk_all(bytes, size < 48 ? sizeof(whole) : size, &open_err, &end);
        assert_int_equal(open_err, size < 48 ? DAM_E_LENGTH : DAM_OK);
        if (size < 48)
            continue;
        bool complete = memchr(ends, (int)size, sizeof(ends)) != NULL;
        assert_int_equal(end, complete ? DAM_E_ABSENT : DAM_E_LENGTH);
        assert_int_equal(seen == 15, size == sizeof(whole)); // 8 structures, 7 scopes
    }
}

static void header_refused(void **state)
{
    (void)state;
    struct dmar_table table;
    uint8_t bytes[sizeof(whole)];
    for (unsigned i = 0; i < 4; i++) {
        memcpy(bytes, whole, sizeof(whole));
        bytes[i] ^= 0x20;
        assert_int_equal(dmar_open(bytes, sizeof(bytes), &table), DAM_E_SIGNATURE);
    }
    static const uint32_t lengths[] = {0, 4, 36, 47, sizeof(whole) + 1, 0x10000, 0x80000000, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        memcpy(bytes, whole, sizeof(whole));
        memcpy(bytes + 4, &lengths[i], 4);
        assert_int_equal(dmar_open(bytes, sizeof(bytes), &table), DAM_E_LENGTH);
    }
}

static void checksum_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(whole); i++) {
        if (i < 8) // signature and length are refused for themselves
            continue;
        uint8_t bytes[sizeof(whole)];
        memcpy(bytes, whole, sizeof(whole));
        bytes[i] ^= 0x10;
        assert_false(opened(bytes, sizeof(bytes)).checksum_ok);
    }
}

static void width_at_its_ends(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(whole)];
    memcpy(bytes, whole, sizeof(whole));
    bytes[36] = 0;
    assert_int_equal(opened(bytes, sizeof(bytes)).host_address_width, 1);
    bytes[36] = 0xFE;
    assert_int_equal(opened(bytes, sizeof(bytes)).host_address_width, 255);
    bytes[36] = 0xFF; // 256 bits do not fit: not 0
    assert_int_equal(opened(bytes, sizeof(bytes)).host_address_width, 255);
}

// A table of one structure of this type and length, the rest zero.
static dam_err one_structure(uint16_t type, uint16_t length, uint16_t room, struct dmar_structure *s)
{
    uint8_t bytes[48 + 64] = "DMAR";
    struct dmar_table table;
    uint32_t cursor = 0;
    bytes[4] = (uint8_t)(48 + room);
    bytes[48] = (uint8_t)type;
    bytes[49] = (uint8_t)(type >> 8);
    bytes[50] = (uint8_t)length;
    bytes[51] = (uint8_t)(length >> 8);
    table = opened(bytes, sizeof(bytes));
    dam_err err = dmar_next(&table, &cursor, s);
    assert_int_equal(cursor, err ? 0 : 48 + length);
    assert_int_equal(s->offset, 48);
    assert_int_equal(s->type, type);
    assert_int_equal(s->length, length);
    return err;
}

static void least_length_of_each_type(void **state)
{
    (void)state;
    static const struct {
        uint16_t type, least;
    } types[] = {{0, 16}, {1, 24}, {2, 8},   {3, 20},  {4, 9},     {5, 8},
                 {6, 8},  {7, 4},  {255, 4}, {256, 4}, {0xFFFF, 4}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct dmar_structure s;
        for (uint16_t length = 0; length < types[i].least; length++)
            assert_int_equal(one_structure(types[i].type, length, 60, &s), DAM_E_LENGTH);
        assert_int_equal(one_structure(types[i].type, types[i].least, 60, &s), DAM_OK);
        assert_int_equal(one_structure(types[i].type, 60, 60, &s), DAM_OK);
        assert_int_equal(one_structure(types[i].type, 61, 60, &s), DAM_E_LENGTH);
        assert_int_equal(one_structure(types[i].type, 0xFFFF, 60, &s), DAM_E_LENGTH);
    }
}

static void rest_shorter_than_a_structure(void **state)
{
    (void)state;
    for (uint8_t rest = 1; rest <= 3; rest++) {
        uint8_t bytes[52] = "DMAR";
        struct dmar_structure s;
        uint32_t cursor = 0;
        bytes[4] = (uint8_t)(48 + rest);
        struct dmar_table table = opened(bytes, sizeof(bytes));
        assert_int_equal(dmar_next(&table, &cursor, &s), DAM_E_LENGTH);
        assert_int_equal(s.offset, 48);
        assert_int_equal(s.length, 0);
    }
}

static void name_without_end(void **state)
{
    (void)state;
    uint8_t bytes[60] = "DMAR";
    struct dmar_structure s;
    uint32_t cursor = 0;
    memcpy(bytes + 48, (uint8_t[]){4, 0, 12, 0, 0, 0, 0, 3, 'A', 'B', 'C', 'D'}, 12);
    bytes[4] = 60;
    struct dmar_table table = opened(bytes, sizeof(bytes));
    assert_int_equal(dmar_next(&table, &cursor, &s), DAM_OK);
    assert_null(s.name);
    assert_int_equal(s.name_length, 0);
    assert_int_equal(s.device_number, 3);
    assert_int_equal(dmar_next(&table, &cursor, &s), DAM_E_ABSENT);
    bytes[59] = 0;
    cursor = 0;
    assert_int_equal(dmar_next(&table, &cursor, &s), DAM_OK);
    assert_string_equal(s.name, "ABC");
    assert_int_equal(s.name_length, 3);
}

static void scopes_with_wrong_lengths(void **state)
{
    (void)state;
    for (unsigned length = 0; length < 256; length++) {
        const uint16_t room = 60; // bytes of scopes that the structure has
        uint8_t bytes[60] = {1, (uint8_t)length, 0, 0, 0, 0x10};
        struct dmar_structure s = {.scopes = bytes, .scopes_length = room};
        struct dmar_scope scope;
        uint16_t cursor = 0;
        dam_err err = dmar_next_scope(&s, &cursor, &scope);
        assert_int_equal(scope.length, length);
        if (length < 6 || length > room) {
            assert_int_equal(err, DAM_E_LENGTH);
            assert_int_equal(cursor, 0);
            continue;
        }
        unsigned pairs = (length - 6) / 2;
        assert_int_equal(err, pairs >= 1 && pairs <= 16 ? DAM_OK : DAM_E_RANGE);
        assert_int_equal(scope.path_length, pairs <= 16 ? pairs : 16);
        assert_int_equal(scope.start_bus, 0x10);
        assert_int_equal(cursor, length);
    }
    for (uint16_t room = 1; room < 6; room++) {
        uint8_t bytes[6] = {1, 6};
        struct dmar_structure s = {.scopes = bytes, .scopes_length = room};
        struct dmar_scope scope;
        uint16_t cursor = 0;
        assert_int_equal(dmar_next_scope(&s, &cursor, &scope), DAM_E_LENGTH);
    }
}

static void longest_structure(void **state)
{
    (void)state;
    const uint32_t size = 48 + 0xFFFF;
    uint8_t *bytes = calloc(1, size);
    struct dmar_structure s;
    struct dmar_scope scope;
    uint32_t cursor = 0;
    uint16_t at = 0;
    unsigned scopes = 0;
    assert_non_null(bytes);
    memcpy(bytes, "DMAR", 4);
    memcpy(bytes + 4, &size, 4);
    memcpy(bytes + 48, (uint8_t[]){2, 0, 0xFF, 0xFF}, 4);
    for (uint32_t i = 56; i < size; i++)
        bytes[i] = 6; // scopes of 6 bytes, as many as there can be
    struct dmar_table table = opened(bytes, size);
    assert_int_equal(dmar_next(&table, &cursor, &s), DAM_OK);
    assert_int_equal(s.scopes_length, 0xFFF7);
    while (dmar_next_scope(&s, &at, &scope) == DAM_E_RANGE)
        scopes++;
    assert_int_equal(scopes, 0xFFF7 / 6);
    free(bytes);
}

static void check_finds_the_first_wrong_one(void **state)
{
    (void)state;
    struct dmar_structure bad;
    uint8_t bytes[sizeof(whole)];
    memcpy(bytes, whole, sizeof(whole));
    struct dmar_table table = opened(bytes, sizeof(bytes));
    assert_int_equal(dmar_check(&table, NULL), DAM_OK);
    bytes[186] = 34; // SIDP runs past the table
    assert_int_equal(dmar_check(&table, &bad), DAM_E_LENGTH);
    assert_int_equal(bad.offset, 184);
    bytes[109] = 9; // the scope of RMRR runs past it
    assert_int_equal(dmar_check(&table, &bad), DAM_E_LENGTH);
    assert_int_equal(bad.offset, 84);
    assert_int_equal(bad.type, DMAR_RMRR);
    bytes[65] = 6; // the first scope of DRHD has no path
    assert_int_equal(dmar_check(&table, &bad), DAM_E_RANGE);
    assert_int_equal(bad.offset, 48);
}

// Every byte replaced by every value: always an end, never a byte beyond the table.
static void every_byte_every_value(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(whole)];
    memcpy(bytes, whole, sizeof(whole));
    for (size_t i = 0; i < sizeof(whole); i++) {
        for (unsigned value = 0; value < 256; value++) {
            dam_err open_err, end;
            bytes[i] = (uint8_t)value;
            walk_all(bytes, sizeof(bytes), &open_err, &end);
            if (open_err == DAM_OK)
                assert_true(end == DAM_E_ABSENT || end == DAM_E_LENGTH);
            if (value == whole[i])
                assert_int_equal(end, DAM_E_ABSENT);
        }
        bytes[i] = whole[i];
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header),
        cmocka_unit_test(every_type_in_order),
        cmocka_unit_test(every_field),
        cmocka_unit_test(every_scope_field),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(shortened_at_every_byte),
        cmocka_unit_test(header_refused),
        cmocka_unit_test(checksum_told),
        cmocka_unit_test(width_at_its_ends),
        cmocka_unit_test(least_length_of_each_type),
        cmocka_unit_test(rest_shorter_than_a_structure),
        cmocka_unit_test(name_without_end),
        cmocka_unit_test(scopes_with_wrong_lengths),
        cmocka_unit_test(longest_structure),
        cmocka_unit_test(check_finds_the_first_wrong_one),
        cmocka_unit_test(every_byte_every_value),
    };
    return cmocka_run_group_tests_name("acpi_dmar", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// The IVRS reader against a table typed by hand, byte by byte, and against every way to break it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <cofferdam/ivrs.h>

// One block of each known type and one unknown, every kind of device entry.
// clang-format off
static const uint8_t whole[] = {
    /*   0 */ 'I', 'V', 'R', 'S', 0xA6, 1, 0, 0, 2, 0x84, 'O', 'E', 'M', 'I', 'D', ' ',
    /*  16 */ 'T', 'A', 'B', 'L', 'E', ' ', 'I', 'D', 1, 0, 0, 0, 'C', 'R', 'E', 'A', 7, 0, 0, 0,
    /*  36 */ 0x43, 0x30, 0x60, 0x00, 0, 0, 0, 0, 0, 0, 0, 0,
    /*  48 IVHD 10h, 96 bytes */
              0x10, 0xB1, 96, 0, 0x02, 0x00, 0x40, 0x00, 0x00, 0x00, 0xD8, 0xFE, 0x78, 0x56, 0x34, 0x12,
    /*  64 */ 0x05, 0x80, 0x21, 0x03, 0x0D, 0x0C, 0x0B, 0x0A,
    /*  72 all, padding, one device */
              0x01, 0x00, 0x00, 0x11, 0x00, 0xFF, 0xFF, 0xFF, 0x02, 0x08, 0x01, 0xD7,
    /*  84 range, with padding of both sizes before its end */
              0x03, 0x10, 0x02, 0x03, 0x00, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x04, 0x18, 0x02, 0x99,
    /* 104 alias */
              0x42, 0x20, 0x03, 0x00, 0x00, 0xA5, 0x04, 0x00,
    /* 112 alias range of one requester */
              0x43, 0x00, 0xFF, 0x00, 0x00, 0x66, 0x05, 0x00, 0x04, 0x00, 0xFF, 0x00,
    /* 124 special: an I/O APIC; an entry that is not known, of 4 bytes and of 8 */
              0x48, 0x00, 0x00, 0xD7, 0x21, 0xA0, 0x00, 0x01, 0x3F, 1, 2, 3, 0x7F, 1, 2, 3, 4, 5, 6, 7,
    /* 144 unknown block, odd */
              0x51, 0xEE, 5, 0, 0xAA,
    /* 149 IVHD 11h, 88 bytes */
              0x11, 0x30, 88, 0, 0x02, 0x00, 0x40, 0x00, 0x00, 0x00, 0xD8, 0xFE, 0x78, 0x56, 0x34, 0x12,
    /* 165 */ 0x05, 0x80, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04,
    /* 173 */ 0xDE, 0x4A, 0x25, 0x22, 0xEF, 0x73, 0x6D, 0x20, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,
    /* 189 extended, extended range */
              0x46, 0x30, 0x06, 0x00, 0x00, 0x00, 0x00, 0x80,
    /* 197 */ 0x47, 0x38, 0x06, 0x02, 0x04, 0x03, 0x02, 0x01, 0x04, 0x3F, 0x06, 0x00,
    /* 209 special: an HPET; not known, of 16 bytes */
              0x48, 0x00, 0x00, 0x00, 0x05, 0xA1, 0x00, 0x02,
    /* 217 */ 0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x00, 0, 0, 0,
    /* 237 IVHD 40h for another IOMMU, 113 bytes */
              0x40, 0x00, 113, 0, 0x02, 0x40, 0x60, 0x00, 0, 0, 0, 0xFD, 0, 0, 0, 0,
    /* 253 */ 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
    /* 277 an ACPI device for each form of unique id */
              0xF0, 0xA5, 0x00, 0x40, 'A', 'M', 'D', 'I', '0', '0', '2', '0', 'P', 'N', 'P', '0', 0, 0, 0, 0, 0, 0,
    /* 299 */ 0xF0, 0xA6, 0x00, 0x00, 'A', 'M', 'D', 'I', '0', '0', '3', '0', 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0x34, 0x12,
    /* 323 */ 0xF0, 0xA7, 0x00, 0x00, 'A', 'M', 'D', 'I', '0', '0', '4', '0', 0, 0, 0, 0, 0, 0, 0, 0, 2, 5,
    /* 345 */ '\\', '_', 'S', 'B', '.',
    /* 350 IVMD 20h, 21h, 22h; the last may have more than 32 bytes */
              0x20, 0x07, 32, 0, 0x55, 0x55, 0x66, 0x66, 0x01, 0x02, 0, 0, 0, 0, 0, 0,
    /* 366 */ 0, 0x10, 0, 0x7D, 0, 0, 0, 0, 0x00, 0x20, 0, 0, 0, 0, 0, 0,
    /* 382 */ 0x22, 0x08, 40, 0, 0x08, 0x01, 0x0F, 0x01, 0x00, 0x00, 0, 0, 0, 0, 0, 0,
    /* 398 */ 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
};
// clang-format on

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ivrs_table opened(const uint8_t *bytes, size_t size)
{
    struct ivrs_table table;
    assert_int_equal(ivrs_open(bytes, size, &table), DAM_OK);
    return table;
}

static struct ivrs_block nth(const struct ivrs_table *table, unsigned n)
{
    struct ivrs_block b;
    uint32_t cursor = 0;
    do
        assert_int_equal(ivrs_next(table, &cursor, &b), DAM_OK);
    while (n--);
    return b;
}

static void header(void **state)
{
    (void)state;
    struct ivrs_table table = opened(whole, sizeof(whole));
    assert_int_equal(sizeof(whole), 422);
    assert_int_equal(table.length, 422);
    assert_int_equal(table.revision, 2);
    assert_true(table.checksum_ok);
    assert_ptr_equal(table.bytes, whole);
    assert_int_equal(table.info, 0x00603043);
    assert_int_equal(dam_bits_get(table.info, IVRS_INFO_EFR), 1);
    assert_int_equal(dam_bits_get(table.info, IVRS_INFO_DMA_REMAP), 1);
    assert_int_equal(dam_bits_get(table.info, IVRS_INFO_PA_SIZE), 48);
    assert_int_equal(dam_bits_get(table.info, IVRS_INFO_VA_SIZE), 64);
    assert_int_equal(dam_bits_get(table.info, IVRS_INFO_ATS_RANGE), 1);
}

static void every_type_in_order(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, flags;
        uint16_t length;
        uint32_t offset;
    } want[] = {{0x10, 0xB1, 96, 48}, {0x51, 0xEE, 5, 144},  {0x11, 0x30, 88, 149},
                {0x40, 0, 113, 237},  {0x20, 0x07, 32, 350}, {0x22, 0x08, 40, 382}};
    struct ivrs_table table = opened(whole, sizeof(whole));
    struct ivrs_block b;
    uint32_t cursor = 0;
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_int_equal(ivrs_next(&table, &cursor, &b), DAM_OK);
        assert_int_equal(b.type, want[i].type);
        assert_int_equal(b.flags, want[i].flags);
        assert_int_equal(b.length, want[i].length);
        assert_int_equal(b.offset, want[i].offset);
        assert_int_equal(ivrs_is_ivhd(&b),
                         want[i].type == 0x10 || want[i].type == 0x11 || want[i].type == 0x40);
        assert_int_equal(ivrs_is_ivmd(&b), want[i].type >> 4 == 2);
    }
    for (int again = 0; again < 3; again++)
        assert_int_equal(ivrs_next(&table, &cursor, &b), DAM_E_ABSENT);
}

static void check_ivhd(const struct ivrs_block *b, uint16_t segment, uint16_t device, uint16_t capability,
                       uint64_t base, uint16_t info, uint32_t attributes, uint64_t efr, uint64_t efr2)
{
    assert_int_equal(b->segment, segment);
    assert_int_equal(b->device, device);
    assert_int_equal(b->capability, capability);
    assert_int_equal(b->base, base);
    assert_int_equal(b->info, info);
    assert_int_equal(b->attributes, attributes);
    assert_int_equal(b->efr, efr);
    assert_int_equal(b->efr2, efr2);
    assert_int_equal(b->first + b->last, 0);
    assert_int_equal(b->start + b->size, 0);
}

static void check_ivmd(const struct ivrs_block *b, uint16_t segment, uint16_t first, uint16_t last,
                       uint64_t start, uint64_t size)
{
    assert_int_equal(b->segment, segment);
    assert_int_equal(b->first, first);
    assert_int_equal(b->last, last);
    assert_int_equal(b->start, start);
    assert_int_equal(b->size, size);
    assert_int_equal(b->device + b->capability + b->info, 0);
    assert_int_equal(b->base | b->efr | b->efr2 | b->attributes, 0);
    assert_null(b->entries);
    assert_int_equal(b->entries_length, 0);
}

static void every_field_of_blocks(void **state)
{
    (void)state;
    struct ivrs_table table = opened(whole, sizeof(whole));
    struct ivrs_block b = nth(&table, 0);
    check_ivhd(&b, 0x8005, 2, 0x40, 0x12345678FED80000, 0x0321, 0x0A0B0C0D, 0, 0);
    assert_ptr_equal(b.entries, whole + 72);
    assert_int_equal(b.entries_length, 72);
    b = nth(&table, 1);
    check_ivmd(&b, 0, 0, 0, 0, 0);
    b = nth(&table, 2);
    check_ivhd(&b, 0x8005, 2, 0x40, 0x12345678FED80000, 0, 0x04030201, 0x206D73EF22254ADE,
               0x0102030405060708);
    assert_ptr_equal(b.entries, whole + 189);
    assert_int_equal(b.entries_length, 48);
    b = nth(&table, 3);
    check_ivhd(&b, 0, 0x4002, 0x60, 0xFD000000, 0, 1, 1, 2);
    assert_int_equal(b.entries_length, 73);
    b = nth(&table, 4);
    check_ivmd(&b, 0x0201, 0, 0xFFFF, 0x7D001000, 0x2000);
    assert_int_equal(dam_bits_get(b.flags, IVRS_IVMD_UNITY), 1);
    assert_int_equal(dam_bits_get(b.flags, IVRS_IVMD_READ), 1);
    assert_int_equal(dam_bits_get(b.flags, IVRS_IVMD_WRITE), 1);
    assert_int_equal(dam_bits_get(b.flags, IVRS_IVMD_EXCLUSION), 0);
    b = nth(&table, 5); // the very last byte of all addresses
    check_ivmd(&b, 0, 0x0108, 0x010F, ~0ull, 1);
    assert_int_equal(dam_bits_get(b.flags, IVRS_IVMD_EXCLUSION), 1);
}

// What every entry of the table is; members that a type does not have must be 0.
static const struct {
    unsigned block;
    struct ivrs_entry e;
} entries[] = {
    {0, {.type = 0x01, .setting = 0x11, .length = 4, .offset = 24, .covers = true, .last = 0xFFFF}},
    {0, {.type = 0x00, .setting = 0xFF, .length = 4, .offset = 28}},
    {0,
     {.type = 0x02,
      .setting = 0xD7,
      .length = 4,
      .offset = 32,
      .covers = true,
      .first = 0x108,
      .last = 0x108}},
    {0,
     {.type = 0x03, .setting = 3, .length = 20, .offset = 36, .covers = true, .first = 0x210, .last = 0x218}},
    {0,
     {.type = 0x42,
      .length = 8,
      .offset = 56,
      .covers = true,
      .first = 0x320,
      .last = 0x320,
      .has_alias = true,
      .alias = 0x4A5}},
    {0,
     {.type = 0x43,
      .length = 12,
      .offset = 64,
      .covers = true,
      .first = 0xFF00,
      .last = 0xFF00,
      .has_alias = true,
      .alias = 0x566}},
    {0,
     {.type = 0x48,
      .setting = 0xD7,
      .length = 8,
      .offset = 76,
      .covers = true,
      .first = 0xA0,
      .last = 0xA0,
      .handle = 0x21,
      .variety = 1}},
    {0, {.type = 0x3F, .setting = 3, .length = 4, .offset = 84}},
    {0, {.type = 0x7F, .setting = 3, .length = 8, .offset = 88}},
    {2,
     {.type = 0x46,
      .length = 8,
      .offset = 40,
      .covers = true,
      .first = 0x630,
      .last = 0x630,
      .extended = 0x80000000}},
    {2,
     {.type = 0x47,
      .setting = 2,
      .length = 12,
      .offset = 48,
      .covers = true,
      .first = 0x638,
      .last = 0x63F,
      .extended = 0x01020304}},
    {2,
     {.type = 0x48,
      .length = 8,
      .offset = 60,
      .covers = true,
      .first = 0xA1,
      .last = 0xA1,
      .handle = 5,
      .variety = 2}},
    {2, {.type = 0x80, .setting = 3, .length = 16, .offset = 68}},
    {2, {.type = 0x00, .length = 4, .offset = 84}},
    {3,
     {.type = 0xF0,
      .setting = 0x40,
      .length = 22,
      .offset = 40,
      .covers = true,
      .first = 0xA5,
      .last = 0xA5,
      .hid = whole + 281,
      .cid = whole + 289}},
    {3,
     {.type = 0xF0,
      .length = 24,
      .offset = 62,
      .covers = true,
      .first = 0xA6,
      .last = 0xA6,
      .hid = whole + 303,
      .cid = whole + 311,
      .uid_form = 1,
      .uid_length = 2,
      .uid = whole + 321,
      .uid_number = 0x1234}},
    {3,
     {.type = 0xF0,
      .length = 27,
      .offset = 86,
      .covers = true,
      .first = 0xA7,
      .last = 0xA7,
      .hid = whole + 327,
      .cid = whole + 335,
      .uid_form = 2,
      .uid_length = 5,
      .uid = whole + 345}},
};

static void check_entry(const struct ivrs_entry *e, const struct ivrs_entry *want)
{
    assert_int_equal(e->type, want->type);
    assert_int_equal(e->setting, want->setting);
    assert_int_equal(e->length, want->length);
    assert_int_equal(e->offset, want->offset);
    assert_int_equal(e->covers, want->covers);
    assert_int_equal(e->first, want->first);
    assert_int_equal(e->last, want->last);
    assert_int_equal(e->has_alias, want->has_alias);
    assert_int_equal(e->alias, want->alias);
    assert_int_equal(e->extended, want->extended);
    assert_int_equal(e->handle, want->handle);
    assert_int_equal(e->variety, want->variety);
    assert_ptr_equal(e->hid, want->hid);
    assert_ptr_equal(e->cid, want->cid);
    assert_int_equal(e->uid_form, want->uid_form);
    assert_int_equal(e->uid_length, want->uid_length);
    assert_ptr_equal(e->uid, want->uid);
    assert_int_equal(e->uid_number, want->uid_number);
}

static void every_field_of_entries(void **state)
{
    (void)state;
    struct ivrs_table table = opened(whole, sizeof(whole));
    size_t i = 0;
    for (unsigned n = 0; n < 6; n++) {
        struct ivrs_block b = nth(&table, n);
        struct ivrs_entry e;
        uint16_t cursor = 0;
        for (; i < COUNT(entries) && entries[i].block == n; i++) {
            assert_int_equal(ivrs_next_entry(&b, &cursor, &e), DAM_OK);
            check_entry(&e, &entries[i].e);
        }
        assert_int_equal(ivrs_next_entry(&b, &cursor, &e), DAM_E_ABSENT);
        assert_int_equal(cursor, b.entries_length);
    }
    assert_int_equal(i, COUNT(entries));
    assert_int_equal(ivrs_check(&table, NULL), DAM_OK);
}

// Opens and walks a copy of exactly `size` bytes, so that the sanitizer sees one byte too many; returns how
// many blocks and entries were read.
static unsigned walk_all(const uint8_t *bytes, size_t size, dam_err *open_err, dam_err *end)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct ivrs_table table;
    struct ivrs_block b;
    struct ivrs_entry e;
    uint32_t cursor = 0;
    unsigned seen = 0;
    dam_err first_bad = DAM_OK;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    *end = DAM_OK;
    *open_err = ivrs_open(copy, size, &table);
    while (*open_err == DAM_OK &&
           ((*end = ivrs_next(&table, &cursor, &b)) == DAM_OK || *end == DAM_E_RANGE)) {
        uint16_t at = 0;
        dam_err err;
        assert_in_range(++seen, 1, size);
        assert_true(b.offset + b.length <= size);
        if (*end && !first_bad)
            first_bad = *end;
        while ((err = ivrs_next_entry(&b, &at, &e)) == DAM_OK || err == DAM_E_RANGE || err == DAM_E_BROKEN) {
            assert_in_range(++seen, 1, size);
            assert_true(e.offset + e.length <= b.length);
            assert_true(e.covers ? err == DAM_OK && e.first <= e.last : true);
            if (e.uid)
                assert_true(e.uid + e.uid_length <= copy + b.offset + b.length);
            if (err && !first_bad)
                first_bad = err;
        }
        if (err != DAM_E_ABSENT && !first_bad)
            first_bad = err;
    }
    if (*open_err == DAM_OK) {
        if (*end != DAM_E_ABSENT && !first_bad)
            first_bad = *end;
        assert_int_equal(ivrs_check(&table, NULL), first_bad);
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
    static const unsigned ends[] = {48, 144, 149, 237, 350, 382, 422};
    for (unsigned size = 0; size <= sizeof(whole); size++) {
        uint8_t bytes[sizeof(whole)];
        dam_err open_err, end;
        memcpy(bytes, whole, sizeof(whole));
        bytes[4] = (uint8_t)size;
        bytes[5] = (uint8_t)(size >> 8);
        unsigned seen = walk_all(bytes, size < 48 ? sizeof(whole) : size, &open_err, &end);
        assert_int_equal(open_err, size < 48 ? DAM_E_LENGTH : DAM_OK);
        if (size < 48)
            continue;
        bool complete = false;
        for (size_t i = 0; i < COUNT(ends); i++)
            complete = complete || ends[i] == size;
        assert_int_equal(end, complete ? DAM_E_ABSENT : DAM_E_LENGTH);
        assert_int_equal(seen == 23, size == sizeof(whole)); // 6 blocks, 17 entries
    }
}

static void every_bit_changed(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < sizeof(whole) * 8; bit++) {
        uint8_t bytes[sizeof(whole)];
        dam_err open_err, end;
        memcpy(bytes, whole, sizeof(whole));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        walk_all(bytes, sizeof(bytes), &open_err, &end);
    }
}

static void header_refused(void **state)
{
    (void)state;
    struct ivrs_table table;
    uint8_t bytes[sizeof(whole)];
    for (unsigned i = 0; i < 4; i++) {
        memcpy(bytes, whole, sizeof(whole));
        bytes[i] ^= 0x20;
        assert_int_equal(ivrs_open(bytes, sizeof(bytes), &table), DAM_E_SIGNATURE);
    }
    static const uint32_t lengths[] = {0, 4, 36, 47, sizeof(whole) + 1, 0x10000, 0x80000000, 0xFFFFFFFF};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        memcpy(bytes, whole, sizeof(whole));
        memcpy(bytes + 4, &lengths[i], 4);
        assert_int_equal(ivrs_open(bytes, sizeof(bytes), &table), DAM_E_LENGTH);
    }
    memcpy(bytes, whole, sizeof(whole));
    bytes[40] ^= 1;
    assert_false(opened(bytes, sizeof(bytes)).checksum_ok);
}

// A table of one block of this type and length, the rest zero.
static dam_err one_block(uint8_t type, uint16_t length, uint16_t room, struct ivrs_block *b)
{
    uint8_t bytes[48 + 64] = "IVRS";
    uint32_t cursor = 0;
    bytes[4] = (uint8_t)(48 + room);
    bytes[48] = type;
    bytes[50] = (uint8_t)length;
    bytes[51] = (uint8_t)(length >> 8);
    bytes[48 + 24] = 1; // bytes of an IVMD
    struct ivrs_table table = opened(bytes, sizeof(bytes));
    dam_err err = ivrs_next(&table, &cursor, b);
    assert_int_equal(cursor, err ? 0 : 48 + length);
    assert_int_equal(b->offset, 48);
    return err;
}

static void least_length_of_each_block(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, least;
    } types[] = {{0x10, 24}, {0x11, 40}, {0x40, 40}, {0x20, 32}, {0x21, 32}, {0x22, 32},
                 {0x0F, 4},  {0x12, 4},  {0x1F, 4},  {0x23, 4},  {0x41, 4},  {0xFF, 4}};
    for (size_t i = 0; i < COUNT(types); i++) {
        struct ivrs_block b;
        for (uint16_t length = 0; length < types[i].least; length++)
            assert_int_equal(one_block(types[i].type, length, 60, &b), DAM_E_LENGTH);
        assert_int_equal(one_block(types[i].type, types[i].least, 60, &b), DAM_OK);
        assert_int_equal(one_block(types[i].type, 60, 60, &b), DAM_OK);
        assert_int_equal(one_block(types[i].type, 61, 60, &b), DAM_E_LENGTH);
        assert_int_equal(one_block(types[i].type, 0xFFFF, 60, &b), DAM_E_LENGTH);
        for (uint16_t room = 1; room < 4; room++)
            assert_int_equal(one_block(types[i].type, 4, room, &b), DAM_E_LENGTH);
    }
}

// The entries given, in an IVHD of this type; the first of them is read.
static dam_err one_entry(uint8_t type, const uint8_t *bytes, uint16_t size, struct ivrs_entry *e,
                         uint16_t *cursor)
{
    uint8_t *copy = malloc(40 + (size_t)size);
    struct ivrs_block b = {
        .type = type, .length = (uint16_t)(40 + size), .entries = copy + 40, .entries_length = size};
    memcpy(copy + 40, bytes, size);
    *cursor = 0;
    dam_err err = ivrs_next_entry(&b, cursor, e);
    free(copy);
    return err;
}

static void length_of_each_entry(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        uint8_t bytes[64] = {(uint8_t)type};
        unsigned size = type < 0x40    ? 4
                        : type < 0x80  ? 8
                        : type < 0xC0  ? 16
                        : type < 0xF0  ? 32
                        : type == 0xF0 ? 22
                                       : 0;
        struct ivrs_entry e;
        uint16_t cursor;
        for (uint16_t room = 1; room < sizeof(bytes); room++) {
            dam_err err = one_entry(0x40, bytes, room, &e, &cursor);
            assert_int_equal(err == DAM_E_LENGTH, size == 0 || room < size);
            assert_int_equal(e.type, type);
            assert_int_equal(e.length, err == DAM_E_LENGTH ? 0 : size);
            assert_int_equal(cursor, err == DAM_E_LENGTH ? 0 : size);
        }
    }
    for (unsigned uid = 0; uid < 256; uid++) {
        uint8_t bytes[300] = {0xF0, [4] = 'A', [20] = 2, [21] = (uint8_t)uid};
        struct ivrs_entry e;
        uint16_t cursor;
        if (uid)
            assert_int_equal(one_entry(0x40, bytes, (uint16_t)(21 + uid), &e, &cursor), DAM_E_LENGTH);
        assert_int_equal(one_entry(0x40, bytes, (uint16_t)(22 + uid), &e, &cursor),
                         uid ? DAM_OK : DAM_E_RANGE);
        assert_int_equal(cursor, 22 + uid);
    }
}

static void ranges_that_are_none(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[20];
        uint8_t size;
        dam_err err;
        uint16_t cursor;
    } cases[] = {
        {{3, 8, 0, 0}, 4, DAM_E_BROKEN, 4},                           // no end in the block
        {{3, 8, 0, 0, 0, 0, 0, 0}, 8, DAM_E_BROKEN, 4},               // padding, and no end
        {{3, 8, 0, 0, 2, 9, 0, 0, 4, 16, 0, 0}, 12, DAM_E_BROKEN, 4}, // another entry before the end
        {{3, 8, 0, 0, 3, 9, 0, 0, 4, 16, 0, 0}, 12, DAM_E_BROKEN, 4}, // a start before the end
        {{3, 8, 0, 0, 0xFF, 0, 0, 0}, 8, DAM_E_BROKEN, 4},            // what comes next has no length
        {{3, 8, 0, 0, 0x40, 0, 0, 0}, 8, DAM_E_BROKEN, 4},            // it is cut
        {{3, 8, 0, 0, 4, 7, 0, 0}, 8, DAM_E_RANGE, 8},                // the end is below the start
        {{0x43, 8, 0, 0, 0, 1, 0, 0, 4, 7, 0, 0}, 12, DAM_E_RANGE, 12},
        {{0x47, 8, 0, 0, 0, 1, 0, 0}, 8, DAM_E_BROKEN, 8},
        {{4, 8, 0, 0}, 4, DAM_E_RANGE, 4}, // an end without a start
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ivrs_entry e;
        uint16_t cursor;
        assert_int_equal(one_entry(0x10, cases[i].bytes, cases[i].size, &e, &cursor), cases[i].err);
        assert_int_equal(cursor, cases[i].cursor);
        assert_false(e.covers);
        assert_int_equal(e.type, cases[i].bytes[0]);
        assert_int_equal(e.first, 8);
    }
}

static void acpi_devices_that_are_none(void **state)
{
    (void)state;
    static const struct {
        uint8_t block, name, form, length;
        dam_err err;
    } cases[] = {
        {0x40, 'A', 0, 0, DAM_OK},      {0x10, 'A', 0, 0, DAM_E_RANGE}, {0x11, 'A', 0, 0, DAM_E_RANGE},
        {0x40, 0, 0, 0, DAM_E_RANGE},   {0x40, 'A', 0, 1, DAM_E_RANGE}, {0x40, 'A', 1, 0, DAM_E_RANGE},
        {0x40, 'A', 1, 1, DAM_OK},      {0x40, 'A', 1, 8, DAM_OK},      {0x40, 'A', 1, 9, DAM_E_RANGE},
        {0x40, 'A', 2, 0, DAM_E_RANGE}, {0x40, 'A', 2, 255, DAM_OK},    {0x40, 'A', 3, 4, DAM_E_RANGE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[22 + 255] = {
            0xF0, 7, 0, 0, cases[i].name, [20] = cases[i].form, [21] = cases[i].length};
        struct ivrs_entry e;
        uint16_t cursor;
        memset(bytes + 22, 0xFE, 255);
        assert_int_equal(one_entry(cases[i].block, bytes, (uint16_t)(22 + cases[i].length), &e, &cursor),
                         cases[i].err);
        assert_int_equal(e.covers, cases[i].err == DAM_OK);
        assert_int_equal(cursor, 22 + cases[i].length);
        if (cases[i].form == 1 && cases[i].length == 8)
            assert_int_equal(e.uid_number, 0xFEFEFEFEFEFEFEFE);
    }
}

static void memory_that_is_none(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        uint16_t first, last;
        uint64_t start, size;
        dam_err err;
    } cases[] = {
        {0x21, 8, 0, 0x1000, 1, DAM_OK},      {0x22, 8, 8, 0x1000, 1, DAM_OK},
        {0x22, 8, 7, 0x1000, 1, DAM_E_RANGE}, {0x20, 8, 7, 0x1000, 1, DAM_OK},
        {0x21, 8, 8, 0x1000, 0, DAM_E_RANGE}, {0x21, 8, 8, 0, ~0ull, DAM_OK},
        {0x21, 8, 8, 1, ~0ull, DAM_OK},       {0x21, 8, 8, 2, ~0ull, DAM_E_RANGE},
        {0x21, 8, 8, ~0ull, 2, DAM_E_RANGE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[48 + 32 + 4] = {'I', 'V', 'R', 'S', 84};
        struct ivrs_block b;
        uint32_t cursor = 0;
        bytes[48] = cases[i].type;
        bytes[50] = 32;
        memcpy(bytes + 52, &cases[i].first, 2);
        memcpy(bytes + 54, &cases[i].last, 2);
        memcpy(bytes + 64, &cases[i].start, 8);
        memcpy(bytes + 72, &cases[i].size, 8);
        bytes[82] = 4; // a block of type 0 behind it
        struct ivrs_table table = opened(bytes, sizeof(bytes));
        assert_int_equal(ivrs_next(&table, &cursor, &b), cases[i].err);
        assert_int_equal(b.start, cases[i].start);
        assert_int_equal(b.size, cases[i].size);
        assert_int_equal(b.first, cases[i].type == 0x20 ? 0 : 8);
        assert_int_equal(b.last, cases[i].type == 0x20 ? 0xFFFF : cases[i].type == 0x21 ? 8 : cases[i].last);
        assert_int_equal(ivrs_check(&table, NULL), cases[i].err);
        assert_int_equal(ivrs_next(&table, &cursor, &b), DAM_OK);
        assert_int_equal(b.offset, 80);
    }
}

// The newest block of an IOMMU counts; what is an IOMMU is told by segment and device.
static void which_block_counts(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, device, segment;
        bool counts;
    } blocks[] = {
        {0x10, 2, 0, false}, {0x11, 2, 0, false}, {0x40, 2, 0, true}, {0x10, 2, 1, true},
        {0x11, 3, 0, true},  {0x10, 3, 0, false}, {0x10, 4, 0, true}, {0x10, 4, 0, true},
        {0x51, 4, 0, false}, {0x21, 2, 0, false},
    };
    uint8_t bytes[48 + 40 * COUNT(blocks)] = {'I', 'V', 'R', 'S', (uint8_t)sizeof(bytes), sizeof(bytes) >> 8};
    for (size_t i = 0; i < COUNT(blocks); i++) {
        uint8_t *p = bytes + 48 + 40 * i;
        p[0] = blocks[i].type;
        p[2] = 40;
        p[4] = blocks[i].device;
        p[16] = blocks[i].segment; // an IVMD of no bytes: a wrong one in the way changes nothing
    }
    struct ivrs_table table = opened(bytes, sizeof(bytes));
    struct ivrs_block b;
    uint32_t cursor = 0;
    for (size_t i = 0; i < COUNT(blocks); i++) {
        assert_int_equal(ivrs_next(&table, &cursor, &b), blocks[i].type == 0x21 ? DAM_E_RANGE : DAM_OK);
        assert_int_equal(ivrs_counts(&table, &b), blocks[i].counts);
    }
}

static void check_names_the_block(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(whole)];
    struct ivrs_block bad;
    memcpy(bytes, whole, sizeof(whole));
    bytes[345 - 1] = 6; // the last unique id runs past its block
    struct ivrs_table table = opened(bytes, sizeof(bytes));
    assert_int_equal(ivrs_check(&table, &bad), DAM_E_LENGTH);
    assert_int_equal(bad.offset, 237);
    memcpy(bytes, whole, sizeof(whole));
    bytes[144 + 2] = 3;
    table = opened(bytes, sizeof(bytes));
    assert_int_equal(ivrs_check(&table, &bad), DAM_E_LENGTH);
    assert_int_equal(bad.offset, 144);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header),
        cmocka_unit_test(every_type_in_order),
        cmocka_unit_test(every_field_of_blocks),
        cmocka_unit_test(every_field_of_entries),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(shortened_at_every_byte),
        cmocka_unit_test(every_bit_changed),
        cmocka_unit_test(header_refused),
        cmocka_unit_test(least_length_of_each_block),
        cmocka_unit_test(length_of_each_entry),
        cmocka_unit_test(ranges_that_are_none),
        cmocka_unit_test(acpi_devices_that_are_none),
        cmocka_unit_test(memory_that_is_none),
        cmocka_unit_test(which_block_counts),
        cmocka_unit_test(check_names_the_block),
    };
    return cmocka_run_group_tests_name("acpi: IVRS", tests, NULL, NULL);
}

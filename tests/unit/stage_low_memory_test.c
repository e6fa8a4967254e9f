// SPDX-License-Identifier: MIT
// The second pool below 4 GiB: how much a machine needs, and where in the memory map it may come from.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pure/bytes.h"
#include "pure/low_memory.h"

#define MIB      (1ull << 20)
#define GIB      (1ull << 30)
#define EACH     0x5000ull // of a unit
#define ONE_UNIT (2 * MIB + EACH)

// By the kind whose table it is.
static uint64_t wanted(const uint8_t *table, uint32_t length)
{
    struct iommu_kind kinds[IOMMU_KINDS];
    uint64_t bytes = 0;
    for (unsigned i = 0, count = iommu_kinds(kinds); i < count; i++)
        if (kinds[i].id == DAM_IOMMU_AMDVI)
            bytes = low_memory_wanted(&kinds[i], table, length);
        else
            assert_int_equal(low_memory_wanted(&kinds[i], table, length), 0);
    return bytes;
}

// ---- how much -------------------------------------------------------------------------------------------
struct table {
    uint8_t bytes[0x20000];
    uint32_t length;
};

static void begin(struct table *t)
{
    memset(t->bytes, 0, 48);
    memcpy(t->bytes, "IVRS", 4);
    t->length = 48;
    bytes_put32(t->bytes + 4, t->length);
}

static void add_block(struct table *t, uint8_t type, uint16_t segment)
{
    uint16_t length = type >= 0x20 && type < 0x40 ? 32 : type == 0x10 ? 24 : 40;
    uint8_t *block = t->bytes + t->length;
    assert_true(t->length + length <= sizeof(t->bytes));
    memset(block, 0, length);
    block[0] = type;
    memcpy(block + 2, &length, 2);
    memcpy(block + (type >= 0x20 && type < 0x40 ? 8 : 16), &segment, 2);
    t->length += length;
    bytes_put32(t->bytes + 4, t->length);
}

static void wanted_by_units_and_segments(void **state)
{
    struct table *t = malloc(sizeof(*t));
    (void)state;
    begin(t);
    assert_int_equal(wanted(t->bytes, t->length), ONE_UNIT); // nobody knows: as if there were one
    add_block(t, 0x10, 0);
    assert_int_equal(wanted(t->bytes, t->length), ONE_UNIT);
    add_block(t, 0x11, 0); // most likely the same one; it costs little
    add_block(t, 0x40, 0);
    assert_int_equal(wanted(t->bytes, t->length), ONE_UNIT + 2 * EACH);
    add_block(t, 0x20, 0); // memory, no unit
    add_block(t, 0x77, 9); // unknown
    assert_int_equal(wanted(t->bytes, t->length), ONE_UNIT + 2 * EACH);
    add_block(t, 0x11, 64); // another segment
    assert_int_equal(wanted(t->bytes, t->length), ONE_UNIT + 2 * MIB + 3 * EACH);
    for (unsigned i = 0; i < 2000; i++)
        add_block(t, 0x11, (uint16_t)i);
    assert_int_equal(wanted(t->bytes, t->length), LOW_MEMORY_MAX);
    free(t);
}

static void wanted_of_broken_tables(void **state)
{
    struct table *t = malloc(sizeof(*t));
    (void)state;
    begin(t);
    add_block(t, 0x11, 0);
    t->bytes[48 + 2] = 23; // shorter than it can be: what follows is not read
    assert_int_equal(wanted(t->bytes, t->length), ONE_UNIT);
    t->bytes[0] = 'X';
    assert_int_equal(wanted(t->bytes, t->length), ONE_UNIT);
    assert_int_equal(wanted(t->bytes, 0), ONE_UNIT);
    free(t);
}

// ---- where ----------------------------------------------------------------------------------------------
struct box {
    struct e820_map map;
    struct dam_ranges old_ram;
    struct dam_range storage[8], used[4];
    size_t used_count;
    struct dam_range found;
};

// As a loader leaves it with crashkernel=,high: some low memory, the low part, firmware, the high part with
// all that was loaded.
static void typical(struct box *b)
{
    static const struct e820_entry map[] = {
        {0x1000, 0x9F000, E820_RAM},          {0xAF000000, 0xBF000000, E820_RAM},
        {0xBFFE0000, 0xC0000000, E820_ACPI},  {0xFEFFC000, 0xFF000000, E820_RESERVED},
        {0x210000000, 0x230000000, E820_RAM},
    };
    memset(b, 0, sizeof(*b));
    memcpy(b->map.at, map, sizeof(map));
    b->map.count = sizeof(map) / sizeof(map[0]);
    b->map.extended_from = b->map.count;
    dam_ranges_init(&b->old_ram, b->storage, 8);
    assert_int_equal(dam_ranges_add(&b->old_ram, 0, 0xAF000000), DAM_OK);
    assert_int_equal(dam_ranges_add(&b->old_ram, 0x100000000, 0x210000000), DAM_OK);
    b->used[0] = (struct dam_range){0x212000000, 0x216000000};
    b->used[1] = (struct dam_range){0, 0}; // no ramdisk
    b->used_count = 2;
}

static dam_err find(struct box *b, uint64_t size)
{
    return low_memory_find(&b->map, &b->old_ram, b->used, b->used_count, size, &b->found);
}

static void found_at(struct box *b, uint64_t size, uint64_t start, uint64_t end)
{
    assert_int_equal(find(b, size), DAM_OK);
    assert_int_equal(b->found.start, start);
    assert_int_equal(b->found.end, end);
}

static void end_of_the_low_part(void **state)
{
    struct box *b = malloc(sizeof(*b));
    (void)state;
    typical(b);
    found_at(b, ONE_UNIT, 0xBF000000 - ONE_UNIT, 0xBF000000);
    found_at(b, 0x1800, 0xBEFFF000, 0xBF000000); // whole pages
    found_at(b, GIB, 0xBB000000, 0xBF000000);    // a quarter
    b->map.at[1] = (struct e820_entry){0xAF000123, 0xAF004FFF, E820_RAM};
    found_at(b, GIB, 0xAF003000, 0xAF004000);
    b->map.at[1].end = 0xAF004122; // a quarter of it is less than a page
    assert_int_equal(find(b, GIB), DAM_E_ABSENT);
    free(b);
}

static void what_is_not_free(void **state)
{
    struct box *b = malloc(sizeof(*b));
    (void)state;
    // Anything of the loader's, anywhere in the entry, though what is wanted lies elsewhere in it.
    static const struct dam_range taken[] = {{0xAF000000, 0xAF000001},
                                             {0xBEFFFFFF, 0xBF000000},
                                             {0xA0000000, 0xC0000000},
                                             {0xB0000000, 0xB0001000}};
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        typical(b);
        b->used[b->used_count++] = taken[i];
        assert_int_equal(find(b, ONE_UNIT), DAM_E_ABSENT);
        assert_int_equal(b->found.end, 0);
    }
    typical(b); // beside it
    b->used[b->used_count++] = (struct dam_range){0xAEFFF000, 0xAF000000};
    b->used[b->used_count++] = (struct dam_range){0xBF000000, 0xBF001000};
    assert_int_equal(find(b, ONE_UNIT), DAM_OK);
    typical(b); // the dead kernel says that it is its own
    assert_int_equal(dam_ranges_add(&b->old_ram, 0xB0000000, 0xB0001000), DAM_OK);
    assert_int_equal(find(b, ONE_UNIT), DAM_E_ABSENT);
    typical(b); // the map contradicts itself
    b->map.at[2].start = 0xBEFFF000;
    assert_int_equal(find(b, ONE_UNIT), DAM_E_ABSENT);
    typical(b); // no memory at all
    b->map.at[1].type = E820_RESERVED;
    assert_int_equal(find(b, ONE_UNIT), DAM_E_ABSENT);
    b->map.count = 0;
    assert_int_equal(find(b, ONE_UNIT), DAM_E_ABSENT);
    free(b);
}

static void bounds_of_low(void **state)
{
    struct box *b = malloc(sizeof(*b));
    (void)state;
    typical(b); // what reaches over 4 GiB counts below alone
    b->map.at[1] = (struct e820_entry){0xF0000000, 0x110000000, E820_RAM};
    b->map.count = 2;
    b->used_count = 0;
    dam_ranges_init(&b->old_ram, b->storage, 8);
    found_at(b, ONE_UNIT, LOW_MEMORY_END - ONE_UNIT, LOW_MEMORY_END);
    b->map.at[1] = (struct e820_entry){0x1000, 0x900000, E820_RAM}; // the first MiB is not touched
    b->map.at[0] = (struct e820_entry){0x100000000, 0x200000000, E820_RAM};
    found_at(b, GIB, 0x700000, 0x900000);
    b->map.at[1].end = 0x100000;
    assert_int_equal(find(b, ONE_UNIT), DAM_E_ABSENT);
    b->map.at[1] = (struct e820_entry){0x100000000, ~0ull, E820_RAM};
    assert_int_equal(find(b, ONE_UNIT), DAM_E_ABSENT);
    free(b);
}

static void of_several(void **state)
{
    struct box *b = malloc(sizeof(*b));
    (void)state;
    typical(b); // the largest piece, wherever it stands in the list; of equal ones the highest
    b->map.at[b->map.count++] = (struct e820_entry){0xC8000000, 0xC8400000, E820_RAM};
    found_at(b, 0x1000, 0xC83FF000, 0xC8400000);
    found_at(b, ONE_UNIT, 0xBF000000 - ONE_UNIT, 0xBF000000);
    b->map.at[0] = (struct e820_entry){0xD0000000, 0xD8000000, E820_RAM};
    found_at(b, ONE_UNIT, 0xD8000000 - ONE_UNIT, 0xD8000000);
    free(b);
}

// Reserved in the map that the kernel gets, and in no other.
static void can_be_reserved(void **state)
{
    struct box *b = malloc(sizeof(*b));
    uint8_t bp[BP_SIZE] = {0};
    (void)state;
    typical(b);
    bp[BP_E820_ENTRIES] = (uint8_t)b->map.count;
    for (size_t i = 0; i < b->map.count; i++) {
        uint8_t *raw = bp + BP_E820_TABLE + i * BP_E820_ENTRY_SIZE;
        bytes_put64(raw, b->map.at[i].start);
        bytes_put64(raw + 8, b->map.at[i].end - b->map.at[i].start);
        bytes_put32(raw + 16, b->map.at[i].type);
    }
    assert_int_equal(find(b, ONE_UNIT), DAM_OK);
    assert_int_equal(e820_reserve(bp, &b->map, b->found.start, b->found.end), DAM_OK);
    e820_read_table(bp, &b->map);
    assert_int_equal(b->map.count, 6);
    assert_int_equal(b->map.at[1].end, b->found.start);
    assert_int_equal(b->map.at[5].start, b->found.start);
    assert_int_equal(b->map.at[5].end, 0xBF000000);
    assert_int_equal(b->map.at[5].type, E820_RESERVED);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wanted_by_units_and_segments),
        cmocka_unit_test(wanted_of_broken_tables),
        cmocka_unit_test(end_of_the_low_part),
        cmocka_unit_test(what_is_not_free),
        cmocka_unit_test(bounds_of_low),
        cmocka_unit_test(of_several),
        cmocka_unit_test(can_be_reserved),
    };
    return cmocka_run_group_tests_name("stage low memory", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// The memory map: read as the loader wrote it, the pool reserved in it, and the three sets of memory made of
// it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/fake_mem.h"
#include "pure/bytes.h"
#include "pure/e820.h"
#include "pure/regions.h"

struct row {
    uint64_t start, end;
    uint32_t type;
};

static void put_table(uint8_t *bp, const struct row *rows, size_t count)
{
    memset(bp, 0, BP_SIZE);
    bp[BP_E820_ENTRIES] = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        uint8_t *raw = bp + BP_E820_TABLE + i * BP_E820_ENTRY_SIZE;
        bytes_put64(raw, rows[i].start);
        bytes_put64(raw + 8, rows[i].end - rows[i].start);
        bytes_put32(raw + 16, rows[i].type);
    }
}

static void assert_table(const uint8_t *bp, const struct row *rows, size_t count)
{
    struct e820_map *map = malloc(sizeof(*map));
    e820_read_table(bp, map);
    assert_int_equal(bp[BP_E820_ENTRIES], count);
    assert_int_equal(map->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(map->at[i].start, rows[i].start);
        assert_int_equal(map->at[i].end, rows[i].end);
        assert_int_equal(map->at[i].type, rows[i].type);
    }
    free(map);
}

static void read_hostile_table(void **state)
{
    (void)state;
    uint8_t bp[BP_SIZE];
    struct e820_map *map = malloc(sizeof(*map));
    const struct row rows[] = {{0x1000, 0x1000, 1},
                               {~0ull - 0xFFF, 0x1000, 1},
                               {0x2000, 0x3000, 99},
                               {0xFFFFFFFFFFFFF000, ~0ull, 2}};
    put_table(bp, rows, 4);
    e820_read_table(bp, map);
    assert_int_equal(map->count, 2); // the empty one and the one that wraps are left out
    assert_int_equal(map->at[0].type, 99);
    assert_int_equal(map->at[1].end, ~0ull);
    memset(bp, 0xFF, sizeof(bp)); // 255 entries: no more than the table holds
    e820_read_table(bp, map);
    assert_int_equal(map->count, 0);
    assert_false(map->lost);
    free(map);
}

static void read_extension(void **state)
{
    (void)state;
    struct fake_mem mem = {0};
    fake_mem_init(&mem);
    struct e820_map *map = malloc(sizeof(*map));
    uint8_t bp[BP_SIZE];
    const struct row rows[] = {{0, 0x1000, 1}};
    put_table(bp, rows, 1);
    e820_read_table(bp, map);
    for (unsigned i = 0; i < 600; i++) {
        fake_mem_write_u64(&mem, 0x10010 + i * 20, (i + 1) * 0x10000ull);
        fake_mem_write_u64(&mem, 0x10018 + i * 20, 0x1000);
        fake_mem_write_u32(&mem, 0x10020 + i * 20, 2);
    }
    assert_int_equal(e820_read_extension(&mem.ops, dam_pa_of(0x10010), 2 * 20 + 19, map), DAM_OK);
    assert_int_equal(map->extended_from, 1);
    assert_int_equal(map->count, 3);
    assert_int_equal(map->at[2].start, 0x20000);
    assert_int_equal(map->at[2].end, 0x21000);
    assert_int_equal(e820_read_extension(&mem.ops, dam_pa_of(0x90000000), 20, map), DAM_E_RANGE);
    assert_int_equal(e820_read_extension(&mem.ops, dam_pa_of(0x10010), 0xFFFFFFFF, map), DAM_OK);
    assert_true(map->lost);
    assert_int_equal(map->count, E820_MAX);
    fake_mem_free(&mem);
    free(map);
}

// Reserves in rows and compares; want_count 0: the table must not change.
static void reserve_case(const struct row *rows, size_t count, uint64_t start, uint64_t end, dam_err err,
                         const struct row *want, size_t want_count)
{
    uint8_t bp[BP_SIZE];
    struct e820_map *map = malloc(sizeof(*map));
    put_table(bp, rows, count);
    e820_read_table(bp, map);
    assert_int_equal(e820_reserve(bp, map, start, end), err);
    assert_table(bp, err ? rows : want, err ? count : want_count);
    free(map);
}

static void reserve(void **state)
{
    (void)state;
    // Not sorted, as kexec_file_load leaves it.
    const struct row rows[] = {{0x6E000000, 0x7E000000, 1}, {0, 0xA0000, 1}, {0xF0000, 0x100000, 2}};
    const struct row middle[] = {{0x6E000000, 0x7D600000, 1},
                                 {0x7DE00000, 0x7E000000, 1},
                                 {0, 0xA0000, 1},
                                 {0xF0000, 0x100000, 2},
                                 {0x7D600000, 0x7DE00000, 2}};
    reserve_case(rows, 3, 0x7D600000, 0x7DE00000, DAM_OK, middle, 5);
    const struct row head[] = {
        {0x6E800000, 0x7E000000, 1}, {0, 0xA0000, 1}, {0xF0000, 0x100000, 2}, {0x6E000000, 0x6E800000, 2}};
    reserve_case(rows, 3, 0x6E000000, 0x6E800000, DAM_OK, head, 4);
    const struct row all[] = {{0, 0xA0000, 1}, {0xF0000, 0x100000, 2}, {0x6E000000, 0x7E000000, 2}};
    reserve_case(rows, 3, 0x6E000000, 0x7E000000, DAM_OK, all, 3);
    // Two RAM entries that touch.
    const struct row two[] = {{0x1000000, 0x2000000, 1}, {0x2000000, 0x3000000, 1}};
    const struct row across[] = {
        {0x1000000, 0x1800000, 1}, {0x2800000, 0x3000000, 1}, {0x1800000, 0x2800000, 2}};
    reserve_case(two, 2, 0x1800000, 0x2800000, DAM_OK, across, 3);
    // Not all of it is RAM.
    reserve_case(rows, 3, 0x7DE00000, 0x7E001000, DAM_E_RANGE, NULL, 0);
    reserve_case(rows, 3, 0x5D600000, 0x5DE00000, DAM_E_RANGE, NULL, 0);
    reserve_case(rows, 3, 0xF0000, 0x100000, DAM_E_RANGE, NULL, 0);
    reserve_case(rows, 3, 0x7E000000, 0x7E000000, DAM_E_RANGE, NULL, 0);
    const struct row overlap[] = {{0x1000000, 0x3000000, 1}, {0x1000000, 0x3000000, 1}};
    reserve_case(overlap, 2, 0x1800000, 0x2800000, DAM_E_RANGE, NULL, 0);
}

static void reserve_in_a_full_table(void **state)
{
    (void)state;
    struct row rows[BP_E820_MAX], want[BP_E820_MAX];
    for (unsigned i = 0; i < BP_E820_MAX; i++)
        rows[i] = (struct row){i * 0x1000000ull, i * 0x1000000ull + 0x800000, 1};
    reserve_case(rows, 128, 0x5200000, 0x5300000, DAM_E_NOMEM, NULL, 0); // needs two more
    reserve_case(rows, 127, 0x5200000, 0x5300000, DAM_E_NOMEM, NULL, 0);
    reserve_case(rows, 128, 0x5000000, 0x5200000, DAM_E_NOMEM, NULL, 0); // needs one more
    memcpy(want, rows, sizeof(rows));
    want[5].start = 0x5200000;
    want[127] = (struct row){0x5000000, 0x5200000, 2};
    reserve_case(rows, 127, 0x5000000, 0x5200000, DAM_OK, want, 128);
    // A whole entry gives way to the new one.
    memmove(&want[5], &rows[6], 122 * sizeof(rows[0]));
    want[127] = (struct row){0x5000000, 0x5800000, 2};
    reserve_case(rows, 128, 0x5000000, 0x5800000, DAM_OK, want, 128);
}

static void reserve_against_the_extension(void **state)
{
    (void)state;
    uint8_t bp[BP_SIZE], before[BP_SIZE];
    struct e820_map *map = malloc(sizeof(*map));
    const struct row rows[] = {{0x1000000, 0x3000000, 1}};
    put_table(bp, rows, 1);
    memcpy(before, bp, sizeof(bp));
    e820_read_table(bp, map);
    map->at[map->count++] = (struct e820_entry){0x2000000, 0x2001000, E820_RAM};
    assert_int_equal(e820_reserve(bp, map, 0x1800000, 0x2800000), DAM_E_RANGE);
    assert_memory_equal(bp, before, sizeof(bp));
    map->at[map->count - 1].type = E820_RESERVED;
    assert_int_equal(e820_reserve(bp, map, 0x1800000, 0x2800000), DAM_OK);
    free(map);
}

static void assert_set(const struct dam_ranges *set, const struct dam_range *want, size_t count)
{
    assert_int_equal(set->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(set->at[i].start, want[i].start);
        assert_int_equal(set->at[i].end, want[i].end);
    }
}

static struct e820_map *map_of(const struct row *rows, size_t count)
{
    struct e820_map *map = calloc(1, sizeof(*map));
    for (size_t i = 0; i < count; i++)
        map->at[map->count++] = (struct e820_entry){rows[i].start, rows[i].end, rows[i].type};
    map->extended_from = count;
    return map;
}

// A 2-GiB machine as kexec_load describes it: holes in the crash region for the ELF headers and the 640-KiB
// copy.
static void regions(void **state)
{
    (void)state;
    const struct row rows[] = {
        {0x1000, 0x9FC00, 1},        {0x9FC00, 0xA0000, 2},        {0xF0000, 0x100000, 2},
        {0x6E000000, 0x7DF5D000, 1}, {0x7DFFFC00, 0x7E000000, 1},  {0x7FFDA000, 0x7FFE0000, 3},
        {0x7FFE0000, 0x7FFF0000, 4}, {0x7FFF0000, 0x80000000, 2},  {0xB0000000, 0xC0000000, 2},
        {0xFEB00000, 0xFED20000, 2}, {0xFFFC0000, 0x100000000, 2},
    };
    struct e820_map *map = map_of(rows, sizeof(rows) / sizeof(rows[0]));
    struct regions *r = malloc(sizeof(*r));
    r->ordinary = false;
    regions_init(r);
    assert_int_equal(dam_ranges_add(&r->old_ram, 0x1000, 0x9FC00), DAM_OK);
    assert_int_equal(dam_ranges_add(&r->old_ram, 0x100000, 0x6E000000), DAM_OK);
    assert_int_equal(dam_ranges_add(&r->old_ram, 0x7E000000, 0x7FFDA000), DAM_OK);
    const struct dam_range extra[] = {{0x79400000, 0x7DE00000}, {0x7DF5D000, 0x7DF5D1C0}, {0, 0}};
    assert_int_equal(regions_fill(r, map, extra, 3), DAM_OK);
    const struct dam_range keep_out[] = {{0x1000, 0xA0000}, {0x6E000000, 0x7E000000}};
    assert_set(&r->keep_out, keep_out, 2);
    const struct dam_range old_ram[] = {{0x100000, 0x6E000000}, {0x7E000000, 0x7FFDA000}};
    assert_set(&r->old_ram, old_ram, 2);
    assert_int_equal(regions_bytes(&r->old_ram), 0x6E000000 - 0x100000 + 0x1FDA000);
    // The hole that nobody reads stays out: the copy of the first 640 KiB.
    const struct dam_range memory[] = {{0, 0x7DF5D1C0}, {0x7DFFFC00, 0x7FFF0000}};
    assert_set(&r->memory, memory, 2);
    // Whole pages of RAM alone: where the capture kernel can have buffers.
    const struct dam_range window[] = {{0x1000, 0x9F000}, {0x6E000000, 0x7DF5D000}};
    assert_set(&r->window, window, 2);
    // The device area is not memory, whatever the map calls it.
    const struct dam_range reserved[] = {
        {0x7FFF0000, 0x80000000}, {0xB0000000, 0xC0000000}, {0xFEB00000, 0xFEC00000}};
    assert_set(&r->reserved, reserved, 3);
    free(map);
    free(r);
}

// All RAM is old memory but for what the loader placed; holes between two parts of that are old memory too.
static void regions_of_an_ordinary_kexec(void **state)
{
    (void)state;
    const struct row rows[] = {{0x1000, 0x9FC00, 1},
                               {0x100000, 0x7DF5D000, 1},
                               {0x7FFDA000, 0x7FFE0000, 3},
                               {0x7FFF0000, 0x80000000, 2}};
    struct e820_map *map = map_of(rows, sizeof(rows) / sizeof(rows[0]));
    struct regions *r = malloc(sizeof(*r));
    r->ordinary = true;
    regions_init(r);
    const struct dam_range extra[] = {{0x1000000, 0x2000000}, {0x2001800, 0x2002000}, {0, 0}};
    assert_int_equal(regions_fill(r, map, extra, 3), DAM_OK);
    const struct dam_range keep_out[] = {{0x1000000, 0x2000000}, {0x2001000, 0x2002000}};
    assert_set(&r->keep_out, keep_out, 2);
    const struct dam_range old_ram[] = {
        {0x1000, 0x9F000}, {0x100000, 0x1000000}, {0x2000000, 0x2001000}, {0x2002000, 0x7DF5D000}};
    assert_set(&r->old_ram, old_ram, 4);
    const struct dam_range memory[] = {{0, 0x7DF5D000}, {0x7FFDA000, 0x7FFE0000}};
    assert_set(&r->memory, memory, 2);
    free(map);
    free(r);
}

// A hole between two parts of the crash region is closed only when nobody else claims it and it is small.
static void gaps(void **state)
{
    (void)state;
    const struct {
        uint64_t gap;
        uint32_t claim; // e820 type of a page inside, 0: none
        bool old;       // a page inside is the old kernel's
        size_t count;
    } cases[] = {
        {0x1000, 0, false, 1},
        {REGIONS_MAX_GAP, 0, false, 1},
        {REGIONS_MAX_GAP + 0x1000, 0, false, 2},
        {0x10000, E820_ACPI, false, 2},
        {0x10000, E820_RESERVED, false, 2},
        {0x10000, 0, true, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t hole = 0x41000000, end = hole + cases[i].gap;
        const struct row rows[] = {
            {end, end + 0x1000000, 1}, {0x40000000, hole, 1}, {hole, hole + 0x1000, cases[i].claim}};
        struct e820_map *map = map_of(rows, cases[i].claim ? 3 : 2);
        struct regions *r = malloc(sizeof(*r));
        r->ordinary = false;
        regions_init(r);
        if (cases[i].old)
            assert_int_equal(dam_ranges_add(&r->old_ram, hole, hole + 0x1000), DAM_OK);
        assert_int_equal(regions_fill(r, map, NULL, 0), DAM_OK);
        assert_int_equal(r->keep_out.count, cases[i].count);
        assert_int_equal(r->old_ram.count, cases[i].old);
        free(map);
        free(r);
    }
}

static void too_many_regions(void **state)
{
    (void)state;
    struct e820_map *map = calloc(1, sizeof(*map));
    for (unsigned i = 0; i < E820_MAX; i++)
        map->at[map->count++] =
            (struct e820_entry){(i + 1) * 0x10000000ull, (i + 1) * 0x10000000ull + 0x1000, E820_RAM};
    struct regions *r = malloc(sizeof(*r));
    r->ordinary = false;
    regions_init(r);
    assert_int_equal(regions_fill(r, map, NULL, 0), DAM_E_NOMEM); // one more is needed for the first MiB
    free(map);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_hostile_table),
        cmocka_unit_test(read_extension),
        cmocka_unit_test(reserve),
        cmocka_unit_test(reserve_in_a_full_table),
        cmocka_unit_test(reserve_against_the_extension),
        cmocka_unit_test(regions),
        cmocka_unit_test(regions_of_an_ordinary_kexec),
        cmocka_unit_test(gaps),
        cmocka_unit_test(too_many_regions),
    };
    return cmocka_run_group_tests_name("stage memory map", tests, NULL, NULL);
}

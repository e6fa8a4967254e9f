// SPDX-License-Identifier: MIT
// The map of physical memory against one array element a page, and its limits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "inspect/report_map.h"

#define PAGE  4096ull
#define PAGES 1200000u // of the naive model: beyond them there is no memory
#define TREES 7u

struct naive {
    bool ram[PAGES];
    uint8_t rights[TREES][PAGES];
    uint32_t requesters[TREES];
    bool everything[TREES];
};

static uint32_t seed;
static uint32_t next_random(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(seed >> 4) * below >> 28);
}

static void check_entries(const struct map *map, const struct map_tree *tree, const uint8_t *rights,
                          const bool *ram)
{
    uint64_t read = 0, write = 0;
    assert_true(tree->detailed);
    size_t entry = tree->first_entry;
    for (size_t c = 0; c < map->cell_count; c++) {
        uint64_t r = 0, w = 0, read_only = 0, runs = 0;
        uint8_t before = 0;
        const struct map_entry *e = &map->entries[entry];
        for (uint64_t page = map->cells[c].start; page < map->cells[c].start + map->cell_size; page++) {
            uint8_t now = page < PAGES && ram[page] ? rights[page] : 0;
            r += now & MAP_READ ? 1 : 0;
            w += now & MAP_WRITE ? 1 : 0;
            read_only += now == MAP_READ;
            if (now != 0 && now != before)
                runs++;
            if (now != 0 && map->run_limit > 0) {
                const struct map_run *run = &map->runs[e->first_run + runs - 1];
                if (runs <= e->runs) {
                    assert_true(page >= run->start && page < run->start + run->size);
                    assert_int_equal(run->rights, now);
                }
            }
            before = now;
        }
        if (r + w == 0)
            continue;
        assert_true(entry < tree->first_entry + tree->entries);
        assert_int_equal(e->cell, c);
        assert_int_equal(e->read, r);
        assert_int_equal(e->write, w);
        assert_int_equal(e->read_only, read_only);
        assert_int_equal(e->all_runs, runs);
        assert_int_equal(e->runs, runs < map->run_limit ? runs : map->run_limit);
        entry++;
        read += r;
        write += w;
    }
    assert_int_equal(entry, tree->first_entry + tree->entries);
    assert_int_equal(tree->read, read);
    assert_int_equal(tree->write, write);
}

static void check_outside(const struct map *map, const struct map_tree *tree, const uint8_t *rights,
                          const bool *ram)
{
    size_t run = tree->first_outside;
    assert_false(tree->outside_cut);
    for (uint64_t page = 0; page < PAGES; page++) {
        uint8_t want = ram[page] ? 0 : rights[page];
        while (run < tree->first_outside + tree->outside &&
               page >= map->outside[run].start + map->outside[run].size)
            run++;
        uint8_t got = 0;
        if (run < tree->first_outside + tree->outside && page >= map->outside[run].start)
            got = map->outside[run].rights;
        assert_int_equal(got, want);
    }
}

static void check_classes(const struct map *map, const struct naive *naive)
{
    for (size_t c = 0; c < map->cell_count; c++) {
        uint64_t ram = 0, read = 0, one = 0, several = 0;
        for (uint64_t page = map->cells[c].start; page < map->cells[c].start + map->cell_size; page++) {
            if (page >= PAGES || !naive->ram[page])
                continue;
            uint64_t readers = 0, writers = 0;
            for (unsigned t = 0; t < TREES; t++) {
                uint8_t rights = naive->everything[t] ? 3 : naive->rights[t][page];
                readers += rights & MAP_READ ? naive->requesters[t] : 0;
                writers += rights & MAP_WRITE ? naive->requesters[t] : 0;
            }
            ram++;
            several += writers > 1;
            one += writers == 1;
            read += writers == 0 && readers > 0;
        }
        assert_int_equal(map->cells[c].ram, ram);
        assert_int_equal(map->cells[c].several, several);
        assert_int_equal(map->cells[c].one, one);
        assert_int_equal(map->cells[c].read, read);
    }
}

static void add_random_ram(struct naive *naive, struct dam_ranges *ram)
{
    unsigned pieces = 1 + next_random(6);
    uint32_t top = next_random(4) == 0 ? PAGES : 3000;
    for (unsigned i = 0; i < pieces; i++) {
        uint32_t start = next_random(top), size = 1 + next_random(top / 3);
        if (start + size > PAGES)
            size = PAGES - start;
        assert_int_equal(dam_ranges_add(ram, start * PAGE, (start + size) * PAGE), DAM_OK);
        memset(&naive->ram[start], 1, size);
    }
}

static void as_a_naive_one_counts(void **state)
{
    (void)state;
    struct naive *naive = malloc(sizeof *naive);
    assert_non_null(naive);
    for (seed = 1; seed < 13; seed++) {
        uint32_t keep = seed;
        memset(naive, 0, sizeof *naive);
        struct dam_range storage[16];
        struct dam_ranges ram;
        dam_ranges_init(&ram, storage, 16);
        add_random_ram(naive, &ram);
        // The crash region is part of the map although the dump does not call it memory.
        struct dam_range crash = {700 * PAGE + 1, 712 * PAGE - 1};
        memset(&naive->ram[700], 1, 12);
        struct map map;
        assert_int_equal(map_new(&ram, &crash, 1, &map), DAM_OK);
        assert_int_equal(map.granule, 1);
        assert_true(map.cell_count <= MAP_CELLS);
        struct map_tree trees[TREES];
        struct map_tree marks;
        map_begin(&map);
        map_add(&map, 600 * PAGE, 150 * PAGE, true, true);
        map_end(&map, 0, &marks);
        assert_int_equal(marks.marked_write, 0);
        for (unsigned t = 0; t < TREES; t++) {
            naive->requesters[t] = 1 + next_random(2);
            if (t == 3 && next_random(3) == 0) {
                naive->everything[t] = true;
                map_everything(&map, naive->requesters[t], &trees[t]);
                continue;
            }
            map_begin(&map);
            for (unsigned i = next_random(60); i > 0; i--) {
                uint32_t start = next_random(next_random(2) ? 3000 : PAGES), size = 1 + next_random(200);
                if (start + size > PAGES)
                    size = PAGES - start;
                uint8_t rights = (uint8_t)(1 + next_random(3));
                map_add(&map, start * PAGE, size * PAGE, rights & MAP_READ, rights & MAP_WRITE);
                for (uint32_t page = start; page < start + size; page++)
                    naive->rights[t][page] |= rights;
            }
            uint64_t read, write, want_read = 0, want_write = 0;
            map_count(&map, &crash, &read, &write);
            for (unsigned page = 700; page < 712; page++) {
                want_read += naive->rights[t][page] & MAP_READ ? 1 : 0;
                want_write += naive->rights[t][page] & MAP_WRITE ? 1 : 0;
            }
            assert_int_equal(read, want_read);
            assert_int_equal(write, want_write);
            map_end(&map, naive->requesters[t], &trees[t]);
            want_read = want_write = 0;
            for (unsigned page = 600; page < 750; page++)
                if (naive->ram[page]) {
                    want_read += naive->rights[t][page] & MAP_READ ? 1 : 0;
                    want_write += naive->rights[t][page] & MAP_WRITE ? 1 : 0;
                }
            assert_int_equal(trees[t].marked_read, want_read);
            assert_int_equal(trees[t].marked_write, want_write);
        }
        map_classify(&map);
        for (unsigned t = 0; t < TREES; t++)
            if (!naive->everything[t]) {
                check_entries(&map, &trees[t], naive->rights[t], naive->ram);
                check_outside(&map, &trees[t], naive->rights[t], naive->ram);
            }
        check_classes(&map, naive);
        map_free(&map);
        seed = keep;
    }
    free(naive);
}

static void large_memory_is_coarser(void **state)
{
    (void)state;
    // 1 TiB is exact; 4 TiB and what a liar says are not.
    static const struct {
        uint64_t size, granule;
    } cases[] = {{1ull << 40, 1}, {1ull << 42, 4}, {~0ull - 0xFFF, 1u << 24}};
    for (size_t i = 0; i < 3; i++) {
        struct dam_range range = {0, cases[i].size};
        struct dam_ranges ram = {&range, 1, 1};
        struct map map;
        assert_int_equal(map_new(&ram, NULL, 0, &map), DAM_OK);
        assert_int_equal(map.granule, cases[i].granule);
        assert_true(map.cell_count <= MAP_CELLS);
        struct map_tree tree;
        map_begin(&map);
        map_add(&map, 0x5000, 0x1000, true, false);
        map_add(&map, ~0ull - 0xFFF, 0x2000, true, true); // would wrap
        map_end(&map, 1, &tree);
        assert_true(tree.read >= map.granule);
        assert_int_equal(map.runs[0].start, 5 / map.granule * map.granule);
        assert_int_equal(map.runs[0].size, map.granule);
        map_free(&map);
    }
}

// Memory in many small pieces, far apart: cells grow until they are few enough.
static void scattered_memory(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct dam_range *storage = calloc(COUNT, sizeof *storage);
    assert_non_null(storage);
    for (size_t i = 0; i < COUNT; i++)
        storage[i] = (struct dam_range){i << 30, (i << 30) + PAGE};
    struct dam_ranges ram = {storage, COUNT, COUNT};
    struct map map;
    assert_int_equal(map_new(&ram, NULL, 0, &map), DAM_OK);
    assert_true(map.cell_count <= MAP_CELLS);
    uint64_t sum = 0;
    for (size_t i = 0; i < map.cell_count; i++)
        sum += map.cells[i].ram;
    assert_int_equal(sum, COUNT);
    map_free(&map);
    free(storage);
    struct dam_ranges none = {NULL, 0, 0};
    assert_int_equal(map_new(&none, NULL, 0, &map), DAM_E_RANGE);
    map_free(&map);
}

// Every other page of 4 GiB, for many trees: the runs are shortened fairly, the sums stay right.
static void limits(void **state)
{
    (void)state;
    struct dam_range range = {0, 1ull << 32};
    struct dam_ranges ram = {&range, 1, 1};
    struct map map;
    assert_int_equal(map_new(&ram, NULL, 0, &map), DAM_OK);
    struct map_tree tree;
    enum { TREE_COUNT = 220 };
    for (unsigned t = 0; t < TREE_COUNT; t++) {
        map_begin(&map);
        uint64_t step = t == 0 ? 2 : 512;
        for (uint64_t page = 0; page < 1u << 20; page += step)
            map_add(&map, page * PAGE, PAGE, true, true);
        map_end(&map, 1, &tree);
        assert_int_equal(tree.write, (1u << 20) / step);
    }
    assert_false(tree.detailed);
    assert_int_equal(map.run_count, MAP_RUNS); // with as many entries, one run is kept of each
    assert_int_equal(map.run_limit, 1);
    assert_int_equal(map.entry_count, MAP_ENTRIES);
    size_t runs = 0;
    for (size_t i = 0; i < map.entry_count; i++) {
        const struct map_entry *e = &map.entries[i];
        assert_int_equal(e->first_run, runs);
        assert_true(e->runs <= map.run_limit);
        runs += e->runs;
        assert_int_equal(e->all_runs, i < map.cell_count ? 256 : 1);
    }
    assert_int_equal(runs, map.run_count);
    map_classify(&map);
    for (size_t i = 0; i < map.cell_count; i++) {
        assert_int_equal(map.cells[i].several, 1);
        assert_int_equal(map.cells[i].one, 255);
    }
    map_free(&map);
}

static void outside_is_bounded(void **state)
{
    (void)state;
    struct dam_range range = {0, 1ull << 20};
    struct dam_ranges ram = {&range, 1, 1};
    struct map map;
    assert_int_equal(map_new(&ram, NULL, 0, &map), DAM_OK);
    struct map_tree tree;
    for (unsigned t = 0; t < 20; t++) {
        map_begin(&map);
        for (uint64_t i = 0; i < 3000; i++)
            map_add(&map, (1ull << 32) + i * 2 * PAGE, PAGE, true, true);
        map_end(&map, 1, &tree);
        assert_true(tree.outside_cut);
        assert_int_equal(tree.write, 0);
        assert_true(map.outside_count <= MAP_OUTSIDE_RUNS);
    }
    map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_naive_one_counts), cmocka_unit_test(large_memory_is_coarser),
        cmocka_unit_test(scattered_memory),      cmocka_unit_test(limits),
        cmocka_unit_test(outside_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

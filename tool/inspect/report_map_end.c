// SPDX-License-Identifier: MIT
// The map's second half: what is kept of a tree when it ends, and the sums of all.
#include <string.h>

#include "inspect/report_map_bits.h"

static uint64_t ones(uint64_t word)
{
    return (uint64_t)__builtin_popcountll(word);
}

// ---- the end of a tree ------------------------------------------------------------------------------------
// Too many runs: each entry keeps half as many at most.
static void shorten_runs(struct map *map)
{
    size_t kept = 0;
    map->run_limit /= 2;
    for (size_t i = 0; i < map->entry_count; i++) {
        struct map_entry *e = &map->entries[i];
        if (e->runs > map->run_limit)
            e->runs = map->run_limit;
        memmove(&map->runs[kept], &map->runs[e->first_run], e->runs * sizeof *map->runs);
        e->first_run = kept;
        kept += e->runs;
    }
    map->run_count = kept;
}

static void keep_run(struct map *map, struct map_entry *e, uint64_t start, uint64_t size, uint8_t rights)
{
    e->all_runs++;
    // e is the last entry, and the runs kept of it are the last ones.
    while (map->run_count == MAP_RUNS && map->run_limit > 1 && e->runs < map->run_limit)
        shorten_runs(map);
    if (map->run_count == MAP_RUNS || e->runs >= map->run_limit)
        return;
    map->runs[map->run_count++] = (struct map_run){start, size, rights};
    e->runs++;
}

static uint8_t rights_at(const struct map_bits *bits, size_t base, size_t bit)
{
    return (uint8_t)((bits->read[base + bit / 64] >> bit % 64 & 1) * MAP_READ |
                     (bits->write[base + bit / 64] >> bit % 64 & 1) * MAP_WRITE);
}

// Bits in a row that have the same rights as `bit`, at most to the end of the cell.
static size_t run_length(const struct map_bits *bits, size_t base, size_t bit)
{
    uint8_t rights = rights_at(bits, base, bit);
    uint64_t flip_r = rights & MAP_READ ? ~0ull : 0, flip_w = rights & MAP_WRITE ? ~0ull : 0;
    size_t all = bits->words * 64, at = bit;
    while (at < all) {
        // Set where the rights differ.
        uint64_t other = (bits->read[base + at / 64] ^ flip_r) | (bits->write[base + at / 64] ^ flip_w);
        other >>= at % 64;
        if (other != 0)
            return at + (size_t)__builtin_ctzll(other) - bit;
        at = (at / 64 + 1) * 64;
    }
    return all - bit;
}

static void add_runs(struct map *map, struct map_entry *e)
{
    const struct map_cell *cell = &map->cells[e->cell];
    size_t base = e->cell * map->bits->words, all = map->bits->words * 64;
    for (size_t bit = 0; bit < all;) {
        uint8_t rights = rights_at(map->bits, base, bit);
        size_t length = run_length(map->bits, base, bit);
        if (rights != 0)
            keep_run(map, e, cell->start + bit * map->granule, length * map->granule, rights);
        bit += length;
    }
}

static uint64_t pages_of_bits(const struct map *map, uint64_t bits, const struct map_cell *cell)
{
    uint64_t pages = bits * map->granule;
    return pages < cell->ram ? pages : cell->ram;
}

// Adds a tree's bits of one cell to the sums.
static void sum_up(struct map_bits *bits, size_t base, uint32_t requesters)
{
    for (size_t i = base; i < base + bits->words; i++) {
        if ((bits->read[i] | bits->write[i]) == 0)
            continue;
        if (requesters == 0) {
            bits->marks[i] |= bits->write[i];
            continue;
        }
        bits->any_read[i] |= bits->read[i];
        bits->several[i] |= bits->write[i] & (requesters > 1 ? ~0ull : bits->any_write[i]);
        bits->any_write[i] |= bits->write[i];
    }
}

// Counts what the tree has in a cell, adds it to the sums, and wipes it.
static void end_cell(struct map *map, size_t cell, uint32_t requesters, struct map_tree *out)
{
    struct map_bits *bits = map->bits;
    const struct map_cell *c = &map->cells[cell];
    size_t base = cell * bits->words;
    uint64_t read = 0, write = 0, read_only = 0;
    for (size_t i = base; i < base + bits->words; i++) {
        if ((bits->read[i] | bits->write[i]) == 0)
            continue; // most words are, where a tree maps pages here and there
        read += ones(bits->read[i]);
        write += ones(bits->write[i]);
        read_only += ones(bits->read[i] & ~bits->write[i]);
        out->marked_read += ones(bits->read[i] & bits->marks[i]) * map->granule;
        out->marked_write += ones(bits->write[i] & bits->marks[i]) * map->granule;
    }
    sum_up(bits, base, requesters);
    out->read += pages_of_bits(map, read, c);
    out->write += pages_of_bits(map, write, c);
    if (map->entry_count < MAP_ENTRIES) {
        struct map_entry *e = &map->entries[map->entry_count++];
        *e = (struct map_entry){.cell = (uint32_t)cell,
                                .first_run = map->run_count,
                                .read = pages_of_bits(map, read, c),
                                .write = pages_of_bits(map, write, c),
                                .read_only = pages_of_bits(map, read_only, c)};
        add_runs(map, e);
    } else {
        out->detailed = false;
    }
    memset(bits->read + base, 0, bits->words * 8);
    memset(bits->write + base, 0, bits->words * 8);
    bits->touched[cell] = false;
}

// The two sets of what is outside, as runs with rights.
static void end_outside(struct map *map, struct map_tree *out)
{
    const struct dam_ranges *r = &map->bits->out_r, *w = &map->bits->out_w;
    out->outside_cut = map->bits->outside_cut;
    out->first_outside = map->outside_count;
    if (map->outside_count + 2 * (r->count + w->count) > MAP_OUTSIDE_RUNS) {
        out->outside_cut = true;
        return;
    }
    uint64_t at = 0;
    for (size_t i = 0, k = 0; i < r->count || k < w->count;) {
        const struct dam_range *a = i < r->count ? &r->at[i] : NULL, *b = k < w->count ? &w->at[k] : NULL;
        // The next border of either set behind `at`.
        bool in_r = a != NULL && a->start <= at, in_w = b != NULL && b->start <= at;
        uint64_t next = ~0ull;
        if (a != NULL)
            next = in_r ? a->end : a->start;
        if (b != NULL && (in_w ? b->end : b->start) < next)
            next = in_w ? b->end : b->start;
        if (in_r || in_w)
            map->outside[map->outside_count++] =
                (struct map_run){at, next - at, (uint8_t)((in_r ? MAP_READ : 0) | (in_w ? MAP_WRITE : 0))};
        at = next;
        if (in_r && a->end == at)
            i++;
        if (in_w && b->end == at)
            k++;
    }
    out->outside = map->outside_count - out->first_outside;
}

void map_end(struct map *map, uint32_t requesters, struct map_tree *out)
{
    *out = (struct map_tree){.detailed = true, .first_entry = map->entry_count};
    for (size_t cell = 0; cell < map->cell_count; cell++)
        if (map->bits->touched[cell])
            end_cell(map, cell, requesters, out);
    out->entries = map->entry_count - out->first_entry;
    end_outside(map, out);
}

void map_everything(struct map *map, uint32_t requesters, struct map_tree *out)
{
    *out = (struct map_tree){.everything = true, .detailed = true};
    for (size_t i = 0; i < map->cell_count; i++)
        out->read += map->cells[i].ram;
    out->write = out->read;
    map->everything = requesters > 1 || map->everything + requesters > 1 ? 2 : map->everything + requesters;
}

void map_classify(struct map *map)
{
    const struct map_bits *bits = map->bits;
    for (size_t cell = 0; cell < map->cell_count; cell++) {
        struct map_cell *c = &map->cells[cell];
        uint64_t read = 0, any = 0, several = 0;
        for (size_t i = cell * bits->words; i < (cell + 1) * bits->words; i++) {
            read += ones(bits->any_read[i] & ~bits->any_write[i]);
            any += ones(bits->any_write[i]);
            several += ones(bits->several[i]);
        }
        any = pages_of_bits(map, any, c);
        if (map->everything > 0) {
            c->several = map->everything > 1 ? c->ram : any;
            c->one = c->ram - c->several;
            c->read = 0;
            continue;
        }
        c->several = pages_of_bits(map, several, c);
        c->one = any - c->several;
        read = pages_of_bits(map, read, c);
        c->read = read < c->ram - any ? read : c->ram - any;
    }
}

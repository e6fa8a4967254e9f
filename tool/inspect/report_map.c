// SPDX-License-Identifier: MIT
#include "inspect/report_map_bits.h"

#include <stdlib.h>
#include <string.h>

// ---- the cells --------------------------------------------------------------------------------------------
static uint64_t pages_up(uint64_t bytes)
{
    return (bytes >> DAM_PAGE_SHIFT) + ((bytes & (DAM_PAGE_SIZE - 1)) != 0);
}

static dam_err collect_ram(const struct dam_ranges *ram, const struct dam_range *extra, size_t extra_count,
                           struct map *out)
{
    size_t capacity = ram->count + extra_count + 1;
    struct dam_range *storage = calloc(capacity, sizeof *storage);
    if (storage == NULL)
        return DAM_E_NOMEM;
    dam_ranges_init(&out->ram, storage, capacity);
    // The ranges of ram are sorted and disjoint, so they are appended; adding each one would be quadratic.
    for (size_t i = 0; i < ram->count; i++) {
        struct dam_range pages = {pages_up(ram->at[i].start), ram->at[i].end >> DAM_PAGE_SHIFT};
        if (pages.end <= pages.start)
            continue;
        struct dam_range *last = out->ram.count > 0 ? &storage[out->ram.count - 1] : NULL;
        if (last != NULL && last->end == pages.start)
            last->end = pages.end;
        else
            storage[out->ram.count++] = pages;
    }
    for (size_t i = 0; i < extra_count; i++) {
        dam_err err = dam_ranges_add(&out->ram, extra[i].start >> DAM_PAGE_SHIFT, pages_up(extra[i].end));
        if (err != DAM_OK)
            return err;
    }
    return out->ram.count > 0 ? DAM_OK : DAM_E_RANGE;
}

// Cells of 1 << shift pages that memory lies in. Stops counting above `limit`.
static size_t count_cells(const struct dam_ranges *ram, unsigned shift, size_t limit)
{
    size_t count = 0;
    uint64_t next = 0; // first cell not counted
    for (size_t i = 0; i < ram->count && count <= limit; i++) {
        uint64_t first = ram->at[i].start >> shift, last = (ram->at[i].end - 1) >> shift;
        if (first < next)
            first = next;
        if (last < first)
            continue;
        uint64_t more = last - first + 1;
        count = more > limit ? limit + 1 : count + (size_t)more;
        next = last + 1;
    }
    return count;
}

static void fill_cells(struct map *map, unsigned shift)
{
    size_t count = 0;
    for (size_t i = 0; i < map->ram.count; i++) {
        const struct dam_range *r = &map->ram.at[i];
        for (uint64_t cell = r->start >> shift; cell <= (r->end - 1) >> shift; cell++) {
            uint64_t start = cell << shift, end = start + map->cell_size;
            if (count == 0 || map->cells[count - 1].start != start)
                map->cells[count++].start = start;
            map->cells[count - 1].ram +=
                (r->end < end ? r->end : end) - (r->start > start ? r->start : start);
        }
    }
}

static dam_err make_bits(struct map *map)
{
    struct map_bits *bits = calloc(1, sizeof *bits);
    if (bits == NULL)
        return DAM_E_NOMEM;
    map->bits = bits;
    bits->words = (size_t)(map->cell_size / map->granule / 64);
    size_t words = bits->words * map->cell_count;
    struct dam_range *outside = calloc(2 * MAP_OUTSIDE, sizeof *outside);
    bits->out_r.at = outside;
    bits->read = calloc(words, 8);
    bits->write = calloc(words, 8);
    bits->any_read = calloc(words, 8);
    bits->any_write = calloc(words, 8);
    bits->several = calloc(words, 8);
    bits->marks = calloc(words, 8);
    bits->touched = calloc(map->cell_count, sizeof *bits->touched);
    if (outside == NULL || bits->read == NULL || bits->write == NULL || bits->any_read == NULL ||
        bits->any_write == NULL || bits->several == NULL || bits->marks == NULL || bits->touched == NULL)
        return DAM_E_NOMEM;
    dam_ranges_init(&bits->out_r, outside, MAP_OUTSIDE);
    dam_ranges_init(&bits->out_w, outside + MAP_OUTSIDE, MAP_OUTSIDE);
    return DAM_OK;
}

dam_err map_new(const struct dam_ranges *ram, const struct dam_range *extra, size_t extra_count,
                struct map *out)
{
    memset(out, 0, sizeof *out);
    dam_err err = collect_ram(ram, extra, extra_count, out);
    if (err != DAM_OK)
        return err;
    unsigned shift = 6; // the bits of a cell are whole words
    while ((out->cell_count = count_cells(&out->ram, shift, MAP_CELLS)) > MAP_CELLS)
        shift++;
    out->cell_size = 1ull << shift;
    out->granule = 1;
    while (out->cell_size / out->granule * out->cell_count > MAP_GRANULES)
        out->granule *= 2;
    out->run_limit = 512;
    out->cells = calloc(out->cell_count, sizeof *out->cells);
    out->outside = calloc(MAP_OUTSIDE_RUNS, sizeof *out->outside);
    out->entries = calloc(MAP_ENTRIES, sizeof *out->entries);
    out->runs = calloc(MAP_RUNS, sizeof *out->runs);
    if (out->cells == NULL || out->entries == NULL || out->runs == NULL || out->outside == NULL)
        return DAM_E_NOMEM;
    fill_cells(out, shift);
    return make_bits(out);
}

void map_free(struct map *map)
{
    if (map->bits != NULL) {
        free(map->bits->read);
        free(map->bits->write);
        free(map->bits->any_read);
        free(map->bits->any_write);
        free(map->bits->several);
        free(map->bits->marks);
        free(map->bits->touched);
        free(map->bits->out_r.at);
        free(map->bits);
    }
    free(map->cells);
    free(map->entries);
    free(map->runs);
    free(map->outside);
    free(map->ram.at);
    memset(map, 0, sizeof *map);
}

// ---- bits -------------------------------------------------------------------------------------------------
// Words of one cell with only the bits of the pages [from, to) of it.
static uint64_t word_mask(const struct map *map, size_t word, uint64_t from, uint64_t to)
{
    uint64_t first = from / map->granule, last = (to - 1) / map->granule;
    uint64_t mask = ~0ull;
    if (first / 64 == word)
        mask &= ~0ull << first % 64;
    if (last / 64 == word)
        mask &= ~0ull >> (63 - last % 64);
    return mask;
}

// Visits the words of `cell` that pages [from, to), counted from its start, lie in.
#define FOR_WORDS(map, from, to, word)                                                                       \
    for (size_t word = (size_t)((from) / (map)->granule / 64);                                               \
         word <= (size_t)(((to)-1) / (map)->granule / 64); word++)

// The last cell, or range of ram, that begins at or below `page`; the count when there is none.
static size_t cell_below(const struct map *map, uint64_t page)
{
    size_t low = 0, high = map->cell_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->cells[middle].start <= page)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : map->cell_count;
}

// The first range of ram that ends behind `page`; the count when there is none.
static size_t ram_behind(const struct map *map, uint64_t page)
{
    size_t low = 0, high = map->ram.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ram.at[middle].end > page)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// All pages lie in one range of ram, so that the cells are there, one behind the other.
static void set_pages(struct map *map, uint64_t start, uint64_t end, bool r, bool w)
{
    struct map_bits *bits = map->bits;
    size_t cell = bits->last_cell;
    if (start < map->cells[cell].start || start >= map->cells[cell].start + map->cell_size)
        cell = cell_below(map, start);
    for (; start < end; cell++) {
        const struct map_cell *c = &map->cells[cell];
        uint64_t stop = c->start + map->cell_size < end ? c->start + map->cell_size : end;
        uint64_t from = start - c->start, to = stop - c->start;
        size_t base = cell * bits->words;
        FOR_WORDS(map, from, to, word)
        {
            uint64_t mask = word_mask(map, word, from, to);
            if (r)
                bits->read[base + word] |= mask;
            if (w)
                bits->write[base + word] |= mask;
        }
        bits->touched[cell] = true;
        bits->last_cell = cell;
        start = stop;
    }
}

static void add_outside(struct map_bits *bits, uint64_t start, uint64_t end, bool r, bool w)
{
    // Once full, no more is looked up: that would cost for each of millions of pages.
    if (bits->outside_cut)
        return;
    if (r && dam_ranges_add(&bits->out_r, start, end) != DAM_OK)
        bits->outside_cut = true;
    if (w && dam_ranges_add(&bits->out_w, start, end) != DAM_OK)
        bits->outside_cut = true;
}

void map_begin(struct map *map)
{
    map->bits->out_r.count = map->bits->out_w.count = 0;
    map->bits->outside_cut = false;
}

void map_add(struct map *map, uint64_t addr, uint64_t size, bool r, bool w)
{
    if (size == 0 || !(r || w))
        return;
    uint64_t last = addr + size - 1;
    if (last < addr)
        last = ~0ull;
    uint64_t start = addr >> DAM_PAGE_SHIFT, end = (last >> DAM_PAGE_SHIFT) + 1;
    struct map_bits *bits = map->bits;
    const struct dam_range *ram = &map->ram.at[bits->last_ram];
    size_t at = start >= ram->start && start < ram->end ? bits->last_ram : ram_behind(map, start);
    while (start < end) {
        if (at == map->ram.count || map->ram.at[at].start >= end) {
            add_outside(bits, start, end, r, w);
            return;
        }
        ram = &map->ram.at[at];
        if (start < ram->start) {
            add_outside(bits, start, ram->start, r, w);
            start = ram->start;
        }
        uint64_t stop = ram->end < end ? ram->end : end;
        set_pages(map, start, stop, r, w);
        bits->last_ram = at++;
        start = stop;
    }
}

void map_count(const struct map *map, const struct dam_range *range, uint64_t *read, uint64_t *write)
{
    *read = *write = 0;
    uint64_t start = range->start >> DAM_PAGE_SHIFT, end = pages_up(range->end);
    for (size_t at = ram_behind(map, start); at < map->ram.count && map->ram.at[at].start < end; at++) {
        uint64_t from = map->ram.at[at].start > start ? map->ram.at[at].start : start;
        uint64_t to = map->ram.at[at].end < end ? map->ram.at[at].end : end;
        for (size_t cell = cell_below(map, from); from < to; cell++) {
            const struct map_cell *c = &map->cells[cell];
            uint64_t stop = c->start + map->cell_size < to ? c->start + map->cell_size : to;
            size_t base = cell * map->bits->words;
            uint64_t r = 0, w = 0, a = from - c->start, b = stop - c->start;
            FOR_WORDS(map, a, b, word)
            {
                uint64_t mask = word_mask(map, word, a, b);
                r += (uint64_t)__builtin_popcountll(map->bits->read[base + word] & mask);
                w += (uint64_t)__builtin_popcountll(map->bits->write[base + word] & mask);
            }
            uint64_t pages = stop - from;
            *read += r * map->granule < pages ? r * map->granule : pages;
            *write += w * map->granule < pages ? w * map->granule : pages;
            from = stop;
        }
    }
}

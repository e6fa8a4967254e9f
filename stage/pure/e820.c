// SPDX-License-Identifier: MIT
#include "e820.h"

#include "bytes.h"

static void add_raw(struct e820_map *map, const uint8_t *raw)
{
    uint64_t start = bytes_get64(raw), size = bytes_get64(raw + 8);
    if (size == 0 || start + size < start)
        return;
    if (map->count == E820_MAX) {
        map->lost = true;
        return;
    }
    map->at[map->count++] = (struct e820_entry){start, start + size, bytes_get32(raw + 16)};
}

static size_t table_count(const uint8_t *bp)
{
    return bp[BP_E820_ENTRIES] < BP_E820_MAX ? bp[BP_E820_ENTRIES] : BP_E820_MAX;
}

void e820_read_table(const uint8_t *bp, struct e820_map *map)
{
    map->count = 0;
    map->lost = false;
    for (size_t i = 0; i < table_count(bp); i++)
        add_raw(map, bp + BP_E820_TABLE + i * BP_E820_ENTRY_SIZE);
    map->extended_from = map->count;
}

dam_err e820_read_extension(const struct dam_ops *ops, dam_pa pa, uint64_t len, struct e820_map *map)
{
    uint64_t count = len / BP_E820_ENTRY_SIZE;
    for (uint64_t i = 0; i < count && !map->lost; i++) {
        uint8_t raw[BP_E820_ENTRY_SIZE];
        dam_err err = dam_mem_read(ops, dam_pa_of(pa.v + i * BP_E820_ENTRY_SIZE), raw, sizeof(raw));
        if (err)
            return err;
        add_raw(map, raw);
    }
    return DAM_OK;
}

struct table {
    uint8_t raw[BP_E820_MAX * BP_E820_ENTRY_SIZE];
    size_t count;
    uint64_t covered; // bytes of the range that RAM entries gave up
};

static bool append(struct table *table, uint64_t start, uint64_t end, uint32_t type)
{
    if (start >= end)
        return true;
    if (table->count == BP_E820_MAX)
        return false;
    uint8_t *raw = table->raw + table->count++ * BP_E820_ENTRY_SIZE;
    bytes_put64(raw, start);
    bytes_put64(raw + 8, end - start);
    bytes_put32(raw + 16, type);
    return true;
}

// Copies one old entry to the new table, without the part of it that lies in [start, end) when it is RAM.
static bool copy_entry(const uint8_t *raw, uint64_t start, uint64_t end, struct table *table)
{
    uint64_t first = bytes_get64(raw), size = bytes_get64(raw + 8), last = first + size;
    uint32_t type = bytes_get32(raw + 16);
    if (last < first || type != E820_RAM || last <= start || first >= end) {
        if (table->count == BP_E820_MAX)
            return false;
        memcpy(table->raw + table->count++ * BP_E820_ENTRY_SIZE, raw, BP_E820_ENTRY_SIZE);
        return true;
    }
    table->covered += (last < end ? last : end) - (first > start ? first : start);
    return append(table, first, first < start ? start : first, type) &&
           append(table, last > end ? end : last, last, type);
}

dam_err e820_reserve(uint8_t *bp, const struct e820_map *map, uint64_t start, uint64_t end)
{
    if (start >= end)
        return DAM_E_RANGE;
    for (size_t i = map->extended_from; i < map->count; i++)
        if (map->at[i].type == E820_RAM && map->at[i].start < end && map->at[i].end > start)
            return DAM_E_RANGE;
    struct table table;
    table.count = 0;
    table.covered = 0;
    for (size_t i = 0; i < table_count(bp); i++)
        if (!copy_entry(bp + BP_E820_TABLE + i * BP_E820_ENTRY_SIZE, start, end, &table))
            return DAM_E_NOMEM;
    // Entries that overlap would be counted twice; a loader's table has none, and then this is exact.
    if (table.covered != end - start)
        return DAM_E_RANGE;
    if (!append(&table, start, end, E820_RESERVED))
        return DAM_E_NOMEM;
    memcpy(bp + BP_E820_TABLE, table.raw, table.count * BP_E820_ENTRY_SIZE);
    bp[BP_E820_ENTRIES] = (uint8_t)table.count;
    return DAM_OK;
}

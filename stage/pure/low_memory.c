// SPDX-License-Identifier: MIT
#include "low_memory.h"

#include <cofferdam/ivrs.h>

#define LOW_MEMORY_START 0x100000ull // below, both kernels and the firmware are at home
#define SEGMENTS         256u        // that are told apart

// 48882, "Device table base address register": 512 pages at most, 65536 entries of 32 bytes.
#define MAX_TABLE (512ull * DAM_PAGE_SIZE)
// Linux, drivers/iommu/amd/amd_iommu_types.h: CMD_BUFFER_SIZE, EVT_BUFFER_SIZE; and a page of ours.
#define BUFFERS (2ull * 8192 + DAM_PAGE_SIZE)

uint64_t low_memory_wanted(const uint8_t *ivrs, uint32_t length)
{
    struct ivrs_table table;
    struct ivrs_block block;
    uint32_t cursor = 0;
    uint64_t seen[SEGMENTS / 64] = {0}, segments = 0, units = 0;
    dam_err err = ivrs_open(ivrs, length, &table);
    while (!err && (!(err = ivrs_next(&table, &cursor, &block)) || err == DAM_E_RANGE)) {
        err = DAM_OK;
        if (!ivrs_is_ivhd(&block))
            continue;
        uint64_t bit = 1ull << block.segment % 64, *word = &seen[block.segment / 64 % (SEGMENTS / 64)];
        segments += !(*word & bit);
        *word |= bit;
        units++;
    }
    if (!units)
        segments = units = 1;
    uint64_t bytes = segments * MAX_TABLE + units * BUFFERS;
    return bytes < LOW_MEMORY_MAX ? bytes : LOW_MEMORY_MAX;
}

static bool overlaps(const struct e820_entry *a, uint64_t start, uint64_t end)
{
    return a->start < end && start < a->end;
}

// Whether nobody else is known to be in the entry.
static bool is_free(const struct e820_map *map, size_t which, const struct dam_ranges *old_ram,
                    const struct dam_range *used, size_t used_count)
{
    const struct e820_entry *entry = &map->at[which];
    for (size_t i = 0; i < map->count; i++)
        if (i != which && overlaps(entry, map->at[i].start, map->at[i].end))
            return false;
    for (size_t i = 0; i < used_count; i++)
        if (used[i].end > used[i].start && overlaps(entry, used[i].start, used[i].end))
            return false;
    return !dam_ranges_overlap(old_ram, entry->start, entry->end - entry->start);
}

dam_err low_memory_find(const struct e820_map *map, const struct dam_ranges *old_ram,
                        const struct dam_range *used, size_t used_count, uint64_t wanted,
                        struct dam_range *out)
{
    *out = (struct dam_range){0, 0};
    for (size_t i = 0; i < map->count; i++) {
        const struct e820_entry *entry = &map->at[i];
        uint64_t start = entry->start > LOW_MEMORY_START ? entry->start : LOW_MEMORY_START;
        uint64_t end = entry->end < LOW_MEMORY_END ? entry->end : LOW_MEMORY_END;
        if (entry->type != E820_RAM || end <= start || !is_free(map, i, old_ram, used, used_count))
            continue;
        uint64_t size = dam_align_down((end - start) / 4, DAM_PAGE_SIZE);
        if (size > wanted)
            size = dam_align_down(wanted, DAM_PAGE_SIZE);
        end = dam_align_down(end, DAM_PAGE_SIZE);
        if (size > out->end - out->start || (size && size == out->end - out->start && end > out->end))
            *out = (struct dam_range){end - size, end};
    }
    return out->end ? DAM_OK : DAM_E_ABSENT;
}

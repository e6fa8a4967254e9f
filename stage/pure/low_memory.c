// SPDX-License-Identifier: MIT
#include "low_memory.h"

#define LOW_MEMORY_START 0x100000ull // below, both kernels and the firmware are at home

uint64_t low_memory_wanted(const struct iommu_kind *kind, const uint8_t *table, uint32_t length)
{
    uint64_t bytes = kind->low_bytes ? kind->low_bytes(table, length) : 0;
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

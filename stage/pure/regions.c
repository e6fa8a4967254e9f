// SPDX-License-Identifier: MIT
#include "regions.h"

void regions_init(struct regions *regions)
{
    dam_ranges_init(&regions->old_ram, regions->storage[0], REGIONS_MAX);
    dam_ranges_init(&regions->keep_out, regions->storage[1], REGIONS_MAX);
    dam_ranges_init(&regions->memory, regions->storage[2], REGIONS_MAX);
    dam_ranges_init(&regions->reserved, regions->storage[3], REGIONS_MAX);
    dam_ranges_init(&regions->window, regions->storage[4], REGIONS_MAX);
}

// Adds a range rounded outwards to whole pages: that is what an IOMMU can refuse.
static dam_err add_pages(struct dam_ranges *set, uint64_t start, uint64_t end)
{
    if (end <= start || end > ~0ull - DAM_PAGE_SIZE)
        return DAM_OK;
    return dam_ranges_add(set, dam_align_down(start, DAM_PAGE_SIZE), dam_align_up(end, DAM_PAGE_SIZE));
}

// Adds the whole pages inside a range: Linux uses no others.
static dam_err add_inside(struct dam_ranges *set, uint64_t start, uint64_t end)
{
    if (start > ~0ull - DAM_PAGE_SIZE)
        return DAM_OK;
    return dam_ranges_add(set, dam_align_up(start, DAM_PAGE_SIZE), dam_align_down(end, DAM_PAGE_SIZE));
}

static dam_err add_entry(struct regions *regions, const struct e820_entry *entry)
{
    dam_err err;
    switch (entry->type) {
    case E820_RAM:
        err = regions->ordinary ? add_inside(&regions->old_ram, entry->start, entry->end)
                                : add_pages(&regions->keep_out, entry->start, entry->end);
        if (!err)
            err = add_inside(&regions->window, entry->start, entry->end);
        return err ? err : dam_ranges_add(&regions->memory, entry->start, entry->end);
    case E820_ACPI:
    case E820_NVS:
        return dam_ranges_add(&regions->memory, entry->start, entry->end);
    case E820_RESERVED:
        return dam_ranges_add(&regions->reserved, entry->start, entry->end);
    default:
        return DAM_OK;
    }
}

// Whether e820 or the old kernel says that the hole [start, end) is something.
static bool is_claimed(const struct regions *regions, const struct e820_map *map, uint64_t start,
                       uint64_t end)
{
    if (dam_ranges_overlap(&regions->old_ram, start, end - start))
        return true;
    for (size_t i = 0; i < map->count; i++)
        if (map->at[i].type != E820_RAM && map->at[i].start < end && map->at[i].end > start)
            return true;
    return false;
}

static dam_err close_gaps(struct regions *regions, const struct e820_map *map)
{
    struct dam_ranges *set = &regions->keep_out;
    for (size_t i = 0; i + 1 < set->count;) {
        uint64_t start = set->at[i].end, end = set->at[i + 1].start;
        if (end - start > REGIONS_MAX_GAP || is_claimed(regions, map, start, end)) {
            i++;
            continue;
        }
        dam_err err = dam_ranges_add(set, start, end); // merges i + 1 into i
        if (err)
            return err;
    }
    return DAM_OK;
}

dam_err regions_fill(struct regions *regions, const struct e820_map *map, const struct dam_range *extra,
                     size_t extra_count)
{
    dam_err err = DAM_OK;
    for (size_t i = 0; i < map->count && !err; i++)
        err = add_entry(regions, &map->at[i]);
    for (size_t i = 0; i < extra_count && !err; i++) {
        err = add_pages(&regions->keep_out, extra[i].start, extra[i].end);
        if (!err)
            err = dam_ranges_add(&regions->memory, extra[i].start, extra[i].end);
    }
    if (!err)
        err = close_gaps(regions, map);
    for (size_t i = 0; i < regions->keep_out.count && !err; i++)
        err =
            dam_ranges_remove(&regions->old_ram, regions->keep_out.at[i].start, regions->keep_out.at[i].end);
    for (size_t i = 0; i < regions->old_ram.count && !err; i++)
        err = dam_ranges_add(&regions->memory, regions->old_ram.at[i].start, regions->old_ram.at[i].end);
    if (!err)
        err = dam_ranges_add(&regions->memory, 0, REGIONS_LOW_END);
    if (!err)
        err = dam_ranges_remove(&regions->reserved, REGIONS_DEVICES_START, REGIONS_DEVICES_END);
    for (size_t i = 0; i < regions->memory.count && !err; i++)
        err = dam_ranges_remove(&regions->reserved, regions->memory.at[i].start, regions->memory.at[i].end);
    return err;
}

uint64_t regions_bytes(const struct dam_ranges *set)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < set->count; i++)
        sum += set->at[i].end - set->at[i].start;
    return sum;
}

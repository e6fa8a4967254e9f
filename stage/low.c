// SPDX-License-Identifier: MIT
// The second pool, below 4 GiB, where a unit needs one: see pure/low_memory.h.
#include <string.h>

#include "acpi/tables.h"
#include "pure/low_memory.h"
#include "pure/text.h"
#include "stage.h"

// An ordinary kexec has no crash region, and its next kernel inherits nothing.
static bool is_needed(void)
{
    return !stage.ordinary && stage.pool.pa.v + stage.pool.size > LOW_MEMORY_END;
}

void stage_find_low(void)
{
    struct dam_range used[STAGE_PLACED + SETUP_DATA_MAX + 1];
    size_t count = stage_placed(used);
    for (size_t i = 0; i < stage.node_count; i++) {
        uint64_t at = stage.nodes[i].data.v;
        used[count++] = (struct dam_range){at - SETUP_DATA_HEADER, at + stage.nodes[i].len};
    }
    uint64_t tables = dam_align_down(stage.entry_cr3, DAM_PAGE_SIZE);
    used[count++] = (struct dam_range){tables, tables + DAM_PAGE_SIZE};
    // Whoever is not found has nothing: that is said when it is known to be needed.
    if (!is_needed() ||
        low_memory_find(&stage.map, &stage.regions.old_ram, used, count, LOW_MEMORY_MAX, &stage.low_found))
        stage.low_found = (struct dam_range){0, 0};
}

// Bytes that are wanted; 0: the firmware lists no IOMMU that wants any.
static uint64_t wanted(const dam_pa *rsdp)
{
    struct acpi_rsdp pointer;
    struct acpi_root root;
    struct acpi_table table;
    struct iommu_kind kinds[IOMMU_KINDS];
    unsigned count = 0;
    uint64_t bytes = 0, mark = stage.pool.high;
    if (!acpi_find_rsdp(&stage.ops, rsdp, DAM_MAX_RSDP, &pointer) &&
        !acpi_open_root(&stage.ops, &stage.pool, &pointer, &root))
        count = iommu_kinds(kinds);
    for (unsigned i = 0; i < count; i++)
        if (!acpi_read_table(&stage.ops, &root, &stage.pool, kinds[i].signature, 0, &table))
            bytes += low_memory_wanted(&kinds[i], table.bytes, table.length);
    dam_arena_release_records(&stage.pool, mark);
    return bytes;
}

static dam_err take(uint64_t bytes)
{
    uint64_t end = stage.low_found.end, start = end - bytes;
    if (stage.low_found.start > start)
        start = stage.low_found.start;
    if (!end)
        return DAM_E_ABSENT;
    dam_err err = dam_ranges_remove(&stage.regions.window, start, end);
    if (!err)
        err = e820_reserve(stage.bp_note, &stage.map, start, end);
    if (err)
        return err;
    memset((void *)start, 0, end - start);
    dam_arena_init(&stage.low_pool, (void *)start, dam_pa_of(start), end - start);
    return DAM_OK;
}

struct dam_arena *stage_take_low(const dam_pa *rsdp)
{
    uint64_t bytes = is_needed() ? wanted(rsdp) : 0;
    if (!bytes)
        return NULL;
    dam_err err = take(bytes);
    if (err) {
        stage.low_missing = err;
        console_line(&stage.console, CONSOLE_NORMAL, "no pages below 4 GiB for the IOMMU's tables: %s",
                     text_of_error(err));
        return NULL;
    }
    console_line(&stage.console, CONSOLE_NORMAL, "second pool below 4 GiB: %lu KiB at 0x%lx",
                 stage.low_pool.size >> 10, stage.low_pool.pa.v);
    return &stage.low_pool;
}

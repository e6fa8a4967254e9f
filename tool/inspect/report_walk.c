// SPDX-License-Identifier: MIT
// Fills the map: every tree is walked once.
#include <stdlib.h>

#include "inspect/progress.h"
#include "inspect/report.h"
#include "inspect/requester.h"

#define NO_MORE_THAN (1ull << 40) // bytes of a crash region that are believed

static dam_err add_range(void *ctx, const struct inspect_range *range)
{
    struct map *map = ctx;
    if (range->kind == INSPECT_MAPPED)
        map_add(map, range->addr, range->size, range->r, range->w);
    return DAM_OK;
}

static void count_crash(const struct inspection *inspection, const struct map *map, uint64_t out[2])
{
    for (size_t i = 0; i < inspection->crash_count; i++) {
        uint64_t read, write;
        map_count(map, &inspection->crash[i], &read, &write);
        out[0] += read;
        out[1] += write;
    }
}

static dam_err add_tree(struct inspection *inspection, struct map *map, const struct inspect_tree *tree,
                        struct map_tree *out, uint64_t crash[2])
{
    *out = (struct map_tree){0};
    if (tree->requesters == 0) // vacant ones alone
        return DAM_OK;
    if (tree->stage == DAM_STAGE_PASSTHROUGH && tree->r && tree->w) {
        map_everything(map, tree->requesters, out);
        return DAM_OK;
    }
    struct inspect_visitor visitor = {map, add_range, NULL};
    map_begin(map);
    dam_err err = inspect_walk(inspection, tree, &visitor);
    count_crash(inspection, map, crash);
    map_end(map, tree->requesters > 0 ? tree->requesters : 1, out);
    return err;
}

static void add_tables(const struct inspection *inspection, struct map *map, struct map_tree *out)
{
    map_begin(map);
    for (size_t i = 0; i < inspection->tables.count; i++) {
        const struct dam_range *r = &inspection->tables.at[i];
        map_add(map, r->start, r->end - r->start, true, true);
    }
    map_end(map, 0, out);
}

static dam_err new_map(const struct inspection *inspection, struct map *map)
{
    struct dam_range crash[sizeof inspection->crash / sizeof inspection->crash[0]];
    size_t count = 0;
    for (size_t i = 0; i < inspection->crash_count; i++)
        if (inspection->crash[i].end > inspection->crash[i].start &&
            inspection->crash[i].end - inspection->crash[i].start <= NO_MORE_THAN)
            crash[count++] = inspection->crash[i];
    return map_new(memory_ram(inspection->memory), crash, count, map);
}

dam_err report_map(struct inspection *inspection, struct map *map, struct map_tree **trees,
                   struct map_tree *tables, uint64_t (**crash)[2])
{
    size_t count = inspection->tree_count + inspection->unit_count;
    *trees = calloc(count + 1, sizeof **trees);
    *crash = calloc(count + 1, sizeof **crash);
    dam_err err = new_map(inspection, map);
    if (err == DAM_E_RANGE) // not a page of memory: there is nothing to map
        return DAM_OK;
    if (err != DAM_OK || *trees == NULL || *crash == NULL)
        return DAM_E_NOMEM;
    add_tables(inspection, map, tables);
    progress_begin("drawing the map", 0);
    for (size_t i = 0; i < inspection->tree_count && err == DAM_OK; i++) {
        err = add_tree(inspection, map, inspection->trees[i], &(*trees)[i], (*crash)[i]);
        if (err == DAM_OK && progress_interrupted())
            err = DAM_E_STATE;
    }
    progress_end();
    for (size_t i = 0; i < inspection->unit_count && err == DAM_OK; i++)
        if (requester_unit_off(&inspection->units[i]))
            map_everything(map, 2, &(*trees)[inspection->tree_count + i]);
    map_classify(map);
    return err;
}

// SPDX-License-Identifier: MIT
// The map as JSON. Long lists of numbers are strings with a space between two: ten times smaller here than
// objects, and the page splits them.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "inspect/report.h"
#include "json.h"

struct numbers {
    FILE *stream;
    char *text;
    size_t size;
    bool any;
};

static bool numbers_begin(struct numbers *n)
{
    *n = (struct numbers){0};
    n->stream = open_memstream(&n->text, &n->size);
    return n->stream != NULL;
}

static void number(struct numbers *n, uint64_t value)
{
    fprintf(n->stream, n->any ? " %" PRIu64 : "%" PRIu64, value);
    n->any = true;
}

static void numbers_end(struct numbers *n, struct json_object *out, const char *key)
{
    if (fclose(n->stream) == 0 && n->text != NULL)
        json_object_object_add(out, key, json_object_new_string_len(n->text, (int)n->size));
    free(n->text);
}

// Of each cell: its number, pages of memory, can be read alone, written by one, by several.
static void put_cells(const struct map *map, struct json_object *out)
{
    struct numbers n;
    if (!numbers_begin(&n))
        return;
    for (size_t i = 0; i < map->cell_count; i++) {
        const struct map_cell *c = &map->cells[i];
        number(&n, c->start / map->cell_size);
        number(&n, c->ram);
        number(&n, c->read);
        number(&n, c->one);
        number(&n, c->several);
    }
    numbers_end(&n, out, "cells");
}

// Of each range: pages from the end of the last one, pages.
#define RAM_RANGES 4096u
static void put_ram(const struct map *map, struct json_object *out)
{
    struct numbers n;
    if (!numbers_begin(&n))
        return;
    uint64_t at = 0;
    for (size_t i = 0; i < map->ram.count && i < RAM_RANGES; i++) {
        const struct dam_range *r = &map->ram.at[i];
        number(&n, r->start - at);
        number(&n, r->end - r->start);
        at = r->end;
    }
    numbers_end(&n, out, "ram");
    json_put_bool(out, "ram_cut", map->ram.count > RAM_RANGES);
}

// Of each entry: cell, pages readable, writable, readable alone, runs, runs that follow; of each of these:
// pages from the end of the last one (or the cell's start), pages, rights.
static void put_entries(const struct map *map, const struct map_tree *tree, struct json_object *out)
{
    struct numbers n;
    if (!numbers_begin(&n))
        return;
    for (size_t i = tree->first_entry; i < tree->first_entry + tree->entries; i++) {
        const struct map_entry *e = &map->entries[i];
        number(&n, e->cell);
        number(&n, e->read);
        number(&n, e->write);
        number(&n, e->read_only);
        number(&n, e->all_runs);
        number(&n, e->runs);
        uint64_t at = map->cells[e->cell].start;
        for (uint64_t k = e->first_run; k < e->first_run + e->runs; k++) {
            const struct map_run *run = &map->runs[k];
            number(&n, run->start - at);
            number(&n, run->size);
            number(&n, run->rights);
            at = run->start + run->size;
        }
    }
    numbers_end(&n, out, "entries");
}

static void put_outside(const struct map *map, const struct map_tree *tree, struct json_object *out)
{
    struct numbers n;
    if (!numbers_begin(&n))
        return;
    for (size_t i = tree->first_outside; i < tree->first_outside + tree->outside; i++) {
        number(&n, map->outside[i].start);
        number(&n, map->outside[i].size);
        number(&n, map->outside[i].rights);
    }
    numbers_end(&n, out, "outside");
    json_put_bool(out, "outside_cut", tree->outside_cut);
}

void report_tree_json(const struct map *map, const struct map_tree *tree, struct json_object *out)
{
    json_put_bool(out, "everything", tree->everything);
    json_put_bool(out, "detailed", tree->detailed);
    json_put_number(out, "read_pages", tree->read);
    json_put_number(out, "write_pages", tree->write);
    json_put_number(out, "tables_read", tree->marked_read);
    json_put_number(out, "tables_written", tree->marked_write);
    put_entries(map, tree, out);
    put_outside(map, tree, out);
}

struct json_object *report_map_json(const struct map *map, const struct map_tree *tables)
{
    struct json_object *out = json_object_new_object(), *marks = json_object_new_object();
    if (out == NULL || marks == NULL) {
        json_object_put(out);
        json_object_put(marks);
        return NULL;
    }
    json_put_number(out, "cell_pages", map->cell_size);
    json_put_number(out, "granule_pages", map->granule);
    put_ram(map, out);
    put_cells(map, out);
    report_tree_json(map, tables, marks);
    json_object_object_add(out, "tables", marks);
    return out;
}

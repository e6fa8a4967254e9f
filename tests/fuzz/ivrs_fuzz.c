// SPDX-License-Identifier: MIT
// Any bytes as an IVRS table, read by the engine and shown by the tool. Nothing may crash, run away, or be
// given out that does not lie in the table. Seeds: tests/fuzz/seeds/ivrs.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ivrs_view.h"

static size_t seen, limit;

static void inside(const struct ivrs_block *b, const uint8_t *p, size_t size)
{
    if (p && (p < b->entries || p + size > b->entries + b->entries_length))
        abort();
}

// Returns the first error that is not the end.
static dam_err walk_entries(const struct ivrs_block *b)
{
    struct ivrs_entry e;
    uint16_t at = 0, before = 0;
    dam_err err, first = DAM_OK;

    while ((err = ivrs_next_entry(b, &at, &e)) == DAM_OK || err == DAM_E_RANGE || err == DAM_E_BROKEN) {
        if (++seen > limit || at < before + 4 || at > b->entries_length || e.offset + e.length > b->length)
            abort();
        if (e.covers && (err != DAM_OK || e.first > e.last))
            abort();
        inside(b, e.hid, 8);
        inside(b, e.cid, 8);
        inside(b, e.uid, e.uid_length);
        before = at;
        first = first ? first : err;
    }
    if (at != before || (err == DAM_E_ABSENT) != (at >= b->entries_length))
        abort();
    return first ? first : err == DAM_E_ABSENT ? DAM_OK : err;
}

static void walk(const struct ivrs_table *table)
{
    struct ivrs_block b;
    uint32_t cursor = 0;
    dam_err err, first = DAM_OK;

    while ((err = ivrs_next(table, &cursor, &b)) == DAM_OK || err == DAM_E_RANGE) {
        if (++seen > limit || b.offset + b.length > table->length || cursor != b.offset + b.length)
            abort();
        first = first ? first : err;
        if (ivrs_counts(table, &b) && !ivrs_is_ivhd(&b))
            abort();
        if (err == DAM_OK && ivrs_is_ivmd(&b) && (b.first > b.last || b.start + (b.size - 1) < b.start))
            abort();
        err = walk_entries(&b);
        first = first ? first : err;
    }
    first = first ? first : err == DAM_E_ABSENT ? DAM_OK : err;
    if (ivrs_check(table, NULL) != first)
        abort(); // the two ways must agree on what is sound
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ivrs_table table;
    struct tool_error error;
    // A copy of exactly its size, so that the sanitizer sees one byte too many.
    uint8_t *copy = malloc(size ? size : 1);

    memcpy(copy, data, size);
    seen = 0;
    limit = size;
    if (ivrs_open(copy, size, &table) == DAM_OK)
        walk(&table);
    if (size <= 4096 && ivrs_view_open(copy, size, &table, &error) == TOOL_OK) {
        FILE *stream = fopen("/dev/null", "w");
        if (stream) {
            ivrs_view_print(stream, &table, "");
            fclose(stream);
        }
        json_object_put(ivrs_view_json(&table));
    }
    free(copy);
    return 0;
}

// SPDX-License-Identifier: MIT
// Physical memory as a map: a bounded number of cells in address order, and for each cell how much of it who
// can read and write, counted exactly, page by page. Bounded memory whatever the machine: bitmaps for the
// tree that is being added and for the sums of all trees, and lists with limits for the details.
#ifndef TOOL_INSPECT_REPORT_MAP_H
#define TOOL_INSPECT_REPORT_MAP_H

#include <cofferdam/range.h>

#define MAP_CELLS        2048u        // at most
#define MAP_GRANULES     (1ull << 28) // bits of a bitmap at most: 1 TiB in pages
#define MAP_ENTRIES      200000u      // of all trees together
#define MAP_RUNS         200000u      // of all entries together
#define MAP_OUTSIDE      1024u        // ranges outside the map, of one tree
#define MAP_OUTSIDE_RUNS 16384u       // of all trees

#define MAP_READ         1u
#define MAP_WRITE        2u

// A cell: `size` pages of addresses from `start`, of which `ram` pages are memory. All counts are pages.
struct map_cell {
    uint64_t start;
    uint64_t ram;
    // After map_classify(): readable and writable by nobody is what is left of ram.
    uint64_t read; // readable by somebody, writable by nobody
    uint64_t one;  // writable by one requester
    uint64_t several;
};

// What one tree can do in one cell.
struct map_entry {
    uint32_t cell;
    uint32_t runs; // kept: these many from first_run
    uint64_t first_run;
    uint64_t all_runs; // that there were
    uint64_t read, write;
    uint64_t read_only; // of read
};

struct map_run {
    uint64_t start, size; // pages
    uint8_t rights;       // MAP_READ, MAP_WRITE
};

struct map_tree {
    bool everything; // can read and write all of the map: no entries
    bool detailed;   // entries tell all of it; false: the limit was reached, only the sums are right
    bool outside_cut;
    size_t first_entry, entries;
    uint64_t read, write;               // distinct pages of the map
    uint64_t marked_read, marked_write; // of these, pages that are marked
    // Mappings that lead outside the map, merged: runs of these numbers.
    size_t first_outside, outside;
};

struct map {
    uint64_t cell_size; // pages, a power of two
    uint64_t granule;   // pages a bit stands for: 1, or more when there is too much memory for that
    struct map_cell *cells;
    size_t cell_count;
    struct dam_ranges ram; // in pages; sorted
    struct map_entry *entries;
    size_t entry_count;
    struct map_run *runs;
    size_t run_count;
    uint32_t run_limit; // runs that one entry may keep
    struct map_run *outside;
    size_t outside_count;
    unsigned everything; // requesters that can write everything; 2 stands for more
    struct map_bits *bits;
};

// A map of ram and extra (bytes; page-aligned outwards for extra). At least one page must be in them.
// DAM_E_NOMEM, DAM_E_RANGE: no memory to make a map of. Free with map_free() in any case.
DAM_MUST_CHECK dam_err map_new(const struct dam_ranges *ram, const struct dam_range *extra,
                               size_t extra_count, struct map *out);
void map_free(struct map *map);

// One tree: begin, add what it maps in any order, end. The ranges are in bytes; pages that they touch count.
void map_begin(struct map *map);
void map_add(struct map *map, uint64_t addr, uint64_t size, bool r, bool w);
// Between map_add() and map_end(): pages of [range) that the tree can read and write.
void map_count(const struct map *map, const struct dam_range *range, uint64_t *read, uint64_t *write);
// requesters: how many have this tree. 0: it counts for nobody; what it writes is marked instead, and what
// the trees behind it can do there is counted.
void map_end(struct map *map, uint32_t requesters, struct map_tree *out);
// The tree that maps everything to itself.
void map_everything(struct map *map, uint32_t requesters, struct map_tree *out);
// After the last tree.
void map_classify(struct map *map);

#endif

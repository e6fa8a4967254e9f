// SPDX-License-Identifier: MIT
// What the benchmarks share: big trees of the old kernel, a clock, lines of results. A result is a ratio of
// two times of one run, so that it says something on any machine.
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdint.h>

#include "pgtable/audit.h"

#define BENCH_PA     0x1000000000ull // where the old tables lie
#define BENCH_LEVELS 4u
#define BENCH_HAW    46u

struct bench_tree {
    uint8_t *host;   // the table pages, in an order as if long in use
    uint64_t pages;  // all of them
    uint64_t root;   // physical address
    uint64_t *order; // page numbers in the order in which a walk reads them
};

// A 4-level tree of about `pages` table pages (never more), every leaf entry present, read-write, and leading
// to pages between 4 GiB and 68 GiB. Ends the program when there is no memory.
void bench_tree_make(struct bench_tree *tree, uint64_t pages);
void bench_tree_free(struct bench_tree *tree);

// Everything that pt_audit() and its like want, over one tree.
struct bench_world {
    struct bench_tree *tree;
    struct dam_ops ops;
    struct dam_range storage[4];
    struct dam_ranges old_ram, keep_out;
    struct dam_arena pool;
    struct pt_budget budget;
    struct pt_memory memory, own_memory;
    struct pt_format format;
    struct pt_params params;
    uint64_t *buffers;
    uint8_t *pool_host;
};
// pool_pages: of the pool, 0 for the least. keep_out: start of 256 MiB that nobody may reach.
void bench_world_make(struct bench_world *w, struct bench_tree *tree, uint64_t pool_pages, uint64_t keep_out);
void bench_world_free(struct bench_world *w);
// An empty pool again, zeroed as at boot. Not to be timed.
void bench_world_reset(struct bench_world *w);

// Seconds of an arbitrary clock.
double bench_now(void);
// Seconds to copy every table page, in the order of a walk: to one 4-KiB buffer, or to `to` (as many pages)
// when not NULL.
double bench_memcpy(const struct bench_tree *tree, uint8_t *to);
// GiB that this machine could give us now.
double bench_memory(void);
// One line of results: what | value | aim ("" when none).
void bench_result(const char *what, const char *aim, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

// SPDX-License-Identifier: MIT
// The one list of page-table formats that tests go through: for each one how its entries are written, typed
// as numbers, and who judges what hardware makes of them. Nothing of it is the engine's but fill(). A new
// format is one more line in formats.c.
#ifndef TESTS_LIB_FORMATS_H
#define TESTS_LIB_FORMATS_H

#include "pgtable/pt.h"

// Memory as the hardware's walk sees it; false: no such memory.
struct test_memory {
    bool (*read64)(void *ctx, uint64_t pa, uint64_t *value);
    void *ctx;
};

// What hardware does with one IOVA.
struct judged {
    bool r, w;   // allowed
    uint64_t pa; // when one of them is
    bool unsure; // nobody knows, or it depends on what hardware has cached: pa, r and w are the first guess
};

#define TEST_R 1u
#define TEST_W 2u

struct test_format {
    const char *name;
    void (*fill)(struct pt_format *out);
    uint8_t min_levels, max_levels;
    bool runs;       // pages of several entries
    bool skips;      // levels may be left out
    bool write_only; // TEST_W alone can be said
    // Any parameters that hardware may have; levels is filled in.
    void (*params)(uint64_t dice, struct pt_params *p);
    // An entry of `level` that leads to a table, with `skip` levels left out.
    uint64_t (*table)(uint64_t pa, unsigned level, unsigned skip, unsigned rights);
    // One that maps: one entry of 2^run.
    uint64_t (*leaf)(uint64_t pa, unsigned level, unsigned run, unsigned rights);
    struct judged (*judge)(const struct pt_params *p, const struct test_memory *memory, uint64_t root,
                           uint64_t iova);
};

extern const struct test_format test_formats[];
extern const unsigned test_format_count;

#endif

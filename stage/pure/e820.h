// SPDX-License-Identifier: MIT
// The memory map that the loader gives the capture kernel: e820_table in boot_params and what did not fit
// there.
#ifndef STAGE_E820_H
#define STAGE_E820_H

#include <cofferdam/ops.h>

#include "bootparams.h"

enum e820_type {
    E820_RAM = 1,
    E820_RESERVED = 2,
    E820_ACPI = 3,
    E820_NVS = 4,
};

struct e820_entry {
    uint64_t start, end; // half-open, end > start
    uint32_t type;
};

#define E820_MAX 512u

struct e820_map {
    struct e820_entry at[E820_MAX]; // in the loader's order, which need not be ascending
    size_t count;
    size_t extended_from; // entries from here on came from setup_data, not from boot_params' own table
    bool lost;            // there were more than fit
};

// Reads the table in bp (BP_SIZE bytes). Empty entries and those that wrap around are left out.
void e820_read_table(const uint8_t *bp, struct e820_map *map);

// Adds the entries of one SETUP_E820_EXT node: data of len bytes at pa, read through ops.
DAM_MUST_CHECK dam_err e820_read_extension(const struct dam_ops *ops, dam_pa pa, uint64_t len,
                                           struct e820_map *map);

// Marks [start, end) reserved in the table in bp: RAM entries are split around it, and one entry of type 2 is
// added at the end. DAM_E_RANGE when the table's RAM does not cover all of it, or when an extended entry of
// map calls a part of it RAM; DAM_E_NOMEM when the table would need more than BP_E820_MAX entries. On an
// error bp is unchanged.
DAM_MUST_CHECK dam_err e820_reserve(uint8_t *bp, const struct e820_map *map, uint64_t start, uint64_t end);

#endif

// SPDX-License-Identifier: MIT
// What scan.c gives to the kinds. Nothing else includes this.
#ifndef TOOL_INSPECT_SCAN_PARTS_H
#define TOOL_INSPECT_SCAN_PARTS_H

#include <pgtable/pt.h>

#include "inspect/scan.h"

#define SCAN_WORDS 512u
#define SCAN_READS (1u << 18) // page reads for all candidates of a kind together, beside one for each page

// Neighbouring pages that may be parts of one table, and what each of them says.
#define SCAN_RUN 512u
struct scan_run {
    uint64_t start;
    unsigned pages;
    struct scan_root part[SCAN_RUN];
};

// One kind's share of a scan.
struct scan {
    struct memory *memory;
    const struct dam_ranges *ram;
    struct scan_result *out;
    uint32_t reads;
    struct scan_run run; // for kinds whose tables have several pages
};

enum look { LOOK_STRONG, LOOK_WEAK, LOOK_UNSOUND, LOOK_UNKNOWN };

bool scan_in_ram(const struct scan *scan, uint64_t pa);
// Reads a page that leads on; false: the dump does not hold it.
bool scan_read(struct scan *scan, dam_pa pa, uint64_t words[SCAN_WORDS]);
// Whether page tables begin at root: two levels are looked at. params->levels ≥ 1.
enum look scan_tree(struct scan *scan, const struct pt_format *format, const struct pt_params *params,
                    dam_pa root);

void scan_count(struct scan_root *root, enum look look);
// Whether no more entries of a candidate are to be looked at.
bool scan_enough(const struct scan *scan, const struct scan_root *root);
// Whether what was counted speaks for a candidate.
bool scan_likely(const struct scan_root *root);
// Puts a candidate into the result, if it is one of the likeliest.
void scan_keep(struct scan *scan, const struct scan_root *root);

#endif

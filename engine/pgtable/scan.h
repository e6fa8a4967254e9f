// SPDX-License-Identifier: MIT
// What the scans of all formats share. One pass over every leaf table of the old kernel is most of what an
// audit costs, so groups of entries that are all empty, or all mapped alike with nothing unusual set, are
// done with a few operations an entry.
#ifndef ENGINE_PGTABLE_SCAN_H
#define ENGINE_PGTABLE_SCAN_H

#include "pgtable/pt.h"

#define PT_SCAN_GROUP 8u

// Adds entry `index` to the scan.
typedef void pt_scan_one(const struct pt_params *p, const uint64_t *entries, unsigned index,
                         const struct dam_ranges *watch, struct pt_scan *out);

// Scans a level-0 table. An entry is plain when it is readable and writable and no more is to be said of it:
// all bits of `plain` are set and none of `unusual`; then, but for the bits of `ignored`, its address lies
// above bit 11. All others are given to `one`. Inlined, so that each format gets a loop of its own.
__attribute__((always_inline)) static inline void
pt_scan_groups(const struct pt_params *p, const uint64_t *entries, const struct dam_ranges *watch,
               uint64_t plain, uint64_t unusual, uint64_t ignored, pt_scan_one *one, struct pt_scan *out)
{
    unsigned groups = 0;
    uint64_t hits = 0;
    *out = (struct pt_scan){0};
    for (const uint64_t *e = entries; e < entries + PT_ENTRIES; e += PT_SCAN_GROUP) {
        uint64_t any = 0, all = ~0ull;
        for (unsigned i = 0; i < PT_SCAN_GROUP; i++) {
            any |= e[i];
            all &= e[i];
        }
        if (any == 0)
            continue;
        if ((all & plain) != plain || (any & unusual)) {
            for (unsigned i = 0; i < PT_SCAN_GROUP; i++)
                one(p, entries, (unsigned)(e - entries) + i, watch, out);
            continue;
        }
        any &= ~ignored;
        all &= ~ignored;
        groups++;
        for (const struct dam_range *r = watch->at; r < watch->at + watch->count; r++) {
            // No entry of the group is above `any` or below `all`.
            if (any < r->start || all >= r->end)
                continue;
            // Permission bits below the page do no harm: start is a page's.
            uint64_t start = dam_align_down(r->start, DAM_PAGE_SIZE), size = r->end - start;
            for (unsigned i = 0; i < PT_SCAN_GROUP; i++)
                hits += (e[i] & ~ignored) - start < size;
        }
    }
    out->readable += groups * PT_SCAN_GROUP;
    out->writable += groups * PT_SCAN_GROUP;
    out->mapped += groups * PT_SCAN_GROUP;
    out->watched |= hits != 0;
}

#endif

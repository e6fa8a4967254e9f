// SPDX-License-Identifier: MIT
// Sets of physical address ranges: sorted, disjoint, half-open, in storage that the caller gives.
#ifndef COFFERDAM_RANGE_H
#define COFFERDAM_RANGE_H

#include <cofferdam/types.h>

struct dam_range {
    uint64_t start, end; // half-open; end > start
};

struct dam_ranges {
    struct dam_range *at;
    size_t count, capacity;
};

// Makes an empty set over the caller's storage.
void dam_ranges_init(struct dam_ranges *set, struct dam_range *storage, size_t capacity);
// Adds [start, end), merging with what it touches. end <= start adds nothing. DAM_E_NOMEM when storage is
// full.
DAM_MUST_CHECK dam_err dam_ranges_add(struct dam_ranges *set, uint64_t start, uint64_t end);
// Takes [start, end) out. DAM_E_NOMEM when a range would have to be split and storage is full.
DAM_MUST_CHECK dam_err dam_ranges_remove(struct dam_ranges *set, uint64_t start, uint64_t end);
// Whether all of [start, start+size) lies inside one range; size > 0; a wrap around 2^64 is false.
bool dam_ranges_contain(const struct dam_ranges *set, uint64_t start, uint64_t size);
// Whether [start, start+size) shares a byte with the set; size > 0; a range that wraps is cut at 2^64.
bool dam_ranges_overlap(const struct dam_ranges *set, uint64_t start, uint64_t size);
// The first range that shares a byte with [start, start+size), or NULL.
const struct dam_range *dam_ranges_find(const struct dam_ranges *set, uint64_t start, uint64_t size);

#endif

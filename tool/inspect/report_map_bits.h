// SPDX-License-Identifier: MIT
// What the two halves of the map share: its bitmaps.
#ifndef TOOL_INSPECT_REPORT_MAP_BITS_H
#define TOOL_INSPECT_REPORT_MAP_BITS_H

#include "inspect/report_map.h"

struct map_bits {
    uint64_t *read, *write;         // of the tree that is being added
    uint64_t *any_read, *any_write; // of all trees
    uint64_t *marks;
    uint64_t *several;              // written by more than one requester
    bool *touched;                  // cells that the tree has bits in
    size_t words;                   // of a cell
    size_t last_cell, last_ram;     // where the last addition was: the next one is often there
    struct dam_ranges out_r, out_w; // outside, of this tree
    bool outside_cut;
};

#endif

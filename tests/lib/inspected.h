// SPDX-License-Identifier: MIT
// What a tree is said to map by the model of inspect, both ways of asking, for tests that hold it against a
// judge; and what must hold of the answers whatever the tables say.
#ifndef TESTS_LIB_INSPECTED_H
#define TESTS_LIB_INSPECTED_H

#include "inspect/model.h"

#define INSPECTED_RANGES 20000u

struct inspected {
    struct inspection in;
    struct inspect_range ranges[INSPECTED_RANGES]; // of the tree that was walked last
    size_t count;
    char wrong[160]; // the first thing that does not hold; "": nothing
};

// Walks a tree and keeps its ranges, which must be in order, apart, and put together where they go on.
void inspected_walk(struct inspected *i, const struct inspect_tree *tree, const struct dam_ranges *watch);

struct said {
    enum inspect_way_end end;
    uint64_t pa;
};
// What the way of one IOVA says; the same from the ranges of the last walk (of an identity tree these have
// RAM alone).
struct said inspected_way(struct inspected *i, const struct inspect_tree *tree, uint64_t iova, bool write);
struct said inspected_range(const struct inspected *i, uint64_t iova, bool write);

// Audited totals are the sums of the ranges.
void inspected_totals(struct inspected *i);
// Walking with an eye on two pieces of memory is walking, and looking for them.
void inspected_watching(struct inspected *i, const struct dam_range watched[2]);
// Whether something odd was found, but for what depends on no entry: keep-out memory, domain ids.
bool inspected_odd(const struct inspected *i);

#endif

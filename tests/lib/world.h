// SPDX-License-Identifier: MIT
// Random old tables in one of the table modes, random policies, and what the policies say about every probe:
// the judge of the takeover's properties. A translator written apart says what the old and the new tables do.
#ifndef TESTS_LIB_WORLD_H
#define TESTS_LIB_WORLD_H

#include "lib/machine.h"

#define WORLD_REQUESTERS 6
#define WORLD_PROBES     220

// One binding, and how requests reach it.
struct asked {
    unsigned rid, pasid; // pasid: NAIVE_NO_PASID for requests without one
    enum dam_policy policy;
    unsigned stage, levels; // as the tables say when they are looked at; levels of the address that comes in
    bool window;            // shares the firmware region
    bool crash;             // gets the crash window
};

struct world {
    struct machine m;
    bool scalable;
    unsigned levels; // of the unit's second stage
    unsigned mappings;
    struct asked r[WORLD_REQUESTERS];
    unsigned device; // the function that a firmware region may name
    uint64_t probe[WORLD_PROBES];
    unsigned probes;
    uint64_t window_start, window_end; // of that function, when there is one
    struct dam_range crash_storage[1]; // the crash window, when the IOMMU is to be hidden
    struct dam_ranges crash;
    uint64_t scratch;
    bool marks_guests; // a nested requester may write, so that hardware marks tables in old memory
    // Old(d) of each probe: translations as hardware did them before.
    struct naive_result old[WORLD_REQUESTERS][WORLD_PROBES][2];
};

// A number below n, of the sequence that world_seed() or world_build() started.
void world_seed(uint64_t seed);
uint64_t world_below(uint64_t n);
// An IOVA of tables of so many levels, at the start of a page of `level`, and memory for such a page. bits:
// of the IOVAs, at most 64.
uint64_t world_iova(unsigned bits, unsigned level);
uint64_t world_pa(unsigned level);
// A random page in first-stage tables. marked: all entries accessed and dirty; else now and then one is not.
void world_map_first(struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level, uint64_t iova,
                     bool marked);
// Makes a machine with random tables of about so many mappings a tree. Ends with machine_teardown(&w->m).
void world_build(struct world *w, uint64_t seed, bool scalable, unsigned mappings);
// Has the IOMMU hidden: a crash window, where some of the trees map something else.
void world_hide(struct world *w);
// Looks at the old tables, takes over, writes the note.
enum dam_stop world_take_over(struct world *w);
// What the policy says about one access, given what the old tables did.
struct naive_result world_expects(const struct world *w, unsigned requester, unsigned probe, bool write);
// What the new tables do. Looks only.
struct naive_result world_does(const struct world *w, unsigned requester, unsigned probe, bool write);
// The difference in words.
void world_tell(const struct world *w, unsigned requester, unsigned probe, bool write, char *text,
                size_t size);

#endif

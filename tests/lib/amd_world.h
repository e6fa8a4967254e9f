// SPDX-License-Identifier: MIT
// Random old tables of an AMD IOMMU, random policies, and what the policies say about every probe; the same
// for AMD as world.h is for VT-d. naive_amdvi.c says what the old and the new tables do.
#ifndef TESTS_LIB_AMD_WORLD_H
#define TESTS_LIB_AMD_WORLD_H

#include "lib/machine.h"

#define AMD_WORLD_REQUESTERS 7
#define AMD_WORLD_PROBES     240
#define AMD_WORLD_OTHER      (AMD_WORLD_REQUESTERS - 1) // the last one: no choice names it

// What the device table makes of requests.
enum amd_asked_kind {
    AMD_BLOCKED, // nothing passes; also what is broken
    AMD_OPEN,    // V = 0
    AMD_PASS,    // Mode 0
    AMD_HOST,
    AMD_GUEST,
    AMD_NESTED, // guest tables seen through the host's, or through Mode 0 that requests without PASID have
};

struct amd_asked {
    unsigned devid, pasid; // pasid: NAIVE_AMD_NO_PASID for requests without one
    enum dam_policy policy;
    enum amd_asked_kind kind; // as the entry says when it is looked at
    unsigned levels;          // of the addresses that come in
    uint64_t root;            // of the tables that a window is laid over
    bool r, w;                // what the entry lets through
    bool window;              // shares the firmware region
    bool crash;               // gets the crash window
};

struct amd_world {
    struct machine m;
    unsigned mappings;
    struct amd_asked r[AMD_WORLD_REQUESTERS];
    unsigned device; // the function that a firmware region names
    uint64_t probe[AMD_WORLD_PROBES];
    unsigned probes;
    uint64_t window_start, window_end;
    bool window_r, window_w;
    struct dam_range crash_storage[1];
    struct dam_ranges crash;
    uint64_t scratch;
    struct naive_amd_result old[AMD_WORLD_REQUESTERS][AMD_WORLD_PROBES][2];
};

// What one access may do.
struct amd_expected {
    bool may_pass, may_refuse; // both: either is right
    uint64_t pa;               // where it leads when it passes
};

// Makes a machine with random tables of about so many mappings a tree. Ends with machine_teardown(&w->m).
void amd_world_build(struct amd_world *w, uint64_t seed, unsigned mappings);
// Has the IOMMU hidden: a crash window, where some of the trees map something else.
void amd_world_hide(struct amd_world *w);
// Looks at the old tables, takes over, writes the note.
enum dam_stop amd_world_take_over(struct amd_world *w);
// What the policy says about one access, given what the old tables did.
struct amd_expected amd_world_expects(const struct amd_world *w, unsigned requester, unsigned probe,
                                      bool write);
// What the new tables do. Looks only.
struct naive_amd_result amd_world_does(const struct amd_world *w, unsigned requester, unsigned probe,
                                       bool write);
// The difference in words.
void amd_world_tell(const struct amd_world *w, unsigned requester, unsigned probe, bool write, char *text,
                    size_t size);

#endif

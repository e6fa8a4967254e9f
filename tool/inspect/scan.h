// SPDX-License-Identifier: MIT
// The last resort: pages that look like root or device tables, in a dump of which nothing tells where those
// are. What it finds is a guess, and is to be called one: tables that were in use once and lie about still
// look the same.
#ifndef TOOL_INSPECT_SCAN_H
#define TOOL_INSPECT_SCAN_H

#include "inspect/memory.h"

#define SCAN_MAX_ROOTS 32u

struct unit_kind; // kind.h
struct scan;      // scan_parts.h

// A candidate. The counts are of entries that translate requests without PASID (context entries, in scalable
// mode PASID entries, device table entries); how many were looked at is bounded.
struct scan_root {
    const struct unit_kind *kind;
    dam_pa root;
    bool scalable;    // VT-d: in scalable mode
    uint64_t size;    // bytes of the table
    uint32_t strong;  // lead to page tables that map something
    uint32_t weak;    // well-formed, but prove little: pass-through, or tables that map nothing
    uint32_t unsound; // that the hardware would refuse, or that lead outside all memory
    uint32_t unknown; // lead to what the dump does not hold
};

struct scan_result {
    struct scan_root roots[SCAN_MAX_ROOTS]; // the likeliest first
    size_t count;
    bool more;    // there were more candidates than there is room for: these are the likeliest
    bool gave_up; // so much looked alike that not all of it was looked at
};

// Looks at every page that the dump holds, but for those in `skip` (say, the crash region; NULL: none), and
// says on standard error how far it is. DAM_E_STATE: interrupted; *out has what was found until then.
DAM_MUST_CHECK dam_err scan_roots(struct memory *memory, const struct dam_ranges *skip,
                                  struct scan_result *out);

#endif

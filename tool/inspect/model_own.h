// SPDX-License-Identifier: MIT
// What the model's files share: the engine's seam over a dump that may lack pages, lists, findings.
#ifndef TOOL_INSPECT_MODEL_OWN_H
#define TOOL_INSPECT_MODEL_OWN_H

#include "inspect/model.h"

#define MAX_UNITS      256u
#define MAX_REQUESTERS (1u << 17)
#define MAX_BINDINGS   (1u << 14) // of one function
#define MAX_FINDINGS   4096u
#define INSPECT_WIDEST 52u // bits of a host address, when nobody tells

// Findings of one code about one thing are told a few times, then counted.
struct inspect_fold {
    uint32_t seen[256]; // by code
    uint32_t last[256]; // index of the last one told
};

// Page numbers that come in any order, kept as few ranges (pages.c).
#define PAGES_WAITING 16384u
#define PAGES_RANGES  65536u
struct inspect_pages {
    uint64_t *waiting; // PAGES_WAITING addresses
    size_t count;
    struct dam_range *ranges, *merged; // PAGES_RANGES + PAGES_WAITING each
    size_t range_count;
    uint64_t granule; // bytes that one range is a multiple of
};

struct inspect_own {
    struct memory *memory;
    struct dam_ops direct; // the memory's own
    struct dam_ops ops; // over it: what it lacks, or has damaged, is DAM_E_ABSENT; DAM_E_STATE: interrupted
    uint64_t reads;
    uint64_t pages;      // that can be tables at all
    uint64_t audit_left; // tables that all audits together may still read
    struct dam_range keep_storage[16];
    struct dam_ranges keep_out; // what no requester should have reached
    uint8_t host_address_width;
    uint64_t encrypt; // as inspect_unit has it
    struct inspect_fold fold;
    size_t unit_capacity, tree_capacity, requester_capacity, finding_capacity;
    uint32_t *tree_index; // hash: number + 1, 0: empty
    size_t tree_index_size;
    struct inspect_pages table_pages;
};

// One walk: where old tables lie, and what it may still read.
struct inspect_reading {
    struct pt_budget budget;
    struct pt_memory memory;
    uint64_t buffers[PT_MAX_LEVELS * PT_ENTRIES];
};
// At most as many tables as the dump has pages: a tree that has more leads to itself. NULL: no memory. Free
// it.
struct inspect_reading *inspect_begin_reading(const struct inspection *in);

// Makes room for one more entry of a list. false: no memory.
bool inspect_grow(void **list, size_t count, size_t *capacity, size_t entry);

// Forgets what was folded: a new thing is looked at.
void inspect_fold_begin(struct inspection *in);
// Adds a finding; its severity is that of its code.
void inspect_add_finding(struct inspection *in, const struct dam_finding *finding);

// Bytes of all that a tree translates, or UINT64_MAX of one with more.
static inline uint64_t inspect_width(const struct pt_params *params)
{
    uint64_t last = pt_last(params->levels);
    return last == UINT64_MAX ? last : last + 1;
}

// An IOVA as 64 bits, with its sign where the format has one.
uint64_t inspect_signed(const struct pt_params *params, uint64_t iova);

// What is left of the rights on the way through table t and its entry e; NULL: not that far yet.
struct inspect_rights {
    bool r, w;
};
static inline struct inspect_rights inspect_rights(const struct inspect_tree *tree, const struct pt_table *t,
                                                   const struct pt_entry *e)
{
    return (struct inspect_rights){tree->r && (t == NULL || t->r) && (e == NULL || e->r),
                                   tree->w && (t == NULL || t->w) && (e == NULL || e->w)};
}

// ---- units (model_units.c)
// Fills in the units, from the best source there is. TOOL_BAD_INPUT, TOOL_USAGE, TOOL_SYSTEM.
TOOL_MUST_CHECK enum tool_status
inspect_find_units(struct inspection *in, const struct inspect_options *options, struct tool_error *error);

// ---- tables above the page tables (model_tables.c)
DAM_MUST_CHECK dam_err inspect_read_tables(struct inspection *in, struct inspect_unit *unit);
// By segment, rid, PASID; and the first one of each tree.
void inspect_sort_requesters(struct inspection *in);

// ---- pages (pages.c)
bool inspect_pages_begin(struct inspect_pages *pages);
void inspect_pages_end(struct inspect_pages *pages);
void inspect_pages_add(struct inspect_pages *pages, uint64_t pa);
// What was added until now; valid until the next page is added.
struct dam_ranges inspect_pages_ranges(struct inspect_pages *pages);

#endif

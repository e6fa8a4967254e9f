// SPDX-License-Identifier: MIT
// The visitor that checks a tree, counts what it maps, lists what has to be cut out of it, and may copy it on
// the way.
#ifndef ENGINE_PGTABLE_AUDIT_H
#define ENGINE_PGTABLE_AUDIT_H

#include "base/finding.h"
#include "pgtable/pt.h"

// IOVAs that New must not map: they lead into keep-out memory, or their entries are broken. In order,
// disjoint.
struct pt_cut {
    struct pt_cut *next;
    uint64_t iova, size;
};

// More separate cuts than this are not worth keeping the requester alive: DAM_E_BROKEN.
#define PT_MAX_CUTS 1024u

struct pt_audit {
    const struct pt_format *format;
    const struct pt_params *params;
    const struct pt_memory *memory;
    const struct dam_ranges *keep_out;
    struct dam_finding_ring *findings; // NULL: report nothing
    struct dam_finding about;          // unit, segment and rid of the findings
    uint64_t *buffers;                 // PT_MAX_LEVELS pages; unused when copying
    bool copy;                         // deep-copy the tables into the pool
    bool without_r, without_w;         // rights that the entry takes away which leads to the root
    // Identity window that is, or may be, laid over the tree; NULL: none. In a tree that has it (`windowed`)
    // mappings of it are no cuts, wherever they lead as long as that is to themselves; in another one those
    // that lead elsewhere are counted, because the window would change what they mean.
    const struct dam_ranges *window;
    bool windowed;

    // out:
    uint64_t readable, writable;         // 4-KiB pages mapped, before the cuts
    uint64_t cut_readable, cut_writable; // of these, inside the cuts
    uint64_t tables;                     // table pages read
    struct pt_cut *cuts;                 // records of the pool
    uint32_t cut_count;
    bool unmarked;       // the hardware may write accessed bits into tables below the root
    uint64_t collisions; // 4-KiB pages of the window that lead elsewhere
    uint64_t collision_iova, collision_addr; // the first of them
    dam_pa copied_root;                      // with copy
    uint64_t copied_from;                    // with copy: pt_tree.own_from of the copied tree

    // the visitor's own:
    struct pt_cut *last_cut;
    uint16_t last_code; // of the finding that was told for it
};

// The finding that tells of it (enum dam_finding_code).
uint16_t pt_bad_finding(enum pt_bad why);

// Checks the tree below root. DAM_E_RANGE: the root lies outside known memory. DAM_E_BUDGET. DAM_E_NOMEM.
// DAM_E_BROKEN: more than PT_MAX_CUTS cuts.
DAM_MUST_CHECK dam_err pt_audit(struct pt_audit *audit, dam_pa root);

// Where a tree leads for one IOVA. DAM_E_ABSENT: nowhere (neither R nor W). DAM_E_RANGE: beyond the tree's
// width, or a table outside known memory. DAM_E_BROKEN: reserved bits.
DAM_MUST_CHECK dam_err pt_translate(const struct pt_format *format, const struct pt_params *params,
                                    const struct pt_memory *memory, dam_pa root, uint64_t iova,
                                    struct pt_entry *out);

#endif

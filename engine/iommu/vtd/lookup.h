// SPDX-License-Identifier: MIT
// What root, context and PASID tables say, for somebody who looks at them and does not run on them: nothing
// is copied, nothing is taken out, and what the memory does not hold is told like what is broken.
#ifndef ENGINE_IOMMU_VTD_LOOKUP_H
#define ENGINE_IOMMU_VTD_LOOKUP_H

#include "iommu/vtd/scalable.h"
#include "iommu/vtd/tables.h"
#include "pgtable/pt.h"

// The finding that says why a present binding cannot be used, or DAM_F_NONE; *word: of the entry that tells.
// memory: where the tables that it leads to may lie.
uint16_t vtd_binding_finding(const struct vtd_unit *unit, const struct vtd_binding *binding,
                             const struct pt_memory *memory, unsigned *word);

// What the unit says of page tables of a format (DAM_STAGE_FIRST, DAM_STAGE_SECOND) with so many levels. haw:
// host address width in bits.
struct pt_params vtd_tree_params(const struct vtd_unit *unit, unsigned haw, enum dam_stage stage,
                                 uint8_t levels);

enum vtd_found_kind {
    VTD_FOUND_BINDING, // a present binding, sound or not
    VTD_FOUND_BROKEN,  // an entry that the unit refuses, or that leads outside known memory
    VTD_FOUND_ABSENT,  // the memory does not hold a table
};

// An entry on the way to a binding: root entry (or its half), context entry, directory entry.
#define VTD_STEPS 3u
struct vtd_step {
    dam_pa address;
    uint8_t words;
    uint64_t raw[VTD_SM_CTX_WORDS];
};

struct vtd_found {
    enum vtd_found_kind kind;
    uint16_t rid;   // the first function that is meant
    uint16_t flags; // DAM_REQ_PASID: pasid is valid; DAM_REQ_RID_PASID: requests without one are among it
    uint32_t pasid; // the first one that is meant
    uint32_t span;  // functions that are meant, or with DAM_REQ_PASID PASIDs of one function; a binding: 1
    struct vtd_step steps[VTD_STEPS];
    unsigned step_count;
    const struct vtd_sm_context *function; // scalable mode, once it was read
    struct vtd_binding binding;
    dam_pa address;         // of the binding's entry; else of the entry or table that is meant
    uint16_t index;         // of that entry in its table
    uint16_t finding;       // DAM_F_*, why it cannot be used; DAM_F_NONE
    dam_pa finding_address; // of the word that tells
    uint64_t finding_raw;   // what it says
};

#define VTD_LOOKUP_PAGES 4u

struct vtd_lookup {
    const struct vtd_unit *unit; // cap, ecap and scalable count
    unsigned haw;                // host address width in bits
    const struct pt_memory *memory;
    uint64_t *buffers;        // VTD_LOOKUP_PAGES pages
    uint32_t function_tables; // directory pages and PASID tables that one function may cost
    void *ctx;
    // In the order of functions and PASIDs. What it is given is valid during the call. DAM_E_BUDGET, and the
    // limit above: enough of this function, the rest of it comes as one that is broken (DAM_F_PASID_SHARE).
    // Any other error ends the lookup with it.
    dam_err (*found)(void *ctx, const struct vtd_found *found);
};

// Reads everything below a root table. DAM_E_BUDGET: that of the memory is used up.
DAM_MUST_CHECK dam_err vtd_lookup(const struct vtd_lookup *lookup, dam_pa root);

#endif

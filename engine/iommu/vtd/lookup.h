// SPDX-License-Identifier: MIT
// What root, context and PASID tables say, for somebody who looks at them and does not run on them: nothing
// is copied, nothing is taken out, and what the memory does not hold is told like what is broken.
#ifndef ENGINE_IOMMU_VTD_LOOKUP_H
#define ENGINE_IOMMU_VTD_LOOKUP_H

#include "iommu/vtd/unit.h"

// The finding that says why a present binding cannot be used, or DAM_F_NONE; *word: of the entry that tells.
// memory: where the tables that it leads to may lie.
uint16_t vtd_binding_finding(const struct vtd_unit *unit, const struct iommu_binding *binding,
                             const struct pt_memory *memory, unsigned *word);

// What the unit says of page tables of a format (DAM_STAGE_FIRST, DAM_STAGE_SECOND) with so many levels. haw:
// host address width in bits.
struct pt_params vtd_tree_params(const struct vtd_unit *unit, unsigned haw, enum dam_stage stage,
                                 uint8_t levels);

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
    dam_err (*found)(void *ctx, const struct iommu_hit *found);
};

// Reads everything below a root table. DAM_E_BUDGET: that of the memory is used up.
DAM_MUST_CHECK dam_err vtd_lookup(const struct vtd_lookup *lookup, dam_pa root);

#endif

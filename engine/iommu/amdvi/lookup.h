// SPDX-License-Identifier: MIT
// What the device table and GCR3 tables say, for somebody who looks at them and does not run on them: nothing
// is copied, nothing is taken out, and what the memory does not hold is told like what is broken.
#ifndef ENGINE_IOMMU_AMDVI_LOOKUP_H
#define ENGINE_IOMMU_AMDVI_LOOKUP_H

#include "iommu/amdvi/tables.h"
#include "pgtable/pt.h"

#define AMDVI_LOOKUP_PAGES (1u + AMDVI_GCR3_LEVELS)

struct amdvi_lookup {
    const struct amdvi_features *features;
    const struct pt_memory *memory;
    uint64_t *buffers;        // AMDVI_LOOKUP_PAGES pages
    uint32_t function_tables; // GCR3 tables that one function may cost
    void *ctx;
    // In the order of functions and PASIDs. What it is given is valid during the call.
    //
    // A function's own entry: IOMMU_HIT_BINDING, or _BROKEN with a finding, no steps; address, index and
    // binding.raw are those of the entry. The entry of a PASID: steps[0] is the device table entry, then
    // those of upper GCR3 tables; address, index and binding.raw[0] are those of the PASID's own entry.
    // Entries that let everything pass (V = 0): one hit for neighbours, IOMMU_HIT_BINDING with flags
    // DAM_REQ_OTHERS, span how many, the rest of the first of them. Entries that let nothing pass: no hit. A
    // part of the device table that the memory does not hold, or that lies outside of it: IOMMU_HIT_ABSENT or
    // _BROKEN (DAM_F_DEVTAB_POINTER, finding_raw the register) with span how many functions.
    //
    // DAM_E_BUDGET, and the limit above: enough of this function, the rest of it comes as one that is broken
    // (DAM_F_PASID_SHARE). Any other error ends the lookup with it.
    dam_err (*found)(void *ctx, const struct iommu_hit *found);
};

// Reads the device table and everything below it. DAM_E_BUDGET: that of the memory is used up.
DAM_MUST_CHECK dam_err amdvi_lookup(const struct amdvi_lookup *lookup,
                                    const struct amdvi_device_table *table);

#endif

// SPDX-License-Identifier: MIT
// Our invalidation queue, for the files of this folder. VT-d architecture specification r4.1, 6.5.2.
#ifndef ENGINE_IOMMU_VTD_QUEUE_H
#define ENGINE_IOMMU_VTD_QUEUE_H

#include "iommu/vtd/unit.h"

// Puts a descriptor (words 0 and 1; the others are 0) behind those that wait. The hardware does not see it
// before vtd_queue_run(). At most VTD_QUEUE_BATCH between two runs.
#define VTD_QUEUE_BATCH 64u
void vtd_queue_put(struct vtd_unit *unit, uint64_t w0, uint64_t w1);

// Hands what was put to the hardware, with a wait descriptor behind it, and waits for that one's status.
// DAM_E_TIMEOUT: no answer, or the queue stopped with an error; waited_register is IQH, waited_value FSTS.
DAM_MUST_CHECK dam_err vtd_queue_run(struct vtd_unit *unit);

#endif

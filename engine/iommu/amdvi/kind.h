// SPDX-License-Identifier: MIT
// AMD-Vi as a kind of IOMMU.
#ifndef ENGINE_IOMMU_AMDVI_KIND_H
#define ENGINE_IOMMU_AMDVI_KIND_H

#include "iommu/iommu.h"

// Fills in the answers.
void amdvi_kind(struct iommu_kind *out);

#endif

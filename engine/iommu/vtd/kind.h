// SPDX-License-Identifier: MIT
// VT-d's answers to the questions of iommu.h.
#ifndef ENGINE_IOMMU_VTD_KIND_H
#define ENGINE_IOMMU_VTD_KIND_H

#include "iommu/iommu.h"

void vtd_kind(struct iommu_kind *out);

#endif

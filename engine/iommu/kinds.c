// SPDX-License-Identifier: MIT
// The one place that names the kinds of IOMMU.
#include "iommu/amdvi/kind.h"
#include "iommu/iommu.h"
#include "iommu/vtd/kind.h"

unsigned iommu_kinds(struct iommu_kind out[IOMMU_KINDS])
{
    unsigned count = 0;
    vtd_kind(&out[count++]);
    amdvi_kind(&out[count++]);
    return count;
}

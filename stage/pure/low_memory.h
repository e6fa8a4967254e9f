// SPDX-License-Identifier: MIT
// Pages below 4 GiB, for what Linux inherits from there alone: AMD's device tables, command buffers and event
// logs (Linux, drivers/iommu/amd/init.c). The pool lies above when the crash region does
// (crashkernel=SIZE,high); then there is a second, lower part of the crash region, for the capture kernel's
// own DMA, in which no loader puts anything.
#ifndef STAGE_LOW_MEMORY_H
#define STAGE_LOW_MEMORY_H

#include <cofferdam/range.h>
#include <iommu/iommu.h>

#include "e820.h"

#define LOW_MEMORY_END 0x100000000ull
// Never more than this, whatever the firmware lists.
#define LOW_MEMORY_MAX (16ull << 20)

// Bytes that a machine with this ACPI table of a kind of IOMMU (a copy; length bytes) may need, whole pages,
// at most LOW_MEMORY_MAX.
uint64_t low_memory_wanted(const struct iommu_kind *kind, const uint8_t *table, uint32_t length);

// Looks for up to `wanted` bytes in whole pages at the end of an entry of RAM below 4 GiB and above 1 MiB: an
// entry in which nothing of used[] lies, which shares no byte with another entry or with old_ram, and of
// which at most a quarter is taken. The largest such piece; of equal ones the highest. DAM_E_ABSENT: there is
// none.
DAM_MUST_CHECK dam_err low_memory_find(const struct e820_map *map, const struct dam_ranges *old_ram,
                                       const struct dam_range *used, size_t used_count, uint64_t wanted,
                                       struct dam_range *out);

#endif

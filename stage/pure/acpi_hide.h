// SPDX-License-Identifier: MIT
// An ACPI root without IOMMUs: a new RSDP and XSDT in the pool that lead to all tables of the firmware but
// those that name one. ACPI specification 6.5, 5.2.5 (RSDP), 5.2.8 (XSDT).
#ifndef STAGE_ACPI_HIDE_H
#define STAGE_ACPI_HIDE_H

#include <cofferdam/arena.h>
#include <cofferdam/ops.h>

#include "iommu/iommu.h"

struct acpi_hidden {
    dam_pa rsdp;      // of ours, in the pool; revision 2
    uint32_t kept;    // tables that it leads to
    uint32_t dropped; // tables of these kinds that it does not lead to any more; at least 1
    uint32_t kinds;   // bit n: there was one of kinds[n]
};

// Makes them from the first sound root pointer among the candidates and the BIOS areas (acpi_find_rsdp()).
// The XSDT is made from the firmware's list, in its order; a machine with an RSDT alone gets one as well: a
// pool above 4 GiB needs 64 bits. The old RSDT stays in the RSDP for kernels told to use it. DAM_E_ABSENT:
// there is no root pointer, or no table of these names to leave out. DAM_E_NOMEM. DAM_E_RANGE: a table's
// header cannot be read, so it may be one of them. Else what acpi_open_root() gives. On an error out is
// zeroed.
DAM_MUST_CHECK dam_err acpi_hide_iommus(const struct dam_ops *ops, struct dam_arena *pool,
                                        const dam_pa *candidates, size_t count,
                                        const struct iommu_kind *kinds, unsigned kind_count,
                                        struct acpi_hidden *out);

#endif

// SPDX-License-Identifier: MIT
// Interrupt remapping. VT-d architecture specification r4.1, 5.1 and 9.9 "Interrupt Remapping Table Entry
// (IRTE) for Remapped Interrupts", 9.10 "... for Posted Interrupts".
#ifndef ENGINE_IOMMU_VTD_IRQ_H
#define ENGINE_IOMMU_VTD_IRQ_H

#include <assert.h>

#include "iommu/vtd/unit.h"

struct vtd_irte {
    uint64_t w[2];
};
static_assert(sizeof(struct vtd_irte) == 16, "interrupt remapping table entry");

// Word 0.
#define VTD_IRTE_P         0, 0
#define VTD_IRTE_FPD       1, 1
#define VTD_IRTE_DLM       7, 5 // delivery mode: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT
#define VTD_IRTE_RSVD12    14, 12
#define VTD_IRTE_IM        15, 15 // posted: the hardware writes to a descriptor in memory
#define VTD_IRTE_V         23, 16
#define VTD_IRTE_RSVD24    31, 24
#define VTD_IRTE_DST_LOW   39, 32 // reserved without extended mode
#define VTD_IRTE_DST_XAPIC 47, 40
#define VTD_IRTE_DST_HIGH  63, 48 // reserved without extended mode
// Word 1.
#define VTD_IRTE_SID      15, 0
#define VTD_IRTE_SVT      19, 18 // 0: any source, 1: this requester, 2: a range of buses; 3 is reserved
#define VTD_IRTE_RSVD_TOP 63, 20

// Refuses, and reports nothing: FPD counts even when P is 0 (9.9).
#define VTD_IRTE_SILENT ((struct vtd_irte){{1ull << 1, 0}})

enum vtd_irte_kind {
    VTD_IRTE_ABSENT,
    VTD_IRTE_SOUND,
    VTD_IRTE_RESERVED, // reserved bits: the hardware refuses it
    VTD_IRTE_STRANGE,  // nothing that a device may send: SMI, NMI, INIT, or a vector of the CPU's own
    VTD_IRTE_POSTED,   // makes the hardware write to old memory
};

// extended: the table has 32-bit destinations (IRTA.EIME).
enum vtd_irte_kind vtd_irte_judge(struct vtd_irte e, bool extended);

// Entries of the table that an IRTA value names: 2 to 65536.
uint32_t vtd_irta_entries(uint64_t irta);

// Points the unit at another table, with interrupt remapping on, and drops every entry that it has cached
// (11.4.4.1, SIRTP; 6.5.2.4). Needs our queue: there is no register that flushes this cache.
DAM_MUST_CHECK dam_err vtd_set_irta(struct vtd_unit *unit, uint64_t irta);

#endif

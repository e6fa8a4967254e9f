// SPDX-License-Identifier: MIT
// What an AMD IOMMU does with one DMA: a plain translator, written from the description of the hardware (AMD
// I/O Virtualization Technology specification, 48882: device table entries, host and guest page tables) and
// from nothing of the engine, so that the two can disagree. It caches nothing. One device table, no segments.
#ifndef TESTS_LIB_NAIVE_AMDVI_H
#define TESTS_LIB_NAIVE_AMDVI_H

#include <stdbool.h>
#include <stdint.h>

enum naive_amd_reason {
    NAIVE_AMD_OK,
    NAIVE_AMD_TABLE_ACCESS, // a table is not in memory
    NAIVE_AMD_DTE_RANGE,    // the device table has no entry for the requester
    NAIVE_AMD_DTE_RESERVED,
    NAIVE_AMD_BLOCKED, // V = 1 and TV = 0
    NAIVE_AMD_WIDTH,   // the address has more bits than the tables
    NAIVE_AMD_ABSENT,
    NAIVE_AMD_RESERVED, // reserved bits, or a NextLevel that does not go down
    NAIVE_AMD_SKIPPED,  // address bits of levels left out are not 0
    NAIVE_AMD_RIGHTS,
    NAIVE_AMD_PASID, // a PASID without guest translation, or beyond the GCR3 table
    // Of the register model alone.
    NAIVE_AMD_INTERRUPT,  // a write to FEEx_xxxx, which is an interrupt and no DMA
    NAIVE_AMD_TRANSLATED, // a translated request, or one for a translation, that the entry does not allow
};

struct naive_amdvi {
    // Reads an aligned little-endian 64-bit word as the hardware's walk sees it; false: no such memory.
    bool (*read64)(void *ctx, uint64_t pa, uint64_t *value);
    void *ctx;
    uint64_t device_table;
    unsigned entries; // of the device table
    unsigned haw;     // physical address bits: those above are reserved in guest tables
    uint64_t encrypt; // the address bit that asks for encryption, or 0
    bool guest_1g;    // guest tables may have leaves of 1 GiB
    bool supervisor;  // requests have a supervisor's rights in guest tables
};

struct naive_amd_result {
    bool ok;
    uint64_t pa; // of the byte, when ok
    enum naive_amd_reason reason;
    bool silent; // the device table entry keeps faults out of the event log
    // The description does not say what hardware does here, or it depends on what hardware has cached; pa is
    // what it does at first sight.
    bool unsure;
};

#define NAIVE_AMD_NO_PASID 0xFFFFFFFFu

// The whole way of a request.
struct naive_amd_result naive_amdvi_translate(const struct naive_amdvi *hw, unsigned devid, unsigned pasid,
                                              uint64_t iova, bool write);
// The same for a device table entry at hand.
struct naive_amd_result naive_amdvi_by_entry(const struct naive_amdvi *hw, const uint64_t dte[4],
                                             unsigned pasid, uint64_t iova, bool write);
// Host tables alone: mode is the number of levels, 1 to 6.
struct naive_amd_result naive_amdvi_host(const struct naive_amdvi *hw, uint64_t root, unsigned mode,
                                         uint64_t iova, bool write);
// Guest tables alone; levels 4 or 5. host_mode 0: their addresses are physical, else they go through the
// host's tables at host_root.
struct naive_amd_result naive_amdvi_guest(const struct naive_amdvi *hw, uint64_t cr3, unsigned levels,
                                          uint64_t host_root, unsigned host_mode, uint64_t iova, bool write);

#endif

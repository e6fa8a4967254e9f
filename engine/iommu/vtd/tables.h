// SPDX-License-Identifier: MIT
// Root and context tables of legacy mode. VT-d architecture specification r4.1, 9.1 "Root Entry", 9.3
// "Context Entry".
#ifndef ENGINE_IOMMU_VTD_TABLES_H
#define ENGINE_IOMMU_VTD_TABLES_H

#include <assert.h>
#include <cofferdam/types.h>

#define VTD_BUSES  256u // entries of a root table
#define VTD_DEVFNS 256u // entries of a context table

// 9.1 Root entry: 16 bytes, by bus.
struct vtd_root_entry {
    uint64_t w[2];
};
static_assert(sizeof(struct vtd_root_entry) == 16, "root entry");
#define VTD_ROOT_P   0, 0 // w[0]
#define VTD_ROOT_CTP 63, 12

// 9.3 Context entry: 16 bytes, by device and function.
struct vtd_context_entry {
    uint64_t w[2];
};
static_assert(sizeof(struct vtd_context_entry) == 16, "context entry");
#define VTD_CTX_P        0, 0 // w[0]
#define VTD_CTX_FPD      1, 1 // fault processing disabled
#define VTD_CTX_T        3, 2 // enum vtd_context_type
#define VTD_CTX_RSVD     11, 4
#define VTD_CTX_SSPT     63, 12
#define VTD_CTX_AW       2, 0 // w[1]: levels − 2
#define VTD_CTX_DID      23, 8
#define VTD_CTX_RSVD7    7, 7
#define VTD_CTX_RSVD_TOP 63, 24

// Not present, and nothing is reported: FPD counts even when P is 0.
#define VTD_CONTEXT_SILENT ((struct vtd_context_entry){{1ull << 1, 0}})

enum vtd_context_type {
    VTD_T_UNTRANSLATED = 0, // second stage; translated requests are refused
    VTD_T_ALL = 1,          // second stage; translated requests pass (device TLBs)
    VTD_T_PASSTHROUGH = 2,
};

struct vtd_root {
    bool present;
    bool reserved; // reserved bits are set
    dam_pa context_table;
};

struct vtd_context {
    bool present;
    bool fpd;
    bool reserved; // reserved bits are set
    uint8_t type;  // enum vtd_context_type; 3 is not defined
    uint8_t aw;    // levels − 2
    uint16_t did;
    dam_pa root; // of the second-stage tables
};

// haw: host address width in bits; address bits from there up are reserved.
struct vtd_root vtd_root_decode(struct vtd_root_entry raw, unsigned haw);
struct vtd_context vtd_context_decode(struct vtd_context_entry raw, unsigned haw);
// The available bits 6:3 of word 1 are taken over from `old`, so that the capture kernel finds what was
// there.
struct vtd_context_entry vtd_context_encode(const struct vtd_context *context, struct vtd_context_entry old);
struct vtd_root_entry vtd_root_encode(dam_pa context_table);

#endif

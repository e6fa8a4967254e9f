// SPDX-License-Identifier: MIT
// The device table and GCR3 tables: what their entries say, and ours. AMD I/O Virtualization Technology
// specification (48882), 2.2.2 "Making Device Table Entry Changes" and "Device Table Entry", 2.2.6 "Guest
// Page Tables", "GCR3 Table".
#ifndef ENGINE_IOMMU_AMDVI_TABLES_H
#define ENGINE_IOMMU_AMDVI_TABLES_H

#include <assert.h>
#include <cofferdam/abi.h>
#include <cofferdam/types.h>

#include "iommu/iommu.h"

// What tables may be on a unit.
struct amdvi_features {
    uint64_t efr, efr2;
    uint64_t encrypt; // the bit of an address that asks for encryption and is none of it, or 0
    uint8_t haw;      // width of physical addresses in bits
    bool no_host;     // firmware says that host translation is off
};

// ---- device table entry: 32 bytes, by requester id --------------------------------------------------------
#define AMDVI_DTE_WORDS 4u
struct amdvi_dte {
    uint64_t w[AMDVI_DTE_WORDS];
};
static_assert(sizeof(struct amdvi_dte) == 32, "device table entry");
#define AMDVI_DTES_PER_PAGE 128u
#define AMDVI_REQUESTERS    65536u

// Word 0.
#define AMDVI_DTE_V          0, 0
#define AMDVI_DTE_TV         1, 1
#define AMDVI_DTE_HAD        8, 7
#define AMDVI_DTE_MODE       11, 9 // levels of host tables; 0: none; 7 is reserved
#define AMDVI_DTE_HOST       51, 12
#define AMDVI_DTE_PPR        52, 52
#define AMDVI_DTE_GPRP       53, 53
#define AMDVI_DTE_GIOV       54, 54 // requests without PASID use the guest tables of PASID 0
#define AMDVI_DTE_GV         55, 55 // requests with PASID use guest tables
#define AMDVI_DTE_GLX        57, 56 // levels of the GCR3 table − 1
#define AMDVI_DTE_GCR3_14_12 60, 58
#define AMDVI_DTE_IR         61, 61
#define AMDVI_DTE_IW         62, 62
#define AMDVI_DTE_RSVD_2     6, 2
#define AMDVI_DTE_RSVD_63    63, 63
// Word 1.
#define AMDVI_DTE_DOMAIN     15, 0
#define AMDVI_DTE_GCR3_30_15 31, 16
#define AMDVI_DTE_I          32, 32 // device TLBs are answered
#define AMDVI_DTE_SE         33, 33 // one event alone
#define AMDVI_DTE_SA         34, 34 // no events
#define AMDVI_DTE_IOCTL      36, 35
#define AMDVI_DTE_CACHE      37, 37
#define AMDVI_DTE_SD         38, 38
#define AMDVI_DTE_EX         39, 39 // the exclusion range is open
#define AMDVI_DTE_SYSMGT     41, 40 // system management messages: 0 refused, 1 posted writes pass
#define AMDVI_DTE_SATS       42, 42
#define AMDVI_DTE_GCR3_51_31 63, 43
// Word 2: interrupts, and one field of the guest's tables.
#define AMDVI_DTE_IV        0, 0
#define AMDVI_DTE_INTTABLEN 4, 1 // log2 of the entries
#define AMDVI_DTE_IG        5, 5
#define AMDVI_DTE_INTTABLE  51, 6
#define AMDVI_DTE_RSVD_180  53, 52
#define AMDVI_DTE_GUEST     55, 54 // levels of guest tables − 4
#define AMDVI_DTE_INIT      56, 56
#define AMDVI_DTE_EXTINT    57, 57
#define AMDVI_DTE_NMI       58, 58
#define AMDVI_DTE_HPTMODE   59, 59
#define AMDVI_DTE_INTCTL    61, 60 // fixed and arbitrated interrupts: 0 refused, 1 as they are, 2 remapped
#define AMDVI_DTE_LINT0     62, 62
#define AMDVI_DTE_LINT1     63, 63
// Word 3.
#define AMDVI_DTE_RSVD_192 14, 0
#define AMDVI_DTE_RSVD_240 52, 48
#define AMDVI_DTE_ATTRV    54, 54
#define AMDVI_DTE_MODE0FC  55, 55
#define AMDVI_DTE_SNOOP    63, 56

#define AMDVI_MAX_LEVELS   6u // of host tables

// What an entry makes of DMA.
enum amdvi_dte_kind {
    AMDVI_DTE_OPEN,    // V = 0: everything passes untranslated, whatever else it says
    AMDVI_DTE_BLOCKED, // nothing passes
    AMDVI_DTE_BOUND,   // requests without PASID are translated, or pass, as amdvi_dte_decode() says
    AMDVI_DTE_PASIDS,  // all requests go by the GCR3 table: its entries are the bindings
};
enum amdvi_dte_kind amdvi_dte_kind(const struct amdvi_dte *dte);

// Whether requests with PASID go by the GCR3 table alone, and not through host tables as well.
bool amdvi_dte_has_pasids(const struct amdvi_dte *dte);

// The binding of an entry, as far as it is one of requests without PASID. Of an entry that is open: what that
// means. Guest tables over host tables: DAM_STAGE_NESTED with the host's tables as root and the GCR3 table as
// first. present: something passes, or would if it were sound.
struct iommu_binding amdvi_dte_decode(const struct amdvi_dte *dte, const struct amdvi_features *features);

// The GCR3 table of an entry with GV.
struct amdvi_gcr3 {
    dam_pa root;
    uint8_t levels;       // 1 to 4; 4 is reserved
    uint8_t guest_levels; // of the tables that its entries lead to: 4 to 7; 4 and 5 are defined
    bool rid;             // GIOV
};
struct amdvi_gcr3 amdvi_dte_gcr3(const struct amdvi_dte *dte, const struct amdvi_features *features);
// The fields of words 0 to 2 that amdvi_dte_gcr3() reads; GV among them.
struct amdvi_dte amdvi_gcr3_fields(const struct amdvi_gcr3 *gcr3);

// Why the unit would refuse an entry that lets something pass.
enum amdvi_flaw {
    AMDVI_SOUND = 0,
    AMDVI_FLAW_RESERVED, // reserved bits
    AMDVI_FLAW_TYPE,     // a kind of translation that is not defined, or that the unit does not have
    AMDVI_FLAW_WIDTH,    // a number of levels that the unit does not have
};
// The first thing that is wrong with it; *word tells. An open one has none.
enum amdvi_flaw amdvi_dte_flaw(const struct amdvi_features *features, const struct amdvi_dte *dte,
                               unsigned *word);
// The finding that says why an entry cannot be used, or DAM_F_NONE; *word: of the entry that tells. memory:
// where the tables that it leads to may lie.
uint16_t amdvi_dte_finding(const struct amdvi_features *features, const struct amdvi_dte *dte,
                           const struct pt_memory *memory, unsigned *word);

// ---- GCR3 tables: 512 entries of 8 bytes, nine bits of the PASID a level ----------------------------------
#define AMDVI_GCR3_V         0, 0
#define AMDVI_GCR3_RSVD_LOW  11, 1
#define AMDVI_GCR3_ADDRESS   51, 12
#define AMDVI_GCR3_RSVD_HIGH 63, 52
#define AMDVI_GCR3_LEVELS    3u

// Entry of a GCR3 table, of any level.
struct amdvi_gcr3_entry {
    bool present;
    bool reserved;
    dam_pa address; // of the next table, or of guest tables
};
struct amdvi_gcr3_entry amdvi_gcr3_decode(uint64_t raw, const struct amdvi_features *features);
uint64_t amdvi_gcr3_encode(dam_pa address);
// PASIDs that one entry of a level is for; level 0 is the lowest.
static inline uint32_t amdvi_gcr3_span(unsigned level)
{
    return 1u << (9 * level);
}
// One past the highest PASID that requests may have and a table of so many levels has room for.
uint32_t amdvi_pasids(const struct amdvi_features *features, const struct amdvi_gcr3 *gcr3);
// The binding of PASID entry `raw` below a device table entry.
struct iommu_binding amdvi_pasid_decode(uint64_t raw, const struct amdvi_dte *dte,
                                        const struct amdvi_features *features);
// The finding that says why a present one cannot be used, or DAM_F_NONE.
uint16_t amdvi_pasid_finding(const struct iommu_binding *binding, const struct pt_memory *memory);

// ---- what page tables can be ------------------------------------------------------------------------------
// The most levels that the unit's host tables may have; 0: it has none.
uint8_t amdvi_host_levels(const struct amdvi_features *features);
// What the unit says of page tables of a format (DAM_STAGE_FIRST, DAM_STAGE_SECOND) with so many levels.
struct pt_params amdvi_tree_params(const struct amdvi_features *features, enum dam_stage stage,
                                   uint8_t levels);

// ---- where the device table is ----------------------------------------------------------------------------
#define AMDVI_MAX_SEGMENTS 8u
// Base address registers as they read, and how many count: 2^log2_segments, each for its part of the
// requester ids.
struct amdvi_device_table {
    uint64_t reg[AMDVI_MAX_SEGMENTS];
    uint8_t log2_segments; // 0 to 3
};
static inline unsigned amdvi_segments(const struct amdvi_device_table *table)
{
    return 1u << table->log2_segments;
}
// Requesters that one segment is for, whether its table has entries for all of them or not.
static inline uint32_t amdvi_segment_span(const struct amdvi_device_table *table)
{
    return AMDVI_REQUESTERS >> table->log2_segments;
}
dam_pa amdvi_segment_base(const struct amdvi_device_table *table, unsigned segment, uint64_t encrypt);
// Entries of a segment's table that count. Requesters beyond them are refused.
uint32_t amdvi_segment_entries(const struct amdvi_device_table *table, unsigned segment);

#endif

// SPDX-License-Identifier: MIT
// Root and context tables, and the binding: what an entry says that translates for a requester. VT-d
// architecture specification r4.1, 9.1 "Root Entry", 9.3 "Context Entry".
#ifndef ENGINE_IOMMU_VTD_TABLES_H
#define ENGINE_IOMMU_VTD_TABLES_H

#include <assert.h>
#include <cofferdam/abi.h>
#include <cofferdam/types.h>

#include "iommu/iommu.h"

struct vtd_unit; // unit.h

#define VTD_BUSES  256u // entries of a root table
#define VTD_DEVFNS 256u // entries of a context table
// A root entry has two halves, one 64-bit word each: devices 0 to 15 and 16 to 31 of a bus in scalable mode;
// in legacy mode the first one is for all of the bus and the second one is 0.
#define VTD_HALVES 512u

// 9.1 Root entry: 16 bytes, by bus.
struct vtd_root_entry {
    uint64_t w[2];
};
static_assert(sizeof(struct vtd_root_entry) == 16, "root entry");
#define VTD_ROOT_P   0, 0 // of each half
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

// Not present, and nothing is reported: FPD counts even when P is 0. The first word of such an entry, in
// tables of every kind; the others are 0.
#define VTD_SILENT (1ull << 1)

enum vtd_context_type {
    VTD_T_UNTRANSLATED = 0, // second stage; translated requests are refused
    VTD_T_ALL = 1,          // second stage; translated requests pass (device TLBs)
    VTD_T_PASSTHROUGH = 2,
};

// One half of a root entry.
struct vtd_root {
    bool present;
    bool reserved; // reserved bits are set
    dam_pa context_table;
};

// Why the unit would refuse a present binding.
enum vtd_flaw {
    VTD_SOUND = 0,
    VTD_FLAW_RESERVED, // reserved bits
    VTD_FLAW_STAGE,    // a kind of translation that is not defined, or that the unit does not have
    VTD_FLAW_WIDTH,    // a number of levels that the unit does not have
};

// The bit of a mask of words: bit `word` when something holds of that word.
static inline uint8_t vtd_word_bit(bool holds, unsigned word)
{
    return (uint8_t)((unsigned)holds << word);
}

// The first word with reserved bits, of a mask that is not 0.
static inline unsigned vtd_first_word(uint8_t reserved)
{
    unsigned word = 0;
    while (!(reserved >> word & 1))
        word++;
    return word;
}

// What RTADDR.TTM means on a unit.
enum vtd_mode {
    VTD_MODE_LEGACY,
    VTD_MODE_SCALABLE,
    VTD_MODE_ABORT,       // all DMA is refused
    VTD_MODE_UNSUPPORTED, // not known here: the unit has modes beside the legacy one
    VTD_MODE_IMPOSSIBLE,  // of no mode that the unit has: it runs in the only one it knows, legacy
};
enum vtd_mode vtd_mode_of(uint64_t ecap, uint64_t rtaddr);

// haw: host address width in bits; address bits from there up are reserved.
static inline bool vtd_beyond(uint64_t addr, unsigned haw)
{
    return haw < 64 && addr >> haw;
}
struct vtd_root vtd_root_decode(uint64_t half, unsigned haw);
uint64_t vtd_root_encode(dam_pa context_table);
struct iommu_binding vtd_context_decode(struct vtd_context_entry raw, unsigned haw);
// A present second-stage entry for untranslated requests, faults off, with levels, did and root of `binding`.
// The available bits 6:3 of word 1 are taken over from binding->raw, so that the capture kernel finds what
// was there.
struct vtd_context_entry vtd_context_encode(const struct iommu_binding *binding);
// The first thing that is wrong with a present binding, as far as the entry itself tells.
enum vtd_flaw vtd_binding_flaw(const struct vtd_unit *unit, const struct iommu_binding *binding);

#endif

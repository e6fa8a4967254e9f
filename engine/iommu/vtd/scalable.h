// SPDX-License-Identifier: MIT
// Tables of scalable mode. VT-d architecture specification r4.1, 9.2 "Scalable-Mode Root Entry", 9.4
// "Scalable-Mode Context Entry", 9.5 "Scalable-Mode PASID-Directory Entry", 9.6 "Scalable-Mode PASID Table
// Entry".
#ifndef ENGINE_IOMMU_VTD_SCALABLE_H
#define ENGINE_IOMMU_VTD_SCALABLE_H

#include "iommu/vtd/tables.h"

// 9.4 Context entry: 32 bytes, 128 in a table, by the low 7 bits of device and function.
#define VTD_SM_CTX_WORDS     4u
#define VTD_SM_CTX_ENTRIES   128u
#define VTD_SM_CTX_P         0, 0 // word 0
#define VTD_SM_CTX_FPD       1, 1
#define VTD_SM_CTX_DTE       2, 2 // device TLB enabled: translated requests pass
#define VTD_SM_CTX_PASIDE    3, 3 // requests with PASID pass
#define VTD_SM_CTX_PRE       4, 4 // page requests pass
#define VTD_SM_CTX_RSVD      8, 5
#define VTD_SM_CTX_PDTS      11, 9 // the directory has 2^(PDTS + 7) entries
#define VTD_SM_CTX_DIR       63, 12
#define VTD_SM_CTX_RID_PASID 19, 0  // word 1: the PASID of requests that carry none
#define VTD_SM_CTX_RID_PRIV  20, 20 // which are then a supervisor's
#define VTD_SM_CTX_RSVD1     63, 21

// 9.5 PASID-directory entry: 8 bytes, by PASID / 64.
#define VTD_PASID_DIR_P    0, 0
#define VTD_PASID_DIR_FPD  1, 1
#define VTD_PASID_DIR_RSVD 11, 2
#define VTD_PASID_DIR_TBL  63, 12

// 9.6 PASID-table entry: 64 bytes, 64 in a table, by the low 6 bits of the PASID.
#define VTD_PASID_WORDS   8u
#define VTD_PASID_ENTRIES 64u
#define VTD_PASID_P       0, 0 // word 0
#define VTD_PASID_FPD     1, 1
#define VTD_PASID_AW      4, 2 // second stage: levels − 2
#define VTD_PASID_RSVD5   5, 5
#define VTD_PASID_PGTT    8, 6 // enum dam_stage has its values
#define VTD_PASID_SSADE   9, 9 // second stage: accessed and dirty bits are written
#define VTD_PASID_RSVD0   11, 10
#define VTD_PASID_SSPT    63, 12
#define VTD_PASID_DID     15, 0 // word 1
#define VTD_PASID_RSVD1   22, 16
#define VTD_PASID_PWSNP   23, 23 // page walks snoop
#define VTD_PASID_MEMORY  63, 24 // snooping and memory types of what is accessed
#define VTD_PASID_SRE     0, 0   // word 2: supervisor requests pass
#define VTD_PASID_FSPM    3, 2   // first stage: levels − 4
#define VTD_PASID_NXE     5, 5   // first stage: the execute-disable bit of page tables counts
#define VTD_PASID_RSVD2   11, 8
#define VTD_PASID_FSPT    63, 12

struct vtd_sm_context {
    bool present, fpd;
    uint8_t reserved; // bit n: reserved bits are set in word n
    bool translated;  // DTE
    bool pasids;      // PASIDE
    bool page_requests;
    bool privileged; // RID_PRIV
    uint8_t pdts;
    uint32_t rid_pasid;
    dam_pa directory;
};

struct vtd_pasid_dir {
    bool present;
    bool reserved;
    dam_pa table;
};

static inline uint32_t vtd_directory_entries(const struct vtd_sm_context *c)
{
    return 1u << (c->pdts + 7);
}

// haw: host address width in bits; address bits from there up are reserved.
struct vtd_sm_context vtd_sm_context_decode(const uint64_t w[VTD_SM_CTX_WORDS], unsigned haw);
void vtd_sm_context_encode(const struct vtd_sm_context *context, uint64_t w[VTD_SM_CTX_WORDS]);
// The words of a present context for which the unit would refuse it: reserved bits, or what it does not have.
// Bit n: word n; 0: none.
uint8_t vtd_sm_context_flaws(const struct vtd_unit *unit, const struct vtd_sm_context *context);

struct vtd_pasid_dir vtd_pasid_dir_decode(uint64_t raw, unsigned haw);
// Present, faults off.
uint64_t vtd_pasid_dir_encode(dam_pa table);

struct iommu_binding vtd_pasid_decode(const uint64_t w[VTD_PASID_WORDS], unsigned haw);
// A present entry for requests of users, faults off, accessed and dirty bits of the second stage off, with
// stage, levels, did and tables of `binding`. What it says of snooping, memory types and NXE, and in AW where
// no second stage is, is taken over from binding->raw. Not for pass-through.
void vtd_pasid_encode(const struct iommu_binding *binding, uint64_t w[VTD_PASID_WORDS]);

#endif

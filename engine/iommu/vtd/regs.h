// SPDX-License-Identifier: MIT
// Intel Virtualization Technology for Directed I/O, Architecture Specification, rev. 4.1 (March 2023).
// Chapter 11, "Register Descriptions": offset from the DRHD register base, name, width, access.
// Fields are (high, low) bit positions, for dam_bits_get() and its like.
#ifndef ENGINE_IOMMU_VTD_REGS_H
#define ENGINE_IOMMU_VTD_REGS_H

// 11.4.1 Version Register, 32 bits, RO
#define VTD_VER_REG   0x00
#define VTD_VER_MAJOR 7, 4

// 11.4.2 Capability Register, 64 bits, RO
#define VTD_CAP_REG    0x08
#define VTD_CAP_ND     2, 0   // domain ids are 4 + 2·ND bits wide
#define VTD_CAP_RWBF   4, 4   // write buffers must be flushed by software
#define VTD_CAP_CM     7, 7   // caching mode: entries that are not present may be cached
#define VTD_CAP_SAGAW  12, 8  // bit 1: 3 levels, bit 2: 4 levels, bit 3: 5 levels
#define VTD_CAP_MGAW   21, 16 // guest address width − 1
#define VTD_CAP_FRO    33, 24 // fault records at FRO · 16
#define VTD_CAP_SLLPS  37, 34 // bit 0: 2-MiB pages, bit 1: 1-GiB pages
#define VTD_CAP_NFR    47, 40 // fault records − 1
#define VTD_CAP_DWD    54, 54 // a flush of the IOTLB can drain writes
#define VTD_CAP_DRD    55, 55 // a flush of the IOTLB can drain reads
#define VTD_CAP_FS1GP  56, 56 // first stage: 1-GiB pages
#define VTD_CAP_FS5LP  60, 60 // first stage: 5 levels
#define VTD_CAP_ESRTPS 63, 63 // setting the root pointer flushes all caches

// 11.4.3 Extended Capability Register, 64 bits, RO
#define VTD_ECAP_REG   0x10
#define VTD_ECAP_C     0, 0   // page walks snoop the CPU's caches
#define VTD_ECAP_QI    1, 1   // queued invalidation
#define VTD_ECAP_DT    2, 2   // device TLBs
#define VTD_ECAP_IR    3, 3   // interrupt remapping
#define VTD_ECAP_PT    6, 6   // pass-through
#define VTD_ECAP_SC    7, 7   // snoop control
#define VTD_ECAP_IRO   17, 8  // IOTLB registers at IRO · 16
#define VTD_ECAP_ECS   24, 24 // extended mode, before scalable mode came
#define VTD_ECAP_NEST  26, 26 // nested translation
#define VTD_ECAP_PRS   29, 29 // page requests
#define VTD_ECAP_PSS   39, 35 // width of PASIDs − 1
#define VTD_ECAP_PASID 40, 40 // requests with PASID
#define VTD_ECAP_DIT   41, 41 // device-TLB invalidations name the physical function
#define VTD_ECAP_SMTS  43, 43 // scalable mode
#define VTD_ECAP_SSADS 45, 45 // second stage: accessed and dirty bits
#define VTD_ECAP_SSTS  46, 46 // second stage in scalable mode
#define VTD_ECAP_FSTS  47, 47 // first stage
#define VTD_ECAP_SMPWC 48, 48 // page walks of scalable mode can snoop
#define VTD_ECAP_RPS   49, 49 // the PASID of requests without one can be chosen
#define VTD_ECAP_ADMS  52, 52 // abort-DMA mode

// 11.4.4.1 Global Command Register, 32 bits, WO; 11.4.4.2 Global Status Register, 32 bits, RO: same positions
#define VTD_GCMD_REG 0x18
#define VTD_GSTS_REG 0x1C
#define VTD_G_TE     31, 31 // translation enable
#define VTD_G_SRTP   30, 30 // set root table pointer; one-shot
#define VTD_G_EAFL   28, 28 // advanced fault logging: into memory
#define VTD_G_WBF    27, 27 // write buffer flush; one-shot
#define VTD_G_QIE    26, 26 // queued invalidation enable
#define VTD_G_IRE    25, 25 // interrupt remapping enable
#define VTD_G_SIRTP  24, 24 // set interrupt remap table pointer; one-shot
// What of GSTS is written back with every command: the one-shot bits must not be repeated (11.4.4.1).
#define VTD_GSTS_KEEP 0x96FFFFFFu

// 11.4.5 Root Table Address Register, 64 bits, RW
#define VTD_RTADDR_REG   0x20
#define VTD_RTADDR_TTM   11, 10
#define VTD_TTM_LEGACY   0u
#define VTD_TTM_SCALABLE 1u
#define VTD_TTM_ABORT    3u // with ECAP.ADMS: all DMA is refused
#define VTD_RTADDR_RTA   63, 12

// 11.4.6.1 Context Command Register, 64 bits
#define VTD_CCMD_REG  0x28
#define VTD_CCMD_ICC  63, 63 // set by software, cleared by hardware when done
#define VTD_CCMD_CIRG 62, 61 // 1 global

// 11.4.6.2 IOTLB Invalidate Register, 64 bits, at IRO · 16 + 8
#define VTD_IOTLB_REG_OFFSET 8
#define VTD_IOTLB_IVT        63, 63 // set by software, cleared by hardware when done
#define VTD_IOTLB_IIRG       61, 60 // 1 global
#define VTD_IOTLB_IAIG       58, 57 // granularity done; 0: the request was refused
#define VTD_IOTLB_DR         49, 49 // drain reads
#define VTD_IOTLB_DW         48, 48 // drain writes

// 11.4.7.1 Fault Status Register, 32 bits, RW1C
#define VTD_FSTS_REG 0x34
#define VTD_FSTS_PFO 0, 0
#define VTD_FSTS_PPF 1, 1
#define VTD_FSTS_AFO 2, 2
#define VTD_FSTS_APF 3, 3
#define VTD_FSTS_IQE 4, 4
#define VTD_FSTS_ICE 5, 5
#define VTD_FSTS_ITE 6, 6
#define VTD_FSTS_PRO 7, 7
#define VTD_FSTS_FRI 15, 8 // the record that was first

// 11.4.7.2 Fault Event Control Register, 32 bits, RW
#define VTD_FECTL_REG 0x38
#define VTD_FECTL_IM  31, 31 // at the same place in IECTL and PECTL

// 11.4.7.7 Advanced Fault Log Register, 64 bits
#define VTD_AFLOG_REG 0x58

// 11.4.7.6 Fault Recording Registers, 128 bits each; low half: page address, or interrupt index in 63:48
#define VTD_FAULT_F   63, 63 // of the high half; RW1C
#define VTD_FAULT_FR  39, 32 // reason
#define VTD_FAULT_SID 15, 0

// 11.4.8.1 Protected Memory Enable Register, 32 bits
#define VTD_PMEN_REG 0x64
#define VTD_PMEN_EPM 31, 31
#define VTD_PMEN_PRS 0, 0

// 11.4.9 Invalidation Queue Head (RO), Tail (RW), Address (RW), 64 bits
#define VTD_IQH_REG 0x80
#define VTD_IQT_REG 0x88
#define VTD_IQ_PTR  18, 4 // in units of 16 bytes; with 256-bit descriptors bit 4 is 0
#define VTD_IQA_REG 0x90
#define VTD_IQA_IQA 63, 12
#define VTD_IQA_DW  11, 11 // 256-bit descriptors
#define VTD_IQA_QS  2, 0   // 2^QS pages

// 11.4.9.9 Invalidation Queue Error Record Register, 64 bits, RO
#define VTD_IQERCD_REG  0xB0
#define VTD_IQERCD_IQEI 3, 0 // 1 tail, 2 fetch, 3 type, 4 reserved bits, 5 width, 6 alignment; 0: not told

// 11.4.9.6 Invalidation Event Control Register, 32 bits
#define VTD_IECTL_REG 0xA0

// 11.4.11 Page Request Queue Head, Tail, Address, 64 bits; Status (RW1C) and Event Control, 32 bits
#define VTD_PQH_REG   0xC0
#define VTD_PQT_REG   0xC8
#define VTD_PQA_REG   0xD0
#define VTD_PQA_PQA   63, 12
#define VTD_PRS_REG   0xDC
#define VTD_PRS_PPR   0, 0
#define VTD_PRS_PRO   1, 1
#define VTD_PECTL_REG 0xE0

// 11.4.10.1 Interrupt Remapping Table Address Register, 64 bits, RW
#define VTD_IRTA_REG     0xB8
#define VTD_IRTA_ADDRESS 63, 12
#define VTD_IRTA_EIME    11, 11 // destinations have 32 bits
#define VTD_IRTA_S       3, 0   // 2^(S+1) entries

#endif

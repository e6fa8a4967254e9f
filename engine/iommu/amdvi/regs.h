// SPDX-License-Identifier: MIT
// AMD I/O Virtualization Technology (IOMMU) Specification, 48882. Chapter 3, "Registers": offset from the
// register base that the IVHD names, all 64 bits wide where nothing else is said. Chapter 2.4, "Commands",
// and 2.5, "Event Logging". Fields are (high, low) bit positions, for dam_bits_get() and its like.
#ifndef ENGINE_IOMMU_AMDVI_REGS_H
#define ENGINE_IOMMU_AMDVI_REGS_H

// ---- base addresses ---------------------------------------------------------------------------------------
// Device Table Base Address Register; of the first segment when there are several. The others follow each
// other at 0100h.
#define AMDVI_DEVTAB_REG      0x0000
#define AMDVI_DEVTAB_SEG1_REG 0x0100
#define AMDVI_DEVTAB_BASE     51, 12
#define AMDVI_DEVTAB_SIZE     8, 0 // pages − 1

// Command Buffer and Event Log Base Address Registers; PPR Log and Guest Virtual APIC Log likewise.
#define AMDVI_COMMAND_REG    0x0008
#define AMDVI_EVENT_REG      0x0010
#define AMDVI_PPR_REG        0x0038
#define AMDVI_GALOG_REG      0x00E0
#define AMDVI_GALOG_TAIL_REG 0x00E8 // where the hardware writes its tail pointer to
#define AMDVI_RING_BASE      51, 12
#define AMDVI_RING_LENGTH    59, 56 // log2 of the entries of 16 bytes: 8 to 15

// ---- control ----------------------------------------------------------------------------------------------
#define AMDVI_CONTROL_REG            0x0018
#define AMDVI_CONTROL_ENABLE         0, 0
#define AMDVI_CONTROL_EVENT_LOG      2, 2
#define AMDVI_CONTROL_EVENT_INT      3, 3
#define AMDVI_CONTROL_WAIT_INT       4, 4 // of COMPLETION_WAIT
#define AMDVI_CONTROL_INV_TIMEOUT    7, 5 // of device TLBs: 0 none, 1 1 ms, 2 10 ms … 6 100 s
#define AMDVI_CONTROL_COHERENT       10, 10
#define AMDVI_CONTROL_COMMANDS       12, 12
#define AMDVI_CONTROL_PPR_LOG        13, 13
#define AMDVI_CONTROL_PPR_INT        14, 14
#define AMDVI_CONTROL_PPR            15, 15
#define AMDVI_CONTROL_GT             16, 16 // guest translation
#define AMDVI_CONTROL_GA             17, 17 // guest APIC: entries of interrupt tables have 128 bits
#define AMDVI_CONTROL_GAM            27, 25 // guests get interrupts without a host's help
#define AMDVI_CONTROL_GALOG          28, 28
#define AMDVI_CONTROL_GALOG_INT      29, 29
#define AMDVI_CONTROL_DUAL_EVENT_LOG 33, 32
#define AMDVI_CONTROL_SEGMENTS       36, 34 // 2^n device tables
#define AMDVI_CONTROL_MARC           40, 40 // what is translated may be led elsewhere, by apertures
#define AMDVI_CONTROL_INT_MODE       44, 43 // 1: interrupt tables of up to 2048 entries
#define AMDVI_CONTROL_XT             50, 50 // destinations of 32 bits
#define AMDVI_CONTROL_XT_INT         51, 51 // its own interrupts by the registers from 0170h on
#define AMDVI_CONTROL_GCR3_MODE      58, 58 // root pointers of GCR3 tables are the guest's addresses

// ---- exclusion range --------------------------------------------------------------------------------------
#define AMDVI_EXCLUSION_REG       0x0020
#define AMDVI_EXCLUSION_ENABLE    0, 0
#define AMDVI_EXCLUSION_ALLOW     1, 1 // for every requester; else for those whose entry says EX
#define AMDVI_EXCLUSION_BASE      51, 12
#define AMDVI_EXCLUSION_LIMIT_REG 0x0028
#define AMDVI_EXCLUSION_LIMIT     51, 12

// ---- extended features, read-only -------------------------------------------------------------------------
#define AMDVI_EFR_REG        0x0030
#define AMDVI_EFR_PREF       0, 0
#define AMDVI_EFR_PPR        1, 1
#define AMDVI_EFR_XT         2, 2
#define AMDVI_EFR_NX         3, 3
#define AMDVI_EFR_GT         4, 4
#define AMDVI_EFR_IA         6, 6 // INVALIDATE_IOMMU_ALL
#define AMDVI_EFR_GA         7, 7
#define AMDVI_EFR_HATS       11, 10 // host tables: 0 4 levels, 1 5, 2 6; 3 none
#define AMDVI_EFR_GATS       13, 12 // guest tables: 0 4 levels, 1 5, 2 6
#define AMDVI_EFR_GLX        15, 14 // GCR3 tables: levels − 1
#define AMDVI_EFR_PASMAX     36, 32 // width of PASIDs − 1
#define AMDVI_EFR_SEGMENTS   39, 38 // up to 2^n device tables
#define AMDVI_EFR_GIO        48, 48 // requests without PASID may use guest tables
#define AMDVI_EFR_HA         49, 49 // accessed bits in host tables
#define AMDVI_EFR_HD         52, 52 // dirty bits in host tables
#define AMDVI_EFR_SNP        63, 63
#define AMDVI_EFR2_REG       0x01A0
#define AMDVI_EFR2_GCR3_MODE 3, 3

// ---- pointers, 32 bits used -------------------------------------------------------------------------------
#define AMDVI_COMMAND_HEAD_REG 0x2000
#define AMDVI_COMMAND_TAIL_REG 0x2008
#define AMDVI_EVENT_HEAD_REG   0x2010
#define AMDVI_EVENT_TAIL_REG   0x2018
#define AMDVI_PPR_HEAD_REG     0x2030
#define AMDVI_PPR_TAIL_REG     0x2038
#define AMDVI_GALOG_HEAD_REG   0x2040
#define AMDVI_GALOG_TAIL_PTR   0x2048
#define AMDVI_POINTER          18, 4 // in units of 16 bytes

// ---- status: what tells of overflows and interrupts is cleared by writing 1 ------------------------------
#define AMDVI_STATUS_REG            0x2020
#define AMDVI_STATUS_EVENT_OVERFLOW 0, 0
#define AMDVI_STATUS_EVENT_INT      1, 1
#define AMDVI_STATUS_WAIT_INT       2, 2
#define AMDVI_STATUS_EVENT_RUN      3, 3
#define AMDVI_STATUS_COMMANDS_RUN   4, 4
#define AMDVI_STATUS_PPR_OVERFLOW   5, 5
#define AMDVI_STATUS_PPR_INT        6, 6
#define AMDVI_STATUS_PPR_RUN        7, 7
#define AMDVI_STATUS_GALOG_RUN      8, 8
#define AMDVI_STATUS_GALOG_OVERFLOW 9, 9
#define AMDVI_STATUS_GALOG_INT      10, 10

#define AMDVI_PCI_CLASS             0x0806u
#define AMDVI_SUBSYSTEM_QEMU        0x11001AF4u
// ---- PCI capability, 0Fh ----------------------------------------------------------------------------------
#define AMDVI_CAP_ID       0x0F
#define AMDVI_CAP_TYPE     18, 16
#define AMDVI_CAP_TYPE_MMU 3u
#define AMDVI_CAP_IOTLB    24, 24 // device TLBs
#define AMDVI_CAP_EFR      27, 27

// ---- flags of an IVHD (5.2.2.1) and where the control register has them ----------------------------------
#define AMDVI_IVHD_HT_TUNNEL      0, 0
#define AMDVI_IVHD_PASS_PW        1, 1
#define AMDVI_IVHD_RES_PASS_PW    2, 2
#define AMDVI_IVHD_ISOC           3, 3
#define AMDVI_IVHD_IOTLB          4, 4
#define AMDVI_CONTROL_HT_TUNNEL   1, 1
#define AMDVI_CONTROL_PASS_PW     8, 8
#define AMDVI_CONTROL_RES_PASS_PW 9, 9
#define AMDVI_CONTROL_ISOC        11, 11

// ---- commands: 16 bytes, here as two 64-bit words ---------------------------------------------------------
#define AMDVI_COMMAND_WORDS 2u
#define AMDVI_CMD_OP        63, 60
#define AMDVI_OP_WAIT       1u // COMPLETION_WAIT
#define AMDVI_OP_DEVICE     2u // INVALIDATE_DEVTAB_ENTRY
#define AMDVI_OP_PAGES      3u // INVALIDATE_IOMMU_PAGES
#define AMDVI_OP_DEVICE_TLB 4u // INVALIDATE_IOTLB_PAGES
#define AMDVI_OP_INTERRUPTS 5u // INVALIDATE_INTERRUPT_TABLE
#define AMDVI_OP_ALL        8u // INVALIDATE_IOMMU_ALL
// COMPLETION_WAIT: stores word 1 at the address
#define AMDVI_WAIT_STORE   0, 0
#define AMDVI_WAIT_ADDRESS 51, 3
// INVALIDATE_DEVTAB_ENTRY, INVALIDATE_INTERRUPT_TABLE, INVALIDATE_IOTLB_PAGES
#define AMDVI_CMD_DEVICE 15, 0
// INVALIDATE_IOMMU_PAGES
#define AMDVI_PAGES_PASID  19, 0
#define AMDVI_PAGES_DOMAIN 47, 32
#define AMDVI_PAGES_S      0, 0 // word 1: the address has a size in it
#define AMDVI_PAGES_PDE    1, 1 // word 1: what leads to the pages, too
#define AMDVI_PAGES_GN     2, 2 // word 1: the guest's, of one PASID
// INVALIDATE_IOTLB_PAGES
#define AMDVI_IOTLB_PASID_HIGH  23, 16 // PASID 15:8
#define AMDVI_IOTLB_MAX_PENDING 31, 24
#define AMDVI_IOTLB_QUEUE       47, 32
#define AMDVI_IOTLB_PASID_LOW   55, 48 // PASID 7:0
#define AMDVI_IOTLB_S           0, 0   // word 1
#define AMDVI_IOTLB_GN          2, 2   // word 1
// Every address, for word 1 of both: ones below a zero, which with S is the largest size.
#define AMDVI_EVERY_ADDRESS 0x7FFFFFFFFFFFF000ull

// ---- events: 16 bytes, here as two 64-bit words -----------------------------------------------------------
#define AMDVI_EVENT_WORDS      2u
#define AMDVI_EVENT_DEVICE     15, 0
#define AMDVI_EVENT_FLAGS      59, 48
#define AMDVI_EVENT_CODE       63, 60
#define AMDVI_EV_DEVTAB        1u // ILLEGAL_DEV_TABLE_ENTRY
#define AMDVI_EV_PAGE_FAULT    2u // IO_PAGE_FAULT
#define AMDVI_EV_COMMAND       5u // ILLEGAL_COMMAND_ERROR
#define AMDVI_EV_COMMAND_HW    6u // COMMAND_HARDWARE_ERROR
#define AMDVI_EV_IOTLB_TIMEOUT 7u // IOTLB_INV_TIMEOUT

#endif

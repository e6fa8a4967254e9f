// SPDX-License-Identifier: MIT
// PCI Local Bus specification 3.0, chapter 6; PCI-to-PCI Bridge specification 1.2, chapter 3; PCI Express
// Base specification 6.0, chapter 7.
#ifndef ENGINE_PCI_REGS_H
#define ENGINE_PCI_REGS_H

// Local Bus 6.2: header, offsets in bytes
#define PCI_VENDOR_ID    0x00 // 16 RO
#define PCI_COMMAND      0x04 // 16 RW
#define PCI_STATUS       0x06 // 16 RO, W1C
#define PCI_BASE_CLASS   0x0b // 8 RO
#define PCI_HEADER_TYPE  0x0e // 8 RO
#define PCI_CAPABILITIES 0x34 // 8 RO: first capability
// Bridge 3.2.5: bus numbers of a bridge
#define PCI_BUS_NUMBERS 0x18 // 32 RW

#define PCI_NO_VENDOR   0xffffu // what the vendor id of an absent function reads

// Fields, as (high, low)
#define PCI_STATUS_CAPS     4, 4
#define PCI_HEADER_LAYOUT   6, 0 // 0 device, 1 bridge, 2 CardBus bridge
#define PCI_LAYOUT_BRIDGE   1
#define PCI_LAYOUT_CARDBUS  2

#define PCI_BUS_SECONDARY   15, 8
#define PCI_BUS_SUBORDINATE 23, 16

#define PCI_CLASS_BRIDGE    0x06

// Local Bus 6.7: a capability is id, next, body; they lie in 40h–FFh, at most 48 of 4 bytes
#define PCI_CAP_EXPRESS 0x10
#define PCI_CAP_FIRST   0x40
#define PCI_MAX_CAPS    48
// Express 7.5.3.2: PCI Express capabilities register, from the capability
#define PCIE_CAPS          0x02 // 16 RO
#define PCIE_CAPS_TYPE     7, 4
#define PCIE_TYPE_TO_PCI   7 // PCI Express to PCI/PCI-X bridge
#define PCIE_TYPE_FROM_PCI 8 // PCI/PCI-X to PCI Express bridge

// Express 7.6.3: an extended capability begins with one dword; they lie in 100h–FFFh
#define PCI_EXTENDED_FIRST 0x100
#define PCI_MAX_EXTENDED   480 // of 8 bytes
#define PCI_EXT_ID         15, 0
#define PCI_EXT_NEXT       31, 20

// Express 10.5.1: address translation services. The dword at 04h: capability (RO) below, control above
#define PCI_EXT_ATS    0x000f
#define PCI_ATS_DWORD  0x04
#define PCI_ATS_DEPTH  4, 0 // invalidations that may be under way; 0: 32
#define PCI_ATS_ENABLE 31, 31
// Express 10.5.2: page requests. The dword at 04h: control below, status (W1C) above
#define PCI_EXT_PRI     0x0013
#define PCI_PRI_DWORD   0x04
#define PCI_PRI_ENABLE  0, 0
#define PCI_PRI_CONTROL 15, 0
// Express 7.8.9: process address spaces. The dword at 04h: capability below, control above
#define PCI_EXT_PASID    0x001b
#define PCI_PASID_DWORD  0x04
#define PCI_PASID_ENABLE 16, 16
// Express 9.3.3: single root I/O virtualization
#define PCI_EXT_SRIOV    0x0010
#define PCI_SRIOV_DWORD  0x08 // control below, status above
#define PCI_SRIOV_VFE    0, 0 // virtual functions are enabled
#define PCI_SRIOV_NUM    0x10 // 16 RW
#define PCI_SRIOV_OFFSET 0x14 // 16 RO: from the physical function's id to the first virtual one's
#define PCI_SRIOV_STRIDE 0x16 // 16 RO

// Express 7.2.2: ECAM address bits
#define PCI_ECAM_BUS_SHIFT 20
#define PCI_ECAM_RID_SHIFT 12

// Local Bus 3.2.2.3.2: the two ports
#define PCI_PORT_ADDRESS   0xcf8
#define PCI_PORT_DATA      0xcfc
#define PCI_ADDRESS_ENABLE (1u << 31)

#endif

// SPDX-License-Identifier: MIT
// Offsets in Linux' boot_params page ("zero page"): Linux, Documentation/arch/x86/{zero-page,boot}.rst and
// arch/x86/include/uapi/asm/{bootparam,setup_data}.h.
#ifndef STAGE_BOOTPARAMS_H
#define STAGE_BOOTPARAMS_H

#define BP_SIZE               4096u

#define BP_SCREEN_VIDEO_MODE  0x006 // u8
#define BP_SCREEN_COLUMNS     0x007 // u8
#define BP_SCREEN_LINES       0x00E // u8
#define BP_SCREEN_IS_VGA      0x00F // u8: 1 is VGA text mode
#define BP_ACPI_RSDP          0x070 // u64
#define BP_EXT_RAMDISK_IMAGE  0x0C0 // u32: high half
#define BP_EXT_RAMDISK_SIZE   0x0C4 // u32: high half
#define BP_EXT_CMD_LINE       0x0C8 // u32: high half
#define BP_EFI_SIGNATURE      0x1C0 // u32: "EL64" for 64-bit firmware
#define BP_EFI_SYSTAB         0x1C4 // u32: low half
#define BP_EFI_SYSTAB_HIGH    0x1D8 // u32: high half
#define BP_E820_ENTRIES       0x1E8 // u8
#define BP_SETUP_HEADER       0x1F1
#define BP_SETUP_HEADER_END   0x26C // one past kernel_info_offset
#define BP_HEADER_MAGIC       0x202 // "HdrS"
#define BP_RAMDISK_IMAGE      0x218 // u32: low half
#define BP_RAMDISK_SIZE       0x21C // u32: low half
#define BP_CMD_LINE           0x228 // u32: low half
#define BP_CMDLINE_SIZE       0x238 // u32: longest command line, terminator not counted
#define BP_SETUP_DATA         0x250 // u64: list of setup_data
#define BP_INIT_SIZE          0x260 // u32
#define BP_E820_TABLE         0x2D0
#define BP_E820_MAX           128u
#define BP_E820_ENTRY_SIZE    20u // address u64, size u64, type u32
#define BP_EFI_SIGNATURE_EL64 0x34364C45u

// A setup_data node: next u64, type u32, length u32, then the data.
#define SETUP_DATA_HEADER   16u
#define SETUP_DATA_E820_EXT 1u
#define SETUP_DATA_EFI      4u
// More nodes than any loader makes: a list that is longer is a loop.
#define SETUP_DATA_MAX 64u

#endif

// SPDX-License-Identifier: MIT
// The x86 Linux boot protocol: the setup header of a kernel image.
// Source: Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" and "Details of Header
// Fields".
#ifndef TOOL_BOOTPROTO_H
#define TOOL_BOOTPROTO_H

// Offsets in the file. width in bytes
#define BOOT_SETUP_SECTS        0x1F1 // 1
#define BOOT_SYSSIZE            0x1F4 // 4: protected-mode code in 16-byte units
#define BOOT_FLAG               0x1FE // 2: AA55h
#define BOOT_JUMP               0x200 // 2: short jump over the header; its target ends the header
#define BOOT_MAGIC              0x202 // 4: "HdrS"
#define BOOT_VERSION            0x206 // 2
#define BOOT_KERNEL_VERSION     0x20E // 2: offset of a string, from 200h
#define BOOT_LOADFLAGS          0x211 // 1
#define BOOT_KERNEL_ALIGNMENT   0x230 // 4
#define BOOT_RELOCATABLE        0x234 // 1
#define BOOT_XLOADFLAGS         0x236 // 2
#define BOOT_CMDLINE_SIZE       0x238 // 4
#define BOOT_PAYLOAD_OFFSET     0x248 // 4: from the start of the protected-mode code
#define BOOT_PAYLOAD_LENGTH     0x24C // 4
#define BOOT_PREF_ADDRESS       0x258 // 8
#define BOOT_INIT_SIZE          0x260 // 4
#define BOOT_HANDOVER_OFFSET    0x264 // 4: EFI handover entry
#define BOOT_KERNEL_INFO_OFFSET 0x268 // 4: version 2.15 on
#define BOOT_HEADER_END         0x280 // no field lies beyond, in any version up to now

#define BOOT_FLAG_VALUE         0xAA55u
#define BOOT_MAGIC_VALUE        0x53726448u // "HdrS"
#define BOOT_VERSION_KEXEC      0x020Cu     // 2.12: the oldest that both loaders take
#define BOOT_VERSION_INFO       0x020Fu
#define BOOT_DEFAULT_SECTS      4u // what a setup_sects of 0 means
#define BOOT_SECTOR             512u
#define BOOT_LOADED_HIGH        (1u << 0)
#define XLF_KERNEL_64           (1u << 0)
#define XLF_ABOVE_4G            (1u << 1)
#define XLF_EFI_HANDOVER_32     (1u << 2)
#define XLF_EFI_HANDOVER_64     (1u << 3)
#define XLF_EFI_KEXEC           (1u << 4)
#define XLF_5LEVEL              (1u << 5)

#endif

// SPDX-License-Identifier: MIT
// The stage's memory map, stated once for C, assembly and the linker script. No C but macros in here.
#ifndef STAGE_LAYOUT_H
#define STAGE_LAYOUT_H

// Offsets from the load address; the same as in abi.h, which assembly cannot include (main.c checks that).
#define STAGE_ENTRY_OFFSET  0x200
#define STAGE_HEADER_OFFSET 0x400
#define STAGE_HEADER_SIZE   344
#define STAGE_HEADER_MAGIC  0x314D4144474D4943
// Where the protected-mode kernel begins at the earliest: the stage must end before.
#define STAGE_MAX_SIZE 0x200000
// What the stage may weigh in the file.
#define STAGE_MAX_FILE 0x20000

// Segment selectors, as the boot protocol wants them, and the task segment behind them.
#define STAGE_CS              0x10
#define STAGE_DS              0x18
#define STAGE_TSS             0x20

#define STAGE_STACK_SIZE      0x8000
#define STAGE_TRAP_STACK_SIZE 0x2000

#define STAGE_VECTORS         32
#define STAGE_STUB_SIZE       16

#endif

// SPDX-License-Identifier: MIT
// Memory of the bench machine that its ROM, its payload and bench.py share. bench.py reads this file: one
// #define NAME NUMBER a line.
#ifndef TESTS_STAGE_LAYOUT_H
#define TESTS_STAGE_LAYOUT_H

// What the ROM is told, all 64-bit.
#define BENCH_ORDERS  0x1000
#define ORDER_ARMED   0x00 // BENCH_MAGIC: the next start is wanted
#define ORDER_CR3_ALL 0x08 // page tables that map all 4 GiB
#define ORDER_CR3     0x10 // those that the image is entered with
#define ORDER_CR0     0x18
#define ORDER_CR4     0x20
#define ORDER_ENTRY   0x28
#define ORDER_BP      0x30
#define ORDER_RSP     0x38
#define ORDER_UNIT                                                                                           \
    0x40 // two stretches of the IOMMU's registers for the payload to copy: address, dwords; twice
#define ORDER_COUNT  0x60 // steps that follow
#define ORDER_STEPS  0x68 // of STEP_SIZE bytes each: kind u32, mask u32, address u64, value u64
#define STEP_SIZE    24
#define STEP_WRITE32 0
#define STEP_WRITE64 1
#define STEP_WAIT32  2 // until (word & mask) == value

// What the payload leaves.
#define BENCH_RESULT 0x3000
#define RESULT_MAGIC 0x00
#define RESULT_REGS  0x08 // rax rbx rcx rdx rsi rdi rbp rsp r8-r15, rflags
#define RESULT_SEGS  0x90 // cs ds es ss fs gs, 16 bits each
#define RESULT_CTRL  0xA0 // cr0 cr3 cr4 efer
#define RESULT_GDTR  0xC0
#define RESULT_IDTR  0xD0
#define RESULT_UNIT  0x100 // registers of the IOMMU, as ordered

#define BENCH_GDT    0x5000
#define BENCH_WAY    0x6000 // the last instructions before the image
#define BENCH_MAGIC  0x48434E4542

#endif

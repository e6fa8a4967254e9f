// SPDX-License-Identifier: MIT
// What is wrapped instead of a kernel: writes down what it was given, then what the IOMMU does. Linked at 0; the
// 64-bit entry is at 200h (boot protocol).
#include "layout.h"

    .text
    .code64
    .org 0x200
    .globl payload_entry
payload_entry:
    movq %rax, BENCH_RESULT + RESULT_REGS + 0x00
    movq %rbx, BENCH_RESULT + RESULT_REGS + 0x08
    movq %rcx, BENCH_RESULT + RESULT_REGS + 0x10
    movq %rdx, BENCH_RESULT + RESULT_REGS + 0x18
    movq %rsi, BENCH_RESULT + RESULT_REGS + 0x20
    movq %rdi, BENCH_RESULT + RESULT_REGS + 0x28
    movq %rbp, BENCH_RESULT + RESULT_REGS + 0x30
    movq %rsp, BENCH_RESULT + RESULT_REGS + 0x38
    movq %r8,  BENCH_RESULT + RESULT_REGS + 0x40
    movq %r9,  BENCH_RESULT + RESULT_REGS + 0x48
    movq %r10, BENCH_RESULT + RESULT_REGS + 0x50
    movq %r11, BENCH_RESULT + RESULT_REGS + 0x58
    movq %r12, BENCH_RESULT + RESULT_REGS + 0x60
    movq %r13, BENCH_RESULT + RESULT_REGS + 0x68
    movq %r14, BENCH_RESULT + RESULT_REGS + 0x70
    movq %r15, BENCH_RESULT + RESULT_REGS + 0x78
    pushfq
    popq BENCH_RESULT + RESULT_REGS + 0x80
    movw %cs, BENCH_RESULT + RESULT_SEGS + 0
    movw %ds, BENCH_RESULT + RESULT_SEGS + 2
    movw %es, BENCH_RESULT + RESULT_SEGS + 4
    movw %ss, BENCH_RESULT + RESULT_SEGS + 6
    movw %fs, BENCH_RESULT + RESULT_SEGS + 8
    movw %gs, BENCH_RESULT + RESULT_SEGS + 10
    movq %cr0, %rax
    movq %rax, BENCH_RESULT + RESULT_CTRL + 0x00
    movq %cr3, %rax
    movq %rax, BENCH_RESULT + RESULT_CTRL + 0x08
    movq %cr4, %rax
    movq %rax, BENCH_RESULT + RESULT_CTRL + 0x10
    movl $0xC0000080, %ecx
    rdmsr
    movl %eax, BENCH_RESULT + RESULT_CTRL + 0x18
    movl %edx, BENCH_RESULT + RESULT_CTRL + 0x1C
    sgdt BENCH_RESULT + RESULT_GDTR
    sidt BENCH_RESULT + RESULT_IDTR
    movq BENCH_ORDERS + ORDER_CR3_ALL, %rax
    movq %rax, %cr3
    movl $(BENCH_RESULT + RESULT_UNIT), %edi
    cld
    movq BENCH_ORDERS + ORDER_UNIT + 0x00, %rsi
    movq BENCH_ORDERS + ORDER_UNIT + 0x08, %rcx
    rep movsl
    movq BENCH_ORDERS + ORDER_UNIT + 0x10, %rsi
    movq BENCH_ORDERS + ORDER_UNIT + 0x18, %rcx
    rep movsl
    movabsq $BENCH_MAGIC, %rax
    movq %rax, BENCH_RESULT + RESULT_MAGIC
    .globl payload_done
payload_done:
    hlt
    jmp payload_done
    .section .note.GNU-stack, "", @progbits

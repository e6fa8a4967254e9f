// SPDX-License-Identifier: MIT
// Firmware of the bench machine: from reset to the 64-bit entry of an image, in the state that a crashed
// kernel and kexec's purgatory leave. Memory is ready already; what the hardware is to do is in BENCH_ORDERS.
#include "layout.h"

    .text
    .code32
    .globl rom_dead
rom_base:                               // FFFF0000h
protected:
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl BENCH_ORDERS + ORDER_CR4, %eax
    movl %eax, %cr4
    movl BENCH_ORDERS + ORDER_CR3_ALL, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx              // EFER: LME, NXE, SCE
    movl $0x901, %eax
    xorl %edx, %edx
    wrmsr
    movl BENCH_ORDERS + ORDER_CR0, %eax
    movl %eax, %cr0
    ljmpl $0x10, $long_mode

    .code64
long_mode:
    movabsq $BENCH_MAGIC, %rax
    movl $BENCH_ORDERS, %ebp
    cmpq ORDER_ARMED(%rbp), %rax
    movq $0, ORDER_ARMED(%rbp)
    jne rom_dead
    movq ORDER_COUNT(%rbp), %rcx
    leaq ORDER_STEPS(%rbp), %rbx
1:  testq %rcx, %rcx
    jz 5f
    movq 8(%rbx), %rdi
    movq 16(%rbx), %rax
    movl 4(%rbx), %edx
    movl 0(%rbx), %esi
    cmpl $STEP_WRITE64, %esi
    ja 3f
    je 2f
    movl %eax, (%rdi)
    jmp 4f
2:  movq %rax, (%rdi)
    jmp 4f
3:  movl (%rdi), %esi
    andl %edx, %esi
    cmpl %eax, %esi
    jne 3b
4:  addq $STEP_SIZE, %rbx
    decq %rcx
    jmp 1b
5:  leaq way(%rip), %rsi
    movl $BENCH_WAY, %edi
    movl $(way_end - way), %ecx
    cld
    rep movsb
    movq ORDER_RSP(%rbp), %rsp
    movl $BENCH_WAY, %eax
    jmpq *%rax

// A second start that nobody ordered: the machine was reset.
rom_dead:
    hlt
    jmp rom_dead

// Runs at BENCH_WAY, in page tables that map no device: the state of the boot protocol's 64-bit entry.
way:
    movq ORDER_CR3(%rbp), %rax
    movq %rax, %cr3
    pushq $BENCH_GDT
    pushw $0x1F
    lgdt (%rsp)
    addq $10, %rsp
    pushq $0                            // a base of 0 …
    pushw $0                            // … and a limit of 0: any exception resets the machine
    lidt (%rsp)
    addq $10, %rsp
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movq ORDER_BP(%rbp), %rsi
    pushq $0x10
    pushq ORDER_ENTRY(%rbp)
    xorl %eax, %eax
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %edi, %edi
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    xorl %ebp, %ebp
    lretq
way_end:

    .balign 16
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff            // 08h: 32-bit code
    .quad 0x00af9a000000ffff            // 10h: 64-bit code
    .quad 0x00cf92000000ffff            // 18h: data
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt

    .code16
real:
    cli
    lgdtl %cs:(gdt_pointer - rom_base)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $protected
    .section .reset, "ax"
    .code16
    jmp real
    .org 0x10
    .section .note.GNU-stack, "", @progbits

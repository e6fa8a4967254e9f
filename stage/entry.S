// SPDX-License-Identifier: MIT
// The way in, the way out, and what C cannot say: boot entry points, exception stubs, the return to a safe
// point, the jump to the kernel.
#include "layout.h"

    .section .head, "ax"
    .globl stage_entry, stage_image_header
// Load address + 0: the 32-bit entry. kexec never comes here; whoever does (a boot loader given the wrapped
// image) gets a reset rather than a machine that hangs without a word: interrupts have nowhere to go.
    .code32
    cli
    ud2

// Load address + 200h: the 64-bit entry (Documentation/arch/x86/boot.rst). RSI = boot_params, IF = 0, identity
// mapped; no other register and no stack is promised, so none is used before ours. All are kept for the kernel.
    .code64
    .org STAGE_ENTRY_OFFSET
stage_entry:
    cli
    cld
    .irp register, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15
    movq %\register, entry_\register(%rip)
    .endr
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, %rbx
    leaq stage_stack_top(%rip), %rsp
    subq $16, %rsp
    leaq stage_gdt(%rip), %rax
    movw $(stage_gdt_end - stage_gdt - 1), 6(%rsp)
    movq %rax, 8(%rsp)
    lgdt 6(%rsp)
    addq $16, %rsp
    pushq $STAGE_CS
    leaq 1f(%rip), %rax
    pushq %rax
    lretq
1:  movl $STAGE_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movq %rsi, %rdi
    movq %rbx, %rsi
    xorl %ebp, %ebp
    call stage_main
    ud2

// struct dam_image_header: what the tool looks for; it fills in the rest.
    .org STAGE_HEADER_OFFSET
stage_image_header:
    .quad STAGE_HEADER_MAGIC
    .long 1                             // DAM_IMAGE_VERSION
    .long STAGE_HEADER_SIZE
    .long 0, 0                          // crc32, default_policy
    // stage_size. Written relative to its own address: a plain difference of symbols would be a relocation.
stage_size_field:
    .quad stage_end - stage_size_field + 24 + STAGE_HEADER_OFFSET
    .org STAGE_HEADER_OFFSET + STAGE_HEADER_SIZE

    .data
    .balign 16
    .globl stage_gdt
stage_gdt:
    .quad 0
    .quad 0
    .quad 0x00af9a000000ffff            // 10h: 64-bit code
    .quad 0x00cf92000000ffff            // 18h: data
    .quad 0, 0                          // 20h: task segment, filled in by trap.c
stage_gdt_end:

    .bss
    .balign 4096
    .globl stage_stack_guard, stage_stack_top
stage_stack_guard:                      // never mapped: an overflow becomes a page fault
    .skip 4096
    .skip STAGE_STACK_SIZE
stage_stack_top:
    .irp register, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15
entry_\register:
    .skip 8
    .endr
jump_target:
    .skip 8

    .text
// One stub a vector, STAGE_STUB_SIZE bytes each. Those without an error code push a zero.
    .globl stage_trap_stubs
    .balign 16
stage_trap_stubs:
    .set vector, 0
    .rept STAGE_VECTORS
    .balign STAGE_STUB_SIZE
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    .balign 16
trap_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %rdi
    cld
    call stage_trap
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

// int stage_safe_point(struct stage_safe_point *at): returns 0; returns again, non-zero, from stage_return_to.
    .globl stage_safe_point
stage_safe_point:
    movq %rbx, 0(%rdi)
    movq %rbp, 8(%rdi)
    movq %r12, 16(%rdi)
    movq %r13, 24(%rdi)
    movq %r14, 32(%rdi)
    movq %r15, 40(%rdi)
    leaq 8(%rsp), %rax
    movq %rax, 48(%rdi)
    movq (%rsp), %rax
    movq %rax, 56(%rdi)
    xorl %eax, %eax
    ret

// void stage_return_to(const struct stage_safe_point *at, int value)
// By IRET, which ends the blocking of NMIs and gives back the stack segment that the way into a handler may have
// taken away (Intel SDM volume 3, 6.7.1 and 6.14.4).
    .globl stage_return_to
stage_return_to:
    movl %esi, %eax
    pushq $STAGE_DS
    pushq 48(%rdi)
    pushq $2                            // flags: interrupts off, and nothing else
    pushq $STAGE_CS
    pushq 56(%rdi)
    movq 0(%rdi), %rbx
    movq 8(%rdi), %rbp
    movq 16(%rdi), %r12
    movq 24(%rdi), %r13
    movq 32(%rdi), %r14
    movq 40(%rdi), %r15
    iretq

// void stage_jump(uint64_t entry, uint64_t boot_params, uint64_t cr0, uint64_t cr3, uint64_t cr4)
// With all registers as they were at entry. CR3 before CR0 and CR4: both tables map this page, and with write
// protection still on nothing is written.
    .globl stage_jump
stage_jump:
    movq %rdi, jump_target(%rip)
    movq %rcx, %cr3
    movq %r8, %cr4
    movq %rdx, %cr0
    movl $STAGE_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    .irp register, rax, rbx, rcx, rdx, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15
    movq entry_\register(%rip), %\register
    .endr
    jmpq *jump_target(%rip)

// void stage_reset(void): no way is left but a reset; with no interrupt table the next exception makes one.
    .globl stage_reset
stage_reset:
    subq $16, %rsp
    movw $0, 6(%rsp)
    movq $0, 8(%rsp)
    lidt 6(%rsp)
    ud2
    .section .note.GNU-stack, "", @progbits

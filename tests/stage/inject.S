// SPDX-License-Identifier: MIT
// What an exception test has the CPU run instead of the stage: each piece ends in the exception that it is named
// after. Lies in memory of the old kernel, which the stage maps read-only, but executable.
    .text
    .code64
    .macro begin name
    .globl inject_\name
inject_\name:
    .endm

begin de
    xorl %ecx, %ecx
    divl %ecx
begin db                                // TF: after the next instruction
    pushfq
    orq $0x100, (%rsp)
    popfq
    nop
    nop
begin bp
    int3
begin of
    int $4
begin br
    int $5
begin ud
    ud2
begin nm                                // CR0: EM, TS
    movq %cr0, %rax
    orq $0xC, %rax
    movq %rax, %cr0
    fnop
begin v9
    int $9
begin np                                // with the task segment made absent by the test
    movl $0x20, %eax
    ltr %ax
begin ss                                // with a descriptor of an absent segment put there by the test
    movl $0x28, %eax
    movl %eax, %ss
begin gp
    movabsq $0x8000000000000000, %rax
    movq (%rax), %rax
begin gp_int                            // beyond the interrupt table
    int $0x80
begin pf                                // nothing is mapped
    movabsq $0x7f0000000000, %rax
    movq (%rax), %rax
begin pf_write                          // memory of the old kernel
    movl $1, inject_end(%rip)
begin pf_jump
    movabsq $0x7f0000000000, %rax
    jmpq *%rax
begin pf_lost_stack                     // rsp leads nowhere: only a stack of its own helps the handler
    movabsq $0x7f0000000000, %rsp
    pushq %rax
begin mf
    movq %cr0, %rax
    andq $~0xC, %rax
    orq $0x20, %rax
    movq %rax, %cr0
    fninit
    pushq $0x300
    fldcw (%rsp)
    fld1
    fldz
    fdivrp
    fwait
    nop
begin v15
    int $15
begin xm
    int $19
begin ve
    int $20
begin v22
    int $22
begin v31
    int $31
begin hv
    int $28
begin registers                         // everything that could be lost is, then an exception
    movq $-1, %rbx
    movq %rbx, %rbp
    movq %rbx, %r12
    movq %rbx, %r13
    movq %rbx, %r14
    movq %rbx, %r15
    movq %rbx, %rsp
    std
    ud2
    .globl inject_end
    .balign 8
inject_end:
    .quad 0
    .section .note.GNU-stack, "", @progbits

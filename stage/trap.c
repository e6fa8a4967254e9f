// SPDX-License-Identifier: MIT
// Intel SDM volume 3, 6.14 "Exception and interrupt handling in 64-bit mode", 8.7 "Task management in 64-bit
// mode".
#include "trap.h"

#include <string.h>

#include "cpu.h"
#include "layout.h"
#include "stage.h"

#define VECTOR_NMI 2
#define VECTOR_DF  8
#define VECTOR_MC  18

// Stacks of their own, so that a broken stack pointer costs nothing: one for NMIs (which can come on top of
// anything), one for double faults, one for all other exceptions.
#define IST_FAULT      1
#define IST_NMI        2
#define IST_DOUBLE     3
#define IST_COUNT      3

#define MSR_MCG_STATUS 0x17A

struct gate {
    uint64_t w[2];
};

struct task_segment { // by 32-bit words, because the 64-bit fields are not aligned
    uint32_t w[26];
};

struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};

struct trap_frame { // as entry.S pushes it
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

extern uint64_t stage_gdt[];
extern const uint8_t stage_trap_stubs[];
void stage_trap(const struct trap_frame *frame); // called by entry.S

static struct gate idt[STAGE_VECTORS];
static struct task_segment task;
static uint8_t trap_stacks[IST_COUNT][STAGE_TRAP_STACK_SIZE] __attribute__((aligned(16)));

static struct gate gate_of(uint64_t handler, unsigned ist)
{
    // Type 14, interrupt gate; present.
    return (struct gate){{(handler & 0xFFFF) | (uint64_t)STAGE_CS << 16 | (uint64_t)ist << 32 |
                              0x8E00ull << 32 | (handler >> 16 & 0xFFFF) << 48,
                          handler >> 32}};
}

static void install_task(void)
{
    for (unsigned i = 0; i < IST_COUNT; i++) {
        uint64_t top = (uint64_t)(trap_stacks[i] + STAGE_TRAP_STACK_SIZE);
        task.w[9 + 2 * i] = (uint32_t)top; // IST1 is at byte 36
        task.w[10 + 2 * i] = (uint32_t)(top >> 32);
    }
    task.w[25] = sizeof(task) << 16; // no I/O permission map
    uint64_t base = (uint64_t)&task;
    // Type 9, available 64-bit task segment; present.
    stage_gdt[STAGE_TSS / 8] =
        (sizeof(task) - 1) | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24 & 0xFF) << 56;
    stage_gdt[STAGE_TSS / 8 + 1] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(STAGE_TSS) : "memory");
}

void trap_install(void)
{
    install_task();
    for (unsigned i = 0; i < STAGE_VECTORS; i++) {
        unsigned ist = i == VECTOR_NMI ? IST_NMI : i == VECTOR_DF ? IST_DOUBLE : IST_FAULT;
        idt[i] = gate_of((uint64_t)(stage_trap_stubs + i * STAGE_STUB_SIZE), ist);
    }
    struct table_pointer pointer;
    pointer.limit = sizeof(idt) - 1;
    pointer.base = (uint64_t)idt;
    __asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
    // With MCE clear a machine check shuts the machine down: reading poisoned memory of the old kernel would
    // be the end of the dump.
    if (cpu_id(1, 0).d & (1u << 7))
        cpu_set_cr4(cpu_cr4() | CR4_MCE);
}

static void nmi(const struct trap_frame *frame)
{
    struct trap_state *trap = &stage.trap;
    trap->nmi_count++;
    trap->nmi_rip = frame->rip;
    if (trap->mode == TRAP_WORK && !stage_committed())
        stage_return_to(&trap->safe, TRAP_NMI);
}

void stage_trap(const struct trap_frame *frame)
{
    struct trap_state *trap = &stage.trap;
    if (frame->vector == VECTOR_NMI) {
        nmi(frame);
        return;
    }
    if (!trap->first.happened)
        trap->first =
            (struct trap_record){true, (uint32_t)frame->vector, frame->error, frame->rip, cpu_cr2()};
    if (frame->vector == VECTOR_MC)
        cpu_wrmsr(MSR_MCG_STATUS, 0); // handled; a second machine check with this set would shut down
    if (++trap->count > TRAP_MAX && trap->mode != TRAP_GONE)
        trap->mode = TRAP_PLAIN;
    switch (trap->mode) {
    case TRAP_WORK:
    case TRAP_HANDOVER:
        stage_return_to(&trap->safe, TRAP_EXCEPTION);
    case TRAP_PLAIN:
        stage_leave();
    case TRAP_GONE:
        if (!trap->gone_again) {
            trap->gone_again = true;
            stage_leave();
        }
        stage_reset();
    default:
        stage_reset();
    }
}

// SPDX-License-Identifier: MIT
// Exceptions and NMIs: none of them may cost the dump.
#ifndef STAGE_TRAP_H
#define STAGE_TRAP_H

#include <stdbool.h>
#include <stdint.h>

// A point to return to: callee-saved registers, stack, address. entry.S knows the layout.
struct stage_safe_point {
    uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

// Remembers this point; returns 0. Returns a second time, with the value given to stage_return_to, when it is
// returned to. Locals that were changed in between are not to be trusted: keep state elsewhere.
int stage_safe_point(struct stage_safe_point *at) __attribute__((returns_twice));
void stage_return_to(const struct stage_safe_point *at, int value) __attribute__((noreturn));
void stage_reset(void) __attribute__((noreturn));

// What an exception does.
enum trap_mode {
    TRAP_WORK,     // before and during the takeover: return to the safe point; an NMI before commit as well
    TRAP_HANDOVER, // writing the note: return to the safe point; an NMI is counted
    TRAP_PLAIN,    // the last steps: jump to the kernel at once
    TRAP_GONE,     // in that jump: once more from its beginning; then nothing is left but a reset
};

// What stage_safe_point returns with.
#define TRAP_EXCEPTION 1
#define TRAP_NMI       2

// After so many exceptions no step is tried any more but the jump.
#define TRAP_MAX 32u

struct trap_record {
    bool happened;
    uint32_t vector;
    uint64_t error, rip, cr2;
};

struct trap_state {
    enum trap_mode mode;
    struct stage_safe_point safe;
    struct trap_record first; // the first exception: what follows it is often its consequence
    uint32_t count;           // of exceptions
    uint32_t nmi_count;
    uint64_t nmi_rip;    // of the last one
    bool gone_again;     // the jump was begun a second time
    bool exception_said; // printed already
    uint32_t nmi_said;
};

// Loads the interrupt and task tables. From here on exceptions are ours.
void trap_install(void);

#endif

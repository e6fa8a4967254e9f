// SPDX-License-Identifier: MIT
// What a unit of the note is called, and its registers, by its kind: one list each, in abi.h.
#ifndef TOOL_NOTE_REGISTERS_H
#define TOOL_NOTE_REGISTERS_H

#include <cofferdam/abi.h>
#include <stdbool.h>
#include <stddef.h>

struct note_kind {
    uint32_t kind;
    const char *name;       // "VT-d"
    const char *cap, *ecap; // what stands in those two
    const char *flag;       // what bit 0 of the firmware's flags says; NULL: nothing that is told
};

// Of a kind that is not in the list the name is "unknown", and it has no registers.
const struct note_kind *note_kind_of(uint32_t kind);

struct note_register {
    uint32_t kind;
    const char *name;   // as its specification has it
    const char *member; // as JSON has it
    size_t offset;      // in the union
    unsigned bits;      // 32 or 64
};

// The next register of a kind: *cursor is 0 at first. NULL: no more.
const struct note_register *note_register_next(uint32_t kind, size_t *cursor);
uint64_t note_register_value(const union dam_unit_registers *registers, const struct note_register *which);

// A bit of one of them that says whether something is on.
struct note_switch {
    uint32_t kind;
    const char *what;
    bool all; // nothing is contained without it
    size_t offset;
    unsigned bit;
};

const struct note_switch *note_switch_next(uint32_t kind, size_t *cursor);
bool note_switch_is_on(const union dam_unit_registers *registers, const struct note_switch *which);

#endif

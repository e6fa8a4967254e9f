// SPDX-License-Identifier: MIT
// The registers of a unit that the console tells, in words.
#ifndef STAGE_REGISTERS_H
#define STAGE_REGISTERS_H

#include <cofferdam/abi.h>
#include <stddef.h>

// Writes ", NAME 0xBEFORE -> 0xAFTER" for each of them to out, cut at size - 1 characters; nothing for a kind
// that is not in the list. Returns the length of the text.
size_t registers_text(const struct dam_note_unit *unit, char *out, size_t size);

#endif

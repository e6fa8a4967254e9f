// SPDX-License-Identifier: MIT
// Numbers in text that need not be terminated.
#ifndef STAGE_NUMBER_H
#define STAGE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads one number in the given base (10 or 16, without prefix) from [p, end). Returns how many characters it
// has, 0 when there is none or it does not fit into 64 bits; *value is set only when it is not 0.
size_t number_digits(const char *p, const char *end, unsigned base, uint64_t *value);

// Reads a size or an address as Linux' memparse() does: 0x for hexadecimal, 0 for octal, otherwise decimal,
// then at most one of the letters K M G T P E. Returns how many characters were read, 0 as above.
size_t number_memparse(const char *p, const char *end, uint64_t *value);

#endif

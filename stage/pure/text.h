// SPDX-License-Identifier: MIT
// One line of text, put together without libc, and the words for the codes of the ABI.
#ifndef STAGE_TEXT_H
#define STAGE_TEXT_H

#include <stdarg.h>

#include <cofferdam/findings.h>
#include <cofferdam/types.h>

// Writes a formatted line to out, always terminated, cut when it is longer than size - 1 bytes (size > 0).
// Knows %s %c %u %x %lu %lx %%, and a width with or without a leading zero for the numbers. Bytes of a %s
// that a terminal might act on become '?'. Returns the length of the text.
size_t text_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t text_vformat(char *out, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

// The text of a code; "?" for one that is not in the list. The strings are constants.
const char *text_of_stop(uint32_t stop);
const char *text_of_finding(uint32_t code);
const char *text_of_policy(uint32_t policy);
const char *text_of_error(uint32_t err);
const char *text_of_unit_status(uint32_t status);

#endif

// SPDX-License-Identifier: MIT
// Exit statuses and error texts of the tool. The statuses are part of its interface: cofferdam(1).
#ifndef TOOL_STATUS_H
#define TOOL_STATUS_H

#include <stdarg.h>

// What every function of the tool that can fail returns, and what the command exits with.
enum tool_status {
    TOOL_OK = 0,
    TOOL_BAD_INPUT = 1, // the input cannot be read, or is not what it should be
    TOOL_USAGE = 2,     // the command line is wrong
    TOOL_NO_NOTE = 3,   // a sound dump that carries no note of ours
    TOOL_SYSTEM = 4,    // the output cannot be written, or memory ran out
};

// One line for the user, without the program's name and without a newline.
struct tool_error {
    char text[384];
};

#define TOOL_MUST_CHECK __attribute__((warn_unused_result))

// Fills in the text (printf-like; cut when too long; control characters become '?', so that a file name or a
// field of a hostile file cannot break the line) and returns status.
enum tool_status tool_fail(struct tool_error *error, enum tool_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum tool_status tool_vfail(struct tool_error *error, enum tool_status status, const char *format,
                            va_list arguments) __attribute__((format(printf, 3, 0)));

#endif

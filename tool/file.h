// SPDX-License-Identifier: MIT
// Whole files: read within a bound, written all or not at all.
#ifndef TOOL_FILE_H
#define TOOL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

// Reads all of path into *bytes, which the caller frees (never NULL on success, also for an empty file).
// Files whose stat size is 0 (sysfs) are read to their end. TOOL_BAD_INPUT: no such file, not readable, a
// directory, or longer than max bytes.
TOOL_MUST_CHECK enum tool_status file_read(const char *path, size_t max, uint8_t **bytes, size_t *size,
                                           struct tool_error *error);

// Whether both paths lead to one file. false when either does not exist.
bool file_same(const char *a, const char *b);

// Writes path: a temporary file in the same directory is written, synced and renamed, so that path holds
// either what it held before or all of bytes. A symbolic link is followed. TOOL_SYSTEM when it cannot be
// written, or is something other than a regular file.
TOOL_MUST_CHECK enum tool_status file_write_atomic(const char *path, const void *bytes, size_t size,
                                                   struct tool_error *error);

#endif

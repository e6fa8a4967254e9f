// SPDX-License-Identifier: MIT
// Shows an IVRS table as the engine reads it.
#ifndef TOOL_IVRS_VIEW_H
#define TOOL_IVRS_VIEW_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>

#include <cofferdam/ivrs.h>

#include "status.h"

// Opens an IVRS table and checks that every block and device entry can be read. TOOL_BAD_INPUT: another
// signature (told), cut short, or a wrong length (told where). A wrong checksum, and an entry that says
// nothing that can be used, are no errors.
TOOL_MUST_CHECK enum tool_status ivrs_view_open(const uint8_t *bytes, size_t size, struct ivrs_table *table,
                                                struct tool_error *error);

// Prints the table; every line begins with indent. The table was opened by ivrs_view_open.
void ivrs_view_print(FILE *stream, const struct ivrs_table *table, const char *indent);

// The table as a JSON object, which the caller owns.
struct json_object *ivrs_view_json(const struct ivrs_table *table);

#endif

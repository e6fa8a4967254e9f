// SPDX-License-Identifier: MIT
// Shows a DMAR table as the engine reads it.
#ifndef TOOL_DMAR_VIEW_H
#define TOOL_DMAR_VIEW_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>

#include <cofferdam/acpi.h>

#include "status.h"

// Opens a DMAR table and checks that every structure and device scope can be read. TOOL_BAD_INPUT: another
// signature (told), cut short, or a wrong length (told where). A wrong checksum is no error.
TOOL_MUST_CHECK enum tool_status dmar_view_open(const uint8_t *bytes, size_t size, struct dmar_table *table,
                                                struct tool_error *error);

// Prints the table; every line begins with indent. The table was opened by dmar_view_open.
void dmar_view_print(FILE *stream, const struct dmar_table *table, const char *indent);

// The table as a JSON object, which the caller owns.
struct json_object *dmar_view_json(const struct dmar_table *table);

#endif

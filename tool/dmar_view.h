// SPDX-License-Identifier: MIT
// Shows a DMAR table as the engine reads it.
#ifndef TOOL_DMAR_VIEW_H
#define TOOL_DMAR_VIEW_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>

#include <cofferdam/acpi.h>

#include "status.h"

// Offsets in the ACPI table header: ACPI specification 6.5, 5.2.6.
#define ACPI_LENGTH       4
#define ACPI_OEM_ID       10 // 6
#define ACPI_OEM_TABLE_ID 16 // 8
#define ACPI_OEM_REVISION 24
#define ACPI_HEADER_SIZE  36u

// Opens a DMAR table and checks that every structure and device scope can be read. TOOL_BAD_INPUT: another
// signature (told), cut short, or a wrong length (told where). A wrong checksum is no error.
TOOL_MUST_CHECK enum tool_status dmar_view_open(const uint8_t *bytes, size_t size, struct dmar_table *table,
                                                struct tool_error *error);

// Prints the table; every line begins with indent. The table was opened by dmar_view_open.
void dmar_view_print(FILE *stream, const struct dmar_table *table, const char *indent);

// The table as a JSON object, which the caller owns.
struct json_object *dmar_view_json(const struct dmar_table *table);

// Copies width bytes of an ACPI text field, without trailing blanks, unprintable bytes as '?'; out has width
// + 1.
void acpi_text(const uint8_t *bytes, size_t width, char *out);

#endif

// SPDX-License-Identifier: MIT
// What showing an ACPI table takes, whichever it is: its header, and why it was refused.
#ifndef TOOL_ACPI_HEADER_H
#define TOOL_ACPI_HEADER_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cofferdam/types.h>

#include "status.h"

// Offsets in the ACPI table header: ACPI specification 6.5, 5.2.6.
#define ACPI_LENGTH       4
#define ACPI_REVISION     8
#define ACPI_OEM_ID       10 // 6
#define ACPI_OEM_TABLE_ID 16 // 8
#define ACPI_OEM_REVISION 24
#define ACPI_HEADER_SIZE  36u

// Why the engine did not open `size` bytes as what they should be ("a DMAR table"); returns TOOL_BAD_INPUT.
enum tool_status acpi_refuse(const uint8_t *bytes, size_t size, const char *what, dam_err err,
                             struct tool_error *error);

// Prints the line of a table's header, after indent. The header is there, and its length is not more than
// there is.
void acpi_print_header(FILE *stream, const uint8_t *bytes, bool checksum_ok, const char *indent);

// Adds signature, length, revision, checksum_ok, oem_id, oem_table_id and oem_revision.
void acpi_json_header(struct json_object *o, const uint8_t *bytes, bool checksum_ok);

// Copies width bytes of an ACPI text field, without trailing blanks, unprintable bytes as '?'; out has width
// + 1.
void acpi_text(const uint8_t *bytes, size_t width, char *out);

#endif

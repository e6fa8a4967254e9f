// SPDX-License-Identifier: MIT
// Shows the ACPI tables that name IOMMUs, whichever it is. A kind of table is one line in acpi_view.c.
#ifndef TOOL_ACPI_VIEW_H
#define TOOL_ACPI_VIEW_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cofferdam/acpi.h>
#include <cofferdam/ivrs.h>

#include "status.h"

struct acpi_kind;

struct acpi_view {
    const struct acpi_kind *kind; // NULL: none that is known
    uint32_t length;              // bytes, as the table says
    union {
        struct dmar_table dmar;
        struct ivrs_table ivrs;
    };
};

// Opens a table by its signature and checks that all of it can be read; bytes must stay valid.
// TOOL_BAD_INPUT: another signature (then out->kind is NULL), cut short, or a wrong length (told where). A
// wrong checksum is no error.
TOOL_MUST_CHECK enum tool_status acpi_view_open(const uint8_t *bytes, size_t size, struct acpi_view *out,
                                                struct tool_error *error);

// Prints a table that was opened; every line begins with indent.
void acpi_view_print(FILE *stream, const struct acpi_view *view, const char *indent);

// The table as a JSON object, which the caller owns.
struct json_object *acpi_view_json(const struct acpi_view *view);

#endif

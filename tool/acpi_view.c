// SPDX-License-Identifier: MIT
#include "acpi_view.h"

#include <string.h>

#include "acpi_header.h"
#include "dmar_view.h"
#include "ivrs_view.h"

struct acpi_kind {
    const char *signature;
    enum tool_status (*open)(const uint8_t *bytes, size_t size, struct acpi_view *out,
                             struct tool_error *error);
    void (*print)(FILE *stream, const struct acpi_view *view, const char *indent);
    struct json_object *(*json)(const struct acpi_view *view);
};

static enum tool_status open_dmar(const uint8_t *bytes, size_t size, struct acpi_view *out,
                                  struct tool_error *error)
{
    enum tool_status status = dmar_view_open(bytes, size, &out->dmar, error);
    out->length = out->dmar.length;
    return status;
}

static void print_dmar(FILE *stream, const struct acpi_view *view, const char *indent)
{
    dmar_view_print(stream, &view->dmar, indent);
}

static struct json_object *json_dmar(const struct acpi_view *view)
{
    return dmar_view_json(&view->dmar);
}

static enum tool_status open_ivrs(const uint8_t *bytes, size_t size, struct acpi_view *out,
                                  struct tool_error *error)
{
    enum tool_status status = ivrs_view_open(bytes, size, &out->ivrs, error);
    out->length = out->ivrs.length;
    return status;
}

static void print_ivrs(FILE *stream, const struct acpi_view *view, const char *indent)
{
    ivrs_view_print(stream, &view->ivrs, indent);
}

static struct json_object *json_ivrs(const struct acpi_view *view)
{
    return ivrs_view_json(&view->ivrs);
}

static const struct acpi_kind kinds[] = {
    {"DMAR", open_dmar, print_dmar, json_dmar},
    {"IVRS", open_ivrs, print_ivrs, json_ivrs},
};

enum tool_status acpi_view_open(const uint8_t *bytes, size_t size, struct acpi_view *out,
                                struct tool_error *error)
{
    *out = (struct acpi_view){0};
    for (size_t i = 0; size >= 4 && i < sizeof kinds / sizeof kinds[0]; i++)
        if (memcmp(bytes, kinds[i].signature, 4) == 0) {
            out->kind = &kinds[i];
            return out->kind->open(bytes, size, out, error);
        }
    return acpi_refuse(bytes, size, "a DMAR or IVRS table", DAM_E_SIGNATURE, error);
}

void acpi_view_print(FILE *stream, const struct acpi_view *view, const char *indent)
{
    view->kind->print(stream, view, indent);
}

struct json_object *acpi_view_json(const struct acpi_view *view)
{
    return view->kind->json(view);
}

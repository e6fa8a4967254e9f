// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "acpi_view.h"
#include "cli.h"
#include "json.h"

// The largest of these tables that makes sense is some KiB; this only keeps a wrong file from being read
// whole.
#define MAX_TABLE (16u * 1024 * 1024)

static enum tool_status show(const struct tool_command *self, const char *path, bool json,
                             const uint8_t *bytes, size_t size)
{
    struct tool_error error;
    struct acpi_view view;
    enum tool_status status = acpi_view_open(bytes, size, &view, &error);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s: %s", path, error.text);
    if (json)
        json_print(acpi_view_json(&view));
    else
        acpi_view_print(stdout, &view, "");
    if (view.length < size)
        cli_error(self, TOOL_OK, "warning: %s: %zu bytes behind the table, ignored", path,
                  size - view.length);
    return cli_finish(self, TOOL_OK);
}

static enum tool_status run(const struct tool_command *self, int argc, char **argv)
{
    return cli_show_file(self, argc, argv, "TABLE", MAX_TABLE, show);
}

const struct tool_command command_acpi = {
    .name = "acpi",
    .arguments = "TABLE [--json]",
    .summary = "Show a DMAR or IVRS table as the engine reads it",
    .help = "  TABLE        a binary file, for example /sys/firmware/acpi/tables/DMAR\n"
            "  -j, --json   as one JSON object\n"
            "  -h, --help   this text\n",
    .run = run,
};

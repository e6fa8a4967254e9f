// SPDX-License-Identifier: MIT
// report: one HTML file that shows it all, with a map of physical memory.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "file.h"
#include "inspect/report.h"
#include "inspect/verbs.h"

static int write_page(const struct verb_call *call, const char *path, struct json_object *data)
{
    struct tool_error error;
    size_t size = 0;
    char *page = report_page(data, &size);
    enum tool_status status = TOOL_SYSTEM;
    if (page == NULL)
        tool_fail(&error, TOOL_SYSTEM, "%s: no memory for the report", path);
    else
        status = file_write_atomic(path, page, size, &error);
    free(page);
    if (status == TOOL_OK)
        return INSPECT_OK;
    cli_error(call->self, status, "%s", error.text);
    return INSPECT_SYSTEM;
}

static int report(struct verb_call *call, const char *path)
{
    struct inspection inspection;
    struct json_object *data = NULL;
    int status = verb_open(call, &inspection);
    if (status == INSPECT_OK) {
        dam_err err = report_data(&inspection, &data);
        if (err != DAM_OK)
            status = verb_failed(call, err);
        else
            status = write_page(call, path, data);
        if (status == INSPECT_OK)
            status = verb_finish(call, &inspection);
    }
    json_object_put(data);
    inspect_close(&inspection);
    return status;
}

static int run(struct verb_call *call)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
    const char *path = NULL;
    int option;
    optind = 0;
    while ((option = getopt_long(call->argc, call->argv, ":o:", options, NULL)) != -1) {
        if (option != 'o') {
            cli_bad_option(call->self, option, call->argv);
            return INSPECT_USAGE;
        }
        path = optarg;
    }
    if (optind < call->argc)
        return verb_usage(call, "too many arguments: %s", call->argv[optind]);
    if (call->json)
        return verb_usage(call, "--json is for the other verbs: this one writes a page");
    if (path == NULL)
        return verb_usage(call, "-o FILE.html is missing");
    if (file_same(path, call->path))
        return verb_usage(call, "%s is the dump", path);
    return report(call, path);
}

const struct verb verb_report = {
    .name = "report",
    .arguments = "-o FILE.html",
    .summary = "Write it all into one HTML file, with a map of physical memory",
    .help = "  -o, --output FILE     the page; it needs nothing from outside, and is written whole or not at "
            "all\n",
    .run = run,
};

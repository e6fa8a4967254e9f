// SPDX-License-Identifier: MIT
// report: one HTML file that shows it all, with a map of physical memory.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "file.h"
#include "inspect/report.h"
#include "inspect/show.h"
#include "inspect/verbs.h"

static int write_page(const struct verb_call *call, const char *path, struct json_object *data, size_t *bytes)
{
    struct tool_error error;
    size_t size = 0;
    char *page = report_page(data, &size);
    *bytes = size;
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

// What was written: the page itself is for people.
static void print_json(const struct verb_call *call, const struct inspection *in, const char *path,
                       size_t bytes)
{
    struct json_out out;
    show_json_begin(&out, call, in);
    json_out_text(&out, "file", path);
    json_out_number(&out, "bytes", bytes);
    show_json_end(&out, in->incomplete);
}

static int report(struct verb_call *call, const char *path)
{
    struct inspection inspection;
    struct json_object *data = NULL;
    size_t bytes = 0;
    int status = verb_open(call, &inspection);
    if (status == INSPECT_OK) {
        dam_err err = report_data(&inspection, &data);
        if (err != DAM_OK)
            status = verb_failed(call, err);
        else
            status = write_page(call, path, data, &bytes);
        if (status == INSPECT_OK && call->json)
            print_json(call, &inspection, path, bytes);
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

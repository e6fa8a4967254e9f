// SPDX-License-Identifier: MIT
// What the verbs of inspect share: opening, failing, the exit status.
#include <stdarg.h>
#include <stdio.h>

#include "inspect/progress.h"
#include "inspect/verbs.h"
#include "names.h"

int verb_usage(const struct verb_call *call, const char *format, ...)
{
    struct tool_error error;
    va_list arguments;
    va_start(arguments, format);
    tool_vfail(&error, TOOL_USAGE, format, arguments);
    va_end(arguments);
    cli_error(call->self, TOOL_USAGE, "%s: %.300s (see cofferdam inspect %s --help)", call->verb->name,
              error.text, call->verb->name);
    return INSPECT_USAGE;
}

bool verb_no_arguments(const struct verb_call *call)
{
    if (call->argc > 1)
        verb_usage(call, "%s is one argument too many", call->argv[1]);
    return call->argc <= 1;
}

static int interrupted(const struct verb_call *call)
{
    cli_error(call->self, TOOL_SYSTEM, "interrupted: the output is partial");
    return progress_exit_status();
}

static int open_source(const struct verb_call *call, const struct verb_source *source, const char *path,
                       struct inspection *out)
{
    struct inspect_options options = source->options;
    struct tool_error error;
    options.path = path;
    options.given = source->given;
    options.given_count = source->given_count;
    options.memory.extents = source->extents;
    options.memory.extent_count = source->extent_count;
    enum tool_status status = inspect_open(&options, out, &error);
    progress_end();
    if (status == TOOL_OK)
        return INSPECT_OK;
    if (progress_interrupted())
        return interrupted(call);
    cli_error(call->self, status, "%s: %s", path, error.text);
    return status == TOOL_USAGE ? INSPECT_USAGE : status == TOOL_SYSTEM ? INSPECT_SYSTEM : INSPECT_BAD_INPUT;
}

int verb_open(const struct verb_call *call, struct inspection *out)
{
    return open_source(call, &call->source, call->path, out);
}

int verb_open_other(const struct verb_call *call, const char *path, struct inspection *out)
{
    return open_source(call, &call->other, path, out);
}

int verb_failed(const struct verb_call *call, dam_err err)
{
    progress_end();
    if (err == DAM_E_STATE && progress_interrupted())
        return interrupted(call);
    cli_error(call->self, TOOL_SYSTEM, "%s", err == DAM_E_NOMEM ? "no memory" : name_error(err));
    return INSPECT_SYSTEM;
}

int verb_finish_with(const struct verb_call *call, bool odd, bool incomplete)
{
    progress_end();
    if (cli_finish(call->self, TOOL_OK) != TOOL_OK)
        return INSPECT_SYSTEM;
    if (incomplete)
        cli_error(call->self, TOOL_OK, "incomplete: the dump does not hold all pages that this depends on");
    return incomplete ? INSPECT_INCOMPLETE : odd ? INSPECT_FINDINGS : INSPECT_OK;
}

int verb_finish(const struct verb_call *call, const struct inspection *in)
{
    bool odd = in->findings_lost;
    for (size_t i = 0; i < in->finding_count; i++)
        odd |= in->findings[i].severity >= DAM_WARN;
    if (in->damage[0] != '\0')
        cli_error(call->self, TOOL_OK, "the dump is damaged: %s", in->damage);
    return verb_finish_with(call, odd, in->incomplete);
}

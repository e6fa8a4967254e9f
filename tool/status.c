// SPDX-License-Identifier: MIT
#include "status.h"

#include <stdio.h>

enum tool_status tool_vfail(struct tool_error *error, enum tool_status status, const char *format,
                            va_list arguments)
{
    if (vsnprintf(error->text, sizeof error->text, format, arguments) < 0)
        snprintf(error->text, sizeof error->text, "unknown error");
    for (char *c = error->text; *c != '\0'; c++) {
        unsigned char u = (unsigned char)*c;
        if (u < 0x20 || u == 0x7F)
            *c = '?';
    }
    return status;
}

enum tool_status tool_fail(struct tool_error *error, enum tool_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tool_vfail(error, status, format, arguments);
    va_end(arguments);
    return status;
}

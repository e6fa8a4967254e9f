// SPDX-License-Identifier: MIT
// Subcommands: what main() dispatches to, and what they share.
#ifndef TOOL_CLI_H
#define TOOL_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

struct tool_command {
    const char *name;
    const char *arguments; // for the usage line
    const char *summary;   // one line
    const char *help;      // options, a line each
    // argv[0] is the command's name. Prints its own errors; returns the exit status.
    enum tool_status (*run)(const struct tool_command *self, int argc, char **argv);
};

extern const struct tool_command command_wrap, command_unwrap, command_info, command_acpi, command_log,
    command_inspect;

// Dispatches to one of the commands; main() without the process around it.
enum tool_status cli_main(int argc, char **argv);

// Prints "cofferdam: COMMAND: text" to standard error; returns status.
enum tool_status cli_error(const struct tool_command *self, enum tool_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Prints one line about a wrong command line and how to get help. Returns TOOL_USAGE.
enum tool_status cli_usage_error(const struct tool_command *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Prints the help of one command to standard output. Returns TOOL_OK.
enum tool_status cli_help(const struct tool_command *self);

// Reports what getopt_long() gave as '?' or ':' (the option string must begin with ':'). Returns TOOL_USAGE.
enum tool_status cli_bad_option(const struct tool_command *self, int option, char **argv);

// The only non-option argument, after getopt_long(); NULL, with a message, when there is none or more than
// one. what names it in the message.
const char *cli_one_argument(const struct tool_command *self, int argc, char **argv, const char *what);

// The whole of a command that shows one file: [--json] and one argument, named `what` in messages; the file
// of at most `max` bytes is read and given to show(), which returns the exit status.
enum tool_status cli_show_file(const struct tool_command *self, int argc, char **argv, const char *what,
                               size_t max,
                               enum tool_status (*show)(const struct tool_command *self, const char *path,
                                                        bool json, const uint8_t *bytes, size_t size));

// Flushes standard output; returns status, or TOOL_SYSTEM with a message when not all of it could be written.
enum tool_status cli_finish(const struct tool_command *self, enum tool_status status);

// "8M", "4096K", "1G" or bytes, base 10. false: not a number, another suffix, or more than 2^63 bytes.
bool cli_parse_size(const char *text, uint64_t *bytes);

#endif

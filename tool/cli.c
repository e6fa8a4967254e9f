// SPDX-License-Identifier: MIT
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

static const struct tool_command *const commands[] = {
    &command_wrap, &command_unwrap, &command_info, &command_acpi, &command_log, &command_inspect,
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

// One line, whatever is in the file names that it mentions.
static void print_line(const struct tool_command *self, const char *format, va_list arguments,
                       const char *tail)
{
    struct tool_error error;
    tool_vfail(&error, TOOL_OK, format, arguments);
    fflush(stdout);
    fprintf(stderr, "cofferdam: %s: %s%s\n", self->name, error.text, tail);
}

enum tool_status cli_error(const struct tool_command *self, enum tool_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(self, format, arguments, "");
    va_end(arguments);
    return status;
}

enum tool_status cli_usage_error(const struct tool_command *self, const char *format, ...)
{
    char tail[64];
    va_list arguments;
    snprintf(tail, sizeof tail, " (see cofferdam %s --help)", self->name);
    va_start(arguments, format);
    print_line(self, format, arguments, tail);
    va_end(arguments);
    return TOOL_USAGE;
}

enum tool_status cli_bad_option(const struct tool_command *self, int option, char **argv)
{
    return cli_usage_error(self, option == ':' ? "%s needs an argument" : "unknown option %s",
                           argv[optind - 1]);
}

const char *cli_one_argument(const struct tool_command *self, int argc, char **argv, const char *what)
{
    if (optind == argc)
        cli_usage_error(self, "%s is missing", what);
    else if (optind + 1 < argc)
        cli_usage_error(self, "too many arguments: %s", argv[optind + 1]);
    else
        return argv[optind];
    return NULL;
}

enum tool_status cli_help(const struct tool_command *self)
{
    printf("Usage: cofferdam %s %s\n%s.\n\n%s", self->name, self->arguments, self->summary, self->help);
    return cli_finish(self, TOOL_OK);
}

enum tool_status cli_finish(const struct tool_command *self, enum tool_status status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    return cli_error(self, TOOL_SYSTEM, "standard output cannot be written: %s", strerror(errno));
}

bool cli_parse_size(const char *text, uint64_t *bytes)
{
    if (!isdigit((unsigned char)text[0]))
        return false;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    unsigned shift = 0;
    switch (*end) {
    case 'K':
    case 'k':
        shift = 10;
        break;
    case 'M':
    case 'm':
        shift = 20;
        break;
    case 'G':
    case 'g':
        shift = 30;
        break;
    case '\0':
        break;
    default:
        return false;
    }
    if (shift != 0 && end[1] != '\0')
        return false;
    if (number > (1ull << 63) >> shift)
        return false;
    *bytes = number << shift;
    return true;
}

static enum tool_status print_help(FILE *stream)
{
    fputs("Usage: cofferdam COMMAND [ARGUMENTS]\n"
          "Keeps a crashed kernel's leftover DMA out of its crash dump.\n\n",
          stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-9s%s\n", commands[i]->name, commands[i]->summary);
    fputs("\n  cofferdam COMMAND --help   options of one command\n"
          "  cofferdam --version\n\n"
          "Exit status: 0 success, 1 bad input, 2 wrong usage, 3 a dump without our note, 4 output or "
          "memory;\ninspect has its own (cofferdam inspect --help).\n",
          stream);
    return fflush(stream) == 0 ? TOOL_OK : TOOL_SYSTEM;
}

enum tool_status cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return TOOL_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return print_help(stdout);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        puts("cofferdam " COFFERDAM_VERSION);
        return fflush(stdout) == 0 ? TOOL_OK : TOOL_SYSTEM;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(word, commands[i]->name) == 0)
            return commands[i]->run(commands[i], argc - 1, argv + 1);
    struct tool_error error;
    tool_fail(&error, TOOL_USAGE, "no command \"%s\" (see cofferdam --help)", word);
    fprintf(stderr, "cofferdam: %s\n", error.text);
    return TOOL_USAGE;
}

enum tool_status cli_show_file(const struct tool_command *self, int argc, char **argv, const char *what,
                               size_t max,
                               enum tool_status (*show)(const struct tool_command *self, const char *path,
                                                        bool json, const uint8_t *bytes, size_t size))
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool json = false;
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, ":jh", options, NULL)) != -1) {
        if (option == 'h')
            return cli_help(self);
        if (option != 'j')
            return cli_bad_option(self, option, argv);
        json = true;
    }
    const char *path = cli_one_argument(self, argc, argv, what);
    if (path == NULL)
        return TOOL_USAGE;
    struct tool_error error;
    uint8_t *bytes;
    size_t size;
    enum tool_status status = file_read(path, max, &bytes, &size, &error);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s", error.text);
    status = show(self, path, json, bytes, size);
    free(bytes);
    return status;
}

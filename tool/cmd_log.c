// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "dump.h"
#include "file.h"
#include "json.h"
#include "note_view.h"

struct log_arguments {
    const char *input;
    const char *save; // where the descriptor goes, or NULL
    bool json;
};

static void show(const struct log_arguments *arguments, const struct dump *dump, const struct note *note)
{
    if (arguments->json) {
        struct json_object *o = note_json(note), *file = json_object_new_object();
        json_put_text(file, "path", arguments->input);
        json_put_text(file, "format", dump_format_word(dump->format));
        json_put_bool(file, "flattened", dump->flattened);
        json_put_text(file, "kernel_release", dump->release);
        json_object_object_add(o, "file", file);
        json_print(o);
        return;
    }
    printf("File           %s: %s%s", arguments->input, dump_format_word(dump->format),
           dump->flattened ? ", flattened" : "");
    if (dump->release[0] != '\0')
        printf(", Linux %s", dump->release);
    putchar('\n');
    note_print(stdout, note);
}

static enum tool_status use_note(const struct tool_command *self, const struct log_arguments *arguments,
                                 const struct dump *dump, const uint8_t *bytes, size_t size)
{
    struct tool_error error;
    struct note note;
    enum tool_status status = note_read(bytes, size, &note, &error);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s: %s", arguments->input, error.text);
    if (arguments->save != NULL) {
        status = file_write_atomic(arguments->save, bytes, note.header.size, &error);
        if (status != TOOL_OK)
            return cli_error(self, status, "%s", error.text);
    }
    show(arguments, dump, &note);
    return cli_finish(self, TOOL_OK);
}

static enum tool_status log_file(const struct tool_command *self, const struct log_arguments *arguments)
{
    struct tool_error error;
    struct dump_source source;
    struct dump dump;
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum tool_status status = source_open(arguments->input, &source, &error);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s: %s", arguments->input, error.text);
    status = dump_read(&source, &dump, &error);
    if (status == TOOL_OK)
        status = dump_note(&source, &dump, &bytes, &size, &error);
    source_close(&source);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s: %s", arguments->input, error.text);
    status = use_note(self, arguments, &dump, bytes, size);
    free(bytes);
    return status;
}

static enum tool_status run(const struct tool_command *self, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"save-note", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct log_arguments arguments = {0};
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, ":jh", options, NULL)) != -1) {
        if (option == 'h')
            return cli_help(self);
        if (option == 'j')
            arguments.json = true;
        else if (option == 's')
            arguments.save = optarg;
        else
            return cli_bad_option(self, option, argv);
    }
    arguments.input = cli_one_argument(self, argc, argv, "FILE");
    if (arguments.input == NULL)
        return TOOL_USAGE;
    if (arguments.save != NULL && file_same(arguments.input, arguments.save))
        return cli_usage_error(self, "%s: input and output are the same file", arguments.save);
    return log_file(self, &arguments);
}

const struct tool_command command_log = {
    .name = "log",
    .arguments = "FILE [--json] [--save-note OUT]",
    .summary = "Show what Cofferdam wrote into a crash dump: what it found, did, and what is odd",
    .help = "  FILE              /proc/vmcore, an ELF vmcore, a kdump-compressed dump, flattened or not,\n"
            "                    or a note saved before\n"
            "  -j, --json        everything, as one JSON object\n"
            "      --save-note OUT\n"
            "                    also write the note alone, a few KiB, to OUT\n"
            "  -h, --help        this text\n",
    .run = run,
};

// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "file.h"
#include "wrap.h"

static enum tool_status unwrap_bytes(const struct tool_command *self, const char *input, const char *output,
                                     const uint8_t *bytes, size_t size)
{
    struct tool_error error;
    struct bzimage image;
    struct wrapped_image wrapped;
    enum tool_status status = bzimage_read(bytes, size, &image, &error);
    if (status == TOOL_OK)
        status = wrap_read(&image, &wrapped, &error);
    if (status == TOOL_OK && !wrapped.original_found)
        status = tool_fail(&error, TOOL_BAD_INPUT, "damaged: the original image is not there in one piece");
    if (status == TOOL_OK && !wrapped.crc_ok)
        status = tool_fail(&error, TOOL_BAD_INPUT, "damaged: the image header has a bad checksum");
    if (status != TOOL_OK)
        return cli_error(self, status, "%s: %s", input, error.text);
    status = file_write_atomic(output, wrapped.inner.bytes, wrapped.inner.size, &error);
    return status == TOOL_OK ? status : cli_error(self, status, "%s", error.text);
}

static enum tool_status run(const struct tool_command *self, int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *output = NULL;
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
        if (option == 'h')
            return cli_help(self);
        if (option != 'o')
            return cli_bad_option(self, option, argv);
        output = optarg;
    }
    const char *input = cli_one_argument(self, argc, argv, "IMAGE");
    if (input == NULL)
        return TOOL_USAGE;
    if (output == NULL)
        return cli_usage_error(self, "-o VMLINUZ is missing");
    if (file_same(input, output))
        return cli_usage_error(self, "%s: input and output are the same file", output);
    struct tool_error error;
    uint8_t *bytes;
    size_t size;
    enum tool_status status = file_read(input, BZIMAGE_MAX_SIZE, &bytes, &size, &error);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s", error.text);
    status = unwrap_bytes(self, input, output, bytes, size);
    free(bytes);
    return status;
}

const struct tool_command command_unwrap = {
    .name = "unwrap",
    .arguments = "IMAGE -o VMLINUZ",
    .summary = "Take the original kernel image out of a wrapped one, byte for byte",
    .help = "  -o, --output VMLINUZ   the original image; written whole or not at all\n"
            "  -h, --help             this text\n",
    .run = run,
};

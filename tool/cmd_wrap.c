// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <cofferdam/types.h>

#include "bootproto.h"
#include "cli.h"
#include "file.h"
#include "names.h"
#include "wrap.h"

struct wrap_arguments {
    const char *input, *output;
    struct wrap_options options;
};

static void print_result(const char *path, const struct bzimage *original, const struct wrap_options *options,
                         const uint8_t *wrapped, size_t size)
{
    struct tool_error ignored;
    struct bzimage image;
    if (bzimage_read(wrapped, size, &image, &ignored) != TOOL_OK)
        return;
    printf("%s: Linux %s\n", path, original->kernel_version[0] ? original->kernel_version : "(no version)");
    printf("policy %s, pool %llu KiB, memory needed at load: %u MiB\n", name_policy(options->policy),
           (unsigned long long)(options->pool_size / 1024), (unsigned)((image.init_size + 0xFFFFFull) >> 20));
}

static enum tool_status wrap_bytes(const struct tool_command *self, const struct wrap_arguments *arguments,
                                   const uint8_t *bytes, size_t size)
{
    struct tool_error error;
    struct bzimage image;
    uint8_t *wrapped = NULL;
    size_t wrapped_size = 0;
    enum tool_status status = bzimage_read(bytes, size, &image, &error);
    if (status == TOOL_OK)
        status =
            wrap_build(&image, stage_blob_builtin(), &arguments->options, &wrapped, &wrapped_size, &error);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s: %s", arguments->input, error.text);
    status = file_write_atomic(arguments->output, wrapped, wrapped_size, &error);
    if (status != TOOL_OK) {
        cli_error(self, status, "%s", error.text);
    } else {
        if (!(image.xloadflags & XLF_5LEVEL))
            cli_error(self, TOOL_OK,
                      "warning: %s has no XLF_5LEVEL: kexec_file_load refuses it under 5-level page tables",
                      arguments->input);
        print_result(arguments->output, &image, &arguments->options, wrapped, wrapped_size);
        status = cli_finish(self, TOOL_OK);
    }
    free(wrapped);
    return status;
}

static enum tool_status parse_pool(const struct tool_command *self, const char *text, uint64_t *pool)
{
    if (!cli_parse_size(text, pool))
        return cli_usage_error(self, "--pool wants a size such as 8M, not \"%s\"", text);
    if (*pool < DAM_POOL_MIN || *pool > DAM_POOL_MAX)
        return cli_usage_error(self, "--pool must be between %lluM and %lluM, not \"%s\"", DAM_POOL_MIN >> 20,
                               DAM_POOL_MAX >> 20, text);
    *pool = dam_align_up(*pool, DAM_PAGE_SIZE);
    return TOOL_OK;
}

static enum tool_status run(const struct tool_command *self, int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},
        {"policy", required_argument, NULL, 'p'},
        {"pool", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct wrap_arguments arguments = {.options = {DAM_POLICY_FREEZE, DAM_POOL_DEFAULT}};
    int option;
    optind = 0; // glibc: start afresh
    while ((option = getopt_long(argc, argv, ":o:p:h", options, NULL)) != -1) {
        if (option == 'h')
            return cli_help(self);
        if (option == 'o')
            arguments.output = optarg;
        else if (option == 'p' && !policy_from_word(optarg, &arguments.options.policy))
            return cli_usage_error(self, "no policy \"%s\": freeze, preserve, scratch or block", optarg);
        else if (option == 's' && parse_pool(self, optarg, &arguments.options.pool_size) != TOOL_OK)
            return TOOL_USAGE;
        else if (option == '?' || option == ':')
            return cli_bad_option(self, option, argv);
    }
    arguments.input = cli_one_argument(self, argc, argv, "VMLINUZ");
    if (arguments.input == NULL)
        return TOOL_USAGE;
    if (arguments.output == NULL)
        return cli_usage_error(self, "-o OUT is missing");
    if (file_same(arguments.input, arguments.output))
        return cli_usage_error(self, "%s: input and output are the same file", arguments.output);

    struct tool_error error;
    uint8_t *bytes;
    size_t size;
    enum tool_status status = file_read(arguments.input, BZIMAGE_MAX_SIZE, &bytes, &size, &error);
    if (status != TOOL_OK)
        return cli_error(self, status, "%s", error.text);
    status = wrap_bytes(self, &arguments, bytes, size);
    free(bytes);
    return status;
}

const struct tool_command command_wrap = {
    .name = "wrap",
    .arguments = "VMLINUZ -o OUT [--policy P] [--pool SIZE]",
    .summary = "Wrap a Linux kernel image, to be loaded with kexec -p in its place",
    .help = "  -o, --output OUT   the wrapped image; written whole or not at all\n"
            "  -p, --policy P     freeze (default), preserve, scratch or block\n"
            "      --pool SIZE    memory for new IOMMU tables, 1M to 1024M (default 8M); K, M, G;\n"
            "                     on AMD 4M more for each PCI segment beyond the first\n"
            "  -h, --help         this text\n",
    .run = run,
};

// SPDX-License-Identifier: MIT
// What libkdumpfile tells about a dump. Nothing depends on it: a dump that it cannot open may still hold our
// note.
#include "dump.h"

#include <fcntl.h>
#include <libkdumpfile/kdumpfile.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void copy_printable(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7E)
            *c = '?';
}

static void ask(kdump_ctx_t *context, int fd, struct dump_about *about)
{
    const char *text;
    // /proc/vmcore of some kernels cannot be mapped, and reading a few headers does not need it.
    kdump_status status = kdump_set_number_attr(context, KDUMP_ATTR_FILE_MMAP_POLICY, KDUMP_MMAP_NEVER);
    if (status == KDUMP_OK)
        status = kdump_open_fd(context, fd);
    if (status != KDUMP_OK) {
        text = kdump_get_err(context);
        copy_printable(about->problem, sizeof about->problem, text ? text : "unknown error");
        return;
    }
    if (kdump_get_string_attr(context, KDUMP_ATTR_FILE_FORMAT, &text) == KDUMP_OK)
        copy_printable(about->format, sizeof about->format, text);
    if (kdump_get_string_attr(context, "linux.uts.release", &text) == KDUMP_OK)
        copy_printable(about->release, sizeof about->release, text);
}

void dump_describe(const char *path, const struct dump *dump, struct dump_about *about)
{
    memset(about, 0, sizeof *about);
    snprintf(about->release, sizeof about->release, "%s", dump->release);
    if (dump->flattened || dump->format == DUMP_NOTE)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    kdump_ctx_t *context = kdump_new();
    if (context != NULL) {
        ask(context, fd, about);
        kdump_free(context);
    }
    close(fd);
}

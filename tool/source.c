// SPDX-License-Identifier: MIT
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum tool_status open_flat(struct dump_source *source, struct tool_error *error)
{
    if (!flat_recognise(source))
        return TOOL_OK;
    source->flattened = true;
    return flat_open(source, error);
}

enum tool_status source_open(const char *path, struct dump_source *out, struct tool_error *error)
{
    *out = (struct dump_source){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    struct stat st;
    if (out->fd < 0)
        return tool_fail(error, TOOL_BAD_INPUT, "cannot be opened: %s", strerror(errno));
    enum tool_status status = TOOL_OK;
    if (fstat(out->fd, &st) != 0)
        status = tool_fail(error, TOOL_BAD_INPUT, "cannot be read: %s", strerror(errno));
    else if (S_ISDIR(st.st_mode))
        status = tool_fail(error, TOOL_BAD_INPUT, "is a directory");
    else if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode))
        status = tool_fail(error, TOOL_BAD_INPUT, "is no file or disk: it must be possible to seek in it");
    if (status == TOOL_OK)
        status = open_flat(out, error);
    if (status != TOOL_OK)
        source_close(out);
    return status;
}

enum tool_status source_open_memory(const uint8_t *bytes, size_t size, struct dump_source *out,
                                    struct tool_error *error)
{
    *out = (struct dump_source){.fd = -1, .memory = bytes, .memory_size = size};
    enum tool_status status = open_flat(out, error);
    if (status != TOOL_OK)
        source_close(out);
    return status;
}

void source_close(struct dump_source *source)
{
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
    free(source->flat);
    source->flat = NULL;
}

size_t source_read_raw(const struct dump_source *source, uint64_t offset, void *buffer, size_t length)
{
    if (source->fd < 0) {
        if (offset >= source->memory_size)
            return 0;
        size_t left = source->memory_size - (size_t)offset;
        size_t count = length < left ? length : left;
        memcpy(buffer, source->memory + offset, count);
        return count;
    }
    size_t done = 0;
    while (done < length && offset <= INT64_MAX - done) {
        ssize_t got = pread(source->fd, (uint8_t *)buffer + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

size_t source_read(const struct dump_source *source, uint64_t offset, void *buffer, size_t length)
{
    return source->flat ? flat_read(source, offset, buffer, length)
                        : source_read_raw(source, offset, buffer, length);
}

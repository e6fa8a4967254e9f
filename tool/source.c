// SPDX-License-Identifier: MIT
#include "source.h"

#include <errno.h>
#include <fcntl.h>
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

// Block devices and some files of procfs have no size to tell; the end of a device can be sought.
static uint64_t size_of(int fd, const struct stat *st)
{
    if (S_ISREG(st->st_mode) && st->st_size > 0)
        return (uint64_t)st->st_size;
    off_t end = lseek(fd, 0, SEEK_END);
    uint8_t byte;
    if (end > 0)
        return (uint64_t)end;
    return pread(fd, &byte, 1, 0) == 1 ? INT64_MAX : 0;
}

enum tool_status source_open_raw(const char *path, struct dump_source *out, struct tool_error *error)
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
        out->size = size_of(out->fd, &st);
    else
        source_close(out);
    return status;
}

enum tool_status source_open(const char *path, struct dump_source *out, struct tool_error *error)
{
    enum tool_status status = source_open_raw(path, out, error);
    if (status != TOOL_OK)
        return status;
    status = open_flat(out, error);
    if (status != TOOL_OK)
        source_close(out);
    return status;
}

enum tool_status source_open_memory(const uint8_t *bytes, size_t size, struct dump_source *out,
                                    struct tool_error *error)
{
    *out = (struct dump_source){.fd = -1, .memory = bytes, .memory_size = size, .size = size};
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
    flat_close(source->flat);
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

static size_t read_flat(const struct dump_source *source, uint64_t offset, uint8_t *buffer, size_t length,
                        bool fill)
{
    size_t done = 0;
    while (done < length && offset <= UINT64_MAX - done) {
        uint64_t from, there = flat_look_up(source->flat, offset + done, &from);
        uint64_t left = length - done;
        if (there == 0 && !fill)
            break;
        size_t want = (size_t)(there == 0 ? (from < left ? from : left) : (there < left ? there : left));
        size_t got = there == 0 ? 0 : source_read_raw(source, from, buffer + done, want);
        if (got != want && !fill)
            return done + got;
        memset(buffer + done + got, 0, want - got);
        done += want;
    }
    return done;
}

size_t source_read(const struct dump_source *source, uint64_t offset, void *buffer, size_t length)
{
    return source->flat ? read_flat(source, offset, buffer, length, false)
                        : source_read_raw(source, offset, buffer, length);
}

void source_read_filled(const struct dump_source *source, uint64_t offset, void *buffer, size_t length)
{
    size_t got = source->flat ? read_flat(source, offset, buffer, length, true)
                              : source_read_raw(source, offset, buffer, length);
    memset((uint8_t *)buffer + got, 0, length - got);
}

bool source_holds(const struct dump_source *source, uint64_t offset, uint64_t length)
{
    if (length > INT64_MAX || offset > INT64_MAX - length)
        return false;
    if (source->flat == NULL)
        return offset + length <= source->size;
    for (uint64_t from, there; length > 0; offset += there, length -= there) {
        there = flat_look_up(source->flat, offset, &from);
        if (there == 0)
            return false;
        if (there > length)
            there = length;
    }
    return true;
}

uint64_t source_end(const struct dump_source *source)
{
    return source->flat ? flat_index_end(source->flat) : source->size;
}

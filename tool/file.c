// SPDX-License-Identifier: MIT
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_CHUNK 65536u

// Reads until the end of the file; sysfs tells no useful size beforehand.
static enum tool_status read_all(int fd, const char *path, size_t hint, size_t max, uint8_t **bytes,
                                 size_t *size, struct tool_error *error)
{
    size_t capacity = hint + 1, used = 0;
    uint8_t *buffer = malloc(capacity);
    while (buffer != NULL) {
        ssize_t got = read(fd, buffer + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(buffer);
            return tool_fail(error, TOOL_BAD_INPUT, "%s: cannot be read: %s", path, strerror(errno));
        }
        if (got == 0) {
            *bytes = buffer;
            *size = used;
            return TOOL_OK;
        }
        used += (size_t)got;
        if (used > max) {
            free(buffer);
            return tool_fail(error, TOOL_BAD_INPUT, "%s: longer than %zu bytes", path, max);
        }
        if (used < capacity)
            continue;
        capacity *= 2;
        uint8_t *larger = realloc(buffer, capacity);
        if (larger == NULL)
            free(buffer);
        buffer = larger;
    }
    return tool_fail(error, TOOL_SYSTEM, "%s: no memory for its contents", path);
}

enum tool_status file_read(const char *path, size_t max, uint8_t **bytes, size_t *size,
                           struct tool_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tool_fail(error, TOOL_BAD_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
    struct stat st;
    enum tool_status status;
    if (fstat(fd, &st) != 0)
        status = tool_fail(error, TOOL_BAD_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        status = tool_fail(error, TOOL_BAD_INPUT, "%s: is a directory", path);
    else if (st.st_size < 0 || (uint64_t)st.st_size > max)
        status = tool_fail(error, TOOL_BAD_INPUT, "%s: longer than %zu bytes", path, max);
    else
        status = read_all(fd, path, st.st_size ? (size_t)st.st_size : FIRST_CHUNK, max, bytes, size, error);
    close(fd);
    return status;
}

bool file_same(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

// The permissions that open(2) would have given to a new file.
static mode_t default_mode(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0644 & ~mask;
}

// Ctrl-C between creation and rename would leave the temporary file behind, so such signals wait.
static void hold_signals(sigset_t *old)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGPIPE);
    sigprocmask(SIG_BLOCK, &set, old);
}

static enum tool_status write_and_rename(const char *target, const void *bytes, size_t size,
                                         struct tool_error *error)
{
    char temporary[PATH_MAX + 16];
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", target);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return tool_fail(error, TOOL_SYSTEM, "%s: cannot be created: %s", target, strerror(errno));
    bool ok = write_all(fd, bytes, size) && fchmod(fd, default_mode()) == 0 && fsync(fd) == 0;
    int reason = errno;
    if (close(fd) != 0 && ok) {
        reason = errno;
        ok = false;
    }
    if (ok && rename(temporary, target) != 0) {
        reason = errno;
        ok = false;
    }
    if (ok)
        return TOOL_OK;
    unlink(temporary);
    return tool_fail(error, TOOL_SYSTEM, "%s: cannot be written: %s", target, strerror(reason));
}

enum tool_status file_write_atomic(const char *path, const void *bytes, size_t size, struct tool_error *error)
{
    char resolved[PATH_MAX];
    const char *target = path;
    struct stat st;
    if (stat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode))
            return tool_fail(error, TOOL_SYSTEM, "%s: exists and is not a regular file", path);
        if (realpath(path, resolved) == NULL)
            return tool_fail(error, TOOL_SYSTEM, "%s: cannot be resolved: %s", path, strerror(errno));
        target = resolved;
    } else if (strlen(path) >= PATH_MAX) {
        return tool_fail(error, TOOL_SYSTEM, "the name of the output file is too long");
    }
    sigset_t old;
    hold_signals(&old);
    enum tool_status status = write_and_rename(target, bytes, size, error);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return status;
}

// SPDX-License-Identifier: MIT
// With fortification <unistd.h> would bring an inline pread() of its own.
#undef _FORTIFY_SOURCE
#include "inspect/presented.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// A process has one pread(), so this is its list: one entry for each dump that is open.
static struct presented *all;

bool presented_open(struct presented *p)
{
    p->fd = memfd_create("dump", MFD_CLOEXEC);
    if (p->fd < 0)
        return false;
    p->reads = 0;
    p->next = all;
    all = p;
    return true;
}

void presented_close(struct presented *p)
{
    for (struct presented **at = &all; *at != NULL; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            close(p->fd);
            return;
        }
}

bool presented_was_read(const struct presented *p)
{
    return p->reads > 0;
}

static ssize_t read_at(int fd, void *buffer, size_t size, off_t offset)
{
    for (struct presented *p = all; p != NULL; p = p->next) {
        if (p->fd != fd)
            continue;
        if (offset < 0) {
            errno = EINVAL;
            return -1;
        }
        p->reads++;
        p->read(p->ctx, (uint64_t)offset, buffer, size);
        return (ssize_t)size;
    }
    return syscall(SYS_pread64, fd, buffer, size, offset);
}

// The names by which a library may call it: as it is, with large offsets, and both when it was fortified.
#define SEEN __attribute__((visibility("default")))
SEEN ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t offset, size_t room);
SEEN ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t offset, size_t room);

SEEN ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    return read_at(fd, buffer, size, offset);
}

SEEN ssize_t pread64(int fd, void *buffer, size_t size, off64_t offset)
{
    return read_at(fd, buffer, size, offset);
}

ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t offset, size_t room)
{
    if (size > room)
        __builtin_trap();
    return read_at(fd, buffer, size, offset);
}

ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t offset, size_t room)
{
    return __pread_chk(fd, buffer, size, offset, room);
}

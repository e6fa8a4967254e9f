// SPDX-License-Identifier: MIT
// A file that exists only for those who read it with pread(): a descriptor whose bytes come from a function.
//
// libkdumpfile takes a file descriptor and nothing else, and 0.5.1 reads no flattened streams. It is also
// handed a header that was put in order, never the dump's own (memory_kdump.c says why). A temporary copy of
// a dump of 30 GB is no way out. So the library gets the descriptor of an empty file in memory, and the
// tool's own pread(), which the dynamic linker binds the library's calls to, as it does with a program's own
// malloc(), serves that descriptor from a function and passes every other one to the kernel. Mapping the
// file must be switched off (KDUMP_MMAP_NEVER). Should a library read in another way, it sees an empty file,
// says so, and presented_was_read() tells that it was this.
#ifndef TOOL_INSPECT_PRESENTED_H
#define TOOL_INSPECT_PRESENTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct presented {
    int fd;
    // Fills in all of size bytes at offset of the file.
    void (*read)(void *ctx, uint64_t offset, uint8_t *buffer, size_t size);
    void *ctx;
    uint64_t reads;
    struct presented *next;
};

// Makes the descriptor p->fd, over read and ctx, which the caller has set. p must stay where it is until
// presented_close(). One thread at a time. false: the system gives no descriptor; errno says why.
bool presented_open(struct presented *p);
void presented_close(struct presented *p);
bool presented_was_read(const struct presented *p);

#endif

// SPDX-License-Identifier: MIT
// Where the bytes of a dump come from: a file, a flattened stream that is put together on the fly, or memory
// (tests). Only what is asked for is read: dumps are larger than memory.
#ifndef TOOL_SOURCE_H
#define TOOL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

struct flat_index; // source_flat.c

struct dump_source {
    int fd;                  // or -1: memory
    const uint8_t *memory;   // the caller's
    size_t memory_size;      // bytes
    struct flat_index *flat; // not NULL: a flattened stream
    bool flattened;
};

// Opens path, recognises a flattened stream and indexes it. TOOL_BAD_INPUT: cannot be opened or read, is a
// directory or a pipe, or a flattened stream that is cut short or damaged.
TOOL_MUST_CHECK enum tool_status source_open(const char *path, struct dump_source *out,
                                             struct tool_error *error);

// The same over size bytes of memory, which must stay valid.
TOOL_MUST_CHECK enum tool_status source_open_memory(const uint8_t *bytes, size_t size,
                                                    struct dump_source *out, struct tool_error *error);

void source_close(struct dump_source *source);

// Copies up to length bytes from offset of the dump (not of the stream) to buffer and returns how many there
// were: less than length at the end, at a hole of a flattened stream, or when reading failed.
size_t source_read(const struct dump_source *source, uint64_t offset, void *buffer, size_t length);

// As source_read, but from the stream itself.
size_t source_read_raw(const struct dump_source *source, uint64_t offset, void *buffer, size_t length);

// source_flat.c: whether the source begins as a flattened stream; building and reading its index.
bool flat_recognise(const struct dump_source *source);
TOOL_MUST_CHECK enum tool_status flat_open(struct dump_source *source, struct tool_error *error);
size_t flat_read(const struct dump_source *source, uint64_t offset, void *buffer, size_t length);

#endif

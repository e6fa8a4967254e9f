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
    uint64_t size;           // bytes of the file; INT64_MAX: nobody tells
    struct flat_index *flat; // not NULL: a flattened stream
    bool flattened;
};

// Opens path, recognises a flattened stream and indexes it. TOOL_BAD_INPUT: cannot be opened or read, is a
// directory or a pipe, or a flattened stream that is cut short or damaged.
TOOL_MUST_CHECK enum tool_status source_open(const char *path, struct dump_source *out,
                                             struct tool_error *error);

// The same for a file that is read as it is, whatever it begins with.
TOOL_MUST_CHECK enum tool_status source_open_raw(const char *path, struct dump_source *out,
                                                 struct tool_error *error);

// The same over size bytes of memory, which must stay valid.
TOOL_MUST_CHECK enum tool_status source_open_memory(const uint8_t *bytes, size_t size,
                                                    struct dump_source *out, struct tool_error *error);

void source_close(struct dump_source *source);

// Copies up to length bytes from offset of the dump (not of the stream) to buffer and returns how many there
// were: less than length at the end, at a hole of a flattened stream, or when reading failed.
size_t source_read(const struct dump_source *source, uint64_t offset, void *buffer, size_t length);

// As source_read, but holes, and what lies behind the end, are zeros: all of buffer is filled.
void source_read_filled(const struct dump_source *source, uint64_t offset, void *buffer, size_t length);

// Whether all of [offset, offset + length) of the dump is there.
bool source_holds(const struct dump_source *source, uint64_t offset, uint64_t length);

// One past the last byte of the dump; INT64_MAX when nobody tells.
uint64_t source_end(const struct dump_source *source);

// As source_read, but from the stream itself.
size_t source_read_raw(const struct dump_source *source, uint64_t offset, void *buffer, size_t length);

// source_flat.c: whether the source begins as a flattened stream; building and reading its index.
bool flat_recognise(const struct dump_source *source);
TOOL_MUST_CHECK enum tool_status flat_open(struct dump_source *source, struct tool_error *error);
void flat_close(struct flat_index *index); // NULL does no harm

// What is at offset of the dump: returns how many bytes in a row the stream holds there and sets *from to
// where in the stream; 0: none, and *from is how long the hole is (UINT64_MAX: there is nothing behind it).
uint64_t flat_look_up(const struct flat_index *index, uint64_t offset, uint64_t *from);
uint64_t flat_index_end(const struct flat_index *index);

#endif

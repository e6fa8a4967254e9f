// SPDX-License-Identifier: MIT
// What memory_open() is made of: providers over files.
#ifndef TOOL_INSPECT_MEMORY_FILE_H
#define TOOL_INSPECT_MEMORY_FILE_H

#include "dump.h"
#include "inspect/memory.h"

// Real machines have a few hundred ranges of RAM. The readers look through all of them.
#define MEMORY_MAX_RAM 16384u
// x86-64 has at most 52 bits of physical address.
#define MEMORY_END (1ull << 52)

// What all these providers have; their own structures begin with it.
struct memory_file {
    struct dump_source source;
    struct dam_ranges ram;
    uint8_t *vmcoreinfo, *note;              // NULL: none
    void (*close)(struct memory_file *file); // frees what the provider has beside this, and itself
};

// Each makes a provider that owns a copy of *source; when it fails, the source stays the caller's.
// TOOL_BAD_INPUT: the text says what is wrong and where.
TOOL_MUST_CHECK enum tool_status memory_of_elf(const struct dump_source *source, struct memory_provider *out,
                                               struct tool_error *error);
TOOL_MUST_CHECK enum tool_status memory_of_raw(const struct dump_source *source,
                                               const struct memory_options *options,
                                               struct memory_provider *out, struct tool_error *error);
TOOL_MUST_CHECK enum tool_status memory_of_kdump(const struct dump_source *source,
                                                 struct memory_provider *out, struct tool_error *error);

// Appends a range that does not begin in front of those that are there; merges with the last one. The
// storage grows. Pages that are not wholly inside are not counted when `whole_pages`. false: no memory.
bool memory_append(struct dam_ranges *ranges, uint64_t start, uint64_t end, bool whole_pages);
// The first range that ends behind at; ranges.count: there is none. Binary search.
size_t memory_find(const struct dam_ranges *ranges, uint64_t at);

// memory_open() over a source that is open already and becomes the memory's, also when this fails: tests.
TOOL_MUST_CHECK enum tool_status memory_open_source(struct dump_source *source, struct memory **out,
                                                    struct tool_error *error);

#endif

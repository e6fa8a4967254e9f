// SPDX-License-Identifier: MIT
// The physical memory of a dead machine, as far as a dump holds it. One interface over every kind of input;
// what is not held is said so, and is never taken for zeros.
#ifndef TOOL_INSPECT_MEMORY_H
#define TOOL_INSPECT_MEMORY_H

#include <cofferdam/ops.h>
#include <cofferdam/range.h>

#include "status.h"

struct memory; // memory.c

// Part of a raw image: bytes [start, end) of physical memory lie at `offset` of the file. Multiples of 4 KiB.
struct memory_extent {
    uint64_t start, end, offset;
};

struct memory_options {
    // The file is a raw image with this address map; none: a dump of a format that tells its own.
    const struct memory_extent *extents;
    size_t extent_count;
};

struct memory_about {
    char format[64];  // "ELF", "kdump-compressed", "raw"; the writer, where it is known
    char release[80]; // of the crashed kernel; "" when nothing tells
    bool flattened;
    uint64_t ram, held; // bytes that the dump says were RAM; of these, bytes that it holds
};

// Opens an ELF vmcore (also /proc/vmcore), a kdump-compressed dump, either of them flattened, what QEMU's
// dump-guest-memory writes, or a raw image. options may be NULL. TOOL_BAD_INPUT: the text says what and
// where. *out is freed by memory_close().
TOOL_MUST_CHECK enum tool_status memory_open(const char *path, const struct memory_options *options,
                                             struct memory **out, struct tool_error *error);
void memory_close(struct memory *memory);

// Copies size bytes at pa; they must lie in one 4-KiB page. DAM_E_ABSENT: RAM, as far as the dump tells, but
// it does not hold the page: what is there is unknown. DAM_E_RANGE: by the dump's own map there is no RAM.
// DAM_E_IO: the dump holds the page but is damaged there; memory_problem() says how.
DAM_MUST_CHECK dam_err memory_read(struct memory *memory, dam_pa pa, void *out, size_t size);
// Why the last memory_read() gave DAM_E_IO.
const char *memory_problem(const struct memory *memory);

// What the dump says was RAM of the dead kernel, in order; multiples of 4 KiB, rounded inwards. Where old
// tables may lie.
const struct dam_ranges *memory_ram(const struct memory *memory);
// The first run of pages at or above *start that the dump holds: [*start, *end). false: there are no more.
bool memory_next_held(struct memory *memory, uint64_t *start, uint64_t *end);

const struct memory_about *memory_about(const struct memory *memory);
// VMCOREINFO as the dump's notes carry it: text, `*size` bytes, not NUL-terminated, the memory's own. NULL:
// none; kernel_open() then looks for the dead kernel's own.
const char *memory_vmcoreinfo(const struct memory *memory, size_t *size);
// The descriptor of Cofferdam's note, unchecked, the memory's own. NULL: none.
const uint8_t *memory_note(const struct memory *memory, size_t *size);

// The seam of the engine over this memory: reading (any length) and the clock; nothing else.
struct dam_ops memory_ops(struct memory *memory);

// ---- for those who bring memory of their own (providers, tests) -------------------------------------------
struct memory_provider {
    void *ctx;
    // One 4-KiB page; pa is a multiple of 4 KiB. Errors as memory_read() has them.
    dam_err (*read_page)(void *ctx, dam_pa pa, void *page, struct tool_error *why);
    bool (*next_held)(void *ctx, uint64_t *start, uint64_t *end);
    void (*close)(void *ctx); // may be NULL
    struct memory_about about;
    const struct dam_ranges *ram; // must stay valid until close
    const char *vmcoreinfo;       // must stay valid until close; NULL: none
    size_t vmcoreinfo_size;
    const uint8_t *note; // the same
    size_t note_size;
};
// A memory over a provider, which is copied. NULL: no memory.
struct memory *memory_new(const struct memory_provider *provider);

#endif

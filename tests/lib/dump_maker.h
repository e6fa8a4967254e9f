// SPDX-License-Identifier: MIT
// Writes small dumps in memory, from the formats' descriptions, apart from the readers in tool/.
#ifndef TESTS_LIB_DUMP_MAKER_H
#define TESTS_LIB_DUMP_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A file in the making. Begin with {0}; free bytes at the end.
struct made {
    uint8_t *bytes;
    size_t size, capacity;
};

// Writes at offset; the file grows, and what was not written is zeros.
void made_put(struct made *m, uint64_t offset, const void *bytes, size_t size);
void made_le16(struct made *m, uint64_t offset, uint16_t value);
void made_le32(struct made *m, uint64_t offset, uint32_t value);
void made_le64(struct made *m, uint64_t offset, uint64_t value);
// Appends an ELF note.
void made_note(struct made *m, const char *name, uint32_t type, const void *desc, uint32_t size);
void made_free(struct made *m);

// What the page at pa holds in every dump made here: different in each page, partly easy to pack.
void made_page(uint64_t pa, uint8_t page[4096]);

// One PT_LOAD. Its bytes are those of made_page().
struct made_segment {
    uint64_t pa, filesz, memsz;
};
// ELF: header, program headers, notes (may be NULL), segments. Where segment i begins in the file goes to
// offsets[i], which may be NULL.
void made_elf(struct made *m, const struct made_segment *segments, size_t count, const struct made *notes,
              uint64_t *offsets);
#define MADE_ELF_PHDR(i) (64u + 56u * (1 + (i))) // program header of segment i; that of the notes is first

// kdump-compressed: pages is one character a page frame: '.' none, 'r' RAM that was left out, 'p' held as it
// is, 'z' held, packed with zlib.
void made_kdump(struct made *m, const char *pages, const struct made *notes);
// The descriptor of the n-th page held. All is where made_kdump() puts it: bitmaps in blocks 2 and 3.
#define MADE_KDUMP_NOTES      (4096u + 104u)
#define MADE_KDUMP_RAM        (2u * 4096u)
#define MADE_KDUMP_HELD       (3u * 4096u)
#define MADE_KDUMP_DESC(n)    (4u * 4096u + 24u * (n))
#define MADE_KDUMP_SUB_BLOCKS 1u

// Flattens dump in records of up to `piece` bytes, the last one first, over rubbish that they overwrite.
void made_flat(struct made *m, const struct made *dump, size_t piece);
// The same in parts.
void made_flat_begin(struct made *m);
void made_flat_record(struct made *m, uint64_t offset, const void *bytes, uint64_t size);
void made_flat_end(struct made *m);

#endif

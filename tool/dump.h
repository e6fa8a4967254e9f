// SPDX-License-Identifier: MIT
// Finds Cofferdam's note in a dump.
//
// Not by libkdumpfile: it gives out no notes but the few it knows (PRSTATUS, VMCOREINFO), 0.5.1 reads no
// flattened streams, and damaged headers crash it. So the notes are found here: by libelf's reading of the
// program headers of an ELF dump, by the sub-header of a kdump-compressed one.
#ifndef TOOL_DUMP_H
#define TOOL_DUMP_H

#include "source.h"

enum dump_format {
    DUMP_ELF,   // /proc/vmcore, makedumpfile -E, a plain copy
    DUMP_KDUMP, // makedumpfile -c, -l, -p, -z
    DUMP_NOTE,  // our note's descriptor alone, as --save-note writes it
};

// Part of a dump that holds ELF notes.
struct note_area {
    uint64_t offset, size;
};

#define MAX_NOTE_AREAS 64u // /proc/vmcore and makedumpfile make one; other writers a few

struct dump {
    enum dump_format format;
    bool flattened;
    struct note_area areas[MAX_NOTE_AREAS];
    size_t area_count;
    char release[80]; // of the crashed kernel, as VMCOREINFO or a kdump header tells; else ""
};

#define MAX_VMCOREINFO (64u * 1024) // Linux: one page

// Recognises the dump, finds its note areas and the kernel's release. TOOL_BAD_INPUT: no dump, or of a kind
// that is not supported; the text says which.
TOOL_MUST_CHECK enum tool_status dump_read(const struct dump_source *source, struct dump *out,
                                           struct tool_error *error);

// Copies our note's descriptor into *bytes, which the caller frees. The first one counts. TOOL_NO_NOTE: there
// is none. TOOL_BAD_INPUT: it is cut short or absurdly large.
TOOL_MUST_CHECK enum tool_status dump_note(const struct dump_source *source, const struct dump *dump,
                                           uint8_t **bytes, size_t *size, struct tool_error *error);

// The same for any note: the first one of this name (without its NUL) and type. TOOL_BAD_INPUT: it is cut
// short, or has more than max bytes.
TOOL_MUST_CHECK enum tool_status dump_find_note(const struct dump_source *source, const struct dump *dump,
                                                const char *name, uint32_t type, size_t max, uint8_t **bytes,
                                                size_t *size, struct tool_error *error);

// "ELF", "kdump-compressed" or "note".
const char *dump_format_word(enum dump_format format);

// A PT_LOAD of an ELF dump: memsz bytes of physical memory from pa on, of which filesz are in the file.
struct dump_load {
    uint64_t pa, offset, filesz, memsz;
};

// The PT_LOADs of an ELF dump of an x86-64 machine, in the file's order, as they are: nothing of them is
// checked. *out is freed by the caller. TOOL_BAD_INPUT: of another machine, or the headers are damaged.
TOOL_MUST_CHECK enum tool_status dump_elf_loads(const struct dump_source *source, struct dump_load **out,
                                                size_t *count, struct tool_error *error);

// Where things are in a kdump-compressed dump. Offsets and sizes are in bytes; all were checked against the
// bounds of the format, none against the size of the file.
struct dump_kdump {
    uint32_t status;      // KDUMP_*
    uint64_t pages;       // page frames that the bitmaps are about
    uint64_t bitmap_size; // of each of the two
    uint64_t is_ram;      // first bitmap: RAM
    uint64_t is_held;     // second bitmap: pages that the dump holds
    uint64_t descriptors; // of the pages held, 24 bytes each
};
// How pages are packed, in its status and in each page's descriptor (DUMP_DH_*), and what became of it.
#define KDUMP_ZLIB       0x01u
#define KDUMP_LZO        0x02u
#define KDUMP_SNAPPY     0x04u
#define KDUMP_INCOMPLETE 0x08u // the disk was full: pages at the end are missing
#define KDUMP_ZSTD       0x20u
#define KDUMP_PACKED     (KDUMP_ZLIB | KDUMP_LZO | KDUMP_SNAPPY | KDUMP_ZSTD)

// TOOL_BAD_INPUT: not of x86-64, pages that are not 4 KiB, one part of a split dump, or damaged.
TOOL_MUST_CHECK enum tool_status dump_kdump_layout(const struct dump_source *source, struct dump_kdump *out,
                                                   struct tool_error *error);

// dump_elf.c, dump_kdump.c: fill in the areas.
TOOL_MUST_CHECK enum tool_status dump_elf_read(const struct dump_source *source, struct dump *out,
                                               struct tool_error *error);
TOOL_MUST_CHECK enum tool_status dump_kdump_read(const struct dump_source *source, struct dump *out,
                                                 struct tool_error *error);

#endif

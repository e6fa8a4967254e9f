// SPDX-License-Identifier: MIT
// Finds Cofferdam's note in a dump.
//
// libkdumpfile tells what a dump is and which kernel it is of, but it gives out no notes but the few it knows
// (PRSTATUS, VMCOREINFO), and 0.5.1 reads no flattened streams. So the notes are found here: by libelf's
// reading of the program headers of an ELF dump, by the sub-header of a kdump-compressed one.
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
    char release[66]; // of the crashed kernel, as a kdump header tells; else ""
};

// Recognises the dump and finds its note areas. TOOL_BAD_INPUT: no dump, or of a kind that is not supported;
// the text says which.
TOOL_MUST_CHECK enum tool_status dump_read(const struct dump_source *source, struct dump *out,
                                           struct tool_error *error);

// Copies our note's descriptor into *bytes, which the caller frees. The first one counts. TOOL_NO_NOTE: there
// is none. TOOL_BAD_INPUT: it is cut short or absurdly large.
TOOL_MUST_CHECK enum tool_status dump_note(const struct dump_source *source, const struct dump *dump,
                                           uint8_t **bytes, size_t *size, struct tool_error *error);

// "ELF", "kdump-compressed" or "note".
const char *dump_format_word(enum dump_format format);

// What libkdumpfile knows of the dump; empty strings when it cannot tell. The release is taken from the
// dump's own header when the library does not give it.
struct dump_about {
    char format[64];   // the library's own word
    char release[80];  // of the crashed kernel
    char problem[128]; // why the library cannot open the file; "" when it can
};

// Asks libkdumpfile about the dump at path. Flattened streams are not asked about: 0.5.1 does not know them.
void dump_describe(const char *path, const struct dump *dump, struct dump_about *about);

// dump_elf.c, dump_kdump.c: fill in the areas.
TOOL_MUST_CHECK enum tool_status dump_elf_read(const struct dump_source *source, struct dump *out,
                                               struct tool_error *error);
TOOL_MUST_CHECK enum tool_status dump_kdump_read(const struct dump_source *source, struct dump *out,
                                                 struct tool_error *error);

#endif

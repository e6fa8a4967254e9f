// SPDX-License-Identifier: MIT
// Reads the note of abi.h over untrusted bytes. docs/note-format.md describes it.
#ifndef TOOL_NOTE_H
#define TOOL_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cofferdam/abi.h>

#include "status.h"

// A section whose bounds were checked; bytes point into the note.
struct note_section {
    const uint8_t *bytes; // NULL: the note has no such section
    uint32_t entry_size;
    uint32_t count;
};

struct note {
    struct dam_note_header header;
    struct dam_note_summary summary;
    struct note_section units, requesters, findings, keep_out, command_line;
    struct note_section acpi_tables[DAM_NOTE_MAX_SECTIONS];
    size_t acpi_table_count;
    uint32_t unknown_sections; // of types that this reader does not know: skipped
};

// Checks a note's descriptor of size bytes, which must stay valid, and finds its sections. TOOL_BAD_INPUT:
// cut short, another version, a wrong checksum, or sections that do not lie inside it; the text says which.
TOOL_MUST_CHECK enum tool_status note_read(const uint8_t *bytes, size_t size, struct note *out,
                                           struct tool_error *error);

// Copies entry i < count of a section out, so that it is aligned.
void note_unit_at(const struct note *note, uint32_t i, struct dam_note_unit *out);
void note_requester_at(const struct note *note, uint32_t i, struct dam_note_requester *out);
void note_finding_at(const struct note *note, uint32_t i, struct dam_finding *out);
void note_range_at(const struct note *note, uint32_t i, struct dam_note_range *out);

// Whether a finding of this code is about one requester (segment and rid mean something), or about one bus.
bool note_finding_has_requester(uint16_t code);
bool note_finding_has_bus(uint16_t code);

// How many findings the stage saw that the note tells nothing of: neither listed nor folded into a listed
// one.
uint32_t note_findings_lost(const struct note *note);

// Copies the word of the command line at *cursor (0 at first), printable, cut at size - 1 characters, and
// moves *cursor behind it. false: no more words.
bool note_next_word(const struct note *note, uint32_t *cursor, char *out, size_t size);

#endif

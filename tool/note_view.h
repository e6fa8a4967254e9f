// SPDX-License-Identifier: MIT
// Shows a note: as a person wants to read it, or as JSON.
#ifndef TOOL_NOTE_VIEW_H
#define TOOL_NOTE_VIEW_H

#include <json-c/json.h>
#include <stdio.h>

#include "dump.h"
#include "note.h"

// What was found, what was done, what is odd. note was read by note_read.
void note_print(FILE *stream, const struct note *note);

// The lists of note_print (note_lists.c).
void note_print_requesters(FILE *stream, const struct note *note);
void note_print_findings(FILE *stream, const struct note *note);
void note_print_acpi(FILE *stream, const struct note *note);

// Everything in the note. The caller owns the object.
struct json_object *note_json(const struct note *note);

// "0000:00:1f.2"
#define RID_TEXT 16
void rid_text(uint16_t segment, uint16_t rid, char out[RID_TEXT]);

#endif

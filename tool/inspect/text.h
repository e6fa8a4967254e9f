// SPDX-License-Identifier: MIT
// How inspect writes text: colour on a terminal alone, aligned tables, sizes as people say them, and nothing
// from a dump printed as it is.
#ifndef TOOL_INSPECT_TEXT_H
#define TOOL_INSPECT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- colour
// ------------------------------------------------------------------------------------------------ What
// --color= says. false: no such word ("auto", "always", "never").
bool text_choose_colour(const char *word);
// As --color=auto: when standard output is a terminal, TERM is not "dumb" and NO_COLOR is empty or not set.
// The state before text_choose_colour() is called is "never".

enum text_mark {
    TEXT_PLAIN,
    TEXT_HEAD,  // headings
    TEXT_GOOD,  // mapped, readable
    TEXT_WARN,  // writable, warnings
    TEXT_BAD,   // broken, errors
    TEXT_FAINT, // unknown, what one may pass over
};
// printf to standard output with a mark around it.
void text_print(enum text_mark mark, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- words
// ------------------------------------------------------------------------------------------------- "0 B", "4
// KiB", "1.5 GiB", "16 EiB": at most four digits, rounded down, one decimal where it is not whole.
#define TEXT_SIZE 16
const char *text_size(uint64_t bytes, char out[TEXT_SIZE]);
// "-", "r", "w", "rw".
const char *text_rights(bool r, bool w);
// A string of a dump, for people: unprintable bytes as \xNN, cut at size - 1 characters. Returns out.
const char *text_safe(const char *in, char *out, size_t size);

// ---- tables
// ------------------------------------------------------------------------------------------------ Cells are
// collected, then printed with every column as wide as its widest cell; the last one is not padded.
struct text_cell;
struct text_table {
    unsigned columns;
    const char *const *heads; // columns of them
    const char *right;        // of each column 'r': aligned to the right; else to the left
    struct text_cell *cells;
    size_t count, capacity;
    bool failed; // no memory for a cell: what is printed ends there
};
// heads and right must stay until text_table_print().
void text_table_begin(struct text_table *table, unsigned columns, const char *const *heads,
                      const char *right);
// Adds the next cell, row by row.
void text_cell(struct text_table *table, enum text_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Prints heads and rows to standard output, each line behind indent, and frees the cells. false: memory ran
// out.
bool text_table_print(struct text_table *table, const char *indent);

#endif

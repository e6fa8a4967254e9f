// SPDX-License-Identifier: MIT
#include "inspect/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool colour;

bool text_choose_colour(const char *word)
{
    if (strcmp(word, "always") == 0) {
        colour = true;
    } else if (strcmp(word, "never") == 0) {
        colour = false;
    } else if (strcmp(word, "auto") == 0) {
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
        colour = isatty(STDOUT_FILENO) == 1 && (no == NULL || *no == '\0') &&
                 (term == NULL || strcmp(term, "dumb") != 0);
    } else {
        return false;
    }
    return true;
}

// The sixteen colours that every terminal has, and that people have set to what they can read.
static const char *begin_mark(enum text_mark mark)
{
    if (!colour)
        return "";
    switch (mark) {
    case TEXT_HEAD:
        return "\033[1m";
    case TEXT_GOOD:
        return "\033[32m";
    case TEXT_WARN:
        return "\033[33m";
    case TEXT_BAD:
        return "\033[1;31m";
    case TEXT_FAINT:
        return "\033[2m";
    case TEXT_PLAIN:
        break;
    }
    return "";
}

static const char *end_mark(enum text_mark mark)
{
    return colour && mark != TEXT_PLAIN ? "\033[0m" : "";
}

void text_print(enum text_mark mark, const char *format, ...)
{
    va_list arguments;
    fputs(begin_mark(mark), stdout);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    fputs(end_mark(mark), stdout);
}

const char *text_size(uint64_t bytes, char out[TEXT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t tenths = 0;
    // Whole units until the number is small; the tenths are of the last division alone.
    while (bytes >= 1024 && unit < 6) {
        tenths = (bytes % 1024) * 10 / 1024;
        bytes /= 1024;
        unit++;
    }
    if (tenths != 0)
        snprintf(out, TEXT_SIZE, "%u.%u %s", (unsigned)bytes, (unsigned)tenths, units[unit]);
    else
        snprintf(out, TEXT_SIZE, "%u %s", (unsigned)bytes, units[unit]);
    return out;
}

const char *text_rights(bool r, bool w)
{
    return r ? (w ? "rw" : "r") : (w ? "w" : "-");
}

const char *text_safe(const char *in, char *out, size_t size)
{
    size_t used = 0;
    for (; *in != '\0'; in++) {
        unsigned char c = (unsigned char)*in;
        char one[5] = {(char)c, '\0'};
        if (c < 0x20 || c >= 0x7F)
            snprintf(one, sizeof one, "\\x%02x", c);
        size_t length = strlen(one);
        if (used + length >= size)
            break;
        memcpy(out + used, one, length);
        used += length;
    }
    out[used] = '\0';
    return out;
}

struct text_cell {
    enum text_mark mark;
    char *text;
};

void text_table_begin(struct text_table *table, unsigned columns, const char *const *heads, const char *right)
{
    *table = (struct text_table){.columns = columns, .heads = heads, .right = right};
}

static struct text_cell *new_cell(struct text_table *table)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity != 0 ? table->capacity * 2 : 64;
        struct text_cell *cells = realloc(table->cells, capacity * sizeof *cells);
        if (cells == NULL)
            return NULL;
        table->cells = cells;
        table->capacity = capacity;
    }
    return &table->cells[table->count];
}

void text_cell(struct text_table *table, enum text_mark mark, const char *format, ...)
{
    struct text_cell *cell = table->failed ? NULL : new_cell(table);
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (cell == NULL || vasprintf(&text, format, arguments) < 0) {
        table->failed = true;
    } else {
        *cell = (struct text_cell){mark, text};
        table->count++;
    }
    va_end(arguments);
}

static void print_cell(const struct text_table *table, unsigned column, int width, enum text_mark mark,
                       const char *text)
{
    int blanks = width > (int)strlen(text) ? width - (int)strlen(text) : 0;
    bool last = column + 1 == table->columns;
    if (column != 0)
        fputs("  ", stdout);
    if (table->right[column] == 'r') {
        printf("%*s", blanks, "");
        text_print(mark, "%s", text);
    } else {
        text_print(mark, "%s", text);
        if (!last)
            printf("%*s", blanks, "");
    }
}

// A line that ends with empty cells ends with its last full one: nobody sees blanks, but they are copied.
static unsigned full_columns(const struct text_table *table, const struct text_cell *row)
{
    unsigned n = table->columns;
    while (n > 1 && row[n - 1].text[0] == '\0')
        n--;
    return n;
}

static void print_rows(const struct text_table *table, const char *indent, const int *widths)
{
    fputs(indent, stdout);
    for (unsigned c = 0; c < table->columns; c++)
        print_cell(table, c, widths[c], TEXT_HEAD, table->heads[c]);
    putchar('\n');
    for (size_t at = 0; at + table->columns <= table->count; at += table->columns) {
        const struct text_cell *row = &table->cells[at];
        unsigned full = full_columns(table, row);
        fputs(indent, stdout);
        for (unsigned c = 0; c < full; c++)
            print_cell(table, c, c + 1 == full && table->right[c] != 'r' ? 0 : widths[c], row[c].mark,
                       row[c].text);
        putchar('\n');
    }
}

bool text_table_print(struct text_table *table, const char *indent)
{
    int *widths = calloc(table->columns, sizeof *widths);
    if (widths != NULL) {
        for (unsigned c = 0; c < table->columns; c++)
            widths[c] = (int)strlen(table->heads[c]);
        for (size_t i = 0; i < table->count; i++) {
            int width = (int)strlen(table->cells[i].text);
            if (width > widths[i % table->columns])
                widths[i % table->columns] = width;
        }
        print_rows(table, indent, widths);
    }
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i].text);
    free(table->cells);
    bool whole = widths != NULL && !table->failed;
    free(widths);
    *table = (struct text_table){0};
    return whole;
}

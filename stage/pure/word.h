// SPDX-License-Identifier: MIT
// A kernel command line cut into words the way Linux does it (lib/cmdline.c, next_arg(); kernel/params.c,
// parse_args()).
#ifndef STAGE_WORD_H
#define STAGE_WORD_H

#include <stdbool.h>
#include <stddef.h>

// One word. The pointers lead into the line; nothing is terminated.
struct word {
    const char *raw; // as it stands in the line, quotes included
    size_t raw_len;
    const char *name;
    size_t name_len;
    const char *value; // without the quotes around it; NULL when the word has no '='
    size_t value_len;
};

// Takes the next word from [*at, end) and moves *at behind it. False at the end of the line and at the word
// "--", behind which nothing is meant for the kernel.
bool word_next(const char **at, const char *end, struct word *out);

// Whether the word's name is exactly name.
bool word_is(const struct word *word, const char *name);

// Whether text [at, at+len) begins with prefix; the length of the prefix, 0 when not.
size_t text_prefix(const char *at, size_t len, const char *prefix);

// Whether text [at, at+len) is exactly text.
bool text_equals(const char *at, size_t len, const char *text);

#endif

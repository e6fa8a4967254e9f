// SPDX-License-Identifier: MIT
#include "word.h"

// isspace() of Linux' lib/ctype.c, which counts the no-break space of Latin-1 as well.
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (unsigned char)c == 0xA0;
}

size_t text_prefix(const char *at, size_t len, const char *prefix)
{
    size_t i = 0;
    for (; prefix[i]; i++)
        if (i >= len || at[i] != prefix[i])
            return 0;
    return i;
}

bool text_equals(const char *at, size_t len, const char *text)
{
    size_t n = text_prefix(at, len, text);
    return n == len && text[n] == '\0' && (n || !text[0]);
}

bool word_is(const struct word *word, const char *name)
{
    return text_equals(word->name, word->name_len, name);
}

// Cuts off the closing quote if there is one.
static size_t without_quote(const char *at, size_t len)
{
    return len && at[len - 1] == '"' ? len - 1 : len;
}

bool word_next(const char **at, const char *end, struct word *out)
{
    const char *p = *at;
    while (p < end && is_space(*p))
        p++;
    if (p == end)
        return false;
    *out = (struct word){.raw = p};
    bool quoted = *p == '"', in_quote = quoted;
    if (quoted)
        p++;
    const char *equals = NULL;
    out->name = p;
    for (; p < end && (in_quote || !is_space(*p)); p++) {
        if (*p == '=' && !equals && p != out->name)
            equals = p;
        if (*p == '"')
            in_quote = !in_quote;
    }
    *at = p;
    out->raw_len = (size_t)(p - out->raw);
    if (!equals) {
        out->name_len = (size_t)(p - out->name);
        if (quoted)
            out->name_len = without_quote(out->name, out->name_len);
        return !text_equals(out->name, out->name_len, "--");
    }
    out->name_len = (size_t)(equals - out->name);
    out->value = equals + 1;
    out->value_len = (size_t)(p - out->value);
    bool value_quoted = out->value_len && *out->value == '"';
    if (value_quoted) {
        out->value++;
        out->value_len--;
    }
    if (quoted || value_quoted)
        out->value_len = without_quote(out->value, out->value_len);
    return true;
}

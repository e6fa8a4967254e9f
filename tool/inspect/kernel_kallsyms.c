// SPDX-License-Identifier: MIT
// kallsyms: the kernel's symbol table as it lies in memory. Names are strings of tokens, one byte each, that
// stand for frequent pieces of text; the first character of a name is its type. Linux kernel/kallsyms.c and
// scripts/kallsyms.c, 6.0 to 6.12: the order of the tables changed on the way, so each is looked up by name.
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "inspect/kernel_parts.h"

#define MAX_SYMBOLS    (1u << 20) // a kernel has some 200,000
#define MAX_NAMES_SIZE (32u << 20)
#define MAX_TOKEN      1024u // of a token, in bytes; longer than any name

// One name of the table: where its tokens are. false: the table ends before.
static bool next_name(const struct kernel_symbols *s, size_t *at, size_t *tokens, size_t *count)
{
    if (*at >= s->names_size)
        return false;
    size_t length = s->names[(*at)++];
    if (length & 0x80) { // since 6.1: two bytes for those with more than 127 tokens
        if (*at >= s->names_size)
            return false;
        length = (length & 0x7F) | (size_t)s->names[(*at)++] << 7;
    }
    if (length > s->names_size - *at)
        return false;
    *tokens = *at;
    *count = length;
    *at += length;
    return true;
}

// Whether the tokens spell `name`, behind the one character of type.
static bool spells(const struct kernel_symbols *s, const uint8_t *tokens, size_t count, const char *name)
{
    bool type = true;
    for (size_t i = 0; i < count; i++)
        for (const char *c = s->tokens + s->token[tokens[i]]; *c != '\0'; c++) {
            if (!type && *c != *name++)
                return false; // also at the end of `name`
            type = false;
        }
    return !type && *name == '\0';
}

static bool find_index(const struct kernel_symbols *s, const char *name, uint32_t *index)
{
    size_t at = 0, tokens, count;
    for (uint32_t i = 0; i < s->count && next_name(s, &at, &tokens, &count); i++)
        if (spells(s, s->names + tokens, count, name)) {
            *index = i;
            return true;
        }
    return false;
}

static dam_err value_of(const struct kernel *k, uint32_t index, enum kernel_symbols_form form, uint64_t *va)
{
    const struct kernel_symbols *s = &k->symbols;
    uint8_t raw[8];
    size_t size = form == KALLSYMS_ABSOLUTE ? 8 : 4;
    uint64_t place = s->table + (uint64_t)index * size;
    dam_err err = kernel_read(k, place, raw, size);
    if (err)
        return err;
    uint32_t offset = get_le32(raw);
    if (form == KALLSYMS_ABSOLUTE)
        *va = get_le64(raw);
    else if (form == KALLSYMS_RELATIVE)
        *va = s->base + offset;
    else if (form == KALLSYMS_PLACE)
        *va = place + (uint64_t)(int64_t)(int32_t)offset;
    else // base - 1 - offset, and -1 - offset is ~offset
        *va = offset & 0x80000000u ? s->base + (uint32_t)~offset : offset;
    return DAM_OK;
}

bool kernel_symbol(const struct kernel *k, const char *name, uint64_t *va)
{
    uint32_t index;
    return find_index(&k->symbols, name, &index) && value_of(k, index, k->symbols.form, va) == DAM_OK;
}

// ---- taking the tables in --------------------------------------------------------------------------------
static enum tool_status read_tokens(struct kernel *k, uint64_t table, uint64_t index,
                                    struct tool_error *error)
{
    struct kernel_symbols *s = &k->symbols;
    uint8_t raw[KALLSYMS_TOKENS * 2];
    dam_err err = kernel_read(k, index, raw, sizeof raw);
    if (err)
        return kernel_unreadable(k, error, err, "kallsyms_token_index", index);
    size_t last = 0;
    for (unsigned i = 0; i < KALLSYMS_TOKENS; i++) {
        s->token[i] = get_le16(raw + 2 * i);
        if (s->token[i] > last)
            last = s->token[i];
    }
    // Where the last token ends is not told; what lies behind it does no harm.
    s->tokens = malloc(last + MAX_TOKEN);
    if (s->tokens == NULL)
        return tool_fail(error, TOOL_SYSTEM, "out of memory");
    size_t size = kernel_read_some(k, table, s->tokens, last + MAX_TOKEN, &err);
    if (size <= last)
        return kernel_unreadable(k, error, err, "kallsyms_token_table", table);
    if (memchr(s->tokens + last, '\0', size - last) == NULL)
        return tool_fail(error, TOOL_BAD_INPUT, "kallsyms: a token has no end");
    return TOOL_OK;
}

// The size of the names is told nowhere: page by page, until as many as there should be have been passed.
static enum tool_status read_names(struct kernel *k, uint64_t va, struct tool_error *error)
{
    struct kernel_symbols *s = &k->symbols;
    size_t capacity = 0, at = 0, tokens, count;
    for (uint32_t passed = 0; passed < s->count;) {
        size_t before = at;
        if (next_name(s, &at, &tokens, &count)) {
            passed++;
            continue;
        }
        at = before;
        size_t part = DAM_PAGE_SIZE - (size_t)((va + s->names_size) % DAM_PAGE_SIZE);
        if (s->names_size + part > MAX_NAMES_SIZE)
            return tool_fail(error, TOOL_BAD_INPUT, "kallsyms: the names have no end");
        if (s->names_size + part > capacity) {
            capacity = capacity == 0 ? 256u << 10 : capacity * 2;
            uint8_t *larger = realloc(s->names, capacity);
            if (larger == NULL)
                return tool_fail(error, TOOL_SYSTEM, "out of memory");
            s->names = larger;
        }
        dam_err err = kernel_read(k, va + s->names_size, s->names + s->names_size, part);
        if (err)
            return kernel_unreadable(k, error, err, "kallsyms_names", va + s->names_size);
        s->names_size += part;
    }
    return TOOL_OK;
}

// How the values are written is known at the kernel's compilation only. VMCOREINFO names one symbol that
// every kernel has: the way that gives the same address is the right one, and the tables are what they seem.
static enum tool_status prove(struct kernel *k, struct tool_error *error)
{
    struct kernel_symbols *s = &k->symbols;
    uint64_t expected, va;
    uint32_t index;
    if (!info_symbol(k, "_stext", &expected))
        return tool_fail(error, TOOL_BAD_INPUT, "VMCOREINFO does not tell where _stext is");
    if (!find_index(s, "_stext", &index))
        return tool_fail(error, TOOL_BAD_INPUT, "kallsyms has no _stext: it is not what it should be");
    enum kernel_symbols_form first = s->form, last = first == KALLSYMS_PERCPU ? KALLSYMS_RELATIVE : first;
    for (s->form = first; s->form <= last; s->form++) {
        dam_err err = value_of(k, index, s->form, &va);
        if (err)
            return kernel_unreadable(k, error, err, "kallsyms_offsets", s->table);
        if (va == expected)
            return TOOL_OK;
    }
    return tool_fail(error, TOOL_BAD_INPUT, "kallsyms says that _stext is at 0x%llx, VMCOREINFO 0x%llx",
                     (unsigned long long)va, (unsigned long long)expected);
}

static enum tool_status read_head(struct kernel *k, struct tool_error *error)
{
    struct kernel_symbols *s = &k->symbols;
    uint64_t va;
    uint8_t raw[8];
    if (!info_symbol(k, "kallsyms_num_syms", &va))
        return tool_fail(error, TOOL_BAD_INPUT,
                         "VMCOREINFO does not tell where kallsyms is: a kernel before Linux 6.0");
    dam_err err = kernel_read(k, va, raw, 4);
    if (err)
        return kernel_unreadable(k, error, err, "kallsyms_num_syms", va);
    s->count = get_le32(raw);
    if (s->count == 0 || s->count > MAX_SYMBOLS)
        return tool_fail(error, TOOL_BAD_INPUT, "kallsyms with %u symbols cannot be", s->count);
    if (info_symbol(k, "kallsyms_addresses", &s->table)) {
        s->form = KALLSYMS_ABSOLUTE;
        return TOOL_OK;
    }
    s->form = KALLSYMS_PERCPU;
    if (!info_symbol(k, "kallsyms_offsets", &s->table))
        return tool_fail(error, TOOL_BAD_INPUT, "VMCOREINFO does not tell where the values of kallsyms are");
    if (!info_symbol(k, "kallsyms_relative_base", &va)) { // newer than 6.12: there is no base
        s->form = KALLSYMS_PLACE;
        return TOOL_OK;
    }
    err = kernel_read(k, va, raw, 8);
    if (err)
        return kernel_unreadable(k, error, err, "kallsyms_relative_base", va);
    s->base = get_le64(raw);
    return TOOL_OK;
}

enum tool_status symbols_open(struct kernel *k, struct tool_error *error)
{
    uint64_t names, table, index;
    enum tool_status status = read_head(k, error);
    if (status != TOOL_OK)
        return status;
    if (!info_symbol(k, "kallsyms_names", &names) || !info_symbol(k, "kallsyms_token_table", &table) ||
        !info_symbol(k, "kallsyms_token_index", &index))
        return tool_fail(error, TOOL_BAD_INPUT, "VMCOREINFO does not tell where the names of kallsyms are");
    status = read_tokens(k, table, index, error);
    if (status == TOOL_OK)
        status = read_names(k, names, error);
    return status == TOOL_OK ? prove(k, error) : status;
}

void symbols_close(struct kernel_symbols *s)
{
    free(s->names);
    free(s->tokens);
}

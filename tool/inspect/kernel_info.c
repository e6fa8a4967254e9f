// SPDX-License-Identifier: MIT
// VMCOREINFO: the text by which a kernel tells crash tools where its things are. Linux
// Documentation/admin-guide/kdump/vmcoreinfo.rst.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kernel_parts.h"

// The value of `key`: from behind its '=' to the end of the line. NULL: there is none.
static const char *info_value(const struct kernel *k, const char *key, size_t *size)
{
    size_t key_size = strlen(key);
    for (size_t at = 0; at < k->info_size;) {
        const char *line = k->info + at, *end = memchr(line, '\n', k->info_size - at);
        size_t length = end != NULL ? (size_t)(end - line) : k->info_size - at;
        if (length > key_size && line[key_size] == '=' && memcmp(line, key, key_size) == 0) {
            *size = length - key_size - 1;
            return line + key_size + 1;
        }
        at += length + 1;
    }
    return NULL;
}

bool info_number(const struct kernel *k, const char *key, int base, uint64_t *value)
{
    char text[32], *end;
    size_t size;
    const char *found = info_value(k, key, &size);
    if (found == NULL || size == 0 || size >= sizeof text)
        return false;
    memcpy(text, found, size);
    text[size] = '\0';
    *value = strtoull(text, &end, base);
    return end == text + size;
}

bool info_symbol(const struct kernel *k, const char *name, uint64_t *va)
{
    char key[64];
    snprintf(key, sizeof key, "SYMBOL(%s)", name);
    return info_number(k, key, 16, va);
}

enum tool_status info_find(struct kernel *k, struct tool_error *error)
{
    k->info = memory_vmcoreinfo(k->memory, &k->info_size);
    if (k->info == NULL)
        return tool_fail(error, TOOL_BAD_INPUT, "the dump carries no VMCOREINFO");
    return TOOL_OK;
}

// SPDX-License-Identifier: MIT
// VMCOREINFO: the text by which a kernel tells crash tools where its things are (Linux
// Documentation/admin-guide/kdump/vmcoreinfo.rst). Dumps of Linux carry it as a note. In memory it is a page
// of its own (kernel/crash_core.c), and pictures of memory that were taken from outside have only that.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kernel_parts.h"
#include "inspect/progress.h"

#define PROGRESS_STEP (16u << 20)

// The value of `key`: from behind its '=' to the end of the line. NULL: there is none.
static const char *info_value(const char *info, size_t info_size, const char *key, size_t *size)
{
    size_t key_size = strlen(key);
    for (size_t at = 0; at < info_size;) {
        const char *line = info + at, *end = memchr(line, '\n', info_size - at);
        size_t length = end != NULL ? (size_t)(end - line) : info_size - at;
        if (length > key_size && line[key_size] == '=' && memcmp(line, key, key_size) == 0) {
            *size = length - key_size - 1;
            return line + key_size + 1;
        }
        at += length + 1;
    }
    return NULL;
}

static bool number_in(const char *info, size_t info_size, const char *key, int base, uint64_t *value)
{
    char text[32], *end;
    size_t size;
    const char *found = info_value(info, info_size, key, &size);
    if (found == NULL || size == 0 || size >= sizeof text)
        return false;
    memcpy(text, found, size);
    text[size] = '\0';
    *value = strtoull(text, &end, base);
    return end == text + size;
}

bool info_number(const struct kernel *k, const char *key, int base, uint64_t *value)
{
    return number_in(k->info, k->info_size, key, base, value);
}

uint64_t kernel_sme_mask(const struct memory *memory, const struct kernel *kernel)
{
    size_t size;
    uint64_t mask;
    const char *info = memory_vmcoreinfo(memory, &size);
    if (info == NULL && kernel != NULL) {
        info = kernel->info;
        size = kernel->info_size;
    }
    if (info == NULL || !number_in(info, size, "NUMBER(sme_mask)", 16, &mask))
        return 0;
    // A single bit above all memory; anything else is no mask.
    return mask & (mask - 1) || mask >> 52 || mask < 1ull << 32 ? 0 : mask;
}

bool info_symbol(const struct kernel *k, const char *name, uint64_t *va)
{
    char key[64];
    snprintf(key, sizeof key, "SYMBOL(%s)", name);
    return info_number(k, key, 16, va);
}

bool info_search(struct memory *memory, uint64_t *from, char text[DAM_PAGE_SIZE])
{
    static const char first[] = "OSRELEASE=";
    uint64_t start = *from, end, done = 0;
    bool found = false;
    progress_begin("looking for VMCOREINFO", memory_about(memory)->held);
    for (; !found && memory_next_held(memory, &start, &end) && start < end; start = end)
        for (uint64_t pa = start; pa < end && !found; pa += DAM_PAGE_SIZE, done += DAM_PAGE_SIZE) {
            if (done % PROGRESS_STEP == 0)
                progress_step(done);
            if (progress_interrupted()) {
                progress_end();
                return false;
            }
            found = memory_read(memory, dam_pa_of(pa), text, DAM_PAGE_SIZE) == DAM_OK &&
                    memcmp(text, first, sizeof first - 1) == 0;
            *from = pa + DAM_PAGE_SIZE;
        }
    progress_end();
    return found;
}

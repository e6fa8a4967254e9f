// SPDX-License-Identifier: MIT
// The way into the dead kernel, step by step: VMCOREINFO, page tables, kallsyms, BTF.
#include "inspect/kernel.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/kernel_parts.h"

#define MAX_TRIES 64u // pages that begin as VMCOREINFO does

// Opens the kernel that info[0..size) tells of.
static enum tool_status open_one(struct memory *memory, const char *info, size_t size, struct kernel **out,
                                 struct tool_error *error)
{
    static enum tool_status (*const steps[])(struct kernel *, struct tool_error *) = {
        paging_open,
        symbols_open,
        btf_open,
    };
    *out = NULL;
    struct kernel *k = calloc(1, sizeof *k);
    if (k != NULL)
        k->info = malloc(size + 1);
    if (k == NULL || k->info == NULL) {
        free(k);
        return tool_fail(error, TOOL_SYSTEM, "out of memory");
    }
    k->memory = memory;
    k->info_size = size;
    memcpy(k->info, info, size);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        enum tool_status status = steps[i](k, error);
        if (status != TOOL_OK) {
            kernel_close(k);
            return status;
        }
    }
    *out = k;
    return TOOL_OK;
}

// Memory may hold more than one: a capture kernel, or the one before the last boot. The kernel that died is
// the one that has memory reserved for a capture kernel; else the first one that lets us in.
static enum tool_status open_found(struct memory *memory, struct kernel **out, struct tool_error *error)
{
    char page[DAM_PAGE_SIZE];
    uint64_t from = 0;
    enum tool_status status =
        tool_fail(error, TOOL_BAD_INPUT, "the dump carries no VMCOREINFO, and its memory holds none");
    for (unsigned tried = 0; tried < MAX_TRIES && info_search(memory, &from, page); tried++) {
        struct kernel *k;
        struct tool_error one;
        struct dam_range crash[2];
        size_t crash_count = 0;
        enum tool_status opened = open_one(memory, page, strnlen(page, sizeof page), &k, &one);
        if (opened != TOOL_OK) {
            if (*out == NULL)
                status = tool_fail(error, opened, "VMCOREINFO was found in memory, but: %s", one.text);
            continue;
        }
        bool reserved = kernel_crash_region(k, crash, &crash_count, &one) == TOOL_OK && crash_count > 0;
        if (*out != NULL && !reserved) {
            kernel_close(k);
            continue;
        }
        kernel_close(*out);
        *out = k;
        status = TOOL_OK;
        if (reserved)
            break;
    }
    return status;
}

enum tool_status kernel_open(struct memory *memory, struct kernel **out, struct tool_error *error)
{
    size_t size;
    const char *info = memory_vmcoreinfo(memory, &size);
    *out = NULL;
    return info != NULL ? open_one(memory, info, size, out, error) : open_found(memory, out, error);
}

void kernel_close(struct kernel *k)
{
    if (k == NULL)
        return;
    btf_close(k);
    symbols_close(&k->symbols);
    free(k->info);
    free(k);
}

// The resource at a symbol; an empty one is {0, 0}. Its end is its last byte.
static enum tool_status read_resource(const struct kernel *k, const char *symbol,
                                      const struct kernel_field field[2], struct dam_range *out,
                                      struct tool_error *error)
{
    uint64_t va;
    enum tool_status status = symbol_find(k, symbol, &va, error);
    if (status == TOOL_OK)
        status = field_read(k, &field[0], va, &out->start, error);
    if (status == TOOL_OK)
        status = field_read(k, &field[1], va, &out->end, error);
    if (status == TOOL_OK && out->end != 0) {
        if (out->end < out->start || out->end == UINT64_MAX)
            return tool_fail(error, TOOL_BAD_INPUT, "%s from 0x%llx to 0x%llx cannot be", symbol,
                             (unsigned long long)out->start, (unsigned long long)out->end);
        out->end++;
    }
    return status;
}

enum tool_status kernel_crash_region(const struct kernel *k, struct dam_range out[2], size_t *count,
                                     struct tool_error *error)
{
    static const char *const symbols[2] = {"crashk_low_res", "crashk_res"}; // in the order of addresses
    struct kernel_field field[2] = {{"resource", "start", 0, 0}, {"resource", "end", 0, 0}};
    *count = 0;
    enum tool_status status = fields_find(k, field, 2, error);
    for (size_t i = 0; status == TOOL_OK && i < 2; i++) {
        struct dam_range range = {0, 0};
        status = read_resource(k, symbols[i], field, &range, error);
        if (status == TOOL_OK && range.end > range.start)
            out[(*count)++] = range;
    }
    return status;
}

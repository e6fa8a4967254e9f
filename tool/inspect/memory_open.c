// SPDX-License-Identifier: MIT
// What kind of dump a file is, and what its notes say.
#include "inspect/memory_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cofferdam/abi.h>

bool memory_append(struct dam_ranges *ranges, uint64_t start, uint64_t end, bool whole_pages)
{
    struct dam_range *last = ranges->count ? &ranges->at[ranges->count - 1] : NULL;
    if (whole_pages) {
        start = dam_align_up(start, DAM_PAGE_SIZE);
        end = dam_align_down(end, DAM_PAGE_SIZE);
    }
    if (start >= end)
        return true;
    if (last != NULL && start <= last->end) {
        last->end = end > last->end ? end : last->end;
        return true;
    }
    if (ranges->count == ranges->capacity) {
        size_t capacity = ranges->capacity ? ranges->capacity * 2 : 64;
        struct dam_range *at = realloc(ranges->at, capacity * sizeof *at);
        if (at == NULL)
            return false;
        ranges->at = at;
        ranges->capacity = capacity;
    }
    ranges->at[ranges->count++] = (struct dam_range){start, end};
    return true;
}

size_t memory_find(const struct dam_ranges *ranges, uint64_t at)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->at[middle].end > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// A note that is damaged or missing is no reason not to look at the memory.
static enum tool_status find_note(const struct memory_file *file, const struct dump *dump, const char *name,
                                  uint32_t type, size_t max, uint8_t **bytes, size_t *size,
                                  struct tool_error *error)
{
    enum tool_status status = dump_find_note(&file->source, dump, name, type, max, bytes, size, error);
    return status == TOOL_SYSTEM ? status : TOOL_OK;
}

static enum tool_status read_notes(struct memory_provider *p, const struct dump *dump,
                                   struct tool_error *error)
{
    struct memory_file *file = p->ctx;
    uint8_t *qemu = NULL;
    size_t qemu_size;
    enum tool_status status = find_note(file, dump, DAM_NOTE_NAME, DAM_NOTE_TYPE, DAM_NOTE_MAX_SIZE,
                                        &file->note, &p->note_size, error);
    if (status == TOOL_OK)
        status = find_note(file, dump, "VMCOREINFO", 0, MAX_VMCOREINFO, &file->vmcoreinfo,
                           &p->vmcoreinfo_size, error);
    if (status == TOOL_OK)
        status = find_note(file, dump, "QEMU", 0, MAX_VMCOREINFO, &qemu, &qemu_size, error);
    if (qemu != NULL) {
        size_t used = strlen(p->about.format);
        snprintf(p->about.format + used, sizeof p->about.format - used, ", by QEMU");
    }
    free(qemu);
    p->note = file->note;
    p->vmcoreinfo = (const char *)file->vmcoreinfo;
    snprintf(p->about.release, sizeof p->about.release, "%s", dump->release);
    return status;
}

static void close_file(void *ctx)
{
    struct memory_file *file = ctx;
    source_close(&file->source);
    free(file->ram.at);
    free(file->vmcoreinfo);
    free(file->note);
    file->close(file);
}

static enum tool_status finish(struct memory_provider *p, const struct dump *dump, struct memory **out,
                               struct tool_error *error)
{
    struct memory_file *file = p->ctx;
    enum tool_status status = TOOL_OK;
    p->close = close_file;
    p->ram = &file->ram;
    p->about.flattened = file->source.flattened;
    for (size_t i = 0; i < file->ram.count; i++)
        p->about.ram += file->ram.at[i].end - file->ram.at[i].start;
    if (file->ram.count > MEMORY_MAX_RAM)
        status = tool_fail(error, TOOL_BAD_INPUT, "damaged: RAM in %zu pieces", file->ram.count);
    if (status == TOOL_OK && dump != NULL)
        status = read_notes(p, dump, error);
    if (status == TOOL_OK) {
        *out = memory_new(p);
        if (*out == NULL)
            status = tool_fail(error, TOOL_SYSTEM, "no memory for reading the dump");
    }
    if (status != TOOL_OK)
        close_file(file);
    return status;
}

enum tool_status memory_open_source(struct dump_source *source, struct memory **out, struct tool_error *error)
{
    struct memory_provider p = {0};
    struct dump dump;
    enum tool_status status = dump_read(source, &dump, error);
    if (status == TOOL_OK && dump.format == DUMP_NOTE)
        status = tool_fail(error, TOOL_BAD_INPUT, "a note alone: it holds no memory to look at");
    else if (status == TOOL_OK && dump.format == DUMP_ELF)
        status = memory_of_elf(source, &p, error);
    else if (status == TOOL_OK)
        status = memory_of_kdump(source, &p, error);
    if (status != TOOL_OK) {
        source_close(source);
        return status;
    }
    return finish(&p, &dump, out, error);
}

enum tool_status memory_open(const char *path, const struct memory_options *options, struct memory **out,
                             struct tool_error *error)
{
    struct memory_provider p = {0};
    struct dump_source source;
    bool raw = options != NULL && options->extent_count > 0;
    *out = NULL;
    enum tool_status status = raw ? source_open_raw(path, &source, error) : source_open(path, &source, error);
    if (status != TOOL_OK)
        return status;
    if (!raw)
        return memory_open_source(&source, out, error);
    status = memory_of_raw(&source, options, &p, error);
    if (status != TOOL_OK) {
        source_close(&source);
        return status;
    }
    return finish(&p, NULL, out, error);
}

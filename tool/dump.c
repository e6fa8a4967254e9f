// SPDX-License-Identifier: MIT
#include "dump.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cofferdam/abi.h>

#include "bytes.h"
#include "bzimage.h"

#define NOTE_HEADER                                                                                          \
    12u // namesz, descsz, type: ELF-64 object file format, "Note Section"; 4-byte aligned in cores
// One a CPU (Linux: at most 8192) and a few more.
#define MAX_NOTES (1u << 16)

const char *dump_format_word(enum dump_format format)
{
    switch (format) {
    case DUMP_ELF:
        return "ELF";
    case DUMP_KDUMP:
        return "kdump-compressed";
    case DUMP_NOTE:
        return "note";
    }
    return "unknown";
}

static enum tool_status not_a_dump(const uint8_t *start, size_t size, struct tool_error *error)
{
    const char *kind = bzimage_foreign_kind(start, size);
    if (size >= 8 && memcmp(start, "DISKDUMP", 8) == 0)
        kind = "a diskdump of an old kernel";
    if (kind == NULL)
        return tool_fail(error, TOOL_BAD_INPUT, "not a dump: neither ELF nor kdump-compressed nor flattened");
    return tool_fail(error, TOOL_BAD_INPUT, "not a dump: the file is %s", kind);
}

// A note that is looked for, and where it goes.
struct wanted {
    const char *name;
    size_t name_size; // with its NUL, as the header counts it
    uint32_t type;
    size_t max;
    uint8_t **bytes;
    size_t *size;
};

static enum tool_status copy_note(const struct dump_source *source, uint64_t offset, uint64_t size,
                                  const struct wanted *wanted, struct tool_error *error)
{
    if (size > wanted->max)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is damaged: %" PRIu64 " bytes, at most %zu", size,
                         wanted->max);
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL)
        return tool_fail(error, TOOL_SYSTEM, "no memory for a note of %" PRIu64 " bytes", size);
    size_t got = source_read(source, offset, copy, size);
    if (got != size) {
        free(copy);
        return tool_fail(error, TOOL_BAD_INPUT, "the note is cut short: %zu of %" PRIu64 " bytes", got, size);
    }
    *wanted->bytes = copy;
    *wanted->size = size;
    return TOOL_OK;
}

static uint64_t padded(uint32_t size)
{
    return ((uint64_t)size + 3) & ~3ull;
}

// Whether the note header at `at` is of the wanted note; the name is compared with its NUL.
static bool is_wanted(const struct dump_source *source, uint64_t at, const uint8_t *header,
                      const struct wanted *wanted)
{
    char name[32];
    return get_le32(header) == wanted->name_size && get_le32(header + 8) == wanted->type &&
           source_read(source, at + NOTE_HEADER, name, wanted->name_size) == wanted->name_size &&
           memcmp(name, wanted->name, wanted->name_size) == 0;
}

// Looks through one area. TOOL_NO_NOTE: not there. *budget counts notes, over all areas.
static enum tool_status search_area(const struct dump_source *source, const struct note_area *area,
                                    uint32_t *budget, const struct wanted *wanted, struct tool_error *error)
{
    uint64_t at = area->offset, end = area->offset + area->size;
    while (end - at >= NOTE_HEADER) {
        uint8_t header[NOTE_HEADER];
        if (source_read(source, at, header, sizeof header) != sizeof header)
            return tool_fail(error, TOOL_BAD_INPUT,
                             "cut short: its notes end at %" PRIu64 ", not at %" PRIu64, at, end);
        uint64_t desc = at + NOTE_HEADER + padded(get_le32(header));
        uint64_t desc_size = get_le32(header + 4);
        if (is_wanted(source, at, header, wanted)) {
            if (desc_size > end - desc || desc > end)
                return tool_fail(error, TOOL_BAD_INPUT,
                                 "the note is cut short: %" PRIu64 " bytes, the dump's notes end before",
                                 desc_size);
            return copy_note(source, desc, desc_size, wanted, error);
        }
        at = desc + padded((uint32_t)desc_size);
        if (at > end)
            break;
        if (--*budget == 0)
            return tool_fail(error, TOOL_BAD_INPUT, "damaged: more than %u notes", MAX_NOTES);
    }
    return tool_fail(error, TOOL_NO_NOTE, "this dump carries no note named %s", wanted->name);
}

static enum tool_status search(const struct dump_source *source, const struct dump *dump,
                               const struct wanted *wanted, struct tool_error *error)
{
    uint32_t budget = MAX_NOTES;
    enum tool_status status = tool_fail(error, TOOL_NO_NOTE, "this dump carries no notes at all");
    for (size_t i = 0; i < dump->area_count; i++) {
        status = search_area(source, &dump->areas[i], &budget, wanted, error);
        if (status != TOOL_NO_NOTE)
            return status;
    }
    return status;
}

enum tool_status dump_find_note(const struct dump_source *source, const struct dump *dump, const char *name,
                                uint32_t type, size_t max, uint8_t **bytes, size_t *size,
                                struct tool_error *error)
{
    struct wanted wanted = {name, strlen(name) + 1, type, max, bytes, size};
    return search(source, dump, &wanted, error);
}

static enum tool_status recognise(const struct dump_source *source, struct dump *out,
                                  struct tool_error *error)
{
    uint8_t start[1024];
    size_t size = source_read(source, 0, start, sizeof start);
    *out = (struct dump){.flattened = source->flattened};
    if (size >= 4 && memcmp(start,
                            "\x7F"
                            "ELF",
                            4) == 0) {
        out->format = DUMP_ELF;
        return dump_elf_read(source, out, error);
    }
    if (size >= 8 && memcmp(start, "KDUMP   ", 8) == 0) {
        out->format = DUMP_KDUMP;
        return dump_kdump_read(source, out, error);
    }
    if (size >= 8 && get_le64(start) == DAM_NOTE_MAGIC) {
        out->format = DUMP_NOTE;
        return TOOL_OK;
    }
    return not_a_dump(start, size, error);
}

// VMCOREINFO's first line is "OSRELEASE=…". Whatever is wrong with it: nobody tells the release then.
static void read_release(const struct dump_source *source, struct dump *out)
{
    static const char key[] = "OSRELEASE=";
    struct tool_error ignored;
    uint8_t *text = NULL;
    size_t size = 0, n = 0, at = sizeof key - 1;
    if (dump_find_note(source, out, "VMCOREINFO", 0, MAX_VMCOREINFO, &text, &size, &ignored) != TOOL_OK)
        return;
    if (size >= at && memcmp(text, key, at) == 0) {
        for (; at < size && n < sizeof out->release - 1 && text[at] != '\n' && text[at] != '\0'; at++)
            out->release[n++] = text[at] > 0x20 && text[at] < 0x7F ? (char)text[at] : '?';
        out->release[n] = '\0';
    }
    free(text);
}

enum tool_status dump_read(const struct dump_source *source, struct dump *out, struct tool_error *error)
{
    enum tool_status status = recognise(source, out, error);
    if (status == TOOL_OK)
        read_release(source, out);
    return status;
}

enum tool_status dump_note(const struct dump_source *source, const struct dump *dump, uint8_t **bytes,
                           size_t *size, struct tool_error *error)
{
    struct wanted wanted = {DAM_NOTE_NAME, sizeof DAM_NOTE_NAME, DAM_NOTE_TYPE, DAM_NOTE_MAX_SIZE, bytes,
                            size};
    if (dump->format != DUMP_NOTE)
        return search(source, dump, &wanted, error);
    uint8_t header[sizeof(struct dam_note_header)];
    if (source_read(source, 0, header, sizeof header) != sizeof header)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is cut short in its header");
    return copy_note(source, 0, get_le32(header + 12), &wanted, error);
}

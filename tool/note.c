// SPDX-License-Identifier: MIT
#include "note.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include <cofferdam/findings.h>

static uint32_t descriptor_crc(const uint8_t *bytes, uint32_t size)
{
    struct dam_note_header header;
    memcpy(&header, bytes, sizeof header);
    header.crc32 = 0;
    uLong crc = crc32(0, (const Bytef *)&header, sizeof header);
    return (uint32_t)crc32(crc, bytes + sizeof header, (uInt)(size - sizeof header));
}

static enum tool_status check_header(const uint8_t *bytes, size_t size, struct dam_note_header *h,
                                     struct tool_error *error)
{
    if (size < sizeof *h)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is cut short: %zu bytes, its header alone has %zu",
                         size, sizeof *h);
    memcpy(h, bytes, sizeof *h);
    if (h->magic != DAM_NOTE_MAGIC)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is damaged: it begins with 0x%" PRIx64, h->magic);
    if (h->version != DAM_NOTE_VERSION)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "the note has version %" PRIu32
                         "; this tool reads version %u: use the tool of its maker",
                         h->version, DAM_NOTE_VERSION);
    if (h->size > size)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is cut short: %zu of %" PRIu32 " bytes", size,
                         h->size);
    if (h->size > DAM_NOTE_MAX_SIZE || h->header_size < sizeof *h || h->header_size % 8 != 0 ||
        h->size < h->header_size)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is damaged: size %" PRIu32 ", header size %u",
                         h->size, h->header_size);
    uint32_t crc = descriptor_crc(bytes, h->size);
    if (crc != h->crc32)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "the note has a bad checksum: it tells %08" PRIX32 "h, its bytes give %08" PRIX32
                         "h",
                         h->crc32, crc);
    if (h->section_count > DAM_NOTE_MAX_SECTIONS ||
        h->section_count * sizeof(struct dam_note_section) > h->size - h->header_size)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is damaged: %u sections", h->section_count);
    return TOOL_OK;
}

// Where a section goes, and the least size of its entries. NULL: unknown.
static struct note_section *place_of(struct note *note, uint16_t type, struct note_section *summary,
                                     uint32_t *least)
{
    switch (type) {
    case DAM_SECTION_SUMMARY:
        *least = sizeof(struct dam_note_summary);
        return summary;
    case DAM_SECTION_UNITS:
        *least = DAM_NOTE_UNIT_LEAST;
        return &note->units;
    case DAM_SECTION_REQUESTERS:
        *least = DAM_NOTE_REQUESTER_LEAST;
        return &note->requesters;
    case DAM_SECTION_FINDINGS:
        *least = sizeof(struct dam_finding);
        return &note->findings;
    case DAM_SECTION_KEEP_OUT:
        *least = sizeof(struct dam_note_range);
        return &note->keep_out;
    case DAM_SECTION_CMDLINE:
        *least = 1;
        return &note->command_line;
    case DAM_SECTION_ACPI_TABLE:
        *least = 1;
        return &note->acpi_tables[note->acpi_table_count++];
    default:
        return NULL;
    }
}

static enum tool_status add_section(struct note *note, const uint8_t *bytes, const struct dam_note_section *s,
                                    struct note_section *summary, struct tool_error *error)
{
    uint32_t least;
    struct note_section *place = place_of(note, s->type, summary, &least);
    if (place == NULL) {
        note->unknown_sections++;
        return TOOL_OK;
    }
    bool text = least == 1;
    if (place->bytes != NULL)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is damaged: two sections of type %u", s->type);
    if (s->entry_size < least || (text && s->entry_size != 1) || s->offset % 8 != 0 ||
        s->offset < note->header.header_size || s->offset > note->header.size ||
        (uint64_t)s->count * s->entry_size > note->header.size - s->offset)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "the note is damaged: section of type %u, %" PRIu32 " entries of %" PRIu32
                         " bytes at 0x%" PRIx32,
                         s->type, s->count, s->entry_size, s->offset);
    *place = (struct note_section){bytes + s->offset, s->entry_size, s->count};
    return TOOL_OK;
}

enum tool_status note_read(const uint8_t *bytes, size_t size, struct note *out, struct tool_error *error)
{
    memset(out, 0, sizeof *out);
    struct note_section summary = {0};
    enum tool_status status = check_header(bytes, size, &out->header, error);
    for (uint16_t i = 0; status == TOOL_OK && i < out->header.section_count; i++) {
        struct dam_note_section section;
        memcpy(&section, bytes + out->header.header_size + i * sizeof section, sizeof section);
        status = add_section(out, bytes, &section, &summary, error);
    }
    if (status != TOOL_OK)
        return status;
    if (summary.count == 0)
        return tool_fail(error, TOOL_BAD_INPUT, "the note is damaged: it has no summary");
    memcpy(&out->summary, summary.bytes, sizeof out->summary);
    out->summary.version[sizeof out->summary.version - 1] = '\0';
    return TOOL_OK;
}

static const uint8_t *entry_at(const struct note_section *section, uint32_t i)
{
    return section->bytes + (size_t)i * section->entry_size;
}

// The first writers' entries are shorter: the fields behind say nothing, which is 0.
static void copy_entry(const struct note_section *section, uint32_t i, void *out, size_t size)
{
    memset(out, 0, size);
    memcpy(out, entry_at(section, i), section->entry_size < size ? section->entry_size : size);
}

void note_unit_at(const struct note *note, uint32_t i, struct dam_note_unit *out)
{
    copy_entry(&note->units, i, out, sizeof *out);
}

void note_requester_at(const struct note *note, uint32_t i, struct dam_note_requester *out)
{
    copy_entry(&note->requesters, i, out, sizeof *out);
}

void note_finding_at(const struct note *note, uint32_t i, struct dam_finding *out)
{
    memcpy(out, entry_at(&note->findings, i), sizeof *out);
}

void note_range_at(const struct note *note, uint32_t i, struct dam_note_range *out)
{
    memcpy(out, entry_at(&note->keep_out, i), sizeof *out);
}

bool note_finding_has_requester(uint16_t code)
{
    // One or several codes at a time, first and last.
    static const uint16_t about[][2] = {
        {DAM_F_CTX_RESERVED, DAM_F_PT_BUDGET},
        {DAM_F_VERIFY_CONTEXT, DAM_F_VERIFY_TREE},
        {DAM_F_CHOICE_UNUSED, DAM_F_CHOICE_UNUSED},
        {DAM_F_SM_CONTEXT, DAM_F_PAGE_REQUESTS},
        {DAM_F_FAULT, DAM_F_FAULT},
        {DAM_F_WINDOW_COLLISION, DAM_F_WINDOW_REPLACES},
        {DAM_F_WINDOW_NESTED, DAM_F_WINDOW_NESTED},
        {DAM_F_ATS_CONFIG, DAM_F_ATS_UNASKED},
        {DAM_F_NO_PLACE, DAM_F_NO_PLACE},
        {DAM_F_DTE_RESERVED, DAM_F_DTE_POINTER},
        {DAM_F_PASIDS_BELOW, DAM_F_PASIDS_BELOW},
        {DAM_F_DTE_RESERVED, DAM_F_DTE_POINTER},
        {DAM_F_PT_RUN, DAM_F_PT_RUN},
        {DAM_F_NO_PLACE, DAM_F_NO_PLACE},
    };
    for (size_t i = 0; i < sizeof about / sizeof about[0]; i++)
        if (code >= about[i][0] && code <= about[i][1])
            return true;
    return false;
}

bool note_finding_has_bus(uint16_t code)
{
    return code == DAM_F_ROOT_RESERVED || code == DAM_F_ROOT_POINTER;
}

uint32_t note_findings_lost(const struct note *note)
{
    uint64_t told = note->findings.count;
    for (uint32_t i = 0; i < note->findings.count; i++) {
        struct dam_finding finding;
        note_finding_at(note, i, &finding);
        told += finding.repeats;
    }
    return told < note->summary.findings_total ? (uint32_t)(note->summary.findings_total - told) : 0;
}

bool note_next_word(const struct note *note, uint32_t *cursor, char *out, size_t size)
{
    const uint8_t *bytes = note->command_line.bytes;
    uint32_t at = *cursor, end = note->command_line.count;
    while (at < end && bytes[at] == 0)
        at++;
    if (at >= end)
        return false;
    size_t used = 0;
    for (; at < end && bytes[at] != 0; at++)
        if (used < size - 1)
            out[used++] = bytes[at] >= 0x20 && bytes[at] < 0x7F ? (char)bytes[at] : '?';
    out[used] = '\0';
    *cursor = at;
    return true;
}

// SPDX-License-Identifier: MIT
#include "dmar_view.h"

#include <inttypes.h>
#include <string.h>

#include "acpi_header.h"
#include "dmar_words.h"

enum tool_status dmar_view_open(const uint8_t *bytes, size_t size, struct dmar_table *table,
                                struct tool_error *error)
{
    dam_err err = dmar_open(bytes, size, table);
    if (err != DAM_OK)
        return acpi_refuse(bytes, size, "a DMAR table", err, error);
    struct dmar_structure structure;
    struct dmar_scope scope;
    uint32_t cursor = 0;
    while ((err = dmar_next(table, &cursor, &structure)) == DAM_OK) {
        uint16_t at = 0;
        do
            err = dmar_next_scope(&structure, &at, &scope);
        while (err == DAM_OK || err == DAM_E_RANGE);
        if (err != DAM_E_ABSENT)
            return tool_fail(error, TOOL_BAD_INPUT,
                             "%s structure at %" PRIX32 "h: wrong length in its device scope at +%Xh",
                             dmar_type_word(structure.type), structure.offset,
                             (unsigned)(structure.length - structure.scopes_length + at));
    }
    if (err != DAM_E_ABSENT)
        return tool_fail(error, TOOL_BAD_INPUT, "%s structure (type %u) at %" PRIX32 "h: wrong length %u",
                         dmar_type_word(structure.type), structure.type, structure.offset, structure.length);
    return TOOL_OK;
}

static void print_scopes(FILE *stream, const struct dmar_structure *structure, const char *indent)
{
    struct dmar_scope scope;
    uint16_t at = 0;
    dam_err err;
    while ((err = dmar_next_scope(structure, &at, &scope)) == DAM_OK || err == DAM_E_RANGE) {
        char path[DMAR_PATH_TEXT];
        dmar_path_text(&scope, path);
        fprintf(stream, "%s    %-10s %s", indent, dmar_scope_word(scope.type), path);
        if (strcmp(dmar_scope_word(scope.type), "unknown") == 0)
            fprintf(stream, ", type %u", scope.type);
        if (scope.type >= DMAR_SCOPE_IOAPIC && scope.type <= DMAR_SCOPE_NAMESPACE)
            fprintf(stream, ", id %u", scope.enumeration_id);
        if (scope.flags)
            fprintf(stream, ", flags %02Xh", scope.flags);
        fprintf(stream, "%s\n", err == DAM_E_RANGE ? " (path empty or too long)" : "");
    }
}

static void print_flags(FILE *stream, const struct dmar_structure *s)
{
    const char *word = dmar_flag_word(s->type);
    if (s->flags & 1)
        fprintf(stream, ", %s", word);
    if (s->flags & ~1)
        fprintf(stream, ", flags %02Xh", s->flags);
}

static void print_structure(FILE *stream, const struct dmar_structure *s)
{
    fputs(dmar_type_word(s->type), stream);
    switch (s->type) {
    case DMAR_DRHD:
        fprintf(stream, "  segment %u, registers at 0x%" PRIx64 ", %" PRIu64 " KiB", s->segment, s->base,
                dmar_registers_size(s) >> 10);
        break;
    case DMAR_RMRR:
        fprintf(stream, "  segment %u, 0x%" PRIx64 " to 0x%" PRIx64, s->segment, s->base, s->limit);
        if (s->limit > s->base)
            fprintf(stream, ", %" PRIu64 " KiB", (s->limit - s->base) / 1024 + 1);
        break;
    case DMAR_RHSA:
        fprintf(stream, "  registers at 0x%" PRIx64 ", proximity domain %" PRIu32, s->register_base,
                s->proximity_domain);
        return;
    case DMAR_ANDD: {
        char name[256];
        dmar_name_text(s, name, sizeof name);
        fprintf(stream, "  device number %u, %s", s->device_number, name);
        return;
    }
    case DMAR_ATSR:
    case DMAR_SATC:
    case DMAR_SIDP:
        fprintf(stream, "  segment %u", s->segment);
        break;
    default:
        fprintf(stream, "  type %u, %u bytes at %" PRIX32 "h, skipped", s->type, s->length, s->offset);
        return;
    }
    print_flags(stream, s);
}

void dmar_view_print(FILE *stream, const struct dmar_table *table, const char *indent)
{
    char flags[DMAR_FLAGS_TEXT];
    dmar_flags_text(table->flags, flags);
    acpi_print_header(stream, table->bytes, table->checksum_ok, indent);
    fprintf(stream, "%s      host address width %u, flags %02Xh%s\n", indent, table->host_address_width,
            table->flags, flags);
    struct dmar_structure structure;
    uint32_t cursor = 0;
    while (dmar_next(table, &cursor, &structure) == DAM_OK) {
        fprintf(stream, "%s  ", indent);
        print_structure(stream, &structure);
        fputc('\n', stream);
        print_scopes(stream, &structure, indent);
    }
}

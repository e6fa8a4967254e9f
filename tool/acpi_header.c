// SPDX-License-Identifier: MIT
#include "acpi_header.h"

#include <inttypes.h>

#include "bytes.h"
#include "json.h"

void acpi_text(const uint8_t *bytes, size_t width, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < width; i++) {
        out[i] = bytes[i] >= 0x20 && bytes[i] < 0x7F ? (char)bytes[i] : '?';
        if (bytes[i] == 0)
            out[i] = ' ';
        if (out[i] != ' ')
            used = i + 1;
    }
    out[used] = '\0';
}

enum tool_status acpi_refuse(const uint8_t *bytes, size_t size, const char *what, dam_err err,
                             struct tool_error *error)
{
    char found[5];
    if (size < 4)
        return tool_fail(error, TOOL_BAD_INPUT, "not an ACPI table: %zu bytes", size);
    acpi_text(bytes, 4, found);
    if (err == DAM_E_SIGNATURE)
        return tool_fail(error, TOOL_BAD_INPUT, "not %s: its signature is \"%s\"", what, found);
    if (size < ACPI_HEADER_SIZE)
        return tool_fail(error, TOOL_BAD_INPUT, "cut short: %zu bytes, not even an ACPI header", size);
    uint32_t told = get_le32(bytes + ACPI_LENGTH);
    if (told > size)
        return tool_fail(error, TOOL_BAD_INPUT, "cut short: %zu bytes, the header tells of %" PRIu32, size,
                         told);
    return tool_fail(error, TOOL_BAD_INPUT, "the header tells a length of %" PRIu32 ": too little for %s",
                     told, what);
}

void acpi_print_header(FILE *stream, const uint8_t *bytes, bool checksum_ok, const char *indent)
{
    char signature[5], oem[7], oem_table[9];
    acpi_text(bytes, 4, signature);
    acpi_text(bytes + ACPI_OEM_ID, 6, oem);
    acpi_text(bytes + ACPI_OEM_TABLE_ID, 8, oem_table);
    fprintf(stream, "%s%s  %" PRIu32 " bytes, revision %u, \"%s\" \"%s\" %08" PRIX32 "h, checksum %s\n",
            indent, signature, get_le32(bytes + ACPI_LENGTH), bytes[ACPI_REVISION], oem, oem_table,
            get_le32(bytes + ACPI_OEM_REVISION), checksum_ok ? "right" : "WRONG");
}

void acpi_json_header(struct json_object *o, const uint8_t *bytes, bool checksum_ok)
{
    char signature[5], oem[7], oem_table[9];
    acpi_text(bytes, 4, signature);
    acpi_text(bytes + ACPI_OEM_ID, 6, oem);
    acpi_text(bytes + ACPI_OEM_TABLE_ID, 8, oem_table);
    json_put_text(o, "signature", signature);
    json_put_number(o, "length", get_le32(bytes + ACPI_LENGTH));
    json_put_number(o, "revision", bytes[ACPI_REVISION]);
    json_put_bool(o, "checksum_ok", checksum_ok);
    json_put_text(o, "oem_id", oem);
    json_put_text(o, "oem_table_id", oem_table);
    json_put_hex(o, "oem_revision", get_le32(bytes + ACPI_OEM_REVISION));
}

// SPDX-License-Identifier: MIT
// The DMAR table. VT-d architecture specification 4.1, 8.1 (table), 8.2 (structures), 8.3 (DRHD), 8.3.1
// (device scope), 8.4 (RMRR), 8.5 (ATSR), 8.6 (RHSA), 8.7 (ANDD), 8.8 (SATC), 8.9 (SIDP).
#include <cofferdam/acpi.h>

#include <string.h>

#include "acpi/bytes.h"
#include "acpi/tables.h"

#define DMAR_HEADER_SIZE 48u // of the table: the ACPI header, width, flags, 10 reserved bytes
#define STRUCTURE_HEADER 4u  // type and length
#define SCOPE_HEADER     6u

// Fewest bytes of each type; device scopes begin there (but for the types that have none).
static const uint8_t minimum[] = {
    [DMAR_DRHD] = 16, [DMAR_RMRR] = 24, [DMAR_ATSR] = 8, [DMAR_RHSA] = 20,
    [DMAR_ANDD] = 9, // 8 and the NUL of the name
    [DMAR_SATC] = 8,  [DMAR_SIDP] = 8,
};

dam_err dmar_open(const void *bytes, size_t available, struct dmar_table *out)
{
    const uint8_t *p = bytes;

    *out = (struct dmar_table){0};
    if (available < 4)
        return DAM_E_LENGTH;
    if (memcmp(p, "DMAR", 4) != 0)
        return DAM_E_SIGNATURE;
    if (available < DMAR_HEADER_SIZE)
        return DAM_E_LENGTH;
    uint32_t length = acpi_u32(p + 4);
    if (length < DMAR_HEADER_SIZE || length > available)
        return DAM_E_LENGTH;
    *out = (struct dmar_table){
        .bytes = p,
        .length = length,
        .revision = p[8],
        .checksum_ok = acpi_sum(p, length) == 0,
        .host_address_width = p[36] == 0xff ? 0xff : (uint8_t)(p[36] + 1),
        .flags = p[37],
    };
    return DAM_OK;
}

// The members of ANDD; s->length is at least 9.
static void read_andd(const uint8_t *p, struct dmar_structure *s)
{
    s->device_number = p[7];
    for (uint16_t i = 8; i < s->length; i++) {
        if (p[i] == 0) {
            s->name = (const char *)p + 8;
            s->name_length = (uint16_t)(i - 8);
            return;
        }
    }
}

static void read_members(const uint8_t *p, struct dmar_structure *s)
{
    switch (s->type) {
    case DMAR_DRHD:
        s->flags = p[4];
        s->size = p[5];
        s->segment = acpi_u16(p + 6);
        s->base = acpi_u64(p + 8);
        break;
    case DMAR_RMRR:
        s->segment = acpi_u16(p + 6);
        s->base = acpi_u64(p + 8);
        s->limit = acpi_u64(p + 16);
        break;
    case DMAR_ATSR:
    case DMAR_SATC:
        s->flags = p[4];
        s->segment = acpi_u16(p + 6);
        break;
    case DMAR_SIDP:
        s->segment = acpi_u16(p + 6);
        break;
    case DMAR_RHSA:
        s->register_base = acpi_u64(p + 8);
        s->proximity_domain = acpi_u32(p + 16);
        return;
    case DMAR_ANDD:
        read_andd(p, s);
        return;
    default:
        return;
    }
    s->scopes = p + minimum[s->type];
    s->scopes_length = (uint16_t)(s->length - minimum[s->type]);
}

dam_err dmar_next(const struct dmar_table *table, uint32_t *cursor, struct dmar_structure *out)
{
    uint32_t offset = *cursor ? *cursor : DMAR_HEADER_SIZE;

    *out = (struct dmar_structure){.offset = offset};
    if (offset >= table->length)
        return DAM_E_ABSENT;
    uint32_t left = table->length - offset;
    if (left < STRUCTURE_HEADER)
        return DAM_E_LENGTH;
    const uint8_t *p = table->bytes + offset;
    out->type = acpi_u16(p);
    out->length = acpi_u16(p + 2);
    uint32_t least = out->type < sizeof(minimum) ? minimum[out->type] : STRUCTURE_HEADER;
    if (out->length < least || out->length > left)
        return DAM_E_LENGTH;
    read_members(p, out);
    *cursor = offset + out->length;
    return DAM_OK;
}

dam_err dmar_next_scope(const struct dmar_structure *structure, uint16_t *cursor, struct dmar_scope *out)
{
    *out = (struct dmar_scope){0};
    if (*cursor >= structure->scopes_length)
        return DAM_E_ABSENT;
    unsigned left = (unsigned)structure->scopes_length - *cursor;
    const uint8_t *p = structure->scopes + *cursor;
    if (left < SCOPE_HEADER)
        return DAM_E_LENGTH;
    out->type = p[0];
    out->length = p[1];
    if (out->length < SCOPE_HEADER || out->length > left)
        return DAM_E_LENGTH;
    out->flags = p[2];
    out->enumeration_id = p[4];
    out->start_bus = p[5];
    // An odd byte at the end is no pair; Linux ignores it as well.
    unsigned pairs = (out->length - SCOPE_HEADER) / 2;
    out->path_length = (uint8_t)(pairs < DMAR_MAX_PATH ? pairs : DMAR_MAX_PATH);
    for (unsigned i = 0; i < out->path_length; i++) {
        out->path[i].device = p[SCOPE_HEADER + 2 * i];
        out->path[i].function = p[SCOPE_HEADER + 2 * i + 1];
    }
    *cursor = (uint16_t)(*cursor + out->length);
    return pairs >= 1 && pairs <= DMAR_MAX_PATH ? DAM_OK : DAM_E_RANGE;
}

dam_err dmar_check(const struct dmar_table *table, struct dmar_structure *bad)
{
    struct dmar_structure structure;
    struct dmar_scope scope;
    uint32_t cursor = 0;
    dam_err err;

    while ((err = dmar_next(table, &cursor, &structure)) == DAM_OK) {
        uint16_t at = 0;
        while ((err = dmar_next_scope(&structure, &at, &scope)) == DAM_OK)
            ;
        if (err != DAM_E_ABSENT)
            break;
    }
    if (bad)
        *bad = structure;
    return err == DAM_E_ABSENT ? DAM_OK : err;
}

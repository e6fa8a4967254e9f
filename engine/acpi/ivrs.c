// SPDX-License-Identifier: MIT
// The IVRS table. AMD I/O Virtualization Technology specification (48882), 5.2.1 (table), 5.2.2 (IVHD and its
// device entries), 5.2.3 (IVMD).
#include <cofferdam/ivrs.h>

#include <string.h>

#include "acpi/bytes.h"
#include "acpi/tables.h"

#define IVRS_HEADER_SIZE 48u // of the table: the ACPI header, IVinfo, 8 reserved bytes
#define BLOCK_HEADER     4u  // type, flags, length
#define IVHD_10_SIZE     24u // device entries begin there
#define IVHD_SIZE        40u // of 11h and 40h
#define IVMD_SIZE        32u
#define HID_SIZE         22u // of an ACPI device entry, without its unique id

dam_err ivrs_open(const void *bytes, size_t available, struct ivrs_table *out)
{
    const uint8_t *p = bytes;

    *out = (struct ivrs_table){0};
    if (available < 4)
        return DAM_E_LENGTH;
    if (memcmp(p, "IVRS", 4) != 0)
        return DAM_E_SIGNATURE;
    if (available < IVRS_HEADER_SIZE)
        return DAM_E_LENGTH;
    uint32_t length = acpi_u32(p + 4);
    if (length < IVRS_HEADER_SIZE || length > available)
        return DAM_E_LENGTH;
    *out = (struct ivrs_table){
        .bytes = p,
        .length = length,
        .revision = p[8],
        .checksum_ok = acpi_sum(p, length) == 0,
        .info = acpi_u32(p + 36),
    };
    return DAM_OK;
}

static void read_ivhd(const uint8_t *p, struct ivrs_block *b)
{
    unsigned size = b->type == IVRS_IVHD_10 ? IVHD_10_SIZE : IVHD_SIZE;

    b->device = acpi_u16(p + 4);
    b->capability = acpi_u16(p + 6);
    b->base = acpi_u64(p + 8);
    b->segment = acpi_u16(p + 16);
    b->info = acpi_u16(p + 18);
    b->attributes = acpi_u32(p + 20);
    if (b->type != IVRS_IVHD_10) {
        b->efr = acpi_u64(p + 24);
        b->efr2 = acpi_u64(p + 32);
    }
    b->entries = p + size;
    b->entries_length = (uint16_t)(b->length - size);
}

static dam_err read_ivmd(const uint8_t *p, struct ivrs_block *b)
{
    const uint16_t device = acpi_u16(p + 4);

    b->first = b->type == IVRS_IVMD_ALL ? 0 : device;
    b->last = b->type == IVRS_IVMD_ALL ? 0xFFFF : b->type == IVRS_IVMD_RANGE ? acpi_u16(p + 6) : device;
    b->segment = acpi_u16(p + 8);
    b->start = acpi_u64(p + 16);
    b->size = acpi_u64(p + 24);
    if (b->last < b->first || b->size == 0 || b->size - 1 > ~b->start)
        return DAM_E_RANGE;
    return DAM_OK;
}

static unsigned least_length(const struct ivrs_block *b)
{
    if (ivrs_is_ivmd(b))
        return IVMD_SIZE;
    if (!ivrs_is_ivhd(b))
        return BLOCK_HEADER;
    return b->type == IVRS_IVHD_10 ? IVHD_10_SIZE : IVHD_SIZE;
}

dam_err ivrs_next(const struct ivrs_table *table, uint32_t *cursor, struct ivrs_block *out)
{
    uint32_t offset = *cursor ? *cursor : IVRS_HEADER_SIZE;

    *out = (struct ivrs_block){.offset = offset};
    if (offset >= table->length)
        return DAM_E_ABSENT;
    uint32_t left = table->length - offset;
    if (left < BLOCK_HEADER)
        return DAM_E_LENGTH;
    const uint8_t *p = table->bytes + offset;
    out->type = p[0];
    out->flags = p[1];
    out->length = acpi_u16(p + 2);
    if (out->length < least_length(out) || out->length > left)
        return DAM_E_LENGTH;
    *cursor = offset + out->length;
    if (ivrs_is_ivhd(out))
        read_ivhd(p, out);
    return ivrs_is_ivmd(out) ? read_ivmd(p, out) : DAM_OK;
}

// Bytes of the entry at p, of which `left` are in the block; 0 when that cannot be told, or more than there
// are. The two high bits of a type tell its size, but for those of variable length.
static unsigned entry_length(const uint8_t *p, unsigned left)
{
    unsigned length = 4u << (p[0] >> 6);

    if (p[0] >= IVRS_ACPI_HID)
        length = p[0] == IVRS_ACPI_HID && left >= HID_SIZE ? HID_SIZE + p[21] : 0;
    return length <= left ? length : 0;
}

// Looks for the end of the range that *e starts, over padding; `at` is behind the start.
static dam_err read_range_end(const struct ivrs_block *block, unsigned at, struct ivrs_entry *e)
{
    const uint8_t *p;
    unsigned length;

    for (; at < block->entries_length; at += length) {
        p = block->entries + at;
        length = entry_length(p, block->entries_length - at);
        if (length == 0)
            break;
        if (p[0] == IVRS_PAD_4 || p[0] == IVRS_PAD_8)
            continue;
        if (p[0] != IVRS_RANGE_END)
            break;
        e->last = acpi_u16(p + 1);
        e->length = (uint16_t)(at + length - (e->offset - (uint32_t)(block->length - block->entries_length)));
        e->covers = e->last >= e->first;
        return e->covers ? DAM_OK : DAM_E_RANGE;
    }
    return DAM_E_BROKEN;
}

static dam_err read_hid(const struct ivrs_block *block, const uint8_t *p, struct ivrs_entry *e)
{
    e->hid = p + 4;
    e->cid = p + 12;
    e->uid_form = p[20];
    e->uid_length = p[21];
    e->uid = e->uid_length ? p + HID_SIZE : NULL;
    bool right;
    switch (e->uid_form) {
    case IVRS_UID_NONE:
        right = e->uid_length == 0;
        break;
    case IVRS_UID_INTEGER: // 8 bytes; firmware writes shorter ones
        right = e->uid_length >= 1 && e->uid_length <= 8;
        for (unsigned i = 0; right && i < e->uid_length; i++)
            e->uid_number |= (uint64_t)e->uid[i] << 8 * i;
        break;
    case IVRS_UID_STRING:
        right = e->uid_length != 0;
        break;
    default:
        right = false;
        break;
    }
    e->covers = right && block->type == IVRS_IVHD_40 && p[4] != 0;
    return e->covers ? DAM_OK : DAM_E_RANGE;
}

// The members of an entry whose bytes are all there; `at` is behind it.
static dam_err read_entry(const struct ivrs_block *block, const uint8_t *p, unsigned at, struct ivrs_entry *e)
{
    e->first = e->last = acpi_u16(p + 1);
    e->covers = true;
    switch (e->type) {
    case IVRS_ALL:
        e->first = 0;
        e->last = 0xFFFF;
        return DAM_OK;
    case IVRS_SELECT:
        return DAM_OK;
    case IVRS_EXT_SELECT:
        e->extended = acpi_u32(p + 4);
        return DAM_OK;
    case IVRS_ALIAS_SELECT:
        e->has_alias = true;
        e->alias = acpi_u16(p + 5);
        return DAM_OK;
    case IVRS_SPECIAL:
        e->handle = p[4];
        e->first = e->last = acpi_u16(p + 5);
        e->variety = p[7];
        return DAM_OK;
    case IVRS_ACPI_HID:
        return read_hid(block, p, e);
    default:
        break;
    }
    e->covers = false;
    switch (e->type) {
    case IVRS_EXT_RANGE:
        e->extended = acpi_u32(p + 4);
        return read_range_end(block, at, e);
    case IVRS_ALIAS_RANGE:
        e->has_alias = true;
        e->alias = acpi_u16(p + 5);
        return read_range_end(block, at, e);
    case IVRS_RANGE:
        return read_range_end(block, at, e);
    case IVRS_RANGE_END: // its start took it along, had there been one
        return DAM_E_RANGE;
    default:
        e->first = e->last = 0;
        return DAM_OK;
    }
}

dam_err ivrs_next_entry(const struct ivrs_block *block, uint16_t *cursor, struct ivrs_entry *out)
{
    const unsigned at = *cursor;

    *out = (struct ivrs_entry){.offset = (uint32_t)(block->length - block->entries_length) + at};
    if (at >= block->entries_length)
        return DAM_E_ABSENT;
    const uint8_t *p = block->entries + at;
    const unsigned left = block->entries_length - at;
    out->type = p[0];
    out->length = (uint16_t)entry_length(p, left);
    if (out->length == 0)
        return DAM_E_LENGTH;
    out->setting = p[3];
    dam_err err = read_entry(block, p, at + out->length, out);
    *cursor = (uint16_t)(at + out->length);
    return err;
}

bool ivrs_counts(const struct ivrs_table *table, const struct ivrs_block *block)
{
    struct ivrs_block other;
    uint32_t cursor = 0;
    dam_err err;

    if (!ivrs_is_ivhd(block))
        return false;
    while ((err = ivrs_next(table, &cursor, &other)) == DAM_OK || err == DAM_E_RANGE)
        if (ivrs_is_ivhd(&other) && other.type > block->type && other.device == block->device &&
            other.segment == block->segment)
            return false;
    return true;
}

dam_err ivrs_check(const struct ivrs_table *table, struct ivrs_block *bad)
{
    struct ivrs_block block;
    struct ivrs_entry entry;
    uint32_t cursor = 0;
    dam_err err;

    while ((err = ivrs_next(table, &cursor, &block)) == DAM_OK) {
        uint16_t at = 0;
        while ((err = ivrs_next_entry(&block, &at, &entry)) == DAM_OK)
            ;
        if (err != DAM_E_ABSENT)
            break;
    }
    if (bad)
        *bad = block;
    return err == DAM_E_ABSENT ? DAM_OK : err;
}

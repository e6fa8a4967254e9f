// SPDX-License-Identifier: MIT
// What the IVRS table says of units, of the requesters that they serve, and of memory that must stay
// reachable. 48882, chapter 5.
#include "iommu/amdvi/unit.h"

#include <cofferdam/ivrs.h>

// ---- reading it -------------------------------------------------------------------------------------------
static void tell(const struct iommu_firmware *f, uint16_t code, uint64_t address, uint64_t raw)
{
    f->finding(f->ctx, code, address, raw);
}

static dam_err tell_region(const struct iommu_firmware *f, const struct ivrs_block *m, uint16_t first,
                           uint16_t last)
{
    // An exclusion range is memory that is not translated: what they reach there is the same.
    const bool excluded = dam_bits_get(m->flags, IVRS_IVMD_EXCLUSION);
    const struct iommu_region region = {
        .segment = m->segment,
        .by_range = true,
        .first = first,
        .last = last,
        .start = dam_align_down(m->start, DAM_PAGE_SIZE),
        .end = dam_align_up(m->start + m->size, DAM_PAGE_SIZE),
        .r = excluded || dam_bits_get(m->flags, IVRS_IVMD_READ),
        .w = excluded || dam_bits_get(m->flags, IVRS_IVMD_WRITE),
    };
    return region.r || region.w ? f->region(f->ctx, &region) : DAM_OK;
}

// Requesters of the range may be seen with other ids. What blocks say of one IOMMU does not contradict each
// other: here all of them count.
static dam_err tell_aliases(const struct iommu_firmware *f, const struct ivrs_table *table,
                            const struct ivrs_block *m)
{
    uint32_t cursor = 0;
    struct ivrs_block b;
    dam_err err;
    while (!(err = ivrs_next(table, &cursor, &b)) || err == DAM_E_RANGE) {
        uint16_t at = 0;
        struct ivrs_entry e;
        if (err || !ivrs_is_ivhd(&b) || b.segment != m->segment)
            continue;
        while (!(err = ivrs_next_entry(&b, &at, &e)) || err == DAM_E_RANGE || err == DAM_E_BROKEN) {
            bool meant = !err && e.covers && e.has_alias && e.first <= m->last && e.last >= m->first;
            bool named = e.alias >= m->first && e.alias <= m->last;
            if (meant && !named && (err = tell_region(f, m, e.alias, e.alias)))
                return err;
        }
    }
    return DAM_OK;
}

static dam_err read_memory(const struct iommu_firmware *f, const struct ivrs_table *table,
                           const struct ivrs_block *m)
{
    if (!f->allows(f->ctx, dam_align_down(m->start, DAM_PAGE_SIZE),
                   dam_align_up(m->start + m->size, DAM_PAGE_SIZE) - 1))
        return DAM_OK;
    dam_err err = tell_region(f, m, m->first, m->last);
    return err ? err : tell_aliases(f, table, m);
}

static dam_err read_block(const struct iommu_firmware *f, const struct ivrs_table *table,
                          const struct ivrs_block *b)
{
    if (ivrs_is_ivhd(b))
        return ivrs_counts(table, b) ? f->unit(f->ctx, b->base, b->segment, b->flags, b->offset) : DAM_OK;
    if (ivrs_is_ivmd(b))
        return read_memory(f, table, b);
    tell(f, DAM_F_ACPI_UNKNOWN, b->offset, b->type);
    return DAM_OK;
}

// Addresses of the end of what can be rounded up without a carry.
static bool reaches_too_far(const struct ivrs_block *b)
{
    return ivrs_is_ivmd(b) && b->start + b->size > 1ull << 52;
}

dam_err amdvi_read_firmware(struct iommu_firmware *f)
{
    struct ivrs_table table;
    struct ivrs_block b;
    uint32_t cursor = 0;
    dam_err err = ivrs_open(f->bytes, f->length, &table);
    // Real firmware has wrong checksums over sound tables. Both wrong together is noise.
    if (err || (!table.checksum_ok && ivrs_check(&table, &b)))
        return DAM_E_BROKEN;
    f->host_address_width = (uint8_t)dam_bits_get(table.info, IVRS_INFO_PA_SIZE);
    if (f->host_address_width < 32 || f->host_address_width > 52)
        f->host_address_width = 52;
    while (!(err = ivrs_next(&table, &cursor, &b)) || err == DAM_E_RANGE) {
        if (err || reaches_too_far(&b))
            tell(f, DAM_F_RMRR_BAD, b.start, b.size);
        else if ((err = read_block(f, &table, &b)))
            return err;
    }
    if (err == DAM_E_LENGTH)
        tell(f, DAM_F_ACPI_LENGTH, b.offset, b.length);
    return DAM_OK; // what came before the broken block still counts
}

// ---- asking it --------------------------------------------------------------------------------------------
// The next IVHD of the unit's segment; or, with own, of the unit itself.
static bool next_block(const struct iommu_unit *unit, struct ivrs_table *table, uint32_t *cursor, bool own,
                       struct ivrs_block *out)
{
    dam_err err;
    if (!unit->firmware || (*cursor == 0 && ivrs_open(unit->firmware->bytes, unit->firmware->length, table)))
        return false;
    while (!(err = ivrs_next(table, cursor, out)) || err == DAM_E_RANGE)
        if (!err && ivrs_is_ivhd(out) && out->segment == unit->segment && (!own || out->base == unit->base.v))
            return true;
    return false;
}

bool amdvi_serves(const struct iommu_unit *unit, uint16_t rid)
{
    struct ivrs_table table;
    struct ivrs_block b;
    uint32_t cursor = 0;
    while (next_block(unit, &table, &cursor, true, &b)) {
        uint16_t at = 0;
        struct ivrs_entry e;
        dam_err err;
        while (!(err = ivrs_next_entry(&b, &at, &e)) || err == DAM_E_RANGE || err == DAM_E_BROKEN) {
            bool named = e.covers && ((rid >= e.first && rid <= e.last) || (e.has_alias && rid == e.alias));
            if (!err && (named || e.type == IVRS_ALL))
                return true;
        }
    }
    return false;
}

bool amdvi_is_special(const struct iommu_unit *unit, uint16_t rid)
{
    struct ivrs_table table;
    struct ivrs_block b;
    uint32_t cursor = 0;
    while (next_block(unit, &table, &cursor, false, &b)) {
        uint16_t at = 0;
        struct ivrs_entry e;
        dam_err err;
        while (!(err = ivrs_next_entry(&b, &at, &e)) || err == DAM_E_RANGE || err == DAM_E_BROKEN)
            if (!err && e.type == IVRS_SPECIAL && e.covers && rid >= e.first && rid <= e.last)
                return true;
    }
    return false;
}

// As Linux finds the last requester: by the entries that name PCI functions.
static uint16_t last_of(const struct ivrs_block *b)
{
    uint16_t at = 0, last = 0;
    struct ivrs_entry e;
    dam_err err;
    while (!(err = ivrs_next_entry(b, &at, &e)) || err == DAM_E_RANGE || err == DAM_E_BROKEN) {
        if (err || !e.covers || e.type == IVRS_SPECIAL || e.type == IVRS_ACPI_HID)
            continue;
        if (e.last > last)
            last = e.last;
    }
    return last;
}

struct amdvi_ivhd amdvi_find_ivhd(const struct iommu_unit *unit)
{
    struct amdvi_ivhd out = {0};
    struct ivrs_table table;
    struct ivrs_block b;
    uint32_t cursor = 0;
    while (next_block(unit, &table, &cursor, false, &b)) {
        uint16_t last = last_of(&b);
        if (last > out.last)
            out.last = last;
        if (b.base != unit->base.v || b.type <= out.type)
            continue;
        out.type = b.type;
        out.flags = b.flags;
        out.no_host = b.type != IVRS_IVHD_10 && (b.attributes & 1);
        out.device = b.device;
        out.capability = b.capability;
    }
    return out;
}

// ---- before anything is known of the units ----------------------------------------------------------------
#define SEGMENTS 256u // that are told apart
// "Device table base address register": 512 pages at most, 65536 entries of 32 bytes.
#define MAX_TABLE (512ull * DAM_PAGE_SIZE)
// Command buffer and event log, and a page.
#define BUFFERS (2ull * AMDVI_RING_BYTES + DAM_PAGE_SIZE)

// For each PCI segment a device table of the largest size, for each IVHD its buffers. A table that cannot be
// read counts as one unit.
uint64_t amdvi_low_bytes(const uint8_t *ivrs, uint32_t length)
{
    struct ivrs_table table;
    struct ivrs_block block;
    uint32_t cursor = 0;
    uint64_t seen[SEGMENTS / 64] = {0}, segments = 0, units = 0;
    dam_err err = ivrs_open(ivrs, length, &table);
    while (!err && (!(err = ivrs_next(&table, &cursor, &block)) || err == DAM_E_RANGE)) {
        err = DAM_OK;
        if (!ivrs_is_ivhd(&block))
            continue;
        uint64_t bit = 1ull << block.segment % 64, *word = &seen[block.segment / 64 % (SEGMENTS / 64)];
        segments += !(*word & bit);
        *word |= bit;
        units++;
    }
    if (!units)
        segments = units = 1;
    return segments * MAX_TABLE + units * BUFFERS;
}

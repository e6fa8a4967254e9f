// SPDX-License-Identifier: MIT
// VT-d second-stage page-table entries. VT-d architecture specification r4.1, 9.8 "Second-Stage Paging
// Entries".
#include "pgtable/pt.h"
#include "pgtable/scan.h"

#define VTDSS_R    0, 0
#define VTDSS_W    1, 1
#define VTDSS_PS   7, 7   // leaf above level 0
#define VTDSS_SNP  11, 11 // snoop; leaves only, reserved without ECAP.SC
#define VTDSS_ADDR 51, 12
#define VTDSS_TM   62, 62 // transient mapping; reserved without ECAP.DT

#define PRESENT    3ull // R or W: there is no present bit

static uint64_t address_mask(const struct pt_params *p, unsigned level)
{
    return dam_bits_mask(p->haw - 1u, DAM_PAGE_SHIFT + 9 * level);
}

// Bits that make the hardware refuse an entry of this kind.
static uint64_t reserved_mask(const struct pt_params *p, unsigned level, bool leaf)
{
    uint64_t mask = dam_bits_mask(VTDSS_ADDR) & ~address_mask(p, leaf ? level : 0);
    if (!leaf || !p->snoop)
        mask |= dam_bits_mask(VTDSS_SNP);
    if (!leaf || !p->transient)
        mask |= dam_bits_mask(VTDSS_TM);
    return mask;
}

static struct pt_entry decode(const struct pt_params *p, uint64_t raw, unsigned level)
{
    if (!(raw & PRESENT))
        return (struct pt_entry){.kind = PT_EMPTY};
    bool ps = level > 0 && dam_bits_get(raw, VTDSS_PS);
    bool leaf = level == 0 || ps;
    struct pt_entry e = {
        .kind = leaf ? PT_LEAF : PT_TABLE,
        .r = dam_bits_get(raw, VTDSS_R),
        .w = dam_bits_get(raw, VTDSS_W),
        .addr = raw & address_mask(p, leaf ? level : 0),
    };
    if ((ps && !(p->large >> level & 1)) || (raw & reserved_mask(p, level, leaf)))
        e.kind = PT_BAD;
    return e;
}

static uint64_t encode(const struct pt_params *p, const struct pt_entry *e, unsigned level)
{
    (void)p;
    uint64_t raw = e->addr | dam_bits_put(e->r, VTDSS_R) | dam_bits_put(e->w, VTDSS_W);
    if (e->kind == PT_LEAF && level > 0)
        raw |= dam_bits_mask(VTDSS_PS);
    return raw;
}

static uint64_t restrict_to(uint64_t raw, const struct pt_entry *through)
{
    if (!through->r)
        raw &= ~dam_bits_mask(VTDSS_R);
    if (!through->w)
        raw &= ~dam_bits_mask(VTDSS_W);
    return raw;
}

static uint64_t split(const struct pt_params *p, uint64_t raw, unsigned level, unsigned index)
{
    (void)p;
    if (level == 1)
        raw &= ~dam_bits_mask(VTDSS_PS);
    return raw + index * pt_span(level - 1);
}

static void scan_one(const struct pt_params *p, const uint64_t *entries, unsigned index,
                     const struct dam_ranges *watch, struct pt_scan *out)
{
    uint64_t raw = entries[index];
    if (!(raw & PRESENT))
        return;
    uint64_t addr = raw & address_mask(p, 0);
    out->mapped++;
    out->readable += (unsigned)raw & 1u;
    out->writable += (unsigned)(raw >> 1) & 1u;
    out->bad |= (raw & reserved_mask(p, 0, true)) != 0;
    out->watched |= dam_ranges_overlap(watch, addr, DAM_PAGE_SIZE);
}

static void scan(const struct pt_params *p, const uint64_t *entries, const struct dam_ranges *watch,
                 struct pt_scan *out)
{
    const uint64_t unusual =
        (~address_mask(p, 0) & ~dam_bits_mask(DAM_PAGE_SHIFT - 1u, 0)) | dam_bits_mask(VTDSS_SNP);
    pt_scan_groups(p, entries, watch, PRESENT, unusual, 0, scan_one, out);
}

// Accessed and dirty bits are written with SSADE alone, which no entry of ours has.
static bool unmarked(uint64_t raw, unsigned level)
{
    (void)raw;
    (void)level;
    return false;
}

void pt_format_vtdss(struct pt_format *out)
{
    out->decode = decode;
    out->encode = encode;
    out->restrict_to = restrict_to;
    out->split = split;
    out->single = NULL;
    out->unmarked = unmarked;
    out->scan = scan;
}

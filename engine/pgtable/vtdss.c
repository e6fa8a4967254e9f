// SPDX-License-Identifier: MIT
// VT-d second-stage page-table entries. VT-d architecture specification r4.1, 9.8 "Second-Stage Paging
// Entries".
#include "pgtable/pt.h"

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

static uint64_t restrict_to(uint64_t raw, bool r, bool w)
{
    if (!r)
        raw &= ~dam_bits_mask(VTDSS_R);
    if (!w)
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

// One pass over every leaf table of the old kernel is most of what an audit costs, so groups of entries that
// are all empty, or all mapped alike with nothing unusual set, are done with a few operations an entry.
#define GROUP 8u

static void scan_one(const struct pt_params *p, uint64_t raw, struct pt_scan *out)
{
    if (!(raw & PRESENT))
        return;
    uint64_t addr = raw & address_mask(p, 0);
    out->readable += (unsigned)raw & 1u;
    out->writable += (unsigned)(raw >> 1) & 1u;
    out->min = addr < out->min ? addr : out->min;
    out->max = addr > out->max ? addr : out->max;
    out->bad |= (raw & reserved_mask(p, 0, true)) != 0;
}

static void scan(const struct pt_params *p, const uint64_t *entries, struct pt_scan *out)
{
    const uint64_t unusual = ~address_mask(p, 0) & ~dam_bits_mask(DAM_PAGE_SHIFT - 1u, 0);
    const uint64_t frame = ~(uint64_t)(DAM_PAGE_SIZE - 1u);
    // Two lanes each, so that one comparison need not wait for the last.
    uint64_t min0 = ~0ull, min1 = ~0ull, max0 = 0, max1 = 0;
    unsigned groups = 0;
    *out = (struct pt_scan){.min = ~0ull};
    for (const uint64_t *e = entries; e < entries + PT_ENTRIES; e += GROUP) {
        uint64_t any = 0, all = ~0ull;
        for (unsigned i = 0; i < GROUP; i++) {
            any |= e[i];
            all &= e[i];
        }
        if (any == 0)
            continue;
        if ((all & PRESENT) != PRESENT || (any & (unusual | dam_bits_mask(VTDSS_SNP)))) {
            for (unsigned i = 0; i < GROUP; i++)
                scan_one(p, e[i], out);
            continue;
        }
        groups++;
        for (unsigned i = 0; i < GROUP; i += 2) {
            min0 = e[i] < min0 ? e[i] : min0;
            max0 = e[i] > max0 ? e[i] : max0;
            min1 = e[i + 1] < min1 ? e[i + 1] : min1;
            max1 = e[i + 1] > max1 ? e[i + 1] : max1;
        }
    }
    if (groups == 0)
        return;
    min0 = (min1 < min0 ? min1 : min0) & frame;
    max0 = (max1 > max0 ? max1 : max0) & frame;
    out->readable += groups * GROUP;
    out->writable += groups * GROUP;
    out->min = min0 < out->min ? min0 : out->min;
    out->max = max0 > out->max ? max0 : out->max;
}

void pt_format_vtdss(struct pt_format *out)
{
    out->decode = decode;
    out->encode = encode;
    out->restrict_to = restrict_to;
    out->split = split;
    out->scan = scan;
}

// SPDX-License-Identifier: MIT
// VT-d first-stage page-table entries, and AMD's for guests: those of the CPU. VT-d architecture
// specification r4.1, 9.7 "First-Stage Paging Entries"; AMD I/O Virtualization Technology specification
// (48882), 2.2.6.
//
// Entries without US map nothing here and are not followed, unless params->supervisor says that requests may
// have such rights: the tables of a process hold the kernel's half as well, and on VT-d New refuses requests
// that claim a supervisor's rights. XD is ignored: it is about execution, which New refuses whole; whether it
// is reserved (NXE = 0) is the hardware's business, as New keeps both the bit and NXE as they were.
#include "pgtable/pt.h"
#include "pgtable/scan.h"

#define VTDFS_P     0, 0
#define VTDFS_RW    1, 1
#define VTDFS_US    2, 2
#define VTDFS_A     5, 5
#define VTDFS_D     6, 6
#define VTDFS_PS    7, 7 // levels 1 and 2: leaf; level 0: part of the memory type; above: reserved
#define VTDFS_ADDR  51, 12
#define VTDFS_PAT_L 12, 12 // of a leaf above level 0: part of the memory type
#define VTDFS_UPPER 63, 52 // XD, and bits that the hardware ignores
#define VTDFS_XD    63, 63

#define USER        5ull // P and US

static uint64_t address_mask(const struct pt_params *p, unsigned level)
{
    return dam_bits_mask(p->haw - 1u, DAM_PAGE_SHIFT + 9 * level) & ~p->encrypt;
}

// What an entry must have to be used.
static uint64_t present(const struct pt_params *p)
{
    return p->supervisor ? dam_bits_mask(VTDFS_P) : USER;
}

// Bits that make the hardware refuse an entry of this kind.
static uint64_t reserved_mask(const struct pt_params *p, unsigned level, bool leaf)
{
    uint64_t mask = dam_bits_mask(VTDFS_ADDR) & ~address_mask(p, leaf ? level : 0) & ~p->encrypt;
    if (leaf && level > 0)
        mask &= ~dam_bits_mask(VTDFS_PAT_L);
    if (level > 2)
        mask |= dam_bits_mask(VTDFS_PS);
    return mask;
}

static struct pt_entry decode(const struct pt_params *p, uint64_t raw, unsigned level)
{
    if ((raw & present(p)) != present(p))
        return (struct pt_entry){.kind = PT_EMPTY};
    bool ps = (level == 1 || level == 2) && dam_bits_get(raw, VTDFS_PS);
    bool leaf = level == 0 || ps;
    struct pt_entry e = {
        .kind = leaf ? PT_LEAF : PT_TABLE,
        .r = true,
        .w = dam_bits_get(raw, VTDFS_RW),
        .addr = raw & address_mask(p, leaf ? level : 0),
        .xd = dam_bits_get(raw, VTDFS_XD),
        .supervisor = !dam_bits_get(raw, VTDFS_US),
    };
    if ((ps && !(p->large >> level & 1)) || (raw & reserved_mask(p, level, leaf)))
        e.kind = PT_BAD;
    return e;
}

// Accessed and dirty from the start: the hardware has nothing to write then. Nothing can be writable alone.
static uint64_t encode(const struct pt_params *p, const struct pt_entry *e, unsigned level)
{
    (void)p;
    if (!e->r)
        return 0;
    uint64_t raw = e->addr | dam_bits_mask(VTDFS_P) | dam_bits_put(!e->supervisor, VTDFS_US) |
                   dam_bits_put(e->w, VTDFS_RW) | dam_bits_mask(VTDFS_A) | dam_bits_put(e->xd, VTDFS_XD);
    if (e->kind == PT_LEAF)
        raw |= dam_bits_mask(VTDFS_D);
    if (e->kind == PT_LEAF && level > 0)
        raw |= dam_bits_mask(VTDFS_PS);
    return raw;
}

static uint64_t restrict_to(uint64_t raw, const struct pt_entry *through)
{
    if (!through->r)
        return 0;
    if (!through->w)
        raw &= ~dam_bits_mask(VTDFS_RW);
    if (through->supervisor)
        raw &= ~dam_bits_mask(VTDFS_US);
    return through->xd ? raw | dam_bits_mask(VTDFS_XD) : raw;
}

static uint64_t split(const struct pt_params *p, uint64_t raw, unsigned level, unsigned index)
{
    (void)p;
    if (level == 1) { // the memory type's bit changes its place
        uint64_t pat = dam_bits_get(raw, VTDFS_PAT_L);
        raw &= ~(dam_bits_mask(VTDFS_PAT_L) | dam_bits_mask(VTDFS_PS));
        raw |= dam_bits_put(pat, VTDFS_PS);
    }
    return raw + index * pt_span(level - 1);
}

// The hardware marks what it uses, and what it uses for a supervisor may not be known here.
static bool unmarked(uint64_t raw, unsigned level)
{
    if (!dam_bits_get(raw, VTDFS_P))
        return false;
    bool table = level > 2 || (level > 0 && !dam_bits_get(raw, VTDFS_PS));
    return !dam_bits_get(raw, VTDFS_A) || (table && !dam_bits_get(raw, VTDFS_US));
}

static void scan_one(const struct pt_params *p, const uint64_t *entries, unsigned index,
                     const struct dam_ranges *watch, struct pt_scan *out)
{
    uint64_t raw = entries[index];
    out->unmarked |= unmarked(raw, 0);
    if ((raw & present(p)) != present(p))
        return;
    uint64_t addr = raw & address_mask(p, 0);
    out->mapped++;
    out->readable++;
    out->writable += (unsigned)dam_bits_get(raw, VTDFS_RW);
    out->bad |= (raw & reserved_mask(p, 0, true)) != 0;
    out->watched |= dam_ranges_overlap(watch, addr, DAM_PAGE_SIZE);
}

static void scan(const struct pt_params *p, const uint64_t *entries, const struct dam_ranges *watch,
                 struct pt_scan *out)
{
    const uint64_t plain = USER | dam_bits_mask(VTDFS_RW) | dam_bits_mask(VTDFS_A);
    const uint64_t unusual = reserved_mask(p, 0, true), ignored = dam_bits_mask(VTDFS_UPPER);
    // A mask that the compiler knows is worth a loop of its own.
    if (p->encrypt == 0)
        pt_scan_groups(p, entries, watch, plain, unusual, ignored, scan_one, out);
    else
        pt_scan_groups(p, entries, watch, plain, unusual, ignored | p->encrypt, scan_one, out);
}

void pt_format_vtdfs(struct pt_format *out)
{
    out->decode = decode;
    out->encode = encode;
    out->restrict_to = restrict_to;
    out->split = split;
    out->single = NULL;
    out->unmarked = unmarked;
    out->scan = scan;
}

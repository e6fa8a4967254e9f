// SPDX-License-Identifier: MIT
// AMD I/O page tables of the host, "version 1". AMD I/O Virtualization Technology specification (48882),
// 2.2.3 "I/O Page Tables for Host Translations". Level n here is level n + 1 there.
//
// What the specification does not let one tell, or hardware is known to do wrong, is taken for refused, so
// that it is cut out: default sizes that params->large does not have (512 GiB pages are broken in hardware),
// addresses that are not aligned to their size, a NextLevel that does not go down, and sizes of NextLevel 7
// that one entry would map alone, or that more than one table would.
#include "pgtable/pt.h"
#include "pgtable/scan.h"

#define AMDV1_PR       0, 0
#define AMDV1_NEXT     11, 9 // 0: page of the level's default size; 7: size in the address; else a table's level
#define AMDV1_ADDR     51, 12
#define AMDV1_RESERVED 56, 52
#define AMDV1_UPPER    63, 57 // PMC, U, FC, IR, IW, and one that is ignored
#define AMDV1_FC       60, 60 // force coherent
#define AMDV1_IR       61, 61
#define AMDV1_IW       62, 62

#define NEXT_SIZED     7u

// What must be the same in all entries of one page.
#define SAME                                                                                                 \
    (dam_bits_mask(AMDV1_PR) | dam_bits_mask(AMDV1_NEXT) | dam_bits_mask(AMDV1_ADDR) |                       \
     dam_bits_mask(AMDV1_RESERVED) | dam_bits_mask(AMDV1_IR) | dam_bits_mask(AMDV1_IW))

static uint64_t address(const struct pt_params *p, uint64_t raw)
{
    return raw & dam_bits_mask(AMDV1_ADDR) & ~p->encrypt;
}

// A page with its size in the address: its lowest clear bit, at 12 + k, says 2^(13 + k) bytes.
static void decode_sized(struct pt_entry *e, unsigned level)
{
    unsigned k = (unsigned)__builtin_ctzll(~(e->addr >> DAM_PAGE_SHIFT));
    unsigned shift = DAM_PAGE_SHIFT + 1 + k, own = DAM_PAGE_SHIFT + 9 * level;
    if (shift <= own || shift >= own + 9) {
        e->kind = PT_BAD;
        return;
    }
    e->run = (uint8_t)(shift - own);
    e->addr = dam_align_down(e->addr, 1ull << shift);
}

static struct pt_entry decode(const struct pt_params *p, uint64_t raw, unsigned level)
{
    if (!(raw & dam_bits_mask(AMDV1_PR)))
        return (struct pt_entry){.kind = PT_EMPTY};
    unsigned next = (unsigned)dam_bits_get(raw, AMDV1_NEXT);
    struct pt_entry e = {
        .kind = PT_LEAF,
        .r = dam_bits_get(raw, AMDV1_IR),
        .w = dam_bits_get(raw, AMDV1_IW),
        .addr = address(p, raw),
    };
    if (next == NEXT_SIZED) {
        decode_sized(&e, level);
    } else if (next == 0) {
        if (level > 0 && (!(p->large >> level & 1) || e.addr % pt_span(level)))
            e.kind = PT_BAD;
    } else if (next <= level) {
        e.kind = PT_TABLE;
        e.skip = (uint8_t)(level - next);
    } else {
        e.kind = PT_BAD;
    }
    if (raw & dam_bits_mask(AMDV1_RESERVED))
        e.kind = PT_BAD;
    return e;
}

// Coherent, as all tables and pages of a kernel's drivers are. Never a run.
static uint64_t encode(const struct pt_params *p, const struct pt_entry *e, unsigned level)
{
    (void)p;
    uint64_t raw =
        e->addr | dam_bits_mask(AMDV1_PR) | dam_bits_put(e->r, AMDV1_IR) | dam_bits_put(e->w, AMDV1_IW);
    if (e->kind == PT_TABLE)
        return raw | dam_bits_put(level - e->skip, AMDV1_NEXT);
    return raw | dam_bits_mask(AMDV1_FC);
}

static uint64_t restrict_to(uint64_t raw, const struct pt_entry *through)
{
    if (!through->r)
        raw &= ~dam_bits_mask(AMDV1_IR);
    if (!through->w)
        raw &= ~dam_bits_mask(AMDV1_IW);
    return raw;
}

// NextLevel is 0 in both: the default size is the level's.
static uint64_t split(const struct pt_params *p, uint64_t raw, unsigned level, unsigned index)
{
    (void)p;
    return raw + index * pt_span(level - 1);
}

static uint64_t single(const struct pt_params *p, uint64_t raw, unsigned level, unsigned part)
{
    struct pt_entry e = decode(p, raw, level);
    raw &= ~(dam_bits_mask(AMDV1_NEXT) | dam_bits_mask(AMDV1_ADDR)) | p->encrypt;
    return raw | (e.addr + part * pt_span(level));
}

// Accessed and dirty bits are written only if the device table entry asks for it; none of ours does.
static bool unmarked(uint64_t raw, unsigned level)
{
    (void)raw;
    (void)level;
    return false;
}

// A run is looked at once, at its first entry.
static void scan_one(const struct pt_params *p, const uint64_t *entries, unsigned index,
                     const struct dam_ranges *watch, struct pt_scan *out)
{
    uint64_t raw = entries[index];
    struct pt_entry e = decode(p, raw, 0);
    if (e.kind == PT_EMPTY)
        return;
    unsigned count = 1u << e.run, first = index & ~(count - 1);
    out->bad |= e.kind == PT_BAD || ((raw ^ entries[first]) & SAME);
    if (first != index)
        return;
    for (unsigned i = index + 1; i < index + count; i++)
        out->bad |= ((raw ^ entries[i]) & SAME) != 0;
    out->mapped += e.r || e.w ? count : 0;
    out->readable += e.r ? count : 0;
    out->writable += e.w ? count : 0;
    out->watched |= dam_ranges_overlap(watch, e.addr, (uint64_t)count << DAM_PAGE_SHIFT);
}

static void scan(const struct pt_params *p, const uint64_t *entries, const struct dam_ranges *watch,
                 struct pt_scan *out)
{
    const uint64_t plain = dam_bits_mask(AMDV1_PR) | dam_bits_mask(AMDV1_IR) | dam_bits_mask(AMDV1_IW);
    pt_scan_groups(p, entries, watch, plain, dam_bits_mask(AMDV1_NEXT) | dam_bits_mask(AMDV1_RESERVED),
                   dam_bits_mask(AMDV1_UPPER) | p->encrypt, scan_one, out);
}

void pt_format_amdv1(struct pt_format *out)
{
    out->decode = decode;
    out->encode = encode;
    out->restrict_to = restrict_to;
    out->split = split;
    out->single = single;
    out->unmarked = unmarked;
    out->scan = scan;
}

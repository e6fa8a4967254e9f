// SPDX-License-Identifier: MIT
#include "naive_vtd.h"

#include <stddef.h>

// Whether any of bits high..low of v is set.
static bool any(uint64_t v, unsigned high, unsigned low)
{
    for (unsigned bit = low; bit <= high; bit++)
        if (v >> bit & 1)
            return true;
    return false;
}

// The 4-KiB aligned address that a root, context or page-table entry holds.
static uint64_t address_of(uint64_t v)
{
    return v & 0x000FFFFFFFFFF000ull;
}

static struct naive_context context_fault(enum naive_reason reason, bool fpd)
{
    return (struct naive_context){.reason = reason, .fpd = fpd};
}

static struct naive_result fault(enum naive_reason reason, bool fpd)
{
    return (struct naive_result){.reason = reason, .fpd = fpd};
}

// Whether the unit has tables of aw + 2 levels (CAP.SAGAW, bits 12:8).
static bool width_supported(uint64_t cap, unsigned aw)
{
    return aw >= 1 && aw <= 3 && (cap >> (8 + aw) & 1);
}

static bool widest_width(uint64_t cap, unsigned aw)
{
    for (unsigned wider = aw + 1; wider <= 3; wider++)
        if (width_supported(cap, wider))
            return false;
    return width_supported(cap, aw);
}

// 9.3: which types a unit knows, and the width each of them needs.
static bool type_valid(const struct naive_vtd *hw, unsigned type, unsigned aw)
{
    bool has_device_tlbs = hw->ecap >> 2 & 1;
    bool has_pass_through = hw->ecap >> 6 & 1;
    switch (type) {
    case 0:
        return width_supported(hw->cap, aw);
    case 1:
        return has_device_tlbs && width_supported(hw->cap, aw);
    case 2:
        return has_pass_through && widest_width(hw->cap, aw);
    default:
        return false;
    }
}

static struct naive_context legacy_context(const struct naive_vtd *hw, unsigned rid)
{
    uint64_t low, high;
    uint64_t at = address_of(hw->rtaddr) + (rid >> 8 & 0xFF) * 16;
    if (!hw->read64(hw->ctx, at, &low) || !hw->read64(hw->ctx, at + 8, &high))
        return context_fault(NAIVE_ROOT_ACCESS, false);
    if (!(low & 1))
        return context_fault(NAIVE_ROOT_ABSENT, false);
    if (any(low, 11, 1) || (hw->haw < 64 && any(low, 63, hw->haw)) || high)
        return context_fault(NAIVE_ROOT_RESERVED, false);

    at = address_of(low) + (rid & 0xFF) * 16;
    if (!hw->read64(hw->ctx, at, &low) || !hw->read64(hw->ctx, at + 8, &high))
        return context_fault(NAIVE_CONTEXT_ACCESS, false);
    bool fpd = low >> 1 & 1;
    if (!(low & 1))
        return context_fault(NAIVE_CONTEXT_ABSENT, fpd);
    if (any(low, 11, 4) || (hw->haw < 64 && any(low, 63, hw->haw)) || any(high, 7, 7) || any(high, 63, 24))
        return context_fault(NAIVE_CONTEXT_RESERVED, fpd);
    struct naive_context context = {
        .reason = NAIVE_OK,
        .fpd = fpd,
        .type = low >> 2 & 3,
        .aw = high & 7,
        .did = high >> 8 & 0xFFFF,
        .root = address_of(low),
        .raw = {low, high},
        .stage = (low >> 2 & 3) == 2 ? 4 : 2,
        .pasid = NAIVE_NO_PASID,
    };
    if (!type_valid(hw, context.type, context.aw))
        return context_fault(NAIVE_CONTEXT_INVALID, fpd);
    return context;
}

// ---- scalable mode ----------------------------------------------------------------------------------------
static struct naive_function function_fault(enum naive_reason reason, bool fpd)
{
    return (struct naive_function){.reason = reason, .fpd = fpd};
}

struct naive_function naive_vtd_function(const struct naive_vtd *hw, unsigned rid)
{
    uint64_t half, at = address_of(hw->rtaddr) + (rid >> 7 & 0x1FF) * 8;
    if (!hw->read64(hw->ctx, at, &half))
        return function_fault(NAIVE_ROOT_ACCESS, false);
    if (!(half & 1))
        return function_fault(NAIVE_ROOT_ABSENT, false);
    if (any(half, 11, 1) || (hw->haw < 64 && any(half, 63, hw->haw)))
        return function_fault(NAIVE_ROOT_RESERVED, false);
    struct naive_function f = {.reason = NAIVE_OK};
    at = address_of(half) + (rid & 0x7F) * 32;
    for (unsigned i = 0; i < 4; i++)
        if (!hw->read64(hw->ctx, at + 8 * i, &f.w[i]))
            return function_fault(NAIVE_CONTEXT_ACCESS, false);
    f.fpd = f.w[0] >> 1 & 1;
    if (!(f.w[0] & 1))
        return function_fault(NAIVE_CONTEXT_ABSENT, f.fpd);
    bool dt = hw->ecap >> 2 & 1, prs = hw->ecap >> 29 & 1, pasid = hw->ecap >> 40 & 1,
         rps = hw->ecap >> 49 & 1;
    if (any(f.w[0], 8, 5) || (hw->haw < 64 && any(f.w[0], 63, hw->haw)) || any(f.w[1], 63, 21) || f.w[2] ||
        f.w[3] || (!dt && any(f.w[0], 2, 2)) || (!pasid && any(f.w[0], 3, 3)) ||
        (!prs && any(f.w[0], 4, 4)) || (!rps && any(f.w[1], 19, 0)))
        return function_fault(NAIVE_CONTEXT_RESERVED, f.fpd);
    return f;
}

// 9.6: which translation types a unit knows, and the widths each of them needs.
static bool pasid_type_valid(const struct naive_vtd *hw, unsigned type, unsigned aw, unsigned fspm)
{
    bool nest = hw->ecap >> 26 & 1, second = hw->ecap >> 46 & 1, first = hw->ecap >> 47 & 1;
    bool first_width = fspm == 0 || (fspm == 1 && (hw->cap >> 60 & 1));
    switch (type) {
    case 1:
        return first && first_width;
    case 2:
        return second && width_supported(hw->cap, aw);
    case 3:
        return first && second && nest && first_width && width_supported(hw->cap, aw);
    case 4:
        return (hw->ecap >> 6 & 1) && width_supported(hw->cap, aw);
    default:
        return false;
    }
}

struct naive_context naive_vtd_pasid(const struct naive_vtd *hw, const struct naive_function *f,
                                     unsigned pasid)
{
    if (f->reason != NAIVE_OK)
        return context_fault(f->reason, f->fpd);
    if (pasid != NAIVE_NO_PASID && !(f->w[0] >> 3 & 1))
        return context_fault(NAIVE_PASID_REFUSED, f->fpd);
    if (pasid == NAIVE_NO_PASID)
        pasid = f->w[1] & 0xFFFFF;
    if (pasid >> 6 >= 1u << ((f->w[0] >> 9 & 7) + 7))
        return context_fault(NAIVE_PASID_REFUSED, f->fpd);
    uint64_t entry, w[8];
    if (!hw->read64(hw->ctx, address_of(f->w[0]) + (pasid >> 6) * 8, &entry))
        return context_fault(NAIVE_DIRECTORY_ACCESS, f->fpd);
    bool fpd = f->fpd || (entry >> 1 & 1);
    if (!(entry & 1))
        return context_fault(NAIVE_DIRECTORY_ABSENT, fpd);
    if (any(entry, 11, 2) || (hw->haw < 64 && any(entry, 63, hw->haw)))
        return context_fault(NAIVE_DIRECTORY_RESERVED, fpd);
    for (unsigned i = 0; i < 8; i++)
        if (!hw->read64(hw->ctx, address_of(entry) + (pasid & 63) * 64 + i * 8, &w[i]))
            return context_fault(NAIVE_PASID_ACCESS, fpd);
    fpd |= w[0] >> 1 & 1;
    if (!(w[0] & 1))
        return context_fault(NAIVE_PASID_ABSENT, fpd);
    unsigned type = w[0] >> 6 & 7, aw = w[0] >> 2 & 7, fspm = w[2] >> 2 & 3;
    bool uses_first = type == 1 || type == 3, uses_second = type == 2 || type == 3;
    if (any(w[0], 5, 5) || any(w[0], 11, 10) || any(w[1], 22, 16) || any(w[2], 11, 8) || w[3] || w[4] ||
        w[5] || w[6] || w[7] || (hw->haw < 64 && uses_second && any(w[0], 63, hw->haw)) ||
        (hw->haw < 64 && uses_first && any(w[2], 63, hw->haw)))
        return context_fault(NAIVE_PASID_RESERVED, fpd);
    if (!pasid_type_valid(hw, type, aw, fspm))
        return context_fault(NAIVE_PASID_INVALID, fpd);
    return (struct naive_context){
        .reason = NAIVE_OK,
        .fpd = fpd,
        .aw = aw,
        .did = w[1] & 0xFFFF,
        .root = address_of(w[0]),
        .stage = type,
        .first_levels = fspm + 4,
        .first = address_of(w[2]),
        .execute_disable = w[2] >> 5 & 1,
        .pasid = uses_first ? pasid : NAIVE_NO_PASID,
    };
}

struct naive_context naive_vtd_context_pasid(const struct naive_vtd *hw, unsigned rid, unsigned pasid)
{
    bool modes = hw->ecap >> 43 & 1; // without scalable mode the bits mean nothing
    switch (modes ? hw->rtaddr >> 10 & 3 : 0) {
    case 0:
        return pasid == NAIVE_NO_PASID ? legacy_context(hw, rid) : context_fault(NAIVE_MODE, false);
    case 1: {
        struct naive_function function = naive_vtd_function(hw, rid);
        return naive_vtd_pasid(hw, &function, pasid);
    }
    default:
        return context_fault(NAIVE_MODE, false);
    }
}

struct naive_context naive_vtd_context(const struct naive_vtd *hw, unsigned rid)
{
    return naive_vtd_context_pasid(hw, rid, NAIVE_NO_PASID);
}

// 9.8, second-stage entries. level counts from 1, the level of 4-KiB leaves.
static bool is_leaf(uint64_t pte, unsigned level)
{
    return level == 1 || ((level == 2 || level == 3) && (pte >> 7 & 1));
}

static bool reserved_set(const struct naive_vtd *hw, uint64_t pte, unsigned level)
{
    bool has_device_tlbs = hw->ecap >> 2 & 1;
    bool has_snoop_control = hw->ecap >> 7 & 1;
    if (hw->haw <= 51 && any(pte, 51, hw->haw))
        return true;
    if (!is_leaf(pte, level))
        // Page size is reserved above level 3, the snoop and transient bits in all that is no leaf.
        return (level >= 4 && any(pte, 7, 7)) || any(pte, 11, 11) || any(pte, 62, 62);
    if (!has_snoop_control && any(pte, 11, 11))
        return true;
    if (!has_device_tlbs && any(pte, 62, 62))
        return true;
    if (level == 2) // CAP.SLLPS bit 0: 2-MiB leaves
        return !(hw->cap >> 34 & 1) || any(pte, 20, 12);
    if (level == 3) // bit 1: 1-GiB leaves
        return !(hw->cap >> 35 & 1) || any(pte, 29, 12);
    return false;
}

static struct naive_result walk_second(const struct naive_vtd *hw, const struct naive_context *context,
                                       uint64_t iova, bool write, bool *page_r, bool *page_w)
{
    unsigned levels = context->aw + 2;
    unsigned width = 12 + 9 * levels;
    unsigned mgaw = (unsigned)(hw->cap >> 16 & 0x3F) + 1;
    if (mgaw < width)
        width = mgaw;
    if (width < 64 && iova >> width)
        return fault(NAIVE_BEYOND_WIDTH, context->fpd);
    if (context->stage == 4) {
        if (page_r)
            *page_r = true;
        if (page_w)
            *page_w = true;
        return (struct naive_result){.ok = true, .pa = iova};
    }

    uint64_t table = context->root;
    bool r = true, w = true;
    for (unsigned level = levels; level >= 1; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t pte;
        if (!hw->read64(hw->ctx, table + (iova >> shift & 511) * 8, &pte))
            return fault(NAIVE_TABLE_ACCESS, context->fpd);
        r = r && (pte & 1);
        w = w && (pte & 2);
        if (!(pte & 3))
            return fault(write ? NAIVE_NO_WRITE : NAIVE_NO_READ, context->fpd);
        if (reserved_set(hw, pte, level))
            return fault(NAIVE_PTE_RESERVED, context->fpd);
        if (!is_leaf(pte, level)) {
            table = address_of(pte);
            continue;
        }
        if (page_r)
            *page_r = r;
        if (page_w)
            *page_w = w;
        if (write ? !w : !r)
            return fault(write ? NAIVE_NO_WRITE : NAIVE_NO_READ, context->fpd);
        uint64_t offset_mask = (1ull << shift) - 1;
        uint64_t pa = (address_of(pte) & ~offset_mask) | (iova & offset_mask);
        return (struct naive_result){.ok = true, .pa = pa};
    }
    return fault(NAIVE_PTE_RESERVED, context->fpd); // not reached: level 1 is always a leaf
}

// ---- first stage (3.6, 9.7) -------------------------------------------------------------------------------
static bool canonical(uint64_t iova, unsigned levels)
{
    unsigned top = 12 + 9 * levels - 1;
    return iova >> top == 0 || iova >> top == ~0ull >> top;
}

static bool first_reserved(const struct naive_vtd *hw, const struct naive_context *c, uint64_t pte,
                           unsigned level)
{
    bool large = (pte >> 7 & 1) && level > 1;
    if ((hw->haw <= 51 && any(pte, 51, hw->haw)) || ((pte >> 63) && !c->execute_disable))
        return true;
    if (!large)
        return false;
    if (level == 2)
        return any(pte, 20, 13);
    return level > 3 || !(hw->cap >> 56 & 1) || any(pte, 29, 13);
}

// Where an address of the first stage's tables lies: itself, or what the second stage says about it.
static bool first_address(const struct naive_vtd *hw, const struct naive_context *c, uint64_t at, bool write,
                          uint64_t *pa)
{
    if (c->stage != 3) {
        *pa = at;
        return true;
    }
    struct naive_result r = walk_second(hw, c, at, write, NULL, NULL);
    *pa = r.pa;
    return r.ok;
}

// The hardware marks every entry that it uses, also on a way that ends in a fault: it may, and that is the
// harder case. Rights are looked at when the leaf is known.
static struct naive_result walk_first(const struct naive_vtd *hw, const struct naive_context *c,
                                      uint64_t iova, bool write, bool *page_r, bool *page_w)
{
    if (!canonical(iova, c->first_levels))
        return fault(NAIVE_NOT_CANONICAL, c->fpd);
    uint64_t table = c->first;
    bool user = true, writable = true;
    for (unsigned level = c->first_levels;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t pte, at;
        if (!first_address(hw, c, table + (iova >> shift & 511) * 8, false, &at) ||
            !hw->read64(hw->ctx, at, &pte))
            return fault(NAIVE_TABLE_ACCESS, c->fpd);
        if (!(pte & 1))
            return fault(NAIVE_FIRST_ABSENT, c->fpd);
        if (first_reserved(hw, c, pte, level))
            return fault(NAIVE_FIRST_RESERVED, c->fpd);
        user = user && (pte >> 2 & 1);
        writable = writable && (pte >> 1 & 1);
        bool leaf = level == 1 || (pte >> 7 & 1), allowed = user && (!write || writable);
        uint64_t marked = pte | 1 << 5 | (leaf && write && allowed ? 1 << 6 : 0);
        if (marked != pte && !first_address(hw, c, table + (iova >> shift & 511) * 8, true, &at))
            return fault(NAIVE_FIRST_MARK, c->fpd);
        if (marked != pte && hw->write64)
            hw->write64(hw->ctx, at, marked);
        if (!leaf) {
            table = address_of(pte);
            continue;
        }
        if (page_r)
            *page_r = user;
        if (page_w)
            *page_w = user && writable;
        if (!allowed)
            return fault(NAIVE_FIRST_RIGHTS, c->fpd);
        uint64_t offset_mask = (1ull << shift) - 1;
        return (struct naive_result){.ok = true,
                                     .pa = (address_of(pte) & ~offset_mask) | (iova & offset_mask)};
    }
}

struct naive_result naive_vtd_walk(const struct naive_vtd *hw, const struct naive_context *c, uint64_t iova,
                                   bool write, bool *page_r, bool *page_w)
{
    if (c->stage == 2 || c->stage == 4)
        return walk_second(hw, c, iova, write, page_r, page_w);
    bool r1 = false, w1 = false, r2 = true, w2 = true;
    struct naive_result result = walk_first(hw, c, iova, write, &r1, &w1);
    if (result.ok && c->stage == 3)
        result = walk_second(hw, c, result.pa, write, &r2, &w2);
    if (page_r)
        *page_r = r1 && r2;
    if (page_w)
        *page_w = w1 && w2;
    return result;
}

struct naive_result naive_vtd_translate_pasid(const struct naive_vtd *hw, unsigned rid, unsigned pasid,
                                              uint64_t iova, bool write)
{
    if (write && iova >> 20 == 0xFEE)
        return fault(NAIVE_INTERRUPT, false);
    struct naive_context context = naive_vtd_context_pasid(hw, rid, pasid);
    if (context.reason != NAIVE_OK)
        return fault(context.reason, context.fpd);
    return naive_vtd_walk(hw, &context, iova, write, NULL, NULL);
}

struct naive_result naive_vtd_translate(const struct naive_vtd *hw, unsigned rid, uint64_t iova, bool write)
{
    return naive_vtd_translate_pasid(hw, rid, NAIVE_NO_PASID, iova, write);
}

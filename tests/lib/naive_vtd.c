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

struct naive_context naive_vtd_context(const struct naive_vtd *hw, unsigned rid)
{
    uint64_t low, high;
    if (hw->rtaddr >> 10 & 3)
        return context_fault(NAIVE_NOT_LEGACY, false);

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
    };
    if (!type_valid(hw, context.type, context.aw))
        return context_fault(NAIVE_CONTEXT_INVALID, fpd);
    return context;
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

struct naive_result naive_vtd_walk(const struct naive_vtd *hw, const struct naive_context *context,
                                   uint64_t iova, bool write, bool *page_r, bool *page_w)
{
    unsigned levels = context->aw + 2;
    unsigned width = 12 + 9 * levels;
    unsigned mgaw = (unsigned)(hw->cap >> 16 & 0x3F) + 1;
    if (mgaw < width)
        width = mgaw;
    if (width < 64 && iova >> width)
        return fault(NAIVE_BEYOND_WIDTH, context->fpd);
    if (context->type == 2) {
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

struct naive_result naive_vtd_translate(const struct naive_vtd *hw, unsigned rid, uint64_t iova, bool write)
{
    if (write && iova >> 20 == 0xFEE)
        return fault(NAIVE_INTERRUPT, false);
    struct naive_context context = naive_vtd_context(hw, rid);
    if (context.reason != NAIVE_OK)
        return fault(context.reason, context.fpd);
    return naive_vtd_walk(hw, &context, iova, write, NULL, NULL);
}

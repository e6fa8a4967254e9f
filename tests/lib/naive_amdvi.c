// SPDX-License-Identifier: MIT
#include "naive_amdvi.h"

#include <stddef.h>

static uint64_t bits(uint64_t v, unsigned high, unsigned low)
{
    uint64_t out = 0;
    for (unsigned bit = low; bit <= high; bit++)
        out |= (v >> bit & 1) << (bit - low);
    return out;
}

static uint64_t address_of(const struct naive_amdvi *hw, uint64_t v)
{
    return v & 0x000FFFFFFFFFF000ull & ~hw->encrypt;
}

static struct naive_amd_result fault(enum naive_amd_reason reason)
{
    return (struct naive_amd_result){.reason = reason};
}

static struct naive_amd_result found(uint64_t pa, bool allowed, bool unsure)
{
    return (struct naive_amd_result){
        .ok = allowed, .pa = pa, .reason = allowed ? NAIVE_AMD_OK : NAIVE_AMD_RIGHTS, .unsure = unsure};
}

// ---- host tables
// ------------------------------------------------------------------------------------------- A page whose
// size is in its address: the number of ones from bit 12 up, k, says 2^(13 + k) bytes.
static unsigned size_shift(uint64_t address)
{
    unsigned k = 0;
    while (address >> (12 + k) & 1)
        k++;
    return 13 + k;
}

// Whether all entries that the page spans say the same. Accessed, dirty and ignored bits do not count.
static bool all_alike(const struct naive_amdvi *hw, uint64_t table, uint64_t index, uint64_t pte,
                      unsigned log2)
{
    const uint64_t counts = 1ull | 7ull << 9 | 0x000FFFFFFFFFF000ull | 0x1Full << 52 | 3ull << 61;
    uint64_t first = index >> log2 << log2;
    for (uint64_t i = first; i < first + (1ull << log2); i++) {
        uint64_t other;
        if (!hw->read64(hw->ctx, table + i * 8, &other) ||
            (other & counts & ~hw->encrypt) != (pte & counts & ~hw->encrypt))
            return false;
    }
    return true;
}

struct naive_amd_result naive_amdvi_host(const struct naive_amdvi *hw, uint64_t root, unsigned mode,
                                         uint64_t iova, bool write)
{
    if (mode < 6 && iova >> (12 + 9 * mode))
        return fault(NAIVE_AMD_WIDTH);
    uint64_t table = root;
    bool allowed = true;
    for (unsigned level = mode;;) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t index = iova >> shift & 511, pte;
        if (!hw->read64(hw->ctx, table + index * 8, &pte))
            return fault(NAIVE_AMD_TABLE_ACCESS);
        if (!(pte & 1))
            return fault(NAIVE_AMD_ABSENT);
        if (bits(pte, 56, 52))
            return fault(NAIVE_AMD_RESERVED);
        allowed = allowed && (write ? pte >> 62 & 1 : pte >> 61 & 1);
        unsigned next = (unsigned)bits(pte, 11, 9);
        uint64_t address = address_of(hw, pte);
        if (next == 7) {
            unsigned size = size_shift(address);
            uint64_t mask = (1ull << size) - 1;
            bool fits = size > shift && size < shift + 9;
            bool unsure = !fits || !all_alike(hw, table, index, pte, size - shift);
            return found((address & ~mask) | (iova & mask), allowed, unsure);
        }
        if (next == 0 || level == 1) {
            uint64_t mask = (1ull << shift) - 1;
            // Pages of 512 GiB are known to be broken; there are none at level 6.
            bool unsure = level == 4 || level == 6 || (address & mask) || (level == 1 && next != 0);
            return found((address & ~mask) | (iova & mask), allowed, unsure);
        }
        if (next >= level)
            return fault(NAIVE_AMD_RESERVED);
        if (next < level - 1 && bits(iova, shift - 1, 12 + 9 * next))
            return fault(NAIVE_AMD_SKIPPED);
        table = address;
        level = next;
    }
}

// ---- guest tables: those of the CPU ----------------------------------------------------------------------
static struct naive_amd_result through_host(const struct naive_amdvi *hw, uint64_t host_root,
                                            unsigned host_mode, uint64_t gpa, bool write)
{
    if (host_mode == 0)
        return found(gpa, true, false);
    return naive_amdvi_host(hw, host_root, host_mode, gpa, write);
}

static bool guest_reserved(const struct naive_amdvi *hw, uint64_t pte, unsigned level, bool leaf)
{
    if (hw->haw < 52 && (bits(pte & ~hw->encrypt, 51, hw->haw)))
        return true;
    if (level > 3)
        return pte >> 7 & 1;
    if (!leaf || level == 1)
        return false;
    pte &= ~hw->encrypt;
    return level == 2 ? bits(pte, 20, 13) : !hw->guest_1g || bits(pte, 29, 13);
}

struct naive_amd_result naive_amdvi_guest(const struct naive_amdvi *hw, uint64_t cr3, unsigned levels,
                                          uint64_t host_root, unsigned host_mode, uint64_t iova, bool write)
{
    unsigned top = 12 + 9 * levels - 1;
    uint64_t table = cr3;
    bool allowed = true, unsure = false;
    if (iova >> top != 0 && iova >> top != ~0ull >> top)
        return fault(NAIVE_AMD_WIDTH);
    for (unsigned level = levels;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        struct naive_amd_result at =
            through_host(hw, host_root, host_mode, table + (iova >> shift & 511) * 8, false);
        uint64_t pte;
        if (!at.ok)
            return at;
        unsure = unsure || at.unsure;
        if (!hw->read64(hw->ctx, at.pa, &pte))
            return fault(NAIVE_AMD_TABLE_ACCESS);
        if (!(pte & 1))
            return fault(NAIVE_AMD_ABSENT);
        bool leaf = level == 1 || (level <= 3 && (pte >> 7 & 1));
        if (guest_reserved(hw, pte, level, leaf))
            return fault(NAIVE_AMD_RESERVED);
        allowed = allowed && (hw->supervisor || (pte >> 2 & 1)) && (!write || (pte >> 1 & 1));
        if (!leaf) {
            table = address_of(hw, pte);
            continue;
        }
        uint64_t mask = (1ull << shift) - 1, gpa = (address_of(hw, pte) & ~mask) | (iova & mask);
        if (!allowed)
            return fault(NAIVE_AMD_RIGHTS);
        struct naive_amd_result r = through_host(hw, host_root, host_mode, gpa, write);
        r.unsure = r.unsure || unsure;
        return r;
    }
}

// ---- the device table ------------------------------------------------------------------------------------
static uint64_t gcr3_root(const uint64_t dte[4])
{
    return bits(dte[0], 60, 58) << 12 | bits(dte[1], 31, 16) << 15 | bits(dte[1], 63, 43) << 31;
}

// The CR3 of a PASID; 9 bits of it for each level of the GCR3 table.
static bool guest_cr3(const struct naive_amdvi *hw, const uint64_t dte[4], unsigned host_mode, unsigned pasid,
                      uint64_t *cr3)
{
    unsigned levels = (unsigned)bits(dte[0], 57, 56) + 1;
    uint64_t table = gcr3_root(dte), entry = 0;
    if (pasid >> (9 * levels))
        return false;
    for (unsigned level = levels; level >= 1; level--) {
        uint64_t gpa = table + (pasid >> (9 * (level - 1)) & 511) * 8;
        struct naive_amd_result at = through_host(hw, address_of(hw, dte[0]), host_mode, gpa, false);
        if (!at.ok || !hw->read64(hw->ctx, at.pa, &entry) || !(entry & 1))
            return false;
        table = address_of(hw, entry);
    }
    *cr3 = table;
    return true;
}

static struct naive_amd_result by_entry(const struct naive_amdvi *hw, const uint64_t dte[4], unsigned pasid,
                                        uint64_t iova, bool write)
{
    unsigned mode = (unsigned)bits(dte[0], 11, 9);
    bool guest = dte[0] >> 55 & 1, without = dte[0] >> 54 & 1; // GV; GIOV: requests without PASID as well
    uint64_t cr3;
    if (bits(dte[0], 6, 2) || bits(dte[2], 53, 52) || bits(dte[3], 14, 0) || bits(dte[3], 52, 48) ||
        mode == 7)
        return fault(NAIVE_AMD_DTE_RESERVED);
    if (!(dte[0] >> 1 & 1))
        return fault(NAIVE_AMD_BLOCKED);
    if (guest && (bits(dte[0], 57, 56) == 3 || bits(dte[2], 55, 54) > 1)) // no such numbers of levels
        return fault(NAIVE_AMD_DTE_RESERVED);
    if (pasid != NAIVE_AMD_NO_PASID && !guest)
        return fault(NAIVE_AMD_PASID);
    if (!(write ? dte[0] >> 62 & 1 : dte[0] >> 61 & 1))
        return fault(NAIVE_AMD_RIGHTS);
    if (guest && (pasid != NAIVE_AMD_NO_PASID || without)) {
        if (!guest_cr3(hw, dte, mode, pasid == NAIVE_AMD_NO_PASID ? 0 : pasid, &cr3))
            return fault(NAIVE_AMD_PASID);
        return naive_amdvi_guest(hw, cr3, 4 + (unsigned)bits(dte[2], 55, 54), address_of(hw, dte[0]), mode,
                                 iova, write);
    }
    if (mode == 0)
        return found(iova, true, false);
    return naive_amdvi_host(hw, address_of(hw, dte[0]), mode, iova, write);
}

struct naive_amd_result naive_amdvi_by_entry(const struct naive_amdvi *hw, const uint64_t dte[4],
                                             unsigned pasid, uint64_t iova, bool write)
{
    if (!(dte[0] & 1))
        return found(iova, true, false); // all else in the entry is ignored
    struct naive_amd_result r = by_entry(hw, dte, pasid, iova, write);
    r.silent = dte[1] >> 34 & 1; // SA
    return r;
}

struct naive_amd_result naive_amdvi_translate(const struct naive_amdvi *hw, unsigned devid, unsigned pasid,
                                              uint64_t iova, bool write)
{
    uint64_t dte[4];
    if (devid >= hw->entries)
        return fault(NAIVE_AMD_DTE_RANGE);
    for (unsigned i = 0; i < 4; i++)
        if (!hw->read64(hw->ctx, hw->device_table + devid * 32ull + i * 8, &dte[i]))
            return fault(NAIVE_AMD_TABLE_ACCESS);
    return naive_amdvi_by_entry(hw, dte, pasid, iova, write);
}

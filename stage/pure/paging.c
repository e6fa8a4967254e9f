// SPDX-License-Identifier: MIT
// Intel SDM volume 3, 4.5 "4-level paging and 5-level paging".
#include "paging.h"

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_WT (1ull << 3)
#define PTE_CD (1ull << 4)
#define PTE_A  (1ull << 5)
#define PTE_D  (1ull << 6)
#define PTE_PS (1ull << 7)
// Software bit: an entry that is not present and must stay so.
#define PTE_HOLE        (1ull << 9)
#define PTE_ADDRESS     0x000FFFFFFFFFF000ull

#define MAX_DEVICE_MAPS 1024u

static dam_err new_table(struct paging *paging, uint64_t **out)
{
    if (paging->pages_used < PAGING_OWN_PAGES) {
        *out = (uint64_t *)(void *)(paging->pages + (size_t)paging->pages_used++ * DAM_PAGE_SIZE);
        return DAM_OK;
    }
    void *page;
    dam_err err = dam_arena_pages(paging->pool, 1, &page);
    if (!err)
        *out = page;
    return err;
}

dam_err paging_init(struct paging *paging, unsigned levels, bool giant, unsigned width, uint8_t *pages,
                    struct dam_arena *pool)
{
    *paging = (struct paging){.levels = levels, .giant = giant, .pool = pool, .pages = pages};
    unsigned half = levels == 5 ? 56 : 47;
    paging->limit = 1ull << (width < half ? width : half);
    return new_table(paging, &paging->root);
}

static uint64_t leaf_bits(enum paging_kind kind)
{
    switch (kind) {
    case PAGING_READ:
        return PTE_P | PTE_A;
    case PAGING_WRITE:
        return PTE_P | PTE_W | PTE_A | PTE_D;
    case PAGING_DEVICE:
        return PTE_P | PTE_W | PTE_CD | PTE_WT | PTE_A | PTE_D;
    case PAGING_HOLE:
    default:
        return PTE_HOLE;
    }
}

static unsigned level_shift(unsigned level) // level 0 is the leaf level
{
    return DAM_PAGE_SHIFT + 9 * level;
}

// Maps one page, the largest that begins at `at`, ends by `end` and meets no table; *size is its size. What
// is there already is skipped.
static dam_err map_one(struct paging *paging, uint64_t at, uint64_t end, enum paging_kind kind,
                       uint64_t *size)
{
    uint64_t *table = paging->root;
    unsigned top_leaf = kind == PAGING_HOLE ? 0 : paging->giant ? 2 : 1;
    for (unsigned level = paging->levels - 1;; level--) {
        unsigned shift = level_shift(level);
        uint64_t *entry = &table[(at >> shift) & 511], page = 1ull << shift;
        bool fits = level <= top_leaf && (at & (page - 1)) == 0 && end - at >= page;
        if (*entry && (level == 0 || (*entry & PTE_PS) || !(*entry & PTE_P))) {
            *size = page - (at & (page - 1));
            return DAM_OK;
        }
        if (!*entry && (level == 0 || fits)) {
            uint64_t bits = leaf_bits(kind);
            *entry = (bits & PTE_P ? at : 0) | bits | (level && (bits & PTE_P) ? PTE_PS : 0);
            *size = page;
            return DAM_OK;
        }
        if (!*entry) {
            uint64_t *next;
            dam_err err = new_table(paging, &next);
            if (err)
                return err;
            *entry = (uint64_t)next | PTE_P | PTE_W | PTE_A;
        }
        table = (uint64_t *)(*entry & PTE_ADDRESS);
    }
}

dam_err paging_map(struct paging *paging, uint64_t start, uint64_t end, enum paging_kind kind)
{
    if (end > paging->limit || start >= end)
        return start >= end ? DAM_OK : DAM_E_RANGE;
    end = dam_align_up(end, DAM_PAGE_SIZE);
    for (uint64_t at = dam_align_down(start, DAM_PAGE_SIZE); at < end;) {
        uint64_t size;
        dam_err err = map_one(paging, at, end, kind, &size);
        if (err)
            return err;
        at += size;
    }
    return DAM_OK;
}

// The level of the entry that maps pa, or of the empty entry where the walk ends; *empty says which.
static unsigned lookup(const struct paging *paging, uint64_t pa, bool *empty)
{
    const uint64_t *table = paging->root;
    for (unsigned level = paging->levels - 1;; level--) {
        uint64_t entry = table[(pa >> level_shift(level)) & 511];
        *empty = !(entry & PTE_P);
        if (*empty || level == 0 || (entry & PTE_PS))
            return level;
        table = (const uint64_t *)(entry & PTE_ADDRESS);
    }
}

dam_err paging_map_device(struct paging *paging, uint64_t pa)
{
    if (pa >= paging->limit)
        return DAM_E_RANGE;
    bool empty;
    unsigned level = lookup(paging, pa, &empty);
    if (!empty)
        return DAM_OK;
    if (paging->device_maps++ >= MAX_DEVICE_MAPS)
        return DAM_E_BUDGET;
    uint64_t size = 1ull << level_shift(level >= 1 ? 1 : 0), start = dam_align_down(pa, size);
    return paging_map(paging, start, start + size, PAGING_DEVICE);
}

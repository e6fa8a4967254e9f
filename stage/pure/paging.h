// SPDX-License-Identifier: MIT
// The stage's own identity map. The tables found at entry map no device, write where they like, and lie in
// memory of which we know little; ours map what is known to be memory, read-only but for our own part of it,
// and device registers uncached when they are first used.
#ifndef STAGE_PAGING_H
#define STAGE_PAGING_H

#include <cofferdam/arena.h>

enum paging_kind {
    PAGING_READ,   // write-back, read-only
    PAGING_WRITE,  // write-back, writable
    PAGING_DEVICE, // uncached, writable
    PAGING_HOLE,   // stays unmapped, whatever is asked for later
};

struct paging {
    uint64_t *root;
    unsigned levels; // 4 or 5
    bool giant;      // 1-GiB pages
    uint64_t limit;  // first address that cannot be mapped: physical width, and half of the address space
    struct dam_arena *pool;
    uint8_t *pages; // PAGING_OWN_PAGES
    uint32_t pages_used;
    uint32_t device_maps;
};

// Page-table pages that need nothing of the pool.
#define PAGING_OWN_PAGES 96u

// Starts with an empty tree. levels: 4 or 5, what CR4.LA57 says. giant: the CPU has 1-GiB pages. width: bits
// of a physical address, at most 52. pages: PAGING_OWN_PAGES zeroed pages, 4-KiB aligned; when they are used
// up, tables come from pool. Both are seen at their physical addresses.
DAM_MUST_CHECK dam_err paging_init(struct paging *paging, unsigned levels, bool giant, unsigned width,
                                   uint8_t *pages, struct dam_arena *pool);

// Identity-maps [start, end), rounded outwards to 4 KiB, with the largest pages that fit. What is mapped
// already stays as it is. DAM_E_RANGE beyond the limit, DAM_E_NOMEM when the pool is used up.
DAM_MUST_CHECK dam_err paging_map(struct paging *paging, uint64_t start, uint64_t end, enum paging_kind kind);

// Maps the device registers around pa (2 MiB at once where nothing else lies) if they are not yet mapped.
// DAM_E_BUDGET after too many.
DAM_MUST_CHECK dam_err paging_map_device(struct paging *paging, uint64_t pa);

#endif

// SPDX-License-Identifier: MIT
// The pool's allocator: table pages from the bottom up, small records from the top down, nothing is ever
// freed.
#ifndef COFFERDAM_ARENA_H
#define COFFERDAM_ARENA_H

#include <cofferdam/types.h>

struct dam_arena {
    uint8_t *base; // where the CPU sees the pool; 4-KiB aligned
    dam_pa pa;     // where devices see it; 4-KiB aligned
    uint64_t size; // bytes, a multiple of 4 KiB
    uint64_t low;  // bytes used from the bottom: pages
    uint64_t high; // bytes used from the top: records
};

// base and pa are 4-KiB aligned, size a multiple of 4 KiB; the memory must be zero.
void dam_arena_init(struct dam_arena *arena, void *base, dam_pa pa, uint64_t size);
// count zeroed 4-KiB pages in a row. DAM_E_NOMEM when they do not fit.
DAM_MUST_CHECK dam_err dam_arena_pages(struct dam_arena *arena, size_t count, void **out);
// size zeroed bytes, 16-byte aligned. DAM_E_NOMEM when they do not fit.
DAM_MUST_CHECK dam_err dam_arena_record(struct dam_arena *arena, size_t size, void **out);
// Gives back the pages from `low` up (an earlier value of arena->low) and zeroes them.
void dam_arena_release(struct dam_arena *arena, uint64_t low);
// The same for records: those made since arena->high was `high`.
void dam_arena_release_records(struct dam_arena *arena, uint64_t high);
// Physical address of a pointer into the arena; the CPU pointer of a physical address in it, or NULL.
dam_pa dam_arena_pa(const struct dam_arena *arena, const void *p);
void *dam_arena_ptr(const struct dam_arena *arena, dam_pa pa);
// Bytes in use, both ends.
uint64_t dam_arena_used(const struct dam_arena *arena);

#endif

// SPDX-License-Identifier: MIT
#include <cofferdam/arena.h>

#include <string.h>

void dam_arena_init(struct dam_arena *arena, void *base, dam_pa pa, uint64_t size)
{
    *arena = (struct dam_arena){.base = base, .pa = pa, .size = size};
}

dam_err dam_arena_pages(struct dam_arena *arena, size_t count, void **out)
{
    uint64_t left = arena->size - arena->low - arena->high;
    if (count > left / DAM_PAGE_SIZE)
        return DAM_E_NOMEM;
    *out = arena->base + arena->low;
    arena->low += count * (uint64_t)DAM_PAGE_SIZE;
    return DAM_OK;
}

dam_err dam_arena_record(struct dam_arena *arena, size_t size, void **out)
{
    uint64_t left = arena->size - arena->low - arena->high;
    if (size > left || dam_align_up(size, 16) > left)
        return DAM_E_NOMEM;
    arena->high += dam_align_up(size, 16);
    *out = arena->base + (arena->size - arena->high);
    return DAM_OK;
}

void dam_arena_release(struct dam_arena *arena, uint64_t low)
{
    memset(arena->base + low, 0, arena->low - low);
    arena->low = low;
}

void dam_arena_release_records(struct dam_arena *arena, uint64_t high)
{
    memset(arena->base + (arena->size - arena->high), 0, arena->high - high);
    arena->high = high;
}

dam_pa dam_arena_pa(const struct dam_arena *arena, const void *p)
{
    return dam_pa_of(arena->pa.v + (uint64_t)((const uint8_t *)p - arena->base));
}

void *dam_arena_ptr(const struct dam_arena *arena, dam_pa pa)
{
    if (pa.v < arena->pa.v || pa.v - arena->pa.v >= arena->size)
        return NULL;
    return arena->base + (pa.v - arena->pa.v);
}

uint64_t dam_arena_used(const struct dam_arena *arena)
{
    return arena->low + arena->high;
}

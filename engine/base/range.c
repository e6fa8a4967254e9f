// SPDX-License-Identifier: MIT
#include <cofferdam/range.h>

#include <string.h>

void dam_ranges_init(struct dam_ranges *set, struct dam_range *storage, size_t capacity)
{
    set->at = storage;
    set->count = 0;
    set->capacity = capacity;
}

dam_err dam_ranges_add(struct dam_ranges *set, uint64_t start, uint64_t end)
{
    if (end <= start)
        return DAM_OK;
    // first: the first range that touches [start, end) or lies behind it; last: one past the last that
    // touches.
    size_t first = 0;
    while (first < set->count && set->at[first].end < start)
        first++;
    size_t last = first;
    while (last < set->count && set->at[last].start <= end)
        last++;
    if (first == last) {
        if (set->count == set->capacity)
            return DAM_E_NOMEM;
        memmove(&set->at[first + 1], &set->at[first], (set->count - first) * sizeof(set->at[0]));
        set->at[first] = (struct dam_range){start, end};
        set->count++;
        return DAM_OK;
    }
    if (set->at[first].start < start)
        start = set->at[first].start;
    if (set->at[last - 1].end > end)
        end = set->at[last - 1].end;
    set->at[first] = (struct dam_range){start, end};
    memmove(&set->at[first + 1], &set->at[last], (set->count - last) * sizeof(set->at[0]));
    set->count -= last - first - 1;
    return DAM_OK;
}

dam_err dam_ranges_remove(struct dam_ranges *set, uint64_t start, uint64_t end)
{
    if (end <= start)
        return DAM_OK;
    for (size_t i = 0; i < set->count;) {
        struct dam_range *r = &set->at[i];
        if (r->end <= start || r->start >= end) {
            i++;
        } else if (r->start < start && r->end > end) {
            if (set->count == set->capacity)
                return DAM_E_NOMEM;
            memmove(r + 1, r, (set->count - i) * sizeof(*r));
            set->count++;
            r->end = start;
            r[1].start = end;
            return DAM_OK;
        } else if (r->start < start) {
            r->end = start;
            i++;
        } else if (r->end > end) {
            r->start = end;
            i++;
        } else {
            memmove(r, r + 1, (set->count - i - 1) * sizeof(*r));
            set->count--;
        }
    }
    return DAM_OK;
}

const struct dam_range *dam_ranges_find(const struct dam_ranges *set, uint64_t start, uint64_t size)
{
    uint64_t last = start + size - 1;
    if (last < start)
        last = ~0ull;
    for (size_t i = 0; i < set->count && set->at[i].start <= last; i++)
        if (set->at[i].end > start)
            return &set->at[i];
    return NULL;
}

bool dam_ranges_overlap(const struct dam_ranges *set, uint64_t start, uint64_t size)
{
    return dam_ranges_find(set, start, size) != NULL;
}

bool dam_ranges_contain(const struct dam_ranges *set, uint64_t start, uint64_t size)
{
    const struct dam_range *r = dam_ranges_find(set, start, size);
    return r && r->start <= start && start + (size - 1) >= start && r->end - 1 >= start + (size - 1);
}

// SPDX-License-Identifier: MIT
// Pages of tables, as ranges. They come in any order and there may be millions, so that they are sorted in
// batches and merged; when the ranges become too many, the gaps between the nearest are filled.
#include <stdlib.h>
#include <string.h>

#include "inspect/model_own.h"

bool inspect_pages_begin(struct inspect_pages *p)
{
    size_t most = PAGES_RANGES + PAGES_WAITING;
    p->waiting = malloc(PAGES_WAITING * sizeof *p->waiting);
    p->ranges = malloc(most * sizeof *p->ranges);
    p->merged = malloc(most * sizeof *p->merged);
    p->granule = DAM_PAGE_SIZE;
    p->count = p->range_count = 0;
    return p->waiting != NULL && p->ranges != NULL && p->merged != NULL;
}

void inspect_pages_end(struct inspect_pages *p)
{
    free(p->waiting);
    free(p->ranges);
    free(p->merged);
    *p = (struct inspect_pages){0};
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// Adds [start, end), which begins at or behind the last range, to the merged ones.
static size_t append(struct dam_range *to, size_t count, uint64_t start, uint64_t end)
{
    if (count && start <= to[count - 1].end) {
        if (end > to[count - 1].end)
            to[count - 1].end = end;
        return count;
    }
    to[count] = (struct dam_range){start, end};
    return count + 1;
}

static void coarsen(struct inspect_pages *p)
{
    size_t count = 0;
    p->granule *= 2;
    for (size_t i = 0; i < p->range_count; i++)
        count = append(p->ranges, count, dam_align_down(p->ranges[i].start, p->granule),
                       dam_align_up(p->ranges[i].end, p->granule));
    p->range_count = count;
}

static void flush(struct inspect_pages *p)
{
    size_t r = 0, w = 0, count = 0;
    qsort(p->waiting, p->count, sizeof *p->waiting, by_address);
    while (r < p->range_count || w < p->count) {
        uint64_t page = w < p->count ? dam_align_down(p->waiting[w], p->granule) : 0;
        if (w == p->count || (r < p->range_count && p->ranges[r].start <= page)) {
            count = append(p->merged, count, p->ranges[r].start, p->ranges[r].end);
            r++;
        } else {
            count = append(p->merged, count, page, page + p->granule);
            w++;
        }
    }
    struct dam_range *old = p->ranges;
    p->ranges = p->merged;
    p->merged = old;
    p->range_count = count;
    p->count = 0;
    while (p->range_count > PAGES_RANGES)
        coarsen(p);
}

void inspect_pages_add(struct inspect_pages *p, uint64_t pa)
{
    if (p->count == PAGES_WAITING)
        flush(p);
    p->waiting[p->count++] = pa;
}

struct dam_ranges inspect_pages_ranges(struct inspect_pages *p)
{
    flush(p);
    return (struct dam_ranges){p->ranges, p->range_count, p->range_count};
}

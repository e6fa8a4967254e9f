// SPDX-License-Identifier: MIT
// A bitmap of page frames that lies in a dump: bit n (the lowest of byte n / 8 first) is page frame n. Of a
// large machine it is too large to keep: what is kept is how many bits are set in front of each block.
#ifndef TOOL_INSPECT_PAGE_BITMAP_H
#define TOOL_INSPECT_PAGE_BITMAP_H

#include <cofferdam/types.h>

#include "source.h"

struct page_bitmap; // page_bitmap.c

// The bitmap of `pages` bits at offset of the source, which must stay. Reads all of it once. TOOL_BAD_INPUT:
// it is not all there.
TOOL_MUST_CHECK enum tool_status page_bitmap_open(const struct dump_source *source, uint64_t offset,
                                                  uint64_t pages, struct page_bitmap **out,
                                                  struct tool_error *error);
void page_bitmap_close(struct page_bitmap *bitmap); // NULL does no harm
// How many bits are set.
uint64_t page_bitmap_count(const struct page_bitmap *bitmap);
// *before: how many bits are set in front of that of page, which is set. DAM_E_ABSENT: it is not set, or
// there is none. DAM_E_IO: the source can no longer be read.
DAM_MUST_CHECK dam_err page_bitmap_index(struct page_bitmap *bitmap, uint64_t page, uint64_t *before);
// The first run of set bits at or behind *page: [*page, *end). false: there are no more.
bool page_bitmap_next(struct page_bitmap *bitmap, uint64_t *page, uint64_t *end);

#endif

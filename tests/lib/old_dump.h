// SPDX-License-Identifier: MIT
// A dump for tests: a piece of memory of a test machine, pages of which may be left out, and a note.
#ifndef TESTS_LIB_OLD_DUMP_H
#define TESTS_LIB_OLD_DUMP_H

#include "inspect/memory.h"

#define OLD_DUMP_PAGES 2048u

struct old_dump {
    const uint8_t *host; // shows [pa, pa+size)
    uint64_t pa, size;
    bool gone[OLD_DUMP_PAGES]; // by page from pa: RAM that the dump does not hold
    bool damaged[OLD_DUMP_PAGES];
    const uint8_t *note; // NULL: none
    size_t note_size;
    uint64_t reads;
    struct dam_range range[1];
    struct dam_ranges ram;
};

// Begins a dump that holds all of [pa, pa+size). Aborts when that is more than OLD_DUMP_PAGES.
void old_dump_begin(struct old_dump *dump, const void *host, uint64_t pa, uint64_t size);
// The memory over it, which must stay; what is gone may change meanwhile.
struct memory *old_dump_open(struct old_dump *dump);
// Whether a page is RAM that is held.
bool old_dump_holds(const struct old_dump *dump, uint64_t pa);

#endif

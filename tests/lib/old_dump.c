// SPDX-License-Identifier: MIT
#include "lib/old_dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void old_dump_begin(struct old_dump *dump, const void *host, uint64_t pa, uint64_t size)
{
    if (size / DAM_PAGE_SIZE > OLD_DUMP_PAGES)
        abort();
    *dump = (struct old_dump){.host = host, .pa = pa, .size = size};
    dam_ranges_init(&dump->ram, dump->range, 1);
    if (dam_ranges_add(&dump->ram, pa, pa + size))
        abort();
}

bool old_dump_holds(const struct old_dump *dump, uint64_t pa)
{
    return pa >= dump->pa && pa - dump->pa < dump->size && !dump->gone[(pa - dump->pa) / DAM_PAGE_SIZE];
}

static dam_err read_page(void *ctx, dam_pa pa, void *page, struct tool_error *why)
{
    struct old_dump *dump = ctx;
    dump->reads++;
    if (pa.v < dump->pa || pa.v - dump->pa >= dump->size)
        return DAM_E_RANGE;
    if (!old_dump_holds(dump, pa.v))
        return DAM_E_ABSENT;
    if (dump->damaged[(pa.v - dump->pa) / DAM_PAGE_SIZE]) {
        snprintf(why->text, sizeof why->text, "damaged");
        return DAM_E_IO;
    }
    memcpy(page, dump->host + (pa.v - dump->pa), DAM_PAGE_SIZE);
    return DAM_OK;
}

static bool next_held(void *ctx, uint64_t *start, uint64_t *end)
{
    const struct old_dump *dump = ctx;
    uint64_t at = *start > dump->pa ? dam_align_down(*start, DAM_PAGE_SIZE) : dump->pa;
    while (at < dump->pa + dump->size && !old_dump_holds(dump, at))
        at += DAM_PAGE_SIZE;
    if (at >= dump->pa + dump->size)
        return false;
    *start = *end = at;
    while (old_dump_holds(dump, *end))
        *end += DAM_PAGE_SIZE;
    return true;
}

struct memory *old_dump_open(struct old_dump *dump)
{
    const struct memory_provider p = {
        .ctx = dump,
        .read_page = read_page,
        .next_held = next_held,
        .about = {.format = "test", .ram = dump->size, .held = dump->size},
        .ram = &dump->ram,
        .note = dump->note,
        .note_size = dump->note_size,
    };
    return memory_new(&p);
}

// SPDX-License-Identifier: MIT
// What all kinds of memory share: pages come from a provider, and those that are read in parts are kept for a
// while. Whole pages go past the cache: a walk reads each table once, and would only drive out what is read
// again and again.
#include "inspect/memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOTS 64u

struct slot {
    uint64_t page; // physical address | 1; 0: empty
    uint8_t *bytes;
};

struct memory {
    struct memory_provider provider;
    struct tool_error problem;
    struct dam_ranges no_ram;
    bool scanned;   // for VMCOREINFO
    char *found;    // by that
    uint8_t *pages; // of the slots
    struct slot slots[SLOTS];
};

struct memory *memory_new(const struct memory_provider *provider)
{
    struct memory *m = calloc(1, sizeof *m);
    uint8_t *pages = aligned_alloc(DAM_PAGE_SIZE, (size_t)SLOTS * DAM_PAGE_SIZE);
    if (m == NULL || pages == NULL) {
        free(m);
        free(pages);
        return NULL;
    }
    m->provider = *provider;
    m->pages = pages;
    for (unsigned i = 0; i < SLOTS; i++)
        m->slots[i].bytes = pages + (size_t)i * DAM_PAGE_SIZE;
    return m;
}

void memory_close(struct memory *m)
{
    if (m == NULL)
        return;
    if (m->provider.close != NULL)
        m->provider.close(m->provider.ctx);
    free(m->pages);
    free(m);
}

// Neighbouring pages, and equal offsets in large structures, get different slots.
static struct slot *slot_of(struct memory *m, uint64_t page)
{
    uint64_t number = page >> DAM_PAGE_SHIFT;
    return &m->slots[(number ^ number >> 6 ^ number >> 12) % SLOTS];
}

static dam_err read_page(struct memory *m, uint64_t page, void *bytes)
{
    m->problem.text[0] = '\0';
    return m->provider.read_page(m->provider.ctx, dam_pa_of(page), bytes, &m->problem);
}

dam_err memory_read(struct memory *m, dam_pa pa, void *out, size_t size)
{
    uint64_t page = dam_align_down(pa.v, DAM_PAGE_SIZE), offset = pa.v - page;
    if (size > DAM_PAGE_SIZE - offset)
        return DAM_E_LENGTH;
    struct slot *slot = slot_of(m, page);
    bool kept = slot->page == (page | 1);
    if (!kept && size == DAM_PAGE_SIZE)
        return read_page(m, page, out);
    if (!kept) {
        slot->page = 0;
        dam_err err = read_page(m, page, slot->bytes);
        if (err)
            return err;
        slot->page = page | 1;
    }
    memcpy(out, slot->bytes + offset, size);
    return DAM_OK;
}

const char *memory_problem(const struct memory *m)
{
    return m->problem.text;
}

const struct dam_ranges *memory_ram(const struct memory *m)
{
    return m->provider.ram != NULL ? m->provider.ram : &m->no_ram;
}

bool memory_next_held(struct memory *m, uint64_t *start, uint64_t *end)
{
    return m->provider.next_held(m->provider.ctx, start, end);
}

const struct memory_about *memory_about(const struct memory *m)
{
    return &m->provider.about;
}

const char *memory_vmcoreinfo(const struct memory *m, size_t *size)
{
    *size = m->provider.vmcoreinfo != NULL ? m->provider.vmcoreinfo_size : 0;
    return m->provider.vmcoreinfo;
}

const uint8_t *memory_note(const struct memory *m, size_t *size)
{
    *size = m->provider.note != NULL ? m->provider.note_size : 0;
    return m->provider.note;
}

// ---- the seam of the engine ------------------------------------------------------------------------------
static dam_err mem_read(void *ctx, dam_pa pa, void *buf, size_t len)
{
    uint8_t *to = buf;
    if (len > 0 && pa.v + (len - 1) < pa.v)
        return DAM_E_RANGE;
    for (size_t done = 0, part; done < len; done += part) {
        uint64_t at = pa.v + done;
        part = DAM_PAGE_SIZE - (size_t)(at % DAM_PAGE_SIZE);
        if (part > len - done)
            part = len - done;
        dam_err err = memory_read(ctx, dam_pa_of(at), to + done, part);
        if (err)
            return err;
    }
    return DAM_OK;
}

static uint64_t clock_us(void *ctx)
{
    struct timespec now = {0};
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

struct dam_ops memory_ops(struct memory *m)
{
    return (struct dam_ops){.ctx = m, .mem_read = mem_read, .clock_us = clock_us};
}

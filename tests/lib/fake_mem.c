// SPDX-License-Identifier: MIT
#include "lib/fake_mem.h"

#include <stdlib.h>
#include <string.h>

struct fake_page {
    struct fake_page *next;
    uint64_t number;
    uint8_t bytes[DAM_PAGE_SIZE];
};

static struct fake_page *find(const struct fake_mem *mem, uint64_t number)
{
    for (struct fake_page *page = mem->pages; page; page = page->next)
        if (page->number == number)
            return page;
    return NULL;
}

static struct fake_page *find_or_add(struct fake_mem *mem, uint64_t number)
{
    struct fake_page *page = find(mem, number);
    if (page)
        return page;
    page = calloc(1, sizeof(*page));
    if (!page)
        abort();
    page->number = number;
    page->next = mem->pages;
    mem->pages = page;
    return page;
}

// Bytes from pa to the end of its page, at most len.
static size_t in_page(uint64_t pa, size_t len)
{
    size_t left = DAM_PAGE_SIZE - (size_t)(pa % DAM_PAGE_SIZE);
    return left < len ? left : len;
}

// Counts a call; false when this one is to fail.
static bool allowed(struct fake_mem *mem)
{
    return ++mem->calls != mem->fail_at;
}

static dam_err mem_read(void *ctx, dam_pa pa, void *buf, size_t len)
{
    struct fake_mem *mem = ctx;
    uint8_t *to = buf;

    if (!allowed(mem))
        return DAM_E_IO;
    if (len > 0 && pa.v + (len - 1) < pa.v)
        return DAM_E_RANGE;
    if (mem->before_read)
        mem->before_read(mem->hook_ctx, pa.v, len);
    for (size_t done = 0, part; done < len; done += part) {
        part = in_page(pa.v + done, len - done);
        const struct fake_page *page = find(mem, (pa.v + done) / DAM_PAGE_SIZE);
        if (!page)
            return DAM_E_RANGE;
        memcpy(to + done, page->bytes + (pa.v + done) % DAM_PAGE_SIZE, part);
    }
    mem->read_bytes += len;
    return DAM_OK;
}

static dam_err mmio_read(void *ctx, dam_pa pa, unsigned width, uint64_t *value)
{
    struct fake_mem *mem = ctx;
    if (!allowed(mem))
        return DAM_E_IO;
    return mem->mmio_read ? mem->mmio_read(mem->hook_ctx, pa.v, width, value) : DAM_E_UNSUPPORTED;
}

static dam_err mmio_write(void *ctx, dam_pa pa, unsigned width, uint64_t value)
{
    struct fake_mem *mem = ctx;
    if (!allowed(mem))
        return DAM_E_IO;
    return mem->mmio_write ? mem->mmio_write(mem->hook_ctx, pa.v, width, value) : DAM_E_UNSUPPORTED;
}

static dam_err port_read(void *ctx, uint16_t port, unsigned width, uint32_t *value)
{
    struct fake_mem *mem = ctx;
    if (!allowed(mem))
        return DAM_E_IO;
    return mem->port_read ? mem->port_read(mem->hook_ctx, port, width, value) : DAM_E_UNSUPPORTED;
}

static dam_err port_write(void *ctx, uint16_t port, unsigned width, uint32_t value)
{
    struct fake_mem *mem = ctx;
    if (!allowed(mem))
        return DAM_E_IO;
    return mem->port_write ? mem->port_write(mem->hook_ctx, port, width, value) : DAM_E_UNSUPPORTED;
}

static uint64_t clock_us(void *ctx)
{
    struct fake_mem *mem = ctx;
    return mem->now_us++;
}

void fake_mem_init(struct fake_mem *mem)
{
    mem->ops = (struct dam_ops){
        .ctx = mem,
        .mem_read = mem_read,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .port_read = port_read,
        .port_write = port_write,
        .clock_us = clock_us,
    };
    mem->calls = mem->read_bytes = mem->now_us = 0;
    mem->pages = NULL;
}

void fake_mem_free(struct fake_mem *mem)
{
    while (mem->pages) {
        struct fake_page *page = mem->pages;
        mem->pages = page->next;
        free(page);
    }
}

void fake_mem_write(struct fake_mem *mem, uint64_t pa, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    for (size_t done = 0, part; done < len; done += part) {
        part = in_page(pa + done, len - done);
        struct fake_page *page = find_or_add(mem, (pa + done) / DAM_PAGE_SIZE);
        memcpy(page->bytes + (pa + done) % DAM_PAGE_SIZE, from + done, part);
    }
}

static void write_number(struct fake_mem *mem, uint64_t pa, uint64_t value, unsigned width)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    fake_mem_write(mem, pa, bytes, width);
}

void fake_mem_write_u8(struct fake_mem *mem, uint64_t pa, uint8_t value)
{
    write_number(mem, pa, value, 1);
}

void fake_mem_write_u16(struct fake_mem *mem, uint64_t pa, uint16_t value)
{
    write_number(mem, pa, value, 2);
}

void fake_mem_write_u32(struct fake_mem *mem, uint64_t pa, uint32_t value)
{
    write_number(mem, pa, value, 4);
}

void fake_mem_write_u64(struct fake_mem *mem, uint64_t pa, uint64_t value)
{
    write_number(mem, pa, value, 8);
}

void fake_mem_add(struct fake_mem *mem, uint64_t pa, uint64_t len)
{
    for (uint64_t number = pa / DAM_PAGE_SIZE; len && number <= (pa + (len - 1)) / DAM_PAGE_SIZE; number++)
        find_or_add(mem, number);
}

void fake_mem_remove(struct fake_mem *mem, uint64_t pa)
{
    for (struct fake_page **at = &mem->pages; *at; at = &(*at)->next) {
        if ((*at)->number == pa / DAM_PAGE_SIZE) {
            struct fake_page *page = *at;
            *at = page->next;
            free(page);
            return;
        }
    }
}

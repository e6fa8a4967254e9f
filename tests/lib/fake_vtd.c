// SPDX-License-Identifier: MIT
// The machine around the units: memory, clock, the ops, failures on demand.
#include "lib/fake_vtd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64u // bytes of a cache line

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

void fake_violation(struct fake_vtd *fake, const char *format, ...)
{
    if (fake->violations++ == 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(fake->violation, sizeof(fake->violation), format, args);
        va_end(args);
    }
}

// ---- memory ---------------------------------------------------------------------------------------------
struct fake_region *fake_region_at(struct fake_vtd *fake, uint64_t pa, uint64_t size)
{
    for (unsigned i = 0; i < fake->regions; i++) {
        struct fake_region *region = &fake->region[i];
        if (pa >= region->pa && pa - region->pa < region->size && size <= region->size - (pa - region->pa))
            return region;
    }
    return NULL;
}

void *fake_vtd_ptr(struct fake_vtd *fake, uint64_t pa, uint64_t size)
{
    struct fake_region *region = fake_region_at(fake, pa, size);
    return region ? region->host + (pa - region->pa) : NULL;
}

void fake_vtd_memory(struct fake_vtd *fake, uint64_t pa, void *host, uint64_t size)
{
    if (fake->regions == FAKE_MAX_REGIONS)
        abort();
    struct fake_region *region = &fake->region[fake->regions++];
    *region = (struct fake_region){.pa = pa, .size = size, .host = host};
}

// The last ones that were given back: tests make machines by the thousand, and fresh pages are slow.
static struct {
    uint8_t *bytes;
    uint64_t size;
} spare[4];

static uint8_t *take_spare(uint64_t size)
{
    for (unsigned i = 0; i < 4; i++) {
        if (spare[i].bytes && spare[i].size == size) {
            uint8_t *bytes = spare[i].bytes;
            spare[i].bytes = NULL;
            return bytes;
        }
    }
    return must(malloc(size));
}

static void give_spare(uint8_t *bytes, uint64_t size)
{
    for (unsigned i = 0; bytes && i < 4; i++) {
        if (!spare[i].bytes) {
            spare[i].bytes = bytes;
            spare[i].size = size;
            return;
        }
    }
    free(bytes);
}

void fake_vtd_settle(struct fake_vtd *fake)
{
    bool needed = false;
    for (unsigned i = 0; i < fake->units; i++)
        needed |= !(fake->unit[i].ecap & 1);
    needed |= fake->device && !fake->device->snoops(fake->device->ctx);
    for (unsigned i = 0; needed && i < fake->regions; i++) {
        struct fake_region *region = &fake->region[i];
        if (!region->device)
            region->device = take_spare(region->size);
        memcpy(region->device, region->host, region->size);
    }
}

// ---- failures on demand -----------------------------------------------------------------------------------
bool fake_call_fails(struct fake_vtd *fake)
{
    fake->calls++;
    if (fake->fail_at && (fake->calls == fake->fail_at || (fake->fail_from && fake->calls > fake->fail_at))) {
        fake->failed++;
        return true;
    }
    return false;
}

// ---- the ops ----------------------------------------------------------------------------------------------
static dam_err op_mem_read(void *ctx, dam_pa pa, void *buf, size_t len)
{
    struct fake_vtd *fake = ctx;
    if (fake_call_fails(fake))
        return DAM_E_IO;
    if (fake->before_read)
        fake->before_read(fake, pa.v, len);
    const void *from = fake_vtd_ptr(fake, pa.v, len);
    if (!from)
        return DAM_E_RANGE;
    memcpy(buf, from, len);
    return DAM_OK;
}

// The unit whose registers hold pa, or -1.
static int unit_at(const struct fake_vtd *fake, uint64_t pa)
{
    for (unsigned i = 0; i < fake->units; i++)
        if (pa >= fake->unit[i].base && pa - fake->unit[i].base < 0x1000)
            return (int)i;
    return -1;
}

static dam_err op_mmio_read(void *ctx, dam_pa pa, unsigned width, uint64_t *value)
{
    struct fake_vtd *fake = ctx;
    if (fake_call_fails(fake))
        return DAM_E_IO;
    if (fake_config_read(fake, pa.v, width, value))
        return DAM_OK;
    if (fake->device && fake->device->read(fake->device->ctx, pa.v, width, value))
        return DAM_OK;
    int unit = unit_at(fake, pa.v);
    if (unit < 0 || fake->unit[unit].absent) {
        *value = width == 8 ? ~0ull : 0xFFFFFFFFull;
        return DAM_OK;
    }
    return fake_unit_read(fake, (unsigned)unit, (uint16_t)(pa.v - fake->unit[unit].base), width, value);
}

void fake_note_write(struct fake_vtd *fake, unsigned unit, uint16_t offset, unsigned width, uint64_t value)
{
    if (fake->write_count < FAKE_MAX_WRITES)
        fake->writes[fake->write_count] = (struct fake_write){
            .unit = (uint8_t)unit, .width = (uint8_t)width, .offset = offset, .value = value};
    fake->write_count++;
    if (fake->unfenced)
        fake_violation(fake, "write to register %#x with cache flushes not yet ordered", offset);
}

static dam_err op_mmio_write(void *ctx, dam_pa pa, unsigned width, uint64_t value)
{
    struct fake_vtd *fake = ctx;
    if (fake_call_fails(fake))
        return DAM_E_IO;
    if (fake_config_write(fake, pa.v, width, value))
        return DAM_OK;
    if (fake->device && fake->device->write(fake->device->ctx, pa.v, width, value))
        return DAM_OK;
    int unit = unit_at(fake, pa.v);
    if (unit < 0 || fake->unit[unit].absent) {
        fake_violation(fake, "write to %#llx, where no unit is", (unsigned long long)pa.v);
        return DAM_OK;
    }
    uint16_t offset = (uint16_t)(pa.v - fake->unit[unit].base);
    fake_note_write(fake, (unsigned)unit, offset, width, value);
    dam_err err = fake_unit_write(fake, (unsigned)unit, offset, width, value);
    if (fake->after_write)
        fake->after_write(fake, (unsigned)unit, offset, value);
    return err;
}

static void op_cache_flush(void *ctx, const void *p, size_t len)
{
    struct fake_vtd *fake = ctx;
    const uint8_t *start = p;
    for (unsigned i = 0; i < fake->regions; i++) {
        struct fake_region *region = &fake->region[i];
        if (start < region->host || start >= region->host + region->size)
            continue;
        uint64_t first = (uint64_t)(start - region->host) & ~(uint64_t)(LINE - 1);
        uint64_t last = ((uint64_t)(start - region->host) + len + LINE - 1) & ~(uint64_t)(LINE - 1);
        if (last > region->size)
            last = region->size;
        if (region->device)
            memcpy(region->device + first, region->host + first, last - first);
        fake->unfenced = true;
        return;
    }
    fake_violation(fake, "cache flush outside memory");
}

static void op_barrier(void *ctx)
{
    ((struct fake_vtd *)ctx)->unfenced = false;
}

static uint64_t op_clock(void *ctx)
{
    struct fake_vtd *fake = ctx;
    fake->now_us += fake->step_us;
    if (fake->device)
        fake->device->tick(fake->device->ctx);
    return fake->now_us;
}

// ---- making one -------------------------------------------------------------------------------------------
struct fake_vtd *fake_vtd_new(void)
{
    struct fake_vtd *fake = must(calloc(1, sizeof(*fake)));
    fake->step_us = 1;
    fake->ops = (struct dam_ops){
        .ctx = fake,
        .mem_read = op_mem_read,
        .mmio_read = op_mmio_read,
        .mmio_write = op_mmio_write,
        .port_read = fake_port_read,
        .port_write = fake_port_write,
        .cache_flush = op_cache_flush,
        .barrier = op_barrier,
        .clock_us = op_clock,
    };
    return fake;
}

void fake_vtd_free(struct fake_vtd *fake)
{
    for (unsigned i = 0; i < fake->regions; i++)
        give_spare(fake->region[i].device, fake->region[i].size);
    for (unsigned i = 0; i < fake->units; i++) {
        free(fake->unit[i].contexts);
        free(fake->unit[i].context_cached);
        free(fake->unit[i].function);
        free(fake->unit[i].pasids);
        free(fake->unit[i].tlb);
        free(fake->unit[i].irtes);
        free(fake->unit[i].irte_cached);
    }
    if (fake->device)
        fake->device->free(fake->device->ctx);
    free(fake);
}

struct fake_unit *fake_vtd_unit(struct fake_vtd *fake, uint64_t base)
{
    if (fake->units == FAKE_MAX_UNITS)
        abort();
    struct fake_unit *unit = &fake->unit[fake->units++];
    *unit = (struct fake_unit){
        .base = base,
        .ver = 0x10,
        // ND 6, SAGAW 4 levels, MGAW 48, FRO 0x22, SLLPS 2M + 1G, MAMV 18, DWD, DRD; PSI
        .cap =
            6 | 1ull << 10 | 47ull << 16 | 0x22ull << 24 | 3ull << 34 | 1ull << 39 | 18ull << 48 | 3ull << 54,
        // C, QI, PT, IRO 0xF
        .ecap = 1 | 1 << 1 | 1 << 6 | 0xF << 8,
        .haw = 39,
        .fectl = 0x80000000u,
        .contexts = must(calloc(65536, sizeof(struct naive_context))),
        .context_cached = must(calloc(65536, 1)),
        .tlb = must(calloc(FAKE_TLB_SIZE, sizeof(struct fake_tlb_entry))),
    };
    return unit;
}

void fake_vtd_run(struct fake_unit *unit, uint64_t rtaddr, uint64_t queue)
{
    unit->rtaddr = unit->root = rtaddr;
    unit->gsts = 1u << 31 | 1u << 30;
    unit->fectl = 0; // the old kernel takes fault interrupts
    if (queue) {
        unit->iqa = unit->queue = queue;
        unit->iqh = unit->iqt = 0;
        unit->last_was_wait = true;
        unit->gsts |= 1u << 26;
    }
}

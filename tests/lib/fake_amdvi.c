// SPDX-License-Identifier: MIT
// AMD IOMMUs on a machine: making them, and what all parts of the model use.
#include "lib/fake_amdvi.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

uint64_t fake_amd_bits(uint64_t v, unsigned high, unsigned low)
{
    return v >> low & (high - low == 63 ? ~0ull : (1ull << (high - low + 1)) - 1);
}

// An address of a table or buffer: bits 51:12, without the one that asks for encryption.
uint64_t fake_amd_address(const struct fake_amd_unit *unit, uint64_t v)
{
    return v & 0x000FFFFFFFFFF000ull & ~unit->encrypt;
}

bool fake_amd_stuck(const struct fake_amd_unit *unit, uint32_t what)
{
    return (unit->stuck & what) && unit->writes >= unit->stuck_from;
}

// ---- memory as the unit sees it ---------------------------------------------------------------------------
bool fake_amd_view_read(void *ctx, uint64_t pa, uint64_t *value)
{
    struct fake_amd_view *view = ctx;
    const struct fake_region *region = fake_region_at(view->machine, pa, 8);
    if (!region || (!view->snoops && !region->device))
        return false;
    memcpy(value, (view->snoops ? region->host : region->device) + (pa - region->pa), 8);
    if (view->reads < FAKE_AMD_READS)
        view->at[view->reads] = pa;
    view->reads++;
    return true;
}

bool fake_amd_store(struct fake_amdvi *amd, uint64_t pa, const void *from, size_t size)
{
    struct fake_region *region = fake_region_at(amd->machine, pa, size);
    if (!region)
        return false;
    memcpy(region->host + (pa - region->pa), from, size);
    if (region->device)
        memcpy(region->device + (pa - region->pa), from, size);
    return true;
}

// ---- on the machine's bus ---------------------------------------------------------------------------------
static struct fake_amd_unit *unit_at(struct fake_amdvi *amd, uint64_t pa)
{
    for (unsigned i = 0; i < amd->units; i++)
        if (pa - amd->unit[i].base < FAKE_AMD_WINDOW)
            return &amd->unit[i];
    return NULL;
}

static bool is_absent(const struct fake_amd_unit *unit)
{
    return unit->absent || (unit->absent_from && unit->writes >= unit->absent_from);
}

static bool bus_read(void *ctx, uint64_t pa, unsigned width, uint64_t *value)
{
    struct fake_amdvi *amd = ctx;
    struct fake_amd_unit *unit = unit_at(amd, pa);
    if (!unit)
        return false;
    *value = width == 8 ? ~0ull : 0xFFFFFFFFull;
    if (!is_absent(unit) && !fake_amd_register_read(amd, unit, (uint16_t)(pa - unit->base), width, value))
        fake_violation(amd->machine, "read of %u bytes at register %#x", width, (unsigned)(pa - unit->base));
    return true;
}

static bool bus_write(void *ctx, uint64_t pa, unsigned width, uint64_t value)
{
    struct fake_amdvi *amd = ctx;
    struct fake_amd_unit *unit = unit_at(amd, pa);
    if (!unit)
        return false;
    const unsigned number = (unsigned)(unit - amd->unit);
    const uint16_t offset = (uint16_t)(pa - unit->base);
    fake_note_write(amd->machine, number, offset, width, value);
    unit->writes++;
    if (!is_absent(unit))
        fake_amd_register_write(amd, unit, offset, width, value);
    if (amd->machine->after_write)
        amd->machine->after_write(amd->machine, number, offset, value);
    return true;
}

static void tick(void *ctx)
{
    struct fake_amdvi *amd = ctx;
    for (unsigned i = 0; i < amd->units; i++) {
        struct fake_amd_unit *unit = &amd->unit[i];
        if (unit->pending_looks)
            unit->pending_looks--;
        if (is_absent(unit))
            continue;
        fake_amd_follow(unit);
        if (!unit->pending_looks)
            fake_amd_commands(amd, unit);
    }
}

static bool snoops(void *ctx)
{
    const struct fake_amdvi *amd = ctx;
    for (unsigned i = 0; i < amd->units; i++)
        if (!(amd->unit[i].control & FAKE_AMD_COHERENT))
            return false;
    return true;
}

static void free_all(void *ctx)
{
    struct fake_amdvi *amd = ctx;
    for (unsigned i = 0; i < amd->units; i++) {
        free(amd->unit[i].dtes);
        free(amd->unit[i].tlb);
        free(amd->unit[i].irtes);
    }
    free((void *)(uintptr_t)amd->machine->device);
    free(amd);
}

// ---- making one -------------------------------------------------------------------------------------------
struct fake_amdvi *fake_amdvi_new(struct fake_vtd *machine)
{
    struct fake_amdvi *amd = must(calloc(1, sizeof(*amd)));
    struct fake_device *device = must(calloc(1, sizeof(*device)));
    amd->machine = machine;
    *device = (struct fake_device){
        .ctx = amd, .read = bus_read, .write = bus_write, .tick = tick, .snoops = snoops, .free = free_all};
    machine->device = device;
    return amd;
}

struct fake_amd_unit *fake_amdvi_unit(struct fake_amdvi *amd, uint64_t base)
{
    if (amd->units == FAKE_AMD_UNITS)
        abort();
    struct fake_amd_unit *unit = &amd->unit[amd->units++];
    *unit = (struct fake_amd_unit){
        .base = base,
        .efr = FAKE_AMD_EFR_GT | FAKE_AMD_EFR_IA | FAKE_AMD_EFR_HATS(2) | FAKE_AMD_EFR_GLX(2) |
               FAKE_AMD_EFR_PAS(19) | FAKE_AMD_EFR_GIO,
        .haw = 48,
        .epoch = 1,
        .dtes = must(calloc(65536, sizeof(struct fake_amd_dte))),
        .tlb = must(calloc(FAKE_AMD_TLB, sizeof(struct fake_amd_tlb))),
        .irtes = must(calloc(FAKE_AMD_IRQS, sizeof(struct fake_amd_irte))),
    };
    return unit;
}

void fake_amdvi_run(struct fake_amd_unit *unit, uint64_t device_table, uint64_t commands, uint64_t events)
{
    unit->device_table[0] = device_table;
    unit->command_base = commands | 9ull << 56;
    unit->event_base = events | 9ull << 56;
    unit->control |= FAKE_AMD_ENABLE | FAKE_AMD_EVT_LOG | FAKE_AMD_EVT_INT | FAKE_AMD_CMD_BUF |
                     FAKE_AMD_COHERENT | (unit->efr & FAKE_AMD_EFR_GT ? FAKE_AMD_GT : 0);
    unit->status = 1 << 3 | 1 << 4;
}

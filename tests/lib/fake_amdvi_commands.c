// SPDX-License-Identifier: MIT
// The command buffer of an AMD IOMMU (48882, "Commands"), and what commands do to the caches.
#include "lib/fake_amdvi.h"

#include <string.h>

#define CMD_RUN  (1u << 4)
#define WAIT_INT (1u << 2) // of the status
#define ALL      0x7FFFFFFFFFFFF000ull

// ---- what is dropped --------------------------------------------------------------------------------------
static void drop_entry(struct fake_amd_unit *unit, unsigned devid)
{
    unit->dtes[devid] = (struct fake_amd_dte){0};
}

static void drop_interrupts(struct fake_amd_unit *unit, unsigned devid)
{
    for (unsigned i = 0; i < FAKE_AMD_IRQS; i++)
        if (unit->irtes[i].devid == devid)
            unit->irtes[i].used = 0;
}

// S: the address says how much, by the lowest bit that is not 1; without it one page.
static bool inside(uint64_t page, uint64_t address, bool s)
{
    unsigned shift = 12;
    if (s) {
        while (shift < 63 && address >> shift & 1)
            shift++;
        shift++;
    }
    return shift > 63 || (page ^ address >> 12) >> (shift - 12) == 0;
}

// PDE: what is kept of tables above the last one goes as well. Without it, so strict a unit keeps all.
static void drop_pages(struct fake_amd_unit *unit, const uint32_t *dw)
{
    const unsigned did = dw[1] & 0xFFFF, pasid = dw[0] & 0xFFFFF;
    const bool s = dw[2] & 1, pde = dw[2] & 2, gn = dw[2] & 4;
    const uint64_t address = (uint64_t)dw[3] << 32 | (dw[2] & 0xFFFFF000);
    for (unsigned i = 0; i < FAKE_AMD_TLB && pde; i++) {
        struct fake_amd_tlb *e = &unit->tlb[i];
        bool whole = s && address == ALL && !gn;
        bool same = gn ? e->pasid == pasid : e->pasid == NAIVE_AMD_NO_PASID;
        if (e->did == did && (whole || (same && inside(e->page, address, s))))
            e->used = 0;
    }
}

static void drop_all(struct fake_amd_unit *unit)
{
    unit->epoch++;
}

// ---- commands ---------------------------------------------------------------------------------------------
static bool in_window(const struct fake_amd_unit *unit, uint64_t address)
{
    uint64_t first = unit->exclusion_base & 0x000FFFFFFFFFF000ull;
    uint64_t last = unit->exclusion_limit | 0xFFF;
    return !unit->snp || (address >= first && address + 7 <= last);
}

static void completion_wait(struct fake_amdvi *amd, struct fake_amd_unit *unit, const uint32_t *dw)
{
    const uint64_t address = (uint64_t)(dw[1] & 0xFFFFF) << 32 | (dw[0] & ~7u);
    if (dw[0] & 2) {
        unit->status |= WAIT_INT;
        unit->interrupts += unit->control & FAKE_AMD_WAIT_INT ? 1 : 0;
    }
    if (!(dw[0] & 1) || fake_amd_stuck(unit, FAKE_AMD_STUCK_STORE) || !in_window(unit, address))
        return;
    if (!fake_amd_store(amd, address, &dw[2], 8))
        fake_violation(amd->machine, "semaphore stored to %#llx", (unsigned long long)address);
    unit->waits_stored++;
}

// Whether only bits of the masks are set; those of the second one without the opcode.
static bool only(const uint32_t *dw, uint32_t m0, uint32_t m1, uint32_t m2, uint32_t m3)
{
    return !(dw[0] & ~m0) && !(dw[1] & 0x0FFFFFFF & ~m1) && !(dw[2] & ~m2) && !(dw[3] & ~m3);
}

// False: it is not valid.
static bool obey(struct fake_amdvi *amd, struct fake_amd_unit *unit, const uint32_t *dw)
{
    switch (dw[1] >> 28) {
    case 1:
        if (!only(dw, ~0u, 0xFFFFF, ~0u, ~0u))
            return false;
        completion_wait(amd, unit, dw);
        return true;
    case 2:
        if (!only(dw, 0xFFFF, 0, 0, 0))
            return false;
        drop_entry(unit, dw[0]);
        return true;
    case 3:
        if (!only(dw, 0xFFFFF, 0xFFFF, 0xFFFFF007, ~0u))
            return false;
        drop_pages(unit, dw);
        return true;
    case 4:
        return !unit->no_device_tlbs && only(dw, ~0u, 0xFFFFFF, 0xFFFFF005, ~0u) &&
               fake_amd_device_tlb(amd, unit, dw);
    case 5:
        if (!only(dw, 0xFFFF, 0, 0, 0))
            return false;
        drop_interrupts(unit, dw[0]);
        return true;
    case 7:
        return unit->efr & FAKE_AMD_EFR_PPR;
    case 8:
        if (!(unit->efr & FAKE_AMD_EFR_IA) || !only(dw, 0, 0, 0, 0))
            return false;
        drop_all(unit);
        return true;
    default:
        return false;
    }
}

// A device that does not answer holds up completion waits, until the time of InvTimeOut is over: then an
// event tells, and the unit goes on.
static bool held_up(struct fake_amdvi *amd, struct fake_amd_unit *unit)
{
    static const uint64_t limits[8] = {0, 1000, 10000, 100000, 1000000, 10000000, 100000000, 0};
    uint64_t limit = limits[unit->control >> 5 & 7];
    if (!unit->unconfirmed)
        return false;
    if (!limit || amd->machine->now_us - unit->unconfirmed_since < limit)
        return true;
    unit->unconfirmed = false;
    fake_amd_event(amd, unit, FAKE_AMD_IOTLB_TIMEOUT, unit->unconfirmed_devid, 0, 0);
    return false;
}

static void stop(struct fake_amdvi *amd, struct fake_amd_unit *unit, unsigned code, uint64_t address)
{
    unit->command_error = true;
    unit->status &= ~(uint64_t)CMD_RUN;
    fake_amd_event(amd, unit, code, 0, 0, address);
}

void fake_amd_commands(struct fake_amdvi *amd, struct fake_amd_unit *unit)
{
    const uint64_t size = 16ull << (unit->command_base >> 56 & 15);
    const uint64_t base = fake_amd_address(unit, unit->command_base);
    if (!(unit->status & CMD_RUN) || fake_amd_stuck(unit, FAKE_AMD_STUCK_FETCH))
        return;
    if (unit->command_tail >= size || unit->command_head >= size) {
        if (unit->command_tail != unit->command_head)
            fake_violation(amd->machine, "head or tail outside the command buffer");
        return;
    }
    // Each command at most once: the buffer cannot be longer than itself.
    for (uint64_t n = 0; n < size / 16 && unit->command_head != unit->command_tail; n++) {
        uint32_t dw[4];
        const void *at = fake_vtd_ptr(amd->machine, base + unit->command_head, 16);
        if (at)
            memcpy(dw, at, 16);
        if (at && dw[1] >> 28 == 1 && held_up(amd, unit))
            return;
        bool fails = unit->fail_command && unit->commands + 1 == unit->fail_command;
        if (!at || (fails && unit->fail_with == FAKE_AMD_COMMAND_HW)) {
            stop(amd, unit, FAKE_AMD_COMMAND_HW, base + unit->command_head);
            return;
        }
        if (fails || !obey(amd, unit, dw)) {
            stop(amd, unit, FAKE_AMD_ILLEGAL_COMMAND, base + unit->command_head);
            return;
        }
        unit->commands++;
        unit->of_op[dw[1] >> 28]++;
        unit->command_head = (unit->command_head + 16) % size;
    }
}

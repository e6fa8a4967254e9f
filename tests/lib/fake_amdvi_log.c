// SPDX-License-Identifier: MIT
// What an AMD IOMMU writes by itself: the event log, the page request log, the guest interrupt log (48882,
// "Event log", "PPR log", "Guest virtual APIC log"). A log that is full stops; translation does not.
#include "lib/fake_amdvi.h"

#include <string.h>

struct ring {
    uint64_t base, *head, *tail;
    unsigned entry;            // bytes
    unsigned run, overflow;    // bits of the status
    unsigned interrupt;        // bit of the status
    uint64_t interrupt_enable; // bit of the control register
};

// False: it could not be written.
static bool append(struct fake_amdvi *amd, struct fake_amd_unit *unit, const struct ring *ring,
                   const void *what)
{
    const uint64_t size = (uint64_t)ring->entry << (ring->base >> 56 & 15);
    const uint64_t next = (*ring->tail + ring->entry) % size;
    if (!(unit->status >> ring->run & 1))
        return false;
    if (next == *ring->head || *ring->tail >= size) {
        unit->status |= 1u << ring->overflow;
        unit->status &= ~(1ull << ring->run);
        return false;
    }
    if (!fake_amd_store(amd, fake_amd_address(unit, ring->base) + *ring->tail, what, ring->entry))
        fake_violation(amd->machine, "log written to where no memory is");
    *ring->tail = next;
    unit->status |= 1u << ring->interrupt;
    unit->interrupts += unit->control & ring->interrupt_enable ? 1 : 0;
    return true;
}

void fake_amd_event(struct fake_amdvi *amd, struct fake_amd_unit *unit, unsigned code, unsigned devid,
                    unsigned info, uint64_t address)
{
    uint64_t event[2] = {devid | (uint64_t)info << 32 | (uint64_t)code << 60, address};
    const struct ring ring = {.base = unit->event_base,
                              .head = &unit->event_head,
                              .tail = &unit->event_tail,
                              .entry = 16,
                              .run = 3,
                              .overflow = 0,
                              .interrupt = 1,
                              .interrupt_enable = FAKE_AMD_EVT_INT};
    memcpy(unit->last_event, event, sizeof(event));
    unit->events[code]++;
    unit->events_total++;
    unit->events_logged += append(amd, unit, &ring, event);
}

void fake_amdvi_page_request(struct fake_amdvi *amd, unsigned number)
{
    struct fake_amd_unit *unit = &amd->unit[number];
    static const uint64_t request[2] = {0xE1E1E1E1E1E1E1E1ull, 0xE1E1E1E1E1E1E1E1ull};
    const struct ring ring = {.base = unit->ppr_base,
                              .head = &unit->ppr_head,
                              .tail = &unit->ppr_tail,
                              .entry = 16,
                              .run = 7,
                              .overflow = 5,
                              .interrupt = 6,
                              .interrupt_enable = FAKE_AMD_PPR_INT};
    fake_amd_follow(unit);
    if (unit->control & FAKE_AMD_PPR)
        unit->page_requests += append(amd, unit, &ring, request);
}

void fake_amdvi_guest_interrupt(struct fake_amdvi *amd, unsigned number)
{
    struct fake_amd_unit *unit = &amd->unit[number];
    static const uint64_t entry = 0xE2E2E2E2E2E2E2E2ull;
    const struct ring ring = {.base = unit->ga_base,
                              .head = &unit->ga_head,
                              .tail = &unit->ga_tail,
                              .entry = 8,
                              .run = 8,
                              .overflow = 9,
                              .interrupt = 10,
                              .interrupt_enable = FAKE_AMD_GA_INT};
    fake_amd_follow(unit);
    if (!append(amd, unit, &ring, &entry))
        return;
    unit->guest_interrupts++;
    if (!fake_amd_store(amd, unit->ga_tail_address & 0x000FFFFFFFFFFFF8ull, &unit->ga_tail, 8))
        fake_violation(amd->machine, "tail of the guest interrupt log written to where no memory is");
}

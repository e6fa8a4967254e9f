// SPDX-License-Identifier: MIT
// What a unit writes and tells by itself: events, page requests, interrupts of guests. 48882, 2.5, 2.6, 2.7.
#include "iommu/amdvi/unit.h"

#include <cofferdam/range.h>

#include "iommu/amdvi/regs.h"

// Old events that become findings; a flood says no more than its beginning.
#define MAX_EVENTS 16u

static uint64_t ring_base(uint64_t reg)
{
    return reg & dam_bits_mask(AMDVI_RING_BASE);
}

static uint64_t ring_bytes(uint64_t reg)
{
    return 16ull << dam_bits_get(reg, AMDVI_RING_LENGTH);
}

// ---- what was left ----------------------------------------------------------------------------------------
static void report_event(const struct amdvi_unit *unit, uint64_t address, const uint64_t *event)
{
    struct dam_finding f = {
        .code = DAM_F_FAULT,
        .level = 255,
        .rid = (uint16_t)dam_bits_get(event[0], AMDVI_EVENT_DEVICE),
        .index = (uint16_t)dam_bits_get(event[0], AMDVI_EVENT_CODE),
        .address = address,
        .raw = event[0],
        .iova = event[1],
    };
    f.severity = DAM_INFO;
    unit->iommu.listener->finding(unit->iommu.listener->ctx, &f);
}

// Events that nobody has fetched, the oldest one first.
static void report_events(const struct amdvi_unit *unit)
{
    const struct dam_amdvi_registers *r = &unit->iommu.before.amdvi;
    const uint64_t base = ring_base(r->event_base), size = ring_bytes(r->event_base);
    uint64_t at = r->event_head & dam_bits_mask(AMDVI_POINTER);
    const uint64_t tail = r->event_tail & dam_bits_mask(AMDVI_POINTER);
    if (!dam_bits_get(r->control, AMDVI_CONTROL_EVENT_LOG) || at >= size || tail >= size)
        return;
    for (unsigned told = 0; told < MAX_EVENTS && at != tail; told++, at = (at + 16) % size) {
        uint64_t event[AMDVI_EVENT_WORDS];
        const dam_pa pa = dam_pa_of(base + at), page = dam_pa_of(dam_align_down(pa.v, DAM_PAGE_SIZE));
        if (!pt_known_table(unit->iommu.old_memory, page, page) ||
            dam_mem_read(unit->iommu.ops, pa, event, sizeof(event)))
            return;
        if (event[0] | event[1])
            report_event(unit, pa.v, event);
    }
}

static void report_commands(const struct amdvi_unit *unit)
{
    const struct dam_amdvi_registers *r = &unit->iommu.before.amdvi;
    const uint64_t base = unit->iommu.base.v, pointer = dam_bits_mask(AMDVI_POINTER);
    const uint64_t size = ring_bytes(r->command_base);
    if (!dam_bits_get(r->control, AMDVI_CONTROL_COMMANDS))
        return;
    if (dam_bits_get(r->control, AMDVI_CONTROL_ENABLE) && !dam_bits_get(r->status, AMDVI_STATUS_COMMANDS_RUN))
        iommu_report(&unit->iommu, DAM_F_UNIT_QUEUE_ERROR, base + AMDVI_STATUS_REG, r->status);
    const struct pt_memory *memory = unit->iommu.old_memory;
    if (!dam_ranges_contain(memory->old_ram, ring_base(r->command_base), size))
        iommu_report(&unit->iommu, DAM_F_QUEUE_ADDRESS, base + AMDVI_COMMAND_REG, r->command_base);
    if (((r->command_head | r->command_tail) & ~pointer) || r->command_head >= size ||
        r->command_tail >= size)
        iommu_report(&unit->iommu, DAM_F_QUEUE_POINTER, r->command_head, r->command_tail);
}

void amdvi_report_state(struct amdvi_unit *unit)
{
    const struct dam_amdvi_registers *r = &unit->iommu.before.amdvi;
    const uint64_t base = unit->iommu.base.v;
    const uint64_t overflows = dam_bits_mask(AMDVI_STATUS_EVENT_OVERFLOW) |
                               dam_bits_mask(AMDVI_STATUS_PPR_OVERFLOW) |
                               dam_bits_mask(AMDVI_STATUS_GALOG_OVERFLOW);
    uint64_t reg, limit;
    if (r->status & overflows)
        iommu_report(&unit->iommu, DAM_F_UNIT_FAULTS, base + AMDVI_STATUS_REG, r->status);
    report_commands(unit);
    report_events(unit);
    if (dam_bits_get(r->control, AMDVI_CONTROL_PPR_LOG) && !amdvi_read(unit, AMDVI_PPR_REG, &reg))
        iommu_report(&unit->iommu, DAM_F_PAGE_QUEUE, base + AMDVI_PPR_REG, reg);
    if (dam_bits_get(r->control, AMDVI_CONTROL_GALOG) && !amdvi_read(unit, AMDVI_GALOG_REG, &reg))
        iommu_report(&unit->iommu, DAM_F_GUEST_LOG, base + AMDVI_GALOG_REG, reg);
    if (!amdvi_read(unit, AMDVI_EXCLUSION_REG, &reg) && dam_bits_get(reg, AMDVI_EXCLUSION_ENABLE) &&
        !amdvi_read(unit, AMDVI_EXCLUSION_LIMIT_REG, &limit))
        iommu_report(&unit->iommu, DAM_F_EXCLUSION, reg, limit);
}

// ---- before the switch ------------------------------------------------------------------------------------
dam_err amdvi_mask_events(struct amdvi_unit *unit)
{
    return amdvi_control(unit, 0,
                         dam_bits_mask(AMDVI_CONTROL_EVENT_INT) | dam_bits_mask(AMDVI_CONTROL_WAIT_INT) |
                             dam_bits_mask(AMDVI_CONTROL_PPR_INT) | dam_bits_mask(AMDVI_CONTROL_GALOG_INT));
}

static dam_err switch_log(struct amdvi_unit *unit, bool on)
{
    const uint64_t bit = dam_bits_mask(AMDVI_CONTROL_EVENT_LOG);
    dam_err err = amdvi_control(unit, on ? bit : 0, on ? 0 : bit);
    return err || on ? err : amdvi_wait(unit, dam_bits_mask(AMDVI_STATUS_EVENT_RUN), 0);
}

static dam_err point_to(struct amdvi_unit *unit, const struct amdvi_ring *ring)
{
    dam_err err = amdvi_set(unit, AMDVI_EVENT_REG, ring->base);
    if (!err)
        err = amdvi_set(unit, AMDVI_EVENT_HEAD_REG, ring->head);
    return err ? err : amdvi_set(unit, AMDVI_EVENT_TAIL_REG, ring->tail);
}

// An overflow stops the log. Only what tells of events is written back: other bits may be others' business.
static dam_err clear_events(struct amdvi_unit *unit)
{
    return amdvi_write(unit, AMDVI_STATUS_REG,
                       dam_bits_mask(AMDVI_STATUS_EVENT_OVERFLOW) | dam_bits_mask(AMDVI_STATUS_EVENT_INT));
}

dam_err amdvi_take_events(struct amdvi_unit *unit)
{
    struct amdvi_ring *old = &unit->old_events;
    const struct amdvi_ring ours = {unit->events_pa.v | dam_bits_put(AMDVI_RING_LOG2, AMDVI_RING_LENGTH), 0,
                                    0};
    dam_err err = amdvi_read(unit, AMDVI_EVENT_REG, &old->base);
    if (!err)
        err = switch_log(unit, false);
    if (!err)
        err = amdvi_read(unit, AMDVI_EVENT_HEAD_REG, &old->head);
    if (!err)
        err = amdvi_read(unit, AMDVI_EVENT_TAIL_REG, &old->tail);
    if (!err) {
        unit->has_events = true;
        unit->events_seen = 0;
        err = point_to(unit, &ours);
    }
    if (!err)
        err = clear_events(unit);
    // One log alone: the second one is the old kernel's.
    if (!err)
        err = amdvi_control(unit, 0, dam_bits_mask(AMDVI_CONTROL_DUAL_EVENT_LOG));
    if (!err)
        err = switch_log(unit, true);
    if (err)
        amdvi_give_events_back(unit);
    return err;
}

void amdvi_give_events_back(struct amdvi_unit *unit)
{
    const uint16_t reg = unit->iommu.waited_register;
    const uint64_t value = unit->iommu.waited_value, log = dam_bits_mask(AMDVI_CONTROL_EVENT_LOG);
    dam_err err = DAM_OK;
    if (unit->has_events) {
        err = switch_log(unit, false);
        if (!err)
            err = point_to(unit, &unit->old_events);
    }
    unit->has_events = false;
    const uint64_t mine = log | dam_bits_mask(AMDVI_CONTROL_DUAL_EVENT_LOG);
    err = amdvi_control(unit, unit->old_control & mine, 0);
    (void)err; // the first error says why
    unit->iommu.waited_register = reg;
    unit->iommu.waited_value = value;
}

bool amdvi_had_event(struct amdvi_unit *unit, unsigned code)
{
    uint64_t tail;
    bool had = false;
    if (!unit->has_events || amdvi_read(unit, AMDVI_EVENT_TAIL_REG, &tail))
        return false;
    const uint32_t end = (uint32_t)dam_bits_get(tail, AMDVI_POINTER) % (1u << AMDVI_RING_LOG2);
    for (; unit->events_seen != end; unit->events_seen = (unit->events_seen + 1) % (1u << AMDVI_RING_LOG2)) {
        const volatile uint64_t *event = unit->events + (size_t)unit->events_seen * AMDVI_EVENT_WORDS;
        had |= dam_bits_get(event[0], AMDVI_EVENT_CODE) == code;
    }
    return had;
}

// ---- after it ---------------------------------------------------------------------------------------------
// Page requests are refused, and nothing is written for guests any more: both logs are in old memory.
static dam_err stop_logs(struct amdvi_unit *unit)
{
    const uint64_t bits = dam_bits_mask(AMDVI_CONTROL_PPR_LOG) | dam_bits_mask(AMDVI_CONTROL_PPR) |
                          dam_bits_mask(AMDVI_CONTROL_GALOG);
    if (!(unit->old_control & bits))
        return DAM_OK;
    dam_err err = amdvi_control(unit, 0, bits);
    return err ? err
               : amdvi_wait(unit, dam_bits_mask(AMDVI_STATUS_PPR_RUN) | dam_bits_mask(AMDVI_STATUS_GALOG_RUN),
                            0);
}

// What it let pass for requesters that firmware names is in their tables now.
static dam_err close_exclusion(struct amdvi_unit *unit)
{
    uint64_t base;
    dam_err err = amdvi_read(unit, AMDVI_EXCLUSION_REG, &base);
    return err || !dam_bits_get(base, AMDVI_EXCLUSION_ENABLE) ? err : amdvi_set(unit, AMDVI_EXCLUSION_REG, 0);
}

void amdvi_commit_state(struct iommu_unit *iommu)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    dam_err err = stop_logs(unit), then = close_exclusion(unit);
    err = err ? err : then;
    if (err)
        iommu_report(iommu, DAM_F_STATE_LEFT, iommu->base.v + iommu->waited_register, (uint64_t)err);
}

// SPDX-License-Identifier: MIT
// Switching a unit to tables of ours. There is no handshake as VT-d has one: the base register counts from
// the next entry that is fetched on, and what is cached stays until it is dropped. So the first table is an
// exact copy, with which it does not matter which of the two an entry was fetched from, and only when nothing
// of the old one is left in a cache the planned table follows. Linux 4.14 to 6.17 changed the base of a unit
// that translates the same way. 48882, 2.2.2, 3.4.1.
#include "iommu/amdvi/unit.h"

#include "iommu/amdvi/regs.h"

// ---- what it needs ----------------------------------------------------------------------------------------
dam_err amdvi_plan(struct iommu_unit *iommu)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    void *commands, *events, *page;
    dam_err err = amdvi_low_pages(unit, AMDVI_RING_PAGES, &commands, &unit->commands_pa);
    if (!err)
        err = amdvi_low_pages(unit, AMDVI_RING_PAGES, &events, &unit->events_pa);
    if (!err)
        err = amdvi_low_pages(unit, 1, &page, &unit->semaphore_pa);
    if (err)
        return err;
    unit->commands = commands;
    unit->events = events;
    unit->semaphore = page;
    return DAM_OK;
}

// ---- pointing ---------------------------------------------------------------------------------------------
// Both tables stay as large as the old one was, which is what the next kernel would make itself.
static uint64_t table_register(const struct amdvi_unit *leader, unsigned number, bool planned)
{
    const struct amdvi_segment *s = &leader->segment[number];
    return (planned ? s->planned_pa.v : s->copied_pa.v) |
           (leader->old_table.reg[number] & dam_bits_mask(AMDVI_DEVTAB_SIZE));
}

// One 64-bit store a segment. *touched: at least one register has another value.
static dam_err point_to(struct amdvi_unit *unit, bool planned, bool *touched)
{
    const struct amdvi_unit *leader = amdvi_leader(unit);
    dam_err err = DAM_OK;
    dam_barrier(unit->iommu.ops);
    for (unsigned i = 0; !err && i < amdvi_segments(&leader->old_table); i++) {
        err = amdvi_set(unit, amdvi_table_register(i), table_register(leader, i, planned));
        // One that cannot be read any more may have it all the same.
        *touched |= err != DAM_E_VERIFY || unit->iommu.waited_value != unit->old_table.reg[i];
    }
    return err;
}

// ---- prepare ----------------------------------------------------------------------------------------------
// A device that does not answer would hold up the commands for ever, or longer than anybody waits here. One
// second is what Linux chooses.
static dam_err limit_devices(struct amdvi_unit *unit)
{
    const uint64_t field = dam_bits_mask(AMDVI_CONTROL_INV_TIMEOUT);
    const uint64_t limit = dam_bits_get(unit->old_control, AMDVI_CONTROL_INV_TIMEOUT);
    if (!unit->device_tlbs || (limit >= 1 && limit <= 4))
        return DAM_OK;
    const uint64_t wanted = dam_bits_put(4, AMDVI_CONTROL_INV_TIMEOUT);
    return amdvi_control(unit, wanted, field & ~wanted);
}

static void undo(struct amdvi_unit *unit)
{
    const uint64_t mine = dam_bits_mask(AMDVI_CONTROL_EVENT_INT) | dam_bits_mask(AMDVI_CONTROL_WAIT_INT) |
                          dam_bits_mask(AMDVI_CONTROL_PPR_INT) | dam_bits_mask(AMDVI_CONTROL_GALOG_INT) |
                          dam_bits_mask(AMDVI_CONTROL_INV_TIMEOUT);
    amdvi_give_events_back(unit);
    amdvi_give_commands_back(unit);
    const uint16_t reg = unit->iommu.waited_register;
    const uint64_t value = unit->iommu.waited_value;
    dam_err err = amdvi_control(unit, unit->old_control & mine, mine & ~unit->old_control);
    (void)err; // the first error says why
    unit->iommu.waited_register = reg;
    unit->iommu.waited_value = value;
}

// A register that keeps its value is locked: under SNP firmware has them, until it is shut down.
static dam_err failed(struct amdvi_unit *unit, dam_err err)
{
    if (err == DAM_E_VERIFY)
        iommu_report(&unit->iommu, DAM_F_UNIT_LOCKED, unit->iommu.base.v + unit->iommu.waited_register,
                     unit->iommu.waited_value);
    undo(unit);
    return err == DAM_E_TIMEOUT || err == DAM_E_VERIFY ? DAM_E_STATE : err;
}

// First of all, so that what goes wrong with the rest is not written to old memory. A log that does not stop
// costs nothing but that.
static dam_err take_events(struct amdvi_unit *unit)
{
    dam_err err = amdvi_take_events(unit);
    if (err != DAM_E_TIMEOUT)
        return err;
    iommu_report(&unit->iommu, DAM_F_STATE_LEFT, unit->iommu.base.v + unit->iommu.waited_register,
                 (uint64_t)err);
    return DAM_OK;
}

// A unit that is off: one device table, ours.
static dam_err set_up(struct amdvi_unit *unit)
{
    bool touched = false;
    dam_err err = amdvi_control(unit, 0, dam_bits_mask(AMDVI_CONTROL_SEGMENTS));
    return err ? err : point_to(unit, true, &touched);
}

dam_err amdvi_prepare(struct iommu_unit *iommu)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    dam_err err = amdvi_mask_events(unit);
    if (!err)
        err = limit_devices(unit);
    if (!err)
        err = take_events(unit);
    if (!err)
        err = amdvi_take_commands(unit);
    // It is tried before anything depends on it: a flush more changes nothing.
    if (!err)
        err = iommu->raise ? set_up(unit) : amdvi_flush_unit(unit);
    return err ? failed(unit, err) : DAM_OK;
}

// ---- switch -----------------------------------------------------------------------------------------------
dam_err amdvi_switch_tables(struct iommu_unit *iommu)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    const uint64_t start = dam_clock_us(iommu->ops);
    dam_err err = point_to(unit, false, &unit->switched);
    if (err && !unit->switched)
        return failed(unit, err);
    if (!err)
        err = amdvi_flush_unit(unit);
    iommu->us_switch = (uint32_t)(dam_clock_us(iommu->ops) - start);
    if (!err)
        err = point_to(unit, true, &unit->switched);
    if (!err)
        err = amdvi_flush_unit(unit);
    // DAM_E_STATE would say that it is where it was.
    return err == DAM_E_STATE ? DAM_E_TIMEOUT : err;
}

// What firmware says of the unit's links, as Linux sets it.
static uint64_t link_bits(uint8_t flags)
{
    return dam_bits_put(dam_bits_get(flags, AMDVI_IVHD_HT_TUNNEL), AMDVI_CONTROL_HT_TUNNEL) |
           dam_bits_put(dam_bits_get(flags, AMDVI_IVHD_PASS_PW), AMDVI_CONTROL_PASS_PW) |
           dam_bits_put(dam_bits_get(flags, AMDVI_IVHD_RES_PASS_PW), AMDVI_CONTROL_RES_PASS_PW) |
           dam_bits_put(dam_bits_get(flags, AMDVI_IVHD_ISOC), AMDVI_CONTROL_ISOC);
}

dam_err amdvi_raise(struct iommu_unit *iommu)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    const uint64_t start = dam_clock_us(iommu->ops), run = dam_bits_mask(AMDVI_STATUS_COMMANDS_RUN);
    unit->switched = true;
    dam_err err =
        amdvi_control(unit, dam_bits_mask(AMDVI_CONTROL_COHERENT) | link_bits(unit->device_flags), 0);
    if (!err)
        err = amdvi_control(unit, dam_bits_mask(AMDVI_CONTROL_ENABLE), 0);
    if (!err)
        err = amdvi_wait(unit, run, run);
    if (!err)
        err = amdvi_flush_unit(unit);
    iommu->us_switch = (uint32_t)(dam_clock_us(iommu->ops) - start);
    return err;
}

dam_err amdvi_flush(struct iommu_unit *iommu)
{
    dam_err first = DAM_OK;
    for (struct iommu_unit *u = iommu; u; u = u->next) {
        if (u != iommu && u->leader != iommu)
            continue;
        struct amdvi_unit *unit = amdvi_of(u);
        dam_err err = unit->switched ? amdvi_flush_unit(unit) : DAM_OK;
        first = first ? first : err;
    }
    return first;
}

// ---- verify -----------------------------------------------------------------------------------------------
static bool verify_register(const struct amdvi_unit *unit, uint16_t reg, uint64_t value, uint64_t want)
{
    if (value == want)
        return true;
    iommu_report(&unit->iommu, DAM_F_VERIFY_REGISTER, unit->iommu.base.v + reg, value);
    return false;
}

dam_err amdvi_verify_registers(struct iommu_unit *iommu, bool *ok)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    const struct amdvi_unit *leader = amdvi_leader(unit);
    const uint64_t ring = dam_bits_put(AMDVI_RING_LOG2, AMDVI_RING_LENGTH);
    const uint64_t on = dam_bits_mask(AMDVI_CONTROL_ENABLE) | dam_bits_mask(AMDVI_CONTROL_COMMANDS);
    dam_err err = amdvi_read_registers(iommu, &iommu->after);
    const struct dam_amdvi_registers *r = &iommu->after.amdvi;
    *ok = true;
    for (unsigned i = 0; !err && i < amdvi_segments(&leader->old_table); i++) {
        uint64_t value;
        err = amdvi_read(unit, amdvi_table_register(i), &value);
        if (!err)
            *ok &= verify_register(unit, amdvi_table_register(i), value, table_register(leader, i, true));
    }
    if (err)
        return err;
    *ok &= verify_register(unit, AMDVI_CONTROL_REG, r->control & on, on);
    *ok &= verify_register(unit, AMDVI_COMMAND_REG, r->command_base, unit->commands_pa.v | ring);
    if (unit->has_events)
        *ok &= verify_register(unit, AMDVI_EVENT_REG, r->event_base, unit->events_pa.v | ring);
    return DAM_OK;
}

bool amdvi_is_switched(const struct iommu_unit *iommu)
{
    return (iommu->after.amdvi.device_table ^ iommu->before.amdvi.device_table) &
           dam_bits_mask(AMDVI_DEVTAB_BASE);
}

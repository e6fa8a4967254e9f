// SPDX-License-Identifier: MIT
// The command buffer: the old kernel's is switched off, ours lies in the pool. 48882, 2.4. What was left in
// the old one is dropped: all caches are dropped anyway, and nobody waits for an answer any more. Nothing in
// its pages is read or written here.
#include "iommu/amdvi/unit.h"

#include "base/wait.h"
#include "iommu/amdvi/regs.h"

// A unit that has stopped with an error answers nothing: it is looked for so many times while one waits.
#define LOOKS 16u

static dam_err switch_commands(struct amdvi_unit *unit, bool on)
{
    const uint64_t bit = dam_bits_mask(AMDVI_CONTROL_COMMANDS),
                   run = dam_bits_mask(AMDVI_STATUS_COMMANDS_RUN);
    dam_err err = amdvi_control(unit, on ? bit : 0, on ? 0 : bit);
    // One that is off as a whole runs no commands either.
    uint64_t control;
    if (!err && on)
        err = amdvi_read(unit, AMDVI_CONTROL_REG, &control);
    if (!err && on && !dam_bits_get(control, AMDVI_CONTROL_ENABLE))
        return DAM_OK;
    return err ? err : amdvi_wait(unit, run, on ? run : 0);
}

// With the buffer off: another one, and where its head and tail are.
static dam_err point_to(struct amdvi_unit *unit, const struct amdvi_ring *ring)
{
    dam_err err = amdvi_set(unit, AMDVI_COMMAND_REG, ring->base);
    if (!err)
        err = amdvi_set(unit, AMDVI_COMMAND_HEAD_REG, ring->head);
    return err ? err : amdvi_set(unit, AMDVI_COMMAND_TAIL_REG, ring->tail);
}

dam_err amdvi_take_commands(struct amdvi_unit *unit)
{
    struct amdvi_ring *old = &unit->old_commands;
    const struct amdvi_ring ours = {unit->commands_pa.v | dam_bits_put(AMDVI_RING_LOG2, AMDVI_RING_LENGTH), 0,
                                    0};
    dam_err err = amdvi_read(unit, AMDVI_COMMAND_REG, &old->base);
    if (!err)
        err = switch_commands(unit, false);
    // Now it stands still.
    if (!err)
        err = amdvi_read(unit, AMDVI_COMMAND_HEAD_REG, &old->head);
    if (!err)
        err = amdvi_read(unit, AMDVI_COMMAND_TAIL_REG, &old->tail);
    if (err) {
        // Refusing to stop, it must not find the request later.
        dam_err again = switch_commands(unit, dam_bits_get(unit->old_control, AMDVI_CONTROL_COMMANDS));
        (void)again;
        return err == DAM_E_IO ? err : DAM_E_STATE;
    }
    // A head that cannot be right, as QEMU's is at the end of its buffer: nothing is left in it.
    if (old->head >= 16ull << dam_bits_get(old->base, AMDVI_RING_LENGTH))
        old->head = old->tail;
    unit->has_commands = true;
    unit->tail = 0;
    err = point_to(unit, &ours);
    if (!err)
        err = switch_commands(unit, true);
    if (err)
        amdvi_give_commands_back(unit);
    return err;
}

void amdvi_give_commands_back(struct amdvi_unit *unit)
{
    const uint16_t reg = unit->iommu.waited_register;
    const uint64_t value = unit->iommu.waited_value;
    if (!unit->has_commands)
        return;
    unit->has_commands = false;
    dam_err err = switch_commands(unit, false);
    if (!err)
        err = point_to(unit, &unit->old_commands);
    // With a head or tail that is not its own it would run whatever lies between them.
    if (!err && dam_bits_get(unit->old_control, AMDVI_CONTROL_COMMANDS))
        err = switch_commands(unit, true);
    // Whether this works or not, the first error says why.
    (void)err;
    unit->iommu.waited_register = reg;
    unit->iommu.waited_value = value;
}

void amdvi_put(struct amdvi_unit *unit, uint64_t w0, uint64_t w1)
{
    uint64_t *c = unit->commands + (size_t)unit->tail * AMDVI_COMMAND_WORDS;
    c[0] = w0;
    c[1] = w1;
    dam_cache_flush(unit->iommu.ops, c, AMDVI_COMMAND_WORDS * sizeof(*c));
    unit->tail = (unit->tail + 1) % (1u << AMDVI_RING_LOG2);
}

// ---- waiting ----------------------------------------------------------------------------------------------
// Hardware fetches nothing more after a command that it takes for wrong, or cannot read.
static bool has_stopped(struct amdvi_unit *unit)
{
    uint64_t status;
    if (amdvi_read(unit, AMDVI_STATUS_REG, &status))
        return false;
    unit->iommu.waited_register = AMDVI_STATUS_REG;
    unit->iommu.waited_value = status;
    return !dam_bits_get(status, AMDVI_STATUS_COMMANDS_RUN);
}

static dam_err restart(struct amdvi_unit *unit)
{
    const uint64_t status = unit->iommu.waited_value;
    const struct amdvi_ring ours = {unit->commands_pa.v | dam_bits_put(AMDVI_RING_LOG2, AMDVI_RING_LENGTH), 0,
                                    0};
    dam_err err = switch_commands(unit, false);
    if (!err)
        err = point_to(unit, &ours);
    unit->tail = 0;
    if (!err)
        err = switch_commands(unit, true);
    unit->iommu.waited_register = AMDVI_STATUS_REG;
    unit->iommu.waited_value = status;
    return err ? DAM_E_TIMEOUT : DAM_E_BROKEN;
}

dam_err amdvi_run(struct amdvi_unit *unit)
{
    const struct dam_ops *ops = unit->iommu.ops;
    unit->serial++;
    amdvi_put(unit,
              dam_bits_put(AMDVI_OP_WAIT, AMDVI_CMD_OP) | dam_bits_mask(AMDVI_WAIT_STORE) |
                  unit->semaphore_pa.v,
              unit->serial);
    dam_barrier(ops);
    dam_err err = amdvi_write(unit, AMDVI_COMMAND_TAIL_REG, (uint64_t)unit->tail * 16);
    if (err)
        return err;
    // By its store and not by its head: QEMU's head is wrong after the end of the buffer.
    err = DAM_E_TIMEOUT;
    for (unsigned i = 0; i < LOOKS && err == DAM_E_TIMEOUT; i++) {
        err = dam_wait_memory(ops, unit->semaphore, unit->serial, unit->iommu.max_wait_us / LOOKS);
        if (err == DAM_E_TIMEOUT && has_stopped(unit))
            return restart(unit);
    }
    return err;
}

// ---- flushing ---------------------------------------------------------------------------------------------
struct flush {
    struct amdvi_unit *unit;
    uint32_t put;
    dam_err err;
};

static void put(struct flush *f, uint64_t w0, uint64_t w1)
{
    if (f->err)
        return;
    amdvi_put(f->unit, w0, w1);
    if (++f->put < AMDVI_BATCH)
        return;
    f->put = 0;
    f->err = amdvi_run(f->unit);
}

static void flush_domain(struct flush *f, const struct amdvi_dte *dte, uint64_t *last)
{
    uint64_t domain = dam_bits_get(dte->w[1], AMDVI_DTE_DOMAIN);
    if (amdvi_dte_kind(dte) < AMDVI_DTE_BOUND || domain == *last)
        return;
    *last = domain;
    put(f, dam_bits_put(AMDVI_OP_PAGES, AMDVI_CMD_OP) | dam_bits_put(domain, AMDVI_PAGES_DOMAIN),
        AMDVI_EVERY_ADDRESS | dam_bits_mask(AMDVI_PAGES_S) | dam_bits_mask(AMDVI_PAGES_PDE));
}

// Units that cannot drop everything at once: every entry, every interrupt table, every domain that the old
// kernel used or we do, in that order: what is walked again must find new entries.
static dam_err flush_each(struct amdvi_unit *unit)
{
    const struct amdvi_unit *leader = amdvi_leader(unit);
    struct flush f = {.unit = unit};
    uint64_t last = ~0ull;
    for (unsigned rid = 0; rid < AMDVI_REQUESTERS; rid++) {
        if (!amdvi_planned(leader, (uint16_t)rid))
            continue;
        put(&f, dam_bits_put(AMDVI_OP_DEVICE, AMDVI_CMD_OP) | rid, 0);
        put(&f, dam_bits_put(AMDVI_OP_INTERRUPTS, AMDVI_CMD_OP) | rid, 0);
    }
    for (unsigned s = 0; s < amdvi_segments(&leader->old_table); s++) {
        const struct amdvi_segment *segment = &leader->segment[s];
        for (uint32_t i = 0; i < segment->entries; i++) {
            if (segment->copied)
                flush_domain(&f, &segment->copied[i], &last);
            flush_domain(&f, &segment->planned[i], &last);
        }
    }
    return f.err || !f.put ? f.err : amdvi_run(unit);
}

static dam_err flush_once(struct amdvi_unit *unit)
{
    dam_barrier(unit->iommu.ops);
    if (!dam_bits_get(unit->features.efr, AMDVI_EFR_IA))
        return flush_each(unit);
    amdvi_put(unit, dam_bits_put(AMDVI_OP_ALL, AMDVI_CMD_OP), 0);
    return amdvi_run(unit);
}

dam_err amdvi_flush_unit(struct amdvi_unit *unit)
{
    dam_err err = flush_once(unit);
    // An error that was the unit's, or one of memory, once; that it happens again is no accident.
    if (err == DAM_E_BROKEN)
        err = flush_once(unit);
    return err == DAM_E_BROKEN ? DAM_E_STATE : err;
}

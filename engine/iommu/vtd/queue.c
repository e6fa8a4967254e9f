// SPDX-License-Identifier: MIT
// The invalidation queue: the old kernel's is emptied and switched off, ours lies in the pool. VT-d
// architecture specification r4.1, 6.5.2: the queue may be switched off when it is empty (IQH = IQT) and the
// last descriptor was a wait. Nothing in the old queue's pages is read or written here.
#include "iommu/vtd/queue.h"

#include "base/wait.h"
#include "iommu/vtd/regs.h"

// 6.5.2 Invalidation descriptors, word 0.
#define DESC_TYPE      3, 0
#define DESC_WAIT      5
#define DESC_WAIT_SW   5, 5 // write the status word
#define DESC_WAIT_DATA 63, 32

#define QUEUE_WORDS    (DAM_PAGE_SIZE / 8)

// From VER major 6 on there is no register interface (r3.3 and later, 6.5).
#define VER_WITHOUT_REGISTERS 6u

// A queue that moves is given this many times max_wait_us altogether.
#define DRAIN_WAITS 4u

static dam_err write_reg(const struct vtd_unit *unit, uint16_t reg, unsigned width, uint64_t value)
{
    return dam_mmio_write(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), width, value);
}

static dam_err read_reg(const struct vtd_unit *unit, uint16_t reg, unsigned width, uint64_t *value)
{
    return dam_mmio_read(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), width, value);
}

// Errors on which the hardware fetches nothing more until software clears them (6.5.2.10, 11.4.7.1).
static uint64_t stopping_errors(void)
{
    return dam_bits_mask(VTD_FSTS_IQE) | dam_bits_mask(VTD_FSTS_ITE);
}

// Waits until the queue is empty, or has stopped with an error.
static dam_err drain(struct vtd_unit *unit, bool *stopped)
{
    const uint64_t pointer = dam_bits_mask(VTD_IQ_PTR);
    uint64_t start = dam_clock_us(unit->iommu.ops), moved = start, last = ~0ull, head, tail, fsts;
    for (uint32_t polls = 0; polls < DAM_WAIT_POLLS; polls++) {
        uint64_t now = dam_clock_us(unit->iommu.ops);
        dam_err err = read_reg(unit, VTD_IQH_REG, 8, &head);
        if (!err)
            err = read_reg(unit, VTD_IQT_REG, 8, &tail);
        if (!err)
            err = read_reg(unit, VTD_FSTS_REG, 4, &fsts);
        if (err)
            return err;
        *stopped = fsts & stopping_errors();
        if (*stopped || (head & pointer) == (tail & pointer))
            return DAM_OK;
        // The old kernel may have cleared an error without ringing the bell, as some models need it. On
        // others a tail that does not change does nothing.
        if (polls == 0 && (err = write_reg(unit, VTD_IQT_REG, 8, tail & pointer)))
            return err;
        moved = head == last ? moved : now;
        last = head;
        if (now - moved > unit->iommu.max_wait_us || now - start > DRAIN_WAITS * unit->iommu.max_wait_us)
            break;
    }
    unit->iommu.waited_register = VTD_IQH_REG;
    unit->iommu.waited_value = last;
    return DAM_E_TIMEOUT;
}

// A queue that an error has stopped stands still: the tail can be taken back to the head without a race, and
// then nothing is left in it.
static dam_err drop(const struct vtd_unit *unit)
{
    uint64_t head, tail;
    dam_err err = read_reg(unit, VTD_IQH_REG, 8, &head);
    if (!err)
        err = read_reg(unit, VTD_IQT_REG, 8, &tail);
    head &= dam_bits_mask(VTD_IQ_PTR);
    if (!err && head != (tail & dam_bits_mask(VTD_IQ_PTR)))
        err = write_reg(unit, VTD_IQT_REG, 8, head);
    return err;
}

// Only for an empty queue: where something is left, the hardware would fetch the same descriptor once more.
static dam_err clear_errors(struct vtd_unit *unit)
{
    const uint64_t errors = stopping_errors() | dam_bits_mask(VTD_FSTS_ICE);
    uint64_t fsts;
    dam_err err = read_reg(unit, VTD_FSTS_REG, 4, &fsts);
    if (err || !(fsts & errors))
        return err;
    err = write_reg(unit, VTD_FSTS_REG, 4, fsts & errors);
    return err ? err : vtd_wait(unit, VTD_FSTS_REG, 4, errors, 0);
}

// Empties the queue that runs and switches it off. DAM_E_STATE: it cannot be had.
static dam_err stop_queue(struct vtd_unit *unit, bool *dropped)
{
    dam_err err = drain(unit, dropped);
    if (!err && *dropped)
        err = drop(unit);
    if (!err)
        err = clear_errors(unit);
    if (err)
        return err == DAM_E_TIMEOUT ? DAM_E_STATE : err;
    err = vtd_set_queue_enable(unit, false);
    if (err != DAM_E_TIMEOUT)
        return err;
    uint64_t gsts;
    if (!read_reg(unit, VTD_GSTS_REG, 4, &gsts) && !dam_bits_get(gsts, VTD_G_QIE))
        return DAM_OK; // late, but off; turned on again, it would fetch all of the old descriptors once more
    // The unit refuses: it must not find the request later.
    dam_err again = vtd_set_queue_enable(unit, true);
    (void)again;
    return DAM_E_STATE;
}

// With QIE off: points the unit at a queue (an IQA value) with nothing in it, and turns it on.
static dam_err start_queue(struct vtd_unit *unit, uint64_t iqa)
{
    dam_err err = write_reg(unit, VTD_IQT_REG, 8, 0);
    if (!err)
        err = write_reg(unit, VTD_IQA_REG, 8, iqa);
    return err ? err : vtd_set_queue_enable(unit, true);
}

static dam_err start_own_queue(struct vtd_unit *unit, const struct dam_arena *pool, void *queue_pages,
                               bool wide)
{
    unit->queue_pa = dam_arena_pa(pool, queue_pages);
    unit->queue_words = wide ? 4 : 2;
    unit->wait_status = (volatile uint32_t *)((uint8_t *)queue_pages + DAM_PAGE_SIZE);
    unit->wait_status_pa = dam_pa_of(unit->queue_pa.v + DAM_PAGE_SIZE);
    dam_cache_flush(unit->iommu.ops, queue_pages, 2 * DAM_PAGE_SIZE);
    dam_barrier(unit->iommu.ops);
    dam_err err = start_queue(unit, unit->queue_pa.v | dam_bits_put(wide, VTD_IQA_DW));
    if (!err)
        unit->queue = queue_pages;
    return err;
}

dam_err vtd_take_invalidation(struct vtd_unit *unit, const struct dam_arena *pool, void *queue_pages)
{
    uint64_t gsts, iqa = 0;
    dam_err err = read_reg(unit, VTD_GSTS_REG, 4, &gsts);
    if (err)
        return err;
    bool on = dam_bits_get(gsts, VTD_G_QIE);
    // Without a queue the registers will do, unless there are none, or interrupts are remapped: their cache
    // is flushed by the queue alone (6.5.1).
    if (!on && dam_bits_get(unit->iommu.ver, VTD_VER_MAJOR) < VER_WITHOUT_REGISTERS && !unit->scalable &&
        !(dam_bits_get(gsts, VTD_G_IRE) && dam_bits_get(unit->iommu.ecap, VTD_ECAP_QI)))
        return DAM_OK;
    if (on)
        err = read_reg(unit, VTD_IQA_REG, 8, &iqa);
    if (!err && on)
        err = stop_queue(unit, &unit->old_queue_dropped);
    if (err)
        return err;
    unit->old_iqa = iqa;
    unit->old_queue_on = on;
    err = start_own_queue(unit, pool, queue_pages, unit->scalable || dam_bits_get(iqa, VTD_IQA_DW));
    // Whether putting it back works or not, the first error says why.
    if (err)
        vtd_give_invalidation_back(unit);
    return err;
}

void vtd_give_invalidation_back(struct vtd_unit *unit)
{
    uint64_t gsts;
    bool dropped;
    dam_err err = read_reg(unit, VTD_GSTS_REG, 4, &gsts);
    if (!err && unit->queue && dam_bits_get(gsts, VTD_G_QIE))
        err = stop_queue(unit, &dropped);
    else if (!err && !unit->queue && unit->old_queue_on)
        err = vtd_set_queue_enable(unit, false); // a start that was never answered
    if (!err && unit->old_queue_on)
        err = start_queue(unit, unit->old_iqa);
    unit->queue = NULL;
    (void)err;
}

void vtd_queue_put(struct vtd_unit *unit, uint64_t w0, uint64_t w1)
{
    uint64_t *d = unit->queue + (size_t)unit->queue_tail * unit->queue_words;
    for (uint32_t i = 0; i < unit->queue_words; i++)
        d[i] = i == 0 ? w0 : i == 1 ? w1 : 0;
    dam_cache_flush(unit->iommu.ops, d, unit->queue_words * sizeof(*d));
    unit->queue_tail = (unit->queue_tail + 1) % (QUEUE_WORDS / unit->queue_words);
}

dam_err vtd_queue_run(struct vtd_unit *unit)
{
    unit->wait_serial++;
    vtd_queue_put(unit,
                  dam_bits_put(DESC_WAIT, DESC_TYPE) | dam_bits_mask(DESC_WAIT_SW) |
                      dam_bits_put(unit->wait_serial, DESC_WAIT_DATA),
                  unit->wait_status_pa.v);
    dam_barrier(unit->iommu.ops);
    dam_err err = write_reg(unit, VTD_IQT_REG, 8, (uint64_t)unit->queue_tail * unit->queue_words * 8);
    if (!err)
        err = dam_wait_memory(unit->iommu.ops, unit->wait_status, unit->wait_serial, unit->iommu.max_wait_us);
    if (err) {
        uint64_t fsts = 0;
        unit->iommu.waited_register = VTD_IQH_REG;
        if (!read_reg(unit, VTD_FSTS_REG, 4, &fsts))
            unit->iommu.waited_value = fsts;
    }
    return err;
}

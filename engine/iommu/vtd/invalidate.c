// SPDX-License-Identifier: MIT
// VT-d architecture specification r4.1, 6.5 "Invalidation of Translation Caches". Registers and queue exclude
// each other: while the queue is enabled, the register interface never completes (6.5.1).
#include "base/wait.h"
#include "iommu/vtd/regs.h"
#include "iommu/vtd/unit.h"

// 6.5.2 Invalidation descriptors, word 0.
#define DESC_TYPE        3, 0
#define DESC_CONTEXT     1
#define DESC_IOTLB       2
#define DESC_WAIT        5
#define DESC_GRANULARITY 5, 4 // 1 global
#define DESC_IOTLB_DW    6, 6
#define DESC_IOTLB_DR    7, 7
#define DESC_WAIT_SW     5, 5 // write the status word
#define DESC_WAIT_DATA   63, 32

#define GLOBAL           1u
#define QUEUE_WORDS      (DAM_PAGE_SIZE / 8)

// From VER major 6 on there is no register interface (r3.3 and later, 6.5).
#define VER_WITHOUT_REGISTERS 6u

static dam_err write_reg(const struct vtd_unit *unit, uint16_t reg, uint64_t value)
{
    return dam_mmio_write(unit->ops, dam_pa_of(unit->base.v + reg), 8, value);
}

static dam_err read_reg(const struct vtd_unit *unit, uint16_t reg, unsigned width, uint64_t *value)
{
    return dam_mmio_read(unit->ops, dam_pa_of(unit->base.v + reg), width, value);
}

// Waits until the old queue is empty. A queue that stopped with an error gets one chance: the error bits are
// cleared, on which hardware goes on with the descriptor that IQH points to.
static dam_err drain_old_queue(struct vtd_unit *unit)
{
    const uint64_t errors =
        dam_bits_mask(VTD_FSTS_IQE) | dam_bits_mask(VTD_FSTS_ICE) | dam_bits_mask(VTD_FSTS_ITE);
    uint64_t tail, fsts;
    dam_err err = read_reg(unit, VTD_IQT_REG, 8, &tail);
    if (!err)
        err = read_reg(unit, VTD_FSTS_REG, 4, &fsts);
    if (!err && (fsts & errors))
        err = dam_mmio_write(unit->ops, dam_pa_of(unit->base.v + VTD_FSTS_REG), 4, fsts & errors);
    if (err)
        return err;
    const uint64_t pointer = dam_bits_mask(VTD_IQ_PTR);
    err = vtd_wait(unit, VTD_IQH_REG, 8, pointer, tail & pointer);
    return err == DAM_E_TIMEOUT ? DAM_E_STATE : err;
}

// With QIE off: points the unit at a queue (an IQA value) with nothing in it, and turns it on.
static dam_err start_queue(struct vtd_unit *unit, uint64_t iqa)
{
    dam_err err = write_reg(unit, VTD_IQT_REG, 0);
    if (!err)
        err = write_reg(unit, VTD_IQA_REG, iqa);
    return err ? err : vtd_set_queue_enable(unit, true);
}

static dam_err start_own_queue(struct vtd_unit *unit, const struct dam_arena *pool, void *queue_pages,
                               bool wide)
{
    unit->queue_pa = dam_arena_pa(pool, queue_pages);
    unit->queue_words = wide ? 4 : 2;
    unit->wait_status = (volatile uint32_t *)((uint8_t *)queue_pages + DAM_PAGE_SIZE);
    unit->wait_status_pa = dam_pa_of(unit->queue_pa.v + DAM_PAGE_SIZE);
    dam_cache_flush(unit->ops, queue_pages, 2 * DAM_PAGE_SIZE);
    dam_barrier(unit->ops);
    dam_err err = start_queue(unit, unit->queue_pa.v | dam_bits_put(wide, VTD_IQA_DW));
    if (!err)
        unit->queue = queue_pages;
    return err;
}

dam_err vtd_take_invalidation(struct vtd_unit *unit, const struct dam_arena *pool, void *queue_pages)
{
    uint64_t gsts, old_iqa;
    dam_err err = read_reg(unit, VTD_GSTS_REG, 4, &gsts);
    if (err)
        return err;
    if (!dam_bits_get(gsts, VTD_G_QIE)) {
        if (dam_bits_get(unit->ver, VTD_VER_MAJOR) < VER_WITHOUT_REGISTERS)
            return DAM_OK;
        return start_own_queue(unit, pool, queue_pages, false);
    }
    err = read_reg(unit, VTD_IQA_REG, 8, &old_iqa);
    if (!err)
        err = drain_old_queue(unit);
    if (!err)
        err = vtd_set_queue_enable(unit, false);
    if (err)
        return err;
    err = start_own_queue(unit, pool, queue_pages, dam_bits_get(old_iqa, VTD_IQA_DW));
    // Put back what was there: the caller hands over untouched. Whether that works or not, the first error
    // says why.
    if (err && !vtd_set_queue_enable(unit, false)) {
        dam_err again = start_queue(unit, old_iqa);
        (void)again;
    }
    return err;
}

static void put_descriptor(struct vtd_unit *unit, uint64_t w0, uint64_t w1)
{
    uint64_t *d = unit->queue + (size_t)unit->queue_tail * unit->queue_words;
    for (uint32_t i = 0; i < unit->queue_words; i++)
        d[i] = i == 0 ? w0 : i == 1 ? w1 : 0;
    dam_cache_flush(unit->ops, d, unit->queue_words * sizeof(*d));
    unit->queue_tail = (unit->queue_tail + 1) % (QUEUE_WORDS / unit->queue_words);
}

static dam_err invalidate_by_queue(struct vtd_unit *unit, bool drain_reads, bool drain_writes)
{
    put_descriptor(unit, dam_bits_put(DESC_CONTEXT, DESC_TYPE) | dam_bits_put(GLOBAL, DESC_GRANULARITY), 0);
    put_descriptor(unit,
                   dam_bits_put(DESC_IOTLB, DESC_TYPE) | dam_bits_put(GLOBAL, DESC_GRANULARITY) |
                       dam_bits_put(drain_reads, DESC_IOTLB_DR) | dam_bits_put(drain_writes, DESC_IOTLB_DW),
                   0);
    unit->wait_serial++;
    put_descriptor(unit,
                   dam_bits_put(DESC_WAIT, DESC_TYPE) | dam_bits_mask(DESC_WAIT_SW) |
                       dam_bits_put(unit->wait_serial, DESC_WAIT_DATA),
                   unit->wait_status_pa.v);
    dam_barrier(unit->ops);
    dam_err err = write_reg(unit, VTD_IQT_REG, (uint64_t)unit->queue_tail * unit->queue_words * 8);
    if (!err)
        err = dam_wait_memory(unit->ops, unit->wait_status, unit->wait_serial, unit->max_wait_us);
    if (err) {
        uint64_t fsts = 0;
        unit->waited_register = VTD_IQH_REG;
        if (!read_reg(unit, VTD_FSTS_REG, 4, &fsts))
            unit->waited_value = fsts;
    }
    return err;
}

static dam_err invalidate_by_registers(struct vtd_unit *unit, bool drain_reads, bool drain_writes)
{
    dam_err err =
        write_reg(unit, VTD_CCMD_REG, dam_bits_mask(VTD_CCMD_ICC) | dam_bits_put(GLOBAL, VTD_CCMD_CIRG));
    if (!err)
        err = vtd_wait(unit, VTD_CCMD_REG, 8, dam_bits_mask(VTD_CCMD_ICC), 0);
    if (err)
        return err;
    uint16_t iotlb = (uint16_t)(dam_bits_get(unit->ecap, VTD_ECAP_IRO) * 16 + VTD_IOTLB_REG_OFFSET);
    err = write_reg(unit, iotlb,
                    dam_bits_mask(VTD_IOTLB_IVT) | dam_bits_put(GLOBAL, VTD_IOTLB_IIRG) |
                        dam_bits_put(drain_reads, VTD_IOTLB_DR) | dam_bits_put(drain_writes, VTD_IOTLB_DW));
    if (!err)
        err = vtd_wait(unit, iotlb, 8, dam_bits_mask(VTD_IOTLB_IVT), 0);
    uint64_t done;
    if (!err)
        err = read_reg(unit, iotlb, 8, &done);
    // Granularity 0: the unit took the request for wrong and invalidated nothing.
    return !err && dam_bits_get(done, VTD_IOTLB_IAIG) == 0 ? DAM_E_VERIFY : err;
}

dam_err vtd_invalidate_all(struct vtd_unit *unit)
{
    bool drain_reads = dam_bits_get(unit->cap, VTD_CAP_DRD),
         drain_writes = dam_bits_get(unit->cap, VTD_CAP_DWD);
    return unit->queue ? invalidate_by_queue(unit, drain_reads, drain_writes)
                       : invalidate_by_registers(unit, drain_reads, drain_writes);
}

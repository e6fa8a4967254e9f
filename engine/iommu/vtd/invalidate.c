// SPDX-License-Identifier: MIT
// VT-d architecture specification r4.1, 6.5 "Invalidation of Translation Caches". Registers and queue exclude
// each other: while the queue is enabled, the register interface never completes (6.5.1).
#include "iommu/vtd/queue.h"
#include "iommu/vtd/regs.h"

// 6.5.2 Invalidation descriptors, word 0.
#define DESC_TYPE        3, 0
#define DESC_CONTEXT     1
#define DESC_IOTLB       2
#define DESC_PASID_CACHE 7    // needs a wide queue
#define PASID_GLOBAL     3u   // its granularity, in the place of the others'
#define DESC_GRANULARITY 5, 4 // 1 global
#define DESC_IOTLB_DW    6, 6
#define DESC_IOTLB_DR    7, 7

#define GLOBAL           1u

static dam_err write_reg(const struct vtd_unit *unit, uint16_t reg, uint64_t value)
{
    return dam_mmio_write(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), 8, value);
}

static dam_err read_reg(const struct vtd_unit *unit, uint16_t reg, unsigned width, uint64_t *value)
{
    return dam_mmio_read(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), width, value);
}

static dam_err invalidate_by_queue(struct vtd_unit *unit, bool drain_reads, bool drain_writes)
{
    vtd_queue_put(unit, dam_bits_put(DESC_CONTEXT, DESC_TYPE) | dam_bits_put(GLOBAL, DESC_GRANULARITY), 0);
    if (unit->scalable)
        vtd_queue_put(
            unit, dam_bits_put(DESC_PASID_CACHE, DESC_TYPE) | dam_bits_put(PASID_GLOBAL, DESC_GRANULARITY),
            0);
    vtd_queue_put(unit,
                  dam_bits_put(DESC_IOTLB, DESC_TYPE) | dam_bits_put(GLOBAL, DESC_GRANULARITY) |
                      dam_bits_put(drain_reads, DESC_IOTLB_DR) | dam_bits_put(drain_writes, DESC_IOTLB_DW),
                  0);
    return vtd_queue_run(unit);
}

static dam_err invalidate_by_registers(struct vtd_unit *unit, bool drain_reads, bool drain_writes)
{
    dam_err err =
        write_reg(unit, VTD_CCMD_REG, dam_bits_mask(VTD_CCMD_ICC) | dam_bits_put(GLOBAL, VTD_CCMD_CIRG));
    if (!err)
        err = vtd_wait(unit, VTD_CCMD_REG, 8, dam_bits_mask(VTD_CCMD_ICC), 0);
    if (err)
        return err;
    uint16_t iotlb = (uint16_t)(dam_bits_get(unit->iommu.ecap, VTD_ECAP_IRO) * 16 + VTD_IOTLB_REG_OFFSET);
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
    bool drain_reads = dam_bits_get(unit->iommu.cap, VTD_CAP_DRD),
         drain_writes = dam_bits_get(unit->iommu.cap, VTD_CAP_DWD);
    return unit->queue ? invalidate_by_queue(unit, drain_reads, drain_writes)
                       : invalidate_by_registers(unit, drain_reads, drain_writes);
}

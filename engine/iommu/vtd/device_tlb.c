// SPDX-License-Identifier: MIT
// Device TLBs. VT-d architecture specification r4.1, 6.5.2.5 "Device-TLB Invalidate Descriptor", 6.5.2.6
// "PASID-based-Device-TLB Invalidate Descriptor", 6.5.2.10 "Queued Invalidation Error"; PCI Express Base
// specification 6.0, 10.3.
#include "iommu/vtd/own.h"
#include "iommu/vtd/queue.h"
#include "iommu/vtd/regs.h"

#define DESC_TYPE       3, 0
#define DESC_DEVICE_TLB 3
#define DESC_PFSID_LOW  15, 12
#define DESC_PFSID_HIGH 63, 52
// without PASID
#define DESC_MAX_PENDING 20, 16
#define DESC_SID         47, 32
// with PASID
#define DESC_DEVICE_TLB_PASID  8
#define DESC_PASID_MAX_PENDING 8, 4
#define DESC_PASID_SID         31, 16
#define DESC_PASID_PASID       51, 32
// Word 1: S, and an address of ones whose highest bit is 0, which together mean every address.
#define EVERY_ADDRESS 0x7FFFFFFFFFFFF000ull
#define DESC_S        0, 0
#define DESC_PASID_S  11, 11

// What a silent device may cost: this many waits after the first.
#define RECOVERIES 2u

// Hardware that has given the device up says so (ITE), aborts the wait and fetches nothing more before that
// is cleared.
static dam_err clear_time_out(struct vtd_unit *unit)
{
    const dam_pa fsts_reg = dam_pa_of(unit->iommu.base.v + VTD_FSTS_REG);
    uint64_t fsts;
    dam_err err = dam_mmio_read(unit->iommu.ops, fsts_reg, 4, &fsts);
    if (!err && dam_bits_get(fsts, VTD_FSTS_ITE))
        err = dam_mmio_write(unit->iommu.ops, fsts_reg, 4, dam_bits_mask(VTD_FSTS_ITE));
    return err;
}

// The device was not heard of: another wait must go through.
static dam_err recover(struct vtd_unit *unit)
{
    dam_err err = clear_time_out(unit);
    for (unsigned i = 0; !err && i < RECOVERIES; i++) {
        err = vtd_queue_run(unit);
        if (err != DAM_E_TIMEOUT)
            return err;
        err = clear_time_out(unit);
    }
    return err ? err : DAM_E_STATE;
}

bool vtd_has_device_tlbs(const struct iommu_unit *unit)
{
    return dam_bits_get(unit->ecap, VTD_ECAP_DT);
}

void vtd_device_tlb_put(struct iommu_unit *iommu, const struct iommu_device *device, uint32_t pasid)
{
    struct vtd_unit *unit = vtd_of(iommu);
    const uint64_t pfsid = dam_bits_get(unit->iommu.ecap, VTD_ECAP_DIT) ? device->pf : 0;
    const uint64_t word =
        dam_bits_put(pfsid & 0xF, DESC_PFSID_LOW) | dam_bits_put(pfsid >> 4, DESC_PFSID_HIGH);
    if (pasid == IOMMU_NO_PASID)
        vtd_queue_put(unit,
                      word | dam_bits_put(DESC_DEVICE_TLB, DESC_TYPE) |
                          dam_bits_put(device->depth, DESC_MAX_PENDING) | dam_bits_put(device->rid, DESC_SID),
                      EVERY_ADDRESS | dam_bits_mask(DESC_S));
    else
        vtd_queue_put(unit,
                      word | dam_bits_put(DESC_DEVICE_TLB_PASID, DESC_TYPE) |
                          dam_bits_put(device->depth, DESC_PASID_MAX_PENDING) |
                          dam_bits_put(device->rid, DESC_PASID_SID) | dam_bits_put(pasid, DESC_PASID_PASID),
                      EVERY_ADDRESS | dam_bits_mask(DESC_PASID_S));
}

dam_err vtd_device_tlb_run(struct iommu_unit *iommu)
{
    struct vtd_unit *unit = vtd_of(iommu);
    dam_err err = vtd_queue_run(unit);
    if (err != DAM_E_TIMEOUT)
        return err;
    const uint64_t fsts = iommu->waited_value;
    err = recover(unit);
    iommu->waited_register = VTD_FSTS_REG;
    iommu->waited_value = fsts;
    return err ? err : DAM_E_TIMEOUT;
}

// SPDX-License-Identifier: MIT
// Device TLBs. 48882, 2.4.4 "INVALIDATE_IOTLB_PAGES"; PCI Express Base specification 6.0, 10.3.
#include "iommu/amdvi/regs.h"
#include "iommu/amdvi/unit.h"

// What a silent device may cost: this many waits after the first.
#define RECOVERIES 2u

bool amdvi_has_device_tlbs(const struct iommu_unit *iommu)
{
    return amdvi_of_const(iommu)->device_tlbs;
}

bool amdvi_reaches_devices(const struct iommu_unit *iommu)
{
    return amdvi_of_const(iommu)->has_commands;
}

// The queue that a request counts for is the physical function's.
bool amdvi_asks_physical(const struct iommu_unit *iommu)
{
    (void)iommu;
    return true;
}

void amdvi_device_tlb_put(struct iommu_unit *iommu, const struct iommu_device *device, uint32_t pasid)
{
    const unsigned pending = device->depth ? device->depth : 32; // 0: 32
    uint64_t w0 =
        dam_bits_put(AMDVI_OP_DEVICE_TLB, AMDVI_CMD_OP) | dam_bits_put(device->rid, AMDVI_CMD_DEVICE) |
        dam_bits_put(pending, AMDVI_IOTLB_MAX_PENDING) | dam_bits_put(device->pf, AMDVI_IOTLB_QUEUE);
    uint64_t w1 = AMDVI_EVERY_ADDRESS | dam_bits_mask(AMDVI_IOTLB_S);
    if (pasid != IOMMU_NO_PASID) {
        w0 |= dam_bits_put(pasid >> 8, AMDVI_IOTLB_PASID_HIGH) | dam_bits_put(pasid, AMDVI_IOTLB_PASID_LOW);
        w1 |= dam_bits_mask(AMDVI_IOTLB_GN);
    }
    amdvi_put(amdvi_of(iommu), w0, w1);
}

// The device was not heard of: another wait must go through.
static dam_err recover(struct amdvi_unit *unit)
{
    for (unsigned i = 0; i < RECOVERIES; i++) {
        dam_err err = amdvi_run(unit);
        if (err != DAM_E_TIMEOUT)
            return err == DAM_E_BROKEN ? DAM_OK : err;
    }
    return DAM_E_STATE;
}

dam_err amdvi_device_tlb_run(struct iommu_unit *iommu)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    dam_err err = amdvi_run(unit);
    const uint16_t reg = iommu->waited_register;
    const uint64_t value = iommu->waited_value;
    // Hardware that has given the device up goes on with its commands, and tells by an event.
    const bool gave_up = amdvi_had_event(unit, AMDVI_EV_IOTLB_TIMEOUT);
    if (!err && !gave_up)
        return DAM_OK;
    if (err == DAM_E_TIMEOUT) {
        err = recover(unit);
        iommu->waited_register = reg;
        iommu->waited_value = value;
        return err ? err : DAM_E_TIMEOUT;
    }
    if (!err || err == DAM_E_BROKEN) {
        iommu->waited_register = AMDVI_STATUS_REG;
        iommu->waited_value = err ? value : AMDVI_EV_IOTLB_TIMEOUT;
        return DAM_E_TIMEOUT;
    }
    return err;
}

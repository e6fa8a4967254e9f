// SPDX-License-Identifier: MIT
#include "iommu/amdvi/unit.h"

#include "base/wait.h"
#include "iommu/amdvi/regs.h"

dam_err amdvi_read(const struct amdvi_unit *unit, uint16_t reg, uint64_t *value)
{
    return dam_mmio_read(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), 8, value);
}

dam_err amdvi_write(const struct amdvi_unit *unit, uint16_t reg, uint64_t value)
{
    return dam_mmio_write(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), 8, value);
}

static dam_err refused(struct amdvi_unit *unit, uint16_t reg, uint64_t value)
{
    unit->iommu.waited_register = reg;
    unit->iommu.waited_value = value;
    return DAM_E_VERIFY;
}

dam_err amdvi_set(struct amdvi_unit *unit, uint16_t reg, uint64_t value)
{
    uint64_t back;
    dam_err err = amdvi_write(unit, reg, value);
    if (!err)
        err = amdvi_read(unit, reg, &back);
    return !err && back != value ? refused(unit, reg, back) : err;
}

dam_err amdvi_control(struct amdvi_unit *unit, uint64_t set, uint64_t clear)
{
    uint64_t value;
    dam_err err = amdvi_read(unit, AMDVI_CONTROL_REG, &value);
    // A unit that went away: its ones must not be written to one that comes back.
    if (!err && value == ~0ull)
        return refused(unit, AMDVI_CONTROL_REG, value);
    if (!err)
        err = amdvi_write(unit, AMDVI_CONTROL_REG, (value | set) & ~clear);
    if (!err)
        err = amdvi_read(unit, AMDVI_CONTROL_REG, &value);
    return !err && (value & (set | clear)) != (set & ~clear) ? refused(unit, AMDVI_CONTROL_REG, value) : err;
}

dam_err amdvi_wait(struct amdvi_unit *unit, uint64_t mask, uint64_t want)
{
    uint64_t value = 0;
    dam_err err = dam_wait_register(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + AMDVI_STATUS_REG), 8,
                                    mask, want, unit->iommu.max_wait_us, &value);
    if (err) {
        unit->iommu.waited_register = AMDVI_STATUS_REG;
        unit->iommu.waited_value = value;
    }
    return err;
}

uint16_t amdvi_table_register(unsigned segment)
{
    return (uint16_t)(segment == 0 ? AMDVI_DEVTAB_REG : AMDVI_DEVTAB_SEG1_REG + 8 * (segment - 1));
}

struct amdvi_features amdvi_features_of(uint64_t efr, uint64_t efr2, uint8_t haw)
{
    // Units from before there was this register have all levels of host tables.
    return (struct amdvi_features){
        .efr = efr ? efr : dam_bits_put(2, AMDVI_EFR_HATS), .efr2 = efr2, .haw = haw};
}

dam_err amdvi_read_registers(const struct iommu_unit *iommu, union dam_unit_registers *out)
{
    const struct amdvi_unit *unit = amdvi_of_const(iommu);
    struct dam_amdvi_registers *r = &out->amdvi;
    uint64_t status = 0, pointers[4] = {0};
    static const uint16_t at[] = {AMDVI_COMMAND_HEAD_REG, AMDVI_COMMAND_TAIL_REG, AMDVI_EVENT_HEAD_REG,
                                  AMDVI_EVENT_TAIL_REG};
    dam_err err = amdvi_read(unit, AMDVI_DEVTAB_REG, &r->device_table);
    if (!err)
        err = amdvi_read(unit, AMDVI_COMMAND_REG, &r->command_base);
    if (!err)
        err = amdvi_read(unit, AMDVI_EVENT_REG, &r->event_base);
    if (!err)
        err = amdvi_read(unit, AMDVI_CONTROL_REG, &r->control);
    if (!err)
        err = amdvi_read(unit, AMDVI_STATUS_REG, &status);
    for (unsigned i = 0; !err && i < 4; i++)
        err = amdvi_read(unit, at[i], &pointers[i]);
    r->command_head = (uint32_t)pointers[0];
    r->command_tail = (uint32_t)pointers[1];
    r->event_head = (uint32_t)pointers[2];
    r->event_tail = (uint32_t)pointers[3];
    r->status = (uint32_t)status;
    r->reserved = 0;
    return err;
}

// ---- how it was left --------------------------------------------------------------------------------------
static dam_err read_device_table(struct amdvi_unit *unit, uint64_t control)
{
    struct amdvi_device_table *t = &unit->old_table;
    unsigned log2 = (unsigned)dam_bits_get(control, AMDVI_CONTROL_SEGMENTS);
    t->log2_segments = (uint8_t)(log2 < 3 ? log2 : 3);
    dam_err err = DAM_OK;
    for (unsigned i = 0; !err && i < amdvi_segments(t); i++)
        err = amdvi_read(unit, amdvi_table_register(i), &t->reg[i]);
    return err;
}

// Whether devices may have TLBs: the PCI capability says, or where no way leads to it the firmware.
static bool finds_device_tlbs(const struct amdvi_unit *unit, const struct amdvi_ivhd *ivhd)
{
    uint32_t header;
    if (ivhd->type && unit->iommu.pci && ivhd->capability &&
        !pci_cfg_read(unit->iommu.pci, unit->iommu.segment, ivhd->device, ivhd->capability & 0xFFCu, 4,
                      &header) &&
        (header & 0xFF) == AMDVI_CAP_ID && dam_bits_get(header, AMDVI_CAP_TYPE) == AMDVI_CAP_TYPE_MMU)
        return dam_bits_get(header, AMDVI_CAP_IOTLB);
    return dam_bits_get(unit->iommu.firmware_flags, AMDVI_IVHD_IOTLB);
}

// QEMU's unit remembers what the last entry of a walk says, and forgets what those above it took away. It is
// told by the subsystem id of all of QEMU's devices.
static bool goes_by_leaves(const struct amdvi_unit *unit, const struct amdvi_ivhd *ivhd)
{
    const struct pci_cfg *pci = unit->iommu.pci;
    const uint16_t segment = unit->iommu.segment;
    uint32_t class, subsystem;
    return ivhd->type && pci && !pci_cfg_read(pci, segment, ivhd->device, 8, 4, &class) &&
           class >> 16 == AMDVI_PCI_CLASS && !pci_cfg_read(pci, segment, ivhd->device, 0x2C, 4, &subsystem) &&
           subsystem == AMDVI_SUBSYSTEM_QEMU;
}

bool amdvi_leaf_rights_count(const struct iommu_unit *iommu)
{
    return amdvi_of_const(iommu)->by_leaves;
}

// Why a unit that translates is left alone; DAM_F_NONE: it is not.
static uint16_t obstacle(const struct amdvi_unit *unit, uint64_t control)
{
    if (dam_bits_get(control, AMDVI_CONTROL_SEGMENTS) > dam_bits_get(unit->features.efr, AMDVI_EFR_SEGMENTS))
        return DAM_F_DEVTAB_SEGMENTS;
    if (dam_bits_get(control, AMDVI_CONTROL_MARC))
        return DAM_F_APERTURES;
    return amdvi_host_levels(&unit->features) == 0 ? DAM_F_NO_HOST_TABLES : DAM_F_NONE;
}

dam_err amdvi_probe(struct iommu_unit *iommu, enum iommu_state *state)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    uint64_t efr = 0, efr2 = 0;
    dam_err err = amdvi_read(unit, AMDVI_EFR_REG, &efr);
    if (!err)
        err = amdvi_read_registers(iommu, &iommu->before);
    // Nothing there: all ones on hardware, zero where an emulator has nothing.
    const struct dam_amdvi_registers *r = &iommu->before.amdvi;
    bool ones = r->control == ~0ull, zero = !(efr | r->control | r->device_table | r->command_base);
    if (!err && (ones || zero))
        err = DAM_E_ABSENT;
    if (!err)
        err = read_device_table(unit, r->control);
    if (!err)
        err = amdvi_read(unit, AMDVI_EFR2_REG, &efr2);
    if (err)
        return err;
    struct amdvi_ivhd ivhd = amdvi_find_ivhd(iommu);
    iommu->cap = efr;
    iommu->ecap = efr2;
    iommu->after = iommu->before;
    iommu->state_register = AMDVI_CONTROL_REG;
    iommu->state_value = r->control;
    unit->features = amdvi_features_of(efr, efr2, iommu->host_address_width);
    unit->features.no_host = ivhd.no_host;
    unit->device_flags = ivhd.flags;
    unit->device_tlbs = finds_device_tlbs(unit, &ivhd);
    unit->by_leaves = goes_by_leaves(unit, &ivhd);
    unit->old_control = r->control;
    amdvi_report_state(unit);
    if (unit->by_leaves)
        iommu_report(iommu, DAM_F_LEAF_RIGHTS, iommu->base.v, AMDVI_SUBSYSTEM_QEMU);
    if (!dam_bits_get(r->control, AMDVI_CONTROL_ENABLE)) {
        *state = IOMMU_OFF;
        return DAM_OK;
    }
    uint16_t why = obstacle(unit, r->control);
    *state = why ? IOMMU_UNSUPPORTED : IOMMU_ON;
    if (why)
        iommu_report(iommu, why, iommu->base.v + AMDVI_CONTROL_REG, r->control);
    return DAM_OK;
}

// SPDX-License-Identifier: MIT
#include "iommu/vtd/unit.h"

#include "base/wait.h"
#include "iommu/vtd/regs.h"

static dam_err read_reg(const struct vtd_unit *unit, uint16_t reg, unsigned width, uint64_t *value)
{
    return dam_mmio_read(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), width, value);
}

static dam_err write_reg(const struct vtd_unit *unit, uint16_t reg, unsigned width, uint64_t value)
{
    return dam_mmio_write(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), width, value);
}

dam_err vtd_unit_probe(struct vtd_unit *unit)
{
    uint64_t ver = 0;
    dam_err err = read_reg(unit, VTD_CAP_REG, 8, &unit->iommu.cap);
    if (!err)
        err = read_reg(unit, VTD_ECAP_REG, 8, &unit->iommu.ecap);
    if (!err)
        err = read_reg(unit, VTD_VER_REG, 4, &ver);
    if (err)
        return err;
    unit->iommu.ver = (uint32_t)ver;
    unit->needs_write_buffer_flush = dam_bits_get(unit->iommu.cap, VTD_CAP_RWBF);
    // A unit that is powered off or not there: all ones on hardware, zero where the emulator has nothing.
    bool ones = unit->iommu.cap == ~0ull && unit->iommu.ecap == ~0ull;
    return ones || (unit->iommu.cap == 0 && unit->iommu.ecap == 0) ? DAM_E_ABSENT : DAM_OK;
}

bool vtd_chipset_hides_rwbf(uint32_t id)
{
    if ((id & 0xFFFF) != 0x8086)
        return false;
    switch (id >> 16) {
    case 0x2a40:
    case 0x2e00:
    case 0x2e10:
    case 0x2e20:
    case 0x2e30:
    case 0x2e40:
    case 0x2e90:
        return true;
    default:
        return false;
    }
}

dam_err vtd_registers_read(const struct vtd_unit *unit, struct dam_vtd_registers *out)
{
    uint64_t gsts = 0, fsts = 0, fectl = 0, pmen = 0;
    dam_err err = read_reg(unit, VTD_RTADDR_REG, 8, &out->rtaddr);
    if (!err)
        err = read_reg(unit, VTD_GSTS_REG, 4, &gsts);
    if (!err)
        err = read_reg(unit, VTD_FSTS_REG, 4, &fsts);
    if (!err)
        err = read_reg(unit, VTD_FECTL_REG, 4, &fectl);
    if (!err)
        err = read_reg(unit, VTD_PMEN_REG, 4, &pmen);
    if (!err && dam_bits_get(unit->iommu.ecap, VTD_ECAP_QI)) {
        err = read_reg(unit, VTD_IQA_REG, 8, &out->iqa);
        if (!err)
            err = read_reg(unit, VTD_IQH_REG, 8, &out->iqh);
        if (!err)
            err = read_reg(unit, VTD_IQT_REG, 8, &out->iqt);
    }
    if (!err && dam_bits_get(unit->iommu.ecap, VTD_ECAP_IR))
        err = read_reg(unit, VTD_IRTA_REG, 8, &out->irta);
    out->gsts = (uint32_t)gsts;
    out->fsts = (uint32_t)fsts;
    out->fectl = (uint32_t)fectl;
    out->pmen = (uint32_t)pmen;
    return err;
}

uint32_t vtd_domain_ids(const struct iommu_unit *unit)
{
    unsigned nd = (unsigned)dam_bits_get(unit->cap, VTD_CAP_ND);
    return 1u << (4 + 2 * (nd > 6 ? 6 : nd)); // 7 is reserved
}

bool vtd_width_supported(const struct vtd_unit *unit, unsigned aw)
{
    return aw >= 1 && aw <= 3 && (dam_bits_get(unit->iommu.cap, VTD_CAP_SAGAW) >> aw & 1);
}

uint8_t vtd_large_levels(const struct vtd_unit *unit)
{
    return (uint8_t)((dam_bits_get(unit->iommu.cap, VTD_CAP_SLLPS) & 3) << 1);
}

dam_err vtd_wait(struct vtd_unit *unit, uint16_t reg, unsigned width, uint64_t mask, uint64_t want)
{
    uint64_t value = 0;
    dam_err err = dam_wait_register(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), width, mask, want,
                                    unit->iommu.max_wait_us, &value);
    if (err) {
        unit->iommu.waited_register = reg;
        unit->iommu.waited_value = value;
    }
    return err;
}

// Writes GCMD with `set` added to, and `clear` taken from, what GSTS says is on. The one place that writes
// GCMD: a write without the bits that are on would turn them off, translation first of all.
static dam_err command(struct vtd_unit *unit, uint32_t set, uint32_t clear)
{
    uint64_t gsts;
    dam_err err = read_reg(unit, VTD_GSTS_REG, 4, &gsts);
    if (err)
        return err;
    uint32_t value = (((uint32_t)gsts & VTD_GSTS_KEEP) | set) & ~clear;
    return write_reg(unit, VTD_GCMD_REG, 4, value);
}

dam_err vtd_flush_write_buffer(struct vtd_unit *unit)
{
    if (!unit->needs_write_buffer_flush)
        return DAM_OK;
    dam_err err = command(unit, (uint32_t)dam_bits_mask(VTD_G_WBF), 0);
    return err ? err : vtd_wait(unit, VTD_GSTS_REG, 4, dam_bits_mask(VTD_G_WBF), 0);
}

dam_err vtd_stop_fault_log(struct vtd_unit *unit)
{
    const uint32_t bit = (uint32_t)dam_bits_mask(VTD_G_EAFL);
    dam_err err = command(unit, 0, bit);
    return err ? err : vtd_wait(unit, VTD_GSTS_REG, 4, bit, 0);
}

dam_err vtd_set_root(struct vtd_unit *unit, dam_pa root_table, uint64_t ttm)
{
    dam_err err = write_reg(unit, VTD_RTADDR_REG, 8, root_table.v | dam_bits_put(ttm, VTD_RTADDR_TTM));
    if (!err)
        err = command(unit, (uint32_t)dam_bits_mask(VTD_G_SRTP), 0);
    if (!err)
        err = vtd_wait(unit, VTD_GSTS_REG, 4, dam_bits_mask(VTD_G_SRTP), dam_bits_mask(VTD_G_SRTP));
    return err;
}

dam_err vtd_set_interrupt_table(struct vtd_unit *unit, uint64_t irta)
{
    const uint32_t bit = (uint32_t)dam_bits_mask(VTD_G_SIRTP);
    dam_err err = write_reg(unit, VTD_IRTA_REG, 8, irta);
    if (!err)
        err = command(unit, bit, 0);
    return err ? err : vtd_wait(unit, VTD_GSTS_REG, 4, bit, bit);
}

dam_err vtd_set_queue_enable(struct vtd_unit *unit, bool on)
{
    uint32_t qie = (uint32_t)dam_bits_mask(VTD_G_QIE);
    dam_err err = command(unit, on ? qie : 0, on ? 0 : qie);
    return err ? err : vtd_wait(unit, VTD_GSTS_REG, 4, qie, on ? qie : 0);
}

dam_err vtd_set_translation_on(struct vtd_unit *unit)
{
    uint32_t te = (uint32_t)dam_bits_mask(VTD_G_TE);
    dam_err err = command(unit, te, 0);
    return err ? err : vtd_wait(unit, VTD_GSTS_REG, 4, te, te);
}

dam_err vtd_set_interrupt_remapping_off(struct vtd_unit *unit)
{
    uint32_t ire = (uint32_t)dam_bits_mask(VTD_G_IRE);
    uint64_t gsts;
    dam_err err = read_reg(unit, VTD_GSTS_REG, 4, &gsts);
    if (err || !(gsts & ire))
        return err;
    err = command(unit, 0, ire);
    return err ? err : vtd_wait(unit, VTD_GSTS_REG, 4, ire, 0);
}

dam_err vtd_open_protected_memory(struct vtd_unit *unit)
{
    uint64_t pmen, prs = dam_bits_mask(VTD_PMEN_PRS);
    dam_err err = read_reg(unit, VTD_PMEN_REG, 4, &pmen);
    if (err || !(pmen & (dam_bits_mask(VTD_PMEN_EPM) | prs)))
        return err;
    err = write_reg(unit, VTD_PMEN_REG, 4, 0);
    return err ? err : vtd_wait(unit, VTD_PMEN_REG, 4, prs, 0);
}

// SPDX-License-Identifier: MIT
// What a unit tells software by itself: faults, completion events, page requests. VT-d architecture
// specification r4.1, chapter 7 and 11.4.7 to 11.4.12.
#include "iommu/vtd/regs.h"
#include "iommu/vtd/unit.h"

static dam_err read_reg(const struct vtd_unit *unit, uint64_t reg, unsigned width, uint64_t *value)
{
    return dam_mmio_read(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), width, value);
}

static dam_err write_reg(const struct vtd_unit *unit, uint64_t reg, unsigned width, uint64_t value)
{
    return dam_mmio_write(unit->iommu.ops, dam_pa_of(unit->iommu.base.v + reg), width, value);
}

dam_err vtd_mask_events(struct vtd_unit *unit)
{
    // The mask is bit 31 of all three.
    dam_err err = write_reg(unit, VTD_FECTL_REG, 4, dam_bits_mask(VTD_FECTL_IM));
    if (!err && dam_bits_get(unit->iommu.ecap, VTD_ECAP_QI))
        err = write_reg(unit, VTD_IECTL_REG, 4, dam_bits_mask(VTD_FECTL_IM));
    if (!err && dam_bits_get(unit->iommu.ecap, VTD_ECAP_PRS))
        err = write_reg(unit, VTD_PECTL_REG, 4, dam_bits_mask(VTD_FECTL_IM));
    uint64_t back;
    // Reading back pushes the writes out before anything can fault.
    return err ? err : read_reg(unit, VTD_FECTL_REG, 4, &back);
}

// ---- fault records ----------------------------------------------------------------------------------------
static uint64_t record_at(const struct vtd_unit *unit, unsigned n)
{
    return dam_bits_get(unit->iommu.cap, VTD_CAP_FRO) * 16 + n * 16ull;
}

unsigned vtd_fault_records(const struct vtd_unit *unit)
{
    unsigned count = (unsigned)dam_bits_get(unit->iommu.cap, VTD_CAP_NFR) + 1;
    while (count && record_at(unit, count) > DAM_PAGE_SIZE)
        count--;
    return count;
}

dam_err vtd_fault_record(const struct vtd_unit *unit, unsigned n, struct vtd_fault *out)
{
    dam_err err = read_reg(unit, record_at(unit, n) + 8, 8, &out->high);
    return err ? err : read_reg(unit, record_at(unit, n), 8, &out->low);
}

dam_err vtd_clear_faults(struct vtd_unit *unit)
{
    const uint64_t mine = dam_bits_mask(VTD_FSTS_PFO) | dam_bits_mask(VTD_FSTS_AFO) |
                          dam_bits_mask(VTD_FSTS_APF) | dam_bits_mask(VTD_FSTS_PRO);
    for (unsigned n = 0; n < vtd_fault_records(unit); n++) {
        struct vtd_fault fault;
        dam_err err = vtd_fault_record(unit, n, &fault);
        // F is bit 31 of the last double word, and cleared by writing it.
        if (!err && dam_bits_get(fault.high, VTD_FAULT_F))
            err = write_reg(unit, record_at(unit, n) + 12, 4, 1u << 31);
        if (err)
            return err;
    }
    // An overflow goes after the records: while it stands, nothing new is recorded.
    uint64_t fsts;
    dam_err err = read_reg(unit, VTD_FSTS_REG, 4, &fsts);
    return err || !(fsts & mine) ? err : write_reg(unit, VTD_FSTS_REG, 4, fsts & mine);
}

dam_err vtd_queue_error(const struct vtd_unit *unit, uint64_t *iqercd)
{
    return read_reg(unit, VTD_IQERCD_REG, 8, iqercd);
}

dam_err vtd_fault_log(const struct vtd_unit *unit, uint64_t *aflog)
{
    return read_reg(unit, VTD_AFLOG_REG, 8, aflog);
}

// ---- page requests (7.5) ----------------------------------------------------------------------------------
dam_err vtd_page_request_queue(const struct vtd_unit *unit, uint64_t *pqa)
{
    *pqa = 0;
    return dam_bits_get(unit->iommu.ecap, VTD_ECAP_PRS) ? read_reg(unit, VTD_PQA_REG, 8, pqa) : DAM_OK;
}

dam_err vtd_move_page_requests(struct vtd_unit *unit, dam_pa page)
{
    // Head and tail first: with the old ones the unit would write beyond a queue of one page.
    dam_err err = write_reg(unit, VTD_PQH_REG, 8, 0);
    if (!err)
        err = write_reg(unit, VTD_PQT_REG, 8, 0);
    if (!err)
        err = write_reg(unit, VTD_PQA_REG, 8, page.v);
    return err ? err
               : write_reg(unit, VTD_PRS_REG, 4, dam_bits_mask(VTD_PRS_PPR) | dam_bits_mask(VTD_PRS_PRO));
}

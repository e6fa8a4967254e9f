// SPDX-License-Identifier: MIT
#include "iommu/vtd/scalable.h"

#include "iommu/vtd/regs.h"
#include "iommu/vtd/unit.h"

struct vtd_sm_context vtd_sm_context_decode(const uint64_t w[VTD_SM_CTX_WORDS], unsigned haw)
{
    uint64_t directory = w[0] & dam_bits_mask(VTD_SM_CTX_DIR);
    return (struct vtd_sm_context){
        .present = dam_bits_get(w[0], VTD_SM_CTX_P),
        .fpd = dam_bits_get(w[0], VTD_SM_CTX_FPD),
        .reserved = vtd_word_bit(dam_bits_get(w[0], VTD_SM_CTX_RSVD) || vtd_beyond(directory, haw), 0) |
                    vtd_word_bit(dam_bits_get(w[1], VTD_SM_CTX_RSVD1), 1) | vtd_word_bit(w[2], 2) |
                    vtd_word_bit(w[3], 3),
        .translated = dam_bits_get(w[0], VTD_SM_CTX_DTE),
        .pasids = dam_bits_get(w[0], VTD_SM_CTX_PASIDE),
        .page_requests = dam_bits_get(w[0], VTD_SM_CTX_PRE),
        .privileged = dam_bits_get(w[1], VTD_SM_CTX_RID_PRIV),
        .pdts = (uint8_t)dam_bits_get(w[0], VTD_SM_CTX_PDTS),
        .rid_pasid = (uint32_t)dam_bits_get(w[1], VTD_SM_CTX_RID_PASID),
        .directory = dam_pa_of(directory),
    };
}

void vtd_sm_context_encode(const struct vtd_sm_context *c, uint64_t w[VTD_SM_CTX_WORDS])
{
    w[0] = dam_bits_put(c->present, VTD_SM_CTX_P) | dam_bits_put(c->fpd, VTD_SM_CTX_FPD) |
           dam_bits_put(c->translated, VTD_SM_CTX_DTE) | dam_bits_put(c->pasids, VTD_SM_CTX_PASIDE) |
           dam_bits_put(c->page_requests, VTD_SM_CTX_PRE) | dam_bits_put(c->pdts, VTD_SM_CTX_PDTS) |
           c->directory.v;
    w[1] =
        dam_bits_put(c->rid_pasid, VTD_SM_CTX_RID_PASID) | dam_bits_put(c->privileged, VTD_SM_CTX_RID_PRIV);
    w[2] = w[3] = 0;
}

uint8_t vtd_sm_context_flaws(const struct vtd_unit *unit, const struct vtd_sm_context *c)
{
    uint64_t ecap = unit->iommu.ecap;
    bool first = (c->translated && !dam_bits_get(ecap, VTD_ECAP_DT)) ||
                 (c->pasids && !dam_bits_get(ecap, VTD_ECAP_PASID)) ||
                 (c->page_requests && !dam_bits_get(ecap, VTD_ECAP_PRS));
    bool second = c->rid_pasid && !dam_bits_get(ecap, VTD_ECAP_RPS);
    return c->reserved | vtd_word_bit(first, 0) | vtd_word_bit(second, 1);
}

struct vtd_pasid_dir vtd_pasid_dir_decode(uint64_t raw, unsigned haw)
{
    uint64_t table = raw & dam_bits_mask(VTD_PASID_DIR_TBL);
    return (struct vtd_pasid_dir){
        .present = dam_bits_get(raw, VTD_PASID_DIR_P),
        .reserved = dam_bits_get(raw, VTD_PASID_DIR_RSVD) || vtd_beyond(table, haw),
        .table = dam_pa_of(table),
    };
}

uint64_t vtd_pasid_dir_encode(dam_pa table)
{
    return table.v | dam_bits_mask(VTD_PASID_DIR_P) | dam_bits_mask(VTD_PASID_DIR_FPD);
}

struct iommu_binding vtd_pasid_decode(const uint64_t w[VTD_PASID_WORDS], unsigned haw)
{
    uint64_t pgtt = dam_bits_get(w[0], VTD_PASID_PGTT);
    uint64_t second = w[0] & dam_bits_mask(VTD_PASID_SSPT), first = w[2] & dam_bits_mask(VTD_PASID_FSPT);
    uint8_t second_levels = (uint8_t)(dam_bits_get(w[0], VTD_PASID_AW) + 2);
    uint8_t first_levels = (uint8_t)(dam_bits_get(w[2], VTD_PASID_FSPM) + 4);
    struct iommu_binding b = {
        .scalable = true,
        .stage =
            pgtt >= DAM_STAGE_FIRST && pgtt <= DAM_STAGE_PASSTHROUGH ? (enum dam_stage)pgtt : DAM_STAGE_NONE,
        .present = dam_bits_get(w[0], VTD_PASID_P),
        .r = true,
        .w = true,
        .fpd = dam_bits_get(w[0], VTD_PASID_FPD),
        .levels = second_levels,
        .did = (uint16_t)dam_bits_get(w[1], VTD_PASID_DID),
        .root = dam_pa_of(second),
    };
    b.reserved = vtd_word_bit(dam_bits_get(w[0], VTD_PASID_RSVD5) || dam_bits_get(w[0], VTD_PASID_RSVD0), 0) |
                 vtd_word_bit(dam_bits_get(w[1], VTD_PASID_RSVD1), 1) |
                 vtd_word_bit(dam_bits_get(w[2], VTD_PASID_RSVD2), 2);
    for (unsigned i = 0; i < VTD_PASID_WORDS; i++) {
        b.raw[i] = w[i];
        b.reserved |= vtd_word_bit(i > 2 && w[i], i);
    }
    if (b.stage == DAM_STAGE_FIRST) {
        b.levels = first_levels;
        b.root = dam_pa_of(first);
    } else if (b.stage == DAM_STAGE_NESTED) {
        b.first_levels = first_levels;
        b.first = dam_pa_of(first);
        b.reserved |= vtd_word_bit(vtd_beyond(first, haw), 2);
    }
    if (b.stage != DAM_STAGE_PASSTHROUGH)
        b.reserved |= vtd_word_bit(vtd_beyond(b.root.v, haw), b.stage == DAM_STAGE_FIRST ? 2 : 0);
    return b;
}

void vtd_pasid_encode(const struct iommu_binding *b, uint64_t w[VTD_PASID_WORDS])
{
    bool second = b->stage != DAM_STAGE_FIRST, first = b->stage != DAM_STAGE_SECOND;
    uint64_t fspm = (b->stage == DAM_STAGE_FIRST ? b->levels : b->first_levels) - 4u;
    for (unsigned i = 0; i < VTD_PASID_WORDS; i++)
        w[i] = 0;
    w[0] = dam_bits_mask(VTD_PASID_P) | dam_bits_mask(VTD_PASID_FPD) | dam_bits_put(b->stage, VTD_PASID_PGTT);
    if (second)
        w[0] |= dam_bits_put(b->levels - 2u, VTD_PASID_AW) | b->root.v;
    else
        w[0] |= b->raw[0] & dam_bits_mask(VTD_PASID_AW);
    w[1] = dam_bits_put(b->did, VTD_PASID_DID) |
           (b->raw[1] & (dam_bits_mask(VTD_PASID_PWSNP) | dam_bits_mask(VTD_PASID_MEMORY)));
    if (first)
        w[2] = dam_bits_put(fspm, VTD_PASID_FSPM) | (b->raw[2] & dam_bits_mask(VTD_PASID_NXE)) |
               (b->stage == DAM_STAGE_FIRST ? b->root.v : b->first.v);
}

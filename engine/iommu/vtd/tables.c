// SPDX-License-Identifier: MIT
#include "iommu/vtd/tables.h"

#include "iommu/vtd/regs.h"
#include "iommu/vtd/unit.h"

enum vtd_mode vtd_mode_of(uint64_t ecap, uint64_t rtaddr)
{
    uint64_t ttm = dam_bits_get(rtaddr, VTD_RTADDR_TTM);
    bool has_scalable = dam_bits_get(ecap, VTD_ECAP_SMTS);
    bool extended = dam_bits_get(ecap, VTD_ECAP_ECS) && (ttm & 2); // a mode of old, with tables of its own
    if (ttm == VTD_TTM_LEGACY)
        return VTD_MODE_LEGACY;
    if (ttm == VTD_TTM_SCALABLE && has_scalable)
        return VTD_MODE_SCALABLE;
    if (ttm == VTD_TTM_ABORT && dam_bits_get(ecap, VTD_ECAP_ADMS))
        return VTD_MODE_ABORT;
    return has_scalable || extended ? VTD_MODE_UNSUPPORTED : VTD_MODE_IMPOSSIBLE;
}

struct vtd_root vtd_root_decode(uint64_t half, unsigned haw)
{
    uint64_t table = half & dam_bits_mask(VTD_ROOT_CTP);
    return (struct vtd_root){
        .present = dam_bits_get(half, VTD_ROOT_P),
        .reserved = (half & dam_bits_mask(11, 1)) || vtd_beyond(table, haw),
        .context_table = dam_pa_of(table),
    };
}

uint64_t vtd_root_encode(dam_pa context_table)
{
    return context_table.v | dam_bits_mask(VTD_ROOT_P);
}

struct iommu_binding vtd_context_decode(struct vtd_context_entry raw, unsigned haw)
{
    uint64_t root = raw.w[0] & dam_bits_mask(VTD_CTX_SSPT), type = dam_bits_get(raw.w[0], VTD_CTX_T);
    return (struct iommu_binding){
        .stage = type == VTD_T_PASSTHROUGH ? DAM_STAGE_PASSTHROUGH
                 : type <= VTD_T_ALL       ? DAM_STAGE_SECOND
                                           : DAM_STAGE_NONE,
        .present = dam_bits_get(raw.w[0], VTD_CTX_P),
        .r = true,
        .w = true,
        .fpd = dam_bits_get(raw.w[0], VTD_CTX_FPD),
        .reserved = vtd_word_bit(dam_bits_get(raw.w[0], VTD_CTX_RSVD) || vtd_beyond(root, haw), 0) |
                    vtd_word_bit(
                        dam_bits_get(raw.w[1], VTD_CTX_RSVD7) || dam_bits_get(raw.w[1], VTD_CTX_RSVD_TOP), 1),
        .translated = type == VTD_T_ALL,
        .levels = (uint8_t)(dam_bits_get(raw.w[1], VTD_CTX_AW) + 2),
        .did = (uint16_t)dam_bits_get(raw.w[1], VTD_CTX_DID),
        .root = dam_pa_of(root),
        .raw = {raw.w[0], raw.w[1]},
    };
}

struct vtd_context_entry vtd_context_encode(const struct iommu_binding *b)
{
    return (struct vtd_context_entry){{
        dam_bits_mask(VTD_CTX_P) | dam_bits_mask(VTD_CTX_FPD) | dam_bits_put(VTD_T_UNTRANSLATED, VTD_CTX_T) |
            b->root.v,
        dam_bits_put(b->levels - 2u, VTD_CTX_AW) | dam_bits_put(b->did, VTD_CTX_DID) |
            (b->raw[1] & dam_bits_mask(6, 3)),
    }};
}

static bool has(const struct vtd_unit *unit, unsigned hi, unsigned lo)
{
    return dam_bits_get(unit->iommu.ecap, hi, lo);
}

static bool stage_supported(const struct vtd_unit *unit, const struct iommu_binding *b)
{
    bool first = has(unit, VTD_ECAP_FSTS), second = !b->scalable || has(unit, VTD_ECAP_SSTS);
    switch (b->stage) {
    case DAM_STAGE_FIRST:
        return first;
    case DAM_STAGE_SECOND:
        return second && (!b->translated || has(unit, VTD_ECAP_DT));
    case DAM_STAGE_NESTED:
        return first && second && has(unit, VTD_ECAP_NEST);
    case DAM_STAGE_PASSTHROUGH:
        return has(unit, VTD_ECAP_PT);
    case DAM_STAGE_NONE:
        break;
    }
    return false;
}

static bool first_levels_supported(const struct vtd_unit *unit, unsigned levels)
{
    return levels == 4 || (levels == 5 && dam_bits_get(unit->iommu.cap, VTD_CAP_FS5LP));
}

enum vtd_flaw vtd_binding_flaw(const struct vtd_unit *unit, const struct iommu_binding *b)
{
    if (b->reserved)
        return VTD_FLAW_RESERVED;
    if (!stage_supported(unit, b))
        return VTD_FLAW_STAGE;
    bool width = b->stage == DAM_STAGE_FIRST ? first_levels_supported(unit, b->levels)
                                             : vtd_width_supported(unit, b->levels - 2u);
    if (b->stage == DAM_STAGE_NESTED)
        width &= first_levels_supported(unit, b->first_levels);
    return width ? VTD_SOUND : VTD_FLAW_WIDTH;
}

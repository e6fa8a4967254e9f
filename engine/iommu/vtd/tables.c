// SPDX-License-Identifier: MIT
#include "iommu/vtd/tables.h"

static bool beyond(uint64_t addr, unsigned haw)
{
    return haw < 64 && addr >> haw;
}

struct vtd_root vtd_root_decode(struct vtd_root_entry raw, unsigned haw)
{
    uint64_t table = raw.w[0] & dam_bits_mask(VTD_ROOT_CTP);
    return (struct vtd_root){
        .present = dam_bits_get(raw.w[0], VTD_ROOT_P),
        .reserved = raw.w[1] || (raw.w[0] & dam_bits_mask(11, 1)) || beyond(table, haw),
        .context_table = dam_pa_of(table),
    };
}

struct vtd_context vtd_context_decode(struct vtd_context_entry raw, unsigned haw)
{
    uint64_t root = raw.w[0] & dam_bits_mask(VTD_CTX_SSPT);
    return (struct vtd_context){
        .present = dam_bits_get(raw.w[0], VTD_CTX_P),
        .fpd = dam_bits_get(raw.w[0], VTD_CTX_FPD),
        .reserved = dam_bits_get(raw.w[0], VTD_CTX_RSVD) || dam_bits_get(raw.w[1], VTD_CTX_RSVD7) ||
                    dam_bits_get(raw.w[1], VTD_CTX_RSVD_TOP) || beyond(root, haw),
        .type = (uint8_t)dam_bits_get(raw.w[0], VTD_CTX_T),
        .aw = (uint8_t)dam_bits_get(raw.w[1], VTD_CTX_AW),
        .did = (uint16_t)dam_bits_get(raw.w[1], VTD_CTX_DID),
        .root = dam_pa_of(root),
    };
}

struct vtd_context_entry vtd_context_encode(const struct vtd_context *c, struct vtd_context_entry old)
{
    return (struct vtd_context_entry){{
        dam_bits_put(c->present, VTD_CTX_P) | dam_bits_put(c->fpd, VTD_CTX_FPD) |
            dam_bits_put(c->type, VTD_CTX_T) | c->root.v,
        dam_bits_put(c->aw, VTD_CTX_AW) | dam_bits_put(c->did, VTD_CTX_DID) |
            (old.w[1] & dam_bits_mask(6, 3)),
    }};
}

struct vtd_root_entry vtd_root_encode(dam_pa context_table)
{
    return (struct vtd_root_entry){{context_table.v | dam_bits_mask(VTD_ROOT_P), 0}};
}

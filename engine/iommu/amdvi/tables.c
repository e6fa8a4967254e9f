// SPDX-License-Identifier: MIT
#include "iommu/amdvi/tables.h"

#include <cofferdam/findings.h>

#include "iommu/amdvi/regs.h"

static bool has(uint64_t word, unsigned hi, unsigned lo)
{
    return dam_bits_get(word, hi, lo) != 0;
}

// ---- device table entries ---------------------------------------------------------------------------------
enum amdvi_dte_kind amdvi_dte_kind(const struct amdvi_dte *dte)
{
    const uint64_t w0 = dte->w[0];
    if (!has(w0, AMDVI_DTE_V))
        return AMDVI_DTE_OPEN;
    if (!has(w0, AMDVI_DTE_TV))
        return AMDVI_DTE_BLOCKED;
    bool host = has(w0, AMDVI_DTE_MODE), rights = has(w0, AMDVI_DTE_IR) || has(w0, AMDVI_DTE_IW);
    if (!host && !rights)
        return AMDVI_DTE_BLOCKED;
    return amdvi_dte_has_pasids(dte) && has(w0, AMDVI_DTE_GIOV) ? AMDVI_DTE_PASIDS : AMDVI_DTE_BOUND;
}

bool amdvi_dte_has_pasids(const struct amdvi_dte *dte)
{
    return has(dte->w[0], AMDVI_DTE_GV) && !has(dte->w[0], AMDVI_DTE_MODE);
}

static uint8_t reserved_words(const struct amdvi_dte *dte)
{
    bool w0 = has(dte->w[0], AMDVI_DTE_RSVD_2) || has(dte->w[0], AMDVI_DTE_RSVD_63);
    bool w2 = has(dte->w[2], AMDVI_DTE_RSVD_180);
    bool w3 = has(dte->w[3], AMDVI_DTE_RSVD_192) || has(dte->w[3], AMDVI_DTE_RSVD_240);
    return (uint8_t)((unsigned)w0 | (unsigned)w2 << 2 | (unsigned)w3 << 3);
}

// Without translation: as wide as the widest tables.
static struct iommu_binding open_binding(const struct amdvi_dte *dte)
{
    struct iommu_binding b = {
        .stage = DAM_STAGE_PASSTHROUGH,
        .present = true,
        .r = true,
        .w = true,
        .levels = AMDVI_MAX_LEVELS,
    };
    for (unsigned i = 0; i < AMDVI_DTE_WORDS; i++)
        b.raw[i] = dte->w[i];
    return b;
}

struct iommu_binding amdvi_dte_decode(const struct amdvi_dte *dte, const struct amdvi_features *f)
{
    struct iommu_binding b = open_binding(dte);
    const uint64_t w0 = dte->w[0], w1 = dte->w[1];
    enum amdvi_dte_kind kind = amdvi_dte_kind(dte);
    unsigned mode = (unsigned)dam_bits_get(w0, AMDVI_DTE_MODE);
    if (kind == AMDVI_DTE_OPEN)
        return b;
    b.present = kind == AMDVI_DTE_BOUND;
    b.r = has(w0, AMDVI_DTE_IR);
    b.w = has(w0, AMDVI_DTE_IW);
    b.translated = has(w1, AMDVI_DTE_I);
    b.fpd = has(w1, AMDVI_DTE_SA);
    b.reserved = reserved_words(dte);
    b.did = (uint16_t)dam_bits_get(w1, AMDVI_DTE_DOMAIN);
    if (mode == 0)
        return b;
    b.stage = mode > AMDVI_MAX_LEVELS ? DAM_STAGE_NONE
              : has(w0, AMDVI_DTE_GV) ? DAM_STAGE_NESTED
                                      : DAM_STAGE_SECOND;
    b.levels = (uint8_t)mode;
    b.root = dam_pa_of(w0 & dam_bits_mask(AMDVI_DTE_HOST) & ~f->encrypt);
    if (b.stage == DAM_STAGE_NESTED) {
        struct amdvi_gcr3 gcr3 = amdvi_dte_gcr3(dte, f);
        b.first = gcr3.root;
        b.first_levels = gcr3.guest_levels;
    }
    return b;
}

struct amdvi_gcr3 amdvi_dte_gcr3(const struct amdvi_dte *dte, const struct amdvi_features *f)
{
    uint64_t root = dam_bits_get(dte->w[0], AMDVI_DTE_GCR3_14_12) << 12 |
                    dam_bits_get(dte->w[1], AMDVI_DTE_GCR3_30_15) << 15 |
                    dam_bits_get(dte->w[1], AMDVI_DTE_GCR3_51_31) << 31;
    return (struct amdvi_gcr3){
        .root = dam_pa_of(root & ~f->encrypt),
        .levels = (uint8_t)(dam_bits_get(dte->w[0], AMDVI_DTE_GLX) + 1),
        .guest_levels = (uint8_t)(dam_bits_get(dte->w[2], AMDVI_DTE_GUEST) + 4),
        .rid = has(dte->w[0], AMDVI_DTE_GIOV),
    };
}

struct amdvi_dte amdvi_gcr3_fields(const struct amdvi_gcr3 *g)
{
    return (struct amdvi_dte){{
        dam_bits_mask(AMDVI_DTE_GV) | dam_bits_put(g->rid, AMDVI_DTE_GIOV) |
            dam_bits_put(g->levels - 1u, AMDVI_DTE_GLX) | dam_bits_put(g->root.v >> 12, AMDVI_DTE_GCR3_14_12),
        dam_bits_put(g->root.v >> 15, AMDVI_DTE_GCR3_30_15) |
            dam_bits_put(g->root.v >> 31, AMDVI_DTE_GCR3_51_31),
        dam_bits_put(g->guest_levels - 4u, AMDVI_DTE_GUEST),
        0,
    }};
}

uint8_t amdvi_host_levels(const struct amdvi_features *f)
{
    unsigned hats = (unsigned)dam_bits_get(f->efr, AMDVI_EFR_HATS);
    return f->no_host || hats == 3 ? 0 : (uint8_t)(4 + hats);
}

static bool guest_levels_supported(const struct amdvi_features *f, const struct amdvi_gcr3 *g)
{
    return g->guest_levels == 4 || (g->guest_levels == 5 && has(f->efr, AMDVI_EFR_GATS));
}

// What is wrong with the part of an entry that leads to a GCR3 table.
static enum amdvi_flaw guest_flaw(const struct amdvi_features *f, const struct amdvi_dte *dte, unsigned *word)
{
    struct amdvi_gcr3 g = amdvi_dte_gcr3(dte, f);
    *word = 0;
    if (!has(f->efr, AMDVI_EFR_GT) || (g.rid && !has(f->efr, AMDVI_EFR_GIO)))
        return AMDVI_FLAW_TYPE;
    if (g.levels > AMDVI_GCR3_LEVELS || g.levels > dam_bits_get(f->efr, AMDVI_EFR_GLX) + 1)
        return AMDVI_FLAW_WIDTH;
    if (guest_levels_supported(f, &g))
        return AMDVI_SOUND;
    *word = 2;
    return AMDVI_FLAW_WIDTH;
}

// Accessed, or accessed and dirty bits in host tables.
static bool marking_supported(const struct amdvi_features *f, const struct amdvi_dte *dte)
{
    switch (dam_bits_get(dte->w[0], AMDVI_DTE_HAD)) {
    case 0:
        return true;
    case 1:
        return has(f->efr, AMDVI_EFR_HA);
    case 3:
        return has(f->efr, AMDVI_EFR_HA) && has(f->efr, AMDVI_EFR_HD);
    default:
        return false;
    }
}

enum amdvi_flaw amdvi_dte_flaw(const struct amdvi_features *f, const struct amdvi_dte *dte, unsigned *word)
{
    unsigned mode = (unsigned)dam_bits_get(dte->w[0], AMDVI_DTE_MODE), levels = amdvi_host_levels(f);
    uint8_t reserved = reserved_words(dte);
    *word = 0;
    if (amdvi_dte_kind(dte) == AMDVI_DTE_OPEN)
        return AMDVI_SOUND;
    if (reserved) {
        while (!(reserved >> *word & 1))
            ++*word;
        return AMDVI_FLAW_RESERVED;
    }
    if (mode > AMDVI_MAX_LEVELS || (mode && !levels) || !marking_supported(f, dte))
        return AMDVI_FLAW_TYPE;
    if (mode > levels)
        return AMDVI_FLAW_WIDTH;
    return has(dte->w[0], AMDVI_DTE_GV) ? guest_flaw(f, dte, word) : AMDVI_SOUND;
}

uint16_t amdvi_dte_finding(const struct amdvi_features *f, const struct amdvi_dte *dte,
                           const struct pt_memory *memory, unsigned *word)
{
    switch (amdvi_dte_flaw(f, dte, word)) {
    case AMDVI_FLAW_RESERVED:
        return DAM_F_DTE_RESERVED;
    case AMDVI_FLAW_TYPE:
        return DAM_F_DTE_TYPE;
    case AMDVI_FLAW_WIDTH:
        return DAM_F_DTE_WIDTH;
    case AMDVI_SOUND:
        break;
    }
    struct iommu_binding b = amdvi_dte_decode(dte, f);
    bool host = b.present && b.stage != DAM_STAGE_PASSTHROUGH;
    if (host && !pt_known_table(memory, b.root, b.root))
        return DAM_F_DTE_POINTER;
    return DAM_F_NONE;
}

// ---- GCR3 tables ------------------------------------------------------------------------------------------
struct amdvi_gcr3_entry amdvi_gcr3_decode(uint64_t raw, const struct amdvi_features *f)
{
    return (struct amdvi_gcr3_entry){
        .present = has(raw, AMDVI_GCR3_V),
        .reserved = has(raw, AMDVI_GCR3_RSVD_LOW) || has(raw, AMDVI_GCR3_RSVD_HIGH),
        .address = dam_pa_of(raw & dam_bits_mask(AMDVI_GCR3_ADDRESS) & ~f->encrypt),
    };
}

uint64_t amdvi_gcr3_encode(dam_pa address)
{
    return address.v | dam_bits_mask(AMDVI_GCR3_V);
}

uint32_t amdvi_pasids(const struct amdvi_features *f, const struct amdvi_gcr3 *g)
{
    // No PASID has more than 20 bits.
    unsigned bits = (unsigned)dam_bits_get(f->efr, AMDVI_EFR_PASMAX) + 1;
    if (bits > 20)
        bits = 20;
    return 1u << (bits < 9u * g->levels ? bits : 9u * g->levels);
}

struct iommu_binding amdvi_pasid_decode(uint64_t raw, const struct amdvi_dte *dte,
                                        const struct amdvi_features *f)
{
    struct amdvi_gcr3_entry e = amdvi_gcr3_decode(raw, f);
    return (struct iommu_binding){
        .stage = DAM_STAGE_FIRST,
        .present = e.present,
        .r = has(dte->w[0], AMDVI_DTE_IR),
        .w = has(dte->w[0], AMDVI_DTE_IW),
        .translated = has(dte->w[1], AMDVI_DTE_I),
        .fpd = has(dte->w[1], AMDVI_DTE_SA),
        .reserved = e.reserved,
        .levels = amdvi_dte_gcr3(dte, f).guest_levels,
        .did = (uint16_t)dam_bits_get(dte->w[1], AMDVI_DTE_DOMAIN),
        .root = e.address,
        .raw = {raw},
    };
}

uint16_t amdvi_pasid_finding(const struct iommu_binding *b, const struct pt_memory *memory)
{
    if (b->reserved)
        return DAM_F_PASID_RESERVED;
    return pt_known_table(memory, b->root, b->root) ? DAM_F_NONE : DAM_F_PASID_POINTER;
}

// ---- page tables ------------------------------------------------------------------------------------------
struct pt_params amdvi_tree_params(const struct amdvi_features *f, enum dam_stage stage, uint8_t levels)
{
    // 2 MiB and 1 GiB. Host tables have larger pages as well: those of 512 GiB are broken in hardware, and
    // nobody makes larger ones by their default size.
    struct pt_params params = {.levels = levels, .haw = f->haw, .large = 1u << 1 | 1u << 2};
    params.encrypt = f->encrypt;
    // Requests with PASID may claim a supervisor's rights, and no entry of ours can refuse them.
    params.canonical = params.supervisor = stage == DAM_STAGE_FIRST;
    return params;
}

// ---- the device table -------------------------------------------------------------------------------------
dam_pa amdvi_segment_base(const struct amdvi_device_table *table, unsigned segment, uint64_t encrypt)
{
    return dam_pa_of(table->reg[segment] & dam_bits_mask(AMDVI_DEVTAB_BASE) & ~encrypt);
}

uint32_t amdvi_segment_entries(const struct amdvi_device_table *table, unsigned segment)
{
    uint32_t pages = (uint32_t)dam_bits_get(table->reg[segment], AMDVI_DEVTAB_SIZE) + 1;
    uint32_t entries = pages * AMDVI_DTES_PER_PAGE, span = amdvi_segment_span(table);
    return entries < span ? entries : span;
}

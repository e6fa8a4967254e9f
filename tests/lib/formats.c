// SPDX-License-Identifier: MIT
#include "formats.h"

#include "naive_amdvi.h"
#include "naive_vtd.h"

// ---- VT-d ------------------------------------------------------------------------------------------------
static void vtd_params(uint64_t dice, struct pt_params *p)
{
    p->haw = (uint8_t)(39 + dice % 14);
    p->large = (uint8_t)(dice >> 8 & 6);
    p->snoop = dice >> 16 & 1;
    p->transient = dice >> 17 & 1;
}

static uint64_t vtdss_table(uint64_t pa, unsigned level, unsigned skip, unsigned rights)
{
    (void)level;
    (void)skip;
    return pa | rights;
}

static uint64_t vtdss_leaf(uint64_t pa, unsigned level, unsigned run, unsigned rights)
{
    (void)run;
    return pa | rights | (level ? 0x80 : 0);
}

static struct judged by_vtd(const struct pt_params *p, const struct test_memory *memory,
                            struct naive_context *context, uint64_t iova)
{
    struct naive_vtd hw = {.read64 = memory->read64, .ctx = memory->ctx, .haw = p->haw};
    hw.cap = 63ull << 16 | (uint64_t)(p->large >> 1 & 3) << 34 | (uint64_t)(p->large >> 2 & 1) << 56;
    hw.ecap = (uint64_t)p->transient << 2 | (uint64_t)p->snoop << 7;
    if (p->canonical && iova >> (12 + 9 * p->levels - 1) & 1)
        iova |= ~0ull << (12 + 9 * p->levels - 1);
    struct naive_result r = naive_vtd_walk(&hw, context, iova, false, NULL, NULL);
    struct naive_result w = naive_vtd_walk(&hw, context, iova, true, NULL, NULL);
    return (struct judged){.r = r.ok, .w = w.ok, .pa = r.ok ? r.pa : w.pa};
}

static struct judged vtdss_judge(const struct pt_params *p, const struct test_memory *memory, uint64_t root,
                                 uint64_t iova)
{
    struct naive_context context = {.stage = 2, .aw = p->levels - 2u, .root = root};
    return by_vtd(p, memory, &context, iova);
}

static void vtdfs_params(uint64_t dice, struct pt_params *p)
{
    p->haw = (uint8_t)(39 + dice % 14);
    p->large = dice >> 8 & 1 ? 6 : 2;
    p->canonical = true;
}

static uint64_t cpu_table(uint64_t pa, unsigned level, unsigned skip, unsigned rights)
{
    (void)level;
    (void)skip;
    return rights & TEST_R ? pa | 0x25 | (rights & TEST_W) : 0;
}

static uint64_t cpu_leaf(uint64_t pa, unsigned level, unsigned run, unsigned rights)
{
    (void)run;
    return rights & TEST_R ? pa | 0x25 | (rights & TEST_W) | (level ? 0x80 : 0) : 0;
}

static struct judged vtdfs_judge(const struct pt_params *p, const struct test_memory *memory, uint64_t root,
                                 uint64_t iova)
{
    struct naive_context context = {
        .stage = 1, .first_levels = p->levels, .first = root, .execute_disable = true};
    return by_vtd(p, memory, &context, iova);
}

// ---- AMD -------------------------------------------------------------------------------------------------
static void amdv1_params(uint64_t dice, struct pt_params *p)
{
    p->haw = (uint8_t)(39 + dice % 14);
    p->large = 1 << 1 | 1 << 2 | 1 << 4; // all but 512 GiB
    p->encrypt = dice >> 16 & 1 ? 1ull << (47 + (dice >> 17) % 5) : 0;
}

static uint64_t amdv1_table(uint64_t pa, unsigned level, unsigned skip, unsigned rights)
{
    return pa | 1 | (uint64_t)(level - skip) << 9 | (uint64_t)rights << 61;
}

// With a size: ones from bit 12 up to below the highest bit that the page's offset has.
static uint64_t amdv1_leaf(uint64_t pa, unsigned level, unsigned run, unsigned rights)
{
    unsigned shift = 12 + 9 * level + run;
    uint64_t raw = pa | 1 | (uint64_t)rights << 61 | 1ull << 60;
    if (run == 0)
        return raw;
    for (unsigned bit = 12; bit < shift - 1; bit++)
        raw |= 1ull << bit;
    return raw | 7ull << 9;
}

static struct naive_amdvi amd_hardware(const struct pt_params *p, const struct test_memory *memory)
{
    return (struct naive_amdvi){.read64 = memory->read64,
                                .ctx = memory->ctx,
                                .haw = p->haw,
                                .encrypt = p->encrypt,
                                .guest_1g = p->large >> 2 & 1,
                                .supervisor = p->supervisor};
}

static struct judged by_amd(struct naive_amd_result r, struct naive_amd_result w)
{
    return (struct judged){.r = r.ok, .w = w.ok, .pa = r.ok ? r.pa : w.pa, .unsure = r.unsure || w.unsure};
}

static struct judged amdv1_judge(const struct pt_params *p, const struct test_memory *memory, uint64_t root,
                                 uint64_t iova)
{
    struct naive_amdvi hw = amd_hardware(p, memory);
    return by_amd(naive_amdvi_host(&hw, root, p->levels, iova, false),
                  naive_amdvi_host(&hw, root, p->levels, iova, true));
}

static void amdv2_params(uint64_t dice, struct pt_params *p)
{
    vtdfs_params(dice, p);
    p->encrypt = dice >> 16 & 1 ? 1ull << (47 + (dice >> 17) % 5) : 0;
}

static void amdv2_all_params(uint64_t dice, struct pt_params *p)
{
    amdv2_params(dice, p);
    p->supervisor = true;
}

static struct judged amdv2_judge(const struct pt_params *p, const struct test_memory *memory, uint64_t root,
                                 uint64_t iova)
{
    struct naive_amdvi hw = amd_hardware(p, memory);
    unsigned top = 11 + 9u * p->levels;
    iova |= iova >> top & 1 ? ~0ull << top : 0;
    return by_amd(naive_amdvi_guest(&hw, root, p->levels, 0, 0, iova, false),
                  naive_amdvi_guest(&hw, root, p->levels, 0, 0, iova, true));
}

static void fill_amdv2(struct pt_format *out)
{
    pt_format_amdv2(out);
}

const struct test_format test_formats[] = {
    {"VT-d second stage", pt_format_vtdss, 3, 5, false, false, true, vtd_params, vtdss_table, vtdss_leaf,
     vtdss_judge},
    {"VT-d first stage", pt_format_vtdfs, 4, 5, false, false, false, vtdfs_params, cpu_table, cpu_leaf,
     vtdfs_judge},
    {"AMD v1", pt_format_amdv1, 1, 6, true, true, true, amdv1_params, amdv1_table, amdv1_leaf, amdv1_judge},
    {"AMD v2, users", fill_amdv2, 4, 5, false, false, false, amdv2_params, cpu_table, cpu_leaf, amdv2_judge},
    {"AMD v2, all", fill_amdv2, 4, 5, false, false, false, amdv2_all_params, cpu_table, cpu_leaf,
     amdv2_judge},
};
const unsigned test_format_count = sizeof(test_formats) / sizeof(test_formats[0]);

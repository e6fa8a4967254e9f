// SPDX-License-Identifier: MIT
// Every register offset and field of VT-d against a list typed apart from the headers, as masks instead of
// bit positions (Linux drivers/iommu/intel/iommu.h and the specification's register drawings were the
// source).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "iommu/vtd/regs.h"
#include "iommu/vtd/scalable.h"
#include "iommu/vtd/tables.h"
#include "iommu/vtd/unit.h"

static void offsets(void **state)
{
    (void)state;
    assert_int_equal(VTD_VER_REG, 0x0);
    assert_int_equal(VTD_CAP_REG, 0x8);
    assert_int_equal(VTD_ECAP_REG, 0x10);
    assert_int_equal(VTD_GCMD_REG, 0x18);
    assert_int_equal(VTD_GSTS_REG, 0x1c);
    assert_int_equal(VTD_RTADDR_REG, 0x20);
    assert_int_equal(VTD_CCMD_REG, 0x28);
    assert_int_equal(VTD_FSTS_REG, 0x34);
    assert_int_equal(VTD_FECTL_REG, 0x38);
    assert_int_equal(VTD_PMEN_REG, 0x64);
    assert_int_equal(VTD_IQH_REG, 0x80);
    assert_int_equal(VTD_IQT_REG, 0x88);
    assert_int_equal(VTD_IQA_REG, 0x90);
    assert_int_equal(VTD_IRTA_REG, 0xb8);
}

static void fields(void **state)
{
    (void)state;
    const struct {
        uint64_t got, want;
    } list[] = {
        {dam_bits_mask(VTD_VER_MAJOR), 0xf0},
        {dam_bits_mask(VTD_CAP_ND), 0x7},
        {dam_bits_mask(VTD_CAP_RWBF), 0x10},
        {dam_bits_mask(VTD_CAP_CM), 0x80},
        {dam_bits_mask(VTD_CAP_SAGAW), 0x1f00},
        {dam_bits_mask(VTD_CAP_MGAW), 0x3f0000},
        {dam_bits_mask(VTD_CAP_FRO), 0x3ff000000},
        {dam_bits_mask(VTD_CAP_SLLPS), 0x3c00000000},
        {dam_bits_mask(VTD_CAP_NFR), 0xff0000000000},
        {dam_bits_mask(VTD_CAP_DWD), 0x40000000000000},
        {dam_bits_mask(VTD_CAP_DRD), 0x80000000000000},
        {dam_bits_mask(VTD_CAP_ESRTPS), 0x8000000000000000},
        {dam_bits_mask(VTD_ECAP_C), 0x1},
        {dam_bits_mask(VTD_ECAP_QI), 0x2},
        {dam_bits_mask(VTD_ECAP_DT), 0x4},
        {dam_bits_mask(VTD_ECAP_IR), 0x8},
        {dam_bits_mask(VTD_ECAP_PT), 0x40},
        {dam_bits_mask(VTD_ECAP_SC), 0x80},
        {dam_bits_mask(VTD_ECAP_IRO), 0x3ff00},
        {dam_bits_mask(VTD_CAP_FS1GP), 1ull << 56},
        {dam_bits_mask(VTD_CAP_FS5LP), 1ull << 60},
        {dam_bits_mask(VTD_ECAP_ECS), 1ull << 24},
        {dam_bits_mask(VTD_ECAP_NEST), 1ull << 26},
        {dam_bits_mask(VTD_ECAP_PRS), 1ull << 29},
        {dam_bits_mask(VTD_ECAP_PSS), 0x1full << 35},
        {dam_bits_mask(VTD_ECAP_PASID), 1ull << 40},
        {dam_bits_mask(VTD_ECAP_SMTS), 1ull << 43},
        {dam_bits_mask(VTD_ECAP_SSADS), 1ull << 45},
        {dam_bits_mask(VTD_ECAP_SSTS), 1ull << 46},
        {dam_bits_mask(VTD_ECAP_FSTS), 1ull << 47},
        {dam_bits_mask(VTD_ECAP_SMPWC), 1ull << 48},
        {dam_bits_mask(VTD_ECAP_RPS), 1ull << 49},
        {dam_bits_mask(VTD_ECAP_ADMS), 1ull << 52},
        {dam_bits_put(VTD_TTM_SCALABLE, VTD_RTADDR_TTM), 0x400},
        {dam_bits_put(VTD_TTM_ABORT, VTD_RTADDR_TTM), 0xc00},
        {dam_bits_mask(VTD_SM_CTX_DTE), 0x4},
        {dam_bits_mask(VTD_SM_CTX_PASIDE), 0x8},
        {dam_bits_mask(VTD_SM_CTX_PRE), 0x10},
        {dam_bits_mask(VTD_SM_CTX_RSVD), 0x1e0},
        {dam_bits_mask(VTD_SM_CTX_PDTS), 0xe00},
        {dam_bits_mask(VTD_SM_CTX_RID_PASID), 0xfffff},
        {dam_bits_mask(VTD_SM_CTX_RID_PRIV), 0x100000},
        {dam_bits_mask(VTD_SM_CTX_RSVD1), ~0x1fffffull},
        {dam_bits_mask(VTD_PASID_DIR_RSVD), 0xffc},
        {dam_bits_mask(VTD_PASID_AW), 0x1c},
        {dam_bits_mask(VTD_PASID_PGTT), 0x1c0},
        {dam_bits_mask(VTD_PASID_SSADE), 0x200},
        {dam_bits_mask(VTD_PASID_DID), 0xffff},
        {dam_bits_mask(VTD_PASID_PWSNP), 0x800000},
        {dam_bits_mask(VTD_PASID_SRE), 0x1},
        {dam_bits_mask(VTD_PASID_FSPM), 0xc},
        {dam_bits_mask(VTD_PASID_NXE), 0x20},
        {dam_bits_mask(VTD_G_TE), 0x80000000},
        {dam_bits_mask(VTD_G_SRTP), 0x40000000},
        {dam_bits_mask(VTD_G_WBF), 0x8000000},
        {dam_bits_mask(VTD_G_QIE), 0x4000000},
        {dam_bits_mask(VTD_G_IRE), 0x2000000},
        {dam_bits_mask(VTD_RTADDR_TTM), 0xc00},
        {dam_bits_mask(VTD_RTADDR_RTA), 0xfffffffffffff000},
        {dam_bits_mask(VTD_CCMD_ICC), 0x8000000000000000},
        {dam_bits_put(1, VTD_CCMD_CIRG), 0x2000000000000000},
        {dam_bits_mask(VTD_IOTLB_IVT), 0x8000000000000000},
        {dam_bits_put(1, VTD_IOTLB_IIRG), 0x1000000000000000},
        {dam_bits_mask(VTD_IOTLB_IAIG), 0x600000000000000},
        {dam_bits_mask(VTD_IOTLB_DR), 0x2000000000000},
        {dam_bits_mask(VTD_IOTLB_DW), 0x1000000000000},
        {dam_bits_mask(VTD_FSTS_PFO), 0x1},
        {dam_bits_mask(VTD_FSTS_PPF), 0x2},
        {dam_bits_mask(VTD_FSTS_IQE), 0x10},
        {dam_bits_mask(VTD_FSTS_ICE), 0x20},
        {dam_bits_mask(VTD_FSTS_ITE), 0x40},
        {dam_bits_mask(VTD_FECTL_IM), 0x80000000},
        {dam_bits_mask(VTD_PMEN_PRS), 0x1},
        {dam_bits_mask(VTD_IQ_PTR), 0x7fff0},
        {dam_bits_mask(VTD_IQA_IQA), 0xfffffffffffff000},
        {dam_bits_mask(VTD_IQA_DW), 0x800},
        {dam_bits_mask(VTD_IQA_QS), 0x7},
        {VTD_GSTS_KEEP, 0x96ffffff},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        assert_int_equal(list[i].got, list[i].want);
}

// The defaults of QEMU 7.2: CAP and ECAP as they were read there.
static void capabilities(void **state)
{
    (void)state;
    struct vtd_unit unit = {.iommu = {.cap = 0x00d2008c222f0606ull, .ecap = 0xf00f4a}};
    assert_int_equal(vtd_domain_ids(&unit.iommu), 65536);
    assert_int_equal(vtd_large_levels(&unit), 6);
    assert_false(vtd_width_supported(&unit, 0));
    assert_true(vtd_width_supported(&unit, 1));
    assert_true(vtd_width_supported(&unit, 2));
    assert_false(vtd_width_supported(&unit, 3));
    assert_false(vtd_width_supported(&unit, 7));
    assert_int_equal(dam_bits_get(unit.iommu.ecap, VTD_ECAP_IRO), 0xf);
    assert_true(vtd_chipset_hides_rwbf(0x2a408086));
    assert_true(vtd_chipset_hides_rwbf(0x2e908086));
    assert_false(vtd_chipset_hides_rwbf(0x29c08086)); // QEMU's q35
    assert_false(vtd_chipset_hides_rwbf(0x2a401022));
    assert_false(vtd_chipset_hides_rwbf(0xFFFFFFFF));
    unit.iommu.cap = 0;
    assert_int_equal(vtd_domain_ids(&unit.iommu), 16);
    assert_int_equal(vtd_large_levels(&unit), 0);
}

static void root_entries(void **state)
{
    (void)state;
    struct vtd_root r = vtd_root_decode(0x123456001, 39);
    assert_true(r.present);
    assert_false(r.reserved);
    assert_int_equal(r.context_table.v, 0x123456000);
    assert_true(vtd_root_decode(0x123456003, 39).reserved);
    assert_true(vtd_root_decode(0x8000000001, 39).reserved);
    assert_false(vtd_root_decode(0x8000000001, 40).reserved);
    assert_false(vtd_root_decode(0, 39).present);
    assert_int_equal(vtd_root_encode(dam_pa_of(0x5000)), 0x5001);
}

static void context_entries(void **state)
{
    (void)state;
    struct vtd_context_entry raw = {{0x7654321003, 0x4102 | 2 << 3}};
    struct iommu_binding c = vtd_context_decode(raw, 39);
    assert_true(c.present);
    assert_true(c.fpd);
    assert_false(c.reserved);
    assert_int_equal(c.stage, DAM_STAGE_SECOND);
    assert_false(c.translated);
    assert_int_equal(c.levels, 4);
    assert_int_equal(c.did, 0x41);
    assert_int_equal(c.root.v, 0x7654321000);
    struct vtd_context_entry back = vtd_context_encode(&c);
    assert_int_equal(back.w[0], raw.w[0]);
    assert_int_equal(back.w[1], raw.w[1]); // the available bits are kept
    assert_true(vtd_context_decode((struct vtd_context_entry){{0x5, 0}}, 39).translated);
    assert_int_equal(vtd_context_decode((struct vtd_context_entry){{0x9, 0}}, 39).stage,
                     DAM_STAGE_PASSTHROUGH);
    assert_int_equal(vtd_context_decode((struct vtd_context_entry){{0xD, 0}}, 39).stage, DAM_STAGE_NONE);
    const uint64_t reserved[][2] = {{0x11, 0}, {0x801, 0}, {1, 0x80}, {1, 0x1000000}, {0x8000000001, 0}};
    const unsigned words[] = {1, 1, 2, 2, 1}; // bit n: word n
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(
            vtd_context_decode((struct vtd_context_entry){{reserved[i][0], reserved[i][1]}}, 39).reserved,
            words[i]);
}

static void scalable_context_entries(void **state)
{
    (void)state;
    const uint64_t raw[4] = {0x7654321000 | 5 << 9 | 0x1F, 0x1ABCDE, 0, 0};
    struct vtd_sm_context c = vtd_sm_context_decode(raw, 39);
    assert_true(c.present && c.fpd && c.translated && c.pasids && c.page_requests && c.privileged);
    assert_false(c.reserved);
    assert_int_equal(vtd_directory_entries(&c), 4096);
    assert_int_equal(c.rid_pasid, 0xABCDE);
    assert_int_equal(c.directory.v, 0x7654321000);
    uint64_t back[4];
    vtd_sm_context_encode(&c, back);
    assert_memory_equal(back, raw, sizeof(raw));
    const uint64_t reserved[][4] = {{0x21, 0, 0, 0}, {0x101, 0, 0, 0},      {1, 0x200000, 0, 0},
                                    {1, 0, 1, 0},    {1, 0, 0, 1ull << 63}, {0x8000000001, 0, 0, 0}};
    const unsigned words[] = {1, 1, 2, 4, 8, 1}; // bit n: word n
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(vtd_sm_context_decode(reserved[i], 39).reserved, words[i]);
    // What a unit does not have is reserved: DTE, PASIDE, PRE, RID_PASID.
    const uint64_t needs[][2] = {{4, 1 << 2}, {8, 1ull << 40}, {16, 1 << 29}};
    for (size_t i = 0; i < 3; i++) {
        const uint64_t w[4] = {needs[i][0] | 1, 0, 0, 0};
        struct vtd_unit unit = {.iommu = {.ecap = needs[i][1]}};
        c = vtd_sm_context_decode(w, 39);
        assert_int_equal(vtd_sm_context_flaws(&unit, &c), 0);
        unit.iommu.ecap = ~needs[i][1];
        assert_int_equal(vtd_sm_context_flaws(&unit, &c), 1);
    }
    const uint64_t rid_pasid[4] = {1, 5, 0, 0};
    struct vtd_unit plain = {.iommu = {.ecap = 0}};
    c = vtd_sm_context_decode(rid_pasid, 39);
    assert_int_equal(vtd_sm_context_flaws(&plain, &c), 2);
    assert_int_equal(vtd_first_word(1), 0);
    assert_int_equal(vtd_first_word(0x88), 3);
    struct vtd_pasid_dir d = vtd_pasid_dir_decode(0x7654321003, 39);
    assert_true(d.present);
    assert_false(d.reserved);
    assert_int_equal(d.table.v, 0x7654321000);
    assert_true(vtd_pasid_dir_decode(0x5, 39).reserved);
    assert_true(vtd_pasid_dir_decode(0x801, 39).reserved);
    assert_int_equal(vtd_pasid_dir_encode(dam_pa_of(0x5000)), 0x5003);
}

static void pasid_entries(void **state)
{
    (void)state;
    const uint64_t second[8] = {0x7654321000 | 2 << 6 | 2 << 2 | 3, 0xABCD | 3 << 23};
    struct iommu_binding b = vtd_pasid_decode(second, 39);
    assert_true(b.scalable && b.present && b.fpd);
    assert_false(b.reserved);
    assert_int_equal(b.stage, DAM_STAGE_SECOND);
    assert_int_equal(b.levels, 4);
    assert_int_equal(b.did, 0xABCD);
    assert_int_equal(b.root.v, 0x7654321000);
    uint64_t back[8];
    vtd_pasid_encode(&b, back);
    assert_memory_equal(back, second, sizeof(second));

    const uint64_t first[8] = {1 << 6 | 2 << 2 | 3, 7, 0x1234567000 | 1 << 2 | 1 << 5};
    b = vtd_pasid_decode(first, 39);
    assert_int_equal(b.stage, DAM_STAGE_FIRST);
    assert_int_equal(b.levels, 5);
    assert_int_equal(b.root.v, 0x1234567000);
    vtd_pasid_encode(&b, back);
    assert_memory_equal(back, first, sizeof(first));

    const uint64_t nested[8] = {0x7654321000 | 3 << 6 | 3 << 2 | 3, 7, 0x1234567000};
    b = vtd_pasid_decode(nested, 39);
    assert_int_equal(b.stage, DAM_STAGE_NESTED);
    assert_int_equal(b.levels, 5);
    assert_int_equal(b.root.v, 0x7654321000);
    assert_int_equal(b.first_levels, 4);
    assert_int_equal(b.first.v, 0x1234567000);
    vtd_pasid_encode(&b, back);
    assert_memory_equal(back, nested, sizeof(nested));

    const uint64_t types[8] = {4 << 6 | 1, 0};
    assert_int_equal(vtd_pasid_decode(types, 39).stage, DAM_STAGE_PASSTHROUGH);
    for (uint64_t pgtt = 0; pgtt < 8; pgtt += pgtt ? 1 : 5) {
        const uint64_t w[8] = {pgtt << 6 | 1};
        assert_int_equal(vtd_pasid_decode(w, 39).stage, DAM_STAGE_NONE);
    }
    const struct {
        unsigned word, bit;
    } reserved[] = {{0, 5}, {0, 10}, {0, 11}, {0, 39}, {1, 16}, {1, 22}, {2, 8}, {2, 11}, {3, 0}, {7, 63}};
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        uint64_t w[8];
        memcpy(w, second, sizeof(w));
        w[reserved[i].word] |= 1ull << reserved[i].bit;
        assert_int_equal(vtd_pasid_decode(w, 39).reserved, 1u << reserved[i].word);
    }
    const uint64_t beyond[8] = {1 << 6 | 1, 0, 1ull << 39};
    assert_int_equal(vtd_pasid_decode(beyond, 39).reserved, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets),         cmocka_unit_test(fields),
        cmocka_unit_test(capabilities),    cmocka_unit_test(root_entries),
        cmocka_unit_test(context_entries), cmocka_unit_test(scalable_context_entries),
        cmocka_unit_test(pasid_entries),
    };
    return cmocka_run_group_tests_name("vtd fields", tests, NULL, NULL);
}

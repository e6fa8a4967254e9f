// SPDX-License-Identifier: MIT
// Every register offset and field of AMD-Vi against a list typed apart from the headers, as masks of 32-bit
// and 64-bit words instead of bit positions, in the form in which drivers have them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "iommu/amdvi/regs.h"
#include "iommu/amdvi/tables.h"

static void offsets(void **state)
{
    (void)state;
    const struct {
        uint64_t got, want;
    } list[] = {
        {AMDVI_DEVTAB_REG, 0x00},
        {AMDVI_COMMAND_REG, 0x08},
        {AMDVI_EVENT_REG, 0x10},
        {AMDVI_CONTROL_REG, 0x18},
        {AMDVI_EXCLUSION_REG, 0x20},
        {AMDVI_EXCLUSION_LIMIT_REG, 0x28},
        {AMDVI_EFR_REG, 0x30},
        {AMDVI_PPR_REG, 0x38},
        {AMDVI_GALOG_REG, 0xE0},
        {AMDVI_GALOG_TAIL_REG, 0xE8},
        {AMDVI_DEVTAB_SEG1_REG, 0x100},
        {AMDVI_EFR2_REG, 0x1A0},
        {AMDVI_COMMAND_HEAD_REG, 0x2000},
        {AMDVI_COMMAND_TAIL_REG, 0x2008},
        {AMDVI_EVENT_HEAD_REG, 0x2010},
        {AMDVI_EVENT_TAIL_REG, 0x2018},
        {AMDVI_STATUS_REG, 0x2020},
        {AMDVI_PPR_HEAD_REG, 0x2030},
        {AMDVI_PPR_TAIL_REG, 0x2038},
        {AMDVI_GALOG_HEAD_REG, 0x2040},
        {AMDVI_GALOG_TAIL_PTR, 0x2048},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        assert_int_equal(list[i].got, list[i].want);
}

#define ONE(bit) (1ull << (bit))

static void registers(void **state)
{
    (void)state;
    const struct {
        uint64_t got, want;
    } list[] = {
        {dam_bits_mask(AMDVI_DEVTAB_BASE), 0x000FFFFFFFFFF000},
        {dam_bits_mask(AMDVI_DEVTAB_SIZE), 0x1FF},
        {dam_bits_mask(AMDVI_RING_BASE), 0x000FFFFFFFFFF000},
        {dam_bits_mask(AMDVI_RING_LENGTH), 0x0F00000000000000},
        {dam_bits_put(9, AMDVI_RING_LENGTH), 0x0900000000000000},
        {dam_bits_mask(AMDVI_EXCLUSION_ENABLE), 1},
        {dam_bits_mask(AMDVI_EXCLUSION_ALLOW), 2},
        {dam_bits_mask(AMDVI_EXCLUSION_BASE), 0x000FFFFFFFFFF000},
        {dam_bits_mask(AMDVI_EXCLUSION_LIMIT), 0x000FFFFFFFFFF000},
        // control
        {dam_bits_mask(AMDVI_CONTROL_ENABLE), ONE(0)},
        {dam_bits_mask(AMDVI_CONTROL_EVENT_LOG), ONE(2)},
        {dam_bits_mask(AMDVI_CONTROL_EVENT_INT), ONE(3)},
        {dam_bits_mask(AMDVI_CONTROL_WAIT_INT), ONE(4)},
        {dam_bits_mask(AMDVI_CONTROL_INV_TIMEOUT), 7ull << 5},
        {dam_bits_mask(AMDVI_CONTROL_COHERENT), ONE(10)},
        {dam_bits_mask(AMDVI_CONTROL_COMMANDS), ONE(12)},
        {dam_bits_mask(AMDVI_CONTROL_PPR_LOG), ONE(13)},
        {dam_bits_mask(AMDVI_CONTROL_PPR_INT), ONE(14)},
        {dam_bits_mask(AMDVI_CONTROL_PPR), ONE(15)},
        {dam_bits_mask(AMDVI_CONTROL_GT), ONE(16)},
        {dam_bits_mask(AMDVI_CONTROL_GA), ONE(17)},
        {dam_bits_mask(AMDVI_CONTROL_GALOG), ONE(28)},
        {dam_bits_mask(AMDVI_CONTROL_GALOG_INT), ONE(29)},
        {dam_bits_mask(AMDVI_CONTROL_DUAL_EVENT_LOG), 3ull << 32},
        {dam_bits_mask(AMDVI_CONTROL_SEGMENTS), 7ull << 34},
        {dam_bits_mask(AMDVI_CONTROL_MARC), ONE(40)},
        {dam_bits_mask(AMDVI_CONTROL_INT_MODE), 3ull << 43},
        {dam_bits_mask(AMDVI_CONTROL_XT), ONE(50)},
        {dam_bits_mask(AMDVI_CONTROL_XT_INT), ONE(51)},
        {dam_bits_mask(AMDVI_CONTROL_GCR3_MODE), ONE(58)},
        // status
        {dam_bits_mask(AMDVI_STATUS_EVENT_OVERFLOW), 0x001},
        {dam_bits_mask(AMDVI_STATUS_EVENT_INT), 0x002},
        {dam_bits_mask(AMDVI_STATUS_WAIT_INT), 0x004},
        {dam_bits_mask(AMDVI_STATUS_EVENT_RUN), 0x008},
        {dam_bits_mask(AMDVI_STATUS_COMMANDS_RUN), 0x010},
        {dam_bits_mask(AMDVI_STATUS_PPR_OVERFLOW), 0x020},
        {dam_bits_mask(AMDVI_STATUS_PPR_INT), 0x040},
        {dam_bits_mask(AMDVI_STATUS_PPR_RUN), 0x080},
        {dam_bits_mask(AMDVI_STATUS_GALOG_RUN), 0x100},
        {dam_bits_mask(AMDVI_STATUS_GALOG_OVERFLOW), 0x200},
        {dam_bits_mask(AMDVI_STATUS_GALOG_INT), 0x400},
        {dam_bits_mask(AMDVI_POINTER), 0x7FFF0},
        // what it can do
        {dam_bits_mask(AMDVI_CONTROL_GAM), 7ull << 25},
        {dam_bits_mask(AMDVI_CONTROL_HT_TUNNEL), ONE(1)},
        {dam_bits_mask(AMDVI_CONTROL_PASS_PW), ONE(8)},
        {dam_bits_mask(AMDVI_CONTROL_RES_PASS_PW), ONE(9)},
        {dam_bits_mask(AMDVI_CONTROL_ISOC), ONE(11)},
        {dam_bits_mask(AMDVI_IVHD_HT_TUNNEL), 1},
        {dam_bits_mask(AMDVI_IVHD_PASS_PW), 2},
        {dam_bits_mask(AMDVI_IVHD_RES_PASS_PW), 4},
        {dam_bits_mask(AMDVI_IVHD_ISOC), 8},
        {dam_bits_mask(AMDVI_IVHD_IOTLB), 16},
        {dam_bits_mask(AMDVI_EFR_PREF), ONE(0)},
        {dam_bits_mask(AMDVI_EFR_PPR), ONE(1)},
        {dam_bits_mask(AMDVI_EFR_XT), ONE(2)},
        {dam_bits_mask(AMDVI_EFR_NX), ONE(3)},
        {dam_bits_mask(AMDVI_EFR_GT), ONE(4)},
        {dam_bits_mask(AMDVI_EFR_IA), ONE(6)},
        {dam_bits_mask(AMDVI_EFR_GA), ONE(7)},
        {dam_bits_mask(AMDVI_EFR_HATS), 0xC00},
        {dam_bits_mask(AMDVI_EFR_GATS), 0x3000},
        {dam_bits_mask(AMDVI_EFR_GLX), 0xC000},
        {dam_bits_mask(AMDVI_EFR_PASMAX), 0x1Full << 32},
        {dam_bits_mask(AMDVI_EFR_SEGMENTS), 3ull << 38},
        {dam_bits_mask(AMDVI_EFR_GIO), ONE(48)},
        {dam_bits_mask(AMDVI_EFR_HA), ONE(49)},
        {dam_bits_mask(AMDVI_EFR_HD), ONE(52)},
        {dam_bits_mask(AMDVI_EFR_SNP), ONE(63)},
        {dam_bits_mask(AMDVI_EFR2_GCR3_MODE), ONE(3)},
        // PCI capability, first double word
        {dam_bits_mask(AMDVI_CAP_TYPE), 0x00070000},
        {dam_bits_mask(AMDVI_CAP_IOTLB), 0x01000000},
        {dam_bits_mask(AMDVI_CAP_EFR), 0x08000000},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        assert_int_equal(list[i].got, list[i].want);
}

// Commands and events are four 32-bit words in the books.
static uint64_t word0(uint32_t dw0, uint32_t dw1)
{
    return dw0 | (uint64_t)dw1 << 32;
}

static void commands(void **state)
{
    (void)state;
    const struct {
        uint64_t got, want;
    } list[] = {
        {dam_bits_put(1, AMDVI_CMD_OP), word0(0, 0x10000000)},
        {dam_bits_put(AMDVI_OP_ALL, AMDVI_CMD_OP), word0(0, 0x80000000)},
        {dam_bits_mask(AMDVI_WAIT_STORE), word0(1, 0)},
        {dam_bits_mask(AMDVI_WAIT_ADDRESS), word0(0xFFFFFFF8, 0x000FFFFF)},
        {dam_bits_mask(AMDVI_CMD_DEVICE), word0(0x0000FFFF, 0)},
        {dam_bits_mask(AMDVI_PAGES_PASID), word0(0x000FFFFF, 0)},
        {dam_bits_mask(AMDVI_PAGES_DOMAIN), word0(0, 0x0000FFFF)},
        {dam_bits_mask(AMDVI_PAGES_S), 1},
        {dam_bits_mask(AMDVI_PAGES_PDE), 2},
        {dam_bits_mask(AMDVI_PAGES_GN), 4},
        {dam_bits_mask(AMDVI_IOTLB_PASID_HIGH), word0(0x00FF0000, 0)},
        {dam_bits_mask(AMDVI_IOTLB_MAX_PENDING), word0(0xFF000000, 0)},
        {dam_bits_mask(AMDVI_IOTLB_QUEUE), word0(0, 0x0000FFFF)},
        {dam_bits_mask(AMDVI_IOTLB_PASID_LOW), word0(0, 0x00FF0000)},
        {dam_bits_mask(AMDVI_IOTLB_S), 1},
        {dam_bits_mask(AMDVI_IOTLB_GN), 4},
        {AMDVI_EVERY_ADDRESS, 0x7FFFFFFFFFFFF000},
        {AMDVI_OP_WAIT, 1},
        {AMDVI_OP_DEVICE, 2},
        {AMDVI_OP_PAGES, 3},
        {AMDVI_OP_DEVICE_TLB, 4},
        {AMDVI_OP_INTERRUPTS, 5},
        {AMDVI_OP_ALL, 8},
        {dam_bits_mask(AMDVI_EVENT_DEVICE), word0(0x0000FFFF, 0)},
        {dam_bits_mask(AMDVI_EVENT_FLAGS), word0(0, 0x0FFF0000)},
        {dam_bits_mask(AMDVI_EVENT_CODE), word0(0, 0xF0000000)},
        {AMDVI_EV_DEVTAB, 1},
        {AMDVI_EV_PAGE_FAULT, 2},
        {AMDVI_EV_COMMAND, 5},
        {AMDVI_EV_COMMAND_HW, 6},
        {AMDVI_EV_IOTLB_TIMEOUT, 7},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        assert_int_equal(list[i].got, list[i].want);
}

// By the bit of all 256, as the book counts them.
static uint64_t span(unsigned high, unsigned low)
{
    uint64_t mask = 0;
    for (unsigned i = low; i <= high; i++)
        mask |= 1ull << i % 64;
    return mask;
}

static void entries(void **state)
{
    (void)state;
    const struct {
        uint64_t got, want;
    } list[] = {
        {dam_bits_mask(AMDVI_DTE_V), span(0, 0)},
        {dam_bits_mask(AMDVI_DTE_TV), span(1, 1)},
        {dam_bits_mask(AMDVI_DTE_RSVD_2), span(6, 2)},
        {dam_bits_mask(AMDVI_DTE_HAD), span(8, 7)},
        {dam_bits_mask(AMDVI_DTE_MODE), span(11, 9)},
        {dam_bits_mask(AMDVI_DTE_HOST), span(51, 12)},
        {dam_bits_mask(AMDVI_DTE_PPR), span(52, 52)},
        {dam_bits_mask(AMDVI_DTE_GPRP), span(53, 53)},
        {dam_bits_mask(AMDVI_DTE_GIOV), span(54, 54)},
        {dam_bits_mask(AMDVI_DTE_GV), span(55, 55)},
        {dam_bits_mask(AMDVI_DTE_GLX), span(57, 56)},
        {dam_bits_mask(AMDVI_DTE_GCR3_14_12), span(60, 58)},
        {dam_bits_mask(AMDVI_DTE_IR), span(61, 61)},
        {dam_bits_mask(AMDVI_DTE_IW), span(62, 62)},
        {dam_bits_mask(AMDVI_DTE_RSVD_63), span(63, 63)},
        {dam_bits_mask(AMDVI_DTE_DOMAIN), span(79, 64)},
        {dam_bits_mask(AMDVI_DTE_GCR3_30_15), span(95, 80)},
        {dam_bits_mask(AMDVI_DTE_I), span(96, 96)},
        {dam_bits_mask(AMDVI_DTE_SE), span(97, 97)},
        {dam_bits_mask(AMDVI_DTE_SA), span(98, 98)},
        {dam_bits_mask(AMDVI_DTE_IOCTL), span(100, 99)},
        {dam_bits_mask(AMDVI_DTE_CACHE), span(101, 101)},
        {dam_bits_mask(AMDVI_DTE_SD), span(102, 102)},
        {dam_bits_mask(AMDVI_DTE_EX), span(103, 103)},
        {dam_bits_mask(AMDVI_DTE_SYSMGT), span(105, 104)},
        {dam_bits_mask(AMDVI_DTE_SATS), span(106, 106)},
        {dam_bits_mask(AMDVI_DTE_GCR3_51_31), span(127, 107)},
        {dam_bits_mask(AMDVI_DTE_IV), span(128, 128)},
        {dam_bits_mask(AMDVI_DTE_INTTABLEN), span(132, 129)},
        {dam_bits_mask(AMDVI_DTE_IG), span(133, 133)},
        {dam_bits_mask(AMDVI_DTE_INTTABLE), span(179, 134)},
        {dam_bits_mask(AMDVI_DTE_RSVD_180), span(181, 180)},
        {dam_bits_mask(AMDVI_DTE_GUEST), span(183, 182)},
        {dam_bits_mask(AMDVI_DTE_INIT), span(184, 184)},
        {dam_bits_mask(AMDVI_DTE_EXTINT), span(185, 185)},
        {dam_bits_mask(AMDVI_DTE_NMI), span(186, 186)},
        {dam_bits_mask(AMDVI_DTE_HPTMODE), span(187, 187)},
        {dam_bits_mask(AMDVI_DTE_INTCTL), span(189, 188)},
        {dam_bits_mask(AMDVI_DTE_LINT0), span(190, 190)},
        {dam_bits_mask(AMDVI_DTE_LINT1), span(191, 191)},
        {dam_bits_mask(AMDVI_DTE_RSVD_192), span(206, 192)},
        {dam_bits_mask(AMDVI_DTE_RSVD_240), span(244, 240)},
        {dam_bits_mask(AMDVI_DTE_ATTRV), span(246, 246)},
        {dam_bits_mask(AMDVI_DTE_MODE0FC), span(247, 247)},
        {dam_bits_mask(AMDVI_DTE_SNOOP), span(255, 248)},
        {dam_bits_mask(AMDVI_GCR3_V), 1},
        {dam_bits_mask(AMDVI_GCR3_RSVD_LOW), 0xFFE},
        {dam_bits_mask(AMDVI_GCR3_ADDRESS), 0x000FFFFFFFFFF000},
        {dam_bits_mask(AMDVI_GCR3_RSVD_HIGH), 0xFFF0000000000000},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        assert_int_equal(list[i].got, list[i].want);
}

// ---- what is made of the fields ---------------------------------------------------------------------------
// HATS 6 levels, GATS 5, GLX 3 levels, GT, GIO, PASIDs of 20 bits
static const struct amdvi_features all = {
    .efr = 1ull << 4 | 2ull << 10 | 1ull << 12 | 2ull << 14 | 19ull << 32 | 1ull << 48, .haw = 48};

static void kinds_of_entries(void **state)
{
    (void)state;
    const struct {
        uint64_t w0;
        enum amdvi_dte_kind kind;
        enum dam_stage stage;
        bool present, r, w;
        uint8_t levels;
    } list[] = {
        {0, AMDVI_DTE_OPEN, DAM_STAGE_PASSTHROUGH, true, true, true, 6},
        {0x0000000012345602, AMDVI_DTE_OPEN, DAM_STAGE_PASSTHROUGH, true, true, true, 6},
        {0x6000000012345601, AMDVI_DTE_BLOCKED, DAM_STAGE_SECOND, false, true, true, 3},
        {0x0000000000000003, AMDVI_DTE_BLOCKED, DAM_STAGE_PASSTHROUGH, false, false, false, 6},
        {0x2000000000000003, AMDVI_DTE_BOUND, DAM_STAGE_PASSTHROUGH, true, true, false, 6},
        {0x4000000000000003, AMDVI_DTE_BOUND, DAM_STAGE_PASSTHROUGH, true, false, true, 6},
        {0x6000000012345803, AMDVI_DTE_BOUND, DAM_STAGE_SECOND, true, true, true, 4},
        {0x0000000012345C03, AMDVI_DTE_BOUND, DAM_STAGE_SECOND, true, false, false, 6},
        {0x6080000012345803, AMDVI_DTE_BOUND, DAM_STAGE_NESTED, true, true, true, 4},
        {0x60C0000012345803, AMDVI_DTE_BOUND, DAM_STAGE_NESTED, true, true, true, 4},
        {0x6080000000000003, AMDVI_DTE_BOUND, DAM_STAGE_PASSTHROUGH, true, true, true, 6},
        {0x60C0000000000003, AMDVI_DTE_PASIDS, DAM_STAGE_PASSTHROUGH, false, true, true, 6},
        {0x6000000012345E03, AMDVI_DTE_BOUND, DAM_STAGE_NONE, true, true, true, 7},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct amdvi_dte dte = {{list[i].w0, 0x1234}};
        struct iommu_binding b = amdvi_dte_decode(&dte, &all);
        assert_int_equal(amdvi_dte_kind(&dte), list[i].kind);
        assert_int_equal(b.stage, list[i].stage);
        assert_int_equal(b.present, list[i].present);
        assert_int_equal(b.r, list[i].r);
        assert_int_equal(b.w, list[i].w);
        assert_int_equal(b.levels, list[i].levels);
        assert_int_equal(b.raw[0], list[i].w0);
        assert_int_equal(b.did, list[i].kind == AMDVI_DTE_OPEN ? 0 : 0x1234);
    }
    struct amdvi_dte dte = {{0x6000FFFFF2345803, 7ull << 32}};
    struct amdvi_features sme = all;
    assert_int_equal(amdvi_dte_decode(&dte, &sme).root.v, 0xFFFFF2345000);
    assert_true(amdvi_dte_decode(&dte, &sme).translated);
    assert_true(amdvi_dte_decode(&dte, &sme).fpd);
    sme.encrypt = 1ull << 47;
    assert_int_equal(amdvi_dte_decode(&dte, &sme).root.v, 0x7FFFF2345000);
}

static void flaws_of_entries(void **state)
{
    (void)state;
    const struct {
        struct amdvi_dte dte;
        enum amdvi_flaw flaw;
        unsigned word;
    } list[] = {
        {{{0x6000000012345C03}}, AMDVI_SOUND, 0},
        {{{0x6000000012345C07}}, AMDVI_FLAW_RESERVED, 0},
        {{{0x6000000012345C43}}, AMDVI_FLAW_RESERVED, 0},
        {{{0xE000000012345C03}}, AMDVI_FLAW_RESERVED, 0},
        {{{0x6000000012345C06}}, AMDVI_SOUND, 0}, // open: the rest does not matter
        {{{0x6000000012345C03, ~0ull}}, AMDVI_SOUND, 0},
        {{{0x6000000012345C03, 0, 1ull << 52}}, AMDVI_FLAW_RESERVED, 2},
        {{{0x6000000012345C03, 0, 1ull << 53}}, AMDVI_FLAW_RESERVED, 2},
        {{{0x6000000012345C03, 0, ~(3ull << 52)}}, AMDVI_SOUND, 0},
        {{{0x6000000012345C03, 0, 0, 1}}, AMDVI_FLAW_RESERVED, 3},
        {{{0x6000000012345C03, 0, 0, 1ull << 14}}, AMDVI_FLAW_RESERVED, 3},
        {{{0x6000000012345C03, 0, 0, 1ull << 48}}, AMDVI_FLAW_RESERVED, 3},
        {{{0x6000000012345C03, 0, 0, 1ull << 52}}, AMDVI_FLAW_RESERVED, 3},
        {{{0x6000000012345C03, 0, 0, 0xFFE0FFFFFFFF8000}}, AMDVI_SOUND, 0},
        {{{0x6000000012345E03}}, AMDVI_FLAW_TYPE, 0},
        {{{0x60C0000000000003}}, AMDVI_SOUND, 0},
        {{{0x62C0000000000003}}, AMDVI_SOUND, 0},
        {{{0x63C0000000000003}}, AMDVI_FLAW_WIDTH, 0},
        {{{0x60C0000000000003, 0, 1ull << 54}}, AMDVI_SOUND, 0},
        {{{0x60C0000000000003, 0, 2ull << 54}}, AMDVI_FLAW_WIDTH, 2},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        unsigned word = 99;
        assert_int_equal(amdvi_dte_flaw(&all, &list[i].dte, &word), list[i].flaw);
        assert_int_equal(word, list[i].word);
    }
}

// What is sound on one unit is not on another.
static void flaws_of_features(void **state)
{
    (void)state;
    const struct {
        uint64_t w0, w2, efr;
        bool no_host;
        enum amdvi_flaw flaw;
    } list[] = {
        {0x6000000012345803, 0, 0, false, AMDVI_SOUND},
        {0x6000000012345A03, 0, 0, false, AMDVI_FLAW_WIDTH}, // 5 levels of 4
        {0x6000000012345A03, 0, 1 << 10, false, AMDVI_SOUND},
        {0x6000000012345C03, 0, 1 << 10, false, AMDVI_FLAW_WIDTH},
        {0x6000000012345803, 0, 3 << 10, false, AMDVI_FLAW_TYPE}, // no host tables
        {0x6000000012345803, 0, 0, true, AMDVI_FLAW_TYPE},
        {0x6000000000000003, 0, 0, true, AMDVI_SOUND},
        {0x6000000012345883, 0, 0, false, AMDVI_FLAW_TYPE}, // marks without HA, HD
        {0x6000000012345883, 0, 1ull << 49, false, AMDVI_SOUND},
        {0x6000000012345983, 0, 1ull << 49, false, AMDVI_FLAW_TYPE},
        {0x6000000012345983, 0, 1ull << 49 | 1ull << 52, false, AMDVI_SOUND},
        {0x6000000012345903, 0, 1ull << 49 | 1ull << 52, false, AMDVI_FLAW_TYPE},
        {0x6080000000000003, 0, 0, false, AMDVI_FLAW_TYPE}, // GV without GT
        {0x6080000000000003, 0, 1 << 4, false, AMDVI_SOUND},
        {0x60C0000000000003, 0, 1 << 4, false, AMDVI_FLAW_TYPE}, // GIOV without GIO
        {0x6180000000000003, 0, 1 << 4, false, AMDVI_FLAW_WIDTH},
        {0x6180000000000003, 0, 1 << 4 | 1 << 14, false, AMDVI_SOUND},
        {0x6080000000000003, 1ull << 54, 1 << 4, false, AMDVI_FLAW_WIDTH}, // 5 levels of 4
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct amdvi_features f = {.efr = list[i].efr, .haw = 48, .no_host = list[i].no_host};
        struct amdvi_dte dte = {{list[i].w0, 0, list[i].w2}};
        unsigned word;
        assert_int_equal(amdvi_dte_flaw(&f, &dte, &word), list[i].flaw);
    }
}

static void guest_tables(void **state)
{
    (void)state;
    // Every bit of a root in its place.
    for (unsigned bit = 12; bit < 52; bit++) {
        struct amdvi_gcr3 g = {dam_pa_of(1ull << bit), (uint8_t)(1 + bit % 3), (uint8_t)(4 + bit % 2),
                               bit % 2};
        struct amdvi_gcr3 back;
        struct amdvi_dte dte = amdvi_gcr3_fields(&g);
        unsigned at = bit < 15 ? 58 + bit - 12 : bit < 31 ? 80 + bit - 15 : 107 + bit - 31;
        uint64_t want[3] = {1ull << 55 | (uint64_t)(bit % 2) << 54 | (uint64_t)(bit % 3) << 56, 0,
                            (uint64_t)(bit % 2) << 54};
        want[at / 64] |= 1ull << at % 64;
        assert_memory_equal(dte.w, want, sizeof(want));
        assert_int_equal(dte.w[3], 0);
        back = amdvi_dte_gcr3(&dte, &all);
        assert_int_equal(back.root.v, g.root.v);
        assert_int_equal(back.levels, g.levels);
        assert_int_equal(back.guest_levels, g.guest_levels);
        assert_int_equal(back.rid, g.rid);
    }
    struct amdvi_gcr3 g = {.levels = 1};
    assert_int_equal(amdvi_pasids(&all, &g), 512);
    g.levels = 2;
    assert_int_equal(amdvi_pasids(&all, &g), 1 << 18);
    g.levels = 3;
    assert_int_equal(amdvi_pasids(&all, &g), 1 << 20);
    struct amdvi_features few = {.efr = 3ull << 32};
    assert_int_equal(amdvi_pasids(&few, &g), 16);
    assert_int_equal(amdvi_gcr3_span(0), 1);
    assert_int_equal(amdvi_gcr3_span(2), 1 << 18);
    assert_true(amdvi_gcr3_decode(0x3001, &all).present);
    assert_false(amdvi_gcr3_decode(0x3000, &all).present);
    assert_int_equal(amdvi_gcr3_decode(0x000FFFFFFFFFF001, &all).address.v, 0x000FFFFFFFFFF000);
    assert_false(amdvi_gcr3_decode(0x000FFFFFFFFFF001, &all).reserved);
    assert_true(amdvi_gcr3_decode(0x3003, &all).reserved);
    assert_true(amdvi_gcr3_decode(0x8000000000003001, &all).reserved);
    assert_int_equal(amdvi_gcr3_encode(dam_pa_of(0x3000)), 0x3001);
}

static void device_tables(void **state)
{
    (void)state;
    struct amdvi_device_table t = {{0x00000001234561FF}, 0};
    assert_int_equal(amdvi_segments(&t), 1);
    assert_int_equal(amdvi_segment_span(&t), 65536);
    assert_int_equal(amdvi_segment_base(&t, 0, 0).v, 0x123456000);
    assert_int_equal(amdvi_segment_base(&t, 0, 1ull << 32).v, 0x23456000);
    assert_int_equal(amdvi_segment_entries(&t, 0), 65536);
    t.reg[0] = 0x12345000;
    assert_int_equal(amdvi_segment_entries(&t, 0), 128);
    t = (struct amdvi_device_table){{0x1000001, 0x20000FF, 0x30001FF}, 2};
    assert_int_equal(amdvi_segments(&t), 4);
    assert_int_equal(amdvi_segment_span(&t), 16384);
    assert_int_equal(amdvi_segment_entries(&t, 0), 256);
    assert_int_equal(amdvi_segment_entries(&t, 1), 16384);
    assert_int_equal(amdvi_segment_entries(&t, 2), 16384);
    assert_int_equal(amdvi_segment_base(&t, 1, 0).v, 0x2000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets),           cmocka_unit_test(registers),
        cmocka_unit_test(commands),          cmocka_unit_test(entries),
        cmocka_unit_test(kinds_of_entries),  cmocka_unit_test(flaws_of_entries),
        cmocka_unit_test(flaws_of_features), cmocka_unit_test(guest_tables),
        cmocka_unit_test(device_tables),
    };
    return cmocka_run_group_tests_name("amdvi fields", tests, NULL, NULL);
}

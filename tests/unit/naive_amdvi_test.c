// SPDX-License-Identifier: MIT
// The judge over AMD's tables: what its own rules say of device table entries, guests, and guests in a host.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/naive_amdvi.h"

#define PAGES 16u
#define V     1ull
#define TV    2ull
#define IR    (1ull << 61)
#define IW    (1ull << 62)
#define GV    (1ull << 55)
#define GIOV  (1ull << 54)
#define NONE  NAIVE_AMD_NO_PASID

static uint64_t memory[PAGES][512]; // from address 0 on; the device table is page 0

static bool read64(void *ctx, uint64_t pa, uint64_t *value)
{
    (void)ctx;
    if (pa > sizeof(memory) - 8)
        return false;
    memcpy(value, (uint8_t *)memory + pa, 8);
    return true;
}

static const struct naive_amdvi hw = {.read64 = read64, .entries = 128, .haw = 48, .guest_1g = true};

static int setup(void **state)
{
    (void)state;
    memset(memory, 0, sizeof(memory));
    return 0;
}

static void put(unsigned devid, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t dte[4] = {a, b, c, d};
    memcpy((uint8_t *)memory + devid * 32, dte, 32);
}

static struct naive_amd_result ask(unsigned pasid, uint64_t iova, bool write)
{
    return naive_amdvi_translate(&hw, 5, pasid, iova, write);
}

static void expect(unsigned pasid, uint64_t iova, bool write, uint64_t pa)
{
    struct naive_amd_result r = ask(pasid, iova, write);
    assert_int_equal(r.reason, NAIVE_AMD_OK);
    assert_true(r.ok && !r.unsure);
    assert_int_equal(r.pa, pa);
}

static void refuse(unsigned pasid, uint64_t iova, bool write, enum naive_amd_reason reason)
{
    struct naive_amd_result r = ask(pasid, iova, write);
    assert_false(r.ok);
    assert_int_equal(r.reason, reason);
}

static void device_table_entries(void **state)
{
    (void)state;
    expect(NONE, 0x123456789ABC, true, 0x123456789ABC); // V = 0
    put(5, ~V, ~0ull, ~0ull, ~0ull);
    expect(NONE, 0x1000, true, 0x1000);
    put(5, V, 0, 0, 0);
    refuse(NONE, 0x1000, false, NAIVE_AMD_BLOCKED);
    assert_false(ask(NONE, 0x1000, false).silent);
    put(5, V, 1ull << 34, 0, 0);
    assert_true(ask(NONE, 0x1000, false).silent);
    put(5, V | TV | IR, 0, 0, 0); // pass-through, for reads
    expect(NONE, 0x1000, false, 0x1000);
    refuse(NONE, 0x1000, true, NAIVE_AMD_RIGHTS);
    put(5, V | TV | IW, 0, 0, 0);
    refuse(NONE, 0x1000, false, NAIVE_AMD_RIGHTS);
    put(5, V | TV | IR | IW | 7 << 9, 0, 0, 0);
    refuse(NONE, 0x1000, false, NAIVE_AMD_DTE_RESERVED);
    static const struct {
        unsigned word, bit;
        bool reserved;
    } bits[] = {{0, 2, true},   {0, 6, true},   {0, 7, false},  {2, 52, true},  {2, 53, true},
                {2, 54, false}, {3, 0, true},   {3, 14, true},  {3, 15, false}, {3, 48, true},
                {3, 52, true},  {3, 53, false}, {1, 31, false}, {2, 0, false}};
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        put(5, V | TV | IR | IW, 0, 0, 0);
        memory[0][5 * 4 + bits[i].word] ^= 1ull << bits[i].bit;
        if (bits[i].reserved)
            refuse(NONE, 0x1000, false, NAIVE_AMD_DTE_RESERVED);
        else
            expect(NONE, 0x1000, false, 0x1000);
    }
    assert_int_equal(naive_amdvi_translate(&hw, 128, NONE, 0, false).reason, NAIVE_AMD_DTE_RANGE);
    put(5, V | TV | IR | IW, 0, 0, 0);
    refuse(3, 0x1000, false, NAIVE_AMD_PASID); // no guest
}

static void host_tables(void **state)
{
    (void)state;
    put(5, V | TV | IR | IW | 2 << 9 | 0x1000, 0, 0, 0);
    memory[1][0] = 0x2000 | 1 | 1 << 9 | IR | IW;
    memory[2][1] = 0x777001 | IR;
    memory[1][1] = 0x600001 | IR | IW;
    memory[1][2] = 0x3000 | 1 | 2 << 9 | IR | IW; // does not go down
    memory[1][3] = 0x600001 | IR | 1ull << 52;
    for (unsigned i = 8; i < 12; i++)
        memory[1][i] = 0x13FFE01 | IR; // 8 MiB: four entries
    memory[1][20] = 0x6FFE01 | IR;     // 2 MiB by a size: one entry
    expect(NONE, 0x1010, false, 0x777010);
    refuse(NONE, 0x1010, true, NAIVE_AMD_RIGHTS);
    refuse(NONE, 0x2000, false, NAIVE_AMD_ABSENT);
    expect(NONE, 0x212345, true, 0x612345);
    refuse(NONE, 0x400000, false, NAIVE_AMD_RESERVED);
    refuse(NONE, 0x600000, false, NAIVE_AMD_RESERVED);
    expect(NONE, 0x1000000 + 0x7FF000, false, 0x1000000 + 0x7FF000);
    assert_true(ask(NONE, 20 << 21, false).unsure);
    memory[1][9] |= IW;
    assert_true(ask(NONE, 0x1000000, false).unsure);
    refuse(NONE, 1ull << 30, false, NAIVE_AMD_WIDTH);
    memory[0][5 * 4] &= ~IR;
    refuse(NONE, 0x1010, false, NAIVE_AMD_RIGHTS);
}

// GCR3 table at page 3, CR3 of PASID 0 and of PASID 7.
static void guest_tables(void **state)
{
    (void)state;
    uint64_t dte0 = V | TV | IR | IW | GV | 3ull << 58; // 14:12 of the root
    put(5, dte0, 0, 0, 0);
    memory[3][0] = 0x4000 | 1;
    memory[3][7] = 0x5000 | 1;
    memory[4][0] = 0x6007;
    memory[4][511] = 0x6005;
    memory[5][0] = 0x6003;
    memory[6][0] = 0x400000E7ull;
    memory[6][1] = 0x7007;
    memory[7][0] = 0x200083 | 4;
    expect(NONE, 0x1000, true, 0x1000); // no GIOV: the host's, which has none
    expect(0, 0x1234, true, 0x40001234);
    refuse(0, 0x8000000000, true, NAIVE_AMD_ABSENT);
    expect(0, 0xFFFFFF8000001234, false, 0x40001234);
    refuse(0, 0xFFFFFF8000001234, true, NAIVE_AMD_RIGHTS);
    refuse(0, 0x0000FF8000001234, false, NAIVE_AMD_WIDTH); // not sign-extended
    refuse(7, 0x1234, false, NAIVE_AMD_RIGHTS);            // a supervisor's
    struct naive_amdvi all = hw;
    all.supervisor = true;
    assert_int_equal(naive_amdvi_translate(&all, 5, 7, 0x1234, true).pa, 0x40001234);
    refuse(8, 0x1234, false, NAIVE_AMD_PASID);
    refuse(512, 0x1234, false, NAIVE_AMD_PASID);
    put(5, dte0 | GIOV, 0, 0, 0);
    expect(NONE, 0x40000000, true, 0x200000);
    put(5, dte0 | GIOV, 0, 1ull << 54, 0); // five levels
    memory[4][0] = 0x8007;
    memory[8][0] = 0x6007;
    expect(NONE, 0x1234, true, 0x40001234);
    // In a host: every guest-physical address goes through its tables.
    put(5, dte0 | GIOV | 2 << 9 | 0x9000, 0, 1ull << 54, 0);
    memory[9][0] = 0xA000 | 1 | 1 << 9 | IR | IW;
    refuse(NONE, 0x1234, true, NAIVE_AMD_PASID); // not even the GCR3 table is mapped
    for (unsigned i = 0; i < 16; i++)
        memory[10][i] = i << 12 | 1 | IR;
    refuse(NONE, 0x1234, true, NAIVE_AMD_WIDTH);
    memory[6][0] = 0x87;
    refuse(NONE, 0x1234, true, NAIVE_AMD_RIGHTS);
    expect(NONE, 0x1234, false, 0x1234);
}

static void root_of_gcr3(void **state)
{
    (void)state;
    // Of all bits of the root, only those that memory has are of use here: 15.
    put(5, V | TV | IR | IW | GV, 1ull << 16, 0, 0);
    memory[8][1] = 0x4000 | 1;
    memory[4][0] = 0x6007;
    memory[6][0] = 0xE7;
    expect(1, 0x10, false, 0x10);
    put(5, V | TV | IR | IW | GV, 1ull << 16 | 1ull << 43, 0, 0);
    refuse(1, 0x10, false, NAIVE_AMD_PASID);
    put(5, V | TV | IR | IW | GV | 1ull << 56, 1ull << 16, 0, 0); // two levels
    memory[8][2] = 0x9001;
    memory[9][3] = 0x4001;
    expect(2 * 512 + 3, 0x10, false, 0x10);
    refuse(3 * 512, 0x10, false, NAIVE_AMD_PASID);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(device_table_entries),
        TEST(host_tables),
        TEST(guest_tables),
        TEST(root_of_gcr3),
    };
    return cmocka_run_group_tests_name("the judge over AMD's tables", tests, NULL, NULL);
}

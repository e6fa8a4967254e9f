// SPDX-License-Identifier: MIT
// First-stage page-table entries: every bit that counts, typed as numbers (Intel SDM vol. 3A, 4.5; VT-d 9.7).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "pgtable/pt.h"

#define XD (1ull << 63)

static struct pt_format f;
static const struct pt_params p = {.levels = 4, .haw = 39, .large = 1 << 1 | 1 << 2, .canonical = true};
static const struct pt_params small = {.levels = 5, .haw = 46, .large = 1 << 1, .canonical = true};

static int setup(void **state)
{
    (void)state;
    pt_format_vtdfs(&f);
    return 0;
}

static void what_entries_say(void **state)
{
    (void)state;
    const struct {
        uint64_t raw;
        unsigned level;
        enum pt_kind kind;
        bool w;
        uint64_t addr;
    } list[] = {
        {0x0, 0, PT_EMPTY, 0, 0},
        {0x5006, 0, PT_EMPTY, 0, 0}, // not present, whatever else
        {0x5003, 0, PT_EMPTY, 0, 0}, // a supervisor's
        {0x5005, 0, PT_LEAF, 0, 0x5000},
        {0x5007, 0, PT_LEAF, 1, 0x5000},
        {0x50E7, 0, PT_LEAF, 1, 0x5000},             // A, D; bit 7 is the memory type here
        {0x5007 | XD, 0, PT_LEAF, 1, 0x5000},        // XD does not count
        {0x7FF0000000005F1F, 0, PT_LEAF, 1, 0x5000}, // PWT, PCD, G, what software may use
        {0x8000005007, 0, PT_BAD, 1, 0x5000},        // beyond the host's width
        {0x5007, 1, PT_TABLE, 1, 0x5000},
        {0x5005, 3, PT_TABLE, 0, 0x5000},
        {0x400087, 1, PT_LEAF, 1, 0x400000},
        {0x401087, 1, PT_LEAF, 1, 0x400000}, // bit 12 is the memory type
        {0x402087, 1, PT_BAD, 1, 0x400000},
        {0x500087, 1, PT_BAD, 1, 0x400000},
        {0x40000087, 2, PT_LEAF, 1, 0x40000000},
        {0x40200087, 2, PT_BAD, 1, 0x40000000},
        {0x40000087, 3, PT_BAD, 1, 0x40000000}, // no leaves up here
        {0x40000083, 3, PT_EMPTY, 0, 0},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        struct pt_entry e = f.decode(&p, list[i].raw, list[i].level);
        if (e.kind != list[i].kind || e.w != list[i].w || (e.kind <= PT_LEAF && e.addr != list[i].addr))
            fail_msg("%#llx at level %u: kind %d w %d addr %#llx", (unsigned long long)list[i].raw,
                     list[i].level, e.kind, e.w, (unsigned long long)e.addr);
        assert_int_equal(e.r, e.kind != PT_EMPTY);
    }
    assert_int_equal(f.decode(&small, 0x40000087, 2).kind, PT_BAD); // no 1-GiB pages
    assert_int_equal(f.decode(&small, 0x40000087, 4).kind, PT_BAD);
    assert_int_equal(f.decode(&small, 0x200000005007, 0).kind, PT_LEAF);
    assert_int_equal(f.decode(&small, 0x400000005007, 0).kind, PT_BAD);
}

// Ours need no marks by the hardware.
static void what_is_written(void **state)
{
    (void)state;
    struct pt_entry leaf = {.kind = PT_LEAF, .r = true, .addr = 0x40000000};
    assert_int_equal(f.encode(&p, &leaf, 0), 0x40000065);
    assert_int_equal(f.encode(&p, &leaf, 1), 0x400000E5);
    leaf.w = true;
    assert_int_equal(f.encode(&p, &leaf, 2), 0x400000E7);
    struct pt_entry table = {.kind = PT_TABLE, .r = true, .w = true, .addr = 0x5000};
    assert_int_equal(f.encode(&p, &table, 3), 0x5027);
    table.xd = true;
    assert_int_equal(f.encode(&p, &table, 3), 0x5027 | XD);
    leaf.r = false;
    assert_int_equal(f.encode(&p, &leaf, 0), 0); // writable alone cannot be said
}

static void what_is_restricted(void **state)
{
    (void)state;
    const struct pt_entry all = {.r = true, .w = true}, read = {.r = true}, none = {.w = true};
    const struct pt_entry data = {.r = true, .w = true, .xd = true};
    assert_int_equal(f.restrict_to(0x50E7, &all), 0x50E7);
    assert_int_equal(f.restrict_to(0x50E7, &read), 0x50E5);
    assert_int_equal(f.restrict_to(0x50E7, &none), 0);
    assert_int_equal(f.restrict_to(0x50E7, &data), 0x50E7 | XD);
}

static void what_a_large_page_becomes(void **state)
{
    (void)state;
    assert_int_equal(f.split(&p, 0x400000E7, 2, 3), 0x406000E7);
    assert_int_equal(f.split(&p, 0x400010E7 | XD, 2, 1), 0x402010E7 | XD); // the memory type keeps its place
    assert_int_equal(f.split(&p, 0x400000E7, 1, 511), 0x401FF067);
    assert_int_equal(f.split(&p, 0x400010E7, 1, 0), 0x400000E7); // and changes it
}

static void where_the_hardware_would_write(void **state)
{
    (void)state;
    assert_false(f.unmarked(0, 0));
    assert_false(f.unmarked(0x5006, 0)); // not present
    assert_true(f.unmarked(0x5007, 0));
    assert_false(f.unmarked(0x5027, 0)); // D does not matter when nothing may be written
    assert_true(f.unmarked(0x5007, 3));
    assert_false(f.unmarked(0x5027, 3));
    assert_true(f.unmarked(0x5023, 3)); // a supervisor's table: what is below is not known
    assert_true(f.unmarked(0x5003, 0));
    assert_false(f.unmarked(0x5023, 0)); // a supervisor's page
    assert_false(f.unmarked(0x4000A3, 1));
    assert_true(f.unmarked(0x400083, 1));
}

// One pass over a table says what 512 looks at its entries say.
static void scans_agree_with_single_entries(void **state)
{
    (void)state;
    struct dam_range storage[2];
    struct dam_ranges watch;
    dam_ranges_init(&watch, storage, 2);
    assert_int_equal(dam_ranges_add(&watch, 0x10000000, 0x10400000), DAM_OK);
    assert_int_equal(dam_ranges_add(&watch, 0x20000000, 0x20001000), DAM_OK);
    uint64_t rng = 1;
    for (unsigned n = 0; n < 400; n++) {
        uint64_t table[PT_ENTRIES] = {0};
        for (unsigned i = 0; i < PT_ENTRIES; i++) {
            rng = rng * 6364136223846793005ull + 1442695040888963407ull;
            uint64_t r = rng >> 16, addr = n % 3 ? 0x0FF00000 + (r % 0x900) * 4096 : (r & 0x7FFFFFF000);
            table[i] = n % 4 == 0 ? 0 : addr | 0x67 | (n % 5 ? 0 : XD);
            if (n % 7 == 0 || r % 64 < n % 3)
                table[i] ^= 1ull << (r >> 8) % 64;
        }
        struct pt_scan want = {0}, got;
        for (unsigned i = 0; i < PT_ENTRIES; i++) {
            struct pt_entry e = f.decode(&p, table[i], 0);
            want.unmarked |= f.unmarked(table[i], 0);
            want.bad |= e.kind == PT_BAD;
            if (e.kind == PT_EMPTY)
                continue;
            want.mapped++;
            want.readable++;
            want.writable += e.w;
            want.watched |= dam_ranges_overlap(&watch, e.addr, 4096);
        }
        f.scan(&p, table, &watch, &got);
        assert_int_equal(got.mapped, want.mapped);
        assert_int_equal(got.readable, want.readable);
        assert_int_equal(got.writable, want.writable);
        assert_int_equal(got.watched, want.watched);
        assert_int_equal(got.bad, want.bad);
        assert_int_equal(got.unmarked, want.unmarked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_entries_say, setup),
        cmocka_unit_test_setup(what_is_written, setup),
        cmocka_unit_test_setup(what_is_restricted, setup),
        cmocka_unit_test_setup(what_a_large_page_becomes, setup),
        cmocka_unit_test_setup(where_the_hardware_would_write, setup),
        cmocka_unit_test_setup(scans_agree_with_single_entries, setup),
    };
    return cmocka_run_group_tests_name("first-stage entries", tests, NULL, NULL);
}

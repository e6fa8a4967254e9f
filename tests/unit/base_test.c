// SPDX-License-Identifier: MIT
// engine/base: bit fields, ranges, arena, findings, waits, CRC.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cofferdam/arena.h>
#include <cofferdam/range.h>

#include "base/finding.h"
#include "base/wait.h"

#define F_LOW  2, 0
#define F_MID  21, 16
#define F_TOP  63, 52
#define F_BIT  63, 63
#define F_FULL 63, 0

static void bits(void **state)
{
    (void)state;
    assert_int_equal(dam_bits_mask(F_LOW), 0x7);
    assert_int_equal(dam_bits_mask(F_MID), 0x3F0000);
    assert_int_equal(dam_bits_mask(F_TOP), 0xFFF0000000000000ull);
    assert_int_equal(dam_bits_mask(F_BIT), 0x8000000000000000ull);
    assert_int_equal(dam_bits_mask(F_FULL), ~0ull);
    assert_int_equal(dam_bits_get(0x00d2008c22260206ull, F_MID), 0x26);
    assert_int_equal(dam_bits_put(0x1FF, F_MID), 0x3F0000);
    assert_int_equal(dam_bits_set(~0ull, 0, F_MID), ~0x3F0000ull);
    assert_int_equal(dam_bits_get(~0ull, F_FULL), ~0ull);
}

static struct dam_range storage[4];

static struct dam_ranges empty_set(size_t capacity)
{
    struct dam_ranges set;
    dam_ranges_init(&set, storage, capacity);
    return set;
}

static void assert_ranges(const struct dam_ranges *set, size_t count, const uint64_t *bounds)
{
    assert_int_equal(set->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(set->at[i].start, bounds[2 * i]);
        assert_int_equal(set->at[i].end, bounds[2 * i + 1]);
    }
}

static void ranges_add(void **state)
{
    (void)state;
    struct dam_ranges set = empty_set(3);
    assert_int_equal(dam_ranges_add(&set, 100, 200), DAM_OK);
    assert_int_equal(dam_ranges_add(&set, 300, 400), DAM_OK);
    assert_int_equal(dam_ranges_add(&set, 10, 20), DAM_OK);
    assert_int_equal(dam_ranges_add(&set, 50, 50), DAM_OK);
    assert_ranges(&set, 3, (uint64_t[]){10, 20, 100, 200, 300, 400});
    assert_int_equal(dam_ranges_add(&set, 500, 600), DAM_E_NOMEM);
    assert_int_equal(dam_ranges_add(&set, 200, 300), DAM_OK); // touches both neighbours
    assert_ranges(&set, 2, (uint64_t[]){10, 20, 100, 400});
    assert_int_equal(dam_ranges_add(&set, 0, 1000), DAM_OK);
    assert_ranges(&set, 1, (uint64_t[]){0, 1000});
}

static void ranges_remove(void **state)
{
    (void)state;
    struct dam_ranges set = empty_set(3);
    assert_int_equal(dam_ranges_add(&set, 100, 200), DAM_OK);
    assert_int_equal(dam_ranges_add(&set, 300, 400), DAM_OK);
    assert_int_equal(dam_ranges_remove(&set, 120, 130), DAM_OK); // splits
    assert_ranges(&set, 3, (uint64_t[]){100, 120, 130, 200, 300, 400});
    assert_int_equal(dam_ranges_remove(&set, 310, 320), DAM_E_NOMEM);
    assert_int_equal(dam_ranges_remove(&set, 110, 350), DAM_OK);
    assert_ranges(&set, 2, (uint64_t[]){100, 110, 350, 400});
    assert_int_equal(dam_ranges_remove(&set, 0, 1000), DAM_OK);
    assert_int_equal(set.count, 0);
}

static void ranges_ask(void **state)
{
    (void)state;
    struct dam_ranges set = empty_set(3);
    assert_int_equal(dam_ranges_add(&set, 0x1000, 0x3000), DAM_OK);
    assert_int_equal(dam_ranges_add(&set, ~0ull - 0xFFF, ~0ull), DAM_OK);
    assert_true(dam_ranges_contain(&set, 0x1000, 0x2000));
    assert_false(dam_ranges_contain(&set, 0x1000, 0x2001));
    assert_false(dam_ranges_contain(&set, 0xFFF, 2));
    assert_true(dam_ranges_overlap(&set, 0xFFF, 2));
    assert_false(dam_ranges_overlap(&set, 0x3000, 0x1000));
    assert_true(dam_ranges_overlap(&set, 0x2FFF, 1));
    // A range that wraps is never contained, and overlaps what lies before 2^64.
    assert_false(dam_ranges_contain(&set, ~0ull - 0xFFF, 0x2000));
    assert_true(dam_ranges_overlap(&set, ~0ull - 0x1FFF, 0x4000));
    assert_ptr_equal(dam_ranges_find(&set, 0, 0x1001), &set.at[0]);
    assert_null(dam_ranges_find(&set, 0x4000, 0x1000));
}

static void arena(void **state)
{
    (void)state;
    const uint64_t size = 4 * DAM_PAGE_SIZE;
    uint8_t *memory = aligned_alloc(DAM_PAGE_SIZE, size);
    struct dam_arena a;
    dam_arena_init(&a, memory, dam_pa_of(0x7000000), size);
    void *page, *record, *more;
    assert_int_equal(dam_arena_pages(&a, 2, &page), DAM_OK);
    assert_ptr_equal(page, memory);
    assert_int_equal(dam_arena_record(&a, 17, &record), DAM_OK);
    assert_ptr_equal(record, memory + size - 32);
    assert_int_equal(dam_arena_used(&a), 2 * DAM_PAGE_SIZE + 32);
    // The record took the last page: one more fits, two do not.
    assert_int_equal(dam_arena_pages(&a, 2, &more), DAM_E_NOMEM);
    assert_int_equal(dam_arena_pages(&a, (size_t)1 << 60, &more), DAM_E_NOMEM);
    assert_int_equal(dam_arena_record(&a, SIZE_MAX, &more), DAM_E_NOMEM);
    assert_int_equal(dam_arena_record(&a, SIZE_MAX - 7, &more), DAM_E_NOMEM);
    assert_int_equal(dam_arena_pages(&a, 1, &more), DAM_OK);
    assert_ptr_equal(more, memory + 2 * DAM_PAGE_SIZE);
    assert_int_equal(dam_arena_pa(&a, more).v, 0x7002000);
    assert_ptr_equal(dam_arena_ptr(&a, dam_pa_of(0x7002010)), memory + 2 * DAM_PAGE_SIZE + 16);
    assert_null(dam_arena_ptr(&a, dam_pa_of(0x6FFFFFF)));
    assert_null(dam_arena_ptr(&a, dam_pa_of(0x7004000)));
    free(memory);
}

static void findings(void **state)
{
    (void)state;
    static struct dam_finding_ring ring;
    memset(&ring, 0, sizeof(ring));
    struct dam_finding f = {.code = DAM_F_PT_KEEP_OUT, .unit = 1, .rid = 0x10};
    for (uint64_t i = 0; i < 10; i++) {
        f.address = i;
        dam_finding_add(&ring, &f);
    }
    assert_int_equal(ring.count, DAM_FINDING_EACH);
    assert_int_equal(ring.total, 10);
    assert_int_equal(ring.at[0].address, 0);
    assert_int_equal(ring.at[0].severity, DAM_ERROR);
    assert_int_equal(ring.at[3].repeats, 6);
    for (uint16_t rid = 0x100; rid < 0x100 + DAM_MAX_FINDINGS; rid++) {
        f.rid = rid;
        dam_finding_add(&ring, &f);
    }
    assert_int_equal(ring.count, DAM_MAX_FINDINGS); // the first ones stay
    assert_int_equal(ring.total, 10 + DAM_MAX_FINDINGS);
    assert_int_equal(ring.lost, DAM_FINDING_EACH);
    assert_int_equal(ring.at[0].rid, 0x10);
    assert_int_equal(dam_finding_severity(DAM_F_ECAM), DAM_INFO);
    assert_int_equal(dam_finding_severity(0xFFFF), DAM_ERROR);
}

struct fake_register {
    uint64_t now, value;
    uint64_t change_at; // microseconds
    unsigned reads;
};

static uint64_t fake_clock(void *ctx)
{
    struct fake_register *r = ctx;
    return r->now += 10;
}

static dam_err fake_read(void *ctx, dam_pa pa, unsigned width, uint64_t *value)
{
    struct fake_register *r = ctx;
    assert_int_equal(pa.v, 0x1234);
    assert_int_equal(width, 4);
    r->reads++;
    *value = r->now >= r->change_at ? r->value : 0;
    return DAM_OK;
}

static void waits(void **state)
{
    (void)state;
    struct fake_register reg = {.value = 0x81, .change_at = 500};
    struct dam_ops ops = {.ctx = &reg, .mmio_read = fake_read, .clock_us = fake_clock};
    uint64_t value;
    assert_int_equal(dam_wait_register(&ops, dam_pa_of(0x1234), 4, 0x80, 0x80, 1000, &value), DAM_OK);
    assert_int_equal(value, 0x81);
    reg = (struct fake_register){.value = 0x81, .change_at = 5000};
    assert_int_equal(dam_wait_register(&ops, dam_pa_of(0x1234), 4, 0x80, 0x80, 1000, &value), DAM_E_TIMEOUT);
    assert_int_equal(value, 0);
    assert_in_range(reg.reads, 90, 110);
    ops.mmio_read = NULL;
    assert_int_equal(dam_wait_register(&ops, dam_pa_of(0x1234), 4, 0x80, 0x80, 1000, NULL),
                     DAM_E_UNSUPPORTED);
    uint32_t word = 7;
    assert_int_equal(dam_wait_memory(&ops, &word, 7, 1000), DAM_OK);
    assert_int_equal(dam_wait_memory(&ops, &word, 8, 1000), DAM_E_TIMEOUT);
}

static void crc(void **state)
{
    (void)state;
    assert_int_equal(dam_crc32(0, "123456789", 9), 0xCBF43926); // the check value of CRC-32/ISO-HDLC
    assert_int_equal(dam_crc32(dam_crc32(0, "1234", 4), "56789", 5), 0xCBF43926);
    assert_int_equal(dam_crc32(0, "", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits),       cmocka_unit_test(ranges_add), cmocka_unit_test(ranges_remove),
        cmocka_unit_test(ranges_ask), cmocka_unit_test(arena),      cmocka_unit_test(findings),
        cmocka_unit_test(waits),      cmocka_unit_test(crc),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}

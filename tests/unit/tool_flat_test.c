// SPDX-License-Identifier: MIT
// The flattened reader against the format's own rule: all records written in order into one file. Random
// streams with records that overlap, repeat, touch and leave holes; reads of every kind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dump_maker.h"
#include "source.h"

#define SPAN 3000u // bytes of the dump

static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % limit;
}

struct expected {
    uint8_t bytes[SPAN];
    bool there[SPAN];
    size_t end;
};

static void make_stream(struct made *flat, struct expected *e)
{
    uint8_t bytes[SPAN];
    memset(e, 0, sizeof *e);
    made_flat_begin(flat);
    uint32_t records = 1 + random_below(120), longest = 1 + random_below(random_below(3) ? 60 : SPAN);
    for (uint32_t r = 0; r < records; r++) {
        uint32_t size = 1 + random_below(longest), offset = random_below(SPAN - size + 1);
        // Streams are mostly in order.
        if (random_below(2) && e->end > 0 && e->end + size <= SPAN)
            offset = (uint32_t)e->end;
        for (uint32_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)random_below(256);
            e->bytes[offset + i] = bytes[i];
            e->there[offset + i] = true;
        }
        if (offset + size > e->end)
            e->end = offset + size;
        made_flat_record(flat, offset, bytes, size);
    }
    made_flat_end(flat);
}

static void read_part(const struct dump_source *source, const struct expected *e, uint32_t at, uint32_t size)
{
    uint8_t *got = malloc(size + 1u);
    uint32_t there = 0;
    while (there < size && at + there < SPAN && e->there[at + there])
        there++;
    memset(got, 0xEE, size + 1u);
    assert_int_equal(source_read(source, at, got, size), there);
    assert_memory_equal(got, e->bytes + at, there);
    assert_int_equal(source_holds(source, at, size), there == size);
    source_read_filled(source, at, got, size);
    for (uint32_t i = 0; i < size; i++)
        assert_int_equal(got[i], at + i < SPAN && e->there[at + i] ? e->bytes[at + i] : 0);
    assert_int_equal(got[size], 0xEE);
    free(got);
}

static void random_streams(void **state)
{
    (void)state;
    for (seed = 1; seed < 3000; seed++) {
        uint64_t number = seed;
        struct made flat = {0};
        struct expected e;
        struct dump_source source;
        struct tool_error error;
        make_stream(&flat, &e);
        if (source_open_memory(flat.bytes, flat.size, &source, &error) != TOOL_OK)
            fail_msg("stream %u: %s", (unsigned)number, error.text);
        assert_true(source.flattened);
        assert_int_equal(source_end(&source), e.end);
        read_part(&source, &e, 0, SPAN);
        read_part(&source, &e, 0, SPAN + 50);
        for (int i = 0; i < 40; i++) {
            uint32_t at = random_below(SPAN);
            read_part(&source, &e, at, random_below(SPAN - at + 20));
        }
        source_close(&source);
        made_free(&flat);
        seed = number;
    }
}

// Every record lies under the next one, and then over it: no order is slow.
static void many_records(void **state)
{
    (void)state;
    const uint32_t count = 200000;
    for (int order = 0; order < 3; order++) {
        struct made flat = {0};
        struct dump_source source;
        struct tool_error error;
        made_flat_begin(&flat);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t k = order == 0 ? i : order == 1 ? count - 1 - i : (uint32_t)(i * 7919ull % count);
            uint8_t bytes[3] = {(uint8_t)k, (uint8_t)(k >> 8), (uint8_t)(k >> 16)};
            made_flat_record(&flat, 2ull * k, bytes, 3);
        }
        made_flat_end(&flat);
        assert_int_equal(source_open_memory(flat.bytes, flat.size, &source, &error), TOOL_OK);
        assert_int_equal(source_end(&source), 2ull * count + 1);
        for (uint32_t i = 1; i + 1 < count; i += 1237) {
            uint8_t bytes[2];
            assert_int_equal(source_read(&source, 2ull * i, bytes, 2), 2);
            // With ascending records the third byte of the one before is overwritten, with descending ones
            // it overwrites.
            if (order == 0)
                assert_int_equal(bytes[0], (uint8_t)i);
            else if (order == 1)
                assert_int_equal(bytes[0], (uint8_t)((i - 1) >> 16));
            assert_int_equal(bytes[1], (uint8_t)(i >> 8));
        }
        source_close(&source);
        made_free(&flat);
    }
}

// Offsets up to 2^63, far apart, cost nothing.
static void giant_offsets(void **state)
{
    (void)state;
    struct made flat = {0};
    struct dump_source source;
    struct tool_error error;
    uint8_t bytes[4096];
    const uint64_t last = INT64_MAX - 16;
    made_flat_begin(&flat);
    made_flat_record(&flat, last, "0123456789abcdef", 16);
    made_flat_record(&flat, 1ull << 50, "x", 1);
    made_flat_end(&flat);
    assert_int_equal(source_open_memory(flat.bytes, flat.size, &source, &error), TOOL_OK);
    assert_int_equal(source_end(&source), INT64_MAX);
    assert_int_equal(source_read(&source, last + 10, bytes, 100), 6);
    assert_memory_equal(bytes, "abcdef", 6);
    assert_int_equal(source_read(&source, INT64_MAX, bytes, 1), 0);
    assert_int_equal(source_read(&source, UINT64_MAX, bytes, 10), 0);
    assert_int_equal(source_read(&source, 0, bytes, 10), 0);
    source_read_filled(&source, (1ull << 50) - 100, bytes, 4096);
    assert_int_equal(bytes[99], 0);
    assert_int_equal(bytes[100], 'x');
    assert_int_equal(bytes[101], 0);
    source_read_filled(&source, UINT64_MAX - 2, bytes, 10);
    assert_true(source_holds(&source, last, 16));
    assert_false(source_holds(&source, last, 17));
    assert_false(source_holds(&source, last, UINT64_MAX));
    assert_false(source_holds(&source, UINT64_MAX, 2));
    source_close(&source);
    made_free(&flat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_streams),
        cmocka_unit_test(many_records),
        cmocka_unit_test(giant_offsets),
    };
    return cmocka_run_group_tests_name("tool: flattened streams", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// tool/inspect/memory.c: what all kinds of memory share, over a provider that counts and refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "inspect/memory.h"

#define BASE   0x100000ull
#define PAGES  200u
#define HOLE   (BASE + 7 * 4096) // RAM, not held
#define BROKEN (BASE + 9 * 4096)

struct source {
    unsigned reads, closed;
    uint64_t last;
};

// The byte at pa.
static uint8_t byte_at(uint64_t pa)
{
    return (uint8_t)(pa * 31 + (pa >> 12) * 7);
}

static dam_err read_page(void *ctx, dam_pa pa, void *page, struct tool_error *why)
{
    struct source *s = ctx;
    assert_int_equal(pa.v % 4096, 0);
    s->reads++;
    s->last = pa.v;
    if (pa.v < BASE || pa.v >= BASE + PAGES * 4096)
        return DAM_E_RANGE;
    if (pa.v == HOLE)
        return DAM_E_ABSENT;
    if (pa.v == BROKEN) {
        snprintf(why->text, sizeof why->text, "page %u is damaged", s->reads);
        return DAM_E_IO;
    }
    for (unsigned i = 0; i < 4096; i++)
        ((uint8_t *)page)[i] = byte_at(pa.v + i);
    return DAM_OK;
}

static bool next_held(void *ctx, uint64_t *start, uint64_t *end)
{
    (void)ctx;
    if (*start >= HOLE)
        return false;
    *start = *start > BASE ? *start : BASE;
    *end = HOLE;
    return true;
}

static void close_source(void *ctx)
{
    ((struct source *)ctx)->closed++;
}

static struct memory *make(struct source *s)
{
    *s = (struct source){0};
    struct memory_provider p = {
        .ctx = s,
        .read_page = read_page,
        .next_held = next_held,
        .close = close_source,
        .about = {.format = "test", .ram = PAGES * 4096},
        .vmcoreinfo = "A=1\n",
        .vmcoreinfo_size = 4,
    };
    struct memory *m = memory_new(&p);
    assert_non_null(m);
    return m;
}

static void reads_parts_of_pages(void **state)
{
    (void)state;
    struct source s;
    struct memory *m = make(&s);
    uint8_t got[64];
    assert_int_equal(memory_read(m, dam_pa_of(BASE + 5), got, 64), DAM_OK);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(got[i], byte_at(BASE + 5 + i));
    // The page is kept: no second look at the provider, also for its last byte.
    assert_int_equal(memory_read(m, dam_pa_of(BASE + 4095), got, 1), DAM_OK);
    assert_int_equal(got[0], byte_at(BASE + 4095));
    assert_int_equal(s.reads, 1);
    assert_int_equal(memory_read(m, dam_pa_of(BASE + 4095), got, 2), DAM_E_LENGTH);
    assert_int_equal(memory_read(m, dam_pa_of(BASE), got, 0), DAM_OK);
    memory_close(m);
    assert_int_equal(s.closed, 1);
}

static void a_walk_does_not_drive_out_what_is_kept(void **state)
{
    (void)state;
    struct source s;
    struct memory *m = make(&s);
    static uint8_t page[4096];
    uint8_t byte;
    assert_int_equal(memory_read(m, dam_pa_of(BASE), &byte, 1), DAM_OK);
    for (unsigned i = 100; i < PAGES; i++)
        assert_int_equal(memory_read(m, dam_pa_of(BASE + i * 4096), page, 4096), DAM_OK);
    assert_int_equal(page[17], byte_at(BASE + (PAGES - 1) * 4096 + 17));
    unsigned before = s.reads;
    assert_int_equal(memory_read(m, dam_pa_of(BASE), &byte, 1), DAM_OK);
    assert_int_equal(memory_read(m, dam_pa_of(BASE), page, 4096), DAM_OK);
    assert_int_equal(page[4095], byte_at(BASE + 4095));
    assert_int_equal(s.reads, before);
    memory_close(m);
}

static void what_is_not_held_is_told_each_time(void **state)
{
    (void)state;
    struct source s;
    struct memory *m = make(&s);
    uint8_t got[8];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(memory_read(m, dam_pa_of(HOLE + 8), got, 8), DAM_E_ABSENT);
        assert_int_equal(memory_read(m, dam_pa_of(0), got, 8), DAM_E_RANGE);
        assert_int_equal(memory_read(m, dam_pa_of(BROKEN), got, 8), DAM_E_IO);
        assert_true(strncmp(memory_problem(m), "page ", 5) == 0);
    }
    // A page that failed leaves nothing behind in its slot, whatever was there.
    for (unsigned i = 0; i < PAGES; i++) {
        if (BASE + i * 4096 == HOLE || BASE + i * 4096 == BROKEN)
            continue;
        assert_int_equal(memory_read(m, dam_pa_of(BASE + i * 4096 + 1), got, 1), DAM_OK);
        assert_int_equal(got[0], byte_at(BASE + i * 4096 + 1));
        assert_int_equal(memory_read(m, dam_pa_of(HOLE), got, 1), DAM_E_ABSENT);
    }
    memory_close(m);
}

static void the_seam_reads_over_pages(void **state)
{
    (void)state;
    struct source s;
    struct memory *m = make(&s);
    struct dam_ops ops = memory_ops(m);
    static uint8_t got[3 * 4096];
    assert_int_equal(dam_mem_read(&ops, dam_pa_of(BASE + 100), got, sizeof got), DAM_OK);
    for (unsigned i = 0; i < sizeof got; i++)
        assert_int_equal(got[i], byte_at(BASE + 100 + i));
    assert_int_equal(dam_mem_read(&ops, dam_pa_of(HOLE - 4), got, 8), DAM_E_ABSENT);
    assert_int_equal(dam_mem_read(&ops, dam_pa_of(~0ull - 3), got, 8), DAM_E_RANGE);
    uint64_t value;
    assert_int_equal(dam_mmio_read(&ops, dam_pa_of(BASE), 8, &value), DAM_E_UNSUPPORTED);
    assert_int_equal(dam_mmio_write(&ops, dam_pa_of(BASE), 8, 1), DAM_E_UNSUPPORTED);
    uint64_t then = dam_clock_us(&ops);
    assert_true(dam_clock_us(&ops) >= then);
    memory_close(m);
}

static void tells_what_the_provider_said(void **state)
{
    (void)state;
    struct source s;
    struct memory *m = make(&s);
    size_t size;
    assert_string_equal(memory_about(m)->format, "test");
    assert_memory_equal(memory_vmcoreinfo(m, &size), "A=1\n", 4);
    assert_int_equal(size, 4);
    assert_null(memory_note(m, &size));
    assert_int_equal(size, 0);
    assert_int_equal(memory_ram(m)->count, 0);
    uint64_t start = 0, end = 0;
    assert_true(memory_next_held(m, &start, &end));
    assert_int_equal(start, BASE);
    assert_int_equal(end, HOLE);
    start = end;
    assert_false(memory_next_held(m, &start, &end));
    memory_close(m);
    memory_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_parts_of_pages),
        cmocka_unit_test(a_walk_does_not_drive_out_what_is_kept),
        cmocka_unit_test(what_is_not_held_is_told_each_time),
        cmocka_unit_test(the_seam_reads_over_pages),
        cmocka_unit_test(tells_what_the_provider_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// From the root pointer to a copy of a table: which list is used, what is refused, and that every failure of
// every access is one error and nothing worse.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acpi/tables.h"
#include "lib/fake_mem.h"

#define RSDT 0x7FFE0000u
#define XSDT 0x7FFE8000u
#define DMAR 0x7FFF0123u // no alignment is promised
#define FACP 0x7FFF1000u
#define MCFG 0x17FFF2000ull

struct box {
    struct fake_mem mem;
    struct dam_arena arena;
    struct acpi_rsdp rsdp;
    void *pool;
    // What change_memory() does before the read with this number.
    unsigned reads, change_at;
    uint64_t change_pa;
    uint8_t change_to;
};

static int setup(void **state)
{
    struct box *b = calloc(1, sizeof(*b));
    const uint64_t size = 4u << 20;
    b->mem.hook_ctx = b;
    fake_mem_init(&b->mem);
    b->pool = aligned_alloc(DAM_PAGE_SIZE, size);
    memset(b->pool, 0, size);
    dam_arena_init(&b->arena, b->pool, dam_pa_of(0x10000000), size);
    b->rsdp = (struct acpi_rsdp){.pa = {0xF0000}, .revision = 2, .xsdt = {XSDT}, .rsdt = {RSDT}};
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;
    fake_mem_free(&b->mem);
    free(b->pool);
    free(b);
    return 0;
}

// Writes a table with a right checksum: header, then the body.
static void put_table(struct box *b, uint64_t pa, const char *signature, const void *body, uint32_t body_size)
{
    uint8_t sum = 0, *bytes = calloc(1, 36 + body_size);
    const uint32_t length = 36 + body_size;
    memcpy(bytes, signature, 4);
    memcpy(bytes + 4, &length, 4);
    memcpy(bytes + 10, "OEMIDxTABLEIDx", 14);
    if (body_size)
        memcpy(bytes + 36, body, body_size);
    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[9] = (uint8_t)(0 - sum);
    fake_mem_write(&b->mem, pa, bytes, length);
    free(bytes);
}

static void put_xsdt(struct box *b, const uint64_t *entries, uint32_t count)
{
    put_table(b, XSDT, "XSDT", entries, count * 8);
}

static void put_rsdt(struct box *b, const uint32_t *entries, uint32_t count)
{
    put_table(b, RSDT, "RSDT", entries, count * 4);
}

// XSDT: FACP, MCFG (above 4 GiB), an empty entry, DMAR. RSDT: the DMAR alone.
static void put_machine(struct box *b)
{
    put_xsdt(b, (const uint64_t[]){FACP, MCFG, 0, DMAR}, 4);
    put_rsdt(b, (const uint32_t[]){DMAR}, 1);
    put_table(b, FACP, "FACP", "facp", 4);
    put_table(b, MCFG, "MCFG", "mcfg-body", 9);
    put_table(b, DMAR, "DMAR", "dmar body", 9);
}

static dam_err open_root(struct box *b, struct acpi_root *root)
{
    return acpi_open_root(&b->mem.ops, &b->arena, &b->rsdp, root);
}

static dam_err read_table(struct box *b, const struct acpi_root *root, const char *signature, unsigned nth,
                          struct acpi_table *table)
{
    return acpi_read_table(&b->mem.ops, root, &b->arena, signature, nth, table);
}

static void xsdt_is_preferred(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    put_machine(b);
    assert_int_equal(open_root(b, &root), DAM_OK);
    assert_int_equal(root.pa.v, XSDT);
    assert_true(root.is_xsdt);
    assert_true(root.checksum_ok);
    assert_int_equal(root.count, 4);
}

static void rsdt_when_there_is_no_xsdt(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    put_machine(b);
    b->rsdp.xsdt = dam_pa_of(0);
    assert_int_equal(open_root(b, &root), DAM_OK);
    assert_int_equal(root.pa.v, RSDT);
    assert_false(root.is_xsdt);
    assert_true(root.checksum_ok);
    assert_int_equal(root.count, 1);
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_OK);
    assert_int_equal(table.pa.v, DMAR);
    assert_int_equal(read_table(b, &root, "FACP", 0, &table), DAM_E_ABSENT);
}

static void tables_are_copied(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    put_machine(b);
    assert_int_equal(open_root(b, &root), DAM_OK);
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_OK);
    assert_int_equal(table.pa.v, DMAR);
    assert_int_equal(table.length, 45);
    assert_true(table.checksum_ok);
    assert_non_null(dam_arena_ptr(&b->arena, dam_arena_pa(&b->arena, table.bytes)));
    assert_memory_equal(table.bytes, "DMAR\x2d\0\0\0", 8);
    assert_memory_equal(table.bytes + 36, "dmar body", 9);
    assert_int_equal(read_table(b, &root, "MCFG", 0, &table), DAM_OK);
    assert_int_equal(table.pa.v, MCFG);
    assert_memory_equal(table.bytes + 36, "mcfg-body", 9);
    assert_int_equal(read_table(b, &root, "IVRS", 0, &table), DAM_E_ABSENT);
    assert_int_equal(table.pa.v, 0);
    assert_null(table.bytes);
    assert_int_equal(read_table(b, &root, "DMAR", 1, &table), DAM_E_ABSENT);
}

static void nth_of_a_signature(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    put_xsdt(b, (const uint64_t[]){0x1000, FACP, 0x2000, 0x3000}, 4);
    put_table(b, 0x1000, "SSDT", "1", 1);
    put_table(b, FACP, "FACP", "", 0);
    put_table(b, 0x2000, "SSDT", "22", 2);
    put_table(b, 0x3000, "SSDT", "333", 3);
    assert_int_equal(open_root(b, &root), DAM_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(read_table(b, &root, "SSDT", i, &table), DAM_OK);
        assert_int_equal(table.length, 37 + i);
        assert_int_equal(table.pa.v, 0x1000 * (i + 1));
    }
    assert_int_equal(read_table(b, &root, "SSDT", 3, &table), DAM_E_ABSENT);
    assert_int_equal(read_table(b, &root, "SSDT", ~0u, &table), DAM_E_ABSENT);
}

// Which list is used for every combination: good, wrong checksum, not readable at all.
static void choice_of_the_list(void **state)
{
    struct box *b = *state;
    enum { GOOD, SUM, BAD };
    for (int xsdt = GOOD; xsdt <= BAD; xsdt++) {
        for (int rsdt = GOOD; rsdt <= BAD; rsdt++) {
            struct acpi_root root;
            put_machine(b);
            if (xsdt != GOOD)
                fake_mem_write_u8(&b->mem, XSDT + (xsdt == SUM ? 12 : 0), 0xAA);
            if (rsdt != GOOD)
                fake_mem_write_u8(&b->mem, RSDT + (rsdt == SUM ? 12 : 0), 0xAA);
            dam_err err = open_root(b, &root);
            if (xsdt == BAD && rsdt == BAD) {
                assert_int_equal(err, DAM_E_SIGNATURE);
                assert_int_equal(root.pa.v, XSDT);
                assert_int_equal(root.count, 0);
                continue;
            }
            bool want_xsdt = xsdt == GOOD || (xsdt == SUM && rsdt != GOOD);
            assert_int_equal(err, DAM_OK);
            assert_int_equal(root.is_xsdt, want_xsdt);
            assert_int_equal(root.pa.v, want_xsdt ? XSDT : RSDT);
            assert_int_equal(root.checksum_ok, (want_xsdt ? xsdt : rsdt) == GOOD);
        }
    }
}

static void lists_of_wrong_length(void **state)
{
    struct box *b = *state;
    static const struct {
        uint32_t length;
        dam_err want;
        uint32_t count;
    } cases[] = {{0, DAM_E_LENGTH, 0},
                 {35, DAM_E_LENGTH, 0},
                 {36, DAM_OK, 0},
                 {43, DAM_OK, 0},
                 {44, DAM_OK, 1},
                 {51, DAM_OK, 1},
                 {36 + 8 * 512, DAM_OK, 512},
                 {37 + 8 * 512, DAM_E_LENGTH, 0},
                 {0x80000000, DAM_E_LENGTH, 0},
                 {0xFFFFFFFF, DAM_E_LENGTH, 0}};
    b->rsdp.rsdt = dam_pa_of(0);
    fake_mem_add(&b->mem, XSDT, 0x4000);
    put_machine(b);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct acpi_root root;
        fake_mem_write_u32(&b->mem, XSDT + 4, cases[i].length);
        assert_int_equal(open_root(b, &root), cases[i].want);
        assert_int_equal(root.count, cases[i].count);
        assert_false(cases[i].want == DAM_OK && root.checksum_ok);
    }
}

static void longest_rsdt(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    b->rsdp.xsdt = dam_pa_of(0);
    uint32_t *entries = calloc(513, 4);
    put_rsdt(b, entries, 512);
    assert_int_equal(open_root(b, &root), DAM_OK);
    assert_int_equal(root.count, 512);
    put_rsdt(b, entries, 513);
    assert_int_equal(open_root(b, &root), DAM_E_LENGTH);
    free(entries);
}

static void list_that_names_itself(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    uint64_t entries[512];
    for (unsigned i = 0; i < 512; i++)
        entries[i] = XSDT;
    put_xsdt(b, entries, 512);
    assert_int_equal(open_root(b, &root), DAM_OK);
    b->mem.calls = 0;
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_E_ABSENT);
    assert_int_equal(b->mem.calls, 512);
    assert_int_equal(read_table(b, &root, "XSDT", 511, &table), DAM_OK);
    assert_int_equal(table.length, 36 + 512 * 8);
}

static void lists_out_of_reach(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    static const uint64_t beyond[] = {~0ull, ~0ull - 34, ~0ull - 35};
    b->rsdp.rsdt = dam_pa_of(0);
    for (size_t i = 0; i < 3; i++) {
        b->rsdp.xsdt = dam_pa_of(beyond[i]);
        assert_int_equal(open_root(b, &root), DAM_E_RANGE);
    }
    b->rsdp.xsdt = dam_pa_of(0x4000); // no memory there
    assert_int_equal(open_root(b, &root), DAM_E_RANGE);
    b->rsdp.xsdt = dam_pa_of(0); // an RSDP that names nothing never comes here, but must not be believed
    assert_int_equal(open_root(b, &root), DAM_E_ABSENT);
    // A table whose length takes it over the end of the address space.
    put_table(b, 0xFFFFFFFFFFFFF000, "XSDT", "", 0);
    fake_mem_write_u32(&b->mem, 0xFFFFFFFFFFFFF004, 0x1000);
    b->rsdp.xsdt = dam_pa_of(0xFFFFFFFFFFFFF000);
    assert_int_equal(open_root(b, &root), DAM_E_RANGE);
}

static void tables_of_wrong_length(void **state)
{
    struct box *b = *state;
    static const struct {
        uint32_t length;
        dam_err want;
    } cases[] = {
        {0, DAM_E_LENGTH},  {8, DAM_E_LENGTH},        {35, DAM_E_LENGTH},         {36, DAM_OK},
        {0x100000, DAM_OK}, {0x100001, DAM_E_LENGTH}, {0x7FFFFFFF, DAM_E_LENGTH}, {0xFFFFFFFF, DAM_E_LENGTH}};
    struct acpi_root root;
    struct acpi_table table;
    put_machine(b);
    fake_mem_add(&b->mem, DMAR, 0x110000);
    assert_int_equal(open_root(b, &root), DAM_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_mem_write_u32(&b->mem, DMAR + 4, cases[i].length);
        assert_int_equal(read_table(b, &root, "DMAR", 0, &table), cases[i].want);
        assert_int_equal(table.pa.v, DMAR);
        assert_int_equal(table.length, cases[i].length);
        assert_int_equal(table.bytes == NULL, cases[i].want != DAM_OK);
        assert_false(table.checksum_ok);
    }
}

static void table_cut_by_the_end_of_memory(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    for (uint64_t there = 1; there < 45; there++) {
        const uint64_t pa = 0x5000 - there;
        put_xsdt(b, &pa, 1);
        put_table(b, pa, "DMAR", "dmar body", 9);
        fake_mem_remove(&b->mem, 0x5000);
        assert_int_equal(open_root(b, &root), DAM_OK);
        // Nothing but the reading of the header fails below 36 bytes: which table it was cannot be known.
        assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_E_RANGE);
        assert_int_equal(table.pa.v, there < 36 ? 0 : pa);
        assert_null(table.bytes);
    }
}

static void wrong_checksum_is_told(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    put_machine(b);
    fake_mem_write_u8(&b->mem, DMAR + 40, 0xEE);
    assert_int_equal(open_root(b, &root), DAM_OK);
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_OK);
    assert_false(table.checksum_ok);
    assert_int_equal(table.bytes[40], 0xEE);
}

static void unreadable_neighbours(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    put_machine(b);
    put_xsdt(b, (const uint64_t[]){0x1000, ~0ull, DMAR}, 3);
    assert_int_equal(open_root(b, &root), DAM_OK);
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_OK);      // not stopped by them
    assert_int_equal(read_table(b, &root, "MCFG", 0, &table), DAM_E_RANGE); // it may have been one of them
}

static void change_memory(void *ctx, uint64_t pa, size_t len)
{
    struct box *b = ctx;
    (void)pa;
    (void)len;
    if (++b->reads == b->change_at)
        fake_mem_write_u8(&b->mem, b->change_pa, b->change_to);
}

// A header that changes between its two reads is refused; what changes later is not seen.
static void memory_that_changes(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    put_machine(b);
    b->rsdp.rsdt = dam_pa_of(0);
    b->mem.before_read = change_memory;
    b->change_at = 2; // 1: header of the XSDT, 2: all of it
    b->change_pa = XSDT + 4;
    b->change_to = 0xFF;
    assert_int_equal(open_root(b, &root), DAM_E_BROKEN);
    put_machine(b);
    assert_int_equal(open_root(b, &root), DAM_OK);
    b->reads = 0;
    b->change_at = 4; // 1–3: headers of FACP, MCFG, DMAR; 4: all of DMAR
    b->change_pa = DMAR;
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_E_BROKEN);
    assert_null(table.bytes);
    put_machine(b);
    b->reads = 0;
    b->change_pa = DMAR + 44; // the body: the checksum tells
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_OK);
    assert_false(table.checksum_ok);
    // The list itself was copied: changing it in memory changes nothing.
    put_machine(b);
    fake_mem_remove(&b->mem, XSDT);
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_OK);
    assert_true(table.checksum_ok);
}

static void small_arena(void **state)
{
    struct box *b = *state;
    struct acpi_root root;
    struct acpi_table table;
    static const uint8_t body[5000];
    put_machine(b);
    put_table(b, 0x2000, "LONG", body, sizeof(body));
    put_xsdt(b, (const uint64_t[]){0x2000, DMAR}, 2);
    dam_arena_init(&b->arena, b->pool, dam_pa_of(0x10000000), 4096);
    assert_int_equal(open_root(b, &root), DAM_OK);
    assert_int_equal(read_table(b, &root, "LONG", 0, &table), DAM_E_NOMEM);
    assert_int_equal(table.length, 5036);
    assert_int_equal(read_table(b, &root, "DMAR", 0, &table), DAM_OK);
    dam_arena_init(&b->arena, b->pool, dam_pa_of(0x10000000), 0);
    assert_int_equal(open_root(b, &root), DAM_E_NOMEM);
    assert_int_equal(root.count, 0);
}

// The Nth access fails: always an error or the other list, and never an unchecked table.
static void every_access_fails_once(void **state)
{
    struct box *b = *state;
    unsigned failures = 0;
    put_machine(b);
    for (uint64_t n = 1; n <= 10; n++) {
        struct acpi_root root;
        struct acpi_table table;
        dam_arena_init(&b->arena, b->pool, dam_pa_of(0x10000000), 65536);
        b->mem.calls = 0;
        b->mem.fail_at = n;
        dam_err err = open_root(b, &root);
        assert_int_equal(err, DAM_OK); // the RSDT stands in for the XSDT
        assert_int_equal(root.is_xsdt, n > 2);
        err = read_table(b, &root, "DMAR", 0, &table);
        failures += err != DAM_OK;
        if (err == DAM_OK)
            assert_memory_equal(table.bytes + 36, "dmar body", 9);
        else
            assert_int_equal(err, DAM_E_IO);
    }
    assert_int_equal(failures, 2); // the DMAR's header and its body
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(xsdt_is_preferred),
        T(rsdt_when_there_is_no_xsdt),
        T(tables_are_copied),
        T(nth_of_a_signature),
        T(choice_of_the_list),
        T(lists_of_wrong_length),
        T(longest_rsdt),
        T(list_that_names_itself),
        T(lists_out_of_reach),
        T(tables_of_wrong_length),
        T(table_cut_by_the_end_of_memory),
        T(wrong_checksum_is_told),
        T(unreadable_neighbours),
        T(memory_that_changes),
        T(small_arena),
        T(every_access_fails_once),
    };
    return cmocka_run_group_tests_name("acpi_tables", tests, NULL, NULL);
}

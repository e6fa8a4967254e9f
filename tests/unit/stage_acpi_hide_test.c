// SPDX-License-Identifier: MIT
// The ACPI root without IOMMUs: what it leads to, from both kinds of list, and what makes it impossible.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acpi/tables.h"
#include "lib/fake_mem.h"
#include "pure/acpi_hide.h"

#define RSDP      0x9F000ull
#define RSDT      0x7FFE0000ull
#define XSDT      0x7FFE1000ull
#define TABLES    0x7FFE2000ull // 64 bytes each
#define POOL      0x240000000ull
#define POOL_SIZE 0x10000u

struct box {
    struct fake_mem mem;
    struct dam_arena pool;
    _Alignas(4096) uint8_t pages[POOL_SIZE];
};

static uint8_t sum(const uint8_t *bytes, size_t size)
{
    unsigned s = 0;
    for (size_t i = 0; i < size; i++)
        s += bytes[i];
    return (uint8_t)s;
}

static void put_table(struct box *b, uint64_t pa, const char *signature, const void *body, uint32_t size)
{
    uint8_t bytes[36 + 8 * 520] = {0};
    uint32_t length = 36 + size;
    memcpy(bytes, signature, 4);
    memcpy(bytes + 4, &length, 4);
    bytes[8] = 1;
    memcpy(bytes + 10, "COFFERBOX", 9);
    memcpy(bytes + 36, body, size);
    bytes[9] = (uint8_t)(0 - sum(bytes, length));
    fake_mem_write(&b->mem, pa, bytes, length);
}

static void put_rsdp_at(struct box *b, uint64_t pa, uint8_t revision, uint32_t rsdt, uint64_t xsdt)
{
    uint8_t bytes[36] = "RSD PTR ";
    memcpy(bytes + 9, "OEMOEM", 6);
    bytes[15] = revision;
    memcpy(bytes + 16, &rsdt, 4);
    bytes[20] = 36;
    memcpy(bytes + 24, &xsdt, 8);
    bytes[8] = (uint8_t)(0 - sum(bytes, 20));
    bytes[32] = (uint8_t)(0 - sum(bytes, 36));
    fake_mem_write(&b->mem, pa, bytes, revision ? 36 : 20);
}

static void put_rsdp(struct box *b, uint8_t revision, uint32_t rsdt, uint64_t xsdt)
{
    put_rsdp_at(b, RSDP, revision, rsdt, xsdt);
}

static uint64_t table(unsigned n)
{
    return TABLES + 64 * n;
}

// Tables of these signatures ("-": a list entry of 0), and lists of both kinds that name them in this order.
static void put_machine(struct box *b, const char *const *signatures, unsigned count)
{
    uint64_t wide[16];
    uint32_t narrow[16];
    for (unsigned i = 0; i < count; i++) {
        bool none = signatures[i][0] == '-';
        wide[i] = none ? 0 : table(i);
        narrow[i] = (uint32_t)wide[i];
        if (!none)
            put_table(b, table(i), signatures[i], "", 0);
    }
    put_table(b, XSDT, "XSDT", wide, count * 8);
    put_table(b, RSDT, "RSDT", narrow, count * 4);
    put_rsdp(b, 2, RSDT, XSDT);
}

static int setup(void **state)
{
    struct box *b = aligned_alloc(4096, sizeof(*b));
    memset(b, 0, sizeof(*b));
    fake_mem_init(&b->mem);
    dam_arena_init(&b->pool, b->pages, dam_pa_of(POOL), POOL_SIZE);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;
    fake_mem_free(&b->mem);
    free(b);
    return 0;
}

static dam_err hide_from(struct box *b, const dam_pa *candidates, size_t count, struct acpi_hidden *out)
{
    struct iommu_kind kinds[IOMMU_KINDS];
    unsigned kind_count = iommu_kinds(kinds);
    return acpi_hide_iommus(&b->mem.ops, &b->pool, candidates, count, kinds, kind_count, out);
}

static dam_err hide(struct box *b, struct acpi_hidden *out)
{
    const dam_pa candidates[] = {{0}, {RSDP}};
    return hide_from(b, candidates, 2, out);
}

// What the new root pointer leads to, read as Linux reads it: by address, checksums checked.
static uint32_t read_back(struct box *b, const struct acpi_hidden *h, uint64_t *tables, uint32_t max)
{
    const uint8_t *rsdp = dam_arena_ptr(&b->pool, h->rsdp);
    assert_non_null(rsdp);
    assert_int_equal(h->rsdp.v % 16, 0);
    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_memory_equal(rsdp + 9, "OEMOEM", 6);
    assert_int_equal(rsdp[15], 2);
    assert_int_equal(rsdp[20], 36);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    uint64_t pa;
    uint32_t length;
    memcpy(&pa, rsdp + 24, 8);
    const uint8_t *xsdt = dam_arena_ptr(&b->pool, dam_pa_of(pa));
    assert_non_null(xsdt);
    assert_memory_equal(xsdt, "XSDT", 4);
    assert_memory_equal(xsdt + 10, "COFFERBOX", 9);
    memcpy(&length, xsdt + 4, 4);
    assert_int_equal(xsdt[8], 1);
    assert_int_equal(sum(xsdt, length), 0);
    assert_int_equal((length - 36) % 8, 0);
    uint32_t count = (length - 36) / 8;
    assert_true(count <= max);
    memcpy(tables, xsdt + 36, (size_t)count * 8);
    assert_int_equal(h->kept, count);
    return count;
}

static void all_but_the_iommus(void **state)
{
    struct box *b = *state;
    static const char *const names[] = {"FACP", "DMAR", "APIC", "-", "IVRS", "SSDT", "DMAR"};
    uint64_t found[16];
    struct acpi_hidden h;
    put_machine(b, names, 7);
    assert_int_equal(hide(b, &h), DAM_OK);
    assert_int_equal(h.dropped, 3);
    assert_int_equal(h.kinds, 3);
    assert_int_equal(read_back(b, &h, found, 16), 3);
    assert_int_equal(found[0], table(0));
    assert_int_equal(found[1], table(2));
    assert_int_equal(found[2], table(5));
    const uint8_t *rsdp = dam_arena_ptr(&b->pool, h.rsdp);
    uint32_t rsdt;
    memcpy(&rsdt, rsdp + 16, 4);
    assert_int_equal(rsdt, RSDT);
}

static void from_an_rsdt_alone(void **state)
{
    struct box *b = *state;
    static const char *const names[] = {"FACP", "DMAR", "APIC"};
    uint64_t found[16];
    struct acpi_hidden h;
    put_machine(b, names, 3);
    put_rsdp(b, 0, RSDT, 0);
    assert_int_equal(hide(b, &h), DAM_OK);
    assert_int_equal(h.dropped, 1);
    assert_int_equal(read_back(b, &h, found, 16), 2);
    assert_int_equal(found[0], table(0));
    assert_int_equal(found[1], table(2));
}

static void of_which_maker(void **state)
{
    struct box *b = *state;
    static const char *const names[][2] = {{"DMAR", "FACP"}, {"FACP", "IVRS"}};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t found[16];
        struct acpi_hidden h;
        put_machine(b, names[i], 2);
        assert_int_equal(hide(b, &h), DAM_OK);
        assert_int_equal(h.dropped, 1);
        assert_int_equal(h.kinds, 1u << i); // in the order of iommu_kinds()
        assert_int_equal(read_back(b, &h, found, 16), 1);
        assert_int_equal(found[0], table(1 - i));
    }
}

// A candidate that is no root pointer is passed over; the BIOS areas are searched.
static void found_by_search(void **state)
{
    struct box *b = *state;
    static const char *const names[] = {"DMAR"};
    uint64_t found[1];
    struct acpi_hidden h;
    put_machine(b, names, 1);
    const dam_pa wrong = {XSDT};
    fake_mem_add(&b->mem, 0xE0000, 0x20000);
    put_rsdp_at(b, 0xF59B0, 2, RSDT, XSDT);
    assert_int_equal(hide_from(b, &wrong, 1, &h), DAM_OK);
    assert_int_equal(read_back(b, &h, found, 1), 0);
}

static void nothing_to_hide(void **state)
{
    struct box *b = *state;
    static const char *const names[] = {"FACP", "APIC", "DMAX"};
    struct acpi_hidden h;
    assert_int_equal(hide(b, &h), DAM_E_ABSENT);
    put_machine(b, names, 3);
    assert_int_equal(hide(b, &h), DAM_E_ABSENT);
    assert_int_equal(h.rsdp.v, 0);
    assert_int_equal(h.kept, 0);
    put_table(b, XSDT, "XSDT", "", 0);
    assert_int_equal(hide(b, &h), DAM_E_ABSENT);
}

// A table that cannot be looked at may be the one to hide.
static void a_table_out_of_reach(void **state)
{
    struct box *b = *state;
    static const uint64_t bad[] = {0x123456789000, ~0ull, ~0ull - 35, ~0ull - 36, 1};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        static const char *const names[] = {"DMAR"};
        struct acpi_hidden h;
        put_machine(b, names, 1);
        const uint64_t list[] = {table(0), bad[i]};
        put_table(b, XSDT, "XSDT", list, sizeof(list));
        assert_int_equal(hide(b, &h), DAM_E_RANGE);
        assert_int_equal(h.rsdp.v, 0);
        assert_int_equal(h.dropped, 0);
    }
}

// Lists that lead to themselves, to the root pointer and to each other are copied as they are: nothing here
// follows them.
static void lists_in_loops(void **state)
{
    struct box *b = *state;
    const uint64_t list[] = {XSDT, RSDT, RSDP, table(0), XSDT};
    uint64_t found[8];
    struct acpi_hidden h;
    static const char *const names[] = {"DMAR"};
    put_machine(b, names, 1);
    put_table(b, XSDT, "XSDT", list, sizeof(list));
    assert_int_equal(hide(b, &h), DAM_OK);
    assert_int_equal(read_back(b, &h, found, 8), 4);
    assert_int_equal(found[3], XSDT);
}

static void lengths_and_checksums(void **state)
{
    struct box *b = *state;
    static const char *const names[] = {"DMAR", "FACP"};
    uint64_t found[8];
    struct acpi_hidden h;
    static const uint32_t wrong[] = {0, 4, 35, 36 + 8 * 513, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        put_machine(b, names, 2);
        fake_mem_write_u32(&b->mem, XSDT + 4, wrong[i]);
        // The RSDT is there to fall back to.
        assert_int_equal(hide(b, &h), DAM_OK);
        assert_int_equal(read_back(b, &h, found, 8), 1);
        fake_mem_write_u32(&b->mem, RSDT, 0);
        assert_int_equal(hide(b, &h), DAM_E_LENGTH);
    }
    put_machine(b, names, 2);
    fake_mem_write_u8(&b->mem, XSDT + 9, 0x55);
    fake_mem_write_u8(&b->mem, RSDT + 9, 0x55);
    assert_int_equal(hide(b, &h), DAM_OK); // as Linux does; ours has a right one
    assert_int_equal(read_back(b, &h, found, 8), 1);
    // A length that is no multiple of an entry: the rest is no entry.
    put_machine(b, names, 2);
    const uint64_t list[] = {table(0), table(1)};
    put_table(b, XSDT, "XSDT", list, 15);
    assert_int_equal(hide(b, &h), DAM_OK);
    assert_int_equal(read_back(b, &h, found, 8), 0);
    fake_mem_write_u8(&b->mem, RSDP + 8, 0);
    assert_int_equal(hide(b, &h), DAM_E_ABSENT);
}

static void no_room(void **state)
{
    struct box *b = *state;
    static const char *const names[] = {"DMAR", "FACP"};
    struct acpi_hidden h;
    unsigned refused = 0;
    put_machine(b, names, 2);
    for (size_t room = 0;; room += 16) {
        dam_arena_init(&b->pool, b->pages, dam_pa_of(POOL), POOL_SIZE);
        b->pool.high = POOL_SIZE - room;
        dam_err err = hide(b, &h);
        if (!err)
            break;
        assert_int_equal(err, DAM_E_NOMEM);
        assert_int_equal(h.rsdp.v, 0);
        refused++;
    }
    assert_int_equal(refused, 11); // a copy of the list, the new one, the root pointer: 64 + 64 + 48 bytes
}

static void every_failing_read(void **state)
{
    struct box *b = *state;
    static const char *const names[] = {"DMAR", "FACP"};
    struct acpi_hidden h;
    put_machine(b, names, 2);
    put_table(b, RSDT, "XXXX", "", 0);
    assert_int_equal(hide(b, &h), DAM_OK);
    uint64_t calls = b->mem.calls;
    for (uint64_t n = 1; n <= calls; n++) {
        b->mem.calls = 0;
        b->mem.fail_at = n;
        dam_arena_init(&b->pool, b->pages, dam_pa_of(POOL), POOL_SIZE);
        assert_int_not_equal(hide(b, &h), DAM_OK);
        assert_int_equal(h.rsdp.v, 0);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_but_the_iommus), TEST(of_which_maker),  TEST(from_an_rsdt_alone),
        TEST(found_by_search),    TEST(nothing_to_hide), TEST(a_table_out_of_reach),
        TEST(lists_in_loops),     TEST(no_room),         TEST(lengths_and_checksums),
        TEST(every_failing_read),
    };
    return cmocka_run_group_tests_name("stage ACPI without IOMMUs", tests, NULL, NULL);
}

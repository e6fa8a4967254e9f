// SPDX-License-Identifier: MIT
// The stage's own page tables, read back by a walk written apart from the builder (Intel SDM volume 3, 4.5).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pure/paging.h"

#define POOL_PAGES 64u

struct box {
    struct paging paging;
    uint8_t *pages, *pool_bytes;
    struct dam_arena pool;
};

static void open_box(struct box *b, unsigned levels, bool giant, unsigned width)
{
    b->pages = aligned_alloc(4096, PAGING_OWN_PAGES * 4096);
    b->pool_bytes = aligned_alloc(4096, POOL_PAGES * 4096);
    memset(b->pages, 0, PAGING_OWN_PAGES * 4096);
    memset(b->pool_bytes, 0, POOL_PAGES * 4096);
    dam_arena_init(&b->pool, b->pool_bytes, dam_pa_of((uint64_t)b->pool_bytes), POOL_PAGES * 4096);
    assert_int_equal(paging_init(&b->paging, levels, giant, width, b->pages, &b->pool), DAM_OK);
}

static void close_box(struct box *b)
{
    free(b->pages);
    free(b->pool_bytes);
}

struct mapping {
    bool present, writable, uncached;
    uint64_t pa, page;
};

static struct mapping walk(const struct box *b, uint64_t va)
{
    struct mapping m = {.writable = true};
    const uint64_t *table = b->paging.root;
    for (unsigned shift = b->paging.levels == 5 ? 48 : 39;; shift -= 9) {
        uint64_t entry = table[va >> shift & 0x1FF];
        if (!(entry & 1))
            return (struct mapping){0};
        m.writable = m.writable && (entry & 2);
        if (shift == 12 || (entry & 0x80)) {
            m.page = 1ull << shift;
            m.present = true;
            m.uncached = (entry & 0x18) == 0x18;
            m.pa = (entry & 0xFFFFFFFFFF000ull & ~(m.page - 1)) + (va & (m.page - 1));
            return m;
        }
        table = (const uint64_t *)(entry & 0xFFFFFFFFFF000ull);
    }
}

static void assert_mapped(const struct box *b, uint64_t va, uint64_t page, bool writable, bool uncached)
{
    struct mapping m = walk(b, va);
    assert_true(m.present);
    assert_int_equal(m.pa, va);
    assert_int_equal(m.page, page);
    assert_int_equal(m.writable, writable);
    assert_int_equal(m.uncached, uncached);
}

static void largest_pages(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool giant = i & 1;
        unsigned levels = i & 2 ? 5 : 4;
        struct box b;
        open_box(&b, levels, giant, 46);
        assert_int_equal(paging_map(&b.paging, 0x3FFFF123, 0x100200001, PAGING_READ), DAM_OK);
        assert_false(walk(&b, 0x3FFFEFFF).present);
        assert_mapped(&b, 0x3FFFF000, 0x1000, false, false);
        assert_mapped(&b, 0x40000000, giant ? 0x40000000 : 0x200000, false, false);
        assert_mapped(&b, 0xFFFFFFFF, giant ? 0x40000000 : 0x200000, false, false);
        assert_mapped(&b, 0x100000000, 0x200000, false, false);
        assert_mapped(&b, 0x100200FFF, 0x1000, false, false);
        assert_false(walk(&b, 0x100201000).present);
        // root, one level more with LA57, PDPT; page directory and table of each end; directories without
        // 1-GiB pages
        assert_int_equal(b.paging.pages_used, 2 + (levels == 5) + 4 + (giant ? 0 : 3));
        close_box(&b);
    }
}

static void first_mapping_stays(void **state)
{
    (void)state;
    struct box b;
    open_box(&b, 4, true, 40);
    assert_int_equal(paging_map(&b.paging, 0x40200000, 0x40201000, PAGING_HOLE), DAM_OK);
    assert_int_equal(paging_map(&b.paging, 0x40204000, 0x40208000, PAGING_WRITE), DAM_OK);
    assert_int_equal(paging_map(&b.paging, 0xB8000, 0xC0000, PAGING_DEVICE), DAM_OK);
    assert_int_equal(paging_map(&b.paging, 0, 0x80000000, PAGING_READ), DAM_OK);
    assert_false(walk(&b, 0x40200000).present);
    assert_mapped(&b, 0x40201000, 0x1000, false, false);
    assert_mapped(&b, 0x40204000, 0x1000, true, false);
    assert_mapped(&b, 0x40208000, 0x1000, false, false);
    assert_mapped(&b, 0x40400000, 0x200000, false, false);
    assert_mapped(&b, 0xB8000, 0x1000, true, true);
    assert_mapped(&b, 0xB7FFF, 0x1000, false, false);
    assert_mapped(&b, 0x200000, 0x200000, false, false);
    assert_int_equal(paging_map(&b.paging, 0x40400000, 0x40600000, PAGING_WRITE), DAM_OK);
    assert_mapped(&b, 0x40400000, 0x200000, false, false);
    close_box(&b);
}

static void devices(void **state)
{
    (void)state;
    struct box b;
    open_box(&b, 5, true, 46);
    assert_int_equal(paging_map(&b.paging, 0x7FE00000, 0x7FFDA000, PAGING_READ), DAM_OK);
    assert_int_equal(paging_map_device(&b.paging, 0xFED90020), DAM_OK);
    assert_mapped(&b, 0xFEC00000, 0x200000, true, true);
    assert_mapped(&b, 0xFED90020, 0x200000, true, true);
    assert_false(walk(&b, 0xFEE00000).present);
    uint32_t used = b.paging.pages_used;
    assert_int_equal(paging_map_device(&b.paging, 0xFED91000), DAM_OK);
    assert_int_equal(b.paging.pages_used, used);
    assert_int_equal(b.paging.device_maps, 1);
    // Beside memory: one page, and no more.
    assert_int_equal(paging_map_device(&b.paging, 0x7FFDB010), DAM_OK);
    assert_mapped(&b, 0x7FFDB000, 0x1000, true, true);
    assert_false(walk(&b, 0x7FFDA000).present);
    assert_false(walk(&b, 0x7FFDC000).present);
    assert_int_equal(paging_map_device(&b.paging, 1ull << 46), DAM_E_RANGE);
    close_box(&b);
}

static void too_many_devices(void **state)
{
    (void)state;
    struct box b;
    open_box(&b, 4, true, 46);
    dam_err err = DAM_OK;
    unsigned n = 0;
    for (; !err; n++)
        err = paging_map_device(&b.paging, n * 0x200000ull);
    assert_int_equal(err, DAM_E_BUDGET);
    assert_int_equal(n, 1025);
    close_box(&b);
}

static void limits(void **state)
{
    (void)state;
    struct box b;
    open_box(&b, 4, true, 52);
    assert_int_equal(b.paging.limit, 1ull << 47); // identity: the lower half of 48 bits
    assert_int_equal(paging_map(&b.paging, (1ull << 47) - 0x1000, 1ull << 47, PAGING_READ), DAM_OK);
    assert_mapped(&b, (1ull << 47) - 1, 0x1000, false, false);
    assert_int_equal(paging_map(&b.paging, 0, (1ull << 47) + 1, PAGING_READ), DAM_E_RANGE);
    assert_int_equal(paging_map(&b.paging, 0x1000, 0x1000, PAGING_READ), DAM_OK);
    assert_int_equal(paging_map(&b.paging, 0x1000, ~0ull, PAGING_READ), DAM_E_RANGE);
    close_box(&b);
    open_box(&b, 5, true, 52);
    assert_int_equal(b.paging.limit, 1ull << 52);
    assert_int_equal(paging_map(&b.paging, (1ull << 52) - 0x1000, 1ull << 52, PAGING_READ), DAM_OK);
    assert_mapped(&b, (1ull << 52) - 1, 0x1000, false, false);
    close_box(&b);
}

static void pool_and_its_end(void **state)
{
    (void)state;
    struct box b;
    open_box(&b, 4, false, 46);
    // 160 GiB of 2-MiB pages: 160 directories, 96 pages of our own and 64 of the pool, root and PDPT
    // included.
    assert_int_equal(paging_map(&b.paging, 0, 158ull << 30, PAGING_READ), DAM_OK);
    assert_int_equal(b.paging.pages_used, PAGING_OWN_PAGES);
    assert_int_equal(dam_arena_used(&b.pool), POOL_PAGES * 4096);
    assert_mapped(&b, (158ull << 30) - 1, 0x200000, false, false);
    assert_int_equal(paging_map(&b.paging, 158ull << 30, 159ull << 30, PAGING_READ), DAM_E_NOMEM);
    assert_int_equal(paging_map_device(&b.paging, 200ull << 30), DAM_E_NOMEM);
    close_box(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_pages), cmocka_unit_test(first_mapping_stays),
        cmocka_unit_test(devices),       cmocka_unit_test(too_many_devices),
        cmocka_unit_test(limits),        cmocka_unit_test(pool_and_its_end),
    };
    return cmocka_run_group_tests_name("stage page tables", tests, NULL, NULL);
}

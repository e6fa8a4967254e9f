// SPDX-License-Identifier: MIT
#include "lib/edu_box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void gcmd(uint32_t bit)
{
    uint32_t value = ((uint32_t)qtest_read(&b.q, QTEST_VTD + 0x1C, 4) & 0x96FFFFFFu) | bit;
    qtest_write(&b.q, QTEST_VTD + 0x18, 4, value);
}

static void map(struct old_kernel *k, uint64_t tree, uint64_t iova, uint64_t pa, unsigned perms)
{
    unsigned first = OLD_FS_P | OLD_FS_U | OLD_FS_A | OLD_FS_D | (perms & OLD_W ? OLD_FS_W : 0);
    if (b.mode->stage == 1)
        old_kernel_map_first(k, tree, b.mode->levels, 0, iova, pa, first);
    else
        old_kernel_map(k, tree, b.mode->levels, 0, iova, pa, perms);
}

static void attach(struct old_kernel *k, unsigned rid, unsigned did, uint64_t tree)
{
    if (!b.mode->stage) {
        old_kernel_attach(k, rid, tree ? 0 : 2, b.mode->levels, did, tree);
        return;
    }
    if (!(*old_kernel_function(k, rid) & 1))
        old_kernel_directory(k, rid, 0, 0);
    // In pass-through the width is a second stage's.
    old_kernel_bind(k, rid, 0, tree ? b.mode->stage : 4, b.mode->levels, did, tree);
}

static void forget(struct old_kernel *k, unsigned rid)
{
    if (b.mode->stage)
        *old_kernel_function(k, rid) = 0;
    else
        *old_kernel_context(k, rid) = 0;
}

static void firmware(void)
{
    firmware_begin(&b.firmware, b.q.ram + FIRMWARE, FIRMWARE, 4096, 39, 1);
    firmware_drhd(&b.firmware, 1, 0, QTEST_VTD);
    if (b.with_rmrr) {
        firmware_rmrr(&b.firmware, 0, RMRR, RMRR + 0xFFF);
        firmware_scope(&b.firmware, 1, 0, (uint8_t)(edu_rid(2) >> 3), 0);
    }
}

static uint64_t tables(void)
{
    return qtest_read(&b.q, QTEST_VTD + 0x20, 8);
}

static uint64_t pointer(const struct old_kernel *k)
{
    return k->root | (b.mode->stage ? 1u << 10 : 0);
}

static void use(uint64_t root)
{
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, root);
    gcmd(1u << 30);
}

// Root table, queued invalidation, translation, an empty queue whose last descriptor was a wait.
static void start(void)
{
    use(pointer(&b.k));
    qtest_write(&b.q, QTEST_VTD + 0x88, 8, 0);
    unsigned wide = b.mode->stage != 0, step = wide ? 32 : 16;
    qtest_write(&b.q, QTEST_VTD + 0x90, 8, QUEUE | wide << 11);
    gcmd(1u << 26);
    gcmd(1u << 31);
    const uint64_t descriptors[2][2] = {{2 | 1 << 4, 0}, {5 | 1 << 5 | 1ull << 32, QUEUE + 0x1000}};
    for (unsigned i = 0; i < 2; i++)
        memcpy(b.q.ram + QUEUE + i * step, descriptors[i], sizeof(descriptors[i]));
    qtest_write(&b.q, QTEST_VTD + 0x88, 8, 2 * step);
    assert_int_equal(qtest_read(&b.q, QTEST_VTD + 0x80, 8), 2 * step);
    b.q.translating = true;
}

static void check(void)
{
    assert_int_equal(qtest_read(&b.q, QTEST_VTD + 0x1C, 4) >> 31, 1);
    assert_in_range(tables(), POOL, POOL + POOL_SIZE - 1);
}

static bool no_fault(void)
{
    // Primary fault pending or overflow; the record's F bit (at 220h + 12).
    return !(qtest_read(&b.q, QTEST_VTD + 0x34, 4) & 3) && !(qtest_read(&b.q, QTEST_VTD + 0x22C, 4) >> 31);
}

static bool remaps(void)
{
    return qtest_read(&b.q, QTEST_VTD + 0x1C, 4) >> 25 & 1;
}

void box_vtd(struct box_unit *out)
{
    *out = (struct box_unit){old_kernel_begin, map,     attach, forget, firmware, start,
                             tables,           pointer, use,    check,  no_fault, remaps};
}

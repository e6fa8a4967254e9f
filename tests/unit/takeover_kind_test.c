// SPDX-License-Identifier: MIT
// What a kind of IOMMU may answer and VT-d does not, put into VT-d's mouth: the linker leads the engine's
// call of iommu_kinds() here (Makefile). Leaves without W for a unit that goes by them alone; one domain id
// for all PASIDs of a function.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "iommu/iommu.h"
#include "lib/machine.h"

#define NIC    0x0018u
#define DISK   0x0120u
#define RW     0x7FFF0000ull
#define RO     0x7FFF1000ull
#define INTO   0x7FFF2000ull   // into the crash region
#define STRAY  0x8000000000ull // entries that lead to no table
#define LARGE  0x7FC00000ull
#define RW_PA  0x00310000ull
#define RO_PA  0x00311000ull
#define BIG    0x00400000ull
#define LEVELS 4u

static struct machine m;
static struct iommu_kind added; // what is not 0 is answered

unsigned __real_iommu_kinds(struct iommu_kind out[IOMMU_KINDS]);
unsigned __wrap_iommu_kinds(struct iommu_kind out[IOMMU_KINDS]);
unsigned __wrap_iommu_kinds(struct iommu_kind out[IOMMU_KINDS])
{
    unsigned count = __real_iommu_kinds(out);
    out[0].leaf_rights_count = added.leaf_rights_count;
    out[0].by_function = added.by_function;
    return count;
}

static bool yes(const struct iommu_unit *unit)
{
    (void)unit;
    return true;
}

static int setup(void **state)
{
    (void)state;
    machine_setup(&m, 1);
    added = (struct iommu_kind){.leaf_rights_count = yes};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

// ---- leaves ----------------------------------------------------------------------------------------------
static void attach_both(void)
{
    struct old_kernel *k = &m.k[0];
    uint64_t tree = old_kernel_page(k);
    old_kernel_map(k, tree, LEVELS, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_map(k, tree, LEVELS, 0, RO, RO_PA, OLD_R);
    old_kernel_map(k, tree, LEVELS, 1, LARGE, BIG, OLD_R | OLD_W);
    old_kernel_attach(k, NIC, 0, LEVELS, 5, tree);
    old_kernel_attach(k, DISK, 0, LEVELS, 5, tree);
}

static uint64_t word(uint64_t pa)
{
    if (pa >= M_POOL_START && pa < M_POOL_START + M_POOL_SIZE)
        return *(const uint64_t *)(m.pool_memory + (pa - M_POOL_START));
    assert_true(pa >= M_OLD_START && pa < M_OLD_END);
    return *(const uint64_t *)(m.old + (pa - M_OLD_START));
}

// The rights of the leaf for iova under a requester's new tables; *above: of all entries that lead there.
static unsigned leaf_rights(unsigned rid, uint64_t iova, unsigned *above)
{
    uint64_t at = machine_requester(&m, 0, rid)->new_root;
    *above = OLD_R | OLD_W;
    for (unsigned level = LEVELS - 1;; level--) {
        uint64_t entry = word(at + (iova >> (12 + 9 * level) & 511) * 8);
        if (level == 0 || entry >> 7 & 1 || !(entry & 3))
            return entry & 3;
        *above &= (unsigned)entry;
        at = entry & 0x0000FFFFFFFFF000ull;
    }
}

static void expect_rights(unsigned rid, uint64_t iova, unsigned leaf, unsigned path)
{
    unsigned above, got = leaf_rights(rid, iova, &above);
    assert_int_equal(got, leaf);
    assert_int_equal(above, path);
}

static void take_over(enum dam_policy policy)
{
    m.config.policy = policy;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_true(machine_old_memory_untouched(&m));
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_VERIFY_TREE), 0);
}

static void leads(unsigned rid, uint64_t iova, bool write, uint64_t pa)
{
    struct fake_dma_result r = fake_dma(m.fake, 0, rid, iova, write);
    assert_true(r.ok);
    assert_int_equal(r.pa, pa);
}

static void refused(unsigned rid, uint64_t iova, bool write)
{
    assert_false(fake_dma(m.fake, 0, rid, iova, write).ok);
}

static void leaves_are_frozen(void **state)
{
    (void)state;
    attach_both();
    take_over(DAM_POLICY_FREEZE);
    expect_rights(NIC, RW, OLD_R, OLD_R | OLD_W);
    expect_rights(NIC, RO, OLD_R, OLD_R | OLD_W);
    expect_rights(NIC, LARGE, OLD_R, OLD_R | OLD_W);
    leads(NIC, RW, false, RW_PA);
    leads(NIC, LARGE + 5, false, BIG + 5);
    refused(NIC, RW, true);
    refused(NIC, LARGE, true);
    const struct dam_note_requester *r = machine_requester(&m, 0, NIC);
    assert_int_equal(r->new_writable, 0);
    assert_int_equal(r->new_readable, r->old_readable);
    assert_true(r->new_tables >= r->old_tables); // nothing is shared
    assert_int_equal(machine_findings(&m, DAM_F_FREEZE_SHALLOW), 0);
}

// What is cut out is cut out of the copy, and an entry that leads nowhere, or into the pool, is followed by
// nobody.
static void leaves_with_cuts(void **state)
{
    (void)state;
    attach_both();
    struct old_kernel *k = &m.k[0];
    uint64_t tree = *old_kernel_context(k, NIC) & ~0xFFFull;
    old_kernel_map(k, tree, LEVELS, 0, INTO, M_CRASH_START + 0x5000, OLD_R | OLD_W);
    old_kernel_map(k, tree, LEVELS, 0, STRAY, RW_PA, OLD_R | OLD_W);
    for (unsigned i = 0; i < 64; i++)
        old_kernel_entry(k, tree, LEVELS, 1, STRAY)[i] = (M_POOL_START + i % 8 * 4096) | OLD_R | OLD_W;
    take_over(DAM_POLICY_FREEZE);
    refused(NIC, INTO, false);
    refused(NIC, STRAY, false);
    refused(NIC + 1, RW, false); // silently: nobody took that bit for a W
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
    leads(NIC, RW, false, RW_PA);
    refused(NIC, RW, true);
    expect_rights(NIC, RW, OLD_R, OLD_R | OLD_W);
}

// One domain, of which one requester is preserved: two copies.
static void leaves_beside_preserve(void **state)
{
    (void)state;
    attach_both();
    m.config.choices[0] =
        (struct dam_choice){.requester = {0, DISK}, .pasid = DAM_ANY_PASID, .policy = DAM_POLICY_PRESERVE};
    m.config.choice_count = 1;
    take_over(DAM_POLICY_FREEZE);
    expect_rights(NIC, RW, OLD_R, OLD_R | OLD_W);
    expect_rights(DISK, RW, OLD_R | OLD_W, OLD_R | OLD_W);
    expect_rights(DISK, RO, OLD_R, OLD_R | OLD_W);
    refused(NIC, RW, true);
    leads(NIC, RW, false, RW_PA);
    leads(DISK, RW, true, RW_PA);
    assert_int_not_equal(machine_requester(&m, 0, NIC)->new_did, machine_requester(&m, 0, DISK)->new_did);
}

// The crash window lies over the copy for one, and not for the other.
static void leaves_and_windows(void **state)
{
    (void)state;
    struct dam_range storage[1];
    struct dam_ranges window;
    dam_ranges_init(&window, storage, 1);
    assert_int_equal(dam_ranges_add(&window, M_CRASH_START + 0x10000, M_CRASH_START + 0x20000), DAM_OK);
    attach_both();
    m.config.hide = true;
    m.config.crash_window = &window;
    m.config.windows[0] = (dam_requester){0, DISK};
    m.config.window_count = 1;
    take_over(DAM_POLICY_FREEZE);
    leads(DISK, M_CRASH_START + 0x10000, true, M_CRASH_START + 0x10000);
    refused(NIC, M_CRASH_START + 0x10000, false);
    refused(NIC, RW, true);
    refused(DISK, RW, true);
    leads(NIC, RW, false, RW_PA);
    leads(DISK, RW, false, RW_PA);
    expect_rights(NIC, RW, OLD_R, OLD_R | OLD_W);
    expect_rights(DISK, RW, OLD_R, OLD_R | OLD_W);
}

// Without room for a copy the entries above say it, and the note tells.
static void leaves_without_room(void **state)
{
    (void)state;
    attach_both();
    struct old_kernel *k = &m.k[0];
    uint64_t tree = *old_kernel_context(k, NIC) & ~0xFFFull;
    for (unsigned i = 0; i < 300; i++)
        old_kernel_map(k, tree, LEVELS, 0, (uint64_t)i << 21, RW_PA, OLD_R | OLD_W);
    m.pool.size = 512 * 1024;
    take_over(DAM_POLICY_FREEZE);
    assert_int_equal(machine_findings(&m, DAM_F_FREEZE_SHALLOW), 1);
    expect_rights(NIC, RW, OLD_R | OLD_W, OLD_R);
    leads(NIC, RW, false, RW_PA);
    refused(NIC, RW, true);
}

// ---- domain ids ------------------------------------------------------------------------------------------
static uint64_t first_stage(uint64_t pa)
{
    const unsigned use = OLD_FS_P | OLD_FS_U | OLD_FS_A | OLD_FS_D;
    uint64_t tree = old_kernel_page(&m.k[0]);
    old_kernel_map_first(&m.k[0], tree, 4, 0, RW, pa, use | OLD_FS_W);
    return tree;
}

// Both functions have a tree for requests without PASID, and others for PASIDs; all under one id.
static void functions_share_an_id(void)
{
    machine_scalable(&m, 0);
    const unsigned rids[] = {NIC, DISK};
    for (unsigned i = 0; i < 2; i++) {
        old_kernel_directory(&m.k[0], rids[i], 0, 1 << 3);
        for (unsigned pasid = 0; pasid < 3; pasid++)
            old_kernel_bind(&m.k[0], rids[i], pasid, DAM_STAGE_FIRST, 4, 7,
                            first_stage(RW_PA + (i * 3 + pasid) * 4096));
    }
}

static void one_id_for_a_function(void **state)
{
    (void)state;
    added = (struct iommu_kind){.by_function = true};
    functions_share_an_id();
    take_over(DAM_POLICY_FREEZE);
    const unsigned nic = machine_pasid(&m, 0, NIC, 0)->new_did, disk = machine_pasid(&m, 0, DISK, 0)->new_did;
    assert_int_equal(nic, 7);
    assert_int_not_equal(disk, 7);
    for (unsigned pasid = 1; pasid < 3; pasid++) {
        assert_int_equal(machine_pasid(&m, 0, NIC, pasid)->new_did, nic);
        assert_int_equal(machine_pasid(&m, 0, DISK, pasid)->new_did, disk);
        assert_true(machine_pasid(&m, 0, DISK, pasid)->flags & DAM_REQ_NEW_DID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(leaves_are_frozen, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_with_cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_beside_preserve, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_and_windows, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_without_room, setup, teardown),
        cmocka_unit_test_setup_teardown(one_id_for_a_function, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

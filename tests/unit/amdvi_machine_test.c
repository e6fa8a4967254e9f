// SPDX-License-Identifier: MIT
// AMD-Vi and what is around it: device TLBs, regions of the firmware, several units, a kernel that will see
// no IOMMU, a pool above 4 GiB.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/machine.h"

#define NIC      0x0018u
#define DISK     0x0019u
#define OPEN     0x0038u // V = 0
#define NOBODY   0x0040u // blocked
#define ALIAS    0x0100u
#define IOVA     0x7FFF0000ull
#define PA       0x00310000ull
#define DATA     0x00350000ull
#define REGION   0x60000000ull // of the firmware
#define ECAM     0x1000000000ull
#define NO_PASID NAIVE_AMD_NO_PASID

static struct machine m;
static struct fake_amd_unit *u;

static void attach(unsigned rid)
{
    struct old_kernel *k = &m.k[0];
    uint64_t tree = old_kernel_page(k);
    old_amd_map(k, tree, 3, 0, IOVA, PA, OLD_R | OLD_W);
    old_amd_attach(k, rid, 3, 5 + (rid & 0xFF), tree, OLD_R | OLD_W);
}

static void begin(unsigned units)
{
    machine_setup_amd(&m, units);
    u = &m.amd->unit[0];
    attach(NIC);
}

static void end(void)
{
    assert_string_equal(m.fake->violation, "");
    machine_teardown(&m);
}

static enum dam_stop take(void)
{
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    machine_report(&m);
    return stop;
}

static bool passes(unsigned unit, unsigned rid, uint64_t iova, bool write)
{
    return fake_amdvi_dma(m.amd, unit, rid, NO_PASID, iova, write).ok;
}

// ---- device TLBs ------------------------------------------------------------------------------------------
static struct fake_pci *device(unsigned rid, unsigned depth)
{
    struct fake_pci *f = fake_vtd_pci(m.fake, rid >> 8, rid >> 3 & 31, rid & 7, 0);
    fake_ats_device(f, depth);
    old_amd_entry(&m.k[0], rid)[1] |= OLD_AMD_I;
    return f;
}

static void devices_forget(void **state)
{
    (void)state;
    for (unsigned deaf = 0; deaf < 2; deaf++) {
        begin(1);
        attach(DISK);
        fake_vtd_pci(m.fake, 0, 0, 0, 0);
        fake_vtd_ecam(m.fake, ECAM, 0);
        firmware_ecam(&m.firmware, ECAM, 0);
        struct fake_pci *nic = device(NIC, 7), *disk = device(DISK, 0);
        nic->deaf = deaf;
        m.config.max_wait_us = 1000000;
        assert_true(machine_start(&m));
        assert_true(fake_amdvi_ats_dma(m.amd, 0, nic, NO_PASID, IOVA, true).ok);
        assert_true(fake_amdvi_ats_dma(m.amd, 0, disk, NO_PASID, IOVA, true).ok);
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        machine_report(&m);
        assert_false(fake_amdvi_ats_dma(m.amd, 0, nic, NO_PASID, IOVA, true).ok);
        assert_false(fake_amdvi_ats_dma(m.amd, 0, disk, NO_PASID, IOVA, true).ok);
        assert_true(fake_amdvi_ats_dma(m.amd, 0, disk, NO_PASID, IOVA, false).ok);
        assert_int_equal(machine_findings(&m, DAM_F_ATS_SILENT), deaf);
        assert_int_equal(u->events[FAKE_AMD_IOTLB_TIMEOUT], deaf);
        assert_int_equal(nic->invalidations, !deaf);
        assert_int_equal(disk->invalidations, !deaf); // spared, after one that did not answer
        assert_true(machine_requester(&m, 0, NIC)->flags & DAM_REQ_ATS);
        assert_true(machine_requester(&m, 0, NIC)->flags & DAM_REQ_ATS_OFF);
        end();
    }
}

// ---- firmware ---------------------------------------------------------------------------------------------
static void regions(void **state)
{
    (void)state;
    static const uint8_t types[] = {0x20, 0x21, 0x22};
    static const uint8_t flags[] = {1 | 2, 1 | 2 | 4, 8};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned policy = 0; policy < 2; policy++) {
            begin(1);
            attach(DISK);
            attach(ALIAS);
            m.config.policy = policy ? DAM_POLICY_BLOCK : DAM_POLICY_FREEZE;
            firmware_ivhd_alias(&m.firmware, 0x42, NIC, ALIAS);
            firmware_ivmd(&m.firmware, types[i], flags[i], NIC, types[i] == 0x22 ? DISK : NIC, REGION,
                          0x2000);
            assert_int_equal(take(), DAM_STOP_NONE);
            const bool w = flags[i] & (4 | 8);
            assert_true(passes(0, NIC, REGION, false));
            assert_int_equal(passes(0, NIC, REGION + 0x1FF8, true), w);
            assert_false(passes(0, NIC, REGION + 0x2000, false));
            assert_true(passes(0, ALIAS, REGION, false));
            assert_int_equal(passes(0, ALIAS, REGION, true), w);
            assert_int_equal(passes(0, DISK, REGION, false), types[i] != 0x21);
            assert_int_equal(passes(0, NIC, IOVA, false), !policy);
            assert_false(passes(0, NIC, IOVA, true));
            assert_false(passes(0, NOBODY, REGION, false));
            end();
        }
    }
}

// Requests go through the unit that the firmware names for the function; each has tables of its own here.
static void units_with_tables_of_their_own(void **state)
{
    (void)state;
    begin(2);
    struct old_kernel *k = &m.k[1];
    uint64_t tree = old_kernel_page(k);
    old_amd_map(k, tree, 3, 0, IOVA, PA, OLD_R | OLD_W);
    old_amd_attach(k, DISK, 3, 5, tree, OLD_R | OLD_W);
    assert_int_equal(take(), DAM_STOP_NONE);
    assert_true(passes(0, NIC, IOVA, false));
    assert_false(passes(0, NIC, IOVA, true));
    assert_true(passes(1, DISK, IOVA, false));
    assert_false(passes(1, DISK, IOVA, true));
    assert_int_not_equal(u->device_table[0], m.amd->unit[1].device_table[0]);
    end();
}

// The second of two that share a table is locked: the first one is on new tables all the same.
static void one_of_two(void **state)
{
    (void)state;
    begin(2);
    assert_true(machine_start(&m));
    struct fake_amd_unit *second = &m.amd->unit[1];
    const uint64_t old = second->device_table[0] = u->device_table[0];
    second->snp = true;
    assert_int_equal(machine_run(&m), DAM_STOP_UNITS);
    machine_report(&m);
    assert_int_equal(second->device_table[0], old);
    assert_false(passes(0, NIC, IOVA, true));
    assert_true(passes(1, NIC, IOVA, true));
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_LOCKED), 1);
    end();
}

// ---- what comes after -------------------------------------------------------------------------------------
static void hidden(void **state)
{
    (void)state;
    struct dam_range storage = {M_CRASH_START, M_CRASH_START + 0x100000};
    struct dam_ranges window = {.at = &storage, .count = 1, .capacity = 1};
    begin(1);
    memset(old_amd_entry(&m.k[0], OPEN), 0, 32);
    uint64_t table = old_amd_interrupts(&m.k[0], NIC, 9, false);
    *old_kernel_word(&m.k[0], table) = 0x00310001;
    m.config.hide = true;
    m.config.crash_window = &window;
    assert_int_equal(take(), DAM_STOP_NONE);
    assert_true(dam_takeover_may_hide(m.t));
    static const unsigned rids[] = {NIC, OPEN, NOBODY, DISK};
    for (unsigned i = 0; i < 4; i++) {
        assert_true(passes(0, rids[i], M_CRASH_START + 0x1000, true));
        assert_false(passes(0, rids[i], M_POOL_START, false));
        // What passed untranslated is read as before; what was blocked reads nothing else.
        assert_int_equal(passes(0, rids[i], DATA, false), rids[i] == OPEN);
        assert_false(passes(0, rids[i], DATA, true));
    }
    assert_true(passes(0, NIC, IOVA, false));
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 0).kind, FAKE_AMD_IRQ_UNMAPPED);
    end();
}

// A function of which all requests go by guest tables, and those without PASID by none: it gets the window
// there; and one whose guest tables are broken gets scratch tables there.
static void guests(void **state)
{
    (void)state;
    struct dam_range storage = {M_CRASH_START, M_CRASH_START + 0x100000};
    struct dam_ranges window = {.at = &storage, .count = 1, .capacity = 1};
    for (unsigned levels = 4; levels < 6; levels++) {
        begin(1);
        u->efr |= 1ull << 48 | FAKE_AMD_EFR_GATS(1); // GIO, five levels
        struct old_kernel *k = &m.k[0];
        uint64_t first = old_kernel_page(k);
        old_kernel_map_first(k, first, levels, 0, IOVA, PA, 0x67);
        old_amd_pass(k, DISK, 9, OLD_R | OLD_W);
        old_amd_guest(k, DISK, 1, true, levels);
        *old_amd_gcr3(k, DISK, 7) = first | 1;
        *old_amd_gcr3(k, DISK, 8) = 0x90000001;
        m.config.hide = true;
        m.config.broken = levels == 4 ? DAM_POLICY_SCRATCH : DAM_POLICY_BLOCK;
        m.config.crash_window = &window;
        assert_int_equal(take(), DAM_STOP_NONE);
        assert_true(passes(0, DISK, M_CRASH_START + 0x1000, true));
        assert_false(passes(0, DISK, DATA, false));
        assert_int_equal(machine_pasid(&m, 0, DISK, 0)->new_stage, DAM_STAGE_FIRST);
        assert_true(fake_amdvi_dma(m.amd, 0, DISK, 7, IOVA, false).ok);
        assert_false(fake_amdvi_dma(m.amd, 0, DISK, 7, IOVA, true).ok);
        assert_false(fake_amdvi_dma(m.amd, 0, DISK, 7, M_CRASH_START, false).ok);
        struct fake_amd_dma d = fake_amdvi_dma(m.amd, 0, DISK, 8, IOVA + 0x123008, true);
        assert_int_equal(d.ok, levels == 4);
        assert_true(!d.ok || d.pa == machine_summary(&m)->scratch_page + 8);
        end();
    }
}

// A word on the command line gives one of those that passed untranslated an entry of its own.
static void named_ones(void **state)
{
    (void)state;
    begin(1);
    memset(old_amd_entry(&m.k[0], OPEN), 0, 32);
    memset(old_amd_entry(&m.k[0], OPEN + 1), 0, 32);
    m.config.policy = DAM_POLICY_PRESERVE;
    m.config.choice_count = 2;
    m.config.choices[0] = (struct dam_choice){{0, OPEN}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choices[1] = (struct dam_choice){{0, 0x4000}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    assert_int_equal(take(), DAM_STOP_NONE);
    assert_false(passes(0, OPEN, DATA, false));
    assert_true(passes(0, OPEN + 1, DATA, true));
    assert_false(passes(0, OPEN + 1, M_CRASH_START, true));
    assert_int_equal(machine_requester(&m, 0, OPEN)->policy, DAM_POLICY_BLOCK);
    end();
}

// Linux goes on from what lies below 4 GiB alone.
static void low_memory(void **state)
{
    (void)state;
    static uint8_t low_memory_pages[0x40000] __attribute__((aligned(4096)));
    const uint64_t low_pa = 0x20000000;
    for (unsigned i = 0; i < 3; i++) {
        begin(1);
        struct dam_arena low;
        memset(low_memory_pages, 0, sizeof(low_memory_pages));
        fake_vtd_memory(m.fake, low_pa, low_memory_pages, sizeof(low_memory_pages));
        dam_arena_init(&low, low_memory_pages, dam_pa_of(low_pa), sizeof(low_memory_pages));
        // The pool where the crash region is, seen from above.
        fake_vtd_memory(m.fake, 1ull << 33, m.pool.base, m.pool.size);
        m.pool.pa = dam_pa_of(1ull << 33);
        m.config.low_pool = i == 0 ? &low : NULL;
        m.config.recycled = i == 1;
        enum dam_stop stop = take();
        const uint64_t table = u->device_table[0] & 0xFFFFFFFFF000;
        if (i == 0) {
            assert_int_equal(stop, DAM_STOP_NONE);
            assert_in_range(table, low_pa, low_pa + sizeof(low_memory_pages) - 1);
            assert_in_range(u->command_base & 0xFFFFFFFFF000, low_pa, low_pa + sizeof(low_memory_pages) - 1);
            assert_in_range(u->event_base & 0xFFFFFFFFF000, low_pa, low_pa + sizeof(low_memory_pages) - 1);
        } else if (i == 1) {
            assert_int_equal(stop, DAM_STOP_NONE);
            assert_true(table >= 1ull << 33);
        } else {
            assert_int_equal(stop, DAM_STOP_POOL);
            assert_int_equal(u->table_writes, 0);
        }
        assert_int_equal(passes(0, NIC, IOVA, true), i == 2);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_forget),
        cmocka_unit_test(regions),
        cmocka_unit_test(units_with_tables_of_their_own),
        cmocka_unit_test(one_of_two),
        cmocka_unit_test(hidden),
        cmocka_unit_test(guests),
        cmocka_unit_test(named_ones),
        cmocka_unit_test(low_memory),
    };
    return cmocka_run_group_tests_name("amdvi machine", tests, NULL, NULL);
}

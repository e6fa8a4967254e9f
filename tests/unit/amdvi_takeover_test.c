// SPDX-License-Identifier: MIT
// AMD-Vi from end to end over the register model: what each kind of device table entry becomes under each
// policy, what the unit is like afterwards, and what happens when it does not do what it is told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/machine.h"

#define NIC      0x0018u // translated
#define DISK     0x0020u // passes, reads and writes
#define VIEW     0x0028u // passes, reads
#define SMBUS    0x00A0u // translated, management messages pass
#define BLOCKED  0x0030u
#define OPEN     0x0038u // V = 0
#define NOBODY   0x0040u // blocked as well
#define BEYOND   0x0500u
#define IOVA     0x7FFF0000ull
#define PA       0x00310000ull
#define DATA     0x00350000ull
#define NO_PASID NAIVE_AMD_NO_PASID
#define SYSMGT   (1ull << 40)

static struct machine m;
static struct fake_amd_unit *u;
static uint64_t tree;

static void begin(unsigned units)
{
    machine_setup_amd(&m, units);
    u = &m.amd->unit[0];
    struct old_kernel *k = &m.k[0];
    tree = old_kernel_page(k);
    old_amd_map(k, tree, 3, 0, IOVA, PA, OLD_R | OLD_W);
    old_amd_map(k, tree, 3, 0, IOVA + 0x1000, PA + 0x1000, OLD_R);
    old_amd_attach(k, NIC, 3, 5, tree, OLD_R | OLD_W);
    old_amd_attach(k, SMBUS, 3, 5, tree, OLD_R | OLD_W);
    old_amd_entry(k, SMBUS)[1] |= SYSMGT;
    old_amd_pass(k, DISK, 6, OLD_R | OLD_W);
    old_amd_pass(k, VIEW, 6, OLD_R);
    memset(old_amd_entry(k, OPEN), 0, 32);
}

static void end(void)
{
    machine_teardown(&m);
}

// Takes over; the unit never stops translating, and nothing forbidden happens.
static enum dam_stop take(void)
{
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    machine_report(&m);
    for (unsigned i = 0; i < m.amd->units; i++)
        assert_int_equal(m.amd->unit[i].off, 0);
    assert_string_equal(m.fake->violation, "");
    assert_true(machine_old_memory_untouched(&m));
    return stop;
}

static void reaches(unsigned rid, uint64_t iova, bool write, uint64_t pa)
{
    struct fake_amd_dma d = fake_amdvi_dma(m.amd, 0, rid, NO_PASID, iova, write);
    assert_true(d.ok);
    assert_int_equal(d.pa, pa);
}

static void refused(unsigned rid, uint64_t iova, bool write)
{
    assert_false(fake_amdvi_dma(m.amd, 0, rid, NO_PASID, iova, write).ok);
}

static void note_says(unsigned rid, enum dam_old_kind old, enum dam_stage stage, enum dam_policy policy)
{
    const struct dam_note_requester *r = machine_requester(&m, 0, rid);
    assert_non_null(r);
    assert_int_equal(r->old_kind, old);
    assert_int_equal(r->new_stage, stage);
    assert_int_equal(r->policy, policy);
}

static void frozen(void **state)
{
    (void)state;
    begin(1);
    assert_int_equal(take(), DAM_STOP_NONE);
    note_says(NIC, DAM_OLD_TRANSLATED, DAM_STAGE_SECOND, DAM_POLICY_FREEZE);
    note_says(DISK, DAM_OLD_IDENTITY, DAM_STAGE_SECOND, DAM_POLICY_FREEZE);
    assert_null(machine_requester(&m, 0, BLOCKED));
    reaches(NIC, IOVA, false, PA);
    reaches(NIC, IOVA + 0x1008, false, PA + 0x1008);
    refused(NIC, IOVA, true);
    refused(NIC, IOVA + 0x2000, false);
    reaches(SMBUS, IOVA, false, PA);
    refused(SMBUS, IOVA, true);
    for (unsigned i = 0; i < 3; i++) {
        static const unsigned rids[] = {DISK, VIEW, OPEN};
        reaches(rids[i], DATA, false, DATA);
        refused(rids[i], DATA, true);
        refused(rids[i], M_CRASH_START, false);
        refused(rids[i], M_POOL_START, true);
    }
    refused(BLOCKED, DATA, false);
    assert_int_equal(u->events_total, 0);
    refused(BEYOND, DATA, false);
    // Freeze by the entry took no page; management messages need IW, and there the root has none.
    uint64_t *nic = fake_amdvi_entry(m.amd, 0, NIC), *smbus = fake_amdvi_entry(m.amd, 0, SMBUS);
    assert_int_equal(nic[0] & ~0xE00ull, (tree | OLD_AMD_V | OLD_AMD_TV | OLD_AMD_IR));
    assert_int_equal(nic[1], 5 | OLD_AMD_SA);
    assert_int_equal(smbus[0] & OLD_AMD_RW, OLD_AMD_RW);
    assert_int_equal(smbus[1] & 3 * SYSMGT, SYSMGT);
    assert_true(machine_keeps_out(smbus[0] & 0xFFFFFFFFF000));
    end();
}

static void other_policies(void **state)
{
    (void)state;
    static const enum dam_policy policies[] = {DAM_POLICY_BLOCK, DAM_POLICY_PRESERVE, DAM_POLICY_SCRATCH};
    for (unsigned i = 0; i < 3; i++) {
        begin(1);
        m.config.policy = policies[i];
        assert_int_equal(take(), DAM_STOP_NONE);
        const struct dam_note_requester *r = machine_requester(&m, 0, NIC);
        assert_int_equal(r->policy, policies[i]);
        if (policies[i] == DAM_POLICY_BLOCK) {
            refused(NIC, IOVA, false);
            refused(DISK, DATA, false);
            refused(OPEN, DATA, false);
            assert_int_equal(fake_amdvi_entry(m.amd, 0, NIC)[0], OLD_AMD_V);
            assert_int_equal(fake_amdvi_entry(m.amd, 0, NIC)[1], OLD_AMD_SA);
        } else if (policies[i] == DAM_POLICY_PRESERVE) {
            reaches(NIC, IOVA, true, PA);
            refused(NIC, IOVA + 0x1000, true);
            reaches(DISK, DATA, true, DATA);
            refused(DISK, M_CRASH_START, true);
            refused(VIEW, DATA, true);
            reaches(OPEN, DATA, true, DATA);
        } else {
            struct fake_amd_dma d = fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, IOVA + 0x5008, true);
            assert_true(d.ok);
            assert_int_equal(d.pa, machine_summary(&m)->scratch_page + 8);
        }
        refused(BLOCKED, DATA, false);
        assert_int_equal(u->events_total, 0);
        end();
    }
}

// QEMU's unit goes by the leaves alone: there the copy has no W in them, and all else stays as it was.
static void frozen_leaves(void **state)
{
    (void)state;
    begin(1);
    fake_config_function(m.fake, 0, M_AMD_ID(0))->config[0x2C / 4] = 0x11001AF4;
    assert_int_equal(take(), DAM_STOP_NONE);
    assert_int_equal(machine_findings(&m, DAM_F_LEAF_RIGHTS), 1);
    const uint64_t *nic = fake_amdvi_entry(m.amd, 0, NIC);
    assert_int_equal(nic[0] & OLD_AMD_RW, OLD_AMD_RW);
    assert_true(machine_keeps_out(nic[0] & 0xFFFFFFFFF000));
    reaches(NIC, IOVA, false, PA);
    refused(NIC, IOVA, true);
    end();
}

// What Linux wants to find: size code, rings of 512 entries, the log on, no interrupts.
static void what_the_unit_is_like(void **state)
{
    (void)state;
    begin(1);
    const uint64_t control = 1 | FAKE_AMD_EVT_LOG | FAKE_AMD_EVT_INT | FAKE_AMD_CMD_BUF | FAKE_AMD_COHERENT |
                             FAKE_AMD_GT | FAKE_AMD_PPR | FAKE_AMD_PPR_LOG | FAKE_AMD_GA_LOG;
    u->exclusion_base = 0x00200001;
    u->exclusion_limit = 0x00201000;
    assert_true(machine_start(&m));
    u->control = control;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    assert_int_equal(u->device_table[0] & 0x1FF, M_AMD_ENTRIES / 128 - 1);
    assert_true(machine_keeps_out(u->device_table[0] & ~0x1FFull));
    assert_int_equal(u->command_base >> 56, 9);
    assert_int_equal(u->event_base >> 56, 9);
    assert_true(machine_keeps_out(u->command_base & 0xFFFFFFFFF000));
    assert_true(machine_keeps_out(u->event_base & 0xFFFFFFFFF000));
    assert_int_equal(u->control,
                     1 | FAKE_AMD_EVT_LOG | FAKE_AMD_CMD_BUF | FAKE_AMD_COHERENT | FAKE_AMD_GT | 4 << 5);
    assert_int_equal(u->exclusion_base, 0);
    assert_int_equal(machine_findings(&m, DAM_F_EXCLUSION), 1);
    assert_int_equal(machine_findings(&m, DAM_F_GUEST_LOG), 1);
    assert_int_equal(machine_findings(&m, DAM_F_PAGE_QUEUE), 1);
    assert_int_equal(u->table_writes, 2);
    assert_string_equal(m.fake->violation, "");
    uint32_t count;
    const struct dam_note_unit *n = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_int_equal(count, 1);
    assert_int_equal(n->kind, DAM_IOMMU_AMDVI);
    assert_int_equal(n->status, DAM_UNIT_TAKEN);
    assert_int_equal(n->cap, u->efr);
    assert_int_equal(n->after.amdvi.device_table, u->device_table[0]);
    assert_int_equal(n->before.amdvi.control, control);
    // A flood of events does no harm.
    for (unsigned i = 0; i < 2000; i++)
        fake_amdvi_dma(m.amd, 0, BEYOND, NO_PASID, DATA, true);
    refused(NIC, IOVA, true);
    reaches(NIC, IOVA, false, PA);
    assert_string_equal(m.fake->violation, "");
    end();
}

// Without INVALIDATE_ALL.
static void old_units(void **state)
{
    (void)state;
    begin(1);
    u->efr &= ~FAKE_AMD_EFR_IA;
    u->efr &= ~FAKE_AMD_EFR_GT;
    assert_true(machine_start(&m));
    u->control &= ~FAKE_AMD_GT;
    fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, IOVA, true);
    fake_amdvi_dma(m.amd, 0, DISK, NO_PASID, DATA, true);
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    refused(NIC, IOVA, true);
    refused(DISK, DATA, true);
    assert_true(u->of_op[2] >= M_AMD_ENTRIES);
    assert_int_equal(u->of_op[8], 0);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(u->events_total, 0);
    end();
}

static void pasids(void **state)
{
    (void)state;
    begin(1);
    u->efr = (u->efr & ~(31ull << 32)) | 1ull << 48 | 15ull << 32; // GIO, PASIDs of 16 bits
    struct old_kernel *k = &m.k[0];
    uint64_t first = old_kernel_page(k);
    old_kernel_map_first(k, first, 4, 0, IOVA, PA, 0x67);
    old_amd_pass(k, BLOCKED, 9, OLD_R | OLD_W);
    old_amd_guest(k, BLOCKED, 2, true, 4);
    *old_amd_gcr3(k, BLOCKED, 0) = first | 1;
    *old_amd_gcr3(k, BLOCKED, 700) = first | 1;
    *old_amd_gcr3(k, BLOCKED, 701) = first | 3; // reserved
    // Guest tables over host tables.
    uint64_t host = old_kernel_page(k);
    old_amd_map(k, host, 3, 1, 0, 0, OLD_R | OLD_W);
    old_amd_map(k, host, 3, 1, 0x200000, 0x200000, OLD_R | OLD_W);
    old_amd_attach(k, NOBODY, 3, 11, host, OLD_R | OLD_W);
    old_amd_guest(k, NOBODY, 1, true, 4);
    *old_amd_gcr3(k, NOBODY, 0) = first | 1;
    assert_int_equal(take(), DAM_STOP_NONE);
    const struct dam_note_requester *r = machine_pasid(&m, 0, BLOCKED, 0);
    assert_non_null(r);
    assert_int_equal(r->flags & (DAM_REQ_PASID | DAM_REQ_RID_PASID), DAM_REQ_PASID | DAM_REQ_RID_PASID);
    assert_int_equal(r->new_stage, DAM_STAGE_FIRST);
    assert_int_equal(machine_pasid(&m, 0, BLOCKED, 701)->old_kind, DAM_OLD_BROKEN);
    static const unsigned passes[] = {NO_PASID, 0, 700};
    for (unsigned i = 0; i < 3; i++) {
        struct fake_amd_dma d = fake_amdvi_dma(m.amd, 0, BLOCKED, passes[i], IOVA, false);
        assert_true(d.ok && d.pa == PA);
        assert_false(fake_amdvi_dma(m.amd, 0, BLOCKED, passes[i], IOVA, true).ok);
    }
    // Taken over without its guest tables, as Linux does it, it lets nothing be written.
    assert_int_equal(fake_amdvi_entry(m.amd, 0, BLOCKED)[0] & OLD_AMD_RW, OLD_AMD_IR);
    assert_false(fake_amdvi_dma(m.amd, 0, BLOCKED, 701, IOVA, false).ok);
    assert_false(fake_amdvi_dma(m.amd, 0, BLOCKED, 5, IOVA, false).ok);
    note_says(NOBODY, DAM_OLD_TRANSLATED, DAM_STAGE_NESTED, DAM_POLICY_FREEZE);
    reaches(NOBODY, IOVA, false, PA);
    refused(NOBODY, IOVA, true);
    end();
}

// Functions whose tables are no tables.
static void broken_entries(void **state)
{
    (void)state;
    begin(1);
    struct old_kernel *k = &m.k[0];
    old_amd_attach(k, BLOCKED, 3, 7, 0x90000000, OLD_R | OLD_W);
    old_amd_attach(k, NOBODY, 7, 7, tree, OLD_R | OLD_W);
    old_amd_entry(k, DISK)[0] |= 4;
    old_amd_attach(k, VIEW, 3, 6, tree, 0); // not broken, and not of any use
    assert_int_equal(take(), DAM_STOP_NONE);
    refused(VIEW, IOVA, false);
    assert_int_equal(fake_amdvi_entry(m.amd, 0, VIEW)[0], OLD_AMD_V);
    assert_int_equal(machine_findings(&m, DAM_F_DTE_POINTER), 1);
    assert_int_equal(machine_findings(&m, DAM_F_DTE_TYPE), 1);
    assert_int_equal(machine_findings(&m, DAM_F_DTE_RESERVED), 1);
    note_says(BLOCKED, DAM_OLD_BROKEN, DAM_STAGE_SECOND, DAM_POLICY_BLOCK);
    refused(BLOCKED, IOVA, false);
    refused(DISK, DATA, false);
    reaches(NIC, IOVA, false, PA);
    assert_int_equal(u->events_total, 0);
    end();
}

// A table whose end lies outside of old memory, and one that is nowhere.
static void broken_tables(void **state)
{
    (void)state;
    begin(1);
    assert_true(machine_start(&m));
    uint64_t moved = M_OLD_END - M_AMD_ENTRIES * 32;
    memmove(m.old + (moved - M_OLD_START), m.old + (m.k[0].root - M_OLD_START), M_AMD_ENTRIES * 32);
    u->device_table[0] = moved | 0x1F;
    memcpy(m.old_before, m.old, M_OLD_END - M_OLD_START);
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    assert_true(machine_findings(&m, DAM_F_DEVTAB_PAGE) >= 4);
    reaches(NIC, IOVA, false, PA);
    refused(0x0801, DATA, false);
    assert_string_equal(m.fake->violation, "");
    end();
    begin(1);
    assert_true(machine_start(&m));
    u->device_table[0] = 0x800090000007;
    assert_int_equal(machine_run(&m), DAM_STOP_TABLES);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_DEVTAB_POINTER), 1);
    assert_int_equal(u->table_writes, 0);
    end();
}

// Registers that are locked, and a unit that does not answer: as it was.
static void left_alone(void **state)
{
    (void)state;
    struct {
        uint32_t stuck;
        uint16_t locked;
        bool snp;
        unsigned fail; // always
    } list[] = {{.snp = true},
                {.locked = 0x0008 + 1},
                {.locked = 0x0000 + 1},
                {.stuck = FAKE_AMD_STUCK_CMD_OFF},
                {.stuck = FAKE_AMD_STUCK_CMD_ON},
                {.stuck = FAKE_AMD_STUCK_FETCH},
                {.stuck = FAKE_AMD_STUCK_STORE},
                {.fail = 1},
                {.fail = 2}};
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        begin(1);
        m.config.max_wait_us = 5000;
        // No entry with Mode 0: it is not allowed under SNP.
        assert_true(machine_start(&m));
        const struct fake_amd_unit before = *u;
        u->snp = list[i].snp;
        u->stuck = list[i].stuck;
        u->fail_command = list[i].fail;
        u->fail_with = FAKE_AMD_ILLEGAL_COMMAND;
        u->locked[0] = list[i].locked;
        assert_int_not_equal(machine_run(&m), DAM_STOP_NONE);
        u->stuck = 0;
        machine_report(&m);
        assert_int_equal(u->device_table[0], before.device_table[0]);
        assert_int_equal(u->command_base, before.command_base);
        assert_int_equal(u->event_base, before.event_base);
        assert_int_equal(u->control, before.control);
        assert_int_equal(u->command_head, before.command_head);
        assert_int_equal(u->command_tail, before.command_tail);
        assert_int_equal(u->off, 0);
        reaches(NIC, IOVA, true, PA);
        assert_int_equal(machine_findings(&m, DAM_F_UNIT_LOCKED), list[i].snp || list[i].locked);
        uint32_t count;
        const struct dam_note_unit *note = machine_section(&m, DAM_SECTION_UNITS, &count);
        assert_int_equal(note->status, DAM_UNIT_FAILED_BEFORE);
        end();
    }
}

static void forgive(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)fake;
    (void)unit;
    (void)offset;
    (void)value;
    if (u->events[FAKE_AMD_ILLEGAL_COMMAND] || u->events[FAKE_AMD_COMMAND_HW])
        u->fail_command = 0;
}

// States that are told and left alone before anything is planned.
static void unsupported(void **state)
{
    (void)state;
    static const struct {
        uint64_t control, efr;
        uint16_t finding;
    } list[] = {{1ull << 34, 0, DAM_F_DEVTAB_SEGMENTS},
                {7ull << 34, 0, DAM_F_DEVTAB_SEGMENTS},
                {1ull << 40, 0, DAM_F_APERTURES},
                {0, FAKE_AMD_EFR_HATS(3), DAM_F_NO_HOST_TABLES}};
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        begin(1);
        assert_true(machine_start(&m));
        u->control |= list[i].control;
        u->efr |= list[i].efr;
        assert_int_equal(machine_run(&m), DAM_STOP_MODE);
        machine_report(&m);
        assert_int_equal(machine_findings(&m, list[i].finding), 1);
        assert_int_equal(u->writes, 0);
        end();
    }
    // Off, and not to be raised.
    begin(1);
    assert_true(machine_start(&m));
    u->control = 0;
    assert_int_equal(machine_run(&m), DAM_STOP_IOMMU_OFF);
    assert_int_equal(u->writes, 0);
    end();
}

// A command that the unit takes for wrong, once: it is begun again.
static void command_errors(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 9; n++) {
        begin(1);
        u->fail_command = n;
        u->fail_with = n % 2 ? FAKE_AMD_ILLEGAL_COMMAND : FAKE_AMD_COMMAND_HW;
        m.fake->after_write = forgive;
        assert_int_equal(take(), DAM_STOP_NONE);
        refused(NIC, IOVA, true);
        end();
    }
}

static void spoil(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)unit;
    (void)value;
    if (offset == 0 && u->table_writes == 2) // the planned table is in use
        *old_amd_pte(&m.k[0], tree, 3, 0, IOVA + 0x1000) += M_CRASH_START - PA;
    fake_vtd_settle(fake);
}

// Old page tables that change after they were looked at, while ours lead to them: an entry in use is changed.
static void changed_tables(void **state)
{
    (void)state;
    for (unsigned scratch = 0; scratch < 2; scratch++) {
        begin(1);
        m.config.broken = scratch ? DAM_POLICY_SCRATCH : DAM_POLICY_BLOCK;
        assert_true(machine_start(&m));
        m.fake->after_write = spoil;
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        m.fake->after_write = NULL;
        machine_report(&m);
        assert_int_equal(machine_findings(&m, DAM_F_VERIFY_TREE), 2);
        note_says(NIC, DAM_OLD_TRANSLATED, DAM_STAGE_SECOND, m.config.broken);
        struct fake_amd_dma d = fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, IOVA + 0x1000, false);
        assert_int_equal(d.ok, scratch);
        assert_true(!d.ok || d.pa == machine_summary(&m)->scratch_page);
        refused(DISK, DATA, true);
        reaches(DISK, DATA, false, DATA);
        assert_int_equal(u->events_total, 0);
        end();
    }
}

// Two units on one table go on sharing one.
static void shared_table(void **state)
{
    (void)state;
    begin(2);
    assert_true(machine_start(&m));
    m.amd->unit[1].device_table[0] = u->device_table[0];
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    assert_int_equal(m.amd->unit[1].device_table[0], u->device_table[0]);
    assert_int_not_equal(m.amd->unit[1].command_base, u->command_base);
    assert_false(fake_amdvi_dma(m.amd, 1, NIC, NO_PASID, IOVA, true).ok);
    assert_true(fake_amdvi_dma(m.amd, 1, NIC, NO_PASID, IOVA, false).ok);
    assert_string_equal(m.fake->violation, "");
    end();
}

static void segments(void **state)
{
    (void)state;
    begin(1);
    u->efr |= FAKE_AMD_EFR_SEGS(1);
    struct old_kernel *k = &m.k[0];
    uint64_t second = old_kernel_page(k);
    uint64_t *e = old_kernel_word(k, second + 0x18 * 32);
    for (unsigned i = 0; i < 128; i++)
        old_kernel_word(k, second + i * 32)[0] = 1;
    e[0] = tree | 3 << 9 | OLD_AMD_V | OLD_AMD_TV | OLD_AMD_RW;
    e[1] = 5;
    assert_true(machine_start(&m));
    u->control |= 1ull << 34;
    u->device_table[1] = second;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    reaches(0x8018, IOVA, false, PA);
    refused(0x8018, IOVA, true);
    refused(NIC, IOVA, true);
    assert_int_equal(u->device_table[1] & 0x1FF, 0);
    assert_string_equal(m.fake->violation, "");
    end();
}

static void raised(void **state)
{
    (void)state;
    begin(1);
    m.config.raise = true;
    assert_true(machine_start(&m));
    u->control = FAKE_AMD_COHERENT;
    u->status = 0;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    assert_true(u->control & FAKE_AMD_ENABLE);
    reaches(NIC, DATA, false, DATA);
    refused(NIC, DATA, true);
    refused(NIC, M_CRASH_START, false);
    assert_string_equal(m.fake->violation, "");
    end();
}

static void interrupts(void **state)
{
    (void)state;
    static const bool mask[] = {false, true};
    for (unsigned i = 0; i < 2; i++) {
        begin(1);
        struct old_kernel *k = &m.k[0];
        uint64_t table = old_amd_interrupts(k, NIC, 9, false);
        *old_kernel_word(k, table) = 0x00310001;
        old_amd_interrupts(k, SMBUS, 9, false);
        firmware_ivhd_special(&m.firmware, 1, SMBUS, 1);
        old_amd_entry(k, DISK)[2] = 0x90000000ull | 1 | 9 << 1 | 2ull << 60;
        m.config.mask_irqs = mask[i];
        assert_int_equal(take(), DAM_STOP_NONE);
        const uint64_t *w = fake_amdvi_entry(m.amd, 0, NIC);
        assert_int_equal(w[2], mask[i] ? 1 | 1 << 5 : old_amd_entry(k, NIC)[2]);
        assert_int_equal(fake_amdvi_entry(m.amd, 0, SMBUS)[2], old_amd_entry(k, SMBUS)[2]);
        assert_int_equal(fake_amdvi_entry(m.amd, 0, DISK)[2] >> 60 & 3, 0);
        assert_int_equal(machine_findings(&m, DAM_F_IRT_POINTER), 1);
        uint32_t count;
        const struct dam_note_unit *n = machine_section(&m, DAM_SECTION_UNITS, &count);
        assert_int_equal(n->irq_entries, 1);
        assert_int_equal(n->irq_silenced, mask[i]);
        end();
    }
}

// What Linux asks of every entry before it takes any of them over.
static void linux_takes_over(void)
{
    for (unsigned rid = 0; rid < M_AMD_ENTRIES; rid++) {
        uint64_t w = fake_amdvi_entry(m.amd, 0, rid)[2];
        unsigned control = w >> 60 & 3, length = w >> 1 & 15;
        if ((w & 1) && (control || length) && (control != 2 || length != 9))
            fail_msg("requester %x: %llx", rid, (unsigned long long)w);
        // It sets bits to lead such an entry to a table of its own.
        if (control != 2 && (control || length || (w & 0xFFFFFFFFFFFC0)))
            fail_msg("requester %x: %llx is not empty", rid, (unsigned long long)w);
    }
}

static void broken_interrupts(void **state)
{
    (void)state;
    begin(1);
    struct old_kernel *k = &m.k[0];
    uint64_t strange = old_amd_interrupts(k, NIC, 9, false);
    *old_kernel_word(k, strange) = 0x0031000D; // an NMI
    uint64_t low = old_amd_interrupts(k, VIEW, 9, false);
    *old_kernel_word(k, low + 8) = 0x00080001; // the vector of an exception
    uint64_t sound = old_amd_interrupts(k, DISK, 9, false);
    *old_kernel_word(k, sound + 16) = 0x00310005ull << 32;
    uint64_t pin = old_amd_interrupts(k, SMBUS, 9, false);
    *old_kernel_word(k, pin) = 0x0000001D; // of an I/O APIC
    firmware_ivhd_special(&m.firmware, 1, SMBUS, 1);
    memset(old_amd_entry(k, BLOCKED), 0xFF, 32);
    old_amd_entry(k, 0x58)[2] = ~0ull - 1; // IV = 0
    old_amd_interrupts(k, NOBODY, 8, false);
    old_amd_entry(k, 0x48)[2] = 1 | 1ull << 60;
    old_amd_entry(k, 0x50)[2] = 1 | 5 << 1;
    assert_int_equal(take(), DAM_STOP_NONE);
    linux_takes_over();
    assert_int_equal(machine_findings(&m, DAM_F_IRTE_STRANGE), 2);
    assert_int_equal(machine_findings(&m, DAM_F_IRT_FORM), 2);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 0).kind, FAKE_AMD_IRQ_ABORTED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, VIEW, 2).kind, FAKE_AMD_IRQ_ABORTED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, DISK, 5).vector, 0x31);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, SMBUS, 0).kind, FAKE_AMD_IRQ_REMAPPED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, BLOCKED, 0).kind, FAKE_AMD_IRQ_ABORTED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, 0x48, 0).kind, FAKE_AMD_IRQ_UNMAPPED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, 0x50, 0).kind, FAKE_AMD_IRQ_ABORTED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, 0x58, 0).kind, FAKE_AMD_IRQ_UNMAPPED);
    assert_int_equal(fake_amdvi_entry(m.amd, 0, BLOCKED)[2], 1 | 1 << 5); // no NMI, no INIT
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frozen),
        cmocka_unit_test(frozen_leaves),
        cmocka_unit_test(other_policies),
        cmocka_unit_test(what_the_unit_is_like),
        cmocka_unit_test(old_units),
        cmocka_unit_test(pasids),
        cmocka_unit_test(broken_entries),
        cmocka_unit_test(broken_tables),
        cmocka_unit_test(left_alone),
        cmocka_unit_test(unsupported),
        cmocka_unit_test(command_errors),
        cmocka_unit_test(changed_tables),
        cmocka_unit_test(shared_table),
        cmocka_unit_test(segments),
        cmocka_unit_test(raised),
        cmocka_unit_test(interrupts),
        cmocka_unit_test(broken_interrupts),
    };
    return cmocka_run_group_tests_name("amdvi takeover", tests, NULL, NULL);
}

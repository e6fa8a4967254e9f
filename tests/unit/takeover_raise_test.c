// SPDX-License-Identifier: MIT
// Raising: units whose translation was off get tables that say the same under the policy, and are turned on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/dma.h"
#include "lib/machine.h"

#define DATA (M_TABLES_END + 0x10000)
#define NIC  0x0018u
#define FAR  0x4208u

#define TE   (1u << 31)
#define RTPS (1u << 30)
#define QIES (1u << 26)
#define IRES (1u << 25)

static struct machine m;
static struct dam_range window_storage[2];
static struct dam_ranges window;

static void set_up(unsigned units)
{
    machine_setup(&m, units);
    m.config.raise = true;
    for (unsigned u = 0; u < units; u++)
        m.fake->unit[u].gsts = RTPS; // not 0, for which machine_start() would let it run
    dam_ranges_init(&window, window_storage, 2);
    assert_int_equal(dam_ranges_add(&window, M_CRASH_START, M_POOL_START), DAM_OK);
    m.config.crash_window = &window;
}

static int setup(void **state)
{
    (void)state;
    set_up(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static void leads(unsigned unit, unsigned rid, uint64_t iova, bool write)
{
    dma_leads(m.fake, unit, rid, iova, write, iova);
}

static void refused(unsigned unit, unsigned rid, uint64_t iova, bool write)
{
    dma_refused(m.fake, unit, rid, iova, write);
}

// While translation is off DMA goes where it says; afterwards by the tables. In between, after each register
// write, one or the other: never anywhere else.
static void probe(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)offset, (void)value;
    struct fake_dma_result r = fake_dma(fake, unit, NIC, DATA, false);
    assert_true(r.ok);
    assert_int_equal(r.pa, DATA);
}

static enum dam_stop run(enum dam_policy policy)
{
    m.config.policy = policy;
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    m.fake->after_write = NULL;
    assert_int_equal(m.fake->violations, 0);
    assert_true(machine_old_memory_untouched(&m));
    machine_report(&m);
    return stop;
}

static const struct dam_note_unit *unit_note(unsigned unit)
{
    uint32_t count;
    const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_true(unit < count);
    return u + unit;
}

static const struct dam_note_requester *others(void)
{
    uint32_t count;
    const struct dam_note_requester *r = machine_section(&m, DAM_SECTION_REQUESTERS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (r[i].flags & DAM_REQ_OTHERS)
            return &r[i];
    fail_msg("no entry for all others");
    return NULL;
}

static void never_unless_asked(void **state)
{
    (void)state;
    m.config.raise = false;
    assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_IOMMU_OFF);
    assert_int_equal(m.fake->write_count, 0);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_OFF), 1);
}

static void every_policy(void **state)
{
    (void)state;
    for (int policy = DAM_POLICY_FREEZE; policy <= DAM_POLICY_BLOCK; policy++) {
        if (policy) {
            machine_teardown(&m);
            set_up(1);
        }
        if (policy == DAM_POLICY_FREEZE || policy == DAM_POLICY_PRESERVE)
            m.fake->after_write = probe;
        assert_int_equal(run((enum dam_policy)policy), DAM_STOP_NONE);
        assert_int_equal(m.fake->unit[0].gsts >> 31, 1);
        assert_int_equal(m.fake->unit[0].faults_recorded, 0);
        const unsigned rids[] = {0, NIC, FAR, 0xFFFF};
        const uint64_t scratch = machine_summary(&m)->scratch_page;
        for (size_t i = 0; i < sizeof(rids) / sizeof(rids[0]); i++) {
            switch (policy) {
            case DAM_POLICY_FREEZE:
            case DAM_POLICY_PRESERVE:
                leads(0, rids[i], DATA, false);
                leads(0, rids[i], M_OLD_END - 1, false);
                leads(0, rids[i], 0xFFFFF000, false); // devices' windows are old addresses as well
                if (policy == DAM_POLICY_PRESERVE)
                    leads(0, rids[i], DATA, true);
                else
                    refused(0, rids[i], DATA, true);
                refused(0, rids[i], M_CRASH_START, false);
                refused(0, rids[i], M_POOL_START, true);
                break;
            case DAM_POLICY_SCRATCH:
                assert_int_equal(fake_dma(m.fake, 0, rids[i], DATA, true).pa, scratch);
                break;
            case DAM_POLICY_BLOCK:
                refused(0, rids[i], DATA, false);
                break;
            }
        }
        assert_int_equal(unit_note(0)->status, DAM_UNIT_RAISED);
        assert_true(machine_summary(&m)->flags & DAM_SUMMARY_RAISED);
        assert_true(machine_summary(&m)->flags & DAM_SUMMARY_COMMITTED);
        assert_int_equal(machine_summary(&m)->requester_total, 1);
        assert_int_equal(others()->policy, policy);
        assert_int_equal(others()->old_kind, DAM_OLD_IDENTITY);
        assert_true(others()->flags & DAM_REQ_RAISED);
        assert_false(others()->flags & DAM_REQ_CRASH);
        assert_int_equal(machine_findings(&m, DAM_F_RAISED), 1);
        assert_int_equal(machine_findings(&m, DAM_F_UNIT_OFF), 0);
        assert_false(dam_takeover_may_hide(m.t));
    }
}

// In the mode that a Linux behind us would choose: scalable where the unit has it, unless told otherwise.
static void in_scalable_mode(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        machine_teardown(&m);
        set_up(1);
        machine_scalable(&m, 0);
        m.config.hide = true;
        m.config.raise_legacy = which == 2;
        if (which == 1)
            m.fake->unit[0].ecap &= ~(1ull << 46); // first stage alone
        m.config.choices[0] = (struct dam_choice){{0, NIC}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
        m.config.choice_count = 1;
        assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_NONE);
        assert_int_equal(unit_note(0)->after.vtd.rtaddr >> 10 & 3, which != 2);
        leads(0, FAR, DATA, false);
        refused(0, FAR, DATA, true);
        leads(0, FAR, M_CRASH_START, true);
        refused(0, FAR, M_POOL_START, false);
        refused(0, NIC, DATA, false);
        leads(0, NIC, M_CRASH_START, true);
        assert_int_equal(m.fake->unit[0].faults_recorded, 0);
        assert_true(dam_takeover_may_hide(m.t));
    }
}

static void with_the_crash_window(void **state)
{
    (void)state;
    m.config.hide = true;
    m.fake->unit[0].gsts |= IRES;
    assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_NONE);
    leads(0, FAR, DATA, false);
    refused(0, FAR, DATA, true);
    leads(0, FAR, M_CRASH_START, true);
    leads(0, NIC, M_POOL_START - 1, true);
    refused(0, NIC, M_POOL_START, true);
    refused(0, NIC, M_POOL_START, false);
    assert_true(others()->flags & DAM_REQ_CRASH);
    assert_true(dam_takeover_may_hide(m.t));
    assert_int_equal(m.fake->unit[0].gsts >> 25 & 1, 0);
}

static void one_requester_may_have_another_policy_or_window(void **state)
{
    (void)state;
    m.config.hide = true;
    m.config.choices[0] = (struct dam_choice){{0, NIC}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choices[1] = (struct dam_choice){{0, FAR}, DAM_ANY_PASID, DAM_POLICY_PRESERVE};
    m.config.choices[2] = (struct dam_choice){{1, 0x20}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choice_count = 3;
    m.config.windows[0] = (dam_requester){0, FAR};
    m.config.windows[1] = (dam_requester){0, 0x100};
    m.config.window_count = 2;
    assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_NONE);
    refused(0, NIC, DATA, false);
    leads(0, FAR, DATA, true);
    leads(0, FAR, M_CRASH_START, true);
    leads(0, 0x100, M_CRASH_START, true);
    leads(0, 0x100, DATA, false);
    refused(0, 0x100, DATA, true);
    leads(0, 0x20, DATA, false);
    refused(0, 0x20, M_CRASH_START, false);
    refused(0, 0x101, M_CRASH_START, true); // another function of a bus that has a table of its own
    leads(0, 0x101, DATA, false);
    assert_int_equal(machine_summary(&m)->requester_total, 4);
    assert_true(machine_requester(&m, 0, NIC)->flags & DAM_REQ_CHOSEN);
    assert_int_equal(machine_findings(&m, DAM_F_CHOICE_UNUSED), 1); // that of segment 1
}

// Firmware regions were open to everybody, and stay so, whatever the policy is.
static void firmware_regions(void **state)
{
    (void)state;
    fake_vtd_pci(m.fake, 0, 3, 0, 0);
    firmware_rmrr(&m.firmware, 0, 0x7E000000, 0x7E001FFF);
    firmware_scope(&m.firmware, 1, 0, 3, 0);
    assert_int_equal(run(DAM_POLICY_BLOCK), DAM_STOP_NONE);
    leads(0, NIC, 0x7E001000, true);
    refused(0, NIC, 0x7E002000, false);
}

static void queues_and_registers(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        machine_teardown(&m);
        set_up(1);
        struct fake_unit *u = &m.fake->unit[0];
        if (which == 1) { // Linux without DMA remapping remaps interrupts all the same
            fake_vtd_run(u, 0, M_QUEUES);
            u->gsts = QIES;
        }
        if (which == 2) // no register interface
            u->ver = 0x60;
        if (which == 3) // walks do not snoop, write buffers
            u->ecap &= ~1ull, u->cap |= 1 << 4;
        u->latency = 3;
        assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_NONE);
        leads(0, NIC, DATA, false);
        refused(0, NIC, DATA, true);
        assert_int_equal(u->gsts >> 26 & 1, which == 1 || which == 2);
    }
}

// ---- what does not go on ----------------------------------------------------------------------------------
static void hardware_that_does_not_answer(void **state)
{
    (void)state;
    const struct {
        uint32_t stuck;
        enum dam_unit_status status;
    } cases[] = {
        {FAKE_STUCK_TE, DAM_UNIT_FAILED_AFTER},
        {FAKE_STUCK_SRTP, DAM_UNIT_OFF},
        {FAKE_STUCK_CCMD, DAM_UNIT_OFF},
        {FAKE_STUCK_IOTLB, DAM_UNIT_OFF},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        machine_teardown(&m);
        set_up(2);
        m.config.hide = true;
        m.fake->unit[0].stuck = cases[i].stuck;
        assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_UNITS);
        assert_int_equal(unit_note(0)->status, cases[i].status);
        assert_int_not_equal(unit_note(0)->error, 0);
        assert_int_equal(machine_findings(&m, DAM_F_RAISE_FAILED), 1);
        assert_int_equal(m.fake->unit[0].gsts >> 31, 0);
        assert_int_equal(unit_note(1)->status, DAM_UNIT_RAISED);
        refused(1, NIC, DATA, true);
        // Where it is off for sure the capture kernel's I/O works without its driver.
        assert_int_equal(dam_takeover_may_hide(m.t), cases[i].status == DAM_UNIT_OFF);
    }
}

// A unit that runs and one that does not: each gets what it needs.
static void beside_one_that_runs(void **state)
{
    (void)state;
    machine_teardown(&m);
    set_up(2);
    uint64_t tree = old_kernel_page(&m.k[1]);
    old_kernel_map(&m.k[1], tree, 4, 0, 0x40000000, DATA, OLD_R | OLD_W);
    old_kernel_attach(&m.k[1], NIC, 0, 4, 5, tree);
    fake_vtd_run(&m.fake->unit[1], m.k[1].root, M_QUEUES);
    assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_NONE);
    assert_int_equal(unit_note(0)->status, DAM_UNIT_RAISED);
    assert_int_equal(unit_note(1)->status, DAM_UNIT_TAKEN);
    leads(0, NIC, DATA, false);
    refused(0, NIC, DATA, true);
    assert_int_equal(fake_dma(m.fake, 1, NIC, 0x40000000, false).pa, DATA);
    refused(1, NIC, DATA, false);
    refused(1, FAR, DATA, false);
}

// Without large pages an identity view of 4 GiB takes 2,053 pages: then everybody is blocked, and it is said.
static void no_large_pages(void **state)
{
    (void)state;
    m.fake->unit[0].cap &= ~(15ull << 34);
    assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_NONE);
    refused(0, NIC, DATA, false);
    assert_int_equal(machine_findings(&m, DAM_F_PT_BUDGET), 1);
    assert_int_equal(others()->policy, DAM_POLICY_BLOCK);
    assert_true(others()->flags & DAM_REQ_QUARANTINED);
}

static void every_failing_call(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        machine_teardown(&m);
        set_up(1);
        assert_true(machine_start(&m));
        m.fake->calls = 0;
        m.fake->fail_at = n;
        (void)machine_run(&m);
        bool failed = m.fake->failed;
        m.fake->fail_at = 0;
        assert_int_equal(m.fake->violations, 0);
        // Off, and every address is itself; or on, and contained.
        struct fake_dma_result r = fake_dma(m.fake, 0, NIC, DATA, true);
        assert_true(m.fake->unit[0].gsts & TE ? !r.ok : r.ok && r.untranslated);
        if (!failed)
            break;
    }
}

static void it_costs_a_few_pages(void **state)
{
    (void)state;
    assert_int_equal(run(DAM_POLICY_FREEZE), DAM_STOP_NONE);
    // Root table, context table, two for the queue, an empty one; the identity view: root, 512 GiB, 1 GiB in
    // large pages, two tables of small ones at the edges of what is kept out.
    assert_in_range(m.pool.low / DAM_PAGE_SIZE, 5, 11);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(never_unless_asked),
        TEST(every_policy),
        TEST(in_scalable_mode),
        TEST(with_the_crash_window),
        TEST(one_requester_may_have_another_policy_or_window),
        TEST(firmware_regions),
        TEST(queues_and_registers),
        TEST(hardware_that_does_not_answer),
        TEST(beside_one_that_runs),
        TEST(no_large_pages),
        TEST(every_failing_call),
        TEST(it_costs_a_few_pages),
    };
    return cmocka_run_group_tests_name("takeover raise", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// The crash window, for a capture kernel that sees no IOMMU: who gets it, over what it is laid, what it never
// opens, and what else such a kernel needs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/dma.h"
#include "lib/machine.h"

#define NIC    0x0018u
#define DISK   0x0020u
#define PASS   0x0028u
#define NONE   0x0030u // has no context entry; its bus has a table
#define FAR    0x4208u // nor has its bus

#define RW     0x7FFF0000ull
#define RO     0x7FFF1000ull
#define BESIDE (WINDOW_END + 0x1000) // mapped next to the window
#define RW_PA  0x00310000ull
#define RO_PA  0x00311000ull
#define DATA   0x00320000ull

// The window: most of the crash region below the pool, and low memory. The first page and what lies between
// them and the pool is kept out without being in it.
#define LOW_START    0x00010000ull
#define LOW_END      0x00090000ull
#define WINDOW_START (M_CRASH_START + 0x1000)
#define WINDOW_END   (M_POOL_START - 0x3000)

static struct machine m;
static struct dam_range window_storage[4];
static struct dam_ranges window;

static uint64_t tree(unsigned levels)
{
    struct old_kernel *k = &m.k[0];
    uint64_t root = old_kernel_page(k);
    old_kernel_map(k, root, levels, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_map(k, root, levels, 0, RO, RO_PA, OLD_R);
    return root;
}

static void set_up(unsigned units)
{
    machine_setup(&m, units);
    assert_int_equal(dam_ranges_add(&m.keep_out, LOW_START, LOW_END + 0x1000), DAM_OK);
    dam_ranges_init(&window, window_storage, 4);
    assert_int_equal(dam_ranges_add(&window, LOW_START, LOW_END), DAM_OK);
    assert_int_equal(dam_ranges_add(&window, WINDOW_START, WINDOW_END), DAM_OK);
    m.config.hide = true;
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

static void leads(unsigned rid, uint64_t iova, bool write, uint64_t pa)
{
    dma_leads(m.fake, 0, rid, iova, write, pa);
}

static void refused(unsigned rid, uint64_t iova, bool write)
{
    dma_refused(m.fake, 0, rid, iova, write);
}

// All of the window, and nothing of what is kept out beside it.
static void has_window(unsigned rid)
{
    const uint64_t in[] = {LOW_START,      LOW_END - 1,
                           WINDOW_START,   WINDOW_START + 0x1FF000,
                           WINDOW_END - 1, WINDOW_START + 0x200000 - 0x2000};
    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
        for (int write = 0; write < 2; write++)
            if (in[i] < WINDOW_END)
                leads(rid, in[i], write, in[i]);
    const uint64_t out[] = {LOW_START - 1, LOW_END, M_CRASH_START, WINDOW_END, M_POOL_START, M_CRASH_END - 1};
    for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
        if (rid == PASS && out[i] == LOW_START - 1)
            continue; // nobody keeps it out, so that identity has it
        refused(rid, out[i], true);
        refused(rid, out[i], false);
    }
}

static void has_no_window(unsigned rid)
{
    for (uint64_t at = LOW_START; at < LOW_END; at += 0x1000)
        refused(rid, at, true);
    for (uint64_t at = M_CRASH_START; at < M_CRASH_END; at += 0x1000)
        refused(rid, at, true);
}

static void take_over(enum dam_policy policy)
{
    m.config.policy = policy;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_int_equal(m.fake->violations, 0);
    assert_true(machine_old_memory_untouched(&m));
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
    machine_report(&m);
}

static bool note_has(unsigned rid, uint16_t flag)
{
    const struct dam_note_requester *r = machine_requester(&m, 0, rid);
    assert_non_null(r);
    return r->flags & flag;
}

// The entry that stands for all others, or NULL.
static const struct dam_note_requester *others(void)
{
    uint32_t count;
    const struct dam_note_requester *r = machine_section(&m, DAM_SECTION_REQUESTERS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (r[i].flags & DAM_REQ_OTHERS)
            return &r[i];
    return NULL;
}

static void every_requester_under_every_policy(void **state)
{
    (void)state;
    for (int policy = DAM_POLICY_FREEZE; policy <= DAM_POLICY_BLOCK; policy++) {
        if (policy)
            set_up(1);
        m.fake->unit[0].cap |= 1ull << 9; // tables of 3 levels as well
        uint64_t root = tree(4);
        old_kernel_map(&m.k[0], root, 4, 0, BESIDE, DATA, OLD_R | OLD_W);
        old_kernel_attach(&m.k[0], NIC, 0, 4, 5, root);
        old_kernel_attach(&m.k[0], DISK, 0, 3, 6, tree(3));
        old_kernel_attach(&m.k[0], PASS, 2, 4, 1, 0);
        take_over((enum dam_policy)policy);
        if (policy != DAM_POLICY_SCRATCH) { // there every address leads somewhere
            const unsigned rids[] = {NIC, DISK, PASS, NONE, FAR, 0, 0xFFFF};
            for (size_t i = 0; i < sizeof(rids) / sizeof(rids[0]); i++)
                has_window(rids[i]);
            refused(NONE, RW, false);
            refused(FAR, RW_PA, false);
            refused(NONE, DATA, true);
        } else {
            const uint64_t page = machine_summary(&m)->scratch_page;
            leads(NIC, WINDOW_START, true, WINDOW_START);
            leads(NIC, WINDOW_END, true, page);
            leads(NIC, RW, true, page);
            leads(DISK, M_POOL_START, true, page);
            has_window(FAR);
        }
        switch (policy) {
        case DAM_POLICY_FREEZE:
            leads(NIC, RW, false, RW_PA);
            refused(NIC, RW, true);
            leads(NIC, BESIDE, false, DATA);
            refused(NIC, BESIDE, true);
            leads(PASS, DATA, false, DATA);
            refused(PASS, DATA, true);
            break;
        case DAM_POLICY_PRESERVE:
            leads(NIC, RW, true, RW_PA);
            refused(NIC, RO, true);
            leads(NIC, BESIDE, true, DATA);
            leads(PASS, DATA, true, DATA);
            break;
        case DAM_POLICY_BLOCK:
            refused(NIC, RW, false);
            refused(NIC, BESIDE, false);
            refused(PASS, DATA, false);
            break;
        }
        assert_true(note_has(NIC, DAM_REQ_CRASH) && note_has(PASS, DAM_REQ_CRASH));
        assert_non_null(others());
        assert_true(others()->flags & DAM_REQ_CRASH);
        assert_int_equal(others()->old_kind, DAM_OLD_NONE);
        assert_int_equal(others()->new_writable, (LOW_END - LOW_START + WINDOW_END - WINDOW_START) >> 12);
        assert_int_equal(machine_summary(&m)->requester_total, 4);
        assert_int_equal(machine_findings(&m, DAM_F_WINDOW_COLLISION), 0);
        assert_int_equal(machine_findings(&m, DAM_F_PT_CHANGED), 0);
        assert_true(dam_takeover_may_hide(m.t));
        assert_int_equal(m.fake->unit[0].tes_off, 0);
        if (policy != DAM_POLICY_BLOCK)
            machine_teardown(&m);
    }
}

// Without hiding nobody gets anything, whatever memory the window has.
static void nobody_without_hiding(void **state)
{
    (void)state;
    old_kernel_attach(&m.k[0], NIC, 0, 4, 5, tree(4));
    m.config.hide = false;
    take_over(DAM_POLICY_FREEZE);
    has_no_window(NIC);
    has_no_window(NONE);
    has_no_window(FAR);
    assert_null(others());
    assert_false(dam_takeover_may_hide(m.t));
}

// Named ones alone, with old tables or without.
static void named_ones_alone(void **state)
{
    (void)state;
    old_kernel_attach(&m.k[0], NIC, 0, 4, 5, tree(4));
    old_kernel_attach(&m.k[0], DISK, 0, 4, 5, *old_kernel_context(&m.k[0], NIC) & ~0xFFFull); // one domain
    m.config.windows[0] = (dam_requester){0, DISK};
    m.config.windows[1] = (dam_requester){0, NONE};
    m.config.windows[2] = (dam_requester){0, FAR};
    m.config.windows[3] = (dam_requester){1, NIC}; // of another segment
    m.config.windows[4] = (dam_requester){0, FAR};
    m.config.window_count = 5;
    take_over(DAM_POLICY_FREEZE);
    has_window(DISK);
    has_window(NONE);
    has_window(FAR);
    has_no_window(NIC);
    has_no_window(FAR + 1);
    has_no_window(0x0031);
    has_no_window(0xFFFF);
    leads(NIC, RW, false, RW_PA);
    leads(DISK, RW, false, RW_PA);
    refused(DISK, RW, true);
    refused(FAR, RW, false);
    assert_null(others());
    // Two tables now, so two ids.
    assert_int_not_equal(machine_requester(&m, 0, NIC)->new_did, machine_requester(&m, 0, DISK)->new_did);
    assert_int_equal(machine_summary(&m)->requester_total, 4);
    assert_true(dam_takeover_may_hide(m.t));
}

// ---- what the old kernel had at the window's addresses ---------------------------------------------------
static void collision(bool named)
{
    uint64_t root = tree(4);
    old_kernel_map(&m.k[0], root, 4, 0, WINDOW_START + 0x5000, DATA, OLD_R);
    old_kernel_map(&m.k[0], root, 4, 0, WINDOW_START + 0x6000, DATA + 0x1000, OLD_W);
    old_kernel_attach(&m.k[0], NIC, 0, 4, 5, root);
    old_kernel_attach(&m.k[0], DISK, 0, 4, 6, tree(4));
    m.config.windows[0] = (dam_requester){0, NIC};
    m.config.window_count = named;
    take_over(DAM_POLICY_FREEZE);
}

static void a_collision_refuses_all_of_it(void **state)
{
    (void)state;
    collision(false);
    has_no_window(NIC);
    has_window(DISK);
    has_window(FAR);
    leads(NIC, WINDOW_START + 0x5000, false, DATA); // as it was
    leads(NIC, RW, false, RW_PA);
    assert_false(note_has(NIC, DAM_REQ_CRASH));
    assert_int_equal(machine_findings(&m, DAM_F_WINDOW_COLLISION), 1);
    uint32_t count;
    const struct dam_finding *f = machine_section(&m, DAM_SECTION_FINDINGS, &count);
    while (f->code != DAM_F_WINDOW_COLLISION)
        f++;
    assert_int_equal(f->rid, NIC);
    assert_int_equal(f->iova, WINDOW_START + 0x5000);
    assert_int_equal(f->address, DATA);
    assert_int_equal(f->raw, 2);
    assert_true(dam_takeover_may_hide(m.t));
}

static void a_named_one_gets_it_all_the_same(void **state)
{
    (void)state;
    collision(true);
    has_window(NIC);
    has_no_window(DISK);
    assert_int_equal(machine_findings(&m, DAM_F_WINDOW_REPLACES), 1);
    assert_int_equal(machine_findings(&m, DAM_F_PT_CHANGED), 0);
}

// Identity tables, as Linux makes them for iommu=pt or for the first 16 MiB: every address keeps its meaning.
static void identity_is_no_collision(void **state)
{
    (void)state;
    uint64_t root = tree(4);
    for (uint64_t at = 0; at < 0x1000000; at += 0x200000)
        old_kernel_map(&m.k[0], root, 4, 1, at, at, OLD_R | OLD_W);
    old_kernel_attach(&m.k[0], NIC, 0, 4, 5, root);
    take_over(DAM_POLICY_PRESERVE);
    leads(NIC, LOW_START, true, LOW_START);
    leads(NIC, WINDOW_START, true, WINDOW_START);
    leads(NIC, DATA, true, DATA);
    refused(NIC, M_POOL_START, true);
    refused(NIC, M_CRASH_START, true);
    refused(NIC, WINDOW_END, false);
    assert_true(note_has(NIC, DAM_REQ_CRASH));
    assert_int_equal(machine_findings(&m, DAM_F_WINDOW_COLLISION), 0);
}

// What the hardware refused was no mapping: broken parts neither keep the window away nor open anything.
static void broken_tables_get_the_window_alone(void **state)
{
    (void)state;
    uint64_t root = tree(4);
    old_kernel_map(&m.k[0], root, 4, 0, WINDOW_START + 0x1000, DATA, OLD_R | OLD_W);
    *old_kernel_entry(&m.k[0], root, 4, 0, WINDOW_START + 0x1000) |= 1ull << 51;
    old_kernel_attach(&m.k[0], NIC, 0, 4, 5, root);
    old_kernel_attach(&m.k[0], DISK, 3, 4, 6, tree(4));                  // a type that is not defined
    *old_kernel_word(&m.k[0], m.k[0].root + 0x42 * 16) = M_FIRMWARE | 1; // a bus in nowhere
    take_over(DAM_POLICY_PRESERVE);
    has_window(NIC);
    has_window(DISK);
    has_window(FAR);
    leads(NIC, RW, true, RW_PA);
    refused(DISK, RW, false);
    refused(FAR, RW, false);
    assert_true(note_has(DISK, DAM_REQ_QUARANTINED) && note_has(DISK, DAM_REQ_CRASH));
}

// An old table that changes after it was audited costs its requester all but the window.
static void corrupt(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)unit, (void)value;
    uint64_t *entry = fake->test;
    if (offset == 0x20)
        *entry = M_POOL_START | OLD_R | OLD_W;
}

static void verification_leaves_the_window(void **state)
{
    (void)state;
    uint64_t root = tree(4);
    old_kernel_attach(&m.k[0], NIC, 0, 4, 5, root);
    m.fake->test = old_kernel_entry(&m.k[0], root, 4, 0, RW);
    m.fake->after_write = corrupt;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    m.fake->after_write = NULL;
    assert_int_equal(m.fake->violations, 0);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_VERIFY_TREE), 1);
    refused(NIC, RW, false);
    has_window(NIC);
    assert_true(dam_takeover_may_hide(m.t));
}

// ---- scalable mode
// ------------------------------------------------------------------------------------------ For requests
// without PASID, whoever they come from; never for those with one.
static void scalable_mode(void **state)
{
    (void)state;
    for (int stage = 1; stage <= 2; stage++) {
        for (int named = 0; named < 2; named++) {
            machine_teardown(&m);
            set_up(1);
            machine_scalable(&m, 0);
            if (stage == 1)
                m.fake->unit[0].ecap &= ~(1ull << 46); // no second stage
            struct old_kernel *k = &m.k[0];
            uint64_t user = old_kernel_page(k);
            old_kernel_map_first(k, user, 4, 0, RW, RW_PA,
                                 OLD_FS_P | OLD_FS_U | OLD_FS_W | OLD_FS_A | OLD_FS_D);
            old_kernel_directory(k, NIC, 0, 1 << 3);
            old_kernel_bind(k, NIC, 0, (unsigned)stage, 4, 5, stage == 1 ? user : tree(4));
            old_kernel_bind(k, NIC, 5, 1, 4, 6, user);
            old_kernel_directory(k, DISK, 0, 1 << 3); // a function that no PASID of is bound
            old_kernel_directory(k, PASS, 0, 0);
            old_kernel_bind(k, PASS, 0, 4, 4, 1, 0);
            m.config.windows[0] = (dam_requester){0, DISK};
            m.config.windows[1] = (dam_requester){0, FAR};
            m.config.window_count = named ? 2 : 0;
            take_over(DAM_POLICY_FREEZE);
            has_window(DISK);
            has_window(FAR);
            leads(NIC, RW, false, RW_PA);
            refused(NIC, RW, true);
            refused(FAR, RW, false);
            struct fake_dma_result r = fake_dma_pasid(m.fake, 0, NIC, 5, RW, false);
            assert_true(r.ok && r.pa == RW_PA);
            assert_false(fake_dma_pasid(m.fake, 0, NIC, 5, WINDOW_START, true).ok);
            assert_false(fake_dma_pasid(m.fake, 0, NIC, 5, WINDOW_START, false).ok);
            leads(PASS, DATA, false, DATA);
            refused(PASS, DATA, true);
            if (named) {
                has_no_window(NIC);
                has_no_window(PASS);
                has_no_window(NONE);
                assert_null(others());
            } else {
                has_window(NIC);
                has_window(PASS);
                has_window(NONE);
                has_window(FAR + 0x80);
                has_window(0xFFFF);
                assert_non_null(others());
            }
            assert_true(dam_takeover_may_hide(m.t));
        }
    }
}

// What a guest's tables mean by an address is not looked at, and what comes out of tables that stay cannot be
// made identity: such a requester goes without, unless it is named and blocked.
static void nested_translation_goes_without(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        machine_teardown(&m);
        set_up(1);
        machine_scalable(&m, 0);
        struct old_kernel *k = &m.k[0];
        uint64_t first = old_kernel_page(k), second = tree(4);
        old_kernel_map(k, second, 4, 0, first, first, OLD_R | OLD_W);
        old_kernel_directory(k, NIC, 0, 1 << 3);
        old_kernel_nest(k, NIC, 0, 4, first, 4, 5, second);
        m.config.windows[0] = (dam_requester){0, NIC};
        m.config.window_count = which >= 2;
        take_over(which % 2 ? DAM_POLICY_BLOCK : DAM_POLICY_FREEZE);
        if (which == 3)
            has_window(NIC);
        else
            has_no_window(NIC);
        assert_int_equal(machine_findings(&m, DAM_F_WINDOW_NESTED), which != 3);
    }
}

// ---- what it costs ----------------------------------------------------------------------------------------
static uint64_t pages_used(bool hide, bool large, unsigned domains)
{
    if (m.fake)
        machine_teardown(&m);
    set_up(1);
    m.config.hide = hide;
    if (!large)
        m.fake->unit[0].cap &= ~(15ull << 34);
    for (unsigned i = 0; i < domains; i++)
        old_kernel_attach(&m.k[0], 8 * (i + 1), 0, 4, 5 + i, tree(4));
    take_over(DAM_POLICY_FREEZE);
    return m.pool.low / DAM_PAGE_SIZE;
}

static void it_costs_a_few_pages(void **state)
{
    (void)state;
    for (int large = 0; large < 2; large++) {
        uint64_t one = pages_used(true, large, 1) - pages_used(false, large, 1);
        uint64_t ten = pages_used(true, large, 10) - pages_used(false, large, 10);
        // The shared context table; the window: root and tables of three levels, one for each 2 MiB that is
        // not a large page; and for each domain the way to it, as this one has something beside it.
        assert_int_equal(one, 1 + (large ? 5 : 5) + 1);
        assert_int_equal(ten - one, 9);
    }
}

static void the_pool_may_run_out(void **state)
{
    (void)state;
    unsigned stopped = 0;
    for (uint64_t size = 0x30000;; size += DAM_PAGE_SIZE) {
        machine_teardown(&m);
        set_up(1);
        old_kernel_attach(&m.k[0], NIC, 0, 4, 5, tree(4));
        m.pool.size = size;
        assert_true(machine_start(&m));
        enum dam_stop stop = machine_run(&m);
        assert_int_equal(m.fake->violations, 0);
        if (stop == DAM_STOP_NONE)
            break;
        assert_int_equal(stop, DAM_STOP_POOL);
        assert_int_equal(m.fake->write_count, 0);
        assert_false(dam_takeover_may_hide(m.t));
        stopped++;
    }
    assert_true(stopped > 5);
}

// ---- the hardware beside the tables ----------------------------------------------------------------------
static void run_with(uint32_t gsts, uint32_t pmen, uint32_t stuck)
{
    old_kernel_attach(&m.k[0], NIC, 0, 4, 5, tree(4));
    fake_vtd_run(&m.fake->unit[0], m.k[0].root, M_QUEUES);
    m.fake->unit[0].gsts |= gsts;
    m.fake->unit[0].pmen = pmen;
    m.fake->unit[0].stuck = stuck;
    take_over(DAM_POLICY_FREEZE);
}

static void interrupts_and_protected_memory(void **state)
{
    (void)state;
    run_with(1u << 25, 0x80000001u, 0);
    assert_int_equal(m.fake->unit[0].gsts >> 25 & 1, 0);
    assert_int_equal(m.fake->unit[0].gsts >> 31 & 1, 1);
    assert_int_equal(m.fake->unit[0].pmen, 0);
    assert_int_equal(m.fake->unit[0].tes_off, 0);
    assert_true(dam_takeover_may_hide(m.t));
    has_window(FAR);
}

static void hardware_that_does_not_let_go(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        machine_teardown(&m);
        set_up(1);
        run_with(1u << 25, 0x80000001u, which ? FAKE_STUCK_IRE : FAKE_STUCK_PRS);
        assert_false(dam_takeover_may_hide(m.t));
        assert_int_equal(machine_findings(&m, DAM_F_HIDE_HARDWARE), 1);
        leads(NIC, RW, false, RW_PA); // contained all the same
    }
}

// Without hiding they stay as they were.
static void left_as_they_were_when_shown(void **state)
{
    (void)state;
    m.config.hide = false;
    run_with(0, 0x80000001u, 0);
    assert_int_equal(m.fake->unit[0].pmen, 0x80000001u);
}

// One unit that runs on other tables is enough for the capture kernel to need its driver.
static void every_unit_has_to_be_ours(void **state)
{
    (void)state;
    const struct {
        uint32_t stuck;
        bool off, absent, hidden;
    } cases[] = {
        {0, false, false, true},
        {FAKE_STUCK_SRTP, false, false, false},
        {FAKE_STUCK_QIE, false, false, false},
        {0, true, false, true}, // off: what the capture kernel does there means itself
        {0, false, true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        machine_teardown(&m);
        set_up(2);
        for (unsigned u = 0; u < 2; u++)
            fake_vtd_run(&m.fake->unit[u], m.k[u].root, M_QUEUES + 4096 * u);
        m.fake->unit[1].stuck = cases[i].stuck;
        m.fake->unit[1].gsts = (cases[i].off ? 1u << 30 : m.fake->unit[1].gsts) | 1u << 25;
        m.fake->unit[1].absent = cases[i].absent;
        assert_true(machine_start(&m));
        (void)machine_run(&m);
        assert_int_equal(m.fake->violations, 0);
        assert_int_equal(dam_takeover_may_hide(m.t), cases[i].hidden);
        if (!cases[i].absent) // also where translation is off
            assert_int_equal(m.fake->unit[1].gsts >> 25 & 1, !cases[i].hidden);
    }
}

// Every call of the seam that fails: nothing is hidden that would not work.
static void every_failing_call(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        machine_teardown(&m);
        set_up(1);
        old_kernel_attach(&m.k[0], NIC, 0, 4, 5, tree(4));
        fake_vtd_run(&m.fake->unit[0], m.k[0].root, M_QUEUES);
        m.fake->unit[0].gsts |= 1u << 25;
        assert_true(machine_start(&m));
        m.fake->calls = 0;
        m.fake->fail_at = n;
        (void)machine_run(&m);
        bool failed = m.fake->failed;
        m.fake->fail_at = 0;
        assert_int_equal(m.fake->violations, 0);
        if (dam_takeover_may_hide(m.t)) {
            leads(FAR, WINDOW_START, true, WINDOW_START);
            refused(FAR, M_POOL_START, true);
            assert_int_equal(m.fake->unit[0].gsts >> 25 & 1, 0);
        }
        if (!failed)
            break;
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_requester_under_every_policy),
        TEST(nobody_without_hiding),
        TEST(named_ones_alone),
        TEST(a_collision_refuses_all_of_it),
        TEST(a_named_one_gets_it_all_the_same),
        TEST(identity_is_no_collision),
        TEST(broken_tables_get_the_window_alone),
        TEST(verification_leaves_the_window),
        TEST(scalable_mode),
        TEST(nested_translation_goes_without),
        TEST(it_costs_a_few_pages),
        TEST(the_pool_may_run_out),
        TEST(interrupts_and_protected_memory),
        TEST(hardware_that_does_not_let_go),
        TEST(left_as_they_were_when_shown),
        TEST(every_unit_has_to_be_ours),
        TEST(every_failing_call),
    };
    return cmocka_run_group_tests_name("takeover crash window", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Devices with TLBs of their own. While the old tables are in use they reach what Old says; from the end of
// the switch on nothing that they kept counts, whatever they do and whether they can be spoken to or not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC   0x0018u // 00:03.0, depth 7
#define DISK  0x0020u // 00:04.0, depth 0
#define PF    0x0100u // 01:00.0
#define VF(n) (0x0180u + 2 * (n))
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull
#define ECAM  0x1000000000ull

#define DT    (1ull << 2)
#define PRS   (1ull << 29)
#define DIT   (1ull << 41)

static struct machine m;
static bool switched; // the takeover is past commit: what was allowed before counts no more
static bool half_way; // the unit failed before its tables refuse
static unsigned looks;

static struct fake_pci *function(unsigned segment, unsigned rid)
{
    struct fake_pci *f = fake_vtd_pci(m.fake, rid >> 8, rid >> 3 & 31, rid & 7, 0);
    f->segment = (uint16_t)segment;
    return f;
}

static void attach(unsigned unit, unsigned rid, unsigned type)
{
    uint64_t tree = old_kernel_page(&m.k[unit]);
    old_kernel_map(&m.k[unit], tree, 4, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_attach(&m.k[unit], rid, type, 4, 5 + (rid & 0xFF), tree);
}

static struct fake_pci *device(unsigned rid, unsigned depth)
{
    struct fake_pci *f = function(0, rid);
    fake_ats_device(f, depth);
    attach(0, rid, 1);
    return f;
}

static void setup_units(unsigned units, bool ecam)
{
    switched = half_way = false;
    looks = 0;
    machine_setup(&m, units);
    for (unsigned u = 0; u < units; u++)
        m.fake->unit[u].ecap |= DT | DIT;
    function(0, 0); // the host bridge
    fake_vtd_ecam(m.fake, ECAM, 0);
    if (ecam)
        firmware_ecam(&m.firmware, ECAM, 0);
}

static int setup(void **state)
{
    (void)state;
    setup_units(1, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

// What every device with ATS tries at each moment.
static void probe(void)
{
    looks++;
    for (unsigned i = 0; i < m.fake->functions; i++) {
        struct fake_pci *f = &m.fake->pci[i];
        if (!f->has_ats || f->segment)
            continue;
        for (unsigned write = 0; write < 2; write++) {
            struct fake_dma_result r = fake_ats_dma(m.fake, 0, f, RW, write);
            if (r.untranslated || (r.ok && r.pa != RW_PA))
                fail_msg("DMA goes to %#llx", (unsigned long long)r.pa);
            if (switched && write && r.ok && m.config.policy == DAM_POLICY_FREEZE)
                fail_msg("a write passes after the switch");
        }
    }
}

static void after_write(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)offset;
    (void)value;
    // Whoever is asked to forget is refused translated requests already.
    struct naive_vtd hw = fake_vtd_naive(fake, unit);
    if (fake->unit[unit].device_tlb) {
        assert_int_equal(naive_vtd_context(&hw, NIC).type, 0);
        switched = true;
    }
    probe();
}

static void before_config(struct fake_vtd *fake, struct fake_pci *f)
{
    (void)fake;
    (void)f;
    assert_int_equal(dam_takeover_phase(m.t), DAM_PHASE_VERIFY);
    switched = !half_way;
    probe();
}

static enum dam_stop run(void)
{
    assert_true(machine_start(&m));
    probe(); // everybody knows what Old says
    m.fake->after_write = after_write;
    m.fake->before_config = before_config;
    assert_int_equal(dam_takeover_prepare(m.t), DAM_STOP_NONE);
    assert_int_equal(m.fake->config_writes, 0);
    assert_int_equal(m.fake->write_count, 0);
    uint64_t began = m.fake->now_us;
    enum dam_stop stop = dam_takeover_commit(m.t);
    if (m.fake->violations)
        fail_msg("%s", m.fake->violation);
    assert_true(m.fake->now_us - began < 20 * m.config.max_wait_us);
    assert_true(machine_old_memory_untouched(&m));
    assert_int_equal(m.fake->unit[0].tes_off, 0);
    assert_int_equal(m.fake->unit[0].faults_recorded, 0);
    switched = stop == DAM_STOP_NONE;
    m.fake->after_write = NULL;
    m.fake->before_config = NULL;
    probe();
    machine_report(&m);
    return stop;
}

static void expect_off(unsigned rid, const struct fake_pci *f)
{
    assert_false(fake_ats_on(f));
    assert_int_equal(f->config[(FAKE_PRI + 4) / 4] & 1, 0);
    assert_true(machine_requester(&m, 0, rid)->flags & DAM_REQ_ATS_OFF);
}

static bool reads(struct fake_pci *f)
{
    return fake_ats_dma(m.fake, 0, f, RW, false).ok;
}

// ---- as it should be -------------------------------------------------------------------------------------
static void refused_forgotten_and_off(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7), *disk = device(DISK, 0);
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_true(looks > 10);
    assert_true(machine_requester(&m, 0, NIC)->flags & DAM_REQ_ATS);
    expect_off(NIC, nic);
    expect_off(DISK, disk);
    assert_int_equal(nic->invalidations, 1);
    assert_int_equal(disk->invalidations, 1);
    assert_int_equal(m.fake->unit[0].device_tlb, 2);
    assert_int_equal(m.fake->config_writes, 4);
    // By the tables they read as they did.
    assert_true(reads(nic));
    assert_true(reads(disk));
    assert_int_equal(m.fake->unit[0].iqh, m.fake->unit[0].iqt);
    assert_true(m.fake->unit[0].last_was_wait);
    uint32_t count;
    const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_int_equal(u->after.vtd.iqt, m.fake->unit[0].iqt);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_REFUSED), 2);
}

static void what_the_descriptor_says(void **state)
{
    for (unsigned dit = 0; dit < 2; dit++) {
        teardown(state);
        setup(state);
        device(NIC, 7);
        m.fake->unit[0].ecap &= dit ? ~0ull : ~DIT;
        assert_int_equal(run(), DAM_STOP_NONE);
        assert_int_equal(m.fake->unit[0].last_depth, 7);
        assert_int_equal(m.fake->unit[0].last_pfsid, dit ? NIC : 0);
    }
}

static void every_policy(void **state)
{
    for (unsigned policy = 0; policy < 4; policy++) {
        teardown(state);
        setup(state);
        struct fake_pci *nic = device(NIC, 7);
        m.config.policy = policy;
        assert_true(machine_start(&m));
        assert_true(fake_ats_dma(m.fake, 0, nic, RW, true).ok);
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        assert_string_equal(m.fake->violation, "");
        machine_report(&m);
        expect_off(NIC, nic);
        struct fake_dma_result r = fake_ats_dma(m.fake, 0, nic, RW, true);
        assert_int_equal(r.ok, policy == DAM_POLICY_PRESERVE || policy == DAM_POLICY_SCRATCH);
        assert_int_equal(r.ok && r.pa == RW_PA, policy == DAM_POLICY_PRESERVE);
    }
}

static void off_already(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7);
    nic->config[(FAKE_ATS + 4) / 4] = 7;
    nic->config[(FAKE_PRI + 4) / 4] = 0;
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_int_equal(m.fake->config_writes, 0);
    assert_int_equal(m.fake->unit[0].device_tlb, 0);
    assert_false(machine_requester(&m, 0, NIC)->flags & DAM_REQ_ATS_OFF);
}

static void on_although_not_allowed(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7);
    old_kernel_context(&m.k[0], NIC)[0] &= ~(3ull << 2);
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_UNASKED), 1);
    expect_off(NIC, nic);
}

// ---- virtual functions -----------------------------------------------------------------------------------
static void virtual_functions(void **state)
{
    for (unsigned known = 0; known < 2; known++) {
        teardown(state);
        setup(state);
        struct fake_pci *pf = function(0, PF), *vf[3];
        fake_ats_device(pf, 12);
        fake_ats_physical(pf, 3, 0x80, 2);
        if (known)
            attach(0, PF, 1);
        for (unsigned i = 0; i < 3; i++) {
            vf[i] = function(0, VF(i));
            fake_ats_virtual(vf[i]);
            attach(0, VF(i), 1);
        }
        switched = false;
        assert_int_equal(run(), DAM_STOP_NONE);
        for (unsigned i = 0; i < 3; i++) {
            expect_off(VF(i), vf[i]);
            assert_int_equal(vf[i]->invalidations, 1);
        }
        // Its own id, where the physical function has no context entry.
        assert_int_equal(m.fake->unit[0].last_pfsid, known ? PF : VF(2));
        assert_int_equal(m.fake->unit[0].last_depth, 0);
        assert_int_equal(fake_ats_on(pf), !known); // nobody lets it through
    }
}

// ---- devices that cannot be spoken to --------------------------------------------------------------------
static void silent(uint64_t gives_up_us)
{
    struct fake_pci *nic = device(NIC, 7), *disk = device(DISK, 0);
    nic->deaf = true;
    m.fake->unit[0].device_gives_up_us = gives_up_us;
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_SILENT), 1);
    expect_off(NIC, nic);
    expect_off(DISK, disk);
    assert_int_equal(m.fake->unit[0].device_tlb, 1); // the others are not asked
    assert_true(reads(disk));
}

static void given_up_at_once(void **state)
{
    (void)state;
    silent(1);
    assert_int_equal(m.fake->unit[0].fsts, 0);
    assert_int_equal(m.fake->unit[0].iqh, m.fake->unit[0].iqt); // the queue goes on
}

static void given_up_after_a_while(void **state)
{
    (void)state;
    silent(2500); // longer than two waits
    assert_int_equal(m.fake->unit[0].fsts, 0);
    assert_int_equal(m.fake->unit[0].iqh, m.fake->unit[0].iqt);
}

static void never_given_up(void **state)
{
    (void)state;
    silent(0);
    uint32_t count;
    const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_int_equal(u->status, DAM_UNIT_TAKEN); // it is contained all the same
}

static void gone(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7), *disk = device(DISK, 0);
    nic->gone = true;
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_CONFIG), 1);
    assert_int_equal(m.fake->unit[0].device_tlb, 1); // who does not answer is not asked
    assert_true(fake_ats_on(nic));
    assert_false(fake_ats_dma(m.fake, 0, nic, RW, true).ok);
    assert_false(machine_requester(&m, 0, NIC)->flags & DAM_REQ_ATS_OFF);
    expect_off(DISK, disk);
}

static void out_of_reach(void **state)
{
    teardown(state);
    setup_units(1, false); // no MCFG table
    struct fake_pci *nic = device(NIC, 7);
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_CONFIG), 1);
    assert_true(fake_ats_on(nic));
    assert_false(fake_ats_dma(m.fake, 0, nic, RW, true).ok);
    assert_false(fake_ats_dma(m.fake, 0, nic, RW, false).ok);
    assert_int_equal(m.fake->config_reads, 0);
}

static void bits_that_stay(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7), *disk = device(DISK, 0);
    nic->ats_stays = true;
    disk->pages_stay = true;
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_STAYS_ON), 2);
    assert_false(machine_requester(&m, 0, NIC)->flags & DAM_REQ_ATS_OFF);
    assert_false(fake_ats_dma(m.fake, 0, nic, RW, true).ok);
    assert_int_equal(nic->invalidations, 1);
    assert_false(fake_ats_on(disk));
}

static void capabilities_in_a_circle(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7);
    nic->config[FAKE_ATS / 4] |= 0x100u << 20;
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_int_equal(machine_findings(&m, DAM_F_PCI_CAPABILITIES), 1);
    expect_off(NIC, nic);
    assert_true(m.fake->config_reads < 1000);
}

static void slow_down(struct fake_vtd *fake, struct fake_pci *f)
{
    (void)f;
    fake->step_us = 100000;
}

static void no_time_left(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7);
    device(DISK, 0);
    device(PF, 0);
    assert_true(machine_start(&m));
    m.fake->before_config = slow_down;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    m.fake->step_us = 1;
    machine_report(&m);
    expect_off(NIC, nic);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_TIME), 1);
    uint32_t count;
    const struct dam_finding *f = machine_section(&m, DAM_SECTION_FINDINGS, &count);
    while (count && f->code != DAM_F_ATS_TIME)
        f++, count--;
    assert_int_equal(f->raw, 2);
    switched = true;
    probe();
}

// ---- units -----------------------------------------------------------------------------------------------
static void without_a_queue(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7);
    m.fake->unit[0].ecap &= ~2ull;
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_int_equal(m.fake->unit[0].device_tlb, 0);
    expect_off(NIC, nic);
}

static void unit_without_device_tlbs(void **state)
{
    (void)state;
    device(NIC, 7);
    m.fake->unit[0].ecap &= ~DT;
    old_kernel_context(&m.k[0], NIC)[0] &= ~(3ull << 2);
    assert_true(machine_start(&m));
    uint64_t before = m.fake->config_reads;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_true(m.fake->config_reads - before < 4); // discover looks at the host bridge
    assert_int_equal(m.fake->config_writes, 0);
}

// Half way the copy of the old tables may be in use: then ATS is what must go.
static void unit_that_failed_half_way(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7);
    m.fake->unit[0].stuck = FAKE_STUCK_SRTP;
    half_way = true;
    assert_int_equal(run(), DAM_STOP_COMMIT_TIMEOUT);
    assert_int_equal(m.fake->unit[0].device_tlb, 0);
    expect_off(NIC, nic);
}

static void unit_left_alone(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC, 7);
    fake_vtd_run(&m.fake->unit[0], m.k[0].root, M_QUEUES);
    m.fake->unit[0].stuck = FAKE_STUCK_QUEUE;
    m.fake->unit[0].iqt = 64;
    assert_int_equal(run(), DAM_STOP_QUEUE);
    assert_true(fake_ats_on(nic));
    assert_true(fake_ats_dma(m.fake, 0, nic, RW, true).ok);
    assert_int_equal(m.fake->config_writes, 0);
}

// The same id in two segments: each has a configuration space of its own.
static void segments(void **state)
{
    teardown(state);
    setup_units(2, true);
    fake_vtd_ecam(m.fake, ECAM + (256 << 20), 1);
    firmware_ecam(&m.firmware, ECAM + (256 << 20), 1);
    m.firmware.dmar[48 + 16 + 6] = 1; // the second unit's
    m.fake->unit[1].segment = 1;
    struct fake_pci *plain = function(0, NIC), *other = function(1, NIC);
    fake_ats_device(other, 3);
    attach(0, NIC, 1);
    attach(1, NIC, 1);
    assert_int_equal(run(), DAM_STOP_NONE);
    assert_false(fake_ats_on(other));
    assert_int_equal(plain->config[(FAKE_ATS + 4) / 4], 0);
    assert_int_equal(m.fake->unit[0].device_tlb, 0);
    assert_int_equal(m.fake->unit[1].device_tlb, 1);
    assert_true(machine_requester(&m, 1, NIC)->flags & DAM_REQ_ATS_OFF);
    assert_false(machine_requester(&m, 0, NIC)->flags & DAM_REQ_ATS_OFF);
}

// ---- scalable mode ---------------------------------------------------------------------------------------
#define PASIDS 40u // more than one batch of requests

// PASIDs 0 (of requests without one) to PASIDS - 1, all to the same page; the context entry allows translated
// requests.
static struct fake_pci *scalable_device(bool knows_pasids)
{
    machine_scalable(&m, 0);
    m.fake->unit[0].ecap |= PRS;
    struct fake_pci *f = function(0, NIC);
    fake_ats_device(f, 9);
    if (knows_pasids)
        fake_ats_pasids(f);
    old_kernel_directory(&m.k[0], NIC, 0, 1 << 2 | 1 << 3 | 1 << 4);
    for (unsigned pasid = 0; pasid < PASIDS; pasid++) {
        uint64_t tree = old_kernel_page(&m.k[0]);
        old_kernel_map(&m.k[0], tree, 4, 0, RW, RW_PA, OLD_R | OLD_W);
        old_kernel_bind(&m.k[0], NIC, pasid, 2, 4, 10 + pasid, tree);
    }
    return f;
}

static void probe_pasids(struct fake_pci *f)
{
    for (unsigned pasid = 0; pasid < PASIDS; pasid++) {
        struct fake_dma_result r = fake_ats_dma_pasid(m.fake, 0, f, pasid ? pasid : NAIVE_NO_PASID, RW, true);
        if (r.untranslated || (r.ok && (switched || r.pa != RW_PA)))
            fail_msg("a write with PASID %u goes to %#llx", pasid, (unsigned long long)r.pa);
    }
}

static void every_pasid_before_config(struct fake_vtd *fake, struct fake_pci *f)
{
    (void)fake;
    switched = true;
    if (f->invalidations_pasid)
        for (unsigned i = 0; i < FAKE_ATC; i++)
            assert_false(f->atc[i].used); // all is forgotten before anything is switched off
    probe_pasids(f);
}

static void scalable(void **state)
{
    for (unsigned knows = 0; knows < 2; knows++) {
        teardown(state);
        setup(state);
        struct fake_pci *nic = scalable_device(knows);
        assert_true(machine_start(&m));
        probe_pasids(nic);
        m.fake->before_config = every_pasid_before_config;
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        assert_string_equal(m.fake->violation, "");
        assert_int_equal(m.fake->config_writes, 2);
        assert_int_equal(nic->invalidations, 1);
        assert_int_equal(nic->invalidations_pasid, knows ? PASIDS - 1 : 0);
        assert_int_equal(m.fake->unit[0].last_depth, 9);
        assert_int_equal(m.fake->unit[0].last_pfsid, NIC);
        assert_int_equal(m.fake->unit[0].iqh, m.fake->unit[0].iqt);
        assert_false(fake_ats_on(nic));
        probe_pasids(nic);
        assert_true(fake_ats_dma_pasid(m.fake, 0, nic, 7, RW, false).ok);
        assert_int_equal(m.fake->unit[0].faults_recorded, 0);
        machine_report(&m);
        uint32_t count, off = 0;
        const struct dam_note_requester *r = machine_section(&m, DAM_SECTION_REQUESTERS, &count);
        for (uint32_t i = 0; i < count; i++)
            off += r[i].rid == NIC && (r[i].flags & DAM_REQ_ATS) && (r[i].flags & DAM_REQ_ATS_OFF);
        assert_int_equal(off, PASIDS);
    }
}

static void scalable_and_silent(void **state)
{
    (void)state;
    struct fake_pci *nic = scalable_device(true);
    nic->deaf = true;
    m.fake->unit[0].device_gives_up_us = 300;
    assert_true(machine_start(&m));
    probe_pasids(nic);
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    switched = true;
    probe_pasids(nic);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_SILENT), 1);
    assert_true(m.fake->unit[0].device_tlb <= 32);
    assert_false(fake_ats_on(nic));
    assert_int_equal(m.fake->unit[0].iqh, m.fake->unit[0].iqt);
    assert_int_equal(m.fake->unit[0].fsts, 0);
}

// ---- the Nth operation fails -----------------------------------------------------------------------------
static void any_call_fails(bool and_all_later)
{
    unsigned n = 1, after_commit = 0;
    for (;; n++) {
        machine_teardown(&m);
        setup_units(1, true);
        struct fake_pci *nic = device(NIC, 7);
        device(DISK, 0)->deaf = n % 2;
        m.fake->unit[0].device_gives_up_us = 300;
        assert_true(machine_start(&m));
        probe();
        m.fake->fail_at = n;
        m.fake->fail_from = and_all_later;
        enum dam_stop stop = machine_run(&m);
        bool failed = m.fake->failed != 0;
        m.fake->fail_at = 0;
        if (m.fake->violations)
            fail_msg("call %u: %s", n, m.fake->violation);
        assert_int_equal(m.fake->unit[0].tes_off, 0);
        machine_report(&m);
        uint32_t count;
        const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
        switched = count && u->status == DAM_UNIT_TAKEN;
        probe();
        if (DAM_STOP_IS_UNTOUCHED(stop))
            assert_int_equal(m.fake->config_writes, 0);
        after_commit += failed && switched;
        if (!failed) {
            assert_int_equal(stop, DAM_STOP_NONE);
            assert_false(fake_ats_on(nic));
            break;
        }
    }
    assert_true(n > 80);
    assert_true(after_commit > 20);
}

static void any_call_fails_once(void **state)
{
    (void)state;
    any_call_fails(false);
}

static void any_call_and_all_later_fail(void **state)
{
    (void)state;
    any_call_fails(true);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(refused_forgotten_and_off),
        T(what_the_descriptor_says),
        T(every_policy),
        T(off_already),
        T(on_although_not_allowed),
        T(virtual_functions),
        T(given_up_at_once),
        T(given_up_after_a_while),
        T(never_given_up),
        T(gone),
        T(out_of_reach),
        T(bits_that_stay),
        T(capabilities_in_a_circle),
        T(no_time_left),
        T(without_a_queue),
        T(unit_without_device_tlbs),
        T(unit_that_failed_half_way),
        T(unit_left_alone),
        T(segments),
        T(scalable),
        T(scalable_and_silent),
        T(any_call_fails_once),
        T(any_call_and_all_later_fail),
    };
    return cmocka_run_group_tests_name("takeover of devices with TLBs", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Devices with TLBs of their own, below AMD IOMMUs. While the old tables are in use they reach what Old says;
// from the end of the switch on nothing that they kept counts, whether they can be spoken to or not.
#include <string.h>

#include "lib/amd_dma.h"

#define NIC   0x0018u
#define DISK  0x0020u
#define GUEST 0x0028u // with PASIDs 0 and 4
#define OPEN  0x0030u // V = 0
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull
#define ECAM  0x1000000000ull
#define ALL   (OLD_FS_P | OLD_FS_W | OLD_FS_U | OLD_FS_A | OLD_FS_D)

static struct machine m;
static struct fake_amd_unit *u;
static bool switched;

static struct fake_pci *function(unsigned devid)
{
    struct fake_pci *f = fake_vtd_pci(m.fake, devid >> 8, devid >> 3 & 31, devid & 7, 0);
    fake_ats_device(f, 5);
    return f;
}

static struct fake_pci *device(unsigned devid)
{
    uint64_t tree = old_kernel_page(&m.k[0]);
    old_amd_map(&m.k[0], tree, 3, 0, RW, RW_PA, OLD_R | OLD_W);
    old_amd_attach(&m.k[0], devid, 3, devid, tree, OLD_R | OLD_W);
    old_amd_entry(&m.k[0], devid)[1] |= OLD_AMD_I;
    return function(devid);
}

static struct fake_pci *guest(void)
{
    uint64_t tree = old_kernel_page(&m.k[0]);
    old_kernel_map_first(&m.k[0], tree, 4, 0, RW, RW_PA, ALL);
    old_amd_attach(&m.k[0], GUEST, 0, 7, 0, OLD_R | OLD_W);
    old_amd_guest(&m.k[0], GUEST, 1, true, 4);
    *old_amd_gcr3(&m.k[0], GUEST, 0) = tree | 1;
    *old_amd_gcr3(&m.k[0], GUEST, 4) = tree | 1;
    old_amd_entry(&m.k[0], GUEST)[1] |= OLD_AMD_I;
    struct fake_pci *f = function(GUEST);
    fake_ats_pasids(f);
    return f;
}

static int setup(void **state)
{
    (void)state;
    switched = false;
    machine_setup_amd(&m, 1);
    u = &m.amd->unit[0];
    fake_vtd_pci(m.fake, 0, 0, 0, 0); // the host bridge
    fake_vtd_ecam(m.fake, ECAM, 0);
    firmware_ecam(&m.firmware, ECAM, 0);
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
    for (unsigned i = 0; i < m.fake->functions; i++) {
        struct fake_pci *f = &m.fake->pci[i];
        for (unsigned n = 0; f->has_ats && n < 4; n++) {
            const bool write = n & 1, open = f->device == OPEN >> 3;
            const unsigned pasid = n & 2 && f->device == GUEST >> 3 ? 4 : NO_PASID;
            struct fake_amd_dma r = fake_amdvi_ats_dma(m.amd, 0, f, pasid, open ? RW_PA : RW, write);
            if (r.untranslated || (r.ok && r.pa != RW_PA))
                fail_msg("DMA goes to %#llx", (unsigned long long)r.pa);
            if (switched && write && r.ok && m.config.policy == DAM_POLICY_FREEZE)
                fail_msg("a write of %#x passes after the switch", f->device << 3);
        }
    }
}

static void after_write(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)fake;
    (void)unit;
    (void)offset;
    (void)value;
    switched = switched || u->of_op[4]; // whoever is asked to forget is refused already
    probe();
}

static void before_config(struct fake_vtd *fake, struct fake_pci *f)
{
    (void)fake;
    (void)f;
    assert_int_equal(dam_takeover_phase(m.t), DAM_PHASE_VERIFY);
    switched = true;
    probe();
}

static void run(void)
{
    assert_true(machine_start(&m));
    probe(); // everybody knows what Old says
    m.fake->after_write = after_write;
    m.fake->before_config = before_config;
    assert_int_equal(dam_takeover_prepare(m.t), DAM_STOP_NONE);
    assert_int_equal(m.fake->config_writes, 0);
    assert_int_equal(m.fake->write_count, 0);
    uint64_t began = m.fake->now_us;
    assert_int_equal(dam_takeover_commit(m.t), DAM_STOP_NONE);
    assert_true(m.fake->now_us - began < 40 * m.config.max_wait_us);
    m.fake->step_us = 2000000; // longer than any unit waits for a device by then
    dam_clock_us(&m.fake->ops);
    dam_clock_us(&m.fake->ops);
    amd_taken(&m, 0);
    assert_int_equal(u->interrupts, 0);
    switched = true;
    m.fake->after_write = NULL;
    m.fake->before_config = NULL;
    probe();
    machine_report(&m);
}

static void is_off(unsigned devid, const struct fake_pci *f)
{
    assert_false(fake_ats_on(f));
    assert_int_equal(f->config[(FAKE_PRI + 4) / 4] & 1, 0);
    assert_true(machine_requester(&m, 0, devid)->flags & DAM_REQ_ATS_OFF);
}

static void refused_forgotten_and_off(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC), *disk = device(DISK);
    run();
    is_off(NIC, nic);
    is_off(DISK, disk);
    assert_int_equal(nic->invalidations, 1);
    assert_int_equal(disk->invalidations, 1);
    assert_int_equal(u->of_op[4], 2);
    assert_int_equal(fake_amdvi_entry(m.amd, 0, NIC)[1] >> 32 & 1, 0);
    assert_true(fake_amdvi_ats_dma(m.amd, 0, nic, NO_PASID, RW, false).ok);
    assert_int_equal(machine_findings(&m, DAM_F_ATS_REFUSED), 2);
}

static void every_policy(void **state)
{
    for (unsigned policy = 0; policy < 4; policy++) {
        setup(state);
        struct fake_pci *nic = device(NIC);
        m.config.policy = (enum dam_policy)policy;
        assert_true(machine_start(&m));
        assert_true(fake_amdvi_ats_dma(m.amd, 0, nic, NO_PASID, RW, true).ok);
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        amd_taken(&m, 0);
        machine_report(&m);
        is_off(NIC, nic);
        struct fake_amd_dma r = fake_amdvi_ats_dma(m.amd, 0, nic, NO_PASID, RW, true);
        assert_int_equal(r.ok, policy == DAM_POLICY_PRESERVE || policy == DAM_POLICY_SCRATCH);
        assert_int_equal(r.ok && r.pa == RW_PA, policy == DAM_POLICY_PRESERVE);
        teardown(state);
    }
}

static void every_pasid_is_forgotten(void **state)
{
    (void)state;
    struct fake_pci *f = guest();
    run();
    assert_false(fake_ats_on(f));
    assert_int_equal(f->invalidations_pasid, 1); // PASID 0 is that of requests without one
    assert_true(fake_amdvi_ats_dma(m.amd, 0, f, 4, RW, false).ok);
    assert_false(fake_amdvi_ats_dma(m.amd, 0, f, 4, RW, true).ok);
}

// An entry with V = 0 forbids nothing, device TLBs neither.
static void a_device_whose_entry_is_open(void **state)
{
    (void)state;
    old_amd_entry(&m.k[0], OPEN)[0] = 0;
    struct fake_pci *f = function(OPEN);
    run();
    assert_false(fake_amdvi_ats_dma(m.amd, 0, f, NO_PASID, RW_PA, true).ok);
}

static void silent(unsigned timeout)
{
    struct fake_pci *nic = device(NIC), *disk = device(DISK);
    nic->deaf = true;
    fake_amdvi_run(u, m.k[0].root | (M_AMD_ENTRIES / 128 - 1), M_AMD_BUFFERS, M_AMD_BUFFERS + 0x2000);
    u->control |= (uint64_t)timeout << 5;
    run();
    assert_int_equal(machine_findings(&m, DAM_F_ATS_SILENT), 1);
    assert_false(fake_ats_on(nic));
    assert_false(fake_ats_on(disk));
    assert_true(fake_amdvi_ats_dma(m.amd, 0, disk, NO_PASID, RW, false).ok);
    assert_false(fake_amdvi_ats_dma(m.amd, 0, nic, NO_PASID, RW, true).ok);
    uint32_t count;
    const struct dam_note_unit *note = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_int_equal(note->status, DAM_UNIT_TAKEN);     // it is contained all the same
    assert_int_equal(u->command_head, u->command_tail); // and the next kernel's commands are obeyed
    assert_int_equal(u->status >> 4 & 1, 1);
}

static void silent_and_given_up_at_once(void **state)
{
    (void)state;
    silent(1);
}

static void silent_and_given_up_after_a_while(void **state)
{
    (void)state;
    silent(2); // 10 ms, longer than one waits
}

static void silent_for_ever(void **state)
{
    (void)state;
    silent(0);
}

static void a_unit_without_device_tlbs(void **state)
{
    (void)state;
    struct fake_pci *nic = device(NIC);
    u->no_device_tlbs = true;
    m.fake->pci[0].config[0x40 / 4] &= ~(1u << 24);
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    amd_taken(&m, 0);
    assert_int_equal(u->of_op[4], 0);
    assert_int_equal(u->events_total, 0);
    assert_false(fake_amdvi_ats_dma(m.amd, 0, nic, NO_PASID, RW, true).ok);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refused_forgotten_and_off),
        cmocka_unit_test(every_policy),
        TEST(every_pasid_is_forgotten),
        TEST(a_device_whose_entry_is_open),
        TEST(silent_and_given_up_at_once),
        TEST(silent_and_given_up_after_a_while),
        TEST(silent_for_ever),
        TEST(a_unit_without_device_tlbs),
    };
    return cmocka_run_group_tests_name("device TLBs below AMD's IOMMU", tests, NULL, NULL);
}

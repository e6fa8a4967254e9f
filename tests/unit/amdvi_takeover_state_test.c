// SPDX-License-Identifier: MIT
// What the old kernel left in AMD IOMMUs besides tables: event log, page request log, guest interrupt log,
// locked registers (SNP), segments, interrupt tables; and units that are off.
#include <string.h>

#include "lib/amd_dma.h"

#define NIC   0x0018u
#define APIC  0x00A0u // the I/O APIC's id
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull
#define DATA  0x00340000ull

static struct machine m;
static struct fake_amd_unit *u;
static uint64_t tree;

static int setup(void **state)
{
    (void)state;
    machine_setup_amd(&m, 1);
    u = &m.amd->unit[0];
    tree = old_kernel_page(&m.k[0]);
    old_amd_map(&m.k[0], tree, 3, 0, RW, RW_PA, OLD_R | OLD_W);
    old_amd_attach(&m.k[0], NIC, 3, 5, tree, OLD_R | OLD_W);
    firmware_ivhd_special(&m.firmware, 2, APIC, 1);
    fake_amdvi_run(u, m.k[0].root | (M_AMD_ENTRIES / 128 - 1), M_AMD_BUFFERS, M_AMD_BUFFERS + 0x2000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static void frozen(void)
{
    amd_taken(&m, 0);
    amd_leads(&m, 0, NIC, NO_PASID, RW, false, RW_PA);
    amd_refused(&m, 0, NIC, NO_PASID, RW, true);
    machine_report(&m);
}

static void take_over(void)
{
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    frozen();
}

// The unit is as it was: tables, buffers and what it does with them.
static enum dam_stop as_it_was(void)
{
    assert_true(machine_start(&m));
    const struct fake_amd_unit before = *u;
    enum dam_stop stop = machine_run(&m);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(u->off, 0);
    assert_int_equal(u->device_table[0], before.device_table[0]);
    assert_int_equal(u->command_base, before.command_base);
    assert_int_equal(u->command_head, before.command_head);
    assert_int_equal(u->command_tail, before.command_tail);
    assert_int_equal(u->event_base, before.event_base);
    assert_int_equal(u->control, before.control);
    assert_int_equal(u->exclusion_base, before.exclusion_base);
    assert_true(machine_old_memory_untouched(&m));
    amd_leads(&m, 0, NIC, NO_PASID, RW, true, RW_PA);
    machine_report(&m);
    return stop;
}

static void left_alone(enum dam_unit_status status)
{
    enum dam_stop stop = as_it_was();
    assert_true(DAM_STOP_IS_UNTOUCHED(stop));
    uint32_t count;
    const struct dam_note_unit *note = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_int_equal(count, 1);
    assert_int_equal(note->status, status);
    assert_int_equal(machine_summary(&m)->flags & DAM_SUMMARY_COMMITTED, 0);
}

// ---- logs -------------------------------------------------------------------------------------------------
static void an_event_log_that_is_full(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 600; i++)
        fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, 0x1000, true);
    assert_int_equal(u->status & 1, 1);
    unsigned events = u->events_total;
    take_over();
    assert_int_equal(u->events_total, events);
    assert_int_equal(u->status & 1, 0); // the next kernel finds it running
    assert_int_equal(u->status >> 3 & 1, 1);
}

// Whoever writes events afterwards fills our log, and no more.
static void our_log_may_overflow(void **state)
{
    (void)state;
    take_over();
    unsigned interrupts = u->interrupts;
    for (unsigned i = 0; i < 600; i++)
        fake_amdvi_dma(m.amd, 0, 0x8000, NO_PASID, 0x1000, true); // beyond the device table
    assert_int_equal(u->events_logged, 511);
    assert_int_equal(u->interrupts, interrupts);
    frozen();
}

static void logs_into_old_memory_stop(void **state)
{
    (void)state;
    u->efr |= FAKE_AMD_EFR_PPR | FAKE_AMD_EFR_GA;
    u->ppr_base = DATA | 9ull << 56;
    u->ga_base = (DATA + 0x4000) | 9ull << 56;
    u->ga_tail_address = DATA + 0x8000;
    u->control |= FAKE_AMD_PPR | FAKE_AMD_PPR_LOG | FAKE_AMD_PPR_INT | FAKE_AMD_GA_LOG | FAKE_AMD_GA_INT;
    fake_amdvi_page_request(m.amd, 0);
    fake_amdvi_guest_interrupt(m.amd, 0);
    assert_int_equal(u->page_requests + u->guest_interrupts, 2);
    unsigned interrupts = u->interrupts;
    take_over();
    fake_amdvi_page_request(m.amd, 0);
    fake_amdvi_guest_interrupt(m.amd, 0);
    assert_true(machine_old_memory_untouched(&m));
    assert_int_equal(u->interrupts, interrupts);
    assert_int_equal(m.fake->violations, 0);
}

// The old buffers lie where no memory is known, or are not running: ours are used all the same.
static void old_buffers_in_any_state(void **state)
{
    static const uint64_t bases[] = {0, M_CRASH_START | 9ull << 56, 0x123456000 | 15ull << 56, ~0ull};
    for (unsigned i = 0; i < 8; i++) {
        setup(state);
        u->command_base = bases[i / 2] & 0x0F0FFFFFFFFFF000ull;
        u->event_base = bases[i / 2] & 0x0F0FFFFFFFFFF000ull;
        if (i & 1) {
            u->control &= ~(FAKE_AMD_CMD_BUF | FAKE_AMD_EVT_LOG);
            u->status = 0;
            u->command_head = 0x7FFF0;
        }
        take_over();
        teardown(state);
    }
}

static void commands_that_stopped_with_an_error(void **state)
{
    (void)state;
    u->command_error = true;
    u->status &= ~(1ull << 4);
    u->command_head = 0x40;
    u->command_tail = 0x80;
    take_over();
}

// ---- locked registers -------------------------------------------------------------------------------------
static void under_snp_the_unit_is_left_alone(void **state)
{
    (void)state;
    u->efr |= FAKE_AMD_EFR_SNP;
    u->snp = true;
    u->exclusion_base = DATA;
    u->exclusion_limit = DATA;
    left_alone(DAM_UNIT_FAILED_BEFORE);
}

static void snp_that_is_not_initialised_locks_nothing(void **state)
{
    (void)state;
    u->efr |= FAKE_AMD_EFR_SNP;
    take_over();
}

static void any_of_the_registers_may_be_locked(void **state)
{
    static const uint16_t registers[] = {0x0000, 0x0008, 0x0010};
    for (unsigned i = 0; i < 3; i++) {
        setup(state);
        u->locked[0] = (uint16_t)(registers[i] + 1);
        if (i == 0) // known only when it was to be switched
            assert_int_not_equal(as_it_was(), DAM_STOP_NONE);
        else
            left_alone(DAM_UNIT_FAILED_BEFORE);
        assert_int_equal(machine_findings(&m, DAM_F_UNIT_LOCKED), 1);
        teardown(state);
    }
}

// ---- segments ---------------------------------------------------------------------------------------------
static void every_segment_is_taken_over(void **state)
{
    (void)state;
    const unsigned far = 0x8018;
    uint64_t second = old_kernel_page(&m.k[0]);
    uint64_t *e = old_kernel_word(&m.k[0], second + 0x18 * 32);
    for (unsigned i = 0; i < 128; i++)
        *old_kernel_word(&m.k[0], second + 32 * i) = OLD_AMD_V | OLD_AMD_TV;
    e[0] = OLD_AMD_V | OLD_AMD_TV | OLD_AMD_RW | 3ull << 9 | tree;
    e[1] = 6;
    u->efr |= FAKE_AMD_EFR_SEGS(3);
    u->control |= 1ull << 34;
    u->device_table[1] = second;
    assert_true(machine_start(&m));
    amd_leads(&m, 0, far, NO_PASID, RW, true, RW_PA);
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    frozen();
    assert_in_range(u->device_table[1], M_POOL_START, M_POOL_START + M_POOL_SIZE);
    amd_leads(&m, 0, far, NO_PASID, RW, false, RW_PA);
    amd_refused(&m, 0, far, NO_PASID, RW, true);
    amd_refused(&m, 0, 0x8000, NO_PASID, RW_PA, true);
    assert_non_null(machine_requester(&m, 0, far));
}

// ---- interrupts -------------------------------------------------------------------------------------------
static void put_irte(uint64_t table, unsigned index, unsigned vector)
{
    const uint32_t irte = 1 | vector << 16;
    memcpy(fake_vtd_ptr(m.fake, table + 4 * index, 4), &irte, 4);
}

static void interrupt_tables_stay(void **state)
{
    (void)state;
    put_irte(old_amd_interrupts(&m.k[0], NIC, 9, false), 3, 0x41);
    put_irte(old_amd_interrupts(&m.k[0], APIC, 9, false), 5, 0x42);
    take_over();
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 3).vector, 0x41);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 4).kind, FAKE_AMD_IRQ_ABORTED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, APIC, 5).vector, 0x42);
}

static void interrupts_of_devices_can_be_masked(void **state)
{
    (void)state;
    put_irte(old_amd_interrupts(&m.k[0], NIC, 9, false), 3, 0x41);
    put_irte(old_amd_interrupts(&m.k[0], APIC, 9, false), 5, 0x42);
    m.config.mask_irqs = true;
    take_over();
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 3).kind, FAKE_AMD_IRQ_ABORTED);
    // What was not remapped is not touched: a kernel that does not remap would never get it back.
    assert_int_equal(fake_amdvi_irq(m.amd, 0, 0x28, 3).kind, FAKE_AMD_IRQ_UNMAPPED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, APIC, 5).vector, 0x42);
    assert_int_equal(u->events_total, 0);
}

static void an_interrupt_table_elsewhere_is_refused(void **state)
{
    static const uint64_t tables[] = {M_CRASH_START, M_POOL_START, M_OLD_END, M_OLD_END - 0x400,
                                      0xFFFFFFFFFF000};
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        setup(state);
        uint64_t *e = old_amd_entry(&m.k[0], NIC);
        e[2] = 1 | 9 << 1 | tables[i] | 2ull << 60;
        take_over();
        assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 3).kind, FAKE_AMD_IRQ_ABORTED);
        assert_int_equal(u->events_total, 0);
        teardown(state);
    }
}

// ---- marks ------------------------------------------------------------------------------------------------
// Hardware that marks entries as accessed and dirty would write into old tables.
static void hardware_marks_no_old_table(void **state)
{
    for (unsigned policy = 0; policy < 4; policy++) {
        for (unsigned had = 1; had < 4; had += 2) {
            setup(state);
            u->efr |= FAKE_AMD_EFR_HA | FAKE_AMD_EFR_HD;
            u->control |= FAKE_AMD_HAD;
            old_amd_entry(&m.k[0], NIC)[0] |= (uint64_t)had << 7;
            m.config.policy = (enum dam_policy)policy;
            assert_true(machine_start(&m));
            assert_int_equal(machine_run(&m), DAM_STOP_NONE);
            for (unsigned write = 0; write < 2; write++)
                fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, RW, write);
            assert_int_equal(u->events_total, policy == DAM_POLICY_SCRATCH ? 0 : u->events_total);
            assert_int_equal(u->events[FAKE_AMD_ILLEGAL_DTE], 0);
            assert_true(machine_old_memory_untouched(&m));
            teardown(state);
        }
    }
}

// ---- units that are off -----------------------------------------------------------------------------------
static void turn_off(void)
{
    u->control = FAKE_AMD_COHERENT;
    u->status = 0;
    u->device_table[0] = u->command_base = u->event_base = 0;
}

static void off_and_left_off(void **state)
{
    (void)state;
    turn_off();
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    assert_true(DAM_STOP_IS_UNTOUCHED(stop));
    assert_int_equal(m.fake->write_count, 0);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_OFF), 1);
}

static void probe_raise(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)fake;
    (void)unit;
    (void)offset;
    (void)value;
    struct fake_amd_dma r = fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, DATA, false);
    bool scratch = m.config.policy == DAM_POLICY_SCRATCH && r.pa - M_POOL_START < M_POOL_SIZE;
    if (r.ok ? r.pa != DATA && !scratch : m.config.policy != DAM_POLICY_BLOCK)
        fail_msg("DMA is refused, or goes to %#llx", (unsigned long long)r.pa);
}

static void raised_under_every_policy(void **state)
{
    for (unsigned policy = 0; policy < 4; policy++) {
        setup(state);
        turn_off();
        u->latency = 2;
        m.config.raise = true;
        m.config.policy = (enum dam_policy)policy;
        assert_true(machine_start(&m));
        m.fake->after_write = probe_raise;
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        m.fake->after_write = NULL;
        amd_taken(&m, 0);
        static const unsigned devids[] = {0x0003, NIC, 0x4208, 0xFFFF};
        for (unsigned i = 0; i < 4; i++) {
            if (policy == DAM_POLICY_BLOCK || policy == DAM_POLICY_SCRATCH)
                continue;
            amd_leads(&m, 0, devids[i], NO_PASID, DATA, false, DATA);
            if (policy == DAM_POLICY_FREEZE)
                amd_refused(&m, 0, devids[i], NO_PASID, DATA, true);
            else
                amd_leads(&m, 0, devids[i], NO_PASID, DATA, true, DATA);
            amd_refused(&m, 0, devids[i], NO_PASID, M_POOL_START, true);
        }
        assert_int_equal(u->events_total, 0);
        assert_int_equal(u->interrupts, 0);
        teardown(state);
    }
}

static void one_that_cannot_be_raised(void **state)
{
    static const uint32_t stuck[] = {FAKE_AMD_STUCK_ENABLE, FAKE_AMD_STUCK_CMD_ON, FAKE_AMD_STUCK_STORE};
    for (unsigned i = 0; i < 3; i++) {
        setup(state);
        turn_off();
        u->stuck = stuck[i];
        m.config.raise = true;
        assert_true(machine_start(&m));
        uint64_t began = m.fake->now_us;
        assert_int_not_equal(machine_run(&m), DAM_STOP_NONE);
        assert_true(m.fake->now_us - began < 50 * m.config.max_wait_us);
        assert_string_equal(m.fake->violation, "");
        // Whether on or off by then: what passed, passes, or is frozen; and addresses keep their meaning.
        struct fake_amd_dma r = fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, DATA, false);
        assert_true(!r.ok || r.pa == DATA);
        machine_report(&m);
        teardown(state);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_log_that_is_full),
        TEST(our_log_may_overflow),
        TEST(logs_into_old_memory_stop),
        cmocka_unit_test(old_buffers_in_any_state),
        TEST(commands_that_stopped_with_an_error),
        TEST(under_snp_the_unit_is_left_alone),
        TEST(snp_that_is_not_initialised_locks_nothing),
        cmocka_unit_test(any_of_the_registers_may_be_locked),
        TEST(every_segment_is_taken_over),
        TEST(interrupt_tables_stay),
        TEST(interrupts_of_devices_can_be_masked),
        cmocka_unit_test(an_interrupt_table_elsewhere_is_refused),
        cmocka_unit_test(hardware_marks_no_old_table),
        TEST(off_and_left_off),
        cmocka_unit_test(raised_under_every_policy),
        cmocka_unit_test(one_that_cannot_be_raised),
    };
    return cmocka_run_group_tests_name("state of AMD's IOMMU", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// The takeover on units of many kinds: whatever a unit can and cannot do, translation never goes off, no
// command is given that the specification forbids, and at no moment does a DMA go where neither Old nor New
// says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC    0x0018u
#define PASS   0x0028u
#define RW     0x7FFF0000ull
#define RW_PA  0x00310000ull
#define COLD   0x7FFF1000ull // not touched before the takeover
#define COLDPA 0x00311000ull

#define C      (1ull << 0)
#define QI     (1ull << 1)
#define RWBF   (1ull << 4)
#define CM     (1ull << 7)
#define ESRTPS (1ull << 63)
#define DRAIN  (3ull << 54)

static struct machine m;
static enum dam_policy policy;
static unsigned probes, blocked_reads;

static void one_probe(unsigned unit, unsigned rid, uint64_t iova, bool write, uint64_t old_pa)
{
    struct fake_dma_result r = fake_dma(m.fake, unit, rid, iova, write);
    probes++;
    if (r.untranslated)
        fail_msg("translation is off");
    if (r.ok && r.pa != old_pa && !(policy == DAM_POLICY_SCRATCH && r.pa - M_POOL_START < M_POOL_SIZE))
        fail_msg("DMA goes to %#llx", (unsigned long long)r.pa);
    blocked_reads += !r.ok && !write;
}

// Called after each register write: what devices do meanwhile.
static void probe(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)offset;
    (void)value;
    for (unsigned u = 0; u < fake->units; u++) {
        one_probe(u, NIC, RW, true, RW_PA);
        one_probe(u, NIC, COLD, false, COLDPA);
        if (!(*old_kernel_context(&m.k[u], PASS) & 1))
            continue;
        one_probe(u, PASS, RW_PA, true, RW_PA);
        one_probe(u, PASS, COLDPA, false, COLDPA);
    }
    if (fake->unit[unit].tes_off)
        fail_msg("translation went off");
}

static void fill(unsigned unit, unsigned levels)
{
    struct old_kernel *k = &m.k[unit];
    uint64_t tree = old_kernel_page(k);
    old_kernel_map(k, tree, levels, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_map(k, tree, levels, 0, COLD, COLDPA, OLD_R | OLD_W);
    old_kernel_attach(k, NIC, 0, levels, 5, tree);
    old_kernel_attach(k, PASS, 2, levels, 1, 0);
}

struct kind {
    const char *name;
    unsigned units, levels; // 0: one unit, 4 levels
    uint64_t cap_set, cap_clear, ecap_set, ecap_clear;
    uint32_t ver;
    unsigned latency;
    bool no_pass_through;
};

static void check_end(const struct kind *kind)
{
    bool reads = policy == DAM_POLICY_FREEZE || policy == DAM_POLICY_PRESERVE;
    for (unsigned u = 0; u < kind->units; u++) {
        const struct fake_unit *unit = &m.fake->unit[u];
        struct fake_dma_result r = fake_dma(m.fake, u, NIC, RW, true);
        if (r.ok != (policy == DAM_POLICY_PRESERVE || policy == DAM_POLICY_SCRATCH))
            fail_msg("%s: a write %s", kind->name, r.ok ? "passes" : "is refused");
        r = fake_dma(m.fake, u, NIC, RW, false);
        if (reads && !(r.ok && r.pa == RW_PA))
            fail_msg("%s: a read does not see true data", kind->name);
        if (!kind->no_pass_through) {
            r = fake_dma(m.fake, u, PASS, M_POOL_START, true);
            if (r.ok && policy != DAM_POLICY_SCRATCH)
                fail_msg("%s: the pool can be written", kind->name);
        }
        assert_int_equal(unit->tes_off, 0);
        assert_int_equal(unit->faults_recorded, 0);
        assert_true(unit->gsts >> 31);
        assert_true(unit->fectl >> 31);
        assert_true(unit->last_iotlb_drained);
        assert_true(unit->last_was_wait || !(unit->gsts >> 26 & 1));
        assert_int_equal(unit->iqh, unit->iqt);
        assert_int_equal(unit->rtaddr & ~0xFFFull, unit->root & ~0xFFFull);
        assert_in_range(unit->root, M_POOL_START, M_POOL_START + M_POOL_SIZE);
    }
}

static void run_kind(struct kind *kind)
{
    kind->units += !kind->units;
    kind->levels += kind->levels ? 0 : 4;
    for (unsigned p = 0; p < 4; p++) {
        policy = p;
        probes = 0;
        machine_setup(&m, kind->units);
        for (unsigned u = 0; u < kind->units; u++) {
            struct fake_unit *unit = &m.fake->unit[u];
            unit->cap = (unit->cap & ~kind->cap_clear) | kind->cap_set;
            unit->ecap = (unit->ecap & ~kind->ecap_clear) | kind->ecap_set;
            unit->ver = kind->ver ? kind->ver : unit->ver;
            unit->latency = kind->latency;
            unit->wait_needed_last = true;
            fill(u, kind->levels);
            if (kind->no_pass_through)
                old_kernel_context(&m.k[u], PASS)[0] = 0;
        }
        m.config.policy = policy;
        assert_true(machine_start(&m));
        probe(m.fake, 0, 0, 0);
        m.fake->after_write = probe;
        enum dam_stop stop = machine_run(&m);
        if (stop)
            fail_msg("%s: stop %d", kind->name, stop);
        if (m.fake->violations)
            fail_msg("%s: %s", kind->name, m.fake->violation);
        assert_true(machine_old_memory_untouched(&m));
        assert_true(probes > 10);
        check_end(kind);
        machine_teardown(&m);
    }
}

#define SAGAW(levels) (1ull << (8 + (levels)-2))
#define MGAW(bits)    ((uint64_t)((bits)-1) << 16)

// Each test is one kind of unit under all four policies.
#define KIND(test, ...)                                                                                      \
    static void test(void **state)                                                                           \
    {                                                                                                        \
        (void)state;                                                                                         \
        struct kind kind = {.name = #test, __VA_ARGS__};                                                     \
        run_kind(&kind);                                                                                     \
    }
KIND(plain_unit, .latency = 0)
KIND(slow_unit, .latency = 50)
KIND(walks_do_not_snoop, .ecap_clear = C)
KIND(walks_do_not_snoop_and_slow, .ecap_clear = C, .latency = 7)
KIND(write_buffer, .cap_set = RWBF)
KIND(write_buffer_slow, .cap_set = RWBF, .ecap_clear = C, .latency = 3)
KIND(registers_only, .ecap_clear = QI)
KIND(registers_only_slow, .ecap_clear = QI | C, .latency = 9)
KIND(srtp_flushes, .cap_set = ESRTPS)
KIND(caching_mode, .cap_set = CM)
KIND(version_6, .ver = 0x60)
KIND(nothing_to_drain, .cap_clear = DRAIN)
KIND(few_domain_ids, .cap_clear = 7) // 16 of them
KIND(three_levels, .levels = 3, .cap_clear = SAGAW(4) | MGAW(64), .cap_set = SAGAW(3) | MGAW(39))
KIND(five_levels, .levels = 5, .cap_clear = SAGAW(4) | MGAW(64), .cap_set = SAGAW(5) | MGAW(57))
KIND(no_large_pages, .cap_clear = 3ull << 34, .no_pass_through = true)
KIND(two_units, .units = 2)
KIND(four_units_slow, .units = 4, .ecap_clear = C, .latency = 5)

// 4 GiB of identity in 4-KiB pages are more tables than the pool holds.
static void pass_through_that_does_not_fit_is_quarantined_alone(void **state)
{
    (void)state;
    policy = DAM_POLICY_FREEZE;
    machine_setup(&m, 1);
    m.fake->unit[0].cap &= ~(3ull << 34);
    fill(0, 4);
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    check_end(&(struct kind){.name = "no large pages", .units = 1});
    assert_false(fake_dma(m.fake, 0, PASS, RW_PA, false).ok);
    machine_report(&m);
    assert_true(machine_requester(&m, 0, PASS)->flags & DAM_REQ_QUARANTINED);
    machine_teardown(&m);
}

static void a_wide_queue_stays_wide(void **state)
{
    (void)state;
    policy = DAM_POLICY_FREEZE;
    machine_setup(&m, 1);
    fill(0, 4);
    fake_vtd_run(&m.fake->unit[0], m.k[0].root, M_QUEUES | 1 << 11 | 1);
    assert_true(machine_start(&m));
    m.fake->after_write = probe;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(m.fake->unit[0].queue >> 11 & 1, 1);
    check_end(&(struct kind){.name = "wide queue", .units = 1});
    machine_teardown(&m);
}

static void interrupt_remapping_stays_on(void **state)
{
    (void)state;
    policy = DAM_POLICY_FREEZE;
    machine_setup(&m, 1);
    fill(0, 4);
    struct fake_unit *unit = &m.fake->unit[0];
    unit->ecap |= 1 << 3;
    fake_vtd_run(unit, m.k[0].root, M_QUEUES);
    unit->irta = M_OLD_START | 15;
    unit->gsts |= 1u << 25 | 1u << 24;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(unit->gsts >> 24 & 3, 3);
    assert_int_equal(unit->irta & 0xFFF, 15);
    assert_in_range(unit->irta, M_POOL_START, M_POOL_START + M_POOL_SIZE);
    machine_report(&m);
    uint32_t count;
    const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_int_equal(count, 1);
    assert_int_equal(u->before.vtd.irta, M_OLD_START | 15);
    assert_int_equal(u->before.vtd.rtaddr, m.k[0].root);
    assert_int_equal(u->before.vtd.iqa, M_QUEUES);
    assert_int_equal(u->after.vtd.rtaddr, unit->root);
    assert_int_equal(u->after.vtd.gsts, unit->gsts);
    assert_int_equal(u->status, DAM_UNIT_TAKEN);
    machine_teardown(&m);
}

static void the_sequence_of_commands(void **state)
{
    (void)state;
    policy = DAM_POLICY_FREEZE;
    machine_setup(&m, 1);
    fill(0, 4);
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    unsigned masked = ~0u, rtaddr = ~0u, srtp = ~0u, first_flush = ~0u;
    for (unsigned i = 0; i < m.fake->write_count; i++) {
        const struct fake_write *w = &m.fake->writes[i];
        if (w->offset == 0x18)
            assert_true(w->value >> 31 & 1);
        if (w->offset == 0x38 && masked == ~0u)
            masked = i;
        if (w->offset == 0x20) {
            assert_int_equal(rtaddr, ~0u); // once
            rtaddr = i;
        }
        if (w->offset == 0x18 && (w->value >> 30 & 1)) {
            assert_int_equal(srtp, ~0u);
            srtp = i;
        }
        if (w->offset == 0x88 && w->value && srtp != ~0u && first_flush == ~0u)
            first_flush = i;
    }
    assert_true(masked < rtaddr);
    assert_int_equal(srtp, rtaddr + 1);
    assert_int_equal(first_flush, srtp + 1);
    assert_true(m.fake->unit[0].context_global >= 2);
    assert_int_equal(m.fake->unit[0].context_global, m.fake->unit[0].iotlb_global);
    machine_teardown(&m);
}

// A device that reads what it is allowed to read before and after is never refused in between.
static void reads_go_on_while_tables_are_swapped(void **state)
{
    (void)state;
    for (unsigned p = 0; p < 2; p++) {
        policy = p; // freeze, preserve
        machine_setup(&m, 1);
        fill(0, 4);
        m.config.policy = policy;
        assert_true(machine_start(&m));
        blocked_reads = 0;
        m.fake->after_write = probe;
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        assert_int_equal(blocked_reads, 0);
        machine_teardown(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_unit),
        cmocka_unit_test(slow_unit),
        cmocka_unit_test(walks_do_not_snoop),
        cmocka_unit_test(walks_do_not_snoop_and_slow),
        cmocka_unit_test(write_buffer),
        cmocka_unit_test(write_buffer_slow),
        cmocka_unit_test(registers_only),
        cmocka_unit_test(registers_only_slow),
        cmocka_unit_test(srtp_flushes),
        cmocka_unit_test(caching_mode),
        cmocka_unit_test(version_6),
        cmocka_unit_test(nothing_to_drain),
        cmocka_unit_test(few_domain_ids),
        cmocka_unit_test(three_levels),
        cmocka_unit_test(five_levels),
        cmocka_unit_test(no_large_pages),
        cmocka_unit_test(two_units),
        cmocka_unit_test(four_units_slow),
        cmocka_unit_test(pass_through_that_does_not_fit_is_quarantined_alone),
        cmocka_unit_test(a_wide_queue_stays_wide),
        cmocka_unit_test(interrupt_remapping_stays_on),
        cmocka_unit_test(the_sequence_of_commands),
        cmocka_unit_test(reads_go_on_while_tables_are_swapped),
    };
    return cmocka_run_group_tests_name("takeover hardware", tests, NULL, NULL);
}

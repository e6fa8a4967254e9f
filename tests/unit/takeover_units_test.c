// SPDX-License-Identifier: MIT
// Several units and segments. Whatever state one of them is in, and wherever it fails, the others are taken
// over, and the note says which is which.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC       0x0018u
#define RW        0x7FFF0000ull
#define RW_PA(u)  (0x00310000ull + 0x1000 * (u)) // of unit u
#define ECAM(seg) (0x1000000000ull + 0x10000000 * (seg))

static struct machine m;

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

// Each unit has the same requester id with the same IOVA, to a page of its own.
static void build(unsigned units)
{
    machine_setup(&m, units);
    for (unsigned u = 0; u < units; u++) {
        uint64_t tree = old_kernel_page(&m.k[u]);
        old_kernel_map(&m.k[u], tree, 4, 0, RW, RW_PA(u), OLD_R | OLD_W);
        old_kernel_attach(&m.k[u], NIC, 0, 4, 5, tree);
    }
}

static uint8_t *drhd(unsigned unit)
{
    return m.firmware.dmar + 48 + 16 * unit;
}

static const struct dam_note_unit *unit_note(unsigned unit)
{
    uint32_t count;
    const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
    assert_true(unit < count);
    return &u[unit];
}

static bool writes(unsigned unit)
{
    struct fake_dma_result r = fake_dma(m.fake, unit, NIC, RW, true);
    assert_true(r.untranslated || !r.ok || r.pa == RW_PA(unit));
    return r.ok && !r.untranslated;
}

static bool reads(unsigned unit)
{
    struct fake_dma_result r = fake_dma(m.fake, unit, NIC, RW, false);
    return r.ok && r.pa == RW_PA(unit);
}

// Under freeze.
static void expect_taken(unsigned unit)
{
    const struct fake_unit *u = &m.fake->unit[unit];
    if (unit_note(unit)->status != DAM_UNIT_TAKEN)
        fail_msg("unit %u: status %u, error %u", unit, unit_note(unit)->status, unit_note(unit)->error);
    assert_int_equal(unit_note(unit)->error, 0);
    assert_in_range(u->root, M_POOL_START, M_POOL_START + M_POOL_SIZE);
    assert_false(writes(unit));
    assert_true(reads(unit));
    assert_int_equal(u->faults_recorded, 0);
    assert_int_equal(u->iqh, u->iqt);
}

// ---- mixes of states -------------------------------------------------------------------------------------
enum state { RUNS, SCALABLE, OFF, ABSENT, MODE, ROOT, QUEUE, SRTP, WAITS, STATES };

// The same in scalable mode, in tables of its own.
static void build_scalable(unsigned unit)
{
    struct old_kernel *k = &m.k[unit];
    k->root = old_kernel_page(k);
    machine_scalable(&m, unit);
    uint64_t tree = old_kernel_page(k);
    old_kernel_map(k, tree, 4, 0, RW, RW_PA(unit), OLD_R | OLD_W);
    old_kernel_directory(k, NIC, 0, 0);
    old_kernel_bind(k, NIC, 0, 2, 4, 5, tree);
}

static void put_into(unsigned unit, enum state state)
{
    struct fake_unit *u = &m.fake->unit[unit];
    fake_vtd_run(u, m.k[unit].root, M_QUEUES + 4096 * unit);
    switch (state) {
    case SCALABLE:
        build_scalable(unit);
        fake_vtd_run(u, m.k[unit].root | 1 << 10, (M_QUEUES + 4096 * unit) | 1 << 11);
        break;
    case OFF:
        u->gsts = 1u << 30; // a root pointer, and not in use
        break;
    case ABSENT:
        u->absent = true;
        break;
    case MODE:
        u->rtaddr |= 3 << 10;
        u->root = u->rtaddr;
        break;
    case ROOT:
        u->rtaddr = u->root = M_FIRMWARE;
        break;
    case QUEUE:
        u->iqt = 64;
        u->stuck = FAKE_STUCK_QUEUE;
        break;
    case SRTP:
        u->stuck = FAKE_STUCK_SRTP;
        break;
    case WAITS:
        u->stuck = FAKE_STUCK_WAIT;
        break;
    case RUNS:
    case STATES:
        break;
    }
}

static void check_state(unsigned unit, enum state state)
{
    const struct fake_unit *u = &m.fake->unit[unit];
    uint8_t status = unit_note(unit)->status;
    assert_int_equal(u->tes_off, 0);
    switch (state) {
    case RUNS:
    case SCALABLE:
        expect_taken(unit);
        break;
    case OFF:
        assert_int_equal(status, DAM_UNIT_OFF);
        assert_int_equal(u->srtp, 0);
        break;
    case ABSENT:
        assert_int_equal(status, DAM_UNIT_ABSENT);
        break;
    case MODE:
    case ROOT:
        assert_true(status != DAM_UNIT_PLANNED && status != DAM_UNIT_OFF && status != DAM_UNIT_ABSENT);
        if (status != DAM_UNIT_TAKEN)
            assert_int_equal(u->srtp, 0);
        break;
    case QUEUE:
    case WAITS:
        assert_int_equal(status, DAM_UNIT_FAILED_BEFORE);
        assert_true(writes(unit)); // as it was
        assert_int_equal(u->root, m.k[unit].root);
        break;
    case SRTP:
        assert_int_equal(status, DAM_UNIT_FAILED_AFTER);
        break;
    case STATES:
        break;
    }
}

static void run_mix(const enum state *states, unsigned units)
{
    unsigned running = 0, failing = 0, other = 0;
    build(units);
    for (unsigned u = 0; u < units; u++) {
        put_into(u, states[u]);
        running += states[u] == RUNS || states[u] == SCALABLE;
        failing += states[u] >= QUEUE;
        other += states[u] == MODE || states[u] == ROOT;
    }
    // machine_start() lets a unit run that has no GSTS bit: none here.
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    assert_int_equal(m.fake->violations, 0);
    assert_true(machine_old_memory_untouched(&m));
    machine_report(&m);
    for (unsigned u = 0; u < units; u++)
        check_state(u, states[u]);
    assert_int_equal(machine_summary(&m)->unit_total, units);
    bool committed = machine_summary(&m)->flags & DAM_SUMMARY_COMMITTED;
    if (running)
        assert_true(committed);
    if (running && failing)
        assert_int_equal(stop, DAM_STOP_UNITS);
    if (running && !failing && !other)
        assert_int_equal(stop, DAM_STOP_NONE);
    assert_true(running || stop != DAM_STOP_NONE || other);
    if (stop == DAM_STOP_UNITS)
        assert_int_equal(machine_findings(&m, DAM_F_UNITS_MIXED), 1);
    machine_teardown(&m);
}

static void every_mix_of_three(void **state)
{
    (void)state;
    for (unsigned a = 0; a < STATES; a++)
        for (unsigned b = 0; b < STATES; b++)
            for (unsigned c = 0; c < STATES; c++)
                run_mix((const enum state[]){a, b, c}, 3);
}

static void four_with_one_that_runs(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 4; at++)
        for (unsigned other = 0; other < STATES; other++) {
            enum state states[4] = {other, other, other, other};
            states[at] = RUNS;
            run_mix(states, 4);
        }
}

// ---- one of them fails, anywhere -------------------------------------------------------------------------
static void each_wait_of_each_unit(void **state)
{
    (void)state;
    static const struct {
        uint32_t stuck;
        bool registers;
    } cases[] = {{FAKE_STUCK_SRTP, false}, {FAKE_STUCK_QIE_ON, false}, {FAKE_STUCK_QUEUE, false},
                 {FAKE_STUCK_WAIT, false}, {FAKE_STUCK_QIE, false},    {FAKE_STUCK_WBF, false},
                 {FAKE_STUCK_CCMD, true},  {FAKE_STUCK_IOTLB, true},   {FAKE_REFUSE_IOTLB, true}};
    for (unsigned bad = 0; bad < 3; bad++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            build(3);
            struct fake_unit *u = &m.fake->unit[bad];
            u->stuck = cases[i].stuck;
            u->cap |= 1 << 4;
            u->ecap &= cases[i].registers ? ~(1ull << 1) : ~0ull;
            assert_true(machine_start(&m));
            uint64_t began = m.fake->now_us;
            assert_int_equal(machine_run(&m), DAM_STOP_UNITS);
            assert_true(m.fake->now_us - began < 100000);
            machine_report(&m);
            for (unsigned other = 0; other < 3; other++)
                if (other != bad)
                    expect_taken(other);
            uint8_t status = unit_note(bad)->status;
            assert_true(status == DAM_UNIT_FAILED_BEFORE || status == DAM_UNIT_FAILED_AFTER);
            assert_true(unit_note(bad)->error != 0);
            assert_int_equal(u->tes_off, 0);
            assert_true(machine_old_memory_untouched(&m));
            machine_teardown(&m);
        }
    }
}

// One unit goes away at its Nth register write: from then on it reads all ones, as if its power were gone.
static unsigned dies, dies_after, its_writes;

static void kill_unit(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)offset;
    (void)value;
    if (unit == dies && ++its_writes == dies_after)
        fake->unit[unit].absent = true;
}

static void one_goes_away_meanwhile(void **state)
{
    (void)state;
    for (unsigned registers = 0; registers < 2; registers++) {
        for (dies = 0; dies < 3; dies++) {
            bool died = true;
            for (dies_after = 1; died; dies_after++) {
                build(3);
                m.fake->unit[dies].ecap &= registers ? ~(1ull << 1) : ~0ull;
                assert_true(machine_start(&m));
                its_writes = 0;
                m.fake->after_write = kill_unit;
                uint64_t began = m.fake->now_us;
                enum dam_stop stop = machine_run(&m);
                died = its_writes >= dies_after;
                assert_true(m.fake->now_us - began < 100000);
                if (m.fake->violations && !strstr(m.fake->violation, "where no unit is"))
                    fail_msg("write %u: %s", dies_after, m.fake->violation);
                assert_true(machine_old_memory_untouched(&m));
                machine_report(&m);
                for (unsigned u = 0; u < 3; u++)
                    if (u != dies)
                        expect_taken(u);
                uint8_t status = unit_note(dies)->status;
                if (died) {
                    assert_true(stop == DAM_STOP_UNITS || stop == DAM_STOP_VERIFY);
                    assert_true(status == DAM_UNIT_FAILED_BEFORE || status == DAM_UNIT_FAILED_AFTER);
                } else {
                    assert_int_equal(stop, DAM_STOP_NONE);
                    assert_int_equal(status, DAM_UNIT_TAKEN);
                }
                machine_teardown(&m);
            }
            assert_true(dies_after > 6);
        }
    }
}

// The Nth operation fails once: at most one unit is lost by it, unless nothing was done at all.
static void any_call_fails_once(void **state)
{
    (void)state;
    unsigned mixed = 0, n = 1;
    for (;; n++) {
        build(3);
        assert_true(machine_start(&m));
        m.fake->fail_at = n;
        enum dam_stop stop = machine_run(&m);
        bool failed = m.fake->failed != 0;
        m.fake->fail_at = 0;
        assert_int_equal(m.fake->violations, 0);
        assert_true(machine_old_memory_untouched(&m));
        machine_report(&m);
        unsigned taken = 0;
        for (unsigned u = 0; u < 3; u++) {
            assert_int_equal(m.fake->unit[u].tes_off, 0);
            if (DAM_STOP_IS_UNTOUCHED(stop)) {
                assert_int_equal(m.fake->unit[u].root, m.k[u].root);
            } else if (unit_note(u)->status == DAM_UNIT_TAKEN) {
                assert_false(writes(u));
                taken++;
            }
        }
        if (!DAM_STOP_IS_UNTOUCHED(stop))
            assert_true(taken >= 2);
        mixed += stop == DAM_STOP_UNITS || stop == DAM_STOP_VERIFY;
        machine_teardown(&m);
        if (!failed) {
            assert_int_equal(stop, DAM_STOP_NONE);
            break;
        }
    }
    assert_true(n > 100);
    assert_true(mixed > 30);
}

// ---- no room for one of them
// -------------------------------------------------------------------------------- Unit `big` is preserved
// and has tables for 256 MiB in small pages; the pool shrinks until it does not fit.
static void no_room_for_one(void **state)
{
    (void)state;
    for (unsigned big = 0; big < 3; big++) {
        unsigned left_alone = 0, none = 0, whole = 0;
        for (uint64_t size = 0x10000; size <= 0x140000; size += 0x4000) {
            build(3);
            m.config.choices[0] = (struct dam_choice){{1, NIC}, DAM_ANY_PASID, DAM_POLICY_PRESERVE};
            m.config.choice_count = 1;
            drhd(big)[6] = 1; // its segment
            uint64_t tree = *old_kernel_context(&m.k[big], NIC) & ~0xFFFull;
            for (unsigned i = 0; i < 128; i++)
                old_kernel_map(&m.k[big], tree, 4, 0, i * 0x200000ull, RW_PA(big), OLD_R | OLD_W);
            dam_arena_init(&m.pool, m.pool_memory, dam_pa_of(M_POOL_START), size);
            if (!machine_start(&m)) {
                machine_teardown(&m);
                continue;
            }
            enum dam_stop stop = machine_run(&m);
            assert_int_equal(m.fake->violations, 0);
            machine_report(&m);
            for (uint64_t at = size; at < M_POOL_SIZE; at += 4096)
                assert_int_equal(m.pool_memory[at], 0);
            if (stop == DAM_STOP_UNITS) {
                uint8_t status = unit_note(big)->status;
                if (status == DAM_UNIT_LEFT) {
                    left_alone++;
                    assert_int_equal(unit_note(big)->error, DAM_E_NOMEM);
                    assert_int_equal(m.fake->unit[big].root, m.k[big].root);
                    assert_int_equal(m.fake->unit[big].srtp, 0);
                    assert_true(writes(big));
                    assert_true(machine_findings(&m, DAM_F_UNIT_LEFT) >= 1);
                }
                for (unsigned u = 0; u < 3; u++)
                    if (unit_note(u)->status == DAM_UNIT_TAKEN && u != big)
                        expect_taken(u);
                assert_int_equal(machine_findings(&m, DAM_F_UNITS_MIXED), 1);
            } else if (stop) {
                none++;
                assert_int_equal(stop, DAM_STOP_POOL);
                assert_int_equal(m.fake->write_count, 0);
            } else {
                whole++;
                assert_true(writes(big));
                expect_taken((big + 1) % 3);
                expect_taken((big + 2) % 3);
            }
            machine_teardown(&m);
        }
        if (!left_alone || !whole)
            fail_msg("unit %u: %u left alone, %u not at all, %u whole", big, left_alone, none, whole);
    }
}

static void no_domain_id_for_one(void **state)
{
    (void)state;
    build(2);
    // 16 ids, all of them used by the old kernel, one of them twice: somebody needs a new one.
    m.fake->unit[0].cap &= ~7ull;
    for (unsigned i = 0; i < 17; i++) {
        uint64_t tree = old_kernel_page(&m.k[0]);
        old_kernel_map(&m.k[0], tree, 4, 0, RW, RW_PA(0), OLD_R | OLD_W);
        old_kernel_attach(&m.k[0], 0x0100 + 8 * i, 0, 4, i % 16, tree);
    }
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_UNITS);
    machine_report(&m);
    assert_int_equal(unit_note(0)->status, DAM_UNIT_LEFT);
    assert_int_equal(m.fake->unit[0].root, m.k[0].root);
    assert_int_equal(machine_requester(&m, 0, NIC)->new_root, 0);
    assert_true(machine_requester(&m, 1, NIC)->new_root != 0);
    expect_taken(1);
    machine_teardown(&m);
}

// ---- what the DMAR table may say -------------------------------------------------------------------------
static void bases_that_cannot_be(void **state)
{
    (void)state;
    static const uint64_t bases[] = {
        0,           0xFED90800,       0xFED91001,   1ull << M_HAW, ~0xFFFull,
        M_OLD_START, M_OLD_END - 4096, M_POOL_START, M_CRASH_START, M_CRASH_END - 4096,
    };
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        build(2);
        firmware_drhd(&m.firmware, 0, 0, bases[i]);
        assert_true(machine_start(&m));
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        assert_int_equal(m.fake->violations, 0);
        machine_report(&m);
        assert_int_equal(machine_findings(&m, DAM_F_UNIT_BASE), 1);
        assert_int_equal(machine_summary(&m)->unit_total, 2);
        expect_taken(0);
        expect_taken(1);
        machine_teardown(&m);
    }
}

static void the_size_byte_is_not_believed(void **state)
{
    (void)state;
    for (unsigned size = 0; size < 256; size += 15) {
        build(2);
        drhd(0)[5] = (uint8_t)size;
        assert_true(machine_start(&m));
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        machine_report(&m);
        expect_taken(0);
        machine_teardown(&m);
    }
}

static void the_same_unit_twice(void **state)
{
    (void)state;
    build(2);
    firmware_drhd(&m.firmware, 1, 1, M_UNIT(0)); // and with another segment
    firmware_drhd(&m.firmware, 0, 0, M_UNIT(1));
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_int_equal(m.fake->unit[0].srtp, 1);
    assert_int_equal(m.fake->unit[1].srtp, 1);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_UNIT_DUPLICATE), 2);
    assert_int_equal(machine_summary(&m)->unit_total, 2);
    assert_int_equal(unit_note(0)->segment, 0);
    expect_taken(0);
    expect_taken(1);
    machine_teardown(&m);
}

// Linux ignores a unit whose devices are not there, or are graphics with igfx_off; it may still translate.
static void a_unit_without_devices_is_a_unit(void **state)
{
    (void)state;
    machine_setup(&m, 0);
    for (unsigned u = 0; u < 2; u++) {
        fake_vtd_unit(m.fake, M_UNIT(u));
        firmware_drhd(&m.firmware, u == 1, 0, M_UNIT(u));
        if (u == 0)
            firmware_scope(&m.firmware, 1, 0, 2, 0); // nobody is at 00:02.0
        old_kernel_begin(&m.k[u], m.old + u * 0x100000, M_OLD_START + u * 0x100000, 0x100000);
        uint64_t tree = old_kernel_page(&m.k[u]);
        old_kernel_map(&m.k[u], tree, 4, 0, RW, RW_PA(u), OLD_R | OLD_W);
        old_kernel_attach(&m.k[u], NIC, 0, 4, 5, tree);
    }
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    expect_taken(0);
    expect_taken(1);
}

// RHSA, ANDD, SATC, SIDP and ATSR say nothing that matters here; scopes of I/O APICs, HPETs and namespace
// devices name no PCI function.
static void other_structures_and_scopes(void **state)
{
    (void)state;
    static const uint8_t types[] = {2, 3, 4, 5, 6, 99};
    build(1);
    for (size_t i = 0; i < sizeof(types); i++) {
        firmware_drhd(&m.firmware, 0, 0, 0);
        uint8_t *s = m.firmware.dmar + m.firmware.structure;
        memset(s, 0, 16);
        s[0] = types[i];
        s[2] = types[i] == 3 ? 20 : 16;
        if (types[i] == 3) {
            memset(s + 16, 0, 4);
            m.firmware.length += 4;
        }
    }
    firmware_rmrr(&m.firmware, 0, 0x7E000000, 0x7E000FFF);
    firmware_scope(&m.firmware, 5, 0, NIC >> 3, 0); // a namespace device with the id of the NIC
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    expect_taken(0);
    assert_int_equal(machine_findings(&m, DAM_F_ACPI_SCOPE), 0);
    assert_int_equal(machine_findings(&m, DAM_F_ACPI_UNKNOWN), 1);
    assert_true(machine_requester(&m, 0, NIC)->flags & DAM_REQ_RMRR);
}

// ---- segments --------------------------------------------------------------------------------------------
static void segments_are_apart(void **state)
{
    (void)state;
    build(3);
    drhd(1)[6] = 1;
    drhd(2)[6] = 0x34;
    drhd(2)[7] = 0x12;
    m.config.choices[0] = (struct dam_choice){{1, NIC}, DAM_ANY_PASID, DAM_POLICY_PRESERVE};
    m.config.choices[1] = (struct dam_choice){{0x1234, NIC}, DAM_ANY_PASID, DAM_POLICY_BLOCK};
    m.config.choices[2] = (struct dam_choice){{2, NIC}, DAM_ANY_PASID, DAM_POLICY_PRESERVE};
    m.config.choice_count = 3;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    assert_false(writes(0));
    assert_true(reads(0));
    assert_true(writes(1));
    assert_true(reads(1));
    assert_false(writes(2));
    assert_false(reads(2));
    assert_int_equal(machine_requester(&m, 1, NIC)->segment, 1);
    assert_int_equal(machine_requester(&m, 2, NIC)->segment, 0x1234);
    assert_int_equal(unit_note(2)->segment, 0x1234);
    assert_int_equal(machine_findings(&m, DAM_F_CHOICE_UNUSED), 1); // segment 2
}

// A firmware region of segment 1, for a device behind a bridge whose bus number only that segment's
// configuration space tells.
static void scopes_are_followed_in_their_segment(void **state)
{
    (void)state;
    build(2);
    drhd(1)[6] = 1;
    for (unsigned segment = 0; segment < 2; segment++) {
        fake_vtd_ecam(m.fake, ECAM(segment), segment);
        firmware_ecam(&m.firmware, ECAM(segment), (uint16_t)segment);
        fake_vtd_pci(m.fake, 0, 0, 0, 0)->segment = (uint16_t)segment;
        fake_vtd_pci(m.fake, 0, 1, 0, segment ? 5 : 6)->segment = (uint16_t)segment;
        fake_vtd_pci(m.fake, segment ? 5 : 6, 0, 0, 0)->segment = (uint16_t)segment;
        uint64_t tree = old_kernel_page(&m.k[segment]);
        old_kernel_map(&m.k[segment], tree, 4, 0, RW, RW_PA(segment), OLD_R | OLD_W);
        for (unsigned bus = 5; bus <= 6; bus++)
            old_kernel_attach(&m.k[segment], bus << 8, 0, 4, 8, tree);
    }
    firmware_rmrr(&m.firmware, 1, 0x7E000000, 0x7E000FFF);
    firmware_scope(&m.firmware, 2, 0, 1, 0);
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_int_equal(m.fake->config_writes, 0);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_ECAM), 0);
    assert_int_equal(machine_findings(&m, DAM_F_ACPI_SCOPE), 0);
    assert_true(machine_requester(&m, 1, 0x0500)->flags & DAM_REQ_RMRR);
    assert_false(machine_requester(&m, 0, 0x0500)->flags & DAM_REQ_RMRR);
    assert_true(fake_dma(m.fake, 1, 0x0500, 0x7E000010, true).ok);
    assert_false(fake_dma(m.fake, 0, 0x0500, 0x7E000010, true).ok);
    assert_false(fake_dma(m.fake, 0, 0x0600, 0x7E000010, true).ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mix_of_three),
        cmocka_unit_test(four_with_one_that_runs),
        cmocka_unit_test(each_wait_of_each_unit),
        cmocka_unit_test(one_goes_away_meanwhile),
        cmocka_unit_test(any_call_fails_once),
        cmocka_unit_test(no_room_for_one),
        cmocka_unit_test(no_domain_id_for_one),
        cmocka_unit_test(bases_that_cannot_be),
        cmocka_unit_test(the_size_byte_is_not_believed),
        cmocka_unit_test(the_same_unit_twice),
        cmocka_unit_test_teardown(a_unit_without_devices_is_a_unit, teardown),
        cmocka_unit_test_teardown(other_structures_and_scopes, teardown),
        cmocka_unit_test_teardown(segments_are_apart, teardown),
        cmocka_unit_test_teardown(scopes_are_followed_in_their_segment, teardown),
    };
    return cmocka_run_group_tests_name("takeover of several units", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// The interrupt remapping table: what a device could send before it can send afterwards, unless nobody could
// mean it; nothing posts into old memory; the unit runs on our table with the size and mode that it had.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC    0x0018u
#define DISK   0x0120u
#define IOAPIC 0xFFF8u
#define HPET   0xFF78u
#define RW     0x7FFF0000ull
#define RW_PA  0x00310000ull
#define TABLE  0x00320000ull // of the old kernel; the size is the test's
#define EIME   (1ull << 11)

static struct machine m;

static uint64_t *entry(unsigned index)
{
    return (uint64_t *)(void *)(m.old + (TABLE - M_OLD_START) + 16ull * index);
}

// A fixed interrupt for one requester.
static void put(unsigned index, unsigned sid, unsigned vector)
{
    entry(index)[0] = 1 | (uint64_t)vector << 16 | 3ull << 40;
    entry(index)[1] = 1ull << 18 | sid;
}

static struct fake_unit *start(unsigned s)
{
    struct fake_unit *u = &m.fake->unit[0];
    u->ecap |= 1 << 3 | 1 << 4;
    fake_vtd_run(u, m.k[0].root, M_QUEUES);
    u->irta = u->irta_latched = TABLE | s;
    u->gsts |= 1u << 25 | 1u << 24;
    return u;
}

static int setup(void **state)
{
    (void)state;
    machine_setup(&m, 1);
    struct old_kernel *k = &m.k[0];
    uint64_t tree = old_kernel_page(k);
    old_kernel_map(k, tree, 4, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_attach(k, NIC, 0, 4, 5, tree);
    start(15);
    put(0, IOAPIC, 0x30);
    put(1, NIC, 0x41);
    put(2, DISK, 0x42);
    put(3, HPET, 0x43);
    put(65535, NIC, 0x44);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static const struct dam_note_unit *unit_note(void)
{
    uint32_t count;
    return machine_section(&m, DAM_SECTION_UNITS, &count);
}

static void take_over(unsigned silenced)
{
    struct fake_unit *u = &m.fake->unit[0];
    assert_true(machine_start(&m));
    (void)fake_irq(m.fake, 0, NIC, 1); // so that something is in the cache
    (void)fake_irq(m.fake, 0, NIC, 9);
    uint64_t irta = u->irta;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_string_equal(m.fake->violation, "");
    assert_true(machine_old_memory_untouched(&m));
    assert_int_equal(u->gsts >> 24 & 3, 3);
    assert_int_equal(u->ires_off, 0);
    assert_false(u->irte_stale);
    assert_int_equal(u->irta & 0xFFF, irta & 0x80F);
    assert_in_range(u->irta, M_POOL_START, M_POOL_START + M_POOL_SIZE);
    assert_int_equal(u->irta, u->irta_latched);
    machine_report(&m);
    assert_int_equal(unit_note()->status, DAM_UNIT_TAKEN);
    assert_int_equal(unit_note()->after.vtd.irta, u->irta);
    assert_int_equal(unit_note()->irq_silenced, silenced);
}

static void passes(unsigned sid, unsigned index, unsigned vector)
{
    struct fake_irq_result r = fake_irq(m.fake, 0, sid, index);
    assert_true(r.delivered);
    assert_int_equal(r.vector, vector);
    assert_int_equal(r.destination, 0x300);
    assert_int_equal(r.mode, 0);
    assert_int_equal(r.post_to, 0);
}

static void refused(unsigned sid, unsigned index)
{
    struct fake_irq_result r = fake_irq(m.fake, 0, sid, index);
    assert_false(r.delivered);
    assert_false(r.recorded);
}

static void sound_entries_stay(void **state)
{
    (void)state;
    take_over(0);
    assert_int_equal(unit_note()->irq_entries, 5);
    passes(IOAPIC, 0, 0x30);
    passes(NIC, 1, 0x41);
    passes(DISK, 2, 0x42);
    passes(HPET, 3, 0x43);
    passes(NIC, 65535, 0x44);
    // Absent, and a source that has no business here: refused without a word.
    refused(NIC, 4);
    refused(NIC, 65534);
    refused(NIC, 2);
    assert_int_equal(m.fake->unit[0].iec_global, 1);
    // Byte for byte what it was, with faults off; and nothing else in it.
    const uint64_t *ours = fake_vtd_ptr(m.fake, m.fake->unit[0].irta & ~0xFFFull, 1 << 20);
    for (unsigned i = 0; i < 65536; i++) {
        assert_int_equal(ours[2 * i], entry(i)[0] & 1 ? entry(i)[0] | 2 : 2);
        assert_int_equal(ours[2 * i + 1], entry(i)[0] & 1 ? entry(i)[1] : 0);
    }
}

static void walks_that_do_not_snoop(void **state)
{
    (void)state;
    m.fake->unit[0].ecap &= ~1ull;
    m.fake->unit[0].latency = 5;
    take_over(0);
    passes(NIC, 1, 0x41);
}

static void every_size(void **state)
{
    for (unsigned s = 0; s < 15; s++) {
        start(s);
        entry(2u << s)[0] = ~0ull; // behind the end
        take_over(0);
        uint32_t sound = s == 0 ? 2 : s == 1 ? 4 : 4;
        assert_int_equal(unit_note()->irq_entries, sound);
        passes(NIC, 1, 0x41);
        teardown(state);
        setup(state);
    }
}

static void broken_entries(void **state)
{
    (void)state;
    struct {
        uint64_t low, high;
        enum dam_finding_code code;
    } cases[] = {
        {1 << 12, 0, DAM_F_IRTE_RESERVED},    {1 << 14, 0, DAM_F_IRTE_RESERVED},
        {1 << 24, 0, DAM_F_IRTE_RESERVED},    {1ull << 32, 0, DAM_F_IRTE_RESERVED},
        {1ull << 63, 0, DAM_F_IRTE_RESERVED}, {0, 3 << 18, DAM_F_IRTE_RESERVED},
        {0, 1 << 20, DAM_F_IRTE_RESERVED},    {0, 1ull << 63, DAM_F_IRTE_RESERVED},
        {2 << 5, 0, DAM_F_IRTE_STRANGE}, // SMI
        {4 << 5, 0, DAM_F_IRTE_STRANGE}, // NMI
        {5 << 5, 0, DAM_F_IRTE_STRANGE}, // INIT
        {3 << 5, 0, DAM_F_IRTE_STRANGE},      {6 << 5, 0, DAM_F_IRTE_STRANGE},
        {1 << 15, 0, DAM_F_IRTE_POSTED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put(2, DISK, 0x42);
        entry(2)[0] |= cases[i].low;
        entry(2)[1] |= cases[i].high;
        take_over(1);
        refused(DISK, 2);
        passes(NIC, 1, 0x41);
        assert_int_equal(machine_findings(&m, cases[i].code), 1);
        teardown(state);
        setup(state);
    }
}

static void vectors(void **state)
{
    static const unsigned bad[] = {0, 14, 15, 16, 31, 0xF0, 0xF8, 0xFF}, good[] = {0x20, 0x80, 0xEF};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        put(10 + (unsigned)i, DISK, bad[i]);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        put(20 + (unsigned)i, DISK, good[i]);
    entry(30)[0] = 1 | 7 << 5; // ExtINT has no vector of its own
    entry(30)[1] = 1 << 18 | IOAPIC;
    take_over(sizeof(bad) / sizeof(bad[0]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(DISK, 10 + (unsigned)i);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        passes(DISK, 20 + (unsigned)i, good[i]);
    assert_true(fake_irq(m.fake, 0, IOAPIC, 30).delivered);
    // All of one requester: the first ones in full, the others counted.
    uint32_t count;
    const struct dam_finding *f = machine_section(&m, DAM_SECTION_FINDINGS, &count);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < count; i++)
        seen += f[i].code == DAM_F_IRTE_STRANGE ? 1 + f[i].repeats : 0;
    assert_int_equal(seen, sizeof(bad) / sizeof(bad[0]));
    assert_int_equal(f->rid, DISK);
    assert_int_equal(f->index, 10);
    assert_int_equal(f->address, TABLE + 160);
    (void)state;
}

static void posted_entries_do_not_write_old_memory(void **state)
{
    (void)state;
    m.fake->unit[0].cap |= 1ull << 59;
    entry(2)[0] = 1 | 1 << 15 | 0x55 << 16 | (RW_PA & ~0x3Full) << 32;
    entry(2)[1] = 1 << 18 | DISK;
    assert_true(machine_start(&m));
    assert_int_equal(fake_irq(m.fake, 0, DISK, 2).post_to, RW_PA);
    fake_invalidate_irtes(&m.fake->unit[0], false, 0, 0);
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    refused(DISK, 2);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_IRTE_POSTED), 1);
}

static void extended_mode(void **state)
{
    (void)state;
    struct fake_unit *u = &m.fake->unit[0];
    u->irta |= EIME;
    u->irta_latched |= EIME;
    entry(5)[0] = 1 | 0x51 << 16 | 0x12345678ull << 32;
    entry(5)[1] = 1 << 18 | NIC;
    take_over(0);
    struct fake_irq_result r = fake_irq(m.fake, 0, NIC, 5);
    assert_int_equal(r.destination, 0x12345678);
}

static void all_garbage(void **state)
{
    (void)state;
    // Every source is another one.
    memset(entry(0), 0xFF, 1 << 20);
    for (unsigned i = 0; i < 65536; i++)
        entry(i)[1] = i;
    take_over(65536);
    uint32_t count;
    assert_non_null(machine_section(&m, DAM_SECTION_FINDINGS, &count));
    assert_in_range(count, 16, 30);
    for (unsigned i = 0; i < 65536; i += 97)
        refused(NIC, i);
    assert_int_equal(unit_note()->irq_entries, 65536);
}

static void table_elsewhere(void **state)
{
    static const uint64_t places[] = {M_CRASH_START,        M_POOL_START, 0x7FFF00000ull, M_UNIT(0),
                                      M_OLD_END - 0x1000, // its end lies outside
                                      0xFFFFFFFFFFFFF000ull};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        m.fake->unit[0].irta = places[i] | 15;
        assert_true(machine_start(&m));
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        assert_string_equal(m.fake->violation, "");
        machine_report(&m);
        assert_int_equal(machine_findings(&m, DAM_F_IRT_POINTER), 1);
        for (unsigned n = 0; n < 65536; n += 31)
            refused(NIC, n);
        teardown(state);
        setup(state);
    }
}

static void reserved_bits_of_the_register_are_dropped(void **state)
{
    (void)state;
    m.fake->unit[0].irta |= 0x7F0;
    take_over(0);
    passes(NIC, 1, 0x41);
}

static void remapping_off(void **state)
{
    (void)state;
    struct fake_unit *u = &m.fake->unit[0];
    u->gsts &= ~(1u << 25);
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_int_equal(u->irta, TABLE | 15);
    machine_report(&m);
    assert_int_equal(unit_note()->irq_entries, 0);
}

// The queue is needed for the flush, and is started where the old kernel had none.
static void no_queue_before(void **state)
{
    (void)state;
    struct fake_unit *u = &m.fake->unit[0];
    u->gsts &= ~(1u << 26);
    u->queue = u->iqa = 0;
    take_over(0);
    assert_true(u->gsts >> 26 & 1);
    passes(NIC, 1, 0x41);
}

static void no_queue_at_all(void **state)
{
    (void)state;
    struct fake_unit *u = &m.fake->unit[0];
    u->gsts &= ~(1u << 26);
    u->ecap &= ~2ull;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_int_equal(u->irta, TABLE | 15);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_IRT_KEPT), 1);
}

static void pool_too_small(void **state)
{
    (void)state;
    dam_arena_init(&m.pool, m.pool_memory, dam_pa_of(M_POOL_START), 0xE0000);
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    assert_int_equal(m.fake->unit[0].irta, TABLE | 15);
    assert_in_range(m.fake->unit[0].root, M_POOL_START, M_POOL_START + 0xE0000);
    passes(NIC, 1, 0x41);
    machine_report(&m);
    assert_int_equal(machine_findings(&m, DAM_F_IRT_KEPT), 1);
    assert_int_equal(unit_note()->irq_entries, 0);
}

static void hardware_does_not_answer(void **state)
{
    static const uint32_t what[] = {FAKE_STUCK_SIRTP, FAKE_STUCK_IEC};
    for (size_t i = 0; i < 2; i++) {
        m.fake->unit[0].stuck = what[i];
        assert_true(machine_start(&m));
        assert_int_equal(machine_run(&m), DAM_STOP_COMMIT_TIMEOUT);
        assert_int_equal(m.fake->unit[0].tes_off, 0);
        assert_false(fake_dma(m.fake, 0, NIC, RW, true).ok);
        machine_report(&m);
        assert_int_equal(unit_note()->status, DAM_UNIT_FAILED_AFTER);
        assert_int_equal(machine_findings(&m, DAM_F_WAIT_TIMEOUT), 1);
        teardown(state);
        setup(state);
    }
}

// cofferdam.irq=mask: PCI functions are silenced; I/O APICs and HPETs that the firmware names are not, and
// entries that anybody may use.
static void masked(void **state)
{
    (void)state;
    firmware_scope(&m.firmware, 1, 0, 3, 0);
    firmware_scope(&m.firmware, 3, 0xFF, 0x1F, 0);
    firmware_scope(&m.firmware, 4, 0xFF, 0x0F, 0);
    put(6, 0x0007, 0x46);
    entry(6)[1] = 2 << 18 | 0x0102; // a range of buses
    put(7, 0, 0x47);
    entry(7)[1] = 0; // no source is checked
    m.config.mask_irqs = true;
    take_over(4);
    passes(IOAPIC, 0, 0x30);
    passes(HPET, 3, 0x43);
    passes(NIC, 7, 0x47);
    refused(NIC, 1);
    refused(DISK, 2);
    refused(NIC, 65535);
    refused(0x0100, 6);
    assert_int_equal(machine_findings(&m, DAM_F_IRTE_MASKED), 1);
}

// Sound entries with bits flipped: what arrives afterwards arrived before, at the same vector and place, and
// is something that a device may send.
static void random_entries(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    static struct fake_irq_result before[COUNT];
    uint64_t seed = 7;
    m.fake->unit[0].cap |= 1ull << 59;
    for (unsigned i = 0; i < COUNT; i++) {
        put(i, DISK, 0x20 + i % 0xD0);
        for (unsigned flips = i % 4; flips; flips--) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            entry(i)[seed >> 40 & 1] ^= 1ull << (seed >> 50 & 63);
        }
    }
    assert_true(machine_start(&m));
    for (unsigned i = 0; i < COUNT; i++)
        before[i] = fake_irq(m.fake, 0, DISK, i);
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    unsigned same = 0, lost = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        struct fake_irq_result now = fake_irq(m.fake, 0, DISK, i);
        assert_int_equal(now.post_to, 0);
        assert_false(now.recorded);
        lost += before[i].delivered && !now.delivered;
        if (!now.delivered)
            continue;
        assert_true(before[i].delivered && before[i].post_to == 0);
        assert_int_equal(now.vector, before[i].vector);
        assert_int_equal(now.destination, before[i].destination);
        assert_true(now.mode == 0 || now.mode == 1 || now.mode == 7);
        assert_true(now.mode == 7 || (now.vector >= 0x20 && now.vector < 0xF0));
        same++;
    }
    assert_true(same > COUNT / 5);
    assert_in_range(lost, 1, COUNT / 4);
    assert_true(machine_old_memory_untouched(&m));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sound_entries_stay),
        T(walks_that_do_not_snoop),
        T(every_size),
        T(broken_entries),
        T(vectors),
        T(posted_entries_do_not_write_old_memory),
        T(extended_mode),
        T(all_garbage),
        T(table_elsewhere),
        T(reserved_bits_of_the_register_are_dropped),
        T(remapping_off),
        T(no_queue_before),
        T(no_queue_at_all),
        T(pool_too_small),
        T(hardware_does_not_answer),
        T(masked),
        T(random_entries),
    };
    return cmocka_run_group_tests_name("interrupt remapping", tests, NULL, NULL);
}

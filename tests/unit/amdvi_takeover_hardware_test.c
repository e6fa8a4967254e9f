// SPDX-License-Identifier: MIT
// The takeover on AMD IOMMUs of many kinds, under each policy: translation never goes off, nothing is done
// that the description forbids, and at every write of a register every DMA goes where Old says or where New
// says, and nowhere else; at the end where New says.
#include <string.h>

#include "lib/amd_dma.h"

#define NIC    0x0018u
#define PASS   0x0028u
#define GUEST  0x0038u // PASID 0 and 5
#define OPEN   0x0040u
#define NONE   0x0048u
#define RW     0x7FFF0000ull
#define COLD   0x7FFF1000ull // not touched before the takeover
#define INTO   0x7FFF2000ull // leads into the crash region
#define RW_PA  0x00310000ull
#define COLDPA 0x00311000ull

static struct machine m;
static enum dam_policy policy;
static unsigned probes, passed;

static bool ours(uint64_t pa)
{
    return pa - M_POOL_START < M_POOL_SIZE;
}

// old_pa 0: Old refuses.
static void one_probe(unsigned unit, unsigned devid, unsigned pasid, uint64_t iova, bool write,
                      uint64_t old_pa)
{
    struct fake_amd_dma r = fake_amdvi_dma(m.amd, unit, devid, pasid, iova, write);
    probes++;
    passed += r.ok;
    if (r.untranslated)
        fail_msg("translation is off");
    // An IOVA that meant nothing leads to the scratch page as well.
    bool scratch = policy == DAM_POLICY_SCRATCH && devid != NONE && pasid != 6 && ours(r.pa);
    if (r.ok && !(old_pa && r.pa == old_pa) && !scratch)
        fail_msg("DMA of %#x at %#llx goes to %#llx", devid, (unsigned long long)iova,
                 (unsigned long long)r.pa);
}

// Called after each register write: what devices do meanwhile.
static void probe(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)fake;
    (void)offset;
    (void)value;
    for (unsigned n = 0; n < m.amd->units; n++) {
        one_probe(n, NIC, NO_PASID, RW, true, RW_PA);
        one_probe(n, NIC, NO_PASID, COLD, false, COLDPA);
        one_probe(n, NIC, NO_PASID, RW_PA, true, 0); // an address as an IOVA that is none
        one_probe(n, PASS, NO_PASID, RW_PA, true, RW_PA);
        one_probe(n, PASS, NO_PASID, COLDPA, false, COLDPA);
        one_probe(n, OPEN, NO_PASID, COLDPA, true, COLDPA);
        one_probe(n, GUEST, NO_PASID, RW, true, RW_PA);
        one_probe(n, GUEST, 5, COLD, false, COLDPA);
        one_probe(n, GUEST, 6, RW, false, 0);
        one_probe(n, NONE, NO_PASID, RW, true, 0);
        one_probe(n, NONE, NO_PASID, RW_PA, true, 0);
    }
    if (m.amd->unit[unit].off)
        fail_msg("translation went off");
}

static void fill(unsigned unit, unsigned mode, bool guests)
{
    struct old_kernel *k = &m.k[unit];
    uint64_t tree = old_kernel_page(k), guest = old_kernel_page(k);
    old_amd_map(k, tree, mode, 0, RW, RW_PA, OLD_R | OLD_W);
    old_amd_map(k, tree, mode, 0, COLD, COLDPA, OLD_R | OLD_W);
    old_amd_map(k, tree, mode, 0, INTO, M_POOL_START, OLD_R | OLD_W);
    old_amd_attach(k, NIC, mode, 5, tree, OLD_R | OLD_W);
    old_amd_pass(k, PASS, 6, OLD_R | OLD_W);
    old_amd_entry(k, OPEN)[0] = 0;
    if (!guests)
        return;
    const unsigned all = OLD_FS_P | OLD_FS_W | OLD_FS_U | OLD_FS_A | OLD_FS_D;
    old_kernel_map_first(k, guest, 4, 0, RW, RW_PA, all);
    old_kernel_map_first(k, guest, 4, 0, COLD, COLDPA, all);
    old_amd_attach(k, GUEST, 0, 7, 0, OLD_R | OLD_W);
    old_amd_guest(k, GUEST, 1, true, 4);
    *old_amd_gcr3(k, GUEST, 0) = guest | 1;
    *old_amd_gcr3(k, GUEST, 5) = guest | 1;
}

struct kind {
    const char *name;
    unsigned units, mode; // 0: one unit, 3 levels
    uint64_t efr_set, efr_clear, control_set;
    unsigned latency;
    bool resets_pointers, incoherent, shared, no_guests, leaf_rights, no_device_tlbs;
    unsigned commands; // where head and tail of the old command buffer are
};

static void check_end(const struct kind *kind)
{
    bool reads = policy == DAM_POLICY_FREEZE || policy == DAM_POLICY_PRESERVE;
    bool writes = policy == DAM_POLICY_PRESERVE || policy == DAM_POLICY_SCRATCH;
    for (unsigned n = 0; n < kind->units; n++) {
        const struct fake_amd_unit *u = &m.amd->unit[n];
        for (unsigned i = 0; i < (kind->no_guests ? 1 : 2); i++) {
            struct fake_amd_dma r = fake_amdvi_dma(m.amd, n, i ? GUEST : NIC, NO_PASID, RW, true);
            if (r.ok != writes)
                fail_msg("%s: a write %s", kind->name, r.ok ? "passes" : "is refused");
            r = fake_amdvi_dma(m.amd, n, i ? GUEST : NIC, NO_PASID, RW, false);
            if (reads && !(r.ok && r.pa == RW_PA))
                fail_msg("%s: a read does not see true data", kind->name);
            r = fake_amdvi_dma(m.amd, n, NIC, NO_PASID, INTO, i);
            if (r.ok && policy != DAM_POLICY_SCRATCH)
                fail_msg("%s: the pool is reached", kind->name);
        }
        static const unsigned passing[] = {PASS, OPEN};
        for (unsigned i = 0; i < 2; i++) {
            struct fake_amd_dma r = fake_amdvi_dma(m.amd, n, passing[i], NO_PASID, M_POOL_START, true);
            if (r.ok && policy != DAM_POLICY_SCRATCH)
                fail_msg("%s: the pool can be written", kind->name);
            r = fake_amdvi_dma(m.amd, n, passing[i], NO_PASID, RW_PA, true);
            if (r.ok != writes)
                fail_msg("%s: of what passes, a write %s", kind->name, r.ok ? "passes" : "is refused");
        }
        amd_taken(&m, n);
        assert_int_equal(u->events_total, 0);
        assert_int_equal(u->interrupts, 0);
        assert_int_equal(u->device_table[0] & 0x1FF, M_AMD_ENTRIES / 128 - 1); // as Linux expects it
        if (kind->shared)
            assert_int_equal(u->device_table[0], m.amd->unit[0].device_table[0]);
        else if (n)
            assert_int_not_equal(u->device_table[0], m.amd->unit[0].device_table[0]);
    }
}

static void prepare(const struct kind *kind)
{
    machine_setup_amd(&m, kind->units);
    for (unsigned n = 0; n < kind->units; n++) {
        struct fake_amd_unit *u = &m.amd->unit[n];
        u->efr = (u->efr & ~kind->efr_clear) | kind->efr_set;
        u->latency = kind->latency;
        u->resets_pointers = kind->resets_pointers;
        u->leaf_rights = kind->leaf_rights;
        u->no_device_tlbs = kind->no_device_tlbs;
        m.fake->pci[n].config[0x40 / 4] &= ~(uint32_t)(kind->no_device_tlbs << 24);
        if (kind->leaf_rights)
            m.fake->pci[n].config[0x2C / 4] = 0x11001AF4; // how QEMU's model is known
        if (n == 0 || !kind->shared)
            fill(n, kind->mode, !kind->no_guests);
        for (unsigned devid = 0; devid < M_AMD_ENTRIES; devid++)
            old_amd_entry(&m.k[n], devid)[1] |= OLD_AMD_SA; // so that only events of ours count
        fake_amdvi_run(u, m.k[kind->shared ? 0 : n].root | (M_AMD_ENTRIES / 128 - 1),
                       M_AMD_BUFFERS + 0x4000 * n, M_AMD_BUFFERS + 0x4000 * n + 0x2000);
        u->control = (u->control | kind->control_set) & ~(kind->incoherent ? FAKE_AMD_COHERENT : 0);
        u->command_head = u->command_tail = kind->commands;
    }
}

static void run_kind(struct kind *kind)
{
    kind->units += !kind->units;
    kind->mode += kind->mode ? 0 : 3;
    for (unsigned p = 0; p < 4; p++) {
        policy = p;
        probes = 0;
        prepare(kind);
        m.config.policy = policy;
        assert_true(machine_start(&m));
        const uint64_t control = m.amd->unit[0].control;
        probe(m.fake, 0, 0, 0);
        m.fake->after_write = probe;
        enum dam_stop stop = machine_run(&m);
        if (stop)
            fail_msg("%s: stop %d; %s", kind->name, stop, m.fake->violation);
        assert_true(probes > 100 && passed > 10);
        check_end(kind);
        const uint64_t kept = 1ull << 1 | 15ull << 8 | 1ull << 16 | 7ull << 34;
        assert_int_equal(m.amd->unit[0].control & kept, control & kept);
        machine_teardown(&m);
    }
}

// Each test is one kind of unit under all four policies.
#define KIND(test, ...)                                                                                      \
    static void test(void **state)                                                                           \
    {                                                                                                        \
        (void)state;                                                                                         \
        struct kind kind = {.name = #test, __VA_ARGS__};                                                     \
        run_kind(&kind);                                                                                     \
    }
KIND(plain_unit, .latency = 0)
KIND(slow_unit, .latency = 20)
KIND(walks_do_not_snoop, .incoherent = true)
KIND(walks_do_not_snoop_and_slow, .incoherent = true, .latency = 7)
KIND(no_invalidate_all, .efr_clear = FAKE_AMD_EFR_IA)
KIND(no_invalidate_all_and_slow, .efr_clear = FAKE_AMD_EFR_IA, .latency = 3, .incoherent = true)
KIND(base_registers_reset_pointers, .resets_pointers = true)
KIND(four_levels, .efr_clear = FAKE_AMD_EFR_HATS(3))
KIND(four_levels_in_use, .efr_clear = FAKE_AMD_EFR_HATS(3), .mode = 4)
KIND(six_levels_in_use, .mode = 6)
KIND(no_guest_translation, .efr_clear = FAKE_AMD_EFR_GT | FAKE_AMD_EFR_GLX(3), .no_guests = true)
KIND(no_device_tlbs, .no_device_tlbs = true)
KIND(keeps_leaf_rights, .leaf_rights = true, .no_guests = true)
KIND(other_control_bits, .control_set = 1ull << 1 | 15ull << 8)
KIND(old_commands_in_the_middle, .commands = 0x1230)
KIND(old_commands_at_the_end, .commands = 0x1FF0, .resets_pointers = true)
KIND(two_units, .units = 2)
KIND(two_units_of_one_table, .units = 2, .shared = true)
KIND(four_units_slow, .units = 4, .latency = 5, .incoherent = true)
KIND(four_units_of_one_table, .units = 4, .shared = true, .efr_clear = FAKE_AMD_EFR_IA)

// The device table goes over in two steps, each with its flush, all of it confirmed before the next.
static struct {
    uint64_t table;
    unsigned all, entries, interrupts, domains, waits;
} steps[4];
static unsigned step_count;

static void note_step(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    const struct fake_amd_unit *u = &m.amd->unit[unit];
    (void)fake;
    if (offset != 0 || step_count == 4)
        return;
    steps[step_count].table = value;
    steps[step_count].all = u->of_op[8];
    steps[step_count].entries = u->of_op[2];
    steps[step_count].interrupts = u->of_op[5];
    steps[step_count].domains = u->of_op[3];
    steps[step_count++].waits = u->waits_stored;
}

static void an_exact_copy_comes_first(void **state)
{
    (void)state;
    for (unsigned whole = 0; whole < 2; whole++) {
        struct kind kind = {.name = "order", .units = 1, .mode = 3, .latency = 2};
        kind.efr_clear = whole ? 0 : FAKE_AMD_EFR_IA;
        policy = DAM_POLICY_FREEZE;
        step_count = 0;
        prepare(&kind);
        assert_true(machine_start(&m));
        m.fake->after_write = note_step;
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        amd_taken(&m, 0);
        const uint64_t *copy = fake_vtd_ptr(m.fake, steps[0].table & ~0xFFFull, 4096);
        assert_int_equal(step_count, 2);
        assert_int_not_equal(steps[0].table, steps[1].table);
        assert_memory_equal(copy, old_amd_entry(&m.k[0], 0), 4096);
        note_step(m.fake, 0, 0, 0); // the end
        for (unsigned i = 0; i < 2; i++) {
            assert_true(steps[i + 1].waits > steps[i].waits);
            assert_true(whole ? steps[i + 1].all > steps[i].all
                              : steps[i + 1].entries >= steps[i].entries + M_AMD_ENTRIES &&
                                    steps[i + 1].interrupts >= steps[i].interrupts + M_AMD_ENTRIES &&
                                    steps[i + 1].domains > steps[i].domains);
        }
        machine_teardown(&m);
    }
}

// QEMU's unit keeps the rights of leaves alone: a page that was read must not become writable.
static void a_write_after_a_read(void **state)
{
    (void)state;
    for (unsigned known = 0; known < 2; known++) {
        machine_setup_amd(&m, 1);
        struct old_kernel *k = &m.k[0];
        uint64_t tree = old_kernel_page(k);
        old_amd_map(k, tree, 3, 0, RW, RW_PA, OLD_R | OLD_W);
        old_amd_attach(k, NIC, 3, 5, tree, OLD_R | OLD_W);
        m.amd->unit[0].leaf_rights = true;
        if (known)
            m.fake->pci[0].config[0x2C / 4] = 0x11001AF4;
        assert_true(machine_start(&m));
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        amd_taken(&m, 0);
        amd_leads(&m, 0, NIC, NO_PASID, RW, false, RW_PA);
        // What the model of such a unit is worth: it does write where it is not known.
        assert_int_equal(fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, RW, true).ok, !known);
        machine_report(&m);
        assert_int_equal(machine_findings(&m, DAM_F_LEAF_RIGHTS), known);
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
        cmocka_unit_test(no_invalidate_all),
        cmocka_unit_test(no_invalidate_all_and_slow),
        cmocka_unit_test(base_registers_reset_pointers),
        cmocka_unit_test(four_levels),
        cmocka_unit_test(four_levels_in_use),
        cmocka_unit_test(six_levels_in_use),
        cmocka_unit_test(no_guest_translation),
        cmocka_unit_test(no_device_tlbs),
        cmocka_unit_test(keeps_leaf_rights),
        cmocka_unit_test(an_exact_copy_comes_first),
        cmocka_unit_test(a_write_after_a_read),
        cmocka_unit_test(other_control_bits),
        cmocka_unit_test(old_commands_in_the_middle),
        cmocka_unit_test(old_commands_at_the_end),
        cmocka_unit_test(two_units),
        cmocka_unit_test(two_units_of_one_table),
        cmocka_unit_test(four_units_slow),
        cmocka_unit_test(four_units_of_one_table),
    };
    return cmocka_run_group_tests_name("AMD IOMMUs of many kinds", tests, NULL, NULL);
}

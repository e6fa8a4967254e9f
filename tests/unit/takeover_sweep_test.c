// SPDX-License-Identifier: MIT
// Every allocation, every operation, every wait and every word of the new tables made to fail, one after the
// other, until a run meets no failure any more: in each mode, under each policy. Whatever fails: translation
// is never off, the root pointer is the old one or a whole new one, a stop code below 64 means that it is the
// old one, nobody reaches the crash region, and a note can be written. The linker leads the engine's calls of
// the functions named __wrap_ here (Makefile).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"
#include "takeover/takeover.h"

#define NIC      0x0018u
#define DISK     0x0120u
#define RW       0x7FFF0000ull
#define RO       0x7FFF1000ull
#define INTO     0x7FFF2000ull // into the crash region
#define RW_PA    0x00310000ull
#define RO_PA    0x00311000ull
#define POLICIES 4u
#define NEVER    (~0ull)

static struct machine m;

// ---- modes: what the old kernel and the unit are like ----------------------------------------------------
struct mode {
    const char *name;
    uint64_t ecap_clear, cap_set;
    unsigned units;
    bool identity;        // the disk passes through
    enum dam_stage stage; // scalable mode: DAM_STAGE_FIRST or _SECOND
    bool hide;            // the IOMMU is to be hidden: with a crash window, interrupt remapping off
};

static const struct mode modes[] = {
    {"queue", 0, 0, 1, false, 0, false},
    {"registers, write buffer to be flushed", 1 << 1, 1 << 4, 1, false, 0, false},
    {"walks that do not snoop, pass-through", 1, 0, 1, true, 0, false},
    {"two units", 0, 0, 2, false, 0, false},
    {"scalable mode, second stage", 0, 0, 1, false, DAM_STAGE_SECOND, false},
    {"scalable mode, first stage", 0, 0, 1, false, DAM_STAGE_FIRST, false},
    {"hidden", 0, 0, 1, false, 0, true},
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static uint64_t tree(struct old_kernel *k)
{
    uint64_t root = old_kernel_page(k);
    old_kernel_map(k, root, 4, 0, RW, RW_PA, OLD_R | OLD_W);
    old_kernel_map(k, root, 4, 0, RO, RO_PA, OLD_R);
    old_kernel_map(k, root, 4, 0, INTO, M_CRASH_START + 0x5000, OLD_R | OLD_W);
    return root;
}

static uint64_t first_stage_tree(struct old_kernel *k)
{
    const unsigned use = OLD_FS_P | OLD_FS_U | OLD_FS_A | OLD_FS_D;
    uint64_t root = old_kernel_page(k);
    old_kernel_map_first(k, root, 4, 0, RW, RW_PA, use | OLD_FS_W);
    old_kernel_map_first(k, root, 4, 0, RO, RO_PA, use);
    old_kernel_map_first(k, root, 4, 0, INTO, M_CRASH_START + 0x5000, use | OLD_FS_W);
    return root;
}

static void attach(const struct mode *mode, struct old_kernel *k, unsigned rid, unsigned did)
{
    if (mode->stage) {
        old_kernel_directory(k, rid, 0, 0);
        old_kernel_bind(k, rid, 0, mode->stage, 4, did,
                        mode->stage == DAM_STAGE_FIRST ? first_stage_tree(k) : tree(k));
    } else if (mode->identity && rid == DISK) {
        old_kernel_attach(k, rid, 2, 4, 1, 0);
    } else {
        old_kernel_attach(k, rid, 0, 4, did, tree(k));
    }
}

// ---- what fails, and when --------------------------------------------------------------------------------
enum kind {
    ALLOCATION,
    MEM_READ,
    MMIO_READ,
    MMIO_WRITE,
    PORT_READ,
    PORT_WRITE,
    WAIT_LATE,  // the answer comes, but is not believed to
    WAIT_STUCK, // it does not come
    UNIT_GONE,  // reads all ones from then on, and writes are lost
    KINDS
};
static const char *const kind_names[KINDS] = {
    "allocation", "mem_read",    "mmio_read",
    "mmio_write", "port_read",   "port_write",
    "wait, late", "wait, stuck", "access to a unit that is gone then"};

static struct {
    enum kind kind;
    uint64_t at; // the number of the one that fails, from 1
    bool and_all_later;
    uint64_t seen, failed;
} fault;

static bool fails(enum kind kind)
{
    if (kind != fault.kind)
        return false;
    fault.seen++;
    bool now = fault.seen == fault.at || (fault.seen > fault.at && fault.and_all_later);
    fault.failed += now;
    return now;
}

dam_err __real_dam_arena_pages(struct dam_arena *arena, size_t count, void **out);
dam_err __wrap_dam_arena_pages(struct dam_arena *arena, size_t count, void **out);
dam_err __wrap_dam_arena_pages(struct dam_arena *arena, size_t count, void **out)
{
    return fails(ALLOCATION) ? DAM_E_NOMEM : __real_dam_arena_pages(arena, count, out);
}

dam_err __real_dam_arena_record(struct dam_arena *arena, size_t size, void **out);
dam_err __wrap_dam_arena_record(struct dam_arena *arena, size_t size, void **out);
dam_err __wrap_dam_arena_record(struct dam_arena *arena, size_t size, void **out)
{
    return fails(ALLOCATION) ? DAM_E_NOMEM : __real_dam_arena_record(arena, size, out);
}

static void stick(bool on)
{
    static uint32_t before[FAKE_MAX_UNITS];
    for (unsigned i = 0; i < m.fake->units; i++) {
        struct fake_unit *u = &m.fake->unit[i];
        if (on)
            before[i] = u->stuck;
        u->stuck = on ? before[i] | FAKE_STUCK_CCMD | FAKE_STUCK_IOTLB : before[i];
        u->pending_reads = on ? 1u << 30 : 0;
    }
}

dam_err __real_dam_wait_register(const struct dam_ops *ops, dam_pa pa, unsigned width, uint64_t mask,
                                 uint64_t want, uint64_t max_us, uint64_t *value);
dam_err __wrap_dam_wait_register(const struct dam_ops *ops, dam_pa pa, unsigned width, uint64_t mask,
                                 uint64_t want, uint64_t max_us, uint64_t *value);
dam_err __wrap_dam_wait_register(const struct dam_ops *ops, dam_pa pa, unsigned width, uint64_t mask,
                                 uint64_t want, uint64_t max_us, uint64_t *value)
{
    if (fails(WAIT_LATE)) {
        dam_err err = __real_dam_wait_register(ops, pa, width, mask, want, max_us, value);
        return err ? err : DAM_E_TIMEOUT;
    }
    bool stuck = fails(WAIT_STUCK);
    if (stuck)
        stick(true);
    dam_err err = __real_dam_wait_register(ops, pa, width, mask, want, max_us, value);
    if (stuck)
        stick(false);
    return err;
}

dam_err __real_dam_wait_memory(const struct dam_ops *ops, const volatile uint32_t *word, uint32_t want,
                               uint64_t max_us);
dam_err __wrap_dam_wait_memory(const struct dam_ops *ops, const volatile uint32_t *word, uint32_t want,
                               uint64_t max_us);
dam_err __wrap_dam_wait_memory(const struct dam_ops *ops, const volatile uint32_t *word, uint32_t want,
                               uint64_t max_us)
{
    if (fails(WAIT_LATE) || fails(WAIT_STUCK))
        return DAM_E_TIMEOUT;
    return __real_dam_wait_memory(ops, word, want, max_us);
}

static dam_err op_mem_read(void *ctx, dam_pa pa, void *buf, size_t len)
{
    (void)ctx;
    return fails(MEM_READ) ? DAM_E_IO : dam_mem_read(&m.fake->ops, pa, buf, len);
}

static dam_err op_mmio_read(void *ctx, dam_pa pa, unsigned width, uint64_t *value)
{
    (void)ctx;
    if (fails(MMIO_READ))
        return DAM_E_IO;
    if (fails(UNIT_GONE)) {
        *value = width == 8 ? ~0ull : 0xFFFFFFFFull;
        return DAM_OK;
    }
    return dam_mmio_read(&m.fake->ops, pa, width, value);
}

static dam_err op_mmio_write(void *ctx, dam_pa pa, unsigned width, uint64_t value)
{
    (void)ctx;
    if (fails(MMIO_WRITE))
        return DAM_E_IO;
    return fails(UNIT_GONE) ? DAM_OK : dam_mmio_write(&m.fake->ops, pa, width, value);
}

static dam_err op_port_read(void *ctx, uint16_t port, unsigned width, uint32_t *value)
{
    (void)ctx;
    return fails(PORT_READ) ? DAM_E_IO : dam_port_read(&m.fake->ops, port, width, value);
}

static dam_err op_port_write(void *ctx, uint16_t port, unsigned width, uint32_t value)
{
    (void)ctx;
    return fails(PORT_WRITE) ? DAM_E_IO : dam_port_write(&m.fake->ops, port, width, value);
}

static struct dam_ops ops;
static struct dam_range window_storage[1];
static struct dam_ranges window;
#define WINDOW_END (M_CRASH_START + 0x5000)
#define FAR        0x4208u // a requester that no table names

static void hide(void)
{
    dam_ranges_init(&window, window_storage, 1);
    assert_int_equal(dam_ranges_add(&window, M_CRASH_START, WINDOW_END), DAM_OK);
    m.config.hide = true;
    m.config.crash_window = &window;
    for (unsigned i = 0; i < m.fake->units; i++) {
        fake_vtd_run(&m.fake->unit[i], m.k[i].root, M_QUEUES + 4096 * i);
        m.fake->unit[i].gsts |= 1u << 25;
        m.fake->unit[i].pmen = 0x80000001u;
    }
}

static void prepare(const struct mode *mode, enum dam_policy policy)
{
    machine_setup(&m, mode->units);
    for (unsigned i = 0; i < mode->units; i++) {
        struct old_kernel *k = &m.k[i];
        m.fake->unit[i].ecap &= ~mode->ecap_clear;
        m.fake->unit[i].cap |= mode->cap_set;
        if (mode->stage)
            machine_scalable(&m, i);
        attach(mode, k, NIC, 5);
        attach(mode, k, DISK, 6);
    }
    if (mode->hide)
        hide();
    ops = m.fake->ops;
    ops.mem_read = op_mem_read;
    ops.mmio_read = op_mmio_read;
    ops.mmio_write = op_mmio_write;
    ops.port_read = op_port_read;
    ops.port_write = op_port_write;
    m.config.ops = &ops;
    m.config.policy = policy;
}

// ---- what must hold, whatever failed ---------------------------------------------------------------------
struct run {
    const struct mode *mode;
    enum dam_policy policy;
    enum dam_stop stop;
    uint64_t root[FAKE_MAX_UNITS];
};

static char about[200];

static bool ours(uint64_t pa)
{
    return pa - M_POOL_START < M_POOL_SIZE;
}

static void must(bool holds, const char *what)
{
    if (!holds)
        fail_msg("%s: %s; %s", about, what, m.fake->violation);
}

// Every leaf of a page table: none leads into the crash region (the scratch page is in the pool, on
// purpose), and none is writable where that is forbidden.
static void check_leaves(enum dam_stage stage, uint64_t table, unsigned level, bool writable, bool may_write,
                         uint64_t scratch)
{
    const uint64_t *entries = fake_vtd_ptr(m.fake, table, 4096);
    for (unsigned i = 0; entries && i < 512; i++) {
        uint64_t entry = entries[i], size = 4096ull << 9 * level, pa = entry & 0x7FFFFFF000ull & ~(size - 1);
        bool w = writable && (entry & OLD_W);
        bool used = stage == DAM_STAGE_FIRST ? (entry & 5) == 5 : (entry & 3) && !(entry & 0x800);
        if (!used || entry >> 39)
            continue; // maps nothing
        if (level && !(entry & 0x80)) {
            check_leaves(stage, entry & 0x7FFFFFF000ull, level - 1, w, may_write, scratch);
            continue;
        }
        if (level && (level > 2 || (entry & (size - 1) & ~0xFFFull)))
            continue; // the unit has no such pages, or refuses them
        if (m.config.hide && pa >= M_CRASH_START && pa + size <= WINDOW_END)
            continue; // who it is for is another test
        must(!w || may_write, "a page can be written");
        bool out = pa + size <= M_CRASH_START || pa >= M_CRASH_END;
        must(out || pa == scratch, "a page of the crash region is mapped");
    }
}

// DMA of both requesters: as before, or what the policy makes of it, or refused. Nothing else.
static void check_dma(const struct run *run, unsigned unit, bool changed, bool taken, uint64_t scratch)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned rid = i & 1 ? DISK : NIC;
        bool write = i & 2, through = run->mode->identity && rid == DISK;
        uint64_t iova = through ? RW_PA : RW;
        struct fake_dma_result r = fake_dma(m.fake, unit, rid, iova, write);
        must(!r.untranslated, "untranslated DMA");
        must(!r.ok || r.pa == RW_PA || (changed && scratch && r.pa == scratch), "DMA goes elsewhere");
        if (taken && run->policy == DAM_POLICY_FREEZE)
            must(!r.ok || !write, "a write goes through");
        if (taken && run->policy == DAM_POLICY_BLOCK)
            must(!r.ok, "DMA goes through");
        if (run->stop == DAM_STOP_NONE && !fault.failed && run->policy <= DAM_POLICY_PRESERVE)
            must(r.ok == (!write || run->policy == DAM_POLICY_PRESERVE), "not what the policy says");
        if (taken && !through)
            must(!fake_dma(m.fake, unit, rid, INTO, write).ok || run->policy == DAM_POLICY_SCRATCH,
                 "DMA into the crash region");
    }
}

static void check_note(const struct run *run, bool changed)
{
    machine_report(&m); // aborts when it cannot be read
    const struct dam_note_summary *s = machine_summary(&m);
    uint32_t count;
    const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
    must(!changed || (s->flags & DAM_SUMMARY_COMMITTED), "the note does not say that something was done");
    must(run->stop != DAM_STOP_NONE || count == run->mode->units, "units are missing in the note");
    for (uint32_t i = 0; i < count; i++) {
        bool taken = u[i].status == DAM_UNIT_TAKEN;
        bool failed_after = u[i].status == DAM_UNIT_FAILED_AFTER;
        must(!taken || ours(m.fake->unit[i].root), "a unit is called taken");
        must(!ours(m.fake->unit[i].root) || taken || failed_after, "a unit is not called taken");
    }
}

static void check(struct run *run)
{
    bool changed = false;
    must(m.fake->violations == 0, "against the specification");
    must(machine_old_memory_untouched(&m), "old memory changed");
    const struct dam_takeover *t = m.t;
    uint64_t scratch = t && t->has_scratch ? t->scratch_page.v : 0;
    for (unsigned i = 0; i < m.fake->units; i++) {
        const struct fake_unit *u = &m.fake->unit[i];
        bool taken = u->root != run->root[i];
        changed |= taken;
        must(u->tes_off == 0 && u->gsts >> 31, "translation is off");
        must(!taken || ours(u->root), "the root pointer leads elsewhere");
        must(!u->faults_recorded || !taken, "faults are recorded");
        bool whole = t && taken && run->stop != DAM_STOP_COMMIT_TIMEOUT && run->stop != DAM_STOP_COMMIT_IO &&
                     run->stop != DAM_STOP_UNITS && run->stop != DAM_STOP_VERIFY;
        check_dma(run, i, taken, whole, scratch);
        for (struct unit *unit = t && whole ? t->units : NULL; unit; unit = unit->next)
            for (struct new_tree *n = unit->new_trees; n; n = n->next)
                if (n->policy != DAM_POLICY_SCRATCH)
                    check_leaves(n->stage, n->root.v, n->levels - 1u, true, n->policy == DAM_POLICY_PRESERVE,
                                 scratch);
    }
    if (t && dam_takeover_may_hide(t)) {
        struct fake_dma_result r = fake_dma(m.fake, 0, FAR, M_CRASH_START, true);
        must(r.ok && r.pa == M_CRASH_START, "hidden, and the capture kernel cannot use its memory");
        must(!(m.fake->unit[0].gsts >> 25 & 1) && !m.fake->unit[0].pmen,
             "hidden, and the hardware is not bare");
    }
    must(!changed || !DAM_STOP_IS_UNTOUCHED(run->stop), "called untouched, and the root pointer is another");
    if (t)
        check_note(run, changed);
}

// One takeover with a fault set up. False: no memory for as much as the state.
static void run_once(struct run *run)
{
    prepare(run->mode, run->policy);
    run->stop = DAM_STOP_POOL;
    fault.seen = fault.failed = 0;
    bool started = machine_start(&m); // only its last step, the takeover's state, can meet a fault
    for (unsigned i = 0; i < m.fake->units; i++)
        run->root[i] = m.fake->unit[i].root;
    if (started)
        run->stop = machine_run(&m);
    else
        m.t = NULL;
    fault.at = NEVER;
    fault.and_all_later = false;
}

// All of a kind, one by one. Returns how many there are.
static uint64_t sweep(const struct mode *mode, enum dam_policy policy, enum kind kind, bool and_all_later)
{
    for (uint64_t n = 1;; n++) {
        struct run run = {.mode = mode, .policy = policy};
        snprintf(about, sizeof(about), "%s, policy %u, %s %llu%s", mode->name, policy, kind_names[kind],
                 (unsigned long long)n, and_all_later ? " and all later" : "");
        fault.kind = kind;
        fault.at = n;
        fault.and_all_later = and_all_later;
        run_once(&run);
        bool ended = fault.failed == 0;
        if (ended)
            must(run.stop == DAM_STOP_NONE, "the run without a failure does not succeed");
        check(&run);
        machine_teardown(&m);
        if (ended)
            return n - 1;
    }
}

static void sweep_kind(enum kind kind, uint64_t at_least)
{
    for (size_t i = 0; i < MODES; i++)
        for (unsigned policy = 0; policy < POLICIES; policy++)
            for (unsigned later = 0; later < (policy == DAM_POLICY_FREEZE ? 2 : 1); later++) {
                uint64_t count = sweep(&modes[i], policy, kind, later);
                if (count < at_least)
                    fail_msg("%s: %llu failures only", about, (unsigned long long)count);
            }
}

static void every_allocation(void **state)
{
    (void)state;
    sweep_kind(ALLOCATION, 15);
}

static void every_read_of_memory(void **state)
{
    (void)state;
    sweep_kind(MEM_READ, 10);
}

static void every_read_of_a_register(void **state)
{
    (void)state;
    sweep_kind(MMIO_READ, 25);
}

static void every_write_of_a_register(void **state)
{
    (void)state;
    sweep_kind(MMIO_WRITE, 7);
}

static void every_read_of_a_port(void **state)
{
    (void)state;
    sweep_kind(PORT_READ, 1);
}

static void every_write_of_a_port(void **state)
{
    (void)state;
    sweep_kind(PORT_WRITE, 1);
}

static void every_wait_ends_too_late(void **state)
{
    (void)state;
    sweep_kind(WAIT_LATE, 5);
}

static void every_wait_is_in_vain(void **state)
{
    (void)state;
    sweep_kind(WAIT_STUCK, 5);
}

static void units_go_away_at_every_access(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODES; i++)
        for (unsigned policy = 0; policy < POLICIES; policy++)
            assert_true(sweep(&modes[i], policy, UNIT_GONE, true) > 30);
}

// ---- verification fails ----------------------------------------------------------------------------------
static struct {
    uint64_t word; // of the pool's pages in use, the one to change before verify; NEVER: none
    uint64_t change;
    bool done;
} damage;

enum dam_stop __real_takeover_verify(struct dam_takeover *t);
enum dam_stop __wrap_takeover_verify(struct dam_takeover *t);
enum dam_stop __wrap_takeover_verify(struct dam_takeover *t)
{
    uint64_t *words = (uint64_t *)(void *)m.pool_memory;
    uint64_t at = damage.word;
    while (damage.word != NEVER && at < m.pool.low / 8 && !words[at])
        at++; // words that are 0 everywhere would be too many
    damage.done = damage.word != NEVER && at < m.pool.low / 8;
    if (damage.done) {
        damage.word = at;
        words[at] ^= damage.change;
        fake_vtd_settle(m.fake);
    }
    return __real_takeover_verify(t);
}

static void every_word_of_the_new_tables(void **state)
{
    (void)state;
    // Another address, other permissions, another address and permissions, reserved bits, all of it.
    const uint64_t changes[] = {0x800000, 3, 0x00A00002, 1ull << 50, ~0ull};
    unsigned found = 0, tried = 0;
    for (unsigned policy = 0; policy < POLICIES; policy++) {
        for (unsigned c = 0; c < (policy == DAM_POLICY_FREEZE ? 5 : 2); c++) {
            for (uint64_t word = 0;; word++) {
                struct run run = {.mode = &modes[0], .policy = policy};
                damage.word = word;
                damage.change = changes[c];
                fault.kind = KINDS;
                fault.at = NEVER;
                snprintf(about, sizeof(about), "policy %u, word %llu changed by %#llx", policy,
                         (unsigned long long)word, (unsigned long long)changes[c]);
                run_once(&run);
                word = damage.word;
                bool done = damage.done;
                damage.word = NEVER;
                if (done) {
                    tried++;
                    found += run.stop != DAM_STOP_NONE;
                    must(run.stop == DAM_STOP_NONE || run.stop == DAM_STOP_VERIFY, "another stop code");
                    fault.failed = 1; // so that nobody expects what the policy says
                    // What was cached before the damage is right.
                    for (unsigned i = 0; i < m.fake->units; i++) {
                        fake_invalidate_context(&m.fake->unit[i], 1, 0, 0, 0);
                        fake_invalidate_iotlb(&m.fake->unit[i], 1, 0, 0, 0, true, true);
                    }
                    if (run.stop == DAM_STOP_NONE)
                        check(&run);
                    else
                        check_note(&run, true);
                }
                machine_teardown(&m);
                if (!done)
                    break;
                // Rows of silent contexts are all alike: a few of them will do.
                if (word % 512 > 64 && word % 512 < 500)
                    word = (word | 511) - 8;
            }
        }
    }
    // Most words have no effect on what translates: copies that are out of use, rows of silent contexts,
    // ACPI.
    assert_true(tried > 1000);
    assert_true(found > 50);
}

int main(void)
{
    damage.word = NEVER;
    fault.kind = KINDS;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(every_read_of_memory),
        cmocka_unit_test(every_read_of_a_register),
        cmocka_unit_test(every_write_of_a_register),
        cmocka_unit_test(every_read_of_a_port),
        cmocka_unit_test(every_write_of_a_port),
        cmocka_unit_test(every_wait_ends_too_late),
        cmocka_unit_test(every_wait_is_in_vain),
        cmocka_unit_test(units_go_away_at_every_access),
        cmocka_unit_test(every_word_of_the_new_tables),
    };
    return cmocka_run_group_tests_name("takeover sweeps", tests, NULL, NULL);
}

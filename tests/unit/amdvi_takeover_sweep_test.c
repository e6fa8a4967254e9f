// SPDX-License-Identifier: MIT
// Every allocation, operation, wait, command and register write on AMD IOMMUs made to fail, one after the
// other, until a run meets no failure any more. Whatever fails: translation is never off, at every register
// write DMA goes where Old or New says, the device table is the old one or a whole new one, a stop code below
// 64 means that the unit is as it was, nobody reaches the crash region, and a note can be written. The linker
// leads the engine's calls of the functions named __wrap_ here (Makefile).
#include <stdio.h>
#include <string.h>

#include "lib/amd_dma.h"

#define NIC        0x0018u
#define DISK       0x0120u
#define PASS       0x0128u
#define OPEN       0x0130u
#define FAR        0x0208u // blocked, and named by nobody
#define RW         0x7FFF0000ull
#define INTO       0x7FFF2000ull // into the crash region
#define RW_PA      0x00310000ull
#define NEVER      (~0ull)
#define WINDOW_END (M_CRASH_START + 0x5000)

static struct machine m;
static char about[200];

// ---- what fails, and when ---------------------------------------------------------------------------------
enum kind {
    ALLOCATION,
    MEM_READ,
    MMIO_READ,
    MMIO_WRITE,
    PORT_READ,
    PORT_WRITE,
    WAIT_LATE, // the answer comes, but is not believed to
    UNIT_GONE, // reads all ones from then on, and writes are lost
    // From the nth write of a register on:
    CMD_STAYS_ON,
    CMD_STAYS_OFF,
    NO_FETCH,
    NO_STORE,
    LOG_STAYS_ON,
    LOG_STAYS_OFF,
    LOCKED_TABLE, // registers ignore writes
    LOCKED_COMMANDS,
    LOCKED_EVENTS,
    LOCKED_CONTROL,
    LOCKED_HEAD,
    LOCKED_TAIL,
    // The nth command:
    ILLEGAL_COMMAND,
    COMMAND_ERROR,
    KINDS
};
static const char *const kind_names[KINDS] = {
    "allocation",      "mem_read",      "mmio_read",      "mmio_write",     "port_read",
    "port_write",      "wait, late",    "unit is gone",   "commands go on", "commands stay off",
    "no fetch",        "no semaphore",  "log stays on",   "log stays off",  "table locked",
    "commands locked", "events locked", "control locked", "head locked",    "tail locked",
    "illegal command", "command error"};

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

dam_err __real_dam_wait_register(const struct dam_ops *ops, dam_pa pa, unsigned width, uint64_t mask,
                                 uint64_t want, uint64_t max_us, uint64_t *value);
dam_err __wrap_dam_wait_register(const struct dam_ops *ops, dam_pa pa, unsigned width, uint64_t mask,
                                 uint64_t want, uint64_t max_us, uint64_t *value);
dam_err __wrap_dam_wait_register(const struct dam_ops *ops, dam_pa pa, unsigned width, uint64_t mask,
                                 uint64_t want, uint64_t max_us, uint64_t *value)
{
    dam_err err = __real_dam_wait_register(ops, pa, width, mask, want, max_us, value);
    return err || !fails(WAIT_LATE) ? err : DAM_E_TIMEOUT;
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
    if (!fails(UNIT_GONE))
        return dam_mmio_read(&m.fake->ops, pa, width, value);
    *value = width == 8 ? ~0ull : 0xFFFFFFFFull;
    return DAM_OK;
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

// What the model itself is told to do wrong, from the nth register write or command on.
static void spoil(struct fake_amd_unit *u)
{
    static const uint32_t stuck[] = {FAKE_AMD_STUCK_CMD_OFF, FAKE_AMD_STUCK_CMD_ON,  FAKE_AMD_STUCK_FETCH,
                                     FAKE_AMD_STUCK_STORE,   FAKE_AMD_STUCK_EVT_OFF, FAKE_AMD_STUCK_EVT_ON};
    static const uint16_t locked[] = {0x0000, 0x0008, 0x0010, 0x0018, 0x2000, 0x2008};
    const enum kind kind = fault.kind;
    if (kind >= CMD_STAYS_ON && kind <= LOG_STAYS_OFF) {
        u->stuck = stuck[kind - CMD_STAYS_ON];
        u->stuck_from = (unsigned)fault.at;
    } else if (kind >= LOCKED_TABLE && kind <= LOCKED_TAIL) {
        u->locked[0] = (uint16_t)(locked[kind - LOCKED_TABLE] + 1);
        u->locked_from = (unsigned)fault.at;
    } else if (kind == ILLEGAL_COMMAND || kind == COMMAND_ERROR) {
        u->fail_command = (unsigned)fault.at;
        u->fail_with = kind == COMMAND_ERROR ? FAKE_AMD_COMMAND_HW : FAKE_AMD_ILLEGAL_COMMAND;
    }
}

// ---- modes: what the old kernel and the unit are like -----------------------------------------------------
struct mode {
    const char *name;
    unsigned units;
    uint64_t efr_clear;
    bool shared, incoherent, hide;
};
static const struct mode modes[] = {
    {"one unit", 1, 0, false, false, false},
    {"no INVALIDATE_ALL, walks that do not snoop", 1, FAKE_AMD_EFR_IA, false, true, false},
    {"two units", 2, 0, false, false, false},
    {"two units of one table", 2, 0, true, false, false},
    {"hidden", 1, 0, false, false, true},
};
#define MODES    (sizeof(modes) / sizeof(modes[0]))
#define POLICIES 4u

struct run {
    const struct mode *mode;
    enum dam_policy policy;
    enum dam_stop stop;
    struct fake_amd_unit before[FAKE_AMD_UNITS];
};

static struct run run;
static struct dam_ops ops;
static struct dam_range window_storage[1];
static struct dam_ranges window;

static void must(bool holds, const char *what)
{
    if (!holds)
        fail_msg("%s: %s; stop %d; %s", about, what, (int)run.stop, m.fake->violation);
}

static bool ours(uint64_t pa)
{
    return pa - M_POOL_START < M_POOL_SIZE;
}

// Called after each register write: DMA goes where Old says, or to the scratch page.
static void probe(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value)
{
    (void)fake;
    (void)unit;
    (void)offset;
    (void)value;
    static const unsigned devids[] = {NIC, DISK, PASS, OPEN};
    for (unsigned n = 0; n < m.amd->units; n++) {
        for (unsigned i = 0; i < 4; i++) {
            struct fake_amd_dma r = fake_amdvi_dma(m.amd, n, devids[i], NO_PASID, i < 2 ? RW : RW_PA, i & 1);
            must(!r.untranslated, "translation is off");
            must(!r.ok || r.pa == RW_PA || (run.policy == DAM_POLICY_SCRATCH && ours(r.pa)),
                 "DMA goes elsewhere");
        }
        must(!fake_amdvi_dma(m.amd, n, FAR, NO_PASID, RW_PA, true).ok, "what was blocked passes");
        must(!fake_amdvi_dma(m.amd, n, NIC, NO_PASID, RW_PA, true).ok || run.policy == DAM_POLICY_SCRATCH,
             "an IOVA that means nothing passes");
    }
}

static void fill(struct old_kernel *k)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t root = old_kernel_page(k);
        old_amd_map(k, root, 3, 0, RW, RW_PA, OLD_R | OLD_W);
        old_amd_map(k, root, 3, 0, INTO, M_CRASH_START + 0x5000, OLD_R | OLD_W);
        old_amd_attach(k, i ? DISK : NIC, 3, 5 + i, root, OLD_R | OLD_W);
    }
    old_amd_pass(k, PASS, 9, OLD_R | OLD_W);
    old_amd_entry(k, OPEN)[0] = 0;
    for (unsigned devid = 0; devid < M_AMD_ENTRIES; devid++)
        old_amd_entry(k, devid)[1] |= OLD_AMD_SA; // so that only events of ours count
}

static void prepare(void)
{
    const struct mode *mode = run.mode;
    machine_setup_amd(&m, mode->units);
    for (unsigned n = 0; n < mode->units; n++) {
        struct fake_amd_unit *u = &m.amd->unit[n];
        struct old_kernel *k = &m.k[mode->shared ? 0 : n];
        u->efr &= ~mode->efr_clear;
        if (!mode->shared || n == 0)
            fill(k);
        fake_amdvi_run(u, k->root | (M_AMD_ENTRIES / 128 - 1), M_AMD_BUFFERS + 0x4000 * n,
                       M_AMD_BUFFERS + 0x4000 * n + 0x2000);
        u->control &= ~(mode->incoherent ? FAKE_AMD_COHERENT : 0);
        u->command_head = u->command_tail = 0x120;
        u->event_head = u->event_tail = 0x30;
        u->latency = 1;
        if (n + 1 == mode->units)
            spoil(u);
    }
    if (mode->hide) {
        dam_ranges_init(&window, window_storage, 1);
        assert_int_equal(dam_ranges_add(&window, M_CRASH_START, WINDOW_END), DAM_OK);
        m.config.hide = true;
        m.config.crash_window = &window;
    }
    ops = m.fake->ops;
    ops.mem_read = op_mem_read;
    ops.mmio_read = op_mmio_read;
    ops.mmio_write = op_mmio_write;
    ops.port_read = op_port_read;
    ops.port_write = op_port_write;
    m.config.ops = &ops;
    m.config.policy = run.policy;
    m.fake->after_write = probe;
}

// ---- what must hold, whatever failed ----------------------------------------------------------------------
// Whether what failed, failed for good, so that nothing could be put back.
static bool for_good(void)
{
    return fault.and_all_later || fault.kind == UNIT_GONE || fault.kind == WAIT_LATE ||
           (fault.kind >= CMD_STAYS_ON && fault.kind <= LOCKED_TAIL);
}

static void check_untouched(unsigned n)
{
    const struct fake_amd_unit *u = &m.amd->unit[n], *b = &run.before[n];
    const uint64_t bits = FAKE_AMD_CMD_BUF | FAKE_AMD_EVT_LOG | FAKE_AMD_COHERENT | FAKE_AMD_GT;
    must(u->device_table[0] == b->device_table[0], "called untouched, and the device table is another");
    if (for_good())
        return;
    must(u->command_base == b->command_base, "called untouched, with another command buffer");
    must(u->event_base == b->event_base, "called untouched, with another event log");
    must((u->control & bits) == (b->control & bits), "called untouched, with another control register");
    must(u->command_head == b->command_head && u->command_tail == b->command_tail,
         "called untouched, and the command pointers are others");
}

// DMA of all requesters: as before, or what the policy makes of it, or refused. Nothing else.
static void check_dma(unsigned n, bool taken, uint64_t scratch)
{
    static const unsigned devids[] = {NIC, DISK, PASS, OPEN};
    for (unsigned i = 0; i < 8; i++) {
        const unsigned devid = devids[i / 2];
        const bool write = i & 1, passes = i >= 4;
        struct fake_amd_dma r = fake_amdvi_dma(m.amd, n, devid, NO_PASID, passes ? RW_PA : RW, write);
        must(!r.untranslated, "untranslated DMA");
        must(!r.ok || r.pa == RW_PA || (scratch && r.pa == scratch), "DMA goes elsewhere");
        if (taken && run.policy == DAM_POLICY_FREEZE)
            must(!r.ok || !write, "a write goes through");
        if (taken && run.policy == DAM_POLICY_BLOCK)
            must(!r.ok, "DMA goes through");
        if (run.stop == DAM_STOP_NONE && !fault.failed && run.policy <= DAM_POLICY_PRESERVE)
            must(r.ok == (!write || run.policy == DAM_POLICY_PRESERVE), "not what the policy says");
        uint64_t into = passes ? M_CRASH_START + 0x6000 : INTO;
        r = fake_amdvi_dma(m.amd, n, devid, NO_PASID, into, write);
        if (taken && run.policy != DAM_POLICY_SCRATCH)
            must(!r.ok, "DMA into the crash region");
    }
}

static void check_note(bool changed)
{
    machine_report(&m); // aborts when it cannot be read
    const struct dam_note_summary *s = machine_summary(&m);
    uint32_t count;
    const struct dam_note_unit *u = machine_section(&m, DAM_SECTION_UNITS, &count);
    must(!changed || (s->flags & DAM_SUMMARY_COMMITTED), "the note does not say that something was done");
    must(run.stop != DAM_STOP_NONE || count == run.mode->units, "units are missing in the note");
    for (uint32_t i = 0; i < count; i++) {
        bool taken = u[i].status == DAM_UNIT_TAKEN, after = u[i].status == DAM_UNIT_FAILED_AFTER;
        bool now = ours(m.amd->unit[i].device_table[0] & ~0xFFFull);
        must(!taken || now, "a unit is called taken");
        must(!now || taken || after, "a unit is not called taken");
    }
}

static void check(void)
{
    bool changed = false;
    must(m.fake->violations == 0, "against the description");
    must(machine_old_memory_untouched(&m), "old memory changed");
    uint64_t scratch = 0;
    uint32_t count;
    if (m.t) {
        machine_report(&m);
        scratch = machine_summary(&m)->scratch_page;
    }
    const struct dam_note_unit *told = m.t ? machine_section(&m, DAM_SECTION_UNITS, &count) : NULL;
    for (unsigned n = 0; n < m.amd->units; n++) {
        const struct fake_amd_unit *u = &m.amd->unit[n];
        bool taken = u->device_table[0] != run.before[n].device_table[0];
        changed |= taken;
        must(u->off == 0 && (u->control & 1), "translation is off");
        must(!taken || ours(u->device_table[0] & ~0xFFFull), "the device table is elsewhere");
        must(!(taken && u->interrupts), "somebody is interrupted");
        bool whole = told && n < count && told[n].status == DAM_UNIT_TAKEN;
        check_dma(n, whole, scratch);
        if (DAM_STOP_IS_UNTOUCHED(run.stop))
            check_untouched(n);
    }
    if (m.t && dam_takeover_may_hide(m.t)) {
        struct fake_amd_dma r = fake_amdvi_dma(m.amd, 0, FAR, NO_PASID, M_CRASH_START, true);
        must(r.ok && r.pa == M_CRASH_START, "hidden, and the capture kernel cannot use its memory");
    }
    if (m.t)
        check_note(changed);
}

// One takeover with a fault set up.
static void run_once(void)
{
    prepare();
    run.stop = DAM_STOP_POOL;
    fault.seen = fault.failed = 0;
    bool started = machine_start(&m); // only its last step, the takeover's state, can meet a fault
    for (unsigned n = 0; n < m.amd->units; n++)
        run.before[n] = m.amd->unit[n];
    uint64_t began = m.fake->now_us;
    if (started)
        run.stop = machine_run(&m);
    else
        m.t = NULL;
    must(m.fake->now_us - began < 100 * m.config.max_wait_us, "it takes too long");
    m.fake->after_write = NULL;
    const struct fake_amd_unit *u = &m.amd->unit[m.amd->units - 1];
    if (fault.kind >= CMD_STAYS_ON && fault.kind <= LOCKED_TAIL)
        fault.failed = u->writes >= fault.at;
    else if (fault.kind >= ILLEGAL_COMMAND)
        fault.failed = u->events[FAKE_AMD_ILLEGAL_COMMAND] + u->events[FAKE_AMD_COMMAND_HW];
    // For what is looked at afterwards the hardware works.
    for (unsigned n = 0; n < m.amd->units; n++)
        m.amd->unit[n].stuck = 0;
}

// All of a kind, one by one. Returns how many there are.
static uint64_t sweep(const struct mode *mode, enum dam_policy policy, enum kind kind, bool and_all_later)
{
    // A unit without INVALIDATE_ALL takes thousands of commands: of those not each one.
    for (uint64_t n = 1;; n += kind >= ILLEGAL_COMMAND ? 1 + n / 8 : 1) {
        run = (struct run){.mode = mode, .policy = policy};
        snprintf(about, sizeof(about), "%s, policy %u, %s %llu%s", mode->name, policy, kind_names[kind],
                 (unsigned long long)n, and_all_later ? " and all later" : "");
        fault.kind = kind;
        fault.at = n;
        fault.and_all_later = and_all_later;
        run_once();
        bool ended = fault.failed == 0;
        if (ended)
            must(run.stop == DAM_STOP_NONE, "the run without a failure does not succeed");
        fault.at = NEVER;
        check();
        machine_teardown(&m);
        if (ended)
            return n - 1;
    }
}

static void sweep_kind(enum kind kind, uint64_t at_least)
{
    // All policies, and all that fails from then on, in the first mode alone.
    for (size_t i = 0; i < MODES; i++)
        for (unsigned policy = 0; policy < (i || kind > MMIO_WRITE ? 1 : POLICIES); policy++)
            for (unsigned later = 0; later < (!i && !policy && kind < WAIT_LATE ? 2 : 1); later++) {
                uint64_t count = sweep(&modes[i], policy, kind, later);
                if (count < at_least)
                    fail_msg("%s: %llu failures only", about, (unsigned long long)count);
            }
}

#define SWEEP(test, kind, at_least)                                                                          \
    static void test(void **state)                                                                           \
    {                                                                                                        \
        (void)state;                                                                                         \
        sweep_kind(kind, at_least);                                                                          \
    }
SWEEP(every_allocation, ALLOCATION, 10)
SWEEP(every_read_of_memory, MEM_READ, 10)
SWEEP(every_read_of_a_register, MMIO_READ, 25)
SWEEP(every_write_of_a_register, MMIO_WRITE, 10)
SWEEP(every_read_of_a_port, PORT_READ, 1)
SWEEP(every_write_of_a_port, PORT_WRITE, 1)
SWEEP(every_wait_ends_too_late, WAIT_LATE, 2)
SWEEP(commands_do_not_stop, CMD_STAYS_ON, 5)
SWEEP(commands_do_not_start, CMD_STAYS_OFF, 5)
SWEEP(commands_are_not_fetched, NO_FETCH, 5)
SWEEP(semaphores_are_not_stored, NO_STORE, 5)
SWEEP(the_log_does_not_stop, LOG_STAYS_ON, 5)
SWEEP(the_log_does_not_start, LOG_STAYS_OFF, 5)
SWEEP(the_device_table_is_locked, LOCKED_TABLE, 5)
SWEEP(the_command_buffer_is_locked, LOCKED_COMMANDS, 5)
SWEEP(the_event_log_is_locked, LOCKED_EVENTS, 5)
SWEEP(the_control_register_is_locked, LOCKED_CONTROL, 5)
SWEEP(the_command_head_is_locked, LOCKED_HEAD, 5)
SWEEP(the_command_tail_is_locked, LOCKED_TAIL, 5)
SWEEP(every_command_is_called_illegal, ILLEGAL_COMMAND, 4)
SWEEP(every_command_meets_an_error, COMMAND_ERROR, 4)

static void units_go_away_at_every_access(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODES; i++)
        assert_true(sweep(&modes[i], DAM_POLICY_FREEZE, UNIT_GONE, true) > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(every_read_of_memory),
        cmocka_unit_test(every_read_of_a_register),
        cmocka_unit_test(every_write_of_a_register),
        cmocka_unit_test(every_read_of_a_port),
        cmocka_unit_test(every_write_of_a_port),
        cmocka_unit_test(every_wait_ends_too_late),
        cmocka_unit_test(units_go_away_at_every_access),
        cmocka_unit_test(commands_do_not_stop),
        cmocka_unit_test(commands_do_not_start),
        cmocka_unit_test(commands_are_not_fetched),
        cmocka_unit_test(semaphores_are_not_stored),
        cmocka_unit_test(the_log_does_not_stop),
        cmocka_unit_test(the_log_does_not_start),
        cmocka_unit_test(the_device_table_is_locked),
        cmocka_unit_test(the_command_buffer_is_locked),
        cmocka_unit_test(the_event_log_is_locked),
        cmocka_unit_test(the_control_register_is_locked),
        cmocka_unit_test(the_command_head_is_locked),
        cmocka_unit_test(the_command_tail_is_locked),
        cmocka_unit_test(every_command_is_called_illegal),
        cmocka_unit_test(every_command_meets_an_error),
    };
    return cmocka_run_group_tests_name("AMD IOMMUs that fail", tests, NULL, NULL);
}

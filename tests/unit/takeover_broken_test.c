// SPDX-License-Identifier: MIT
// Broken root, context and PASID tables in both modes: the broken part is quarantined as the configuration
// says (blocked, or led to the scratch page), what is beside it gets its policy, and a finding names the
// place.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC   0x0118u
#define OTHER 0x0120u // of the same bus and half
#define UPPER 0x01A0u // of the upper half of that bus
#define GOOD  0x0228u // nothing is ever wrong with it
#define RW    0x7FFF0000ull
#define RW_PA 0x00310000ull
#define NONE  NAIVE_NO_PASID

static struct machine m;
static const unsigned rids[] = {NIC, OTHER, UPPER, GOOD};

// ---- the machine ------------------------------------------------------------------------------------------
static void prepare(bool scalable)
{
    struct old_kernel *k = &m.k[0];
    machine_setup(&m, 1);
    if (scalable)
        machine_scalable(&m, 0);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t tree = old_kernel_page(k);
        old_kernel_map(k, tree, 4, 0, RW, RW_PA + i * 4096, OLD_R | OLD_W);
        if (scalable) {
            old_kernel_directory(k, rids[i], 2, 1 << 3);
            old_kernel_bind(k, rids[i], 0, 2, 4, 5 + i, tree);
            old_kernel_bind(k, rids[i], 70, 2, 4, 5 + i, tree);
        } else {
            old_kernel_attach(k, rids[i], 0, 4, 5 + i, tree);
        }
    }
}

static int setup(void **state)
{
    (void)state;
    prepare(false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

// ---- what shall be broken ---------------------------------------------------------------------------------
enum place {
    RTADDR,
    ROOT,           // a bus in legacy mode, a half in scalable mode
    ROOT_HIGH_WORD, // legacy mode alone
    CONTEXT,
    DIRECTORY_ENTRY,
    PASID_ENTRY,
};

struct broken {
    const char *name;
    enum place place;
    unsigned word; // of the entry
    uint64_t clear, set;
    enum dam_finding_code code;
    bool scalable;
};

static uint64_t *word_of(const struct broken *b)
{
    struct old_kernel *k = &m.k[0];
    switch (b->place) {
    case RTADDR:
        return &k->root;
    case ROOT:
        return old_kernel_word(k, k->root + (b->scalable ? NIC >> 7 : NIC >> 8 << 1) * 8);
    case ROOT_HIGH_WORD:
        return old_kernel_word(k, k->root + (NIC >> 8) * 16 + 8);
    case CONTEXT:
        return (b->scalable ? old_kernel_function(k, NIC) : old_kernel_context(k, NIC)) + b->word;
    case DIRECTORY_ENTRY:
        return old_kernel_word(k, (old_kernel_function(k, NIC)[0] & ~0xFFFull));
    case PASID_ENTRY:
        return old_kernel_pasid(k, NIC, 0) + b->word;
    }
    return NULL;
}

// Whether what is broken says what this requester may do.
static bool concerned(const struct broken *b, unsigned rid, unsigned pasid)
{
    switch (b->place) {
    case RTADDR:
        return true;
    case ROOT:
    case ROOT_HIGH_WORD:
        return b->scalable ? rid >> 7 == NIC >> 7 : rid >> 8 == NIC >> 8;
    case CONTEXT:
        return rid == NIC;
    case DIRECTORY_ENTRY:
        return rid == NIC && (pasid == NONE || pasid < 64);
    case PASID_ENTRY:
        return rid == NIC && (pasid == NONE || pasid == 0);
    }
    return true;
}

static void check_requester(const struct broken *b, unsigned i, unsigned pasid, bool scratch)
{
    uint64_t page = machine_summary(&m)->scratch_page;
    for (unsigned write = 0; write < 2; write++) {
        struct fake_dma_result r = fake_dma_pasid(m.fake, 0, rids[i], pasid, RW + 8, write);
        bool broken = concerned(b, rids[i], pasid);
        uint64_t want = !broken ? RW_PA + i * 4096 + 8 : scratch ? page + 8 : 0;
        if (r.ok != (want != 0) || (r.ok && r.pa != want))
            fail_msg("%s: %#x:%#x: ok %d pa %#llx reason %#x, not %#llx", b->name, rids[i], pasid, r.ok,
                     (unsigned long long)r.pa, r.reason, (unsigned long long)want);
    }
}

static const struct dam_finding *finding(enum dam_finding_code code)
{
    uint32_t count;
    const struct dam_finding *f = machine_section(&m, DAM_SECTION_FINDINGS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (f[i].code == code)
            return &f[i];
    return NULL;
}

static void check_finding(const struct broken *b, uint64_t raw)
{
    const struct dam_finding *f = finding(b->code);
    if (!f)
        fail_msg("%s: no finding %d", b->name, b->code);
    if (b->place >= CONTEXT && f->address % 16 != b->word % 2 * 8)
        fail_msg("%s: address %#llx is not that of word %u", b->name, (unsigned long long)f->address,
                 b->word);
    if (b->place != ROOT_HIGH_WORD && f->raw != raw)
        fail_msg("%s: raw %#llx, not %#llx", b->name, (unsigned long long)f->raw, (unsigned long long)raw);
    assert_true(f->severity >= DAM_WARN);
    assert_int_equal(f->unit, 0);
    if (b->place >= CONTEXT)
        assert_int_equal(f->rid, NIC);
}

static void run_one(const struct broken *b, bool scratch)
{
    prepare(b->scalable);
    uint64_t *word = word_of(b), raw = *word = (*word & ~b->clear) | b->set;
    m.config.policy = DAM_POLICY_PRESERVE;
    m.config.broken = scratch ? DAM_POLICY_SCRATCH : DAM_POLICY_BLOCK;
    assert_true(machine_start(&m));
    enum dam_stop stop = machine_run(&m);
    if (stop || m.fake->violations)
        fail_msg("%s: stop %d %s", b->name, stop, m.fake->violation);
    machine_report(&m);
    check_finding(b, b->place == RTADDR ? raw | (uint64_t)b->scalable << 10 : raw);
    for (unsigned i = 0; i < 4; i++) {
        check_requester(b, i, NONE, scratch);
        if (b->scalable) {
            check_requester(b, i, 0, scratch);
            check_requester(b, i, 70, scratch);
        }
    }
    if (b->place == DIRECTORY_ENTRY) {
        const struct dam_note_requester *r = machine_pasid(&m, 0, NIC, 0);
        assert_non_null(r); // for all 64 of them
        assert_int_equal(r->old_kind, DAM_OLD_BROKEN);
        assert_true(r->flags & DAM_REQ_QUARANTINED);
        assert_true(r->flags & DAM_REQ_RID_PASID);
    }
    // What nobody used before is silent as well, and leads nowhere but to the scratch page.
    struct fake_dma_result r = fake_dma(m.fake, 0, NIC + 1, RW, true);
    assert_true(!r.ok || (scratch && r.pa == machine_summary(&m)->scratch_page));
    const struct fake_unit *unit = &m.fake->unit[0];
    if (unit->faults_recorded)
        fail_msg("%s: a fault is recorded", b->name);
    assert_int_equal(unit->tes_off, 0);
    assert_in_range(unit->root, M_POOL_START, M_POOL_START + M_POOL_SIZE);
    assert_int_equal(unit->root >> 10 & 3, b->scalable);
    assert_true(machine_old_memory_untouched(&m));
    machine_teardown(&m);
}

static void run(void **state, const struct broken *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (unsigned scratch = 0; scratch < 2; scratch++) {
            teardown(state);
            run_one(&list[i], scratch);
            setup(state);
        }
    }
}
#define RUN(list) run(state, list, sizeof(list) / sizeof(list[0]))

// Where no table can be: nothing, unit registers, the crash region, the pool, firmware, beyond host
// addresses.
#define POINTERS(X)                                                                                          \
    X("nowhere", 0x7000000000)                                                                               \
    X("at 0", 0)                                                                                             \
    X("registers", M_UNIT(0))                                                                                \
    X("crash region", M_CRASH_START + 0x1000)                                                                \
    X("pool", M_POOL_START)                                                                                  \
    X("firmware", M_FIRMWARE)                                                                                \
    X("the end of memory", M_OLD_END)
#define ADDRESS (~0xFFFull)

static void root_pointer(void **state)
{
#define X(what, pa) {"RTADDR leads to " what, RTADDR, 0, ADDRESS, pa, DAM_F_UNIT_ROOT, false},
    const struct broken legacy[] = {
        POINTERS(X){"RTADDR ones", RTADDR, 0, ADDRESS, ADDRESS, DAM_F_UNIT_ROOT, 0}};
#undef X
    RUN(legacy);
}

static void root_entries(void **state)
{
    const struct broken list[] = {
#define X(what, pa) {"root entry leads to " what, ROOT, 0, ADDRESS, pa, DAM_F_ROOT_POINTER, false},
        POINTERS(X)
#undef X
#define X(what, pa) {"half root entry leads to " what, ROOT, 0, ADDRESS, pa, DAM_F_ROOT_POINTER, true},
            POINTERS(X)
#undef X
                {"root reserved", ROOT, 0, 0, 1 << 1, DAM_F_ROOT_RESERVED, false},
        {"root reserved 11", ROOT, 0, 0, 1 << 11, DAM_F_ROOT_RESERVED, false},
        {"root beyond", ROOT, 0, 0, 1ull << M_HAW, DAM_F_ROOT_RESERVED, false},
        {"root ones", ROOT, 0, 0, ~0ull, DAM_F_ROOT_RESERVED, false},
        {"root high word", ROOT_HIGH_WORD, 0, 0, 1, DAM_F_ROOT_RESERVED, false},
        {"half reserved", ROOT, 0, 0, 1 << 1, DAM_F_ROOT_RESERVED, true},
        {"half beyond", ROOT, 0, 0, 1ull << 63, DAM_F_ROOT_RESERVED, true},
        {"half ones", ROOT, 0, 0, ~0ull, DAM_F_ROOT_RESERVED, true},
    };
    RUN(list);
}

static void context_entries(void **state)
{
    const struct broken list[] = {
#define X(what, pa) {"context leads to " what, CONTEXT, 0, ADDRESS, pa, DAM_F_CTX_POINTER, false},
        POINTERS(X)
#undef X
            {"context reserved", CONTEXT, 0, 0, 1 << 4, DAM_F_CTX_RESERVED, false},
        {"context reserved 7", CONTEXT, 1, 0, 1 << 7, DAM_F_CTX_RESERVED, false},
        {"context reserved 24", CONTEXT, 1, 0, 1 << 24, DAM_F_CTX_RESERVED, false},
        {"context ones", CONTEXT, 0, 0, ~0ull, DAM_F_CTX_RESERVED, false},
        {"context type 1", CONTEXT, 0, 0, 1 << 2, DAM_F_CTX_TYPE, false},
        {"context type 3", CONTEXT, 0, 0, 3 << 2, DAM_F_CTX_TYPE, false},
        {"context width 0", CONTEXT, 1, 7, 0, DAM_F_CTX_WIDTH, false},
        {"context width 1", CONTEXT, 1, 7, 1, DAM_F_CTX_WIDTH, false},
        {"context width 7", CONTEXT, 1, 7, 7, DAM_F_CTX_WIDTH, false},
#define X(what, pa) {"scalable context leads to " what, CONTEXT, 0, ADDRESS, pa, DAM_F_PASID_DIRECTORY, true},
        POINTERS(X)
#undef X
            {"scalable context reserved", CONTEXT, 0, 0, 1 << 5, DAM_F_SM_CONTEXT, true},
        {"scalable context DTE", CONTEXT, 0, 0, 1 << 2, DAM_F_SM_CONTEXT, true},
        {"scalable context PRE", CONTEXT, 0, 0, 1 << 4, DAM_F_SM_CONTEXT, true},
        {"scalable context word 1", CONTEXT, 1, 0, 1 << 21, DAM_F_SM_CONTEXT, true},
        {"scalable context word 2", CONTEXT, 2, 0, 1, DAM_F_SM_CONTEXT, true},
        {"scalable context word 3", CONTEXT, 3, 0, 1ull << 63, DAM_F_SM_CONTEXT, true},
        {"scalable context ones", CONTEXT, 0, 0, ~0ull, DAM_F_SM_CONTEXT, true},
    };
    RUN(list);
}

static void directory_entries(void **state)
{
    const struct broken list[] = {
#define X(what, pa)                                                                                          \
    {"directory entry leads to " what, DIRECTORY_ENTRY, 0, ADDRESS, pa, DAM_F_PASID_DIR_POINTER, true},
        POINTERS(X)
#undef X
            {"directory reserved", DIRECTORY_ENTRY, 0, 0, 1 << 2, DAM_F_PASID_DIR_RESERVED, true},
        {"directory reserved 11", DIRECTORY_ENTRY, 0, 0, 1 << 11, DAM_F_PASID_DIR_RESERVED, true},
        {"directory beyond", DIRECTORY_ENTRY, 0, 0, 1ull << M_HAW, DAM_F_PASID_DIR_RESERVED, true},
        {"directory ones", DIRECTORY_ENTRY, 0, 0, ~0ull, DAM_F_PASID_DIR_RESERVED, true},
    };
    RUN(list);
}

#define PGTT(n) ((uint64_t)(n) << 6)
static void pasid_entries(void **state)
{
    const struct broken list[] = {
#define X(what, pa) {"PASID entry leads to " what, PASID_ENTRY, 0, ADDRESS, pa, DAM_F_PASID_POINTER, true},
        POINTERS(X)
#undef X
            {"PASID reserved", PASID_ENTRY, 0, 0, 1 << 5, DAM_F_PASID_RESERVED, true},
        {"PASID reserved 10", PASID_ENTRY, 0, 0, 1 << 10, DAM_F_PASID_RESERVED, true},
        {"PASID word 1", PASID_ENTRY, 1, 0, 1 << 16, DAM_F_PASID_RESERVED, true},
        {"PASID word 2", PASID_ENTRY, 2, 0, 1 << 8, DAM_F_PASID_RESERVED, true},
        {"PASID word 3", PASID_ENTRY, 3, 0, 1, DAM_F_PASID_RESERVED, true},
        {"PASID word 7", PASID_ENTRY, 7, 0, 1ull << 63, DAM_F_PASID_RESERVED, true},
        {"PASID beyond", PASID_ENTRY, 0, 0, 1ull << M_HAW, DAM_F_PASID_RESERVED, true},
        {"PASID ones", PASID_ENTRY, 0, 0, ~0ull, DAM_F_PASID_RESERVED, true},
        {"PASID type 0", PASID_ENTRY, 0, PGTT(7), PGTT(0), DAM_F_PASID_TYPE, true},
        {"PASID type 5", PASID_ENTRY, 0, PGTT(7), PGTT(5), DAM_F_PASID_TYPE, true},
        {"PASID type 6", PASID_ENTRY, 0, PGTT(7), PGTT(6), DAM_F_PASID_TYPE, true},
        {"PASID type 7", PASID_ENTRY, 0, PGTT(7), PGTT(7), DAM_F_PASID_TYPE, true},
        {"PASID width 0", PASID_ENTRY, 0, 7 << 2, 0, DAM_F_PASID_WIDTH, true},
        {"PASID width 3", PASID_ENTRY, 0, 7 << 2, 3 << 2, DAM_F_PASID_WIDTH, true},
        {"PASID width 7", PASID_ENTRY, 0, 7 << 2, 7 << 2, DAM_F_PASID_WIDTH, true},
    };
    RUN(list);
}

static void first_stage_pointer(void **state)
{
    (void)state;
    machine_teardown(&m);
    prepare(true);
    uint64_t *e = old_kernel_pasid(&m.k[0], NIC, 0);
    e[0] = PGTT(1) | 1;
    e[2] = M_POOL_START;
    m.config.policy = DAM_POLICY_PRESERVE;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    assert_int_equal(finding(DAM_F_PASID_POINTER)->raw, M_POOL_START);
    const struct broken b = {.name = "first stage", .place = PASID_ENTRY, .scalable = true};
    check_requester(&b, 0, NONE, false);
    assert_int_equal(machine_pasid(&m, 0, NIC, 0)->old_kind, DAM_OLD_BROKEN);
}

// ---- table modes ------------------------------------------------------------------------------------------
static enum dam_stop with_mode(unsigned ttm, uint64_t ecap)
{
    machine_teardown(&m);
    prepare(false);
    m.fake->unit[0].ecap |= ecap;
    assert_true(machine_start(&m));
    m.fake->unit[0].rtaddr |= (uint64_t)ttm << 10;
    if (ecap)
        m.fake->unit[0].root = m.fake->unit[0].rtaddr;
    enum dam_stop stop = machine_run(&m);
    assert_string_equal(m.fake->violation, "");
    machine_report(&m);
    return stop;
}

static void modes_that_the_unit_does_not_have(void **state)
{
    (void)state;
    // It can run in legacy mode alone, whatever the register says.
    for (unsigned ttm = 1; ttm < 4; ttm++) {
        assert_int_equal(with_mode(ttm, 0), DAM_STOP_NONE);
        assert_non_null(finding(DAM_F_ROOT_MODE));
        for (unsigned i = 0; i < 4; i++)
            assert_false(fake_dma(m.fake, 0, rids[i], RW, false).ok);
        assert_int_equal(m.fake->unit[0].root >> 10 & 3, 0);
        assert_int_equal(m.fake->unit[0].faults_recorded, 0);
    }
    // These may be in a mode that is not known here: they are left alone.
    const struct {
        unsigned ttm;
        uint64_t ecap;
    } left[] = {{2, 1ull << 43}, {3, 1ull << 43}, {2, 1 << 24}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(with_mode(left[i].ttm, left[i].ecap), DAM_STOP_MODE);
        assert_non_null(finding(DAM_F_UNIT_MODE));
        assert_int_equal(m.fake->write_count, 0);
    }
}

// With two modes to choose from, a register that leads nowhere does not tell which one the unit is in.
static void a_root_pointer_that_tells_no_mode(void **state)
{
    static const uint64_t values[] = {
#define X(what, pa) pa, (pa) | 1 << 10,
        POINTERS(X)
#undef X
            ADDRESS};
    for (size_t i = 0; i < 2 * sizeof(values) / sizeof(values[0]); i++) {
        uint64_t value = i & 1 ? values[i / 2] : values[i / 2] & ADDRESS;
        teardown(state);
        prepare(i & 1); // every other one a unit with the extended mode of old
        m.fake->unit[0].ecap |= i & 1 ? 0 : 1 << 24;
        assert_true(machine_start(&m));
        m.fake->unit[0].rtaddr = value;
        assert_int_equal(machine_run(&m), DAM_STOP_TABLES);
        machine_report(&m);
        const struct dam_finding *f = finding(DAM_F_ROOT_UNKNOWN);
        assert_non_null(f);
        assert_int_equal(f->raw, value);
        assert_int_equal(m.fake->write_count, 0);
    }
}

static void a_unit_that_refuses_all_dma_goes_on_doing_so(void **state)
{
    (void)state;
    assert_int_equal(with_mode(3, 1ull << 52), DAM_STOP_MODE);
    assert_non_null(finding(DAM_F_UNIT_ABORTS));
    assert_int_equal(m.fake->write_count, 0);
}

// ---- tables that lead to each other -----------------------------------------------------------------------
static void safe(const char *what)
{
    if (m.fake->violations)
        fail_msg("%s: %s", what, m.fake->violation);
    for (unsigned rid = 0; rid < 0x300; rid++) {
        for (unsigned n = 0; n < 64; n++) {
            uint64_t iova = n < 32 ? n * 0x40000000ull + 0x1000 * n : M_POOL_START + n * 0x10000;
            struct fake_dma_result r = fake_dma(m.fake, 0, rid, iova, n & 1);
            if (r.ok && machine_keeps_out(r.pa))
                fail_msg("%s: %#x reaches %#llx", what, rid, (unsigned long long)r.pa);
        }
    }
    assert_int_equal(m.fake->unit[0].tes_off, 0);
}

static void tables_that_lead_to_each_other(void **state)
{
    (void)state;
    for (unsigned scalable = 0; scalable < 2; scalable++) {
        for (unsigned from = ROOT; from <= PASID_ENTRY; from++) {
            for (unsigned to = 0; to < 5; to++) {
                if (from == ROOT_HIGH_WORD || (!scalable && from > CONTEXT))
                    continue;
                machine_teardown(&m);
                prepare(scalable);
                struct broken b = {.place = from, .scalable = scalable};
                uint64_t *word = word_of(&b), other = *old_kernel_word(&m.k[0], m.k[0].root + 2 * 16);
                uint64_t tree =
                    scalable ? old_kernel_pasid(&m.k[0], GOOD, 0)[0] : old_kernel_context(&m.k[0], GOOD)[0];
                const uint64_t targets[] = {m.k[0].root, *word, other, tree, M_OLD_START + 0x1000};
                *word = (*word & 0xFFF) | (targets[to] & ~0xFFFull);
                m.config.max_tables = 20000;
                m.config.policy = DAM_POLICY_PRESERVE;
                assert_true(machine_start(&m));
                assert_int_equal(machine_run(&m), DAM_STOP_NONE);
                safe("tables that lead to each other");
                assert_true(machine_old_memory_untouched(&m));
            }
        }
    }
}

// A directory of which every entry leads to one table full of bindings: more than its share, and that alone.
static void a_directory_beyond_its_share(void **state)
{
    (void)state;
    machine_teardown(&m);
    prepare(true);
    struct old_kernel *k = &m.k[0];
    uint64_t tree = old_kernel_pasid(k, OTHER, 0)[0] & ~0xFFFull;
    old_kernel_directory(k, NIC, 7, 1 << 3);
    for (unsigned i = 0; i < 64; i++)
        old_kernel_bind(k, NIC, i, 2, 4, 5, tree);
    uint64_t directory = old_kernel_function(k, NIC)[0] & ~0xFFFull;
    for (unsigned i = 1; i < 16384; i++)
        *old_kernel_word(k, directory + i * 8) = *old_kernel_word(k, directory);
    m.config.policy = DAM_POLICY_PRESERVE;
    assert_true(machine_start(&m));
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    machine_report(&m);
    assert_int_equal(finding(DAM_F_PASID_SHARE)->rid, NIC);
    const struct dam_note_requester *r = machine_requester(&m, 0, NIC);
    assert_int_equal(r->old_kind, DAM_OLD_BROKEN);
    assert_int_equal(machine_summary(&m)->requester_total, 7);
    const struct broken b = {.name = "share", .place = CONTEXT, .scalable = true};
    for (unsigned i = 0; i < 4; i++)
        check_requester(&b, i, 70, false);
}

// ---- tables that change -----------------------------------------------------------------------------------
static uint64_t nic_tree;

static void change_root(struct fake_vtd *fake, uint64_t pa, size_t len)
{
    (void)fake;
    (void)len;
    if (pa == nic_tree) // long after the root table was read
        *old_kernel_word(&m.k[0], m.k[0].root + (NIC >> 8) * 16) = M_POOL_START | 1;
}

static void a_root_table_that_changes_is_told(void **state)
{
    (void)state;
    m.config.policy = DAM_POLICY_PRESERVE;
    nic_tree = old_kernel_context(&m.k[0], NIC)[0] & ~0xFFFull;
    assert_true(machine_start(&m));
    m.fake->before_read = change_root;
    assert_int_equal(machine_run(&m), DAM_STOP_NONE);
    m.fake->before_read = NULL;
    machine_report(&m);
    assert_int_equal(finding(DAM_F_TABLES_CHANGED)->address, m.k[0].root);
    assert_true(fake_dma(m.fake, 0, NIC, RW, true).pa == RW_PA);
    safe("a root table that changes");
}

static void random_bytes(void **state)
{
    (void)state;
    uint64_t rng = 1;
    for (unsigned n = 0; n < 60; n++) {
        machine_teardown(&m);
        prepare(n & 1);
        struct broken b = {
            .place = (enum place[]){ROOT, CONTEXT, DIRECTORY_ENTRY, PASID_ENTRY}[n / 2 % (n & 1 ? 4 : 2)],
            .scalable = n & 1};
        uint8_t *page = m.k[0].host + (((uint64_t)((uint8_t *)word_of(&b) - m.k[0].host)) & ~0xFFFull);
        for (unsigned i = 0; i < 4096; i++) {
            rng = rng * 6364136223846793005ull + 1442695040888963407ull;
            page[i] = n % 6 == 5 ? 0xFF : (uint8_t)(rng >> 56);
        }
        m.config.max_tables = 20000;
        m.config.policy = DAM_POLICY_PRESERVE;
        m.config.broken = n % 3 ? DAM_POLICY_BLOCK : DAM_POLICY_FREEZE;
        assert_true(machine_start(&m));
        assert_int_equal(machine_run(&m), DAM_STOP_NONE);
        safe("random bytes");
        assert_true(machine_old_memory_untouched(&m));
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(root_pointer),
        T(root_entries),
        T(context_entries),
        T(directory_entries),
        T(pasid_entries),
        T(first_stage_pointer),
        T(modes_that_the_unit_does_not_have),
        T(a_root_pointer_that_tells_no_mode),
        T(a_unit_that_refuses_all_dma_goes_on_doing_so),
        T(tables_that_lead_to_each_other),
        T(a_directory_beyond_its_share),
        T(a_root_table_that_changes_is_told),
        T(random_bytes),
    };
    return cmocka_run_group_tests_name("broken tables", tests, NULL, NULL);
}

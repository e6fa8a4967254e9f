// SPDX-License-Identifier: MIT
// The register model of AMD's IOMMU, looked at by itself: what the engine's tests trust it to notice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NIC       0x0018u
#define DISK      0x0020u
#define IOVA      0x7FFF0000ull
#define PA        0x00310000ull
#define OTHER_PA  0x00320000ull
#define SEMAPHORE 0x004D0000ull
#define NO_PASID  NAIVE_AMD_NO_PASID

static struct machine m;
static struct fake_amd_unit *u;
static uint64_t tree;
static unsigned tail;

static int setup(void **state)
{
    (void)state;
    machine_setup_amd(&m, 1);
    u = &m.amd->unit[0];
    tree = old_kernel_page(&m.k[0]);
    tail = 0;
    old_amd_map(&m.k[0], tree, 3, 0, IOVA, PA, OLD_R | OLD_W);
    old_amd_attach(&m.k[0], NIC, 3, 5, tree, OLD_R | OLD_W);
    assert_true(machine_start(&m));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_teardown(&m);
    return 0;
}

static uint64_t get(unsigned offset)
{
    uint64_t value;
    assert_int_equal(dam_mmio_read(&m.fake->ops, dam_pa_of(M_AMD(0) + offset), 8, &value), DAM_OK);
    return value;
}

static void set(unsigned offset, uint64_t value)
{
    assert_int_equal(dam_mmio_write(&m.fake->ops, dam_pa_of(M_AMD(0) + offset), 8, value), DAM_OK);
}

static void command(uint32_t d0, uint32_t d1, uint32_t d2, uint32_t d3)
{
    const uint32_t dw[4] = {d0, d1, d2, d3};
    memcpy(fake_vtd_ptr(m.fake, (u->command_base & 0xFFFFFFFFF000ull) + tail, 16), dw, 16);
    tail = (tail + 16) % 0x2000;
    set(0x2008, tail);
}

static struct fake_amd_dma dma(uint64_t iova, bool write)
{
    return fake_amdvi_dma(m.amd, 0, NIC, NO_PASID, iova, write);
}

static void leads(uint64_t pa)
{
    struct fake_amd_dma r = dma(IOVA, false);
    assert_true(r.ok);
    assert_int_equal(r.pa, pa);
}

// ---- registers --------------------------------------------------------------------------------------------
static void registers_read_back_what_can_be_written(void **state)
{
    (void)state;
    assert_int_equal(get(0x0000), m.k[0].root | 7);
    assert_int_equal(get(0x0008), M_AMD_BUFFERS | 9ull << 56);
    assert_int_equal(get(0x0030), u->efr);
    assert_int_equal(get(0x2020), 0x18);
    set(0x0000, ~0ull);
    assert_int_equal(get(0x0000), 0x000FFFFFFFFFF1FFull);
    set(0x0018, get(0x0018) & ~(1ull << 12 | 1ull << 2)); // buffers off
    assert_int_equal(get(0x2020), 0);
    set(0x0008, ~0ull);
    set(0x0010, ~0ull);
    assert_int_equal(get(0x0008), 0x0F0FFFFFFFFFF000ull);
    assert_int_equal(get(0x0010), 0x0F0FFFFFFFFFF000ull);
    set(0x2000, ~0ull);
    assert_int_equal(get(0x2000), 0x7FFF0);
    assert_int_equal(m.fake->violations, 0);
    set(0x0030, 0);
    assert_int_equal(m.fake->violations, 1);
    assert_int_equal(get(0x0030), u->efr);
}

static void halves_of_registers(void **state)
{
    (void)state;
    uint64_t value;
    assert_int_equal(dam_mmio_read(&m.fake->ops, dam_pa_of(M_AMD(0) + 0x0C), 4, &value), DAM_OK);
    assert_int_equal(value, 9u << 24);
    assert_int_equal(dam_mmio_write(&m.fake->ops, dam_pa_of(M_AMD(0) + 0x18), 4, 5), DAM_OK);
    assert_int_equal(get(0x0018) & 0xFFFFFFFF, 5);
    assert_string_equal(m.fake->violation, "");
    assert_int_equal(dam_mmio_write(&m.fake->ops, dam_pa_of(M_AMD(0)), 4, 0x200000), DAM_OK);
    assert_string_not_equal(m.fake->violation, "");
}

static void buffers_in_use_are_left_alone(void **state)
{
    (void)state;
    static const unsigned offsets[] = {0x0008, 0x0010, 0x2000, 0x2018};
    for (unsigned i = 0; i < 4; i++) {
        m.fake->violations = 0;
        set(offsets[i], 0);
        assert_int_equal(m.fake->violations, 1);
    }
}

static void status_follows_late_or_never(void **state)
{
    (void)state;
    u->latency = 3;
    set(0x0018, get(0x0018) & ~(1ull << 12));
    assert_int_equal(get(0x2020) >> 4 & 1, 1);
    get(0x2020);
    get(0x2020);
    assert_int_equal(get(0x2020) >> 4 & 1, 0);
    u->latency = 0;
    u->stuck = FAKE_AMD_STUCK_CMD_ON;
    set(0x0018, get(0x0018) | 1ull << 12);
    assert_int_equal(get(0x2020) >> 4 & 1, 0);
    u->stuck = 0;
    assert_int_equal(get(0x2020) >> 4 & 1, 1);
    u->stuck = FAKE_AMD_STUCK_CMD_OFF;
    u->stuck_from = u->writes + 2;
    set(0x0018, get(0x0018) & ~(1ull << 12)); // not yet
    assert_int_equal(get(0x2020) >> 4 & 1, 0);
    u->stuck = 0;
    set(0x0018, get(0x0018) & ~1ull);
    assert_int_equal(u->off, 1);
    assert_true(dma(IOVA, true).untranslated);
}

static void locked_registers_ignore_writes(void **state)
{
    (void)state;
    u->locked[0] = 0x0000 + 1;
    set(0x0000, 0x200000);
    assert_int_equal(get(0x0000), m.k[0].root | 7);
    u->locked[0] = 0;
    u->snp = true;
    u->exclusion_base = SEMAPHORE;
    u->exclusion_limit = SEMAPHORE;
    set(0x0018, get(0x0018) & ~(1ull << 12 | 1ull << 2));
    get(0x2020);
    const unsigned offsets[] = {0x0000, 0x0008, 0x0010, 0x0020, 0x0028, 0x0038};
    for (unsigned i = 0; i < 6; i++) {
        uint64_t before = get(offsets[i]);
        set(offsets[i], 0x300000);
        assert_int_equal(get(offsets[i]), before);
    }
    set(0x0018, get(0x0018) | 1ull << 12);
    command(SEMAPHORE | 1, 1u << 28, 7, 0);
    command((SEMAPHORE + 0x1000) | 1, 1u << 28, 7, 0);
    assert_int_equal(u->waits_stored, 1);
    assert_int_equal(*old_kernel_word(&(struct old_kernel){m.old, M_OLD_START, 0x400000, 0, 0, 0}, SEMAPHORE),
                     7);
}

// ---- caches -----------------------------------------------------------------------------------------------
static void a_new_device_table_is_seen_when_entries_are_dropped(void **state)
{
    (void)state;
    uint64_t table = old_kernel_page(&m.k[0]);
    leads(PA);
    set(0x0000, table); // all zero: everything passes
    leads(PA);
    command(NIC, 2u << 28, 0, 0);
    leads(IOVA);
    assert_int_equal(u->of_op[2], 1);
    assert_false(fake_amdvi_dma(m.amd, 0, 128, NO_PASID, IOVA, false).ok); // beyond the table
    assert_int_equal(u->events[FAKE_AMD_ILLEGAL_DTE], 1);
}

static void pages_stay_until_their_domain_is_dropped(void **state)
{
    (void)state;
    leads(PA);
    old_amd_map(&m.k[0], tree, 3, 0, IOVA, OTHER_PA, OLD_R);
    command(0, 3u << 28 | 4, 0xFFFFF003, 0x7FFFFFFF); // another domain
    leads(PA);
    command(0, 3u << 28 | 5, 0xFFFFF001, 0x7FFFFFFF); // without PDE
    leads(PA);
    command(0, 3u << 28 | 5, (uint32_t)(IOVA + 0x1000) | 2, 0); // another page
    leads(PA);
    command(NIC, 2u << 28, 0, 0); // the entry alone
    leads(PA);
    command(0, 3u << 28 | 5, 0xFFFFF003, 0x7FFFFFFF);
    leads(OTHER_PA);
    assert_false(dma(IOVA, true).ok);
    old_amd_map(&m.k[0], tree, 3, 0, IOVA, PA, OLD_R);
    command(0, 3u << 28 | 5, (uint32_t)IOVA | 2, 0);
    leads(PA);
    old_amd_map(&m.k[0], tree, 3, 0, IOVA, OTHER_PA, OLD_R);
    command(0, 3u << 28 | 5, (uint32_t)(IOVA & ~0x1FFFFFull) | 0xFF003, 0); // its 2 MiB
    leads(OTHER_PA);
}

static void everything_is_dropped_at_once(void **state)
{
    (void)state;
    leads(PA);
    old_amd_attach(&m.k[0], NIC, 0, 5, 0, OLD_R);
    leads(PA);
    command(0, 8u << 28, 0, 0);
    leads(IOVA);
    assert_false(dma(IOVA, true).ok);
    u->efr &= ~FAKE_AMD_EFR_IA;
    command(0, 8u << 28, 0, 0);
    assert_int_equal(u->events[FAKE_AMD_ILLEGAL_COMMAND], 1);
}

static void rights_of_an_entry_are_cached_with_its_pages(void **state)
{
    (void)state;
    assert_true(dma(IOVA, true).ok);
    old_amd_attach(&m.k[0], NIC, 3, 5, tree, OLD_R);
    command(NIC, 2u << 28, 0, 0);
    assert_true(dma(IOVA, true).ok);
    command(0, 3u << 28 | 5, 0xFFFFF003, 0x7FFFFFFF);
    assert_false(dma(IOVA, true).ok);
    assert_true(dma(IOVA, false).ok);
}

static void walks_that_do_not_snoop_see_memory_alone(void **state)
{
    (void)state;
    u->control &= ~FAKE_AMD_COHERENT;
    fake_vtd_settle(m.fake);
    uint64_t *e = old_amd_entry(&m.k[0], NIC);
    e[0] = 0;
    leads(PA);
    command(0, 8u << 28, 0, 0);
    leads(PA);
    m.fake->ops.cache_flush(m.fake, e, 32);
    m.fake->ops.barrier(m.fake);
    command(0, 8u << 28, 0, 0);
    leads(IOVA);
}

// ---- commands ---------------------------------------------------------------------------------------------
static void semaphores_are_stored_in_order_and_the_buffer_wraps(void **state)
{
    (void)state;
    uint64_t *at = fake_vtd_ptr(m.fake, SEMAPHORE, 8);
    for (unsigned i = 0; i < 1030; i++) {
        command(SEMAPHORE | 1, 1u << 28, i, 0xAB);
        assert_int_equal(*at, 0xAB00000000ull | i);
    }
    assert_int_equal(get(0x2000), 1030 * 16 % 0x2000);
    assert_int_equal(u->interrupts, 0);
    u->control |= FAKE_AMD_WAIT_INT;
    command(2, 1u << 28, 0, 0);
    assert_int_equal(u->interrupts, 1);
    assert_int_equal(get(0x2020) >> 2 & 1, 1);
    set(0x2020, 1 << 2);
    assert_int_equal(get(0x2020) >> 2 & 1, 0);
}

static void commands_take_their_time(void **state)
{
    (void)state;
    u->latency = 4;
    command(SEMAPHORE | 1, 1u << 28, 1, 0);
    for (unsigned i = 0; i < 3; i++)
        dam_clock_us(&m.fake->ops);
    assert_int_equal(u->waits_stored, 0);
    dam_clock_us(&m.fake->ops);
    assert_int_equal(u->waits_stored, 1);
}

static void what_is_not_a_command_stops_the_buffer(void **state)
{
    (void)state;
    static const uint32_t wrong[][4] = {
        {0, 0, 0, 0},        {0, 6u << 28, 0, 0},    {0, 9u << 28, 0, 0}, {0x10000, 2u << 28, 0, 0},
        {0, 2u << 28, 1, 0}, {0, 3u << 28, 0x10, 0}, {0, 8u << 28, 0, 1}, {0, 1u << 28 | 1 << 20, 0, 0},
        {0, 7u << 28, 0, 0}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        command(wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3]);
        assert_int_equal(u->events[FAKE_AMD_ILLEGAL_COMMAND], i + 1);
        assert_int_equal(get(0x2020) >> 4 & 1, 0);
        unsigned done = u->commands;
        command(SEMAPHORE | 1, 1u << 28, 1, 0);
        assert_int_equal(u->commands, done);
        set(0x0018, get(0x0018) & ~(1ull << 12));
        set(0x2000, 0);
        set(0x2008, 0);
        tail = 0;
        set(0x0018, get(0x0018) | 1ull << 12);
        command(SEMAPHORE | 1, 1u << 28, 1, 0);
        assert_int_equal(u->commands, done + 1);
    }
    assert_int_equal(m.fake->violations, 0);
}

static void failures_on_demand(void **state)
{
    (void)state;
    u->fail_command = 2;
    u->fail_with = FAKE_AMD_COMMAND_HW;
    command(NIC, 2u << 28, 0, 0);
    command(NIC, 2u << 28, 0, 0);
    assert_int_equal(u->commands, 1);
    assert_int_equal(u->events[FAKE_AMD_COMMAND_HW], 1);
    u->fail_command = 0;
    set(0x0018, get(0x0018) & ~(1ull << 12));
    set(0x0018, get(0x0018) | 1ull << 12);
    get(0x2020);
    u->stuck = FAKE_AMD_STUCK_STORE;
    command(SEMAPHORE | 1, 1u << 28, 1, 0);
    assert_int_equal(u->waits_stored, 0);
    assert_int_equal(get(0x2000), get(0x2008));
    u->stuck = FAKE_AMD_STUCK_FETCH;
    command(SEMAPHORE | 1, 1u << 28, 1, 0);
    assert_int_not_equal(get(0x2000), get(0x2008));
    u->absent = true;
    assert_int_equal(get(0x2020), ~0ull);
}

// ---- the event log ----------------------------------------------------------------------------------------
static void faults_are_logged_unless_suppressed(void **state)
{
    (void)state;
    const uint64_t *log = fake_vtd_ptr(m.fake, M_AMD_BUFFERS + 0x2000, 0x2000);
    assert_false(dma(0x1000, true).ok);
    assert_int_equal(u->events[FAKE_AMD_PAGE_FAULT], 1);
    assert_int_equal(log[0], 2ull << 60 | 5ull << 32 | NIC);
    assert_int_equal(log[1], 0x1000);
    assert_int_equal(get(0x2018), 16);
    assert_int_equal(u->interrupts, 1);
    old_amd_entry(&m.k[0], NIC)[1] |= OLD_AMD_SE;
    command(NIC, 2u << 28, 0, 0);
    for (unsigned i = 0; i < 5; i++)
        dma(0x1000, true);
    assert_int_equal(u->events_total, 2); // the first one
    old_amd_entry(&m.k[0], NIC)[1] |= OLD_AMD_SA;
    command(NIC, 2u << 28, 0, 0);
    for (unsigned i = 0; i < 5; i++)
        dma(0x1000, true);
    assert_int_equal(u->events_total, 2);
    assert_int_equal(u->faults_silent, 9);
    old_amd_entry(&m.k[0], NIC)[0] |= 4; // reserved: told all the same
    command(NIC, 2u << 28, 0, 0);
    assert_false(dma(IOVA, false).ok);
    assert_int_equal(u->events[FAKE_AMD_ILLEGAL_DTE], 1);
}

static void a_full_log_stops_and_translation_goes_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 600; i++)
        dma(0x1000, true);
    assert_int_equal(u->events_logged, 511);
    assert_int_equal(get(0x2020) & 9, 1); // overflow, not running
    leads(PA);
    set(0x0018, get(0x0018) & ~(1ull << 2));
    set(0x2010, 0);
    set(0x2018, 0);
    set(0x2020, 1);
    set(0x0018, get(0x0018) | 1ull << 2);
    assert_int_equal(get(0x2020) & 9, 8);
    dma(0x1000, true);
    assert_int_equal(u->events_logged, 512);
    assert_int_equal(m.fake->violations, 0);
}

static void page_requests_and_guest_interrupts_are_written(void **state)
{
    (void)state;
    u->ppr_base = 0x00300000 | 9ull << 56;
    u->ga_base = 0x00304000 | 9ull << 56;
    u->ga_tail_address = 0x00308000;
    set(0x0018, get(0x0018) | FAKE_AMD_PPR | FAKE_AMD_PPR_LOG | FAKE_AMD_GA_LOG | FAKE_AMD_PPR_INT);
    fake_amdvi_page_request(m.amd, 0);
    fake_amdvi_guest_interrupt(m.amd, 0);
    assert_int_equal(u->page_requests, 1);
    assert_int_equal(u->guest_interrupts, 1);
    assert_int_equal(u->interrupts, 1);
    assert_int_equal(*(uint64_t *)fake_vtd_ptr(m.fake, 0x00308000, 8), 8);
    set(0x0018, get(0x0018) & ~(FAKE_AMD_PPR_LOG | FAKE_AMD_GA_LOG));
    fake_amdvi_page_request(m.amd, 0);
    fake_amdvi_guest_interrupt(m.amd, 0);
    assert_int_equal(u->page_requests + u->guest_interrupts, 2);
}

// ---- what the entry says ----------------------------------------------------------------------------------
static void every_case_of_v_tv_and_mode(void **state)
{
    (void)state;
    struct {
        uint64_t w0;
        bool r, w;
        unsigned event;
    } cases[] = {
        {0, true, true, 0},
        {OLD_AMD_TV | 7ull << 9, true, true, 0}, // not valid: nothing in it counts
        {OLD_AMD_V, false, false, FAKE_AMD_PAGE_FAULT},
        {OLD_AMD_V | OLD_AMD_RW, false, false, FAKE_AMD_PAGE_FAULT},
        {OLD_AMD_V | OLD_AMD_TV, false, false, FAKE_AMD_PAGE_FAULT},
        {OLD_AMD_V | OLD_AMD_TV | OLD_AMD_IR, true, false, FAKE_AMD_PAGE_FAULT},
        {OLD_AMD_V | OLD_AMD_TV | OLD_AMD_IW, false, true, FAKE_AMD_PAGE_FAULT},
        {OLD_AMD_V | OLD_AMD_TV | OLD_AMD_RW, true, true, 0},
        {OLD_AMD_V | OLD_AMD_TV | OLD_AMD_RW | 7ull << 9, false, false, FAKE_AMD_ILLEGAL_DTE},
        {OLD_AMD_V | OLD_AMD_TV | OLD_AMD_RW | 4, false, false, FAKE_AMD_ILLEGAL_DTE},
        {OLD_AMD_V | OLD_AMD_TV | OLD_AMD_RW | 1ull << 7, false, false, FAKE_AMD_ILLEGAL_DTE}, // HAD
        {OLD_AMD_V | OLD_AMD_TV | OLD_AMD_RW | 3ull << 9 | 0xFFFFFFF000, false, false, FAKE_AMD_PAGE_TAB_HW},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        old_amd_entry(&m.k[0], NIC)[0] = cases[i].w0;
        command(0, 8u << 28, 0, 0);
        unsigned told = u->events[cases[i].event];
        struct fake_amd_dma r = dma(PA, false), w = dma(PA, true);
        assert_int_equal(r.ok, cases[i].r);
        assert_int_equal(w.ok, cases[i].w);
        assert_int_equal(r.identity, cases[i].r);
        assert_int_equal(u->events[cases[i].event] - told, cases[i].event ? 2 - r.ok - w.ok : 0);
    }
}

static void levels_that_the_unit_does_not_have(void **state)
{
    (void)state;
    u->efr &= ~(3ull << 10); // 4 levels
    old_amd_attach(&m.k[0], NIC, 5, 5, tree, OLD_R);
    command(0, 8u << 28, 0, 0);
    assert_false(dma(IOVA, false).ok);
    assert_int_equal(u->events[FAKE_AMD_ILLEGAL_DTE], 1);
}

static void guest_tables_are_chosen_by_pasid_and_marked(void **state)
{
    (void)state;
    struct old_kernel *k = &m.k[0];
    uint64_t root = old_kernel_page(k);
    old_amd_attach(k, DISK, 0, 6, 0, OLD_R | OLD_W);
    old_amd_guest(k, DISK, 2, true, 4);
    old_kernel_map_first(k, root, 4, 0, IOVA, PA, OLD_FS_P | OLD_FS_W | OLD_FS_U);
    *old_amd_gcr3(k, DISK, 0) = root | 1;
    *old_amd_gcr3(k, DISK, 0x1234) = root | 1;
    command(0, 8u << 28, 0, 0);
    struct fake_amd_dma r = fake_amdvi_dma(m.amd, 0, DISK, NO_PASID, IOVA, false);
    assert_true(r.ok && r.pa == PA && !r.identity);
    const uint64_t *leaf = old_kernel_entry(k, root, 4, 0, IOVA);
    assert_int_equal(*leaf & 0x60, 0x20);
    assert_true(fake_amdvi_dma(m.amd, 0, DISK, 0x1234, IOVA, true).ok);
    assert_int_equal(*leaf & 0x60, 0x60);
    assert_false(fake_amdvi_dma(m.amd, 0, DISK, 0x1233, IOVA, false).ok);
    *old_amd_gcr3(k, DISK, 0x1234) = 0;
    assert_true(fake_amdvi_dma(m.amd, 0, DISK, 0x1234, IOVA, true).ok); // cached
    command(0x1234, 3u << 28 | 6, 0xFFFFF007, 0x7FFFFFFF);
    assert_false(fake_amdvi_dma(m.amd, 0, DISK, 0x1234, IOVA, true).ok);
    u->control &= ~FAKE_AMD_GT;
    assert_false(fake_amdvi_look(m.amd, 0, DISK, NO_PASID, IOVA, false).ok);
    assert_false(fake_amdvi_dma(m.amd, 0, NIC, 0x1234, IOVA, false).ok); // has no guest tables
}

static void host_tables_are_marked_where_the_entry_asks(void **state)
{
    (void)state;
    uint64_t *e = old_amd_entry(&m.k[0], NIC);
    const uint64_t *leaf = old_amd_pte(&m.k[0], tree, 3, 0, IOVA);
    u->efr |= FAKE_AMD_EFR_HA | FAKE_AMD_EFR_HD;
    assert_true(dma(IOVA, true).ok);
    assert_int_equal(*leaf & 0x60, 0);
    e[0] |= 3ull << 7;
    command(0, 8u << 28, 0, 0);
    assert_true(dma(IOVA, true).ok);
    assert_int_equal(*leaf & 0x60, 0); // not switched on
    u->control |= FAKE_AMD_HAD;
    command(0, 8u << 28, 0, 0);
    assert_true(dma(IOVA, true).ok);
    assert_int_equal(*leaf & 0x60, 0x60);
}

static void the_exclusion_range_passes(void **state)
{
    (void)state;
    set(0x0020, 0x00400000 | 1);
    set(0x0028, 0x00401000);
    assert_false(dma(0x00400000, true).ok);
    old_amd_entry(&m.k[0], NIC)[1] |= 1ull << 39; // EX
    command(NIC, 2u << 28, 0, 0);
    assert_true(dma(0x00401FFF, true).identity);
    assert_false(dma(0x00402000, true).ok);
    assert_false(fake_amdvi_dma(m.amd, 0, DISK, NO_PASID, 0x00400000, true).ok);
    set(0x0020, 0x00400000 | 3);
    assert_true(fake_amdvi_dma(m.amd, 0, DISK, NO_PASID, 0x00400000, true).ok);
}

static void segments_of_the_device_table(void **state)
{
    (void)state;
    uint64_t second = old_kernel_page(&m.k[0]);
    u->efr |= FAKE_AMD_EFR_SEGS(3);
    u->control |= 1ull << 34;
    u->device_table[1] = second;
    assert_ptr_equal(fake_amdvi_entry(m.amd, 0, 0x8001), fake_vtd_ptr(m.fake, second + 32, 32));
    assert_null(fake_amdvi_entry(m.amd, 0, 0x8080));
    assert_ptr_equal(fake_amdvi_entry(m.amd, 0, NIC), old_amd_entry(&m.k[0], NIC));
    assert_true(fake_amdvi_dma(m.amd, 0, 0x8001, NO_PASID, PA, true).identity);
}

// ---- device TLBs, interrupts ------------------------------------------------------------------------------
static void device_tlbs_are_reached_by_their_own_command(void **state)
{
    (void)state;
    struct fake_pci *f = fake_vtd_pci(m.fake, 0, NIC >> 3, 0, 0);
    fake_ats_device(f, 4);
    assert_false(fake_amdvi_ats_dma(m.amd, 0, f, NO_PASID, IOVA, false).ok);
    old_amd_entry(&m.k[0], NIC)[1] |= OLD_AMD_I;
    command(0, 8u << 28, 0, 0);
    assert_true(fake_amdvi_ats_dma(m.amd, 0, f, NO_PASID, IOVA, true).ok);
    old_amd_map(&m.k[0], tree, 3, 0, IOVA, OTHER_PA, OLD_R);
    command(0, 8u << 28, 0, 0);
    assert_int_equal(fake_amdvi_ats_dma(m.amd, 0, f, NO_PASID, IOVA, true).pa, PA);
    command(NIC, 4u << 28, 0xFFFFF001, 0x7FFFFFFF);
    assert_int_equal(f->invalidations, 1);
    assert_int_equal(fake_amdvi_ats_dma(m.amd, 0, f, NO_PASID, IOVA, false).pa, OTHER_PA);
    old_amd_entry(&m.k[0], NIC)[1] &= ~OLD_AMD_I;
    command(0, 8u << 28, 0, 0);
    assert_false(fake_amdvi_ats_dma(m.amd, 0, f, NO_PASID, IOVA, false).ok);
    assert_int_equal(u->events[FAKE_AMD_INVALID_REQUEST], 1);
    assert_string_equal(m.fake->violation, "");
    f->deaf = true;
    command(NIC, 4u << 28, 0xFFFFF001, 0x7FFFFFFF);
    command(SEMAPHORE | 1, 1u << 28, 1, 0);
    m.fake->step_us = 600;
    dam_clock_us(&m.fake->ops);
    assert_int_equal(u->waits_stored, 0);
    set(0x0018, get(0x0018) | 1ull << 5); // gives up after 1 ms
    dam_clock_us(&m.fake->ops);
    assert_int_equal(u->waits_stored, 1);
    assert_int_equal(u->events[FAKE_AMD_IOTLB_TIMEOUT], 1);
    u->no_device_tlbs = true;
    command(NIC, 4u << 28, 0xFFFFF001, 0x7FFFFFFF);
    assert_int_equal(u->events[FAKE_AMD_ILLEGAL_COMMAND], 1);
}

static void interrupts_go_through_their_table(void **state)
{
    (void)state;
    uint64_t *e = old_amd_entry(&m.k[0], NIC);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 3).kind, FAKE_AMD_IRQ_UNMAPPED);
    uint64_t table = old_amd_interrupts(&m.k[0], NIC, 9, false);
    uint32_t *irte = fake_vtd_ptr(m.fake, table + 3 * 4, 4);
    *irte = 1 | 2 << 8 | 0x31 << 16;
    command(NIC, 2u << 28, 0, 0);
    struct fake_amd_irq irq = fake_amdvi_irq(m.amd, 0, NIC, 3);
    assert_int_equal(irq.kind, FAKE_AMD_IRQ_REMAPPED);
    assert_int_equal(irq.vector, 0x31);
    assert_int_equal(irq.destination, 2);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 4).kind, FAKE_AMD_IRQ_ABORTED);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 512).kind, FAKE_AMD_IRQ_ABORTED);
    *irte = 0;
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 3).kind, FAKE_AMD_IRQ_REMAPPED); // cached
    command(NIC, 5u << 28, 0, 0);
    assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 3).kind, FAKE_AMD_IRQ_ABORTED);
    for (unsigned control = 0; control < 2; control++) {
        e[2] = (e[2] & ~(3ull << 60)) | (uint64_t)control << 60;
        command(NIC, 2u << 28, 0, 0);
        assert_int_equal(fake_amdvi_irq(m.amd, 0, NIC, 3).kind,
                         control ? FAKE_AMD_IRQ_UNMAPPED : FAKE_AMD_IRQ_ABORTED);
    }
    old_amd_interrupts(&m.k[0], DISK, 9, true);
    u->control |= FAKE_AMD_GA;
    uint64_t *wide = fake_vtd_ptr(m.fake, (old_amd_entry(&m.k[0], DISK)[2] & 0xFFFFFFF000ull) + 16, 16);
    wide[0] = 1 | 0x123456 << 8;
    wide[1] = 0x77 | 0xABull << 56;
    irq = fake_amdvi_irq(m.amd, 0, DISK, 1);
    assert_int_equal(irq.vector, 0x77);
    assert_int_equal(irq.destination, 0xAB123456);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers_read_back_what_can_be_written),
        TEST(halves_of_registers),
        TEST(buffers_in_use_are_left_alone),
        TEST(status_follows_late_or_never),
        TEST(locked_registers_ignore_writes),
        TEST(a_new_device_table_is_seen_when_entries_are_dropped),
        TEST(pages_stay_until_their_domain_is_dropped),
        TEST(everything_is_dropped_at_once),
        TEST(rights_of_an_entry_are_cached_with_its_pages),
        TEST(walks_that_do_not_snoop_see_memory_alone),
        TEST(semaphores_are_stored_in_order_and_the_buffer_wraps),
        TEST(commands_take_their_time),
        TEST(what_is_not_a_command_stops_the_buffer),
        TEST(failures_on_demand),
        TEST(faults_are_logged_unless_suppressed),
        TEST(a_full_log_stops_and_translation_goes_on),
        TEST(page_requests_and_guest_interrupts_are_written),
        TEST(every_case_of_v_tv_and_mode),
        TEST(levels_that_the_unit_does_not_have),
        TEST(guest_tables_are_chosen_by_pasid_and_marked),
        TEST(host_tables_are_marked_where_the_entry_asks),
        TEST(the_exclusion_range_passes),
        TEST(segments_of_the_device_table),
        TEST(device_tlbs_are_reached_by_their_own_command),
        TEST(interrupts_go_through_their_table),
    };
    return cmocka_run_group_tests_name("the model of AMD's IOMMU", tests, NULL, NULL);
}

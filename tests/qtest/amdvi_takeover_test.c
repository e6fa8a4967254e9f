// SPDX-License-Identifier: MIT
// Takeovers of QEMU's amd-iommu: entries that VT-d has nothing like, and the unit's command buffer and event
// log in the states that a dead kernel may leave. What both kinds have in common is in takeover_test.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/edu_box.h"
#include "lib/old_amd.h"

#define CMDBUF      0x0008u
#define CONTROL     0x0018u
#define CMDHEAD     0x2000u
#define CMDTAIL     0x2008u
#define EVTTAIL     0x2018u
#define STATUS      0x2020u
#define COMMANDS_ON (1ull << 12)
#define EVENTS_ON   (1ull << 2)
#define INTERRUPTS  (1ull << 3)
#define ADDRESS     0x000FFFFFFFFFF000ull

static const struct box_mode mode = {"amd-iommu", 0, 3};

static int setup(void **state)
{
    (void)state;
    box_open(&mode);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    box_close();
    return 0;
}

static uint64_t rd(unsigned reg)
{
    return qtest_read(&b.q, QTEST_AMDVI + reg, 8);
}

static void wr(unsigned reg, uint64_t value)
{
    qtest_write(&b.q, QTEST_AMDVI + reg, 8, value);
}

static uint64_t *entry(unsigned device)
{
    return old_amd_entry(&b.k, edu_rid(device));
}

// ---- entries ---------------------------------------------------------------------------------------------
static void out_of_reach(unsigned device)
{
    assert_int_equal(box_loaded_write_lands_at(device, CRASH + 0x7000), 0);
    assert_int_equal(box_loaded_write_lands_at(device, POOL + 0x2000), 0);
    assert_int_equal(box_loaded_write_lands_at(device, POOL_SIZE / 2 + POOL), 0);
}

// Device 1 works by an entry that says nothing at all.
static void invalid_entries_are_identity(void **state)
{
    (void)state;
    entry(1)[0] = 0;
    box_take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(box_loaded_write_lands_at(1, SHARED), SHARED);
    assert_true(box_reads_true_data(1, SHARED, SHARED));
    out_of_reach(1);
}

static void invalid_entries_are_frozen(void **state)
{
    (void)state;
    entry(1)[0] = 0;
    box_take_over(DAM_POLICY_FREEZE);
    assert_true(box_reads_true_data(1, SHARED, SHARED));
    assert_int_equal(box_loaded_write_lands_at(1, SHARED), 0);
    out_of_reach(1);
    assert_true(box_no_fault_recorded());
}

static void pass_through_with_one_right(void **state)
{
    (void)state;
    old_amd_pass(&b.k, edu_rid(2), 5, OLD_R);
    box_take_over(DAM_POLICY_PRESERVE);
    assert_true(box_reads_true_data(2, SHARED, SHARED));
    assert_int_equal(box_loaded_write_lands_at(2, SHARED), 0);
    out_of_reach(2);
}

static void rights_of_an_entry_stay(void **state)
{
    (void)state;
    entry(2)[0] &= ~OLD_AMD_IW;
    box_take_over(DAM_POLICY_PRESERVE);
    assert_true(box_reads_true_data(2, RX_IOVA, RX + 0x4000));
    assert_int_equal(box_loaded_write_lands_at(2, RX_IOVA), 0);
}

static void blocked_stays_blocked(void **state)
{
    (void)state;
    b.unit.forget(&b.k, edu_rid(2));
    box_take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(box_loaded_write_lands_at(2, RX_IOVA), 0);
    assert_int_equal(box_loaded_write_lands_at(2, SHARED), 0);
    assert_false(box_reads_true_data(2, SHARED, SHARED));
    assert_true(box_no_fault_recorded());
}

// Pages whose size is in their address: one of 32 KiB, by 8 entries.
static void sized_pages(void **state)
{
    (void)state;
    old_amd_map_run(&b.k, entry(2)[0] & ADDRESS, 3, 15, 0xFFF00000, SHARED & ~0x7FFFu, OLD_R | OLD_W);
    box_take_over(DAM_POLICY_PRESERVE);
    for (unsigned at = 0; at < 0x8000; at += 0x3000)
        assert_int_equal(box_loaded_write_lands_at(2, 0xFFF00000 + at), (SHARED & ~0x7FFFu) + at);
    assert_int_equal(box_loaded_write_lands_at(2, 0xFFF08000), 0);
}

static void sized_pages_are_frozen(void **state)
{
    (void)state;
    old_amd_map_run(&b.k, entry(2)[0] & ADDRESS, 3, 15, 0xFFF00000, SHARED & ~0x7FFFu, OLD_R | OLD_W);
    box_take_over(DAM_POLICY_FREEZE);
    for (unsigned at = 0; at < 0x8000; at += 0x3000)
        assert_int_equal(box_loaded_write_lands_at(2, 0xFFF00000 + at), 0);
    assert_true(box_reads_true_data(2, 0xFFF00000 + (SHARED & 0x7FFF), SHARED));
}

static void an_entry_that_is_broken(void **state)
{
    (void)state;
    entry(2)[0] |= 7 << 9;
    box_take_over(DAM_POLICY_PRESERVE);
    assert_int_equal(box_loaded_write_lands_at(2, RX_IOVA), 0);
    assert_int_equal(box_loaded_write_lands_at(2, SHARED), 0);
    assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), RX);
    assert_true(box_no_fault_recorded());
}

// ---- command buffer and event log ------------------------------------------------------------------------
static void commands_off(void)
{
    wr(CONTROL, rd(CONTROL) & ~COMMANDS_ON);
}

// Commands that nobody carried out, in a buffer that is off.
static void commands_waiting(void)
{
    commands_off();
    wr(CMDTAIL, (rd(CMDTAIL) + 0x40) % 0x2000);
}

static void commands_bad(void)
{
    uint64_t tail = rd(CMDTAIL);
    memset(b.q.ram + QUEUE + tail, 0xFF, 64);
    wr(CMDTAIL, tail + 64);
}

// The next command is the last of the buffer.
static void commands_at_the_end(void)
{
    memset(b.q.ram + QUEUE, 0, 0x2000);
    for (unsigned at = 0; at < 0x2000; at += 16)
        b.q.ram[QUEUE + at + 7] = 0x80; // invalidate all
    wr(CMDTAIL, 0x1FF0);
}

// The buffer lies where no memory is.
static void commands_nowhere(void)
{
    commands_off();
    wr(CMDBUF, 0x4000000000 | 9ull << 56);
    wr(CONTROL, rd(CONTROL) | COMMANDS_ON);
}

static void events_off(void)
{
    wr(CONTROL, rd(CONTROL) & ~EVENTS_ON);
}

static void events_full(void)
{
    wr(EVTTAIL, 0x1FF0);
    wr(CONTROL, rd(CONTROL) | INTERRUPTS);
}

static void from_every_state_of_its_buffers(void **state)
{
    (void)state;
    void (*const states[])(void) = {commands_off,     commands_waiting, commands_bad, commands_at_the_end,
                                    commands_nowhere, events_off,       events_full};
    for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (i)
            box_open(&mode);
        b.left = states[i];
        box_take_over(DAM_POLICY_FREEZE);
        assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), 0);
        assert_int_equal(box_loaded_write_lands_at(1, SHARED), 0);
        assert_true(box_reads_true_data(0, TX_IOVA, TX));
        assert_true(box_no_fault_recorded());
        assert_int_equal(rd(STATUS) & 0x18, 0x18); // both run
        if (i + 1 < sizeof(states) / sizeof(states[0]))
            box_close();
    }
}

// What Linux does when it comes next: a device table of its own, exactly like ours, and its own buffers.
static void the_next_kernel_goes_on(void **state)
{
    (void)state;
    box_take_over(DAM_POLICY_FREEZE);
    const uint32_t table = OLD_END, commands = OLD_END + 0x10000, events = OLD_END + 0x12000;
    memcpy(b.q.ram + table, b.q.ram + (rd(0) & ADDRESS), 0x2000);
    wr(CONTROL, rd(CONTROL) & ~(COMMANDS_ON | EVENTS_ON));
    wr(CMDBUF, commands | 9ull << 56);
    wr(CMDHEAD, 0);
    wr(CMDTAIL, 0);
    wr(0x10, events | 9ull << 56);
    wr(CONTROL, rd(CONTROL) | COMMANDS_ON | EVENTS_ON);
    b.unit.use(table | 1);
    assert_int_equal(box_loaded_write_lands_at(0, RX_IOVA), 0);
    assert_true(box_reads_true_data(0, TX_IOVA, TX));
    assert_true(box_reads_true_data(1, SHARED, SHARED));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(invalid_entries_are_identity), T(invalid_entries_are_frozen), T(pass_through_with_one_right),
        T(rights_of_an_entry_stay),      T(blocked_stays_blocked),      T(sized_pages),
        T(sized_pages_are_frozen),       T(an_entry_that_is_broken),    T(from_every_state_of_its_buffers),
        T(the_next_kernel_goes_on),
    };
    return cmocka_run_group_tests_name("takeover of QEMU's amd-iommu", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// The engine takes over QEMU's unit with device TLBs while a virtio device with ATS works. QEMU keeps no
// translations in that device and knows no translated requests: what shows here is configuration space, the
// unit's queue with descriptors of type 3, and where DMA of such a device lands. The rest is shown on the
// model (tests/unit/takeover_ats_test.c).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <cofferdam/takeover.h>

#include "lib/firmware.h"
#include "lib/old_kernel.h"
#include "lib/qtest.h"

#define FIRMWARE  0x000E0000u
#define OLD_START 0x00200000u
#define QUEUE     0x003F0000u
#define RINGS     0x00800000u // three pages: descriptors, what the driver offers, what the device has used
#define BUFFER    0x00810000u
#define OLD_END   0x01000000u
#define CRASH     0x02000000u
#define POOL      0x02800000u
#define POOL_SIZE 0x00800000u
#define CRASH_END 0x03000000u

#define ECAM      0xB0000000ull
#define RNG       0x0100u // 01:00.0, below a root port in slot 8
#define BAR       0xE1000000ull
#define NOTIFY    (BAR + 0x3000)
#define IOVA(pa)  (0xFFF00000ull + (pa)-RINGS)
#define SIZE      64u

static struct {
    struct qtest q;
    struct old_kernel k;
    struct firmware firmware;
    struct dam_arena pool;
    struct dam_range old_storage[2], keep_storage[2];
    struct dam_ranges old_ram, keep_out;
    struct dam_takeover_config config;
    struct dam_takeover *t;
    uint16_t offered;
    uint64_t ats; // address of its capability
    uint8_t *before;
    unsigned looks, landed;
} b;

static uint64_t config(unsigned rid, unsigned reg)
{
    return ECAM + ((uint64_t)rid << 12) + reg;
}

// What firmware and a driver do: ECAM, bus numbers, an address for the registers.
static void start_bus(void)
{
    qtest_out(&b.q, 0xCF8, 4, 0x80000064);
    qtest_out(&b.q, 0xCFC, 4, 0);
    qtest_out(&b.q, 0xCF8, 4, 0x80000060);
    qtest_out(&b.q, 0xCFC, 4, (uint32_t)ECAM | 1);
    qtest_write(&b.q, config(8 << 3, 0x18), 4, 0x00010100);
    qtest_write(&b.q, config(8 << 3, 0x20), 4, 0xE100E100);
    qtest_write(&b.q, config(8 << 3, 0x04), 2, 6);
    assert_int_equal(qtest_read(&b.q, config(RNG, 0), 2), 0x1AF4);
    qtest_write(&b.q, config(RNG, 0x20), 4, BAR);
    qtest_write(&b.q, config(RNG, 0x24), 4, 0);
    qtest_write(&b.q, config(RNG, 0x04), 2, 6);
}

// Finds ATS and switches it on, as Linux does.
static void start_ats(void)
{
    uint64_t at = config(RNG, 0x100);
    for (unsigned i = 0; i < 32 && !b.ats; i++) {
        uint32_t header = (uint32_t)qtest_read(&b.q, at, 4);
        if ((header & 0xFFFF) == 0x000F)
            b.ats = at;
        at = config(RNG, header >> 20);
    }
    assert_true(b.ats != 0);
    qtest_write(&b.q, b.ats + 6, 2, 0x8000);
    assert_int_equal(qtest_read(&b.q, b.ats + 6, 2) >> 15, 1);
}

// Virtual I/O Device (VIRTIO) 1.1, 4.1.4.3; the offsets of its parts are QEMU's.
static void start_device(void)
{
    qtest_write(&b.q, BAR + 0x14, 1, 0);
    qtest_write(&b.q, BAR + 0x14, 1, 3);
    qtest_write(&b.q, BAR + 0x08, 4, 1);
    qtest_write(&b.q, BAR + 0x0C, 4, 3); // version 1, access by the platform's rules
    qtest_write(&b.q, BAR + 0x14, 1, 11);
    assert_int_equal(qtest_read(&b.q, BAR + 0x14, 1), 11);
    qtest_write(&b.q, BAR + 0x16, 2, 0);
    qtest_write(&b.q, BAR + 0x18, 2, 8);
    for (unsigned i = 0; i < 3; i++) {
        qtest_write(&b.q, BAR + 0x20 + 8 * i, 4, IOVA(RINGS + 0x1000 * i));
        qtest_write(&b.q, BAR + 0x24 + 8 * i, 4, 0);
    }
    qtest_write(&b.q, BAR + 0x1C, 2, 1);
    qtest_write(&b.q, BAR + 0x14, 1, 15);
}

static void gcmd(uint32_t bit)
{
    uint32_t value = ((uint32_t)qtest_read(&b.q, QTEST_VTD + 0x1C, 4) & 0x96FFFFFFu) | bit;
    qtest_write(&b.q, QTEST_VTD + 0x18, 4, value);
}

static void start_translation(void)
{
    uint64_t tree = old_kernel_page(&b.k);
    old_kernel_map(&b.k, tree, 4, 0, IOVA(RINGS), RINGS, OLD_R);
    old_kernel_map(&b.k, tree, 4, 0, IOVA(RINGS + 0x1000), RINGS + 0x1000, OLD_R);
    old_kernel_map(&b.k, tree, 4, 0, IOVA(RINGS + 0x2000), RINGS + 0x2000, OLD_R | OLD_W);
    old_kernel_map(&b.k, tree, 4, 0, IOVA(BUFFER), BUFFER, OLD_R | OLD_W);
    old_kernel_attach(&b.k, RNG, 1, 4, 7, tree); // translated requests allowed
    qtest_write(&b.q, QTEST_VTD + 0x20, 8, b.k.root);
    gcmd(1u << 30);
    qtest_write(&b.q, QTEST_VTD + 0x88, 8, 0);
    qtest_write(&b.q, QTEST_VTD + 0x90, 8, QUEUE);
    gcmd(1u << 26);
    gcmd(1u << 31);
    uint64_t descriptors[] = {2 | 1 << 4, 0, 5 | 1 << 5 | 1ull << 32, QUEUE + 0x1000};
    memcpy(b.q.ram + QUEUE, descriptors, sizeof(descriptors));
    qtest_write(&b.q, QTEST_VTD + 0x88, 8, 32);
    b.q.translating = true;
}

static int setup(void **state)
{
    (void)state;
    memset(&b, 0, sizeof(b));
    qtest_start(&b.q,
                "intel-iommu,aw-bits=48,device-iotlb=on -device pcie-root-port,id=rp,addr=08.0,chassis=1 "
                "-device virtio-rng-pci,bus=rp,ats=on,iommu_platform=on,disable-legacy=on");
    b.before = malloc(QTEST_RAM);
    old_kernel_begin(&b.k, b.q.ram + OLD_START, OLD_START, 0x100000);
    dam_ranges_init(&b.old_ram, b.old_storage, 2);
    dam_ranges_init(&b.keep_out, b.keep_storage, 2);
    assert_int_equal(dam_ranges_add(&b.old_ram, OLD_START, OLD_END), DAM_OK);
    assert_int_equal(dam_ranges_add(&b.keep_out, CRASH, CRASH_END), DAM_OK);
    dam_arena_init(&b.pool, b.q.ram + POOL, dam_pa_of(POOL), POOL_SIZE);
    b.config = (struct dam_takeover_config){
        .ops = &b.q.ops, .pool = &b.pool, .old_ram = &b.old_ram, .keep_out = &b.keep_out};
    start_bus();
    start_translation();
    start_ats();
    start_device();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    qtest_stop(&b.q);
    free(b.before);
    return 0;
}

// Offers the device a buffer to fill. It may see that before it is told, so memory is remembered first.
static void offer(void)
{
    uint8_t *ram = b.q.ram;
    uint64_t descriptor[2] = {IOVA(BUFFER), SIZE | 2ull << 32}; // to be written by the device
    uint16_t index = ++b.offered;
    memset(ram + BUFFER, 0, SIZE);
    memcpy(b.before, ram, QTEST_RAM);
    memcpy(b.before + RINGS, descriptor, sizeof(descriptor));
    memcpy(b.before + RINGS + 0x1000 + 2, &index, 2);
    memcpy(ram + RINGS, b.before + RINGS, 0x2000);
    qtest_write(&b.q, NOTIFY, 2, 0);
}

static bool changed(uint32_t pa)
{
    return memcmp(b.q.ram + pa, b.before + pa, 4096) != 0;
}

// Offers a buffer and waits until that shows, at most so long: QEMU takes some milliseconds. Returns whether
// memory of the old kernel changed; anything else that changes is a failure.
static bool work(unsigned ms)
{
    uint64_t start = b.q.ops.clock_us(b.q.ops.ctx);
    offer();
    while (!changed(RINGS + 0x2000) && b.q.ops.clock_us(b.q.ops.ctx) - start < ms * 1000ull) {
        usleep(200);
        qtest_read(&b.q, BAR + 0x14, 1); // keeps QEMU's main loop going
    }
    for (uint32_t at = 0; at < QTEST_RAM; at += 4096)
        if (changed(at) && at != BUFFER && at != RINGS + 0x2000)
            fail_msg("a write lands at %#x", at);
    return changed(BUFFER) || changed(RINGS + 0x2000);
}

// Nothing that was begun before this, and nothing that is offered now, lands anywhere.
static void nothing_lands(void)
{
    usleep(100000);
    for (unsigned i = 0; i < 4; i++)
        assert_false(work(100));
}

static void during(struct qtest *q, uint64_t pa, uint64_t value)
{
    (void)q;
    (void)pa;
    (void)value;
    b.looks++;
    b.landed += work(30);
}

static void take_over(enum dam_policy policy, enum dam_stop want)
{
    b.config.policy = policy;
    firmware_begin(&b.firmware, b.q.ram + FIRMWARE, FIRMWARE, 4096, 39, 1);
    firmware_drhd(&b.firmware, 1, 0, QTEST_VTD);
    firmware_ecam(&b.firmware, ECAM, 0);
    b.config.rsdp[0] = dam_pa_of(firmware_end(&b.firmware));
    assert_true(work(5000));
    assert_int_equal(dam_takeover_new(&b.config, &b.t), DAM_OK);
    assert_int_equal(dam_takeover_prepare(b.t), DAM_STOP_NONE);
    assert_int_equal(qtest_read(&b.q, b.ats + 6, 2) >> 15, 1);
    b.q.after_write = during;
    assert_int_equal(dam_takeover_commit(b.t), want);
    b.q.after_write = NULL;
    assert_int_equal(b.q.turned_off, 0);
}

static void expect_off(void)
{
    assert_int_equal(qtest_read(&b.q, b.ats + 6, 2) >> 15, 0);
    assert_int_equal(qtest_read(&b.q, QTEST_VTD + 0x80, 8), qtest_read(&b.q, QTEST_VTD + 0x88, 8));
    assert_int_equal(qtest_read(&b.q, QTEST_VTD + 0x34, 4), 0); // no error of the queue, no fault
    uint8_t note[65536];
    struct dam_report_extra extra = {.summary = {.version = "test"}};
    size_t size;
    assert_int_equal(dam_takeover_report(b.t, &extra, note, sizeof(note), &size), DAM_OK);
    const struct dam_note_header *h = (const void *)note;
    const struct dam_note_section *s = (const void *)(note + h->header_size);
    unsigned seen = 0;
    for (unsigned i = 0; i < h->section_count; i++, s++) {
        const struct dam_note_requester *r = (const void *)(note + s->offset);
        for (uint32_t n = 0; s->type == DAM_SECTION_REQUESTERS && n < s->count; n++, r++)
            seen += r->rid == RNG && (r->flags & DAM_REQ_ATS) && (r->flags & DAM_REQ_ATS_OFF);
    }
    assert_int_equal(seen, 1);
}

static void freeze(void **state)
{
    (void)state;
    take_over(DAM_POLICY_FREEZE, DAM_STOP_NONE);
    assert_true(b.looks > 8);
    nothing_lands();
    expect_off();
}

static void preserve(void **state)
{
    (void)state;
    take_over(DAM_POLICY_PRESERVE, DAM_STOP_NONE);
    assert_true(b.landed > 0);
    assert_true(work(5000));
    expect_off();
}

static void block(void **state)
{
    (void)state;
    take_over(DAM_POLICY_BLOCK, DAM_STOP_NONE);
    nothing_lands();
    expect_off();
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(freeze), T(preserve), T(block)};
    return cmocka_run_group_tests_name("takeover of a device with ATS", tests, NULL, NULL);
}

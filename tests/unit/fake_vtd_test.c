// SPDX-License-Identifier: MIT
// The test machine itself: were it too kind, the tests over it would prove nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/fake_vtd.h"
#include "lib/old_kernel.h"

#define RAM   0x100000u
#define SIZE  0x400000u
#define UNIT  0xFED90000u
#define QUEUE (RAM + 0x300000)
#define RID   0x0010u
#define GCMD  0x18
#define GSTS  0x1C

struct box {
    struct fake_vtd *fake;
    struct fake_unit *unit;
    struct old_kernel k;
    uint64_t tree;
    uint8_t *ram;
};

static int setup(void **state)
{
    struct box *b = calloc(1, sizeof(*b));
    b->ram = calloc(1, SIZE);
    b->fake = fake_vtd_new();
    fake_vtd_memory(b->fake, RAM, b->ram, SIZE);
    old_kernel_begin(&b->k, b->ram, RAM, 0x200000);
    b->tree = old_kernel_page(&b->k);
    old_kernel_map(&b->k, b->tree, 4, 0, 0x10000, 0x1F0000, OLD_R | OLD_W);
    old_kernel_map(&b->k, b->tree, 4, 0, 0x11000, 0x1F1000, OLD_R);
    old_kernel_map(&b->k, b->tree, 4, 1, 0x400000, 0x200000, OLD_R | OLD_W);
    old_kernel_attach(&b->k, RID, 0, 4, 7, b->tree);
    b->unit = fake_vtd_unit(b->fake, UNIT);
    fake_vtd_run(b->unit, b->k.root, QUEUE);
    fake_vtd_settle(b->fake);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;
    fake_vtd_free(b->fake);
    free(b->ram);
    free(b);
    return 0;
}

static uint64_t rd(struct box *b, unsigned reg, unsigned width)
{
    uint64_t v = 0;
    assert_int_equal(dam_mmio_read(&b->fake->ops, dam_pa_of(UNIT + reg), width, &v), DAM_OK);
    return v;
}

static void wr(struct box *b, unsigned reg, unsigned width, uint64_t v)
{
    assert_int_equal(dam_mmio_write(&b->fake->ops, dam_pa_of(UNIT + reg), width, v), DAM_OK);
}

// Queues a descriptor of two words and a wait after it.
static void queue(struct box *b, uint64_t low, uint64_t high)
{
    uint64_t *q = fake_vtd_ptr(b->fake, QUEUE, 4096);
    uint64_t tail = b->unit->iqt / 8;
    q[tail] = low;
    q[tail + 1] = high;
    q[tail + 2] = 5 | 1 << 5 | 0xABCDull << 32;
    q[tail + 3] = QUEUE + 0x1000;
    wr(b, 0x88, 8, b->unit->iqt + 32);
}

static void translates_like_the_specification(void **state)
{
    struct box *b = *state;
    struct fake_dma_result r = fake_dma(b->fake, 0, RID, 0x10123, true);
    assert_true(r.ok);
    assert_int_equal(r.pa, 0x1F0123);
    r = fake_dma(b->fake, 0, RID, 0x4ABCDE, false);
    assert_true(r.ok);
    assert_int_equal(r.pa, 0x2ABCDE);
    assert_int_equal(fake_dma(b->fake, 0, RID, 0x11000, true).reason, NAIVE_NO_WRITE);
    assert_true(fake_dma(b->fake, 0, RID, 0x11000, false).ok);
    assert_int_equal(fake_dma(b->fake, 0, RID, 0x12000, false).reason, NAIVE_NO_READ);
    assert_int_equal(fake_dma(b->fake, 0, RID, 1ull << 48, false).reason, NAIVE_BEYOND_WIDTH);
    assert_int_equal(fake_dma(b->fake, 0, RID + 1, 0, false).reason, NAIVE_CONTEXT_ABSENT);
    assert_int_equal(fake_dma(b->fake, 0, 0x100, 0, false).reason, NAIVE_ROOT_ABSENT);
    assert_int_equal(fake_dma(b->fake, 0, RID, 0xFEE00000, true).reason, NAIVE_INTERRUPT);
    assert_int_equal(b->unit->faults_recorded, 5);
    assert_int_equal(b->unit->fault_events, 5);
}

static void reserved_bits_fault(void **state)
{
    struct box *b = *state;
    struct naive_vtd hw = fake_vtd_naive(b->fake, 0);
    uint64_t *leaf = old_kernel_entry(&b->k, b->tree, 4, 0, 0x10000);
    uint64_t *large = old_kernel_entry(&b->k, b->tree, 4, 1, 0x400000);
    uint64_t *top = old_kernel_entry(&b->k, b->tree, 4, 3, 0);
    uint64_t *context = old_kernel_context(&b->k, RID);
    struct {
        uint64_t *word;
        unsigned bit;
        uint64_t iova;
        enum naive_reason reason;
    } cases[] = {
        {leaf, 11, 0x10000, NAIVE_PTE_RESERVED},
        {leaf, 39, 0x10000, NAIVE_PTE_RESERVED},
        {leaf, 51, 0x10000, NAIVE_PTE_RESERVED},
        {leaf, 62, 0x10000, NAIVE_PTE_RESERVED},
        {leaf, 7, 0x10000, NAIVE_OK},
        {leaf, 2, 0x10000, NAIVE_OK},
        {leaf, 52, 0x10000, NAIVE_OK},
        {leaf, 61, 0x10000, NAIVE_OK},
        {leaf, 63, 0x10000, NAIVE_OK},
        {large, 12, 0x400000, NAIVE_PTE_RESERVED},
        {large, 20, 0x400000, NAIVE_PTE_RESERVED},
        {top, 7, 0x10000, NAIVE_PTE_RESERVED},
        {top, 11, 0x10000, NAIVE_PTE_RESERVED},
        {top, 62, 0x10000, NAIVE_PTE_RESERVED},
        {context, 4, 0x10000, NAIVE_CONTEXT_RESERVED},
        {context, 39, 0x10000, NAIVE_CONTEXT_RESERVED},
        {context + 1, 24, 0x10000, NAIVE_CONTEXT_RESERVED},
        {context + 1, 7, 0x10000, NAIVE_CONTEXT_RESERVED},
        {context + 1, 3, 0x10000, NAIVE_OK},
        {context, 3, 0x10000, NAIVE_OK},
        {context, 2, 0x10000, NAIVE_CONTEXT_INVALID},
        {context + 1, 0, 0x10000, NAIVE_CONTEXT_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        *cases[i].word ^= 1ull << cases[i].bit;
        struct naive_result r = naive_vtd_translate(&hw, RID, cases[i].iova, false);
        if (r.ok != (cases[i].reason == NAIVE_OK) || r.reason != cases[i].reason)
            fail_msg("case %zu: reason %#x, expected %#x", i, r.reason, cases[i].reason);
        *cases[i].word ^= 1ull << cases[i].bit;
    }
}

static void keeps_translations_until_they_are_invalidated(void **state)
{
    struct box *b = *state;
    assert_true(fake_dma(b->fake, 0, RID, 0x10000, true).ok);
    *old_kernel_entry(&b->k, b->tree, 4, 0, 0x10000) = 0;
    assert_true(fake_dma(b->fake, 0, RID, 0x10000, true).ok);
    queue(b, 2 | 2 << 4 | 8 << 16, 0); // another domain
    assert_true(fake_dma(b->fake, 0, RID, 0x10000, true).ok);
    queue(b, 2 | 3 << 4 | 7 << 16, 0x11000); // another page
    assert_true(fake_dma(b->fake, 0, RID, 0x10000, true).ok);
    queue(b, 2 | 3 << 4 | 7 << 16, 0x10000);
    assert_false(fake_dma(b->fake, 0, RID, 0x10000, true).ok);
    assert_false(b->unit->last_iotlb_drained);
    queue(b, 2 | 1 << 4 | 3 << 6, 0);
    assert_true(b->unit->last_iotlb_drained);
    assert_int_equal(*(uint32_t *)fake_vtd_ptr(b->fake, QUEUE + 0x1000, 4), 0xABCD);

    // A new context entry is not seen before the context cache is invalidated, nor is a flush of the IOTLB
    // enough.
    assert_true(fake_dma(b->fake, 0, RID, 0x400000, true).ok);
    old_kernel_attach(&b->k, RID, 2, 4, 9, 0);
    queue(b, 2 | 1 << 4, 0);
    assert_int_equal(fake_dma(b->fake, 0, RID, 0x400000, true).pa, 0x200000);
    queue(b, 1 | 3 << 4 | 7 << 16 | (uint64_t)RID << 32, 0);
    assert_int_equal(fake_dma(b->fake, 0, RID, 0x400000, true).pa, 0x400000);
    assert_int_equal(b->fake->violations, 0);
}

static void walks_that_do_not_snoop_see_only_what_was_flushed(void **state)
{
    struct box *b = *state;
    b->unit->ecap &= ~1ull;
    fake_vtd_settle(b->fake);
    uint64_t *leaf = old_kernel_entry(&b->k, b->tree, 4, 0, 0x10000);
    *leaf = 0x1F2000 | 3;
    assert_int_equal(fake_dma(b->fake, 0, RID, 0x10000, true).pa, 0x1F0000);
    queue(b, 2 | 1 << 4, 0);
    assert_int_equal(fake_dma(b->fake, 0, RID, 0x10000, true).pa, 0x1F0000);
    dam_cache_flush(&b->fake->ops, leaf, 8);
    queue(b, 2 | 1 << 4, 0);
    assert_int_equal(fake_dma(b->fake, 0, RID, 0x10000, true).pa, 0x1F2000);
    assert_int_equal(b->fake->violations, 1); // no barrier between the flush and the queue
}

static void bad_descriptors_stop_the_queue(void **state)
{
    struct box *b = *state;
    queue(b, 2, 0); // granularity 0
    assert_int_equal(rd(b, 0x34, 4), 0x10);
    assert_int_equal(b->unit->iqh, 0);
    uint64_t *q = fake_vtd_ptr(b->fake, QUEUE, 4096);
    assert_int_equal(rd(b, 0xB0, 8), 3);
    q[0] = 2 | 1 << 4;
    b->unit->resumes_on_tail = true;
    wr(b, 0x34, 4, 0x10);
    assert_int_equal(b->unit->iqh, 0);
    wr(b, 0x88, 8, 32);
    assert_int_equal(b->unit->iqh, 32);
    assert_int_equal(b->fake->violations, 0);
    // Taking the tail back is for queues that stand still.
    b->unit->queue_step = 1;
    b->unit->queue_is_new = false;
    wr(b, 0x88, 8, 96);
    wr(b, 0x88, 8, 64);
    assert_int_equal(b->fake->violations, 1);
}

// Hardware goes on as soon as the error is cleared, with what it finds then.
static void a_cleared_error_lets_the_queue_go_on(void **state)
{
    struct box *b = *state;
    queue(b, 2, 0);
    assert_int_equal(b->unit->iqh, 0);
    wr(b, 0x34, 4, 0x10);
    assert_int_equal(rd(b, 0x34, 4), 0x10);
    wr(b, 0x88, 8, 0);
    wr(b, 0x34, 4, 0x10);
    assert_int_equal(rd(b, 0x34, 4), 0);
    assert_int_equal(b->fake->violations, 0);
}

static void commands_that_are_forbidden_are_told(void **state)
{
    struct box *b = *state;
    struct {
        unsigned reg, width;
        uint64_t value;
    } cases[] = {
        {GCMD, 4, 1u << 30 | 1u << 26},                       // without TE
        {GCMD, 4, 1u << 31},                                  // QIE off and fine, but with a full queue
        {GCMD, 4, 1u << 31 | 1u << 30 | 1u << 27 | 1u << 26}, // two fields at once
        {0x28, 8, 1ull << 63 | 1ull << 61},                   // registers while the queue is on
        {0xF8, 8, 1ull << 63 | 1ull << 60},
        {0x90, 8, QUEUE}, // IQA while the queue is on
        {0x20, 4, 0},     // half of RTADDR
        {0x08, 8, 0},     // CAP
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_unit before = *b->unit;
        b->unit->iqh = 16;
        b->fake->violations = 0;
        wr(b, cases[i].reg, cases[i].width, cases[i].value);
        if (b->fake->violations == 0)
            fail_msg("case %zu was let pass", i);
        *b->unit = before;
    }
}

static void a_command_takes_its_time(void **state)
{
    struct box *b = *state;
    b->unit->latency = 3;
    uint64_t other = old_kernel_page(&b->k);
    wr(b, 0x20, 8, other);
    assert_int_equal(b->unit->root, b->k.root);
    assert_true(fake_dma(b->fake, 0, RID, 0x10000, true).ok);
    wr(b, GCMD, 4, 1u << 31 | 1u << 30 | 1u << 26);
    unsigned reads = 0;
    while (!(rd(b, GSTS, 4) >> 30 & 1))
        reads++;
    assert_int_equal(reads, 3);
    assert_int_equal(b->unit->root, other);
    // Caches outlive the root pointer.
    assert_true(fake_dma(b->fake, 0, RID, 0x10000, true).ok);
    assert_int_equal(b->fake->violations, 0);
    wr(b, GCMD, 4, 1u << 31 | 1u << 30 | 1u << 26);
    wr(b, 0x20, 8, other);
    assert_int_equal(b->fake->violations, 1);
}

static void translation_off_is_seen(void **state)
{
    struct box *b = *state;
    wr(b, GCMD, 4, 1u << 26);
    assert_int_equal(b->unit->tes_off, 1);
    struct fake_dma_result r = fake_dma(b->fake, 0, RID, 0x10000, true);
    assert_true(r.ok && r.untranslated);
    assert_int_equal(r.pa, 0x10000);
    assert_int_equal(b->fake->violations, 1);
}

static void the_nth_call_fails(void **state)
{
    struct box *b = *state;
    uint64_t v;
    b->fake->fail_at = 2;
    assert_int_equal(dam_mmio_read(&b->fake->ops, dam_pa_of(UNIT), 4, &v), DAM_OK);
    assert_int_equal(dam_mmio_read(&b->fake->ops, dam_pa_of(UNIT), 4, &v), DAM_E_IO);
    assert_int_equal(dam_mem_read(&b->fake->ops, dam_pa_of(RAM), &v, 8), DAM_OK);
    assert_int_equal(dam_mem_read(&b->fake->ops, dam_pa_of(RAM + SIZE - 4), &v, 8), DAM_E_RANGE);
}

static void pci_functions_answer_by_ports(void **state)
{
    struct box *b = *state;
    uint32_t v;
    fake_vtd_pci(b->fake, 0, 3, 1, 5);
    assert_int_equal(dam_port_write(&b->fake->ops, 0xCF8, 4, 1u << 31 | 3 << 11 | 1 << 8 | 0x18), DAM_OK);
    assert_int_equal(dam_port_read(&b->fake->ops, 0xCFD, 1, &v), DAM_OK);
    assert_int_equal(v, 5);
    assert_int_equal(dam_port_write(&b->fake->ops, 0xCF8, 4, 1u << 31 | 4 << 11), DAM_OK);
    assert_int_equal(dam_port_read(&b->fake->ops, 0xCFC, 4, &v), DAM_OK);
    assert_int_equal(v, 0xFFFFFFFF);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(translates_like_the_specification),
        T(reserved_bits_fault),
        T(keeps_translations_until_they_are_invalidated),
        T(walks_that_do_not_snoop_see_only_what_was_flushed),
        T(bad_descriptors_stop_the_queue),
        T(a_cleared_error_lets_the_queue_go_on),
        T(commands_that_are_forbidden_are_told),
        T(a_command_takes_its_time),
        T(translation_off_is_seen),
        T(the_nth_call_fails),
        T(pci_functions_answer_by_ports),
    };
    return cmocka_run_group_tests_name("fake_vtd", tests, NULL, NULL);
}

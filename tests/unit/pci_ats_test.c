// SPDX-License-Identifier: MIT
// Address translation services in configuration space: what is read, what is written and what is not, and
// devices that lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/fake_pci.h"
#include "pci/ats.h"

#define BASE 0xB0000000ull
#define RID  0x0300u
#define PRI  0x148u // where the test's device has its capabilities
#define ATS  0x240u
#define VIRT 0x300u

struct box {
    struct fake_pci pci;
    struct pci_cfg cfg;
    struct fake_function *f;
};

static uint16_t reg;
static uint32_t raw;

// 03:00.0 with AER, page requests (on), ATS (on, depth 7) and four virtual functions from 03:10.0 on, every
// second one; ECAM of segment 0 at B0000000h.
static int setup(void **state)
{
    struct box *b = calloc(1, sizeof(*b));
    fake_pci_init(&b->pci);
    b->pci.ecam_count = 1;
    b->pci.ecam[0].base = BASE;
    fake_pci_add(&b->pci, 0, 0x0000, 0);
    struct fake_function *f = b->f = fake_pci_add(&b->pci, 0, RID, 0);
    fake_pci_set(f, 0x04, 0x00100006);
    fake_pci_extended(f, 0x100, 0x0001, PRI);
    fake_pci_extended(f, PRI, 0x0013, ATS);
    fake_pci_extended(f, ATS, 0x000F, VIRT);
    fake_pci_extended(f, VIRT, 0x0010, 0);
    fake_pci_set(f, PRI + 4, 0x80030001); // status: PASID required, failure, unexpected index
    fake_pci_set(f, ATS + 4, 0x80050027); // smallest unit 5, page aligned, depth 7
    fake_pci_set(f, VIRT + 8, 0x00000019);
    fake_pci_set(f, VIRT + 0x10, 4);
    fake_pci_set(f, VIRT + 0x14, 0x00020080);
    f->writable[PRI + 4] = 0x03;
    f->clears[PRI + 6] = 0x03;
    f->writable[ATS + 6] = 0x1F;
    f->writable[ATS + 7] = 0x80;
    pci_cfg_init(&b->cfg, &b->pci.mem.ops);
    assert_int_equal(pci_cfg_add_ecam(&b->cfg, dam_pa_of(BASE), 0, 0, 255), DAM_OK);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;
    assert_int_equal(b->pci.misuse, 0);
    fake_mem_free(&b->pci.mem);
    free(b);
    return 0;
}

static dam_err look(struct box *b, struct pci_ats *ats)
{
    return pci_ats_read(&b->cfg, 0, RID, ats);
}

static dam_err off(struct box *b, const struct pci_ats *ats)
{
    return pci_ats_switch_off(&b->cfg, 0, RID, ats, &reg, &raw);
}

static void what_is_there(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    assert_int_equal(look(b, &ats), DAM_OK);
    assert_int_equal(ats.ats, ATS);
    assert_int_equal(ats.pri, PRI);
    assert_int_equal(ats.sriov, VIRT);
    assert_true(ats.on);
    assert_true(ats.pages);
    assert_false(ats.is_virtual);
    assert_int_equal(ats.depth, 7);
    assert_int_equal(ats.vf_count, 4);
    assert_int_equal(ats.vf_offset, 0x80);
    assert_int_equal(ats.vf_stride, 2);
    assert_int_equal(b->pci.ecam_writes, 0);
}

static void switched_off(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    assert_int_equal(look(b, &ats), DAM_OK);
    assert_int_equal(off(b, &ats), DAM_OK);
    assert_int_equal(fake_pci_get(b->f, ATS + 4), 0x00050027); // the unit stays
    assert_int_equal(fake_pci_get(b->f, PRI + 4), 0x80030000); // the status stays
    assert_int_equal(b->pci.ecam_writes, 2);
    assert_int_equal(look(b, &ats), DAM_OK);
    assert_false(ats.on || ats.pages);
    assert_int_equal(off(b, &ats), DAM_OK);
    assert_int_equal(b->pci.ecam_writes, 2); // what is off is not written
}

// Page requests go off first: while they are on, taking ATS away is not allowed.
static void page_requests_first(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    assert_int_equal(look(b, &ats), DAM_OK);
    b->pci.mem.calls = 0;
    b->pci.mem.fail_at = 3; // page requests: read, write, read back fails
    assert_int_equal(off(b, &ats), DAM_E_IO);
    assert_int_equal(fake_pci_get(b->f, PRI + 4), 0x80030000);
    assert_int_equal(fake_pci_get(b->f, ATS + 4) >> 31, 1);
}

static void bits_that_stay(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    b->f->writable[ATS + 7] = 0;
    assert_int_equal(look(b, &ats), DAM_OK);
    assert_int_equal(off(b, &ats), DAM_E_VERIFY);
    assert_int_equal(reg, ATS + 4);
    assert_int_equal(raw, 0x80050027);
    // Page requests that stay do not keep ATS on.
    b->f->writable[ATS + 7] = 0x80;
    b->f->writable[PRI + 4] = 0;
    b->f->space[PRI + 4] |= 1;
    assert_int_equal(look(b, &ats), DAM_OK);
    assert_int_equal(off(b, &ats), DAM_E_VERIFY);
    assert_int_equal(fake_pci_get(b->f, ATS + 4) >> 31, 0);
}

static void gone_while_it_is_written(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    assert_int_equal(look(b, &ats), DAM_OK);
    b->f->gone_on_write = true;
    assert_int_equal(off(b, &ats), DAM_E_ABSENT);
    assert_int_equal(b->pci.ecam_writes, 1);
    assert_int_equal(look(b, &ats), DAM_E_ABSENT);
}

static void virtual_function(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    memset(b->f->space, 0xFF, 4); // no vendor and device id
    assert_int_equal(look(b, &ats), DAM_OK);
    assert_true(ats.is_virtual && ats.on);
    assert_int_equal(off(b, &ats), DAM_OK);
    assert_int_equal(fake_pci_get(b->f, ATS + 4) >> 31, 0);
}

static void ids_of_virtual_functions(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    assert_int_equal(look(b, &ats), DAM_OK);
    for (unsigned rid = 0; rid < 0x10000; rid++) {
        bool want = rid == 0x380 || rid == 0x382 || rid == 0x384 || rid == 0x386;
        assert_int_equal(pci_ats_is_vf_of(&ats, RID, (uint16_t)rid), want);
    }
    ats.vf_stride = 0;
    assert_true(pci_ats_is_vf_of(&ats, RID, 0x380));
    assert_false(pci_ats_is_vf_of(&ats, RID, 0x382));
    ats.vf_offset = 0xFFFF; // does not wrap around
    assert_false(pci_ats_is_vf_of(&ats, RID, RID - 1));
    b->f->space[VIRT + 8] = 0; // not enabled
    assert_int_equal(look(b, &ats), DAM_OK);
    assert_int_equal(ats.vf_count, 0);
    assert_false(pci_ats_is_vf_of(&ats, RID, 0x380));
}

static void address_spaces(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    assert_int_equal(look(b, &ats), DAM_OK);
    assert_false(ats.pasids);
    fake_pci_extended(b->f, VIRT, 0x0010, 0x380);
    fake_pci_extended(b->f, 0x380, 0x001B, 0);
    for (unsigned on = 0; on < 2; on++) {
        fake_pci_set(b->f, 0x384, 0x1406 | on << 16);
        assert_int_equal(look(b, &ats), DAM_OK);
        assert_int_equal(ats.pasids, on);
        assert_int_equal(ats.vf_count, 4);
    }
    assert_int_equal(off(b, &ats), DAM_OK);
    assert_int_equal(fake_pci_get(b->f, 0x384), 0x11406); // left as it is
}

static void nobody(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    assert_int_equal(pci_ats_read(&b->cfg, 0, 0x0400, &ats), DAM_E_ABSENT);
    assert_true(b->pci.ecam_reads < 8);
    assert_int_equal(pci_ats_read(&b->cfg, 1, RID, &ats), DAM_E_UNSUPPORTED);
    b->cfg.ecam_count = 0; // ports only: they do not reach that far
    assert_int_equal(look(b, &ats), DAM_E_UNSUPPORTED);
}

static void without_extended_capabilities(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    for (unsigned with = 0; with < 2; with++) {
        fake_pci_set(b->f, 0x100, with ? 0xFFFFFFFF : 0);
        assert_int_equal(look(b, &ats), DAM_OK);
        assert_int_equal(ats.ats | ats.pri | ats.sriov, 0);
        assert_int_equal(off(b, &ats), DAM_OK);
    }
    assert_int_equal(b->pci.ecam_writes, 0);
}

static void lists_that_lie(void **state)
{
    struct box *b = *state;
    static const uint16_t nexts[] = {0x100, PRI, ATS, VIRT, 0x0FC, 0x040, 0x800, 0xFFC};
    for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
        struct pci_ats ats;
        fake_pci_extended(b->f, VIRT, 0x0010, nexts[i]);
        b->pci.ecam_reads = 0;
        assert_int_equal(look(b, &ats), DAM_E_BROKEN);
        assert_true(b->pci.ecam_reads < 600);
        assert_true(ats.on && ats.pages); // found before it went wrong
        assert_int_equal(ats.vf_count, 4);
    }
    // A capability that begins in the last dword has no body.
    fake_pci_extended(b->f, PRI, 0x0013, 0xFFC);
    fake_pci_extended(b->f, 0xFFC, 0x000F, 0);
    struct pci_ats ats;
    assert_int_equal(look(b, &ats), DAM_E_BROKEN);
    assert_false(ats.on);
}

static void random_space(void **state)
{
    struct box *b = *state;
    uint32_t seed = 12345;
    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned i = 4; i < 4096; i++) {
            seed = seed * 1664525 + 1013904223;
            b->f->space[i] = (uint8_t)(seed >> 24);
        }
        struct pci_ats ats;
        b->pci.ecam_reads = b->pci.ecam_writes = 0;
        dam_err err = look(b, &ats);
        assert_true(err == DAM_OK || err == DAM_E_BROKEN || err == DAM_E_ABSENT);
        assert_int_equal(b->pci.ecam_writes, 0);
        assert_true(b->pci.ecam_reads < 1200);
        if (err != DAM_E_ABSENT) {
            err = off(b, &ats);
            assert_true(b->pci.ecam_writes <= 2);
        }
    }
}

static void every_access_fails_once(void **state)
{
    struct box *b = *state;
    struct pci_ats ats;
    uint64_t n = 1;
    for (;; n++) {
        b->pci.mem.calls = 0;
        b->pci.mem.fail_at = n;
        dam_err err = look(b, &ats);
        if (b->pci.mem.calls < n)
            break;
        assert_int_equal(err, DAM_E_IO);
    }
    assert_true(n > 10);
    b->pci.mem.fail_at = 0;
    assert_int_equal(look(b, &ats), DAM_OK);
    for (n = 1; n <= 6; n++) {
        b->pci.mem.calls = 0;
        b->pci.mem.fail_at = n;
        assert_int_equal(off(b, &ats), DAM_E_IO);
    }
    b->pci.mem.fail_at = 0;
    assert_int_equal(off(b, &ats), DAM_OK);
}

static void writes_refused(void **state)
{
    struct box *b = *state;
    uint32_t back;
    static const unsigned regs[] = {0, 4, 0xFC, 0x101, 0x102, 0x1000, 0xFFFFFFFC};
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
        assert_int_equal(pci_cfg_write_extended(&b->cfg, 0, RID, regs[i], 0, &back), DAM_E_RANGE);
    assert_int_equal(pci_cfg_write_extended(&b->cfg, 1, RID, 0x100, 0, &back), DAM_E_UNSUPPORTED);
    assert_int_equal(b->pci.ecam_writes, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_there),
        T(switched_off),
        T(page_requests_first),
        T(bits_that_stay),
        T(gone_while_it_is_written),
        T(virtual_function),
        T(ids_of_virtual_functions),
        T(address_spaces),
        T(nobody),
        T(without_extended_capabilities),
        T(lists_that_lie),
        T(random_space),
        T(every_access_fails_once),
        T(writes_refused),
    };
    return cmocka_run_group_tests_name("pci_ats", tests, NULL, NULL);
}

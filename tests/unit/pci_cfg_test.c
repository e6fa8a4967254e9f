// SPDX-License-Identifier: MIT
// Configuration space by ports and by ECAM: which way is taken, which addresses are touched, what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/fake_pci.h"
#include "pci/cfg.h"

#define BASE 0xB0000000ull

struct box {
    struct fake_pci pci;
    struct pci_cfg cfg;
};

// Host bridge 00:00.0 with known bytes, and a device 05:1f.7; ECAM of segment 0 at B0000000h.
static int setup(void **state)
{
    struct box *b = calloc(1, sizeof(*b));
    fake_pci_init(&b->pci);
    b->pci.ecam_count = 1;
    b->pci.ecam[0].base = BASE;
    struct fake_function *f = fake_pci_add(&b->pci, 0, 0x0000, 0);
    memcpy(f->space, "\x86\x80\xC0\x29\x07\x01\x90\x00", 8);
    f = fake_pci_add(&b->pci, 0, 0x05FF, 0);
    for (unsigned i = 2; i < 4096; i++)
        f->space[i] = (uint8_t)(i ^ i >> 8);
    memset(f->space + 0x10, 0xFF, 8);
    pci_cfg_init(&b->cfg, &b->pci.mem.ops);
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

static dam_err add(struct box *b, uint64_t base, uint16_t segment, uint8_t first, uint8_t last)
{
    return pci_cfg_add_ecam(&b->cfg, dam_pa_of(base), segment, first, last);
}

static void rids(void **state)
{
    (void)state;
    assert_int_equal(pci_rid(0, 0, 0), 0);
    assert_int_equal(pci_rid(0xAB, 0x1F, 7), 0xABFF);
    assert_int_equal(pci_rid(1, 2, 3), 0x0113);
    assert_int_equal(pci_rid(0x1FF, 0x3F, 0xF), 0xFFFF); // what is too large does not spill over
}

// The same registers of every width, by each way.
static void read_all(struct box *b)
{
    uint32_t value;
    for (unsigned reg = 0x20; reg < 0x100; reg++) {
        const uint32_t byte[4] = {reg & 0xFF, (reg + 1) & 0xFF, (reg + 2) & 0xFF, (reg + 3) & 0xFF};
        assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x05FF, reg, 1, &value), DAM_OK);
        assert_int_equal(value, byte[0]);
        if (reg % 2 == 0) {
            assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x05FF, reg, 2, &value), DAM_OK);
            assert_int_equal(value, byte[0] | byte[1] << 8);
        }
        if (reg % 4 == 0) {
            assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x05FF, reg, 4, &value), DAM_OK);
            assert_int_equal(value, byte[0] | byte[1] << 8 | byte[2] << 16 | byte[3] << 24);
        }
    }
}

static void by_ports(void **state)
{
    struct box *b = *state;
    uint32_t value;
    read_all(b);
    assert_int_equal(b->pci.ecam_reads, 0);
    assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x05FF, 0xFC, 4, &value), DAM_OK);
    assert_int_equal(b->pci.address, 0x8005FFFC); // enable, bus 5, device 1Fh, function 7, register FCh
    assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x05FF, 0x100, 4, &value), DAM_E_UNSUPPORTED);
    assert_int_equal(value, 0xFFFFFFFF);
    assert_int_equal(pci_cfg_read(&b->cfg, 1, 0x05FF, 0, 4, &value), DAM_E_UNSUPPORTED);
}

static void by_ecam(void **state)
{
    struct box *b = *state;
    uint32_t value;
    assert_int_equal(add(b, BASE, 0, 0, 255), DAM_OK);
    unsigned ports = b->pci.port_reads;
    assert_int_equal(ports, 1); // the comparison
    read_all(b);
    assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x05FF, 0xFFE, 2, &value), DAM_OK);
    assert_int_equal(value, 0xF0F1); // bytes FFEh and FFFh: FEh ^ 0Fh, FFh ^ 0Fh
    assert_int_equal(b->pci.last_ecam, BASE + 0x5FFFFC);
    assert_int_equal(b->pci.port_reads, ports);
}

static void refused_arguments(void **state)
{
    struct box *b = *state;
    static const struct {
        unsigned reg, width;
    } cases[] = {{0, 0}, {0, 3}, {0, 8}, {1, 2}, {2, 4}, {3, 2}, {0x1000, 1}, {0x1000, 4}, {0xFFFFFFFC, 4}};
    assert_int_equal(add(b, BASE, 0, 0, 255), DAM_OK);
    unsigned reads = b->pci.ecam_reads;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t value;
        assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x05FF, cases[i].reg, cases[i].width, &value), DAM_E_RANGE);
    }
    assert_int_equal(b->pci.ecam_reads, reads);
}

static void absent_functions(void **state)
{
    struct box *b = *state;
    uint32_t value;
    for (int ecam = 0; ecam < 2; ecam++) {
        if (ecam)
            assert_int_equal(add(b, BASE, 0, 0, 255), DAM_OK);
        assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x0100, 0, 4, &value), DAM_E_ABSENT);
        assert_int_equal(value, 0xFFFFFFFF);
        assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x0100, 0, 2, &value), DAM_E_ABSENT);
        assert_int_equal(value, 0xFFFF);
        assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x0100, 0x0E, 1, &value), DAM_E_ABSENT);
        assert_int_equal(value, 0xFF);
        // All ones of a function that is there are a value.
        assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x05FF, 0x14, 4, &value), DAM_OK);
        assert_int_equal(value, 0xFFFFFFFF);
    }
}

static void ecam_that_answers_otherwise(void **state)
{
    struct box *b = *state;
    uint32_t value;
    // Another segment's window: there is nobody at 00:00.0.
    b->pci.ecam[0].segment = 7;
    assert_int_equal(add(b, BASE, 0, 0, 255), DAM_E_VERIFY);
    assert_int_equal(b->cfg.ecam_count, 0);
    // Nothing is there at all.
    assert_int_equal(add(b, 0xC0000000, 0, 0, 255), DAM_E_RANGE);
    assert_int_equal(b->cfg.ecam_count, 0);
    assert_int_equal(pci_cfg_read(&b->cfg, 0, 0, 0, 2, &value), DAM_OK); // the ports still do
    assert_int_equal(value, 0x8086);
}

static void only_the_first_device_is_compared(void **state)
{
    struct box *b = *state;
    fake_pci_add(&b->pci, 0, 0x8000, 0);
    assert_int_equal(add(b, BASE, 0, 0x80, 0xFF), DAM_OK);
    assert_int_equal(b->pci.ecam_reads, 1);
    assert_int_equal(b->pci.last_ecam, BASE + (0x80ull << 20));
    assert_int_equal(b->pci.address, 0x80800000);
}

static void windows_refused(void **state)
{
    struct box *b = *state;
    static const struct {
        uint64_t base;
        uint8_t first, last;
    } cases[] = {{0, 0, 255},  {BASE + 0x1000, 0, 255},      {BASE + 0x80000, 0, 255},
                 {BASE, 1, 0}, {0xFFFFFFFFF0000000, 0, 255}, {0xFFFFFFFFFFF00000, 0, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(add(b, cases[i].base, 0, cases[i].first, cases[i].last), DAM_E_RANGE);
    assert_int_equal(b->pci.mem.calls, 0);
    assert_int_equal(add(b, 0xFFFFFFFFEFF00000, 1, 0, 255), DAM_OK); // the highest that fits
}

static void windows_chosen_by_segment_and_bus(void **state)
{
    struct box *b = *state;
    uint32_t value;
    b->pci.ecam_count = 3;
    b->pci.ecam[1].base = 0x1000000000;
    b->pci.ecam[1].segment = 2;
    b->pci.ecam[2].base = 0x2000000000;
    b->pci.ecam[2].segment = 2;
    fake_pci_add(&b->pci, 2, 0x1000, 0)->space[2] = 0x11;
    fake_pci_add(&b->pci, 2, 0x9000, 0)->space[2] = 0x22;
    assert_int_equal(add(b, BASE, 0, 0, 0x3F), DAM_OK);
    assert_int_equal(add(b, 0x1000000000, 2, 0x10, 0x7F), DAM_OK);
    assert_int_equal(add(b, 0x2000000000, 2, 0x80, 0x90), DAM_OK);
    assert_int_equal(pci_cfg_read(&b->cfg, 2, 0x1000, 2, 1, &value), DAM_OK);
    assert_int_equal(value, 0x11);
    assert_int_equal(b->pci.last_ecam, 0x1001000000);
    assert_int_equal(pci_cfg_read(&b->cfg, 2, 0x9000, 2, 1, &value), DAM_OK);
    assert_int_equal(value, 0x22);
    assert_int_equal(b->pci.last_ecam, 0x2009000000);
    assert_int_equal(pci_cfg_read(&b->cfg, 2, 0x0FFF, 0, 2, &value), DAM_E_UNSUPPORTED);
    assert_int_equal(pci_cfg_read(&b->cfg, 2, 0x9100, 0, 2, &value), DAM_E_UNSUPPORTED);
    assert_int_equal(pci_cfg_read(&b->cfg, 3, 0x1000, 0, 2, &value), DAM_E_UNSUPPORTED);
    unsigned ports = b->pci.port_reads; // segment 0 beyond the window: by the ports
    assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x4000, 0, 2, &value), DAM_E_ABSENT);
    assert_true(b->pci.port_reads > ports);
}

static void too_many_windows(void **state)
{
    struct box *b = *state;
    for (unsigned i = 0; i < PCI_MAX_ECAM; i++)
        assert_int_equal(add(b, BASE, (uint16_t)(i + 1), 0, 255), DAM_OK);
    assert_int_equal(add(b, BASE, 0, 0, 255), DAM_E_NOMEM);
}

static void without_ports(void **state)
{
    struct box *b = *state;
    uint32_t value;
    b->pci.mem.port_read = NULL;
    b->pci.mem.port_write = NULL;
    assert_int_equal(pci_cfg_read(&b->cfg, 0, 0, 0, 2, &value), DAM_E_UNSUPPORTED);
    assert_int_equal(add(b, BASE, 0, 0, 255), DAM_OK);
    assert_int_equal(pci_cfg_read(&b->cfg, 0, 0, 0, 2, &value), DAM_OK);
    assert_int_equal(value, 0x8086);
}

static void every_access_fails_once(void **state)
{
    struct box *b = *state;
    for (uint64_t n = 1; n <= 3; n++) { // two port accesses and one by ECAM
        b->pci.mem.calls = 0;
        b->pci.mem.fail_at = n;
        assert_int_equal(add(b, BASE, 0, 0, 255), DAM_E_IO);
        assert_int_equal(b->cfg.ecam_count, 0);
    }
    for (uint64_t n = 1; n <= 4; n++) { // an absent function: the register, then the vendor id
        uint32_t value;
        b->pci.mem.calls = 0;
        b->pci.mem.fail_at = n;
        assert_int_equal(pci_cfg_read(&b->cfg, 0, 0x0100, 0x0C, 4, &value), DAM_E_IO);
        assert_int_equal(value, 0xFFFFFFFF);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(rids),
        T(by_ports),
        T(by_ecam),
        T(refused_arguments),
        T(absent_functions),
        T(ecam_that_answers_otherwise),
        T(only_the_first_device_is_compared),
        T(windows_refused),
        T(windows_chosen_by_segment_and_bus),
        T(too_many_windows),
        T(without_ports),
        T(every_access_fails_once),
    };
    return cmocka_run_group_tests_name("pci_cfg", tests, NULL, NULL);
}

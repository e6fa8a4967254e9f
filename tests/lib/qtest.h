// SPDX-License-Identifier: MIT
// QEMU's own VT-d and AMD-Vi models and its "edu" DMA device, driven over the qtest socket: no CPU runs, the
// test is the CPU. Guest RAM is shared with the test, so the engine's pool lies in it.
#ifndef TESTS_LIB_QTEST_H
#define TESTS_LIB_QTEST_H

#include <stdio.h>
#include <sys/types.h>

#include <cofferdam/ops.h>

#define QTEST_RAM   (64u << 20)
#define QTEST_VTD   0xFED90000ull // where QEMU puts the unit: intel-iommu
#define QTEST_AMDVI 0xFED80000ull // amd-iommu
#define QTEST_EDUS  3

struct qtest {
    pid_t pid;
    FILE *in, *out;
    uint8_t *ram; // QTEST_RAM bytes from physical address 0
    char folder[64];
    struct dam_ops ops;
    uint64_t edu[QTEST_EDUS]; // registers of the edu devices, slots 5, 6, 7 of bus 0
    unsigned turned_off;      // writes of a register that would turn translation off
    bool translating;         // it was turned on
    // Called after each register write of the ops, to look at what DMA does meanwhile. May be NULL.
    void (*after_write)(struct qtest *q, uint64_t pa, uint64_t value);
    void *test;
};

// Starts QEMU: q35, 64 MiB, `iommu` (a -device argument; more arguments may follow, each behind a space),
// three edu devices with their registers mapped and bus mastering on. Ends the program with a message when
// QEMU does not start. In the environment: QTEST_QEMU, the program, instead of qemu-system-x86_64;
// QTEST_QEMU_ARGS, more arguments.
void qtest_start(struct qtest *q, const char *iommu);
void qtest_stop(struct qtest *q);

// Accesses to physical addresses and ports, width 1, 2, 4 or 8, and 1, 2 or 4 bytes.
uint64_t qtest_read(struct qtest *q, uint64_t pa, unsigned width);
void qtest_write(struct qtest *q, uint64_t pa, unsigned width, uint64_t value);
uint32_t qtest_in(struct qtest *q, uint16_t port, unsigned width);
void qtest_out(struct qtest *q, uint16_t port, unsigned width, uint32_t value);

// The requester id of an edu device.
unsigned edu_rid(unsigned n);
// One DMA of `size` bytes (at most 4096) between edu n's own buffer and iova: write means towards memory.
void edu_dma(struct qtest *q, unsigned n, uint64_t iova, bool write, unsigned size);

#endif

// SPDX-License-Identifier: MIT
// Fake PCI configuration space for tests, behind ports CF8h/CFCh and ECAM windows of a fake machine.
#ifndef TESTS_LIB_FAKE_PCI_H
#define TESTS_LIB_FAKE_PCI_H

#include "lib/fake_mem.h"

#define FAKE_PCI_MAX  32
#define FAKE_PCI_ECAM 4

struct fake_function {
    uint16_t segment, rid;
    uint8_t space[4096];
    uint8_t writable[4096], clears[4096]; // bits that a write sets, and that writing 1 clears (W1C)
    bool gone_on_write;                   // it answers no more once it was written to
};

// Zero it, then call fake_pci_init().
struct fake_pci {
    struct fake_mem mem; // mem.ops is what the engine gets
    unsigned count;
    struct fake_function at[FAKE_PCI_MAX];
    // Where the machine decodes ECAM; a read elsewhere fails with DAM_E_RANGE.
    unsigned ecam_count;
    struct {
        uint64_t base; // of bus 0
        uint16_t segment;
    } ecam[FAKE_PCI_ECAM];
    uint32_t address; // what was last written to CF8h
    unsigned port_reads, ecam_reads, ecam_writes;
    uint64_t last_ecam; // address of the last read by ECAM
    // Accesses that no engine code should make: wrong width or alignment, a port written that is not CF8h, a
    // write by ECAM where nobody is.
    unsigned misuse;
};

void fake_pci_init(struct fake_pci *pci);
// Adds a function with this header type (0: device, 1: bridge) and vendor 8086h; bits 7 and above are kept.
struct fake_function *fake_pci_add(struct fake_pci *pci, uint16_t segment, uint16_t rid, uint8_t header_type);
// Adds a bridge with its bus numbers: primary is the bus of rid.
struct fake_function *fake_pci_bridge(struct fake_pci *pci, uint16_t segment, uint16_t rid, uint8_t secondary,
                                      uint8_t subordinate);
// Gives a function a PCI Express capability with this port type.
void fake_pci_express(struct fake_function *function, uint8_t port_type);
// Puts an extended capability at `at`, with `next` as the offset of the one behind it.
void fake_pci_extended(struct fake_function *function, unsigned at, uint16_t id, unsigned next);
// The dword at reg, and setting it whatever is writable.
uint32_t fake_pci_get(const struct fake_function *function, unsigned reg);
void fake_pci_set(struct fake_function *function, unsigned reg, uint32_t value);

#endif

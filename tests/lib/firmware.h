// SPDX-License-Identifier: MIT
// Writes ACPI tables into memory of a test machine: RSDP, XSDT, one DMAR table and, when it names a window,
// MCFG.
#ifndef TESTS_LIB_FIRMWARE_H
#define TESTS_LIB_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

struct firmware {
    uint8_t *host; // where the test sees the tables
    uint64_t pa;   // where the machine sees them; 16-byte aligned
    size_t size;
    uint8_t *dmar;
    uint32_t length;    // of the DMAR table so far
    uint32_t structure; // offset of the structure that scopes are added to
    unsigned windows;
    struct {
        uint64_t base;
        uint16_t segment;
    } window[4]; // of the MCFG table
};

// Begins a DMAR table with host address width `haw` (bits) in [pa, pa+size), which host shows. Aborts when
// the room does not suffice; the same holds for the functions below.
void firmware_begin(struct firmware *fw, void *host, uint64_t pa, size_t size, unsigned haw, uint8_t flags);
// Adds structures. flags bit 0 of a DRHD: INCLUDE_PCI_ALL. limit: address of the last byte.
void firmware_drhd(struct firmware *fw, uint8_t flags, uint16_t segment, uint64_t base);
void firmware_rmrr(struct firmware *fw, uint16_t segment, uint64_t base, uint64_t limit);
// Adds a device scope with a path of one pair to the last structure. type 1: endpoint, 2: bridge.
void firmware_scope(struct firmware *fw, uint8_t type, uint8_t bus, uint8_t device, uint8_t function);
// Adds an entry to MCFG: buses 0 to 255 of a segment, at base.
void firmware_ecam(struct firmware *fw, uint64_t base, uint16_t segment);
// Writes checksums, XSDT and RSDP; returns the physical address of the RSDP.
uint64_t firmware_end(struct firmware *fw);
// Makes the checksum of the table right again after a test changed bytes of it.
void firmware_checksum(struct firmware *fw);

#endif

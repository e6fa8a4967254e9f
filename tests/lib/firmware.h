// SPDX-License-Identifier: MIT
// Writes ACPI tables into memory of a test machine: RSDP, XSDT, one DMAR or IVRS table and, when it names a
// window, MCFG.
#ifndef TESTS_LIB_FIRMWARE_H
#define TESTS_LIB_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

struct firmware {
    uint8_t *host; // where the test sees the tables
    uint64_t pa;   // where the machine sees them; 16-byte aligned
    size_t size;
    uint8_t *dmar; // or IVRS
    const char *signature;
    uint32_t length;    // of that table so far
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
// The same for an IVRS table. pa_bits: physical address size.
void firmware_ivrs(struct firmware *fw, void *host, uint64_t pa, size_t size, unsigned pa_bits);
// Adds a block for an IOMMU: type 10h, 11h or 40h, without entries.
void firmware_ivhd(struct firmware *fw, uint8_t type, uint8_t flags, uint16_t devid, uint16_t segment,
                   uint64_t base, uint64_t efr);
// Adds a device entry of 4 bytes (1 all, 2 one, 3 range start, 4 range end) or 8 (42h alias, 43h alias range,
// 48h special: variety 1 I/O APIC, 2 HPET) to the last one.
void firmware_ivhd_entry(struct firmware *fw, uint8_t type, uint16_t devid, uint8_t setting);
void firmware_ivhd_alias(struct firmware *fw, uint8_t type, uint16_t devid, uint16_t alias);
void firmware_ivhd_special(struct firmware *fw, uint8_t handle, uint16_t devid, uint8_t variety);
// Adds memory: type 20h all, 21h first, 22h first to last. flags: 0 unity, 1 IR, 2 IW, 3 exclusion.
void firmware_ivmd(struct firmware *fw, uint8_t type, uint8_t flags, uint16_t first, uint16_t last,
                   uint64_t start, uint64_t length);
// Adds an entry to MCFG: buses 0 to 255 of a segment, at base.
void firmware_ecam(struct firmware *fw, uint64_t base, uint16_t segment);
// Writes checksums, XSDT and RSDP; returns the physical address of the RSDP.
uint64_t firmware_end(struct firmware *fw);
// Makes the checksum of the table right again after a test changed bytes of it.
void firmware_checksum(struct firmware *fw);

#endif

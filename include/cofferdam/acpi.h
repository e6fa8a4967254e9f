// SPDX-License-Identifier: MIT
// Bounded readers of the ACPI tables that name IOMMUs. ACPI specification 6.5, 5.2; VT-d architecture
// specification, chapter 8.
#ifndef COFFERDAM_ACPI_H
#define COFFERDAM_ACPI_H

#include <cofferdam/types.h>

enum dmar_type {
    DMAR_DRHD = 0,
    DMAR_RMRR = 1,
    DMAR_ATSR = 2,
    DMAR_RHSA = 3,
    DMAR_ANDD = 4,
    DMAR_SATC = 5,
    DMAR_SIDP = 6,
};

// Types of device scopes.
#define DMAR_SCOPE_IOAPIC 3
#define DMAR_SCOPE_HPET   4

#define DMAR_MAX_PATH     16 // bridges on the way to a device; longer paths are an error of that scope

struct dmar_scope {
    uint8_t length; // bytes, as the table says
    uint8_t type;   // 1 endpoint, 2 bridge and all below, 3 I/O APIC, 4 HPET, 5 ACPI namespace device; others
                    // unknown
    uint8_t flags;
    uint8_t enumeration_id;
    uint8_t start_bus;
    uint8_t path_length; // pairs
    struct {
        uint8_t device, function;
    } path[DMAR_MAX_PATH];
};

// One remapping structure; the members that its type has are filled in, the others are 0.
struct dmar_structure {
    uint16_t type;   // enum dmar_type, or unknown
    uint16_t length; // bytes, as the table says
    uint32_t offset; // of the structure in the table
    uint8_t flags;   // DRHD, ATSR, SATC
    uint8_t size;    // DRHD: the raw byte 5; the register set is 2^(size & 15) pages
    uint16_t segment;
    uint64_t base;             // DRHD: registers; RMRR: first byte
    uint64_t limit;            // RMRR: last byte
    uint64_t register_base;    // RHSA
    uint32_t proximity_domain; // RHSA
    uint8_t device_number;     // ANDD
    uint16_t name_length;      // ANDD: bytes of the name, without the NUL
    const char *name;          // ANDD: points into the table, NUL-terminated inside the structure; NULL when
                               // the structure holds no NUL
    const uint8_t *scopes;     // first device scope, in the table
    uint16_t scopes_length;    // bytes
};

struct dmar_table {
    const uint8_t *bytes; // the caller's copy of the table; must stay valid
    uint32_t length;      // the header's length, ≤ what the caller had
    uint8_t revision;
    bool checksum_ok;
    uint8_t host_address_width; // bits: the table's byte + 1
    uint8_t flags;
};

// Opens a copy of a DMAR table of `available` bytes. DAM_E_SIGNATURE: not "DMAR". DAM_E_LENGTH: shorter than
// its header, or its header's length is more than `available` or less than 48. A wrong checksum is told, not
// refused.
DAM_MUST_CHECK dam_err dmar_open(const void *bytes, size_t available, struct dmar_table *out);

// Iterates: *cursor is 0 at first. DAM_E_ABSENT: no more. DAM_E_LENGTH: the structure at *cursor is shorter
// than its type needs or runs past the table: out->offset, type and length tell; iteration can not go on.
// Structures of unknown type are given out like the others: type, length and offset alone are filled in.
DAM_MUST_CHECK dam_err dmar_next(const struct dmar_table *table, uint32_t *cursor,
                                 struct dmar_structure *out);

// Iterates over the device scopes of a structure, the same way. DAM_E_LENGTH: the scope is shorter than its
// header or runs past the structure; iteration can not go on. DAM_E_RANGE: this scope has no path, or one of
// more than DMAR_MAX_PATH pairs (then the first ones are filled in); *cursor is behind it, the next one can
// be read.
DAM_MUST_CHECK dam_err dmar_next_scope(const struct dmar_structure *structure, uint16_t *cursor,
                                       struct dmar_scope *out);

// Bytes that the registers of a DRHD take: 2^N pages, 4 KiB to 128 MiB. Firmware written before the field
// existed may have left anything in it.
static inline uint64_t dmar_registers_size(const struct dmar_structure *drhd)
{
    return (uint64_t)DAM_PAGE_SIZE << (drhd->size & 15);
}

// Walks all structures and scopes. DAM_OK when every length is right; else what the first wrong one gave
// (*bad, which may be NULL, tells which structure). A table with a wrong checksum may be used if this is
// DAM_OK: Linux uses such a table too (with a warning), so the units it names are running; and nothing that
// it says is believed without asking the hardware. With both wrong the table is garbage.
DAM_MUST_CHECK dam_err dmar_check(const struct dmar_table *table, struct dmar_structure *bad);

#endif

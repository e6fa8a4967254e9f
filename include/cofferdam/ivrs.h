// SPDX-License-Identifier: MIT
// A bounded reader of the IVRS table, which names AMD's IOMMUs. AMD I/O Virtualization Technology
// specification (48882), chapter 5. A requester id here is bus (15:8), device (7:3), function (2:0).
#ifndef COFFERDAM_IVRS_H
#define COFFERDAM_IVRS_H

#include <cofferdam/types.h>

// Types of blocks. An IVHD describes an IOMMU; there may be one of each type for the same IOMMU (see
// ivrs_counts). An IVMD describes memory that firmware wants mapped, or left alone.
enum ivrs_type {
    IVRS_IVHD_10 = 0x10,
    IVRS_IVHD_11 = 0x11,
    IVRS_IVHD_40 = 0x40,
    IVRS_IVMD_ALL = 0x20,
    IVRS_IVMD_ONE = 0x21,
    IVRS_IVMD_RANGE = 0x22,
};

// Flags of an IVMD (high, low).
#define IVRS_IVMD_UNITY     0, 0 // identity, with the rights of the next two
#define IVRS_IVMD_READ      1, 1
#define IVRS_IVMD_WRITE     2, 2
#define IVRS_IVMD_EXCLUSION 3, 3 // not translated; Linux makes a readable and writable identity of it

// The table's IVinfo (high, low).
#define IVRS_INFO_EFR       0, 0 // the EFR images of the IVHDs count
#define IVRS_INFO_DMA_REMAP 1, 1 // firmware translated before it started the system
#define IVRS_INFO_PA_SIZE   14, 8
#define IVRS_INFO_VA_SIZE   21, 15
#define IVRS_INFO_ATS_RANGE 22, 22 // the HyperTransport range is reserved in ATS answers, too

// Types of device entries.
enum ivrs_entry_type {
    IVRS_PAD_4 = 0x00,
    IVRS_ALL = 0x01,
    IVRS_SELECT = 0x02,
    IVRS_RANGE = 0x03,
    IVRS_RANGE_END = 0x04,
    IVRS_PAD_8 = 0x40,
    IVRS_ALIAS_SELECT = 0x42,
    IVRS_ALIAS_RANGE = 0x43,
    IVRS_EXT_SELECT = 0x46,
    IVRS_EXT_RANGE = 0x47,
    IVRS_SPECIAL = 0x48,
    IVRS_ACPI_HID = 0xF0,
};

// Forms of the unique id of an ACPI device.
enum ivrs_uid_form { IVRS_UID_NONE, IVRS_UID_INTEGER, IVRS_UID_STRING };

#define IVRS_VARIETY_IOAPIC 1
#define IVRS_VARIETY_HPET   2

#define IVRS_EXT_NO_ATS     31, 31 // of ivrs_entry.extended

struct ivrs_table {
    const uint8_t *bytes; // the caller's copy of the table; must stay valid
    uint32_t length;      // the header's length, ≤ what the caller had
    uint8_t revision;
    bool checksum_ok;
    uint32_t info; // IVinfo
};

// One block; the members that its type has are filled in, the others are 0.
struct ivrs_block {
    uint8_t type; // enum ivrs_type, or unknown
    uint8_t flags;
    uint16_t length; // bytes, as the table says
    uint32_t offset; // of the block in the table
    uint16_t segment;
    // IVHD
    uint16_t device;        // requester id of the IOMMU itself
    uint16_t capability;    // offset of its capability in its configuration space
    uint64_t base;          // registers
    uint16_t info;          // 4:0 MSI number, 12:8 unit id
    uint32_t attributes;    // 10h: what it can do; 11h and 40h: bit 0 host translation is off
    uint64_t efr, efr2;     // 11h, 40h: what the extended feature registers show
    const uint8_t *entries; // first device entry, in the table
    uint16_t entries_length;
    // IVMD
    uint16_t first, last; // the requesters that it is for
    uint64_t start, size; // bytes of memory
};

// One device entry. A range is given out whole: the entry that starts it, together with the one that ends
// it.
struct ivrs_entry {
    uint8_t type;         // enum ivrs_entry_type, or unknown
    uint8_t setting;      // what interrupts and messages pass, as the device table has it
    uint16_t length;      // bytes; of a range, up to and with its end
    uint32_t offset;      // of the entry in the block
    bool covers;          // it names requesters: first to last
    uint16_t first, last; // inclusive
    bool has_alias;
    uint16_t alias;    // the id that those requesters are seen with
    uint32_t extended; // extended select and range
    uint8_t handle;    // special: id of the I/O APIC or number of the HPET
    uint8_t variety;   // special: IVRS_VARIETY_*, others unknown
    // ACPI device
    const uint8_t *hid, *cid; // 8 bytes each, in the table; NULL for other types
    uint8_t uid_form;         // enum ivrs_uid_form, others unknown
    uint8_t uid_length;       // bytes
    const uint8_t *uid;       // in the table, no NUL; NULL when there are none
    uint64_t uid_number;      // of an integer of 1 to 8 bytes
};

// Opens a copy of an IVRS table of `available` bytes. DAM_E_SIGNATURE: not "IVRS". DAM_E_LENGTH: shorter than
// its header, or its header's length is more than `available` or less than 48. A wrong checksum is told, not
// refused.
DAM_MUST_CHECK dam_err ivrs_open(const void *bytes, size_t available, struct ivrs_table *out);

// Iterates: *cursor is 0 at first. DAM_E_ABSENT: no more. DAM_E_LENGTH: the block at *cursor is shorter than
// its type needs or runs past the table: out->offset, type and length tell; iteration cannot go on.
// DAM_E_RANGE: an IVMD whose requesters or whose memory are no range (last below first, nothing, or past the
// end of addresses): all members are as the table says, *cursor is behind it. Blocks of unknown type are
// given out like the others: type, flags, length and offset alone are filled in.
DAM_MUST_CHECK dam_err ivrs_next(const struct ivrs_table *table, uint32_t *cursor, struct ivrs_block *out);

// Iterates over the device entries of an IVHD, the same way. DAM_E_LENGTH: the entry runs past the block, or
// has a type whose length is not known (F1h to FFh); iteration cannot go on. DAM_E_RANGE: the entry says
// nothing that can be used (out->covers is false), *cursor is behind it: a range end without a start, or
// below its start; an ACPI device in a block other than 40h, or without a name, or whose unique id does not
// have the length that its form needs. DAM_E_BROKEN: a range that no end follows; *cursor is behind its
// start. Entries of unknown type are given out with type, setting, length and offset alone.
DAM_MUST_CHECK dam_err ivrs_next_entry(const struct ivrs_block *block, uint16_t *cursor,
                                       struct ivrs_entry *out);

// Does this block describe its IOMMU? Firmware repeats an IVHD in newer types, with more in them, for systems
// that know those: of the blocks with one segment and device, those of the highest type count, and systems
// ignore the others. False for blocks that are no IVHD.
bool ivrs_counts(const struct ivrs_table *table, const struct ivrs_block *block);

static inline bool ivrs_is_ivhd(const struct ivrs_block *block)
{
    return block->type == IVRS_IVHD_10 || block->type == IVRS_IVHD_11 || block->type == IVRS_IVHD_40;
}

static inline bool ivrs_is_ivmd(const struct ivrs_block *block)
{
    return block->type >= IVRS_IVMD_ALL && block->type <= IVRS_IVMD_RANGE;
}

// Walks all blocks and entries. DAM_OK when all is right; else what the first wrong one gave (*bad, which may
// be NULL, tells which block). What a table with a wrong checksum is worth: see dmar_check.
DAM_MUST_CHECK dam_err ivrs_check(const struct ivrs_table *table, struct ivrs_block *bad);

#endif

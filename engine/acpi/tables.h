// SPDX-License-Identifier: MIT
// From the ACPI root pointer to a copy of one table. ACPI specification 6.5, 5.2.5 (RSDP), 5.2.6 (headers),
// 5.2.7 (RSDT), 5.2.8 (XSDT). Nothing here is believed: signatures, lengths and checksums are checked, every
// length has a bound, and what is used is the copy that was checked.
#ifndef ENGINE_ACPI_TABLES_H
#define ENGINE_ACPI_TABLES_H

#include <cofferdam/arena.h>
#include <cofferdam/ops.h>

#define ACPI_HEADER_SIZE      36u            // of every table but the RSDP
#define ACPI_MAX_TABLE_SIZE   (1024u * 1024) // bytes; a longer table is refused
#define ACPI_MAX_ROOT_ENTRIES 512u // of an XSDT or RSDT; a longer one is refused (real ones: about 40)
#define ACPI_RSDP_MAX_SIZE    256u // bytes; today's is 36

#define ACPI_RSDP_FROM_BIOS   (-1) // struct acpi_rsdp.source: found by searching the BIOS areas

// A root pointer that passed every check.
struct acpi_rsdp {
    dam_pa pa;        // of the RSDP itself
    int source;       // index of the candidate, or ACPI_RSDP_FROM_BIOS
    uint8_t revision; // 0: ACPI 1.0, no XSDT
    dam_pa xsdt;      // 0: none
    dam_pa rsdt;      // 0: none
};

// Reads and checks one root pointer: signature, checksum of the first 20 bytes and, from revision 2 on,
// length (36 to ACPI_RSDP_MAX_SIZE) and checksum of the whole. out->source is left 0. DAM_E_SIGNATURE,
// DAM_E_CHECKSUM, DAM_E_LENGTH: what is wrong. DAM_E_RANGE: the address wraps. DAM_E_ABSENT: it is sound but
// names neither XSDT nor RSDT. Else what mem_read said.
DAM_MUST_CHECK dam_err acpi_check_rsdp(const struct dam_ops *ops, dam_pa pa, struct acpi_rsdp *out);

// The first sound root pointer among the candidates (addresses of 0 are skipped) and then, in the order of
// the specification, in the first KiB of the extended BIOS data area and in E0000h–FFFFFh. DAM_E_ABSENT:
// none.
DAM_MUST_CHECK dam_err acpi_find_rsdp(const struct dam_ops *ops, const dam_pa *candidates, size_t count,
                                      struct acpi_rsdp *out);

// The list of tables: a copy of the XSDT's or RSDT's entries.
struct acpi_root {
    dam_pa pa;              // of the XSDT or RSDT
    bool is_xsdt;           // entries of 8 bytes, else of 4
    bool checksum_ok;       // false: used although its checksum is wrong, because there was no better one
    uint32_t count;         // entries
    const uint8_t *entries; // count × (8 or 4) bytes in the arena
};

// Copies the list of tables into the arena (at most 4.2 KiB, twice when both lists are tried): the XSDT if
// its signature, length and checksum are right, else the RSDT if all of its are, else the first of them where
// only the checksum is wrong. Linux does not mind a wrong checksum either (it warns), and each table that the
// list leads to is checked on its own. Otherwise the error of the XSDT, or of the RSDT when there is no XSDT:
// DAM_E_SIGNATURE, DAM_E_LENGTH, DAM_E_RANGE (the table wraps around 2^64), DAM_E_BROKEN (its length changed
// between two reads), DAM_E_NOMEM, or what mem_read said.
DAM_MUST_CHECK dam_err acpi_open_root(const struct dam_ops *ops, struct dam_arena *arena,
                                      const struct acpi_rsdp *rsdp, struct acpi_root *out);

// A whole table, copied into the arena.
struct acpi_table {
    dam_pa pa;
    const uint8_t *bytes;
    uint32_t length;  // bytes, ACPI_HEADER_SIZE to ACPI_MAX_TABLE_SIZE
    bool checksum_ok; // a wrong one is told, not refused: see dmar_check()
};

// Copies the (nth + 1)-th table that carries the 4-byte signature. Tables whose header cannot be read are
// passed over. DAM_E_ABSENT: no such table. DAM_E_LENGTH, DAM_E_RANGE, DAM_E_BROKEN (header changed between
// two reads), DAM_E_NOMEM, or what mem_read said: the table is there (out->pa, and out->length as its header
// gives it, tell) but cannot be used; out->bytes is NULL. When the table was not found and the header of
// another one could not be read, the error is that of the read: it may have been the one looked for.
DAM_MUST_CHECK dam_err acpi_read_table(const struct dam_ops *ops, const struct acpi_root *root,
                                       struct dam_arena *arena, const char *signature, unsigned nth,
                                       struct acpi_table *out);

// The sum of all bytes, modulo 256: 0 for a table with a right checksum.
uint8_t acpi_sum(const void *bytes, size_t length);

#endif

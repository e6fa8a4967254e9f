// SPDX-License-Identifier: MIT
// Words for the numbers of a DMAR table. VT-d architecture specification 4.1, chapter 8.
#ifndef TOOL_DMAR_WORDS_H
#define TOOL_DMAR_WORDS_H

#include <stddef.h>

#include <cofferdam/acpi.h>

#define DMAR_SCOPE_IOAPIC    3
#define DMAR_SCOPE_NAMESPACE 5

#define DMAR_PATH_TEXT       (8 + 5 * DMAR_MAX_PATH + 1)
#define DMAR_FLAGS_TEXT      64

// "DRHD", or "unknown".
const char *dmar_type_word(uint16_t type);
// "endpoint", "bridge", "I/O APIC", "HPET", "namespace", or "unknown".
const char *dmar_scope_word(uint8_t type);
// What bit 0 of a structure's flags means for its type; "flag 0" for types that have no such flag.
const char *dmar_flag_word(uint16_t type);
// The name of bit `bit` of the table's flags, or NULL.
const char *dmar_table_flag_word(unsigned bit);
// ": INTR_REMAP X2APIC_OPT_OUT", or "" without a known flag.
void dmar_flags_text(uint8_t flags, char out[DMAR_FLAGS_TEXT]);
// "00:1c.4/00.0": start bus, then a device and function for every step.
void dmar_path_text(const struct dmar_scope *scope, char out[DMAR_PATH_TEXT]);
// The ANDD name as printable text, cut at size - 1 characters; "(no name)" when it has none.
void dmar_name_text(const struct dmar_structure *structure, char *out, size_t size);

#endif

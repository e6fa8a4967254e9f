// SPDX-License-Identifier: MIT
// Words for the numbers of an IVRS table. AMD I/O Virtualization Technology specification (48882), chapter 5.
#ifndef TOOL_IVRS_WORDS_H
#define TOOL_IVRS_WORDS_H

#include <stddef.h>

#include <cofferdam/ivrs.h>

#define IVRS_FLAGS_TEXT  96
#define IVRS_DEVICE_TEXT 8  // "ff:1f.7"
#define IVRS_SPAN_TEXT   32 // "00:01.0 to ff:1f.6"
#define IVRS_NAME_TEXT   9
#define IVRS_UID_TEXT    260

// "IVHD", "IVMD", or "unknown".
const char *ivrs_block_word(const struct ivrs_block *block);
// "range", "alias", "I/O APIC", ..., or "unknown".
const char *ivrs_entry_word(const struct ivrs_entry *entry);
// The name of bit `bit` of a block's flags, NULL when it has none.
const char *ivrs_flag_word(const struct ivrs_block *block, unsigned bit);
// The name of bit `bit` of an entry's setting (of its two bits for SysMgt, of the lower one), or NULL.
const char *ivrs_setting_word(unsigned bit);
// ": PassPW Coherent", or "" without a known flag.
void ivrs_flags_text(const struct ivrs_block *block, char out[IVRS_FLAGS_TEXT]);
// ": LINT0Pass LINT1Pass", or "".
void ivrs_setting_text(uint8_t setting, char out[IVRS_FLAGS_TEXT]);
// "00:14.0"
void ivrs_device_text(uint16_t device, char out[IVRS_DEVICE_TEXT]);
// "00:14.0", or "00:14.0 to 00:1f.7"
void ivrs_span_text(uint16_t first, uint16_t last, char out[IVRS_SPAN_TEXT]);
// A hardware id of 8 bytes as printable text.
void ivrs_name_text(const uint8_t *name, char out[IVRS_NAME_TEXT]);
// The unique id of an ACPI device: its string, its number, or its bytes.
void ivrs_uid_text(const struct ivrs_entry *entry, char out[IVRS_UID_TEXT]);

#endif

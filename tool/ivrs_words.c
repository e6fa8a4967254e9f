// SPDX-License-Identifier: MIT
#include "ivrs_words.h"

#include <inttypes.h>
#include <stdio.h>

#include "acpi_header.h"

const char *ivrs_block_word(const struct ivrs_block *block)
{
    return ivrs_is_ivhd(block) ? "IVHD" : ivrs_is_ivmd(block) ? "IVMD" : "unknown";
}

const char *ivrs_entry_word(const struct ivrs_entry *entry)
{
    switch (entry->type) {
    case IVRS_PAD_4:
    case IVRS_PAD_8:
        return "padding";
    case IVRS_ALL:
        return "all";
    case IVRS_SELECT:
        return "device";
    case IVRS_RANGE:
        return "range";
    case IVRS_RANGE_END:
        return "range end";
    case IVRS_ALIAS_SELECT:
        return "alias";
    case IVRS_ALIAS_RANGE:
        return "alias range";
    case IVRS_EXT_SELECT:
        return "extended";
    case IVRS_EXT_RANGE:
        return "extended range";
    case IVRS_SPECIAL:
        return entry->variety == IVRS_VARIETY_IOAPIC ? "I/O APIC"
               : entry->variety == IVRS_VARIETY_HPET ? "HPET"
                                                     : "special";
    case IVRS_ACPI_HID:
        return "ACPI device";
    default:
        return "unknown";
    }
}

const char *ivrs_flag_word(const struct ivrs_block *block, unsigned bit)
{
    static const char *const ivhd[] = {"HtTunEn",  "PassPW",   "ResPassPW", "Isoc",
                                       "IotlbSup", "Coherent", "PrefSup",   "PPRSup"};
    static const char *const ivmd[] = {"unity", "read", "write", "exclusion"};
    if (ivrs_is_ivhd(block)) // the last two are in the EFR image of newer types
        return bit < (block->type == IVRS_IVHD_10 ? 8u : 6u) ? ivhd[bit] : NULL;
    return ivrs_is_ivmd(block) && bit < 4 ? ivmd[bit] : NULL;
}

const char *ivrs_setting_word(unsigned bit)
{
    static const char *const words[] = {"INITPass", "EIntPass", "NMIPass",   NULL,
                                        "SysMgt",   NULL,       "LINT0Pass", "LINT1Pass"};
    return bit < 8 ? words[bit] : NULL;
}

static void add_word(char out[IVRS_FLAGS_TEXT], size_t *used, const char *word)
{
    *used += (size_t)snprintf(out + *used, IVRS_FLAGS_TEXT - *used, "%s%s", *used ? " " : ": ", word);
}

void ivrs_flags_text(const struct ivrs_block *block, char out[IVRS_FLAGS_TEXT])
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned bit = 0; bit < 8; bit++)
        if (block->flags >> bit & 1 && ivrs_flag_word(block, bit))
            add_word(out, &used, ivrs_flag_word(block, bit));
}

void ivrs_setting_text(uint8_t setting, char out[IVRS_FLAGS_TEXT])
{
    char management[16];
    size_t used = 0;
    out[0] = '\0';
    for (unsigned bit = 0; bit < 8; bit++) {
        if (bit == 4 && (setting >> 4 & 3)) {
            snprintf(management, sizeof management, "%s=%d", ivrs_setting_word(bit), setting >> 4 & 3);
            add_word(out, &used, management);
        } else if (bit != 4 && setting >> bit & 1 && ivrs_setting_word(bit)) {
            add_word(out, &used, ivrs_setting_word(bit));
        }
    }
}

void ivrs_device_text(uint16_t device, char out[IVRS_DEVICE_TEXT])
{
    snprintf(out, IVRS_DEVICE_TEXT, "%02x:%02x.%x", device >> 8 & 0xFFu, device >> 3 & 0x1Fu, device & 7u);
}

void ivrs_span_text(uint16_t first, uint16_t last, char out[IVRS_SPAN_TEXT])
{
    char from[IVRS_DEVICE_TEXT], to[IVRS_DEVICE_TEXT];
    ivrs_device_text(first, from);
    ivrs_device_text(last, to);
    snprintf(out, IVRS_SPAN_TEXT, "%s%s%s", from, first == last ? "" : " to ", first == last ? "" : to);
}

void ivrs_name_text(const uint8_t *name, char out[IVRS_NAME_TEXT])
{
    acpi_text(name, IVRS_NAME_TEXT - 1, out);
}

void ivrs_uid_text(const struct ivrs_entry *entry, char out[IVRS_UID_TEXT])
{
    if (entry->uid_form == IVRS_UID_INTEGER && entry->covers)
        snprintf(out, IVRS_UID_TEXT, "%" PRIu64, entry->uid_number);
    else
        acpi_text(entry->uid, entry->uid_length, out); // a string is at most 255 bytes
}

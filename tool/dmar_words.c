// SPDX-License-Identifier: MIT
#include "dmar_words.h"

#include <stdio.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *dmar_type_word(uint16_t type)
{
    static const char *const words[] = {"DRHD", "RMRR", "ATSR", "RHSA", "ANDD", "SATC", "SIDP"};
    return type < COUNT(words) ? words[type] : "unknown";
}

const char *dmar_scope_word(uint8_t type)
{
    static const char *const words[] = {"unknown", "endpoint", "bridge", "I/O APIC", "HPET", "namespace"};
    return type < COUNT(words) ? words[type] : "unknown";
}

const char *dmar_flag_word(uint16_t type)
{
    switch (type) {
    case DMAR_DRHD:
        return "INCLUDE_PCI_ALL";
    case DMAR_ATSR:
        return "ALL_PORTS";
    case DMAR_SATC:
        return "ATC_REQUIRED";
    default:
        return "flag 0";
    }
}

const char *dmar_table_flag_word(unsigned bit)
{
    static const char *const words[] = {"INTR_REMAP", "X2APIC_OPT_OUT", "DMA_CTRL_PLATFORM_OPT_IN"};
    return bit < COUNT(words) ? words[bit] : NULL;
}

void dmar_flags_text(uint8_t flags, char out[DMAR_FLAGS_TEXT])
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned bit = 0; dmar_table_flag_word(bit) != NULL; bit++)
        if (flags >> bit & 1)
            used += (size_t)snprintf(out + used, DMAR_FLAGS_TEXT - used, "%s%s", used ? " " : ": ",
                                     dmar_table_flag_word(bit));
}

void dmar_path_text(const struct dmar_scope *scope, char out[DMAR_PATH_TEXT])
{
    size_t used = (size_t)snprintf(out, DMAR_PATH_TEXT, "%02x:", scope->start_bus);
    for (unsigned i = 0; i < scope->path_length && i < DMAR_MAX_PATH; i++)
        used += (size_t)snprintf(out + used, DMAR_PATH_TEXT - used, "%s%02x.%x", i ? "/" : "",
                                 scope->path[i].device, scope->path[i].function);
}

void dmar_name_text(const struct dmar_structure *structure, char *out, size_t size)
{
    if (structure->name == NULL) {
        snprintf(out, size, "(no name)");
        return;
    }
    size_t used = 0;
    for (; used < structure->name_length && used < size - 1; used++) {
        unsigned char c = (unsigned char)structure->name[used];
        out[used] = c >= 0x20 && c < 0x7F ? (char)c : '?';
    }
    out[used] = '\0';
}

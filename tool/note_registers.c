// SPDX-License-Identifier: MIT
#include "note_registers.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const struct note_kind *note_kind_of(uint32_t kind)
{
    static const struct note_kind kinds[] = {
#define DAM_X(name, value, word, cap, ecap)                                                                  \
    {value, word, cap, ecap, (value) == DAM_IOMMU_VTD ? "INCLUDE_PCI_ALL" : NULL},
        DAM_IOMMU_KINDS(DAM_X)
#undef DAM_X
    };
    static const struct note_kind unknown = {UINT32_MAX, "unknown", "cap", "ecap", NULL};
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (kinds[i].kind == kind)
            return &kinds[i];
    return &unknown;
}

const struct note_register *note_register_next(uint32_t kind, size_t *cursor)
{
    static const struct note_register registers[] = {
#define DAM_X(kind, member, field, bits, name, told)                                                         \
    {kind, name, #field, offsetof(union dam_unit_registers, member.field), bits},
        DAM_UNIT_REGISTERS(DAM_X)
#undef DAM_X
    };
    while (*cursor < COUNT(registers)) {
        const struct note_register *r = &registers[(*cursor)++];
        if (r->kind == kind)
            return r;
    }
    return NULL;
}

uint64_t note_register_value(const union dam_unit_registers *registers, const struct note_register *which)
{
    uint64_t wide = 0;
    memcpy(&wide, (const uint8_t *)registers + which->offset, which->bits / 8);
    return wide;
}

const struct note_switch *note_switch_next(uint32_t kind, size_t *cursor)
{
#define AT(member, field) offsetof(union dam_unit_registers, member.field)
    // VT-d architecture specification, 11.4.4.2; AMD 48882, "IOMMU control register".
    static const struct note_switch switches[] = {
        {DAM_IOMMU_VTD, "translation", true, AT(vtd, gsts), 31},
        {DAM_IOMMU_VTD, "queue", false, AT(vtd, gsts), 26},
        {DAM_IOMMU_VTD, "interrupt remapping", false, AT(vtd, gsts), 25},
        {DAM_IOMMU_AMDVI, "translation", true, AT(amdvi, control), 0},
        {DAM_IOMMU_AMDVI, "command buffer", false, AT(amdvi, control), 12},
        {DAM_IOMMU_AMDVI, "event log", false, AT(amdvi, control), 2},
    };
#undef AT
    while (*cursor < COUNT(switches)) {
        const struct note_switch *s = &switches[(*cursor)++];
        if (s->kind == kind)
            return s;
    }
    return NULL;
}

bool note_switch_is_on(const union dam_unit_registers *registers, const struct note_switch *which)
{
    uint32_t word;
    memcpy(&word, (const uint8_t *)registers + which->offset, sizeof word);
    return word >> which->bit & 1;
}

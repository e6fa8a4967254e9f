// SPDX-License-Identifier: MIT
#include "registers.h"

#include "bytes.h"
#include "text.h"

#define NAME_SIZE 16u

// Names and all in one: a table of pointers would have to be relocated, and nobody relocates the stage.
static const struct shown {
    uint8_t kind, offset, bytes, told;
    char name[NAME_SIZE];
} registers[] = {
#define DAM_X(kind, member, field, bits, name, told)                                                         \
    {kind, offsetof(union dam_unit_registers, member.field), bits / 8, told, name},
    DAM_UNIT_REGISTERS(DAM_X)
#undef DAM_X
};

static uint64_t value_of(const union dam_unit_registers *r, const struct shown *shown)
{
    const uint8_t *at = (const uint8_t *)r + shown->offset;
    return shown->bytes == 8 ? bytes_get64(at) : bytes_get32(at);
}

size_t registers_text(const struct dam_note_unit *unit, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        const struct shown *r = &registers[i];
        if (r->told && r->kind == unit->kind)
            len += text_format(out + len, size - len, ", %s 0x%lx -> 0x%lx", r->name,
                               value_of(&unit->before, r), value_of(&unit->after, r));
    }
    return len;
}

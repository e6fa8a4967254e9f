// SPDX-License-Identifier: MIT
#include "inspect/entry_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

static struct entry_field *add(struct entry_fields *out, const char *name)
{
    struct entry_field *field = &out->at[out->count < ENTRY_FIELDS ? out->count++ : ENTRY_FIELDS - 1];
    *field = (struct entry_field){.name = name};
    return field;
}

void entry_flag(struct entry_fields *out, const char *name, uint64_t value)
{
    struct entry_field *field = add(out, name);
    field->kind = FIELD_FLAG;
    field->value = value;
}

void entry_number(struct entry_fields *out, const char *name, uint64_t value)
{
    struct entry_field *field = add(out, name);
    field->kind = FIELD_NUMBER;
    field->value = value;
}

void entry_address(struct entry_fields *out, const char *name, uint64_t address)
{
    struct entry_field *field = add(out, name);
    field->kind = FIELD_ADDRESS;
    field->value = address;
}

void entry_word(struct entry_fields *out, const char *name, const char *word)
{
    struct entry_field *field = add(out, name);
    field->kind = FIELD_WORD;
    field->word = word;
}

static int field_text(const struct entry_field *field, char *out, size_t size)
{
    switch (field->kind) {
    case FIELD_FLAG:
        return snprintf(out, size, "%s", field->name);
    case FIELD_NUMBER:
        return snprintf(out, size, "%s %" PRIu64, field->name, field->value);
    case FIELD_ADDRESS:
        return snprintf(out, size, "%s 0x%" PRIx64, field->name, field->value);
    case FIELD_WORD:
        break;
    }
    return snprintf(out, size, "%s", field->word);
}

const char *entry_fields_text(const struct entry_fields *fields, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < fields->count && used + 3 < size; i++) {
        const struct entry_field *field = &fields->at[i];
        if (field->kind == FIELD_FLAG && field->value == 0) {
            if (strcmp(field->name, "present") == 0)
                return strcpy(out, "not present");
            continue;
        }
        used += (size_t)snprintf(out + used, size - used, "%s", used != 0 ? ", " : "");
        used += (size_t)field_text(field, out + used, size - used);
    }
    return out;
}

struct json_object *entry_fields_json(const struct entry_fields *fields)
{
    struct json_object *o = json_object_new_object();
    for (unsigned i = 0; i < fields->count; i++) {
        const struct entry_field *field = &fields->at[i];
        char name[48];
        snprintf(name, sizeof name, "%s", field->name);
        for (char *c = name; *c != '\0'; c++)
            if (*c == ' ' || *c == '-')
                *c = '_';
            else if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        if (field->kind == FIELD_FLAG)
            json_put_bool(o, name, field->value != 0);
        else if (field->kind == FIELD_NUMBER)
            json_put_number(o, name, field->value);
        else if (field->kind == FIELD_ADDRESS)
            json_put_hex(o, name, field->value);
        else
            json_put_text(o, name, field->word);
    }
    return o;
}

// SPDX-License-Identifier: MIT
// What the entries above the page tables say, field by field, for people and for JSON.
#ifndef TOOL_INSPECT_ENTRY_WORDS_H
#define TOOL_INSPECT_ENTRY_WORDS_H

#include <json-c/json.h>

#include "inspect/model.h"

struct entry_field {
    const char *name;
    enum { FIELD_FLAG, FIELD_NUMBER, FIELD_ADDRESS, FIELD_WORD } kind;
    uint64_t value;
    const char *word; // FIELD_WORD
};
#define ENTRY_FIELDS 32u
struct entry_fields {
    struct entry_field at[ENTRY_FIELDS];
    unsigned count;
};

// Add a field; of more than there is room for, the last one stays. name and word must stay.
void entry_flag(struct entry_fields *out, const char *name, uint64_t value);
void entry_number(struct entry_fields *out, const char *name, uint64_t value);
void entry_address(struct entry_fields *out, const char *name, uint64_t address);
void entry_word(struct entry_fields *out, const char *name, const char *word);

// "present, context table 0x1b21000": flags that are set, all others with their values. Cut at size - 1.
const char *entry_fields_text(const struct entry_fields *fields, char *out, size_t size);
// The same as an object; blanks of the names become underscores.
struct json_object *entry_fields_json(const struct entry_fields *fields);

#endif

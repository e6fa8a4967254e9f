// SPDX-License-Identifier: MIT
// What the entries of VT-d's root, context and PASID tables say, field by field, for people and for JSON.
#ifndef TOOL_INSPECT_VTD_WORDS_H
#define TOOL_INSPECT_VTD_WORDS_H

#include <json-c/json.h>

#include "inspect/model.h"

struct entry_field {
    const char *name;
    enum { FIELD_FLAG, FIELD_NUMBER, FIELD_ADDRESS, FIELD_WORD } kind;
    uint64_t value;
    const char *word; // FIELD_WORD
};
#define ENTRY_FIELDS 12u
struct entry_fields {
    struct entry_field at[ENTRY_FIELDS];
    unsigned count;
};

// A step on the way to the entry of `r` (r->steps). VT-d architecture specification r4.1, 9.1, 9.2, 9.4, 9.5.
void vtd_step_fields(const struct inspect_requester *r, const struct inspect_step *step,
                     struct entry_fields *out);
// The entry of `r` itself: 9.3 in legacy mode, 9.6 in scalable mode. What its kind does not use is left out.
void vtd_entry_fields(const struct inspect_requester *r, struct entry_fields *out);
// What that entry is called.
const char *vtd_entry_name(const struct inspect_requester *r);

// "present, context table 0x1b21000": flags that are set, all others with their values. Cut at size - 1.
const char *entry_fields_text(const struct entry_fields *fields, char *out, size_t size);
// The same as an object; blanks of the names become underscores.
struct json_object *entry_fields_json(const struct entry_fields *fields);

#endif

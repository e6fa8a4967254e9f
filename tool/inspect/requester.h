// SPDX-License-Identifier: MIT
// Requesters as the user writes and reads them.
#ifndef TOOL_INSPECT_REQUESTER_H
#define TOOL_INSPECT_REQUESTER_H

#include <json-c/json.h>

#include "inspect/model.h"

#define REQUESTER_TEXT 40
// "0000:00:02.0", "0000:00:02.0@2a" for a PASID other than that of requests without one.
const char *requester_text(const struct inspect_requester *r, char out[REQUESTER_TEXT]);
// "", or " and 255 more functions" of one that stands for several.
#define REQUESTER_MORE 48
const char *requester_more(const struct inspect_requester *r, char out[REQUESTER_MORE]);
// Whether requests without a PASID are its.
bool requester_is_plain(const struct inspect_requester *r);

// Whether what is behind a unit reaches everything: its translation was off.
bool requester_unit_off(const struct inspect_unit *unit);
// Whether nobody knows the tables of a unit, nor that it has none in use. One whose tables are known, but not
// in the dump, has a requester that stands for all instead.
bool requester_unit_unknown(const struct inspection *inspection, const struct inspect_unit *unit);

// Why a requester's way to memory cannot be followed; NULL when it can (r->tree is set then).
const char *requester_problem(const struct inspect_requester *r);

enum requester_answer {
    REQUESTER_FOUND,
    REQUESTER_NO_NAME,  // text names none
    REQUESTER_NO_ENTRY, // no unit has an entry for it: its DMA is refused
    REQUESTER_UNKNOWN,  // the dump does not hold what would tell
};
// The one requester that text names; without "@PASID" that of requests without one. error says why not.
enum requester_answer requester_find(const struct inspection *inspection, const char *text,
                                     struct inspect_requester **out, struct tool_error *error);

// {"requester", "pasid", "unit", "domain", "stage", "kind", "tree", "root", …}: docs/inspect-json.md.
struct json_object *requester_json(const struct inspect_requester *r);

#endif

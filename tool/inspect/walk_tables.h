// SPDX-License-Identifier: MIT
// The tables of a requester, one by one, with their entries in use.
#ifndef TOOL_INSPECT_WALK_TABLES_H
#define TOOL_INSPECT_WALK_TABLES_H

#include "inspect/json_out.h"
#include "inspect/model.h"
#include "inspect/verbs.h"

struct walk_limits {
    unsigned depth; // levels shown from the first table with more than one entry on
    bool all;       // no bound on lines and tables
};
// Shows them and ends the output; out: an open JSON object, used with call->json alone. The exit status.
int walk_tables(const struct verb_call *call, struct inspection *inspection,
                const struct inspect_requester *r, const struct walk_limits *limits, struct json_out *out);

// What an entry says: "table at 0x1b24000, rw". Without a newline.
void walk_print_entry(unsigned level, const struct pt_entry *entry);
// The same as members "kind", "address", "readable", "writable", "page_size".
void walk_put_entry(struct json_object *object, unsigned level, const struct pt_entry *entry);

#endif

// SPDX-License-Identifier: MIT
// Units and devices: the verbs of those names, and both together when no verb is given.
#ifndef TOOL_INSPECT_OVERVIEW_H
#define TOOL_INSPECT_OVERVIEW_H

#include "inspect/json_out.h"
#include "inspect/verbs.h"

int overview_run(struct verb_call *call);

// "our note", "the command line", "the dead kernel", "a guess".
const char *origin_text(enum inspect_origin origin);

// Print a table, or members of the innermost object. false: no memory.
bool units_print(const struct inspection *inspection);
void units_json(struct json_out *out, const struct inspection *inspection);
// The trees were audited.
bool devices_print(const struct inspection *inspection);
void devices_json(struct json_out *out, const struct inspection *inspection);

// The whole of a verb that shows one dump and takes no arguments: opens it, audits all trees when that is
// asked for, and shows it in one of two ways. Returns the exit status.
int overview_show(const struct verb_call *call, bool audit,
                  void (*json)(struct json_out *out, const struct inspection *inspection),
                  bool (*print)(const struct inspection *inspection));

#endif

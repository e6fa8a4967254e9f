// SPDX-License-Identifier: MIT
// JSON that is printed while it is made: lists of any length in no memory, and sound JSON also when the work
// is interrupted in the middle. tool/json.h makes the leaves.
#ifndef TOOL_INSPECT_JSON_OUT_H
#define TOOL_INSPECT_JSON_OUT_H

#include "json.h"

#define JSON_OUT_DEPTH 8u
struct json_out {
    unsigned depth;
    bool any[JSON_OUT_DEPTH]; // something stands in it already
    char close[JSON_OUT_DEPTH];
};

// Prints to standard output. key is NULL in a list, and for the outermost object.
void json_out_object(struct json_out *out, const char *key);
void json_out_list(struct json_out *out, const char *key);
// Ends the innermost object or list; after the outermost a newline follows.
void json_out_end(struct json_out *out);
// Ends all that is open.
void json_out_end_all(struct json_out *out);
// One value on a line of its own; it is freed. NULL is null.
void json_out_value(struct json_out *out, const char *key, struct json_object *value);
// All members of object, which is freed, as members of the innermost object.
void json_out_members(struct json_out *out, struct json_object *object);
void json_out_text(struct json_out *out, const char *key, const char *text);
void json_out_hex(struct json_out *out, const char *key, uint64_t value);
void json_out_number(struct json_out *out, const char *key, uint64_t value);
void json_out_bool(struct json_out *out, const char *key, bool value);

#endif

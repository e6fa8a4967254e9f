// SPDX-License-Identifier: MIT
// Small helpers over json-c, so that all of the tool's JSON looks the same.
#ifndef TOOL_JSON_H
#define TOOL_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

// Each adds one member to object. Addresses, registers and bit sets are strings ("0xfed90000"), because JSON
// numbers above 2^53 do not survive many readers; counts, sizes and times are numbers.
void json_put_text(struct json_object *object, const char *key, const char *text);
void json_put_text_f(struct json_object *object, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void json_put_hex(struct json_object *object, const char *key, uint64_t value);
void json_put_number(struct json_object *object, const char *key, uint64_t value);
void json_put_bool(struct json_object *object, const char *key, bool value);

// Prints object to standard output, indented, with a newline, and frees it.
void json_print(struct json_object *object);

#endif

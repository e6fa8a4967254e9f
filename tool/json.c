// SPDX-License-Identifier: MIT
#include "json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void json_put_text(struct json_object *object, const char *key, const char *text)
{
    // Bytes of hostile files need not be UTF-8; JSON must be.
    char clean[1024];
    size_t n = 0;
    for (; text[n] != '\0' && n < sizeof clean - 1; n++) {
        unsigned char c = (unsigned char)text[n];
        clean[n] = c >= 0x20 && c < 0x7F ? (char)c : '?';
    }
    clean[n] = '\0';
    json_object_object_add(object, key, json_object_new_string(clean));
}

void json_put_text_f(struct json_object *object, const char *key, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_put_text(object, key, text);
}

void json_put_hex(struct json_object *object, const char *key, uint64_t value)
{
    json_put_text_f(object, key, "0x%" PRIx64, value);
}

void json_put_number(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_uint64(value));
}

void json_put_bool(struct json_object *object, const char *key, bool value)
{
    json_object_object_add(object, key, json_object_new_boolean(value));
}

void json_print(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                    JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

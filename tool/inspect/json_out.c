// SPDX-License-Identifier: MIT
#include "inspect/json_out.h"

#include <assert.h>
#include <stdio.h>

#define FLAGS (JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

static void print_quoted(const char *text)
{
    struct json_object *key = json_object_new_string(text);
    fputs(json_object_to_json_string_ext(key, FLAGS), stdout);
    json_object_put(key);
}

static void begin_value(struct json_out *out, const char *key)
{
    if (out->depth != 0) {
        bool *any = &out->any[out->depth - 1];
        fputs(*any ? ",\n" : "\n", stdout);
        *any = true;
        printf("%*s", (int)(2 * out->depth), "");
    }
    if (key != NULL) {
        print_quoted(key);
        fputs(": ", stdout);
    }
}

static void open_level(struct json_out *out, const char *key, char open, char close)
{
    begin_value(out, key);
    assert(out->depth < JSON_OUT_DEPTH);
    putchar(open);
    out->any[out->depth] = false;
    out->close[out->depth] = close;
    out->depth++;
}

void json_out_object(struct json_out *out, const char *key)
{
    open_level(out, key, '{', '}');
}

void json_out_list(struct json_out *out, const char *key)
{
    open_level(out, key, '[', ']');
}

void json_out_end(struct json_out *out)
{
    out->depth--;
    if (out->any[out->depth])
        printf("\n%*s", (int)(2 * out->depth), "");
    putchar(out->close[out->depth]);
    if (out->depth == 0)
        putchar('\n');
}

void json_out_end_all(struct json_out *out)
{
    while (out->depth != 0)
        json_out_end(out);
}

void json_out_value(struct json_out *out, const char *key, struct json_object *value)
{
    begin_value(out, key);
    fputs(json_object_to_json_string_ext(value, FLAGS), stdout);
    json_object_put(value);
}

void json_out_members(struct json_out *out, struct json_object *object)
{
    json_object_object_foreach(object, key, value)
    {
        json_out_value(out, key, json_object_get(value));
    }
    json_object_put(object);
}

// The helpers of tool/json.h know how values look; each makes an object of one member here.
void json_out_text(struct json_out *out, const char *key, const char *text)
{
    struct json_object *o = json_object_new_object();
    json_put_text(o, key, text);
    json_out_members(out, o);
}

void json_out_hex(struct json_out *out, const char *key, uint64_t value)
{
    struct json_object *o = json_object_new_object();
    json_put_hex(o, key, value);
    json_out_members(out, o);
}

void json_out_number(struct json_out *out, const char *key, uint64_t value)
{
    struct json_object *o = json_object_new_object();
    json_put_number(o, key, value);
    json_out_members(out, o);
}

void json_out_bool(struct json_out *out, const char *key, bool value)
{
    struct json_object *o = json_object_new_object();
    json_put_bool(o, key, value);
    json_out_members(out, o);
}

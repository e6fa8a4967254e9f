// SPDX-License-Identifier: MIT
// Puts the data into the page, where no string of a dump can end the element that holds them.
#include <stdlib.h>
#include <string.h>

#include "inspect/report.h"

extern const char report_blob_start[], report_blob_end[]; // report_blob.S: the page

#define MARKER "@DATA@"

// What could end or change a script element is written as JSON writes it otherwise.
static size_t escape_into(char *out, const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (*text == '<' || *text == '>' || *text == '&') {
            static const char digits[] = "0123456789abcdef";
            memcpy(out + n, "\\u00", 4);
            out[n + 4] = digits[(unsigned char)*text >> 4];
            out[n + 5] = digits[*text & 15];
            n += 6;
        } else {
            out[n++] = *text;
        }
    }
    return n;
}

char *report_page(struct json_object *data, size_t *size)
{
    const char *json =
        json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t page = (size_t)(report_blob_end - report_blob_start);
    const char *marker = memmem(report_blob_start, page, MARKER, strlen(MARKER));
    if (json == NULL || marker == NULL)
        return NULL;
    size_t head = (size_t)(marker - report_blob_start), tail = page - head - strlen(MARKER);
    size_t special = 0;
    for (const char *c = json; *c != '\0'; c++)
        special += *c == '<' || *c == '>' || *c == '&';
    char *out = malloc(page + strlen(json) + 5 * special + 1);
    if (out == NULL)
        return NULL;
    memcpy(out, report_blob_start, head);
    *size = head + escape_into(out + head, json);
    memcpy(out + *size, marker + strlen(MARKER), tail);
    *size += tail;
    return out;
}

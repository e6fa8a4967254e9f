// SPDX-License-Identifier: MIT
#include "inspect/requester.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cofferdam/findings.h>

#include "inspect/kind.h"
#include "json.h"
#include "names.h"
#include "note_view.h"

bool requester_is_plain(const struct inspect_requester *r)
{
    return !(r->flags & DAM_REQ_PASID) || (r->flags & DAM_REQ_RID_PASID);
}

const char *requester_text(const struct inspect_requester *r, char out[REQUESTER_TEXT])
{
    char name[RID_TEXT];
    rid_text(r->unit->segment, r->rid, name);
    if (requester_is_plain(r))
        snprintf(out, REQUESTER_TEXT, "%s", name);
    else
        snprintf(out, REQUESTER_TEXT, "%s@%" PRIx32, name, r->pasid);
    return out;
}

const char *requester_more(const struct inspect_requester *r, char out[REQUESTER_MORE])
{
    out[0] = '\0';
    if (r->span > 1)
        snprintf(out, REQUESTER_MORE, " and %" PRIu32 " more %s", r->span - 1,
                 r->flags & DAM_REQ_PASID ? "PASIDs" : "functions");
    return out;
}

const char *requester_problem(const struct inspect_requester *r)
{
    if (r->unknown)
        return "the dump does not hold a table on the way to its entry";
    if (r->kind == DAM_OLD_BROKEN || r->finding != DAM_F_NONE)
        return r->finding != DAM_F_NONE ? name_finding(r->finding) : "its entry is broken";
    if (r->tree == NULL)
        return "its entry leads to no tables";
    return NULL;
}

struct found {
    struct inspect_requester *first, *plain;
};

static void each(void *ctx, struct inspect_requester *r)
{
    struct found *found = ctx;
    if (found->first == NULL)
        found->first = r;
    if (found->plain == NULL && requester_is_plain(r))
        found->plain = r;
}

// The segment in a text that inspect_find() took for sound: "[SSSS:]BB:DD.F[@PASID]".
static unsigned segment_of(const char *text)
{
    unsigned segment, bus, device;
    return sscanf(text, "%x:%x:%x", &segment, &bus, &device) == 3 ? segment : 0;
}

bool requester_unit_off(const struct inspect_unit *unit)
{
    return unit->has_registers && !unit->translating;
}

bool requester_unit_unknown(const struct inspection *inspection, const struct inspect_unit *unit)
{
    uint16_t finding;
    if (unit->readable || requester_unit_off(unit) || unit->kind->tables(unit, &finding) == TABLES_NONE)
        return false;
    for (size_t i = 0; i < inspection->requester_count; i++)
        if (inspection->requesters[i].unit == &inspection->units[unit->leader])
            return false;
    return true;
}

// No entry: is that so, or is only not known which unit would have it?
static enum requester_answer absent(const struct inspection *inspection, const char *text, unsigned segment,
                                    struct tool_error *error)
{
    const struct inspect_unit *off = NULL;
    for (size_t i = 0; i < inspection->unit_count; i++) {
        const struct inspect_unit *u = &inspection->units[i];
        if (u->segment != segment)
            continue;
        if (requester_unit_off(u))
            off = u;
        if (!requester_unit_unknown(inspection, u))
            continue;
        tool_fail(error, TOOL_OK, "%s: unknown: the tables of %s cannot be read (at 0x%" PRIx64 ")", text,
                  u->name, u->root.v);
        return REQUESTER_UNKNOWN;
    }
    if (off != NULL)
        tool_fail(error, TOOL_USAGE,
                  "%s: no unit has an entry for it; the translation of %s was off: devices behind it reach "
                  "everything",
                  text, off->name);
    else
        tool_fail(error, TOOL_USAGE,
                  "%s: no unit has an entry for it (\"devices\" lists those that have one)", text);
    return REQUESTER_NO_ENTRY;
}

enum requester_answer requester_find(const struct inspection *inspection, const char *text,
                                     struct inspect_requester **out, struct tool_error *error)
{
    struct found found = {0};
    int count = inspect_find(inspection, text, each, &found);
    if (count < 0) {
        tool_fail(error, TOOL_USAGE, "%s: not a requester ([SSSS:]BB:DD.F[@PASID], in hexadecimal)", text);
        return REQUESTER_NO_NAME;
    }
    if (count == 0)
        return absent(inspection, text, segment_of(text), error);
    *out = strchr(text, '@') != NULL ? found.first : found.plain;
    if (*out == NULL) {
        char name[REQUESTER_TEXT];
        tool_fail(error, TOOL_USAGE,
                  "%s: its requests without a PASID have no entry; with one they have, as %s", text,
                  requester_text(found.first, name));
        return REQUESTER_NO_ENTRY;
    }
    return REQUESTER_FOUND;
}

struct json_object *requester_json(const struct inspect_requester *r)
{
    struct json_object *o = json_object_new_object();
    char name[REQUESTER_TEXT];
    json_put_text(o, "requester", requester_text(r, name));
    json_object_object_add(o, "pasid", r->flags & DAM_REQ_PASID ? json_object_new_uint64(r->pasid) : NULL);
    json_put_number(o, "span", r->span);
    json_put_text(o, "unit", r->unit->name);
    json_put_bool(o, "unknown", r->unknown);
    json_put_number(o, "domain", r->did);
    json_put_text(o, "stage", name_stage(r->stage));
    json_put_text(o, "was", name_old_kind(r->kind));
    json_put_number(o, "finding", r->finding);
    json_object_object_add(o, "tree", r->tree != NULL ? json_object_new_uint64(r->tree->number) : NULL);
    return o;
}

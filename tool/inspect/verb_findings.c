// SPDX-License-Identifier: MIT
// What is odd in root, context, PASID and page tables, worst first.
#include <inttypes.h>
#include <string.h>

#include <cofferdam/findings.h>

#include "inspect/progress.h"
#include "inspect/show.h"
#include "names.h"
#include "note.h"
#include "note_view.h"

#define NO_LEVEL 255u

// Whether the finding's iova is a PASID.
static bool has_pasid(uint16_t code)
{
    return code >= DAM_F_PASID_DIR_RESERVED && code <= DAM_F_PASID_POINTER;
}

static const struct inspect_unit *unit_of(const struct inspection *inspection,
                                          const struct dam_finding *finding)
{
    for (size_t i = 0; i < inspection->unit_count; i++)
        if (inspection->units[i].index == finding->unit)
            return &inspection->units[i];
    return NULL;
}

// "0000:00:02.0", "bus 03", or "" when it is about neither.
static void subject_of(const struct dam_finding *f, char *out, size_t size)
{
    char name[RID_TEXT];
    out[0] = '\0';
    if (note_finding_has_requester(f->code)) {
        rid_text(f->segment, f->rid, name);
        snprintf(out, size, "%s", name);
    } else if (note_finding_has_bus(f->code)) {
        snprintf(out, size, "%04x:%02x", f->segment, f->rid >> 8);
    }
}

static enum text_mark mark_of(uint8_t severity)
{
    return severity == DAM_ERROR ? TEXT_BAD : severity == DAM_WARN ? TEXT_WARN : TEXT_PLAIN;
}

static void print_place(const struct dam_finding *f)
{
    printf("         at 0x%" PRIx64 ": 0x%" PRIx64, f->address, f->raw);
    if (f->level != NO_LEVEL)
        printf(", %s %u", show_entry_name(f->level), f->index);
    if (has_pasid(f->code))
        printf(", PASID %" PRIx64, f->iova);
    else if (f->iova != 0 || f->level != NO_LEVEL)
        printf(", IOVA 0x%" PRIx64, f->iova);
    if (f->repeats != 0)
        printf("; %" PRIu32 " more like it", f->repeats);
    putchar('\n');
}

static void print_finding(const struct inspection *inspection, const struct dam_finding *f)
{
    char subject[32], text[INSPECT_FINDING_TEXT];
    const struct inspect_unit *unit = unit_of(inspection, f);
    subject_of(f, subject, sizeof subject);
    text_print(mark_of(f->severity), "%-7s", name_severity(f->severity));
    printf("  %s%s%s%s%s (finding %u)\n", subject, subject[0] != '\0' ? " on " : "",
           unit != NULL ? unit->name : "", unit != NULL ? ": " : "", inspect_finding_text(f->code, text),
           f->code);
    if (f->address != 0 || f->raw != 0 || f->level != NO_LEVEL || f->repeats != 0)
        print_place(f);
}

static struct json_object *finding_json(const struct inspection *inspection, const struct dam_finding *f)
{
    struct json_object *o = json_object_new_object();
    char subject[32], text[INSPECT_FINDING_TEXT];
    const struct inspect_unit *unit = unit_of(inspection, f);
    subject_of(f, subject, sizeof subject);
    json_put_number(o, "code", f->code);
    json_put_text(o, "severity", name_severity(f->severity));
    json_put_text(o, "text", inspect_finding_text(f->code, text));
    json_object_object_add(o, "unit", unit != NULL ? json_object_new_string(unit->name) : NULL);
    json_object_object_add(o, "requester",
                           note_finding_has_requester(f->code) ? json_object_new_string(subject) : NULL);
    json_object_object_add(o, "bus", note_finding_has_bus(f->code) ? json_object_new_string(subject) : NULL);
    json_put_hex(o, "address", f->address);
    json_put_hex(o, "raw", f->raw);
    json_object_object_add(o, "level", f->level != NO_LEVEL ? json_object_new_uint64(f->level) : NULL);
    json_put_number(o, "index", f->index);
    json_put_hex(o, has_pasid(f->code) ? "pasid" : "iova", f->iova);
    json_put_number(o, "repeats", f->repeats);
    return o;
}

static size_t count_of(const struct inspection *inspection, unsigned severity)
{
    size_t count = 0;
    for (size_t i = 0; i < inspection->finding_count; i++)
        count += inspection->findings[i].severity == severity;
    return count;
}

static void print_incomplete(const struct inspection *inspection)
{
    bool tables = false;
    for (size_t i = 0; i < inspection->tree_count; i++)
        tables |= inspection->trees[i]->unknown_tables != 0;
    for (size_t i = 0; i < inspection->requester_count; i++)
        tables |= inspection->requesters[i].unknown;
    if (tables)
        text_print(TEXT_WARN, "Incomplete: tables are not in the dump (\"devices\" says whose).\n");
    else if (inspection->kernel != NULL && inspection->kernel_problem[0] != '\0')
        text_print(TEXT_WARN, "Incomplete: the dead kernel does not tell all: %s.\n",
                   inspection->kernel_problem);
    else
        text_print(TEXT_WARN, "Incomplete: not everything could be read.\n");
}

static void print_sum(const struct inspection *inspection)
{
    size_t errors = count_of(inspection, DAM_ERROR), warnings = count_of(inspection, DAM_WARN),
           notes = count_of(inspection, DAM_INFO);
    if (inspection->finding_count == 0)
        text_print(TEXT_GOOD, "Nothing odd was found%s.\n",
                   inspection->incomplete ? " in what the dump holds" : "");
    else
        printf("%zu error%s, %zu warning%s, %zu worth knowing.\n", errors, errors == 1 ? "" : "s", warnings,
               warnings == 1 ? "" : "s", notes);
    if (inspection->findings_lost)
        text_print(TEXT_WARN, "There were more than are kept.\n");
    if (inspection->incomplete)
        print_incomplete(inspection);
}

static void show(const struct verb_call *call, const struct inspection *inspection)
{
    struct json_out out;
    if (call->json) {
        show_json_begin(&out, call, inspection);
        json_out_list(&out, "findings");
    }
    for (unsigned severity = DAM_ERROR + 1; severity-- > 0;)
        for (size_t i = 0; i < inspection->finding_count; i++) {
            const struct dam_finding *f = &inspection->findings[i];
            if (f->severity != severity)
                continue;
            if (call->json)
                json_out_value(&out, NULL, finding_json(inspection, f));
            else
                print_finding(inspection, f);
        }
    if (!call->json) {
        print_sum(inspection);
        return;
    }
    json_out_end(&out);
    json_out_bool(&out, "more", inspection->findings_lost);
    show_json_end(&out, inspection->incomplete);
}

static int run(struct verb_call *call)
{
    if (!verb_no_arguments(call))
        return INSPECT_USAGE;
    struct inspection inspection;
    int status = verb_open(call, &inspection);
    if (status == INSPECT_OK) {
        dam_err err = inspect_audit_all(&inspection);
        progress_end();
        // What was found until Ctrl-C is worth showing.
        show(call, &inspection);
        status = err != DAM_OK ? verb_failed(call, err) : verb_finish(call, &inspection);
    }
    inspect_close(&inspection);
    return status;
}

const struct verb verb_findings = {
    .name = "findings",
    .arguments = "",
    .summary = "List what is odd in the tables of all requesters, worst first",
    .run = run,
};

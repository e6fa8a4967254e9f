// SPDX-License-Identifier: MIT
// What the report says, as JSON: the dump, units, trees, requesters, findings and the map.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cofferdam/findings.h>

#include "inspect/kind.h"
#include "inspect/pci_names.h"
#include "inspect/report.h"
#include "inspect/requester.h"
#include "json.h"
#include "names.h"
#include "note_view.h"

static void put_dump(const struct inspection *inspection, struct json_object *out)
{
    const struct memory_about *about = memory_about(inspection->memory);
    const char *slash = strrchr(inspection->path, '/');
    // Without its folder: reports are sent around.
    json_put_text(out, "name", slash != NULL ? slash + 1 : inspection->path);
    json_put_text(out, "format", about->format);
    json_put_text(out, "release", about->release);
    json_put_bool(out, "flattened", about->flattened);
    json_put_number(out, "ram", about->ram);
    json_put_number(out, "held", about->held);
}

// ---- units ------------------------------------------------------------------------------------------------
static const char *origin_word(enum inspect_origin origin)
{
    switch (origin) {
    case ORIGIN_NOTE:
        return "Cofferdam's note";
    case ORIGIN_COMMAND:
        return "the command line";
    case ORIGIN_KERNEL:
        return "the dead kernel's structures";
    case ORIGIN_GUESS:
        return "a guess: a scan for what looks like tables";
    }
    return "unknown";
}

static struct json_object *unit_json(const struct inspection *inspection, const struct inspect_unit *unit)
{
    struct json_object *out = json_object_new_object();
    json_put_text(out, "name", unit->name);
    json_put_text(out, "kind", unit->kind->name);
    json_put_text(out, "mode", unit->mode);
    json_put_text(out, "origin", origin_word(unit->origin));
    json_put_bool(out, "guess", unit->origin == ORIGIN_GUESS);
    json_put_number(out, "segment", unit->segment);
    json_put_hex(out, "registers", unit->base);
    json_put_hex(out, "root", unit->root.v);
    json_put_number(out, "table_size", unit->table_size);
    json_put_bool(out, "has_registers", unit->has_registers);
    json_put_bool(out, "off", requester_unit_off(unit));
    json_put_bool(out, "readable", unit->readable);
    json_put_bool(out, "unknown", requester_unit_unknown(inspection, unit));
    struct json_object *values = json_object_new_object();
    unit->kind->put_registers(unit, values);
    json_object_object_add(out, "values", values);
    return out;
}

// ---- trees ------------------------------------------------------------------------------------------------
static struct json_object *tree_json(const struct inspect_tree *tree)
{
    struct json_object *out = json_object_new_object(), *leaves = json_object_new_array();
    json_put_number(out, "number", tree->number);
    json_put_text(out, "stage", name_stage(tree->stage));
    json_put_number(out, "levels", tree->params.levels);
    json_put_hex(out, "root", tree->root.v);
    json_put_number(out, "requesters", tree->requesters);
    json_put_number(out, "readable", tree->readable);
    json_put_number(out, "writable", tree->writable);
    for (size_t i = 0; i < PT_MAX_LEVELS; i++)
        json_object_array_add(leaves, json_object_new_uint64(tree->leaves[i]));
    json_object_object_add(out, "leaves", leaves);
    json_put_number(out, "tables", tree->tables);
    json_put_number(out, "unknown_tables", tree->unknown_tables);
    json_put_number(out, "unknown_bytes", tree->unknown_bytes);
    json_put_number(out, "findings", tree->findings);
    return out;
}

// ---- requesters -------------------------------------------------------------------------------------------
static int tree_index(const struct inspection *inspection, const struct inspect_tree *tree)
{
    if (tree != NULL && tree->number < inspection->tree_count && inspection->trees[tree->number] == tree)
        return (int)tree->number;
    for (size_t i = 0; tree != NULL && i < inspection->tree_count; i++)
        if (inspection->trees[i] == tree)
            return (int)i;
    return -1;
}

static struct json_object *requester_row(const struct inspection *inspection, struct pci_names *names,
                                         const struct inspect_requester *r)
{
    struct json_object *out = json_object_new_object();
    struct inspect_device nameless = {.segment = r->unit->segment, .rid = r->rid};
    const struct inspect_device *device = inspect_device_of(inspection, r->unit->segment, r->rid);
    struct pci_name name;
    char text[INSPECT_FINDING_TEXT];
    pci_name_of(names, device != NULL ? device : &nameless, &name);
    char label[REQUESTER_TEXT], more[REQUESTER_MORE];
    json_put_text(out, "address", requester_text(r, label));
    json_put_text(out, "more", requester_more(r, more));
    pci_name_put(&name, out);
    json_put_number(out, "unit", (uint64_t)(r->unit - inspection->units));
    json_put_number(out, "domain", r->did);
    json_put_text(out, "stage", name_stage(r->stage));
    json_put_text(out, "kind", name_old_kind(r->kind));
    json_object_object_add(out, "tree",
                           json_object_new_int(r->vacant ? -1 : tree_index(inspection, r->tree)));
    json_put_bool(out, "vacant", r->vacant);
    json_put_bool(out, "ats", r->flags & DAM_REQ_ATS);
    json_put_text(out, "finding", r->finding != DAM_F_NONE ? inspect_finding_text(r->finding, text) : "");
    json_put_bool(out, "unknown", r->unknown);
    return out;
}

// Stands for whatever is behind a unit that let everything through.
static struct json_object *open_unit_json(const struct inspection *inspection, size_t unit)
{
    struct json_object *out = json_object_new_object();
    json_put_text_f(out, "address", "all behind %s", inspection->units[unit].name);
    json_put_number(out, "unit", unit);
    json_put_text(out, "stage", "none");
    json_put_text(out, "kind", "translation was off");
    json_object_object_add(out, "tree", json_object_new_int((int)(inspection->tree_count + unit)));
    return out;
}

// ---- findings ---------------------------------------------------------------------------------------------
static struct json_object *finding_json(const struct inspection *inspection, const struct dam_finding *f)
{
    struct json_object *out = json_object_new_object();
    char text[INSPECT_FINDING_TEXT], name[RID_TEXT];
    json_put_text(out, "severity", name_severity(f->severity));
    json_put_number(out, "code", f->code);
    json_put_text(out, "text", inspect_finding_text(f->code, text));
    if (f->unit < inspection->unit_count)
        json_put_text(out, "unit", inspection->units[f->unit].name);
    if (note_finding_has_requester(f->code)) {
        rid_text(f->segment, f->rid, name);
        json_put_text(out, "requester", name);
    }
    json_put_hex(out, "address", f->address);
    json_put_hex(out, "raw", f->raw);
    json_put_hex(out, "iova", f->iova);
    json_put_number(out, "repeats", f->repeats);
    return out;
}

// The worst ones first, so that a cut takes the least.
static void put_findings(const struct inspection *inspection, struct json_object *out)
{
    struct json_object *list = json_object_new_array();
    size_t shown = 0;
    for (int severity = DAM_ERROR; severity >= DAM_INFO; severity--)
        for (size_t i = 0; i < inspection->finding_count && shown < REPORT_FINDINGS; i++)
            if (inspection->findings[i].severity == severity) {
                json_object_array_add(list, finding_json(inspection, &inspection->findings[i]));
                shown++;
            }
    json_object_object_add(out, "findings", list);
    json_put_number(out, "findings_left_out", inspection->finding_count - shown);
    json_put_bool(out, "findings_lost", inspection->findings_lost);
}

// ---- all of it --------------------------------------------------------------------------------------------
static void put_units(const struct inspection *inspection, struct json_object *out)
{
    struct json_object *units = json_object_new_array();
    for (size_t i = 0; i < inspection->unit_count && i < REPORT_UNITS; i++)
        json_object_array_add(units, unit_json(inspection, &inspection->units[i]));
    json_object_object_add(out, "units", units);
}

static void put_requesters(const struct inspection *inspection, struct json_object *out)
{
    struct json_object *list = json_object_new_array();
    struct pci_names *names = pci_names_open(NULL);
    size_t shown =
        inspection->requester_count < REPORT_REQUESTERS ? inspection->requester_count : REPORT_REQUESTERS;
    for (size_t i = 0; i < inspection->unit_count; i++)
        if (requester_unit_off(&inspection->units[i]))
            json_object_array_add(list, open_unit_json(inspection, i));
    for (size_t i = 0; i < shown; i++)
        json_object_array_add(list, requester_row(inspection, names, &inspection->requesters[i]));
    pci_names_close(names);
    json_object_object_add(out, "requesters", list);
    json_put_number(out, "requesters_left_out", inspection->requester_count - shown);
}

static void put_crash(const struct inspection *inspection, struct json_object *out)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < inspection->crash_count; i++) {
        struct json_object *range = json_object_new_object();
        json_put_hex(range, "start", inspection->crash[i].start);
        json_put_hex(range, "end", inspection->crash[i].end);
        json_object_array_add(list, range);
    }
    json_object_object_add(out, "crash", list);
}

static void put_trees(const struct inspection *inspection, const struct map *map,
                      const struct map_tree *trees, uint64_t (*crash)[2], struct json_object *out)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < inspection->tree_count + inspection->unit_count; i++) {
        struct json_object *tree =
            i < inspection->tree_count ? tree_json(inspection->trees[i]) : json_object_new_object();
        report_tree_json(map, &trees[i], tree);
        json_put_number(tree, "crash_read", crash[i][0]);
        json_put_number(tree, "crash_written", crash[i][1]);
        json_object_array_add(list, tree);
    }
    json_object_object_add(out, "trees", list);
}

static void put_all(const struct inspection *inspection, const struct map *map, const struct map_tree *trees,
                    const struct map_tree *tables, uint64_t (*crash)[2], bool gaps, struct json_object *out)
{
    struct json_object *dump = json_object_new_object();
    json_put_number(out, "format", 1);
    json_put_text(out, "cofferdam", COFFERDAM_VERSION);
    put_dump(inspection, dump);
    json_object_object_add(out, "dump", dump);
    json_put_text(out, "kernel_problem", inspection->kernel == NULL ? inspection->kernel_problem : "");
    json_put_bool(out, "incomplete", inspection->incomplete);
    json_put_bool(out, "gaps", gaps);
    put_units(inspection, out);
    put_requesters(inspection, out);
    put_findings(inspection, out);
    put_crash(inspection, out);
    put_trees(inspection, map, trees, crash, out);
    json_object_object_add(out, "map", report_map_json(map, tables));
}

dam_err report_data(struct inspection *inspection, struct json_object **out)
{
    *out = NULL;
    bool gaps = inspection->incomplete; // of opening: there may be units or requesters that nobody found
    dam_err err = inspect_audit_all(inspection);
    if (err != DAM_OK)
        return err;
    struct map map = {0};
    struct map_tree *trees = NULL, tables = {0};
    uint64_t(*crash)[2] = NULL;
    err = report_map(inspection, &map, &trees, &tables, &crash);
    if (err == DAM_OK) {
        *out = json_object_new_object();
        if (*out == NULL)
            err = DAM_E_NOMEM;
        else
            put_all(inspection, &map, trees, &tables, crash, gaps, *out);
    }
    map_free(&map);
    free(trees);
    free(crash);
    return err;
}

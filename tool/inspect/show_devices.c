// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inspect/overview.h"
#include "inspect/pci_names.h"
#include "inspect/show.h"
#include "names.h"

static const char *const sizes[PT_MAX_LEVELS] = {"4K", "2M", "1G", "512G", "256T", "128P"};

// "1234 of 4K, 2 of 2M".
static void pages_text(const struct inspect_tree *tree, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned level = 0; level < PT_MAX_LEVELS && used < size; level++)
        if (tree->leaves[level])
            used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64 " of %s", used ? ", " : "",
                                     tree->leaves[level], sizes[level]);
}

static const char *mode_text(const struct inspect_requester *r)
{
    if (r->unknown)
        return "unknown";
    return r->kind == DAM_OLD_BROKEN ? "broken" : name_stage(r->stage);
}

static unsigned long findings_of(const struct inspect_requester *r)
{
    return (r->finding != DAM_F_NONE) + (unsigned long)(r->tree != NULL ? r->tree->findings : 0);
}

static void add_amounts(struct text_table *table, const struct inspect_requester *r)
{
    const struct inspect_tree *t = r->tree;
    char text[TEXT_SIZE], pages[96];
    if (t == NULL) {
        for (unsigned i = 0; i < 3; i++)
            text_cell(table, TEXT_FAINT, r->unknown ? "?" : "-");
        return;
    }
    // What tables that are not held would add is not known.
    const char *more = t->unknown_tables ? "+?" : "";
    text_cell(table, t->readable ? TEXT_GOOD : TEXT_FAINT, "%s%s", text_size(t->readable, text), more);
    text_cell(table, t->writable ? TEXT_WARN : TEXT_FAINT, "%s%s", text_size(t->writable, text), more);
    pages_text(t, pages, sizeof pages);
    text_cell(table, TEXT_PLAIN, "%s", t->stage == DAM_STAGE_PASSTHROUGH ? "all of RAM" : pages);
}

static void add_row(struct text_table *table, const struct inspection *in, struct pci_names *names,
                    const struct inspect_requester *r)
{
    char name[REQUESTER_TEXT], more[REQUESTER_MORE], line[PCI_NAME_LINE] = "";
    char finding[INSPECT_FINDING_TEXT];
    const struct inspect_device *device = inspect_device_of(in, r->unit->segment, r->rid);
    if (device != NULL && r->span == 1) {
        struct pci_name known;
        pci_name_of(names, device, &known);
        pci_name_line(&known, line);
    }
    text_cell(table, TEXT_PLAIN, "%s%s", requester_text(r, name), requester_more(r, more));
    if (r->words)
        text_cell(table, TEXT_PLAIN, "%u", r->did);
    else
        text_cell(table, TEXT_FAINT, "-");
    text_cell(table, r->unknown ? TEXT_FAINT : r->finding ? TEXT_BAD : TEXT_PLAIN, "%s", mode_text(r));
    add_amounts(table, r);
    unsigned long findings = findings_of(r);
    bool odd = r->finding || (r->tree != NULL && r->tree->severity >= DAM_WARN);
    text_cell(table, odd ? TEXT_BAD : findings ? TEXT_PLAIN : TEXT_FAINT, "%lu", findings);
    if (r->finding)
        text_cell(table, TEXT_BAD, "%s", inspect_finding_text(r->finding, finding));
    else if (r->vacant)
        text_cell(table, TEXT_FAINT, "no such function is known");
    else
        text_cell(table, TEXT_PLAIN, "%s", line);
}

bool devices_print(const struct inspection *in)
{
    static const char *const heads[] = {"REQUESTER", "DOMAIN", "MODE",     "READS",
                                        "WRITES",    "PAGES",  "FINDINGS", "WHAT IT IS"};
    struct text_table table;
    if (in->requester_count == 0) {
        printf("no requester has an entry in the tables\n");
        return true;
    }
    struct pci_names *names = pci_names_open(NULL);
    text_table_begin(&table, 8, heads, "lrlrrlrl");
    for (size_t i = 0; i < in->requester_count; i++)
        add_row(&table, in, names, &in->requesters[i]);
    pci_names_close(names);
    return text_table_print(&table, "");
}

static struct json_object *mapped_json(const struct inspect_tree *t)
{
    struct json_object *o = json_object_new_object(), *pages = json_object_new_object();
    json_put_number(o, "readable", t->readable);
    json_put_number(o, "writable", t->writable);
    for (unsigned level = 0; level < PT_MAX_LEVELS; level++)
        if (t->leaves[level])
            json_put_number(pages, sizes[level], t->leaves[level]);
    json_object_object_add(o, "pages", pages);
    json_put_number(o, "tables", t->tables);
    json_put_number(o, "unknown_tables", t->unknown_tables);
    json_put_number(o, "unknown_bytes", t->unknown_bytes);
    json_put_number(o, "levels", t->params.levels);
    json_put_hex(o, "root", t->root.v);
    return o;
}

static struct json_object *name_json(struct pci_names *names, const struct inspect_device *device)
{
    struct json_object *o = json_object_new_object();
    struct pci_name name;
    pci_name_of(names, device, &name);
    pci_name_put(&name, o);
    return o;
}

static struct json_object *device_json(const struct inspection *in, struct pci_names *names,
                                       const struct inspect_requester *r)
{
    struct json_object *o = requester_json(r);
    const struct inspect_device *device = inspect_device_of(in, r->unit->segment, r->rid);
    char text[INSPECT_FINDING_TEXT];
    if (r->finding)
        json_put_text(o, "finding_text", inspect_finding_text(r->finding, text));
    json_put_bool(o, "vacant", r->vacant);
    json_put_bool(o, "translated_requests", r->flags & DAM_REQ_ATS);
    json_put_bool(o, "requests_without_pasid", requester_is_plain(r));
    json_put_number(o, "findings", findings_of(r));
    if (r->tree != NULL)
        json_object_object_add(o, "mapped", mapped_json(r->tree));
    if (r->stage == DAM_STAGE_NESTED)
        json_put_hex(o, "first_stage_root", r->first_root.v);
    if (device != NULL && r->span == 1)
        json_object_object_add(o, "device", name_json(names, device));
    return o;
}

void devices_json(struct json_out *out, const struct inspection *in)
{
    struct pci_names *names = pci_names_open(NULL);
    json_out_list(out, "devices");
    for (size_t i = 0; i < in->requester_count; i++)
        json_out_value(out, NULL, device_json(in, names, &in->requesters[i]));
    json_out_end(out);
    pci_names_close(names);
}

static int run(struct verb_call *call)
{
    if (!verb_no_arguments(call))
        return INSPECT_USAGE;
    return overview_show(call, true, devices_json, devices_print);
}

const struct verb verb_devices = {
    .name = "devices",
    .arguments = "",
    .summary = "List the requesters, and how much memory each of them could reach",
    .run = run,
};

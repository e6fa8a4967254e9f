// SPDX-License-Identifier: MIT
#include "inspect/vtd_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <iommu/vtd/scalable.h>
#include <iommu/vtd/tables.h>

#include "json.h"

#define PAGE_MASK (~(uint64_t)(DAM_PAGE_SIZE - 1))

static struct entry_field *add(struct entry_fields *out, const char *name)
{
    struct entry_field *field = &out->at[out->count < ENTRY_FIELDS ? out->count++ : ENTRY_FIELDS - 1];
    *field = (struct entry_field){.name = name};
    return field;
}

static void add_flag(struct entry_fields *out, const char *name, uint64_t value)
{
    struct entry_field *field = add(out, name);
    field->kind = FIELD_FLAG;
    field->value = value;
}

static void add_number(struct entry_fields *out, const char *name, uint64_t value)
{
    struct entry_field *field = add(out, name);
    field->kind = FIELD_NUMBER;
    field->value = value;
}

static void add_address(struct entry_fields *out, const char *name, uint64_t word)
{
    struct entry_field *field = add(out, name);
    field->kind = FIELD_ADDRESS;
    field->value = word & PAGE_MASK;
}

static void add_word(struct entry_fields *out, const char *name, const char *word)
{
    struct entry_field *field = add(out, name);
    field->kind = FIELD_WORD;
    field->word = word;
}

static bool is_scalable(const struct inspect_requester *r)
{
    return r->words > 2 || (r->flags & DAM_REQ_PASID) || strcmp(r->unit->mode, "scalable") == 0;
}

static void root_fields(const struct inspect_requester *r, const struct inspect_step *step,
                        struct entry_fields *out)
{
    // In scalable mode each half of a root entry is for half of the bus.
    unsigned half = is_scalable(r) && step->words > 1 && (r->rid & 0x80);
    add_flag(out, "present", dam_bits_get(step->raw[half], VTD_ROOT_P));
    add_address(out, "context table", step->raw[half]);
}

static void scalable_context_fields(const uint64_t raw[4], struct entry_fields *out)
{
    add_flag(out, "present", dam_bits_get(raw[0], VTD_SM_CTX_P));
    add_flag(out, "faults off", dam_bits_get(raw[0], VTD_SM_CTX_FPD));
    add_flag(out, "device TLB", dam_bits_get(raw[0], VTD_SM_CTX_DTE));
    add_flag(out, "requests with PASID", dam_bits_get(raw[0], VTD_SM_CTX_PASIDE));
    add_flag(out, "page requests", dam_bits_get(raw[0], VTD_SM_CTX_PRE));
    add_address(out, "PASID directory", raw[0]);
    add_number(out, "directory entries", 1ull << (dam_bits_get(raw[0], VTD_SM_CTX_PDTS) + 7));
    add_number(out, "PASID of requests without", dam_bits_get(raw[1], VTD_SM_CTX_RID_PASID));
}

void vtd_step_fields(const struct inspect_requester *r, const struct inspect_step *step,
                     struct entry_fields *out)
{
    out->count = 0;
    if (strcmp(step->what, "root entry") == 0) {
        root_fields(r, step, out);
    } else if (strcmp(step->what, "context entry") == 0) {
        scalable_context_fields(step->raw, out);
    } else {
        add_flag(out, "present", dam_bits_get(step->raw[0], VTD_PASID_DIR_P));
        add_flag(out, "faults off", dam_bits_get(step->raw[0], VTD_PASID_DIR_FPD));
        add_address(out, "PASID table", step->raw[0]);
    }
}

static void legacy_fields(const uint64_t *raw, struct entry_fields *out)
{
    static const char *const types[] = {"second stage", "second stage, device TLB", "pass-through",
                                        "reserved"};
    add_flag(out, "present", dam_bits_get(raw[0], VTD_CTX_P));
    add_flag(out, "faults off", dam_bits_get(raw[0], VTD_CTX_FPD));
    add_word(out, "type", types[dam_bits_get(raw[0], VTD_CTX_T)]);
    if (dam_bits_get(raw[0], VTD_CTX_T) != VTD_T_PASSTHROUGH)
        add_address(out, "page table", raw[0]);
    add_number(out, "levels", dam_bits_get(raw[1], VTD_CTX_AW) + 2);
    add_number(out, "domain", dam_bits_get(raw[1], VTD_CTX_DID));
}

static void pasid_fields(const uint64_t *raw, struct entry_fields *out)
{
    static const char *const types[] = {"reserved",     "first stage", "second stage", "nested",
                                        "pass-through", "reserved",    "reserved",     "reserved"};
    uint64_t type = dam_bits_get(raw[0], VTD_PASID_PGTT);
    add_flag(out, "present", dam_bits_get(raw[0], VTD_PASID_P));
    add_flag(out, "faults off", dam_bits_get(raw[0], VTD_PASID_FPD));
    add_word(out, "type", types[type]);
    add_number(out, "domain", dam_bits_get(raw[1], VTD_PASID_DID));
    if (type == DAM_STAGE_SECOND || type == DAM_STAGE_NESTED) {
        add_address(out, "second-stage table", raw[0]);
        add_number(out, "second-stage levels", dam_bits_get(raw[0], VTD_PASID_AW) + 2);
        add_flag(out, "accessed and dirty bits", dam_bits_get(raw[0], VTD_PASID_SSADE));
    }
    if (type == DAM_STAGE_FIRST || type == DAM_STAGE_NESTED) {
        add_address(out, "first-stage table", raw[2]);
        add_number(out, "first-stage levels", dam_bits_get(raw[2], VTD_PASID_FSPM) + 4);
        add_flag(out, "supervisor requests", dam_bits_get(raw[2], VTD_PASID_SRE));
    }
    add_flag(out, "walks snoop", dam_bits_get(raw[1], VTD_PASID_PWSNP));
}

void vtd_entry_fields(const struct inspect_requester *r, struct entry_fields *out)
{
    out->count = 0;
    if (r->words == VTD_PASID_WORDS)
        pasid_fields(r->raw, out);
    else if (r->words == VTD_SM_CTX_WORDS)
        scalable_context_fields(r->raw, out);
    else if (r->words == 2)
        legacy_fields(r->raw, out);
}

const char *vtd_entry_name(const struct inspect_requester *r)
{
    return r->words == VTD_PASID_WORDS ? "PASID-table entry" : "context entry";
}

static int field_text(const struct entry_field *field, char *out, size_t size)
{
    switch (field->kind) {
    case FIELD_FLAG:
        return snprintf(out, size, "%s", field->name);
    case FIELD_NUMBER:
        return snprintf(out, size, "%s %" PRIu64, field->name, field->value);
    case FIELD_ADDRESS:
        return snprintf(out, size, "%s 0x%" PRIx64, field->name, field->value);
    case FIELD_WORD:
        break;
    }
    return snprintf(out, size, "%s", field->word);
}

const char *entry_fields_text(const struct entry_fields *fields, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < fields->count && used + 3 < size; i++) {
        const struct entry_field *field = &fields->at[i];
        if (field->kind == FIELD_FLAG && field->value == 0) {
            if (strcmp(field->name, "present") == 0)
                return strcpy(out, "not present");
            continue;
        }
        used += (size_t)snprintf(out + used, size - used, "%s", used != 0 ? ", " : "");
        used += (size_t)field_text(field, out + used, size - used);
    }
    return out;
}

struct json_object *entry_fields_json(const struct entry_fields *fields)
{
    struct json_object *o = json_object_new_object();
    for (unsigned i = 0; i < fields->count; i++) {
        const struct entry_field *field = &fields->at[i];
        char name[48];
        snprintf(name, sizeof name, "%s", field->name);
        for (char *c = name; *c != '\0'; c++)
            if (*c == ' ' || *c == '-')
                *c = '_';
            else if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        if (field->kind == FIELD_FLAG)
            json_put_bool(o, name, field->value != 0);
        else if (field->kind == FIELD_NUMBER)
            json_put_number(o, name, field->value);
        else if (field->kind == FIELD_ADDRESS)
            json_put_hex(o, name, field->value);
        else
            json_put_text(o, name, field->word);
    }
    return o;
}

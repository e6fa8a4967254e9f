// SPDX-License-Identifier: MIT
#include "dmar_view.h"

#include <string.h>

#include "acpi_header.h"
#include "dmar_words.h"
#include "json.h"

static struct json_object *scope_json(const struct dmar_scope *scope)
{
    struct json_object *o = json_object_new_object();
    struct json_object *path = json_object_new_array();
    char text[DMAR_PATH_TEXT];
    json_put_text(o, "type", dmar_scope_word(scope->type));
    json_put_number(o, "type_id", scope->type);
    json_put_number(o, "flags", scope->flags);
    json_put_number(o, "enumeration_id", scope->enumeration_id);
    json_put_number(o, "start_bus", scope->start_bus);
    for (unsigned i = 0; i < scope->path_length; i++) {
        struct json_object *step = json_object_new_object();
        json_put_number(step, "device", scope->path[i].device);
        json_put_number(step, "function", scope->path[i].function);
        json_object_array_add(path, step);
    }
    json_object_object_add(o, "path", path);
    dmar_path_text(scope, text);
    json_put_text(o, "device_path", text);
    return o;
}

static void put_scopes(struct json_object *o, const struct dmar_structure *structure)
{
    struct json_object *scopes = json_object_new_array();
    struct dmar_scope scope;
    uint16_t at = 0;
    dam_err err;
    while ((err = dmar_next_scope(structure, &at, &scope)) == DAM_OK || err == DAM_E_RANGE) {
        struct json_object *entry = scope_json(&scope);
        if (err == DAM_E_RANGE)
            json_put_bool(entry, "path_refused", true);
        json_object_array_add(scopes, entry);
    }
    json_object_object_add(o, "scopes", scopes);
}

static void put_flags(struct json_object *o, const struct dmar_structure *s, const char *key)
{
    json_put_number(o, "flags", s->flags);
    json_put_bool(o, key, s->flags & 1);
}

static struct json_object *structure_json(const struct dmar_structure *s)
{
    struct json_object *o = json_object_new_object();
    json_put_text(o, "type", dmar_type_word(s->type));
    json_put_number(o, "type_id", s->type);
    json_put_number(o, "length", s->length);
    json_put_number(o, "offset", s->offset);
    if (s->type == DMAR_DRHD || s->type == DMAR_RMRR || s->type == DMAR_ATSR || s->type == DMAR_SATC ||
        s->type == DMAR_SIDP)
        json_put_number(o, "segment", s->segment);
    switch (s->type) {
    case DMAR_DRHD:
        put_flags(o, s, "include_pci_all");
        json_put_hex(o, "base", s->base);
        json_put_number(o, "registers_size", dmar_registers_size(s));
        break;
    case DMAR_RMRR:
        json_put_hex(o, "base", s->base);
        json_put_hex(o, "limit", s->limit);
        break;
    case DMAR_ATSR:
        put_flags(o, s, "all_ports");
        break;
    case DMAR_SATC:
        put_flags(o, s, "atc_required");
        break;
    case DMAR_SIDP:
        break;
    case DMAR_RHSA:
        json_put_hex(o, "register_base", s->register_base);
        json_put_number(o, "proximity_domain", s->proximity_domain);
        return o;
    case DMAR_ANDD: {
        char name[256];
        dmar_name_text(s, name, sizeof name);
        json_put_number(o, "device_number", s->device_number);
        json_put_text(o, "name", s->name ? name : "");
        return o;
    }
    default:
        return o;
    }
    put_scopes(o, s);
    return o;
}

struct json_object *dmar_view_json(const struct dmar_table *table)
{
    struct json_object *o = json_object_new_object();
    struct json_object *names = json_object_new_array();
    struct json_object *structures = json_object_new_array();
    acpi_json_header(o, table->bytes, table->checksum_ok);
    json_put_number(o, "host_address_width", table->host_address_width);
    json_put_number(o, "flags", table->flags);
    for (unsigned bit = 0; dmar_table_flag_word(bit) != NULL; bit++)
        if (table->flags >> bit & 1)
            json_object_array_add(names, json_object_new_string(dmar_table_flag_word(bit)));
    json_object_object_add(o, "flag_names", names);
    struct dmar_structure structure;
    uint32_t cursor = 0;
    while (dmar_next(table, &cursor, &structure) == DAM_OK)
        json_object_array_add(structures, structure_json(&structure));
    json_object_object_add(o, "structures", structures);
    return o;
}

// SPDX-License-Identifier: MIT
#include "ivrs_view.h"

#include "acpi_header.h"
#include "ivrs_words.h"
#include "json.h"

static bool goes_on(dam_err err)
{
    return err == DAM_OK || err == DAM_E_RANGE || err == DAM_E_BROKEN;
}

static void put_device(struct json_object *o, const char *key, uint16_t device)
{
    char text[IVRS_DEVICE_TEXT];
    ivrs_device_text(device, text);
    json_put_text(o, key, text);
}

static void put_acpi_device(struct json_object *o, const struct ivrs_entry *e)
{
    char text[IVRS_UID_TEXT];
    ivrs_name_text(e->hid, text);
    json_put_text(o, "hid", text);
    ivrs_name_text(e->cid, text);
    json_put_text(o, "cid", text);
    json_put_number(o, "uid_form", e->uid_form);
    ivrs_uid_text(e, text);
    json_put_text(o, "uid", text);
}

static struct json_object *entry_json(const struct ivrs_entry *e, dam_err err)
{
    struct json_object *o = json_object_new_object();
    json_put_text(o, "type", ivrs_entry_word(e));
    json_put_number(o, "type_id", e->type);
    json_put_number(o, "offset", e->offset);
    json_put_number(o, "length", e->length);
    json_put_number(o, "setting", e->setting);
    if (e->covers || err != DAM_OK)
        put_device(o, "first", e->first);
    if (e->covers || err == DAM_E_RANGE)
        put_device(o, "last", e->last);
    if (e->has_alias)
        put_device(o, "alias", e->alias);
    if (e->type == IVRS_EXT_SELECT || e->type == IVRS_EXT_RANGE)
        json_put_hex(o, "extended", e->extended);
    if (e->type == IVRS_SPECIAL) {
        json_put_number(o, "handle", e->handle);
        json_put_number(o, "variety", e->variety);
    }
    if (e->hid)
        put_acpi_device(o, e);
    if (err != DAM_OK)
        json_put_text(o, "refused", err == DAM_E_BROKEN ? "a range without end" : "not valid");
    return o;
}

static void put_ivhd(struct json_object *o, const struct ivrs_table *table, const struct ivrs_block *b)
{
    struct json_object *entries = json_object_new_array();
    struct ivrs_entry entry;
    uint16_t at = 0;
    dam_err err;
    json_put_number(o, "segment", b->segment);
    put_device(o, "device", b->device);
    json_put_number(o, "capability", b->capability);
    json_put_hex(o, "base", b->base);
    json_put_number(o, "info", b->info);
    json_put_hex(o, b->type == IVRS_IVHD_10 ? "features" : "attributes", b->attributes);
    if (b->type != IVRS_IVHD_10) {
        json_put_hex(o, "efr", b->efr);
        json_put_hex(o, "efr2", b->efr2);
    }
    json_put_bool(o, "counts", ivrs_counts(table, b));
    while (goes_on(err = ivrs_next_entry(b, &at, &entry)))
        json_object_array_add(entries, entry_json(&entry, err));
    json_object_object_add(o, "entries", entries);
}

static void put_ivmd(struct json_object *o, const struct ivrs_block *b, dam_err err)
{
    json_put_number(o, "segment", b->segment);
    put_device(o, "first", b->first);
    put_device(o, "last", b->last);
    json_put_hex(o, "start", b->start);
    json_put_number(o, "size", b->size);
    if (err != DAM_OK)
        json_put_text(o, "refused", "not valid");
}

static struct json_object *block_json(const struct ivrs_table *table, const struct ivrs_block *b, dam_err err)
{
    struct json_object *o = json_object_new_object();
    struct json_object *names = json_object_new_array();
    json_put_text(o, "type", ivrs_block_word(b));
    json_put_number(o, "type_id", b->type);
    json_put_number(o, "length", b->length);
    json_put_number(o, "offset", b->offset);
    json_put_number(o, "flags", b->flags);
    for (unsigned bit = 0; bit < 8; bit++)
        if (b->flags >> bit & 1 && ivrs_flag_word(b, bit))
            json_object_array_add(names, json_object_new_string(ivrs_flag_word(b, bit)));
    json_object_object_add(o, "flag_names", names);
    if (ivrs_is_ivhd(b))
        put_ivhd(o, table, b);
    else if (ivrs_is_ivmd(b))
        put_ivmd(o, b, err);
    return o;
}

struct json_object *ivrs_view_json(const struct ivrs_table *table)
{
    struct json_object *o = json_object_new_object();
    struct json_object *blocks = json_object_new_array();
    struct ivrs_block block;
    uint32_t cursor = 0;
    dam_err err;
    acpi_json_header(o, table->bytes, table->checksum_ok);
    json_put_hex(o, "info", table->info);
    json_put_number(o, "physical_bits", dam_bits_get(table->info, IVRS_INFO_PA_SIZE));
    json_put_number(o, "virtual_bits", dam_bits_get(table->info, IVRS_INFO_VA_SIZE));
    json_put_bool(o, "efr_supported", dam_bits_get(table->info, IVRS_INFO_EFR));
    json_put_bool(o, "dma_remap", dam_bits_get(table->info, IVRS_INFO_DMA_REMAP));
    json_put_bool(o, "ats_range_reserved", dam_bits_get(table->info, IVRS_INFO_ATS_RANGE));
    while (goes_on(err = ivrs_next(table, &cursor, &block)))
        json_object_array_add(blocks, block_json(table, &block, err));
    json_object_object_add(o, "blocks", blocks);
    return o;
}

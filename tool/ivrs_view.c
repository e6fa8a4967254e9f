// SPDX-License-Identifier: MIT
#include "ivrs_view.h"

#include <inttypes.h>

#include "acpi_header.h"
#include "ivrs_words.h"

static bool goes_on(dam_err err)
{
    return err == DAM_OK || err == DAM_E_RANGE || err == DAM_E_BROKEN;
}

enum tool_status ivrs_view_open(const uint8_t *bytes, size_t size, struct ivrs_table *table,
                                struct tool_error *error)
{
    dam_err err = ivrs_open(bytes, size, table);
    if (err != DAM_OK)
        return acpi_refuse(bytes, size, "an IVRS table", err, error);
    struct ivrs_block block;
    struct ivrs_entry entry;
    uint32_t cursor = 0;
    while (goes_on(err = ivrs_next(table, &cursor, &block))) {
        uint16_t at = 0;
        do
            err = ivrs_next_entry(&block, &at, &entry);
        while (goes_on(err));
        if (err != DAM_E_ABSENT)
            return tool_fail(error, TOOL_BAD_INPUT,
                             "%s block at %" PRIX32
                             "h: wrong length in its device entry (type %02Xh) at +%" PRIX32 "h",
                             ivrs_block_word(&block), block.offset, entry.type, entry.offset);
    }
    if (err != DAM_E_ABSENT)
        return tool_fail(error, TOOL_BAD_INPUT, "%s block (type %02Xh) at %" PRIX32 "h: wrong length %u",
                         ivrs_block_word(&block), block.type, block.offset, block.length);
    return TOOL_OK;
}

static void print_acpi_device(FILE *stream, const struct ivrs_entry *e)
{
    char hid[IVRS_NAME_TEXT], cid[IVRS_NAME_TEXT], uid[IVRS_UID_TEXT];
    ivrs_name_text(e->hid, hid);
    ivrs_name_text(e->cid, cid);
    ivrs_uid_text(e, uid);
    fprintf(stream, ", %s", hid);
    if (cid[0])
        fprintf(stream, ", compatible %s", cid);
    if (e->uid_length)
        fprintf(stream, ", unique id %s", uid);
}

static void print_entry(FILE *stream, const struct ivrs_entry *e, dam_err err)
{
    char span[IVRS_SPAN_TEXT], device[IVRS_DEVICE_TEXT], setting[IVRS_FLAGS_TEXT];
    fprintf(stream, "%-14s ", ivrs_entry_word(e));
    if (e->type == IVRS_ALL || (!e->covers && err == DAM_OK))
        fprintf(stream, "%s", e->type == IVRS_ALL ? "requesters" : "skipped");
    else {
        ivrs_span_text(e->first, e->last, span);
        fputs(span, stream);
    }
    if (e->has_alias) {
        ivrs_device_text(e->alias, device);
        fprintf(stream, " as %s", device);
    }
    if (e->type == IVRS_SPECIAL)
        fprintf(stream, ", id %u", e->handle);
    if (e->type == IVRS_SPECIAL && e->variety != IVRS_VARIETY_IOAPIC && e->variety != IVRS_VARIETY_HPET)
        fprintf(stream, ", variety %u", e->variety);
    if (e->type == IVRS_EXT_SELECT || e->type == IVRS_EXT_RANGE)
        fprintf(stream, ", extended %08" PRIX32 "h%s", e->extended,
                dam_bits_get(e->extended, IVRS_EXT_NO_ATS) ? ": ATSDisabled" : "");
    if (e->hid)
        print_acpi_device(stream, e);
    ivrs_setting_text(e->setting, setting);
    if (e->setting && e->type != IVRS_RANGE_END)
        fprintf(stream, ", setting %02Xh%s", e->setting, setting);
    if (!e->covers && err == DAM_OK)
        fprintf(stream, ", type %02Xh, %u bytes", e->type, e->length);
    if (err != DAM_OK)
        fprintf(stream, " (%s)", err == DAM_E_BROKEN ? "a range without end" : "not valid, ignored");
    fputc('\n', stream);
}

static void print_entries(FILE *stream, const struct ivrs_block *block, const char *indent)
{
    struct ivrs_entry entry;
    uint16_t at = 0;
    dam_err err;
    while (goes_on(err = ivrs_next_entry(block, &at, &entry))) {
        if (entry.type == IVRS_PAD_4 || entry.type == IVRS_PAD_8)
            continue;
        fprintf(stream, "%s    ", indent);
        print_entry(stream, &entry, err);
    }
}

static void print_ivhd(FILE *stream, const struct ivrs_table *table, const struct ivrs_block *b,
                       const char *indent)
{
    char device[IVRS_DEVICE_TEXT], flags[IVRS_FLAGS_TEXT];
    ivrs_device_text(b->device, device);
    ivrs_flags_text(b, flags);
    fprintf(stream, "IVHD %02Xh  segment %u, IOMMU %s, capability at %02Xh, registers at 0x%" PRIx64 "%s\n",
            b->type, b->segment, device, b->capability, b->base,
            ivrs_counts(table, b) ? "" : ", ignored: a newer type is there");
    fprintf(stream, "%s            flags %02Xh%s, info %04Xh, %s %08" PRIX32 "h", indent, b->flags, flags,
            b->info, b->type == IVRS_IVHD_10 ? "features" : "attributes", b->attributes);
    if (b->type != IVRS_IVHD_10)
        fprintf(stream, ", EFR 0x%" PRIx64 ", EFR2 0x%" PRIx64, b->efr, b->efr2);
    fputc('\n', stream);
    print_entries(stream, b, indent);
}

static void print_ivmd(FILE *stream, const struct ivrs_block *b, dam_err err)
{
    char span[IVRS_SPAN_TEXT], flags[IVRS_FLAGS_TEXT];
    ivrs_span_text(b->first, b->last, span);
    ivrs_flags_text(b, flags);
    fprintf(stream, "IVMD %02Xh  segment %u, %s, 0x%" PRIx64 ", %" PRIu64 " bytes, flags %02Xh%s%s\n",
            b->type, b->segment, b->type == IVRS_IVMD_ALL ? "all requesters" : span, b->start, b->size,
            b->flags, flags, err == DAM_OK ? "" : " (not valid, ignored)");
}

void ivrs_view_print(FILE *stream, const struct ivrs_table *table, const char *indent)
{
    struct ivrs_block block;
    uint32_t cursor = 0;
    dam_err err;
    acpi_print_header(stream, table->bytes, table->checksum_ok, indent);
    fprintf(stream, "%s      info %08" PRIX32 "h: physical addresses %u bits, virtual %u%s%s%s\n", indent,
            table->info, (unsigned)dam_bits_get(table->info, IVRS_INFO_PA_SIZE),
            (unsigned)dam_bits_get(table->info, IVRS_INFO_VA_SIZE),
            dam_bits_get(table->info, IVRS_INFO_EFR) ? ", EFRSup" : "",
            dam_bits_get(table->info, IVRS_INFO_DMA_REMAP) ? ", DMARemap" : "",
            dam_bits_get(table->info, IVRS_INFO_ATS_RANGE) ? ", HtAtsResv" : "");
    while (goes_on(err = ivrs_next(table, &cursor, &block))) {
        fprintf(stream, "%s  ", indent);
        if (ivrs_is_ivhd(&block))
            print_ivhd(stream, table, &block, indent);
        else if (ivrs_is_ivmd(&block))
            print_ivmd(stream, &block, err);
        else
            fprintf(stream, "unknown   type %02Xh, %u bytes at %" PRIX32 "h, skipped\n", block.type,
                    block.length, block.offset);
    }
}

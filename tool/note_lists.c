// SPDX-License-Identifier: MIT
#include "note_view.h"

#include <inttypes.h>
#include <string.h>

#include <cofferdam/findings.h>

#include "acpi_header.h"
#include "acpi_view.h"
#include "names.h"

void rid_text(uint16_t segment, uint16_t rid, char out[RID_TEXT])
{
    snprintf(out, RID_TEXT, "%04x:%02x:%02x.%x", segment, rid >> 8, rid >> 3 & 31, rid & 7);
}

// "rmrr cut": what is special about a requester; one word a flag.
static void flag_words(uint16_t flags, char *out, size_t size)
{
    static const struct {
        uint16_t flag;
        const char *word;
    } words[] = {
        {DAM_REQ_QUARANTINED, "quarantined"}, {DAM_REQ_RMRR, "rmrr"},
        {DAM_REQ_CHOSEN, "chosen"},           {DAM_REQ_CUT, "cut"},
        {DAM_REQ_NEW_DID, "new-did"},         {DAM_REQ_ATS, "ats-refused"},
        {DAM_REQ_CRASH, "crash-window"},      {DAM_REQ_RAISED, "raised"},
        {DAM_REQ_ATS_OFF, "ats-off"},         {DAM_REQ_OTHERS, "others"},
    };
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (flags & words[i].flag && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", words[i].word);
}

// "0000:00:03.0", or "0000:00:03.0@2a" with a PASID other than that of requests without one.
static void requester_text(const struct dam_note_requester *r, char *out, size_t size)
{
    char name[RID_TEXT];
    rid_text(r->segment, r->rid, name);
    if (r->flags & DAM_REQ_OTHERS)
        snprintf(out, size, "(all others)");
    else if ((r->flags & DAM_REQ_PASID) && !(r->flags & DAM_REQ_RID_PASID))
        snprintf(out, size, "%s@%" PRIx32, name, r->pasid);
    else
        snprintf(out, size, "%s", name);
}

static void arrow(char *out, size_t size, uint64_t before, uint64_t after)
{
    snprintf(out, size, "%" PRIu64 " -> %" PRIu64, before, after);
}

void note_print_requesters(FILE *stream, const struct note *note)
{
    if (note->requesters.count == 0)
        return;
    fprintf(stream, "\nRequesters (4-KiB pages, before -> after; a domain's pages are counted for each of "
                    "its requesters)\n");
    fprintf(stream, "  %-18s%5s  %-9s%-15s%-10s%-20s%-20s%8s  %-12s%s\n", "requester", "unit", "policy",
            "was", "domain", "readable", "writable", "cut", "tables", "remarks");
    for (uint32_t i = 0; i < note->requesters.count; i++) {
        struct dam_note_requester r;
        char name[RID_TEXT + 9], domain[48], readable[48], writable[48], tables[48], flags[96];
        note_requester_at(note, i, &r);
        requester_text(&r, name, sizeof name);
        arrow(domain, sizeof domain, r.old_did, r.new_did);
        arrow(readable, sizeof readable, r.old_readable, r.new_readable);
        arrow(writable, sizeof writable, r.old_writable, r.new_writable);
        arrow(tables, sizeof tables, r.old_tables, r.new_tables);
        flag_words(r.flags, flags, sizeof flags);
        fprintf(stream, "  %-18s%5u  %-9s%-15s%-10s%-20s%-20s%8" PRIu64 "  %s%s%s\n", name, r.unit,
                name_policy(r.policy), name_old_kind(r.old_kind), domain, readable, writable, r.cut, tables,
                flags[0] ? "  " : "", flags);
    }
    if (note->summary.requester_total > note->requesters.count)
        fprintf(stream, "  and %" PRIu32 " more that did not fit into the note\n",
                note->summary.requester_total - note->requesters.count);
}

// The word that a finding about the command line is about, counted from 1; "" when it was not kept.
static void word_of(const struct note *note, uint16_t number, char *out, size_t size)
{
    uint32_t cursor = 0;
    out[0] = '\0';
    while (number-- > 0)
        if (!note_next_word(note, &cursor, out, size)) {
            out[0] = '\0';
            return;
        }
}

static void print_details(FILE *stream, const struct dam_finding *f)
{
    fprintf(stream, "           address 0x%" PRIx64 ", raw 0x%" PRIx64, f->address, f->raw);
    if (f->level != 255)
        fprintf(stream, ", level %u, index %u", f->level, f->index);
    if (f->iova != 0)
        fprintf(stream, ", iova 0x%" PRIx64, f->iova);
    if (f->repeats != 0)
        fprintf(stream, "; %" PRIu32 " more like it", f->repeats);
    fputc('\n', stream);
}

static void print_finding(FILE *stream, const struct note *note, const struct dam_finding *f)
{
    fprintf(stream, "  %-8s ", name_severity(f->severity));
    if (f->unit != 0xFFFF)
        fprintf(stream, "unit %u, ", f->unit);
    if (note_finding_has_requester(f->code)) {
        char name[RID_TEXT];
        rid_text(f->segment, f->rid, name);
        fprintf(stream, "%s, ", name);
    } else if (note_finding_has_bus(f->code)) {
        fprintf(stream, "bus %02x, ", f->rid >> 8);
    }
    fprintf(stream, "finding %u: %s", f->code, name_finding(f->code));
    if (f->code == DAM_F_CMDLINE_WORD) {
        char word[128];
        word_of(note, f->index, word, sizeof word);
        fprintf(stream, ": %s", word);
    }
    fputc('\n', stream);
    if (f->address != 0 || f->raw != 0 || f->level != 255 || f->repeats != 0)
        print_details(stream, f);
}

void note_print_findings(FILE *stream, const struct note *note)
{
    fprintf(stream, "\n%s\n", note->findings.count ? "Odd" : "Nothing odd was found.");
    for (uint32_t i = 0; i < note->findings.count; i++) {
        struct dam_finding finding;
        note_finding_at(note, i, &finding);
        print_finding(stream, note, &finding);
    }
}

static void print_table(FILE *stream, const struct note_section *section)
{
    struct acpi_view view;
    struct tool_error error;
    char signature[5] = "?";
    if (section->count >= 4)
        acpi_text(section->bytes, 4, signature);
    if (acpi_view_open(section->bytes, section->count, &view, &error) == TOOL_OK)
        acpi_view_print(stream, &view, "  ");
    else if (view.kind == NULL)
        fprintf(stream, "  %s  %" PRIu32 " bytes\n", signature, section->count);
    else
        fprintf(stream, "  %s  %" PRIu32 " bytes: %s\n", signature, section->count, error.text);
}

void note_print_acpi(FILE *stream, const struct note *note)
{
    if (note->acpi_table_count != 0)
        fprintf(stream, "\nACPI tables\n");
    for (size_t i = 0; i < note->acpi_table_count; i++)
        print_table(stream, &note->acpi_tables[i]);
}

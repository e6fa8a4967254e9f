// SPDX-License-Identifier: MIT
#include "note_view.h"

#include <inttypes.h>
#include <string.h>

#include <cofferdam/types.h>

#include "names.h"
#include "note_registers.h"

// "2 VT-d units"; of units that are not of one kind, or of which nothing is told: "2 IOMMUs".
static void print_unit_count(FILE *stream, const struct note *note)
{
    uint32_t total = note->summary.unit_total;
    struct dam_note_unit unit, first = {0};
    bool alike = note->units.count != 0;
    for (uint32_t i = 0; i < note->units.count; i++) {
        note_unit_at(note, i, &unit);
        if (i == 0)
            first = unit;
        alike &= unit.kind == first.kind;
    }
    if (alike)
        fprintf(stream, "%" PRIu32 " %s unit%s", total, note_kind_of(first.kind)->name,
                total == 1 ? "" : "s");
    else
        fprintf(stream, "%" PRIu32 " IOMMU%s", total, total == 1 ? "" : "s");
}

static void print_verdict(FILE *stream, const struct note *note)
{
    const struct dam_note_summary *s = &note->summary;
    const char *how = "taken over";
    if (DAM_STOP_IS_UNTOUCHED(s->stop))
        how = "handed over UNTOUCHED";
    else if (s->stop != DAM_STOP_NONE)
        how = "taken over IN PART";
    fprintf(stream, "Verdict        %s", how);
    if (s->stop != DAM_STOP_NONE)
        fprintf(stream, ": stop code %" PRIu32 ", %s", s->stop, name_stop(s->stop));
    fprintf(stream, "\nPolicy         %s\n", name_policy(s->policy));
    fprintf(stream, "Stage          cofferdam %s; last phase begun: %s\n", s->version, name_phase(s->phase));
    fprintf(stream, "Found          ");
    print_unit_count(stream, note);
    fprintf(stream, ", %" PRIu32 " requester%s, %" PRIu32 " finding%s\n", s->requester_total,
            s->requester_total == 1 ? "" : "s", s->findings_total, s->findings_total == 1 ? "" : "s");
}

// The note keeps the time at the end of each phase; people want to know how long each one took.
static void print_times(FILE *stream, const struct dam_note_summary *s)
{
    const struct {
        const char *name;
        uint32_t end;
    } phases[] = {
        {"discover", s->us_discover}, {"audit", s->us_audit},   {"plan", s->us_plan},
        {"commit", s->us_commit},     {"verify", s->us_verify}, {"report", s->us_report},
    };
    uint32_t before = 0;
    const char *separator = "Times          ";
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        if (phases[i].end == 0)
            continue;
        uint32_t took = phases[i].end >= before ? phases[i].end - before : 0;
        fprintf(stream, "%s%s %" PRIu32 ".%03" PRIu32 " ms", separator, phases[i].name, took / 1000,
                took % 1000);
        before = phases[i].end;
        separator = ", ";
    }
    if (before == 0)
        fprintf(stream, "Times          none taken\n");
    else
        fprintf(stream, "; %" PRIu32 ".%03" PRIu32 " ms in all\n", before / 1000, before % 1000);
}

static void print_memory(FILE *stream, const struct note *note)
{
    const struct dam_note_summary *s = &note->summary;
    fprintf(stream,
            "Memory         image at 0x%" PRIx64 "; pool at 0x%" PRIx64 ", %" PRIu64 " of %" PRIu64
            " KiB used\n",
            s->image_start, s->pool_start, s->pool_used >> 10, s->pool_size >> 10);
    fprintf(stream, "Old tables     %" PRIu64 " table pages read\n", s->tables_read);
    if (s->scratch_page != 0)
        fprintf(stream, "Scratch page   0x%" PRIx64 "\n", s->scratch_page);
    for (uint32_t i = 0; i < note->keep_out.count; i++) {
        struct dam_note_range range;
        note_range_at(note, i, &range);
        fprintf(stream, "%-15s0x%" PRIx64 " to 0x%" PRIx64 "\n", i == 0 ? "Out of reach" : "", range.start,
                range.end ? range.end - 1 : 0);
    }
}

static void print_troubles(FILE *stream, const struct note *note)
{
    const struct dam_note_summary *s = &note->summary;
    uint32_t lost = note_findings_lost(note);
    if (s->flags & DAM_SUMMARY_EXCEPTION)
        fprintf(stream,
                "Exception      vector %" PRIu32 ", error %" PRIx64 "h, rip 0x%" PRIx64 ", cr2 0x%" PRIx64
                "\n",
                s->exception_vector, s->exception_error, s->exception_rip, s->exception_cr2);
    if (s->flags & DAM_SUMMARY_NMI)
        fprintf(stream, "NMI            %" PRIu32 " in the stage\n", s->nmi_count);
    if (s->flags & DAM_SUMMARY_TRUNCATED)
        fprintf(stream, "Cut            not every requester fitted into the note\n");
    if (lost != 0)
        fprintf(stream, "Cut            %" PRIu32 " finding%s did not fit into the note\n", lost,
                lost == 1 ? "" : "s");
}

static void print_command_line(FILE *stream, const struct note *note)
{
    char word[256];
    uint32_t cursor = 0;
    const char *label = "Command line";
    while (note_next_word(note, &cursor, word, sizeof word)) {
        fprintf(stream, "%-15s%s\n", label, word);
        label = "";
    }
    if (note->summary.bad_words != 0)
        fprintf(stream, "%-15s%" PRIu32 " not understood\n", label, note->summary.bad_words);
}

static void print_registers(FILE *stream, const struct dam_note_unit *u)
{
    const struct note_register *r;
    fprintf(stream, "\n    %-14s%-20s%s\n", "", "before", "after");
    for (size_t cursor = 0; (r = note_register_next(u->kind, &cursor)) != NULL;) {
        int digits = (int)r->bits / 4;
        uint64_t before = note_register_value(&u->before, r), after = note_register_value(&u->after, r);
        fprintf(stream, "    %-14s%0*" PRIx64 "%*s%0*" PRIx64 "%s\n", r->name, digits, before, 20 - digits,
                "", digits, after, before == after ? "" : "  changed");
    }
}

static void print_switches(FILE *stream, const char *when, uint32_t kind, const union dam_unit_registers *r)
{
    const struct note_switch *s;
    const char *separator = "";
    fprintf(stream, "    %s: ", when);
    for (size_t cursor = 0; (s = note_switch_next(kind, &cursor)) != NULL; separator = ", ")
        fprintf(stream, "%s%s %s", separator, s->what,
                note_switch_is_on(r, s) ? "on"
                : s->all                ? "OFF"
                                        : "off");
    fputc('\n', stream);
}

static void print_unit(FILE *stream, uint32_t i, const struct dam_note_unit *u)
{
    const struct note_kind *kind = note_kind_of(u->kind);
    fprintf(stream, "  unit %" PRIu32 "  %s, segment %u, registers at 0x%" PRIx64, i, kind->name, u->segment,
            u->register_base);
    if (u->ver != 0)
        fprintf(stream, ", version %" PRIu32 ".%" PRIu32, u->ver >> 4 & 15, u->ver & 15);
    fprintf(stream, ", %s %016" PRIx64 ", %s %016" PRIx64, kind->cap, u->cap, kind->ecap, u->ecap);
    if (kind->flag != NULL && u->drhd_flags & 1)
        fprintf(stream, ", %s", kind->flag);
    fprintf(stream, "\n    %s; %" PRIu32 " requester%s", name_unit_status(u->status), u->requesters,
            u->requesters == 1 ? "" : "s");
    if (u->error != DAM_OK)
        fprintf(stream, "; error: %s", name_error(u->error));
    if (u->us_translation_switch != 0)
        fprintf(stream, "; switched in %" PRIu32 " us", u->us_translation_switch);
    if (u->irq_entries != 0)
        fprintf(stream, "; %" PRIu32 " interrupt entries, %" PRIu32 " silenced", u->irq_entries,
                u->irq_silenced);
    if (kind->kind != u->kind) { // of a newer writer's
        fputc('\n', stream);
        return;
    }
    print_registers(stream, u);
    print_switches(stream, "before", u->kind, &u->before);
    print_switches(stream, "after", u->kind, &u->after);
}

void note_print(FILE *stream, const struct note *note)
{
    print_verdict(stream, note);
    print_times(stream, &note->summary);
    print_memory(stream, note);
    print_troubles(stream, note);
    print_command_line(stream, note);
    if (note->units.count != 0)
        fprintf(stream, "\nUnits\n");
    for (uint32_t i = 0; i < note->units.count; i++) {
        struct dam_note_unit unit;
        note_unit_at(note, i, &unit);
        print_unit(stream, i, &unit);
    }
    note_print_requesters(stream, note);
    note_print_findings(stream, note);
    note_print_acpi(stream, note);
    if (note->unknown_sections != 0)
        fprintf(stream, "\n%" PRIu32 " section%s of a kind that this tool does not know: skipped\n",
                note->unknown_sections, note->unknown_sections == 1 ? "" : "s");
}

// SPDX-License-Identifier: MIT
// The note, and what of it is told on the console.
#include <string.h>

#include "pure/elfcore.h"
#include "pure/registers.h"
#include "pure/text.h"
#include "stage.h"

static void fill_summary(struct dam_note_summary *s)
{
    static const char version[] = COFFERDAM_VERSION;
    static_assert(sizeof(version) <= sizeof(s->version), "version");
    memcpy(s->version, version, sizeof(version));
    s->stop = stage.stop;
    s->phase = stage.takeover ? dam_takeover_phase(stage.takeover) : DAM_PHASE_START;
    stage.told = stage.trap.count + stage.trap.nmi_count;
    s->policy = stage.options.policy_given ? (uint32_t)stage.options.policy : stage.image.default_policy;
    s->bad_words = stage.options.bad_words;
    s->pool_start = stage.pool.pa.v;
    s->pool_size = stage.pool.size;
    s->pool_used = dam_arena_used(&stage.pool);
    s->image_start = stage.base;
    s->nmi_count = stage.trap.nmi_count;
    s->tsc_khz = stage.tsc_known ? stage.tsc_khz : 0;
    if (stage.trap.nmi_count)
        s->flags |= DAM_SUMMARY_NMI;
    if (stage.ordinary)
        s->flags |= DAM_SUMMARY_ORDINARY;
    if (stage_hides())
        s->flags |= DAM_SUMMARY_HIDDEN;
    if (stage.paging.levels == 5)
        s->flags |= DAM_SUMMARY_LA57;
    if (stage.trap.first.happened) {
        s->flags |= DAM_SUMMARY_EXCEPTION;
        s->exception_vector = stage.trap.first.vector;
        s->exception_error = stage.trap.first.error;
        s->exception_rip = stage.trap.first.rip;
        s->exception_cr2 = stage.trap.first.cr2;
    }
}

// The entries of a section of our own note; *count is 0 when it has none of that type.
static const void *section(enum dam_section_type type, uint32_t *count)
{
    const uint8_t *note = stage.legacy.note + ELFCORE_NOTE_HEAD;
    const struct dam_note_header *header = (const void *)note;
    const struct dam_note_section *s = (const void *)(note + header->header_size);
    for (unsigned i = 0; i < header->section_count; i++, s++) {
        if (s->type == type) {
            *count = s->count;
            return note + s->offset;
        }
    }
    *count = 0;
    return NULL;
}

void stage_report(bool full)
{
    struct dam_report_extra extra = {0};
    fill_summary(&extra.summary);
    if (stage.options.kept_size) {
        extra.cmdline = stage.options.kept;
        extra.cmdline_size = stage.options.kept_size;
    }
    size_t size = 0;
    uint8_t *descriptor = stage.legacy.note + ELFCORE_NOTE_HEAD;
    dam_err err = dam_takeover_report(full ? stage.takeover : NULL, &extra, descriptor,
                                      stage.legacy.note_capacity, &size);
    if (err || size > stage.legacy.note_capacity) {
        console_line(&stage.console, CONSOLE_ALWAYS, "no note: %s", text_of_error(err));
        return;
    }
    uint32_t count;
    stage.note_size = size;
    const struct dam_note_summary *summary = section(DAM_SECTION_SUMMARY, &count);
    stage.requesters = summary ? summary->requester_total : 0;
}

static void print_units(void)
{
    uint32_t count;
    const struct dam_note_unit *u = section(DAM_SECTION_UNITS, &count);
    for (uint32_t i = 0; i < count; i++, u++) {
        char registers[CONSOLE_LINE_MAX];
        registers_text(u, registers, sizeof(registers));
        console_line(&stage.console, CONSOLE_DETAIL, "unit %u at 0x%lx: %s, %u requesters%s", i,
                     u->register_base, text_of_unit_status(u->status), u->requesters, registers);
    }
}

static void print_requesters(void)
{
    uint32_t count;
    const struct dam_note_requester *r = section(DAM_SECTION_REQUESTERS, &count);
    for (uint32_t i = 0; i < count; i++, r++)
        console_line(
            &stage.console, CONSOLE_DETAIL,
            "requester %04x:%02x:%02x.%x: %s, domain %u -> %u, writable pages %lu -> %lu, tables %u -> %u",
            r->segment, r->rid >> 8, r->rid >> 3 & 31u, r->rid & 7u, text_of_policy(r->policy), r->old_did,
            r->new_did, r->old_writable, r->new_writable, r->old_tables, r->new_tables);
}

static void print_findings(void)
{
    uint32_t count, by_severity[3] = {0};
    const struct dam_finding *f = section(DAM_SECTION_FINDINGS, &count);
    for (uint32_t i = 0; i < count; i++, f++) {
        by_severity[f->severity <= DAM_ERROR ? f->severity : DAM_ERROR] += 1 + f->repeats;
        console_line(
            &stage.console, CONSOLE_DETAIL,
            "finding %u: %s; unit %u, %04x:%02x:%02x.%x, index %u, address 0x%lx, raw 0x%lx, %u more",
            f->code, text_of_finding(f->code), f->unit, f->segment, f->rid >> 8, f->rid >> 3 & 31u,
            f->rid & 7u, f->index, f->address, f->raw, f->repeats);
    }
    console_line(&stage.console, CONSOLE_NORMAL, "findings: %u errors, %u warnings, %u others",
                 by_severity[DAM_ERROR], by_severity[DAM_WARN], by_severity[DAM_INFO]);
}

void stage_print_report(void)
{
    uint32_t count;
    const struct dam_note_summary *s = section(DAM_SECTION_SUMMARY, &count);
    if (!s)
        return;
    console_line(&stage.console, CONSOLE_NORMAL, "%u units, %u requesters, %lu table pages read",
                 s->unit_total, s->requester_total, s->tables_read);
    print_units();
    print_requesters();
    print_findings();
    console_line(&stage.console, CONSOLE_NORMAL, "note of %lu bytes at 0x%lx, pool used %lu of %lu KiB",
                 stage.note_size, (uint64_t)stage.legacy.note, s->pool_used >> 10, s->pool_size >> 10);
}

// SPDX-License-Identifier: MIT
// Report: the note's descriptor, as abi.h and docs/note-format.md have it.
#include "takeover/takeover.h"

#include <string.h>

// What the lists may take at most; the rest is cut and the summary says so.
#define MAX_UNITS_LISTED      64u
#define MAX_REQUESTERS_LISTED 1024u
#define MAX_RANGES_LISTED     64u
#define MAX_TABLE_BYTES       (32u * 1024)
#define MAX_CMDLINE_BYTES     4096u

struct writer {
    uint8_t *buf;
    size_t capacity, used;
    struct dam_note_section *sections;
    uint16_t count;
};

size_t dam_report_max_size(void)
{
    return sizeof(struct dam_note_header) + DAM_NOTE_MAX_SECTIONS * (sizeof(struct dam_note_section) + 8) +
           sizeof(struct dam_note_summary) + MAX_UNITS_LISTED * sizeof(struct dam_note_unit) +
           MAX_REQUESTERS_LISTED * sizeof(struct dam_note_requester) +
           DAM_MAX_FINDINGS * sizeof(struct dam_finding) + MAX_RANGES_LISTED * sizeof(struct dam_note_range) +
           MAX_ACPI_TABLES * MAX_TABLE_BYTES + MAX_CMDLINE_BYTES;
}

// Opens a section of count zeroed entries, fewer when they do not fit. *fitted tells how many.
static void *section(struct writer *w, enum dam_section_type type, size_t entry_size, uint32_t count,
                     uint32_t *fitted)
{
    *fitted = 0;
    size_t at = (size_t)dam_align_up(w->used, 8);
    if (w->count == DAM_NOTE_MAX_SECTIONS || at >= w->capacity)
        return NULL;
    size_t room = (w->capacity - at) / entry_size;
    *fitted = count < room ? count : (uint32_t)room;
    w->sections[w->count++] = (struct dam_note_section){
        .type = (uint16_t)type, .entry_size = (uint32_t)entry_size, .count = *fitted, .offset = (uint32_t)at};
    memset(w->buf + w->used, 0, at + *fitted * entry_size - w->used);
    w->used = at + *fitted * entry_size;
    return w->buf + at;
}

static void copy_section(struct writer *w, enum dam_section_type type, const void *from, size_t entry_size,
                         uint32_t count)
{
    uint32_t fitted;
    void *to = section(w, type, entry_size, count, &fitted);
    if (fitted)
        memcpy(to, from, fitted * entry_size);
}

static uint32_t at_most(uint64_t count, uint32_t most)
{
    return count < most ? (uint32_t)count : most;
}

static struct dam_note_unit unit_entry(const struct unit *u)
{
    return (struct dam_note_unit){
        .register_base = u->iommu->base.v,
        .cap = u->iommu->cap,
        .ecap = u->iommu->ecap,
        .ver = u->iommu->ver,
        .segment = u->iommu->segment,
        .status = (uint8_t)u->status,
        .drhd_flags = u->iommu->firmware_flags,
        .requesters = u->requester_count,
        .error = (uint32_t)u->error,
        .before = u->iommu->before,
        .after = u->iommu->after,
        .us_translation_switch = u->iommu->us_switch,
        .kind = u->kind->id,
        .irq_entries = u->iommu->irq_entries,
        .irq_silenced = u->iommu->irq_silenced,
    };
}

static struct dam_note_requester requester_entry(const struct unit *u, const struct requester *r)
{
    struct dam_note_requester e = {
        .unit = u->iommu->index,
        .segment = u->iommu->segment,
        .rid = r->rid,
        .policy = (uint8_t)r->policy,
        .old_kind = (uint8_t)r->old_kind,
        .old_did = r->old.did,
        .new_did = r->new_did,
        .flags = r->flags,
        .old_root = r->old.root.v,
        .pasid = r->pasid,
        .old_stage = (uint8_t)r->old.stage,
        .new_stage = (uint8_t)takeover_new_stage(r),
    };
    if (r->old_tree) {
        const struct pt_audit *a = &r->old_tree->audit;
        e.levels = r->old_tree->params.levels;
        e.old_readable = a->readable;
        e.old_writable = a->writable;
        e.cut = a->cut_readable > a->cut_writable ? a->cut_readable : a->cut_writable;
        e.old_tables = (uint32_t)a->tables;
    }
    if (r->new_tree) {
        e.levels = r->new_tree->levels;
        e.new_root = r->new_tree->root.v;
        e.new_readable = r->new_tree->readable;
        e.new_writable = r->new_tree->writable;
        e.new_tables = (uint32_t)r->new_tree->tables;
    }
    return e;
}

static void write_units(struct writer *w, const struct dam_takeover *t)
{
    uint32_t n;
    struct dam_note_unit *e =
        section(w, DAM_SECTION_UNITS, sizeof(*e), at_most(t->unit_count, MAX_UNITS_LISTED), &n);
    for (const struct unit *u = t->units; u && n; u = u->next, n--)
        *e++ = unit_entry(u);
}

static uint32_t write_requesters(struct writer *w, const struct dam_takeover *t, uint32_t total)
{
    uint32_t n, listed;
    struct dam_note_requester *e =
        section(w, DAM_SECTION_REQUESTERS, sizeof(*e), at_most(total, MAX_REQUESTERS_LISTED), &listed);
    n = listed;
    for (const struct unit *u = t->units; u; u = u->next)
        for (const struct requester *r = u->requesters; r && n; r = r->next, n--)
            *e++ = requester_entry(u, r);
    return listed;
}

static void write_tables(struct writer *w, const struct dam_takeover *t)
{
    for (size_t i = 0; i < MAX_ACPI_TABLES; i++)
        if (t->acpi[i].bytes && t->acpi[i].length <= MAX_TABLE_BYTES)
            copy_section(w, DAM_SECTION_ACPI_TABLE, t->acpi[i].bytes, 1, t->acpi[i].length);
}

static void write_keep_out(struct writer *w, const struct dam_takeover *t)
{
    const struct dam_ranges *k = t->config->keep_out;
    uint32_t n;
    struct dam_note_range *e =
        section(w, DAM_SECTION_KEEP_OUT, sizeof(*e), at_most(k->count, MAX_RANGES_LISTED), &n);
    for (uint32_t i = 0; i < n; i++)
        e[i] = (struct dam_note_range){k->at[i].start, k->at[i].end};
}

static void fill_summary(struct dam_note_summary *s, const struct dam_takeover *t)
{
    s->phase = t->phase;
    s->policy = t->config->policy;
    s->findings_total = t->findings.total;
    s->flags |= t->findings.lost ? DAM_SUMMARY_FINDINGS_LOST : 0;
    s->pool_start = t->pool->pa.v;
    s->pool_size = t->pool->size;
    s->pool_used = dam_arena_used(t->pool);
    s->scratch_page = t->has_scratch ? t->scratch_page.v : 0;
    s->unit_total = t->unit_count;
    s->requester_total = 0;
    for (const struct unit *u = t->units; u; u = u->next) {
        s->requester_total += u->requester_count;
        if (u->status == DAM_UNIT_TAKEN || u->status == DAM_UNIT_FAILED_AFTER || u->status == DAM_UNIT_RAISED)
            s->flags |= DAM_SUMMARY_COMMITTED;
        if (u->status == DAM_UNIT_RAISED)
            s->flags |= DAM_SUMMARY_RAISED;
    }
    s->us_discover = t->us[DAM_PHASE_DISCOVER];
    s->us_audit = t->us[DAM_PHASE_AUDIT];
    s->us_plan = t->us[DAM_PHASE_PLAN];
    s->us_commit = t->us[DAM_PHASE_COMMIT];
    s->us_verify = t->us[DAM_PHASE_VERIFY];
    s->us_report = (uint32_t)dam_clock_us(t->ops);
    s->tables_read = t->tables_read;
}

dam_err dam_takeover_report(struct dam_takeover *t, const struct dam_report_extra *extra, void *buf,
                            size_t capacity, size_t *size)
{
    struct writer w = {.buf = buf, .capacity = capacity < DAM_NOTE_MAX_SIZE ? capacity : DAM_NOTE_MAX_SIZE};
    struct dam_note_header *header = buf;
    size_t first = sizeof(*header) + DAM_NOTE_MAX_SECTIONS * sizeof(struct dam_note_section);
    if (w.capacity < first + sizeof(struct dam_note_summary))
        return DAM_E_NOMEM;
    memset(buf, 0, first);
    w.sections = (struct dam_note_section *)(header + 1);
    w.used = first;
    uint32_t one;
    struct dam_note_summary *summary = section(&w, DAM_SECTION_SUMMARY, sizeof(*summary), 1, &one);
    *summary = extra->summary;
    if (extra->cmdline)
        copy_section(&w, DAM_SECTION_CMDLINE, extra->cmdline, 1,
                     at_most(extra->cmdline_size, MAX_CMDLINE_BYTES));
    if (t) {
        fill_summary(summary, t);
        write_units(&w, t);
        copy_section(&w, DAM_SECTION_FINDINGS, t->findings.at, sizeof(t->findings.at[0]), t->findings.count);
        write_keep_out(&w, t);
        if (write_requesters(&w, t, summary->requester_total) < summary->requester_total)
            summary->flags |= DAM_SUMMARY_TRUNCATED;
        write_tables(&w, t);
    }
    *header = (struct dam_note_header){
        .magic = DAM_NOTE_MAGIC,
        .version = DAM_NOTE_VERSION,
        .size = (uint32_t)w.used,
        .section_count = w.count,
        .header_size = sizeof(*header),
    };
    header->crc32 = dam_crc32(0, buf, w.used);
    *size = w.used;
    return DAM_OK;
}

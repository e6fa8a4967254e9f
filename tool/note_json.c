// SPDX-License-Identifier: MIT
#include "note_view.h"

#include <cofferdam/findings.h>

#include "acpi_header.h"
#include "acpi_view.h"
#include "json.h"
#include "names.h"
#include "note_registers.h"

static void put_flag(struct json_object *array, uint32_t flags, uint32_t flag, const char *word)
{
    if (flags & flag)
        json_object_array_add(array, json_object_new_string(word));
}

static struct json_object *summary_flags(uint32_t flags)
{
    struct json_object *a = json_object_new_array();
    put_flag(a, flags, DAM_SUMMARY_COMMITTED, "committed");
    put_flag(a, flags, DAM_SUMMARY_EXCEPTION, "exception");
    put_flag(a, flags, DAM_SUMMARY_TRUNCATED, "requesters-truncated");
    put_flag(a, flags, DAM_SUMMARY_FINDINGS_LOST, "findings-lost");
    put_flag(a, flags, DAM_SUMMARY_NMI, "nmi");
    put_flag(a, flags, DAM_SUMMARY_LA57, "la57");
    put_flag(a, flags, DAM_SUMMARY_HIDDEN, "iommu-hidden");
    put_flag(a, flags, DAM_SUMMARY_RAISED, "raised");
    put_flag(a, flags, DAM_SUMMARY_ORDINARY, "ordinary-kexec");
    return a;
}

static struct json_object *requester_flags(uint32_t flags)
{
    struct json_object *a = json_object_new_array();
    put_flag(a, flags, DAM_REQ_QUARANTINED, "quarantined");
    put_flag(a, flags, DAM_REQ_RMRR, "rmrr");
    put_flag(a, flags, DAM_REQ_CHOSEN, "chosen");
    put_flag(a, flags, DAM_REQ_CUT, "cut");
    put_flag(a, flags, DAM_REQ_NEW_DID, "new-did");
    put_flag(a, flags, DAM_REQ_ATS, "ats-refused");
    put_flag(a, flags, DAM_REQ_CRASH, "crash-window");
    put_flag(a, flags, DAM_REQ_RAISED, "raised");
    put_flag(a, flags, DAM_REQ_RID_PASID, "rid-pasid");
    put_flag(a, flags, DAM_REQ_ATS_OFF, "ats-off");
    put_flag(a, flags, DAM_REQ_OTHERS, "others");
    return a;
}

static struct json_object *times_json(const struct dam_note_summary *s)
{
    struct json_object *o = json_object_new_object();
    json_put_number(o, "discover", s->us_discover);
    json_put_number(o, "audit", s->us_audit);
    json_put_number(o, "plan", s->us_plan);
    json_put_number(o, "commit", s->us_commit);
    json_put_number(o, "verify", s->us_verify);
    json_put_number(o, "report", s->us_report);
    return o;
}

static struct json_object *exception_json(const struct dam_note_summary *s)
{
    struct json_object *o = json_object_new_object();
    json_put_number(o, "vector", s->exception_vector);
    json_put_hex(o, "error", s->exception_error);
    json_put_hex(o, "rip", s->exception_rip);
    json_put_hex(o, "cr2", s->exception_cr2);
    return o;
}

static struct json_object *summary_json(const struct dam_note_summary *s)
{
    struct json_object *o = json_object_new_object();
    json_put_text(o, "version", s->version);
    json_put_number(o, "stop", s->stop);
    json_put_text(o, "stop_text", name_stop(s->stop));
    json_put_bool(o, "untouched", DAM_STOP_IS_UNTOUCHED(s->stop));
    json_put_text(o, "phase", name_phase(s->phase));
    json_put_hex(o, "flags", s->flags);
    json_object_object_add(o, "flag_names", summary_flags(s->flags));
    json_put_text(o, "policy", name_policy(s->policy));
    json_put_number(o, "findings_total", s->findings_total);
    json_put_number(o, "bad_words", s->bad_words);
    json_put_hex(o, "pool_start", s->pool_start);
    json_put_number(o, "pool_size", s->pool_size);
    json_put_number(o, "pool_used", s->pool_used);
    json_put_hex(o, "scratch_page", s->scratch_page);
    json_put_hex(o, "image_start", s->image_start);
    json_put_number(o, "unit_total", s->unit_total);
    json_put_number(o, "requester_total", s->requester_total);
    json_object_object_add(o, "us_since_entry", times_json(s));
    json_put_number(o, "tables_read", s->tables_read);
    json_put_number(o, "tsc_khz", s->tsc_khz);
    json_put_number(o, "nmi_count", s->nmi_count);
    if (s->flags & DAM_SUMMARY_EXCEPTION)
        json_object_object_add(o, "exception", exception_json(s));
    return o;
}

static struct json_object *registers_json(uint32_t kind, const union dam_unit_registers *registers)
{
    struct json_object *o = json_object_new_object();
    const struct note_register *r;
    for (size_t cursor = 0; (r = note_register_next(kind, &cursor)) != NULL;)
        json_put_hex(o, r->member, note_register_value(registers, r));
    return o;
}

static struct json_object *unit_json(const struct note *note, uint32_t i)
{
    struct json_object *o = json_object_new_object();
    struct dam_note_unit u;
    note_unit_at(note, i, &u);
    json_put_text(o, "kind", note_kind_of(u.kind)->name);
    json_put_hex(o, "register_base", u.register_base);
    json_put_number(o, "segment", u.segment);
    json_put_hex(o, "cap", u.cap);
    json_put_hex(o, "ecap", u.ecap);
    json_put_hex(o, "ver", u.ver);
    json_put_number(o, "drhd_flags", u.drhd_flags);
    json_put_number(o, "status", u.status);
    json_put_text(o, "status_text", name_unit_status(u.status));
    json_put_number(o, "requesters", u.requesters);
    json_put_number(o, "error", u.error);
    json_put_text(o, "error_text", name_error(u.error));
    json_put_number(o, "us_translation_switch", u.us_translation_switch);
    json_put_number(o, "irq_entries", u.irq_entries);
    json_put_number(o, "irq_silenced", u.irq_silenced);
    json_object_object_add(o, "before", registers_json(u.kind, &u.before));
    json_object_object_add(o, "after", registers_json(u.kind, &u.after));
    return o;
}

static struct json_object *requester_json(const struct note *note, uint32_t i)
{
    struct json_object *o = json_object_new_object();
    struct dam_note_requester r;
    char name[RID_TEXT];
    note_requester_at(note, i, &r);
    rid_text(r.segment, r.rid, name);
    json_put_text(o, "requester", r.flags & DAM_REQ_OTHERS ? "others" : name);
    json_put_number(o, "unit", r.unit);
    json_put_number(o, "segment", r.segment);
    json_put_number(o, "rid", r.rid);
    if (r.flags & DAM_REQ_PASID)
        json_put_number(o, "pasid", r.pasid);
    json_put_text(o, "policy", name_policy(r.policy));
    json_put_text(o, "old_stage", name_stage(r.old_stage));
    json_put_text(o, "new_stage", name_stage(r.new_stage));
    json_put_text(o, "was", name_old_kind(r.old_kind));
    json_put_number(o, "old_did", r.old_did);
    json_put_number(o, "new_did", r.new_did);
    json_put_number(o, "levels", r.levels);
    json_object_object_add(o, "flags", requester_flags(r.flags));
    json_put_hex(o, "old_root", r.old_root);
    json_put_hex(o, "new_root", r.new_root);
    json_put_number(o, "old_readable", r.old_readable);
    json_put_number(o, "old_writable", r.old_writable);
    json_put_number(o, "new_readable", r.new_readable);
    json_put_number(o, "new_writable", r.new_writable);
    json_put_number(o, "cut", r.cut);
    json_put_number(o, "old_tables", r.old_tables);
    json_put_number(o, "new_tables", r.new_tables);
    return o;
}

static struct json_object *finding_json(const struct note *note, uint32_t i)
{
    struct json_object *o = json_object_new_object();
    struct dam_finding f;
    char name[RID_TEXT];
    note_finding_at(note, i, &f);
    json_put_number(o, "code", f.code);
    json_put_text(o, "text", name_finding(f.code));
    json_put_text(o, "severity", name_severity(f.severity));
    if (f.unit != 0xFFFF)
        json_put_number(o, "unit", f.unit);
    if (note_finding_has_requester(f.code)) {
        rid_text(f.segment, f.rid, name);
        json_put_text(o, "requester", name);
    } else if (note_finding_has_bus(f.code)) {
        json_put_number(o, "bus", f.rid >> 8);
    }
    if (f.level != 255)
        json_put_number(o, "level", f.level);
    json_put_number(o, "index", f.index);
    json_put_hex(o, "address", f.address);
    json_put_hex(o, "raw", f.raw);
    json_put_hex(o, "iova", f.iova);
    json_put_number(o, "repeats", f.repeats);
    return o;
}

static struct json_object *range_json(const struct note *note, uint32_t i)
{
    struct json_object *o = json_object_new_object();
    struct dam_note_range range;
    note_range_at(note, i, &range);
    json_put_hex(o, "start", range.start);
    json_put_hex(o, "end", range.end);
    return o;
}

static struct json_object *table_json(const struct note_section *section)
{
    struct acpi_view view;
    struct tool_error error;
    struct json_object *o;
    char signature[5] = "?";
    if (section->count >= 4)
        acpi_text(section->bytes, 4, signature);
    if (acpi_view_open(section->bytes, section->count, &view, &error) == TOOL_OK)
        return acpi_view_json(&view);
    o = json_object_new_object();
    json_put_text(o, "signature", signature);
    json_put_number(o, "length", section->count);
    return o;
}

static void put_list(struct json_object *o, const char *key, const struct note *note,
                     const struct note_section *section,
                     struct json_object *(*entry)(const struct note *, uint32_t))
{
    struct json_object *a = json_object_new_array();
    for (uint32_t i = 0; i < section->count; i++)
        json_object_array_add(a, entry(note, i));
    json_object_object_add(o, key, a);
}

struct json_object *note_json(const struct note *note)
{
    struct json_object *o = json_object_new_object();
    struct json_object *words = json_object_new_array(), *tables = json_object_new_array();
    char word[256];
    uint32_t cursor = 0;
    json_put_number(o, "note_version", note->header.version);
    json_put_number(o, "note_size", note->header.size);
    json_put_hex(o, "note_crc32", note->header.crc32);
    json_put_number(o, "unknown_sections", note->unknown_sections);
    json_object_object_add(o, "summary", summary_json(&note->summary));
    while (note_next_word(note, &cursor, word, sizeof word))
        json_object_array_add(words, json_object_new_string(word));
    json_object_object_add(o, "command_line", words);
    put_list(o, "keep_out", note, &note->keep_out, range_json);
    put_list(o, "units", note, &note->units, unit_json);
    put_list(o, "requesters", note, &note->requesters, requester_json);
    json_put_number(o, "findings_lost", note_findings_lost(note));
    put_list(o, "findings", note, &note->findings, finding_json);
    for (size_t i = 0; i < note->acpi_table_count; i++)
        json_object_array_add(tables, table_json(&note->acpi_tables[i]));
    json_object_object_add(o, "acpi_tables", tables);
    return o;
}

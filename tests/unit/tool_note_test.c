// SPDX-License-Identifier: MIT
// Reading the note: every field, every way to be broken, and both ways to show it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <cofferdam/findings.h>

#include "note.h"
#include "note_view.h"
#include "tool_fixture.h"

static struct fx_note fx;

static void refused(const uint8_t *bytes, size_t size, const char *part)
{
    struct note note;
    struct tool_error error = {""};
    assert_int_equal(note_read(bytes, size, &note, &error), TOOL_BAD_INPUT);
    if (strstr(error.text, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", error.text, part);
}

static struct note read_whole(void)
{
    struct note note;
    struct tool_error error = {""};
    fx_note_full(&fx);
    if (note_read(fx.bytes, fx.used, &note, &error) != TOOL_OK)
        fail_msg("%s", error.text);
    return note;
}

static void whole_note(void **state)
{
    (void)state;
    struct note note = read_whole();
    struct dam_note_summary expected = fx_summary();
    assert_memory_equal(&note.summary, &expected, sizeof expected);
    assert_int_equal(note.units.count, 1);
    assert_int_equal(note.requesters.count, 2);
    assert_int_equal(note.findings.count, 2);
    assert_int_equal(note.keep_out.count, 1);
    assert_int_equal(note.acpi_table_count, 1);
    assert_int_equal(note.acpi_tables[0].count, 56);
    assert_int_equal(note.unknown_sections, 1);
    assert_int_equal(note_findings_lost(&note), 2); // 9 seen, 2 listed, 5 folded
    struct dam_note_requester r;
    note_requester_at(&note, 1, &r);
    assert_int_equal(r.rid, 0x1FFB);
    assert_int_equal(r.segment, 1);
    struct dam_note_unit u;
    note_unit_at(&note, 0, &u);
    assert_int_equal(u.after.vtd.rtaddr, 0x7362E000);
    assert_int_equal(u.irq_silenced, 3);
    struct dam_finding f;
    note_finding_at(&note, 0, &f);
    assert_int_equal(f.iova, 0x1000);
    struct dam_note_range range;
    note_range_at(&note, 0, &range);
    assert_int_equal(range.end, 0x74000000);
}

static void words(void **state)
{
    (void)state;
    struct note note = read_whole();
    uint32_t cursor = 0;
    char word[40];
    assert_true(note_next_word(&note, &cursor, word, sizeof word));
    assert_string_equal(word, "cofferdam.policy=scratch");
    char shorter[8];
    assert_true(note_next_word(&note, &cursor, shorter, sizeof shorter));
    assert_string_equal(shorter, "cofferd");
    assert_false(note_next_word(&note, &cursor, word, sizeof word));
    note.command_line = (struct note_section){0};
    cursor = 0;
    assert_false(note_next_word(&note, &cursor, word, sizeof word));
}

// A reader of version 1 takes longer entries of a newer writer, and reads what it knows.
static void longer_entries(void **state)
{
    (void)state;
    struct note note;
    struct tool_error error = {""};
    struct dam_note_summary summary = fx_summary();
    uint8_t entries[2][104];
    memset(entries, 0xEE, sizeof entries);
    struct dam_note_requester r = {.rid = 0x1234, .new_writable = 77};
    memcpy(entries[1], &r, sizeof r);
    fx_note_begin(&fx);
    fx_note_section(&fx, DAM_SECTION_SUMMARY, &summary, sizeof summary, 1);
    fx_note_section(&fx, DAM_SECTION_REQUESTERS, entries, 104, 2);
    fx_note_end(&fx);
    assert_int_equal(note_read(fx.bytes, fx.used, &note, &error), TOOL_OK);
    note_requester_at(&note, 1, &r);
    assert_int_equal(r.rid, 0x1234);
    assert_int_equal(r.new_writable, 77);
}

static void cut_short(void **state)
{
    (void)state;
    fx_note_full(&fx);
    for (uint32_t size = 0; size < fx.used; size++) {
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, fx.bytes, size);
        refused(exact, size, "cut short");
        free(exact);
    }
    struct note note;
    struct tool_error error = {""};
    assert_int_equal(note_read(fx.bytes, fx.used + 3, &note, &error), TOOL_OK); // padding of the ELF note
}

static void every_bit(void **state)
{
    (void)state;
    fx_note_full(&fx);
    for (uint32_t at = 0; at < fx.used; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            fx.bytes[at] = (uint8_t)(fx.bytes[at] ^ 1u << bit);
            refused(fx.bytes, fx.used, "note");
            fx.bytes[at] = (uint8_t)(fx.bytes[at] ^ 1u << bit);
        }
}

static void versions(void **state)
{
    (void)state;
    fx_note_full(&fx);
    put_le32(fx.bytes + 8, 2);
    refused(fx.bytes, fx.used, "version 2; this tool reads version 1");
    fx_note_full(&fx);
    fx.bytes[100] ^= 1;
    refused(fx.bytes, fx.used, "bad checksum");
}

// Puts one section's field wrong, with a right checksum.
static void broken_section(uint16_t section, uint32_t field, uint32_t width, uint32_t value)
{
    fx_note_full(&fx);
    uint8_t *p = fx.bytes + 24 + section * 16u + field;
    if (width == 2)
        put_le16(p, (uint16_t)value);
    else
        put_le32(p, value);
    fx_note_end(&fx);
    refused(fx.bytes, fx.used, "damaged");
}

static void broken_sections(void **state)
{
    (void)state;
    for (uint16_t section = 0; section < 7; section++) {
        broken_section(section, 4, 4, 0);          // entry_size
        broken_section(section, 4, 4, UINT32_MAX); //
        broken_section(section, 8, 4, UINT32_MAX); // count
        broken_section(section, 8, 4, 20000);
        broken_section(section, 12, 4, 0); // offset: inside the header
        broken_section(section, 12, 4, 8);
        broken_section(section, 12, 4, 281); // not aligned
        broken_section(section, 12, 4, UINT32_MAX - 7);
        broken_section(section, 12, 4, 16384);
    }
    broken_section(0, 8, 4, 0);   // no summary
    broken_section(0, 0, 2, 99);  // the same, its type unknown
    broken_section(1, 4, 4, 159); // entries shorter than version 1 has them
    broken_section(2, 0, 2, 2);   // two lists of units
}

static void broken_header(void **state)
{
    (void)state;
    fx_note_full(&fx);
    fx.sections = 17;
    fx_note_end(&fx);
    refused(fx.bytes, fx.used, "17 sections");
    static const uint16_t sizes[] = {0, 23, 25, 0xFFF8};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fx_note_full(&fx);
        put_le16(fx.bytes + 22, sizes[i]);
        put_le32(fx.bytes + 16, 0);
        put_le32(fx.bytes + 16, (uint32_t)crc32(0, fx.bytes, fx.used));
        refused(fx.bytes, fx.used, "header size");
    }
    fx_note_full(&fx);
    put_le32(fx.bytes + 12, 16); // a size less than the header
    refused(fx.bytes, fx.used, "size 16");
}

// What note_print writes.
static char *printed(const struct note *note)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    note_print(stream, note);
    fclose(stream);
    return text;
}

static void text_view(void **state)
{
    (void)state;
    struct note note = read_whole();
    char *text = printed(&note);
    static const char *const parts[] = {
        "taken over IN PART: stop code 68, some IOMMUs could not be taken over",
        "Policy         scratch",
        "audit 3.145 ms",
        "24.871 ms in all",
        "Scratch page   0x73601000",
        "Out of reach   0x64000000 to 0x73ffffff",
        "Exception      vector 14, error 2h, rip 0x6f401234, cr2 0xdead000",
        "NMI            3 in the stage",
        "2 findings did not fit",
        "cofferdam.policy=scratch",
        "1 not understood",
        "failed after it was led to new tables; 2 requesters; error: the hardware did not answer in time",
        "Found          1 VT-d unit, 2 requesters, 9 findings",
        "unit 0  VT-d, segment 0, registers at 0xfed90000, version 1.0, cap ",
        ", INCLUDE_PCI_ALL\n",
        "    RTADDR        0000000001b20000    000000007362e000  changed\n",
        "    FECTL         00000000            80000000  changed\n",
        "    before: translation on, queue on, interrupt remapping on\n",
        "0000:00:02.0",
        "2058 -> 2000",
        "2057 -> 0",
        "4 -> 5",
        "cut new-did",
        "0001:1f:1f.3",
        "quarantined",
        "finding 32: mapping into the crash region or the pool: cut out",
        "address 0x27a7008, raw 0x1003, level 0, index 7, iova 0x1000; 5 more like it",
        "finding 60: cofferdam.* word not understood, ignored (index: its number): cofferdam.nonsense\n",
        "MCFG  56 bytes",
        "1 section of a kind that this tool does not know",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(text, parts[i]) == NULL)
            fail_msg("\"%s\" is missing", parts[i]);
    free(text);
}

static void untouched(void **state)
{
    (void)state;
    struct note note = read_whole();
    note.summary.stop = DAM_STOP_IOMMU_OFF;
    char *text = printed(&note);
    assert_non_null(strstr(text, "handed over UNTOUCHED: stop code 6, translation is off in every IOMMU"));
    free(text);
    note.summary.stop = 63; // not in the list
    text = printed(&note);
    assert_non_null(strstr(text, "handed over UNTOUCHED: stop code 63, unknown"));
    free(text);
}

// The member of the JSON object at a path such as "units.0.before.rtaddr", as text.
static const char *member(struct json_object *o, const char *path)
{
    char copy[128];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *step = strtok(copy, "."); step != NULL; step = strtok(NULL, ".")) {
        if (json_object_is_type(o, json_type_array))
            o = json_object_array_get_idx(o, strtoul(step, NULL, 10));
        else
            json_object_object_get_ex(o, step, &o);
        assert_non_null(o);
    }
    return json_object_get_string(o);
}

static void json_view(void **state)
{
    (void)state;
    struct note note = read_whole();
    struct json_object *o = note_json(&note);
    static const char *const values[][2] = {
        {"note_version", "1"},
        {"summary.stop", "68"},
        {"summary.policy", "scratch"},
        {"summary.phase", "verify"},
        {"summary.pool_start", "0x73600000"},
        {"summary.pool_size", "8388608"},
        {"summary.us_since_entry.commit", "24871"},
        {"summary.exception.rip", "0x6f401234"},
        {"summary.flag_names.0", "committed"},
        {"units.0.kind", "VT-d"},
        {"units.0.register_base", "0xfed90000"},
        {"units.0.before.rtaddr", "0x1b20000"},
        {"units.0.after.fectl", "0x80000000"},
        {"units.0.us_translation_switch", "248"},
        {"units.0.irq_entries", "42"},
        {"units.0.irq_silenced", "3"},
        {"requesters.0.requester", "0000:00:02.0"},
        {"requesters.0.old_writable", "2057"},
        {"requesters.0.new_writable", "0"},
        {"requesters.0.flags.0", "cut"},
        {"requesters.1.requester", "0001:1f:1f.3"},
        {"requesters.1.policy", "block"},
        {"findings.0.code", "32"},
        {"findings.0.requester", "0000:00:02.0"},
        {"findings.1.severity", "warning"},
        {"findings_lost", "2"},
        {"keep_out.0.end", "0x74000000"},
        {"command_line.1", "cofferdam.nonsense"},
        {"acpi_tables.0.signature", "MCFG"},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_string_equal(member(o, values[i][0]), values[i][1]);
    json_object_put(o);
}

static void amd_unit(struct dam_note_unit *u)
{
    *u = (struct dam_note_unit){
        .register_base = 0xFEB80000,
        .cap = 0x29D3,
        .ecap = 0x2,
        .segment = 2,
        .drhd_flags = 1,
        .kind = DAM_IOMMU_AMDVI,
        .before =
            {.amdvi = {.device_table = 0x12001FF, .control = 0x1405, .command_tail = 0x40, .status = 8}},
        .after = {.amdvi = {.device_table = 0x736001FF,
                            .control = 0x1001,
                            .command_base = 0x0900000073801000}},
    };
}

static struct note read_units(const void *units, uint32_t entry_size, uint32_t count)
{
    struct note note;
    struct tool_error error = {""};
    struct dam_note_summary summary = fx_summary();
    summary.unit_total = count;
    fx_note_begin(&fx);
    fx_note_section(&fx, DAM_SECTION_SUMMARY, &summary, sizeof summary, 1);
    fx_note_section(&fx, DAM_SECTION_UNITS, units, entry_size, count);
    fx_note_end(&fx);
    if (note_read(fx.bytes, fx.used, &note, &error) != TOOL_OK)
        fail_msg("%s", error.text);
    return note;
}

static void holds(const char *text, const char *const *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(text, parts[i]) == NULL)
            fail_msg("\"%s\" is missing in\n%s", parts[i], text);
}

static void units_of_amd(void **state)
{
    (void)state;
    struct dam_note_unit units[2];
    amd_unit(&units[0]);
    amd_unit(&units[1]);
    struct note note = read_units(units, sizeof units[0], 2);
    char *text = printed(&note);
    static const char *const parts[] = {
        "Found          2 AMD-Vi units, ",
        "  unit 0  AMD-Vi, segment 2, registers at 0xfeb80000, EFR 00000000000029d3, EFR2 0000000000000002\n",
        "    DevTabBase    00000000012001ff    00000000736001ff  changed\n",
        "    ComBase       0000000000000000    0900000073801000  changed\n",
        "    CmdTailPtr    00000040            00000000  changed\n",
        "    EventHeadPtr  00000000            00000000\n",
        "    Control       0000000000001405    0000000000001001  changed\n",
        "    Status        00000008            00000000  changed\n",
        "    before: translation on, command buffer on, event log on\n",
        "    after: translation on, command buffer on, event log off\n",
    };
    holds(text, parts, sizeof parts / sizeof parts[0]);
    assert_null(strstr(text, "RTADDR"));
    free(text);
    struct json_object *o = note_json(&note);
    assert_string_equal(member(o, "units.1.kind"), "AMD-Vi");
    assert_string_equal(member(o, "units.1.before.device_table"), "0x12001ff");
    assert_string_equal(member(o, "units.1.before.status"), "0x8");
    assert_string_equal(member(o, "units.1.after.command_base"), "0x900000073801000");
    assert_int_equal(json_object_object_length(json_object_object_get(
                         json_object_array_get_idx(json_object_object_get(o, "units"), 0), "before")),
                     9);
    json_object_put(o);
}

// The first writers' entries end at +160 and have 0 where the kind is now; a newer writer may know more
// kinds.
static void units_of_other_writers(void **state)
{
    (void)state;
    struct dam_note_unit unit = {.before = {.vtd = {.rtaddr = 0x1234000, .gsts = 1u << 31}}};
    struct note note = read_units(&unit, DAM_NOTE_UNIT_LEAST, 1);
    char *text = printed(&note);
    static const char *const old[] = {"Found          1 VT-d unit, ", "    RTADDR        0000000001234000 ",
                                      "    after: translation OFF, queue off, interrupt remapping off\n"};
    holds(text, old, sizeof old / sizeof old[0]);
    free(text);
    struct dam_note_unit units[2] = {unit, unit};
    units[1].kind = 7;
    units[1].cap = 0xABC;
    note = read_units(units, sizeof units[0], 2);
    text = printed(&note);
    static const char *const newer[] = {
        "Found          2 IOMMUs, ",
        "  unit 1  unknown, segment 0, registers at 0x0, cap 0000000000000abc, "};
    holds(text, newer, sizeof newer / sizeof newer[0]);
    free(text);
    struct json_object *o = note_json(&note);
    assert_string_equal(member(o, "units.0.kind"), "VT-d");
    assert_string_equal(member(o, "units.1.kind"), "unknown");
    assert_string_equal(member(o, "units.1.before"), "{ }");
    json_object_put(o);
}

// Whatever the numbers inside are, with a right checksum: it is shown without tripping over them.
static void wild_values(void **state)
{
    (void)state;
    FILE *sink = fopen("/dev/null", "w");
    for (uint32_t at = 280; at < 8192; at += 4) {
        struct note note;
        struct tool_error error = {""};
        fx_note_full(&fx);
        if (at >= fx.used)
            break;
        put_le32(fx.bytes + at, UINT32_MAX);
        fx_note_end(&fx);
        assert_int_equal(note_read(fx.bytes, fx.used, &note, &error), TOOL_OK);
        note_print(sink, &note);
        json_object_put(note_json(&note));
    }
    fclose(sink);
}

// What a finding is about: one function, one bus, or neither.
static void subjects(void **state)
{
    (void)state;
    for (uint16_t code = DAM_F_SM_CONTEXT; code <= DAM_F_PAGE_REQUESTS; code++)
        assert_true(note_finding_has_requester(code));
    assert_true(note_finding_has_requester(DAM_F_CTX_RESERVED));
    assert_true(note_finding_has_requester(DAM_F_PT_BUDGET));
    assert_false(note_finding_has_requester(DAM_F_UNIT_OFF));
    assert_false(note_finding_has_requester(DAM_F_PT_LOW_MEMORY));
    assert_false(note_finding_has_requester(DAM_F_TABLES_CHANGED));
    assert_true(note_finding_has_requester(DAM_F_WINDOW_NESTED));
    assert_true(note_finding_has_requester(DAM_F_ATS_SILENT));
    for (uint16_t code = DAM_F_DTE_RESERVED; code <= DAM_F_DTE_POINTER; code++)
        assert_true(note_finding_has_requester(code));
    assert_false(note_finding_has_requester(DAM_F_DEVTAB_POINTER));
    assert_false(note_finding_has_requester(DAM_F_WINDOW_WIDTH));
    assert_false(note_finding_has_requester(DAM_F_ATS_TIME));
    assert_true(note_finding_has_bus(DAM_F_ROOT_POINTER));
    assert_false(note_finding_has_requester(DAM_F_ROOT_POINTER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_note),
        cmocka_unit_test(words),
        cmocka_unit_test(longer_entries),
        cmocka_unit_test(subjects),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(every_bit),
        cmocka_unit_test(versions),
        cmocka_unit_test(broken_sections),
        cmocka_unit_test(broken_header),
        cmocka_unit_test(text_view),
        cmocka_unit_test(untouched),
        cmocka_unit_test(json_view),
        cmocka_unit_test(wild_values),
        cmocka_unit_test(units_of_amd),
        cmocka_unit_test(units_of_other_writers),
    };
    return cmocka_run_group_tests_name("tool: the note", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// tool/inspect/model*.c: where units come from, what is found of requesters and trees, what does not end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "inspect/kind.h"
#include "lib/old_dump.h"
#include "lib/old_kernel.h"
#include "unit/tool_fixture.h"

#define BASE  0x100000ull
#define PAGES 1024u
#define CRASH 0x8000000ull // not in the dump
#define CAP   (0x0Eull << 8 | 47ull << 16 | 3ull << 34 | 6ull | 1ull << 56)
#define ECAP  (1ull << 2 | 1ull << 6 | 1ull << 26 | 1ull << 40 | 1ull << 43 | 7ull << 46 | 1ull << 49)
#define GIB   (1ull << 30)

static uint8_t memory_bytes[PAGES * 4096];
static struct old_kernel k;
static struct old_dump dump;
static struct fx_note note;
static struct inspection in;
static struct tool_error error;

static void begin(bool scalable)
{
    memset(memory_bytes, 0, sizeof memory_bytes);
    old_kernel_begin(&k, memory_bytes, BASE, sizeof memory_bytes);
    k.scalable = scalable;
    old_dump_begin(&dump, memory_bytes, BASE, sizeof memory_bytes);
}

static struct dam_note_unit unit_of(uint64_t root)
{
    return (struct dam_note_unit){
        .register_base = 0xFED90000,
        .cap = CAP,
        .ecap = ECAP,
        .before = {.vtd = {.rtaddr = root | (k.scalable ? 1 << 10 : 0), .gsts = 1u << 31}}};
}

static void put_note(const struct dam_note_unit *units, uint32_t count, uint32_t stop)
{
    struct dam_note_summary summary = fx_summary();
    struct dam_note_range keep_out[2] = {{0, 0xA0000}, {CRASH, CRASH + 0x1000000}};
    uint8_t dmar[48] = "DMAR";
    dmar[4] = 48;
    dmar[36] = 38; // host address width - 1
    summary.stop = stop;
    fx_note_begin(&note);
    fx_note_section(&note, DAM_SECTION_SUMMARY, &summary, sizeof summary, 1);
    if (count)
        fx_note_section(&note, DAM_SECTION_UNITS, units, sizeof *units, count);
    fx_note_section(&note, DAM_SECTION_KEEP_OUT, keep_out, sizeof keep_out[0], 2);
    fx_note_section(&note, DAM_SECTION_ACPI_TABLE, dmar, 1, sizeof dmar);
    fx_note_end(&note);
    dump.note = note.bytes;
    dump.note_size = note.used;
}

static enum tool_status open_with(struct inspect_options options)
{
    struct memory *memory = old_dump_open(&dump);
    assert_non_null(memory);
    options.path = "test";
    return inspect_open_memory(memory, &options, &in, &error);
}

static void open_root(const char *text)
{
    const struct inspect_given given = {&inspect_vtd, text};
    const struct inspect_options options = {.given = &given, .given_count = 1, .ignore_kernel = true};
    enum tool_status status = open_with(options);
    if (status != TOOL_OK)
        fail_msg("%s", error.text);
}

// By --vtd-root, in the mode of the tables.
static void open_plain(void)
{
    char text[40];
    snprintf(text, sizeof text, "0x%llx,%s", (unsigned long long)k.root, k.scalable ? "scalable" : "legacy");
    open_root(text);
}

static void open_by_note(void)
{
    struct dam_note_unit unit = unit_of(k.root);
    put_note(&unit, 1, DAM_STOP_NONE);
    assert_int_equal(open_with((struct inspect_options){.ignore_kernel = true}), TOOL_OK);
}

static unsigned findings(uint16_t code)
{
    unsigned count = 0;
    for (size_t i = 0; i < in.finding_count; i++)
        count += in.findings[i].code == code ? 1 + in.findings[i].repeats : 0;
    return count;
}

static void keep_first(void *ctx, struct inspect_requester *r)
{
    struct inspect_requester **slot = ctx;
    if (*slot == NULL)
        *slot = r;
}

static struct inspect_requester *find(const char *text, int count)
{
    struct inspect_requester *r = NULL;
    assert_int_equal(inspect_find(&in, text, keep_first, &r), count);
    return r;
}

// ---- where units come from -------------------------------------------------------------------------------
static void units_of_the_note(void **state)
{
    (void)state;
    begin(false);
    struct dam_note_unit units[4] = {unit_of(k.root), unit_of(k.root), unit_of(k.root), unit_of(0x7000000)};
    units[1].before.vtd.gsts = 0;
    units[2].status = DAM_UNIT_ABSENT;
    units[3].before.vtd.rtaddr |= 3 << 10;
    units[3].ecap |= 1ull << 52;
    put_note(units, 4, DAM_STOP_NONE);
    uint64_t tree = old_kernel_page(&k);
    old_kernel_attach(&k, 0x18, 0, 4, 7, tree);
    old_kernel_map(&k, tree, 4, 0, 0x5000, 0x123000, OLD_R);
    assert_int_equal(open_with((struct inspect_options){.ignore_kernel = true}), TOOL_OK);
    assert_int_equal(in.unit_count, 4);
    const struct inspect_unit *u = in.units;
    assert_int_equal(u[0].origin, ORIGIN_NOTE);
    assert_string_equal(u[0].mode, "legacy");
    assert_string_equal(u[0].kind->name, "VT-d");
    assert_string_equal(u[0].name, "unit 0");
    assert_true(u[0].readable && u[0].translating && u[0].has_registers);
    assert_int_equal(u[0].host_address_width, 39);
    assert_int_equal(u[0].root.v, k.root);
    assert_false(u[1].translating);
    assert_false(u[2].has_registers);
    assert_string_equal(u[3].mode, "abort");
    assert_int_equal(findings(DAM_F_UNIT_ABORTS), 1);
    assert_int_equal(findings(DAM_F_UNIT_OFF), 1);
    assert_int_equal(in.findings[0].address, 0xFED90000 + 0x1C);
    assert_int_equal(findings(DAM_F_UNIT_ABSENT), 1);
    assert_int_equal(in.requester_count, 1);
    assert_int_equal(in.crash_count, 1);
    assert_int_equal(in.crash[0].start, CRASH);
    assert_false(in.incomplete);
    inspect_close(&in);
}

static void roots_of_the_command_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "0x100001",
                                      "0x100200",
                                      "0x100000,",
                                      "0x800",
                                      "-4096",
                                      "0x100000,old",
                                      "0x100800",
                                      "0x10000000000000",
                                      "0x1000 ",
                                      " 0x1000",
                                      "99999999999999999999999"};
    begin(false);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct inspect_given given = {&inspect_vtd, bad[i]};
        const struct inspect_options options = {.given = &given, .given_count = 1};
        if (open_with(options) != TOOL_USAGE)
            fail_msg("\"%s\" is taken", bad[i]);
        inspect_close(&in);
    }
    open_root("0x100000");
    assert_string_equal(in.units[0].mode, "legacy");
    assert_int_equal(in.units[0].origin, ORIGIN_COMMAND);
    assert_false(in.units[0].has_registers);
    inspect_close(&in);
    open_root("0x100400");
    assert_string_equal(in.units[0].mode, "scalable");
    assert_int_equal(in.units[0].root.v, 0x100000);
    inspect_close(&in);
    open_root("1048576,scalable");
    assert_string_equal(in.units[0].mode, "scalable");
    inspect_close(&in);
    // Beside a note; the same root again is no other unit.
    struct dam_note_unit unit = unit_of(k.root);
    put_note(&unit, 1, DAM_STOP_NONE);
    const struct inspect_given roots[] = {{&inspect_vtd, "0x100000"}, {&inspect_vtd, "0x101000"}};
    const struct inspect_options both = {.given = roots, .given_count = 2, .ignore_kernel = true};
    assert_int_equal(open_with(both), TOOL_OK);
    assert_int_equal(in.unit_count, 2);
    assert_int_equal(in.units[1].root.v, 0x101000);
    inspect_close(&in);
}

static void nobody_tells(void **state)
{
    (void)state;
    begin(false);
    k.root = 0; // no table anywhere
    memset(memory_bytes, 0, sizeof memory_bytes);
    assert_int_equal(open_with((struct inspect_options){0}), TOOL_BAD_INPUT);
    assert_non_null(strstr(error.text, "no note of ours"));
    assert_non_null(strstr(error.text, "VMCOREINFO"));
    inspect_close(&in);
    // A note that says why there are none is an answer.
    put_note(NULL, 0, DAM_STOP_NO_DMAR);
    assert_int_equal(open_with((struct inspect_options){0}), TOOL_OK);
    assert_int_equal(in.unit_count, 0);
    assert_true(in.kernel_problem[0] != '\0');
    inspect_close(&in);
    put_note(NULL, 0, DAM_STOP_NO_RSDP);
    assert_int_equal(open_with((struct inspect_options){0}), TOOL_BAD_INPUT);
    inspect_close(&in);
    // A damaged note is none.
    begin(false);
    struct dam_note_unit unit = unit_of(k.root);
    put_note(&unit, 1, DAM_STOP_NONE);
    note.bytes[100] ^= 1;
    assert_int_equal(open_with((struct inspect_options){.ignore_kernel = true}), TOOL_BAD_INPUT);
    assert_non_null(strstr(error.text, "checksum"));
    inspect_close(&in);
}

static void a_scan_finds_what_nobody_tells(void **state)
{
    (void)state;
    begin(false);
    uint64_t tree = old_kernel_page(&k);
    for (unsigned i = 0; i < 4; i++)
        old_kernel_attach(&k, 0x18 + 8 * i, 0, 4, 7, tree);
    for (unsigned i = 0; i < 64; i++)
        old_kernel_map(&k, tree, 4, 0, 0x5000 + i * 4096, 0x123000 + i * 4096, OLD_R | OLD_W);
    assert_int_equal(open_with((struct inspect_options){0}), TOOL_OK);
    assert_int_equal(in.unit_count, 1);
    assert_int_equal(in.units[0].origin, ORIGIN_GUESS);
    assert_int_equal(in.units[0].root.v, k.root);
    assert_int_equal(in.requester_count, 4);
    inspect_close(&in);
}

// ---- requesters and trees --------------------------------------------------------------------------------
static void requesters_share_trees(void **state)
{
    (void)state;
    begin(false);
    uint64_t tree = old_kernel_page(&k);
    old_kernel_attach(&k, 0x0318, 0, 4, 7, tree);
    old_kernel_attach(&k, 0x0010, 1, 4, 7, tree);
    old_kernel_attach(&k, 0x0011, 0, 3, 8, tree); // seen with other levels it is another tree
    old_kernel_attach(&k, 0x0012, 2, 4, 1, 0);
    old_kernel_map(&k, tree, 4, 0, 0x5000, 0x123000, OLD_R);
    old_kernel_map(&k, tree, 4, 0, 0x6000, 0x124000, OLD_R | OLD_W);
    old_kernel_map(&k, tree, 4, 1, 2 * GIB, 2 * GIB, OLD_W);
    old_kernel_map(&k, tree, 4, 2, 4 * GIB, 4 * GIB, OLD_R | OLD_W);
    open_by_note();
    assert_int_equal(in.requester_count, 4);
    assert_int_equal(in.tree_count, 3);
    const struct inspect_requester *r = in.requesters;
    assert_int_equal(r[0].rid, 0x10);
    assert_int_equal(r[0].flags, DAM_REQ_ATS);
    assert_int_equal(r[3].rid, 0x318);
    assert_ptr_equal(r[0].tree, r[3].tree);
    assert_ptr_equal(r[0].tree->first, &r[0]);
    assert_int_equal(r[0].tree->requesters, 2);
    assert_int_equal(r[2].kind, DAM_OLD_IDENTITY);
    assert_int_equal(r[2].tree->stage, DAM_STAGE_PASSTHROUGH);
    assert_string_equal(r[3].steps[0].what, "root entry");
    assert_int_equal(r[3].words, 2);
    assert_int_equal(r[3].raw[1], 7 << 8 | 2);
    assert_int_equal(findings(DAM_F_PASSTHROUGH), 1);
    assert_int_equal(findings(DAM_F_ATS_REFUSED), 1);
    assert_int_equal(inspect_audit_all(&in), DAM_OK);
    const struct inspect_tree *t = r[0].tree;
    assert_true(t->audited);
    assert_int_equal(t->readable, 2 * 4096 + GIB);
    assert_int_equal(t->writable, 4096 + 0x200000 + GIB);
    assert_int_equal(t->leaves[0], 2);
    assert_int_equal(t->leaves[1], 1);
    assert_int_equal(t->leaves[2], 1);
    assert_int_equal(t->tables, 4 + 1);
    assert_int_equal(t->unknown_tables, 0);
    assert_int_equal(r[2].tree->writable, sizeof memory_bytes);
    // The other view of that tree goes one level less deep; all table pages are counted once.
    assert_true(in.tables.count >= 1);
    uint64_t pages = 0;
    for (size_t i = 0; i < in.tables.count; i++)
        pages += (in.tables.at[i].end - in.tables.at[i].start) / 4096;
    assert_int_equal(pages, 5);
    inspect_close(&in);
}

static void one_id_for_two_tables_is_odd(void **state)
{
    (void)state;
    begin(false);
    old_kernel_attach(&k, 0x10, 0, 4, 7, old_kernel_page(&k));
    old_kernel_attach(&k, 0x18, 0, 4, 7, old_kernel_page(&k));
    open_by_note();
    assert_int_equal(findings(DAM_F_DID_SHARED), 1);
    assert_int_equal(in.findings[0].severity, DAM_WARN);
    inspect_close(&in);
}

static void requesters_are_found_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "0",        "00:03",      "00:20.0",   "00:03.8",        "00:03.00", "0:0:0:0", "000:3.0",
        "00:03.0 ", "00:03.0@", "00:03.0@-1", "00:03.0@x", "00:03.0@100000", "g0:03.0",  "00:.0",   ":03.0"};
    begin(true);
    old_kernel_directory(&k, 0x18, 1, 1 << 3);
    old_kernel_function(&k, 0x18)[1] = 3;
    old_kernel_bind(&k, 0x18, 3, 2, 4, 9, old_kernel_page(&k));
    old_kernel_bind(&k, 0x18, 70, 1, 4, 9, old_kernel_page(&k));
    old_kernel_nest(&k, 0x18, 71, 4, 0x5000, 4, 9, old_kernel_page(&k));
    *old_kernel_word(&k, k.root + 5 * 8) = 0xFFF; // upper half of bus 2: reserved bits
    open_by_note();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (inspect_find(&in, bad[i], keep_first, &(struct inspect_requester *){NULL}) != -1)
            fail_msg("\"%s\" is taken", bad[i]);
    assert_int_equal(find("00:03.0", 3)->pasid, 3);
    assert_int_equal(find("0000:0:3.0@0x46", 1)->pasid, 70);
    const struct inspect_requester *nested = find("00:03.0@47", 1);
    assert_int_equal(nested->stage, DAM_STAGE_NESTED);
    assert_int_equal(nested->tree->stage, DAM_STAGE_SECOND);
    assert_int_equal(nested->first_root.v, 0x5000);
    assert_int_equal(find("00:03.0@3", 1)->flags, DAM_REQ_PASID | DAM_REQ_RID_PASID);
    assert_null(find("00:03.0@4", 0));
    assert_null(find("0001:00:03.0", 0));
    assert_null(find("02:0f.7", 0));
    // What stands for all of them is found by each of them.
    assert_int_equal(find("02:10.0", 1)->finding, DAM_F_ROOT_RESERVED);
    assert_int_equal(find("02:1F.7@5", 1)->span, 128);
    assert_null(find("03:00.0", 0));
    inspect_close(&in);
}

static void mappings_of_the_crash_region_are_told(void **state)
{
    (void)state;
    begin(false);
    uint64_t tree = old_kernel_page(&k);
    old_kernel_attach(&k, 0x10, 0, 4, 7, tree);
    for (unsigned i = 0; i < 32; i++) // one after the other: told once
        old_kernel_map(&k, tree, 4, 0, 0x5000 + i * 4096, CRASH + i * 4096, OLD_R);
    old_kernel_map(&k, tree, 4, 0, 0x105000, CRASH, OLD_W);
    old_kernel_map(&k, tree, 4, 0, 0x0, 0x0, OLD_W);
    old_kernel_map(&k, tree, 4, 0, 0x200000, CRASH, 0); // not mapped
    open_by_note();
    assert_int_equal(inspect_audit_all(&in), DAM_OK);
    assert_int_equal(findings(DAM_F_PT_KEEP_OUT), 2);
    assert_int_equal(findings(DAM_F_PT_LOW_MEMORY), 1);
    assert_int_equal(in.trees[0]->findings, 3);
    const struct dam_finding *f = &in.findings[1];
    assert_int_equal(f->iova, 0x5000);
    assert_int_equal(f->raw, CRASH | 1);
    assert_int_equal(f->rid, 0x10);
    assert_int_equal(in.trees[0]->leaves[0], 34);
    inspect_close(&in);
}

// ---- what does not end, and what is not there ------------------------------------------------------------
static dam_err count_ranges(void *ctx, const struct inspect_range *r)
{
    unsigned *counts = ctx;
    counts[r->kind]++;
    return DAM_OK;
}

static void tables_that_lead_to_themselves(void **state)
{
    (void)state;
    begin(false);
    uint64_t tree = old_kernel_page(&k);
    old_kernel_attach(&k, 0x10, 0, 4, 7, tree);
    for (unsigned i = 0; i < 512; i++)
        *old_kernel_word(&k, tree + i * 8) = tree | 3;
    open_by_note();
    dump.reads = 0;
    assert_int_equal(inspect_audit_all(&in), DAM_OK);
    assert_true(dump.reads <= 2 * PAGES);
    assert_int_equal(findings(DAM_F_PT_BUDGET), 1);
    assert_true(in.incomplete);
    unsigned counts[3] = {0};
    const struct inspect_visitor visitor = {.ctx = counts, .range = count_ranges};
    assert_int_equal(inspect_walk(&in, in.trees[0], &visitor), DAM_OK);
    assert_int_equal(counts[INSPECT_UNKNOWN], 1);
    assert_true(dump.reads <= 4 * PAGES);
    struct inspect_way way;
    assert_int_equal(inspect_follow(&in, in.trees[0], 0x123456789, &way), DAM_OK);
    assert_int_equal(way.end, WAY_MAPPED);
    assert_int_equal(way.addr, tree + 0x789);
    assert_int_equal(way.count, 4);
    inspect_close(&in);
}

// A thousand functions, each with such a tree of its own.
static void many_hostile_trees(void **state)
{
    (void)state;
    begin(false);
    uint64_t first = k.pa + k.used;
    for (unsigned i = 0; i < 600; i++) {
        uint64_t tree = old_kernel_page(&k);
        for (unsigned e = 0; e < 512; e++)
            *old_kernel_word(&k, tree + e * 8) = (first + (i + e) % 600 * 4096) | 3;
    }
    for (unsigned i = 0; i < 600; i++)
        old_kernel_attach(&k, i, 0, 5, 7, first + i * 4096);
    open_by_note();
    assert_int_equal(in.tree_count, 600);
    dump.reads = 0;
    assert_int_equal(inspect_audit_all(&in), DAM_OK);
    assert_true(dump.reads <= 5 * PAGES);
    assert_true(in.incomplete);
    inspect_close(&in);
}

static void pages_full_of_ones(void **state)
{
    (void)state;
    for (unsigned scalable = 0; scalable < 2; scalable++) {
        begin(scalable);
        memset(memory_bytes, 0xFF, sizeof memory_bytes);
        open_plain();
        assert_int_equal(in.requester_count, scalable ? 512 : 256);
        assert_int_equal(in.tree_count, 0);
        assert_int_equal(inspect_audit_all(&in), DAM_OK);
        assert_int_equal(in.finding_count, in.requester_count);
        inspect_close(&in);
    }
}

static void more_findings_than_are_kept(void **state)
{
    (void)state;
    begin(false);
    for (unsigned bus = 0; bus < 32; bus++)
        for (unsigned i = 0; i < 256; i++)
            old_kernel_context(&k, bus << 8 | i)[0] = ~0ull;
    open_plain();
    assert_int_equal(in.requester_count, 32 * 256);
    assert_int_equal(in.finding_count, 4096);
    assert_true(in.findings_lost);
    inspect_close(&in);
}

static void a_root_that_is_not_there(void **state)
{
    (void)state;
    begin(false);
    dump.gone[0] = true;
    open_plain();
    assert_int_equal(in.requester_count, 1);
    assert_true(in.requesters[0].unknown);
    assert_int_equal(in.requesters[0].span, 65536);
    assert_false(in.units[0].readable);
    assert_true(in.incomplete);
    assert_int_equal(find("ff:1f.7", 1)->span, 65536);
    inspect_close(&in);
    open_root("0x70000000");
    assert_int_equal(findings(DAM_F_UNIT_ROOT), 1);
    assert_false(in.incomplete);
    inspect_close(&in);
}

static void damage_is_told_and_nothing_is_made_of_it(void **state)
{
    (void)state;
    begin(false);
    uint64_t tree = old_kernel_page(&k);
    old_kernel_attach(&k, 0x10, 0, 4, 7, tree);
    old_kernel_map(&k, tree, 4, 0, 0x5000, 0x123000, OLD_R);
    dump.damaged[(tree - BASE) / 4096] = true;
    open_plain();
    assert_int_equal(inspect_audit_all(&in), DAM_OK);
    assert_int_equal(in.trees[0]->unknown_tables, 1);
    assert_int_equal(in.trees[0]->unknown_bytes, 1ull << 48);
    assert_string_equal(in.damage, "damaged");
    assert_true(in.incomplete);
    inspect_close(&in);
}

static void upper_halves_have_a_sign(void **state)
{
    (void)state;
    begin(true);
    uint64_t tree = old_kernel_page(&k);
    old_kernel_directory(&k, 0x18, 0, 0);
    old_kernel_bind(&k, 0x18, 0, 1, 4, 9, tree);
    unsigned flags = OLD_FS_P | OLD_FS_W | OLD_FS_U;
    old_kernel_map_first(&k, tree, 4, 0, 0xFFFFFFFFF000, 0x123000, flags);
    open_plain();
    struct inspect_way way;
    assert_int_equal(inspect_follow(&in, in.trees[0], ~0xFFFull | 0x10, &way), DAM_OK);
    assert_int_equal(way.end, WAY_MAPPED);
    assert_int_equal(way.addr, 0x123010);
    assert_int_equal(inspect_follow(&in, in.trees[0], 0xFFFFFFFFF000, &way), DAM_OK);
    assert_int_equal(way.end, WAY_BEYOND);
    assert_int_equal(way.count, 0);
    inspect_close(&in);
}

static dam_err stop_here(void *ctx, const struct inspect_range *r)
{
    (void)ctx;
    (void)r;
    return DAM_E_TIMEOUT;
}

static void visitors_end_walks(void **state)
{
    (void)state;
    begin(false);
    uint64_t tree = old_kernel_page(&k);
    old_kernel_attach(&k, 0x10, 0, 4, 7, tree);
    old_kernel_map(&k, tree, 4, 0, 0, 0x5000, OLD_R);
    open_plain();
    const struct inspect_visitor visitor = {.range = stop_here};
    assert_int_equal(inspect_walk(&in, in.trees[0], &visitor), DAM_E_TIMEOUT);
    inspect_close(&in);
}

static void texts_say_what_is_and_not_what_was_done(void **state)
{
    (void)state;
    char text[INSPECT_FINDING_TEXT];
    assert_string_equal(inspect_finding_text(DAM_F_PT_POINTER, text),
                        "page-table entry that leads outside known memory");
    assert_string_equal(inspect_finding_text(DAM_F_ATS_REFUSED, text),
                        "requester was allowed translated requests");
    assert_string_equal(inspect_finding_text(DAM_F_UNIT_MODE, text),
                        "unit in a table mode that is not supported");
    assert_string_equal(inspect_finding_text(9999, text), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_of_the_note),
        cmocka_unit_test(roots_of_the_command_line),
        cmocka_unit_test(nobody_tells),
        cmocka_unit_test(a_scan_finds_what_nobody_tells),
        cmocka_unit_test(requesters_share_trees),
        cmocka_unit_test(one_id_for_two_tables_is_odd),
        cmocka_unit_test(requesters_are_found_by_name),
        cmocka_unit_test(mappings_of_the_crash_region_are_told),
        cmocka_unit_test(tables_that_lead_to_themselves),
        cmocka_unit_test(many_hostile_trees),
        cmocka_unit_test(pages_full_of_ones),
        cmocka_unit_test(more_findings_than_are_kept),
        cmocka_unit_test(a_root_that_is_not_there),
        cmocka_unit_test(damage_is_told_and_nothing_is_made_of_it),
        cmocka_unit_test(upper_halves_have_a_sign),
        cmocka_unit_test(visitors_end_walks),
        cmocka_unit_test(texts_say_what_is_and_not_what_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

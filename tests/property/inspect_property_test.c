// SPDX-License-Identifier: MIT
// Random tables of an old kernel in both table modes, looked at through the model of inspect: for every
// requester and every class of IOVA it says what a translator written apart says; with pages left out it says
// "unknown" exactly where one of them was on the way; with bits changed it agrees, or tells that something is
// wrong. PROPERTY_ROUNDS in the environment: how many times as much (1).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/inspected.h"
#include "lib/old_dump.h"
#include "lib/world.h"
#include "unit/tool_fixture.h"

static struct world world;
static struct world *const w = &world;
static struct old_dump dump;
static struct fx_note note;
static struct inspected seen;
static struct inspection *const in = &seen.in;
static const char *what;
static uint64_t seed;

static uint64_t rounds(void)
{
    const char *given = getenv("PROPERTY_ROUNDS");
    uint64_t n = given ? strtoull(given, NULL, 10) : 1;
    return n ? n : 1;
}

#define fail_at(format, ...) fail_msg("%s, seed %llu: " format, what, (unsigned long long)seed, __VA_ARGS__)

// ---- the judge -------------------------------------------------------------------------------------------
static struct naive_vtd whole;

static bool read_held(void *ctx, uint64_t pa, uint64_t *value)
{
    // Pages outside the dump are the business of the checks: reading them is not refused here.
    if (pa >= dump.pa && pa - dump.pa < dump.size && !old_dump_holds(&dump, pa))
        return false;
    return whole.read64(ctx, pa, value);
}

static struct naive_vtd judge(void)
{
    fake_vtd_settle(w->m.fake);
    whole = fake_vtd_naive(w->m.fake, 0);
    struct naive_vtd hw = whole;
    hw.read64 = read_held;
    hw.rtaddr = w->m.k[0].root | (w->scalable ? 1 << 10 : 0);
    return hw;
}

// The tree that the model walks: of nested translation the second stage.
static struct naive_context context_of(const struct naive_vtd *hw, unsigned i)
{
    struct naive_context c = naive_vtd_context_pasid(hw, w->r[i].rid, w->r[i].pasid);
    if (c.stage == 3)
        c.stage = 2;
    return c;
}

static bool missing(enum naive_reason reason)
{
    return reason == NAIVE_ROOT_ACCESS || reason == NAIVE_CONTEXT_ACCESS ||
           reason == NAIVE_DIRECTORY_ACCESS || reason == NAIVE_PASID_ACCESS || reason == NAIVE_TABLE_ACCESS;
}

// ---- the model -------------------------------------------------------------------------------------------
static void make_note(void)
{
    const struct fake_unit *fake = &w->m.fake->unit[0];
    struct dam_note_summary summary = fx_summary();
    struct dam_note_unit unit = {
        .register_base = fake->base,
        .cap = fake->cap,
        .ecap = fake->ecap,
        .before = {.vtd = {.rtaddr = w->m.k[0].root | (w->scalable ? 1 << 10 : 0), .gsts = 1u << 31}},
    };
    struct dam_note_range crash = {M_CRASH_START, M_CRASH_END};
    fx_note_begin(&note);
    fx_note_section(&note, DAM_SECTION_SUMMARY, &summary, sizeof summary, 1);
    fx_note_section(&note, DAM_SECTION_UNITS, &unit, sizeof unit, 1);
    fx_note_section(&note, DAM_SECTION_KEEP_OUT, &crash, sizeof crash, 1);
    fx_note_section(&note, DAM_SECTION_ACPI_TABLE, w->m.firmware.dmar, 1, w->m.firmware.length);
    fx_note_end(&note);
    dump.note = note.bytes;
    dump.note_size = note.used;
}

static void open_dump(void)
{
    const struct inspect_options options = {.path = "test", .ignore_kernel = true};
    struct tool_error error;
    struct memory *memory = old_dump_open(&dump);
    assert_non_null(memory);
    if (inspect_open_memory(memory, &options, in, &error))
        fail_at("%s", error.text);
    assert_int_equal(in->unit_count, 1);
    assert_int_equal(in->units[0].host_address_width, M_HAW);
}

static void build(uint64_t number)
{
    seed = number;
    world_build(w, seed, seed & 1, 30);
    firmware_end(&w->m.firmware);
    old_dump_begin(&dump, w->m.old, M_OLD_START, M_OLD_END - M_OLD_START);
    make_note();
}

static void keep_requester(void *ctx, struct inspect_requester *r)
{
    const struct inspect_requester **slot = ctx;
    if (*slot == NULL || r->span == 1)
        *slot = r;
}

// Requests without PASID have the entry that is marked for them.
static void keep_plain(void *ctx, struct inspect_requester *r)
{
    if (!(r->flags & DAM_REQ_PASID) || (r->flags & DAM_REQ_RID_PASID))
        keep_requester(ctx, r);
}

static const struct inspect_requester *find(unsigned i)
{
    const struct inspect_requester *found = NULL;
    const struct asked *a = &w->r[i];
    char text[40];
    snprintf(text, sizeof text, "%02x:%02X.%x", a->rid >> 8, a->rid >> 3 & 31, a->rid & 7);
    if (a->pasid != NAIVE_NO_PASID)
        snprintf(text + strlen(text), 20, "@%x", a->pasid);
    int n = inspect_find(in, text, a->pasid == NAIVE_NO_PASID ? keep_plain : keep_requester, &found);
    if (n < 0)
        fail_at("%s is not found", text);
    return found;
}

// ---- comparing -------------------------------------------------------------------------------------------
// The tables say that execution is not allowed, in a bit that the entry did not switch on: refused by the
// hardware, and not looked at by the engine.
static bool reserved_by_nxe(const struct naive_context *c, const struct naive_result *r)
{
    return r->reason == NAIVE_FIRST_RESERVED && !c->execute_disable;
}

// Whether the rights on the way come to nothing before it ends: then nothing is mapped, whatever is below.
// The judge goes on, and reports what it finds there.
static bool no_rights(const struct naive_vtd *hw, const struct naive_context *c, uint64_t iova)
{
    bool first = c->stage == 1;
    uint64_t table = first ? c->first : c->root, pte, left = first ? 4 : 3;
    for (unsigned level = first ? c->first_levels : c->aw + 2; level > 0; level--) {
        if (!hw->read64(hw->ctx, table + (iova >> (3 + 9 * level) & 511) * 8, &pte))
            return false;
        left &= pte;
        if (!left)
            return true;
        table = pte & 0x000FFFFFFFFFF000ull;
        if (pte & 0x80)
            break;
    }
    return false;
}

static bool right(const struct naive_vtd *hw, const struct naive_context *c, uint64_t iova,
                  const struct naive_result *r, const struct said *s)
{
    if (r->ok)
        return s->end == WAY_MAPPED && s->pa == r->pa;
    if (s->end == WAY_NOT_MAPPED && no_rights(hw, c, iova))
        return true;
    if (missing(r->reason))
        return s->end == WAY_UNKNOWN;
    if (reserved_by_nxe(c, r))
        return true;
    if (r->reason == NAIVE_PTE_RESERVED || r->reason == NAIVE_FIRST_RESERVED)
        return s->end == WAY_BROKEN;
    return s->end == WAY_NOT_MAPPED || s->end == WAY_BEYOND;
}

// mutated: what is refused and told is right as well.
static bool good_enough(const struct naive_vtd *hw, const struct naive_context *c, uint64_t iova,
                        const struct naive_result *r, const struct said *s, bool mutated)
{
    if (right(hw, c, iova, r, s))
        return true;
    return mutated && s->end != WAY_MAPPED && inspected_odd(&seen);
}

static void compare_probe(const struct naive_vtd *hw, const struct naive_context *c,
                          const struct inspect_requester *q, unsigned i, unsigned p, bool write, bool mutated)
{
    uint64_t iova = w->probe[p];
    struct naive_result want = naive_vtd_walk(hw, c, iova, write, NULL, NULL);
    struct said way = inspected_way(&seen, q->tree, iova, write), range = inspected_range(&seen, iova, write);
    if (!good_enough(hw, c, iova, &want, &way, mutated))
        fail_at("requester %u, iova %llx, write %d: way ends %d at %llx, not %d %#x %llx", i,
                (unsigned long long)iova, write, way.end, (unsigned long long)way.pa, want.ok, want.reason,
                (unsigned long long)want.pa);
    bool ram = !want.ok || c->stage != 4 || dam_ranges_contain(&dump.ram, want.pa, 1);
    if (ram && !good_enough(hw, c, iova, &want, &range, mutated))
        fail_at("requester %u, iova %llx, write %d: range says %d at %llx, not %d %#x %llx", i,
                (unsigned long long)iova, write, range.end, (unsigned long long)range.pa, want.ok,
                want.reason, (unsigned long long)want.pa);
}

static void compare_requester(const struct naive_vtd *hw, unsigned i, bool mutated)
{
    struct naive_context c = context_of(hw, i);
    const struct inspect_requester *q = find(i);
    if (c.reason != NAIVE_OK) {
        bool told = missing(c.reason) ? q && q->unknown
                    : q               ? !q->tree && (q->finding || q->unknown)
                                      : true; // nothing is there
        // An entry that no longer counts because its function takes fewer PASIDs, or none, is told as it is.
        bool refused = c.reason == NAIVE_PASID_REFUSED;
        if (!told && !refused && !(mutated && inspected_odd(&seen)))
            fail_at("requester %u: reason %#x, finding %d, unknown %d", i, c.reason, q ? q->finding : -1,
                    q ? q->unknown : -1);
        return;
    }
    if (mutated && q && !q->tree && q->finding)
        return; // leads outside the dump's RAM
    if (!q || !q->tree)
        fail_at("requester %u is not found", i);
    assert_int_equal(q->did, c.did);
    inspected_walk(&seen, q->tree, NULL);
    for (unsigned p = 0; p < w->probes; p++)
        for (unsigned write = 0; write < 2; write++)
            compare_probe(hw, &c, q, i, p, write, mutated);
}

static void compare(bool mutated)
{
    struct naive_vtd hw = judge();
    assert_int_equal(inspect_audit_all(in), DAM_OK);
    for (unsigned i = 0; i < WORLD_REQUESTERS; i++)
        compare_requester(&hw, i, mutated);
}

// ---- the properties --------------------------------------------------------------------------------------
static void answers_hold_together(void)
{
    uint64_t start = M_OLD_START + world_below(M_OLD_END - M_OLD_START);
    uint64_t other = 0xC0000000 + world_below(0x10000000);
    const struct dam_range watched[2] = {{start, start + 1 + world_below(0x80000)},
                                         {other, other + 1 + world_below(0x4000000)}};
    inspected_totals(&seen);
    inspected_watching(&seen, watched);
    if (seen.wrong[0])
        fail_at("%s", seen.wrong);
}

static void says_what_the_hardware_does(void **state)
{
    (void)state;
    what = "whole";
    for (uint64_t s = 1; s <= 60 * rounds(); s++) {
        build(s);
        open_dump();
        compare(false);
        assert_false(in->incomplete);
        answers_hold_together();
        inspect_close(in);
        machine_teardown(&w->m);
    }
}

static void what_is_not_held_is_unknown(void **state)
{
    (void)state;
    what = "pages gone";
    for (uint64_t s = 1; s <= 120 * rounds(); s++) {
        build(s);
        uint64_t pages = w->m.k[0].used / 4096, first = (w->m.k[0].pa - dump.pa) / 4096;
        for (unsigned i = 0; i < 1 + s % 7; i++) {
            uint64_t page = first + world_below(pages);
            *(s % 3 ? &dump.gone[page] : &dump.damaged[page]) = true;
        }
        for (unsigned i = 0; i < OLD_DUMP_PAGES; i++) // for the judge they are the same
            dump.gone[i] |= dump.damaged[i];
        open_dump();
        compare(false);
        answers_hold_together();
        inspect_close(in);
        machine_teardown(&w->m);
    }
}

static void mutate(void)
{
    const struct old_kernel *k = &w->m.k[0];
    for (unsigned tries = 0; tries < 100000; tries++) {
        uint64_t *word = old_kernel_word(k, k->pa + world_below(k->used / 8) * 8);
        if (!*word && world_below(2000))
            continue;
        switch (world_below(6)) {
        case 0:
            *word = ~0ull;
            break;
        case 1:
            *word = (k->pa + world_below(k->used / 4096) * 4096) | (*word & 0xFFF);
            break;
        default:
            *word ^= 1ull << world_below(64);
        }
        return;
    }
}

static void what_is_changed_is_agreed_on_or_told(void **state)
{
    (void)state;
    what = "changed";
    for (uint64_t s = 1; s <= 150 * rounds(); s++) {
        build(s);
        for (unsigned i = 0; i < 1 + s % 4; i++)
            mutate();
        open_dump();
        compare(true);
        inspect_close(in);
        machine_teardown(&w->m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_hardware_does),
        cmocka_unit_test(what_is_not_held_is_unknown),
        cmocka_unit_test(what_is_changed_is_agreed_on_or_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Random device tables of a dead kernel, with host and guest tables behind them, looked at through the model
// of inspect: for every requester and every class of IOVA it says what a translator written apart says; with
// pages left out it says "unknown" exactly where one of them was on the way; with bits changed it agrees, or
// tells that something is wrong. PROPERTY_ROUNDS in the environment: how many times as much (1).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "inspect/kind.h"
#include "lib/inspected.h"
#include "lib/naive_amdvi.h"
#include "lib/old_amd.h"
#include "lib/old_dump.h"

#define BASE    0x100000ull
#define PAGES   2000u
#define ENTRIES 256u
#define ASKED   10u
#define PROBES  400u

static uint8_t bytes[PAGES * 4096];
static struct old_kernel k;
static struct old_dump dump;
static struct inspected seen;
static struct inspection *const in = &seen.in;
static const char *what;
static uint64_t seed, state;

// Who is asked about.
static struct {
    unsigned devid, pasid;
    unsigned mode; // of its host tables; 0: none
    bool nested;   // the model shows the host's tables alone
} asked[ASKED];
static unsigned asked_count, probe_count;
static uint64_t probes[PROBES];

#define fail_at(format, ...) fail_msg("%s, seed %llu: " format, what, (unsigned long long)seed, __VA_ARGS__)

static uint64_t rounds(void)
{
    const char *given = getenv("PROPERTY_ROUNDS");
    uint64_t n = given ? strtoull(given, NULL, 10) : 1;
    return n ? n : 1;
}

static uint64_t below(uint64_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
}

// ---- the tables ------------------------------------------------------------------------------------------
static void probe(uint64_t iova)
{
    if (probe_count < PROBES)
        probes[probe_count++] = iova;
}

static void probe_page(uint64_t iova, uint64_t size)
{
    probe(iova);
    probe(iova + size - 1);
    probe(iova - 1);
    probe(iova + size);
    probe(iova + below(1u << 31) % size);
}

static unsigned rights(void)
{
    return below(4) ? OLD_R | OLD_W : (unsigned)below(4);
}

// One page of a size that a table of `level` has, in a part of the IOVAs that is for tables of that level.
static void map_host(uint64_t tree, unsigned mode, unsigned level, uint64_t high)
{
    unsigned log2 = 12 + 9 * level + (below(2) ? (unsigned)below(9) : 0);
    uint64_t step = 1ull << (12 + 9 * level), size = 1ull << log2;
    uint64_t first = level == 0   ? below(3) << 21
                     : level == 2 ? 256ull << 30
                     : mode > 2   ? 1ull << 30
                                  : 256ull << 21;
    uint64_t places = level == 2 || (level == 1 && mode == 2) ? 256 : 512;
    uint64_t iova = (first + below(places) * step) & ~(size - 1), addr = below(1u << 20) << 13;
    iova += mode > 3 ? high : 0;
    if (mode == 1)
        iova &= (2ull << 20) - 1;
    addr &= ~(size - 1);
    if (log2 % 9 == 3)
        old_amd_map(&k, tree, mode, level, iova, addr, rights());
    else
        old_amd_map_run(&k, tree, mode, log2, iova, addr, rights());
    probe_page(iova, size);
}

// An entry of the top table that leads to one of 4-KiB pages, levels between left out.
static void skip_levels(uint64_t tree, unsigned mode)
{
    uint64_t index = 100 + below(28), iova = index << (12 + 9 * (mode - 1)), page = old_kernel_page(&k);
    *old_kernel_word(&k, tree + index * 8) = page | 1 | 1 << 9 | (uint64_t)rights() << 61;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t at = below(512);
        *old_kernel_word(&k, page + at * 8) = below(1u << 20) << 12 | 1 | (uint64_t)rights() << 61;
        probe_page(iova + at * 4096, 4096);
        probe(iova + at * 4096 + (1ull << (21 + below(9 * (mode - 2) + 1))));
    }
}

static uint64_t host_tables(unsigned mode)
{
    uint64_t tree = old_kernel_page(&k), high = mode > 3 ? below(100) << (12 + 9 * (mode - 1)) : 0;
    unsigned levels = mode < 3 ? mode : 3;
    for (unsigned i = 0; i < 20; i++)
        map_host(tree, mode, (unsigned)below(levels), high);
    if (mode > 2 && below(2))
        skip_levels(tree, mode);
    if (mode > 1 && below(2)) { // rights go away on the way
        uint64_t *e = old_amd_pte(&k, tree, mode, 1, mode > 3 ? high : 0);
        if (e != NULL)
            *e &= ~(1ull << (61 + below(2)));
    }
    return tree;
}

static uint64_t guest_tables(unsigned levels)
{
    uint64_t tree = old_kernel_page(&k);
    for (unsigned i = 0; i < 15; i++) {
        unsigned level = below(5) ? 0 : 1;
        uint64_t size = 4096ull << 9 * level, top = below(2) << (12 + 9 * levels - 1);
        uint64_t iova = top + (level ? 1ull << 30 : 0) + below(512) * size;
        old_kernel_map_first(&k, tree, levels, level, iova, (below(1u << 20) << 13) & ~(size - 1),
                             OLD_FS_P | (below(3) ? OLD_FS_W : 0) | (below(4) ? OLD_FS_U : 0));
        probe_page(top ? iova | ~0ull << (12 + 9 * levels) : iova, size);
    }
    return tree;
}

static void ask_about(unsigned devid, unsigned pasid, unsigned mode, bool nested)
{
    if (asked_count == ASKED)
        return;
    asked[asked_count].devid = devid;
    asked[asked_count].pasid = pasid;
    asked[asked_count].mode = mode;
    asked[asked_count++].nested = nested;
}

static void make_guest(unsigned devid)
{
    unsigned levels = 4 + (unsigned)below(2), pasid = (unsigned)below(512);
    bool plain = below(2);
    old_amd_pass(&k, devid, devid, rights() | OLD_R);
    old_amd_guest(&k, devid, 1 + (unsigned)below(3), plain, levels);
    uint64_t tree = guest_tables(levels);
    *old_amd_gcr3(&k, devid, pasid) = tree | 1;
    if (below(2))
        *old_amd_gcr3(&k, devid, 0) = tree | 1;
    ask_about(devid, NAIVE_AMD_NO_PASID, 0, false);
    ask_about(devid, pasid, 0, false);
}

static void make_requester(unsigned devid)
{
    unsigned mode = 1 + (unsigned)below(6);
    switch (below(9)) {
    case 0: // not valid
        old_amd_entry(&k, devid)[0] = below(2) ? 0 : 1ull << (1 + below(63));
        break;
    case 1:
        old_amd_pass(&k, devid, 1, rights());
        break;
    case 2:
        old_amd_entry(&k, devid)[0] = OLD_AMD_V;
        break;
    case 3:
    case 4:
        make_guest(devid);
        return;
    case 5:
        old_amd_attach(&k, devid, mode, devid, host_tables(mode), rights());
        old_amd_guest(&k, devid, 1, below(2), 4);
        ask_about(devid, NAIVE_AMD_NO_PASID, mode, true);
        return;
    default:
        old_amd_attach(&k, devid, mode, devid, host_tables(mode), rights());
    }
    ask_about(devid, NAIVE_AMD_NO_PASID, 0, false);
}

static void build(uint64_t number)
{
    seed = number;
    state = number * 0x9E3779B97F4A7C15u;
    asked_count = probe_count = 0;
    memset(bytes, 0, sizeof bytes);
    old_amd_begin(&k, bytes, BASE, sizeof bytes, ENTRIES);
    for (unsigned i = 0; i < 7; i++)
        make_requester(8 + 24 * i + (unsigned)below(24));
    ask_about(ENTRIES + (unsigned)below(1000), NAIVE_AMD_NO_PASID, 0, false); // beyond the table
    ask_about((unsigned)below(8), NAIVE_AMD_NO_PASID, 0, false);
    for (unsigned i = 0; i < 20; i++)
        probe(below(1u << 31) << below(33));
    probe(0);
    probe(~0ull);
    old_dump_begin(&dump, bytes, BASE, sizeof bytes);
}

// ---- the judge -------------------------------------------------------------------------------------------
static bool read_held(void *ctx, uint64_t pa, uint64_t *value)
{
    (void)ctx;
    if (pa < BASE || pa - BASE >= sizeof bytes || !old_dump_holds(&dump, pa))
        return false;
    *value = *old_kernel_word(&k, pa);
    return true;
}

static const struct naive_amdvi hw = {.read64 = read_held,
                                      .device_table = BASE,
                                      .entries = ENTRIES,
                                      .haw = 52,
                                      .guest_1g = true,
                                      .supervisor = true};

static struct naive_amd_result judge(unsigned i, uint64_t iova, bool write)
{
    if (!asked[i].nested)
        return naive_amdvi_translate(&hw, asked[i].devid, asked[i].pasid, iova, write);
    uint64_t dte;
    if (!read_held(NULL, BASE + asked[i].devid * 32ull, &dte))
        return (struct naive_amd_result){.reason = NAIVE_AMD_TABLE_ACCESS};
    if (!(dte >> (write ? 62 : 61) & 1))
        return (struct naive_amd_result){.reason = NAIVE_AMD_RIGHTS};
    return naive_amdvi_host(&hw, dte & 0x000FFFFFFFFFF000ull, asked[i].mode, iova, write);
}

// ---- comparing -------------------------------------------------------------------------------------------
static void keep_requester(void *ctx, struct inspect_requester *r)
{
    const struct inspect_requester **slot = ctx;
    if (*slot == NULL)
        *slot = r;
}

static void keep_plain(void *ctx, struct inspect_requester *r)
{
    if (!(r->flags & DAM_REQ_PASID) || (r->flags & DAM_REQ_RID_PASID))
        keep_requester(ctx, r);
}

static const struct inspect_requester *find(unsigned i)
{
    const struct inspect_requester *found = NULL;
    unsigned devid = asked[i].devid, pasid = asked[i].pasid;
    char text[40];
    snprintf(text, sizeof text, "%02x:%02X.%x", devid >> 8, devid >> 3 & 31, devid & 7);
    if (pasid != NAIVE_AMD_NO_PASID)
        snprintf(text + strlen(text), 20, "@%x", pasid);
    if (inspect_find(in, text, pasid == NAIVE_AMD_NO_PASID ? keep_plain : keep_requester, &found) < 0)
        fail_at("%s is not found", text);
    return found;
}

// Whether the hardware gives up for want of rights on the way before it meets what the judge tells of.
static bool no_rights(const struct inspect_tree *tree, uint64_t iova)
{
    struct inspect_way way;
    return !inspect_follow(in, tree, iova, &way) && way.end == WAY_NOT_MAPPED;
}

static bool right(const struct inspect_tree *tree, uint64_t iova, const struct naive_amd_result *r,
                  const struct said *s)
{
    if (r->unsure && s->end == WAY_BROKEN)
        return true;
    switch (r->reason) {
    case NAIVE_AMD_OK:
        return s->end == WAY_MAPPED && s->pa == r->pa;
    case NAIVE_AMD_TABLE_ACCESS:
        return s->end == WAY_UNKNOWN || s->end == WAY_BROKEN || no_rights(tree, iova);
    case NAIVE_AMD_RESERVED:
        return s->end == WAY_BROKEN || no_rights(tree, iova);
    default:
        return s->end == WAY_NOT_MAPPED || s->end == WAY_BEYOND ||
               (r->reason == NAIVE_AMD_RIGHTS && s->end != WAY_MAPPED); // what else is wrong is told first
    }
}

// mutated: what is refused and told is right as well.
static bool good_enough(const struct inspect_tree *tree, uint64_t iova, const struct naive_amd_result *r,
                        const struct said *s, bool mutated)
{
    return right(tree, iova, r, s) || (mutated && s->end != WAY_MAPPED && inspected_odd(&seen));
}

static void compare_probe(unsigned i, const struct inspect_tree *tree, uint64_t iova, bool write,
                          bool mutated)
{
    struct naive_amd_result want = judge(i, iova, write);
    struct said way = inspected_way(&seen, tree, iova, write), range = inspected_range(&seen, iova, write);
    bool ram = !want.ok || tree->stage != DAM_STAGE_PASSTHROUGH || dam_ranges_contain(&dump.ram, want.pa, 1);
    enum inspect_way_end end = way.end == WAY_BEYOND ? WAY_NOT_MAPPED : way.end;
    bool same = tree->stage == DAM_STAGE_PASSTHROUGH ||
                (end == range.end && (end != WAY_MAPPED || way.pa == range.pa));
    if (!same || !good_enough(tree, iova, &want, &way, mutated) ||
        (ram && !good_enough(tree, iova, &want, &range, mutated)))
        fail_at("%02x@%x, iova %llx, write %d: way ends %d at %llx, range %d at %llx, not %d %d %llx",
                asked[i].devid, asked[i].pasid, (unsigned long long)iova, write, way.end,
                (unsigned long long)way.pa, range.end, (unsigned long long)range.pa, want.ok, want.reason,
                (unsigned long long)want.pa);
}

// Nobody, or one without tables: nothing may pass, unless what would tell is missing.
static void compare_without(unsigned i, const struct inspect_requester *q, bool mutated)
{
    bool unknown = q && q->unknown, broken = q && q->finding != DAM_F_NONE;
    for (unsigned p = 0; p < probe_count; p++)
        for (unsigned write = 0; write < 2; write++) {
            struct naive_amd_result want = judge(i, probes[p], write);
            // A GCR3 table that is missing is to the judge a PASID without an entry.
            bool lost = want.reason == NAIVE_AMD_TABLE_ACCESS || want.reason == NAIVE_AMD_PASID ||
                        want.reason == NAIVE_AMD_RIGHTS;
            bool fine = unknown  ? lost
                        : broken ? !want.ok
                                 : !want.ok && want.reason != NAIVE_AMD_TABLE_ACCESS;
            if (!fine && !(mutated && inspected_odd(&seen)))
                fail_at("%02x@%x: unknown %d, finding %d, iova %llx is %d %d", asked[i].devid, asked[i].pasid,
                        unknown, q ? q->finding : -1, (unsigned long long)probes[p], want.ok, want.reason);
        }
}

static void compare(bool mutated)
{
    assert_int_equal(inspect_audit_all(in), DAM_OK);
    for (unsigned i = 0; i < asked_count; i++) {
        const struct inspect_requester *q = find(i);
        if (q == NULL || q->tree == NULL) {
            compare_without(i, q, mutated);
            continue;
        }
        inspected_walk(&seen, q->tree, NULL);
        for (unsigned p = 0; p < probe_count; p++)
            for (unsigned write = 0; write < 2; write++)
                compare_probe(i, q->tree, probes[p], write, mutated);
    }
    uint64_t start = BASE + below(sizeof bytes), other = below(1u << 20) << 13;
    const struct dam_range watched[2] = {{start, start + 1 + below(0x80000)},
                                         {other, other + 1 + below(1u << 30)}};
    inspected_totals(&seen);
    inspected_watching(&seen, watched);
    if (seen.wrong[0])
        fail_at("%s", seen.wrong);
}

// ---- the properties --------------------------------------------------------------------------------------
static void open_dump(void)
{
    const struct inspect_given table = {&inspect_amdvi, "0x100000,8K"};
    const struct inspect_options options = {
        .path = "test", .given = &table, .given_count = 1, .ignore_kernel = true};
    struct tool_error error;
    struct memory *memory = old_dump_open(&dump);
    assert_non_null(memory);
    if (inspect_open_memory(memory, &options, in, &error))
        fail_at("%s", error.text);
}

static void says_what_the_hardware_does(void **unused)
{
    (void)unused;
    what = "whole";
    for (uint64_t s = 1; s <= 100 * rounds(); s++) {
        build(s);
        open_dump();
        compare(false);
        assert_false(in->incomplete);
        inspect_close(in);
    }
}

static void what_is_not_held_is_unknown(void **unused)
{
    (void)unused;
    what = "pages gone";
    for (uint64_t s = 1; s <= 150 * rounds(); s++) {
        build(s);
        for (unsigned i = 0; i < 1 + s % 7; i++) {
            uint64_t page = below(k.used / 4096);
            dump.gone[page] = true;
            dump.damaged[page] = s % 3 == 0; // for the judge they are the same
        }
        open_dump();
        compare(false);
        inspect_close(in);
    }
}

static void mutate(void)
{
    for (unsigned tries = 0; tries < 100000; tries++) {
        uint64_t *word = old_kernel_word(&k, BASE + below(k.used / 8) * 8);
        if (!*word && below(2000))
            continue;
        switch (below(6)) {
        case 0:
            *word = ~0ull;
            break;
        case 1:
            *word = (BASE + below(k.used / 4096) * 4096) | (*word & 0xFFF0000000000FFFull);
            break;
        default:
            *word ^= 1ull << below(64);
        }
        return;
    }
}

static void what_is_changed_is_agreed_on_or_told(void **unused)
{
    (void)unused;
    what = "changed";
    for (uint64_t s = 1; s <= 200 * rounds(); s++) {
        build(s);
        for (unsigned i = 0; i < 1 + s % 4; i++)
            mutate();
        open_dump();
        compare(true);
        inspect_close(in);
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

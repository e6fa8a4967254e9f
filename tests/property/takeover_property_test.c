// SPDX-License-Identifier: MIT
// Random old tables, random policies: for every class of IOVA, what hardware does under the new tables is
// what the policy says about what it did under the old ones, windows laid over; a translator written apart is
// the judge on both sides. Then every single bit of old tables is flipped: engine and judge agree, or the
// engine reports.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/machine.h"

#define REQUESTERS 6
#define PROBES     220

static uint64_t rng_state;

static uint64_t rng(void)
{
    // xorshift64*
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return rng_state * 0x2545F4914F6CDD1Dull;
}

static uint64_t below(uint64_t n)
{
    return rng() % n;
}

struct asked {
    unsigned rid;
    enum dam_policy policy;
    bool identity, window;
};

struct world {
    struct machine m;
    unsigned levels, mappings;
    struct asked r[REQUESTERS];
    uint64_t probe[PROBES];
    unsigned probes;
    uint64_t window_start, window_end; // of requester 0, when it has one
    uint64_t scratch;
    // Old(d) of each probe: translations as hardware did them before.
    struct naive_result old[REQUESTERS][PROBES][2];
};

static void probe_near(struct world *w, uint64_t iova)
{
    static const uint64_t offsets[] = {0, 0xFFF, 0x1000, ~0ull};
    for (unsigned i = 0; i < 4 && w->probes < PROBES - 8; i++)
        w->probe[w->probes++] = iova + offsets[i];
}

static uint64_t random_iova(const struct world *w, unsigned level)
{
    unsigned bits = 12 + 9 * w->levels;
    uint64_t iova = below(2) ? rng() : (0xFFFFF000ull - below(64) * 4096); // below 4 GiB, as Linux allocates
    iova &= (1ull << bits) - 1;
    return iova >> (12 + 9 * level) << (12 + 9 * level);
}

// Mostly old memory, some of it the crash region, some device memory.
static uint64_t random_pa(unsigned level)
{
    uint64_t align = 1ull << (12 + 9 * level), pa;
    switch (below(6)) {
    case 0:
        pa = M_CRASH_START + below(M_CRASH_END - M_CRASH_START);
        break;
    case 1:
        pa = 0xC0000000 + below(0x10000000);
        break;
    default:
        pa = M_OLD_START + below(M_OLD_END - M_OLD_START);
    }
    return pa / align * align;
}

static uint64_t random_tree(struct world *w)
{
    struct old_kernel *k = &w->m.k[0];
    uint64_t tree = old_kernel_page(k);
    for (unsigned i = 0; i < w->mappings; i++) {
        unsigned kind = (unsigned)below(8), level = kind == 0 ? 2 : kind == 1 ? 1 : 0;
        uint64_t iova = random_iova(w, level);
        if (k->size - k->used < 8 * 4096)
            break;
        // Large leaves and tables do not mix in one slot: skip what is taken.
        bool taken = false;
        for (unsigned l = w->levels - 1; l + 1 > level + 1 || l == level; l--) {
            uint64_t *e = old_kernel_entry(k, tree, w->levels, l, iova);
            if (!e)
                break;
            taken |= (*e & 3) && (l == level || (*e & 0x80));
            if (l == 0)
                break;
        }
        if (taken)
            continue;
        old_kernel_map(k, tree, w->levels, level, iova, random_pa(level), (unsigned)below(3) + 1);
        // Ignored bits.
        if (below(4) == 0)
            *old_kernel_entry(k, tree, w->levels, level, iova) |= 1ull << (52 + below(10)) | 1 << 10;
        // Permissions are ANDed on the way down: take one away above, now and then.
        uint64_t *above =
            level + 1 < w->levels ? old_kernel_entry(k, tree, w->levels, level + 1, iova) : NULL;
        if (above && below(6) == 0)
            *above &= ~(1ull << below(2));
        probe_near(w, iova);
        if (level)
            probe_near(w, iova + below(1ull << (12 + 9 * level)));
    }
    return tree;
}

static void build(struct world *w, uint64_t seed, unsigned mappings)
{
    memset(w, 0, sizeof(*w));
    w->mappings = mappings;
    rng_state = seed * 0x9E3779B97F4A7C15ull + 1;
    machine_setup(&w->m, 1);
    struct fake_unit *unit = &w->m.fake->unit[0];
    w->levels = 3 + (unsigned)below(3);
    unsigned width = 12 + 9 * w->levels;
    unit->cap =
        (unit->cap & ~(0x1Full << 8 | 0x3Full << 16)) | 1ull << (6 + w->levels) | (uint64_t)(width - 1) << 16;
    unit->ecap = (unit->ecap & ~1ull) | below(2);
    unit->latency = (unsigned)below(3);
    uint64_t shared = random_tree(w);
    for (unsigned i = 0; i < REQUESTERS; i++) {
        struct asked *r = &w->r[i];
        r->rid = (unsigned)below(3) << 8 | i << 3;
        r->policy = (enum dam_policy)below(4);
        r->identity = i == 1 && below(2);
        uint64_t tree = below(3) ? random_tree(w) : shared;
        // Ids are shared by chance: then the second table needs a new one.
        old_kernel_attach(&w->m.k[0], r->rid, r->identity ? 2 : 0, w->levels, 2 + (unsigned)below(6),
                          r->identity ? 0 : tree);
        w->m.config.choices[i] = (struct dam_choice){{0, (uint16_t)r->rid}, DAM_ANY_PASID, r->policy};
    }
    w->m.config.choice_count = REQUESTERS;
    for (unsigned i = 0; i < 8; i++)
        w->probe[w->probes++] = rng() & ((1ull << (width + (i == 0))) - 1);
    if (below(2)) {
        w->window_start = 0xD0000000ull + below(64) * 4096;
        w->window_end = w->window_start + (1 + below(1024)) * 4096;
        firmware_rmrr(&w->m.firmware, 0, w->window_start, w->window_end - 1);
        firmware_scope(&w->m.firmware, 1, (uint8_t)(w->r[0].rid >> 8), (uint8_t)(w->r[0].rid >> 3 & 31), 0);
        probe_near(w, w->window_start);
        w->probes = w->probes > PROBES - 8 ? PROBES - 8 : w->probes;
        w->probe[w->probes++] = w->window_end - 1;
        w->probe[w->probes++] = w->window_end;
    }
}

// All requesters with the tree of the region's device share its window.
static void find_windows(struct world *w)
{
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    struct naive_context named = naive_vtd_context(&hw, w->r[0].rid);
    for (unsigned i = 0; i < REQUESTERS; i++) {
        struct naive_context c = naive_vtd_context(&hw, w->r[i].rid);
        w->r[i].identity = c.reason == NAIVE_OK && c.type == 2;
        w->r[i].window = w->window_end && c.reason == NAIVE_OK && named.reason == NAIVE_OK &&
                         c.type == named.type && c.aw == named.aw && (c.type == 2 || c.root == named.root);
    }
}

static void look_at_old(struct world *w)
{
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    for (unsigned i = 0; i < REQUESTERS; i++)
        for (unsigned p = 0; p < w->probes; p++)
            for (unsigned write = 0; write < 2; write++)
                w->old[i][p][write] = naive_vtd_translate(&hw, w->r[i].rid, w->probe[p], write);
}

// What the policy says about one access, given Old.
static struct naive_result expected(const struct world *w, unsigned i, unsigned p, bool write)
{
    const struct asked *r = &w->r[i];
    uint64_t iova = w->probe[p];
    struct naive_result refused = {.ok = false}, old = w->old[i][p][write];
    if (write && iova >> 20 == 0xFEE)
        return refused;
    if (r->window && iova >= w->window_start && iova < w->window_end)
        return (struct naive_result){.ok = true, .pa = iova};
    if (r->policy == DAM_POLICY_BLOCK)
        return refused;
    if (r->policy == DAM_POLICY_SCRATCH) {
        bool inside = iova >> (12 + 9 * w->levels) == 0;
        return inside ? (struct naive_result){.ok = true, .pa = w->scratch + iova % 4096} : refused;
    }
    if (!old.ok || machine_keeps_out(old.pa) || (r->policy == DAM_POLICY_FREEZE && write))
        return refused;
    if (r->identity && iova >> 32) // identity reaches over what the machine has
        return refused;
    return old;
}

// Compares what hardware does now with what is expected; returns the number of differences, and says the
// first.
static unsigned compare(struct world *w, char *text, size_t size)
{
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    unsigned wrong = 0;
    for (unsigned i = 0; i < REQUESTERS; i++) {
        for (unsigned p = 0; p < w->probes; p++) {
            for (unsigned write = 0; write < 2; write++) {
                struct naive_result want = expected(w, i, p, write);
                struct naive_result got = naive_vtd_translate(&hw, w->r[i].rid, w->probe[p], write);
                if (got.ok == want.ok && (!got.ok || got.pa == want.pa))
                    continue;
                if (wrong++ == 0)
                    snprintf(
                        text, size,
                        "requester %u (%#x, policy %d%s) %s iova %#llx: %d %#llx reason %#x, not %d %#llx", i,
                        w->r[i].rid, w->r[i].policy, w->r[i].identity ? ", identity" : "",
                        write ? "writes" : "reads", (unsigned long long)w->probe[p], got.ok,
                        (unsigned long long)got.pa, got.reason, want.ok, (unsigned long long)want.pa);
            }
        }
    }
    return wrong;
}

static enum dam_stop take_over(struct world *w)
{
    if (!machine_start(&w->m))
        return DAM_STOP_POOL;
    look_at_old(w);
    find_windows(w);
    enum dam_stop stop = machine_run(&w->m);
    machine_report(&w->m);
    w->scratch = machine_summary(&w->m)->scratch_page;
    return stop;
}

static void new_is_the_policy_of_old(void **state)
{
    (void)state;
    struct world *w = malloc(sizeof(*w));
    char text[256];
    for (uint64_t seed = 1; seed <= 250; seed++) {
        build(w, seed, 40);
        enum dam_stop stop = take_over(w);
        if (stop)
            fail_msg("seed %llu: stop %d", (unsigned long long)seed, stop);
        if (compare(w, text, sizeof(text)))
            fail_msg("seed %llu: %s", (unsigned long long)seed, text);
        if (w->m.fake->violations)
            fail_msg("seed %llu: %s", (unsigned long long)seed, w->m.fake->violation);
        assert_true(machine_old_memory_untouched(&w->m));
        machine_teardown(&w->m);
    }
    free(w);
}

// Whether the findings speak of anything but what sound tables give as well.
static bool reported(const struct world *w)
{
    uint32_t count;
    const struct dam_finding *f = machine_section(&w->m, DAM_SECTION_FINDINGS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (f[i].severity >= DAM_WARN && f[i].code != DAM_F_PT_KEEP_OUT && f[i].code != DAM_F_DID_SHARED)
            return true;
    return false;
}

// With a broken table, a refusal that is reported is right as well. Reaching something else never is.
static void check_mutant(struct world *w, enum dam_stop stop, unsigned long long where, unsigned bit)
{
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    if (stop)
        fail_msg("word %#llx bit %u: stop %d", where, bit, stop);
    for (unsigned i = 0; i < REQUESTERS; i++) {
        for (unsigned p = 0; p < w->probes; p++) {
            for (unsigned write = 0; write < 2; write++) {
                struct naive_result want = expected(w, i, p, write);
                struct naive_result got = naive_vtd_translate(&hw, w->r[i].rid, w->probe[p], write);
                bool same = got.ok == want.ok && (!got.ok || got.pa == want.pa);
                if (!same && (got.ok || !reported(w)))
                    fail_msg("word %#llx bit %u: %#x policy %d %s %#llx: %d %#llx reason %#x, not %d %#llx",
                             where, bit, w->r[i].rid, w->r[i].policy, write ? "writes" : "reads",
                             (unsigned long long)w->probe[p], got.ok, (unsigned long long)got.pa, got.reason,
                             want.ok, (unsigned long long)want.pa);
            }
        }
    }
    if (w->m.fake->violations)
        fail_msg("word %#llx bit %u: %s", where, bit, w->m.fake->violation);
    assert_int_equal(w->m.fake->unit[0].tes_off, 0);
}

// The nth word of the old tables that is not zero; 0 when there are fewer.
static uint64_t used_word(const struct world *w, unsigned n)
{
    const struct old_kernel *k = &w->m.k[0];
    for (uint64_t at = 0; at < k->used; at += 8)
        if (*(const uint64_t *)(const void *)(k->host + at) && n-- == 0)
            return k->pa + at;
    return 0;
}

static void flip(uint64_t seed, unsigned first_bit)
{
    struct world *w = malloc(sizeof(*w));
    unsigned mutants = 0;
    for (unsigned n = 0;; n++) {
        uint64_t where = 1;
        // Not every bit of every word in one run: they are dealt out by the word's number.
        for (unsigned bit = (first_bit + n) % 8; bit < 64 && where; bit += 8) {
            build(w, seed, 5);
            w->probes = w->probes > 60 ? 60 : w->probes;
            where = used_word(w, n);
            if (where) {
                *old_kernel_word(&w->m.k[0], where) ^= 1ull << bit;
                enum dam_stop stop = take_over(w);
                check_mutant(w, stop, where, bit);
                mutants++;
            }
            machine_teardown(&w->m);
        }
        if (!where)
            break;
    }
    free(w);
    if (mutants < 100)
        fail_msg("only %u mutants", mutants);
}

static void every_flipped_bit_is_agreed_on_or_reported(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 4; seed++)
        flip(seed, seed * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_is_the_policy_of_old),
        cmocka_unit_test(every_flipped_bit_is_agreed_on_or_reported),
    };
    return cmocka_run_group_tests_name("takeover properties", tests, NULL, NULL);
}

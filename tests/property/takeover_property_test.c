// SPDX-License-Identifier: MIT
// Random old tables in both table modes, random policies: for every class of IOVA, what hardware does under
// the new tables is what the policy says about what it did under the old ones, windows laid over; a
// translator written apart is the judge on both sides. Then every single bit of old tables is flipped, and
// random bytes, bits and pointers are put into them: engine and judge agree, or the engine reports.
// PROPERTY_ROUNDS in the environment: how many times as much (1).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/world.h"

static struct world world;
static struct world *const w = &world;
static char text[320];

static unsigned rounds(void)
{
    const char *given = getenv("PROPERTY_ROUNDS");
    unsigned n = given ? (unsigned)strtoul(given, NULL, 10) : 1;
    return n ? n : 1;
}

static bool same(const struct naive_result *a, const struct naive_result *b)
{
    return a->ok == b->ok && (!a->ok || a->pa == b->pa);
}

// Compares what hardware does now with what is expected; returns the number of differences, and says the
// first.
static unsigned compare(void)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < WORLD_REQUESTERS; i++) {
        for (unsigned p = 0; p < w->probes; p++) {
            for (unsigned write = 0; write < 2; write++) {
                struct naive_result want = world_expects(w, i, p, write), got = world_does(w, i, p, write);
                if (!same(&want, &got) && wrong++ == 0)
                    world_tell(w, i, p, write, text, sizeof(text));
            }
        }
    }
    return wrong;
}

// Requesters that no table names have the crash window, and nothing else.
static bool others_are_wrong(void)
{
    static const unsigned rids[] = {0x0001, 0x0119, 0x4208, 0xFFFF};
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    const struct dam_range *crash = &w->crash.at[0];
    for (unsigned i = 0; i < sizeof(rids) / sizeof(rids[0]); i++) {
        for (unsigned p = 0; p < w->probes; p++) {
            uint64_t iova = w->probe[p];
            bool inside = iova >= crash->start && iova < crash->end;
            struct naive_result got = naive_vtd_translate(&hw, rids[i], iova, true);
            if (got.ok != inside || (got.ok && got.pa != iova))
                return true;
        }
    }
    return false;
}

// The same DMA through the caches, with what the hardware writes: none of it into old memory.
static void use(void)
{
    for (unsigned i = 0; i < WORLD_REQUESTERS; i++)
        for (unsigned p = 0; p < w->probes; p++)
            for (unsigned write = 0; write < 2; write++)
                fake_dma_pasid(w->m.fake, 0, w->r[i].rid, w->r[i].pasid, w->probe[p], write);
}

static void new_is_the_policy_of_old(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300 * rounds(); seed++) {
        world_build(w, seed, seed & 1, 30);
        if (seed % 3 == 0)
            world_hide(w);
        enum dam_stop stop = world_take_over(w);
        if (stop)
            fail_msg("seed %llu: stop %d", (unsigned long long)seed, stop);
        if (compare())
            fail_msg("seed %llu: %s", (unsigned long long)seed, text);
        if (seed % 3 == 0 && others_are_wrong())
            fail_msg("seed %llu: requesters without tables", (unsigned long long)seed);
        if (!w->marks_guests)
            use();
        if (w->m.fake->violations)
            fail_msg("seed %llu: %s", (unsigned long long)seed, w->m.fake->violation);
        if (!machine_old_memory_untouched(&w->m))
            fail_msg("seed %llu: old memory was written", (unsigned long long)seed);
        machine_teardown(&w->m);
    }
}

// Whether the findings speak of anything but what sound tables give as well.
static bool reported(void)
{
    uint32_t count;
    const struct dam_finding *f = machine_section(&w->m, DAM_SECTION_FINDINGS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (f[i].severity >= DAM_WARN && f[i].code != DAM_F_PT_KEEP_OUT && f[i].code != DAM_F_DID_SHARED)
            return true;
    return false;
}

// With a broken table, a refusal that is reported is right as well, or the scratch page when broken
// requesters get that. Reaching something else never is.
static bool right(unsigned i, const struct naive_result *want, const struct naive_result *got)
{
    if (same(want, got))
        return true;
    bool scratch = w->m.config.broken == DAM_POLICY_SCRATCH && got->pa - w->scratch < 4096;
    // A guest's tables are read through a second stage of ours: not in the crash region, and not to be marked
    // when that stage is frozen.
    bool guest = w->r[i].stage == 3 && !got->ok &&
                 (got->reason == NAIVE_FIRST_MARK || got->reason == NAIVE_TABLE_ACCESS);
    return guest || ((!got->ok || scratch) && reported());
}

static void check_mutant(enum dam_stop stop, const char *what)
{
    if (stop)
        fail_msg("%s: stop %d", what, stop);
    for (unsigned i = 0; i < WORLD_REQUESTERS; i++) {
        for (unsigned p = 0; p < w->probes; p++) {
            for (unsigned write = 0; write < 2; write++) {
                struct naive_result want = world_expects(w, i, p, write), got = world_does(w, i, p, write);
                if (right(i, &want, &got))
                    continue;
                world_tell(w, i, p, write, text, sizeof(text));
                fail_msg("%s: %s", what, text);
            }
        }
    }
    if (w->m.fake->violations)
        fail_msg("%s: %s", what, w->m.fake->violation);
    assert_int_equal(w->m.fake->unit[0].tes_off, 0);
    if (!machine_old_memory_untouched(&w->m))
        fail_msg("%s: old memory was written", what);
}

// The nth word of the old tables that is not zero; 0 when there are fewer.
static uint64_t used_word(unsigned n)
{
    const struct old_kernel *k = &w->m.k[0];
    for (uint64_t at = 0; at < k->used; at += 8)
        if (*(const uint64_t *)(const void *)(k->host + at) && n-- == 0)
            return k->pa + at;
    return 0;
}

static void build_small(uint64_t seed, bool scalable)
{
    world_build(w, seed, scalable, 4);
    w->probes = w->probes > 40 ? 40 : w->probes;
    w->m.fake->unit[0].cap |= 1ull << 56; // else 1-GiB pages of the first stage are broken, and reported
    w->m.config.max_tables = 3000;        // a table that leads to itself is not worth waiting for
}

// Else what is reported of broken ones would say nothing.
static void sound_tables_are_not_reported(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 97; n++) {
        build_small(n + 1000, n & 1);
        check_mutant(world_take_over(w), "none");
        if (reported())
            fail_msg("seed %u: sound tables are reported", n + 1000);
        machine_teardown(&w->m);
    }
}

static unsigned flip(uint64_t seed, bool scalable, unsigned first_bit)
{
    unsigned mutants = 0;
    for (unsigned n = 0;; n++) {
        uint64_t where = 1;
        // Not every bit of every word in one run: they are dealt out by the word's number.
        for (unsigned bit = (first_bit + n) % 16; bit < 64 && where; bit += 16) {
            build_small(seed, scalable);
            where = used_word(n);
            if (where) {
                char what[96];
                snprintf(what, sizeof(what), "seed %llu word %#llx bit %u", (unsigned long long)seed,
                         (unsigned long long)where, bit);
                *old_kernel_word(&w->m.k[0], where) ^= 1ull << bit;
                check_mutant(world_take_over(w), what);
                mutants++;
            }
            machine_teardown(&w->m);
        }
        if (!where)
            return mutants;
    }
}

static void every_flipped_bit_is_agreed_on_or_reported(void **state)
{
    (void)state;
    unsigned mutants = 0;
    for (unsigned seed = 1; seed <= 4 * rounds(); seed++)
        mutants += flip(seed, seed & 1, seed * 3);
    print_message("%u mutants of one bit\n", mutants);
    assert_true(mutants > 1000);
}

// A word of the old tables, changed in a way that tables get broken.
static void mutate(void)
{
    const struct old_kernel *k = &w->m.k[0];
    unsigned used = 0;
    for (uint64_t at = 0; at < k->used; at += 8)
        used += *(const uint64_t *)(const void *)(k->host + at) != 0;
    uint64_t *word = old_kernel_word(k, used_word((unsigned)world_below(used)));
    static const uint64_t places[] = {
        0,          M_CRASH_START, M_POOL_START, M_POOL_START + 0x5000, M_UNIT(0),
        M_FIRMWARE, M_OLD_START,   M_OLD_END,    0x7FFFFFF000,          0xFFFFFFFFFF000};
    switch (world_below(6)) {
    case 0:
        *word = ~0ull;
        break;
    case 1:
        *word = world_below(~0ull);
        break;
    case 2:
        *word = (*word & 0xFFF) | places[world_below(10)];
        break;
    case 3: // a table that leads to another one, or to itself
        *word = (*word & 0xFFF) | (k->pa + world_below(k->used) / 4096 * 4096);
        break;
    default:
        for (uint64_t n = 1 + world_below(4); n; n--)
            *word ^= 1ull << world_below(64);
    }
}

static void many_mutations_are_agreed_on_or_reported(void **state)
{
    (void)state;
    unsigned told = 0;
    for (unsigned n = 1; n <= 3000 * rounds(); n++) {
        build_small(n % 97 + 1000, n & 1);
        // The tables are those of a seed; what is done to them is another one's.
        for (unsigned skip = n / 97; skip; skip--)
            world_below(2);
        w->m.config.broken = n % 3 ? DAM_POLICY_BLOCK : DAM_POLICY_SCRATCH;
        for (uint64_t changes = 1 + world_below(3); changes; changes--)
            mutate();
        char what[32];
        snprintf(what, sizeof(what), "mutant %u", n);
        check_mutant(world_take_over(w), what);
        told += reported();
        machine_teardown(&w->m);
    }
    print_message("%u mutants, %u of them reported\n", 3000 * rounds(), told);
    assert_true(told > 300 * rounds()); // what is done to the tables does break them
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_is_the_policy_of_old),
        cmocka_unit_test(sound_tables_are_not_reported),
        cmocka_unit_test(every_flipped_bit_is_agreed_on_or_reported),
        cmocka_unit_test(many_mutations_are_agreed_on_or_reported),
    };
    return cmocka_run_group_tests_name("takeover properties", tests, NULL, NULL);
}

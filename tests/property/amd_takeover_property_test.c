// SPDX-License-Identifier: MIT
// Random device tables, GCR3 tables and page tables of an AMD IOMMU, random policies: for every class of
// IOVA, what hardware does under the new tables is what the policy says about what it did under the old ones,
// windows laid over. Then every single bit of old tables is flipped, and random bytes, bits and pointers are
// put into them: engine and judge agree, or the engine reports. As takeover_property_test.c for VT-d.
// PROPERTY_ROUNDS in the environment: how many times as much (1).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/amd_world.h"
#include "lib/world.h"

static struct amd_world world;
static struct amd_world *const w = &world;
static char text[400];

static unsigned rounds(void)
{
    const char *given = getenv("PROPERTY_ROUNDS");
    unsigned n = given ? (unsigned)strtoul(given, NULL, 10) : 1;
    return n ? n : 1;
}

static bool as_expected(const struct amd_expected *want, const struct naive_amd_result *got)
{
    return got->ok ? want->may_pass && got->pa == want->pa : want->may_refuse;
}

// Requesters that no table names: still refused, but for the crash window.
static bool others_are_wrong(void)
{
    static const unsigned devids[] = {0x0001, 0x0119, 0x03FF, 0x0400,
                                      0xFFFF}; // the last two: beyond the table
    for (unsigned i = 0; i < sizeof(devids) / sizeof(devids[0]); i++) {
        for (unsigned p = 0; p < w->probes; p++) {
            uint64_t iova = w->probe[p];
            bool crash = w->crash.count && iova >= w->crash.at[0].start && iova < w->crash.at[0].end &&
                         devids[i] < M_AMD_ENTRIES;
            struct naive_amd_result got =
                fake_amdvi_look(w->m.amd, 0, devids[i], NAIVE_AMD_NO_PASID, iova, true);
            if (got.ok != crash || (got.ok && got.pa != iova))
                return true;
        }
    }
    return false;
}

// The same DMA through the caches, with what the hardware writes: none of it into old memory, and no event.
static void use(void)
{
    for (unsigned i = 0; i < AMD_WORLD_REQUESTERS; i++)
        for (unsigned p = 0; p < w->probes; p++)
            for (unsigned write = 0; write < 2; write++)
                fake_amdvi_dma(w->m.amd, 0, w->r[i].devid, w->r[i].pasid, w->probe[p], write);
}

// Erratum 63: an entry that lets system management writes pass needs IW.
static bool breaks_erratum(void)
{
    for (unsigned i = 0; i < AMD_WORLD_REQUESTERS; i++) {
        const uint64_t *e = fake_amdvi_entry(w->m.amd, 0, w->r[i].devid);
        if ((e[0] & 3) == 3 && (e[0] >> 61 & 3) && (e[1] >> 40 & 3) == 1 && !(e[0] >> 62 & 1))
            return true;
    }
    return false;
}

static void check_hardware(const char *what)
{
    const struct fake_amd_unit *u = &w->m.amd->unit[0];
    if (w->m.fake->violations)
        fail_msg("%s: %s", what, w->m.fake->violation);
    if (!machine_old_memory_untouched(&w->m))
        fail_msg("%s: old memory was written", what);
    if (u->off)
        fail_msg("%s: translation went off", what);
}

static void new_is_the_policy_of_old(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300 * rounds(); seed++) {
        char what[32];
        snprintf(what, sizeof(what), "seed %llu", (unsigned long long)seed);
        amd_world_build(w, seed, 30);
        if (seed % 3 == 0)
            amd_world_hide(w);
        enum dam_stop stop = amd_world_take_over(w);
        if (stop)
            fail_msg("%s: stop %d", what, stop);
        for (unsigned i = 0; i < AMD_WORLD_REQUESTERS; i++) {
            for (unsigned n = 0; n < 2 * w->probes; n++) {
                struct amd_expected want = amd_world_expects(w, i, n / 2, n & 1);
                struct naive_amd_result got = amd_world_does(w, i, n / 2, n & 1);
                if (as_expected(&want, &got))
                    continue;
                amd_world_tell(w, i, n / 2, n & 1, text, sizeof(text));
                fail_msg("%s: %s", what, text);
            }
        }
        if (others_are_wrong())
            fail_msg("%s: requesters without tables", what);
        if (breaks_erratum())
            fail_msg("%s: erratum 63", what);
        use();
        check_hardware(what);
        if (w->m.amd->unit[0].events_total)
            fail_msg("%s: %u events, of them %u illegal entries", what, w->m.amd->unit[0].events_total,
                     w->m.amd->unit[0].events[FAKE_AMD_ILLEGAL_DTE]);
        machine_teardown(&w->m);
    }
}

// Whether the findings speak of anything but what sound tables give as well: the code of the first one.
static unsigned reported(void)
{
    uint32_t count;
    const struct dam_finding *f = machine_section(&w->m, DAM_SECTION_FINDINGS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (f[i].severity >= DAM_WARN && f[i].code != DAM_F_PT_KEEP_OUT && f[i].code != DAM_F_DID_SHARED &&
            f[i].code != DAM_F_ATS_CONFIG &&
            f[i].code != DAM_F_CHOICE_UNUSED) // of devices that are not there
            return f[i].code;
    return 0;
}

// With a broken table, a refusal that is reported is right as well, or the scratch page when broken
// requesters get that. Reaching something else never is.
static bool right(unsigned i, const struct amd_expected *want, const struct naive_amd_result *got)
{
    if (as_expected(want, got))
        return true;
    bool scratch = w->m.config.broken == DAM_POLICY_SCRATCH && got->pa - w->scratch < 4096;
    // A guest's tables are read through host tables of ours: not in the crash region.
    bool guest = w->r[i].kind == AMD_NESTED && !got->ok;
    return guest || ((!got->ok || scratch) && reported());
}

static void check_mutant(enum dam_stop stop, const char *what)
{
    if (stop)
        fail_msg("%s: stop %d", what, stop);
    for (unsigned i = 0; i < AMD_WORLD_REQUESTERS; i++) {
        for (unsigned n = 0; n < 2 * w->probes; n++) {
            struct amd_expected want = amd_world_expects(w, i, n / 2, n & 1);
            struct naive_amd_result got = amd_world_does(w, i, n / 2, n & 1);
            if (right(i, &want, &got))
                continue;
            amd_world_tell(w, i, n / 2, n & 1, text, sizeof(text));
            fail_msg("%s: %s", what, text);
        }
    }
    check_hardware(what);
}

// The nth word of the old tables that is not zero, of entries that block as Linux's do the first ones alone;
// 0 when there are fewer. count: how many there are up to it.
static uint64_t used_word(unsigned n, unsigned *count)
{
    const struct old_kernel *k = &w->m.k[0];
    *count = 0;
    for (uint64_t at = 0; at < k->used; at += 8) {
        const uint64_t word = *(const uint64_t *)(const void *)(k->host + at);
        bool silent = word == 3 && at < M_AMD_ENTRIES * 32 && at % 32 == 0 && at > 0x600;
        if (word && !silent && (*count)++ == n)
            return k->pa + at;
    }
    return 0;
}

static void build_small(uint64_t seed)
{
    amd_world_build(w, seed, 4);
    w->probes = w->probes > 40 ? 40 : w->probes;
    w->m.config.max_tables = 3000; // a table that leads to itself is not worth waiting for
}

// Else what is reported of broken ones would say nothing.
static void sound_tables_are_not_reported(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 97; n++) {
        build_small(n + 1000);
        check_mutant(amd_world_take_over(w), "none");
        if (reported())
            fail_msg("seed %u: sound tables are reported (%u)", n + 1000, reported());
        machine_teardown(&w->m);
    }
}

// Every word of small tables, every 16th bit of it, beginning at another one for each word.
static unsigned flip(uint64_t seed)
{
    unsigned mutants = 0;
    for (unsigned n = 0, used;; n++) {
        uint64_t where = 1;
        for (unsigned bit = (unsigned)(seed * 3 + n) % 16; bit < 64 && where; bit += 16) {
            build_small(seed);
            where = used_word(n, &used);
            if (where) {
                char what[96];
                snprintf(what, sizeof(what), "seed %llu word %#llx bit %u", (unsigned long long)seed,
                         (unsigned long long)where, bit);
                *old_kernel_word(&w->m.k[0], where) ^= 1ull << bit;
                check_mutant(amd_world_take_over(w), what);
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
    for (unsigned seed = 1; seed <= 3 * rounds(); seed++)
        mutants += flip(seed);
    print_message("%u mutants of one bit\n", mutants);
    assert_true(mutants > 1000);
}

// A word of the old tables, changed in a way that tables get broken.
static void mutate(void)
{
    const struct old_kernel *k = &w->m.k[0];
    unsigned used, chosen;
    used_word(~0u, &used);
    uint64_t *word = old_kernel_word(k, used_word((unsigned)world_below(used), &chosen));
    static const uint64_t places[] = {
        0,          M_CRASH_START, M_POOL_START, M_POOL_START + 0x5000, M_AMD(0),
        M_FIRMWARE, M_OLD_START,   M_OLD_END,    0x7FFFFFF000,          0xFFFFFFFFFF000};
    switch (world_below(6)) {
    case 0:
        *word = ~0ull;
        break;
    case 1:
        *word = world_below(~0ull);
        break;
    case 2:
        *word = (*word & 0xFFF0000000000FFFull) | places[world_below(10)];
        break;
    case 3: // a table that leads to another one, or to itself
        *word = (*word & 0xFFF0000000000FFFull) | (k->pa + world_below(k->used) / 4096 * 4096);
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
        build_small(n % 97 + 1000);
        // The tables are those of a seed; what is done to them is another one's.
        for (unsigned skip = n / 97; skip; skip--)
            world_below(2);
        w->m.config.broken = n % 3 ? DAM_POLICY_BLOCK : DAM_POLICY_SCRATCH;
        for (uint64_t changes = 1 + world_below(3); changes; changes--)
            mutate();
        char what[32];
        snprintf(what, sizeof(what), "mutant %u", n);
        check_mutant(amd_world_take_over(w), what);
        told += reported() != 0;
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
    return cmocka_run_group_tests_name("takeover properties, AMD", tests, NULL, NULL);
}

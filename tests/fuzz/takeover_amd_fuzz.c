// SPDX-License-Identifier: MIT
// Whole takeovers of an AMD IOMMU whose device table, GCR3 tables and page tables have any bytes changed:
// whatever they say, nobody reaches more than before, nothing writes under freeze, nobody reaches the crash
// region, translation is never off, and old memory stays as it was.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/amd_world.h"
#include "lib/world.h"

#define OTHERS 24u // more functions, of all the device table

static struct amd_world world;
static struct amd_world *const w = &world;
static struct naive_amd_result others[OTHERS][8];

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s; %s\n", what, w->m.fake->violation);
    abort();
}

// Changes of 11 bytes: which word of the tables, how, with what.
static void change(const uint8_t *data, size_t size)
{
    const struct old_kernel *k = &w->m.k[0];
    for (; size >= 11; data += 11, size -= 11) {
        uint64_t raw, at = (data[0] | (uint64_t)data[1] << 8) * 8;
        memcpy(&raw, data + 3, 8);
        if (data[2] & 0x80) // an entry of one of those that are looked at
            at = w->r[data[0] % AMD_WORLD_REQUESTERS].devid * 32ull + data[1] % 4 * 8;
        uint64_t *word = old_kernel_word(k, k->pa + at % k->used);
        switch (data[2] & 3) {
        case 0:
            *word = raw;
            break;
        case 1:
            *word ^= 1ull << raw % 64;
            break;
        case 2: // leads to another of the tables
            *word = (*word & 0xFFF0000000000FFFull) | (k->pa + raw % k->used / 4096 * 4096);
            break;
        default: // or elsewhere
            *word = (*word & 0xFFF0000000000FFFull) | (raw & 0x000FFFFFFFFFF000ull);
        }
    }
}

static struct naive_amd_result look_at_other(unsigned i, unsigned p)
{
    // Addresses as such, so that what passes untranslated is noticed; and probes of the trees.
    const uint64_t iova = p < 4 ? M_OLD_START + p * 0x201000 : w->probe[(i * 8 + p) % w->probes];
    return fake_amdvi_look(w->m.amd, 0, i * 43 % M_AMD_ENTRIES, NAIVE_AMD_NO_PASID, iova, p & 1);
}

static void check(const struct naive_amd_result *old, const struct naive_amd_result *now, bool frozen,
                  bool write, uint64_t iova)
{
    const bool window = w->window_end && iova >= w->window_start && iova < w->window_end && now->pa == iova;
    const bool crash =
        w->crash.count && iova >= w->crash.at[0].start && iova < w->crash.at[0].end && now->pa == iova;
    if (!now->ok || window || crash || (w->scratch && now->pa - w->scratch < 4096))
        return;
    must(old->ok && old->pa == now->pa, "more than before");
    must(!frozen || !write, "a write passes");
    must(!machine_keeps_out(now->pa), "into the crash region");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    amd_world_build(w, data[0] % 64, 4);
    if (data[1] & 1)
        amd_world_hide(w);
    w->m.config.broken = data[1] & 2 ? DAM_POLICY_SCRATCH : DAM_POLICY_BLOCK;
    w->m.config.max_tables = 2000;
    w->probes = w->probes > 48 ? 48 : w->probes;
    change(data + 2, size - 2);
    // What the unit would do before; amd_world_take_over() does so for its own requesters.
    for (unsigned i = 0; i < OTHERS; i++) {
        fake_amdvi_run(&w->m.amd->unit[0], w->m.k[0].root | (M_AMD_ENTRIES / 128 - 1), M_AMD_BUFFERS,
                       M_AMD_BUFFERS + 0x2000);
        for (unsigned p = 0; p < 8; p++)
            others[i][p] = look_at_other(i, p);
    }
    enum dam_stop stop = amd_world_take_over(w);
    must(stop == DAM_STOP_NONE || DAM_STOP_IS_UNTOUCHED(stop), "failed half way");
    must(!w->m.fake->violations, "against the description");
    must(!w->m.amd->unit[0].off, "translation went off");
    must(machine_old_memory_untouched(&w->m), "old memory was written");
    for (unsigned i = 0; i < AMD_WORLD_REQUESTERS && !stop; i++) {
        for (unsigned n = 0; n < 2 * w->probes; n++) {
            struct naive_amd_result now = amd_world_does(w, i, n / 2, n & 1);
            check(&w->old[i][n / 2][n & 1], &now, w->r[i].policy == DAM_POLICY_FREEZE, n & 1,
                  w->probe[n / 2]);
        }
    }
    for (unsigned n = 0; n < OTHERS * 8 && !stop; n++) {
        const unsigned i = n / 8, p = n % 8;
        const uint64_t iova = p < 4 ? M_OLD_START + p * 0x201000 : w->probe[n % w->probes];
        struct naive_amd_result now = look_at_other(i, p);
        check(&others[i][p], &now, false, p & 1, iova);
    }
    machine_teardown(&w->m);
    return 0;
}

// SPDX-License-Identifier: MIT
#include "lib/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rng_state;

static uint64_t rng(void)
{
    // xorshift64*
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return rng_state * 0x2545F4914F6CDD1Dull;
}

void world_seed(uint64_t seed)
{
    rng_state = seed * 0x9E3779B97F4A7C15ull + 1;
}

uint64_t world_below(uint64_t n)
{
    return rng() % n;
}
#define below world_below

// ---- page tables ------------------------------------------------------------------------------------------
static void probe_near(struct world *w, uint64_t iova)
{
    static const uint64_t offsets[] = {0, 0xFFF, 0x1000, ~0ull};
    for (unsigned i = 0; i < 4 && w->probes < WORLD_PROBES - 8; i++)
        w->probe[w->probes++] = iova + offsets[i];
}

#define CRASH_WINDOW_PAGES 64u

// Below 4 GiB, as Linux allocates, or anywhere; now and then where the crash window is or beside it.
uint64_t world_iova(unsigned bits, unsigned level)
{
    if (level == 0 && below(64) == 0)
        return M_CRASH_START + below(2 * CRASH_WINDOW_PAGES) * 4096;
    uint64_t iova = below(2) ? rng() : (0xFFFFF000ull - below(64) * 4096);
    iova &= bits < 64 ? (1ull << bits) - 1 : ~0ull;
    return iova >> (12 + 9 * level) << (12 + 9 * level);
}

// Mostly old memory, some of it the crash region, some device memory.
uint64_t world_pa(unsigned level)
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

// Large leaves and tables do not mix in one slot.
static bool taken(const struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level, uint64_t iova,
                  unsigned present)
{
    for (unsigned l = levels - 1;; l--) {
        const uint64_t *e = old_kernel_word(k, tree + (iova >> (12 + 9 * l) & 511) * 8);
        if (!(*e & present))
            return false;
        if (l == level || (*e & 0x80))
            return true;
        tree = *e & 0x000FFFFFFFFFF000ull;
    }
}

static void map_second(struct world *w, uint64_t tree, unsigned levels, unsigned level, uint64_t iova)
{
    struct old_kernel *k = &w->m.k[0];
    old_kernel_map(k, tree, levels, level, iova, world_pa(level), (unsigned)below(3) + 1);
    // Ignored bits.
    if (below(4) == 0)
        *old_kernel_entry(k, tree, levels, level, iova) |= 1ull << (52 + below(10)) | 1 << 10;
    // Permissions are ANDed on the way down: take one away above, now and then.
    uint64_t *above = level + 1 < levels ? old_kernel_entry(k, tree, levels, level + 1, iova) : NULL;
    if (above && below(6) == 0)
        *above &= ~(1ull << below(2));
}

void world_map_first(struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level, uint64_t iova,
                     bool marked)
{
    unsigned flags = OLD_FS_P | OLD_FS_U | (below(2) ? OLD_FS_W : 0) | OLD_FS_A | OLD_FS_D;
    if (!marked && below(4) == 0)
        flags &= ~(OLD_FS_A | OLD_FS_D);
    if (below(8) == 0)
        flags &= ~OLD_FS_U;
    old_kernel_map_first(k, tree, levels, level, iova, world_pa(level), flags);
    uint64_t entry = tree;
    for (unsigned l = levels - 1; l > level; l--) {
        uint64_t *e = old_kernel_word(k, entry + (iova >> (12 + 9 * l) & 511) * 8);
        entry = *e & 0x000FFFFFFFFFF000ull;
        if (below(16) == 0)
            *e &= ~(below(2) ? (uint64_t)OLD_FS_W : OLD_FS_U);
        if (!marked && below(16) == 0)
            *e &= ~(uint64_t)OLD_FS_A;
    }
    if (below(4) == 0) // the memory type, execute-disable, what software may use
        *old_kernel_word(k, entry + (iova >> (12 + 9 * level) & 511) * 8) |= 1ull
                                                                             << (below(3) ? 52 + below(12)
                                                                                 : level  ? 12
                                                                                          : 7);
}

static uint64_t random_tree(struct world *w, bool first, unsigned levels, bool marked)
{
    struct old_kernel *k = &w->m.k[0];
    uint64_t tree = old_kernel_page(k);
    for (unsigned i = 0; i < w->mappings; i++) {
        unsigned kind = (unsigned)below(8), level = kind == 0 ? 2 : kind == 1 ? 1 : 0;
        uint64_t iova = world_iova(12 + 9 * levels, level);
        if (k->size - k->used < 40 * 4096)
            break;
        if (taken(k, tree, levels, level, iova, first ? 1 : 3))
            continue;
        if (first)
            world_map_first(k, tree, levels, level, iova, marked);
        else
            map_second(w, tree, levels, level, iova);
        if (first && iova >> (12 + 9 * levels - 1)) // the upper half is negative
            iova |= ~0ull << (12 + 9 * levels - 1);
        probe_near(w, iova);
        if (level)
            probe_near(w, iova + below(1ull << (12 + 9 * level)));
    }
    return tree;
}

// ---- who is bound to what ---------------------------------------------------------------------------------
static void bind_legacy(struct world *w, struct asked *r, unsigned i, uint64_t shared)
{
    bool identity = i == 1 && below(2);
    uint64_t tree = below(3) ? random_tree(w, false, w->levels, true) : shared;
    r->rid = (unsigned)below(3) << 8 | i << 3;
    r->pasid = NAIVE_NO_PASID;
    // Ids are shared by chance: then the second table needs a new one.
    old_kernel_attach(&w->m.k[0], r->rid, identity ? 2 : 0, w->levels, 2 + (unsigned)below(6),
                      identity ? 0 : tree);
}

// The guest's tables lie in memory that its second stage maps one to one; what they lead to, now and then
// not.
static void bind_nested(struct world *w, const struct asked *r, unsigned did)
{
    struct old_kernel *k = &w->m.k[0];
    uint64_t host = old_kernel_page(k), guest = random_tree(w, true, 4, true);
    for (uint64_t at = M_OLD_START & ~0x1FFFFFull; at < M_CRASH_END; at += 0x200000)
        old_kernel_map(k, host, w->levels, 1, at, at, OLD_R | OLD_W);
    old_kernel_map(k, host, w->levels, 1, 0xC0000000, world_pa(1), 1 + (unsigned)below(3));
    old_kernel_nest(k, r->rid, r->pasid, 4, guest, w->levels, did, host);
    w->marks_guests |= r->policy == DAM_POLICY_PRESERVE;
}

static void bind_scalable(struct world *w, struct asked *r, unsigned i, uint64_t shared)
{
    static const unsigned rids[] = {0x0018, 0x00A0, 0x0218};
    struct old_kernel *k = &w->m.k[0];
    unsigned did = 2 + (unsigned)below(6), kind = (unsigned)below(9), first_levels = 4;
    r->rid = rids[i / 2];
    if (i % 2 == 0) {
        old_kernel_directory(k, r->rid, (unsigned)below(3), 1 << 3);
        old_kernel_function(k, r->rid)[1] = below(2) ? 3 : 0; // RID_PASID
    }
    unsigned plain = (unsigned)old_kernel_function(k, r->rid)[1];
    r->pasid = i % 2 == 0 ? plain : 60 + i * 2 + (unsigned)below(8000);
    if (w->m.fake->unit[0].cap >> 60 & 1)
        first_levels += (unsigned)below(2);
    if (kind == 0)
        old_kernel_bind(k, r->rid, r->pasid, 4, w->levels, 1, 0);
    else if (kind < 3)
        bind_nested(w, r, did);
    else if (kind < 6)
        old_kernel_bind(k, r->rid, r->pasid, 1, first_levels, did,
                        random_tree(w, true, first_levels, below(2)));
    else
        old_kernel_bind(k, r->rid, r->pasid, 2, w->levels, did,
                        below(3) ? random_tree(w, false, w->levels, true) : shared);
    old_kernel_pasid(k, r->rid, r->pasid)[2] |= (kind >= 1 && kind < 6) ? below(2) << 5 : 0; // NXE
    w->m.config.choices[i].pasid = r->pasid;
    if (i % 2 == 0 && below(2))
        r->pasid = NAIVE_NO_PASID; // the requests of this one carry none
}

static void make_unit(struct world *w)
{
    struct fake_unit *unit = &w->m.fake->unit[0];
    if (w->scalable) {
        machine_scalable(&w->m, 0);
        unit->cap = (unit->cap & ~(1ull << 56)) | below(2) << 56 | below(2) << 60;
    }
    w->levels = 3 + (unsigned)below(3);
    unsigned width = 12 + 9 * w->levels;
    unit->cap =
        (unit->cap & ~(0x1Full << 8 | 0x3Full << 16)) | 1ull << (6 + w->levels) | (uint64_t)(width - 1) << 16;
    unit->ecap = (unit->ecap & ~1ull) | below(2);
    unit->latency = (unsigned)below(3);
}

void world_build(struct world *w, uint64_t seed, bool scalable, unsigned mappings)
{
    memset(w, 0, sizeof(*w));
    w->mappings = mappings;
    w->scalable = scalable;
    world_seed(seed);
    machine_setup(&w->m, 1);
    make_unit(w);
    uint64_t shared = random_tree(w, false, w->levels, true);
    for (unsigned i = 0; i < WORLD_REQUESTERS; i++) {
        struct asked *r = &w->r[i];
        r->policy = (enum dam_policy)below(4);
        struct dam_choice *choice = &w->m.config.choices[i];
        *choice = (struct dam_choice){.pasid = DAM_ANY_PASID, .policy = r->policy};
        if (scalable)
            bind_scalable(w, r, i, shared);
        else
            bind_legacy(w, r, i, shared);
        choice->requester.rid = (uint16_t)r->rid;
    }
    w->m.config.choice_count = WORLD_REQUESTERS;
    w->device = w->r[0].rid;
    for (unsigned i = 0; i < 8; i++)
        w->probe[w->probes++] = rng() & ((1ull << (12 + 9 * w->levels + (i == 0))) - 1);
    if (below(2)) {
        w->window_start = 0xD0000000ull + below(64) * 4096;
        w->window_end = w->window_start + (1 + below(1024)) * 4096;
        fake_vtd_pci(w->m.fake, w->device >> 8, w->device >> 3 & 31, 0, 0);
        firmware_rmrr(&w->m.firmware, 0, w->window_start, w->window_end - 1);
        firmware_scope(&w->m.firmware, 1, (uint8_t)(w->device >> 8), (uint8_t)(w->device >> 3 & 31), 0);
        probe_near(w, w->window_start);
        w->probes = w->probes > WORLD_PROBES - 8 ? WORLD_PROBES - 8 : w->probes;
        w->probe[w->probes++] = w->window_end - 1;
        w->probe[w->probes++] = w->window_end;
    }
}

void world_hide(struct world *w)
{
    uint64_t end = M_CRASH_START + CRASH_WINDOW_PAGES * 4096;
    dam_ranges_init(&w->crash, w->crash_storage, 1);
    if (dam_ranges_add(&w->crash, M_CRASH_START, end))
        abort();
    w->m.config.hide = true;
    w->m.config.crash_window = &w->crash;
    w->probes = w->probes > WORLD_PROBES - 5 ? WORLD_PROBES - 5 : w->probes;
    const uint64_t probes[] = {M_CRASH_START - 1, M_CRASH_START, M_CRASH_START + 0x5008, end - 1, end};
    for (unsigned i = 0; i < 5; i++)
        w->probe[w->probes++] = probes[i];
}

// ---- Old, and what the policies say about it --------------------------------------------------------------
static struct naive_context context_of(const struct world *w, unsigned i)
{
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    return naive_vtd_context_pasid(&hw, w->r[i].rid, w->r[i].pasid);
}

// The PASID of requests without one, as the tables say it now.
static unsigned plain_pasid(const struct world *w, const struct asked *r)
{
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    return naive_vtd_function(&hw, r->rid).w[1] & 0xFFFFF;
}

// A changed context entry leads requests without PASID to another one, which has a policy of its own.
static enum dam_policy policy_now(const struct world *w, const struct asked *r)
{
    const struct dam_takeover_config *c = &w->m.config;
    if (!w->scalable || r->pasid != NAIVE_NO_PASID)
        return r->policy;
    for (size_t i = c->choice_count; i-- > 0;)
        if (c->choices[i].requester.rid == r->rid && c->choices[i].pasid == plain_pasid(w, r))
            return c->choices[i].policy;
    return c->policy;
}

// The crash window is for requests without PASID, or with the one that those have; not for nested
// translation; and not where the old tables gave one of its addresses another meaning.
static bool gets_crash_window(const struct world *w, unsigned i)
{
    const struct asked *r = &w->r[i];
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    if (!w->crash.count || !r->stage || r->stage == 3)
        return false;
    if (r->pasid != NAIVE_NO_PASID && r->pasid != plain_pasid(w, r))
        return false;
    for (uint64_t at = w->crash.at[0].start; at < w->crash.at[0].end; at += 4096) {
        for (unsigned write = 0; write < 2; write++) {
            struct naive_result old = naive_vtd_translate_pasid(&hw, r->rid, r->pasid, at, write);
            if (old.ok && old.pa != at)
                return false;
        }
    }
    return true;
}

// All requesters with the tree of the region's device share its window; nested ones have none.
static void look_at_bindings(struct world *w)
{
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    struct naive_context named = naive_vtd_context(&hw, w->device);
    for (unsigned i = 0; i < WORLD_REQUESTERS; i++) {
        struct naive_context c = context_of(w, i);
        struct asked *r = &w->r[i];
        r->stage = c.reason == NAIVE_OK ? c.stage : 0;
        r->levels = r->stage == 1 ? c.first_levels : c.aw + 2;
        bool same = r->stage == 1 ? c.first == named.first && c.first_levels == named.first_levels
                                  : c.aw == named.aw && (r->stage == 4 || c.root == named.root);
        bool second = (r->stage == 2 || r->stage == 3) && named.stage == 2; // one tree for both
        r->window = w->window_end && r->stage && named.reason == NAIVE_OK && named.stage != 3 && same &&
                    (r->stage == named.stage || second);
        r->policy = policy_now(w, r);
        r->crash = gets_crash_window(w, i);
    }
}

enum dam_stop world_take_over(struct world *w)
{
    if (!machine_start(&w->m))
        return DAM_STOP_POOL;
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    for (unsigned i = 0; i < WORLD_REQUESTERS; i++)
        for (unsigned p = 0; p < w->probes; p++)
            for (unsigned write = 0; write < 2; write++)
                w->old[i][p][write] =
                    naive_vtd_translate_pasid(&hw, w->r[i].rid, w->r[i].pasid, w->probe[p], write);
    look_at_bindings(w);
    enum dam_stop stop = machine_run(&w->m);
    machine_report(&w->m);
    w->scratch = machine_summary(&w->m)->scratch_page;
    return stop;
}

// Whether an address is one of those that the tables of a requester can translate at all.
static bool inside(const struct asked *r, uint64_t iova)
{
    unsigned width = 12 + 9 * r->levels;
    if (r->stage != 1)
        return iova >> width == 0;
    return iova >> (width - 1) == 0 || iova >> (width - 1) == ~0ull >> (width - 1);
}

struct naive_result world_expects(const struct world *w, unsigned i, unsigned p, bool write)
{
    const struct asked *r = &w->r[i];
    uint64_t iova = w->probe[p];
    struct naive_result refused = {.ok = false}, old = w->old[i][p][write];
    if ((write && iova >> 20 == 0xFEE) || !r->stage)
        return refused;
    if (r->crash && iova >= w->crash.at[0].start && iova < w->crash.at[0].end)
        return (struct naive_result){.ok = true, .pa = iova};
    if (r->window && r->stage != 3 && iova >= w->window_start && iova < w->window_end)
        return (struct naive_result){.ok = true, .pa = iova};
    if (r->policy == DAM_POLICY_BLOCK)
        return refused;
    if (r->policy == DAM_POLICY_SCRATCH)
        return inside(r, iova) ? (struct naive_result){.ok = true, .pa = w->scratch + iova % 4096} : refused;
    if (!old.ok || machine_keeps_out(old.pa) || (r->policy == DAM_POLICY_FREEZE && write))
        return refused;
    if (r->stage == 4 && iova >> 32) // identity reaches over what the machine has
        return refused;
    return old;
}

struct naive_result world_does(const struct world *w, unsigned i, unsigned p, bool write)
{
    struct naive_vtd hw = fake_vtd_naive(w->m.fake, 0);
    return naive_vtd_translate_pasid(&hw, w->r[i].rid, w->r[i].pasid, w->probe[p], write);
}

void world_tell(const struct world *w, unsigned i, unsigned p, bool write, char *text, size_t size)
{
    struct naive_result want = world_expects(w, i, p, write), got = world_does(w, i, p, write);
    const struct asked *r = &w->r[i];
    snprintf(
        text, size,
        "requester %u (%#x:%#x, policy %d, stage %u%s%s) %s iova %#llx: %d %#llx reason %#x, not %d %#llx", i,
        r->rid, r->pasid, r->policy, r->stage, r->window ? ", window" : "", r->crash ? ", crash window" : "",
        write ? "writes" : "reads", (unsigned long long)w->probe[p], got.ok, (unsigned long long)got.pa,
        got.reason, want.ok, (unsigned long long)want.pa);
}

// SPDX-License-Identifier: MIT
#include "lib/amd_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/world.h"

#define below              world_below
#define NO_PASID           NAIVE_AMD_NO_PASID
#define CRASH_WINDOW_PAGES 64u
#define ADDRESS            0x000FFFFFFFFFF000ull

static const unsigned devids[AMD_WORLD_REQUESTERS] = {0x0018, 0x0020, 0x0128, 0x0130, 0x0218, 0x0220, 0x0300};

// ---- page tables ------------------------------------------------------------------------------------------
static void probe_near(struct amd_world *w, uint64_t iova)
{
    static const uint64_t offsets[] = {0, 0xFFF, 0x1000, ~0ull};
    for (unsigned i = 0; i < 4 && w->probes < AMD_WORLD_PROBES - 16; i++)
        w->probe[w->probes++] = iova + offsets[i];
}

static unsigned bits_of(unsigned levels)
{
    return levels < 6 ? 12 + 9 * levels : 64;
}

// Whether nothing is on the way to entries of `level` for [iova, iova + size) that does not lead on.
static bool is_free(const struct old_kernel *k, uint64_t tree, unsigned mode, unsigned level, uint64_t iova,
                    uint64_t size)
{
    for (uint64_t at = iova;; at += 4096ull << 9 * level) {
        uint64_t table = tree;
        for (unsigned l = mode - 1;; l--) {
            const uint64_t *e = old_kernel_word(k, table + (at >> (12 + 9 * l) & 511) * 8);
            if (!(*e & 1))
                break;
            if (l == level || (*e >> 9 & 7) != l)
                return false;
            table = *e & ADDRESS;
        }
        if (at + (4096ull << 9 * level) - iova >= size)
            return true;
    }
}

// Bits that hardware ignores, or that say nothing about where and whether.
static uint64_t noise(void)
{
    static const unsigned bits[] = {1, 2, 3, 4, 5, 6, 7, 8, 57, 58, 59, 60, 63};
    return below(4) ? 0 : 1ull << bits[below(sizeof(bits) / sizeof(bits[0]))];
}

static void map_host(struct amd_world *w, uint64_t tree, unsigned mode, unsigned level)
{
    struct old_kernel *k = &w->m.k[0];
    const unsigned bits = bits_of(mode), rights = below(12) ? 1 + (unsigned)below(3) : 0;
    const bool run = level < 2 && mode > level && below(4) == 0;
    const unsigned log2 = 12 + 9 * level + (run ? 1 + (unsigned)below(8) : 0);
    uint64_t iova = world_iova(bits, level) >> log2 << log2, size = 1ull << log2;
    if (bits < 64 && iova >> bits)
        return;
    if (log2 > bits || !is_free(k, tree, mode, level, iova, size))
        return;
    if (run) {
        old_amd_map_run(k, tree, mode, log2, iova, world_pa(level) >> log2 << log2, rights);
    } else {
        old_amd_map(k, tree, mode, level, iova, world_pa(level), rights);
        *old_amd_pte(k, tree, mode, level, iova) |= noise();
    }
    // Rights are ANDed on the way down: take one away above, now and then.
    uint64_t *above = level + 1 < mode ? old_amd_pte(k, tree, mode, level + 1, iova) : NULL;
    if (above && below(6) == 0)
        *above &= ~(1ull << (61 + below(2)));
    probe_near(w, iova);
    if (size > 4096)
        probe_near(w, iova + below(size));
}

// An entry that leaves levels out, and a page below it.
static void map_skipping(struct amd_world *w, uint64_t tree, unsigned mode)
{
    struct old_kernel *k = &w->m.k[0];
    const unsigned level = 2 + (unsigned)below(mode - 2), next = 1 + (unsigned)below(level - 1);
    const uint64_t span = 4096ull << 9 * level, iova = world_iova(bits_of(mode), level) / span * span;
    if (!is_free(k, tree, mode, level, iova, span))
        return;
    uint64_t table = old_kernel_page(k);
    old_amd_map(k, tree, mode, level, iova, table, OLD_R | OLD_W);
    *old_amd_pte(k, tree, mode, level, iova) |= (uint64_t)next << 9;
    uint64_t inside = world_iova(12 + 9 * next, 0);
    if (inside >> (12 + 9 * next))
        return;
    old_amd_map(k, table, next, 0, inside, world_pa(0), 1 + (unsigned)below(3));
    probe_near(w, iova + inside);
    if (w->probes < AMD_WORLD_PROBES - 16) // a bit of the levels that are left out
        w->probe[w->probes++] = (iova + inside) | 1ull << (12 + 9 * next + below(9 * (level - next)));
}

static uint64_t host_tree(struct amd_world *w, unsigned mode)
{
    struct old_kernel *k = &w->m.k[0];
    uint64_t tree = old_kernel_page(k);
    for (unsigned i = 0; i < w->mappings && k->size - k->used > 40 * 4096; i++) {
        unsigned dice = (unsigned)below(8), level = dice == 0 ? 2 : dice == 1 ? 1 : 0;
        if (mode > 2 && below(16) == 0)
            map_skipping(w, tree, mode);
        else if (level < mode)
            map_host(w, tree, mode, level);
    }
    return tree;
}

static uint64_t guest_tree(struct amd_world *w, unsigned levels)
{
    struct old_kernel *k = &w->m.k[0];
    uint64_t tree = old_kernel_page(k);
    for (unsigned i = 0; i < w->mappings && k->size - k->used > 40 * 4096; i++) {
        unsigned dice = (unsigned)below(8), level = dice == 0 ? 2 : dice == 1 ? 1 : 0;
        uint64_t iova = world_iova(bits_of(levels), level), *e;
        bool taken = false;
        for (unsigned l = levels - 1; !taken && l >= level; l--) {
            e = old_kernel_entry(k, tree, levels, l, iova);
            taken = e && (*e & 1) && (l == level || (*e & 0x80));
            if (!e || !(*e & 1) || l == 0)
                break;
        }
        if (taken)
            continue;
        world_map_first(k, tree, levels, level, iova, below(2));
        if (iova >> (11 + 9 * levels)) // the upper half is negative
            iova |= ~0ull << (11 + 9 * levels);
        probe_near(w, iova);
        if (level)
            probe_near(w, iova + below(4096ull << 9 * level));
    }
    return tree;
}

// ---- who is bound to what ---------------------------------------------------------------------------------
static unsigned rights_of_entry(void)
{
    return below(4) ? OLD_R | OLD_W : 1 + (unsigned)below(2);
}

// The guest's tables lie in memory that its host tables map one to one; what they lead to, now and then not.
static uint64_t host_of_guest(struct amd_world *w, unsigned mode)
{
    struct old_kernel *k = &w->m.k[0];
    uint64_t host = old_kernel_page(k);
    for (uint64_t at = M_OLD_START & ~0x1FFFFFull; at < M_CRASH_END; at += 0x200000)
        old_amd_map(k, host, mode, 1, at, at, OLD_R | OLD_W);
    old_amd_map(k, host, mode, 1, 0xC0000000, world_pa(1), 1 + (unsigned)below(3));
    return host;
}

static void bind_guest(struct amd_world *w, struct amd_asked *r, unsigned did, bool nested)
{
    struct old_kernel *k = &w->m.k[0];
    const struct fake_amd_unit *u = &w->m.amd->unit[0];
    const unsigned levels = 4 + (nested ? 0 : (unsigned)below((u->efr >> 12 & 1) + 1));
    const unsigned mode = nested ? 3 + (unsigned)below(2) : 0, glx = 1 + (unsigned)below(3);
    const bool giov = nested || below(4);
    const unsigned pasid = giov && below(2) ? 0 : (unsigned)below(1u << (9 * glx > 16 ? 16 : 9 * glx));
    uint64_t tree = guest_tree(w, levels);
    old_amd_attach(k, r->devid, mode, did, nested ? host_of_guest(w, mode) : 0,
                   nested ? OLD_R | OLD_W : rights_of_entry());
    old_amd_guest(k, r->devid, glx, giov, levels);
    *old_amd_gcr3(k, r->devid, pasid) = tree | 1;
    if (pasid || !giov)
        r->pasid = pasid;
}

static void bind(struct amd_world *w, struct amd_asked *r, unsigned i, uint64_t shared, unsigned shared_mode)
{
    struct old_kernel *k = &w->m.k[0];
    const unsigned did = 2 + (unsigned)below(6), most = 4 + (unsigned)(w->m.amd->unit[0].efr >> 10 & 3);
    unsigned mode = below(8) ? 3 + (unsigned)below(most - 2) : 1 + (unsigned)below(2);
    r->devid = devids[i];
    r->pasid = NO_PASID;
    switch (below(16)) {
    case 0: // as Linux leaves it
        break;
    case 1:
        old_amd_entry(k, r->devid)[0] = below(2) ? OLD_AMD_V : OLD_AMD_V | OLD_AMD_RW | 3ull << 9;
        break;
    case 2:
        old_amd_entry(k, r->devid)[0] = below(2) ? 0 : OLD_AMD_TV | 5ull << 9 | 0x5000; // V = 0
        break;
    case 3:
        old_amd_pass(k, r->devid, did, rights_of_entry());
        break;
    case 4:
    case 5:
        bind_guest(w, r, did, true);
        break;
    case 6:
    case 7:
    case 8:
        bind_guest(w, r, did, false);
        break;
    case 9:
    case 10:
        old_amd_attach(k, r->devid, shared_mode, did, shared, rights_of_entry());
        break;
    default:
        old_amd_attach(k, r->devid, mode, did, host_tree(w, mode), rights_of_entry());
    }
    uint64_t *e = old_amd_entry(k, r->devid);
    e[1] |= below(4) ? 0 : OLD_AMD_I;
    e[1] |= below(4) ? 0 : 1ull << 40 | (e[0] & OLD_AMD_IW ? 0 : 1ull << 41); // system management messages
    e[1] |= below(4) ? 0 : OLD_AMD_SE;
}

static void make_unit(struct amd_world *w)
{
    struct fake_amd_unit *u = &w->m.amd->unit[0];
    u->efr = FAKE_AMD_EFR_GT | FAKE_AMD_EFR_HATS(below(3)) | FAKE_AMD_EFR_GATS(below(2)) |
             FAKE_AMD_EFR_GLX(2) | FAKE_AMD_EFR_PAS(19) | FAKE_AMD_EFR_GIO | (below(4) ? FAKE_AMD_EFR_IA : 0);
    u->latency = (unsigned)below(3);
    u->supervisor = below(2);
    if (below(4) == 0)
        u->resets_pointers = true;
}

static void make_window(struct amd_world *w)
{
    unsigned dice = (unsigned)below(4);
    w->window_start = 0xD0000000ull + below(64) * 4096;
    w->window_end = w->window_start + (1 + below(1024)) * 4096;
    w->window_r = dice != 1;
    w->window_w = dice != 2;
    unsigned flags = dice == 3 ? 8 : 1u | (unsigned)w->window_r << 1 | (unsigned)w->window_w << 2;
    uint16_t last = (uint16_t)w->device;
    firmware_ivmd(&w->m.firmware, 0x21, (uint8_t)flags, last, 0, w->window_start,
                  w->window_end - w->window_start);
    probe_near(w, w->window_start);
    w->probe[w->probes++] = w->window_end - 1;
    w->probe[w->probes++] = w->window_end;
}

void amd_world_build(struct amd_world *w, uint64_t seed, unsigned mappings)
{
    memset(w, 0, sizeof(*w));
    w->mappings = mappings;
    world_seed(seed);
    machine_setup_amd(&w->m, 1);
    make_unit(w);
    for (unsigned i = 0; i < 8; i++)
        w->probe[w->probes++] = world_iova(i % 2 ? 64 : 48, 0) + below(4096);
    const unsigned shared_mode = 3 + (unsigned)below(2);
    uint64_t shared = host_tree(w, shared_mode);
    for (unsigned i = 0; i < AMD_WORLD_REQUESTERS; i++) {
        struct amd_asked *r = &w->r[i];
        bind(w, r, i, shared, shared_mode);
        r->policy = i == AMD_WORLD_OTHER ? DAM_POLICY_FREEZE : (enum dam_policy)below(4);
        if (i == AMD_WORLD_OTHER)
            break;
        w->m.config.choices[i] = (struct dam_choice){{0, (uint16_t)r->devid}, DAM_ANY_PASID, r->policy};
    }
    w->m.config.choice_count = AMD_WORLD_REQUESTERS - 1;
    w->device = w->r[0].devid;
    if (below(2))
        make_window(w);
}

void amd_world_hide(struct amd_world *w)
{
    uint64_t end = M_CRASH_START + CRASH_WINDOW_PAGES * 4096;
    dam_ranges_init(&w->crash, w->crash_storage, 1);
    if (dam_ranges_add(&w->crash, M_CRASH_START, end))
        abort();
    w->m.config.hide = true;
    w->m.config.crash_window = &w->crash;
    const uint64_t probes[] = {M_CRASH_START - 1, M_CRASH_START, M_CRASH_START + 0x5008, end - 1, end};
    for (unsigned i = 0; i < 5; i++)
        w->probe[w->probes++] = probes[i];
}

// ---- Old, and what the policies say about it --------------------------------------------------------------
// What the GCR3 table of an entry says for a PASID; 0 where it leads nowhere.
static uint64_t guest_root(const struct amd_world *w, const uint64_t *e, unsigned pasid)
{
    uint64_t table = (e[0] >> 58 & 7) << 12 | (e[1] >> 16 & 0xFFFF) << 15 | e[1] >> 43 << 31;
    for (unsigned level = (unsigned)(e[0] >> 56 & 3) + 1; level; level--) {
        const uint64_t *entry = fake_vtd_ptr(w->m.fake, table + (pasid >> (9 * (level - 1)) & 511) * 8, 8);
        if (!entry || !(*entry & 1))
            return 0;
        table = *entry & ADDRESS;
    }
    return table;
}

static void look_at(struct amd_world *w, struct amd_asked *r)
{
    const uint64_t *e = fake_amdvi_entry(w->m.amd, 0, r->devid);
    const unsigned mode = (unsigned)(e[0] >> 9 & 7);
    const bool guest = e[0] >> 55 & 1, with = r->pasid != NO_PASID, giov = e[0] >> 54 & 1;
    struct naive_amd_result any = fake_amdvi_look(w->m.amd, 0, r->devid, r->pasid, 0, false);
    r->kind = AMD_BLOCKED;
    r->levels = 6;
    r->root = 0;
    r->r = e[0] >> 61 & 1;
    r->w = e[0] >> 62 & 1;
    if (!(e[0] & 1)) {
        r->kind = AMD_OPEN;
        r->r = r->w = true;
        return;
    }
    if (!(e[0] & 2) || any.reason == NAIVE_AMD_DTE_RESERVED || (with && !guest) || (!mode && !r->r && !r->w))
        return;
    if (guest && (with || giov)) {
        r->kind = mode || !giov ? AMD_NESTED : AMD_GUEST;
        r->levels = 4 + (unsigned)(e[2] >> 54 & 1);
        r->root = guest_root(w, e, with ? r->pasid : 0);
        if (r->kind == AMD_GUEST && !r->root)
            r->kind = AMD_BLOCKED;
        return;
    }
    r->kind = !mode ? AMD_PASS : guest ? AMD_NESTED : AMD_HOST;
    r->root = mode ? e[0] & ADDRESS : 0;
    r->levels = mode ? mode : 6;
}

// The crash window is for requests without PASID, or with the one that those have; not for nested
// translation; and not where the old tables gave one of its addresses another meaning.
static bool gets_crash_window(struct amd_world *w, const struct amd_asked *r)
{
    const uint64_t *e = fake_amdvi_entry(w->m.amd, 0, r->devid);
    bool plain = r->pasid == NO_PASID || (r->pasid == 0 && (e[0] >> 54 & 1));
    if (!w->crash.count || r->kind == AMD_NESTED || !plain)
        return false;
    // Nobody knows which rights requests will claim: pages of a supervisor count.
    struct fake_amd_unit *u = &w->m.amd->unit[0];
    const bool supervisor = u->supervisor;
    bool other = false;
    u->supervisor = true;
    for (uint64_t at = w->crash.at[0].start; at < w->crash.at[0].end; at += 4096) {
        for (unsigned write = 0; write < 2; write++) {
            struct naive_amd_result old = fake_amdvi_look(w->m.amd, 0, r->devid, r->pasid, at, write);
            other |= old.ok && old.pa != at;
        }
    }
    u->supervisor = supervisor;
    return !other;
}

// All requesters with the tree of the region's device, and its rights, share its window. What passes
// untranslated without being listed has one entry for all.
static void look_at_all(struct amd_world *w)
{
    struct amd_asked device = {.devid = w->device, .pasid = NO_PASID}, *d = &device;
    look_at(w, d); // firmware knows no PASIDs
    for (unsigned i = 0; i < AMD_WORLD_REQUESTERS; i++)
        look_at(w, &w->r[i]);
    for (unsigned i = 0; i < AMD_WORLD_REQUESTERS; i++) {
        struct amd_asked *r = &w->r[i];
        bool identity = r->kind <= AMD_PASS && d->kind <= AMD_PASS; // one view for both
        bool same = r->r == d->r && r->w == d->w &&
                    (identity || (r->kind == d->kind && r->root == d->root && r->levels == d->levels));
        bool any = w->window_end && r->kind != AMD_BLOCKED && r->kind != AMD_NESTED;
        r->window = any && same && d->kind != AMD_BLOCKED && d->kind != AMD_NESTED;
        r->crash = gets_crash_window(w, r);
    }
}

enum dam_stop amd_world_take_over(struct amd_world *w)
{
    if (!machine_start(&w->m))
        return DAM_STOP_POOL;
    for (unsigned i = 0; i < AMD_WORLD_REQUESTERS; i++)
        for (unsigned p = 0; p < w->probes; p++)
            for (unsigned write = 0; write < 2; write++)
                w->old[i][p][write] =
                    fake_amdvi_look(w->m.amd, 0, w->r[i].devid, w->r[i].pasid, w->probe[p], write);
    look_at_all(w);
    enum dam_stop stop = machine_run(&w->m);
    machine_report(&w->m);
    w->scratch = machine_summary(&w->m)->scratch_page;
    return stop;
}

// Whether an address is one of those that the tables of a requester can translate at all.
static bool inside(const struct amd_asked *r, uint64_t iova)
{
    const unsigned width = bits_of(r->levels);
    if (r->kind == AMD_GUEST)
        return iova >> (width - 1) == 0 || iova >> (width - 1) == ~0ull >> (width - 1);
    return width >= 64 || iova >> width == 0;
}

static const struct amd_expected refused = {.may_refuse = true};

static struct amd_expected leads(uint64_t pa)
{
    return (struct amd_expected){.may_pass = true, .pa = pa};
}

static struct amd_expected by_policy(const struct amd_world *w, unsigned i, unsigned p, bool write)
{
    const struct amd_asked *r = &w->r[i];
    const uint64_t iova = w->probe[p];
    struct naive_amd_result old = w->old[i][p][write];
    if (write && iova >> 20 == 0xFEE)
        return refused;
    if (r->crash && iova >= w->crash.at[0].start && iova < w->crash.at[0].end)
        return inside(r, iova) ? leads(iova) : refused;
    if (r->kind == AMD_BLOCKED)
        return refused;
    // Guest tables have nothing that can be written alone.
    if (r->window && r->kind == AMD_GUEST && !w->window_r && iova >= w->window_start && iova < w->window_end)
        return refused;
    if (r->window && iova >= w->window_start && iova < w->window_end)
        return inside(r, iova) && (write ? w->window_w : w->window_r) ? leads(iova) : refused;
    if (r->policy == DAM_POLICY_BLOCK)
        return refused;
    if (r->policy == DAM_POLICY_SCRATCH) {
        struct amd_expected scratch = inside(r, iova) ? leads(w->scratch + iova % 4096) : refused;
        // Of what was nested, requests with PASID may be refused; so may addresses beyond the second stage.
        if (r->kind == AMD_NESTED)
            scratch = (struct amd_expected){true, true, w->scratch + iova % 4096};
        // Of what passed, nobody knows how wide its addresses are.
        if (r->kind <= AMD_PASS && iova >> 32)
            scratch.may_refuse = true;
        return scratch;
    }
    if (!old.ok || machine_keeps_out(old.pa) || (r->policy == DAM_POLICY_FREEZE && write))
        return refused;
    if (r->kind <= AMD_PASS && iova >> 32) // identity reaches over what the machine has
        return refused;
    if (r->kind == AMD_NESTED && !(fake_amdvi_entry(w->m.amd, 0, r->devid)[0] >> 54 & 1) && old.pa >> 32)
        return refused;
    struct amd_expected out = leads(old.pa);
    out.may_refuse = old.unsure;
    return out;
}

struct amd_expected amd_world_expects(const struct amd_world *w, unsigned i, unsigned p, bool write)
{
    struct amd_expected out = by_policy(w, i, p, write);
    // All PASIDs of a function have the rights of one entry, which are not more than they were; and guest
    // tables can be neither written alone nor read through tables that can.
    if (w->r[i].kind >= AMD_GUEST && !(w->r[i].r && (!write || w->r[i].w)))
        out.may_refuse = true;
    // Nobody knows what hardware does with a PASID where the entry is not valid.
    if (w->r[i].kind == AMD_OPEN && w->r[i].pasid != NO_PASID)
        out.may_refuse = true;
    return out;
}

struct naive_amd_result amd_world_does(const struct amd_world *w, unsigned i, unsigned p, bool write)
{
    return fake_amdvi_look(w->m.amd, 0, w->r[i].devid, w->r[i].pasid, w->probe[p], write);
}

void amd_world_tell(const struct amd_world *w, unsigned i, unsigned p, bool write, char *text, size_t size)
{
    static const char *const kinds[] = {"blocked", "open", "passes", "host", "guest", "nested"};
    struct amd_expected want = amd_world_expects(w, i, p, write);
    struct naive_amd_result got = amd_world_does(w, i, p, write), old = w->old[i][p][write];
    const struct amd_asked *r = &w->r[i];
    snprintf(text, size,
             "requester %u (%#x:%#x, policy %d, %s, %u levels%s%s) %s iova %#llx: %d %#llx reason %d, old %d "
             "%#llx, want %s%s %#llx",
             i, r->devid, r->pasid, (int)r->policy, kinds[r->kind], r->levels, r->window ? ", window" : "",
             r->crash ? ", crash window" : "", write ? "writes" : "reads", (unsigned long long)w->probe[p],
             got.ok, (unsigned long long)got.pa, (int)got.reason, old.ok, (unsigned long long)old.pa,
             want.may_pass ? "pass" : "", want.may_refuse ? " refused" : "", (unsigned long long)want.pa);
}

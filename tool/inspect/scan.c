// SPDX-License-Identifier: MIT
// A root table is a page of pointers to pages, with very little else allowed in it (VT-d architecture
// specification r4.1, 9.1 and 9.2): most pages are ruled out by their first words. What is left is followed
// down, through context tables to the page tables.
#include "inspect/scan.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/progress.h"
#include "iommu/vtd/scalable.h"
#include "pgtable/pt.h"

#define WORDS         512u
#define ENTRIES_MAX   256u       // entries looked at for one candidate
#define HOPELESS      16u        // unsound entries before any sound one
#define READS_MAX     (1u << 18) // page reads for all candidates together, beside one for each page
#define DAMAGED_MAX   2u         // halves of root entries that may be broken
#define PROGRESS_STEP (16u << 20)

struct scan {
    struct memory *memory;
    const struct dam_ranges *ram;
    struct scan_result *out;
    struct pt_format first, second;
    uint32_t reads;
};

static const unsigned HAW = 52; // nobody tells how wide addresses are; what is no RAM is refused anyway

static bool in_ram(const struct scan *s, uint64_t pa)
{
    return dam_ranges_contain(s->ram, pa, DAM_PAGE_SIZE);
}

static bool read_table(struct scan *s, dam_pa pa, uint64_t words[WORDS])
{
    s->reads++;
    return memory_read(s->memory, pa, words, DAM_PAGE_SIZE) == DAM_OK;
}

// ---- page tables
// -------------------------------------------------------------------------------------------
enum look { LOOK_STRONG, LOOK_WEAK, LOOK_UNSOUND, LOOK_UNKNOWN };

// Whether a page is a page table of that level. *below: the first table that it leads to, or 0.
static enum look look_at_table(struct scan *s, const struct pt_format *format, const struct pt_params *params,
                               dam_pa pa, unsigned level, uint64_t *below)
{
    uint64_t words[WORDS];
    enum look look = LOOK_WEAK;
    *below = 0;
    if (!in_ram(s, pa.v))
        return LOOK_UNSOUND;
    if (!read_table(s, pa, words))
        return LOOK_UNKNOWN;
    for (unsigned i = 0; i < WORDS; i++) {
        if (words[i] == 0)
            continue;
        struct pt_entry e = format->decode(params, words[i], level);
        if (e.kind == PT_BAD || (e.kind == PT_TABLE && !in_ram(s, e.addr)))
            return LOOK_UNSOUND;
        if (e.kind == PT_TABLE && *below == 0)
            *below = e.addr;
        if (e.kind != PT_EMPTY)
            look = LOOK_STRONG;
    }
    return look;
}

static enum look look_at_tree(struct scan *s, const struct iommu_binding *b)
{
    const struct pt_format *format = b->stage == DAM_STAGE_FIRST ? &s->first : &s->second;
    struct pt_params params = {.levels = b->levels,
                               .haw = (uint8_t)HAW,
                               .large = 6,
                               .snoop = true,
                               .transient = true,
                               .canonical = b->stage == DAM_STAGE_FIRST};
    uint64_t below;
    if (b->levels < 3 || b->levels > VTD_MAX_LEVELS)
        return LOOK_UNSOUND;
    if (b->stage == DAM_STAGE_PASSTHROUGH)
        return LOOK_WEAK;
    enum look look = look_at_table(s, format, &params, b->root, b->levels - 1u, &below);
    if (look != LOOK_STRONG || below == 0)
        return look;
    enum look next = look_at_table(s, format, &params, dam_pa_of(below), b->levels - 2u, &below);
    return next == LOOK_UNKNOWN ? LOOK_STRONG : next;
}

static enum look look_at_binding(struct scan *s, const struct iommu_binding *b)
{
    return b->reserved || b->stage == DAM_STAGE_NONE ? LOOK_UNSOUND : look_at_tree(s, b);
}

// ---- context tables
// ---------------------------------------------------------------------------------------- Not present:
// nothing but perhaps the bit that silences faults.
static bool nothing(const uint64_t *words, unsigned count)
{
    uint64_t any = words[0] & ~VTD_SILENT;
    for (unsigned i = 1; i < count; i++)
        any |= words[i];
    return any == 0;
}

static void count(struct scan_root *root, enum look look)
{
    root->strong += look == LOOK_STRONG;
    root->weak += look == LOOK_WEAK;
    root->unsound += look == LOOK_UNSOUND;
    root->unknown += look == LOOK_UNKNOWN;
}

static bool enough(const struct scan *s, const struct scan_root *root)
{
    return root->strong + root->weak + root->unsound + root->unknown >= ENTRIES_MAX ||
           (root->strong + root->weak == 0 && root->unsound >= HOPELESS) || s->reads >= READS_MAX;
}

static enum look look_at_context(struct scan *s, const uint64_t w[2])
{
    struct iommu_binding b = vtd_context_decode((struct vtd_context_entry){{w[0], w[1]}}, HAW);
    return b.present ? look_at_binding(s, &b) : LOOK_UNSOUND;
}

// The way of requests without PASID: directory entry, PASID entry.
static enum look look_at_sm_context(struct scan *s, const uint64_t w[VTD_SM_CTX_WORDS])
{
    uint64_t words[WORDS];
    struct vtd_sm_context c = vtd_sm_context_decode(w, HAW);
    uint32_t index = c.rid_pasid / VTD_PASID_ENTRIES;
    if (!c.present || c.reserved || index >= vtd_directory_entries(&c))
        return LOOK_UNSOUND;
    dam_pa at = dam_pa_of(c.directory.v + (uint64_t)(index / WORDS) * DAM_PAGE_SIZE);
    if (!in_ram(s, at.v))
        return LOOK_UNSOUND;
    if (!read_table(s, at, words))
        return LOOK_UNKNOWN;
    struct vtd_pasid_dir d = vtd_pasid_dir_decode(words[index % WORDS], HAW);
    if (!d.present || d.reserved || !in_ram(s, d.table.v))
        return LOOK_UNSOUND;
    if (!read_table(s, d.table, words))
        return LOOK_UNKNOWN;
    struct iommu_binding b = vtd_pasid_decode(&words[c.rid_pasid % VTD_PASID_ENTRIES * VTD_PASID_WORDS], HAW);
    return b.present ? look_at_binding(s, &b) : LOOK_UNSOUND;
}

static void look_at_contexts(struct scan *s, dam_pa table, struct scan_root *root)
{
    uint64_t words[WORDS];
    unsigned step = root->scalable ? VTD_SM_CTX_WORDS : 2;
    if (!read_table(s, table, words)) {
        count(root, LOOK_UNKNOWN);
        return;
    }
    for (unsigned i = 0; i < WORDS && !enough(s, root); i += step)
        if (!nothing(&words[i], step))
            count(root, root->scalable ? look_at_sm_context(s, &words[i]) : look_at_context(s, &words[i]));
}

// ---- root tables
// -------------------------------------------------------------------------------------------
static bool likely(const struct scan_root *root)
{
    if (root->strong > 0)
        return root->strong + root->weak >= root->unsound;
    return root->weak > 1 && root->unsound == 0; // all pass-through, say
}

static bool better(const struct scan_root *a, const struct scan_root *b)
{
    if (a->strong != b->strong)
        return a->strong > b->strong;
    if (a->weak != b->weak)
        return a->weak > b->weak;
    if (a->unsound != b->unsound)
        return a->unsound < b->unsound;
    return false; // the one that was found first
}

static void keep(struct scan_result *out, const struct scan_root *root)
{
    size_t at = out->count;
    while (at > 0 && better(root, &out->roots[at - 1]))
        at--;
    out->more |= out->count == SCAN_MAX_ROOTS;
    if (at == SCAN_MAX_ROOTS)
        return;
    out->count += out->count < SCAN_MAX_ROOTS;
    memmove(&out->roots[at + 1], &out->roots[at], (out->count - at - 1) * sizeof out->roots[0]);
    out->roots[at] = *root;
}

// Whether a word that is not 0 leads to a context table. Second halves of entries lead to one in scalable
// mode alone.
static bool sound_half(const struct scan *s, uint64_t word, bool second, bool scalable)
{
    struct vtd_root half = vtd_root_decode(word, HAW);
    return half.present && !half.reserved && in_ram(s, half.context_table.v) && (scalable || !second);
}

// Whether the words alone could be a root table: each is 0 or leads to a context table, but for a few that
// may be damaged.
static bool could_be_root(const struct scan *s, const uint64_t words[WORDS], bool scalable)
{
    unsigned sound = 0, damaged = 0;
    for (unsigned i = 0; i < WORDS && damaged <= DAMAGED_MAX; i++) {
        if (words[i] == 0)
            continue;
        bool good = sound_half(s, words[i], i % 2, scalable);
        sound += good;
        damaged += !good;
    }
    return sound > 0 && damaged <= DAMAGED_MAX;
}

static struct scan_root look_at_root(struct scan *s, dam_pa pa, const uint64_t words[WORDS], bool scalable)
{
    struct scan_root root = {.root = pa, .scalable = scalable};
    if (!could_be_root(s, words, scalable))
        return root;
    if (s->reads >= READS_MAX)
        s->out->gave_up = true;
    for (unsigned i = 0; i < WORDS && !enough(s, &root); i++) {
        if (words[i] == 0)
            continue;
        if (sound_half(s, words[i], i % 2, scalable))
            look_at_contexts(s, vtd_root_decode(words[i], HAW).context_table, &root);
        else
            root.unsound++;
    }
    return root;
}

static void look_at_page(struct scan *s, dam_pa pa, const uint64_t words[WORDS])
{
    struct scan_root root = look_at_root(s, pa, words, true);
    if (!likely(&root))
        root = look_at_root(s, pa, words, false);
    if (likely(&root))
        keep(s->out, &root);
}

dam_err scan_roots(struct memory *memory, const struct dam_ranges *skip, struct scan_result *out)
{
    struct scan s = {.memory = memory, .ram = memory_ram(memory), .out = out};
    uint64_t start = 0, end = 0, done = 0, words[WORDS];
    dam_err err = DAM_OK;
    memset(out, 0, sizeof *out);
    pt_format_vtdfs(&s.first);
    pt_format_vtdss(&s.second);
    progress_begin("scanning for root tables", memory_about(memory)->held);
    for (; !err && memory_next_held(memory, &start, &end) && start < end; start = end) {
        for (uint64_t pa = start; pa < end && !err; pa += DAM_PAGE_SIZE, done += DAM_PAGE_SIZE) {
            if (done % PROGRESS_STEP == 0)
                progress_step(done);
            if (progress_interrupted())
                err = DAM_E_STATE;
            // A page that cannot be read after all is no candidate.
            else if ((skip == NULL || !dam_ranges_overlap(skip, pa, DAM_PAGE_SIZE)) &&
                     memory_read(memory, dam_pa_of(pa), words, DAM_PAGE_SIZE) == DAM_OK)
                look_at_page(&s, dam_pa_of(pa), words);
        }
    }
    progress_end();
    return err;
}

// SPDX-License-Identifier: MIT
// A root table is a page of pointers to pages, with very little else allowed in it (VT-d architecture
// specification r4.1, 9.1 and 9.2): most pages are ruled out by their first words. What is left is followed
// down, through context tables to the page tables.
#include "inspect/scan_parts.h"
#include "inspect/vtd.h"
#include "iommu/vtd/unit.h"

#define WORDS       SCAN_WORDS
#define DAMAGED_MAX 2u // halves of root entries that may be broken

static const unsigned HAW = 52; // nobody tells how wide addresses are; what is no RAM is refused anyway

static enum look look_at_tree(struct scan *s, const struct iommu_binding *b)
{
    struct pt_format format;
    struct pt_params params = {.levels = b->levels,
                               .haw = (uint8_t)HAW,
                               .large = 6,
                               .snoop = true,
                               .transient = true,
                               .canonical = b->stage == DAM_STAGE_FIRST};
    if (b->levels < 3 || b->levels > VTD_MAX_LEVELS)
        return LOOK_UNSOUND;
    if (b->stage == DAM_STAGE_PASSTHROUGH)
        return LOOK_WEAK;
    inspect_vtd.format(b->stage == DAM_STAGE_FIRST ? DAM_STAGE_FIRST : DAM_STAGE_SECOND, &format);
    return scan_tree(s, &format, &params, b->root);
}

static enum look look_at_binding(struct scan *s, const struct iommu_binding *b)
{
    return b->reserved || b->stage == DAM_STAGE_NONE ? LOOK_UNSOUND : look_at_tree(s, b);
}

// ---- context tables --------------------------------------------------------------------------------------
// Not present: nothing but perhaps the bit that silences faults.
static bool nothing(const uint64_t *words, unsigned count)
{
    uint64_t any = words[0] & ~VTD_SILENT;
    for (unsigned i = 1; i < count; i++)
        any |= words[i];
    return any == 0;
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
    if (!scan_in_ram(s, at.v))
        return LOOK_UNSOUND;
    if (!scan_read(s, at, words))
        return LOOK_UNKNOWN;
    struct vtd_pasid_dir d = vtd_pasid_dir_decode(words[index % WORDS], HAW);
    if (!d.present || d.reserved || !scan_in_ram(s, d.table.v))
        return LOOK_UNSOUND;
    if (!scan_read(s, d.table, words))
        return LOOK_UNKNOWN;
    struct iommu_binding b = vtd_pasid_decode(&words[c.rid_pasid % VTD_PASID_ENTRIES * VTD_PASID_WORDS], HAW);
    return b.present ? look_at_binding(s, &b) : LOOK_UNSOUND;
}

static void look_at_contexts(struct scan *s, dam_pa table, struct scan_root *root)
{
    uint64_t words[WORDS];
    unsigned step = root->scalable ? VTD_SM_CTX_WORDS : 2;
    if (!scan_read(s, table, words)) {
        scan_count(root, LOOK_UNKNOWN);
        return;
    }
    for (unsigned i = 0; i < WORDS && !scan_enough(s, root); i += step)
        if (!nothing(&words[i], step))
            scan_count(root,
                       root->scalable ? look_at_sm_context(s, &words[i]) : look_at_context(s, &words[i]));
}

// ---- root tables ----------------------------------------------------------------------------------------
// Whether a word that is not 0 leads to a context table. Second halves of entries lead to one in scalable
// mode alone.
static bool sound_half(const struct scan *s, uint64_t word, bool second, bool scalable)
{
    struct vtd_root half = vtd_root_decode(word, HAW);
    return half.present && !half.reserved && scan_in_ram(s, half.context_table.v) && (scalable || !second);
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
    struct scan_root root = {.kind = &inspect_vtd, .root = pa, .scalable = scalable, .size = DAM_PAGE_SIZE};
    if (!could_be_root(s, words, scalable))
        return root;
    if (s->reads >= SCAN_READS)
        s->out->gave_up = true;
    for (unsigned i = 0; i < WORDS && !scan_enough(s, &root); i++) {
        if (words[i] == 0)
            continue;
        if (sound_half(s, words[i], i % 2, scalable))
            look_at_contexts(s, vtd_root_decode(words[i], HAW).context_table, &root);
        else
            root.unsound++;
    }
    return root;
}

void scan_vtd_page(struct scan *s, dam_pa pa, const uint64_t *words)
{
    struct scan_root root = look_at_root(s, pa, words, true);
    if (!scan_likely(&root))
        root = look_at_root(s, pa, words, false);
    if (scan_likely(&root))
        scan_keep(s, &root);
}

// SPDX-License-Identifier: MIT
// One pass over all pages, at which every kind looks; and what they all look for: entries that lead to page
// tables.
#include "inspect/scan.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/kind.h"
#include "inspect/progress.h"
#include "inspect/scan_parts.h"

#define ENTRIES_MAX   256u // entries looked at for one candidate
#define HOPELESS      16u  // unsound entries before any sound one
#define PROGRESS_STEP (16u << 20)

bool scan_in_ram(const struct scan *s, uint64_t pa)
{
    return dam_ranges_contain(s->ram, pa, DAM_PAGE_SIZE);
}

bool scan_read(struct scan *s, dam_pa pa, uint64_t words[SCAN_WORDS])
{
    s->reads++;
    return memory_read(s->memory, pa, words, DAM_PAGE_SIZE) == DAM_OK;
}

// Whether a page is a page table of that level. *below: the first table that it leads to, or
// at address 0.
static enum look look_at_table(struct scan *s, const struct pt_format *format, const struct pt_params *params,
                               dam_pa pa, unsigned level, struct pt_table *below)
{
    uint64_t words[SCAN_WORDS];
    enum look look = LOOK_WEAK;
    *below = (struct pt_table){0};
    if (!scan_in_ram(s, pa.v))
        return LOOK_UNSOUND;
    if (!scan_read(s, pa, words))
        return LOOK_UNKNOWN;
    for (unsigned i = 0; i < SCAN_WORDS; i++) {
        if (words[i] == 0)
            continue;
        struct pt_entry e = format->decode(params, words[i], level);
        if (e.kind == PT_BAD || (e.kind == PT_TABLE && !scan_in_ram(s, e.addr)))
            return LOOK_UNSOUND;
        if (e.kind == PT_TABLE && below->pa.v == 0 && e.skip < level)
            *below = (struct pt_table){.level = level - 1 - e.skip, .pa = dam_pa_of(e.addr)};
        if (e.kind != PT_EMPTY)
            look = LOOK_STRONG;
    }
    return look;
}

enum look scan_tree(struct scan *s, const struct pt_format *format, const struct pt_params *params,
                    dam_pa root)
{
    struct pt_table below;
    unsigned level = params->levels - 1u;
    enum look look = look_at_table(s, format, params, root, level, &below);
    if (look != LOOK_STRONG || below.pa.v == 0)
        return look;
    enum look next = look_at_table(s, format, params, below.pa, below.level, &below);
    return next == LOOK_UNKNOWN ? LOOK_STRONG : next;
}

// ---- candidates ------------------------------------------------------------------------------------------
void scan_count(struct scan_root *root, enum look look)
{
    root->strong += look == LOOK_STRONG;
    root->weak += look == LOOK_WEAK;
    root->unsound += look == LOOK_UNSOUND;
    root->unknown += look == LOOK_UNKNOWN;
}

bool scan_enough(const struct scan *s, const struct scan_root *root)
{
    return root->strong + root->weak + root->unsound + root->unknown >= ENTRIES_MAX ||
           (root->strong + root->weak == 0 && root->unsound >= HOPELESS) || s->reads >= SCAN_READS;
}

bool scan_likely(const struct scan_root *root)
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

void scan_keep(struct scan *s, const struct scan_root *root)
{
    struct scan_result *out = s->out;
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

// ---- the pass --------------------------------------------------------------------------------------------
static void each_kind(struct scan *scans, dam_pa pa, const uint64_t *words)
{
    for (size_t i = 0; i < INSPECT_KINDS; i++)
        inspect_kinds[i]->scan_page(&scans[i], pa, words);
}

dam_err scan_roots(struct memory *memory, const struct dam_ranges *skip, struct scan_result *out)
{
    struct scan *scans = calloc(INSPECT_KINDS, sizeof *scans);
    uint64_t start = 0, end = 0, done = 0, words[SCAN_WORDS];
    dam_err err = DAM_OK;
    memset(out, 0, sizeof *out);
    if (scans == NULL)
        return DAM_E_NOMEM;
    for (size_t i = 0; i < INSPECT_KINDS; i++) {
        scans[i].memory = memory;
        scans[i].ram = memory_ram(memory);
        scans[i].out = out;
    }
    progress_begin("scanning for the IOMMU's tables", memory_about(memory)->held);
    for (; !err && memory_next_held(memory, &start, &end) && start < end; start = end) {
        for (uint64_t pa = start; pa < end && !err; pa += DAM_PAGE_SIZE, done += DAM_PAGE_SIZE) {
            if (done % PROGRESS_STEP == 0)
                progress_step(done);
            if (progress_interrupted())
                err = DAM_E_STATE;
            // A page that cannot be read after all is no candidate.
            else if ((skip == NULL || !dam_ranges_overlap(skip, pa, DAM_PAGE_SIZE)) &&
                     memory_read(memory, dam_pa_of(pa), words, DAM_PAGE_SIZE) == DAM_OK)
                each_kind(scans, dam_pa_of(pa), words);
        }
    }
    for (size_t i = 0; i < INSPECT_KINDS; i++)
        if (inspect_kinds[i]->scan_end != NULL)
            inspect_kinds[i]->scan_end(&scans[i]);
    free(scans);
    progress_end();
    return err;
}

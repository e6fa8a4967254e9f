// SPDX-License-Identifier: MIT
// A device table is up to 512 neighbouring pages of entries of 32 bytes, few bits of which are free to be
// anything (48882, 2.2.2). Linux sets V in each of them, and puts the table at a multiple of its size, which
// is a power of two: of pages that look like parts of one, the largest such block around those whose entries
// lead to page tables is the candidate.
#include <string.h>

#include "inspect/amdvi.h"
#include "inspect/scan_parts.h"

#define DAMAGED_MAX 2u // entries of a page that may be broken
#define MOST_PAGES  SCAN_RUN

// Whether the unit would take an entry that says something. V without TV is what the entries of page tables
// look like: then there must be nothing else.
static bool sound(const struct amdvi_dte *dte)
{
    const struct amdvi_features any = amdvi_any_features(0);
    unsigned word;
    bool table = dam_bits_get(dte->w[0], AMDVI_DTE_TV) || dte->w[0] == dam_bits_mask(AMDVI_DTE_V);
    return table && amdvi_dte_kind(dte) != AMDVI_DTE_OPEN && amdvi_dte_flaw(&any, dte, &word) == AMDVI_SOUND;
}

static struct amdvi_dte entry_of(const uint64_t *words, unsigned i)
{
    struct amdvi_dte dte;
    memcpy(&dte, words + i * AMDVI_DTE_WORDS, sizeof dte);
    return dte;
}

static bool could_be_part(const uint64_t *words)
{
    unsigned good = 0, damaged = 0;
    for (unsigned i = 0; i < AMDVI_DTES_PER_PAGE && damaged <= DAMAGED_MAX; i++) {
        struct amdvi_dte dte = entry_of(words, i);
        bool takes = sound(&dte), empty = !(dte.w[0] | dte.w[1] | dte.w[2] | dte.w[3]);
        good += takes;
        damaged += !takes && !empty;
    }
    return good > damaged && damaged <= DAMAGED_MAX;
}

unsigned scan_amdvi_pages(struct memory *memory, dam_pa base)
{
    uint64_t words[SCAN_WORDS];
    unsigned pages = 0;
    for (uint64_t pa = base.v; pages < MOST_PAGES; pages++, pa += DAM_PAGE_SIZE)
        if (memory_read(memory, dam_pa_of(pa), words, DAM_PAGE_SIZE) != DAM_OK || !could_be_part(words))
            break;
    return pages ? pages : 1;
}

// ---- what entries lead to --------------------------------------------------------------------------------
static enum look look_at_tables(struct scan *s, enum dam_stage stage, uint8_t levels, dam_pa root)
{
    const struct amdvi_features any = amdvi_any_features(0);
    struct pt_params params = amdvi_tree_params(&any, stage, levels);
    struct pt_format format;
    inspect_amdvi.format(stage, &format);
    return scan_tree(s, &format, &params, root);
}

// The tables of the first PASID that has some.
static enum look look_at_gcr3(struct scan *s, const struct amdvi_dte *dte)
{
    const struct amdvi_features any = amdvi_any_features(0);
    struct amdvi_gcr3 gcr3 = amdvi_dte_gcr3(dte, &any);
    uint64_t words[SCAN_WORDS];
    for (unsigned level = gcr3.levels; level > 0; level--) {
        unsigned i = 0;
        if (!scan_in_ram(s, gcr3.root.v))
            return LOOK_UNSOUND;
        if (!scan_read(s, gcr3.root, words))
            return LOOK_UNKNOWN;
        while (i < SCAN_WORDS && !amdvi_gcr3_decode(words[i], &any).present)
            i++;
        if (i == SCAN_WORDS)
            return LOOK_WEAK;
        struct amdvi_gcr3_entry e = amdvi_gcr3_decode(words[i], &any);
        if (e.reserved)
            return LOOK_UNSOUND;
        gcr3.root = e.address;
    }
    return look_at_tables(s, DAM_STAGE_FIRST, gcr3.guest_levels, gcr3.root);
}

static enum look look_at_entry(struct scan *s, const struct amdvi_dte *dte)
{
    const struct amdvi_features any = amdvi_any_features(0);
    struct iommu_binding b = amdvi_dte_decode(dte, &any);
    if (!sound(dte))
        return LOOK_UNSOUND;
    if (amdvi_dte_kind(dte) == AMDVI_DTE_PASIDS)
        return look_at_gcr3(s, dte);
    if (b.stage == DAM_STAGE_PASSTHROUGH)
        return LOOK_WEAK;
    return look_at_tables(s, DAM_STAGE_SECOND, b.levels, b.root);
}

static void look_at_part(struct scan *s, const uint64_t *words, struct scan_root *part)
{
    for (unsigned i = 0; i < AMDVI_DTES_PER_PAGE && !scan_enough(s, part); i++) {
        struct amdvi_dte dte = entry_of(words, i);
        enum amdvi_dte_kind kind = amdvi_dte_kind(&dte);
        bool empty = !(dte.w[0] | dte.w[1] | dte.w[2] | dte.w[3]);
        if (kind != AMDVI_DTE_BLOCKED && !empty)
            scan_count(part, look_at_entry(s, &dte));
    }
    s->out->gave_up |= s->reads >= SCAN_READS;
}

// ---- neighbouring pages ----------------------------------------------------------------------------------
// The largest block of the run around one of its pages, as many pages as a power of two and at a multiple of
// that; *first: of the run.
static unsigned block_around(const struct scan_run *run, unsigned page, unsigned *first)
{
    uint64_t number = run->start / DAM_PAGE_SIZE;
    for (unsigned pages = MOST_PAGES; pages > 1; pages /= 2) {
        uint64_t base = (number + page) / pages * pages;
        if (base >= number && base + pages <= number + run->pages) {
            *first = (unsigned)(base - number);
            return pages;
        }
    }
    *first = page;
    return 1;
}

static void end_run(struct scan *s)
{
    struct scan_run *run = &s->run;
    for (unsigned i = 0; i < run->pages; i++) {
        unsigned first;
        if (run->part[i].strong + run->part[i].weak == 0)
            continue;
        unsigned pages = block_around(run, i, &first);
        struct scan_root root = {.kind = &inspect_amdvi,
                                 .root = dam_pa_of(run->start + first * DAM_PAGE_SIZE),
                                 .size = pages * DAM_PAGE_SIZE};
        for (unsigned k = first; k < first + pages; k++) {
            root.strong += run->part[k].strong;
            root.weak += run->part[k].weak;
            root.unsound += run->part[k].unsound;
            root.unknown += run->part[k].unknown;
        }
        if (scan_likely(&root))
            scan_keep(s, &root);
        i = first + pages - 1;
    }
    run->pages = 0;
}

void scan_amdvi_page(struct scan *s, dam_pa pa, const uint64_t *words)
{
    struct scan_run *run = &s->run;
    bool part = could_be_part(words), next = pa.v == run->start + run->pages * DAM_PAGE_SIZE;
    // No block reaches over a multiple of the largest one.
    if (run->pages && (!part || !next || pa.v % (MOST_PAGES * DAM_PAGE_SIZE) == 0))
        end_run(s);
    if (!part)
        return;
    if (run->pages == 0)
        run->start = pa.v;
    struct scan_root *here = &run->part[run->pages++];
    *here = (struct scan_root){0};
    look_at_part(s, words, here);
}

void scan_amdvi_end(struct scan *s)
{
    end_run(s);
}

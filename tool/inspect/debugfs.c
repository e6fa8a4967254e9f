// SPDX-License-Identifier: MIT
#include "inspect/debugfs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inspect/kind.h"
#include "inspect/progress.h"
#include "inspect/requester.h"
#include "iommu/vtd/unit.h"
#include "note_view.h"

#define MAX_TABLES (1u << 22) // tables that lead back to themselves have no end
#define PRESENT    3u         // what the kernel looks at: it knows no reserved bits here
#define LARGE      (1u << 7)
#define ADDRESS    0x000FFFFFFFFFF000ull

struct walk {
    struct inspection *inspection;
    enum debugfs_layout layout;
    uint64_t path[PT_MAX_LEVELS + 1]; // entries on the way down, by the kernel's levels: 1 is the leaf level
    uint64_t tables, absent, outside;
    dam_err err;
};

enum debugfs_layout debugfs_layout_of(const char *word)
{
    if (word == NULL || strcmp(word, "6.1") == 0)
        return DEBUGFS_6_1;
    return strcmp(word, "6.12") == 0 ? DEBUGFS_6_12 : DEBUGFS_NONE;
}

static void print_mapping(const struct walk *w, uint64_t iova)
{
    progress_wipe();
    printf("0x%013" PRIx64 " |", iova >> DAM_PAGE_SHIFT);
    for (unsigned level = VTD_MAX_LEVELS; level > 0; level--) {
        // The later layout ends with the last entry that there is, of the two lowest levels.
        if (w->layout == DEBUGFS_6_12 && level <= 2 && w->path[level] == 0)
            break;
        printf("\t0x%016" PRIx64, w->path[level]);
    }
    putchar('\n');
}

// NOLINTNEXTLINE(misc-no-recursion): the level goes down at each step
static void walk_table(struct walk *w, uint64_t at, unsigned level, uint64_t iova)
{
    uint64_t entries[PT_ENTRIES];
    if (w->err != DAM_OK)
        return;
    if (++w->tables > MAX_TABLES || progress_interrupted() || ferror(stdout)) {
        w->err = progress_interrupted() ? DAM_E_STATE : ferror(stdout) ? DAM_E_IO : DAM_E_BUDGET;
        return;
    }
    progress_step(w->tables);
    dam_err err = memory_read(w->inspection->memory, dam_pa_of(at), entries, sizeof entries);
    if (err != DAM_OK) {
        w->absent += err != DAM_E_RANGE;
        w->outside += err == DAM_E_RANGE;
        return;
    }
    for (unsigned i = 0; i < PT_ENTRIES && w->err == DAM_OK; i++) {
        uint64_t raw = entries[i], first = iova + i * pt_span(level - 1);
        if (!(raw & PRESENT))
            continue;
        w->path[level] = raw;
        if ((raw & LARGE) || level == 1)
            print_mapping(w, first);
        else
            walk_table(w, raw & ADDRESS, level - 1, first);
        w->path[level] = 0;
    }
}

static void print_head(const struct inspect_requester *r, enum debugfs_layout layout)
{
    char name[RID_TEXT];
    rid_text(r->unit->segment, r->rid, name);
    printf("Device %s ", name);
    if (layout == DEBUGFS_6_12 && (r->flags & DAM_REQ_PASID))
        printf("with pasid %" PRIx32 " ", r->pasid);
    printf("@0x%" PRIx64 "\n", r->tree->root.v);
    if (layout == DEBUGFS_6_1)
        puts("IOVA_PFN\t\tPML5E\t\t\tPML4E\t\t\tPDPE\t\t\tPDE\t\t\tPTE");
    else
        printf("%-17s\t%-18s\t%-18s\t%-18s\t%-18s\t%s\n", "IOVA_PFN", "PML5E", "PML4E", "PDPE", "PDE", "PTE");
}

int debugfs_print(const struct verb_call *call, struct inspection *inspection,
                  const struct inspect_requester *r, enum debugfs_layout layout)
{
    char name[REQUESTER_TEXT];
    const char *problem = requester_problem(r);
    if (!r->unit->kind->has_debugfs)
        return verb_usage(call, "--debugfs: Linux has no such file for %s", r->unit->kind->name);
    if (problem != NULL || r->tree->stage == DAM_STAGE_PASSTHROUGH) {
        cli_error(call->self, TOOL_OK, "%s: %s: %s", inspection->path, requester_text(r, name),
                  problem != NULL ? problem : "pass-through: it has no tables");
        return verb_finish_with(call, problem != NULL && !r->unknown, r->unknown);
    }
    struct walk w = {.inspection = inspection, .layout = layout};
    print_head(r, layout);
    progress_begin("reading tables", 0);
    walk_table(&w, r->tree->root.v, r->tree->params.levels, 0);
    progress_end();
    if (layout == DEBUGFS_6_1)
        putchar('\n');
    if (w.err == DAM_E_STATE || w.err == DAM_E_BUDGET)
        return verb_failed(call, w.err);
    if (w.absent != 0)
        cli_error(call->self, TOOL_OK,
                  "%s: %" PRIu64 " table pages are not in the dump: mappings are missing", inspection->path,
                  w.absent);
    if (w.outside != 0)
        cli_error(call->self, TOOL_OK, "%s: %" PRIu64 " entries lead outside all memory", inspection->path,
                  w.outside);
    return verb_finish_with(call, w.outside != 0, w.absent != 0);
}

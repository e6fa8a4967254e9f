// SPDX-License-Identifier: MIT
// The audit of a tree against memcpy of the same table pages, in the same order.
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

static double audit(struct bench_world *w)
{
    bench_world_reset(w);
    struct pt_audit a = {
        .format = &w->format,
        .params = &w->params,
        .memory = &w->memory,
        .keep_out = &w->keep_out,
        .buffers = w->buffers,
    };
    double start = bench_now();
    dam_err err = pt_audit(&a, dam_pa_of(w->tree->root));
    double took = bench_now() - start;
    if (err || a.tables != w->tree->pages) {
        fprintf(stderr, "audit_bench: error %d after %llu tables\n", err, (unsigned long long)a.tables);
        exit(1);
    }
    return took;
}

// The best of some runs, taken in turns: what the machine's other work adds is not ours. The audit keeps
// nothing, so two references tell more than one: copying the pages, and only reading them (into one page that
// stays in the cache).
static void measure(struct bench_world *w, const char *what, unsigned runs)
{
    double copy = 1e9, read = 1e9, took = 1e9;
    char line[160];
    for (unsigned i = 0; i < runs; i++) {
        double t = bench_memcpy(w->tree, w->pool_host);
        copy = t < copy ? t : copy;
        t = bench_memcpy(w->tree, NULL);
        read = t < read ? t : read;
        t = audit(w);
        took = t < took ? t : took;
    }
    snprintf(line, sizeof(line), "audit of %s ÷ memcpy of them", what);
    bench_result(line, "≤ 1.5", "%.2f", took / copy);
    snprintf(line, sizeof(line), "audit of %s ÷ memcpy of each into one and the same page", what);
    bench_result(line, "", "%.2f", took / read);
    bench_result("audit, time a table page", "", "%.0f ns", took / (double)w->tree->pages * 1e9);
}

static void run(uint64_t pages, const char *name, unsigned runs)
{
    struct bench_tree tree;
    struct bench_world w;
    char what[128];
    bench_tree_make(&tree, pages);
    // A crash region beside all buffers: one look at a table tells that none of its entries leads there.
    bench_world_make(&w, &tree, tree.pages + 64, 0x80000000);
    snprintf(what, sizeof(what), "%s table pages", name);
    measure(&w, what, runs);
    bench_world_free(&w);
    // A crash region in the midst of the buffers' addresses, with no buffer in it.
    for (uint64_t i = 0; i < tree.pages; i++) {
        uint64_t *entries = (uint64_t *)(void *)(tree.host + i * DAM_PAGE_SIZE);
        for (unsigned e = 0; e < PT_ENTRIES; e++)
            if ((entries[e] & ~0xFFFull) - 0x800000000ull < (256ull << 20))
                entries[e] += 512ull << 20;
    }
    bench_world_make(&w, &tree, tree.pages + 64, 0x800000000);
    snprintf(what, sizeof(what), "%s table pages, crash region amid the addresses,", name);
    measure(&w, what, runs);
    bench_world_free(&w);
    bench_tree_free(&tree);
}

int main(void)
{
    run(12500, "12,500", 25);
    if (bench_memory() < 10)
        bench_result("audit of 1 million table pages ÷ memcpy of them", "≤ 1.5",
                     "not run: less than 10 GiB free");
    else
        run(1000000, "1 million", 3);
    return 0;
}

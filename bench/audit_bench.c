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

// The best of some runs, taken in turns: what the machine's other work adds is not ours.
static void measure(struct bench_world *w, const char *what, const char *time_of, unsigned runs)
{
    double reference = 1e9, took = 1e9;
    for (unsigned i = 0; i < runs; i++) {
        double t = bench_memcpy(w->tree, NULL);
        reference = t < reference ? t : reference;
        t = audit(w);
        took = t < took ? t : took;
    }
    bench_result(what, "≤ 1.5", "%.2f", took / reference);
    bench_result(time_of, "", "%.0f ns", took / (double)w->tree->pages * 1e9);
}

static void run(uint64_t pages, const char *name, unsigned runs)
{
    struct bench_tree tree;
    struct bench_world w;
    char what[128];
    bench_tree_make(&tree, pages);
    // A crash region beside all buffers: one look at a table tells that none of its entries leads there.
    bench_world_make(&w, &tree, 0, 0x80000000);
    snprintf(what, sizeof(what), "audit of %s table pages ÷ memcpy of them", name);
    measure(&w, what, "audit, time a table page", runs);
    bench_world_free(&w);
    // A crash region in the midst of the buffers' addresses, with no buffer in it.
    for (uint64_t i = 0; i < tree.pages; i++) {
        uint64_t *entries = (uint64_t *)(void *)(tree.host + i * DAM_PAGE_SIZE);
        for (unsigned e = 0; e < PT_ENTRIES; e++)
            if ((entries[e] & ~0xFFFull) - 0x800000000ull < (256ull << 20))
                entries[e] += 512ull << 20;
    }
    bench_world_make(&w, &tree, 0, 0x800000000);
    snprintf(what, sizeof(what), "audit of %s, crash region amid the buffers' addresses ÷ memcpy", name);
    measure(&w, what, "audit, time a table page", runs);
    bench_world_free(&w);
    bench_tree_free(&tree);
}

int main(void)
{
    run(12500, "12,500", 25);
    if (bench_memory() < 6)
        bench_result("audit of 1 million table pages ÷ memcpy of them", "≤ 1.5",
                     "not run: less than 6 GiB free");
    else
        run(1000000, "1 million", 3);
    return 0;
}

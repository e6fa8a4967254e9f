// SPDX-License-Identifier: MIT
// The deep copy of a tree that `preserve` makes, checked on the way, against memcpy of the same table pages.
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

static double preserve(struct bench_world *w, bool copy)
{
    struct pt_audit a = {
        .format = &w->format,
        .params = &w->params,
        .memory = &w->memory,
        .keep_out = &w->keep_out,
        .buffers = w->buffers,
        .copy = copy,
    };
    double start = bench_now();
    dam_err err = pt_audit(&a, dam_pa_of(w->tree->root));
    double took = bench_now() - start;
    if (err || a.tables != w->tree->pages || (copy && w->pool.low != a.tables * DAM_PAGE_SIZE)) {
        fprintf(stderr, "preserve_bench: error %d after %llu tables\n", err, (unsigned long long)a.tables);
        exit(1);
    }
    return took;
}

static void run(uint64_t pages, const char *name, unsigned runs)
{
    struct bench_tree tree;
    struct bench_world w;
    char what[128];
    double reference = 1e9, copied = 1e9;
    bench_tree_make(&tree, pages);
    bench_world_make(&w, &tree, tree.pages + 64, 0x80000000);
    for (unsigned i = 0; i < runs; i++) {
        // Both write to the same memory, long mapped.
        double took = bench_memcpy(&tree, w.pool_host);
        reference = took < reference ? took : reference;
        bench_world_reset(&w);
        took = preserve(&w, true);
        copied = took < copied ? took : copied;
    }
    snprintf(what, sizeof(what), "preserve: copy and audit of %s table pages in one pass ÷ memcpy of them",
             name);
    bench_result(what, "≤ 2.5", "%.2f", copied / reference);
    snprintf(what, sizeof(what), "preserve, time a table page");
    bench_result(what, "", "%.0f ns", copied / (double)tree.pages * 1e9);
    bench_world_free(&w);
    bench_tree_free(&tree);
}

int main(void)
{
    run(12500, "12,500", 25);
    if (bench_memory() < 10)
        bench_result("preserve: 1 million table pages", "≤ 2.5", "not run: less than 10 GiB free");
    else
        run(1000000, "1 million", 2);
    return 0;
}

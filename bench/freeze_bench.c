// SPDX-License-Identifier: MIT
// What freezing costs: pages of the pool that a whole plan uses, and its time, for trees of any size.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cofferdam/takeover.h>

#include "bench.h"
#include "lib/fake_vtd.h"
#include "lib/firmware.h"
#include "lib/old_kernel.h"

#define UNIT      0xFED90000ull
#define FIRMWARE  0x7F000000ull
#define KERNEL_PA 0x100000ull // root and context tables
#define KERNEL    0x100000ull
#define IRT_PA    0x400000ull
#define IRT       0x100000ull // 64 Ki entries
#define POOL_PA   0x10000000ull
#define POOL      (8ull << 20)

struct plan {
    uint64_t pages;
    double seconds;
};

// Freezes `domains` requesters, each with a page table of its own: the first with the big tree, the others
// with it as well, under their own root tables.
static struct plan freeze(struct bench_tree *tree, unsigned domains, const uint8_t *irt)
{
    struct fake_vtd *fake = fake_vtd_new();
    struct firmware firmware;
    struct old_kernel k;
    struct dam_range storage[4];
    struct dam_ranges old_ram, keep_out;
    struct dam_arena pool;
    uint8_t *kernel = calloc(1, KERNEL), *acpi = calloc(1, 4096), *pool_host = aligned_alloc(4096, POOL);
    memset(pool_host, 0, POOL);
    fake_vtd_memory(fake, KERNEL_PA, kernel, KERNEL);
    fake_vtd_memory(fake, FIRMWARE, acpi, 4096);
    fake_vtd_memory(fake, BENCH_PA, tree->host, tree->pages * DAM_PAGE_SIZE);
    fake_vtd_unit(fake, UNIT)->haw = BENCH_HAW;
    firmware_begin(&firmware, acpi, FIRMWARE, 4096, BENCH_HAW, 1);
    firmware_drhd(&firmware, 1, 0, UNIT);
    old_kernel_begin(&k, kernel, KERNEL_PA, KERNEL);
    for (unsigned i = 0; i < domains; i++) {
        uint64_t root = i ? old_kernel_page(&k) : tree->root;
        if (i) // a root table of its own over a part of the same tables
            memcpy(old_kernel_word(&k, root), tree->host + (tree->root - BENCH_PA), 64);
        old_kernel_attach(&k, i << 3, 0, BENCH_LEVELS, 2 + i, root);
    }
    fake_vtd_run(&fake->unit[0], k.root, 0);
    if (irt) {
        fake_vtd_memory(fake, IRT_PA, (uint8_t *)irt, IRT);
        fake->unit[0].irta = IRT_PA | 15;
        fake->unit[0].gsts |= 3u << 24;
        fake->unit[0].ecap |= 1 << 3;
    }
    dam_ranges_init(&old_ram, storage, 2);
    dam_ranges_init(&keep_out, storage + 2, 2);
    dam_arena_init(&pool, pool_host, dam_pa_of(POOL_PA), POOL);
    if (dam_ranges_add(&old_ram, KERNEL_PA, IRT_PA + IRT) ||
        dam_ranges_add(&old_ram, BENCH_PA, BENCH_PA + tree->pages * DAM_PAGE_SIZE) ||
        dam_ranges_add(&keep_out, POOL_PA, POOL_PA + POOL))
        exit(1);
    struct dam_takeover_config config = {.ops = &fake->ops,
                                         .pool = &pool,
                                         .policy = DAM_POLICY_FREEZE,
                                         .old_ram = &old_ram,
                                         .keep_out = &keep_out,
                                         .rsdp = {dam_pa_of(firmware_end(&firmware))},
                                         .max_tables = ~0ull >> 1,
                                         .max_us = ~0ull >> 1};
    struct dam_takeover *t;
    double start = bench_now();
    enum dam_stop stop = dam_takeover_new(&config, &t) ? DAM_STOP_POOL : dam_takeover_prepare(t);
    struct plan plan = {pool.low / DAM_PAGE_SIZE, bench_now() - start};
    if (stop) {
        fprintf(stderr, "freeze_bench: stop %d\n", stop);
        exit(1);
    }
    fake_vtd_free(fake);
    free(kernel);
    free(acpi);
    free(pool_host);
    return plan;
}

static void run(uint64_t pages, const char *name, unsigned domains)
{
    struct bench_tree tree;
    char what[128], aim[32];
    bench_tree_make(&tree, pages);
    struct plan plan = freeze(&tree, domains, NULL);
    snprintf(what, sizeof(what), "freeze: pool pages for %u domain%s, the first of %s table pages", domains,
             domains > 1 ? "s" : "", name);
    snprintf(aim, sizeof(aim), "≤ %u", 2 * domains + 16);
    bench_result(what, aim, "%llu", (unsigned long long)plan.pages);
    if (domains == 1) {
        snprintf(what, sizeof(what), "freeze: discover, audit and plan of %s table pages ÷ memcpy of them",
                 name);
        bench_result(what, "", "%.2f", plan.seconds / bench_memcpy(&tree, NULL));
    }
    bench_tree_free(&tree);
}

// What a full interrupt remapping table adds to a small takeover.
static void interrupts(void)
{
    struct bench_tree tree;
    bench_tree_make(&tree, 100);
    uint64_t *irt = calloc(1, IRT);
    for (unsigned i = 0; i < IRT / 16; i++) {
        irt[2 * i] = 1 | 0x41 << 16;
        irt[2 * i + 1] = 1 << 18 | 0x20;
    }
    double without = 1, with = 1; // the best of some: both are short
    for (unsigned i = 0; i < 20; i++) {
        double s = freeze(&tree, 1, NULL).seconds;
        without = s < without ? s : without;
        s = freeze(&tree, 1, (const uint8_t *)irt).seconds;
        with = s < with ? s : with;
    }
    bench_result("interrupt remapping table of 65,536 entries, all present: time it adds", "", "%.0f µs",
                 (with - without) * 1e6);
    free(irt);
    bench_tree_free(&tree);
}

int main(void)
{
    interrupts();
    run(100, "100", 1);
    run(12500, "12,500", 1);
    run(12500, "12,500", 16);
    run(2000, "2,000", 32);
    if (bench_memory() < 6)
        bench_result("freeze: pool pages for 1 domain of 1 million table pages", "≤ 18",
                     "not run: less than 6 GiB free");
    else
        run(1000000, "1 million", 1);
    return 0;
}

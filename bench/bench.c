// SPDX-License-Identifier: MIT
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE DAM_PAGE_SIZE

static void *map(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "bench: no memory for %llu bytes\n", (unsigned long long)bytes);
        exit(1);
    }
    return p;
}

double bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double bench_memory(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return (double)kib / (1024 * 1024);
}

void bench_result(const char *what, const char *aim, const char *format, ...)
{
    char value[64];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    printf("| %s | %s | %s |\n", what, value, aim);
    fflush(stdout);
}

// ---- the old tables
// -----------------------------------------------------------------------------------------
static uint64_t random_state = 88172645463325252ull;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

// Where the next table lies: pages are handed out in no order.
static uint64_t *page_at(const struct bench_tree *tree, uint64_t number)
{
    return (uint64_t *)(void *)(tree->host + number * PAGE);
}

static void fill_leaf_table(uint64_t *entries)
{
    for (unsigned i = 0; i < PT_ENTRIES; i++)
        entries[i] = (0x100000000ull + random_next() % 0x1000000000ull) / PAGE * PAGE | 3;
}

// Fills the table `order[*next]` of `level`, and what is below, until no pages are left for more.
static void fill(struct bench_tree *tree, const uint64_t *shuffled, uint64_t *next, unsigned level)
{
    uint64_t *entries = page_at(tree, shuffled[(*next)++]);
    if (level == 0) {
        fill_leaf_table(entries);
        return;
    }
    memset(entries, 0, PAGE);
    for (unsigned i = 0; i < PT_ENTRIES && *next + level <= tree->pages; i++) {
        entries[i] = (BENCH_PA + shuffled[*next] * PAGE) | 3;
        fill(tree, shuffled, next, level - 1);
    }
}

void bench_tree_make(struct bench_tree *tree, uint64_t pages)
{
    *tree = (struct bench_tree){
        .host = map(pages * PAGE), .pages = pages, .order = map(pages * sizeof(uint64_t))};
    for (uint64_t i = 0; i < pages; i++)
        tree->order[i] = i;
    for (uint64_t i = pages - 1; i > 0; i--) {
        uint64_t j = random_next() % (i + 1), swap = tree->order[i];
        tree->order[i] = tree->order[j];
        tree->order[j] = swap;
    }
    uint64_t next = 0;
    tree->root = BENCH_PA + tree->order[0] * PAGE;
    fill(tree, tree->order, &next, BENCH_LEVELS - 1);
    tree->pages = next;
}

void bench_tree_free(struct bench_tree *tree)
{
    munmap(tree->host, tree->pages * PAGE);
    munmap(tree->order, tree->pages * sizeof(uint64_t));
}

double bench_memcpy(const struct bench_tree *tree, uint8_t *to)
{
    static uint8_t buffer[PAGE];
    double start = bench_now();
    for (uint64_t i = 0; i < tree->pages; i++) {
        memcpy(to ? to + i * PAGE : buffer, tree->host + tree->order[i] * PAGE, PAGE);
        // The copy is wanted, even if nobody looks at it.
        __asm__ volatile("" : : "r"(to ? to : buffer) : "memory");
    }
    return bench_now() - start;
}

// ---- the engine's side
// ----------------------------------------------------------------------------------------
static dam_err read_old(void *ctx, dam_pa pa, void *buf, size_t len)
{
    const struct bench_tree *tree = ((struct bench_world *)ctx)->tree;
    if (pa.v < BENCH_PA || pa.v - BENCH_PA + len > tree->pages * PAGE)
        return DAM_E_RANGE;
    memcpy(buf, tree->host + (pa.v - BENCH_PA), len);
    return DAM_OK;
}

static uint64_t clock_us(void *ctx)
{
    (void)ctx;
    return (uint64_t)(bench_now() * 1e6);
}

void bench_world_make(struct bench_world *w, struct bench_tree *tree, uint64_t pool_pages, uint64_t keep_out)
{
    pool_pages = pool_pages ? pool_pages : 64;
    *w = (struct bench_world){
        .tree = tree, .pool_host = map(pool_pages * PAGE), .buffers = map(PT_MAX_LEVELS * PAGE)};
    w->ops = (struct dam_ops){.ctx = w, .mem_read = read_old, .clock_us = clock_us};
    dam_ranges_init(&w->old_ram, w->storage, 2);
    dam_ranges_init(&w->keep_out, w->storage + 2, 2);
    if (dam_ranges_add(&w->old_ram, BENCH_PA, BENCH_PA + tree->pages * PAGE) ||
        dam_ranges_add(&w->keep_out, keep_out, keep_out + (256ull << 20)))
        exit(1);
    dam_arena_init(&w->pool, w->pool_host, dam_pa_of(0x10000000), pool_pages * PAGE);
    w->memory = (struct pt_memory){
        .ops = &w->ops, .old_ram = &w->old_ram, .pool = &w->pool, .ours = false, .budget = &w->budget};
    w->own_memory = w->memory;
    w->own_memory.ours = true;
    pt_format_vtdss(&w->format);
    w->params = (struct pt_params){.levels = BENCH_LEVELS, .haw = BENCH_HAW, .large = 6};
    bench_world_reset(w);
}

void bench_world_reset(struct bench_world *w)
{
    memset(w->pool_host, 0, w->pool.size); // also takes the page faults out of the measurement
    memset(w->buffers, 0, PT_MAX_LEVELS * PAGE);
    w->pool.low = w->pool.high = 0;
    w->budget = (struct pt_budget){.tables = ~0ull, .deadline_us = ~0ull};
}

void bench_world_free(struct bench_world *w)
{
    munmap(w->pool_host, w->pool.size);
    munmap(w->buffers, PT_MAX_LEVELS * PAGE);
}

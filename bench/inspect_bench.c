// SPDX-License-Identifier: MIT
// What `inspect reach` costs over a requester with 1 TiB mapped in 4-KiB pages: 2 GiB of tables in a raw
// image, against reading those table pages once, in the same order, out of the same image.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "inspect/memory.h"
#include "lib/old_kernel.h"

#define IMAGE  "build/bench/reach.img"
#define TOOL   "build/host/cofferdam"
#define KERNEL 0x100000ull // root and context table, in the image
#define RAM    0x1100000000ull
#define RUNS   3
// One table of the top level, 2 below it, 512 for each of these, and so on.
#define TABLES    (1 + 2 + 2 * 512 + 2 * 512 * 512ull)
#define REQUESTER 0x10u
// One page in the midst of what is mapped, which a handful of the 2^28 entries lead to.
#define WANTED 0x800000000ull

static void fail(const char *what)
{
    unlink(IMAGE);
    fprintf(stderr, "inspect_bench: %s\n", what);
    exit(1);
}

static void put(int file, const void *from, uint64_t bytes, uint64_t at)
{
    for (uint64_t done = 0; done < bytes;) {
        ssize_t n = pwrite(file, (const char *)from + done, bytes - done, (off_t)(at + done));
        if (n <= 0)
            fail("the image cannot be written");
        done += (uint64_t)n;
    }
}

// Offset and physical address are the same in the image. Returns the address of the root table.
static uint64_t write_image(const struct bench_tree *tree)
{
    static uint8_t kernel[16 * DAM_PAGE_SIZE];
    struct old_kernel k;
    int file = open(IMAGE, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ftruncate(file, RAM))
        fail("the image cannot be made");
    old_kernel_begin(&k, kernel, KERNEL, sizeof(kernel));
    old_kernel_attach(&k, REQUESTER, 0, BENCH_LEVELS, 2, tree->root);
    put(file, kernel, sizeof(kernel), KERNEL);
    put(file, tree->host, tree->pages * DAM_PAGE_SIZE, BENCH_PA);
    close(file);
    return k.root;
}

static double read_tables(const struct bench_tree *tree)
{
    static uint8_t page[DAM_PAGE_SIZE];
    const struct memory_extent all = {0, RAM, 0};
    const struct memory_options options = {&all, 1};
    struct memory *memory;
    struct tool_error error;
    if (memory_open(IMAGE, &options, &memory, &error))
        fail(error.text);
    double start = bench_now();
    for (uint64_t i = 0; i < tree->pages; i++)
        if (memory_read(memory, dam_pa_of(BENCH_PA + tree->order[i] * DAM_PAGE_SIZE), page, sizeof(page)))
            fail("a table cannot be read");
    double took = bench_now() - start;
    memory_close(memory);
    return took;
}

// One call of the tool, from its start to its end. *kib: the most memory it had.
static double reach(uint64_t root, long *kib)
{
    char map[64], at[64], wanted[32];
    snprintf(map, sizeof(map), "0-0x%llx=0", RAM);
    snprintf(at, sizeof(at), "0x%llx,legacy", (unsigned long long)root);
    snprintf(wanted, sizeof(wanted), "0x%llx", WANTED);
    double start = bench_now();
    pid_t child = fork();
    if (child == 0) {
        int out = open("/dev/null", O_WRONLY);
        dup2(out, 1);
        execl(TOOL, TOOL, "inspect", IMAGE, "reach", wanted, "--map", map, "--vtd-root", at, "--no-kernel",
              "--json", (char *)NULL);
        _exit(127);
    }
    int status = 0;
    struct rusage used = {0};
    if (child < 0 || wait4(child, &status, 0, &used) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) > 1)
        fail("inspect reach failed");
    *kib = used.ru_maxrss > *kib ? used.ru_maxrss : *kib;
    return bench_now() - start;
}

int main(void)
{
    const char *what = "inspect reach, 1 TiB mapped in 4-KiB pages, ÷ reading its table pages once";
    struct bench_tree tree;
    double reference = 1e9, took = 1e9;
    long kib = 0;
    if (bench_memory() < 6) {
        bench_result(what, "≤ 2", "not run: less than 6 GiB free");
        return 0;
    }
    bench_tree_make(&tree, TABLES);
    if (tree.pages != TABLES)
        fail("the tables are not those of 1 TiB");
    uint64_t root = write_image(&tree);
    // A child is charged for what its parent had in memory when it began.
    munmap(tree.host, tree.pages * DAM_PAGE_SIZE);
    for (unsigned i = 0; i < RUNS; i++) {
        double t = read_tables(&tree);
        reference = t < reference ? t : reference;
        t = reach(root, &kib);
        took = t < took ? t : took;
    }
    unlink(IMAGE);
    bench_result(what, "≤ 2", "%.2f", took / reference);
    bench_result("the same, time a table page", "", "%.0f ns", took / (double)tree.pages * 1e9);
    bench_result("the same, most memory in use", "≤ 64 MiB", "%.1f MiB", (double)kib / 1024);
    return 0;
}

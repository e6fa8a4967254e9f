// SPDX-License-Identifier: MIT
// The dead kernel's own structures, spoiled: a small sound kernel, into which the input writes. It is a row
// of records: what kind, where, what. Whatever it does, everything ends, and what fails says why.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kernel.h"
#include "inspect/scan.h"
#include "lib/fake_linux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth)
{
    if (!truth)
        abort();
}

// One sound kernel for each way of building it, made once.
static const struct fake_linux *sound(uint8_t choice)
{
    static struct fake_linux *kept[16];
    unsigned i = choice % 16;
    if (kept[i] == NULL) {
        kept[i] = malloc(sizeof *kept[i]);
        expect(kept[i] != NULL);
        fake_linux_build(kept[i], &(struct fake_linux_options){.levels = 4 + i % 2,
                                                               .kallsyms = (enum fake_kallsyms)(i / 4),
                                                               .scalable = i / 2 % 2});
    }
    return kept[i];
}

// Addresses that lead to something, so that a pointer of the input's is not always wrong.
static uint64_t value_of(uint64_t value, unsigned how)
{
    switch (how) {
    case 0:
        return value;
    case 1:
        return FAKE_DIRECT + value % FAKE_LINUX_BYTES;
    case 2:
        return FAKE_IMAGE + value % FAKE_LINUX_BYTES;
    case 3:
        return (value % FAKE_LINUX_BYTES & ~0xFFFull) | 3;
    default:
        return 0 - value;
    }
}

#define RECORD 13u

static void spoil(struct fake_linux *l, const uint8_t *r)
{
    uint32_t at = (r[1] | (uint32_t)r[2] << 8 | (uint32_t)r[3] << 16) % l->used;
    uint64_t value = 0;
    memcpy(&value, r + 5, 8);
    unsigned bytes = 1u << r[4] % 4;
    switch (r[0] % 8) {
    case 0:
        l->absent[at / DAM_PAGE_SIZE] = true;
        break;
    case 1:
        l->info[at % strlen(l->info)] = (char)(r[4] | 1);
        break;
    case 2: // from one place to another
        memmove(l->ram + at, l->ram + value % (FAKE_LINUX_BYTES - 4096), r[4]);
        break;
    default:
        at -= at % bytes;
        fake_linux_put(l, at, value_of(value, r[0] % 8 - 3), bytes);
    }
}

static void ask(const struct kernel *kernel)
{
    static const char *const symbols[] = {"crashk_res", "x", ""};
    static const char *const members[][2] = {
        {"intel_iommu", "cap"}, {"pci_dev", "dev.driver"}, {"pci_dev", "dev"}, {"list_head", "next.next"}};
    struct tool_error error = {""};
    struct kernel_unit *units;
    struct kernel_function *functions;
    struct dam_range crash[2];
    uint64_t va;
    uint32_t offset, bytes;
    size_t count;
    for (unsigned i = 0; i < 3; i++)
        (void)kernel_symbol(kernel, symbols[i], &va);
    for (unsigned i = 0; i < 4; i++)
        if (kernel_member(kernel, members[i][0], members[i][1], &offset, &bytes))
            expect(bytes > 0 && offset <= 1u << 20);
    if (kernel_units(kernel, &units, &count, &error) != TOOL_OK)
        expect(error.text[0] != '\0');
    for (size_t i = 0; i < count; i++) {
        expect(memchr(units[i].name, '\0', sizeof units[i].name) != NULL);
        // The root table's address, and the mode beside it.
        if (units[i].has_root && units[i].kind == DAM_IOMMU_VTD)
            expect((units[i].registers.vtd.rtaddr & 0x3FF) == 0);
    }
    free(units);
    error.text[0] = '\0';
    if (kernel_functions(kernel, &functions, &count, &error) != TOOL_OK)
        expect(error.text[0] != '\0');
    expect(count <= 65536);
    for (size_t i = 0; i < count; i++)
        expect(memchr(functions[i].driver, '\0', sizeof functions[i].driver) != NULL);
    free(functions);
    error.text[0] = '\0';
    if (kernel_crash_region(kernel, crash, &count, &error) != TOOL_OK)
        expect(error.text[0] != '\0');
    expect(count <= 2);
    for (size_t i = 0; i < count; i++)
        expect(crash[i].end > crash[i].start);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fake_linux l;
    static struct scan_result found;
    struct dam_range range = {0, FAKE_LINUX_BYTES};
    struct dam_ranges ram = {&range, 1, 1};
    struct kernel *kernel;
    struct tool_error error = {""};
    if (size < 1)
        return 0;
    l = *sound(data[0]);
    l.provider.ctx = &l;
    l.provider.vmcoreinfo = l.info;
    l.provider.ram = &ram;
    for (size_t at = 1; at + RECORD <= size && at < 64 * RECORD; at += RECORD)
        spoil(&l, data + at);
    struct memory *memory = fake_linux_memory(&l);
    enum tool_status status = kernel_open(memory, &kernel, &error);
    if (status == TOOL_OK)
        ask(kernel);
    else
        expect(kernel == NULL && error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
    kernel_close(kernel);
    expect(scan_roots(memory, NULL, &found) == DAM_OK && found.count <= SCAN_MAX_ROOTS);
    memory_close(memory);
    return 0;
}

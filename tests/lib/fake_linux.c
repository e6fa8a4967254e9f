// SPDX-License-Identifier: MIT
#include "fake_linux.h"

#include <bpf/btf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHYS_BASE (-0x1000000ll) // the image is at the beginning of memory

static void need(bool truth)
{
    if (!truth)
        abort();
}

void fake_linux_put(struct fake_linux *l, uint64_t pa, uint64_t value, unsigned bytes)
{
    need(pa + bytes <= sizeof l->ram);
    for (unsigned i = 0; i < bytes; i++)
        l->ram[pa + i] = (uint8_t)(value >> 8 * i);
}

uint64_t fake_linux_get(const struct fake_linux *l, uint64_t pa, unsigned bytes)
{
    uint64_t value = 0;
    need(pa + bytes <= sizeof l->ram);
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)l->ram[pa + i] << 8 * i;
    return value;
}

uint64_t fake_linux_va(uint64_t pa)
{
    return FAKE_DIRECT + pa;
}

static uint64_t image_va(uint64_t pa)
{
    return FAKE_IMAGE + pa;
}

static uint64_t take(struct fake_linux *l, uint64_t bytes, uint64_t align)
{
    uint64_t pa = (l->used + align - 1) / align * align;
    l->used = pa + bytes;
    need(l->used <= sizeof l->ram);
    return pa;
}

static uint64_t take_page(struct fake_linux *l)
{
    return take(l, DAM_PAGE_SIZE, DAM_PAGE_SIZE);
}

// ---- page tables -----------------------------------------------------------------------------------------
static void set_entry(struct fake_linux *l, uint64_t table, uint64_t va, unsigned level, uint64_t value)
{
    fake_linux_put(l, table + (va >> (12 + 9 * level) & 511) * 8,
                   value | 0x8000000000000063u | l->options.sme_mask, 8);
}

static uint64_t add_table(struct fake_linux *l, uint64_t table, uint64_t va, unsigned level)
{
    uint64_t below = take_page(l);
    set_entry(l, table, va, level, below);
    return below;
}

static void build_tables(struct fake_linux *l)
{
    uint64_t four = l->top = take_page(l);
    if (l->options.levels == 5)
        four = add_table(l, l->top, FAKE_IMAGE, 4); // the same entry for all addresses used here
    l->image_table = add_table(l, add_table(l, four, FAKE_IMAGE, 3), FAKE_IMAGE, 2);
    set_entry(l, l->image_table, FAKE_IMAGE, 1, 0x80);
    set_entry(l, add_table(l, four, FAKE_DIRECT, 3), FAKE_DIRECT, 2, 0x80);
    uint64_t vmalloc = add_table(l, add_table(l, four, FAKE_VMALLOC, 3), FAKE_VMALLOC, 2);
    l->vmalloc_table = add_table(l, vmalloc, FAKE_VMALLOC, 1);
    l->vmalloc = take_page(l);
    set_entry(l, l->vmalloc_table, FAKE_VMALLOC, 0, l->vmalloc);
}

// ---- BTF -------------------------------------------------------------------------------------------------
struct types {
    struct btf *btf;
    int u8, u16, u32, u64, pointer, list;
};

static int new_struct(struct types *t, const char *name, unsigned bytes)
{
    int id = btf__add_struct(t->btf, name, bytes);
    need(id > 0);
    return id;
}

static void field(struct types *t, const char *name, int type, unsigned byte)
{
    need(btf__add_field(t->btf, name, type, byte * 8, 0) == 0);
}

static void basic_types(struct types *t)
{
    t->u8 = btf__add_int(t->btf, "unsigned char", 1, 0);
    t->u16 = btf__add_int(t->btf, "unsigned short", 2, 0);
    t->u32 = btf__add_int(t->btf, "unsigned int", 4, 0);
    t->u64 = btf__add_typedef(t->btf, "u64", btf__add_int(t->btf, "unsigned long", 8, 0));
    t->pointer = btf__add_ptr(t->btf, 0);
    t->list = new_struct(t, "list_head", 16);
    field(t, "next", t->pointer, 0);
    field(t, "prev", t->pointer, 8);
    new_struct(t, "resource", 32);
    field(t, "start", t->u64, FAKE_RESOURCE_START);
    field(t, "end", t->u64, FAKE_RESOURCE_END);
    new_struct(t, "empty", 0);
}

static void dmar_types(struct types *t)
{
    new_struct(t, "dmar_drhd_unit", 64);
    field(t, "reg_base_addr", t->u64, FAKE_DRHD_BASE);
    field(t, "list", t->list, FAKE_DRHD_LIST);
    field(t, "iommu", t->pointer, FAKE_DRHD_IOMMU);
    field(t, "segment", t->u16, FAKE_DRHD_SEGMENT);

    int name = btf__add_array(t->btf, t->u32, t->u8, 13);
    int in_union = btf__add_union(t->btf, NULL, 8);
    field(t, "ecap", t->u64, 0);
    int constant = btf__add_const(t->btf, in_union);
    int in_struct = new_struct(t, NULL, 16);
    field(t, "cap", t->u64, 0);
    field(t, NULL, constant, 8);
    new_struct(t, "intel_iommu", 72);
    field(t, NULL, in_struct, FAKE_IOMMU_CAP);
    field(t, "gcmd", t->u32, FAKE_IOMMU_GCMD);
    field(t, "name", name, FAKE_IOMMU_NAME);
    field(t, "root_entry", t->pointer, FAKE_IOMMU_ROOT);
    need(btf__add_field(t->btf, "flag", t->u32, FAKE_IOMMU_FLAG * 8, 1) == 0);
}

static void amd_types(struct types *t, bool later)
{
    new_struct(t, "amd_iommu", 96);
    field(t, "list", t->list, FAKE_AMD_LIST);
    field(t, "index", t->u32, FAKE_AMD_INDEX);
    field(t, "mmio_phys", t->u64, FAKE_AMD_BASE);
    field(t, "pci_seg", t->pointer, FAKE_AMD_SEGMENT);
    if (!later) {
        field(t, "features", t->u64, FAKE_AMD_EFR);
        field(t, "features2", t->u64, FAKE_AMD_EFR2);
    }
    new_struct(t, "amd_iommu_pci_seg", 64);
    field(t, "id", t->u16, FAKE_SEGMENT_ID);
    field(t, "last_bdf", t->u16, FAKE_SEGMENT_LAST);
    field(t, "dev_table", t->pointer, FAKE_SEGMENT_TABLE);
    if (!later)
        field(t, "dev_table_size", t->u32, FAKE_SEGMENT_SIZE);
}

static void pci_types(struct types *t)
{
    new_struct(t, "pci_sysdata", 8);
    field(t, "domain", t->u32, 0);
    new_struct(t, "pci_bus", 80);
    field(t, "node", t->list, FAKE_BUS_NODE);
    field(t, "children", t->list, FAKE_BUS_CHILDREN);
    field(t, "devices", t->list, FAKE_BUS_DEVICES);
    field(t, "sysdata", t->pointer, FAKE_BUS_SYSDATA);
    field(t, "number", t->u8, FAKE_BUS_NUMBER);
    int device = new_struct(t, "device", 24);
    field(t, "driver", t->pointer, FAKE_DEVICE_DRIVER);
    new_struct(t, "pci_dev", 64);
    field(t, "bus_list", t->list, FAKE_DEV_LIST);
    field(t, "devfn", t->u32, FAKE_DEV_DEVFN);
    field(t, "vendor", t->u16, FAKE_DEV_VENDOR);
    field(t, "device", t->u16, FAKE_DEV_DEVICE);
    field(t, "class", t->u32, FAKE_DEV_CLASS);
    field(t, "dev", device, FAKE_DEV_DEV);
    new_struct(t, "device_driver", 16);
    field(t, "name", t->pointer, FAKE_DRIVER_NAME);
}

static void build_btf(struct fake_linux *l)
{
    struct types t = {.btf = btf__new_empty()};
    need(t.btf != NULL);
    basic_types(&t);
    dmar_types(&t);
    if (l->options.amd != FAKE_AMD_NONE)
        amd_types(&t, l->options.amd == FAKE_AMD_LATER);
    pci_types(&t);
    uint32_t size;
    const void *raw = btf__raw_data(t.btf, &size);
    need(raw != NULL);
    l->btf = take(l, size, 4);
    l->btf_size = size;
    memcpy(l->ram + l->btf, raw, size);
    btf__free(t.btf);
}

// ---- the driver's and the PCI core's structures -----------------------------------------------------------
// A list: a head, which is known by head_va, and up to two nodes; physical addresses of struct list_head, or
// 0.
static void link_list(struct fake_linux *l, uint64_t head, uint64_t head_va, uint64_t first, uint64_t second)
{
    uint64_t at[4] = {head, first, second}, va[4] = {head_va, fake_linux_va(first), fake_linux_va(second)};
    unsigned count = second ? 3 : first ? 2 : 1;
    for (unsigned i = 0; i < count; i++) {
        unsigned next = (i + 1) % count;
        fake_linux_put(l, at[i], va[next], 8);
        fake_linux_put(l, at[next] + 8, va[i], 8);
    }
}

static void link_inner(struct fake_linux *l, uint64_t head, uint64_t first, uint64_t second)
{
    link_list(l, head, fake_linux_va(head), first, second);
}

static void build_units(struct fake_linux *l)
{
    l->drhd_units = take(l, 16, 16);
    l->sm = take(l, 4, 4);
    fake_linux_put(l, l->sm, l->options.scalable, 4);
    for (unsigned i = 0; i < 2; i++) {
        l->drhd[i] = take(l, 64, 64);
        l->iommu[i] = take(l, 72, 64);
        l->root[i] = take_page(l);
        fake_linux_put(l, l->drhd[i] + FAKE_DRHD_BASE, 0xFED90000u + 0x1000u * i, 8);
        fake_linux_put(l, l->drhd[i] + FAKE_DRHD_SEGMENT, i, 2);
        fake_linux_put(l, l->drhd[i] + FAKE_DRHD_IOMMU, fake_linux_va(l->iommu[i]), 8);
        fake_linux_put(l, l->iommu[i] + FAKE_IOMMU_CAP, 0xD2008C222F0606u, 8);
        fake_linux_put(l, l->iommu[i] + FAKE_IOMMU_ECAP, i ? 0xF00F4Au : 0x880000F00F4Au, 8);
        fake_linux_put(l, l->iommu[i] + FAKE_IOMMU_GCMD, i ? 0 : 0x86000000u, 4);
        memcpy(l->ram + l->iommu[i] + FAKE_IOMMU_NAME, i ? "dmar1" : "dmar0", 6);
        if (i == 0)
            fake_linux_put(l, l->iommu[i] + FAKE_IOMMU_ROOT, fake_linux_va(l->root[i]), 8);
    }
    bool any = l->options.amd < FAKE_AMD;
    link_list(l, l->drhd_units, image_va(l->drhd_units), any ? l->drhd[0] + FAKE_DRHD_LIST : 0,
              any ? l->drhd[1] + FAKE_DRHD_LIST : 0);
}

static void build_amd(struct fake_linux *l)
{
    if (l->options.amd == FAKE_AMD_NONE)
        return;
    bool any = l->options.amd >= FAKE_AMD;
    l->amd_list = take(l, 16, 16);
    l->amd_efr = take(l, 16, 8);
    fake_linux_put(l, l->amd_efr, 0x29D7, 8);
    fake_linux_put(l, l->amd_efr + 8, 9, 8);
    l->amd_segment = take(l, 64, 64);
    l->amd_table = take_page(l);
    take_page(l);
    for (unsigned i = 0; i < 2; i++) {
        l->amd[i] = take(l, 96, 64);
        fake_linux_put(l, l->amd[i] + FAKE_AMD_BASE, i ? 0xFEA00000u : 0xFED80000u, 8);
        fake_linux_put(l, l->amd[i] + FAKE_AMD_INDEX, i, 4);
        fake_linux_put(l, l->amd[i] + FAKE_AMD_EFR, 0x29D3, 8);
        fake_linux_put(l, l->amd[i] + FAKE_AMD_EFR2, 8, 8);
        fake_linux_put(l, l->amd[i] + FAKE_AMD_SEGMENT, fake_linux_va(l->amd_segment), 8);
    }
    fake_linux_put(l, l->amd_segment + FAKE_SEGMENT_ID, 3, 2);
    fake_linux_put(l, l->amd_segment + FAKE_SEGMENT_LAST, 0xFB, 2);
    fake_linux_put(l, l->amd_segment + FAKE_SEGMENT_SIZE, 0x2000, 4);
    fake_linux_put(l, l->amd_segment + FAKE_SEGMENT_TABLE, fake_linux_va(l->amd_table), 8);
    link_list(l, l->amd_list, image_va(l->amd_list), any ? l->amd[0] + FAKE_AMD_LIST : 0,
              any ? l->amd[1] + FAKE_AMD_LIST : 0);
}

static void build_function(struct fake_linux *l, unsigned i, unsigned devfn, unsigned device,
                           unsigned class_code)
{
    l->dev[i] = take(l, 64, 64);
    fake_linux_put(l, l->dev[i] + FAKE_DEV_DEVFN, devfn, 4);
    fake_linux_put(l, l->dev[i] + FAKE_DEV_VENDOR, 0x8086, 2);
    fake_linux_put(l, l->dev[i] + FAKE_DEV_DEVICE, device, 2);
    fake_linux_put(l, l->dev[i] + FAKE_DEV_CLASS, class_code, 4);
}

static void build_pci(struct fake_linux *l)
{
    l->root_buses = take(l, 16, 16);
    l->sysdata = take(l, 8, 8);
    for (unsigned i = 0; i < 2; i++) {
        l->bus[i] = take(l, 80, 16);
        fake_linux_put(l, l->bus[i] + FAKE_BUS_NUMBER, i, 1);
        fake_linux_put(l, l->bus[i] + FAKE_BUS_SYSDATA, fake_linux_va(l->sysdata), 8);
    }
    build_function(l, 0, 0x10, 0x2668, 0x040300);
    build_function(l, 1, 0xE0, 0x244E, 0x060400);
    build_function(l, 2, 0x00, 0x10D3, 0x020000);
    link_list(l, l->root_buses, image_va(l->root_buses), l->bus[0] + FAKE_BUS_NODE, 0);
    link_inner(l, l->bus[0] + FAKE_BUS_CHILDREN, l->bus[1] + FAKE_BUS_NODE, 0);
    link_inner(l, l->bus[1] + FAKE_BUS_CHILDREN, 0, 0);
    link_inner(l, l->bus[0] + FAKE_BUS_DEVICES, l->dev[0] + FAKE_DEV_LIST, l->dev[1] + FAKE_DEV_LIST);
    link_inner(l, l->bus[1] + FAKE_BUS_DEVICES, l->dev[2] + FAKE_DEV_LIST, 0);
    l->driver = l->vmalloc + 0x800;
    fake_linux_put(l, l->driver + FAKE_DRIVER_NAME, FAKE_VMALLOC + 0xFF0, 8); // the next page is not mapped
    memcpy(l->ram + l->vmalloc + 0xFF0, "fake_hda", 9);
    fake_linux_put(l, l->dev[0] + FAKE_DEV_DEV + FAKE_DEVICE_DRIVER, FAKE_VMALLOC + 0x800, 8);
}

static void build_resources(struct fake_linux *l)
{
    l->crashk_low_res = take(l, 32, 8);
    l->crashk_res = take(l, 32, 8);
    fake_linux_put(l, l->crashk_low_res, 0x10000000, 8);
    fake_linux_put(l, l->crashk_low_res + 8, 0x1FFFFFFF, 8);
    fake_linux_put(l, l->crashk_res, 0x100000000, 8);
    fake_linux_put(l, l->crashk_res + 8, 0x13FFFFFFF, 8);
}

// ---- kallsyms
// ------------------------------------------------------------------------------------------------ Tokens are
// single characters, but for these.
static const char *const words[] = {"dmar_", "crashk_", "res", "_BTF", "pci_"};

static void build_tokens(struct fake_linux *l)
{
    l->token_index = take(l, 512, 2);
    l->token_table = take(l, 0, 1);
    for (unsigned i = 0; i < 256; i++) {
        char one[2] = {(char)i, '\0'};
        const char *token = i >= 1 && i <= sizeof words / sizeof words[0] ? words[i - 1] : one;
        uint64_t at = take(l, strlen(token) + 1, 1);
        memcpy(l->ram + at, token, strlen(token) + 1);
        fake_linux_put(l, l->token_index + 2 * i, at - l->token_table, 2);
    }
}

static void add_name(struct fake_linux *l, char type, const char *name)
{
    uint8_t tokens[512];
    unsigned count = 0;
    tokens[count++] = (uint8_t)type;
    while (*name != '\0') {
        unsigned word = 0;
        while (word < sizeof words / sizeof words[0] && strncmp(name, words[word], strlen(words[word])) != 0)
            word++;
        bool single = word == sizeof words / sizeof words[0];
        tokens[count++] = single ? (uint8_t)*name : (uint8_t)(word + 1);
        name += single ? 1 : strlen(words[word]);
    }
    unsigned head = count > 127 ? 2 : 1;
    uint64_t at = take(l, head + count, 1);
    fake_linux_put(l, at, count > 127 ? (count & 127) | 128 | (count >> 7) << 8 : count, head);
    memcpy(l->ram + at + head, tokens, count);
}

static uint64_t encoded(const struct fake_linux *l, uint64_t va, uint64_t place)
{
    switch (l->options.kallsyms) {
    case FAKE_PERCPU:
        return va < FAKE_IMAGE ? va : FAKE_IMAGE - 1 - va;
    case FAKE_RELATIVE:
        return va - FAKE_IMAGE;
    case FAKE_PLACE:
        return va - place;
    default:
        return va;
    }
}

static void build_kallsyms(struct fake_linux *l)
{
    char big[300];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    const struct {
        const char *name;
        uint64_t pa;
    } symbols[] = {
        {"_text", 0},
        {"_stext", 0},
        {big, 0x10},
        {"__start_BTF", l->btf},
        {"__stop_BTF", l->btf + l->btf_size},
        {"dmar_drhd_units_not", 0x20},
        {"dmar_drhd_units", l->drhd_units},
        {"intel_iommu_sm", l->sm},
        {"pci_root_buses", l->root_buses},
        {"crashk_low_res", l->crashk_low_res},
        {"crashk_res", l->crashk_res},
        {"amd_iommu_list", l->amd_list},
        {"amd_iommu_efr", l->amd_efr},
        {"amd_iommu_efr2", l->amd_efr + 8},
    };
    unsigned count = sizeof symbols / sizeof symbols[0] - (l->options.amd == FAKE_AMD_NONE ? 3 : 0);
    build_tokens(l);
    l->num_syms = take(l, 4, 8);
    l->relative_base = take(l, 8, 8);
    unsigned size = l->options.kallsyms == FAKE_ABSOLUTE ? 8 : 4;
    l->offsets = take(l, count * size, 8);
    l->names = take(l, 0, 1);
    for (unsigned i = 0; i < count; i++) {
        add_name(l, 'D', symbols[i].name);
        uint64_t place = l->offsets + i * size;
        fake_linux_put(l, place, encoded(l, image_va(symbols[i].pa), image_va(place)), size);
    }
    fake_linux_put(l, l->num_syms, count, 4);
    fake_linux_put(l, l->relative_base, FAKE_IMAGE, 8);
}

// ---- VMCOREINFO ------------------------------------------------------------------------------------------
static void tell(struct fake_linux *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct fake_linux *l, const char *format, ...)
{
    size_t have = strlen(l->info);
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(l->info + have, sizeof l->info - have, format, arguments);
    va_end(arguments);
    need(more > 0 && have + (size_t)more < sizeof l->info);
}

static char *info_line(struct fake_linux *l, const char *key)
{
    size_t size = strlen(key);
    for (char *line = l->info; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, key, size) == 0 && line[size] == '=')
            return line;
    abort();
}

void fake_linux_drop(struct fake_linux *l, const char *key)
{
    *info_line(l, key) = '#';
}

static void build_info(struct fake_linux *l)
{
    const struct {
        const char *name;
        uint64_t pa;
    } symbols[] = {
        {"swapper_pg_dir", l->top},
        {"_stext", 0},
        {"kallsyms_names", l->names},
        {"kallsyms_num_syms", l->num_syms},
        {"kallsyms_token_table", l->token_table},
        {"kallsyms_token_index", l->token_index},
        {l->options.kallsyms == FAKE_ABSOLUTE ? "kallsyms_addresses" : "kallsyms_offsets", l->offsets},
        {"kallsyms_relative_base", l->relative_base},
    };
    tell(l, "OSRELEASE=6.1.0-fake\nPAGESIZE=4096\n");
    for (unsigned i = 0; i < sizeof symbols / sizeof symbols[0]; i++)
        tell(l, "SYMBOL(%s)=%llx\n", symbols[i].name, (unsigned long long)image_va(symbols[i].pa));
    tell(l, "NUMBER(phys_base)=%lld\nNUMBER(pgtable_l5_enabled)=%d\n", PHYS_BASE, l->options.levels == 5);
    if (l->options.kallsyms == FAKE_PLACE)
        fake_linux_drop(l, "SYMBOL(kallsyms_relative_base)");
    tell(l, "KERNELOFFSET=0\nNUMBER(sme_mask)=%llx\n", (unsigned long long)l->options.sme_mask);
}

void fake_linux_tell(struct fake_linux *l, const char *key, const char *value)
{
    char *old = info_line(l, key) + strlen(key) + 1, *end = strchr(old, '\n');
    size_t size = strlen(value);
    need(size <= (size_t)(end - old));
    memcpy(old, value, size);
    memmove(old + size, end, strlen(end) + 1);
    l->provider.vmcoreinfo_size = strlen(l->info);
}

// ---- as a memory -----------------------------------------------------------------------------------------
static dam_err read_page(void *ctx, dam_pa pa, void *page, struct tool_error *why)
{
    struct fake_linux *l = ctx;
    (void)why;
    if (pa.v >= sizeof l->ram)
        return DAM_E_RANGE;
    if (l->absent[pa.v / DAM_PAGE_SIZE])
        return DAM_E_ABSENT;
    memcpy(page, l->ram + pa.v, DAM_PAGE_SIZE);
    return DAM_OK;
}

static bool next_held(void *ctx, uint64_t *start, uint64_t *end)
{
    struct fake_linux *l = ctx;
    for (; *start < sizeof l->ram; *start += DAM_PAGE_SIZE) {
        if (l->absent[*start / DAM_PAGE_SIZE])
            continue;
        *end = *start + DAM_PAGE_SIZE;
        return true;
    }
    return false;
}

void fake_linux_build(struct fake_linux *l, const struct fake_linux_options *options)
{
    memset(l, 0, sizeof *l);
    if (options != NULL)
        l->options = *options;
    l->used = DAM_PAGE_SIZE; // nothing lies at 0
    build_tables(l);
    build_btf(l);
    build_units(l);
    build_amd(l);
    build_pci(l);
    build_resources(l);
    build_kallsyms(l);
    build_info(l);
    l->provider = (struct memory_provider){
        .ctx = l,
        .read_page = read_page,
        .next_held = next_held,
        .vmcoreinfo = l->info,
        .vmcoreinfo_size = strlen(l->info),
    };
}

struct memory *fake_linux_memory(struct fake_linux *l)
{
    struct memory *memory = memory_new(&l->provider);
    need(memory != NULL);
    return memory;
}

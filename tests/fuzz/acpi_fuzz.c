// SPDX-License-Identifier: MIT
// Any bytes as firmware memory, ACPI tables and configuration space: the way from root pointer to requester
// ids, as the takeover goes it. Nothing may crash, run away, or read where it has no business.
//
// The first byte of the input chooses: 'D' reads the rest as a DMAR table, 'M' as an MCFG table; 'R' lays the
// rest over the memory of a small machine with a root pointer, XSDT, DMAR and MCFG, checksums put right so
// that the fuzzer gets past them. Seeds: tests/fuzz/seeds/acpi.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/mcfg.h"
#include "acpi/tables.h"
#include "pci/topology.h"
#include "pure/acpi_hide.h"

#define MEMORY 0xE0000ull // where the fuzzed memory lies: in the BIOS area
#define SIZE   0x4000u
#define POOL   (4u << 20)
// Accesses for one input: many long paths through bridges with long lists take 700,000.
#define BUDGET 4000000u

static uint8_t memory[SIZE];
static _Alignas(4096) uint8_t pool[POOL];
static uint8_t space[256]; // configuration space: every function shows these bytes, mixed with its number
static uint32_t address;
static unsigned accesses;

static void count(void)
{
    if (++accesses > BUDGET)
        abort();
}

static dam_err mem_read(void *ctx, dam_pa pa, void *buf, size_t len)
{
    (void)ctx;
    count();
    if (len > ACPI_MAX_TABLE_SIZE || pa.v + len < pa.v)
        abort(); // every length and every address has a bound before it comes here
    if (pa.v < MEMORY || len > SIZE || pa.v - MEMORY > SIZE - len)
        return DAM_E_RANGE;
    memcpy(buf, memory + (pa.v - MEMORY), len);
    return DAM_OK;
}

static uint32_t config(uint32_t rid, uint32_t reg)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++)
        value |= (uint32_t)(uint8_t)(space[(reg + i) & 0xFF] ^ (reg < 0x10 ? 0 : (rid >> 8) + (rid & 7)))
                 << 8 * i;
    return value;
}

static dam_err mmio_read(void *ctx, dam_pa pa, unsigned width, uint64_t *value)
{
    (void)ctx;
    count();
    if (width != 4 || pa.v % 4)
        abort();
    *value = config((uint32_t)(pa.v >> 12), pa.v & 0xFFF);
    return DAM_OK;
}

static dam_err port_write(void *ctx, uint16_t port, unsigned width, uint32_t value)
{
    (void)ctx;
    count();
    if (port != 0xCF8 || width != 4)
        abort();
    address = value;
    return DAM_OK;
}

static dam_err port_read(void *ctx, uint16_t port, unsigned width, uint32_t *value)
{
    (void)ctx;
    count();
    if (port != 0xCFC || width != 4)
        abort();
    *value = config(address >> 8 & 0xFFFF, address & 0xFC);
    return DAM_OK;
}

static const struct dam_ops ops = {
    .mem_read = mem_read, .mmio_read = mmio_read, .port_read = port_read, .port_write = port_write};

static void resolve(const struct pci_cfg *cfg, uint16_t segment, const struct dmar_scope *scope)
{
    struct pci_target target;
    dam_err err = pci_scope_resolve(cfg, segment, scope, &target);
    if (target.alias_count > DMAR_MAX_PATH)
        abort();
    if (err)
        return;
    if (!pci_target_covers(&target, target.rid))
        abort();
    if (target.has_below && target.below_first <= target.rid >> 8)
        abort(); // a bridge leads down
}

static void walk_dmar(const struct pci_cfg *cfg, const uint8_t *bytes, size_t size)
{
    struct dmar_table table;
    struct dmar_structure s;
    struct dmar_scope scope;
    uint32_t cursor = 0;
    size_t seen = 0;
    bool scopes_ok = true;
    dam_err err, at_err;

    if (dmar_open(bytes, size, &table))
        return;
    while ((err = dmar_next(&table, &cursor, &s)) == DAM_OK) {
        uint16_t at = 0;
        if (++seen > size || s.offset + s.length > size || (s.name && strlen(s.name) != s.name_length))
            abort();
        while ((at_err = dmar_next_scope(&s, &at, &scope)) == DAM_OK || at_err == DAM_E_RANGE) {
            if (++seen > size || scope.path_length > DMAR_MAX_PATH)
                abort();
            if (at_err == DAM_OK)
                resolve(cfg, s.segment, &scope);
            else
                scopes_ok = false;
        }
        scopes_ok = scopes_ok && at_err == DAM_E_ABSENT;
    }
    if ((dmar_check(&table, NULL) == DAM_OK) != (err == DAM_E_ABSENT && scopes_ok))
        abort(); // the two ways must agree on what is sound
}

static void walk_mcfg(struct pci_cfg *cfg, const uint8_t *bytes, size_t size)
{
    struct mcfg_entry e;
    uint32_t cursor = 0;
    dam_err err;
    while ((err = mcfg_next(bytes, size, &cursor, &e)) == DAM_OK || err == DAM_E_RANGE) {
        if (cursor > size)
            abort();
        if (err == DAM_OK && pci_cfg_add_ecam(cfg, e.base, e.segment, e.first_bus, e.last_bus) == DAM_OK &&
            cfg->ecam_count > PCI_MAX_ECAM)
            abort();
    }
}

static void put(uint32_t at, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        memory[at + i] = (uint8_t)(value >> 8 * i);
}

// Makes the sum of a table in memory right, as far as its length lies in memory.
static void put_sum(uint32_t at, uint32_t length, uint32_t where)
{
    if (length > SIZE - at)
        return;
    memory[at + where] = 0;
    memory[at + where] = (uint8_t)(0 - acpi_sum(memory + at, length));
}

static uint32_t length_at(uint32_t at)
{
    return memory[at + 4] | (uint32_t)memory[at + 5] << 8 | (uint32_t)memory[at + 6] << 16 |
           (uint32_t)memory[at + 7] << 24;
}

// Root pointer at +0, XSDT at +40h, RSDT at +80h, MCFG at +100h, DMAR at +200h; then the input over it, as
// (offset, length, bytes); then the sums.
static void build(const uint8_t *data, size_t size)
{
    memset(memory, 0, sizeof(memory));
    memcpy(memory, "RSD PTR ", 8);
    memory[15] = 2;
    put(16, MEMORY + 0x80, 4);
    put(20, 36, 4);
    put(24, MEMORY + 0x40, 8);
    memcpy(memory + 0x40, "XSDT", 4);
    put(0x44, 36 + 16, 4);
    put(0x40 + 36, MEMORY + 0x100, 8);
    put(0x40 + 44, MEMORY + 0x200, 8);
    memcpy(memory + 0x80, "RSDT", 4);
    put(0x84, 36 + 4, 4);
    put(0x80 + 36, MEMORY + 0x200, 4);
    memcpy(memory + 0x100, "MCFG", 4);
    put(0x104, 60, 4);
    put(0x100 + 44, 0xB0000000, 8);
    memory[0x100 + 55] = 255;
    memcpy(memory + 0x200, "DMAR", 4);
    put(0x204, 64, 4);
    put(0x232, 16, 2);
    while (size >= 3) {
        uint32_t at = (data[0] | (uint32_t)data[1] << 8) % SIZE;
        size_t len = data[2];
        data += 3;
        size -= 3;
        len = len < size ? len : size;
        len = len < SIZE - at ? len : SIZE - at;
        memcpy(memory + at, data, len);
        data += len;
        size -= len;
    }
    put_sum(0x40, length_at(0x40), 9);
    put_sum(0x100, length_at(0x100), 9);
    put_sum(0x200, length_at(0x200), 9);
    put_sum(0, 20, 8);
    put_sum(0, length_at(16) <= ACPI_RSDP_MAX_SIZE ? length_at(16) : 36, 32);
}

// The root without IOMMUs leads to as many tables as it says, and is sound.
static void hide(const dam_pa *candidates, size_t count)
{
    static struct dam_arena arena;
    struct iommu_kind kinds[IOMMU_KINDS];
    unsigned kind_count = iommu_kinds(kinds);
    struct acpi_hidden h;
    memset(pool, 0, 64 * 1024);
    dam_arena_init(&arena, pool, dam_pa_of(0x10000000), 64 * 1024);
    if (acpi_hide_iommus(&ops, &arena, candidates, count, kinds, kind_count, &h))
        return;
    const uint8_t *rsdp = dam_arena_ptr(&arena, h.rsdp);
    uint64_t pa = 0;
    for (unsigned i = 0; i < 8; i++)
        pa |= (uint64_t)rsdp[24 + i] << 8 * i;
    const uint8_t *xsdt = dam_arena_ptr(&arena, dam_pa_of(pa));
    if (acpi_sum(rsdp, 20) || acpi_sum(rsdp, 36) || acpi_sum(xsdt, 36 + (size_t)h.kept * 8) ||
        h.dropped == 0 || h.kept + h.dropped > ACPI_MAX_ROOT_ENTRIES)
        abort();
}

static void whole_way(void)
{
    static struct dam_arena arena;
    struct acpi_rsdp rsdp;
    struct acpi_root root;
    struct acpi_table table;
    struct pci_cfg cfg;
    const dam_pa candidates[] = {{MEMORY + 0x10}, {MEMORY}, {~0ull}};

    dam_arena_init(&arena, pool, dam_pa_of(0x10000000), sizeof(pool));
    pci_cfg_init(&cfg, &ops);
    hide(candidates, 3);
    if (acpi_find_rsdp(&ops, candidates, 3, &rsdp) || acpi_open_root(&ops, &arena, &rsdp, &root))
        return;
    if (acpi_read_table(&ops, &root, &arena, "MCFG", 0, &table) == DAM_OK)
        walk_mcfg(&cfg, table.bytes, table.length);
    for (unsigned nth = 0; nth < 2; nth++)
        if (acpi_read_table(&ops, &root, &arena, "DMAR", nth, &table) == DAM_OK)
            walk_dmar(&cfg, table.bytes, table.length);
    if (dam_arena_used(&arena) > sizeof(pool))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pci_cfg cfg;
    if (size == 0)
        return 0;
    const uint8_t kind = *data++;
    size--;
    accesses = 0;
    // A bridge that leads down by one bus from whichever bus it is asked on; the end of the input changes it.
    memset(space, 0, sizeof(space));
    memcpy(space, "\x86\x80\x12\x34\x07\x04\x10\x00\x00\x00\x04\x06\x00\x00\x01\x00", 16);
    memcpy(space + 0x18, "\x00\x01\x40", 3);
    memcpy(space + 0x34, "\x40", 1);
    memcpy(space + 0x40, "\x10\x00\x72\x00", 4);
    for (size_t i = 0; kind != 'D' && i < size && i < 64; i++)
        space[(i * 5 + 0x0E) & 0xFF] ^= data[size - 1 - i] & 0x83;
    pci_cfg_init(&cfg, &ops);
    // A copy of exactly its size, so that the sanitizer sees one byte too many.
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    if (kind == 'M') {
        walk_mcfg(&cfg, copy, size);
    } else if (kind == 'R') {
        build(copy, size);
        whole_way();
    } else {
        walk_dmar(&cfg, copy, size);
    }
    free(copy);
    return 0;
}

// SPDX-License-Identifier: MIT
// Any bytes as device table, GCR3 tables and page tables: what the lookup tells is what a translator written
// apart does with requests. Nothing that passes is left untold, and what is told as sound leads where the
// translator goes.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "iommu/amdvi/lookup.h"
#include "lib/naive_amdvi.h"

#define BASE  0x100000ull
#define PAGES 40u
#define HAW   48u

static uint64_t memory[PAGES * PT_ENTRIES];

static bool read64(void *ctx, uint64_t pa, uint64_t *value)
{
    (void)ctx;
    if (pa - BASE >= sizeof(memory) || pa % 8)
        return false;
    *value = memory[(pa - BASE) / 8];
    return true;
}

static dam_err read_old(void *ctx, dam_pa pa, void *buf, size_t len)
{
    (void)ctx;
    if (pa.v < BASE || pa.v - BASE + len > sizeof(memory))
        return DAM_E_RANGE;
    memcpy(buf, (const uint8_t *)memory + (pa.v - BASE), len);
    return DAM_OK;
}

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

// Words are given as (page, flags, index, raw) of 12 bytes, so that the fuzzer reaches structure.
static void fill(const uint8_t *data, size_t size)
{
    memset(memory, 0, sizeof(memory));
    for (; size >= 12; data += 12, size -= 12) {
        uint64_t raw;
        unsigned page = data[0] % PAGES, index = (data[2] | (unsigned)data[3] << 8) % PT_ENTRIES;
        memcpy(&raw, data + 4, 8);
        if (data[1] & 1)
            raw = (raw & 0xFFF0000000000FFFull) | (BASE + (raw >> 12) % PAGES * DAM_PAGE_SIZE);
        if (data[1] & 2) // the GCR3 root of a device table entry
            raw |= (BASE >> 15 & 0xFFFF) << 16;
        for (unsigned i = index; i < PT_ENTRIES; i += data[1] & 4 ? 1 + (data[1] >> 4) : PT_ENTRIES)
            memory[page * PT_ENTRIES + i] = raw;
    }
}

// ---- what the lookup told ---------------------------------------------------------------------------------
enum { NOTHING, OPEN, BOUND, UNKNOWN };
static uint8_t told[65536];                 // of requests without PASID
static struct iommu_binding bindings[1024]; // of the first entries
static bool told_pasids[65536];             // some of its PASIDs are unknown, or it has any
static struct {
    uint32_t rid, pasid;
    struct iommu_binding b;
} of_pasid[256];
static unsigned pasids;
static struct amdvi_features features;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static dam_err found(void *ctx, const struct iommu_hit *hit)
{
    (void)ctx;
    const bool sound = hit->kind == IOMMU_HIT_BINDING && !hit->finding;
    if (hit->flags & DAM_REQ_PASID) {
        told_pasids[hit->rid] = true;
        if (sound && pasids < 256) {
            of_pasid[pasids].rid = hit->rid;
            of_pasid[pasids].pasid = hit->pasid;
            of_pasid[pasids++].b = hit->binding;
        }
        return DAM_OK;
    }
    must(hit->span >= 1 && hit->rid + hit->span <= 65536);
    for (uint32_t rid = hit->rid; rid < hit->rid + hit->span; rid++) {
        must(told[rid] == NOTHING || hit->step_count); // once; below a sound entry its PASIDs may be broken
        told[rid] = !sound ? UNKNOWN : hit->flags & DAM_REQ_OTHERS ? OPEN : BOUND;
        if (rid < 1024)
            bindings[rid] = hit->binding;
    }
    return DAM_OK;
}

// ---- what the translator does -----------------------------------------------------------------------------
static const struct naive_amdvi hw = {.read64 = read64, .haw = HAW, .guest_1g = true, .supervisor = true};
static const uint64_t iovas[] = {0, 0x1008, 0x200000, 0x40000000, 0x7FFFF000, 1ull << 39, ~0ull << 47};

static bool entry_of(const struct amdvi_device_table *t, unsigned rid, uint64_t *dte)
{
    const unsigned low = 16u - t->log2_segments;
    const uint64_t reg = t->reg[rid >> low];
    const unsigned index = rid & ((1u << low) - 1);
    bool read = index < ((reg & 0x1FF) + 1) * 128;
    for (unsigned i = 0; i < 4 && read; i++)
        read = read64(NULL, (reg & 0x000FFFFFFFFFF000ull) + index * 32ull + i * 8, &dte[i]);
    return read;
}

static void same(struct naive_amd_result by_entry, struct naive_amd_result by_tables, bool right)
{
    must(by_entry.ok == (by_tables.ok && right));
    must(!by_entry.ok || by_entry.pa == by_tables.pa);
}

static void check_rid(unsigned rid, const uint64_t *dte, uint64_t iova, bool write)
{
    struct naive_amd_result r = naive_amdvi_by_entry(&hw, dte, NAIVE_AMD_NO_PASID, iova, write);
    const struct iommu_binding *b = &bindings[rid % 1024];
    const bool right = write ? b->w : b->r;
    if (told[rid] == NOTHING)
        must(!r.ok || (told_pasids[rid] && dte[0] >> 54 & 1));
    if (told[rid] == OPEN)
        must(r.ok && r.pa == iova && !(dte[0] & 1));
    if (told[rid] != BOUND || rid >= 1024)
        return;
    must(r.reason != NAIVE_AMD_DTE_RESERVED && r.reason != NAIVE_AMD_BLOCKED);
    if (b->stage == DAM_STAGE_PASSTHROUGH)
        must(r.ok == right && (!r.ok || r.pa == iova));
    if (b->stage == DAM_STAGE_SECOND)
        same(r, naive_amdvi_host(&hw, b->root.v, b->levels, iova, write), right);
}

static void check_pasid(const struct amdvi_device_table *t, unsigned i, uint64_t iova, bool write)
{
    uint64_t dte[4];
    const struct iommu_binding *b = &of_pasid[i].b;
    must(entry_of(t, of_pasid[i].rid, dte) && b->stage == DAM_STAGE_FIRST);
    struct naive_amd_result r = naive_amdvi_by_entry(&hw, dte, of_pasid[i].pasid, iova, write);
    same(r, naive_amdvi_guest(&hw, b->root.v, b->levels, 0, 0, iova, write), write ? b->w : b->r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 12)
        return 0;
    struct amdvi_device_table table = {.log2_segments = data[0] & 3};
    features = (struct amdvi_features){.haw = HAW};
    // 6 levels, guest translation with 5 levels, GCR3 tables of 3 levels; with PASIDs of some width.
    features.efr =
        2ull << 10 | 1 << 4 | 1ull << 12 | 2ull << 14 | (uint64_t)(data[1] % 20) << 32 | 1ull << 48;
    for (unsigned i = 0; i < 8; i++)
        table.reg[i] = (BASE + data[2 + i] % (PAGES + 2) * DAM_PAGE_SIZE) | data[2 + i] >> 6;
    fill(data + 12, size - 12);
    struct dam_ops ops = {.mem_read = read_old, .clock_us = no_time};
    struct dam_range storage[1];
    struct dam_ranges ram;
    dam_ranges_init(&ram, storage, 1);
    must(dam_ranges_add(&ram, BASE, BASE + sizeof(memory)) == DAM_OK);
    struct pt_budget budget = {4096, ~0ull};
    const struct pt_memory known = {&ops, &ram, NULL, false, &budget};
    static uint64_t buffers[AMDVI_LOOKUP_PAGES * PT_ENTRIES];
    const struct amdvi_lookup lookup = {
        .features = &features, .memory = &known, .buffers = buffers, .function_tables = 16, .found = found};
    memset(told, NOTHING, sizeof(told));
    memset(told_pasids, 0, sizeof(told_pasids));
    pasids = 0;
    if (amdvi_lookup(&lookup, &table))
        return 0; // the budget
    for (unsigned rid = 0; rid < 65536; rid += rid % 8192 < 140 ? 1 : 61) {
        uint64_t dte[4];
        bool any = entry_of(&table, rid, dte);
        must(any || told[rid] == NOTHING || told[rid] == UNKNOWN);
        if (any)
            for (unsigned i = 0; i < 2 * sizeof(iovas) / sizeof(iovas[0]); i++)
                check_rid(rid, dte, iovas[i / 2], i & 1);
    }
    for (unsigned i = 0; i < pasids; i++)
        for (unsigned n = 0; n < 2 * sizeof(iovas) / sizeof(iovas[0]); n++)
            check_pasid(&table, i, iovas[n / 2], n & 1);
    return 0;
}

// SPDX-License-Identifier: MIT
// A unit at work: its caches, the invalidation queue, and DMA.
#include "lib/fake_vtd.h"

#include <stdlib.h>
#include <string.h>

#define TE  (1u << 31)
#define QIE (1u << 26)
#define IQE (1u << 4)
#define ITE (1u << 6)

// ---- what walks see ---------------------------------------------------------------------------------------
static bool walk_read64(void *ctx, uint64_t pa, uint64_t *value)
{
    struct fake_vtd *fake = ctx;
    const struct fake_region *region = fake_region_at(fake, pa, 8);
    if (!region)
        return false;
    memcpy(value, region->host + (pa - region->pa), 8);
    return true;
}

// What hardware writes goes to memory, past the caches or through them.
static bool walk_write64(void *ctx, uint64_t pa, uint64_t value)
{
    struct fake_vtd *fake = ctx;
    const struct fake_region *region = fake_region_at(fake, pa, 8);
    if (!region)
        return false;
    memcpy(region->host + (pa - region->pa), &value, 8);
    if (region->device)
        memcpy(region->device + (pa - region->pa), &value, 8);
    return true;
}

// Walks that do not snoop see memory as of the last cache flush.
static bool walk_read64_stale(void *ctx, uint64_t pa, uint64_t *value)
{
    struct fake_vtd *fake = ctx;
    const struct fake_region *region = fake_region_at(fake, pa, 8);
    if (!region || !region->device)
        return false;
    memcpy(value, region->device + (pa - region->pa), 8);
    return true;
}

struct naive_vtd fake_vtd_naive(struct fake_vtd *fake, unsigned number)
{
    const struct fake_unit *unit = &fake->unit[number];
    return (struct naive_vtd){
        .read64 = unit->ecap & 1 ? walk_read64 : walk_read64_stale,
        .ctx = fake,
        .rtaddr = unit->root,
        .cap = unit->cap,
        .ecap = unit->ecap,
        .haw = unit->haw,
    };
}

// ---- caches -----------------------------------------------------------------------------------------------
static struct fake_tlb_entry *tlb_slot(struct fake_unit *unit, unsigned did, unsigned pasid, uint64_t page)
{
    uint64_t hash = (page * 0x9E3779B97F4A7C15ull) ^ ((did ^ (uint64_t)pasid << 20) * 0xC2B2AE3D27D4EB4Full);
    return &unit->tlb[(hash >> 40) % FAKE_TLB_SIZE];
}

void fake_invalidate_context(struct fake_unit *unit, unsigned granularity, unsigned did, unsigned sid,
                             unsigned function_mask)
{
    static const unsigned masks[4] = {0, 4, 6, 7}; // function bits that FM leaves out of the comparison
    unsigned ignore = masks[function_mask & 3];
    unit->context_global += granularity == 1;
    unit->context_domain += granularity == 2;
    unit->context_device += granularity == 3;
    for (unsigned rid = 0; rid < 65536; rid++) {
        if (!unit->context_cached[rid])
            continue;
        bool same_domain = unit->contexts[rid].did == did;
        bool same_device = (rid & ~ignore) == (sid & ~ignore);
        if (granularity == 1 || (granularity == 2 && same_domain) ||
            (granularity == 3 && same_domain && same_device))
            unit->context_cached[rid] = 0;
    }
}

void fake_invalidate_pasids(struct fake_unit *unit, unsigned granularity, unsigned did, unsigned pasid)
{
    unit->pasid_global += granularity == 3;
    for (unsigned i = 0; unit->pasids && i < FAKE_PASIDS; i++) {
        struct fake_pasid_entry *e = &unit->pasids[i];
        bool same_domain = e->context.did == did;
        if (e->used && (granularity == 3 || (granularity == 0 && same_domain) ||
                        (granularity == 1 && same_domain && e->pasid == pasid)))
            e->used = false;
    }
}

void fake_invalidate_iotlb(struct fake_unit *unit, unsigned granularity, unsigned did, uint64_t address,
                           unsigned address_mask, bool drain_writes, bool drain_reads)
{
    unit->iotlb_global += granularity == 1;
    unit->iotlb_domain += granularity == 2;
    unit->iotlb_page += granularity == 3;
    unit->last_iotlb_drained =
        (drain_writes || !(unit->cap >> 54 & 1)) && (drain_reads || !(unit->cap >> 55 & 1));
    for (unsigned i = 0; i < FAKE_TLB_SIZE; i++) {
        struct fake_tlb_entry *e = &unit->tlb[i];
        bool same_domain = e->did == did;
        bool same_page = address_mask < 52 && (e->page ^ address >> 12) >> address_mask == 0;
        if (e->used && (granularity == 1 || (granularity == 2 && same_domain) ||
                        (granularity == 3 && same_domain && same_page)))
            e->used = false;
    }
}

// ---- the invalidation queue
// --------------------------------------------------------------------------------- Whether d has only the
// bits of the masks.
static bool only(const uint64_t *d, uint64_t low, uint64_t high)
{
    return !(d[0] & ~low) && !(d[1] & ~high);
}

static bool obey_wait(struct fake_vtd *fake, struct fake_unit *unit, const uint64_t *d)
{
    if (!only(d, 0xFFFFFFFF0000007Full, ~3ull))
        return false;
    unit->last_was_wait = true;
    if (!(d[0] >> 5 & 1) || (unit->stuck & FAKE_STUCK_WAIT))
        return true;
    struct fake_region *region = fake_region_at(fake, d[1], 4);
    if (!region) {
        fake_violation(fake, "status of a wait descriptor written to %#llx", (unsigned long long)d[1]);
        return true;
    }
    uint32_t status = (uint32_t)(d[0] >> 32);
    memcpy(region->host + (d[1] - region->pa), &status, 4);
    if (region->device)
        memcpy(region->device + (d[1] - region->pa), &status, 4);
    return true;
}

// Obeys one descriptor; false: it is not valid (6.5.2).
static bool obey(struct fake_vtd *fake, struct fake_unit *unit, const uint64_t *d)
{
    unsigned granularity = d[0] >> 4 & 3;
    switch (d[0] & 15) {
    case 1:
        if (!granularity || !only(d, 0x0003FFFFFFFF003Full, 0))
            return false;
        fake_invalidate_context(unit, granularity, d[0] >> 16 & 0xFFFF, d[0] >> 32 & 0xFFFF, d[0] >> 48 & 3);
        return true;
    case 2:
        if (!granularity || !only(d, 0x00000000FFFF00FFull, ~0xF80ull))
            return false;
        fake_invalidate_iotlb(unit, granularity, d[0] >> 16 & 0xFFFF, d[1] & ~0xFFFull, d[1] & 0x3F,
                              d[0] >> 6 & 1, d[0] >> 7 & 1);
        return true;
    case 3:
        return fake_device_tlb(fake, (unsigned)(unit - fake->unit), d);
    case 4:
        if (!(unit->ecap >> 3 & 1) || !only(d, 0x0000FFFFF800001Full, 0))
            return false;
        fake_invalidate_irtes(unit, d[0] >> 4 & 1, d[0] >> 32 & 0xFFFF, d[0] >> 27 & 31);
        return true;
    case 5:
        return obey_wait(fake, unit, d);
    case 7: // of scalable mode, in a wide queue
        if (!(unit->queue >> 11 & 1) || granularity == 2 || !only(d, 0x000FFFFFFFFF003Full, 0))
            return false;
        fake_invalidate_pasids(unit, granularity, d[0] >> 16 & 0xFFFF, d[0] >> 32 & 0xFFFFF);
        return true;
    case 8: // in a wide queue
        return (unit->queue >> 11 & 1) && fake_device_tlb_pasid(fake, (unsigned)(unit - fake->unit), d);
    default:
        return false;
    }
}

static void queue_error(struct fake_unit *unit, unsigned info)
{
    unit->fsts |= IQE;
    unit->iqercd = info;
}

void fake_queue_run(struct fake_vtd *fake, unsigned number, unsigned most)
{
    struct fake_unit *unit = &fake->unit[number];
    bool wide = unit->queue >> 11 & 1;
    uint64_t step = wide ? 32 : 16, size = 4096ull << (unit->queue & 7);
    if (unit->fsts & (IQE | ITE))
        return;
    if (unit->iqt >= size || unit->iqt % step) {
        if (unit->queue_is_new)
            fake_violation(fake, "IQT %#llx outside the queue", (unsigned long long)unit->iqt);
        queue_error(unit, unit->iqt >= size ? 1 : 6);
        return;
    }
    // Each descriptor at most once: the queue cannot be longer than itself.
    for (uint64_t n = 0; n < size / step && n < most && unit->iqh != unit->iqt; n++) {
        if (unit->stuck & FAKE_STUCK_QUEUE)
            return;
        uint64_t d[4] = {0};
        const void *at = fake_vtd_ptr(fake, (unit->queue & ~0xFFFull) + unit->iqh, step);
        unit->last_was_wait = false;
        if (!at) {
            queue_error(unit, 2);
            return;
        }
        memcpy(d, at, step);
        if ((d[0] & 15) == 5 && fake_device_tlb_waits(fake, unit)) {
            if (unit->fsts & ITE) // aborted
                unit->iqh = (unit->iqh + step) % size;
            return;
        }
        if ((d[0] & 15) == 4 && (unit->stuck & FAKE_STUCK_IEC))
            return;
        if (d[2] || d[3] || !obey(fake, unit, d)) {
            queue_error(unit, 3);
            return;
        }
        unit->iqh = (unit->iqh + step) % size;
    }
}

// ---- DMA --------------------------------------------------------------------------------------------------
void fake_fault(struct fake_unit *unit, enum naive_reason reason, bool fpd)
{
    // Reasons that FPD hides are those of one requester (7.1.3: qualified faults).
    bool qualified = (reason >= 2 && reason <= 7) || reason >= 0xB;
    if (fpd && qualified) {
        unit->faults_silent++;
        return;
    }
    unit->faults_recorded++;
    if (!(unit->fectl >> 31))
        unit->fault_events++;
}

// A DMA that is refused; `what`: page address, requester and direction as a fault record has them.
static struct fake_dma_result refused(struct fake_vtd *fake, struct fake_unit *unit, const uint64_t *what,
                                      enum naive_reason reason, bool fpd)
{
    uint64_t told = unit->faults_recorded;
    fake_fault(unit, reason, fpd);
    if (unit->faults_recorded != told)
        fake_record_fault(fake, unit, what[0], what[1] | (uint64_t)reason << 32);
    return (struct fake_dma_result){.reason = reason};
}

// Absent entries are cached in caching mode alone.
static bool cached(const struct fake_unit *unit, enum naive_reason reason)
{
    return reason == NAIVE_OK || (unit->cap >> 7 & 1);
}

// In scalable mode: the context entry from one cache, the PASID entry from another.
static struct naive_context pasid_of(struct fake_vtd *fake, unsigned number, unsigned rid, unsigned pasid)
{
    struct fake_unit *unit = &fake->unit[number];
    struct naive_vtd hw = fake_vtd_naive(fake, number);
    if (!unit->function) {
        unit->function = calloc(65536, sizeof(*unit->function));
        unit->pasids = calloc(FAKE_PASIDS, sizeof(*unit->pasids));
    }
    if (!unit->function || !unit->pasids)
        abort();
    struct naive_function function = unit->function[rid];
    if (!unit->context_cached[rid]) {
        function = naive_vtd_function(&hw, rid);
        unit->function[rid] = function;
        unit->context_cached[rid] = cached(unit, function.reason);
    }
    struct fake_pasid_entry *e = &unit->pasids[(rid * 31 + pasid * 7) % FAKE_PASIDS];
    if (function.reason == NAIVE_OK && e->used && e->rid == rid && e->pasid == pasid)
        return e->context;
    struct naive_context context = naive_vtd_pasid(&hw, &function, pasid);
    if (function.reason == NAIVE_OK && cached(unit, context.reason))
        *e = (struct fake_pasid_entry){.rid = rid, .pasid = pasid, .used = true, .context = context};
    return context;
}

// The context of rid: from the cache, or looked up and cached.
struct naive_context fake_context_of(struct fake_vtd *fake, unsigned number, unsigned rid, unsigned pasid)
{
    struct fake_unit *unit = &fake->unit[number];
    if ((unit->root >> 10 & 3) == 1 && (unit->ecap >> 43 & 1))
        return pasid_of(fake, number, rid, pasid);
    if (unit->context_cached[rid] && pasid == NAIVE_NO_PASID)
        return unit->contexts[rid];
    struct naive_vtd hw = fake_vtd_naive(fake, number);
    struct naive_context context = naive_vtd_context_pasid(&hw, rid, pasid);
    if (pasid == NAIVE_NO_PASID && cached(unit, context.reason)) {
        unit->contexts[rid] = context;
        unit->context_cached[rid] = 1;
    }
    return context;
}

struct fake_dma_result fake_dma_pasid(struct fake_vtd *fake, unsigned number, unsigned rid, unsigned pasid,
                                      uint64_t iova, bool write)
{
    struct fake_unit *unit = &fake->unit[number];
    if (!(unit->gsts & TE))
        return (struct fake_dma_result){.ok = true, .untranslated = true, .pa = iova};
    if (write && iova >> 20 == 0xFEE)
        return (struct fake_dma_result){.reason = NAIVE_INTERRUPT};
    const uint64_t what[2] = {iova & ~0xFFFull, (rid & 0xFFFF) | (uint64_t)!write << 62};
    struct naive_context context = fake_context_of(fake, number, rid & 0xFFFF, pasid);
    if (context.reason != NAIVE_OK)
        return refused(fake, unit, what, context.reason, context.fpd);

    struct fake_tlb_entry *e = tlb_slot(unit, context.did, context.pasid, iova >> 12);
    bool first = context.stage == 1 || context.stage == 3;
    if (e->used && e->did == context.did && e->pasid == context.pasid && e->page == iova >> 12) {
        if (write ? e->w : e->r)
            return (struct fake_dma_result){.ok = true, .pa = e->pa | (iova & 0xFFF)};
        // Hardware may walk anew before it refuses; one that does not is the harder case. For the first stage
        // it has to, to mark what is written for the first time.
        if (!first)
            return refused(fake, unit, what, write ? NAIVE_NO_WRITE : NAIVE_NO_READ, context.fpd);
    }
    struct naive_vtd hw = fake_vtd_naive(fake, number);
    hw.write64 = walk_write64;
    bool r = false, w = false;
    struct naive_result result = naive_vtd_walk(&hw, &context, iova, write, &r, &w);
    if (!result.ok)
        return refused(fake, unit, what, result.reason, context.fpd);
    *e = (struct fake_tlb_entry){.page = iova >> 12,
                                 .pa = result.pa & ~0xFFFull,
                                 .did = context.did,
                                 .pasid = context.pasid,
                                 .used = true,
                                 .r = r,
                                 .w = w && (write || !first)};
    return (struct fake_dma_result){.ok = true, .pa = result.pa};
}

struct fake_dma_result fake_dma(struct fake_vtd *fake, unsigned number, unsigned rid, uint64_t iova,
                                bool write)
{
    return fake_dma_pasid(fake, number, rid, NAIVE_NO_PASID, iova, write);
}

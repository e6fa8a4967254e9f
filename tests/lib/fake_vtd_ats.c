// SPDX-License-Identifier: MIT
// Devices that keep translations: PCI Express Base specification 6.0, chapter 10; VT-d architecture
// specification, chapter 4.
#include "lib/fake_vtd.h"

#include <string.h>

#define TE       (1u << 31)
#define ATS_DW   ((FAKE_ATS + 4) / 4)
#define PRI_DW   ((FAKE_PRI + 4) / 4)
#define SRIOV_DW (FAKE_SRIOV / 4)
#define ENABLE   (1u << 31)

static unsigned rid_of(const struct fake_pci *f)
{
    return (unsigned)(f->bus << 8 | f->device << 3 | f->function);
}

void fake_ats_device(struct fake_pci *f, unsigned depth)
{
    f->has_ats = true;
    f->config[0x100 / 4] = 0x00010001 | FAKE_PRI << 20; // error reporting
    f->config[FAKE_PRI / 4] = 0x00010013 | FAKE_ATS << 20;
    f->config[FAKE_ATS / 4] = 0x0001000F;
    f->config[1] = 0x00100006;
    f->config[PRI_DW] = 1;
    f->config[ATS_DW] = ENABLE | depth;
}

void fake_ats_virtual(struct fake_pci *f)
{
    fake_ats_device(f, 0);
    f->config[0] = 0xFFFFFFFF;
    f->config[PRI_DW] = 0;
    f->config[FAKE_PRI / 4] = 0x00010000 | FAKE_ATS << 20; // nothing that is known: the physical one's counts
}

void fake_ats_physical(struct fake_pci *f, unsigned count, unsigned offset, unsigned stride)
{
    f->config[FAKE_ATS / 4] |= FAKE_SRIOV << 20;
    f->config[SRIOV_DW] = 0x00010010;
    f->config[SRIOV_DW + 2] = 0x19;
    f->config[SRIOV_DW + 4] = count;
    f->config[SRIOV_DW + 5] = stride << 16 | offset;
}

bool fake_ats_on(const struct fake_pci *f)
{
    return f->has_ats && (f->config[ATS_DW] & ENABLE);
}

void fake_ats_pasids(struct fake_pci *f)
{
    f->config[FAKE_ATS / 4] |= FAKE_PASID << 20;
    f->config[FAKE_PASID / 4] = 0x0001001B;
    f->config[FAKE_PASID / 4 + 1] = 0x00011400;
}

static void forget_all(struct fake_pci *f)
{
    memset(f->atc, 0, sizeof(f->atc));
}

void fake_ats_forget(struct fake_pci *f, unsigned pasid)
{
    for (unsigned i = 0; i < FAKE_ATC; i++)
        if (f->atc[i].pasid == pasid)
            f->atc[i].used = false;
}

void fake_ats_config_write(struct fake_vtd *fake, struct fake_pci *f, unsigned reg, uint32_t value)
{
    uint32_t *dword = &f->config[reg / 4];
    if (f->has_ats && reg / 4 == PRI_DW) {
        if (value >> 16)
            fake_violation(fake, "status of page requests written with %#x", value);
        *dword = f->pages_stay ? *dword : (*dword & 0xFFFF0000) | (value & 3);
    } else if (f->has_ats && reg / 4 == ATS_DW) {
        if ((value ^ *dword) & 0x1F0000)
            fake_violation(fake, "smallest translation unit changed");
        if (!(value & ENABLE) && (f->config[PRI_DW] & 1) && !f->pages_stay)
            fake_violation(fake, "ATS switched off while page requests are on");
        *dword = f->ats_stays ? *dword : (*dword & 0x7FFFFFFF) | (value & ENABLE);
        if (!(*dword & ENABLE))
            forget_all(f);
    } else {
        fake_violation(fake, "write of configuration register %#x", reg);
    }
}

// ---- what the device does --------------------------------------------------------------------------------
static bool translated_allowed(struct fake_vtd *fake, unsigned number, unsigned rid,
                               const struct naive_context *context)
{
    const struct fake_unit *unit = &fake->unit[number];
    if (!(unit->gsts & TE) || context->reason != NAIVE_OK)
        return false;
    if (!(unit->root >> 10 & 3))
        return context->type == 1;
    struct naive_vtd hw = fake_vtd_naive(fake, number);
    struct naive_function function =
        unit->context_cached[rid] ? unit->function[rid] : naive_vtd_function(&hw, rid);
    return function.reason == NAIVE_OK && (function.w[0] >> 2 & 1); // DTE
}

struct fake_dma_result fake_ats_dma_pasid(struct fake_vtd *fake, unsigned number, struct fake_pci *f,
                                          unsigned pasid, uint64_t iova, bool write)
{
    struct fake_unit *unit = &fake->unit[number];
    const unsigned rid = rid_of(f);
    if (!fake_ats_on(f))
        return fake_dma_pasid(fake, number, rid, pasid, iova, write);
    struct naive_context context = fake_context_of(fake, number, rid, pasid);
    struct fake_atc_entry *e = &f->atc[((iova >> 12) ^ pasid) % FAKE_ATC];
    if (!(e->used && e->page == iova >> 12 && e->pasid == pasid && (write ? e->w : e->r))) {
        // A translation request. Where none are allowed the device gets no answer that it could use.
        if (!translated_allowed(fake, number, rid, &context))
            return (struct fake_dma_result){.reason = NAIVE_TRANSLATED};
        struct naive_vtd hw = fake_vtd_naive(fake, number);
        bool r = false, w = false;
        struct naive_result result = naive_vtd_walk(&hw, &context, iova, write, &r, &w);
        if (!result.ok)
            return (struct fake_dma_result){.reason = result.reason};
        *e = (struct fake_atc_entry){
            .page = iova >> 12, .pa = result.pa & ~0xFFFull, .pasid = pasid, .used = true, .r = r, .w = w};
    }
    // The translated request: no tables but the context entry are asked.
    if (translated_allowed(fake, number, rid, &context))
        return (struct fake_dma_result){.ok = true, .pa = e->pa | (iova & 0xFFF)};
    fake_fault(unit, NAIVE_TRANSLATED, context.fpd);
    return (struct fake_dma_result){.reason = NAIVE_TRANSLATED};
}

struct fake_dma_result fake_ats_dma(struct fake_vtd *fake, unsigned number, struct fake_pci *f, uint64_t iova,
                                    bool write)
{
    return fake_ats_dma_pasid(fake, number, f, NAIVE_NO_PASID, iova, write);
}

// ---- invalidation
// ------------------------------------------------------------------------------------------- The function
// that an invalidation reaches and that confirms it, or NULL.
static struct fake_pci *confirming(struct fake_vtd *fake, struct fake_unit *unit, unsigned sid,
                                   bool everything)
{
    struct fake_pci *f = fake_config_function(fake, unit->segment, sid);
    if (!everything)
        fake_violation(fake, "invalidation of a part of a device TLB");
    if (f && fake_ats_on(f) && !f->deaf)
        return f;
    unit->unconfirmed = true;
    unit->unconfirmed_since = fake->now_us;
    return NULL;
}

// What types 3 and 8 have in common; false: not valid.
static bool take_apart(struct fake_unit *unit, uint64_t d0, unsigned depth)
{
    unit->device_tlb++;
    unit->last_pfsid = (unsigned)(d0 >> 12 & 0xF) | (unsigned)(d0 >> 52) << 4;
    unit->last_depth = depth;
    return (unit->ecap >> 2 & 1) && (!unit->last_pfsid || (unit->ecap >> 41 & 1));
}

bool fake_device_tlb(struct fake_vtd *fake, unsigned number, const uint64_t *d)
{
    struct fake_unit *unit = &fake->unit[number];
    if ((d[0] & 0x000F0000FFE00FF0ull) || (d[1] & 0xFFE) || !take_apart(unit, d[0], d[0] >> 16 & 31))
        return false;
    struct fake_pci *f =
        confirming(fake, unit, d[0] >> 32 & 0xFFFF, (d[1] & 1) && d[1] >> 12 == 0x7FFFFFFFFFFFFull);
    if (f) {
        f->invalidations++;
        fake_ats_forget(f, NAIVE_NO_PASID);
    }
    return true;
}

bool fake_device_tlb_pasid(struct fake_vtd *fake, unsigned number, const uint64_t *d)
{
    struct fake_unit *unit = &fake->unit[number];
    if ((d[0] & 0xE00) || (d[1] & 0x7FE) || !take_apart(unit, d[0], d[0] >> 4 & 31))
        return false;
    struct fake_pci *f =
        confirming(fake, unit, d[0] >> 16 & 0xFFFF, (d[1] >> 11 & 1) && d[1] >> 12 == 0x7FFFFFFFFFFFFull);
    if (!f)
        return true;
    if (!(f->config[FAKE_PASID / 4 + 1] >> 16 & 1))
        fake_violation(fake, "invalidation with a PASID sent to a function that has none");
    f->invalidations_pasid++;
    fake_ats_forget(f, d[0] >> 32 & 0xFFFFF);
    return true;
}

bool fake_device_tlb_waits(struct fake_vtd *fake, struct fake_unit *unit)
{
    if (!unit->unconfirmed)
        return false;
    if (unit->device_gives_up_us && fake->now_us - unit->unconfirmed_since >= unit->device_gives_up_us) {
        unit->unconfirmed = false;
        unit->fsts |= 1u << 6; // ITE
    }
    return true;
}

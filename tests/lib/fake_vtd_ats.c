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

static void forget(struct fake_pci *f)
{
    memset(f->atc, 0, sizeof(f->atc));
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
            forget(f);
    } else {
        fake_violation(fake, "write of configuration register %#x", reg);
    }
}

// ---- what the device does
// -----------------------------------------------------------------------------------
static bool translated_allowed(const struct naive_context *context)
{
    return context->reason == NAIVE_OK && context->type == 1;
}

struct fake_dma_result fake_ats_dma(struct fake_vtd *fake, unsigned number, struct fake_pci *f, uint64_t iova,
                                    bool write)
{
    struct fake_unit *unit = &fake->unit[number];
    if (!fake_ats_on(f))
        return fake_dma(fake, number, rid_of(f), iova, write);
    struct fake_atc_entry *e = &f->atc[(iova >> 12) % FAKE_ATC];
    if (!(e->used && e->page == iova >> 12 && (write ? e->w : e->r))) {
        // A translation request. Where none are allowed the device gets no answer that it could use.
        struct naive_context context = fake_context_of(fake, number, rid_of(f));
        if (!(unit->gsts & TE) || !translated_allowed(&context))
            return (struct fake_dma_result){.reason = NAIVE_TRANSLATED};
        struct naive_vtd hw = fake_vtd_naive(fake, number);
        bool r = false, w = false;
        struct naive_result result = naive_vtd_walk(&hw, &context, iova, write, &r, &w);
        if (!result.ok)
            return (struct fake_dma_result){.reason = result.reason};
        *e = (struct fake_atc_entry){
            .page = iova >> 12, .pa = result.pa & ~0xFFFull, .used = true, .r = r, .w = w};
    }
    // The translated request: no tables but the context entry are asked.
    struct naive_context context = fake_context_of(fake, number, rid_of(f));
    if ((unit->gsts & TE) && translated_allowed(&context))
        return (struct fake_dma_result){.ok = true, .pa = e->pa | (iova & 0xFFF)};
    fake_fault(unit, NAIVE_TRANSLATED, context.fpd);
    return (struct fake_dma_result){.reason = NAIVE_TRANSLATED};
}

// ---- invalidation
// -------------------------------------------------------------------------------------------
bool fake_device_tlb(struct fake_vtd *fake, unsigned number, const uint64_t *d)
{
    struct fake_unit *unit = &fake->unit[number];
    if (!(unit->ecap >> 2 & 1) || (d[0] & 0x000F0000FFE00FF0ull) || (d[1] & 0xFFE))
        return false;
    unit->device_tlb++;
    unit->last_pfsid = (unsigned)(d[0] >> 12 & 0xF) | (unsigned)(d[0] >> 52) << 4;
    unit->last_depth = d[0] >> 16 & 31;
    if (unit->last_pfsid && !(unit->ecap >> 41 & 1))
        return false;
    struct fake_pci *f = fake_config_function(fake, unit->segment, d[0] >> 32 & 0xFFFF);
    if (!f || !fake_ats_on(f) || f->deaf) {
        unit->unconfirmed = true;
        unit->unconfirmed_since = fake->now_us;
        return true;
    }
    f->invalidations++;
    if ((d[1] & 1) && d[1] >> 12 == 0x7FFFFFFFFFFFFull)
        forget(f);
    else
        fake_violation(fake, "invalidation of a part of a device TLB");
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

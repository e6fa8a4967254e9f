// SPDX-License-Identifier: MIT
// An AMD IOMMU at work: its caches, DMA, device TLBs, interrupts.
#include "lib/fake_amdvi.h"

#include <string.h>

#define V  1u
#define TV 2u

static struct fake_amd_view view_of(struct fake_amdvi *amd, const struct fake_amd_unit *unit)
{
    return (struct fake_amd_view){.machine = amd->machine, .snoops = unit->control & FAKE_AMD_COHERENT};
}

static struct naive_amdvi hardware(const struct fake_amd_unit *unit, struct fake_amd_view *view)
{
    return (struct naive_amdvi){
        .read64 = fake_amd_view_read,
        .ctx = view,
        .haw = unit->haw,
        .encrypt = unit->encrypt,
        .guest_1g = true,
        .supervisor = unit->supervisor,
    };
}

// ---- the device table -------------------------------------------------------------------------------------
// Where the entry of a requester lies; with segments, the upper bits of the id choose the table. False: it
// has none.
static bool entry_at(const struct fake_amd_unit *unit, unsigned devid, uint64_t *pa)
{
    unsigned n = (unsigned)(unit->control >> 34 & 7), most = (unsigned)(unit->efr >> 38 & 3);
    n = n < most ? n : most;
    uint64_t table = unit->device_table[n ? devid >> (16 - n) : 0];
    unsigned index = devid & ((1u << (16 - n)) - 1);
    *pa = fake_amd_address(unit, table) + index * 32ull;
    return index < ((table & 0x1FF) + 1) * 128;
}

uint64_t *fake_amdvi_entry(struct fake_amdvi *amd, unsigned number, unsigned devid)
{
    uint64_t pa;
    return entry_at(&amd->unit[number], devid, &pa) ? fake_vtd_ptr(amd->machine, pa, 32) : NULL;
}

// What the description calls illegal, of what this unit can do and is told to do; what any unit refuses,
// naive_amdvi says.
static bool is_illegal(const struct fake_amd_unit *unit, const uint64_t *w)
{
    const unsigned mode = (unsigned)(w[0] >> 9 & 7), guest = (unsigned)(w[2] >> 54 & 3);
    const unsigned hats = (unsigned)(unit->efr >> 10 & 3), had = (unsigned)(w[0] >> 7 & 3);
    if (!(w[0] & V) || !(w[0] & TV))
        return false;
    if (mode > (hats == 3 ? 0 : 4 + hats) || had == 2 || w[0] >> 63)
        return true;
    if (had && (!(unit->efr & FAKE_AMD_EFR_HA) || (had == 3 && !(unit->efr & FAKE_AMD_EFR_HD))))
        return true;
    if (unit->snp && mode == 0 && !(w[0] >> 55 & 1))
        return true;
    if (!(w[0] >> 55 & 1))
        return false;
    if ((w[0] >> 54 & 1) && !(unit->efr & FAKE_AMD_EFR_GIO))
        return true;
    return !(unit->efr & FAKE_AMD_EFR_GT) || !(unit->control & FAKE_AMD_GT) ||
           (w[0] >> 56 & 3) > (unit->efr >> 14 & 3) || guest > (unit->efr >> 12 & 3);
}

// From the cache, or fetched; NULL: there is none, which is told.
static struct fake_amd_dte *entry_of(struct fake_amdvi *amd, struct fake_amd_unit *unit, unsigned devid,
                                     uint64_t iova)
{
    struct fake_amd_dte *e = &unit->dtes[devid];
    uint64_t pa;
    if (e->used == unit->epoch)
        return e;
    if (!entry_at(unit, devid, &pa)) {
        fake_amd_event(amd, unit, FAKE_AMD_ILLEGAL_DTE, devid, 0, iova);
        return NULL;
    }
    struct fake_amd_view view = view_of(amd, unit);
    for (unsigned i = 0; i < 4; i++) {
        if (fake_amd_view_read(&view, pa + 8 * i, &e->w[i]))
            continue;
        fake_amd_event(amd, unit, FAKE_AMD_DEV_TAB_HW, devid, 0, pa);
        return NULL;
    }
    e->used = unit->epoch;
    e->told = false;
    return e;
}

static struct fake_amd_dma refused(enum naive_amd_reason reason)
{
    return (struct fake_amd_dma){.reason = reason};
}

// A fault of one requester: SA keeps all of its events out of the log, SE all but the first since the entry
// was fetched. What is wrong with the tables themselves is told in any case.
static struct fake_amd_dma fault(struct fake_amdvi *amd, struct fake_amd_unit *unit, unsigned devid,
                                 struct fake_amd_dte *e, enum naive_amd_reason reason, uint64_t iova)
{
    const unsigned did = (unsigned)(e->w[1] & 0xFFFF);
    if (reason == NAIVE_AMD_DTE_RESERVED) {
        fake_amd_event(amd, unit, FAKE_AMD_ILLEGAL_DTE, devid, did, iova);
    } else if (reason == NAIVE_AMD_TABLE_ACCESS) {
        fake_amd_event(amd, unit, FAKE_AMD_PAGE_TAB_HW, devid, did, iova);
    } else if ((e->w[1] >> 34 & 1) || ((e->w[1] >> 33 & 1) && e->told)) {
        unit->faults_silent++;
    } else {
        e->told = true;
        fake_amd_event(amd, unit, FAKE_AMD_PAGE_FAULT, devid, did, iova);
    }
    return refused(reason);
}

// ---- translating ------------------------------------------------------------------------------------------
static struct fake_amd_tlb *slot(struct fake_amd_unit *unit, unsigned did, unsigned pasid, uint64_t page)
{
    uint64_t hash = (page * 0x9E3779B97F4A7C15ull) ^ ((did ^ (uint64_t)pasid << 20) * 0xC2B2AE3D27D4EB4Full);
    return &unit->tlb[(hash >> 40) % FAKE_AMD_TLB];
}

// The PASID that the guest's tables are chosen by, or none: then the host's tables translate alone.
static unsigned guest_pasid(const uint64_t *w, unsigned pasid)
{
    if (!(w[0] >> 55 & 1))
        return NAIVE_AMD_NO_PASID;
    return pasid == NAIVE_AMD_NO_PASID && (w[0] >> 54 & 1) ? 0 : pasid;
}

// Guest tables, which are those of the CPU, get accessed and dirty bits; the host's where the entry asks
// (HAD). Of nested tables the model marks none.
static void mark(struct fake_amdvi *amd, const struct fake_amd_unit *unit, const uint64_t *w, bool guest,
                 const struct fake_amd_view *view, bool write)
{
    const unsigned had = unit->control & FAKE_AMD_HAD ? (unsigned)(w[0] >> 7 & 3) : 0;
    if (guest ? (w[0] >> 9 & 7) != 0 : !had)
        return;
    unsigned first = guest ? (unsigned)(w[0] >> 56 & 3) + 1 : 0;
    for (unsigned i = first; i < view->reads && i < FAKE_AMD_READS; i++) {
        uint64_t word;
        memcpy(&word, fake_vtd_ptr(amd->machine, view->at[i], 8), 8);
        bool last = i + 1 == view->reads;
        word |= 0x20 | (last && write && (guest || had == 3) ? 0x40 : 0);
        fake_amd_store(amd, view->at[i], &word, 8);
    }
}

static struct naive_amd_result walk(struct fake_amdvi *amd, struct fake_amd_unit *unit, const uint64_t *w,
                                    unsigned pasid, uint64_t iova, bool write, bool marks)
{
    struct fake_amd_view view = view_of(amd, unit);
    struct naive_amdvi hw = hardware(unit, &view);
    struct naive_amd_result r = {.reason = NAIVE_AMD_DTE_RESERVED};
    if (is_illegal(unit, w))
        return r;
    if ((w[0] & V) && pasid != NAIVE_AMD_NO_PASID && (uint64_t)pasid >> ((unit->efr >> 32 & 31) + 1))
        return (struct naive_amd_result){.reason = NAIVE_AMD_PASID, .silent = w[1] >> 34 & 1};
    r = naive_amdvi_by_entry(&hw, w, pasid, iova, write);
    if (r.ok && marks && (w[0] & V))
        mark(amd, unit, w, guest_pasid(w, pasid) != NAIVE_AMD_NO_PASID, &view, write);
    return r;
}

// What the last entry of a walk through host tables says by itself.
static bool leaf_allows(struct fake_amdvi *amd, const struct fake_amd_unit *unit, const uint64_t *w,
                        uint64_t iova, bool write)
{
    struct fake_amd_view view = view_of(amd, unit);
    struct naive_amdvi hw = hardware(unit, &view);
    uint64_t leaf = 0;
    (void)naive_amdvi_by_entry(&hw, w, NAIVE_AMD_NO_PASID, iova, !write);
    if (view.reads == 0 || view.reads > FAKE_AMD_READS)
        return false;
    // Of a page that several entries span they all say the same.
    return fake_amd_view_read(&view, view.at[view.reads - 1], &leaf) && (leaf >> (write ? 62 : 61) & 1);
}

static bool is_excluded(const struct fake_amd_unit *unit, const uint64_t *w, uint64_t iova)
{
    uint64_t base = unit->exclusion_base;
    if (!(base & 1) || unit->snp || !((base & 2) || (w[1] >> 39 & 1)))
        return false;
    return iova >= (base & ~0xFFFull) && iova <= (unit->exclusion_limit | 0xFFF);
}

struct fake_amd_dma fake_amdvi_dma(struct fake_amdvi *amd, unsigned number, unsigned devid, unsigned pasid,
                                   uint64_t iova, bool write)
{
    struct fake_amd_unit *unit = &amd->unit[number];
    if (!(unit->control & FAKE_AMD_ENABLE))
        return (struct fake_amd_dma){.ok = true, .untranslated = true, .pa = iova};
    if (write && iova >> 20 == 0xFEE)
        return refused(NAIVE_AMD_INTERRUPT);
    struct fake_amd_dte *dte = entry_of(amd, unit, devid, iova);
    if (!dte)
        return refused(NAIVE_AMD_DTE_RANGE);
    if (!(dte->w[0] & V) || is_excluded(unit, dte->w, iova))
        return (struct fake_amd_dma){.ok = true, .identity = true, .pa = iova};
    const unsigned did = (unsigned)(dte->w[1] & 0xFFFF), tag = guest_pasid(dte->w, pasid);
    struct fake_amd_tlb *e = slot(unit, did, tag, iova >> 12);
    const bool guest = tag != NAIVE_AMD_NO_PASID, tv = dte->w[0] & TV;
    const bool wrong = is_illegal(unit, dte->w) || !tv || (pasid != NAIVE_AMD_NO_PASID && !guest);
    if (!wrong && e->used == unit->epoch && e->did == did && e->pasid == tag && e->page == iova >> 12) {
        if (write ? e->w : e->r)
            return (struct fake_amd_dma){.ok = true, .pa = e->pa | (iova & 0xFFF)};
        // Hardware may walk anew before it refuses; one that does not is the harder case. Guest tables have
        // to be walked, to mark what is written for the first time.
        if (!guest)
            return fault(amd, unit, devid, dte, NAIVE_AMD_RIGHTS, iova);
    }
    struct naive_amd_result r = walk(amd, unit, dte->w, pasid, iova, write, true);
    if (!r.ok)
        return fault(amd, unit, devid, dte, r.reason, iova);
    struct naive_amd_result other = walk(amd, unit, dte->w, pasid, iova, !write, false);
    if (unit->leaf_rights && !guest && (dte->w[0] >> 9 & 7)) {
        other.ok = leaf_allows(amd, unit, dte->w, iova, !write);
    }
    *e = (struct fake_amd_tlb){.page = iova >> 12,
                               .pa = r.pa & ~0xFFFull,
                               .did = did,
                               .pasid = tag,
                               .used = unit->epoch,
                               .r = write ? other.ok : true,
                               .w = write ? true : other.ok && !guest};
    return (struct fake_amd_dma){.ok = true, .identity = !guest && !(dte->w[0] >> 9 & 7), .pa = r.pa};
}

struct naive_amd_result fake_amdvi_look(struct fake_amdvi *amd, unsigned number, unsigned devid,
                                        unsigned pasid, uint64_t iova, bool write)
{
    struct fake_amd_unit *unit = &amd->unit[number];
    const uint64_t *w = fake_amdvi_entry(amd, number, devid);
    if (write && iova >> 20 == 0xFEE)
        return (struct naive_amd_result){.reason = NAIVE_AMD_INTERRUPT};
    if (!w)
        return (struct naive_amd_result){.reason = NAIVE_AMD_DTE_RANGE};
    if (is_excluded(unit, w, iova))
        return (struct naive_amd_result){.ok = true, .pa = iova};
    return walk(amd, unit, w, pasid, iova, write, false);
}

// ---- device TLBs ------------------------------------------------------------------------------------------
static unsigned id_of(const struct fake_pci *f)
{
    return (unsigned)(f->bus << 8 | f->device << 3 | f->function);
}

struct fake_amd_dma fake_amdvi_ats_dma(struct fake_amdvi *amd, unsigned number, struct fake_pci *f,
                                       unsigned pasid, uint64_t iova, bool write)
{
    struct fake_amd_unit *unit = &amd->unit[number];
    const unsigned devid = id_of(f);
    if (!fake_ats_on(f))
        return fake_amdvi_dma(amd, number, devid, pasid, iova, write);
    struct fake_amd_dte *dte = entry_of(amd, unit, devid, iova);
    if (!dte)
        return refused(NAIVE_AMD_DTE_RANGE);
    // I: allowed to have a TLB. Where the entry is not valid, nothing in it counts.
    const bool allowed = !unit->no_device_tlbs && (!(dte->w[0] & V) || (dte->w[1] >> 32 & 1));
    struct fake_atc_entry *e = &f->atc[((iova >> 12) ^ pasid) % FAKE_ATC];
    if (!(e->used && e->page == iova >> 12 && e->pasid == pasid && (write ? e->w : e->r))) {
        // A translation request. Where none are allowed the device gets no answer that it could use.
        if (!allowed)
            return refused(NAIVE_AMD_TRANSLATED);
        struct naive_amd_result r = walk(amd, unit, dte->w, pasid, iova, write, true);
        if (!r.ok)
            return refused(r.reason);
        *e = (struct fake_atc_entry){.page = iova >> 12,
                                     .pa = r.pa & ~0xFFFull,
                                     .pasid = pasid,
                                     .used = true,
                                     .r = !write || walk(amd, unit, dte->w, pasid, iova, false, false).ok,
                                     .w = write};
    }
    // The translated request: nothing but the entry is asked.
    if (allowed)
        return (struct fake_amd_dma){.ok = true, .pa = e->pa | (iova & 0xFFF)};
    fake_amd_event(amd, unit, FAKE_AMD_INVALID_REQUEST, devid, 0, iova);
    return refused(NAIVE_AMD_TRANSLATED);
}

bool fake_amd_device_tlb(struct fake_amdvi *amd, struct fake_amd_unit *unit, const uint32_t *dw)
{
    const unsigned devid = dw[0] & 0xFFFF;
    const unsigned pasid = (dw[0] >> 16 & 0xFF) << 8 | (dw[1] >> 16 & 0xFF);
    const bool s = dw[2] & 1, gn = dw[2] & 4;
    const uint64_t address = (uint64_t)dw[3] << 32 | (dw[2] & 0xFFFFF000);
    struct fake_pci *f = fake_config_function(amd->machine, unit->segment, devid);
    if (!s || address != 0x7FFFFFFFFFFFF000ull)
        fake_violation(amd->machine, "device TLB invalidation that leaves something out");
    if (!f || !fake_ats_on(f) || f->deaf) {
        unit->unconfirmed = true;
        unit->unconfirmed_since = amd->machine->now_us;
        unit->unconfirmed_devid = devid;
        return true;
    }
    if (gn) {
        f->invalidations_pasid++;
        fake_ats_forget(f, pasid);
    } else {
        f->invalidations++;
        fake_ats_forget(f, NAIVE_AMD_NO_PASID);
    }
    return true;
}

// ---- interrupts -------------------------------------------------------------------------------------------
static struct fake_amd_irte *irte_of(struct fake_amdvi *amd, struct fake_amd_unit *unit, unsigned devid,
                                     unsigned index, const uint64_t *w)
{
    struct fake_amd_irte *e = &unit->irtes[(devid * 31 + index) % FAKE_AMD_IRQS];
    if (e->used == unit->epoch && e->devid == devid && e->index == index)
        return e;
    const bool wide = unit->control & FAKE_AMD_GA;
    const uint64_t pa = (w[2] & 0x000FFFFFFFFFFFC0ull & ~unit->encrypt) + index * (wide ? 16ull : 4ull);
    struct fake_amd_view view = view_of(amd, unit);
    struct fake_amd_irte now = {.devid = (uint16_t)devid, .index = (uint16_t)index, .used = unit->epoch};
    if (!fake_amd_view_read(&view, pa & ~7ull, &now.w[0]) ||
        (wide && !fake_amd_view_read(&view, pa + 8, &now.w[1])))
        return NULL;
    if (!wide)
        now.w[0] = now.w[0] >> pa % 8 * 8 & 0xFFFFFFFF;
    *e = now;
    return e;
}

struct fake_amd_irq fake_amdvi_irq(struct fake_amdvi *amd, unsigned number, unsigned devid, unsigned index)
{
    struct fake_amd_unit *unit = &amd->unit[number];
    struct fake_amd_irq aborted = {.kind = FAKE_AMD_IRQ_ABORTED};
    struct fake_amd_irq unmapped = {.kind = FAKE_AMD_IRQ_UNMAPPED};
    if (!(unit->control & FAKE_AMD_ENABLE))
        return unmapped;
    const struct fake_amd_dte *dte = entry_of(amd, unit, devid, 0xFEE00000);
    if (!dte)
        return aborted;
    const unsigned control = (unsigned)(dte->w[2] >> 60 & 3);
    if (!(dte->w[2] & 1) || control == 1) // IV; IntCtl: 1 forwarded
        return unmapped;
    if (control != 2 || index >= 1u << (dte->w[2] >> 1 & 15))
        return aborted;
    const struct fake_amd_irte *e = irte_of(amd, unit, devid, index, dte->w);
    if (!e || !(e->w[0] & 1))
        return aborted;
    struct fake_amd_irq out = {.kind = FAKE_AMD_IRQ_REMAPPED};
    if (!(unit->control & FAKE_AMD_GA)) {
        out.vector = (unsigned)(e->w[0] >> 16 & 0xFF);
        out.destination = (uint32_t)(e->w[0] >> 8 & 0xFF);
        return out;
    }
    out.vector = (unsigned)(e->w[1] & 0xFF);
    out.destination = (uint32_t)(e->w[0] >> 8 & 0xFFFFFF) | (uint32_t)(e->w[1] >> 56) << 24;
    out.writes_to = e->w[0] >> 7 & 1 ? e->w[1] & 0x000FFFFFFFFFF000ull : 0;
    return out;
}

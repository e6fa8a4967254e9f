// SPDX-License-Identifier: MIT
// Devices that keep translations of their own (ATS), after the tables have been switched. From the end of the
// switch on the tables refuse translated requests, whatever a device still has in its TLB: nothing here is
// needed for containment. It is there for the device, which would get an error for each request until its
// driver resets it; with ATS off it asks by the tables, like every other.
//
// The order is: the unit refuses, then the device forgets what it has (which makes it finish what it had
// begun), then page requests and ATS go off in the device (on which it forgets once more). The other way
// round a device could fill its TLB again from the tables that still allowed it. A device that is switched
// off first would not answer the invalidation.
//
// Who: the requesters of the unit, or of the one whose tables it shares. What has no entry is refused by its
// absence.
#include "takeover/takeover.h"

#include "pci/ats.h"

// All of it together takes at most this many times max_wait_us, and what one silent device takes.
#define ATS_WAITS 4u

struct ats_run {
    uint64_t deadline_us;
    uint32_t late; // requesters that were not looked at
    bool ask;      // the unit's queue may be used
    bool asked;    // and was
    // The physical function that was found last, with what it has.
    bool has_pf;
    uint16_t pf;
    struct pci_ats pf_ats;
};

static struct requester *requesters_of(const struct unit *unit)
{
    return unit->leader ? unit->leader->requesters : unit->requesters;
}

// The physical function behind a requester id: of a virtual one, the one that enables it; else itself. It has
// an entry too, when an operating system knows it.
static uint16_t physical_of(struct dam_takeover *t, const struct unit *unit, struct ats_run *run,
                            const struct requester *r, const struct pci_ats *ats)
{
    if (!ats->is_virtual || !unit->kind->asks_physical || !unit->kind->asks_physical(unit->iommu))
        return r->rid;
    if (run->has_pf && pci_ats_is_vf_of(&run->pf_ats, run->pf, r->rid))
        return run->pf;
    for (const struct requester *p = requesters_of(unit); p; p = p->next) {
        struct pci_ats found;
        if (dam_clock_us(t->ops) > run->deadline_us)
            break;
        const dam_err err = pci_ats_read(&t->pci, unit->iommu->segment, p->rid, &found);
        if ((err && err != DAM_E_BROKEN) || !pci_ats_is_vf_of(&found, p->rid, r->rid))
            continue;
        run->has_pf = true;
        run->pf = p->rid;
        run->pf_ats = found;
        return p->rid;
    }
    return r->rid;
}

// Puts a request for each PASID of a function, and runs them in parts. What requests without PASID use is
// kept without PASID.
static dam_err forget_pasids(struct dam_takeover *t, struct unit *unit, const struct ats_run *run,
                             const struct requester *r, const struct iommu_device *device)
{
    unsigned put = 1;
    for (const struct requester *p = r; p && p->rid == r->rid; p = p->next) {
        if (!(p->flags & DAM_REQ_PASID) || (p->flags & DAM_REQ_RID_PASID))
            continue;
        if (dam_clock_us(t->ops) > run->deadline_us)
            break;
        dam_err err = put == IOMMU_TLB_BATCH ? unit->kind->device_tlb_run(unit->iommu) : DAM_OK;
        if (err)
            return err;
        put = put % IOMMU_TLB_BATCH + 1;
        unit->kind->device_tlb_put(unit->iommu, device, p->pasid);
    }
    return DAM_OK;
}

// Makes the device forget. One that does not answer costs three waits, so the others of its unit are spared
// it: they forget when ATS goes off.
static void forget(struct dam_takeover *t, struct unit *unit, struct ats_run *run, const struct requester *r,
                   const struct pci_ats *ats)
{
    if (!run->ask)
        return;
    run->asked = true;
    const struct iommu_device device = {
        .rid = r->rid, .pf = physical_of(t, unit, run, r, ats), .depth = ats->depth};
    unit->kind->device_tlb_put(unit->iommu, &device, IOMMU_NO_PASID);
    // A function that does not know PASIDs would take such a request for an error.
    dam_err err = ats->pasids ? forget_pasids(t, unit, run, r, &device) : DAM_OK;
    if (!err)
        err = unit->kind->device_tlb_run(unit->iommu);
    if (!err)
        return;
    takeover_report(t, DAM_F_ATS_SILENT, unit, r, unit->iommu->base.v + unit->iommu->waited_register,
                    unit->iommu->waited_value);
    run->ask = false;
}

// Whether ATS was on, and is off now.
static bool switch_off(struct dam_takeover *t, struct unit *unit, struct ats_run *run,
                       const struct requester *r)
{
    struct pci_ats ats;
    uint16_t reg = 0;
    uint32_t raw = 0;
    dam_err err = pci_ats_read(&t->pci, unit->iommu->segment, r->rid, &ats);
    if (err == DAM_E_BROKEN) {
        takeover_report(t, DAM_F_PCI_CAPABILITIES, unit, r, 0, 0);
        err = DAM_OK;
    }
    if (!err && !ats.on && !ats.pages)
        return false;
    if (!err && ats.on) {
        if (!(r->flags & DAM_REQ_ATS))
            takeover_report(t, DAM_F_ATS_UNASKED, unit, r, ats.ats, 0);
        forget(t, unit, run, r, &ats);
    }
    if (!err)
        err = pci_ats_switch_off(&t->pci, unit->iommu->segment, r->rid, &ats, &reg, &raw);
    if (err == DAM_E_VERIFY)
        takeover_report(t, DAM_F_ATS_STAYS_ON, unit, r, reg, raw);
    else if (err && (r->flags & DAM_REQ_ATS)) // of the others nobody knows that they have it
        takeover_report(t, DAM_F_ATS_CONFIG, unit, r, reg, (uint64_t)err);
    return !err && ats.on;
}

static void switch_off_unit(struct dam_takeover *t, struct unit *unit, struct ats_run *run)
{
    for (struct requester *r = requesters_of(unit), *next; r; r = next) {
        // The PASIDs of a function follow each other; the function is looked at once.
        const uint16_t rid = r->rid;
        bool off = false, mine = !unit->kind->serves || unit->kind->serves(unit->iommu, rid);
        if (mine && dam_clock_us(t->ops) > run->deadline_us)
            run->late++;
        else if (mine)
            off = switch_off(t, unit, run, r);
        for (next = r; next && next->rid == rid; next = next->next)
            next->flags |= off ? DAM_REQ_ATS_OFF : 0;
    }
}

void takeover_switch_ats_off(struct dam_takeover *t)
{
    const uint64_t wait = t->config->max_wait_us ? t->config->max_wait_us : DAM_DEFAULT_MAX_WAIT_US;
    struct ats_run run = {.deadline_us = dam_clock_us(t->ops) + ATS_WAITS * wait};
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        const struct iommu_kind *kind = unit->kind;
        const bool ours = takeover_is_ours(unit);
        // A unit without device TLBs answers no translation requests: no device has any. One that failed half
        // way may still let translated requests through: there it matters most, and its queue is not to be
        // relied on.
        if ((!ours && unit->status != DAM_UNIT_FAILED_AFTER) || !kind->has_device_tlbs ||
            !kind->has_device_tlbs(unit->iommu))
            continue;
        run.ask = ours && kind->reaches_devices(unit->iommu);
        run.asked = run.has_pf = false;
        run.late = 0;
        switch_off_unit(t, unit, &run);
        if (run.late)
            takeover_report(t, DAM_F_ATS_TIME, unit, NULL, 0, run.late);
        if (run.asked &&
            kind->read_registers(unit->iommu, &unit->iommu->after)) // for the note: the tail has moved
            unit->error = unit->error ? unit->error : DAM_E_IO;
    }
}

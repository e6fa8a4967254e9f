// SPDX-License-Identifier: MIT
// Entries of ours. All of them are valid (V), so that nothing passes by itself; none lets devices keep
// translations (I), none is open to the exclusion range (EX), none reports what it refuses (SA), and none has
// the hardware mark page tables (HAD). What old entries say of interrupts, of management messages and of
// caching stays.
#include "iommu/amdvi/unit.h"

#include "iommu/amdvi/regs.h"

// What of the old word 2 is about interrupts.
static uint64_t interrupts(uint64_t w2)
{
    return w2 & ~(dam_bits_mask(AMDVI_DTE_RSVD_180) | dam_bits_mask(AMDVI_DTE_GUEST) |
                  dam_bits_mask(AMDVI_DTE_HPTMODE));
}

static bool posts_management(uint64_t w1)
{
    return dam_bits_get(w1, AMDVI_DTE_SYSMGT) == 1;
}

struct amdvi_dte amdvi_silent(const struct amdvi_dte *old)
{
    struct amdvi_dte silent = {{
        dam_bits_mask(AMDVI_DTE_V),
        dam_bits_mask(AMDVI_DTE_SA),
        interrupts(old->w[2]),
        0,
    }};
    if (!dam_bits_get(old->w[0], AMDVI_DTE_V))
        return silent;
    // Management messages that pass as posted writes need IW (erratum 63), which lets nothing else pass here.
    silent.w[1] |= old->w[1] & dam_bits_mask(AMDVI_DTE_SYSMGT);
    if (posts_management(silent.w[1]))
        silent.w[0] |= dam_bits_mask(AMDVI_DTE_IW);
    return silent;
}

// A valid entry with the rights and the caching of a usable old one; `now`: what is planned until now.
static struct amdvi_dte with_rights(const struct amdvi_dte *now, const uint64_t *old, bool r, bool w)
{
    const uint64_t keep1 =
        dam_bits_mask(AMDVI_DTE_IOCTL) | dam_bits_mask(AMDVI_DTE_CACHE) | dam_bits_mask(AMDVI_DTE_SD);
    const uint64_t keep3 =
        dam_bits_mask(AMDVI_DTE_ATTRV) | dam_bits_mask(AMDVI_DTE_MODE0FC) | dam_bits_mask(AMDVI_DTE_SNOOP);
    const bool valid = old && dam_bits_get(old[0], AMDVI_DTE_V);
    return (struct amdvi_dte){{
        dam_bits_mask(AMDVI_DTE_V) | dam_bits_mask(AMDVI_DTE_TV) | dam_bits_put(r, AMDVI_DTE_IR) |
            dam_bits_put(w, AMDVI_DTE_IW),
        dam_bits_mask(AMDVI_DTE_SA) | (now->w[1] & dam_bits_mask(AMDVI_DTE_SYSMGT)) |
            (valid ? old[1] & keep1 : 0),
        interrupts(now->w[2]),
        valid ? old[3] & keep3 : 0,
    }};
}

// The guest's tables stay, and are read through ours.
static void keep_guest(struct amdvi_dte *dte, const uint64_t *old)
{
    dte->w[0] |= old[0] & (dam_bits_mask(AMDVI_DTE_GV) | dam_bits_mask(AMDVI_DTE_GIOV) |
                           dam_bits_mask(AMDVI_DTE_GLX) | dam_bits_mask(AMDVI_DTE_GCR3_14_12));
    dte->w[1] |= old[1] & (dam_bits_mask(AMDVI_DTE_GCR3_30_15) | dam_bits_mask(AMDVI_DTE_GCR3_51_31));
    dte->w[2] |= old[2] & dam_bits_mask(AMDVI_DTE_GUEST);
}

// Whether a function's requests with PASID go through what its others get: they did, or passed untranslated
// with guest tables of their own, which a view of identity below them leaves as they are.
static bool keeps_guest(const struct iommu_target *t)
{
    if (t->stage == DAM_STAGE_NESTED)
        return true;
    return t->usable && t->old && t->stage == DAM_STAGE_SECOND && t->old->stage == DAM_STAGE_PASSTHROUGH &&
           dam_bits_get(t->old->raw[0], AMDVI_DTE_V) && dam_bits_get(t->old->raw[0], AMDVI_DTE_GV);
}

static struct amdvi_dte encode(const struct iommu_target *t, const struct amdvi_dte *now)
{
    const uint64_t *old = t->usable && t->old ? t->old->raw : NULL;
    const bool host = t->stage == DAM_STAGE_SECOND || t->stage == DAM_STAGE_NESTED;
    // What is planned until now has V: it is taken for an old one that says nothing but of messages and
    // interrupts. Tables without rights are as good as none.
    if (t->blocked || !host || !(t->r || t->w))
        return amdvi_silent(now);
    struct amdvi_dte dte = with_rights(now, old, t->r, t->w);
    dte.w[0] |= dam_bits_put(t->levels, AMDVI_DTE_MODE) | t->root.v;
    dte.w[1] |= dam_bits_put(t->did, AMDVI_DTE_DOMAIN);
    if (old && keeps_guest(t))
        keep_guest(&dte, old);
    return dte;
}

void amdvi_lead_pasids(struct amdvi_unit *unit, uint16_t rid, const struct amdvi_dte *old,
                       const struct amdvi_gcr3 *ours)
{
    struct amdvi_dte *planned = amdvi_planned(unit, rid);
    const struct amdvi_dte fields = amdvi_gcr3_fields(ours);
    // IW comes with the first PASID that may write.
    struct amdvi_dte dte = with_rights(planned, old->w, dam_bits_get(old->w[0], AMDVI_DTE_IR), false);
    if (posts_management(dte.w[1]))
        dte.w[0] |= dam_bits_mask(AMDVI_DTE_IW);
    for (unsigned i = 0; i < AMDVI_DTE_WORDS; i++)
        planned->w[i] = dte.w[i] | fields.w[i];
}

// ---- of PASIDs --------------------------------------------------------------------------------------------
// All PASIDs of a function have tables of as many levels as its entry says: others are refused.
static uint64_t encode_pasid(const struct amdvi_unit *unit, const struct iommu_target *t)
{
    const struct amdvi_dte *planned = amdvi_planned(unit, t->rid);
    const bool fits = planned && t->stage == DAM_STAGE_FIRST &&
                      amdvi_dte_gcr3(planned, &unit->features).guest_levels == t->levels;
    return t->blocked || !fits ? 0 : amdvi_gcr3_encode(t->root);
}

// ---- writing them -----------------------------------------------------------------------------------------
typedef void write_fn(const struct amdvi_unit *unit, struct amdvi_dte *to, const struct amdvi_dte *dte);

static void write_planned(const struct amdvi_unit *unit, struct amdvi_dte *to, const struct amdvi_dte *dte)
{
    (void)unit;
    *to = *dte;
}

// The hardware reads an entry in pieces of 16 bytes or more. First one 64-bit store makes the entry refuse
// all, whatever its other words say; these follow, and the store that makes it say something again is the
// last. A piece that was read between has either the old first word, with old words beside it in the same 16
// bytes, or refuses, or is new; so there is no need for stores of 16 bytes. What was put together from an old
// first half and a new second half differs in what interrupts and caching are like, and goes with the flush.
static void write_live(const struct amdvi_unit *unit, struct amdvi_dte *to, const struct amdvi_dte *dte)
{
    volatile uint64_t *live = to->w;
    live[0] = dam_bits_mask(AMDVI_DTE_V);
    for (unsigned i = 1; i < AMDVI_DTE_WORDS; i++)
        live[i] = dte->w[i];
    live[0] = dte->w[0];
    dam_cache_flush(unit->iommu.ops, to, sizeof(*to));
}

// All of those that a class stands for.
static void write_class(const struct amdvi_unit *unit, const struct iommu_target *t, enum amdvi_class class,
                        write_fn *write)
{
    for (uint32_t rid = 0; rid < AMDVI_REQUESTERS; rid++) {
        struct amdvi_dte *planned = amdvi_planned(unit, (uint16_t)rid);
        if (!planned || amdvi_class_of(unit, (uint16_t)rid) != class)
            continue;
        const struct amdvi_dte dte = encode(t, planned);
        write(unit, planned, &dte);
    }
}

static enum amdvi_class class_of_target(const struct amdvi_unit *unit, const struct iommu_target *t)
{
    return t->entry == unit->open.w ? AMDVI_OPEN : AMDVI_REST;
}

// What the function's entry says for a PASID. Linux before 6.18 takes such an entry over without its guest
// tables: what is left is one that passes untranslated, with IR and IW. So IW is there only where something
// may be written.
static void complete_function(struct amdvi_unit *unit, const struct iommu_target *t)
{
    struct amdvi_dte *planned = amdvi_planned(unit, t->rid);
    if (!planned)
        return;
    planned->w[1] = dam_bits_set(planned->w[1], t->did, AMDVI_DTE_DOMAIN);
    // One that the old kernel had none for is as free as one whose old entry was broken.
    if (t->writes && (!t->usable || !t->old->present || t->old->w))
        planned->w[0] |= dam_bits_mask(AMDVI_DTE_IW);
}

void amdvi_bind(struct iommu_unit *iommu, const struct iommu_target *t)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    if (t->flags & DAM_REQ_PASID) {
        *t->entry = encode_pasid(unit, t);
        if (*t->entry)
            complete_function(unit, t);
        return;
    }
    struct amdvi_dte *entry = (struct amdvi_dte *)t->entry;
    *entry = encode(t, entry);
}

void amdvi_spread(struct iommu_unit *iommu, const struct iommu_target *t)
{
    const struct amdvi_unit *unit = amdvi_of(iommu);
    write_class(unit, t, class_of_target(unit, t), write_planned);
}

bool amdvi_has_refuge(const struct iommu_unit *iommu)
{
    return amdvi_of_const(iommu)->refuge;
}

void amdvi_fill_refuge(struct iommu_unit *iommu, const struct iommu_target *t)
{
    write_class(amdvi_of(iommu), t, AMDVI_UNREAD, write_planned);
}

void amdvi_rebind(struct iommu_unit *iommu, const struct iommu_target *t)
{
    struct amdvi_unit *unit = amdvi_of(iommu);
    if (t->flags & DAM_REQ_PASID) {
        *(volatile uint64_t *)t->entry = encode_pasid(unit, t);
        dam_cache_flush(iommu->ops, t->entry, sizeof(*t->entry));
        return;
    }
    struct amdvi_dte *entry = (struct amdvi_dte *)t->entry;
    const struct amdvi_dte dte = encode(t, entry);
    write_live(unit, entry, &dte);
    if (t->flags & DAM_REQ_OTHERS)
        write_class(unit, t, class_of_target(unit, t), write_live);
}

// ---- looking at them --------------------------------------------------------------------------------------
static bool same(const struct amdvi_dte *a, const struct amdvi_dte *b)
{
    bool all = true;
    for (unsigned i = 0; i < AMDVI_DTE_WORDS; i++)
        all &= a->w[i] == b->w[i];
    return all;
}

// What every entry of ours has, and has not.
static bool is_ours(const struct amdvi_dte *dte)
{
    const uint64_t never1 = dam_bits_mask(AMDVI_DTE_I) | dam_bits_mask(AMDVI_DTE_EX);
    return dam_bits_get(dte->w[0], AMDVI_DTE_V) && !dam_bits_get(dte->w[0], AMDVI_DTE_HAD) &&
           dam_bits_get(dte->w[1], AMDVI_DTE_SA) && !(dte->w[1] & never1);
}

bool amdvi_verify_tables(const struct iommu_unit *iommu)
{
    const struct amdvi_unit *unit = amdvi_of_const(iommu);
    for (unsigned s = 0; s < amdvi_segments(&unit->old_table); s++) {
        const struct amdvi_segment *segment = &unit->segment[s];
        for (uint32_t i = 0; i < segment->entries; i++) {
            if (is_ours(&segment->planned[i]))
                continue;
            iommu_report(iommu, DAM_F_VERIFY_CONTEXT, segment->planned_pa.v + i * sizeof(struct amdvi_dte),
                         segment->planned[i].w[0]);
            return false;
        }
    }
    return true;
}

static bool verify_class(const struct amdvi_unit *unit, const struct iommu_target *t)
{
    const enum amdvi_class class = class_of_target(unit, t);
    for (uint32_t rid = 0; rid < AMDVI_REQUESTERS; rid++) {
        const struct amdvi_dte *planned = amdvi_planned(unit, (uint16_t)rid);
        if (!planned || amdvi_class_of(unit, (uint16_t)rid) != class)
            continue;
        const struct amdvi_dte want = encode(t, planned);
        if (!same(planned, &want))
            return false;
    }
    return true;
}

static bool verify_pasid(const struct amdvi_unit *unit, const struct iommu_target *t,
                         const struct amdvi_dte *planned)
{
    const uint64_t want = encode_pasid(unit, t);
    return amdvi_pasid_entry(unit, planned, t->pasid, false) == t->entry && *t->entry == want &&
           (!want || dam_bits_get(planned->w[1], AMDVI_DTE_DOMAIN) == t->did);
}

bool amdvi_verify_entry(const struct iommu_unit *iommu, const struct iommu_target *t)
{
    const struct amdvi_unit *unit = amdvi_of_const(iommu);
    const struct amdvi_dte *planned = amdvi_planned(unit, t->rid);
    bool ok = false;
    if (t->flags & DAM_REQ_OTHERS) {
        ok = verify_class(unit, t);
    } else if (planned && (t->flags & DAM_REQ_PASID)) {
        ok = verify_pasid(unit, t, planned);
    } else if (planned) {
        const struct amdvi_dte want = encode(t, planned);
        ok = planned->w == t->entry && same(planned, &want);
    }
    if (ok)
        return true;
    const struct dam_finding f = {.code = DAM_F_VERIFY_CONTEXT,
                                  .level = 255,
                                  .rid = t->rid,
                                  .raw = *t->entry,
                                  .iova = t->flags & DAM_REQ_PASID ? t->pasid : 0};
    iommu->listener->finding(iommu->listener->ctx, &f);
    return false;
}

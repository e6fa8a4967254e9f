// SPDX-License-Identifier: MIT
// What the answers of this folder (kind.c) share: those of several files, and what they call of each other.
// What an answer does stands in iommu.h.
#ifndef ENGINE_IOMMU_VTD_OWN_H
#define ENGINE_IOMMU_VTD_OWN_H

#include <cofferdam/findings.h>

#include "iommu/vtd/unit.h"

static inline struct vtd_unit *vtd_of(struct iommu_unit *unit)
{
    return (struct vtd_unit *)unit;
}

static inline const struct vtd_unit *vtd_of_const(const struct iommu_unit *unit)
{
    return (const struct vtd_unit *)unit;
}

// ---- firmware.c
dam_err vtd_read_firmware(struct iommu_firmware *firmware);

// ---- state.c
dam_err vtd_probe(struct iommu_unit *unit, enum iommu_state *state);
void vtd_commit_state(struct iommu_unit *unit);

// ---- the old tables (old_tables.c, old_scalable.c)
dam_err vtd_read_tables(struct iommu_unit *unit, const struct iommu_sink *sink);
// Reads one context table into copied[half], and makes a silent planned[half].
DAM_MUST_CHECK dam_err vtd_read_context_table(struct vtd_unit *unit, unsigned half, dam_pa table);
// Reads the context table of half `half` of the root table, in scalable mode.
DAM_MUST_CHECK dam_err vtd_read_scalable(struct vtd_unit *unit, const struct iommu_sink *sink, unsigned half,
                                         dam_pa table);
// Judges a binding that was found, and tells the sink. *sound: it can be used.
DAM_MUST_CHECK dam_err vtd_tell_binding(const struct vtd_unit *unit, const struct iommu_sink *sink,
                                        const struct iommu_found *found, bool *sound);

// ---- planned tables (planned.c)
dam_err vtd_make_tables(struct iommu_unit *unit);
dam_err vtd_place(struct iommu_unit *unit, struct iommu_found *found);
bool vtd_next_function(const struct iommu_unit *unit, uint32_t *rid);
bool vtd_has_refuge(const struct iommu_unit *unit);
void vtd_fill_refuge(struct iommu_unit *unit, const struct iommu_target *target);
void vtd_spread(struct iommu_unit *unit, const struct iommu_target *others);
// 64-bit words of an entry of the unit's context tables.
static inline unsigned vtd_context_words(const struct vtd_unit *unit)
{
    return unit->scalable ? VTD_SM_CTX_WORDS
                          : (unsigned)(sizeof(struct vtd_context_entry) / sizeof(uint64_t));
}
// Where the context entry of a function is: which half of the root table, which entry of its table.
static inline unsigned vtd_half_of(const struct vtd_unit *unit, uint16_t rid)
{
    return unit->scalable ? rid / VTD_SM_CTX_ENTRIES : rid / VTD_DEVFNS * 2;
}
static inline unsigned vtd_index_of(const struct vtd_unit *unit, uint16_t rid)
{
    return rid % (unit->scalable ? VTD_SM_CTX_ENTRIES : VTD_DEVFNS);
}
// A context table in which every entry is silent.
DAM_MUST_CHECK dam_err vtd_silent_table(const struct vtd_unit *unit, uint64_t **out);
// Makes the tables of a refuge, once.
DAM_MUST_CHECK dam_err vtd_make_refuge(const struct vtd_unit *unit, struct vtd_refuge *refuge);

// ---- entries of ours (entries.c)
// The entry that makes the unit do what is planned; returns how many 64-bit words it has.
unsigned vtd_encode(const struct vtd_unit *unit, const struct iommu_target *target,
                    uint64_t entry[IOMMU_BINDING_WORDS]);
void vtd_bind(struct iommu_unit *unit, const struct iommu_target *target);
void vtd_rebind(struct iommu_unit *unit, const struct iommu_target *target);
bool vtd_verify_entry(const struct iommu_unit *unit, const struct iommu_target *target);
bool vtd_verify_tables(const struct iommu_unit *unit);

// ---- commit.c
dam_err vtd_plan(struct iommu_unit *unit);
dam_err vtd_prepare(struct iommu_unit *unit);
dam_err vtd_switch_tables(struct iommu_unit *unit);
dam_err vtd_raise(struct iommu_unit *unit);
dam_err vtd_make_bare(struct iommu_unit *unit);
dam_err vtd_flush(struct iommu_unit *unit);
dam_err vtd_verify_registers(struct iommu_unit *unit, bool *ok);

// ---- interrupts.c
void vtd_plan_interrupts(struct iommu_unit *unit, enum iommu_irqs irqs);
dam_err vtd_commit_interrupts(struct iommu_unit *unit);

#endif

// SPDX-License-Identifier: MIT
// One AMD IOMMU: what its registers say, its commands, its tables. Every wait is bounded by
// iommu_unit.max_wait_us. Only this folder writes the registers of a unit.
#ifndef ENGINE_IOMMU_AMDVI_UNIT_H
#define ENGINE_IOMMU_AMDVI_UNIT_H

#include <cofferdam/findings.h>

#include "iommu/amdvi/tables.h"
#include "iommu/iommu.h"

// A ring of ours: command buffer and event log. Linux from 6.18 on maps those that it finds at this size.
#define AMDVI_RING_LOG2  9u
#define AMDVI_RING_BYTES (16u << AMDVI_RING_LOG2)
#define AMDVI_RING_PAGES (AMDVI_RING_BYTES / DAM_PAGE_SIZE)

// Base, head and tail of a ring as the old kernel had it.
struct amdvi_ring {
    uint64_t base, head, tail;
};

// Tables of ours, of one segment of the device table.
struct amdvi_segment {
    struct amdvi_dte *copied;  // what was sound in the old one, exactly; what was not refuses
    struct amdvi_dte *planned; // in low memory
    dam_pa copied_pa, planned_pa;
    uint32_t entries;
};

struct amdvi_unit {
    struct iommu_unit iommu; // the first member
    struct amdvi_features features;
    uint8_t device_flags; // settings of its IVHD
    bool device_tlbs;
    bool by_leaves; // what entries above a leaf take away may be forgotten
    struct amdvi_device_table old_table;
    // ---- of the leader, for all that share its tables
    struct amdvi_segment segment[AMDVI_MAX_SEGMENTS];
    uint8_t *listed; // a bit for each requester that has an entry of its own
    // In place of entries that stand for many: for those that were open, and for those that were blocked.
    struct amdvi_dte open, rest;
    bool has_open;
    uint64_t *gcr3_words; // AMDVI_GCR3_LEVELS pages to read GCR3 tables into; NULL: there are none
    uint8_t guest_levels; // of guest tables, as the old kernel had them everywhere; 0: it had none
    bool refuge;          // pages of the old table could not be read
    uint8_t *unread;      // a bit for each page of the device table: it is such a page
    // ---- commands
    struct amdvi_ring old_commands, old_events;
    uint64_t old_control;
    uint64_t *commands; // in low memory
    dam_pa commands_pa;
    uint32_t tail; // in commands
    uint32_t serial;
    volatile uint32_t *semaphore;
    dam_pa semaphore_pa;
    bool has_commands; // the command buffer is ours
    // ---- events
    uint64_t *events; // in low memory
    dam_pa events_pa;
    uint32_t events_seen; // in events
    bool has_events;
    bool switched; // runs on tables of ours
};

static inline struct amdvi_unit *amdvi_of(struct iommu_unit *unit)
{
    return (struct amdvi_unit *)unit;
}
static inline const struct amdvi_unit *amdvi_of_const(const struct iommu_unit *unit)
{
    return (const struct amdvi_unit *)unit;
}
// On whose tables it runs.
static inline const struct amdvi_unit *amdvi_leader(const struct amdvi_unit *unit)
{
    return unit->iommu.leader ? (const struct amdvi_unit *)unit->iommu.leader : unit;
}
// Pages of what the next kernel will read in place. DAM_E_NOMEM: also when there are none where it may be.
DAM_MUST_CHECK static inline dam_err amdvi_low_pages(const struct amdvi_unit *unit, size_t count, void **out,
                                                     dam_pa *pa)
{
    struct dam_arena *low = unit->iommu.low_pool;
    dam_err err = low ? dam_arena_pages(low, count, out) : DAM_E_NOMEM;
    if (!err)
        *pa = dam_arena_pa(low, *out);
    return err;
}
static inline bool amdvi_bit(const uint8_t *bits, uint32_t n)
{
    return bits[n / 8] >> n % 8 & 1;
}
static inline void amdvi_set_bit(uint8_t *bits, uint32_t n)
{
    bits[n / 8] = (uint8_t)(bits[n / 8] | 1u << n % 8);
}

// ---- registers (unit.c) -----------------------------------------------------------------------------------
DAM_MUST_CHECK dam_err amdvi_read(const struct amdvi_unit *unit, uint16_t reg, uint64_t *value);
DAM_MUST_CHECK dam_err amdvi_write(const struct amdvi_unit *unit, uint16_t reg, uint64_t value);
// Writes and reads back. DAM_E_VERIFY: another value stays; waited_register and waited_value say which.
DAM_MUST_CHECK dam_err amdvi_set(struct amdvi_unit *unit, uint16_t reg, uint64_t value);
// Sets and clears bits of the control register, all others kept. DAM_E_VERIFY as above.
DAM_MUST_CHECK dam_err amdvi_control(struct amdvi_unit *unit, uint64_t set, uint64_t clear);
// Waits for bits of the status register, and remembers where a wait failed.
DAM_MUST_CHECK dam_err amdvi_wait(struct amdvi_unit *unit, uint64_t mask, uint64_t want);
// The register that names the device table of a segment.
uint16_t amdvi_table_register(unsigned segment);
// What capability registers say; width of physical addresses in bits.
struct amdvi_features amdvi_features_of(uint64_t efr, uint64_t efr2, uint8_t haw);

dam_err amdvi_probe(struct iommu_unit *unit, enum iommu_state *state);
bool amdvi_leaf_rights_count(const struct iommu_unit *unit);
dam_err amdvi_read_registers(const struct iommu_unit *unit, union dam_unit_registers *out);

// ---- commands (commands.c) --------------------------------------------------------------------------------
// Gives the unit a command buffer of ours. After an error the old one is as it was. DAM_E_STATE: it cannot be
// had.
DAM_MUST_CHECK dam_err amdvi_take_commands(struct amdvi_unit *unit);
void amdvi_give_commands_back(struct amdvi_unit *unit);
// Puts a command behind those that wait. At most AMDVI_BATCH between two runs.
#define AMDVI_BATCH 256u
void amdvi_put(struct amdvi_unit *unit, uint64_t w0, uint64_t w1);
// Hands what was put to the hardware and waits until it is done. DAM_E_TIMEOUT: no answer. DAM_E_BROKEN: the
// unit stopped with an error, and its buffer has been emptied and started again.
DAM_MUST_CHECK dam_err amdvi_run(struct amdvi_unit *unit);
// Drops whatever the unit has cached: of device table, page tables and interrupt tables, of the old kernel's
// and ours. Device TLBs are not reached.
DAM_MUST_CHECK dam_err amdvi_flush_unit(struct amdvi_unit *unit);

// ---- events and logs (logs.c) -----------------------------------------------------------------------------
// Tells what the old kernel left: errors, events, logs into memory.
void amdvi_report_state(struct amdvi_unit *unit);
// No interrupt of the unit's own reaches anybody any more.
DAM_MUST_CHECK dam_err amdvi_mask_events(struct amdvi_unit *unit);
// Gives the unit an event log of ours, in which nobody reads, and which does no harm when it is full.
DAM_MUST_CHECK dam_err amdvi_take_events(struct amdvi_unit *unit);
void amdvi_give_events_back(struct amdvi_unit *unit);
// Whether an event of this code came since it was last asked.
bool amdvi_had_event(struct amdvi_unit *unit, unsigned code);
void amdvi_commit_state(struct iommu_unit *unit);

// ---- firmware (firmware.c) --------------------------------------------------------------------------------
dam_err amdvi_read_firmware(struct iommu_firmware *firmware);
uint64_t amdvi_low_bytes(const uint8_t *table, uint32_t length);
bool amdvi_serves(const struct iommu_unit *unit, uint16_t rid);
// What the unit's IVHD says of the unit itself.
struct amdvi_ivhd {
    uint8_t type;                // 0: none was found
    uint8_t flags;               // AMDVI_IVHD_*
    bool no_host;                // host translation is off
    uint16_t device, capability; // where its PCI capability is
    uint16_t last;               // highest requester of its segment that the firmware names
};
struct amdvi_ivhd amdvi_find_ivhd(const struct iommu_unit *unit);
// Whether the firmware names a requester of the unit's segment as an I/O APIC or HPET.
bool amdvi_is_special(const struct iommu_unit *unit, uint16_t rid);

// ---- tables (read.c, place.c) -----------------------------------------------------------------------------
dam_err amdvi_read_tables(struct iommu_unit *unit, const struct iommu_sink *sink);
dam_err amdvi_make_tables(struct iommu_unit *unit);
bool amdvi_is_among_others(const struct iommu_unit *unit, uint16_t rid);
dam_err amdvi_place(struct iommu_unit *unit, struct iommu_found *found);
bool amdvi_next_function(const struct iommu_unit *unit, uint32_t *rid);
// For whom a requester's entry was made, of those that are not listed.
enum amdvi_class {
    AMDVI_LISTED,
    AMDVI_OPEN,   // with all that were open
    AMDVI_REST,   // with all that were blocked
    AMDVI_UNREAD, // nobody knows what its entry said
};
enum amdvi_class amdvi_class_of(const struct amdvi_unit *unit, uint16_t rid);
// The entry of a requester, of ours; NULL: beyond the table.
struct amdvi_dte *amdvi_planned(const struct amdvi_unit *unit, uint16_t rid);
// GCR3 tables of ours (gcr3.c): copies what is below `dte`, which is sound, into tables whose entries are
// empty, tells the sink of every PASID, and gives the planned entry what leads there.
DAM_MUST_CHECK dam_err amdvi_read_pasids(struct amdvi_unit *unit, const struct iommu_sink *sink,
                                         const struct iommu_found *function, const struct amdvi_dte *dte);
// The planned entry of a function whose requests all go by a GCR3 table of ours; old: its entry.
void amdvi_lead_pasids(struct amdvi_unit *unit, uint16_t rid, const struct amdvi_dte *old,
                       const struct amdvi_gcr3 *ours);
// The entry of a PASID below a planned entry; make: with tables on the way. NULL: none, or no room.
uint64_t *amdvi_pasid_entry(const struct amdvi_unit *unit, const struct amdvi_dte *planned, uint32_t pasid,
                            bool make);

// ---- entries (bind.c) -------------------------------------------------------------------------------------
// Refuses all, and tells nobody; what the old entry says of interrupts stays.
struct amdvi_dte amdvi_silent(const struct amdvi_dte *old);
void amdvi_bind(struct iommu_unit *unit, const struct iommu_target *target);
void amdvi_rebind(struct iommu_unit *unit, const struct iommu_target *target);
void amdvi_spread(struct iommu_unit *unit, const struct iommu_target *others);
bool amdvi_has_refuge(const struct iommu_unit *unit);
void amdvi_fill_refuge(struct iommu_unit *unit, const struct iommu_target *target);
bool amdvi_verify_tables(const struct iommu_unit *unit);
bool amdvi_verify_entry(const struct iommu_unit *unit, const struct iommu_target *target);

// ---- interrupts (irq.c) -----------------------------------------------------------------------------------
void amdvi_plan_interrupts(struct iommu_unit *unit, enum iommu_irqs irqs);

// ---- switching (switch.c) ---------------------------------------------------------------------------------
dam_err amdvi_plan(struct iommu_unit *unit);
dam_err amdvi_prepare(struct iommu_unit *unit);
dam_err amdvi_switch_tables(struct iommu_unit *unit);
dam_err amdvi_raise(struct iommu_unit *unit);
dam_err amdvi_flush(struct iommu_unit *unit);
dam_err amdvi_verify_registers(struct iommu_unit *unit, bool *ok);
bool amdvi_is_switched(const struct iommu_unit *unit);

// ---- device TLBs (device_tlb.c) ---------------------------------------------------------------------------
bool amdvi_has_device_tlbs(const struct iommu_unit *unit);
bool amdvi_reaches_devices(const struct iommu_unit *unit);
bool amdvi_asks_physical(const struct iommu_unit *unit);
void amdvi_device_tlb_put(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid);
dam_err amdvi_device_tlb_run(struct iommu_unit *unit);

#endif

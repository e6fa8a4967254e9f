// SPDX-License-Identifier: MIT
// One VT-d remapping unit: what its registers say, and the commands that change them. Every wait is bounded
// by max_wait_us of the unit. Only this folder writes the registers of a unit.
#ifndef ENGINE_IOMMU_VTD_UNIT_H
#define ENGINE_IOMMU_VTD_UNIT_H

#include "iommu/iommu.h"
#include "iommu/vtd/scalable.h"
#include "iommu/vtd/tables.h"

// Tables that are shared by all functions and PASIDs that get the same. What they say is filled in by the
// plan.
struct vtd_refuge {
    uint64_t *contexts;             // a context table
    uint64_t *directory, *pasids;   // scalable mode: a PASID directory and a PASID table
    struct vtd_sm_context function; // scalable mode: the context entry that leads there
    bool used;
};

struct vtd_unit {
    struct iommu_unit iommu;
    bool needs_write_buffer_flush; // CAP.RWBF, or a chipset that fails to say so
    bool scalable;                 // runs in scalable mode: set before the invalidation interface is taken
    uint64_t ttm;                  // table mode, as RTADDR has it; never changed
    bool no_root;                  // RTADDR says nothing that makes sense: all of it is quarantined
    // The old kernel's invalidation queue.
    bool old_queue_on;      // it ran, and was switched off
    bool old_queue_dropped; // an error had stopped it: what was left in it was dropped
    uint64_t old_iqa;
    // The invalidation queue in the pool, once it runs.
    uint64_t *queue; // NULL: registers are used
    dam_pa queue_pa;
    uint32_t queue_tail;  // in descriptors
    uint32_t queue_words; // 64-bit words of a descriptor: 2, or 4 when the queue is wide
    uint32_t wait_serial; // status data of the last wait descriptor
    volatile uint32_t *wait_status;
    dam_pa wait_status_pa;
    // Planned: invalidation queue, status of its wait descriptors, page request queue.
    void *queue_pages;
    struct vtd_root_entry *root_table; // ours, in the pool
    // Context tables of ours, in the pool, for each half of a root entry (bus · 2 + half); NULL: not present.
    // First the exact copies of the old tables, which the unit runs on for a moment; then the planned ones.
    // One 64-bit store in the root table leads from one to the other.
    uint64_t *copied[VTD_HALVES], *planned[VTD_HALVES];
    uint64_t *silence; // a context table that refuses everything and reports nothing; NULL: not needed yet
    struct vtd_refuge refuge; // for all below a part of the old root or context tables that was broken
    struct vtd_refuge rest;   // for every requester that the old tables do not name; unused: they get nothing
    uint64_t irta;            // of our interrupt remapping table, as the register has it; 0: none
};

// Reads VER, CAP and ECAP. DAM_E_ABSENT: they read all ones, or CAP and ECAP are 0.
DAM_MUST_CHECK dam_err vtd_unit_probe(struct vtd_unit *unit);
// Chipsets that need RWBF and do not report it: the mobile and desktop 4 series. id: the first 32 bits of the
// configuration space of 00:00.0 (device, vendor). Linux drivers/iommu/intel/iommu.c, quirk_iommu_rwbf.
bool vtd_chipset_hides_rwbf(uint32_t id);
// The registers that the note keeps.
DAM_MUST_CHECK dam_err vtd_registers_read(const struct vtd_unit *unit, struct dam_vtd_registers *out);

// Number of domain ids that the unit supports: 16 to 65536.
uint32_t vtd_domain_ids(const struct iommu_unit *unit);
// The most levels that page tables of VT-d have.
#define VTD_MAX_LEVELS 5
// Whether second-stage tables of this context width (levels − 2) are supported.
bool vtd_width_supported(const struct vtd_unit *unit, unsigned aw);
// Bits of the large-page levels, as pt_params.large has them.
uint8_t vtd_large_levels(const struct vtd_unit *unit);

// ---- commands (11.4.4): each writes GCMD once, with everything else kept, and waits for GSTS ------------
// Flushes the chipset's write buffer if the unit needs that (RWBF); else does nothing.
DAM_MUST_CHECK dam_err vtd_flush_write_buffer(struct vtd_unit *unit);
// Turns the advanced fault log off (EAFL): faults go to the records again.
DAM_MUST_CHECK dam_err vtd_stop_fault_log(struct vtd_unit *unit);
// Points the unit at another root table of the same mode (11.4.5; 6.6 "Set Root Table Pointer Operation").
DAM_MUST_CHECK dam_err vtd_set_root(struct vtd_unit *unit, dam_pa root_table, uint64_t ttm);
// Points the unit at another interrupt remapping table; its cache still has the old entries.
DAM_MUST_CHECK dam_err vtd_set_interrupt_table(struct vtd_unit *unit, uint64_t irta);
// Turns translation on, with the root pointer that was set.
DAM_MUST_CHECK dam_err vtd_set_translation_on(struct vtd_unit *unit);
// Turns interrupt remapping off if it is on: interrupts of the old format pass then (5.1.5.1).
DAM_MUST_CHECK dam_err vtd_set_interrupt_remapping_off(struct vtd_unit *unit);
// Opens the protected memory regions if they are closed (11.4.8.1).
DAM_MUST_CHECK dam_err vtd_open_protected_memory(struct vtd_unit *unit);
// Turns queued invalidation off or on.
DAM_MUST_CHECK dam_err vtd_set_queue_enable(struct vtd_unit *unit, bool on);
// Waits for (register & mask) == want and remembers where a wait failed.
DAM_MUST_CHECK dam_err vtd_wait(struct vtd_unit *unit, uint16_t reg, unsigned width, uint64_t mask,
                                uint64_t want);

// ---- faults and events (chapter 7; faults.c) -------------------------------------------------------------
struct vtd_fault {
    uint64_t low, high; // VTD_FAULT_*
};
// Masks the interrupts of faults, completed invalidations and page requests; leaves what they are about.
DAM_MUST_CHECK dam_err vtd_mask_events(struct vtd_unit *unit);
// How many fault records there are: 1 to 256, less those beyond the first page of registers.
unsigned vtd_fault_records(const struct vtd_unit *unit);
DAM_MUST_CHECK dam_err vtd_fault_record(const struct vtd_unit *unit, unsigned n, struct vtd_fault *out);
// Forgets all records and their status; errors of the invalidation queue are not touched.
DAM_MUST_CHECK dam_err vtd_clear_faults(struct vtd_unit *unit);
// Why the invalidation queue stopped (IQERCD); 0 on units that do not tell.
DAM_MUST_CHECK dam_err vtd_queue_error(const struct vtd_unit *unit, uint64_t *iqercd);
// Where the advanced fault log lies (AFLOG).
DAM_MUST_CHECK dam_err vtd_fault_log(const struct vtd_unit *unit, uint64_t *aflog);
// The address of the page request queue (PQA); 0: none.
DAM_MUST_CHECK dam_err vtd_page_request_queue(const struct vtd_unit *unit, uint64_t *pqa);
// Lets the unit write page requests to one page of the pool. Nobody answers them: when the page is full, the
// unit refuses further ones by itself (7.5.2).
DAM_MUST_CHECK dam_err vtd_move_page_requests(struct vtd_unit *unit, dam_pa page);

// ---- invalidation (6.5) ---------------------------------------------------------------------------------
// Takes the invalidation interface over: a queue that runs is emptied and replaced by one in `queue_pages`,
// two zeroed pages of the pool (the second one takes the status word of wait descriptors); without a queue
// the registers are used, unless the unit has none (VER 6), remaps interrupts, or runs in scalable mode
// (registers cannot flush the PASID cache; a wide queue can). The old queue's pages are neither read nor
// written. When an error has stopped it, what is left in it is dropped: all caches will be flushed anyway.
// DAM_E_STATE: the old queue neither empties nor stops, or the unit does not let it be switched off; it is on
// and, if it had stopped, empty and without error bits. On any error after the old queue was switched off it
// is turned on again where it was.
DAM_MUST_CHECK dam_err vtd_take_invalidation(struct vtd_unit *unit, const struct dam_arena *pool,
                                             void *queue_pages);
// Undoes that, as far as the unit lets us: an empty queue where the old one was.
void vtd_give_invalidation_back(struct vtd_unit *unit);
// Invalidates the context cache, in scalable mode the PASID cache, then the IOTLB, all whole, and drains
// reads and writes that were already translated.
DAM_MUST_CHECK dam_err vtd_invalidate_all(struct vtd_unit *unit);
// ---- device TLBs (device_tlb.c)
// Whether devices may keep translations at all.
bool vtd_has_device_tlbs(const struct iommu_unit *unit);
// Puts a request into the queue, which must be in use, that the device forget all translations of one PASID,
// for which the queue must be wide, or (IOMMU_NO_PASID) those without PASID. At most IOMMU_TLB_BATCH before
// each run.
void vtd_device_tlb_put(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid);
// Waits until the devices say that they have, and have finished what they had begun with them. DAM_E_TIMEOUT:
// no answer; the queue works again. DAM_E_STATE: no answer, and the queue stands. At most three times
// max_wait_us. waited_register is FSTS then.
DAM_MUST_CHECK dam_err vtd_device_tlb_run(struct iommu_unit *unit);

#endif

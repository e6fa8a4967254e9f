// SPDX-License-Identifier: MIT
// The state of a takeover. All of it lies in the pool; each phase fills in its part and reads the ones
// before.
#ifndef ENGINE_TAKEOVER_TAKEOVER_H
#define ENGINE_TAKEOVER_TAKEOVER_H

#include <cofferdam/takeover.h>

#include "base/finding.h"
#include "iommu/vtd/lookup.h"
#include "iommu/vtd/scalable.h"
#include "iommu/vtd/tables.h"
#include "iommu/vtd/unit.h"
#include "pci/topology.h"
#include "pgtable/audit.h"
#include "pgtable/pt.h"

// A firmware region (RMRR) that the requesters of one old domain may reach; identity, readable and writable.
struct window {
    struct window *next;
    uint64_t start, end; // half-open, multiples of 4 KiB
};

// Old(d): one page table of the old kernel, shared by all requesters of a unit that point to it.
struct old_tree {
    struct old_tree *next;
    dam_pa root;
    bool identity;        // pass-through: no tables, every address means itself
    enum dam_stage stage; // the format of its tables, DAM_STAGE_FIRST or _SECOND; identity: of the view of it
    struct pt_params params;
    struct window *windows;
    dam_err error; // why it cannot be used
    struct pt_audit audit;
};

// The crash window as a tree of its own, which is laid over others; one for each format and width of a unit.
struct crash_tree {
    struct crash_tree *next;
    enum dam_stage stage;
    struct pt_tree tree;
    uint64_t tables;
};

// New(d): one page table of ours, for all requesters with the same Old(d) and policy.
struct new_tree {
    struct new_tree *next;
    struct old_tree *old; // NULL: nothing was mapped, or it is broken
    enum dam_policy policy;
    // What it was made for; the two above say what it is, after a requester had to be quarantined.
    struct old_tree *wanted_old;
    enum dam_policy wanted;
    enum dam_stage stage; // the format of its tables, DAM_STAGE_FIRST or _SECOND
    uint8_t levels;
    bool crash;      // with the crash window
    uint16_t number; // 1 and up, within the unit
    uint16_t did;    // an id that nobody had, once one was needed; 0: none yet
    dam_pa root;
    bool shares_old;                     // tables below the root are still those of the old kernel
    uint64_t readable, writable, tables; // 4-KiB pages; tables of ours
    bool failed; // it did not fit into the pool, or did not pass verification: its requesters are blocked
};

// One binding of the old kernel: a context entry in legacy mode, a PASID of a function in scalable mode.
struct requester {
    struct requester *next;
    uint16_t rid;
    uint16_t flags; // DAM_REQ_*
    uint32_t pasid; // with DAM_REQ_PASID
    enum dam_policy policy;
    enum dam_old_kind old_kind;
    struct iommu_binding old;
    struct old_tree *old_tree;
    struct new_tree *new_tree;
    uint16_t new_did;
    uint64_t *live; // its entry in the planned tables
};

// Who uses a domain id under our tables: a new_tree's number, or one of these.
#define DID_FREE  0u
#define DID_FIRST 0xFFFEu // first-stage trees of different PASIDs
#define DID_OLD   0xFFFFu // the old kernel used it, nobody of ours yet

// Tables that are shared by all functions and PASIDs that get the same. What they say is filled in by the
// plan.
struct refuge {
    uint64_t *contexts;             // a context table
    uint64_t *directory, *pasids;   // scalable mode: a PASID directory and a PASID table
    struct vtd_sm_context function; // scalable mode: the context entry that leads there
    bool used;
};

struct unit {
    struct unit *next;
    struct vtd_unit vtd;
    uint16_t index, segment;
    uint8_t drhd_flags;
    enum dam_unit_status status;
    dam_err error;
    struct dam_vtd_registers before, after;
    struct requester *requesters, *last_requester;
    uint32_t requester_count;
    struct old_tree *old_trees;
    struct new_tree *new_trees;
    uint16_t new_tree_count;
    uint64_t ttm;                      // table mode, as RTADDR has it; never changed
    bool no_root;                      // RTADDR says nothing that makes sense: all of it is quarantined
    struct seen *seen;                 // pages of old root, context and PASID tables (changed.c)
    struct vtd_root_entry *root_table; // ours, in the pool
    // Context tables of ours, in the pool, for each half of a root entry (bus · 2 + half); NULL: not present.
    // First the exact copies of the old tables, which the unit runs on for a moment; then the planned ones.
    // One 64-bit store in the root table leads from one to the other.
    uint64_t *copied[VTD_HALVES], *planned[VTD_HALVES];
    uint64_t *silence;    // a context table that refuses everything and reports nothing; NULL: not needed yet
    struct refuge refuge; // for all below a part of the old root or context tables that was broken
    // For every requester that the old tables do not name; `others` stands for all of them in the list. NULL:
    // they get nothing.
    struct refuge rest;
    struct requester *others;
    struct crash_tree *crash_trees;
    bool raise;            // translation was off: it will be turned on
    uint16_t *did_owner;   // by domain id, vtd_domain_ids() of them
    uint32_t did_next;     // ids above it are taken
    void *queue_pages;     // invalidation queue, status of its wait descriptors, page request queue
    uint64_t irta;         // of our interrupt remapping table, as the register has it; 0: none
    uint32_t irq_entries;  // present in the old one
    uint32_t irq_silenced; // of these, taken out of ours
    uint32_t us_switch;
};

// A firmware region and one device scope that is named for it.
struct region {
    struct region *next;
    uint16_t segment;
    struct pci_target target;
    uint64_t start, end; // half-open, multiples of 4 KiB
};

#define MAX_ACPI_TABLES 2u
struct acpi_copy {
    const void *bytes;
    uint32_t length;
    dam_pa pa;
};

struct dam_takeover {
    const struct dam_takeover_config *config;
    const struct dam_ops *ops;
    struct dam_arena *pool;
    volatile enum dam_phase phase;
    enum dam_stop stop;
    struct dam_finding_ring findings;
    struct acpi_copy acpi[MAX_ACPI_TABLES];
    struct pci_cfg pci;
    uint8_t host_address_width;
    struct unit *units, *last_unit;
    uint16_t unit_count;
    enum dam_stop left; // why the first unit was left alone
    struct region *regions;
    struct pt_format formats[DAM_STAGE_SECOND + 1u]; // by stage: DAM_STAGE_FIRST, DAM_STAGE_SECOND
    struct pt_budget budget;
    struct pt_memory old_memory, own_memory;          // see pt_memory.ours
    uint64_t *buffers;                                // PT_MAX_LEVELS pages for walks
    struct pt_scratch scratch[DAM_STAGE_SECOND + 1u]; // by stage, all to the same page
    dam_pa scratch_page;
    bool has_scratch;
    dam_pa empty;   // a zeroed page: the empty table of every level and format
    bool share_old; // no requester keeps a way to write old memory
    bool not_bare;  // a unit could not be made fit for a kernel that does not know of it
    uint64_t tables_read;
    uint32_t us[DAM_PHASE_REPORT + 1]; // when each phase ended
};

// The phases. Each returns DAM_STOP_NONE to go on.
enum dam_stop takeover_discover(struct dam_takeover *t);
enum dam_stop takeover_audit(struct dam_takeover *t);
enum dam_stop takeover_plan(struct dam_takeover *t);
enum dam_stop takeover_commit(struct dam_takeover *t);
enum dam_stop takeover_verify(struct dam_takeover *t);

// Reports a finding about a unit (NULL: none) and a requester (NULL: none).
void takeover_report(struct dam_takeover *t, uint16_t code, const struct unit *unit,
                     const struct requester *r, uint64_t address, uint64_t raw);

// The stop code of an error while planning.
enum dam_stop takeover_stop_of(dam_err err);

// Leaves a unit alone that could not be audited or planned: gives back the pages taken since the pool stood
// at `mark` and reports why. unit->error is the caller's.
void takeover_leave(struct dam_takeover *t, struct unit *unit, uint64_t mark, enum dam_stop why);

// DAM_STOP_NONE while there is a unit to go on with; else why not.
enum dam_stop takeover_go_on(const struct dam_takeover *t);

// Reads a page of the unit's old root, context or PASID tables (changed.c).
DAM_MUST_CHECK dam_err takeover_read_page(struct dam_takeover *t, struct unit *unit, dam_pa pa,
                                          uint64_t *words);
// Findings about those that are not what they were.
void takeover_report_changes(struct dam_takeover *t, const struct unit *unit);
// What requesters get whose old tables cannot be used.
static inline enum dam_policy takeover_broken_policy(const struct dam_takeover_config *config)
{
    return config->broken == DAM_POLICY_SCRATCH ? DAM_POLICY_SCRATCH : DAM_POLICY_BLOCK;
}

// ---- reading the old root and context tables -------------------------------------------------------------
// Reads the root table and what is below it: the requesters of the unit, copied[] and planned[] with every
// entry silent (contexts.c). DAM_E_BROKEN: the root table cannot be read.
DAM_MUST_CHECK dam_err takeover_read_tables(struct dam_takeover *t, struct unit *unit);

// A binding found at `address` of old memory, and where its entry will be in the planned tables.
struct found {
    uint16_t rid;
    uint16_t index; // of the entry in its table, for findings
    uint16_t flags; // DAM_REQ_PASID, DAM_REQ_RID_PASID
    uint32_t pasid;
    struct iommu_binding binding;
    uint64_t address;
    uint64_t *live;
};
// Judges it, reports what is wrong with it, and adds its requester to the unit. *sound: it can be used.
DAM_MUST_CHECK dam_err takeover_add_requester(struct dam_takeover *t, struct unit *unit,
                                              const struct found *found, bool *sound);
// The same for one that is known to be broken; code: of the finding, with found->address and `raw`.
DAM_MUST_CHECK dam_err takeover_add_broken(struct dam_takeover *t, struct unit *unit,
                                           const struct found *found, uint16_t code, uint64_t raw);
// Reports a finding about something found in root or context tables.
void takeover_report_found(struct dam_takeover *t, uint16_t code, const struct unit *unit,
                           const struct found *found, uint64_t raw);
// Nothing that its old tables say counts any more: it gets what broken ones get.
void takeover_quarantine(const struct dam_takeover *t, struct requester *r);
// Reads one context table into copied[half], and makes a silent planned[half].
DAM_MUST_CHECK dam_err takeover_read_context_table(struct dam_takeover *t, struct unit *unit, unsigned half,
                                                   dam_pa table);
// Reads the context table of half `half` of the root table, in legacy mode (legacy.c) or scalable mode
// (scalable.c).
DAM_MUST_CHECK dam_err takeover_read_legacy(struct dam_takeover *t, struct unit *unit, unsigned half,
                                            dam_pa table);
DAM_MUST_CHECK dam_err takeover_read_scalable(struct dam_takeover *t, struct unit *unit, unsigned half,
                                              dam_pa table);
// ---- requesters that the old tables do not name (others.c, raise.c) ---------------------------------------
// Adds those that get the crash window all the same.
DAM_MUST_CHECK dam_err takeover_add_absent(struct dam_takeover *t, struct unit *unit);
// Adds one, blocked, with an entry of its own, or one that stands for all others (flags: DAM_REQ_OTHERS).
DAM_MUST_CHECK dam_err takeover_add_unnamed(struct dam_takeover *t, struct unit *unit, uint16_t rid,
                                            uint16_t flags, struct requester **out);
// The requester of a function, for requests without PASID; NULL: the tables do not name it.
struct requester *takeover_find(const struct unit *unit, uint16_t rid);
// In place of takeover_read_tables() for a unit that was off: every requester had identity.
DAM_MUST_CHECK dam_err takeover_raise_tables(struct dam_takeover *t, struct unit *unit);
// Binds all that planned tables leave silent to what unit->others, which has its entry, is bound to.
void takeover_spread_others(struct dam_takeover *t, struct unit *unit);

// ---- the crash window (window.c) --------------------------------------------------------------------------
// Whether the capture kernel will see no IOMMU, so that there is a crash window.
bool takeover_hides(const struct dam_takeover *t);
// Decides which requesters get it, once their trees are audited.
void takeover_give_windows(struct dam_takeover *t, struct unit *unit);
// The tree of a format and width, built when it is the first time. DAM_E_NOMEM.
DAM_MUST_CHECK dam_err takeover_window_tree(struct dam_takeover *t, struct unit *unit, enum dam_stage stage,
                                            const struct pt_params *params, const struct crash_tree **out);
// 4-KiB pages of it, and one past its last byte; 0 when there is none.
uint64_t takeover_window_pages(const struct dam_takeover *t);
uint64_t takeover_window_end(const struct dam_takeover *t);
// Once all units run on our tables: turns off what only a kernel that knows of the units can deal with.
void takeover_bare_hardware(struct dam_takeover *t);

// Makes the tables of a refuge, once.
DAM_MUST_CHECK dam_err takeover_make_refuge(struct dam_takeover *t, const struct unit *unit,
                                            struct refuge *refuge);
// A context table in which every entry is silent.
DAM_MUST_CHECK dam_err takeover_silent_table(struct dam_takeover *t, const struct unit *unit, uint64_t **out);
// The context entry of a function that planned tables have, or NULL.
uint64_t *takeover_planned_context(const struct unit *unit, uint16_t rid);

// ---- entries of ours (entries.c) -------------------------------------------------------------------------
// 64-bit words of an entry of the unit's context tables.
static inline unsigned takeover_context_words(const struct unit *unit)
{
    return unit->vtd.scalable ? VTD_SM_CTX_WORDS
                              : (unsigned)(sizeof(struct vtd_context_entry) / sizeof(uint64_t));
}
// Which page tables translate for a requester under our tables.
enum dam_stage takeover_new_stage(const struct requester *r);
// The entry that makes the unit do what is planned for a requester; returns how many 64-bit words it has.
unsigned takeover_encode(const struct unit *unit, const struct requester *r,
                         uint64_t entry[IOMMU_BINDING_WORDS]);
// Fills the tables of a refuge: everything in them is bound to what r, which has its new_tree, is bound to.
void takeover_fill_refuge(struct dam_takeover *t, struct unit *unit, struct refuge *refuge,
                          const struct requester *r);
// Follows our tables, as the unit would, to the entry of a requester; NULL: they do not lead to one.
const uint64_t *takeover_follow(const struct dam_takeover *t, const struct unit *unit,
                                const struct requester *r);

// ---- planning --------------------------------------------------------------------------------------------

// One past the last byte of memory that is known, at least 4 GiB: how far an identity view goes.
uint64_t takeover_known_end(const struct dam_takeover *t);
// The smallest number of levels of the unit's tables that reaches `end`, or the largest it has.
uint8_t takeover_levels(const struct unit *unit, enum dam_stage stage, uint64_t end);
// What the unit says of tables of this format (contexts.c).
struct pt_params takeover_params(const struct dam_takeover *t, const struct unit *unit, enum dam_stage stage,
                                 uint8_t levels);
// The format of tables for those who had none: DAM_STAGE_FIRST or _SECOND, what the unit can do (trees.c).
enum dam_stage takeover_unit_stage(const struct unit *unit);

// Gives a requester the new_tree that its old_tree and policy ask for, built when it is the first one
// (trees.c). DAM_E_NOMEM; what the operations return.
DAM_MUST_CHECK dam_err takeover_tree_for(struct dam_takeover *t, struct unit *unit, struct requester *r);

// Sets new_did of a requester that has its new_tree: the old id when no other table has it, else one that
// nobody had (domains.c). DAM_E_STATE: none is left.
DAM_MUST_CHECK dam_err takeover_choose_did(struct dam_takeover *t, struct unit *unit, struct requester *r);

// Copies the interrupt remapping table of a unit that remaps interrupts, if the pool has room for it
// (interrupts.c).
void takeover_plan_interrupts(struct dam_takeover *t, struct unit *unit);
DAM_MUST_CHECK dam_err takeover_commit_interrupts(struct unit *unit);

// What the old kernel left in a unit's registers (state.c): findings; and what is done about it once the unit
// is ours.
void takeover_report_state(struct dam_takeover *t, const struct unit *unit);
void takeover_commit_state(struct dam_takeover *t, struct unit *unit);

// Switches ATS off in the devices whose units refuse translated requests now (ats.c). Nothing depends on it.
void takeover_switch_ats_off(struct dam_takeover *t);

// Leads the root table to the planned context tables, one store each.
void takeover_lead_root(struct dam_takeover *t, struct unit *unit);
// Turns translation on in a unit where it was off, with planned tables from the first moment: nobody was
// translated before.
DAM_MUST_CHECK dam_err takeover_raise(struct dam_takeover *t, struct unit *unit);

// Masks the events of a unit, flushes the write buffer and takes its invalidation interface (commit.c).
// Nothing that translates has changed when this fails. Errors of vtd_take_invalidation().
DAM_MUST_CHECK dam_err takeover_quiet_unit(struct dam_takeover *t, struct unit *unit);

// Puts a requester behind the others of its unit (contexts.c).
void takeover_append(struct unit *unit, struct requester *r);

// Makes memory writes of ours visible to the unit and drops all that it cached.
DAM_MUST_CHECK dam_err takeover_flush(struct unit *unit);

#endif

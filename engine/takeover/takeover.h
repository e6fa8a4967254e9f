// SPDX-License-Identifier: MIT
// The state of a takeover. All of it lies in the pool; each phase fills in its part and reads the ones
// before. Nothing here knows a kind of IOMMU: what takes one to know is asked of it (iommu/iommu.h).
#ifndef ENGINE_TAKEOVER_TAKEOVER_H
#define ENGINE_TAKEOVER_TAKEOVER_H

#include <cofferdam/takeover.h>

#include "base/finding.h"
#include "iommu/iommu.h"
#include "pgtable/audit.h"
#include "pgtable/pt.h"

// A firmware region (RMRR, IVMD) that the requesters of one old domain may reach: identity.
struct window {
    struct window *next;
    uint64_t start, end; // half-open, multiples of 4 KiB
    bool r, w;
};

// Old(d): one page table of the old kernel, shared by all requesters of a unit that point to it with the same
// rights.
struct old_tree {
    struct old_tree *next;
    dam_pa root;
    bool identity;        // pass-through: no tables, every address means itself
    enum dam_stage stage; // the format of its tables, DAM_STAGE_FIRST or _SECOND; identity: of the view of it
    bool r, w;            // what the entries that lead here let through of it
    struct pt_params params;
    struct window *windows;
    dam_err error; // why it cannot be used
    struct pt_audit audit;
    dam_pa frozen_root; // of what freeze makes its tree of: the old tables, or a copy,
    bool leaves_frozen; // without W in its leaves
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
    bool by_entry;   // the entries that lead here have rights, which can say what is else said by a table
    bool r, w;       // what they let through
    uint16_t number; // 1 and up, within the unit
    uint16_t did;    // an id that nobody had, once one was needed; 0: none yet
    dam_pa root;
    bool shares_old;                     // tables below the root are still those of the old kernel
    uint64_t readable, writable, tables; // 4-KiB pages; tables of ours
    bool failed; // it did not fit into the pool, or did not pass verification: its requesters are blocked
};

// One binding of the old kernel: what translates for one function, or for a PASID of one.
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
    uint64_t *entry; // in the planned tables
};

// Who uses a domain id under our tables: a new_tree's number, or one of these.
#define DID_FREE  0u
#define DID_FIRST 0xFFFEu // first-stage trees of different PASIDs
#define DID_OLD   0xFFFFu // the old kernel used it, nobody of ours yet

// A kind of IOMMU, and what is made once for it.
struct family {
    struct iommu_kind kind;
    struct iommu_firmware firmware;                   // bytes is NULL: this machine has no such table
    struct pt_format formats[DAM_STAGE_SECOND + 1u];  // by stage: DAM_STAGE_FIRST, DAM_STAGE_SECOND
    struct pt_scratch scratch[DAM_STAGE_SECOND + 1u]; // by stage, all to the same page
    bool has_scratch;
};

struct unit {
    struct unit *next;
    struct dam_takeover *t;
    struct family *family;
    const struct iommu_kind *kind; // of the family
    struct iommu_unit *iommu;      // the kind's own
    struct iommu_listener listener;
    struct unit *leader; // on whose tables it runs, and who has its requesters; NULL: its own
    enum dam_unit_status status;
    dam_err error;
    struct requester *requesters, *last_requester;
    uint32_t requester_count;
    // Of these, the one that stands for all that pass untranslated and are not listed; NULL: there are none.
    struct requester *passing;
    struct old_tree *old_trees;
    struct new_tree *new_trees;
    uint16_t new_tree_count;
    struct crash_tree *crash_trees;
    uint16_t *did_owner; // by domain id
    uint32_t did_next;   // ids above it are taken
    bool verified;       // its trees are
};

// A firmware region and whom it is named for.
struct region {
    struct region *next;
    struct iommu_region what;
};

#define MAX_ACPI_TABLES (IOMMU_KINDS + 1u) // and MCFG
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
    struct family families[IOMMU_KINDS];
    unsigned family_count;
    struct unit *units, *last_unit;
    uint16_t unit_count;
    enum dam_stop left; // why the first unit was left alone
    struct region *regions;
    struct pt_budget budget;
    struct pt_memory old_memory, own_memory; // see pt_memory.ours
    uint64_t *buffers;                       // PT_MAX_LEVELS pages for walks
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

// How much of the pools is used, to give back what was taken since.
struct pool_mark {
    uint64_t pages, low_pages;
};
struct pool_mark takeover_mark(const struct dam_takeover *t);
void takeover_release(struct dam_takeover *t, const struct pool_mark *mark);

// Leaves a unit alone that could not be audited or planned: gives back the pages taken since `mark` and
// reports why. unit->error is the caller's.
void takeover_leave(struct dam_takeover *t, struct unit *unit, const struct pool_mark *mark,
                    enum dam_stop why);
// Whether a unit cannot go on because the one whose tables it shares does not.
static inline bool takeover_lost_leader(const struct unit *unit)
{
    return unit->leader && unit->leader->status != DAM_UNIT_PLANNED;
}

// DAM_STOP_NONE while there is a unit to go on with; else why not.
enum dam_stop takeover_go_on(const struct dam_takeover *t);

// What requesters get whose old tables cannot be used.
static inline enum dam_policy takeover_broken_policy(const struct dam_takeover_config *config)
{
    return config->broken == DAM_POLICY_SCRATCH ? DAM_POLICY_SCRATCH : DAM_POLICY_BLOCK;
}

// Whether a unit runs on our tables.
static inline bool takeover_is_ours(const struct unit *unit)
{
    return unit->status == DAM_UNIT_TAKEN || unit->status == DAM_UNIT_RAISED;
}

// ---- requesters (requesters.c) ---------------------------------------------------------------------------
// All that the unit's old tables name. DAM_E_BROKEN: they cannot be read.
DAM_MUST_CHECK dam_err takeover_read_tables(struct dam_takeover *t, struct unit *unit);
// In its place for a unit that was off: every requester had identity.
DAM_MUST_CHECK dam_err takeover_raise_tables(struct dam_takeover *t, struct unit *unit);
// Those that the old tables do not name, and that get an entry all the same: for a policy of their own, or
// for the crash window.
DAM_MUST_CHECK dam_err takeover_add_absent(struct dam_takeover *t, struct unit *unit);
// Nothing that its old tables say counts any more: it gets what broken ones get.
void takeover_quarantine(const struct dam_takeover *t, struct requester *r);
// The requester of a function, for requests without PASID; NULL: the tables do not name it.
struct requester *takeover_find(const struct unit *unit, uint16_t rid);

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

// ---- planning --------------------------------------------------------------------------------------------
// One past the last byte of memory that is known, at least 4 GiB: how far an identity view goes.
uint64_t takeover_known_end(const struct dam_takeover *t);
// `end`, or where a tree ends that cannot map all of that to itself.
uint64_t takeover_identity_limit(const struct pt_params *params, uint64_t end);

// Gives a requester the new_tree that its old_tree and policy ask for, built when it is the first one
// (trees.c). DAM_E_NOMEM; what the operations return.
DAM_MUST_CHECK dam_err takeover_tree_for(struct dam_takeover *t, struct unit *unit, struct requester *r);
// Which page tables translate for a requester under our tables (trees.c).
enum dam_stage takeover_new_stage(const struct requester *r);
// What is planned for a requester that has its new_tree (trees.c).
struct iommu_target takeover_target(const struct dam_takeover *t, const struct requester *r);

// Sets new_did of a requester that has its new_tree: the old id when no other table has it, else one that
// nobody had (domains.c). DAM_E_STATE: none is left.
DAM_MUST_CHECK dam_err takeover_choose_did(struct dam_takeover *t, struct unit *unit, struct requester *r);

// Switches ATS off in the devices whose units refuse translated requests now (ats.c). Nothing depends on it.
void takeover_switch_ats_off(struct dam_takeover *t);

#endif

// SPDX-License-Identifier: MIT
// The questions that every kind of IOMMU answers: one folder beside this file a kind. What takes machines
// over (takeover/) and what looks at dumps (tool/) asks these and knows no kind by name, but for the list of
// iommu_kinds(). Whatever a kind needs to remember lies behind struct iommu_unit; what it tells goes through
// the callbacks it is given.
#ifndef ENGINE_IOMMU_IOMMU_H
#define ENGINE_IOMMU_IOMMU_H

#include <cofferdam/abi.h>
#include <cofferdam/arena.h>
#include <cofferdam/ops.h>

#include "pci/cfg.h"
#include "pci/topology.h"
#include "pgtable/pt.h"

struct iommu_kind;

// ---- one unit --------------------------------------------------------------------------------------------
// Whom a unit tells what is odd. finding->unit and ->segment are filled in by who is told.
struct iommu_listener {
    void *ctx;
    void (*finding)(void *ctx, const struct dam_finding *finding);
};

// The part of a unit that all kinds have; the first member of a kind's own, which has kind->unit_size bytes
// and is 0 at first. Who makes it fills in the first group; the kind the second one.
struct iommu_unit {
    const struct iommu_kind *kind;
    struct iommu_unit *next; // all units of all kinds, in the order of the firmware
    const struct dam_ops *ops;
    struct dam_arena *pool;
    // For what the next kernel goes on from in place, and finds below 4 GiB alone; NULL: there is no such
    // room. It may be `pool` itself.
    struct dam_arena *low_pool;
    const struct pt_memory *old_memory;    // where tables of the old kernel may lie; its budget counts
    const struct iommu_firmware *firmware; // the table that names it
    struct pci_cfg *pci;
    const struct iommu_listener *listener;
    uint64_t *buffer; // a page to read into, of everybody: nothing stays in it
    dam_pa base;      // of its registers
    uint16_t index, segment;
    uint8_t firmware_flags;     // as its table has them
    uint8_t host_address_width; // bits
    bool raise;                 // it is off, and shall be turned on
    uint64_t max_wait_us;       // for one answer of the hardware
    // On whose tables it runs, when several units share them; NULL: its own. The leader comes before it. It
    // has no requesters: those of the leader are of all that share.
    struct iommu_unit *leader;

    uint64_t cap, ecap; // its capability registers, as the note has them
    uint32_t ver;
    union dam_unit_registers before, after;
    uint16_t state_register; // that says whether it translates,
    uint64_t state_value;    // and what it said
    // Where the last wait that timed out looked, for the finding.
    uint16_t waited_register;
    uint64_t waited_value;
    uint32_t us_switch;      // from pointing it to other tables to the end of the first flush
    struct iommu_seen *seen; // pages of old tables above the page tables (seen.c)
    uint32_t irq_entries;    // present in the old interrupt remapping table
    uint32_t irq_silenced;   // of these, taken out of ours
};

// How the old kernel left a unit that answers.
enum iommu_state {
    IOMMU_OFF,         // does not translate
    IOMMU_ON,          // translates
    IOMMU_UNSUPPORTED, // translates, in a way that is not known here, or must not be changed: left alone
};

// ---- firmware --------------------------------------------------------------------------------------------
// A region that firmware wants to stay reachable, and for whom.
struct iommu_region {
    uint16_t segment;
    bool by_range;            // for the requesters first to last; else for target
    uint16_t first, last;     // inclusive
    struct pci_target target; // a function or all below a bridge
    uint64_t start, end;      // half-open, multiples of 4 KiB
    bool r, w;
};

// One ACPI table of a kind, and who listens while it is read.
struct iommu_firmware {
    const uint8_t *bytes; // a copy; stays valid
    uint32_t length;
    struct pci_cfg *pci;
    uint8_t host_address_width; // out, bits: 32 to 52; before the first unit
    void *ctx;
    // DAM_OK also when the unit is refused (twice named, impossible address): that is told. `offset`: of the
    // structure in the table.
    dam_err (*unit)(void *ctx, uint64_t base, uint16_t segment, uint8_t flags, uint32_t offset);
    // Whether such a region can be at all; what is odd about it is told. Once for each structure that names
    // one, before region(). last: its last byte.
    bool (*allows)(void *ctx, uint64_t start, uint64_t last);
    dam_err (*region)(void *ctx, const struct iommu_region *region);
    void (*finding)(void *ctx, uint16_t code, uint64_t address, uint64_t raw);
};

// ---- bindings --------------------------------------------------------------------------------------------
#define IOMMU_BINDING_WORDS 8u // of the longest entry that can be one

// What the entry says that translates for a requester: VT-d's context entry or PASID-table entry, AMD's
// device table entry (with it, for requests with PASID, the entry of its GCR3 table).
struct iommu_binding {
    enum dam_stage stage; // DAM_STAGE_NONE: of a type that is not defined
    bool present;
    bool r, w;        // what the entry lets through of what its tables map
    bool translated;  // translated requests pass (device TLBs)
    uint8_t reserved; // bit n: reserved bits are set in word n of the entry
    uint8_t levels;   // of the tables at root, as the entry says; pass-through: the width, or 0
    uint16_t did;
    dam_pa root; // the tables that say where DMA goes: second stage, or first stage when it is alone
    // Nested: the first stage, whose tables lie in the address space of the second.
    dam_pa first;
    uint8_t first_levels;
    bool scalable;                     // VT-d: a PASID-table entry
    bool fpd;                          // faults are not reported
    uint64_t raw[IOMMU_BINDING_WORDS]; // the entry as it was read; words that its kind does not have are 0
};

// One that was found in old tables, and where its entry will be in those of ours.
struct iommu_found {
    uint16_t rid;
    uint16_t index; // of the entry in its table, for findings
    // DAM_REQ_PASID, DAM_REQ_RID_PASID; DAM_REQ_OTHERS: it stands for many that are not listed (rid is 0),
    // and `entry` for theirs until spread().
    uint16_t flags;
    uint32_t pasid;
    struct iommu_binding binding;
    uint64_t address; // of the entry in old memory
    uint64_t *entry;  // in planned tables
};

// Whom read_tables() tells. Errors are those of the pool: they end the reading.
struct iommu_sink {
    void *ctx;
    // A binding. code: DAM_F_NONE when it can be used, else why not, with `raw` at found->address. Those of
    // one function follow each other.
    dam_err (*binding)(void *ctx, const struct iommu_found *found, uint16_t code, uint64_t raw);
    // Something odd about it.
    void (*finding)(void *ctx, uint16_t code, const struct iommu_found *found, uint64_t raw);
    // Forgets, with the pages and records of the pool, all that was told and read since the last mark().
    void (*mark)(void *ctx);
    void (*rewind)(void *ctx);
};

// ---- looking at tables, without running on them -----------------------------------------------------------
// What a kind's lookup.h tells, for inspect. Nothing is copied, nothing is taken out, and what the memory
// does not hold is told like what is broken.
enum iommu_hit_kind {
    IOMMU_HIT_BINDING, // a present binding, sound or not
    IOMMU_HIT_BROKEN,  // an entry that the unit refuses, or that leads outside known memory
    IOMMU_HIT_ABSENT,  // the memory does not hold a table
};

// An entry on the way to a binding: VT-d's root entry (or its half), context entry, PASID-directory entry;
// AMD's device table entry, GCR3 table entries.
#define IOMMU_STEPS      4u
#define IOMMU_STEP_WORDS 4u
struct iommu_step {
    dam_pa address;
    uint8_t words;
    uint64_t raw[IOMMU_STEP_WORDS];
};

struct iommu_hit {
    enum iommu_hit_kind kind;
    uint16_t rid;   // the first function that is meant
    uint16_t flags; // DAM_REQ_PASID: pasid is valid; DAM_REQ_RID_PASID: requests without one are among it
    uint32_t pasid; // the first one that is meant
    uint32_t span;  // functions that are meant, or with DAM_REQ_PASID PASIDs of one function; a binding: 1
    struct iommu_step steps[IOMMU_STEPS];
    unsigned step_count;
    const void *function; // the kind's own, of the function whose PASIDs are read
    struct iommu_binding binding;
    dam_pa address;         // of the binding's entry; else of the entry or table that is meant
    uint16_t index;         // of that entry in its table
    uint16_t finding;       // DAM_F_*, why it cannot be used; DAM_F_NONE
    dam_pa finding_address; // of the word that tells
    uint64_t finding_raw;   // what it says
};

// What is planned for a requester.
struct iommu_target {
    uint16_t rid, flags; // as in iommu_found
    uint32_t pasid;
    const struct iommu_binding *old;
    bool usable;          // old says something: its attributes are kept
    bool blocked;         // nothing is mapped; root is an empty table all the same
    enum dam_stage stage; // of the new tables; DAM_STAGE_NESTED: the first stage of old stays
    uint8_t levels;
    uint16_t did;
    dam_pa root;
    bool r, w;       // what the entry lets through; both, where has_rights() does not hold
    bool writes;     // whether anything may be written through root
    uint64_t *entry; // in planned tables
};

// What shall become of interrupt remapping.
enum iommu_irqs {
    IOMMU_IRQS_KEEP,
    IOMMU_IRQS_MASK, // what devices send is silenced
    IOMMU_IRQS_BARE, // nobody will remap: the next kernel will know of no IOMMU
};

// ---- device TLBs ------------------------------------------------------------------------------------------
struct iommu_device {
    uint16_t rid, pf; // the function; its physical function, or itself
    uint8_t depth;    // as its ATS capability has it
};
#define IOMMU_NO_PASID  0xFFFFFFFFu
#define IOMMU_TLB_BATCH 32u

// ---- the questions ---------------------------------------------------------------------------------------
// Filled in at run time: the stage has no relocations. All take the kind's own unit. Until prepare() nothing
// writes but to the pool. "May be NULL": the answer is then no, none, or nothing to do. Where units share
// tables (leader), those marked [L] are asked of the leader alone, for all; the others of each.
struct iommu_kind {
    enum dam_iommu_kind id;
    char signature[5];  // of its ACPI table, NUL-terminated
    char driver[16];    // Linux' driver for it: DRIVER=off on a command line turns that off
    uint8_t max_levels; // that page tables of any stage have
    size_t unit_size;   // bytes of the kind's own unit
    // One entry is for all PASIDs of a function: one domain id, one second stage.
    bool by_function;

    // -- the stage, before all
    // Bytes below 4 GiB that the next kernel wants to find what it goes on from in, on a machine with this
    // table (a copy). May be NULL: none.
    uint64_t (*low_bytes)(const uint8_t *table, uint32_t length);

    // -- discover
    // Reads the table: every unit and region. DAM_E_BROKEN: wrong checksum and wrong contents: noise.
    dam_err (*read_firmware)(struct iommu_firmware *firmware);
    // Fills in the unit's second group up to state_value, and tells what was left in it (queue, faults,
    // errors). An error: it does not answer.
    dam_err (*probe)(struct iommu_unit *unit, enum iommu_state *state);
    // Whether two units of one segment, of which both translate or both shall be raised, run on one table
    // (other comes before unit). May be NULL.
    bool (*shares_tables)(const struct iommu_unit *unit, const struct iommu_unit *other);
    // Whether requests of a function go through this unit, of those that share tables. May be NULL: yes.
    bool (*serves)(const struct iommu_unit *unit, uint16_t rid);
    // A unit that is off shall be turned on: chooses its mode. legacy: the older of two, where there are.
    // DAM_E_UNSUPPORTED: it cannot be. May be NULL.
    dam_err (*choose_mode)(struct iommu_unit *unit, bool legacy);

    // -- what its tables can be
    uint32_t (*domain_ids)(const struct iommu_unit *unit); // 2 to 65536; 0 is never given to tables of ours
    // Whether a domain id that the old kernel used must not be kept. May be NULL.
    bool (*reserves_did)(const struct iommu_unit *unit, uint16_t did);
    // The tables for those who had none: DAM_STAGE_FIRST or _SECOND.
    enum dam_stage (*stage)(const struct iommu_unit *unit);
    // The smallest number of levels that reaches `end` (bytes), or the largest there is.
    uint8_t (*levels)(const struct iommu_unit *unit, enum dam_stage stage, uint64_t end);
    struct pt_params (*params)(const struct iommu_unit *unit, enum dam_stage stage, uint8_t levels);
    void (*format)(enum dam_stage stage, struct pt_format *out); // DAM_STAGE_FIRST or _SECOND
    // Whether the new entry in place of `old`, of the same stage, can take rights away (r, w), so that freeze
    // needs no table. May be NULL.
    bool (*has_rights)(const struct iommu_unit *unit, const struct iommu_binding *old);
    // Whether the unit may go by the rights of a leaf alone, whatever the entries above it say: then freeze
    // takes W from the leaves too, in a copy. May be NULL.
    bool (*leaf_rights_count)(const struct iommu_unit *unit);

    // -- audit
    // [L] Reads the old tables above the page tables; makes ours: exact copies of what is sound, all else
    // silent; and the planned ones, silent. DAM_E_BROKEN: they cannot be read at all, told.
    dam_err (*read_tables)(struct iommu_unit *unit, const struct iommu_sink *sink);
    // [L] In place of it for a unit that was off: planned tables, silent.
    dam_err (*make_tables)(struct iommu_unit *unit);
    // [L] Whether the one with DAM_REQ_OTHERS that read_tables() told of stands for this function. May be
    // NULL.
    bool (*is_among_others)(const struct iommu_unit *unit, uint16_t rid);
    // [L] Room for a requester that is not listed (rid), or with DAM_REQ_OTHERS for one that stands for all
    // those that are silent: fills in entry, and flags and pasid if they need more. DAM_E_RANGE: the tables
    // have no place for it.
    dam_err (*place)(struct iommu_unit *unit, struct iommu_found *found);
    // [L] The next function from *rid on for which planned tables have more than silence; false: no more. May
    // be NULL: none has bindings for requests with PASID alone.
    bool (*next_function)(const struct iommu_unit *unit, uint32_t *rid);

    // -- plan
    // What commit will need of the pool. May be NULL.
    dam_err (*plan)(struct iommu_unit *unit);
    // [L] Writes the entry of a requester.
    void (*bind)(struct iommu_unit *unit, const struct iommu_target *target);
    // [L] Whether something above the bindings was broken (may be NULL); binds all below to one target.
    bool (*has_refuge)(const struct iommu_unit *unit);
    void (*fill_refuge)(struct iommu_unit *unit, const struct iommu_target *target);
    // [L] Binds all that one with DAM_REQ_OTHERS stands for, target->entry among it.
    void (*spread)(struct iommu_unit *unit, const struct iommu_target *others);
    // [L] The interrupt remapping tables, last of all. What fails is told. May be NULL.
    void (*plan_interrupts)(struct iommu_unit *unit, enum iommu_irqs irqs);

    // -- commit
    // Masks events, takes the invalidation interface and tries it; for a unit that is off, points it to the
    // planned tables as well. After an error the unit is as it was, on the old tables. DAM_E_STATE: the
    // invalidation interface cannot be had.
    dam_err (*prepare)(struct iommu_unit *unit);
    // To exact copies, then to what is planned, each with its flushes; fills in us_switch. DAM_E_STATE: the
    // unit did not take them, and is as it was before prepare(); or its queue stands.
    dam_err (*switch_tables)(struct iommu_unit *unit);
    // In place of it for a unit that is off: turns it on. NULL where choose_mode is.
    dam_err (*raise)(struct iommu_unit *unit);
    dam_err (*commit_interrupts)(struct iommu_unit *unit); // may be NULL
    // What else the old kernel left there that writes or reports. Tells what fails. May be NULL.
    void (*commit_state)(struct iommu_unit *unit);
    // Makes it fit for a kernel that knows of no IOMMU. May be NULL.
    dam_err (*make_bare)(struct iommu_unit *unit);
    // [L] An entry that is in use gets another target; then flush().
    void (*rebind)(struct iommu_unit *unit, const struct iommu_target *target);
    // [L] Memory writes of ours become visible, all caches are dropped: of the unit and of all that follow
    // it, as far as they run on our tables.
    dam_err (*flush)(struct iommu_unit *unit);

    // -- verify
    // Reads the registers into `after` (an error), and tells which are not what they should be (*ok).
    dam_err (*verify_registers)(struct iommu_unit *unit, bool *ok);
    // [L] Above the bindings; the entry of a requester, and that the tables lead to it. Tells what is wrong.
    bool (*verify_tables)(const struct iommu_unit *unit);
    bool (*verify_entry)(const struct iommu_unit *unit, const struct iommu_target *target);
    dam_err (*read_registers)(const struct iommu_unit *unit, union dam_unit_registers *out);
    // Whether `after` says that it runs on other tables than `before`.
    bool (*is_switched)(const struct iommu_unit *unit);

    // -- device TLBs. All may be NULL where the first one is: none has any.
    bool (*has_device_tlbs)(const struct iommu_unit *unit);
    // Whether devices can be asked: the unit's queue is ours.
    bool (*reaches_devices)(const struct iommu_unit *unit);
    // Whether requests that a virtual function forget go to its physical function. May be NULL.
    bool (*asks_physical)(const struct iommu_unit *unit);
    // Puts a request that a device forget what it has of one PASID (IOMMU_NO_PASID: of requests without), at
    // most IOMMU_TLB_BATCH before each run.
    void (*device_tlb_put)(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid);
    // Waits for the answers. DAM_E_TIMEOUT: no answer; DAM_E_STATE: and the queue stands. waited_register and
    // waited_value say what it looks like then.
    dam_err (*device_tlb_run)(struct iommu_unit *unit);
};

// Reads a page of old root, context, device or PASID tables, and remembers what it said (seen.c). What is
// used is the copy; but when the page has changed by the time of the switch, Old(d) was not what it was taken
// for, and the note has to say so. DAM_E_NOMEM; what the operations return.
DAM_MUST_CHECK dam_err iommu_read_page(struct iommu_unit *unit, dam_pa pa, uint64_t *words);
// Findings about those that are not what they were.
void iommu_report_changes(const struct iommu_unit *unit);
// Tells the listener of something odd about the unit.
void iommu_report(const struct iommu_unit *unit, uint16_t code, uint64_t address, uint64_t raw);

// The kinds that there are, in the order in which their ACPI tables are looked for; how many.
#define IOMMU_KINDS 2u
unsigned iommu_kinds(struct iommu_kind out[IOMMU_KINDS]);

#endif

// SPDX-License-Identifier: MIT
// What an inspection knows: units, requesters, the page tables behind them, what is odd. Filled in once by
// inspect_open(); the verbs look at it and walk trees. Nothing in it names a kind of IOMMU or a format.
#ifndef TOOL_INSPECT_MODEL_H
#define TOOL_INSPECT_MODEL_H

#include <cofferdam/abi.h>
#include <cofferdam/findings.h>
#include <iommu/iommu.h>
#include <pgtable/pt.h>

#include "inspect/kernel.h"
#include "inspect/memory.h"
#include "note.h"

// Where the knowledge of a unit's tables comes from, best first.
enum inspect_origin {
    ORIGIN_NOTE,    // Cofferdam's note: registers, read at the crash
    ORIGIN_COMMAND, // the command line
    ORIGIN_KERNEL,  // the dead kernel's own structures
    ORIGIN_GUESS,   // a scan for what looks like tables
};

struct unit_kind;

struct inspect_unit {
    uint16_t index, segment;
    enum inspect_origin origin;
    const struct unit_kind *kind; // kind.h
    const char *mode;             // a word of its kind about its tables, or "unknown"
    uint64_t base;                // registers; 0 when nobody tells
    bool has_registers;           // cap and ecap are known; else they are assumed to allow everything
    bool translating;             // translation was on
    uint64_t cap, ecap;           // as the note has them: capability registers of its kind
    // As they were, or would have been: those that say where its tables are, in any case.
    union dam_unit_registers registers;
    uint8_t host_address_width; // bits
    uint64_t encrypt;           // the bit of an address that asks for encryption and is none of it, or 0
    char name[32];              // "dmar0", or "unit 0"
    dam_pa root;                // of its root table, or device table
    uint64_t table_size;        // bytes of it
    bool readable;              // its first page was read
    uint16_t leader;            // of all units that use this table, the first one: its requesters are theirs
};

// One set of page tables, shared by all requesters that lead to it.
struct inspect_tree {
    uint32_t number; // 0 and up
    const struct inspect_unit *unit;
    enum dam_stage stage; // DAM_STAGE_FIRST, _SECOND, or _PASSTHROUGH: identity over everything, no tables
    struct pt_format format;
    struct pt_params params;
    dam_pa root;
    bool r, w;                             // what the entries that lead here let through
    uint32_t requesters;                   // how many lead here, but for vacant ones
    const struct inspect_requester *first; // of these
    // After inspect_audit():
    bool audited;
    uint64_t readable, writable;    // bytes mapped
    uint64_t leaves[PT_MAX_LEVELS]; // entries that map, by level: 4 KiB, 2 MiB, 1 GiB, …
    uint64_t tables;                // table pages read
    uint64_t unknown_tables;        // table pages that the dump does not hold
    uint64_t unknown_bytes;         // IOVAs that those would have said something about
    uint32_t findings;              // about this tree
    uint8_t severity;               // the worst of them: enum dam_severity
};

struct inspect_requester {
    const struct inspect_unit *unit;
    uint16_t rid;
    uint16_t flags;       // DAM_REQ_PASID, DAM_REQ_RID_PASID, DAM_REQ_ATS
    uint32_t pasid;       // with DAM_REQ_PASID
    uint16_t did;         // domain id
    enum dam_stage stage; // also DAM_STAGE_NESTED: tree is then the second stage, first_root the first
    enum dam_old_kind kind;
    struct inspect_tree *tree; // NULL: none, or its entry is broken
    dam_pa first_root;
    uint16_t finding; // DAM_F_*, why its entry is broken; DAM_F_NONE
    bool unknown;     // a table on the way to its entry is not in the dump: one stands for all of them
    // How many functions or PASIDs it stands for: more than 1 when a table is unknown or broken, and of
    // neighbours that pass because their entries are not valid.
    uint32_t span;
    bool vacant; // that is so, and the dead kernel knew none of these functions: it counts nowhere
    // The entry that translates for it (of VT-d a context or PASID-table entry): where it is, what it says.
    dam_pa address;
    unsigned words;
    uint64_t raw[IOMMU_BINDING_WORDS];
    // Entries on the way there.
    struct inspect_step {
        const char *what; // "root entry"
        dam_pa address;
        unsigned words;
        uint64_t raw[IOMMU_STEP_WORDS];
    } steps[IOMMU_STEPS];
    unsigned step_count;
};

// A PCI function by name, as far as anybody knows it.
struct inspect_device {
    uint16_t segment, rid;
    bool known; // vendor, device and class are known
    uint16_t vendor, device;
    uint32_t class_code;
    char driver[32];
};

struct inspection {
    const char *path;
    struct memory *memory;
    struct kernel *kernel; // NULL: not found; kernel_problem says why
    char kernel_problem[384];
    bool has_note;
    struct note note;
    struct inspect_unit *units;
    size_t unit_count;
    struct inspect_tree **trees;
    size_t tree_count;
    struct inspect_requester *requesters; // by segment, rid, PASID
    size_t requester_count;
    struct inspect_device *devices; // by segment, rid
    size_t device_count;
    bool devices_complete;        // these are all that the dead kernel knew
    struct dam_finding *findings; // of everything read until now, in the order it was seen
    size_t finding_count;
    bool findings_lost; // there were more than are kept
    bool incomplete;    // something that was asked for is not in the dump
    char damage[384];   // why the first page that the dump holds could not be read; "": none was damaged
    struct dam_range crash[4]; // memory reserved for the capture kernel
    size_t crash_count;
    // Pages of tables that were read, root tables down: for the map. Filled in by inspect_audit(). With very
    // many of them neighbours stand for what lies between as well.
    struct dam_ranges tables;
    struct inspect_own *own; // model_own.h
};

struct inspect_options {
    const char *path;
    struct memory_options memory;
    // Where tables are, as the command line has it: by the option of a kind.
    const struct inspect_given {
        const struct unit_kind *kind;
        const char *text;
    } * given;
    size_t given_count;
    bool scan; // look for roots although others are known
    bool ignore_note, ignore_kernel;
};

// Opens the dump, finds the units, reads all their tables above the page tables. TOOL_BAD_INPUT, TOOL_USAGE
// (an address of tables that cannot be), TOOL_SYSTEM. Free with inspect_close() in any case.
TOOL_MUST_CHECK enum tool_status inspect_open(const struct inspect_options *options, struct inspection *out,
                                              struct tool_error *error);
// The same over memory that is open already; it becomes the inspection's.
TOOL_MUST_CHECK enum tool_status inspect_open_memory(struct memory *memory,
                                                     const struct inspect_options *options,
                                                     struct inspection *out, struct tool_error *error);
void inspect_close(struct inspection *inspection);

// The text of a finding without what the takeover did about it; out is returned.
#define INSPECT_FINDING_TEXT 128
const char *inspect_finding_text(uint16_t code, char out[INSPECT_FINDING_TEXT]);

// Walks a tree once, fills in its totals and adds its findings. DAM_E_NOMEM; DAM_E_STATE: interrupted.
DAM_MUST_CHECK dam_err inspect_audit(struct inspection *inspection, struct inspect_tree *tree);
DAM_MUST_CHECK dam_err inspect_audit_all(struct inspection *inspection);

// What one walk meets, in the order of the IOVAs.
enum inspect_kind {
    INSPECT_MAPPED,  // iova, size → addr with r, w
    INSPECT_UNKNOWN, // a table that the dump does not hold would say
    INSPECT_BROKEN,  // an entry that the hardware would refuse, or that leads outside all memory
};
struct inspect_range {
    enum inspect_kind kind;
    uint64_t iova, size; // iova in 64 bits, with its sign where the format has one
    uint64_t addr;
    bool r, w;
};
struct inspect_visitor {
    void *ctx;
    // Returning anything but DAM_OK ends the walk with it.
    dam_err (*range)(void *ctx, const struct inspect_range *range);
    // What to look out for: only mappings that lead into these (cut to them), and what is unknown, are
    // visited, and tables without any are passed over fast. NULL: everything.
    const struct dam_ranges *watch;
};
// Walks a tree; neighbours that go on in IOVA, address and rights come as one range. An identity tree comes
// as the memory's RAM. DAM_E_STATE: interrupted.
DAM_MUST_CHECK dam_err inspect_walk(struct inspection *inspection, const struct inspect_tree *tree,
                                    const struct inspect_visitor *visitor);

// Each level of one IOVA's way down, from the root table of the tree to the leaf.
struct inspect_level {
    unsigned level, index;
    dam_pa table, address; // of the table, of the entry
    bool known;            // raw and entry are valid; else the dump does not hold the table
    uint64_t raw;
    struct pt_entry entry; // of a page of several entries: addr of all of it
};
struct inspect_way {
    struct inspect_level at[PT_MAX_LEVELS]; // the top level first
    unsigned count;
    enum inspect_way_end { WAY_MAPPED, WAY_NOT_MAPPED, WAY_UNKNOWN, WAY_BROKEN, WAY_BEYOND } end;
    bool r, w;     // WAY_MAPPED: rights of all levels together
    uint64_t addr; // WAY_MAPPED: where the byte at iova is
};
DAM_MUST_CHECK dam_err inspect_follow(struct inspection *inspection, const struct inspect_tree *tree,
                                      uint64_t iova, struct inspect_way *out);
// The size of the page that a way ends in: WAY_MAPPED, of a tree with tables.
uint64_t inspect_page_size(const struct inspect_way *way);

// Sums of what hostile tables map may be more than 64 bits hold: then it is the most that they do.
static inline void inspect_sum(uint64_t *sum, uint64_t more)
{
    *sum = more > UINT64_MAX - *sum ? UINT64_MAX : *sum + more;
}

// The requesters that text names: "[SSSS:]BB:DD.F[@PASID]", all of it hexadecimal; without @PASID all of that
// function. Calls back in order. Returns how many there were; -1: the text is none.
int inspect_find(const struct inspection *inspection, const char *text,
                 void (*each)(void *ctx, struct inspect_requester *r), void *ctx);
const struct inspect_device *inspect_device_of(const struct inspection *inspection, uint16_t segment,
                                               uint16_t rid);

#endif

// SPDX-License-Identifier: MIT
// Page tables of 512 eight-byte entries: the one walker, the one builder, and what a format answers. Level 0
// is the leaf level: its entries map 4 KiB, those of level n map 4 KiB << 9n. Formats know one entry at one
// level; indices, ranges and levels are known here alone.
#ifndef ENGINE_PGTABLE_PT_H
#define ENGINE_PGTABLE_PT_H

#include <cofferdam/arena.h>
#include <cofferdam/ops.h>
#include <cofferdam/range.h>

#define PT_MAX_LEVELS 6
#define PT_ENTRIES    512u

enum pt_kind {
    PT_EMPTY, // maps nothing
    PT_TABLE, // leads to a table of a lower level
    PT_LEAF,  // maps the whole span of the entry
    PT_BAD,   // the hardware would fault: reserved bits are set
};

struct pt_entry {
    enum pt_kind kind;
    bool r, w;
    // PT_TABLE: levels left out on the way to the table. It maps what the entry spans as far as the index
    // bits of those levels are 0; the rest is not mapped.
    uint8_t skip;
    // PT_LEAF: the entry is one of 2^run that one page spans, all of one table (run ≤ 8), and all hold the
    // same value. The hardware takes the page's size from whichever it finds.
    uint8_t run;
    uint64_t addr;   // physical: of the next table, or of the memory mapped (of a run: of all of it)
    bool xd;         // first stage: execute-disable, which the hardware may take for a reserved bit
    bool supervisor; // first stage: not for requests of users
};

// What the hardware unit and the context say about one tree.
struct pt_params {
    uint8_t levels; // 1 to PT_MAX_LEVELS
    uint8_t haw;    // host address width in bits: address bits from here up are reserved
    uint8_t large;  // bit n: leaves at level n are supported (n ≥ 1)
    bool snoop;     // snoop control is supported: its bit is not reserved in leaves
    bool transient; // device TLBs are supported: the transient-mapping bit is not reserved
    bool canonical; // first stage: the upper half of the IOVAs is sign-extended to 64 bits
    // First stage: requests may have a supervisor's rights, so that entries that are not for users map as
    // well.
    bool supervisor;
    uint64_t encrypt; // AMD: the bit of an address that asks for encryption and is none of it, or 0
};

// A level-0 table at a glance: what 512 decodes would say, in one pass.
struct pt_scan {
    unsigned readable, writable; // entries
    unsigned mapped;             // entries that are either
    bool watched;                // at least one entry leads into the watched memory
    bool bad;                    // at least one entry is PT_BAD, or of a run that is not all alike
    bool unmarked;               // for at least one entry, pt_format.unmarked() holds
};

// A format: one file fills this in (at run time: the stage has no relocations, so no constant tables of
// pointers).
struct pt_format {
    struct pt_entry (*decode)(const struct pt_params *p, uint64_t raw, unsigned level);
    // entry->kind is PT_TABLE or PT_LEAF.
    uint64_t (*encode)(const struct pt_params *p, const struct pt_entry *entry, unsigned level);
    // The same entry with the restrictions of `through`, an entry that leads to its table, put upon it;
    // nothing else changes.
    uint64_t (*restrict_to)(uint64_t raw, const struct pt_entry *through);
    // Entry `index` of the table that replaces leaf `raw` of `level` ≥ 1: the same attributes, one level
    // down.
    uint64_t (*split)(const struct pt_params *p, uint64_t raw, unsigned level, unsigned index);
    // The leaf that maps part `part` of the run of which `raw` is, as an entry of its own with the same
    // attributes. NULL: the format has no runs.
    uint64_t (*single)(const struct pt_params *p, uint64_t raw, unsigned level, unsigned part);
    // Whether the hardware may write into the table when it uses this entry, to mark it as accessed; also
    // when it leads to tables that are not walked here but might be by the hardware.
    bool (*unmarked)(uint64_t raw, unsigned level);
    // A level-0 table; `watch`: ranges of memory to look out for.
    void (*scan)(const struct pt_params *p, const uint64_t *entries, const struct dam_ranges *watch,
                 struct pt_scan *out);
};

// VT-d second stage (engine/pgtable/vtdss.c). VT-d architecture specification, 9.8.
void pt_format_vtdss(struct pt_format *out);
// VT-d first stage, which is the CPU's format (engine/pgtable/vtdfs.c). 9.7.
void pt_format_vtdfs(struct pt_format *out);
// AMD I/O page tables, version 1: of the host (engine/pgtable/amdv1.c). 48882, 2.2.3.
void pt_format_amdv1(struct pt_format *out);
// AMD I/O page tables, version 2: of guests. 48882, 2.2.6. They are the CPU's as well.
static inline void pt_format_amdv2(struct pt_format *out)
{
    pt_format_vtdfs(out);
}

// Bytes that one entry of a level maps; bytes of the whole address space of `levels` levels, up to five.
static inline uint64_t pt_span(unsigned level)
{
    return 1ull << (DAM_PAGE_SHIFT + 9 * level);
}

// The last IOVA of a tree of `levels` levels. Six levels reach further than 64 bits.
static inline uint64_t pt_last(unsigned levels)
{
    return levels < PT_MAX_LEVELS ? pt_span(levels) - 1 : ~0ull;
}

// Entries of a table of `level` that 64-bit IOVAs reach.
static inline unsigned pt_reach(unsigned level)
{
    return level < PT_MAX_LEVELS - 1u ? PT_ENTRIES : PT_ENTRIES / 4;
}

static inline unsigned pt_index(uint64_t iova, unsigned level)
{
    return (unsigned)(iova >> (DAM_PAGE_SHIFT + 9 * level)) & (PT_ENTRIES - 1);
}

// ---- where tables may lie, and what reading them may cost ------------------------------------------------
struct pt_budget {
    uint64_t tables;      // pages left
    uint64_t deadline_us; // by the clock of the ops
};

struct pt_memory {
    const struct dam_ops *ops;
    const struct dam_ranges *old_ram; // tables of the old kernel lie here
    struct dam_arena *pool;           // tables of ours lie here
    bool ours;                // roots in the pool are meant: an old table never leads there legitimately
    struct pt_budget *budget; // NULL: none
};

// Whether a table may lie at pa: in old memory, or in the pool when what leads there (the table at `from`, or
// a root with from == pa) is itself ours.
bool pt_known_table(const struct pt_memory *mem, dam_pa from, dam_pa pa);
// Reads one table page for which pt_known_table() holds. DAM_E_BUDGET, or what the ops return.
DAM_MUST_CHECK dam_err pt_read_table(const struct pt_memory *mem, dam_pa pa, uint64_t *entries);

// ---- the walker ------------------------------------------------------------------------------------------
// One table on the way down.
struct pt_table {
    unsigned level;
    dam_pa pa;
    uint64_t iova;     // first one that the table maps
    uint64_t *entries; // the copy that was read: old memory is read once
    bool r, w;         // permissions on the way to here, ANDed
};

enum pt_bad {
    PT_BAD_RESERVED, // reserved bits
    PT_BAD_POINTER,  // next table outside known memory
    PT_BAD_RUN,      // the entries of its page are not all alike: what is mapped depends on what the hardware
                     // cached
};

// Any member that returns an error ends the walk with it.
struct pt_visitor {
    void *ctx;
    // Where the copy of a table about to be read shall go (4 KiB). NULL: the walker's own buffers.
    dam_err (*place)(void *ctx, unsigned level, uint64_t **where);
    // A level-0 table without bad entries. *each = true asks for leaf() of every entry as well.
    dam_err (*leaves)(void *ctx, const struct pt_table *t, const struct pt_scan *scan, bool *each);
    dam_err (*leaf)(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e);
    // A child table has been read into `where`, before anything in it is visited. May be NULL.
    dam_err (*child)(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e,
                     const uint64_t *where);
    dam_err (*bad)(void *ctx, const struct pt_table *t, unsigned index, enum pt_bad why);
    // An entry above the leaf level that maps nothing although it is not 0. May be NULL.
    void (*empty)(void *ctx, const struct pt_table *t, unsigned index);
    // The memory does not hold the table that this entry leads to (reading it gave DAM_E_ABSENT): what it
    // says is not known. t and e are NULL when that is the root. NULL: the walk ends with DAM_E_ABSENT.
    dam_err (*absent)(void *ctx, const struct pt_table *t, unsigned index, const struct pt_entry *e);
};

struct pt_walk {
    const struct pt_format *format;
    const struct pt_params *params;
    const struct pt_memory *memory;
    const struct pt_visitor *visitor;
    const struct dam_ranges *watch; // what scans look out for
    bool without_r, without_w;      // rights that whatever leads to the root takes away
    uint64_t *buffers; // PT_MAX_LEVELS pages for the walker's copies; unused when the visitor places them
    uint64_t tables;   // out: table pages read
    bool unmarked;     // out: pt_format.unmarked() holds for an entry below the root table
};

// Visits every entry below root that is not empty, in the order of the IOVAs. The level goes down at each
// step, so there are no loops. DAM_E_RANGE: the root itself lies outside known memory. DAM_E_BUDGET.
DAM_MUST_CHECK dam_err pt_walk(struct pt_walk *walk, dam_pa root);

// ---- the builder -----------------------------------------------------------------------------------------
// A tree of ours. Tables from `own_from` of the pool up belong to it alone and are edited in place; any other
// table that is in the way is copied first, with the permissions of its parent pushed down into it.
struct pt_tree {
    const struct pt_format *format;
    struct pt_params params;
    const struct pt_memory *memory;
    uint64_t own_from; // bytes, as pool->low counts
    dam_pa root;
};

// An empty tree, root table allocated. DAM_E_NOMEM.
DAM_MUST_CHECK dam_err pt_tree_new(struct pt_tree *tree);
// The tree below old_root seen through (r, w): a copy of the root table, all else shared. Entries that the
// hardware would refuse are emptied in the copy. DAM_E_NOMEM, DAM_E_RANGE, DAM_E_BUDGET.
DAM_MUST_CHECK dam_err pt_tree_share(struct pt_tree *tree, dam_pa old_root, bool r, bool w);
// Maps [iova, iova+size) to addr with (r, w), replacing what was there, with the largest leaves that fit.
// iova, addr and size are multiples of 4 KiB, and the range lies inside the tree's width (else DAM_E_RANGE).
// DAM_E_UNSUPPORTED: a leaf is in the way that cannot be divided, as there are none of the next lower size.
// A table that is edited has no runs any more: what is taken out of a page must not come back by its size.
DAM_MUST_CHECK dam_err pt_tree_map(struct pt_tree *tree, uint64_t iova, uint64_t addr, uint64_t size, bool r,
                                   bool w);
// Empties [iova, iova+size).
DAM_MUST_CHECK dam_err pt_tree_unmap(struct pt_tree *tree, uint64_t iova, uint64_t size);

// Takes W from every leaf below `from`, the root of a tree that pt_audit() has copied into the pool; with
// `copy` in a copy of all of it, whose root is the tree's. DAM_E_NOMEM.
DAM_MUST_CHECK dam_err pt_tree_freeze_leaves(struct pt_tree *tree, dam_pa from, bool copy);

// Lays the tree below `from`, a root in the pool of the same format and levels, over this one: what it maps
// replaces what was there, the rest stays. Its tables are shared wherever nothing else was, so that one tree
// can be laid over many; after it no other edit of this tree may follow, and `from`, which was built here (no
// runs, no levels left out), must not change. Entries that need a table of their own get one. DAM_E_NOMEM.
DAM_MUST_CHECK dam_err pt_tree_lay_over(struct pt_tree *tree, dam_pa from);

// Tables in which every IOVA leads to one page, readable and writable: level n is root[n]; one page for each
// of params->levels.
struct pt_scratch {
    dam_pa root[PT_MAX_LEVELS];
};
DAM_MUST_CHECK dam_err pt_scratch_new(const struct pt_format *format, const struct pt_params *params,
                                      struct dam_arena *pool, dam_pa page, struct pt_scratch *out);

#endif

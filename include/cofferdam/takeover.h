// SPDX-License-Identifier: MIT
// The whole job: discover → audit → plan → commit → verify → report. Up to and including plan nothing but the
// pool is written and no hardware is touched; the plan is data.
#ifndef COFFERDAM_TAKEOVER_H
#define COFFERDAM_TAKEOVER_H

#include <cofferdam/abi.h>
#include <cofferdam/arena.h>
#include <cofferdam/findings.h>
#include <cofferdam/ops.h>
#include <cofferdam/range.h>

#define DAM_MAX_FINDINGS 256u
#define DAM_MAX_CHOICES  32u
#define DAM_MAX_RSDP     4u

// A policy for one requester, from the command line.
struct dam_choice {
    dam_requester requester;
    uint32_t pasid; // DAM_ANY_PASID: for all of them, and for legacy mode
    enum dam_policy policy;
};
#define DAM_ANY_PASID 0xFFFFFFFFu

struct dam_takeover_config {
    const struct dam_ops *ops;
    struct dam_arena *pool;
    // Zeroed pages below 4 GiB for what has to lie there; NULL when the pool does, or when there are none.
    // Holds no page tables.
    struct dam_arena *low_pool;
    enum dam_policy policy; // for every requester that no choice names
    struct dam_choice choices[DAM_MAX_CHOICES];
    size_t choice_count;
    enum dam_policy broken; // for requesters whose tables are broken: DAM_POLICY_SCRATCH, or else block
    bool raise;             // turn translation on in units where it is off
    bool raise_legacy; // in legacy mode even where there is scalable mode: what the capture kernel will use
    bool mask_irqs;    // mask the interrupts of requesters that the capture kernel will not drive
    bool hide;         // the capture kernel will see no IOMMU: it needs the crash window
    // The crash window: RAM of the capture kernel, which every requester gets as identity, readable and
    // writable, when hide is set; or, with named windows, these requesters alone.
    const struct dam_ranges *crash_window;
    dam_requester windows[DAM_MAX_CHOICES];
    size_t window_count; // 0: every requester
    bool recycled;       // the next kernel will use old memory (ordinary kexec): no table there stays in use
    // Memory of the old kernel: the only place where its tables may lie. Never contains keep_out.
    const struct dam_ranges *old_ram;
    // The crash region (all memory of the capture kernel), the pool, the stage: what no requester may reach.
    const struct dam_ranges *keep_out;
    // Where the ACPI root pointer may be, best first; 0 entries are skipped. After them the BIOS areas are
    // searched.
    dam_pa rsdp[DAM_MAX_RSDP];
    uint64_t max_tables;  // page-table pages the audit reads at most, all requesters together; 0 = default
    uint64_t max_us;      // time that discover + audit + plan may take; 0 = default
    uint64_t max_wait_us; // for one answer of the hardware; 0 = default
};

#define DAM_DEFAULT_MAX_TABLES  (4ull * 1024 * 1024)
#define DAM_DEFAULT_MAX_US      (30ull * 1000 * 1000)
#define DAM_DEFAULT_MAX_WAIT_US (1000ull * 1000)

struct dam_takeover; // engine/takeover/takeover.h

// Allocates the state from the pool. config and all it points to must stay valid until the report is written.
// DAM_E_NOMEM when the pool is too small even for that.
DAM_MUST_CHECK dam_err dam_takeover_new(const struct dam_takeover_config *config, struct dam_takeover **out);

// Runs discover, audit and plan. Touches no hardware but by reading. DAM_STOP_NONE: there is something to
// commit.
enum dam_stop dam_takeover_prepare(struct dam_takeover *t);

// Runs commit and verify. Only after prepare gave DAM_STOP_NONE.
enum dam_stop dam_takeover_commit(struct dam_takeover *t);

// Reads the registers of every unit that answers once more, so that the note tells how they are: for a commit
// that an exception ended.
void dam_takeover_look(struct dam_takeover *t);

// The phase begun last. Valid at any moment, also from an exception handler.
enum dam_phase dam_takeover_phase(const struct dam_takeover *t);

// Whether the capture kernel can do without knowing of the IOMMU: hide was set, and every unit that
// translates runs on our tables, with the crash window. Valid at any moment.
bool dam_takeover_may_hide(const struct dam_takeover *t);

// Adds a finding of the caller's own (command line, NMI) to the ring.
void dam_takeover_finding(struct dam_takeover *t, const struct dam_finding *finding);

// What the stage knows and the engine does not, for the note.
struct dam_report_extra {
    struct dam_note_summary summary; // version, stop, flags, bad_words, image_start, exception_*, nmi_count,
                                     // tsc_khz: the rest is filled in by the engine
    const char *cmdline;             // the cofferdam.* words, NUL-separated; NULL when none
    uint32_t cmdline_size;           // bytes, NULs included
};

// Most bytes that the report may need: what to reserve before prepare. At most DAM_NOTE_MAX_SIZE.
size_t dam_report_max_size(void);

// Writes the note's descriptor (abi.h) to buf, at most capacity bytes; lists that do not fit are cut and the
// summary says so. t may be NULL (the stage stopped before there was one): then only the stage's own sections
// are written. DAM_E_NOMEM when not even the summary fits.
DAM_MUST_CHECK dam_err dam_takeover_report(struct dam_takeover *t, const struct dam_report_extra *extra,
                                           void *buf, size_t capacity, size_t *size);

// IEEE 802.3 CRC-32 as zlib's crc32() computes it; start with crc = 0.
uint32_t dam_crc32(uint32_t crc, const void *data, size_t len);

#endif

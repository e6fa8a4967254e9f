// SPDX-License-Identifier: MIT
// What the stage and the tool share, and what ends up in dumps: the note and the image header. Everything is
// little-endian and naturally aligned; sizes are checked below. docs/note-format.md describes it in words.
#ifndef COFFERDAM_ABI_H
#define COFFERDAM_ABI_H

#include <assert.h>
#include <stdint.h>

// ---- policies -------------------------------------------------------------------------------------------
// X(constant, value, word on the command line)
#define DAM_POLICIES(X)                                                                                      \
    X(DAM_POLICY_FREEZE, 0, "freeze")                                                                        \
    X(DAM_POLICY_PRESERVE, 1, "preserve")                                                                    \
    X(DAM_POLICY_SCRATCH, 2, "scratch")                                                                      \
    X(DAM_POLICY_BLOCK, 3, "block")

enum dam_policy {
#define DAM_X(name, value, word) name = value,
    DAM_POLICIES(DAM_X)
#undef DAM_X
};

// ---- other choices --------------------------------------------------------------------------------------
// What the capture kernel sees of the IOMMU. X(constant, value, word on the command line)
#define DAM_VIEWS(X)                                                                                         \
    X(DAM_VIEW_AUTO, 0, "auto")                                                                              \
    X(DAM_VIEW_SHOW, 1, "show")                                                                              \
    X(DAM_VIEW_HIDE, 2, "hide")

enum dam_view {
#define DAM_X(name, value, word) name = value,
    DAM_VIEWS(DAM_X)
#undef DAM_X
};

// ---- how far the stage came -----------------------------------------------------------------------------
// X(constant, value, word)
#define DAM_PHASES(X)                                                                                        \
    X(DAM_PHASE_START, 0, "start")                                                                           \
    X(DAM_PHASE_DISCOVER, 1, "discover")                                                                     \
    X(DAM_PHASE_AUDIT, 2, "audit")                                                                           \
    X(DAM_PHASE_PLAN, 3, "plan")                                                                             \
    X(DAM_PHASE_COMMIT, 4, "commit")                                                                         \
    X(DAM_PHASE_VERIFY, 5, "verify")                                                                         \
    X(DAM_PHASE_REPORT, 6, "report")

enum dam_phase {
#define DAM_X(name, value, word) name = value,
    DAM_PHASES(DAM_X)
#undef DAM_X
};

// ---- stop codes: why the stage did not, or not wholly, take over ----------------------------------------
// Values are stable. 1-63: handed over untouched. 64-127: after commit began, handed over with what was done.
#define DAM_STOPS(X)                                                                                         \
    X(DAM_STOP_NONE, 0, "taken over")                                                                        \
    X(DAM_STOP_OPTION_OFF, 1, "switched off by cofferdam.off")                                               \
    X(DAM_STOP_NO_RSDP, 2, "no ACPI root pointer was found")                                                 \
    X(DAM_STOP_NO_DMAR, 3, "ACPI lists no IOMMU: neither a DMAR nor an IVRS table")                          \
    X(DAM_STOP_BAD_ACPI, 4, "the ACPI tables cannot be read")                                                \
    X(DAM_STOP_NO_UNIT, 5, "no IOMMU answers")                                                               \
    X(DAM_STOP_IOMMU_OFF, 6, "translation is off in every IOMMU")                                            \
    X(DAM_STOP_MODE, 7, "no IOMMU runs in a supported table mode")                                           \
    X(DAM_STOP_POOL, 8, "the pool is too small")                                                             \
    X(DAM_STOP_BUDGET, 9, "a budget of tables or of time was used up")                                       \
    X(DAM_STOP_TABLES, 10, "the old root or device tables cannot be read")                                   \
    X(DAM_STOP_DOMAIN_IDS, 11, "no free domain id is left")                                                  \
    X(DAM_STOP_E820, 12, "the pool cannot be reserved in the memory map")                                    \
    X(DAM_STOP_EXACTMAP, 13, "memmap=exactmap hides the reservation of the pool")                            \
    X(DAM_STOP_NO_ELFCOREHDR, 14, "elfcorehdr= is missing or its headers cannot be read")                    \
    X(DAM_STOP_EXCEPTION, 15, "a CPU exception before commit")                                               \
    X(DAM_STOP_NMI, 16, "a non-maskable interrupt before commit")                                            \
    X(DAM_STOP_QUEUE, 17, "no unit lets its invalidation queue or command buffer be taken over")             \
    X(DAM_STOP_IMAGE, 18, "the image header is not valid")                                                   \
    X(DAM_STOP_CPU, 19, "the CPU is in a state that the stage does not know")                                \
    X(DAM_STOP_INTERNAL, 20, "an internal check failed before commit")                                       \
    X(DAM_STOP_COMMIT_TIMEOUT, 64, "hardware did not answer during commit")                                  \
    X(DAM_STOP_COMMIT_IO, 65, "a register access failed during commit")                                      \
    X(DAM_STOP_VERIFY, 66, "verification failed")                                                            \
    X(DAM_STOP_COMMIT_EXCEPTION, 67, "a CPU exception after commit began")                                   \
    X(DAM_STOP_UNITS, 68, "some IOMMUs could not be taken over")

enum dam_stop {
#define DAM_X(name, value, text) name = value,
    DAM_STOPS(DAM_X)
#undef DAM_X
};

#define DAM_STOP_IS_UNTOUCHED(stop) ((stop) >= 1 && (stop) <= 63)

// ---- the note -------------------------------------------------------------------------------------------
// An ELF note: name "COFFERDAM" (namesz 10), type DAM_NOTE_TYPE. Its descriptor is a dam_note_header followed
// by sections at 8-byte aligned offsets from the start of the descriptor.
#define DAM_NOTE_NAME         "COFFERDAM"
#define DAM_NOTE_TYPE         0x43464431u // "CFD1"
#define DAM_NOTE_MAGIC        0x4D41445246464F43ull
#define DAM_NOTE_VERSION      1u // readers refuse other values
#define DAM_NOTE_MAX_SIZE     (512u * 1024u)
#define DAM_NOTE_MAX_SECTIONS 16u

struct dam_note_header {
    uint64_t magic;         // DAM_NOTE_MAGIC
    uint32_t version;       // DAM_NOTE_VERSION
    uint32_t size;          // of the whole descriptor, header included
    uint32_t crc32;         // IEEE 802.3 CRC of the whole descriptor, with this field taken as 0
    uint16_t section_count; // dam_note_section structures that follow this header
    uint16_t header_size;   // sizeof(struct dam_note_header)
};
static_assert(sizeof(struct dam_note_header) == 24, "note header");

enum dam_section_type {
    DAM_SECTION_SUMMARY = 1,    // one dam_note_summary
    DAM_SECTION_UNITS = 2,      // dam_note_unit
    DAM_SECTION_REQUESTERS = 3, // dam_note_requester
    DAM_SECTION_FINDINGS = 4,   // dam_finding
    DAM_SECTION_ACPI_TABLE = 5, // raw bytes of one ACPI table (entry_size 1); may appear several times
    DAM_SECTION_CMDLINE = 6,    // the cofferdam.* words as given, NUL-separated (entry_size 1)
    DAM_SECTION_KEEP_OUT = 7,   // dam_note_range: what no requester may reach
};

struct dam_note_section {
    uint16_t type;       // enum dam_section_type; readers skip types they do not know
    uint16_t reserved;   // 0
    uint32_t entry_size; // bytes; a newer writer may make entries longer, never shorter
    uint32_t count;      // entries
    uint32_t offset;     // of the first entry, from the start of the descriptor
};
static_assert(sizeof(struct dam_note_section) == 16, "note section");

// dam_note_summary.flags
#define DAM_SUMMARY_COMMITTED     (1u << 0) // at least one unit runs on our tables
#define DAM_SUMMARY_EXCEPTION     (1u << 1) // exception_* below are valid
#define DAM_SUMMARY_TRUNCATED     (1u << 2) // not every requester fitted into the note
#define DAM_SUMMARY_FINDINGS_LOST (1u << 3) // the ring of findings overflowed; findings_total counts all
#define DAM_SUMMARY_NMI           (1u << 4) // at least one NMI arrived in the stage; nmi_count
#define DAM_SUMMARY_LA57          (1u << 5) // the stage ran with 5-level CPU page tables
#define DAM_SUMMARY_HIDDEN        (1u << 6) // the capture kernel is shown no IOMMU
#define DAM_SUMMARY_RAISED        (1u << 7) // translation was turned on where it had been off
#define DAM_SUMMARY_ORDINARY      (1u << 8) // an ordinary kexec: no old memory to keep

struct dam_note_summary {
    char version[16];        // of the stage, NUL-terminated
    uint32_t stop;           // enum dam_stop
    uint32_t phase;          // enum dam_phase: the last one begun before the report
    uint32_t flags;          // DAM_SUMMARY_*
    uint32_t policy;         // enum dam_policy: the default one
    uint32_t findings_total; // also those that did not fit
    uint32_t bad_words;      // words of the command line that were not understood
    uint64_t pool_start;     // physical address
    uint64_t pool_size;      // bytes
    uint64_t pool_used;      // bytes, at the time the note was written
    uint64_t scratch_page;   // physical address, 0 when none was made
    uint64_t image_start;    // physical address where the wrapped image was loaded
    uint32_t unit_total;
    uint32_t requester_total;
    // Microseconds, from entry of the stage to the end of the phase; 0 when it was not reached.
    uint32_t us_discover, us_audit, us_plan, us_commit, us_verify, us_report;
    uint64_t tables_read; // table pages read by the audit
    uint32_t exception_vector;
    uint32_t nmi_count;
    uint64_t exception_error, exception_rip, exception_cr2;
    uint32_t tsc_khz; // the clock that the times were taken with
    uint32_t reserved;
};
static_assert(sizeof(struct dam_note_summary) == 160, "note summary");

// Registers of one unit that the note keeps, before and after. VT-d architecture specification, chapter 11.
struct dam_vtd_registers {
    uint64_t rtaddr, iqa, irta, iqh, iqt;
    uint32_t gsts, fsts, fectl, pmen;
};
static_assert(sizeof(struct dam_vtd_registers) == 56, "registers");

// The same for AMD-Vi. 48882, 3.4 "MMIO registers", by the offsets of amdvi/regs.h.
struct dam_amdvi_registers {
    uint64_t device_table, command_base, event_base, control;
    uint32_t command_head, command_tail, event_head, event_tail;
    uint32_t status;
    uint32_t reserved;
};
static_assert(sizeof(struct dam_amdvi_registers) == 56, "registers");

// By the unit's kind.
union dam_unit_registers {
    struct dam_vtd_registers vtd;
    struct dam_amdvi_registers amdvi;
};

// dam_note_unit.kind. X(constant, value, name, names of what stands in cap and ecap)
#define DAM_IOMMU_KINDS(X)                                                                                   \
    X(DAM_IOMMU_VTD, 0, "VT-d", "cap", "ecap")                                                               \
    X(DAM_IOMMU_AMDVI, 1, "AMD-Vi", "EFR", "EFR2")

enum dam_iommu_kind {
#define DAM_X(name, value, word, cap, ecap) name = value,
    DAM_IOMMU_KINDS(DAM_X)
#undef DAM_X
};

// What a unit's registers are called, in the order in which they are shown.
// X(kind, member of the union, field, bits, name, whether the console tells it)
#define DAM_UNIT_REGISTERS(X)                                                                                \
    X(DAM_IOMMU_VTD, vtd, rtaddr, 64, "RTADDR", 1)                                                           \
    X(DAM_IOMMU_VTD, vtd, iqa, 64, "IQA", 0)                                                                 \
    X(DAM_IOMMU_VTD, vtd, iqh, 64, "IQH", 0)                                                                 \
    X(DAM_IOMMU_VTD, vtd, iqt, 64, "IQT", 0)                                                                 \
    X(DAM_IOMMU_VTD, vtd, irta, 64, "IRTA", 0)                                                               \
    X(DAM_IOMMU_VTD, vtd, gsts, 32, "GSTS", 1)                                                               \
    X(DAM_IOMMU_VTD, vtd, fsts, 32, "FSTS", 0)                                                               \
    X(DAM_IOMMU_VTD, vtd, fectl, 32, "FECTL", 0)                                                             \
    X(DAM_IOMMU_VTD, vtd, pmen, 32, "PMEN", 0)                                                               \
    X(DAM_IOMMU_AMDVI, amdvi, device_table, 64, "DevTabBase", 1)                                             \
    X(DAM_IOMMU_AMDVI, amdvi, command_base, 64, "ComBase", 0)                                                \
    X(DAM_IOMMU_AMDVI, amdvi, command_head, 32, "CmdHeadPtr", 0)                                             \
    X(DAM_IOMMU_AMDVI, amdvi, command_tail, 32, "CmdTailPtr", 0)                                             \
    X(DAM_IOMMU_AMDVI, amdvi, event_base, 64, "EventBase", 0)                                                \
    X(DAM_IOMMU_AMDVI, amdvi, event_head, 32, "EventHeadPtr", 0)                                             \
    X(DAM_IOMMU_AMDVI, amdvi, event_tail, 32, "EventTailPtr", 0)                                             \
    X(DAM_IOMMU_AMDVI, amdvi, control, 64, "Control", 1)                                                     \
    X(DAM_IOMMU_AMDVI, amdvi, status, 32, "Status", 0)

// dam_note_unit.status
enum dam_unit_status {
    DAM_UNIT_TAKEN = 0,         // runs on our tables
    DAM_UNIT_ABSENT = 1,        // reads all ones, or cannot be read
    DAM_UNIT_OFF = 2,           // translation was off: left alone
    DAM_UNIT_UNSUPPORTED = 3,   // table mode or capability not supported: left alone
    DAM_UNIT_BROKEN_ROOT = 4,   // its root table cannot be read: left alone
    DAM_UNIT_FAILED_BEFORE = 5, // commit failed before its root pointer was changed: old tables in use
    DAM_UNIT_FAILED_AFTER = 6,  // commit or verify failed after that
    DAM_UNIT_PLANNED = 7,       // audited or planned, commit not reached
    DAM_UNIT_RAISED = 8,        // translation was off, and is on now: runs on our tables
    DAM_UNIT_LEFT = 9,          // its audit or plan failed (pool, budget, domain ids): left alone
};

struct dam_note_unit {
    uint64_t register_base;
    uint64_t cap, ecap;
    uint32_t ver;
    uint16_t segment;
    uint8_t status; // enum dam_unit_status
    uint8_t drhd_flags;
    uint32_t requesters; // of this unit
    uint32_t error;      // dam_err of the failing step, 0 when none
    union dam_unit_registers before, after;
    uint32_t us_translation_switch; // from writing the root pointer to the end of the first flush
    uint32_t kind;                  // enum dam_iommu_kind; the first writers knew VT-d alone, and wrote 0
    uint32_t irq_entries;  // present in the interrupt remapping table; 0: none, or it was left where it is
    uint32_t irq_silenced; // of these, taken out
};
static_assert(sizeof(struct dam_note_unit) == 168, "note unit");
#define DAM_NOTE_UNIT_LEAST 160u // bytes that the first writers wrote

// dam_note_requester.old_kind: Old(d)
enum dam_old_kind {
    DAM_OLD_NONE = 0, // nothing was mapped (no second-stage table)
    DAM_OLD_TRANSLATED = 1,
    DAM_OLD_IDENTITY = 2, // pass-through
    DAM_OLD_BROKEN = 3,   // context entry not usable: quarantined
};

// dam_note_requester.flags
#define DAM_REQ_QUARANTINED (1u << 0)  // blocked because its old tables were broken
#define DAM_REQ_RMRR        (1u << 1)  // has at least one firmware window
#define DAM_REQ_CHOSEN      (1u << 2)  // its policy was chosen by a word on the command line
#define DAM_REQ_CUT         (1u << 3)  // mappings were taken out: keep-out pages or broken entries
#define DAM_REQ_NEW_DID     (1u << 4)  // its domain id had to change
#define DAM_REQ_ATS         (1u << 5)  // translated requests were allowed, and are refused now
#define DAM_REQ_CRASH       (1u << 6)  // has the crash window: it reaches the capture kernel's memory
#define DAM_REQ_RAISED      (1u << 7)  // its unit was off: the identity view is what it had
#define DAM_REQ_RID_PASID   (1u << 8)  // the PASID of requests that carry none
#define DAM_REQ_ATS_OFF     (1u << 9)  // ATS was switched off in the device
#define DAM_REQ_PASID       (1u << 10) // scalable mode: pasid is valid
// Stands for every requester of the unit that is not listed; rid is 0. A unit may have two: one for those
// that passed untranslated (old_kind), one for those that had nothing.
#define DAM_REQ_OTHERS (1u << 11)

struct dam_note_requester {
    uint16_t unit; // index into the units
    uint16_t segment;
    uint16_t rid;     // bus 15:8, device 7:3, function 2:0
    uint8_t policy;   // enum dam_policy in force
    uint8_t old_kind; // enum dam_old_kind
    uint16_t old_did, new_did;
    uint8_t levels; // of its page table, 3 to 5; 0 when none
    uint8_t reserved8;
    uint16_t flags;                      // DAM_REQ_*
    uint64_t old_root, new_root;         // physical addresses of the page-table roots
    uint64_t old_readable, old_writable; // mapped 4-KiB pages; shared by all requesters of a domain
    uint64_t new_readable, new_writable; // the same under our tables
    uint64_t cut;                        // 4-KiB pages that were taken out
    uint32_t old_tables, new_tables;     // table pages read; table pages of ours
    uint32_t pasid;                      // with DAM_REQ_PASID
    uint8_t old_stage, new_stage;        // enum dam_stage
    uint16_t reserved16;
};
static_assert(sizeof(struct dam_note_requester) == 88, "note requester");
#define DAM_NOTE_REQUESTER_LEAST 80u // bytes that the first writers wrote

// Which page tables translate for a requester. VT-d architecture specification, 9.6 (PGTT).
enum dam_stage {
    DAM_STAGE_NONE = 0,
    DAM_STAGE_FIRST = 1,
    DAM_STAGE_SECOND = 2,
    DAM_STAGE_NESTED = 3,
    DAM_STAGE_PASSTHROUGH = 4,
};

// A finding: something odd about the old tables, the firmware or the hardware. The engine holds no prose;
// texts are in findings.h.
struct dam_finding {
    uint16_t code;    // enum dam_finding_code
    uint8_t severity; // enum dam_severity
    uint8_t level;    // of the table entry, 0 is the leaf level; 255 when it says nothing
    uint16_t unit;    // 0xFFFF when it says nothing
    uint16_t segment;
    uint16_t rid;
    uint16_t index;   // of the entry in its table, or other small number
    uint32_t repeats; // how many more of the same kind were folded into this one
    uint64_t address; // of the entry, table or register
    uint64_t raw;     // the value found there
    uint64_t iova;    // first I/O virtual address concerned, or 0
};
static_assert(sizeof(struct dam_finding) == 40, "finding");

struct dam_note_range {
    uint64_t start, end; // half-open
};

// ---- the image header -----------------------------------------------------------------------------------
// Lies at DAM_IMAGE_HEADER_OFFSET of the stage, which is where the protected-mode part of a wrapped image
// begins. The tool fills it in; the stage checks it.
#define DAM_IMAGE_MAGIC         0x314D4144474D4943ull
#define DAM_IMAGE_VERSION       1u
#define DAM_IMAGE_HEADER_OFFSET 0x400u // from the start of the protected-mode part
#define DAM_IMAGE_ENTRY_OFFSET  0x200u // the 64-bit entry of the boot protocol
#define DAM_IMAGE_KERNEL_ALIGN  0x200000u
#define DAM_SETUP_HEADER_START  0x1F1u // in boot_params and in the file
#define DAM_SETUP_HEADER_SIZE   0x80u  // bytes kept: up to 271h, beyond the last field that loaders copy

struct dam_image_header {
    uint64_t magic;          // DAM_IMAGE_MAGIC
    uint32_t version;        // DAM_IMAGE_VERSION
    uint32_t size;           // sizeof(struct dam_image_header)
    uint32_t crc32;          // of this header with this field taken as 0
    uint32_t default_policy; // enum dam_policy
    uint64_t stage_size;     // bytes of the stage, .bss included, from the load address
    uint64_t kernel_offset;  // of the original protected-mode kernel, a multiple of 2 MiB
    uint64_t kernel_size;    // bytes of it in the file
    uint64_t kernel_init_size;
    uint64_t pool_offset;                        // a multiple of 4 KiB
    uint64_t pool_size;                          // bytes, a multiple of 4 KiB
    char tool_version[16];                       // NUL-terminated
    char kernel_version[64];                     // of the wrapped kernel, as its header tells; NUL-terminated
    uint8_t setup_header[DAM_SETUP_HEADER_SIZE]; // the original bytes 1F1h.. of the kernel's header
    uint64_t reserved[8];
};
static_assert(sizeof(struct dam_image_header) == 344, "image header");

// ---- limits of the pool ---------------------------------------------------------------------------------
#define DAM_POOL_MIN     (1024ull * 1024)
#define DAM_POOL_DEFAULT (8ull * 1024 * 1024)
#define DAM_POOL_MAX     (1024ull * 1024 * 1024)

#endif

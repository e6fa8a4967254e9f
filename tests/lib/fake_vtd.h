// SPDX-License-Identifier: MIT
// A machine for tests: memory, PCI functions and VT-d units, behind a struct dam_ops. The
// units are strict where hardware is (and QEMU is not): they keep old translations until the right
// invalidation, see memory only after a cache flush when page walks are not coherent, take their time, and
// write down whatever the driver does that the specification forbids.
#ifndef TESTS_LIB_FAKE_VTD_H
#define TESTS_LIB_FAKE_VTD_H

#include <cofferdam/ops.h>

#include "lib/naive_vtd.h"

#define FAKE_MAX_UNITS   4
#define FAKE_MAX_REGIONS 16
#define FAKE_MAX_WRITES  4096
#define FAKE_MAX_PCI     64
#define FAKE_RECORDS     8     // fault records at most
#define FAKE_REGISTERS   0x300 // bytes of a unit's register set that are modelled

// What a unit can be told never to finish.
#define FAKE_STUCK_SRTP   (1u << 0) // RTPS stays 0
#define FAKE_STUCK_QIE_ON (1u << 1)
#define FAKE_STUCK_QUEUE  (1u << 2) // descriptors are not fetched: IQH stays
#define FAKE_STUCK_WAIT   (1u << 3) // wait descriptors are fetched, their status is never written
#define FAKE_STUCK_CCMD   (1u << 4)
#define FAKE_STUCK_IOTLB  (1u << 5)
#define FAKE_STUCK_WBF    (1u << 6)
#define FAKE_REFUSE_IOTLB (1u << 7) // IAIG = 0: request refused
#define FAKE_STUCK_QIE    (1u << 8) // QIES never goes off
#define FAKE_STUCK_FSTS   (1u << 9) // error bits do not go away
#define FAKE_STUCK_SIRTP  (1u << 10)
#define FAKE_STUCK_EAFL   (1u << 12) // the fault log stays on
#define FAKE_STUCK_IEC    (1u << 11) // a flush of interrupt entries never ends
#define FAKE_STUCK_TE     (1u << 12) // translation does not go on
#define FAKE_STUCK_IRE    (1u << 13) // interrupt remapping does not go off
#define FAKE_STUCK_PRS    (1u << 14) // protected memory regions do not open

// Memory of the machine. Host memory belongs to the caller.
struct fake_region {
    uint64_t pa, size;
    uint8_t *host;
    uint8_t *device; // what page walks see that do not snoop; NULL before fake_vtd_settle()
};

struct fake_write {
    uint8_t unit, width;
    uint16_t offset;
    uint64_t value;
};

struct fake_tlb_entry {
    uint64_t page; // iova >> 12
    uint64_t pa;
    uint32_t did, pasid; // pasid: of first-stage translations, else NAIVE_NO_PASID
    bool used, r, w;
};

// PASID cache.
struct fake_pasid_entry {
    uint32_t rid, pasid;
    bool used;
    struct naive_context context;
};
#define FAKE_PASIDS   4096

#define FAKE_TLB_SIZE 16384

// What becomes of an interrupt request that names an entry of the remapping table.
struct fake_irq_result {
    bool delivered;
    bool recorded;    // refused, and the fault is reported
    unsigned reason;  // why it is refused (7.1.2: 0x20 and up)
    uint64_t post_to; // posted: the hardware writes to this address
    unsigned vector, mode;
    uint32_t destination; // as the entry has it
};

struct fake_unit {
    // Set by the test before use.
    uint64_t base;
    uint32_t ver;
    uint64_t cap, ecap;
    unsigned haw;
    unsigned latency;            // reads of a status register until a command is done
    uint32_t stuck;              // FAKE_STUCK_*
    uint32_t stuck_later;        // the same, from the next root pointer on
    bool absent;                 // reads all ones
    bool wait_needed_last;       // QIE goes off only when the last descriptor was a wait (QEMU, and 6.5.2)
    bool resumes_on_tail;        // QEMU: a queue that had stopped goes on at the next write of IQT alone
    unsigned queue_step;         // descriptors obeyed at each look at IQH; 0: all of them at once
    uint16_t segment;            // of the devices below it
    uint64_t device_gives_up_us; // after this time without an answer of a device: ITE; 0: never

    // Registers.
    uint32_t gsts, fsts, fectl, pmen;
    uint32_t iectl, pectl, prs;
    uint64_t record[FAKE_RECORDS][2]; // fault records
    uint64_t aflog, pqh, pqt, pqa;
    uint64_t rtaddr, ccmd, iva, iotlb, iqh, iqt, iqa, iqercd, irta;

    // Inside.
    uint64_t root;         // latched by SRTP
    uint64_t queue;        // latched IQA
    unsigned next_record;  // fault record to be filled next
    uint64_t irta_latched; // by SIRTP
    bool irte_stale;       // the table was changed, and the cache not flushed since
    uint64_t (*irtes)[2];  // interrupt entry cache; NULL: nothing was ever cached
    uint8_t *irte_cached;
    uint32_t pending_set;   // GSTS bits that the command under way will set
    uint32_t pending_clear; // and clear
    unsigned pending_reads; // after this many reads
    unsigned ccmd_reads, iotlb_reads;
    bool last_was_wait;
    bool queue_is_new; // enabled since the start: the driver's own
    bool unconfirmed;  // a device has not answered an invalidation
    uint64_t unconfirmed_since;
    bool write_buffer_flushed;      // WBF since the start
    struct naive_context *contexts; // context cache, by requester id
    uint8_t *context_cached;
    struct naive_function *function; // the same in scalable mode, once it is needed
    struct fake_pasid_entry *pasids;
    struct fake_tlb_entry *tlb;

    // What happened, for assertions.
    uint64_t faults_recorded; // faults that hardware would have written down (FPD off)
    uint64_t faults_silent;
    uint64_t fault_events; // interrupts: recorded while FECTL.IM was 0
    uint64_t page_events;  // interrupts: page requests while PECTL.IM was 0
    uint64_t log_writes;   // faults that went to the advanced fault log
    unsigned context_global, context_domain, context_device;
    unsigned iotlb_global, iotlb_domain, iotlb_page;
    unsigned pasid_global;           // PASID cache flushed whole
    unsigned device_tlb;             // type 3 descriptors
    unsigned last_pfsid, last_depth; // of the last one
    bool last_iotlb_drained;         // the last IOTLB flush had DW and DR as far as CAP offers them
    unsigned srtp;                   // root pointers set
    unsigned iec_global;             // interrupt entry cache flushes
    uint64_t tes_off;                // times that translation went off
    uint64_t ires_off;               // and interrupt remapping
};

#define FAKE_ATC 64
struct fake_atc_entry {
    uint64_t page, pa; // iova >> 12; of the page
    unsigned pasid;    // or NAIVE_NO_PASID
    bool used, r, w;
};

// One PCI function.
struct fake_pci {
    uint16_t segment;
    uint8_t bus, device, function;
    uint32_t config[1024];
    bool gone; // reads all ones
    // With ATS: fake_ats_device().
    bool has_ats;
    bool deaf;                    // never confirms an invalidation
    bool ats_stays, pages_stay;   // the enable bits cannot be cleared
    unsigned invalidations;       // confirmed, without PASID
    unsigned invalidations_pasid; // and of one PASID
    struct fake_atc_entry atc[FAKE_ATC];
};

// Where functions with ATS have their extended capabilities.
#define FAKE_PRI      0x148u
#define FAKE_ATS      0x240u
#define FAKE_PASID    0x2C0u
#define FAKE_SRIOV    0x300u

#define FAKE_MAX_ECAM 4
struct fake_ecam {
    uint64_t base; // of bus 0
    uint16_t segment;
};

// IOMMUs of another kind on the same machine: fake_amdvi.h.
struct fake_device {
    void *ctx;
    // A register; false: the address is none of its.
    bool (*read)(void *ctx, uint64_t pa, unsigned width, uint64_t *value);
    bool (*write)(void *ctx, uint64_t pa, unsigned width, uint64_t value);
    void (*tick)(void *ctx);   // the clock was looked at
    bool (*snoops)(void *ctx); // whether walks of all its units see what the CPU's caches hold
    void (*free)(void *ctx);
};

struct fake_vtd {
    struct dam_ops ops; // hand &fake->ops to the engine
    const struct fake_device *device;
    struct fake_unit unit[FAKE_MAX_UNITS];
    unsigned units;
    struct fake_region region[FAKE_MAX_REGIONS];
    unsigned regions;
    struct fake_pci pci[FAKE_MAX_PCI];
    unsigned functions;
    uint32_t config_address; // port CF8h
    struct fake_ecam ecam[FAKE_MAX_ECAM];
    unsigned ecams;

    uint64_t calls;   // of ops that can fail
    uint64_t fail_at; // the call of this number fails with DAM_E_IO; 0: none
    bool fail_from;   // and all later ones
    uint64_t failed;  // calls that were made to fail
    uint64_t now_us;  // the clock; each look adds step_us
    uint64_t step_us;

    struct fake_write writes[FAKE_MAX_WRITES];
    unsigned write_count;                 // all of them, also those beyond the array
    uint64_t port_writes_data;            // writes to CFCh..CFFh: configuration space changed
    uint64_t config_reads, config_writes; // by ECAM
    bool unfenced;                        // cache lines flushed, no barrier since
    unsigned violations;
    char violation[160]; // the first one, in words

    // Called after each register write, to look at what DMA does meanwhile; and before each read of memory.
    void (*after_write)(struct fake_vtd *fake, unsigned unit, uint16_t offset, uint64_t value);
    void (*before_read)(struct fake_vtd *fake, uint64_t pa, size_t len);
    void (*before_config)(struct fake_vtd *fake, struct fake_pci *function); // before a write by ECAM
    void *test;                                                              // the test's own
};

// Where a DMA ends up.
struct fake_dma_result {
    bool ok;           // it reaches memory at pa
    bool untranslated; // translation is off: pa is the iova
    uint64_t pa;
    enum naive_reason reason; // when not ok
};

// A machine without memory, units or functions. Must be ended with fake_vtd_free(). Aborts when out of
// memory.
struct fake_vtd *fake_vtd_new(void);
void fake_vtd_free(struct fake_vtd *fake);

// Adds `size` bytes of memory at pa, backed by host, which stays the caller's. Regions do not overlap.
void fake_vtd_memory(struct fake_vtd *fake, uint64_t pa, void *host, uint64_t size);
// Makes page walks that do not snoop see all memory as it is now: what the old kernel's drivers did. Has to
// be called once after memory and units are there.
void fake_vtd_settle(struct fake_vtd *fake);
// The host's view of a physical address, or NULL when [pa, pa+size) is not inside one region.
void *fake_vtd_ptr(struct fake_vtd *fake, uint64_t pa, uint64_t size);

// Adds a unit with registers at base: VER 1.0, 48-bit 4-level tables, 2-MiB and 1-GiB pages, drain, queued
// invalidation, coherent walks, 39-bit host addresses. The test changes the members it wants, before use.
struct fake_unit *fake_vtd_unit(struct fake_vtd *fake, uint64_t base);
// As the old kernel left it: translation on with this root table; `queue` != 0: queued invalidation on, with
// an empty queue of one page there.
void fake_vtd_run(struct fake_unit *unit, uint64_t rtaddr, uint64_t queue);

// Adds a PCI function of segment 0: vendor and device id 8086h:1234h. secondary != 0 makes it a bridge to
// that bus. The test may change what it returns.
struct fake_pci *fake_vtd_pci(struct fake_vtd *fake, unsigned bus, unsigned device, unsigned function,
                              unsigned secondary);
// Adds a window of 256 buses through which a segment's configuration space answers.
void fake_vtd_ecam(struct fake_vtd *fake, uint64_t base, unsigned segment);

// What a DMA by rid (bus 15:8, device 7:3, function 2:0) does right now, through the unit's caches, which it
// fills as hardware does.
struct fake_dma_result fake_dma(struct fake_vtd *fake, unsigned unit, unsigned rid, uint64_t iova,
                                bool write);
// The same with PASID; first-stage tables are marked as hardware does.
struct fake_dma_result fake_dma_pasid(struct fake_vtd *fake, unsigned unit, unsigned rid, unsigned pasid,
                                      uint64_t iova, bool write);

// ---- device TLBs: a function with ATS, on, and page requests, on
void fake_ats_device(struct fake_pci *f, unsigned depth);
// A virtual function with ATS on; its vendor id reads all ones.
void fake_ats_virtual(struct fake_pci *f);
// Gives it a PASID capability, on.
void fake_ats_pasids(struct fake_pci *f);
// Makes an ATS device the physical function of `count` virtual ones.
void fake_ats_physical(struct fake_pci *f, unsigned count, unsigned offset, unsigned stride);
bool fake_ats_on(const struct fake_pci *f);
// What a DMA of the device does right now: by its own TLB and translated requests while ATS is on.
struct fake_dma_result fake_ats_dma(struct fake_vtd *fake, unsigned unit, struct fake_pci *f, uint64_t iova,
                                    bool write);
// The same with a PASID, or NAIVE_NO_PASID.
struct fake_dma_result fake_ats_dma_pasid(struct fake_vtd *fake, unsigned unit, struct fake_pci *f,
                                          unsigned pasid, uint64_t iova, bool write);
// A device asks for a page: what the unit writes for it.
void fake_page_request(struct fake_vtd *fake, unsigned unit);

// What becomes of an interrupt request of source `sid` for entry `index`, with interrupt remapping on;
// through the unit's cache, which it fills.
struct fake_irq_result fake_irq(struct fake_vtd *fake, unsigned unit, unsigned sid, unsigned index);

// What an independent translator says about the tables in use, caches left alone; as walks see memory.
struct naive_vtd fake_vtd_naive(struct fake_vtd *fake, unsigned unit);

// ---- inside: shared by the fake_vtd*.c files
bool fake_call_fails(struct fake_vtd *fake);
// Configuration space: false when the address is in no window.
bool fake_config_read(struct fake_vtd *fake, uint64_t pa, unsigned width, uint64_t *value);
bool fake_config_write(struct fake_vtd *fake, uint64_t pa, unsigned width, uint64_t value);
struct fake_pci *fake_config_function(struct fake_vtd *fake, unsigned segment, unsigned rid);
void fake_ats_config_write(struct fake_vtd *fake, struct fake_pci *f, unsigned reg, uint32_t value);
// A write of a register: written down, and the rules of the CPU's side are checked.
void fake_note_write(struct fake_vtd *fake, unsigned unit, uint16_t offset, unsigned width, uint64_t value);
// A device forgets what it has of one PASID, or without one.
void fake_ats_forget(struct fake_pci *f, unsigned pasid);
// Obeys a device-TLB descriptor; false: it is not valid.
bool fake_device_tlb(struct fake_vtd *fake, unsigned unit, const uint64_t *d);
bool fake_device_tlb_pasid(struct fake_vtd *fake, unsigned unit, const uint64_t *d);
// Whether a wait descriptor cannot be obeyed because a device has not answered. Sets ITE when it is given up.
bool fake_device_tlb_waits(struct fake_vtd *fake, struct fake_unit *unit);
struct naive_context fake_context_of(struct fake_vtd *fake, unsigned unit, unsigned rid, unsigned pasid);
void fake_fault(struct fake_unit *unit, enum naive_reason reason, bool fpd);
dam_err fake_port_read(void *ctx, uint16_t port, unsigned width, uint32_t *value);
dam_err fake_port_write(void *ctx, uint16_t port, unsigned width, uint32_t value);
// ----------------------------------------------------------------
void fake_violation(struct fake_vtd *fake, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct fake_region *fake_region_at(struct fake_vtd *fake, uint64_t pa, uint64_t size);
dam_err fake_unit_read(struct fake_vtd *fake, unsigned unit, uint16_t offset, unsigned width,
                       uint64_t *value);
dam_err fake_unit_write(struct fake_vtd *fake, unsigned unit, uint16_t offset, unsigned width,
                        uint64_t value);
// Invalidation; the sets are named as in the specification's granularities: 1 global, 2 domain, 3 device or
// page.
void fake_invalidate_context(struct fake_unit *unit, unsigned granularity, unsigned did, unsigned sid,
                             unsigned function_mask);
// granularity: 0 domain, 1 PASID of a domain, 3 global.
void fake_invalidate_pasids(struct fake_unit *unit, unsigned granularity, unsigned did, unsigned pasid);
void fake_invalidate_iotlb(struct fake_unit *unit, unsigned granularity, unsigned did, uint64_t address,
                           unsigned address_mask, bool drain_writes, bool drain_reads);
// A fault that is to be told; the halves of its record, without F.
void fake_record_fault(struct fake_vtd *fake, struct fake_unit *unit, uint64_t low, uint64_t high);
unsigned fake_fault_width(struct fake_unit *unit, uint16_t offset); // 0: none of these registers
uint64_t fake_fault_read(struct fake_unit *unit, uint16_t offset);
void fake_fault_write(struct fake_vtd *fake, struct fake_unit *unit, uint16_t offset, uint64_t value);
void fake_invalidate_irtes(struct fake_unit *unit, bool one, unsigned index, unsigned index_mask);
// Fetches and obeys descriptors from IQH up to IQT, at most so many.
void fake_queue_run(struct fake_vtd *fake, unsigned unit, unsigned most);

#endif

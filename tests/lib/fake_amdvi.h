// SPDX-License-Identifier: MIT
// AMD IOMMUs for the machine of fake_vtd.h, written from the description of the hardware (AMD I/O
// Virtualization Technology specification, 48882) and from nothing of the engine. They are strict where
// hardware is, and QEMU is not: device table entries, translations and interrupt entries stay in caches until
// the command that drops them, the size of the device table counts, registers may be locked (SNP), and what
// the description forbids is written down. How a requester is translated, naive_amdvi.c says.
#ifndef TESTS_LIB_FAKE_AMDVI_H
#define TESTS_LIB_FAKE_AMDVI_H

#include "lib/fake_vtd.h"
#include "lib/naive_amdvi.h"

#define FAKE_AMD_UNITS  4
#define FAKE_AMD_WINDOW 0x4000u // bytes of registers
#define FAKE_AMD_TLB    4096
#define FAKE_AMD_IRQS   256
#define FAKE_AMD_LOCKED 8

// What a unit can be told never to do.
#define FAKE_AMD_STUCK_CMD_OFF  (1u << 0) // CmdBufRun stays 1
#define FAKE_AMD_STUCK_CMD_ON   (1u << 1) // CmdBufRun stays 0
#define FAKE_AMD_STUCK_FETCH    (1u << 2) // commands are not fetched
#define FAKE_AMD_STUCK_STORE    (1u << 3) // COMPLETION_WAIT stores nothing
#define FAKE_AMD_STUCK_EVT_OFF  (1u << 4) // EvtLogRun stays 1
#define FAKE_AMD_STUCK_EVT_ON   (1u << 5) // EvtLogRun stays 0
#define FAKE_AMD_STUCK_ENABLE   (1u << 6) // IommuEn stays 0
#define FAKE_AMD_STUCK_OVERFLOW (1u << 7) // overflow bits of the status do not go away

// Bits of the control register that the model obeys.
#define FAKE_AMD_ENABLE   (1ull << 0)
#define FAKE_AMD_EVT_LOG  (1ull << 2)
#define FAKE_AMD_EVT_INT  (1ull << 3)
#define FAKE_AMD_WAIT_INT (1ull << 4)
#define FAKE_AMD_COHERENT (1ull << 10)
#define FAKE_AMD_CMD_BUF  (1ull << 12)
#define FAKE_AMD_PPR_LOG  (1ull << 13)
#define FAKE_AMD_PPR_INT  (1ull << 14)
#define FAKE_AMD_PPR      (1ull << 15)
#define FAKE_AMD_GT       (1ull << 16)
#define FAKE_AMD_GA       (1ull << 17)
#define FAKE_AMD_GA_LOG   (1ull << 28)
#define FAKE_AMD_GA_INT   (1ull << 29)
#define FAKE_AMD_HAD      (3ull << 46)

// Bits of the extended features (EFR) that the model obeys.
#define FAKE_AMD_EFR_PPR     (1ull << 1)
#define FAKE_AMD_EFR_GT      (1ull << 4)
#define FAKE_AMD_EFR_IA      (1ull << 6)
#define FAKE_AMD_EFR_GA      (1ull << 7)
#define FAKE_AMD_EFR_HATS(n) ((uint64_t)(n) << 10)
#define FAKE_AMD_EFR_GATS(n) ((uint64_t)(n) << 12)
#define FAKE_AMD_EFR_GLX(n)  ((uint64_t)(n) << 14)
#define FAKE_AMD_EFR_SEGS(n) ((uint64_t)(n) << 38)
#define FAKE_AMD_EFR_PAS(n)  ((uint64_t)(n) << 32) // PASIDs have n + 1 bits
#define FAKE_AMD_EFR_GIO     (1ull << 48)
#define FAKE_AMD_EFR_HA      (1ull << 49)
#define FAKE_AMD_EFR_HD      (1ull << 52)
#define FAKE_AMD_EFR_SNP     (1ull << 63)

// Event codes.
enum {
    FAKE_AMD_ILLEGAL_DTE = 1,
    FAKE_AMD_PAGE_FAULT = 2,
    FAKE_AMD_DEV_TAB_HW = 3,
    FAKE_AMD_PAGE_TAB_HW = 4,
    FAKE_AMD_ILLEGAL_COMMAND = 5,
    FAKE_AMD_COMMAND_HW = 6,
    FAKE_AMD_IOTLB_TIMEOUT = 7,
    FAKE_AMD_INVALID_REQUEST = 8,
};

// What is cached counts when `used` is the unit's epoch.
struct fake_amd_dte {
    uint64_t w[4];
    uint32_t used;
    bool told; // a fault of it was logged since it was fetched
};

struct fake_amd_tlb {
    uint64_t page, pa;   // iova >> 12; of the page
    uint32_t did, pasid; // pasid: of guest translations, else NAIVE_AMD_NO_PASID
    uint32_t used;
    bool r, w;
};

struct fake_amd_irte {
    uint16_t devid, index;
    uint32_t used;
    uint64_t w[2];
};

struct fake_amd_unit {
    // Set by the test before use.
    uint64_t base;
    uint64_t efr, efr2;
    bool no_device_tlbs; // IotlbSup is 0
    uint64_t encrypt;    // the address bit that asks for encryption
    unsigned haw;        // physical address bits
    unsigned latency;    // reads of the status until a Run bit follows; looks at the clock until a command is
                         // obeyed
    bool supervisor;     // requests have a supervisor's rights in guest tables
    bool leaf_rights;    // what is cached has the rights of the last entry alone (QEMU)
    uint16_t segment;    // of the devices below it
    uint32_t stuck;      // FAKE_AMD_STUCK_*
    unsigned stuck_from; // they begin after so many writes of registers
    uint16_t locked[FAKE_AMD_LOCKED]; // registers whose writes are lost, as offset + 1
    unsigned locked_from;             // that begins after so many writes of registers
    bool snp;              // memory is under SNP: base and exclusion registers are locked, semaphores
                           // have their window
    unsigned fail_command; // the command of this number, counted from 1, gets an error; 0: none
    unsigned fail_with;    // FAKE_AMD_ILLEGAL_COMMAND or _COMMAND_HW
    bool resets_pointers;  // a write of the base of a buffer makes its head and tail 0 (QEMU)
    bool absent;           // reads all ones, and loses what is written
    unsigned absent_from;  // the same after so many writes of registers; 0: never

    // Registers.
    uint64_t device_table[8]; // segment 0, and 1 to 7
    uint64_t command_base, command_head, command_tail;
    uint64_t event_base, event_head, event_tail;
    uint64_t control, status;
    uint64_t exclusion_base, exclusion_limit;
    uint64_t ppr_base, ppr_head, ppr_tail;
    uint64_t ga_base, ga_tail_address, ga_head, ga_tail;
    uint64_t msi[3], x2apic[3];

    // Inside.
    bool command_error;     // fetching has stopped
    unsigned pending_reads; // of the status, until the Run bits follow the control register
    unsigned pending_looks; // at the clock, until commands are obeyed
    bool unconfirmed;       // a device has not answered
    uint64_t unconfirmed_since;
    unsigned unconfirmed_devid;
    uint32_t epoch;            // of the caches; all that is older was dropped
    struct fake_amd_dte *dtes; // by device id
    struct fake_amd_tlb *tlb;
    struct fake_amd_irte *irtes;

    // What happened, for assertions.
    unsigned writes;        // of registers
    unsigned events[16];    // by code: written to the log, or lost because there was none or no room
    unsigned events_total;  // all of them
    unsigned events_logged; // written to memory
    uint64_t last_event[2];
    unsigned faults_silent;                   // kept out of the log by the device table entry
    unsigned interrupts;                      // sent: events, page requests, completion waits
    unsigned page_requests, guest_interrupts; // written to memory
    unsigned commands;                        // obeyed
    unsigned of_op[16];                       // the same by opcode
    unsigned waits_stored;                    // semaphores
    unsigned off;                             // times that IommuEn went off
    unsigned table_writes;                    // of device table bases
    unsigned partial;                         // of base registers by halves
};

struct fake_amdvi {
    struct fake_vtd *machine;
    struct fake_amd_unit unit[FAKE_AMD_UNITS];
    unsigned units;
};

// Where a DMA ends up.
struct fake_amd_dma {
    bool ok;           // it reaches memory at pa
    bool untranslated; // the unit is off: pa is the iova
    bool identity;     // by the device table entry, or the exclusion range
    uint64_t pa;
    enum naive_amd_reason reason; // when not ok
};

// What becomes of an interrupt.
enum fake_amd_irq_kind {
    FAKE_AMD_IRQ_UNMAPPED, // it goes on as the device sent it
    FAKE_AMD_IRQ_REMAPPED,
    FAKE_AMD_IRQ_ABORTED,
};
struct fake_amd_irq {
    enum fake_amd_irq_kind kind;
    unsigned vector;
    uint32_t destination;
    uint64_t writes_to; // guest mode: the hardware writes to this page
};

// ---- making them
// Gives the machine room for AMD IOMMUs; ends with fake_vtd_free().
struct fake_amdvi *fake_amdvi_new(struct fake_vtd *machine);
// Adds a unit: 6-level tables, INVALIDATE_ALL, guest translation with 4 levels, GCR3 tables of 3 levels and
// PASIDs of 20 bits, no segments, no SNP; coherent once it runs. The test changes the members it wants,
// before use.
struct fake_amd_unit *fake_amdvi_unit(struct fake_amdvi *amd, uint64_t base);
// As the old kernel left it: on, with this device table register and buffers of 512 entries; events and
// their interrupt on.
void fake_amdvi_run(struct fake_amd_unit *unit, uint64_t device_table, uint64_t commands, uint64_t events);

// ---- what devices do
// A DMA right now, through the unit's caches, which it fills as hardware does.
struct fake_amd_dma fake_amdvi_dma(struct fake_amdvi *amd, unsigned unit, unsigned devid, unsigned pasid,
                                   uint64_t iova, bool write);
// The same by a device that has a TLB, by translated requests while ATS is on.
struct fake_amd_dma fake_amdvi_ats_dma(struct fake_amdvi *amd, unsigned unit, struct fake_pci *f,
                                       unsigned pasid, uint64_t iova, bool write);
struct fake_amd_irq fake_amdvi_irq(struct fake_amdvi *amd, unsigned unit, unsigned devid, unsigned index);
// A device asks for a page, a guest gets an interrupt: what the unit writes for it.
void fake_amdvi_page_request(struct fake_amdvi *amd, unsigned unit);
void fake_amdvi_guest_interrupt(struct fake_amdvi *amd, unsigned unit);

// ---- looking
// What the tables in use say, caches left alone, nothing marked, no event.
struct naive_amd_result fake_amdvi_look(struct fake_amdvi *amd, unsigned unit, unsigned devid, unsigned pasid,
                                        uint64_t iova, bool write);
// The device table entry in use, in memory; NULL: beyond the table, or no memory there.
uint64_t *fake_amdvi_entry(struct fake_amdvi *amd, unsigned unit, unsigned devid);

// ---- inside: shared by the fake_amdvi*.c files
uint64_t fake_amd_bits(uint64_t v, unsigned high, unsigned low);
uint64_t fake_amd_address(const struct fake_amd_unit *unit, uint64_t v);
bool fake_amd_stuck(const struct fake_amd_unit *unit, uint32_t what);
bool fake_amd_register_read(struct fake_amdvi *amd, struct fake_amd_unit *unit, uint16_t offset,
                            unsigned width, uint64_t *value);
void fake_amd_register_write(struct fake_amdvi *amd, struct fake_amd_unit *unit, uint16_t offset,
                             unsigned width, uint64_t value);
void fake_amd_follow(struct fake_amd_unit *unit);
void fake_amd_commands(struct fake_amdvi *amd, struct fake_amd_unit *unit);
void fake_amd_event(struct fake_amdvi *amd, struct fake_amd_unit *unit, unsigned code, unsigned devid,
                    unsigned info, uint64_t address);
bool fake_amd_device_tlb(struct fake_amdvi *amd, struct fake_amd_unit *unit, const uint32_t *dw);
// What walks see: with the caches of the CPU, or past them. ctx: struct fake_amd_view.
#define FAKE_AMD_READS 64u
struct fake_amd_view {
    struct fake_vtd *machine;
    bool snoops;
    unsigned reads; // how many words were read, and the first ones
    uint64_t at[FAKE_AMD_READS];
};
bool fake_amd_view_read(void *ctx, uint64_t pa, uint64_t *value);
// Writes past the caches and through them; false: no memory there.
bool fake_amd_store(struct fake_amdvi *amd, uint64_t pa, const void *from, size_t size);

#endif

// SPDX-License-Identifier: MIT
// A dead kernel's IOMMU and three edu devices in QEMU, in one of the table modes, and ways to see where their
// DMA goes. One at a time.
#ifndef TESTS_LIB_EDU_BOX_H
#define TESTS_LIB_EDU_BOX_H

#include <cofferdam/takeover.h>

#include "lib/firmware.h"
#include "lib/old_kernel.h"
#include "lib/qtest.h"

// Guest memory. What is not listed stays zero.
#define FIRMWARE   0x000E0000u
#define OLD_START  0x00200000u // the old kernel: tables, queue, buffers
#define QUEUE      0x003F0000u // or command buffer, with the event log behind it
#define RX         0x00800000u // written by device 0
#define TX         0x00810000u // read by device 0
#define SHARED     0x00820000u // read and written by device 1, pass-through
#define RMRR       0x00900000u // firmware's own, device 2
#define OLD_END    0x01000000u
#define CRASH      0x02000000u
#define POOL       0x02800000u
#define POOL_SIZE  0x00800000u
#define CRASH_END  0x03000000u
#define SPY_TABLES 0x03100000u // the test's own tables, to look into a device's buffer
#define SPY_PAGE   0x03200000u

#define RX_IOVA    0xFFFF0000ull
#define TX_IOVA    0xFFFF1000ull
#define CRASH_IOVA 0xFFFF2000ull // leads into the crash region
#define SIZE       512u

// What a kind of unit does in its own way.
struct box_unit {
    // Empty tables in [pa, pa+size).
    void (*begin)(struct old_kernel *k, void *host, uint64_t pa, uint64_t size);
    void (*map)(struct old_kernel *k, uint64_t tree, uint64_t iova, uint64_t pa, unsigned perms);
    void (*attach)(struct old_kernel *k, unsigned rid, unsigned did, uint64_t tree); // tree 0: passed through
    // A requester that the tables do not name.
    void (*forget)(struct old_kernel *k, unsigned rid);
    // ACPI's table; up to firmware_end().
    void (*firmware)(void);
    // Translation on, on the old tables, as Linux turns it on.
    void (*start)(void);
    // The register that leads to the tables; and lets the unit go by other ones, nothing cached.
    uint64_t (*tables)(void);
    uint64_t (*pointer)(const struct old_kernel *k);
    void (*use)(uint64_t tables);
    // After a takeover: everything of the unit lies in the pool, and it translates.
    void (*check)(void);
    bool (*no_fault)(void);
    bool (*remaps)(void); // interrupts
};
void box_vtd(struct box_unit *out);
void box_amdvi(struct box_unit *out);

// How the old kernel ran the unit.
struct box_mode {
    const char *iommu; // a -device argument: intel-iommu or amd-iommu
    unsigned stage;    // VT-d: 0 legacy mode; 1 scalable mode with first stage, 2 with second stage
    unsigned levels;   // of page tables
};

struct box {
    const struct box_mode *mode;
    struct box_unit unit;
    struct qtest q;
    struct old_kernel k, spy;
    struct firmware firmware;
    struct dam_arena pool;
    struct dam_range old_storage[4], keep_storage[4];
    struct dam_ranges old_ram, keep_out;
    struct dam_takeover_config config;
    struct dam_takeover *t;
    enum dam_policy policy;
    uint8_t *before; // RAM at the last look
    unsigned looks, loads;
    bool with_rmrr;
    void (*left)(void); // how the dead kernel left the unit besides; may be NULL
    bool off;           // the old kernel left translation off: device 0 works at RX and TX themselves
};

extern struct box b;

// A fresh machine with old tables; translation is not on yet.
void box_open(const struct box_mode *mode);
void box_close(void);
// Turns translation on, looks at DMA, takes over while DMA goes on after each register write, and checks what
// holds in every case. Fails the test if anything is not as Old or New says.
void box_take_over(enum dam_policy policy);
// One DMA write of 512 bytes; the 4-KiB page that it changed, 0: none, 1: several.
uint32_t box_write_lands_at(unsigned device, uint64_t iova);
// The same after the device's buffer has been filled with something that shows wherever it lands. That uses
// other tables for a while, and flushes what is cached.
uint32_t box_loaded_write_lands_at(unsigned device, uint64_t iova);
void box_read_from(unsigned device, uint64_t iova);
// Whether a DMA read of iova sees what lies at pa.
bool box_reads_true_data(unsigned device, uint64_t iova, uint32_t pa);
bool box_in_pool(uint32_t page);
bool box_no_fault_recorded(void);

#endif

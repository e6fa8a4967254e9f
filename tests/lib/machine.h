// SPDX-License-Identifier: MIT
// A small crashed machine for tests of the takeover: old memory with VT-d or AMD tables, firmware tables, a
// crash region with the pool in it, and units of a fake kind.
#ifndef TESTS_LIB_MACHINE_H
#define TESTS_LIB_MACHINE_H

#include <cofferdam/takeover.h>

#include "lib/fake_amdvi.h"
#include "lib/fake_vtd.h"
#include "lib/firmware.h"
#include "lib/old_amd.h"
#include "lib/old_kernel.h"

#define M_OLD_START   0x00100000ull // memory of the old kernel
#define M_OLD_END     0x00500000ull
#define M_TABLES_END  0x00300000ull // its tables lie below this; from here up is data
#define M_QUEUES      0x004F0000ull // its invalidation queues, one page a unit
#define M_AMD_BUFFERS 0x004E0000ull // its command buffers and event logs, 8 KiB each
#define M_CRASH_START 0x00800000ull // the crash region
#define M_POOL_START  0x00A00000ull
#define M_POOL_SIZE   0x00400000ull
#define M_CRASH_END   0x00E00000ull
#define M_FIRMWARE    0x7F000000ull // ACPI tables
#define M_UNIT(n)     (0xFED90000ull + 0x1000 * (n))
#define M_HAW         39u
#define M_AMD(n)      (0xFD000000ull + 0x80000 * (n))
#define M_AMD_ID(n)   (0x0002u + 8 * (n)) // device ids of AMD's units
#define M_AMD_ENTRIES 1024u               // of each old device table

struct machine {
    struct fake_vtd *fake;
    struct fake_amdvi *amd;              // when its units are AMD's
    struct old_kernel k[FAKE_MAX_UNITS]; // an equal share of the table area each
    struct firmware firmware;
    uint8_t *old, *old_before, *pool_memory, *crash_memory, *firmware_memory;
    struct dam_arena pool;
    struct dam_range old_storage[8], keep_storage[8];
    struct dam_ranges old_ram, keep_out;
    struct dam_takeover_config config; // change it before machine_start()
    struct dam_takeover *t;
    uint8_t *note;
    size_t note_size;
};

// Its memory is shared by all machines: one at a time. A machine with `units` running units on segment 0,
// empty tables, one DRHD a unit (the last one has INCLUDE_PCI_ALL), queued invalidation on. Add tables,
// regions and devices, then call machine_start().
void machine_setup(struct machine *m, unsigned units);
void machine_teardown(struct machine *m);
// The same with AMD's units: an IVHD a unit, whose requesters are all (buses 0 to 3 have entries), event log
// and command buffer on, device tables in which everybody is blocked. m->k[] are made with old_amd.h.
void machine_setup_amd(struct machine *m, unsigned units);
// Makes a unit one of scalable mode, with everything that belongs to it; its old kernel's tables are to be of
// that mode. The test may take capabilities away.
void machine_scalable(struct machine *m, unsigned unit);
// Finishes the firmware tables, lets the units run on their tables, makes the takeover; false: no memory.
bool machine_start(struct machine *m);
// Prepare, and commit when that gives DAM_STOP_NONE.
enum dam_stop machine_run(struct machine *m);
// Whether old memory is, byte for byte, what it was at machine_start().
bool machine_old_memory_untouched(const struct machine *m);
// Whether pa lies in the crash region (the pool included).
bool machine_keeps_out(uint64_t pa);

// Writes the note and checks its frame; the same note is used by the functions below.
void machine_report(struct machine *m);
// The first entry of a section of the note and their number; NULL when there is none.
const void *machine_section(const struct machine *m, enum dam_section_type type, uint32_t *count);
const struct dam_note_summary *machine_summary(const struct machine *m);
// The note's entry of a requester, or NULL.
const struct dam_note_requester *machine_requester(const struct machine *m, unsigned unit, unsigned rid);
// The same for one of its PASIDs.
const struct dam_note_requester *machine_pasid(const struct machine *m, unsigned unit, unsigned rid,
                                               unsigned pasid);
// How many findings of this code the note has (repeats not counted).
unsigned machine_findings(const struct machine *m, enum dam_finding_code code);

#endif

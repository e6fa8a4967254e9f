// SPDX-License-Identifier: MIT
// The stage's state. There is one, in .bss, so that an exception handler finds it.
#ifndef STAGE_STAGE_H
#define STAGE_STAGE_H

#include <cofferdam/takeover.h>

#include "console.h"
#include "pure/cmdline.h"
#include "pure/e820.h"
#include "pure/paging.h"
#include "pure/regions.h"
#include "pure/setup.h"
#include "trap.h"

// What is set aside in the pool before anything else, so that the hand-over cannot fail for lack of room.
struct stage_legacy {
    uint8_t *headers; // the ELF core headers, with room for one program header more; NULL: ordinary kexec
    uint32_t header_count; // program headers in them
    uint8_t *note;         // room for the note, ELFCORE_NOTE_HEAD and ELFCORE_NOTE_TAIL included
    size_t note_capacity;  // of the descriptor alone
    char *cmdline;         // the capture kernel's new command line; NULL when it does not fit
    size_t cmdline_len;
    bool ready; // all of the above is there, and the pool is reserved in bp_note
};

// What shows the capture kernel a machine without an IOMMU, made before anything is touched.
struct stage_hidden {
    bool ready;       // the rest is there
    uint64_t rsdp;    // ACPI root pointer without IOMMUs, in the pool
    char *cmdline;    // legacy.cmdline with that address
    bool done;        // bp_note leads to both
    uint16_t why_not; // the finding that says why it is shown although it was to be hidden; 0: none
    uint64_t raw;     // for that finding
};

struct stage {
    // As found.
    uint8_t *bp; // boot_params; nothing is changed in it before the hand-over
    uint64_t base;
    uint64_t entry_tsc, entry_cr0, entry_cr3, entry_cr4;
    struct dam_image_header image;
    bool image_valid;
    // boot_params as the kernel gets it: bp_plain with its own header and nothing else changed, bp_note with
    // the pool reserved as well.
    uint8_t bp_plain[BP_SIZE], bp_note[BP_SIZE];
    bool header_restored; // in bp_plain
    // What was read.
    char line[CMDLINE_MAX + 1];
    size_t line_len;
    bool line_cut; // it has no terminator where it should end
    bool ordinary; // no crash: kexec -e. No ELF core headers, no old memory to keep; the note stays in the
                   // pool
    struct cmdline_options options;
    struct setup_node nodes[SETUP_DATA_MAX];
    size_t node_count;
    struct e820_map map;
    bool map_whole; // nothing of it is missing
    struct regions regions;
    uint32_t elf_size; // bytes of the old ELF core headers
    // What was made.
    struct dam_arena pool;
    struct dam_range low_found; // what a pool below 4 GiB may be made of, mapped writable; empty: nothing
    struct dam_arena low_pool;  // size 0: none
    dam_err low_missing;        // why there is none although it is needed
    struct stage_legacy legacy;
    struct stage_hidden hidden;
    struct paging paging;
    bool own_tables;
    uint32_t tsc_khz;
    bool tsc_known, tsc_assumed;
    unsigned cache_line; // bytes; 0: no CLFLUSH
    struct dam_ops ops;
    struct dam_takeover_config config;
    struct dam_takeover *takeover;
    enum dam_stop stop;
    enum dam_stop exception_means; // the stop code of an exception before commit
    size_t note_size;              // of the descriptor; 0: no note
    uint32_t told;                 // exceptions and NMIs that the note counts
    uint32_t requesters;           // as the note counts them
    bool note_attached;            // the kernel will look at our ELF core headers
    struct console console;
    struct trap_state trap;
};

extern struct stage stage;

// From the linker script: the image's own limits, as offsets from the load address they have no address.
extern const uint8_t stage_start[], stage_text_end[], stage_end[], stage_stack_guard[];

// main.c
void stage_main(uint8_t *bp, uint64_t tsc) __attribute__((noreturn));
// Whether the hardware may run on our tables already.
bool stage_committed(void);
// Prints exceptions and NMIs that were not printed yet.
void stage_say_trouble(void);

// environment.c: reads what the loader left. Each returns DAM_STOP_NONE or why to stop.
enum dam_stop stage_read_image(void);
void stage_read_memory_map(void);
void stage_read_cmdline(void);
enum dam_stop stage_read_elfcore(void);
enum dam_stop stage_set_aside(void);
enum dam_stop stage_fill_regions(void);
// What the loader is known to have put into memory, as ranges that may be empty; the number of them.
#define STAGE_PLACED 5u
size_t stage_placed(struct dam_range out[STAGE_PLACED]);

// machine.c: our own page tables, and the operations of the engine on bare metal.
enum dam_stop stage_check_cpu(void);
enum dam_stop stage_own_tables(void);
void stage_bootstrap_ops(void);

// low.c: a second pool below 4 GiB, where the pool lies above and a unit of AMD's needs one.
// Looks for the memory, before the CPU tables and the regions are made.
void stage_find_low(void);
// Takes it if the firmware lists such a unit, and reserves it in bp_note; NULL: none. rsdp: DAM_MAX_RSDP
// candidates.
struct dam_arena *stage_take_low(const dam_pa *rsdp);

// report.c: writes the note into legacy.note; sets note_size. full: with what the engine knows.
void stage_report(bool full);
void stage_print_report(void);

// hide.c
// Decides what the capture kernel sees of the IOMMU and makes all that hiding it needs in the pool; false: it
// is shown, and hidden.why_not tells why if it was to be hidden. rsdp: DAM_MAX_RSDP candidates.
bool stage_prepare_hiding(const dam_pa *rsdp);
// Whether the IOMMU is hidden, as things stand: prepared, committed, and no unit runs on other tables.
bool stage_hides(void);
// Says it, once, when it was to be hidden and cannot be after all.
void stage_say_shown(void);
// Makes bp_note lead to the new ACPI root.
void stage_hide(void);

// handover.c
void stage_handover(void) __attribute__((noreturn));
// The jump, with what is in boot_params made good for the kernel; prints nothing.
void stage_leave(void) __attribute__((noreturn));

// entry.S
void stage_jump(uint64_t entry, uint64_t bp, uint64_t cr0, uint64_t cr3, uint64_t cr4)
    __attribute__((noreturn));

#endif

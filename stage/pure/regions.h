// SPDX-License-Identifier: MIT
// Which memory is whose: what the old kernel had, what no requester may reach, what the stage may read.
#ifndef STAGE_REGIONS_H
#define STAGE_REGIONS_H

#include <cofferdam/range.h>

#include "e820.h"

// Room for each set. A large machine has some dozens of ranges.
#define REGIONS_MAX 512u
// The first MiB is always readable memory: BIOS areas, option ROMs, the video hole (never read without
// reason).
#define REGIONS_LOW_END 0x100000ull
// A hole in the crash region that no one else claims (the ELF core headers, the copy of the first 640 KiB,
// page rounding) belongs to it, up to this size.
#define REGIONS_MAX_GAP 0x1000000ull
// Interrupt controllers, IOMMUs, TPM and flash: never read as memory, whatever e820 calls them.
#define REGIONS_DEVICES_START 0xFEC00000ull
#define REGIONS_DEVICES_END   0x100000000ull

struct regions {
    bool ordinary; // all RAM of the map is old memory, but for what the loader placed: an ordinary kexec
    struct dam_ranges old_ram;  // of the old kernel, keep_out taken out
    struct dam_ranges keep_out; // all memory of the capture kernel, the image, the pool
    struct dam_ranges memory;   // readable and cached: RAM of both, ACPI and NVS ranges, the first MiB
    struct dam_ranges reserved; // readable, but who knows what it is: e820 type 2 outside the device area
    struct dam_ranges window;   // whole pages that the map calls RAM: what the capture kernel may do I/O to
    struct dam_range storage[5][REGIONS_MAX];
};

// Empties all sets; ordinary stays as it is.
void regions_init(struct regions *regions);

// Fills everything but old_ram from the memory map. extra: more ranges of the capture kernel (image, ELF core
// headers, command line, ramdisk); empty ones are skipped. old_ram must hold the old kernel's memory already
// (elfcore_old_ram); what is kept out is taken out of it, except that [0, 1 MiB) parts, which both kernels
// use, belong to the capture kernel. With `ordinary`, old_ram is filled as well, and only extra is kept out.
// DAM_E_NOMEM when a set is full.
DAM_MUST_CHECK dam_err regions_fill(struct regions *regions, const struct e820_map *map,
                                    const struct dam_range *extra, size_t extra_count);

// Sum of the sizes of a set, in bytes.
uint64_t regions_bytes(const struct dam_ranges *set);

#endif

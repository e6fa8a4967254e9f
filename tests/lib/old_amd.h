// SPDX-License-Identifier: MIT
// AMD IOMMU tables as an old kernel would have left them, built plainly, apart from the engine's builder. The
// memory is that of an old_kernel.h, whose `root` is the device table; guest page tables, which are those of
// the CPU, are made by old_kernel_map_first().
#ifndef TESTS_LIB_OLD_AMD_H
#define TESTS_LIB_OLD_AMD_H

#include "lib/old_kernel.h"

// Words of a device table entry.
#define OLD_AMD_V  1ull
#define OLD_AMD_TV 2ull
#define OLD_AMD_IR (1ull << 61)
#define OLD_AMD_IW (1ull << 62)
#define OLD_AMD_RW (OLD_AMD_IR | OLD_AMD_IW)
#define OLD_AMD_I  (1ull << 32) // word 1: device TLBs are allowed
#define OLD_AMD_SE (1ull << 33)
#define OLD_AMD_SA (1ull << 34)

// Begins with a device table of so many entries (a multiple of 128), which block as Linux's do: V and TV
// alone.
void old_amd_begin(struct old_kernel *k, void *host, uint64_t pa, uint64_t size, unsigned entries);
// The four words of an entry.
uint64_t *old_amd_entry(const struct old_kernel *k, unsigned devid);
// Translated by host tables of `mode` levels at tree; rights of the entry: OLD_R, OLD_W.
void old_amd_attach(struct old_kernel *k, unsigned devid, unsigned mode, unsigned did, uint64_t tree,
                    unsigned rights);
// Not translated, by Mode 0.
void old_amd_pass(struct old_kernel *k, unsigned devid, unsigned did, unsigned rights);
// Maps one page of the default size of `level` (0: 4 KiB) in host tables.
void old_amd_map(struct old_kernel *k, uint64_t tree, unsigned mode, unsigned level, uint64_t iova,
                 uint64_t addr, unsigned rights);
// Maps a page of 2^log2 bytes, which is no default size, by as many equal entries as it spans.
void old_amd_map_run(struct old_kernel *k, uint64_t tree, unsigned mode, unsigned log2, uint64_t iova,
                     uint64_t addr, unsigned rights);
// The entry of that level for iova, or NULL when there is no table of that level there.
uint64_t *old_amd_pte(const struct old_kernel *k, uint64_t tree, unsigned mode, unsigned level,
                      uint64_t iova);
// Guest translation: gives the entry a GCR3 table of so many levels, empty. giov: requests without PASID use
// PASID 0. The entry has to be attached; when it is with mode 0, guest addresses are physical.
void old_amd_guest(struct old_kernel *k, unsigned devid, unsigned gcr3_levels, bool giov,
                   unsigned page_levels);
// The GCR3 entry of a PASID, tables on the way made.
uint64_t *old_amd_gcr3(struct old_kernel *k, unsigned devid, unsigned pasid);
// An interrupt table of 2^log2 entries; returns its address. wide: entries of 16 bytes.
uint64_t old_amd_interrupts(struct old_kernel *k, unsigned devid, unsigned log2, bool wide);

#endif

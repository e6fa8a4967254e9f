// SPDX-License-Identifier: MIT
// VT-d tables as an old kernel would have left them, built in memory of a test machine: plainly, apart from
// the engine's builder.
#ifndef TESTS_LIB_OLD_KERNEL_H
#define TESTS_LIB_OLD_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

struct old_kernel {
    uint8_t *host; // shows [pa, pa+size)
    uint64_t pa, size, used;
    uint64_t root; // root table
    bool scalable; // its tables are those of scalable mode
};

// Page-table permissions, second stage.
#define OLD_R 1u
#define OLD_W 2u
// The same for the first stage: present, writable, user, accessed, dirty.
#define OLD_FS_P 1u
#define OLD_FS_W 2u
#define OLD_FS_U 4u
#define OLD_FS_A 0x20u
#define OLD_FS_D 0x40u

// Begins with an empty root table. Tables are taken from [pa, pa+size) from the bottom; aborts when it is
// full.
void old_kernel_begin(struct old_kernel *k, void *host, uint64_t pa, uint64_t size);
// A zeroed page; the physical address.
uint64_t old_kernel_page(struct old_kernel *k);
// The 64-bit word at a physical address inside.
uint64_t *old_kernel_word(const struct old_kernel *k, uint64_t pa);
// The context entry of rid (two words), its context table made when missing.
uint64_t *old_kernel_context(struct old_kernel *k, unsigned rid);
// Present context entry: type (0, 1, 2), `levels` of page table, domain id, page-table root.
void old_kernel_attach(struct old_kernel *k, unsigned rid, unsigned type, unsigned levels, unsigned did,
                       uint64_t tree);

// ---- scalable mode
// The context entry of rid (four words), its context table made when missing.
uint64_t *old_kernel_function(struct old_kernel *k, unsigned rid);
// Makes it present, with an empty PASID directory of 2^(pdts+7) entries. flags: bits 4:2 of the first word.
void old_kernel_directory(struct old_kernel *k, unsigned rid, unsigned pdts, unsigned flags);
// The PASID entry (eight words) below that directory, its PASID table made when missing.
uint64_t *old_kernel_pasid(struct old_kernel *k, unsigned rid, unsigned pasid);
// Makes it present. stage: 1 first, 2 second, 4 pass-through; `levels` of the table at tree, or the width.
void old_kernel_bind(struct old_kernel *k, unsigned rid, unsigned pasid, unsigned stage, unsigned levels,
                     unsigned did, uint64_t tree);
// Makes it nested: `first` is an address of the second stage.
void old_kernel_nest(struct old_kernel *k, unsigned rid, unsigned pasid, unsigned first_levels,
                     uint64_t first, unsigned levels, unsigned did, uint64_t tree);
// As old_kernel_map(), for the first stage; flags: OLD_FS_*, of the leaf. Tables on the way get all of them.
// Addresses of the upper half are given without their sign.
void old_kernel_map_first(struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level, uint64_t iova,
                          uint64_t addr, unsigned flags);

// ---- page tables
// Maps one page of level 0 (4 KiB), 1 (2 MiB) or 2 (1 GiB) in the tree of `levels` levels below root; tables
// on the way are made with read and write.
void old_kernel_map(struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level, uint64_t iova,
                    uint64_t addr, unsigned perms);
// The entry of that level for iova, or NULL when there is no table of that level there.
uint64_t *old_kernel_entry(const struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level,
                           uint64_t iova);

#endif

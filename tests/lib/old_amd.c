// SPDX-License-Identifier: MIT
#include "lib/old_amd.h"

#include <stdlib.h>

#define ADDRESS 0x000FFFFFFFFFF000ull

void old_amd_begin(struct old_kernel *k, void *host, uint64_t pa, uint64_t size, unsigned entries)
{
    *k = (struct old_kernel){.host = host, .pa = pa, .size = size};
    k->root = old_kernel_page(k);
    for (unsigned more = 128; more < entries; more += 128)
        old_kernel_page(k);
    for (unsigned devid = 0; devid < entries; devid++)
        old_amd_entry(k, devid)[0] = OLD_AMD_V | OLD_AMD_TV;
}

uint64_t *old_amd_entry(const struct old_kernel *k, unsigned devid)
{
    return old_kernel_word(k, k->root + devid * 32ull);
}

void old_amd_attach(struct old_kernel *k, unsigned devid, unsigned mode, unsigned did, uint64_t tree,
                    unsigned rights)
{
    uint64_t *e = old_amd_entry(k, devid);
    e[0] = OLD_AMD_V | OLD_AMD_TV | (uint64_t)mode << 9 | tree | (uint64_t)rights << 61;
    e[1] = did;
}

void old_amd_pass(struct old_kernel *k, unsigned devid, unsigned did, unsigned rights)
{
    old_amd_attach(k, devid, 0, did, 0, rights);
}

// ---- host tables ------------------------------------------------------------------------------------------
uint64_t *old_amd_pte(const struct old_kernel *k, uint64_t tree, unsigned mode, unsigned level, uint64_t iova)
{
    for (unsigned at = mode - 1;; at--) {
        uint64_t *e = old_kernel_word(k, tree + (iova >> (12 + 9 * at) & 511) * 8);
        if (at == level)
            return e;
        if (!(*e & 1) || (*e >> 9 & 7) != at)
            return NULL;
        tree = *e & ADDRESS;
    }
}

// Tables on the way are made, and lead on with all rights.
static uint64_t *make(struct old_kernel *k, uint64_t tree, unsigned mode, unsigned level, uint64_t iova)
{
    for (unsigned at = mode - 1; at > level; at--) {
        uint64_t *e = old_kernel_word(k, tree + (iova >> (12 + 9 * at) & 511) * 8);
        if (!(*e & 1))
            *e = old_kernel_page(k) | 1 | (uint64_t)at << 9 | OLD_AMD_RW;
        if ((*e >> 9 & 7) != at)
            abort(); // the test maps below its own large page
        tree = *e & ADDRESS;
    }
    return old_kernel_word(k, tree + (iova >> (12 + 9 * level) & 511) * 8);
}

void old_amd_map(struct old_kernel *k, uint64_t tree, unsigned mode, unsigned level, uint64_t iova,
                 uint64_t addr, unsigned rights)
{
    *make(k, tree, mode, level, iova) = addr | 1 | (uint64_t)rights << 61;
}

void old_amd_map_run(struct old_kernel *k, uint64_t tree, unsigned mode, unsigned log2, uint64_t iova,
                     uint64_t addr, unsigned rights)
{
    const unsigned level = (log2 - 12) / 9, shift = 12 + 9 * level;
    const uint64_t ones = (1ull << (log2 - 1)) - (1ull << 12);
    if (log2 == shift)
        abort(); // a default size
    for (uint64_t at = iova; at < iova + (1ull << log2); at += 1ull << shift)
        *make(k, tree, mode, level, at) = addr | ones | 7ull << 9 | 1 | (uint64_t)rights << 61;
}

// ---- guest translation ------------------------------------------------------------------------------------
void old_amd_guest(struct old_kernel *k, unsigned devid, unsigned gcr3_levels, bool giov,
                   unsigned page_levels)
{
    uint64_t *e = old_amd_entry(k, devid), table = old_kernel_page(k);
    e[0] |= 1ull << 55 | (uint64_t)giov << 54 | (uint64_t)(gcr3_levels - 1) << 56 | (table >> 12 & 7) << 58;
    e[1] |= (table >> 15 & 0xFFFF) << 16 | (table >> 31) << 43;
    e[2] |= (uint64_t)(page_levels - 4) << 54;
}

uint64_t *old_amd_gcr3(struct old_kernel *k, unsigned devid, unsigned pasid)
{
    const uint64_t *e = old_amd_entry(k, devid);
    uint64_t table = (e[0] >> 58 & 7) << 12 | (e[1] >> 16 & 0xFFFF) << 15 | e[1] >> 43 << 31;
    for (unsigned level = (unsigned)(e[0] >> 56 & 3); level; level--) {
        uint64_t *entry = old_kernel_word(k, table + (pasid >> (9 * level) & 511) * 8);
        if (!(*entry & 1))
            *entry = old_kernel_page(k) | 1;
        table = *entry & ADDRESS;
    }
    return old_kernel_word(k, table + (pasid & 511) * 8);
}

uint64_t old_amd_interrupts(struct old_kernel *k, unsigned devid, unsigned log2, bool wide)
{
    const uint64_t bytes = (wide ? 16ull : 4ull) << log2, table = old_kernel_page(k);
    for (uint64_t more = 4096; more < bytes; more += 4096)
        old_kernel_page(k);
    old_amd_entry(k, devid)[2] |= 1 | (uint64_t)log2 << 1 | table | 2ull << 60;
    return table;
}

// SPDX-License-Identifier: MIT
#include "lib/old_kernel.h"

#include <stdlib.h>
#include <string.h>

#define ADDRESS 0x000FFFFFFFFFF000ull

void old_kernel_begin(struct old_kernel *k, void *host, uint64_t pa, uint64_t size)
{
    *k = (struct old_kernel){.host = host, .pa = pa, .size = size};
    k->root = old_kernel_page(k);
}

uint64_t old_kernel_page(struct old_kernel *k)
{
    if (k->used + 4096 > k->size)
        abort();
    uint64_t pa = k->pa + k->used;
    memset(k->host + k->used, 0, 4096);
    k->used += 4096;
    return pa;
}

uint64_t *old_kernel_word(const struct old_kernel *k, uint64_t pa)
{
    if (pa < k->pa || pa - k->pa + 8 > k->size || pa % 8)
        abort();
    return (uint64_t *)(void *)(k->host + (pa - k->pa));
}

uint64_t *old_kernel_context(struct old_kernel *k, unsigned rid)
{
    uint64_t *root_entry = old_kernel_word(k, k->root + (rid >> 8) * 16);
    if (!(*root_entry & 1))
        *root_entry = old_kernel_page(k) | 1;
    return old_kernel_word(k, (*root_entry & ADDRESS) + (rid & 0xFF) * 16);
}

void old_kernel_attach(struct old_kernel *k, unsigned rid, unsigned type, unsigned levels, unsigned did,
                       uint64_t tree)
{
    uint64_t *entry = old_kernel_context(k, rid);
    entry[0] = tree | type << 2 | 1;
    entry[1] = (uint64_t)did << 8 | (levels - 2);
}

uint64_t *old_kernel_entry(const struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level,
                           uint64_t iova)
{
    for (unsigned at = levels - 1;; at--) {
        uint64_t *entry = old_kernel_word(k, tree + (iova >> (12 + 9 * at) & 511) * 8);
        if (at == level)
            return entry;
        if (!(*entry & 3) || (*entry & 0x80))
            return NULL;
        tree = *entry & ADDRESS;
    }
}

uint64_t *old_kernel_function(struct old_kernel *k, unsigned rid)
{
    uint64_t *half = old_kernel_word(k, k->root + (rid >> 7) * 8);
    if (!(*half & 1))
        *half = old_kernel_page(k) | 1;
    return old_kernel_word(k, (*half & ADDRESS) + (rid & 0x7F) * 32);
}

void old_kernel_directory(struct old_kernel *k, unsigned rid, unsigned pdts, unsigned flags)
{
    uint64_t *entry = old_kernel_function(k, rid), bytes = 8ull << (pdts + 7), directory = old_kernel_page(k);
    for (uint64_t more = 4096; more < bytes; more += 4096)
        old_kernel_page(k);
    entry[0] = directory | (uint64_t)pdts << 9 | flags | 1;
}

uint64_t *old_kernel_pasid(struct old_kernel *k, unsigned rid, unsigned pasid)
{
    const uint64_t *function = old_kernel_function(k, rid);
    uint64_t *entry = old_kernel_word(k, (function[0] & ADDRESS) + (pasid >> 6) * 8);
    if (!(*entry & 1))
        *entry = old_kernel_page(k) | 1;
    return old_kernel_word(k, (*entry & ADDRESS) + (pasid & 63) * 64);
}

void old_kernel_bind(struct old_kernel *k, unsigned rid, unsigned pasid, unsigned stage, unsigned levels,
                     unsigned did, uint64_t tree)
{
    uint64_t *e = old_kernel_pasid(k, rid, pasid);
    e[0] = (uint64_t)stage << 6 | (stage == 1 ? 2 : levels - 2) << 2 | 1 | (stage == 1 ? 0 : tree);
    e[1] = did;
    e[2] = stage == 1 ? tree | (levels - 4) << 2 : 0;
}

void old_kernel_nest(struct old_kernel *k, unsigned rid, unsigned pasid, unsigned first_levels,
                     uint64_t first, unsigned levels, unsigned did, uint64_t tree)
{
    uint64_t *e = old_kernel_pasid(k, rid, pasid);
    e[0] = tree | 3 << 6 | (levels - 2) << 2 | 1;
    e[1] = did;
    e[2] = first | (first_levels - 4) << 2;
}

void old_kernel_map_first(struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level, uint64_t iova,
                          uint64_t addr, unsigned flags)
{
    for (unsigned at = levels - 1; at > level; at--) {
        uint64_t *entry = old_kernel_word(k, tree + (iova >> (12 + 9 * at) & 511) * 8);
        if (*entry & 0x80)
            abort(); // the test maps below its own large page
        if (!(*entry & 1))
            *entry = old_kernel_page(k) | OLD_FS_P | OLD_FS_W | OLD_FS_U | OLD_FS_A;
        tree = *entry & ADDRESS;
    }
    *old_kernel_word(k, tree + (iova >> (12 + 9 * level) & 511) * 8) = addr | flags | (level ? 0x80 : 0);
}

void old_kernel_map(struct old_kernel *k, uint64_t tree, unsigned levels, unsigned level, uint64_t iova,
                    uint64_t addr, unsigned perms)
{
    for (unsigned at = levels - 1; at > level; at--) {
        uint64_t *entry = old_kernel_word(k, tree + (iova >> (12 + 9 * at) & 511) * 8);
        if (*entry & 0x80)
            abort(); // the test maps below its own large page
        if (!(*entry & 3))
            *entry = old_kernel_page(k) | OLD_R | OLD_W;
        tree = *entry & ADDRESS;
    }
    *old_kernel_word(k, tree + (iova >> (12 + 9 * level) & 511) * 8) = addr | perms | (level ? 0x80 : 0);
}

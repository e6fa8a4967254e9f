// SPDX-License-Identifier: MIT
// Kernel virtual addresses, by the page tables of the dead kernel itself. Intel SDM vol. 3, 4.5 "4-Level
// Paging and 5-Level Paging". Linux Documentation/arch/x86/x86_64/mm.rst for where the kernel's image is.
#include <string.h>

#include "bytes.h"
#include "inspect/kernel_parts.h"

#define X86_PTE_P       0, 0
#define X86_PTE_PS      7, 7
#define X86_PTE_ADDRESS 51, 12
#define KERNEL_IMAGE    0xFFFFFFFF80000000ull // virtual address of the kernel's image, before phys_base

enum tool_status paging_open(struct kernel *k, struct tool_error *error)
{
    uint64_t root, phys_base, five = 0;
    if (!info_symbol(k, "swapper_pg_dir", &root) && !info_symbol(k, "init_top_pgt", &root))
        return tool_fail(error, TOOL_BAD_INPUT, "VMCOREINFO does not tell where swapper_pg_dir is");
    if (!info_number(k, "NUMBER(phys_base)", 10, &phys_base))
        return tool_fail(
            error, TOOL_BAD_INPUT,
            "VMCOREINFO does not tell phys_base: not a kernel for x86-64, or one before Linux 4.10");
    if (info_number(k, "NUMBER(pgtable_l5_enabled)", 10, &five) && five > 1)
        return tool_fail(error, TOOL_BAD_INPUT, "VMCOREINFO: pgtable_l5_enabled is neither 0 nor 1");
    if (!info_number(k, "NUMBER(sme_mask)", 16, &k->paging.sme_mask))
        k->paging.sme_mask = 0;
    root = root - KERNEL_IMAGE + phys_base;
    if (root % DAM_PAGE_SIZE != 0 || root & ~dam_bits_mask(X86_PTE_ADDRESS))
        return tool_fail(error, TOOL_BAD_INPUT,
                         "VMCOREINFO: swapper_pg_dir and phys_base make no page address");
    k->paging.root = dam_pa_of(root);
    k->paging.levels = five ? 5 : 4;
    return TOOL_OK;
}

// Whether the bits above the highest one that is translated are copies of it.
static bool canonical(uint64_t va, unsigned levels)
{
    uint64_t top = va >> (DAM_PAGE_SHIFT + 9 * levels - 1);
    return top == 0 || top == ~0ull >> (DAM_PAGE_SHIFT + 9 * levels - 1);
}

dam_err kernel_translate(const struct kernel *k, uint64_t va, dam_pa *pa)
{
    uint64_t table = k->paging.root.v;
    if (!canonical(va, k->paging.levels))
        return DAM_E_RANGE;
    for (unsigned level = k->paging.levels; level-- > 0;) {
        unsigned shift = DAM_PAGE_SHIFT + 9 * level;
        uint8_t raw[8];
        dam_err err = memory_read(k->memory, dam_pa_of(table + (va >> shift & 511) * 8), raw, sizeof raw);
        if (err)
            return err == DAM_E_RANGE ? DAM_E_BROKEN : err; // tables lie in RAM
        uint64_t entry = get_le64(raw) & ~k->paging.sme_mask;
        if (!dam_bits_get(entry, X86_PTE_P))
            return DAM_E_RANGE;
        uint64_t address = entry & dam_bits_mask(X86_PTE_ADDRESS);
        bool large = level > 0 && dam_bits_get(entry, X86_PTE_PS);
        if (large && level > 2)
            return DAM_E_BROKEN;
        if (large || level == 0) {
            uint64_t inside = (1ull << shift) - 1;
            *pa = dam_pa_of((address & ~inside) | (va & inside));
            return DAM_OK;
        }
        table = address;
    }
    return DAM_E_BROKEN;
}

size_t kernel_read_some(const struct kernel *k, uint64_t va, void *out, size_t size, dam_err *why)
{
    size_t done = 0;
    *why = DAM_OK;
    while (done < size) {
        size_t part = DAM_PAGE_SIZE - (size_t)((va + done) % DAM_PAGE_SIZE);
        if (part > size - done)
            part = size - done;
        dam_pa pa;
        *why = va + done < va ? DAM_E_RANGE : kernel_translate(k, va + done, &pa);
        if (*why == DAM_OK)
            *why = memory_read(k->memory, pa, (uint8_t *)out + done, part);
        if (*why)
            break;
        done += part;
    }
    return done;
}

dam_err kernel_read(const struct kernel *k, uint64_t va, void *out, size_t size)
{
    dam_err err;
    kernel_read_some(k, va, out, size, &err);
    return err;
}

enum tool_status kernel_unreadable(const struct kernel *k, struct tool_error *error, dam_err err,
                                   const char *what, uint64_t va)
{
    unsigned long long at = va;
    switch (err) {
    case DAM_E_ABSENT:
        return tool_fail(error, TOOL_BAD_INPUT, "the dump does not hold %s (at 0x%llx, or its page tables)",
                         what, at);
    case DAM_E_IO:
        return tool_fail(error, TOOL_BAD_INPUT, "%s (at 0x%llx): the dump is damaged there: %s", what, at,
                         memory_problem(k->memory));
    case DAM_E_BROKEN:
        return tool_fail(error, TOOL_BAD_INPUT, "%s (at 0x%llx): the kernel's page tables are broken there",
                         what, at);
    default:
        return tool_fail(error, TOOL_BAD_INPUT, "%s would be at 0x%llx, where the kernel has no memory", what,
                         at);
    }
}

// SPDX-License-Identifier: MIT
// What the dead kernel itself knew, read out of its memory without debug symbols: VMCOREINFO leads to
// kallsyms, kallsyms leads to its BTF, and BTF says where the members of its structures are. Every byte may
// be anything: every list is bounded, every pointer checked.
#ifndef TOOL_INSPECT_KERNEL_H
#define TOOL_INSPECT_KERNEL_H

#include <cofferdam/abi.h>

#include "inspect/memory.h"

struct kernel; // kernel.c

// TOOL_BAD_INPUT: the dump does not let us in; the text says at which step (no VMCOREINFO, no kallsyms
// symbols in it, its page tables not in the dump, …). *out is freed by kernel_close(); memory must stay.
TOOL_MUST_CHECK enum tool_status kernel_open(struct memory *memory, struct kernel **out,
                                             struct tool_error *error);
void kernel_close(struct kernel *kernel);

// Virtual address of a symbol of the kernel proper. false: there is none.
bool kernel_symbol(const struct kernel *kernel, const char *name, uint64_t *va);
// Copies size bytes at a kernel virtual address. DAM_E_ABSENT: not in the dump, DAM_E_RANGE: not mapped,
// or mapped to no RAM; DAM_E_BROKEN: the page tables lead nowhere; DAM_E_IO as memory_read() has it.
DAM_MUST_CHECK dam_err kernel_read(const struct kernel *kernel, uint64_t va, void *out, size_t size);
DAM_MUST_CHECK dam_err kernel_translate(const struct kernel *kernel, uint64_t va, dam_pa *pa);
// Byte offset and size of a member ("a.b" goes into a structure inside). false: no such structure or member.
bool kernel_member(const struct kernel *kernel, const char *structure, const char *member, uint32_t *offset,
                   uint32_t *size);

// The bit of physical addresses by which the CPU and devices encrypt memory (SME), as the dump's VMCOREINFO
// tells, or that of the kernel when there is one; 0: none, or nobody tells.
uint64_t kernel_sme_mask(const struct memory *memory, const struct kernel *kernel);

// One IOMMU unit that its driver knew.
struct kernel_unit {
    enum dam_iommu_kind kind;
    uint64_t register_base;
    bool known; // what the driver knew of it could be read; else only register_base and segment are valid
    uint64_t cap, ecap; // capability registers, as struct dam_note_unit has them
    // As far as the driver keeps them: where its tables are, and whether translation is on.
    union dam_unit_registers registers;
    uint16_t segment;
    bool has_root; // it has tables
    char name[16]; // "dmar0"
};
// *out: an array of *count, which the caller frees, in any case. TOOL_BAD_INPUT: not all could be read; the
// text says why, and *out has the others.
TOOL_MUST_CHECK enum tool_status kernel_units(const struct kernel *kernel, struct kernel_unit **out,
                                              size_t *count, struct tool_error *error);

// One PCI function that the kernel knew.
struct kernel_function {
    uint16_t segment, rid;
    uint16_t vendor, device;
    uint32_t class_code; // 24 bits: class, subclass, programming interface
    char driver[32];     // "" when none was bound; "?" when the dump does not let its name be read
};
// As kernel_units().
TOOL_MUST_CHECK enum tool_status kernel_functions(const struct kernel *kernel, struct kernel_function **out,
                                                  size_t *count, struct tool_error *error);

// The memory reserved for the capture kernel (crashk_low_res, crashk_res): at most two ranges; *count may be
// 0. TOOL_BAD_INPUT as kernel_units().
TOOL_MUST_CHECK enum tool_status kernel_crash_region(const struct kernel *kernel, struct dam_range out[2],
                                                     size_t *count, struct tool_error *error);

#endif

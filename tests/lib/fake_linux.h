// SPDX-License-Identifier: MIT
// The memory of a small Linux that died: page tables, VMCOREINFO, kallsyms, BTF, and the lists of its IOMMU
// driver and of its PCI functions, all of it small, sound, and easy to spoil.
#ifndef TESTS_LIB_FAKE_LINUX_H
#define TESTS_LIB_FAKE_LINUX_H

#include "inspect/memory.h"

#define FAKE_LINUX_PAGES 64u
#define FAKE_LINUX_BYTES (FAKE_LINUX_PAGES * DAM_PAGE_SIZE)

// Where it maps its memory. The image and the direct map map all of it.
#define FAKE_IMAGE   0xFFFFFFFF81000000ull
#define FAKE_DIRECT  0xFFFF888000000000ull
#define FAKE_VMALLOC 0xFFFFC90000000000ull // one 4-KiB page, see fake_linux.vmalloc

// Where members are in its structures; not where any real kernel has them.
enum {
    FAKE_DRHD_BASE = 8,
    FAKE_DRHD_LIST = 24,
    FAKE_DRHD_IOMMU = 40,
    FAKE_DRHD_SEGMENT = 48,
    FAKE_IOMMU_CAP = 16,  // in a structure without a name
    FAKE_IOMMU_ECAP = 24, // in a union without a name in that
    FAKE_IOMMU_GCMD = 36,
    FAKE_IOMMU_NAME = 40, // 13 bytes
    FAKE_IOMMU_ROOT = 56,
    FAKE_IOMMU_FLAG = 64, // one bit
    FAKE_AMD_LIST = 16,
    FAKE_AMD_INDEX = 36,
    FAKE_AMD_BASE = 40,
    FAKE_AMD_EFR = 48,
    FAKE_AMD_EFR2 = 56,
    FAKE_AMD_SEGMENT = 64,
    FAKE_SEGMENT_ID = 8,
    FAKE_SEGMENT_LAST = 10,
    FAKE_SEGMENT_SIZE = 12,
    FAKE_SEGMENT_TABLE = 24,
    FAKE_BUS_NODE = 16,
    FAKE_BUS_CHILDREN = 32,
    FAKE_BUS_DEVICES = 48,
    FAKE_BUS_SYSDATA = 64,
    FAKE_BUS_NUMBER = 72,
    FAKE_DEV_LIST = 0,
    FAKE_DEV_DEVFN = 16,
    FAKE_DEV_VENDOR = 20,
    FAKE_DEV_DEVICE = 22,
    FAKE_DEV_CLASS = 24,
    FAKE_DEV_DEV = 32,      // struct device
    FAKE_DEVICE_DRIVER = 8, // in that
    FAKE_DRIVER_NAME = 8,
    FAKE_RESOURCE_START = 0,
    FAKE_RESOURCE_END = 8,
};

struct fake_linux_options {
    unsigned levels; // of its page tables, 4 or 5; 0: 4
    enum fake_kallsyms { FAKE_PERCPU, FAKE_RELATIVE, FAKE_PLACE, FAKE_ABSOLUTE } kallsyms;
    bool scalable; // intel_iommu_sm
    // The driver of AMD's: not there; there, without a unit; with two, and VT-d's has none; the same as later
    // versions have it, which do not keep the size of the table nor what the units can do.
    enum fake_amd { FAKE_AMD_NONE, FAKE_AMD_IDLE, FAKE_AMD, FAKE_AMD_LATER } amd;
    uint64_t sme_mask; // in every entry of the page tables
};

struct fake_linux {
    struct fake_linux_options options;
    uint8_t ram[FAKE_LINUX_BYTES]; // physical memory from 0
    bool absent[FAKE_LINUX_PAGES];
    char info[2048]; // VMCOREINFO
    struct memory_provider provider;
    uint64_t used; // bytes of ram in use
    // Physical addresses of what tests spoil.
    uint64_t top, image_table, vmalloc_table,
        vmalloc; // page tables (the vmalloc table: of 4-KiB pages); a page
    uint64_t num_syms, names, token_table, token_index, offsets, relative_base;
    uint64_t btf, btf_size;
    uint64_t drhd_units, drhd[2], iommu[2], root[2];
    uint64_t amd_list, amd_efr, amd[2], amd_segment, amd_table;
    uint64_t root_buses, bus[2], dev[3], driver, sysdata;
    uint64_t crashk_res, crashk_low_res, sm;
};

// With FAKE_AMD: ivhd0 at FED80000h and ivhd1 at FEA00000h, of segment 3, with one device table of two pages.
// Else two units: dmar0 at FED90000h of segment 0 with a root table, dmar1 at FED91000h without one. Three
// functions: 00:02.0 (driver "fake_hda", in vmalloc memory), 00:1c.0 (a bridge), 01:00.0. Reserved for the
// capture kernel: 10000000h-1FFFFFFFh and 100000000h-13FFFFFFFh. options may be NULL.
void fake_linux_build(struct fake_linux *linux, const struct fake_linux_options *options);
// A memory over it, which must stay.
struct memory *fake_linux_memory(struct fake_linux *linux);
// Virtual address, in the direct map, of a physical one.
uint64_t fake_linux_va(uint64_t pa);
void fake_linux_put(struct fake_linux *linux, uint64_t pa, uint64_t value, unsigned bytes);
uint64_t fake_linux_get(const struct fake_linux *linux, uint64_t pa, unsigned bytes);
// Renames the line of VMCOREINFO that begins with key, so that it is not found.
void fake_linux_drop(struct fake_linux *linux, const char *key);
// Replaces its value by one that is not longer.
void fake_linux_tell(struct fake_linux *linux, const char *key, const char *value);

#endif

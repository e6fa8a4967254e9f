// SPDX-License-Identifier: MIT
// QEMU's amd-iommu. It writes no event log, but what it would log there sets "signaled target abort" in the
// status register of its PCI function.
#include "lib/edu_box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/old_amd.h"

#define ENTRIES        256u // of the device table
#define DEVTAB         0x0000u
#define CMDBUF         0x0008u
#define EVTLOG         0x0010u
#define CONTROL        0x0018u
#define CMDTAIL        0x2008u
#define SIZE_512       (9ull << 56) // entries of 16 bytes: 8 KiB
#define ADDRESS        0x000FFFFFFFFFF000ull
#define FUNCTION       0x0008u // 00:01.0: the unit's own
#define TARGET_ABORT   (1u << 11)
#define INVALIDATE_ALL 8u

static uint64_t rd(unsigned reg)
{
    return qtest_read(&b.q, QTEST_AMDVI + reg, 8);
}

static void wr(unsigned reg, uint64_t value)
{
    qtest_write(&b.q, QTEST_AMDVI + reg, 8, value);
}

static void begin(struct old_kernel *k, void *host, uint64_t pa, uint64_t size)
{
    old_amd_begin(k, host, pa, size, ENTRIES);
}

static void map(struct old_kernel *k, uint64_t tree, uint64_t iova, uint64_t pa, unsigned perms)
{
    old_amd_map(k, tree, b.mode->levels, 0, iova, pa, perms);
}

static void attach(struct old_kernel *k, unsigned rid, unsigned did, uint64_t tree)
{
    if (tree)
        old_amd_attach(k, rid, b.mode->levels, did, tree, OLD_R | OLD_W);
    else
        old_amd_pass(k, rid, did, OLD_R | OLD_W);
}

static void forget(struct old_kernel *k, unsigned rid)
{
    uint64_t *entry = old_amd_entry(k, rid);
    entry[0] = OLD_AMD_V | OLD_AMD_TV;
    entry[1] = entry[2] = entry[3] = 0;
}

static uint16_t pci_status(void)
{
    qtest_out(&b.q, 0xCF8, 4, 1u << 31 | FUNCTION << 8 | 4);
    return (uint16_t)(qtest_in(&b.q, 0xCFC, 4) >> 16);
}

static void firmware(void)
{
    firmware_ivrs(&b.firmware, b.q.ram + FIRMWARE, FIRMWARE, 4096, 48);
    firmware_ivhd(&b.firmware, 0x10, 0, FUNCTION, 0, QTEST_AMDVI, 0);
    firmware_ivhd_entry(&b.firmware, 1, 0, 0);
    if (b.with_rmrr)
        firmware_ivmd(&b.firmware, 0x21, 7, (uint16_t)edu_rid(2), 0, RMRR, 0x1000);
}

static uint64_t tables(void)
{
    return rd(DEVTAB);
}

static uint64_t pointer(const struct old_kernel *k)
{
    return k->root | (ENTRIES / 128 - 1);
}

// Goes through whatever command buffer the unit has.
static void use(uint64_t table)
{
    wr(DEVTAB, table);
    const uint32_t command[4] = {0, INVALIDATE_ALL << 28, 0, 0};
    uint64_t buffer = rd(CMDBUF), tail = rd(CMDTAIL);
    memcpy(b.q.ram + (buffer & ADDRESS) + tail, command, sizeof(command));
    wr(CMDTAIL, (tail + 16) % (16ull << (buffer >> 56 & 15)));
}

static void start(void)
{
    wr(CMDBUF, QUEUE | SIZE_512);
    wr(EVTLOG, (QUEUE + 0x2000) | SIZE_512);
    wr(DEVTAB, pointer(&b.k));
    wr(CONTROL, 1 | 1 << 2 | 1 << 10 | 1 << 12);
    use(pointer(&b.k));
    b.q.translating = true;
}

static void check(void)
{
    assert_int_equal(rd(CONTROL) & 1, 1);
    const unsigned registers[] = {DEVTAB, CMDBUF, EVTLOG};
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(rd(registers[i]) & ADDRESS, POOL, POOL + POOL_SIZE - 1);
    assert_int_equal(rd(CMDBUF) >> 56, 9);
    assert_int_equal(rd(CONTROL) >> 3 & 1, 0); // events do not interrupt
}

static bool no_fault(void)
{
    return !(pci_status() & TARGET_ABORT);
}

// An entry says so for each requester; with none of them valid no interrupt is remapped.
static bool remaps(void)
{
    uint64_t table = tables() & ADDRESS;
    for (unsigned i = 0; i < ENTRIES; i++)
        if (b.q.ram[table + i * 32 + 16] & 1)
            return true;
    return false;
}

void box_amdvi(struct box_unit *out)
{
    *out = (struct box_unit){begin,  map,     attach, forget, firmware, start,
                             tables, pointer, use,    check,  no_fault, remaps};
}

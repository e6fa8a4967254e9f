// SPDX-License-Identifier: MIT
// Bare metal: our own page tables, and the engine's operations on them.
#include <string.h>

#include "cpu.h"
#include "layout.h"
#include "stage.h"

static uint8_t table_pages[PAGING_OWN_PAGES][DAM_PAGE_SIZE] __attribute__((aligned(4096)));

#define VGA_START 0xB8000ull
#define VGA_END   0xC0000ull

// AMD64 manual volume 2, 7.10 and 15.34: with memory encryption on, page tables carry an address bit that we
// would not set.
#define MSR_SYSCFG       0xC0010010u
#define SYSCFG_SME       (1ull << 23)
#define MSR_SEV_STATUS   0xC0010131u
#define SEV_ENABLED      (1ull << 0)
#define CPUID_ENCRYPT    0x8000001Fu
#define CPUID_SME        (1u << 0)
#define CPUID_SEV        (1u << 1)
#define CPUID_1G_PAGES   (1u << 26)
#define CPUID_HYPERVISOR (1u << 31)

static bool memory_encrypted(void)
{
    if (cpu_id(0x80000000u, 0).a < CPUID_ENCRYPT)
        return false;
    uint32_t features = cpu_id(CPUID_ENCRYPT, 0).a;
    if (cpu_id(1, 0).c & CPUID_HYPERVISOR)
        return (features & CPUID_SEV) && (cpu_rdmsr(MSR_SEV_STATUS) & SEV_ENABLED);
    return (features & CPUID_SME) && (cpu_rdmsr(MSR_SYSCFG) & SYSCFG_SME);
}

enum dam_stop stage_check_cpu(void)
{
    stage.exception_means = DAM_STOP_CPU; // a register that CPUID promised and that is not there
    bool encrypted = memory_encrypted();
    stage.exception_means = DAM_STOP_EXCEPTION;
    return encrypted ? DAM_STOP_CPU : DAM_STOP_NONE;
}

// Everything the stage may write, and nothing more: with CR0.WP set, a stray write elsewhere is a page fault
// and not a changed dump.
static dam_err map_own(void)
{
    struct paging *p = &stage.paging;
    uint64_t base = stage.base, pool = stage.pool.pa.v, guard = (uint64_t)stage_stack_guard;
    uint64_t bp = (uint64_t)stage.bp;
    dam_err err = paging_map(p, guard, guard + DAM_PAGE_SIZE, PAGING_HOLE);
    if (!err)
        err = paging_map(p, base, (uint64_t)stage_text_end, PAGING_READ);
    if (!err)
        err = paging_map(p, (uint64_t)stage_text_end, (uint64_t)stage_end, PAGING_WRITE);
    if (!err)
        err = paging_map(p, pool, pool + stage.pool.size, PAGING_WRITE);
    if (!err && stage.low_found.end)
        err = paging_map(p, stage.low_found.start, stage.low_found.end, PAGING_WRITE);
    if (!err)
        err = paging_map(p, bp, bp + BP_SIZE, PAGING_WRITE);
    if (!err && stage.options.consoles.vga)
        err = paging_map(p, VGA_START, VGA_END, PAGING_DEVICE);
    return err;
}

enum dam_stop stage_own_tables(void)
{
    struct paging *p = &stage.paging;
    const struct dam_ranges *memory = &stage.regions.memory;
    struct cpuid top = cpu_id(0x80000000u, 0);
    bool giant = top.a >= 0x80000001u && (cpu_id(0x80000001u, 0).d & CPUID_1G_PAGES);
    unsigned width = top.a >= 0x80000008u ? cpu_id(0x80000008u, 0).a & 0xFF : 36;
    dam_err err = paging_init(p, cpu_cr4() & CR4_LA57 ? 5 : 4, giant, width < 52 ? width : 52, table_pages[0],
                              &stage.pool);
    if (!err)
        err = map_own();
    for (size_t i = 0; i < memory->count && !err; i++)
        err = paging_map(p, memory->at[i].start, memory->at[i].end, PAGING_READ);
    if (err)
        return err == DAM_E_NOMEM ? DAM_STOP_POOL : DAM_STOP_CPU;
    cpu_set_cr3((uint64_t)p->root);
    cpu_set_cr0(cpu_cr0() | CR0_WP);
    stage.own_tables = true;
    return DAM_STOP_NONE;
}

// Ranges that the firmware calls reserved may hold its tables. They are mapped when they are read, uncached,
// so that nothing is fetched from them that nobody asked for.
static dam_err map_reserved(const struct stage *s, uint64_t pa, size_t len)
{
    if (!s->own_tables || !dam_ranges_contain(&s->regions.reserved, pa, len))
        return DAM_E_RANGE;
    for (uint64_t at = dam_align_down(pa, DAM_PAGE_SIZE); at < pa + len; at += DAM_PAGE_SIZE) {
        dam_err err = paging_map_device(&stage.paging, at);
        if (err)
            return err;
    }
    return DAM_OK;
}

static dam_err op_mem_read(void *ctx, dam_pa pa, void *buf, size_t len)
{
    const struct stage *s = ctx;
    if (len == 0)
        return DAM_OK;
    if (!dam_ranges_contain(&s->regions.memory, pa.v, len)) {
        dam_err err = map_reserved(s, pa.v, len);
        if (err)
            return err;
    }
    memcpy(buf, (const void *)pa.v, len);
    return DAM_OK;
}

// Registers never lie in memory: a table that says so would have us write to the dump.
static dam_err device_at(struct stage *s, uint64_t pa, unsigned width)
{
    if (!s->own_tables || pa % width != 0 || dam_ranges_overlap(&s->regions.memory, pa, width) ||
        dam_ranges_overlap(&s->regions.keep_out, pa, width))
        return DAM_E_RANGE;
    return paging_map_device(&s->paging, pa);
}

static dam_err op_mmio_read(void *ctx, dam_pa pa, unsigned width, uint64_t *value)
{
    if (width != 4 && width != 8)
        return DAM_E_RANGE;
    dam_err err = device_at(ctx, pa.v, width);
    if (err)
        return err;
    *value = width == 8 ? *(const volatile uint64_t *)pa.v : *(const volatile uint32_t *)pa.v;
    return DAM_OK;
}

static dam_err op_mmio_write(void *ctx, dam_pa pa, unsigned width, uint64_t value)
{
    if (width != 4 && width != 8)
        return DAM_E_RANGE;
    dam_err err = device_at(ctx, pa.v, width);
    if (err)
        return err;
    if (width == 8)
        *(volatile uint64_t *)pa.v = value;
    else
        *(volatile uint32_t *)pa.v = (uint32_t)value;
    return DAM_OK;
}

static dam_err op_port_read(void *ctx, uint16_t port, unsigned width, uint32_t *value)
{
    (void)ctx;
    switch (width) {
    case 1:
        *value = cpu_in8(port);
        return DAM_OK;
    case 2:
        *value = cpu_in16(port);
        return DAM_OK;
    case 4:
        *value = cpu_in32(port);
        return DAM_OK;
    default:
        return DAM_E_RANGE;
    }
}

static dam_err op_port_write(void *ctx, uint16_t port, unsigned width, uint32_t value)
{
    (void)ctx;
    switch (width) {
    case 1:
        cpu_out8(port, (uint8_t)value);
        return DAM_OK;
    case 2:
        cpu_out16(port, (uint16_t)value);
        return DAM_OK;
    case 4:
        cpu_out32(port, value);
        return DAM_OK;
    default:
        return DAM_E_RANGE;
    }
}

static void op_cache_flush(void *ctx, const void *p, size_t len)
{
    const struct stage *s = ctx;
    if (!s->cache_line) {
        cpu_wbinvd();
        return;
    }
    uint64_t end = (uint64_t)p + len;
    cpu_mfence(); // CLFLUSH is not ordered with earlier stores on every CPU
    for (uint64_t at = dam_align_down((uint64_t)p, s->cache_line); at < end; at += s->cache_line)
        cpu_clflush((const void *)at);
}

static void op_barrier(void *ctx)
{
    (void)ctx;
    cpu_mfence();
}

static uint64_t op_clock_us(void *ctx)
{
    const struct stage *s = ctx;
    return (cpu_rdtsc() - s->entry_tsc) * 1000 / s->tsc_khz;
}

void stage_bootstrap_ops(void)
{
    struct cpuid features = cpu_id(1, 0);
    if (features.d & (1u << 19))
        stage.cache_line = (features.b >> 8 & 0xFF) * 8;
    if (stage.cache_line & (stage.cache_line - 1))
        stage.cache_line = 0;
    // One by one: a constant structure of pointers would need relocations.
    struct dam_ops *ops = &stage.ops;
    ops->ctx = &stage;
    ops->mem_read = op_mem_read;
    ops->mmio_read = op_mmio_read;
    ops->mmio_write = op_mmio_write;
    ops->port_read = op_port_read;
    ops->port_write = op_port_write;
    ops->cache_flush = op_cache_flush;
    ops->barrier = op_barrier;
    ops->clock_us = op_clock_us;
}

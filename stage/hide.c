// SPDX-License-Identifier: MIT
// Hiding the IOMMU from the capture kernel, which then does its I/O through the crash window of tables that
// it knows nothing of. Linux looks for the ACPI root pointer in acpi_rsdp=, then in boot_params, then in
// EFI's tables, then in the BIOS areas (drivers/acpi/osl.c); under lockdown it ignores acpi_rsdp=. So both of
// the first two get ours.
#include <string.h>

#include "cpu.h"
#include "pure/acpi_hide.h"
#include "pure/bytes.h"
#include "pure/text.h"
#include "stage.h"

// Intel SDM volume 4: IA32_APIC_BASE, x2APIC id, IA32_ARCH_CAPABILITIES, IA32_XAPIC_DISABLE_STATUS.
#define MSR_APIC_BASE         0x1Bu
#define APIC_BASE_X2APIC      (3ull << 10) // enabled, and in x2APIC mode
#define MSR_X2APIC_ID         0x802u
#define MSR_ARCH_CAPABILITIES 0x10Au
#define ARCH_XAPIC_DISABLE    (1ull << 21)
#define MSR_XAPIC_STATUS      0xBDu
#define XAPIC_DISABLED        (1ull << 0)
#define CPUID_X2APIC          (1u << 21) // leaf 1, ecx
#define CPUID_ARCH_CAPS       (1u << 29) // leaf 7, edx
// Without interrupt remapping a Linux that finds x2APIC on goes back to xAPIC, whose ids have 8 bits, and
// panics when its own does not fit.
#define XAPIC_MAX_ID 254u

// Whether the processor can go back from x2APIC; *id is its number.
static bool apic_allows(uint64_t *id)
{
    *id = 0;
    if (!(cpu_id(1, 0).c & CPUID_X2APIC) || (cpu_rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC) != APIC_BASE_X2APIC)
        return true;
    *id = cpu_rdmsr(MSR_X2APIC_ID);
    bool locked = cpu_id(0, 0).a >= 7 && (cpu_id(7, 0).d & CPUID_ARCH_CAPS) &&
                  (cpu_rdmsr(MSR_ARCH_CAPABILITIES) & ARCH_XAPIC_DISABLE) &&
                  (cpu_rdmsr(MSR_XAPIC_STATUS) & XAPIC_DISABLED);
    return !locked && *id <= XAPIC_MAX_ID;
}

// Whether the driver of each of these kinds (bit n: kinds[n]) is turned off. A word for another maker's says
// nothing.
static bool drivers_off(const struct iommu_kind *kinds, unsigned count, uint32_t which)
{
    bool off = which != 0;
    for (unsigned i = 0; i < count; i++)
        off &= !(which >> i & 1) || cmdline_turns_off(stage.line, stage.line_len, kinds[i].driver);
    return off;
}

// Whether it is to be hidden on a machine with these kinds: it is asked for, or nobody would drive it.
static bool wanted(const struct iommu_kind *kinds, unsigned count, uint32_t which)
{
    enum dam_view view = stage.options.view;
    return view == DAM_VIEW_HIDE || (view == DAM_VIEW_AUTO && drivers_off(kinds, count, which));
}

// Always said: whoever asked for it will find that the capture kernel turned translation off.
static bool refuse(uint16_t finding, uint64_t raw)
{
    stage.hidden.why_not = finding;
    stage.hidden.raw = raw;
    console_line(&stage.console, CONSOLE_ALWAYS, "%s (0x%lx)", text_of_finding(finding), raw);
    return false;
}

// The new command line starts from the one with the address of our ELF core headers, where there are any.
static dam_err write_cmdline(uint64_t rsdp)
{
    const char *line = stage.ordinary ? stage.line : stage.legacy.cmdline;
    size_t line_len = stage.ordinary ? stage.line_len : stage.legacy.cmdline_len;
    uint64_t max = bytes_get32(stage.bp_plain + BP_CMDLINE_SIZE);
    void *pages;
    size_t len;
    if (max > CMDLINE_MAX)
        max = CMDLINE_MAX;
    if (!line)
        return DAM_E_LENGTH;
    dam_err err = dam_arena_pages(&stage.pool, (size_t)max / DAM_PAGE_SIZE + 1, &pages);
    if (!err)
        err = cmdline_set_acpi_rsdp(line, line_len, rsdp, pages, (size_t)max, &len);
    if (!err)
        stage.hidden.cmdline = pages;
    return err;
}

bool stage_prepare_hiding(const dam_pa *rsdp)
{
    struct stage_hidden *hidden = &stage.hidden;
    struct dam_ranges *window = &stage.regions.window;
    struct acpi_hidden acpi;
    struct iommu_kind kinds[IOMMU_KINDS];
    const unsigned count = iommu_kinds(kinds);
    uint64_t apic, pool = stage.pool.pa.v;
    bool may_be_wanted = false;
    for (unsigned i = 0; i < count; i++)
        may_be_wanted |= wanted(kinds, count, 1u << i);
    if (!may_be_wanted)
        return false;
    dam_err err = stage.options.acpi_rsdt
                      ? DAM_E_UNSUPPORTED
                      : acpi_hide_iommus(&stage.ops, &stage.pool, rsdp, DAM_MAX_RSDP, kinds, count, &acpi);
    if (err == DAM_E_ABSENT)
        return false; // there is none: the takeover will say so
    if (err)
        return refuse(DAM_F_HIDE_ACPI, err);
    if (!wanted(kinds, count, acpi.kinds))
        return false;
    if (!apic_allows(&apic))
        return refuse(DAM_F_HIDE_APIC, apic);
    err = write_cmdline(acpi.rsdp.v);
    if (err)
        return refuse(DAM_F_HIDE_CMDLINE, err);
    err = dam_ranges_remove(window, pool, pool + stage.pool.size);
    if (err || !window->count)
        return refuse(DAM_F_HIDE_WINDOW, err);
    hidden->rsdp = acpi.rsdp.v;
    hidden->ready = true;
    console_line(&stage.console, CONSOLE_NORMAL,
                 "hiding the IOMMU: ACPI root at 0x%lx with %u tables, %u left out; crash window %lu MiB in "
                 "%lu ranges",
                 hidden->rsdp, acpi.kept, acpi.dropped, regions_bytes(window) >> 20, window->count);
    return true;
}

bool stage_hides(void)
{
    return stage.hidden.ready && stage_committed() && dam_takeover_may_hide(stage.takeover);
}

void stage_say_shown(void)
{
    if (!stage.hidden.ready || !stage_committed() || stage_hides() || stage.hidden.why_not)
        return;
    refuse(DAM_F_HIDE_UNIT, stage.stop);
    const struct dam_finding finding = {
        .code = DAM_F_HIDE_UNIT, .level = 255, .unit = 0xFFFF, .raw = stage.stop};
    dam_takeover_finding(stage.takeover, &finding);
}

void stage_hide(void)
{
    bytes_put64(stage.bp_note + BP_ACPI_RSDP, stage.hidden.rsdp);
    setup_set_cmdline(stage.bp_note, dam_arena_pa(&stage.pool, stage.hidden.cmdline).v);
    stage.hidden.done = true;
}

// SPDX-License-Identifier: MIT
// Discover: which units are there, in which state, and which firmware regions must stay reachable?
#include "takeover/takeover.h"

#include "acpi/mcfg.h"
#include "acpi/tables.h"
#include "iommu/vtd/regs.h"
#include <cofferdam/acpi.h>

// ---- ACPI
// ------------------------------------------------------------------------------------------------------

static void keep_table(struct dam_takeover *t, const struct acpi_table *table)
{
    for (size_t i = 0; i < MAX_ACPI_TABLES; i++) {
        if (!t->acpi[i].bytes) {
            t->acpi[i] = (struct acpi_copy){table->bytes, table->length, table->pa};
            break;
        }
    }
    if (!table->checksum_ok)
        takeover_report(t, DAM_F_ACPI_CHECKSUM, NULL, NULL, table->pa.v, table->bytes[9]);
}

static enum dam_stop read_tables(struct dam_takeover *t, struct acpi_table *dmar, struct acpi_table *mcfg)
{
    struct acpi_rsdp rsdp;
    struct acpi_root root;
    if (acpi_find_rsdp(t->ops, t->config->rsdp, DAM_MAX_RSDP, &rsdp))
        return DAM_STOP_NO_RSDP;
    dam_err err = acpi_open_root(t->ops, t->pool, &rsdp, &root);
    if (err)
        return err == DAM_E_NOMEM ? DAM_STOP_POOL : DAM_STOP_BAD_ACPI;
    if (!root.checksum_ok)
        takeover_report(t, DAM_F_ACPI_CHECKSUM, NULL, NULL, root.pa.v, root.is_xsdt);
    err = acpi_read_table(t->ops, &root, t->pool, "DMAR", 0, dmar);
    if (err == DAM_E_ABSENT)
        return DAM_STOP_NO_DMAR;
    if (err) {
        takeover_report(t, DAM_F_ACPI_LENGTH, NULL, NULL, dmar->pa.v, dmar->length);
        return err == DAM_E_NOMEM ? DAM_STOP_POOL : DAM_STOP_BAD_ACPI;
    }
    keep_table(t, dmar);
    // Without MCFG there are still the ports.
    err = acpi_read_table(t->ops, &root, t->pool, "MCFG", 0, mcfg);
    if (!err)
        keep_table(t, mcfg);
    else if (err != DAM_E_ABSENT)
        takeover_report(t, DAM_F_ACPI_LENGTH, NULL, NULL, mcfg->pa.v, mcfg->length);
    if (err)
        mcfg->bytes = NULL;
    return DAM_STOP_NONE;
}

static void open_config_space(struct dam_takeover *t, const struct acpi_table *mcfg)
{
    pci_cfg_init(&t->pci, t->ops);
    uint32_t cursor = 0;
    while (mcfg->bytes) {
        struct mcfg_entry e;
        dam_err err = mcfg_next(mcfg->bytes, mcfg->length, &cursor, &e);
        if (err == DAM_E_RANGE)
            continue;
        if (err)
            break;
        if (pci_cfg_add_ecam(&t->pci, e.base, e.segment, e.first_bus, e.last_bus))
            takeover_report(t, DAM_F_ECAM, NULL, NULL, e.base.v, e.segment);
    }
}

// ---- units
// -----------------------------------------------------------------------------------------------------

// The table mode stays what it is: it must not be changed while translation is on (11.4.5). A unit that knows
// one mode alone runs in that one, whatever is in its register. In abort-DMA mode nothing passes: it is left
// like that. The other values are none of a mode that exists.
static void classify_mode(struct dam_takeover *t, struct unit *unit)
{
    enum vtd_mode mode = vtd_mode_of(unit->vtd.ecap, unit->before.rtaddr);
    unit->status = DAM_UNIT_PLANNED;
    unit->vtd.scalable = mode == VTD_MODE_SCALABLE;
    unit->ttm = unit->vtd.scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY;
    if (mode == VTD_MODE_LEGACY || mode == VTD_MODE_SCALABLE)
        return;
    unit->no_root = mode == VTD_MODE_IMPOSSIBLE;
    if (!unit->no_root)
        unit->status = DAM_UNIT_UNSUPPORTED;
    takeover_report(t,
                    mode == VTD_MODE_ABORT ? DAM_F_UNIT_ABORTS
                    : unit->no_root        ? DAM_F_ROOT_MODE
                                           : DAM_F_UNIT_MODE,
                    unit, NULL, unit->vtd.base.v + VTD_RTADDR_REG, unit->before.rtaddr);
}

static void classify_unit(struct dam_takeover *t, struct unit *unit)
{
    dam_pa base = unit->vtd.base;
    uint64_t max_wait = t->config->max_wait_us ? t->config->max_wait_us : DAM_DEFAULT_MAX_WAIT_US;
    unit->error = vtd_unit_probe(&unit->vtd, t->ops, base, max_wait);
    if (!unit->error)
        unit->error = vtd_registers_read(&unit->vtd, &unit->before);
    unit->after = unit->before;
    if (unit->error) {
        unit->status = DAM_UNIT_ABSENT;
        takeover_report(t, DAM_F_UNIT_ABSENT, unit, NULL, base.v, unit->vtd.cap);
        return;
    }
    takeover_report_state(t, unit);
    if (!dam_bits_get(unit->before.gsts, VTD_G_TE) && t->config->raise) {
        // A Linux that finds tables of another mode than its own choice turns translation off.
        unit->raise = true;
        unit->vtd.scalable = dam_bits_get(unit->vtd.ecap, VTD_ECAP_SMTS) && !t->config->raise_legacy;
        unit->ttm = unit->vtd.scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY;
        unit->status = DAM_UNIT_PLANNED;
    } else if (!dam_bits_get(unit->before.gsts, VTD_G_TE)) {
        unit->status = DAM_UNIT_OFF;
        takeover_report(t, DAM_F_UNIT_OFF, unit, NULL, base.v + VTD_GSTS_REG, unit->before.gsts);
    } else {
        classify_mode(t, unit);
    }
}

// A real table names a handful; the note's unit index has 16 bits.
#define MAX_UNITS 1024u

// Whether registers can be there at all. The first page alone counts: in old tables the size is anything.
static bool sane_base(const struct dam_takeover *t, uint64_t base)
{
    return base != 0 && base % DAM_PAGE_SIZE == 0 && base >> t->host_address_width == 0 &&
           !dam_ranges_overlap(t->config->old_ram, base, DAM_PAGE_SIZE) &&
           !dam_ranges_overlap(t->config->keep_out, base, DAM_PAGE_SIZE);
}

static dam_err add_unit(struct dam_takeover *t, const struct dmar_structure *drhd)
{
    if (!sane_base(t, drhd->base)) {
        takeover_report(t, DAM_F_UNIT_BASE, NULL, NULL, drhd->base, drhd->offset);
        return DAM_OK;
    }
    for (struct unit *u = t->units; u; u = u->next) {
        if (u->vtd.base.v == drhd->base) {
            takeover_report(t, DAM_F_UNIT_DUPLICATE, u, NULL, drhd->base, drhd->offset);
            return DAM_OK;
        }
    }
    if (t->unit_count == MAX_UNITS)
        return DAM_E_BUDGET;
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct unit), &record);
    if (err)
        return err;
    struct unit *unit = record;
    unit->vtd.base = dam_pa_of(drhd->base);
    unit->index = t->unit_count++;
    unit->segment = drhd->segment;
    unit->drhd_flags = drhd->flags;
    if (t->last_unit)
        t->last_unit->next = unit;
    else
        t->units = unit;
    t->last_unit = unit;
    classify_unit(t, unit);
    return DAM_OK;
}

// ---- firmware regions
// --------------------------------------------------------------------------------------------

// Whether an RMRR can be a window at all. Real firmware gives limits that are the last byte; base and limit +
// 1 must be multiples of 4 KiB (8.4).
static bool sane_region(struct dam_takeover *t, const struct dmar_structure *rmrr)
{
    uint64_t top = 1ull << t->host_address_width;
    if (rmrr->limit <= rmrr->base || rmrr->limit >= top || rmrr->base % DAM_PAGE_SIZE ||
        (rmrr->limit + 1) % DAM_PAGE_SIZE) {
        takeover_report(t, DAM_F_RMRR_BAD, NULL, NULL, rmrr->base, rmrr->limit);
        return false;
    }
    uint64_t size = rmrr->limit + 1 - rmrr->base;
    if (dam_ranges_overlap(t->config->keep_out, rmrr->base, size)) {
        takeover_report(t, DAM_F_RMRR_KEEP_OUT, NULL, NULL, rmrr->base, rmrr->limit);
        return false;
    }
    if (dam_ranges_overlap(t->config->old_ram, rmrr->base, size))
        takeover_report(t, DAM_F_RMRR_IN_RAM, NULL, NULL, rmrr->base, rmrr->limit);
    return true;
}

static uint64_t scope_path(const struct dmar_scope *scope)
{
    uint64_t raw = (uint64_t)scope->type << 56 | (uint64_t)scope->start_bus << 48;
    for (unsigned i = 0; i < scope->path_length && i < 6; i++)
        raw |= (uint64_t)(uint8_t)(scope->path[i].device << 3 | scope->path[i].function) << (40 - 8 * i);
    return raw;
}

// Types 1 and 2 name PCI functions, which answer; a namespace device (5) has an id alone.
static bool leads_nowhere(const struct dmar_scope *scope, const struct pci_target *target)
{
    return (scope->type == 1 || scope->type == 2) && (!target->present || target->mismatch);
}

static dam_err add_regions(struct dam_takeover *t, const struct dmar_structure *rmrr)
{
    if (!sane_region(t, rmrr))
        return DAM_OK;
    uint16_t cursor = 0;
    struct dmar_scope scope;
    dam_err err;
    while (!(err = dmar_next_scope(rmrr, &cursor, &scope)) || err == DAM_E_RANGE) {
        struct pci_target target;
        bool resolved = !err && !pci_scope_resolve(&t->pci, rmrr->segment, &scope, &target);
        if (!resolved || leads_nowhere(&scope, &target))
            takeover_report(t, DAM_F_ACPI_SCOPE, NULL, NULL, rmrr->base, scope_path(&scope));
        if (!resolved)
            continue;
        void *record;
        err = dam_arena_record(t->pool, sizeof(struct region), &record);
        if (err)
            return err;
        struct region *g = record;
        *g = (struct region){t->regions, rmrr->segment, target, rmrr->base, rmrr->limit + 1};
        t->regions = g;
    }
    if (err == DAM_E_LENGTH)
        takeover_report(t, DAM_F_ACPI_LENGTH, NULL, NULL, rmrr->offset, rmrr->length);
    return DAM_OK;
}

static dam_err read_structures(struct dam_takeover *t, const struct dmar_table *dmar)
{
    uint32_t cursor = 0;
    struct dmar_structure s;
    dam_err err;
    while (!(err = dmar_next(dmar, &cursor, &s))) {
        if (s.type == DMAR_DRHD)
            err = add_unit(t, &s);
        else if (s.type == DMAR_RMRR)
            err = add_regions(t, &s);
        else if (s.type > DMAR_SIDP)
            takeover_report(t, DAM_F_ACPI_UNKNOWN, NULL, NULL, s.offset, s.type);
        if (err)
            return err;
    }
    if (err == DAM_E_LENGTH)
        takeover_report(t, DAM_F_ACPI_LENGTH, NULL, NULL, s.offset, s.length);
    return DAM_OK; // what came before the broken structure still counts
}

static void apply_chipset_quirks(struct dam_takeover *t)
{
    uint32_t host_bridge;
    if (pci_cfg_read(&t->pci, 0, pci_rid(0, 0, 0), 0, 4, &host_bridge) ||
        !vtd_chipset_hides_rwbf(host_bridge))
        return;
    for (struct unit *u = t->units; u; u = u->next)
        u->vtd.needs_write_buffer_flush = true;
}

enum dam_stop takeover_discover(struct dam_takeover *t)
{
    struct acpi_table dmar_bytes, mcfg;
    enum dam_stop stop = read_tables(t, &dmar_bytes, &mcfg);
    if (stop)
        return stop;
    struct dmar_table dmar;
    if (dmar_open(dmar_bytes.bytes, dmar_bytes.length, &dmar))
        return DAM_STOP_BAD_ACPI;
    // Real firmware has wrong checksums over sound tables. Both wrong together is noise.
    struct dmar_structure bad;
    if (!dmar.checksum_ok && dmar_check(&dmar, &bad))
        return DAM_STOP_BAD_ACPI;
    t->host_address_width = dmar.host_address_width;
    if (t->host_address_width < 32 || t->host_address_width > 52)
        t->host_address_width = 52;
    open_config_space(t, &mcfg);
    dam_err err = read_structures(t, &dmar);
    if (err)
        return takeover_stop_of(err);
    apply_chipset_quirks(t);
    unsigned usable = 0, off = 0, other = 0;
    for (const struct unit *u = t->units; u; u = u->next) {
        usable += u->status == DAM_UNIT_PLANNED;
        off += u->status == DAM_UNIT_OFF;
        other += u->status == DAM_UNIT_UNSUPPORTED;
    }
    return usable ? DAM_STOP_NONE : other ? DAM_STOP_MODE : off ? DAM_STOP_IOMMU_OFF : DAM_STOP_NO_UNIT;
}

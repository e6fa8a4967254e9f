// SPDX-License-Identifier: MIT
// Discover: which units are there, in which state, and which firmware regions must stay reachable?
#include "takeover/takeover.h"

#include "acpi/mcfg.h"
#include "acpi/tables.h"

// ---- ACPI -------------------------------------------------------------------------------------------------

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

// Reads and keeps a table. What is wrong with it is told.
static dam_err read_table(struct dam_takeover *t, const struct acpi_root *root, const char *signature,
                          struct acpi_table *table)
{
    dam_err err = acpi_read_table(t->ops, root, t->pool, signature, 0, table);
    if (!err)
        keep_table(t, table);
    else if (err != DAM_E_ABSENT)
        takeover_report(t, DAM_F_ACPI_LENGTH, NULL, NULL, table->pa.v, table->length);
    return err;
}

static enum dam_stop stop_of_table(dam_err err)
{
    return err == DAM_E_ABSENT ? DAM_STOP_NO_DMAR : err == DAM_E_NOMEM ? DAM_STOP_POOL : DAM_STOP_BAD_ACPI;
}

// A machine has one kind; if tables of both are there, one that cannot be read does not stop the other.
static enum dam_stop read_tables(struct dam_takeover *t, struct acpi_table *mcfg)
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
    bool found = false;
    enum dam_stop stop = DAM_STOP_NO_DMAR;
    for (unsigned i = 0; i < t->family_count; i++) {
        struct acpi_table table;
        struct iommu_firmware *f = &t->families[i].firmware;
        err = read_table(t, &root, t->families[i].kind.signature, &table);
        if (err) {
            stop = err == DAM_E_ABSENT ? stop : stop_of_table(err);
            continue;
        }
        f->bytes = table.bytes;
        f->length = table.length;
        found = true;
    }
    if (!found)
        return stop;
    // Without MCFG there are still the ports.
    if (read_table(t, &root, "MCFG", mcfg))
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

// ---- what the kinds tell of their tables
struct listening {
    struct dam_takeover *t;
    struct family *family;
};

static void on_firmware_finding(void *ctx, uint16_t code, uint64_t address, uint64_t raw)
{
    const struct listening *l = ctx;
    takeover_report(l->t, code, NULL, NULL, address, raw);
}

// ---- units ------------------------------------------------------------------------------------------------

// Whose tables it runs on.
static void find_leader(struct dam_takeover *t, struct unit *unit)
{
    for (struct unit *u = t->units; unit->kind->shares_tables && u != unit; u = u->next) {
        bool alike = u->kind == unit->kind && u->iommu->segment == unit->iommu->segment &&
                     u->iommu->raise == unit->iommu->raise;
        if (u->status != DAM_UNIT_PLANNED || u->leader || !alike ||
            !unit->kind->shares_tables(unit->iommu, u->iommu))
            continue;
        unit->leader = u;
        unit->iommu->leader = u->iommu;
        return;
    }
}

static void classify_unit(struct dam_takeover *t, struct unit *unit)
{
    struct iommu_unit *iommu = unit->iommu;
    enum iommu_state state = IOMMU_OFF;
    unit->error = unit->kind->probe(iommu, &state);
    iommu->after = iommu->before;
    if (unit->error) {
        unit->status = DAM_UNIT_ABSENT;
        takeover_report(t, DAM_F_UNIT_ABSENT, unit, NULL, iommu->base.v, iommu->cap);
        return;
    }
    if (state == IOMMU_OFF && t->config->raise && unit->kind->choose_mode &&
        !unit->kind->choose_mode(iommu, t->config->raise_legacy)) {
        iommu->raise = true;
        unit->status = DAM_UNIT_PLANNED;
    } else if (state == IOMMU_OFF) {
        unit->status = DAM_UNIT_OFF;
        takeover_report(t, DAM_F_UNIT_OFF, unit, NULL, iommu->base.v + iommu->state_register,
                        iommu->state_value);
    } else {
        unit->status = state == IOMMU_ON ? DAM_UNIT_PLANNED : DAM_UNIT_UNSUPPORTED;
    }
    if (unit->status == DAM_UNIT_PLANNED)
        find_leader(t, unit);
}

// A real table names a handful; the note's unit index has 16 bits.
#define MAX_UNITS 1024u

// Whether registers can be there at all. The first page alone counts: in old tables the size is anything.
static bool sane_base(const struct dam_takeover *t, const struct family *family, uint64_t base)
{
    return base != 0 && base % DAM_PAGE_SIZE == 0 && base >> family->firmware.host_address_width == 0 &&
           !dam_ranges_overlap(t->config->old_ram, base, DAM_PAGE_SIZE) &&
           !dam_ranges_overlap(t->config->keep_out, base, DAM_PAGE_SIZE);
}

static void on_unit_finding(void *ctx, const struct dam_finding *finding)
{
    const struct unit *unit = ctx;
    struct dam_finding f = *finding;
    f.unit = unit->iommu->index;
    f.segment = unit->iommu->segment;
    dam_finding_add(&unit->t->findings, &f);
}

// A next kernel that knows of no IOMMU, or begins anew, goes on from nothing.
static struct dam_arena *low_pool(const struct dam_takeover *t)
{
    bool inherited = !takeover_hides(t) && !t->config->recycled;
    bool low = t->pool->pa.v + t->pool->size <= 1ull << 32;
    return t->config->low_pool ? t->config->low_pool : low || !inherited ? t->pool : NULL;
}

static dam_err new_unit(struct dam_takeover *t, struct family *family, struct unit **out)
{
    void *record, *its_own;
    dam_err err = dam_arena_record(t->pool, sizeof(struct unit), &record);
    if (!err)
        err = dam_arena_record(t->pool, family->kind.unit_size, &its_own);
    if (err)
        return err;
    struct unit *unit = *out = record;
    struct iommu_unit *iommu = unit->iommu = its_own;
    unit->t = t;
    unit->family = family;
    unit->kind = iommu->kind = &family->kind;
    unit->listener = (struct iommu_listener){.ctx = unit, .finding = on_unit_finding};
    iommu->ops = t->ops;
    iommu->pool = t->pool;
    iommu->low_pool = low_pool(t);
    iommu->old_memory = &t->old_memory;
    iommu->firmware = &family->firmware;
    iommu->pci = &t->pci;
    iommu->listener = &unit->listener;
    iommu->buffer = t->buffers;
    iommu->host_address_width = family->firmware.host_address_width;
    iommu->max_wait_us = t->config->max_wait_us ? t->config->max_wait_us : DAM_DEFAULT_MAX_WAIT_US;
    iommu->index = t->unit_count++;
    if (t->last_unit) {
        t->last_unit->next = unit;
        t->last_unit->iommu->next = iommu;
    } else {
        t->units = unit;
    }
    t->last_unit = unit;
    return DAM_OK;
}

static dam_err on_unit(void *ctx, uint64_t base, uint16_t segment, uint8_t flags, uint32_t offset)
{
    const struct listening *l = ctx;
    struct dam_takeover *t = l->t;
    if (!sane_base(t, l->family, base)) {
        takeover_report(t, DAM_F_UNIT_BASE, NULL, NULL, base, offset);
        return DAM_OK;
    }
    for (struct unit *u = t->units; u; u = u->next) {
        if (u->iommu->base.v == base) {
            takeover_report(t, DAM_F_UNIT_DUPLICATE, u, NULL, base, offset);
            return DAM_OK;
        }
    }
    if (t->unit_count == MAX_UNITS)
        return DAM_E_BUDGET;
    struct unit *unit;
    dam_err err = new_unit(t, l->family, &unit);
    if (err)
        return err;
    unit->iommu->base = dam_pa_of(base);
    unit->iommu->segment = segment;
    unit->iommu->firmware_flags = flags;
    classify_unit(t, unit);
    return DAM_OK;
}

// ---- firmware regions -------------------------------------------------------------------------------------

// Whether it can be a window at all.
static bool allows_region(void *ctx, uint64_t start, uint64_t last)
{
    const struct listening *l = ctx;
    struct dam_takeover *t = l->t;
    uint64_t top = 1ull << l->family->firmware.host_address_width;
    if (last <= start || last >= top || start % DAM_PAGE_SIZE || (last + 1) % DAM_PAGE_SIZE) {
        takeover_report(t, DAM_F_RMRR_BAD, NULL, NULL, start, last);
        return false;
    }
    uint64_t size = last + 1 - start;
    if (dam_ranges_overlap(t->config->keep_out, start, size)) {
        takeover_report(t, DAM_F_RMRR_KEEP_OUT, NULL, NULL, start, last);
        return false;
    }
    if (dam_ranges_overlap(t->config->old_ram, start, size))
        takeover_report(t, DAM_F_RMRR_IN_RAM, NULL, NULL, start, last);
    return true;
}

static dam_err on_region(void *ctx, const struct iommu_region *region)
{
    const struct listening *l = ctx;
    void *record;
    dam_err err = dam_arena_record(l->t->pool, sizeof(struct region), &record);
    if (err)
        return err;
    struct region *g = record;
    *g = (struct region){l->t->regions, *region};
    l->t->regions = g;
    return DAM_OK;
}

static dam_err read_firmware(struct dam_takeover *t, struct family *family)
{
    struct listening listening = {t, family};
    struct iommu_firmware *f = &family->firmware;
    f->pci = &t->pci;
    f->ctx = &listening;
    f->unit = on_unit;
    f->allows = allows_region;
    f->region = on_region;
    f->finding = on_firmware_finding;
    dam_err err = family->kind.read_firmware(f);
    f->ctx = NULL; // nobody listens any more
    return err;
}

enum dam_stop takeover_discover(struct dam_takeover *t)
{
    struct acpi_table mcfg;
    enum dam_stop stop = read_tables(t, &mcfg);
    if (stop)
        return stop;
    open_config_space(t, &mcfg);
    unsigned usable = 0, off = 0, other = 0, sound = 0;
    for (unsigned i = 0; i < t->family_count; i++) {
        if (!t->families[i].firmware.bytes)
            continue;
        dam_err err = read_firmware(t, &t->families[i]);
        if (err && err != DAM_E_BROKEN)
            return takeover_stop_of(err);
        sound += !err;
    }
    if (!sound)
        return DAM_STOP_BAD_ACPI;
    for (const struct unit *u = t->units; u; u = u->next) {
        usable += u->status == DAM_UNIT_PLANNED;
        off += u->status == DAM_UNIT_OFF;
        other += u->status == DAM_UNIT_UNSUPPORTED;
    }
    return usable ? DAM_STOP_NONE : other ? DAM_STOP_MODE : off ? DAM_STOP_IOMMU_OFF : DAM_STOP_NO_UNIT;
}

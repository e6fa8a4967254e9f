// SPDX-License-Identifier: MIT
// The DMAR table: units (DRHD, 8.3) and regions that firmware wants to stay reachable (RMRR, 8.4).
#include <cofferdam/acpi.h>

#include "iommu/vtd/own.h"

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

// Real firmware gives limits that are the last byte; base and limit + 1 must be multiples of 4 KiB (8.4).
static dam_err read_regions(struct iommu_firmware *f, const struct dmar_structure *rmrr)
{
    if (!f->allows(f->ctx, rmrr->base, rmrr->limit))
        return DAM_OK;
    uint16_t cursor = 0;
    struct dmar_scope scope;
    dam_err err;
    while (!(err = dmar_next_scope(rmrr, &cursor, &scope)) || err == DAM_E_RANGE) {
        struct iommu_region region = {
            .segment = rmrr->segment, .start = rmrr->base, .end = rmrr->limit + 1, .r = true, .w = true};
        bool resolved = !err && !pci_scope_resolve(f->pci, rmrr->segment, &scope, &region.target);
        if (!resolved || leads_nowhere(&scope, &region.target))
            f->finding(f->ctx, DAM_F_ACPI_SCOPE, rmrr->base, scope_path(&scope));
        if (!resolved)
            continue;
        err = f->region(f->ctx, &region);
        if (err)
            return err;
    }
    if (err == DAM_E_LENGTH)
        f->finding(f->ctx, DAM_F_ACPI_LENGTH, rmrr->offset, rmrr->length);
    return DAM_OK;
}

dam_err vtd_read_firmware(struct iommu_firmware *f)
{
    struct dmar_table dmar;
    struct dmar_structure s;
    if (dmar_open(f->bytes, f->length, &dmar))
        return DAM_E_BROKEN;
    // Real firmware has wrong checksums over sound tables. Both wrong together is noise.
    if (!dmar.checksum_ok && dmar_check(&dmar, &s))
        return DAM_E_BROKEN;
    f->host_address_width = dmar.host_address_width;
    if (f->host_address_width < 32 || f->host_address_width > 52)
        f->host_address_width = 52;
    uint32_t cursor = 0;
    dam_err err;
    while (!(err = dmar_next(&dmar, &cursor, &s))) {
        if (s.type == DMAR_DRHD)
            err = f->unit(f->ctx, s.base, s.segment, s.flags, s.offset);
        else if (s.type == DMAR_RMRR)
            err = read_regions(f, &s);
        else if (s.type > DMAR_SIDP)
            f->finding(f->ctx, DAM_F_ACPI_UNKNOWN, s.offset, s.type);
        if (err)
            return err;
    }
    if (err == DAM_E_LENGTH)
        f->finding(f->ctx, DAM_F_ACPI_LENGTH, s.offset, s.length);
    return DAM_OK; // what came before the broken structure still counts
}

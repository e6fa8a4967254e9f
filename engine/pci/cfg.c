// SPDX-License-Identifier: MIT
#include "pci/cfg.h"

#include "pci/regs.h"

#define NOTHING  0xffffffffu // what a read that nobody answers gives
#define ECAM_BUS (1ull << PCI_ECAM_BUS_SHIFT)

void pci_cfg_init(struct pci_cfg *cfg, const struct dam_ops *ops)
{
    *cfg = (struct pci_cfg){.ops = ops};
}

// The dword at reg, a multiple of 4 below 100h, of segment 0. The address is written anew each time: another
// CPU may have been stopped between its two accesses.
static dam_err read_ports(const struct dam_ops *ops, uint16_t rid, unsigned reg, uint32_t *value)
{
    dam_err err = dam_port_write(ops, PCI_PORT_ADDRESS, 4, PCI_ADDRESS_ENABLE | (uint32_t)rid << 8 | reg);
    return err ? err : dam_port_read(ops, PCI_PORT_DATA, 4, value);
}

static dam_pa ecam_address(dam_pa base, uint16_t rid, unsigned reg)
{
    return dam_pa_of(base.v + ((uint64_t)rid << PCI_ECAM_RID_SHIFT) + reg);
}

static dam_err read_ecam(const struct dam_ops *ops, dam_pa base, uint16_t rid, unsigned reg, uint32_t *value)
{
    uint64_t raw;
    dam_err err = dam_mmio_read(ops, ecam_address(base, rid, reg), 4, &raw);
    if (err == DAM_OK)
        *value = (uint32_t)raw;
    return err;
}

// Whether the first device of the window answers as it does through the ports.
static dam_err compare(const struct dam_ops *ops, const struct pci_ecam *window)
{
    const uint16_t rid = pci_rid(window->first_bus, 0, 0);
    uint32_t by_ports, by_ecam;

    dam_err err = read_ports(ops, rid, PCI_VENDOR_ID, &by_ports);
    if (err == DAM_E_UNSUPPORTED)
        return DAM_OK; // no ports: nothing to compare with
    if (err == DAM_OK)
        err = read_ecam(ops, window->base, rid, PCI_VENDOR_ID, &by_ecam);
    if (err)
        return err;
    return by_ports == by_ecam ? DAM_OK : DAM_E_VERIFY;
}

dam_err pci_cfg_add_ecam(struct pci_cfg *cfg, dam_pa base, uint16_t segment, uint8_t first_bus,
                         uint8_t last_bus)
{
    const struct pci_ecam window = {base, segment, first_bus, last_bus};

    if (base.v == 0 || base.v % ECAM_BUS != 0 || last_bus < first_bus ||
        base.v > ~0ull - (last_bus + 1ull) * ECAM_BUS)
        return DAM_E_RANGE;
    if (cfg->ecam_count == PCI_MAX_ECAM)
        return DAM_E_NOMEM;
    if (segment == 0) {
        dam_err err = compare(cfg->ops, &window);
        if (err)
            return err;
    }
    cfg->ecam[cfg->ecam_count++] = window;
    return DAM_OK;
}

// The window that leads to a bus, or NULL.
static const struct pci_ecam *window_of(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid)
{
    for (uint32_t i = 0; i < cfg->ecam_count; i++) {
        const struct pci_ecam *window = &cfg->ecam[i];
        if (window->segment == segment && rid >> 8 >= window->first_bus && rid >> 8 <= window->last_bus)
            return window;
    }
    return NULL;
}

// One aligned dword by whichever way leads there.
static dam_err read_dword(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, unsigned reg,
                          uint32_t *value)
{
    const struct pci_ecam *window = window_of(cfg, segment, rid);
    if (window)
        return read_ecam(cfg->ops, window->base, rid, reg, value);
    if (segment != 0 || reg >= 0x100)
        return DAM_E_UNSUPPORTED;
    return read_ports(cfg->ops, rid, reg, value);
}

dam_err pci_cfg_read(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, unsigned reg, unsigned width,
                     uint32_t *value)
{
    uint32_t dword = NOTHING, id;

    *value = NOTHING >> (width == 1 ? 24 : width == 2 ? 16 : 0);
    if ((width != 1 && width != 2 && width != 4) || reg % width != 0 || reg >= 0x1000)
        return DAM_E_RANGE;
    dam_err err = read_dword(cfg, segment, rid, reg & ~3u, &dword);
    if (err)
        return err;
    if (dword == NOTHING) {
        // A register may well be all ones; the vendor id never is, so it tells whether anybody is there.
        err = read_dword(cfg, segment, rid, PCI_VENDOR_ID, &id);
        if (err)
            return err;
        if ((id & 0xffff) == PCI_NO_VENDOR)
            return DAM_E_ABSENT;
    }
    *value &= dword >> (reg % 4 * 8);
    return DAM_OK;
}

dam_err pci_cfg_write_extended(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, unsigned reg,
                               uint32_t value, uint32_t *back)
{
    if (reg % 4 != 0 || reg < PCI_EXTENDED_FIRST || reg >= 0x1000)
        return DAM_E_RANGE;
    const struct pci_ecam *window = window_of(cfg, segment, rid);
    if (!window)
        return DAM_E_UNSUPPORTED;
    dam_err err = dam_mmio_write(cfg->ops, ecam_address(window->base, rid, reg), 4, value);
    // A write by ECAM may be posted: reading waits for it.
    return err ? err : pci_cfg_read(cfg, segment, rid, reg, 4, back);
}

// SPDX-License-Identifier: MIT
#include "pci/topology.h"

#include "pci/regs.h"

#define SCOPE_ENDPOINT 1
#define SCOPE_BRIDGE   2

// The bus numbers of a bridge, which must lead down from the bus it lies on: so no path can run in a circle.
static dam_err read_buses(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, uint8_t *secondary,
                          uint8_t *subordinate)
{
    uint32_t buses;
    dam_err err = pci_cfg_read(cfg, segment, rid, PCI_BUS_NUMBERS, 4, &buses);
    if (err)
        return err;
    const uint64_t second = dam_bits_get(buses, PCI_BUS_SECONDARY);
    const uint64_t last = dam_bits_get(buses, PCI_BUS_SUBORDINATE);
    if (second <= (unsigned)rid >> 8 || last < second)
        return DAM_E_BROKEN;
    *secondary = (uint8_t)second;
    *subordinate = (uint8_t)last;
    return DAM_OK;
}

// Header layout: 0 device, 1 bridge, 2 CardBus bridge (whose bus numbers lie where a bridge has them).
static dam_err read_layout(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, unsigned *layout)
{
    uint32_t type;
    dam_err err = pci_cfg_read(cfg, segment, rid, PCI_HEADER_TYPE, 1, &type);
    if (err == DAM_OK)
        *layout = (unsigned)dam_bits_get(type, PCI_HEADER_LAYOUT);
    return err;
}

static bool is_bridge(unsigned layout)
{
    return layout == PCI_LAYOUT_BRIDGE || layout == PCI_LAYOUT_CARDBUS;
}

// The PCI Express port type of a function; DAM_E_ABSENT when it has no such capability (or a list of them
// that does not end).
static dam_err read_port_type(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, unsigned *type)
{
    uint32_t status, at, capability, caps;
    dam_err err = pci_cfg_read(cfg, segment, rid, PCI_STATUS, 2, &status);
    if (err)
        return err;
    if (!dam_bits_get(status, PCI_STATUS_CAPS))
        return DAM_E_ABSENT;
    err = pci_cfg_read(cfg, segment, rid, PCI_CAPABILITIES, 1, &at);
    for (unsigned i = 0; err == DAM_OK && i < PCI_MAX_CAPS; i++) {
        at &= ~3u;
        if (at < PCI_CAP_FIRST)
            return DAM_E_ABSENT;
        err = pci_cfg_read(cfg, segment, rid, at, 2, &capability);
        if (err)
            return err;
        if ((capability & 0xff) == PCI_CAP_EXPRESS) {
            err = pci_cfg_read(cfg, segment, rid, at + PCIE_CAPS, 2, &caps);
            if (err == DAM_OK)
                *type = (unsigned)dam_bits_get(caps, PCIE_CAPS_TYPE);
            return err;
        }
        at = capability >> 8;
    }
    return err ? err : DAM_E_ABSENT;
}

// Notes the id under which requests from below a bridge may leave it. PCI Express ports pass them on as they
// are; a PCI Express to PCI bridge uses its secondary bus and device 0; the others use their own id.
static dam_err add_alias(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, uint8_t secondary,
                         struct pci_target *out)
{
    unsigned type;
    dam_err err = read_port_type(cfg, segment, rid, &type);
    if (err == DAM_OK && type == PCIE_TYPE_TO_PCI)
        out->alias[out->alias_count++] = pci_rid(secondary, 0, 0);
    else if (err == DAM_E_ABSENT || (err == DAM_OK && type == PCIE_TYPE_FROM_PCI))
        out->alias[out->alias_count++] = rid;
    return err == DAM_E_ABSENT ? DAM_OK : err;
}

// Goes from a bridge on the way to the bus behind it.
static dam_err step(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, struct pci_target *out,
                    uint8_t *bus)
{
    unsigned layout;
    uint8_t secondary, subordinate;

    dam_err err = read_layout(cfg, segment, rid, &layout);
    if (err)
        return err;
    if (!is_bridge(layout))
        return DAM_E_BROKEN;
    err = read_buses(cfg, segment, rid, &secondary, &subordinate);
    if (err)
        return err;
    *bus = secondary;
    return add_alias(cfg, segment, rid, secondary, out);
}

// What is at the end of the path. Nothing here is an error: the id is known, and a device that is switched
// off has one too.
static void look_at_end(const struct pci_cfg *cfg, uint16_t segment, uint8_t scope_type,
                        struct pci_target *out)
{
    unsigned layout;
    uint32_t class;

    if (read_layout(cfg, segment, out->rid, &layout) != DAM_OK)
        return;
    out->present = true;
    if (scope_type == SCOPE_ENDPOINT) {
        out->mismatch = is_bridge(layout);
    } else if (is_bridge(layout)) {
        // A bridge that nobody has given bus numbers has nothing below.
        out->has_below = read_buses(cfg, segment, out->rid, &out->below_first, &out->below_last) == DAM_OK;
    } else {
        // Non-transparent bridges look like devices but for their class; Linux takes them here as well.
        out->mismatch = pci_cfg_read(cfg, segment, out->rid, PCI_BASE_CLASS, 1, &class) != DAM_OK ||
                        class != PCI_CLASS_BRIDGE;
    }
}

dam_err pci_scope_resolve(const struct pci_cfg *cfg, uint16_t segment, const struct dmar_scope *scope,
                          struct pci_target *out)
{
    uint8_t bus = scope->start_bus;

    *out = (struct pci_target){0};
    if (scope->path_length == 0 || scope->path_length > DMAR_MAX_PATH)
        return DAM_E_RANGE;
    for (unsigned i = 0; i < scope->path_length; i++)
        if (scope->path[i].device > 31 || scope->path[i].function > 7)
            return DAM_E_RANGE;
    const unsigned last = scope->path_length - 1u;
    for (unsigned i = 0; i < last; i++) {
        const uint16_t bridge = pci_rid(bus, scope->path[i].device, scope->path[i].function);
        dam_err err = step(cfg, segment, bridge, out, &bus);
        if (err) {
            *out = (struct pci_target){.rid = bridge}; // where it went wrong
            return err;
        }
    }
    out->rid = pci_rid(bus, scope->path[last].device, scope->path[last].function);
    if (scope->type == SCOPE_ENDPOINT || scope->type == SCOPE_BRIDGE)
        look_at_end(cfg, segment, scope->type, out);
    return DAM_OK;
}

bool pci_target_covers(const struct pci_target *target, uint16_t rid)
{
    if (rid == target->rid)
        return true;
    for (unsigned i = 0; i < target->alias_count; i++)
        if (rid == target->alias[i])
            return true;
    return target->has_below && rid >> 8 >= target->below_first && rid >> 8 <= target->below_last;
}

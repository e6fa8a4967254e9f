// SPDX-License-Identifier: MIT
// From a device scope (VT-d architecture specification, 8.3.1) to the requester ids that the IOMMU sees.
#ifndef ENGINE_PCI_TOPOLOGY_H
#define ENGINE_PCI_TOPOLOGY_H

#include <cofferdam/acpi.h>
#include "pci/cfg.h"

// What a device scope names.
struct pci_target {
    uint16_t rid; // of the device at the end of the path
    bool
        present; // it answered; false also for scopes that name no PCI function (I/O APIC, HPET, ACPI device)
    bool mismatch;  // an endpoint scope that leads to a bridge, or a bridge scope that leads to a plain
                    // endpoint
    bool has_below; // a bridge scope that leads to a bridge: it covers the buses below too
    uint8_t below_first, below_last; // those buses, inclusive
    // Under which other ids requests of that device may arrive: conventional PCI bridges on the way put their
    // own in its place (PCI Express to PCI/PCI-X Bridge specification 1.0, 2.3).
    uint8_t alias_count;
    uint16_t alias[DMAR_MAX_PATH];
};

// Follows the path of a scope through the secondary bus numbers of its bridges. A path of one pair needs no
// configuration space: this also takes the tables that give the last bus as the start bus. DAM_E_ABSENT: a
// bridge on the way is not there. DAM_E_BROKEN: a function on the way is no bridge, or has bus numbers that
// do not lead down (secondary not above its own bus, or above its subordinate one). DAM_E_RANGE: an empty
// path, or one with a device number above 31 or a function number above 7. Else what pci_cfg_read said of a
// bridge on the way (DAM_E_UNSUPPORTED: no way to its configuration space). When only the device at the end
// does not answer (or cannot be asked), the result is DAM_OK with present = false. On an error out->rid is
// the bridge where the way ends (0 for DAM_E_RANGE).
DAM_MUST_CHECK dam_err pci_scope_resolve(const struct pci_cfg *cfg, uint16_t segment,
                                         const struct dmar_scope *scope, struct pci_target *out);

// Whether a request with this id comes from what the scope names: the device, one of its aliases, or
// something below it.
bool pci_target_covers(const struct pci_target *target, uint16_t rid);

#endif

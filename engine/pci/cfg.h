// SPDX-License-Identifier: MIT
// PCI configuration space, by ECAM (PCI Express Base specification 6.0, 7.2.2) or by ports CF8h/CFCh (PCI
// Local Bus specification 3.0, 3.2.2.3.2).
#ifndef ENGINE_PCI_CFG_H
#define ENGINE_PCI_CFG_H

#include <cofferdam/ops.h>

#define PCI_MAX_ECAM 32u

struct pci_ecam {
    dam_pa base; // of bus 0, even where first_bus is more
    uint16_t segment;
    uint8_t first_bus, last_bus;
};

struct pci_cfg {
    const struct dam_ops *ops;
    uint32_t ecam_count;
    struct pci_ecam ecam[PCI_MAX_ECAM];
};

static inline uint16_t pci_rid(unsigned bus, unsigned device, unsigned function)
{
    return (uint16_t)((bus & 0xff) << 8 | (device & 0x1f) << 3 | (function & 7));
}

// Starts with ports only: segment 0, registers below 100h. ops must outlive cfg.
void pci_cfg_init(struct pci_cfg *cfg, const struct dam_ops *ops);

// Adds a window that the MCFG table names, after a check: base is not 0 and a multiple of 1 MiB, the buses
// are in order, nothing wraps (else DAM_E_RANGE); for segment 0 device 00.0 of the first bus must answer
// there as it does through the ports (else DAM_E_VERIFY, DAM_F_ECAM). Where there are no ports, and for other
// segments, there is nothing to compare with, and the window is taken as it is. DAM_E_NOMEM: PCI_MAX_ECAM
// windows already. Else what the ops said. On any error the window is not used.
DAM_MUST_CHECK dam_err pci_cfg_add_ecam(struct pci_cfg *cfg, dam_pa base, uint16_t segment, uint8_t first_bus,
                                        uint8_t last_bus);

// Reads a naturally aligned register of width 1, 2 or 4 bytes. reg < 1000h. DAM_E_ABSENT: no function answers
// at rid (its vendor id reads all ones); *value is all ones then. DAM_E_UNSUPPORTED: no way leads to this
// segment, bus or register. DAM_E_RANGE: reg or width is wrong. Else what the ops said.
DAM_MUST_CHECK dam_err pci_cfg_read(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, unsigned reg,
                                    unsigned width, uint32_t *value);

// Writes the dword at reg, a multiple of 4 from 100h on, and reads it back (*back). A dword whole: the caller
// sees to it that halves that he does not mean are read-only, or hold 0 where writing 1 would clear.
// DAM_E_UNSUPPORTED: no window leads there. DAM_E_RANGE: reg is wrong. DAM_E_ABSENT: nobody answers any more.
// Else what the ops said.
DAM_MUST_CHECK dam_err pci_cfg_write_extended(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid,
                                              unsigned reg, uint32_t value, uint32_t *back);

#endif

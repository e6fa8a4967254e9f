// SPDX-License-Identifier: MIT
// Address translation services of a function: PCI Express Base specification 6.0, chapter 10.
#ifndef ENGINE_PCI_ATS_H
#define ENGINE_PCI_ATS_H

#include "pci/cfg.h"

struct pci_ats {
    // Offsets of the extended capabilities; 0: the function has none.
    uint16_t ats, pri, sriov, pasid;
    bool on;         // it may keep translations and use them
    bool pages;      // it may ask for pages (page request interface)
    bool pasids;     // it may keep translations by PASID; not known of a virtual function
    bool is_virtual; // a virtual function: it has no vendor id of its own (9.3.4.1.1)
    uint8_t depth;   // invalidations that it takes at a time; 0: 32, or those of its physical function
    // Virtual functions that are enabled below this one; vf_count 0: none.
    uint16_t vf_count, vf_offset, vf_stride;
};

// Reads what a function has. Reads configuration space alone, at most some 500 times. DAM_E_ABSENT: nobody
// answers, or does no more. DAM_E_BROKEN: the list of capabilities does not end or leads outside; what was
// found on it before is filled in and can be used. DAM_E_UNSUPPORTED: no ECAM window leads there. Else what
// the ops said.
DAM_MUST_CHECK dam_err pci_ats_read(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid,
                                    struct pci_ats *out);

// Whether rid is one of the virtual functions that `ats`, read from the physical function pf, enables.
bool pci_ats_is_vf_of(const struct pci_ats *ats, uint16_t pf, uint16_t rid);

// Switches page requests off, then ATS, on which the function forgets all translations (10.3.7, 10.5.1.3).
// What is off already is not written. DAM_E_VERIFY: it does not stay off (*reg and *raw tell where); else as
// pci_cfg_write_extended().
DAM_MUST_CHECK dam_err pci_ats_switch_off(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid,
                                          const struct pci_ats *ats, uint16_t *reg, uint32_t *raw);

#endif

// SPDX-License-Identifier: MIT
#include "pci/ats.h"

#include "pci/regs.h"

#define NOBODY 0xffffffffu

// Goes along the list of extended capabilities and notes where those that matter here lie. The list is the
// device's own: it may be anything.
static dam_err find_capabilities(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid,
                                 struct pci_ats *out)
{
    uint32_t at = PCI_EXTENDED_FIRST, header;
    for (unsigned i = 0; i < PCI_MAX_EXTENDED; i++) {
        dam_err err = pci_cfg_read(cfg, segment, rid, at, 4, &header);
        if (err)
            return err;
        if (header == NOBODY || header == 0) // conventional functions have nothing there
            return at == PCI_EXTENDED_FIRST ? DAM_OK : DAM_E_BROKEN;
        switch (dam_bits_get(header, PCI_EXT_ID)) {
        case PCI_EXT_ATS:
            out->ats = (uint16_t)at;
            break;
        case PCI_EXT_PRI:
            out->pri = (uint16_t)at;
            break;
        case PCI_EXT_PASID:
            out->pasid = (uint16_t)at;
            break;
        case PCI_EXT_SRIOV:
            out->sriov = (uint16_t)at;
            break;
        default:
            break;
        }
        at = (uint32_t)dam_bits_get(header, PCI_EXT_NEXT) & ~3u;
        if (at == 0)
            return DAM_OK;
        if (at < PCI_EXTENDED_FIRST)
            return DAM_E_BROKEN;
    }
    return DAM_E_BROKEN;
}

static dam_err read_vfs(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, struct pci_ats *out)
{
    uint32_t control, count = 0, offset = 0, stride = 0;
    dam_err err = pci_cfg_read(cfg, segment, rid, out->sriov + PCI_SRIOV_DWORD, 4, &control);
    if (!err)
        err = pci_cfg_read(cfg, segment, rid, out->sriov + PCI_SRIOV_NUM, 2, &count);
    if (!err)
        err = pci_cfg_read(cfg, segment, rid, out->sriov + PCI_SRIOV_OFFSET, 2, &offset);
    if (!err)
        err = pci_cfg_read(cfg, segment, rid, out->sriov + PCI_SRIOV_STRIDE, 2, &stride);
    if (err || !dam_bits_get(control, PCI_SRIOV_VFE))
        return err;
    out->vf_count = (uint16_t)count;
    out->vf_offset = (uint16_t)offset;
    out->vf_stride = (uint16_t)stride;
    return DAM_OK;
}

dam_err pci_ats_read(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, struct pci_ats *out)
{
    uint32_t command, vendor, dword;

    *out = (struct pci_ats){0};
    // Command and status are never all ones; the vendor id of a virtual function is.
    dam_err err = pci_cfg_read(cfg, segment, rid, PCI_COMMAND, 4, &command);
    if (!err && command == NOBODY)
        err = DAM_E_ABSENT;
    if (!err)
        err = pci_cfg_read(cfg, segment, rid, PCI_VENDOR_ID, 2, &vendor);
    if (err && err != DAM_E_ABSENT)
        return err;
    if (command == NOBODY)
        return DAM_E_ABSENT;
    out->is_virtual = vendor == PCI_NO_VENDOR;
    const dam_err list = find_capabilities(cfg, segment, rid, out);
    if (list && list != DAM_E_BROKEN)
        return list;
    err = DAM_OK;
    if (out->ats && !(err = pci_cfg_read(cfg, segment, rid, out->ats + PCI_ATS_DWORD, 4, &dword))) {
        out->on = dam_bits_get(dword, PCI_ATS_ENABLE);
        out->depth = (uint8_t)dam_bits_get(dword, PCI_ATS_DEPTH);
    }
    if (!err && out->pri && !(err = pci_cfg_read(cfg, segment, rid, out->pri + PCI_PRI_DWORD, 4, &dword)))
        out->pages = dam_bits_get(dword, PCI_PRI_ENABLE);
    if (!err && out->pasid &&
        !(err = pci_cfg_read(cfg, segment, rid, out->pasid + PCI_PASID_DWORD, 4, &dword)))
        out->pasids = dam_bits_get(dword, PCI_PASID_ENABLE);
    if (!err && out->sriov)
        err = read_vfs(cfg, segment, rid, out);
    // A capability that begins in the last dwords runs out of configuration space.
    return err == DAM_E_RANGE ? DAM_E_BROKEN : err ? err : list;
}

bool pci_ats_is_vf_of(const struct pci_ats *ats, uint16_t pf, uint16_t rid)
{
    const uint32_t first = (uint32_t)pf + ats->vf_offset;
    if (ats->vf_count == 0 || rid < first)
        return false;
    const uint32_t distance = rid - first;
    if (ats->vf_stride == 0)
        return distance == 0;
    return distance % ats->vf_stride == 0 && distance / ats->vf_stride < ats->vf_count;
}

// Writes `value` and checks that `bits` are 0 then.
static dam_err write_off(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid, uint16_t reg,
                         uint32_t value, uint32_t bits, uint32_t *raw)
{
    dam_err err = pci_cfg_write_extended(cfg, segment, rid, reg, value, raw);
    return err ? err : (*raw & bits) ? DAM_E_VERIFY : DAM_OK;
}

dam_err pci_ats_switch_off(const struct pci_cfg *cfg, uint16_t segment, uint16_t rid,
                           const struct pci_ats *ats, uint16_t *reg, uint32_t *raw)
{
    dam_err err = DAM_OK;
    if (ats->pages) {
        const uint32_t enable = (uint32_t)dam_bits_mask(PCI_PRI_ENABLE);
        *reg = (uint16_t)(ats->pri + PCI_PRI_DWORD);
        err = pci_cfg_read(cfg, segment, rid, *reg, 4, raw);
        // The status half is written as 0: its ones would clear.
        if (!err)
            err = write_off(cfg, segment, rid, *reg,
                            *raw & (uint32_t)dam_bits_mask(PCI_PRI_CONTROL) & ~enable, enable, raw);
    }
    // ATS goes off even where page requests do not.
    if (ats->on && (!err || err == DAM_E_VERIFY)) {
        const uint32_t enable = (uint32_t)dam_bits_mask(PCI_ATS_ENABLE);
        const dam_err before = err;
        *reg = (uint16_t)(ats->ats + PCI_ATS_DWORD);
        err = pci_cfg_read(cfg, segment, rid, *reg, 4, raw);
        if (!err)
            err = write_off(cfg, segment, rid, *reg, *raw & ~enable, enable, raw);
        err = err ? err : before;
    }
    return err;
}

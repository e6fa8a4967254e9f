// SPDX-License-Identifier: MIT
#include "base/finding.h"

enum dam_severity dam_finding_severity(uint16_t code)
{
    switch (code) {
#define DAM_X(name, value, severity, text)                                                                   \
    case name:                                                                                               \
        return severity;
        DAM_FINDINGS(DAM_X)
#undef DAM_X
    default:
        return DAM_ERROR;
    }
}

void dam_finding_add(struct dam_finding_ring *ring, const struct dam_finding *finding)
{
    ring->total++;
    uint32_t alike = 0, last = 0;
    for (uint32_t i = 0; i < ring->count; i++) {
        const struct dam_finding *f = &ring->at[i];
        if (f->code == finding->code && f->unit == finding->unit && f->segment == finding->segment &&
            f->rid == finding->rid) {
            alike++;
            last = i;
        }
    }
    if (alike >= DAM_FINDING_EACH) {
        ring->at[last].repeats++;
        return;
    }
    if (ring->count == DAM_MAX_FINDINGS) {
        ring->lost++;
        return;
    }
    struct dam_finding *slot = &ring->at[ring->count++];
    *slot = *finding;
    slot->severity = (uint8_t)dam_finding_severity(finding->code);
}

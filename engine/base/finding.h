// SPDX-License-Identifier: MIT
// The ring of findings: what is odd, in the order it was seen. A full ring keeps the first ones and counts
// the rest: the first broken entry says more than the last.
#ifndef ENGINE_BASE_FINDING_H
#define ENGINE_BASE_FINDING_H

#include <cofferdam/findings.h>
#include <cofferdam/takeover.h>

struct dam_finding_ring {
    struct dam_finding at[DAM_MAX_FINDINGS];
    uint32_t count; // kept
    uint32_t total; // seen, repeats included
    uint32_t lost;  // of these, neither kept nor counted as a repeat
};

// Keeps a copy of the finding with the severity of its code. One that differs from the last of its code, unit
// and requester only in its place (level, index, address, raw, iova) is folded into that one's `repeats`
// after the first DAM_FINDING_EACH of them.
#define DAM_FINDING_EACH 4u
void dam_finding_add(struct dam_finding_ring *ring, const struct dam_finding *finding);

// The severity that the list gives a code; DAM_ERROR for codes that are not in it.
enum dam_severity dam_finding_severity(uint16_t code);

#endif

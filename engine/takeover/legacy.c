// SPDX-License-Identifier: MIT
// Context tables of legacy mode: one table a bus, one entry a function, each a binding.
#include "takeover/takeover.h"

// Reads one context table into a page of ours, in which only what is sound stays present, with faults off:
// absent and broken entries refuse silently.
dam_err takeover_read_legacy(struct dam_takeover *t, struct unit *unit, unsigned half, dam_pa table)
{
    dam_err err = takeover_read_context_table(t, unit, half, table);
    uint64_t *copied = unit->copied[half], *planned = unit->planned[half];
    for (unsigned devfn = 0; !err && devfn < VTD_DEVFNS; devfn++) {
        struct vtd_context_entry *entry = (struct vtd_context_entry *)copied + devfn;
        struct found found = {
            .rid = (uint16_t)(half / 2 << 8 | devfn),
            .index = (uint16_t)devfn,
            .binding = vtd_context_decode(*entry, t->host_address_width),
            .address = table.v + devfn * sizeof(*entry),
            .live = planned + devfn * takeover_context_words(unit),
        };
        bool sound = false;
        if (found.binding.present)
            err = takeover_add_requester(t, unit, &found, &sound);
        if (sound)
            entry->w[0] |= dam_bits_mask(VTD_CTX_FPD);
        else
            *entry = (struct vtd_context_entry){{VTD_SILENT, 0}};
    }
    return err;
}

// SPDX-License-Identifier: MIT
// Context tables of legacy mode: one table a bus, one entry a function, each a binding.
#include "takeover/takeover.h"

#include <string.h>

#define WORDS (sizeof(struct vtd_context_entry) / sizeof(uint64_t))

// Reads one context table into a page of ours, in which only what is sound stays present, with faults off:
// absent and broken entries refuse silently. The planned table is silent until the requesters are filled in.
dam_err takeover_read_contexts(struct dam_takeover *t, struct unit *unit, unsigned half, dam_pa table)
{
    void *copied, *planned;
    dam_err err = dam_arena_pages(t->pool, 1, &copied);
    if (!err)
        err = dam_arena_pages(t->pool, 1, &planned);
    if (!err)
        err = dam_mem_read(t->ops, table, copied, DAM_PAGE_SIZE);
    if (err)
        return err;
    memcpy(planned, t->silence, DAM_PAGE_SIZE);
    unit->copied[half] = copied;
    unit->planned[half] = planned;
    struct vtd_context_entry *contexts = copied;
    for (unsigned devfn = 0; !err && devfn < VTD_DEVFNS; devfn++) {
        struct found found = {
            .rid = (uint16_t)(half / 2 << 8 | devfn),
            .binding = vtd_context_decode(contexts[devfn], t->host_address_width),
            .address = table.v + devfn * sizeof(*contexts),
            .live = (uint64_t *)planned + devfn * WORDS,
        };
        bool sound = false;
        if (found.binding.present) {
            err = takeover_add_requester(t, unit, &found);
            sound = !err && unit->last_requester->old_kind != DAM_OLD_BROKEN;
        }
        if (sound)
            contexts[devfn].w[0] |= dam_bits_mask(VTD_CTX_FPD);
        else
            contexts[devfn] = (struct vtd_context_entry){{VTD_SILENT, 0}};
    }
    return err;
}

void takeover_encode(const struct unit *unit, const struct requester *r, uint64_t *entry, unsigned *words)
{
    (void)unit;
    struct vtd_binding b = r->old;
    b.levels = r->new_tree->levels;
    b.did = r->new_did;
    b.root = r->new_tree->root;
    struct vtd_context_entry context = vtd_context_encode(&b);
    memcpy(entry, context.w, sizeof(context));
    *words = WORDS;
}

// SPDX-License-Identifier: MIT
// Root, context and PASID tables that change after they were read. What is used is the copy that was checked,
// so a change does no harm; but then Old(d) was not what we took it for, and the note has to say so.
#include "takeover/takeover.h"

struct seen {
    struct seen *next;
    dam_pa pa;
    uint64_t digest;
};

// Tells any two tables apart that are not made to be mistaken for each other.
static uint64_t digest_of(const uint64_t *words)
{
    uint64_t digest = 1;
    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        digest = (digest ^ words[i]) * 0x9E3779B97F4A7C15ull;
        digest ^= digest >> 29;
    }
    return digest;
}

dam_err takeover_read_page(struct dam_takeover *t, struct unit *unit, dam_pa pa, uint64_t *words)
{
    dam_err err = dam_mem_read(t->ops, pa, words, DAM_PAGE_SIZE);
    void *record;
    if (!err)
        err = dam_arena_record(t->pool, sizeof(struct seen), &record);
    if (err)
        return err;
    struct seen *seen = record;
    *seen = (struct seen){unit->seen, pa, digest_of(words)};
    unit->seen = seen;
    return DAM_OK;
}

void takeover_report_changes(struct dam_takeover *t, const struct unit *unit)
{
    for (const struct seen *s = unit->seen; s; s = s->next)
        if (!dam_mem_read(t->ops, s->pa, t->buffers, DAM_PAGE_SIZE) && digest_of(t->buffers) != s->digest)
            takeover_report(t, DAM_F_TABLES_CHANGED, unit, NULL, s->pa.v, s->digest);
}

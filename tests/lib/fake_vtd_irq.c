// SPDX-License-Identifier: MIT
// Interrupt remapping of a unit: entries, as chapter 5 and 9.9 of the VT-d architecture specification have
// them, and their cache.
#include <stdlib.h>
#include <string.h>

#include "lib/fake_vtd.h"

#define IRE (1u << 25)

enum { IRT_INDEX = 0x21, IRT_ABSENT = 0x22, IRT_ACCESS = 0x23, IRT_RESERVED = 0x24, IRT_SOURCE = 0x26 };

void fake_invalidate_irtes(struct fake_unit *unit, bool one, unsigned index, unsigned index_mask)
{
    unit->iec_global += !one;
    unit->irte_stale &= one;
    for (unsigned i = 0; unit->irte_cached && i < 65536; i++)
        if (!one || (index_mask < 16 && (i ^ index) >> index_mask == 0))
            unit->irte_cached[i] = 0;
}

static bool read_entry(struct fake_vtd *fake, const struct fake_unit *unit, unsigned index, uint64_t *e)
{
    uint64_t pa = (unit->irta_latched & ~0xFFFull) + 16ull * index;
    const struct fake_region *region = fake_region_at(fake, pa, 16);
    const uint8_t *from = region ? (unit->ecap & 1 ? region->host : region->device) : NULL;
    if (from)
        memcpy(e, from + (pa - region->pa), 16);
    return from;
}

static bool source_ok(const uint64_t *e, unsigned sid)
{
    unsigned want = e[1] & 0xFFFF;
    static const unsigned ignored[4] = {0, 4, 6, 7}; // function bits that SQ leaves out
    switch (e[1] >> 18 & 3) {
    case 0:
        return true;
    case 1:
        return ((sid ^ want) & ~ignored[e[1] >> 16 & 3]) == 0;
    default:
        return sid >> 8 >= want >> 8 && sid >> 8 <= (want & 0xFF);
    }
}

static unsigned refusal(const struct fake_unit *unit, const uint64_t *e, unsigned sid)
{
    bool extended = unit->irta_latched >> 11 & 1, posted = e[0] >> 15 & 1;
    if (!(e[0] & 1))
        return IRT_ABSENT;
    uint64_t reserved = posted ? 0x0000003FFF0030FCull : 0x00000000FF007000ull;
    if (!extended && !posted)
        reserved |= 0xFFFF00FF00000000ull;
    uint64_t reserved_high = posted ? 0x00000000FFF00000ull : 0xFFFFFFFFFFF00000ull;
    if ((e[0] & reserved) || (e[1] & reserved_high) || (e[1] >> 18 & 3) == 3)
        return IRT_RESERVED;
    if (posted && !(unit->cap >> 59 & 1))
        return IRT_RESERVED;
    return source_ok(e, sid) ? 0 : IRT_SOURCE;
}

struct fake_irq_result fake_irq(struct fake_vtd *fake, unsigned number, unsigned sid, unsigned index)
{
    struct fake_unit *unit = &fake->unit[number];
    if (!unit->irtes) {
        unit->irtes = calloc(65536, sizeof(*unit->irtes));
        unit->irte_cached = calloc(65536, 1);
        if (!unit->irtes || !unit->irte_cached)
            abort();
    }
    if (!(unit->gsts & IRE) || index > 0xFFFF)
        abort(); // the test asks what this model does not have
    if (index >= 2u << (unit->irta_latched & 15))
        return (struct fake_irq_result){.recorded = true, .reason = IRT_INDEX};
    uint64_t *e = unit->irtes[index];
    if (!unit->irte_cached[index] && !read_entry(fake, unit, index, e))
        return (struct fake_irq_result){.recorded = true, .reason = IRT_ACCESS};
    unit->irte_cached[index] = (e[0] & 1) || (unit->cap >> 7 & 1);
    unsigned reason = refusal(unit, e, sid);
    if (reason)
        return (struct fake_irq_result){.recorded = !(e[0] >> 1 & 1), .reason = reason};
    if (e[0] >> 15 & 1)
        return (struct fake_irq_result){.delivered = true,
                                        .post_to = (e[1] & 0xFFFFFFFF00000000ull) | (e[0] >> 32 & ~0x3Full)};
    return (struct fake_irq_result){.delivered = true,
                                    .vector = e[0] >> 16 & 0xFF,
                                    .mode = e[0] >> 5 & 7,
                                    .destination = (uint32_t)(e[0] >> 32)};
}

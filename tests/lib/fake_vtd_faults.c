// SPDX-License-Identifier: MIT
// What a unit tells by itself: fault records, the advanced fault log, page requests. VT-d architecture
// specification, chapter 7 and 11.4.7 to 11.4.11.
#include <string.h>

#include "lib/fake_vtd.h"

#define PFO   (1u << 0)
#define PPF   (1u << 1)
#define AFLS  (1u << 28)
#define MASK  (1u << 31)
#define FAULT (1ull << 63)

enum { AFLOG = 0x58, IECTL = 0xA0, PQH = 0xC0, PQT = 0xC8, PQA = 0xD0, PRS = 0xDC, PECTL = 0xE0 };

static unsigned records(const struct fake_unit *unit)
{
    unsigned n = (unsigned)(unit->cap >> 40 & 0xFF) + 1;
    return n < FAKE_RECORDS ? n : FAKE_RECORDS;
}

static void pending(struct fake_unit *unit)
{
    bool any = false;
    for (unsigned i = 0; i < records(unit); i++)
        any |= unit->record[i][1] >> 63;
    unit->fsts = (unit->fsts & ~PPF) | (any ? PPF : 0);
}

void fake_record_fault(struct fake_vtd *fake, struct fake_unit *unit, uint64_t low, uint64_t high)
{
    if (unit->gsts & AFLS) {
        unit->log_writes++;
        if (!fake_region_at(fake, unit->aflog & ~0xFFFull, 16))
            fake_violation(fake, "fault logged to where no memory is");
        return;
    }
    if (unit->fsts & PFO)
        return;
    uint64_t *slot = unit->record[unit->next_record];
    if (slot[1] >> 63) {
        unit->fsts |= PFO;
        return;
    }
    if (!(unit->fsts & PPF))
        unit->fsts = (unit->fsts & ~0xFF00u) | unit->next_record << 8;
    slot[0] = low;
    slot[1] = high | FAULT;
    unit->next_record = (unit->next_record + 1) % records(unit);
    pending(unit);
    if (unit->fectl & MASK)
        unit->fectl |= 1u << 30;
}

void fake_page_request(struct fake_vtd *fake, unsigned number)
{
    struct fake_unit *unit = &fake->unit[number];
    uint64_t size = 4096ull << (unit->pqa & 7), next = (unit->pqt + 32) % size;
    if (!(unit->pqa & ~0xFFFull) || (unit->prs & 2))
        return;
    if (next == unit->pqh) {
        unit->prs |= 2;
        return;
    }
    uint8_t *at = fake_vtd_ptr(fake, (unit->pqa & ~0xFFFull) + unit->pqt, 32);
    if (at)
        memset(at, 0xE1, 32);
    else
        fake_violation(fake, "page request written to where no memory is");
    unit->pqt = next;
    unit->prs |= 1;
    unit->page_events += !(unit->pectl & MASK);
}

// ---- registers --------------------------------------------------------------------------------------------
// The record that an offset lies in, or NULL; *part: bytes into it.
static uint64_t *record_at(struct fake_unit *unit, uint16_t offset, unsigned *part)
{
    unsigned base = (unsigned)(unit->cap >> 24 & 0x3FF) * 16;
    if (offset < base || offset >= base + 16 * records(unit))
        return NULL;
    *part = (offset - base) % 16;
    return unit->record[(offset - base) / 16];
}

unsigned fake_fault_width(struct fake_unit *unit, uint16_t offset)
{
    unsigned part;
    switch (offset) {
    case AFLOG:
        return unit->cap >> 3 & 1 ? 8 : 0;
    case IECTL:
        return unit->ecap >> 1 & 1 ? 4 : 0;
    case PRS:
    case PECTL:
        return unit->ecap >> 29 & 1 ? 4 : 0;
    case PQH:
    case PQT:
    case PQA:
        return unit->ecap >> 29 & 1 ? 8 : 0;
    default:
        if (!record_at(unit, offset, &part))
            return 0;
        return part == 12 ? 4 : part % 8 ? 0 : 8;
    }
}

uint64_t fake_fault_read(struct fake_unit *unit, uint16_t offset)
{
    unsigned part;
    const uint64_t *record = record_at(unit, offset, &part);
    switch (offset) {
    case AFLOG:
        return unit->aflog;
    case IECTL:
        return unit->iectl;
    case PRS:
        return unit->prs;
    case PECTL:
        return unit->pectl;
    case PQH:
        return unit->pqh;
    case PQT:
        return unit->pqt;
    case PQA:
        return unit->pqa;
    default:
        return !record ? 0 : part == 12 ? record[1] >> 32 : record[part / 8];
    }
}

void fake_fault_write(struct fake_vtd *fake, struct fake_unit *unit, uint16_t offset, uint64_t value)
{
    unsigned part = 0;
    uint64_t *record = record_at(unit, offset, &part);
    switch (offset) {
    case AFLOG:
        unit->aflog = value;
        break;
    case IECTL:
        unit->iectl = (uint32_t)value & MASK;
        break;
    case PRS:
        unit->prs &= ~((uint32_t)value & 3);
        break;
    case PECTL:
        unit->pectl = (uint32_t)value & MASK;
        break;
    case PQH:
        unit->pqh = value;
        break;
    case PQT:
        unit->pqt = value;
        break;
    case PQA:
        if (unit->pqt >= 4096ull << (value & 7) || unit->pqh >= 4096ull << (value & 7))
            fake_violation(fake, "page request queue moved with its head or tail beyond its end");
        unit->pqa = value;
        break;
    default:
        if (!record || part < 8)
            fake_violation(fake, "write to register %#x, which is read-only or not known", offset);
        else if (part == 12 ? value >> 31 & 1 : value >> 63)
            record[1] &= ~FAULT;
        pending(unit);
    }
}

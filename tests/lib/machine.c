// SPDX-License-Identifier: MIT
#include "lib/machine.h"

#include <stdlib.h>
#include <string.h>

#define OLD_SIZE      (M_OLD_END - M_OLD_START)
#define CRASH_SIZE    (M_CRASH_END - M_CRASH_START)
#define FIRMWARE_SIZE 0x1000u

// One machine at a time: allocating this anew for thousands of them would cost more than the tests.
static struct {
    _Alignas(4096) uint8_t old[OLD_SIZE];
    uint8_t crash[CRASH_SIZE];
    uint8_t firmware[FIRMWARE_SIZE];
} memory;
static uint8_t old_before[OLD_SIZE], note[DAM_NOTE_MAX_SIZE];

static void setup(struct machine *m)
{
    *m = (struct machine){.fake = fake_vtd_new()};
    memset(&memory, 0, sizeof(memory));
    m->old = memory.old;
    m->old_before = old_before;
    m->crash_memory = memory.crash;
    m->pool_memory = m->crash_memory + (M_POOL_START - M_CRASH_START);
    m->firmware_memory = memory.firmware;
    fake_vtd_memory(m->fake, M_OLD_START, m->old, OLD_SIZE);
    fake_vtd_memory(m->fake, M_CRASH_START, m->crash_memory, CRASH_SIZE);
    fake_vtd_memory(m->fake, M_FIRMWARE, m->firmware_memory, FIRMWARE_SIZE);
    dam_ranges_init(&m->old_ram, m->old_storage, 8);
    dam_ranges_init(&m->keep_out, m->keep_storage, 8);
    if (dam_ranges_add(&m->old_ram, M_OLD_START, M_OLD_END) ||
        dam_ranges_add(&m->keep_out, M_CRASH_START, M_CRASH_END))
        abort();
    dam_arena_init(&m->pool, m->pool_memory, dam_pa_of(M_POOL_START), M_POOL_SIZE);
    m->config = (struct dam_takeover_config){
        .ops = &m->fake->ops,
        .pool = &m->pool,
        .policy = DAM_POLICY_FREEZE,
        .old_ram = &m->old_ram,
        .keep_out = &m->keep_out,
        .rsdp = {dam_pa_of(M_FIRMWARE)},
        .max_wait_us = 1000,
    };
    m->note = note;
}

// Bytes of the area for tables that each unit has.
static uint64_t share(unsigned units)
{
    return (M_TABLES_END - M_OLD_START) / (units ? units : 1) / 4096 * 4096;
}

void machine_setup(struct machine *m, unsigned units)
{
    setup(m);
    firmware_begin(&m->firmware, m->firmware_memory, M_FIRMWARE, FIRMWARE_SIZE, M_HAW, 1);
    for (unsigned i = 0; i < units; i++) {
        const uint64_t size = share(units), at = i * size;
        fake_vtd_unit(m->fake, M_UNIT(i));
        firmware_drhd(&m->firmware, i + 1 == units, 0, M_UNIT(i));
        old_kernel_begin(&m->k[i], m->old + at, M_OLD_START + at, size);
    }
}

void machine_setup_amd(struct machine *m, unsigned units)
{
    setup(m);
    m->amd = fake_amdvi_new(m->fake);
    firmware_ivrs(&m->firmware, m->firmware_memory, M_FIRMWARE, FIRMWARE_SIZE, M_HAW);
    for (unsigned i = 0; i < units; i++) {
        const uint64_t size = share(units), at = i * size;
        struct fake_amd_unit *unit = fake_amdvi_unit(m->amd, M_AMD(i));
        struct fake_pci *f = fake_vtd_pci(m->fake, 0, M_AMD_ID(i) >> 3, M_AMD_ID(i) & 7, 0);
        unit->haw = M_HAW;
        f->config[0] = 0x14511022;
        f->config[1] = 0x00100000; // capabilities
        f->config[2] = 0x08060000;
        f->config[0x34 / 4] = 0x40;
        f->config[0x40 / 4] = 0x0F | 3u << 16 | 1u << 24 | 1u << 27; // IotlbSup, EFRSup
        f->config[0x44 / 4] = (uint32_t)M_AMD(i) | 1;
        firmware_ivhd(&m->firmware, 0x11, 0, (uint16_t)M_AMD_ID(i), 0, M_AMD(i), unit->efr);
        firmware_ivhd_entry(&m->firmware, i + 1 == units ? 1 : 2, (uint16_t)(0x18 + i), 0);
        old_amd_begin(&m->k[i], m->old + at, M_OLD_START + at, size, M_AMD_ENTRIES);
    }
}

void machine_scalable(struct machine *m, unsigned unit)
{
    // SMTS, second and first stage, nested, requests with PASIDs of 20 bits, page walks that snoop
    m->fake->unit[unit].ecap |= 1ull << 43 | 1ull << 46 | 1ull << 47 | 1ull << 26 | 1ull << 40 | 19ull << 35 |
                                1ull << 48 | 1ull << 49;
    m->fake->unit[unit].cap |= 1ull << 56; // first stage: 1-GiB pages
    m->k[unit].scalable = true;
}

void machine_teardown(struct machine *m)
{
    fake_vtd_free(m->fake);
}

// With queued invalidation, if the unit has that; in scalable mode with a wide queue.
static void run_unit(struct machine *m, unsigned i)
{
    struct fake_unit *unit = &m->fake->unit[i];
    uint64_t queue = unit->ecap >> 1 & 1 ? (M_QUEUES + 4096 * i) | (uint64_t)m->k[i].scalable << 11 : 0;
    fake_vtd_run(unit, m->k[i].root | (uint64_t)m->k[i].scalable << 10, queue);
}

bool machine_start(struct machine *m)
{
    firmware_end(&m->firmware);
    for (unsigned i = 0; i < m->fake->units; i++)
        if (!m->fake->unit[i].gsts)
            run_unit(m, i);
    for (unsigned i = 0; m->amd && i < m->amd->units; i++)
        if (!m->amd->unit[i].control)
            fake_amdvi_run(&m->amd->unit[i], m->k[i].root | (M_AMD_ENTRIES / 128 - 1),
                           M_AMD_BUFFERS + 0x4000 * i, M_AMD_BUFFERS + 0x4000 * i + 0x2000);
    memcpy(m->old_before, m->old, OLD_SIZE);
    fake_vtd_settle(m->fake);
    return dam_takeover_new(&m->config, &m->t) == DAM_OK;
}

enum dam_stop machine_run(struct machine *m)
{
    enum dam_stop stop = dam_takeover_prepare(m->t);
    return stop ? stop : dam_takeover_commit(m->t);
}

bool machine_old_memory_untouched(const struct machine *m)
{
    return memcmp(m->old, m->old_before, OLD_SIZE) == 0;
}

bool machine_keeps_out(uint64_t pa)
{
    return pa >= M_CRASH_START && pa < M_CRASH_END;
}

// ---- the note ---------------------------------------------------------------------------------------------
void machine_report(struct machine *m)
{
    struct dam_report_extra extra = {.summary = {.version = "test"}};
    if (dam_takeover_report(m->t, &extra, m->note, DAM_NOTE_MAX_SIZE, &m->note_size))
        abort();
    struct dam_note_header *h = (void *)m->note;
    uint32_t crc = h->crc32;
    h->crc32 = 0;
    if (h->magic != DAM_NOTE_MAGIC || h->version != DAM_NOTE_VERSION || h->size != m->note_size ||
        h->header_size != sizeof(*h) || dam_crc32(0, m->note, m->note_size) != crc)
        abort();
    h->crc32 = crc;
}

const void *machine_section(const struct machine *m, enum dam_section_type type, uint32_t *count)
{
    const struct dam_note_header *h = (const void *)m->note;
    const struct dam_note_section *s = (const void *)(m->note + h->header_size);
    for (unsigned i = 0; i < h->section_count; i++, s++) {
        if (s->type == type) {
            *count = s->count;
            return m->note + s->offset;
        }
    }
    *count = 0;
    return NULL;
}

const struct dam_note_summary *machine_summary(const struct machine *m)
{
    uint32_t count;
    return machine_section(m, DAM_SECTION_SUMMARY, &count);
}

const struct dam_note_requester *machine_requester(const struct machine *m, unsigned unit, unsigned rid)
{
    uint32_t count;
    const struct dam_note_requester *r = machine_section(m, DAM_SECTION_REQUESTERS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (r[i].unit == unit && r[i].rid == rid)
            return &r[i];
    return NULL;
}

const struct dam_note_requester *machine_pasid(const struct machine *m, unsigned unit, unsigned rid,
                                               unsigned pasid)
{
    uint32_t count;
    const struct dam_note_requester *r = machine_section(m, DAM_SECTION_REQUESTERS, &count);
    for (uint32_t i = 0; i < count; i++)
        if (r[i].unit == unit && r[i].rid == rid && (r[i].flags & DAM_REQ_PASID) && r[i].pasid == pasid)
            return &r[i];
    return NULL;
}

unsigned machine_findings(const struct machine *m, enum dam_finding_code code)
{
    uint32_t count;
    unsigned found = 0;
    const struct dam_finding *f = machine_section(m, DAM_SECTION_FINDINGS, &count);
    for (uint32_t i = 0; i < count; i++)
        found += f[i].code == code;
    return found;
}

// SPDX-License-Identifier: MIT
// The registers of an AMD IOMMU: 48882, "MMIO registers"; offsets are typed anew here on purpose.
#include "lib/fake_amdvi.h"

enum { DEVTAB = 0x0000, COMMANDS = 0x0008, EVENTS = 0x0010, CONTROL = 0x0018, EXCL_BASE = 0x0020 };
enum { EXCL_LIMIT = 0x0028, EFR = 0x0030, PPR = 0x0038, GALOG = 0x00E0, GATAIL = 0x00E8, SEG1 = 0x0100 };
enum { SEG7 = 0x0130, MSI = 0x0158, X2APIC = 0x0170, EFR2 = 0x01A0 };
enum { CMD_HEAD = 0x2000, CMD_TAIL = 0x2008, EVT_HEAD = 0x2010, EVT_TAIL = 0x2018, STATUS = 0x2020 };
enum { PPR_HEAD = 0x2030, PPR_TAIL = 0x2038, GA_HEAD = 0x2040, GA_TAIL = 0x2048 };

#define EVT_RUN    (1u << 3)
#define CMD_RUN    (1u << 4)
#define W1C        (1u << 0 | 1u << 1 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 9 | 1u << 10)
#define OVERFLOWS  (1u << 0 | 1u << 5 | 1u << 9)
#define TABLE_BITS (0x000FFFFFFFFFF000ull | 0x1FF)
#define LOG_BITS   (0x000FFFFFFFFFF000ull | 0xFull << 56)
#define POINTER    0x7FFF0ull

// Where the value of a register stands, and which of its bits can be written; NULL: there is none.
static uint64_t *place(struct fake_amd_unit *unit, uint16_t at, uint64_t *writable)
{
    *writable = POINTER;
    switch (at) {
    case CMD_HEAD:
        return &unit->command_head;
    case CMD_TAIL:
        return &unit->command_tail;
    case EVT_HEAD:
        return &unit->event_head;
    case EVT_TAIL:
        return &unit->event_tail;
    case PPR_HEAD:
        return &unit->ppr_head;
    case PPR_TAIL:
        return &unit->ppr_tail;
    case GA_HEAD:
        return &unit->ga_head;
    case GA_TAIL:
        return &unit->ga_tail;
    }
    *writable = LOG_BITS;
    switch (at) {
    case COMMANDS:
        return &unit->command_base;
    case EVENTS:
        return &unit->event_base;
    case PPR:
        return &unit->ppr_base;
    case GALOG:
        return &unit->ga_base;
    }
    *writable = TABLE_BITS;
    if (at == DEVTAB)
        return &unit->device_table[0];
    if (at >= SEG1 && at <= SEG7 && at % 8 == 0)
        return &unit->device_table[1 + (at - SEG1) / 8];
    *writable = ~0ull;
    switch (at) {
    case CONTROL:
        return &unit->control;
    case STATUS:
        return &unit->status;
    case EXCL_BASE:
        *writable = 0x000FFFFFFFFFF003ull;
        return &unit->exclusion_base;
    case EXCL_LIMIT:
        *writable = 0x000FFFFFFFFFF000ull;
        return &unit->exclusion_limit;
    case GATAIL:
        return &unit->ga_tail_address;
    case EFR:
        *writable = 0;
        return &unit->efr;
    case EFR2:
        *writable = 0;
        return &unit->efr2;
    case MSI:
    case MSI + 8:
    case MSI + 16:
        return &unit->msi[(at - MSI) / 8];
    case X2APIC:
    case X2APIC + 8:
    case X2APIC + 16:
        return &unit->x2apic[(at - X2APIC) / 8];
    }
    return NULL;
}

// ---- reading ----------------------------------------------------------------------------------------------
static void one_follows(struct fake_amd_unit *unit, bool wanted, uint32_t run, uint32_t stuck_off,
                        uint32_t stuck_on)
{
    bool is = unit->status & run;
    if (is == wanted || fake_amd_stuck(unit, is ? stuck_off : stuck_on))
        return;
    unit->status ^= run;
}

// The Run bits follow the control register once the status, or the clock, has been looked at `latency` times.
void fake_amd_follow(struct fake_amd_unit *unit)
{
    if (unit->pending_reads) {
        unit->pending_reads--;
        return;
    }
    bool on = unit->control & FAKE_AMD_ENABLE;
    one_follows(unit, on && (unit->control & FAKE_AMD_CMD_BUF) && !unit->command_error, CMD_RUN,
                FAKE_AMD_STUCK_CMD_OFF, FAKE_AMD_STUCK_CMD_ON);
    one_follows(unit, on && (unit->control & FAKE_AMD_EVT_LOG) && !(unit->status & 1), EVT_RUN,
                FAKE_AMD_STUCK_EVT_OFF, FAKE_AMD_STUCK_EVT_ON);
    bool ppr = on && (unit->control & FAKE_AMD_PPR_LOG) && !(unit->status & 1 << 5);
    bool ga = on && (unit->control & FAKE_AMD_GA_LOG) && !(unit->status & 1 << 9);
    one_follows(unit, ppr, 1 << 7, 0, 0);
    one_follows(unit, ga, 1 << 8, 0, 0);
}

bool fake_amd_register_read(struct fake_amdvi *amd, struct fake_amd_unit *unit, uint16_t offset,
                            unsigned width, uint64_t *value)
{
    uint64_t writable;
    const uint64_t *at = place(unit, offset & 0xFFF8, &writable);
    if ((width != 4 && width != 8) || offset % width)
        return false;
    if ((offset & ~7u) == STATUS)
        fake_amd_follow(unit);
    if ((offset & ~7u) == CMD_HEAD && !unit->pending_looks)
        fake_amd_commands(amd, unit);
    uint64_t all = at ? *at : 0;
    *value = width == 8 ? all : all >> offset % 8 * 8 & 0xFFFFFFFF;
    return true;
}

// ---- writing ----------------------------------------------------------------------------------------------
static bool is_locked(const struct fake_amd_unit *unit, uint16_t at)
{
    for (unsigned i = 0; i < FAKE_AMD_LOCKED; i++)
        if (unit->locked[i] == at + 1 && unit->writes >= unit->locked_from)
            return true;
    bool base = at == DEVTAB || at == COMMANDS || at == EVENTS || at == PPR || at == EXCL_BASE ||
                at == EXCL_LIMIT || (at >= SEG1 && at <= SEG7);
    return unit->snp && base;
}

// What must not be written while it is in use.
static void check(struct fake_amdvi *amd, const struct fake_amd_unit *unit, uint16_t at, unsigned width)
{
    const char *wrong = NULL;
    if ((at == DEVTAB || (at >= SEG1 && at <= SEG7)) && (unit->control & FAKE_AMD_ENABLE) && width != 8)
        wrong = "device table base in use written by halves";
    if ((at == COMMANDS || at == CMD_HEAD) && (unit->status & CMD_RUN))
        wrong = "command buffer changed while it runs";
    if ((at == EVENTS || at == EVT_TAIL) && (unit->status & EVT_RUN))
        wrong = "event log changed while it runs";
    if ((at == PPR || at == PPR_TAIL) && (unit->status & 1 << 7))
        wrong = "page request log changed while it runs";
    if ((at == GALOG || at == GATAIL || at == GA_TAIL) && (unit->status & 1 << 8))
        wrong = "guest interrupt log changed while it runs";
    if (wrong)
        fake_violation(amd->machine, "%s (register %#x)", wrong, at);
}

static void write_control(struct fake_amdvi *amd, struct fake_amd_unit *unit, uint64_t value)
{
    const uint64_t was = unit->control;
    if (fake_amd_stuck(unit, FAKE_AMD_STUCK_ENABLE) && !(was & FAKE_AMD_ENABLE))
        value &= ~FAKE_AMD_ENABLE;
    if ((was & ~value) & FAKE_AMD_ENABLE)
        unit->off++;
    if ((was & FAKE_AMD_ENABLE) && (was ^ value) & (7ull << 34))
        fake_violation(amd->machine, "device table segments changed while the unit is on");
    if ((was & ~value) & FAKE_AMD_CMD_BUF)
        unit->command_error = false;
    if ((was ^ value) & FAKE_AMD_GA)
        for (unsigned i = 0; i < FAKE_AMD_IRQS; i++)
            unit->irtes[i].used = 0;
    unit->control = value;
    unit->pending_reads = unit->latency;
}

static void write_status(struct fake_amd_unit *unit, uint64_t value)
{
    uint64_t clears = value & W1C;
    if (fake_amd_stuck(unit, FAKE_AMD_STUCK_OVERFLOW))
        clears &= ~(uint64_t)OVERFLOWS;
    unit->status &= ~clears;
}

void fake_amd_register_write(struct fake_amdvi *amd, struct fake_amd_unit *unit, uint16_t offset,
                             unsigned width, uint64_t value)
{
    uint64_t writable;
    const uint16_t at = offset & 0xFFF8;
    uint64_t *to = place(unit, at, &writable);
    if ((width != 4 && width != 8) || offset % width || !to || !writable) {
        fake_violation(amd->machine, "write of %u bytes to register %#x", width, offset);
        return;
    }
    check(amd, unit, at, width);
    if (is_locked(unit, at))
        return;
    if (width == 4) { // the other half stays; of what is cleared by writing 1, nothing is
        uint64_t mask = 0xFFFFFFFFull << offset % 8 * 8, keep = at == STATUS ? 0 : *to & ~mask;
        value = keep | (value << offset % 8 * 8 & mask);
        unit->partial += writable == TABLE_BITS || writable == LOG_BITS;
    }
    if (at == STATUS) {
        write_status(unit, value);
        return;
    }
    if (at == CONTROL) {
        write_control(amd, unit, value);
        return;
    }
    *to = value & writable;
    unit->table_writes += writable == TABLE_BITS;
    if (at == COMMANDS && unit->resets_pointers)
        unit->command_head = unit->command_tail = 0;
    if (at == EVENTS && unit->resets_pointers)
        unit->event_head = unit->event_tail = 0;
    if (at == CMD_TAIL) {
        fake_amd_follow(unit);
        unit->pending_looks = unit->latency;
        if (!unit->latency)
            fake_amd_commands(amd, unit);
    }
}

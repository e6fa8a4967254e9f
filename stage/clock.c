// SPDX-License-Identifier: MIT
#include "clock.h"

#include "cpu.h"

// Used when nothing tells: fast enough that no wait of ours ends too early.
#define ASSUMED_KHZ 3000000u
#define MIN_KHZ     100000u
#define MAX_KHZ     20000000u

// Timer channel 2 counts at 1193182 Hz; port 61h gates it (bit 0), keeps the loudspeaker off (bit 1 clear),
// and shows its output (bit 5).
#define PIT_HZ       1193182u
#define PIT_TICKS    11932u // 10 ms
#define PIT_COMMAND  0x43
#define PIT_CHANNEL2 0x42
#define PORT_61      0x61
// A read of a port takes a microsecond or so: far more reads than 10 ms can need.
#define PIT_MAX_READS 200000u

// Intel SDM volume 3, 19.7.3: leaf 15h, or the nominal frequency of leaf 16h.
static uint64_t khz_from_cpuid(void)
{
    uint32_t leaves = cpu_id(0, 0).a;
    if (leaves < 0x15)
        return 0;
    struct cpuid ratio = cpu_id(0x15, 0);
    if (ratio.a == 0 || ratio.b == 0)
        return 0;
    if (ratio.c)
        return (uint64_t)ratio.c * ratio.b / ratio.a / 1000;
    return leaves >= 0x16 ? (uint64_t)(cpu_id(0x16, 0).a & 0xFFFF) * 1000 : 0;
}

static uint64_t khz_from_timer(void)
{
    uint8_t old = cpu_in8(PORT_61);
    cpu_out8(PORT_61, (uint8_t)((old & ~2u) | 1u));
    cpu_out8(PIT_COMMAND, 0xB0); // channel 2, both bytes, mode 0: the output rises when the count ends
    cpu_out8(PIT_CHANNEL2, PIT_TICKS & 0xFF);
    cpu_out8(PIT_CHANNEL2, PIT_TICKS >> 8);
    uint64_t start = cpu_rdtsc();
    uint32_t reads = 0;
    while (reads < PIT_MAX_READS && !(cpu_in8(PORT_61) & 0x20))
        reads++;
    uint64_t ticks = cpu_rdtsc() - start;
    cpu_out8(PORT_61, old);
    // An output that is high at once belongs to no timer.
    if (reads < 10 || reads == PIT_MAX_READS)
        return 0;
    return ticks * PIT_HZ / PIT_TICKS / 1000;
}

uint32_t clock_tsc_khz(bool *assumed)
{
    uint64_t khz = khz_from_cpuid();
    if (khz < MIN_KHZ || khz > MAX_KHZ)
        khz = khz_from_timer();
    *assumed = khz < MIN_KHZ || khz > MAX_KHZ;
    return *assumed ? ASSUMED_KHZ : (uint32_t)khz;
}

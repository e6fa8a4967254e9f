// SPDX-License-Identifier: MIT
// Any bytes as the configuration space of a device: looking for address translation services and switching
// them off. Nothing may run away, and nothing may be written but the two dwords that hold the enable bits.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pci/ats.h"

#define BASE 0xB0000000ull
#define RID  0x0300u
#define MOST 1200u // accesses of one look, and of one switch
#define WORD(at)                                                                                             \
    ((uint32_t)space[at] | (uint32_t)space[(at) + 1] << 8 | (uint32_t)space[(at) + 2] << 16 |                \
     (uint32_t)space[(at) + 3] << 24)

static uint8_t space[4096];
static unsigned accesses, writes;
static struct pci_ats ats;

static unsigned offset_of(uint64_t pa, unsigned width)
{
    uint64_t at = pa - BASE - ((uint64_t)RID << 12);
    if (++accesses > MOST || width != 4 || pa % 4 || at >= sizeof(space))
        abort();
    return (unsigned)at;
}

static dam_err mmio_read(void *ctx, dam_pa pa, unsigned width, uint64_t *value)
{
    (void)ctx;
    unsigned at = offset_of(pa.v, width);
    *value = WORD(at);
    return DAM_OK;
}

static dam_err mmio_write(void *ctx, dam_pa pa, unsigned width, uint64_t value)
{
    (void)ctx;
    unsigned at = offset_of(pa.v, width);
    bool is_ats = ats.on && at == ats.ats + 4u, is_pri = ats.pages && at == ats.pri + 4u;
    // ATS: bit 31 alone changes. Page requests: bit 0 alone, and the status half is 0.
    if (++writes > 2 || !(is_ats || is_pri) ||
        !((is_ats && (uint32_t)value == (WORD(at) & 0x7FFFFFFF)) ||
          (is_pri && (uint32_t)value == (WORD(at) & 0xFFFE))))
        abort();
    memcpy(space + at, &value, 4);
    return DAM_OK;
}

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The input is a list of dwords, each behind its place: so that the fuzzer reaches structure and not only
// noise.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct dam_ops ops = {.mmio_read = mmio_read, .mmio_write = mmio_write, .clock_us = no_time};
    struct pci_cfg cfg;
    memset(space, 0, sizeof(space));
    for (; size >= 6; data += 6, size -= 6)
        memcpy(space + (data[0] | (unsigned)data[1] << 8) % 1024 * 4, data + 2, 4);
    pci_cfg_init(&cfg, &ops);
    if (pci_cfg_add_ecam(&cfg, dam_pa_of(BASE), 1, 0, 255))
        abort();
    accesses = writes = 0;
    dam_err err = pci_ats_read(&cfg, 1, RID, &ats);
    if (err && err != DAM_E_BROKEN && err != DAM_E_ABSENT)
        abort();
    if (writes)
        abort();
    accesses = 0;
    uint16_t reg = 0;
    uint32_t raw = 0;
    for (unsigned rid = RID; rid < RID + 1024; rid++)
        (void)pci_ats_is_vf_of(&ats, RID, (uint16_t)rid);
    if (err != DAM_E_ABSENT && pci_ats_switch_off(&cfg, 1, RID, &ats, &reg, &raw) == DAM_OK &&
        ((ats.on && WORD(ats.ats + 4u) >> 31) || (ats.pages && ats.ats != ats.pri && WORD(ats.pri + 4u) & 1)))
        abort();
    return 0;
}

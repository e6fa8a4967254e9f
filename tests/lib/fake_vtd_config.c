// SPDX-License-Identifier: MIT
// PCI configuration space of the machine, by ports CF8h and CFCh and by ECAM.
#include "lib/fake_vtd.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW (256ull << 20)

struct fake_pci *fake_config_function(struct fake_vtd *fake, unsigned segment, unsigned rid)
{
    for (unsigned i = 0; i < fake->functions; i++) {
        struct fake_pci *f = &fake->pci[i];
        if (f->segment == segment && f->bus == rid >> 8 && f->device == (rid >> 3 & 31) &&
            f->function == (rid & 7) && !f->gone)
            return f;
    }
    return NULL;
}

// ---- ports -----------------------------------------------------------------------------------------------
static uint32_t *config_dword(struct fake_vtd *fake)
{
    uint32_t address = fake->config_address;
    struct fake_pci *f = address >> 31 ? fake_config_function(fake, 0, address >> 8 & 0xFFFF) : NULL;
    return f ? &f->config[address >> 2 & 63] : NULL;
}

dam_err fake_port_read(void *ctx, uint16_t port, unsigned width, uint32_t *value)
{
    struct fake_vtd *fake = ctx;
    if (fake_call_fails(fake))
        return DAM_E_IO;
    uint32_t mask = width == 4 ? ~0u : (1u << 8 * width) - 1;
    *value = mask;
    if (port == 0xCF8 && width == 4) {
        *value = fake->config_address;
    } else if (port >= 0xCFC && port + width <= 0xD00) {
        const uint32_t *dword = config_dword(fake);
        if (dword)
            *value = *dword >> 8 * (port - 0xCFC) & mask;
    }
    return DAM_OK;
}

dam_err fake_port_write(void *ctx, uint16_t port, unsigned width, uint32_t value)
{
    struct fake_vtd *fake = ctx;
    if (fake_call_fails(fake))
        return DAM_E_IO;
    if (port == 0xCF8 && width == 4) {
        fake->config_address = value;
    } else if (port >= 0xCFC && port + width <= 0xD00) {
        uint32_t mask = (width == 4 ? ~0u : (1u << 8 * width) - 1) << 8 * (port - 0xCFC);
        uint32_t *dword = config_dword(fake);
        fake->port_writes_data++;
        if (dword)
            *dword = (*dword & ~mask) | (value << 8 * (port - 0xCFC) & mask);
    }
    return DAM_OK;
}

// ---- ECAM ------------------------------------------------------------------------------------------------
static const struct fake_ecam *window_at(const struct fake_vtd *fake, uint64_t pa)
{
    for (unsigned i = 0; i < fake->ecams; i++)
        if (pa - fake->ecam[i].base < WINDOW)
            return &fake->ecam[i];
    return NULL;
}

bool fake_config_read(struct fake_vtd *fake, uint64_t pa, unsigned width, uint64_t *value)
{
    const struct fake_ecam *window = window_at(fake, pa);
    if (!window)
        return false;
    if (width != 4 || pa % 4)
        fake_violation(fake, "read of configuration space at %#llx", (unsigned long long)pa);
    fake->config_reads++;
    const struct fake_pci *f =
        fake_config_function(fake, window->segment, (unsigned)((pa - window->base) >> 12));
    *value = f ? f->config[pa >> 2 & 1023] : 0xFFFFFFFF;
    return true;
}

bool fake_config_write(struct fake_vtd *fake, uint64_t pa, unsigned width, uint64_t value)
{
    const struct fake_ecam *window = window_at(fake, pa);
    if (!window)
        return false;
    fake->config_writes++;
    struct fake_pci *f = fake_config_function(fake, window->segment, (unsigned)((pa - window->base) >> 12));
    if (width != 4 || pa % 4 || !f) {
        fake_violation(fake, "write of configuration space at %#llx", (unsigned long long)pa);
        return true;
    }
    if (fake->before_config)
        fake->before_config(fake, f);
    fake_ats_config_write(fake, f, pa & 0xFFC, (uint32_t)value);
    return true;
}

// ---- making them -----------------------------------------------------------------------------------------
void fake_vtd_ecam(struct fake_vtd *fake, uint64_t base, unsigned segment)
{
    if (fake->ecams == FAKE_MAX_ECAM)
        abort();
    fake->ecam[fake->ecams++] = (struct fake_ecam){.base = base, .segment = (uint16_t)segment};
}

struct fake_pci *fake_vtd_pci(struct fake_vtd *fake, unsigned bus, unsigned device, unsigned function,
                              unsigned secondary)
{
    if (fake->functions == FAKE_MAX_PCI)
        abort();
    struct fake_pci *f = &fake->pci[fake->functions++];
    *f = (struct fake_pci){.bus = (uint8_t)bus, .device = (uint8_t)device, .function = (uint8_t)function};
    f->config[0] = 0x12348086;
    f->config[2] = secondary ? 0x06040000 : 0x02000000; // class: bridge, or network
    if (secondary) {
        f->config[3] = 0x00010000; // header type 1
        // primary, secondary, subordinate bus
        f->config[6] = bus | secondary << 8 | secondary << 16;
    }
    return f;
}

// SPDX-License-Identifier: MIT
#include "lib/fake_pci.h"

#include <stdlib.h>
#include <string.h>

static struct fake_function *find(struct fake_pci *pci, uint16_t segment, uint16_t rid)
{
    for (unsigned i = 0; i < pci->count; i++)
        if (pci->at[i].segment == segment && pci->at[i].rid == rid)
            return &pci->at[i];
    return NULL;
}

// A dword of configuration space; all ones where nobody answers.
static uint32_t dword(struct fake_pci *pci, uint16_t segment, uint16_t rid, unsigned reg)
{
    const struct fake_function *function = find(pci, segment, rid);
    uint32_t value = 0xFFFFFFFF;
    if (function)
        memcpy(&value, function->space + reg, 4);
    return value;
}

static dam_err mmio_read(void *ctx, uint64_t pa, unsigned width, uint64_t *value)
{
    struct fake_pci *pci = ctx;
    pci->ecam_reads++;
    pci->last_ecam = pa;
    pci->misuse += width != 4 || pa % 4 != 0;
    for (unsigned i = 0; i < pci->ecam_count; i++) {
        uint64_t offset = pa - pci->ecam[i].base;
        if (offset < 256u << 20) {
            *value = dword(pci, pci->ecam[i].segment, (uint16_t)(offset >> 12), offset & 0xFFC);
            return DAM_OK;
        }
    }
    return DAM_E_RANGE;
}

static dam_err port_write(void *ctx, uint16_t port, unsigned width, uint32_t value)
{
    struct fake_pci *pci = ctx;
    pci->misuse += port != 0xCF8 || width != 4 || value % 4 != 0 || (value >> 24) != 0x80;
    pci->address = value;
    return DAM_OK;
}

static dam_err port_read(void *ctx, uint16_t port, unsigned width, uint32_t *value)
{
    struct fake_pci *pci = ctx;
    pci->misuse += port != 0xCFC || width != 4;
    pci->port_reads++;
    *value = dword(pci, 0, (uint16_t)(pci->address >> 8), pci->address & 0xFC);
    return DAM_OK;
}

static dam_err mmio_write(void *ctx, uint64_t pa, unsigned width, uint64_t value)
{
    struct fake_pci *pci = ctx;
    struct fake_function *function = NULL;
    pci->ecam_writes++;
    for (unsigned i = 0; i < pci->ecam_count; i++)
        if (pa - pci->ecam[i].base < 256u << 20)
            function = find(pci, pci->ecam[i].segment, (uint16_t)((pa - pci->ecam[i].base) >> 12));
    if (!function || width != 4 || pa % 4 != 0) {
        pci->misuse++;
        return DAM_OK;
    }
    for (unsigned i = 0; i < 4; i++) {
        unsigned at = (pa & 0xFFC) + i;
        uint8_t byte = (uint8_t)(value >> 8 * i), set = function->writable[at];
        function->space[at] =
            (uint8_t)(((function->space[at] & ~set) | (byte & set)) & ~(byte & function->clears[at]));
    }
    if (function->gone_on_write)
        memset(function->space, 0xFF, sizeof(function->space));
    return DAM_OK;
}

void fake_pci_init(struct fake_pci *pci)
{
    pci->mem.hook_ctx = pci;
    pci->mem.mmio_read = mmio_read;
    pci->mem.mmio_write = mmio_write;
    pci->mem.port_read = port_read;
    pci->mem.port_write = port_write;
    fake_mem_init(&pci->mem);
}

struct fake_function *fake_pci_add(struct fake_pci *pci, uint16_t segment, uint16_t rid, uint8_t header_type)
{
    if (pci->count == FAKE_PCI_MAX)
        abort();
    struct fake_function *function = &pci->at[pci->count++];
    memset(function, 0, sizeof(*function));
    function->segment = segment;
    function->rid = rid;
    function->space[0] = 0x86;
    function->space[1] = 0x80;
    function->space[0x0E] = header_type;
    return function;
}

struct fake_function *fake_pci_bridge(struct fake_pci *pci, uint16_t segment, uint16_t rid, uint8_t secondary,
                                      uint8_t subordinate)
{
    struct fake_function *function = fake_pci_add(pci, segment, rid, 1);
    function->space[0x0B] = 0x06;
    function->space[0x0A] = 0x04;
    function->space[0x18] = (uint8_t)(rid >> 8);
    function->space[0x19] = secondary;
    function->space[0x1A] = subordinate;
    return function;
}

void fake_pci_express(struct fake_function *function, uint8_t port_type)
{
    function->space[0x06] |= 0x10;
    function->space[0x34] = 0x50; // power management first, so that the list is walked
    function->space[0x50] = 0x01;
    function->space[0x51] = 0x80;
    function->space[0x80] = 0x10;
    function->space[0x82] = (uint8_t)(port_type << 4 | 2);
}

void fake_pci_set(struct fake_function *function, unsigned reg, uint32_t value)
{
    memcpy(function->space + reg, &value, 4);
}

uint32_t fake_pci_get(const struct fake_function *function, unsigned reg)
{
    uint32_t value;
    memcpy(&value, function->space + reg, 4);
    return value;
}

void fake_pci_extended(struct fake_function *function, unsigned at, uint16_t id, unsigned next)
{
    fake_pci_set(function, at, id | 1u << 16 | (uint32_t)next << 20);
}

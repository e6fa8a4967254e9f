// SPDX-License-Identifier: MIT
#include "lib/firmware.h"

#include <stdlib.h>
#include <string.h>

enum { RSDP_AT = 0, XSDT_AT = 64, DMAR_AT = 128, HEADER = 36 };

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

// The byte that makes the sum of all bytes 0.
static uint8_t balance(const uint8_t *bytes, size_t length)
{
    unsigned sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return (uint8_t)(0x100 - (sum & 0xFF));
}

static void header(uint8_t *table, const char *signature, uint32_t length, uint8_t revision)
{
    memcpy(table, signature, 4);
    put(table + 4, length, 4);
    table[8] = revision;
    memcpy(table + 10, "COFFER", 6);
    memcpy(table + 16, "TESTBOX ", 8);
    put(table + 24, 1, 4);
    memcpy(table + 28, "TEST", 4);
    put(table + 32, 1, 4);
}

static void checksum(uint8_t *table, uint32_t length)
{
    table[9] = 0;
    table[9] = balance(table, length);
}

static uint8_t *grow(struct firmware *fw, uint32_t bytes)
{
    if (DMAR_AT + (size_t)fw->length + bytes > fw->size)
        abort();
    uint8_t *at = fw->dmar + fw->length;
    memset(at, 0, bytes);
    fw->length += bytes;
    return at;
}

static uint8_t *begin(struct firmware *fw, void *host, uint64_t pa, size_t size, const char *signature)
{
    *fw = (struct firmware){
        .host = host, .pa = pa, .size = size, .dmar = (uint8_t *)host + DMAR_AT, .signature = signature};
    if (size < DMAR_AT + 48)
        abort();
    memset(host, 0, DMAR_AT);
    return grow(fw, 48);
}

void firmware_begin(struct firmware *fw, void *host, uint64_t pa, size_t size, unsigned haw, uint8_t flags)
{
    uint8_t *table = begin(fw, host, pa, size, "DMAR");
    table[36] = (uint8_t)(haw - 1);
    table[37] = flags;
}

void firmware_ivrs(struct firmware *fw, void *host, uint64_t pa, size_t size, unsigned pa_bits)
{
    uint8_t *table = begin(fw, host, pa, size, "IVRS");
    put(table + 36, 1 | pa_bits << 8 | 0x40 << 15, 4); // EFRSup, physical and virtual size
}

void firmware_ivhd(struct firmware *fw, uint8_t type, uint8_t flags, uint16_t devid, uint16_t segment,
                   uint64_t base, uint64_t efr)
{
    const uint16_t length = type == 0x10 ? 24 : 40;
    fw->structure = fw->length;
    uint8_t *s = grow(fw, length);
    s[0] = type;
    s[1] = flags;
    put(s + 2, length, 2);
    put(s + 4, devid, 2);
    put(s + 6, 0x40, 2); // capability
    put(s + 8, base, 8);
    put(s + 16, segment, 2);
    if (type != 0x10)
        put(s + 24, efr, 8);
}

// Adds bytes to the last block.
static uint8_t *entry(struct firmware *fw, uint32_t bytes)
{
    uint8_t *at = grow(fw, bytes);
    put(fw->dmar + fw->structure + 2, fw->length - fw->structure, 2);
    return at;
}

void firmware_ivhd_entry(struct firmware *fw, uint8_t type, uint16_t devid, uint8_t setting)
{
    uint8_t *e = entry(fw, 4);
    e[0] = type;
    put(e + 1, devid, 2);
    e[3] = setting;
}

void firmware_ivhd_alias(struct firmware *fw, uint8_t type, uint16_t devid, uint16_t alias)
{
    uint8_t *e = entry(fw, 8);
    e[0] = type;
    put(e + 1, devid, 2);
    put(e + 5, alias, 2);
}

void firmware_ivhd_special(struct firmware *fw, uint8_t handle, uint16_t devid, uint8_t variety)
{
    uint8_t *e = entry(fw, 8);
    e[0] = 0x48;
    e[4] = handle;
    put(e + 5, devid, 2);
    e[7] = variety;
}

void firmware_ivmd(struct firmware *fw, uint8_t type, uint8_t flags, uint16_t first, uint16_t last,
                   uint64_t start, uint64_t length)
{
    uint8_t *s = grow(fw, 32);
    s[0] = type;
    s[1] = flags;
    put(s + 2, 32, 2);
    put(s + 4, first, 2);
    put(s + 6, last, 2);
    put(s + 16, start, 8);
    put(s + 24, length, 8);
}

void firmware_drhd(struct firmware *fw, uint8_t flags, uint16_t segment, uint64_t base)
{
    fw->structure = fw->length;
    uint8_t *s = grow(fw, 16);
    put(s, 0, 2);
    put(s + 2, 16, 2);
    s[4] = flags;
    put(s + 6, segment, 2);
    put(s + 8, base, 8);
}

void firmware_rmrr(struct firmware *fw, uint16_t segment, uint64_t base, uint64_t limit)
{
    fw->structure = fw->length;
    uint8_t *s = grow(fw, 24);
    put(s, 1, 2);
    put(s + 2, 24, 2);
    put(s + 6, segment, 2);
    put(s + 8, base, 8);
    put(s + 16, limit, 8);
}

void firmware_scope(struct firmware *fw, uint8_t type, uint8_t bus, uint8_t device, uint8_t function)
{
    uint8_t *s = grow(fw, 8);
    s[0] = type;
    s[1] = 8;
    s[5] = bus;
    s[6] = device;
    s[7] = function;
    put(fw->dmar + fw->structure + 2, fw->length - fw->structure, 2);
}

void firmware_ecam(struct firmware *fw, uint64_t base, uint16_t segment)
{
    if (fw->windows == sizeof(fw->window) / sizeof(fw->window[0]))
        abort();
    fw->window[fw->windows].base = base;
    fw->window[fw->windows++].segment = segment;
}

// Behind the DMAR or IVRS table; returns its offset.
static uint32_t write_mcfg(struct firmware *fw)
{
    uint32_t at = (DMAR_AT + fw->length + 15) & ~15u, length = HEADER + 8 + 16 * fw->windows;
    if (at + length > fw->size)
        abort();
    uint8_t *mcfg = fw->host + at;
    memset(mcfg, 0, length);
    header(mcfg, "MCFG", length, 1);
    for (unsigned i = 0; i < fw->windows; i++) {
        uint8_t *entry = mcfg + HEADER + 8 + 16 * i;
        put(entry, fw->window[i].base, 8);
        put(entry + 8, fw->window[i].segment, 2);
        entry[11] = 255;
    }
    checksum(mcfg, length);
    return at;
}

void firmware_checksum(struct firmware *fw)
{
    checksum(fw->dmar, fw->length);
}

uint64_t firmware_end(struct firmware *fw)
{
    header(fw->dmar, fw->signature, fw->length, fw->signature[0] == 'I' ? 2 : 1);
    firmware_checksum(fw);

    uint8_t *xsdt = fw->host + XSDT_AT;
    uint32_t length = HEADER + (fw->windows ? 16 : 8);
    header(xsdt, "XSDT", length, 1);
    put(xsdt + HEADER, fw->pa + DMAR_AT, 8);
    if (fw->windows)
        put(xsdt + HEADER + 8, fw->pa + write_mcfg(fw), 8);
    checksum(xsdt, length);

    uint8_t *rsdp = fw->host + RSDP_AT;
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "COFFER", 6);
    rsdp[15] = 2;
    put(rsdp + 20, 36, 4);
    put(rsdp + 24, fw->pa + XSDT_AT, 8);
    rsdp[8] = balance(rsdp, 20);
    rsdp[32] = balance(rsdp, 36);
    return fw->pa + RSDP_AT;
}

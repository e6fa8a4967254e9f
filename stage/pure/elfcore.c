// SPDX-License-Identifier: MIT
#include "elfcore.h"

#include <cofferdam/abi.h>

#include "bytes.h"

// ELF-64 object file format: the ELF header …
#define E_TYPE      16
#define E_MACHINE   18
#define E_PHOFF     32
#define E_EHSIZE    52
#define E_PHENTSIZE 54
#define E_PHNUM     56
#define ET_CORE     4
#define EM_X86_64   62
#define PN_XNUM     0xFFFF
// … and the program header.
#define P_TYPE       0
#define P_OFFSET     8
#define P_VADDR      16
#define P_PADDR      24
#define P_FILESZ     32
#define P_MEMSZ      40
#define P_ALIGN      48
#define PT_LOAD      1
#define PT_NOTE      4

#define PHYSICAL_END (1ull << 52)

dam_err elfcore_check(const uint8_t *header, uint32_t *count)
{
    // Magic, 64-bit, little-endian, version 1.
    static const uint8_t ident[7] = {0x7F, 'E', 'L', 'F', 2, 1, 1};
    if (memcmp(header, ident, sizeof(ident)) != 0 || bytes_get16(header + E_TYPE) != ET_CORE ||
        bytes_get16(header + E_MACHINE) != EM_X86_64)
        return DAM_E_SIGNATURE;
    uint16_t n = bytes_get16(header + E_PHNUM);
    if (bytes_get64(header + E_PHOFF) != ELF_HEADER_SIZE ||
        bytes_get16(header + E_EHSIZE) != ELF_HEADER_SIZE ||
        bytes_get16(header + E_PHENTSIZE) != ELF_PROGRAM_SIZE || n == 0 || n >= PN_XNUM - 1)
        return DAM_E_LENGTH;
    *count = n;
    return DAM_OK;
}

dam_err elfcore_old_ram(const uint8_t *headers, uint32_t count, struct dam_ranges *ram)
{
    const uint8_t *p = headers + ELF_HEADER_SIZE;
    for (uint32_t i = 0; i < count; i++, p += ELF_PROGRAM_SIZE) {
        if (bytes_get32(p + P_TYPE) != PT_LOAD)
            continue;
        // p_paddr is where the memory was; p_offset may lead to kexec-tools' copy of the first 640 KiB.
        uint64_t start = bytes_get64(p + P_PADDR), size = bytes_get64(p + P_MEMSZ);
        if (start >= PHYSICAL_END || size > PHYSICAL_END - start)
            return DAM_E_RANGE;
        dam_err err = dam_ranges_add(ram, start, start + size);
        if (err)
            return err;
    }
    return DAM_OK;
}

void elfcore_add_note(uint8_t *headers, uint32_t count, uint64_t pa, uint64_t size)
{
    uint32_t notes = 0;
    uint8_t *p = headers + ELF_HEADER_SIZE;
    while (notes < count && bytes_get32(p + P_TYPE) == PT_NOTE) {
        notes++;
        p += ELF_PROGRAM_SIZE;
    }
    memmove(p + ELF_PROGRAM_SIZE, p, (size_t)(count - notes) * ELF_PROGRAM_SIZE);
    memset(p, 0, ELF_PROGRAM_SIZE);
    bytes_put32(p + P_TYPE, PT_NOTE);
    bytes_put64(p + P_OFFSET, pa);
    bytes_put64(p + P_PADDR, pa);
    bytes_put64(p + P_FILESZ, size);
    bytes_put64(p + P_MEMSZ, size);
    uint16_t total = (uint16_t)(count + 1);
    memcpy(headers + E_PHNUM, &total, sizeof(total));
}

size_t elfcore_wrap_note(uint8_t *buf, size_t size)
{
    static const char name[12] = DAM_NOTE_NAME; // padded with zeros
    bytes_put32(buf, sizeof(DAM_NOTE_NAME));
    bytes_put32(buf + 4, (uint32_t)size);
    bytes_put32(buf + 8, DAM_NOTE_TYPE);
    memcpy(buf + 12, name, sizeof(name));
    size_t end = ELFCORE_NOTE_HEAD + (size_t)dam_align_up(size, 4);
    memset(buf + ELFCORE_NOTE_HEAD + size, 0, end - ELFCORE_NOTE_HEAD - size + 12);
    return end + 12;
}

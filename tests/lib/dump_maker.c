// SPDX-License-Identifier: MIT
#include "lib/dump_maker.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void made_put(struct made *m, uint64_t offset, const void *bytes, size_t size)
{
    size_t end = (size_t)offset + size;
    if (end > m->capacity) {
        m->capacity = end * 2;
        m->bytes = realloc(m->bytes, m->capacity);
        if (m->bytes == NULL)
            abort();
    }
    if (end > m->size) {
        memset(m->bytes + m->size, 0, end - m->size);
        m->size = end;
    }
    if (size > 0)
        memcpy(m->bytes + offset, bytes, size);
}

static void put_le(struct made *m, uint64_t offset, uint64_t value, unsigned width)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    made_put(m, offset, bytes, width);
}

void made_le16(struct made *m, uint64_t offset, uint16_t value)
{
    put_le(m, offset, value, 2);
}

void made_le32(struct made *m, uint64_t offset, uint32_t value)
{
    put_le(m, offset, value, 4);
}

void made_le64(struct made *m, uint64_t offset, uint64_t value)
{
    put_le(m, offset, value, 8);
}

void made_note(struct made *m, const char *name, uint32_t type, const void *desc, uint32_t size)
{
    static const uint8_t zeros[4];
    uint32_t name_size = (uint32_t)strlen(name) + 1;
    made_le32(m, m->size, name_size);
    made_le32(m, m->size, size);
    made_le32(m, m->size, type);
    made_put(m, m->size, name, name_size);
    made_put(m, m->size, zeros, -name_size & 3);
    made_put(m, m->size, desc, size);
    made_put(m, m->size, zeros, -size & 3);
}

void made_free(struct made *m)
{
    free(m->bytes);
    *m = (struct made){0};
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x7FB5D329728EA185ull;
    x ^= x >> 27;
    x *= 0x81DADEF4BC2DD44Dull;
    return x ^ x >> 33;
}

void made_page(uint64_t pa, uint8_t page[4096])
{
    for (size_t i = 0; i < 4096; i++)
        page[i] = (uint8_t)(i < 2048 ? mix(pa + (i & ~7ull)) >> (i & 7) * 8 : mix(pa) >> i % 8);
}

// ---- ELF -------------------------------------------------------------------------------------------------
static void put_phdr(struct made *m, size_t at, uint32_t type, uint64_t offset, uint64_t pa, uint64_t filesz,
                     uint64_t memsz)
{
    made_le32(m, at, type);
    made_le32(m, at + 4, 7);
    made_le64(m, at + 8, offset);
    made_le64(m, at + 16, type == 1 ? 0xFFFF888000000000ull + pa : 0);
    made_le64(m, at + 24, pa);
    made_le64(m, at + 32, filesz);
    made_le64(m, at + 40, memsz);
    made_le64(m, at + 48, 0);
}

static void put_memory(struct made *m, uint64_t offset, uint64_t pa, uint64_t size)
{
    uint8_t page[4096];
    for (uint64_t at = pa, part; at < pa + size; at += part) {
        part = 4096 - at % 4096;
        if (part > pa + size - at)
            part = pa + size - at;
        made_page(at & ~4095ull, page);
        made_put(m, offset + (at - pa), page + at % 4096, (size_t)part);
    }
}

void made_elf(struct made *m, const struct made_segment *segments, size_t count, const struct made *notes,
              uint64_t *offsets)
{
    static const uint8_t ident[16] = {0x7F, 'E', 'L', 'F', 2, 1, 1};
    size_t notes_at = MADE_ELF_PHDR(count), notes_size = notes != NULL ? notes->size : 0;
    made_put(m, 0, ident, sizeof ident);
    made_le16(m, 16, 4);  // ET_CORE
    made_le16(m, 18, 62); // EM_X86_64
    made_le32(m, 20, 1);
    made_le64(m, 32, 64); // e_phoff
    made_le16(m, 52, 64);
    made_le16(m, 54, 56);
    made_le16(m, 56, (uint16_t)(count + 1));
    put_phdr(m, 64, 4, notes_at, 0, notes_size, notes_size);
    made_put(m, notes_at, notes != NULL ? notes->bytes : NULL, notes_size);
    for (size_t i = 0; i < count; i++) {
        const struct made_segment *s = &segments[i];
        uint64_t offset = m->size;
        put_phdr(m, MADE_ELF_PHDR(i), 1, offset, s->pa, s->filesz, s->memsz);
        put_memory(m, offset, s->pa, s->filesz);
        if (offsets != NULL)
            offsets[i] = offset;
    }
}

// ---- kdump-compressed ------------------------------------------------------------------------------------
static void put_kdump_page(struct made *m, size_t descriptor, uint64_t pa, bool packed)
{
    uint8_t page[4096], out[8192];
    uLongf size = sizeof out;
    made_page(pa, page);
    made_le64(m, descriptor, m->size);
    if (packed && compress2(out, &size, page, sizeof page, 6) == Z_OK && size < 4096) {
        made_le32(m, descriptor + 8, (uint32_t)size);
        made_le32(m, descriptor + 12, 1);
        made_put(m, m->size, out, size);
        return;
    }
    made_le32(m, descriptor + 8, sizeof page);
    made_put(m, m->size, page, sizeof page);
}

void made_kdump(struct made *m, const char *pages, const struct made *notes)
{
    size_t count = strlen(pages), held = 0;
    made_put(m, 0, "KDUMP   ", 8);
    made_le32(m, 8, 6);
    made_put(m, 12, "Linux", 5);
    made_put(m, 142, "6.1.0-made", 10);
    made_put(m, 272, "x86_64", 6);
    made_le32(m, 424, 1);
    made_le32(m, 428, 4096);
    made_le32(m, 432, MADE_KDUMP_SUB_BLOCKS);
    made_le32(m, 436, 2);
    made_le32(m, 440, (uint32_t)count);
    made_le64(m, 4096 + 96, count);
    if (notes != NULL) {
        made_le64(m, 4096 + 48, MADE_KDUMP_NOTES);
        made_le64(m, 4096 + 56, notes->size);
        made_put(m, MADE_KDUMP_NOTES, notes->bytes, notes->size);
    }
    made_put(m, MADE_KDUMP_DESC(0), NULL, 0);
    for (size_t i = 0; i < count; i++) {
        if (pages[i] == '.')
            continue;
        m->bytes[MADE_KDUMP_RAM + i / 8] |= (uint8_t)(1u << i % 8);
        if (pages[i] == 'r')
            continue;
        m->bytes[MADE_KDUMP_HELD + i / 8] |= (uint8_t)(1u << i % 8);
        made_put(m, MADE_KDUMP_DESC(++held), NULL, 0);
    }
    for (size_t i = 0, n = 0; i < count; i++)
        if (pages[i] == 'p' || pages[i] == 'z')
            put_kdump_page(m, MADE_KDUMP_DESC(n++), (uint64_t)i * 4096, pages[i] == 'z');
}

// ---- flattened -------------------------------------------------------------------------------------------
static void put_be64(struct made *m, uint64_t value)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> 8 * (7 - i));
    made_put(m, m->size, bytes, 8);
}

void made_flat_begin(struct made *m)
{
    made_put(m, 0, "makedumpfile\0\0\0", 16);
    put_be64(m, 1);
    put_be64(m, 1);
    made_put(m, 4096, NULL, 0);
}

void made_flat_record(struct made *m, uint64_t offset, const void *bytes, uint64_t size)
{
    put_be64(m, offset);
    put_be64(m, size);
    made_put(m, m->size, bytes, (size_t)size);
}

void made_flat_end(struct made *m)
{
    put_be64(m, UINT64_MAX);
    put_be64(m, UINT64_MAX);
}

void made_flat(struct made *m, const struct made *dump, size_t piece)
{
    uint8_t *rubbish = malloc(dump->size);
    memset(rubbish, 0xAA, dump->size);
    made_flat_begin(m);
    made_flat_record(m, 0, rubbish, dump->size / 2);
    for (size_t at = (dump->size - 1) / piece * piece;; at -= piece) {
        made_flat_record(m, at, dump->bytes + at, at + piece < dump->size ? piece : dump->size - at);
        if (at == 0)
            break;
    }
    made_flat_end(m);
    free(rubbish);
}

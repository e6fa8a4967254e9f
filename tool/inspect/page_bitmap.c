// SPDX-License-Identifier: MIT
#include "inspect/page_bitmap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define BLOCK_BYTES 4096u
#define BLOCK_BITS  (BLOCK_BYTES * 8u) // 128 MiB of memory
#define GROUP_BITS  512u               // ones are counted up to each group when a block is read
#define GROUPS      (BLOCK_BITS / GROUP_BITS)
#define KEPT        128u // blocks: 16 GiB of memory in 0.5 MiB

struct block {
    uint64_t number; // + 1; 0: empty
    uint16_t before[GROUPS];
    uint8_t bytes[BLOCK_BYTES];
};

struct page_bitmap {
    const struct dump_source *source;
    uint64_t offset, pages, blocks;
    uint64_t *before; // [blocks + 1]: ones in front of each block
    struct block kept[KEPT];
};

static unsigned ones(uint64_t word)
{
    return (unsigned)__builtin_popcountll(word);
}

// Reads a block; bits behind the last page are cleared, and need not be there: makedumpfile -F writes no
// byte more than it has bits for. false: it is not all there.
static bool read_block(const struct page_bitmap *b, uint64_t number, uint8_t *bytes)
{
    uint64_t left = b->pages - number * BLOCK_BITS;
    size_t size = left < BLOCK_BITS ? (size_t)(left + 7) / 8 : BLOCK_BYTES;
    memset(bytes + size, 0, BLOCK_BYTES - size);
    if (source_read(b->source, b->offset + number * BLOCK_BYTES, bytes, size) != size)
        return false;
    if (left < BLOCK_BITS && left % 8 != 0)
        bytes[size - 1] = (uint8_t)(bytes[size - 1] & ((1u << left % 8) - 1));
    return true;
}

enum tool_status page_bitmap_open(const struct dump_source *source, uint64_t offset, uint64_t pages,
                                  struct page_bitmap **out, struct tool_error *error)
{
    struct page_bitmap *b = calloc(1, sizeof *b);
    uint64_t blocks = (pages + BLOCK_BITS - 1) / BLOCK_BITS, sum = 0;
    // Before anything is taken for it: a bitmap that is not there costs nothing.
    if (!source_holds(source, offset, (pages + 7) / 8)) {
        free(b);
        return tool_fail(error, TOOL_BAD_INPUT, "the dump is cut short in the bitmap at 0x%" PRIx64, offset);
    }
    if (b == NULL || (b->before = malloc((blocks + 1) * sizeof *b->before)) == NULL) {
        free(b);
        return tool_fail(error, TOOL_SYSTEM, "no memory for the bitmaps of a dump");
    }
    b->source = source;
    b->offset = offset;
    b->pages = pages;
    b->blocks = blocks;
    uint8_t bytes[BLOCK_BYTES];
    for (uint64_t i = 0; i < blocks; i++) {
        b->before[i] = sum;
        if (!read_block(b, i, bytes)) {
            page_bitmap_close(b);
            return tool_fail(error, TOOL_BAD_INPUT, "the dump cannot be read in the bitmap at 0x%" PRIx64,
                             offset);
        }
        for (size_t at = 0; at < BLOCK_BYTES; at += 8)
            sum += ones(get_le64(bytes + at));
    }
    b->before[blocks] = sum;
    *out = b;
    return TOOL_OK;
}

void page_bitmap_close(struct page_bitmap *b)
{
    if (b != NULL)
        free(b->before);
    free(b);
}

uint64_t page_bitmap_count(const struct page_bitmap *b)
{
    return b->before[b->blocks];
}

static struct block *get_block(struct page_bitmap *b, uint64_t number)
{
    struct block *block = &b->kept[number % KEPT];
    if (block->number == number + 1)
        return block;
    block->number = 0;
    if (!read_block(b, number, block->bytes))
        return NULL;
    unsigned sum = 0;
    for (size_t at = 0; at < BLOCK_BYTES; at += 8) {
        if (at % (GROUP_BITS / 8) == 0)
            block->before[at / (GROUP_BITS / 8)] = (uint16_t)sum;
        sum += ones(get_le64(block->bytes + at));
    }
    block->number = number + 1;
    return block;
}

dam_err page_bitmap_index(struct page_bitmap *b, uint64_t page, uint64_t *before)
{
    if (page >= b->pages)
        return DAM_E_ABSENT;
    const struct block *block = get_block(b, page / BLOCK_BITS);
    if (block == NULL)
        return DAM_E_IO;
    unsigned bit = (unsigned)(page % BLOCK_BITS), group = bit / GROUP_BITS;
    if (!(block->bytes[bit / 8] >> bit % 8 & 1))
        return DAM_E_ABSENT;
    unsigned sum = block->before[group], at = group * GROUP_BITS;
    for (; bit - at >= 64; at += 64)
        sum += ones(get_le64(block->bytes + at / 8));
    sum += ones(get_le64(block->bytes + at / 8) & ((1ull << (bit - at)) - 1));
    *before = b->before[page / BLOCK_BITS] + sum;
    return DAM_OK;
}

// The first page at or behind `page` whose bit is `set`; b->pages: there is none.
static uint64_t find(struct page_bitmap *b, uint64_t page, bool set)
{
    while (page < b->pages) {
        uint64_t number = page / BLOCK_BITS, in_it = b->before[number + 1] - b->before[number];
        if (in_it == (set ? 0 : BLOCK_BITS)) {
            page = (number + 1) * BLOCK_BITS;
            continue;
        }
        const struct block *block = get_block(b, number);
        if (block == NULL)
            return b->pages;
        unsigned bit = (unsigned)(page % BLOCK_BITS);
        uint64_t word = get_le64(block->bytes + bit / 64 * 8);
        word = (set ? word : ~word) >> bit % 64;
        if (word != 0) {
            page += (unsigned)__builtin_ctzll(word);
            break;
        }
        page += 64 - bit % 64;
    }
    return page < b->pages ? page : b->pages;
}

bool page_bitmap_next(struct page_bitmap *b, uint64_t *page, uint64_t *end)
{
    uint64_t start = find(b, *page, true);
    if (start >= b->pages)
        return false;
    *page = start;
    *end = find(b, start, false);
    return true;
}

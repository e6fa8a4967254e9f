// SPDX-License-Identifier: MIT
// kdump-compressed dumps. libkdumpfile finds and unpacks the pages; which pages there are is read here, and
// what the library gets to see is put in order first. Facts about 0.5.1, Debian 12's, that ask for it:
//   - a header whose time stamp has 4096 to 262144 microseconds may be taken for one of a 32-bit machine
//     (diskdump.c, try_header_32());
//   - a page descriptor that claims up to 256 KiB of packed bytes overflows a buffer of a page
//     (diskdump_read_page());
//   - what lies behind the end of a file that was cut short is zeros (fcache_get_read());
//   - it takes memory for each run of pages held, and more for notes, of which each byte may be hostile.
// So it sees a header written here, without notes, that says "all pages are held": page frame n of what it
// sees is the n-th page that the dump holds. The descriptors and the packed pages come from the dump as they
// are, and are checked, one by one, before the library is asked for a page.
#include "inspect/memory_file.h"

#include <errno.h>
#include <inttypes.h>
#include <libkdumpfile/kdumpfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "inspect/page_bitmap.h"
#include "inspect/presented.h"

// struct page_desc: offset, size, flags, page_flags.
#define DESCRIPTOR 24u

struct kdump_memory {
    struct memory_file file;
    struct dump_kdump layout;
    struct page_bitmap *held;
    struct presented presented;
    kdump_ctx_t *library; // NULL: no page is held, so nobody will ask
};

static void close_kdump(struct memory_file *file)
{
    struct kdump_memory *m = (struct kdump_memory *)file;
    if (m->library != NULL) {
        kdump_free(m->library);
        presented_close(&m->presented);
    }
    page_bitmap_close(m->held);
    free(m);
}

// ---- what the library sees -------------------------------------------------------------------------------
// Bitmaps of as many blocks as the pages held need; what the dump's own take beyond that counts as part of
// the sub-header. Descriptors and pages thus stay where they are.
static uint64_t bitmap_blocks(const struct kdump_memory *m)
{
    uint64_t bits = DAM_PAGE_SIZE * 8ull;
    return 2 * ((page_bitmap_count(m->held) + bits - 1) / bits);
}

// Headers as dump_kdump.c has them: version, status, block size, blocks of the sub-header and of the
// bitmaps, number of page frames; all else is 0.
static void make_header(const struct kdump_memory *m, uint8_t page[DAM_PAGE_SIZE])
{
    uint64_t blocks = m->layout.descriptors / DAM_PAGE_SIZE, bitmaps = bitmap_blocks(m);
    uint64_t pages = page_bitmap_count(m->held);
    memcpy(page, "KDUMP   ", 8);
    put_le32(page + 8, 6);
    put_le32(page + 424, m->layout.status & KDUMP_PACKED);
    put_le32(page + 428, DAM_PAGE_SIZE);
    put_le32(page + 432, (uint32_t)(blocks - 1 - bitmaps));
    put_le32(page + 436, (uint32_t)bitmaps);
    put_le32(page + 440, pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX);
}

static void make_block(const struct kdump_memory *m, uint64_t number, uint8_t page[DAM_PAGE_SIZE])
{
    memset(page, 0, DAM_PAGE_SIZE);
    if (number == 0)
        make_header(m, page);
    else if (number == 1)
        put_le64(page + 96, page_bitmap_count(m->held)); // kdump_sub_header.max_mapnr_64
    // Both bitmaps: the library stops at the number of pages.
    if (number >= m->layout.descriptors / DAM_PAGE_SIZE - bitmap_blocks(m))
        memset(page, 0xFF, DAM_PAGE_SIZE);
}

static void present(void *ctx, uint64_t offset, uint8_t *buffer, size_t size)
{
    const struct kdump_memory *m = ctx;
    uint8_t page[DAM_PAGE_SIZE];
    while (size > 0 && offset < m->layout.descriptors) {
        size_t at = (size_t)(offset % DAM_PAGE_SIZE), part = DAM_PAGE_SIZE - at;
        if (part > size)
            part = size;
        make_block(m, offset / DAM_PAGE_SIZE, page);
        memcpy(buffer, page + at, part);
        offset += part;
        buffer += part;
        size -= part;
    }
    if (size > 0)
        source_read_filled(&m->file.source, offset, buffer, size);
}

static enum tool_status open_library(struct kdump_memory *m, struct tool_error *error)
{
    kdump_ctx_t *library = kdump_new();
    m->presented.read = present;
    m->presented.ctx = m;
    if (library == NULL || !presented_open(&m->presented)) {
        int reason = errno;
        if (library != NULL)
            kdump_free(library);
        return tool_fail(error, TOOL_SYSTEM, "libkdumpfile cannot be used: %s", strerror(reason));
    }
    m->library = library;
    kdump_status status = kdump_set_number_attr(library, KDUMP_ATTR_FILE_MMAP_POLICY, KDUMP_MMAP_NEVER);
    // Pages that were unpacked are kept in memory.c, and the library goes through its own from end to end.
    if (status == KDUMP_OK)
        status = kdump_set_number_attr(library, "cache.size", 4);
    if (status == KDUMP_OK)
        status = kdump_open_fd(library, m->presented.fd);
    if (status == KDUMP_OK)
        return TOOL_OK;
    if (!presented_was_read(&m->presented))
        return tool_fail(error, TOOL_SYSTEM,
                         "this libkdumpfile does not read with pread(): it cannot be used");
    const char *text = kdump_get_err(library);
    return tool_fail(error, TOOL_BAD_INPUT, "libkdumpfile cannot open it: %s", text ? text : "unknown error");
}

// ---- reading ---------------------------------------------------------------------------------------------
struct descriptor {
    uint64_t offset;
    uint32_t size, flags;
};

// Reads the index-th descriptor, that of the page at pa, and checks all that the library believes of it.
static dam_err get_descriptor(const struct kdump_memory *m, uint64_t pa, uint64_t index,
                              struct descriptor *out, struct tool_error *why)
{
    uint8_t d[DESCRIPTOR];
    uint64_t at = m->layout.descriptors + index * DESCRIPTOR;
    if (source_read(&m->file.source, at, d, sizeof d) != sizeof d) {
        (void)tool_fail(why, TOOL_BAD_INPUT,
                        "the dump is cut short: the descriptor of page 0x%" PRIx64
                        " should be at offset %" PRIu64,
                        pa, at);
        return DAM_E_IO;
    }
    *out = (struct descriptor){get_le64(d), get_le32(d + 8), get_le32(d + 12)};
    // makedumpfile says so itself when the disk was full before all pages were written.
    if (m->layout.status & KDUMP_INCOMPLETE && out->offset == 0 && out->size == 0)
        return DAM_E_ABSENT;
    bool packed = (out->flags & KDUMP_PACKED) != 0;
    if (out->size == 0 || out->size > DAM_PAGE_SIZE || (!packed && out->size != DAM_PAGE_SIZE) ||
        out->flags & ~KDUMP_PACKED || out->offset < m->layout.descriptors) {
        (void)tool_fail(why, TOOL_BAD_INPUT,
                        "page 0x%" PRIx64 " is damaged: its descriptor at offset %" PRIu64 " says 0x%" PRIx32
                        " bytes at 0x%" PRIx64 ", flags 0x%" PRIx32,
                        pa, at, out->size, out->offset, out->flags);
        return DAM_E_IO;
    }
    if (!source_holds(&m->file.source, out->offset, out->size)) {
        (void)tool_fail(why, TOOL_BAD_INPUT,
                        "the dump is cut short: page 0x%" PRIx64 " should be at offset %" PRIu64, pa,
                        out->offset);
        return DAM_E_IO;
    }
    return DAM_OK;
}

static dam_err unpack(const struct kdump_memory *m, uint64_t pa, uint64_t index, void *page,
                      struct tool_error *why)
{
    size_t size = DAM_PAGE_SIZE;
    if (kdump_read(m->library, KDUMP_MACHPHYSADDR, index * DAM_PAGE_SIZE, page, &size) == KDUMP_OK)
        return DAM_OK;
    const char *text = kdump_get_err(m->library);
    (void)tool_fail(why, TOOL_BAD_INPUT, "page 0x%" PRIx64 " cannot be read: %s", pa,
                    text ? text : "unknown error");
    return DAM_E_IO;
}

static dam_err read_page(void *ctx, dam_pa pa, void *page, struct tool_error *why)
{
    struct kdump_memory *m = ctx;
    struct descriptor d;
    uint64_t index;
    dam_err err = page_bitmap_index(m->held, pa.v / DAM_PAGE_SIZE, &index);
    if (err == DAM_E_ABSENT) {
        size_t i = memory_find(&m->file.ram, pa.v);
        return i < m->file.ram.count && m->file.ram.at[i].start <= pa.v ? DAM_E_ABSENT : DAM_E_RANGE;
    }
    if (err) {
        (void)tool_fail(why, TOOL_BAD_INPUT, "the bitmaps of the dump can no longer be read");
        return err;
    }
    err = get_descriptor(m, pa.v, index, &d, why);
    if (err)
        return err;
    if (d.flags & KDUMP_PACKED)
        return unpack(m, pa.v, index, page, why);
    // A page that is not packed has no need of the library, which would look for it in two caches first.
    if (source_read(&m->file.source, d.offset, page, DAM_PAGE_SIZE) == DAM_PAGE_SIZE)
        return DAM_OK;
    (void)tool_fail(why, TOOL_BAD_INPUT, "page 0x%" PRIx64 " cannot be read at offset %" PRIu64, pa.v,
                    d.offset);
    return DAM_E_IO;
}

static bool next_held(void *ctx, uint64_t *start, uint64_t *end)
{
    struct kdump_memory *m = ctx;
    uint64_t page = *start / DAM_PAGE_SIZE + (*start % DAM_PAGE_SIZE != 0), last;
    if (!page_bitmap_next(m->held, &page, &last))
        return false;
    *start = page * DAM_PAGE_SIZE;
    *end = last * DAM_PAGE_SIZE;
    return true;
}

// ---- opening ---------------------------------------------------------------------------------------------
static enum tool_status read_ram(struct kdump_memory *m, struct tool_error *error)
{
    struct page_bitmap *ram = NULL;
    enum tool_status status =
        page_bitmap_open(&m->file.source, m->layout.is_ram, m->layout.pages, &ram, error);
    if (status != TOOL_OK)
        return status;
    uint64_t start = 0, end;
    // One more than may be, so that the caller sees it.
    for (; m->file.ram.count <= MEMORY_MAX_RAM && page_bitmap_next(ram, &start, &end); start = end)
        if (!memory_append(&m->file.ram, start * DAM_PAGE_SIZE, end * DAM_PAGE_SIZE, true)) {
            status = tool_fail(error, TOOL_SYSTEM, "no memory for the map of a dump");
            break;
        }
    page_bitmap_close(ram);
    return status;
}

// Before the library takes memory by the number of pages: each has a descriptor, and pages lie behind those.
static enum tool_status check_descriptors(const struct kdump_memory *m, struct tool_error *error)
{
    uint64_t count = page_bitmap_count(m->held), end = m->layout.descriptors + count * DESCRIPTOR;
    if (end <= source_end(&m->file.source))
        return TOOL_OK;
    return tool_fail(error, TOOL_BAD_INPUT,
                     "the dump is cut short in the descriptors of its %" PRIu64
                     " pages, which end at %" PRIu64,
                     count, end);
}

static void describe(const struct kdump_memory *m, struct memory_about *about)
{
    uint32_t status = m->layout.status;
    const char *packed = status & KDUMP_ZLIB     ? ", zlib"
                         : status & KDUMP_LZO    ? ", lzo"
                         : status & KDUMP_SNAPPY ? ", snappy"
                         : status & KDUMP_ZSTD   ? ", zstd"
                                                 : "";
    snprintf(about->format, sizeof about->format, "kdump-compressed%s%s", packed,
             status & KDUMP_INCOMPLETE ? ", incomplete" : "");
    about->held = page_bitmap_count(m->held) * DAM_PAGE_SIZE;
}

enum tool_status memory_of_kdump(const struct dump_source *source, struct memory_provider *out,
                                 struct tool_error *error)
{
    struct kdump_memory *m = calloc(1, sizeof *m);
    if (m == NULL)
        return tool_fail(error, TOOL_SYSTEM, "no memory for reading a dump");
    m->file.source = *source;
    m->file.close = close_kdump;
    enum tool_status status = dump_kdump_layout(source, &m->layout, error);
    if (status == TOOL_OK)
        status = read_ram(m, error);
    if (status == TOOL_OK)
        status = page_bitmap_open(&m->file.source, m->layout.is_held, m->layout.pages, &m->held, error);
    if (status == TOOL_OK)
        status = check_descriptors(m, error);
    if (status == TOOL_OK && page_bitmap_count(m->held) > 0)
        status = open_library(m, error);
    if (status != TOOL_OK) {
        free(m->file.ram.at);
        close_kdump(&m->file);
        return status;
    }
    describe(m, &out->about);
    out->ctx = m;
    out->read_page = read_page;
    out->next_held = next_held;
    return TOOL_OK;
}

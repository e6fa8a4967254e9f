// SPDX-License-Identifier: MIT
// Memory that lies in a file as it is: ELF dumps, whose program headers are an address map, and raw images,
// whose map comes from the command line.
//
// ELF dumps do not go through libkdumpfile. Dumps of x86-64 have a segment for the kernel's text inside that
// of the RAM around it, and with segments that overlap 0.5.1 goes astray about what is held (elfdump.c,
// elf_find_clear() and elf_get_bits()); it takes pages that were left out (p_memsz > p_filesz) for zeros,
// and what lies behind the end of a file that was cut short as well.
#include "inspect/memory_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// Bytes [start, end) of physical memory lie at offset of the dump.
struct part {
    uint64_t start, end, offset;
};

struct parts {
    struct memory_file file;
    struct part *at; // sorted, no two overlap
    size_t count;
    struct dam_ranges held;  // pages that are all there
    struct dam_ranges known; // all that was RAM, not rounded
};

static void close_parts(struct memory_file *file)
{
    struct parts *m = (struct parts *)file;
    free(m->at);
    free(m->held.at);
    free(m->known.at);
    free(m);
}

// ---- reading ---------------------------------------------------------------------------------------------
static size_t find_part(const struct parts *m, uint64_t pa)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->at[middle].end > pa)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// Whether [pa, pa + 4096) lies inside one range, or touches any.
static bool page_inside(const struct dam_ranges *ranges, uint64_t pa, bool touches)
{
    size_t i = memory_find(ranges, pa);
    if (i == ranges->count)
        return false;
    const struct dam_range *r = &ranges->at[i];
    return touches ? r->start - pa < DAM_PAGE_SIZE || r->start <= pa
                   : r->start <= pa && r->end - pa >= DAM_PAGE_SIZE;
}

static dam_err read_page(void *ctx, dam_pa pa, void *page, struct tool_error *why)
{
    struct parts *m = ctx;
    if (!page_inside(&m->held, pa.v, false))
        return page_inside(&m->known, pa.v, true) ? DAM_E_ABSENT : DAM_E_RANGE;
    uint64_t done = 0;
    for (size_t i = find_part(m, pa.v); done < DAM_PAGE_SIZE; i++) {
        uint64_t at = pa.v + done, left = DAM_PAGE_SIZE - done;
        uint64_t offset = m->at[i].offset + (at - m->at[i].start);
        uint64_t size = m->at[i].end - at < left ? m->at[i].end - at : left;
        if (source_read(&m->file.source, offset, (uint8_t *)page + done, size) == size) {
            done += size;
            continue;
        }
        if (source_holds(&m->file.source, offset, size))
            (void)tool_fail(why, TOOL_BAD_INPUT, "the dump cannot be read at offset %" PRIu64, offset);
        else
            (void)tool_fail(why, TOOL_BAD_INPUT,
                            "the dump is cut short: the page at 0x%" PRIx64 " should be at offset %" PRIu64,
                            pa.v, offset);
        return DAM_E_IO;
    }
    return DAM_OK;
}

static bool next_held(void *ctx, uint64_t *start, uint64_t *end)
{
    struct parts *m = ctx;
    uint64_t from = dam_align_up(*start, DAM_PAGE_SIZE);
    size_t i = memory_find(&m->held, from);
    if (from < *start || i == m->held.count)
        return false;
    *start = from > m->held.at[i].start ? from : m->held.at[i].start;
    *end = m->held.at[i].end;
    return true;
}

// ---- building --------------------------------------------------------------------------------------------
static int compare_loads(const void *a, const void *b)
{
    const struct dump_load *x = a, *y = b;
    if (x->pa != y->pa)
        return x->pa < y->pa ? -1 : 1;
    // The longest of those that begin together first: what overlaps is then cut off the shorter ones.
    if (x->filesz != y->filesz)
        return x->filesz > y->filesz ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

// From here on the segments are sorted, and every sum that is made of them fits.
static bool append(struct parts *m, const struct dump_load *load)
{
    uint64_t start = load->pa, end = load->pa + load->filesz, offset = load->offset;
    uint64_t from = m->count ? m->at[m->count - 1].end : 0;
    if (!memory_append(&m->known, start, start + load->memsz, false))
        return false;
    // Two segments for the same memory say the same; the first one is read.
    if (start < from) {
        offset += from - start;
        start = from;
    }
    if (start < end)
        m->at[m->count++] = (struct part){start, end, offset};
    return true;
}

static bool sum_up(struct parts *m, struct memory_provider *out)
{
    struct dam_ranges together = {0};
    bool ok = true;
    // Two parts may meet inside a page.
    for (size_t i = 0; i < m->count && ok; i++)
        ok = memory_append(&together, m->at[i].start, m->at[i].end, false);
    for (size_t i = 0; i < together.count && ok; i++)
        ok = memory_append(&m->held, together.at[i].start, together.at[i].end, true);
    for (size_t i = 0; i < m->known.count && ok; i++)
        ok = memory_append(&m->file.ram, m->known.at[i].start, m->known.at[i].end, true);
    free(together.at);
    for (size_t i = 0; i < m->held.count; i++)
        out->about.held += m->held.at[i].end - m->held.at[i].start;
    return ok;
}

// Sorts the segments and makes the provider of them.
static enum tool_status build(const struct dump_source *source, struct dump_load *loads, size_t count,
                              struct memory_provider *out, struct tool_error *error)
{
    struct parts *m = calloc(1, sizeof *m);
    bool ok = m != NULL && (m->at = calloc(count ? count : 1, sizeof *m->at)) != NULL;
    if (count > 0)
        qsort(loads, count, sizeof *loads, compare_loads);
    for (size_t i = 0; i < count && ok; i++)
        ok = append(m, &loads[i]);
    ok = ok && sum_up(m, out);
    if (!ok) {
        if (m != NULL) {
            free(m->file.ram.at);
            close_parts(&m->file);
        }
        return tool_fail(error, TOOL_SYSTEM, "no memory for the map of a dump");
    }
    m->file.source = *source;
    m->file.close = close_parts;
    out->ctx = m;
    out->read_page = read_page;
    out->next_held = next_held;
    return TOOL_OK;
}

// ---- ELF -------------------------------------------------------------------------------------------------
static enum tool_status check_load(const struct dump_load *load, struct tool_error *error)
{
    if (load->filesz > load->memsz || load->pa >= MEMORY_END || load->memsz > MEMORY_END - load->pa ||
        load->filesz > INT64_MAX || load->offset > INT64_MAX - load->filesz)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "damaged: a segment at 0x%" PRIx64 " of 0x%" PRIx64 " bytes, 0x%" PRIx64
                         " of them at offset 0x%" PRIx64,
                         load->pa, load->memsz, load->filesz, load->offset);
    return TOOL_OK;
}

// Drops the segments that have no physical address or no size, and checks the others.
static enum tool_status check_loads(struct dump_load *loads, size_t *count, struct tool_error *error)
{
    size_t n = 0;
    bool placed = *count < 2;
    for (size_t i = 0; i < *count; i++) {
        if (loads[i].pa == UINT64_MAX || loads[i].memsz == 0)
            continue;
        enum tool_status status = check_load(&loads[i], error);
        if (status != TOOL_OK)
            return status;
        placed = placed || loads[i].pa != 0;
        loads[n++] = loads[i];
    }
    *count = n;
    if (n == 0)
        return tool_fail(error, TOOL_BAD_INPUT, "an ELF dump without any memory in it");
    if (!placed)
        return tool_fail(error, TOOL_BAD_INPUT, "an ELF dump that tells no physical addresses");
    return TOOL_OK;
}

enum tool_status memory_of_elf(const struct dump_source *source, struct memory_provider *out,
                               struct tool_error *error)
{
    struct dump_load *loads = NULL;
    size_t count = 0;
    enum tool_status status = dump_elf_loads(source, &loads, &count, error);
    if (status == TOOL_OK)
        status = check_loads(loads, &count, error);
    if (status == TOOL_OK)
        status = build(source, loads, count, out, error);
    free(loads);
    if (status == TOOL_OK)
        snprintf(out->about.format, sizeof out->about.format, "ELF");
    return status;
}

// ---- raw images ------------------------------------------------------------------------------------------
static enum tool_status check_extent(const struct dump_source *source, const struct memory_extent *e,
                                     struct tool_error *error)
{
    uint64_t size = e->end - e->start;
    if (e->start >= e->end)
        return tool_fail(error, TOOL_BAD_INPUT, "the map 0x%" PRIx64 "-0x%" PRIx64 " is empty", e->start,
                         e->end);
    if ((e->start | e->end | e->offset) % DAM_PAGE_SIZE != 0)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "the map 0x%" PRIx64 "-0x%" PRIx64 "=0x%" PRIx64 " is not one of whole 4-KiB pages",
                         e->start, e->end, e->offset);
    if (e->end > MEMORY_END)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "the map 0x%" PRIx64 "-0x%" PRIx64 " ends beyond 52 bits of physical address",
                         e->start, e->end);
    if (!source_holds(source, e->offset, size))
        return tool_fail(error, TOOL_BAD_INPUT,
                         "the map 0x%" PRIx64 "-0x%" PRIx64 "=0x%" PRIx64
                         " ends beyond the end of the file, at 0x%" PRIx64,
                         e->start, e->end, e->offset, source_end(source));
    return TOOL_OK;
}

enum tool_status memory_of_raw(const struct dump_source *source, const struct memory_options *options,
                               struct memory_provider *out, struct tool_error *error)
{
    size_t count = options->extent_count;
    struct dump_load *loads = calloc(count, sizeof *loads);
    if (loads == NULL)
        return tool_fail(error, TOOL_SYSTEM, "no memory for the map of an image");
    enum tool_status status = TOOL_OK;
    for (size_t i = 0; i < count && status == TOOL_OK; i++) {
        const struct memory_extent *e = &options->extents[i];
        status = check_extent(source, e, error);
        for (size_t k = 0; k < i && status == TOOL_OK; k++)
            if (options->extents[k].start < e->end && e->start < options->extents[k].end)
                status =
                    tool_fail(error, TOOL_BAD_INPUT, "the map has two places for 0x%" PRIx64,
                              e->start > options->extents[k].start ? e->start : options->extents[k].start);
        loads[i] = (struct dump_load){e->start, e->offset, e->end - e->start, e->end - e->start};
    }
    if (status == TOOL_OK)
        status = build(source, loads, count, out, error);
    free(loads);
    if (status == TOOL_OK)
        snprintf(out->about.format, sizeof out->about.format, "raw");
    return status;
}

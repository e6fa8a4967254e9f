// SPDX-License-Identifier: MIT
// The flattened format of makedumpfile -F: a header of 4096 bytes, then records {offset, size, bytes} to be
// written to the dump in this order (later ones win), ended by a record of {-1, -1}. All numbers are
// big-endian, on every machine. Source: makedumpfile.h (struct makedumpfile_header, struct
// makedumpfile_data_header) and makedumpfile(8), -F and -R.
//
// Debian 12's libkdumpfile (0.5.1) does not read this format. The stream is gone through once, from record to
// record; what is kept is where each byte of the dump lies in it: 24 bytes for each record.
#include "source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "inspect/progress.h"

#define FLAT_SIGNATURE   "makedumpfile\0\0\0\0"
#define FLAT_HEADER_SIZE 4096u
#define FLAT_TYPE        1u
#define FLAT_VERSION     1u
#define FLAT_END         UINT64_MAX
#define RECORD_HEADER    16u
#define PROGRESS_STEP    1024u // records
// makedumpfile writes records of up to 64 KiB, 33 KiB on average: this lets a dump of 500 GiB through, and
// no stream, however it was made, takes more than 1.5 GiB of memory.
#define MAX_RECORDS (1u << 24)

// Bytes [offset, end) of the dump lie at `from` of the stream.
struct flat_piece {
    uint64_t offset, end, from;
};

struct flat_index {
    struct flat_piece *at; // sorted, no two overlap
    size_t count;
};

bool flat_recognise(const struct dump_source *source)
{
    uint8_t signature[16];
    return source_read_raw(source, 0, signature, sizeof signature) == sizeof signature &&
           memcmp(signature, FLAT_SIGNATURE, sizeof signature) == 0;
}

// ---- later records win -----------------------------------------------------------------------------------
// The part of piece that lies in [start, end).
static struct flat_piece part_of(const struct flat_piece *piece, uint64_t start, uint64_t end)
{
    return (struct flat_piece){start, end, piece->from + (start - piece->offset)};
}

// Writes out the parts of old pieces, from *at on, that lie in front of `until`. *cut: how far pieces are
// used up already.
static size_t put_old(const struct flat_piece *old, size_t count, size_t *at, uint64_t *cut, uint64_t until,
                      struct flat_piece *out)
{
    size_t n = 0;
    for (; *at < count; ++*at) {
        const struct flat_piece *p = &old[*at];
        uint64_t start = p->offset > *cut ? p->offset : *cut;
        if (start >= until)
            break;
        uint64_t end = p->end < until ? p->end : until;
        if (start < end)
            out[n++] = part_of(p, start, end);
        if (p->end > until)
            break;
    }
    return n;
}

// Lays the younger of two lists over the older one. Both are sorted and free of overlaps, and so is the
// result. Ends of pieces are ends of records, so that n records never make more than 2n - 1 pieces.
static size_t lay_over(const struct flat_piece *old, size_t old_count, const struct flat_piece *young,
                       size_t young_count, struct flat_piece *out)
{
    size_t n = 0, at = 0;
    uint64_t cut = 0;
    for (size_t i = 0; i < young_count; i++) {
        n += put_old(old, old_count, &at, &cut, young[i].offset, out + n);
        out[n++] = young[i];
        cut = young[i].end;
    }
    return n + put_old(old, old_count, &at, &cut, UINT64_MAX, out + n);
}

// Finds lists in the stream's order: sorted as they are, without overlaps. first[i] is where list i begins;
// first[lists] is count.
static size_t find_lists(const struct flat_piece *pieces, size_t count, size_t *first)
{
    size_t lists = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || pieces[i].offset < pieces[i - 1].end)
            first[lists++] = i;
    first[lists] = count;
    return lists;
}

// Lays neighbouring lists over each other until one is left: n log n, whatever the order of the records.
static struct flat_piece *merge_lists(struct flat_piece *in, struct flat_piece *out, size_t *first,
                                      size_t lists, size_t *count)
{
    while (lists > 1) {
        size_t merged = 0, n = 0;
        for (size_t i = 0; i < lists; i += 2) {
            size_t start = first[i], middle = first[i + 1];
            size_t end = i + 2 <= lists ? first[i + 2] : middle;
            size_t at = n;
            n += lay_over(in + start, middle - start, in + middle, end - middle, out + n);
            first[merged++] = at;
        }
        first[merged] = n;
        lists = merged;
        struct flat_piece *swap = in;
        in = out;
        out = swap;
    }
    *count = first[lists];
    free(out);
    return in;
}

static enum tool_status no_memory(struct tool_error *error)
{
    return tool_fail(error, TOOL_SYSTEM, "no memory for the index of a flattened dump");
}

// Turns the records, in the stream's order, into the index.
static enum tool_status sort_records(struct flat_index *index, struct tool_error *error)
{
    size_t count = index->count;
    size_t *first = malloc((count + 2) * sizeof *first);
    if (first == NULL)
        return no_memory(error);
    size_t lists = find_lists(index->at, count, first);
    if (lists > 1) {
        struct flat_piece *in = realloc(index->at, 2 * count * sizeof *in);
        struct flat_piece *out = malloc(2 * count * sizeof *out);
        index->at = in != NULL ? in : index->at;
        if (in == NULL || out == NULL) {
            free(out);
            free(first);
            return no_memory(error);
        }
        index->at = merge_lists(in, out, first, lists, &index->count);
    }
    free(first);
    struct flat_piece *fits = realloc(index->at, (index->count ? index->count : 1) * sizeof *fits);
    index->at = fits != NULL ? fits : index->at;
    return TOOL_OK;
}

// ---- the stream ------------------------------------------------------------------------------------------
static enum tool_status keep(struct flat_index *index, size_t *capacity, struct flat_piece piece,
                             struct tool_error *error)
{
    if (index->count == MAX_RECORDS)
        return tool_fail(error, TOOL_BAD_INPUT, "flattened dump with more than %u records", MAX_RECORDS);
    if (index->count == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 64;
        struct flat_piece *at = realloc(index->at, more * sizeof *at);
        if (at == NULL)
            return no_memory(error);
        index->at = at;
        *capacity = more;
    }
    index->at[index->count++] = piece;
    return TOOL_OK;
}

// Says how far the reading has come. false: the user wants it to end.
static bool go_on(const struct flat_index *index, uint64_t at)
{
    if (index->count % PROGRESS_STEP != 0)
        return true;
    progress_step(at);
    return !progress_interrupted();
}

static enum tool_status read_records(const struct dump_source *source, struct flat_index *index,
                                     struct tool_error *error)
{
    size_t capacity = 0;
    uint64_t at = FLAT_HEADER_SIZE, last = at;
    for (;;) {
        uint8_t header[RECORD_HEADER];
        // A record that is not all there shows in that nothing is behind it: every stream has an end.
        if (source_read_raw(source, at, header, sizeof header) != sizeof header)
            return tool_fail(error, TOOL_BAD_INPUT,
                             "flattened dump cut short: no record at %" PRIu64 ", behind that at %" PRIu64,
                             at, last);
        uint64_t offset = get_be64(header), size = get_be64(header + 8), from = at + RECORD_HEADER;
        if (offset == FLAT_END && size == FLAT_END)
            return TOOL_OK;
        if (size == 0 || size > INT64_MAX - from || offset > INT64_MAX - size)
            return tool_fail(error, TOOL_BAD_INPUT,
                             "flattened dump damaged: record at %" PRIu64 " of size 0x%" PRIx64
                             " for 0x%" PRIx64,
                             at, size, offset);
        enum tool_status status =
            keep(index, &capacity, (struct flat_piece){offset, offset + size, from}, error);
        if (status != TOOL_OK)
            return status;
        if (!go_on(index, at))
            return tool_fail(error, TOOL_BAD_INPUT, "interrupted");
        last = at;
        at = from + size;
    }
}

enum tool_status flat_open(struct dump_source *source, struct tool_error *error)
{
    uint8_t header[32];
    if (source_read_raw(source, 0, header, sizeof header) != sizeof header)
        return tool_fail(error, TOOL_BAD_INPUT, "flattened dump cut short in its header");
    if (get_be64(header + 16) != FLAT_TYPE || get_be64(header + 24) != FLAT_VERSION)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "flattened dump of type %" PRIu64 ", version %" PRIu64 ": only 1, 1",
                         get_be64(header + 16), get_be64(header + 24));
    struct flat_index *index = calloc(1, sizeof *index);
    if (index == NULL)
        return no_memory(error);
    progress_begin("reading the flattened dump", source->size);
    enum tool_status status = read_records(source, index, error);
    progress_end();
    if (status == TOOL_OK)
        status = sort_records(index, error);
    if (status == TOOL_OK)
        source->flat = index;
    else
        flat_close(index);
    return status;
}

void flat_close(struct flat_index *index)
{
    if (index != NULL)
        free(index->at);
    free(index);
}

uint64_t flat_look_up(const struct flat_index *index, uint64_t offset, uint64_t *from)
{
    // The first piece that ends behind offset.
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->at[middle].end > offset)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == index->count) {
        *from = UINT64_MAX;
        return 0;
    }
    const struct flat_piece *p = &index->at[low];
    if (p->offset > offset) {
        *from = p->offset - offset;
        return 0;
    }
    *from = p->from + (offset - p->offset);
    return p->end - offset;
}

uint64_t flat_index_end(const struct flat_index *index)
{
    return index->count ? index->at[index->count - 1].end : 0;
}

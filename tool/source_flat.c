// SPDX-License-Identifier: MIT
// The flattened format of makedumpfile -F: a header of 4096 bytes, then records {offset, size, bytes} to be
// written to the dump in this order (later ones win), ended by a record of {-1, -1}. All numbers are
// big-endian, on every machine. Source: makedumpfile.h (struct makedumpfile_header, struct
// makedumpfile_data_header) and makedumpfile(8), -F and -R.
//
// Debian 12's libkdumpfile (0.5.1) does not read this format. Headers and notes lie at the start of a dump,
// so only records that touch its first FLAT_WINDOW bytes are kept.
#include "source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define FLAT_SIGNATURE   "makedumpfile\0\0\0\0"
#define FLAT_HEADER_SIZE 4096u
#define FLAT_TYPE        1u
#define FLAT_VERSION     1u
#define FLAT_END         UINT64_MAX
#define RECORD_HEADER    16u
#define FLAT_WINDOW      (16u * 1024 * 1024)
// makedumpfile writes records of up to 64 KiB, 33 KiB on average: this lets a dump of 2 TiB through.
#define MAX_RECORDS (1u << 26)
#define MAX_KEPT    (1u << 14) // so that reading stays quick: every read looks through all of them

struct flat_record {
    uint64_t offset; // in the dump
    uint64_t size;
    uint64_t from; // in the stream
};

struct flat_index {
    size_t count, capacity;
    struct flat_record at[];
};

bool flat_recognise(const struct dump_source *source)
{
    uint8_t signature[16];
    return source_read_raw(source, 0, signature, sizeof signature) == sizeof signature &&
           memcmp(signature, FLAT_SIGNATURE, sizeof signature) == 0;
}

static enum tool_status keep(struct flat_index **index, struct flat_record record, struct tool_error *error)
{
    struct flat_index *i = *index;
    if (i->count == MAX_KEPT)
        return tool_fail(error, TOOL_BAD_INPUT, "flattened dump with more than %u records in its headers",
                         MAX_KEPT);
    if (i->count == i->capacity) {
        size_t capacity = i->capacity * 2;
        i = realloc(i, sizeof *i + capacity * sizeof i->at[0]);
        if (i == NULL)
            return tool_fail(error, TOOL_SYSTEM, "no memory for the index of a flattened dump");
        i->capacity = capacity;
        *index = i;
    }
    i->at[i->count++] = record;
    return TOOL_OK;
}

// A record whose last byte is not in the stream means that the stream is cut short.
static bool is_complete(const struct dump_source *source, const struct flat_record *record)
{
    uint8_t last;
    return source_read_raw(source, record->from + record->size - 1, &last, 1) == 1;
}

static enum tool_status read_records(struct dump_source *source, struct tool_error *error)
{
    uint64_t at = FLAT_HEADER_SIZE;
    for (uint32_t n = 0; n < MAX_RECORDS; n++) {
        uint8_t header[RECORD_HEADER];
        if (source_read_raw(source, at, header, sizeof header) != sizeof header)
            return tool_fail(error, TOOL_BAD_INPUT, "flattened dump cut short: no record at %" PRIu64, at);
        struct flat_record record = {get_be64(header), get_be64(header + 8), at + RECORD_HEADER};
        if (record.offset == FLAT_END && record.size == FLAT_END)
            return TOOL_OK;
        if (record.size == 0 || record.size > INT64_MAX - record.from ||
            record.offset > INT64_MAX - record.size)
            return tool_fail(error, TOOL_BAD_INPUT,
                             "flattened dump damaged: record at %" PRIu64 " of size 0x%" PRIx64
                             " for 0x%" PRIx64,
                             at, record.size, record.offset);
        if (record.offset < FLAT_WINDOW) {
            if (!is_complete(source, &record))
                return tool_fail(error, TOOL_BAD_INPUT,
                                 "flattened dump cut short inside the record at %" PRIu64, at);
            enum tool_status status = keep(&source->flat, record, error);
            if (status != TOOL_OK)
                return status;
        }
        at = record.from + record.size;
    }
    return tool_fail(error, TOOL_BAD_INPUT, "flattened dump with more than %u records", MAX_RECORDS);
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
    const size_t first = 64;
    source->flat = malloc(sizeof *source->flat + first * sizeof source->flat->at[0]);
    if (source->flat == NULL)
        return tool_fail(error, TOOL_SYSTEM, "no memory for the index of a flattened dump");
    source->flat->count = 0;
    source->flat->capacity = first;
    return read_records(source, error);
}

size_t flat_read(const struct dump_source *source, uint64_t offset, void *buffer, size_t length)
{
    const struct flat_index *index = source->flat;
    size_t done = 0;
    while (done < length && offset + done < FLAT_WINDOW) {
        uint64_t at = offset + done;
        uint64_t end = at + (length - done);
        const struct flat_record *found = NULL;
        // The last record that holds this byte wins; what later ones overwrite ends its reach.
        for (size_t i = index->count; i-- > 0 && found == NULL;) {
            const struct flat_record *r = &index->at[i];
            if (r->offset <= at && at - r->offset < r->size)
                found = r;
            else if (r->offset > at && r->offset < end)
                end = r->offset;
        }
        if (found == NULL)
            break;
        if (end > found->offset + found->size)
            end = found->offset + found->size;
        size_t want = (size_t)(end - at);
        size_t got =
            source_read_raw(source, found->from + (at - found->offset), (uint8_t *)buffer + done, want);
        done += got;
        if (got != want)
            break;
    }
    return done;
}

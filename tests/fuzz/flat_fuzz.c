// SPDX-License-Identifier: MIT
// The flattened reader over arbitrary records, against the format's own rule: the records written, in order,
// into one piece of memory. The input is what stands behind a sound header; and once it is all of the file.
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "source.h"

#define SPAN (1u << 17) // bytes of the dump that are compared

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t want[SPAN];
static bool there[SPAN];

static void expect(bool truth)
{
    if (!truth)
        abort();
}

// Applies the records as makedumpfile -R would. false: the stream is not sound.
static bool apply(const uint8_t *stream, size_t size)
{
    memset(want, 0, sizeof want);
    memset(there, 0, sizeof there);
    for (size_t at = 4096; size >= 16 && at <= size - 16;) {
        uint64_t offset = get_be64(stream + at), length = get_be64(stream + at + 8);
        at += 16;
        if (offset == UINT64_MAX && length == UINT64_MAX)
            return true;
        if (length == 0 || length > size - at || offset > INT64_MAX - length)
            return false;
        for (uint64_t i = 0; i < length && offset + i < SPAN; i++) {
            want[offset + i] = stream[at + i];
            there[offset + i] = true;
        }
        at += (size_t)length;
    }
    return false;
}

static void compare(const struct dump_source *source, uint32_t at, uint32_t length)
{
    static uint8_t got[SPAN];
    uint32_t run = 0;
    while (run < length && there[at + run])
        run++;
    expect(source_read(source, at, got, length) == run && memcmp(got, want + at, run) == 0);
    expect(source_holds(source, at, length) == (run == length));
    source_read_filled(source, at, got, length);
    expect(memcmp(got, want + at, length) == 0);
}

static void check(const uint8_t *stream, size_t size)
{
    struct dump_source source;
    struct tool_error error = {""};
    bool sound = apply(stream, size);
    enum tool_status status = source_open_memory(stream, size, &source, &error);
    expect((status == TOOL_OK) == sound);
    if (status != TOOL_OK) {
        expect(status == TOOL_BAD_INPUT && error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
        return;
    }
    expect(source.flattened);
    compare(&source, 0, SPAN);
    for (uint32_t i = 0; i + 4 < 64 && i + 4 < size; i += 4) {
        uint32_t at = get_le32(stream + size - 4 - i) % SPAN;
        compare(&source, at, (at * 7 + i) % (SPAN - at));
    }
    source_close(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t header[32] = "makedumpfile\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1";
    struct dump_source source;
    struct tool_error error = {""};
    if (source_open_memory(data, size, &source, &error) == TOOL_OK)
        source_close(&source);
    // Inputs grow at their end: an end of the stream is always there, if the last record does not hide it.
    uint8_t *stream = calloc(1, 4096 + size + 16);
    memcpy(stream, header, 32);
    if (size > 0)
        memcpy(stream + 4096, data, size);
    memset(stream + 4096 + size, 0xFF, 16);
    check(stream, 4096 + size);
    check(stream, 4096 + size + 16);
    free(stream);
    return 0;
}

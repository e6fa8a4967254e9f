// SPDX-License-Identifier: MIT
// `cofferdam log` over arbitrary bytes: recognising the dump, finding the note, reading and showing it. The
// input is taken as it is, and then once more as a note whose length and checksum are put right, to get
// behind them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bytes.h"
#include "dump.h"
#include "note.h"
#include "note_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static FILE *sink(void)
{
    static FILE *stream;
    if (stream == NULL)
        stream = fopen("/dev/null", "w");
    return stream;
}

static void expect(bool truth)
{
    if (!truth)
        abort();
}

static void show(const uint8_t *bytes, size_t size)
{
    struct note note;
    struct tool_error error = {""};
    enum tool_status status = note_read(bytes, size, &note, &error);
    if (status != TOOL_OK) {
        expect(status == TOOL_BAD_INPUT && error.text[0] != '\0');
        return;
    }
    note_print(sink(), &note);
    struct json_object *o = note_json(&note);
    // What is printed must be JSON again, whatever the bytes were.
    struct json_object *again = json_tokener_parse(json_object_to_json_string(o));
    expect(again != NULL);
    json_object_put(again);
    json_object_put(o);
}

static void as_dump(const uint8_t *data, size_t size)
{
    struct dump_source source;
    struct dump dump;
    struct tool_error error = {""};
    uint8_t *bytes = NULL;
    size_t found = 0;
    enum tool_status status = source_open_memory(data, size, &source, &error);
    if (status == TOOL_OK)
        status = dump_read(&source, &dump, &error);
    if (status == TOOL_OK)
        status = dump_note(&source, &dump, &bytes, &found, &error);
    source_close(&source);
    if (status == TOOL_OK)
        show(bytes, found);
    else
        expect(error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
    free(bytes);
}

static void as_note(const uint8_t *data, size_t size)
{
    if (size < sizeof(struct dam_note_header))
        return;
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    put_le64(copy, DAM_NOTE_MAGIC);
    put_le32(copy + 8, DAM_NOTE_VERSION);
    put_le32(copy + 12, (uint32_t)size);
    put_le32(copy + 16, 0);
    put_le32(copy + 16, (uint32_t)crc32(0, copy, (uInt)size));
    show(copy, size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_dump(data, size);
    as_note(data, size);
    return 0;
}

// SPDX-License-Identifier: MIT
// memory_open() and reading pages out of hostile dumps, libkdumpfile included. The input is a list of changes
// to a sound dump of the kind that its first byte says, since no random input is a dump; and once it is the
// whole file.
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "inspect/memory_file.h"
#include "lib/dump_maker.h"

#define MAX_READS 300u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth)
{
    if (!truth)
        abort();
}

static void read_one(struct memory *memory, uint64_t pa)
{
    uint8_t page[4096];
    dam_err err = memory_read(memory, dam_pa_of(pa), page, sizeof page);
    expect(err == DAM_OK || err == DAM_E_ABSENT || err == DAM_E_RANGE || err == DAM_E_IO);
    expect(err != DAM_E_IO ||
           (memory_problem(memory)[0] != '\0' && strchr(memory_problem(memory), '\n') == NULL));
}

static void read_all(struct memory *memory)
{
    const struct dam_ranges *ram = memory_ram(memory);
    uint64_t start = 0, end = 0, last = 0;
    unsigned reads = 0;
    for (size_t i = 0; i < ram->count; i++) {
        const struct dam_range *r = &ram->at[i];
        expect(r->start < r->end && (r->start | r->end) % 4096 == 0);
        expect(i == 0 || r->start > r[-1].end);
        for (uint64_t pa = r->start; pa < r->end && reads < MAX_READS; pa += 4096, reads++)
            read_one(memory, pa);
    }
    for (reads = 0; reads < MAX_READS && memory_next_held(memory, &start, &end); start = end) {
        expect(start >= last && start < end && (start | end) % 4096 == 0);
        last = end;
        for (uint64_t pa = start; pa < end && reads < MAX_READS; pa += 4096, reads++)
            read_one(memory, pa);
    }
    read_one(memory, 0);
    read_one(memory, UINT64_MAX - 4095);
}

// The bytes are in a block of exactly this size.
static void open_and_read(const uint8_t *bytes, size_t size)
{
    struct dump_source source;
    struct memory *memory = NULL;
    struct tool_error error = {""};
    enum tool_status status = source_open_memory(bytes, size, &source, &error);
    if (status == TOOL_OK)
        status = memory_open_source(&source, &memory, &error);
    if (status != TOOL_OK) {
        expect(status == TOOL_BAD_INPUT && error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
        return;
    }
    read_all(memory);
    memory_close(memory);
}

static const struct made *sound(unsigned kind)
{
    static struct made dumps[4];
    struct made *m = &dumps[kind % 4], notes = {0};
    if (m->size > 0)
        return m;
    static const struct made_segment segments[] = {{0x1000, 0x2000, 0x2000},
                                                   {0x10000, 0x2000, 0x4000},
                                                   {0x11000, 0x1000, 0x1000},
                                                   {0x20800, 0x1800, 0x1800}};
    made_note(&notes, "VMCOREINFO", 0, "OSRELEASE=6.1.0\nPAGESIZE=4096\n", 30);
    made_note(&notes, "COFFERDAM", 0x43464431, "descriptor", 10);
    if (kind % 2 == 0)
        made_elf(m, segments, 4, &notes, NULL);
    else
        made_kdump(m, ".zzp.rr.zp", &notes);
    if (kind % 4 >= 2) {
        struct made plain = *m;
        *m = (struct made){0};
        made_flat(m, &plain, 4096);
        made_free(&plain);
    }
    made_free(&notes);
    return m;
}

// Changes: where (3 bytes), how many bytes (3 bits), the bytes. With the top bit of the count the file is
// cut there instead.
static void changed(const uint8_t *data, size_t size)
{
    const struct made *m = sound(data[0]);
    uint8_t *bytes = malloc(m->size);
    size_t used = m->size;
    memcpy(bytes, m->bytes, used);
    for (size_t at = 1; at + 4 < size;) {
        size_t where = (data[at] | (size_t)data[at + 1] << 8 | (size_t)data[at + 2] << 16) % m->size;
        size_t count = (data[at + 3] & 7u) + 1u;
        if (data[at + 3] & 0x80)
            used = where;
        at += 4;
        for (size_t i = 0; i < count && at < size && where + i < m->size; i++)
            bytes[where + i] = data[at++];
    }
    uint8_t *exact = malloc(used ? used : 1);
    memcpy(exact, bytes, used);
    free(bytes);
    open_and_read(exact, used);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_and_read(data, size);
    if (size > 0)
        changed(data, size);
    return 0;
}

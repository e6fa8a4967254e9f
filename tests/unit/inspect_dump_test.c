// SPDX-License-Identifier: MIT
// memory_open(): the same pages out of dumps of every kind, what they do not hold is said so, and damaged
// ones give one clear error. With a path as argument: prints what that dump holds (tests/tool uses it).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include <cofferdam/abi.h>

#include "inspect/memory_file.h"
#include "inspect/presented.h"
#include "lib/dump_maker.h"

static const char info[] = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n";
static const char ours[] = "the descriptor of our note";

static struct made notes_of(bool with_vmcoreinfo)
{
    struct made notes = {0};
    uint8_t cpu[336] = {0};
    made_note(&notes, "CORE", 1, cpu, sizeof cpu);
    if (with_vmcoreinfo)
        made_note(&notes, "VMCOREINFO", 0, info, sizeof info - 1);
    made_note(&notes, DAM_NOTE_NAME, DAM_NOTE_TYPE, ours, sizeof ours);
    return notes;
}

// Opens a copy of exactly this size, so that a byte read behind it is seen; *copy is freed by the caller.
static enum tool_status open_bytes(const uint8_t *bytes, size_t size, uint8_t **copy, struct memory **out,
                                   struct tool_error *error)
{
    struct dump_source source;
    *copy = malloc(size ? size : 1);
    memcpy(*copy, bytes, size);
    *out = NULL;
    error->text[0] = '\0';
    enum tool_status status = source_open_memory(*copy, size, &source, error);
    if (status == TOOL_OK)
        status = memory_open_source(&source, out, error);
    assert_true(status == TOOL_OK || (error->text[0] != '\0' && strchr(error->text, '\n') == NULL));
    return status;
}

struct opened {
    uint8_t *copy;
    struct memory *memory;
};

static struct opened open_made(const struct made *m)
{
    struct opened o;
    struct tool_error error;
    if (open_bytes(m->bytes, m->size, &o.copy, &o.memory, &error) != TOOL_OK)
        fail_msg("%s", error.text);
    return o;
}

static void close_opened(struct opened *o)
{
    memory_close(o->memory);
    free(o->copy);
}

static void refused(const struct made *m, const char *part)
{
    struct opened o;
    struct tool_error error;
    enum tool_status status = open_bytes(m->bytes, m->size, &o.copy, &o.memory, &error);
    if (status != TOOL_BAD_INPUT || strstr(error.text, part) == NULL)
        fail_msg("status %d, \"%s\" instead of \"%s\"", status, error.text, part);
    free(o.copy);
}

// Reads the page at pa; what was read must be what was made.
static dam_err read_at(struct memory *memory, uint64_t pa)
{
    uint8_t got[4096], want[4096];
    dam_err err = memory_read(memory, dam_pa_of(pa), got, sizeof got);
    if (err == DAM_OK) {
        made_page(pa, want);
        assert_memory_equal(got, want, sizeof want);
    } else if (err == DAM_E_IO) {
        assert_true(memory_problem(memory)[0] != '\0');
    } else {
        assert_true(err == DAM_E_ABSENT || err == DAM_E_RANGE);
    }
    return err;
}

// The pages from 0 on, one character each: 'o' held and right, 'a' absent, '.' no RAM, '!' damaged.
static void pages_are(struct memory *memory, const char *expected)
{
    char seen[4096] = "";
    size_t count = strlen(expected);
    assert_true(count < sizeof seen);
    // Backwards first: nothing depends on the order.
    for (size_t i = count; i-- > 0;)
        (void)read_at(memory, i * 4096);
    for (size_t i = 0; i < count; i++) {
        dam_err err = read_at(memory, i * 4096);
        seen[i] = err == DAM_OK ? 'o' : err == DAM_E_ABSENT ? 'a' : err == DAM_E_RANGE ? '.' : '!';
    }
    assert_string_equal(seen, expected);
}

// What memory_next_held() gives, "first-end" in pages.
static void held_is(struct memory *memory, const char *expected)
{
    char text[512] = "";
    uint64_t start = 0, end = 0;
    for (; memory_next_held(memory, &start, &end); start = end) {
        assert_true(end > start && (start | end) % 4096 == 0);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%" PRIu64 "-%" PRIu64, used ? " " : "", start / 4096,
                 end / 4096);
    }
    assert_string_equal(text, expected);
}

static void ram_is(const struct memory *memory, const char *expected)
{
    char text[512] = "";
    const struct dam_ranges *ram = memory_ram(memory);
    uint64_t sum = 0;
    for (size_t i = 0; i < ram->count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%" PRIu64 "-%" PRIu64, used ? " " : "",
                 ram->at[i].start / 4096, ram->at[i].end / 4096);
        sum += ram->at[i].end - ram->at[i].start;
    }
    assert_string_equal(text, expected);
    assert_int_equal(memory_about(memory)->ram, sum);
}

// ---- ELF -------------------------------------------------------------------------------------------------
// Pages left out at the end of a segment; a piece of RAM that no page fits into; the kernel's text, inside
// other RAM; segments that meet inside page 40.
static const struct made_segment segments[] = {
    {0x10000, 0x4000, 0x8000},    // 16-19 held, 20-23 left out, but for what comes below
    {0x1000, 0x9400, 0x9400},     // 1-9 held, a quarter of 10
    {0x12000, 0x1000, 0x1000},    // 18 again
    {0x13000, 0x3000, 0x3000},    // 19 again, and 20, 21
    {0x28800, 0x1800, 0x1800},    // half of 40, 41
    {0x26000, 0x2800, 0x2800},    // 38, 39, half of 40
    {0x40000, 0, 0x3000},         // 64-66 left out
    {UINT64_MAX, 0x1000, 0x1000}, // nobody knows where
    {0x50100, 0x200, 0x200},      // part of 80
};
#define SEGMENTS (sizeof segments / sizeof segments[0])
#define ELF_PAGES                                                                                            \
    ".oooooooooa.....ooooooaa..............oooo......................aaa............."                       \
    "a."

static struct made some_elf(void)
{
    struct made m = {0}, notes = notes_of(true);
    struct made_segment placed[SEGMENTS];
    memcpy(placed, segments, sizeof placed);
    placed[7].pa = 0; // made_elf() cannot write memory without an address
    made_elf(&m, placed, SEGMENTS, &notes, NULL);
    made_le64(&m, MADE_ELF_PHDR(7) + 24, UINT64_MAX);
    made_free(&notes);
    return m;
}

static void check_elf(const struct made *m, bool flattened)
{
    struct opened o = open_made(m);
    size_t size;
    pages_are(o.memory, ELF_PAGES);
    held_is(o.memory, "1-10 16-22 38-42");
    ram_is(o.memory, "1-10 16-24 38-42 64-67");
    const struct memory_about *about = memory_about(o.memory);
    assert_string_equal(about->format, "ELF");
    assert_string_equal(about->release, "6.1.0-test");
    assert_int_equal(about->flattened, flattened);
    assert_int_equal(about->held, 19 * 4096);
    assert_memory_equal(memory_vmcoreinfo(o.memory, &size), info, sizeof info - 1);
    assert_int_equal(size, sizeof info - 1);
    assert_memory_equal(memory_note(o.memory, &size), ours, sizeof ours);
    assert_int_equal(size, sizeof ours);
    close_opened(&o);
}

static void elf_pages(void **state)
{
    (void)state;
    struct made m = some_elf();
    check_elf(&m, false);
    // The program headers at the end of the file, where some writers have them.
    uint64_t at = 1u << 20;
    made_put(&m, at, NULL, 0);
    uint8_t headers[56 * (SEGMENTS + 1)];
    memcpy(headers, m.bytes + 64, sizeof headers);
    made_put(&m, at + 3, headers, sizeof headers);
    memset(m.bytes + 64, 0xEE, sizeof headers);
    made_le64(&m, 32, at + 3);
    check_elf(&m, false);
    m.size--;
    refused(&m, "cut short: the program headers");
    made_free(&m);
}

static void hostile_elf(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset, width;
        uint64_t value;
        const char *says;
    } changes[] = {
        {18, 2, 3, "another machine"}, // i386
        {18, 2, 183, "another machine"},
        {16, 2, 2, "not a core file"},
        {56, 2, 1, "without any memory"},
        {MADE_ELF_PHDR(0) + 24, 8, UINT64_MAX - 0xFFF, "damaged: a segment"}, // wraps
        {MADE_ELF_PHDR(0) + 24, 8, 1ull << 52, "damaged: a segment"},
        {MADE_ELF_PHDR(0) + 40, 8, UINT64_MAX, "damaged: a segment"},
        {MADE_ELF_PHDR(0) + 40, 8, (1ull << 52) - 0x10000 + 1, "damaged: a segment"},
        {MADE_ELF_PHDR(0) + 32, 8, 0x8001, "damaged: a segment"}, // filesz > memsz
        {MADE_ELF_PHDR(0) + 8, 8, INT64_MAX, "damaged: a segment"},
        {MADE_ELF_PHDR(0) + 8, 8, UINT64_MAX, "damaged: a segment"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct made m = some_elf();
        for (uint32_t b = 0; b < changes[i].width; b++)
            m.bytes[changes[i].offset + b] = (uint8_t)(changes[i].value >> 8 * b);
        refused(&m, changes[i].says);
        made_free(&m);
    }
    // Nothing but virtual addresses, as /proc/kcore has them.
    static const struct made_segment two[] = {{0, 0x1000, 0x1000}, {0, 0x1000, 0x1000}};
    struct made m = {0};
    made_elf(&m, two, 2, NULL, NULL);
    refused(&m, "no physical addresses");
    made_free(&m);
    // RAM in more pieces than any machine has.
    size_t count = 20000;
    struct made_segment *many = calloc(count, sizeof *many);
    for (size_t i = 0; i < count; i++)
        many[i] = (struct made_segment){i * 8192, 0, 4096};
    made_elf(&m, many, count, NULL, NULL);
    refused(&m, "RAM in 20000 pieces");
    made_free(&m);
    free(many);
}

// A page whose segment is said to lie behind the end of the file is damaged, and the others are not.
static void elf_that_is_cut_short(void **state)
{
    (void)state;
    struct made m = some_elf();
    made_le64(&m, MADE_ELF_PHDR(0) + 8, m.size - 0x2000);
    struct opened o = open_made(&m);
    uint8_t page[4096];
    assert_int_equal(memory_read(o.memory, dam_pa_of(0x12000), page, 4096), DAM_E_IO);
    assert_non_null(strstr(memory_problem(o.memory), "cut short: the page at 0x12000"));
    assert_int_equal(read_at(o.memory, 0x2000), DAM_OK);
    close_opened(&o);
    made_free(&m);
}

// ---- kdump-compressed ------------------------------------------------------------------------------------
#define KDUMP_PAGES ".zzprrz..pppp......rrrr....z"
#define KDUMP_SEEN  ".oooaao..oooo......aaaa....o.."

static struct made some_kdump(void)
{
    struct made m = {0}, notes = notes_of(true);
    made_kdump(&m, KDUMP_PAGES, &notes);
    made_free(&notes);
    return m;
}

static void check_kdump(const struct made *m, bool flattened)
{
    struct opened o = open_made(m);
    size_t size;
    pages_are(o.memory, KDUMP_SEEN);
    held_is(o.memory, "1-4 6-7 9-13 27-28");
    ram_is(o.memory, "1-7 9-13 19-23 27-28");
    const struct memory_about *about = memory_about(o.memory);
    assert_string_equal(about->format, "kdump-compressed, zlib");
    assert_string_equal(about->release, "6.1.0-test");
    assert_int_equal(about->flattened, flattened);
    assert_int_equal(about->held, 9 * 4096);
    assert_memory_equal(memory_vmcoreinfo(o.memory, &size), info, sizeof info - 1);
    assert_memory_equal(memory_note(o.memory, &size), ours, sizeof ours);
    close_opened(&o);
}

static void kdump_pages(void **state)
{
    (void)state;
    struct made m = some_kdump();
    check_kdump(&m, false);
    // Time stamps that libkdumpfile alone would take for the block size of a 32-bit machine's dump.
    made_le64(&m, 416, 4096);
    check_kdump(&m, false);
    // As QEMU 10 writes it.
    made_put(&m, 272, "Unknown", 8);
    check_kdump(&m, false);
    made_free(&m);
}

// More pages than a block of the bitmaps has bits, held here and there.
static void kdump_of_many_pages(void **state)
{
    (void)state;
    const size_t count = 70000;
    struct made m = {0};
    made_kdump(&m, ".", NULL);
    // The layout for three blocks of each bitmap; the pages themselves are all one page of the file.
    uint64_t ram = 2 * 4096, held = ram + 3 * 4096, desc = held + 3 * 4096, number = 0;
    made_le32(&m, 436, 6);
    made_le64(&m, 4096 + 96, count);
    made_put(&m, desc, NULL, 0);
    memset(m.bytes + ram, 0xFF, 3 * 4096);
    for (size_t i = 0; i < count; i++)
        if (i % 7 < 3 || (i > 33000 && i < 65000))
            m.bytes[held + i / 8] |= (uint8_t)(1u << i % 8);
    // Bits behind the last page count for nothing.
    memset(m.bytes + held + count / 8 + 1, 0xFF, 3 * 4096 - count / 8 - 1);
    for (size_t i = 0; i < count; i++)
        if (m.bytes[held + i / 8] >> i % 8 & 1)
            number++;
    uint64_t data = (desc + 24 * number + 4095) & ~4095ull, n = 0;
    // Page frame i points to the i % 5-th page there, so that the right descriptor can be told.
    for (size_t i = 0; i < count; i++)
        if (m.bytes[held + i / 8] >> i % 8 & 1) {
            made_le64(&m, desc + 24 * n, data + i % 5 * 4096);
            made_le64(&m, desc + 24 * n + 8, 4096);
            made_le64(&m, desc + 24 * n++ + 16, 0);
        }
    for (size_t i = 0; i < 5; i++) {
        uint8_t page[4096];
        made_page(i, page);
        made_put(&m, data + i * 4096, page, 4096);
    }
    struct opened o = open_made(&m);
    assert_int_equal(memory_about(o.memory)->held, number * 4096);
    assert_int_equal(memory_about(o.memory)->ram, count * 4096);
    for (size_t k = 0; k < count + 10; k++) {
        size_t i = (k * 7919) % (count + 10);
        bool there = i < count && (i % 7 < 3 || (i > 33000 && i < 65000));
        uint8_t got[4096], want[4096];
        dam_err err = memory_read(o.memory, dam_pa_of(i * 4096), got, 4096);
        assert_int_equal(err, there ? DAM_OK : i < count ? DAM_E_ABSENT : DAM_E_RANGE);
        if (there) {
            made_page(i % 5, want);
            assert_memory_equal(got, want, 4096);
        }
    }
    uint64_t start = 0, end, sum = 0;
    for (; memory_next_held(o.memory, &start, &end); start = end) {
        assert_true(end <= count * 4096);
        sum += end - start;
    }
    assert_int_equal(sum, number * 4096);
    start = 40000 * 4096ull + 1;
    assert_true(memory_next_held(o.memory, &start, &end));
    assert_int_equal(start, 40001 * 4096ull);
    close_opened(&o);
    made_free(&m);
}

static void hostile_kdump_headers(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset, width;
        uint64_t value;
        const char *says;
    } changes[] = {
        {428, 4, 8192, "8192"},
        {428, 4, 65536, "cut short in its sub-header"},
        {428, 4, 512, "block size"},
        {432, 4, 0, "a sub-header of 0"},
        {432, 4, UINT32_MAX, "a sub-header of"},
        {432, 4, 65536, "cut short in the bitmap"},
        {436, 4, 0, "bitmaps of 0 blocks"},
        {436, 4, 3, "bitmaps of 3 blocks"},
        {436, 4, 0xFFFFFFFE, "cut short in the bitmap"},
        {4096 + 96, 8, 0, "0x0 page frames"},
        {4096 + 96, 8, UINT64_MAX, "page frames"},
        {4096 + 96, 8, 32769, "for 0x8001 page frames"},
        {4096 + 12, 4, 1, "one part of a split dump"},
        {272, 7, 0x34366863726161, "another machine (aarch64)"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct made m = some_kdump();
        for (uint32_t b = 0; b < changes[i].width; b++)
            m.bytes[changes[i].offset + b] = (uint8_t)(changes[i].value >> 8 * b);
        refused(&m, changes[i].says);
        made_free(&m);
    }
    // A sparse file of the greatest bitmaps is refused for its size alone.
    struct made m = some_kdump();
    made_le32(&m, 436, 1u << 22);
    made_le64(&m, 4096 + 96, 1ull << 36);
    refused(&m, "cut short in the bitmap");
    made_free(&m);
    // RAM in more pieces than any machine has: every other page.
    made_kdump(&m, ".", NULL);
    made_le32(&m, 436, 4);
    made_le64(&m, 4096 + 96, 65536);
    made_put(&m, 6 * 4096, NULL, 0);
    memset(m.bytes + 2 * 4096, 0x55, 2 * 4096);
    refused(&m, "RAM in");
    made_free(&m);
}

// Each lie in a descriptor costs this one page, with a word about it.
static void hostile_descriptors(void **state)
{
    (void)state;
    static const struct {
        uint32_t at, width;
        uint64_t value;
        const char *says;
    } changes[] = {
        {0, 8, 0, "damaged"},
        {0, 8, UINT64_MAX, "cut short"},
        {0, 8, 1ull << 40, "cut short"},
        {8, 4, 0, "damaged"},
        {8, 4, 4097, "damaged"},
        {8, 4, 0x40000, "damaged"}, // what libkdumpfile would let through
        {8, 4, UINT32_MAX, "damaged"},
        {12, 4, 0, "damaged"},     // said to be plain, but short
        {12, 4, 0x100, "damaged"}, // no such way of packing
        {12, 4, 2, "cannot be read"},
        {12, 4, 4, "cannot be read"},
        {12, 4, 0x20, "cannot be read"},
        {8, 4, 3, "cannot be read"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct made m = some_kdump();
        uint32_t at = MADE_KDUMP_DESC(1) + changes[i].at; // of page 2
        uint32_t plain_size = m.bytes[MADE_KDUMP_DESC(1) + 9];
        assert_true(plain_size < 16); // it is a packed one
        for (uint32_t b = 0; b < changes[i].width; b++)
            m.bytes[at + b] = (uint8_t)(changes[i].value >> 8 * b);
        struct opened o = open_made(&m);
        uint8_t page[4096];
        assert_int_equal(memory_read(o.memory, dam_pa_of(0x2000), page, 4096), DAM_E_IO);
        if (strstr(memory_problem(o.memory), changes[i].says) == NULL)
            fail_msg("change %zu: \"%s\"", i, memory_problem(o.memory));
        assert_int_equal(read_at(o.memory, 0x1000), DAM_OK);
        assert_int_equal(read_at(o.memory, 0x3000), DAM_OK);
        close_opened(&o);
        made_free(&m);
    }
}

// makedumpfile marks a dump that it could not finish; pages without a descriptor are then just not there.
static void incomplete_kdump(void **state)
{
    (void)state;
    struct made m = some_kdump();
    memset(m.bytes + MADE_KDUMP_DESC(1), 0, 24);
    struct opened o = open_made(&m);
    assert_int_equal(read_at(o.memory, 0x2000), DAM_E_IO);
    close_opened(&o);
    made_le32(&m, 424, 1 | 8);
    o = open_made(&m);
    assert_int_equal(read_at(o.memory, 0x2000), DAM_E_ABSENT);
    assert_int_equal(read_at(o.memory, 0x3000), DAM_OK);
    assert_string_equal(memory_about(o.memory)->format, "kdump-compressed, zlib, incomplete");
    close_opened(&o);
    made_free(&m);
}

// ---- all formats -----------------------------------------------------------------------------------------
static void flattened(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 61, 4096, 65536};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct made elf = some_elf(), kdump = some_kdump(), flat = {0};
        made_flat(&flat, &elf, pieces[i]);
        check_elf(&flat, true);
        made_free(&flat);
        made_flat(&flat, &kdump, pieces[i]);
        check_kdump(&flat, true);
        made_free(&flat);
        made_free(&elf);
        made_free(&kdump);
    }
}

// A page whose record is missing in a flattened stream is damaged; zeros would be made up.
static void hole_in_flattened(void **state)
{
    (void)state;
    struct made kdump = some_kdump(), flat = {0};
    uint64_t second = 0;
    memcpy(&second, kdump.bytes + MADE_KDUMP_DESC(1), 8);
    made_flat_begin(&flat);
    made_flat_record(&flat, 0, kdump.bytes, second + 10);
    made_flat_record(&flat, second + 11, kdump.bytes + second + 11, kdump.size - second - 11);
    made_flat_end(&flat);
    struct opened o = open_made(&flat);
    assert_int_equal(read_at(o.memory, 0x2000), DAM_E_IO);
    assert_int_equal(read_at(o.memory, 0x1000), DAM_OK);
    assert_int_equal(read_at(o.memory, 0x3000), DAM_OK);
    close_opened(&o);
    made_free(&flat);
    made_free(&kdump);
}

// Cut anywhere, a dump gives an error, or the right pages and no others; read_at() compares.
static void cut_short(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct made m = {0}, whole = kind == 0 ? some_elf() : some_kdump();
        if (kind == 2)
            made_flat(&m, &whole, 3000);
        else
            made_put(&m, 0, whole.bytes, whole.size);
        unsigned opened = 0;
        for (size_t size = 0; size < m.size; size += size < 1000 ? 1 : size % 4096 < 200 ? 7 : 211) {
            struct opened o;
            struct tool_error error;
            enum tool_status status = open_bytes(m.bytes, size, &o.copy, &o.memory, &error);
            if (status == TOOL_OK) {
                unsigned damaged = 0;
                for (uint64_t pa = 0; pa < 0x60000; pa += 4096)
                    damaged += read_at(o.memory, pa) == DAM_E_IO;
                // The last two segments of the ELF dump hold no whole page that has an address.
                assert_true(damaged > 0 || (kind == 0 && size >= m.size - 0x1200));
                memory_close(o.memory);
                opened++;
            } else {
                assert_int_equal(status, TOOL_BAD_INPUT);
            }
            free(o.copy);
        }
        assert_true(kind == 2 ? opened == 0 : opened > 20);
        made_free(&m);
        made_free(&whole);
    }
}

// Both of two dumps that are open at once are read right, also when the first is closed first.
static void two_at_once(void **state)
{
    (void)state;
    struct made a = some_kdump(), b = {0};
    made_kdump(&b, "zzzz", NULL);
    struct opened oa = open_made(&a), ob = open_made(&b);
    pages_are(oa.memory, KDUMP_SEEN);
    pages_are(ob.memory, "oooo");
    close_opened(&oa);
    pages_are(ob.memory, "oooo");
    close_opened(&ob);
    made_free(&a);
    made_free(&b);
}

static void no_memory_at_all(void **state)
{
    (void)state;
    struct made m = {0};
    made_le64(&m, 0, DAM_NOTE_MAGIC);
    refused(&m, "a note alone");
    made_free(&m);
    made_put(&m, 0, "#!/bin/sh\n", 10);
    refused(&m, "not a dump");
    made_free(&m);
    made_kdump(&m, "rrr...", NULL);
    struct opened o = open_made(&m);
    pages_are(o.memory, "aaa....");
    held_is(o.memory, "");
    close_opened(&o);
    made_free(&m);
}

// ---- raw images ------------------------------------------------------------------------------------------
static char image_path[64];

static void write_image(size_t pages)
{
    snprintf(image_path, sizeof image_path, "/tmp/inspect_dump_test.XXXXXX");
    int fd = mkstemp(image_path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < pages; i++) {
        uint8_t page[4096];
        made_page(i * 4096, page);
        assert_int_equal(write(fd, page, sizeof page), sizeof page);
    }
    close(fd);
}

static void raw_images(void **state)
{
    (void)state;
    write_image(8);
    // Pages 0-3 where they are; pages 6 and 7 of the file are page frames 6 and 7.
    const struct memory_extent extents[] = {{0x6000, 0x8000, 0x6000}, {0, 0x4000, 0}};
    const struct memory_options options = {extents, 2};
    struct memory *memory;
    struct tool_error error;
    assert_int_equal(memory_open(image_path, &options, &memory, &error), TOOL_OK);
    pages_are(memory, "oooo..oo..");
    held_is(memory, "0-4 6-8");
    ram_is(memory, "0-4 6-8");
    assert_string_equal(memory_about(memory)->format, "raw");
    memory_close(memory);

    static const struct {
        struct memory_extent extents[2];
        const char *says;
    } wrong[] = {
        {{{0x1000, 0x1000, 0}, {0x10000, 0x11000, 0}}, "is empty"},
        {{{0x2000, 0x1000, 0}, {0x10000, 0x11000, 0}}, "is empty"},
        {{{0x800, 0x1800, 0}, {0x10000, 0x11000, 0}}, "whole 4-KiB pages"},
        {{{0, 0x1000, 1}, {0x10000, 0x11000, 0}}, "whole 4-KiB pages"},
        {{{0, 0x1000, 0x8000}, {0x10000, 0x11000, 0}}, "beyond the end of the file, at 0x8000"},
        {{{0, 0x9000, 0}, {0x10000, 0x11000, 0}}, "beyond the end of the file"},
        {{{0, 0x1000, UINT64_MAX - 4095}, {0x10000, 0x11000, 0}}, "beyond the end of the file"},
        {{{(1ull << 52) - 4096, (1ull << 52) + 4096, 0}, {0, 0x1000, 0}}, "52 bits"},
        {{{0, 0x4000, 0}, {0x3000, 0x5000, 0}}, "two places for 0x3000"},
        {{{0x3000, 0x5000, 0}, {0, 0x4000, 0}}, "two places for 0x3000"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const struct memory_options o = {wrong[i].extents, 2};
        assert_int_equal(memory_open(image_path, &o, &memory, &error), TOOL_BAD_INPUT);
        if (strstr(error.text, wrong[i].says) == NULL)
            fail_msg("map %zu: \"%s\"", i, error.text);
    }
    // Without a map it is no dump.
    assert_int_equal(memory_open(image_path, NULL, &memory, &error), TOOL_BAD_INPUT);
    unlink(image_path);
    assert_int_equal(memory_open(image_path, NULL, &memory, &error), TOOL_BAD_INPUT);
}

// ---- the file that is not one ----------------------------------------------------------------------------
static uint8_t want_page[4096];

static void count_up(void *ctx, uint64_t offset, uint8_t *buffer, size_t size)
{
    *(unsigned *)ctx += 1;
    for (size_t i = 0; i < size; i++)
        buffer[i] = (uint8_t)((offset + i) * 3);
}

// A descriptor that is presented is served by its function; every other one goes to the kernel.
static void presented_files(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct presented p = {.read = count_up, .ctx = &calls}, q = p;
    uint8_t got[20], want[20];
    uint64_t start = 1ull << 60;
    assert_true(presented_open(&p) && presented_open(&q));
    assert_int_not_equal(p.fd, q.fd);
    assert_false(presented_was_read(&p));
    count_up(&calls, start, want, sizeof want);
    assert_int_equal(pread(p.fd, got, sizeof got, (off_t)start), sizeof got);
    assert_memory_equal(got, want, sizeof want);
    memset(got, 0, sizeof got);
    assert_int_equal(pread64(q.fd, got, sizeof got, (off_t)start), sizeof got);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(calls, 3);
    assert_true(presented_was_read(&p) && presented_was_read(&q));
    assert_int_equal(pread(p.fd, got, sizeof got, -1), -1);
    write_image(1);
    int fd = open(image_path, O_RDONLY);
    made_page(0, want_page);
    assert_int_equal(pread(fd, got, sizeof got, 100), sizeof got);
    assert_memory_equal(got, want_page + 100, sizeof got);
    assert_int_equal(pread(fd, got, sizeof got, 4090), 6);
    close(fd);
    unlink(image_path);
    int old = p.fd;
    presented_close(&p);
    assert_int_equal(pread(old, got, sizeof got, 0), -1);
    assert_int_equal(pread(q.fd, got, sizeof got, (off_t)start), sizeof got);
    presented_close(&q);
    assert_int_equal(calls, 4);
}

// ---- as a program ----------------------------------------------------------------------------------------
// Prints the dump: what it says of itself, and one line for each run of pages that read alike, with the
// CRC-32 of what they hold.
static int print_dump(int argc, char **argv)
{
    struct memory_extent extents[16];
    struct memory_options options = {extents, 0};
    struct memory *memory;
    struct tool_error error;
    for (int i = 2; i < argc && options.extent_count < 16; i++) {
        struct memory_extent *e = &extents[options.extent_count++];
        if (sscanf(argv[i], "%" SCNi64 "-%" SCNi64 "=%" SCNi64, (int64_t *)&e->start, (int64_t *)&e->end,
                   (int64_t *)&e->offset) != 3)
            return 2;
    }
    if (memory_open(argv[1], &options, &memory, &error) != TOOL_OK) {
        printf("error %s\n", error.text);
        return 1;
    }
    const struct memory_about *about = memory_about(memory);
    size_t info_size, note_size;
    (void)memory_vmcoreinfo(memory, &info_size);
    (void)memory_note(memory, &note_size);
    printf("format %s\nrelease %s\nflattened %d\nram %" PRIu64 "\nheld %" PRIu64
           "\nvmcoreinfo %zu\nnote %zu\n",
           about->format, about->release, about->flattened, about->ram, about->held, info_size, note_size);
    const struct dam_ranges *ram = memory_ram(memory);
    for (size_t i = 0; i < ram->count; i++) {
        printf("range %" PRIx64 " %" PRIx64 "\n", ram->at[i].start, ram->at[i].end);
        for (uint64_t pa = ram->at[i].start; pa < ram->at[i].end; pa += 4096) {
            uint8_t page[4096];
            dam_err err = memory_read(memory, dam_pa_of(pa), page, sizeof page);
            if (err == DAM_OK)
                printf("page %" PRIx64 " %08lx\n", pa, crc32(0, page, sizeof page));
            else if (err == DAM_E_IO)
                printf("page %" PRIx64 " damaged: %s\n", pa, memory_problem(memory));
            else
                printf("page %" PRIx64 " %s\n", pa, err == DAM_E_ABSENT ? "absent" : "range");
        }
    }
    uint64_t start = 0, end;
    for (; memory_next_held(memory, &start, &end); start = end)
        printf("run %" PRIx64 " %" PRIx64 "\n", start, end);
    memory_close(memory);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return print_dump(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elf_pages),
        cmocka_unit_test(hostile_elf),
        cmocka_unit_test(elf_that_is_cut_short),
        cmocka_unit_test(kdump_pages),
        cmocka_unit_test(kdump_of_many_pages),
        cmocka_unit_test(hostile_kdump_headers),
        cmocka_unit_test(hostile_descriptors),
        cmocka_unit_test(incomplete_kdump),
        cmocka_unit_test(flattened),
        cmocka_unit_test(hole_in_flattened),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(two_at_once),
        cmocka_unit_test(no_memory_at_all),
        cmocka_unit_test(raw_images),
        cmocka_unit_test(presented_files),
    };
    return cmocka_run_group_tests_name("inspect: dumps", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Finding the note in dumps of every kind: ELF, kdump-compressed, both flattened; whole, cut short and
// hostile.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <elf.h>
#include <cmocka.h>

#include "dump.h"
#include "tool_fixture.h"

// A dump in the making.
static uint8_t file[65536];
static size_t file_size;

static void put(const void *bytes, size_t size)
{
    assert_true(file_size + size <= sizeof file);
    memcpy(file + file_size, bytes, size);
    file_size += size;
}

static void put_note(const char *name, uint32_t type, const void *desc, uint32_t size)
{
    static const uint8_t zeros[4];
    uint32_t name_size = (uint32_t)strlen(name) + 1;
    uint32_t header[3] = {name_size, size, type};
    put(header, sizeof header);
    put(name, name_size);
    put(zeros, -name_size & 3);
    put(desc, size);
    put(zeros, -size & 3);
}

static const char secret[] = "this is the descriptor"; // the finder does not look inside

// PRSTATUS and VMCOREINFO as every dump has them, things that look a bit like ours, and ours.
static void put_notes(bool with_ours)
{
    static const uint8_t prstatus[336];
    put_note("CORE", 1, prstatus, sizeof prstatus);
    put_note("VMCOREINFO", 0, "OSRELEASE=6.1.0\n", 16);
    put_note("COFFERDAM", 1, "other type", 10);
    put_note("COFFERDAM2", DAM_NOTE_TYPE, "other name", 10);
    put_note("COFFERDAN", DAM_NOTE_TYPE, "other name", 10);
    if (with_ours)
        put_note("COFFERDAM", DAM_NOTE_TYPE, secret, sizeof secret);
    put_note("CORE", 1, prstatus, sizeof prstatus);
}

#define NOTES_AT 0x1000u

static void make_elf(bool with_ours)
{
    memset(file, 0, sizeof file);
    file_size = NOTES_AT;
    put_notes(with_ours);
    Elf64_Ehdr ehdr = {.e_ident = {0x7F, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_CORE,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_phoff = sizeof ehdr,
                       .e_ehsize = sizeof ehdr,
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = 2};
    Elf64_Phdr phdr[2] = {
        {.p_type = PT_LOAD, .p_offset = 0x8000, .p_filesz = 1ull << 40, .p_memsz = 1ull << 40},
        {.p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = file_size - NOTES_AT}};
    memcpy(file, &ehdr, sizeof ehdr);
    memcpy(file + sizeof ehdr, phdr, sizeof phdr);
}

static void make_kdump(bool with_ours)
{
    memset(file, 0, sizeof file);
    memcpy(file, "KDUMP   ", 8);
    put_le32(file + 8, 6);
    put_le32(file + 428, 4096);
    file_size = 8192 + 100;
    put_notes(with_ours);
    put_le64(file + 4096 + 48, 8192 + 100);
    put_le64(file + 4096 + 56, file_size - 8192 - 100);
}

static uint8_t flat[131072];
static size_t flat_size;

static void put_be64(uint8_t *p, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

static void flat_begin(void)
{
    memset(flat, 0, 4096);
    memcpy(flat, "makedumpfile", 12);
    put_be64(flat + 16, 1);
    put_be64(flat + 24, 1);
    flat_size = 4096;
}

static void flat_record(uint64_t offset, const uint8_t *bytes, size_t size)
{
    put_be64(flat + flat_size, offset);
    put_be64(flat + flat_size + 8, size);
    memcpy(flat + flat_size + 16, bytes, size);
    flat_size += 16 + size;
}

static void flat_end(void)
{
    memset(flat + flat_size, 0xFF, 16);
    flat_size += 16;
}

// Flattens `file` in pieces, last piece first, with rubbish written before what counts.
static void flatten(size_t piece)
{
    static uint8_t rubbish[65536];
    memset(rubbish, 0xAA, sizeof rubbish);
    flat_begin();
    flat_record(0, rubbish, file_size / 2);
    for (size_t at = (file_size - 1) / piece * piece;; at -= piece) {
        flat_record(at, file + at, at + piece < file_size ? piece : file_size - at);
        if (at == 0)
            break;
    }
    flat_record(1ull << 40, rubbish, 4096); // page data, far away
    flat_end();
}

// What the finder says about size bytes, which it gets in a block of exactly that size.
static enum tool_status find(const uint8_t *bytes, size_t size, struct dump *dump, char **note,
                             struct tool_error *error)
{
    struct dump_source source;
    uint8_t *exact = malloc(size ? size : 1), *found = NULL;
    size_t found_size = 0;
    memcpy(exact, bytes, size);
    error->text[0] = '\0';
    *note = NULL;
    enum tool_status status = source_open_memory(exact, size, &source, error);
    if (status == TOOL_OK) {
        status = dump_read(&source, dump, error);
        if (status == TOOL_OK)
            status = dump_note(&source, dump, &found, &found_size, error);
        source_close(&source);
    }
    if (status == TOOL_OK) {
        assert_int_equal(found_size, sizeof secret);
        *note = (char *)found;
    } else {
        assert_true(error->text[0] != '\0');
    }
    free(exact);
    return status;
}

static void found_in(const uint8_t *bytes, size_t size, enum dump_format format, bool flattened)
{
    struct dump dump;
    struct tool_error error;
    char *note;
    if (find(bytes, size, &dump, &note, &error) != TOOL_OK)
        fail_msg("%s", error.text);
    assert_string_equal(note, secret);
    assert_int_equal(dump.format, format);
    assert_int_equal(dump.flattened, flattened);
    free(note);
}

static void not_found_in(const uint8_t *bytes, size_t size, enum tool_status expected, const char *part)
{
    struct dump dump;
    struct tool_error error;
    char *note;
    enum tool_status status = find(bytes, size, &dump, &note, &error);
    free(note);
    if (status != expected || strstr(error.text, part) == NULL)
        fail_msg("status %d, \"%s\" instead of %d, \"%s\"", status, error.text, expected, part);
}

static void whole_dumps(void **state)
{
    (void)state;
    make_elf(true);
    found_in(file, file_size, DUMP_ELF, false);
    make_kdump(true);
    found_in(file, file_size, DUMP_KDUMP, false);
}

static void flattened_dumps(void **state)
{
    (void)state;
    static const size_t pieces[] = {4, 7, 100, 4096, 65536};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        make_elf(true);
        flatten(pieces[i]);
        found_in(flat, flat_size, DUMP_ELF, true);
        make_kdump(true);
        flatten(pieces[i]);
        found_in(flat, flat_size, DUMP_KDUMP, true);
    }
}

static void without_note(void **state)
{
    (void)state;
    make_elf(false);
    not_found_in(file, file_size, TOOL_NO_NOTE, "no note");
    make_kdump(false);
    not_found_in(file, file_size, TOOL_NO_NOTE, "no note");
    put_le64(file + 4096 + 56, 0);
    not_found_in(file, file_size, TOOL_NO_NOTE, "no notes at all");
    make_elf(true);
    put_le16(file + 56, 1); // e_phnum: the PT_LOAD alone
    not_found_in(file, file_size, TOOL_NO_NOTE, "no notes at all");
}

// Cut anywhere before the end of our note, a dump never gives one.
static void cut_short(void **state)
{
    (void)state;
    struct dump dump;
    struct tool_error error;
    char *note;
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0)
            make_elf(true);
        else
            make_kdump(true);
        size_t last = file_size - 336 - 20 - 4; // the PRSTATUS behind ours, and padding
        for (size_t size = 0; size < last; size += size < 200 || size > NOTES_AT ? 1 : 97)
            assert_int_equal(find(file, size, &dump, &note, &error), TOOL_BAD_INPUT);
    }
}

static void flattened_cut_short(void **state)
{
    (void)state;
    struct dump dump;
    struct tool_error error;
    char *note;
    make_kdump(true);
    flatten(1000);
    for (size_t size = 0; size < flat_size; size += size < 5000 ? 1 : 61)
        assert_int_equal(find(flat, size, &dump, &note, &error), TOOL_BAD_INPUT);
    not_found_in(flat, flat_size - 1, TOOL_BAD_INPUT, "cut short");
}

static void hostile_flattened(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset, size;
        const char *says;
    } records[] = {
        {0, 0, "damaged"},
        {0, UINT64_MAX, "damaged"},
        {UINT64_MAX, 16, "damaged"},
        {INT64_MAX, 16, "damaged"},
        {0, INT64_MAX, "damaged"},
        {0, 1ull << 40, "cut short"},
        {1ull << 40, 1ull << 40, "cut short"},
    };
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        flat_begin();
        put_be64(flat + 4096, records[i].offset);
        put_be64(flat + 4104, records[i].size);
        flat_size = 4112;
        not_found_in(flat, flat_size, TOOL_BAD_INPUT, records[i].says);
    }
    flat_begin();
    flat[31] = 2;
    flat_end();
    not_found_in(flat, flat_size, TOOL_BAD_INPUT, "version 2");
    flat_begin();
    flat_end();
    not_found_in(flat, flat_size, TOOL_BAD_INPUT, "not a dump");
}

static void hostile_elf(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset, width;
        uint64_t value;
        const char *says;
    } changes[] = {
        {16, 2, ET_EXEC, "not a core file"},
        {5, 1, ELFDATA2MSB, "big-endian"},
        {32, 8, UINT64_MAX, "damaged"},
        {32, 8, INT64_MAX, "damaged"},
        {32, 8, 1ull << 32, "cut short"},
        {32, 8, 0x20000, "cut short"}, // headers behind the end of the file
        {56, 2, 0xFFFE, "cut short"},
        {56, 2, 0xFFFF, "damaged"},                       // PN_XNUM without section 0
        {64 + 56 + 8, 8, UINT64_MAX, "damaged: notes"},   // p_offset
        {64 + 56 + 32, 8, UINT64_MAX, "damaged: notes"},  // p_filesz
        {64 + 56 + 8, 8, 1ull << 40, "its notes end"},    //
        {NOTES_AT, 4, UINT32_MAX, "no note"},             // namesz
        {NOTES_AT + 4, 4, UINT32_MAX, "no note"},         // descsz
        {64 + 56 + 32, 8, 0x220, "the note is cut short"} // the segment ends inside our note
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_elf(true);
        for (uint32_t b = 0; b < changes[i].width; b++)
            file[changes[i].offset + b] = (uint8_t)(changes[i].value >> 8 * b);
        struct dump dump;
        struct tool_error error;
        char *note;
        enum tool_status status = find(file, file_size, &dump, &note, &error);
        free(note);
        if (status == TOOL_OK || strstr(error.text, changes[i].says) == NULL)
            fail_msg("change %zu: status %d, \"%s\"", i, status, error.text);
    }
}

static void hostile_kdump(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset, width;
        uint64_t value;
        const char *says;
    } changes[] = {
        {8, 4, 3, "header version 3"},
        {8, 4, UINT32_MAX, "header version"},
        {428, 4, 0, "block size"},
        {428, 4, 4097, "block size"},
        {428, 4, 1u << 31, "block size"},
        {428, 4, 65536, "cut short"},
        {4144, 8, 0, "damaged: notes"},
        {4144, 8, UINT64_MAX, "damaged: notes"},
        {4144, 8, 1u << 30, "its notes end"},
        {4152, 8, UINT64_MAX, "damaged: notes"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_kdump(true);
        for (uint32_t b = 0; b < changes[i].width; b++)
            file[changes[i].offset + b] = (uint8_t)(changes[i].value >> 8 * b);
        not_found_in(file, file_size, TOOL_BAD_INPUT, changes[i].says);
    }
}

static void other_files(void **state)
{
    (void)state;
    memset(file, 'x', 4096);
    not_found_in(file, 4096, TOOL_BAD_INPUT, "not a dump: neither");
    not_found_in(file, 0, TOOL_BAD_INPUT, "empty");
    memcpy(file, "\x1F\x8B\x08\x00", 4);
    not_found_in(file, 4096, TOOL_BAD_INPUT, "gzip");
    memcpy(file, "DISKDUMP", 8);
    not_found_in(file, 4096, TOOL_BAD_INPUT, "diskdump of an old kernel");
}

// A note whose size is beyond every bound, and a file of a million empty notes.
static void absurd_notes(void **state)
{
    (void)state;
    make_elf(false);
    file_size = NOTES_AT;
    put_note("COFFERDAM", DAM_NOTE_TYPE, secret, sizeof secret);
    put_le32(file + NOTES_AT + 4, DAM_NOTE_MAX_SIZE + 1);
    put_le64(file + 64 + 56 + 32, 1u << 24);
    not_found_in(file, file_size, TOOL_BAD_INPUT, "the note is damaged");
    size_t size = 2u << 20;
    uint8_t *zeros = calloc(1, size);
    memcpy(zeros, file, 200);
    put_le64(zeros + 64 + 56 + 32, size - NOTES_AT);
    not_found_in(zeros, size, TOOL_BAD_INPUT, "more than 65536 notes");
    free(zeros);
}

static void saved_note(void **state)
{
    (void)state;
    static struct fx_note fx;
    struct dump_source source;
    struct dump dump;
    struct tool_error error = {""};
    uint8_t *bytes = NULL;
    size_t size;
    fx_note_full(&fx);
    assert_int_equal(source_open_memory(fx.bytes, fx.used, &source, &error), TOOL_OK);
    assert_int_equal(dump_read(&source, &dump, &error), TOOL_OK);
    assert_int_equal(dump.format, DUMP_NOTE);
    assert_int_equal(dump_note(&source, &dump, &bytes, &size, &error), TOOL_OK);
    assert_int_equal(size, fx.used);
    assert_memory_equal(bytes, fx.bytes, size);
    free(bytes);
    source_close(&source);
    not_found_in(fx.bytes, fx.used - 1, TOOL_BAD_INPUT, "cut short");
    not_found_in(fx.bytes, 20, TOOL_BAD_INPUT, "cut short");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_dumps),       cmocka_unit_test(flattened_dumps),
        cmocka_unit_test(without_note),      cmocka_unit_test(flattened_cut_short),
        cmocka_unit_test(hostile_flattened), cmocka_unit_test(hostile_elf),
        cmocka_unit_test(hostile_kdump),     cmocka_unit_test(absurd_notes),
        cmocka_unit_test(other_files),       cmocka_unit_test(saved_note),
        cmocka_unit_test(cut_short),
    };
    return cmocka_run_group_tests_name("tool: dumps", tests, NULL, NULL);
}

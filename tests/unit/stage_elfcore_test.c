// SPDX-License-Identifier: MIT
// The ELF core headers: what is refused, what old memory they tell of, where our note goes, byte by byte.
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <cofferdam/abi.h>

#include "pure/elfcore.h"

static Elf64_Ehdr good_header(uint16_t count)
{
    Elf64_Ehdr e = {.e_type = ET_CORE,
                    .e_machine = EM_X86_64,
                    .e_version = EV_CURRENT,
                    .e_phoff = sizeof(Elf64_Ehdr),
                    .e_ehsize = sizeof(Elf64_Ehdr),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = count};
    memcpy(e.e_ident, ELFMAG, SELFMAG);
    e.e_ident[EI_CLASS] = ELFCLASS64;
    e.e_ident[EI_DATA] = ELFDATA2LSB;
    e.e_ident[EI_VERSION] = EV_CURRENT;
    return e;
}

static dam_err check(const Elf64_Ehdr *e, uint32_t *count)
{
    return elfcore_check((const uint8_t *)e, count);
}

static void header_is_checked(void **state)
{
    (void)state;
    uint32_t count = 0;
    Elf64_Ehdr e = good_header(7);
    assert_int_equal(check(&e, &count), DAM_OK);
    assert_int_equal(count, 7);
    for (unsigned i = 0; i < 7; i++) { // magic, class, byte order, version
        e = good_header(7);
        e.e_ident[i] ^= 1;
        assert_int_equal(check(&e, &count), DAM_E_SIGNATURE);
    }
    e = good_header(7);
    e.e_type = ET_EXEC;
    assert_int_equal(check(&e, &count), DAM_E_SIGNATURE);
    e = good_header(7);
    e.e_machine = EM_386;
    assert_int_equal(check(&e, &count), DAM_E_SIGNATURE);
    e = good_header(7);
    e.e_phoff = 128;
    assert_int_equal(check(&e, &count), DAM_E_LENGTH);
    e = good_header(7);
    e.e_ehsize = 52;
    assert_int_equal(check(&e, &count), DAM_E_LENGTH);
    e = good_header(7);
    e.e_phentsize = 32;
    assert_int_equal(check(&e, &count), DAM_E_LENGTH);
    const struct {
        uint16_t count;
        dam_err err;
    } counts[] = {{0, DAM_E_LENGTH},
                  {1, DAM_OK},
                  {PN_XNUM - 2, DAM_OK},
                  {PN_XNUM - 1, DAM_E_LENGTH},
                  {PN_XNUM, DAM_E_LENGTH}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        e = good_header(counts[i].count);
        assert_int_equal(check(&e, &count), counts[i].err);
    }
}

struct core {
    Elf64_Ehdr e;
    Elf64_Phdr p[8];
};

static Elf64_Phdr load(uint64_t start, uint64_t size, uint64_t offset)
{
    return (Elf64_Phdr){
        .p_type = PT_LOAD, .p_paddr = start, .p_offset = offset, .p_memsz = size, .p_filesz = size};
}

// As kexec-tools 2.0.25 writes them, with the copy of the first 640 KiB.
static struct core kexec_load_core(void)
{
    struct core c = {.e = good_header(6)};
    c.p[0] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 0x7E00000, .p_paddr = 0x7E00000, .p_memsz = 368};
    c.p[1] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 0x5000000, .p_paddr = 0x5000000, .p_memsz = 4132};
    c.p[2] = load(0x1000000, 0x2A00000, 0x1000000); // kernel text, again in the ranges below
    c.p[3] = load(0x1000, 0x9EC00, 0x7DF60000);
    c.p[4] = load(0x100000, 0x6DF00000, 0x100000);
    c.p[5] = load(0x7E000000, 0x1FDA000, 0x7E000000);
    return c;
}

static void old_ram(void **state)
{
    (void)state;
    struct core c = kexec_load_core();
    struct dam_range storage[8];
    struct dam_ranges ram;
    dam_ranges_init(&ram, storage, 8);
    assert_int_equal(elfcore_old_ram((const uint8_t *)&c, 6, &ram), DAM_OK);
    assert_int_equal(ram.count, 3);
    assert_int_equal(ram.at[0].start, 0x1000);
    assert_int_equal(ram.at[0].end, 0x9FC00);
    assert_int_equal(ram.at[1].start, 0x100000);
    assert_int_equal(ram.at[1].end, 0x6E000000);
    assert_int_equal(ram.at[2].start, 0x7E000000);
    assert_int_equal(ram.at[2].end, 0x7FFDA000);
}

static void hostile_old_ram(void **state)
{
    (void)state;
    const struct {
        uint64_t start, size;
        dam_err err;
        size_t count;
    } cases[] = {
        {0x1000, 0, DAM_OK, 0},
        {1ull << 52, 1, DAM_E_RANGE, 0},
        {(1ull << 52) - 0x1000, 0x1000, DAM_OK, 1},
        {(1ull << 52) - 0x1000, 0x1001, DAM_E_RANGE, 0},
        {0x1000, ~0ull, DAM_E_RANGE, 0},
        {~0ull, 1, DAM_E_RANGE, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct core c = {.e = good_header(1)};
        c.p[0] = load(cases[i].start, cases[i].size, 0);
        struct dam_range storage[1];
        struct dam_ranges ram;
        dam_ranges_init(&ram, storage, 1);
        assert_int_equal(elfcore_old_ram((const uint8_t *)&c, 1, &ram), cases[i].err);
        assert_int_equal(ram.count, cases[i].count);
    }
    struct core c = kexec_load_core();
    struct dam_range storage[2];
    struct dam_ranges ram;
    dam_ranges_init(&ram, storage, 2);
    assert_int_equal(elfcore_old_ram((const uint8_t *)&c, 6, &ram), DAM_E_NOMEM);
}

static void note_goes_behind_the_notes(void **state)
{
    (void)state;
    struct core c = kexec_load_core(), before = c;
    elfcore_add_note((uint8_t *)&c, 6, 0x7D601000, 1852);
    assert_int_equal(c.e.e_phnum, 7);
    assert_memory_equal(&c.p[0], &before.p[0], 2 * sizeof(Elf64_Phdr));
    const Elf64_Phdr want = {
        .p_type = PT_NOTE, .p_offset = 0x7D601000, .p_paddr = 0x7D601000, .p_filesz = 1852, .p_memsz = 1852};
    assert_memory_equal(&c.p[2], &want, sizeof(want));
    assert_memory_equal(&c.p[3], &before.p[2], 4 * sizeof(Elf64_Phdr));
    // With no note at all it comes first, with nothing but notes last.
    c = (struct core){.e = good_header(1)};
    c.p[0] = load(0x1000, 0x1000, 0x1000);
    elfcore_add_note((uint8_t *)&c, 1, 0x2000, 36);
    assert_int_equal(c.p[0].p_type, PT_NOTE);
    assert_int_equal(c.p[1].p_type, PT_LOAD);
    c = (struct core){.e = good_header(1)};
    c.p[0].p_type = PT_NOTE;
    c.p[0].p_offset = 5;
    elfcore_add_note((uint8_t *)&c, 1, 0x2000, 36);
    assert_int_equal(c.p[0].p_offset, 5);
    assert_int_equal(c.p[1].p_offset, 0x2000);
}

static void note_is_wrapped(void **state)
{
    (void)state;
    for (size_t size = 0; size < 9; size++) {
        size_t padded = (size + 3) / 4 * 4, room = ELFCORE_NOTE_HEAD + size + ELFCORE_NOTE_TAIL;
        uint8_t *buf = malloc(room);
        memset(buf, 0xEE, room);
        size_t total = elfcore_wrap_note(buf, size);
        assert_int_equal(total, ELFCORE_NOTE_HEAD + padded + sizeof(Elf64_Nhdr));
        assert_true(total <= room);
        Elf64_Nhdr note;
        memcpy(&note, buf, sizeof(note));
        assert_int_equal(note.n_namesz, 10);
        assert_int_equal(note.n_descsz, size);
        assert_int_equal(note.n_type, DAM_NOTE_TYPE);
        assert_memory_equal(buf + 12, "COFFERDAM\0\0\0", 12);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(buf[ELFCORE_NOTE_HEAD + i], 0xEE);
        for (size_t i = ELFCORE_NOTE_HEAD + size; i < total; i++)
            assert_int_equal(buf[i], 0);
        free(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_checked), cmocka_unit_test(old_ram),
        cmocka_unit_test(hostile_old_ram),   cmocka_unit_test(note_goes_behind_the_notes),
        cmocka_unit_test(note_is_wrapped),
    };
    return cmocka_run_group_tests_name("stage ELF core headers", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Reading kernel images: what both kexec loaders check, what files are mistaken for kernels, hostile numbers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "bootproto.h"
#include "tool_fixture.h"

static uint8_t image[FX_KERNEL];

// Expects the image to be refused with a text that holds `part`.
static void refused(const uint8_t *bytes, size_t size, const char *part)
{
    struct bzimage out;
    struct tool_error error = {""};
    assert_int_equal(bzimage_read(bytes, size, &out, &error), TOOL_BAD_INPUT);
    if (strstr(error.text, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", error.text, part);
    assert_null(strchr(error.text, '\n'));
}

static void good_kernel(void **state)
{
    (void)state;
    struct bzimage out;
    struct tool_error error;
    fx_kernel(image);
    assert_int_equal(bzimage_read(image, sizeof image, &out, &error), TOOL_OK);
    assert_int_equal(out.setup_size, FX_SETUP);
    assert_ptr_equal(out.code, image + FX_SETUP);
    assert_int_equal(out.code_size, FX_CODE + FX_TRAILER);
    assert_int_equal(out.version, 0x20F);
    assert_int_equal(out.xloadflags, 0x7F);
    assert_int_equal(out.kernel_alignment, 0x200000);
    assert_int_equal(out.payload_offset, 0x300);
    assert_int_equal(out.payload_length, 0x1000);
    assert_int_equal(out.pref_address, 0x1000000);
    assert_int_equal(out.init_size, FX_INIT_SIZE);
    assert_int_equal(out.kernel_info_offset, 0x1F00);
    assert_true(out.relocatable);
    assert_string_equal(out.kernel_version, FX_VERSION);
    assert_string_equal(bzimage_compression(&out), "xz");
}

static void loader_checks(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset;
        uint8_t value;
        const char *says;
    } changes[] = {
        {0x202, 'h', "without a Linux boot header"},
        {0x1FE, 0x54, "AA54h instead of AA55h"},
        {0x206, 0x0B, "boot protocol 2.11"},
        {0x211, 0, "zImage"},
        {0x236, 0x7E, "32-bit x86 kernel"},
        {0x236, 0x7D, "above 4 GiB"},
        {0x201, 0x61, "ends at 263h"},
        {0x234, 0, "not relocatable"},
        {0x1F1, 255, "cut short"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        fx_kernel(image);
        image[changes[i].offset] = changes[i].value;
        refused(image, sizeof image, changes[i].says);
    }
}

static void insane_numbers(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset, value;
        const char *says;
    } changes[] = {
        {0x1F4, 0, "cut short"},
        {0x1F4, (FX_CODE + FX_TRAILER) / 16 + 2, "the header tells of"},
        {0x1F4, UINT32_MAX, "the header tells of"},
        {0x230, 0, "kernel_alignment"},
        {0x230, 0x300000, "kernel_alignment"},
        {0x230, 0x800, "kernel_alignment"},
        {0x248, FX_CODE, "payload"},
        {0x248, UINT32_MAX, "payload"},
        {0x24C, 0, "payload"},
        {0x24C, UINT32_MAX, "payload"},
        {0x260, FX_CODE + FX_TRAILER - 1, "init_size"},
        {0x260, 0, "init_size"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        fx_kernel(image);
        put_le32(image + changes[i].offset, changes[i].value);
        refused(image, sizeof image, changes[i].says);
    }
}

// No shorter file passes than one that holds the setup and as much code as the header tells of.
static void cut_short(void **state)
{
    (void)state;
    fx_kernel(image);
    for (size_t size = 0; size < FX_SETUP + FX_CODE - 15; size++) {
        struct bzimage out;
        struct tool_error error;
        uint8_t *exact = malloc(size ? size : 1); // so that the sanitizer sees reads behind the end
        memcpy(exact, image, size);
        assert_int_equal(bzimage_read(exact, size, &out, &error), TOOL_BAD_INPUT);
        free(exact);
    }
}

static void zero_setup_sects(void **state)
{
    (void)state;
    struct bzimage out;
    struct tool_error error;
    fx_kernel(image);
    image[0x1F1] = 0; // means 4
    assert_int_equal(bzimage_read(image, sizeof image, &out, &error), TOOL_OK);
    assert_int_equal(out.setup_size, FX_SETUP);
}

static void old_header(void **state)
{
    (void)state;
    struct bzimage out;
    struct tool_error error;
    fx_kernel(image);
    put_le16(image + 0x206, 0x20D); // no kernel_info before 2.15
    assert_int_equal(bzimage_read(image, sizeof image, &out, &error), TOOL_OK);
    assert_int_equal(out.kernel_info_offset, 0);
    put_le16(image + 0x206, 0x20F);
    image[0x201] = 0x66; // the header ends before it
    assert_int_equal(bzimage_read(image, sizeof image, &out, &error), TOOL_OK);
    assert_int_equal(out.kernel_info_offset, 0);
}

static void version_string(void **state)
{
    (void)state;
    struct bzimage out;
    struct tool_error error;
    fx_kernel(image);
    memset(image + 0x800, 'x', 100); // longer than is kept
    image[0x803] = 0x1B;
    assert_int_equal(bzimage_read(image, sizeof image, &out, &error), TOOL_OK);
    assert_int_equal(strlen(out.kernel_version), 63);
    assert_memory_equal(out.kernel_version, "xxx?xxx", 7);
    put_le16(image + 0x20E, 0xFFFF); // outside the setup
    assert_int_equal(bzimage_read(image, sizeof image, &out, &error), TOOL_OK);
    assert_string_equal(out.kernel_version, "");
    put_le16(image + 0x20E, FX_SETUP - 0x200 - 2); // runs to its end
    image[FX_SETUP - 2] = 'a';
    image[FX_SETUP - 1] = 'b';
    assert_int_equal(bzimage_read(image, sizeof image, &out, &error), TOOL_OK);
    assert_string_equal(out.kernel_version, "ab");
}

static void foreign_files(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset;
        const char *bytes;
        size_t length;
        const char *says;
    } files[] = {
        {0,
         "\x7F"
         "ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0",
         18, "uncompressed vmlinux"},
        {0,
         "\x7F"
         "ELF\2\1\1\0\0\0\0\0\0\0\0\0\4\0",
         18, "core dump"},
        {0, "\x1F\x8B\x08\x08", 4, "gzip"},
        {0,
         "\xFD"
         "7zXZ\0",
         6, "xz"},
        {0, "\x28\xB5\x2F\xFD", 4, "zstd"},
        {0, "BZh9", 4, "bzip2"},
        {0x38, "ARM\x64", 4, "arm64"},
        {0x38, "RSC\x05", 4, "RISC-V"},
        {0, "MZ\0\0zimg", 8, "zboot"},
        {0, "MZ", 2, "unified kernel image"},
        {0, "070701", 6, "cpio"},
        {0, "!<arch>\n", 8, "Debian package"},
        {0, "KDUMP   ", 8, "kdump-compressed"},
        {0, "makedumpfile\0\0\0\0", 16, "flattened"},
        {0, "DMAR", 4, "DMAR"},
        {0, "#!/bin/sh", 9, "script"},
    };
    static uint8_t file[FX_KERNEL];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        memset(file, 0, sizeof file);
        memcpy(file + files[i].offset, files[i].bytes, files[i].length);
        refused(file, sizeof file, files[i].says);
        refused(file, files[i].offset + files[i].length, files[i].says);
    }
    refused(file, 0, "empty");
    memset(file, 0, sizeof file);
    refused(file, 100, "only 100 bytes");
    refused(file, sizeof file, "HdrS");
}

// An arm64 kernel with an EFI stub begins with MZ as well; an x86 one must not be taken for it.
static void every_header_byte(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < 0x280; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct bzimage out;
            struct tool_error error = {""};
            fx_kernel(image);
            image[at] = (uint8_t)(image[at] ^ 1u << bit);
            enum tool_status status = bzimage_read(image, sizeof image, &out, &error);
            assert_true(status == TOOL_OK || status == TOOL_BAD_INPUT);
            if (status == TOOL_OK) {
                assert_true(out.setup_size + out.code_size == sizeof image);
                assert_true((uint64_t)out.payload_offset + out.payload_length <= out.code_size);
                bzimage_compression(&out);
            } else {
                assert_true(error.text[0] != '\0');
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_kernel),       cmocka_unit_test(loader_checks),
        cmocka_unit_test(insane_numbers),    cmocka_unit_test(cut_short),
        cmocka_unit_test(old_header),        cmocka_unit_test(zero_setup_sects),
        cmocka_unit_test(version_string),    cmocka_unit_test(foreign_files),
        cmocka_unit_test(every_header_byte),
    };
    return cmocka_run_group_tests_name("tool: kernel images", tests, NULL, NULL);
}

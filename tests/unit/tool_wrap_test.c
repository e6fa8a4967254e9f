// SPDX-License-Identifier: MIT
// Wrapping: the layout, the header that loaders see, what comes back out, and damaged images.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "bootproto.h"
#include "efi.h"
#include "tool_fixture.h"

#define MIB 0x100000u

static uint8_t kernel[FX_KERNEL], stage_bytes[FX_STAGE];

// Wraps the kernel in `kernel`; the caller frees.
static uint8_t *wrapped(enum dam_policy policy, uint64_t pool, size_t *size)
{
    struct bzimage image;
    struct tool_error error = {""};
    struct wrap_options options = {policy, pool};
    uint8_t *bytes = NULL;
    assert_int_equal(bzimage_read(kernel, sizeof kernel, &image, &error), TOOL_OK);
    if (wrap_build(&image, fx_stage(stage_bytes), &options, &bytes, size, &error) != TOOL_OK)
        fail_msg("%s", error.text);
    return bytes;
}

static void wrap_refused(struct stage_blob stage, uint64_t pool, enum tool_status status, const char *part)
{
    struct bzimage image;
    struct tool_error error = {""};
    struct wrap_options options = {DAM_POLICY_FREEZE, pool};
    uint8_t *bytes = NULL;
    size_t size;
    assert_int_equal(bzimage_read(kernel, sizeof kernel, &image, &error), TOOL_OK);
    assert_int_equal(wrap_build(&image, stage, &options, &bytes, &size, &error), status);
    assert_null(bytes);
    if (strstr(error.text, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", error.text, part);
}

static void layout(void **state)
{
    (void)state;
    size_t size;
    fx_kernel(kernel);
    uint8_t *w = wrapped(DAM_POLICY_SCRATCH, 3 * MIB + 1, &size);
    struct dam_image_header h;
    memcpy(&h, w + FX_SETUP + 0x400, sizeof h);
    assert_int_equal(h.magic, DAM_IMAGE_MAGIC);
    assert_int_equal(h.version, 1);
    assert_int_equal(h.size, 344);
    assert_int_equal(h.default_policy, DAM_POLICY_SCRATCH);
    assert_int_equal(h.stage_size, FX_STAGE_SIZE);
    assert_int_equal(h.kernel_offset, 2 * MIB);
    assert_int_equal(h.kernel_size, FX_CODE + FX_TRAILER);
    assert_int_equal(h.kernel_init_size, FX_INIT_SIZE);
    assert_int_equal(h.pool_offset, 6 * MIB); // 2 MiB + 3.27 MiB rounded up
    assert_int_equal(h.pool_size, 3 * MIB + 4096);
    assert_string_equal(h.kernel_version, FX_VERSION);
    assert_string_equal(h.tool_version, COFFERDAM_VERSION);
    assert_memory_equal(h.setup_header, kernel + 0x1F1, 0x80);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(h.reserved[i], 0);
    uint32_t crc = h.crc32;
    h.crc32 = 0;
    assert_int_equal(crc, crc32(0, (const Bytef *)&h, sizeof h));
    assert_int_equal(size, FX_SETUP + 2 * MIB + (FX_CODE + FX_TRAILER + 15) / 16 * 16);
    assert_memory_equal(w + FX_SETUP, stage_bytes, 0x400);
    assert_memory_equal(w + FX_SETUP + 0x400 + 344, stage_bytes + 0x400 + 344, FX_STAGE - 0x400 - 344);
    assert_memory_equal(w + FX_SETUP + 2 * MIB, kernel + FX_SETUP, FX_CODE + FX_TRAILER);
    for (uint32_t at = FX_STAGE; at < FX_STAGE_SIZE; at++)
        assert_int_equal(w[FX_SETUP + at], 0); // the stage's .bss
    free(w);
}

static void loader_header(void **state)
{
    (void)state;
    size_t size;
    fx_kernel(kernel);
    uint8_t *w = wrapped(DAM_POLICY_FREEZE, 8 * MIB, &size);
    assert_int_equal(get_le32(w + 0x1F4) * 16ull, size - FX_SETUP);
    assert_int_equal(get_le32(w + 0x260), 14 * MIB);
    assert_true(get_le32(w + 0x260) >= size - FX_SETUP);
    assert_int_equal(get_le32(w + 0x230), 2 * MIB);
    assert_int_equal(get_le16(w + 0x236), 0x73); // both EFI handover bits gone, 5LEVEL and EFI_KEXEC kept
    assert_int_equal(get_le32(w + 0x264), 0);
    assert_int_equal(get_le64(w + 0x258), 0x1000000);
    assert_int_equal(get_le32(w + 0x248), 2 * MIB + 0x300);
    assert_int_equal(get_le32(w + 0x24C), 0x1000);
    assert_int_equal(get_le32(w + 0x268), 2 * MIB + 0x1F00);
    assert_memory_equal(w + FX_SETUP + get_le32(w + 0x248),
                        "\xFD"
                        "7zXZ\0",
                        6);
    // Nothing else differs from the original's setup, but for the PE header's three fields.
    static const struct {
        uint32_t offset, length;
    } own[] = {{FX_PE + 88, 4}, {FX_PE + 92, 2}, {FX_PE + 168, 8}, {0x1F4, 4}, {0x230, 4},
               {0x236, 2},      {0x248, 4},      {0x260, 8},       {0x268, 4}};
    uint8_t expected[FX_SETUP];
    memcpy(expected, kernel, sizeof expected);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        memcpy(expected + own[i].offset, w + own[i].offset, own[i].length);
    assert_memory_equal(w, expected, FX_SETUP);
    free(w);
}

static void efi_face(void **state)
{
    (void)state;
    fx_kernel(kernel);
    efi_neutralise(kernel, FX_SETUP);
    assert_memory_equal(kernel, "MZ", 2); // still a PE file
    assert_memory_equal(kernel + FX_PE, "PE\0\0", 4);
    assert_int_equal(get_le32(kernel + FX_PE + 88), 0);
    assert_int_equal(get_le16(kernel + FX_PE + 92), 0);
    assert_int_equal(get_le64(kernel + FX_PE + 168), 0);
    static const uint32_t offsets[] = {0, 0x1EF, 0x1F1, 0x800, UINT32_MAX, 0x1F1 - 175};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        fx_kernel(kernel);
        put_le32(kernel + 0x3C, offsets[i]);
        uint8_t before[FX_SETUP];
        memcpy(before, kernel, sizeof before);
        efi_neutralise(kernel, FX_SETUP);
        before[0] = before[1] = 0; // malformed: not even a DOS program any more, and nothing else is written
        assert_memory_equal(kernel, before, FX_SETUP);
    }
    fx_kernel(kernel);
    kernel[0] = 0;
    uint8_t before[FX_SETUP];
    memcpy(before, kernel, sizeof before);
    efi_neutralise(kernel, FX_SETUP);
    assert_memory_equal(kernel, before, FX_SETUP);
}

static void comes_back(void **state)
{
    (void)state;
    size_t size, again_size;
    struct bzimage outer;
    struct wrapped_image read;
    struct tool_error error;
    fx_kernel(kernel);
    uint8_t *w = wrapped(DAM_POLICY_BLOCK, 1 * MIB, &size),
            *again = wrapped(DAM_POLICY_BLOCK, 1 * MIB, &again_size);
    assert_int_equal(size, again_size);
    assert_memory_equal(w, again, size);
    assert_int_equal(bzimage_read(w, size, &outer, &error), TOOL_OK);
    assert_true(wrap_is_wrapped(&outer));
    assert_int_equal(wrap_read(&outer, &read, &error), TOOL_OK);
    assert_true(read.crc_ok);
    assert_true(read.original_found);
    assert_true(read.outer_matches);
    assert_int_equal(read.inner.size, sizeof kernel);
    assert_memory_equal(read.inner.bytes, kernel, sizeof kernel);
    free(w);
    free(again);
}

static void refusals(void **state)
{
    (void)state;
    size_t size;
    struct bzimage outer;
    struct tool_error error = {""};
    struct wrap_options options = {DAM_POLICY_FREEZE, 8 * MIB};
    uint8_t *nothing = NULL;
    fx_kernel(kernel);
    uint8_t *w = wrapped(DAM_POLICY_FREEZE, 8 * MIB, &size);
    assert_int_equal(bzimage_read(w, size, &outer, &error), TOOL_OK);
    assert_int_equal(wrap_build(&outer, fx_stage(stage_bytes), &options, &nothing, &size, &error),
                     TOOL_BAD_INPUT);
    assert_string_equal(error.text, "already wrapped");
    assert_null(nothing);
    free(w);

    put_le32(kernel + 0x260, 0xFF000000);
    wrap_refused(fx_stage(stage_bytes), 16 * MIB, TOOL_BAD_INPUT, "more than 4 GiB");
    fx_kernel(kernel);
    put_le32(kernel + 0x230, 128 * MIB);
    wrap_refused(fx_stage(stage_bytes), 8 * MIB, TOOL_BAD_INPUT, "alignment of 128 MiB");
    fx_kernel(kernel);
    wrap_refused((struct stage_blob){stage_bytes, 0x400}, 8 * MIB, TOOL_SYSTEM, "stage");
    stage_bytes[0x400] ^= 1;
    wrap_refused((struct stage_blob){stage_bytes, FX_STAGE}, 8 * MIB, TOOL_SYSTEM, "stage");
    fx_stage(stage_bytes);
    put_le64(stage_bytes + 0x400 + 24, FX_STAGE - 1); // stage_size below what the file has
    wrap_refused((struct stage_blob){stage_bytes, FX_STAGE}, 8 * MIB, TOOL_SYSTEM, "stage");
}

// A kernel that wants 16 MiB finds itself at a multiple of 16 MiB when the loader aligns the image to that.
static void large_alignment(void **state)
{
    (void)state;
    size_t size;
    fx_kernel(kernel);
    put_le32(kernel + 0x230, 16 * MIB);
    uint8_t *w = wrapped(DAM_POLICY_FREEZE, 1 * MIB, &size);
    assert_int_equal(get_le32(w + 0x230), 16 * MIB);
    assert_int_equal(get_le64(w + FX_SETUP + 0x400 + 32), 16 * MIB);
    assert_memory_equal(w + FX_SETUP + 16 * MIB, kernel + FX_SETUP, FX_CODE + FX_TRAILER);
    free(w);
    fx_kernel(kernel);
    put_le32(kernel + 0x230, 4096);
    w = wrapped(DAM_POLICY_FREEZE, 1 * MIB, &size);
    assert_int_equal(get_le32(w + 0x230), 2 * MIB);
    free(w);
}

// Every flipped bit of the image header is noticed: refused, or a wrong checksum.
static void damaged_header(void **state)
{
    (void)state;
    size_t size;
    fx_kernel(kernel);
    uint8_t *w = wrapped(DAM_POLICY_FREEZE, 1 * MIB, &size);
    for (uint32_t at = 0; at < sizeof(struct dam_image_header); at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct bzimage outer;
            struct wrapped_image read;
            struct tool_error error = {""};
            uint8_t *p = w + FX_SETUP + 0x400 + at;
            *p = (uint8_t)(*p ^ 1u << bit);
            assert_int_equal(bzimage_read(w, size, &outer, &error), TOOL_OK);
            if (wrap_read(&outer, &read, &error) == TOOL_OK)
                assert_false(read.crc_ok);
            else
                assert_true(error.text[0] != '\0');
            *p = (uint8_t)(*p ^ 1u << bit);
        }
    free(w);
}

static void damaged_outside(void **state)
{
    (void)state;
    static const uint32_t offsets[] = {0x258, 0x260, 0x800, 0x1F4};
    size_t size;
    fx_kernel(kernel);
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct bzimage outer;
        struct wrapped_image read;
        struct tool_error error = {""};
        uint8_t *w = wrapped(DAM_POLICY_FREEZE, 1 * MIB, &size);
        w[offsets[i]] ^= 1;
        if (bzimage_read(w, size, &outer, &error) == TOOL_OK && wrap_read(&outer, &read, &error) == TOOL_OK) {
            assert_true(read.crc_ok);
            assert_false(read.outer_matches);
        }
        free(w);
    }
    uint8_t *w = wrapped(DAM_POLICY_FREEZE, 1 * MIB, &size);
    struct bzimage outer;
    struct wrapped_image read;
    struct tool_error error = {""};
    w[FX_SETUP + 2 * MIB - FX_SETUP + 0x202] = 'h'; // the original's own magic
    assert_int_equal(bzimage_read(w, size, &outer, &error), TOOL_OK);
    assert_int_equal(wrap_read(&outer, &read, &error), TOOL_OK);
    assert_false(read.original_found);
    assert_int_equal(bzimage_read(w, size - 16, &outer, &error), TOOL_BAD_INPUT);
    free(w);
}

static void not_wrapped(void **state)
{
    (void)state;
    struct bzimage image;
    struct wrapped_image read;
    struct tool_error error = {""};
    fx_kernel(kernel);
    assert_int_equal(bzimage_read(kernel, sizeof kernel, &image, &error), TOOL_OK);
    assert_false(wrap_is_wrapped(&image));
    assert_int_equal(wrap_read(&image, &read, &error), TOOL_BAD_INPUT);
    assert_string_equal(error.text, "not wrapped");
}

// The stage that is linked in is one that wrap takes.
static void builtin_stage(void **state)
{
    (void)state;
    struct bzimage image;
    struct tool_error error = {""};
    struct wrap_options options = {DAM_POLICY_FREEZE, DAM_POOL_DEFAULT};
    uint8_t *bytes = NULL;
    size_t size;
    fx_kernel(kernel);
    assert_true(stage_blob_builtin().size <= 131072);
    assert_int_equal(bzimage_read(kernel, sizeof kernel, &image, &error), TOOL_OK);
    assert_int_equal(wrap_build(&image, stage_blob_builtin(), &options, &bytes, &size, &error), TOOL_OK);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),         cmocka_unit_test(loader_header), cmocka_unit_test(efi_face),
        cmocka_unit_test(comes_back),     cmocka_unit_test(refusals),      cmocka_unit_test(large_alignment),
        cmocka_unit_test(damaged_header), cmocka_unit_test(not_wrapped),   cmocka_unit_test(damaged_outside),
        cmocka_unit_test(builtin_stage),
    };
    return cmocka_run_group_tests_name("tool: wrapping", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// The stage as a file: what the tool and the loaders find in it, and that it is no larger than promised.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <cofferdam/abi.h>

extern const uint8_t stage_blob_start[], stage_blob_end[];

static void size_in_the_file(void **state)
{
    (void)state;
    size_t size = (size_t)(stage_blob_end - stage_blob_start);
    assert_in_range(size, DAM_IMAGE_HEADER_OFFSET + sizeof(struct dam_image_header), 131072);
}

static void header_is_preset(void **state)
{
    (void)state;
    struct dam_image_header h, zero = {0};
    memcpy(&h, stage_blob_start + DAM_IMAGE_HEADER_OFFSET, sizeof(h));
    assert_int_equal(h.magic, DAM_IMAGE_MAGIC);
    assert_int_equal(h.version, DAM_IMAGE_VERSION);
    assert_int_equal(h.size, sizeof(h));
    // With .bss: more than the file, and it ends before the kernel can begin.
    assert_in_range(h.stage_size, (uint64_t)(stage_blob_end - stage_blob_start), DAM_IMAGE_KERNEL_ALIGN);
    assert_int_equal(h.stage_size % 4096, 0);
    // Everything else is the tool's.
    h.magic = h.stage_size = 0;
    h.version = h.size = 0;
    assert_memory_equal(&h, &zero, sizeof(h));
}

static void entry_points(void **state)
{
    (void)state;
    // 64-bit: cli, cld, then every register is saved, rax first. 32-bit: cli, ud2, never a silent hang.
    const uint8_t entry64[] = {0xFA, 0xFC, 0x48, 0x89, 0x05}, entry32[] = {0xFA, 0x0F, 0x0B};
    assert_memory_equal(stage_blob_start + DAM_IMAGE_ENTRY_OFFSET, entry64, sizeof(entry64));
    assert_memory_equal(stage_blob_start, entry32, sizeof(entry32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_in_the_file),
        cmocka_unit_test(header_is_preset),
        cmocka_unit_test(entry_points),
    };
    return cmocka_run_group_tests_name("stage image", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Kernel images of arbitrary bytes: reading, wrapping, reading what came out, taking the original out again.
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bytes.h"
#include "unit/tool_fixture.h"
#include "wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth)
{
    if (!truth)
        abort();
}

// Whatever can be wrapped comes back byte for byte, and loaders find their numbers in order.
static void wrap_and_back(const struct bzimage *image)
{
    static uint8_t stage[FX_STAGE];
    struct wrap_options options = {DAM_POLICY_BLOCK, DAM_POOL_MIN};
    struct tool_error error = {""};
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum tool_status status = wrap_build(image, fx_stage(stage), &options, &bytes, &size, &error);
    if (status != TOOL_OK) {
        expect(status == TOOL_BAD_INPUT && bytes == NULL && error.text[0] != '\0');
        return;
    }
    struct bzimage outer;
    struct wrapped_image read;
    expect(bzimage_read(bytes, size, &outer, &error) == TOOL_OK);
    expect(outer.init_size >= outer.code_size);
    expect(wrap_read(&outer, &read, &error) == TOOL_OK);
    expect(read.crc_ok && read.original_found && read.outer_matches);
    expect(read.inner.size == image->size && memcmp(read.inner.bytes, image->bytes, image->size) == 0);
    free(bytes);
}

// Whatever a reader of a wrapped image believes lies inside the file.
static void read_wrapped(const struct bzimage *image)
{
    struct wrapped_image read;
    struct tool_error error = {""};
    if (wrap_read(image, &read, &error) != TOOL_OK) {
        expect(error.text[0] != '\0');
        return;
    }
    if (read.original_found) {
        const uint8_t *end = read.inner.bytes + read.inner.size;
        expect(read.inner.bytes >= image->code && end <= image->bytes + image->size);
        bzimage_compression(&read.inner);
    }
}

// An image that was sound, its header and the head of the original inside replaced by the input: random
// inputs are never as long as a wrapped image.
static void overlay(const uint8_t *data, size_t size)
{
    static uint8_t *sound;
    static size_t sound_size;
    static uint8_t kernel[FX_KERNEL], stage[FX_STAGE];
    struct bzimage image;
    struct tool_error error;
    if (sound == NULL) {
        struct wrap_options options = {DAM_POLICY_FREEZE, DAM_POOL_MIN};
        fx_kernel(kernel);
        expect(bzimage_read(kernel, sizeof kernel, &image, &error) == TOOL_OK);
        expect(wrap_build(&image, fx_stage(stage), &options, &sound, &sound_size, &error) == TOOL_OK);
    }
    uint8_t *header = sound + FX_SETUP + DAM_IMAGE_HEADER_OFFSET, *inner = sound + DAM_IMAGE_KERNEL_ALIGN;
    const size_t header_size = sizeof(struct dam_image_header);
    uint8_t saved[sizeof(struct dam_image_header)];
    size_t first = size < header_size ? size : header_size;
    size_t second = size - first < 0x280 ? size - first : 0x280;
    memcpy(saved, header, sizeof saved);
    memcpy(header, data, first);
    memcpy(inner, data + first, second);
    expect(bzimage_read(sound, sound_size, &image, &error) == TOOL_OK);
    if (wrap_is_wrapped(&image))
        read_wrapped(&image);
    memcpy(header, saved, sizeof saved);
    memcpy(inner, kernel, 0x280);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    overlay(data, size);
    struct bzimage image;
    struct tool_error error = {""};
    enum tool_status status = bzimage_read(data, size, &image, &error);
    if (status != TOOL_OK) {
        expect(status == TOOL_BAD_INPUT && error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
        return 0;
    }
    bzimage_compression(&image);
    if (wrap_is_wrapped(&image))
        read_wrapped(&image);
    // Larger alignments only make larger images.
    else if (image.kernel_alignment <= DAM_IMAGE_KERNEL_ALIGN)
        wrap_and_back(&image);
    return 0;
}

// SPDX-License-Identifier: MIT
#include "wrap.h"

#include <cofferdam/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bytes.h"
#include "bootproto.h"
#include "efi.h"

// What the original kernel may ask for; x86-64 Linux knows 2 MiB to 16 MiB (CONFIG_PHYSICAL_ALIGN).
#define MAX_ALIGNMENT (64u * 1024 * 1024)

extern const uint8_t stage_blob_start[], stage_blob_end[];

struct stage_blob stage_blob_builtin(void)
{
    return (struct stage_blob){stage_blob_start, (size_t)(stage_blob_end - stage_blob_start)};
}

uint32_t wrap_header_crc(const struct dam_image_header *header)
{
    struct dam_image_header copy = *header;
    copy.crc32 = 0;
    return (uint32_t)crc32(0, (const Bytef *)&copy, sizeof copy);
}

bool wrap_is_wrapped(const struct bzimage *image)
{
    return image->code_size >= DAM_IMAGE_HEADER_OFFSET + sizeof(struct dam_image_header) &&
           get_le64(image->code + DAM_IMAGE_HEADER_OFFSET) == DAM_IMAGE_MAGIC;
}

// The stage tells its own run-time size in its copy of the header; the rest of that copy is filled in here.
static enum tool_status check_stage(struct stage_blob stage, uint64_t *stage_size, struct tool_error *error)
{
    struct dam_image_header preset;
    if (stage.size < DAM_IMAGE_HEADER_OFFSET + sizeof preset)
        return tool_fail(error, TOOL_SYSTEM, "the stage in this tool is broken: %zu bytes", stage.size);
    memcpy(&preset, stage.bytes + DAM_IMAGE_HEADER_OFFSET, sizeof preset);
    if (preset.magic != DAM_IMAGE_MAGIC || preset.version != DAM_IMAGE_VERSION ||
        preset.size != sizeof preset || preset.stage_size < stage.size ||
        preset.stage_size > DAM_IMAGE_KERNEL_ALIGN)
        return tool_fail(error, TOOL_SYSTEM, "the stage in this tool is broken: bad image header");
    *stage_size = preset.stage_size;
    return TOOL_OK;
}

// Offsets of the parts; see wrap.h for the picture.
static enum tool_status plan_layout(const struct bzimage *original, const struct wrap_options *options,
                                    struct dam_image_header *h, uint64_t *init_size, struct tool_error *error)
{
    if (original->kernel_alignment > MAX_ALIGNMENT)
        return tool_fail(error, TOOL_BAD_INPUT, "the kernel wants an alignment of %u MiB: more than %u MiB",
                         original->kernel_alignment >> 20, MAX_ALIGNMENT >> 20);
    // The kernel inside must be as aligned as it asks for, or it would move itself up into the pool.
    uint64_t align = DAM_IMAGE_KERNEL_ALIGN;
    if (original->kernel_alignment > align)
        align = original->kernel_alignment;
    h->kernel_offset = dam_align_up(h->stage_size + original->setup_size, align);
    h->kernel_size = original->code_size;
    h->kernel_init_size = original->init_size;
    h->pool_offset = h->kernel_offset + dam_align_up(original->init_size, DAM_IMAGE_KERNEL_ALIGN);
    h->pool_size = dam_align_up(options->pool_size, DAM_PAGE_SIZE);
    *init_size = h->pool_offset + h->pool_size;
    if (*init_size > UINT32_MAX)
        return tool_fail(error, TOOL_BAD_INPUT, "kernel and pool together need %llu bytes: more than 4 GiB",
                         (unsigned long long)*init_size);
    return TOOL_OK;
}

static void fill_header(const struct bzimage *original, const struct wrap_options *options,
                        struct dam_image_header *h)
{
    h->magic = DAM_IMAGE_MAGIC;
    h->version = DAM_IMAGE_VERSION;
    h->size = sizeof *h;
    h->default_policy = options->policy;
    snprintf(h->tool_version, sizeof h->tool_version, "%s", COFFERDAM_VERSION);
    memcpy(h->kernel_version, original->kernel_version, sizeof h->kernel_version);
    memcpy(h->setup_header, original->bytes + DAM_SETUP_HEADER_START, sizeof h->setup_header);
    h->crc32 = wrap_header_crc(h);
}

// Turns the original's setup sectors, copied to setup, into those of the wrapped image.
static void derive_setup(uint8_t *setup, size_t setup_size, const struct bzimage *original,
                         const struct dam_image_header *h, size_t code_size)
{
    uint32_t shift = (uint32_t)h->kernel_offset;
    uint32_t align = original->kernel_alignment;
    if (align < DAM_IMAGE_KERNEL_ALIGN)
        align = DAM_IMAGE_KERNEL_ALIGN;
    put_le32(setup + BOOT_SYSSIZE, (uint32_t)(code_size / 16));
    put_le32(setup + BOOT_KERNEL_ALIGNMENT, align);
    put_le32(setup + BOOT_INIT_SIZE, (uint32_t)(h->pool_offset + h->pool_size));
    put_le32(setup + BOOT_PAYLOAD_OFFSET, original->payload_offset + shift);
    if (original->kernel_info_offset != 0)
        put_le32(setup + BOOT_KERNEL_INFO_OFFSET, original->kernel_info_offset + shift);
    // No EFI entry leads through the stage: firmware must not find one. XLF_EFI_KEXEC stays, it only makes
    // kexec-tools hand on what the running kernel knows of EFI.
    put_le16(setup + BOOT_XLOADFLAGS,
             original->xloadflags & (uint16_t) ~(XLF_EFI_HANDOVER_32 | XLF_EFI_HANDOVER_64));
    put_le32(setup + BOOT_HANDOVER_OFFSET, 0);
    efi_neutralise(setup, setup_size);
}

// Bytes of the wrapped protected-mode part: up to the original's last byte, in whole 16-byte units.
static size_t wrapped_code_size(const struct dam_image_header *h)
{
    return (size_t)dam_align_up(h->kernel_offset + h->kernel_size, 16);
}

enum tool_status wrap_build(const struct bzimage *original, struct stage_blob stage,
                            const struct wrap_options *options, uint8_t **bytes, size_t *size,
                            struct tool_error *error)
{
    if (wrap_is_wrapped(original))
        return tool_fail(error, TOOL_BAD_INPUT, "already wrapped");
    struct dam_image_header h = {0};
    uint64_t init_size;
    enum tool_status status = check_stage(stage, &h.stage_size, error);
    if (status == TOOL_OK)
        status = plan_layout(original, options, &h, &init_size, error);
    if (status != TOOL_OK)
        return status;
    fill_header(original, options, &h);

    size_t code_size = wrapped_code_size(&h);
    size_t total = original->setup_size + code_size;
    uint8_t *out = calloc(1, total);
    if (out == NULL)
        return tool_fail(error, TOOL_SYSTEM, "no memory for an image of %zu bytes", total);
    uint8_t *code = out + original->setup_size;
    memcpy(out, original->bytes, original->setup_size);
    derive_setup(out, original->setup_size, original, &h, code_size);
    memcpy(code, stage.bytes, stage.size);
    memcpy(code + DAM_IMAGE_HEADER_OFFSET, &h, sizeof h);
    memcpy(code + h.kernel_offset - original->setup_size, original->bytes, original->size);
    *bytes = out;
    *size = total;
    return TOOL_OK;
}

static bool header_offsets_fit(const struct bzimage *image, const struct dam_image_header *h)
{
    return h->kernel_offset % DAM_IMAGE_KERNEL_ALIGN == 0 && h->kernel_offset <= image->code_size &&
           h->kernel_size > 0 && h->kernel_size <= image->code_size - h->kernel_offset &&
           h->kernel_init_size <= UINT32_MAX && h->pool_offset <= UINT32_MAX && h->pool_size <= UINT32_MAX &&
           h->pool_offset % DAM_PAGE_SIZE == 0 && h->pool_size % DAM_PAGE_SIZE == 0 &&
           h->pool_offset >= h->kernel_offset + h->kernel_init_size &&
           h->pool_offset + h->pool_size <= image->init_size &&
           h->stage_size >= DAM_IMAGE_HEADER_OFFSET + sizeof *h &&
           h->stage_size + image->setup_size <= h->kernel_offset;
}

// The setup sectors as wrap would make them from the original inside, against those that are there.
static bool outer_setup_matches(const struct wrapped_image *w)
{
    uint8_t setup[(255 + 1) * BOOT_SECTOR];
    if (w->inner.setup_size != w->outer.setup_size || w->inner.setup_size > sizeof setup)
        return false;
    memcpy(setup, w->inner.bytes, w->inner.setup_size);
    derive_setup(setup, w->inner.setup_size, &w->inner, &w->header, wrapped_code_size(&w->header));
    return memcmp(setup, w->outer.bytes, w->outer.setup_size) == 0;
}

enum tool_status wrap_read(const struct bzimage *image, struct wrapped_image *out, struct tool_error *error)
{
    memset(out, 0, sizeof *out);
    out->outer = *image;
    if (!wrap_is_wrapped(image))
        return tool_fail(error, TOOL_BAD_INPUT, "not wrapped");
    struct dam_image_header *h = &out->header;
    memcpy(h, image->code + DAM_IMAGE_HEADER_OFFSET, sizeof *h);
    if (h->version != DAM_IMAGE_VERSION || h->size != sizeof *h)
        return tool_fail(
            error, TOOL_BAD_INPUT,
            "wrapped in version %u of the image format (%u bytes); this tool reads version %u (%zu)",
            h->version, h->size, DAM_IMAGE_VERSION, sizeof *h);
    out->crc_ok = wrap_header_crc(h) == h->crc32;
    if (!header_offsets_fit(image, h))
        return tool_fail(error, TOOL_BAD_INPUT,
                         "the wrapped image is damaged: its parts do not fit the file%s",
                         out->crc_ok ? "" : " (and its header has a bad checksum)");
    // Strings of a damaged header need not end.
    h->tool_version[sizeof h->tool_version - 1] = '\0';
    h->kernel_version[sizeof h->kernel_version - 1] = '\0';
    const uint8_t *original = image->code + h->kernel_offset - image->setup_size;
    size_t original_size = image->setup_size + (size_t)h->kernel_size;
    struct tool_error ignored;
    out->original_found =
        bzimage_read(original, original_size, &out->inner, &ignored) == TOOL_OK &&
        out->inner.setup_size == image->setup_size &&
        memcmp(original + DAM_SETUP_HEADER_START, h->setup_header, sizeof h->setup_header) == 0;
    out->outer_matches = out->original_found && outer_setup_matches(out);
    return TOOL_OK;
}

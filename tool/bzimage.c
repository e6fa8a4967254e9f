// SPDX-License-Identifier: MIT
#include "bzimage.h"

#include <string.h>

#include "bytes.h"
#include "bootproto.h"

// The header is as long as the jump over it says; fields beyond are not there.
static uint32_t header_end(const uint8_t *bytes)
{
    return BOOT_JUMP + 2u + bytes[BOOT_JUMP + 1];
}

static enum tool_status check_is_kernel(const uint8_t *bytes, size_t size, struct tool_error *error)
{
    const char *kind = bzimage_foreign_kind(bytes, size);
    if (kind != NULL)
        return tool_fail(error, TOOL_BAD_INPUT, "not a Linux x86-64 kernel image: the file is %s", kind);
    if (size < BOOT_HEADER_END)
        return tool_fail(error, TOOL_BAD_INPUT, "not a Linux kernel image: only %zu bytes long", size);
    if (get_le32(bytes + BOOT_MAGIC) != BOOT_MAGIC_VALUE)
        return tool_fail(error, TOOL_BAD_INPUT, "not a Linux kernel image: no \"HdrS\" at 202h");
    if (get_le16(bytes + BOOT_FLAG) != BOOT_FLAG_VALUE)
        return tool_fail(error, TOOL_BAD_INPUT, "not a Linux kernel image: %04Xh instead of AA55h at 1FEh",
                         get_le16(bytes + BOOT_FLAG));
    return TOOL_OK;
}

// The same checks, in the same order, as kexec-tools' and the kernel's own bzImage loaders.
static enum tool_status check_loadable(const uint8_t *bytes, struct tool_error *error)
{
    unsigned version = get_le16(bytes + BOOT_VERSION);
    if (version < BOOT_VERSION_KEXEC)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "boot protocol %u.%02u is too old: kexec wants 2.12 or later (Linux 3.8)",
                         version >> 8, version & 0xFF);
    if (!(bytes[BOOT_LOADFLAGS] & BOOT_LOADED_HIGH))
        return tool_fail(error, TOOL_BAD_INPUT,
                         "a zImage, loaded low (loadflags bit 0 clear): kexec refuses it");
    unsigned xloadflags = get_le16(bytes + BOOT_XLOADFLAGS);
    if (!(xloadflags & XLF_KERNEL_64))
        return tool_fail(error, TOOL_BAD_INPUT,
                         "a 32-bit x86 kernel (xloadflags bit 0 clear): a 64-bit one is needed");
    if (!(xloadflags & XLF_ABOVE_4G))
        return tool_fail(
            error, TOOL_BAD_INPUT,
            "the kernel cannot be loaded above 4 GiB (xloadflags bit 1 clear): kexec refuses it");
    if (header_end(bytes) < BOOT_HANDOVER_OFFSET)
        return tool_fail(error, TOOL_BAD_INPUT, "the boot header ends at %Xh, before init_size",
                         header_end(bytes));
    return TOOL_OK;
}

static void fill_in(const uint8_t *bytes, size_t size, struct bzimage *out)
{
    unsigned sects = bytes[BOOT_SETUP_SECTS] ? bytes[BOOT_SETUP_SECTS] : BOOT_DEFAULT_SECTS;
    memset(out, 0, sizeof *out);
    out->bytes = bytes;
    out->size = size;
    out->setup_size = (sects + 1) * BOOT_SECTOR;
    out->version = get_le16(bytes + BOOT_VERSION);
    out->xloadflags = get_le16(bytes + BOOT_XLOADFLAGS);
    out->kernel_alignment = get_le32(bytes + BOOT_KERNEL_ALIGNMENT);
    out->relocatable = bytes[BOOT_RELOCATABLE] != 0;
    out->payload_offset = get_le32(bytes + BOOT_PAYLOAD_OFFSET);
    out->payload_length = get_le32(bytes + BOOT_PAYLOAD_LENGTH);
    out->pref_address = get_le64(bytes + BOOT_PREF_ADDRESS);
    out->init_size = get_le32(bytes + BOOT_INIT_SIZE);
    if (out->version >= BOOT_VERSION_INFO && header_end(bytes) >= BOOT_KERNEL_INFO_OFFSET + 4)
        out->kernel_info_offset = get_le32(bytes + BOOT_KERNEL_INFO_OFFSET);
}

static enum tool_status check_sizes(struct bzimage *image, struct tool_error *error)
{
    if (image->size <= image->setup_size)
        return tool_fail(error, TOOL_BAD_INPUT, "cut short: %zu bytes, of which the setup alone takes %u",
                         image->size, image->setup_size);
    image->code = image->bytes + image->setup_size;
    image->code_size = image->size - image->setup_size;
    uint64_t told = (uint64_t)get_le32(image->bytes + BOOT_SYSSIZE) * 16;
    if (told == 0 || told > image->code_size + 15)
        return tool_fail(error, TOOL_BAD_INPUT, "cut short: %zu bytes of code, the header tells of %llu",
                         image->code_size, (unsigned long long)told);
    uint64_t payload_end = (uint64_t)image->payload_offset + image->payload_length;
    if (image->payload_length == 0 || payload_end > image->code_size)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "the payload (offset %Xh, length %Xh) does not lie inside the %zu bytes of code",
                         image->payload_offset, image->payload_length, image->code_size);
    if (image->init_size < image->code_size)
        return tool_fail(error, TOOL_BAD_INPUT, "init_size (%u) is less than the code in the file (%zu)",
                         image->init_size, image->code_size);
    uint32_t align = image->kernel_alignment;
    if (align < 4096 || (align & (align - 1)) != 0)
        return tool_fail(error, TOOL_BAD_INPUT, "kernel_alignment is %Xh: not a power of two from 1000h",
                         align);
    if (!image->relocatable)
        return tool_fail(error, TOOL_BAD_INPUT, "the kernel is not relocatable (CONFIG_RELOCATABLE is off)");
    return TOOL_OK;
}

static void copy_version(struct bzimage *image)
{
    uint32_t start = BOOT_JUMP + get_le16(image->bytes + BOOT_KERNEL_VERSION);
    if (start == BOOT_JUMP)
        return;
    size_t used = 0;
    for (uint32_t at = start; at < image->setup_size && used < sizeof image->kernel_version - 1; at++) {
        uint8_t c = image->bytes[at];
        if (c == 0)
            break;
        image->kernel_version[used++] = c >= 0x20 && c < 0x7F ? (char)c : '?';
    }
}

enum tool_status bzimage_read(const uint8_t *bytes, size_t size, struct bzimage *out,
                              struct tool_error *error)
{
    enum tool_status status = check_is_kernel(bytes, size, error);
    if (status == TOOL_OK)
        status = check_loadable(bytes, error);
    if (status != TOOL_OK)
        return status;
    fill_in(bytes, size, out);
    status = check_sizes(out, error);
    if (status == TOOL_OK)
        copy_version(out);
    return status;
}

// SPDX-License-Identifier: MIT
// Files that people hand to `wrap` by mistake, recognised by their first bytes.
#include "bzimage.h"

#include <string.h>

#include "bytes.h"
#include "bootproto.h"

struct magic {
    uint16_t offset;
    uint8_t length;
    const char *bytes;
    const char *kind;
};

// The first match wins: arm64 images with an EFI stub begin with MZ, so their own magic comes first.
static const struct magic magics[] = {
    {0x38, 4, "ARM\x64", "an arm64 kernel image"},
    {0x38, 4, "RSC\x05", "a RISC-V kernel image"},
    {0x04, 4, "zimg", "an EFI zboot kernel image (not x86)"},
    {0x24, 4, "\x18\x28\x6F\x01", "a 32-bit ARM kernel image"},
    {0, 4, "\x1F\x8B\x08\x00", "a gzip file: unpack it first"},
    {0, 3, "\x1F\x8B\x08", "a gzip file: unpack it first"},
    {0, 6,
     "\xFD"
     "7zXZ\0",
     "an xz file: unpack it first"},
    {0, 4, "\x28\xB5\x2F\xFD", "a zstd file: unpack it first"},
    {0, 3, "BZh", "a bzip2 file: unpack it first"},
    {0, 4, "\x02\x21\x4C\x18", "an lz4 file: unpack it first"},
    {0, 4, "\x04\x22\x4D\x18", "an lz4 file: unpack it first"},
    {0, 9, "\x89LZO\0\r\n\x1A\n", "an lzop file: unpack it first"},
    {0, 6, "070701", "a cpio archive, perhaps an initramfs"},
    {0, 6, "070702", "a cpio archive, perhaps an initramfs"},
    {0, 8, "!<arch>\n", "an archive, perhaps a Debian package: take the vmlinuz out of it"},
    {0, 4, "\xED\xAB\xEE\xDB", "an RPM package: take the vmlinuz out of it"},
    {0, 8, "ANDROID!", "an Android boot image"},
    {0, 4, "\x27\x05\x19\x56", "a U-Boot image"},
    {0, 8, "KDUMP   ", "a kdump-compressed dump"},
    {0, 12, "makedumpfile", "a flattened dump"},
    {0, 4, "DMAR", "an ACPI DMAR table"},
    {0, 2, "#!", "a script"},
};

#define ELF_TYPE_CORE 4u

static const char *elf_kind(const uint8_t *bytes, size_t size)
{
    if (size >= 18 && get_le16(bytes + 16) == ELF_TYPE_CORE)
        return "an ELF core dump";
    return "an ELF file, perhaps an uncompressed vmlinux: take the vmlinuz (bzImage) instead";
}

const char *bzimage_foreign_kind(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return "empty";
    if (size >= 4 && memcmp(bytes,
                            "\x7F"
                            "ELF",
                            4) == 0)
        return elf_kind(bytes, size);
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        const struct magic *m = &magics[i];
        if (size >= (size_t)m->offset + m->length && memcmp(bytes + m->offset, m->bytes, m->length) == 0)
            return m->kind;
    }
    bool has_header = size >= BOOT_MAGIC + 4 && get_le32(bytes + BOOT_MAGIC) == BOOT_MAGIC_VALUE;
    if (size >= 2 && memcmp(bytes, "MZ", 2) == 0 && !has_header)
        return "an EFI program without a Linux boot header, perhaps a unified kernel image";
    return NULL;
}

const char *bzimage_compression(const struct bzimage *image)
{
    static const struct magic payloads[] = {
        {0, 2, "\x1F\x8B", "gzip"},
        {0, 6,
         "\xFD"
         "7zXZ\0",
         "xz"},
        {0, 3, "BZh", "bzip2"},
        {0, 4, "\x28\xB5\x2F\xFD", "zstd"},
        {0, 3, "\x5D\0\0", "lzma"},
        {0, 4, "\x02\x21\x4C\x18", "lz4"},
        {0, 4, "\x89LZO", "lzo"},
        {0, 4,
         "\x7F"
         "ELF",
         "none"},
    };
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        const struct magic *m = &payloads[i];
        if (image->payload_length >= m->length &&
            memcmp(image->code + image->payload_offset, m->bytes, m->length) == 0)
            return m->kind;
    }
    return "unknown";
}

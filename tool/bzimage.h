// SPDX-License-Identifier: MIT
// Reads a Linux x86-64 kernel image as the two kexec loaders do, over untrusted bytes.
#ifndef TOOL_BZIMAGE_H
#define TOOL_BZIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define BZIMAGE_MAX_SIZE (1024u * 1024u * 1024u)

struct bzimage {
    const uint8_t *bytes; // the caller's; must stay valid
    size_t size;
    uint32_t setup_size; // bytes before the protected-mode part: boot sector and setup
    const uint8_t *code; // the protected-mode part
    size_t code_size;    // bytes of it in the file, a signature behind it included
    uint16_t version;    // of the boot protocol, for example 20Fh
    uint16_t xloadflags;
    uint32_t kernel_alignment; // bytes
    bool relocatable;
    uint32_t payload_offset, payload_length;
    uint64_t pref_address;
    uint32_t init_size;          // bytes of memory that it needs at run time
    uint32_t kernel_info_offset; // 0 when it has none
    char kernel_version[64];     // printable ASCII, cut when longer; empty when the header has none
};

// What both loaders check: HdrS, AA55h, protocol 2.12 or later, loaded high, 64-bit, loadable above 4 GiB;
// and that the header's numbers agree with the file. TOOL_BAD_INPUT says what the file is instead, if it is
// of a known kind. The error text does not hold the file's name.
TOOL_MUST_CHECK enum tool_status bzimage_read(const uint8_t *bytes, size_t size, struct bzimage *out,
                                              struct tool_error *error);

// What a file that is no kernel image for kexec is, in words ("an ELF file"), or NULL when unknown.
const char *bzimage_foreign_kind(const uint8_t *bytes, size_t size);

// How the kernel inside is compressed ("xz"), by its first bytes; "unknown" otherwise.
const char *bzimage_compression(const struct bzimage *image);

#endif

// SPDX-License-Identifier: MIT
// Builds and reads wrapped images. Layout of the file, and of memory once it is loaded:
//
//   setup sectors          the original's, header adapted (file only)
//   load + 0               the stage: 64-bit entry at +200h, struct dam_image_header at +400h
//   ...                    zeros: the stage's .bss, room
//   kernel_offset - setup  the original file begins: its setup sectors, unchanged
//   kernel_offset          its protected-mode part, unchanged, to the end of the original file
//   ...                    memory that the original needs (its init_size); memory only from here on
//   pool_offset            the pool
//   init_size              end
//
// The original file lies inside in one piece, so that it can be taken out again byte for byte; its setup
// sectors fill a part of the gap before the alignment boundary and cost nothing.
#ifndef TOOL_WRAP_H
#define TOOL_WRAP_H

#include <cofferdam/abi.h>

#include "bzimage.h"

// The stage program, linked in (tool/stage_blob.S) or a test's own.
struct stage_blob {
    const uint8_t *bytes;
    size_t size;
};

// The stage that this tool carries.
struct stage_blob stage_blob_builtin(void);

struct wrap_options {
    enum dam_policy policy;
    uint64_t pool_size; // bytes, DAM_POOL_MIN to DAM_POOL_MAX; rounded up to 4 KiB
};

struct wrapped_image {
    struct bzimage outer;           // the image as a loader sees it
    struct dam_image_header header; // a copy
    struct bzimage inner;           // the original, valid when original_found
    bool crc_ok;                    // the header's checksum is right
    bool original_found;            // the original lies inside, in one piece, and reads as a kernel image
    bool outer_matches;             // the outer setup sectors are what wrap makes of the original's
};

// Wraps original (read by bzimage_read) into *bytes, which the caller frees. The result depends on nothing
// but its inputs. TOOL_BAD_INPUT: already wrapped, or it does not fit in 32 bits. TOOL_SYSTEM: no memory, or
// the blob is no stage.
TOOL_MUST_CHECK enum tool_status wrap_build(const struct bzimage *original, struct stage_blob stage,
                                            const struct wrap_options *options, uint8_t **bytes, size_t *size,
                                            struct tool_error *error);

// Whether the image begins with a stage. Says nothing about its health.
bool wrap_is_wrapped(const struct bzimage *image);

// Reads a wrapped image. TOOL_BAD_INPUT: not wrapped, another version of the format, or offsets that do not
// fit the file; a wrong checksum is told in crc_ok.
TOOL_MUST_CHECK enum tool_status wrap_read(const struct bzimage *image, struct wrapped_image *out,
                                           struct tool_error *error);

// The CRC that header ought to have: over all of it, the crc32 field taken as 0.
uint32_t wrap_header_crc(const struct dam_image_header *header);

#endif

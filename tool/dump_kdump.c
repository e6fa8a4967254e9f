// SPDX-License-Identifier: MIT
// kdump-compressed dumps: struct disk_dump_header in block 0, struct kdump_sub_header in block 1, for x86-64.
// Source: makedumpfile, diskdump_mod.h, and IMPLEMENTATION, "the kdump-compressed format".
#include "dump.h"

#include <inttypes.h>

#include "bytes.h"

// disk_dump_header
#define KD_VERSION    8u   // 4
#define KD_RELEASE    142u // 65: utsname.release, behind the version, sysname and nodename
#define KD_BLOCK_SIZE 428u // 4: behind the version, 390 bytes of utsname, a timeval and the status
#define KD_END        464u
// kdump_sub_header
#define KS_OFFSET_NOTE     48u // 8; header version 4 on
#define KS_SIZE_NOTE       56u // 8
#define KS_END             64u

#define VERSION_WITH_NOTES 4u
#define MIN_BLOCK          4096u
#define MAX_BLOCK          65536u

enum tool_status dump_kdump_read(const struct dump_source *source, struct dump *out, struct tool_error *error)
{
    uint8_t header[KD_END], sub[KS_END];
    if (source_read(source, 0, header, sizeof header) != sizeof header)
        return tool_fail(error, TOOL_BAD_INPUT, "kdump-compressed dump cut short in its header");
    uint32_t version = get_le32(header + KD_VERSION);
    uint32_t block = get_le32(header + KD_BLOCK_SIZE);
    if (block < MIN_BLOCK || block > MAX_BLOCK || (block & (block - 1)) != 0)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "kdump-compressed dump with a block size of %" PRIu32 ": damaged, or not of x86-64",
                         block);
    if (version < VERSION_WITH_NOTES || version > UINT16_MAX)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "kdump-compressed dump of header version %" PRIu32 ": it has no notes", version);
    for (size_t i = 0; i < 65 && header[KD_RELEASE + i] != 0; i++) {
        uint8_t c = header[KD_RELEASE + i];
        out->release[i] = c >= 0x20 && c < 0x7F ? (char)c : '?';
    }
    if (source_read(source, block, sub, sizeof sub) != sizeof sub)
        return tool_fail(error, TOOL_BAD_INPUT, "kdump-compressed dump cut short in its sub-header");
    uint64_t offset = get_le64(sub + KS_OFFSET_NOTE), size = get_le64(sub + KS_SIZE_NOTE);
    if (size == 0)
        return TOOL_OK;
    if (offset < block || offset > INT64_MAX || size > INT64_MAX - offset)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "kdump-compressed dump, damaged: notes at 0x%" PRIx64 ", size 0x%" PRIx64, offset,
                         size);
    out->areas[0] = (struct note_area){offset, size};
    out->area_count = 1;
    return TOOL_OK;
}

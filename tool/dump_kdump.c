// SPDX-License-Identifier: MIT
// kdump-compressed dumps: struct disk_dump_header in block 0, struct kdump_sub_header in block 1, for x86-64.
// Source: makedumpfile, diskdump_mod.h, and IMPLEMENTATION, "the kdump-compressed format".
#include "dump.h"

#include <inttypes.h>
#include <string.h>

#include <cofferdam/types.h>

#include "bytes.h"

// disk_dump_header
#define KD_VERSION    8u   // 4
#define KD_RELEASE    142u // 65: utsname.release, behind the version, sysname and nodename
#define KD_MACHINE    272u // 65: utsname.machine
#define KD_STATUS     424u // 4: behind the version, 390 bytes of utsname and a timeval
#define KD_BLOCK_SIZE 428u // 4
#define KD_SUB_BLOCKS 432u // 4: the sub-header with its notes, in blocks
#define KD_BITMAPS    436u // 4: both bitmaps, in blocks
#define KD_MAX_MAPNR  440u // 4: page frames, up to header version 5
#define KD_END        464u
// kdump_sub_header
#define KS_SPLIT           12u // 4: one of several files
#define KS_OFFSET_NOTE     48u // 8; header version 4 on
#define KS_SIZE_NOTE       56u // 8
#define KS_END             64u
#define KS_MAX_MAPNR       96u // 8; header version 6 on
#define KS_END_6           104u

#define VERSION_WITH_NOTES 4u
#define VERSION_WITH_64    6u
#define MAX_SUB_BLOCKS     65536u
#define MAX_PAGES          (1ull << 36) // 256 TiB of physical addresses, 8 GiB of each bitmap
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

static enum tool_status check_machine(const uint8_t *header, struct tool_error *error)
{
    char machine[66] = "";
    memcpy(machine, header + KD_MACHINE, 65);
    // QEMU 10 no longer knows what it dumps, and writes "Unknown".
    if (strcmp(machine, "x86_64") != 0 && strcmp(machine, "Unknown") != 0 && machine[0] != '\0')
        return tool_fail(error, TOOL_BAD_INPUT, "a dump of another machine (%s): only x86-64", machine);
    if (get_le32(header + KD_BLOCK_SIZE) != DAM_PAGE_SIZE)
        return tool_fail(error, TOOL_BAD_INPUT, "a dump with pages of %" PRIu32 " bytes: only 4096",
                         get_le32(header + KD_BLOCK_SIZE));
    return TOOL_OK;
}

// The number of page frames: 32 bits in the header, 64 in newer sub-headers.
static enum tool_status count_pages(const struct dump_source *source, const uint8_t *header, uint64_t *pages,
                                    struct tool_error *error)
{
    uint8_t sub[KS_END_6];
    bool newer = get_le32(header + KD_VERSION) >= VERSION_WITH_64;
    size_t size = newer ? KS_END_6 : KS_END;
    if (source_read(source, DAM_PAGE_SIZE, sub, size) != size)
        return tool_fail(error, TOOL_BAD_INPUT, "kdump-compressed dump cut short in its sub-header");
    if (get_le32(sub + KS_SPLIT) != 0)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "one part of a split dump: put it together with makedumpfile --reassemble");
    *pages = newer ? get_le64(sub + KS_MAX_MAPNR) : get_le32(header + KD_MAX_MAPNR);
    return TOOL_OK;
}

enum tool_status dump_kdump_layout(const struct dump_source *source, struct dump_kdump *out,
                                   struct tool_error *error)
{
    uint8_t header[KD_END];
    uint64_t pages = 0;
    if (source_read(source, 0, header, sizeof header) != sizeof header)
        return tool_fail(error, TOOL_BAD_INPUT, "kdump-compressed dump cut short in its header");
    enum tool_status status = check_machine(header, error);
    if (status == TOOL_OK)
        status = count_pages(source, header, &pages, error);
    if (status != TOOL_OK)
        return status;
    uint32_t sub_blocks = get_le32(header + KD_SUB_BLOCKS), blocks = get_le32(header + KD_BITMAPS);
    uint64_t size = (uint64_t)(blocks / 2) * DAM_PAGE_SIZE;
    if (sub_blocks == 0 || sub_blocks > MAX_SUB_BLOCKS)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "kdump-compressed dump, damaged: a sub-header of %" PRIu32 " blocks", sub_blocks);
    if (pages == 0 || pages > MAX_PAGES)
        return tool_fail(error, TOOL_BAD_INPUT, "kdump-compressed dump, damaged: 0x%" PRIx64 " page frames",
                         pages);
    if (blocks % 2 != 0 || size * 8 < pages)
        return tool_fail(error, TOOL_BAD_INPUT,
                         "kdump-compressed dump, damaged: bitmaps of %" PRIu32 " blocks for 0x%" PRIx64
                         " page frames",
                         blocks, pages);
    *out = (struct dump_kdump){.status = get_le32(header + KD_STATUS),
                               .pages = pages,
                               .bitmap_size = size,
                               .is_ram = (1 + (uint64_t)sub_blocks) * DAM_PAGE_SIZE};
    out->is_held = out->is_ram + size;
    out->descriptors = out->is_held + size;
    return TOOL_OK;
}

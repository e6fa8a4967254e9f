// SPDX-License-Identifier: MIT
// What the loader left: the image's header, boot_params, the command line, the ELF core headers.
#include <string.h>

#include "layout.h"
#include "pure/bytes.h"
#include "pure/elfcore.h"
#include "stage.h"

extern const struct dam_image_header stage_image_header;

enum dam_stop stage_read_image(void)
{
    struct dam_image_header *h = &stage.image;
    *h = stage_image_header;
    uint32_t crc = h->crc32;
    h->crc32 = 0;
    bool same = dam_crc32(0, h, sizeof(*h)) == crc;
    h->crc32 = crc;
    uint64_t init_size = bytes_get32(stage.bp + BP_INIT_SIZE);
    if (!same || h->magic != DAM_IMAGE_MAGIC || h->version != DAM_IMAGE_VERSION || h->size != sizeof(*h) ||
        h->default_policy > DAM_POLICY_BLOCK || h->kernel_offset < STAGE_MAX_SIZE ||
        h->kernel_offset % DAM_IMAGE_KERNEL_ALIGN != 0 || h->pool_offset % DAM_PAGE_SIZE != 0 ||
        h->pool_size % DAM_PAGE_SIZE != 0 || h->kernel_offset > init_size ||
        h->kernel_init_size > init_size - h->kernel_offset)
        return DAM_STOP_IMAGE;
    // From here on we know where the kernel is and what its header was.
    stage.image_valid = true;
    if (h->pool_offset < h->kernel_offset + h->kernel_init_size || h->pool_offset > init_size ||
        h->pool_size > init_size - h->pool_offset || stage.base % DAM_IMAGE_KERNEL_ALIGN != 0)
        return DAM_STOP_IMAGE;
    return h->pool_size < DAM_POOL_MIN ? DAM_STOP_POOL : DAM_STOP_NONE;
}

void stage_read_memory_map(void)
{
    e820_read_table(stage.bp, &stage.map);
    regions_init(&stage.regions);
    // For now, what may be read is what the loader calls RAM; setup_data lies there.
    if (regions_fill(&stage.regions, &stage.map, NULL, 0) != DAM_OK)
        return;
    // What a broken or endless list hides may be memory of the capture kernel: then nothing is taken over.
    bool whole =
        setup_data_walk(&stage.ops, stage.bp, stage.nodes, SETUP_DATA_MAX, &stage.node_count) == DAM_OK &&
        stage.node_count < SETUP_DATA_MAX;
    for (size_t i = 0; i < stage.node_count; i++) {
        const struct setup_node *node = &stage.nodes[i];
        if (node->type == SETUP_DATA_E820_EXT)
            whole &= e820_read_extension(&stage.ops, node->data, node->len, &stage.map) == DAM_OK;
    }
    stage.map_whole = whole && !stage.map.lost;
}

void stage_read_cmdline(void)
{
    uint64_t at = setup_cmdline(stage.bp);
    uint64_t max = (uint64_t)bytes_get32(stage.bp + BP_CMDLINE_SIZE) + 1;
    if (max > CMDLINE_MAX)
        max = CMDLINE_MAX;
    const struct dam_range *in = at ? dam_ranges_find(&stage.regions.memory, at, 1) : NULL;
    bool readable = at == 0 || in;
    if (in && max > in->end - at)
        max = in->end - at;
    if (!in || dam_mem_read(&stage.ops, dam_pa_of(at), stage.line, (size_t)max) != DAM_OK) {
        max = 0;
        readable = at == 0;
    }
    while (stage.line_len < max && stage.line[stage.line_len])
        stage.line_len++;
    stage.line_cut = max && stage.line_len == max;
    cmdline_parse(stage.line, stage.line_len, &stage.options);
    // Both loaders name the ELF core headers of a crash. What cannot be read to its end may be a crash.
    stage.ordinary = readable && !stage.line_cut && !stage.options.names_elfcorehdr;
}

// An ordinary kexec: all memory belongs to the next kernel, and all of it may have been the old one's.
static enum dam_stop begin_ordinary(void)
{
    regions_init(&stage.regions);
    stage.regions.ordinary = true;
    return DAM_STOP_NONE;
}

enum dam_stop stage_read_elfcore(void)
{
    if (stage.ordinary)
        return begin_ordinary();
    // The headers lie in a hole of the memory map, on purpose. The page tables found at entry map no device,
    // so that a wrong address is a page fault at worst.
    if (!stage.options.has_elfcorehdr)
        return DAM_STOP_NO_ELFCOREHDR;
    stage.exception_means = DAM_STOP_NO_ELFCOREHDR;
    const uint8_t *old = (const uint8_t *)stage.options.elfcorehdr;
    uint8_t header[ELF_HEADER_SIZE];
    memcpy(header, old, sizeof(header));
    uint32_t count;
    if (elfcore_check(header, &count) != DAM_OK)
        return DAM_STOP_NO_ELFCOREHDR;
    stage.elf_size = ELF_HEADER_SIZE + count * ELF_PROGRAM_SIZE;
    void *pages;
    size_t page_count = (stage.elf_size + ELF_PROGRAM_SIZE + DAM_PAGE_SIZE - 1) / DAM_PAGE_SIZE;
    if (dam_arena_pages(&stage.pool, page_count, &pages) != DAM_OK)
        return DAM_STOP_POOL;
    stage.legacy.headers = pages;
    stage.legacy.header_count = count;
    memcpy(pages, header, sizeof(header)); // the checked copy; the rest is read once, now
    memcpy(stage.legacy.headers + sizeof(header), old + sizeof(header), stage.elf_size - sizeof(header));
    regions_init(&stage.regions);
    dam_err err = elfcore_old_ram(stage.legacy.headers, count, &stage.regions.old_ram);
    stage.exception_means = DAM_STOP_EXCEPTION;
    return err ? DAM_STOP_NO_ELFCOREHDR : DAM_STOP_NONE;
}

// Room for the capture kernel's new command line, and the line itself.
static enum dam_stop make_cmdline(void)
{
    struct stage_legacy *legacy = &stage.legacy;
    void *pages;
    uint64_t max = bytes_get32(stage.bp_plain + BP_CMDLINE_SIZE);
    if (max > CMDLINE_MAX)
        max = CMDLINE_MAX;
    if (dam_arena_pages(&stage.pool, (size_t)max / DAM_PAGE_SIZE + 1, &pages) != DAM_OK)
        return DAM_STOP_POOL;
    size_t len;
    dam_pa headers = dam_arena_pa(&stage.pool, legacy->headers);
    if (cmdline_set_elfcorehdr(stage.line, stage.line_len, headers.v, pages, (size_t)max, &len) == DAM_OK) {
        legacy->cmdline = pages;
        legacy->cmdline_len = len;
    } else {
        console_line(&stage.console, CONSOLE_ALWAYS, "no note: the command line has no room for its address");
    }
    return DAM_STOP_NONE;
}

enum dam_stop stage_set_aside(void)
{
    struct stage_legacy *legacy = &stage.legacy;
    void *pages;
    legacy->note_capacity = dam_report_max_size();
    size_t note_size = ELFCORE_NOTE_HEAD + legacy->note_capacity + ELFCORE_NOTE_TAIL;
    if (dam_arena_pages(&stage.pool, (note_size + DAM_PAGE_SIZE - 1) / DAM_PAGE_SIZE, &pages) != DAM_OK)
        return DAM_STOP_POOL;
    legacy->note = pages;
    enum dam_stop stop = stage.ordinary ? DAM_STOP_NONE : make_cmdline();
    if (stop)
        return stop;
    uint64_t start = stage.pool.pa.v;
    memcpy(stage.bp_note, stage.bp_plain, BP_SIZE);
    if (!stage.map_whole || e820_reserve(stage.bp_note, &stage.map, start, start + stage.pool.size) != DAM_OK)
        return DAM_STOP_E820;
    legacy->ready = true;
    return DAM_STOP_NONE;
}

size_t stage_placed(struct dam_range out[STAGE_PLACED])
{
    const struct dam_image_header *h = &stage.image;
    uint64_t ramdisk_size, ramdisk = setup_ramdisk(stage.bp, &ramdisk_size), line = setup_cmdline(stage.bp);
    uint64_t bp = (uint64_t)stage.bp;
    const struct dam_range placed[] = {
        {stage.base, stage.base + h->pool_offset + h->pool_size},
        {stage.options.elfcorehdr, stage.options.elfcorehdr + stage.elf_size},
        {bp, bp + BP_SIZE},
        {line, line + stage.line_len + 1},
        {ramdisk, ramdisk + ramdisk_size},
    };
    static_assert(sizeof(placed) / sizeof(placed[0]) == STAGE_PLACED, "count");
    memcpy(out, placed, sizeof(placed));
    return STAGE_PLACED;
}

enum dam_stop stage_fill_regions(void)
{
    struct dam_range extra[STAGE_PLACED];
    size_t count = stage_placed(extra);
    dam_err err = regions_fill(&stage.regions, &stage.map, extra, count);
    return err ? DAM_STOP_INTERNAL : DAM_STOP_NONE;
}

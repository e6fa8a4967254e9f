// SPDX-License-Identifier: MIT
#include "setup.h"

#include "bytes.h"

// Fields of the setup header that describe the image (Linux, Documentation/arch/x86/boot.rst, "Details of
// Header Fields", those of type "read"), as offset and size.
static const struct {
    uint16_t at;
    uint8_t size;
} image_fields[] = {
    {0x1F1, 1}, // setup_sects
    {0x1F4, 4}, // syssize
    {0x1FE, 2}, // boot_flag
    {0x200, 2}, // jump
    {0x202, 4}, // header
    {0x206, 2}, // version
    {0x20C, 2}, // start_sys_seg
    {0x20E, 2}, // kernel_version
    {0x22C, 4}, // initrd_addr_max
    {0x230, 4}, // kernel_alignment
    {0x234, 1}, // relocatable_kernel
    {0x235, 1}, // min_alignment
    {0x236, 2}, // xloadflags
    {0x238, 4}, // cmdline_size
    {0x248, 4}, // payload_offset
    {0x24C, 4}, // payload_length
    {0x258, 8}, // pref_address
    {0x260, 4}, // init_size
    {0x264, 4}, // handover_offset
    {0x268, 4}, // kernel_info_offset
};

void setup_restore_header(uint8_t *bp, const uint8_t original[DAM_SETUP_HEADER_SIZE])
{
    for (size_t i = 0; i < sizeof(image_fields) / sizeof(image_fields[0]); i++)
        memcpy(bp + image_fields[i].at, original + (image_fields[i].at - DAM_SETUP_HEADER_START),
               image_fields[i].size);
}

dam_err setup_data_walk(const struct dam_ops *ops, const uint8_t *bp, struct setup_node *nodes, size_t max,
                        size_t *count)
{
    *count = 0;
    uint64_t at = bytes_get64(bp + BP_SETUP_DATA);
    for (unsigned i = 0; at && i < SETUP_DATA_MAX && *count < max; i++) {
        uint8_t raw[SETUP_DATA_HEADER];
        dam_err err = dam_mem_read(ops, dam_pa_of(at), raw, sizeof(raw));
        if (err)
            return err;
        nodes[(*count)++] = (struct setup_node){bytes_get32(raw + 8), bytes_get32(raw + 12),
                                                dam_pa_of(at + SETUP_DATA_HEADER)};
        at = bytes_get64(raw);
    }
    return DAM_OK;
}

uint64_t setup_cmdline(const uint8_t *bp)
{
    return bytes_get_halves(bp + BP_CMD_LINE, bp + BP_EXT_CMD_LINE);
}

void setup_set_cmdline(uint8_t *bp, uint64_t pa)
{
    bytes_put_halves(bp + BP_CMD_LINE, bp + BP_EXT_CMD_LINE, pa);
}

uint64_t setup_ramdisk(const uint8_t *bp, uint64_t *size)
{
    *size = bytes_get_halves(bp + BP_RAMDISK_SIZE, bp + BP_EXT_RAMDISK_SIZE);
    return bytes_get_halves(bp + BP_RAMDISK_IMAGE, bp + BP_EXT_RAMDISK_IMAGE);
}

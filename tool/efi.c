// SPDX-License-Identifier: MIT
// PE format: Microsoft "PE Format" specification, "COFF File Header" and "Optional Header".
#include "efi.h"

#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "bootproto.h"

#define MZ_PE_OFFSET    0x3Cu // 4: offset of "PE\0\0"
#define PE_OPTIONAL     24u   // the optional header, from "PE\0\0"
#define OPT_MAGIC       0u    // 2
#define OPT_CHECKSUM    64u   // 4
#define OPT_SUBSYSTEM   68u   // 2
#define OPT_DIRECTORIES 108u  // 4: number of data directories that follow (PE32+)
#define OPT_CERTIFICATE 144u  // 8: data directory 4 (PE32+)
#define OPT_END         152u
#define PE32_PLUS       0x20Bu

void efi_neutralise(uint8_t *setup, size_t size)
{
    if (size < BOOT_SECTOR || memcmp(setup, "MZ", 2) != 0)
        return;
    uint32_t pe = get_le32(setup + MZ_PE_OFFSET);
    // The whole header must lie before the boot protocol's, or writing to it would damage that one.
    bool sound = pe < BOOT_SETUP_SECTS && pe + PE_OPTIONAL + OPT_END <= BOOT_SETUP_SECTS &&
                 memcmp(setup + pe, "PE\0\0", 4) == 0 &&
                 get_le16(setup + pe + PE_OPTIONAL + OPT_MAGIC) == PE32_PLUS;
    if (!sound) {
        memset(setup, 0, 2);
        return;
    }
    uint8_t *optional = setup + pe + PE_OPTIONAL;
    put_le32(optional + OPT_CHECKSUM, 0);
    put_le16(optional + OPT_SUBSYSTEM, 0);
    if (get_le32(optional + OPT_DIRECTORIES) > 4)
        memset(optional + OPT_CERTIFICATE, 0, 8);
}

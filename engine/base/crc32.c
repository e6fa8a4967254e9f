// SPDX-License-Identifier: MIT
// Bit by bit, without a table: the note is small, and the stage has room for few tables.
#include <cofferdam/takeover.h>

uint32_t dam_crc32(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    crc = ~crc;
    while (len--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

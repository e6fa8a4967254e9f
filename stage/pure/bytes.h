// SPDX-License-Identifier: MIT
// Little-endian numbers at any alignment, as boot_params and firmware tables hold them.
#ifndef STAGE_BYTES_H
#define STAGE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t bytes_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t bytes_get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void bytes_put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void bytes_put64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

// A 64-bit address kept as two halves, as boot_params keeps what has outgrown 32 bits.
static inline uint64_t bytes_get_halves(const uint8_t *low, const uint8_t *high)
{
    return bytes_get32(low) | (uint64_t)bytes_get32(high) << 32;
}

static inline void bytes_put_halves(uint8_t *low, uint8_t *high, uint64_t v)
{
    bytes_put32(low, (uint32_t)v);
    bytes_put32(high, (uint32_t)(v >> 32));
}

#endif

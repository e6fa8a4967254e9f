// SPDX-License-Identifier: MIT
// The engine's vocabulary: error codes, address types, bit fields. Used by everything.
#ifndef COFFERDAM_TYPES_H
#define COFFERDAM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Every engine function that can fail returns one of these; 0 is success. The list is an X-macro so that
// the tool can print a name without the engine holding prose.
#define DAM_ERRORS(X)                                                                                        \
    X(DAM_OK, "success")                                                                                     \
    X(DAM_E_NOMEM, "the pool is exhausted")                                                                  \
    X(DAM_E_RANGE, "an address or a number is out of range")                                                 \
    X(DAM_E_LENGTH, "a length is wrong")                                                                     \
    X(DAM_E_CHECKSUM, "a checksum is wrong")                                                                 \
    X(DAM_E_SIGNATURE, "a signature is wrong")                                                               \
    X(DAM_E_ABSENT, "something looked for is not there")                                                     \
    X(DAM_E_UNSUPPORTED, "the hardware or a table uses something that is not supported")                     \
    X(DAM_E_STATE, "the hardware is in a state that does not allow it")                                      \
    X(DAM_E_TIMEOUT, "the hardware did not answer in time")                                                  \
    X(DAM_E_BUDGET, "a budget of tables or of time is used up")                                              \
    X(DAM_E_BROKEN, "a table of the old kernel is broken")                                                   \
    X(DAM_E_VERIFY, "what was read back is not what was written")                                            \
    X(DAM_E_IO, "an access through the operations failed")

typedef enum dam_err {
#define DAM_X(name, text) name,
    DAM_ERRORS(DAM_X)
#undef DAM_X
} dam_err;

#define DAM_MUST_CHECK __attribute__((warn_unused_result))

// One-member structures: a physical address cannot be passed where an I/O virtual address is meant.
typedef struct {
    uint64_t v;
} dam_pa;

typedef struct {
    uint64_t v;
} dam_iova;

// A requester: PCI segment, and bus (15:8), device (7:3), function (2:0).
typedef struct {
    uint16_t segment;
    uint16_t rid;
} dam_requester;

static inline dam_pa dam_pa_of(uint64_t v)
{
    return (dam_pa){v};
}

static inline dam_iova dam_iova_of(uint64_t v)
{
    return (dam_iova){v};
}

#define DAM_PAGE_SHIFT 12
#define DAM_PAGE_SIZE  4096u

static inline uint64_t dam_align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

// Rounds up; the caller knows that v + align does not overflow.
static inline uint64_t dam_align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

// Bit fields. A field is declared once, as a macro that expands to "high, low" (bit positions, inclusive):
//     #define VTD_CAP_ND 2, 0
//     dam_bits_get(cap, VTD_CAP_ND)
static inline uint64_t dam_bits_mask(unsigned hi, unsigned lo)
{
    return (~0ull >> (63 - hi)) & (~0ull << lo);
}

static inline uint64_t dam_bits_get(uint64_t v, unsigned hi, unsigned lo)
{
    return (v & dam_bits_mask(hi, lo)) >> lo;
}

// The value of the field alone, in place; bits of n beyond the field are dropped.
static inline uint64_t dam_bits_put(uint64_t n, unsigned hi, unsigned lo)
{
    return (n << lo) & dam_bits_mask(hi, lo);
}

static inline uint64_t dam_bits_set(uint64_t v, uint64_t n, unsigned hi, unsigned lo)
{
    return (v & ~dam_bits_mask(hi, lo)) | dam_bits_put(n, hi, lo);
}

#endif

// SPDX-License-Identifier: MIT
// What VT-d hardware does with one DMA in legacy mode: a plain translator, written from the specification and
// from nothing of the engine, so that the two can disagree. It caches nothing and is in no hurry.
#ifndef TESTS_LIB_NAIVE_VTD_H
#define TESTS_LIB_NAIVE_VTD_H

#include <stdbool.h>
#include <stdint.h>

// Fault reasons of legacy mode, as fault records carry them (specification 7.1.3; appendix A of rev. 4.1).
enum naive_reason {
    NAIVE_OK = 0,
    NAIVE_ROOT_ABSENT = 0x1,
    NAIVE_CONTEXT_ABSENT = 0x2,
    NAIVE_CONTEXT_INVALID = 0x3,
    NAIVE_BEYOND_WIDTH = 0x4,
    NAIVE_NO_WRITE = 0x5,
    NAIVE_NO_READ = 0x6,
    NAIVE_TABLE_ACCESS = 0x7,
    NAIVE_ROOT_ACCESS = 0x8,
    NAIVE_CONTEXT_ACCESS = 0x9,
    NAIVE_ROOT_RESERVED = 0xA,
    NAIVE_CONTEXT_RESERVED = 0xB,
    NAIVE_PTE_RESERVED = 0xC,
    NAIVE_TRANSLATED = 0xD, // translated or translation request that the context entry does not allow
    // Not of the specification: what this translator does not know.
    NAIVE_NOT_LEGACY = 0x100, // another table mode
    NAIVE_INTERRUPT = 0x101,  // a write to FEEx_xxxx, which is an interrupt and no DMA
};

struct naive_vtd {
    // Reads an aligned little-endian 64-bit word as the hardware's walk sees it; false: no such memory.
    bool (*read64)(void *ctx, uint64_t pa, uint64_t *value);
    void *ctx;
    uint64_t rtaddr;    // the latched root table address register
    uint64_t cap, ecap; // registers
    unsigned haw;       // host address width in bits
};

struct naive_result {
    bool ok;
    uint64_t pa;              // of the byte at iova, when ok
    enum naive_reason reason; // when not ok
    bool fpd;                 // the context entry says that faults are not recorded
};

// A context entry taken apart; valid only when reason is NAIVE_OK.
struct naive_context {
    enum naive_reason reason;
    bool fpd; // also valid when the entry is not present
    unsigned type, aw, did;
    uint64_t root;
    uint64_t raw[2];
};

// Looks up and checks the context entry of rid (bus 15:8, device 7:3, function 2:0).
struct naive_context naive_vtd_context(const struct naive_vtd *hw, unsigned rid);

// Translation by a context entry already looked up: what the page tables say about iova. *page_r and *page_w
// (may be NULL) are the permissions of the page, valid when the walk came to a leaf.
struct naive_result naive_vtd_walk(const struct naive_vtd *hw, const struct naive_context *context,
                                   uint64_t iova, bool write, bool *page_r, bool *page_w);

// The whole way of an untranslated request without PASID.
struct naive_result naive_vtd_translate(const struct naive_vtd *hw, unsigned rid, uint64_t iova, bool write);

#endif

// SPDX-License-Identifier: MIT
// What VT-d hardware does with one DMA, in legacy and in scalable mode: a plain translator, written from the
// specification and from nothing of the engine, so that the two can disagree. It caches nothing and is in no
// hurry. Requests are those of users.
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
    NAIVE_MODE = 0x100,      // another table mode
    NAIVE_INTERRUPT = 0x101, // a write to FEEx_xxxx, which is an interrupt and no DMA
    // Scalable mode has reasons from 30h up; the ones above are used for what legacy mode has as well.
    NAIVE_PASID_REFUSED = 0x200, // the context takes no requests with PASID, or not so many PASIDs
    NAIVE_DIRECTORY_ACCESS,
    NAIVE_DIRECTORY_ABSENT,
    NAIVE_DIRECTORY_RESERVED,
    NAIVE_PASID_ACCESS,
    NAIVE_PASID_ABSENT,
    NAIVE_PASID_RESERVED,
    NAIVE_PASID_INVALID,
    NAIVE_NOT_CANONICAL,
    NAIVE_FIRST_ABSENT,   // a first-stage entry with P = 0
    NAIVE_FIRST_RIGHTS,   // no US, or no RW for a write
    NAIVE_FIRST_RESERVED, // reserved bits
    NAIVE_FIRST_MARK,     // nested: an accessed bit could not be written
};

struct naive_vtd {
    // Reads an aligned little-endian 64-bit word as the hardware's walk sees it; false: no such memory.
    bool (*read64)(void *ctx, uint64_t pa, uint64_t *value);
    void *ctx;
    // Writes a word when the hardware marks a first-stage entry as accessed or dirty; NULL: only looking.
    bool (*write64)(void *ctx, uint64_t pa, uint64_t value);
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

// What a request without PASID has instead of one.
#define NAIVE_NO_PASID 0xFFFFFFFFu

// What translates for a requester, taken apart: a context entry, or in scalable mode a PASID entry. Valid
// only when reason is NAIVE_OK.
struct naive_context {
    enum naive_reason reason;
    bool fpd;               // also valid when the entry is not present
    unsigned type, aw, did; // type: legacy mode alone
    uint64_t root;          // second stage
    uint64_t raw[2];        // legacy mode alone
    unsigned stage;         // 1 first, 2 second, 3 nested, 4 pass-through
    unsigned first_levels;
    uint64_t first;
    bool execute_disable; // the bit of that name is not reserved in first-stage entries
    unsigned pasid;       // that tags what is cached of first-stage translations
};

// A context entry of scalable mode.
struct naive_function {
    enum naive_reason reason;
    bool fpd;
    uint64_t w[4];
};

// Looks up and checks the context entry of rid (bus 15:8, device 7:3, function 2:0), in scalable mode also
// the PASID entry of requests without PASID.
struct naive_context naive_vtd_context(const struct naive_vtd *hw, unsigned rid);
// The same for a request with PASID, or with NAIVE_NO_PASID.
struct naive_context naive_vtd_context_pasid(const struct naive_vtd *hw, unsigned rid, unsigned pasid);
// The two steps of it in scalable mode.
struct naive_function naive_vtd_function(const struct naive_vtd *hw, unsigned rid);
struct naive_context naive_vtd_pasid(const struct naive_vtd *hw, const struct naive_function *function,
                                     unsigned pasid);

// Translation by a context already looked up: what the page tables say about iova. *page_r and *page_w (may
// be NULL) are the permissions of the page, valid when the walk came to a leaf.
struct naive_result naive_vtd_walk(const struct naive_vtd *hw, const struct naive_context *context,
                                   uint64_t iova, bool write, bool *page_r, bool *page_w);

// The whole way of an untranslated request without PASID, and of one with PASID.
struct naive_result naive_vtd_translate(const struct naive_vtd *hw, unsigned rid, uint64_t iova, bool write);
struct naive_result naive_vtd_translate_pasid(const struct naive_vtd *hw, unsigned rid, unsigned pasid,
                                              uint64_t iova, bool write);

#endif

// SPDX-License-Identifier: MIT
// A fake machine for tests: sparse physical memory, hooks for registers and ports, failures on demand.
#ifndef TESTS_LIB_FAKE_MEM_H
#define TESTS_LIB_FAKE_MEM_H

#include <cofferdam/ops.h>

struct fake_page;

// Zero it, set hooks as needed, then call fake_mem_init(). Hooks that are NULL make their access fail with
// DAM_E_UNSUPPORTED, as a provider without that operation does.
struct fake_mem {
    struct dam_ops ops; // give this to the engine
    void *hook_ctx;
    dam_err (*mmio_read)(void *hook_ctx, uint64_t pa, unsigned width, uint64_t *value);
    dam_err (*mmio_write)(void *hook_ctx, uint64_t pa, unsigned width, uint64_t value);
    dam_err (*port_read)(void *hook_ctx, uint16_t port, unsigned width, uint32_t *value);
    dam_err (*port_write)(void *hook_ctx, uint16_t port, unsigned width, uint32_t value);
    // Called before each read of memory is served: the place to change memory behind the reader's back.
    void (*before_read)(void *hook_ctx, uint64_t pa, size_t len);
    // The (fail_at)-th call of any operation, counted from 1, fails with DAM_E_IO; 0: none does.
    uint64_t fail_at;
    uint64_t calls;      // of all operations so far
    uint64_t read_bytes; // of memory so far
    uint64_t now_us;     // the clock; advances by 1 with each look
    struct fake_page *pages;
};

void fake_mem_init(struct fake_mem *mem);
// Releases the memory; the structure may be initialised again.
void fake_mem_free(struct fake_mem *mem);

// Puts bytes into memory, which comes into being (zeroed, by pages of 4 KiB) where it is first written to. A
// read that touches a page which is not there fails with DAM_E_RANGE. pa + len does not wrap.
void fake_mem_write(struct fake_mem *mem, uint64_t pa, const void *bytes, size_t len);
void fake_mem_write_u8(struct fake_mem *mem, uint64_t pa, uint8_t value);
void fake_mem_write_u16(struct fake_mem *mem, uint64_t pa, uint16_t value);
void fake_mem_write_u32(struct fake_mem *mem, uint64_t pa, uint32_t value);
void fake_mem_write_u64(struct fake_mem *mem, uint64_t pa, uint64_t value);
// Makes len bytes from pa on exist.
void fake_mem_add(struct fake_mem *mem, uint64_t pa, uint64_t len);
// Takes the page that holds pa away.
void fake_mem_remove(struct fake_mem *mem, uint64_t pa);

#endif

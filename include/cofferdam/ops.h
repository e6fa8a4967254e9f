// SPDX-License-Identifier: MIT
// The one seam between the engine and the world. Providers: bare metal (stage), a vmcore (tool, reads only),
// fakes (tests), QEMU over qtest (tests).
#ifndef COFFERDAM_OPS_H
#define COFFERDAM_OPS_H

#include <cofferdam/types.h>

// Any member may fail with DAM_E_RANGE (no such address) or DAM_E_IO (the provider broke). A member that a
// provider does not have is NULL; the engine's wrappers below turn that into DAM_E_UNSUPPORTED.
struct dam_ops {
    void *ctx;
    // Copies len bytes of old physical memory, of firmware tables or of the pool to buf.
    dam_err (*mem_read)(void *ctx, dam_pa pa, void *buf, size_t len);
    // One aligned access of width 4 or 8 bytes to a device register.
    dam_err (*mmio_read)(void *ctx, dam_pa pa, unsigned width, uint64_t *value);
    dam_err (*mmio_write)(void *ctx, dam_pa pa, unsigned width, uint64_t value);
    // One access of width 1, 2 or 4 bytes to an I/O port (CF8h/CFCh).
    dam_err (*port_read)(void *ctx, uint16_t port, unsigned width, uint32_t *value);
    dam_err (*port_write)(void *ctx, uint16_t port, unsigned width, uint32_t value);
    // Writes the cache lines of [p, p+len) in the pool back to memory, for hardware whose walks do not snoop.
    void (*cache_flush)(void *ctx, const void *p, size_t len);
    // Orders all earlier stores and flushes before all later accesses.
    void (*barrier)(void *ctx);
    // Monotonic time in microseconds. Never NULL.
    uint64_t (*clock_us)(void *ctx);
};

DAM_MUST_CHECK static inline dam_err dam_mem_read(const struct dam_ops *ops, dam_pa pa, void *buf, size_t len)
{
    return ops->mem_read ? ops->mem_read(ops->ctx, pa, buf, len) : DAM_E_UNSUPPORTED;
}

DAM_MUST_CHECK static inline dam_err dam_mmio_read(const struct dam_ops *ops, dam_pa pa, unsigned width,
                                                   uint64_t *value)
{
    return ops->mmio_read ? ops->mmio_read(ops->ctx, pa, width, value) : DAM_E_UNSUPPORTED;
}

DAM_MUST_CHECK static inline dam_err dam_mmio_write(const struct dam_ops *ops, dam_pa pa, unsigned width,
                                                    uint64_t value)
{
    return ops->mmio_write ? ops->mmio_write(ops->ctx, pa, width, value) : DAM_E_UNSUPPORTED;
}

DAM_MUST_CHECK static inline dam_err dam_port_read(const struct dam_ops *ops, uint16_t port, unsigned width,
                                                   uint32_t *value)
{
    return ops->port_read ? ops->port_read(ops->ctx, port, width, value) : DAM_E_UNSUPPORTED;
}

DAM_MUST_CHECK static inline dam_err dam_port_write(const struct dam_ops *ops, uint16_t port, unsigned width,
                                                    uint32_t value)
{
    return ops->port_write ? ops->port_write(ops->ctx, port, width, value) : DAM_E_UNSUPPORTED;
}

static inline void dam_cache_flush(const struct dam_ops *ops, const void *p, size_t len)
{
    if (ops->cache_flush)
        ops->cache_flush(ops->ctx, p, len);
}

static inline void dam_barrier(const struct dam_ops *ops)
{
    if (ops->barrier)
        ops->barrier(ops->ctx);
}

static inline uint64_t dam_clock_us(const struct dam_ops *ops)
{
    return ops->clock_us(ops->ctx);
}

#endif

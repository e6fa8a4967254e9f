// SPDX-License-Identifier: MIT
// The one bounded wait for hardware.
#ifndef ENGINE_BASE_WAIT_H
#define ENGINE_BASE_WAIT_H

#include <cofferdam/ops.h>

// Polls the register at pa (width 4 or 8) until (value & mask) == want. DAM_E_TIMEOUT after max_us
// microseconds, or after DAM_WAIT_POLLS reads should the clock stand still; *value (may be NULL) is the last
// value read.
#define DAM_WAIT_POLLS (64u * 1024 * 1024)
DAM_MUST_CHECK dam_err dam_wait_register(const struct dam_ops *ops, dam_pa pa, unsigned width, uint64_t mask,
                                         uint64_t want, uint64_t max_us, uint64_t *value);
// The same for a word of memory that a device writes.
DAM_MUST_CHECK dam_err dam_wait_memory(const struct dam_ops *ops, const volatile uint32_t *word,
                                       uint32_t want, uint64_t max_us);

#endif

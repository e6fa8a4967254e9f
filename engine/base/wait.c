// SPDX-License-Identifier: MIT
#include "base/wait.h"

dam_err dam_wait_register(const struct dam_ops *ops, dam_pa pa, unsigned width, uint64_t mask, uint64_t want,
                          uint64_t max_us, uint64_t *value)
{
    uint64_t start = dam_clock_us(ops);
    for (uint32_t polls = 0; polls < DAM_WAIT_POLLS; polls++) {
        // The clock is read first: a value that arrives while we are being slow still counts.
        bool late = dam_clock_us(ops) - start > max_us;
        uint64_t now;
        dam_err err = dam_mmio_read(ops, pa, width, &now);
        if (err)
            return err;
        if (value)
            *value = now;
        if ((now & mask) == want)
            return DAM_OK;
        if (late)
            break;
    }
    return DAM_E_TIMEOUT;
}

dam_err dam_wait_memory(const struct dam_ops *ops, const volatile uint32_t *word, uint32_t want,
                        uint64_t max_us)
{
    uint64_t start = dam_clock_us(ops);
    for (uint32_t polls = 0; polls < DAM_WAIT_POLLS; polls++) {
        bool late = dam_clock_us(ops) - start > max_us;
        if (*word == want)
            return DAM_OK;
        if (late)
            break;
    }
    return DAM_E_TIMEOUT;
}

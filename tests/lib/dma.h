// SPDX-License-Identifier: MIT
// What DMA on the register model is expected to do.
#ifndef TESTS_LIB_DMA_H
#define TESTS_LIB_DMA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/fake_vtd.h"

// DMA of a requester of `unit` without a PASID is translated, and ends at pa.
static inline void dma_leads(struct fake_vtd *fake, unsigned unit, unsigned rid, uint64_t iova, bool write,
                             uint64_t pa)
{
    struct fake_dma_result r = fake_dma(fake, unit, rid, iova, write);
    if (!r.ok || r.untranslated || r.pa != pa)
        fail_msg("%#x %s %#llx: ok %d pa %#llx reason %#x, not %#llx", rid, write ? "writes" : "reads",
                 (unsigned long long)iova, r.ok, (unsigned long long)r.pa, r.reason, (unsigned long long)pa);
}

// It ends nowhere.
static inline void dma_refused(struct fake_vtd *fake, unsigned unit, unsigned rid, uint64_t iova, bool write)
{
    struct fake_dma_result r = fake_dma(fake, unit, rid, iova, write);
    if (r.ok)
        fail_msg("%#x %s %#llx: reaches %#llx", rid, write ? "writes" : "reads", (unsigned long long)iova,
                 (unsigned long long)r.pa);
}

#endif

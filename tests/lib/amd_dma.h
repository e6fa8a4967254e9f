// SPDX-License-Identifier: MIT
// What DMA through an AMD IOMMU of the register model is expected to do.
#ifndef TESTS_LIB_AMD_DMA_H
#define TESTS_LIB_AMD_DMA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/machine.h"

#define NO_PASID NAIVE_AMD_NO_PASID

// DMA of a requester of `unit` is translated, or passes by its entry, and ends at pa.
static inline void amd_leads(struct machine *m, unsigned unit, unsigned devid, unsigned pasid, uint64_t iova,
                             bool write, uint64_t pa)
{
    struct fake_amd_dma r = fake_amdvi_dma(m->amd, unit, devid, pasid, iova, write);
    if (!r.ok || r.untranslated || r.pa != pa)
        fail_msg("%#x %s %#llx: ok %d pa %#llx reason %d, not %#llx", devid, write ? "writes" : "reads",
                 (unsigned long long)iova, r.ok, (unsigned long long)r.pa, (int)r.reason,
                 (unsigned long long)pa);
}

// It ends nowhere.
static inline void amd_refused(struct machine *m, unsigned unit, unsigned devid, unsigned pasid,
                               uint64_t iova, bool write)
{
    struct fake_amd_dma r = fake_amdvi_dma(m->amd, unit, devid, pasid, iova, write);
    if (r.ok)
        fail_msg("%#x %s %#llx: reaches %#llx", devid, write ? "writes" : "reads", (unsigned long long)iova,
                 (unsigned long long)r.pa);
}

// What holds for every entry of new tables: valid, silent, without device TLBs, exclusion range and marks.
// And Linux's rule for what it goes on with: interrupts are remapped by tables of the one length that it
// knows, or not at all.
static inline void amd_entries_are_sound(struct machine *m, unsigned unit)
{
    unsigned length = 0;
    for (unsigned devid = 0; devid < 65536; devid++) {
        const uint64_t *e = fake_amdvi_entry(m->amd, unit, devid);
        if (!e)
            continue;
        const unsigned control = (unsigned)(e[2] >> 60 & 3), log2 = (unsigned)(e[2] >> 1 & 15);
        bool irqs = !(e[2] & 1) || (!control && !log2) || (control == 2 && (!length || log2 == length));
        // Linux puts its own table into what is not remapped by setting bits: the old ones must be gone.
        if ((!(e[2] & 1) || control != 2) && (e[2] & 0x300FFFFFFFFFFFDEull & ~0x20ull))
            fail_msg("interrupts of %#x: %#llx", devid, (unsigned long long)e[2]);
        if (!(e[0] & 1) || (e[0] >> 7 & 3) || (e[1] >> 32 & 1) || !(e[1] >> 34 & 1) || (e[1] >> 39 & 1) ||
            !irqs)
            fail_msg("entry of %#x: %#llx %#llx %#llx", devid, (unsigned long long)e[0],
                     (unsigned long long)e[1], (unsigned long long)e[2]);
        if ((e[2] & 1) && control == 2)
            length = log2;
    }
}

// What holds for a unit that was taken over, whatever it is: it translates, runs on tables and buffers of
// ours, tells of nothing and nobody, and did nothing that is forbidden.
static inline void amd_taken(struct machine *m, unsigned unit)
{
    const struct fake_amd_unit *u = &m->amd->unit[unit];
    const uint64_t address = 0x000FFFFFFFFFF000ull;
    assert_string_equal(m->fake->violation, "");
    assert_int_equal(u->off, 0);
    assert_true(u->control & FAKE_AMD_ENABLE);
    assert_in_range(u->device_table[0] & address, M_POOL_START, M_POOL_START + M_POOL_SIZE - 1);
    assert_in_range(u->command_base & address, M_POOL_START, M_POOL_START + M_POOL_SIZE - 1);
    assert_in_range(u->event_base & address, M_POOL_START, M_POOL_START + M_POOL_SIZE - 1);
    assert_int_equal(u->command_base >> 56, 9); // what Linux maps
    assert_int_equal(u->event_base >> 56, 9);
    assert_int_equal(u->command_head, u->command_tail);
    assert_int_equal(u->partial, 0);
    assert_int_equal(u->waits_stored > 0, 1);
    amd_entries_are_sound(m, unit);
    assert_true(machine_old_memory_untouched(m));
}

#endif

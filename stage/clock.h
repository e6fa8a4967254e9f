// SPDX-License-Identifier: MIT
// How fast the time-stamp counter runs.
#ifndef STAGE_CLOCK_H
#define STAGE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

// The rate of the time-stamp counter in kHz: what CPUID says, else measured against the timer of every PC in
// about 10 ms, else (*assumed is set) a guess. Never 0, always bounded.
uint32_t clock_tsc_khz(bool *assumed);

#endif

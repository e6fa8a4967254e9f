// SPDX-License-Identifier: MIT
#include "inspect/verbs.h"

#include <stddef.h>

// In the order of the help.
const struct verb *const inspect_verbs[] = {
    &verb_units, &verb_devices,  &verb_walk, &verb_ranges, &verb_translate,
    &verb_reach, &verb_findings, &verb_diff, &verb_report, NULL,
};

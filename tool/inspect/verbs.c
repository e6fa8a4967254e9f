// SPDX-License-Identifier: MIT
#include "inspect/verbs.h"

#include <stddef.h>

// In the order of the help.
const struct verb *const inspect_verbs[] = {
    NULL,
};
